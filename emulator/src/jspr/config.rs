//! What kind of modem it is: everything that is chosen before it is switched on, and nothing that
//! changes afterwards.

use serde::{Deserialize, Serialize};

use super::{BootState, FinalMo, Quirks};
use crate::Fault;

/// What kind of modem it is and how it behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Documented oddities.
    pub quirks: Quirks,
    /// Trouble on the line.
    pub faults: Vec<Fault>,
    /// Makes the faults reproducible, and the order of segments.
    pub seed: u64,
    /// Whether the modem is found running or is just being switched on.
    pub boot: BootState,
    /// An earlier host has chosen an API version and a SIM and has made the modem active. A modem
    /// that is being switched on knows nothing of that.
    pub configured: bool,
    /// How long things take.
    pub delays: Delays,
    /// The API versions, in the order in which they are listed.
    pub versions: Vec<Version>,
    /// `simStatus`.
    pub iccid: String,
    /// `hwInfo`.
    pub hardware: Hardware,
    /// `firmware` and `bootInfo`.
    pub firmware: Firmware,
    /// What the subscription has; the modem may have 25. Empty is a modem that was never
    /// provisioned.
    pub topics: Vec<Topic>,
    /// What the antenna sees.
    pub sky: Sky,
    /// The signal level wavers, and is reported, every so many milliseconds.
    pub churn: Option<u64>,
    /// Messages to the network.
    pub mo: Originate,
    /// Messages from the network.
    pub mt: Terminate,
    /// The broker that stands for the cloud, unless the route says otherwise.
    pub broker: Broker,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            quirks: Quirks::NONE,
            faults: Vec::new(),
            seed: 1,
            boot: BootState::AlreadyOn,
            configured: false,
            delays: Delays::default(),
            versions: vec![Version::new(1, 7, 0), Version::new(1, 6, 1), Version::new(1, 6, 0)],
            iccid: "8988000000000000000".into(),
            hardware: Hardware::default(),
            firmware: Firmware::default(),
            topics: vec![
                Topic::new(244, "RAW", Priority::High, 604_800, 99),
                Topic::new(247, "PEBBLE", Priority::Medium, 432_000, 99),
            ],
            sky: Sky::bars(4),
            churn: None,
            mo: Originate::default(),
            mt: Terminate::default(),
            broker: Broker::default(),
        }
    }
}

/// Version of the API or of a firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// Major.
    pub major: u16,
    /// Minor.
    pub minor: u16,
    /// Patch.
    pub patch: u16,
}

impl Version {
    /// These three.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Version { major, minor, patch }
    }
}

/// The body of `hwInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hardware {
    /// As printed.
    pub hw_version: String,
    /// As printed.
    pub serial_number: String,
    /// 15 digits.
    pub imei: String,
    /// Degrees Celsius.
    pub board_temp: i16,
}

impl Default for Hardware {
    fn default() -> Self {
        Hardware {
            hw_version: "0x0601".into(),
            serial_number: "1a0000".into(),
            imei: "300000000000000".into(),
            board_temp: 19,
        }
    }
}

/// The firmware, the same in both slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// Version.
    pub version: Version,
    /// As printed.
    pub build_info: String,
    /// 64 hexadecimal digits.
    pub hash: String,
    /// The slot from which the modem starts.
    pub boot_source: Slot,
}

impl Default for Firmware {
    fn default() -> Self {
        Firmware {
            version: Version::new(1, 5, 5),
            build_info: "SX-240927-6C70C408-P1-P3142-1025485-11216251".into(),
            hash: "a82923dbc0745c19ccd1c81d85e9a8ced9875f7f648db9bacd8d19bab61090cb".into(),
            boot_source: Slot::Primary,
        }
    }
}

/// A place for a firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// The usual one.
    Primary,
    /// The one for bad days.
    Fallback,
}

