//! The broker on the LAN side: sessions, subscriptions, retained messages, and the two ends of
//! each QoS. Knows clients by their identifiers and lines by their numbers; knows no bytes, no
//! time and no satellite. Numbers in comments are statements of MQTT 3.1.1.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rumqttc::mqttbytes::v4::{
    ConnAck, ConnectReturnCode, Packet, PubAck, PubComp, PubRec, PubRel, Publish, SubAck,
    Subscribe, SubscribeReasonCode, UnsubAck, Unsubscribe,
};
use rumqttc::mqttbytes::{QoS, qos};

use super::packet::Connect;
use super::{Config, Line, Message};
use crate::network::matches;

/// Packets for lines, in order.
type Out = Vec<(Line, Packet)>;

#[derive(Debug, Default)]
pub(super) struct Broker {
    sessions: BTreeMap<String, Session>,
    retained: BTreeMap<String, Message>,
    /// Clients that left the choice of an identifier to the broker.
    nameless: u64,
    out: Out,
}

#[derive(Debug, Default)]
struct Session {
    line: Option<Line>,
    clean: bool,
    subscriptions: Vec<(String, u8)>,
    /// QoS 1 and 2, not sent yet.
    waiting: VecDeque<Message>,
    /// QoS 1 and 2, sent and not acknowledged, in order.
    in_flight: Vec<InFlight>,
    last_id: u16,
    /// Messages of the client with QoS 2 that it has not released.
    received: BTreeSet<u16>,
}

#[derive(Debug)]
struct InFlight {
    id: u16,
    message: Message,
    /// PUBREC came, PUBREL went.
    released: bool,
}

impl Broker {
    /// What is to be sent, in order.
    pub fn take(&mut self) -> Out {
        std::mem::take(&mut self.out)
    }

    /// A restart of the box.
    pub fn restart(&mut self, config: &Config) {
        self.out.clear();
        match config.survives.sessions {
            true => self.sessions.values_mut().for_each(|session| session.line = None),
            false => self.sessions.clear(),
        }
        self.sessions.retain(|_, session| !session.clean);
        if !config.survives.retained {
            self.retained.clear();
        }
    }

    /// The line of a client, if it is connected.
    pub fn line_of(&self, client_id: &str) -> Option<Line> {
        self.sessions.get(client_id)?.line
    }

    // ---- sessions -----------------------------------------------------------------------------

    /// Lets a client in that was found worthy, and tells its identifier. Nobody else must be
    /// connected under it.
    pub fn connect(&mut self, line: Line, connect: &Connect, config: &Config) -> String {
        let mut client_id = connect.client_id.clone();
        // 3.1.3-6
        while client_id.is_empty() || (connect.client_id.is_empty() && self.knows(&client_id)) {
            self.nameless += 1;
            client_id = format!("nameless-{}", self.nameless);
        }
        if connect.clean {
            self.sessions.remove(&client_id);
        }
        let present = self.knows(&client_id);
        let session = self.sessions.entry(client_id.clone()).or_default();
        session.line = Some(line);
        session.clean = connect.clean;
        let granted = ConnAck::new(ConnectReturnCode::Success, present);
        self.out.push((line, Packet::ConnAck(granted)));
        session.resume(config, &mut self.out);
        client_id
    }

    fn knows(&self, client_id: &str) -> bool {
        self.sessions.contains_key(client_id)
    }

    /// The connection of a client is gone.
    pub fn leave(&mut self, client_id: &str) {
        if let Some(session) = self.sessions.get_mut(client_id) {
            session.line = None;
            if session.clean {
                self.sessions.remove(client_id);
            }
        }
    }

    // ---- packets of a client ------------------------------------------------------------------

    /// Answers a PUBLISH; gives the message unless it was taken before.
    pub fn published(&mut self, client_id: &str, publish: Publish) -> Option<Message> {
        let session = self.sessions.get_mut(client_id)?;
        let line = session.line?;
        let id = publish.pkid;
        let fresh = match publish.qos {
            QoS::AtMostOnce => true,
            QoS::AtLeastOnce => {
                self.out.push((line, Packet::PubAck(PubAck::new(id))));
                true
            }
            QoS::ExactlyOnce => {
                self.out.push((line, Packet::PubRec(PubRec::new(id))));
                session.received.insert(id)
            }
        };
        fresh.then(|| Message {
            topic: publish.topic,
            payload: publish.payload.to_vec(),
            qos: publish.qos as u8,
            retain: publish.retain,
        })
    }

    pub fn released(&mut self, client_id: &str, id: u16) {
        if let Some(session) = self.sessions.get_mut(client_id) {
            session.received.remove(&id);
            self.out.extend(session.line.map(|line| (line, Packet::PubComp(PubComp::new(id)))));
        }
    }

    /// PUBACK or PUBREC or PUBCOMP of a message to the client.
    pub fn acknowledged(&mut self, client_id: &str, ack: &Packet, config: &Config) {
        let Some(session) = self.sessions.get_mut(client_id) else {
            return;
        };
        match *ack {
            Packet::PubAck(PubAck { pkid }) => session.settle(pkid, |it| it.message.qos == 1),
            Packet::PubComp(PubComp { pkid }) => session.settle(pkid, |it| it.released),
            Packet::PubRec(PubRec { pkid }) => {
                let found = |it: &&mut InFlight| it.id == pkid && it.message.qos == 2;
                if let Some(it) = session.in_flight.iter_mut().find(found) {
                    it.released = true;
                }
                // 4.3.3-1. An identifier that nobody knows is answered too, so that the client
                // can come to an end with it.
                let release = |line| (line, Packet::PubRel(PubRel::new(pkid)));
                self.out.extend(session.line.map(release));
            }
            _ => {}
        }
        session.pump(config, &mut self.out);
    }

