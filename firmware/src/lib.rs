//! Images with each vendor's driver for a Cortex-M3 that QEMU emulates: a
//! proof that they run there, and a scale for what they take.
//!
//! [`board`] is what a HAL is elsewhere, [`app`] the application that all
//! images have in common; each image in `src/bin` adds a driver and what runs
//! its future. `run.sh` joins one to an emulated modem and a broker, `size.sh`
//! weighs them all, `logs.sh` shows what one logs, and `speed.sh` counts the
//! instructions that a driver takes for a byte.

#![no_std]
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod app;
pub mod board;
#[cfg(any(feature = "defmt", feature = "log"))]
mod logs;
