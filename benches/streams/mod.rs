//! What the benches read: fixed, seeded streams of about 64 kB as an A76xx, a
//! Luat modem or an MQTT broker sends them, and the one way in which all of them are read, from bytes to
//! typed events.
//!
//! Measured is [`feed`] alone: `receive` of the machine (framer, line grammar, dialect, engine, inbox), then every event taken out as the client
//! does it. URCs without a meaning to the driver are reported too, so that
//! each line of a stream ends as something typed.
//!
//! Answers exist only where a command waits for them, so the streams with
//! answers are cut where the modem would wait for the next command, and
//! [`Lane::command`] sends that command: the status operation, over and over.
//! Sending is not part of what is measured; recognising the answer, reading
//! its fields into the status and choosing the next step is. A read never goes
//! beyond the end of an answer, so the last read of each is a short one.

#![allow(dead_code, reason = "each bench uses its part")]

use std::slice;

use hayes::{
    Instant, Machine, Operation,
    mqtt::{ConnectOptions, Event},
};
use hayes_iridium::{jspr, rockremote};
use hayes_simcom::Settings;

/// Bytes per read; the last is a whole message, answer or hostile line.
pub const READS: [usize; 4] = [1, 16, 64, usize::MAX];

/// A stream ends with the piece that reaches this size.
const SIZE: usize = 64 * 1024;
/// No deadline passes while a stream is read.
const NOW: Instant = Instant::from_millis(0);

/// A driver whose inbox holds two of the longest messages here, wherever in it
/// they begin.
#[allow(clippy::large_enum_variant, reason = "there are sixteen of them")]
enum Driver {
    Simcom(hayes_simcom::Machine<256, 8192>),
    Luat(hayes_luat::Machine<256, 8192>),
    Rockremote(rockremote::Machine<8192>),
    Jspr(jspr::Machine<4096, 8192>),
}

impl Driver {
    fn machine(&mut self) -> &mut dyn Machine {
        match self {
            Self::Simcom(machine) => machine,
            Self::Luat(machine) => machine,
            Self::Rockremote(machine) => machine,
            Self::Jspr(machine) => machine,
        }
    }

    fn read(&mut self, bytes: &[u8], read: usize, tally: &mut Tally) {
        match self {
            Self::Simcom(machine) => feed(machine, bytes, read, tally),
            Self::Luat(machine) => feed(machine, bytes, read, tally),
            Self::Rockremote(machine) => feed(machine, bytes, read, tally),
            Self::Jspr(machine) => feed(machine, bytes, read, tally),
        }
    }
}

/// Bytes of a modem and what they mean.
pub struct Stream {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    /// Where its pieces end; at each of them a command follows if `commands`.
    pub ends: Vec<usize>,
    pub commands: bool,
    sender: Sender,
    pub expected: Tally,
}

/// Who sends a stream.
#[derive(Clone, Copy)]
enum Sender {
    Simcom,
    Luat,
    Broker,
    Satellite,
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub messages: u32,
    /// Bytes of topics and payloads.
    pub content: usize,
    pub losses: u32,
    pub urcs: u32,
    /// Whatever should not occur.
    pub others: u32,
}

impl Tally {
    fn count(&mut self, event: &Event<'_>) {
        match event {
            Event::Message(message) => {
                self.messages += 1;
                self.content += message.topic.len() + message.payload.len();
            }
            Event::Lost { .. } | Event::NetworkLost => self.losses += 1,
            Event::Urc(_) => self.urcs += 1,
            _ => self.others += 1,
        }
    }
}

/// The measured path: all of `bytes`, in reads of `read`, to typed events.
#[inline(never)]
fn feed<M: Machine>(driver: &mut M, bytes: &[u8], read: usize, tally: &mut Tally) {
    let take = |piece: &[u8]| {
        driver.receive(piece, NOW);
        while driver.has_event() {
            if let Some(event) = driver.event() {
                tally.count(&event);
            }
        }
    };
    if read == 1 {
        bytes.iter().map(slice::from_ref).for_each(take);
    } else {
        bytes.chunks(read).for_each(take);
    }
}

