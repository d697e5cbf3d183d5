//! Everything that is not MQTT, TLS or files: identity, SIM, radio, registration, bearer, clock,
//! reset, and as much of the plain TCP set as hosts call before MQTT. Knows the state of the
//! module and of its radio.

use std::collections::BTreeMap;

use super::{
    Answer, Config, Handler, INCORRECT_PASSWORD, Modem, NOT_ALLOWED, OTHER, Outcome, Power, Quirk,
    Registration, SIM_BUSY, SIM_FAILURE, SIM_NOT_INSERTED, Sim, Timer, set,
};
use crate::command::{Command, Form};

pub(super) const COMMANDS: &[(&str, Handler)] = &[
    ("", |_, form| executed(form, Answer::Ok)),
    ("E", |modem, form| echo(modem, form, true)),
    ("E0", |modem, form| echo(modem, form, false)),
    ("E1", |modem, form| echo(modem, form, true)),
    ("V1", |_, form| executed(form, Answer::Ok)),
    ("Q0", |_, form| executed(form, Answer::Ok)),
    ("&W", save),
    ("I", |modem, form| printed(form, modem.traits.revision.clone())),
    ("+VER", |modem, form| printed(form, modem.traits.revision.clone())),
    ("+CGMI", |modem, form| named(form, "+CGMI", &modem.traits.manufacturer)),
    ("+CGMM", |modem, form| named(form, "+CGMM", &modem.traits.model)),
    ("+CGMR", |modem, form| named(form, "+CGMR", &modem.traits.revision)),
    ("+CGSN", |modem, form| printed(form, modem.config.imei.clone())),
    ("+CMEE", error_form),
    ("+CPIN", sim_pin),
    ("+CREG", |modem, form| registration(modem, form, 0)),
    ("+CGREG", |modem, form| registration(modem, form, 1)),
    ("+CEREG", |modem, form| registration(modem, form, 2)),
    ("+CSQ", signal),
    ("+CGATT", attach),
    ("+CGDCONT", define_context),
    ("+CGACT", activate),
    ("+CGPADDR", bearer_address),
    ("+CPNETAPN", private_apn),
    ("+CSTT", start_task),
    ("+CIICR", bring_up),
    ("+CIFSR", local_address),
    ("+CIPSTATUS", connection_status),
    ("+CIPSHUT", shut),
    ("+CIPMUX", multiplex),
    ("+CCLK", clock),
    ("+CFUN", function),
    ("+POWERMODE", power_mode),
    ("+RESET", reset),
    ("+CPOWD", power_down),
];

/// Settings that are remembered and have no effect here: name and value at start.
const PLAIN: &[(&str, &str)] = &[
    ("+IPR", "0"),
    ("+IFC", "0,0"),
    ("+CNMI", "0,0,0,0,0"),
    ("+CSCLK", "0"),
    ("+CFGRI", "0"),
    ("+WAKETIM", "0"),
    ("+CIPQSEND", "0"),
    ("+SAPBR", "0"),
];

const REGISTRATION_NAMES: [&str; 3] = ["+CREG", "+CGREG", "+CEREG"];

/// Cell and access technology, SEEN in a log of an Air780EP.
const CELL: &str = ",\"2797\",\"02B82E17\",7";

/// How long a modem with the quirk `early-cme4` supports nothing (field report).
const EARLY: u64 = 30_000;

/// The state of the plain TCP layer, as `AT+CIPSTATUS` prints it.
const IP_INITIAL: &str = "IP INITIAL";
const IP_START: &str = "IP START";
const IP_GPRSACT: &str = "IP GPRSACT";
const IP_STATUS: &str = "IP STATUS";

pub(super) struct State {
    pub echo: bool,
    pub cmee: u32,
    /// CIPMUX: results carry the number of the MQTT link.
    pub multiplexed: bool,
    cfun: u32,
    network_up: bool,
    registered: bool,
    attached: bool,
    bearer: bool,
    sim_asks: u32,
    pin_open: bool,
    early_until: u64,
    registration_urcs: [u32; 3],
    ip: &'static str,
    plain: BTreeMap<String, String>,
    clock: String,
    /// How often a bearer was lost, for the spelling of it.
    losses: usize,
    /// Not volatile.
    saved: Saved,
}

