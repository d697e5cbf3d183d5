//! Nothing that a caller passes can leave its field, and every payload passes
//! as it is. What is on the wire is read here by decoders of their own (for
//! MQTT by `rumqttc`'s), never by the driver's, and compared with the wire of a
//! harmless text of the same length: the same commands, the same fields, but
//! for the one that was passed.
//!
//! More cases: `PROPTEST_CASES=100000 cargo test --release --test injection`

mod common;

use std::collections::BTreeMap;

use common::{Heard, Rig, config, luat_config};
use hayes::{
    File, FileKind, Machine, Operation,
    mqtt::{
        AuthType, ConnectOptions, Credential, Error, Network, Publish, QoS, Subscription, Tls,
        TopicFilter, Will,
    },
};
use hayes_emulator::{Modem, jspr, luat, rockremote, simcom};
use proptest::prelude::*;
use rumqttc::mqttbytes::v4::Packet;

// ---- what is passed, and where -----------------------------------------------

/// A field that a caller fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    ClientId,
    Host,
    User,
    Password,
    WillTopic,
    WillPayload,
    CaName,
    Topic,
    Payload,
    Filter,
    SecondFilter,
    Unfilter,
    Apn,
    ApnUser,
    ApnPassword,
    FileName,
    FileContent,
}

use Slot::*;

const SLOTS: [Slot; 17] = [
    ClientId,
    Host,
    User,
    Password,
    WillTopic,
    WillPayload,
    CaName,
    Topic,
    Payload,
    Filter,
    SecondFilter,
    Unfilter,
    Apn,
    ApnUser,
    ApnPassword,
    FileName,
    FileContent,
];

/// How far the modem must be for the operation with this field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ready {
    Cold,
    Up,
    Connected,
}

impl Slot {
    fn ready(self) -> Ready {
        match self {
            Apn | ApnUser | ApnPassword => Ready::Cold,
            Topic | Payload | Filter | SecondFilter | Unfilter => Ready::Connected,
            _ => Ready::Up,
        }
    }

    /// A text of `len` bytes that every check lets pass.
    fn harmless(self, len: usize) -> Vec<u8> {
        match self {
            CaName | FileName if len > 4 => [vec![b'Q'; len - 4], b".pem".to_vec()].concat(),
            CaName | FileName => vec![b'Q'; len],
            _ => vec![b'~'; len],
        }
    }

    /// A host is the affair of whoever opens the connection to the box, and on
    /// the line of a 9704 there is nothing but payloads and numbers.
    fn is_said_to(self, backend: &str) -> bool {
        match backend {
            "RockREMOTE" => self != Host,
            "9704" => self == Payload,
            _ => true,
        }
    }

    /// Nothing is said: a box has no access point, and the filters of a 9704
    /// are the driver's own.
    fn is_idle(self, backend: &str) -> bool {
        match backend {
            "RockREMOTE" => self.ready() == Ready::Cold,
            "9704" => matches!(self, Filter | SecondFilter | Unfilter),
            _ => false,
        }
    }

    /// Whether the caller passes bytes, and not text.
    fn is_bytes(self) -> bool {
        matches!(self, WillPayload | Payload | FileContent)
    }

