//! A RockREMOTE with its *IoT Gateway* switched on, without I/O and without a clock: an MQTT 3.1.1
//! broker on the LAN that packs what is published into satellite messages (IMT). Bytes of hosts go
//! in, bytes for hosts come out; what the cloud at the other end of the satellite wants of its
//! broker comes out as [`Request`]s and goes in as [`Reply`]s. Time is an argument, in
//! milliseconds of any epoch that does not run backwards.
//!
//! It knows the MQTT of a server and the rules of the MO queue. It must never know a transport, a
//! real broker or a driver. Facts come from the vendor's page "IMT and IoT Gateway" and from the
//! MQTT standard. Which broker runs in the box is not public: it behaves here as the standard has
//! it, and where that leaves a choice, the choice is a field of [`Config`].
//!
//! Not modelled, for want of facts: the retry count, the air time of an IMT, compression.
//!
//! ```
//! use hayes_emulator::rockremote::{Config, Gateway};
//!
//! let mut gateway = Gateway::new(Config::default());
//! let line = gateway.accept(0).expect("a box that runs");
//! gateway.receive(0, line, b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01c");
//! assert_eq!(gateway.transmit(0, line), b"\x20\x02\0\0");
//! gateway.receive(0, line, b"\x30\x07\0\x04temp4");
//! assert_eq!((gateway.queued(), gateway.deadline()), (1, Some(60_000)));
//! ```

mod broker;
mod cloud;
mod config;
mod modem;
mod packet;
mod satellite;

#[cfg(test)]
mod tests;

pub use crate::network::{Action, ConnectOptions, Reply, Request};
pub use config::{Config, Login, MtFilter, ParseMtFilterError, Queue, Survives, cloud_as};
pub use modem::Modem;
pub use satellite::{Count, Counters, Imt, MAX_PAYLOAD, MAX_TOPIC};

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use rumqttc::mqttbytes::v4::{ConnAck, ConnectReturnCode, Packet};

use crate::Fault;
use crate::fault::{Fate, Injector};
use broker::Broker;
use cloud::Cloud;
use packet::{Connect, Incoming};
use satellite::Satellite;

/// The number of a TCP connection to the box. None is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line(u64);

/// An application message.
#[derive(Debug, Clone, Default)]
struct Message {
    topic: String,
    payload: Vec<u8>,
    qos: u8,
    retain: bool,
}

/// The box. Each connection of the LAN is a [`Line`] of its own; [`Modem`] is a box with one.
///
/// Faults count over all lines. [`Fault::Lost`] cuts the connection after the n-th packet of a
/// host, whose answer is lost with it; [`Fault::Silent`] has the box answer n packets and do
/// nothing any more from the next one on, until it is restarted; an acknowledgement is whatever the
/// box sends but PUBLISH. [`Fault::Storm`] means nothing here.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    now: u64,
    /// Until then it boots and takes no connection.
    boots_until: u64,
    lines: BTreeMap<Line, Connection>,
    last_line: u64,
    broker: Broker,
    satellite: Satellite,
    cloud: Cloud,
    /// For the device, as long as it cannot be reached.
    held: VecDeque<Message>,
    faults: Faults,
}

struct Connection {
    /// Bytes of a packet that is not there as a whole.
    input: Vec<u8>,
    /// Packets, and when each is due.
    output: VecDeque<(u64, Vec<u8>)>,
    /// Bytes that the host can read now.
    wire: VecDeque<u8>,
    client: Option<Client>,
    /// Since the last packet, or the beginning.
    heard: u64,
    /// The box has closed it; what is on its way is still delivered.
    closed: bool,
}

/// Who is connected.
#[derive(Debug)]
struct Client {
    id: String,
    /// So long it may be quiet, in milliseconds; none is for ever.
    patience: Option<u64>,
    will: Option<Message>,
}

#[derive(Debug)]
struct Faults {
    injector: Injector,
    sent: u64,
    received: u64,
    packets: u64,
    answers: u64,
}

impl fmt::Debug for Connection {
    /// Without the bytes: a CONNECT has a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("client", &self.client)
            .field("heard", &self.heard)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// When the host has been quiet for too long.
    fn expires(&self, config: &Config) -> Option<u64> {
        let patience = match &self.client {
            _ if self.closed => None,
            Some(client) => client.patience,
            None => config.patience,
        };
        patience.map(|patience| self.heard + patience)
    }
}

