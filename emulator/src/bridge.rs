//! The network side as a real broker, by `rumqttc`. One task for each connected client; what goes
//! wrong on the way becomes an error code as SIMCom numbers them (25 DNS, 3 socket, 32 handshake,
//! 26 closed by the server, 27 to 31 refused by the broker). Knows no AT command.
//!
//! `rumqttc` speaks MQTT 3.1.1 only: a client that asks for 3.1 is connected with 3.1.1 (the
//! quirk `mqtt31-refused` has it refused instead), and the dup flag of a publish is not passed on.

mod link;
mod tls;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rumqttc::mqttbytes::v4::{ConnectReturnCode, Packet, SubscribeReasonCode};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, LastWill, MqttOptions, NetworkOptions,
    Outgoing, QoS, StateError, SubscribeFilter, TlsConfiguration, Transport,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::network::{Action, ConnectOptions, LinkOptions, Network, Reply, Request};

/// To which broker the modem's connections go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Route {
    /// To the host and port that the driver gave the modem.
    #[default]
    AsAsked,
    /// Always to this one, whatever the driver asks for.
    To {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
}

impl Route {
    /// To this broker.
    pub fn to(host: impl Into<String>, port: u16) -> Self {
        Route::To { host: host.into(), port }
    }
}

/// Codes of the modem's table.
mod code {
    pub const FAILED: u8 = 1;
    pub const SOCKET_CONNECT: u8 = 3;
    pub const RECEIVE: u8 = 6;
    pub const NO_CONNECTION: u8 = 11;
    pub const TIMEOUT: u8 = 17;
    pub const PACKET: u8 = 24;
    pub const DNS: u8 = 25;
    pub const CLOSED_BY_SERVER: u8 = 26;
    pub const HANDSHAKE: u8 = 32;
}

/// Causes of `+CMQTTCONNLOST`.
mod cause {
    pub const CLOSED: u8 = 1;
    pub const RESET: u8 = 2;
    pub const NETWORK: u8 = 3;
}

const MAX_PACKET: usize = 1 << 20;
const REQUESTS: usize = 64;

/// A network side that is a broker. Must be used inside a tokio runtime.
#[derive(Debug)]
pub struct Bridge {
    route: Route,
    /// Connections that were opened for themselves; a CONNECT goes over them.
    opened: [Option<Opened>; 2],
    links: [Option<Link>; 2],
    /// Counts the connections of each client, so that a word of an earlier one is known as such.
    generations: [u64; 2],
    replies: mpsc::UnboundedReceiver<(u64, Reply)>,
    reply_to: mpsc::UnboundedSender<(u64, Reply)>,
}

/// One connection: the handle to ask it, and the task that runs it.
#[derive(Debug)]
struct Link {
    client: AsyncClient,
    asked: Asked,
    task: Task,
}

/// A task that ends with its owner, unless it has its leave to take yet.
#[derive(Debug)]
struct Task {
    handle: JoinHandle<()>,
    leaving: bool,
}

impl Task {
    fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Task { handle: tokio::spawn(work), leaving: false }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.leaving {
            self.handle.abort();
        }
    }
}

/// A connection that was opened without CONNECT, and the way to have one go over it.
#[derive(Debug)]
struct Opened {
    other_end: Option<oneshot::Sender<TcpListener>>,
    task: Task,
}

/// What was handed to `rumqttc` and has not shown up as an outgoing packet yet, in order.
type Asked = Arc<Mutex<VecDeque<Operation>>>;

#[derive(Debug, Clone, Copy)]
struct Operation {
    /// None if somebody else will speak for it.
    id: Option<u32>,
    /// Published with QoS 0: done as soon as it is written.
    unacknowledged: bool,
}