/// What survives a restart.
#[derive(Clone)]
struct Saved {
    echo: bool,
    cmee: u32,
    apn: Apn,
    contexts: BTreeMap<u32, (String, String)>,
}

/// The private APN. Before one was set the query prints mode 0; what a real one prints then is
/// not documented.
#[derive(Clone, Default)]
struct Apn {
    mode: u32,
    name: String,
    user: String,
    password: String,
    authentication: u32,
}

impl State {
    pub fn new(config: &Config) -> Self {
        // SEEN: numbers come out without CMEE ever being set.
        let cmee = u32::from(!config.quirks.has(Quirk::PlainErrors));
        let contexts = BTreeMap::from([(1, ("IP".to_owned(), "cmiot".to_owned()))]);
        State::with(config, Saved { echo: true, cmee, apn: Apn::default(), contexts })
    }

    fn with(config: &Config, saved: Saved) -> Self {
        let sim_busy = config.quirks.has(Quirk::SimBusy);
        State {
            echo: saved.echo,
            cmee: saved.cmee,
            multiplexed: false,
            cfun: 1,
            network_up: true,
            registered: false,
            attached: true,
            bearer: true,
            sim_asks: if sim_busy { config.sim_busy_asks.max(3) } else { config.sim_busy_asks },
            pin_open: !matches!(config.sim, Sim::Pin(_)),
            early_until: 0,
            registration_urcs: [0; 3],
            ip: IP_INITIAL,
            plain: PLAIN.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            clock: config.clock.clone(),
            losses: 0,
            saved,
        }
    }

    /// What a restart leaves: what was saved, and the world outside.
    pub fn after_restart(config: &Config, before: &State) -> Self {
        State {
            network_up: before.network_up,
            losses: before.losses,
            ..State::with(config, before.saved.clone())
        }
    }
}

fn executed(form: &Form, answer: Answer) -> Outcome {
    if *form == Form::Execute { Ok(answer) } else { Err(Answer::Error) }
}

fn printed(form: &Form, line: String) -> Outcome {
    match form {
        Form::Test => Ok(Answer::Ok),
        form => executed(form, Answer::Lines(vec![line])),
    }
}

fn named(form: &Form, name: &str, value: &str) -> Outcome {
    printed(form, format!("{name}: \"{value}\""))
}

fn echo(modem: &mut Modem, form: &Form, on: bool) -> Outcome {
    modem.general.echo = on;
    executed(form, Answer::Ok)
}

fn save(modem: &mut Modem, form: &Form) -> Outcome {
    let general = &mut modem.general;
    (general.saved.echo, general.saved.cmee) = (general.echo, general.cmee);
    executed(form, Answer::Ok)
}

fn error_form(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Read => Ok(Answer::Lines(vec![format!("+CMEE: {}", modem.general.cmee)])),
        Form::Test => Ok(Answer::Lines(vec!["+CMEE: (0,1,2)".into()])),
        Form::Set(arguments) => {
            modem.general.cmee = arguments.number(0, 0..=2).ok_or(Answer::Error)?;
            Ok(Answer::Ok)
        }
        Form::Execute => Err(Answer::Error),
    }
}

fn sim_pin(modem: &mut Modem, form: &Form) -> Outcome {
    if modem.config.sim == Sim::Absent {
        return Err(Answer::Cme(SIM_NOT_INSERTED));
    }
    if modem.general.sim_asks > 0 {
        modem.general.sim_asks -= 1;
        let last = modem.general.sim_asks == 0;
        return Err(Answer::Cme(if last { SIM_BUSY } else { SIM_FAILURE }));
    }
    match (form, &modem.config.sim) {
        (Form::Test, _) => Ok(Answer::Ok),
        (Form::Read, _) => {
            let state = if modem.general.pin_open { "READY" } else { "SIM PIN" };
            Ok(Answer::Lines(vec![format!("+CPIN: {state}")]))
        }
        (Form::Set(arguments), Sim::Pin(pin)) if !modem.general.pin_open => {
            if arguments.word(0) != Some(pin.as_bytes()) {
                return Err(Answer::Cme(INCORRECT_PASSWORD));
            }
            modem.general.pin_open = true;
            modem.seek_network(modem.ok_at(), modem.config.delays.radio);
            Ok(Answer::Ok)
        }
        _ => Err(Answer::Error),
    }
}

