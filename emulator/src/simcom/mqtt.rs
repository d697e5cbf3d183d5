//! The MQTT service of the module: START to STOP, two clients, their buffers, and what is received.
//! Follows the order of the manual. Knows the state of service and clients; a broker is somebody
//! who answers [`Request`]s, sooner or later or never.

use super::{
    Action, Answer, ConnectOptions, Handler, Modem, Outcome, Purpose, Reply, Request, Timer, Will,
};
use crate::Quirk;
use crate::command::{Arguments, Form};
use crate::port::framed;

pub(super) const COMMANDS: &[(&str, Handler)] = &[
    ("+CMQTTSTART", start),
    ("+CMQTTSTOP", stop),
    ("+CMQTTACCQ", acquire),
    ("+CMQTTREL", release),
    ("+CMQTTSSLCFG", ssl_context),
    ("+CMQTTCFG", configure),
    ("+CMQTTWILLTOPIC", will_topic),
    ("+CMQTTWILLMSG", will_message),
    ("+CMQTTCONNECT", connect),
    ("+CMQTTDISC", disconnect),
    ("+CMQTTTOPIC", topic),
    ("+CMQTTPAYLOAD", payload),
    ("+CMQTTPUB", publish),
    ("+CMQTTSUBTOPIC", subscribe_topic),
    ("+CMQTTSUB", subscribe),
    ("+CMQTTUNSUBTOPIC", unsubscribe_topic),
    ("+CMQTTUNSUB", unsubscribe),
];

/// Error codes that the modem finds by itself (table of A300 and A109).
mod code {
    pub const FAILED: u8 = 1;
    pub const BAD_UTF8: u8 = 2;
    pub const RECEIVE_FAIL: u8 = 6;
    pub const NETWORK_NOT_OPENED: u8 = 9;
    pub const CLIENT_INDEX: u8 = 10;
    pub const NO_CONNECTION: u8 = 11;
    pub const INVALID_PARAMETER: u8 = 12;
    pub const NOT_SUPPORTED: u8 = 13;
    pub const CLIENT_BUSY: u8 = 14;
    pub const TIMEOUT: u8 = 17;
    pub const TOPIC_EMPTY: u8 = 18;
    pub const CLIENT_USED: u8 = 19;
    pub const NOT_ACQUIRED: u8 = 20;
    pub const NOT_RELEASED: u8 = 21;
    pub const LENGTH: u8 = 22;
    pub const NETWORK_OPENED: u8 = 23;
    pub const PROTOCOL_REFUSED: u8 = 27;
    pub const HANDSHAKE: u8 = 32;
    pub const NO_CERTIFICATE: u8 = 33;
    /// Socket and TLS errors: on the families that keep the OK of CONNECT back, these come
    /// without it (SEEN: 3 and 34 on an A7670E).
    pub const BEFORE_CONNECT: [u8; 6] = [3, 4, 7, 15, 25, 34];
}

/// All cached subscription topics together (A300).
const CACHED_TOPICS: usize = 5120;
const TOPIC_MAX: u32 = 1024;
const CHUNK: usize = 1500;

pub(super) struct Service {
    state: ServiceState,
    /// PDP context.
    cid: u32,
    clients: [Client; 2],
    next_id: u32,
}

