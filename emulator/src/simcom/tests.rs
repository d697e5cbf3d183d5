//! The dialogue, byte for byte. The expected bytes come from logs of real modems and from the
//! manuals; each test says from which. Notation of the scripts: `> ` host to modem, `< ` modem to
//! host, `! ` something happens outside, `#` a remark; escapes as in Rust.

use super::*;
use crate::Fault;
use crate::desk::assert_same;
use crate::fault::Dice;

type Desk = crate::desk::Desk<Modem>;

impl Desk {
    fn of(family: Family) -> Self {
        Desk::new(Config { family, ..Config::default() })
    }

    fn with(family: Family, quirks: &[Quirk]) -> Self {
        let quirks = quirks.iter().copied().collect();
        Desk::new(Config { family, quirks, ..Config::default() })
    }

    fn faulty(faults: &[Fault]) -> Self {
        Desk::new(Config { faults: faults.to_vec(), ..Config::default() })
    }

    /// Started, acquired, connected, echo off.
    fn connected(mut self) -> Self {
        self.send("ATE0\r");
        self.send("AT+CMQTTSTART\r");
        self.send("AT+CMQTTACCQ=0,\"c\"\r");
        let answer = self.send("AT+CMQTTCONNECT=0,\"tcp://b.example:1883\",60,1\r");
        assert!(answer.ends_with(b"+CMQTTCONNECT: 0,0\r\n"), "{}", answer.escape_ascii());
        self
    }
}

// ---- whole conversations ----------------------------------------------------------------------

/// Log of a SIM7600E, echo off, up to the busy client.
#[test]
fn a_sim7600e_with_echo_off_says_busy_while_it_connects() {
    Desk::of(Family::Sim7600).play(
        r#"
        > ATE0\r
        < ATE0\r\r\nOK\r\n
        > AT\r
        < \r\nOK\r\n
        > AT+CPSI?\r
        < \r\n+CPSI: LTE,Online,505-01,0x309D,136092930,257,EUTRAN-BAND3,1275,4,4,-178,-1185,-789,7\r\n
        < \r\nOK\r\n
        > AT+CREG?\r
        < \r\n+CREG: 0,1\r\n
        < \r\nOK\r\n
        > AT+CGDCONT=1,"IP","connect.apn"\r
        < \r\nOK\r\n
        > AT+CGACT=1,1\r
        < \r\nOK\r\n
        > AT+CMQTTSTART\r
        < \r\n+CMQTTSTART: 0\r\n
        < \r\nOK\r\n
        > AT+CMQTTACCQ=0,"SIMCom_client01",0\r
        < \r\nOK\r\n
        > AT+CMQTTWILLTOPIC=0,10\r
        < \r\n>
        > esp32/will
        < \r\nOK\r\n
        > AT+CMQTTWILLMSG=0,4,1\r
        < \r\n>
        > test
        < \r\nOK\r\n
        ! hold
        > AT+CMQTTCONNECT=0,"tcp://test.mosquitto.org:1883",60,1\r
        < \r\nOK\r\n
        > AT+CMQTTSUBTOPIC=0,10,1\r
        < \r\n+CMQTTSUBTOPIC: 0,14\r\n
        < \r\nERROR\r\n
        # from another SIM7600E: the publish path misses the connection first
        > AT+CMQTTTOPIC=0,10\r
        < \r\n+CMQTTTOPIC: 0,11\r\n
        < \r\nERROR\r\n
        > AT+CMQTTCONNECT?\r
        < \r\n+CMQTTCONNECT: 0\r\n
        < +CMQTTCONNECT: 1\r\n
        < \r\nOK\r\n
        ! resume
        < \r\n+CMQTTCONNECT: 0,0\r\n
        "#,
    );
}

/// Log of a SIM7600E, echo on: echo ends in a bare CR, data is echoed, files are listed sorted.
#[test]
fn a_sim7600e_with_echo_on() {
    Desk::of(Family::Sim7600).play(
        r#"
        > AT\r
        < AT\r\r\nOK\r\n
        > AT+CCERTDOWN="clientcert.pem",12\r
        < AT+CCERTDOWN="clientcert.pem",12\r
        < \r\n>
        > \n-----\r\n--\r\n
        < \n-----\r\n--\r\n
        < \r\nOK\r\n
        > AT+CCERTDOWN="cacert.pem",5\r\n
        < AT+CCERTDOWN="cacert.pem",5\r\r\n>
        > AAAAA
        < AAAAA\r\nOK\r\n
        > AT+CCERTLIST\r
        < AT+CCERTLIST\r\r\n
        < +CCERTLIST: "cacert.pem"\r\n
        < +CCERTLIST: "clientcert.pem"\r\n
        < \r\nOK\r\n
        > AT+CSSLCFG="sslversion",0,4\r
        < AT+CSSLCFG="sslversion",0,4\r\r\nOK\r\n
        > AT+CSSLCFG="ignorelocaltime",0,1\r
        < AT+CSSLCFG="ignorelocaltime",0,1\r\r\nOK\r\n
        > AT+CSSLCFG="clientkey",0,"clientkey.pem"\r
        < AT+CSSLCFG="clientkey",0,"clientkey.pem"\r\r\nOK\r\n
        > AT+NETOPEN\r
        < AT+NETOPEN\r\r\nOK\r\n
        < \r\n+NETOPEN: 0\r\n
        > AT+IPADDR\r
        < AT+IPADDR\r\r\n+IPADDR: 10.184.191.67\r\n\r\nOK\r\n
        > AT+CMQTTSTART\r
        < AT+CMQTTSTART\r\r\n+CMQTTSTART: 0\r\n\r\nOK\r\n
        > AT+CMQTTSSLCFG=0,0\r
        < AT+CMQTTSSLCFG=0,0\r\r\nOK\r\n
        "#,
    );
}

/// The session of the 2018 manual with the START order of logs, and its reception.
#[test]
fn the_session_of_the_manual() {
    Desk::of(Family::Sim7600).play(
        r#"
        > ATE0\r
        < ATE0\r\r\nOK\r\n
        > AT+CMQTTSTART\r
        < \r\n+CMQTTSTART: 0\r\n\r\nOK\r\n
        > AT+CMQTTACCQ=0,"client test0"\r
        < \r\nOK\r\n
        > AT+CMQTTCONNECT=0,"tcp://test.mosquitto.org:1883",60,1\r
        < \r\nOK\r\n\r\n+CMQTTCONNECT: 0,0\r\n
        > AT+CMQTTSUB=0,9,1\r
        < \r\n>
        > simcommsg
        < \r\nOK\r\n\r\n+CMQTTSUB: 0,0\r\n
        > AT+CMQTTTOPIC=0,9\r
        < \r\n>
        > simcommsg
        < \r\nOK\r\n
        > AT+CMQTTPAYLOAD=0,60\r
        < \r\n>
        > 012345678901234567890123456789012345678901234567890123456789
        < \r\nOK\r\n
        > AT+CMQTTPUB=0,1,60\r
        < \r\nOK\r\n\r\n+CMQTTPUB: 0,0\r\n
        < \r\n+CMQTTRXSTART: 0,9,60\r\n
        < +CMQTTRXTOPIC: 0,9\r\nsimcommsg\r\n
        < +CMQTTRXPAYLOAD: 0,60\r\n
        < 012345678901234567890123456789012345678901234567890123456789\r\n
        < +CMQTTRXEND: 0\r\n
        > AT+CMQTTSUBTOPIC=0,9,1\r
        < \r\n>
        > 123456789
        < \r\nOK\r\n
        > AT+CMQTTSUB=0\r
        < \r\nOK\r\n\r\n+CMQTTSUB: 0,0\r\n
        > AT+CMQTTUNSUB=0,9,0\r
        < \r\n>
        > simcommsg
        < \r\nOK\r\n\r\n+CMQTTUNSUB: 0,0\r\n
        ! publish simcommsg gone
        > AT+CMQTTDISC=0,120\r
        < \r\nOK\r\n\r\n+CMQTTDISC: 0,0\r\n
        > AT+CMQTTREL=0\r
        < \r\nOK\r\n
        > AT+CMQTTSTOP\r
        < \r\n+CMQTTSTOP: 0\r\n\r\nOK\r\n
        "#,
    );
}