impl Gateway {
    /// A box at time zero that runs and sees the sky.
    pub fn new(config: Config) -> Self {
        Gateway {
            now: 0,
            boots_until: 0,
            lines: BTreeMap::new(),
            last_line: 0,
            broker: Broker::default(),
            satellite: Satellite::new(&config),
            cloud: Cloud::new(&config),
            held: VecDeque::new(),
            faults: Faults {
                injector: Injector::new(&config.faults, config.seed),
                sent: 0,
                received: 0,
                packets: 0,
                answers: 0,
            },
            config,
        }
    }

    // ---- lines --------------------------------------------------------------------------------

    /// A host opens a connection; none while the box boots.
    pub fn accept(&mut self, now_ms: u64) -> Option<Line> {
        self.advance(now_ms);
        if self.now < self.boots_until {
            return None;
        }
        self.last_line += 1;
        let line = Line(self.last_line);
        let connection = Connection {
            input: Vec::new(),
            output: VecDeque::new(),
            wire: VecDeque::new(),
            client: None,
            heard: self.now,
            closed: false,
        };
        self.lines.insert(line, connection);
        Some(line)
    }

    /// A host sent these bytes. On a line that is closed they are lost.
    pub fn receive(&mut self, now_ms: u64, line: Line, bytes: &[u8]) {
        self.advance(now_ms);
        for byte in bytes {
            self.faults.received += 1;
            let at = self.faults.received;
            let Some(connection) = self.lines.get_mut(&line) else {
                return;
            };
            if !self.config.faults.contains(&Fault::RxDrop(at)) {
                connection.input.push(*byte);
            }
            if self.config.faults.contains(&Fault::CutRx(at)) {
                self.read(line);
                return self.cut(line);
            }
        }
        self.read(line);
    }

    /// The bytes for a host that are due now, maybe none. With the fault `split` it is one byte a
    /// call, so call until nothing comes.
    pub fn transmit(&mut self, now_ms: u64, line: Line) -> Vec<u8> {
        self.advance(now_ms);
        self.release(line);
        let Some(connection) = self.lines.get_mut(&line) else {
            return Vec::new();
        };
        let split = self.config.faults.contains(&Fault::Split);
        let count = if split { connection.wire.len().min(1) } else { connection.wire.len() };
        let bytes = connection.wire.drain(..count).collect();
        if self.hung_up(line) {
            self.lines.remove(&line);
        }
        bytes
    }

    /// A host closed its connection, or it broke: without a DISCONNECT before, the will goes out.
    pub fn hang_up(&mut self, now_ms: u64, line: Line) {
        self.advance(now_ms);
        self.cut(line);
    }

    /// Whether the box has closed this line and all that it had to say before was taken.
    pub fn hung_up(&self, line: Line) -> bool {
        self.lines.get(&line).is_none_or(|connection| {
            connection.closed && connection.output.is_empty() && connection.wire.is_empty()
        })
    }

    /// The lines that are open, oldest first.
    pub fn lines(&self) -> Vec<Line> {
        self.lines.keys().copied().collect()
    }

    /// The client on a line, once it was let in.
    pub fn client(&self, line: Line) -> Option<&str> {
        Some(&self.lines.get(&line)?.client.as_ref()?.id)
    }

    /// When to call [`transmit`](Self::transmit) for each line next, if nothing else happens.
    pub fn deadline(&self) -> Option<u64> {
        let output =
            self.lines.values().filter_map(|connection| match connection.wire.is_empty() {
                true => connection.output.front().map(|(due, _)| *due),
                false => Some(self.now),
            });
        output.chain(self.next_event()).min()
    }

    /// Lets time pass, for a box without lines; all other calls do so by themselves.
    pub fn pass(&mut self, now_ms: u64) {
        self.advance(now_ms);
    }

    // ---- the cloud ----------------------------------------------------------------------------

    /// What the cloud wants of its broker, in order. The client is always 0.
    pub fn requests(&mut self) -> Vec<Request> {
        self.advance(self.now);
        self.cloud.requests()
    }