impl Default for Service {
    fn default() -> Self {
        Service { state: ServiceState::Stopped, cid: 1, clients: Default::default(), next_id: 0 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServiceState {
    Stopped,
    Started,
    /// After `+CMQTTNONET`: only START helps.
    NetworkLost,
}

struct Client {
    acquired: Option<Acquired>,
    /// PDP context, if not that of the service.
    cid: Option<u32>,
    connected: bool,
    connection: Option<Connection>,
    operation: Option<Operation>,
    ssl_context: Option<usize>,
    check_utf8: bool,
    operation_timeout: u32,
    version: Option<u32>,
    /// In argtopic mode; whether the length is shown.
    argtopic: Option<bool>,
    will_topic: Vec<u8>,
    will_message: Option<(Vec<u8>, u8)>,
    topic: Vec<u8>,
    payload: Vec<u8>,
    sub_topics: Vec<(Vec<u8>, u8)>,
    unsub_topics: Vec<Vec<u8>>,
}

impl Default for Client {
    fn default() -> Self {
        Client {
            acquired: None,
            cid: None,
            connected: false,
            connection: None,
            operation: None,
            ssl_context: None,
            check_utf8: true,
            operation_timeout: 120,
            version: None,
            argtopic: None,
            will_topic: Vec::new(),
            will_message: None,
            topic: Vec::new(),
            payload: Vec::new(),
            sub_topics: Vec::new(),
            unsub_topics: Vec::new(),
        }
    }
}

struct Acquired {
    id: String,
    tls: bool,
    version: Option<u32>,
}

#[derive(Clone)]
struct Connection {
    url: String,
    host: String,
    port: u16,
    keep_alive: u32,
    clean: bool,
    user: Option<String>,
    password: Option<String>,
}

/// What the client waits for. A client does one thing at a time.
struct Operation {
    id: u32,
    name: &'static str,
    ok: OkWhen,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OkWhen {
    /// It is out already.
    Sent,
    /// After a good result line.
    AfterResult,
    /// Just before the result line, unless the socket could not be opened.
    BeforeResult,
}

/// A publish with its topic as argument (argtopic mode); the data comes at the prompt.
pub(super) struct ArgumentPublish {
    topic: Vec<u8>,
    qos: u8,
    retain: bool,
}

/// What a command needs of a client. Commands check in this order, each its own.
#[derive(Clone, Copy)]
enum Need {
    Acquired,
    Idle,
    Connected,
    Disconnected,
}

impl Service {
    pub fn is_connected(&self, client: u8) -> bool {
        self.clients.get(usize::from(client)).is_some_and(|client| client.connected)
    }

    pub fn abort_all(&mut self, requests: &mut Vec<Request>) {
        for (at, client) in self.clients.iter_mut().enumerate() {
            if std::mem::take(&mut client.connected) || client.operation.take().is_some() {
                let id = self.next_id;
                self.next_id += 1;
                requests.push(Request { client: at as u8, id, action: Action::Abort });
            }
        }
    }

    /// Everything at its start, but for the count of requests.
    pub fn restarted(&self) -> Service {
        Service { next_id: self.next_id, ..Service::default() }
    }

    fn both(&self, line: impl Fn(usize, &Client) -> String) -> Vec<String> {
        self.clients.iter().enumerate().map(|(at, client)| line(at, client)).collect()
    }
}

fn refused(name: &str, client: usize, code: u8) -> Answer {
    Answer::Refused(format!("{name}: {client},{code}"))
}

/// The arguments of a set form; the test form is answered here, other forms are errors.
fn set(form: &Form, test: impl FnOnce() -> String) -> Result<&Arguments, Answer> {
    match form {
        Form::Set(arguments) => Ok(arguments),
        Form::Test => Err(Answer::Lines(vec![test()])),
        _ => Err(Answer::Error),
    }
}

impl Modem {
    /// Everything but START answers a plain ERROR before START (A109).
    fn is_started(&self) -> Result<(), Answer> {
        match self.mqtt.state {
            ServiceState::Stopped => Err(Answer::Error),
            _ => Ok(()),
        }
    }

    /// The client of the first argument, if it is in the state that the command needs.
    fn client(&self, name: &str, arguments: &Arguments, needs: &[Need]) -> Result<usize, Answer> {
        self.is_started()?;
        let at = arguments.number(0, 0..=255).ok_or(Answer::Error)? as usize;
        if self.mqtt.state == ServiceState::NetworkLost {
            return Err(refused(name, at, code::NETWORK_NOT_OPENED));
        }
        // The table names code 10 for this; no log shows it.
        let client = self.mqtt.clients.get(at);
        let client = client.ok_or_else(|| refused(name, at, code::CLIENT_INDEX))?;
        for need in needs {
            let (met, code) = match need {
                Need::Acquired => (client.acquired.is_some(), code::NOT_ACQUIRED),
                Need::Idle => (client.operation.is_none(), code::CLIENT_BUSY),
                Need::Connected => (client.connected, code::NO_CONNECTION),
                // What a connected client answers to a second CONNECT or a late will is stated
                // nowhere; 13 is "not supported operation".
                Need::Disconnected => (!client.connected, code::NOT_SUPPORTED),
            };
            if !met {
                return Err(refused(name, at, code));
            }
        }
        Ok(at)
    }

    /// Asks the network for something, outside of any operation of the host.
    pub(super) fn request(&mut self, client: u8, action: Action) -> u32 {
        let id = self.mqtt.next_id;
        self.mqtt.next_id += 1;
        self.requests.push(Request { client, id, action });
        id
    }

    /// Begins an operation; its result comes from the network or, at last, from the clock.
    fn begin(
        &mut self,
        client: usize,
        name: &'static str,
        seconds: u32,
        action: Action,
    ) -> Outcome {
        let id = self.request(client as u8, action);
        let ok = match name {
            "+CMQTTCONNECT" if self.traits.connect_holds_ok => OkWhen::BeforeResult,
            "+CMQTTDISC" if self.config.quirks.has(Quirk::ResultBeforeOk) => OkWhen::AfterResult,
            _ => OkWhen::Sent,
        };
        self.mqtt.clients[client].operation = Some(Operation { id, name, ok });
        let timeout = Timer::OperationTimeout { client, id };
        self.set_timer(self.port.now + u64::from(seconds) * 1000, timeout);
        Ok(if ok == OkWhen::Sent { Answer::Ok } else { Answer::Wait })
    }

    pub(super) fn operation_times_out(&mut self, client: usize, id: u32) {
        if self.mqtt.clients[client].operation.as_ref().is_some_and(|op| op.id == id) {
            self.operation_ends(client, code::TIMEOUT);
        }
    }

    /// Prints the result line, with what goes with it, and draws the consequences.
    fn operation_ends(&mut self, client: usize, code: u8) {
        let Some(operation) = self.mqtt.clients[client].operation.take() else {
            return;
        };
        let name = operation.name;
        let code = if code == code::HANDSHAKE { self.traits.tls_code } else { code };
        let at = self.port.now + self.config.delays.result;
        let line = format!("{name}: {client},{code}");
        match operation.ok {
            OkWhen::Sent => drop(self.port.out.answer(at, framed(&line))),
            OkWhen::AfterResult if code == 0 => {
                self.port.out.answer(at, framed(&line));
                self.ends(at, "OK");
            }
            OkWhen::BeforeResult if !code::BEFORE_CONNECT.contains(&code) => {
                self.ends(at, "OK");
                self.port.out.answer(at, framed(&line));
            }
            _ => self.refuses(at, &line),
        }
        if operation.ok != OkWhen::Sent {
            self.port.blocked = false;
        }
        self.operation_ended(client, name, code);
    }

    fn operation_ended(&mut self, at: usize, name: &str, code: u8) {
        let client = &mut self.mqtt.clients[at];
        match (name, code) {
            ("+CMQTTCONNECT", 0) => client.connected = true,
            ("+CMQTTCONNECT", _) => {
                client.connection = None;
                client.ssl_context = None;
            }
            ("+CMQTTDISC", _) => {
                client.connected = false;
                client.connection = None;
                client.ssl_context = None;
            }
            (_, 0) => {}
            _ if self.config.quirks.has(Quirk::StrayOk) => {
                self.set_timer(self.port.now + 50, Timer::StrayOk);
            }
            _ => {}
        }
        if self.port.loses_connection() && self.mqtt.clients[at].connected {
            self.request(at as u8, Action::Abort);
            self.connection_lost(at, 1);
        }
    }

    pub(super) fn network_says(&mut self, reply: Reply) {
        match reply {
            Reply::Done { client, id, code } => {
                let at = usize::from(client) % 2;
                // The answer to an operation that timed out is nobody's.
                if self.mqtt.clients[at].operation.as_ref().is_some_and(|op| op.id == id) {
                    self.operation_ends(at, code);
                }
            }
            Reply::Message { client, topic, payload, .. } => {
                let at = usize::from(client) % 2;
                if self.mqtt.clients[at].connected {
                    let block = self.received_block(at, &topic, &payload);
                    self.port.out.unasked(self.port.now, block);
                }
            }
            Reply::Lost { client, cause } => self.connection_lost(usize::from(client) % 2, cause),
        }
    }

    fn connection_lost(&mut self, at: usize, cause: u8) {
        if self.mqtt.clients[at].operation.is_some() {
            self.operation_ends(at, code::RECEIVE_FAIL);
        }
        let client = &mut self.mqtt.clients[at];
        client.connection = None;
        if std::mem::take(&mut client.connected) {
            self.announce(&format!("+CMQTTCONNLOST: {at},{cause}"));
        }
    }

    /// `+CMQTTPING` asks the host to disconnect and to connect again (A300).
    pub(super) fn keep_alive_fails(&mut self, client: u8, code: u8) {
        let at = usize::from(client) % 2;
        if std::mem::take(&mut self.mqtt.clients[at].connected) {
            self.mqtt.clients[at].connection = None;
            self.request(client, Action::Abort);
            self.interject(&format!("+CMQTTPING: {at},{code}"));
        }
    }

    /// The bearer is gone, and the service with it.
    pub(super) fn network_is_gone(&mut self, when: u64, connlost: bool) {
        let quiet = self.config.quirks.has(Quirk::QuietLoss);
        for at in 0..self.mqtt.clients.len() {
            if self.mqtt.is_connected(at as u8) && connlost && !quiet {
                self.port.out.unasked(when, framed(&format!("+CMQTTCONNLOST: {at},3")));
            }
        }
        if self.mqtt.state == ServiceState::Stopped {
            return;
        }
        for at in 0..self.mqtt.clients.len() {
            if self.mqtt.clients[at].operation.is_some() {
                self.operation_ends(at, code::RECEIVE_FAIL);
            }
        }
        self.mqtt.abort_all(&mut self.requests);
        self.mqtt = self.mqtt.restarted();
        self.mqtt.state = ServiceState::NetworkLost;
        if !quiet {
            self.port.out.unasked(when, framed("+CMQTTNONET"));
        }
    }

    // ---- receiving ----------------------------------------------------------------------------

    fn received_block(&self, at: usize, topic: &[u8], payload: &[u8]) -> Vec<u8> {
        match self.mqtt.clients[at].argtopic {
            Some(with_length) => self.argtopic_line(at, topic, payload, with_length),
            None => self.classic_block(at, topic, payload),
        }
    }

    fn classic_block(&self, at: usize, topic: &[u8], payload: &[u8]) -> Vec<u8> {
        let quirks = self.config.quirks;
        let chunk = match () {
            () if quirks.has(Quirk::Chunk256) => 256,
            () if quirks.has(Quirk::ChunkNone) => usize::MAX,
            () => CHUNK,
        };
        // No log shows how a topic is split; two thirds and the rest is as good as any.
        let split = quirks.has(Quirk::SplitTopic) && topic.len() > 1;
        let part = if split { (topic.len() * 3).div_ceil(5) } else { usize::MAX };
        let blank: &[u8] = if quirks.has(Quirk::BlankLines) { b"\r\n" } else { b"" };

        let head = format!("\r\n+CMQTTRXSTART: {at},{},{}\r\n", topic.len(), payload.len());
        let mut block = head.into_bytes();
        if quirks.has(Quirk::BlankAfterRxstart) {
            block.extend(b"\r\n");
        }
        // A payload of no bytes has no payload part (M18 3.5).
        for (name, bytes, size) in [("TOPIC", topic, part), ("PAYLOAD", payload, chunk)] {
            for piece in bytes.chunks(size) {
                block.extend(blank);
                block.extend(format!("+CMQTTRX{name}: {at},{}\r\n", piece.len()).into_bytes());
                block.extend(piece);
                block.extend(b"\r\n");
            }
        }
        block.extend(blank);
        block.extend(format!("+CMQTTRXEND: {at}\r\n").into_bytes());
        block
    }

    fn argtopic_line(&self, at: usize, topic: &[u8], payload: &[u8], length: bool) -> Vec<u8> {
        let blank = if self.config.quirks.has(Quirk::NoBlankAfterColon) { "" } else { " " };
        let length = if length { format!("{},", payload.len()) } else { String::new() };
        let head = format!("\r\n+CMQTTRECV:{blank}{at},\"");
        [head.as_bytes(), topic, b"\",", length.as_bytes(), b"\"", payload, b"\"\r\n"].concat()
    }

    // ---- entered data -------------------------------------------------------------------------

    pub(super) fn mqtt_entered(&mut self, purpose: Purpose, data: Vec<u8>) -> Outcome {
        let (name, at) = match &purpose {
            Purpose::Topic(at) => ("+CMQTTTOPIC", *at),
            Purpose::Payload(at) => ("+CMQTTPAYLOAD", *at),
            Purpose::WillTopic(at) => ("+CMQTTWILLTOPIC", *at),
            Purpose::WillMessage(at, _) => ("+CMQTTWILLMSG", *at),
            Purpose::SubTopic(at, _) => ("+CMQTTSUBTOPIC", *at),
            Purpose::Subscribe(at, _) => ("+CMQTTSUB", *at),
            Purpose::UnsubTopic(at) => ("+CMQTTUNSUBTOPIC", *at),
            Purpose::Unsubscribe(at) => ("+CMQTTUNSUB", *at),
            Purpose::Publish(at, _) => ("+CMQTTPUB", *at),
            Purpose::File(_) => return Err(Answer::Error),
        };
        let client = &mut self.mqtt.clients[at];
        if client.check_utf8 && std::str::from_utf8(&data).is_err() {
            return Err(refused(name, at, code::BAD_UTF8));
        }
        match purpose {
            Purpose::Topic(_) => client.topic = data,
            Purpose::Payload(_) => client.payload = data,
            Purpose::WillTopic(_) => client.will_topic = data,
            Purpose::WillMessage(_, qos) => client.will_message = Some((data, qos)),
            Purpose::SubTopic(_, qos) => client.sub_topics.push((data, qos)),
            Purpose::UnsubTopic(_) => client.unsub_topics.push(data),
            Purpose::Subscribe(_, qos) => return self.subscribes(at, vec![(data, qos)]),
            Purpose::Unsubscribe(_) => return self.unsubscribes(at, vec![data]),
            Purpose::Publish(_, ArgumentPublish { topic, qos, retain }) => {
                let seconds = client.operation_timeout;
                let action = Action::Publish { topic, payload: data, qos, retain, dup: false };
                return self.begin(at, name, seconds, action);
            }
            Purpose::File(_) => {}
        }
        Ok(Answer::Ok)
    }
}

// ---- the service ------------------------------------------------------------------------------

/// The optional PDP context of START and STOP on the SIM767XX, as it is printed again.
fn service_cid(modem: &Modem, form: &Form) -> Result<String, Answer> {
    match form {
        Form::Execute => Ok(String::new()),
        Form::Test => Err(Answer::Ok),
        Form::Set(arguments) if modem.traits.start_cid && arguments.len() == 1 => {
            let cid = arguments.number(0, 1..=15).ok_or(Answer::Error)?;
            Ok(format!(",{cid}"))
        }
        _ => Err(Answer::Error),
    }
}

fn start(modem: &mut Modem, form: &Form) -> Outcome {
    let cid = service_cid(modem, form)?;
    if modem.mqtt.state == ServiceState::Started {
        return Err(match modem.traits.start_says_23 {
            true => Answer::Refused(format!("+CMQTTSTART: {}", code::NETWORK_OPENED)),
            false => Answer::Error,
        });
    }
    // SEEN on an A76xx with the radio off: result 1.
    let code = if modem.has_bearer() { 0 } else { code::FAILED };
    if code == 0 {
        modem.mqtt.state = ServiceState::Started;
    }
    Ok(Answer::Slow { result: format!("+CMQTTSTART: {code}{cid}"), code })
}

fn stop(modem: &mut Modem, form: &Form) -> Outcome {
    let cid = service_cid(modem, form)?;
    modem.is_started()?;
    if modem.mqtt.state == ServiceState::NetworkLost {
        return Err(Answer::Refused(format!("+CMQTTSTOP: {}{cid}", code::NETWORK_NOT_OPENED)));
    }
    // In argtopic mode REL is not needed after DISC (EX100).
    let holds = |client: &Client| {
        client.acquired.is_some() && (client.connected || client.argtopic.is_none())
    };
    if modem.mqtt.clients.iter().any(holds) {
        return Err(Answer::Refused(format!("+CMQTTSTOP: {}{cid}", code::NOT_RELEASED)));
    }
    modem.mqtt = modem.mqtt.restarted();
    Ok(Answer::Slow { result: format!("+CMQTTSTOP: 0{cid}"), code: 0 })
}

// ---- clients ----------------------------------------------------------------------------------

fn acquire(modem: &mut Modem, form: &Form) -> Outcome {
    let name = "+CMQTTACCQ";
    if *form == Form::Read {
        modem.is_started()?;
        return Ok(Answer::Lines(modem.mqtt.both(|at, client| match &client.acquired {
            Some(acquired) => {
                format!("{name}: {at},\"{}\",{}", acquired.id, u8::from(acquired.tls))
            }
            None => format!("{name}: {at},\"\",0"),
        })));
    }
    let traits = &modem.traits;
    let (longest, versions) = (traits.client_id_max, traits.accq_version);
    let tail = if versions { ",(3-4)" } else { "" };
    let arguments = set(form, || format!("{name}: (0-1),(1-{longest}),(0-1){tail}"))?;
    if !(2..=if versions { 4 } else { 3 }).contains(&arguments.len()) {
        return Err(Answer::Error);
    }
    let at = modem.client(name, arguments, &[])?;
    if modem.mqtt.clients[at].acquired.is_some() {
        return Err(refused(name, at, code::CLIENT_USED));
    }
    // Whether a bad length is 12 or 22 is stated nowhere; for topics a log shows 12.
    let invalid = || refused(name, at, code::INVALID_PARAMETER);
    let id = arguments.text(1).ok_or_else(invalid)?;
    if !(1..=longest as usize).contains(&id.len()) {
        return Err(invalid());
    }
    let tls = arguments.number_or(2, 0, 0..=1).ok_or_else(invalid)? == 1;
    let version = match arguments.len() {
        4 => Some(arguments.number(3, 3..=4).ok_or_else(invalid)?),
        _ => None,
    };
    modem.mqtt.clients[at].acquired = Some(Acquired { id: id.to_owned(), tls, version });
    Ok(Answer::Ok)
}

fn release(modem: &mut Modem, form: &Form) -> Outcome {
    let name = "+CMQTTREL";
    if *form == Form::Read {
        modem.is_started()?;
        return Ok(Answer::Ok);
    }
    let arguments = set(form, || format!("{name}: (0-1)"))?;
    let at = modem.client(name, arguments, &[Need::Acquired])?;
    // A busy client can be released (it is what users do against a lasting 14). What happens to
    // its connection is stated nowhere; here it is dropped without a word.
    let client = std::mem::take(&mut modem.mqtt.clients[at]);
    if client.connected || client.operation.is_some() {
        modem.request(at as u8, Action::Abort);
    }
    Ok(Answer::Ok)
}

fn ssl_context(modem: &mut Modem, form: &Form) -> Outcome {
    let name = "+CMQTTSSLCFG";
    if *form == Form::Read {
        modem.is_started()?;
        let line =
            |at, client: &Client| format!("{name}: {at},{}", client.ssl_context.unwrap_or(at));
        return Ok(Answer::Lines(modem.mqtt.both(line)));
    }
    let arguments = set(form, || format!("{name}: (0-1),(0-9)"))?;
    let at = modem.client(name, arguments, &[])?;
    let context = arguments.number(1, 0..=9).ok_or(Answer::Error)? as usize;
    modem.mqtt.clients[at].ssl_context = Some(context);
    Ok(Answer::Ok)
}

fn configure(modem: &mut Modem, form: &Form) -> Outcome {
    let name = "+CMQTTCFG";
    match form {
        Form::Read => {
            modem.is_started()?;
            // The manual of 2018 knows no operation time-out.
            let short = modem.traits.cfg.len() == 1;
            let line = |at, client: &Client| {
                let utf8 = u8::from(client.check_utf8);
                let tail = format!(",{}", client.operation_timeout);
                format!("{name}: {at},{utf8}{}", if short { "" } else { &tail })
            };
            Ok(Answer::Lines(modem.mqtt.both(line)))
        }
        Form::Test => {
            let line = |(key, range): &(&str, &str)| format!("{name}: \"{key}\",(0-1),{range}");
            Ok(Answer::Lines(modem.traits.cfg.iter().map(line).collect()))
        }
        Form::Set(arguments) => configure_set(modem, arguments),
        Form::Execute => Err(Answer::Error),
    }
}

/// CMQTTCFG answers plain ERROR to whatever it does not take.
fn configure_set(modem: &mut Modem, arguments: &Arguments) -> Outcome {
    modem.is_started()?;
    let key = arguments.text(0).ok_or(Answer::Error)?;
    match key {
        "cid" | "CID" if modem.traits.start_cid => return context_of_service(modem, arguments),
        "scid" | "SCID" if modem.traits.start_cid => return context_of_client(modem, arguments),
        _ => {}
    }
    let known = modem.traits.cfg.iter().any(|(name, _)| *name == key);
    let at = arguments.number(1, 0..=1).ok_or(Answer::Error)? as usize;
    let length = if key == "argtopic" { 3..=4 } else { 3..=3 };
    if !known || !length.contains(&arguments.len()) || modem.mqtt.clients[at].connected {
        return Err(Answer::Error);
    }
    let value = |range| arguments.number(2, range).ok_or(Answer::Error);
    let client = &mut modem.mqtt.clients[at];
    match key {
        "checkUTF8" => client.check_utf8 = value(0..=1)? == 1,
        "optimeout" => client.operation_timeout = value(20..=120)?,
        "version" => client.version = Some(value(3..=4)?),
        _ => {
            let length = arguments.number_or(3, 0, 0..=1).ok_or(Answer::Error)? == 1;
            client.argtopic = (value(0..=1)? == 1).then_some(length);
        }
    }
    Ok(Answer::Ok)
}

/// `"cid"[,n]`: the PDP context of the service (A767).
fn context_of_service(modem: &mut Modem, arguments: &Arguments) -> Outcome {
    match arguments.len() {
        1 => Ok(Answer::Lines(vec![format!("+CMQTTCFG: \"CID\",{}", modem.mqtt.cid)])),
        2 => {
            modem.mqtt.cid = arguments.number(1, 1..=15).ok_or(Answer::Error)?;
            Ok(Answer::Ok)
        }
        _ => Err(Answer::Error),
    }
}

/// `"scid"[,i[,n]]`: the same for one client (A767). How it is printed is a guess after "cid".
fn context_of_client(modem: &mut Modem, arguments: &Arguments) -> Outcome {
    let cid = modem.mqtt.cid;
    let line = |at: usize, client: &Client| {
        format!("+CMQTTCFG: \"SCID\",{at},{}", client.cid.unwrap_or(cid))
    };
    let at = arguments.number_or(1, 0, 0..=1).ok_or(Answer::Error)? as usize;
    match arguments.len() {
        1 => Ok(Answer::Lines(modem.mqtt.both(line))),
        2 => Ok(Answer::Lines(vec![line(at, &modem.mqtt.clients[at])])),
        3 => {
            let number = arguments.number(2, 1..=15).ok_or(Answer::Error)?;
            modem.mqtt.clients[at].cid = Some(number);
            Ok(Answer::Ok)
        }
        _ => Err(Answer::Error),
    }
}

// ---- will -------------------------------------------------------------------------------------

/// The length of data to be entered. Out of range it is 12 (SEEN with SUBTOPIC), although the
/// table has 22 "length out of range" as well.
fn length(arguments: &Arguments, name: &str, client: usize, longest: u32) -> Result<usize, Answer> {
    let length = arguments.number(1, 1..=longest);
    let length = length.ok_or_else(|| refused(name, client, code::INVALID_PARAMETER))?;
    Ok(length as usize)
}

fn will_topic(modem: &mut Modem, form: &Form) -> Outcome {
    let name = "+CMQTTWILLTOPIC";
    let arguments = set(form, || format!("{name}: (0-1),(1-{TOPIC_MAX})"))?;
    let needs = [Need::Acquired, Need::Idle, Need::Disconnected];
    let at = modem.client(name, arguments, &needs)?;
    let need = length(arguments, name, at, TOPIC_MAX)?;
    Ok(Answer::Prompt(need, Purpose::WillTopic(at)))
}

fn will_message(modem: &mut Modem, form: &Form) -> Outcome {
    let name = "+CMQTTWILLMSG";
    let longest = modem.traits.will_message_max;
    let arguments = set(form, || format!("{name}: (0-1),(1-{longest}),(0-2)"))?;
    let needs = [Need::Acquired, Need::Idle, Need::Disconnected];
    let at = modem.client(name, arguments, &needs)?;
    let need = length(arguments, name, at, longest)?;
    let invalid = || refused(name, at, code::INVALID_PARAMETER);
    let qos = arguments.number(2, 0..=2).ok_or_else(invalid)?;
    Ok(Answer::Prompt(need, Purpose::WillMessage(at, qos as u8)))
}

// ---- connection -------------------------------------------------------------------------------

fn connect(modem: &mut Modem, form: &Form) -> Outcome {
    let name = "+CMQTTCONNECT";
    if *form == Form::Read {
        modem.is_started()?;
        return Ok(Answer::Lines(modem.mqtt.both(connection_line)));
    }
    let shortest = modem.traits.keep_alive_min;
    let test = || format!("{name}: (0-1),(9-256),({shortest}-64800),(0-1),(1-256),(1-256)");
    let arguments = set(form, test)?;
    if !(4..=6).contains(&arguments.len()) {
        return Err(Answer::Error);
    }
    let at = modem.client(name, arguments, &[Need::Acquired, Need::Idle, Need::Disconnected])?;
    let connection = connection(arguments, shortest)
        .ok_or_else(|| refused(name, at, code::INVALID_PARAMETER))?;
    let options = modem.connect_options(at, &connection)?;
    modem.mqtt.clients[at].connection = Some(connection);
    if options.version == 3 && modem.config.quirks.has(Quirk::Mqtt31Refused) {
        modem.mqtt.clients[at].connection = None;
        modem.mqtt.clients[at].ssl_context = None;
        return Ok(Answer::Then(format!("{name}: {at},{}", code::PROTOCOL_REFUSED)));
    }
    // TLS may take as long as it is configured to; else it is the operation time-out.
    let client = &modem.mqtt.clients[at];
    let handshake = options.tls.as_ref().map_or(0, |tls| tls.negotiate_seconds);
    let seconds = client.operation_timeout + handshake;
    modem.begin(at, name, seconds, Action::Connect(Box::new(options)))
}

/// A bare index means: not connected.
fn connection_line(at: usize, client: &Client) -> String {
    let Some(connection) = client.connection.as_ref().filter(|_| client.connected) else {
        return format!("+CMQTTCONNECT: {at}");
    };
    let Connection { url, keep_alive, clean, user, password, .. } = connection;
    let mut line = format!("+CMQTTCONNECT: {at},\"{url}\",{keep_alive},{}", u8::from(*clean));
    for word in [user, password].into_iter().flatten() {
        line += &format!(",\"{word}\"");
    }
    line
}

/// The scheme is `tcp://` even for TLS; anything else is an invalid parameter (SEEN).
fn connection(arguments: &Arguments, shortest_keep_alive: u32) -> Option<Connection> {
    let url = arguments.text(1)?;
    let address = url.strip_prefix("tcp://").filter(|_| (9..=256).contains(&url.len()))?;
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (address, 1883),
    };
    let word = |at| match arguments.text(at) {
        _ if at >= arguments.len() => Some(None),
        Some(word) if (1..=256).contains(&word.len()) => Some(Some(word.to_owned())),
        _ => None,
    };
    Some(Connection {
        url: url.to_owned(),
        host: host.to_owned(),
        port,
        keep_alive: arguments.number(2, shortest_keep_alive..=64800)?,
        clean: arguments.number(3, 0..=1)? == 1,
        user: word(4)?,
        password: word(5)?,
    })
}

impl Modem {
    fn connect_options(&self, at: usize, to: &Connection) -> Result<ConnectOptions, Answer> {
        let client = &self.mqtt.clients[at];
        let no_client = || refused("+CMQTTCONNECT", at, code::NOT_ACQUIRED);
        let acquired = client.acquired.as_ref().ok_or_else(no_client)?;
        let tls = match acquired.tls {
            false => None,
            true => {
                let context = client.ssl_context.unwrap_or(at);
                let options = self.tls.options(self.config.family, context);
                let missing = || refused("+CMQTTCONNECT", at, code::NO_CERTIFICATE);
                Some(options.ok_or_else(missing)?)
            }
        };
        let will = client.will_message.as_ref().filter(|_| !client.will_topic.is_empty());
        let version = client.version.or(acquired.version).unwrap_or(self.traits.version);
        Ok(ConnectOptions {
            host: to.host.clone(),
            port: to.port,
            tls,
            client_id: acquired.id.clone(),
            user: to.user.clone(),
            password: to.password.clone(),
            keep_alive_seconds: to.keep_alive,
            clean: to.clean,
            version: version as u8,
            will: will.map(|(payload, qos)| Will {
                topic: client.will_topic.clone(),
                payload: payload.clone(),
                qos: *qos,
                retain: false,
            }),
        })
    }
}

fn disconnect(modem: &mut Modem, form: &Form) -> Outcome {
    let name = "+CMQTTDISC";
    if *form == Form::Read {
        modem.is_started()?;
        // 0 is connected, 1 is not.
        let line = |at, client: &Client| format!("{name}: {at},{}", u8::from(!client.connected));
        return Ok(Answer::Lines(modem.mqtt.both(line)));
    }
    let shortest = modem.traits.timeout_min;
    let optional = modem.traits.short_disc;
    let arguments = set(form, || format!("{name}: (0-1),(0,{shortest}-180)"))?;
    if arguments.len() > 2 || arguments.len() < if optional { 1 } else { 2 } {
        return Err(Answer::Error);
    }
    let at = modem.client(name, arguments, &[Need::Acquired, Need::Idle, Need::Connected])?;
    let seconds = arguments.number_or(1, 0, 0..=180).filter(|n| *n == 0 || *n >= shortest);
    let seconds = seconds.ok_or_else(|| refused(name, at, code::INVALID_PARAMETER))?;
    modem.begin(at, name, if seconds == 0 { 120 } else { seconds }, Action::Disconnect)
}

// ---- publish ----------------------------------------------------------------------------------

/// The publishing commands look for the connection before they look for a running operation:
/// SEEN on a SIM7600E during CONNECT is 11 for TOPIC and 14 for SUBTOPIC.
const PUBLISHING: [Need; 3] = [Need::Acquired, Need::Connected, Need::Idle];
const SUBSCRIBING: [Need; 3] = [Need::Acquired, Need::Idle, Need::Connected];

fn topic(modem: &mut Modem, form: &Form) -> Outcome {
    let name = "+CMQTTTOPIC";
    let arguments = set(form, || format!("{name}: (0-1),(1-{TOPIC_MAX})"))?;
    let at = modem.client(name, arguments, &PUBLISHING)?;
    let need = length(arguments, name, at, TOPIC_MAX)?;
    Ok(Answer::Prompt(need, Purpose::Topic(at)))
}

fn payload(modem: &mut Modem, form: &Form) -> Outcome {
    let name = "+CMQTTPAYLOAD";
    let longest = modem.traits.payload_max;
    let arguments = set(form, || format!("{name}: (0-1),(1-{longest})"))?;
    let at = modem.client(name, arguments, &PUBLISHING)?;
    let need = length(arguments, name, at, longest)?;
    Ok(Answer::Prompt(need, Purpose::Payload(at)))
}

fn publish(modem: &mut Modem, form: &Form) -> Outcome {
    let name = "+CMQTTPUB";
    let shortest = modem.traits.timeout_min;
    let test = || format!("{name}: (0-1),(0-2),({shortest}-180),(0-1),(0-1)");
    let arguments = set(form, test)?;
    if arguments.quoted(1).is_some() {
        return publish_argument(modem, arguments);
    }
    if !(3..=5).contains(&arguments.len()) {
        return Err(Answer::Error);
    }
    let at = modem.client(name, arguments, &PUBLISHING)?;
    let invalid = || refused(name, at, code::INVALID_PARAMETER);
    let qos = arguments.number(1, 0..=2).ok_or_else(invalid)? as u8;
    let seconds = arguments.number(2, shortest..=180).ok_or_else(invalid)?;
    let retain = arguments.number_or(3, 0, 0..=1).ok_or_else(invalid)? == 1;
    let dup = arguments.number_or(4, 0, 0..=1).ok_or_else(invalid)? == 1;
    let client = &mut modem.mqtt.clients[at];
    if client.topic.is_empty() {
        return Err(refused(name, at, code::TOPIC_EMPTY));
    }
    // Both buffers are used up, whatever becomes of the message.
    let topic = std::mem::take(&mut client.topic);
    let payload = std::mem::take(&mut client.payload);
    modem.begin(at, name, seconds, Action::Publish { topic, payload, qos, retain, dup })
}

/// A quoted topic is 12 outside of argtopic mode (SEEN with SUB).
fn needs_argtopic(modem: &Modem, name: &str, at: usize) -> Result<(), Answer> {
    match modem.mqtt.clients[at].argtopic {
        Some(_) => Ok(()),
        None => Err(refused(name, at, code::INVALID_PARAMETER)),
    }
}

/// Topics of argtopic mode end at 500 bytes (EX100).
fn argument_topic(arguments: &Arguments, name: &str, at: usize) -> Result<Vec<u8>, Answer> {
    let topic = arguments.quoted(1).filter(|topic| (1..=500).contains(&topic.len()));
    let topic = topic.ok_or_else(|| refused(name, at, code::INVALID_PARAMETER))?;
    Ok(topic.to_vec())
}

fn publish_argument(modem: &mut Modem, arguments: &Arguments) -> Outcome {
    let name = "+CMQTTPUB";
    let at = modem.client(name, arguments, &PUBLISHING)?;
    needs_argtopic(modem, name, at)?;
    let invalid = || refused(name, at, code::INVALID_PARAMETER);
    let topic = argument_topic(arguments, name, at)?;
    let qos = arguments.number(2, 0..=2).ok_or_else(invalid)? as u8;
    let need = arguments.number(3, 1..=modem.traits.payload_max).ok_or_else(invalid)?;
    let retain = arguments.number_or(4, 0, 0..=1).ok_or_else(invalid)? == 1;
    let publish = ArgumentPublish { topic, qos, retain };
    Ok(Answer::Prompt(need as usize, Purpose::Publish(at, publish)))
}

// ---- subscribe --------------------------------------------------------------------------------

fn subscribe_topic(modem: &mut Modem, form: &Form) -> Outcome {
    let name = "+CMQTTSUBTOPIC";
    if !modem.traits.subtopic {
        return Err(Answer::Error);
    }
    let arguments = set(form, || format!("{name}: (0-1),(1-{TOPIC_MAX}),(0-2)"))?;
    let at = modem.client(name, arguments, &SUBSCRIBING)?;
    let need = length(arguments, name, at, TOPIC_MAX)?;
    let invalid = || refused(name, at, code::INVALID_PARAMETER);
    let qos = arguments.number(2, 0..=2).ok_or_else(invalid)? as u8;
    let cached: usize = modem.mqtt.clients[at].sub_topics.iter().map(|(t, _)| t.len()).sum();
    if cached + need > CACHED_TOPICS {
        return Err(refused(name, at, code::LENGTH));
    }
    Ok(Answer::Prompt(need, Purpose::SubTopic(at, qos)))
}

fn subscribe(modem: &mut Modem, form: &Form) -> Outcome {
    let name = "+CMQTTSUB";
    if *form == Form::Read {
        modem.is_started()?;
        return Ok(Answer::Lines(cached_topics(modem)));
    }
    let arguments = set(form, || format!("{name}: (0-1),(1-{TOPIC_MAX}),(0-2),(0-1)"))?;
    let at = modem.client(name, arguments, &SUBSCRIBING)?;
    let invalid = || refused(name, at, code::INVALID_PARAMETER);
    if arguments.quoted(1).is_some() {
        needs_argtopic(modem, name, at)?;
        let topic = argument_topic(arguments, name, at)?;
        let qos = arguments.number(2, 0..=2).ok_or_else(invalid)? as u8;
        return modem.subscribes(at, vec![(topic, qos)]);
    }
    // One or two arguments subscribe what is cached, three or four open a prompt for one topic.
    match arguments.len() {
        1 | 2 => {
            arguments.number_or(1, 0, 0..=1).ok_or_else(invalid)?;
            let topics = std::mem::take(&mut modem.mqtt.clients[at].sub_topics);
            modem.subscribes(at, topics)
        }
        3 | 4 => {
            let need = length(arguments, name, at, TOPIC_MAX)?;
            let qos = arguments.number(2, 0..=2).ok_or_else(invalid)? as u8;
            arguments.number_or(3, 0, 0..=1).ok_or_else(invalid)?;
            Ok(Answer::Prompt(need, Purpose::Subscribe(at, qos)))
        }
        _ => Err(Answer::Error),
    }
}

fn cached_topics(modem: &Modem) -> Vec<String> {
    let mut lines = vec!["+CMQTTSUB:".to_owned()];
    for (at, client) in modem.mqtt.clients.iter().enumerate() {
        for (topic, qos) in &client.sub_topics {
            lines.push(format!("{at},\"{}\",{qos}", String::from_utf8_lossy(topic)));
        }
    }
    lines
}

fn unsubscribe_topic(modem: &mut Modem, form: &Form) -> Outcome {
    let name = "+CMQTTUNSUBTOPIC";
    if !modem.traits.subtopic {
        return Err(Answer::Error);
    }
    let arguments = set(form, || format!("{name}: (0-1),(1-{TOPIC_MAX})"))?;
    let at = modem.client(name, arguments, &SUBSCRIBING)?;
    let need = length(arguments, name, at, TOPIC_MAX)?;
    Ok(Answer::Prompt(need, Purpose::UnsubTopic(at)))
}

fn unsubscribe(modem: &mut Modem, form: &Form) -> Outcome {
    let name = "+CMQTTUNSUB";
    let arguments = set(form, || format!("{name}: (0-1),(1-{TOPIC_MAX}),(0-1)"))?;
    let at = modem.client(name, arguments, &SUBSCRIBING)?;
    let invalid = || refused(name, at, code::INVALID_PARAMETER);
    if arguments.quoted(1).is_some() {
        needs_argtopic(modem, name, at)?;
        let topic = argument_topic(arguments, name, at)?;
        return modem.unsubscribes(at, vec![topic]);
    }
    // dup is mandatory: two arguments unsubscribe what is cached, three open a prompt.
    match arguments.len() {
        2 => {
            arguments.number(1, 0..=1).ok_or_else(invalid)?;
            let topics = std::mem::take(&mut modem.mqtt.clients[at].unsub_topics);
            modem.unsubscribes(at, topics)
        }
        3 => {
            let need = length(arguments, name, at, TOPIC_MAX)?;
            arguments.number(2, 0..=1).ok_or_else(invalid)?;
            Ok(Answer::Prompt(need, Purpose::Unsubscribe(at)))
        }
        _ => Err(Answer::Error),
    }
}

impl Modem {
    fn subscribes(&mut self, at: usize, filters: Vec<(Vec<u8>, u8)>) -> Outcome {
        let name = "+CMQTTSUB";
        if filters.is_empty() {
            return Err(refused(name, at, code::TOPIC_EMPTY));
        }
        let seconds = self.mqtt.clients[at].operation_timeout;
        self.begin(at, name, seconds, Action::Subscribe { filters })
    }

    fn unsubscribes(&mut self, at: usize, filters: Vec<Vec<u8>>) -> Outcome {
        let name = "+CMQTTUNSUB";
        if filters.is_empty() {
            return Err(refused(name, at, code::TOPIC_EMPTY));
        }
        let seconds = self.mqtt.clients[at].operation_timeout;
        self.begin(at, name, seconds, Action::Unsubscribe { filters })
    }
}
