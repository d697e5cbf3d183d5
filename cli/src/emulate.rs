//! `hayes emulate`: a modem that does not exist, on a pseudo-terminal or a
//! TCP port, until a signal ends it.

use std::io::{Write, stderr, stdout};

use hayes_emulator::bridge::Route;
use hayes_emulator::modem::Configuration;
use hayes_emulator::rockremote::{self, Gateway, Queue};
use hayes_emulator::serve::{Direction, Hooks, Pty, on_lan, on_listener};
use hayes_emulator::{jspr, luat, simcom};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::args::{EmulateArgs, EmulateRockremoteArgs, EmulateVendor, EmulatedArgs};
use crate::failure::Failure;
use crate::signals::Signals;
use crate::transcript::Transcript;
use crate::vendor::{Vendor, under_a_clear_sky};

/// Is a modem.
pub async fn run(args: EmulateArgs) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(|e| Failure::new("listening to signals", e))?;
    tokio::select! {
        end = emulate(args.vendor) => end,
        () = signals.next() => Ok(()),
    }
}

async fn emulate(vendor: EmulateVendor) -> Result<(), Failure> {
    match vendor {
        EmulateVendor::Simcom(args) => {
            let config = simcom::Config {
                family: args.family,
                quirks: args.quirk.into_iter().collect(),
                faults: args.modem.wire.fault.clone(),
                seed: args.modem.wire.seed,
                ..Default::default()
            };
            serve(Vendor::Simcom, args.family.name(), config, args.modem).await
        }
        EmulateVendor::Luat(args) => {
            let config = luat::Config {
                family: args.family,
                quirks: args.quirk.into_iter().collect(),
                faults: args.modem.wire.fault.clone(),
                seed: args.modem.wire.seed,
                ..Default::default()
            };
            serve(Vendor::Luat, args.family.name(), config, args.modem).await
        }
        EmulateVendor::Jspr(args) => {
            let config = jspr::Config {
                quirks: args.quirk.into_iter().collect(),
                faults: args.modem.wire.fault.clone(),
                seed: args.modem.wire.seed,
                ..if args.clear_sky { under_a_clear_sky() } else { Default::default() }
            };
            serve(Vendor::Jspr, "Iridium 9704", config, args.modem).await
        }
        EmulateVendor::Rockremote(args) => gateway(args).await,
    }
}

async fn gateway(args: EmulateRockremoteArgs) -> Result<(), Failure> {
    let queue = match args.immediately {
        true => Queue::IMMEDIATELY,
        false => Queue {
            max_size: args.max_queue_size,
            max_age_s: args.max_queue_age,
            ..Queue::default()
        },
    };
    let config = rockremote::Config {
        queue,
        account: args.account,
        mt_filters: args.mt_filter,
        cloud: args.broker.as_ref().map(|_| rockremote::cloud_as("rockremote")),
        faults: args.wire.fault,
        seed: args.wire.seed,
        ..Default::default()
    };
    let address = args.listen;
    let failed = |error| Failure::new(format_args!("listening on {address}"), error);
    let listener = TcpListener::bind(&address).await.map_err(failed)?;
    announce(&format!("RockREMOTE on tcp:{}", listener.local_addr().map_err(failed)?))?;
    let observer = args.wire.dialogue.then(|| show_dialogue(Vendor::Rockremote));
    let hooks = Hooks { observer, ..Hooks::default() };
    let mut gateway = Gateway::new(config);
    on_lan(listener, &mut gateway, route(args.broker), hooks).await.map_err(failed)
}

async fn serve(
    vendor: Vendor,
    family: &str,
    config: impl Configuration,
    args: EmulatedArgs,
) -> Result<(), Failure> {
    let route = route(args.broker);
    let observer = args.wire.dialogue.then(|| show_dialogue(vendor));
    let hooks = Hooks { observer, ..Hooks::default() };
    if let Some(link) = &args.place.pty {
        let failed = |error| Failure::new(format_args!("making {}", link.display()), error);
        let pty = Pty::open(Some(link)).map_err(failed)?;
        announce(&format!("{family} on {} ({})", link.display(), pty.path().display()))?;
        return pty.serve(config, route, hooks).await.map_err(failed);
    }
    let address = args.place.listen.unwrap_or_default();
    let failed = |error| Failure::new(format_args!("listening on {address}"), error);
    let listener = TcpListener::bind(&address).await.map_err(failed)?;
    announce(&format!("{family} on tcp:{}", listener.local_addr().map_err(failed)?))?;
    on_listener(listener, config, route, hooks).await.map_err(failed)
}

fn route(broker: Option<(String, u16)>) -> Route {
    broker.map_or(Route::AsAsked, |(host, port)| Route::to(host, port))
}

/// Says where the modem is, for people and for scripts that wait for it.
fn announce(what: &str) -> Result<(), Failure> {
    let mut out = stdout().lock();
    writeln!(out, "{what}").and_then(|()| out.flush()).map_err(|e| Failure::of_output(&e))
}

fn show_dialogue(vendor: Vendor) -> mpsc::UnboundedSender<(Direction, Vec<u8>)> {
    let (observer, mut bytes) = mpsc::unbounded_channel::<(Direction, Vec<u8>)>();
    tokio::spawn(async move {
        let mut transcript = Transcript::new((vendor.row().view)(), Box::new(stderr()));
        while let Some((direction, bytes)) = bytes.recv().await {
            match direction {
                Direction::HostToModem => transcript.host(&bytes),
                Direction::ModemToHost => transcript.modem(&bytes),
            }
        }
    });
    observer
}
