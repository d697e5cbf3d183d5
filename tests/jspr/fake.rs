//! A 9704 as the vendor's library and the captures show it, small and scripted:
//! it shares no code with the driver, nor with the emulator. What a test wants
//! otherwise it says in `script`, which sees each line before the modem does.

use std::collections::{BTreeMap, VecDeque};

use hayes::{Instant, Machine, Operation, mqtt::Error};
use hayes_iridium::jspr;

pub type Driver = jspr::Machine<4096, 8192>;

/// What a script makes of a line.
pub enum Reply {
    /// It is left to the modem.
    Usual,
    /// These lines, and nothing else.
    Lines(Vec<String>),
}

pub type Script = Box<dyn FnMut(&mut Modem, &str) -> Reply>;

/// The parts to ask for, start and length, of a message with that many bytes.
pub type Plan = fn(u32) -> Vec<(u32, u32)>;

pub struct Modem {
    pub now: u64,
    pub topics: Vec<(u16, &'static str)>,
    pub versions: &'static str,
    pub selected: bool,
    pub state: &'static str,
    pub active_since: u64,
    pub plan: Plan,
    /// The final status and how long it takes.
    pub status: Option<(&'static str, u64)>,
    pub cancelled: Option<&'static str>,
    /// How long answers take.
    pub delay: u64,
    /// How long until a part is asked for, after the answer before.
    pub pause: u64,
    pub messages: BTreeMap<u8, Message>,
    pub lines: Vec<String>,
    next_id: u8,
    input: Vec<u8>,
    output: VecDeque<(u64, Vec<u8>)>,
}

/// A message in the modem.
pub struct Message {
    pub topic: u16,
    pub bytes: Vec<Option<u8>>,
    plan: VecDeque<(u32, u32)>,
    asked: Option<(u32, u32)>,
    pub ended: bool,
}

impl Message {
    /// The payload, if it is all there and its CRC is right.
    pub fn payload(&self) -> Option<Vec<u8>> {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect::<Option<_>>()?;
        (crc(&bytes) == 0).then(|| bytes[..bytes.len() - 2].to_vec())
    }
}

/// CRC-16/XMODEM, bit by bit.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn unbase64(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 4, 0, "{text}");
    let mut bytes = Vec::new();
    for four in text.as_bytes().chunks(4) {
        let bits = four.iter().filter(|c| **c != b'=').fold(0_u32, |bits, c| {
            let value = ALPHABET.iter().position(|a| a == c).expect("base64");
            bits << 6 | value as u32
        });
        let pads = four.iter().filter(|c| **c == b'=').count() as u32;
        let bits = bits << (6 * pads);
        bytes.extend_from_slice(&bits.to_be_bytes()[1..4 - pads as usize]);
    }
    bytes
}

pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, b| bits << 8 | u32::from(*b))
            << (8 * (3 - three.len()));
        for at in 0..4 {
            let value = (bits >> (18 - 6 * at)) & 63;
            let pad = at > three.len();
            text.push(if pad { '=' } else { char::from(ALPHABET[value as usize]) });
        }
    }
    text
}

