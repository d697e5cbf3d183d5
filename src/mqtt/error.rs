//! What can go wrong, by cause. Raw codes are kept: what a vendor did not
//! document is still shown as it came.

use core::fmt;

use thiserror::Error;

/// A number that the modem printed as the reason of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Code {
    /// A plain `ERROR`, or an error in words: no number was printed.
    None,
    /// The vendor's own MQTT or service code, as in `+CMQTTCONNECT: 0,32`.
    Vendor(i32),
    /// `+CME ERROR: n` (3GPP TS 27.007, section 9.2).
    Cme(i32),
    /// `+CMS ERROR: n` (3GPP TS 27.005, section 3.2.5).
    Cms(i32),
}

impl Code {
    /// The number alone, if one was printed.
    #[must_use]
    pub const fn number(self) -> Option<i32> {
        match self {
            Self::None => None,
            Self::Vendor(n) | Self::Cme(n) | Self::Cms(n) => Some(n),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no code"),
            Self::Vendor(n) => write!(f, "code {n}"),
            Self::Cme(n) => write!(f, "CME {n}"),
            Self::Cms(n) => write!(f, "CMS {n}"),
        }
    }
}

/// Why something was refused, in terms that no vendor owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Cause {
    /// The modem gave no reason, or one that nobody documented.
    Unknown,
    /// The name of the broker could not be resolved.
    Dns,
    /// The broker's host or port could not be reached.
    Unreachable,
    /// The peer closed the connection, often because of its policy.
    ClosedByPeer,
    /// There is no connection to the broker.
    NotConnected,
    /// The modem's MQTT service or its network is not up.
    ServiceDown,
    /// The TLS handshake or the certificates failed.
    Tls,
    /// The broker does not speak the protocol version (CONNACK 1).
    ProtocolVersion,
    /// The broker refused the client identifier (CONNACK 2).
    Identifier,
    /// The broker is not available (CONNACK 3).
    ServerUnavailable,
    /// Bad user name or password (CONNACK 4).
    Credentials,
    /// Not authorised (CONNACK 5).
    NotAuthorized,
    /// The modem is busy with an earlier operation.
    Busy,
    /// The modem refused an argument.
    InvalidArgument,
    /// The peer did not answer the modem in time.
    Timeout,
    /// The SIM is missing, locked or broken.
    Sim,
    /// The network refuses or does not offer the service.
    Network,
    /// The modem's firmware does not have the command or the setting.
    NotInFirmware,
}

/// A command that the modem or the broker refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{command} refused: {code} ({name})")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Refusal {
    /// The command, as the manual names it: `+CMQTTCONNECT`.
    pub command: &'static str,
    /// The code as the modem printed it.
    pub code: Code,
    /// The vendor's name for the code.
    pub name: &'static str,
    /// What it means.
    pub cause: Cause,
}

/// The field of a request that cannot be sent as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Field {
    /// Topic of a publication.
    Topic,
    /// Topic filter of a subscription.
    TopicFilter,
    /// Payload of a publication.
    Payload,
    /// Client identifier.
    ClientId,
    /// Host name or address of the broker.
    Host,
    /// User name for the broker.
    User,
    /// Password for the broker.
    Password,
    /// Port of the broker.
    Port,
    /// Keep-alive interval, in seconds.
    KeepAlive,
    /// Topic of the last will.
    WillTopic,
    /// Payload of the last will.
    WillPayload,
    /// Name of a file on the modem.
    FileName,
    /// Content of a file for the modem.
    FileContent,
    /// Access point name.
    Apn,
    /// User name for the access point.
    ApnUser,
    /// Password for the access point.
    ApnPassword,
    /// PIN of the SIM.
    Pin,
    /// Number of filters in one subscription.
    Filters,
    /// A whole command line.
    CommandLine,
}

