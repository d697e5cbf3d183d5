//! The driver of the 9704: against recorded dialogues, and against a small
//! modem of documented facts that misbehaves as the field says (`fake`), and
//! against the emulated one with a broker behind it.

mod captures;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod driver;
mod emulated;
mod fake;