impl Network for Bridge {
    fn request(&mut self, request: Request) {
        let Request { client, id, action } = request;
        let at = usize::from(client) % 2;
        match action {
            Action::Abort => self.hang_up(at),
            Action::Open(options) => self.open(client, id, *options),
            Action::Connect(options) => self.connect(client, id, *options),
            action => self.ask(client, id, action),
        }
    }

    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        while let Poll::Ready(Some((generation, reply))) = self.replies.poll_recv(cx) {
            let (Reply::Done { client, .. }
            | Reply::Message { client, .. }
            | Reply::Lost { client, .. }) = &reply;
            // What a connection said that is no more does not count.
            if self.generations[usize::from(*client) % 2] == generation {
                return Poll::Ready(reply);
            }
        }
        Poll::Pending
    }
}

impl Bridge {
    /// A bridge without connections.
    pub fn new(route: Route) -> Self {
        let (reply_to, replies) = mpsc::unbounded_channel();
        Bridge {
            route,
            opened: [None, None],
            links: [None, None],
            generations: [0; 2],
            replies,
            reply_to,
        }
    }

    fn hang_up(&mut self, at: usize) {
        self.links[at] = None;
        self.opened[at] = None;
        self.generations[at] += 1;
    }

    fn voice(&self, client: u8) -> Voice {
        let generation = self.generations[usize::from(client) % 2];
        Voice { generation, client, to: self.reply_to.clone() }
    }

    fn open(&mut self, client: u8, id: u32, options: LinkOptions) {
        let at = usize::from(client) % 2;
        self.hang_up(at);
        let (other_end, wanted) = oneshot::channel();
        let task = link::run(options, self.route.clone(), self.voice(client), id, wanted);
        let task = Task::spawn(task);
        self.opened[at] = Some(Opened { other_end: Some(other_end), task });
    }

    fn connect(&mut self, client: u8, id: u32, mut options: ConnectOptions) {
        let at = usize::from(client) % 2;
        let route = match self.opened[at].as_mut().and_then(|opened| opened.other_end.take()) {
            None => {
                self.hang_up(at);
                self.route.clone()
            }
            Some(other_end) => match other_end_at(other_end) {
                Ok(route) => {
                    options.tls = None;
                    route
                }
                Err(_) => return self.voice(client).done(id, code::SOCKET_CONNECT),
            },
        };
        let voice = self.voice(client);
        let options = match mqtt_options(&options, &route) {
            Ok(options) => options,
            Err(code) => return voice.done(id, code),
        };
        let (client, mut events) = AsyncClient::new(options, REQUESTS);
        let mut network = NetworkOptions::new();
        // The modem has its own time limits; this one only must not be shorter.
        network.set_connection_timeout(600);
        network.set_tcp_nodelay(true);
        events.set_network_options(network);
        let asked = Asked::default();
        let task = Task::spawn(run(events, voice, id, Arc::clone(&asked)));
        self.links[at] = Some(Link { client, asked, task });
    }

    fn ask(&mut self, client: u8, id: u32, action: Action) {
        let voice = self.voice(client);
        let at = usize::from(client) % 2;
        let Some(link) = &mut self.links[at] else {
            return voice.done(id, code::NO_CONNECTION);
        };
        if action == Action::Disconnect {
            // Whatever the modem does next, the broker is to get the DISCONNECT.
            link.task.leaving = true;
            if let Some(opened) = &mut self.opened[at] {
                opened.task.leaving = true;
            }
        }
        if link.ask(id, action).is_none() {
            // A broker closes the connection when it gets a topic that is none.
            voice.done(id, code::RECEIVE);
            voice.say(Reply::Lost { client, cause: cause::CLOSED });
            link.task.handle.abort();
        }
    }
}

/// Has an open connection come out at a port of this machine, for `rumqttc` to connect to.
fn other_end_at(other_end: oneshot::Sender<TcpListener>) -> io::Result<Route> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    // If the connection is gone by now, so is the listener, and connecting to it fails.
    let _ = other_end.send(listener);
    Ok(Route::to("127.0.0.1", port))
}

