//! The dialogue, byte for byte. The expected bytes come from logs of real modems, from the
//! vendor's manuals and guides, and where no log exists from the framing that they document; each
//! test says from which. For the notation of the scripts see [`crate::desk`].

use super::*;
use crate::Fault;
use crate::desk::unescape;
use crate::fault::Dice;

type Desk = crate::desk::Desk<Modem>;

impl Desk {
    /// Nothing takes time; echo is on.
    fn of(family: Family) -> Self {
        Desk::new(Config { family, delays: Delays::NONE, ..Config::default() })
    }

    fn with(quirks: &[Quirk]) -> Self {
        let quirks = quirks.iter().copied().collect();
        Desk::new(Config { quirks, delays: Delays::NONE, ..Config::default() })
    }

    fn faulty(faults: &[Fault]) -> Self {
        let faults = faults.to_vec();
        Desk::new(Config { faults, delays: Delays::NONE, ..Config::default() })
    }

    fn quiet(mut self) -> Self {
        self.send("ATE0\r\n");
        self
    }

    /// Echo off, TCP connection open.
    fn open(self) -> Self {
        let mut desk = self.quiet();
        let answer = desk.send("AT+MIPSTART=\"b.example\",1883\r\n");
        assert!(answer.starts_with(b"\r\nOK\r\n\r\nCONNECT OK"), "{}", answer.escape_ascii());
        desk
    }

    /// Echo off, connected.
    fn connected(self) -> Self {
        let mut desk = self.open();
        desk.play(
            r#"
            > AT+MCONNECT=1,60\r\n
            < \r\nOK\r\n\r\nCONNACK OK\r\n
            "#,
        );
        desk
    }

    /// Connected and subscribed to everything.
    fn subscribed(self) -> Self {
        let mut desk = self.connected();
        desk.play(
            r#"
            > AT+MSUB=#,0\r\n
            < \r\nOK\r\n\r\nSUBACK\r\n
            "#,
        );
        desk
    }
}

// ---- whole conversations ----------------------------------------------------------------------

/// Capture of an Air780EP V1007 with its times: QoS 0, 1, 2, SUBACK and retained in one burst.
#[test]
fn second_phases_come_when_the_capture_has_them() {
    let mut desk = Desk::new(Config::default());
    desk.broker.publish(b"mqtt/sub_topic", b"123456HHHHHHHHHHHHHH", true);
    desk.play(
        r#"
        > AT+MIPSTART="lbsmqtt.airm2m.com","1884"\r\n
        < AT+MIPSTART="lbsmqtt.airm2m.com","1884"\r
        ! pass 4
        < \r\nOK\r\n
        ! pass 192
        ! pass 1
        < \r\nCONNECT OK\r\n
        ! pass 700
        > AT+MCONNECT=1,60\r\n
        < AT+MCONNECT=1,60\r
        ! pass 4
        < \r\nOK\r\n
        ! pass 54
        ! pass 1
        < \r\nCONNACK OK\r\n
        ! pass 2044
        > AT+MPUB="mqtt/pub_topic",0,0,"publish 0 payload"\r\n
        < AT+MPUB="mqtt/pub_topic",0,0,"publish 0 payload"\r
        ! pass 4
        < \r\nOK\r\n
        ! pass 1572
        > AT+MPUB="mqtt/pub_topic",1,0,"publish 1 payload"\r\n
        < AT+MPUB="mqtt/pub_topic",1,0,"publish 1 payload"\r
        ! pass 4
        < \r\nOK\r\n
        ! pass 58
        ! pass 1
        < \r\nPUBACK\r\n
        > AT+MPUB="mqtt/pub_topic",2,0,"publish 2 payload"\r\n
        < AT+MPUB="mqtt/pub_topic",2,0,"publish 2 payload"\r
        ! pass 4
        < \r\nOK\r\n
        ! pass 50
        < \r\nPUBREC\r\n
        ! pass 32
        ! pass 1
        < \r\nPUBCOMP\r\n
        > AT+MSUB="mqtt/sub_topic",0\r\n
        < AT+MSUB="mqtt/sub_topic",0\r
        ! pass 4
        < \r\nOK\r\n
        ! pass 117
        ! pass 1
        < \r\nSUBACK\r\n
        < \r\n+MSUB: "mqtt/sub_topic",20 byte,123456HHHHHHHHHHHHHH\r\n
        ! publish mqtt/sub_topic {\n  "msg": "hello"\n}
        < \r\n+MSUB: "mqtt/sub_topic",20 byte,{\n  "msg": "hello"\n}\r\n
        "#,
    );
    let payloads: Vec<_> = desk.broker.published().iter().map(|m| (m.qos, m.retain)).collect();
    assert_eq!(payloads[1..4], [(0, false), (1, false), (2, false)]);
}

/// Page of the Air700EAQ V2019, echo off: no loss line after a local close.
#[test]
fn a_plain_session() {
    Desk::of(Family::Air700eaqV2019).quiet().play(
        r#"
        > ATI\r\n
        < \r\nAirM2M_700EAQ_V2019_LTE_AT\r\n\r\nOK\r\n
        > AT+CGREG?\r\n
        < \r\n+CGREG: 0,1\r\n\r\nOK\r\n
        > AT+CGATT?\r\n
        < \r\n+CGATT: 1\r\n\r\nOK\r\n
        > AT+MCONFIG=000000000000000,root,xxxxxxxx\r\n
        < \r\nOK\r\n
        > AT+MIPSTART="airtest.openluat.com","1883"\r\n
        < \r\nOK\r\n\r\nCONNECT OK\r\n
        > AT+MCONNECT=1,60\r\n
        < \r\nOK\r\n\r\nCONNACK OK\r\n
        > AT+MSUB="mqtt/pub",0\r\n
        < \r\nOK\r\n\r\nSUBACK\r\n
        > AT+MPUB="mqtt/sub",0,0,"data from 4G module"\r\n
        < \r\nOK\r\n
        ! publish mqtt/pub data from tcp server
        < \r\n+MSUB: "mqtt/pub",20 byte,data from tcp server\r\n
        > AT+MUNSUB="mqtt/pub"\r\n
        < \r\nOK\r\n\r\nUNSUBACK\r\n
        ! publish mqtt/pub unheard
        > AT+MDISCONNECT\r\n
        < \r\nOK\r\n
        > AT+MIPCLOSE\r\n
        < \r\nOK\r\n
        "#,
    );
}

/// Capture of an Air780E V1169: identity before registration, which comes in a burst.
#[test]
fn a_cold_boot() {
    let boot = BootState::ColdBoot;
    Desk::new(Config { boot, delays: Delays::NONE, ..Config::default() }).play(
        r#"
        > AT\r\n
        ! pass 300
        < \r\n^boot.rom'v'!\\n\r\n
        ! pass 1000
        < \r\nRDY\r\n
        > ATI\r\n
        < ATI\r\r\nAirM2M_780E_V1169_LTE_AT\r\n\r\nOK\r\n
        > AT+CGSN\r\n
        < AT+CGSN\r\r\n860000000000000\r\n\r\nOK\r\n
        > AT+CPIN?\r\n
        < AT+CPIN?\r\r\n+CPIN: READY\r\n\r\nOK\r\n
        > AT+CGATT?\r\n
        < AT+CGATT?\r\r\n+CGATT: 0\r\n\r\nOK\r\n
        ! pass 3100
        < \r\n^MODE: 17,17\r\n\r\n+E_UTRAN Service\r\n\r\n+CGEV: ME PDN ACT 1,0\r\n
        ! pass 27
        < \r\n+NITZ: 2026/11/20,12:00:00+32,0\r\n
        "#,
    );
}

/// Captures and manual: the prefixes of the identification.
#[test]
fn identification() {
    Desk::of(Family::Air780e).quiet().play(
        r#"
        > AT+CGMR\r
        < \r\n+CGMR: "AirM2M_780E_V1169_LTE_AT"\r\n\r\nOK\r\n
        > AT+CGMI\r
        < \r\n+CGMI: "AirM2M"\r\n\r\nOK\r\n
        > AT+CGMM\r
        < \r\n+CGMM: "Air780E"\r\n\r\nOK\r\n
        > AT+VER\r
        < \r\nAirM2M_780E_V1169_LTE_AT\r\n\r\nOK\r\n
        "#,
    );
    let other = |text: &str| Some(text.to_owned());
    Desk::new(Config {
        manufacturer: other("DX-SMART"),
        model: other("DX-CT511"),
        revision: other("DX-CT511-A"),
        delays: Delays::NONE,
        ..Config::default()
    })
    .quiet()
    .play(
        r#"
        > ATI\r
        < \r\nDX-CT511-A\r\n\r\nOK\r\n
        > AT+CGMI\r
        < \r\n+CGMI: "DX-SMART"\r\n\r\nOK\r\n
        "#,
    );
}

