//! The MQTT client of the module: one link, one session, one operation at a time. Knows the state
//! of link and session; a broker is somebody who answers [`Request`]s, sooner or later or never.
//!
//! What the network says takes effect in order and no sooner than a capture shows, so that a
//! retained message follows its `SUBACK` and never overtakes it.

use super::{
    Action, Answer, Config, ConnectOptions, Entry, EntryEnds, GAP, Handler, INVALID_INPUT,
    LinkOptions, Modem, OPERATION_FAILED, Outcome, Purpose, Quirk, Reply, Request, Timer,
    TlsOptions, Will, set,
};
use crate::command::{Arguments, Form};

pub(super) const COMMANDS: &[(&str, Handler)] = &[
    ("+MCONFIG", configure),
    ("+MIPSTART", |modem, form| open(modem, form, false)),
    ("+SSLMIPSTART", |modem, form| open(modem, form, true)),
    ("+MCONNECT", connect),
    ("+MSUB", subscribe),
    ("+MUNSUB", unsubscribe),
    ("+MPUB", publish),
    ("+MPUBEX", publish_data),
    ("+MDISCONNECT", disconnect),
    ("+MIPCLOSE", close),
    ("+MQTTSTATU", state),
    ("+MQTTMODE", mode),
    ("+MQTTMSGSET", cache_set),
    ("+MQTTMSGGET", cache_get),
];

/// Bytes of a client id, user name, password or topic.
const WORD_MAX: usize = 256;
const WILL_MESSAGE_MAX: usize = 1360;
const SLOTS: usize = 4;

/// A TCP connection that nobody answers fails after this time, and after the handshake's on top;
/// not documented.
const OPEN_TIMEOUT: u64 = 20_000;

/// Failures of a CONNECT, as the network numbers them: the link broke, and no broker refused.
const BROKEN: [u8; 4] = [3, 6, 11, 26];

/// A subscription that the broker refused, as the network numbers it.
const FILTER_REFUSED: u8 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Down,
    Opening,
    /// `CONNECT OK`, and no CONNECT yet.
    Open,
    Connecting,
    Online,
    /// The session ended by MDISCONNECT or was refused. The link counts until MIPCLOSE.
    Ended,
}

/// What the module waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Open,
    Connack,
    Suback,
    Unsuback,
    Puback,
    Pubcomp,
}

struct Operation {
    id: u32,
    waiting: Waiting,
    /// The second phase comes at this time at the soonest.
    not_before: u64,
}

/// What MCONFIG set.
struct Settings {
    client_id: String,
    user: Option<String>,
    password: Option<String>,
    will: Option<Will>,
}

/// A message in the table.
struct Cached {
    topic: Vec<u8>,
    payload: Vec<u8>,
    /// How many came before.
    age: u64,
}

pub(super) struct Client {
    settings: Option<Settings>,
    link: Link,
    /// Where the link goes, for the CONNECT.
    to: Option<LinkOptions>,
    operation: Option<Operation>,
    /// Published with QoS 0 and not out yet.
    unacknowledged: Vec<u32>,
    next_id: u32,
    /// What the network says next takes effect no sooner than this.
    floor: u64,
    was_online: bool,
    hexadecimal: bool,
    cached: bool,
    slots: [Option<Cached>; SLOTS],
    next_slot: usize,
    stored: u64,
}

impl Client {
    pub fn new(config: &Config) -> Self {
        Client {
            settings: None,
            link: Link::Down,
            to: None,
            operation: None,
            unacknowledged: Vec::new(),
            next_id: 0,
            floor: 0,
            was_online: false,
            hexadecimal: false,
            // The manual's example and the guides contradict each other; a capture says direct.
            cached: config.quirks.has(Quirk::CachedByDefault),
            slots: [const { None }; SLOTS],
            next_slot: 0,
            stored: 0,
        }
    }

    /// Nothing survives a restart; that MQTTMODE and MQTTMSGSET do not is not documented.
    pub fn restarted(&self, config: &Config) -> Client {
        Client { next_id: self.next_id, ..Client::new(config) }
    }

    pub fn is_online(&self) -> bool {
        self.link == Link::Online
    }
}