    /// The cloud's broker answers, or delivers a message, or breaks down.
    pub fn reply(&mut self, now_ms: u64, reply: Reply) {
        self.advance(now_ms);
        if let Some(message) = self.cloud.reply(self.now, reply) {
            self.deliver(message);
        }
    }

    /// Whether the cloud side has its broker.
    pub fn is_online(&self) -> bool {
        self.cloud.is_up()
    }

    /// A message for the device as the cloud sends it, with its retain flag: what a broker
    /// forwards at once to an ordinary subscription has lost it (MQTT-3.3.1-9).
    pub fn mobile_terminated(&mut self, now_ms: u64, topic: &str, payload: &[u8], retain: bool) {
        self.advance(now_ms);
        let (topic, payload) = (topic.to_owned(), payload.to_vec());
        self.deliver(Message { topic, payload, qos: 0, retain });
    }

    // ---- test handles -------------------------------------------------------------------------

    /// The sky is lost or comes back.
    pub fn set_sky(&mut self, now_ms: u64, clear: bool) {
        self.advance(now_ms);
        self.satellite.set_sky(clear);
        self.settle();
    }

    /// The box restarts without a word: every connection is gone, and what it does not remember.
    pub fn restart(&mut self, now_ms: u64) {
        self.advance(now_ms);
        self.restart_now();
    }

    /// What was sent, received and dropped.
    pub fn counters(&self) -> &Counters {
        self.satellite.counters()
    }

    /// Every IMT that was sent.
    pub fn imts(&self) -> &[Imt] {
        self.satellite.imts()
    }

    /// Messages in the MO queue.
    pub fn queued(&self) -> usize {
        self.satellite.queued()
    }

    /// Bytes of their payloads.
    pub fn queued_bytes(&self) -> usize {
        self.satellite.queued_bytes()
    }

    // ---- time ---------------------------------------------------------------------------------

    fn next_event(&self) -> Option<u64> {
        let silent = self.is_silent();
        let expires = self.lines.values().filter_map(|it| it.expires(&self.config));
        let waking = (!self.held.is_empty() && self.now < self.boots_until && !silent)
            .then_some(self.boots_until);
        let satellite = self.satellite.due().map(|due| due.max(self.boots_until));
        let events = [satellite, self.cloud.due(), waking];
        expires.filter(|_| !silent).chain(events.into_iter().flatten()).min()
    }

    fn advance(&mut self, now: u64) {
        let now = now.max(self.now);
        while let Some(at) = self.next_event().filter(|at| *at <= now) {
            self.now = self.now.max(at);
            let quiet = |(line, connection): (&Line, &Connection)| {
                let expires = connection.expires(&self.config);
                expires.is_some_and(|at| at <= self.now).then_some(*line)
            };
            let quiet: Vec<Line> = self.lines.iter().filter_map(quiet).collect();
            if !self.is_silent() {
                quiet.into_iter().for_each(|line| self.close(line));
            }
            self.cloud.tick(self.now);
            self.settle();
        }
        self.now = now;
    }

    // ---- packets of hosts ---------------------------------------------------------------------

    fn read(&mut self, line: Line) {
        let Some(connection) = self.lines.get_mut(&line) else {
            return;
        };
        let mut input = std::mem::take(&mut connection.input);
        let mut at = 0;
        while self.is_open(line) {
            match packet::first(&input[at..]) {
                Ok(None) => break,
                Ok(Some((length, packet))) => {
                    at += length;
                    self.count_and_take(line, packet);
                }
                Err(packet::Malformed) => {
                    // 4.8.0-1
                    self.close(line);
                }
            }
        }
        if let Some(connection) = self.lines.get_mut(&line) {
            input.drain(..at);
            connection.input = input;
        }
    }

    fn is_open(&self, line: Line) -> bool {
        self.lines.get(&line).is_some_and(|connection| !connection.closed)
    }

    fn is_silent(&self) -> bool {
        let over = |fault: &Fault| matches!(fault, Fault::Silent(n) if self.faults.packets > *n);
        self.config.faults.iter().any(over)
    }

