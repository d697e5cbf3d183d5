//! The contract that every backend fulfils: a state machine that does no I/O
//! and reads no clock.
//!
//! A pump (the async client, a test, a fuzzer) does nothing but this:
//!
//! 1. [`Machine::start`] an operation, or none to just listen;
//! 2. write out what [`Machine::transmit`] gives, say how much with
//!    [`Machine::sent`], until it gives nothing;
//! 3. stop if there is an [`Machine::outcome`];
//! 4. wait for bytes ([`Machine::receive`]) or for the [`Machine::deadline`]
//!    ([`Machine::tick`]); go to 2.
//!
//! Every call is safe at any time: one that has nothing to do does nothing.

use crate::{
    clock::Instant,
    mqtt::{
        Assurance, Capabilities, ConnectOptions, Credential, Error, Event, Feature, Field,
        FieldError, Granted, Limits, LinkState, Network, Problem, Publish, QoS, Session, Status,
        Subscription, TopicFilter, Utf8,
    },
};

/// What a caller asks of a modem. It is lent to the machine at each call and
/// never kept, so that payloads go out from the caller's own memory.
#[derive(Clone, Copy, Debug)]
pub enum Operation<'a> {
    /// Find the modem, unlock the SIM, wait for the network, get a bearer.
    BringUp(&'a Network<'a>),
    /// Connect to a broker.
    Connect(&'a ConnectOptions<'a>),
    /// Publish a message.
    Publish(&'a Publish<'a>),
    /// Subscribe to filters.
    Subscribe(&'a [Subscription<'a>]),
    /// Unsubscribe from filters.
    Unsubscribe(&'a [TopicFilter<'a>]),
    /// Disconnect from the broker.
    Disconnect,
    /// Ask how the modem is doing.
    Status,
    /// Store a certificate or a key on the modem, if it is not there already.
    Store(&'a File<'a>),
    /// Delete a file from the modem.
    Delete(&'a str),
}

/// A file to store on the modem.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// What it holds, which its name tells.
    pub kind: FileKind,
    /// The content.
    pub content: Credential<'a>,
}

/// What a file on the modem is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// The certificate of an authority.
    Ca,
    /// The client's certificate.
    Cert,
    /// The client's key.
    Key,
}

impl<'a> ConnectOptions<'a> {
    /// The certificates and the key that come with their content, to be stored
    /// before connecting.
    pub fn files(&self) -> impl Iterator<Item = (FileKind, Credential<'a>)> + use<'a> {
        let tls = self.tls.unwrap_or_default();
        [(FileKind::Ca, tls.ca), (FileKind::Cert, tls.cert), (FileKind::Key, tls.key)]
            .into_iter()
            .filter_map(|(kind, content)| Some((kind, content?)))
            .filter(|(_, content)| matches!(content, Credential::Pem(_)))
    }
}

/// What an operation is, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verb {
    /// [`Operation::BringUp`].
    BringUp,
    /// [`Operation::Connect`].
    Connect,
    /// [`Operation::Publish`].
    Publish,
    /// [`Operation::Subscribe`].
    Subscribe,
    /// [`Operation::Unsubscribe`].
    Unsubscribe,
    /// [`Operation::Disconnect`].
    Disconnect,
    /// [`Operation::Status`].
    Status,
    /// [`Operation::Store`].
    Store,
    /// [`Operation::Delete`].
    Delete,
}

impl Verb {
    const NAMES: [&'static str; 9] = [
        "bring-up",
        "connect",
        "publish",
        "subscribe",
        "unsubscribe",
        "disconnect",
        "status",
        "store",
        "delete",
    ];

    /// The verb in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::name_of(self as u8)
    }

    pub(crate) fn name_of(number: u8) -> &'static str {
        Self::NAMES.get(usize::from(number)).copied().unwrap_or_default()
    }
}

