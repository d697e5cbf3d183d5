//! A readable transcript of what goes over the wire: one row for each line of
//! the host (`>`), line of the modem (`<`) and event (`=`), with the
//! milliseconds since the start. It frames the bytes for the eye only, apart
//! from the driver's own framer, and hides what a vendor's [`Wire`] calls
//! secret.

use std::io::Write;
use std::ops::Range;
use std::time::Instant;

/// What a transcript must know of a vendor's bytes.
#[derive(Debug)]
pub struct Wire {
    /// A header of the modem with this beginning, the last number of which
    /// stands before this end, is followed by as many raw bytes.
    pub counted: &'static [(&'static str, &'static str)],
    /// In a line with this in it, these of the quoted fields behind it are
    /// secret; all that follows if none is quoted.
    pub secrets: &'static [(&'static str, Range<usize>)],
    /// The data that follows a host line with this beginning is a file, maybe
    /// a key: only its size is shown.
    pub files: &'static [&'static str],
}

/// Takes bytes, writes rows.
pub struct Transcript {
    out: Box<dyn Write + Send>,
    wire: &'static Wire,
    start: Instant,
    host: Vec<u8>,
    modem: Vec<u8>,
    /// The modem's prompt was seen: the host sends data, not lines.
    entry: bool,
    /// That data, and its echo, is a file.
    file: bool,
    /// So many raw bytes of the modem are still to come.
    counted: usize,
    /// So many bytes before them are the header.
    header: usize,
}

impl Transcript {
    /// A transcript that begins now.
    pub fn new(wire: &'static Wire, out: Box<dyn Write + Send>) -> Self {
        let (host, modem) = (Vec::new(), Vec::new());
        let start = Instant::now();
        let (entry, file) = (false, false);
        Self { out, wire, start, host, modem, entry, file, counted: 0, header: 0 }
    }

    /// The host sent these bytes.
    pub fn host(&mut self, bytes: &[u8]) {
        if self.counted == 0 {
            self.entry |= self.modem.trim_ascii() == b">";
            self.modem_row();
        }
        for byte in bytes {
            if *byte == b'\n' && self.host.is_empty() && !self.entry {
                continue;
            }
            self.host.push(*byte);
            if *byte == b'\r' && !self.entry {
                self.host_row();
            }
        }
    }

    /// The modem sent these bytes.
    pub fn modem(&mut self, bytes: &[u8]) {
        if self.entry {
            self.host_row();
        }
        for byte in bytes {
            self.modem.push(*byte);
            if self.counted > 0 {
                self.counted -= 1;
                if self.counted == 0 {
                    self.block_row();
                }
            } else if let Some(count) = self.announced() {
                self.header = self.modem.len();
                if *byte == b'\n' {
                    self.modem_row();
                    self.header = 0;
                }
                self.counted = count;
                if count == 0 && self.header > 0 {
                    self.block_row();
                }
            } else if *byte == b'\n' {
                self.modem_row();
            }
        }
    }

    /// The driver made this of it, or did this next.
    pub fn event(&mut self, text: &str) {
        self.row('=', text);
    }

    /// Milliseconds since the start.
    pub fn millis(&self) -> u128 {
        self.start.elapsed().as_millis()
    }

    fn host_row(&mut self) {
        let bytes = std::mem::take(&mut self.host);
        if bytes.is_empty() {
            return;
        }
        let line = bytes.strip_suffix(b"\r").filter(|_| !self.entry).unwrap_or(&bytes);
        if !self.entry {
            self.file = self.wire.files.iter().any(|start| line.starts_with(start.as_bytes()));
        }
        let hidden = self.entry && self.file;
        let text = if hidden { size(bytes.len()) } else { readable(&self.redacted(line)) };
        self.row('>', &text);
    }

    /// Counted bytes, behind their header if that is in the same line.
    fn block_row(&mut self) {
        let bytes = std::mem::take(&mut self.modem);
        let (header, block) = bytes.split_at(std::mem::take(&mut self.header));
        self.row('<', &(readable(header.trim_ascii_start()) + &readable(block)));
    }

    fn modem_row(&mut self) {
        let bytes = std::mem::take(&mut self.modem);
        let line = bytes.trim_ascii();
        if line.is_empty() {
            return;
        }
        let last = matches!(line, b"OK" | b"ERROR" | b"TimeOut") || line.starts_with(b"+CME ERROR");
        let answer = last || line == b">" || line.windows(2).any(|w| w == b": ");
        // What comes by itself does not end the data.
        self.entry = !last && (self.entry || line == b">");
        let hidden = self.file && !answer && !line.starts_with(b"AT");
        let text = if hidden { size(line.len()) } else { readable(&self.redacted(line)) };
        self.row('<', &text);
    }