    /// Gives the operation in which `value` fills this field to `run`, unless
    /// it is refused when it is built.
    fn fill(
        self,
        value: &[u8],
        run: &mut dyn FnMut(&Operation<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let text = std::str::from_utf8(value).unwrap_or_default();
        let other = |slot, harmless| if self == slot { text } else { harmless };
        match self {
            ClientId | Host | User | Password | WillTopic | WillPayload | CaName => {
                let host = other(Host, "broker.example");
                let mut options = ConnectOptions::new(host, 1883, other(ClientId, "device-7"))?;
                if matches!(self, User | Password) {
                    let password = other(Password, "password");
                    options = options.credentials(other(User, "user"), Some(password))?;
                }
                if matches!(self, WillTopic | WillPayload) {
                    let payload = if self == WillPayload { value } else { b"gone" };
                    options = options.last_will(Will::new(other(WillTopic, "will"), payload)?);
                }
                if self == CaName {
                    options = options.tls(Tls::with_ca(Credential::Stored(text)));
                }
                run(&Operation::Connect(&options))
            }
            Topic | Payload => {
                let payload = if self == Payload { value } else { b"payload" };
                let publish = Publish::new(other(Topic, "up/t"), payload)?;
                run(&Operation::Publish(&publish.qos(QoS::AtLeastOnce)))
            }
            Filter => run(&Operation::Subscribe(&[Subscription::new(text, QoS::AtLeastOnce)?])),
            SecondFilter => {
                let filters = [
                    Subscription::new("a/first", QoS::AtMostOnce)?,
                    Subscription::new(text, QoS::AtLeastOnce)?,
                ];
                run(&Operation::Subscribe(&filters))
            }
            Unfilter => run(&Operation::Unsubscribe(&[TopicFilter::new(text)?])),
            Apn | ApnUser | ApnPassword => {
                let network = Network::new().apn(other(Apn, "iot"))?;
                let (user, password) = (other(ApnUser, "user"), other(ApnPassword, "password"));
                run(&Operation::BringUp(&network.credentials(AuthType::Pap, user, password)?))
            }
            FileName => run(&Operation::Delete(text)),
            FileContent => {
                let content = Credential::Pem(value);
                run(&Operation::Store(&File { kind: FileKind::Ca, content }))
            }
        }
    }
}

/// Texts that would do harm outside their field.
const HOSTILE: [&str; 46] = [
    "\r",
    "\n",
    "\r\n",
    "\0",
    "\"",
    "\"\"",
    "\",\"",
    "\\",
    "\\\"",
    "\\22",
    "\\22,1,1,\\22",
    "\\0D\\0A",
    "\\r\\n",
    "\x1a",
    "\x1b",
    "\x7f",
    "\t",
    "\x11\x13",
    "\x08",
    "+++",
    "ATH",
    ";AT+CFUN=0",
    ";+CFUN=0",
    "\rAT+CFUN=0\r",
    "\r\nAT+CMQTTDISC=0,60\r\n",
    "\",60,1;+CFUN=0;\"",
    "\"}\rPUT operationalState {\"state\": \"inactive\"}\r",
    "\", \"data\": \"",
    "OK",
    "ERROR",
    ">",
    "> ",
    ",",
    ",0,0,\"",
    ":",
    "/",
    "//",
    "+",
    "#",
    "$SYS",
    " ",
    "%s%n",
    "\u{80}\u{9b}",
    "gr\u{fc}\u{df}e/\u{65e5}\u{672c}",
    "\u{2028}\u{feff}\u{fffe}",
    "\u{10ffff}",
];

/// Bytes that are no text: half a character, overlong, a lone surrogate.
const NO_TEXT: [&[u8]; 5] = [b"\xff", b"\xc3", b"\xc0\x8d", b"\xed\xa0\x80", b"\xed\xb0\x80\xf5"];

/// Lengths around the limits of fields, and what no field takes.
const LENGTHS: [usize; 14] =
    [1, 22, 24, 33, 65, 101, 128, 129, 244, 257, 1_025, 2_048, 10_241, 65_536];

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        6 => prop::sample::select(&HOSTILE[..]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::sample::select(&NO_TEXT[..]).prop_map(<[u8]>::to_vec),
        3 => "[a-z0-9/._-]{1,8}".prop_map(String::into_bytes),
        1 => any::<char>().prop_map(|c| c.to_string().into_bytes()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        1 => Just(b".pem".to_vec()),
    ];
    let long = (prop::sample::select(&LENGTHS[..]), any::<bool>()).prop_map(|(len, wide)| {
        if wide { "\u{e9}".repeat(len / 2).into_bytes() } else { vec![b'x'; len] }
    });
    prop_oneof![
        9 => prop::collection::vec(part, 1..5).prop_map(|parts| parts.concat()),
        1 => long,
    ]
}

// ---- the wire, read apart from the driver ----------------------------------------

/// A command or a packet: its name and its fields.
type Said = Vec<Vec<u8>>;
type Wire = [(bool, Vec<u8>)];

/// Commands after which a host enters data, and which of their arguments is
/// the length (manuals of the vendors).
const ENTERS: [(&[u8], usize); 10] = [
    (b"+CMQTTTOPIC", 1),
    (b"+CMQTTPAYLOAD", 1),
    (b"+CMQTTWILLTOPIC", 1),
    (b"+CMQTTWILLMSG", 1),
    (b"+CMQTTSUBTOPIC", 1),
    (b"+CMQTTSUB", 1),
    (b"+CMQTTUNSUB", 1),
    (b"+CCERTDOWN", 1),
    (b"+MPUBEX", 3),
    (b"+FSWRITE", 2),
];

/// A modem's reading of what an AT host sends: lines that end with CR, an LF
/// behind it, and after the prompt as many bytes as the line said.
fn at_commands(wire: &Wire) -> Result<Vec<Said>, String> {
    let mut commands: Vec<Said> = Vec::new();
    let mut line = Vec::new();
    let (mut prompted, mut ended) = (false, false);
    let mut entered: Option<(usize, Vec<u8>)> = None;
    for (host, bytes) in wire {
        if !host {
            ended = false;
            prompted |= bytes.starts_with(b"\r\n>") || bytes.starts_with(b">");
            continue;
        }
        for byte in bytes {
            if std::mem::take(&mut ended) && *byte == b'\n' {
                continue;
            }
            if let Some((left, data)) = &mut entered {
                if !prompted {
                    return Err(format!("{:?} before the prompt", *byte as char));
                }
                data.push(*byte);
                *left -= 1;
                if *left == 0 {
                    let (_, data) = entered.take().unwrap();
                    commands.last_mut().unwrap().push(data);
                }
                continue;
            }
            match byte {
                b'\r' if line.is_empty() => {}
                b'\r' => {
                    ended = true;
                    let command = at_command(&std::mem::take(&mut line))?;
                    let length = ENTERS.iter();
                    let length =
                        length.filter(|(name, _)| *name == command[0]).find_map(|(_, at)| {
                            std::str::from_utf8(command.get(at + 1)?).ok()?.parse::<usize>().ok()
                        });
                    entered =
                        length.filter(|length| *length > 0).map(|length| (length, Vec::new()));
                    prompted = false;
                    commands.push(command);
                }
                byte => line.push(*byte),
            }
        }
    }
    match (line.is_empty(), entered) {
        (true, None) => Ok(commands),
        (_, rest) => Err(format!("unfinished: {line:?} {rest:?}")),
    }
}

/// `AT+NAME="text",number,…`: between quotes anything printable but a quote.
fn at_command(line: &[u8]) -> Result<Said, String> {
    let broken = |why: &str| Err(format!("{why}: {}", line.escape_ascii()));
    if line.iter().any(|byte| *byte < b' ' || *byte == 0x7f) {
        return broken("a control byte in a command");
    }
    let Some(rest) = line.strip_prefix(b"AT") else { return broken("not a command") };
    let Some(equals) = rest.iter().position(|byte| *byte == b'=') else {
        let plain = rest.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+?&".contains(byte));
        return if plain { Ok(vec![rest.to_vec()]) } else { broken("two commands") };
    };
    let (name, mut rest) = (rest[..equals].to_vec(), &rest[equals + 1..]);
    let mut said = vec![name];
    loop {
        let end = if let Some(inside) = rest.strip_prefix(b"\"") {
            let Some(quote) = inside.iter().position(|byte| *byte == b'"') else {
                return broken("an open quote");
            };
            said.push(inside[..quote].to_vec());
            quote + 2
        } else {
            let comma = rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len());
            if rest[..comma].iter().any(|byte| !byte.is_ascii_alphanumeric() && *byte != b'?') {
                return broken("a bare field that is no number");
            }
            said.push(rest[..comma].to_vec());
            comma
        };
        rest = match &rest[end..] {
            [] if said[0] == b"+MPUB" => {
                let payload = said.pop().unwrap();
                said.push(unescaped(&payload).ok_or("a broken escape")?);
                return Ok(said);
            }
            [] => return Ok(said),
            [b',', more @ ..] => more,
            _ => return broken("text behind a quote"),
        };
    }
}