fn failed() -> Answer {
    Answer::Cme(OPERATION_FAILED)
}

fn within(word: Option<&[u8]>, longest: usize) -> Result<&[u8], Answer> {
    word.filter(|word| word.len() <= longest).ok_or(Answer::Error)
}

fn text(word: &[u8]) -> Result<String, Answer> {
    String::from_utf8(word.to_vec()).map_err(|_| Answer::Error)
}

fn topic(arguments: &Arguments) -> Result<Vec<u8>, Answer> {
    let topic = within(arguments.word(0), WORD_MAX)?;
    if topic.is_empty() { Err(Answer::Error) } else { Ok(topic.to_vec()) }
}

// ---- requests and replies ---------------------------------------------------------------------

impl Modem {
    fn request(&mut self, action: Action) -> u32 {
        let id = self.mqtt.next_id;
        self.mqtt.next_id += 1;
        self.requests.push(Request { client: 0, id, action });
        id
    }

    /// Begins an operation that has a second phase.
    fn begin(&mut self, waiting: Waiting, delay: u64, action: Action) -> u32 {
        let id = self.request(action);
        let not_before = self.ok_at() + delay;
        self.mqtt.operation = Some(Operation { id, waiting, not_before });
        id
    }

    pub(super) fn network_says(&mut self, reply: Reply) {
        let mut at = self.port.now.max(self.mqtt.floor);
        if let (Reply::Done { id, .. }, Some(operation)) = (&reply, &self.mqtt.operation) {
            if operation.id == *id {
                at = at.max(operation.not_before);
            }
        }
        self.mqtt.floor = at;
        self.port.set_timer(at, Timer::Network(reply));
    }

    pub(super) fn takes_effect(&mut self, reply: Reply) {
        match reply {
            Reply::Done { id, code, .. } => self.is_done(id, code),
            Reply::Message { topic, payload, .. } if self.mqtt.is_online() => {
                self.receives(topic, payload);
            }
            Reply::Message { .. } => {}
            Reply::Lost { .. } => self.connection_breaks(),
        }
    }

    fn is_done(&mut self, id: u32, code: u8) {
        if let Some(at) = self.mqtt.unacknowledged.iter().position(|open| *open == id) {
            self.mqtt.unacknowledged.swap_remove(at);
            return self.counts_operation();
        }
        let Some(operation) = self.mqtt.operation.take_if(|operation| operation.id == id) else {
            return;
        };
        match (operation.waiting, code) {
            (Waiting::Open, 0) => self.opened(id),
            (Waiting::Open, _) => self.open_fails(),
            (Waiting::Connack, 0) => {
                self.mqtt.link = Link::Online;
                self.mqtt.was_online = true;
                self.interject("CONNACK OK");
                self.counts_operation();
            }
            (Waiting::Connack, code) => self.connect_fails(code),
            // No return code is ever printed.
            (Waiting::Suback, 0 | FILTER_REFUSED) => self.acknowledged("SUBACK"),
            (Waiting::Unsuback, 0) => self.acknowledged("UNSUBACK"),
            (Waiting::Puback, 0) => self.acknowledged("PUBACK"),
            (Waiting::Pubcomp, 0) => {
                self.interject("PUBREC");
                self.mqtt.operation = Some(operation);
                let at = self.port.now + self.config.delays.pubcomp;
                self.port.set_timer(at, Timer::Completed { id });
            }
            // There is no word for an operation that fails in its second phase: no answer comes,
            // and the client waits on.
            _ => self.mqtt.operation = Some(operation),
        }
    }

    pub(super) fn publish_completed(&mut self, id: u32) {
        if self.mqtt.operation.take_if(|operation| operation.id == id).is_some() {
            self.acknowledged("PUBCOMP");
        }
    }

    fn acknowledged(&mut self, line: &str) {
        self.interject(line);
        self.counts_operation();
    }

    fn counts_operation(&mut self) {
        if self.port.loses_connection() && self.mqtt.is_online() {
            self.connection_breaks();
        }
    }

    // ---- the end of a connection --------------------------------------------------------------

    /// Drops the connection without a word to anybody.
    pub(super) fn abort(&mut self) {
        self.parts_with(Action::Abort);
    }

