//! What the tests of the law have in common: the backends, the operations, and
//! how many of the places are tried.

#![allow(dead_code, reason = "each test uses its part")]

use std::cell::Cell;

use crate::common::{self, Heard, Rig, config, luat_config, rock_config};
use hayes::{
    Machine, Operation, Verb,
    mqtt::{
        Cause, ConnectOptions, Error, Network, Publish, QoS, Refusal, Subscription, TopicFilter,
    },
};
use hayes_emulator::{Modem, jspr, luat, rockremote, simcom};

/// What went over the wire: whether the host said it, and what.
pub type Wire = [(bool, Vec<u8>)];
pub type Fresh<D, M> = Box<dyn Fn() -> Rig<D, M>>;

/// A backend, as the law sees it.
pub struct Backend<D, M> {
    pub name: &'static str,
    /// Modems of which the driver knows nothing yet.
    pub fresh: Vec<Fresh<D, M>>,
    /// A topic, and its name at the broker behind the modem.
    pub topic: &'static str,
    pub at_broker: &'static str,
    /// Filters that do not fit the message of `in_between`.
    pub filters: [&'static str; 2],
    /// Where counted data are published by being entered and no way out of
    /// that is documented, a phase that was left is filled up with what spoils
    /// a command and line ends.
    pub fills: bool,
    /// The transport carries each byte or ends, as TCP does.
    pub stream: bool,
    /// The longest that an operation may take if nothing is heard, in
    /// milliseconds.
    pub patience_ms: u64,
    /// Where in what the modem said it might have said something else.
    pub places: fn(&Wire) -> Vec<usize>,
    /// The name of a topic at the broker that reaches the device.
    pub downlink: &'static str,
    /// What may come in between, and what of it is heard and answered.
    pub in_between: fn() -> Vec<Interjection>,
    /// What says that the connection is gone, and how that is heard.
    pub losses: &'static [(&'static [u8], &'static str)],
}

impl<D, M> Backend<D, M> {
    /// Whether the payload is one that may have been filled up.
    pub fn is_filled(&self, payload: &[u8]) -> bool {
        let fill: [&[u8]; 3] = [b"\"", b"\"!", b"\r"];
        self.fills && fill.iter().any(|end| payload.ends_with(end))
    }
}

/// Something that comes in between.
#[derive(Clone, Debug)]
pub struct Interjection {
    pub bytes: Vec<u8>,
    pub heard: Option<Heard>,
    /// What goes out because of it, once.
    pub answer: &'static [u8],
    /// It is what this operation waits for.
    pub answers: Option<(Verb, QoS)>,
}

impl Interjection {
    fn unheard(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), heard: None, answer: b"", answers: None }
    }

    fn heard(bytes: &[u8], heard: Heard) -> Self {
        Self { heard: Some(heard), ..Self::unheard(bytes) }
    }

    fn answered(mut self, answer: &'static [u8]) -> Self {
        self.answer = answer;
        self
    }

    fn unless(mut self, verb: Verb, qos: QoS) -> Self {
        self.answers = Some((verb, qos));
        self
    }
}

fn lost(session: u8, loss: &str) -> Heard {
    Heard::Other(format!("Lost {{ session: {session}, loss: {loss} }}"))
}

// ---- the backends ------------------------------------------------------------

pub fn simcoms() -> Backend<hayes_simcom::Machine<256, 16384>, simcom::Modem> {
    simcoms_with()
}