/// `\22` is a quote (manual, MPUB).
fn unescaped(field: &[u8]) -> Option<Vec<u8>> {
    let mut parts = field.split(|byte| *byte == b'\\');
    let mut payload = parts.next()?.to_vec();
    for part in parts {
        let (digits, plain) = part.split_at_checked(2)?;
        payload.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        payload.extend_from_slice(plain);
    }
    Some(payload)
}

/// A broker's reading of what a client sends.
fn mqtt_packets(wire: &Wire) -> Result<Vec<Said>, String> {
    let bytes: Vec<u8> =
        wire.iter().filter(|(host, _)| *host).flat_map(|it| it.1.clone()).collect();
    let mut stream = bytes.as_slice().into();
    let mut packets = Vec::new();
    loop {
        packets.push(match Packet::read(&mut stream, 1 << 20) {
            Ok(Packet::Connect(it)) => {
                let mut said = vec![b"CONNECT".to_vec(), it.client_id.into_bytes()];
                if let Some(login) = it.login {
                    said.extend([login.username.into_bytes(), login.password.into_bytes()]);
                }
                if let Some(will) = it.last_will {
                    said.extend([will.topic.into_bytes(), will.message.to_vec()]);
                }
                said
            }
            Ok(Packet::Publish(it)) => {
                vec![b"PUBLISH".to_vec(), it.topic.into_bytes(), it.payload.to_vec()]
            }
            Ok(Packet::Subscribe(it)) => {
                let filters = it.filters.into_iter().map(|filter| filter.path.into_bytes());
                [b"SUBSCRIBE".to_vec()].into_iter().chain(filters).collect()
            }
            Ok(Packet::Unsubscribe(it)) => {
                let filters = it.topics.into_iter().map(String::into_bytes);
                [b"UNSUBSCRIBE".to_vec()].into_iter().chain(filters).collect()
            }
            Ok(other) => vec![format!("{other:?}").into_bytes()],
            Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) if stream.is_empty() => {
                return Ok(packets);
            }
            Err(error) => return Err(format!("{error:?}")),
        });
    }
}