    /// How many raw bytes follow what the modem says now.
    fn announced(&self) -> Option<usize> {
        let line = self.modem.trim_ascii_start();
        self.wire.counted.iter().find_map(|(start, end)| {
            let line = line.strip_prefix(start.as_bytes())?.strip_suffix(end.as_bytes())?;
            let count = line.rsplit(|byte| *byte == b',').next()?;
            let before = &line[..line.len() - count.len()];
            if before.iter().filter(|byte| **byte == b'"').count() % 2 != 0 {
                // This is still the topic.
                return None;
            }
            std::str::from_utf8(count).ok()?.parse().ok()
        })
    }

    fn redacted(&self, line: &[u8]) -> Vec<u8> {
        let starts = |start: &str| line.windows(start.len()).any(|w| w == start.as_bytes());
        let Some((start, secret)) = self.wire.secrets.iter().find(|(start, _)| starts(start))
        else {
            return line.to_vec();
        };
        if !line.contains(&b'"') {
            let is_empty = line.ends_with(start.as_bytes());
            return if is_empty { line.to_vec() } else { [start.as_bytes(), b"***"].concat() };
        }
        let mut shown = Vec::new();
        for (at, part) in line.split(|byte| *byte == b'"').enumerate() {
            if at > 0 {
                shown.push(b'"');
            }
            let is_secret = at % 2 == 1 && secret.contains(&(at / 2)) && !part.is_empty();
            shown.extend_from_slice(if is_secret { b"***" } else { part });
        }
        shown
    }

    fn row(&mut self, mark: char, text: &str) {
        // A reader that went away is noticed where the results are written.
        let _ = writeln!(self.out, "{:>8}  {mark} {text}", self.millis()).and(self.out.flush());
    }
}

/// More than this is cut, in bytes.
const LONGEST: usize = 120;
/// Then so many are shown.
const SHOWN: usize = 40;

/// The bytes with their control characters escaped; cut if they are many.
pub fn readable(bytes: &[u8]) -> String {
    if bytes.len() > LONGEST {
        let mut head = readable(&bytes[..SHOWN]);
        head.push_str(" … ");
        return head + &size(bytes.len());
    }
    let escape = |c: char| match c {
        '\\' | '\r' | '\n' | '\t' => c.escape_default().to_string(),
        c if c.is_ascii_control() => format!("\\x{:02x}", u32::from(c)),
        c if c.is_control() => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => text.chars().map(escape).collect(),
        Err(_) => bytes.escape_ascii().to_string().replace("\\\"", "\"").replace("\\'", "'"),
    }
}

