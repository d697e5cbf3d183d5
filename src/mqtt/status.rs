//! What a modem can do, how much of it, and how it is doing.

use core::{fmt, net::IpAddr};

use bitflags::bitflags;

use super::{Error, Feature, Loss, QoS, Text};

bitflags! {
    /// What a backend can do. Asked for beforehand it saves an
    /// [`Error::Unsupported`] later.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Capabilities: u16 {
        /// QoS 2 in both directions.
        const EXACTLY_ONCE = 1;
        /// Retained publications.
        const RETAIN = 1 << 1;
        /// A last will.
        const WILL = 1 << 2;
        /// A retained last will.
        const WILL_RETAIN = 1 << 3;
        /// TLS.
        const TLS = 1 << 4;
        /// User name and password.
        const CREDENTIALS = 1 << 5;
        /// Sessions that outlive their connection.
        const KEPT_SESSION = 1 << 6;
        /// Two sessions at the same time.
        const SECOND_SESSION = 1 << 7;
        /// Messages without payload.
        const EMPTY_PAYLOAD = 1 << 8;
        /// Payloads of any bytes.
        const BINARY_PAYLOAD = 1 << 9;
        /// Files (certificates) on the modem.
        const FILES = 1 << 10;
    }
}

impl Capabilities {
    /// Asks for one of them.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with `feature` if it is missing.
    pub const fn require(self, one: Self, feature: Feature) -> Result<(), Error> {
        if self.contains(one) { Ok(()) } else { Err(Error::Unsupported(feature)) }
    }
}

/// The greatest sizes that a modem takes, in bytes; the keep-alive in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Client identifier.
    pub client_id: u16,
    /// Host name or address.
    pub host: u16,
    /// User name.
    pub user: u16,
    /// Password.
    pub password: u16,
    /// Shortest keep-alive, in seconds.
    pub keep_alive_min: u16,
    /// Longest keep-alive, in seconds.
    pub keep_alive_max: u16,
    /// Topic of a publication.
    pub topic: u16,
    /// Topic filter.
    pub filter: u16,
    /// Payload of a publication.
    pub payload: u32,
    /// Topic of a will.
    pub will_topic: u16,
    /// Payload of a will.
    pub will_payload: u16,
    /// A file.
    pub file: u32,
    /// One command line, with its terminator; what a machine formats counts.
    pub line: u16,
}

impl Limits {
    /// The limits of MQTT itself, to be narrowed.
    pub const MQTT: Self = Self {
        client_id: u16::MAX,
        host: u16::MAX,
        user: u16::MAX,
        password: u16::MAX,
        keep_alive_min: 0,
        keep_alive_max: u16::MAX,
        topic: u16::MAX,
        filter: u16::MAX,
        payload: 268_435_455,
        will_topic: u16::MAX,
        will_payload: u16::MAX,
        file: u32::MAX,
        line: u16::MAX,
    };
}

/// Whether the broker kept a session from an earlier connection (MQTT 3.1.1,
/// 3.2.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Session {
    /// The modem does not pass it on.
    #[default]
    Unknown,
    /// It begins now: there are no subscriptions.
    New,
    /// It goes on: subscriptions stand, and what was under way is finished.
    Resumed,
}

/// What the broker granted for each filter of a subscription, in their order.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Granted {
    /// Two bits for each: 0 not told, else QoS + 1.
    qos: u32,
    refused: u16,
}

impl Granted {
    /// For so many filters the answer is kept.
    pub const FILTERS: usize = 16;

    /// Nothing is known.
    pub const UNKNOWN: Self = Self { qos: 0, refused: 0 };

    /// Notes the answer for one filter; none is a refusal.
    pub fn set(&mut self, index: usize, qos: Option<QoS>) {
        let Some(at) = u32::try_from(index).ok().filter(|_| index < Self::FILTERS) else { return };
        let (qos, refused) =
            qos.map_or((0, 1), |qos| (u32::from(qos.level()).saturating_add(1), 0));
        self.qos |= qos.wrapping_shl(at.saturating_mul(2));
        self.refused |= u16::wrapping_shl(refused, at);
    }

    /// The quality of service granted for the filter with that index; `None`
    /// if it was refused, or the modem does not tell.
    #[must_use]
    pub fn qos(self, index: usize) -> Option<QoS> {
        let at = u32::try_from(index).ok().filter(|_| index < Self::FILTERS)?;
        let bits = self.qos.wrapping_shr(at.saturating_mul(2)) & 3;
        QoS::from_level(u8::try_from(bits.checked_sub(1)?).ok()?)
    }

    /// Whether the filter with that index was refused.
    #[must_use]
    pub fn is_refused(self, index: usize) -> bool {
        let at = u32::try_from(index).ok().filter(|_| index < Self::FILTERS);
        at.is_some_and(|at| self.refused.wrapping_shr(at) & 1 == 1)
    }
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |index: &usize| self.is_refused(*index) || self.qos(*index).is_some();
        let told = (0..Self::FILTERS).take_while(known).map(|index| self.qos(index));
        f.debug_list().entries(told).finish()
    }
}