/// A 9704's reading: lines that end with CR, each a verb, a target and one
/// object, as they are. The parts of a message follow it as what they make,
/// if its CRC is right.
fn jspr_requests(wire: &Wire) -> Result<Vec<Said>, String> {
    let bytes: Vec<u8> =
        wire.iter().filter(|(host, _)| *host).flat_map(|it| it.1.clone()).collect();
    let text = std::str::from_utf8(&bytes).map_err(|_| "not text")?;
    if !text.is_empty() && !text.ends_with('\r') {
        return Err(format!("unfinished: {text:?}"));
    }
    let (mut said, mut message) = (Vec::<Said>::new(), Vec::new());
    let mut length = None;
    for line in text.split_terminator('\r').filter(|line| !line.is_empty()) {
        let broken = |why: &str| format!("{why}: {line:?}");
        let (verb, rest) = line.split_once(' ').ok_or_else(|| broken("no verb"))?;
        let (target, body) = rest.split_once(' ').ok_or_else(|| broken("no target"))?;
        let named = target.bytes().all(|byte| byte.is_ascii_alphabetic());
        if !["GET", "PUT"].contains(&verb) || !named {
            return Err(broken("not a request"));
        }
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(body).map_err(|error| broken(&error.to_string()))?;
        let number = |name: &str| fields.get(name).and_then(serde_json::Value::as_u64);
        length = number("message_length").or(length);
        if target != "messageOriginateSegment" {
            said.push(vec![format!("{verb} {target}").into(), body.into()]);
            continue;
        }
        let data = fields.get("data").and_then(serde_json::Value::as_str).and_then(unbase64);
        let (Some(data), 5, Some(topic)) = (data, fields.len(), number("topic_id")) else {
            return Err(broken("no part of a message"));
        };
        let place = (number("segment_start"), number("segment_length"));
        if place != (Some(message.len() as u64), Some(data.len() as u64)) {
            return Err(broken("another part"));
        }
        message.extend(data);
        if Some(message.len() as u64) == length && crc(&message) == 0 {
            message.truncate(message.len() - 2);
            said.push(vec![b"message".to_vec(), topic.to_string().into(), message.split_off(0)]);
        }
    }
    if !message.is_empty() {
        return Err(format!("half a message, or a wrong CRC: {}", message.escape_ascii()));
    }
    Ok(said)
}

/// RFC 4648, section 4.
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits = text.strip_suffix("==").or(text.strip_suffix('=')).unwrap_or(text);
    let mut bits = Vec::new();
    for byte in digits.bytes() {
        let digit = digit(byte)?;
        bits.extend((0..6).rev().map(|at| digit >> at & 1));
    }
    let bytes = bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |all, bit| all << 1 | bit));
    text.len().is_multiple_of(4).then(|| bytes.collect())
}

/// CRC-16/XMODEM, which is 0 for what has its CRC behind it.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
        })
    })
}

