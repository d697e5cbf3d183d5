//! The command line. Flags follow `mosquitto_pub` and `mosquitto_sub`, so
//! that hands know them; `-h` is the host, help is `--help`.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use hayes::mqtt::{AuthType, ConnectOptions, Credential, FieldError, Network, QoS, Tls, Will};
use hayes_emulator::{Fault, Quirk, jspr, luat, rockremote, simcom};

use crate::device::Device;
use crate::failure::Failure;
use crate::vendor::{BrokerAt, Setup, Vendor};

/// MQTT through modems that have it inside
#[derive(Parser)]
#[command(name = "hayes", version, disable_help_flag = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// Print help
    #[arg(long, global = true, action = ArgAction::Help, display_order = 1000)]
    help: Option<bool>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Show it all at work: a broker, an emulated modem on a pseudo-terminal, and the driver
    Demo(DemoArgs),
    /// Publish messages
    Pub(PubArgs),
    /// Subscribe and print what arrives
    Sub(SubArgs),
    /// Say what the modem is and how it is doing; changes nothing
    Info(InfoArgs),
    /// Be a modem, in front of a real broker
    Emulate(EmulateArgs),
    /// Read a captured dialogue and print its events, one JSON object a line
    Decode(DecodeArgs),
}

#[derive(Args)]
pub struct DemoArgs {
    /// Vendor of the modem
    #[arg(long, value_enum, default_value_t)]
    pub modem: Vendor,
}

#[derive(Args)]
pub struct ModemArgs {
    /// Vendor of the modem
    #[arg(long, value_enum, default_value_t)]
    pub modem: Vendor,

    /// Where the modem is: a terminal, maybe with @BAUD (else the usual), or tcp:HOST:PORT
    #[arg(long, value_name = "DEV")]
    pub device: Device,

    /// Show the bytes on standard error, without secrets
    #[arg(long)]
    pub dialogue: bool,

    /// Say what is being done on standard error
    #[arg(short, long)]
    pub verbose: bool,
}

#[derive(Args)]
#[command(next_help_heading = "Mobile network")]
pub struct NetworkArgs {
    /// Access point name; the network's choice unless given
    #[arg(long)]
    apn: Option<String>,

    /// User name for the access point
    #[arg(long, value_name = "USER", requires = "apn")]
    apn_user: Option<String>,

    /// Password for the access point
    #[arg(long, value_name = "PASSWORD", requires = "apn_user", env = "HAYES_APN_PASSWORD")]
    #[arg(hide_env_values = true)]
    apn_password: Option<String>,

    /// How the access point authenticates
    #[arg(long, value_enum, default_value_t, requires = "apn_user")]
    apn_auth: ApnAuth,

    /// Order in which a SIMCom's firmware takes the access point's user and password
    #[arg(long, value_enum, value_name = "ORDER", requires = "apn_user")]
    apn_auth_order: Option<ApnAuthOrder>,

    /// PIN of the SIM, 4 to 8 digits
    #[arg(long, env = "HAYES_PIN", hide_env_values = true)]
    pin: Option<String>,

    /// Give up when not connected to the broker after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub timeout: u16,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum ApnAuth {
    #[default]
    Pap,
    Chap,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum ApnAuthOrder {
    UserFirst,
    PasswordFirst,
}

impl NetworkArgs {
    /// What the driver needs to get a bearer.
    pub fn network(&self) -> Result<Network<'_>, FieldError> {
        let mut network = Network::new();
        if let Some(pin) = &self.pin {
            network = network.pin(pin)?;
        }
        if let Some(apn) = &self.apn {
            network = network.apn(apn)?;
        }
        if let Some(user) = &self.apn_user {
            let auth = match self.apn_auth {
                ApnAuth::Pap => AuthType::Pap,
                ApnAuth::Chap => AuthType::Chap,
            };
            let password = self.apn_password.as_deref().unwrap_or_default();
            network = network.credentials(auth, user, password)?;
        }
        Ok(network)
    }

    /// What is chosen for the modem.
    pub fn setup(&self) -> Setup {
        let user_first = self.apn_auth_order.map(|order| order == ApnAuthOrder::UserFirst);
        Setup { bring_up_timeout: Some(self.timeout), user_first, any_port: false }
    }
}

#[derive(Args)]
#[command(next_help_heading = "Connection to the broker")]
pub struct ConnectionArgs {
    /// Name or address of the broker, as seen from the modem; a RockREMOTE and a 9704 have their own
    #[arg(short = 'h', long)]
    host: Option<String>,

