//! What the driver knows of the modem, and how its scripts use and learn it.

use hayes::{
    Operation, Verb,
    at::{
        command::{Arg, Field, Scope, fingerprint},
        dialect::{Dialect, Ending, ResultRow, Urc, UrcRow},
        escape::escaped_len,
        framer::Mark,
        line::{Final, Line, Value, contains, unsigned},
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

use crate::{
    CipherSuite, Family, Publishing, Receiving, Settings, codes,
    lines::{self, is_one},
    scripts,
};

/// The modem's MQTT session, which outlives a restart of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    /// Not known, or known to be broken: to be torn down.
    Unknown,
    Closed,
    Open,
}

/// Why a connect failed, while what it left is cleared up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refused {
    /// By the broker, which MCONNECT asks; MIPSTART only opens the link.
    by_broker: bool,
    answer: Answer,
    closed: bool,
}

/// The length of a file as it is to be, and on the modem.
#[derive(Clone, Copy, Debug)]
struct FileLen {
    wanted: Option<u32>,
    found: Option<u32>,
}

/// A Luat modem with the standard AT firmware.
#[derive(Debug)]
pub struct Luat {
    settings: Settings,
    family: Family,
    /// What it is instead of a modem for this driver, by ATI.
    other: Option<&'static str>,
    /// The firmware has MPUBEX.
    counts: bool,
    /// The firmware has TLS.
    tls: bool,
    pub(crate) report: Report,
    pub(crate) session: Session,
    /// The teardown was tried already.
    torn_down: bool,
    refused: Option<Refused>,
    /// The link was closed since.
    closed: bool,
    /// The operation has neither a user nor a will.
    anonymous: bool,
    pub(crate) refuses_empty_user: bool,
    security: u8,
    /// The keep-alive is above 300 s.
    pub(crate) beats_slowly: bool,
    has_connect_mode: bool,
    /// MCONNECT fails without its third parameter.
    needs_connect_mode: bool,
    pub(crate) sim: SimState,
    pub(crate) has_pin: bool,
    /// The fingerprints of the access point wanted and of the one that the
    /// modem has, one over the other: 0 if it is the same.
    access: Option<u32>,
    pub(crate) registrations: Registrations,
    pub(crate) attached: bool,
    /// The bearer was released by the TCP layer.
    pub(crate) released: bool,
    pub(crate) has_messages: bool,
    file: ForTls<FileLen>,
}

impl Luat {
    /// A modem of which nothing is known yet.
    pub(crate) const fn new(settings: Settings) -> Self {
        Self {
            family: settings.family,
            settings,
            other: Some(UNNAMED),
            counts: true,
            tls: true,
            report: Report::NOTHING,
            session: Session::Unknown,
            torn_down: false,
            refused: None,
            closed: false,
            anonymous: false,
            refuses_empty_user: false,
            security: 0,
            beats_slowly: false,
            has_connect_mode: false,
            needs_connect_mode: false,
            sim: SimState::Unknown,
            has_pin: false,
            access: None,
            registrations: Registrations::UNKNOWN,
            attached: false,
            released: false,
            has_messages: false,
            file: ForTls::new(FileLen { wanted: None, found: None }),
        }
    }

    /// The family, as given or as identified.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    // ---- what the scripts ask ------------------------------------------

    pub(crate) fn is_known(&self) -> bool {
        self.other.is_none()
    }

    pub(crate) const fn wants_access(&self) -> bool {
        self.access.is_some()
    }

    pub(crate) fn offers(&self, suite: CipherSuite) -> bool {
        self.settings.cipher_suite == Some(suite)
    }

    /// Whether a payload goes out counted. The length of MPUBEX is 1 at least.
    pub(crate) fn counts(&self, scope: &Scope<'_>) -> bool {
        let chosen = self.settings.publishing == Publishing::Counted;
        chosen && self.counts && scope.has(Arg::PayloadLen)
    }

    pub(crate) fn fetches(&self) -> bool {
        self.settings.receiving == Receiving::Cached
    }

    pub(crate) fn has_other_file(&self) -> bool {
        self.file.get().is_some_and(|file| file.found.is_some()) && self.misses_file()
    }

    pub(crate) fn misses_file(&self) -> bool {
        self.file.get().is_some_and(|file| file.wanted.is_some() && file.wanted != file.found)
    }

    // ---- what the answers tell -----------------------------------------

    /// `AirM2M_780E_V1169_LTE_AT` (seen), `AirM2M_780EL_LTE_AT_MU`.
    pub(crate) fn identity(&mut self, line: &Line<'_>) {
        let name = line.raw;
        let other = OTHERS.iter().find(|(part, _)| contains(name, part.as_bytes()));
        if let Some((_, what)) = other {
            self.is_other(what);
            return;
        }
        let mut parts = name.split(|b| *b == b'_').skip_while(|part| *part != b"AirM2M").skip(1);
        let Some(model) = parts.next().filter(|_| parts.clone().any(|part| part.ends_with(b"AT")))
        else {
            self.is_other("its firmware is not AirM2M_…_LTE_AT");
            return;
        };
        self.other = None;
        self.report.note(|status| status.firmware = Text::from_ascii(name));
        let model = model.strip_prefix(b"Air").unwrap_or(model);
        let version = parts.clone().find_map(|part| unsigned(part.strip_prefix(b"V")?));
        let build = parts.last().unwrap_or_default();
        self.firmware_is(model, version.unwrap_or(0), build);
    }

    /// Lines of something else may come in between.
    fn is_other(&mut self, what: &'static str) {
        if !self.is_known() {
            self.other = Some(what);
        }
    }

