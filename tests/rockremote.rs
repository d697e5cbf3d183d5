//! The RockREMOTE's client under virtual time, against a broker of literal
//! bytes. Section numbers are those of MQTT 3.1.1.

use hayes::{
    Instant, Machine as _, Operation,
    mqtt::{
        Capabilities, Cause, Code, ConnectOptions, Credential, Error, Event, Feature, Field,
        FieldError, LinkState, Loss, Network, Problem, Publish, QoS, Session, Subscription, Tls,
        TopicFilter, Will,
    },
};
use hayes_iridium::rockremote::{self, HOST, Machine, PORT, Settings, Violation};
use hayes_transcript::{Item, parse};
use proptest::prelude::*;

const CONNACK: &[u8] = b"\x20\x02\0\0";
const RESUMED: &[u8] = b"\x20\x02\x01\0";
/// One message with QoS 0: `t`, `x`.
const MESSAGE: &[u8] = b"\x30\x04\0\x01tx";

/// A machine and its end of the wire.
#[derive(Clone)]
struct Rig<const INBOX: usize = 4096> {
    machine: Machine<INBOX>,
    now: u64,
    /// So many bytes the transport takes at once.
    step: usize,
}

fn options(id: &str) -> ConnectOptions<'_> {
    ConnectOptions::new(HOST, PORT, id).unwrap()
}

fn kept(id: &str) -> ConnectOptions<'_> {
    options(id).clean_session(false)
}

fn publish<'a>(topic: &'a str, payload: &'a [u8], qos: QoS) -> Publish<'a> {
    Publish::new(topic, payload).unwrap().qos(qos)
}

fn filter(filter: &str, qos: QoS) -> Subscription<'_> {
    Subscription::new(filter, qos).unwrap()
}

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

impl Rig {
    fn new() -> Self {
        Self::with(Settings::new())
    }

    /// Connected, in a session that the broker did not have.
    fn connected() -> Self {
        let mut rig = Self::new();
        rig.connect(&options("id"), CONNACK).unwrap();
        rig
    }

    /// The same, in a session that is kept.
    fn kept() -> Self {
        let mut rig = Self::new();
        rig.connect(&kept("id"), CONNACK).unwrap();
        rig
    }
}

impl<const INBOX: usize> Rig<INBOX> {
    fn with(settings: Settings) -> Self {
        Self { machine: rockremote::machine(settings), now: 1_000, step: usize::MAX }
    }

    fn time(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    fn begin(&mut self, operation: &Operation<'_>) -> Result<(), Error> {
        self.machine.start(operation, self.time())
    }

    /// Everything that is due, taken in steps.
    fn sends(&mut self, operation: Option<&Operation<'_>>) -> Vec<u8> {
        self.sends_at_most(operation, usize::MAX)
    }

    fn sends_at_most(&mut self, operation: Option<&Operation<'_>>, most: usize) -> Vec<u8> {
        let mut sent = Vec::new();
        while sent.len() < most {
            let now = self.time();
            let Some(due) = self.machine.transmit(operation, now) else { break };
            let due = due.to_vec();
            assert!(!due.is_empty());
            // Asked again, it says the same.
            assert_eq!(self.machine.transmit(operation, now), Some(due.as_slice()));
            let count = due.len().min(self.step).min(most - sent.len());
            sent.extend_from_slice(&due[..count]);
            self.machine.sent(count);
            assert!(sent.len() < 1_000_000, "sends without end");
        }
        // Whoever writes asks until there is nothing, or has to wait.
        let _ = self.machine.transmit(operation, self.time());
        sent
    }

    fn hears(&mut self, bytes: &[u8]) {
        let now = self.time();
        self.machine.receive(bytes, now);
    }

    /// So many milliseconds pass; says what was sent when.
    fn waits(&mut self, operation: Option<&Operation<'_>>, ms: u64) -> Vec<(u64, Vec<u8>)> {
        let (from, end) = (self.now, self.now + ms);
        let mut sent = Vec::new();
        loop {
            let due = self.sends(operation);
            if !due.is_empty() {
                sent.push((self.now - from, due));
            }
            let at = self.machine.deadline().map(Instant::as_millis).filter(|at| *at <= end);
            let Some(at) = at else { break };
            self.now = self.now.max(at);
            self.machine.tick(self.time());
            let next = self.machine.deadline().map(Instant::as_millis);
            let moves = next.is_none_or(|next| next > at);
            assert!(moves, "a deadline that passed stands");
        }
        self.now = end;
        sent
    }

    /// Runs an operation that is answered at once; its bytes and its outcome.
    fn run(
        &mut self,
        operation: &Operation<'_>,
        answer: &[u8],
    ) -> (Vec<u8>, Option<Result<(), Error>>) {
        if let Err(error) = self.begin(operation) {
            assert_eq!(self.sends(Some(operation)), b"", "refused, and sent");
            return (Vec::new(), Some(Err(error)));
        }
        let sent = self.sends(Some(operation));
        self.hears(answer);
        (sent, self.machine.outcome())
    }

    fn connect(&mut self, options: &ConnectOptions<'_>, answer: &[u8]) -> Result<(), Error> {
        self.run(&Operation::Connect(options), answer).1.unwrap()
    }

    /// On a new transport.
    fn reconnect(&mut self, options: &ConnectOptions<'_>, answer: &[u8]) {
        self.machine.opened();
        self.connect(options, answer).unwrap();
    }

    fn publishes(&mut self, message: &Publish<'_>) -> Vec<u8> {
        let operation = Operation::Publish(message);
        self.begin(&operation).unwrap();
        self.sends(Some(&operation))
    }

    fn events(&mut self) -> Vec<String> {
        let mut events = Vec::new();
        while self.machine.has_event() {
            events.push(match self.machine.event().expect("it has one") {
                Event::Message(message) => {
                    let (topic, payload) = (message.topic_str().unwrap(), message.payload);
                    let delivery = message.delivery.unwrap();
                    let flag = |yes, name| if yes { name } else { "" };
                    format!(
                        "{topic}={} {}{}{}",
                        payload.escape_ascii(),
                        delivery.qos.level(),
                        flag(delivery.retained, "r"),
                        flag(delivery.duplicate, "d"),
                    )
                }
                other => format!("{other:?}"),
            });
        }
        assert_eq!(self.machine.event(), None);
        events
    }

    /// Nothing is sent, heard or waited for any more.
    fn assert_deaf(&mut self) {
        self.hears(MESSAGE);
        assert_eq!(self.events(), [""; 0]);
        assert_eq!(self.sends(None), b"");
        assert_eq!(self.machine.deadline(), None);
        assert!(self.machine.is_idle());
    }
}

fn message_qos2(id: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    [&[0x34, payload.len() as u8 + 5, 0, 1, b't', high, low], payload].concat()
}

fn message_qos1(id: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = message_qos2(id, payload);
    message[0] = 0x32;
    message
}

fn ack(kind: u8, id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [kind, 2, high, low]
}

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

// ---- the dialogue -------------------------------------------------------------

#[test]
fn each_operation_has_its_packets() {
    for step in [1, 2, 3, usize::MAX] {
        let mut rig = Rig::new();
        rig.step = step;
        let network = Network::new();
        assert_eq!(rig.run(&Operation::BringUp(&network), b""), (vec![], Some(Ok(()))));
        let options = options("id").keep_alive(10);
        let (sent, outcome) = rig.run(&Operation::Connect(&options), CONNACK);
        assert_eq!(sent, b"\x10\x0e\0\x04MQTT\x04\x02\0\x0a\0\x02id");
        assert_eq!(outcome, Some(Ok(())));
        assert_eq!(rig.machine.session(), Session::New);
        assert_eq!(rig.machine.link(), LinkState::Connected);
        let status = rig.machine.status();
        assert_eq!((status.link, status.connected), (LinkState::Connected, Some(true)));

        let message = publish("a/b", b"\0\xff", AtMostOnce);
        let (sent, outcome) = rig.run(&Operation::Publish(&message), b"");
        assert_eq!((sent.as_slice(), outcome), (&b"\x30\x07\0\x03a/b\0\xff"[..], Some(Ok(()))));

        let message = message.qos(AtLeastOnce).retain(true);
        let (sent, outcome) = rig.run(&Operation::Publish(&message), &ack(PUBACK, 1));
        assert_eq!(sent, b"\x33\x09\0\x03a/b\0\x01\0\xff");
        assert_eq!(outcome, Some(Ok(())));

        let message = publish("a/b", b"", ExactlyOnce);
        let operation = Operation::Publish(&message);
        let (sent, outcome) = rig.run(&operation, &ack(PUBREC, 2));
        assert_eq!((sent.as_slice(), outcome), (&b"\x34\x07\0\x03a/b\0\x02"[..], None));
        assert!(!rig.machine.is_idle());
        assert_eq!(rig.sends(Some(&operation)), ack(PUBREL, 2));
        assert_eq!(rig.machine.outcome(), None);
        assert!(!rig.machine.is_idle());
        rig.hears(&ack(PUBCOMP, 2));
        assert_eq!(rig.machine.outcome(), Some(Ok(())));
        assert!(rig.machine.is_idle());

        let filters = [filter("a/#", ExactlyOnce), filter("+", AtMostOnce)];
        let (sent, outcome) = rig.run(&Operation::Subscribe(&filters), b"\x90\x04\0\x03\x01\0");
        assert_eq!(sent, b"\x82\x0c\0\x03\0\x03a/#\x02\0\x01+\0");
        assert_eq!(outcome, Some(Ok(())));
        assert_eq!(rig.machine.granted().qos(0), Some(AtLeastOnce));
        assert_eq!(rig.machine.granted().qos(1), Some(AtMostOnce));

        let filters = ["a/#", "+"].map(|filter| TopicFilter::new(filter).unwrap());
        let (sent, outcome) = rig.run(&Operation::Unsubscribe(&filters), b"\xb0\x02\0\x04");
        assert_eq!(sent, b"\xa2\x0a\0\x04\0\x03a/#\0\x01+");
        assert_eq!(outcome, Some(Ok(())));

        let sent = rig.waits(None, 7_500);
        assert_eq!(sent, [(7_500, b"\xc0\0".to_vec())]);
        rig.hears(b"\xd0\0");
        assert_eq!(rig.run(&Operation::Status, b""), (vec![], Some(Ok(()))));
        let (sent, outcome) = rig.run(&Operation::Disconnect, b"");
        assert_eq!((sent.as_slice(), outcome), (&b"\xe0\0"[..], Some(Ok(()))));
        assert_eq!(rig.machine.link(), LinkState::Idle);
        rig.assert_deaf();
        assert_eq!(rig.run(&Operation::Disconnect, b""), (vec![], Some(Ok(()))));
    }
}

#[test]
fn messages_come_in_with_how_they_were_delivered_and_are_acknowledged_in_order() {
    let mut rig = Rig::connected();
    rig.hears(b"\x31\x04\0\x01tx");
    rig.hears(b"\x3a\x06\0\x01t\0\x07y");
    rig.hears(b"\x35\x05\0\x01t\0\x08");
    assert_eq!(rig.sends(None), [ack(PUBACK, 7), ack(PUBREC, 8)].concat());
    rig.hears(&ack(PUBREL, 8));
    assert_eq!(rig.sends(None), ack(PUBCOMP, 8));
    assert_eq!(rig.events(), ["t=x 0r", "t=y 1d", "t= 2r"]);
}

// 3.2.2.3; cause as the table of `Cause` says.
const REFUSALS: &[(u8, Cause)] = &[
    (1, Cause::ProtocolVersion),
    (2, Cause::Identifier),
    (3, Cause::ServerUnavailable),
    (4, Cause::Credentials),
    (5, Cause::NotAuthorized),
];

#[test]
fn a_connect_is_refused_with_its_code() {
    for (code, cause) in REFUSALS {
        let mut rig = Rig::new();
        let Err(Error::Refused(refusal)) = rig.connect(&options("id"), &[0x20, 2, 0, *code]) else {
            panic!("{code}");
        };
        assert_eq!(refusal.command, "CONNECT");
        assert_eq!((refusal.code, refusal.cause), (Code::Vendor((*code).into()), *cause));
        assert_eq!(rig.machine.link(), LinkState::Idle);
        rig.assert_deaf();
        assert_eq!(rig.connect(&options("id"), CONNACK), Err(Error::TransportUsed));
        rig.reconnect(&options("id"), CONNACK);
    }
}

#[test]
fn a_refused_filter_is_told_and_the_others_stand() {
    let mut rig = Rig::connected();
    let filters = ["a", "b", "c"].map(|one| filter(one, ExactlyOnce));
    let (_, outcome) = rig.run(&Operation::Subscribe(&filters), b"\x90\x05\0\x01\x02\x80\0");
    let Some(Err(Error::Refused(refusal))) = outcome else { panic!("{outcome:?}") };
    assert_eq!((refusal.command, refusal.code), ("SUBSCRIBE", Code::Vendor(0x80)));
    let granted = rig.machine.granted();
    assert_eq!([0, 1, 2].map(|at| granted.qos(at)), [Some(ExactlyOnce), None, Some(AtMostOnce)]);
    assert!(granted.is_refused(1));
    assert_eq!(rig.machine.link(), LinkState::Connected);
}

#[test]
fn session_present_is_reported() {
    let mut rig = Rig::new();
    rig.connect(&kept("id"), RESUMED).unwrap();
    assert_eq!(rig.machine.session(), Session::Resumed);
    rig.reconnect(&kept("id"), CONNACK);
    assert_eq!(rig.machine.session(), Session::New);
}

// ---- limits -------------------------------------------------------------------

#[test]
fn what_the_gateway_would_drop_is_refused_before_a_byte_goes_out() {
    let mut rig = Rig::connected();
    let too_long = |field, max, actual| {
        Some(Err(Error::Field(FieldError { field, problem: Problem::TooLong { max, actual } })))
    };
    let payload = vec![b'x'; 90_001];
    // 50 characters of two bytes each.
    let topic = "ä".repeat(50);
    let longer = topic.clone() + "a";
    for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
        let message = publish(&longer, b"", qos);
        let refused = rig.run(&Operation::Publish(&message), b"").1;
        assert_eq!(refused, too_long(Field::Topic, 100, 101));
        let message = publish(&topic, &payload, qos);
        let refused = rig.run(&Operation::Publish(&message), b"").1;
        assert_eq!(refused, too_long(Field::Payload, 90_000, 90_001));
    }
    let message = publish(&topic, &payload[..90_000], AtMostOnce);
    let (sent, outcome) = rig.run(&Operation::Publish(&message), b"");
    assert_eq!((sent.len(), outcome), (1 + 3 + 2 + 100 + 90_000, Some(Ok(()))));
    // A filter is not a topic that the gateway stores.
    let filters = [filter(&longer, AtMostOnce)];
    assert_eq!(rig.run(&Operation::Subscribe(&filters), b"\x90\x03\0\x01\0").1, Some(Ok(())));

