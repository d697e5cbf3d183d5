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

pub use client::{Client, ClientError, MqttClient};
pub use clock::{Clock, Instant};
pub use machine::{File, FileKind, Machine, Operation, Verb};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