    /// Sources: the vendor's change logs and firmware list.
    fn firmware_is(&mut self, model: &[u8], version: u32, build: &[u8]) {
        let starts = |names: &[&str]| names.iter().any(|name| model.starts_with(name.as_bytes()));
        // EC716S: MQTT and TLS are not in all of its builds.
        let small = is_one(model, &["780EL", "780ET", "700EC"]);
        let family = if starts(&["72", "82", "795"]) {
            Family::Air724
        } else if small {
            Family::Unknown
        } else if (2_000..10_000).contains(&version) {
            if version >= 2_015 { Family::V2015plus } else { Family::Air780e }
        } else if starts(&["780EP", "780EE"]) || (starts(&["780", "600"]) && version >= 1_149) {
            Family::Air780e
        } else {
            Family::Unknown
        };
        if self.settings.family == Family::Unknown {
            self.family = family;
        }
        // New with V907; V301846 sends the data back even without echo.
        self.counts = family != Family::Air724 || (version >= 907 && version != 301_846);
        self.tls = !small || is_one(build, &["MS"]);
        // Fixed in V1156 and V1006.
        let low_power = build.ends_with(b"LPAT") && (1..1_156).contains(&version);
        let el_mu =
            is_one(model, &["780EL"]) && is_one(build, &["MU"]) && (1..1_006).contains(&version);
        self.needs_connect_mode = low_power || el_mu;
        if small && is_one(build, &["FS", "FU"]) {
            self.other = Some("this build of its firmware has no MQTT");
        }
    }

    pub(crate) fn identified(&mut self, answer: Answer) -> Then {
        match answer {
            Answer::Ok if self.is_known() => Then::Next,
            Answer::Ok => Then::Retry { pause_ms: 500, tries: 2 },
            _ => Then::Fail,
        }
    }

    /// `+CGMM: "Air780E"`
    pub(crate) fn model(&mut self, line: &Line<'_>) {
        if let (b"+CGMM", Some(name)) = (line.name, line.fields().next()) {
            self.report.note(|status| status.model = Text::from_ascii(name.bytes()));
        }
    }

    pub(crate) fn cpin(&mut self, line: &Line<'_>) {
        if is_one(line.name, &["+CPIN"]) {
            let known = SIM.iter().find(|(text, _)| text.as_bytes() == line.text());
            self.sim = known.map_or(SimState::Locked, |(_, state)| *state);
        }
    }

    /// 10: not inserted.
    pub(crate) fn no_sim(&mut self, answer: Answer) -> Then {
        match answer {
            Answer::Silence => return Then::Fail,
            Answer::Failed(Code::Cme(10)) => self.sim = SimState::Absent,
            _ => {}
        }
        Then::Next
    }

    /// `+CREG: n,stat[,…]`
    pub(crate) fn registration(&mut self, line: &Line<'_>) {
        if let Some(at) = lines::REGISTRATION.iter().position(|name| name.as_bytes() == line.name) {
            self.registrations.note(at, line);
        }
    }

    /// `MODE:2`, `APN:iot`, `USR:`, `PWD:`, `AUTHMODE:0`, without a prefix.
    pub(crate) fn access_point(&mut self, line: &Line<'_>) {
        let text = line.text();
        let text = text.strip_prefix(b"\"").and_then(|t| t.strip_suffix(b"\"")).unwrap_or(text);
        let at = ACCESS.iter().position(|name| name.as_bytes() == line.name);
        if let (Some(at), Some(access)) = (at, &mut self.access) {
            *access ^= mixed(at, text);
        }
    }

    pub(crate) fn compared(&mut self, answer: Answer) -> Then {
        if answer == Answer::Silence {
            return Then::Fail;
        }
        if self.access == Some(0) {
            self.access = None;
        }
        Then::Next
    }

    pub(crate) fn set_access(&mut self, answer: Answer) -> Then {
        if answer != Answer::Ok {
            return Then::Fail;
        }
        self.access = None;
        self.attached = false;
        self.registrations = Registrations::UNKNOWN;
        Then::Next
    }

    pub(crate) fn attachment(&mut self, line: &Line<'_>) {
        if is_one(line.name, &["+CGATT"]) {
            self.attached = line.fields().unsigned() == Some(1);
        }
    }

    pub(crate) fn signal(&mut self, line: &Line<'_>) {
        if is_one(line.name, &["+CSQ"]) {
            self.report.signal(line);
        }
    }

    /// `+CGPADDR: 1,"10.126.200.230"`
    pub(crate) fn address(&mut self, line: &Line<'_>) {
        if is_one(line.name, &["+CGPADDR"]) {
            self.report.address(line);
        }
    }

    /// `+CCLK: "26/11/20,12:00:00+32"`
    pub(crate) fn clock(&mut self, line: &Line<'_>) {
        if let (b"+CCLK", Some(Value::Quoted(time))) = (line.name, line.fields().next()) {
            self.report.note(|status| status.clock = Text::from_ascii(time));
        }
    }

    /// `+MQTTSTATU :1` (seen): 0 offline, 1 connected, 2 without CONNECT yet.
    pub(crate) fn state(&mut self, line: &Line<'_>) {
        if line.name.starts_with(b"+MQTTSTATU") {
            let connected = line.fields().unsigned() == Some(1);
            self.report.note(|status| status.connected = Some(connected));
        }
    }

    /// `+MQTTMSGGET: 0,VALID`
    pub(crate) fn slot(&mut self, line: &Line<'_>) {
        let own = line.name == b"+MQTTMSGGET";
        self.has_messages |= own && line.fields().nth(1) == Some(Value::Bare(b"VALID"));
    }

    /// `+MCONNECT:(0-1),(1-65535)`, and maybe a third range.
    pub(crate) fn connect_ranges(&mut self, line: &Line<'_>) {
        self.has_connect_mode |= is_one(line.name, &["+MCONNECT"]) && line.fields().count() == 3;
    }