pub fn simcoms_with<const INBOX: usize>()
-> Backend<hayes_simcom::Machine<256, INBOX>, simcom::Modem> {
    use simcom::Family::{A76xx, Sim767xx, Sim7600};
    Backend {
        name: "SIMCom",
        fresh: [Sim7600, A76xx, Sim767xx]
            .map(|family| {
                Box::new(move || {
                    let driver = hayes_simcom::machine(hayes_simcom::Settings::new());
                    Rig::of(driver, simcom::Modem::new(config(family)))
                }) as Fresh<_, _>
            })
            .into(),
        topic: "a/topic",
        at_broker: "a/topic",
        filters: ["x/#", "y"],
        fills: false,
        stream: false,
        patience_ms: 400_000,
        places: line_boundaries,
        downlink: "t/a",
        // A300 16.3, A109 18.3; logs.
        losses: &[
            (b"\r\n+CMQTTCONNLOST: 0,1\r\n", "Lost { session: 0, loss: Closed(Some(1)) }"),
            (b"\r\n+CMQTTNONET\r\n", "Lost { session: 0, loss: Network }"),
            (b"\r\nRDY\r\n", "Restarted"),
        ],
        in_between: || {
            let network = || Heard::Other("NetworkLost".into());
            let mut all: Vec<_> = [
                // SIM7500/SIM7600 and A76xx application notes; logs.
                "+CGEV: EPS PDN ACT 1",
                "+CGEV: ME PDN ACT 8,4",
                "SMS DONE",
                "PB DONE",
                "SMS Ready",
                "+CREG: 1",
                "+CGREG: 1",
                "+CEREG: 1",
                "+MSTK: 11, \"D00D8103010500820281829902090A\"",
                "*PSUTTZ: 26/11/20,12:00:00\",\"+04\",1",
                "DST: 0",
                "+CNTP: 0",
                "+CTZV: +4",
                "+CMTI: \"SM\",3",
                "RING",
                "OVER-VOLTAGE WARNNING",
                "+CFUN: 1",
                "+NEVERSEEN: \"OK\",1",
                "+CMQTTRXNEVER: 0,1",
                "Call Ready",
            ]
            .map(line)
            .iter()
            .map(|bytes| Interjection::unheard(bytes))
            .collect();
            all.extend([
                Interjection::heard(
                    b"\r\n+CMQTTRXSTART: 0,3,5\r\n+CMQTTRXTOPIC: 0,3\r\nt/a\r\n\
                      +CMQTTRXPAYLOAD: 0,5\r\nOK\r\n>\r\n+CMQTTRXEND: 0\r\n",
                    common::message("t/a", b"OK\r\n>"),
                ),
                Interjection::heard(&line("+CGEV: ME DETACH"), network()),
                Interjection::heard(&line("+CMQTTCONNLOST: 1,1"), lost(1, "Closed(Some(1))")),
                Interjection::heard(
                    &line(&format!("+MSTK: {}", "D0".repeat(400))),
                    Heard::Other("Missed(1)".into()),
                ),
            ]);
            all
        },
    }
}

pub fn luats() -> Backend<hayes_luat::Machine<320, 16384>, luat::Modem> {
    luats_with()
}

pub fn luats_with<const INBOX: usize>() -> Backend<hayes_luat::Machine<320, INBOX>, luat::Modem> {
    use luat::Family::{Air724, V2015plus};
    Backend {
        name: "Luat",
        fresh: [Air724, V2015plus]
            .map(|family| {
                Box::new(move || {
                    let driver = hayes_luat::machine(hayes_luat::Settings::new());
                    Rig::of(driver, luat::Modem::new(luat_config(family)))
                }) as Fresh<_, _>
            })
            .into(),
        topic: "a/topic",
        at_broker: "a/topic",
        filters: ["x/#", "y"],
        fills: true,
        stream: false,
        patience_ms: 400_000,
        places: line_boundaries,
        downlink: "t/a",
        // Air724 AT manual V1.6.3; logs.
        losses: &[
            (b"\r\nCLOSED\r\n", "Lost { session: 0, loss: Closed(None) }"),
            (b"\r\n+PDP: DEACT\r\n", "Lost { session: 0, loss: Network }"),
            (b"\r\nRDY\r\n", "Restarted"),
        ],
        in_between: || {
            let mut all: Vec<_> = [
                // Air724 AT manual V1.6.3; logs.
                "+CGEV: EPS PDN ACT 1",
                "^MODE: 17,17",
                "SMS READY",
                "+E_UTRAN Service",
                "+NITZ: 26/11/20,12:00:00+32,0",
                "+CREG: 1",
                "+CGREG: 1",
                "+CEREG: 1",
                "+CMTI: \"SM\",3",
                "RING",
                "+QIND: SMS DONE",
                "+UPGRADEIND: 0",
                "UDP ERROR:4",
                "+NEVERSEEN: \"OK\",1",
                "Call Ready",
            ]
            .map(line)
            .iter()
            .map(|bytes| Interjection::unheard(bytes))
            .collect();
            all.extend([
                Interjection::heard(
                    b"\r\n+MSUB: \"t/a\",5 byte,OK\r\n>\r\n",
                    common::message("t/a", b"OK\r\n>"),
                ),
                Interjection::heard(&line("^MODE: 0,0"), Heard::Other("NetworkLost".into())),
                Interjection::heard(
                    &line(&format!("+CMT: {}", "00".repeat(400))),
                    Heard::Other("Missed(1)".into()),
                ),
            ]);
            all
        },
    }
}