/// A provisioned topic: one entry of `messageProvisioning`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Topic {
    /// 64 to 65535.
    pub topic_id: u16,
    /// Up to 57 characters; need not be unique.
    pub topic_name: String,
    /// Who goes first.
    pub priority: Priority,
    /// A message that was not delivered by then expires.
    pub discard_time_seconds: u32,
    /// So many messages may wait.
    pub max_queue_depth: u16,
}

impl Topic {
    /// A topic.
    pub fn new(id: u16, name: &str, priority: Priority, discard_s: u32, depth: u16) -> Self {
        Topic {
            topic_id: id,
            topic_name: name.into(),
            priority,
            discard_time_seconds: discard_s,
            max_queue_depth: depth,
        }
    }
}

/// Priority of a topic, highest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Priority {
    /// Safety-1
    #[serde(rename = "Safety-1")]
    Safety1,
    /// Safety-2
    #[serde(rename = "Safety-2")]
    Safety2,
    /// Safety-3
    #[serde(rename = "Safety-3")]
    Safety3,
    /// High
    High,
    /// Medium
    Medium,
    /// Low
    Low,
}

/// What the antenna sees: the body of `constellationState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sky {
    /// Whether there are satellites to talk to. Without them nothing is sent or received.
    #[serde(rename = "constellation_visible")]
    pub visible: bool,
    /// 0 to 5. Satellites may be visible at 0.
    #[serde(rename = "signal_bars")]
    pub bars: u8,
    /// dBm; absent while nothing is visible.
    #[serde(rename = "signal_level", skip_serializing_if = "Option::is_none")]
    pub level: Option<i16>,
}

impl Sky {
    /// Nothing to be seen.
    pub const HIDDEN: Sky = Sky { visible: false, bars: 0, level: None };

    /// So many bars, at a level that was seen with them.
    pub const fn bars(bars: u8) -> Self {
        let level = match bars {
            0 => -117,
            1 => -115,
            2 => -114,
            3 => -112,
            4 => -111,
            _ => -108,
        };
        Sky::at(bars, level)
    }

    /// So many bars at this level.
    pub const fn at(bars: u8, level: i16) -> Self {
        Sky { visible: true, bars, level: Some(level) }
    }
}

/// How a message is cut. Every byte is covered, whatever is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    /// Bytes of a segment; the vendor's library expects 1446 at most.
    pub size: u32,
    /// In which order.
    pub order: Order,
    /// Every n-th segment comes twice in a row.
    pub twice: Option<u32>,
}

impl Default for Segments {
    fn default() -> Self {
        Segments { size: 1446, order: Order::Ascending, twice: None }
    }
}

/// An order of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// From the first to the last.
    #[default]
    Ascending,
    /// From the last to the first.
    Descending,
    /// By the seed.
    Shuffled,
}

/// Messages to the network (mobile originated).
#[derive(Debug, Clone)]
pub struct Originate {
    /// How segments are asked for.
    pub segments: Segments,
    /// These ranges (start, length) of every message are asked for first, as far as the message
    /// has them; what they leave out follows in order. Overrides `segments` if not empty.
    pub plan: Vec<(u32, u32)>,
    /// So long after the last segment the first one is asked for again, be the message still
    /// there or not. The vendor's example says that it may be.
    pub again: Option<u64>,
    /// So many messages on all topics together; each topic has its own limit besides. Whether a
    /// 9704 takes more than one is not known.
    pub most: usize,
    /// What becomes of one message too many.
    pub overflow: Overflow,
    /// The modem gives up after so many milliseconds (6 h, by the word of the maintainer; with
    /// which status is not known, here it is `message_transfer_timeout`).
    pub give_up: Option<u64>,
    /// How the first messages end; all others are acknowledged.
    pub outcomes: Vec<Outcome>,
    /// The number of the first message after a start.
    pub first_id: u8,
}

