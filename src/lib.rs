//! Drives modems that have MQTT inside: the part that knows no vendor and no
//! transport.
//!
//! An application takes a vendor's package (`hayes-simcom`), makes its
//! [`Client`] over a reader, a writer and a [`Clock`], and speaks to it in the
//! words of [`mqtt`] through [`MqttClient`]. The README has the first example.
//!
//! | module | what it is |
//! |---|---|
//! | [`mqtt`] | the words of the API: options, topics, messages, events, errors |
//! | [`at`] | the AT line protocol: bytes → lines → meaning, scripts → bytes |
//! | [`inbox`] | received messages and events that wait |
//! | [`clock`] | time |
//! | [`blocking`] | the client without async |
//! | `shared` | the client for several tasks |
//!
//! # Which client
//!
//! | | for | the reader | received messages | feature |
//! |---|---|---|---|---|
//! | [`Client`] | one task, which may `select!` between its calls | must not lose what a dropped read had taken: a buffered UART, a TTY, a socket | lent from the inbox | none |
//! | `shared::Client` | several tasks; anything that drops futures often | any, also a bare DMA transfer: reads are never dropped | copied into a buffer of yours | `shared` |
//! | [`blocking::Client`] | a bare `loop {}`; Linux without a runtime | any that says whether there is something to read | lent from the inbox | none |
//!
//! All three have the same calls. `shared` needs three buffers of 64 bytes, a
//! queue for eight wakers, and a task for its runner; the README has what each
//! client takes on a Cortex-M3.
//!
//! # Features
//!
//! `names`, `status` and `tls` are on by default, and none changes what the
//! others do. With SIMCom the three take 5.2 kB of flash.
//!
//! | feature | adds |
//! |---|---|
//! | `names` | what vendors call their codes; without it a refusal has its code and cause |
//! | `status` | what an AT modem says of itself and its bearer; without it `status` is refused as unsupported |
//! | `tls` | TLS, and certificates on the modem; without it both are refused as unsupported |
//! | `shared` | the module `shared` |
//! | `embassy-time` | the clock `clock::Embassy` |
//! | `tokio` | the clock `clock::Tokio` |
//! | `log` | operations, commands by name, how they went and what is lost go to `log` |
//! | `defmt` | the same to `defmt`; `Format` for errors and states |
//!
//! [`Machine`] is the contract of every backend: a state machine without I/O
//! and without a clock, of which [`Client`] is one of several pumps.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

#[cfg(test)]
extern crate std;

pub mod at;
pub mod blocking;
mod client;
pub mod clock;
mod fmt;
pub mod inbox;
mod machine;
pub mod mqtt;
mod pump;
#[cfg(feature = "shared")]
pub mod shared;

pub use client::{Client, MqttClient};
pub use clock::{Clock, Instant};
pub use machine::{File, FileKind, Machine, Operation, Verb};
pub use pump::ClientError;

/// Whether to spend code on speed, as by searching eight bytes at once: not on
/// a microcontroller, which waits for its UART anyway.
const WIDE: bool = cfg!(target_pointer_width = "64");

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