    let connect = |options: &ConnectOptions<'_>| {
        let mut rig = Rig::new();
        let refused = rig.run(&Operation::Connect(options), CONNACK).1;
        // The transport is as good as before.
        let again = rig.connect(&self::options("id"), CONNACK);
        (refused, again)
    };
    let will = |topic, payload| options("id").last_will(Will::new(topic, payload).unwrap());
    let refused = connect(&will(&longer, b""));
    assert_eq!(refused, (too_long(Field::WillTopic, 100, 101), Ok(())));
    // A will's length has two bytes (3.1.3.3), so the gateway's limit is beyond it.
    let refused = connect(&will(&topic, &payload[..65_536]));
    assert_eq!(refused, (too_long(Field::WillPayload, 65_535, 65_536), Ok(())));
    let mut rig = Rig::new();
    rig.connect(&will(&topic, &payload[..65_535]), CONNACK).unwrap();

    let tls = options("id").tls(Tls::with_ca(Credential::Stored("ca.pem")));
    assert_eq!(connect(&tls), (Some(Err(Error::Unsupported(Feature::Tls))), Ok(())));
    for port in [0, 1882, 8883] {
        let problem = Problem::MustBe { only: 1883, actual: port.into() };
        let refused = Some(Err(Error::Field(FieldError { field: Field::Port, problem })));
        let options = ConnectOptions::new(HOST, port, "id").unwrap();
        assert_eq!(connect(&options), (refused, Ok(())));
        let mut rig = Rig::<256>::with(Settings::new().any_port(true));
        assert_eq!(rig.connect(&options, CONNACK), Ok(()));
    }
    // 3.1.3-8: a server may refuse it.
    let empty = Error::Field(FieldError { field: Field::ClientId, problem: Problem::Empty });
    assert_eq!(connect(&kept("")).0, Some(Err(empty)));
    assert_eq!(Rig::new().connect(&options(""), CONNACK), Ok(()));
}

#[test]
fn between_one_and_sixteen_filters_go_into_one_packet() {
    let mut rig = Rig::connected();
    let filters = [filter("f", AtMostOnce); 17];
    let topics = [TopicFilter::new("f").unwrap(); 17];
    let refused = |problem| Some(Err(Error::Field(FieldError { field: Field::Filters, problem })));
    let empty = refused(Problem::Empty);
    let many = refused(Problem::TooLong { max: 16, actual: 17 });
    assert_eq!(rig.run(&Operation::Subscribe(&[]), b"").1, empty);
    assert_eq!(rig.run(&Operation::Unsubscribe(&[]), b"").1, empty);
    assert_eq!(rig.run(&Operation::Subscribe(&filters), b"").1, many);
    assert_eq!(rig.run(&Operation::Unsubscribe(&topics), b"").1, many);
    let granted = [&b"\x90\x12\0\x01"[..], &[2; 16]].concat();
    let (sent, outcome) = rig.run(&Operation::Subscribe(&filters[..16]), &granted);
    assert_eq!((sent.len(), outcome), (2 + 2 + 16 * 4, Some(Ok(()))));
    assert_eq!(rig.machine.granted().qos(15), Some(ExactlyOnce));
}

