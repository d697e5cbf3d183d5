//! How a message is cut into segments, and its CRC: the same in both directions.

use std::collections::VecDeque;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc::{CRC_16_XMODEM, Crc};

use super::config::{Order, Segments};
use crate::fault::Dice;

/// Longest payload.
pub(super) const PAYLOAD: usize = 100_000;

/// Of payload and CRC together it is zero.
pub(super) fn crc(bytes: &[u8]) -> u16 {
    Crc::<u16>::new(&CRC_16_XMODEM).checksum(bytes)
}

/// The payload with its CRC behind it.
pub(super) fn sealed(payload: &[u8]) -> Vec<u8> {
    [payload, &crc(payload).to_be_bytes()].concat()
}

pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The segments of a message of this length, in the order in which they are on the wire.
pub(super) fn cut(length: usize, how: &Segments, dice: &mut Dice) -> VecDeque<Range<usize>> {
    let size = (how.size as usize).max(1);
    let mut ranges: Vec<_> =
        (0..length).step_by(size).map(|start| start..(start + size).min(length)).collect();
    match how.order {
        Order::Ascending => {}
        Order::Descending => ranges.reverse(),
        Order::Shuffled => {
            for last in (1..ranges.len()).rev() {
                ranges.swap(last, dice.roll(last as u64 + 1) as usize);
            }
        }
    }
    let every = how.twice.map_or(usize::MAX, |every| (every as usize).max(1));
    let times = |at: usize| if (at + 1).is_multiple_of(every) { 2 } else { 1 };
    ranges
        .into_iter()
        .enumerate()
        .flat_map(|(at, range)| std::iter::repeat_n(range, times(at)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_ten(order: Order, twice: Option<u32>) -> Vec<Range<usize>> {
        cut(10, &Segments { size: 4, order, twice }, &mut Dice::new(1)).into()
    }

    #[test]
    fn cuts() {
        assert_eq!(cut_ten(Order::Ascending, None), [0..4, 4..8, 8..10]);
        assert_eq!(cut_ten(Order::Descending, None), [8..10, 4..8, 0..4]);
        assert_eq!(cut_ten(Order::Ascending, Some(2)), [0..4, 4..8, 4..8, 8..10]);
        let mut shuffled = cut_ten(Order::Shuffled, None);
        shuffled.sort_by_key(|range| range.start);
        assert_eq!(shuffled, [0..4, 4..8, 8..10]);
    }

    /// Check value of the CRC, and the constant of Iridium's own sketch.
    #[test]
    fn checksums() {
        assert_eq!(crc(b"123456789"), 0x31c3);
        assert_eq!(
            sealed(br#"{"cmd":"GET","data":"free_messages_remaining"}"#)[46..],
            [0x2f, 0xa6]
        );
        assert_eq!(crc(&sealed(b"hello")), 0);
    }
}