    /// The connection is over; what it said and has not taken effect does not count any more.
    fn parts_with(&mut self, action: Action) {
        // An ended session was parted with already.
        if !matches!(self.mqtt.link, Link::Down | Link::Ended) {
            self.request(action);
        }
        let client = &mut self.mqtt;
        client.link = Link::Down;
        client.operation = None;
        client.unacknowledged.clear();
        client.floor = 0;
        self.port.drop_timers(|timer| {
            matches!(
                timer,
                Timer::Network(_)
                    | Timer::Completed { .. }
                    | Timer::OpenTimeout { .. }
                    | Timer::Patience { .. }
            )
        });
    }

    /// The peer or the way to it is gone.
    pub(super) fn connection_breaks(&mut self) {
        match self.mqtt.link {
            // After MDISCONNECT the broker closes, and no listing shows a word of it.
            Link::Down | Link::Ended => {}
            Link::Opening => self.open_fails(),
            Link::Open | Link::Connecting | Link::Online => {
                self.abort();
                self.closed();
            }
        }
    }

    /// The bearer is gone: the connection ends, and nobody says so.
    pub(super) fn connection_dies(&mut self) {
        let alive = self.mqtt.link != Link::Down;
        self.abort();
        if alive && self.config.quirks.has(Quirk::BearerCloses) {
            self.closed();
        }
    }

    /// With CIPMUX=1 a number in front would be logical; no document says so for this line.
    fn closed(&mut self) {
        if !self.config.quirks.has(Quirk::NoClosed) {
            let line = self.numbered("CLOSED");
            self.interject(&line);
        }
    }

    /// The MQTT link is number 7.
    fn numbered(&self, line: &str) -> String {
        if self.general.multiplexed { format!("7,{line}") } else { line.to_owned() }
    }
}

// ---- MCONFIG ----------------------------------------------------------------------------------

fn configure(modem: &mut Modem, form: &Form) -> Outcome {
    let test = || {
        let will = "(0-2),(0,1),<will_topic>,<will_message>";
        vec![format!("+MCONFIG: <clientid>[,<username>,<password>[,{will}]]")]
    };
    let arguments = set(form, test)?;
    if ![1, 3, 7].contains(&arguments.len()) {
        return Err(Answer::Error);
    }
    let word = |at| text(within(arguments.word(at), WORD_MAX)?);
    let client_id = word(0)?;
    if client_id.is_empty() {
        return Err(Answer::Cme(INVALID_INPUT));
    }
    let (user, password) =
        if arguments.len() > 1 { (word(1)?, word(2)?) } else { Default::default() };
    let empty = arguments.len() > 1 && (user.is_empty() || password.is_empty());
    if empty && modem.config.quirks.has(Quirk::NoEmptyCredentials) {
        return Err(Answer::Cme(INVALID_INPUT));
    }
    let will = if arguments.len() == 7 { will(arguments)? } else { None };
    let filled = |word: String| Some(word).filter(|word| !word.is_empty());
    let settings = Settings { client_id, user: filled(user), password: filled(password), will };
    modem.mqtt.settings = Some(settings);
    Ok(Answer::Ok)
}

/// Topic and message must be quoted. An empty topic is no will.
fn will(arguments: &Arguments) -> Result<Option<Will>, Answer> {
    let topic = within(arguments.quoted(5), WORD_MAX)?.to_vec();
    let payload = within(arguments.quoted(6), WILL_MESSAGE_MAX)?.to_vec();
    let qos = arguments.number(3, 0..=2).ok_or(Answer::Error)? as u8;
    let retain = arguments.number(4, 0..=1).ok_or(Answer::Error)? == 1;
    Ok(Some(Will { topic, payload, qos, retain }).filter(|will| !will.topic.is_empty()))
}

// ---- MIPSTART, SSLMIPSTART --------------------------------------------------------------------

