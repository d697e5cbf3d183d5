//! An Iridium 9704 (RockBLOCK 9704) without I/O and without a clock. Bytes of the host go in, bytes
//! for the host come out; what it wants from the network comes out as [`Request`]s and goes in as
//! [`Reply`]s. Time is an argument, in milliseconds of any epoch that does not run backwards.
//!
//! It speaks JSPR: lines that end in CR, verbs and resources, JSON, and answers of three digits.
//! It knows the state of the modem and the byte dialect. It must never know a transport, a broker
//! or a driver. Facts come from the vendor's library and documents and from logs of real modems;
//! where all are silent, the choice is marked by a comment that says so.
//!
//! There is no MQTT in a 9704. Behind it stands a gateway that is a client of the broker: a message
//! that the network has acknowledged is published under `imt/<topic id>`, and what others publish
//! there comes down to the host. See [`Config::broker`].

mod body;
mod config;
mod gateway;
mod originate;
mod quirk;
mod request;
mod resources;
mod segments;
mod terminate;

#[cfg(test)]
mod tests;

pub use crate::modem::BootState;
pub use crate::network::{Action, ConnectOptions, Reply, Request};
pub use crate::quirk::ParseQuirkError;
pub use body::{FinalMo, MessageResponse, State};
pub use config::{
    Broker, Config, Delays, Firmware, Hardware, Order, Originate, Outcome, Overflow, Priority,
    Segments, Sky, Slot, Terminate, Topic, Version,
};
pub use quirk::{Quirk, Quirks};
pub use terminate::Fate;

use std::collections::VecDeque;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fault::Dice;
use crate::port::{Port, Step};
use body::{Empty, Interface};
use request::Verb;

/// Codes of refusals.
mod code {
    pub const NO_VERSION: u16 = 400;
    pub const UNSUPPORTED_REQUEST: u16 = 401;
    pub const ALREADY_SET: u16 = 402;
    pub const TOO_LONG: u16 = 403;
    pub const UNKNOWN_TARGET: u16 = 404;
    pub const MALFORMED: u16 = 405;
    pub const NOT_ALLOWED: u16 = 406;
    pub const BAD_JSON: u16 = 407;
    pub const FAILED: u16 = 408;
    pub const NO_SIM: u16 = 410;
    pub const NOT_PROVISIONED: u16 = 418;
}

/// Not stated; the longest line that a host has reason to send has 2055 bytes.
const LINE: usize = 4096;

/// What a refused line is called that has no target, or none that could be read.
const NAMELESS: &str = "MALFORMED";

/// From the answer to an activation to the first message that may be originated (vendor).
const SETTLE: u64 = 100;

/// Lines of a storm: seen in logs, and none of them means that something was lost.
const STORM: &[&str] = &[
    r#"299 constellationState {"constellation_visible":true,"signal_bars":2,"signal_level":-114}"#,
    r#"299 constellationState {"constellation_visible":true,"signal_bars":0,"signal_level":-120}"#,
    r#"299 constellationState {"constellation_visible":false,"signal_bars":0}"#,
    r#"299 packetDataServiceProvisioning {"packet_data_services":[]}"#,
    concat!(
        r#"299 voiceProvisioning {"line":[{"line_type":"inactive","channel":"line1"},"#,
        r#"{"line_type":"inactive","channel":"line2"}]}"#
    ),
];

/// A request is answered by its handler, or refused with a code.
type Handler = fn(&mut Modem, &str) -> Result<(), u16>;

/// What can be asked for, and how.
struct Resource {
    name: &'static str,
    get: Option<Handler>,
    put: Option<Handler>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Power {
    On,
    Booting,
}

/// Messages go by a number of their own, because the modem's numbers come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    Booted,
    FirstReport,
    Acquired,
    Churn,
    Provisioned,
    Dial,
    NotSupplied(u64),
    Again(u64),
    Arrived(u64),
    Expired(u64, FinalMo),
    Cancelled(u64, FinalMo),
    MtStep,
}

