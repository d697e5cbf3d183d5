//! A password, a key or a PIN is in no `Debug` and in no answer that was asked
//! for without need: not in letters, not as the list of numbers that a derived
//! `Debug` makes of bytes, not in hex digits, not in base64.

mod common;

use common::{Rig, config, luat_config};
use hayes::{
    File, FileKind, Instant, Machine, Operation,
    mqtt::{AuthType, ConnectOptions, Credential, Error, Network, Publish, QoS, Tls, Will},
};
use hayes_emulator::{Modem, jspr, luat, rockremote, simcom};

const PASSWORD: &str = "pa55w0rd-of-broker";
const APN_PASSWORD: &str = "pa55w0rd-of-apn";
const PIN: &str = "47110815";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0a2V5\n-----END PRIVATE KEY-----\n";

/// What of each must not be seen; of a key the part that is its own.
const SECRETS: [&str; 4] = [PASSWORD, APN_PASSWORD, PIN, "c2VjcmV0a2V5"];

/// The secret that `text` shows, if it does.
fn shown(text: &str) -> Option<&'static str> {
    SECRETS.into_iter().find(|secret| {
        // Two thirds would do for a thief.
        let part = &secret.as_bytes()[..secret.len() * 2 / 3];
        let list = |digits: fn(&u8) -> String, between| {
            part.iter().map(digits).collect::<Vec<_>>().join(between)
        };
        let forms = [
            String::from_utf8(part.to_vec()).unwrap(),
            list(u8::to_string, ", "),
            list(u8::to_string, ",\n"),
            list(|byte| format!("{byte:02x}"), ""),
            list(|byte| format!("{byte:02x}"), " "),
        ];
        // Wherever it stands in what is encoded.
        let encoded = (0..3).flat_map(|before| {
            let text = base64(&[&[0; 3][..before], part].concat());
            let own = text[[0, 2, 3][before]..text.len() - 3].to_owned();
            let list = own.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>();
            [list.join(", "), list.join(",\n"), own]
        });
        forms.into_iter().chain(encoded).any(|form| text.contains(&form))
    })
}

/// RFC 4648, section 4, the last digits left out if they are not whole.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let digits = bits.chunks_exact(6).map(|six| six.iter().fold(0, |all, bit| all << 1 | bit));
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[test]
fn base64_is_that_of_the_rfc() {
    assert_eq!(base64(b"foobar"), "Zm9vYmFy");
    let text = base64(format!("xy{PASSWORD}").as_bytes());
    assert_eq!(shown(&text), Some(PASSWORD));
    assert_eq!(shown(&format!("{:?}", text.as_bytes())), Some(PASSWORD));
}

#[track_caller]
fn assert_hidden(what: &str, text: &str) {
    if let Some(secret) = shown(text) {
        panic!("{what} shows \"{secret}\": {text}");
    }
}

fn network() -> Network<'static> {
    let network = Network::new().pin(PIN).unwrap().apn("iot").unwrap();
    network.credentials(AuthType::Pap, "user", APN_PASSWORD).unwrap()
}

fn options(tls: bool) -> ConnectOptions<'static> {
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let options = options.credentials("user", Some(PASSWORD)).unwrap();
    let options = options.last_will(Will::new("w", b"gone").unwrap());
    if tls { options.tls(Tls::with_ca(CA).client(CERT, key())) } else { options }
}

const CA: Credential<'static> = Credential::Pem(b"ca");
const CERT: Credential<'static> = Credential::Pem(b"cert");

fn key() -> Credential<'static> {
    Credential::Pem(KEY.as_bytes())
}

/// Runs every operation with secrets in it, and looks at the driver whenever
/// bytes have passed, one by one.
fn look<D, M>(name: &str, mut rig: Rig<D, M>) -> Rig<D, M>
where
    D: Machine + std::fmt::Debug,
    M: Modem,
{
    rig.chunk = 1;
    let (network, plain, secure) = (network(), options(false), options(true));
    let publish = Publish::new("up/t", b"payload").unwrap();
    let [ca, cert, key] = [(FileKind::Ca, CA), (FileKind::Cert, CERT), (FileKind::Key, key())]
        .map(|(kind, content)| File { kind, content });
    for operation in [
        Operation::BringUp(&network),
        Operation::Status,
        Operation::Store(&ca),
        Operation::Store(&cert),
        Operation::Store(&key),
        Operation::Connect(&plain),
        Operation::Publish(&publish),
        Operation::Disconnect,
        Operation::Connect(&secure),
        Operation::Publish(&publish),
        Operation::Disconnect,
        Operation::Delete("client.pem"),
    ] {
        assert_hidden("an operation", &format!("{operation:?} {operation:#?}"));
        if let Err(error) = rig.start(&operation) {
            // What a box cannot do, and a second connection without a second line.
            let can = matches!(error, Error::Unsupported(_) | Error::TransportUsed);
            assert!(can || error == Error::NotConnected, "{name}: {error}");
            continue;
        }
        let outcome = loop {
            let busy = step(name, &mut rig, &operation);
            if let Some(outcome) = rig.driver.outcome() {
                break outcome;
            }
            assert!(busy || rig.advance(), "{name} {:?} hangs", operation.verb());
        };
        assert_hidden("an outcome", &format!("{outcome:?}"));
        let missing = matches!(operation, Operation::Delete(_));
        assert!(outcome.is_ok() || missing, "{name} {outcome:?}\n{}", rig.transcript());
        for event in rig.events() {
            assert_hidden("an event", &format!("{event:?}"));
        }
        assert_hidden("a status", &format!("{:?}", rig.driver.status()));
    }
    assert_hidden("a loopback", &format!("{:?}", rig.broker));
    rig
}

