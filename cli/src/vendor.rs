//! Which modems this command can drive: one row for each vendor, and nothing
//! about it anywhere else. Everything that works on a modem is given a
//! [`Vendor`] and looks into its [`Row`].

use hayes::Machine;
use hayes::mqtt::Code;
use hayes_emulator::bridge::Route;
use hayes_emulator::modem::Configuration;
use hayes_emulator::serve::{Hooks, Pty};
use hayes_emulator::{luat, simcom};
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
    // Luat with the standard AT firmware: Air724, Air780E, Air700EAQ and kin.
    Luat,
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
    /// What to try when the modem refused with this code, if it is one of the
    /// vendor's table.
    pub advice: fn(Code) -> Option<&'static str>,
    /// The same for commands that are refused without a code.
    pub unspoken: &'static [(&'static str, &'static str)],
    /// What a transcript must know of the bytes on the wire.
    pub wire: Wire,
    /// Has an emulated modem, with nothing special about it, at work there.
    pub emulate: fn(Pty),
}

/// To the end of the line.
const REST: usize = usize::MAX;

static SIMCOM: Row = Row {
    machine: |setup| {
        Box::leak(Box::new(hayes_simcom::machine::<LINE, INBOX>(simcom_settings(setup))))
    },
    advice: |code| match code {
        Code::Vendor(code) => Some(hayes_simcom::advice(code)),
        _ => None,
    },
    unspoken: &[],
    wire: Wire {
        counted: &[("+CMQTTRXTOPIC: ", "\r\n"), ("+CMQTTRXPAYLOAD: ", "\r\n")],
        secrets: &[("AT+CMQTTCONNECT=", 2..REST), ("AT+CPIN=", 0..REST), ("AT+CGAUTH=", 0..REST)],
        files: &["AT+CCERTDOWN="],
    },
    emulate: |pty| emulate(pty, simcom::Config::default()),
};

static LUAT: Row = Row {
    machine: |setup| Box::leak(Box::new(hayes_luat::machine::<LINE, INBOX>(luat_settings(setup)))),
    advice: |code| match code {
        Code::Cme(code) => Some(hayes_luat::advice(code)),
        _ => None,
    },
    unspoken: &[
        ("+MIPSTART", "check host and port; with TLS also certificates and cipher suites"),
        ("+MCONNECT", "check user, password and client identifier; the broker's log tells"),
    ],
    wire: Wire {
        counted: &[("+MSUB:", " byte,"), ("+MSUB:", "byte,")],
        // The user name of some brokers is a token.
        secrets: &[
            ("AT+MCONFIG=", 1..3),
            ("AT+CPIN=", 0..REST),
            ("AT+CPNETAPN=", 1..3),
            ("USR:", 0..REST),
            ("PWD:", 0..REST),
        ],
        files: &["AT+FSWRITE="],
    },
    emulate: |pty| emulate(pty, luat::Config::default()),
};

impl Vendor {
    /// What there is to know of it.
    pub fn row(self) -> &'static Row {
        match self {
            Self::Simcom => &SIMCOM,
            Self::Luat => &LUAT,
        }
    }
}

fn emulate(pty: Pty, config: impl Configuration<Modem: Send> + Send + 'static) {
    tokio::spawn(pty.serve(config, Route::AsAsked, Hooks::default()));
}

fn simcom_settings(setup: &Setup) -> Settings {
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

fn luat_settings(setup: &Setup) -> hayes_luat::Settings {
    let settings = hayes_luat::Settings::new();
    match setup.bring_up_timeout {
        Some(seconds) => settings.bring_up_timeout(seconds),
        None => settings,
    }
}

/// The driver of any vendor. There is one for each modem at work, and it stays
/// to the end.
pub type AnyMachine = &'static mut dyn Machine;