/// The modem.
pub struct Modem {
    config: Config,
    power: Power,
    port: Port<Timer>,
    /// Nobody has spoken to it since it started.
    untouched: bool,
    version: Option<Version>,
    interface: Interface,
    state: State,
    reason: u8,
    /// When messages may be originated, if it is active.
    usable_at: u64,
    /// It has looked for satellites long enough to see those that are there.
    acquired: bool,
    reported: Option<Sky>,
    /// What is above the antenna.
    sky: Sky,
    /// The signal level is one less, for the time being.
    wavers: bool,
    /// What the modem has of the subscription.
    topics: Vec<Topic>,
    /// The topics were reset and will not come back before a restart.
    resynced: bool,
    refusals: VecDeque<u16>,
    dice: Dice,
    mo: originate::Queue,
    mt: terminate::Queue,
    gateway: gateway::Gateway,
    requests: Vec<Request>,
}

impl Modem {
    /// A modem at time zero.
    pub fn new(config: Config) -> Self {
        let mut modem = Modem {
            power: Power::On,
            port: Port::new(&config.faults, config.seed),
            untouched: true,
            version: None,
            interface: Interface::None,
            state: State::Inactive,
            reason: 0,
            usable_at: 0,
            acquired: false,
            reported: None,
            sky: config.sky,
            wavers: false,
            topics: config.topics.clone(),
            resynced: false,
            refusals: VecDeque::new(),
            dice: Dice::new(config.seed),
            mo: originate::Queue::new(&config),
            mt: terminate::Queue::new(&config),
            gateway: gateway::Gateway::new(&config),
            requests: Vec::new(),
            config,
        };
        match modem.config.boot {
            BootState::AlreadyOn if modem.config.configured => modem.is_found_configured(),
            BootState::AlreadyOn => {}
            BootState::ColdBoot => modem.start(),
        }
        modem
    }

    /// The host sent these bytes.
    pub fn receive(&mut self, now_ms: u64, bytes: &[u8]) {
        self.at(now_ms, |modem| modem.port.receive(bytes));
    }

    /// The bytes for the host that are due now, maybe none. With the fault `split` it is one byte
    /// a call, so call until nothing comes.
    pub fn transmit(&mut self, now_ms: u64) -> Vec<u8> {
        self.advance(now_ms);
        self.port.out.take()
    }

    /// When to call [`transmit`](Self::transmit) and [`requests`](Self::requests) next, if nothing
    /// else happens before. The gateway's wishes come with time, not only with bytes.
    pub fn deadline(&self) -> Option<u64> {
        let wanted = (!self.requests.is_empty()).then_some(self.port.now);
        wanted.into_iter().chain(self.port.deadline()).min()
    }

