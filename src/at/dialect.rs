//! What a vendor says of itself: which lines are unsolicited and what they
//! mean, which command answers with a second line, and for each operation the
//! script of commands.
//!
//! A dialect is data and small functions. It sends nothing, waits for nothing
//! and keeps no time; the [engine](super::engine) does.

use core::marker::PhantomData;

use super::{
    command::Scope,
    framer::Mark,
    line::{Final, Line, final_result},
    script::Program,
};
use crate::{
    WIDE,
    machine::Verb,
    mqtt::{Assurance, Capabilities, Code, Error, Limits, Loss, QoS, Status},
};

/// What an unsolicited line means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urc<'a> {
    /// A message begins: the lengths of its topic and its payload in bytes.
    MessageStart {
        /// Session.
        session: u8,
        /// Length of the topic.
        topic: u32,
        /// Length of the payload.
        payload: u32,
    },
    /// So many bytes of its topic follow.
    TopicPart {
        /// Session.
        session: u8,
        /// How many bytes.
        len: u32,
    },
    /// So many bytes of its payload follow.
    PayloadPart {
        /// Session.
        session: u8,
        /// How many bytes.
        len: u32,
    },
    /// The message is complete.
    MessageEnd {
        /// Session.
        session: u8,
    },
    /// The topic stands in the line and the payload follows in it.
    Message {
        /// Session.
        session: u8,
        /// The topic.
        topic: &'a [u8],
        /// Length of the payload.
        payload: u32,
    },
    /// The connection of a session is gone.
    Lost {
        /// Session.
        session: u8,
        /// Why.
        loss: Loss,
    },
    /// The bearer or the attachment is gone, and with it, if `service`, the
    /// modem's MQTT service.
    NetworkLost {
        /// Whether the service is gone too.
        service: bool,
    },
    /// The modem has restarted.
    Restarted,
    /// A message waits in this slot of the modem until it is fetched.
    Waiting {
        /// Which slot, below 16. One that is told again before it was fetched
        /// was overwritten.
        slot: u8,
    },
    /// A command goes on; its end is told later.
    Progress,
    /// A word that asks for data, as `>` does.
    Prompt,
    /// Known to come unasked; of no meaning here.
    Other,
}

/// A message that stands in one line without a count of its bytes, in the
/// dialects of a vendor's other modems. Nothing tells such a payload from the
/// end of the line, so no driver is made of it; whoever reads a recorded
/// dialogue takes it for what it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uncounted<'a> {
    /// Session.
    pub session: u8,
    /// The topic.
    pub topic: &'a [u8],
    /// The payload.
    pub payload: Encoding<'a>,
}

/// How a payload is written in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding<'a> {
    /// As it is.
    Plain(&'a [u8]),
    /// Two hex digits a byte.
    Hex(&'a [u8]),
}

impl Encoding<'_> {
    /// Length of the payload in bytes.
    #[must_use]
    pub fn len(&self) -> u32 {
        let bytes = match self {
            Self::Plain(bytes) => bytes.len(),
            Self::Hex(digits) => digits.len() / 2,
        };
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// Whether there is no payload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One kind of unsolicited line.
#[derive(Clone, Copy, Debug)]
pub struct UrcRow {
    /// The name, up to the colon.
    pub name: &'static str,
    /// Its shape tells it from an answer of the same name: `read` decides even
    /// while a command of that name is in flight.
    pub distinct: bool,
    /// What the line means; `None` if it is not this kind after all.
    pub read: for<'a> fn(&Line<'a>) -> Option<Urc<'a>>,
}

/// A command that prints a result line of its own name.
#[derive(Clone, Copy, Debug)]
pub struct ResultRow {
    /// The name of the command and of the line.
    pub name: &'static str,
    /// Which field of the line is the code.
    pub code_at: u8,
    /// Whether a success prints it too: then `OK` alone only means accepted.
    pub required: bool,
}

/// What ends a command of a recorded dialogue, of which only the command line
/// is known. A driver's step says it with [`Step::awaits`](super::script::Step::awaits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its final result, or its result line where the dialect's table has one.
    Final,
    /// A result in words: `OK` only means accepted.
    Word,
    /// Its information: `OK` comes before it or never.
    Information,
}

/// How a command was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `AT+X` or `AT+X=…`.
    Action,
    /// `AT+X?` or `AT+X=?`.
    Query,
}

/// The command in flight, as far as reading its answer goes.
#[derive(Clone, Copy, Debug)]
pub struct Open<'a> {
    /// Its name: `+CMQTTPUB`, `ATI`.
    pub name: &'a [u8],
    /// How it was asked.
    pub form: Form,
}

