//! The words of the uniform API: what an application says to any modem, and
//! hears from it.
//!
//! Nothing here knows AT, a vendor or a transport. What can be built is
//! well-formed: text that could leave its field on some wire is refused when
//! the value is made. What only one modem limits (a topic's length, a
//! payload's) is checked by its machine before the first byte goes out.

mod error;
mod message;
mod options;
mod status;
mod text;
mod topic;
mod utf8;

pub use error::{Cause, Code, Error, Feature, Field, FieldError, Problem, Refusal};
pub use message::{Assurance, Delivery, Dropped, Event, Loss, Message, Publish, QoS};
pub use options::{AuthType, ConnectOptions, Credential, Network, Tls, TlsVersion, Verify, Will};
pub use status::{
    Capabilities, Granted, Limits, LinkState, Registration, Session, SimState, Status,
};
pub use text::Text;
pub use topic::{ClientId, Subscription, Topic, TopicFilter};
pub use utf8::Utf8;

/// Refuses text that could leave its field on some wire: control bytes
/// (CR, LF, NUL, Ctrl-Z and ESC among them), DEL and the double quote.
pub(crate) const fn check_text(field: Field, text: &str, max: usize) -> Result<(), FieldError> {
    let bytes = text.as_bytes();
    if bytes.len() > max {
        return Err(FieldError::too_long(field, max, bytes.len()));
    }
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        if *byte < 0x20 || *byte == 0x7f || *byte == b'"' {
            return Err(FieldError { field, problem: Problem::Forbidden(*byte) });
        }
        rest = tail;
    }
    Ok(())
}

/// [`check_text`] for fields that may not be empty either.
pub(crate) const fn check_filled(field: Field, text: &str, max: usize) -> Result<(), FieldError> {
    if text.is_empty() {
        return Err(FieldError { field, problem: Problem::Empty });
    }
    check_text(field, text, max)
}
