//! SIMCom, Luat and Iridium modems that do not exist, in front of a real MQTT broker.
//!
//! A driver for a modem is best tested against the modem; this crate is for everybody who has
//! none on the desk. It speaks the byte-level dialects of the SIM7600, A76xx and SIM767xx families
//! and of the Air724, Air780E and Air700EAQ (echo, prompts, framing, result orders, limits, error
//! codes), keeps the state of the MQTT client as the modem does, and bridges to a broker. The Iridium
//! 9704 has no MQTT inside; it speaks JSPR, and its numbered topics are `imt/<id>` at the broker.
//! All was written from the manuals and from logs of real modems. It shares no code with the drivers, so
//! that one misreading of a manual cannot hide in both.
//!
//! | module | what it is |
//! |---|---|
//! | [`simcom`], [`luat`], [`jspr`] | the modems: no I/O, no clock, bytes in and bytes out |
//! | [`rockremote`] | a satellite box with an MQTT broker on its LAN side, made the same way |
//! | [`modem`] | what they have in common, seen from outside |
//! | [`quirk`] | documented oddities that can be switched on one by one |
//! | [`fault`] | trouble on the line, reproducible by a seed |
//! | [`network`] | what stands behind the modem, and an in-memory broker for virtual time |
//! | [`bridge`] | the network side as a real broker, TLS included |
//! | [`serve`] | a modem on a PTY, on a TCP port or on any byte stream; a box on a LAN |
//! | [`broker`] | a broker inside the process (feature `broker`, on by default) |
//!
//! ```
//! use hayes_emulator::simcom::{Config, Family, Modem};
//!
//! let mut modem = Modem::new(Config { family: Family::Sim7600, ..Config::default() });
//! modem.receive(0, b"AT+CSQ\r");
//! assert_eq!(modem.transmit(0), b"AT+CSQ\r\r\n+CSQ: 20,99\r\n\r\nOK\r\n");
//! ```
//!
//! ```
//! use hayes_emulator::luat::{Config, Family, Modem};
//!
//! let mut modem = Modem::new(Config { family: Family::Air724, ..Config::default() });
//! modem.receive(0, b"AT+MQTTSTATU\r\n");
//! assert_eq!(modem.transmit(0), b"AT+MQTTSTATU\r");
//! assert_eq!(modem.transmit(4), b"\r\n+MQTTSTATU :0\r\n\r\nOK\r\n");
//! ```
//!
//! ```
//! use hayes_emulator::jspr::{Config, Modem};
//!
//! let mut modem = Modem::new(Config { configured: true, ..Config::default() });
//! modem.receive(0, b"GET operationalState {}\r");
//! assert_eq!(modem.transmit(5), b"200 operationalState {\"state\":\"active\",\"reason\":0}\r");
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod bridge;
#[cfg(feature = "broker")]
pub mod broker;
mod command;
#[cfg(test)]
mod desk;
pub mod fault;
pub mod jspr;
pub mod luat;
pub mod modem;
pub mod network;
mod port;
pub mod quirk;
pub mod rockremote;
pub mod serve;
pub mod simcom;
mod wire;

pub use fault::{Fault, ParseFaultError};
pub use modem::Modem;
pub use quirk::{ParseQuirkError, Quirk, Quirks};