impl Default for Originate {
    fn default() -> Self {
        Originate {
            segments: Segments::default(),
            plan: Vec::new(),
            again: None,
            most: usize::MAX,
            overflow: Overflow::DropOldest,
            give_up: Some(6 * 3_600_000),
            outcomes: Vec::new(),
            first_id: 0,
        }
    }
}

/// What becomes of one message too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// It is taken, and the oldest that is not in transit is discarded.
    DropOldest,
    /// It is not taken.
    RefuseNew,
}

/// How a message to the network ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What the modem says; none is a modem that says nothing.
    pub status: Option<FinalMo>,
    /// Whether the network has the message, whatever the modem says.
    pub delivered: bool,
}

impl Outcome {
    /// Delivered, and acknowledged.
    pub const ACKNOWLEDGED: Outcome =
        Outcome { status: Some(FinalMo::MoAckReceived), delivered: true };
    /// Delivered, and never a word of it.
    pub const SILENT: Outcome = Outcome { status: None, delivered: true };

    /// Not delivered.
    pub const fn failed(status: FinalMo) -> Self {
        Outcome { status: Some(status), delivered: false }
    }

    /// Delivered, though the modem says otherwise.
    pub const fn delivered_but(status: FinalMo) -> Self {
        Outcome { status: Some(status), delivered: true }
    }
}

/// Messages from the network (mobile terminated).
#[derive(Debug, Clone, Copy)]
pub struct Terminate {
    /// How they are cut.
    pub segments: Segments,
    /// `message_length_max` is so much more than the message has.
    pub slack: u32,
    /// So many come at once, their segments by turns.
    pub at_once: usize,
    /// The number of the first message after a start.
    pub first_id: u8,
}

impl Default for Terminate {
    fn default() -> Self {
        Terminate { segments: Segments::default(), slack: 0, at_once: 1, first_id: 0 }
    }
}

/// The broker that stands for the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Client identifier.
    pub client_id: String,
}

impl Default for Broker {
    fn default() -> Self {
        Broker { host: "localhost".into(), port: 1883, client_id: "iridium-9704".into() }
    }
}

/// How long things take, all in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delays {
    /// From the end of a request to its reply.
    pub answer: u64,
    /// From power to `bootInfo` (about 870). Until then the modem is deaf.
    pub boot: u64,
    /// From activation to the first report, which says that nothing is visible.
    pub first_report: u64,
    /// From activation to the first sight of the sky.
    pub acquisition: u64,
    /// From the first sight of the sky to the topics, when they were reset (10 to 30 min).
    pub provisioning: u64,
    /// From acceptance, or from a segment, to the next request for a segment.
    pub segment_request: u64,
    /// So long the host may take for a segment (300).
    pub segment_window: u64,
    /// From the last segment to the final status, with sky ("seconds to a minute").
    pub transit: u64,
    /// What each 1000 bytes of a message take longer (100 kB in two minutes).
    pub transit_per_1000: u64,
    /// From a cancel to the final status.
    pub cancel: u64,
    /// From a message of the network to its announcement.
    pub incoming: u64,
    /// From one line of a message of the network to the next (a full one takes 89 on the wire).
    pub mt_segment: u64,
    /// From a failed connection to the broker to the next try.
    pub reconnect: u64,
}

impl Delays {
    /// Nothing takes any time but a start and the patience for a segment.
    pub const NONE: Delays = Delays {
        answer: 0,
        boot: 870,
        first_report: 0,
        acquisition: 0,
        provisioning: 0,
        segment_request: 0,
        segment_window: 300,
        transit: 0,
        transit_per_1000: 0,
        cancel: 0,
        incoming: 0,
        mt_segment: 0,
        reconnect: 1000,
    };
}

impl Default for Delays {
    fn default() -> Self {
        Delays {
            answer: 5,
            first_report: 500,
            acquisition: 5000,
            provisioning: 600_000,
            segment_request: 5,
            transit: 8000,
            transit_per_1000: 1100,
            cancel: 100,
            incoming: 1000,
            mt_segment: 90,
            ..Delays::NONE
        }
    }
}
