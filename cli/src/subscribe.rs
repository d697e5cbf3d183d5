//! `hayes sub`: subscribes, and prints every message at once.

use std::borrow::Cow;
use std::future::pending;
use std::io::{Write, stdout};
use std::time::Duration;

use hayes::mqtt::{Message, Subscription};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use crate::args::SubArgs;
use crate::failure::Failure;
use crate::session::{Session, with_broker};

/// Subscribes to what the arguments say.
pub async fn run(args: SubArgs) -> Result<(), Failure> {
    let filters = args.topic.iter().map(|filter| Subscription::new(filter, args.qos));
    let filters: Vec<_> = filters.collect::<Result<_, _>>()?;
    let done = with_broker(&args.modem, &args.network, &args.connection, async |session| {
        session.subscribe(&filters).await?;
        print_messages(session, &args).await
    })
    .await;
    match done {
        // This is how a subscription ends that has no other end.
        Err(Failure::Interrupted) => Ok(()),
        done => done,
    }
}

async fn print_messages(session: &mut Session, args: &SubArgs) -> Result<(), Failure> {
    let end = args.wait.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
    let late = async {
        match end {
            Some(end) => sleep_until(end).await,
            None => pending().await,
        }
    };
    tokio::pin!(late);
    let mut count = 0;
    while args.count != Some(count) {
        let event = session.event(|message| {
            count += 1;
            print(message, args).map_err(|error| Failure::of_output(&error))
        });
        tokio::select! {
            event = event => event?,
            () = &mut late => return match args.count {
                Some(wanted) => {
                    let cause = format!("{count} of {wanted} arrived in time");
                    Err(Failure::new("waiting for messages", cause))
                }
                None => Ok(()),
            },
        }
    }
    Ok(())
}

/// A message as `--json` prints it.
#[derive(Serialize)]
struct Record<'a> {
    topic: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    payload_hex: String,
}

fn print(message: &Message<'_>, args: &SubArgs) -> std::io::Result<()> {
    let mut out = Vec::new();
    if args.json {
        let record = Record {
            topic: String::from_utf8_lossy(message.topic),
            payload: std::str::from_utf8(message.payload).ok(),
            payload_hex: message.payload.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        serde_json::to_writer(&mut out, &record)?;
    } else {
        if args.modem.verbose {
            out.extend_from_slice(message.topic);
            out.push(b' ');
        }
        out.extend_from_slice(message.payload);
    }
    out.push(b'\n');
    let mut stdout = stdout().lock();
    stdout.write_all(&out)?;
    stdout.flush()
}