fn registration(modem: &mut Modem, form: &Form, kind: usize) -> Outcome {
    let name = REGISTRATION_NAMES[kind];
    match form {
        Form::Read => {
            let mode = modem.general.registration_urcs[kind];
            let other = kind == 2 && modem.config.quirks.has(Quirk::CeregSaysCgreg);
            let name = if other { "+CGREG" } else { name };
            let mut line = format!("{name}: {mode},{}", modem.registration_state());
            if mode == 2 && modem.general.registered {
                line += CELL;
            }
            Ok(Answer::Lines(vec![line]))
        }
        Form::Test => Ok(Answer::Lines(vec![format!("{name}: (0-2)")])),
        Form::Set(arguments) => {
            let mode = arguments.number(0, 0..=2).ok_or(Answer::Error)?;
            modem.general.registration_urcs[kind] = mode;
            Ok(Answer::Ok)
        }
        Form::Execute => Err(Answer::Error),
    }
}

fn signal(modem: &mut Modem, form: &Form) -> Outcome {
    let line = if modem.general.registered { "+CSQ: 21,0" } else { "+CSQ: 99,99" };
    match form {
        Form::Test => Ok(Answer::Lines(vec!["+CSQ: (0-31,99),(0-7,99)".into()])),
        form => executed(form, Answer::Lines(vec![line.into()])),
    }
}

fn attach(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        // 724 firmware since V1066 says 0 while there is no bearer; so do all of them here.
        Form::Read => Ok(Answer::Lines(vec![format!("+CGATT: {}", u8::from(modem.has_bearer()))])),
        Form::Test => Ok(Answer::Lines(vec!["+CGATT: (0,1)".into()])),
        Form::Set(arguments) => {
            let on = arguments.number(0, 0..=1).ok_or(Answer::Error)? == 1;
            let before = std::mem::replace(&mut modem.general.attached, on);
            if before && !on {
                modem.bearer_goes_after_ok("+CGEV: ME DETACH");
            }
            Ok(Answer::Ok)
        }
        Form::Execute => Err(Answer::Error),
    }
}

fn define_context(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Read => {
            let has_bearer = modem.has_bearer();
            let line = |(id, (kind, apn)): (&u32, &(String, String))| {
                let address =
                    if has_bearer && *id == 1 { modem.config.address.as_str() } else { "" };
                format!("+CGDCONT: {id},\"{kind}\",\"{apn}\",\"{address}\"")
            };
            Ok(Answer::Lines(modem.general.saved.contexts.iter().map(line).collect()))
        }
        Form::Test => Ok(Answer::Lines(vec!["+CGDCONT: (1-7),\"IP\"".into()])),
        Form::Set(arguments) => {
            let id = arguments.number(0, 1..=7).ok_or(Answer::Error)?;
            let contexts = &mut modem.general.saved.contexts;
            if arguments.len() == 1 {
                contexts.remove(&id);
                return Ok(Answer::Ok);
            }
            let kind = arguments.text(1).ok_or(Answer::Error)?;
            let apn = if arguments.len() > 2 { text(arguments.word(2))? } else { String::new() };
            contexts.insert(id, (kind.to_owned(), apn));
            Ok(Answer::Ok)
        }
        Form::Execute => Err(Answer::Error),
    }
}

fn text(word: Option<&[u8]>) -> Result<String, Answer> {
    String::from_utf8(word.ok_or(Answer::Error)?.to_vec()).map_err(|_| Answer::Error)
}

fn activate(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Read => {
            let up = u8::from(modem.has_bearer());
            Ok(Answer::Lines(vec![format!("+CGACT: 1,{up}")]))
        }
        Form::Test => Ok(Answer::Lines(vec!["+CGACT: (0,1)".into()])),
        Form::Set(arguments) => {
            let on = arguments.number(0, 0..=1).ok_or(Answer::Error)? == 1;
            let before = std::mem::replace(&mut modem.general.bearer, on);
            if before && !on {
                modem.bearer_goes_after_ok("+CGEV: ME PDN DEACT 1");
            }
            Ok(Answer::Ok)
        }
        Form::Execute => Err(Answer::Error),
    }
}

