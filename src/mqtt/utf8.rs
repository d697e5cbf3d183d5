//! Whether bytes are text, looked at one by one.

use crate::WIDE;

/// Checks bytes as they come in, in any pieces, to be UTF-8 (The Unicode
/// Standard, table 3-7).
///
/// What core has for it is faster on whole texts, and takes 0.6 kB of a
/// microcontroller's flash.
#[derive(Clone, Copy, Debug)]
pub struct Utf8 {
    /// So many bytes of the character are still to come.
    left: u8,
    /// Between these the next one must lie.
    low: u8,
    high: u8,
}

impl Default for Utf8 {
    fn default() -> Self {
        Self::new()
    }
}

impl Utf8 {
    /// At the start of a text.
    #[must_use]
    pub const fn new() -> Self {
        Self { left: 0, low: 0x80, high: 0xbf }
    }

    /// Takes the next byte; `false` if it cannot stand there.
    pub fn take(&mut self, byte: u8) -> bool {
        if self.left > 0 {
            let fits = (self.low..=self.high).contains(&byte);
            *self = Self { left: self.left.saturating_sub(1), ..Self::new() };
            return fits;
        }
        let left = match byte {
            ..=0x7f => 0,
            0xc2..=0xdf => 1,
            0xe0..=0xef => 2,
            0xf0..=0xf4 => 3,
            _ => return false,
        };
        // Neither longer than need be, nor a surrogate, nor above the last.
        let (low, high) = match byte {
            0xe0 => (0xa0, 0xbf),
            0xed => (0x80, 0x9f),
            0xf0 => (0x90, 0xbf),
            0xf4 => (0x80, 0x8f),
            _ => (0x80, 0xbf),
        };
        *self = Self { left, low, high };
        true
    }

    /// Whether the text may end here: no character is begun.
    #[must_use]
    pub const fn may_end(&self) -> bool {
        self.left == 0
    }

    /// Whether `bytes` are text, by what is cheaper here.
    pub(crate) fn is(bytes: &[u8]) -> bool {
        if WIDE { core::str::from_utf8(bytes).is_ok() } else { Self::is_by_bytes(bytes) }
    }

    fn is_by_bytes(bytes: &[u8]) -> bool {
        let mut utf8 = Self::new();
        bytes.iter().all(|byte| utf8.take(*byte)) && utf8.may_end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the table begins and ends, so that most bytes fit somewhere.
    const EDGES: &[u8] =
        b"\0a\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xff";

    #[test]
    fn text_is_told_from_other_bytes_as_core_does() {
        fn check(bytes: &mut std::vec::Vec<u8>) {
            assert_eq!(Utf8::is_by_bytes(bytes), core::str::from_utf8(bytes).is_ok(), "{bytes:?}");
            if bytes.len() < 4 {
                for byte in EDGES {
                    bytes.push(*byte);
                    check(bytes);
                    bytes.pop();
                }
            }
        }
        check(&mut std::vec::Vec::new());
    }
}