    /// Port of the broker; 1883 unless given, with TLS 8883
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Allow a port of a RockREMOTE other than 1883: for tests and tunnels
    #[arg(long)]
    pub any_port: bool,

    /// Client identifier; hayes- and a random number unless given
    #[arg(short, long)]
    id: Option<String>,

    /// User name for the broker
    #[arg(short, long, value_name = "USER")]
    username: Option<String>,

    /// Password for the broker
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD", requires = "username")]
    #[arg(env = "HAYES_PASSWORD", hide_env_values = true)]
    password: Option<String>,

    /// Keep-alive interval
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    keepalive: u16,

    /// Keep the session at the broker; needs --id
    #[arg(short = 'c', long = "disable-clean-session", requires = "id")]
    keep_session: bool,

    /// Topic of the last will
    #[arg(long, value_name = "TOPIC", requires = "will_payload")]
    will_topic: Option<String>,

    /// Payload of the last will
    #[arg(long, value_name = "TEXT", requires = "will_topic", allow_hyphen_values = true)]
    will_payload: Option<String>,

    /// QoS of the last will
    #[arg(long, value_name = "QOS", default_value = "0", value_parser = qos)]
    #[arg(requires = "will_topic")]
    will_qos: QoS,

    /// Have the last will retained
    #[arg(long, requires = "will_topic")]
    will_retain: bool,

    #[command(flatten)]
    tls: TlsArgs,
}

#[derive(Args)]
#[command(next_help_heading = "TLS")]
struct TlsArgs {
    /// TLS: the authority's certificate in PEM, stored on the modem where it is missing
    #[arg(long, value_name = "FILE", group = "trust")]
    cafile: Option<PathBuf>,

    /// TLS without a look at the server's certificate: anybody can be the server
    #[arg(long, group = "trust")]
    insecure: bool,

    /// The client's certificate in PEM
    #[arg(long, value_name = "FILE", requires_all = ["key", "trust"])]
    cert: Option<PathBuf>,

    /// The client's key in PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// The content of the files that TLS needs.
#[derive(Default)]
pub struct Files {
    ca: Option<Vec<u8>>,
    cert: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

impl Files {
    /// All of them together, in bytes.
    pub fn size(&self) -> usize {
        [&self.ca, &self.cert, &self.key].into_iter().flatten().map(Vec::len).sum()
    }
}

impl ConnectionArgs {
    /// Reads the files that TLS needs.
    pub fn files(&self) -> Result<Files, Failure> {
        let pem = |path: &Option<PathBuf>| path.as_deref().map(read_pem).transpose();
        let TlsArgs { cafile, cert, key, .. } = &self.tls;
        Ok(Files { ca: pem(cafile)?, cert: pem(cert)?, key: pem(key)? })
    }

    /// The identifier given, or one made up.
    pub fn client_id(&self) -> String {
        let random = || RandomState::new().build_hasher().finish() & 0xffff_ffff;
        self.id.clone().unwrap_or_else(|| format!("hayes-{:08x}", random()))
    }

    /// The broker, as the modem is to be told.
    pub fn broker(&self, modem: &ModemArgs) -> Result<(String, u16), Failure> {
        let secure = self.tls.cafile.is_some() || self.tls.insecure;
        let port = self.port.unwrap_or(if secure { 8883 } else { 1883 });
        match (modem.modem.row().broker, &self.host, modem.device.address()) {
            (BrokerAt::Asked, Some(host), _) => Ok((host.clone(), port)),
            (BrokerAt::Asked, None, _) => Err(Failure::Usage("--host is missing".to_owned())),
            (BrokerAt::Device, None, Some((host, port))) if self.port.is_none() => {
                Ok((host.to_owned(), port))
            }
            (BrokerAt::Device, None, None) => {
                Err(Failure::Usage("write --device as tcp:HOST:PORT for this modem".to_owned()))
            }
            (BrokerAt::Cloud, None, _) if self.port.is_none() => Ok(("iridium".to_owned(), port)),
            _ => Err(Failure::Usage(
                "this modem has its own broker: no --host, no --port".to_owned(),
            )),
        }
    }

    /// What the driver needs to connect.
    pub fn options<'a>(
        &'a self,
        host: &'a str,
        port: u16,
        id: &'a str,
        files: &'a Files,
    ) -> Result<ConnectOptions<'a>, FieldError> {
        let mut options = ConnectOptions::new(host, port, id)?
            .keep_alive(self.keepalive)
            .clean_session(!self.keep_session);
        if let Some(user) = &self.username {
            options = options.credentials(user, self.password.as_deref())?;
        }
        if let (Some(topic), Some(payload)) = (&self.will_topic, &self.will_payload) {
            let will = Will::new(topic, payload.as_bytes())?;
            options = options.last_will(will.qos(self.will_qos).retain(self.will_retain));
        }
        Ok(match self.tls(files) {
            Some(tls) => options.tls(tls),
            None => options,
        })
    }