fn size(count: usize) -> String {
    format!("({count} bytes)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendor::Vendor;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The rows without their times.
    fn rows(write: impl FnOnce(&mut Transcript)) -> Vec<String> {
        rows_of(Vendor::Simcom, write)
    }

    fn rows_of(vendor: Vendor, write: impl FnOnce(&mut Transcript)) -> Vec<String> {
        let page = Page::default();
        let mut transcript = Transcript::new(&vendor.row().wire, Box::new(page.clone()));
        write(&mut transcript);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|row| row[10..].to_owned()).collect()
    }

    #[test]
    fn lines_prompts_and_data_have_a_row_each() {
        let rows = rows(|t| {
            t.host(b"AT+CMQTTPAYLOAD=0,4\r");
            t.modem(b"\r\n>");
            t.host(b"a\rb\n");
            t.modem(b"\r\nOK\r");
            t.modem(b"\n");
            t.event("done");
        });
        assert_eq!(rows, ["> AT+CMQTTPAYLOAD=0,4", "< >", "> a\\rb\\n", "< OK", "= done"]);
    }

    #[test]
    fn counted_data_is_one_row_whatever_it_contains() {
        let rows = rows(|t| {
            t.modem(b"\r\n+CMQTTRXPAYLOAD: 0,20\r\nOK\r\n+CMQTTRXEND: 0\r\n");
            t.modem(b"\r\n+CMQTTRXEND: 0\r\n");
        });
        let expected =
            ["< +CMQTTRXPAYLOAD: 0,20", "< OK\\r\\n+CMQTTRXEND: 0\\r\\n", "< +CMQTTRXEND: 0"];
        assert_eq!(rows, expected);
    }

    #[test]
    fn counted_data_behind_its_header_is_in_the_same_row() {
        let rows = rows_of(Vendor::Luat, |t| {
            t.modem(b"\r\n+MSUB: \"a,b\",12 byte,\r\nOK\r\n> \r\n+M\r\n");
            t.modem(b"\r\n+MSUB: \"a,5 byte,b\",0 byte,\r\n\r\n+MSUB: 0\r\n");
            t.modem(b"+MSUB:t,6 byte,12");
            t.host(b"AT\r\n");
            t.modem(b"3456\r\nSUBACK\r\n");
        });
        let expected = [
            r#"< +MSUB: "a,b",12 byte,\r\nOK\r\n> \r\n+M"#,
            r#"< +MSUB: "a,5 byte,b",0 byte,"#,
            "< +MSUB: 0",
            "> AT",
            "< +MSUB:t,6 byte,123456",
            "< SUBACK",
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_luat_modem_has_secrets_in_other_places() {
        let rows = rows_of(Vendor::Luat, |t| {
            t.host(b"AT+MCONFIG=\"id\",\"s3cret\",\"s3cret\",0,0,\"will\",\"x\"\r\n");
            t.modem(b"AT+MCONFIG=\"id\",\"s3cret\",\"s3cret\",0,0,\"will\",\"x\"\r\r\nOK\r\n");
            t.host(b"AT+MCONFIG=\"id\",\"\",\"\"\r\n");
            t.host(b"AT+CPIN=4711\r\n");
            t.host(b"AT+CPNETAPN=2,\"apn\",\"s3cret\",\"s3cret\",1\r\n");
            t.modem(b"\r\nUSR:s3cret\r\nPWD:s3cret\r\nOK\r\n");
        });
        assert_eq!(rows[0], r#"> AT+MCONFIG="id","***","***",0,0,"will","x""#);
        assert_eq!(rows[3], r#"> AT+MCONFIG="id","","""#);
        assert_eq!(rows[5], r#"> AT+CPNETAPN=2,"apn","***","***",1"#);
        let all = rows.concat();
        assert!(!all.contains("s3cret") && !all.contains("4711"), "{all}");
    }

    #[test]
    fn what_comes_by_itself_does_not_uncover_the_rest_of_a_file() {
        for prompt in [&b"\r\n>"[..], b"\r\n> ", b"\r\n>\r\n"] {
            let rows = rows_of(Vendor::Luat, |t| {
                t.host(b"AT+FSWRITE=\"key.pem\",0,20,20\r\n");
                t.modem(prompt);
                t.host(b"k3y\r\nk3");
                t.modem(b"\r\n+CREG: 1\r\n");
                t.host(b"y\r\nk3y\r\n");
                t.modem(b"\r\nTimeOut\r\n");
                t.host(b"AT\r\n");
            });
            assert!(!rows.concat().contains("k3"), "{rows:?}");
            assert_eq!(rows[rows.len() - 2..], ["< TimeOut", "> AT"]);
        }
    }

    #[test]
    fn secrets_are_shown_neither_in_commands_nor_in_echoes() {
        let rows = rows(|t| {
            t.host(b"AT+CMQTTCONNECT=0,\"tcp://h:1\",60,1,\"user\",\"s3cret\"\r");
            t.modem(b"AT+CMQTTCONNECT=0,\"tcp://h:1\",60,1,\"user\",\"s3cret\"\r\r\n");
            t.host(b"AT+CPIN=\"4711\"\r");
            t.host(b"AT+CGAUTH=1,1,\"s3cret\",\"user\"\r");
        });
        assert_eq!(rows[0], "> AT+CMQTTCONNECT=0,\"tcp://h:1\",60,1,\"user\",\"***\"");
        let all = rows.concat();
        assert!(!all.contains("s3cret") && !all.contains("4711"), "{all}");
    }

    #[test]
    fn of_a_file_for_the_modem_only_the_size_is_shown() {
        let rows = rows(|t| {
            t.host(b"AT+CCERTDOWN=\"key.pem\",10\r");
            t.modem(b"\r\n>");
            t.host(b"k3y\nk3");
            t.modem(b"k3y\nk3");
            t.host(b"y\r\nk");
            t.modem(b"\r\nOK\r\n");
        });
        assert_eq!(rows[2], "> (6 bytes)");
        assert!(!rows.concat().contains("k3"), "{rows:?}");
        assert_eq!(rows.last().unwrap(), "< OK");
    }

    #[test]
    fn long_data_is_cut() {
        assert_eq!(readable(b"\\ \"q\" \x1b \xc3\xa9"), "\\\\ \"q\" \\x1b é");
        assert_eq!(readable(b"\xff\"\0"), "\\xff\"\\x00");
        assert!(readable(&[b'x'; 1000]).ends_with("x … (1000 bytes)"));
    }
}