fn bearer_address(modem: &mut Modem, form: &Form) -> Outcome {
    let address = if modem.has_bearer() { modem.config.address.as_str() } else { "0.0.0.0" };
    let line = format!("+CGPADDR: 1,\"{address}\"");
    match form {
        Form::Execute | Form::Set(_) | Form::Read => Ok(Answer::Lines(vec![line])),
        Form::Test => Ok(Answer::Ok),
    }
}

/// Stored, and it restarts the stack.
fn private_apn(modem: &mut Modem, form: &Form) -> Outcome {
    let apn = &modem.general.saved.apn;
    let arguments = match form {
        Form::Read => {
            return Ok(Answer::Lines(vec![
                format!("MODE:{}", apn.mode),
                format!("APN:{}", apn.name),
                format!("USR:{}", apn.user),
                format!("PWD:{}", apn.password),
                format!("AUTHMODE:{}", apn.authentication),
            ]));
        }
        form => set(form, || vec!["+CPNETAPN: (2,3),<apn>,<user>,<pwd>,(0-2)".into()])?,
    };
    let mode = arguments.number(0, 2..=3).ok_or(Answer::Error)?;
    let new = match mode {
        3 => Apn::default(),
        _ => {
            let field = |at, longest| {
                let word = text(arguments.word(at))?;
                if word.len() <= longest { Ok(word) } else { Err(Answer::Error) }
            };
            if arguments.len() != 5 {
                return Err(Answer::Error);
            }
            Apn {
                mode,
                name: field(1, 128)?,
                user: field(2, 32)?,
                password: field(3, 32)?,
                authentication: arguments.number(4, 0..=2).ok_or(Answer::Error)?,
            }
        }
    };
    if mode == 2 && new.name.is_empty() {
        return Err(Answer::Error);
    }
    modem.general.saved.apn = new;
    modem.general.registered = false;
    modem.bearer_goes_after_ok("+CGEV: ME PDN DEACT 1");
    modem.seek_network(modem.ok_at(), modem.config.delays.radio);
    Ok(Answer::Ok)
}

// ---- the plain TCP layer ----------------------------------------------------------------------

/// Only from the beginning; the second time is 3 (SEEN).
fn start_task(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Execute | Form::Set(_) if modem.general.ip == IP_INITIAL => {
            modem.general.ip = IP_START;
            Ok(Answer::Ok)
        }
        Form::Execute | Form::Set(_) => Err(Answer::Cme(NOT_ALLOWED)),
        Form::Test => Ok(Answer::Ok),
        Form::Read => Err(Answer::Error),
    }
}

fn bring_up(modem: &mut Modem, form: &Form) -> Outcome {
    executed(form, Answer::Ok)?;
    if modem.general.ip != IP_START {
        return Err(Answer::Cme(NOT_ALLOWED));
    }
    if !modem.has_bearer() {
        // SEEN on an Air780EPV.
        modem.interject("+PDP: DEACT");
        return Err(Answer::Cme(OTHER));
    }
    modem.general.ip = IP_GPRSACT;
    Ok(Answer::Ok)
}

/// A bare address without OK (SEEN).
fn local_address(modem: &mut Modem, form: &Form) -> Outcome {
    executed(form, Answer::Ok)?;
    if modem.general.ip == IP_INITIAL || !modem.has_bearer() {
        return Err(Answer::Cme(OTHER));
    }
    modem.general.ip = IP_STATUS;
    Ok(Answer::Instead(modem.config.address.clone()))
}

fn connection_status(modem: &mut Modem, form: &Form) -> Outcome {
    executed(form, Answer::Then(format!("STATE: {}", modem.general.ip)))
}

/// Closes everything, the MQTT link included, without another word.
fn shut(modem: &mut Modem, form: &Form) -> Outcome {
    executed(form, Answer::Ok)?;
    modem.general.ip = IP_INITIAL;
    modem.abort();
    Ok(match modem.config.quirks.has(Quirk::CipshutOk) {
        true => Answer::Ok,
        false => Answer::Instead("SHUT OK".into()),
    })
}

