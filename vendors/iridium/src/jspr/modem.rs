//! What is known of the modem: its versions, its state, its signal, its
//! topics; and the filters that the caller subscribed to, which are ours
//! alone.

use hayes::{
    Instant,
    mqtt::{Error, Field, FieldError, Problem, SimState, Status, Text, TopicFilter},
};
use heapless::{String, Vec};

use super::{
    body::{
        self, ApiVersion, ConstellationState, Firmware, HwInfo, OperationalState, SimStatus,
        Version,
    },
    request::{Ask, digits},
};

/// Topics that a device may have.
const TOPICS: usize = 25;
/// The longest name of a topic, in bytes.
pub(super) const NAME: usize = 57;
/// The longest filter that is kept, in bytes.
pub(super) const FILTER: usize = 64;
/// How many filters are kept.
pub(super) const FILTERS: usize = 8;
/// The lowest number of a topic.
const LOWEST: u16 = 64;
/// How long after its activation the modem refuses messages, in milliseconds.
const SETTLE_MS: u32 = 100;

/// The signal, as the modem last told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constellation {
    /// Whether satellites are visible.
    pub visible: bool,
    /// 0 to 5.
    pub bars: u8,
    /// The level in dBm, while satellites are visible.
    pub level_dbm: Option<i16>,
}

/// A topic that is provisioned for this modem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvisionedTopic<'a> {
    /// Its number, which is all of it that travels.
    pub id: u16,
    /// Its name; empty if it has none that can be used.
    pub name: &'a str,
}

#[derive(Clone, Debug)]
struct Topic {
    id: u16,
    name: String<NAME>,
}

/// The states that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Unknown,
    Inactive,
    Active,
    /// A test, a fault.
    Other,
}

/// A topic as text, with its storage.
pub(super) type Name = String<NAME>;

#[derive(Debug)]
pub(super) struct Modem {
    /// The version to select, if one will do.
    pub version: Option<Version>,
    active_version: Option<Version>,
    pub state: State,
    /// Why it is in that state.
    pub reason: Option<u8>,
    /// When it takes messages.
    pub settled: Instant,
    pub constellation: Option<Constellation>,
    pub imei: Text<16>,
    status: Status,
    topics: Vec<Topic, TOPICS>,
    filters: Vec<String<FILTER>, FILTERS>,
}

impl Modem {
    pub const fn new() -> Self {
        Self {
            version: None,
            active_version: None,
            state: State::Unknown,
            reason: None,
            settled: Instant::from_millis(0),
            constellation: None,
            imei: Text::EMPTY,
            status: Status {
                model: Text::EMPTY,
                firmware: Text::EMPTY,
                sim: SimState::Unknown,
                registration: hayes::mqtt::Registration::Unknown,
                signal_dbm: None,
                address: None,
                clock: Text::EMPTY,
                link: hayes::mqtt::LinkState::Idle,
                connected: None,
            },
            topics: Vec::new(),
            filters: Vec::new(),
        }
    }

    pub fn status(&self) -> Status {
        let signal_dbm = self.constellation.and_then(|seen| seen.level_dbm);
        Status { signal_dbm, ..self.status.clone() }
    }

    /// It has restarted: what it is stays known, how it is does not.
    pub fn restarted(&mut self) {
        self.version = None;
        self.active_version = None;
        self.state = State::Unknown;
        self.reason = None;
        self.constellation = None;
    }

    /// Whether a step of the bring-up is still to be taken.
    pub fn needs(&self, ask: Ask) -> bool {
        match ask {
            Ask::Version => self.active_version.is_none_or(|active| Some(active) != self.version),
            Ask::Inactive => !matches!(self.state, State::Inactive | State::Active),
            Ask::Active | Ask::Confirm => self.state != State::Active,
            _ => true,
        }
    }

    /// Takes in what a resource says of itself, asked or not; `None` if it
    /// cannot be read. `Some(false)` if not all of it could be kept.
    pub fn absorb(&mut self, target: &str, bytes: &[u8], now: Instant) -> Option<bool> {
        match target {
            "apiVersion" => {
                let versions: ApiVersion = body::read(bytes)?;
                self.version = versions.supported_versions.best().or(self.version);
                self.active_version = versions.active_version;
            }
            "operationalState" => {
                let OperationalState { state, reason } = body::read(bytes)?;
                let state = match state {
                    "active" => State::Active,
                    "inactive" => State::Inactive,
                    _ => State::Other,
                };
                if state == State::Active && self.state != State::Active {
                    self.settled = now.after_millis(SETTLE_MS);
                }
                self.state = state;
                self.reason = reason;
            }
            "simStatus" => {
                let sim: SimStatus = body::read(bytes)?;
                let works = sim.card_present && sim.sim_connected;
                self.status.sim = if works { SimState::Ready } else { SimState::Absent };
            }
            "constellationState" => {
                let seen: ConstellationState = body::read(bytes)?;
                let visible = seen.constellation_visible;
                self.constellation = Some(Constellation {
                    visible,
                    bars: seen.signal_bars,
                    level_dbm: seen.signal_level.filter(|_| visible),
                });
            }
            "hwInfo" => {
                let hardware: HwInfo<'_> = body::read(bytes)?;
                self.status.model = Text::from_ascii(hardware.hw_version.as_bytes());
                self.imei = Text::from_ascii(hardware.imei.as_bytes());
            }
            "firmware" | "bootInfo" => {
                let firmware: Firmware = body::read(bytes)?;
                self.status.firmware = dotted(firmware.version);
            }
            "messageProvisioning" => return self.provision(bytes),
            _ => {}
        }
        Some(true)
    }

