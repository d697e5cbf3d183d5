//! `hayes info`: what the modem is and how it is doing.

use std::fmt::Write as _;
use std::io::{Write as _, stdout};

use hayes::MqttClient;
use hayes::mqtt::{SimState, Status};

use crate::args::InfoArgs;
use crate::failure::Failure;
use crate::session::Session;
use crate::signals::Signals;
use crate::vendor::Setup;

/// Asks and prints.
pub async fn run(args: InfoArgs) -> Result<(), Failure> {
    if !args.modem.modem.row().tells {
        let what = "this modem does not tell over MQTT how it is doing; its web page does";
        return Err(Failure::Usage(what.to_owned()));
    }
    let mut signals = Signals::listen().map_err(|e| Failure::new("listening to signals", e))?;
    let mut session = Session::open(&args.modem, &Setup::default()).await?;
    let status = tokio::select! {
        status = session.status() => status?,
        () = signals.next() => return Err(Failure::Interrupted),
    };
    let text = describe(&status, &session);
    stdout().write_all(text.as_bytes()).map_err(|error| Failure::of_output(&error))
}

fn describe(status: &Status, session: &Session) -> String {
    let known = |text: &str| if text.is_empty() { "unknown" } else { text }.to_owned();
    let limits = session.modem().limits();
    let rows = [
        ("model", known(status.model.as_str())),
        ("firmware", known(status.firmware.as_str())),
        ("SIM", sim(status.sim).to_owned()),
        ("registration", status.registration.to_string()),
        ("signal", status.signal_dbm.map_or(known(""), |dbm| format!("{dbm} dBm"))),
        ("address", status.address.map_or("none".to_owned(), |address| address.to_string())),
        ("time", known(status.clock.as_str())),
        ("MQTT", connected(status.connected).to_owned()),
        ("longest payload", format!("{} bytes", limits.payload)),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "{name:<16} {value}");
    }
    text
}

fn sim(state: SimState) -> &'static str {
    match state {
        SimState::Ready => "ready",
        SimState::Pin => "waits for its PIN",
        SimState::Locked => "locked: waits for its PUK or another code",
        SimState::Absent => "missing or not working",
        _ => "unknown",
    }
}

/// As the modem says itself: a session may outlive the program that made it.
fn connected(state: Option<bool>) -> &'static str {
    match state {
        Some(true) => "connected",
        Some(false) => "not connected",
        None => "unknown",
    }
}
