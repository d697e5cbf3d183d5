//! What the driver knows of the modem, and how its scripts use and learn it.
//! The manuals' short names are those of `lines.rs`.

use bitflags::bitflags;
use hayes::{
    FileKind, Operation, Verb,
    at::{
        command::{Arg, Field, Scope, Writer, fingerprint},
        dialect::{Dialect, ResultRow, Uncounted, Urc, UrcRow},
        framer::Mark,
        line::{Line, Value, contains, unsigned},
        registration::Registrations,
        report::Report,
        script::{Answer, Program, Then},
        tls::ForTls,
    },
    mqtt::{
        Assurance, Capabilities, Cause, Code, Credential, Error, Feature, Field as FieldName,
        FieldError, Limits, Loss, Problem, QoS, Refusal, SimState, Status, Text,
    },
};

use crate::{AuthOrder, Family, Settings, codes, lines, scripts};

bitflags! {
    /// What this firmware was found to have.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Features: u8 {
        /// The test commands were asked.
        const PROBED = 1;
        /// ACCQ takes the version of MQTT (A300).
        const ACQUIRE_VERSION = 1 << 1;
        /// CFG takes the version of MQTT (A109, A767).
        const CONFIG_VERSION = 1 << 2;
        /// SUBTOPIC collects filters; missing on SIM767xx (seen).
        const TWO_STEP = 1 << 3;
        /// checkUTF8=0 was accepted: payloads may be any bytes.
        const BINARY = 1 << 4;
    }
}

/// What is to be written of the access point that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The modem has it already, or none was asked for; credentials at most.
    Kept,
    /// All of it.
    Differs,
    /// Nothing more.
    Written,
}

/// The modem's MQTT service, which outlives a restart of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Not known: this host has just started.
    Unknown,
    Stopped,
    Started,
    /// Started once and lost its network: must be stopped and started.
    Broken,
}

/// One of its two clients.
#[derive(Clone, Copy, Debug, Default)]
struct Client {
    acquired: bool,
    /// As the modem said last.
    connected: bool,
}

/// What the test commands told of its limits; 0 if nothing.
#[derive(Clone, Copy, Debug)]
struct Told {
    client_id: u16,
    /// Least and most.
    keep_alive: (u16, u16),
    topic: u16,
    payload: u16,
}

/// What is known of the files on it.
#[derive(Clone, Copy, Debug)]
struct Files {
    /// The one that the operation is about.
    wanted: Option<(FileKind, u64)>,
    found: bool,
    /// Those of this kind may hold what a broken upload left, by [`FileKind`].
    damaged: [bool; 3],
}

impl Files {
    /// Whether the one wanted may hold what a broken upload left.
    fn damage(&mut self) -> Option<&mut bool> {
        self.damaged.get_mut(self.wanted?.0 as usize)
    }
}

/// A SIMCom modem with the CMQTT commands.
#[derive(Debug)]
pub struct Simcom {
    settings: Settings,
    family: Family,
    told: Told,
    pub(crate) features: Features,
    pub(crate) service: Service,
    clients: [Client; 2],
    /// ACCQ has been tried again already.
    reacquired: bool,
    auth_mode: u8,
    pub(crate) numeric_errors: bool,
    /// It has told its model.
    pub(crate) named: bool,
    pub(crate) report: Report,
    pub(crate) sim: SimState,
    pub(crate) has_pin: bool,
    pub(crate) access: Access,
    apn_print: u32,
    pub(crate) registrations: Registrations,
    pub(crate) bearer: bool,
    session: u8,
    files: ForTls<Files>,
    /// A payload may have been entered and not published: an empty message,
    /// for which none is entered, would go out with it.
    pub(crate) payload_left: bool,
}

impl Simcom {
    /// A modem of which nothing is known yet.
    pub(crate) const fn new(settings: Settings) -> Self {
        Self {
            family: settings.family,
            told: Told { client_id: 0, keep_alive: (0, 0), topic: 0, payload: 0 },
            settings,
            features: Features::empty(),
            service: Service::Unknown,
            clients: [Client { acquired: false, connected: false }; 2],
            reacquired: false,
            auth_mode: 0,
            numeric_errors: false,
            named: false,
            report: Report::NOTHING,
            sim: SimState::Unknown,
            has_pin: false,
            access: Access::Kept,
            apn_print: 0,
            registrations: Registrations::UNKNOWN,
            bearer: false,
            session: 0,
            files: ForTls::new(Files { wanted: None, found: false, damaged: [false; 3] }),
            payload_left: false,
        }
    }

    /// The family, as given or as identified.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Everything that a restart makes void.
    pub(crate) fn forget(&mut self) {
        self.numeric_errors = false;
        self.service = Service::Unknown;
        self.clients = [Client::default(); 2];
        self.registrations = Registrations::UNKNOWN;
        self.sim = SimState::Unknown;
        self.bearer = false;
        self.report.note(|status| status.address = None);
    }