    fn count_and_take(&mut self, line: Line, packet: Incoming) {
        self.faults.packets += 1;
        if self.is_silent() {
            return;
        }
        if let Some(connection) = self.lines.get_mut(&line) {
            connection.heard = self.now;
        }
        let lost = self.config.faults.contains(&Fault::Lost(self.faults.packets));
        let before = self.lines.get(&line).map_or(0, |connection| connection.output.len());
        self.take(line, packet);
        if lost {
            if let Some(connection) = self.lines.get_mut(&line) {
                connection.output.truncate(before);
            }
            self.close(line);
        }
    }

    fn take(&mut self, line: Line, packet: Incoming) {
        let client = self.client(line).map(str::to_owned);
        match (client, packet) {
            (None, Incoming::Connect(connect)) => self.connect(line, connect),
            (None, Incoming::OtherVersion) => {
                self.refuse(line, ConnectReturnCode::RefusedProtocolVersion);
            }
            (Some(client), Incoming::Other(packet)) => self.serve(line, &client, packet),
            // 3.1.0-1, 3.1.0-2
            _ => self.close(line),
        }
    }

    fn connect(&mut self, line: Line, connect: Connect) {
        // 3.1.3-8
        if connect.client_id.is_empty() && !connect.clean {
            return self.refuse(line, ConnectReturnCode::BadClientId);
        }
        if !self.config.login.as_ref().is_none_or(|login| opens(login, &connect)) {
            let code = match self.config.login_refused {
                4 => ConnectReturnCode::BadUserNamePassword,
                _ => ConnectReturnCode::NotAuthorized,
            };
            return self.refuse(line, code);
        }
        // 3.1.4-2
        if let Some(other) = self.broker.line_of(&connect.client_id) {
            self.close(other);
        }
        let id = self.broker.connect(line, &connect, &self.config);
        if let Some(connection) = self.lines.get_mut(&line) {
            // 3.1.2-24
            let patience = u64::from(connect.keep_alive) * 1500;
            let patience = Some(patience).filter(|patience| *patience > 0);
            connection.client = Some(Client { id, patience, will: connect.will });
        }
        self.send();
    }

    fn refuse(&mut self, line: Line, code: ConnectReturnCode) {
        self.say(line, &Packet::ConnAck(ConnAck::new(code, false)));
        self.close(line);
    }

    fn serve(&mut self, line: Line, client: &str, packet: Packet) {
        match packet {
            Packet::Publish(publish) => {
                let message = self.broker.published(client, publish);
                self.send();
                if let Some(message) = message {
                    self.publish(message);
                }
            }
            Packet::PubRel(release) => {
                self.broker.released(client, release.pkid);
                self.send();
            }
            Packet::PubAck(_) | Packet::PubRec(_) | Packet::PubComp(_) => {
                self.broker.acknowledged(client, &packet, &self.config);
                self.send();
            }
            Packet::Subscribe(subscribe) => {
                self.broker.subscribe(client, &subscribe, &self.config);
                self.send();
            }
            Packet::Unsubscribe(unsubscribe) => {
                self.broker.unsubscribe(client, &unsubscribe);
                self.send();
            }
            Packet::PingReq => self.say(line, &Packet::PingResp),
            Packet::Disconnect => {
                if let Some(client) = self.lines.get_mut(&line).and_then(|it| it.client.as_mut()) {
                    // 3.14.4-3
                    client.will = None;
                }
                self.close(line);
            }
            _ => self.close(line),
        }
    }

    // ---- messages -----------------------------------------------------------------------------

    /// A message of the LAN: for the LAN, and for the cloud.
    fn publish(&mut self, message: Message) {
        self.broker.route(&message, &self.config);
        self.send();
        if self.config.transmission {
            self.satellite.take(self.now, message);
            self.settle();
        }
    }

    /// A message of the cloud, if the device is meant.
    fn deliver(&mut self, message: Message) {
        let meant = |filter: &MtFilter| filter.fits(message.topic.as_bytes());
        if self.config.mt_filters.iter().any(meant) {
            self.held.push_back(message);
            self.settle();
        }
    }