/// The number that follows a key.
pub fn number(line: &str, key: &str) -> u32 {
    let after = line.split(&format!("\"{key}\": ")).nth(1).unwrap_or_else(|| panic!("{line}"));
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// API 1.7.0 was seen to refuse JSON without blanks.
fn assert_blanks(line: &str) {
    let json = line.splitn(3, ' ').nth(2).unwrap_or_else(|| panic!("{line}"));
    let outside: String = json.split('"').step_by(2).collect::<Vec<_>>().join("s");
    for mark in [':', ','] {
        for after in outside.split(mark).skip(1) {
            assert!(after.starts_with(' ') && !after.starts_with("  "), "{line}");
        }
    }
}

impl Modem {
    pub fn new() -> Self {
        Self {
            now: 0,
            topics: vec![(244, "RAW"), (247, "PEBBLE")],
            versions: "[{\"major\":1,\"minor\":6,\"patch\":1},{\"major\":1,\"minor\":7,\"patch\":0}]",
            selected: false,
            state: "inactive",
            active_since: 0,
            plan: |length| {
                (0..length).step_by(1446).map(|at| (at, (length - at).min(1446))).collect()
            },
            status: Some(("mo_ack_received", 2_000)),
            cancelled: Some("message_cancelled_pre_transit"),
            delay: 3,
            pause: 3,
            messages: BTreeMap::new(),
            lines: Vec::new(),
            next_id: 4,
            input: Vec::new(),
            output: VecDeque::new(),
        }
    }

    /// Says a line after so many milliseconds, behind what was to be said by then.
    pub fn say_after(&mut self, ms: u64, line: &str) {
        let at = self.now + ms;
        let place = self.output.iter().position(|(other, _)| *other > at);
        let bytes = format!("{line}\r").into_bytes();
        self.output.insert(place.unwrap_or(self.output.len()), (at, bytes));
    }

    pub fn say(&mut self, line: &str) {
        self.say_after(0, line);
    }

    /// A message from the network in pieces of that size.
    pub fn deliver(&mut self, topic: u16, id: u8, payload: &[u8], size: usize) {
        for line in incoming(topic, id, payload, size) {
            self.say(&line);
        }
    }

    pub fn restart(&mut self) {
        self.selected = false;
        self.state = "inactive";
        self.messages.values_mut().for_each(|message| message.ended = true);
        self.output.clear();
        self.input.clear();
        self.say("\0\x11299 bootInfo {\"image_type\":\"production\",\"version\":{\"major\":1,\"minor\":6,\"patch\":1,\"build_info\":\"x\"},\"boot_source\":\"primary\"}");
    }

    /// The same, but what was said before still arrives.
    pub fn idle_restart(&mut self) {
        let said = std::mem::take(&mut self.output);
        self.restart();
        let boot = std::mem::replace(&mut self.output, said);
        self.output.retain(|(at, _)| *at <= self.now);
        self.output.extend(boot);
    }

    pub fn deadline(&self) -> Option<u64> {
        self.output.front().map(|(at, _)| *at)
    }

    pub fn output(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.deadline().is_some_and(|at| at <= self.now) {
            bytes.extend(self.output.pop_front().unwrap().1);
        }
        bytes
    }

    pub fn input(&mut self, bytes: &[u8], script: &mut Script) {
        for byte in bytes {
            if *byte != b'\r' {
                self.input.push(*byte);
                continue;
            }
            let line = String::from_utf8(std::mem::take(&mut self.input)).unwrap();
            self.lines.push(line.clone());
            let reply = match script(self, &line) {
                Reply::Usual => self.answer(&line),
                Reply::Lines(lines) => lines,
            };
            for line in reply {
                self.say_after(self.delay, &line);
            }
        }
    }

    fn answer(&mut self, line: &str) -> Vec<String> {
        let mut words = line.splitn(3, ' ');
        let (verb, target) = (words.next().unwrap(), words.next().unwrap_or_default());
        let json = words.next().unwrap_or_default();
        if !matches!(verb, "GET" | "PUT") || target.is_empty() {
            return vec!["405 MALFORMED {}".into()];
        }
        let strings = json.matches('"').count();
        if !json.starts_with('{') || !json.ends_with('}') || strings % 2 == 1 {
            return vec![format!("407 {target} {{}}")];
        }
        assert_blanks(line);
        if !self.selected && target != "apiVersion" {
            return vec![format!("400 {target} {{}}")];
        }
        match (verb, target) {
            (verb, "apiVersion") => {
                if verb == "PUT" {
                    assert_eq!(number(line, "minor"), 7);
                    self.selected = true;
                }
                let active = ",\"active_version\":{\"major\":1,\"minor\":7,\"patch\":0}";
                let active = if self.selected { active } else { "" };
                vec![format!("200 apiVersion {{\"supported_versions\":{}{active}}}", self.versions)]
            }
            ("PUT", "simConfig") => vec![
                "200 simConfig {\"interface\":\"internal\"}".into(),
                "299 simStatus {\"card_present\":true,\"sim_connected\":true,\"iccid\":\"8988\"}".into(),
            ],
            ("GET", "simStatus") => vec![
                "200 simStatus {\"card_present\":true,\"sim_connected\":true,\"iccid\":\"8988\"}".into(),
            ],
            ("GET", "operationalState") => {
                vec![format!("200 operationalState {{\"state\":\"{}\",\"reason\":0}}", self.state)]
            }
            ("PUT", "operationalState") => self.change_state(json),
            ("GET", "hwInfo") => vec![
                "200 hwInfo {\"hw_version\":\"0x0601\",\"serial_number\":\"1a0000\",\"imei\":\"300000000000000\",\"board_temp\":19}".into(),
            ],
            ("GET", "firmware") => vec![
                "200 firmware {\"slot\":\"primary\",\"validity\":true,\"version\":{\"major\":1,\"minor\":5,\"patch\":5,\"build_info\":\"x\"},\"hash\":\"a8\"}".into(),
            ],
            ("GET", "messageProvisioning") => {
                let topics: Vec<_> = self.topics.iter().map(|(id, name)| format!("{{\"topic_id\":{id},\"topic_name\":\"{name}\",\"priority\":\"High\",\"discard_time_seconds\":604800,\"max_queue_depth\":99}}")).collect();
                vec![format!("200 messageProvisioning {{\"provisioning\":[{}]}}", topics.join(","))]
            }
            ("PUT", "messageOriginate") => self.originate(line),
            ("PUT", "messageOriginateSegment") => self.segment(line),
            ("PUT", "messageOriginateStatus") => self.cancel(line),
            _ => vec![format!("404 {target} {{}}")],
        }
    }

    fn change_state(&mut self, json: &str) -> Vec<String> {
        let wanted = if json == "{\"state\": \"active\"}" { "active" } else { "inactive" };
        if self.state == wanted || (self.state != "inactive" && wanted == "active") {
            return vec!["406 operationalState {}".into()];
        }
        self.state = wanted;
        self.active_since = self.now + self.delay;
        vec![
            format!("200 operationalState {{\"state\":\"{wanted}\"}}"),
            format!("299 operationalState {{\"state\":\"{wanted}\",\"reason\":0}}"),
        ]
    }

    fn originate(&mut self, line: &str) -> Vec<String> {
        let (topic, length) = (number(line, "topic_id"), number(line, "message_length"));
        let reference = number(line, "request_reference");
        assert!((1..=100).contains(&reference), "{line}");
        let known = self.topics.iter().any(|(id, _)| u32::from(*id) == topic);
        if !known || self.state != "active" || self.now < self.active_since + 100 {
            return vec!["418 messageOriginate {}".into()];
        }
        assert!(self.messages.values().all(|message| message.ended), "a second message: {line}");
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let message = Message {
            topic: topic as u16,
            bytes: vec![None; length as usize],
            plan: (self.plan)(length).into(),
            asked: None,
            ended: false,
        };
        self.messages.insert(id, message);
        self.ask(id);
        vec![format!(
            "200 messageOriginate {{\"topic_id\":{topic},\"request_reference\":{reference},\
             \"message_id\":{id},\"message_response\":\"message_accepted\"}}"
        )]
    }

    /// Asks for the next part, or says how the message ended.
    fn ask(&mut self, id: u8) {
        let message = self.messages.get_mut(&id).unwrap();
        let topic = message.topic;
        message.asked = message.plan.pop_front();
        match message.asked {
            Some((start, length)) => {
                let line = format!(
                    "299 messageOriginateSegment {{\"topic_id\":{topic},\"message_id\":{id},\
                     \"segment_length\":{length},\"segment_start\":{start}}}"
                );
                self.say_after(self.delay + self.pause, &line);
            }
            None => {
                if let Some((status, ms)) = self.status {
                    self.end(id, status, ms);
                }
            }
        }
    }

    pub fn end(&mut self, id: u8, status: &str, ms: u64) {
        let message = self.messages.get_mut(&id).unwrap();
        if !std::mem::replace(&mut message.ended, true) {
            let topic = message.topic;
            let line = format!(
                "299 messageOriginateStatus {{\"topic_id\":{topic},\"message_id\":{id},\
                 \"final_mo_status\":\"{status}\"}}"
            );
            self.say_after(self.delay + ms, &line);
        }
    }

    fn segment(&mut self, line: &str) -> Vec<String> {
        let id = number(line, "message_id") as u8;
        let range = (number(line, "segment_start"), number(line, "segment_length"));
        let data = line.split("\"data\": \"").nth(1).unwrap().strip_suffix("\"}").unwrap();
        let data = unbase64(data);
        let message = self.messages.get_mut(&id).unwrap();
        assert_eq!(message.asked, Some(range), "{line}");
        assert_eq!(data.len(), range.1 as usize, "{line}");
        for (at, byte) in data.into_iter().enumerate() {
            let place = &mut message.bytes[range.0 as usize + at];
            assert!(place.is_none_or(|before| before == byte), "{line}");
            *place = Some(byte);
        }
        let topic = message.topic;
        self.ask(id);
        vec![format!("200 messageOriginateSegment {{\"topic_id\":{topic},\"message_id\":{id}}}")]
    }

    fn cancel(&mut self, line: &str) -> Vec<String> {
        assert!(line.ends_with("\"action\": \"cancel\"}"), "{line}");
        let id = number(line, "message_id") as u8;
        if let Some(status) = self.cancelled {
            self.end(id, status, 50);
        }
        vec![format!("200 messageOriginateStatus {{\"message_id\": {id}}}")]
    }

    /// What was originated, whole, with its topic.
    pub fn published(&self) -> Vec<(u16, Vec<u8>)> {
        self.messages.values().filter_map(|m| Some((m.topic, m.payload()?))).collect()
    }

    pub fn count(&self, start: &str) -> usize {
        self.lines.iter().filter(|line| line.starts_with(start)).count()
    }
}

/// The lines of a message from the network.
pub fn incoming(topic: u16, id: u8, payload: &[u8], size: usize) -> Vec<String> {
    let mut bytes = payload.to_vec();
    bytes.extend(crc(payload).to_be_bytes());
    let key = format!("\"topic_id\":{topic},\"message_id\":{id}");
    let mut lines =
        vec![format!("299 messageTerminate {{{key},\"message_length_max\":{}}}", bytes.len())];
    for (at, piece) in bytes.chunks(size).enumerate() {
        let (start, length, data) = (at * size, piece.len(), base64(piece));
        lines.push(format!(
            "299 messageTerminateSegment {{{key},\"segment_length\":{length},\
             \"segment_start\":{start},\"data\":\"{data}\"}}"
        ));
    }
    lines.push(format!("299 messageTerminateStatus {{{key},\"final_mt_status\":\"complete\"}}"));
    lines
}

/// The driver and the modem, under virtual time.
pub struct Rig {
    pub driver: Driver,
    pub modem: Modem,
    pub script: Script,
    pub now: u64,
    /// Bytes per write and per read.
    pub slice: usize,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(jspr::Settings::new())
    }

    pub fn with(settings: jspr::Settings) -> Self {
        let script: Script = Box::new(|_, _| Reply::Usual);
        Self { driver: jspr::machine(settings), modem: Modem::new(), script, now: 0, slice: 64 }
    }

    pub fn time(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    /// One write, or if none is due what the modem says; `false` if neither.
    pub fn exchange(&mut self, operation: Option<&Operation<'_>>) -> bool {
        let at = self.time();
        self.modem.now = self.now;
        if let Some(bytes) = self.driver.transmit(operation, at) {
            assert!(!bytes.is_empty());
            let bytes = bytes[..bytes.len().min(self.slice)].to_vec();
            self.driver.sent(bytes.len());
            self.modem.input(&bytes, &mut self.script);
            return true;
        }
        let bytes = self.modem.output();
        for piece in bytes.chunks(self.slice) {
            self.driver.receive(piece, at);
        }
        !bytes.is_empty()
    }

    /// Lets time pass to what is due next, at most until `end`.
    pub fn advance(&mut self, end: u64) -> bool {
        let driver = self.driver.deadline().map(Instant::as_millis);
        let next = [driver, self.modem.deadline()].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= end) else { return false };
        self.now = self.now.max(next);
        if driver.is_some_and(|at| at <= self.now) {
            self.driver.tick(self.time());
        }
        true
    }

    pub fn idle(&mut self, ms: u64) {
        let end = self.now + ms;
        for _ in 0..100_000 {
            while self.exchange(None) {}
            if !self.advance(end) {
                self.now = end;
                return;
            }
        }
        panic!("never at rest");
    }

    pub fn run(&mut self, operation: &Operation<'_>) -> Result<(), Error> {
        self.driver.start(operation, self.time())?;
        for _ in 0..1_000_000 {
            let busy = self.exchange(Some(operation));
            if let Some(outcome) = self.driver.outcome() {
                return outcome;
            }
            if !busy {
                assert!(
                    self.advance(u64::MAX),
                    "{:?} hangs {:#?}",
                    operation.verb(),
                    self.modem.lines
                );
            }
        }
        panic!("{:?} spins", operation.verb());
    }

    /// Runs it for so many exchanges, then drops it; whether it was over.
    pub fn run_and_drop(
        &mut self,
        operation: &Operation<'_>,
        exchanges: usize,
        unsure: bool,
    ) -> bool {
        self.driver.start(operation, self.time()).unwrap();
        for _ in 0..exchanges {
            let busy = self.exchange(Some(operation));
            if self.driver.outcome().is_some() {
                return true;
            }
            if !busy {
                self.advance(u64::MAX);
            }
        }
        let at = self.time();
        let bytes = self.driver.transmit(Some(operation), at).map(<[u8]>::to_vec);
        if self.driver.outcome().is_some() {
            return true;
        }
        match bytes.filter(|_| unsure) {
            Some(bytes) => {
                // The write may have got so far, or not.
                let count = bytes.len().min(self.slice);
                let arrived = count >> (exchanges & 1);
                self.modem.now = self.now;
                self.modem.input(&bytes[..arrived], &mut self.script);
                self.driver.abandon(count);
            }
            None => self.driver.abandon(0),
        }
        false
    }
}
