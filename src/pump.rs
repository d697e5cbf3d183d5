//! What the three pumps share: how a call fails, and how patient they are with
//! a transport.

use crate::mqtt::{Error, FieldError};

/// Some UART drivers return an empty read now and then. So many in a row are
/// the end of the stream.
pub(crate) const EMPTY_READS: u8 = 3;
/// How long the transport may refuse to take bytes, or to get rid of them, in
/// milliseconds.
pub(crate) const WRITE_PATIENCE_MS: u32 = 10_000;

/// Why a call to a client failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError<E> {
    /// The transport failed.
    #[error("the transport failed: {0:?}")]
    Transport(E),
    /// The transport has ended.
    #[error("the transport was closed by the other side")]
    Closed,
    /// The modem, the network or the broker.
    #[error(transparent)]
    Modem(#[from] Error),
}

impl<E> From<FieldError> for ClientError<E> {
    fn from(error: FieldError) -> Self {
        Self::Modem(error.into())
    }
}
