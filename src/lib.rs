#![doc = "Drives modems that have MQTT inside. See the README for a tour."]
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
mod client;
mod clock;
pub mod inbox;
mod machine;
pub mod mqtt;

pub use client::{Client, ClientError, MqttClient};
pub use clock::{Clock, Instant};
pub use machine::{File, FileKind, Machine, Operation, Verb};
