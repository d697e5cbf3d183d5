//! What a modem says of itself and of its bearer, kept for a [`Status`]. It is
//! the texts that make it large, so without the feature `status` nothing of it
//! is kept.

use core::net::IpAddr;

use super::line::{Line, Value, unsigned};
use crate::mqtt::Status;

/// What was said; nothing without the feature `status`.
#[derive(Clone, Debug)]
pub struct Report {
    #[cfg(feature = "status")]
    told: Status,
}

impl Report {
    /// Nothing was said yet.
    pub const NOTHING: Self = Self {
        #[cfg(feature = "status")]
        told: Status::UNKNOWN,
    };

    /// Notes something.
    #[allow(unused_variables, unused_mut, reason = "without the feature")]
    pub fn note(&mut self, mut note: impl FnMut(&mut Status)) {
        #[cfg(feature = "status")]
        note(&mut self.told);
    }

    /// `+CSQ: rssi,ber`: 0 to 31 in steps of 2 dB from -113 dBm
    /// (3GPP TS 27.007, 8.5).
    pub fn signal(&mut self, line: &Line<'_>) {
        self.note(|status| {
            let steps = line.fields().unsigned().filter(|rssi| *rssi <= 31);
            let steps = steps.and_then(|rssi| i16::try_from(rssi).ok());
            status.signal_dbm = steps.map(|rssi| rssi.saturating_mul(2).saturating_sub(113));
        });
    }

    /// `+CGPADDR: 1,100.111.74.74`, with quotes or without.
    pub fn address(&mut self, line: &Line<'_>) {
        self.note(|status| {
            if line.fields().unsigned() == Some(1) {
                let text = line.fields().nth(1).map(Value::bytes).unwrap_or_default();
                status.address = dotted(text).filter(|address| !address.is_unspecified());
            }
        });
    }

    /// All of it.
    #[must_use]
    pub fn status(&self) -> Status {
        #[cfg(feature = "status")]
        return self.told.clone();
        #[cfg(not(feature = "status"))]
        return Status::UNKNOWN;
    }
}

/// An address of version 4; those of version 6 have 16 numbers here and are
/// not shown.
fn dotted(text: &[u8]) -> Option<IpAddr> {
    let mut octets = [0_u8; 4];
    let mut parts = text.split(|b| *b == b'.');
    for octet in &mut octets {
        *octet = u8::try_from(unsigned(parts.next()?)?).ok()?;
    }
    parts.next().is_none().then_some(IpAddr::from(octets))
}
