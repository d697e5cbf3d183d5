//! The bodies of requests, replies and unsolicited lines, field by field in the order in which
//! the modem writes them. Bodies of requests must have every field and no other. Knows JSON and no
//! behaviour.

use serde::{Deserialize, Serialize};

use super::config::{Slot, Topic, Version};

/// `{}`
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

#[derive(Serialize)]
pub(super) struct ApiVersions {
    pub supported_versions: Vec<Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_version: Option<Version>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActiveVersion {
    pub active_version: Version,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SimConfig {
    pub interface: Interface,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Interface {
    None,
    Local,
    Remote,
    Internal,
}

#[derive(Serialize)]
pub(super) struct SimStatus<'a> {
    pub card_present: bool,
    pub sim_connected: bool,
    pub iccid: &'a str,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationalState {
    pub state: State,
}

#[derive(Serialize)]
pub(super) struct OperationalReason {
    pub state: State,
    pub reason: u8,
}

/// `operationalState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The radio is off.
    #[default]
    Inactive,
    /// The modem does its work.
    Active,
    /// For the factory.
    CalTest,
    /// For the factory.
    HwSelfTest,
    /// For the factory.
    RfScan,
    /// For the factory.
    Loopback,
    /// Something is wrong; the reason says what.
    Fault,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FirmwareSlot {
    pub slot: Slot,
}

#[derive(Serialize)]
pub(super) struct FirmwareVersion<'a> {
    pub major: u16,
    pub minor: u16,
    pub patch: u16,
    pub build_info: &'a str,
}

#[derive(Serialize)]
pub(super) struct FirmwareInfo<'a> {
    pub slot: Slot,
    pub validity: bool,
    pub version: FirmwareVersion<'a>,
    pub hash: &'a str,
}

#[derive(Serialize)]
pub(super) struct BootInfo<'a> {
    pub image_type: &'static str,
    pub version: FirmwareVersion<'a>,
    pub boot_source: Slot,
}

#[derive(Serialize)]
pub(super) struct MessageProvisioning<'a> {
    pub provisioning: &'a [Topic],
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceConfig {
    pub resync: bool,
}

#[derive(Serialize)]
pub(super) struct ProvisioningStatus {
    pub provisioning_valid: bool,
    pub fully_compatible: bool,
}

#[derive(Serialize)]
pub(super) struct PacketDataServices {
    pub packet_data_services: [Empty; 0],
}

#[derive(Serialize)]
pub(super) struct Voice {
    pub line: [VoiceLine; 2],
}

#[derive(Serialize)]
pub(super) struct VoiceLine {
    pub line_type: &'static str,
    pub channel: &'static str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Originate {
    pub topic_id: u16,
    pub message_length: u32,
    pub request_reference: u8,
}

#[derive(Serialize)]
pub(super) struct Originated {
    pub topic_id: u16,
    pub request_reference: u8,
    pub message_id: u8,
    pub message_response: MessageResponse,
}

/// What the modem says to a new message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageResponse {
    /// It will ask for the segments.
    MessageAccepted,
    /// The subscription is not good for this topic.
    SubscriptionInvalid,
    /// There is no room.
    MessageDiscardedOnOverflow,
}

#[derive(Serialize)]
pub(super) struct SegmentRequest {
    pub topic_id: u16,
    pub message_id: u8,
    pub segment_length: usize,
    pub segment_start: usize,
}

/// A segment, in either direction.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Segment {
    pub topic_id: u16,
    pub message_id: u8,
    pub segment_length: usize,
    pub segment_start: usize,
    pub data: String,
}

#[derive(Serialize)]
pub(super) struct MessageName {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<u16>,
    pub message_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation_response: Option<&'static str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageAction {
    pub topic_id: u16,
    pub message_id: u8,
    #[serde(rename = "action")]
    pub _action: Action,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    Cancel,
}

#[derive(Serialize)]
pub(super) struct MoStatus {
    pub topic_id: u16,
    pub message_id: u8,
    pub final_mo_status: FinalMo,
}

/// How a message to the network ended, in the modem's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the vendor's, and all that is known")]
pub enum FinalMo {
    MoAckReceived,
    MessageDiscardedOnOverflow,
    MessageExpired,
    MessageTransferTimeout,
    NetworkError,
    SegmentNotSupplied,
    SegmentIncorrect,
    MessageDroppedLocalCrcError,
    UserSuppliedCrcError,
    CrcErrorInTransfer,
    MessageCancelledPreTransit,
    MessageCancelledInTransit,
    SubscriptionInvalid,
    ProtocolError,
}

#[derive(Serialize)]
pub(super) struct Announcement {
    pub topic_id: u16,
    pub message_id: u8,
    pub message_length_max: usize,
}

#[derive(Serialize)]
pub(super) struct MtStatus {
    pub topic_id: u16,
    pub message_id: u8,
    pub final_mt_status: FinalMt,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FinalMt {
    Complete,
    MessageTimedOut,
    MessageCancelled,
    CrcErrorInTransfer,
}