/// Capture of an Air780E V1165: no SIM, radio off and on, a reset without boot lines (USB).
#[test]
fn no_sim_and_a_cycle_of_the_radio() {
    let sim = Sim::Absent;
    Desk::new(Config { sim, delays: Delays::NONE, ..Config::default() }).quiet().play(
        r#"
        > AT+CPIN?\r\n
        < \r\n+CME ERROR: 10\r\n
        > AT+CREG?\r\n
        < \r\n+CREG: 0,2\r\n\r\nOK\r\n
        "#,
    );
    let quirks = Quirks::NONE.with(Quirk::QuietBoot).with(Quirk::NitzEmptyField);
    let delays = Delays { answer: 0, ..Delays::default() };
    Desk::new(Config { quirks, delays, ..Config::default() }).quiet().play(
        r#"
        > AT+CFUN=0\r\n
        < \r\nOK\r\n\r\n+CGEV: ME DETACH\r\n
        > AT+CFUN=1\r\n
        ! pass 137
        < \r\nOK\r\n
        ! pass 1531
        < \r\n^MODE: 17,17\r\n\r\n+E_UTRAN Service\r\n\r\n+CGEV: ME PDN ACT 1,0\r\n
        ! pass 27
        < \r\n+NITZ: 2026/11/20,12:00:00+32, \r\n
        > AT+RESET\r\n
        < \r\nOK\r\n
        ! pass 4420
        < \r\n^MODE: 17,17\r\n\r\n+E_UTRAN Service\r\n\r\n+CGEV: ME PDN ACT 1,0\r\n
        "#,
    );
}

/// Listings of an Air780EP V1007: slots, table, fetch; the slots begin again after a fetch.
#[test]
fn the_cache() {
    let mut desk = Desk::of(Family::Air780e).subscribed();
    desk.play(
        r#"
        > AT+MQTTMSGSET=1\r\n
        < \r\nOK\r\n
        > AT+MQTTMSGSET?\r\n
        < \r\n+MQTTMSGSET:1\r\n\r\nOK\r\n
        > AT+MQTTMSGSET=?\r\n
        < \r\n+MQTTMSGSET:(0,1)\r\n\r\nOK\r\n
        ! publish mqtt/pub_topic publish 1 payload
        < \r\n+MSUB: 0\r\n
        > AT+MQTTMSGGET?\r\n
        < \r\n+MQTTMSGGET: 0,VALID\r\n
        < +MQTTMSGGET: 1,INVALID\r\n
        < +MQTTMSGGET: 2,INVALID\r\n
        < +MQTTMSGGET: 3,INVALID\r\n
        < \r\nOK\r\n
        > AT+MQTTMSGGET\r\n
        < \r\n+MSUB: "mqtt/pub_topic",17 byte,publish 1 payload\r\n
        < \r\nOK\r\n
        ! publish mqtt/sub_topic {\n  "msg": "hello"\n}
        < \r\n+MSUB: 0\r\n
        ! publish mqtt/sub_topic {\n  "msg": "hello"\n}
        < \r\n+MSUB: 1\r\n
        > AT+MQTTMSGGET\r\n
        < \r\n+MSUB: "mqtt/sub_topic",20 byte,{\n  "msg": "hello"\n}\r\n
        < +MSUB: "mqtt/sub_topic",20 byte,{\n  "msg": "hello"\n}\r\n
        < \r\nOK\r\n
        > AT+MQTTMSGGET\r\n
        < \r\nOK\r\n
        "#,
    );
}

/// Guide: four slots, the newest message overwrites the oldest.
#[test]
fn a_fifth_message_takes_the_first_slot() {
    let five = r#"
        > AT+MQTTMSGSET=1\r\n
        < \r\nOK\r\n
        ! publish t 1
        < \r\n+MSUB: 0\r\n
        ! publish t 2
        < \r\n+MSUB: 1\r\n
        ! publish t 3
        < \r\n+MSUB: 2\r\n
        ! publish t 4
        < \r\n+MSUB: 3\r\n
        ! publish t 5
        < \r\n+MSUB: 0\r\n
        > AT+MQTTMSGGET\r\n
        "#;
    let order = |quirks: &[Quirk], order: [u8; 4]| {
        let mut script = five.to_owned() + "< \\r\\n";
        for digit in order {
            script += &format!("\n< +MSUB: \"t\",1 byte,{digit}\\r\\n");
        }
        Desk::with(quirks).subscribed().play(&(script + "\n< \\r\\nOK\\r\\n"));
    };
    order(&[], [5, 2, 3, 4]);
    order(&[Quirk::CachedByAge], [2, 3, 4, 5]);
}

/// Manual example and a listing: the two spellings without quotes.
#[test]
fn cached_messages_without_quotes() {
    let two = r#"
        > AT+MQTTMSGSET?\r\n
        < \r\n+MQTTMSGSET:1\r\n\r\nOK\r\n
        ! publish mqtt/topic SSSSddddd
        < \r\n+MSUB: 0\r\n
        ! publish mqtt/sub_topic 123456
        < \r\n+MSUB: 1\r\n
        > AT+MQTTMSGGET\r\n
        "#;
    Desk::with(&[Quirk::CachedUnquoted, Quirk::CachedByDefault]).subscribed().play(&format!(
        r#"{two}
        < \r\n+MSUB: mqtt/topic,9 byte,SSSSddddd\r\n
        < +MSUB: mqtt/sub_topic,6 byte,123456\r\n
        < \r\nOK\r\n
        "#
    ));
    Desk::with(&[Quirk::CachedTight, Quirk::CachedByDefault]).subscribed().play(&format!(
        r#"{two}
        < \r\n+MSUB:mqtt/topic,9 byte,SSSSddddd\r\n
        < \r\n+MSUB:mqtt/sub_topic,6 byte,123456\r\n
        < \r\nOK\r\n
        "#
    ));
}

/// Capture of an Air780EP: data is not echoed, raw data before OK, no OK after FSMEM.
#[test]
fn the_file_system() {
    let file_space = Some(64_110);
    Desk::new(Config { file_space, delays: Delays::NONE, ..Config::default() }).play(
        r#"
        > AT+FSMKDIR="/testdir"\r\n
        < AT+FSMKDIR="/testdir"\r\r\nOK\r\n
        > AT+FSMKDIR="/testdir/testdir"\r\n
        < AT+FSMKDIR="/testdir/testdir"\r\r\nOK\r\n
        > AT+FSCREATE="/testdir/test.txt"\r\n
        < AT+FSCREATE="/testdir/test.txt"\r\r\nOK\r\n
        > AT+FSLS="/testdir"\r\n
        < AT+FSLS="/testdir"\r\r\ntest.txt\r\ntestdir\\\r\n\r\nOK\r\n
        > AT+FSWRITE="/testdir/test.txt",0,10,10\r\n
        < AT+FSWRITE="/testdir/test.txt",0,10,10\r\r\n>
        ! pass 2754
        > 1234567890
        < \r\nOK\r\n
        > AT+FSREAD="/testdir/test.txt",0,10,10\r\n
        < AT+FSREAD="/testdir/test.txt",0,10,10\r\r\n1234567890\r\nOK\r\n
        > AT+FSMEM\r\n
        < AT+FSMEM\r\r\n+FSMEM: 64100 bytes\r\n
        > AT+FSFLSIZE="/testdir/test.txt"\r\n
        < AT+FSFLSIZE="/testdir/test.txt"\r\r\n+FSFLSIZE: 10\r\n\r\nOK\r\n
        > AT+FSDEL="/testdir/test.txt"\r\n
        < AT+FSDEL="/testdir/test.txt"\r\r\nOK\r\n
        > AT+FSRMDIR="/testdir/testdir"\r\n
        < AT+FSRMDIR="/testdir/testdir"\r\r\nOK\r\n
        "#,
    );
}