/// `said` with one field's text in place of the other's.
fn replaced(said: &[Said], from: &[u8], to: &[u8]) -> Vec<Said> {
    let replace = |field: &Vec<u8>| match find(field, from) {
        Some(at) => [&field[..at], to, &field[at + from.len()..]].concat(),
        None => field.clone(),
    };
    said.iter()
        .map(|command| {
            let (name, fields) = command.split_first().unwrap();
            [name.clone()].into_iter().chain(fields.iter().map(replace)).collect()
        })
        .collect()
}

// ---- the backends ----------------------------------------------------------------

/// A driver, its modem, and who reads its wire.
struct Row<D, M> {
    name: &'static str,
    fresh: fn() -> Rig<D, M>,
    read: fn(&Wire) -> Result<Vec<Said>, String>,
}

/// Something to do with a backend of any type.
trait Task {
    fn with<D: Machine, M: Modem>(&mut self, row: &Row<D, M>);
}

const BACKENDS: usize = 7;

/// Gives the backend with that index to `task`.
fn with_backend(index: usize, task: &mut impl Task) {
    let at = at_commands;
    match index {
        0 => {
            task.with(&Row { name: "SIM7600", fresh: || simcom(simcom::Family::Sim7600), read: at })
        }
        1 => task.with(&Row { name: "A76xx", fresh: || simcom(simcom::Family::A76xx), read: at }),
        2 => task.with(&Row { name: "Air724", fresh: || luat(luat::Family::Air724), read: at }),
        3 => task.with(&Row { name: "Air700", fresh: || luat(luat::Family::V2015plus), read: at }),
        4 => task.with(&Row { name: "Luat, escaped", fresh: escaped, read: at }),
        5 => task.with(&Row { name: "9704", fresh: satellite, read: jspr_requests }),
        _ => task.with(&Row { name: "RockREMOTE", fresh: gateway, read: mqtt_packets }),
    }
}

fn simcom(family: simcom::Family) -> common::Simcom {
    let settings = hayes_simcom::Settings::new().auth_order(hayes_simcom::AuthOrder::UserFirst);
    common::Simcom::with(config(family), settings)
}

fn luat(family: luat::Family) -> common::Luat {
    common::Luat::new(luat_config(family))
}

fn escaped() -> common::Luat {
    let settings = hayes_luat::Settings::new().publishing(hayes_luat::Publishing::Escaped);
    common::Luat::with(luat_config(luat::Family::Air780e), settings)
}

type Gateway = Rig<hayes_iridium::rockremote::Machine<16384>, rockremote::Modem>;

fn gateway() -> Gateway {
    let config = rockremote::Config {
        queue: rockremote::Queue::IMMEDIATELY,
        mt_filters: vec!["#".parse().unwrap()],
        ..rockremote::Config::default()
    };
    let machine = hayes_iridium::rockremote::machine(Default::default());
    Rig::of(machine, rockremote::Modem::new(config))
}

type Satellite = Rig<hayes_iridium::jspr::Machine<4096, 16384>, jspr::Modem>;

/// Its topics have the names that the other brokers know.
fn satellite() -> Satellite {
    let names = [(244, "up/t"), (247, "dn/t"), (300, "a/first")];
    provisioned(&names)
}

fn provisioned(names: &[(u16, &str)]) -> Satellite {
    let topic =
        |(id, name): &(u16, &str)| jspr::Topic::new(*id, name, jspr::Priority::High, 604_800, 99);
    let config = jspr::Config {
        topics: names.iter().map(topic).collect(),
        delays: jspr::Delays::NONE,
        ..jspr::Config::default()
    };
    Rig::of(hayes_iridium::jspr::machine(Default::default()), jspr::Modem::new(config))
}

fn ready<D: Machine, M: Modem>(row: &Row<D, M>, ready: Ready) -> Rig<D, M> {
    let mut rig = (row.fresh)();
    if ready >= Ready::Up {
        rig.bring_up().unwrap();
    }
    if ready == Ready::Connected {
        rig.connect().unwrap();
    }
    rig.wire.clear();
    rig.host.clear();
    rig
}

// ---- the law -----------------------------------------------------------------------