impl Operation<'_> {
    /// What is asked, without its content.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        match self {
            Self::BringUp(_) => Verb::BringUp,
            Self::Connect(_) => Verb::Connect,
            Self::Publish(_) => Verb::Publish,
            Self::Subscribe(_) => Verb::Subscribe,
            Self::Unsubscribe(_) => Verb::Unsubscribe,
            Self::Disconnect => Verb::Disconnect,
            Self::Status => Verb::Status,
            Self::Store(_) => Verb::Store,
            Self::Delete(_) => Verb::Delete,
        }
    }

    /// Refuses what a backend with these capabilities and limits cannot do.
    ///
    /// # Errors
    /// [`Error::Unsupported`] or [`Error::Field`].
    pub fn check(&self, able: Capabilities, limits: &Limits) -> Result<(), Error> {
        match self {
            Self::Connect(options) => check_connect(options, able, limits),
            Self::Publish(publish) => check_publish(publish, able, limits),
            Self::Subscribe(filters) => filters.iter().try_for_each(|one| {
                check_qos(one.qos, able)?;
                check_len(Field::TopicFilter, limits.filter, one.filter.as_str().as_bytes())
            }),
            Self::Unsubscribe(filters) => filters.iter().try_for_each(|one| {
                check_len(Field::TopicFilter, limits.filter, one.as_str().as_bytes())
            }),
            Self::Store(File { content: Credential::Pem(pem), .. }) => {
                able.require(Capabilities::FILES, Feature::Files)?;
                if pem.is_empty() {
                    return Err(empty(Field::FileContent));
                }
                Ok(FieldError::at_most(Field::FileContent, limits.file, pem.len())?)
            }
            Self::Store(_) | Self::Delete(_) => able.require(Capabilities::FILES, Feature::Files),
            Self::BringUp(_) | Self::Disconnect | Self::Status => Ok(()),
        }
    }

    /// How many filters it has, or how many pieces of at most `piece` bytes its
    /// file; else 1.
    pub(crate) fn items(&self, piece: u32) -> usize {
        match self {
            Self::Subscribe(filters) => filters.len(),
            Self::Unsubscribe(filters) => filters.len(),
            Self::Store(File { content: Credential::Pem(pem), .. }) => {
                pem.chunks(usize::try_from(piece).unwrap_or(usize::MAX).max(1)).len()
            }
            _ => 1,
        }
    }
}

fn check_connect(
    options: &ConnectOptions<'_>,
    able: Capabilities,
    limits: &Limits,
) -> Result<(), Error> {
    check_len(Field::ClientId, limits.client_id, options.client_id.as_str().as_bytes())?;
    check_len(Field::Host, limits.host, options.host.as_bytes())?;
    if let Some(user) = options.user {
        able.require(Capabilities::CREDENTIALS, Feature::Credentials)?;
        check_len(Field::User, limits.user, user.as_bytes())?;
        let password = options.password.unwrap_or_default();
        check_len(Field::Password, limits.password, password.as_bytes())?;
    }
    if options.keep_alive < limits.keep_alive_min {
        let (min, actual) = (limits.keep_alive_min.into(), options.keep_alive.into());
        let problem = Problem::TooSmall { min, actual };
        return Err(FieldError { field: Field::KeepAlive, problem }.into());
    }
    let max = limits.keep_alive_max.into();
    FieldError::at_most(Field::KeepAlive, max, options.keep_alive.into())?;
    if !options.clean_session {
        able.require(Capabilities::KEPT_SESSION, Feature::KeptSession)?;
    }
    if options.tls.is_some() {
        able.require(Capabilities::TLS, Feature::Tls)?;
    }
    let Some(will) = &options.will else { return Ok(()) };
    able.require(Capabilities::WILL, Feature::Will)?;
    check_qos(will.qos, able)?;
    if will.retain {
        able.require(Capabilities::WILL_RETAIN, Feature::WillRetain)?;
    }
    check_len(Field::WillTopic, limits.will_topic, will.topic.as_str().as_bytes())?;
    check_len(Field::WillPayload, limits.will_payload, will.payload)
}

fn check_publish(publish: &Publish<'_>, able: Capabilities, limits: &Limits) -> Result<(), Error> {
    check_qos(publish.qos, able)?;
    check_len(Field::Topic, limits.topic, publish.topic.as_str().as_bytes())?;
    FieldError::at_most(Field::Payload, limits.payload, publish.payload.len())?;
    if publish.retain {
        able.require(Capabilities::RETAIN, Feature::Retain)?;
    }
    if publish.payload.is_empty() {
        able.require(Capabilities::EMPTY_PAYLOAD, Feature::EmptyPayload)?;
    }
    if !Utf8::is(publish.payload) {
        able.require(Capabilities::BINARY_PAYLOAD, Feature::BinaryPayload)?;
    }
    Ok(())
}

fn check_qos(qos: QoS, able: Capabilities) -> Result<(), Error> {
    if qos == QoS::ExactlyOnce {
        able.require(Capabilities::EXACTLY_ONCE, Feature::ExactlyOnce)?;
    }
    Ok(())
}