/// Manual: files are appended to, survive a restart, and end at what there is room for.
#[test]
fn files_and_their_errors() {
    let file_space = Some(8);
    Desk::new(Config { file_space, delays: Delays::NONE, ..Config::default() }).quiet().play(
        r#"
        > AT+FSFLSIZE="ca.crt"\r\n
        < \r\n+CME ERROR: 62\r\n
        > AT+FSWRITE="ca.crt",0,4,10\r\n
        < \r\n+CME ERROR: 62\r\n
        > AT+FSCREATE=ca.crt\r\n
        < \r\nOK\r\n
        > AT+FSWRITE="ca.crt",0,4,10\r\n
        < \r\n>
        > \r\nAT
        < \r\nOK\r\n
        > AT+FSWRITE="ca.crt",1,4,10\r\n
        < \r\n>
        > 1234AT\r\n
        < \r\nOK\r\n\r\nOK\r\n
        > AT+FSREAD="ca.crt",1,10,3\r\n
        < \r\nT1234\r\nOK\r\n
        > AT+FSWRITE="ca.crt",1,1,10\r\n
        < \r\n+CME ERROR: 63\r\n
        > AT+FSWRITE="ca.crt",0,3,10\r\n
        < \r\n>
        > 12
        ! pass 9999
        ! pass 1
        < \r\nTimeOut\r\n
        ! reboot
        ! pass 1300
        < \r\n^boot.rom'v'!\\n\r\n\r\nRDY\r\n
        > ATE0\r\n
        < ATE0\r\r\nOK\r\n
        > AT+FSFLSIZE="/ca.crt"\r\n
        < \r\n+FSFLSIZE: 8\r\n\r\nOK\r\n
        > AT+FSLS="/"\r\n
        < \r\nca.crt\r\n\r\nOK\r\n
        > AT+FSWRITE="ca.crt",0,10241,10\r\n
        < \r\nERROR\r\n
        > AT+FSLIST="/"\r\n
        < \r\nERROR\r\n
        "#,
    );
    Desk::with(&[Quirk::MissingFile100, Quirk::EmptyDirectoryError]).quiet().play(
        r#"
        > AT+FSDEL="no"\r\n
        < \r\n+CME ERROR: 100\r\n
        > AT+FSLS="/"\r\n
        < \r\nERROR\r\n
        "#,
    );
}

/// Log of an Air724UG V409, commands ending in CR: CIFSR and CIPSTATUS have their own order.
#[test]
fn the_plain_tcp_set_before_mqtt() {
    Desk::of(Family::Air724).play(
        r#"
        > AT+CSTT\r
        < AT+CSTT\r\r\nOK\r\n
        > AT+CSTT\r
        < AT+CSTT\r\r\n+CME ERROR: 3\r\n
        > AT+SAPBR=1,1\r
        < AT+SAPBR=1,1\r\r\nOK\r\n
        > AT+CIICR\r
        < AT+CIICR\r\r\nOK\r\n
        > AT+CIFSR\r
        < AT+CIFSR\r\r\n10.126.200.230\r\n
        > AT+CIPSTATUS\r
        < AT+CIPSTATUS\r\r\nOK\r\n\r\nSTATE: IP STATUS\r\n
        > AT+CIICRR\r
        < AT+CIICRR\r\r\nERROR\r\n
        > AT+CIPSHUT\r
        < AT+CIPSHUT\r\r\nSHUT OK\r\n
        > AT+CIFSR\r
        < AT+CIFSR\r\r\n+CME ERROR: 65535\r\n
        "#,
    );
    Desk::with(&[Quirk::CipshutOk]).quiet().play(
        r#"
        > AT+CIPSHUT\r
        < \r\nOK\r\n
        "#,
    );
}

// ---- the state of the connection --------------------------------------------------------------

/// Constructed from the documented framing: nothing tells why.
#[test]
fn a_refused_connect_is_a_bare_error() {
    let refused = r#"
        ! fail 5
        > AT+MCONNECT=1,90\r\n
        "#;
    let play = |quirks: &[Quirk], after: &str| {
        Desk::with(quirks).open().play(&format!("{refused}{after}"));
    };
    play(
        &[],
        r#"
        < \r\nOK\r\n\r\nERROR\r\n
        > AT+MQTTSTATU\r\n
        < \r\n+MQTTSTATU :2\r\n\r\nOK\r\n
        > AT+MCONNECT=1,90\r\n
        < \r\n+CME ERROR: 767\r\n
        > AT+MDISCONNECT\r\n
        < \r\nERROR\r\n
        > AT+MIPCLOSE\r\n
        < \r\nOK\r\n
        "#,
    );
    let closed = r#"
        > AT+MIPCLOSE\r\n
        < \r\n+CME ERROR: 767\r\n
        "#;
    play(&[Quirk::RefusedCloses], &format!("< \\r\\nOK\\r\\n\\r\\nCLOSED\\r\\n{closed}"));
    let both = "< \\r\\nOK\\r\\n\\r\\nERROR\\r\\n\\r\\nCLOSED\\r\\n";
    play(&[Quirk::RefusedErrorCloses], &format!("{both}{closed}"));
}

/// A broker that hangs up instead of answering (26 in the network's numbers).
#[test]
fn a_connect_that_breaks_is_closed() {
    Desk::of(Family::Air780e).open().play(
        r#"
        ! fail 26
        > AT+MCONNECT=1,90\r\n
        < \r\nOK\r\n\r\nCLOSED\r\n
        > AT+MQTTSTATU\r\n
        < \r\n+MQTTSTATU :0\r\n\r\nOK\r\n
        "#,
    );
}

/// Listing of an Air780E V1161: the host restarted, the modem did not.
#[test]
fn a_host_that_restarts_finds_the_connection() {
    Desk::of(Family::Air780e).connected().play(
        r#"
        > AT+MIPSTART="b.example",1883\r\n
        < \r\nOK\r\n\r\nALREADY CONNECT\r\n
        > AT+MCONNECT=1,60\r\n
        < \r\n+CME ERROR: 767\r\n
        > AT+MQTTSTATU\r\n
        < \r\n+MQTTSTATU :1\r\n\r\nOK\r\n
        > AT+MDISCONNECT\r\n
        < \r\nOK\r\n
        > AT+MDISCONNECT\r\n
        < \r\nERROR\r\n
        > AT+MIPSTART="b.example",1883\r\n
        < \r\nOK\r\n\r\nALREADY CONNECT\r\n
        > AT+MIPCLOSE\r\n
        < \r\nOK\r\n
        > AT+MIPCLOSE\r\n
        < \r\n+CME ERROR: 767\r\n
        > AT+MIPSTART="b.example",1883\r\n
        < \r\nOK\r\n\r\nCONNECT OK\r\n
        > AT+MCONNECT=1,60\r\n
        < \r\nOK\r\n\r\nCONNACK OK\r\n
        "#,
    );
}

/// Report of an Air720: the broker closes after five seconds without MCONNECT.
#[test]
fn a_connect_that_comes_too_late() {
    Desk::of(Family::Air724).open().play(
        r#"
        ! pass 4999
        ! pass 1
        < \r\nCLOSED\r\n
        > AT+MCONNECT=0,300\r\n
        < \r\n+CME ERROR: 767\r\n
        > AT+MIPSTART="iot.modbus.cn","1883"\r\n
        < \r\nOK\r\n\r\nCONNECT OK\r\n
        ! pass 4999
        > AT+MCONNECT=0,300\r\n
        < \r\nOK\r\n\r\nCONNACK OK\r\n
        ! pass 60000
        "#,
    );
    let mut desk =
        Desk::new(Config { broker_patience: None, delays: Delays::NONE, ..Config::default() });
    desk = desk.open();
    assert_eq!(desk.pass(3_600_000), b"");
}

