//! The TLS contexts of the module: SSLCFG. MQTT always uses context 88; the others are taken and
//! remembered, and whoever sets up one of them for MQTT connects without verification. Knows tags
//! and their ranges; never looks into a certificate.

use std::collections::BTreeMap;

use super::{Answer, Handler, Modem, Outcome, Quirk, TlsOptions};
use crate::command::Form;

pub(super) const COMMANDS: &[(&str, Handler)] = &[("+SSLCFG", configure)];

/// The context of MQTT.
const MQTT: u32 = 88;

/// TCP, FTP, MQTT, HTTP.
const CONTEXTS: [u32; 9] = [0, 1, 2, 3, 4, 5, 34, MQTT, 153];

/// How the value of a tag is checked.
enum Kind {
    Number(u32, u32),
    /// A text of at most so many bytes.
    Text(usize),
    /// One of these words, in upper case.
    Words(&'static [&'static str]),
    /// Hexadecimal digits, so many of them or so many.
    Digits(usize, usize),
}

/// What the manual documents.
const SUITES: Kind =
    Kind::Words(&["0X0035", "0X002F", "0X0005", "0X0004", "0X000A", "0X003D", "0XFFFF"]);

/// Tag, values, and the value before it was set. The defaults are not stated, but for `seclevel`,
/// which is 0 by behaviour (SEEN); the others are the most general ones.
const TAGS: &[(&str, Kind, &str)] = &[
    ("sslversion", Kind::Number(0, 4), "4"),
    ("ciphersuite", SUITES, "0XFFFF"),
    ("cacert", Kind::Text(64), ""),
    ("clientcert", Kind::Text(64), ""),
    ("clientkey", Kind::Text(64), ""),
    ("seclevel", Kind::Number(0, 2), "0"),
    ("hostname", Kind::Text(256), ""),
    ("ignorelocaltime", Kind::Number(0, 1), "0"),
    ("negotiatetimeout", Kind::Number(10, 300), "300"),
    ("clientrandom", Kind::Digits(56, 64), ""),
    ("verifymode", Kind::Number(0, 1), "0"),
];

/// What was set. Volatile.
#[derive(Default)]
pub(super) struct State {
    values: BTreeMap<(u32, &'static str), String>,
}

impl State {
    fn value(&self, context: u32, tag: &str) -> &str {
        let default = TAGS.iter().find(|(name, ..)| *name == tag).map_or("", |row| row.2);
        let set = self.values.iter().find(|((c, t), _)| *c == context && *t == tag);
        set.map_or(default, |(_, value)| value)
    }
}

impl Modem {
    /// What a connection with TLS needs to know; none if a file is missing that the security
    /// level wants. A real module may go on without it; that is nothing to rely on.
    pub(super) fn tls_options(&self) -> Option<TlsOptions> {
        let value = |tag| self.tls.value(MQTT, tag);
        let number = |tag| value(tag).parse::<u32>().unwrap_or(0);
        let file = |tag| self.files.get(value(tag)).filter(|_| !value(tag).is_empty()).cloned();
        let level = number("seclevel");
        let (server, client) = (level >= 1, level == 2);
        let name = Some(value("hostname").to_owned()).filter(|name| !name.is_empty());
        let options = TlsOptions {
            version: number("sslversion") as u8,
            verify_server: server,
            ignore_local_time: number("ignorelocaltime") == 1,
            negotiate_seconds: number("negotiatetimeout"),
            // Connections to servers that need the name failed without it.
            server_name: name.is_some(),
            name,
            ca: if server { file("cacert") } else { None },
            certificate: if client { file("clientcert") } else { None },
            key: if client { file("clientkey") } else { None },
        };
        let complete = (!server || options.ca.is_some())
            && (!client || options.certificate.is_some() && options.key.is_some());
        complete.then_some(options)
    }
}

fn configure(modem: &mut Modem, form: &Form) -> Outcome {
    let arguments = match form {
        Form::Set(arguments) => arguments,
        Form::Test => return Ok(Answer::Ok),
        _ => return Err(Answer::Error),
    };
    let tag = arguments.text(0).ok_or(Answer::Error)?;
    let (tag, kind, _) = TAGS.iter().find(|(name, ..)| *name == tag).ok_or(Answer::Error)?;
    let context = arguments.number(1, 0..=255).filter(|context| CONTEXTS.contains(context));
    let context = context.ok_or(Answer::Error)?;
    match arguments.len() {
        2 => Ok(Answer::Lines(vec![line(modem, tag, kind, context)])),
        3 if arguments.is_blank(2) => {
            modem.tls.values.remove(&(context, *tag));
            Ok(Answer::Ok)
        }
        3 => {
            let value = arguments.word(2).and_then(|value| std::str::from_utf8(value).ok());
            let value = value.filter(|value| fits(kind, value)).ok_or(Answer::Error)?.to_owned();
            if *tag == "cacert" && modem.config.quirks.has(Quirk::NoCacert) {
                return Err(Answer::Error);
            }
            modem.tls.values.insert((context, tag), value);
            Ok(Answer::Ok)
        }
        _ => Err(Answer::Error),
    }
}

/// The manual has a blank after the colon for this one tag only.
fn line(modem: &Modem, tag: &str, kind: &Kind, context: u32) -> String {
    let blank = if tag == "sslversion" { " " } else { "" };
    let value = modem.tls.value(context, tag);
    match kind {
        Kind::Text(_) => format!("+SSLCFG:{blank}\"{tag}\",{context},\"{value}\""),
        _ => format!("+SSLCFG:{blank}\"{tag}\",{context},{value}"),
    }
}

fn fits(kind: &Kind, value: &str) -> bool {
    match kind {
        Kind::Number(low, high) => value.parse().is_ok_and(|n: u32| (*low..=*high).contains(&n)),
        Kind::Text(longest) => value.len() <= *longest,
        Kind::Words(words) => words.iter().any(|word| word.eq_ignore_ascii_case(value)),
        Kind::Digits(short, long) => {
            (value.len() == *short || value.len() == *long)
                && value.bytes().all(|digit| digit.is_ascii_hexdigit())
        }
    }
}