    fn tls<'a>(&self, files: &'a Files) -> Option<Tls<'a>> {
        let tls = match &files.ca {
            Some(ca) => Tls::with_ca(Credential::Pem(ca)),
            None if self.tls.insecure => Tls::insecure(),
            None => return None,
        };
        Some(match (&files.cert, &files.key) {
            (Some(cert), Some(key)) => tls.client(Credential::Pem(cert), Credential::Pem(key)),
            _ => tls,
        })
    }
}

#[derive(Args)]
pub struct PubArgs {
    /// Topic to publish to
    #[arg(short, long)]
    pub topic: String,

    #[command(flatten)]
    pub source: Source,

    /// Quality of service
    #[arg(short, long, default_value = "0", value_parser = qos)]
    pub qos: QoS,

    /// Have the broker keep the message for later subscribers
    #[arg(short, long)]
    pub retain: bool,

    #[command(flatten)]
    pub modem: ModemArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(flatten)]
    pub network: NetworkArgs,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Source {
    /// Message to publish
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub message: Option<String>,

    /// Publish the content of a file
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Publish all of standard input as one message
    #[arg(short, long)]
    pub stdin_file: bool,

    /// Publish every line of standard input as a message
    #[arg(short = 'l', long)]
    pub stdin_line: bool,

    /// Publish an empty message
    #[arg(short, long)]
    pub null_message: bool,
}

#[derive(Args)]
pub struct SubArgs {
    /// Topic filter to subscribe to; may be given several times
    #[arg(short, long, value_name = "FILTER", required = true)]
    pub topic: Vec<String>,

    /// Highest quality of service to receive with
    #[arg(short, long, default_value = "0", value_parser = qos)]
    pub qos: QoS,

    /// End after so many messages
    #[arg(short = 'C', long, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// End so many seconds after subscribing; with --count a failure if too few came
    #[arg(short = 'W', long, value_name = "SECONDS")]
    pub wait: Option<u32>,

    /// Print a JSON object for each message: topic, payload (if it is text), payload_hex
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub modem: ModemArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(flatten)]
    pub network: NetworkArgs,
}

#[derive(Args)]
pub struct InfoArgs {
    #[command(flatten)]
    pub modem: ModemArgs,
}

#[derive(Args)]
pub struct EmulateArgs {
    #[command(subcommand)]
    pub vendor: EmulateVendor,
}

#[derive(Subcommand)]
pub enum EmulateVendor {
    /// A SIMCom modem with the CMQTT commands
    Simcom(EmulateSimcomArgs),
    /// A Luat modem with the standard AT firmware
    Luat(EmulateLuatArgs),
    /// A RockREMOTE with its IoT Gateway
    Rockremote(EmulateRockremoteArgs),
    /// An Iridium 9704, which speaks JSPR
    Jspr(EmulateJsprArgs),
}

#[derive(Args)]
#[command(after_help = oddities(Quirk::ALL.map(|one| (one.name(), one.help()))))]
pub struct EmulateSimcomArgs {
    #[command(flatten)]
    pub modem: EmulatedArgs,

    /// Its family: sim7600, a76xx or sim767xx
    #[arg(long, default_value_t)]
    pub family: simcom::Family,

    /// Switch a documented oddity on; may be given several times
    #[arg(long, value_name = "NAME")]
    pub quirk: Vec<Quirk>,
}

#[derive(Args)]
#[command(after_help = oddities(luat::Quirk::ALL.map(|one| (one.name(), one.help()))))]
pub struct EmulateLuatArgs {
    #[command(flatten)]
    pub modem: EmulatedArgs,

    /// Its family: air724, air780e, air700eaq-v2019 or v2015plus
    #[arg(long, default_value_t)]
    pub family: luat::Family,

    /// Switch a documented oddity on; may be given several times
    #[arg(long, value_name = "NAME")]
    pub quirk: Vec<luat::Quirk>,
}

#[derive(Args)]
#[command(after_help = oddities(jspr::Quirk::ALL.map(|one| (one.name(), one.help()))))]
pub struct EmulateJsprArgs {
    #[command(flatten)]
    pub modem: EmulatedArgs,

    /// Messages take tenths of a second, not many seconds, and the host may take ten for a part
    #[arg(long)]
    pub clear_sky: bool,

