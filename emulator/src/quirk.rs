//! Oddities of real modems, each of them documented by a manual or a log, that can be switched
//! on one by one. This module only names them; the modem knows what they do. Here is what all
//! vendors have in common, and the oddities of SIMCom; those of Luat are in
//! [`luat::Quirk`](crate::luat::Quirk).

/// A name that is no quirk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no quirk is called {0:?}, see the list of quirks")]
pub struct ParseQuirkError(pub(crate) String);

/// Makes the quirks of a vendor: the enum, its names and its help, and the set of them.
macro_rules! quirks {
    ($($(#[$doc:meta])+ $quirk:ident, $name:literal, $help:literal;)+) => {
        /// One oddity.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Quirk {
            $($(#[$doc])+ $quirk,)+
        }

        impl Quirk {
            /// Every quirk, in the order of the help text.
            pub const ALL: [Quirk; [$($name),+].len()] = [$(Quirk::$quirk),+];

            /// The name on a command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Quirk::$quirk => $name,)+
                }
            }

            /// One line of help.
            pub fn help(self) -> &'static str {
                match self {
                    $(Quirk::$quirk => $help,)+
                }
            }
        }

        impl std::fmt::Display for Quirk {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for Quirk {
            type Err = $crate::quirk::ParseQuirkError;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                Quirk::ALL
                    .into_iter()
                    .find(|quirk| quirk.name() == name)
                    .ok_or_else(|| $crate::quirk::ParseQuirkError(name.to_owned()))
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
    };
}
pub(crate) use quirks;

quirks! {
    /// START, STOP and DISC print their result line before `OK`.
    ResultBeforeOk, "result-before-ok", "START, STOP and DISC print the result before OK";
    /// START and STOP print `OK` before their result line, on every family.
    OkBeforeResult, "ok-before-result", "START and STOP print OK before the result";
    /// A refused command prints `ERROR` first and the line with the code after it.
    ErrorThenResult, "error-then-result", "a refused command prints ERROR, then its code";
    /// A failed publish, subscribe or unsubscribe is followed by a second `OK`.
    StrayOk, "stray-ok", "a failed publish or subscribe is followed by a second OK";
    /// An empty line before every part of a received message.
    BlankLines, "blank-lines", "an empty line before every part of a received message";
    /// An empty line after the first line of a received message.
    BlankAfterRxstart, "blank-after-rxstart", "an empty line after +CMQTTRXSTART";
    /// The echo of every second command is lost, beginning with the first.
    LostEcho, "lost-echo", "the echo of every second command is lost";
    /// The prompt is `> ` instead of `>`.
    PromptSpace, "prompt-space", "the prompt is '> ' instead of '>'";
    /// `AT+CSSLCFG="sslversion"` is refused.
    NoSslversion, "no-sslversion", "AT+CSSLCFG=\"sslversion\" is refused (old firmware)";
    /// A second START answers plain `ERROR`, without code 23.
    PlainStartError, "plain-start-error", "a second START answers ERROR without a code";
    /// Received payloads come in parts of at most 256 bytes.
    Chunk256, "chunk-256", "received payloads come in parts of 256 bytes";
    /// Received payloads come in parts of at most 1500 bytes.
    Chunk1500, "chunk-1500", "received payloads come in parts of 1500 bytes (default)";
    /// Received payloads come in one part.
    ChunkNone, "chunk-none", "received payloads come in one part";
    /// The topic of a received message comes in two parts.
    SplitTopic, "split-topic", "the topic of a received message comes in two parts";
    /// `ATE0` survives a reset.
    EchoSticky, "echo-sticky", "ATE0 survives a reset (default: echo is on again)";
    /// The first questions for the SIM are answered by SIM failure, SIM failure, SIM busy.
    SimBusy, "sim-busy", "AT+CPIN? fails three times before the SIM is ready";
    /// The modem takes eight seconds to boot and ten more to register.
    SlowBoot, "slow-boot", "8 s to boot, 10 s more to register";
    /// `+CME ERROR` is followed by a number until the host chooses otherwise.
    NumericCme, "numeric-cme", "+CME ERROR prints a number";
    /// The limits of the 2018 manual.
    M18Limits, "m18-limits", "limits of the 2018 manual (client id 23, keep-alive 60 s ..)";
    /// A connection that asks for MQTT 3.1 is refused (27), as many brokers do.
    Mqtt31Refused, "mqtt31-refused", "connecting with MQTT 3.1 is refused with 27";
    /// A lost network or a reset is not announced by CONNLOST and NONET.
    QuietLoss, "quiet-loss", "a lost network or a reset prints no CONNLOST, no NONET";
    /// The result line of a receive block in argtopic mode has no blank after the colon.
    NoBlankAfterColon, "no-blank-after-colon", "+CMQTTRECV:0,.. without the blank";
}

#[cfg(test)]
mod tests {
    use super::*;

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