/// Listing of an Air780EPV for the texts; the number 7 is in the manual.
#[test]
fn a_link_that_cannot_be_opened() {
    Desk::of(Family::Air780e).quiet().play(
        r#"
        ! fail 3
        > AT+MIPSTART="112.125.89.8",37076\r\n
        < \r\nOK\r\n\r\nSTATE: IP STATUS\r\n\r\nCONNECT FAIL\r\n
        > AT+CIPMUX=1\r\n
        < \r\nOK\r\n
        ! fail 3
        > AT+MIPSTART="112.125.89.8",37076\r\n
        < \r\nOK\r\n\r\nSTATE: IP STATUS\r\n\r\n7,CONNECT FAIL\r\n
        > AT+MIPSTART="112.125.89.8",37076\r\n
        < \r\nOK\r\n\r\n7,CONNECT OK\r\n
        > AT+MIPSTART="112.125.89.8",37076\r\n
        < \r\nOK\r\n\r\nALREADY CONNECT\r\n
        ! lose 0 1
        < \r\n7,CLOSED\r\n
        ! hold
        > AT+MIPSTART="112.125.89.8",37076\r\n
        < \r\nOK\r\n
        > AT+MIPSTART="112.125.89.8",37076\r\n
        < \r\n+CME ERROR: 767\r\n
        ! pass 20000
        < \r\nSTATE: IP STATUS\r\n\r\n7,CONNECT FAIL\r\n
        > AT+MIPSTART="112.125.89.8",0\r\n
        < \r\nERROR\r\n
        > AT+MIPSTART="112.125.89.8"\r\n
        < \r\nERROR\r\n
        > AT+MIPSTART=?\r\n
        < \r\n+MIPSTART:"(0,255).(0,255).(0,255).(0,255)",(1-65535)\r\n
        < +MIPSTART:"DOMAIN NAME",(1-65535)\r\n
        < \r\nOK\r\n
        "#,
    );
    Desk::with(&[Quirk::StateNoBlank]).quiet().play(
        r#"
        ! fail 3
        > AT+MIPSTART="112.125.89.8",37076\r\n
        < \r\nOK\r\n\r\nSTATE:IP STATUS\r\n\r\nCONNECT FAIL\r\n
        "#,
    );
}

/// Manual: in the wrong state everything is 767, MDISCONNECT is ERROR.
#[test]
fn nothing_goes_without_a_connection() {
    let mut desk = Desk::of(Family::Air780e).quiet();
    for command in [
        "AT+MCONNECT=1,60",
        "AT+MSUB=\"t\",0",
        "AT+MUNSUB=\"t\"",
        "AT+MPUB=\"t\",0,0,\"m\"",
        "AT+MPUBEX=\"t\",0,0,5",
        "AT+MIPCLOSE",
    ] {
        let answer = desk.send(format!("{command}\r\n"));
        assert_eq!(answer, b"\r\n+CME ERROR: 767\r\n", "{command}");
    }
    desk.play(
        r#"
        > AT+MDISCONNECT\r\n
        < \r\nERROR\r\n
        > AT+MQTTSTATU\r\n
        < \r\n+MQTTSTATU :0\r\n\r\nOK\r\n
        "#,
    );
    Desk::with(&[Quirk::StatuError]).quiet().play(
        r#"
        > AT+MQTTSTATU\r\n
        < \r\nERROR\r\n
        "#,
    );
}

/// Hardware test of an Air780EPM: a second publish before PUBACK is 767.
#[test]
fn one_operation_at_a_time() {
    Desk::of(Family::Air780e).subscribed().play(
        r#"
        ! hold
        > AT+MPUBEX="dev/up",1,0,24\r\n
        < \r\n>
        > \x00\x01\x1a\r\nAT+MDISCONNECT\r\n>\xff!
        < \r\nOK\r\n
        > AT+MPUBEX="dev/up",1,0,8\r\n
        < \r\n+CME ERROR: 767\r\n
        > AT+MPUB="dev/up",0,0,"m"\r\n
        < \r\n+CME ERROR: 767\r\n
        > AT+MSUB="t",0\r\n
        < \r\n+CME ERROR: 767\r\n
        ! publish dev/dn \x00\x01OK\r\n>\x1a\xff
        < \r\n+MSUB: "dev/dn",9 byte,\x00\x01OK\r\n>\x1a\xff\r\n
        > AT+MQTTSTATU\r\n
        < \r\n+MQTTSTATU :1\r\n\r\nOK\r\n
        ! resume
        < \r\nPUBACK\r\n
        < \r\n+MSUB: "dev/up",24 byte,\x00\x01\x1a\r\nAT+MDISCONNECT\r\n>\xff!\r\n
        > AT+MUNSUB=#\r\n
        < \r\nOK\r\n\r\nUNSUBACK\r\n
        "#,
    );
}

/// What an operation says that was given up is nobody's.
#[test]
fn an_acknowledgement_after_the_end_is_not_printed() {
    Desk::of(Family::Air780e).connected().play(
        r#"
        ! hold
        > AT+MPUB="t",1,0,"m"\r\n
        < \r\nOK\r\n
        > AT+MDISCONNECT\r\n
        < \r\nOK\r\n
        > AT+MIPCLOSE\r\n
        < \r\nOK\r\n
        ! resume
        "#,
    );
    let mut desk = Desk::new(Config::default());
    desk.send("AT+MIPSTART=b,1883\r\n");
    desk.pass(4);
    desk.send("AT+MIPCLOSE\r\n");
    assert_eq!(desk.pass(10_000), b"\r\nOK\r\n");
}

/// Listings: CLOSED, bearer loss without a word of the connection, detach.
#[test]
fn losses() {
    let mut desk = Desk::of(Family::Air780e).connected();
    desk.play(
        r#"
        ! lose 0 1
        < \r\nCLOSED\r\n
        > AT+MQTTSTATU\r\n
        < \r\n+MQTTSTATU :0\r\n\r\nOK\r\n
        > AT+MIPCLOSE\r\n
        < \r\n+CME ERROR: 767\r\n
        "#,
    );
    assert!(!desk.modem.is_connected(0));
    Desk::of(Family::Air780e).connected().play(
        r#"
        ! bearer
        < \r\n+CGEV: NW PDN DEACT 1\r\n
        > AT+MPUB="t",0,0,"m"\r\n
        < \r\n+CME ERROR: 767\r\n
        > AT+MIPSTART="b.example",1883\r\n
        < \r\nOK\r\n\r\nCONNECT OK\r\n
        "#,
    );
    Desk::of(Family::Air780e).connected().play(
        r#"
        ! network down
        < \r\n^MODE: 0,0\r\n\r\n+NO Service\r\n\r\n+CGEV: NW PDN DEACT 1\r\n
        > AT+CGATT?\r\n
        < \r\n+CGATT: 0\r\n\r\nOK\r\n
        > AT+MIPSTART="b.example",1883\r\n
        < \r\nOK\r\n\r\nSTATE: IP STATUS\r\n\r\nCONNECT FAIL\r\n
        ! network up
        ! pass 1531
        < \r\n^MODE: 17,17\r\n\r\n+E_UTRAN Service\r\n\r\n+CGEV: ME PDN ACT 1,0\r\n
        > AT+MIPSTART="b.example",1883\r\n
        < \r\nOK\r\n\r\nCONNECT OK\r\n
        > AT+CIPSHUT\r\n
        < \r\nSHUT OK\r\n
        > AT+MQTTSTATU\r\n
        < \r\n+MQTTSTATU :0\r\n\r\nOK\r\n
        "#,
    );
}

/// Guide to low power, Air780E LPAT.
#[test]
fn the_deepest_power_mode_leaves_the_network() {
    Desk::of(Family::Air780e).connected().play(
        r#"
        > AT+POWERMODE="PSM+",0,1\r\n
        < \r\nOK\r\n\r\n^MODE: 0,0\r\n\r\n+NO Service\r\n\r\n+CGEV: NW PDN DEACT 1\r\n
        > AT+MQTTSTATU\r\n
        < \r\n+MQTTSTATU :0\r\n\r\nOK\r\n
        "#,
    );
}

/// Change logs and logs for the spellings; constructed lines for what is glued together.
#[test]
fn losses_in_other_words() {
    let play = |quirks: &[Quirk], script: &str| {
        Desk::with(quirks).connected().play(script);
    };
    play(
        &[Quirk::PdpDeact],
        r#"
        ! bearer
        < \r\n+PDP DEACT\r\n
        ! bearer
        < \r\n+PDP: DEACT\r\n
        ! bearer
        < \r\n+PDP:DEACT\r\n
        "#,
    );
    play(
        &[Quirk::BearerCloses],
        r#"
        ! bearer
        < \r\n+CGEV: NW PDN DEACT 1\r\n\r\nCLOSED\r\n
        "#,
    );
    play(
        &[Quirk::GluedSimLine],
        r#"
        ! bearer
        < \r\n+CPIN: SIM REMOVED 0+CGEV: NW PDN DEACT 1\r\n
        "#,
    );
    play(
        &[Quirk::NoClosed],
        r#"
        ! lose 0 1
        > AT+MPUB="t",0,0,"m"\r\n
        < \r\n+CME ERROR: 767\r\n
        "#,
    );
}

