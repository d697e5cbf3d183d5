//! `hayes`: MQTT through modems that have it inside, from the command line.
//! This file turns the outcome of a command into its exit code: 0 done,
//! 1 failed with one line on standard error, 2 bad usage.

#![forbid(unsafe_code)]

mod args;
mod decode;
mod demo;
mod device;
mod emulate;
mod failure;
mod info;
mod progress;
mod publish;
mod session;
mod signals;
mod subscribe;
mod transcript;
mod vendor;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use tokio::runtime::Builder;

use args::{Cli, Command};
use failure::Failure;

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let command = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command;
    let done = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let done = runtime.block_on(run(command));
            // A read of standard input may still wait for a line.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(Failure::new("starting", error)),
    };
    match done {
        Ok(()) | Err(Failure::Unread) => ExitCode::SUCCESS,
        Err(Failure::Usage(what)) => misused(matches.subcommand_name().unwrap_or_default(), &what),
        Err(Failure::Failed(what)) => fail(&what),
        Err(Failure::Interrupted) => fail("interrupted"),
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => demo::run(args).await,
        Command::Pub(args) => publish::run(args).await,
        Command::Sub(args) => subscribe::run(args).await,
        Command::Info(args) => info::run(args).await,
        Command::Emulate(args) => emulate::run(args).await,
        Command::Decode(args) => {
            let failed = |error| Failure::new(format_args!("decoding {}", args.path), error);
            decode::run(args.vendor, &args.path).map_err(failed)
        }
    }
}

/// Ends as where the command line itself is wrong, with the usage of `verb`.
fn misused(verb: &str, what: &str) -> ! {
    let mut cli = Cli::command();
    cli.build();
    match cli.find_subcommand_mut(verb) {
        Some(command) => command.error(ErrorKind::ValueValidation, what).exit(),
        None => cli.error(ErrorKind::ValueValidation, what).exit(),
    }
}

fn fail(what: &str) -> ExitCode {
    eprintln!("hayes: {}", what.replace(['\r', '\n'], " "));
    ExitCode::FAILURE
}
