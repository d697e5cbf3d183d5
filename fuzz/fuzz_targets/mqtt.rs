//! MQTT 3.1.1 as the RockREMOTE's client speaks it: a broker's bytes are read
//! as `rumqttc` reads them, in any pieces, and whatever is heard and whenever
//! operations are begun or dropped, what goes out is MQTT, there is no panic
//! and no endless sending, and the machine comes to rest.

#![cfg_attr(fuzzing, no_main)]

use std::collections::BTreeSet;

use bytes::BytesMut;
use hayes::{
    Instant, Machine as _, Operation,
    mqtt::{ConnectOptions, LinkState, Publish, QoS, Subscription, TopicFilter, Will},
};
use hayes_iridium::rockremote::{self, Decoder, Machine, Part, Settings, Violation};
use rumqttc::{
    Packet,
    mqttbytes::{Error, v4::SubscribeReasonCode},
};

const LONGEST: usize = 268_435_455;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));

pub fn run(bytes: &[u8]) {
    differential(bytes);
    pieces(bytes);
    drive(bytes);
}

/// A packet, as the decoder tells it.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Packet(u8, Vec<u8>),
    Publish { qos: u8, retain: bool, dup: bool, topic: Vec<u8>, id: u16, payload: Vec<u8> },
}

/// The packets that `bytes` in pieces of `size` complete, and how they end.
fn read(bytes: &[u8], size: usize) -> (Vec<Read>, Result<(), Violation>) {
    let mut decoder = Decoder::new();
    let (mut all, mut open, mut left) = (Vec::new(), None, 0);
    for mut piece in bytes.chunks(size.max(1)) {
        loop {
            let part = match decoder.next(&mut piece) {
                Ok(Some(part)) => part,
                Ok(None) => break,
                Err(violation) => return (all, Err(violation)),
            };
            match (part, &mut open) {
                (Part::Packet(kind, body), None) => all.push(Read::Packet(kind, body.to_vec())),
                (Part::Publish(heading), None) => {
                    let rockremote::Heading { qos, retain, dup, topic, payload } = heading;
                    left = u32::from(topic) + payload;
                    let (topic, payload) = (Vec::new(), Vec::new());
                    open = Some(Read::Publish { qos, retain, dup, topic, id: 0, payload });
                }
                (Part::Topic(part), Some(Read::Publish { topic, .. })) => {
                    assert!(!part.is_empty());
                    left -= part.len() as u32;
                    topic.extend(part);
                }
                (Part::Id(number), Some(Read::Publish { id, .. })) => *id = number,
                (Part::Payload(part), Some(Read::Publish { payload, .. })) => {
                    assert!(!part.is_empty());
                    left -= part.len() as u32;
                    payload.extend(part);
                }
                (Part::End, Some(_)) => {
                    assert_eq!(left, 0, "another length than was announced");
                    all.extend(open.take());
                }
                (part, open) => panic!("{part:?} behind {open:?}"),
            }
        }
        assert!(piece.is_empty());
    }
    (all, Ok(()))
}

/// What `rumqttc` reads is what is read here, where the standard allows it.
fn differential(bytes: &[u8]) {
    let mut rest = BytesMut::from(bytes);
    loop {
        let from = bytes.len() - rest.len();
        let theirs = Packet::read(&mut rest, LONGEST);
        let frame = &bytes[from..bytes.len() - rest.len()];
        let ours = read(frame, frame.len());
        match theirs {
            Ok(packet) if is_allowed(&packet, frame) => {
                assert_eq!(ours, (vec![expected(&packet, frame)], Ok(())), "{packet:?}");
            }
            Ok(packet) => {
                assert!(ours.1.is_err(), "{packet:?} of {frame:x?} is {:?}", ours.0);
                return;
            }
            Err(Error::InsufficientBytes(_)) => {
                let (all, _) = read(&rest, rest.len());
                assert!(all.is_empty(), "{all:?} of {rest:x?}");
                return;
            }
            // Return codes are the session's affair here (3.2.2.3, 3.9.3).
            Err(Error::InvalidConnectReturnCode(_) | Error::InvalidSubscribeReasonCode(_)) => {
                return;
            }
            Err(error) => {
                // The remaining length is bad before there is a frame.
                let bytes = if frame.is_empty() { &rest } else { frame };
                let ours = read(bytes, bytes.len());
                assert!(ours.1.is_err(), "{error} in {bytes:x?} is {:?}", ours.0);
                return;
            }
        }
    }
}

