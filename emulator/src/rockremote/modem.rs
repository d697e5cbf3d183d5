//! The box with one connection, seen as a [`Modem`](crate::Modem): for rigs that drive one host.

use super::{Config, Gateway, Line};
use crate::modem::{self, Configuration};
use crate::network::{Reply, Request};

/// A box to which one host has an open connection. When the box has closed it, or the host wants
/// another one, [`host_arrives`](crate::Modem::host_arrives) opens the next to the same box.
#[derive(Debug)]
pub struct Modem {
    /// The box, with its counters and test handles.
    pub gateway: Gateway,
    line: Option<Line>,
}

impl Modem {
    /// A box at time zero, and a connection to it that was just opened.
    pub fn new(config: Config) -> Self {
        let mut gateway = Gateway::new(config);
        let line = gateway.accept(0);
        Modem { gateway, line }
    }
}

impl modem::Modem for Modem {
    /// What comes after the end of the connection is lost.
    fn receive(&mut self, now_ms: u64, bytes: &[u8]) {
        if let Some(line) = self.line {
            self.gateway.receive(now_ms, line, bytes);
        }
    }

    fn transmit(&mut self, now_ms: u64) -> Vec<u8> {
        match self.line {
            Some(line) => self.gateway.transmit(now_ms, line),
            None => {
                self.gateway.pass(now_ms);
                Vec::new()
            }
        }
    }

    fn deadline(&self) -> Option<u64> {
        self.gateway.deadline()
    }

    fn requests(&mut self) -> Vec<Request> {
        self.gateway.requests()
    }

    fn reply(&mut self, now_ms: u64, reply: Reply) {
        self.gateway.reply(now_ms, reply);
    }

    /// The same as a reboot: what survives is the same.
    fn power_cycle(&mut self, now_ms: u64) {
        self.gateway.restart(now_ms);
    }

    fn reboot(&mut self, now_ms: u64) {
        self.gateway.restart(now_ms);
    }

    /// Nothing: an MQTT broker says nothing unasked but messages.
    fn urc(&mut self, _: u64, _: &str) {}

    /// The sky.
    fn set_network(&mut self, now_ms: u64, up: bool) {
        self.gateway.set_sky(now_ms, up);
    }

    /// The TCP connection is cut; whichever client and cause, as there is one connection and TCP
    /// tells no more.
    fn lose(&mut self, now_ms: u64, _: u8, _: u8) {
        if let Some(line) = self.line {
            self.gateway.hang_up(now_ms, line);
        }
    }

    /// Nothing: it is the host that keeps this connection alive.
    fn ping_failed(&mut self, _: u64, _: u8, _: u8) {}

    /// Whether the host was let in as an MQTT client; there is client 0 only.
    fn is_connected(&self, client: u8) -> bool {
        client == 0 && self.line.is_some_and(|line| self.gateway.client(line).is_some())
    }

    fn host_arrives(&mut self, now_ms: u64) {
        self.host_leaves(now_ms);
        self.line = self.gateway.accept(now_ms);
    }

    fn host_leaves(&mut self, now_ms: u64) {
        if let Some(line) = self.line.take() {
            self.gateway.hang_up(now_ms, line);
        }
    }

    fn hung_up(&self) -> bool {
        self.line.is_none_or(|line| self.gateway.hung_up(line))
    }
}

impl Configuration for Config {
    type Modem = Modem;

    fn modem(self) -> Modem {
        Modem::new(self)
    }
}
