//! What the modem's numbers and words for an outcome mean.

use hayes::mqtt::{Cause, Code, Error, Refusal};

/// Result codes of the lines.
pub(super) const OK: u16 = 200;
pub(super) const NO_VERSION: u16 = 400;
pub(super) const ALREADY_SET: u16 = 402;
pub(super) const TOO_LONG: u16 = 403;
pub(super) const MALFORMED: u16 = 405;
pub(super) const NOT_ALLOWED: u16 = 406;
pub(super) const NOT_PROVISIONED: u16 = 418;

/// The codes of refusals, by the vendor's library.
const CODES: &[(u16, &str, Cause)] = &[
    (NO_VERSION, "API version not selected", Cause::ServiceDown),
    (401, "unsupported request type", Cause::NotInFirmware),
    (ALREADY_SET, "configuration already set", Cause::InvalidArgument),
    (TOO_LONG, "command too long", Cause::InvalidArgument),
    (404, "unknown target", Cause::NotInFirmware),
    (MALFORMED, "malformed command", Cause::InvalidArgument),
    (NOT_ALLOWED, "operation not allowed", Cause::ServiceDown),
    (407, "bad JSON", Cause::InvalidArgument),
    (408, "request failed", Cause::Unknown),
    (409, "unauthorized", Cause::NotAuthorized),
    (410, "SIM not configured", Cause::Sim),
    (411, "wake input not configured", Cause::NotInFirmware),
    (412, "channel not configured", Cause::NotInFirmware),
    (413, "action not configured", Cause::NotInFirmware),
    (414, "hardware not configured", Cause::NotInFirmware),
    (415, "radio path not configured", Cause::NotInFirmware),
    (416, "no crash dump", Cause::NotInFirmware),
    (417, "not supported by the hardware", Cause::NotInFirmware),
    (NOT_PROVISIONED, "not provisioned", Cause::NotAuthorized),
    (419, "invalid transmit power", Cause::InvalidArgument),
    (420, "invalid burst type", Cause::InvalidArgument),
    (500, "serial port error", Cause::Unknown),
];

/// The refusal that a code stands for.
pub(super) fn refusal(command: &'static str, code: u16) -> Error {
    let row = CODES.iter().find(|row| row.0 == code);
    let (name, cause) = row.map_or(("undocumented", Cause::Unknown), |row| (row.1, row.2));
    Refusal { command, code: Code::Vendor(code.into()), name, cause }.into()
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The network has all of it.
    Delivered,
    /// It will not be delivered.
    Failed(Cause),
    /// It may have been.
    Unknown,
}

/// The answer to a message that is accepted.
pub(super) const ACCEPTED: &str = "message_accepted";
/// The command that a publication's failures name.
pub(super) const ORIGINATE: &str = "messageOriginate";

/// Final statuses (the vendor's library and its FAQ), and the answers to a
/// message that is not accepted.
const FATES: &[(&str, Fate)] = &[
    ("mo_ack_received", Fate::Delivered),
    ("message_discarded_on_overflow", Fate::Failed(Cause::Busy)),
    ("message_expired", Fate::Failed(Cause::Timeout)),
    ("message_transfer_timeout", Fate::Unknown),
    ("network_error", Fate::Unknown),
    ("segment_not_supplied", Fate::Failed(Cause::Timeout)),
    ("segment_incorrect", Fate::Failed(Cause::InvalidArgument)),
    ("message_dropped_local_crc_error", Fate::Failed(Cause::InvalidArgument)),
    ("user_supplied_crc_error", Fate::Failed(Cause::InvalidArgument)),
    ("crc_error_in_transfer", Fate::Failed(Cause::Network)),
    ("message_cancelled_pre_transit", Fate::Failed(Cause::Timeout)),
    ("message_cancelled_in_transit", Fate::Unknown),
    ("subscription_invalid", Fate::Failed(Cause::NotAuthorized)),
    ("protocol_error", Fate::Failed(Cause::Unknown)),
];

/// What a status means. One that nobody documented says nothing.
pub(super) fn fate(status: &str) -> Fate {
    FATES.iter().find(|row| row.0 == status).map_or(Fate::Unknown, |row| row.1)
}

/// The outcome of the publication that ended so.
pub(super) fn outcome(status: &str) -> Result<(), Error> {
    let row = FATES.iter().find(|row| row.0 == status);
    match row {
        Some((_, Fate::Delivered)) => Ok(()),
        Some((name, Fate::Failed(cause))) => Err(rejected(name, *cause)),
        Some((name, Fate::Unknown)) => Err(Error::NoResult(name)),
        None => Err(Error::NoResult(ORIGINATE)),
    }
}

/// A message was not accepted, for the reason given in words.
pub(super) fn not_accepted(response: &str) -> Error {
    match FATES.iter().find(|row| row.0 == response) {
        Some((name, Fate::Failed(cause))) => rejected(name, *cause),
        _ => rejected("not accepted, for an undocumented reason", Cause::Unknown),
    }
}

fn rejected(name: &'static str, cause: Cause) -> Error {
    Refusal { command: ORIGINATE, code: Code::None, name, cause }.into()
}