#[test]
fn what_the_box_does_not_have_is_refused() {
    let mut rig = Rig::new();
    let able = rig.machine.capabilities();
    assert!(!able.intersects(Capabilities::TLS | Capabilities::FILES));
    assert_eq!(rig.machine.select(1), Err(Error::Unsupported(Feature::SecondSession)));
    let files = Some(Err(Error::Unsupported(Feature::Files)));
    assert_eq!(rig.run(&Operation::Delete("ca.pem"), b"").1, files);
    let message = publish("t", b"", AtMostOnce);
    let filters = [filter("t", AtMostOnce)];
    for operation in [Operation::Publish(&message), Operation::Subscribe(&filters)] {
        assert_eq!(rig.run(&operation, b"").1, Some(Err(Error::NotConnected)));
    }
}

#[test]
fn a_transport_carries_one_connection() {
    let mut rig = Rig::connected();
    assert_eq!(rig.connect(&options("id"), CONNACK), Err(Error::TransportUsed));
    // The connection that it carries is none the worse.
    assert_eq!(rig.machine.link(), LinkState::Connected);
    rig.run(&Operation::Disconnect, b"").1.unwrap().unwrap();
    assert_eq!(rig.connect(&options("id"), CONNACK), Err(Error::TransportUsed));
    rig.reconnect(&options("id"), CONNACK);
    rig.machine.closed();
    assert_eq!(rig.connect(&options("id"), CONNACK), Err(Error::TransportUsed));
    assert_eq!(rig.events(), ["Lost { session: 0, loss: Closed(None) }"]);
    rig.reconnect(&options("id"), CONNACK);
}

// ---- time ---------------------------------------------------------------------

#[test]
fn a_ping_goes_out_after_three_quarters_of_the_keep_alive() {
    let mut rig = Rig::connected();
    assert_eq!(rig.waits(None, 44_999), []);
    // Whatever is sent postpones it (3.1.2.10); what is received does not.
    rig.publishes(&publish("t", b"", AtMostOnce));
    rig.machine.outcome().unwrap().unwrap();
    rig.waits(None, 30_000);
    rig.hears(MESSAGE);
    assert_eq!(rig.waits(None, 15_000), [(15_000, b"\xc0\0".to_vec())]);
    rig.now += 19_999;
    rig.hears(b"\xd0\0");
    assert_eq!(rig.waits(None, 45_000), [(45_000, b"\xc0\0".to_vec())]);

    let mut rig = Rig::new();
    rig.connect(&options("id").keep_alive(0), CONNACK).unwrap();
    assert_eq!(rig.waits(None, 1_000_000_000), []);
    assert_eq!(rig.machine.link(), LinkState::Connected);
}

#[test]
fn a_tick_before_its_time_changes_nothing() {
    let mut rig = Rig::connected();
    for wait in [44_999, 1, 19_999] {
        rig.machine.tick(rig.time());
        let ping = wait == 19_999;
        assert_eq!(rig.sends(None), if ping { &b"\xc0\0"[..] } else { b"" });
        rig.machine.tick(rig.time());
        assert_eq!(rig.machine.link(), LinkState::Connected);
        rig.now += wait;
    }
}

#[test]
fn a_missed_pingresp_ends_the_link() {
    let mut rig = Rig::connected();
    rig.waits(None, 45_000);
    rig.waits(None, 19_999);
    assert_eq!(rig.machine.link(), LinkState::Connected);
    rig.waits(None, 1);
    let lost = Loss::KeepAlive(None);
    assert_eq!(rig.machine.link(), LinkState::Lost(lost));
    assert_eq!(rig.events(), ["Lost { session: 0, loss: KeepAlive(None) }"]);
    let message = publish("t", b"", AtMostOnce);
    assert_eq!(rig.run(&Operation::Publish(&message), b"").1, Some(Err(Error::Lost(lost))));
    rig.assert_deaf();

    // The operation under way hears of it as well.
    let mut rig = Rig::<4096>::with(Settings::new().answer_timeout(50));
    rig.connect(&options("id"), CONNACK).unwrap();
    rig.waits(None, 45_000);
    let message = publish("t", b"", AtLeastOnce);
    rig.publishes(&message);
    rig.waits(Some(&Operation::Publish(&message)), 49_999);
    assert_eq!(rig.machine.outcome(), None);
    rig.now += 1;
    rig.machine.tick(rig.time());
    assert_eq!(rig.machine.outcome(), Some(Err(Error::Lost(lost))));
}

#[test]
fn a_ping_that_waits_behind_a_packet_is_not_missed() {
    let mut rig = Rig::new();
    rig.connect(&options("id").keep_alive(10), CONNACK).unwrap();
    let payload = vec![7; 50_000];
    let message = publish("t", &payload, AtLeastOnce);
    let operation = Operation::Publish(&message);
    rig.begin(&operation).unwrap();
    rig.sends_at_most(Some(&operation), 100);
    // The transport takes 1,000 bytes now and then; a ping gets due between.
    for _ in 0..40 {
        rig.now += 8_000;
        rig.machine.tick(rig.time());
        assert_eq!(rig.sends_at_most(Some(&operation), 1_000).len(), 1_000);
        assert_eq!(rig.machine.outcome(), None);
    }
    let rest = rig.sends(Some(&operation));
    assert_eq!(rest.len(), 1 + 3 + 3 + 2 + 50_000 - 40_100);
    rig.hears(&ack(PUBACK, 1));
    assert_eq!(rig.machine.outcome(), Some(Ok(())));
    assert_eq!(rig.machine.link(), LinkState::Connected);
}

#[test]
fn a_transport_that_takes_nothing_is_given_up_whatever_it_brings() {
    let payload = vec![7; 50_000];
    let message = publish("t", &payload, AtLeastOnce);
    for taken in [0, 1, 100, 1_000] {
        let mut rig = Rig::connected();
        let operation = Operation::Publish(&message);
        rig.begin(&operation).unwrap();
        rig.sends_at_most(Some(&operation), taken);
        for _ in 0..19 {
            rig.now += 1_000;
            rig.hears(MESSAGE);
            let now = rig.time();
            assert!(rig.machine.transmit(Some(&operation), now).is_some());
            rig.machine.sent(0);
            rig.machine.tick(now);
            assert_eq!(rig.machine.outcome(), None);
        }
        rig.now += 1_000;
        rig.machine.tick(rig.time());
        assert_eq!(rig.machine.outcome(), Some(Err(Error::NoResult("PUBLISH"))), "{taken}");
        assert_eq!(rig.machine.link(), LinkState::Lost(Loss::NoResult));
    }
    let mut rig = Rig::connected();
    rig.begin(&Operation::Disconnect).unwrap();
    rig.now += 20_000;
    rig.machine.tick(rig.time());
    assert_eq!(rig.machine.outcome(), Some(Err(Error::NoResult("DISCONNECT"))));
    // With no operation it is the ping that finds out.
    let mut rig = Rig::connected();
    rig.now += 45_000;
    rig.machine.tick(rig.time());
    rig.now += 20_000;
    rig.machine.tick(rig.time());
    assert_eq!(rig.machine.link(), LinkState::Lost(Loss::KeepAlive(None)));
}

