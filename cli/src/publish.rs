//! `hayes pub`: publishes one message, or every line of standard input.

use std::io::{Read, stdin};

use hayes::mqtt::{Publish, QoS, Topic};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::args::{PubArgs, Source, read};
use crate::failure::Failure;
use crate::session::{Session, with_broker};

/// Publishes what the arguments say.
pub async fn run(args: PubArgs) -> Result<(), Failure> {
    let message = Outgoing { topic: Topic::new(&args.topic)?, qos: args.qos, retain: args.retain };
    let payload = payload(&args.source)?;
    let lines = args.source.stdin_line;
    with_broker(&args.modem, &args.network, &args.connection, async |session| {
        if lines {
            return publish_lines(session, &message).await;
        }
        session.publish(&message.with(&payload)).await.map(drop)
    })
    .await
}

/// What is published as one message; nothing for lines, which come later.
fn payload(source: &Source) -> Result<Vec<u8>, Failure> {
    let mut payload = Vec::new();
    match (&source.message, &source.file) {
        (Some(text), _) => payload.extend_from_slice(text.as_bytes()),
        (_, Some(path)) => payload = read(path)?,
        _ if source.stdin_file => {
            let failed = |error| Failure::new(STDIN, error);
            stdin().read_to_end(&mut payload).map_err(failed)?;
        }
        _ => {}
    }
    Ok(payload)
}

const STDIN: &str = "reading standard input";

/// All of a message but its payload.
struct Outgoing<'a> {
    topic: Topic<'a>,
    qos: QoS,
    retain: bool,
}

impl<'a> Outgoing<'a> {
    fn with(&self, payload: &'a [u8]) -> Publish<'a> {
        Publish { topic: self.topic, payload, qos: self.qos, retain: self.retain, repeat: false }
    }
}

/// Publishes lines as they come, and hears between them what the modem says.
async fn publish_lines(session: &mut Session, message: &Outgoing<'_>) -> Result<(), Failure> {
    let mut lines = BufReader::new(tokio::io::stdin()).split(b'\n');
    let mut progress = session.open_progress("messages published");
    let mut count = 0;
    loop {
        let line = tokio::select! {
            line = lines.next_segment() => line,
            event = session.event(|_| Ok(())) => {
                event?;
                continue;
            }
        };
        match line.map_err(|error| Failure::new(STDIN, error))? {
            None => return Ok(()),
            Some(line) => session.publish(&message.with(&line)).await?,
        };
        count += 1;
        progress.set(count);
    }
}
