//! The resources that say what the modem is and how it is, and what follows from activating it:
//! the sky, the topics. Knows nothing of messages.

use super::body::{
    ActiveVersion, ApiVersions, BootInfo, Empty, FirmwareInfo, FirmwareSlot, FirmwareVersion,
    Interface, MessageProvisioning, OperationalReason, OperationalState, PacketDataServices,
    ProvisioningStatus, ServiceConfig, SimConfig, SimStatus, Voice, VoiceLine,
};
use super::{
    Firmware, Modem, Power, Quirk, Resource, SETTLE, Sky, State, Timer, Version, code, line, read,
};

const PROVISIONING: &str = "messageProvisioning";

pub(super) const RESOURCES: &[Resource] = &[
    Resource {
        name: "apiVersion",
        get: Some(Modem::get_api_version),
        put: Some(Modem::put_api_version),
    },
    Resource {
        name: "simConfig",
        get: Some(Modem::get_sim_config),
        put: Some(Modem::put_sim_config),
    },
    Resource { name: "simStatus", get: Some(Modem::get_sim_status), put: None },
    Resource {
        name: "operationalState",
        get: Some(Modem::get_operational_state),
        put: Some(Modem::put_operational_state),
    },
    Resource { name: "constellationState", get: Some(Modem::get_constellation_state), put: None },
    Resource { name: "hwInfo", get: Some(Modem::get_hw_info), put: None },
    Resource { name: "firmware", get: Some(Modem::get_firmware), put: Some(Modem::put_firmware) },
    Resource { name: PROVISIONING, get: Some(Modem::get_message_provisioning), put: None },
    Resource { name: "serviceConfig", get: None, put: Some(Modem::put_service_config) },
];

impl Modem {
    // ---- the handshake ------------------------------------------------------------------------

    fn get_api_version(&mut self, body: &str) -> Result<(), u16> {
        read::<Empty>(body)?;
        self.says_versions();
        Ok(())
    }

    fn put_api_version(&mut self, body: &str) -> Result<(), u16> {
        let wanted: ActiveVersion = read(body)?;
        // Whether a second choice could be another one is not known.
        if self.version.is_some() {
            return Err(code::ALREADY_SET);
        }
        // Not known either.
        if !self.config.versions.contains(&wanted.active_version) {
            return Err(code::BAD_JSON);
        }
        self.version = Some(wanted.active_version);
        self.says_versions();
        Ok(())
    }

    fn says_versions(&mut self) {
        let mut supported_versions = self.config.versions.clone();
        if self.has(Quirk::VersionsReversed) {
            supported_versions.reverse();
        }
        let active_version = self.version;
        self.ok("apiVersion", &ApiVersions { supported_versions, active_version });
    }

    fn get_sim_config(&mut self, body: &str) -> Result<(), u16> {
        read::<Empty>(body)?;
        self.ok("simConfig", &SimConfig { interface: self.interface });
        Ok(())
    }

    fn put_sim_config(&mut self, body: &str) -> Result<(), u16> {
        let wanted: SimConfig = read(body)?;
        if self.interface == wanted.interface {
            return Err(code::ALREADY_SET);
        }
        self.interface = wanted.interface;
        self.ok("simConfig", &wanted);
        let status = line(299, "simStatus", &self.sim_status());
        self.port.out.unasked(self.after_reply(), status);
        Ok(())
    }

    fn get_sim_status(&mut self, body: &str) -> Result<(), u16> {
        read::<Empty>(body)?;
        let reply = line(200, "simStatus", &self.sim_status());
        self.answers(reply);
        Ok(())
    }