/// Not sent or sent, by backend and field.
#[derive(Default)]
struct Tally(BTreeMap<(&'static str, Slot), (u32, u32)>);

impl Tally {
    fn print(&self) {
        let mut sum = (0, 0);
        for ((name, slot), (unsent, sent)) in &self.0 {
            println!("{name:>14} {slot:<14?} {unsent:>6} not sent {sent:>6} sent");
            sum = (sum.0 + unsent, sum.1 + sent);
        }
        println!("{} cases: {} not sent, {} sent", sum.0 + sum.1, sum.0, sum.1);
    }
}

struct Pass<'a> {
    slot: Slot,
    value: &'a [u8],
    tally: &'a mut Tally,
}

impl Task for Pass<'_> {
    fn with<D: Machine, M: Modem>(&mut self, row: &Row<D, M>) {
        let Self { slot, value, .. } = *self;
        let counts = self.tally.0.entry((row.name, slot)).or_default();
        if !slot.is_bytes() && std::str::from_utf8(value).is_err() {
            // No text, so nobody can pass it.
            return;
        }
        let context = || format!("{} {slot:?} \"{}\"", row.name, value.escape_ascii());
        let mut rig = ready(row, slot.ready());
        let outcome = slot.fill(value, &mut |operation| rig.run(operation));
        if rig.host.is_empty() {
            let idle = slot.is_idle(row.name);
            let refused = matches!(outcome, Err(Error::Field(_) | Error::Unsupported(_)));
            assert!(refused || idle, "{}: {outcome:?}", context());
            counts.0 += 1;
            return;
        }
        counts.1 += 1;
        let said = (row.read)(&rig.wire);
        let said = said.unwrap_or_else(|why| panic!("{}: {why}\n{}", context(), rig.transcript()));

        let harmless = slot.harmless(value.len());
        let mut twin = ready(row, slot.ready());
        let same = slot.fill(&harmless, &mut |operation| twin.run(operation));
        let expected = (row.read)(&twin.wire).unwrap();
        // A file is called by its content.
        let expected = replaced(&expected, &file_name(&expected), &file_name(&said));
        let expected = replaced(&expected, &harmless, value);
        assert_eq!(outcome, same, "{}\n{}", context(), rig.transcript());
        assert_eq!(said, expected, "{}\n{}", context(), rig.transcript());
        let fields = || said.iter().flat_map(|command| &command[1..]);
        let carried = fields().any(|field| value.is_empty() || find(field, value).is_some());
        assert!(carried || !slot.is_said_to(row.name), "{}\n{}", context(), rig.transcript());
        if row.name == "9704" && slot != Payload {
            // Not a byte of it, wherever.
            assert_eq!(rig.host, twin.host, "{}", context());
        }
        if outcome.is_ok() {
            assert!(arrived(&rig, slot, value), "{}\n{}", context(), rig.transcript());
        }
    }
}

/// Whether the broker was told what the caller passed.
fn arrived<D: Machine, M: Modem>(rig: &Rig<D, M>, slot: Slot, value: &[u8]) -> bool {
    let published = rig.broker.published().last();
    let connected = rig.broker.connects().last();
    // The box connects to its cloud by itself, and puts a prefix to topics; so
    // does the gateway behind the satellites.
    let own = ["rockremote", "iridium-9704"];
    let connected = connected.filter(|it| !own.contains(&it.client_id.as_str()));
    let is = |text: Option<&str>| text.is_none_or(|text| text.as_bytes() == value);
    match slot {
        Topic => published.unwrap().topic.ends_with(value),
        Payload => published.unwrap().payload == value,
        ClientId => is(connected.map(|it| it.client_id.as_str())),
        Host => is(connected.map(|it| it.host.as_str())),
        User => is(connected.and_then(|it| it.user.as_deref())),
        Password => is(connected.and_then(|it| it.password.as_deref())),
        WillTopic => connected.and_then(|it| it.will.as_ref()).is_none_or(|it| it.topic == value),
        WillPayload => {
            connected.and_then(|it| it.will.as_ref()).is_none_or(|it| it.payload == value)
        }
        _ => true,
    }
}

/// The name that the driver gave to a file.
fn file_name(said: &[Said]) -> Vec<u8> {
    let made = |field: &&Vec<u8>| field.starts_with(b"ca-") && field.ends_with(b".pem");
    said.iter().flatten().find(made).cloned().unwrap_or_default()
}

fn find(field: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return None;
    }
    field.windows(part.len()).position(|at| at == part)
}

