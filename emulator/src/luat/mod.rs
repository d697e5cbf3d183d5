//! A Luat modem (Air724, Air780E, Air700EAQ and their kin) without I/O and without a clock. Bytes
//! of the host go in, bytes for the host come out; what it wants from the network comes out as
//! [`Request`]s and goes in as [`Reply`]s. Time is an argument, in milliseconds of any epoch that
//! does not run backwards.
//!
//! It knows the state of the module and the byte dialect. It must never know a transport, a
//! broker or a driver. Facts come from the vendor's manuals and guides and from logs; where all
//! are silent, the choice is marked by a comment that says so.
//!
//! `OK` only means that a command was accepted. What became of it is a second line without a name
//! (`CONNECT OK`, `SUBACK`, `PUBACK`), some time later: [`Delays`] says when.

mod config;
mod family;
mod files;
mod general;
mod mqtt;
mod quirk;
mod tls;

#[cfg(test)]
mod tests;

pub use crate::modem::{BootState, Registration, Sim};
pub use crate::network::{Action, ConnectOptions, LinkOptions, Reply, Request, TlsOptions, Will};
pub use crate::quirk::ParseQuirkError;
pub use config::{Config, Delays};
pub use family::{Family, ParseFamilyError};
pub use quirk::{Quirk, Quirks};

use crate::command::{self, Arguments, Command, Form};
use crate::port::{Port, Step, framed};
use family::Traits;

