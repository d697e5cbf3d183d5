//! A short text with its storage inside, for what a modem says of itself.

use core::fmt;

/// Up to `N` bytes of text, owned. What does not fit was cut at `N`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Text<N> {
    /// No text.
    pub const EMPTY: Self = Self { bytes: [0; N], len: 0 };

    /// The printable ASCII of `bytes`, cut at `N`.
    #[must_use]
    pub fn from_ascii(bytes: &[u8]) -> Self {
        let mut text = Self::EMPTY;
        let printable = bytes.iter().filter(|b| (0x20..0x7f).contains(*b));
        for (slot, byte) in text.bytes.iter_mut().zip(printable) {
            *slot = *byte;
            text.len = text.len.saturating_add(1);
        }
        text
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
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
