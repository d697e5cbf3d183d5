//! What kind of box it is: everything that is set in its web page or in the cloud before anybody
//! connects. Where the vendor's pages say nothing, the doc of the field says so.

use std::str::FromStr;

use crate::Fault;
use crate::network::ConnectOptions;

/// The settings of the box and of its account.
#[derive(Debug, Clone)]
pub struct Config {
    /// User and password that every client on the LAN has to show; without it nobody is asked.
    pub login: Option<Login>,
    /// Code of the CONNACK for a wrong or missing login, 4 or 5. Which one is not stated.
    pub login_refused: u8,
    /// The highest QoS that a subscription is granted, 0 to 2. Not stated.
    pub max_qos: u8,
    /// Filters that are answered by 0x80, as they are written.
    pub refused_filters: Vec<String>,
    /// So many messages with QoS 1 and 2 may be unacknowledged by one client. Not stated.
    pub max_in_flight: u16,
    /// A connection on which so many milliseconds pass without a CONNECT is closed. Not stated.
    pub patience: Option<u64>,
    /// What is left after a restart. Not stated.
    pub survives: Survives,
    /// From a restart until the box listens again, in milliseconds. Not stated.
    pub boot: u64,
    /// From a packet of the host to the answer, in milliseconds.
    pub answer: u64,
    /// The switch *MQTT Transmission*: without it the box is a LAN broker that sends nothing.
    pub transmission: bool,
    /// When the MO queue is sent.
    pub queue: Queue,
    /// Account in the cloud: `iot/<account>/` goes before every topic there.
    pub account: String,
    /// The device's MT topic filters. Without one nothing comes in, whatever is subscribed to.
    pub mt_filters: Vec<MtFilter>,
    /// The QoS with which the LAN broker takes in what comes from the cloud, 0 to 2. Not stated.
    pub mt_qos: u8,
    /// How the cloud side reaches its broker; without it the messages go nowhere.
    pub cloud: Option<ConnectOptions>,
    /// Trouble on the line: see [`Gateway`](super::Gateway).
    pub faults: Vec<Fault>,
    /// Makes the faults reproducible.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            login: None,
            login_refused: 5,
            max_qos: 2,
            refused_filters: Vec::new(),
            max_in_flight: 20,
            patience: None,
            survives: Survives::default(),
            boot: 0,
            answer: 0,
            transmission: true,
            queue: Queue::default(),
            account: "ACCOUNT-ID".into(),
            mt_filters: Vec::new(),
            mt_qos: 1,
            cloud: Some(cloud_as("rockremote")),
            faults: Vec::new(),
            seed: 1,
        }
    }
}

/// A plain connection with this client id, to a host that exists nowhere: for a
/// [`Route::To`](crate::bridge::Route::To) or a [`Loopback`](crate::network::Loopback).
pub fn cloud_as(client_id: impl Into<String>) -> ConnectOptions {
    ConnectOptions::plain("cloud.invalid", 1883, client_id)
}

/// What a client on the LAN has to show.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for Login {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What is left after a restart. The default is nothing, as the hardest for a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Survives {
    /// Kept sessions: subscriptions and messages under way.
    pub sessions: bool,
    /// Retained messages.
    pub retained: bool,
    /// The MO queue.
    pub queue: bool,
}

/// When the MO queue is sent; the defaults are the vendor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Sent when the payloads sum up to so many bytes; 0 turns the rule off.
    pub max_size: usize,
    /// Sent when the oldest message is so many seconds old; 0 turns the rule off.
    pub max_age_s: u64,
    /// Every message at once and by itself, whatever the rules are. Two rules that are off mean
    /// the same: this switch is said to set both to 0.
    pub immediately: bool,
    /// A message that waits for so many seconds is dropped. The default is not stated.
    pub ttl_s: Option<u64>,
    /// The oldest messages are dropped when the payloads exceed so many bytes. The size is not
    /// stated.
    pub overflow: Option<usize>,
}

impl Queue {
    /// Every message at once and by itself.
    pub const IMMEDIATELY: Queue =
        Queue { max_size: 0, max_age_s: 0, immediately: true, ttl_s: None, overflow: None };

    pub(super) fn is_immediate(&self) -> bool {
        self.immediately || (self.max_size == 0 && self.max_age_s == 0)
    }
}

impl Default for Queue {
    fn default() -> Self {
        Queue { max_size: 50_000, max_age_s: 60, immediately: false, ttl_s: None, overflow: None }
    }
}

/// Which messages of the cloud go to the device: one topic, or with `/#` at the end everything
/// below it as well. `#` alone is everything; other wildcards are not documented and refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MtFilter(String);

impl MtFilter {
    pub(super) fn fits(&self, topic: &[u8]) -> bool {
        crate::network::matches(self.0.as_bytes(), topic)
    }
}

/// A text that is no filter for MT messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no MT topic filter, write an exact topic or end it with /#")]
pub struct ParseMtFilterError(String);

impl FromStr for MtFilter {
    type Err = ParseMtFilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.contains('+') || !rumqttc::mqttbytes::valid_filter(text) {
            true => Err(ParseMtFilterError(text.to_owned())),
            false => Ok(MtFilter(text.to_owned())),
        }
    }
}
