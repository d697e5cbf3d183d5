//! The file store and the TLS contexts of the module: CCERTDOWN, CCERTLIST, CCERTDELE, CSSLCFG.
//! Knows names, numbers and their ranges; never looks into a certificate.

use std::collections::BTreeMap;

use super::family::{SslKind, ssl_keys};
use super::{Answer, Family, Handler, Modem, Outcome, Purpose, TlsOptions};
use crate::Quirk;
use crate::command::Form;

pub(super) const COMMANDS: &[(&str, Handler)] = &[
    ("+CCERTDOWN", certificate_download),
    ("+CCERTLIST", certificate_list),
    ("+CCERTDELE", certificate_delete),
    ("+CSSLCFG", ssl_configure),
];

/// Contexts are numbered 0 to 9.
const CONTEXTS: usize = 10;

pub(super) struct State {
    /// Sorted by name, as the modem lists them (SEEN).
    files: BTreeMap<String, Vec<u8>>,
    /// The values in the order of the family's keys.
    contexts: Vec<Vec<String>>,
}

impl State {
    pub fn new(family: Family) -> Self {
        State { files: BTreeMap::new(), contexts: defaults(family) }
    }

    /// Files survive. Whether contexts do is stated nowhere; here they do not, so that a host
    /// which relies on it is found out.
    pub fn restart(&mut self, family: Family) {
        self.contexts = defaults(family);
    }

    /// A file of an existing name is overwritten (SEEN).
    pub fn store(&mut self, name: String, data: Vec<u8>) {
        self.files.insert(name, data);
    }

    fn value(&self, family: Family, context: usize, key: &str) -> &str {
        let at = ssl_keys(family).iter().position(|(name, _, _)| *name == key);
        at.map_or("", |at| &self.contexts[context][at])
    }

    /// What a connection needs to know of a context; none if the authentication mode wants a
    /// file that is not there (error 33).
    pub fn options(&self, family: Family, context: usize) -> Option<TlsOptions> {
        let number = |key| self.value(family, context, key).parse::<u32>().unwrap_or(0);
        let file = |key| self.files.get(self.value(family, context, key)).cloned();
        let authmode = number("authmode");
        let (server, client) = (matches!(authmode, 1 | 2), matches!(authmode, 2 | 3));
        let options = TlsOptions {
            version: number("sslversion") as u8,
            verify_server: server,
            ignore_local_time: number("ignorelocaltime") == 1,
            negotiate_seconds: number("negotiatetime"),
            server_name: number("enableSNI") == 1,
            name: None,
            ca: if server { file("cacert") } else { None },
            certificate: if client { file("clientcert") } else { None },
            key: if client { file("clientkey") } else { None },
        };
        let complete = (!server || options.ca.is_some())
            && (!client || options.certificate.is_some() && options.key.is_some());
        complete.then_some(options)
    }
}

fn defaults(family: Family) -> Vec<Vec<String>> {
    let context = ssl_keys(family).iter().map(|(_, _, default)| (*default).to_owned()).collect();
    vec![context; CONTEXTS]
}

fn certificate_download(modem: &mut Modem, form: &Form) -> Outcome {
    let longest = modem.traits.file_name_max;
    let arguments = match form {
        Form::Set(arguments) if arguments.len() == 2 => arguments,
        Form::Test => {
            let line = format!("+CCERTDOWN: (5-{longest}),(1-10240)");
            return Ok(Answer::Lines(vec![line]));
        }
        _ => return Err(Answer::Error),
    };
    let name = arguments.text(0).ok_or(Answer::Error)?;
    let length = arguments.number(1, 1..=10240).ok_or(Answer::Error)?;
    let known_type = name.ends_with(".pem") || name.ends_with(".der");
    if !(5..=longest).contains(&name.len()) || !known_type {
        return Err(Answer::Error);
    }
    Ok(Answer::Prompt(length as usize, Purpose::File(name.to_owned())))
}

fn certificate_list(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Execute => {
            let line = |name: &String| format!("+CCERTLIST: \"{name}\"");
            Ok(Answer::Lines(modem.tls.files.keys().map(line).collect()))
        }
        Form::Test => Ok(Answer::Ok),
        _ => Err(Answer::Error),
    }
}

fn certificate_delete(modem: &mut Modem, form: &Form) -> Outcome {
    let Form::Set(arguments) = form else {
        return Err(Answer::Error);
    };
    let name = arguments.text(0).ok_or(Answer::Error)?;
    modem.tls.files.remove(name).map(|_| Answer::Ok).ok_or(Answer::Error)
}

fn ssl_configure(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Read => Ok(Answer::Lines((0..CONTEXTS).map(|at| context_line(modem, at)).collect())),
        Form::Test => Ok(Answer::Lines(test_lines(modem.config.family))),
        Form::Set(arguments) if arguments.len() == 1 => {
            let context = arguments.number(0, 0..=9).ok_or(Answer::Error)?;
            Ok(Answer::Lines(vec![context_line(modem, context as usize)]))
        }
        Form::Set(arguments) if arguments.len() == 3 => {
            let key = arguments.text(0).ok_or(Answer::Error)?;
            let context = arguments.number(1, 0..=9).ok_or(Answer::Error)?;
            let value = match arguments.quoted(2) {
                Some(_) => (true, arguments.text(2).ok_or(Answer::Error)?.to_owned()),
                None => (false, arguments.raw().rsplit(',').next().unwrap_or("").to_owned()),
            };
            ssl_set(modem, key, context as usize, value)
        }
        _ => Err(Answer::Error),
    }
}

fn ssl_set(modem: &mut Modem, key: &str, context: usize, value: (bool, String)) -> Outcome {
    let keys = ssl_keys(modem.config.family);
    let at = keys.iter().position(|(name, _, _)| name.eq_ignore_ascii_case(key));
    let at = at.ok_or(Answer::Error)?;
    if keys[at].0 == "sslversion" && modem.config.quirks.has(Quirk::NoSslversion) {
        return Err(Answer::Error);
    }
    let (quoted, value) = value;
    let fits = match keys[at].1 {
        SslKind::Number(low, high) => {
            !quoted && value.parse().is_ok_and(|number: u32| (low..=high).contains(&number))
        }
        SslKind::Text(shortest, longest) => quoted && (shortest..=longest).contains(&value.len()),
        SslKind::Words(words) => words.iter().any(|word| word.eq_ignore_ascii_case(&value)),
    };
    if !fits {
        return Err(Answer::Error);
    }
    modem.tls.contexts[context][at] = value;
    Ok(Answer::Ok)
}

fn context_line(modem: &Modem, context: usize) -> String {
    let mut line = format!("+CSSLCFG: {context}");
    for ((_, kind, _), value) in
        ssl_keys(modem.config.family).iter().zip(&modem.tls.contexts[context])
    {
        match kind {
            SslKind::Text(..) => line += &format!(",\"{value}\""),
            _ => line += &format!(",{value}"),
        }
    }
    line
}

fn test_lines(family: Family) -> Vec<String> {
    let range = |kind: &SslKind| match kind {
        SslKind::Number(low, high) => format!("({low}-{high})"),
        SslKind::Text(shortest, longest) => format!("({shortest}-{longest})"),
        SslKind::Words(words) => format!("({})", words.join(",")),
    };
    let line = |(key, kind, _): &(&str, SslKind, &str)| {
        format!("+CSSLCFG: \"{key}\",(0-9),{}", range(kind))
    };
    ssl_keys(family).iter().map(line).collect()
}
