//! What stands behind the modem: the words in which modem and network talk, the trait of a
//! network side, and [`Loopback`], a broker in memory for tests in virtual time. Nothing here
//! knows AT commands or sockets.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::task::{Context, Poll};

use crate::modem::Modem;

/// The modem wants something of the network for one of its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// 0 or 1.
    pub client: u8,
    /// To be repeated in the answer.
    pub id: u32,
    /// What it wants.
    pub action: Action,
}

/// What a modem may want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a connection and say nothing on it yet. Modems that leave the moment of CONNECT to
    /// the host ask for this; the next [`Connect`](Action::Connect) uses the link.
    Open(Box<LinkOptions>),
    /// Connect to a broker.
    Connect(Box<ConnectOptions>),
    /// Publish a message.
    Publish {
        /// As entered, maybe not UTF-8.
        topic: Vec<u8>,
        /// May be empty.
        payload: Vec<u8>,
        /// 0 to 2.
        qos: u8,
        /// The retain flag.
        retain: bool,
        /// The dup flag.
        dup: bool,
    },
    /// Subscribe to filters, each with its own QoS.
    Subscribe {
        /// Filter and QoS.
        filters: Vec<(Vec<u8>, u8)>,
    },
    /// Take filters back.
    Unsubscribe {
        /// The filters.
        filters: Vec<Vec<u8>>,
    },
    /// Take leave of the broker.
    Disconnect,
    /// Drop the connection without a word. This is the one action that is not answered.
    Abort,
}

/// A connection before any MQTT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkOptions {
    /// Name or address, without scheme.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// With TLS, and how.
    pub tls: Option<TlsOptions>,
}

/// Everything of a CONNECT.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Name or address, without scheme.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// With TLS, and how.
    pub tls: Option<TlsOptions>,
    /// Client identifier.
    pub client_id: String,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Keep-alive in seconds.
    pub keep_alive_seconds: u32,
    /// Clean session.
    pub clean: bool,
    /// 3 is MQTT 3.1, 4 is MQTT 3.1.1.
    pub version: u8,
    /// Last will.
    pub will: Option<Will>,
}

impl ConnectOptions {
    /// MQTT 3.1.1 without TLS, login or will, a clean session, keep-alive 60 s.
    pub fn plain(host: impl Into<String>, port: u16, client_id: impl Into<String>) -> Self {
        ConnectOptions {
            host: host.into(),
            port,
            tls: None,
            client_id: client_id.into(),
            user: None,
            password: None,
            keep_alive_seconds: 60,
            clean: true,
            version: 4,
            will: None,
        }
    }
}

impl fmt::Debug for ConnectOptions {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field("client_id", &self.client_id)
            .field("user", &self.user)
            .field("keep_alive_seconds", &self.keep_alive_seconds)
            .field("clean", &self.clean)
            .field("version", &self.version)
            .field("will", &self.will)
            .finish_non_exhaustive()
    }
}

/// A TLS context of the modem.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// 0 SSL 3.0, 1 TLS 1.0, 2 TLS 1.1, 3 TLS 1.2, 4 all.
    pub version: u8,
    /// The server has to show a certificate that leads to `ca`.
    pub verify_server: bool,
    /// Dates of certificates do not count.
    pub ignore_local_time: bool,
    /// The handshake may take so long.
    pub negotiate_seconds: u32,
    /// Send the server name (SNI).
    pub server_name: bool,
    /// The name to send and to find in the certificate. Without it, the host that was asked for
    /// is sent and nothing is compared.
    pub name: Option<String>,
    /// File with the authority, PEM or DER.
    pub ca: Option<Vec<u8>>,
    /// File with the certificate of the client.
    pub certificate: Option<Vec<u8>>,
    /// File with the key of the client.
    pub key: Option<Vec<u8>>,
}

impl fmt::Debug for TlsOptions {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("version", &self.version)
            .field("verify_server", &self.verify_server)
            .field("ignore_local_time", &self.ignore_local_time)
            .field("negotiate_seconds", &self.negotiate_seconds)
            .field("server_name", &self.server_name)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A last will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// Topic.
    pub topic: Vec<u8>,
    /// Message.
    pub payload: Vec<u8>,
    /// 0 to 2.
    pub qos: u8,
    /// Whether it is to be kept. SIMCom modems know no such flag.
    pub retain: bool,
}

/// What the network has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The request is done: code 0, or the cause of the failure. Causes are numbered as SIMCom
    /// numbers them; a modem that tells nothing of causes takes them as yes and no.
    Done {
        /// 0 or 1.
        client: u8,
        /// Of the request.
        id: u32,
        /// 0 is success.
        code: u8,
    },
    /// A message for a client.
    Message {
        /// 0 or 1.
        client: u8,
        /// Topic.
        topic: Vec<u8>,
        /// Payload.
        payload: Vec<u8>,
        /// Whether it was kept by the broker before somebody asked for it.
        retain: bool,
    },
    /// The connection is gone. What was under way fails with code 6.
    Lost {
        /// 0 or 1.
        client: u8,
        /// 1 closed by the peer, 2 reset, 3 network closed.
        cause: u8,
    },
}