/// A number of `+CME ERROR` and its words. The numbers are the vendor's; no log shows the words.
type Cme = (u16, &'static str);

const NOT_ALLOWED: Cme = (3, "operation not allowed");
const NOT_SUPPORTED: Cme = (4, "operation not supported");
const SIM_NOT_INSERTED: Cme = (10, "SIM not inserted");
const SIM_FAILURE: Cme = (13, "SIM failure");
const SIM_BUSY: Cme = (14, "SIM busy");
const INCORRECT_PASSWORD: Cme = (16, "incorrect password");
const NO_SUCH_FILE: Cme = (62, "file does not exist");
const FILE_TOO_LARGE: Cme = (63, "file too large");
const UNKNOWN: Cme = (100, "unknown");
const INVALID_INPUT: Cme = (765, "invalid input value");
const OPERATION_FAILED: Cme = (767, "operation failed");
const LINE_TOO_LONG: Cme = (818, "multi cmd too long");
const OTHER: Cme = (65535, "other error");

/// Not stated; lines of 1.3 kB work, and 5120 bytes that are all escaped have to.
const COMMAND_BUFFER: usize = 20 << 10;

/// Silence that ends a data phase without a length.
const GAP: u64 = 5000;

/// How a command is answered.
enum Answer {
    Ok,
    /// OK, so many milliseconds later than other commands.
    Later(u64),
    Error,
    /// Information lines, then OK.
    Lines(Vec<String>),
    /// These bytes, then OK.
    Block(Vec<u8>),
    /// These bytes with one line end before them, then OK.
    Data(Vec<u8>),
    /// Another line in the place of OK.
    Instead(String),
    Cme(Cme),
    /// OK, then this line.
    Then(String),
    Prompt(Entry),
}

/// `Err` is an answer as well: the one that ends a command early.
type Outcome = Result<Answer, Answer>;
type Handler = fn(&mut Modem, &Form) -> Outcome;

/// What entered data is for.
enum Purpose {
    Publish { topic: Vec<u8>, qos: u8, retain: bool },
    File { name: String, append: bool },
}

/// A data phase.
struct Entry {
    /// So many bytes; without it, up to 0x1A.
    need: Option<usize>,
    data: Vec<u8>,
    purpose: Purpose,
    ends: EntryEnds,
}

/// When a data phase ends that does not get its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EntryEnds {
    /// Never: no way out is documented.
    Never,
    /// After so long a silence.
    Silence(u64),
    /// So long after the prompt.
    Deadline(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Power {
    On,
    Booting,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Timer {
    BootRom,
    Ready,
    ReadyAgain,
    Registered,
    NetworkTime,
    Restart,
    PowerDown,
    /// A power mode leaves the network (false) or looks for it again.
    Service(bool),
    EntryEnds,
    /// What the network says takes effect now.
    Network(Reply),
    /// The last step of a publish with QoS 2.
    Completed {
        id: u32,
    },
    OpenTimeout {
        id: u32,
    },
    Patience {
        id: u32,
    },
    /// A line that follows from a command, after its OK.
    Line(&'static str),
}

/// Lines of a URC storm: seen in logs or in the manual, and none of them means that something was
/// lost.
const STORM: &[&str] = &[
    "^MODE: 17,17",
    "+E_UTRAN Service",
    "+CGEV: ME PDN ACT 1,0",
    "+NITZ: 26/06/04,09:04:18+32,0",
    "+NITZ: 2024/08/27,06:36:38+0, ",
    "+CGEV: NW MODIFY 1,0",
    "+CMTI: \"SM\",1",
    "+UPGRADEIND: 90",
];

/// The modem.
pub struct Modem {
    config: Config,
    traits: Traits,
    power: Power,
    port: Port<Timer>,
    entry: Option<Entry>,
    held: Vec<Vec<u8>>,
    requests: Vec<Request>,
    general: general::State,
    files: files::State,
    tls: tls::State,
    mqtt: mqtt::Client,
}

impl Modem {
    /// A modem at time zero.
    pub fn new(config: Config) -> Self {
        let mut modem = Modem {
            traits: Traits::of(&config),
            power: Power::On,
            port: Port::new(&config.faults, config.seed),
            entry: None,
            held: Vec::new(),
            requests: Vec::new(),
            general: general::State::new(&config),
            files: files::State::default(),
            tls: tls::State::default(),
            mqtt: mqtt::Client::new(&config),
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
        self.port.out.take()
    }

    /// When to call [`transmit`](Self::transmit) next, if nothing else happens before.
    pub fn deadline(&self) -> Option<u64> {
        self.port.deadline()
    }

    /// What the modem wants from the network, in order, all of it for client 0. Each request but
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
        self.interject(line);
        self.advance(now_ms);
    }

    /// Test handle: the radio network goes, and the bearer with it, or comes back. The connection
    /// to the broker is lost without a `CLOSED`.
    pub fn set_network(&mut self, now_ms: u64, up: bool) {
        self.advance(now_ms);
        self.network_changes(up);
        self.advance(now_ms);
    }

    /// Test handle: the connection is lost. `cause` 3 is the bearer (`+CGEV: NW PDN DEACT 1`
    /// without `CLOSED`; the bearer comes back by itself), anything else is the peer (`CLOSED`).
    /// The network side is told to drop it. There is only client 0.
    pub fn lose(&mut self, now_ms: u64, client: u8, cause: u8) {
        self.advance(now_ms);
        if client == 0 {
            match cause {
                3 if self.power == Power::On => self.bearer_is_lost(),
                3 => {}
                _ => self.connection_breaks(),
            }
        }
        self.advance(now_ms);
    }

    /// Test handle: the keep-alive fails, which is a lost connection like any other. There is
    /// no code for it.
    pub fn ping_failed(&mut self, now_ms: u64, client: u8, _code: u8) {
        self.lose(now_ms, client, 1);
    }

    /// Whether the client is connected to a broker, for assertions. There is only client 0.
    pub fn is_connected(&self, client: u8) -> bool {
        client == 0 && self.mqtt.is_online()
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

    fn happens(&mut self, timer: Timer) {
        match timer {
            Timer::BootRom => self.interject("^boot.rom'v'!\\n"),
            Timer::Ready => self.is_ready(),
            Timer::ReadyAgain => self.interject("RDY"),
            Timer::Registered => self.registered(),
            Timer::NetworkTime => self.network_time(),
            Timer::Restart => self.start(),
            Timer::PowerDown => self.stop(),
            Timer::Service(up) => self.network_changes(up),
            Timer::EntryEnds => self.entry_ends(),
            Timer::Network(reply) => self.takes_effect(reply),
            Timer::Completed { id } => self.publish_completed(id),
            Timer::OpenTimeout { id } => self.open_times_out(id),
            Timer::Patience { id } => self.patience_ends(id),
            Timer::Line(line) => self.interject(line),
        }
    }

    // ---- power --------------------------------------------------------------------------------

    /// Everything volatile is gone; the files and what was saved stay.
    fn stop(&mut self) {
        self.abort();
        self.general = general::State::after_restart(&self.config, &self.general);
        // FAQ: TLS is to be set up once per power-up.
        self.tls = tls::State::default();
        self.mqtt = self.mqtt.restarted(&self.config);
        self.port.reset();
        self.entry = None;
        self.held.clear();
        self.power = Power::Booting;
    }

    /// (Re)starts the modem.
    fn start(&mut self) {
        self.stop();
        let delays = self.delays();
        if self.traits.boot_rom && !self.config.quirks.has(Quirk::QuietBoot) {
            self.port.set_timer(self.port.now + delays.boot_rom, Timer::BootRom);
        }
        self.port.set_timer(self.port.now + delays.boot, Timer::Ready);
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
        if let Some(line) = self.port.take_line(COMMAND_BUFFER) {
            self.executes(&line);
        }
    }

    /// The LF behind a command is taken for part of it, even when the host has seen the prompt
    /// by then: a documented trap for hosts that end their commands in CR only.
    fn reads_data(&mut self) {
        let Some(entry) = &mut self.entry else { return };
        let complete = match entry.need {
            Some(need) => {
                entry.data.extend(self.port.take_data(need - entry.data.len()));
                entry.data.len() == need
            }
            None => match self.port.take_data(1).first() {
                Some(0x1a) => true,
                byte => {
                    entry.data.extend(byte);
                    false
                }
            },
        };
        if complete {
            self.entered();
        } else if let EntryEnds::Silence(gap) = entry.ends {
            self.port.drop_timers(|timer| *timer == Timer::EntryEnds);
            self.port.set_timer(self.port.now + gap, Timer::EntryEnds);
        }
    }

    /// Nothing more came.
    fn entry_ends(&mut self) {
        match self.entry.as_ref().map(|entry| entry.ends) {
            // The whole buffer is published (manual).
            Some(EntryEnds::Silence(_)) => self.entered(),
            // What was entered is not kept; the manual does not say.
            Some(EntryEnds::Deadline(_)) => {
                self.entry = None;
                self.answers(Answer::Instead("TimeOut".into()));
                self.releases();
            }
            _ => {}
        }
    }

    fn entered(&mut self) {
        let Some(Entry { data, purpose, .. }) = self.entry.take() else {
            return;
        };
        self.port.drop_timers(|timer| *timer == Timer::EntryEnds);
        let answer = match purpose {
            Purpose::File { name, append } => self.files.write(&name, data, append),
            Purpose::Publish { topic, qos, retain } => {
                if self.config.quirks.has(Quirk::EchoData) {
                    self.port.out.answer(self.port.now, data.clone());
                }
                self.publishes(topic, data, qos, retain)
            }
        };
        self.answers(answer.unwrap_or_else(|refusal| refusal));
        self.releases();
    }

    fn executes(&mut self, line: &[u8]) {
        if self.port.falls_silent() {
            return;
        }
        let odd = self.port.command_number() % 2 == 1;
        let lost = self.config.quirks.has(Quirk::LostEcho) && odd;
        if self.general.echo && !lost {
            let at = self.port.now + self.config.delays.echo;
            self.port.out.answer(at, [line, b"\r"].concat());
        }
        // What does not begin with AT is noise; what the module says to it is not documented.
        if !command::is_command(line) {
            return;
        }
        let answer = match command::parse(line) {
            _ if line.len() > COMMAND_BUFFER => Answer::Cme(LINE_TOO_LONG),
            Some(command) => self.runs(&command),
            None => Answer::Error,
        };
        self.answers(answer);
    }

    fn runs(&mut self, command: &Command) -> Answer {
        if self.is_early() && command.name.starts_with('+') {
            return Answer::Cme(NOT_SUPPORTED);
        }
        let tables = [general::COMMANDS, files::COMMANDS, tls::COMMANDS, mqtt::COMMANDS];
        let mut rows = tables.into_iter().flatten();
        match rows.find(|(name, _)| *name == command.name) {
            Some((_, handler)) => handler(self, &command.form).unwrap_or_else(|refusal| refusal),
            None => self.plain_setting(command),
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
                // The lines of one answer share their line ends (SEEN with MQTTMSGGET).
                if !lines.is_empty() {
                    self.port.out.answer(at, framed(&lines.join("\r\n")));
                }
                self.ends(at, "OK");
            }
            Answer::Block(block) => {
                self.port.out.answer(at, block);
                self.ends(at, "OK");
            }
            Answer::Data(data) => {
                self.port.out.answer(at, [b"\r\n", &data[..]].concat());
                self.ends(at, "OK");
            }
            Answer::Instead(line) => self.ends(at, &line),
            Answer::Cme((number, words)) => match self.general.cmee {
                0 => self.ends(at, "ERROR"),
                1 => self.ends(at, &format!("+CME ERROR: {number}")),
                _ => self.ends(at, &format!("+CME ERROR: {words}")),
            },
            Answer::Then(line) => {
                self.ends(at, "OK");
                self.port.out.answer(at, framed(&line));
            }
            Answer::Prompt(entry) => self.prompts(entry),
        }
    }

    fn ends(&mut self, at: u64, result: &str) {
        self.port.ends(at, result, STORM);
    }

    fn prompts(&mut self, entry: Entry) {
        let at = self.port.now + self.config.delays.prompt;
        let prompt = self.traits.prompt.as_bytes().to_vec();
        self.port.busy_until = self.port.out.answer(at, prompt);
        if let EntryEnds::Silence(ms) | EntryEnds::Deadline(ms) = entry.ends {
            self.port.set_timer(self.port.busy_until + ms, Timer::EntryEnds);
        }
        self.entry = Some(entry);
    }

    /// When the OK of the command in flight is out.
    fn ok_at(&self) -> u64 {
        self.port.now + self.config.delays.answer
    }

    /// An unsolicited line.
    fn interject(&mut self, line: &str) {
        let bytes = match self.config.quirks.has(Quirk::NoLeadingCrlf) {
            true => format!("{line}\r\n").into_bytes(),
            false => framed(line),
        };
        self.interject_bytes(bytes);
    }

    /// Whether lines wait for the end of a data phase is not documented; here they do not.
    fn interject_bytes(&mut self, bytes: Vec<u8>) {
        if self.entry.is_some() && self.config.quirks.has(Quirk::HeldLines) {
            self.held.push(bytes);
        } else {
            self.port.out.unasked(self.port.now, bytes);
        }
    }

    fn releases(&mut self) {
        for bytes in std::mem::take(&mut self.held) {
            self.port.out.answer(self.port.now, bytes);
        }
    }
}

/// The arguments of a set form; the test form is answered here, other forms are errors.
fn set(form: &Form, test: impl FnOnce() -> Vec<String>) -> Result<&Arguments, Answer> {
    match form {
        Form::Set(arguments) => Ok(arguments),
        Form::Test => Err(Answer::Lines(test())),
        _ => Err(Answer::Error),
    }
}
