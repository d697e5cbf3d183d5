//! The blocking client: over an emulated modem as a transport that never waits,
//! under a time of its own, and over transports that misbehave.

#[path = "common/transport.rs"]
mod transport;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use embedded_io::{ErrorKind, ErrorType};
use hayes::{
    ClientError, FileKind, Instant, Machine as _,
    blocking::{self, Client},
    mqtt::{
        Assurance, ConnectOptions, Credential, Error, Event, Feature, LinkState, Loss, Network,
        Publish, QoS, Subscription,
    },
};
use hayes_emulator::{
    Modem, luat,
    network::Loopback,
    simcom::{self as emulated, Config, Delays, Family},
};
use transport::{Script, Scripted};

fn slow() -> Config {
    let delays = Delays { answer: 20, prompt: 15, result: 40, ..Delays::default() };
    Config { family: Family::A76xx, delays, ..Config::default() }
}

/// An emulated modem as a transport that never waits.
struct Wire<M = emulated::Modem> {
    modem: M,
    broker: Loopback,
    now: Rc<Cell<u64>>,
    waiting: VecDeque<u8>,
    said: Rc<RefCell<Vec<u8>>>,
    /// What the host says last before the transport fails, once.
    fails_after: &'static str,
    /// When somebody publishes on `t`.
    due: Rc<Cell<u64>>,
}

impl<M: Modem> Wire<M> {
    fn new(modem: M, now: &Rc<Cell<u64>>) -> Self {
        Self {
            modem,
            broker: Loopback::new(),
            now: Rc::clone(now),
            waiting: VecDeque::new(),
            said: Rc::default(),
            fails_after: "never",
            due: Rc::new(Cell::new(u64::MAX)),
        }
    }

    fn advance(&mut self) {
        if self.now.get() >= self.due.get() {
            self.due.set(u64::MAX);
            self.broker.publish(b"t", b"waits", false);
        }
        self.broker.exchange(&mut self.modem, self.now.get());
        self.waiting.extend(self.modem.transmit(self.now.get()));
    }
}

impl<M> ErrorType for Wire<M> {
    type Error = ErrorKind;
}

impl<M: Modem> embedded_io::Read for Wire<M> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let count = buffer.len().min(self.waiting.len());
        for (slot, byte) in buffer.iter_mut().zip(self.waiting.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }
}

impl<M: Modem> embedded_io::ReadReady for Wire<M> {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        if String::from_utf8_lossy(&self.said.borrow()).contains(self.fails_after) {
            self.fails_after = "never";
            return Err(ErrorKind::Other);
        }
        self.advance();
        Ok(!self.waiting.is_empty())
    }
}

