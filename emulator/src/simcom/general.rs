//! Everything that is not MQTT and not TLS: identity, SIM, radio, registration, bearer, socket
//! service, clock, reset. Knows the state of the module and of its radio.

use std::collections::BTreeMap;

use super::{
    Answer, Config, Family, Handler, INCORRECT_PASSWORD, Modem, NOT_SUBSCRIBED, Outcome, Power,
    Registration, SIM_BUSY, SIM_FAILURE, SIM_NOT_INSERTED, Sim, Timer,
};
use crate::Quirk;
use crate::command::{Command, Form};
use crate::port::framed;

pub(super) const COMMANDS: &[(&str, Handler)] = &[
    ("", |_, form| executed(form, Answer::Ok)),
    ("E", |modem, form| echo(modem, form, true)),
    ("E0", |modem, form| echo(modem, form, false)),
    ("E1", |modem, form| echo(modem, form, true)),
    ("V1", |_, form| executed(form, Answer::Ok)),
    ("Q0", |_, form| executed(form, Answer::Ok)),
    ("I", identification),
    ("+SIMCOMATI", identification),
    ("+CGMI", |modem, form| printed(form, modem.traits.manufacturer.to_owned())),
    ("+CGMM", |modem, form| printed(form, modem.traits.model.to_owned())),
    ("+CGMR", |modem, form| printed(form, format!("+CGMR: {}", modem.traits.revision))),
    ("+GSN", |modem, form| printed(form, modem.config.imei.clone())),
    ("+CGSN", |modem, form| printed(form, modem.config.imei.clone())),
    ("+CMEE", error_form),
    ("+CPIN", sim_pin),
    ("+CREG", |modem, form| registration(modem, form, 0)),
    ("+CGREG", |modem, form| registration(modem, form, 1)),
    ("+CEREG", |modem, form| registration(modem, form, 2)),
    ("+CSQ", signal),
    ("+CPSI", system_information),
    ("+CGDCONT", define_context),
    ("+CGAUTH", authentication),
    ("+CGACT", activate),
    ("+CGPADDR", bearer_address),
    ("+CGATT", attach),
    ("+NETOPEN", net_open),
    ("+NETCLOSE", net_close),
    ("+IPADDR", ip_address),
    ("+CCLK", clock),
    ("+CFUN", function),
    ("+CRESET", reset),
    ("+CPOF", power_off),
];

/// Settings that are remembered and have no effect here: name and value at start.
const PLAIN: &[(&str, &str)] = &[
    ("+CNMP", "2"),
    ("+CTZU", "0"),
    ("+CTZR", "0"),
    ("+CATR", "0"),
    ("+CSCLK", "0"),
    ("+CGEREP", "0,0"),
    ("+IFC", "0,0"),
    ("+IPR", "115200"),
    ("+CIPTIMEOUT", "120000,120000,120000"),
    ("+CSOCKSETPN", "1"),
];

const REGISTRATION_NAMES: [&str; 3] = ["+CREG", "+CGREG", "+CEREG"];

pub(super) struct State {
    pub echo: bool,
    pub cmee: u32,
    cfun: u32,
    network_up: bool,
    registered: bool,
    sim_read: bool,
    sim_asks: u32,
    pin_open: bool,
    registration_urcs: [u32; 3],
    attached: bool,
    bearer: bool,
    bearer_was_lost: bool,
    net_open: bool,
    /// Not volatile: number, type and APN of the contexts.
    contexts: BTreeMap<u32, (String, String)>,
    plain: BTreeMap<String, String>,
    clock: String,
}