/// Logs of an A7670 (START) and an A7670E (failed CONNECT without OK, SIM errors in words).
#[test]
fn an_a7670_answers_ok_before_the_result() {
    let mut desk = Desk::new(Config {
        family: Family::A76xx,
        quirks: [Quirk::SimBusy].into_iter().collect(),
        ..Config::default()
    });
    desk.play(
        r#"
        > AT+CPIN?\r
        < AT+CPIN?\r\r\n+CME ERROR: SIM failure\r\n
        > AT+CPIN?\r
        < AT+CPIN?\r\r\n+CME ERROR: SIM failure\r\n
        > AT+CPIN?\r
        < AT+CPIN?\r\r\n+CME ERROR: SIM busy\r\n
        > AT+CPIN?\r
        < AT+CPIN?\r\r\n+CPIN: READY\r\n\r\nOK\r\n
        > ATE0\r
        < ATE0\r\r\nOK\r\n
        > AT+CMQTTSTART\r
        < \r\nOK\r\n\r\n+CMQTTSTART: 0\r\n
        > AT+CMQTTREL=0\r
        < \r\n+CMQTTREL: 0,20\r\n\r\nERROR\r\n
        > AT+CMQTTACCQ=0,"A76XX",0\r
        < \r\nOK\r\n
        > AT+CMQTTCFG="version",0,4\r
        < \r\nOK\r\n
        ! fail 3
        > AT+CMQTTCONNECT=0,"tcp://broker.example:8883",60,1\r
        < \r\n+CMQTTCONNECT: 0,3\r\n\r\nERROR\r\n
        # a handshake failure is 34 there, and comes without OK as well
        ! fail 32
        > AT+CMQTTCONNECT=0,"tcp://broker.example:8883",60,1\r
        < \r\n+CMQTTCONNECT: 0,34\r\n\r\nERROR\r\n
        > AT+CMQTTCONNECT=0,"tcp://broker.example:8883",60,1\r
        < \r\nOK\r\n\r\n+CMQTTCONNECT: 0,0\r\n
        "#,
    );
    assert_eq!(desk.broker.connects().last().map(|options| options.version), Some(4));
}

/// Log of a SIM7670G: no SUBTOPIC, DISC? counts from connected, data is echoed.
#[test]
fn a_sim7670g_has_no_subtopic() {
    Desk::of(Family::Sim767xx).connected().play(
        r#"
        > AT+CMQTTDISC?\r
        < \r\n+CMQTTDISC: 0,0\r\n+CMQTTDISC: 1,1\r\n\r\nOK\r\n
        > AT+CMQTTSUBTOPIC=0,21,0\r
        < \r\nERROR\r\n
        > AT+CMQTTSUBTOPIC=?\r
        < \r\nERROR\r\n
        > ATE1\r
        < \r\nOK\r\n
        > AT+CMQTTTOPIC=0,19\r
        < AT+CMQTTTOPIC=0,19\r\r\n>
        > GsmMqttTest/publish
        < GsmMqttTest/publish\r\nOK\r\n
        > AT+CMQTTSTART\r
        < AT+CMQTTSTART\r\r\nERROR\r\n
        "#,
    );
    // Manual of the SIM767XX: START and STOP may carry a PDP context.
    Desk::of(Family::Sim767xx).play(
        r#"
        > AT+CMQTTSTART=1\r
        < AT+CMQTTSTART=1\r\r\nOK\r\n\r\n+CMQTTSTART: 0,1\r\n
        > AT+CMQTTCFG="cid",2\r
        < AT+CMQTTCFG="cid",2\r\r\nOK\r\n
        > AT+CMQTTCFG="cid"\r
        < AT+CMQTTCFG="cid"\r\r\n+CMQTTCFG: "CID",2\r\n\r\nOK\r\n
        > AT+CMQTTCFG?\r
        < AT+CMQTTCFG?\r\r\n+CMQTTCFG: 0,1,120\r\n+CMQTTCFG: 1,1,120\r\n\r\nOK\r\n
        "#,
    );
}

/// Cold boot in logs of a SIM7600G-H and an A7670E: deaf until the first line.
#[test]
fn cold_boot() {
    for (family, first, later) in [
        (Family::Sim7600, "\r\nRDY\r\n", "\r\nSMS DONE\r\n"),
        (Family::A76xx, "\r\n*ATREADY: 1\r\n", "\r\nSMS DONE\r\n\r\n+CGEV: EPS PDN ACT 1\r\n"),
    ] {
        let boot = BootState::ColdBoot;
        let mut desk = Desk::new(Config { family, boot, ..Config::default() });
        assert_eq!(desk.send("AT\r"), b"");
        assert_eq!(desk.pass(999), b"");
        assert_eq!(desk.pass(1), first.as_bytes());
        assert_eq!(desk.send("AT+CPIN?\r"), b"AT+CPIN?\r\r\n+CME ERROR: SIM busy\r\n");
        assert_eq!(desk.pass(300), b"\r\n+CPIN: READY\r\n");
        assert_eq!(desk.pass(500), later.as_bytes());
        assert_eq!(desk.pass(500), b"\r\nPB DONE\r\n");
        assert_eq!(desk.modem.deadline(), None);
    }
}