/// A network side.
pub trait Network {
    /// Takes a request. The answer comes from [`poll_reply`](Self::poll_reply).
    fn request(&mut self, request: Request);

    /// The next thing that the network has to say.
    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Reply>;
}

/// A message as the [`Loopback`] saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Topic.
    pub topic: Vec<u8>,
    /// Payload.
    pub payload: Vec<u8>,
    /// 0 to 2.
    pub qos: u8,
    /// Whether it is to be kept.
    pub retain: bool,
}

/// A broker in memory. Deterministic: it answers at once, in order, and does nothing by itself.
/// It routes publishes to the subscriptions of both clients, keeps retained messages and sessions
/// (by client id, with clean session off), and publishes wills when a connection is not closed
/// properly.
#[derive(Debug, Default)]
pub struct Loopback {
    links: [Option<Link>; 2],
    sessions: BTreeMap<String, Session>,
    retained: BTreeMap<Vec<u8>, Vec<u8>>,
    published: Vec<Message>,
    opens: Vec<LinkOptions>,
    opened: [bool; 2],
    connects: Vec<ConnectOptions>,
    failures: VecDeque<u8>,
    held: Option<VecDeque<Request>>,
    replies: VecDeque<Reply>,
}

#[derive(Debug)]
struct Link {
    client_id: String,
    clean: bool,
    will: Option<Will>,
}