/// Where `rumqttc` takes what the standard does not let a server send, or what
/// was never asked for.
fn is_allowed(packet: &Packet, frame: &[u8]) -> bool {
    let flags = frame[0] & 0xf;
    let (_, body) = body(frame);
    match packet {
        // 3.3.1-2, 4.7.3-1, 1.5.3-2, 3.3.2-2.
        Packet::Publish(message) => {
            let topic = &message.topic;
            (!message.dup || message.qos != rumqttc::QoS::AtMostOnce)
                && !topic.is_empty()
                && !topic.contains(['\0', '+', '#'])
        }
        // 2.2.2; no acknowledgement is longer (3.2 to 3.7).
        Packet::PubRel(_) => flags == 2 && body.len() == 2,
        Packet::ConnAck(_) | Packet::PubAck(_) | Packet::PubRec(_) | Packet::PubComp(_) => {
            flags == 0 && body.len() == 2
        }
        Packet::UnsubAck(_) => flags == 0 && body.len() == 2,
        // As many codes as filters (3.9.3), and no more than 16 are sent.
        Packet::SubAck(_) => flags == 0 && body.len() <= 18,
        Packet::PingResp => flags == 0 && body.is_empty(),
        // Only a client sends these (2.2.1).
        Packet::Connect(_)
        | Packet::Subscribe(_)
        | Packet::Unsubscribe(_)
        | Packet::PingReq
        | Packet::Disconnect => false,
    }
}

fn body(frame: &[u8]) -> (u8, &[u8]) {
    let length = frame[1..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    (frame[0] >> 4, &frame[1 + length..])
}

/// From what `rumqttc` says; the flags of CONNACK it does not tell all.
fn expected(packet: &Packet, frame: &[u8]) -> Read {
    let (kind, frame) = body(frame);
    let id = |id: u16| id.to_be_bytes().to_vec();
    let told = match packet {
        Packet::Publish(message) => {
            return Read::Publish {
                qos: message.qos as u8,
                retain: message.retain,
                dup: message.dup,
                topic: message.topic.clone().into_bytes(),
                id: message.pkid,
                payload: message.payload.to_vec(),
            };
        }
        Packet::ConnAck(ack) => {
            vec![frame[0] & 0xfe | u8::from(ack.session_present), ack.code as u8]
        }
        Packet::PubAck(ack) => id(ack.pkid),
        Packet::PubRec(ack) => id(ack.pkid),
        Packet::PubRel(ack) => id(ack.pkid),
        Packet::PubComp(ack) => id(ack.pkid),
        Packet::UnsubAck(ack) => id(ack.pkid),
        Packet::SubAck(ack) => {
            let codes = ack.return_codes.iter().map(|code| match code {
                SubscribeReasonCode::Success(qos) => *qos as u8,
                SubscribeReasonCode::Failure => 0x80,
            });
            id(ack.pkid).into_iter().chain(codes).collect()
        }
        _ => Vec::new(),
    };
    Read::Packet(kind, told)
}

type Modem = Machine<512>;

/// What a machine that is connected makes of `bytes` in reads of `size`.
fn events(bytes: &[u8], size: usize) -> (Vec<String>, Option<Violation>, Vec<u8>) {
    let now = Instant::default();
    let mut modem: Modem = rockremote::machine(Settings::new());
    let options = ConnectOptions::new(rockremote::HOST, rockremote::PORT, "id").unwrap();
    let connect = Operation::Connect(&options);
    modem.start(&connect, now).unwrap();
    let _ = take(&mut modem, Some(&connect), now, usize::MAX);
    modem.receive(b"\x20\x02\0\0", now);
    assert_eq!(modem.outcome(), Some(Ok(())));
    bytes.chunks(size).for_each(|piece| modem.receive(piece, now));
    let mut events = Vec::new();
    while let Some(event) = modem.event() {
        events.push(format!("{event:?}"));
    }
    let acks = take(&mut modem, None, now, usize::MAX);
    (events, modem.violation(), acks)
}

fn pieces(bytes: &[u8]) {
    let whole = read(bytes, bytes.len());
    let heard = events(bytes, bytes.len().max(1));
    for size in [1, 2, 7] {
        assert_eq!(whole, read(bytes, size));
        assert_eq!(heard, events(bytes, size));
    }
}

/// What is due, at most so many bytes.
fn take(
    modem: &mut Modem,
    operation: Option<&Operation<'_>>,
    now: Instant,
    most: usize,
) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < most {
        let Some(due) = modem.transmit(operation, now) else { break };
        assert!(!due.is_empty());
        let due = due.to_vec();
        // Asked again, it says the same.
        assert_eq!(modem.transmit(operation, now), Some(due.as_slice()));
        let count = due.len().min(most - all.len());
        all.extend_from_slice(&due[..count]);
        modem.sent(count);
        assert!(all.len() < 20_000, "sends without end");
    }
    all
}

