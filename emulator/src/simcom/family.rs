//! What tells the families apart, as tables: limits, result orders, boot lines. Sources: the AT
//! manuals of the families (SIM7500_SIM7600 V3.00, A76XX V1.09, SIM767XX V1.06) and logs.

use std::fmt;
use std::str::FromStr;

use super::Config;
use crate::Quirk;

/// A family of modems that speaks one form of the CMQTT dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Family {
    /// SIM7500, SIM7600, SIM7800.
    #[default]
    Sim7600,
    /// A7600, A7608, A7670, A7672, A7678.
    A76xx,
    /// SIM7670G, SIM7672: no SUBTOPIC and no UNSUBTOPIC.
    Sim767xx,
}

impl Family {
    /// Every family.
    pub const ALL: [Family; 3] = [Family::Sim7600, Family::A76xx, Family::Sim767xx];

    /// The name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Family::Sim7600 => "sim7600",
            Family::A76xx => "a76xx",
            Family::Sim767xx => "sim767xx",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no family.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no modem family, use sim7600, a76xx or sim767xx")]
pub struct ParseFamilyError(String);

impl FromStr for Family {
    type Err = ParseFamilyError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Family::ALL
            .into_iter()
            .find(|family| family.name() == name)
            .ok_or_else(|| ParseFamilyError(name.to_owned()))
    }
}

/// The differences.
#[derive(Debug, Clone)]
pub(super) struct Traits {
    pub manufacturer: &'static str,
    pub model: &'static str,
    pub revision: &'static str,
    /// The first line of a boot.
    pub ready: &'static str,
    /// Characters of one command line; a longer one is `ERROR`.
    pub command_buffer: usize,
    pub client_id_max: u32,
    pub keep_alive_min: u32,
    pub payload_max: u32,
    pub will_message_max: u32,
    /// Shortest time-out of PUB and (above zero) of DISC, in seconds.
    pub timeout_min: u32,
    pub file_name_max: usize,
    /// ACCQ takes the MQTT version as fourth argument.
    pub accq_version: bool,
    /// MQTT version of a client that says nothing: 3 is MQTT 3.1, 4 is 3.1.1.
    pub version: u32,
    pub subtopic: bool,
    /// START and STOP may carry a PDP context, and CMQTTCFG knows "cid" and "scid".
    pub start_cid: bool,
    /// DISC may leave its time-out away.
    pub short_disc: bool,
    /// START and STOP print their result before OK.
    pub result_first: bool,
    /// A second START prints 23 before ERROR.
    pub start_says_23: bool,
    /// CONNECT keeps its OK back until the socket is open, so that a socket or TLS error is
    /// result and ERROR without OK.
    pub connect_holds_ok: bool,
    /// The code for a TLS handshake that failed.
    pub tls_code: u8,
    /// Keys of CMQTTCFG that belong to a client and carry numbers.
    pub cfg: &'static [CfgKey],
}

/// A key of CMQTTCFG and its range, as the test form prints it.
pub(super) type CfgKey = (&'static str, &'static str);
const CHECK_UTF8: CfgKey = ("checkUTF8", "(0-1)");
const OPTIMEOUT: CfgKey = ("optimeout", "(20-120)");
const VERSION: CfgKey = ("version", "(3-4)");
const ARGTOPIC: CfgKey = ("argtopic", "(0-1),(0-1)");

const SIM7600: Traits = Traits {
    manufacturer: "SIMCOM INCORPORATED",
    model: "SIMCOM_SIM7600G-H",
    revision: "LE20B04SIM7600G22",
    ready: "RDY",
    command_buffer: 559,
    client_id_max: 128,
    keep_alive_min: 1,
    payload_max: 10240,
    will_message_max: 1024,
    timeout_min: 60,
    file_name_max: 128,
    accq_version: true,
    // Not stated; a log shows AWS, which refuses 3.1, accept a client acquired without version.
    version: 4,
    subtopic: true,
    start_cid: false,
    short_disc: false,
    result_first: true,
    start_says_23: true,
    connect_holds_ok: false,
    tls_code: 32,
    cfg: &[CHECK_UTF8, OPTIMEOUT],
};

