//! What MQTT 3.1.1 says of a server (by the numbers of its statements) and what the vendor's page
//! "IMT and IoT Gateway" says of the box. The hosts here write and read bytes by themselves, after
//! the figures of the standard, so that an error of the packet codec shows.

use super::*;
use crate::network::Loopback;

/// A box, its cloud, and a clock that stands still unless a test moves it.
struct Site {
    gateway: Gateway,
    broker: Loopback,
    now: u64,
}

impl Site {
    fn new(config: Config) -> Self {
        let mut site = Site { gateway: Gateway::new(config), broker: Loopback::new(), now: 0 };
        site.exchange();
        site
    }

    fn with_faults(faults: &[Fault]) -> Self {
        Site::new(Config { faults: faults.to_vec(), ..Config::default() })
    }

    fn exchange(&mut self) {
        loop {
            let requests = self.gateway.requests();
            let replies: Vec<Reply> = {
                requests.iter().cloned().for_each(|request| {
                    crate::network::Network::request(&mut self.broker, request);
                });
                std::iter::from_fn(|| self.broker.reply()).collect()
            };
            let quiet = requests.is_empty() && replies.is_empty();
            replies.into_iter().for_each(|reply| self.gateway.reply(self.now, reply));
            if quiet {
                return;
            }
        }
    }

    fn dial(&mut self) -> Line {
        self.gateway.accept(self.now).expect("the box listens")
    }

    /// A client that is let in.
    fn client(&mut self, id: &str) -> Line {
        let line = self.dial();
        assert_eq!(self.ask(line, connect(id, CLEAN, 0, &[])), [CONNACK]);
        line
    }

    /// A client with a session that is kept, and whether there was one.
    fn keeper(&mut self, id: &str) -> (Line, Vec<Vec<u8>>) {
        let line = self.dial();
        let heard = self.ask(line, connect(id, 0, 0, &[]));
        (line, heard)
    }

    fn send(&mut self, line: Line, bytes: impl AsRef<[u8]>) {
        self.gateway.receive(self.now, line, bytes.as_ref());
        self.exchange();
    }

    fn ask(&mut self, line: Line, bytes: impl AsRef<[u8]>) -> Vec<Vec<u8>> {
        self.send(line, bytes);
        self.hear(line)
    }

    fn bytes(&mut self, line: Line) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let some = self.gateway.transmit(self.now, line);
            if some.is_empty() {
                return bytes;
            }
            bytes.extend(some);
        }
    }

    fn hear(&mut self, line: Line) -> Vec<Vec<u8>> {
        let bytes = self.bytes(line);
        frames(&bytes)
    }

    fn pass(&mut self, ms: u64) {
        self.now += ms;
        self.gateway.pass(self.now);
        self.exchange();
    }

    /// Topics and payloads at the cloud.
    fn cloud(&self) -> Vec<(String, Vec<u8>, bool)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let all = self.broker.published().iter();
        all.map(|it| (text(&it.topic), it.payload.clone(), it.retain)).collect()
    }

    fn count(&self, topic: &str) -> (u64, u64, u64) {
        let count = self.gateway.counters().topics.get(topic).copied().unwrap_or_default();
        (count.sent, count.received, count.dropped)
    }
}

// ---- bytes of a host --------------------------------------------------------------------------

const CLEAN: u8 = 0x02;
const WILL: u8 = 0x04;
const CONNACK: &[u8] = &[0x20, 2, 0, 0];
const CONNACK_PRESENT: &[u8] = &[0x20, 2, 1, 0];
const PINGREQ: &[u8] = &[0xC0, 0];
const PINGRESP: &[u8] = &[0xD0, 0];
const DISCONNECT: &[u8] = &[0xE0, 0];

fn frame(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut frame = vec![first];
    let mut rest = body.len();
    loop {
        let more = if rest > 127 { 0x80 } else { 0 };
        frame.push((rest % 128) as u8 | more);
        rest /= 128;
        if rest == 0 {
            break;
        }
    }
    frame.extend(body);
    frame
}

fn block(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn connect(id: &str, flags: u8, keep_alive: u16, rest: &[&[u8]]) -> Vec<u8> {
    let rest: Vec<u8> = rest.iter().flat_map(block).collect();
    frame(0x10, &[b"\0\x04MQTT\x04", &[flags], &keep_alive.to_be_bytes(), &block(id), &rest])
}

fn publish(first: u8, topic: &str, id: u8, payload: &[u8]) -> Vec<u8> {
    let id: &[u8] = if first & 6 == 0 { &[] } else { &[0, id] };
    frame(first, &[&block(topic), id, payload])
}

fn subscribe(id: u8, filters: &[(&str, u8)]) -> Vec<u8> {
    let filters: Vec<u8> =
        filters.iter().flat_map(|(filter, qos)| [block(filter), vec![*qos]].concat()).collect();
    frame(0x82, &[&[0, id], &filters])
}

fn unsubscribe(id: u8, filters: &[&str]) -> Vec<u8> {
    frame(0xA2, &[&[0, id], &filters.iter().flat_map(block).collect::<Vec<u8>>()])
}

fn ack(first: u8, id: u8) -> Vec<u8> {
    vec![first, 2, 0, id]
}

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

fn frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (mut length, mut at) = (0, 1);
        loop {
            length |= usize::from(bytes[at] & 0x7F) << (7 * (at - 1));
            at += 1;
            if bytes[at - 1] & 0x80 == 0 {
                break;
            }
        }
        let (frame, rest) = bytes.split_at(at + length);
        frames.push(frame.to_vec());
        bytes = rest;
    }
    frames
}

fn none() -> Vec<Vec<u8>> {
    Vec::new()
}

// ---- CONNECT ----------------------------------------------------------------------------------