fn check_len(field: Field, max: u16, bytes: &[u8]) -> Result<(), Error> {
    Ok(FieldError::at_most(field, max.into(), bytes.len())?)
}

fn empty(field: Field) -> Error {
    FieldError { field, problem: Problem::Empty }.into()
}

/// A backend: one modem, without its transport and without a clock.
pub trait Machine {
    /// What this backend can do.
    fn capabilities(&self) -> Capabilities;

    /// The greatest sizes it takes, as far as is known by now.
    fn limits(&self) -> Limits;

    /// What a successful publish with `qos` proves.
    fn assurance(&self, qos: QoS) -> Assurance;

    /// Chooses the session (0 or 1) that the next operations are about.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the backend does not have it.
    fn select(&mut self, session: u8) -> Result<(), Error>;

    /// Begins an operation. Lend the same operation to every following
    /// [`transmit`](Self::transmit) until there is an outcome. If an earlier
    /// operation was abandoned, what it left is cleared up first.
    ///
    /// # Errors
    /// If the operation cannot be done; no byte was or will be sent for it.
    fn start(&mut self, operation: &Operation<'_>, now: Instant) -> Result<(), Error>;

    /// Takes bytes from the modem. All of them are consumed.
    fn receive(&mut self, bytes: &[u8], now: Instant);

    /// Tells the time. Call it when the [`deadline`](Self::deadline) passes.
    fn tick(&mut self, now: Instant);

    /// The next bytes for the modem, if any are due.
    fn transmit<'a>(
        &'a mut self,
        operation: Option<&'a Operation<'a>>,
        now: Instant,
    ) -> Option<&'a [u8]>;

    /// The transport took the first `count` bytes of the last
    /// [`transmit`](Self::transmit).
    fn sent(&mut self, count: usize);

    /// When to call [`tick`](Self::tick), if nothing comes before.
    fn deadline(&self) -> Option<Instant>;

    /// The outcome of the operation that was started, once.
    fn outcome(&mut self) -> Option<Result<(), Error>>;

    /// The operation is not lent any more (its future was dropped). The
    /// machine finishes or undoes what must be, by itself. `unsure` bytes may
    /// have been sent or not beyond what [`sent`](Self::sent) told. An
    /// [`outcome`](Self::outcome) that was not taken is void: nobody knows it.
    fn abandon(&mut self, unsure: usize);

    /// Whether there is nothing left to clear up.
    fn is_idle(&self) -> bool;

    /// Whether [`event`](Self::event) has one.
    fn has_event(&self) -> bool;

    /// The next event, lent until the next call.
    fn event(&mut self) -> Option<Event<'_>>;

    /// The state of the connection of the selected session.
    fn link(&self) -> LinkState;

    /// What is known of the modem by now; [`Operation::Status`] asks it.
    fn status(&self) -> Status;

    /// Whether the broker had kept the session, by the last connect.
    fn session(&self) -> Session {
        Session::Unknown
    }

    /// What was granted by the last subscribe.
    fn granted(&self) -> Granted {
        Granted::UNKNOWN
    }

    /// The transport is a new one, and what was under way on the old one is
    /// void. Matters where the transport is the connection, as with TCP.
    fn opened(&mut self) {}

    /// The transport has ended or failed; nothing more will pass.
    fn closed(&mut self) {}
}

impl<M: Machine + ?Sized> Machine for &mut M {
    fn capabilities(&self) -> Capabilities {
        M::capabilities(self)
    }

    fn limits(&self) -> Limits {
        M::limits(self)
    }

    fn assurance(&self, qos: QoS) -> Assurance {
        M::assurance(self, qos)
    }

    fn select(&mut self, session: u8) -> Result<(), Error> {
        M::select(self, session)
    }

    fn start(&mut self, operation: &Operation<'_>, now: Instant) -> Result<(), Error> {
        M::start(self, operation, now)
    }

    fn receive(&mut self, bytes: &[u8], now: Instant) {
        M::receive(self, bytes, now);
    }

    fn tick(&mut self, now: Instant) {
        M::tick(self, now);
    }

