//! What the pumps and the engine log, with the feature `log`, the feature
//! `defmt`, or both. With neither, nothing of it is compiled.
//!
//! Operations and commands are named and never shown: no option, field, topic
//! or payload gets here, so no secret does.

#![allow(unused_variables, unused_macros, reason = "nothing is logged without a feature")]

use crate::{at::script::Answer, machine::Verb, mqtt::Event, pump::ClientError};

/// In one place, so that every line goes to both.
macro_rules! say {
    ($level:ident, $text:literal $(, $value:expr)*) => {{
        #[cfg(feature = "log")]
        log::$level!($text $(, $value)*);
        #[cfg(feature = "defmt")]
        defmt::$level!($text $(, $value)*);
    }};
}

/// An operation is asked for.
#[inline]
pub(crate) fn begun(verb: Verb) {
    say!(debug, "{}", verb.name());
}

/// An operation has its outcome.
#[inline]
pub(crate) fn outcome<T, E>(verb: Verb, outcome: &Result<T, ClientError<E>>) {
    match outcome {
        Ok(_) => say!(debug, "{}: done", verb.name()),
        Err(ClientError::Modem(error)) => say!(warn, "{}: {}", verb.name(), error),
        Err(ClientError::Transport(_)) => say!(warn, "{}: the transport failed", verb.name()),
        Err(ClientError::Closed) => say!(warn, "{}: the transport was closed", verb.name()),
    }
}

/// The command of this name has its answer, or has waited for it long enough.
#[inline]
pub(crate) fn answered(command: &[u8], answer: Answer) {
    match answer {
        Answer::Ok => say!(trace, "{}: OK", text(command)),
        Answer::Failed(code) => say!(debug, "{}: {}", text(command), code),
        Answer::Silence => say!(debug, "{}: no answer", text(command)),
    }
}

#[cfg(any(feature = "log", feature = "defmt"))]
fn text(command: &[u8]) -> &str {
    core::str::from_utf8(command).unwrap_or_default()
}

/// An event is taken.
#[inline]
pub(crate) fn event(event: &Event<'_>) {
    match event {
        Event::Message(message) => {
            say!(
                trace,
                "message: topic {} bytes, payload {}",
                message.topic.len(),
                message.payload.len()
            );
        }
        Event::Lost { session, loss } => say!(warn, "session {} lost: {}", session, loss),
        Event::NetworkLost => say!(warn, "network lost"),
        Event::Restarted => say!(warn, "the modem restarted"),
        Event::Dropped(dropped) => {
            say!(warn, "{} messages dropped, {} bytes", dropped.count, dropped.bytes);
        }
        Event::Unknown(what) => say!(warn, "{}: outcome unknown", what),
        Event::Undelivered(_) => say!(warn, "a message will not be delivered"),
        Event::Urc(line) => say!(trace, "an unknown line of {} bytes", line.len()),
        Event::Missed(count) => say!(warn, "{} events missed", count),
    }
}

/// The transport has ended.
#[inline]
pub(crate) fn ended<E>(why: &ClientError<E>) {
    match why {
        ClientError::Transport(_) => say!(warn, "the transport failed"),
        ClientError::Closed | ClientError::Modem(_) => say!(info, "the transport was closed"),
    }
}
