//! A box on the LAN: a TCP port with any number of hosts at once, all of them in one
//! [`Gateway`]. Knows sockets and lines, and looks into no bytes.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Control, Direction, Hooks, next_control};
use crate::bridge::{Bridge, Route};
use crate::network::{Network, Reply};
use crate::rockremote::{Gateway, Line};

/// A box on a TCP port that is listened on already, until cancelled. The gateway is new, and can
/// be asked for its counters afterwards. It may be cancelled at any time; every host is then cut
/// off.
///
/// Of the hooks, [`Control::Lose`] cuts off a host (0 is the one that is connected for the
/// longest), [`Control::Network`] is the sky, and the observer gets the bytes of all hosts as they
/// come.
///
/// # Errors
///
/// When no more connections can be accepted.
pub async fn on_lan(
    listener: TcpListener,
    gateway: &mut Gateway,
    route: Route,
    hooks: Hooks,
) -> io::Result<()> {
    on_lan_with(listener, gateway, Bridge::new(route), hooks).await
}

/// The same with any network side, for instance [`Loopback`](crate::network::Loopback).
///
/// # Errors
///
/// As for [`on_lan`].
pub async fn on_lan_with(
    listener: TcpListener,
    gateway: &mut Gateway,
    network: impl Network,
    hooks: Hooks,
) -> io::Result<()> {
    let (heard, hears) = mpsc::channel(64);
    let (hosts, tasks) = (BTreeMap::new(), JoinSet::new());
    let lan = Lan { gateway, network, hooks, start: Instant::now(), hosts, tasks, heard, hears };
    lan.serve(listener).await
}

/// Bytes of a host; none is its end.
type Heard = (Line, Vec<u8>);

struct Lan<'a, N> {
    gateway: &'a mut Gateway,
    network: N,
    hooks: Hooks,
    start: Instant,
    hosts: BTreeMap<Line, mpsc::UnboundedSender<Vec<u8>>>,
    /// One for each host; they end with this.
    tasks: JoinSet<()>,
    heard: mpsc::Sender<Heard>,
    hears: mpsc::Receiver<Heard>,
}

enum Wake {
    Host(io::Result<TcpStream>),
    Heard(Option<Heard>),
    Reply(Reply),
    Control(Option<Control>),
    Due,
}

impl<N: Network> Lan<'_, N> {
    async fn serve(mut self, listener: TcpListener) -> io::Result<()> {
        loop {
            self.collect();
            match self.wake(&listener).await {
                Wake::Host(host) => self.welcome(host?),
                Wake::Heard(Some((line, bytes))) => self.hear(line, &bytes),
                Wake::Reply(reply) => self.gateway.reply(self.now(), reply),
                Wake::Control(Some(control)) => self.control(control),
                Wake::Control(None) => self.hooks.control = None,
                // This holds a sender itself, so that there is always one more.
                Wake::Heard(None) | Wake::Due => {}
            }
        }
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Takes from the box what it has for its cloud and for the hosts.
    fn collect(&mut self) {
        let now = self.now();
        loop {
            let mut quiet = true;
            for request in self.gateway.requests() {
                self.network.request(request);
            }
            for line in self.gateway.lines() {
                let bytes = self.gateway.transmit(now, line);
                if bytes.is_empty() {
                    continue;
                }
                quiet = false;
                self.hooks.observe(Direction::ModemToHost, &bytes);
                if let Some(host) = self.hosts.get(&line) {
                    // A host that just left does not miss it.
                    let _ = host.send(bytes);
                }
            }
            if quiet {
                break;
            }
        }
        self.hosts.retain(|line, _| !self.gateway.hung_up(*line));
        while self.tasks.try_join_next().is_some() {}
    }

    async fn wake(&mut self, listener: &TcpListener) -> Wake {
        let due = self.gateway.deadline().map(|due| self.start + Duration::from_millis(due));
        let (network, control) = (&mut self.network, &mut self.hooks.control);
        tokio::select! {
            host = listener.accept() => Wake::Host(host.map(|(host, _)| host)),
            heard = self.hears.recv() => Wake::Heard(heard),
            reply = poll_fn(|cx| network.poll_reply(cx)) => Wake::Reply(reply),
            control = next_control(control) => Wake::Control(control),
            () = sleep_until(due.unwrap_or(self.start)), if due.is_some() => Wake::Due,
        }
    }

    fn welcome(&mut self, host: TcpStream) {
        // A box that boots takes nobody.
        if let Some(line) = self.gateway.accept(self.now()) {
            let (speaks, spoken) = mpsc::unbounded_channel();
            self.hosts.insert(line, speaks);
            self.tasks.spawn(attend(host, line, self.heard.clone(), spoken));
        }
    }

    fn hear(&mut self, line: Line, bytes: &[u8]) {
        let now = self.now();
        if bytes.is_empty() {
            return self.gateway.hang_up(now, line);
        }
        self.hooks.observe(Direction::HostToModem, bytes);
        self.gateway.receive(now, line, bytes);
    }

    fn control(&mut self, control: Control) {
        let now = self.now();
        match control {
            Control::Reboot | Control::PowerCycle => self.gateway.restart(now),
            Control::Network(clear) => self.gateway.set_sky(now, clear),
            Control::Lose { client, .. } => {
                let line = self.gateway.lines().get(usize::from(client)).copied();
                line.into_iter().for_each(|line| self.gateway.hang_up(now, line));
            }
            // A box says nothing unasked, and pings nobody.
            Control::Urc(_) | Control::PingFailed { .. } => {}
        }
    }
}

/// So long a host may take to leave after the box has hung up.
const FAREWELL: Duration = Duration::from_secs(1);

/// Carries the bytes of one host until it leaves or the box hangs up.
async fn attend(
    mut host: TcpStream,
    line: Line,
    heard: mpsc::Sender<Heard>,
    mut spoken: mpsc::UnboundedReceiver<Vec<u8>>,
) {
    // Without it everything still works, only later.
    let _ = host.set_nodelay(true);
    let (mut reader, mut writer) = host.split();
    let listen = async {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            if heard.send((line, buffer[..count].to_vec())).await.is_err() {
                return;
            }
        }
        let _ = heard.send((line, Vec::new())).await;
    };
    let speak = async {
        while let Some(bytes) = spoken.recv().await {
            if writer.write_all(&bytes).await.is_err() {
                // The reader hears of it as well, and tells.
                return std::future::pending().await;
            }
        }
        let _ = writer.shutdown().await;
    };
    tokio::select! {
        () = listen => return,
        () = speak => {}
    }
    // With bytes that nobody read, closing is a reset that may overtake the last words.
    let _ = timeout(FAREWELL, tokio::io::copy(&mut host, &mut tokio::io::sink())).await;
}
