//! Which modems this command can drive: one row for each vendor, and nothing
//! about it anywhere else. Everything that works on a modem is given a
//! [`Vendor`] and looks into its [`Row`].

use hayes::Machine;
use hayes_simcom::{AuthOrder, Settings};

use crate::transcript::Wire;

/// The longest line that can be read, in bytes; some modems print their
/// certificates in one.
pub const LINE: usize = 512;
/// Room for messages that wait, in bytes: several of the longest.
pub const INBOX: usize = 65_536;

/// A vendor of modems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Vendor {
    // Not a doc comment: clap would make the help three times as long of it.
    // SIMCom with the CMQTT commands: SIM7500/7600/7800, A76xx, SIM767xx.
    #[default]
    Simcom,
}

/// What can be chosen for a modem on the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// How long bring-up may take, in seconds.
    pub bring_up_timeout: Option<u16>,
    /// Whether the access point's user comes before the password.
    pub user_first: Option<bool>,
}

/// What there is to know of a vendor.
pub struct Row {
    /// Makes the driver for one modem.
    pub machine: fn(&Setup) -> AnyMachine,
    /// What to try when the modem refused with this code.
    pub advice: fn(i32) -> &'static str,
    /// What a transcript must know of the bytes on the wire.
    pub wire: Wire,
}

static SIMCOM: Row = Row {
    machine: |setup| Box::leak(Box::new(hayes_simcom::machine::<LINE, INBOX>(simcom(setup)))),
    advice: hayes_simcom::advice,
    wire: Wire {
        counted: &["+CMQTTRXTOPIC: ", "+CMQTTRXPAYLOAD: "],
        secrets: &[("AT+CMQTTCONNECT=", 2), ("AT+CPIN=", 0), ("AT+CGAUTH=", 0)],
        files: &["AT+CCERTDOWN="],
    },
};

impl Vendor {
    /// What there is to know of it.
    pub fn row(self) -> &'static Row {
        match self {
            Self::Simcom => &SIMCOM,
        }
    }
}

fn simcom(setup: &Setup) -> Settings {
    let mut settings = Settings::new();
    if let Some(seconds) = setup.bring_up_timeout {
        settings = settings.bring_up_timeout(seconds);
    }
    match setup.user_first {
        Some(true) => settings.auth_order(AuthOrder::UserFirst),
        Some(false) => settings.auth_order(AuthOrder::PasswordFirst),
        None => settings,
    }
}

/// The driver of any vendor. There is one for each modem at work, and it stays
/// to the end.
pub type AnyMachine = &'static mut dyn Machine;