#[test]
fn what_is_no_connect_of_3_1_1_is_refused_or_closed() {
    let tail = |level, flags| {
        frame(0x10, &[b"\0\x04MQTT", &[level, flags, 0, 0], &block("c"), &block("u"), &block("p")])
    };
    for (statement, bytes, answer) in [
        ("3.1.2-1 other protocol", frame(0x10, &[b"\0\x06MQIsdp\x03\x02\0\0\0\x01c"]), None),
        ("3.1.2-2 level 5", tail(5, CLEAN), Some(1)),
        ("3.1.2-2 level 3", tail(3, CLEAN), Some(1)),
        ("3.1.2-3 reserved flag", tail(4, 0xC0 | CLEAN | 1), None),
        ("3.1.2-13 QoS of no will", tail(4, 0xC0 | CLEAN | 0x08), None),
        ("3.1.2-15 retain of no will", tail(4, 0xC0 | CLEAN | 0x20), None),
        ("3.1.2-14 QoS 3 of a will", tail(4, CLEAN | WILL | 0x18), None),
        ("3.1.2-22 password without user", tail(4, CLEAN | 0x40), None),
        ("bytes after the payload", tail(4, CLEAN), None),
        ("3.1.3-8 no id, session kept", connect("", 0, 0, &[]), Some(2)),
        ("3.1.3-4 id that is not UTF-8", frame(0x10, &[b"\0\x04MQTT\x04\x02\0\0\0\x01\xFF"]), None),
        ("1.5.3-2 NUL in the id", connect("a\0b", CLEAN, 0, &[]), None),
        ("3.1.0-1 something else first", publish(0x30, "t", 0, b""), None),
        ("2.2.2-2 flags of the header", frame(0x11, &[b"\0\x04MQTT\x04\x02\0\0\0\x01c"]), None),
        ("not MQTT at all", b"GET / HTTP/1.1\r\n\r\n".to_vec(), None),
        ("endless length", vec![0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], None),
    ] {
        let mut site = Site::new(Config::default());
        let line = site.dial();
        let heard = site.ask(line, bytes);
        let expected: Vec<Vec<u8>> = answer.iter().map(|code| vec![0x20, 2, 0, *code]).collect();
        assert_eq!(heard, expected, "{statement}");
        assert!(site.gateway.hung_up(line), "{statement}");
    }
}

#[test]
fn a_client_without_a_name_gets_one_of_its_own() {
    let mut site = Site::new(Config::default());
    let (first, second) = (site.client(""), site.client(""));
    assert_ne!(site.gateway.client(first), site.gateway.client(second));
    assert_eq!(site.ask(first, PINGREQ), [PINGRESP]);
}

#[test]
fn a_login_is_asked_for_if_it_is_set() {
    for refusal in [4, 5] {
        let login = Login { user: "u".into(), password: "p".into() };
        let login = Some(login);
        let mut site = Site::new(Config { login, login_refused: refusal, ..Config::default() });
        for (flags, rest) in
            [(0, &[][..]), (0x80, &[&b"u"[..]]), (0xC0, &[b"u", b"x"]), (0xC0, &[b"x", b"p"])]
        {
            let line = site.dial();
            let heard = site.ask(line, connect("c", CLEAN | flags, 0, rest));
            assert_eq!(heard, [[0x20, 2, 0, refusal]]);
            assert!(site.gateway.hung_up(line));
        }
        let line = site.dial();
        assert_eq!(site.ask(line, connect("c", 0xC2, 0, &[b"u", b"p"])), [CONNACK]);
    }
    // Nobody asks: a login that is shown is not looked at.
    let mut site = Site::new(Config::default());
    let line = site.dial();
    assert_eq!(site.ask(line, connect("c", 0xC2, 0, &[b"u", b"\xFF"])), [CONNACK]);
}

#[test]
fn a_packet_that_is_malformed_ends_the_connection() {
    for (statement, bytes) in [
        ("3.1.0-2 second CONNECT", connect("c", CLEAN, 0, &[])),
        ("2.2.2-2 SUBSCRIBE without its flags", frame(0x80, &[b"\0\x01\0\x01a\0"])),
        ("2.2.2-2 PUBREL without its flags", ack(0x60, 1)),
        ("3.3.1-4 QoS 3", frame(0x36, &[b"\0\x01a\0\x01"])),
        ("3.3.1-2 DUP with QoS 0", publish(0x38, "a", 0, b"")),
        ("3.3.2-2 wildcard in a topic", publish(0x30, "a/#", 0, b"")),
        ("4.7.3-1 empty topic", publish(0x30, "", 0, b"")),
        ("2.3.1-1 id 0", publish(0x32, "a", 0, b"")),
        ("2.3.1-1 id 0 of SUBSCRIBE", subscribe(0, &[("a", 0)])),
        ("3.8.3-3 no filter", frame(0x82, &[b"\0\x01"])),
        ("3.8.3-4 reserved bits of the QoS", subscribe(1, &[("a", 4)])),
        ("3.8.3-4 QoS 3", subscribe(1, &[("a", 3)])),
        ("4.7.1-2 # in the middle", subscribe(1, &[("a/#/b", 0)])),
        ("4.7.1-3 + in a word", subscribe(1, &[("a+", 0)])),
        ("2.3.1-1 id 0 of UNSUBSCRIBE", unsubscribe(0, &["a"])),
        ("3.10.3-2 no filter", frame(0xA2, &[b"\0\x01"])),
        ("topic over the end of the packet", frame(0x30, &[b"\0\x05ab"])),
        ("PUBACK of 3 bytes", frame(0x40, &[&[0, 1, 0]])),
        ("PINGREQ with a body", frame(0xC0, &[&[0]])),
        ("a packet of a server", PINGRESP.to_vec()),
        ("packet type 15", vec![0xF0, 0]),
    ] {
        let mut site = Site::new(Config::default());
        let line = site.client("c");
        let heard = site.ask(line, bytes);
        assert_eq!(heard, none(), "{statement}");
        assert!(site.gateway.hung_up(line), "{statement}");
    }
}

#[test]
fn a_conversation_is_the_same_in_pieces_of_one_byte() {
    let conversation = [
        connect("c", CLEAN, 60, &[]),
        subscribe(1, &[("t/+", 2), ("t/#", 1)]),
        publish(0x34, "t/a", 2, &[b'x'; 300]),
        ack(PUBREL, 2),
        PINGREQ.to_vec(),
        unsubscribe(3, &["t/+"]),
        DISCONNECT.to_vec(),
    ]
    .concat();
    let mut site = Site::new(Config::default());
    let line = site.dial();
    let whole = site.ask(line, &conversation);
    assert_eq!(whole.len(), 7);
    let mut site = Site::with_faults(&[Fault::Split]);
    let line = site.dial();
    let mut pieces = Vec::new();
    for byte in &conversation {
        site.send(line, [*byte]);
        loop {
            let piece = site.gateway.transmit(0, line);
            assert!(piece.len() <= 1);
            if piece.is_empty() {
                break;
            }
            pieces.extend(piece);
        }
    }
    assert_eq!(frames(&pieces), whole);
    assert!(site.gateway.hung_up(line));
    assert_eq!(site.gateway.lines(), []);
}

// ---- sessions, take-over, keep-alive, wills ----------------------------------------------------

