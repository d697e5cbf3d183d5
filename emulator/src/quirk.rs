//! Oddities of real modems, each of them documented by a manual or a log, that can be switched
//! on one by one. This module only names them; the modem knows what they do.

use std::fmt;
use std::str::FromStr;

/// One oddity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Quirk {
    /// START, STOP and DISC print their result line before `OK`.
    ResultBeforeOk,
    /// START and STOP print `OK` before their result line, on every family.
    OkBeforeResult,
    /// A refused command prints `ERROR` first and the line with the code after it.
    ErrorThenResult,
    /// A failed publish, subscribe or unsubscribe is followed by a second `OK`.
    StrayOk,
    /// An empty line before every part of a received message.
    BlankLines,
    /// An empty line after the first line of a received message.
    BlankAfterRxstart,
    /// The echo of every second command is lost, beginning with the first.
    LostEcho,
    /// The prompt is `> ` instead of `>`.
    PromptSpace,
    /// `AT+CSSLCFG="sslversion"` is refused.
    NoSslversion,
    /// A second START answers plain `ERROR`, without code 23.
    PlainStartError,
    /// Received payloads come in parts of at most 256 bytes.
    Chunk256,
    /// Received payloads come in parts of at most 1500 bytes.
    Chunk1500,
    /// Received payloads come in one part.
    ChunkNone,
    /// The topic of a received message comes in two parts.
    SplitTopic,
    /// `ATE0` survives a reset.
    EchoSticky,
    /// The first questions for the SIM are answered by SIM failure, SIM failure, SIM busy.
    SimBusy,
    /// The modem takes eight seconds to boot and ten more to register.
    SlowBoot,
    /// `+CME ERROR` is followed by a number until the host chooses otherwise.
    NumericCme,
    /// The limits of the 2018 manual.
    M18Limits,
    /// A connection that asks for MQTT 3.1 is refused (27), as many brokers do.
    Mqtt31Refused,
    /// A lost network or a reset is not announced by CONNLOST and NONET.
    QuietLoss,
    /// The result line of a receive block in argtopic mode has no blank after the colon.
    NoBlankAfterColon,
}

/// What is known of each quirk: the name on a command line and one line of help.
const TABLE: &[(Quirk, &str, &str)] = &[
    (Quirk::ResultBeforeOk, "result-before-ok", "START, STOP and DISC print the result before OK"),
    (Quirk::OkBeforeResult, "ok-before-result", "START and STOP print OK before the result"),
    (Quirk::ErrorThenResult, "error-then-result", "a refused command prints ERROR, then its code"),
    (Quirk::StrayOk, "stray-ok", "a failed publish or subscribe is followed by a second OK"),
    (Quirk::BlankLines, "blank-lines", "an empty line before every part of a received message"),
    (Quirk::BlankAfterRxstart, "blank-after-rxstart", "an empty line after +CMQTTRXSTART"),
    (Quirk::LostEcho, "lost-echo", "the echo of every second command is lost"),
    (Quirk::PromptSpace, "prompt-space", "the prompt is '> ' instead of '>'"),
    (Quirk::NoSslversion, "no-sslversion", "AT+CSSLCFG=\"sslversion\" is refused (old firmware)"),
    (Quirk::PlainStartError, "plain-start-error", "a second START answers ERROR without a code"),
    (Quirk::Chunk256, "chunk-256", "received payloads come in parts of 256 bytes"),
    (Quirk::Chunk1500, "chunk-1500", "received payloads come in parts of 1500 bytes (default)"),
    (Quirk::ChunkNone, "chunk-none", "received payloads come in one part"),
    (Quirk::SplitTopic, "split-topic", "the topic of a received message comes in two parts"),
    (Quirk::EchoSticky, "echo-sticky", "ATE0 survives a reset (default: echo is on again)"),
    (Quirk::SimBusy, "sim-busy", "AT+CPIN? fails three times before the SIM is ready"),
    (Quirk::SlowBoot, "slow-boot", "8 s to boot, 10 s more to register"),
    (Quirk::NumericCme, "numeric-cme", "+CME ERROR prints a number"),
    (
        Quirk::M18Limits,
        "m18-limits",
        "limits of the 2018 manual (client id 23, keep-alive 60 s ..)",
    ),
    (Quirk::Mqtt31Refused, "mqtt31-refused", "connecting with MQTT 3.1 is refused with 27"),
    (Quirk::QuietLoss, "quiet-loss", "a lost network or a reset prints no CONNLOST, no NONET"),
    (Quirk::NoBlankAfterColon, "no-blank-after-colon", "+CMQTTRECV:0,.. without the blank"),
];

impl Quirk {
    /// Every quirk, in the order of the help text.
    pub const ALL: [Quirk; TABLE.len()] = {
        let mut all = [Quirk::ResultBeforeOk; TABLE.len()];
        let mut at = 0;
        while at < TABLE.len() {
            all[at] = TABLE[at].0;
            at += 1;
        }
        all
    };

    /// The name on a command line.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// One line of help.
    pub fn help(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> &'static (Quirk, &'static str, &'static str) {
        &TABLE[self as usize]
    }
}

impl fmt::Display for Quirk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no quirk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no quirk is called {0:?}, see the list of quirks")]
pub struct ParseQuirkError(String);

impl FromStr for Quirk {
    type Err = ParseQuirkError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Quirk::ALL
            .into_iter()
            .find(|quirk| quirk.name() == name)
            .ok_or_else(|| ParseQuirkError(name.to_owned()))
    }
}

/// A set of quirks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quirks(u64);

impl Quirks {
    /// No quirk at all.
    pub const NONE: Quirks = Quirks(0);

    /// The same set with one quirk more.
    #[must_use]
    pub const fn with(self, quirk: Quirk) -> Self {
        Quirks(self.0 | 1 << quirk as u64)
    }

    /// Whether the quirk is in the set.
    pub const fn has(self, quirk: Quirk) -> bool {
        self.0 & 1 << quirk as u64 != 0
    }

    /// Switches a quirk on.
    pub fn insert(&mut self, quirk: Quirk) {
        *self = self.with(quirk);
    }
}

impl FromIterator<Quirk> for Quirks {
    fn from_iter<I: IntoIterator<Item = Quirk>>(quirks: I) -> Self {
        quirks.into_iter().fold(Quirks::NONE, Quirks::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (at, quirk) in Quirk::ALL.into_iter().enumerate() {
            assert_eq!(quirk as usize, at);
        }
    }

    #[test]
    fn every_name_is_read_back() {
        for quirk in Quirk::ALL {
            assert_eq!(quirk.to_string().parse(), Ok(quirk));
            assert!(!quirk.help().is_empty());
        }
        assert!("nonsense".parse::<Quirk>().is_err());
    }

    #[test]
    fn a_set_has_what_was_put_in() {
        let set: Quirks = [Quirk::StrayOk, Quirk::NoBlankAfterColon].into_iter().collect();
        assert!(set.has(Quirk::StrayOk) && set.has(Quirk::NoBlankAfterColon));
        assert!(!set.has(Quirk::LostEcho));
    }
}
