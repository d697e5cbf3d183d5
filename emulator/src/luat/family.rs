//! What tells the families apart, as tables: names, limits, prompts. Sources: the Cat.1 AT manual
//! (V1.6.3, V1.6.7), the firmware change logs, and logs.

use std::fmt;
use std::str::FromStr;

use super::{Config, Quirk};

/// A family of modems. The command set is the same on all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Family {
    /// Air724UG, Air720U, Air820UG (RDA8910): MPUB up to 2384 bytes.
    Air724,
    /// Air780E, Air780EX, Air600E (EC618): up to 4100 bytes.
    #[default]
    Air780e,
    /// Air700EAQ V2019: up to 5120 bytes.
    Air700eaqV2019,
    /// The other V20xx firmwares from V2015 on (Air700ECQ, Air700EMQ, Air780EQ).
    V2015plus,
}

impl Family {
    /// Every family.
    pub const ALL: [Family; 4] =
        [Family::Air724, Family::Air780e, Family::Air700eaqV2019, Family::V2015plus];

    /// The name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Family::Air724 => "air724",
            Family::Air780e => "air780e",
            Family::Air700eaqV2019 => "air700eaq-v2019",
            Family::V2015plus => "v2015plus",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no family.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no modem family, use air724, air780e, air700eaq-v2019 or v2015plus")]
pub struct ParseFamilyError(String);

impl FromStr for Family {
    type Err = ParseFamilyError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Family::ALL
            .into_iter()
            .find(|family| family.name() == name)
            .ok_or_else(|| ParseFamilyError(name.to_owned()))
    }
}

/// The differences.
#[derive(Debug, Clone)]
pub(super) struct Traits {
    pub manufacturer: String,
    pub model: String,
    pub revision: String,
    /// Bytes of an MPUB message.
    pub mpub_max: usize,
    /// Bytes of an MPUBEX payload; zero if the command does not exist.
    pub mpubex_max: u32,
    /// MCONNECT takes a third parameter.
    pub connect_mode: bool,
    /// The boot ROM prints a line of its own.
    pub boot_rom: bool,
    pub prompt: &'static str,
    pub file_space: usize,
}

impl Traits {
    pub fn of(config: &Config) -> Traits {
        let mut traits = match config.family {
            Family::Air724 => Traits {
                // The change logs name V401881 as the newest; the form of the name is that of a
                // V409 in a log.
                revision: "AirM2M_Air724UG_V401881_LTE_AT".into(),
                model: "Air724UG".into(),
                mpub_max: 2384,
                // V401857 changed the prompt of FSWRITE to this one.
                prompt: "\r\n> ",
                connect_mode: false,
                ..air780e()
            },
            // SEEN: V1169.
            Family::Air780e => Traits { boot_rom: true, file_space: 256 << 10, ..air780e() },
            Family::Air700eaqV2019 => v20xx("Air700EAQ", "AirM2M_700EAQ_V2019_LTE_AT"),
            Family::V2015plus => v20xx("Air780EQ", "AirM2M_780EQ_V2015_LTE_AT"),
        };
        if config.quirks.has(Quirk::NoMpubex) {
            traits.mpubex_max = 0;
            if config.family == Family::Air724 {
                traits.revision = "AirM2M_Air724UG_V409_LTE_AT".into();
                traits.prompt = "\r\n>";
            }
        }
        if config.quirks.has(Quirk::PromptSpace) {
            traits.prompt = "\r\n> ";
        }
        if config.quirks.has(Quirk::PromptLine) {
            traits.prompt = "\r\n>\r\n";
        }
        let replace = |own: &mut String, other: &Option<String>| {
            if let Some(other) = other {
                own.clone_from(other);
            }
        };
        replace(&mut traits.manufacturer, &config.manufacturer);
        replace(&mut traits.model, &config.model);
        replace(&mut traits.revision, &config.revision);
        traits.file_space = config.file_space.unwrap_or(traits.file_space);
        traits
    }
}

fn air780e() -> Traits {
    Traits {
        manufacturer: "AirM2M".into(),
        model: "Air780E".into(),
        revision: "AirM2M_780E_V1169_LTE_AT".into(),
        mpub_max: 4100,
        mpubex_max: 4100,
        connect_mode: true,
        boot_rom: false,
        prompt: "\r\n>",
        // SEEN on an Air780EP; other modules are not documented, but for the Air780E.
        file_space: 64_100,
    }
}

/// From V2015 on a packet may have 5120 bytes.
fn v20xx(model: &str, revision: &str) -> Traits {
    Traits {
        model: model.into(),
        revision: revision.into(),
        mpub_max: 5120,
        mpubex_max: 5120,
        ..air780e()
    }
}