    /// What it says while the internal SIM is not chosen is not known.
    fn sim_status(&self) -> SimStatus<'_> {
        let here = self.interface == Interface::Internal;
        SimStatus { card_present: here, sim_connected: here, iccid: &self.config.iccid }
    }

    fn get_operational_state(&mut self, body: &str) -> Result<(), u16> {
        read::<Empty>(body)?;
        let (state, reason) = (self.state, self.reason);
        self.ok("operationalState", &OperationalReason { state, reason });
        Ok(())
    }

    fn put_operational_state(&mut self, body: &str) -> Result<(), u16> {
        let wanted: OperationalState = read(body)?;
        match wanted.state {
            state if state == self.state => return Err(code::NOT_ALLOWED),
            State::Inactive => {}
            _ if self.interface == Interface::None => return Err(code::NO_SIM),
            // The way from one state to another leads through inactive.
            State::Active if self.state == State::Inactive => {}
            // The states of the factory are not for hosts.
            _ => return Err(code::NOT_ALLOWED),
        }
        self.ok("operationalState", &wanted);
        self.becomes(self.after_reply(), wanted.state, 0);
        Ok(())
    }

    /// Changes its state and says so at this time.
    pub(super) fn becomes(&mut self, at: u64, state: State, reason: u8) {
        self.state = state;
        self.reason = reason;
        self.says_at(at, "operationalState", &OperationalReason { state, reason });
        self.acquired = false;
        self.reported = None;
        self.port.drop_timers(|timer| {
            use Timer::{Acquired, Churn, FirstReport, Provisioned};
            matches!(timer, FirstReport | Acquired | Churn | Provisioned)
        });
        if state == State::Active {
            self.usable_at = at + SETTLE;
            self.port.set_timer(at + self.config.delays.first_report, Timer::FirstReport);
            self.dials();
        }
    }

    // ---- the sky ------------------------------------------------------------------------------

    /// What the modem sees of the sky.
    pub(super) fn seen(&self) -> Sky {
        match self.state == State::Active && self.acquired {
            true => Sky { level: self.sky.level.map(|l| l - i16::from(self.wavers)), ..self.sky },
            false => Sky::HIDDEN,
        }
    }

    /// The first report comes before anything can be visible (captured).
    pub(super) fn first_report(&mut self) {
        self.report(Sky::HIDDEN);
        let delays = self.config.delays;
        let rest = delays.acquisition.saturating_sub(delays.first_report);
        self.port.set_timer(self.port.now + rest, Timer::Acquired);
    }

    pub(super) fn has_acquired(&mut self) {
        self.acquired = true;
        if !self.resynced && self.topics != self.config.topics {
            let at = self.port.now + self.config.delays.provisioning;
            self.port.set_timer(at, Timer::Provisioned);
        }
        if let Some(churn) = self.config.churn {
            self.port.set_timer(self.port.now + churn.max(1), Timer::Churn);
        }
        self.sky_changes();
    }

    pub(super) fn churns(&mut self) {
        self.wavers = !self.wavers;
        self.sky_changes();
        let churn = self.config.churn.unwrap_or(u64::MAX / 2);
        self.port.set_timer(self.port.now + churn.max(1), Timer::Churn);
    }

    pub(super) fn sky_changes(&mut self) {
        let seen = self.seen();
        if self.reported.is_some_and(|reported| reported != seen) {
            self.report(seen);
        }
        self.transmits();
        self.delivers();
    }

    fn report(&mut self, sky: Sky) {
        self.reported = Some(sky);
        self.says("constellationState", &sky);
    }

    fn get_constellation_state(&mut self, body: &str) -> Result<(), u16> {
        read::<Empty>(body)?;
        if !self.has(Quirk::SilentSignal) {
            self.ok("constellationState", &self.seen());
        }
        Ok(())
    }

    // ---- what it is ---------------------------------------------------------------------------

    fn get_hw_info(&mut self, body: &str) -> Result<(), u16> {
        read::<Empty>(body)?;
        let reply = line(200, "hwInfo", &self.config.hardware);
        self.answers(reply);
        Ok(())
    }

    fn get_firmware(&mut self, body: &str) -> Result<(), u16> {
        let FirmwareSlot { slot } = read(body)?;
        let Firmware { hash, .. } = &self.config.firmware;
        let version = self.config.firmware.as_printed();
        let info = FirmwareInfo { slot, validity: true, version, hash };
        let reply = line(200, "firmware", &info);
        self.answers(reply);
        Ok(())
    }

    /// A download follows (Kermit), of which nothing is emulated.
    fn put_firmware(&mut self, body: &str) -> Result<(), u16> {
        read::<FirmwareSlot>(body)?;
        Err(code::FAILED)
    }

    pub(super) fn is_booted(&mut self) {
        self.power = Power::On;
        self.port.deaf = false;
        let noise: &[u8] = match self.config.quirks {
            quirks if quirks.has(Quirk::NoNoise) => b"",
            quirks if quirks.has(Quirk::NulNoise) => b"\x00\x11",
            _ => b"\x11",
        };
        let info = BootInfo {
            image_type: "production",
            version: self.config.firmware.as_printed(),
            boot_source: self.config.firmware.boot_source,
        };
        let bytes = [noise, &line(299, "bootInfo", &info)].concat();
        self.port.out.unasked(self.port.now, bytes);
    }

    // ---- the topics ---------------------------------------------------------------------------

    fn get_message_provisioning(&mut self, body: &str) -> Result<(), u16> {
        read::<Empty>(body)?;
        let reply = line(200, PROVISIONING, &self.provisioning());
        self.answers(reply);
        Ok(())
    }

    /// The modem has its topics, new or again.
    pub(super) fn is_provisioned(&mut self) {
        let changed = self.topics != self.config.topics;
        self.topics = self.config.topics.clone();
        if changed && self.state == State::Active {
            self.says_topics();
        }
        self.delivers();
    }

    fn says_topics(&mut self) {
        let table = line(299, PROVISIONING, &self.provisioning());
        self.port.out.unasked(self.after_reply(), table);
    }

    fn provisioning(&self) -> MessageProvisioning<'_> {
        MessageProvisioning { provisioning: &self.topics }
    }

    /// What follows is captured, the return to the active state included. The topics come back
    /// after a restart, under the sky.
    fn put_service_config(&mut self, body: &str) -> Result<(), u16> {
        let wanted: ServiceConfig = read(body)?;
        if self.state != State::Inactive {
            return Err(code::NOT_ALLOWED);
        }
        self.ok("serviceConfig", &wanted);
        if !wanted.resync {
            return Ok(());
        }
        self.topics.clear();
        self.resynced = true;
        let status = ProvisioningStatus { provisioning_valid: false, fully_compatible: false };
        self.says("provisioningStatus", &status);
        let services = PacketDataServices { packet_data_services: [] };
        self.says("packetDataServiceProvisioning", &services);
        let line = ["line1", "line2"].map(|channel| VoiceLine { line_type: "inactive", channel });
        self.says("voiceProvisioning", &Voice { line });
        self.says_topics();
        self.becomes(self.after_reply(), State::Active, 0);
        Ok(())
    }
}

impl Firmware {
    fn as_printed(&self) -> FirmwareVersion<'_> {
        let Version { major, minor, patch } = self.version;
        FirmwareVersion { major, minor, patch, build_info: &self.build_info }
    }
}
