//! What kind of modem it is: everything that is chosen before it is switched on, and nothing that
//! changes afterwards.

use super::{BootState, Family, Registration, Sim};
use crate::{Fault, Quirks};

/// What kind of modem it is and how it behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// The family whose dialect is spoken.
    pub family: Family,
    /// Documented oddities.
    pub quirks: Quirks,
    /// Trouble on the line.
    pub faults: Vec<Fault>,
    /// Makes the faults reproducible.
    pub seed: u64,
    /// Whether the modem is found running or is just being switched on.
    pub boot: BootState,
    /// How long things take.
    pub delays: Delays,
    /// The SIM.
    pub sim: Sim,
    /// So many questions for the SIM after a start are answered by SIM failure, the last of them
    /// by SIM busy.
    pub sim_busy_asks: u32,
    /// What the network makes of the SIM.
    pub registration: Registration,
    /// The network refuses the APN: `AT+CGACT=1,1` gives cause 33. A log of an A7670E shows that
    /// NETOPEN and START work nevertheless.
    pub apn_refused: bool,
    /// Answer of `AT+GSN`.
    pub imei: String,
    /// Address of the bearer.
    pub address: String,
    /// Answer of `AT+CCLK?`, as the modem prints it.
    pub clock: String,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            family: Family::default(),
            quirks: Quirks::NONE,
            faults: Vec::new(),
            seed: 1,
            boot: BootState::AlreadyOn,
            delays: Delays::default(),
            sim: Sim::Ready,
            sim_busy_asks: 0,
            registration: Registration::Home,
            apn_refused: false,
            imei: "860000000000000".into(),
            address: "10.184.191.67".into(),
            clock: "26/11/20,12:00:00+00".into(),
        }
    }
}

/// How long things take, all in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delays {
    /// From the end of a command to its echo.
    pub echo: u64,
    /// From the end of a command (or of entered data) to its final result.
    pub answer: u64,
    /// From the end of a command to its prompt.
    pub prompt: u64,
    /// What START takes longer than other commands.
    pub start: u64,
    /// From the answer of the network to the result line.
    pub result: u64,
    /// What CFUN takes longer than other commands.
    pub cfun: u64,
    /// From the OK of CRESET to the restart.
    pub reset: u64,
    /// From power to the first boot line. Until then the modem is deaf.
    pub boot: u64,
    /// From there until the SIM is read.
    pub sim: u64,
    /// From there until `SMS DONE`, and again until `PB DONE`.
    pub ready: u64,
    /// From the moment when registration becomes possible until it is done.
    pub registration: u64,
}

impl Default for Delays {
    fn default() -> Self {
        Delays {
            echo: 0,
            answer: 0,
            prompt: 0,
            start: 0,
            result: 0,
            cfun: 0,
            reset: 20,
            boot: 1000,
            sim: 300,
            ready: 500,
            registration: 0,
        }
    }
}
