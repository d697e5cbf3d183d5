//! Searching bytes, eight at once where that pays.

use crate::WIDE;

const WORD: usize = size_of::<usize>();
/// A one, and the highest bit, in each byte of a word.
const ONES: usize = usize::MAX / 255;
const HIGHS: usize = ONES << 7;

/// Where the first of the `wanted` stands, of which there are at most three.
#[inline]
pub(super) fn find<const W: usize>(bytes: &[u8], wanted: [u8; W]) -> Option<usize> {
    if WIDE { find_by_words(bytes, wanted) } else { find_by_bytes(bytes, wanted) }
}

fn find_by_bytes<const W: usize>(bytes: &[u8], wanted: [u8; W]) -> Option<usize> {
    // One by one: where code is made small a loop would stay one.
    let (a, b, c) = match *wanted.as_slice() {
        [a] => (a, a, a),
        [a, b] => (a, b, b),
        [a, b, c] => (a, b, c),
        _ => return None,
    };
    bytes.iter().position(|byte| *byte == a || *byte == b || *byte == c)
}

#[inline]
fn find_by_words<const W: usize>(bytes: &[u8], wanted: [u8; W]) -> Option<usize> {
    let wanted_words = wanted.map(|byte| ONES.wrapping_mul(usize::from(byte)));
    // Where in a word the first of them stands: the lowest bit set is that of
    // the first byte which is zero.
    let zero = |word: usize| word.wrapping_sub(ONES) & !word & HIGHS;
    let place = |word: &[u8; WORD]| {
        let word = usize::from_le_bytes(*word);
        let hits = wanted_words.iter().fold(0, |hits, wanted| hits | zero(word ^ wanted));
        (hits != 0).then(|| usize::try_from(hits.trailing_zeros() / 8).unwrap_or(0))
    };
    let Some(last) = bytes.last_chunk() else { return find_by_bytes(bytes, wanted) };
    let mut from = 0_usize;
    for word in bytes.chunks_exact(WORD) {
        if let Some(at) = word.first_chunk().and_then(place) {
            return Some(from.wrapping_add(at));
        }
        from = from.wrapping_add(WORD);
    }
    // The last word begins in the one before it.
    Some(bytes.len().wrapping_sub(WORD).wrapping_add(place(last)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_and_bytes_find_the_same_end(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b','), any::<u8>()], 0..40),
        ) {
            for from in 0..bytes.len() {
                let rest = &bytes[from..];
                let wanted = [b'\r', b'\n', b','];
                prop_assert_eq!(find_by_words(rest, wanted), find_by_bytes(rest, wanted));
            }
        }
    }
}
