//! The far side of the satellite: what came up appears at the cloud broker below
//! `iot/<account>/`, and what is published there by others goes down. The connection is the
//! cloud's own, so neither a restart of the box nor a lost sky touches it. Knows no client.

use std::collections::{BTreeMap, VecDeque};

use super::{Config, Message};
use crate::network::{Action, ConnectOptions, Reply, Request};

/// From a failure to the next attempt, in milliseconds.
const RETRY: u64 = 5000;

/// So many publishes may be without an answer.
const WINDOW: usize = 16;

#[derive(Debug)]
pub(super) struct Cloud {
    options: Option<ConnectOptions>,
    prefix: String,
    state: State,
    last_id: u32,
    requests: Vec<Request>,
    waiting: VecDeque<Message>,
    publishing: VecDeque<(u32, Message)>,
    /// What was published and has not come back: the subscription brings it once each.
    echoes: Vec<(String, Vec<u8>)>,
    /// What the cloud broker keeps because of this box: a new subscription brings it once more.
    kept: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Down { retry: u64 },
    Connecting(u32),
    Subscribing(u32),
    Up,
}

impl Cloud {
    pub fn new(config: &Config) -> Self {
        Cloud {
            options: config.cloud.clone(),
            prefix: format!("iot/{}/", config.account),
            state: State::Down { retry: 0 },
            last_id: 0,
            requests: Vec::new(),
            waiting: VecDeque::new(),
            publishing: VecDeque::new(),
            echoes: Vec::new(),
            kept: BTreeMap::new(),
        }
    }

    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// When it tries again to connect.
    pub fn due(&self) -> Option<u64> {
        match self.state {
            State::Down { retry } => self.options.as_ref().map(|_| retry),
            _ => None,
        }
    }

    pub fn tick(&mut self, now: u64) {
        if let (Some(options), State::Down { retry }) = (self.options.clone(), self.state) {
            if retry <= now {
                self.state = State::Connecting(self.ask(Action::Connect(Box::new(options))));
            }
        }
    }

    pub fn requests(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    /// Publishes what came over the satellite. Without a cloud it goes nowhere.
    pub fn publish(&mut self, messages: Vec<Message>) {
        if self.options.is_some() {
            self.waiting.extend(messages);
            self.pump();
        }
    }

    /// What the cloud broker has to say; gives a message for the device, if it is one.
    pub fn reply(&mut self, now: u64, reply: Reply) -> Option<Message> {
        match reply {
            Reply::Done { id, code, .. } => self.done(now, id, code),
            Reply::Lost { .. } => self.lost(now),
            Reply::Message { topic, payload, retain, .. } => {
                return self.message(topic, payload, retain);
            }
        }
        None
    }

    fn ask(&mut self, action: Action) -> u32 {
        self.last_id += 1;
        self.requests.push(Request { client: 0, id: self.last_id, action });
        self.last_id
    }

    fn pump(&mut self) {
        while self.is_up() && self.publishing.len() < WINDOW {
            let Some(message) = self.waiting.pop_front() else {
                return;
            };
            let topic = format!("{}{}", self.prefix, message.topic);
            let (payload, retain) = (message.payload.clone(), message.retain);
            self.echoes.push((message.topic.clone(), payload.clone()));
            if retain {
                self.kept.insert(message.topic.clone(), payload.clone());
            }
            let topic = topic.into_bytes();
            let publish = Action::Publish { topic, payload, qos: 1, retain, dup: false };
            let id = self.ask(publish);
            self.publishing.push_back((id, message));
        }
    }

    fn done(&mut self, now: u64, id: u32, code: u8) {
        match self.state {
            State::Connecting(asked) if asked == id && code == 0 => {
                let filters = vec![(format!("{}#", self.prefix).into_bytes(), 1)];
                self.state = State::Subscribing(self.ask(Action::Subscribe { filters }));
            }
            State::Subscribing(asked) if asked == id && code == 0 => self.state = State::Up,
            State::Connecting(asked) | State::Subscribing(asked) if asked == id => {
                self.ask(Action::Abort);
                self.lost(now);
            }
            _ => {
                let at = self.publishing.iter().position(|(asked, _)| *asked == id);
                if let Some((_, message)) = at.and_then(|at| self.publishing.remove(at)) {
                    if code != 0 {
                        // A broker that refuses a message does not send it back either.
                        self.is_echo(&message.topic, &message.payload);
                    }
                }
            }
        }
        self.pump();
    }

    fn lost(&mut self, now: u64) {
        self.state = State::Down { retry: now + RETRY };
        for (_, message) in self.publishing.drain(..).rev() {
            self.waiting.push_front(message);
        }
        // The session goes with the connection, and with it whatever has not come back.
        self.echoes.clear();
    }

    fn message(&mut self, topic: Vec<u8>, payload: Vec<u8>, retain: bool) -> Option<Message> {
        let topic = String::from_utf8(topic).ok()?;
        let topic = topic.strip_prefix(&self.prefix).filter(|topic| !topic.is_empty())?;
        let known = retain && self.kept.get(topic) == Some(&payload);
        if known || self.is_echo(topic, &payload) {
            return None;
        }
        Some(Message { topic: topic.to_owned(), payload, qos: 0, retain })
    }

    /// Whether it is one of those that are to come back; crosses it out.
    fn is_echo(&mut self, topic: &str, payload: &[u8]) -> bool {
        let at = self.echoes.iter().position(|(sent, what)| sent == topic && what == payload);
        at.map(|at| self.echoes.remove(at)).is_some()
    }
}