/// A driver on its way through a stream.
pub struct Lane {
    driver: Driver,
    next: usize,
    pub tally: Tally,
}

impl Lane {
    /// A driver that is in step with its modem and, if the stream has answers,
    /// waits for that of piece `first`.
    pub fn new(stream: &Stream, first: usize) -> Self {
        let driver = match stream.sender {
            Sender::Simcom => {
                Driver::Simcom(hayes_simcom::machine(Settings::new()).report_urcs(true))
            }
            Sender::Luat => {
                let settings = hayes_luat::Settings::new();
                Driver::Luat(hayes_luat::machine(settings).report_urcs(true))
            }
            Sender::Broker => Driver::Rockremote(connected()),
            Sender::Satellite => Driver::Jspr(jspr::machine(jspr::Settings::new())),
        };
        let mut lane = Self { driver, next: first, tally: Tally::default() };
        if stream.commands {
            let machine = lane.driver.machine();
            machine.start(&Operation::Status, NOW).expect("nothing speaks against it");
            // The questions by which a driver finds its modem.
            for answer in ["\r\nOK\r\n", "\r\nOK\r\n", "\r\nOK\r\n", "\r\n+CMEE: 1\r\n\r\nOK\r\n"] {
                lane.command();
                lane.driver.machine().receive(answer.as_bytes(), NOW);
            }
            lane.command();
        }
        lane
    }

    /// Sends the next command, beginning the operation anew where it ended.
    pub fn command(&mut self) {
        let operation = &Operation::Status;
        let driver = self.driver.machine();
        if let Some(outcome) = driver.outcome() {
            outcome.expect("no answer fails a status");
            driver.start(operation, NOW).expect("accepted before");
        }
        let mut sent = 0;
        while let Some(bytes) = driver.transmit(Some(operation), NOW) {
            let count = bytes.len();
            sent += count;
            driver.sent(count);
        }
        if sent == 0 {
            // The last answer ended the operation.
            assert!(driver.is_idle(), "an answer was not taken for one");
            self.command();
        }
    }

    /// Reads the next piece of a stream with answers.
    pub fn piece(&mut self, stream: &Stream, read: usize) {
        let piece = stream.piece(self.next);
        self.next = (self.next + 1) % stream.ends.len();
        self.driver.read(piece, read, &mut self.tally);
    }

    /// Reads a whole stream without answers.
    pub fn all(&mut self, stream: &Stream, read: usize) {
        if read == usize::MAX {
            for n in 0..stream.ends.len() {
                self.driver.read(stream.piece(n), read, &mut self.tally);
            }
        } else {
            self.driver.read(&stream.bytes, read, &mut self.tally);
        }
    }
}

impl Stream {
    fn piece(&self, n: usize) -> &[u8] {
        let from = n.checked_sub(1).map_or(0, |n| self.ends[n]);
        &self.bytes[from..self.ends[n]]
    }

    /// Reads the stream once and compares how many events of each kind, and how
    /// many bytes of messages, came of it.
    pub fn verify(&self, read: usize) {
        let mut lane = Lane::new(self, 0);
        if self.commands {
            for _ in 0..self.ends.len() {
                lane.piece(self, read);
                lane.command();
            }
        } else {
            lane.all(self, read);
        }
        assert_eq!(lane.tally, self.expected, "{} in reads of {}", self.name, label(read));
    }
}

/// A read size in words.
pub fn label(read: usize) -> String {
    if read == usize::MAX { "whole".into() } else { read.to_string() }
}

/// All streams, in the order of the tables.
pub fn all() -> Vec<Stream> {
    vec![
        mixed(),
        long_answers(),
        urc(),
        receive("receive_256", 256, text),
        receive("receive_1500", 1500, text),
        msub("msub_20", 20),
        msub("msub_1360", 1360),
        publish("publish_20", 20),
        publish("publish_256", 256),
        publish("publish_1500", 1500),
        signal(),
        terminated(),
        jspr_line(),
        receive("hostile_payload", 256, look_alikes),
        hostile_crlf(),
        hostile_line(),
        hostile_short(),
        hostile_marks(),
    ]
}

