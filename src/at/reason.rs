//! A vendor's codes, what they are called and what they mean: a table written
//! as the manual has it and packed at compile time.

use crate::mqtt::Cause;

/// One code.
#[derive(Clone, Copy, Debug)]
pub struct Reason {
    /// The number that the modem prints.
    pub code: i16,
    /// What the manual calls it.
    pub name: &'static str,
    /// What it means.
    pub cause: Cause,
}

/// One code, its name apart.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct Packed {
    code: i16,
    len: u8,
    cause: Cause,
}

/// A vendor's codes, packed by [`reasons!`](crate::reasons).
#[derive(Clone, Copy, Debug)]
pub struct Reasons {
    #[doc(hidden)]
    pub rows: &'static [Packed],
    /// Their names, one behind the other.
    #[doc(hidden)]
    pub names: &'static str,
}

impl Reasons {
    /// Name and meaning of a code, if it is known.
    #[must_use]
    pub fn find(&self, code: i32) -> Option<(&'static str, Cause)> {
        let mut from = 0_usize;
        for row in self.rows {
            let to = from.wrapping_add(row.len.into());
            if i32::from(row.code) == code {
                return Some((self.names.get(from..to)?, row.cause));
            }
            from = to;
        }
        None
    }
}

/// Packs a `const` array of [`Reason`]s to [`Reasons`].
#[macro_export]
macro_rules! reasons {
    ($rows:expr) => {{
        use $crate::at::reason::{Reasons, join, joined_len, pack};
        const NAMES: [u8; joined_len(&$rows)] = join(&$rows);
        Reasons {
            rows: &pack(&$rows),
            names: match core::str::from_utf8(&NAMES) {
                Ok(names) => names,
                Err(_) => "",
            },
        }
    }};
}

/// Names are the most of the table, and only with the feature `names`.
const fn name(reason: &Reason) -> &'static str {
    if cfg!(feature = "names") { reason.name } else { "" }
}

#[doc(hidden)]
#[must_use]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "compile time")]
pub const fn joined_len(rows: &[Reason]) -> usize {
    let (mut row, mut len) = (0, 0);
    while row < rows.len() {
        len += name(&rows[row]).len();
        row += 1;
    }
    len
}

#[doc(hidden)]
#[must_use]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "compile time")]
pub const fn join<const N: usize>(rows: &[Reason]) -> [u8; N] {
    let mut names = [0; N];
    let (mut row, mut to) = (0, 0);
    while row < rows.len() {
        let name = name(&rows[row]).as_bytes();
        let mut at = 0;
        while at < name.len() {
            names[to] = name[at];
            at += 1;
            to += 1;
        }
        row += 1;
    }
    names
}

#[doc(hidden)]
#[must_use]
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "compile time"
)]
pub const fn pack<const N: usize>(rows: &[Reason; N]) -> [Packed; N] {
    let mut packed = [Packed { code: 0, len: 0, cause: Cause::Unknown }; N];
    let mut row = 0;
    while row < N {
        let Reason { code, cause, .. } = rows[row];
        let len = name(&rows[row]).len();
        assert!(len < 256, "a name is too long");
        packed[row] = Packed { code, len: len as u8, cause };
        row += 1;
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_by_its_number() {
        const ROWS: [Reason; 3] = [
            Reason { code: 0, name: "", cause: Cause::Unknown },
            Reason { code: -7, name: "no network", cause: Cause::Network },
            Reason { code: 767, name: "failed", cause: Cause::Busy },
        ];
        const REASONS: Reasons = crate::reasons!(ROWS);
        assert_eq!(REASONS.find(0), Some(("", Cause::Unknown)));
        assert_eq!(REASONS.find(-7), Some(("no network", Cause::Network)));
        assert_eq!(REASONS.find(767), Some(("failed", Cause::Busy)));
        assert_eq!(REASONS.find(7), None);
    }

    /// Packed while the test runs, as `reasons!` does while it is compiled.
    #[test]
    fn what_is_packed_is_what_was_written() {
        let rows = [
            Reason { code: 1, name: "one", cause: Cause::Busy },
            Reason { code: 2, name: "", cause: Cause::Unknown },
            Reason { code: -3, name: "minus three", cause: Cause::Dns },
        ];
        assert_eq!(joined_len(&rows), 14);
        assert_eq!(&join::<14>(&rows), b"oneminus three");
        let packed = std::boxed::Box::leak(std::boxed::Box::new(pack(&rows)));
        let reasons = Reasons { rows: packed, names: "oneminus three" };
        for Reason { code, name, cause } in rows {
            assert_eq!(reasons.find(code.into()), Some((name, cause)));
        }
    }

    #[test]
    fn a_name_of_more_than_255_bytes_does_not_compile() {
        let name = std::boxed::Box::leak("x".repeat(256).into_boxed_str());
        let pack_one = |name| {
            std::panic::catch_unwind(|| pack(&[Reason { code: 0, name, cause: Cause::Unknown }]))
        };
        assert!(pack_one(&name[1..]).is_ok() && pack_one(name).is_err());
    }
}