    fn client(&mut self) -> Option<&mut Client> {
        self.clients.get_mut(usize::from(self.session))
    }

    // ---- what the scripts ask ------------------------------------------

    pub(crate) fn may_be_connected(&self, session: u8) -> bool {
        self.clients.get(usize::from(session)).is_some_and(|client| client.connected)
    }

    pub(crate) fn may_be_acquired(&self, session: u8) -> bool {
        let acquired = self.clients.get(usize::from(session)).is_some_and(|c| c.acquired);
        acquired || self.service == Service::Unknown
    }

    pub(crate) fn is_any_acquired(&self) -> bool {
        self.clients.iter().any(|client| client.acquired)
    }

    pub(crate) fn has_file(&self) -> bool {
        self.files.get().is_some_and(|files| files.found)
    }

    pub(crate) fn in_two_steps(&self, scope: &Scope<'_>) -> bool {
        let several = matches!(scope.operation, Operation::Subscribe(filters) if filters.len() > 1);
        several && self.features.contains(Features::TWO_STEP)
    }

    pub(crate) fn differs(&self, _: &Scope<'_>) -> bool {
        self.access == Access::Differs
    }

    pub(crate) fn authenticates(&self, scope: &Scope<'_>, order: AuthOrder) -> bool {
        let due = self.access != Access::Written && scope.has(Arg::ApnAuth);
        due && self.settings.auth_order == Some(order)
    }

    // ---- what the answers tell -----------------------------------------

    /// Another mode than the one set means that the modem restarted.
    pub(crate) fn cmee(&mut self, line: &Line<'_>) {
        if line.name == b"+CMEE" {
            self.numeric_errors = line.fields().unsigned() == Some(1);
        }
    }

    /// `SIMCOM_SIM7600E`, `A7670E-FASE`; some with their name before it.
    pub(crate) fn model(&mut self, line: &Line<'_>) {
        let name = if line.text().is_empty() { line.raw } else { line.text() };
        let name = name.strip_prefix(b"SIMCOM_").unwrap_or(name);
        self.named = true;
        self.report.note(|status| status.model = Text::from_ascii(name));
        if self.family == Family::Unknown {
            self.family = Family::of_model(name);
        }
    }

    /// `+CGMR: LE11B02SIM7600M21-A` (seen), `Revision:…`.
    pub(crate) fn firmware(&mut self, line: &Line<'_>) {
        let name = if line.text().is_empty() { line.raw } else { line.text() };
        self.report.note(|status| status.firmware = Text::from_ascii(name));
    }

    pub(crate) fn cpin(&mut self, line: &Line<'_>) {
        // Text without a name may come in between: `Call Ready`.
        if line.name != b"+CPIN" {
            return;
        }
        self.sim = match line.text() {
            b"READY" => SimState::Ready,
            b"SIM PIN" => SimState::Pin,
            _ => SimState::Locked,
        };
    }

    /// `+CGDCONT: 1,"IP","apn",…`
    pub(crate) fn context(&mut self, line: &Line<'_>) {
        let mut fields = line.fields();
        let apn = (fields.unsigned() == Some(1)).then(|| fields.nth(1)).flatten();
        if apn.is_some_and(|apn| fingerprint(apn.bytes()) == self.apn_print) {
            self.access = Access::Kept;
        }
    }

    /// `+CREG: n,stat[,…]`
    pub(crate) fn registration(&mut self, line: &Line<'_>) {
        let at = match line.name {
            b"+CREG" => 0,
            b"+CGREG" => 1,
            _ => 2,
        };
        self.registrations.note(at, line);
    }

    /// `+CGACT: 1,1`
    pub(crate) fn active(&mut self, line: &Line<'_>) {
        let mut fields = line.fields();
        if fields.unsigned() == Some(1) {
            self.bearer = fields.unsigned() == Some(1);
        }
    }

    /// `+CMQTTDISC: 0,0` means that client 0 *is* connected (A109; seen). That
    /// it answers at all means that the service runs.
    pub(crate) fn leftover(&mut self, line: &Line<'_>) {
        let mut fields = line.fields();
        let at = fields.unsigned().and_then(|at| usize::try_from(at).ok());
        let state = fields.unsigned();
        if let Some(client) = at.and_then(|at| self.clients.get_mut(at)) {
            client.connected = state == Some(0);
        }
    }

    /// Everything but START answers ERROR while the service is not started
    /// (A109, A767).
    pub(crate) fn asked(&mut self, answer: Answer) -> Then {
        match answer {
            Answer::Silence => return Then::Fail,
            Answer::Failed(_) => self.service = Service::Stopped,
            Answer::Ok => {}
        }
        Then::Next
    }

    pub(crate) fn released(&mut self, answer: Answer) -> Then {
        if let Some(client) = self.client() {
            *client = Client::default();
        }
        if answer == Answer::Silence { Then::Fail } else { Then::Next }
    }