fn open(modem: &mut Modem, form: &Form, tls: bool) -> Outcome {
    let name = if tls { "+SSLMIPSTART" } else { "+MIPSTART" };
    let test = || {
        let number = "(0,255)";
        vec![
            format!("{name}:\"{number}.{number}.{number}.{number}\",(1-65535)"),
            format!("{name}:\"DOMAIN NAME\",(1-65535)"),
        ]
    };
    let arguments = set(form, test)?;
    if arguments.len() != 2 {
        return Err(Answer::Error);
    }
    let host = text(within(arguments.word(0), WORD_MAX)?)?;
    let port = arguments.loose_number(1, 1..=65535).ok_or(Answer::Error)?;
    if host.is_empty() {
        return Err(Answer::Error);
    }
    match modem.mqtt.link {
        Link::Down => {}
        Link::Opening => return Err(failed()),
        // Never numbered, according to the manual.
        _ => return Ok(Answer::Then("ALREADY CONNECT".into())),
    }
    let options = if tls { modem.tls_options().map(Some) } else { Some(None) };
    match options.filter(|_| modem.has_bearer()) {
        Some(tls) => modem.opens(LinkOptions { host, port: port as u16, tls }),
        // Without a bearer, or without a file that is wanted, it fails as any other attempt.
        None => {
            modem.mqtt.link = Link::Opening;
            modem.port.set_timer(modem.ok_at(), Timer::OpenTimeout { id: modem.mqtt.next_id });
            modem.mqtt.operation =
                Some(Operation { id: modem.mqtt.next_id, waiting: Waiting::Open, not_before: 0 });
            modem.mqtt.next_id += 1;
        }
    }
    Ok(Answer::Ok)
}

impl Modem {
    fn opens(&mut self, options: LinkOptions) {
        let delays = self.config.delays;
        let handshake = |tls: &TlsOptions| u64::from(tls.negotiate_seconds) * 1000;
        let patience = OPEN_TIMEOUT + options.tls.as_ref().map_or(0, handshake);
        let delay = if options.tls.is_some() { delays.tls_connect } else { delays.connect };
        self.mqtt.link = Link::Opening;
        self.mqtt.to = Some(options.clone());
        let id = self.begin(Waiting::Open, delay, Action::Open(Box::new(options)));
        self.port.set_timer(self.port.now + patience, Timer::OpenTimeout { id });
    }

    fn opened(&mut self, id: u32) {
        self.mqtt.link = Link::Open;
        let line = self.numbered("CONNECT OK");
        match self.config.quirks.has(Quirk::GluedConnectOk) {
            true => self.interject_bytes(format!("\r\n{line}").into_bytes()),
            false => self.interject(&line),
        }
        if let Some(patience) = self.config.broker_patience {
            self.port.set_timer(self.port.now + patience, Timer::Patience { id });
        }
    }

    pub(super) fn open_times_out(&mut self, id: u32) {
        if self.mqtt.operation.as_ref().is_some_and(|operation| operation.id == id) {
            self.open_fails();
        }
    }

    /// The manual leaves the blank out; the one listing of the plain TCP set has it.
    fn open_fails(&mut self) {
        self.abort();
        let blank = if self.config.quirks.has(Quirk::StateNoBlank) { "" } else { " " };
        self.interject(&format!("STATE:{blank}IP STATUS"));
        let line = self.numbered("CONNECT FAIL");
        self.interject(&line);
    }

    /// Nobody came with a CONNECT: the broker closes.
    pub(super) fn patience_ends(&mut self, _id: u32) {
        if self.mqtt.link == Link::Open {
            self.connection_breaks();
        }
    }
}

// ---- MCONNECT, MDISCONNECT, MIPCLOSE, MQTTSTATU -----------------------------------------------