/// argtopic session of the EX manual (A76XX MQTT_EX V1.00), with a blank after the colon.
#[test]
fn argtopic_mode() {
    Desk::of(Family::A76xx).play(
        r#"
        > ATE0\r
        < ATE0\r\r\nOK\r\n
        > AT+CMQTTSTART\r
        < \r\nOK\r\n\r\n+CMQTTSTART: 0\r\n
        > AT+CMQTTACCQ=0,"a1accq",0\r
        < \r\nOK\r\n
        > AT+CMQTTCFG="argtopic",0,1,1\r
        < \r\nOK\r\n
        > AT+CMQTTCONNECT=0,"tcp://120.27.2.154:1883",20,1\r
        < \r\nOK\r\n\r\n+CMQTTCONNECT: 0,0\r\n
        > AT+CMQTTSUB=0,"znn11",2,1\r
        < \r\nOK\r\n\r\n+CMQTTSUB: 0,0\r\n
        ! publish znn11 one message come
        < \r\n+CMQTTRECV: 0,"znn11",16,"one message come"\r\n
        > AT+CMQTTPUB=0,"znn11",1,10\r
        < \r\n>
        > ssssssssss
        < \r\nOK\r\n\r\n+CMQTTPUB: 0,0\r\n
        < \r\n+CMQTTRECV: 0,"znn11",10,"ssssssssss"\r\n
        > AT+CMQTTUNSUB=0,"znn11",1\r
        < \r\nOK\r\n\r\n+CMQTTUNSUB: 0,0\r\n
        > AT+CMQTTDISC=0,120\r
        < \r\nOK\r\n\r\n+CMQTTDISC: 0,0\r\n
        > AT+CMQTTSTOP\r
        < \r\nOK\r\n\r\n+CMQTTSTOP: 0\r\n
        "#,
    );
    // SEEN: without that mode a quoted topic is an invalid parameter.
    Desk::of(Family::Sim7600).connected().play(
        r#"
        > AT+CMQTTSUB=0,"t",1\r
        < \r\n+CMQTTSUB: 0,12\r\n\r\nERROR\r\n
        "#,
    );
}

// ---- states and codes -------------------------------------------------------------------------

#[test]
fn codes_of_a_warm_host_restart() {
    // SIM7600E: STOP 21, START 23, ACCQ 19, REL 20; A109: plain ERROR before START.
    Desk::of(Family::Sim7600).play(
        r#"
        > ATE0\r
        < ATE0\r\r\nOK\r\n
        > AT+CMQTTACCQ=0,"c"\r
        < \r\nERROR\r\n
        > AT+CMQTTSTOP\r
        < \r\nERROR\r\n
        > AT+CMQTTDISC?\r
        < \r\nERROR\r\n
        > AT+CMQTTSTART\r
        < \r\n+CMQTTSTART: 0\r\n\r\nOK\r\n
        > AT+CMQTTSTART\r
        < \r\n+CMQTTSTART: 23\r\n\r\nERROR\r\n
        > AT+CMQTTREL=0\r
        < \r\n+CMQTTREL: 0,20\r\n\r\nERROR\r\n
        > AT+CMQTTACCQ=0,"c"\r
        < \r\nOK\r\n
        > AT+CMQTTACCQ=0,"c"\r
        < \r\n+CMQTTACCQ: 0,19\r\n\r\nERROR\r\n
        > AT+CMQTTACCQ?\r
        < \r\n+CMQTTACCQ: 0,"c",0\r\n+CMQTTACCQ: 1,"",0\r\n\r\nOK\r\n
        > AT+CMQTTSTOP\r
        < \r\n+CMQTTSTOP: 21\r\n\r\nERROR\r\n
        > AT+CMQTTDISC=0,60\r
        < \r\n+CMQTTDISC: 0,11\r\n\r\nERROR\r\n
        > AT+CMQTTCONNECT=1,"tcp://broker.example:1883",60,1\r
        < \r\n+CMQTTCONNECT: 1,20\r\n\r\nERROR\r\n
        > AT+CMQTTCONNECT=0,"ssl://broker.example:8883",60,1\r
        < \r\n+CMQTTCONNECT: 0,12\r\n\r\nERROR\r\n
        > AT+CMQTTREL=0\r
        < \r\nOK\r\n
        > AT+CMQTTSTOP\r
        < \r\n+CMQTTSTOP: 0\r\n\r\nOK\r\n
        "#,
    );
}

#[test]
fn buffers_are_used_up_by_publish_and_subscribe() {
    Desk::of(Family::Sim7600).connected().play(
        r#"
        > AT+CMQTTPUB=0,0,60\r
        < \r\n+CMQTTPUB: 0,18\r\n\r\nERROR\r\n
        > AT+CMQTTTOPIC=0,3\r
        < \r\n>
        > old
        < \r\nOK\r\n
        # the last topic wins
        > AT+CMQTTTOPIC=0,3\r
        < \r\n>
        > t/a
        < \r\nOK\r\n
        > AT+CMQTTPUB=0,0,60\r
        < \r\nOK\r\n\r\n+CMQTTPUB: 0,0\r\n
        > AT+CMQTTPUB=0,0,60\r
        < \r\n+CMQTTPUB: 0,18\r\n\r\nERROR\r\n
        > AT+CMQTTSUB=0\r
        < \r\n+CMQTTSUB: 0,18\r\n\r\nERROR\r\n
        > AT+CMQTTSUBTOPIC=0,3,1\r
        < \r\n>
        > t/a
        < \r\nOK\r\n
        > AT+CMQTTSUB=0,1\r
        < \r\nOK\r\n\r\n+CMQTTSUB: 0,0\r\n
        > AT+CMQTTSUB=0\r
        < \r\n+CMQTTSUB: 0,18\r\n\r\nERROR\r\n
        > AT+CMQTTUNSUBTOPIC=0,3\r
        < \r\n>
        > t/a
        < \r\nOK\r\n
        > AT+CMQTTUNSUB=0,0\r
        < \r\nOK\r\n\r\n+CMQTTUNSUB: 0,0\r\n
        > AT+CMQTTUNSUB=0,0\r
        < \r\n+CMQTTUNSUB: 0,18\r\n\r\nERROR\r\n
        "#,
    );
}

#[test]
fn a_payload_is_published_once() {
    let mut desk = Desk::of(Family::Sim7600).connected();
    for topic in ["AT+CMQTTTOPIC=0,1\r", "a", "AT+CMQTTPAYLOAD=0,2\r", "hi", "AT+CMQTTPUB=0,1,60\r"]
    {
        desk.send(topic);
    }
    for topic in ["AT+CMQTTTOPIC=0,1\r", "b", "AT+CMQTTPUB=0,2,60,1,1\r"] {
        desk.send(topic);
    }
    let published: Vec<_> =
        desk.broker.published().iter().map(|m| (&m.payload[..], m.qos, m.retain)).collect();
    assert_eq!(published, [(&b"hi"[..], 1, false), (b"", 2, true)]);
}

/// A300: the TLS context of a client is forgotten by a failed CONNECT and by DISC.
#[test]
fn the_tls_context_of_a_client_is_forgotten() {
    let mut desk = Desk::of(Family::Sim7600).connected();
    let context = |desk: &mut Desk| {
        let heard = desk.send("AT+CMQTTSSLCFG?\r");
        String::from_utf8_lossy(&heard).lines().nth(1).map(str::to_owned)
    };
    desk.send("AT+CMQTTSSLCFG=0,3\r");
    assert_eq!(context(&mut desk).as_deref(), Some("+CMQTTSSLCFG: 0,3"));
    desk.send("AT+CMQTTDISC=0,60\r");
    assert_eq!(context(&mut desk).as_deref(), Some("+CMQTTSSLCFG: 0,0"));
    desk.send("AT+CMQTTSSLCFG=0,3\r");
    desk.broker.fail_next(3);
    desk.send("AT+CMQTTCONNECT=0,\"tcp://b.example\",60,1\r");
    assert_eq!(context(&mut desk).as_deref(), Some("+CMQTTSSLCFG: 0,0"));
}

