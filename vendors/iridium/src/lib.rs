//! MQTT through Iridium Certus: the IoT Gateway of a RockREMOTE, and the 9704
//! modem that is under it and in a RockBLOCK 9704.
//!
//! | module | what it drives |
//! |---|---|
//! | [`rockremote`] | a RockREMOTE: MQTT 3.1.1 over TCP to the broker in the box |
//! | `jspr` | a 9704 over a UART, feature `jspr` |

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

#[cfg(any(test, feature = "delivery"))]
extern crate std;

#[cfg(feature = "jspr")]
pub mod jspr;
pub mod rockremote;
