//! AT lines for the eye: one row for each line, prompt and piece of data.
//! Framed apart from the driver's own framer; what a vendor's [`Wire`] calls
//! secret is hidden.

use std::ops::Range;

use super::{Rows, View, readable, size};

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

/// The rows of AT lines.
pub struct Lines {
    wire: &'static Wire,
    rows: Rows,
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

impl Lines {
    /// Of a modem with these oddities.
    pub fn new(wire: &'static Wire) -> Self {
        let (host, modem, rows) = (Vec::new(), Vec::new(), Rows::new());
        let (entry, file) = (false, false);
        Self { wire, rows, host, modem, entry, file, counted: 0, header: 0 }
    }
}

impl View for Lines {
    fn host(&mut self, bytes: &[u8]) -> Rows {
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
        std::mem::take(&mut self.rows)
    }

    fn modem(&mut self, bytes: &[u8]) -> Rows {
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
        std::mem::take(&mut self.rows)
    }
}

impl Lines {
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
        self.rows.push((mark, text.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use crate::transcript::Transcript;
    use crate::transcript::tests::rows_of;
    use crate::vendor::Vendor;

    fn rows(write: impl FnOnce(&mut Transcript)) -> Vec<String> {
        rows_of(Vendor::Simcom, write)
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
}
