//! Trouble on the line: what the emulator breaks on purpose, and when. A fault knows counts of
//! bytes, commands and operations, never their meaning. Which byte takes the place of another is
//! drawn from the seed, so the same seed gives the same trouble.

use std::fmt;
use std::str::FromStr;

/// One trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The n-th byte from the modem (counted from 1) is lost.
    Drop(u64),
    /// The n-th byte from the modem becomes another one.
    Garble(u64),
    /// A byte appears before the n-th byte from the modem.
    Insert(u64),
    /// About one byte in n from the modem is lost, changed or preceded by a false one.
    Noise(u64),
    /// Every call of `transmit` yields one byte.
    Split,
    /// The modem restarts after n bytes, once, wherever that is.
    Reboot(u64),
    /// n unsolicited lines come before each final result.
    Storm(u64),
    /// The modem answers n commands and no more until it is restarted.
    Silent(u64),
    /// The connection is lost after the n-th operation with the broker; CONNECT counts.
    Lost(u64),
    /// The n-th byte from the host is lost.
    RxDrop(u64),
    /// The connection of the host is cut after n bytes from the modem.
    CutTx(u64),
    /// The connection of the host is cut after n bytes from the host.
    CutRx(u64),
    /// The n-th acknowledgement comes twice. This and the next two are for boxes that speak MQTT.
    Twice(u64),
    /// The n-th acknowledgement carries the packet identifier of another packet.
    WrongId(u64),
    /// The n-th acknowledgement is one byte short, and says so in its length.
    Short(u64),
}

type Row = (&'static str, fn(u64) -> Fault, &'static str);

/// The name on a command line, how to make it, and one line of help. `split` takes no number.
const TABLE: &[Row] = &[
    ("drop", Fault::Drop, "drop=N: byte N from the modem is lost (counted from 1)"),
    ("garble", Fault::Garble, "garble=N: byte N from the modem becomes another one"),
    ("insert", Fault::Insert, "insert=N: a false byte comes before byte N from the modem"),
    ("noise", Fault::Noise, "noise=N: about one byte in N from the modem is lost or wrong"),
    ("split", |_| Fault::Split, "split: every read yields one byte"),
    ("reboot", Fault::Reboot, "reboot=N: the modem restarts after N bytes, once"),
    ("storm", Fault::Storm, "storm=N: N unsolicited lines before each final result"),
    ("silent", Fault::Silent, "silent=N: no answer after N commands, until a restart"),
    ("lost", Fault::Lost, "lost=N: the connection is lost after the Nth broker operation"),
    ("rx-drop", Fault::RxDrop, "rx-drop=N: byte N from the host is lost"),
    ("cut-tx", Fault::CutTx, "cut-tx=N: a box on the LAN hangs up after N bytes to the host"),
    ("cut-rx", Fault::CutRx, "cut-rx=N: a box on the LAN hangs up after N bytes from the host"),
    ("twice", Fault::Twice, "twice=N: acknowledgement N of a box on the LAN comes twice"),
    ("wrong-id", Fault::WrongId, "wrong-id=N: acknowledgement N has another packet identifier"),
    ("short", Fault::Short, "short=N: acknowledgement N is one byte short"),
];

impl Fault {
    /// The kinds of fault: name on a command line and one line of help.
    pub const ALL: [(&'static str, &'static str); TABLE.len()] = {
        let mut all = [("", ""); TABLE.len()];
        let mut at = 0;
        while at < TABLE.len() {
            all[at] = (TABLE[at].0, TABLE[at].2);
            at += 1;
        }
        all
    };

    fn parts(self) -> (&'static str, Option<u64>) {
        match self {
            Fault::Drop(n) => ("drop", Some(n)),
            Fault::Garble(n) => ("garble", Some(n)),
            Fault::Insert(n) => ("insert", Some(n)),
            Fault::Noise(n) => ("noise", Some(n)),
            Fault::Split => ("split", None),
            Fault::Reboot(n) => ("reboot", Some(n)),
            Fault::Storm(n) => ("storm", Some(n)),
            Fault::Silent(n) => ("silent", Some(n)),
            Fault::Lost(n) => ("lost", Some(n)),
            Fault::RxDrop(n) => ("rx-drop", Some(n)),
            Fault::CutTx(n) => ("cut-tx", Some(n)),
            Fault::CutRx(n) => ("cut-rx", Some(n)),
            Fault::Twice(n) => ("twice", Some(n)),
            Fault::WrongId(n) => ("wrong-id", Some(n)),
            Fault::Short(n) => ("short", Some(n)),
        }
    }