pub fn rockremotes() -> Backend<hayes_iridium::rockremote::Machine<16384>, rockremote::Modem> {
    rockremotes_with()
}

pub fn rockremotes_with<const INBOX: usize>()
-> Backend<hayes_iridium::rockremote::Machine<INBOX>, rockremote::Modem> {
    Backend {
        name: "RockREMOTE",
        fresh: vec![Box::new(|| {
            let settings = hayes_iridium::rockremote::Settings::new();
            let driver = hayes_iridium::rockremote::machine(settings);
            let mut rig = Rig::of(driver, rockremote::Modem::new(rock_config()));
            rig.stream = true;
            rig
        })],
        topic: "a/topic",
        at_broker: "iot/ACCOUNT-ID/a/topic",
        filters: ["x/#", "y"],
        fills: false,
        stream: true,
        patience_ms: 20_000,
        places: packet_boundaries,
        downlink: "iot/ACCOUNT-ID/t/a",
        // A packet that no server sends (MQTT 3.1.1, 2.2.1).
        losses: &[(b"\xe0\0", "Lost { session: 0, loss: Protocol }")],
        in_between: || {
            use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
            let heard = || common::message("t/a", b"OK\r\n>");
            // MQTT 3.1.1, chapter 3. Identifier 1 is that of the operation.
            vec![
                Interjection::heard(b"\x30\x0a\0\x03t/aOK\r\n>", heard()),
                Interjection::heard(b"\x32\x0c\0\x03t/a\0\x4dOK\r\n>", heard())
                    .answered(b"\x40\x02\0\x4d"),
                Interjection::heard(b"\x34\x0c\0\x03t/a\0\x4eOK\r\n>", heard())
                    .answered(b"\x50\x02\0\x4e"),
                Interjection::heard(
                    b"\x34\x0c\0\x03t/a\0\x4fOK\r\n>\x3c\x0c\0\x03t/a\0\x4fOK\r\n>",
                    heard(),
                ),
                Interjection::heard(b"\x34\x0c\0\x03t/a\0\x4fOK\r\n>\x62\x02\0\x4f", heard())
                    .answered(b"\x50\x02\0\x4f"),
                Interjection::unheard(b"\x62\x02\x03\xe7").answered(b"\x70\x02\x03\xe7"),
                Interjection::unheard(b"\x40\x02\x03\xe7"),
                Interjection::unheard(b"\x50\x02\x03\xe7").answered(b"\x62\x02\x03\xe7"),
                Interjection::unheard(b"\x70\x02\x03\xe7"),
                Interjection::unheard(b"\x90\x03\x03\xe7\x01"),
                Interjection::unheard(b"\x90\x04\x03\xe7\x01\x01"),
                Interjection::unheard(b"\xb0\x02\x03\xe7"),
                Interjection::unheard(b"\xd0\x00"),
                Interjection::unheard(b"\x40\x02\0\x01").unless(Verb::Publish, AtLeastOnce),
                Interjection::unheard(b"\x50\x02\0\x01").unless(Verb::Publish, ExactlyOnce),
                Interjection::unheard(b"\x70\x02\0\x01").unless(Verb::Publish, ExactlyOnce),
                Interjection::unheard(b"\x90\x04\0\x01\x01\x01")
                    .unless(Verb::Subscribe, AtMostOnce),
                Interjection::unheard(b"\xb0\x02\0\x01").unless(Verb::Unsubscribe, AtMostOnce),
            ]
        },
    }
}