#[derive(Debug, Default)]
struct Session {
    filters: Vec<Vec<u8>>,
    waiting: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Network for Loopback {
    fn request(&mut self, request: Request) {
        match &mut self.held {
            Some(held) if request.action != Action::Abort => held.push_back(request),
            _ => self.serve(request),
        }
    }

    fn poll_reply(&mut self, _: &mut Context<'_>) -> Poll<Reply> {
        self.reply().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Loopback {
    /// An empty broker.
    pub fn new() -> Self {
        Loopback::default()
    }

    /// The next thing it has to say, if there is any.
    pub fn reply(&mut self) -> Option<Reply> {
        self.replies.pop_front()
    }

    /// Carries requests and replies between the modem and this broker until both are quiet.
    pub fn exchange(&mut self, modem: &mut (impl Modem + ?Sized), now_ms: u64) {
        loop {
            let requests = modem.requests();
            let quiet = requests.is_empty() && self.replies.is_empty();
            requests.into_iter().for_each(|request| self.request(request));
            while let Some(reply) = self.reply() {
                modem.reply(now_ms, reply);
            }
            if quiet {
                return;
            }
        }
    }

    /// A publish from some other client.
    pub fn publish(&mut self, topic: &[u8], payload: &[u8], retain: bool) {
        let (topic, payload) = (topic.to_vec(), payload.to_vec());
        self.route(Message { topic, payload, qos: 0, retain });
    }

    /// The next request fails with this code.
    pub fn fail_next(&mut self, code: u8) {
        self.failures.push_back(code);
    }

    /// Holds back every answer, as a slow broker does.
    pub fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Serves what was held back.
    pub fn resume(&mut self) {
        for request in self.held.take().unwrap_or_default() {
            self.serve(request);
        }
    }

    /// The connection of a client breaks, as the broker sees it: its will goes out.
    pub fn lose(&mut self, client: u8, cause: u8) {
        let opened = std::mem::take(&mut self.opened[index(client)]);
        if opened || self.links[index(client)].is_some() {
            self.unlink(client, true);
            self.replies.push_back(Reply::Lost { client, cause });
        }
    }

    /// Everything that was published, wills and other clients included.
    pub fn published(&self) -> &[Message] {
        &self.published
    }

    /// Every connection without CONNECT that was asked for.
    pub fn opens(&self) -> &[LinkOptions] {
        &self.opens
    }

    /// Every CONNECT that was asked for.
    pub fn connects(&self) -> &[ConnectOptions] {
        &self.connects
    }

    fn serve(&mut self, request: Request) {
        let Request { client, id, action } = request;
        let link = index(client);
        if action == Action::Abort {
            self.opened[link] = false;
            return self.unlink(client, true);
        }
        if let Some(code) = self.failures.pop_front() {
            if matches!(action, Action::Connect(_)) {
                self.unlink(client, false);
            }
            return self.done(client, id, code);
        }
        if let Action::Open(options) = action {
            self.unlink(client, true);
            self.opens.push(*options);
            self.opened[link] = true;
            return self.done(client, id, 0);
        }
        if let Action::Connect(options) = action {
            return self.connect(client, id, *options);
        }
        let Some(client_id) = self.links[link].as_ref().map(|link| link.client_id.clone()) else {
            return self.done(client, id, 11);
        };
        // The acknowledgement goes before what follows from the request.
        self.done(client, id, 0);
        match action {
            Action::Publish { topic, payload, qos, retain, .. } => {
                self.route(Message { topic, payload, qos, retain });
            }
            Action::Subscribe { filters } => {
                for (filter, _) in filters {
                    self.subscribe(client, &client_id, filter);
                }
            }
            Action::Unsubscribe { filters } => {
                let session = self.sessions.entry(client_id).or_default();
                session.filters.retain(|filter| !filters.contains(filter));
            }
            Action::Disconnect => {
                self.opened[link] = false;
                self.unlink(client, false);
            }
            Action::Open(_) | Action::Connect(_) | Action::Abort => {}
        }
    }

    fn done(&mut self, client: u8, id: u32, code: u8) {
        self.replies.push_back(Reply::Done { client, id, code });
    }

    fn connect(&mut self, client: u8, id: u32, options: ConnectOptions) {
        self.unlink(client, true);
        let client_id = options.client_id.clone();
        if options.clean {
            self.sessions.remove(&client_id);
        }
        let waiting = std::mem::take(&mut self.sessions.entry(client_id).or_default().waiting);
        self.links[index(client)] = Some(Link {
            client_id: options.client_id.clone(),
            clean: options.clean,
            will: options.will.clone(),
        });
        self.connects.push(options);
        self.done(client, id, 0);
        for (topic, payload) in waiting {
            self.replies.push_back(Reply::Message { client, topic, payload, retain: false });
        }
    }

    fn unlink(&mut self, client: u8, with_will: bool) {
        let Some(link) = self.links[index(client)].take() else {
            return;
        };
        if link.clean {
            self.sessions.remove(&link.client_id);
        }
        if let Some(Will { topic, payload, qos, retain }) = link.will.filter(|_| with_will) {
            self.route(Message { topic, payload, qos, retain });
        }
    }

    fn subscribe(&mut self, client: u8, client_id: &str, filter: Vec<u8>) {
        for (topic, payload) in &self.retained {
            if matches(&filter, topic) {
                let (topic, payload) = (topic.clone(), payload.clone());
                self.replies.push_back(Reply::Message { client, topic, payload, retain: true });
            }
        }
        let session = self.sessions.entry(client_id.to_owned()).or_default();
        if !session.filters.contains(&filter) {
            session.filters.push(filter);
        }
    }

    fn route(&mut self, message: Message) {
        let Message { topic, payload, retain, .. } = &message;
        if *retain {
            match payload.is_empty() {
                true => drop(self.retained.remove(topic)),
                false => drop(self.retained.insert(topic.clone(), payload.clone())),
            }
        }
        for (client_id, session) in &mut self.sessions {
            if !session.filters.iter().any(|filter| matches(filter, topic)) {
                continue;
            }
            let linked = |link: &Option<Link>| {
                link.as_ref().is_some_and(|link| link.client_id == *client_id)
            };
            match self.links.iter().position(linked) {
                Some(at) => self.replies.push_back(Reply::Message {
                    client: at as u8,
                    topic: topic.clone(),
                    payload: payload.clone(),
                    retain: false,
                }),
                None => session.waiting.push((topic.clone(), payload.clone())),
            }
        }
        self.published.push(message);
    }
}

fn index(client: u8) -> usize {
    usize::from(client) % 2
}

/// Whether a topic fits a filter (MQTT 3.1.1, 4.7).
pub(crate) fn matches(filter: &[u8], topic: &[u8]) -> bool {
    if topic.first() == Some(&b'$') && matches!(filter.first(), Some(b'+' | b'#')) {
        return false;
    }
    let mut topic = topic.split(|b| *b == b'/');
    for level in filter.split(|b| *b == b'/') {
        match (level, topic.next()) {
            (b"#", _) => return true,
            (b"+", Some(_)) => {}
            (level, Some(other)) if level == other => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_the_mqtt_standard() {
        for (filter, topic, fits) in [
            ("a/b", "a/b", true),
            ("a/+", "a/b", true),
            ("a/+", "a/b/c", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "a/b", true),
            ("#", "$SYS/x", false),
            ("+", "/a", false),
            ("+/+", "/a", true),
            ("a/b", "a", false),
        ] {
            assert_eq!(matches(filter.as_bytes(), topic.as_bytes()), fits, "{filter} {topic}");
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        let options = ConnectOptions::plain("h", 1, "c");
        let options = ConnectOptions { password: Some("secret".into()), ..options };
        assert!(!format!("{options:?}").contains("secret"));
    }
}
