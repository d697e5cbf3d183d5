//! A readable transcript of what goes over the wire: one row for each line of
//! the host (`>`), line of the modem (`<`) and event (`=`), with the
//! milliseconds since the start. It frames the bytes for the eye only, apart
//! from the driver's own framer, and hides what a vendor's [`Wire`] calls
//! secret.

use std::io::Write;
use std::time::Instant;

/// What a transcript must know of a vendor's bytes.
#[derive(Debug)]
pub struct Wire {
    /// After a modem line that begins so and ends in a number, as many raw
    /// bytes follow.
    pub counted: &'static [&'static str],
    /// In a line with this beginning, the quoted fields after so many others
    /// are secret.
    pub secrets: &'static [(&'static str, usize)],
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
}

impl Transcript {
    /// A transcript that begins now.
    pub fn new(wire: &'static Wire, out: Box<dyn Write + Send>) -> Self {
        let (host, modem) = (Vec::new(), Vec::new());
        let start = Instant::now();
        Self { out, wire, start, host, modem, entry: false, file: false, counted: 0 }
    }

    /// The host sent these bytes.
    pub fn host(&mut self, bytes: &[u8]) {
        if self.counted == 0 {
            self.entry |= self.modem.trim_ascii() == b">";
            self.modem_row();
        }
        for byte in bytes {
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
                    let block = std::mem::take(&mut self.modem);
                    self.row('<', &readable(&block));
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

    fn modem_row(&mut self) {
        let bytes = std::mem::take(&mut self.modem);
        let line = bytes.trim_ascii();
        if line.is_empty() {
            return;
        }
        let answer = matches!(line, b">" | b"OK" | b"ERROR") || line.windows(2).any(|w| w == b": ");
        if answer && line != b">" {
            self.entry = false;
        }
        let hidden = self.file && !answer && !line.starts_with(b"AT");
        let text = if hidden { size(line.len()) } else { readable(&self.redacted(line)) };
        self.row('<', &text);
        self.counted = self.announced(line);
    }

    /// How many raw bytes follow this line.
    fn announced(&self, line: &[u8]) -> usize {
        let line = String::from_utf8_lossy(line);
        if !self.wire.counted.iter().any(|start| line.starts_with(start)) {
            return 0;
        }
        line.rsplit(',').next().and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    fn redacted(&self, line: &[u8]) -> Vec<u8> {
        let starts = |start: &str| line.windows(start.len()).any(|w| w == start.as_bytes());
        let Some((_, public)) = self.wire.secrets.iter().find(|(start, _)| starts(start)) else {
            return line.to_vec();
        };
        let mut shown = Vec::new();
        for (at, part) in line.split(|byte| *byte == b'"').enumerate() {
            if at > 0 {
                shown.push(b'"');
            }
            let is_secret = at % 2 == 1 && at / 2 >= *public;
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
        let page = Page::default();
        let mut transcript = Transcript::new(&Vendor::Simcom.row().wire, Box::new(page.clone()));
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