/// What a finished line means at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading<'a> {
    /// The command in flight has ended.
    Final(Final<'a>),
    /// Its result line, with the code.
    Result(i32),
    /// Its result in words: 0 for a success, else a number of the dialect's.
    Word(i32),
    /// Information that it asked for.
    Info(Line<'a>),
    /// Nobody asked for it.
    Urc(Urc<'a>),
    /// An answer that nobody waits for any more.
    Stray,
}

/// Reads a line, given the command in flight.
#[inline]
pub fn read<'a, D: Dialect>(raw: &'a [u8], open: Option<&Open<'_>>) -> Reading<'a> {
    if let Some(result) = final_result(raw).or_else(|| D::final_result(raw)) {
        return if open.is_some() { Reading::Final(result) } else { Reading::Stray };
    }
    let line = Line::parse(raw);
    let own = open.filter(|open| open.name == line.name);
    if let Some(code) = own.and_then(|open| result_code::<D>(open, &line)) {
        return Reading::Result(code);
    }
    if let Some(code) = open.and_then(|open| D::result_word(open.name, raw)) {
        return Reading::Word(code);
    }
    let row = urc_row::<D>(line.name);
    if let Some(urc) = row.filter(|row| own.is_none() || row.distinct).and_then(|r| (r.read)(&line))
    {
        return Reading::Urc(urc);
    }
    let Some(open) = open else { return Reading::Urc(Urc::Other) };
    if own.is_some() || D::is_information(open.name, line.name) {
        return Reading::Info(line);
    }
    if open.name.get(1..) == Some(line.name) {
        // The first byte was lost on the way (seen with +CMQTTPUB).
        return result_code::<D>(open, &line).map_or(Reading::Info(line), Reading::Result);
    }
    if is_foreign(open, &line) { Reading::Urc(Urc::Other) } else { Reading::Info(line) }
}

/// The row of an unsolicited line, by its name.
#[must_use]
#[inline]
pub fn urc_row<D: Dialect>(name: &[u8]) -> Option<&'static UrcRow> {
    let name = D::urc_name(name);
    if !WIDE {
        return D::URCS.iter().find(|row| row.name.as_bytes() == name);
    }
    let first = *Index::<D>::BY_KEY.get(usize::from(key(name)))?;
    let rows = D::URCS.get(usize::from(first)..)?;
    rows.iter().find(|row| row.name.as_bytes() == name)
}

/// Where in a dialect's table the first row with each [`key`] is: most lines
/// are told apart without comparing a name.
struct Index<D>(PhantomData<D>);

impl<D: Dialect> Index<D> {
    #[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "compile time")]
    #[allow(clippy::cast_possible_truncation, reason = "at most 64 rows")]
    const BY_KEY: [u8; 256] = {
        let mut index = [u8::MAX; 256];
        let mut row = D::URCS.len();
        while row > 0 {
            row -= 1;
            index[key(D::URCS[row].name.as_bytes()) as usize] = row as u8;
        }
        index
    };
}

/// Differs in length or in one of the last two bytes: a different key, mostly.
#[allow(clippy::cast_possible_truncation, reason = "any mixture will do")]
const fn key(name: &[u8]) -> u8 {
    let ends = match name {
        [.., a, b] => a.wrapping_mul(5) ^ b.wrapping_mul(11),
        _ => 0,
    };
    (name.len() as u8).wrapping_mul(31) ^ ends
}

/// An extended command answers under its own name, so an extended name of
/// another kind is not its answer. Text without such a name may be. Of the
/// basic commands `AT` and `ATE0` give no information, `ATI` and `AT&V` any.
fn is_foreign(open: &Open<'_>, line: &Line<'_>) -> bool {
    let extended = |name: &[u8]| name.first().is_some_and(|b| b"+*^%$#".contains(b));
    let silent = open.name == b"AT" || open.name.starts_with(b"ATE");
    silent || (extended(open.name) && (extended(line.name) || line.name.starts_with(b"&")))
}

fn result_code<D: Dialect>(open: &Open<'_>, line: &Line<'_>) -> Option<i32> {
    if open.form == Form::Query {
        return None;
    }
    let row = result_row::<D>(open.name)?;
    let mut fields = line.fields();
    // What stands before the code is a number too: `+CMQTTCFG: "cid",1` is
    // information.
    for _ in 0..row.code_at {
        fields.signed()?;
    }
    fields.signed()
}

/// The row of a command that prints a result line.
#[must_use]
pub fn result_row<D: Dialect>(name: &[u8]) -> Option<&'static ResultRow> {
    D::RESULTS.iter().find(|row| row.name.as_bytes() == name)
}