    /// What the gateway wants from the network, in order, all of it for client 0. Each request but
    /// [`Action::Abort`] is to be answered by one [`Reply::Done`].
    pub fn requests(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    /// The network answers, or delivers a message, or breaks down.
    pub fn reply(&mut self, now_ms: u64, reply: Reply) {
        self.at(now_ms, |modem| modem.network_says(reply));
    }

    /// Test handle: power is taken away and given back. What the host has not read is lost.
    pub fn power_cycle(&mut self, now_ms: u64) {
        self.advance(now_ms);
        while !self.port.out.take().is_empty() {}
        self.start();
    }

    /// Test handle: the firmware restarts by itself, without a word before the boot line.
    pub fn reboot(&mut self, now_ms: u64) {
        self.at(now_ms, Modem::start);
    }

    /// Test handle: a line, without its CR, as it shall be on the wire.
    pub fn urc(&mut self, now_ms: u64, line: &str) {
        self.at(now_ms, |modem| modem.port.out.unasked(modem.port.now, framed(line)));
    }

    /// Test handle: the satellites disappear, or those of the configuration come back.
    pub fn set_network(&mut self, now_ms: u64, up: bool) {
        let sky = if up { self.config.sky } else { Sky::HIDDEN };
        self.set_sky(now_ms, sky);
    }

    /// Test handle: the gateway loses its connection to the broker, for whatever cause, and comes
    /// back by itself. The host hears nothing of it; messages take longer.
    pub fn lose(&mut self, now_ms: u64, client: u8, _cause: u8) {
        if client == 0 {
            self.at(now_ms, Modem::hangs_up);
        }
    }

    /// Test handle: the same, there being no keep-alive that the modem knows of.
    pub fn ping_failed(&mut self, now_ms: u64, client: u8, _code: u8) {
        self.lose(now_ms, client, 1);
    }

    /// Whether the gateway is connected to the broker, and subscribed, for assertions. There is
    /// only client 0.
    pub fn is_connected(&self, client: u8) -> bool {
        client == 0 && self.gateway.is_up()
    }

    // ---- more test handles --------------------------------------------------------------------

    /// Test handle: what the antenna sees from now on. An active modem reports a change.
    pub fn set_sky(&mut self, now_ms: u64, sky: Sky) {
        self.at(now_ms, |modem| {
            modem.sky = sky;
            modem.sky_changes();
        });
    }

    /// Test handle: the subscription changes, and the modem's table of topics with it, at once.
    pub fn set_topics(&mut self, now_ms: u64, topics: Vec<Topic>) {
        self.at(now_ms, |modem| {
            modem.config.topics = topics;
            modem.is_provisioned();
        });
    }

    /// Test handle: the modem changes its state by itself, for a reason of its table.
    pub fn set_state(&mut self, now_ms: u64, state: State, reason: u8) {
        self.at(now_ms, |modem| modem.becomes(modem.port.now, state, reason));
    }

    /// Test handle: the next request that can be read is refused with this code.
    pub fn refuse_next(&mut self, code: u16) {
        self.refusals.push_back(code);
    }

    /// Test handle: the next `messageOriginate` that could be accepted gets this answer.
    pub fn respond_next(&mut self, response: MessageResponse) {
        self.mo.responses.push_back(response);
    }

    /// Test handle: how the next message ends that gets through its transit.
    pub fn end_next(&mut self, outcome: Outcome) {
        self.mo.outcomes.push_back(outcome);
    }

    /// Test handle: what becomes of the next message from the network.
    pub fn spoil_next(&mut self, fate: Fate) {
        self.mt.fates.push_back(fate);
    }

    /// Test handle: a message from the network, provisioned or not, whatever the sky.
    pub fn start_mt(&mut self, now_ms: u64, topic: u16, payload: &[u8], fate: Fate) {
        self.at(now_ms, |modem| modem.begins(topic, payload, fate, true));
    }

    /// The messages that reached the network: topic and payload, in order.
    pub fn received(&self) -> &[(u16, Vec<u8>)] {
        &self.gateway.received
    }

    /// So many messages of the broker could not be passed on: their topic is not `imt/<id>` or not
    /// of this subscription, or they are empty or too long.
    pub fn dropped(&self) -> u64 {
        self.gateway.dropped
    }

    /// So many messages to the network have no final status yet.
    pub fn pending(&self) -> usize {
        self.mo.len()
    }

    // ---- time ---------------------------------------------------------------------------------

    fn at(&mut self, now: u64, what: impl FnOnce(&mut Modem)) {
        self.advance(now);
        what(self);
        self.advance(now);
    }

    /// Brings the modem to this time: everything that is due happens in order.
    fn advance(&mut self, now: u64) {
        loop {
            match self.port.step(now) {
                Step::Restart => self.start(),
                Step::Due(timer) => self.happens(timer),
                Step::Input => self.reads_line(),
                Step::Rest => return,
            }
        }
    }

    fn happens(&mut self, timer: Timer) {
        match timer {
            Timer::Booted => self.is_booted(),
            Timer::FirstReport => self.first_report(),
            Timer::Acquired => self.has_acquired(),
            Timer::Churn => self.churns(),
            Timer::Provisioned => self.is_provisioned(),
            Timer::Dial => self.dials(),
            Timer::NotSupplied(serial) => self.is_not_supplied(serial),
            Timer::Again(serial) => self.asks_again(serial),
            Timer::Arrived(serial) => self.mo_arrives(serial),
            Timer::Expired(serial, status) | Timer::Cancelled(serial, status) => {
                self.mo_ends(serial, status);
            }
            Timer::MtStep => self.mt_goes_on(),
        }
    }

    // ---- power --------------------------------------------------------------------------------

    /// Everything is gone but the topics. What the network holds is the network's.
    fn stop(&mut self) {
        self.version = None;
        self.interface = Interface::None;
        self.state = State::Inactive;
        self.reason = 0;
        self.acquired = false;
        self.reported = None;
        self.untouched = true;
        self.resynced = false;
        self.mo.restarts(&self.config);
        self.mt.restarts(&self.config);
        self.port.reset();
        self.port.deaf = !self.has(Quirk::Early403);
        self.power = Power::Booting;
        // The gateway is not in the modem.
        if self.gateway.waits() {
            self.port.set_timer(self.port.now + self.config.delays.reconnect, Timer::Dial);
        }
    }

    /// (Re)starts the modem.
    fn start(&mut self) {
        self.stop();
        self.port.set_timer(self.port.now + self.config.delays.boot, Timer::Booted);
    }

    /// An earlier host has done everything.
    fn is_found_configured(&mut self) {
        self.version =
            self.config.versions.iter().copied().max_by_key(|v| (v.major, v.minor, v.patch));
        self.interface = Interface::Internal;
        self.state = State::Active;
        self.reported = Some(self.sky);
        self.has_acquired();
        self.dials();
    }

    fn has(&self, quirk: Quirk) -> bool {
        self.config.quirks.has(quirk)
    }

    // ---- input --------------------------------------------------------------------------------

    fn reads_line(&mut self) {
        if let Some(line) = self.port.take_to_cr(LINE) {
            self.executes(&line);
        }
    }

    fn executes(&mut self, line: &[u8]) {
        if self.port.falls_silent() {
            return;
        }
        let request = match self.understands(line) {
            Ok(request) => request,
            Err(code) => return self.replies(code, NAMELESS, &Empty {}),
        };
        if let Err(code) = self.serves(request) {
            self.replies(code, request.target, &Empty {});
        }
    }

    fn understands<'a>(&mut self, line: &'a [u8]) -> Result<request::Request<'a>, u16> {
        let first = std::mem::take(&mut self.untouched);
        if first && self.has(Quirk::FirstMalformed) {
            return Err(code::MALFORMED);
        }
        if self.power == Power::Booting || line.len() > LINE {
            return Err(code::TOO_LONG);
        }
        request::parse(line).ok_or(code::MALFORMED)
    }

    /// In which order the modem looks for what is wrong is not known.
    fn serves(&mut self, request: request::Request<'_>) -> Result<(), u16> {
        if let Some(code) = self.refusals.pop_front() {
            return Err(code);
        }
        let mut resources = resources::RESOURCES.iter().chain(originate::RESOURCES);
        let named = |resource: &&Resource| resource.name == request.target;
        let resource = resources.find(named).ok_or(code::UNKNOWN_TARGET)?;
        let handler = match request.verb {
            Verb::Get => resource.get,
            Verb::Put => resource.put,
        };
        let handler = handler.ok_or(code::UNSUPPORTED_REQUEST)?;
        if self.version.is_none() && resource.name != "apiVersion" {
            return Err(code::NO_VERSION);
        }
        if !self.has(Quirk::CompactJsonAccepted) && request::is_compact(request.body) {
            return Err(code::BAD_JSON);
        }
        if request.verb == Verb::Get && self.has(Quirk::GetAbortsMo) {
            self.forgets_fed();
        }
        handler(self, request.body)
    }

    // ---- output -------------------------------------------------------------------------------

    fn ok(&mut self, target: &str, body: &impl Serialize) {
        self.replies(200, target, body);
    }

    fn replies(&mut self, code: u16, target: &str, body: &impl Serialize) {
        self.answers(line(code, target, body));
    }

    fn answers(&mut self, reply: Vec<u8>) {
        let at = self.port.now + self.config.delays.answer;
        self.port.ends_with(at, reply, STORM, framed);
    }

    /// When the reply in flight is out, or now if there is none.
    fn after_reply(&self) -> u64 {
        self.port.busy_until.max(self.port.now)
    }

    /// An unsolicited line, after the reply in flight.
    fn says(&mut self, target: &str, body: &impl Serialize) {
        self.says_at(self.after_reply(), target, body);
    }

    fn says_at(&mut self, at: u64, target: &str, body: &impl Serialize) {
        self.port.out.unasked(at, line(299, target, body));
    }
}

/// A line with its CR.
fn framed(text: &str) -> Vec<u8> {
    format!("{text}\r").into_bytes()
}

fn line(code: u16, target: &str, body: &impl Serialize) -> Vec<u8> {
    // Bodies are plain records: there is nothing in them that cannot be written.
    let body = serde_json::to_string(body).unwrap_or_default();
    framed(&format!("{code:03} {target} {body}"))
}

/// The body of a request, or the code of its refusal.
fn read<T: DeserializeOwned>(body: &str) -> Result<T, u16> {
    serde_json::from_str(body).map_err(|_| code::BAD_JSON)
}
