//! A short text with its storage inside, for what a modem says of itself.

use core::fmt;

use heapless::String;

/// Up to `N` bytes of ASCII text, owned.
#[derive(Clone, PartialEq, Eq)]
pub struct Text<const N: usize>(String<N, u8>);

impl<const N: usize> Text<N> {
    /// No text.
    pub const EMPTY: Self = Self(String::new());

    /// The printable ASCII of `bytes`, cut at `N`.
    #[must_use]
    pub fn from_ascii(bytes: &[u8]) -> Self {
        let mut text = String::new();
        for byte in bytes.iter().filter(|b| (0x20..0x7f).contains(*b)) {
            if text.push(char::from(*byte)).is_err() {
                break;
            }
        }
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_modem_says_of_itself_is_kept_as_far_as_it_can_be_shown() {
        for (said, kept) in [
            (b"SIM7600E".as_slice(), "SIM7600E"),
            (b" A 7670~", " A 7670~"),
            (b"A\r7\x006\x7f7\xff0", "A7670"),
            (b"longer than ten", "longer tha"),
            (b"\r\n", ""),
        ] {
            let text = Text::<10>::from_ascii(said);
            assert_eq!((text.as_str(), text.is_empty()), (kept, kept.is_empty()));
            assert_eq!(std::format!("{text} {text:?}"), std::format!("{kept} {kept:?}"));
        }
    }
}
