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
pub mod registration;
pub mod report;
mod scan;
pub mod script;
pub mod tls;
