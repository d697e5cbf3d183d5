//! The result codes of the CMQTT commands (A76XX AT Command Manual V1.09,
//! chapter 18.3; SIM7500/7600 V3.00, chapter 16), and what helps. The manuals'
//! short names are those of `lines.rs`.

use hayes::{
    at::reason::{Reason, Reasons},
    mqtt::Cause,
};

const fn row(code: i16, name: &'static str, cause: Cause) -> Reason {
    Reason { code, name, cause }
}

/// In the manual's words. M18 ends at 33, A300 at 34; what is not here is
/// reported with its number.
const ROWS: [Reason; 36] = [
    row(0, "operation succeeded", Cause::Unknown),
    row(1, "failed", Cause::Unknown),
    row(2, "bad UTF-8 string", Cause::InvalidArgument),
    row(3, "socket connect failed", Cause::Unreachable),
    row(4, "socket create failed", Cause::ServiceDown),
    row(5, "socket close failed", Cause::ServiceDown),
    row(6, "message receive failed", Cause::ClosedByPeer),
    row(7, "network open failed", Cause::ServiceDown),
    row(8, "network close failed", Cause::ServiceDown),
    row(9, "network not opened", Cause::ServiceDown),
    row(10, "client index error", Cause::InvalidArgument),
    row(11, "no connection", Cause::NotConnected),
    row(12, "invalid parameter", Cause::InvalidArgument),
    row(13, "operation not supported", Cause::NotInFirmware),
    row(14, "client is busy", Cause::Busy),
    row(15, "connection request failed", Cause::Unreachable),
    row(16, "socket sending failed", Cause::ClosedByPeer),
    row(17, "timeout", Cause::Timeout),
    row(18, "topic is empty", Cause::InvalidArgument),
    row(19, "client is used", Cause::Busy),
    row(20, "client not acquired", Cause::NotConnected),
    row(21, "client not released", Cause::Busy),
    row(22, "length out of range", Cause::InvalidArgument),
    row(23, "network is opened", Cause::Busy),
    row(24, "packet failed", Cause::ClosedByPeer),
    row(25, "DNS error", Cause::Dns),
    row(26, "socket closed by the server", Cause::ClosedByPeer),
    row(27, "refused: protocol version", Cause::ProtocolVersion),
    row(28, "refused: identifier", Cause::Identifier),
    row(29, "refused: server unavailable", Cause::ServerUnavailable),
    row(30, "refused: user name or password", Cause::Credentials),
    row(31, "refused: not authorised", Cause::NotAuthorized),
    row(32, "TLS handshake failed", Cause::Tls),
    row(33, "certificate not set", Cause::Tls),
    row(34, "TLS session failed to open", Cause::Tls),
    row(35, "disconnect from the server failed", Cause::ClosedByPeer),
];

pub(crate) const CODES: Reasons = hayes::reasons!(ROWS);

/// What to try after a failure, by what users of these modems found out; no
/// manual says it. `code` is that of a result line
/// (`+CMQTTCONNECT: 0,<code>`), [`Code::Vendor`](hayes::mqtt::Code::Vendor).
#[must_use]
pub fn advice(code: i32) -> &'static str {
    match code {
        1 | 7 | 9 => "check SIM, antenna and access point; the radio may be off",
        2 => "this firmware wants UTF-8 (checkUTF8)",
        3 | 15 => "check host and port; private addresses are not reachable from a mobile network",
        6 => "brokers close the link on topics that their policy forbids (AWS does)",
        11 | 20 => "connect first",
        12 => "the firmware refused an argument; its manual may differ",
        14 => "an earlier operation still runs; reset the modem if this persists",
        17 => "the broker did not answer in time; check the signal",
        25 => "the name does not resolve; check it, or give an address",
        26 => "check client certificate and key; a client with the same id may have taken over",
        27 => "the broker wants MQTT 3.1.1, which this firmware may not offer",
        28 => "choose another client id",
        30 | 31 => "check user, password and the broker's access rules",
        32 | 34 => "check the authority's certificate, the clock, SNI and the TLS version",
        33 => "give certificate and key",
        _ => "see the modem's manual",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_fits_its_code() {
        for (codes, word) in [
            (&[1, 7, 9][..], "access point"),
            (&[2][..], "UTF-8"),
            (&[3, 15][..], "host and port"),
            (&[6][..], "policy"),
            (&[11, 20][..], "connect first"),
            (&[12][..], "argument"),
            (&[14][..], "still runs"),
            (&[17][..], "in time"),
            (&[25][..], "name"),
            (&[26][..], "same id"),
            (&[27][..], "3.1.1"),
            (&[28][..], "client id"),
            (&[30][..], "password"),
            (&[31][..], "access rules"),
            (&[32, 34][..], "TLS version"),
            (&[33][..], "key"),
            (&[99][..], "manual"),
        ] {
            for code in codes {
                assert!(advice(*code).contains(word), "{code}: {}", advice(*code));
            }
        }
    }
}
