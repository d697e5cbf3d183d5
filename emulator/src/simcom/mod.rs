//! A SIMCom modem without I/O and without a clock. Bytes of the host go in, bytes for the host
//! come out; what it wants from the network comes out as [`Request`]s and goes in as [`Reply`]s.
//! Time is an argument, in milliseconds of any epoch that does not run backwards.
//!
//! It knows the state of the module and the byte dialect. It must never know a transport, a
//! broker or a driver. Facts come from the AT manuals and from logs; where both are silent, the
//! choice is marked by a comment that says so.
//!
//! M18 = SIM7500_SIM7600_SIM7800 MQTT AT Command Manual V1.00; A300 = SIM7500/7600 AT Command
//! Manual V3.00; A109 = A76XX AT Command Manual V1.09; A767 = SIM767XX AT Command Manual V1.06.

mod config;
mod family;
mod general;
mod mqtt;
mod tls;

#[cfg(test)]
mod tests;

pub use crate::modem::{BootState, Registration, Sim};
pub use crate::network::{Action, ConnectOptions, Reply, Request, TlsOptions, Will};
pub use config::{Config, Delays};
pub use family::{Family, ParseFamilyError};

use crate::Quirk;
use crate::command::{self, Command, Form};
use crate::port::{Port, Step, framed};
use family::Traits;

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
    power: Power,
    port: Port<Timer>,
    entry: Option<Entry>,
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
            power: Power::On,
            port: Port::new(&config.faults, config.seed),
            entry: None,
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
        self.port.receive(bytes);
        self.advance(now_ms);
    }

    /// The bytes for the host that are due now, maybe none. With the fault `split` it is one byte
    /// a call, so call until nothing comes.
    pub fn transmit(&mut self, now_ms: u64) -> Vec<u8> {
        self.advance(now_ms);
        let bytes = self.port.out.take();
        let prompted = self.entry.is_some() && self.port.busy_until <= self.port.now;
        // A LF that comes after the host has seen the prompt is data.
        self.port.after_cr &= bytes.is_empty() || !prompted;
        bytes
    }

    /// When to call [`transmit`](Self::transmit) next, if nothing else happens before.
    pub fn deadline(&self) -> Option<u64> {
        self.port.deadline()
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
        while !self.port.out.take().is_empty() {}
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
        self.port.out.unasked(now_ms, framed(line));
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
        loop {
            match self.port.step(now) {
                Step::Restart => self.start(),
                Step::Due(timer) => self.happens(timer),
                Step::Input if self.entry.is_some() => self.reads_data(),
                Step::Input => self.reads_line(),
                Step::Rest => return,
            }
        }
    }

    fn set_timer(&mut self, at: u64, timer: Timer) {
        self.port.set_timer(at, timer);
    }

    fn happens(&mut self, timer: Timer) {
        match timer {
            Timer::BootLine => self.boot_line(),
            Timer::SimRead => self.sim_read(),
            Timer::Ready(line) => self.port.out.unasked(self.port.now, framed(line)),
            Timer::Registered => self.registered(),
            Timer::Restart => self.start(),
            Timer::PowerDown => self.stop(),
            Timer::OperationTimeout { client, id } => self.operation_times_out(client, id),
            Timer::StrayOk => self.port.out.unasked(self.port.now, framed("OK")),
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
        self.port.reset();
        self.entry = None;
        self.power = Power::Off;
    }

    /// (Re)starts the modem.
    fn start(&mut self) {
        self.stop();
        self.power = Power::Booting;
        self.set_timer(self.port.now + self.delays().boot, Timer::BootLine);
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

    fn reads_line(&mut self) {
        // One byte more than the buffer holds is enough to know that it overflowed.
        if let Some(line) = self.port.take_line(self.traits.command_buffer) {
            self.executes(&line);
        }
    }

    /// Exactly so many bytes, whatever they are: there is no way out and no time limit.
    fn reads_data(&mut self) {
        let Some(entry) = &mut self.entry else { return };
        entry.data.extend(self.port.take_data(entry.need - entry.data.len()));
        if entry.data.len() < entry.need {
            return;
        }
        let Some(Entry { data, purpose, .. }) = self.entry.take() else {
            return;
        };
        if self.general.echo {
            self.port.out.answer(self.port.now, data.clone());
        }
        let answer = self.entered(purpose, data).unwrap_or_else(|refusal| refusal);
        self.answers(answer);
    }

    fn executes(&mut self, line: &[u8]) {
        if self.port.falls_silent() {
            return;
        }
        let odd = self.port.command_number() % 2 == 1;
        let lost = self.config.quirks.has(Quirk::LostEcho) && odd;
        if self.general.echo && !lost {
            self.port.out.answer(self.port.now + self.config.delays.echo, [line, b"\r"].concat());
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
        let at = self.port.now + self.config.delays.answer;
        match answer {
            Answer::Ok => self.ends(at, "OK"),
            Answer::Later(delay) => self.ends(at + delay, "OK"),
            Answer::Error => self.ends(at, "ERROR"),
            Answer::Lines(lines) => {
                // The lines of one answer share their line ends (SEEN with CCERTLIST).
                if !lines.is_empty() {
                    self.port
                        .out
                        .answer(at, format!("\r\n{}\r\n", lines.join("\r\n")).into_bytes());
                }
                self.ends(at, "OK");
            }
            Answer::Cme(cme) => self.ends_with_cme(at, cme),
            Answer::Refused(result) => self.refuses(at, &result),
            Answer::Then(result) => {
                self.ends(at, "OK");
                self.port.out.answer(at + self.config.delays.result, framed(&result));
            }
            Answer::Slow { result, code } => self.ends_slowly(at, &result, code),
            Answer::Prompt(need, purpose) => self.prompts(need, purpose),
            Answer::Wait => self.port.blocked = true,
        }
    }

    fn ends(&mut self, at: u64, result: &str) {
        self.port.ends(at, result, STORM);
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
            self.port.out.answer(at + self.config.delays.result, framed(result));
        } else {
            self.port.out.answer(at, framed(result));
            self.ends(at, "ERROR");
        }
    }

    fn ends_slowly(&mut self, at: u64, result: &str, code: u8) {
        let late = at + self.config.delays.start;
        match (self.traits.result_first, code) {
            (true, 0) => {
                self.port.out.answer(late, framed(result));
                self.ends(late, "OK");
            }
            (true, _) => self.refuses(late, result),
            (false, _) => {
                self.ends(at, "OK");
                self.port.out.answer(late, framed(result));
            }
        }
    }

    fn prompts(&mut self, need: usize, purpose: Purpose) {
        let space = self.config.quirks.has(Quirk::PromptSpace);
        let prompt = if space { "\r\n> " } else { "\r\n>" };
        let at = self.port.now + self.config.delays.prompt;
        self.port.busy_until = self.port.out.answer(at, prompt.as_bytes().to_vec());
        self.entry = Some(Entry { need, data: Vec::new(), purpose });
    }

    /// An unsolicited line that follows from what was answered before, and so comes after it.
    fn announce(&mut self, line: &str) {
        self.port.out.answer(self.port.now, framed(line));
    }

    /// An unsolicited line that comes when it comes.
    fn interject(&mut self, line: &str) {
        self.port.out.unasked(self.port.now, framed(line));
    }
}