#[test]
fn an_answer_that_is_late_is_not_credited_to_another() {
    let one = publish("t", b"1", AtLeastOnce);
    let two = publish("t", b"2", AtLeastOnce);
    let exact = publish("t", b"3", ExactlyOnce);
    let filters = [filter("f", AtMostOnce)];
    let topics = [TopicFilter::new("f").unwrap()];
    // Each row: operation, its name, its answer when it has the identifier.
    type Answer = fn(u16) -> Vec<u8>;
    let rows: [(Operation<'_>, &str, Answer); 4] = [
        (Operation::Publish(&one), "PUBLISH", |id| ack(PUBACK, id).into()),
        (Operation::Publish(&exact), "PUBLISH", |id| [ack(PUBREC, id), ack(PUBCOMP, id)].concat()),
        (Operation::Subscribe(&filters), "SUBSCRIBE", |id| vec![0x90, 3, 0, id as u8, 0]),
        (Operation::Unsubscribe(&topics), "UNSUBSCRIBE", |id| ack(0xb0, id).into()),
    ];
    for (operation, name, answer) in rows {
        for (next, _, next_answer) in rows {
            let mut rig = Rig::connected();
            rig.begin(&operation).unwrap();
            rig.waits(Some(&operation), 19_999);
            assert_eq!(rig.machine.outcome(), None);
            rig.waits(Some(&operation), 1);
            assert_eq!(rig.machine.outcome(), Some(Err(Error::NoResult(name))));
            assert_eq!(rig.machine.link(), LinkState::Connected);
            rig.begin(&next).unwrap();
            rig.sends(Some(&next));
            rig.hears(&answer(1));
            assert_eq!(rig.machine.outcome(), None, "{name}");
            rig.hears(&next_answer(2));
            assert_eq!(rig.machine.outcome(), Some(Ok(())), "{name}");
        }
    }
    // An answer of the right number and the wrong kind is none.
    let mut rig = Rig::connected();
    rig.publishes(&two);
    rig.hears(&[ack(PUBCOMP, 1), ack(0xb0, 1), ack(PUBACK, 2)].concat());
    rig.hears(b"\x90\x03\0\x01\0");
    assert_eq!(rig.machine.outcome(), None);
    let mut rig = Rig::connected();
    rig.publishes(&exact);
    rig.hears(&[ack(PUBACK, 1), ack(PUBCOMP, 1)].concat());
    assert_eq!(rig.machine.outcome(), None);
}

#[test]
fn a_broker_that_does_not_answer_connect_is_given_up() {
    let mut rig = Rig::new();
    let options = options("id");
    let connect = Operation::Connect(&options);
    rig.begin(&connect).unwrap();
    rig.waits(Some(&connect), 20_000);
    assert_eq!(rig.machine.outcome(), Some(Err(Error::NoResult("CONNECT"))));
    assert_eq!(rig.machine.link(), LinkState::Lost(Loss::NoResult));
    rig.hears(CONNACK);
    assert_eq!(rig.machine.link(), LinkState::Lost(Loss::NoResult));
    rig.assert_deaf();
    rig.reconnect(&options, CONNACK);
}

// ---- dropped futures ------------------------------------------------------------

#[test]
fn an_operation_may_be_dropped_after_any_byte() {
    let payload = [7; 300];
    let connect = kept("id").last_will(Will::new("w", &payload).unwrap());
    let small = publish("t", b"x", AtMostOnce);
    let large = publish("t", &payload, ExactlyOnce);
    let filters = [filter("f", AtMostOnce), filter("g", AtMostOnce)];
    let topics = [TopicFilter::new("f").unwrap()];
    let operations = [
        Operation::Connect(&connect),
        Operation::Publish(&small),
        Operation::Publish(&large),
        Operation::Subscribe(&filters),
        Operation::Unsubscribe(&topics),
        Operation::Disconnect,
    ];
    let mut places = 0;
    for operation in operations {
        let connecting = matches!(operation, Operation::Connect(_));
        let fresh = if connecting { Rig::new() } else { Rig::kept() };
        let whole = {
            let mut rig = fresh.clone();
            rig.begin(&operation).unwrap();
            rig.sends(Some(&operation))
        };
        let verb = operation.verb().name();
        for sent in 0..=whole.len() {
            for unsure in [0, 1, 200] {
                places += 1;
                let mut rig = fresh.clone();
                rig.begin(&operation).unwrap();
                // The last byte, too, is told of before the machine is asked again.
                assert_eq!(rig.sends_at_most(Some(&operation), sent), whole[..sent]);
                let now = rig.time();
                if rig.machine.transmit(Some(&operation), now).is_none() {
                    let ended = rig.machine.outcome().is_some();
                    let waits = rig.machine.deadline().is_some();
                    assert_eq!(sent, whole.len());
                    assert!(ended || waits, "{verb}");
                    if ended {
                        continue;
                    }
                }
                rig.machine.abandon(unsure);
                let context = format!("{verb} {sent} {unsure}");
                let half = unsure > 0 || 0 < sent && sent < whole.len();
                let useless = half || connecting && sent > 0;
                let mut expected = Vec::new();
                if sent > 0 || unsure > 0 {
                    expected.push(format!("Unknown({verb:?})"));
                }
                if useless && !connecting {
                    expected.push("Lost { session: 0, loss: Abandoned }".into());
                }
                assert_eq!(rig.events(), expected, "{context}");
                assert!(rig.machine.is_idle(), "{context}");
                assert_eq!(rig.sends(None), b"", "{context}");
                if useless {
                    let lost = LinkState::Lost(Loss::Abandoned);
                    assert_eq!(rig.machine.link(), lost, "{context}");
                    rig.hears(CONNACK);
                    rig.assert_deaf();
                    let again = rig.connect(&kept("id"), CONNACK);
                    assert_eq!(again, Err(Error::TransportUsed), "{context}");
                    rig.reconnect(&kept("id"), CONNACK);
                } else if connecting {
                    assert_eq!(rig.machine.link(), LinkState::Idle);
                    rig.connect(&kept("id"), CONNACK).unwrap();
                }
                let message = publish("next", b"", AtMostOnce);
                let (sent, outcome) = rig.run(&Operation::Publish(&message), b"");
                assert_eq!(sent, b"\x30\x06\0\x04next", "{context}");
                assert_eq!(outcome, Some(Ok(())), "{context}");
            }
        }
    }
    assert!(places > 1_000);
}

#[test]
fn a_publish_of_which_the_transport_took_nothing_was_never_sent() {
    let message = publish("t", b"x", ExactlyOnce);
    let mut rig = Rig::kept();
    let operation = Operation::Publish(&message);
    rig.begin(&operation).unwrap();
    assert!(rig.machine.transmit(Some(&operation), Instant::from_millis(0)).is_some());
    rig.machine.sent(0);
    rig.machine.abandon(0);
    assert_eq!(rig.events(), [""; 0]);
    assert_eq!(rig.machine.link(), LinkState::Connected);
    // 3.3.1-1: the first one is no duplicate.
    assert_eq!(rig.publishes(&message.repeat()), b"\x34\x06\0\x01t\0\x02x");
}

/// Nobody took its result: that the broker broke the protocol before it was sent.
#[test]
fn a_publish_that_failed_before_it_was_sent_is_not_unknown() {
    let message = publish("t", b"x", AtLeastOnce);
    let mut rig = Rig::connected();
    rig.begin(&Operation::Publish(&message)).unwrap();
    rig.hears(b"\0\0");
    rig.machine.abandon(0);
    assert!(rig.events().iter().all(|event| event.starts_with("Lost")));
}

#[test]
fn an_answer_counts_as_soon_as_the_transport_took_the_packet() {
    let large = [7; 300];
    let large = publish("t", &large, AtLeastOnce);
    let small = publish("t", b"x", AtLeastOnce);
    for message in [small, large] {
        let operation = Operation::Publish(&message);
        for early in [1, 0] {
            let mut rig = Rig::connected();
            rig.begin(&operation).unwrap();
            let now = rig.time();
            let mut left = message.payload.len() + if message.payload.len() > 1 { 8 } else { 7 };
            while left > early {
                let due = rig.machine.transmit(Some(&operation), now).unwrap().len();
                let count = due.min(left - early);
                rig.machine.sent(count);
                left -= count;
            }
            // A broker has nothing to acknowledge before the last byte.
            rig.hears(&ack(PUBACK, 1));
            assert_eq!(rig.machine.outcome(), (early == 0).then_some(Ok(())));
        }
    }
}

#[test]
fn an_acknowledgement_goes_on_where_it_was_when_nobody_waited() {
    for sent in 0..=4 {
        let mut rig = Rig::connected();
        rig.hears(&message_qos1(7, b""));
        let first = rig.sends_at_most(None, sent);
        rig.machine.abandon(0);
        assert_eq!(rig.machine.is_idle(), sent == 4);
        let rest = rig.sends(None);
        assert_eq!([first, rest].concat(), ack(PUBACK, 7), "{sent}");
        assert!(rig.machine.is_idle());
        assert_eq!(rig.machine.link(), LinkState::Connected);
    }
    // Unless it is not known how much of it is out.
    let mut rig = Rig::connected();
    rig.hears(&message_qos1(7, b""));
    assert!(rig.machine.transmit(None, Instant::from_millis(0)).is_some());
    rig.machine.abandon(4);
    assert_eq!(rig.machine.link(), LinkState::Lost(Loss::Abandoned));
}

#[test]
fn what_is_under_way_when_the_transport_ends_is_told_as_unknown() {
    let message = publish("t", b"x", AtLeastOnce);
    let mut rig = Rig::connected();
    rig.publishes(&message);
    rig.machine.closed();
    let expected = ["Unknown(\"publish\")", "Lost { session: 0, loss: Closed(None) }"];
    assert_eq!(rig.events(), expected);
    assert_eq!(rig.machine.outcome(), None);
    rig.assert_deaf();
    // A new transport means the same for the old one.
    let mut rig = Rig::connected();
    rig.publishes(&message);
    rig.machine.opened();
    assert_eq!(rig.events(), expected);
    // What was not begun is not unknown.
    let mut rig = Rig::connected();
    rig.begin(&Operation::Publish(&message)).unwrap();
    rig.machine.closed();
    assert_eq!(rig.events(), expected[1..]);
}

// ---- messages under way -----------------------------------------------------------

#[test]
fn acknowledgements_wait_for_the_end_of_a_packet_and_go_before_the_next() {
    let payload = vec![7; 90_000];
    let message = publish("t", &payload, AtLeastOnce);
    let operation = Operation::Publish(&message);
    for at in [0, 1, 4, 7, 9, 10, 500, 90_008] {
        let mut rig = Rig::connected();
        rig.begin(&operation).unwrap();
        let mut sent = Vec::new();
        if at > 0 {
            sent = rig.sends_at_most(Some(&operation), at);
        }
        for id in 1..=20 {
            rig.hears(&message_qos1(id, b"x"));
        }
        sent.extend(rig.sends(Some(&operation)));
        let acks: Vec<u8> = (1..=20).flat_map(|id| ack(PUBACK, id)).collect();
        let packet = [b"\x32\x95\xbf\x05\0\x01t\0\x01", payload.as_slice()].concat();
        let both = if at == 0 { [acks, packet] } else { [packet, acks] };
        assert!(sent == both.concat(), "{at}");
        rig.hears(&ack(PUBACK, 1));
        assert_eq!(rig.machine.outcome(), Some(Ok(())));
    }
}

#[test]
fn a_qos_2_message_is_delivered_once_until_it_is_released() {
    let mut rig = Rig::kept();
    rig.hears(&message_qos2(7, b"once"));
    rig.hears(&message_qos2(7, b"once"));
    assert_eq!(rig.sends(None), [ack(PUBREC, 7), ack(PUBREC, 7)].concat());
    // The session outlives the connection, and so does its memory.
    rig.reconnect(&kept("id"), RESUMED);
    let mut again = message_qos2(7, b"once");
    again[0] |= 8;
    rig.hears(&again);
    rig.hears(&ack(PUBREL, 7));
    assert_eq!(rig.sends(None), [ack(PUBREC, 7), ack(PUBCOMP, 7)].concat());
    rig.hears(&message_qos2(7, b"another"));
    let lost = "Lost { session: 0, loss: Closed(None) }";
    assert_eq!(rig.events(), ["t=once 2", lost, "t=another 2"]);
    // A broker that forgot the session uses the number for another message.
    rig.reconnect(&kept("id"), CONNACK);
    rig.hears(&message_qos2(7, b"a third"));
    assert_eq!(rig.events(), [lost, "t=a third 2"]);
}

#[test]
fn a_release_of_what_is_not_known_is_completed() {
    // 4.3.3: whoever it is for, the sender waits for it.
    let mut rig = Rig::connected();
    rig.hears(&[ack(PUBREL, 9), ack(PUBREC, 10)].concat());
    assert_eq!(rig.sends(None), [ack(PUBCOMP, 9), ack(PUBREL, 10)].concat());
    assert_eq!(rig.machine.link(), LinkState::Connected);
}

#[test]
fn a_repeated_publish_has_its_identifier_and_dup_in_the_same_session() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let message = publish("t", b"x", qos);
        let repeated = message.repeat();
        let flags = 0x30 | qos.level() << 1;
        let mut rig = Rig::kept();
        assert_eq!(rig.publishes(&message), [flags, 6, 0, 1, b't', 0, 1, b'x']);
        rig.machine.closed();
        rig.reconnect(&kept("id"), RESUMED);
        // Nothing of it is sent unless it is repeated.
        assert_eq!(rig.sends(None), b"");
        // Not even begun it keeps its number.
        rig.begin(&Operation::Publish(&repeated)).unwrap();
        rig.machine.abandon(0);
        assert_eq!(rig.publishes(&repeated), [flags | 8, 6, 0, 1, b't', 0, 1, b'x']);
        let finished = if qos == AtLeastOnce { vec![ack(PUBACK, 1)] } else { vec![] };
        let released =
            if qos == ExactlyOnce { vec![ack(PUBREC, 1), ack(PUBCOMP, 1)] } else { vec![] };
        rig.hears(&[finished, released].concat().concat());
        assert_eq!(rig.machine.outcome(), Some(Ok(())));
        rig.sends(None);
        // Finished, it is another message.
        assert_eq!(rig.publishes(&repeated), [flags, 6, 0, 1, b't', 0, 2, b'x']);
        // A broker that forgot the session gets it as a new one (3.3.1.1).
        rig.reconnect(&kept("id"), CONNACK);
        assert_eq!(rig.publishes(&repeated), [flags, 6, 0, 1, b't', 0, 3, b'x']);
    }
}