#[test]
fn line_ends_that_are_missing() {
    Desk::with(&[Quirk::GluedConnectOk]).quiet().play(
        r#"
        > AT+MIPSTART="broker.example",1883\r\n
        < \r\nOK\r\n\r\nCONNECT OK
        > AT+MCONNECT=1,60\r\n
        < \r\nOK\r\n\r\nCONNACK OK\r\n
        "#,
    );
    Desk::with(&[Quirk::NoLeadingCrlf]).quiet().play(
        r#"
        > AT+MIPSTART="broker.example",1883\r\n
        < \r\nOK\r\nCONNECT OK\r\n
        > AT+MCONNECT=1,60\r\n
        < \r\nOK\r\nCONNACK OK\r\n
        > AT+MSUB="t",1\r\n
        < \r\nOK\r\nSUBACK\r\n
        ! publish t m
        < +MSUB: "t",1 byte,m\r\n
        ! lose 0 1
        < CLOSED\r\n
        "#,
    );
}

// ---- MCONFIG, MCONNECT ------------------------------------------------------------------------

/// Captures (commas in quotes), listing (unquoted) and field reports.
#[test]
fn what_a_connect_carries() {
    let mut desk = Desk::of(Family::V2015plus).quiet();
    let id = "000000000000000|securemode=3,signmethod=hmacmd5|";
    desk.play(&format!(
        r#"
        > AT+MCONFIG="{id}","dev&KEY","secret",1,1,"a/online","0"\r\n
        < \r\nOK\r\n
        > AT+MIPSTART=b.example,"1884"\r\n
        < \r\nOK\r\n\r\nCONNECT OK\r\n
        > AT+MCONNECT=0,600,1\r\n
        < \r\nOK\r\n\r\nCONNACK OK\r\n
        "#
    ));
    let connect = &desk.broker.connects()[0];
    assert_eq!((connect.host.as_str(), connect.port), ("b.example", 1884));
    assert_eq!(connect.client_id, id);
    assert_eq!(connect.user.as_deref(), Some("dev&KEY"));
    assert_eq!(connect.password.as_deref(), Some("secret"));
    assert_eq!((connect.clean, connect.keep_alive_seconds), (false, 600));
    let will = connect.will.as_ref().expect("a will");
    let expected = Will { topic: b"a/online".into(), payload: b"0".into(), qos: 1, retain: true };
    assert_eq!(*will, expected);

    let mut desk = Desk::of(Family::Air780e).connected();
    assert_eq!(desk.broker.connects()[0].client_id, "860000000000000");
    assert_eq!(desk.broker.connects()[0].user, None);
    desk.play(
        r#"
        > AT+MCONFIG=clientid,"",""\r\n
        < \r\nOK\r\n
        > AT+MCONFIG=clientid,"u"\r\n
        < \r\nERROR\r\n
        > AT+MCONFIG=clientid,u,p,0,0,will,"m"\r\n
        < \r\nERROR\r\n
        > AT+MCONFIG=clientid,"u","p",3,0,"will","m"\r\n
        < \r\nERROR\r\n
        "#,
    );
}

#[test]
fn credentials_and_modes_of_some_firmware() {
    Desk::with(&[Quirk::NoEmptyCredentials]).quiet().play(
        r#"
        > AT+MCONFIG=clientid,"",""\r\n
        < \r\n+CME ERROR: 765\r\n
        > AT+MCONFIG=clientid\r\n
        < \r\nOK\r\n
        "#,
    );
    Desk::with(&[Quirk::ModeRequired]).open().play(
        r#"
        > AT+MCONNECT=1,60\r\n
        < \r\nERROR\r\n
        > AT+MCONNECT=1,60,0\r\n
        < \r\nOK\r\n\r\nCONNACK OK\r\n
        "#,
    );
    Desk::of(Family::Air724).open().play(
        r#"
        > AT+MCONNECT=1,60,1\r\n
        < \r\nERROR\r\n
        > AT+MCONNECT=2,60\r\n
        < \r\nERROR\r\n
        > AT+MCONNECT=1,0\r\n
        < \r\nERROR\r\n
        > AT+MCONNECT=?\r\n
        < \r\n+MCONNECT:(0-1),(1-65535)\r\n\r\nOK\r\n
        "#,
    );
}

/// Manual and FAQ contradict each other about MDISCONNECT.
#[test]
fn wills() {
    let wills = |quirks: &[Quirk], end: &[&str]| {
        let mut desk = Desk::with(quirks).quiet();
        desk.send("AT+MCONFIG=\"c\",\"\",\"\",0,0,\"will\",\"gone\"\r\n");
        let mut desk = desk.connected();
        for command in end {
            desk.send(format!("{command}\r\n"));
        }
        desk.broker.published().len()
    };
    assert_eq!(wills(&[], &["AT+MDISCONNECT", "AT+MIPCLOSE"]), 0);
    assert_eq!(wills(&[], &["AT+MIPCLOSE"]), 1);
    assert_eq!(wills(&[], &["AT+CFUN=0"]), 1);
    assert_eq!(wills(&[Quirk::WillOnDisconnect], &["AT+MDISCONNECT"]), 1);
}

// ---- publishing -------------------------------------------------------------------------------

/// Report (unescaped quotes), guide (escapes), hardware test (no quotes).
#[test]
fn escapes_of_mpub() {
    let mut desk = Desk::of(Family::Air780e).connected();
    desk.play(
        r#"
        > AT+MPUB="data",0,0,"{"test":1}"\r\n
        < \r\nERROR\r\n
        > AT+MPUB="data",0,0,"{\\"test\\":1}"\r\n
        < \r\nERROR\r\n
        > AT+MPUB=a/b,0,0,payload\r\n
        < \r\nERROR\r\n
        > AT+MPUB="data",0,0,"\\2C"\r\n
        < \r\nERROR\r\n
        > AT+MPUB="data",0,0,"\\0d"\r\n
        < \r\nERROR\r\n
        > AT+MPUB="data",0,0,"\\2"\r\n
        < \r\nERROR\r\n
        > AT+MPUB="data",0,0,"\\\\22"\r\n
        < \r\nERROR\r\n
        > AT+MPUB="data",0,0,"{\\22test\\22:1}"\r\n
        < \r\nOK\r\n
        > AT+MPUB=data,0,1,"a,b\\0D\\0A\\5Cn"\r\n
        < \r\nOK\r\n
        > AT+MPUB="data",0,0,""\r\n
        < \r\nOK\r\n
        "#,
    );
    let published = desk.broker.published();
    assert_eq!(published[0].payload, b"{\"test\":1}");
    assert_eq!(published[1].payload, b"a,b\r\n\\n");
    assert!(published[1].retain && !published[0].retain);
    assert_eq!(published[2].payload, b"");
    assert_eq!(published.len(), 3);

    let mut desk = Desk::with(&[Quirk::NoEmptyMpub]).connected();
    assert_eq!(desk.send("AT+MPUB=\"t\",0,0,\"\"\r\n"), b"\r\nERROR\r\n");
}

/// Limits: 2384 (724), 4100 (manual), 5120 (from V2015), counted without escapes.
#[test]
fn limits_of_a_publish() {
    for (family, mpub, mpubex) in [
        (Family::Air724, 2384, 4100),
        (Family::Air780e, 4100, 4100),
        (Family::Air700eaqV2019, 5120, 5120),
        (Family::V2015plus, 5120, 5120),
    ] {
        let mut desk = Desk::of(family).connected();
        let mut publish = |message: String| {
            desk.send(format!("AT+MPUB=\"t\",0,0,\"{message}\"\r\n")) == b"\r\nOK\r\n"
        };
        assert!(publish("m".repeat(mpub)) && publish("\\22".repeat(mpub)), "{family}");
        assert!(!publish("m".repeat(mpub + 1)), "{family}");
        let prompt = desk.send(format!("AT+MPUBEX=\"t\",0,0,{}\r\n", mpubex + 1));
        assert_eq!(prompt, b"\r\nERROR\r\n");
        let prompt = desk.send(format!("AT+MPUBEX=\"t\",0,0,{mpubex}\r\n"));
        assert!(prompt.starts_with(b"\r\n>"), "{family}");
        assert_eq!(desk.send(vec![0; mpubex]), b"\r\nOK\r\n");
        assert_eq!(desk.broker.published()[2].payload.len(), mpubex);
    }
    let mut desk = Desk::with(&[Quirk::CountsEscaped]).connected();
    let escaped = "\\22".repeat(1367);
    assert_eq!(desk.send(format!("AT+MPUB=t,0,0,\"{escaped}\"\r\n")), b"\r\nERROR\r\n");
}