    pub(crate) fn started(&mut self, answer: Answer) -> Then {
        match answer {
            Answer::Ok => {
                self.service = Service::Started;
                Then::Next
            }
            _ => Then::Fail,
        }
    }

    pub(crate) fn stopped(&mut self, answer: Answer) -> Then {
        match answer {
            Answer::Silence => return Then::Fail,
            Answer::Ok => self.service = Service::Stopped,
            Answer::Failed(_) => self.service = Service::Unknown,
        }
        Then::Next
    }

    pub(crate) fn acquired(&mut self, answer: Answer) -> Then {
        match answer {
            Answer::Ok => {
                self.service = Service::Started;
                self.payload_left = false;
                if let Some(client) = self.client() {
                    client.acquired = true;
                }
                Then::Next
            }
            Answer::Failed(Code::Vendor(19)) if !self.reacquired => {
                self.reacquired = true;
                Then::Goto(scripts::RELEASE)
            }
            // The service is not as was thought: look again, once.
            Answer::Failed(_) if !self.reacquired => {
                self.reacquired = true;
                self.service = Service::Unknown;
                Then::Goto(scripts::CONNECT)
            }
            _ => Then::Fail,
        }
    }

    /// `+CMQTTACCQ: (0-1),(1-128)[,(0-1)[,(3-4)]]`
    pub(crate) fn acquire_limits(&mut self, line: &Line<'_>) {
        if let Some(max) = upper_limit(line, 23) {
            self.told.client_id = narrow(max);
        }
        self.features.set(Features::ACQUIRE_VERSION, range(line, 3) == Some((3, 4)));
    }

    /// `+CMQTTCONNECT: (0-1),(9-256),(1-64800),(0-1)`
    pub(crate) fn connect_limits(&mut self, line: &Line<'_>) {
        let range = range(line, 2).filter(|(min, max)| *min <= 60 && *max >= 3_600);
        if let Some((min, max)) = range {
            self.told.keep_alive = (narrow(min), narrow(max));
        }
    }

    /// `+CMQTTTOPIC: (0-1),(1-1024)`
    pub(crate) fn topic_limits(&mut self, line: &Line<'_>) {
        if let Some(max) = upper_limit(line, 128) {
            self.told.topic = narrow(max);
        }
    }

    /// `+CMQTTPAYLOAD: (0-1),(1-10240)`
    pub(crate) fn payload_limits(&mut self, line: &Line<'_>) {
        if let Some(max) = upper_limit(line, 512) {
            self.told.payload = narrow(max);
        }
    }

    /// The keys that `AT+CMQTTCFG` takes.
    pub(crate) fn config_keys(&mut self, line: &Line<'_>) {
        if contains(line.raw, b"version") {
            self.features.insert(Features::CONFIG_VERSION);
        }
    }

    /// `+CCERTLIST: "ca-….pem"`
    pub(crate) fn certificate(&mut self, line: &Line<'_>) {
        let name = line.fields().next().map(Value::bytes).unwrap_or_default();
        let Some(files) = self.files.get_mut() else { return };
        if let Some((kind, hash)) = files.wanted {
            let sound = files.damaged.get(kind as usize) == Some(&false);
            files.found |= sound && Field::FileName(kind, hash).is_text(name);
        }
    }

    pub(crate) fn entered(&mut self, answer: Answer) -> Then {
        self.payload_left &= answer != Answer::Ok;
        if answer == Answer::Ok { Then::Next } else { Then::Fail }
    }

    pub(crate) fn stored(&mut self, answer: Answer) -> Then {
        let ok = answer == Answer::Ok;
        if let Some(damaged) = self.files.get_mut().and_then(Files::damage) {
            *damaged &= !ok;
        }
        if ok { Then::Next } else { Then::Fail }
    }

    fn begin_with_files(&mut self, scope: &Scope<'_>) {
        let Some(files) = self.files.get_mut() else { return };
        files.found = false;
        files.wanted = match scope.field(Arg::File) {
            Field::FileName(kind, hash) => Some((kind, hash)),
            _ => None,
        };
        self.auth_mode = match (scope.has(Arg::Verify), scope.has(Arg::Cert)) {
            (false, false) => 0,
            (true, false) => 1,
            (true, true) => 2,
            (false, true) => 3,
        };
    }

    fn refusal(&self, command: &'static str, code: Code) -> Refusal {
        let row = match code {
            Code::Vendor(number) => codes::CODES.find(number),
            _ => None,
        };
        let (name, cause) = match (row, code) {
            (Some(row), _) => row,
            (None, Code::Cme(10..=18 | 313)) => ("SIM", Cause::Sim),
            (None, Code::Cme(_)) => ("see 3GPP TS 27.007, 9.2", Cause::Unknown),
            (None, Code::None) if command == "+CMQTTACCQ" => {
                ("the MQTT service did not start", Cause::ServiceDown)
            }
            (None, Code::None) => ("no reason given", Cause::Unknown),
            (None, _) => ("not in the manual", Cause::Unknown),
        };
        Refusal { command, code, name, cause }
    }
}