#[test]
fn a_kept_session_is_resumed_as_it_was_left() {
    let mut site = Site::new(Config::default());
    let (line, heard) = site.keeper("k");
    assert_eq!(heard, [CONNACK]);
    site.ask(line, subscribe(1, &[("t", 2)]));
    let other = site.client("o");
    site.ask(other, publish(0x32, "t", 1, b"one"));
    site.ask(other, publish(0x34, "t", 2, b"two"));
    assert_eq!(site.hear(line), [publish(0x32, "t", 1, b"one"), publish(0x34, "t", 2, b"two")]);
    assert_eq!(site.ask(line, ack(PUBREC, 2)), [ack(PUBREL, 2)]);
    site.gateway.hang_up(0, line);
    // QoS 0 is not for the absent; QoS 1 waits.
    site.ask(other, publish(0x30, "t", 0, b"zero"));
    site.ask(other, publish(0x32, "t", 3, b"three"));
    // 4.4.0-1, 3.2.2-2
    let (line, heard) = site.keeper("k");
    let expected = [
        CONNACK_PRESENT.to_vec(),
        publish(0x3A, "t", 1, b"one"),
        ack(PUBREL, 2),
        publish(0x32, "t", 3, b"three"),
    ];
    assert_eq!(heard, expected);
    for ack in [ack(PUBACK, 1), ack(PUBCOMP, 2), ack(PUBACK, 3)] {
        assert_eq!(site.ask(line, ack), none());
    }
    site.ask(line, DISCONNECT);
    let (_, heard) = site.keeper("k");
    assert_eq!(heard, [CONNACK_PRESENT]);
    // 3.1.2-6: a clean one in between leaves nothing.
    let line = site.client("k");
    site.ask(line, DISCONNECT);
    let (line, heard) = site.keeper("k");
    assert_eq!(heard, [CONNACK]);
    site.ask(other, publish(0x32, "t", 4, b"four"));
    assert_eq!(site.hear(line), none());
}

#[test]
fn a_second_connection_takes_the_client_over() {
    let mut site = Site::new(Config::default());
    let witness = site.client("w");
    site.ask(witness, subscribe(1, &[("will", 0)]));
    let first = site.dial();
    site.ask(first, connect("c", CLEAN | WILL, 0, &[b"will", b"gone"]));
    // 3.1.4-2
    let second = site.client("c");
    assert!(site.gateway.hung_up(first));
    assert_eq!(site.hear(witness), [publish(0x30, "will", 0, b"gone")]);
    assert_eq!(site.ask(second, PINGREQ), [PINGRESP]);
    assert_eq!(site.ask(first, PINGREQ), none());
}

#[test]
fn a_will_goes_out_unless_the_client_takes_its_leave() {
    let will = |flags| connect("c", CLEAN | WILL | flags, 10, &[b"will", b"gone"]);
    let gone = |first| publish(first, "will", if first == 0x30 { 0 } else { 1 }, b"gone");
    type End = fn(&mut Site, Line);
    let ends: [(&str, End, bool); 4] = [
        ("3.1.2-8 the connection breaks", |site, line| site.gateway.hang_up(0, line), true),
        ("3.1.2-24 silence", |site, _| site.pass(15_000), true),
        ("4.8.0-1 nonsense", |site, line| site.send(line, [0xFF]), true),
        ("3.14.4-3 DISCONNECT", |site, line| site.send(line, DISCONNECT), false),
    ];
    for (what, end, published) in ends {
        for (flags, first) in [(0, 0x30), (0x08, 0x32), (0x10, 0x34)] {
            let mut site = Site::new(Config::default());
            let witness = site.client("w");
            site.ask(witness, subscribe(1, &[("will", 2)]));
            let line = site.dial();
            site.ask(line, will(flags));
            assert_eq!(site.hear(witness), none());
            end(&mut site, line);
            assert!(site.gateway.hung_up(line), "{what}");
            let expected = if published { vec![gone(first)] } else { none() };
            assert_eq!(site.hear(witness), expected, "{what}");
        }
    }
    // 3.1.2-17: a will to be kept is kept, and costs satellite bytes as any publish does.
    let mut site = Site::new(Config { queue: Queue::IMMEDIATELY, ..Config::default() });
    let line = site.dial();
    site.ask(line, will(0x20));
    site.gateway.hang_up(0, line);
    site.exchange();
    assert_eq!(site.cloud(), [("iot/ACCOUNT-ID/will".into(), b"gone".to_vec(), true)]);
    let witness = site.client("w");
    let heard = site.ask(witness, subscribe(1, &[("will", 0)]));
    assert_eq!(heard, [vec![0x90, 3, 0, 1, 0], publish(0x31, "will", 0, b"gone")]);
}

#[test]
fn silence_for_half_more_than_the_keep_alive_ends_the_connection() {
    let mut site = Site::new(Config { cloud: None, ..Config::default() });
    let line = site.dial();
    site.ask(line, connect("c", CLEAN, 10, &[]));
    let forever = site.client("f");
    site.pass(14_999);
    assert_eq!(site.ask(line, PINGREQ), [PINGRESP]);
    assert_eq!(site.gateway.deadline(), Some(29_999));
    site.pass(14_999);
    assert!(!site.gateway.hung_up(line));
    site.pass(1);
    assert!(site.gateway.hung_up(line));
    site.pass(1_000_000_000);
    assert!(!site.gateway.hung_up(forever));

    let mut site = Site::new(Config { patience: Some(5000), ..Config::default() });
    let line = site.dial();
    site.pass(5000);
    assert!(site.gateway.hung_up(line));
}

// ---- messages on the LAN -----------------------------------------------------------------------