fn multiplex(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Read => {
            let on = u8::from(modem.general.multiplexed);
            Ok(Answer::Lines(vec![format!("+CIPMUX: {on}")]))
        }
        Form::Test => Ok(Answer::Lines(vec!["+CIPMUX: (0,1)".into()])),
        Form::Set(arguments) => {
            let on = arguments.number(0, 0..=1).ok_or(Answer::Error)? == 1;
            // Only in the beginning; to set what is set already is harmless.
            if on != modem.general.multiplexed && modem.general.ip != IP_INITIAL {
                return Err(Answer::Cme(NOT_ALLOWED));
            }
            modem.general.multiplexed = on;
            Ok(Answer::Ok)
        }
        Form::Execute => Err(Answer::Error),
    }
}

// ---- the module -------------------------------------------------------------------------------

fn clock(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Read => Ok(Answer::Lines(vec![format!("+CCLK: \"{}\"", modem.general.clock)])),
        Form::Set(arguments) => {
            modem.general.clock = arguments.text(0).ok_or(Answer::Error)?.to_owned();
            Ok(Answer::Ok)
        }
        Form::Test => Ok(Answer::Ok),
        Form::Execute => Err(Answer::Error),
    }
}

fn function(modem: &mut Modem, form: &Form) -> Outcome {
    let arguments = match form {
        Form::Read => {
            return Ok(Answer::Lines(vec![format!("+CFUN: {}", modem.general.cfun)]));
        }
        form => set(form, || vec!["+CFUN: (0,1,4),(0,1)".into()])?,
    };
    let level = arguments.number(0, 0..=4).filter(|n| [0, 1, 4].contains(n));
    let level = level.ok_or(Answer::Error)?;
    if arguments.number_or(1, 0, 0..=1).ok_or(Answer::Error)? == 1 {
        return reset(modem, &Form::Execute);
    }
    match (std::mem::replace(&mut modem.general.cfun, level), level) {
        (1, 0 | 4) => {
            // SEEN: this line right after the OK, and no word of the connection.
            modem.general.registered = false;
            modem.bearer_goes_after_ok("+CGEV: ME DETACH");
            Ok(Answer::Ok)
        }
        (0 | 4, 1) => {
            modem.seek_network(modem.ok_at(), modem.config.delays.cfun + modem.config.delays.radio);
            Ok(Answer::Later(modem.config.delays.cfun))
        }
        _ => Ok(Answer::Ok),
    }
}

/// The deepest mode leaves the network (SEEN), every other one has it. Nothing sleeps here.
fn power_mode(modem: &mut Modem, form: &Form) -> Outcome {
    let arguments = set(form, || vec!["+POWERMODE: (\"PRO\",\"STD\",\"PSM+\",\"CLOSE\")".into()])?;
    let mode = arguments.text(0).ok_or(Answer::Error)?;
    if !["PRO", "STD", "PSM+", "CLOSE"].contains(&mode) {
        return Err(Answer::Error);
    }
    let up = mode != "PSM+";
    if up != modem.general.network_up {
        modem.port.set_timer(modem.ok_at(), Timer::Service(up));
    }
    Ok(Answer::Ok)
}

fn reset(modem: &mut Modem, form: &Form) -> Outcome {
    executed(form, Answer::Ok)?;
    let at = modem.ok_at() + modem.config.delays.reset.max(1);
    modem.port.set_timer(at, Timer::Restart);
    Ok(Answer::Ok)
}

fn power_down(modem: &mut Modem, form: &Form) -> Outcome {
    set(form, || vec!["+CPOWD: (0,1)".into()])?;
    let at = modem.ok_at() + modem.config.delays.reset.max(1);
    modem.port.set_timer(at, Timer::PowerDown);
    Ok(Answer::Instead("NORMAL POWER DOWN".into()))
}

impl Modem {
    pub(super) fn plain_setting(&mut self, command: &Command) -> Answer {
        let Some(value) = self.general.plain.get_mut(&command.name) else {
            return Answer::Error;
        };
        match &command.form {
            Form::Read => Answer::Lines(vec![format!("{}: {value}", command.name)]),
            Form::Test => Answer::Ok,
            Form::Set(arguments) => {
                *value = arguments.raw();
                Answer::Ok
            }
            Form::Execute => Answer::Error,
        }
    }

    pub(super) fn is_early(&self) -> bool {
        self.port.now < self.general.early_until
    }

    pub(super) fn found_running(&mut self) {
        self.general.registered = self.can_register();
    }