impl Field {
    const fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::TopicFilter => "topic filter",
            Self::Payload => "payload",
            Self::ClientId => "client id",
            Self::Host => "host",
            Self::User => "user",
            Self::Password => "password",
            Self::Port => "port",
            Self::KeepAlive => "keep-alive",
            Self::WillTopic => "will topic",
            Self::WillPayload => "will payload",
            Self::FileName => "file name",
            Self::FileContent => "file content",
            Self::Apn => "access point name",
            Self::ApnUser => "access point user",
            Self::ApnPassword => "access point password",
            Self::Pin => "pin",
            Self::Filters => "number of filters",
            Self::CommandLine => "command line",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Problem {
    /// Must not be empty.
    #[error("is empty")]
    Empty,
    /// Longer or larger than the limit, in bytes (seconds for a keep-alive).
    #[error("is {actual}, above the limit of {max}")]
    TooLong {
        /// The limit.
        max: u32,
        /// What was asked for.
        actual: u32,
    },
    /// Below the least value.
    #[error("is {actual}, below the least of {min}")]
    TooSmall {
        /// The least value.
        min: u32,
        /// What was asked for.
        actual: u32,
    },
    /// Holds a byte that could leave its field on the wire.
    #[error("contains the byte {0:#04x}, which could leave its field on the wire")]
    Forbidden(u8),
    /// A publish topic with `+` or `#`.
    #[error("contains a wildcard, which only a filter may")]
    Wildcard,
    /// A filter whose `+` or `#` does not fill its level, or `#` not the last.
    #[error("has a wildcard that does not fill its level, or levels after `#`")]
    BadWildcard,
    /// Only one value is possible.
    #[error("is {actual}, but can only be {only}")]
    MustBe {
        /// The one value.
        only: u32,
        /// What was asked for.
        actual: u32,
    },
    /// A topic that is not among those provisioned for this modem.
    #[error("is not provisioned for this modem")]
    NotProvisioned,
    /// A name that several provisioned topics have.
    #[error("names several provisioned topics")]
    Ambiguous,
    /// Not of the form that the field asks for.
    #[error("is malformed")]
    Malformed,
}

/// A value that cannot be sent, found before any byte was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error("{field} {problem}{}", unit(*field, *problem))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FieldError {
    /// Which field.
    pub field: Field,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Of the numbers in `problem`.
const fn unit(field: Field, problem: Problem) -> &'static str {
    match (field, problem) {
        (Field::Port | Field::Filters, _) => "",
        (Field::KeepAlive, Problem::TooLong { .. } | Problem::TooSmall { .. }) => " seconds",
        (_, Problem::TooLong { .. } | Problem::TooSmall { .. }) => " bytes",
        _ => "",
    }
}

impl FieldError {
    /// `field` has `actual` bytes where `max` are the limit.
    #[must_use]
    pub const fn too_long(field: Field, max: usize, actual: usize) -> Self {
        Self { field, problem: Problem::TooLong { max: clamp(max), actual: clamp(actual) } }
    }

    /// Refuses `actual` above `max`.
    ///
    /// # Errors
    /// [`Problem::TooLong`].
    pub const fn at_most(field: Field, max: u32, actual: usize) -> Result<(), Self> {
        if clamp(actual) > max {
            return Err(Self::too_long(field, max as usize, actual));
        }
        Ok(())
    }

    /// `field` holds `byte`, which no field may.
    #[must_use]
    pub const fn forbidden(field: Field, byte: u8) -> Self {
        Self { field, problem: Problem::Forbidden(byte) }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "clamped just before")]
const fn clamp(n: usize) -> u32 {
    if n > u32::MAX as usize { u32::MAX } else { n as u32 }
}