fn connect(modem: &mut Modem, form: &Form) -> Outcome {
    let arguments = set(form, || vec!["+MCONNECT:(0-1),(1-65535)".into()])?;
    let shortest = if modem.config.quirks.has(Quirk::ModeRequired) { 3 } else { 2 };
    let longest = if modem.traits.connect_mode { 3 } else { 2 };
    if !(shortest..=longest.max(shortest)).contains(&arguments.len()) {
        return Err(Answer::Error);
    }
    let clean = arguments.number(0, 0..=1).ok_or(Answer::Error)? == 1;
    let keep_alive_seconds = arguments.number(1, 1..=65535).ok_or(Answer::Error)?;
    arguments.number_or(2, 0, 0..=1).ok_or(Answer::Error)?;
    let Some(to) = modem.mqtt.to.clone().filter(|_| modem.mqtt.link == Link::Open) else {
        return Err(failed());
    };
    let settings = modem.mqtt.settings.as_ref();
    let options = ConnectOptions {
        host: to.host,
        port: to.port,
        tls: to.tls,
        // Without MCONFIG some identifier of the module's own is used (field report).
        client_id: settings.map_or(modem.config.imei.clone(), |set| set.client_id.clone()),
        user: settings.and_then(|set| set.user.clone()),
        password: settings.and_then(|set| set.password.clone()),
        keep_alive_seconds,
        clean,
        version: 4,
        will: settings.and_then(|set| set.will.clone()),
    };
    modem.mqtt.link = Link::Connecting;
    modem.port.drop_timers(|timer| matches!(timer, Timer::Patience { .. }));
    let delay = modem.config.delays.connack;
    modem.begin(Waiting::Connack, delay, Action::Connect(Box::new(options)));
    Ok(Answer::Ok)
}

impl Modem {
    /// The manual offers ERROR and nothing else. Whether CLOSED comes as well, or instead, is not
    /// documented: here it is ERROR when a broker refused, and CLOSED when it just hung up.
    fn connect_fails(&mut self, code: u8) {
        let quirks = self.config.quirks;
        if BROKEN.contains(&code) || quirks.has(Quirk::RefusedCloses) {
            return self.connection_breaks();
        }
        self.interject("ERROR");
        self.mqtt.link = match quirks.has(Quirk::RefusedErrorCloses) {
            true => return self.connection_breaks(),
            false => Link::Ended,
        };
    }
}

fn disconnect(modem: &mut Modem, form: &Form) -> Outcome {
    alone(form)?;
    if !modem.mqtt.is_online() {
        return Err(Answer::Error);
    }
    // The FAQ says that the broker publishes the will after MDISCONNECT, which the standard
    // forbids: here it does so by request only.
    let will = modem.config.quirks.has(Quirk::WillOnDisconnect);
    modem.parts_with(if will { Action::Abort } else { Action::Disconnect });
    modem.mqtt.link = Link::Ended;
    Ok(Answer::Ok)
}

fn close(modem: &mut Modem, form: &Form) -> Outcome {
    alone(form)?;
    if modem.mqtt.link == Link::Down {
        return Err(failed());
    }
    modem.abort();
    Ok(Answer::Ok)
}

fn state(modem: &mut Modem, form: &Form) -> Outcome {
    alone(form)?;
    if !modem.mqtt.was_online && modem.config.quirks.has(Quirk::StatuError) {
        return Err(Answer::Error);
    }
    let state = match modem.mqtt.link {
        Link::Down | Link::Opening => 0,
        Link::Online => 1,
        Link::Open | Link::Connecting | Link::Ended => 2,
    };
    // The blank is before the colon (SEEN).
    Ok(Answer::Lines(vec![format!("+MQTTSTATU :{state}")]))
}

/// Commands without arguments.
fn alone(form: &Form) -> Result<(), Answer> {
    match form {
        Form::Execute => Ok(()),
        Form::Test => Err(Answer::Ok),
        _ => Err(Answer::Error),
    }
}

// ---- MSUB, MUNSUB, MPUB, MPUBEX ---------------------------------------------------------------

impl Modem {
    /// SEEN: a publish before the acknowledgement of the last one is 767. That the same holds for
    /// every other operation is not documented, and the strict reading.
    fn is_free(&self) -> Result<(), Answer> {
        if self.mqtt.is_online() && self.mqtt.operation.is_none() { Ok(()) } else { Err(failed()) }
    }

    pub(super) fn publishes(
        &mut self,
        topic: Vec<u8>,
        payload: Vec<u8>,
        qos: u8,
        retain: bool,
    ) -> Outcome {
        // The connection may have been lost while the data was entered.
        self.is_free()?;
        let action = Action::Publish { topic, payload, qos, retain, dup: false };
        let delays = self.config.delays;
        match qos {
            0 => {
                let id = self.request(action);
                self.mqtt.unacknowledged.push(id);
                // Whatever comes of it comes after the OK.
                self.mqtt.floor = self.mqtt.floor.max(self.ok_at());
            }
            1 => drop(self.begin(Waiting::Puback, delays.puback, action)),
            _ => drop(self.begin(Waiting::Pubcomp, delays.pubrec, action)),
        }
        Ok(Answer::Ok)
    }
}

