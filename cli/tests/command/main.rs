//! The `hayes` command as its users see it: processes, exit codes, what they
//! print, and what another client of the same broker sends and receives.
//! Everything runs on the loopback interface. A real `mosquitto` is used
//! besides the embedded broker where it is installed.

mod cached;
mod demo;
mod exchange;
mod failures;
mod iridium;
mod support;
mod tls;
mod usage;