#[test]
fn no_answer_overtakes_an_earlier_one() {
    let delays = Delays { echo: 5, answer: 50, prompt: 20, ..Delays::default() };
    let mut desk = Desk::new(Config { delays, ..Config::default() });
    for command in ["ATE0\r", "AT+CMQTTSTART\r", "AT+CMQTTACCQ=0,\"c\"\r"] {
        desk.send(command);
        desk.pass(100);
    }
    desk.play(
        r#"
        # the broker answers at once, the modem does not
        > AT+CMQTTCONNECT=0,"tcp://b.example",60,1\r
        ! pass 49
        ! pass 1
        < \r\nOK\r\n\r\n+CMQTTCONNECT: 0,0\r\n
        # a command that comes too early waits for the end of the one before
        > AT\rAT+CMQTTTOPIC=0,1\r
        ! pass 50
        < \r\nOK\r\n
        ! pass 19
        ! pass 1
        < \r\n>
        "#,
    );
}

/// M18 3.5: without PAYLOAD the message is empty, and an empty message has no payload part.
#[test]
fn an_empty_message_and_a_topic_that_is_not_utf8() {
    let mut desk = Desk::of(Family::Sim7600).connected();
    desk.play(
        r#"
        > AT+CMQTTTOPIC=0,2\r
        < \r\n>
        > \xf7\xee
        < \r\n+CMQTTTOPIC: 0,2\r\n\r\nERROR\r\n
        > AT+CMQTTSUB=0,1,0\r
        < \r\n>
        > #
        < \r\nOK\r\n\r\n+CMQTTSUB: 0,0\r\n
        "#,
    );
    desk.broker.publish(b"\xf7\xee\xf7\xee\xf7\xee\xf7\xee\xf7", b"", false);
    let expected = b"\r\n+CMQTTRXSTART: 0,9,0\r\n+CMQTTRXTOPIC: 0,9\r\n\
        \xf7\xee\xf7\xee\xf7\xee\xf7\xee\xf7\r\n+CMQTTRXEND: 0\r\n";
    assert_same("an empty message", &desk.read(), expected);
}

/// Log of a SIM7600A-H: UNSUB 6, then CONNLOST 1; and of a SIM7600EI: the second OK.
#[test]
fn a_broker_that_closes_the_connection() {
    let script = r#"
        ! hold
        > AT+CMQTTUNSUB=0,1,1\r
        < \r\n>
        > t
        < \r\nOK\r\n
        ! lose 0 1
        < \r\n+CMQTTUNSUB: 0,6\r\n\r\n+CMQTTCONNLOST: 0,1\r\n
    "#;
    Desk::of(Family::Sim7600).connected().play(script).play(
        r#"
        ! pass 100
        > AT+CMQTTDISC?\r
        < \r\n+CMQTTDISC: 0,1\r\n+CMQTTDISC: 1,1\r\n\r\nOK\r\n
        "#,
    );
    Desk::with(Family::Sim7600, &[Quirk::StrayOk]).connected().play(script).play(
        r#"
        ! pass 100
        < \r\nOK\r\n
        "#,
    );
}

/// Log of a SIM7600EI: CRESET while connected.
#[test]
fn a_reset_while_connected() {
    let mut desk = Desk::of(Family::Sim7600).connected();
    desk.play(
        r#"
        > AT+NETOPEN\r
        < \r\nOK\r\n\r\n+NETOPEN: 0\r\n
        > AT+CRESET\r
        < \r\nOK\r\n
        ! pass 20
        < \r\n+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY\r\n
        < \r\n+CMQTTCONNLOST: 0,3\r\n
        < \r\n+CMQTTNONET\r\n
        ! pass 2300
        < \r\nRDY\r\n\r\n+CPIN: READY\r\n\r\nSMS DONE\r\n\r\nPB DONE\r\n
        # the service is gone, and echo is back
        > AT+CMQTTDISC?\r
        < AT+CMQTTDISC?\r\r\nERROR\r\n
        "#,
    );
}

/// Log of an A76xx: CFUN=4 prints no CONNLOST; START fails with 1 until the radio is back.
#[test]
fn a_radio_that_is_switched_off() {
    Desk::of(Family::A76xx).connected().play(
        r#"
        > AT+CFUN=4\r
        < \r\n+CGEV: ME DETACH\r\n\r\n+CGEV: NW PDN DEACT 1\r\n\r\n+CMQTTNONET\r\n\r\nOK\r\n
        > AT+CMQTTTOPIC=0,4\r
        < \r\n+CMQTTTOPIC: 0,9\r\n\r\nERROR\r\n
        > AT+CMQTTSTART\r
        < \r\nOK\r\n\r\n+CMQTTSTART: 1\r\n
        > AT+CFUN=1\r
        < \r\n+CGEV: EPS PDN ACT 1\r\n\r\nOK\r\n
        > AT+CMQTTSTART\r
        < \r\nOK\r\n\r\n+CMQTTSTART: 0\r\n
        "#,
    );
}

#[test]
fn a_network_that_goes_and_comes_back() {
    Desk::of(Family::Sim7600).connected().play(
        r#"
        > AT+NETOPEN\r
        < \r\nOK\r\n\r\n+NETOPEN: 0\r\n
        > AT+NETOPEN\r
        < \r\n+IP ERROR: Network is already opened\r\n\r\nERROR\r\n
        ! network down
        < \r\n+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY\r\n
        < \r\n+CGEV: NW PDN DEACT 1\r\n\r\n+CMQTTCONNLOST: 0,3\r\n\r\n+CMQTTNONET\r\n
        > AT+CREG?\r
        < \r\n+CREG: 0,2\r\n\r\nOK\r\n
        > AT+CMQTTSTART\r
        < \r\n+CMQTTSTART: 1\r\n\r\nERROR\r\n
        ! network up
        < \r\n+CGEV: EPS PDN ACT 1\r\n
        > AT+NETOPEN?\r
        < \r\n+NETOPEN: 0\r\n\r\nOK\r\n
        > AT+CMQTTSTART\r
        < \r\n+CMQTTSTART: 0\r\n\r\nOK\r\n
        "#,
    );
}

#[test]
fn a_publish_that_nobody_acknowledges_times_out() {
    let mut desk = Desk::of(Family::Sim7600).connected();
    desk.play(
        r#"
        > AT+CMQTTTOPIC=0,1\r
        < \r\n>
        > t
        < \r\nOK\r\n
        ! hold
        > AT+CMQTTPUB=0,1,60\r
        < \r\nOK\r\n
        > AT+CMQTTPUB=0,1,60\r
        < \r\n+CMQTTPUB: 0,14\r\n\r\nERROR\r\n
        ! pass 59999
        ! pass 1
        < \r\n+CMQTTPUB: 0,17\r\n
        # the late acknowledgement is nobody's
        ! resume
        "#,
    );
}

#[test]
fn a_late_answer_is_not_taken_for_the_next_one() {
    Desk::of(Family::A76xx).connected().play(
        r#"
        > AT+CMQTTTOPIC=0,1\r
        < \r\n>
        > t
        < \r\nOK\r\n
        ! hold
        ! fail 24
        > AT+CMQTTPUB=0,1,1\r
        < \r\nOK\r\n
        ! pass 1000
        < \r\n+CMQTTPUB: 0,17\r\n
        > AT+CMQTTSUB=0,1,0\r
        < \r\n>
        > t
        < \r\nOK\r\n
        # the 24 is for the publish, which has failed already
        ! resume
        < \r\n+CMQTTSUB: 0,0\r\n
        "#,
    );
}

