//! The numbers of `+CME ERROR` (Cat.1 AT manual V1.6.3, pages 36 to 41) as far
//! as MQTT meets them, and what helps.

use hayes::{
    at::reason::{Reason, Reasons},
    mqtt::Cause,
};

const fn row(code: i16, name: &'static str, cause: Cause) -> Reason {
    Reason { code, name, cause }
}

/// In the manual's words; what is not here is reported with its number.
const ROWS: [Reason; 30] = [
    row(3, "operation not allowed", Cause::Unknown),
    // Also seen in the first half minute after power-up.
    row(4, "operation not supported", Cause::NotInFirmware),
    row(10, "SIM not inserted", Cause::Sim),
    row(11, "SIM PIN required", Cause::Sim),
    row(12, "SIM PUK required", Cause::Sim),
    row(13, "SIM failure", Cause::Sim),
    row(14, "SIM busy", Cause::Sim),
    row(15, "SIM wrong", Cause::Sim),
    row(16, "incorrect password", Cause::Sim),
    row(30, "no network service", Cause::Network),
    row(31, "network timeout", Cause::Network),
    row(32, "emergency calls only", Cause::Network),
    row(50, "execution failed", Cause::Unknown),
    row(53, "invalid parameters", Cause::InvalidArgument),
    row(58, "invalid command line", Cause::InvalidArgument),
    row(62, "file does not exist", Cause::Unknown),
    row(63, "file too large", Cause::InvalidArgument),
    row(100, "unknown", Cause::Unknown),
    row(148, "GPRS error", Cause::Network),
    row(149, "PDP authentication failure", Cause::Network),
    row(151, "AT timeout", Cause::Timeout),
    row(765, "invalid input value", Cause::InvalidArgument),
    row(766, "unsupported mode", Cause::NotInFirmware),
    // Whatever is not possible in the state at hand.
    row(767, "operation failed", Cause::NotConnected),
    row(791, "too few parameters", Cause::InvalidArgument),
    row(797, "the radio is off", Cause::ServiceDown),
    row(818, "command line too long", Cause::InvalidArgument),
    row(901, "PDP not active", Cause::ServiceDown),
    row(910, "TCP rejected", Cause::Unreachable),
    row(911, "TCP connect timeout", Cause::Timeout),
];

pub(crate) const CODES: Reasons = hayes::reasons!(ROWS);

/// What to try after a failure, by what users of these modems found out; no
/// manual says it. `code` is that of `+CME ERROR`,
/// [`Code::Cme`](hayes::mqtt::Code::Cme).
#[must_use]
pub fn advice(code: i32) -> &'static str {
    match code {
        3 | 767 => "not possible in this state: connect first; one QoS 1 publish at a time",
        4 => "wait: commands fail like this in the first half minute; then check the firmware",
        10 | 13 | 15 => "check the SIM; the vendor advises a reset after 10 s",
        11 | 12 | 16 => "check the PIN of the SIM",
        14 => "the SIM is busy; try again",
        30..=32 | 148 | 149 | 901 => "check antenna, SIM and access point",
        62 | 100 => "the file is not on the modem; store it first",
        63 => "the file system is full",
        765 => "the firmware refused a value; some refuse an empty user name",
        766 => "this firmware does not have that mode",
        797 => "the radio is off (CFUN); bring the modem up first",
        910 | 911 => {
            "check host and port; private addresses are not reachable from a mobile network"
        }
        _ => "see the modem's manual",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_fits_its_code() {
        for (codes, word) in [
            (&[3, 767][..], "connect first"),
            (&[4][..], "first half minute"),
            (&[10, 13, 15][..], "check the SIM"),
            (&[11, 12, 16][..], "PIN"),
            (&[14][..], "busy"),
            (&[30, 31, 32][..], "antenna"),
            (&[148, 149, 901][..], "access point"),
            (&[62, 100][..], "store it"),
            (&[63][..], "full"),
            (&[765][..], "user name"),
            (&[766][..], "that mode"),
            (&[797][..], "radio"),
            (&[910, 911][..], "host and port"),
            (&[9999][..], "manual"),
        ] {
            for code in codes {
                assert!(advice(*code).contains(word), "{code}: {}", advice(*code));
            }
        }
    }
}