fn subscribe(modem: &mut Modem, form: &Form) -> Outcome {
    let arguments = set(form, || vec!["+MSUB:<topic>,(0-2)".into()])?;
    let filter = topic(arguments)?;
    let qos = arguments.number(1, 0..=2).filter(|_| arguments.len() == 2);
    let qos = qos.ok_or(Answer::Error)? as u8;
    modem.is_free()?;
    let filters = vec![(filter, qos)];
    modem.begin(Waiting::Suback, modem.config.delays.suback, Action::Subscribe { filters });
    Ok(Answer::Ok)
}

fn unsubscribe(modem: &mut Modem, form: &Form) -> Outcome {
    let arguments = set(form, || vec!["+MUNSUB:<topic>".into()])?;
    let filter = topic(arguments)?;
    if arguments.len() != 1 {
        return Err(Answer::Error);
    }
    modem.is_free()?;
    let filters = vec![filter];
    modem.begin(Waiting::Unsuback, modem.config.delays.unsuback, Action::Unsubscribe { filters });
    Ok(Answer::Ok)
}

/// Topic, QoS and retain flag.
fn heading(arguments: &Arguments) -> Result<(Vec<u8>, u8, bool), Answer> {
    let qos = arguments.number(1, 0..=2).ok_or(Answer::Error)? as u8;
    let retain = arguments.number(2, 0..=1).ok_or(Answer::Error)? == 1;
    Ok((topic(arguments)?, qos, retain))
}

fn publish(modem: &mut Modem, form: &Form) -> Outcome {
    let longest = modem.traits.mpub_max;
    let arguments = set(form, || vec!["+MPUB:<topic>,(0-2),(0,1),<message>".into()])?;
    let (topic, qos, retain) = heading(arguments)?;
    // Without quotes it is an ERROR (SEEN).
    let written = arguments.quoted(3).filter(|_| arguments.len() == 4).ok_or(Answer::Error)?;
    let quirks = modem.config.quirks;
    let message = match modem.mqtt.hexadecimal {
        true => digits(written),
        false => unescaped(written),
    };
    let message = message.ok_or(Answer::Error)?;
    let counted = if quirks.has(Quirk::CountsEscaped) { written.len() } else { message.len() };
    // An empty message is not documented; here it is a message like any other.
    let empty = message.is_empty() && quirks.has(Quirk::NoEmptyMpub);
    if counted > longest || empty {
        return Err(Answer::Error);
    }
    modem.publishes(topic, message, qos, retain)
}

/// Four escapes are documented. Anything else behind a backslash is not, and `\"` is seen to be
/// an ERROR; here all of it is.
fn unescaped(written: &[u8]) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(written.len());
    let mut rest = written;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'\\' {
            message.push(*byte);
            continue;
        }
        message.push(match tail.get(..2)? {
            b"22" => b'"',
            b"0D" => b'\r',
            b"0A" => b'\n',
            b"5C" => b'\\',
            _ => return None,
        });
        rest = &tail[2..];
    }
    Some(message)
}

/// Pairs of hexadecimal digits, of either case (SEEN: lower).
fn digits(written: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = written.chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect()
}

/// The mode of MQTTMODE is not documented to have an effect on this command; here it has none.
fn publish_data(modem: &mut Modem, form: &Form) -> Outcome {
    let longest = modem.traits.mpubex_max;
    if longest == 0 {
        return Err(Answer::Error);
    }
    let arguments = set(form, || vec![format!("+MPUBEX:<topic>,(0-2),(0,1),(1-{longest})")])?;
    let (topic, qos, retain) = heading(arguments)?;
    let need = match arguments.len() {
        3 => None,
        4 if arguments.is_blank(3) => None,
        4 => Some(arguments.number(3, 1..=longest).ok_or(Answer::Error)? as usize),
        _ => return Err(Answer::Error),
    };
    modem.is_free()?;
    // Whether silence ends a counted phase as well is not documented: by request only.
    let silence = need.is_none() || modem.config.quirks.has(Quirk::DataGap);
    Ok(Answer::Prompt(Entry {
        need,
        data: Vec::new(),
        purpose: Purpose::Publish { topic, qos, retain },
        ends: if silence { EntryEnds::Silence(GAP) } else { EntryEnds::Never },
    }))
}

