//! The device that a modem is reached by: a serial port or a TCP port. Knows
//! no modem. Everything that passes is counted, and shown to a transcript.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_serial::SerialPortBuilderExt;

use crate::failure::Failure;
use crate::transcript::Transcript;

/// Where the modem is: `PATH[@BAUD]` or `tcp:HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// A terminal and its speed.
    Serial {
        /// Its path.
        path: String,
        /// Bits per second; what is usual unless given.
        baud: Option<u32>,
    },
    /// A TCP port, as `HOST:PORT`.
    Tcp(String),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(address) = text.strip_prefix("tcp:") {
            return match address.rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                    Ok(Self::Tcp(address.to_owned()))
                }
                _ => Err("write it as tcp:HOST:PORT".to_owned()),
            };
        }
        let (path, baud) = match text.rsplit_once('@') {
            Some((path, baud)) if baud.bytes().all(|b| b.is_ascii_digit()) => (path, baud),
            _ => (text, ""),
        };
        let baud = (text != path).then(|| baud.parse()).transpose();
        match (path, baud) {
            ("", _) => Err("the path is empty".to_owned()),
            (_, Err(_) | Ok(Some(0))) => Err("the baud rate after @ is no such number".to_owned()),
            (path, Ok(baud)) => Ok(Self::Serial { path: path.to_owned(), baud }),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial { path, .. } => f.write_str(path),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// Any stream of bytes.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Device {
    /// Host and port, if it is a TCP port.
    pub fn address(&self) -> Option<(&str, u16)> {
        let Self::Tcp(address) = self else { return None };
        let (host, port) = address.rsplit_once(':')?;
        Some((host.trim_matches(['[', ']']), port.parse().ok()?))
    }

    /// Opens it; a serial port at `usual` bits per second unless given.
    ///
    /// # Errors
    /// Those of the operating system, with what to try.
    pub async fn open(&self, usual: u32) -> Result<Box<dyn Stream>, Failure> {
        let stream = self.open_stream(usual).await;
        stream.map_err(|error| {
            let advice = self.advice(&error.to_string());
            Failure::new(format_args!("opening {self}"), format_args!("{error}{advice}"))
        })
    }

    fn advice(&self, error: &str) -> &'static str {
        let row = ADVICE.iter().find(|(part, _)| error.contains(part));
        row.filter(|_| matches!(self, Self::Serial { .. })).map_or("", |(_, advice)| advice)
    }

    async fn open_stream(&self, usual: u32) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Serial { path, baud } => {
                let port = tokio_serial::new(path, baud.unwrap_or(usual)).open_native_async()?;
                Ok(Box::new(port))
            }
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// What to try when a terminal is not opened, by a part of the reason: the
/// crate that opens it has the same kind for several.
const ADVICE: &[(&str, &str)] = &[
    ("No such file", "; is the modem plugged in? `ls /dev/tty*` shows what there is"),
    ("Permission denied", "; join the group that it belongs to, often dialout, and log in anew"),
    ("exclusive lock", "; another program has it open, perhaps ModemManager"),
    ("busy", "; another program has it open, perhaps ModemManager"),
    ("Not a typewriter", "; this is no terminal, a modem's is like /dev/ttyUSB2"),
];

/// A transcript that several write to.
pub type Shared = Arc<Mutex<Transcript>>;

/// Writes to a shared transcript.
pub fn note(shared: &Shared, write: impl FnOnce(&mut Transcript)) {
    write(&mut shared.lock().unwrap_or_else(PoisonError::into_inner));
}

/// A stream that is listened to.
pub struct Tap {
    stream: Box<dyn Stream>,
    transcript: Option<Shared>,
    sent: Arc<AtomicU64>,
}

impl Tap {
    /// Listens to `stream` for `transcript`.
    pub fn new(stream: Box<dyn Stream>, transcript: Option<Shared>) -> Self {
        Self { stream, transcript, sent: Arc::default() }
    }

    /// How many bytes were sent.
    pub fn sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if let Some(transcript) = &self.transcript {
            note(transcript, |t| t.modem(&buffer.filled()[before..]));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
        if let Some(transcript) = &self.transcript {
            note(transcript, |t| t.host(&bytes[..count]));
        }
        Poll::Ready(Ok(count))
    }

    /// The kernel sends by itself. Flushing a serial port would wait for the
    /// last bit on the wire, and let nothing else run meanwhile.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serial(path: &str, baud: impl Into<Option<u32>>) -> Result<Device, String> {
        let baud = baud.into();
        Ok(Device::Serial { path: path.to_owned(), baud })
    }

    #[test]
    fn a_device_is_a_path_maybe_with_a_speed_or_a_tcp_port() {
        assert_eq!("/dev/ttyUSB2".parse(), serial("/dev/ttyUSB2", None));
        assert_eq!("/dev/ttyS0@9600".parse(), serial("/dev/ttyS0", 9_600));
        assert_eq!("/dev/by-id/a@b".parse(), serial("/dev/by-id/a@b", None));
        assert_eq!("tcp:[::1]:99".parse(), Ok(Device::Tcp("[::1]:99".to_owned())));
        for wrong in ["", "@9600", "/dev/ttyS0@", "/dev/ttyS0@0", "tcp:host", "tcp::1", "tcp:h:x"] {
            assert!(wrong.parse::<Device>().is_err(), "{wrong}");
        }
    }
}