    pub(super) fn is_ready(&mut self) {
        self.power = Power::On;
        self.port.deaf = false;
        let quirks = self.config.quirks;
        if !quirks.has(Quirk::QuietBoot) {
            self.interject("RDY");
            if quirks.has(Quirk::RdyTwice) {
                self.port.set_timer(self.port.now + 700, Timer::ReadyAgain);
            }
        }
        if quirks.has(Quirk::EarlyCme4) {
            self.general.early_until = self.port.now + EARLY;
        }
        self.seek_network(self.port.now, self.delays().registration);
    }

    /// Starts the search for a network, if there is a radio, a SIM and a network.
    fn seek_network(&mut self, from: u64, delay: u64) {
        self.port.drop_timers(|timer| *timer == Timer::Registered);
        self.port.set_timer(from + delay, Timer::Registered);
    }

    fn can_register(&self) -> bool {
        let general = &self.general;
        let welcome =
            matches!(self.config.registration, Registration::Home | Registration::Roaming);
        let sim = general.pin_open && self.config.sim != Sim::Absent;
        sim && welcome && general.cfun == 1 && general.network_up
    }

    /// SEEN on an Air780E: service, bearer, and a little later the time.
    pub(super) fn registered(&mut self) {
        if self.general.registered || !self.can_register() {
            return;
        }
        self.general.registered = true;
        self.general.bearer = true;
        self.registration_urcs();
        self.interject("^MODE: 17,17");
        self.interject("+E_UTRAN Service");
        self.interject("+CGEV: ME PDN ACT 1,0");
        let at = self.port.now + self.config.delays.network_time;
        self.port.set_timer(at, Timer::NetworkTime);
    }

    pub(super) fn network_time(&mut self) {
        let quirks = self.config.quirks;
        let year = if quirks.has(Quirk::NitzShortYear) { "26" } else { "2026" };
        let summer = if quirks.has(Quirk::NitzEmptyField) { " " } else { "0" };
        self.interject(&format!("+NITZ: {year}/11/20,12:00:00+32,{summer}"));
    }

    /// With mode 2 the cell is told as well; the first number of the answer is left out.
    fn registration_urcs(&mut self) {
        for (kind, name) in REGISTRATION_NAMES.into_iter().enumerate() {
            let mode = self.general.registration_urcs[kind];
            let cell = if mode == 2 && self.general.registered { CELL } else { "" };
            if mode > 0 {
                self.interject(&format!("{name}: {}{cell}", self.registration_state()));
            }
        }
    }

    fn registration_state(&self) -> u8 {
        match (self.config.registration, self.general.registered) {
            (Registration::Home, true) => 1,
            (Registration::Roaming, true) => 5,
            _ if self.general.cfun != 1 => 0,
            (Registration::Denied, _) => 3,
            _ => 2,
        }
    }

    /// Whether packets can flow. The default bearer comes with registration.
    pub(super) fn has_bearer(&self) -> bool {
        let general = &self.general;
        general.registered && general.attached && general.bearer
    }

    pub(super) fn network_changes(&mut self, up: bool) {
        self.general.network_up = up;
        if self.power != Power::On {
            return;
        }
        if up {
            return self.seek_network(self.port.now, self.config.delays.radio);
        }
        if self.general.registered {
            self.general.registered = false;
            self.registration_urcs();
        }
        // SEEN when a low power mode left the network.
        self.interject("^MODE: 0,0");
        self.interject("+NO Service");
        self.bearer_is_lost();
    }

    /// The bearer is gone, and the connection with it: often this line is all there is to see.
    pub(super) fn bearer_is_lost(&mut self) {
        const SPELLINGS: [&str; 3] = ["+PDP DEACT", "+PDP: DEACT", "+PDP:DEACT"];
        let quirks = self.config.quirks;
        let line = if quirks.has(Quirk::PdpDeact) {
            SPELLINGS[self.general.losses % SPELLINGS.len()]
        } else {
            "+CGEV: NW PDN DEACT 1"
        };
        self.general.losses += 1;
        match quirks.has(Quirk::GluedSimLine) {
            true => self.interject(&format!("+CPIN: SIM REMOVED 0{line}")),
            false => self.interject(line),
        }
        self.connection_dies();
    }

    fn bearer_goes_after_ok(&mut self, line: &'static str) {
        self.port.set_timer(self.ok_at(), Timer::Line(line));
        self.connection_dies();
    }
}
