//! Which modems this command can drive: one row for each vendor, and nothing
//! about it anywhere else. Everything that works on a modem is given a
//! [`Vendor`] and looks into its [`Row`].

use std::io;
use std::net::Ipv4Addr;

use hayes::Machine;
use hayes::mqtt::{Code, QoS};
use hayes_emulator::bridge::Route;
use hayes_emulator::modem::Configuration;
use hayes_emulator::serve::{Hooks, Pty, on_lan};
use hayes_emulator::{jspr as emulated_jspr, luat, rockremote as emulated_box, simcom};
use hayes_iridium::{jspr, rockremote};
use hayes_simcom::{AuthOrder, Settings};
use hayes_transcript::Reader;
use tokio::net::TcpListener;

use crate::transcript::at::{self, Wire};
use crate::transcript::{self, View, mqtt};

/// The longest line that can be read, in bytes; some modems print their
/// certificates in one.
pub const LINE: usize = 512;
/// Room for messages that wait, in bytes: several of the longest.
pub const INBOX: usize = 65_536;
/// The same of a 9704 with 25 topics of the longest names.
const LONG_LINE: usize = 4_400;
/// The room where messages have up to 100,000 bytes.
const BIG_INBOX: usize = 262_144;

/// A vendor of modems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Vendor {
    // Not a doc comment: clap would make the help three times as long of it.
    // SIMCom with the CMQTT commands: SIM7500/7600/7800, A76xx, SIM767xx.
    #[default]
    Simcom,
    // Luat with the standard AT firmware: Air724, Air780E, Air700EAQ and kin.
    Luat,
    // The IoT Gateway of a RockREMOTE: MQTT over TCP to the box.
    Rockremote,
    // An Iridium 9704 (RockBLOCK 9704), which speaks JSPR.
    Jspr,
}

/// What can be chosen for a modem on the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// How long bring-up may take, in seconds.
    pub bring_up_timeout: Option<u16>,
    /// Whether the access point's user comes before the password.
    pub user_first: Option<bool>,
    /// Whether a RockREMOTE may be reached at any port.
    pub any_port: bool,
}

/// What there is to know of a vendor.
pub struct Row {
    /// Makes the driver for one modem.
    pub machine: fn(&Setup) -> AnyMachine,
    /// The usual speed of its serial port, in bits per second.
    pub baud: u32,
    /// How the broker is known.
    pub broker: BrokerAt,
    /// Whether it has words for how it is doing.
    pub tells: bool,
    /// What to try when the modem refused with this code, if it is one of the
    /// vendor's table.
    pub advice: fn(Code) -> Option<&'static str>,
    /// The same for commands that are refused without a code.
    pub unspoken: &'static [(&'static str, &'static str)],
    /// Makes rows of a transcript of the bytes on the wire.
    pub view: fn() -> Box<dyn View>,
    /// Reads a record of a dialogue.
    pub reader: fn() -> Box<dyn Reader>,
    /// What is demonstrated with it.
    pub demo: Demo,
}

/// How it is known which broker is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerAt {
    /// The user says it, and the modem connects there.
    Asked,
    /// It is in the device.
    Device,
    /// There is none to be chosen.
    Cloud,
}

/// A demonstration: what is emulated, and how a topic of the modem is called
/// at the broker.
pub struct Demo {
    /// Has an emulated modem, with nothing special about it, at work in front
    /// of the broker at this port; gives the device to reach it by.
    pub emulate: fn(u16) -> io::Result<String>,
    /// What the modem publishes to, and what that is at the broker.
    pub up: (&'static str, &'static str),
    /// What the modem subscribes to, and what that is at the broker.
    pub down: (&'static str, &'static str),
    /// The levels to use.
    pub levels: [QoS; 3],
}

/// To the end of the line.
const REST: usize = usize::MAX;

/// A topic that any broker takes as it is.
const UP: (&str, &str) = ("hayes/demo/up", "hayes/demo/up");
const DOWN: (&str, &str) = ("hayes/demo/down", "hayes/demo/down");
const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

static SIMCOM: Row = Row {
    machine: |setup| {
        Box::leak(Box::new(hayes_simcom::machine::<LINE, INBOX>(simcom_settings(setup))))
    },
    baud: 115_200,
    broker: BrokerAt::Asked,
    tells: true,
    advice: |code| match code {
        Code::Vendor(code) => Some(hayes_simcom::advice(code)),
        _ => None,
    },
    unspoken: &[(
        "+CMQTTACCQ",
        "is it a SIMCom (`hayes info` shows the model)? else check SIM, antenna and --apn",
    )],
    view: || Box::new(at::Lines::new(&SIMCOM_WIRE)),
    reader: || hayes_transcript::at::<hayes_simcom::Simcom>(),
    demo: Demo {
        emulate: |_| on_pty(simcom::Config::default(), Route::AsAsked),
        up: UP,
        down: DOWN,
        levels: LEVELS,
    },
};