fn pass(index: usize, slot: Slot, value: &[u8], tally: &mut Tally) {
    // Larger files go in pieces, see tests/luat.rs.
    let large = slot == FileContent && value.len() > 10_240;
    if !large {
        with_backend(index, &mut Pass { slot, value, tally });
    }
}

#[test]
fn what_could_leave_its_field_is_refused_and_the_rest_arrives_in_it() {
    let mut tally = Tally::default();
    let around = |text: &[u8]| [b"a", text, b"b"].concat();
    for index in 0..BACKENDS {
        for slot in SLOTS {
            for text in HOSTILE {
                let value = around(text.as_bytes());
                pass(index, slot, &value, &mut tally);
                if matches!(slot, CaName | FileName) {
                    pass(index, slot, &[&value[..], b".pem"].concat(), &mut tally);
                }
            }
            for bytes in NO_TEXT {
                pass(index, slot, &around(bytes), &mut tally);
            }
            for len in LENGTHS {
                pass(index, slot, &vec![b'x'; len], &mut tally);
            }
            pass(index, slot, b"", &mut tally);
        }
    }
    tally.print();
    for ((name, slot), (unsent, sent)) in &tally.0 {
        assert!(*unsent > 0 || slot.is_bytes(), "{name} {slot:?}: nothing was refused");
        let satellite = *name == "9704" && !matches!(slot.ready(), Ready::Cold);
        let idle = slot.is_idle(name) || satellite && !matches!(slot, ClientId | Host | Payload);
        let files = *name == "RockREMOTE" && matches!(slot, CaName | FileName | FileContent);
        assert!(*sent > 0 || idle || files, "{name} {slot:?}: nothing was sent");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(1_024),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn so_it_is_for_any_mixture(
        index in 0..BACKENDS,
        slot in prop::sample::select(&SLOTS[..]),
        value in hostile(),
    ) {
        pass(index, slot, &value, &mut Tally::default());
    }
}

// ---- payloads ------------------------------------------------------------------------

/// What a modem says, inside a payload.
const LOOK_ALIKES: [&[u8]; 28] = [
    b"OK",
    b"\r\nOK\r\n",
    b"\r\nERROR\r\n",
    b"\r\n+CME ERROR: 10\r\n",
    b">",
    b"\r\n>",
    b"\r\n> ",
    b"\r\n+CMQTTRXSTART: 0,1,1\r\n+CMQTTRXTOPIC: 0,1\r\nt\r\n",
    b"\r\n+CMQTTRXPAYLOAD: 0,3\r\n",
    b"\r\n+CMQTTRXEND: 0\r\n",
    b"\r\n+CMQTTPUB: 0,0\r\n",
    b"\r\n+CMQTTCONNLOST: 0,1\r\n",
    b"\r\n+CMQTTNONET\r\n",
    b"\r\n+MSUB: \"t\",5 byte,hello\r\n",
    b"\r\nPUBACK\r\nSUBACK\r\nCLOSED\r\n",
    b"\r\nCONNECT OK\r\n+PDP DEACT\r\n",
    b"\r\nRDY\r\n^boot.rom'v!\r\n*ATREADY: 1\r\n",
    b"AT+CFUN=0\r\n",
    b"\\22\\0D\\0A\\5C",
    b"\"quoted\",1,\"",
    b"\x1a\x1b\x1a",
    b"\r\r\n\n\r",
    b"\x30\x02\x00\x01\xe0\x00\x40\x02\x00\x01",
    b"+++",
    b"\r299 messageTerminate {\"topic_id\":247,\"message_id\":0,\"message_length_max\":9}\r",
    b"\r299 bootInfo {}\r405 MALFORMED {}\r",
    b"\r200 messageOriginate {\"topic_id\":244}\r",
    b"\"}\r",
];

struct Carry<'a>(&'a [Vec<u8>], u32);

