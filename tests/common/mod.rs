//! A driver's machine, an emulated modem and an in-memory broker, joined under
//! virtual time: nothing sleeps, and a test that waits for minutes takes
//! milliseconds.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::VecDeque;

use hayes::{
    Instant, Machine, Operation,
    mqtt::{ConnectOptions, Error, Event, Loss, Network, Publish, QoS, Subscription, TopicFilter},
};
use hayes_emulator::{luat, network::Loopback, rockremote, simcom};

/// How long any operation may take before a test says that it hangs, in ms.
const HANGS: u64 = 3_600_000;

/// A driver and the modem that it drives.
pub type Simcom = Rig<hayes_simcom::Machine<256, 16384>, simcom::Modem>;
pub type Luat = Rig<hayes_luat::Machine<320, 16384>, luat::Modem>;

/// An event that outlives its inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Message(u8, String, Vec<u8>),
    Other(String),
}

pub struct Rig<D, M> {
    pub driver: D,
    pub modem: M,
    pub broker: Loopback,
    pub now: u64,
    /// Bytes per read of the driver, or the seed of random ones.
    pub chunk: usize,
    pub splits: Option<u64>,
    /// Everything that went over the wire: host to modem, modem to host.
    pub host: Vec<u8>,
    pub wire: Vec<(bool, Vec<u8>)>,
    /// Whether bytes reach the other side.
    pub plugged: bool,
    /// The transport is a connection: what was on the old one is gone with it.
    pub stream: bool,
    /// What happens to one byte on its way.
    pub trouble: Option<Trouble>,
    /// Bytes that went each way since the trouble was set.
    passed: [usize; 2],
    /// Nothing passes any more, to the host or to the modem.
    mute: [bool; 2],
    /// Bytes of the modem that are late, when they arrive, and whether they do
    /// so before the driver is told the time.
    held: Option<Held>,
    /// The driver knows that the modem has hung up.
    closed: bool,
}

/// Bytes that are late.
struct Held {
    bytes: VecDeque<u8>,
    until: u64,
    before_tick: bool,
}

/// What happens to the byte at `at` on its way, counted from when it was set.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// From the host to the modem, or the other way.
    pub to_modem: bool,
    pub at: usize,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Drop,
    Garble,
    Repeat,
    /// These bytes come before it.
    Insert(Vec<u8>),
    /// These bytes come after it.
    Append(Vec<u8>),
    /// Nothing passes any more, in either direction.
    Unplug,
    /// Nothing passes any more in this direction.
    Mute,
    /// The modem restarts; what it was about to say is lost.
    Reboot,
    /// The connection to the broker is lost.
    Lose,
    /// It and all that follows to the host waits until so many milliseconds
    /// after the deadline that the driver has now; on the same millisecond, it
    /// comes before the driver is told the time, or after.
    Hold {
        after_ms: i64,
        before_tick: bool,
    },
}

impl Simcom {
    pub fn new(config: simcom::Config) -> Self {
        Self::with(config, hayes_simcom::Settings::new())
    }

    pub fn with(config: simcom::Config, settings: hayes_simcom::Settings) -> Self {
        Self::of(hayes_simcom::machine(settings), simcom::Modem::new(config))
    }
}

impl Luat {
    pub fn new(config: luat::Config) -> Self {
        Self::with(config, hayes_luat::Settings::new())
    }

    pub fn with(config: luat::Config, settings: hayes_luat::Settings) -> Self {
        Self::of(hayes_luat::machine(settings), luat::Modem::new(config))
    }
}

impl<D: Machine, M: hayes_emulator::Modem> Rig<D, M> {
    pub fn of(mut driver: D, modem: M) -> Self {
        driver.opened();
        Self {
            driver,
            modem,
            broker: Loopback::new(),
            now: 0,
            chunk: 64,
            splits: None,
            host: Vec::new(),
            wire: Vec::new(),
            plugged: true,
            stream: false,
            trouble: None,
            passed: [0; 2],
            mute: [false; 2],
            held: None,
            closed: false,
        }
    }

    pub fn trouble(&mut self, to_modem: bool, at: usize, kind: Kind) {
        self.passed = [0; 2];
        self.trouble = Some(Trouble { to_modem, at, kind });
    }

    /// How many bytes passed in that direction since the trouble was set.
    pub fn passed(&self, to_modem: bool) -> usize {
        self.passed[usize::from(to_modem)]
    }

    /// The trouble is over, and what was late is there or gone.
    pub fn mend(&mut self) {
        self.trouble = None;
        self.plugged = true;
        self.mute = [false; 2];
    }