    pub(crate) fn configured(&mut self, answer: Answer) -> Then {
        self.refuses_empty_user = answer == Answer::Failed(Code::Cme(765)) && self.anonymous;
        if answer == Answer::Ok || self.refuses_empty_user { Then::Next } else { Then::Fail }
    }

    /// Whatever it answers, the link is closed then.
    pub(crate) fn closed(&mut self, answer: Answer) -> Then {
        if answer == Answer::Silence {
            return Then::Fail;
        }
        self.session = Session::Closed;
        Then::Next
    }

    pub(crate) fn opened(&mut self, answer: Answer) -> Then {
        self.session = Session::Open;
        match answer {
            Answer::Ok => Then::Next,
            Answer::Failed(Code::Vendor(lines::ALREADY) | Code::Cme(767)) if !self.torn_down => {
                self.tear_down()
            }
            _ => self.refuse(false, answer),
        }
    }

    pub(crate) fn connected(&mut self, answer: Answer) -> Then {
        match answer {
            Answer::Ok => {
                self.report.note(|status| status.connected = Some(true));
                Then::Next
            }
            Answer::Failed(Code::Cme(767)) if !self.torn_down => self.tear_down(),
            _ => self.refuse(true, answer),
        }
    }

    /// A link of an earlier life of this host, or one that is gone: once more
    /// from the start, once.
    fn tear_down(&mut self) -> Then {
        self.torn_down = true;
        self.closed = false;
        Then::Goto(scripts::TEAR_DOWN)
    }

    fn refuse(&mut self, by_broker: bool, answer: Answer) -> Then {
        self.refused = Some(Refused { by_broker, answer, closed: self.closed });
        Then::Goto(scripts::REFUSED)
    }

    pub(crate) fn file_size(&mut self, line: &Line<'_>) {
        if let (b"+FSFLSIZE", Some(file)) = (line.name, self.file.get_mut()) {
            file.found = line.fields().unsigned();
        }
    }

    pub(crate) fn stored(&mut self, answer: Answer) -> Then {
        if answer == Answer::Ok && !self.misses_file() { Then::Next } else { Then::Fail }
    }

    fn refusal(command: &'static str, code: Code) -> Refusal {
        let row = match code {
            Code::Cme(number) => codes::CODES.find(number),
            _ => None,
        };
        let (name, cause) = match (row, code) {
            (Some(row), _) => row,
            (None, Code::None) => ("no reason given", Cause::Unknown),
            (None, _) => ("not in the manual", Cause::Unknown),
        };
        Refusal { command, code, name, cause }
    }
}

impl Refused {
    fn error(self) -> Error {
        let Self { by_broker, answer, closed } = self;
        let command = if by_broker { "+MCONNECT" } else { "+MIPSTART" };
        let (name, cause) = match (by_broker, answer) {
            (_, Answer::Failed(Code::Vendor(lines::ALREADY))) => ("a link exists", Cause::Busy),
            (_, Answer::Failed(Code::Vendor(_))) => {
                ("no link; this modem does not tell why", Cause::Unreachable)
            }
            (true, Answer::Failed(Code::None)) => {
                ("refused by the broker; this modem does not tell why", Cause::Unknown)
            }
            (_, Answer::Silence) if closed => {
                ("closed by the broker; this modem does not tell why", Cause::ClosedByPeer)
            }
            (_, Answer::Silence) => return Error::NoResult(command),
            (_, Answer::Failed(code)) => return Luat::refusal(command, code).into(),
            (_, Answer::Ok) => ("no reason given", Cause::Unknown),
        };
        Refusal { command, code: Code::None, name, cause }.into()
    }
}

/// Firmware and modems that answer to some of the same commands, by a part of
/// their name.
const OTHERS: [(&str, &str); 4] = [
    ("LuatOS", "LuatOS, which has no AT commands; its firmware must be AirM2M_…_LTE_AT"),
    ("CT511", "DX-CT511, which answers the same commands otherwise"),
    ("CT01", "DX-CT01, which answers the same commands otherwise"),
    ("L501", "L501, which answers the same commands otherwise"),
];

/// What CPIN answers, where it is not another code that the SIM asks for.
const SIM: [(&str, SimState); 3] =
    [("READY", SimState::Ready), ("SIM PIN", SimState::Pin), ("SIM REMOVED", SimState::Absent)];

const UNNAMED: &str = "it does not say what it is";

const ACCESS: [&str; 5] = ["MODE", "APN", "USR", "PWD", "AUTHMODE"];

/// A part of the fingerprint of an access point, which no secret can be read from.
fn mixed(at: usize, text: &[u8]) -> u32 {
    let turn = u32::try_from(at).unwrap_or(0).wrapping_mul(13);
    fingerprint(text).rotate_left(turn)
}

impl Dialect for Luat {
    const MARK: &'static Mark = &lines::MARK;
    /// If a command that prompts ends in CR only, an LF as the first byte of
    /// its data is taken for part of the command (manual, CIPSEND).
    const TERMINATOR: &'static [u8] = b"\r\n";
    const DATA_ECHO: bool = false;
    const LONGEST_DATA: u32 = 10_240;
    const FILE_PIECE: u32 = 10_240;
    /// 5 s (manual, MPUBEX).
    const DATA_GAP_MS: u32 = 6_000;
    /// A message comes in one go, and `RDY` 1.3 s after power (seen): boot text
    /// must not complete a payload.
    const STALL_MS: u32 = 1_000;
    /// RDY was seen twice within a boot.
    const BOOT_MS: u32 = 5_000;
    const URCS: &'static [UrcRow] = lines::URCS;
    const RESULTS: &'static [ResultRow] = lines::RESULTS;
    const PROGRAM: &'static Program<Self> = scripts::PROGRAM;