#[test]
fn a_released_message_is_released_again_and_not_published_again() {
    let message = publish("t", b"x", ExactlyOnce);
    let repeated = message.repeat();
    for repeats_first in [false, true] {
        let mut rig = Rig::kept();
        rig.publishes(&message);
        rig.hears(&ack(PUBREC, 1));
        rig.machine.closed();
        rig.reconnect(&kept("id"), RESUMED);
        if repeats_first {
            assert_eq!(rig.publishes(&repeated), ack(PUBREL, 1));
            assert_eq!(rig.machine.outcome(), None);
            rig.hears(&ack(PUBCOMP, 1));
        } else {
            assert_eq!(rig.sends(None), ack(PUBREL, 1));
            rig.hears(&ack(PUBCOMP, 1));
            assert_eq!(rig.publishes(&repeated), b"");
        }
        assert_eq!(rig.machine.outcome(), Some(Ok(())));
    }
}

#[test]
fn on_the_same_connection_a_repeat_waits_for_the_answer_that_is_owed() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let message = publish("t", b"x", qos);
        let repeated = message.repeat();
        let answers = match qos {
            AtLeastOnce => vec![ack(PUBACK, 1)],
            _ => vec![ack(PUBREC, 1), ack(PUBCOMP, 1)],
        };
        // So many answers come before it is repeated.
        for before in 0..=answers.len() {
            let mut rig = Rig::connected();
            rig.publishes(&message);
            rig.waits(Some(&Operation::Publish(&message)), 20_000);
            assert_eq!(rig.machine.outcome(), Some(Err(Error::NoResult("PUBLISH"))));
            rig.hears(&answers[..before].concat());
            let mut sent = rig.sends(None);
            sent.extend(rig.publishes(&repeated));
            rig.hears(&answers[before..].concat());
            sent.extend(rig.sends(Some(&Operation::Publish(&repeated))));
            assert_eq!(rig.machine.outcome(), Some(Ok(())), "{qos:?} {before}");
            let released = ack(PUBREL, 1);
            assert_eq!(sent, if qos == ExactlyOnce { &released[..] } else { b"" });
        }
    }
}

#[test]
fn an_acknowledged_message_is_not_published_again_even_in_a_new_session() {
    let message = publish("t", b"x", AtLeastOnce);
    let mut rig = Rig::connected();
    rig.publishes(&message);
    rig.machine.abandon(0);
    rig.hears(&ack(PUBACK, 1));
    rig.reconnect(&options("id"), CONNACK);
    assert_eq!(rig.publishes(&message.repeat()), b"");
    assert_eq!(rig.machine.outcome(), Some(Ok(())));
}

#[test]
fn a_broker_that_asks_for_the_release_first_gets_no_publish_after_it() {
    // 4.3.3-1: the PUBLISH must not be sent again once PUBREL was.
    let message = publish("t", b"x", ExactlyOnce);
    let repeated = message.repeat();
    let mut rig = Rig::kept();
    rig.publishes(&message);
    rig.reconnect(&kept("id"), RESUMED);
    let operation = Operation::Publish(&repeated);
    rig.begin(&operation).unwrap();
    assert!(rig.machine.transmit(Some(&operation), Instant::from_millis(0)).is_some());
    rig.hears(&ack(PUBREC, 1));
    assert_eq!(rig.sends(Some(&operation)), ack(PUBREL, 1));
    rig.hears(&ack(PUBCOMP, 1));
    assert_eq!(rig.machine.outcome(), Some(Ok(())));
}

#[test]
fn a_release_that_is_asked_for_within_a_packet_waits_for_its_end() {
    let message = publish("t", b"x", ExactlyOnce);
    let repeated = message.repeat();
    let operation = Operation::Publish(&repeated);
    for sent in 1..8 {
        let mut rig = Rig::kept();
        rig.publishes(&message);
        rig.reconnect(&kept("id"), RESUMED);
        rig.begin(&operation).unwrap();
        let mut all = rig.sends_at_most(Some(&operation), sent);
        rig.hears(&ack(PUBREC, 1));
        all.extend(rig.sends(Some(&operation)));
        let packet = b"\x3c\x06\0\x01t\0\x01x";
        assert_eq!(all, [&packet[..], &ack(PUBREL, 1)].concat(), "{sent}");
    }
}

#[test]
fn what_is_finished_or_promises_nothing_is_forgotten_first() {
    let [one, two, three, four, five] =
        [b"1", b"2", b"3", b"4", b"5"].map(|payload| publish("t", payload, AtLeastOnce));
    let plain = publish("t", b"0", AtMostOnce);
    let mut rig = Rig::kept();
    for message in [one, two, three, four] {
        rig.publishes(&message);
        rig.machine.abandon(0);
    }
    rig.hears(&ack(PUBACK, 2));
    rig.publishes(&five);
    rig.machine.abandon(0);
    for _ in 0..5 {
        let operation = Operation::Publish(&plain);
        rig.begin(&operation).unwrap();
        rig.sends_at_most(Some(&operation), 1);
        rig.machine.abandon(0);
        rig.reconnect(&kept("id"), RESUMED);
    }
    for (message, id) in [(one, 1), (three, 3), (four, 4), (five, 5)] {
        let packet = [0x3a, 6, 0, 1, b't', 0, id, b'0' + id];
        assert_eq!(rig.publishes(&message.repeat()), packet);
        rig.hears(&ack(PUBACK, id.into()));
        assert_eq!(rig.machine.outcome(), Some(Ok(())));
    }
}