/// Manual and capture: pairs of digits of either case.
#[test]
fn hexadecimal_publishes() {
    let mut desk = Desk::of(Family::Air780e).connected();
    desk.play(
        r#"
        > AT+MQTTMODE?\r\n
        < \r\n+MQTTMODE: 0\r\n\r\nOK\r\n
        > AT+MQTTMODE=?\r\n
        < \r\n+MQTTMODE: (0,1)\r\n\r\nOK\r\n
        > AT+MQTTMODE=1\r\n
        < \r\nOK\r\n
        > AT+MPUB="test",0,0,"313233"\r\n
        < \r\nOK\r\n
        > AT+MPUB="test",0,0,"7b7D"\r\n
        < \r\nOK\r\n
        > AT+MPUB="test",0,0,"123"\r\n
        < \r\nERROR\r\n
        > AT+MPUB="test",0,0,"zz"\r\n
        < \r\nERROR\r\n
        "#,
    );
    assert_eq!(desk.broker.published()[0].payload, b"123");
    assert_eq!(desk.broker.published()[1].payload, b"{}");
}

// ---- the data phase ---------------------------------------------------------------------------

/// Manual: exactly so many bytes, whatever they are, and no way out; the surplus is a command.
#[test]
fn a_counted_data_phase() {
    let mut desk = Desk::of(Family::Air780e).connected();
    desk.play(
        r#"
        > AT+MPUBEX="t",0,0,13\r\n
        < \r\n>
        > AT\r\n
        ! pass 3600000
        > \x1b\x1a\r\nAT
        ! pass 6000
        > AT\r\n
        < \r\nOK\r\n
        > \r\n
        > AT\r\n
        < \r\nOK\r\n
        > AT+MPUBEX="t",0,0,3\r\n
        < \r\n>
        > 123AT+CSQ\r\n
        < \r\nOK\r\n\r\n+CSQ: 21,0\r\n\r\nOK\r\n
        "#,
    );
    assert_eq!(desk.broker.published()[0].payload, b"AT\r\n\x1b\x1a\r\nATAT\r");
    assert_eq!(desk.broker.published()[1].payload, b"123");
}

/// Manual, about CIPSEND: the LF that follows a CR belongs to the command, however late.
#[test]
fn a_command_without_lf_swallows_a_first_lf() {
    let mut desk = Desk::of(Family::Air780e).connected();
    desk.play(
        r#"
        > AT+MPUBEX="t",0,0,3\r
        < \r\n>
        > \nab
        > c
        < \r\nOK\r\n
        > AT+MPUBEX="t",0,0,3\r\n
        < \r\n>
        > \nab
        < \r\nOK\r\n
        "#,
    );
    assert_eq!(desk.broker.published()[0].payload, b"abc");
    assert_eq!(desk.broker.published()[1].payload, b"\nab");
}

/// Manual: without a length it ends at 0x1A, or when nothing comes for five seconds.
#[test]
fn an_uncounted_data_phase() {
    let mut desk = Desk::of(Family::Air780e).connected();
    desk.play(
        r#"
        > AT+MPUBEX="t",1,0,\r\n
        < \r\n>
        > one\x1a
        < \r\nOK\r\n\r\nPUBACK\r\n
        > AT+MPUBEX="t",0,0\r\n
        < \r\n>
        ! pass 4999
        > tw
        ! pass 4999
        > o
        ! pass 4999
        ! pass 1
        < \r\nOK\r\n
        "#,
    );
    let payloads: Vec<_> = desk.broker.published().iter().map(|m| &m.payload[..]).collect();
    assert_eq!(payloads, [b"one", b"two"]);
}

#[test]
fn a_short_payload_with_the_gap_rule() {
    let mut desk = Desk::with(&[Quirk::DataGap]).connected();
    desk.play(
        r#"
        > AT+MPUBEX="t",0,0,10\r\n
        < \r\n>
        > short
        ! pass 5000
        < \r\nOK\r\n
        > AT\r\n
        < \r\nOK\r\n
        "#,
    );
    assert_eq!(desk.broker.published()[0].payload, b"short");
}

/// Field report: 767 after the data when the connection went in between.
#[test]
fn a_connection_that_is_lost_inside_a_data_phase() {
    let script = |lost: &str, after: &str| {
        format!(
            r#"
            > AT+MPUBEX="t",1,0,4\r\n
            < \r\n>
            > 12
            ! lose 0 1
            {lost}
            > 34
            {after}
            "#
        )
    };
    let closed = r"< \r\nCLOSED\r\n";
    let refused = r"< \r\n+CME ERROR: 767\r\n";
    Desk::of(Family::Air780e).connected().play(&script(closed, refused));
    Desk::with(&[Quirk::HeldLines]).connected().play(&script("", &format!("{refused}\n{closed}")));
}

/// Change logs: prompts, echoed data, no MPUBEX.
#[test]
fn data_phases_of_some_firmware() {
    let prompt = |desk: Desk| desk.connected().send("AT+MPUBEX=\"t\",0,0,4\r\n");
    assert_eq!(prompt(Desk::of(Family::Air724)), b"\r\n> ");
    assert_eq!(prompt(Desk::of(Family::V2015plus)), b"\r\n>");
    assert_eq!(prompt(Desk::with(&[Quirk::PromptSpace])), b"\r\n> ");
    assert_eq!(prompt(Desk::with(&[Quirk::PromptLine])), b"\r\n>\r\n");
    assert_eq!(prompt(Desk::with(&[Quirk::NoMpubex])), b"\r\nERROR\r\n");
    Desk::with(&[Quirk::EchoData]).connected().play(
        r#"
        > AT+MPUBEX="t",0,0,4\r\n
        < \r\n>
        > \x00abc
        < \x00abc\r\nOK\r\n
        "#,
    );
    let quirks = Quirks::NONE.with(Quirk::NoMpubex);
    let family = Family::Air724;
    let mut old =
        Desk::new(Config { family, quirks, delays: Delays::NONE, ..Config::default() }).quiet();
    assert_eq!(old.send("ATI\r"), b"\r\nAirM2M_Air724UG_V409_LTE_AT\r\n\r\nOK\r\n");
}

// ---- receiving --------------------------------------------------------------------------------