/// Something that a backend, or the firmware behind it, cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Feature {
    /// QoS 2.
    #[error("QoS 2")]
    ExactlyOnce,
    /// The retain flag of a publication.
    #[error("retained messages")]
    Retain,
    /// A last will.
    #[error("a last will")]
    Will,
    /// The retain flag of a last will.
    #[error("a retained last will")]
    WillRetain,
    /// TLS.
    #[error("TLS")]
    Tls,
    /// Server name indication.
    #[error("server name indication")]
    ServerName,
    /// A user name or password.
    #[error("user name and password")]
    Credentials,
    /// A session that outlives its connection.
    #[error("a kept session")]
    KeptSession,
    /// A second session at the same time.
    #[error("a second session")]
    SecondSession,
    /// A message without payload.
    #[error("an empty payload")]
    EmptyPayload,
    /// A payload that is not text.
    #[error("a binary payload")]
    BinaryPayload,
    /// Files on the modem.
    #[error("files on the modem")]
    Files,
    /// The operation as such.
    #[error("this operation")]
    Operation,
    /// A setting that this firmware refused.
    #[error("the setting {0} in this firmware")]
    Setting(&'static str),
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error {
    /// A field cannot be sent. No byte was.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The backend cannot do it. No byte was sent.
    #[error("not supported by this modem: {0}")]
    Unsupported(Feature),
    /// The transport carried a connection before, and MQTT wants a new one for
    /// each. No byte was sent.
    #[error("this transport was used for a connection already; open a new one")]
    TransportUsed,
    /// No topics are provisioned for this modem, or not yet.
    #[error("no topics are provisioned for this modem yet; leave it on with a view of the sky")]
    NotProvisioned,
    /// The modem or the broker broke the protocol.
    #[error("broken protocol: {0}")]
    Protocol(&'static str),
    /// There was no connection to the broker yet; connect first.
    #[error("not connected to a broker; connect first")]
    NotConnected,
    /// The modem or the broker refused.
    #[error(transparent)]
    Refused(Refusal),
    /// The modem took the command and never gave its result. Whether the
    /// operation took place is not known.
    #[error("no result of {0} within its time; whether it took place is not known")]
    NoResult(&'static str),
    /// The modem did not answer at all. Check power, wiring and baud rate; if
    /// they are right it needs its reset line.
    #[error("the modem does not answer; check power, wiring and baud rate, or reset it")]
    Unresponsive,
    /// The modem restarted while the operation ran.
    #[error("the modem restarted")]
    Restarted,
    /// The connection went away, before the operation or while it ran.
    #[error("the connection was lost: {0}")]
    Lost(super::Loss),
    /// The SIM asks for a PIN, and none or a wrong one was given.
    #[error("the SIM asks for {0}")]
    Pin(&'static str),
    /// Not registered in a network within the time given.
    #[error("not registered in a network: {0}")]
    NotRegistered(super::Registration),
    /// The modem speaks, but is not one that this driver knows how to drive.
    #[error("not a modem for this driver: {0}")]
    WrongModem(&'static str),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn a_refusal_names_the_command_and_the_code_as_it_came() {
        for (code, shown) in [
            (Code::None, "+CMD refused: no code (why)"),
            (Code::Vendor(32), "+CMD refused: code 32 (why)"),
            (Code::Cme(767), "+CMD refused: CME 767 (why)"),
            (Code::Cms(-1), "+CMD refused: CMS -1 (why)"),
        ] {
            let refusal = Refusal { command: "+CMD", code, name: "why", cause: Cause::Unknown };
            assert_eq!(Error::from(refusal).to_string(), shown);
        }
    }

    #[test]
    fn a_number_that_is_refused_has_its_unit() {
        let long = Problem::TooLong { max: 8, actual: 9 };
        let small = Problem::TooSmall { min: 60, actual: 5 };
        let only = Problem::MustBe { only: 1883, actual: 1 };
        for (field, problem, shown) in [
            (Field::Topic, long, "topic is 9, above the limit of 8 bytes"),
            (Field::KeepAlive, long, "keep-alive is 9, above the limit of 8 seconds"),
            (Field::KeepAlive, small, "keep-alive is 5, below the least of 60 seconds"),
            (Field::Filters, long, "number of filters is 9, above the limit of 8"),
            (Field::Port, only, "port is 1, but can only be 1883"),
            (Field::Host, Problem::Empty, "host is empty"),
        ] {
            assert_eq!(FieldError { field, problem }.to_string(), shown);
        }
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_length_beyond_four_gigabytes_is_not_taken_for_a_short_one() {
        let refused = FieldError::at_most(Field::Payload, 10, (1 << 32) + 1).unwrap_err();
        assert_eq!(refused.problem, Problem::TooLong { max: 10, actual: u32::MAX });
    }
}