#[test]
fn every_qos_in_and_out() {
    let mut site = Site::new(Config::default());
    let (from, to) = (site.client("from"), site.client("to"));
    assert_eq!(site.ask(to, subscribe(9, &[("t", 2)])), [[0x90, 3, 0, 9, 2]]);
    assert_eq!(site.ask(from, publish(0x30, "t", 0, b"")), none());
    assert_eq!(site.hear(to), [publish(0x30, "t", 0, b"")]);
    assert_eq!(site.ask(from, publish(0x32, "t", 7, b"1")), [ack(PUBACK, 7)]);
    assert_eq!(site.hear(to), [publish(0x32, "t", 1, b"1")]);
    // 4.3.3: until PUBREL the id stands for one message, however often it comes.
    assert_eq!(site.ask(from, publish(0x34, "t", 8, b"2")), [ack(PUBREC, 8)]);
    assert_eq!(site.ask(from, publish(0x3C, "t", 8, b"2")), [ack(PUBREC, 8)]);
    assert_eq!(site.hear(to), [publish(0x34, "t", 2, b"2")]);
    assert_eq!(site.ask(from, ack(PUBREL, 8)), [ack(PUBCOMP, 8)]);
    assert_eq!(site.ask(from, ack(PUBREL, 8)), [ack(PUBCOMP, 8)]);
    assert_eq!(site.ask(from, publish(0x34, "t", 8, b"3")), [ack(PUBREC, 8)]);
    assert_eq!(site.hear(to), [publish(0x34, "t", 3, b"3")]);
    // An id is free again only when its handshake is over.
    assert_eq!(site.ask(to, ack(PUBREC, 2)), [ack(PUBREL, 2)]);
    assert_eq!(site.ask(to, ack(PUBREC, 2)), [ack(PUBREL, 2)]);
    assert_eq!(site.ask(to, ack(PUBCOMP, 2)), none());
    // 3.10.4-4 even if there was nothing to take back
    assert_eq!(site.ask(to, unsubscribe(5, &["t", "never"])), [ack(0xB0, 5)]);
    site.ask(from, publish(0x32, "t", 9, b"unheard"));
    assert_eq!(site.hear(to), none());
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_settles_nothing() {
    let mut site = Site::new(Config { max_in_flight: 1, ..Config::default() });
    let line = site.client("c");
    site.ask(line, subscribe(1, &[("t", 2)]));
    let heard = site.ask(line, [publish(0x34, "t", 1, b"1"), publish(0x34, "t", 2, b"2")].concat());
    assert!(heard.contains(&publish(0x34, "t", 1, b"1")));
    assert_eq!(site.ask(line, ack(PUBACK, 1)), none());
    assert_eq!(site.ask(line, ack(PUBCOMP, 1)), none());
    assert_eq!(site.ask(line, ack(PUBREC, 1)), [ack(PUBREL, 1)]);
    assert_eq!(site.ask(line, ack(PUBCOMP, 1)), [publish(0x34, "t", 2, b"2")]);
}

#[test]
fn a_window_that_is_full_lets_the_next_out_after_an_acknowledgement() {
    let mut site = Site::new(Config { max_in_flight: 2, ..Config::default() });
    let line = site.client("c");
    site.ask(line, subscribe(1, &[("t", 1)]));
    let all: Vec<u8> = (1..=4).flat_map(|id| publish(0x32, "t", id, &[id])).collect();
    let heard = site.ask(line, all);
    let out = heard.iter().filter(|frame| frame[0] == 0x32).count();
    assert_eq!(out, 2);
    assert_eq!(site.ask(line, ack(PUBACK, 2)), [publish(0x32, "t", 3, &[3])]);
    assert_eq!(site.ask(line, ack(PUBACK, 77)), none());
    assert_eq!(site.ask(line, ack(PUBACK, 1)), [publish(0x32, "t", 4, &[4])]);
}

#[test]
fn one_copy_for_overlapping_filters_with_the_highest_qos() {
    let mut site = Site::new(Config::default());
    let line = site.client("c");
    // 3.8.4-4, -5: several filters are as good as several SUBSCRIBEs.
    let heard = site.ask(line, subscribe(1, &[("t/#", 0), ("t/+", 2), ("t/a", 1)]));
    assert_eq!(heard, [[0x90, 5, 0, 1, 0, 2, 1]]);
    let from = site.client("from");
    site.ask(from, publish(0x34, "t/a", 1, b"x"));
    assert_eq!(site.hear(line), [publish(0x34, "t/a", 1, b"x")]);
    // 3.8.4-3: the same filter again replaces the old one.
    site.ask(line, subscribe(2, &[("t/+", 0)]));
    site.ask(from, publish(0x34, "t/a", 2, b"y"));
    assert_eq!(site.hear(line), [publish(0x32, "t/a", 2, b"y")]);
}

#[test]
fn less_may_be_granted_than_was_asked_for() {
    let refused_filters = vec!["secret/#".to_owned()];
    let mut site = Site::new(Config { max_qos: 1, refused_filters, ..Config::default() });
    let line = site.client("c");
    let heard = site.ask(line, subscribe(1, &[("a", 2), ("secret/#", 2), ("b", 0)]));
    assert_eq!(heard, [[0x90, 5, 0, 1, 1, 0x80, 0]]);
    let from = site.client("from");
    site.ask(from, publish(0x34, "a", 1, b"x"));
    site.ask(from, publish(0x34, "secret/x", 2, b"x"));
    assert_eq!(site.hear(line), [publish(0x32, "a", 1, b"x")]);
}

#[test]
fn retained_messages_are_for_those_who_come_later() {
    let mut site = Site::new(Config::default());
    let (from, early) = (site.client("from"), site.client("early"));
    site.ask(early, subscribe(1, &[("t/#", 2)]));
    site.ask(from, publish(0x35, "t/a", 1, b"old"));
    site.ask(from, publish(0x33, "t/a", 2, b"new"));
    site.ask(from, publish(0x31, "t/b", 0, b"b"));
    // 3.3.1-9
    let heard = site.hear(early);
    assert_eq!(heard.iter().map(|frame| frame[0]).collect::<Vec<_>>(), [0x34, 0x32, 0x30]);
    // 3.3.1-6, -8: the last one of each topic, with the lower of both QoS.
    let late = site.client("late");
    let heard = site.ask(late, subscribe(1, &[("t/+", 2)]));
    let kept = [publish(0x33, "t/a", 1, b"new"), publish(0x31, "t/b", 0, b"b")];
    assert_eq!(heard[1..], kept);
    // 3.8.4-3: once more for the same filter.
    let heard = site.ask(late, subscribe(2, &[("t/a", 0)]));
    assert_eq!(heard[1..], [publish(0x31, "t/a", 0, b"new")]);
    // 3.3.1-10, -11: an empty one removes it and is not kept itself.
    site.ask(from, publish(0x31, "t/a", 0, b""));
    assert_eq!(site.hear(late), [publish(0x30, "t/a", 0, b"")]);
    let last = site.client("last");
    assert_eq!(site.ask(last, subscribe(1, &[("t/#", 0)])).len(), 2);
}

// ---- the MO queue ------------------------------------------------------------------------------

const PREFIX: &str = "iot/ACCOUNT-ID/";

#[test]
fn the_queue_is_sent_when_its_payloads_are_large_enough() {
    let mut site = Site::new(Config::default());
    let line = site.client("c");
    site.send(line, publish(0x30, "a/very/long/topic", 0, &[1; 25_000]));
    site.send(line, publish(0x30, "t", 0, &[2; 24_999]));
    assert_eq!((site.gateway.queued(), site.gateway.queued_bytes()), (2, 49_999));
    assert_eq!(site.cloud(), []);
    site.send(line, publish(0x30, "t", 0, &[3; 1]));
    assert_eq!(site.gateway.queued(), 0);
    assert_eq!(site.cloud().len(), 3);
    let bytes = 50_000 + "a/very/long/topic".len() + 2;
    assert_eq!(site.gateway.imts(), [Imt { at: 0, messages: 3, bytes, billed: bytes }]);
}

#[test]
fn the_queue_is_sent_when_its_oldest_message_is_old_enough() {
    let mut site = Site::new(Config::default());
    let line = site.client("c");
    site.send(line, publish(0x30, "t", 0, b"1"));
    site.pass(59_000);
    site.send(line, publish(0x30, "t", 0, b"2"));
    assert_eq!(site.gateway.deadline(), Some(60_000));
    site.pass(999);
    assert_eq!(site.cloud(), []);
    site.pass(1);
    let topic = format!("{PREFIX}t");
    let expected = [(topic.clone(), b"1".to_vec(), false), (topic, b"2".to_vec(), false)];
    assert_eq!(site.cloud(), expected);
    // The least that is billed for an IMT.
    assert_eq!(site.gateway.imts(), [Imt { at: 60_000, messages: 2, bytes: 4, billed: 500 }]);
    let Counters { imts, billed, .. } = site.gateway.counters();
    assert_eq!((*imts, *billed), (1, 500));

    // A rule of 0 is off.
    let mut site = Site::new(Config {
        queue: Queue { max_age_s: 0, ..Queue::default() },
        ..Config::default()
    });
    let line = site.client("c");
    site.send(line, publish(0x30, "t", 0, b"1"));
    site.pass(10_000_000);
    assert_eq!(site.cloud(), []);
    let queue = Queue { max_size: 0, ..Queue::default() };
    let mut site = Site::new(Config { queue, ..Config::default() });
    let line = site.client("c");
    site.send(line, publish(0x30, "t", 0, &[0; 90_000]));
    assert_eq!(site.cloud(), []);
}

#[test]
fn immediately_means_that_every_publish_is_its_own_imt() {
    let both_off = Queue { max_size: 0, max_age_s: 0, ..Queue::default() };
    for queue in [Queue::IMMEDIATELY, both_off] {
        let mut site = Site::new(Config { queue, ..Config::default() });
        let line = site.client("c");
        for qos in [0x30, 0x32, 0x34] {
            site.send(line, publish(qos, "t", 1, &[0; 30]));
        }
        assert_eq!(site.cloud().len(), 3);
        let billed: Vec<usize> = site.gateway.imts().iter().map(|imt| imt.billed).collect();
        assert_eq!(billed, [500, 500, 500]);
        assert_eq!(site.count("t"), (3, 0, 0));
        // Also when they had to wait.
        site.gateway.set_sky(0, false);
        site.send(line, publish(0x30, "t", 1, &[0; 600]));
        site.send(line, publish(0x30, "t", 1, &[0; 30]));
        assert_eq!(site.gateway.queued(), 2);
        site.gateway.set_sky(0, true);
        let billed: Vec<usize> = site.gateway.imts().iter().map(|imt| imt.billed).collect();
        assert_eq!(billed, [500, 500, 500, 601, 500]);
    }
}

#[test]
fn what_is_too_large_is_acknowledged_and_never_seen_again() {
    let mut site = Site::new(Config { queue: Queue::IMMEDIATELY, ..Config::default() });
    let (line, lan) = (site.client("c"), site.client("lan"));
    site.ask(lan, subscribe(1, &[("#", 0)]));
    // 50 letters of two bytes each are 100 bytes.
    let (fits, too_long) = ("ä".repeat(50), format!("{}a", "ä".repeat(50)));
    let (full, too_large) = (vec![1; 90_000], vec![2; 90_001]);
    for (topic, payload) in
        [(&fits[..], &full), (&too_long, &full), (&fits, &too_large), ("ok", &full)]
    {
        assert_eq!(site.ask(line, publish(0x32, topic, 1, payload)), [ack(PUBACK, 1)]);
        assert_eq!(site.hear(lan), [publish(0x30, topic, 0, payload)]);
    }
    let topics: Vec<String> = site.cloud().into_iter().map(|(topic, ..)| topic).collect();
    assert_eq!(topics, [format!("{PREFIX}{fits}"), format!("{PREFIX}ok")]);
    assert_eq!(site.count(&fits), (1, 0, 1));
    assert_eq!(site.count(&too_long), (0, 0, 1));
    assert_eq!(site.gateway.imts()[0].billed, 90_100);
}

#[test]
fn without_a_sky_the_queue_grows_and_ages() {
    let queue = Queue { ttl_s: Some(300), ..Queue::default() };
    let mut site = Site::new(Config { queue, ..Config::default() });
    let line = site.client("c");
    site.gateway.set_sky(0, false);
    site.send(line, publish(0x30, "old", 0, b"1"));
    site.pass(200_000);
    site.send(line, publish(0x30, "new", 0, &[0; 60_000]));
    assert_eq!((site.gateway.queued(), site.cloud().len()), (2, 0));
    assert_eq!(site.gateway.deadline(), Some(300_000));
    site.pass(99_999);
    assert_eq!(site.gateway.queued(), 2);
    site.pass(1);
    assert_eq!((site.gateway.queued(), site.count("old")), (1, (0, 0, 1)));
    site.gateway.set_sky(site.now, true);
    site.exchange();
    assert_eq!((site.gateway.queued(), site.count("new")), (0, (1, 0, 0)));

    // A queue that is too large drops its oldest messages.
    let queue = Queue { overflow: Some(100), ..Queue::default() };
    let mut site = Site::new(Config { queue, ..Config::default() });
    let line = site.client("c");
    site.gateway.set_sky(0, false);
    for topic in ["a", "b", "c"] {
        site.send(line, publish(0x30, topic, 0, &[0; 50]));
    }
    assert_eq!(
        (site.gateway.queued(), site.count("a"), site.count("b")),
        (2, (0, 0, 1), (0, 0, 0))
    );
}

#[test]
fn a_long_queue_needs_several_imts() {
    let mut site = Site::new(Config::default());
    let line = site.client("c");
    site.gateway.set_sky(0, false);
    for _ in 0..3 {
        site.send(line, publish(0x30, "t", 0, &[0; 45_000]));
    }
    site.gateway.set_sky(0, true);
    let messages: Vec<usize> = site.gateway.imts().iter().map(|imt| imt.messages).collect();
    assert_eq!(messages, [2, 1]);
}

#[test]
fn with_transmission_off_the_box_looks_healthy_and_sends_nothing() {
    let config = Config { transmission: false, queue: Queue::IMMEDIATELY, ..Config::default() };
    let mut site = Site::new(config);
    let line = site.client("c");
    assert_eq!(site.ask(line, publish(0x32, "t", 1, b"x")), [ack(PUBACK, 1)]);
    assert_eq!((site.gateway.queued(), site.cloud().len()), (0, 0));
}

// ---- the cloud ---------------------------------------------------------------------------------

fn open_to_all() -> Config {
    let all = "#".parse().expect("a filter");
    Config { mt_filters: vec![all], queue: Queue::IMMEDIATELY, ..Config::default() }
}

#[test]
fn the_prefix_comes_and_goes_and_the_own_message_does_not_come_back() {
    let mut site = Site::new(open_to_all());
    let line = site.client("c");
    site.ask(line, subscribe(1, &[("#", 0)]));
    let heard = site.ask(line, publish(0x30, "up/a", 0, b"x"));
    assert_eq!(heard, [publish(0x30, "up/a", 0, b"x")]);
    assert_eq!(site.cloud(), [(format!("{PREFIX}up/a"), b"x".to_vec(), false)]);
    // One echo is swallowed, not two.
    site.broker.publish(b"iot/ACCOUNT-ID/up/a", b"x", false);
    site.exchange();
    assert_eq!(site.hear(line), [publish(0x30, "up/a", 0, b"x")]);
    site.broker.publish(b"iot/ACCOUNT-ID/dn/b", b"y", false);
    site.broker.publish(b"iot/OTHER/dn/b", b"z", false);
    site.broker.publish(b"iot/ACCOUNT-ID", b"z", false);
    site.exchange();
    assert_eq!(site.hear(line), [publish(0x30, "dn/b", 0, b"y")]);
    assert_eq!((site.count("up/a"), site.count("dn/b")), ((1, 1, 0), (0, 1, 0)));
    // What comes down does not go up again.
    assert_eq!(site.gateway.counters().imts, 1);
}

#[test]
fn only_what_the_filters_of_the_account_name_comes_down() {
    let filters = ["device1/#", "all/alarm"].map(|filter| filter.parse().expect("a filter"));
    let mut site = Site::new(Config { mt_filters: filters.to_vec(), ..Config::default() });
    let line = site.client("c");
    site.ask(line, subscribe(1, &[("#", 2)]));
    for topic in ["device1/x/y", "device2/x", "all/alarm", "all/alarm/x", "all"] {
        site.broker.publish(format!("{PREFIX}{topic}").as_bytes(), b"", false);
    }
    site.exchange();
    let expected = [publish(0x32, "device1/x/y", 1, b""), publish(0x32, "all/alarm", 2, b"")];
    assert_eq!(site.hear(line), expected);
    // No filter, no message: subscribing on the LAN is another matter.
    let mut site = Site::new(Config::default());
    let line = site.client("c");
    site.ask(line, subscribe(1, &[("#", 2)]));
    site.broker.publish(b"iot/ACCOUNT-ID/t", b"", false);
    site.exchange();
    assert_eq!(site.hear(line), none());
    for wrong in ["+/a", "a/#/b", "a#", ""] {
        assert!(wrong.parse::<MtFilter>().is_err(), "{wrong}");
    }
}

#[test]
fn retain_is_kept_in_both_directions() {
    let mut site = Site::new(open_to_all());
    let line = site.client("c");
    site.send(line, publish(0x31, "up", 0, b"state"));
    assert_eq!(site.cloud(), [(format!("{PREFIX}up"), b"state".to_vec(), true)]);
    site.gateway.mobile_terminated(0, "dn", b"wanted", true);
    let heard = site.ask(line, subscribe(1, &[("#", 1)]));
    assert_eq!(heard[1..], [publish(0x33, "dn", 1, b"wanted"), publish(0x31, "up", 0, b"state")]);
    // The cloud's broker has it as well, for whoever asks next; the box has sent it and is not
    // told when its cloud connects anew.
    site.broker.lose(0, 1);
    site.exchange();
    assert!(!site.gateway.is_online());
    site.broker.publish(b"iot/ACCOUNT-ID/early", b"kept", true);
    site.pass(5000);
    assert!(site.gateway.is_online());
    let heard = site.hear(line);
    assert_eq!(heard, [publish(0x32, "early", 2, b"kept")]);
    let late = site.client("late");
    let heard = site.ask(late, subscribe(1, &[("early", 0)]));
    assert_eq!(heard[1..], [publish(0x31, "early", 0, b"kept")]);
}

#[test]
fn above_the_limits_nothing_comes_down_either() {
    let mut site = Site::new(open_to_all());
    let line = site.client("c");
    site.ask(line, subscribe(1, &[("#", 0)]));
    site.broker.publish(b"iot/ACCOUNT-ID/t", &[0; 90_001], false);
    site.exchange();
    assert_eq!((site.hear(line), site.count("t")), (none(), (0, 0, 1)));
}

#[test]
fn without_a_sky_messages_wait_in_the_cloud() {
    let mut site = Site::new(open_to_all());
    let line = site.client("c");
    site.ask(line, subscribe(1, &[("#", 0)]));
    site.gateway.set_sky(0, false);
    site.broker.publish(b"iot/ACCOUNT-ID/t", b"x", false);
    site.exchange();
    assert_eq!((site.hear(line), site.count("t")), (none(), (0, 0, 0)));
    site.gateway.set_sky(0, true);
    assert_eq!(site.hear(line), [publish(0x30, "t", 0, b"x")]);
}

#[test]
fn a_cloud_that_comes_late_gets_everything_in_order() {
    let mut site = Site::new(open_to_all());
    site.broker.lose(0, 1);
    site.exchange();
    let line = site.client("c");
    for at in 0..50 {
        site.send(line, publish(0x30, "t", 0, &[at]));
    }
    assert_eq!(site.cloud(), []);
    // It is refused once more before it is let in.
    site.broker.fail_next(29);
    site.pass(5000);
    assert!(!site.gateway.is_online());
    site.pass(5000);
    let payloads: Vec<u8> = site.cloud().iter().map(|(_, payload, _)| payload[0]).collect();
    assert_eq!(payloads, (0..50).collect::<Vec<u8>>());

    // Those under way when the connection breaks are published again, and come back once each.
    site.broker.hold();
    for payload in [b"1", b"2", b"3"] {
        site.send(line, publish(0x30, "t", 0, payload));
    }
    site.broker.lose(0, 1);
    site.exchange();
    site.broker.resume();
    site.exchange();
    site.pass(5000);
    let payloads: Vec<u8> = site.cloud()[50..].iter().map(|(_, payload, _)| payload[0]).collect();
    assert_eq!(payloads, b"123");
    site.broker.publish(b"iot/ACCOUNT-ID/t", b"1", false);
    site.exchange();
    assert_eq!(site.count("t"), (53, 1, 0));
}

#[test]
fn a_cloud_that_refuses_is_not_waited_for() {
    let mut site = Site::new(open_to_all());
    let line = site.client("c");
    // A message that is refused does not come back.
    site.broker.fail_next(1);
    site.send(line, publish(0x30, "t", 0, b"x"));
    site.broker.publish(b"iot/ACCOUNT-ID/t", b"x", false);
    site.exchange();
    assert_eq!(site.count("t"), (1, 1, 0));

    // A connection without its subscription is of no use.
    let mut gateway = Gateway::new(Config::default());
    let connect = gateway.requests();
    gateway.reply(0, Reply::Done { client: 0, id: connect[0].id, code: 0 });
    let subscribe = gateway.requests();
    let filters = vec![(b"iot/ACCOUNT-ID/#".to_vec(), 1)];
    assert_eq!(subscribe[0].action, Action::Subscribe { filters });
    gateway.reply(0, Reply::Done { client: 0, id: subscribe[0].id, code: 1 });
    assert_eq!(gateway.requests()[0].action, Action::Abort);
    assert_eq!(gateway.deadline(), Some(5000));
}

#[test]
fn the_cloud_gets_no_more_at_once_than_a_client_can_hold() {
    let mut gateway = Gateway::new(Config { queue: Queue::IMMEDIATELY, ..Config::default() });
    for _ in 0..2 {
        let id = gateway.requests()[0].id;
        gateway.reply(0, Reply::Done { client: 0, id, code: 0 });
    }
    let line = gateway.accept(0).expect("the box listens");
    gateway.receive(0, line, &connect("c", CLEAN, 0, &[]));
    for at in 0..50 {
        gateway.receive(0, line, &publish(0x30, "t", 0, &[at]));
    }
    let requests = gateway.requests();
    assert_eq!(requests.len(), 16);
    gateway.reply(0, Reply::Done { client: 0, id: requests[0].id, code: 0 });
    assert_eq!(gateway.requests().len(), 1);
}

#[test]
fn without_a_cloud_the_box_is_a_broker_that_counts() {
    let mut site = Site::new(Config { cloud: None, ..Config::default() });
    let line = site.client("c");
    assert_eq!(site.gateway.requests(), []);
    site.ask(line, publish(0x32, "t", 1, b"x"));
    assert_eq!(site.gateway.queued(), 1);
    site.pass(60_000);
    assert_eq!((site.gateway.queued(), site.count("t")), (0, (1, 0, 0)));
    assert_eq!(site.gateway.deadline(), None);
}

// ---- restarts and faults -----------------------------------------------------------------------

#[test]
fn a_restart_cuts_everybody_off_and_forgets_as_configured() {
    for remembers in [false, true] {
        let survives = Survives { sessions: remembers, retained: remembers, queue: remembers };
        let mut site = Site::new(Config { survives, boot: 30_000, ..Config::default() });
        let (line, _) = site.keeper("k");
        site.ask(line, subscribe(1, &[("t", 1)]));
        site.ask(line, publish(0x33, "t", 1, b"x"));
        assert_eq!(site.gateway.queued(), 1);
        site.pass(40_000);
        site.gateway.restart(site.now);
        assert!(site.gateway.hung_up(line));
        assert_eq!(site.gateway.accept(site.now), None);
        // The queue is old enough while the box boots, and goes out when it runs.
        site.pass(29_999);
        site.gateway.set_sky(site.now, true);
        site.exchange();
        assert_eq!((site.gateway.accept(site.now), site.cloud().len()), (None, 0));
        site.pass(1);
        assert_eq!(site.cloud().len(), usize::from(remembers));
        let (line, heard) = site.keeper("k");
        let expected = match remembers {
            true => vec![CONNACK_PRESENT.to_vec(), publish(0x3A, "t", 1, b"x")],
            false => vec![CONNACK.to_vec()],
        };
        assert_eq!(heard, expected);
        let heard = site.ask(line, subscribe(2, &[("#", 0)]));
        assert_eq!(heard.len(), if remembers { 2 } else { 1 });
    }
}

#[test]
fn faults_of_the_line() {
    let hello = connect("c", CLEAN, 0, &[]);
    // Bytes to the host, then bytes from the host; packets are as long as the standard says.
    for (fault, heard, open) in [
        (Fault::CutTx(3), &CONNACK[..3], false),
        (Fault::CutRx(hello.len() as u64), &[][..], false),
        (Fault::CutRx(hello.len() as u64 - 1), &[], false),
        (Fault::Lost(1), &[], false),
        (Fault::Silent(0), &[], true),
        (Fault::Silent(1), CONNACK, true),
        (Fault::Drop(1), &[2, 0, 0, 0xD0, 0], true),
        (Fault::RxDrop(1), &[], false),
        (Fault::Reboot(2), &[0x20, 2], false),
        (Fault::Twice(1), &[0x20, 2, 0, 0, 0x20, 2, 0, 0, 0xD0, 0], true),
        (Fault::Short(1), &[0x20, 1, 0, 0xD0, 0], true),
        (Fault::Storm(3), &[0x20, 2, 0, 0, 0xD0, 0], true),
    ] {
        let mut site = Site::with_faults(&[fault]);
        let line = site.dial();
        site.send(line, [&hello, PINGREQ].concat());
        assert_eq!(site.bytes(line), heard, "{fault}");
        assert_eq!(site.gateway.hung_up(line), !open, "{fault}");
        if !open {
            // Each strikes once: the next connection is a good one.
            let line = site.dial();
            assert_eq!(site.ask(line, &hello), [CONNACK], "{fault}");
        }
    }
    let mut site = Site::with_faults(&[Fault::Garble(1), Fault::Insert(9)]);
    let line = site.dial();
    site.send(line, [&hello, PINGREQ, PINGREQ, PINGREQ].concat());
    let heard = site.bytes(line);
    assert_eq!((heard.len(), heard[0] != 0x20), (11, true));
}

#[test]
fn faults_of_acknowledgements() {
    for (fault, expected) in [
        (Fault::WrongId(2), &[[0x90, 4, 0, 6, 1, 1].to_vec()][..]),
        (Fault::Short(2), &[[0x90, 3, 0, 5, 1].to_vec()]),
        (Fault::Twice(2), &[[0x90, 4, 0, 5, 1, 1].to_vec(), [0x90, 4, 0, 5, 1, 1].to_vec()]),
    ] {
        let mut site = Site::with_faults(&[fault]);
        let line = site.client("c");
        let heard = site.ask(line, subscribe(5, &[("a", 1), ("b", 1)]));
        assert_eq!(heard, expected, "{fault}");
        assert_eq!(site.ask(line, publish(0x32, "x", 7, b"")), [ack(PUBACK, 7)]);
    }
    let mut site = Site::with_faults(&[Fault::WrongId(2)]);
    let line = site.client("c");
    assert_eq!(site.ask(line, publish(0x32, "x", 7, b"")), [ack(PUBACK, 8)]);
}

#[test]
fn a_silent_box_neither_delivers_nor_hangs_up_until_it_restarts() {
    let faults = vec![Fault::Silent(2)];
    let mut site = Site::new(Config { faults, ..open_to_all() });
    let line = site.dial();
    site.ask(line, connect("c", CLEAN, 10, &[]));
    site.ask(line, subscribe(1, &[("#", 0)]));
    assert_eq!(site.ask(line, PINGREQ), none());
    site.broker.publish(b"iot/ACCOUNT-ID/t", b"x", false);
    site.pass(1_000_000);
    assert_eq!((site.hear(line), site.count("t")), (none(), (0, 0, 0)));
    assert!(!site.gateway.hung_up(line));
    let next = site.dial();
    assert_eq!(site.ask(next, connect("d", CLEAN, 0, &[])), none());
    site.gateway.restart(site.now);
    site.client("c");
}

#[test]
fn answers_may_come_late() {
    let mut site = Site::new(Config { answer: 700, cloud: None, ..Config::default() });
    let line = site.dial();
    assert_eq!(site.ask(line, connect("c", CLEAN, 0, &[])), none());
    assert_eq!(site.gateway.deadline(), Some(700));
    site.pass(699);
    assert_eq!(site.hear(line), none());
    site.pass(1);
    assert_eq!(site.hear(line), [CONNACK]);
}

/// Two hosts that talk sense and nonsense while sky, cloud and connections come and go.
fn ramble(seed: u64, all_at_once: bool) -> (Vec<Vec<u8>>, Counters) {
    let mut dice = crate::fault::Dice::new(seed);
    let queue = Queue { max_size: 20, ttl_s: Some(50), overflow: Some(60), ..Queue::default() };
    let survives = Survives { sessions: dice.roll(2) == 0, retained: true, queue: true };
    let mut site = Site::new(Config { queue, survives, boot: 500, ..open_to_all() });
    let mut lines = [site.dial(), site.dial()];
    let mut heard = vec![Vec::new(), Vec::new()];
    for _ in 0..400 {
        let host = dice.roll(2) as usize;
        let id = 1 + dice.roll(3) as u8;
        let topic = ["t/a", "t/b", "x"][dice.roll(3) as usize];
        let qos = dice.roll(3) as u8;
        let piece = match dice.roll(16) {
            0 => vec![dice.roll(256) as u8],
            1 | 2 => connect(["k", "l"][host], CLEAN * dice.roll(2) as u8, qos.into(), &[]),
            3 => connect("l", WILL, 1, &[topic.as_bytes(), b"will"]),
            4 => DISCONNECT.to_vec(),
            5 | 6 => subscribe(id, &[(topic, qos), ("t/+", 2 - qos)]),
            7 => unsubscribe(id, &[topic]),
            8 | 9 => publish(0x30 | qos << 1 | dice.roll(2) as u8, topic, id, b"payload"),
            10 => PINGREQ.to_vec(),
            other => ack([PUBACK, PUBREC, PUBREL, PUBCOMP, PUBREL][other as usize - 11], id),
        };
        match all_at_once {
            true => site.send(lines[host], piece),
            false => piece.iter().for_each(|byte| site.send(lines[host], [*byte])),
        }
        match dice.roll(20) {
            0 => site.broker.publish(b"iot/ACCOUNT-ID/t/a", b"down", dice.roll(2) == 0),
            1 => site.broker.lose(0, 1),
            2 => site.gateway.set_sky(site.now, dice.roll(2) == 0),
            3 => site.gateway.hang_up(site.now, lines[host]),
            4 if dice.roll(8) == 0 => site.gateway.restart(site.now),
            5 => site.broker.fail_next(29),
            _ => {}
        }
        site.exchange();
        for (line, heard) in lines.iter_mut().zip(&mut heard) {
            heard.extend(site.bytes(*line));
            if site.gateway.hung_up(*line) {
                heard.push(0xEE);
                *line = site.gateway.accept(site.now).unwrap_or(*line);
            }
        }
        site.pass(dice.roll(1500));
    }
    (heard, site.gateway.counters().clone())
}

#[test]
fn whatever_happens_pieces_make_no_difference() {
    let mut sent = 0;
    for seed in 0..50 {
        let whole = ramble(seed, true);
        assert_eq!(whole, ramble(seed, false), "seed {seed}");
        sent += whole.1.imts;
    }
    assert!(sent > 50, "{sent}");
}

// ---- the view of one host ----------------------------------------------------------------------

#[test]
fn one_host_connects_again_to_the_same_box() {
    use crate::Modem as _;
    let mut modem = Modem::new(open_to_all());
    let mut broker = Loopback::new();
    broker.exchange(&mut modem, 0);
    modem.receive(0, &connect("k", 0, 0, &[]));
    modem.receive(0, &subscribe(1, &[("t", 1)]));
    assert_eq!(frames(&modem.transmit(0)), [CONNACK.to_vec(), vec![0x90, 3, 0, 1, 1]]);
    assert!(modem.is_connected(0) && !modem.hung_up());
    // The box closes it.
    modem.receive(0, &[0xFF]);
    assert!(modem.hung_up() && !modem.is_connected(0));
    broker.publish(b"iot/ACCOUNT-ID/t", b"x", false);
    broker.exchange(&mut modem, 5);
    modem.receive(5, &connect("k", 0, 0, &[]));
    assert!(modem.transmit(5).is_empty());
    modem.host_arrives(10);
    assert!(!modem.hung_up());
    modem.receive(10, &connect("k", 0, 0, &[]));
    let expected = [CONNACK_PRESENT.to_vec(), publish(0x32, "t", 1, b"x")];
    assert_eq!(frames(&modem.transmit(10)), expected);
    // It is cut.
    modem.lose(20, 0, 1);
    assert!(modem.hung_up());
    modem.host_arrives(30);
    modem.receive(30, &connect("k", 0, 0, &[]));
    assert_eq!(frames(&modem.transmit(30))[0], CONNACK_PRESENT);
    modem.reboot(40);
    assert!(modem.hung_up());
    modem.host_arrives(50);
    modem.receive(50, &connect("k", 0, 0, &[]));
    assert_eq!(modem.transmit(50), CONNACK);
}