impl Task for Carry<'_> {
    fn with<D: Machine, M: Modem>(&mut self, row: &Row<D, M>) {
        let mut rig = ready(row, Ready::Connected);
        rig.subscribe("dn/#").unwrap();
        let down = match row.name {
            "RockREMOTE" => "iot/ACCOUNT-ID/dn/t",
            "9704" => "imt/247",
            _ => "dn/t",
        };
        for (number, payload) in self.0.iter().enumerate() {
            let context = || format!("{} \"{}\"", row.name, payload.escape_ascii());
            rig.chunk = [64, 1, 7][number % 3];
            let outcome = rig.publish("up/t", payload, QoS::AtLeastOnce);
            match outcome {
                Ok(()) => {
                    let arrived = &rig.broker.published().last().unwrap().payload;
                    assert_eq!(arrived, payload, "{}", context());
                    self.1 += 1;
                }
                // Escapes are for text.
                Err(Error::Unsupported(_)) if row.name == "Luat, escaped" => {}
                // Nothing of nothing: it does not come down, either.
                Err(Error::Unsupported(_)) if row.name == "9704" && payload.is_empty() => continue,
                Err(error) => panic!("{}: {error}\n{}", context(), rig.transcript()),
            }
            rig.deliver(down, payload);
            let heard = rig.events();
            assert_eq!(heard, [common::message("dn/t", payload)], "{}", context());
            assert!(!heard.contains(&Heard::Other(String::new())));
            rig.wire.clear();
        }
    }
}

fn carry(payloads: &[Vec<u8>]) -> u32 {
    (0..BACKENDS)
        .map(|index| {
            let mut task = Carry(payloads, 0);
            with_backend(index, &mut task);
            task.1
        })
        .sum()
}

#[test]
fn every_byte_and_every_look_alike_passes_in_both_directions() {
    let mut payloads: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    payloads.extend((0..=255).map(|byte| vec![b'a', byte, byte, b'b']));
    payloads.push((0..=255).collect());
    payloads.push((0..=255).rev().cycle().take(1_024).collect());
    for text in LOOK_ALIKES {
        payloads.extend([text.to_vec(), [b"\r\n", text, b"\r\n"].concat()]);
        payloads.extend(LOOK_ALIKES.map(|other| [text, other].concat()));
    }
    payloads.push(Vec::new());
    let published = carry(&payloads);
    println!("{} payloads each way and backend, {published} published", payloads.len());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn so_does_any_mixture(payloads in prop::collection::vec(payload(), 4)) {
        carry(&payloads);
    }
}

/// Topics of a 9704 may be called anything: their number is all that is sent.
#[test]
fn a_provisioned_name_is_sent_as_its_number() {
    let names = HOSTILE.map(|text| format!("a{text}b"));
    let (mut sent, mut refused) = (0, 0);
    for names in names.chunks(20) {
        let plain: Vec<String> = (0..names.len()).map(|at| format!("n{at}")).collect();
        let table = |names: &[String]| {
            let numbered = names.iter().zip(500..).map(|(name, id)| (id, name.as_str()));
            let mut rig = provisioned(&numbered.collect::<Vec<_>>());
            rig.connect().unwrap();
            rig.subscribe("#").unwrap();
            rig
        };
        let (mut rig, mut twin) = (table(names), table(&plain));
        for ((name, plain), id) in names.iter().zip(&plain).zip(500..) {
            rig.host.clear();
            twin.host.clear();
            let publish = Publish::new(name, b"payload").map_err(Error::from);
            let publish = publish.map(|it| it.qos(QoS::AtLeastOnce));
            match publish.and_then(|publish| rig.run(&Operation::Publish(&publish))) {
                Ok(()) => {
                    twin.publish(plain, b"payload", QoS::AtLeastOnce).unwrap();
                    assert_eq!(rig.host, twin.host, "{name:?}");
                    assert_eq!(rig.modem.received().last(), Some(&(id, b"payload".to_vec())));
                    sent += 1;
                }
                Err(Error::Field(_)) => {
                    assert!(rig.host.is_empty(), "{name:?}");
                    // Its number does, and keeps both ends in step.
                    let number = format!("imt/{id}");
                    rig.publish(&number, b"payload", QoS::AtLeastOnce).unwrap();
                    twin.publish(plain, b"payload", QoS::AtLeastOnce).unwrap();
                    refused += 1;
                }
                Err(error) => panic!("{name:?}: {error}"),
            }
            rig.deliver(&format!("imt/{id}"), b"down");
            let heard = rig.events();
            let told = [name.clone(), format!("imt/{id}")];
            let is = |topic: &String| heard == [common::message(topic, b"down")];
            assert!(told.iter().any(is), "{name:?} {heard:?}");
        }
    }
    println!("{sent} names sent as numbers, {refused} refused");
    assert!(sent > 10 && refused > 10);
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::sample::select(&LOOK_ALIKES[..]).prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}