/// The `n`th range of a test answer, counted from 0: `(1-128)` is (1, 128).
fn range(line: &Line<'_>, n: usize) -> Option<(u32, u32)> {
    let inside = line.text().split(|b| *b == b'(').nth(n.checked_add(1)?)?;
    let mut ends = inside.split(|b| *b == b')').next()?.split(|b| *b == b'-');
    Some((unsigned(ends.next()?)?, unsigned(ends.next()?)?))
}

/// The greatest length by the second range of a test answer. An answer that
/// does not begin with both sessions, or gives less than any manual, was
/// damaged on its way.
fn upper_limit(line: &Line<'_>, least: u32) -> Option<u32> {
    let (min, max) = range(line, 1)?;
    let sound = range(line, 0) == Some((0, 1)) && min == 1 && max >= least;
    sound.then_some(max)
}

fn narrow(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

impl Dialect for Simcom {
    const MARK: &'static Mark = &lines::MARK;
    const DATA_ECHO: bool = true;
    const LONGEST_DATA: u32 = 10_240;
    const URCS: &'static [UrcRow] = lines::URCS;
    const RESULTS: &'static [ResultRow] = lines::RESULTS;
    const PROGRAM: &'static Program<Self> = scripts::PROGRAM;

    /// `+IP ERROR: Network is already opened` answers `AT+NETOPEN`.
    fn is_information(_: &[u8], name: &[u8]) -> bool {
        name == b"+IP ERROR"
    }

    fn inline(line: &[u8]) -> Option<Urc<'_>> {
        lines::inline(line)
    }

    fn uncounted<'a>(line: &Line<'a>) -> Option<Uncounted<'a>> {
        lines::uncounted(line)
    }

    fn sync(fresh: bool) -> u8 {
        if fresh { scripts::SYNC } else { scripts::RESYNC }
    }

    fn script_of(&self, verb: Verb) -> u8 {
        match verb {
            Verb::BringUp => scripts::BRING_UP,
            Verb::Connect => scripts::CONNECT,
            Verb::Publish => scripts::PUBLISH,
            Verb::Subscribe => scripts::SUBSCRIBE,
            Verb::Unsubscribe => scripts::UNSUBSCRIBE,
            Verb::Disconnect => scripts::DISCONNECT,
            Verb::Status => scripts::STATUS,
            Verb::Store => scripts::STORE,
            Verb::Delete => scripts::DELETE,
        }
    }

    fn answer_ms(&self, line: &'static [u8], within_ms: u32) -> u32 {
        if line == scripts::PUBLISH_LINE {
            // The modem gives up by itself first, and says 17.
            return u32::from(self.settings.publish_timeout)
                .saturating_add(10)
                .saturating_mul(1000);
        }
        within_ms
    }

    fn patience_ms(&self, verb: Verb) -> u32 {
        match verb {
            Verb::BringUp => u32::from(self.settings.bring_up_timeout).saturating_mul(1000),
            _ => 30_000,
        }
    }

    fn numbers(&self) -> [u32; 4] {
        [
            self.settings.publish_timeout.into(),
            self.session.into(),
            self.features.contains(Features::ACQUIRE_VERSION).into(),
            self.auth_mode.into(),
        ]
    }

    fn capabilities(&self) -> Capabilities {
        let mut all = Capabilities::all().difference(Capabilities::WILL_RETAIN);
        if !cfg!(feature = "tls") {
            all.remove(Capabilities::TLS.union(Capabilities::FILES));
        }
        if self.features.contains(Features::PROBED) && !self.features.contains(Features::BINARY) {
            return all.difference(Capabilities::BINARY_PAYLOAD);
        }
        all
    }

    fn limits(&self) -> Limits {
        let mut limits = self.family.limits();
        let Told { client_id, keep_alive: (min, max), topic, payload } = self.told;
        if client_id > 0 {
            limits.client_id = client_id;
        }
        if max > 0 {
            limits.keep_alive_min = min;
            limits.keep_alive_max = max;
        }
        if topic > 0 {
            limits.topic = topic;
        }
        if payload > 0 {
            limits.payload = payload.into();
        }
        limits
    }

    fn assurance(&self, qos: QoS) -> Assurance {
        match qos {
            // Result 0 means: handed to the socket (A300).
            QoS::AtMostOnce => Assurance::HandedOver,
            _ => Assurance::BrokerAck,
        }
    }

    fn check(&self, scope: &Scope<'_>) -> Result<(), Error> {
        match scope.operation {
            Operation::Connect(_) => {
                if !matches!(scope.field(Arg::ClientId), Field::Bytes([_, ..])) {
                    return Err(problem(FieldName::ClientId, Problem::Empty));
                }
                if scope.has(Arg::WillTopic) && !scope.has(Arg::WillPayloadLen) {
                    return Err(problem(FieldName::WillPayload, Problem::Empty));
                }
                for file in [Arg::Ca, Arg::Cert, Arg::Key] {
                    if let Field::Bytes(name) = scope.field(file) {
                        check_file_name(name)?;
                    }
                }
                let (length, _) = Writer::measure(scripts::CONNECT_LINE, scope);
                FieldError::at_most(
                    FieldName::CommandLine,
                    self.family.limits().line.into(),
                    length,
                )?;
                Ok(())
            }
            Operation::BringUp(_) if scope.has(Arg::ApnAuth) => {
                match self.settings.auth_order {
                    Some(_) => Ok(()),
                    // The manuals disagree on the order of user and password.
                    None => Err(Error::Unsupported(Feature::Setting("AuthOrder"))),
                }
            }
            Operation::Status if !cfg!(feature = "status") => {
                Err(Error::Unsupported(Feature::Operation))
            }
            Operation::Delete(name) => check_file_name(name.as_bytes()),
            Operation::Store(file) => match file.content {
                Credential::Stored(name) => check_file_name(name.as_bytes()),
                Credential::Pem(_) => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn begin(&mut self, scope: &Scope<'_>) {
        self.session = scope.session;
        self.reacquired = false;
        self.begin_with_files(scope);
        if let Operation::BringUp(_) = scope.operation {
            self.has_pin = scope.has(Arg::Pin);
            self.access = if scope.has(Arg::Apn) { Access::Differs } else { Access::Kept };
            if let Field::Bytes(apn) = scope.field(Arg::Apn) {
                self.apn_print = fingerprint(apn);
            }
        }
    }

    fn explain(
        &self,
        command: &'static str,
        line: &'static [u8],
        code: Code,
    ) -> (Error, Option<Loss>) {
        if line.is_empty() {
            return (Error::Unsupported(Feature::EmptyPayload), None);
        }
        match (command, code) {
            ("+CPIN", _) if self.sim == SimState::Pin => return (Error::Pin("its PIN"), None),
            ("+CPIN", Code::None) if self.sim == SimState::Locked => {
                return (Error::Pin("its PUK or another code"), None);
            }
            ("+CEREG", _) => {
                return (Error::NotRegistered(self.registrations.best()), None);
            }
            ("+CSSLCFG", _) if cfg!(feature = "tls") => {
                return (Error::Unsupported(Feature::Setting(quoted(line))), None);
            }
            _ => {}
        }
        let loss = match code {
            // 9: network not opened; 11: no connection; 14: busy for longer
            // than the scripts wait.
            Code::Vendor(number @ (9 | 11 | 14)) => Some(Loss::Found(number)),
            _ => None,
        };
        (Error::Refused(self.refusal(command, code)), loss)
    }

    fn restarted(&mut self) {
        self.forget();
    }

    fn filled_up(&mut self) {
        if let Some(files) = self.files.get_mut() {
            files.damaged = [true; 3];
        }
    }

    fn unsure(&mut self) {
        self.payload_left = true;
        if self.service != Service::Broken {
            self.service = Service::Unknown;
        }
        if let Some(damaged) = self.files.get_mut().and_then(Files::damage) {
            *damaged = true;
        }
    }

    fn lost(&mut self, session: Option<u8>, service: bool, _: &[u8]) {
        if service {
            self.service = Service::Broken;
        }
        match session {
            Some(session) => {
                if let Some(client) = self.clients.get_mut(usize::from(session)) {
                    client.connected = false;
                }
            }
            None => self.bearer = false,
        }
    }

    fn status(&self) -> Status {
        Status {
            sim: self.sim,
            registration: self.registrations.best(),
            connected: Some(self.may_be_connected(self.session)),
            ..self.report.status()
        }
    }
}

fn problem(field: FieldName, problem: Problem) -> Error {
    FieldError { field, problem }.into()
}

/// 5 to 55 characters (the narrowest of the manuals) that end in `.pem` or
/// `.der` and cannot leave their quotes.
fn check_file_name(name: &[u8]) -> Result<(), Error> {
    if !cfg!(feature = "tls") {
        return Ok(());
    }
    FieldError::at_most(FieldName::FileName, 55, name.len())?;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"._-".contains(b);
    if let Some(byte) = name.iter().copied().find(|b| !plain(b)) {
        return Err(problem(FieldName::FileName, Problem::Forbidden(byte)));
    }
    if name.len() < 5 || !(name.ends_with(b".pem") || name.ends_with(b".der")) {
        return Err(problem(FieldName::FileName, Problem::Malformed));
    }
    Ok(())
}

/// The first quoted part of a template.
fn quoted(line: &'static [u8]) -> &'static str {
    let part = line.split(|b| *b == b'"').nth(1).unwrap_or_default();
    core::str::from_utf8(part).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> Simcom {
        Simcom::new(Settings::new())
    }

    fn hears(modem: &mut Simcom, hear: fn(&mut Simcom, &Line<'_>), line: &str) {
        hear(modem, &Line::parse(line.as_bytes()));
    }

    /// Names as `AT+CGMM` gives them, from the dialogues and the manuals' title
    /// pages.
    #[test]
    #[cfg(feature = "status")]
    fn the_model_tells_the_family_and_its_limits() {
        for (name, model, family, payload, keep_alive) in [
            ("SIMCOM_SIM7600E", "SIM7600E", Family::Sim7600, 10_240, 1),
            ("SIM7500A", "SIM7500A", Family::Sim7600, 10_240, 1),
            ("SIM7800SA", "SIM7800SA", Family::Sim7600, 10_240, 1),
            ("+CGMM: SIM7600G-H", "SIM7600G-H", Family::Sim7600, 10_240, 1),
            ("A7670E-FASE", "A7670E-FASE", Family::A76xx, 10_240, 1),
            ("SIM7670G", "SIM7670G", Family::Sim767xx, 4_096, 1),
            ("SIM7000G", "SIM7000G", Family::Unknown, 1_024, 60),
        ] {
            let mut modem = new();
            hears(&mut modem, Simcom::model, name);
            let limits = modem.limits();
            let found = (modem.family(), limits.payload, limits.keep_alive_min);
            assert_eq!(found, (family, payload, keep_alive), "{name}");
            assert_eq!(modem.status().model.as_str(), model);
        }
        let mut given = Simcom::new(Settings::new().family(Family::A76xx));
        hears(&mut given, Simcom::model, "SIM7670G");
        assert_eq!((given.family(), given.limits().payload), (Family::A76xx, 10_240));
    }

    /// 3GPP TS 27.007, 8.5 (CSQ), 10.1.23 (CGPADDR), 7.2 and 10.1.20 to 10.1.22
    /// (registration).
    #[test]
    #[cfg(feature = "status")]
    fn what_the_modem_says_is_its_status() {
        use hayes::mqtt::Registration;
        let mut modem = new();
        hears(&mut modem, Simcom::firmware, "+CGMR: LE11B02SIM7600M21-A");
        assert_eq!(modem.status().firmware.as_str(), "LE11B02SIM7600M21-A");
        hears(&mut modem, Simcom::firmware, "A110B05A7670M7");
        assert_eq!(modem.status().firmware.as_str(), "A110B05A7670M7");
        for (line, dbm) in [
            ("+CSQ: 0,99", Some(-113)),
            ("+CSQ: 20,99", Some(-73)),
            ("+CSQ: 31,0", Some(-51)),
            ("+CSQ: 99,99", None),
        ] {
            hears(&mut modem, |modem, line| modem.report.signal(line), line);
            assert_eq!(modem.status().signal_dbm, dbm, "{line}");
        }
        let known = Some(core::net::IpAddr::from([100, 111, 74, 74]));
        for (line, address) in [
            ("+CGPADDR: 1,100.111.74.74", known),
            ("+CGPADDR: 2,10.0.0.1", known),
            ("+CGPADDR: 1,36.9.137.138.1.2.3.4.5.6.7.8.9.10.11.12", None),
            ("+CGPADDR: 1,100.111.74.74", known),
            ("+CGPADDR: 1,0.0.0.0", None),
        ] {
            hears(&mut modem, |modem, line| modem.report.address(line), line);
            assert_eq!(modem.status().address, address, "{line}");
        }
        for (line, registration) in [
            ("+CREG: 0,2", Registration::Searching),
            ("+CGREG: 0,5", Registration::Roaming),
            ("+CREG: 0,3", Registration::Roaming),
            ("+CEREG: 0,1", Registration::Roaming),
            ("+CGREG: 0,0", Registration::Home),
            ("+CEREG: 0,0", Registration::Denied),
        ] {
            hears(&mut modem, Simcom::registration, line);
            assert_eq!(modem.status().registration, registration, "{line}");
        }
        for (line, sim) in [
            ("+CPIN: READY", SimState::Ready),
            ("+CPIN: SIM PIN", SimState::Pin),
            ("Call Ready", SimState::Pin),
            ("+CPIN: SIM PUK", SimState::Locked),
        ] {
            hears(&mut modem, Simcom::cpin, line);
            assert_eq!(modem.status().sim, sim, "{line}");
        }
        for (line, bearer) in [("+CGACT: 1,1", true), ("+CGACT: 2,0", true), ("+CGACT: 1,0", false)]
        {
            hears(&mut modem, Simcom::active, line);
            assert_eq!(modem.bearer, bearer, "{line}");
        }
    }

    /// 0 is connected, 1 is not (A109 18.2.14; seen).
    #[test]
    fn the_modem_says_which_of_its_clients_is_connected() {
        let mut modem = new();
        hears(&mut modem, Simcom::leftover, "+CMQTTDISC: 0,0");
        hears(&mut modem, Simcom::leftover, "+CMQTTDISC: 1,1");
        assert!(modem.may_be_connected(0) && !modem.may_be_connected(1));
        assert_eq!(modem.status().connected, Some(true));
        modem.lost(Some(1), false, b"");
        assert!(modem.may_be_connected(0));
        modem.lost(Some(0), false, b"+CMQTTCONNLOST: 0,1");
        assert_eq!(modem.status().connected, Some(false));
    }

    #[test]
    #[cfg(feature = "status")]
    fn a_restart_makes_void_what_was_known_of_the_network() {
        let mut modem = new();
        hears(&mut modem, Simcom::model, "SIM7600E");
        hears(&mut modem, Simcom::cpin, "+CPIN: READY");
        hears(&mut modem, Simcom::registration, "+CEREG: 0,1");
        modem.report.address(&Line::parse(b"+CGPADDR: 1,10.0.0.1"));
        hears(&mut modem, Simcom::leftover, "+CMQTTDISC: 0,0");
        modem.restarted();
        let model = Text::from_ascii(b"SIM7600E");
        let connected = Some(false);
        assert_eq!(modem.status(), Status { model, connected, ..Status::default() });
    }

    /// M18, A300 and A109, the test commands; then answers that were damaged on
    /// their way.
    #[test]
    fn the_modems_own_limits_replace_those_of_its_family() {
        let client_id = |modem: &Simcom| modem.limits().client_id.into();
        let topic = |modem: &Simcom| modem.limits().topic.into();
        let payload = |modem: &Simcom| modem.limits().payload;
        type Hear = fn(&mut Simcom, &Line<'_>);
        type Limit = fn(&Simcom) -> u32;
        let rows: [(Hear, &str, Limit, Option<u32>); 12] = [
            (Simcom::acquire_limits, "+CMQTTACCQ: (0-1),(1-23),(0-1)", client_id, Some(23)),
            (Simcom::acquire_limits, "+CMQTTACCQ: (0-1),(1-256)", client_id, Some(256)),
            (Simcom::acquire_limits, "+CMQTTACCQ: (0-1),(1-22)", client_id, None),
            (Simcom::acquire_limits, "+CMQTTACCQ: (0-1),(2-256)", client_id, None),
            (Simcom::acquire_limits, "+CMQTTACCQ: (0-),(1-256)", client_id, None),
            (Simcom::acquire_limits, "+CMQTTACCQ: 256", client_id, None),
            (Simcom::topic_limits, "+CMQTTTOPIC: (0-1),(1-512)", topic, Some(512)),
            (Simcom::topic_limits, "+CMQTTTOPIC: (0-1),(1-12)", topic, None),
            (Simcom::payload_limits, "+CMQTTPAYLOAD: (0-1),(1-4096)", payload, Some(4_096)),
            (Simcom::payload_limits, "+CMQTTPAYLOAD: (0-1),(1-512)", payload, Some(512)),
            (Simcom::payload_limits, "+CMQTTPAYLOAD: (0-1),(1-40)", payload, None),
            (Simcom::payload_limits, "+CMQTTPAYLOAD: (0-1),(-4096)", payload, None),
        ];
        for (hear, line, limit, told) in rows {
            let mut modem = Simcom::new(Settings::new().family(Family::A76xx));
            let before = limit(&modem);
            hears(&mut modem, hear, line);
            assert_eq!(limit(&modem), told.unwrap_or(before), "{line}");
        }
        for (line, limits) in [
            ("+CMQTTCONNECT: (0-1),(9-256),(60-64800),(0-1)", (60, 64_800)),
            ("+CMQTTCONNECT: (0-1),(9-256),(1-3600),(0-1)", (1, 3_600)),
            ("+CMQTTCONNECT: (0-1),(9-256),(0-70000),(0-1)", (0, u16::MAX)),
            ("+CMQTTCONNECT: (0-1),(9-256),(600-64800),(0-1)", (1, 64_800)),
            ("+CMQTTCONNECT: (0-1),(9-256),(5-648),(0-1)", (1, 64_800)),
        ] {
            let mut modem = Simcom::new(Settings::new().family(Family::A76xx));
            hears(&mut modem, Simcom::connect_limits, line);
            let Limits { keep_alive_min, keep_alive_max, .. } = modem.limits();
            assert_eq!((keep_alive_min, keep_alive_max), limits, "{line}");
        }
    }

    /// The fourth parameter of ACCQ (A300), or a key of CFG (A109).
    #[test]
    fn the_modem_says_where_it_takes_the_version_of_mqtt() {
        for (accq, cfg, expected) in [
            ("(0-1),(1-128),(0-1),(3-4)", "\"cid\",\"checkUTF8\"", Features::ACQUIRE_VERSION),
            ("(0-1),(1-128),(0-1)", "\"version\",\"checkUTF8\"", Features::CONFIG_VERSION),
            ("(0-1),(1-128)", "\"checkUTF8\"", Features::empty()),
        ] {
            let mut modem = new();
            hears(&mut modem, Simcom::acquire_limits, &std::format!("+CMQTTACCQ: {accq}"));
            hears(&mut modem, Simcom::config_keys, &std::format!("+CMQTTCFG: {cfg}"));
            assert_eq!(modem.features, expected);
            assert_eq!(modem.numbers()[2], u32::from(expected == Features::ACQUIRE_VERSION));
        }
    }

    /// 5 to 55 characters, `.pem` or `.der` (A767); other manuals allow longer ones.
    #[test]
    #[cfg(feature = "tls")]
    fn a_file_name_that_the_modem_would_not_take_is_refused() {
        let check = |operation: &Operation<'_>| {
            new().check(&Scope { operation, item: 0, session: 0, own: [0; 4], piece: 0 })
        };
        let longest = std::format!("{}.pem", "x".repeat(51));
        let too_long = std::format!("x{longest}");
        for (name, expected) in [
            ("a.pem", None),
            ("ca-1_x.der", None),
            (&longest, None),
            (&too_long, Some(Problem::TooLong { max: 55, actual: 56 })),
            (".pem", Some(Problem::Malformed)),
            ("", Some(Problem::Malformed)),
            ("ca.txt", Some(Problem::Malformed)),
            ("a\".pem", Some(Problem::Forbidden(b'"'))),
            ("a b.pem", Some(Problem::Forbidden(b' '))),
        ] {
            let expected = expected.map_or(Ok(()), |it| Err(problem(FieldName::FileName, it)));
            let content = Credential::Stored(name);
            let file = hayes::File { kind: FileKind::Ca, content };
            let options = hayes::mqtt::ConnectOptions::new("broker.example", 8883, "id").unwrap();
            let options = options.tls(hayes::mqtt::Tls::with_ca(content));
            assert_eq!(check(&Operation::Delete(name)), expected, "{name}");
            assert_eq!(check(&Operation::Store(&file)), expected, "{name}");
            assert_eq!(check(&Operation::Connect(&options)), expected, "{name}");
        }
    }

    #[test]
    fn a_failure_is_explained_by_what_is_known() {
        let explain = |sim, command, code| {
            let mut modem = new();
            modem.sim = sim;
            modem.explain(command, b"AT+X", code)
        };
        let pin = Error::Pin("its PIN");
        let puk = Error::Pin("its PUK or another code");
        assert_eq!(explain(SimState::Pin, "+CPIN", Code::Cme(16)), (pin, None));
        assert_eq!(explain(SimState::Locked, "+CPIN", Code::None), (puk, None));
        for (sim, command, code, cause, loss) in [
            (SimState::Ready, "+CPIN", Code::None, Cause::Unknown, None),
            (SimState::Locked, "+CPIN", Code::Cme(16), Cause::Sim, None),
            (SimState::Unknown, "+CPIN", Code::Cme(10), Cause::Sim, None),
            (SimState::Unknown, "+CPIN", Code::Cme(100), Cause::Unknown, None),
            (SimState::Ready, "+CMQTTACCQ", Code::None, Cause::ServiceDown, None),
            (SimState::Ready, "+CMQTTSTART", Code::None, Cause::Unknown, None),
            (SimState::Ready, "+CMQTTPUB", Code::Vendor(9), Cause::ServiceDown, Some(9)),
            (SimState::Ready, "+CMQTTPUB", Code::Vendor(11), Cause::NotConnected, Some(11)),
            (SimState::Ready, "+CMQTTPUB", Code::Vendor(14), Cause::Busy, Some(14)),
            (SimState::Ready, "+CMQTTPUB", Code::Vendor(12), Cause::InvalidArgument, None),
        ] {
            let (error, lost) = explain(sim, command, code);
            let Error::Refused(refusal) = error else { panic!("{command} {error:?}") };
            assert_eq!((refusal.code, refusal.cause), (code, cause), "{command}");
            assert_eq!(lost, loss.map(Loss::Found), "{command} {code}");
        }
        let (error, _) = new().explain("+CSSLCFG", b"AT+CSSLCFG=\"authmode\",0,1", Code::None);
        let named = error == Error::Unsupported(Feature::Setting("authmode"));
        assert_eq!(named, cfg!(feature = "tls"));
    }

    /// After CMQTTNONET the service must be stopped before it is started (A300
    /// 16.3), whatever else happened since.
    #[test]
    fn a_service_that_lost_its_network_stays_broken_until_it_is_stopped() {
        let mut modem = new();
        modem.lost(None, true, b"+CMQTTNONET");
        modem.unsure();
        assert_eq!(modem.service, Service::Broken);
        assert_eq!(modem.stopped(Answer::Ok), Then::Next);
        assert_eq!(modem.service, Service::Stopped);
        modem.unsure();
        assert_eq!(modem.service, Service::Unknown);
    }
}