#[test]
fn unfinished_messages_of_the_same_size_are_told_apart() {
    let messages = [b"1", b"2", b"3", b"4"].map(|payload| publish("t", payload, ExactlyOnce));
    let mut rig = Rig::kept();
    for message in &messages {
        rig.publishes(message);
        rig.machine.abandon(0);
    }
    rig.reconnect(&kept("id"), RESUMED);
    for (at, message) in messages.iter().enumerate() {
        let id = at as u8 + 1;
        let repeated = message.repeat();
        assert_eq!(rig.publishes(&repeated), [0x3c, 6, 0, 1, b't', 0, id, b'0' + id]);
        rig.hears(&[ack(PUBREC, id.into()), ack(PUBCOMP, id.into())].concat());
        assert_eq!(rig.machine.outcome(), Some(Ok(())));
        rig.sends(None);
    }
    // Another retain flag makes another message.
    rig.publishes(&messages[0]);
    rig.reconnect(&kept("id"), RESUMED);
    let retained = messages[0].retain(true).repeat();
    assert_eq!(rig.publishes(&retained), b"\x35\x06\0\x01t\0\x061");
}

#[test]
fn packet_identifiers_pass_over_those_in_use_and_zero() {
    let mut rig = Rig::connected();
    let lost = publish("t", b"lost", AtLeastOnce);
    rig.publishes(&lost);
    rig.machine.abandon(0);
    let message = publish("t", b"", AtLeastOnce);
    let next = (2..=u16::MAX).chain(2..=10);
    for id in next {
        let [high, low] = id.to_be_bytes();
        assert_eq!(rig.publishes(&message), [0x32, 5, 0, 1, b't', high, low]);
        rig.hears(&ack(PUBACK, id));
        assert_eq!(rig.machine.outcome(), Some(Ok(())));
    }
}

#[test]
fn a_whole_queue_may_be_under_way_at_once() {
    // Mosquitto 2.0.11 sends 20 more for each PUBCOMP.
    let mut rig = Rig::<65536>::with(Settings::new());
    rig.connect(&options("id"), CONNACK).unwrap();
    let large = vec![7; 90_000];
    let message = publish("t", &large, AtMostOnce);
    let operation = Operation::Publish(&message);
    rig.begin(&operation).unwrap();
    let mut sent = rig.sends_at_most(Some(&operation), 1_000);
    let ids = || (65_000..=u16::MAX).chain(1..=487);
    ids().for_each(|id| rig.hears(&message_qos2(id, b"")));
    sent.extend(rig.sends(Some(&operation)));
    let recs: Vec<u8> = ids().flat_map(|id| ack(PUBREC, id)).collect();
    assert!(sent.ends_with(&recs));
    ids().for_each(|id| rig.hears(&ack(PUBREL, id)));
    assert_eq!(rig.sends(None).len(), 1_023 * 4);
    assert_eq!(rig.events().len(), 1_023);
    assert_eq!(rig.machine.link(), LinkState::Connected);
}

#[test]
fn more_messages_at_once_than_can_be_remembered_end_the_link() {
    let mut rig = Rig::<65536>::with(Settings::new());
    rig.connect(&options("id"), CONNACK).unwrap();
    for id in 1..=1_024 {
        rig.hears(&message_qos2(id, b""));
        assert_eq!(rig.sends(None), ack(PUBREC, id));
    }
    assert_eq!(rig.machine.link(), LinkState::Connected);
    rig.hears(&message_qos2(1_025, b""));
    assert_eq!(rig.machine.violation(), Some(Violation::Window));
    let events = rig.events();
    assert_eq!(events.len(), 1_026);
    assert_eq!(events[1_024], "Dropped(Dropped { count: 1, bytes: 0, topic: Some([116]) })");
    rig.assert_deaf();
    // The same for acknowledgements that find no way out and no run.
    let mut rig = Rig::connected();
    (1..=32).for_each(|n| rig.hears(&message_qos1(2 * n, b"")));
    assert_eq!(rig.machine.violation(), None);
    rig.hears(&message_qos1(66, b""));
    assert_eq!(rig.machine.violation(), Some(Violation::Window));
}

#[test]
fn what_finds_no_room_is_announced_and_acknowledged_and_the_stream_stays_in_step() {
    for chunk in [1, 63, 100_000] {
        let mut rig = Rig::<512>::with(Settings::new());
        rig.connect(&options("id"), CONNACK).unwrap();
        // 90,000 bytes that look like packets: `t/big`, QoS 2, number 5.
        let look_alikes: Vec<u8> = b"\x30\x04\0\x01tx\xe0\0".repeat(11_250);
        let stream = [b"\x34\x99\xbf\x05\0\x05t/big\0\x05", &look_alikes[..], MESSAGE].concat();
        stream.chunks(chunk).for_each(|chunk| rig.hears(chunk));
        assert_eq!(rig.sends(None), ack(PUBREC, 5));
        let big =
            "Dropped(Dropped { count: 1, bytes: 90000, topic: Some([116, 47, 98, 105, 103]) })";
        assert_eq!(rig.events(), [big, "t=x 0"]);
        // Announced once, as it would have been delivered once.
        stream.chunks(chunk).for_each(|chunk| rig.hears(chunk));
        assert_eq!(rig.events(), ["t=x 0"]);
    }
    // What would fit, had the others been taken.
    let mut rig = Rig::<512>::with(Settings::new());
    rig.connect(&options("id"), CONNACK).unwrap();
    for id in 1..=8 {
        rig.hears(&message_qos1(id, &[b'x'; 100]));
        assert_eq!(rig.sends(None), ack(PUBACK, id));
    }
    let events = rig.events();
    let delivered = events.iter().filter(|event| event.starts_with("t=x")).count();
    let dropped = 8 - delivered;
    assert!(delivered >= 2);
    let told =
        format!("Dropped(Dropped {{ count: {dropped}, bytes: {}, topic: None }})", dropped * 100);
    assert_eq!(events.last(), Some(&told));
}

#[test]
fn a_message_that_is_cut_is_announced() {
    let mut rig = Rig::connected();
    rig.hears(b"\x30\x0a\0\x01tabc");
    rig.machine.closed();
    let cut = "Dropped(Dropped { count: 1, bytes: 7, topic: Some([116]) })";
    assert_eq!(rig.events(), [cut, "Lost { session: 0, loss: Closed(None) }"]);
    rig.reconnect(&options("id"), CONNACK);
    rig.hears(MESSAGE);
    assert_eq!(rig.events(), ["t=x 0"]);
}

// ---- broken input -----------------------------------------------------------------

// Bytes from a broker, what is wrong with them, and where that is said.
const BROKEN: &[(&[u8], Violation)] = &[
    (b"\0\0", Violation::PacketType),                          // 2.2.1
    (b"\x10\0", Violation::PacketType),                        // to the server only
    (b"\x82\0", Violation::PacketType),                        // to the server only
    (b"\xa2\0", Violation::PacketType),                        // to the server only
    (b"\xc0\0", Violation::PacketType),                        // to the server only
    (b"\xe0\0", Violation::PacketType),                        // to the server only
    (b"\xff\xff", Violation::PacketType),                      // 2.2.1
    (b"\x41\x02\0\x01", Violation::Flags),                     // 2.2.2
    (b"\x60\x02\0\x01", Violation::Flags),                     // 3.6.1
    (b"\x36\x06\0\x01t\0\x01x", Violation::Flags),             // 3.3.1-4
    (b"\x38\x04\0\x01tx", Violation::Flags),                   // 3.3.1-2
    (b"\x30\x80\x80\x80\x80\x01", Violation::RemainingLength), // 2.2.3
    (b"\x40\x03\0\x01\0", Violation::Length),                  // 3.4.1
    (b"\x50\x01\0", Violation::Length),                        // 3.5.1
    (b"\x62\0", Violation::Length),                            // 3.6.1
    (b"\x70\x84\x01\0\x01", Violation::Length),                // 3.7.1
    (b"\xb0\0", Violation::Length),                            // 3.11.1
    (b"\xd0\x01\0", Violation::Length),                        // 3.13.1
    (b"\x30\x03\0\x02t", Violation::Length),                   // 3.3.2.1
    (b"\x30\x03\0\0x", Violation::Topic),                      // 4.7.3-1
    (b"\x30\x04\0\x02t\0", Violation::Topic),                  // 1.5.3-2
    (b"\x30\x05\0\x03t/+", Violation::Topic),                  // 3.3.2-2
    (b"\x30\x05\0\x03\xed\xa0\x80", Violation::Topic),         // 1.5.3-1
    (b"\x32\x05\0\x01t\0\0", Violation::PacketId),             // 2.3.1-1
];

