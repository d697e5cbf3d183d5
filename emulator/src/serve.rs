//! A modem on a PTY, on a TCP port, or on any stream of bytes, in real time. This is the pump:
//! it carries bytes, requests and replies to and from a [`Modem`] and looks into none of them.
//!
//! The modem outlives its hosts, as a real one does: whoever connects next finds the service and
//! the clients as the last host left them. What the modem says while nobody is connected is lost.

mod lan;
mod pty;

use std::future::{pending, poll_fn};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::bridge::{Bridge, Route};
use crate::modem::{Configuration, Modem};
use crate::network::Network;

pub use lan::{on_lan, on_lan_with};
pub use pty::Pty;

/// Who sent some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The host, to the modem.
    HostToModem,
    /// The modem, to the host.
    ModemToHost,
}

/// A test action on a running modem; see the test handles of [`Modem`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// Prints an unsolicited line.
    Urc(String),
    /// Restarts without a word.
    Reboot,
    /// Takes the power away and gives it back.
    PowerCycle,
    /// Takes the radio network away or gives it back.
    Network(bool),
    /// Loses the connection of a client.
    Lose {
        /// 0 or 1.
        client: u8,
        /// 1 closed by the peer, 2 reset, 3 network closed.
        cause: u8,
    },
    /// The keep-alive of a client fails.
    PingFailed {
        /// 0 or 1.
        client: u8,
        /// Of the modem's table.
        code: u8,
    },
}

/// What a test or a tool hooks into a running modem. Both may be left out.
#[derive(Debug, Default)]
pub struct Hooks {
    /// Gets every byte on the wire, in order: enough for a transcript.
    pub observer: Option<mpsc::UnboundedSender<(Direction, Vec<u8>)>>,
    /// Test actions to perform.
    pub control: Option<mpsc::UnboundedReceiver<Control>>,
}

impl Hooks {
    fn observe(&self, direction: Direction, bytes: &[u8]) {
        if let Some(observer) = &self.observer {
            // An observer may leave at any time.
            let _ = observer.send((direction, bytes.to_vec()));
        }
    }
}

/// A modem on a new PTY, until cancelled. With `link`, a symbolic link to the terminal is made
/// there and removed at the end. Use [`Pty`] to learn the name of the terminal first.
///
/// # Errors
///
/// When there is no PTY, or the link cannot be made.
pub async fn on_pty(
    link: Option<&Path>,
    config: impl Configuration,
    route: Route,
    hooks: Hooks,
) -> io::Result<()> {
    Pty::open(link)?.serve(config, route, hooks).await
}

/// A modem on a TCP port, until cancelled: one host at a time, the next one waits.
///
/// # Errors
///
/// When the address cannot be listened on.
pub async fn on_tcp(
    address: impl ToSocketAddrs,
    config: impl Configuration,
    route: Route,
    hooks: Hooks,
) -> io::Result<()> {
    on_listener(TcpListener::bind(address).await?, config, route, hooks).await
}

/// The same on a port that is listened on already.
///
/// # Errors
///
/// When no more connections can be accepted.
pub async fn on_listener(
    listener: TcpListener,
    config: impl Configuration,
    route: Route,
    hooks: Hooks,
) -> io::Result<()> {
    let mut bench = Bench::new(config.modem(), Bridge::new(route), hooks);
    loop {
        let (host, _) = tokio::select! {
            host = listener.accept() => host?,
            end = bench.attend(NoHost) => return end,
        };
        host.set_nodelay(true)?;
        // A host that goes away, however rudely, makes room for the next.
        let _ = bench.host(host).await;
    }
}