/// One exchange, the driver looked at after every few bytes of it.
fn step<D, M>(name: &str, rig: &mut Rig<D, M>, operation: &Operation<'_>) -> bool
where
    D: Machine + std::fmt::Debug,
    M: Modem,
{
    let now = Instant::from_millis(rig.now);
    let mut busy = false;
    while let Some(bytes) = rig.driver.transmit(Some(operation), now) {
        let bytes = bytes.to_vec();
        assert_hidden(name, &format!("{:?}", rig.driver));
        rig.driver.sent(bytes.len());
        rig.wire.push((true, bytes.clone()));
        rig.modem.receive(rig.now, &bytes);
        busy = true;
    }
    rig.broker.exchange(&mut rig.modem, rig.now);
    let bytes = rig.modem.transmit(rig.now);
    for byte in &bytes {
        rig.driver.receive(&[*byte], now);
        if byte % 8 < 2 {
            assert_hidden(name, &format!("{:?}", rig.driver));
        }
        busy = true;
    }
    rig.wire.push((false, bytes));
    busy
}

/// Commands that make a modem print a password.
const PRINTERS: [&str; 4] = ["AT+CMQTTCONNECT?", "AT+CGAUTH?", "AT+MCONFIG?", "AT+CMQTTACCQ?"];

/// What the modem was made to say.
fn answers(rig: &[(bool, Vec<u8>)]) -> String {
    let host: Vec<u8> = rig.iter().filter(|it| it.0).flat_map(|it| it.1.clone()).collect();
    let host = String::from_utf8_lossy(&host);
    for printer in PRINTERS {
        assert!(!host.contains(printer), "{printer} was sent");
    }
    assert!(host.contains(PASSWORD), "the password was sent");
    let modem = rig.iter().filter(|it| !it.0).flat_map(|it| it.1.clone()).collect();
    String::from_utf8(modem).unwrap()
}

/// What `hayes decode` says of a dialogue.
fn decoded(mut reader: Box<dyn hayes_transcript::Reader>, wire: &[(bool, Vec<u8>)]) -> String {
    let mut seen = Vec::new();
    for (host, bytes) in wire {
        match host {
            true => reader.host(bytes, &mut seen),
            false => reader.modem(bytes, &mut seen),
        }
    }
    reader.finish(&mut seen);
    assert!(seen.len() > 10, "{seen:?}");
    seen.join("\n")
}

#[test]
fn simcom_modems_and_their_driver_show_no_secret() {
    for family in simcom::Family::ALL {
        let settings = hayes_simcom::Settings::new();
        let settings = settings.auth_order(hayes_simcom::AuthOrder::UserFirst);
        let sim = simcom::Sim::Pin(PIN.into());
        let config = simcom::Config { sim, ..config(family) };
        assert_hidden("settings and config", &format!("{settings:?} {config:?}"));
        let rig = look("hayes-simcom", common::Simcom::with(config, settings));
        assert_hidden("an answer", &answers(&rig.wire));
        let reader = hayes_transcript::at::<hayes_simcom::Simcom>();
        assert_hidden("a decoded dialogue", &decoded(reader, &rig.wire));
    }
}

/// The access point is asked for, to be written only if it differs; `PWD:` of
/// the answer is hidden by `hayes --dialogue`.
#[test]
fn luat_modems_and_their_driver_show_no_secret_but_in_the_answer_about_the_access_point() {
    for family in luat::Family::ALL {
        let sim = luat::Sim::Pin(PIN.into());
        let config = luat::Config { sim, ..luat_config(family) };
        let settings = hayes_luat::Settings::new();
        assert_hidden("settings and config", &format!("{settings:?} {config:?}"));
        let rig = look("hayes-luat", common::Luat::with(config, settings));
        let said = answers(&rig.wire).replace(&format!("PWD:{APN_PASSWORD}"), "");
        assert_hidden("an answer", &said);
        let reader = hayes_transcript::at::<hayes_luat::Luat>();
        assert_hidden("a decoded dialogue", &decoded(reader, &rig.wire));
    }
}

#[test]
fn a_rockremote_and_its_driver_show_no_secret() {
    let login = rockremote::Login { user: "user".into(), password: PASSWORD.into() };
    let config = rockremote::Config { login: Some(login), ..rockremote::Config::default() };
    assert_hidden("a config", &format!("{config:?}"));
    let driver = hayes_iridium::rockremote::machine::<1024>(Default::default());
    let rig = look("hayes-iridium", Rig::of(driver, rockremote::Modem::new(config)));
    assert_hidden("a box", &format!("{:?} {:#?}", rig.modem, rig.modem));
    assert_hidden("an answer", &answers(&rig.wire));
}

/// It takes no credentials, and ignores the rest; what there is to hide are
/// messages, in buffers as base64.
#[test]
fn a_9704_and_its_driver_show_no_secret_and_no_message() {
    let segments = jspr::Segments { size: 50, ..jspr::Segments::default() };
    let config = jspr::Config {
        delays: jspr::Delays::NONE,
        mo: jspr::Originate { segments, ..jspr::Originate::default() },
        mt: jspr::Terminate { segments, ..jspr::Terminate::default() },
        ..jspr::Config::default()
    };
    let settings = hayes_iridium::jspr::Settings::new();
    assert_hidden("settings and config", &format!("{settings:?} {config:?}"));
    let driver = hayes_iridium::jspr::machine::<4096, 1024>(settings);
    let mut rig = look("hayes-iridium", Rig::of(driver, jspr::Modem::new(config)));
    let wire: Vec<u8> = rig.wire.iter().flat_map(|it| it.1.clone()).collect();
    assert_hidden("the wire", &String::from_utf8_lossy(&wire));

    rig.connect().unwrap();
    rig.subscribe("#").unwrap();
    let secret = SECRETS.join(" ");
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let publish = Publish::new("RAW", secret.as_bytes()).unwrap().qos(qos);
        let operation = Operation::Publish(&publish);
        rig.wire.clear();
        rig.start(&operation).unwrap();
        rig.broker.publish(b"imt/247", secret.as_bytes(), false);
        while rig.driver.outcome().is_none() {
            assert!(step("hayes-iridium", &mut rig, &operation) || rig.advance());
        }
        rig.idle(1_000);
        assert_hidden("a driver", &format!("{:#?}", rig.driver));
        let wire = rig.wire.iter().flat_map(|it| it.1.clone()).collect();
        assert!(shown(&String::from_utf8(wire).unwrap()).is_some(), "it was sent");
        assert_eq!(rig.events(), [common::message("PEBBLE", secret.as_bytes())]);
    }
}

