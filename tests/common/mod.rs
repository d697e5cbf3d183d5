//! A driver's machine, an emulated modem and an in-memory broker, joined under
//! virtual time: nothing sleeps, and a test that waits for minutes takes
//! milliseconds.

#![allow(dead_code, reason = "each test uses its part")]

use hayes::{
    Instant, Machine, Operation,
    mqtt::{ConnectOptions, Error, Event, Network, Publish, QoS, Subscription, TopicFilter},
};
use hayes_emulator::{luat, network::Loopback, simcom};

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
    /// Bytes per read of the driver.
    pub chunk: usize,
    /// Everything that went over the wire: host to modem, modem to host.
    pub host: Vec<u8>,
    pub wire: Vec<(bool, Vec<u8>)>,
    /// Whether bytes reach the other side.
    pub plugged: bool,
    /// What happens to one byte on its way.
    pub trouble: Option<Trouble>,
    /// Bytes that went each way since the trouble was set.
    passed: [usize; 2],
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
    /// Nothing passes any more, in either direction.
    Unplug,
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
    pub fn of(driver: D, modem: M) -> Self {
        Self {
            driver,
            modem,
            broker: Loopback::new(),
            now: 0,
            chunk: 64,
            host: Vec::new(),
            wire: Vec::new(),
            plugged: true,
            trouble: None,
            passed: [0; 2],
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

    /// What arrives of `bytes`.
    fn carry(&mut self, to_modem: bool, bytes: &[u8]) -> Vec<u8> {
        let mut arrived = Vec::new();
        for byte in bytes {
            let at = self.passed[usize::from(to_modem)];
            self.passed[usize::from(to_modem)] += 1;
            if !self.plugged {
                continue;
            }
            match self.trouble.as_ref().filter(|t| t.to_modem == to_modem && t.at == at) {
                None => arrived.push(*byte),
                Some(trouble) => match &trouble.kind {
                    Kind::Drop => {}
                    Kind::Garble => arrived.push(byte ^ 0x15),
                    Kind::Repeat => arrived.extend([*byte, *byte]),
                    Kind::Insert(bytes) => {
                        arrived.extend_from_slice(bytes);
                        arrived.push(*byte);
                    }
                    Kind::Unplug => self.plugged = false,
                },
            }
        }
        arrived
    }

    fn time(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    /// Carries what is due now; whether there was anything.
    pub fn exchange(&mut self, operation: Option<&Operation<'_>>) -> bool {
        let mut busy = false;
        while let Some(bytes) = self.driver.transmit(operation, Instant::from_millis(self.now)) {
            let bytes = bytes.to_vec();
            self.driver.sent(bytes.len());
            self.host.extend_from_slice(&bytes);
            self.wire.push((true, bytes.clone()));
            let bytes = self.carry(true, &bytes);
            self.modem.receive(self.now, &bytes);
            busy = true;
        }
        self.broker.exchange(&mut self.modem, self.now);
        let bytes = self.modem.transmit(self.now);
        let bytes = self.carry(false, &bytes);
        for piece in bytes.chunks(self.chunk) {
            self.driver.receive(piece, Instant::from_millis(self.now));
            busy = true;
        }
        if !bytes.is_empty() {
            self.wire.push((false, bytes));
        }
        busy
    }

    /// Lets time pass to whatever is due next; `false` if nothing is.
    pub fn advance(&mut self) -> bool {
        let driver = self.driver.deadline().map(Instant::as_millis);
        let next = [driver, self.modem.deadline()].into_iter().flatten().min();
        let Some(next) = next else { return false };
        self.now = self.now.max(next);
        if driver.is_some_and(|at| at <= self.now) {
            self.driver.tick(self.time());
        }
        true
    }

    /// Lets everything come to rest without an operation, for at most `ms`.
    pub fn idle(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            while self.exchange(None) {}
            let driver = self.driver.deadline().map(Instant::as_millis);
            let next = [driver, self.modem.deadline()].into_iter().flatten().min();
            match next.filter(|next| *next <= end) {
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
        self.start(operation)?;
        let began = self.now;
        for _ in 0..100_000 {
            while self.exchange(Some(operation)) {}
            if let Some(outcome) = self.driver.outcome() {
                return outcome;
            }
            assert!(self.advance(), "{:?} hangs: nothing is due", operation.verb());
            assert!(self.now - began < HANGS, "{:?} hangs: an hour has passed", operation.verb());
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
        self.wire
            .iter()
            .map(|(host, bytes)| {
                format!("{} {}\n", if *host { '>' } else { '<' }, bytes.escape_ascii())
            })
            .collect()
    }
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
