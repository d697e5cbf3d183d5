//! JSPR lines for the eye: one row for each. Nothing in them is secret.

use super::{Rows, View, readable};

/// The rows of JSPR lines.
#[derive(Default)]
pub struct Lines {
    host: Vec<u8>,
    modem: Vec<u8>,
}

impl View for Lines {
    fn host(&mut self, bytes: &[u8]) -> Rows {
        rows('>', &mut self.host, bytes)
    }

    fn modem(&mut self, bytes: &[u8]) -> Rows {
        rows('<', &mut self.modem, bytes)
    }
}

fn rows(mark: char, line: &mut Vec<u8>, bytes: &[u8]) -> Rows {
    let mut rows = Rows::new();
    for byte in bytes {
        if *byte != b'\r' {
            line.push(*byte);
            continue;
        }
        if !line.is_empty() {
            rows.push((mark, readable(line)));
        }
        line.clear();
    }
    rows
}

#[cfg(test)]
mod tests {
    use crate::transcript::tests::rows_of;
    use crate::vendor::Vendor;

    #[test]
    fn each_line_has_a_row() {
        let rows = rows_of(Vendor::Jspr, |t| {
            t.host(b"\rGET apiVersion {}\r");
            t.modem(b"\x11405 MALFORMED {}\r200 api");
            t.modem(b"Version {}\r");
        });
        let expected = ["> GET apiVersion {}", "< \\x11405 MALFORMED {}", "< 200 apiVersion {}"];
        assert_eq!(rows, expected);
    }
}