    /// Switch a documented oddity on; may be given several times
    #[arg(long, value_name = "NAME")]
    pub quirk: Vec<jspr::Quirk>,
}

#[derive(Args)]
#[command(after_help = oddities([]))]
pub struct EmulateRockremoteArgs {
    /// The port of its broker on the LAN; port 0 is any free one
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: String,

    /// The broker in the cloud; none unless given
    #[arg(long, value_name = "mqtt://HOST:PORT", value_parser = broker)]
    pub broker: Option<(String, u16)>,

    /// Account in the cloud: topics begin with iot/ACCOUNT/ there
    #[arg(long, default_value = "ACCOUNT-ID")]
    pub account: String,

    /// What of the cloud goes to the box: a topic, or one that ends in /#; may be given several
    /// times, all unless given
    #[arg(long, value_name = "FILTER", default_value = "#")]
    pub mt_filter: Vec<rockremote::MtFilter>,

    /// Send when so many bytes of payload are queued; 0 is never
    #[arg(long, value_name = "BYTES", default_value_t = 50_000)]
    pub max_queue_size: usize,

    /// Send when the oldest message is so old; 0 is never
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub max_queue_age: u64,

    /// Send each message at once
    #[arg(long)]
    pub immediately: bool,

    #[command(flatten)]
    pub wire: WireArgs,
}

/// What can be said of any modem that does not exist.
#[derive(Args)]
pub struct EmulatedArgs {
    #[command(flatten)]
    pub place: Place,

    /// Where all its connections go; where the host asks for, unless given
    #[arg(long, value_name = "mqtt://HOST:PORT", value_parser = broker)]
    pub broker: Option<(String, u16)>,

    #[command(flatten)]
    pub wire: WireArgs,
}

/// What happens on the wire of an emulated modem, and whether it is shown.
#[derive(Args)]
pub struct WireArgs {
    /// Make trouble; may be given several times
    #[arg(long, value_name = "NAME[=N]")]
    pub fault: Vec<Fault>,

    /// Another seed is other trouble
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Show the bytes on standard error, without secrets
    #[arg(long)]
    pub dialogue: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Place {
    /// Be on a pseudo-terminal, with a symbolic link to it here
    #[arg(long, value_name = "LINK")]
    pub pty: Option<PathBuf>,

    /// Be on a TCP port; port 0 is any free one
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
}

#[derive(Args)]
pub struct DecodeArgs {
    /// Vendor of the modem
    pub vendor: Vendor,

    /// File to read; - is standard input
    #[arg(value_name = "FILE|-")]
    pub path: String,
}

/// The lists of quirks and faults, for the help.
fn oddities<const N: usize>(quirks: [(&str, &str); N]) -> String {
    let mut text = String::new();
    if N > 0 {
        text += "Quirks:\n";
    }
    for (name, help) in quirks {
        text += &format!("  {name:<21}  {help}\n");
    }
    text += if N > 0 { "\nFaults:\n" } else { "Faults:\n" };
    for (_, help) in Fault::ALL {
        let (form, what) = help.split_once(": ").unwrap_or((help, ""));
        text += &format!("  {form:<21}  {what}\n");
    }
    text
}

fn qos(level: &str) -> Result<QoS, String> {
    let level = level.parse().ok().and_then(QoS::from_level);
    level.ok_or_else(|| "use 0, 1 or 2".to_owned())
}

fn broker(url: &str) -> Result<(String, u16), String> {
    let address = url.strip_prefix("mqtt://").map(|rest| rest.trim_end_matches('/'));
    let parts = address.and_then(|address| address.rsplit_once(':'));
    match parts.map(|(host, port)| (host.to_owned(), port.parse())) {
        Some((host, Ok(port))) if !host.is_empty() => Ok((host, port)),
        _ => Err("write it as mqtt://HOST:PORT".to_owned()),
    }
}

/// The content of a file.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| Failure::new(format_args!("reading {}", path.display()), error);
    std::fs::read(path).map_err(failed)
}

/// The content of a file in PEM. Another one would be stored on the modem, and
/// found wrong by a handshake that does not tell why.
fn read_pem(path: &Path) -> Result<Vec<u8>, Failure> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let content = read(path)?;
    if content.windows(BEGIN.len()).any(|part| part == BEGIN) {
        return Ok(content);
    }
    let cause = "not PEM, which has a line with -----BEGIN";
    Err(Failure::new(format_args!("reading {}", path.display()), cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_defined() {
        Cli::command().debug_assert();
    }
}