/// What went out on one transport is CONNECT and whole packets behind it, only
/// the last of them unfinished.
fn assert_mqtt(wire: &[u8]) {
    let mut rest = BytesMut::from(wire);
    let (mut released, mut count) = (BTreeSet::new(), 0);
    loop {
        let packet = match Packet::read(&mut rest, LONGEST) {
            Ok(packet) => packet,
            Err(Error::InsufficientBytes(_)) => return,
            Err(error) => panic!("{error}: {wire:x?}"),
        };
        assert_eq!(matches!(packet, Packet::Connect(_)), count == 0, "{wire:x?}");
        count += 1;
        match packet {
            Packet::Publish(message) if message.qos == rumqttc::QoS::ExactlyOnce => {
                // 4.3.3-1: not again once it was released.
                assert!(!message.dup || !released.contains(&message.pkid), "{wire:x?}");
                released.remove(&message.pkid);
            }
            Packet::PubRel(release) => {
                released.insert(release.pkid);
            }
            Packet::Disconnect => assert!(rest.is_empty(), "{wire:x?}"),
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                panic!("{packet:?} is the server's")
            }
            _ => {}
        }
    }
}

/// Each byte is something that happens, the next says how much of it.
fn drive(bytes: &[u8]) {
    let will = Will::new("w", b"gone").unwrap();
    let options = ConnectOptions::new(rockremote::HOST, rockremote::PORT, "id").unwrap();
    let options = options.last_will(will).credentials("user", Some("password")).unwrap();
    let kept = options.clean_session(false);
    let payload = [7; 300];
    let small = Publish::new("t", b"x").unwrap();
    let large = Publish::new("t", &payload).unwrap();
    let qos = |message: Publish<'static>, qos| message.qos(qos);
    let (one, two) = (qos(small, QoS::AtLeastOnce), qos(small, QoS::ExactlyOnce));
    let (one_again, two_again) = (one.repeat(), two.repeat());
    let large_again = large.qos(QoS::ExactlyOnce).repeat();
    let filters = [Subscription::new("a/#", QoS::AtLeastOnce).unwrap(); 2];
    let topics = [TopicFilter::new("a/#").unwrap()];
    let operations = [
        Operation::Connect(&kept),
        Operation::Connect(&options),
        Operation::Publish(&small),
        Operation::Publish(&one),
        Operation::Publish(&two),
        Operation::Publish(&one_again),
        Operation::Publish(&two_again),
        Operation::Publish(&large_again),
        Operation::Subscribe(&filters),
        Operation::Unsubscribe(&topics),
        Operation::Disconnect,
    ];
    let mut modem: Modem = rockremote::machine(Settings::new());
    let (mut now, mut current, mut wire) = (0_u64, None, Vec::new());
    let mut rest = bytes.iter().copied();
    while let (Some(what), Some(much)) = (rest.next(), rest.next()) {
        let time = Instant::from_millis(now);
        let id = much & 7;
        match what % 16 {
            0..=3 if current.is_none() => {
                let operation = &operations[usize::from(much) % operations.len()];
                current = modem.start(operation, time).is_ok().then_some(operation);
            }
            4 => {
                modem.abandon(usize::from(much & 3).saturating_sub(1));
                current = None;
            }
            5 => {
                now = modem.deadline().map_or(now, |at| at.as_millis().max(now));
                modem.tick(Instant::from_millis(now));
                let next = modem.deadline().is_none_or(|at| at.as_millis() > now);
                assert!(next, "a deadline that passed stands");
            }
            6 => {
                now += u64::from(much) * 100;
                modem.tick(Instant::from_millis(now));
            }
            7 => while modem.event().is_some() {},
            8 => {
                let heard: Vec<u8> = rest.by_ref().take(usize::from(much & 31)).collect();
                modem.receive(&heard, time);
            }
            9 => {
                let session_present = much & 1;
                modem.receive(&[0x20, 2, session_present, 0], time);
            }
            10 => {
                let kinds = [0x40, 0x50, 0x62, 0x70, 0xb0];
                modem.receive(&[kinds[usize::from(much >> 3) % 5], 2, 0, id], time);
            }
            11 => modem.receive(&[0x90, 4, 0, id, 1, 0x80], time),
            12 => {
                let message = [0x30 | much >> 4 & 0xf, 6, 0, 1, b't', 0, id, b'x'];
                modem.receive(&message, time);
            }
            13 => {
                assert_mqtt(&wire);
                wire.clear();
                modem.opened();
                current = None;
            }
            14 => {
                modem.closed();
                current = None;
            }
            _ => wire.extend(take(&mut modem, current, time, usize::from(much))),
        }
        if what & 0x80 == 0 {
            wire.extend(take(&mut modem, current, Instant::from_millis(now), usize::MAX));
        }
        if modem.outcome().is_some() {
            current = None;
        }
        if let LinkState::Lost(_) | LinkState::Idle = modem.link() {
            assert!(modem.transmit(current, Instant::from_millis(now)).is_none(), "not silent");
            assert_eq!(modem.deadline(), None);
        }
    }
    modem.abandon(0);
    for _ in 0..10 {
        wire.extend(take(&mut modem, None, Instant::from_millis(now), usize::MAX));
        let Some(at) = modem.deadline() else { break };
        now = now.max(at.as_millis());
        modem.tick(Instant::from_millis(now));
    }
    assert_mqtt(&wire);
    assert!(modem.is_idle() && modem.deadline().is_none(), "does not come to rest");
}