impl State {
    pub fn new(config: &Config) -> Self {
        let sim_busy = config.quirks.has(Quirk::SimBusy);
        State {
            echo: true,
            // SEEN: 2 on a SIM7600EI, numbers on an A7608SA.
            cmee: if config.quirks.has(Quirk::NumericCme) { 1 } else { 2 },
            cfun: 1,
            network_up: true,
            registered: false,
            sim_read: false,
            sim_asks: if sim_busy { config.sim_busy_asks.max(3) } else { config.sim_busy_asks },
            pin_open: !matches!(config.sim, Sim::Pin(_)),
            registration_urcs: [0; 3],
            attached: true,
            bearer: true,
            bearer_was_lost: false,
            net_open: false,
            contexts: BTreeMap::from([(1, ("IP".into(), String::new()))]),
            plain: PLAIN.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            clock: config.clock.clone(),
        }
    }

    /// What a restart leaves: the contexts, and the world outside.
    pub fn after_restart(config: &Config, before: &State) -> Self {
        State {
            contexts: before.contexts.clone(),
            network_up: before.network_up,
            ..State::new(config)
        }
    }

    fn radio(&self) -> bool {
        self.cfun == 1
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

fn echo(modem: &mut Modem, form: &Form, on: bool) -> Outcome {
    modem.general.echo = on;
    executed(form, Answer::Ok)
}

fn identification(modem: &mut Modem, form: &Form) -> Outcome {
    let traits = &modem.traits;
    let lines = vec![
        format!("Manufacturer: {}", traits.manufacturer),
        format!("Model: {}", traits.model),
        format!("Revision: {}", traits.revision),
        format!("IMEI: {}", modem.config.imei),
        "+GCAP: +CGSM".into(),
    ];
    executed(form, Answer::Lines(lines))
}

fn error_form(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Read => Ok(Answer::Lines(vec![format!("+CMEE: {}", modem.general.cmee)])),
        Form::Test => Ok(Answer::Lines(vec!["+CMEE: (0-2)".into()])),
        Form::Set(arguments) => {
            modem.general.cmee = arguments.number(0, 0..=2).ok_or(Answer::Error)?;
            Ok(Answer::Ok)
        }
        Form::Execute => {
            modem.general.cmee = 0;
            Ok(Answer::Ok)
        }
    }
}

fn sim_pin(modem: &mut Modem, form: &Form) -> Outcome {
    sim_ready_for_questions(modem)?;
    match (form, &modem.config.sim) {
        (Form::Test, _) => Ok(Answer::Ok),
        (Form::Read, _) => {
            let state = if modem.general.pin_open { "READY" } else { "SIM PIN" };
            Ok(Answer::Lines(vec![format!("+CPIN: {state}")]))
        }
        (Form::Set(arguments), Sim::Pin(pin)) if !modem.general.pin_open => {
            if arguments.raw().trim_matches('"') != pin {
                return Err(Answer::Cme(INCORRECT_PASSWORD));
            }
            modem.general.pin_open = true;
            modem.set_timer(modem.port.now + modem.config.delays.sim, Timer::Ready("+CPIN: READY"));
            modem.seek_network();
            Ok(Answer::Ok)
        }
        _ => Err(Answer::Error),
    }
}

fn sim_ready_for_questions(modem: &mut Modem) -> Result<(), Answer> {
    if modem.config.sim == Sim::Absent {
        return Err(Answer::Cme(SIM_NOT_INSERTED));
    }
    if modem.general.sim_asks > 0 {
        modem.general.sim_asks -= 1;
        let last = modem.general.sim_asks == 0;
        return Err(Answer::Cme(if last { SIM_BUSY } else { SIM_FAILURE }));
    }
    if modem.general.sim_read { Ok(()) } else { Err(Answer::Cme(SIM_BUSY)) }
}

fn registration(modem: &mut Modem, form: &Form, kind: usize) -> Outcome {
    let name = REGISTRATION_NAMES[kind];
    match form {
        Form::Read => {
            let mode = modem.general.registration_urcs[kind];
            let mut line = format!("{name}: {mode},{}", modem.registration_state());
            if mode == 2 && modem.general.registered {
                line += ",\"309D\",\"081CB8F4\",7";
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
    let line = if modem.general.registered { "+CSQ: 20,99" } else { "+CSQ: 99,99" };
    match form {
        Form::Test => Ok(Answer::Lines(vec!["+CSQ: (0-31,99),(0-7,99)".into()])),
        form => executed(form, Answer::Lines(vec![line.into()])),
    }
}

fn system_information(modem: &mut Modem, form: &Form) -> Outcome {
    let line = match (modem.general.registered, modem.general.radio()) {
        (true, _) => {
            "+CPSI: LTE,Online,505-01,0x309D,136092930,257,EUTRAN-BAND3,1275,4,4,-178,-1185,-789,7"
        }
        (false, true) => "+CPSI: NO SERVICE,Online",
        (false, false) => "+CPSI: NO SERVICE,Low Power Mode",
    };
    if *form == Form::Read { Ok(Answer::Lines(vec![line.into()])) } else { Err(Answer::Error) }
}

fn define_context(modem: &mut Modem, form: &Form) -> Outcome {
    let contexts = &mut modem.general.contexts;
    match form {
        Form::Read => {
            let line = |(id, (kind, apn)): (&u32, &(String, String))| {
                format!("+CGDCONT: {id},\"{kind}\",\"{apn}\",\"0.0.0.0\",0,0,0,0")
            };
            Ok(Answer::Lines(contexts.iter().map(line).collect()))
        }
        Form::Set(arguments) => {
            let id = arguments.number(0, 1..=16).ok_or(Answer::Error)?;
            if arguments.len() == 1 {
                contexts.remove(&id);
                return Ok(Answer::Ok);
            }
            let kind = arguments.text(1).ok_or(Answer::Error)?;
            if !["IP", "IPV6", "IPV4V6", "PPP"].contains(&kind) {
                return Err(Answer::Error);
            }
            let apn =
                if arguments.len() > 2 { arguments.text(2).ok_or(Answer::Error)? } else { "" };
            contexts.insert(id, (kind.to_owned(), apn.to_owned()));
            Ok(Answer::Ok)
        }
        Form::Test => Ok(Answer::Lines(vec!["+CGDCONT: (1-16),\"IP\",,,(0-2),(0-4)".into()])),
        Form::Execute => Err(Answer::Error),
    }
}

/// User and password are taken and forgotten: no network asks for them here.
fn authentication(_: &mut Modem, form: &Form) -> Outcome {
    let Form::Set(arguments) = form else {
        return Err(Answer::Error);
    };
    arguments.number(0, 1..=16).ok_or(Answer::Error)?;
    arguments.number_or(1, 0, 0..=3).ok_or(Answer::Error)?;
    Ok(Answer::Ok)
}

fn activate(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Read => {
            let up = |id: &u32| u8::from(*id == 1 && modem.has_bearer());
            let line = |id: &u32| format!("+CGACT: {id},{}", up(id));
            Ok(Answer::Lines(modem.general.contexts.keys().map(line).collect()))
        }
        Form::Test => Ok(Answer::Lines(vec!["+CGACT: (0,1)".into()])),
        Form::Set(arguments) => {
            let on = arguments.number(0, 0..=1).ok_or(Answer::Error)? == 1;
            arguments.number_or(1, 1, 1..=16).ok_or(Answer::Error)?;
            if on && modem.config.apn_refused {
                modem.set_timer(modem.port.now + 1, Timer::Ready("+CGEV: ME PDN DEACT 1"));
                return Err(Answer::Cme(NOT_SUBSCRIBED));
            }
            modem.general.bearer = on;
            Ok(Answer::Ok)
        }
        Form::Execute => Err(Answer::Error),
    }
}

fn bearer_address(modem: &mut Modem, form: &Form) -> Outcome {
    let address = if modem.has_bearer() { modem.config.address.as_str() } else { "0.0.0.0" };
    let line = format!("+CGPADDR: 1,{address}");
    match form {
        Form::Execute | Form::Set(_) => Ok(Answer::Lines(vec![line])),
        Form::Test => Ok(Answer::Lines(vec!["+CGPADDR: (1)".into()])),
        Form::Read => Err(Answer::Error),
    }
}

fn attach(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Read => {
            let attached = u8::from(modem.general.attached && modem.general.registered);
            Ok(Answer::Lines(vec![format!("+CGATT: {attached}")]))
        }
        Form::Set(arguments) => {
            modem.general.attached = arguments.number(0, 0..=1).ok_or(Answer::Error)? == 1;
            Ok(Answer::Ok)
        }
        Form::Test => Ok(Answer::Lines(vec!["+CGATT: (0,1)".into()])),
        Form::Execute => Err(Answer::Error),
    }
}

fn net_open(modem: &mut Modem, form: &Form) -> Outcome {
    let open = modem.general.net_open;
    match form {
        Form::Read => Ok(Answer::Lines(vec![format!("+NETOPEN: {}", u8::from(open))])),
        Form::Execute if open => {
            Err(Answer::Refused("+IP ERROR: Network is already opened".into()))
        }
        Form::Execute => {
            modem.general.net_open = modem.has_bearer();
            let code = u8::from(!modem.general.net_open);
            Ok(Answer::Then(format!("+NETOPEN: {code}")))
        }
        _ => Err(Answer::Error),
    }
}

fn net_close(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Execute if !modem.general.net_open => Err(Answer::Refused("+NETCLOSE: 2".into())),
        Form::Execute => {
            modem.general.net_open = false;
            Ok(Answer::Then("+NETCLOSE: 0".into()))
        }
        _ => Err(Answer::Error),
    }
}

fn ip_address(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Execute if modem.general.net_open => {
            Ok(Answer::Lines(vec![format!("+IPADDR: {}", modem.config.address)]))
        }
        Form::Execute => Err(Answer::Refused("+IP ERROR: Network not opened".into())),
        _ => Err(Answer::Error),
    }
}