const A76XX: Traits = Traits {
    manufacturer: "INCORPORATED",
    model: "A7670E-FASE",
    revision: "A011B07A7670M7_F",
    ready: "*ATREADY: 1",
    command_buffer: 3071,
    timeout_min: 1,
    file_name_max: 108,
    accq_version: false,
    version: 3,
    result_first: false,
    start_says_23: false,
    connect_holds_ok: true,
    tls_code: 34,
    cfg: &[CHECK_UTF8, OPTIMEOUT, VERSION, ARGTOPIC],
    ..SIM7600
};

const SIM767XX: Traits = Traits {
    model: "SIM7670G-MNGV",
    revision: "V1.9.01",
    payload_max: 4096,
    timeout_min: 60,
    file_name_max: 55,
    subtopic: false,
    start_cid: true,
    short_disc: true,
    cfg: &[CHECK_UTF8, OPTIMEOUT, VERSION],
    ..A76XX
};

impl Traits {
    pub fn of(config: &Config) -> Traits {
        let mut traits = match config.family {
            Family::Sim7600 => SIM7600,
            Family::A76xx => A76XX,
            Family::Sim767xx => SIM767XX,
        };
        if config.quirks.has(Quirk::M18Limits) {
            traits.client_id_max = 23;
            traits.keep_alive_min = 60;
            traits.will_message_max = 10240;
            traits.accq_version = false;
            traits.cfg = &[CHECK_UTF8];
        }
        if config.quirks.has(Quirk::PlainStartError) {
            traits.start_says_23 = false;
        }
        if config.quirks.has(Quirk::ResultBeforeOk) {
            traits.result_first = true;
        }
        if config.quirks.has(Quirk::OkBeforeResult) {
            traits.result_first = false;
        }
        traits
    }
}

/// How a setting of a TLS context is checked.
#[derive(Debug, Clone, Copy)]
pub(super) enum SslKind {
    /// A number in a range.
    Number(u32, u32),
    /// The name of a stored file, or a text of at most so many bytes.
    Text(usize, usize),
    /// A cipher suite: one of these words.
    Words(&'static [&'static str]),
}

/// One key of CSSLCFG with its range and its default, in the order of the read form.
pub(super) type SslKey = (&'static str, SslKind, &'static str);

const SUITES: SslKind = SslKind::Words(&["0x002F", "0xFFFF"]);

/// Keys of CSSLCFG of a family, in the order in which the read form prints them.
pub(super) fn ssl_keys(family: Family) -> &'static [SslKey] {
    match family {
        Family::Sim7600 => &[
            ("sslversion", SslKind::Number(0, 4), "4"),
            ("authmode", SslKind::Number(0, 3), "0"),
            ("ignorelocaltime", SslKind::Number(0, 1), "1"),
            ("negotiatetime", SslKind::Number(10, 300), "300"),
            ("cacert", SslKind::Text(5, 128), ""),
            ("clientcert", SslKind::Text(5, 128), ""),
            ("clientkey", SslKind::Text(5, 128), ""),
            ("enableSNI", SslKind::Number(0, 1), "0"),
            ("keypwd", SslKind::Text(0, 128), ""),
            ("ciphersuites", SUITES, "0xFFFF"),
        ],
        Family::A76xx => &[
            ("sslversion", SslKind::Number(0, 4), "4"),
            ("authmode", SslKind::Number(0, 3), "0"),
            ("ignorelocaltime", SslKind::Number(0, 1), "1"),
            ("negotiatetime", SslKind::Number(10, 300), "300"),
            ("cacert", SslKind::Text(5, 108), ""),
            ("clientcert", SslKind::Text(5, 108), ""),
            ("clientkey", SslKind::Text(5, 108), ""),
            ("password", SslKind::Text(5, 108), ""),
            ("enableSNI", SslKind::Number(0, 1), "0"),
        ],
        Family::Sim767xx => &[
            ("sslversion", SslKind::Number(0, 4), "4"),
            ("authmode", SslKind::Number(0, 3), "0"),
            ("ignorelocaltime", SslKind::Number(0, 1), "1"),
            ("negotiatetime", SslKind::Number(10, 300), "300"),
            ("cacert", SslKind::Text(5, 55), ""),
            ("clientcert", SslKind::Text(5, 55), ""),
            ("clientkey", SslKind::Text(5, 55), ""),
            ("password", SslKind::Text(5, 55), ""),
            ("enableSNI", SslKind::Number(0, 1), "0"),
            ("ignorecertCN", SslKind::Number(0, 1), "0"),
            ("use_tickets", SslKind::Number(0, 1), "0"),
            ("ciphersuites", SUITES, "0xFFFF"),
        ],
    }
}
