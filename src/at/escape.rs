//! Payloads inside a quoted field: a byte that could end the field or the line
//! is written as a backslash and its two hexadecimal digits in upper case:
//! `"` is `\22`, CR `\0D`, LF `\0A`, and the backslash itself `\5C`.
//!
//! It looks at each byte once, in either direction, and holds none of them.

/// The bytes that are escaped.
const ESCAPED: [u8; 4] = [b'"', b'\r', b'\n', b'\\'];

/// The next piece of `payload` on the wire: as many bytes as need no escape,
/// straight from the payload, or one that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// As it is.
    Plain(&'a [u8]),
    /// These three bytes stand for one.
    Escape([u8; 3]),
}

impl Piece<'_> {
    /// How many bytes of the payload it stands for.
    #[must_use]
    pub const fn stands_for(&self) -> usize {
        match self {
            Self::Plain(bytes) => bytes.len(),
            Self::Escape(_) => 1,
        }
    }
}

/// The first piece of `payload`, if there is any of it.
#[must_use]
pub fn next(payload: &[u8]) -> Option<Piece<'_>> {
    let plain = payload.iter().position(|b| ESCAPED.contains(b)).unwrap_or(payload.len());
    if plain > 0 {
        return payload.get(..plain).map(Piece::Plain);
    }
    let byte = *payload.first()?;
    Some(Piece::Escape([b'\\', digit(byte >> 4), digit(byte & 0xf)]))
}

/// How long `payload` is on the wire.
#[must_use]
pub fn escaped_len(payload: &[u8]) -> usize {
    let escapes = payload.iter().filter(|b| ESCAPED.contains(b)).count();
    payload.len().saturating_add(escapes.saturating_mul(2))
}

/// Undoes the escapes of `text`, byte by byte. A backslash that is not followed
/// by two hexadecimal digits stands for itself.
pub fn unescape(text: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut rest = text;
    core::iter::from_fn(move || {
        let (byte, tail) = rest.split_first()?;
        if let (b'\\', [high, low, after @ ..]) = (*byte, tail) {
            if let (Some(high), Some(low)) = (value(*high), value(*low)) {
                rest = after;
                return Some(high << 4 | low);
            }
        }
        rest = tail;
        Some(*byte)
    })
}

const fn digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => nibble.wrapping_add(b'0'),
        _ => nibble.wrapping_sub(10).wrapping_add(b'A'),
    }
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'A'..=b'F' => Some(digit.wrapping_sub(b'A').wrapping_add(10)),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn escape(payload: &[u8]) -> Vec<u8> {
        let mut rest = payload;
        let mut wire = Vec::new();
        while let Some(piece) = next(rest) {
            rest = &rest[piece.stands_for()..];
            match piece {
                Piece::Plain(bytes) => wire.extend_from_slice(bytes),
                Piece::Escape(bytes) => wire.extend_from_slice(&bytes),
            }
        }
        wire
    }

    #[test]
    fn the_four_bytes_are_written_with_one_backslash_and_two_digits() {
        assert_eq!(escape(b"{\"a\":\r\n\\}"), b"{\\22a\\22:\\0D\\0A\\5C}");
        assert_eq!(escape(b""), b"");
    }

    #[test]
    fn a_lone_backslash_stands_for_itself() {
        let back: Vec<u8> = unescape(b"\\zz\\2\\").collect();
        assert_eq!(back, b"\\zz\\2\\");
    }

    #[test]
    fn the_digits_of_an_escape_are_read_in_either_case() {
        let back: Vec<u8> = unescape(b"\\0d\\0D\\5c\\Ff").collect();
        assert_eq!(back, b"\r\r\\\xff");
    }

    proptest! {
        #[test]
        fn what_is_escaped_comes_back_and_cannot_leave_its_field(
            payload in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let wire = escape(&payload);
            prop_assert_eq!(wire.len(), escaped_len(&payload));
            prop_assert!(!wire.iter().any(|b| b"\"\r\n".contains(b)));
            prop_assert_eq!(unescape(&wire).collect::<Vec<_>>(), payload);
        }
    }
}