    pub fn subscribe(&mut self, client_id: &str, subscribe: &Subscribe, config: &Config) {
        let Some(session) = self.sessions.get_mut(client_id) else {
            return;
        };
        let mut codes = Vec::new();
        let mut kept = Vec::new();
        for filter in &subscribe.filters {
            if config.refused_filters.contains(&filter.path) {
                codes.push(SubscribeReasonCode::Failure);
                continue;
            }
            let granted = (filter.qos as u8).min(config.max_qos);
            codes.push(SubscribeReasonCode::Success(level(granted)));
            // 3.8.4-3: one subscription for a filter, and its retained messages once more.
            session.subscriptions.retain(|(known, _)| *known != filter.path);
            session.subscriptions.push((filter.path.clone(), granted));
            let fits = |it: &&Message| matches(filter.path.as_bytes(), it.topic.as_bytes());
            let lowered = |it: &Message| Message { qos: it.qos.min(granted), ..it.clone() };
            kept.extend(self.retained.values().filter(fits).map(lowered));
        }
        let ack = Packet::SubAck(SubAck::new(subscribe.pkid, codes));
        self.out.extend(session.line.map(|line| (line, ack)));
        for message in kept {
            session.deliver(message, config, &mut self.out);
        }
    }

    pub fn unsubscribe(&mut self, client_id: &str, unsubscribe: &Unsubscribe) {
        if let Some(session) = self.sessions.get_mut(client_id) {
            session.subscriptions.retain(|(filter, _)| !unsubscribe.topics.contains(filter));
            let ack = Packet::UnsubAck(UnsubAck::new(unsubscribe.pkid));
            self.out.extend(session.line.map(|line| (line, ack)));
        }
    }

    // ---- messages -----------------------------------------------------------------------------

    /// Gives a message to everybody who subscribed to it, and keeps it if it is to be kept.
    pub fn route(&mut self, message: &Message, config: &Config) {
        if message.retain {
            match message.payload.is_empty() {
                true => drop(self.retained.remove(&message.topic)),
                false => drop(self.retained.insert(message.topic.clone(), message.clone())),
            }
        }
        for session in self.sessions.values_mut() {
            // 3.3.5-1: once, with the highest QoS of all the filters that fit.
            let fits = |filter: &str| matches(filter.as_bytes(), message.topic.as_bytes());
            let fitting = session.subscriptions.iter().filter(|(filter, _)| fits(filter));
            let Some(granted) = fitting.map(|(_, granted)| *granted).max() else {
                continue;
            };
            // 3.3.1-9: the flag is for those who subscribe later.
            let qos = message.qos.min(granted);
            let copy = Message { qos, retain: false, ..message.clone() };
            session.deliver(copy, config, &mut self.out);
        }
    }
}

impl Session {
    fn deliver(&mut self, message: Message, config: &Config, out: &mut Out) {
        if message.qos > 0 {
            self.waiting.push_back(message);
            return self.pump(config, out);
        }
        // Who is not there does not get what is sent at most once.
        out.extend(self.line.map(|line| (line, publish(&message, 0, false))));
    }

    /// Sends what waits, as long as there is room.
    fn pump(&mut self, config: &Config, out: &mut Out) {
        let Some(line) = self.line else {
            return;
        };
        while self.in_flight.len() < usize::from(config.max_in_flight.clamp(1, 1000)) {
            let Some(message) = self.waiting.pop_front() else {
                return;
            };
            let id = self.next_id();
            out.push((line, publish(&message, id, false)));
            self.in_flight.push(InFlight { id, message, released: false });
        }
    }

    /// 4.4.0-1: what was not acknowledged is sent again, in the old order.
    fn resume(&mut self, config: &Config, out: &mut Out) {
        for InFlight { id, message, released } in &self.in_flight {
            let packet = match released {
                true => Packet::PubRel(PubRel::new(*id)),
                false => publish(message, *id, true),
            };
            out.extend(self.line.map(|line| (line, packet)));
        }
        self.pump(config, out);
    }

    fn settle(&mut self, id: u16, which: impl Fn(&InFlight) -> bool) {
        self.in_flight.retain(|it| it.id != id || !which(it));
    }

    fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.in_flight.iter().all(|it| it.id != self.last_id) {
                return self.last_id;
            }
        }
    }
}

fn publish(message: &Message, id: u16, dup: bool) -> Packet {
    let quality = level(message.qos);
    let mut publish = Publish::new(message.topic.clone(), quality, message.payload.clone());
    (publish.pkid, publish.dup, publish.retain) = (id, dup, message.retain);
    Packet::Publish(publish)
}

fn level(number: u8) -> QoS {
    qos(number).unwrap_or(QoS::ExactlyOnce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_that_is_in_use_is_passed_over() {
        let busy = |id| InFlight { id, message: Message::default(), released: false };
        let in_flight = vec![busy(1), busy(2), busy(65_535)];
        let mut session = Session { in_flight, last_id: 65_534, ..Session::default() };
        assert_eq!((session.next_id(), session.next_id()), (3, 4));
    }
}