/// A vendor's AT language.
pub trait Dialect: Sized + 'static {
    /// A byte after which raw data may begin inside a line.
    const MARK: &'static Mark;
    /// What ends a command line: at most three bytes.
    const TERMINATOR: &'static [u8] = b"\r";
    /// The byte that asks for data at the start of a line.
    const PROMPT: u8 = b'>';
    /// Whether data entered at a prompt come back while echo is on.
    const DATA_ECHO: bool;
    /// The largest data phase, in bytes: what fills up one of unknown size.
    const LONGEST_DATA: u32;
    /// So long a silence ends a data phase without a length, in milliseconds;
    /// 0 if there are none.
    const DATA_GAP_MS: u32 = 0;
    /// The most bytes of a file that one step takes; see
    /// [`Arg::FilePiece`](super::command::Arg::FilePiece).
    const FILE_PIECE: u32 = u32::MAX;
    /// Pause between the slices of a data phase, in milliseconds.
    const SLICE_PAUSE_MS: u32 = 100;
    /// How long a received message may stand still, in milliseconds.
    const STALL_MS: u32 = 5_000;
    /// How long the second half of an answer may come late, in milliseconds.
    const GRACE_MS: u32 = 300;
    /// How long after the first sign of a restart the same may come again
    /// without another restart, in milliseconds.
    const BOOT_MS: u32 = 0;
    /// The unsolicited lines, most frequent first; at most 64.
    const URCS: &'static [UrcRow];
    /// The commands that print a result line.
    const RESULTS: &'static [ResultRow];
    /// The scripts, which are called by their numbers in it.
    const PROGRAM: &'static Program<Self>;

    /// Final results that only this vendor has.
    fn final_result(_line: &[u8]) -> Option<Final<'_>> {
        None
    }

    /// The code in a result line that does not carry the name of its command
    /// (`CONNACK OK`), where `command` is in flight; 0 for a success.
    fn result_word(_command: &[u8], _line: &[u8]) -> Option<i32> {
        None
    }

    /// Names under which `command` answers besides its own.
    fn is_information(_command: &[u8], _name: &[u8]) -> bool {
        false
    }

    /// The name under which a line stands in [`URCS`](Self::URCS), where the
    /// lines themselves vary in it.
    #[must_use]
    fn urc_name(name: &[u8]) -> &[u8] {
        name
    }

    /// What ends a recorded command.
    fn ending(_line: &[u8]) -> Ending {
        Ending::Final
    }

    /// What a record calls the command of this name.
    #[must_use]
    fn record_name(name: &[u8]) -> &[u8] {
        name
    }

    /// What an unfinished line says, up to and with a mark. Anything but
    /// [`Urc::Message`] means that no data follow here.
    fn inline(_line: &[u8]) -> Option<Urc<'_>> {
        None
    }

    /// The message in a line without a count, see [`Uncounted`].
    fn uncounted<'a>(_line: &Line<'a>) -> Option<Uncounted<'a>> {
        None
    }

    /// The script that makes sure that answers are those of the commands sent;
    /// `fresh` if nothing is known of the modem yet.
    fn sync(fresh: bool) -> u8;

    /// The script of an operation.
    fn script_of(&self, verb: Verb) -> u8;

    /// The script that fetches the messages that wait in the modem, see
    /// [`Urc::Waiting`]. It is run as soon as no operation is.
    fn fetch(&self) -> Option<u8> {
        None
    }

    /// How long the whole answer to the command of this template may take, in
    /// milliseconds; `within_ms` by its step.
    fn answer_ms(&self, _line: &'static [u8], within_ms: u32) -> u32 {
        within_ms
    }

    /// How long an operation may take in all, in milliseconds.
    fn patience_ms(&self, verb: Verb) -> u32;

    /// The dialect's own numbers for templates.
    fn numbers(&self) -> [u32; 4];

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// The modem's limits.
    fn limits(&self) -> Limits;

    /// What a successful publish proves.
    fn assurance(&self, qos: QoS) -> Assurance;

    /// Refuses what capabilities and limits do not say already.
    ///
    /// # Errors
    /// As [`Machine::start`](crate::Machine::start).
    fn check(&self, scope: &Scope<'_>) -> Result<(), Error>;

    /// An operation begins.
    fn begin(&mut self, scope: &Scope<'_>);

    /// What a failed command means, and whether it shows that the connection
    /// is gone. `line` is its template.
    fn explain(
        &self,
        command: &'static str,
        line: &'static [u8],
        code: Code,
    ) -> (Error, Option<Loss>);

    /// The modem restarted: what was known of it is void.
    fn restarted(&mut self);

    /// A data phase that was open from before was filled up: what it was for
    /// now holds anything.
    fn filled_up(&mut self) {}

    /// A command went without an answer, or an operation was dropped half-way:
    /// what it was to change may have changed.
    fn unsure(&mut self);

    /// The connection of a session, or the network, is gone. `line` said so;
    /// it is empty if a command found it out.
    fn lost(&mut self, session: Option<u8>, service: bool, line: &[u8]);

    /// What is known of the modem.
    fn status(&self) -> Status;
}