    fn transmit<'a>(
        &'a mut self,
        operation: Option<&'a Operation<'a>>,
        now: Instant,
    ) -> Option<&'a [u8]> {
        M::transmit(self, operation, now)
    }

    fn sent(&mut self, count: usize) {
        M::sent(self, count);
    }

    fn deadline(&self) -> Option<Instant> {
        M::deadline(self)
    }

    fn outcome(&mut self) -> Option<Result<(), Error>> {
        M::outcome(self)
    }

    fn abandon(&mut self, unsure: usize) {
        M::abandon(self, unsure);
    }

    fn is_idle(&self) -> bool {
        M::is_idle(self)
    }

    fn has_event(&self) -> bool {
        M::has_event(self)
    }

    fn event(&mut self) -> Option<Event<'_>> {
        M::event(self)
    }

    fn link(&self) -> LinkState {
        M::link(self)
    }

    fn status(&self) -> Status {
        M::status(self)
    }

    fn session(&self) -> Session {
        M::session(self)
    }

    fn granted(&self) -> Granted {
        M::granted(self)
    }

    fn opened(&mut self) {
        M::opened(self);
    }

    fn closed(&mut self) {
        M::closed(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::{Tls, Will};

    #[test]
    fn what_a_backend_cannot_do_is_refused_by_name() {
        let plain = ConnectOptions::new("h", 1883, "id").unwrap();
        let will = Will::new("w", b"x").unwrap();
        let named = plain.credentials("u", None).unwrap();
        let [retained, surely] = [will.retain(true), will.qos(QoS::ExactlyOnce)];
        let [retained, surely] = [retained, surely].map(|will| plain.last_will(will));
        let (kept, tls) = (plain.clean_session(false), plain.tls(Tls::insecure()));
        let (with_will, said) = (plain.last_will(will), Publish::new("t", b"x").unwrap());
        let twice = said.qos(QoS::ExactlyOnce);
        let (kept_on, nothing) = (said.retain(true), Publish::new("t", b"").unwrap());
        let binary = Publish::new("t", b"\xff").unwrap();
        let filters = [Subscription::new("f", QoS::ExactlyOnce).unwrap()];
        let pem = File { kind: FileKind::Ca, content: Credential::Pem(b"x") };
        let stored = File { kind: FileKind::Ca, content: Credential::Stored("x") };
        for (operation, needs, feature) in [
            (Operation::Connect(&named), Capabilities::CREDENTIALS, Feature::Credentials),
            (Operation::Connect(&kept), Capabilities::KEPT_SESSION, Feature::KeptSession),
            (Operation::Connect(&tls), Capabilities::TLS, Feature::Tls),
            (Operation::Connect(&with_will), Capabilities::WILL, Feature::Will),
            (Operation::Connect(&retained), Capabilities::WILL_RETAIN, Feature::WillRetain),
            (Operation::Connect(&surely), Capabilities::EXACTLY_ONCE, Feature::ExactlyOnce),
            (Operation::Publish(&twice), Capabilities::EXACTLY_ONCE, Feature::ExactlyOnce),
            (Operation::Publish(&kept_on), Capabilities::RETAIN, Feature::Retain),
            (Operation::Publish(&nothing), Capabilities::EMPTY_PAYLOAD, Feature::EmptyPayload),
            (Operation::Publish(&binary), Capabilities::BINARY_PAYLOAD, Feature::BinaryPayload),
            (Operation::Subscribe(&filters), Capabilities::EXACTLY_ONCE, Feature::ExactlyOnce),
            (Operation::Store(&pem), Capabilities::FILES, Feature::Files),
            (Operation::Store(&stored), Capabilities::FILES, Feature::Files),
            (Operation::Delete("x"), Capabilities::FILES, Feature::Files),
        ] {
            let all = Capabilities::all();
            assert_eq!(operation.check(all, &Limits::MQTT), Ok(()), "{operation:?}");
            let refused = operation.check(all.difference(needs), &Limits::MQTT);
            assert_eq!(refused, Err(Error::Unsupported(feature)), "{operation:?}");
        }
        for operation in [Operation::Connect(&plain), Operation::Publish(&said), Operation::Status]
        {
            assert_eq!(operation.check(Capabilities::empty(), &Limits::MQTT), Ok(()));
        }
    }

    #[test]
    fn each_filter_and_each_piece_of_a_file_has_its_turn() {
        let filters = [Subscription::new("f", QoS::AtMostOnce).unwrap(); 3];
        let gone = [TopicFilter::new("f").unwrap(); 2];
        let pem = File { kind: FileKind::Ca, content: Credential::Pem(&[b'x'; 9]) };
        for (operation, items) in [
            (Operation::Subscribe(&filters), 3),
            (Operation::Subscribe(&[]), 0),
            (Operation::Unsubscribe(&gone), 2),
            (Operation::Store(&pem), 3),
            (Operation::Delete("x"), 1),
            (Operation::Status, 1),
        ] {
            assert_eq!(operation.items(4), items, "{operation:?}");
        }
    }
}