/// What the modem said.
pub fn said(wire: &Wire) -> Vec<u8> {
    wire.iter().filter(|(host, _)| !host).flat_map(|(_, bytes)| bytes.clone()).collect()
}

/// How many such messages reached the broker behind the modem.
pub fn count<D, M>(backend: &Backend<D, M>, rig: &Rig<D, M>, payload: &[u8]) -> usize {
    let topic = backend.at_broker.as_bytes();
    let published = rig.broker.published().iter();
    published.filter(|m| m.topic == topic && m.payload == payload).count()
}

pub fn jsprs() -> Backend<hayes_iridium::jspr::Machine<4096, 16384>, jspr::Modem> {
    jsprs_with()
}

pub fn jsprs_with<const INBOX: usize>()
-> Backend<hayes_iridium::jspr::Machine<4096, INBOX>, jspr::Modem> {
    Backend {
        name: "JSPR",
        fresh: vec![Box::new(|| {
            let driver = hayes_iridium::jspr::machine(hayes_iridium::jspr::Settings::new());
            Rig::of(driver, jspr::Modem::new(jspr::Config::default()))
        })],
        topic: "RAW",
        at_broker: "imt/244",
        filters: ["RAW", "imt/244"],
        downlink: "imt/247",
        fills: false,
        stream: false,
        patience_ms: 700_000,
        places: |wire| {
            let stream = said(wire);
            let ends = stream.iter().enumerate().filter(|(_, byte)| **byte == b'\r');
            let first = (!stream.is_empty()).then_some(0);
            first.into_iter().chain(ends.map(|(at, _)| at + 1)).collect()
        },
        // Recorded dialogues.
        losses: &[(
            b"299 bootInfo {\"image_type\":\"production\",\"version\":{\"major\":1,\"minor\":5,\
              \"patch\":5,\"build_info\":\"SX-240927\"},\"boot_source\":\"primary\"}\r",
            "Restarted",
        )],
        in_between: || {
            let mut all: Vec<_> = [
                // Recorded dialogues.
                r#"constellationState {"constellation_visible":false,"signal_bars":0}"#,
                r#"constellationState {"constellation_visible":true,"signal_bars":4,"signal_level":-111}"#,
                r#"packetDataServiceProvisioning {"packet_data_services":[]}"#,
                r#"voiceProvisioning {"line":[{"line_type":"inactive","channel":"line1"}]}"#,
                r#"operationalState {"state":"active","reason":0}"#,
                r#"messageOriginateStatus {"topic_id":247,"message_id":99,"final_mo_status":"mo_ack_received"}"#,
                r#"messageOriginateSegment {"topic_id":247,"message_id":99,"segment_length":42,"segment_start":0}"#,
            ]
            .map(|text| Interjection::unheard(format!("299 {text}\r").as_bytes()))
            .into();
            // Nobody subscribed to it.
            all.push(Interjection::heard(
                b"299 messageTerminate {\"topic_id\":247,\"message_id\":36,\
                  \"message_length_max\":16}\r\
                  299 messageTerminateSegment {\"topic_id\":247,\"message_id\":36,\
                  \"segment_length\":16,\"segment_start\":0,\
                  \"data\":\"VFNUMzMzMzMzMzMzMzNHhw==\"}\r\
                  299 messageTerminateStatus {\"topic_id\":247,\"message_id\":36,\
                  \"final_mt_status\":\"complete\"}\r",
                Heard::Other("Dropped(Dropped { count: 1, bytes: 14,".into()),
            ));
            all
        },
    }
}

fn line(text: &str) -> Vec<u8> {
    common::framed(text)
}

/// After a line end, before a block and at the end.
fn line_boundaries(wire: &Wire) -> Vec<usize> {
    let mut places = Vec::new();
    let mut before = Vec::new();
    for (_, block) in wire.iter().filter(|(host, _)| !host) {
        for (at, byte) in block.iter().enumerate() {
            let starts = at == 0 || before.ends_with(b"\r\n");
            if starts && !before.ends_with(b">") {
                places.push(before.len());
            }
            before.push(*byte);
        }
    }
    if before.ends_with(b"\r\n") {
        places.push(before.len());
    }
    places
}