    /// Whether there are bytes that have not arrived yet.
    pub const fn is_late(&self) -> bool {
        self.held.is_some()
    }

    /// The host opens its transport anew. Where that is a serial line, nobody
    /// notices.
    pub fn reopen(&mut self) {
        self.held.take_if(|_| self.stream);
        self.modem.host_arrives(self.now);
        for _ in 0..100 {
            if !self.modem.hung_up() {
                break;
            }
            self.now += 1_000;
            self.modem.transmit(self.now);
            self.modem.host_arrives(self.now);
        }
        self.driver.opened();
        self.closed = false;
    }

    /// What arrives of `bytes`, and whether the modem is struck after so many
    /// of them.
    fn carry(&mut self, to_modem: bool, bytes: &[u8]) -> (Vec<u8>, Option<(usize, Kind)>) {
        let mut arrived = Vec::new();
        let mut struck = None;
        for byte in bytes {
            let at = self.passed[usize::from(to_modem)];
            self.passed[usize::from(to_modem)] += 1;
            let trouble = self.trouble.as_ref().filter(|t| t.to_modem == to_modem && t.at == at);
            let kind = trouble.map(|trouble| trouble.kind.clone());
            match &kind {
                Some(Kind::Unplug) => self.plugged = false,
                Some(Kind::Mute) => self.mute[usize::from(to_modem)] = true,
                Some(Kind::Reboot | Kind::Lose) => {
                    struck = kind.clone().map(|k| (arrived.len(), k))
                }
                Some(Kind::Hold { after_ms, before_tick }) => {
                    let deadline = self.driver.deadline().map_or(self.now, Instant::as_millis);
                    let until = deadline.saturating_add_signed(*after_ms).max(self.now);
                    let bytes = VecDeque::new();
                    self.held = Some(Held { bytes, until, before_tick: *before_tick });
                }
                _ => {}
            }
            if !self.plugged || self.mute[usize::from(to_modem)] {
                continue;
            }
            if let Some(held) = self.held.as_mut().filter(|_| !to_modem) {
                held.bytes.push_back(*byte);
                continue;
            }
            match kind {
                Some(Kind::Drop) => {}
                Some(Kind::Garble) => arrived.push(byte ^ 0x15),
                Some(Kind::Repeat) => arrived.extend([*byte, *byte]),
                Some(Kind::Insert(bytes)) => {
                    arrived.extend_from_slice(&bytes);
                    arrived.push(*byte);
                }
                Some(Kind::Append(bytes)) => {
                    arrived.push(*byte);
                    arrived.extend_from_slice(&bytes);
                }
                _ => arrived.push(*byte),
            }
        }
        (arrived, struck)
    }

    fn strike(&mut self, kind: &Kind) {
        match kind {
            Kind::Reboot => self.modem.reboot(self.now),
            Kind::Lose => self.modem.lose(self.now, 0, 1),
            _ => {}
        }
    }

    /// Carries bytes of the host to the modem.
    fn bring(&mut self, bytes: &[u8]) {
        self.host.extend_from_slice(bytes);
        self.wire.push((true, bytes.to_vec()));
        let (arrived, struck) = self.carry(true, bytes);
        let Some((at, kind)) = struck else { return self.modem.receive(self.now, &arrived) };
        let (before, after) = arrived.split_at(at);
        self.modem.receive(self.now, before);
        self.strike(&kind);
        self.modem.receive(self.now, after);
    }

    /// What the driver receives now.
    fn fetch(&mut self) -> Vec<u8> {
        let bytes = self.modem.transmit(self.now);
        let (mut arrived, struck) = self.carry(false, &bytes);
        if let Some((at, kind)) = struck {
            if matches!(kind, Kind::Reboot) {
                arrived.truncate(at);
            }
            self.strike(&kind);
        }
        if let Some(held) = self.held.take_if(|held| held.until <= self.now) {
            arrived.extend(held.bytes);
        }
        arrived
    }

