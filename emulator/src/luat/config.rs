//! What kind of modem it is: everything that is chosen before it is switched on, and nothing that
//! changes afterwards.

use super::{BootState, Family, Quirks, Registration, Sim};
use crate::Fault;

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
    /// A broker closes a link on which so many milliseconds pass without a CONNECT. ThingsCloud
    /// gives 5000, Aliyun more than 3100; none is a broker without an end to its patience. A real
    /// broker behind the modem has its own patience on top.
    pub broker_patience: Option<u64>,
    /// The SIM.
    pub sim: Sim,
    /// So many questions for the SIM after a start are answered by SIM failure, the last of them
    /// by SIM busy.
    pub sim_busy_asks: u32,
    /// What the network makes of the SIM.
    pub registration: Registration,
    /// Answer of `AT+CGMI`, if not that of the family: for look-alikes of other vendors.
    pub manufacturer: Option<String>,
    /// Answer of `AT+CGMM`, if not that of the family.
    pub model: Option<String>,
    /// Answer of `ATI`, `AT+VER` and `AT+CGMR`, if not that of the family.
    pub revision: Option<String>,
    /// Answer of `AT+CGSN`.
    pub imei: String,
    /// Address of the bearer.
    pub address: String,
    /// Answer of `AT+CCLK?`, as the modem prints it.
    pub clock: String,
    /// Bytes for files, if not those of the family.
    pub file_space: Option<usize>,
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
            broker_patience: Some(5000),
            sim: Sim::Ready,
            sim_busy_asks: 0,
            registration: Registration::Home,
            manufacturer: None,
            model: None,
            revision: None,
            imei: "860000000000000".into(),
            address: "10.126.200.230".into(),
            clock: "26/11/20,12:00:00+32".into(),
            file_space: None,
        }
    }
}

/// How long things take, all in milliseconds. The default is what captures show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delays {
    /// From the end of a command to its echo.
    pub echo: u64,
    /// From the end of a command (or of entered data) to its first result (2 to 5).
    pub answer: u64,
    /// From the end of a command to its prompt.
    pub prompt: u64,
    /// From OK to `CONNECT OK` (193). As all second phases it comes no sooner than the network
    /// has answered.
    pub connect: u64,
    /// The same with TLS (1415, 2287).
    pub tls_connect: u64,
    /// From OK to `CONNACK OK` (55, 215, 249).
    pub connack: u64,
    /// From OK to `SUBACK` (118, 315).
    pub suback: u64,
    /// From OK to `UNSUBACK`; in no capture.
    pub unsuback: u64,
    /// From OK to `PUBACK` (59, 297).
    pub puback: u64,
    /// From OK to `PUBREC` (50).
    pub pubrec: u64,
    /// From `PUBREC` to `PUBCOMP` (33).
    pub pubcomp: u64,
    /// What CFUN takes longer than other commands (137).
    pub cfun: u64,
    /// What making a directory takes longer than other commands (35).
    pub directory: u64,
    /// From CFUN=1, or from the return of the network, to registration (1531).
    pub radio: u64,
    /// From the OK of a reset to the restart.
    pub reset: u64,
    /// From power to the line of the boot ROM.
    pub boot_rom: u64,
    /// From power to `RDY` (1300). Until then the modem is deaf.
    pub boot: u64,
    /// From `RDY` to registration (3100).
    pub registration: u64,
    /// From registration to the time of the network (27, 71).
    pub network_time: u64,
}

impl Delays {
    /// Nothing takes any time but a restart and the search for a network.
    pub const NONE: Delays = Delays {
        echo: 0,
        answer: 0,
        prompt: 0,
        connect: 0,
        tls_connect: 0,
        connack: 0,
        suback: 0,
        unsuback: 0,
        puback: 0,
        pubrec: 0,
        pubcomp: 0,
        cfun: 0,
        directory: 0,
        radio: 1531,
        reset: 20,
        boot_rom: 300,
        boot: 1300,
        registration: 3100,
        network_time: 27,
    };
}

impl Default for Delays {
    fn default() -> Self {
        Delays {
            answer: 4,
            prompt: 4,
            connect: 193,
            tls_connect: 1415,
            connack: 55,
            suback: 118,
            unsuback: 118,
            puback: 59,
            pubrec: 50,
            pubcomp: 33,
            cfun: 137,
            directory: 35,
            ..Delays::NONE
        }
    }
}
