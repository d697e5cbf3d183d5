//! A set of packet identifiers that lie close together, as those of messages
//! under way do: a bit each. Knows nothing of what they are for.

/// How far apart the first and the last may be, at most.
const SPAN: u16 = 1_024;
const WORDS: usize = SPAN as usize / 32;

/// Identifiers of less than 1,024 numbers in a row, 0 behind 65,535.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    /// None is before this one.
    first: u16,
    /// The bit of an identifier is that of its remainder.
    bits: [u32; WORDS],
}

impl Ids {
    pub const NONE: Self = Self { first: 0, bits: [0; WORDS] };

    pub fn contains(&self, id: u16) -> bool {
        self.is_within(id) && self.word(id) & bit(id) != 0
    }

    /// `false` if it lies too far from the others.
    #[must_use]
    pub fn insert(&mut self, id: u16) -> bool {
        if !self.is_within(id) {
            let mut all = (0..SPAN).map(|at| self.first.wrapping_add(at));
            let first = all.find(|one| self.contains(*one));
            let last = all.rfind(|one| self.contains(*one)).or(first);
            self.first = match first.zip(last) {
                None => id,
                Some((first, _)) if id.wrapping_sub(first) < SPAN => first,
                Some((_, last)) if last.wrapping_sub(id) < SPAN => id,
                Some(_) => return false,
            };
        }
        if let Some(word) = self.bits.get_mut(place(id)) {
            *word |= bit(id);
        }
        true
    }

    pub fn remove(&mut self, id: u16) {
        if self.is_within(id) {
            if let Some(word) = self.bits.get_mut(place(id)) {
                *word &= !bit(id);
            }
        }
    }

    const fn is_within(&self, id: u16) -> bool {
        id.wrapping_sub(self.first) < SPAN
    }

    fn word(&self, id: u16) -> u32 {
        self.bits.get(place(id)).copied().unwrap_or_default()
    }
}

const fn place(id: u16) -> usize {
    (id % SPAN / 32) as usize
}

/// The shift wraps at the bits of a word.
const fn bit(id: u16) -> u32 {
    1_u32.wrapping_shl(id as u32)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_is_a_set_wherever_its_identifiers_lie() {
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below) as u16
        };
        for start in [0_u16, 1, 30, 64_000, 65_535] {
            let (mut ids, mut model) = (Ids::NONE, BTreeSet::new());
            for round in 0..20_000_u16 {
                // They move on, and stay within the span.
                let id = start.wrapping_add(round / 8).wrapping_add(random(900));
                if random(2) == 0 {
                    assert!(ids.insert(id), "{id}");
                    model.insert(id);
                }
                let other = start.wrapping_add(round / 8).wrapping_add(random(900));
                ids.remove(other);
                model.remove(&other);
                let old = start.wrapping_add(round / 8).wrapping_sub(1);
                ids.remove(old);
                model.remove(&old);
                let asked = random(65_536);
                assert_eq!(ids.contains(asked), model.contains(&asked), "{asked}");
                assert_eq!(ids.contains(id), model.contains(&id), "{id}");
            }
        }
    }

    #[test]
    fn each_identifier_costs_a_bit() {
        assert_eq!(size_of::<Ids>(), SPAN as usize / 8 + 4);
    }

    #[test]
    fn one_that_lies_too_far_away_is_not_taken() {
        for start in [1, 1_000, 65_000] {
            let mut ids = Ids::NONE;
            for at in 0..SPAN {
                assert!(ids.insert(start + (at ^ 511) % 536), "{at}");
            }
            assert!(ids.insert(start.wrapping_add(1_023)));
            assert!(!ids.insert(start.wrapping_add(1_024)));
            assert!(!ids.insert(start.wrapping_sub(1)));
            ids.remove(start);
            assert!(ids.insert(start.wrapping_add(1_024)));
            assert!(!ids.contains(start));
        }
    }
}