    /// Takes in the table of topics, all of it or none; `Some(false)` if there
    /// are more than a device may have.
    #[inline(never)]
    fn provision(&mut self, bytes: &[u8]) -> Option<bool> {
        body::read_topics(bytes, &mut |_| {})?;
        let topics = &mut self.topics;
        let mut fits = true;
        topics.clear();
        body::read_topics(bytes, &mut |entry| {
            // A name that is escaped or too long serves nobody.
            let usable = !entry.topic_name.contains('\\');
            let name = if usable { entry.topic_name } else { "" };
            let name = String::try_from(name).unwrap_or_default();
            fits &= topics.push(Topic { id: entry.topic_id, name }).is_ok();
        })?;
        Some(fits)
    }

    /// The provisioned topics.
    pub fn topics(&self) -> impl Iterator<Item = ProvisionedTopic<'_>> {
        self.topics.iter().map(|topic| ProvisionedTopic { id: topic.id, name: &topic.name })
    }

    /// How many topics have that name.
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = u16> + 'a {
        self.topics.iter().filter(move |topic| topic.name == name).map(|topic| topic.id)
    }

    /// The provisioned topic with the number that `imt/<number>` gives.
    fn numbered(&self, topic: &str) -> Option<u16> {
        let digits = topic.strip_prefix("imt/")?;
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        let id: u16 = digits.parse().ok().filter(|id| plain && *id >= LOWEST)?;
        self.topics.iter().any(|topic| topic.id == id).then_some(id)
    }

    /// The number of the topic to publish on.
    pub fn resolve(&self, topic: &str) -> Result<u16, Error> {
        if self.topics.is_empty() {
            return Err(Error::NotProvisioned);
        }
        let mut named = self.named(topic);
        let problem = match (named.next(), named.next()) {
            (Some(id), None) => return Ok(id),
            (Some(_), Some(_)) => Problem::Ambiguous,
            (None, _) => match self.numbered(topic) {
                Some(id) => return Ok(id),
                None => Problem::NotProvisioned,
            },
        };
        Err(FieldError { field: Field::Topic, problem }.into())
    }

    /// The topic that messages with this number are delivered under: its name
    /// if no other has it, else `imt/<number>`.
    pub fn name(&self, id: u16) -> Name {
        let known = self.topics.iter().find(|topic| topic.id == id && !topic.name.is_empty());
        match known.filter(|topic| self.named(&topic.name).nth(1).is_none()) {
            Some(topic) => topic.name.clone(),
            None => escape(id),
        }
    }

    /// Whether the caller wants messages with this number.
    pub fn wants(&self, id: u16) -> bool {
        let known = self.topics.iter().find(|topic| topic.id == id);
        let (name, escape) = (known.map_or("", |topic| &topic.name), escape(id));
        self.filters.iter().any(|filter| {
            TopicFilter::new(filter).is_ok_and(|filter| {
                filter.matches(name.as_bytes()) || filter.matches(escape.as_bytes())
            })
        })
    }

    /// Adds filters, or none if not all can be.
    pub fn subscribe<'a>(
        &mut self,
        filters: impl Iterator<Item = TopicFilter<'a>> + Clone,
    ) -> Result<(), Error> {
        for filter in filters.clone() {
            self.check_filter(filter.as_str())?;
        }
        let before = self.filters.len();
        for filter in filters {
            if self.filters.iter().any(|kept| kept == filter.as_str()) {
                continue;
            }
            let kept = String::try_from(filter.as_str()).map(|filter| self.filters.push(filter));
            if !matches!(kept, Ok(Ok(()))) {
                let actual = self.filters.len().saturating_add(1);
                self.filters.truncate(before);
                return Err(FieldError::too_long(Field::Filters, FILTERS, actual).into());
            }
        }
        Ok(())
    }

    /// A filter without wildcard can only mean a topic that there is.
    fn check_filter(&self, filter: &str) -> Result<(), Error> {
        let exact = !filter.contains(['+', '#']);
        let known = self.named(filter).next().is_some() || self.numbered(filter).is_some();
        if exact && !known && !self.topics.is_empty() {
            let problem = Problem::NotProvisioned;
            return Err(FieldError { field: Field::TopicFilter, problem }.into());
        }
        Ok(())
    }

    pub fn unsubscribe(&mut self, filter: &str) {
        self.filters.retain(|kept| kept != filter);
    }

    pub fn unsubscribe_all(&mut self) {
        self.filters.clear();
    }

    /// The version to select, or why there is none.
    pub fn selected(&self) -> Result<[u32; 3], Error> {
        let version = self.version.ok_or(Error::WrongModem("it has no API version 1"))?;
        Ok([version.major, version.minor, version.patch].map(u32::from))
    }
}

/// `imt/<number>`.
fn escape(id: u16) -> Name {
    let mut name = Name::new();
    let _fits = name.push_str("imt/");
    push_number(&mut name, id);
    name
}

fn push_number<const N: usize>(text: &mut String<N>, number: u16) {
    for digit in digits(number.into(), &mut [0; 10]) {
        let _fits = text.push(char::from(*digit));
    }
}

fn dotted(version: Version) -> Text<32> {
    let mut text = String::<12>::new();
    for (at, number) in [version.major, version.minor, version.patch].into_iter().enumerate() {
        if at > 0 {
            let _fits = text.push('.');
        }
        push_number(&mut text, number.into());
    }
    Text::from_ascii(text.as_bytes())
}