static SIMCOM_WIRE: Wire = Wire {
    counted: &[("+CMQTTRXTOPIC: ", "\r\n"), ("+CMQTTRXPAYLOAD: ", "\r\n")],
    secrets: &[("AT+CMQTTCONNECT=", 2..REST), ("AT+CPIN=", 0..REST), ("AT+CGAUTH=", 0..REST)],
    files: &["AT+CCERTDOWN="],
};

static LUAT: Row = Row {
    machine: |setup| Box::leak(Box::new(hayes_luat::machine::<LINE, INBOX>(luat_settings(setup)))),
    baud: 115_200,
    broker: BrokerAt::Asked,
    tells: true,
    advice: |code| match code {
        Code::Cme(code) => Some(hayes_luat::advice(code)),
        _ => None,
    },
    unspoken: &[
        ("+MIPSTART", "check host and port; with TLS also certificates and cipher suites"),
        ("+MCONNECT", "check user, password and client identifier; the broker's log tells"),
    ],
    view: || Box::new(at::Lines::new(&LUAT_WIRE)),
    reader: || hayes_transcript::at::<hayes_luat::Luat>(),
    demo: Demo {
        emulate: |_| on_pty(luat::Config::default(), Route::AsAsked),
        up: UP,
        down: DOWN,
        levels: LEVELS,
    },
};

static LUAT_WIRE: Wire = Wire {
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
};

static ROCKREMOTE: Row = Row {
    machine: |setup| {
        let settings = rockremote::Settings::new().any_port(setup.any_port);
        Box::leak(Box::new(rockremote::machine::<BIG_INBOX>(settings)))
    },
    baud: 115_200,
    broker: BrokerAt::Device,
    tells: false,
    advice: |code| match code {
        Code::Vendor(4 | 5) => Some("check user and password against the box's web page"),
        _ => None,
    },
    unspoken: &[],
    view: || Box::new(mqtt::Packets::default()),
    reader: || Box::new(hayes_transcript::Mqtt::default()),
    demo: Demo {
        emulate: box_in_front_of,
        up: ("hayes/demo/up", "iot/ACCOUNT-ID/hayes/demo/up"),
        down: ("hayes/demo/down", "iot/ACCOUNT-ID/hayes/demo/down"),
        levels: LEVELS,
    },
};

static JSPR: Row = Row {
    machine: |setup| {
        Box::leak(Box::new(jspr::machine::<LONG_LINE, BIG_INBOX>(jspr_settings(setup))))
    },
    baud: 230_400,
    broker: BrokerAt::Cloud,
    tells: true,
    advice: |_| None,
    unspoken: &[],
    view: || Box::new(transcript::jspr::Lines::default()),
    reader: || Box::new(hayes_transcript::Jspr::default()),
    demo: Demo {
        emulate: |port| on_pty(under_a_clear_sky(), Route::to("127.0.0.1", port)),
        // Topics are numbers there; these two are provisioned.
        up: ("RAW", "imt/244"),
        down: ("PEBBLE", "imt/247"),
        levels: [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::AtLeastOnce],
    },
};

impl Vendor {
    /// What there is to know of it.
    pub fn row(self) -> &'static Row {
        match self {
            Self::Simcom => &SIMCOM,
            Self::Luat => &LUAT,
            Self::Rockremote => &ROCKREMOTE,
            Self::Jspr => &JSPR,
        }
    }
}

/// An emulated modem on a new pseudo-terminal.
fn on_pty(
    config: impl Configuration<Modem: Send> + Send + 'static,
    route: Route,
) -> io::Result<String> {
    let pty = Pty::open(None)?;
    let path = pty.path().display().to_string();
    tokio::spawn(pty.serve(config, route, Hooks::default()));
    Ok(path)
}

/// A 9704 whose satellites are nearer than the real ones, and that waits for
/// the host on a machine that is busy.
pub fn under_a_clear_sky() -> emulated_jspr::Config {
    let delays = emulated_jspr::Delays {
        acquisition: 100,
        transit: 200,
        transit_per_1000: 50,
        incoming: 50,
        segment_window: 10_000,
        ..Default::default()
    };
    emulated_jspr::Config { delays, ..Default::default() }
}

/// An emulated box on a TCP port that sends at once and lets everything in,
/// in front of the broker at `port`.
fn box_in_front_of(port: u16) -> io::Result<String> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let listener = TcpListener::from_std(listener)?;
    let config = emulated_box::Config {
        queue: emulated_box::Queue::IMMEDIATELY,
        mt_filters: "#".parse().into_iter().collect(),
        ..Default::default()
    };
    tokio::spawn(async move {
        let mut gateway = emulated_box::Gateway::new(config);
        let route = Route::to("127.0.0.1", port);
        on_lan(listener, &mut gateway, route, Hooks::default()).await
    });
    Ok(format!("tcp:{address}"))
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

fn jspr_settings(_: &Setup) -> jspr::Settings {
    jspr::Settings::new()
}

/// The driver of any vendor. There is one for each modem at work, and it stays
/// to the end.
pub type AnyMachine = &'static mut dyn Machine;