/// A modem on a stream of bytes, until its end.
///
/// # Errors
///
/// Those of the stream.
pub async fn on_duplex<S>(
    stream: S,
    config: impl Configuration,
    route: Route,
    hooks: Hooks,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
{
    on_duplex_with(stream, config, Bridge::new(route), hooks).await
}

/// A modem on a stream of bytes with any network side, for instance
/// [`Loopback`](crate::network::Loopback), until the end of the stream.
///
/// # Errors
///
/// Those of the stream.
pub async fn on_duplex_with<S, C, N>(
    stream: S,
    config: C,
    network: N,
    hooks: Hooks,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
    C: Configuration,
    N: Network,
{
    Bench::new(config.modem(), network, hooks).host(stream).await
}

/// The next test action; none ever comes where nobody gives any.
async fn next_control(from: &mut Option<mpsc::UnboundedReceiver<Control>>) -> Option<Control> {
    match from {
        Some(from) => from.recv().await,
        None => pending().await,
    }
}

/// So much a host may leave unread; what comes on top is lost, as in a UART.
const UNREAD: usize = 1 << 18;

/// A modem, its network side, and a clock.
struct Bench<M, N> {
    modem: M,
    network: N,
    hooks: Hooks,
    start: Instant,
    /// Somebody is at the other end of the line.
    hosted: bool,
}

/// What woke the pump.
enum Wake {
    Read(io::Result<usize>),
    Written(io::Result<usize>),
    Reply(crate::network::Reply),
    Control(Option<Control>),
    Due,
}

impl<M: Modem, N: Network> Bench<M, N> {
    fn new(modem: M, network: N, hooks: Hooks) -> Self {
        Bench { modem, network, hooks, start: Instant::now(), hosted: false }
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Serves one host until it goes away, or the modem hangs up on it.
    async fn host<S: AsyncRead + AsyncWrite>(&mut self, stream: S) -> io::Result<()> {
        self.modem.host_arrives(self.now());
        self.hosted = true;
        let end = self.attend(stream).await;
        self.hosted = false;
        self.modem.host_leaves(self.now());
        end
    }

    /// Serves a line until its end. Nothing is lost if this is dropped, but what the host has not
    /// read.
    async fn attend<S: AsyncRead + AsyncWrite>(&mut self, stream: S) -> io::Result<()> {
        let (reader, writer) = tokio::io::split(stream);
        tokio::pin!(reader, writer);
        let mut buffer = [0; 4096];
        let mut unread = Vec::new();
        loop {
            self.collect(&mut unread);
            if self.hosted && unread.is_empty() && self.modem.hung_up() {
                return Ok(());
            }
            let wake = self.wake(&mut reader, &mut writer, &mut buffer, &unread).await;
            let now = self.now();
            match wake {
                Wake::Read(count) => match count? {
                    0 => return Ok(()),
                    count => {
                        self.hooks.observe(Direction::HostToModem, &buffer[..count]);
                        self.modem.receive(now, &buffer[..count]);
                    }
                },
                Wake::Written(count) => drop(unread.drain(..count?)),
                Wake::Reply(reply) => self.modem.reply(now, reply),
                Wake::Control(Some(control)) => self.control(now, control),
                Wake::Control(None) => self.hooks.control = None,
                Wake::Due => {}
            }
        }
    }

    /// Takes from the modem what it has for the network and for the host.
    fn collect(&mut self, unread: &mut Vec<u8>) {
        let now = self.now();
        loop {
            for request in self.modem.requests() {
                self.network.request(request);
            }
            let bytes = self.modem.transmit(now);
            if bytes.is_empty() {
                return;
            }
            self.hooks.observe(Direction::ModemToHost, &bytes);
            if unread.len() < UNREAD {
                unread.extend(bytes);
            }
        }
    }

    async fn wake(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        buffer: &mut [u8],
        unread: &[u8],
    ) -> Wake {
        let due = self.modem.deadline().map(|due| self.start + Duration::from_millis(due));
        let network = &mut self.network;
        let control = &mut self.hooks.control;
        tokio::select! {
            count = reader.read(buffer) => Wake::Read(count),
            count = writer.write(unread), if !unread.is_empty() => Wake::Written(count),
            reply = poll_fn(|cx| network.poll_reply(cx)) => Wake::Reply(reply),
            control = next_control(control) => Wake::Control(control),
            () = sleep_until(due.unwrap_or(self.start)), if due.is_some() => Wake::Due,
        }
    }

    fn control(&mut self, now: u64, control: Control) {
        let modem = &mut self.modem;
        match control {
            Control::Urc(line) => modem.urc(now, &line),
            Control::Reboot => modem.reboot(now),
            Control::PowerCycle => modem.power_cycle(now),
            Control::Network(up) => modem.set_network(now, up),
            Control::Lose { client, cause } => modem.lose(now, client, cause),
            Control::PingFailed { client, code } => modem.ping_failed(now, client, code),
        }
    }
}

/// An open line with nobody at the other end.
struct NoHost;

impl AsyncRead for NoHost {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for NoHost {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
