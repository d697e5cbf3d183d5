//! A modem as the outside sees it, whoever made it: bytes, requests and replies, the handles of
//! tests, and the circumstances in which it is found. Knows no dialect.

use std::fmt;

use crate::network::{Reply, Request};

/// A modem without I/O and without a clock. Bytes of the host go in, bytes for the host come out;
/// what it wants from the network comes out as [`Request`]s and goes in as [`Reply`]s. Time is an
/// argument, in milliseconds of any epoch that does not run backwards.
pub trait Modem {
    /// The host sent these bytes.
    fn receive(&mut self, now_ms: u64, bytes: &[u8]);

    /// The bytes for the host that are due now, maybe none. With the fault `split` it is one byte
    /// a call, so call until nothing comes.
    fn transmit(&mut self, now_ms: u64) -> Vec<u8>;

    /// When to call [`transmit`](Self::transmit) next, if nothing else happens before.
    fn deadline(&self) -> Option<u64>;

    /// What the modem wants from the network, in order.
    fn requests(&mut self) -> Vec<Request>;

    /// The network answers, or delivers a message, or breaks down.
    fn reply(&mut self, now_ms: u64, reply: Reply);

    /// Test handle: power is taken away and given back. What the host has not read is lost.
    fn power_cycle(&mut self, now_ms: u64);

    /// Test handle: the firmware restarts by itself, without a word before the boot lines.
    fn reboot(&mut self, now_ms: u64);

    /// Test handle: an unsolicited line, without its line ends.
    fn urc(&mut self, now_ms: u64, line: &str);

    /// Test handle: the radio network goes or comes back.
    fn set_network(&mut self, now_ms: u64, up: bool);

    /// Test handle: the connection of a client is lost; `cause` is 1 closed by the peer, 2 reset,
    /// 3 network closed.
    fn lose(&mut self, now_ms: u64, client: u8, cause: u8);

    /// Test handle: the keep-alive of a client fails with a code of the modem's table, if it has
    /// one.
    fn ping_failed(&mut self, now_ms: u64, client: u8, code: u8);

    /// Whether a client is connected, for assertions.
    fn is_connected(&self, client: u8) -> bool;

    /// The host opens its connection: a line that knows of such things begins anew. A serial line
    /// does not.
    fn host_arrives(&mut self, now_ms: u64) {
        let _ = now_ms;
    }

    /// The host closes its connection, or it breaks.
    fn host_leaves(&mut self, now_ms: u64) {
        let _ = now_ms;
    }

    /// Whether the modem has closed the connection of the host, and all that it had to say before
    /// was taken. A serial line has no end.
    fn hung_up(&self) -> bool {
        false
    }
}

/// What a modem can be made from: the configuration of a vendor, or a modem that exists already.
pub trait Configuration {
    /// The modem of that vendor.
    type Modem: Modem;

    /// A modem at time zero.
    fn modem(self) -> Self::Modem;
}

impl<M: Modem> Configuration for M {
    type Modem = M;

    fn modem(self) -> M {
        self
    }
}

/// The trait for a type whose own methods have the same names.
macro_rules! delegate {
    ($modem:ty) => {
        impl Modem for $modem {
            fn receive(&mut self, now_ms: u64, bytes: &[u8]) {
                <$modem>::receive(self, now_ms, bytes)
            }

            fn transmit(&mut self, now_ms: u64) -> Vec<u8> {
                <$modem>::transmit(self, now_ms)
            }

            fn deadline(&self) -> Option<u64> {
                <$modem>::deadline(self)
            }

            fn requests(&mut self) -> Vec<Request> {
                <$modem>::requests(self)
            }

            fn reply(&mut self, now_ms: u64, reply: Reply) {
                <$modem>::reply(self, now_ms, reply)
            }

            fn power_cycle(&mut self, now_ms: u64) {
                <$modem>::power_cycle(self, now_ms)
            }

            fn reboot(&mut self, now_ms: u64) {
                <$modem>::reboot(self, now_ms)
            }

            fn urc(&mut self, now_ms: u64, line: &str) {
                <$modem>::urc(self, now_ms, line)
            }

            fn set_network(&mut self, now_ms: u64, up: bool) {
                <$modem>::set_network(self, now_ms, up)
            }

            fn lose(&mut self, now_ms: u64, client: u8, cause: u8) {
                <$modem>::lose(self, now_ms, client, cause)
            }

            fn ping_failed(&mut self, now_ms: u64, client: u8, code: u8) {
                <$modem>::ping_failed(self, now_ms, client, code)
            }

            fn is_connected(&self, client: u8) -> bool {
                <$modem>::is_connected(self, client)
            }
        }
    };
}

delegate!(crate::simcom::Modem);
delegate!(crate::luat::Modem);
delegate!(crate::jspr::Modem);

impl Configuration for crate::simcom::Config {
    type Modem = crate::simcom::Modem;

    fn modem(self) -> Self::Modem {
        crate::simcom::Modem::new(self)
    }
}

impl Configuration for crate::luat::Config {
    type Modem = crate::luat::Modem;

    fn modem(self) -> Self::Modem {
        crate::luat::Modem::new(self)
    }
}

impl Configuration for crate::jspr::Config {
    type Modem = crate::jspr::Modem;

    fn modem(self) -> Self::Modem {
        crate::jspr::Modem::new(self)
    }
}

/// How the modem is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BootState {
    /// It runs, is registered, and its boot lines are long gone.
    #[default]
    AlreadyOn,
    /// It is switched on at time zero.
    ColdBoot,
}

/// The SIM.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Sim {
    /// In place, no PIN asked.
    #[default]
    Ready,
    /// Asks for this PIN after every start.
    Pin(String),
    /// Not inserted.
    Absent,
}

impl fmt::Debug for Sim {
    /// Without the PIN.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sim::Ready => "Ready",
            Sim::Pin(_) => "Pin",
            Sim::Absent => "Absent",
        })
    }
}

/// What the network makes of the SIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Registration {
    /// Registered at home.
    #[default]
    Home,
    /// Registered abroad.
    Roaming,
    /// Denied.
    Denied,
    /// Searching without end.
    Searching,
}