/// Only when connected: in place of CONNACK each is out of order.
const BROKEN_LATER: &[(&[u8], Violation)] = &[
    (b"\x40\x02\0\0", Violation::PacketId),         // 2.3.1-1
    (b"\x62\x02\0\0", Violation::PacketId),         // 2.3.1-1
    (b"\x90\x03\0\0\0", Violation::PacketId),       // 2.3.1-1
    (b"\x90\x04\0\x02\0\0", Violation::Length),     // 3.9.3: one code for a filter
    (b"\x90\x03\0\x02\x03", Violation::ReturnCode), // 3.9.3-2
    (b"\x90\x03\0\x02\x7f", Violation::ReturnCode), // 3.9.3-2
    (CONNACK, Violation::Order),                    // 3.2
];

const BROKEN_CONNACK: &[(&[u8], Violation)] = &[
    (b"\x20\x02\x02\0", Violation::ReturnCode), // 3.2.2.1: reserved bits
    (b"\x20\x02\0\x06", Violation::ReturnCode), // 3.2.2.3: reserved
    (b"\x20\x02\0\xff", Violation::ReturnCode), // 3.2.2.3: reserved
    (RESUMED, Violation::Order),                // 3.2.2-1: it was to be clean
    (MESSAGE, Violation::Order),                // 3.2-1
    (b"\x40\x02\0\x01", Violation::Order),      // 3.2-1
    (b"\xd0\0", Violation::Order),              // 3.2-1
];

/// `rig` hears `bytes` in pieces: the link is closed for this reason, whoever
/// waits is told, and nothing follows.
fn assert_broken(rig: &Rig, operation: Option<&Operation<'_>>, row: &(&[u8], Violation)) {
    let (bytes, violation) = row;
    for chunk in [1, 2, bytes.len()] {
        let mut rig = rig.clone();
        let connected = rig.machine.link() == LinkState::Connected;
        bytes.chunks(chunk).for_each(|chunk| rig.hears(chunk));
        let context = format!("{} {chunk} {operation:?}", bytes.escape_ascii());
        assert_eq!(rig.machine.violation(), Some(*violation), "{context}");
        assert_eq!(rig.machine.link(), LinkState::Lost(Loss::Protocol), "{context}");
        let outcome = operation.map(|_| Err(Error::Protocol(violation.name())));
        assert_eq!(rig.machine.outcome(), outcome, "{context}");
        let mut events = rig.events();
        events.retain(|event| !event.starts_with("Dropped"));
        let lost = connected.then_some("Lost { session: 0, loss: Protocol }");
        assert_eq!(events, Vec::from_iter(lost), "{context}");
        assert_eq!(rig.sends(operation), b"", "{context}");
        rig.assert_deaf();
        let refused = rig.connect(&options("id"), CONNACK);
        assert_eq!(refused, Err(Error::TransportUsed), "{context}");
        rig.reconnect(&options("id"), CONNACK);
        assert_eq!(rig.machine.violation(), None);
    }
}

#[test]
fn broken_packets_close_the_link_in_every_state() {
    let options = options("id");
    let connect = Operation::Connect(&options);
    let large = vec![7; 1_000];
    let message = publish("t", &large, ExactlyOnce);
    let publishing = Operation::Publish(&message);
    let filters = [filter("f", AtMostOnce)];
    let subscribe = Operation::Subscribe(&filters);

    let mut connecting = Rig::new();
    connecting.begin(&connect).unwrap();
    connecting.sends(Some(&connect));
    for row in BROKEN.iter().chain(BROKEN_CONNACK) {
        // A message is out of order before its topic can be wrong.
        let order = (row.0, Violation::Order);
        let late = matches!(row.1, Violation::Topic | Violation::PacketId) && row.0[3] > 0;
        assert_broken(&connecting, Some(&connect), if late { &order } else { row });
    }
    // The identifier of `subscribe` is 2.
    let mut idle = Rig::connected();
    idle.publishes(&publish("t", b"", AtLeastOnce));
    idle.hears(&ack(PUBACK, 1));
    idle.machine.outcome().unwrap().unwrap();
    let mut subscribing = idle.clone();
    subscribing.begin(&subscribe).unwrap();
    subscribing.sends(Some(&subscribe));
    let mut half_out = idle.clone();
    half_out.begin(&publishing).unwrap();
    half_out.sends_at_most(Some(&publishing), 500);
    let mut released = idle.clone();
    released.publishes(&message);
    released.hears(&ack(PUBREC, 2));
    // Behind a message, and behind one whose payload looks like a packet.
    let mut heard = idle.clone();
    heard.hears(b"\x30\x06\0\x01t\x62\x02\0");
    heard.events();
    for row in BROKEN {
        assert_broken(&idle, None, row);
        assert_broken(&subscribing, Some(&subscribe), row);
        assert_broken(&half_out, Some(&publishing), row);
        assert_broken(&released, Some(&publishing), row);
        assert_broken(&heard, None, row);
    }
    for row in BROKEN_LATER {
        assert_broken(&subscribing, Some(&subscribe), row);
    }
    assert_broken(&idle, None, &(CONNACK, Violation::Order));
    // A violation in the middle of a message announces what is lost with it.
    let mut rig = idle;
    rig.hears(b"\x32\x09\0\x01t");
    rig.hears(b"\0\0abcd");
    assert_eq!(rig.machine.violation(), Some(Violation::PacketId));
    let cut = "Dropped(Dropped { count: 1, bytes: 4, topic: Some([116]) })";
    assert_eq!(rig.events(), [cut, "Lost { session: 0, loss: Protocol }"]);
}

#[test]
fn a_connack_before_the_connect_is_out_is_out_of_order() {
    let mut rig = Rig::new();
    let options = options("id");
    let connect = Operation::Connect(&options);
    rig.begin(&connect).unwrap();
    rig.sends_at_most(Some(&connect), 5);
    assert_broken(&rig, Some(&connect), &(CONNACK, Violation::Order));
}

#[test]
fn secrets_are_not_in_debug() {
    let mut rig = Rig::new();
    let options = options("id").credentials("user", Some("s3cret")).unwrap();
    let connect = Operation::Connect(&options);
    rig.begin(&connect).unwrap();
    assert!(rig.machine.transmit(Some(&connect), Instant::from_millis(0)).is_some());
    let shown = format!("{:?}", rig.machine);
    // As text and as a list of numbers.
    assert!(!shown.contains("s3cret") && !shown.contains("115, 51, 99"), "{shown}");
}

// ---- captures -----------------------------------------------------------------------

/// The events of a capture in the words of its format, with the machine in the
/// host's place: each packet of the host has to be the one that it sends.
fn replay(items: &[Item], mut chunk: impl FnMut() -> usize) -> Vec<String> {
    let mut rig = Rig::new();
    let result = |name: &str, code: Option<i32>| {
        let code = code.map_or("null".into(), |code| code.to_string());
        format!("{{\"result\":\"{name}\",\"ok\":true,\"code\":{code}}}")
    };
    let with_user = options("dev1").credentials("username", Some("password")).unwrap();
    let hello = publish("this/is/my/topic", b"Hello World", AtMostOnce);
    let hello_retained = hello.qos(AtLeastOnce).retain(true);
    let filters = [filter("dn/#", AtLeastOnce)];
    let topics = [TopicFilter::new("dn/t1").unwrap()];
    let operations = [
        (Operation::Connect(&with_user), "CONNECT"),
        (Operation::Publish(&hello), "PUBLISH"),
        (Operation::Publish(&hello_retained), "PUBLISH"),
        (Operation::Subscribe(&filters), "SUBSCRIBE"),
        (Operation::Unsubscribe(&topics), "UNSUBSCRIBE"),
    ];
    let from_the_start = matches!(items.iter().find(|item| matches!(item, Item::Host(_))),
        Some(Item::Host(bytes)) if bytes[0] == 0x10);
    let mut next = operations.iter();
    if !from_the_start {
        // The numbers 1 and 2 were used before.
        rig.connect(&options("dev1"), CONNACK).unwrap();
        for id in 1..=2 {
            rig.run(&Operation::Subscribe(&filters), &[0x90, 3, 0, id, 1]).1.unwrap().unwrap();
        }
        next.nth(3);
    }
    let mut seen = Vec::new();
    let mut current = None;
    let mut pinged = false;
    for item in items {
        match item {
            Item::Host(packet) if packet[0] == PUBACK => assert_eq!(rig.sends(None), *packet),
            Item::Host(packet) if packet[0] == 0xc0 => {
                let sent = rig.waits(None, 45_000);
                assert_eq!(sent, [(45_000, packet.clone())]);
                pinged = true;
            }
            Item::Host(packet) => {
                let (operation, name) = next.next().unwrap();
                rig.begin(operation).unwrap();
                assert_eq!(rig.sends(Some(operation)), *packet);
                // With QoS 0 there is no answer to wait for, nor one to tell.
                if rig.machine.outcome().is_none() {
                    current = Some(name);
                }
            }
            Item::Modem(bytes) => {
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let (piece, later) = rest.split_at(chunk().clamp(1, rest.len()));
                    rig.hears(piece);
                    rest = later;
                    if let Some(outcome) = rig.machine.outcome() {
                        outcome.unwrap();
                        let name = current.take().unwrap();
                        seen.push(result(name, (*name == "CONNECT").then_some(0)));
                    }
                    while let Some(event) = rig.machine.event() {
                        let Event::Message(message) = event else { panic!("{event:?}") };
                        let hex: String =
                            message.payload.iter().map(|byte| format!("{byte:02x}")).collect();
                        let topic = message.topic_str().unwrap();
                        seen.push(format!(
                            "{{\"message\":{{\"topic\":\"{topic}\",\"payload_hex\":\"{hex}\"}}}}"
                        ));
                    }
                    let answered = Instant::from_millis(rig.now + 45_000);
                    if pinged && rig.machine.deadline() == Some(answered) {
                        pinged = false;
                        seen.push(result("PINGREQ", None));
                    }
                }
            }
            _ => {}
        }
    }
    seen
}