    /// Lets the driver read `bytes`.
    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let size = self.splits.as_mut().map_or(self.chunk, |seed| {
                *seed = next(*seed);
                usize::try_from(*seed % 12).expect("small") + 1
            });
            let (piece, rest) = bytes.split_at(size.min(bytes.len()));
            self.driver.receive(piece, Instant::from_millis(self.now));
            bytes = rest;
        }
    }

    /// Carries what the driver has to say; whether there was anything.
    fn send(&mut self, operation: Option<&Operation<'_>>) -> bool {
        let mut busy = false;
        while let Some(bytes) = self.driver.transmit(operation, Instant::from_millis(self.now)) {
            let bytes = bytes.to_vec();
            self.driver.sent(bytes.len());
            self.bring(&bytes);
            busy = true;
        }
        busy
    }

    fn time(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    /// Carries what is due now; whether there was anything.
    pub fn exchange(&mut self, operation: Option<&Operation<'_>>) -> bool {
        let sent = self.send(operation);
        self.broker.exchange(&mut self.modem, self.now);
        let bytes = self.fetch();
        let read = !bytes.is_empty();
        if read {
            self.wire.push((false, bytes.clone()));
            self.read(&bytes);
        }
        if !sent && !read && self.modem.hung_up() && !self.closed {
            self.closed = true;
            self.driver.closed();
        }
        sent || read
    }

    /// When something is due next.
    fn next_due(&self) -> Option<u64> {
        let driver = self.driver.deadline().map(Instant::as_millis);
        let held = self.held.as_ref().map(|held| held.until);
        [driver, self.modem.deadline(), held].into_iter().flatten().min()
    }

    /// Lets time pass to whatever is due next; `false` if nothing is.
    pub fn advance(&mut self) -> bool {
        let Some(next) = self.next_due() else { return false };
        self.now = self.now.max(next);
        let late = self.held.take_if(|held| held.before_tick && held.until <= self.now);
        if let Some(held) = late {
            let bytes: Vec<u8> = held.bytes.into();
            self.wire.push((false, bytes.clone()));
            self.driver.receive(&bytes, self.time());
        }
        if self.driver.deadline().is_some_and(|at| at <= self.time()) {
            self.driver.tick(self.time());
        }
        true
    }

    /// Lets everything come to rest without an operation, for at most `ms`.
    pub fn idle(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            while self.exchange(None) {}
            match self.next_due().filter(|next| *next <= end) {
                Some(_) => self.advance(),
                None => break,
            };
        }
        self.now = end;
    }

    pub fn start(&mut self, operation: &Operation<'_>) -> Result<(), Error> {
        self.driver.start(operation, self.time())
    }

    /// Runs an operation to its end.
    pub fn run(&mut self, operation: &Operation<'_>) -> Result<(), Error> {
        self.run_with(operation, |_| {})
    }

    /// The same, and calls `turn` before each turn.
    pub fn run_with(
        &mut self,
        operation: &Operation<'_>,
        mut turn: impl FnMut(&mut Self),
    ) -> Result<(), Error> {
        self.start(operation)?;
        let mut waited = 0;
        for _ in 0..100_000 {
            turn(self);
            while self.exchange(Some(operation)) {
                turn(self);
            }
            if let Some(outcome) = self.driver.outcome() {
                return outcome;
            }
            if self.closed {
                // What the client says of its transport.
                return Err(Error::Lost(Loss::Closed(None)));
            }
            let before = self.now;
            assert!(self.advance(), "{:?} hangs: nothing is due", operation.verb());
            waited += self.now.saturating_sub(before);
            assert!(waited < HANGS, "{:?} hangs: an hour has passed", operation.verb());
        }
        panic!("{:?} spins", operation.verb());
    }

    /// Runs an operation until `stop`, then drops it as a dropped future does.
    pub fn run_and_drop(&mut self, operation: &Operation<'_>, mut stop: impl FnMut(&Self) -> bool) {
        self.start(operation).expect("accepted");
        loop {
            let busy = self.exchange(Some(operation));
            if stop(self) || self.driver.outcome().is_some() {
                break;
            }
            if !busy && !self.advance() {
                break;
            }
        }
        self.driver.abandon(0);
    }

    pub fn bring_up(&mut self) -> Result<(), Error> {
        self.run(&Operation::BringUp(&Network::new()))
    }

    pub fn connect(&mut self) -> Result<(), Error> {
        let options = ConnectOptions::new("broker.example", 1883, "device-7").expect("valid");
        self.run(&Operation::Connect(&options))
    }

    pub fn publish(&mut self, topic: &str, payload: &[u8], qos: QoS) -> Result<(), Error> {
        let publish = Publish::new(topic, payload).expect("valid").qos(qos);
        self.run(&Operation::Publish(&publish))
    }

    pub fn subscribe(&mut self, filter: &str) -> Result<(), Error> {
        let filter = Subscription::new(filter, QoS::AtLeastOnce).expect("valid");
        self.run(&Operation::Subscribe(&[filter]))
    }

    pub fn unsubscribe(&mut self, filter: &str) -> Result<(), Error> {
        let filter = TopicFilter::new(filter).expect("valid");
        self.run(&Operation::Unsubscribe(&[filter]))
    }

    /// A message from elsewhere, all the way to the driver.
    pub fn deliver(&mut self, topic: &str, payload: &[u8]) {
        self.broker.publish(topic.as_bytes(), payload, false);
        self.broker.exchange(&mut self.modem, self.now);
        self.idle(1_000);
    }

    /// All events so far.
    pub fn events(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        while let Some(event) = self.driver.event() {
            heard.push(match event {
                Event::Message(m) => {
                    let topic = String::from_utf8_lossy(m.topic).into_owned();
                    Heard::Message(m.session, topic, m.payload.to_vec())
                }
                other => Heard::Other(format!("{other:?}")),
            });
        }
        heard
    }

    /// The dialogue so far, escaped, one line a direction change.
    pub fn transcript(&self) -> String {
        let turns = self.wire.chunk_by(|(before, _), (after, _)| before == after);
        turns
            .map(|turn| {
                let bytes: Vec<u8> = turn.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
                let mark = if turn[0].0 { '>' } else { '<' };
                let text = bytes.escape_ascii().to_string();
                format!("{mark} {}\n", text.replace(&"\\r".repeat(64), "(64 \\r)"))
            })
            .collect()
    }
}