/// A300: all cached topics together are at most 5120 bytes.
#[test]
fn the_cache_of_topics_has_an_end() {
    let mut desk = Desk::of(Family::Sim7600).connected();
    for _ in 0..5 {
        assert_eq!(desk.send("AT+CMQTTSUBTOPIC=0,1024,0\r"), b"\r\n>");
        assert_eq!(desk.send("t".repeat(1024)), b"\r\nOK\r\n");
    }
    let refused = b"\r\n+CMQTTSUBTOPIC: 0,22\r\n\r\nERROR\r\n";
    assert_eq!(desk.send("AT+CMQTTSUBTOPIC=0,1,0\r"), refused);
}

#[test]
fn what_a_restart_leaves() {
    let mut desk = Desk::of(Family::Sim7600).connected();
    desk.send("AT+CGDCONT=1,\"IP\",\"iot.example\"\r");
    desk.send("AT+CCERTDOWN=\"ca.pem\",1\r");
    desk.send("x");
    desk.send("AT+CSSLCFG=\"authmode\",0,2\r");
    desk.modem.reboot(desk.now);
    desk.pass(10_000);
    desk.play(
        r#"
        > ATE0\r
        < ATE0\r\r\nOK\r\n
        > AT+CGDCONT?\r
        < \r\n+CGDCONT: 1,"IP","iot.example","0.0.0.0",0,0,0,0\r\n\r\nOK\r\n
        > AT+CCERTLIST\r
        < \r\n+CCERTLIST: "ca.pem"\r\n\r\nOK\r\n
        > AT+CSSLCFG=0\r
        < \r\n+CSSLCFG: 0,4,0,1,300,"","","",0,"",0xFFFF\r\n\r\nOK\r\n
        > AT+CMQTTACCQ?\r
        < \r\nERROR\r\n
        "#,
    );
}

/// What users do against a lasting 14; the connection is dropped.
#[test]
fn a_busy_client_can_be_released() {
    let mut desk = Desk::of(Family::Sim7600).connected();
    desk.play(
        r#"
        ! hold
        > AT+CMQTTDISC=0,60\r
        < \r\nOK\r\n
        > AT+CMQTTDISC=0,60\r
        < \r\n+CMQTTDISC: 0,14\r\n\r\nERROR\r\n
        > AT+CMQTTREL=0\r
        < \r\nOK\r\n
        > AT+CMQTTSTOP\r
        < \r\n+CMQTTSTOP: 0\r\n\r\nOK\r\n
        "#,
    );
    let mut desk = Desk::of(Family::Sim7600).connected();
    desk.modem.receive(0, b"AT+CMQTTREL=0\r");
    let actions: Vec<Action> = desk.modem.requests().into_iter().map(|r| r.action).collect();
    assert_eq!(actions, [Action::Abort]);
}

#[test]
fn mqtt_31_is_the_default_of_the_a76xx() {
    let desk = Desk::of(Family::A76xx).connected();
    assert_eq!(desk.broker.connects()[0].version, 3);
    Desk::with(Family::A76xx, &[Quirk::Mqtt31Refused]).play(
        r#"
        > ATE0\r
        < ATE0\r\r\nOK\r\n
        > AT+CMQTTSTART\r
        < \r\nOK\r\n\r\n+CMQTTSTART: 0\r\n
        > AT+CMQTTACCQ=0,"c"\r
        < \r\nOK\r\n
        > AT+CMQTTCONNECT=0,"tcp://broker.example:1883",60,1\r
        < \r\nOK\r\n\r\n+CMQTTCONNECT: 0,27\r\n
        "#,
    );
}

#[test]
fn a_will_goes_out_when_the_connection_breaks() {
    let mut desk = Desk::of(Family::Sim7600);
    desk.play(
        r#"
        > ATE0\r
        < ATE0\r\r\nOK\r\n
        > AT+CMQTTSTART\r
        < \r\n+CMQTTSTART: 0\r\n\r\nOK\r\n
        > AT+CMQTTACCQ=0,"c"\r
        < \r\nOK\r\n
        > AT+CMQTTWILLTOPIC=0,4\r
        < \r\n>
        > will
        < \r\nOK\r\n
        > AT+CMQTTWILLMSG=0,4,1\r
        < \r\n>
        > gone
        < \r\nOK\r\n
        > AT+CMQTTCONNECT=0,"tcp://broker.example",60,1,"user","word"\r
        < \r\nOK\r\n\r\n+CMQTTCONNECT: 0,0\r\n
        > AT+CMQTTCONNECT?\r
        < \r\n+CMQTTCONNECT: 0,"tcp://broker.example",60,1,"user","word"\r\n
        < +CMQTTCONNECT: 1\r\n\r\nOK\r\n
        ! lose 0 1
        < \r\n+CMQTTCONNLOST: 0,1\r\n
        "#,
    );
    let message = &desk.broker.published()[0];
    assert_eq!((&message.topic[..], &message.payload[..]), (&b"will"[..], &b"gone"[..]));
}

// ---- limits and forms -------------------------------------------------------------------------

#[test]
fn test_forms_print_the_ranges_of_the_family() {
    for (family, command, answer) in [
        (Family::Sim7600, "+CMQTTPAYLOAD", "(0-1),(1-10240)"),
        (Family::Sim7600, "+CMQTTPUB", "(0-1),(0-2),(60-180),(0-1),(0-1)"),
        (Family::Sim7600, "+CMQTTACCQ", "(0-1),(1-128),(0-1),(3-4)"),
        (Family::A76xx, "+CMQTTPUB", "(0-1),(0-2),(1-180),(0-1),(0-1)"),
        (Family::A76xx, "+CMQTTACCQ", "(0-1),(1-128),(0-1)"),
        (Family::Sim767xx, "+CMQTTPAYLOAD", "(0-1),(1-4096)"),
        (Family::Sim767xx, "+CMQTTPUB", "(0-1),(0-2),(60-180),(0-1),(0-1)"),
    ] {
        let mut desk = Desk::of(family);
        let heard = desk.send(format!("AT{command}=?\r"));
        let expected = format!("AT{command}=?\r\r\n{command}: {answer}\r\n\r\nOK\r\n");
        assert_same(command, &heard, expected.as_bytes());
    }
    let mut old = Desk::with(Family::Sim7600, &[Quirk::M18Limits]);
    old.send("ATE0\r");
    let heard = old.send("AT+CMQTTACCQ=?\r");
    assert_same("2018", &heard, b"\r\n+CMQTTACCQ: (0-1),(1-23),(0-1)\r\n\r\nOK\r\n");
}

