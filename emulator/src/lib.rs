//! SIMCom modems that do not exist, in front of a real MQTT broker.
//!
//! A driver for a modem is best tested against the modem; this crate is for everybody who has
//! none on the desk. It speaks the byte-level dialect of the SIM7600, A76xx and SIM767xx families
//! (echo, prompts, framing, result orders, limits, error codes), keeps the state of the MQTT
//! service and its two clients as the modem does, and bridges to a broker. It was written from
//! the manuals and from logs of real modems. It shares no code with the drivers, so that one
//! misreading of a manual cannot hide in both.
//!
//! | module | what it is |
//! |---|---|
//! | [`simcom`] | the modem: no I/O, no clock, bytes in and bytes out |
//! | [`quirk`] | documented oddities that can be switched on one by one |
//! | [`fault`] | trouble on the line, reproducible by a seed |
//! | [`network`] | what stands behind the modem, and an in-memory broker for virtual time |
//! | [`bridge`] | the network side as a real broker, TLS included |
//! | [`serve`] | a modem on a PTY, on a TCP port or on any byte stream |
//! | [`broker`] | a broker inside the process (feature `broker`, on by default) |
//!
//! ```
//! use hayes_emulator::simcom::{Config, Family, Modem};
//!
//! let mut modem = Modem::new(Config { family: Family::Sim7600, ..Config::default() });
//! modem.receive(0, b"AT+CSQ\r");
//! assert_eq!(modem.transmit(0), b"AT+CSQ\r\r\n+CSQ: 20,99\r\n\r\nOK\r\n");
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod bridge;
#[cfg(feature = "broker")]
pub mod broker;
pub mod fault;
pub mod network;
pub mod quirk;
pub mod serve;
pub mod simcom;

pub use fault::{Fault, ParseFaultError};
pub use quirk::{ParseQuirkError, Quirk, Quirks};