#[test]
fn captures_mean_what_they_say_however_they_are_cut() {
    for text in [
        include_str!("captures/iridium/20-rockremote-mqtt311-packets.txt"),
        include_str!("captures/iridium/90-mqtt311-incoming-publish.txt"),
    ] {
        let items = parse(text).unwrap();
        let expected: Vec<_> = items
            .iter()
            .filter_map(|item| match item {
                Item::Expected { json, .. } => Some(json.clone()),
                _ => None,
            })
            .collect();
        assert!(!expected.is_empty());
        assert_eq!(replay(&items, || usize::MAX), expected);
        assert_eq!(replay(&items, || 1), expected);
        for seed in 1..=32_usize {
            let mut state = seed;
            let sizes = || {
                state = state.wrapping_mul(25) % 101;
                state % 7
            };
            assert_eq!(replay(&items, sizes), expected);
        }
    }
}

// ---- any stream in any pieces -----------------------------------------------------------

/// A packet that a broker may send to a client without anything under way,
/// and how it is read.
fn packet() -> impl Strategy<Value = (Vec<u8>, Option<String>)> {
    let topic = "[a-z/äß€🛰]{1,12}";
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(any::<u8>(), 100..300),
    ];
    let message = (topic, payload, 0..3_u8, any::<bool>(), any::<bool>(), 1..20_u16).prop_map(
        |(topic, payload, qos, retain, dup, id)| {
            let dup = dup && qos > 0;
            let mut body = (topic.len() as u16).to_be_bytes().to_vec();
            body.extend(topic.as_bytes());
            if qos > 0 {
                body.extend(id.to_be_bytes());
            }
            body.extend(&payload);
            let first = 0x30 | qos << 1 | u8::from(retain) | if dup { 8 } else { 0 };
            let mut packet = vec![first];
            if body.len() < 128 {
                packet.push(body.len() as u8);
            } else {
                packet.extend([body.len() as u8 | 0x80, (body.len() >> 7) as u8]);
            }
            packet.extend(body);
            let flag = |yes, name| if yes { name } else { "" };
            let payload = payload.escape_ascii();
            let flags = [flag(retain, "r"), flag(dup, "d")].concat();
            // QoS 2 is read once; the test says which.
            (packet, Some(format!("{topic}={payload} {qos}{flags}")))
        },
    );
    let release = (1..20_u16).prop_map(|id| (ack(PUBREL, id).to_vec(), None));
    let late = (0..3_usize, 1..20_u16).prop_map(|(kind, id)| {
        let kind = [PUBACK, PUBCOMP, 0xb0][kind];
        (ack(kind, id).to_vec(), None)
    });
    let pong = Just((b"\xd0\0".to_vec(), None));
    prop_oneof![6 => message, 2 => release, 1 => late, 1 => pong]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_stream_means_the_same_in_any_pieces(
        packets in prop::collection::vec(packet(), 0..30),
        sizes in prop::collection::vec(1..80_usize, 1..20),
    ) {
        let mut expected = Vec::new();
        let mut acks = Vec::new();
        let mut taken = std::collections::BTreeSet::new();
        for (packet, reading) in &packets {
            let id = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
            match (packet[0], reading) {
                (PUBREL, _) => {
                    taken.remove(&id(2));
                    acks.extend(ack(PUBCOMP, id(2)));
                }
                (first, Some(reading)) => {
                    let header = if packet[1] < 128 { 2 } else { 3 };
                    let id = (first & 6 > 0).then(|| id(header + 2 + usize::from(id(header))));
                    if first & 6 != 4 || taken.insert(id.unwrap()) {
                        expected.push(reading.clone());
                    }
                    if let Some(id) = id {
                        acks.extend(ack(if first & 6 == 4 { PUBREC } else { PUBACK }, id));
                    }
                }
                _ => {}
            }
        }
        let stream: Vec<u8> = packets.iter().flat_map(|(packet, _)| packet.clone()).collect();
        let mut sizes = sizes.into_iter().cycle();
        let mut rig = Rig::<32768>::with(Settings::new());
        rig.connect(&options("id"), CONNACK).unwrap();
        let (mut rest, mut sent) = (stream.as_slice(), Vec::new());
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(sizes.next().unwrap().min(rest.len()));
            rig.hears(piece);
            sent.extend(rig.sends(None));
            rest = later;
        }
        prop_assert_eq!(rig.machine.violation(), None);
        prop_assert_eq!(rig.events(), expected);
        // Only those of one kind have an order (4.6).
        for kind in [PUBACK, PUBREC, PUBCOMP] {
            let of_kind = |acks: &[u8]| {
                acks.chunks(4).filter(|ack| ack[0] == kind).flatten().copied().collect::<Vec<_>>()
            };
            prop_assert_eq!(of_kind(&sent), of_kind(&acks));
        }
        prop_assert_eq!(sent.len(), acks.len());
    }

    #[test]
    fn a_packet_is_the_same_however_the_transport_takes_it(
        topic in "[a-z/äß€]{1,30}",
        payload in prop::collection::vec(any::<u8>(), 0..600),
        qos in 0..3_u8,
        step in 1..200_usize,
    ) {
        let qos = QoS::from_level(qos).unwrap();
        let message = publish(&topic, &payload, qos);
        let mut body = (topic.len() as u16).to_be_bytes().to_vec();
        body.extend(topic.as_bytes());
        if qos > AtMostOnce {
            body.extend([0, 1]);
        }
        body.extend(&payload);
        let mut rig = Rig::connected();
        rig.step = step;
        let sent = rig.publishes(&message);
        prop_assert!(sent.ends_with(&body));
        let header = &sent[..sent.len() - body.len()];
        let length = header[1..].iter().rev().fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f));
        prop_assert_eq!((header[0], length), (0x30 | qos.level() << 1, body.len()));
    }
}

/// A connect, a subscribe, a publish that is abandoned, and the end of the
/// transport, with all that the machine says on the way.
fn story(mut machine: impl hayes::Machine) -> Vec<String> {
    let mut said = Vec::new();
    let at = Instant::from_millis;
    let options = kept("id");
    let filters = [filter("a", AtLeastOnce)];
    let message = publish("t", b"x", AtLeastOnce);
    machine.opened();
    said.push(format!("{:?} {:?}", machine.select(1), machine.is_idle()));
    for (operation, answer) in [
        (Operation::Connect(&options), RESUMED),
        (Operation::Subscribe(&filters), b"\x90\x03\0\x01\x01"),
        (Operation::Publish(&message), b""),
    ] {
        said.push(format!("{:?}", machine.start(&operation, at(0))));
        while let Some(bytes) = machine.transmit(Some(&operation), at(0)) {
            let count = bytes.len();
            said.push(bytes.escape_ascii().to_string());
            machine.sent(count);
        }
        machine.receive(answer, at(1));
        said.push(format!("{:?} {:?}", machine.is_idle(), machine.deadline()));
        said.push(format!("{:?} {:?}", machine.outcome(), machine.link()));
        said.push(format!("{:?} {:?}", machine.session(), machine.granted()));
    }
    machine.abandon(0);
    said.push(format!("{:?} {:?}", machine.has_event(), machine.event()));
    machine.tick(at(1_000_000));
    said.push(format!("{:?}", machine.event()));
    said.push(format!("{:?} {:?}", machine.status(), machine.deadline()));
    machine.opened();
    said.push(format!("{:?}", machine.start(&Operation::Connect(&options), at(1_000_000))));
    machine.closed();
    said.push(format!("{:?} {:?}", machine.outcome(), machine.deadline()));
    said
}

#[test]
fn a_machine_that_is_lent_is_the_machine() {
    let mut machine = rockremote::machine::<4096>(Settings::new());
    assert_eq!(story(&mut machine), story(rockremote::machine::<4096>(Settings::new())));
}