/// Before each packet and after the last, but not before CONNACK (MQTT 3.1.1,
/// 3.2).
fn packet_boundaries(wire: &Wire) -> Vec<usize> {
    let stream = said(wire);
    let mut places = vec![];
    let mut at = 0;
    while at < stream.len() {
        if stream[at] != 0x20 {
            places.push(at);
        }
        // Short ones only.
        at += 2 + usize::from(stream[at + 1]);
    }
    assert_eq!(at, stream.len());
    if at > 0 {
        places.push(at);
    }
    places
}

// ---- the operations ------------------------------------------------------------

pub const PAYLOAD: &[u8] = b"payload";

/// What has to be done before an operation can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Fresh,
    Up,
    Connected,
}

/// Gives each kind of operation, and what it needs.
pub fn operations<D, M>(backend: &Backend<D, M>, mut with: impl FnMut(Level, &Operation<'_>)) {
    let network = Network::new();
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let publish = Publish::new(backend.topic, PAYLOAD).unwrap();
    let subscriptions =
        backend.filters.map(|filter| Subscription::new(filter, QoS::AtLeastOnce).unwrap());
    let filters = backend.filters.map(|filter| TopicFilter::new(filter).unwrap());
    with(Level::Fresh, &Operation::BringUp(&network));
    with(Level::Up, &Operation::Connect(&options));
    with(Level::Connected, &Operation::Publish(&publish));
    with(Level::Connected, &Operation::Publish(&publish.qos(QoS::AtLeastOnce)));
    with(Level::Connected, &Operation::Publish(&publish.qos(QoS::ExactlyOnce)));
    with(Level::Connected, &Operation::Subscribe(&subscriptions));
    with(Level::Connected, &Operation::Unsubscribe(&filters));
    with(Level::Connected, &Operation::Status);
    with(Level::Connected, &Operation::Disconnect);
}

/// Runs `test` with each kind of operation, on each modem, ready for it.
pub fn each_operation<D: Machine, M: Modem>(
    backend: &Backend<D, M>,
    test: impl Fn(&dyn Fn() -> Rig<D, M>, &Operation<'_>),
) {
    for fresh in &backend.fresh {
        let driver = fresh().driver;
        operations(backend, |level, operation| {
            if operation.check(driver.capabilities(), &driver.limits()).is_err() {
                return;
            }
            let ready = || {
                let mut rig = fresh();
                if level >= Level::Up {
                    rig.bring_up().unwrap();
                }
                if level == Level::Connected {
                    rig.connect().unwrap();
                }
                rig
            };
            test(&ready, operation);
        });
    }
}

/// The modem itself waited for something in vain, and says so.
pub fn is_modems_timeout(error: Error) -> bool {
    matches!(error, Error::Refused(Refusal { cause: Cause::Timeout, .. }))
}

/// The quality of service of a publish; 0 for anything else.
pub fn qos(operation: &Operation<'_>) -> QoS {
    match operation {
        Operation::Publish(publish) => publish.qos,
        _ => QoS::AtMostOnce,
    }
}

// ---- how many ------------------------------------------------------------------

/// All places, or about one in so many of them, the same in every run.
pub struct Sample {
    one_in: u64,
    seen: Cell<u64>,
    taken: Cell<u64>,
}

impl Sample {
    pub fn one_in(one_in: u64) -> Self {
        Self { one_in, seen: Cell::new(0), taken: Cell::new(0) }
    }

    /// Whether this place is one to try.
    pub fn takes(&self) -> bool {
        let number = self.seen.replace(self.seen.get() + 1);
        // SplitMix64.
        let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let takes = (mixed ^ (mixed >> 31)).is_multiple_of(self.one_in);
        self.taken.set(self.taken.get() + u64::from(takes));
        takes
    }

    /// Prints the figure, and fails if there was nothing to try.
    pub fn report(&self, backend: &str, what: &str) {
        println!("{backend}: {} of {} {what}", self.taken.get(), self.seen.get());
        assert!(self.taken.get() > 0);
    }
}