fn clock(modem: &mut Modem, form: &Form) -> Outcome {
    match form {
        Form::Read => Ok(Answer::Lines(vec![format!("+CCLK: \"{}\"", modem.general.clock)])),
        Form::Set(arguments) => {
            modem.general.clock = arguments.text(0).ok_or(Answer::Error)?.to_owned();
            Ok(Answer::Ok)
        }
        _ => Err(Answer::Error),
    }
}

fn function(modem: &mut Modem, form: &Form) -> Outcome {
    let arguments = match form {
        Form::Read => {
            return Ok(Answer::Lines(vec![format!("+CFUN: {}", modem.general.cfun)]));
        }
        Form::Test => return Ok(Answer::Lines(vec!["+CFUN: (0,1,4),(0,1)".into()])),
        Form::Set(arguments) => arguments,
        Form::Execute => return Err(Answer::Error),
    };
    let level = arguments.number(0, 0..=4).filter(|n| [0, 1, 4].contains(n));
    let level = level.ok_or(Answer::Error)?;
    if arguments.number_or(1, 0, 0..=1).ok_or(Answer::Error)? == 1 {
        return reset(modem, &Form::Execute);
    }
    let before = std::mem::replace(&mut modem.general.cfun, level);
    match (before, level) {
        (1, 1) => {}
        (1, _) => modem.radio_off(),
        (_, 1) => modem.seek_network(),
        _ => {}
    }
    Ok(Answer::Later(modem.config.delays.cfun))
}