    fn final_result(line: &[u8]) -> Option<Final<'_>> {
        lines::final_result(line)
    }

    fn result_word(command: &[u8], line: &[u8]) -> Option<i32> {
        lines::result_word(command, line)
    }

    fn is_information(command: &[u8], name: &[u8]) -> bool {
        lines::is_information(command, name)
    }

    fn urc_name(name: &[u8]) -> &[u8] {
        lines::urc_name(name)
    }

    fn ending(line: &[u8]) -> Ending {
        lines::ending(line)
    }

    fn record_name(name: &[u8]) -> &[u8] {
        name.strip_prefix(b"+").unwrap_or(name)
    }

    fn inline(line: &[u8]) -> Option<Urc<'_>> {
        lines::inline(line)
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

    fn fetch(&self) -> Option<u8> {
        Some(scripts::FETCH)
    }

    fn patience_ms(&self, verb: Verb) -> u32 {
        match verb {
            Verb::BringUp => u32::from(self.settings.bring_up_timeout).saturating_mul(1000),
            // The vendor gives an attachment two minutes.
            Verb::Connect => 120_000,
            _ => 30_000,
        }
    }

    fn numbers(&self) -> [u32; 4] {
        let slow = self.beats_slowly && self.has_connect_mode;
        [
            self.fetches().into(),
            slow.into(),
            self.security.into(),
            (slow || self.needs_connect_mode).into(),
        ]
    }

    fn capabilities(&self) -> Capabilities {
        let mut able = Capabilities::all().difference(Capabilities::SECOND_SESSION);
        if !self.tls || !cfg!(feature = "tls") {
            able.remove(Capabilities::TLS);
        }
        if !cfg!(feature = "tls") {
            able.remove(Capabilities::FILES);
        }
        if !self.counts || self.settings.publishing == Publishing::Escaped {
            able.remove(Capabilities::BINARY_PAYLOAD);
        }
        able
    }

    fn limits(&self) -> Limits {
        self.family.limits()
    }

    fn assurance(&self, qos: QoS) -> Assurance {
        match qos {
            QoS::AtMostOnce => Assurance::HandedOver,
            _ => Assurance::BrokerAck,
        }
    }

    fn check(&self, scope: &Scope<'_>) -> Result<(), Error> {
        let filters = match scope.operation {
            Operation::Subscribe(filters) => filters.len(),
            Operation::Unsubscribe(filters) => filters.len(),
            _ => 1,
        };
        for item in 0..u8::try_from(filters).unwrap_or(u8::MAX) {
            check_fields(&Scope { item, ..*scope })?;
        }
        match scope.operation {
            Operation::Connect(_) => check_connect(scope),
            Operation::Publish(publish) if !self.counts(scope) => self.check_text(publish.payload),
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
        self.torn_down = false;
        self.refused = None;
        self.closed = false;
        self.refuses_empty_user = false;
        self.has_messages = false;
        self.anonymous = !scope.has(Arg::User) && !scope.has(Arg::WillTopic);
        self.security = match (scope.has(Arg::Verify), scope.has(Arg::Cert)) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => 2,
        };
        self.beats_slowly = match scope.field(Arg::KeepAlive) {
            Field::Number(seconds) => seconds > 300,
            _ => false,
        };
        if let Some(file) = self.file.get_mut() {
            file.found = None;
            file.wanted = match scope.field(Arg::FileLen) {
                Field::Number(len) => Some(len),
                _ => None,
            };
        }
        self.access = None;
        if let Operation::BringUp(_) = scope.operation {
            self.has_pin = scope.has(Arg::Pin);
            self.access = scope.has(Arg::Apn).then(|| wanted_access(scope));
        }
    }

    fn explain(
        &self,
        command: &'static str,
        line: &'static [u8],
        code: Code,
    ) -> (Error, Option<Loss>) {
        if let Some(refused) = self.refused {
            return (refused.error(), None);
        }
        let error = match (command, code) {
            ("ATI", _) => Error::WrongModem(self.other.unwrap_or(UNNAMED)),
            ("+CPIN", _) if self.sim == SimState::Pin => Error::Pin("its PIN"),
            ("+CPIN", Code::None) if self.sim == SimState::Locked => {
                Error::Pin("its PUK or another code")
            }
            ("+CEREG" | "+CGATT", _) => Error::NotRegistered(self.registrations.best()),
            ("+SSLCFG", _) if cfg!(feature = "tls") => {
                Error::Unsupported(Feature::Setting(quoted(line)))
            }
            _ => Self::refusal(command, code).into(),
        };
        // Whatever the reason, this modem has no connection then.
        let found = matches!(command, "+MPUB" | "+MPUBEX" | "+MSUB" | "+MUNSUB");
        match code {
            Code::Cme(767) if found => (error, Some(Loss::Found(767))),
            _ => (error, None),
        }
    }

    fn restarted(&mut self) {
        self.session = Session::Unknown;
        self.registrations = Registrations::UNKNOWN;
        self.sim = SimState::Unknown;
        self.attached = false;
        self.released = false;
        self.report.note(|status| {
            status.address = None;
            status.connected = None;
        });
    }

    fn unsure(&mut self) {
        self.session = Session::Unknown;
    }

    fn lost(&mut self, session: Option<u8>, service: bool, line: &[u8]) {
        self.session = Session::Unknown;
        self.report.note(|status| status.connected = Some(false));
        match session {
            Some(_) => self.closed = true,
            None => {
                self.attached = false;
                self.released |= service && line.starts_with(b"+PDP");
            }
        }
    }

    fn status(&self) -> Status {
        Status { sim: self.sim, registration: self.registrations.best(), ..self.report.status() }
    }
}