/// Marsaglia's xorshift: random, and the same in every run.
pub fn next(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

/// A line as a modem prints it.
pub fn framed(line: &str) -> Vec<u8> {
    format!("\r\n{line}\r\n").into_bytes()
}

pub fn message(topic: &str, payload: &[u8]) -> Heard {
    Heard::Message(0, topic.into(), payload.to_vec())
}

pub fn config(family: simcom::Family) -> simcom::Config {
    simcom::Config { family, ..simcom::Config::default() }
}

pub fn luat_config(family: luat::Family) -> luat::Config {
    luat::Config { family, ..luat::Config::default() }
}

/// A box that sends at once, lets every message in, and takes two seconds to
/// boot.
pub fn rock_config() -> rockremote::Config {
    rockremote::Config {
        queue: rockremote::Queue::IMMEDIATELY,
        mt_filters: vec!["#".parse().expect("a filter")],
        boot: 2_000,
        ..rockremote::Config::default()
    }
}

/// Runs `operation` on a modem that answers from a table: nothing but OK where
/// it has no line, nothing at all where its answer is empty. The lines that it
/// was sent, and the outcome.
pub fn answered(
    driver: &mut impl Machine,
    operation: &Operation<'_>,
    table: &[(&str, &str)],
) -> (Vec<String>, Result<(), Error>) {
    let mut now = 0;
    driver.start(operation, Instant::from_millis(now)).unwrap();
    let (lines, outcome) = dialogue(driver, operation, table, &mut now);
    (lines, outcome.unwrap())
}

/// The same of an operation that was started, until it has its outcome or the
/// answer is `>`: the prompt was given then.
pub fn dialogue(
    driver: &mut impl Machine,
    operation: &Operation<'_>,
    table: &[(&str, &str)],
    now: &mut u64,
) -> (Vec<String>, Option<Result<(), Error>>) {
    let (mut line, mut lines) = (Vec::new(), Vec::new());
    loop {
        let time = Instant::from_millis(*now);
        line.extend(transmitted(driver, Some(operation), time));
        if line.ends_with(b"\r") || line.ends_with(b"\n") {
            let text = String::from_utf8(std::mem::take(&mut line)).unwrap().trim().to_owned();
            let row = table.iter().find(|(start, _)| text.starts_with(start));
            let answer = row.map_or("OK", |(_, answer)| *answer);
            lines.push(text);
            if answer == ">" {
                driver.receive(b"\r\n>", time);
                return (lines, None);
            }
            for answer in answer.split('|') {
                driver.receive(&framed(answer), time);
            }
        } else if let Some(next) = driver.deadline() {
            *now = next.as_millis();
            driver.tick(next);
        }
        if let Some(outcome) = driver.outcome() {
            return (lines, Some(outcome));
        }
        assert!(lines.len() < 100, "a loop: {lines:?}");
    }
}

/// All that goes out now.
pub fn transmitted(
    driver: &mut impl Machine,
    operation: Option<&Operation<'_>>,
    now: Instant,
) -> Vec<u8> {
    let mut sent = Vec::new();
    while let Some(bytes) = driver.transmit(operation, now).map(<[u8]>::to_vec) {
        driver.sent(bytes.len());
        sent.extend(bytes);
    }
    sent
}