    /// One line of help.
    pub fn help(self) -> &'static str {
        let (name, _) = self.parts();
        Fault::ALL.into_iter().find(|(known, _)| *known == name).map_or("", |(_, help)| help)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (name, Some(n)) => write!(f, "{name}={n}"),
            (name, None) => f.write_str(name),
        }
    }
}

/// A text that is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no fault, write it as name=number, see the list of faults")]
pub struct ParseFaultError(String);

impl FromStr for Fault {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseFaultError(text.to_owned());
        let (name, number) = match text.split_once('=') {
            Some((name, number)) => (name, Some(number.parse::<u64>().map_err(|_| refused())?)),
            None => (text, None),
        };
        let (_, make, _) = TABLE.iter().find(|(known, _, _)| *known == name).ok_or_else(refused)?;
        let fault = make(number.unwrap_or(0));
        // A number that is missing, or one too many, is a slip of the pen and not a fault.
        if fault.parts().1.is_some() != number.is_some() {
            return Err(refused());
        }
        Ok(fault)
    }
}

/// Marsaglia's xorshift: enough for trouble, and the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        // Zero is the one state that xorshift never leaves.
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) % sides.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.roll(256) as u8
    }
}

/// What becomes of one byte on its way to the host.
pub(crate) enum Fate {
    /// These bytes arrive in its place: none, itself, or something else.
    Bytes(Vec<u8>),
    /// The modem restarts before this byte.
    Reboot,
}

/// Applies the faults that count bytes from the modem.
#[derive(Debug, Clone)]
pub(crate) struct Injector {
    faults: Vec<Fault>,
    dice: Dice,
    sent: u64,
    rebooted: bool,
}

impl Injector {
    pub(crate) fn new(faults: &[Fault], seed: u64) -> Self {
        Injector { faults: faults.to_vec(), dice: Dice::new(seed), sent: 0, rebooted: false }
    }

    /// Decides over the next byte of the modem.
    pub(crate) fn next(&mut self, byte: u8) -> Fate {
        if !self.rebooted && self.faults.contains(&Fault::Reboot(self.sent)) {
            self.rebooted = true;
            return Fate::Reboot;
        }
        self.sent += 1;
        let mut bytes = vec![byte];
        for at in 0..self.faults.len() {
            self.apply(self.faults[at], &mut bytes);
        }
        Fate::Bytes(bytes)
    }

    fn apply(&mut self, fault: Fault, bytes: &mut Vec<u8>) {
        match fault {
            Fault::Drop(n) if n == self.sent => drop(bytes.pop()),
            Fault::Garble(n) if n == self.sent => self.garble(bytes),
            Fault::Insert(n) if n == self.sent => bytes.insert(0, self.dice.byte()),
            Fault::Noise(n) if self.dice.roll(n) == 0 => match self.dice.roll(3) {
                0 => drop(bytes.pop()),
                1 => self.garble(bytes),
                _ => bytes.insert(0, self.dice.byte()),
            },
            _ => {}
        }
    }

    fn garble(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte ^= 1 + self.dice.roll(255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read_back() {
        for (name, help) in Fault::ALL {
            let text = if name == "split" { name.to_owned() } else { format!("{name}=7") };
            let fault: Fault = text.parse().expect("a name of the table");
            assert_eq!(fault.to_string(), text);
            assert_eq!(fault.help(), help);
        }
        for wrong in ["drop", "drop=", "drop=x", "split=1", "nonsense=3", ""] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_noise() {
        let run = |seed| {
            let mut injector = Injector::new(&[Fault::Noise(5)], seed);
            let mut out = Vec::new();
            for byte in 0..=255 {
                if let Fate::Bytes(bytes) = injector.next(byte) {
                    out.extend(bytes);
                }
            }
            out
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
}