// ---- receiving --------------------------------------------------------------------------------

fn mode(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Read => {
            let mode = u8::from(modem.mqtt.hexadecimal);
            Ok(Answer::Lines(vec![format!("+MQTTMODE: {mode}")]))
        }
        form => {
            let arguments = set(form, || vec!["+MQTTMODE: (0,1)".into()])?;
            modem.mqtt.hexadecimal = arguments.number(0, 0..=1).ok_or(Answer::Error)? == 1;
            Ok(Answer::Ok)
        }
    }
}

fn cache_set(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Read => {
            let mode = u8::from(modem.mqtt.cached);
            Ok(Answer::Lines(vec![format!("+MQTTMSGSET:{mode}")]))
        }
        form => {
            let arguments = set(form, || vec!["+MQTTMSGSET:(0,1)".into()])?;
            modem.mqtt.cached = arguments.number(0, 0..=1).ok_or(Answer::Error)? == 1;
            Ok(Answer::Ok)
        }
    }
}

fn cache_get(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Read => {
            let word = |slot: &Option<_>| if slot.is_some() { "VALID" } else { "INVALID" };
            let line = |(at, slot)| format!("+MQTTMSGGET: {at},{}", word(slot));
            Ok(Answer::Lines(modem.mqtt.slots.iter().enumerate().map(line).collect()))
        }
        Form::Execute => Ok(Answer::Block(modem.cached_messages())),
        Form::Test => Ok(Answer::Ok),
        Form::Set(_) => Err(Answer::Error),
    }
}

impl Modem {
    fn receives(&mut self, topic: Vec<u8>, mut payload: Vec<u8>) {
        if self.mqtt.cached {
            return self.stores(topic, payload);
        }
        let length = payload.len();
        if self.config.quirks.has(Quirk::LostPayloadByte) {
            payload.pop();
        }
        let head = format!("\",{length} byte,");
        let body = [b"+MSUB: \"", &topic[..], head.as_bytes(), &payload, b"\r\n"].concat();
        let start: &[u8] = if self.config.quirks.has(Quirk::NoLeadingCrlf) { b"" } else { b"\r\n" };
        self.interject_bytes([start, &body].concat());
    }

    /// When the table is full, the newest message takes the place of the oldest.
    fn stores(&mut self, topic: Vec<u8>, payload: Vec<u8>) {
        let client = &mut self.mqtt;
        let slot = client.next_slot;
        client.slots[slot] = Some(Cached { topic, payload, age: client.stored });
        client.stored += 1;
        client.next_slot = (slot + 1) % SLOTS;
        self.interject(&format!("+MSUB: {slot}"));
    }

    /// In which order they are printed is not documented; here it is that of the slots.
    fn cached_messages(&mut self) -> Vec<u8> {
        let quirks = self.config.quirks;
        let slots = std::mem::take(&mut self.mqtt.slots);
        self.mqtt.next_slot = 0;
        let mut messages: Vec<_> = slots.into_iter().flatten().collect();
        if quirks.has(Quirk::CachedByAge) {
            messages.sort_by_key(|message| message.age);
        }
        let tight = quirks.has(Quirk::CachedTight);
        let (blank, quote): (&str, &str) = match () {
            () if tight => ("", ""),
            () if quirks.has(Quirk::CachedUnquoted) => (" ", ""),
            () => (" ", "\""),
        };
        let mut block = Vec::new();
        for Cached { topic, payload, .. } in messages {
            if block.is_empty() || tight {
                block.extend(b"\r\n");
            }
            block.extend(format!("+MSUB:{blank}{quote}").into_bytes());
            block.extend(topic);
            block.extend(format!("{quote},{} byte,", payload.len()).into_bytes());
            block.extend(payload);
            block.extend(b"\r\n");
        }
        block
    }
}
