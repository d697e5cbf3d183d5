//! The AT line protocol, sans-IO. Knows no vendor and no transport.
//!
//! ```text
//! bytes → framer → line → dialect (reading) → engine → inbox, outcome
//! operation → dialect (script) → engine → command (writer) → bytes
//! ```

pub mod command;
pub mod dialect;
pub mod engine;
pub mod escape;
pub mod framer;
pub mod line;
pub mod reason;
pub mod report;
mod scan;
pub mod script;
pub mod tls;

/// Whether to spend code on speed, as by searching eight bytes at once: not on
/// a microcontroller, which waits for its UART anyway.
const WIDE: bool = cfg!(target_pointer_width = "64");