    /// Sends over the satellite what is to be sent now, in both directions.
    fn settle(&mut self) {
        if self.now < self.boots_until {
            return;
        }
        let sent = self.satellite.settle(self.now);
        self.cloud.publish(sent);
        if !self.satellite.has_sky() || self.is_silent() {
            return;
        }
        while let Some(message) = self.held.pop_front() {
            if self.satellite.lets_in(&message) {
                let message = Message { qos: self.config.mt_qos, ..message };
                self.broker.route(&message, &self.config);
            }
        }
        self.send();
    }

    // ---- the end of a line --------------------------------------------------------------------

    /// The box closes a line; what is on its way is still delivered.
    fn close(&mut self, line: Line) {
        let Some(connection) = self.lines.get_mut(&line) else {
            return;
        };
        connection.closed = true;
        connection.input.clear();
        let Some(client) = connection.client.take() else {
            return;
        };
        self.broker.leave(&client.id);
        // 3.1.2-8
        if let Some(will) = client.will {
            self.publish(will);
        }
    }

    /// The line is gone at once, with all that was on it.
    fn cut(&mut self, line: Line) {
        self.close(line);
        self.lines.remove(&line);
    }

    fn restart_now(&mut self) {
        // What is on the wire has left the box.
        self.lines.retain(|_, connection| {
            connection.closed = true;
            connection.client = None;
            connection.output.clear();
            !connection.wire.is_empty()
        });
        self.broker.restart(&self.config);
        if !self.config.survives.queue {
            self.satellite.forget();
        }
        self.faults.packets = 0;
        self.boots_until = self.now + self.config.boot;
    }

    // ---- output -------------------------------------------------------------------------------

    /// Sends what the broker wants sent.
    fn send(&mut self) {
        for (line, packet) in self.broker.take() {
            self.say(line, &packet);
        }
    }

    fn say(&mut self, line: Line, packet: &Packet) {
        if self.is_silent() {
            return;
        }
        let mut bytes = packet::write(packet);
        let copies = match packet {
            Packet::Publish(_) => 1,
            _ => self.acknowledge(&mut bytes),
        };
        let due = self.now + self.config.answer;
        if let Some(connection) = self.lines.get_mut(&line) {
            connection.output.extend(vec![(due, bytes); copies]);
        }
    }

    /// What faults make of an acknowledgement, and how often it comes.
    fn acknowledge(&mut self, bytes: &mut Vec<u8>) -> usize {
        self.faults.answers += 1;
        let nth = self.faults.answers;
        let strikes = |fault| self.config.faults.contains(&fault);
        if strikes(Fault::WrongId(nth)) {
            misname(bytes);
        }
        if strikes(Fault::Short(nth)) {
            shorten(bytes);
        }
        1 + usize::from(strikes(Fault::Twice(nth)))
    }

    /// Puts on the wire what is due.
    fn release(&mut self, line: Line) {
        while let Some(connection) = self.lines.get_mut(&line) {
            let now = self.now;
            let due = |packet: &&mut (u64, Vec<u8>)| packet.0 <= now;
            let Some((_, bytes)) = connection.output.front_mut().filter(due) else {
                return;
            };
            let bytes = std::mem::take(bytes);
            connection.output.pop_front();
            for byte in bytes {
                match self.faults.injector.next(byte) {
                    Fate::Reboot => return self.restart_now(),
                    Fate::Bytes(bytes) => connection.wire.extend(bytes),
                }
                self.faults.sent += 1;
                if self.config.faults.contains(&Fault::CutTx(self.faults.sent)) {
                    connection.output.clear();
                    return self.close(line);
                }
            }
        }
    }
}

fn opens(login: &Login, connect: &Connect) -> bool {
    connect.user.as_ref() == Some(&login.user)
        && connect.password.as_deref() == Some(login.password.as_bytes())
}

/// Another packet identifier for an acknowledgement that has one.
fn misname(bytes: &mut [u8]) {
    const CONNACK: u8 = 0x20;
    if let [first, _, high, low, ..] = bytes {
        if *first != CONNACK {
            let id = u16::from_be_bytes([*high, *low]);
            [*high, *low] = id.checked_add(1).unwrap_or(1).to_be_bytes();
        }
    }
}

/// An acknowledgement without its last byte, and with the length that it then has.
fn shorten(bytes: &mut Vec<u8>) {
    if let Some(length @ 1..=127) = bytes.get_mut(1) {
        *length -= 1;
        bytes.pop();
    }
}