/// The stream of this name.
pub fn named(name: &str) -> Stream {
    all().into_iter().find(|stream| stream.name == name).expect("a stream of this name")
}

struct Maker {
    stream: Stream,
    random: u64,
}

impl Maker {
    fn new(name: &'static str, commands: bool) -> Self {
        let expected = Tally::default();
        let stream = Stream {
            name,
            bytes: Vec::new(),
            ends: Vec::new(),
            commands,
            sender: match name {
                _ if name.starts_with("msub") => Sender::Luat,
                _ if name.starts_with("publish") => Sender::Broker,
                _ if name.starts_with("jspr") => Sender::Satellite,
                _ => Sender::Simcom,
            },
            expected,
        };
        Self { stream, random: 0x9E37_79B9_7F4A_7C15 }
    }

    fn is_full(&self) -> bool {
        self.stream.bytes.len() >= SIZE
    }

    fn push(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.bytes.extend_from_slice(bytes.as_ref());
    }

    fn line(&mut self, line: impl AsRef<[u8]>) {
        self.push("\r\n");
        self.push(line);
        self.push("\r\n");
    }

    fn end(&mut self) {
        self.stream.ends.push(self.stream.bytes.len());
    }

    /// xorshift64*, below `n`.
    fn below(&mut self, n: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    /// A line that nobody asked for.
    fn urc(&mut self) {
        let n = self.below(64);
        let (line, loss) = match self.below(12) {
            0 => (format!("+CMQTTCONNLOST: {},{}", n % 2, 1 + n % 3), true),
            1 => ("+CMQTTNONET".into(), true),
            2 => ("+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY".into(), true),
            3 => ("+CGEV: NW PDN DEACT 1".into(), true),
            4 => (format!("+CGEV: EPS PDN ACT {n}"), false),
            5 => (format!("+CREG: 5,\"9E9A\",\"01A2{n:04X}\",7"), false),
            6 => (format!("+CEREG: 1,\"EA6D\",\"0054{n:04X}\",7"), false),
            7 => (format!("+CTZV: 26/11/20,12:{:02}:00+04", n % 60), false),
            8 => (format!("*PSUTTZ: 2026,11,20,12,{n},0,\"+4\",0"), false),
            9 => (format!("+CMTI: \"SM\",{n}"), false),
            10 => (format!("+CUSATP: \"D0{n:02X}8103012500\""), false),
            _ => ("SMS DONE".into(), false),
        };
        self.line(line);
        if loss {
            self.stream.expected.losses += 1;
        } else {
            self.stream.expected.urcs += 1;
        }
    }
}

/// The commands of the status operation, in order.
pub const COMMANDS: [&str; 9] =
    ["+CGMM", "+CGMR", "+CPIN", "+CREG", "+CGREG", "+CEREG", "+CSQ", "+CGPADDR", "+CMQTTDISC"];

/// Answers of 20 to 60 bytes, one in eight an error; a URC before every third
/// and inside every sixth.
fn mixed() -> Stream {
    let mut maker = Maker::new("mixed", true);
    while !maker.is_full() {
        for (place, command) in COMMANDS.into_iter().enumerate() {
            if maker.below(3) == 0 {
                maker.urc();
            }
            let n = maker.below(100);
            match maker.below(24) {
                0 => maker.line("ERROR"),
                1 => maker.line(format!("+CME ERROR: {n}")),
                2 => maker.line("+CME ERROR: SIM busy"),
                _ => {
                    maker.line(match place {
                        0 => "A7670E-FASE".into(),
                        1 => format!("+CGMR: A011B{n:02}A7670M7_F"),
                        2 => "+CPIN: READY".into(),
                        6 => format!("+CSQ: {},99", n % 32),
                        7 => format!("+CGPADDR: 1,10.184.191.{n}"),
                        8 => format!("+CMQTTDISC: {},1", n % 2),
                        _ if n < 50 => format!("{command}: 0,{}", n % 6),
                        _ => format!("{command}: 2,1,\"EA6D\",\"005400{n:02}\",7"),
                    });
                    if maker.below(6) == 0 {
                        maker.urc();
                    }
                    maker.line("OK");
                }
            }
            maker.end();
        }
    }
    maker.stream
}

/// 968 bytes in 24 lines, the last of them `OK`.
fn long_answers() -> Stream {
    let mut maker = Maker::new("long_answers", true);
    while !maker.is_full() {
        for command in COMMANDS {
            let from = maker.stream.bytes.len();
            for n in 0..23 {
                let left = 968 - 6 - (maker.stream.bytes.len() - from);
                let mut line = format!("{command}: {n},{},\"", maker.below(100));
                while line.len() + 5 < left / (23 - n) {
                    line.push(char::from(b'a' + maker.below(26) as u8));
                }
                maker.line(line + "\"");
            }
            maker.line("OK");
            assert_eq!(maker.stream.bytes.len() - from, 968);
            maker.end();
        }
    }
    maker.stream
}

/// Nothing but lines that nobody asked for, no command in flight.
fn urc() -> Stream {
    let mut maker = Maker::new("urc", false);
    while !maker.is_full() {
        maker.urc();
        maker.end();
    }
    maker.stream
}

/// Received messages with topics of 20 bytes and payloads of `len`.
fn receive(name: &'static str, len: usize, fill: fn(&mut Maker, &mut Vec<u8>)) -> Stream {
    let mut maker = Maker::new(name, false);
    while !maker.is_full() {
        let mut payload = Vec::new();
        while payload.len() < len {
            fill(&mut maker, &mut payload);
        }
        payload.truncate(len);
        maker.line(format!("+CMQTTRXSTART: 0,20,{len}"));
        let number = maker.below(100_000);
        maker.push(format!("+CMQTTRXTOPIC: 0,20\r\ndevice-7/inbox/{number:05}\r\n"));
        maker.push(format!("+CMQTTRXPAYLOAD: 0,{len}\r\n"));
        maker.push(&payload);
        maker.push("\r\n+CMQTTRXEND: 0\r\n");
        maker.end();
        maker.stream.expected.messages += 1;
        maker.stream.expected.content += 20 + len;
    }
    maker.stream
}

/// The same from a Luat modem, each message in one line.
fn msub(name: &'static str, len: usize) -> Stream {
    let mut maker = Maker::new(name, false);
    while !maker.is_full() {
        let number = maker.below(100_000);
        maker.push(format!("\r\n+MSUB: \"device-7/inbox/{number:05}\",{len} byte,"));
        let mut payload = Vec::new();
        while payload.len() < len {
            text(&mut maker, &mut payload);
        }
        maker.push(payload);
        maker.push("\r\n");
        maker.end();
        maker.stream.expected.messages += 1;
        maker.stream.expected.content += 20 + len;
    }
    maker.stream
}

/// What a 9704 says of its sky. It becomes the status, not an event.
fn signal() -> Stream {
    let mut maker = Maker::new("jspr_signal", false);
    while !maker.is_full() {
        let (bars, level) = (maker.below(6), 100 + maker.below(20));
        maker.push(format!(
            "299 constellationState {{\"constellation_visible\":true,\"signal_bars\":{bars},\
             \"signal_level\":-{level}}}\r"
        ));
        maker.end();
    }
    maker.stream
}

/// Messages from the network in one part of 1,446 bytes, of which two are the
/// CRC. Nobody has subscribed, so each is announced as dropped.
fn terminated() -> Stream {
    let mut maker = Maker::new("jspr_message", false);
    let mut id = 0;
    while !maker.is_full() {
        let key = format!("\"topic_id\":244,\"message_id\":{}", id % 256);
        id += 1;
        let data = "QUJD".repeat(482);
        maker.push(format!("299 messageTerminate {{{key},\"message_length_max\":1446}}\r"));
        maker.push(format!(
            "299 messageTerminateSegment {{{key},\"segment_length\":1446,\
             \"segment_start\":0,\"data\":\"{data}\"}}\r"
        ));
        maker.push(format!(
            "299 messageTerminateStatus {{{key},\"final_mt_status\":\"complete\"}}\r"
        ));
        maker.end();
        maker.stream.expected.others += 1;
    }
    maker.stream
}

/// A line of 100,000 bytes, which is announced as missed.
fn jspr_line() -> Stream {
    let mut maker = Maker::new("jspr_line", false);
    maker.push("299 constellationState {\"x\":\"");
    maker.push("x".repeat(100_000));
    maker.push("\"}\r");
    maker.end();
    maker.stream.expected.others += 1;
    maker.stream
}

/// A client whose broker has taken it.
fn connected() -> rockremote::Machine<8192> {
    let options = ConnectOptions::new(rockremote::HOST, rockremote::PORT, "device-7");
    let options = options.expect("a host and an identifier");
    let connect = &Operation::Connect(&options);
    let mut machine = rockremote::machine(rockremote::Settings::new());
    machine.start(connect, NOW).expect("nothing speaks against it");
    while let Some(bytes) = machine.transmit(Some(connect), NOW) {
        let count = bytes.len();
        machine.sent(count);
    }
    machine.receive(b"\x20\x02\0\0", NOW);
    machine
}

/// PUBLISH packets with QoS 0, topics of 20 bytes and payloads of `len`.
fn publish(name: &'static str, len: usize) -> Stream {
    let mut maker = Maker::new(name, false);
    while !maker.is_full() {
        let number = maker.below(100_000);
        maker.push([0x30]);
        let rest = 2 + 20 + len;
        if rest < 128 {
            maker.push([rest as u8]);
        } else {
            maker.push([rest as u8 | 0x80, (rest >> 7) as u8]);
        }
        maker.push(format!("\0\x14device-7/inbox/{number:05}"));
        let mut payload = Vec::new();
        while payload.len() < len {
            payload.push(maker.below(256) as u8);
        }
        maker.push(payload);
        maker.end();
        maker.stream.expected.messages += 1;
        maker.stream.expected.content += 20 + len;
    }
    maker.stream
}

fn text(maker: &mut Maker, payload: &mut Vec<u8>) {
    payload.push(b' ' + maker.below(95) as u8);
}

/// Whatever could be taken for something else, and any byte in between.
fn look_alikes(maker: &mut Maker, payload: &mut Vec<u8>) {
    let all: [&[u8]; 6] = [
        b"\r\nOK\r\n",
        b"\r\n+CMQTTCONNLOST: 0,1\r\n",
        b"\r\n> ",
        b"\r\n+CMQTTRXEND: 0\r\n",
        b"\r\nERROR\r\n",
        b"+CMQTTRECV: 0,\"t\",9,\"",
    ];
    payload.extend_from_slice(all[maker.below(6) as usize]);
    for _ in 0..maker.below(8) {
        payload.push(maker.below(256) as u8);
    }
}

fn hostile_crlf() -> Stream {
    let mut maker = Maker::new("hostile_crlf", false);
    while !maker.is_full() {
        maker.push("\r\n");
    }
    maker.end();
    maker.stream
}

/// Text with quotes and no line end.
fn hostile_line() -> Stream {
    let mut maker = Maker::new("hostile_line", false);
    while !maker.is_full() {
        let byte = b' ' + maker.below(95) as u8;
        maker.push([byte]);
    }
    maker.end();
    maker.stream
}

/// Lines of one byte, each a URC.
fn hostile_short() -> Stream {
    let mut maker = Maker::new("hostile_short", false);
    while !maker.is_full() {
        maker.push("a\r\n");
        maker.stream.expected.urcs += 1;
        maker.end();
    }
    maker.stream
}

/// Lines that pretend to hold a payload after each of their quotes.
fn hostile_marks() -> Stream {
    let mut maker = Maker::new("hostile_marks", false);
    while !maker.is_full() {
        maker.line([&b"+CMQTTRECV:"[..], &[b'"'; 240]].concat());
        maker.stream.expected.urcs += 1;
        maker.end();
    }
    maker.stream
}
