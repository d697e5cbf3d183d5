//! A readable transcript of what goes over the wire: one row for each thing
//! that the host (`>`) or the modem (`<`) says and for each event (`=`), with
//! the milliseconds since the start. How bytes are read is up to the vendor's
//! [`View`].

pub mod at;
pub mod jspr;
pub mod mqtt;

use std::io::Write;
use std::time::Instant;

/// What was said: by whom, and in words.
pub type Rows = Vec<(char, String)>;

/// Makes rows of bytes.
pub trait View: Send {
    /// The host sent these bytes.
    fn host(&mut self, bytes: &[u8]) -> Rows;

    /// The modem sent these bytes.
    fn modem(&mut self, bytes: &[u8]) -> Rows;
}

/// Takes bytes, writes rows.
pub struct Transcript {
    out: Box<dyn Write + Send>,
    view: Box<dyn View>,
    start: Instant,
}

impl Transcript {
    /// A transcript that begins now.
    pub fn new(view: Box<dyn View>, out: Box<dyn Write + Send>) -> Self {
        Self { out, view, start: Instant::now() }
    }

    /// The host sent these bytes.
    pub fn host(&mut self, bytes: &[u8]) {
        let rows = self.view.host(bytes);
        self.write(rows);
    }

    /// The modem sent these bytes.
    pub fn modem(&mut self, bytes: &[u8]) {
        let rows = self.view.modem(bytes);
        self.write(rows);
    }

    /// The driver made this of it, or did this next.
    pub fn event(&mut self, text: &str) {
        self.write(vec![('=', text.to_owned())]);
    }

    /// Milliseconds since the start.
    pub fn millis(&self) -> u128 {
        self.start.elapsed().as_millis()
    }

    fn write(&mut self, rows: Rows) {
        let millis = self.millis();
        for (mark, text) in rows {
            // A reader that went away is noticed where the results are written.
            let _ = writeln!(self.out, "{millis:>8}  {mark} {text}").and(self.out.flush());
        }
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

/// A size in words.
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
    pub fn rows_of(vendor: Vendor, write: impl FnOnce(&mut Transcript)) -> Vec<String> {
        let page = Page::default();
        let mut transcript = Transcript::new((vendor.row().view)(), Box::new(page.clone()));
        write(&mut transcript);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|row| row[10..].to_owned()).collect()
    }

    #[test]
    fn long_data_is_cut() {
        assert_eq!(readable(b"\\ \"q\" \x1b \xc3\xa9"), "\\\\ \"q\" \\x1b é");
        assert_eq!(readable(b"\xff\"\0"), "\\xff\"\\x00");
        assert!(readable(&[b'x'; 1000]).ends_with("x … (1000 bytes)"));
    }
}