impl<M: Modem> embedded_io::Write for Wire<M> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.said.borrow_mut().extend(bytes);
        self.modem.receive(self.now.get(), bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// A clock that ticks when nobody has anything to do.
struct Ticking(Rc<Cell<u64>>);

impl blocking::Clock for Ticking {
    fn now(&self) -> Instant {
        Instant::from_millis(self.0.get())
    }

    fn idle(&self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn the_blocking_client_does_the_same_without_async() {
    let now = Rc::new(Cell::new(0));
    let wire = Wire::new(emulated::Modem::new(slow()), &now);
    let said = Rc::clone(&wire.said);
    let machine = hayes_simcom::machine::<256, 4096>(Default::default());
    let mut modem = Client::new(wire, Ticking(Rc::clone(&now)), machine);
    modem.bring_up(&Network::new()).unwrap();
    modem.connect(&ConnectOptions::new("broker.example", 1883, "device-7").unwrap()).unwrap();
    modem.subscribe("t", QoS::AtLeastOnce).unwrap();
    assert_eq!(modem.poll_event(), Ok(None));
    let publish = Publish::new("t", b"\r\nOK\r\n").unwrap().qos(QoS::AtLeastOnce);
    assert_eq!(modem.publish(&publish), Ok(Assurance::BrokerAck));
    let Event::Message(message) = modem.next_event().unwrap() else { panic!() };
    assert_eq!(message.payload, b"\r\nOK\r\n");
    assert_eq!(modem.status().unwrap().link, LinkState::Connected);
    let more = ["u", "v"].map(|filter| Subscription::new(filter, QoS::AtMostOnce).unwrap());
    modem.subscribe_all(&more).unwrap();
    modem.unsubscribe_all(&more.map(|one| one.filter)).unwrap();
    modem.unsubscribe("t").unwrap();
    assert_eq!(modem.publish(&publish), Ok(Assurance::BrokerAck));
    now.set(now.get() + 1_000);
    assert_eq!(modem.poll_event(), Ok(None));
    modem.store(FileKind::Ca, Credential::Pem(b"-----BEGIN")).unwrap();
    let lines = String::from_utf8_lossy(&said.borrow()).into_owned();
    assert!(lines.contains("AT+CSQ") && lines.contains("AT+CCERTDOWN=\"ca-"), "{lines}");
    modem.delete("old.pem").unwrap_err();
    assert!(String::from_utf8_lossy(&said.borrow()).contains("AT+CCERTDELE=\"old.pem\""));
    assert_eq!(modem.capabilities(), modem.machine().capabilities());
    assert_eq!(modem.limits(), modem.machine().limits());
    assert_eq!(modem.select(2), Err(Error::Unsupported(Feature::SecondSession)));
    modem.select(1).unwrap();
    assert_eq!(modem.link(), LinkState::Idle);
    modem.select(0).unwrap();
    assert_eq!(modem.link(), LinkState::Connected);
    let machine = format!("{:?}", modem.machine());
    assert_eq!(format!("{modem:?}"), format!("Client {{ machine: {machine}, .. }}"));
    modem.disconnect().unwrap();
    assert_eq!(modem.publish(&publish), Err(Error::NotConnected.into()));
}

/// In a bare loop nobody waits for events: what is due must go out without.
#[test]
fn polling_for_events_fetches_what_waits_in_the_modem() {
    let now = Rc::new(Cell::new(0));
    let wire = Wire::new(luat::Modem::new(luat::Config::default()), &now);
    let due = Rc::clone(&wire.due);
    let settings = hayes_luat::Settings::new().receiving(hayes_luat::Receiving::Cached);
    let machine = hayes_luat::machine::<320, 4096>(settings);
    let mut modem = Client::new(wire, Ticking(Rc::clone(&now)), machine);
    modem.bring_up(&Network::new()).unwrap();
    modem.connect(&ConnectOptions::new("broker.example", 1883, "device-7").unwrap()).unwrap();
    modem.subscribe("t", QoS::AtLeastOnce).unwrap();
    due.set(now.get() + 500);
    for _ in 0..10_000 {
        now.set(now.get() + 1);
        match modem.poll_event().unwrap() {
            None => {}
            Some(Event::Message(message)) => return assert_eq!(message.payload, b"waits"),
            other => panic!("{other:?}"),
        }
    }
    panic!("the message still waits");
}

fn bring_up(wire: &Scripted) -> Result<(), ClientError<ErrorKind>> {
    let machine = hayes_simcom::machine::<256, 512>(Default::default());
    Client::new(wire.clone(), Ticking(Rc::default()), machine).bring_up(&Network::new())
}

#[test]
fn a_modem_that_says_nothing_is_unresponsive() {
    assert_eq!(bring_up(&Scripted::default()), Err(Error::Unresponsive.into()));
}

#[test]
fn a_transport_that_fails_is_an_error_of_the_transport() {
    let kind = ErrorKind::NotConnected;
    let of = Scripted::of;
    for wire in [
        Scripted::says([Err(kind)]),
        of(Script { ready: Err(kind), ..Script::default() }),
        of(Script { takes: Err(kind), ..Script::default() }),
        of(Script { flush: Err(kind), ..Script::default() }),
    ] {
        assert_eq!(bring_up(&wire), Err(ClientError::Transport(kind)));
    }
    let wire = of(Script { takes: Ok(0), ..Script::default() });
    assert_eq!(bring_up(&wire), Err(ClientError::Closed));
}

#[test]
fn empty_reads_end_the_stream_only_if_they_go_on() {
    let (empty, byte) = (|| Ok(Vec::new()), || Ok(b"\r".to_vec()));
    let wire = Scripted::says([empty(), empty(), empty(), Err(ErrorKind::Other)]);
    assert_eq!(bring_up(&wire), Err(ClientError::Closed));
    let wire = Scripted::says([empty(), empty(), byte(), empty(), empty(), Err(ErrorKind::Other)]);
    assert_eq!(bring_up(&wire), Err(ClientError::Transport(ErrorKind::Other)));
}

/// A connection to a broker that lets everybody in: MQTT 3.1.1, 3.2.
fn accepting() -> Scripted {
    Scripted::says([Ok(vec![0x20, 2, 0, 0])])
}

#[test]
fn a_connection_that_was_lost_is_replaced_by_another() {
    let lost = accepting();
    let machine = hayes_iridium::rockremote::machine::<512>(Default::default());
    let mut gateway = Client::new(lost.clone(), Ticking(Rc::default()), machine);
    let options = ConnectOptions::new("10.0.0.1", 1883, "d").unwrap();
    gateway.connect(&options).unwrap();
    lost.0.borrow_mut().reads.extend([const { Ok(Vec::new()) }; 3]);
    assert_eq!(gateway.next_event(), Err(ClientError::Closed));
    let loss = Loss::Closed(None);
    assert_eq!(gateway.next_event(), Ok(Event::Lost { session: 0, loss }));
    let other = accepting();
    other.0.borrow_mut().reads.push_front(Ok(Vec::new()));
    gateway.replace_transport(other);
    gateway.connect(&options).unwrap();
    assert_eq!(gateway.link(), LinkState::Connected);
}

#[test]
fn a_refusal_ends_a_payload_that_is_on_its_way() {
    let wire = accepting();
    let machine = hayes_iridium::rockremote::machine::<512>(Default::default());
    let mut gateway = Client::new(wire.clone(), Ticking(Rc::default()), machine);
    gateway.connect(&ConnectOptions::new("10.0.0.1", 1883, "d").unwrap()).unwrap();
    // A packet of a type that there is not.
    wire.0.borrow_mut().reads.push_back(Ok(vec![0; 2]));
    let result = gateway.publish(&Publish::new("t", &[0x55; 10_000]).unwrap());
    assert!(matches!(result, Err(ClientError::Modem(Error::Protocol(_)))), "{result:?}");
    assert!(wire.written().len() < 1_000, "{} bytes", wire.written().len());
}

#[test]
fn a_publish_in_which_the_transport_fails_is_of_unknown_outcome() {
    let now = Rc::new(Cell::new(0));
    let mut wire = Wire::new(emulated::Modem::new(slow()), &now);
    wire.fails_after = "AT+CMQTTPUB=";
    let machine = hayes_simcom::machine::<256, 4096>(Default::default());
    let mut modem = Client::new(wire, Ticking(now), machine);
    modem.bring_up(&Network::new()).unwrap();
    modem.connect(&ConnectOptions::new("broker.example", 1883, "device-7").unwrap()).unwrap();
    let publish = Publish::new("t", b"x").unwrap().qos(QoS::AtLeastOnce);
    assert_eq!(modem.publish(&publish), Err(ClientError::Transport(ErrorKind::Other)));
    assert_eq!(modem.next_event(), Ok(Event::Unknown("publish")));
    assert_eq!(modem.publish(&publish), Ok(Assurance::BrokerAck));
}

#[test]
fn what_is_due_when_events_are_polled_is_sent_at_once() {
    let (wire, now) = (accepting(), Rc::new(Cell::new(0)));
    let machine = hayes_iridium::rockremote::machine::<512>(Default::default());
    let mut gateway = Client::new(wire.clone(), Ticking(Rc::clone(&now)), machine);
    let options = ConnectOptions::new("10.0.0.1", 1883, "d").unwrap().keep_alive(60);
    gateway.connect(&options).unwrap();
    now.set(now.get() + 50_000);
    assert_eq!(gateway.poll_event(), Ok(None));
    // PINGREQ: MQTT 3.1.1, 3.12.
    assert!(wire.written().ends_with(&[0xC0, 0]), "{:02x?}", wire.written());
}
