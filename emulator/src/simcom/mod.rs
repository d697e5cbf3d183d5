//! A SIMCom modem without I/O and without a clock. Bytes of the host go in, bytes for the host
//! come out; what it wants from the network comes out as [`Request`]s and goes in as [`Reply`]s.
//! Time is an argument, in milliseconds of any epoch that does not run backwards.
//!
//! It knows the state of the module and the byte dialect. It must never know a transport, a
//! broker or a driver. Facts come from the AT manuals and from logs; where both are silent, the
//! choice is marked by a comment that says so.

mod command;
mod config;
mod family;
mod general;
mod mqtt;
mod tls;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

pub use crate::network::{Action, ConnectOptions, Reply, Request, TlsOptions, Will};
pub use config::{BootState, Config, Delays, Registration, Sim};
pub use family::{Family, ParseFamilyError};

use crate::fault::Dice;
use crate::{Fault, Quirk};
use command::{Command, Form};
use family::Traits;
use wire::Output;

/// A number of `+CME ERROR` and its words (numbers as in a log of an A7608SA).
type Cme = (u16, &'static str);

const SIM_NOT_INSERTED: Cme = (10, "SIM not inserted");
const SIM_BUSY: Cme = (14, "SIM busy");
const INCORRECT_PASSWORD: Cme = (16, "incorrect password");
const SIM_FAILURE: Cme = (313, "SIM failure");
const NOT_SUBSCRIBED: Cme = (33, "requested service option not subscribed (#33)");

/// How a command is answered.
enum Answer {
    Ok,
    /// OK, so many milliseconds later than other commands.
    Later(u64),
    Error,
    /// Information lines, then OK.
    Lines(Vec<String>),
    Cme(Cme),
    /// The result line with a code, then ERROR.
    Refused(String),
    /// OK, then the result line.
    Then(String),
    /// The result line and OK in the order of the family, a while later.
    Slow {
        result: String,
        code: u8,
    },
    /// A prompt for so many bytes.
    Prompt(usize, Purpose),
    /// Nothing yet: the network decides.
    Wait,
}

/// `Err` is an answer as well: the one that ends a command early.
type Outcome = Result<Answer, Answer>;
type Handler = fn(&mut Modem, &Form) -> Outcome;

/// What entered data is for. The number is the client.
enum Purpose {
    Topic(usize),
    Payload(usize),
    WillTopic(usize),
    WillMessage(usize, u8),
    SubTopic(usize, u8),
    Subscribe(usize, u8),
    UnsubTopic(usize),
    Unsubscribe(usize),
    Publish(usize, mqtt::ArgumentPublish),
    File(String),
}

struct Entry {
    need: usize,
    data: Vec<u8>,
    purpose: Purpose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Power {
    On,
    Booting,
    Off,
}

#[derive(Debug, Clone, Copy)]
enum Timer {
    BootLine,
    SimRead,
    Ready(&'static str),
    Registered,
    Restart,
    PowerDown,
    OperationTimeout { client: usize, id: u32 },
    StrayOk,
}

/// Lines of a URC storm: seen in logs, and none of them means that something was lost.
const STORM: &[&str] = &[
    "+CGEV: EPS PDN ACT 1",
    "+CGEV: ME PDN ACT 8,4",
    "+CREG: 1",
    "+MSTK: 14",
    "+MSTK: 11, \"D00D8103010500820281829902090A\"",
    "DST: 0",
    "*PSUTTZ: 26/11/20,12:00:00\",\"+04\",1",
    "OVER-VOLTAGE WARNNING",
];

/// The modem.
pub struct Modem {
    config: Config,
    traits: Traits,
    now: u64,
    power: Power,
    out: Output,
    storm: Dice,
    timers: BTreeMap<(u64, u64), Timer>,
    timers_set: u64,
    input: VecDeque<u8>,
    line: Vec<u8>,
    entry: Option<Entry>,
    /// A LF now would belong to the CR before it: it is ignored even where a prompt follows,
    /// unless the host has seen the prompt already.
    after_cr: bool,
    /// The command in flight ends at this time; input waits until then.
    busy_until: u64,
    /// The command in flight waits for the network; input waits as well.
    blocked: bool,
    received: u64,
    commands: u64,
    requests: Vec<Request>,
    general: general::State,
    tls: tls::State,
    mqtt: mqtt::Service,
}

impl Modem {
    /// A modem at time zero.
    pub fn new(config: Config) -> Self {
        let mut modem = Modem {
            traits: Traits::of(&config),
            now: 0,
            power: Power::On,
            out: Output::new(&config.faults, config.seed),
            storm: Dice::new(config.seed),
            timers: BTreeMap::new(),
            timers_set: 0,
            input: VecDeque::new(),
            line: Vec::new(),
            entry: None,
            after_cr: false,
            busy_until: 0,
            blocked: false,
            received: 0,
            commands: 0,
            requests: Vec::new(),
            general: general::State::new(&config),
            tls: tls::State::new(config.family),
            mqtt: mqtt::Service::default(),
            config,
        };
        match modem.config.boot {
            BootState::AlreadyOn => modem.found_running(),
            BootState::ColdBoot => modem.start(),
        }
        modem
    }

    /// The host sent these bytes.
    pub fn receive(&mut self, now_ms: u64, bytes: &[u8]) {
        self.advance(now_ms);
        for byte in bytes {
            self.received += 1;
            if !self.config.faults.contains(&Fault::RxDrop(self.received)) {
                self.input.push_back(*byte);
            }
        }
        self.advance(now_ms);
    }

    /// The bytes for the host that are due now, maybe none. With the fault `split` it is one byte
    /// a call, so call until nothing comes.
    pub fn transmit(&mut self, now_ms: u64) -> Vec<u8> {
        self.advance(now_ms);
        let bytes = self.out.take();
        let prompted = self.entry.is_some() && self.busy_until <= self.now;
        self.after_cr &= bytes.is_empty() || !prompted;
        bytes
    }

    /// When to call [`transmit`](Self::transmit) next, if nothing else happens before.
    pub fn deadline(&self) -> Option<u64> {
        let reading = !self.input.is_empty() && !self.blocked;
        [
            self.out.is_waiting().then_some(self.now),
            self.out.due(),
            self.timers.keys().next().map(|(at, _)| *at),
            reading.then_some(self.busy_until),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What the modem wants from the network, in order. Each request but
    /// [`Action::Abort`] is to be answered by one [`Reply::Done`].
    pub fn requests(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    /// The network answers, or delivers a message, or breaks down.
    pub fn reply(&mut self, now_ms: u64, reply: Reply) {
        self.advance(now_ms);
        if self.power == Power::On {
            self.network_says(reply);
        }
        self.advance(now_ms);
    }

    /// Test handle: power is taken away and given back. What the host has not read is lost.
    pub fn power_cycle(&mut self, now_ms: u64) {
        self.advance(now_ms);
        while !self.out.take().is_empty() {}
        self.start();
    }

    /// Test handle: the firmware restarts by itself, without a word before the boot lines.
    pub fn reboot(&mut self, now_ms: u64) {
        self.advance(now_ms);
        self.start();
        self.advance(now_ms);
    }

    /// Test handle: an unsolicited line, without its line ends.
    pub fn urc(&mut self, now_ms: u64, line: &str) {
        self.advance(now_ms);
        self.out.unasked(now_ms, framed(line));
        self.advance(now_ms);
    }

    /// Test handle: the radio network goes (bearer, sockets and MQTT service with it) or comes
    /// back.
    pub fn set_network(&mut self, now_ms: u64, up: bool) {
        self.advance(now_ms);
        self.network_changes(up);
        self.advance(now_ms);
    }

    /// Test handle: the connection of a client is lost; `cause` is 1 closed by the peer, 2 reset,
    /// 3 network closed. The network side is told to drop it.
    pub fn lose(&mut self, now_ms: u64, client: u8, cause: u8) {
        self.advance(now_ms);
        self.request(client, Action::Abort);
        self.network_says(Reply::Lost { client, cause });
        self.advance(now_ms);
    }

    /// Test handle: the keep-alive of a client fails with this code (`+CMQTTPING`).
    pub fn ping_failed(&mut self, now_ms: u64, client: u8, code: u8) {
        self.advance(now_ms);
        self.keep_alive_fails(client, code);
        self.advance(now_ms);
    }

    /// Whether a client is connected, for assertions.
    pub fn is_connected(&self, client: u8) -> bool {
        self.mqtt.is_connected(client)
    }

    // ---- time ---------------------------------------------------------------------------------

    /// Brings the modem to this time: everything that is due happens in order.
    fn advance(&mut self, now: u64) {
        let now = now.max(self.now);
        loop {
            let timer = self.timers.keys().next().map(|(at, _)| *at).filter(|at| *at <= now);
            let block = self.out.due().filter(|at| *at <= now);
            match (block, timer) {
                (Some(block), timer) if timer.is_none_or(|timer| block <= timer) => {
                    self.now = self.now.max(block);
                    if !self.out.release() {
                        self.start();
                    }
                }
                (_, Some(timer)) => {
                    self.now = self.now.max(timer);
                    self.next_timer();
                }
                _ if self.reads_input(now) => {}
                _ => break,
            }
        }
        self.now = now;
    }

    fn set_timer(&mut self, at: u64, timer: Timer) {
        self.timers.insert((at, self.timers_set), timer);
        self.timers_set += 1;
    }

    fn next_timer(&mut self) {
        let Some((_, timer)) = self.timers.pop_first() else {
            return;
        };
        match timer {
            Timer::BootLine => self.boot_line(),
            Timer::SimRead => self.sim_read(),
            Timer::Ready(line) => self.out.unasked(self.now, framed(line)),
            Timer::Registered => self.registered(),
            Timer::Restart => self.start(),
            Timer::PowerDown => self.stop(),
            Timer::OperationTimeout { client, id } => self.operation_times_out(client, id),
            Timer::StrayOk => self.out.unasked(self.now, framed("OK")),
        }
    }

    // ---- power --------------------------------------------------------------------------------

    /// Everything volatile is gone; the files stay.
    fn stop(&mut self) {
        self.mqtt.abort_all(&mut self.requests);
        let echo = self.general.echo;
        self.general = general::State::after_restart(&self.config, &self.general);
        if self.config.quirks.has(Quirk::EchoSticky) {
            self.general.echo = echo;
        }
        self.tls.restart(self.config.family);
        self.mqtt = self.mqtt.restarted();
        self.timers.clear();
        self.out.forget(self.now);
        self.input.clear();
        self.line.clear();
        self.entry = None;
        self.after_cr = false;
        self.busy_until = self.now;
        self.blocked = false;
        self.commands = 0;
        self.power = Power::Off;
    }

    /// (Re)starts the modem.
    fn start(&mut self) {
        self.stop();
        self.power = Power::Booting;
        self.set_timer(self.now + self.delays().boot, Timer::BootLine);
    }

    fn delays(&self) -> Delays {
        let mut delays = self.config.delays;
        if self.config.quirks.has(Quirk::SlowBoot) {
            delays.boot += 8000;
            delays.registration += 10_000;
        }
        delays
    }

    // ---- input --------------------------------------------------------------------------------

    /// Takes the next thing from the input; false if there is nothing to take by this time.
    fn reads_input(&mut self, now: u64) -> bool {
        if self.power != Power::On {
            // A modem that boots is deaf (SEEN: several AT without answer before RDY).
            self.input.clear();
            return false;
        }
        if self.blocked || self.busy_until > now || self.input.is_empty() {
            return false;
        }
        self.now = self.now.max(self.busy_until);
        if self.entry.is_some() {
            self.reads_data()
        } else {
            self.reads_line()
        }
        true
    }

    fn reads_line(&mut self) {
        while let Some(byte) = self.input.pop_front() {
            match byte {
                b'\r' if self.line.is_empty() => {}
                b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    self.after_cr = true;
                    return self.executes(&line);
                }
                b'\n' if self.line.is_empty() => {}
                // One byte more than the buffer holds is enough to know that it overflowed.
                _ if self.line.len() > self.traits.command_buffer => {}
                _ => self.line.push(byte),
            }
        }
    }

    /// Exactly so many bytes, whatever they are: there is no way out and no time limit.
    fn reads_data(&mut self) {
        if std::mem::take(&mut self.after_cr) && self.input.front() == Some(&b'\n') {
            self.input.pop_front();
        }
        let Some(entry) = &mut self.entry else { return };
        let count = self.input.len().min(entry.need - entry.data.len());
        entry.data.extend(self.input.drain(..count));
        if entry.data.len() < entry.need {
            return;
        }
        let Some(Entry { data, purpose, .. }) = self.entry.take() else {
            return;
        };
        if self.general.echo {
            self.out.answer(self.now, data.clone());
        }
        let answer = self.entered(purpose, data).unwrap_or_else(|refusal| refusal);
        self.answers(answer);
    }

    fn executes(&mut self, line: &[u8]) {
        self.commands += 1;
        if self.is_silent() {
            return;
        }
        let lost = self.config.quirks.has(Quirk::LostEcho) && self.commands % 2 == 1;
        if self.general.echo && !lost {
            self.out.answer(self.now + self.config.delays.echo, [line, b"\r"].concat());
        }
        // What does not begin with AT is noise to an AT parser (V.250); the manuals are silent.
        if !command::is_command(line) {
            return;
        }
        let answer = match command::parse(line) {
            Some(command) if line.len() <= self.traits.command_buffer => self.runs(&command),
            _ => Answer::Error,
        };
        self.answers(answer);
    }

    fn is_silent(&self) -> bool {
        let limit = |fault: &Fault| matches!(fault, Fault::Silent(n) if self.commands > *n);
        self.config.faults.iter().any(limit)
    }

    fn runs(&mut self, command: &Command) -> Answer {
        let tables = [general::COMMANDS, tls::COMMANDS, mqtt::COMMANDS];
        let mut rows = tables.into_iter().flatten();
        match rows.find(|(name, _)| *name == command.name) {
            Some((_, handler)) => handler(self, &command.form).unwrap_or_else(|refusal| refusal),
            None => self.plain_setting(command),
        }
    }

    fn entered(&mut self, purpose: Purpose, data: Vec<u8>) -> Outcome {
        match purpose {
            Purpose::File(name) => {
                self.tls.store(name, data);
                Ok(Answer::Ok)
            }
            purpose => self.mqtt_entered(purpose, data),
        }
    }

    // ---- answers ------------------------------------------------------------------------------

    fn answers(&mut self, answer: Answer) {
        let at = self.now + self.config.delays.answer;
        match answer {
            Answer::Ok => self.ends(at, "OK"),
            Answer::Later(delay) => self.ends(at + delay, "OK"),
            Answer::Error => self.ends(at, "ERROR"),
            Answer::Lines(lines) => {
                // The lines of one answer share their line ends (SEEN with CCERTLIST).
                if !lines.is_empty() {
                    self.out.answer(at, format!("\r\n{}\r\n", lines.join("\r\n")).into_bytes());
                }
                self.ends(at, "OK");
            }
            Answer::Cme(cme) => self.ends_with_cme(at, cme),
            Answer::Refused(result) => self.refuses(at, &result),
            Answer::Then(result) => {
                self.ends(at, "OK");
                self.out.answer(at + self.config.delays.result, framed(&result));
            }
            Answer::Slow { result, code } => self.ends_slowly(at, &result, code),
            Answer::Prompt(need, purpose) => self.prompts(need, purpose),
            Answer::Wait => self.blocked = true,
        }
    }

    fn ends(&mut self, at: u64, result: &str) {
        let storms: u64 =
            self.config.faults.iter().map(|f| if let Fault::Storm(n) = f { *n } else { 0 }).sum();
        for _ in 0..storms {
            let line = STORM[self.storm.roll(STORM.len() as u64) as usize];
            self.out.answer(at, framed(line));
        }
        self.busy_until = self.out.answer(at, framed(result));
    }

    fn ends_with_cme(&mut self, at: u64, (number, words): Cme) {
        match self.general.cmee {
            0 => self.ends(at, "ERROR"),
            1 => self.ends(at, &format!("+CME ERROR: {number}")),
            _ => self.ends(at, &format!("+CME ERROR: {words}")),
        }
    }

    fn refuses(&mut self, at: u64, result: &str) {
        if self.config.quirks.has(Quirk::ErrorThenResult) {
            self.ends(at, "ERROR");
            self.out.answer(at + self.config.delays.result, framed(result));
        } else {
            self.out.answer(at, framed(result));
            self.ends(at, "ERROR");
        }
    }

    fn ends_slowly(&mut self, at: u64, result: &str, code: u8) {
        let late = at + self.config.delays.start;
        match (self.traits.result_first, code) {
            (true, 0) => {
                self.out.answer(late, framed(result));
                self.ends(late, "OK");
            }
            (true, _) => self.refuses(late, result),
            (false, _) => {
                self.ends(at, "OK");
                self.out.answer(late, framed(result));
            }
        }
    }

    fn prompts(&mut self, need: usize, purpose: Purpose) {
        let space = self.config.quirks.has(Quirk::PromptSpace);
        let prompt = if space { "\r\n> " } else { "\r\n>" };
        let at = self.now + self.config.delays.prompt;
        self.busy_until = self.out.answer(at, prompt.as_bytes().to_vec());
        self.entry = Some(Entry { need, data: Vec::new(), purpose });
    }

    /// An unsolicited line that follows from what was answered before, and so comes after it.
    fn announce(&mut self, line: &str) {
        self.out.answer(self.now, framed(line));
    }

    /// An unsolicited line that comes when it comes.
    fn interject(&mut self, line: &str) {
        self.out.unasked(self.now, framed(line));
    }
}

fn framed(line: &str) -> Vec<u8> {
    format!("\r\n{line}\r\n").into_bytes()
}