impl Link {
    /// Hands an operation to `rumqttc`; none if it cannot be put into a packet.
    fn ask(&self, id: u32, action: Action) -> Option<()> {
        let unacknowledged = matches!(action, Action::Publish { qos: 0, .. } | Action::Disconnect);
        let client = &self.client;
        if let Action::Unsubscribe { filters } = &action {
            // rumqttc takes one filter at a time: the last one speaks for all of them.
            let silent = Operation { id: None, unacknowledged: true };
            lock(&self.asked).extend(vec![silent; filters.len().saturating_sub(1)]);
        }
        lock(&self.asked).push_back(Operation { id: Some(id), unacknowledged });
        let asked = match action {
            Action::Publish { topic, payload, qos, retain, .. } => {
                let topic = text(topic).filter(|topic| !topic.is_empty())?;
                client.try_publish(topic, quality(qos), retain, payload)
            }
            Action::Subscribe { filters } => {
                let filter =
                    |(filter, qos)| Some(SubscribeFilter::new(text(filter)?, quality(qos)));
                client.try_subscribe_many(
                    filters.into_iter().map(filter).collect::<Option<Vec<_>>>()?,
                )
            }
            Action::Unsubscribe { filters } => {
                let filters = filters.into_iter().map(text).collect::<Option<Vec<_>>>()?;
                filters.into_iter().try_for_each(|filter| client.try_unsubscribe(filter))
            }
            Action::Disconnect => client.try_disconnect(),
            Action::Open(_) | Action::Connect(_) | Action::Abort => return None,
        };
        asked.ok()
    }
}

fn lock(asked: &Asked) -> std::sync::MutexGuard<'_, VecDeque<Operation>> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok()
}

fn quality(qos: u8) -> QoS {
    match qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

fn mqtt_options(from: &ConnectOptions, route: &Route) -> Result<MqttOptions, u8> {
    let (host, port) = match route {
        Route::AsAsked => (from.host.clone(), from.port),
        Route::To { host, port } => (host.clone(), *port),
    };
    let mut options = MqttOptions::new(&from.client_id, host, port);
    options.set_keep_alive(Duration::from_secs(u64::from(from.keep_alive_seconds)));
    options.set_clean_session(from.clean);
    options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
    if from.user.is_some() || from.password.is_some() {
        let word = |word: &Option<String>| word.clone().unwrap_or_default();
        options.set_credentials(word(&from.user), word(&from.password));
    }
    if let Some(will) = &from.will {
        let topic = text(will.topic.clone()).ok_or(code::PACKET)?;
        options.set_last_will(LastWill::new(
            topic,
            will.payload.clone(),
            quality(will.qos),
            will.retain,
        ));
    }
    if let Some(how) = &from.tls {
        let config = tls::client(how).ok_or(code::HANDSHAKE)?;
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(config)));
    }
    Ok(options)
}

/// The way back to the modem.
struct Voice {
    generation: u64,
    client: u8,
    to: mpsc::UnboundedSender<(u64, Reply)>,
}

impl Voice {
    fn say(&self, reply: Reply) {
        // Nobody listens any more when the bridge is gone, and then nothing matters.
        let _ = self.to.send((self.generation, reply));
    }

    fn done(&self, id: u32, code: u8) {
        self.say(Reply::Done { client: self.client, id, code });
    }
}

/// Runs one connection from CONNECT to its end.
async fn run(mut events: EventLoop, voice: Voice, connect: u32, asked: Asked) {
    let (host, port) = events.mqtt_options.broker_address();
    if tokio::net::lookup_host((host.as_str(), port)).await.is_err() {
        return voice.done(connect, code::DNS);
    }
    match events.poll().await {
        Ok(_) => voice.done(connect, 0),
        Err(error) => return voice.done(connect, connect_code(&error)),
    }
    let mut open = Vec::new();
    loop {
        match events.poll().await {
            Ok(Event::Incoming(packet)) => incoming(packet, &mut open, &voice),
            Ok(Event::Outgoing(Outgoing::Disconnect)) => {
                if let Some(id) = lock(&asked).pop_front().and_then(|operation| operation.id) {
                    voice.done(id, 0);
                }
                return;
            }
            Ok(Event::Outgoing(sent)) => outgoing(&sent, &asked, &mut open, &voice),
            Err(error) => {
                let cause = lost_cause(&error);
                return voice.say(Reply::Lost { client: voice.client, cause });
            }
        }
    }
}

