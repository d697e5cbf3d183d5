//! Between the satellites and the broker: the client of the broker that stands for the cloud. It
//! is not in the modem and survives its restarts, as the messages do that it holds. The host sees
//! nothing of it.

use std::collections::{BTreeMap, VecDeque};

use super::{
    Action, Broker, Config, ConnectOptions, FinalMo, Modem, Reply, Request, Timer, segments,
};

/// Before the number of a topic.
const PREFIX: &str = "imt/";

pub(super) struct Gateway {
    broker: Broker,
    link: Link,
    asked: BTreeMap<u32, Asked>,
    asks: u32,
    /// What the broker will send back because the gateway published it.
    echoes: Vec<(u16, Vec<u8>)>,
    /// What waits for the modem.
    pub mail: VecDeque<(u16, Vec<u8>)>,
    pub received: Vec<(u16, Vec<u8>)>,
    pub dropped: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// Nobody needed it yet.
    Idle,
    /// It was lost, or could not be had.
    Waiting,
    Dialling,
    Up,
}

enum Asked {
    Connect,
    Subscribe,
    Publish { serial: u64, topic: u16, payload: Vec<u8>, status: Option<FinalMo> },
}

impl Gateway {
    pub fn new(config: &Config) -> Self {
        Gateway {
            broker: config.broker.clone(),
            link: Link::Idle,
            asked: BTreeMap::new(),
            asks: 0,
            echoes: Vec::new(),
            mail: VecDeque::new(),
            received: Vec::new(),
            dropped: 0,
        }
    }

    pub fn is_up(&self) -> bool {
        self.link == Link::Up
    }

    pub fn waits(&self) -> bool {
        self.link == Link::Waiting
    }

    fn swallows(&mut self, topic: u16, payload: &[u8]) -> bool {
        let own = |(id, bytes): &(u16, Vec<u8>)| *id == topic && bytes == payload;
        self.echoes.iter().position(own).map(|at| self.echoes.swap_remove(at)).is_some()
    }
}

impl Modem {
    fn wants(&mut self, asked: Asked, action: Action) {
        self.gateway.asks += 1;
        let id = self.gateway.asks;
        self.gateway.asked.insert(id, asked);
        self.requests.push(Request { client: 0, id, action });
    }

    /// Connects, unless it is connected or about to be.
    pub(super) fn dials(&mut self) {
        if !matches!(self.gateway.link, Link::Idle | Link::Waiting) {
            return;
        }
        self.gateway.link = Link::Dialling;
        let Broker { host, port, client_id } = self.gateway.broker.clone();
        let options = ConnectOptions::plain(host, port, client_id);
        self.wants(Asked::Connect, Action::Connect(Box::new(options)));
    }

    pub(super) fn hands_over(
        &mut self,
        serial: u64,
        topic: u16,
        payload: Vec<u8>,
        status: Option<FinalMo>,
    ) {
        self.gateway.echoes.push((topic, payload.clone()));
        let action = Action::Publish {
            topic: format!("{PREFIX}{topic}").into_bytes(),
            payload: payload.clone(),
            qos: 1,
            retain: false,
            dup: false,
        };
        self.wants(Asked::Publish { serial, topic, payload, status }, action);
    }

    pub(super) fn network_says(&mut self, reply: Reply) {
        match reply {
            Reply::Done { client: 0, id, code } => self.is_done(id, code),
            Reply::Message { client: 0, topic, payload, .. } => self.comes_in(&topic, payload),
            Reply::Lost { client: 0, .. } => self.is_cut_off(),
            _ => {}
        }
    }

    fn is_done(&mut self, id: u32, code: u8) {
        let Some(asked) = self.gateway.asked.remove(&id) else {
            return;
        };
        match asked {
            Asked::Connect if code == 0 => {
                let filters = vec![(format!("{PREFIX}+").into_bytes(), 1)];
                self.wants(Asked::Subscribe, Action::Subscribe { filters });
            }
            Asked::Subscribe if code == 0 => {
                self.gateway.link = Link::Up;
                self.transmits();
            }
            Asked::Connect => self.is_cut_off(),
            Asked::Subscribe => self.hangs_up(),
            Asked::Publish { serial, topic, payload, status } if code == 0 => {
                self.gateway.received.push((topic, payload));
                self.mo_ends_with(serial, status);
            }
            Asked::Publish { serial, topic, payload, .. } => {
                self.gateway.swallows(topic, &payload);
                self.mo_ends(serial, FinalMo::NetworkError);
            }
        }
        if code == 0 && self.port.loses_connection() {
            self.hangs_up();
        }
    }

    /// Breaks the connection off.
    pub(super) fn hangs_up(&mut self) {
        if matches!(self.gateway.link, Link::Dialling | Link::Up) {
            self.requests.push(Request { client: 0, id: 0, action: Action::Abort });
            self.is_cut_off();
        }
    }

    /// The connection is gone, and with it all that was asked for.
    fn is_cut_off(&mut self) {
        if self.gateway.waits() {
            return;
        }
        self.gateway.link = Link::Waiting;
        self.gateway.echoes.clear();
        for asked in std::mem::take(&mut self.gateway.asked).into_values() {
            if let Asked::Publish { serial, status, .. } = asked {
                self.mo_comes_back(serial, status);
            }
        }
        self.port.set_timer(self.port.now + self.config.delays.reconnect, Timer::Dial);
    }

    fn comes_in(&mut self, topic: &[u8], payload: Vec<u8>) {
        let Some(topic) = number(topic) else {
            self.gateway.dropped += 1;
            return;
        };
        if self.gateway.swallows(topic, &payload) {
            return;
        }
        let provisioned = self.config.topics.iter().any(|known| known.topic_id == topic);
        if !provisioned || payload.is_empty() || payload.len() > segments::PAYLOAD {
            self.gateway.dropped += 1;
            return;
        }
        self.gateway.mail.push_back((topic, payload));
        self.delivers();
    }
}

/// The number of a topic of the broker.
fn number(topic: &[u8]) -> Option<u16> {
    std::str::from_utf8(topic).ok()?.strip_prefix(PREFIX)?.parse().ok()
}
