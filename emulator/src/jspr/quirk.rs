//! Oddities of the 9704 and doubts about it, each with a source in a log, in a vendor's document
//! or in the reports of its users, that can be switched on one by one. This module only names
//! them; the modem knows what they do.

use crate::quirk::quirks;

quirks! {
    /// JSON without blanks is accepted. API 1.7.0 was seen to refuse it (407), so that is the
    /// default; other firmware may be kinder.
    CompactJsonAccepted, "compact-json-accepted", "JSON without blanks is accepted (default: 407)";
    /// The first line after a start, or at all, is malformed (405) whatever it says.
    FirstMalformed, "first-malformed", "the first request is answered 405 MALFORMED";
    /// Requests during boot are heard and answered by `403 MALFORMED`.
    Early403, "early-403", "requests during boot answer 403 MALFORMED (default: deaf)";
    /// Nothing but the line itself before the first line after a start.
    NoNoise, "no-noise", "no noise byte before bootInfo (default: 0x11)";
    /// Two bytes of noise before the first line after a start.
    NulNoise, "nul-noise", "0x00 0x11 before bootInfo (default: 0x11)";
    /// The versions are listed the other way round.
    VersionsReversed, "versions-reversed", "supported_versions is listed the other way round";
    /// `GET constellationState` is not answered.
    SilentSignal, "silent-signal", "GET constellationState is never answered";
    /// A GET while segments are asked for makes the modem forget the message without a word.
    GetAbortsMo, "get-aborts-mo", "a GET while segments are asked for loses the message";
    /// A message that is cancelled in transit is acknowledged nevertheless.
    CancelTooLate, "cancel-too-late", "a cancel in transit is too late, mo_ack_received follows";
    /// The answer to a cancel has only the message's number.
    CancelBare, "cancel-bare", "the answer to a cancel has only message_id";
    /// No message gets a final status.
    NoFinalStatus, "no-final-status", "messageOriginateStatus is never sent";
}
