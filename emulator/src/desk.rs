//! A desk for tests: a modem, a broker in memory, and a clock, with scripts to play. Knows no
//! vendor.
//!
//! Notation of the scripts: `> ` host to modem, `< ` modem to host, `! ` something happens
//! outside, `#` a remark; escapes as in Rust.

use crate::fault::Dice;
use crate::modem::{Configuration, Modem};
use crate::network::Loopback;

/// A modem, a broker in memory, and a clock that stands still unless a test moves it.
pub struct Desk<M> {
    pub modem: M,
    pub broker: Loopback,
    pub now: u64,
}

impl<M: Modem> Desk<M> {
    pub fn new(config: impl Configuration<Modem = M>) -> Self {
        Desk { modem: config.modem(), broker: Loopback::new(), now: 0 }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        self.modem.receive(self.now, bytes.as_ref());
        self.read()
    }

    pub fn read(&mut self) -> Vec<u8> {
        // What is due may want something of the broker.
        let mut all = self.modem.transmit(self.now);
        loop {
            self.broker.exchange(&mut self.modem, self.now);
            let bytes = self.modem.transmit(self.now);
            if bytes.is_empty() {
                return all;
            }
            all.extend(bytes);
        }
    }

    pub fn pass(&mut self, milliseconds: u64) -> Vec<u8> {
        self.now += milliseconds;
        self.read()
    }

    /// Plays a script and compares what comes after each line of the host.
    pub fn play(&mut self, script: &str) -> &mut Self {
        let mut expected: Vec<u8> = Vec::new();
        let mut heard = Vec::new();
        let mut last = "the start".to_owned();
        for line in script.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
            match line.split_at(line.len().min(2)) {
                ("< ", bytes) => expected.extend(unescape(bytes)),
                (kind @ ("> " | "! "), rest) => {
                    assert_same(&last, &std::mem::take(&mut heard), &std::mem::take(&mut expected));
                    last = rest.to_owned();
                    heard = if kind == "> " { self.send(unescape(rest)) } else { self.event(rest) };
                }
                _ => assert!(line.starts_with('#'), "not a line of a script: {line}"),
            }
        }
        assert_same(&last, &heard, &expected);
        self
    }

    pub fn event(&mut self, what: &str) -> Vec<u8> {
        let words: Vec<&str> = what.splitn(3, ' ').collect();
        match words[..] {
            ["pass", ms] => return self.pass(ms.parse().expect("milliseconds")),
            ["bearer"] => self.modem.lose(self.now, 0, 3),
            ["lose", client, cause] => {
                self.broker.lose(client.parse().expect("client"), cause.parse().expect("cause"));
            }
            ["fail", code] => self.broker.fail_next(code.parse().expect("code")),
            ["hold"] => self.broker.hold(),
            ["resume"] => self.broker.resume(),
            ["network", state] => self.modem.set_network(self.now, state == "up"),
            ["urc", ..] => self.modem.urc(self.now, &what[4..]),
            ["reboot"] => self.modem.reboot(self.now),
            ["publish", topic, payload] => {
                self.broker.publish(topic.as_bytes(), &unescape(payload), false);
            }
            _ => panic!("unknown event {what}"),
        }
        self.read()
    }

    /// A conversation of random pieces, bytes, events and pauses; gives what the host heard.
    pub fn ramble(&mut self, dice: &mut Dice, pieces: &[&str], all_at_once: bool) -> Vec<u8> {
        let mut heard = Vec::new();
        for _ in 0..200 {
            let piece = match dice.roll(8) {
                0 => vec![dice.roll(256) as u8],
                _ => pieces[dice.roll(pieces.len() as u64) as usize].into(),
            };
            match all_at_once {
                true => self.modem.receive(self.now, &piece),
                false => piece.iter().for_each(|byte| self.modem.receive(self.now, &[*byte])),
            }
            heard.extend(self.read());
            match dice.roll(12) {
                0 => self.broker.publish(b"t/a", b"payload", dice.roll(2) == 0),
                1 => self.broker.lose(dice.roll(2) as u8, 1),
                2 => self.broker.fail_next(dice.roll(40) as u8),
                3 => self.modem.set_network(self.now, dice.roll(3) > 0),
                4 => self.modem.ping_failed(self.now, dice.roll(2) as u8, 17),
                5 => self.broker.hold(),
                6 => self.broker.resume(),
                _ => {}
            }
            heard.extend(self.pass(dice.roll(2000)));
        }
        heard
    }
}

pub fn assert_same(after: &str, heard: &[u8], expected: &[u8]) {
    assert!(
        heard == expected,
        "after {after}\n   heard {}\nexpected {}",
        heard.escape_ascii(),
        expected.escape_ascii()
    );
}

pub fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'x') => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).expect("two hex digits")
            }
            other => other.expect("an escape"),
        });
    }
    bytes
}
