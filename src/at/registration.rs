//! Where a modem is registered, by each of the services that it asks.

use super::line::{Line, Value};
use crate::mqtt::Registration;

/// What was said for circuit switched, packet switched and evolved packet
/// service (3GPP TS 27.007, 7.2, 10.1.20 and 10.1.22).
#[derive(Clone, Copy, Debug)]
pub struct Registrations([Registration; 3]);

impl Registrations {
    /// Nothing was said yet.
    pub const UNKNOWN: Self = Self([Registration::Unknown; 3]);

    /// Notes `+CREG: n,stat[,…]` or its like for `service`, below 3.
    pub fn note(&mut self, service: usize, line: &Line<'_>) {
        let stat = line.fields().nth(1).and_then(Value::signed);
        if let (Some(slot), Some(stat)) = (self.0.get_mut(service), stat) {
            *slot = Registration::from_stat(stat);
        }
    }

    /// Whether any service is registered.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.0.iter().any(|one| one.is_registered())
    }

    /// The best of them.
    #[must_use]
    pub fn best(&self) -> Registration {
        let all = self.0.iter().copied();
        let known = all.clone().find(|one| *one != Registration::Unknown);
        all.clone().find(|one| one.is_registered()).or(known).unwrap_or_default()
    }
}