/// The state of the connection to the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LinkState {
    /// Nobody has connected yet, or it was disconnected on purpose.
    #[default]
    Idle,
    /// A connect is under way.
    Connecting,
    /// Connected.
    Connected,
    /// Was connected; lost since.
    Lost(Loss),
}

/// Registration in a network (3GPP TS 27.007, `+CREG` and its sisters).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Registration {
    /// Not asked yet, or not known to the modem (4).
    #[default]
    Unknown,
    /// Not registered and not searching (0).
    Idle,
    /// Registered at home (1).
    Home,
    /// Searching (2).
    Searching,
    /// Denied (3).
    Denied,
    /// Registered, roaming (5).
    Roaming,
}

impl Registration {
    /// Reads the `stat` of `+CREG`, `+CGREG` and `+CEREG`. 6, 7, 9 and 10 are
    /// registrations for less than full service; 8, for emergencies only, is
    /// none.
    #[must_use]
    pub const fn from_stat(stat: i32) -> Self {
        match stat {
            0 => Self::Idle,
            1 | 6 | 9 => Self::Home,
            2 => Self::Searching,
            3 => Self::Denied,
            5 | 7 | 10 => Self::Roaming,
            _ => Self::Unknown,
        }
    }

    /// Whether there is service.
    #[must_use]
    pub const fn is_registered(self) -> bool {
        matches!(self, Self::Home | Self::Roaming)
    }
}

impl fmt::Display for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Idle => "not searching",
            Self::Home => "home",
            Self::Searching => "searching",
            Self::Denied => "denied",
            Self::Roaming => "roaming",
        })
    }
}

/// The SIM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SimState {
    /// Not asked yet.
    #[default]
    Unknown,
    /// Ready.
    Ready,
    /// Waits for a PIN.
    Pin,
    /// Waits for a PUK or another code.
    Locked,
    /// Missing or not working.
    Absent,
}

/// How the modem is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Model, as the modem names it.
    pub model: Text<24>,
    /// Firmware, as the modem names it.
    pub firmware: Text<32>,
    /// The SIM.
    pub sim: SimState,
    /// The registration.
    pub registration: Registration,
    /// Received signal strength in dBm, where known.
    pub signal_dbm: Option<i16>,
    /// The address of the bearer, where there is one.
    pub address: Option<IpAddr>,
    /// The modem's clock as it prints it, year first; empty where it was not
    /// asked.
    pub clock: Text<24>,
    /// The connection to the broker, as this driver made it.
    pub link: LinkState,
    /// Whether the modem itself says that the session is connected; a session
    /// may outlive the host that made it. `None` where it does not say.
    pub connected: Option<bool>,
}

impl Status {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        model: Text::EMPTY,
        firmware: Text::EMPTY,
        sim: SimState::Unknown,
        registration: Registration::Unknown,
        signal_dbm: None,
        address: None,
        clock: Text::EMPTY,
        link: LinkState::Idle,
        connected: None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_told_for_each_filter() {
        let mut granted = Granted::UNKNOWN;
        granted.set(0, Some(QoS::AtMostOnce));
        granted.set(1, None);
        granted.set(15, Some(QoS::ExactlyOnce));
        granted.set(16, Some(QoS::ExactlyOnce));
        let all: std::vec::Vec<_> = [0, 1, 2, 15, 16].map(|at| granted.qos(at)).into();
        let (qos0, qos2) = (Some(QoS::AtMostOnce), Some(QoS::ExactlyOnce));
        assert_eq!(all, [qos0, None, None, qos2, None]);
        assert_eq!([0, 1, 2].map(|at| granted.is_refused(at)), [false, true, false]);
        assert_eq!(std::format!("{granted:?}"), "[Some(AtMostOnce), None]");
        let mut first_refused = Granted::UNKNOWN;
        first_refused.set(0, None);
        assert!(first_refused.is_refused(0) && !first_refused.is_refused(16));
    }

    /// 3GPP TS 27.007, 7.2 and 10.1.20 to 10.1.22: 6 and 7 are for SMS only, 9
    /// and 10 without fallback for calls, 8 for emergencies only.
    #[test]
    fn a_registration_is_what_its_number_says() {
        use Registration::{Denied, Home, Idle, Roaming, Searching, Unknown};
        for (stat, expected, shown) in [
            (0, Idle, "not searching"),
            (1, Home, "home"),
            (2, Searching, "searching"),
            (3, Denied, "denied"),
            (4, Unknown, "unknown"),
            (5, Roaming, "roaming"),
            (6, Home, "home"),
            (7, Roaming, "roaming"),
            (8, Unknown, "unknown"),
            (9, Home, "home"),
            (10, Roaming, "roaming"),
            (-1, Unknown, "unknown"),
        ] {
            let registration = Registration::from_stat(stat);
            assert_eq!(
                (registration, registration.is_registered()),
                (expected, matches!(expected, Home | Roaming))
            );
            assert_eq!(std::format!("{registration}"), shown);
        }
    }
}
