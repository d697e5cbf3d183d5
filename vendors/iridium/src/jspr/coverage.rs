//! Which bytes of a message were dealt with, in whatever order its parts came.

use heapless::Vec;

use super::request::Range;

/// So many gaps are told apart; parts come in order but for a few.
const RANGES: usize = 8;

/// Ranges that do not touch.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage(Vec<Range, RANGES>);

impl Coverage {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a range. With too many gaps it is forgotten, and the whole is
    /// never covered.
    pub fn add(&mut self, range: Range) {
        let mut joined = range;
        self.0.retain(|other| {
            let apart = other.end < joined.start || joined.end < other.start;
            if !apart {
                joined.start = joined.start.min(other.start);
                joined.end = joined.end.max(other.end);
            }
            apart
        });
        let _forgotten = self.0.push(joined);
    }

    /// Whether everything from the first byte to `end` is in it.
    pub fn is_whole(&self, end: u32) -> bool {
        self.0.iter().any(|range| range.start == 0 && range.end >= end)
    }

    /// The end of what is in it.
    pub fn end(&self) -> u32 {
        self.0.iter().map(|range| range.end).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_any_order_and_twice_make_a_whole() {
        let mut covered = Coverage::new();
        for (start, end) in [(40, 80), (80, 102), (40, 80), (10, 20), (0, 5)] {
            covered.add(Range { start, end });
            assert!(!covered.is_whole(102));
        }
        assert_eq!(covered.end(), 102);
        covered.add(Range { start: 5, end: 12 });
        assert!(covered.is_whole(20) && !covered.is_whole(21));
        covered.add(Range { start: 19, end: 41 });
        assert!(covered.is_whole(102) && !covered.is_whole(103));
    }

    #[test]
    fn more_gaps_than_can_be_told_apart_never_make_a_whole() {
        let mut covered = Coverage::new();
        for at in (0..40).step_by(2) {
            covered.add(Range { start: at, end: at + 1 });
        }
        for at in (1..40).step_by(2) {
            covered.add(Range { start: at, end: at + 1 });
        }
        assert!(!covered.is_whole(40));
    }
}
