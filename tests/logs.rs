//! What is logged: what is done and how it went, and never a secret.

use std::sync::{Mutex, PoisonError};

use embedded_io_adapters::tokio_1::FromTokio;
use hayes::{
    MqttClient,
    clock::Tokio,
    mqtt::{AuthType, ConnectOptions, Credential, Event, Network, Publish, QoS, Tls},
};
use hayes_emulator::{
    network::Loopback,
    serve::{self, Control, Hooks},
    simcom::{Config, Family},
};
use tokio::sync::mpsc;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("hayes")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = format!("{} {}", record.level(), record.args());
            LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    fn flush(&self) {}
}

#[tokio::test(start_paused = true)]
async fn operations_and_losses_are_logged_and_secrets_are_not() {
    log::set_logger(&Lines).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let (host, wire) = tokio::io::duplex(64);
    let (reader, writer) = tokio::io::split(host);
    let (control, received) = mpsc::unbounded_channel();
    let config = Config { family: Family::A76xx, ..Config::default() };
    let hooks = Hooks { control: Some(received), ..Hooks::default() };
    let emulator = tokio::spawn(serve::on_duplex_with(wire, config, Loopback::new(), hooks));
    let (reader, writer) = (FromTokio::new(reader), FromTokio::new(writer));
    let mut modem = hayes_simcom::client::<256, 2048, _, _, _>(
        reader,
        writer,
        Tokio::new(),
        hayes_simcom::Settings::new().auth_order(hayes_simcom::AuthOrder::UserFirst),
    );
    let publish = Publish::new("secret-topic", b"secret-payload").unwrap().qos(QoS::AtLeastOnce);
    modem.publish(&publish).await.unwrap_err();
    let network = Network::new().pin("4711").unwrap();
    modem
        .bring_up(
            &network.apn("a").unwrap().credentials(AuthType::Chap, "u", "secret-apn").unwrap(),
        )
        .await
        .ok();
    let pem = |text| Credential::Pem(text);
    let tls = Tls::with_ca(pem(b"secret-ca")).client(pem(b"secret-cert"), pem(b"secret-key"));
    let options = ConnectOptions::new("broker.example", 8883, "d").unwrap().tls(tls);
    let options = options.credentials("user", Some("secret-password")).unwrap();
    modem.connect(&options).await.unwrap();
    modem.subscribe("secret-topic", QoS::AtLeastOnce).await.unwrap();
    modem.publish(&publish).await.unwrap();
    // Bring-up with credentials attaches anew, which is told.
    while !matches!(modem.next_event().await.unwrap(), Event::Message(_)) {}
    control.send(Control::Lose { client: 0, cause: 1 }).unwrap();
    assert!(matches!(modem.next_event().await, Ok(Event::Lost { .. })));
    emulator.abort();
    modem.next_event().await.unwrap_err();
    let lines = LINES.lock().unwrap();
    for line in [
        "WARN publish: not connected to a broker; connect first",
        "DEBUG bring-up: done",
        "DEBUG store: done",
        "DEBUG connect",
        "TRACE +CMQTTCONNECT: OK",
        "DEBUG connect: done",
        "DEBUG publish: done",
        "WARN network lost",
        "TRACE message: topic 12 bytes, payload 14",
        "WARN session 0 lost: closed (code 1)",
        "INFO the transport was closed",
    ] {
        assert!(lines.iter().any(|one| one == line), "{line}\n{lines:#?}");
    }
    for line in lines.iter() {
        assert!(!line.contains("secret") && !line.contains("4711"), "{line}");
    }
}