fn reset(modem: &mut Modem, form: &Form) -> Outcome {
    let at = modem.time_of_reset();
    executed(form, Answer::Ok)?;
    modem.last_words(at);
    modem.set_timer(at, Timer::Restart);
    Ok(Answer::Ok)
}

fn power_off(modem: &mut Modem, form: &Form) -> Outcome {
    let at = modem.time_of_reset();
    executed(form, Answer::Ok)?;
    modem.port.out.unasked(at, framed("NORMAL POWER DOWN"));
    modem.set_timer(at, Timer::PowerDown);
    Ok(Answer::Ok)
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

    pub(super) fn found_running(&mut self) {
        self.general.sim_read = true;
        self.seek_network();
    }

    pub(super) fn boot_line(&mut self) {
        self.power = Power::On;
        self.port.deaf = false;
        self.interject(self.traits.ready);
        self.set_timer(self.port.now + self.config.delays.sim, Timer::SimRead);
    }

    /// The order of the lines is that of logs: SIM7600G (cold boot), A7670E.
    pub(super) fn sim_read(&mut self) {
        self.general.sim_read = true;
        match self.config.sim {
            Sim::Ready => self.interject("+CPIN: READY"),
            Sim::Pin(_) => self.interject("+CPIN: SIM PIN"),
            Sim::Absent => self.interject("+CPIN: SIM REMOVED"),
        }
        let ready = self.config.delays.ready;
        self.set_timer(self.port.now + ready, Timer::Ready("SMS DONE"));
        if self.config.family != Family::Sim7600 {
            self.set_timer(self.port.now + ready, Timer::Ready("+CGEV: EPS PDN ACT 1"));
        }
        self.set_timer(self.port.now + 2 * ready, Timer::Ready("PB DONE"));
        self.seek_network();
    }

    /// Starts the search for a network, if there is a radio, a SIM and a network.
    pub(super) fn seek_network(&mut self) {
        match self.delays().registration {
            0 => self.registered(),
            delay => self.set_timer(self.port.now + delay, Timer::Registered),
        }
    }

    pub(super) fn registered(&mut self) {
        let general = &self.general;
        let sim = general.sim_read && general.pin_open && self.config.sim != Sim::Absent;
        let welcome =
            matches!(self.config.registration, Registration::Home | Registration::Roaming);
        if self.power != Power::Off && sim && welcome && general.radio() && general.network_up {
            self.general.registered = true;
            self.registration_urcs();
            if std::mem::take(&mut self.general.bearer_was_lost) {
                self.interject("+CGEV: EPS PDN ACT 1");
            }
        }
    }

    fn registration_urcs(&mut self) {
        for (kind, name) in REGISTRATION_NAMES.into_iter().enumerate() {
            if self.general.registration_urcs[kind] > 0 {
                self.interject(&format!("{name}: {}", self.registration_state()));
            }
        }
    }

    fn registration_state(&self) -> u8 {
        match (self.config.registration, self.general.registered) {
            (Registration::Home, true) => 1,
            (Registration::Roaming, true) => 5,
            _ if !self.general.radio() => 0,
            (Registration::Denied, _) => 3,
            _ => 2,
        }
    }

    /// Whether packets can flow. The LTE default bearer comes with registration.
    pub(super) fn has_bearer(&self) -> bool {
        let general = &self.general;
        general.registered && general.attached && general.bearer
    }

    /// CFUN=4 prints these lines before its OK, and no CONNLOST (SEEN on an A76xx).
    fn radio_off(&mut self) {
        self.general.registered = false;
        self.general.net_open = false;
        self.general.bearer_was_lost = true;
        self.interject("+CGEV: ME DETACH");
        self.interject("+CGEV: NW PDN DEACT 1");
        self.network_is_gone(self.port.now, false);
    }

    pub(super) fn network_changes(&mut self, up: bool) {
        self.general.network_up = up;
        if up {
            return self.seek_network();
        }
        if self.general.registered {
            self.general.registered = false;
            self.registration_urcs();
        }
        self.general.bearer_was_lost = true;
        self.bearer_lines(self.port.now);
        self.interject("+CGEV: NW PDN DEACT 1");
        self.network_is_gone(self.port.now, true);
    }

    /// After the OK, whatever the delays are.
    fn time_of_reset(&self) -> u64 {
        self.port.now + self.config.delays.answer + self.config.delays.reset.max(1)
    }

    /// SEEN with CRESET while connected, after its OK and before the boot lines.
    fn last_words(&mut self, at: u64) {
        self.bearer_lines(at);
        self.network_is_gone(at, true);
    }

    fn bearer_lines(&mut self, at: u64) {
        if std::mem::take(&mut self.general.net_open) {
            self.port.out.unasked(at, framed("+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY"));
        }
    }
}