/// An operation left for the broker: from now on it goes by its packet identifier.
fn outgoing(sent: &Outgoing, asked: &Asked, open: &mut Vec<(u16, u32)>, voice: &Voice) {
    let (Outgoing::Publish(packet) | Outgoing::Subscribe(packet) | Outgoing::Unsubscribe(packet)) =
        sent
    else {
        return;
    };
    match lock(asked).pop_front() {
        Some(Operation { id: Some(id), unacknowledged: true }) => voice.done(id, 0),
        Some(Operation { id: Some(id), unacknowledged: false }) => open.push((*packet, id)),
        _ => {}
    }
}

fn incoming(packet: Packet, open: &mut Vec<(u16, u32)>, voice: &Voice) {
    let (identifier, code) = match packet {
        Packet::Publish(message) => {
            return voice.say(Reply::Message {
                client: voice.client,
                topic: message.topic.into_bytes(),
                payload: message.payload.to_vec(),
                retain: message.retain,
            });
        }
        Packet::PubAck(ack) => (ack.pkid, 0),
        Packet::PubComp(ack) => (ack.pkid, 0),
        Packet::UnsubAck(ack) => (ack.pkid, 0),
        Packet::SubAck(ack) => {
            let refused = ack.return_codes.contains(&SubscribeReasonCode::Failure);
            // What a modem prints for a refused filter is stated nowhere; 1 is "failed".
            (ack.pkid, if refused { code::FAILED } else { 0 })
        }
        _ => return,
    };
    if let Some(at) = open.iter().position(|(packet, _)| *packet == identifier) {
        let (_, id) = open.swap_remove(at);
        voice.done(id, code);
    }
}

/// Why there is no connection, in SIMCom's numbers.
fn connect_code(error: &ConnectionError) -> u8 {
    match error {
        ConnectionError::ConnectionRefused(why) => refusal(*why),
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => code::TIMEOUT,
        ConnectionError::Io(error) => socket_code(error, code::SOCKET_CONNECT),
        ConnectionError::Tls(rumqttc::TlsError::Io(error)) => socket_code(error, code::HANDSHAKE),
        ConnectionError::Tls(_) => code::HANDSHAKE,
        ConnectionError::MqttState(StateError::Io(error)) => {
            socket_code(error, code::CLOSED_BY_SERVER)
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => code::CLOSED_BY_SERVER,
        ConnectionError::MqttState(_) | ConnectionError::NotConnAck(_) => code::PACKET,
        _ => code::FAILED,
    }
}

fn refusal(why: ConnectReturnCode) -> u8 {
    match why {
        ConnectReturnCode::Success => 0,
        ConnectReturnCode::RefusedProtocolVersion => 27,
        ConnectReturnCode::BadClientId => 28,
        ConnectReturnCode::ServiceUnavailable => 29,
        ConnectReturnCode::BadUserNamePassword => 30,
        ConnectReturnCode::NotAuthorized => 31,
    }
}

fn socket_code(error: &io::Error, other: u8) -> u8 {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => code::CLOSED_BY_SERVER,
        _ => other,
    }
}

fn lost_cause(error: &ConnectionError) -> u8 {
    let (ConnectionError::Io(error) | ConnectionError::MqttState(StateError::Io(error))) = error
    else {
        return match error {
            ConnectionError::MqttState(StateError::AwaitPingResp) => cause::NETWORK,
            _ => cause::CLOSED,
        };
    };
    match error.kind() {
        io::ErrorKind::ConnectionReset => cause::RESET,
        io::ErrorKind::TimedOut | io::ErrorKind::NetworkUnreachable => cause::NETWORK,
        _ => cause::CLOSED,
    }
}