/// The vectors of the message line, as they leave the modem.
#[test]
fn message_lines() {
    let mut desk = Desk::of(Family::Air780e).subscribed();
    for (topic, payload, line) in [
        ("/a/b/user/get", "1231230ver", r#""/a/b/user/get",10 byte,1231230ver"#),
        ("t", r"\r\nOK\r\n> \r\n+M", r#""t",12 byte,\r\nOK\r\n> \r\n+M"#),
        ("a,5 byte,b", "x", r#""a,5 byte,b",1 byte,x"#),
        ("t", "", r#""t",0 byte,"#),
    ] {
        desk.broker.publish(topic.as_bytes(), &unescape(payload), false);
        let expected = unescape(&format!(r"\r\n+MSUB: {line}\r\n"));
        assert_eq!(desk.read(), expected);
    }
    desk.broker.publish(b"$sys/x/reply", b"unheard by #", false);
    assert_eq!(desk.read(), b"");

    let mut desk = Desk::with(&[Quirk::LostPayloadByte]).subscribed();
    desk.broker.publish(b"t", b"hello", false);
    assert_eq!(desk.read(), b"\r\n+MSUB: \"t\",5 byte,hell\r\n");
}

/// MQTT 3.1.1: what waited for a session comes after its CONNACK.
#[test]
fn a_session_that_was_kept() {
    let mut desk = Desk::of(Family::Air780e).open();
    desk.play(
        r#"
        > AT+MCONNECT=0,60\r\n
        < \r\nOK\r\n\r\nCONNACK OK\r\n
        > AT+MSUB="t",1\r\n
        < \r\nOK\r\n\r\nSUBACK\r\n
        ! lose 0 1
        < \r\nCLOSED\r\n
        ! publish t waiting
        > AT+MIPSTART="b.example",1883\r\n
        < \r\nOK\r\n\r\nCONNECT OK\r\n
        > AT+MCONNECT=0,60\r\n
        < \r\nOK\r\n\r\nCONNACK OK\r\n\r\n+MSUB: "t",7 byte,waiting\r\n
        "#,
    );
}

// ---- network settings, TLS --------------------------------------------------------------------

/// Manual: the query has no prefix; the setting restarts the stack and survives a restart.
#[test]
fn a_private_apn() {
    let mut desk = Desk::of(Family::Air780e).quiet();
    desk.play(
        r#"
        > AT+CPNETAPN=2,"iot.example","user","word",1\r\n
        < \r\nOK\r\n\r\n+CGEV: ME PDN DEACT 1\r\n
        > AT+CGATT?\r\n
        < \r\n+CGATT: 0\r\n\r\nOK\r\n
        ! pass 1531
        < \r\n^MODE: 17,17\r\n\r\n+E_UTRAN Service\r\n\r\n+CGEV: ME PDN ACT 1,0\r\n
        "#,
    );
    desk.modem.power_cycle(desk.now);
    desk.pass(10_000);
    desk.quiet().play(
        r#"
        > AT+CPNETAPN?\r\n
        < \r\nMODE:2\r\nAPN:iot.example\r\nUSR:user\r\nPWD:word\r\nAUTHMODE:1\r\n\r\nOK\r\n
        > AT+CPNETAPN=2,"","","",0\r\n
        < \r\nERROR\r\n
        > AT+CGDCONT?\r\n
        < \r\n+CGDCONT: 1,"IP","cmiot","10.126.200.230"\r\n\r\nOK\r\n
        "#,
    );
}

/// Manual: context 88, ranges, query, erasing.
#[test]
fn tls_contexts() {
    let mut desk = Desk::of(Family::Air780e).quiet();
    desk.play(
        r#"
        > AT+SSLCFG="seclevel",88,1\r\n
        < \r\nOK\r\n
        > AT+SSLCFG="seclevel",88\r\n
        < \r\n+SSLCFG:"seclevel",88,1\r\n\r\nOK\r\n
        > AT+SSLCFG="sslversion",88,4\r\n
        < \r\nOK\r\n
        > AT+SSLCFG="sslversion",88\r\n
        < \r\n+SSLCFG: "sslversion",88,4\r\n\r\nOK\r\n
        > AT+SSLCFG="ciphersuite",88,0X003D\r\n
        < \r\nOK\r\n
        > AT+SSLCFG="seclevel",88,3\r\n
        < \r\nERROR\r\n
        > AT+SSLCFG="seclevel",87,1\r\n
        < \r\nERROR\r\n
        > AT+SSLCFG="authmode",88,1\r\n
        < \r\nERROR\r\n
        > AT+SSLCFG="negotiatetimeout",88,9\r\n
        < \r\nERROR\r\n
        > AT+SSLCFG="cacert",88,"ca.crt"\r\n
        < \r\nOK\r\n
        # the file does not exist
        > AT+SSLMIPSTART="b.example",8883\r\n
        < \r\nOK\r\n\r\nSTATE: IP STATUS\r\n\r\nCONNECT FAIL\r\n
        > AT+FSCREATE="ca.crt"\r\n
        < \r\nOK\r\n
        > AT+FSWRITE="ca.crt",0,3,15\r\n
        < \r\n>
        > PEM
        < \r\nOK\r\n
        > AT+SSLCFG="hostname",88,"name.example"\r\n
        < \r\nOK\r\n
        > AT+SSLMIPSTART="b.example","8883"\r\n
        < \r\nOK\r\n\r\nCONNECT OK\r\n
        > AT+MIPCLOSE\r\n
        < \r\nOK\r\n
        > AT+SSLCFG="cacert",88,\r\n
        < \r\nOK\r\n
        > AT+SSLCFG="cacert",88\r\n
        < \r\n+SSLCFG:"cacert",88,""\r\n\r\nOK\r\n
        "#,
    );
    let tls = desk.broker.opens()[0].tls.as_ref().expect("TLS");
    assert!(tls.verify_server && tls.server_name && !tls.ignore_local_time);
    assert_eq!(tls.ca.as_deref(), Some(&b"PEM"[..]));
    assert_eq!(tls.name.as_deref(), Some("name.example"));

    let mut desk = Desk::with(&[Quirk::NoCacert]).quiet();
    assert_eq!(desk.send("AT+SSLCFG=\"cacert\",88,\"ca\"\r\n"), b"\r\nERROR\r\n");
}

/// A host that sets up another context than 88 is connected without verification (report).
#[test]
fn mqtt_looks_at_context_88_only() {
    let mut desk = Desk::of(Family::Air780e).quiet();
    desk.send("AT+SSLCFG=\"seclevel\",0,2\r\n");
    desk.play(
        r#"
        > AT+SSLMIPSTART="b.example",8883\r\n
        < \r\nOK\r\n\r\nCONNECT OK\r\n
        "#,
    );
    assert!(!desk.broker.opens()[0].tls.as_ref().expect("TLS").verify_server);
}

// ---- errors, echo, quirks of the rest ---------------------------------------------------------

#[test]
fn both_styles_of_errors() {
    Desk::with(&[Quirk::PlainErrors]).quiet().play(
        r#"
        > AT+MIPCLOSE\r\n
        < \r\nERROR\r\n
        > AT+CMEE=1\r\n
        < \r\nOK\r\n
        > AT+MIPCLOSE\r\n
        < \r\n+CME ERROR: 767\r\n
        > AT+CMEE=2\r\n
        < \r\nOK\r\n
        > AT+MIPCLOSE\r\n
        < \r\n+CME ERROR: operation failed\r\n
        "#,
    );
}

/// Manual: echo is on again after a restart unless it was saved.
#[test]
fn echo_and_restarts() {
    let mut desk = Desk::of(Family::Air780e);
    assert_eq!(desk.send("ATE0\r\n"), b"ATE0\r\r\nOK\r\n");
    let restart = |desk: &mut Desk| {
        desk.modem.reboot(desk.now);
        desk.pass(10_000);
    };
    restart(&mut desk);
    assert_eq!(desk.send("at\r\n"), b"at\r\r\nOK\r\n");
    desk.send("ATE0\r\n");
    desk.send("AT&W\r\n");
    restart(&mut desk);
    assert_eq!(desk.send("AT\r\n"), b"\r\nOK\r\n");
    assert_eq!(desk.send("noise\r\n"), b"");

    let mut desk = Desk::with(&[Quirk::LostEcho]);
    assert_eq!(desk.send("AT\r\n"), b"\r\nOK\r\n");
    assert_eq!(desk.send("AT\r\n"), b"AT\r\r\nOK\r\n");
}

/// Captures and field reports of the first seconds.
#[test]
fn oddities_of_the_start() {
    let boot = |quirks: &[Quirk]| {
        let quirks = quirks.iter().copied().collect();
        let (family, boot) = (Family::Air700eaqV2019, BootState::ColdBoot);
        Desk::new(Config { family, quirks, boot, delays: Delays::NONE, ..Config::default() })
    };
    boot(&[Quirk::RdyTwice, Quirk::EarlyCme4]).play(
        r#"
        ! pass 1300
        < \r\nRDY\r\n
        ! pass 700
        < \r\nRDY\r\n
        > ATE0\r\n
        < ATE0\r\r\nOK\r\n
        > AT+CGATT?\r\n
        < \r\n+CME ERROR: 4\r\n
        ! pass 2400
        < \r\n^MODE: 17,17\r\n\r\n+E_UTRAN Service\r\n\r\n+CGEV: ME PDN ACT 1,0\r\n
        ! pass 27
        < \r\n+NITZ: 2026/11/20,12:00:00+32,0\r\n
        ! pass 26873
        > AT+CGATT?\r\n
        < \r\n+CGATT: 1\r\n\r\nOK\r\n
        "#,
    );
    boot(&[Quirk::SlowBoot, Quirk::NitzShortYear]).play(
        r#"
        ! pass 9299
        ! pass 1
        < \r\nRDY\r\n
        ! pass 13099
        ! pass 28
        < \r\n^MODE: 17,17\r\n\r\n+E_UTRAN Service\r\n\r\n+CGEV: ME PDN ACT 1,0\r\n
        < \r\n+NITZ: 26/11/20,12:00:00+32,0\r\n
        "#,
    );
    Desk::with(&[Quirk::SimBusy, Quirk::CeregSaysCgreg]).quiet().play(
        r#"
        > AT+CPIN?\r\n
        < \r\n+CME ERROR: 13\r\n
        > AT+CPIN?\r\n
        < \r\n+CME ERROR: 13\r\n
        > AT+CPIN?\r\n
        < \r\n+CME ERROR: 14\r\n
        > AT+CPIN?\r\n
        < \r\n+CPIN: READY\r\n\r\nOK\r\n
        > AT+CEREG=2\r\n
        < \r\nOK\r\n
        > AT+CEREG?\r\n
        < \r\n+CGREG: 2,1,"2797","02B82E17",7\r\n\r\nOK\r\n
        > AT+IPR?\r\n
        < \r\n+IPR: 0\r\n\r\nOK\r\n
        > AT+CCLK?\r\n
        < \r\n+CCLK: "26/11/20,12:00:00+32"\r\n\r\nOK\r\n
        "#,
    );
}

#[test]
fn a_sim_with_a_pin() {
    let sim = Sim::Pin("1234".into());
    Desk::new(Config { sim, delays: Delays::NONE, ..Config::default() }).quiet().play(
        r#"
        > AT+CPIN?\r\n
        < \r\n+CPIN: SIM PIN\r\n\r\nOK\r\n
        > AT+CPIN="1111"\r\n
        < \r\n+CME ERROR: 16\r\n
        > AT+CPIN=1234\r\n
        < \r\nOK\r\n
        > AT+CPIN?\r\n
        < \r\n+CPIN: READY\r\n\r\nOK\r\n
        ! pass 1531
        < \r\n^MODE: 17,17\r\n\r\n+E_UTRAN Service\r\n\r\n+CGEV: ME PDN ACT 1,0\r\n
        "#,
    );
}

#[test]
fn names_are_read_back() {
    for quirk in Quirk::ALL {
        assert_eq!(quirk.to_string().parse(), Ok(quirk));
        assert!(!quirk.help().is_empty());
    }
    for family in Family::ALL {
        assert_eq!(family.to_string().parse(), Ok(family));
    }
    assert!("air999".parse::<Family>().is_err());
}

// ---- faults -----------------------------------------------------------------------------------

#[test]
fn faults_count_as_they_do_for_every_modem() {
    let mut desk = Desk::faulty(&[Fault::Drop(3), Fault::RxDrop(6)]);
    // The first byte of the echo that is lost is the `E`; the `A` of the second line never came.
    assert_eq!(desk.send("ATE0\r"), b"AT0\r\r\nOK\r\n");
    assert_eq!(desk.send("AT\r"), b"");

    let mut desk = Desk::faulty(&[Fault::Silent(2)]).quiet();
    assert_eq!(desk.send("AT\r"), b"\r\nOK\r\n");
    assert_eq!(desk.send("AT\r"), b"");
    desk.modem.power_cycle(desk.now);
    desk.pass(10_000);
    assert_eq!(desk.send("AT\r"), b"AT\r\r\nOK\r\n");

    let mut desk = Desk::faulty(&[Fault::Reboot(4)]);
    assert_eq!(desk.send("AT\r"), b"AT\r\r");
    assert!(desk.pass(1300).ends_with(b"\r\nRDY\r\n"));

    let mut desk = Desk::faulty(&[Fault::Storm(2)]).quiet();
    let answer = desk.send("AT\r");
    assert_eq!(answer.iter().filter(|byte| **byte == b'\n').count(), 6);
    assert!(answer.ends_with(b"\r\nOK\r\n"));

    let mut desk = Desk::faulty(&[Fault::Split]);
    desk.modem.receive(0, b"AT\r");
    assert_eq!(desk.modem.transmit(0), b"A");
    assert_eq!(desk.modem.deadline(), Some(0));
}

#[test]
fn the_connection_is_lost_after_so_many_operations() {
    Desk::faulty(&[Fault::Lost(3)]).connected().play(
        r#"
        > AT+MPUB="t",0,0,"m"\r\n
        < \r\nOK\r\n
        > AT+MPUB="t",2,0,"m"\r\n
        < \r\nOK\r\n\r\nPUBREC\r\n\r\nPUBCOMP\r\n\r\nCLOSED\r\n
        "#,
    );
    Desk::faulty(&[Fault::Lost(2)]).connected().play(
        r#"
        > AT+MPUB="t",0,0,"m"\r\n
        < \r\nOK\r\n\r\nCLOSED\r\n
        "#,
    );
}

#[test]
fn the_same_seed_gives_the_same_trouble() {
    let run = |seed| {
        let faults = vec![Fault::Noise(9), Fault::Storm(1)];
        let mut desk = Desk::new(Config { faults, seed, ..Config::default() });
        let mut heard = Vec::new();
        for command in ["AT", "AT+CSQ", "AT+CGATT?", "AT+MIPSTART=b,1", "AT+MCONNECT=1,60"] {
            heard.extend(desk.send(format!("{command}\r\n")));
            heard.extend(desk.pass(1000));
        }
        heard
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

// ---- anything at all --------------------------------------------------------------------------

const PIECES: &[&str] = &[
    "AT\r\n",
    "ATE0\r",
    "AT+MCONFIG=\"c\",\"\",\"\",0,0,\"w\",\"gone\"\r\n",
    "AT+MIPSTART=\"b.example\",1883\r\n",
    "AT+SSLMIPSTART=\"b.example\",8883\r\n",
    "AT+MCONNECT=1,60\r\n",
    "AT+MCONNECT=0,60\r\n",
    "AT+MSUB=#,2\r\n",
    "AT+MUNSUB=#\r\n",
    "AT+MPUB=\"t/a\",0,0,\"\\22\"\r\n",
    "AT+MPUB=\"t/a\",1,1,\"m\"\r\n",
    "AT+MPUB=\"t/a\",2,0,\"\"\r\n",
    "AT+MPUBEX=\"t/a\",1,0,5\r\n",
    "AT+MPUBEX=\"t/a\",0,0,\r",
    "hello",
    "\x1a",
    "\n",
    "AT+MQTTMSGSET=1\r\n",
    "AT+MQTTMSGSET=0\r\n",
    "AT+MQTTMSGGET\r\n",
    "AT+MQTTMSGGET?\r\n",
    "AT+MQTTMODE=1\r\n",
    "AT+MQTTSTATU\r\n",
    "AT+MDISCONNECT\r\n",
    "AT+MIPCLOSE\r\n",
    "AT+CIPMUX=1\r\n",
    "AT+CIPSHUT\r\n",
    "AT+CFUN=0\r\n",
    "AT+CFUN=1\r\n",
    "AT+RESET\r\n",
    "AT+CPNETAPN=2,\"a\",\"\",\"\",0\r\n",
    "AT+POWERMODE=\"PSM+\"\r\n",
    "AT+POWERMODE=\"STD\"\r\n",
    "AT+SSLCFG=\"seclevel\",88,2\r\n",
    "AT+SSLCFG=\"seclevel\",88,\r\n",
    "AT+FSCREATE=\"f\"\r\n",
    "AT+FSWRITE=\"f\",1,5,1\r\n",
    "AT+FSREAD=\"f\",1,9,3\r\n",
    "AT+FSDEL=\"f\"\r\n",
    "AT+FSLS=\"/\"\r\n",
    "AT+CPIN?\r\n",
    "AT+CGDCONT?\r\n",
    "\"",
    ",",
];

fn ramble(seed: u64, all_at_once: bool) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let family = Family::ALL[dice.roll(4) as usize];
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
    let mut times = Vec::new();
    while let Some(deadline) = modem.deadline() {
        if !modem.transmit(deadline).is_empty() {
            times.push(deadline);
        }
    }
    assert_eq!(times, [300, 1300, 4400, 4427]);
}