/// DOC: 559 characters on the SIM7600, 3071 on the others; a longer line is ERROR.
#[test]
fn a_line_that_does_not_fit_the_command_buffer_is_an_error() {
    for (family, buffer) in [(Family::Sim7600, 559), (Family::A76xx, 3071)] {
        let mut desk = Desk::of(family);
        desk.send("ATE0\r");
        let line = |length: usize| {
            let head = "AT+CGDCONT=1,\"IP\",\"";
            format!("{head}{}\"\r", "a".repeat(length - head.len() - 1))
        };
        assert_eq!(desk.send(line(buffer)), b"\r\nOK\r\n");
        assert_eq!(desk.send(line(buffer + 1)), b"\r\nERROR\r\n");
        assert_eq!(desk.send(line(3 * buffer)), b"\r\nERROR\r\n");
        assert_eq!(desk.send("AT\r"), b"\r\nOK\r\n");
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let mut desk = Desk::of(Family::Sim7600).connected();
    for (command, code) in [
        ("AT+CMQTTTOPIC=0,0", "+CMQTTTOPIC: 0,12"),
        ("AT+CMQTTTOPIC=0,1025", "+CMQTTTOPIC: 0,12"),
        ("AT+CMQTTPAYLOAD=0,10241", "+CMQTTPAYLOAD: 0,12"),
        ("AT+CMQTTSUB=0,5,3", "+CMQTTSUB: 0,12"),
        ("AT+CMQTTDISC=0,59", "+CMQTTDISC: 0,12"),
        ("AT+CMQTTTOPIC=2,5", "+CMQTTTOPIC: 2,10"),
    ] {
        let expected = format!("\r\n{code}\r\n\r\nERROR\r\n");
        assert_same(command, &desk.send(format!("{command}\r")), expected.as_bytes());
    }
    for command in ["AT+CMQTTUNSUB=0", "AT+CMQTTPUB=0,1", "AT+CMQTTSUB=0,1,2,0,0", "AT+NONSENSE=1"]
    {
        assert_same(command, &desk.send(format!("{command}\r")), b"\r\nERROR\r\n");
    }
}

#[test]
fn data_is_counted_and_nothing_else() {
    let mut desk = Desk::of(Family::Sim7600).connected();
    desk.play(
        r#"
        > AT+CMQTTTOPIC=0,1\r
        < \r\n>
        > t
        < \r\nOK\r\n
        > AT+CMQTTPAYLOAD=0,14\r
        < \r\n>
        # neither CR nor Ctrl-Z nor ESC ends it, and a command in between is data
        > AT+CSQ\r
        > \x1a\x1b\n>
        ! pass 3600000
        > ab\r
        < \r\nOK\r\n
        # one line end too many does no harm
        > \r\n
        > AT+CMQTTPUB=0,0,60\r
        < \r\nOK\r\n\r\n+CMQTTPUB: 0,0\r\n
        "#,
    );
    assert_eq!(desk.broker.published()[0].payload, b"AT+CSQ\r\x1a\x1b\n>ab\r");
}

#[test]
fn certificates_and_tls_contexts() {
    Desk::of(Family::Sim7600).play(
        r#"
        > ATE0\r
        < ATE0\r\r\nOK\r\n
        > AT+CSSLCFG=1\r
        < \r\n+CSSLCFG: 1,4,0,1,300,"","","",0,"",0xFFFF\r\n\r\nOK\r\n
        > AT+CSSLCFG="authmode",1,4\r
        < \r\nERROR\r\n
        > AT+CSSLCFG="authmode",1,1\r
        < \r\nOK\r\n
        > AT+CSSLCFG="cacert",1,"abc"\r
        < \r\nERROR\r\n
        > AT+CSSLCFG="cacert",1,"ca.pem"\r
        < \r\nOK\r\n
        > AT+CSSLCFG="enableSNI",1,1\r
        < \r\nOK\r\n
        > AT+CSSLCFG=1\r
        < \r\n+CSSLCFG: 1,4,1,1,300,"ca.pem","","",1,"",0xFFFF\r\n\r\nOK\r\n
        > AT+CMQTTSTART\r
        < \r\n+CMQTTSTART: 0\r\n\r\nOK\r\n
        > AT+CMQTTACCQ=1,"c",1\r
        < \r\nOK\r\n
        # without CMQTTSSLCFG the context is that of the client; its file is not there
        > AT+CMQTTCONNECT=1,"tcp://broker.example:8883",60,1\r
        < \r\n+CMQTTCONNECT: 1,33\r\n\r\nERROR\r\n
        > AT+CCERTDOWN="ca.pem",2\r
        < \r\n>
        > xy
        < \r\nOK\r\n
        > AT+CMQTTCONNECT=1,"tcp://broker.example:8883",60,1\r
        < \r\nOK\r\n\r\n+CMQTTCONNECT: 1,0\r\n
        > AT+CCERTDELE="ca.pem"\r
        < \r\nOK\r\n
        > AT+CCERTDELE="ca.pem"\r
        < \r\nERROR\r\n
        "#,
    );
    Desk::with(Family::Sim7600, &[Quirk::NoSslversion]).play(
        r#"
        > AT+CSSLCFG="sslversion",0,4\r
        < AT+CSSLCFG="sslversion",0,4\r\r\nERROR\r\n
        "#,
    );
}

#[test]
fn error_forms_and_the_pin() {
    let mut desk = Desk::new(Config { sim: Sim::Pin("1234".into()), ..Config::default() });
    desk.play(
        r#"
        > ATE0\r
        < ATE0\r\r\nOK\r\n
        > AT+CPIN?\r
        < \r\n+CPIN: SIM PIN\r\n\r\nOK\r\n
        > AT+CREG?\r
        < \r\n+CREG: 0,2\r\n\r\nOK\r\n
        > AT+CPIN="4321"\r
        < \r\n+CME ERROR: incorrect password\r\n
        > AT+CMEE=1\r
        < \r\nOK\r\n
        > AT+CPIN="4321"\r
        < \r\n+CME ERROR: 16\r\n
        > AT+CMEE=0\r
        < \r\nOK\r\n
        > AT+CPIN="4321"\r
        < \r\nERROR\r\n
        > AT+CPIN="1234"\r
        < \r\nOK\r\n
        ! pass 300
        < \r\n+CPIN: READY\r\n
        > AT+CREG?\r
        < \r\n+CREG: 0,1\r\n\r\nOK\r\n
        > AT+CMEE?\r
        < \r\n+CMEE: 0\r\n\r\nOK\r\n
        "#,
    );
}

// ---- receiving --------------------------------------------------------------------------------

fn subscribed(quirks: &[Quirk]) -> Desk {
    let mut desk = Desk::with(Family::Sim7600, quirks).connected();
    desk.send("AT+CMQTTSUB=0,1,0\r");
    assert!(desk.send("#").ends_with(b"+CMQTTSUB: 0,0\r\n"));
    desk
}

/// 338 = 256 + 82 in a log of 2020; 1520 = 1500 + 20 and one part of 265 in later ones.
#[test]
fn chunk_sizes() {
    for (quirks, length, parts) in [
        (&[Quirk::Chunk256][..], 338, &[256, 82][..]),
        (&[Quirk::Chunk1500], 1520, &[1500, 20]),
        (&[], 1520, &[1500, 20]),
        (&[], 265, &[265]),
        (&[Quirk::ChunkNone], 10240, &[10240]),
    ] {
        let mut desk = subscribed(quirks);
        let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
        desk.broker.publish(b"bin", &payload, false);
        let mut expected = format!("\r\n+CMQTTRXSTART: 0,3,{length}\r\n").into_bytes();
        expected.extend(b"+CMQTTRXTOPIC: 0,3\r\nbin\r\n");
        let mut rest = &payload[..];
        for part in parts {
            let (now, later) = rest.split_at(*part);
            expected.extend(format!("+CMQTTRXPAYLOAD: 0,{part}\r\n").into_bytes());
            expected.extend(now);
            expected.extend(b"\r\n");
            rest = later;
        }
        expected.extend(b"+CMQTTRXEND: 0\r\n");
        assert_same("a message", &desk.read(), &expected);
    }
}

#[test]
fn blank_lines_and_split_topics() {
    let message = b"! publish abc/def/gh hi";
    for (quirk, expected) in [
        // Constructed from the manual's "for long topic".
        (
            Quirk::SplitTopic,
            "\r\n+CMQTTRXSTART: 0,10,2\r\n+CMQTTRXTOPIC: 0,6\r\nabc/de\r\n\
             +CMQTTRXTOPIC: 0,4\r\nf/gh\r\n+CMQTTRXPAYLOAD: 0,2\r\nhi\r\n+CMQTTRXEND: 0\r\n",
        ),
        // Log of a "sim7672".
        (
            Quirk::BlankLines,
            "\r\n+CMQTTRXSTART: 0,10,2\r\n\r\n+CMQTTRXTOPIC: 0,10\r\nabc/def/gh\r\n\
             \r\n+CMQTTRXPAYLOAD: 0,2\r\nhi\r\n\r\n+CMQTTRXEND: 0\r\n",
        ),
        // Log of a SIM7600 class module.
        (
            Quirk::BlankAfterRxstart,
            "\r\n+CMQTTRXSTART: 0,10,2\r\n\r\n+CMQTTRXTOPIC: 0,10\r\nabc/def/gh\r\n\
             +CMQTTRXPAYLOAD: 0,2\r\nhi\r\n+CMQTTRXEND: 0\r\n",
        ),
    ] {
        let mut desk = subscribed(&[quirk]);
        let heard = desk.event(std::str::from_utf8(&message[2..]).expect("ASCII"));
        assert_same(quirk.name(), &heard, expected.as_bytes());
    }
}

#[test]
fn a_message_comes_between_lines_and_never_inside_one() {
    let delays = Delays { echo: 10, answer: 20, ..Delays::default() };
    let mut desk = Desk::new(Config { delays, ..Config::default() });
    let setup = [
        "AT+CMQTTSTART\r",
        "AT+CMQTTACCQ=0,\"c\"\r",
        "AT+CMQTTCONNECT=0,\"tcp://b.example\",60,1\r",
        "AT+CMQTTSUB=0,1,0\r",
        "#",
    ];
    for command in setup {
        desk.send(command);
        desk.pass(100);
    }
    let rx = |payload: &str| {
        format!(
            "\r\n+CMQTTRXSTART: 0,1,1\r\n+CMQTTRXTOPIC: 0,1\r\nt\r\n\
            +CMQTTRXPAYLOAD: 0,1\r\n{payload}\r\n+CMQTTRXEND: 0\r\n"
        )
    };
    assert_eq!(desk.send("AT+CSQ\r"), b"");
    let before_echo = desk.event("publish t 1");
    let mut heard = before_echo;
    heard.extend(desk.pass(15));
    heard.extend(desk.event("publish t 2"));
    heard.extend(desk.pass(15));
    let expected = format!("{}AT+CSQ\r{}\r\n+CSQ: 20,99\r\n\r\nOK\r\n", rx("1"), rx("2"));
    assert_same("a query", &heard, expected.as_bytes());
}

#[test]
fn a_retained_message_and_a_message_of_the_other_client() {
    let mut desk = Desk::of(Family::Sim7600).connected();
    desk.broker.publish(b"t/r", b"kept", true);
    desk.play(
        r#"
        > AT+CMQTTACCQ=1,"d"\r
        < \r\nOK\r\n
        > AT+CMQTTCONNECT=1,"tcp://b.example:1883",60,1\r
        < \r\nOK\r\n\r\n+CMQTTCONNECT: 1,0\r\n
        > AT+CMQTTSUB=1,3,0\r
        < \r\n>
        > t/r
        < \r\nOK\r\n\r\n+CMQTTSUB: 1,0\r\n
        < \r\n+CMQTTRXSTART: 1,3,4\r\n+CMQTTRXTOPIC: 1,3\r\nt/r\r\n
        < +CMQTTRXPAYLOAD: 1,4\r\nkept\r\n+CMQTTRXEND: 1\r\n
        "#,
    );
}

// ---- quirks -----------------------------------------------------------------------------------

#[test]
fn orders_that_can_be_switched() {
    Desk::with(Family::Sim7600, &[Quirk::OkBeforeResult, Quirk::PlainStartError]).play(
        r#"
        > AT+CMQTTSTART\r
        < AT+CMQTTSTART\r\r\nOK\r\n\r\n+CMQTTSTART: 0\r\n
        > AT+CMQTTSTART\r
        < AT+CMQTTSTART\r\r\nERROR\r\n
        "#,
    );
    Desk::with(Family::A76xx, &[Quirk::ResultBeforeOk, Quirk::ErrorThenResult]).connected().play(
        r#"
        > AT+CMQTTDISC=0,60\r
        < \r\n+CMQTTDISC: 0,0\r\n\r\nOK\r\n
        > AT+CMQTTDISC=0,60\r
        < \r\nERROR\r\n\r\n+CMQTTDISC: 0,11\r\n
        "#,
    );
}

#[test]
fn echo_prompt_and_number_quirks() {
    let quirks = [Quirk::LostEcho, Quirk::PromptSpace, Quirk::NumericCme, Quirk::SimBusy];
    Desk::with(Family::A76xx, &quirks).play(
        r#"
        > AT\r
        < \r\nOK\r\n
        > AT\r
        < AT\r\r\nOK\r\n
        > AT+CCERTDOWN="ca.pem",1\r
        < \r\n>\x20
        > x
        < x\r\nOK\r\n
        # log of an A7608SA
        > AT+CPIN?\r
        < AT+CPIN?\r\r\n+CME ERROR: 313\r\n
        > AT+CPIN?\r
        < \r\n+CME ERROR: 313\r\n
        > AT+CPIN?\r
        < AT+CPIN?\r\r\n+CME ERROR: 14\r\n
        "#,
    );
    let mut desk = Desk::with(Family::A76xx, &[Quirk::EchoSticky]);
    desk.send("ATE0\r");
    desk.modem.reboot(0);
    assert_eq!(desk.pass(10_000)[..9], *b"\r\n*ATREAD");
    assert_eq!(desk.send("AT\r"), b"\r\nOK\r\n");
}

#[test]
fn a_slow_boot_and_a_loss_without_words() {
    let mut desk = Desk::new(Config {
        boot: BootState::ColdBoot,
        quirks: [Quirk::SlowBoot].into_iter().collect(),
        ..Config::default()
    });
    assert_eq!(desk.pass(8999), b"");
    assert_eq!(desk.pass(1), b"\r\nRDY\r\n");
    desk.pass(1300);
    desk.send("ATE0\r");
    assert_eq!(desk.send("AT+CREG?\r"), b"\r\n+CREG: 0,2\r\n\r\nOK\r\n");
    desk.pass(10_000);
    assert_eq!(desk.send("AT+CREG?\r"), b"\r\n+CREG: 0,1\r\n\r\nOK\r\n");

    Desk::with(Family::Sim7600, &[Quirk::QuietLoss]).connected().play(
        r#"
        > AT+CRESET\r
        < \r\nOK\r\n
        ! pass 1020
        < \r\nRDY\r\n
        "#,
    );
}

// ---- faults -----------------------------------------------------------------------------------

#[test]
fn bytes_are_lost_changed_and_invented() {
    let clean = b"AT\r\r\nOK\r\n";
    assert_eq!(Desk::faulty(&[Fault::Drop(6)]).send("AT\r"), b"AT\r\r\nK\r\n");
    let garbled = Desk::faulty(&[Fault::Garble(6)]).send("AT\r");
    assert!(garbled.len() == clean.len() && garbled[5] != b'O' && garbled[6..] == clean[6..]);
    let inserted = Desk::faulty(&[Fault::Insert(6)]).send("AT\r");
    assert!(inserted[..5] == clean[..5] && inserted[6..] == clean[5..]);
    assert_eq!(Desk::faulty(&[Fault::RxDrop(4)]).send("AT\r"), clean);
    assert_eq!(Desk::faulty(&[Fault::RxDrop(1)]).send("AT\r"), b"T\r");
}

#[test]
fn noise_is_the_same_for_the_same_seed() {
    let run = |seed| {
        let faults = vec![Fault::Noise(10), Fault::Storm(1)];
        let mut desk = Desk::new(Config { seed, faults, ..Config::default() });
        (0..20).flat_map(|_| desk.send("AT+CSQ\r")).collect::<Vec<u8>>()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn a_split_line_comes_byte_by_byte() {
    let mut modem = Modem::new(Config { faults: vec![Fault::Split], ..Config::default() });
    modem.receive(5, b"AT\r");
    for byte in b"AT\r\r\nOK\r\n" {
        assert_eq!(modem.deadline(), Some(5));
        assert_eq!(modem.transmit(5), [*byte]);
    }
    assert_eq!(modem.transmit(5), b"");
    assert_eq!(modem.deadline(), None);
}

#[test]
fn a_reboot_in_the_middle_of_a_line() {
    let mut desk = Desk::faulty(&[Fault::Reboot(5)]);
    assert_eq!(desk.send("AT\r"), b"AT\r\r\n");
    assert_eq!(desk.send("AT\r"), b"");
    assert_eq!(desk.pass(1000), b"\r\nRDY\r\n");
    assert_eq!(desk.send("AT\r"), b"AT\r\r\nOK\r\n");
}

#[test]
fn a_storm_and_then_silence() {
    let mut desk = Desk::faulty(&[Fault::Storm(3), Fault::Silent(1)]);
    let heard = desk.send("AT\r");
    assert!(heard.starts_with(b"AT\r\r\n") && heard.ends_with(b"\r\n\r\nOK\r\n"));
    assert_eq!(heard.windows(2).filter(|pair| pair == b"\r\n").count(), 2 * 4);
    assert_eq!(desk.send("AT\r"), b"");
    assert_eq!(desk.pass(1_000_000), b"");
    desk.modem.power_cycle(desk.now);
    desk.pass(10_000);
    assert_ne!(desk.send("AT\r"), b"");
}

#[test]
fn a_connection_lost_after_an_operation() {
    let mut desk = Desk::faulty(&[Fault::Lost(2)]).connected();
    desk.play(
        r#"
        > AT+CMQTTSUB=0,1,0\r
        < \r\n>
        > t
        < \r\nOK\r\n\r\n+CMQTTSUB: 0,0\r\n\r\n+CMQTTCONNLOST: 0,1\r\n
        "#,
    );
    assert!(!desk.modem.is_connected(0));
}

// ---- any input --------------------------------------------------------------------------------

/// Pieces of conversations, to be strung together at random.
const PIECES: &[&str] = &[
    "AT\r",
    "ATE0\r",
    "ATE1\r\n",
    "AT+CMQTTSTART\r",
    "AT+CMQTTSTOP\r",
    "AT+CMQTTACCQ=0,\"c\",1\r",
    "AT+CMQTTACCQ=1,\"d\"\r",
    "AT+CMQTTREL=0\r",
    "AT+CMQTTCFG=\"argtopic\",1,1,1\r",
    "AT+CMQTTCONNECT=0,\"tcp://b.example:1\",60,1\r",
    "AT+CMQTTCONNECT=1,\"tcp://b.example\",60,0\r",
    "AT+CMQTTTOPIC=1,3\r",
    "t/a",
    "AT+CMQTTPAYLOAD=1,2\r",
    "AT+CMQTTPUB=1,2,60\r",
    "AT+CRESET\r",
    "AT+CMQTTSUB=1,1,1\r",
    "#",
    "AT+CMQTTPUB=1,\"t\",0,2\r",
    "AT+CMQTTDISC=1,60\r",
    "AT+CFUN=4\r",
    "AT+CFUN=1\r",
    "AT+CMQTTUNSUB=1,1,0\r",
    "AT+CMQTTDISC?\r",
    "AT+CSSLCFG?\r",
    "AT+CPIN?\r",
    "\r",
    "\n",
    "AT+CMQTTSUB=1\r",
    "AT+CMQTTSUB=0,300\r",
    "AT+CMQTTCFG=\"\",9\r",
    "AT+CSSLCFG=\"authmode\",11,1\r",
    "\"",
    ",",
];

/// A conversation of random pieces, bytes, events and pauses; gives what the host heard.
fn ramble(seed: u64, all_at_once: bool) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let family = Family::ALL[dice.roll(3) as usize];
    let quirks = Quirk::ALL.into_iter().filter(|_| dice.roll(4) == 0).collect();
    let mut desk = Desk::new(Config { family, quirks, seed, ..Config::default() });
    desk.ramble(&mut dice, PIECES, all_at_once)
}

#[test]
fn no_conversation_upsets_the_modem_and_no_cut_changes_it() {
    for seed in 0..300 {
        assert!(ramble(seed, true) == ramble(seed, false), "seed {seed}");
    }
}

#[test]
fn a_deadline_leads_to_the_next_event() {
    let boot = BootState::ColdBoot;
    let mut modem = Modem::new(Config { boot, ..Config::default() });
    let mut heard = Vec::new();
    while let Some(deadline) = modem.deadline() {
        heard.push((deadline, modem.transmit(deadline).escape_ascii().to_string()));
    }
    heard.retain(|(_, bytes)| !bytes.is_empty());
    let expected = [
        (1000, "\\r\\nRDY\\r\\n"),
        (1300, "\\r\\n+CPIN: READY\\r\\n"),
        (1800, "\\r\\nSMS DONE\\r\\n"),
        (2300, "\\r\\nPB DONE\\r\\n"),
    ];
    assert_eq!(heard, expected.map(|(at, bytes)| (at, bytes.to_owned())));
}
