//! Why a command failed, in one line for people: what was being done, what
//! went wrong with the vendor's code and name, what to try. Knows the errors
//! of the core and the flags that they come from, no transport and no modem.

use std::fmt::Display;
use std::io;

use hayes::ClientError;
use hayes::mqtt::{Cause, Code, Error, Feature, Field, FieldError, Refusal};

use crate::vendor::Vendor;

/// The end of a command that did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The command line asks for something that cannot be: exit code 2.
    Usage(String),
    /// It failed: exit code 1.
    Failed(String),
    /// A signal ended it before it was done: exit code 1.
    Interrupted,
    /// Nobody reads the output any more: exit code 0, without a word.
    Unread,
}

impl Failure {
    /// `doing` failed for `cause`.
    pub fn new(doing: impl Display, cause: impl Display) -> Self {
        Self::Failed(format!("{doing}: {cause}"))
    }

    /// `doing` failed in the driver, the modem, the network or the broker.
    pub fn of_client(doing: impl Display, vendor: Vendor, error: ClientError<io::Error>) -> Self {
        let (cause, advice) = match error {
            ClientError::Transport(error) => (error.to_string(), UNPLUGGED),
            ClientError::Modem(error) => (error.to_string(), advice(vendor, &error)),
            other => (other.to_string(), UNPLUGGED),
        };
        match advice {
            "" => Self::new(doing, cause),
            advice => Self::new(doing, format!("{cause}; {advice}")),
        }
    }

    /// Standard output does not take any more.
    pub fn of_output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::new("writing to standard output", error),
        }
    }
}

impl From<FieldError> for Failure {
    fn from(error: FieldError) -> Self {
        let flag = FLAGS.iter().find(|(field, _)| *field == error.field);
        Self::Usage(match flag {
            Some((_, flag)) => format!("{flag}: {error}"),
            None => error.to_string(),
        })
    }
}

const UNPLUGGED: &str = "is the modem still plugged in and powered?";

/// From which flag the text of a field comes.
const FLAGS: &[(Field, &str)] = &[
    (Field::Topic, "--topic"),
    (Field::TopicFilter, "--topic"),
    (Field::Payload, "--message"),
    (Field::ClientId, "--id"),
    (Field::Host, "--host"),
    (Field::User, "--username"),
    (Field::Password, "--pw"),
    (Field::Port, "--any-port"),
    (Field::KeepAlive, "--keepalive"),
    (Field::WillTopic, "--will-topic"),
    (Field::WillPayload, "--will-payload"),
    (Field::Apn, "--apn"),
    (Field::ApnUser, "--apn-user"),
    (Field::ApnPassword, "--apn-password"),
    (Field::Pin, "--pin"),
];

/// What to try; nothing where the error says it itself.
fn advice(vendor: Vendor, error: &Error) -> &'static str {
    match error {
        Error::Refused(refusal) => advice_on(vendor, refusal),
        Error::Unsupported(Feature::Setting("AuthOrder")) => {
            "say in which order this firmware takes user and password: --apn-auth-order"
        }
        Error::NotRegistered(_) => "check antenna, SIM and coverage, or wait longer with --timeout",
        Error::Pin(_) => "give it with --pin",
        Error::Field(FieldError { field: Field::Port, .. }) => {
            "--any-port allows it, for tests and tunnels"
        }
        Error::NoResult(_) => "check the signal; the modem may need a reset",
        Error::Restarted => "check its power supply",
        _ => "",
    }
}

fn advice_on(vendor: Vendor, refusal: &Refusal) -> &'static str {
    let row = vendor.row();
    let unspoken = || row.unspoken.iter().find(|(command, _)| *command == refusal.command);
    if let Some(advice) = (row.advice)(refusal.code) {
        return advice;
    }
    match (refusal.code, unspoken(), refusal.cause) {
        (Code::None, Some((_, advice)), _) => advice,
        (_, _, Cause::Sim) => "check the SIM",
        (_, _, Cause::ServiceDown | Cause::Network) => {
            "check SIM, antenna and access point (--apn)"
        }
        (_, _, Cause::NotInFirmware) => "the modem's manual tells which firmware has it",
        _ => "--dialogue shows what the modem said",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(vendor: Vendor, refusal: Refusal) -> String {
        match Failure::of_client("trying", vendor, ClientError::Modem(refusal.into())) {
            Failure::Failed(line) => line,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_refusal_has_the_vendors_code_and_name_and_what_to_try() {
        let refusal = Refusal {
            command: "+MPUBEX",
            code: Code::Cme(767),
            name: "operation failed",
            cause: Cause::NotConnected,
        };
        let line = told(Vendor::Luat, refusal);
        assert!(
            line.starts_with("trying: +MPUBEX refused: CME 767 (operation failed); "),
            "{line}"
        );
        assert!(line.contains("connect first"), "{line}");
    }

    #[test]
    fn a_refusal_without_a_code_has_something_to_try_as_well() {
        let refusal =
            Refusal { command: "+MCONNECT", code: Code::None, name: "", cause: Cause::Unknown };
        assert!(told(Vendor::Luat, refusal).contains("check user, password"));
        assert!(told(Vendor::Simcom, refusal).contains("--dialogue"));
    }
}