impl Luat {
    /// What may go out between quotes with the escapes of MPUB. Control bytes
    /// but those that have an escape are not documented.
    fn check_text(&self, payload: &[u8]) -> Result<(), Error> {
        let odd = |b: &u8| b.is_ascii_control() && !b"\r\n".contains(b);
        if payload.iter().any(odd) {
            return Err(Error::Unsupported(Feature::BinaryPayload));
        }
        let len = if self.settings.escapes_count { escaped_len(payload) } else { payload.len() };
        Ok(FieldError::at_most(FieldName::Payload, self.limits().payload, len)?)
    }
}

/// The fields that stand between quotes. Whether their escapes are those of a
/// payload is not documented, so what would need one is refused.
const QUOTED: [(Arg, FieldName); 11] = [
    (Arg::ClientId, FieldName::ClientId),
    (Arg::Host, FieldName::Host),
    (Arg::User, FieldName::User),
    (Arg::Password, FieldName::Password),
    (Arg::WillTopic, FieldName::WillTopic),
    (Arg::WillPayload, FieldName::WillPayload),
    (Arg::Topic, FieldName::Topic),
    (Arg::Filter, FieldName::TopicFilter),
    (Arg::Apn, FieldName::Apn),
    (Arg::ApnUser, FieldName::ApnUser),
    (Arg::ApnPassword, FieldName::ApnPassword),
];

fn check_fields(scope: &Scope<'_>) -> Result<(), Error> {
    for (arg, field) in QUOTED {
        let Field::Bytes(bytes) = scope.field(arg) else { continue };
        let leaves = |b: &u8| b.is_ascii_control() || b"\"\\".contains(b);
        if let Some(byte) = bytes.iter().copied().find(leaves) {
            return Err(FieldError::forbidden(field, byte).into());
        }
        if matches!(arg, Arg::ApnUser | Arg::ApnPassword) {
            FieldError::at_most(field, 32, bytes.len())?;
        }
    }
    Ok(())
}

fn check_connect(scope: &Scope<'_>) -> Result<(), Error> {
    if let Field::Bytes([]) = scope.field(Arg::ClientId) {
        return Err(problem(FieldName::ClientId, Problem::Empty));
    }
    if scope.has(Arg::WillTopic) && !scope.has(Arg::WillPayloadLen) {
        return Err(problem(FieldName::WillPayload, Problem::Empty));
    }
    if scope.has(Arg::Tls) && scope.has(Arg::Cert) && !scope.has(Arg::Verify) {
        // seclevel has no value for it.
        return Err(Error::Unsupported(Feature::Setting("seclevel")));
    }
    for file in [Arg::Ca, Arg::Cert, Arg::Key] {
        if let Field::Bytes(name) = scope.field(file) {
            check_file_name(name)?;
        }
    }
    Ok(())
}

/// 1 to 64 characters (manual) that cannot leave their quotes.
fn check_file_name(name: &[u8]) -> Result<(), Error> {
    if !cfg!(feature = "tls") {
        return Ok(());
    }
    if name.is_empty() {
        return Err(problem(FieldName::FileName, Problem::Empty));
    }
    FieldError::at_most(FieldName::FileName, 64, name.len())?;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"._-/".contains(b);
    match name.iter().copied().find(|b| !plain(b)) {
        Some(byte) => Err(problem(FieldName::FileName, Problem::Forbidden(byte))),
        None => Ok(()),
    }
}

/// As CPNETAPN? would answer: mode 2 is a private access point.
fn wanted_access(scope: &Scope<'_>) -> u32 {
    let text = |arg| match scope.field(arg) {
        Field::Bytes(bytes) => bytes,
        _ => &[][..],
    };
    let auth: &[u8] = match scope.field(Arg::ApnAuth) {
        Field::Number(1) => b"1",
        Field::Number(2) => b"2",
        _ => b"0",
    };
    let parts = [b"2", text(Arg::Apn), text(Arg::ApnUser), text(Arg::ApnPassword), auth];
    parts.iter().enumerate().fold(0, |hash, (at, part)| hash ^ mixed(at, part))
}

fn problem(field: FieldName, problem: Problem) -> Error {
    FieldError { field, problem }.into()
}