/// A line that has nothing but an echo.
struct Echo(Vec<u8>);

impl embedded_io_async::ErrorType for Echo {
    type Error = std::convert::Infallible;
}

impl embedded_io_async::Read for Echo {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        let count = self.0.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0.drain(..count);
        Ok(count)
    }
}

impl embedded_io_async::Write for Echo {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

struct Never;

impl hayes::Clock for Never {
    fn now(&self) -> Instant {
        Instant::default()
    }

    async fn wait_until(&self, _: Instant) {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_client_that_has_read_a_secret_shows_none() {
    let echo = || Echo(format!("AT+MCONFIG=\"id\",\"user\",\"{PASSWORD}\"\r\n").into_bytes());
    let settings = hayes_luat::Settings::new();
    let mut client = hayes_luat::client::<64, 256, _, _, _>(echo(), echo(), Never, settings);
    let error = hayes::MqttClient::next_event(&mut client).await.unwrap_err();
    assert_hidden("an error", &format!("{error:?}"));
    assert_hidden("a client", &format!("{client:?} {client:#?}"));

    let echo = || Echo(format!("299 {}", base64(PASSWORD.as_bytes())).into_bytes());
    let settings = hayes_iridium::jspr::Settings::new();
    let mut client =
        hayes_iridium::jspr::client::<64, 256, _, _, _>(echo(), echo(), Never, settings);
    let error = hayes::MqttClient::next_event(&mut client).await.unwrap_err();
    assert_hidden("an error", &format!("{error:?}"));
    assert_hidden("a client", &format!("{client:?} {client:#?}"));
}

/// An echo comes back through every buffer there is.
#[test]
fn an_echo_of_a_secret_is_in_no_debug() {
    let mut modem = hayes_simcom::machine::<256, 1024>(Default::default());
    let echo = format!("AT+CMQTTCONNECT=0,\"tcp://h:1\",60,1,\"user\",\"{PASSWORD}\"\r\n");
    for byte in echo.bytes() {
        modem.receive(&[byte], Instant::default());
        assert_hidden("a driver", &format!("{modem:?} {modem:#?}"));
    }
    while let Some(event) = modem.event() {
        assert_hidden("an event", &format!("{event:?}"));
    }
}