/// The first quoted part of a template.
fn quoted(line: &'static [u8]) -> &'static str {
    let part = line.split(|b| *b == b'"').nth(1).unwrap_or_default();
    core::str::from_utf8(part).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hayes::mqtt::Registration;

    fn identified(name: &str) -> Luat {
        let mut modem = Luat::new(Settings::new());
        modem.identity(&Line::parse(name.as_bytes()));
        modem
    }

    /// Names from logs and change logs; limits and commands by family.
    #[test]
    fn the_firmware_tells_family_limits_and_commands() {
        for (name, family, payload, counts, tls) in [
            ("AirM2M_Air724UG_V409_LTE_AT", Family::Air724, 2_384, false, true),
            ("AirM2M_720U_V907_LTE_AT", Family::Air724, 2_384, true, true),
            ("AirM2M_720U_V301846_LTE_AT", Family::Air724, 2_384, false, true),
            ("AirM2M_720U_V401881_LTE_AT", Family::Air724, 2_384, true, true),
            ("AirM2M_780E_V1026_LTE_AT", Family::Unknown, 2_384, true, true),
            ("AirM2M_780E_V1169_LTE_AT", Family::Air780e, 4_100, true, true),
            ("AirM2M_780EPV_V1007_LTE_AT", Family::Air780e, 4_100, true, true),
            ("AirM2M_780EPM_V2007_LTE_AT", Family::Air780e, 4_100, true, true),
            ("AirM2M_700EAQ_V2019_LTE_AT", Family::V2015plus, 5_120, true, true),
            ("AirM2M_780EL_LTE_AT_MU", Family::Unknown, 2_384, true, false),
            ("AirM2M_780EL_V1006_LTE_AT_MS", Family::Unknown, 2_384, true, true),
        ] {
            let modem = identified(name);
            assert!(modem.is_known(), "{name}");
            let found = (modem.family(), modem.limits().payload, modem.counts, modem.tls);
            assert_eq!(found, (family, payload, counts, tls), "{name}");
        }
    }

    #[test]
    fn a_family_that_is_given_is_kept() {
        let mut modem = Luat::new(Settings::new().family(Family::V2015plus));
        modem.identity(&Line::parse(b"AirM2M_780E_V1026_LTE_AT"));
        assert_eq!((modem.family(), modem.limits().payload), (Family::V2015plus, 5_120));
    }

    #[test]
    fn old_firmware_gets_the_third_parameter_that_it_insists_on() {
        assert_eq!(identified("AirM2M_780E_V1150_LPAT").numbers()[3], 1);
        assert_eq!(identified("AirM2M_780E_V1156_LPAT").numbers()[3], 0);
        assert_eq!(identified("AirM2M_780EL_V1005_LTE_AT_MU").numbers()[3], 1);
        for name in ["780EL_V1006_LTE_AT_MU", "780EL_V1005_LTE_AT_MS", "780E_V1005_LTE_AT_MU"] {
            assert_eq!(identified(&std::format!("AirM2M_{name}")).numbers()[3], 0, "{name}");
        }
    }

    fn hears(modem: &mut Luat, hear: fn(&mut Luat, &Line<'_>), line: &str) {
        hear(modem, &Line::parse(line.as_bytes()));
    }

    fn scope<'a>(operation: &'a Operation<'a>) -> Scope<'a> {
        Scope { operation, item: 0, session: 0, own: [0; 4], piece: 0 }
    }

    /// Lines of the manual and of the dialogues, with others in between, which
    /// change nothing.
    #[test]
    #[cfg(feature = "status")]
    fn what_the_modem_says_is_its_status() {
        let mut modem = Luat::new(Settings::new());
        let at = |address: [u8; 4]| Some(core::net::IpAddr::from(address));
        for (line, address) in [
            ("+CGPADDR: 1,\"10.126.200.230\"", at([10, 126, 200, 230])),
            ("+CGPADDR: 2,\"10.0.0.1\"", at([10, 126, 200, 230])),
            ("+NITZ: 1,\"10.0.0.1\"", at([10, 126, 200, 230])),
            ("+CGPADDR: 1,\"0.0.0.0\"", None),
        ] {
            hears(&mut modem, Luat::address, line);
            assert_eq!(modem.status().address, address, "{line}");
        }
        for (line, registration) in [
            ("+CREG: 0,2", Registration::Searching),
            ("+CGREG: 0,5", Registration::Roaming),
            ("+CREG: 0,3", Registration::Roaming),
            ("+CEREG: 0,1", Registration::Roaming),
            ("+CGREG: 0,0", Registration::Home),
            ("+NITZ: 0,5", Registration::Home),
            ("+CEREG: 0,0", Registration::Denied),
        ] {
            hears(&mut modem, Luat::registration, line);
            assert_eq!(modem.status().registration, registration, "{line}");
        }
        for (line, sim) in [
            ("+CPIN: READY", SimState::Ready),
            ("+CPIN: SIM PIN", SimState::Pin),
            ("+CPIN: SIM PUK", SimState::Locked),
            ("+CPIN: SIM REMOVED", SimState::Absent),
            ("+NITZ: READY", SimState::Absent),
        ] {
            hears(&mut modem, Luat::cpin, line);
            assert_eq!(modem.status().sim, sim, "{line}");
        }
        for (line, connected) in [
            ("+MQTTSTATU :1", Some(true)),
            ("+MQTTSTATU :0", Some(false)),
            ("+MQTTSTATU :2", Some(false)),
            ("+NITZ: 1", Some(false)),
        ] {
            hears(&mut modem, Luat::state, line);
            assert_eq!(modem.status().connected, connected, "{line}");
        }
        for (line, attached) in [("+CGATT: 1", true), ("+NITZ: 0", true), ("+CGATT: 0", false)] {
            hears(&mut modem, Luat::attachment, line);
            assert_eq!(modem.attached, attached, "{line}");
        }
    }

    /// 10: SIM not inserted (manual, CME errors).
    #[test]
    fn a_missing_sim_is_no_failure_of_status() {
        for (answer, then, sim) in [
            (Answer::Failed(Code::Cme(10)), Then::Next, SimState::Absent),
            (Answer::Failed(Code::Cme(13)), Then::Next, SimState::Unknown),
            (Answer::Silence, Then::Fail, SimState::Unknown),
        ] {
            let mut modem = Luat::new(Settings::new());
            assert_eq!(modem.no_sim(answer), then);
            assert_eq!(modem.status().sim, sim);
        }
    }

    #[test]
    fn messages_wait_if_one_slot_is_valid() {
        for (lines, waits) in [
            (&["+MQTTMSGGET: 0,VALID", "+MQTTMSGGET: 1,INVALID"], true),
            (&["+MQTTMSGGET: 0,INVALID", "+MQTTMSGGET: 1,INVALID"], false),
            (&["+NITZ: 0,VALID", "+MQTTMSGGET: 1,INVALID"], false),
        ] {
            let mut modem = Luat::new(Settings::new());
            lines.iter().for_each(|line| hears(&mut modem, Luat::slot, line));
            assert_eq!(modem.has_messages, waits, "{lines:?}");
        }
    }

    /// Manual V1.6.7, MCONNECT: above 300 s its third parameter is needed; the
    /// firmware before it has none.
    #[test]
    fn a_slow_heart_beat_is_asked_for_where_the_modem_has_it() {
        for (seconds, ranges, third) in [
            (300, "+MCONNECT: (0-1),(1-65535),(0-1)", 0),
            (301, "+MCONNECT: (0-1),(1-65535),(0-1)", 1),
            (301, "+MCONNECT:(0-1),(1-65535)", 0),
            (301, "+NITZ: 1,2,3", 0),
        ] {
            let options = hayes::mqtt::ConnectOptions::new("broker.example", 1883, "id").unwrap();
            let options = options.keep_alive(seconds);
            let mut modem = Luat::new(Settings::new());
            modem.begin(&scope(&Operation::Connect(&options)));
            hears(&mut modem, Luat::connect_ranges, ranges);
            hears(&mut modem, Luat::connect_ranges, "+CSQ: 20,0");
            let [_, mode, _, is_written] = modem.numbers();
            assert_eq!((mode, is_written), (third, third), "{seconds} {ranges}");
        }
    }

    /// 765 was reported for an empty user name, which only goes out if there is
    /// neither user nor will.
    #[test]
    fn only_a_refused_empty_user_name_is_left_out() {
        let options = hayes::mqtt::ConnectOptions::new("broker.example", 1883, "id").unwrap();
        let named = options.credentials("u", None).unwrap();
        let will = options.last_will(hayes::mqtt::Will::new("w", b"x").unwrap());
        for (options, code, expected) in [
            (options, 765, Then::Next),
            (options, 767, Then::Fail),
            (named, 765, Then::Fail),
            (will, 765, Then::Fail),
        ] {
            let mut modem = Luat::new(Settings::new());
            modem.begin(&scope(&Operation::Connect(&options)));
            assert_eq!(modem.configured(Answer::Failed(Code::Cme(code))), expected);
            assert_eq!(modem.refuses_empty_user, expected == Then::Next);
        }
    }

    #[test]
    fn a_failure_is_explained_by_what_is_known() {
        let explain = |sim, command, code| {
            let mut modem = Luat::new(Settings::new());
            modem.sim = sim;
            modem.explain(command, b"AT+X", code)
        };
        let pin = Error::Pin("its PIN");
        let puk = Error::Pin("its PUK or another code");
        assert_eq!(explain(SimState::Pin, "+CPIN", Code::Cme(16)), (pin, None));
        assert_eq!(explain(SimState::Locked, "+CPIN", Code::None), (puk, None));
        for command in ["+CEREG", "+CGATT"] {
            let nowhere = Error::NotRegistered(Registration::Unknown);
            assert_eq!(explain(SimState::Ready, command, Code::None), (nowhere, None));
        }
        for (sim, command, code, cause, loss) in [
            (SimState::Ready, "+CPIN", Code::None, Cause::Unknown, None),
            (SimState::Locked, "+CPIN", Code::Cme(12), Cause::Sim, None),
            (SimState::Ready, "+MPUB", Code::Cme(767), Cause::NotConnected, Some(767)),
            (SimState::Ready, "+MPUBEX", Code::Cme(767), Cause::NotConnected, Some(767)),
            (SimState::Ready, "+MSUB", Code::Cme(767), Cause::NotConnected, Some(767)),
            (SimState::Ready, "+MUNSUB", Code::Cme(767), Cause::NotConnected, Some(767)),
            (SimState::Ready, "+MPUB", Code::Cme(765), Cause::InvalidArgument, None),
            (SimState::Ready, "+MQTTMODE", Code::Cme(767), Cause::NotConnected, None),
            (SimState::Ready, "+MPUB", Code::Cme(9_999), Cause::Unknown, None),
        ] {
            let (error, lost) = explain(sim, command, code);
            let Error::Refused(refusal) = error else { panic!("{command} {error:?}") };
            assert_eq!((refusal.code, refusal.cause), (code, cause), "{command}");
            assert_eq!(lost, loss.map(Loss::Found), "{command} {code}");
        }
        let line = b"AT+SSLCFG=\"seclevel\",88,1";
        let (error, _) = Luat::new(Settings::new()).explain("+SSLCFG", line, Code::None);
        let named = error == Error::Unsupported(Feature::Setting("seclevel"));
        assert_eq!(named, cfg!(feature = "tls"));
    }

    #[test]
    #[cfg(feature = "status")]
    fn a_restart_makes_void_what_was_known_of_the_network() {
        let mut modem = identified("AirM2M_780E_V1169_LTE_AT");
        hears(&mut modem, Luat::cpin, "+CPIN: READY");
        hears(&mut modem, Luat::registration, "+CEREG: 0,1");
        hears(&mut modem, Luat::address, "+CGPADDR: 1,\"10.0.0.1\"");
        hears(&mut modem, Luat::state, "+MQTTSTATU :1");
        hears(&mut modem, Luat::attachment, "+CGATT: 1");
        modem.session = Session::Open;
        modem.restarted();
        let firmware = Text::from_ascii(b"AirM2M_780E_V1169_LTE_AT");
        assert_eq!(modem.status(), Status { firmware, ..Status::default() });
        assert_eq!((modem.session, modem.attached), (Session::Unknown, false));
    }

    /// Manual V1.6.3: 1 to 64 characters.
    #[test]
    #[cfg(feature = "tls")]
    fn a_file_name_that_the_modem_would_not_take_is_refused() {
        let (longest, too_long) = ("x".repeat(64), "x".repeat(65));
        for (name, expected) in [
            ("a", None),
            ("dir/ca-1_x.pem", None),
            (&longest, None),
            (&too_long, Some(Problem::TooLong { max: 64, actual: 65 })),
            ("", Some(Problem::Empty)),
            ("a\"b", Some(Problem::Forbidden(b'"'))),
            ("a b", Some(Problem::Forbidden(b' '))),
        ] {
            let expected = expected.map_or(Ok(()), |it| Err(problem(FieldName::FileName, it)));
            let content = Credential::Stored(name);
            let file = hayes::File { kind: hayes::FileKind::Ca, content };
            let options = hayes::mqtt::ConnectOptions::new("broker.example", 8883, "id").unwrap();
            let options = options.tls(hayes::mqtt::Tls::with_ca(content));
            let operations =
                [Operation::Delete(name), Operation::Store(&file), Operation::Connect(&options)];
            for operation in operations {
                let checked = Luat::new(Settings::new()).check(&scope(&operation));
                assert_eq!(checked, expected, "{name}");
            }
        }
    }

    /// `seclevel` is 0 none, 1 the server, 2 both (manual).
    #[test]
    #[cfg(feature = "tls")]
    fn a_client_certificate_needs_a_server_that_is_verified() {
        use hayes::mqtt::{ConnectOptions, Tls};
        let pem = Credential::Pem(b"x");
        for (tls, level) in [
            (Tls::insecure(), Some(0)),
            (Tls::with_ca(pem), Some(1)),
            (Tls::with_ca(pem).client(pem, pem), Some(2)),
            (Tls::insecure().client(pem, pem), None),
        ] {
            let options = ConnectOptions::new("broker.example", 8883, "id").unwrap().tls(tls);
            let operation = Operation::Connect(&options);
            let mut modem = Luat::new(Settings::new());
            let refused = Err(Error::Unsupported(Feature::Setting("seclevel")));
            let expected = if level.is_some() { Ok(()) } else { refused };
            assert_eq!(modem.check(&scope(&operation)), expected);
            modem.begin(&scope(&operation));
            assert!(level.is_none_or(|level| modem.numbers()[2] == level), "{level:?}");
        }
    }

    #[test]
    #[cfg(feature = "tls")]
    fn what_a_build_does_not_have_is_told_beforehand() {
        let small = identified("AirM2M_780EL_LTE_AT_MU").capabilities();
        assert!(!small.contains(Capabilities::TLS) && small.contains(Capabilities::WILL));
        let whole = identified("AirM2M_780E_V1169_LTE_AT").capabilities();
        assert_eq!(whole, Capabilities::all().difference(Capabilities::SECOND_SESSION));
        let modem = identified("AirM2M_780E_V1169_LTE_AT");
        assert_eq!(modem.assurance(QoS::AtMostOnce), Assurance::HandedOver);
        assert_eq!(modem.assurance(QoS::AtLeastOnce), Assurance::BrokerAck);
        // The vendor gives an attachment two minutes, bring-up its setting.
        assert_eq!(modem.patience_ms(Verb::Connect), 120_000);
        assert_eq!(modem.patience_ms(Verb::BringUp), 180_000);
    }

    /// As `AT+CPNETAPN?` prints it (manual): nothing is set that is set already.
    #[test]
    fn an_access_point_is_compared_in_all_its_parts() {
        use hayes::mqtt::{AuthType, Network};
        const LINES: [&str; 5] = ["MODE:2", "APN:iot", "USR:u", "PWD:p", "AUTHMODE:1"];
        for (auth, changed, differs) in [
            (AuthType::Pap, None, false),
            (AuthType::Chap, None, true),
            (AuthType::Pap, Some((1, "APN:other")), true),
            (AuthType::Pap, Some((2, "USR:p")), true),
            (AuthType::Pap, Some((4, "AUTHMODE:2")), true),
            (AuthType::Chap, Some((4, "AUTHMODE:2")), false),
        ] {
            let network = Network::new().apn("iot").unwrap().credentials(auth, "u", "p").unwrap();
            let mut modem = Luat::new(Settings::new());
            modem.begin(&scope(&Operation::BringUp(&network)));
            let mut lines = LINES;
            if let Some((at, line)) = changed {
                lines[at] = line;
            }
            lines.iter().for_each(|line| hears(&mut modem, Luat::access_point, line));
            assert_eq!(modem.compared(Answer::Ok), Then::Next);
            assert_eq!(modem.wants_access(), differs, "{auth:?} {changed:?}");
        }
    }

    #[test]
    fn no_secret_is_in_debug() {
        let network = hayes::mqtt::Network::new().apn("iot").unwrap();
        let network = network.credentials(hayes::mqtt::AuthType::Pap, "u", "s3cret").unwrap();
        let operation = Operation::BringUp(&network);
        let mut modem = Luat::new(Settings::new());
        modem.begin(&Scope { operation: &operation, item: 0, session: 0, own: [0; 4], piece: 0 });
        assert!(!std::format!("{modem:?}").contains("s3cret"));
    }

    /// What was cut short is shorter than it should be.
    #[test]
    #[cfg(feature = "tls")]
    fn a_file_is_stored_if_all_of_it_is() {
        let content = Credential::Pem(b"pem");
        let file = hayes::File { kind: hayes::FileKind::Ca, content };
        for (size, answer, then) in [
            ("+FSFLSIZE: 3", Answer::Ok, Then::Next),
            ("+FSFLSIZE: 2", Answer::Ok, Then::Fail),
            ("+NITZ: 3", Answer::Ok, Then::Fail),
            ("+FSFLSIZE: 3", Answer::Failed(Code::None), Then::Fail),
        ] {
            let mut modem = Luat::new(Settings::new());
            modem.begin(&scope(&Operation::Store(&file)));
            hears(&mut modem, Luat::file_size, size);
            assert_eq!(modem.stored(answer), then, "{size}");
        }
    }

    #[test]
    fn a_session_that_may_have_changed_is_not_known() {
        let lost = |modem: &mut Luat| modem.lost(Some(0), false, b"CLOSED");
        for change in [Luat::unsure, Luat::restarted, lost] {
            let mut modem = Luat::new(Settings::new());
            modem.session = Session::Open;
            change(&mut modem);
            assert_eq!(modem.session, Session::Unknown);
        }
    }
}
