//! Reads a recorded dialogue, both sides of it, and says what it means: which
//! command ended how, which messages and other unsolicited events came in.
//!
//! It hears with the driver's own ears (framer, grammar, dialect tables,
//! inbox) and waits for nothing: it knows only what the record says. Unlike
//! the [engine](hayes::at::engine) it did not send the commands itself, so it
//! takes them from the host's bytes: a line is a command unless a prompt was
//! open, and what follows a prompt is data until the final result.
//!
//! Where the engine waits a moment for the second half of an answer, the
//! observer holds it back until the next thing that the record tells.

use core::marker::PhantomData;

use hayes::{
    at::{
        command::{content_hash, name_of},
        dialect::{
            Dialect, Encoding, Ending, Form, Open, Reading, ResultRow, Urc, read, result_row,
            urc_row,
        },
        framer::{Frame, Framer},
        line::{Failure, Final, Line},
    },
    inbox::Inbox,
    mqtt::{Code, Dropped, Event, Loss, Message},
};
use heapless::Vec;

/// One thing that a dialogue says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'a> {
    /// A command ended.
    Result {
        /// Its name in upper case, as records of the dialect have it:
        /// `+CMQTTPUB`, `AT`, `ATE0`.
        name: &'a [u8],
        /// Whether with success.
        ok: bool,
        /// The number that the modem printed, of whatever kind.
        code: Option<i32>,
    },
    /// A message was received.
    Message(Message<'a>),
    /// A message was received, but not all of it, or finds no room.
    Dropped(Dropped<'a>),
    /// A message waits in this slot of the modem.
    Waiting(u8),
    /// The connection of a session is gone.
    Lost {
        /// Session.
        session: u8,
        /// Why.
        loss: Loss,
    },
    /// The bearer or the attachment is gone.
    NetworkLost,
    /// The first sign of a restart.
    Restarted,
    /// An information line of the command in flight.
    Info(&'a [u8]),
    /// Any other line that nobody asked for.
    Urc(&'a [u8]),
    /// A line of so many bytes was longer than the observer's buffer.
    Overflow(u32),
    /// The record ended with this still open.
    Incomplete(Unfinished<'a>),
}

/// What was open when a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished<'a> {
    /// A message had begun.
    Message,
    /// A command of this name had got its prompt.
    Data(&'a [u8]),
    /// A command of this name had no final result.
    Command(&'a [u8]),
    /// A command of this name was accepted and had no result line.
    Result(&'a [u8]),
    /// Nothing that follows has a meaning, because the protocol was broken so.
    Violation(&'a str),
    /// A line had no end.
    Line,
}

/// Reads a dialogue with a modem of the dialect `D`. Lines and commands have
/// at most `LINE` bytes; `INBOX` bytes hold messages, and data entered at a
/// prompt as far as their echo is to be known.
#[derive(Debug)]
pub struct Observer<D: Dialect, const LINE: usize, const INBOX: usize> {
    framer: Framer<LINE>,
    desk: Desk<D, LINE, INBOX>,
}

impl<D: Dialect, const LINE: usize, const INBOX: usize> Default for Observer<D, LINE, INBOX> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Dialect, const LINE: usize, const INBOX: usize> Observer<D, LINE, INBOX> {
    /// An observer that has heard nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { framer: Framer::new(D::MARK, D::PROMPT), desk: Desk::new() }
    }

    /// The host sent `bytes`.
    pub fn host(&mut self, bytes: &[u8], seen: &mut impl FnMut(Seen<'_>)) {
        self.end_line(seen);
        self.desk.release(seen);
        for byte in bytes {
            self.desk.host(*byte, seen);
        }
    }

    /// The modem sent `bytes`.
    pub fn modem(&mut self, bytes: &[u8], seen: &mut impl FnMut(Seen<'_>)) {
        self.desk.quiet_ms = 0;
        self.desk.spoke |= !bytes.is_empty();
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            if self.desk.awaits_echo() {
                self.modem_byte(*byte, seen);
                rest = after;
            } else {
                rest = self.read(rest, seen);
            }
        }
    }

    /// `ms` milliseconds passed. Without any such call the order of the bytes
    /// alone decides.
    pub fn elapsed(&mut self, ms: u32, seen: &mut impl FnMut(Seen<'_>)) {
        self.desk.quiet_ms = self.desk.quiet_ms.saturating_add(ms);
        self.desk.boot_ms = self.desk.boot_ms.saturating_add(ms);
        if self.desk.quiet_ms >= D::GRACE_MS {
            self.end_line(seen);
            self.desk.release(seen);
        }
        let desk = &mut self.desk;
        if desk.quiet_ms >= D::STALL_MS {
            self.framer.forget();
            desk.cut(seen);
        }
    }

    /// The record ends here. What comes next is another one.
    pub fn finish(&mut self, seen: &mut impl FnMut(Seen<'_>)) {
        self.end_line(seen);
        let in_line = self.framer.is_in_line();
        let in_data = self.framer.data_left() > 0;
        self.desk.finish(in_line, in_data, seen);
        *self = Self::new();
    }

    /// A result in words that lost its line end is one all the same once the
    /// modem has fallen silent.
    fn end_line(&mut self, seen: &mut impl FnMut(Seen<'_>)) {
        let spoke = core::mem::take(&mut self.desk.spoke);
        if spoke && self.desk.awaits_word(self.framer.partial_line()) {
            self.read(b"\r", seen);
        }
    }

    /// A byte that may be the echo of data. Bytes that looked so and were not
    /// are read after all.
    fn modem_byte(&mut self, byte: u8, seen: &mut impl FnMut(Seen<'_>)) {
        let at_start = !self.framer.is_in_line() && self.framer.data_left() == 0;
        match self.desk.echo.take(byte, at_start) {
            Echo::Taken => {}
            Echo::No => {
                self.read(&[byte], seen);
            }
            Echo::Broken { from, to } => {
                let data = self.desk.echo.data.clone();
                self.read(data.get(from..to).unwrap_or_default(), seen);
                self.read(&[byte], seen);
            }
        }
    }

    /// Reads up to a prompt whose data, which the host has sent already, may
    /// come back; what is left.
    fn read<'a>(&mut self, bytes: &'a [u8], seen: &mut impl FnMut(Seen<'_>)) -> &'a [u8] {
        let mut input = bytes;
        let awaited = self.desk.awaits_echo();
        while awaited || !self.desk.awaits_echo() {
            let Some(frame) = self.framer.next(&mut input, || self.desk.awaits_prompt()) else {
                break;
            };
            match self.desk.frame(frame, seen) {
                Follow::Nothing => {}
                Follow::Data(count) => self.framer.expect_data(count),
                Follow::Inline(count) => self.framer.expect_inline(count),
            }
            if matches!(self.desk.sink, Sink::Inline(_)) && self.framer.data_left() == 0 {
                self.desk.end_inline(seen);
            }
        }
        input
    }
}

/// The last command of the host, as far as it is not answered.
#[derive(Debug)]
struct Command<const LINE: usize> {
    name: Vec<u8, LINE>,
    form: Form,
    /// `AT+X=…`, which has information only under its own name, and no other
    /// command behind it.
    set: bool,
    /// Of an action, if it has a result line.
    row: Option<&'static ResultRow>,
    ending: Ending,
    index: Option<u32>,
    result: Option<Outcome>,
    echoed: bool,
    prompted: bool,
    /// It has got all the data that it announced.
    fed: bool,
    /// It gave information under its own name.
    informed: bool,
    /// The modem restarted since: it need not be answered any more.
    void: bool,
}

/// A result: whether it is a success, and the number that was printed.
type Outcome = (bool, Option<i32>);

/// The longest name of a command that has a result line or word.
const NAME: usize = 24;

/// A command that was accepted, and whose result line is still to come.
#[derive(Clone, Debug)]
struct Owed {
    name: Vec<u8, NAME>,
    row: Option<&'static ResultRow>,
    ending: Ending,
    index: Option<u32>,
    /// It may as well have come already, or never come.
    doubtful: bool,
}

/// An `ERROR` whose code may follow.
#[derive(Clone, Copy, Debug)]
struct Held {
    row: &'static ResultRow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sink {
    Nowhere,
    Topic(u8),
    Payload(u8),
    /// The topic of a message that did not begin.
    Orphan,
    /// The whole payload of a message whose topic stood in the line.
    Inline(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follow {
    Nothing,
    Data(u32),
    Inline(u32),
}

/// All of the observer but the framer, whose lines it reads.
#[derive(Debug)]
struct Desk<D, const LINE: usize, const INBOX: usize> {
    dialect: PhantomData<D>,
    inbox: Inbox<INBOX>,
    sink: Sink,
    /// Session and topic of a message that did not begin.
    orphan: Option<u8>,
    orphan_topic: Vec<u8, LINE>,
    /// What the host has typed since its last line end.
    typed: Vec<u8, LINE>,
    /// The last command line.
    line: Vec<u8, LINE>,
    /// Lengths and hashes of those before it, whose echo may come late.
    earlier: [(usize, u64); 4],
    command: Option<Command<LINE>>,
    owed: Vec<Owed, 8>,
    held: Option<Held>,
    /// The last command is owed and nothing was sent since.
    accepted: bool,
    echo: DataEcho<INBOX>,
    /// The first sign of the boot that goes on.
    booting: Option<&'static str>,
    /// For how long, as far as the record tells.
    boot_ms: u32,
    quiet_ms: u32,
    /// The modem said something that nothing has followed yet.
    spoke: bool,
}

impl<D: Dialect, const LINE: usize, const INBOX: usize> Desk<D, LINE, INBOX> {
    const fn new() -> Self {
        Self {
            dialect: PhantomData,
            inbox: Inbox::new(),
            sink: Sink::Nowhere,
            orphan: None,
            orphan_topic: Vec::new(),
            typed: Vec::new(),
            line: Vec::new(),
            earlier: [(0, 0); 4],
            command: None,
            owed: Vec::new(),
            held: None,
            accepted: false,
            echo: DataEcho::new(),
            booting: None,
            boot_ms: 0,
            quiet_ms: 0,
            spoke: false,
        }
    }

    // ---- the host ------------------------------------------------------

    fn host(&mut self, byte: u8, seen: &mut impl FnMut(Seen<'_>)) {
        if self.command.as_ref().is_some_and(|command| command.prompted && !command.fed) {
            self.data(byte);
        } else if byte == b'\r' || byte == b'\n' {
            self.command_line(seen);
        } else if byte >= b' ' {
            // What is longer is longer than any echo that can be read.
            let _ = self.typed.push(byte);
        }
    }

    /// A byte at a prompt. `AT+` behind as many bytes as the command announced
    /// begins the next command, though the record has no final result.
    fn data(&mut self, byte: u8) {
        self.echo.entered(byte);
        let Some(command) = &mut self.command else { return };
        let end = self.echo.data.len().saturating_sub(3);
        let Some((data, last)) = self.echo.data.split_at_checked(end) else { return };
        if last.eq_ignore_ascii_case(b"AT+") && announces(&self.line, data) {
            command.fed = true;
            self.typed = Vec::from_slice(last).unwrap_or_default();
            self.echo.data.truncate(end);
        }
    }

    fn command_line(&mut self, seen: &mut impl FnMut(Seen<'_>)) {
        if self.typed.trim_ascii().is_empty() {
            self.typed.clear();
            return;
        }
        self.supersede(seen);
        self.earlier.rotate_right(1);
        if let Some(slot) = self.earlier.first_mut() {
            *slot = (self.line.len(), content_hash(&self.line));
        }
        self.line = core::mem::take(&mut self.typed);
        self.command = Some(Command::parse::<D>(&self.line));
        self.accepted = false;
        self.echo.clear(false);
    }

    /// Another command comes: a result line must do without its final result.
    fn supersede(&mut self, seen: &mut impl FnMut(Seen<'_>)) {
        let Some(command) = self.command.take() else { return };
        match command.result {
            Some(outcome) => seen(ended::<D>(&command.name, outcome)),
            None if command.ends_late() => self.owe(&command),
            None => {}
        }
    }

    fn owe(&mut self, command: &Command<LINE>) {
        if self.owed.is_full() {
            self.owed.remove(0);
        }
        let name = Vec::from_slice(&command.name).unwrap_or_default();
        let Command { row, ending, index, .. } = *command;
        let _ = self.owed.push(Owed { name, row, ending, index, doubtful: false });
    }

    /// A command has got its answer: older ones of its kind may never get one.
    fn doubt(&mut self, name: &[u8], index: Option<u32>) {
        for owed in &mut self.owed {
            owed.doubtful |= owed.name == name && owed.index == index;
        }
    }

    /// Whether `raw` is the result in words of a command that has none yet.
    fn awaits_word(&self, raw: &[u8]) -> bool {
        let of = |name: &[u8]| D::result_word(name, raw).is_some();
        self.command.as_ref().is_some_and(|command| of(&command.name))
            || self.owed.iter().any(|owed| of(&owed.name))
    }

    fn awaits_echo(&self) -> bool {
        self.command.as_ref().is_some_and(|command| command.prompted) && self.echo.is_open()
    }

    // ---- the modem -----------------------------------------------------

    /// Armed for every action that has not got its prompt yet: the record
    /// does not tell which command has data.
    fn awaits_prompt(&self) -> bool {
        let waits = |command: &Command<LINE>| command.form == Form::Action && !command.prompted;
        self.command.as_ref().is_some_and(waits)
    }

    fn frame(&mut self, frame: Frame<'_>, seen: &mut impl FnMut(Seen<'_>)) -> Follow {
        match frame {
            Frame::Data(data) => match self.sink {
                Sink::Payload(session) | Sink::Inline(session) => self.inbox.payload(session, data),
                Sink::Topic(session) => self.inbox.topic(session, data),
                Sink::Orphan => {
                    let _ = self.orphan_topic.extend_from_slice(data);
                }
                Sink::Nowhere => {}
            },
            Frame::Line(raw) => return self.line(raw, seen),
            Frame::Marked(raw) => return self.marked(raw, seen),
            // What was kept of the line is not enough for a message.
            Frame::Clipped(_) => {}
            Frame::Prompt => self.prompted(),
            Frame::Overflow(length) => {
                self.release(seen);
                seen(Seen::Overflow(length));
            }
        }
        Follow::Nothing
    }

    fn marked(&mut self, raw: &[u8], seen: &mut impl FnMut(Seen<'_>)) -> Follow {
        let Some(Urc::Message { session, topic, payload }) = D::inline(raw) else {
            return Follow::Nothing;
        };
        self.release(seen);
        self.inbox.begin(session, length(topic), payload);
        self.inbox.topic(session, topic);
        self.sink = Sink::Inline(session);
        Follow::Inline(payload)
    }

    fn end_inline(&mut self, seen: &mut impl FnMut(Seen<'_>)) {
        if let Sink::Inline(session) = self.sink {
            self.sink = Sink::Nowhere;
            self.inbox.end(session);
            self.deliver(seen);
        }
    }

    fn prompted(&mut self) {
        let Some(command) = &mut self.command else { return };
        command.prompted = true;
        self.echo.clear(command.echoed);
        // A host that did not wait for the prompt has sent its data already.
        for byte in core::mem::take(&mut self.typed) {
            self.echo.entered(byte);
        }
    }

    fn line(&mut self, raw: &[u8], seen: &mut impl FnMut(Seen<'_>)) -> Follow {
        if self.is_echo(raw) || self.is_code_of_held(raw, seen) {
            return Follow::Nothing;
        }
        self.release(seen);
        let open = self.command.as_ref().map(Command::open);
        match read::<D>(raw, open.as_ref()) {
            Reading::Final(result) => self.final_result(result, seen),
            Reading::Result(code) => self.result_line((code == 0, Some(code)), raw, seen),
            Reading::Word(code) => self.result_line((code == 0, None), raw, seen),
            Reading::Info(line) => self.info(&line, seen),
            Reading::Urc(urc) => return self.urc(urc, raw, seen),
            Reading::Stray => self.stray(raw, seen),
        }
        Follow::Nothing
    }

    /// The echo of the last command, or a late one of those before.
    fn is_echo(&mut self, raw: &[u8]) -> bool {
        if raw == self.line.as_slice() {
            if let Some(command) = &mut self.command {
                command.echoed = true;
            }
            return true;
        }
        self.earlier.contains(&(raw.len(), content_hash(raw)))
    }

    // ---- answers -------------------------------------------------------

    fn final_result(&mut self, result: Final<'_>, seen: &mut impl FnMut(Seen<'_>)) {
        let Some(command) = self.command.take() else { return };
        self.echo.clear(false);
        self.booting = None;
        if !self.typed.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"AT")) {
            // Data to a prompt that the record does not show.
            self.typed.clear();
        }
        if result.is_ok() && command.result.is_none() && command.ends_late() {
            self.owe(&command);
            self.accepted = true;
            return;
        }
        self.doubt(&command.name, command.index);
        match (result, command.row, command.result) {
            (Ok(()), _, outcome) => {
                seen(ended::<D>(&command.name, outcome.unwrap_or((true, None))));
            }
            (Err(Failure::Error), Some(row), None) => self.held = Some(Held { row }),
            (Err(failure), _, outcome) => {
                let code = outcome.and_then(|(_, code)| code).or_else(|| number(failure));
                seen(ended::<D>(&command.name, (false, code)));
            }
        }
    }

    /// The result of the command in flight. While an earlier one of the same
    /// name is owed, success is that one's: a failure comes before ERROR, a
    /// success after OK.
    fn result_line(&mut self, outcome: Outcome, raw: &[u8], seen: &mut impl FnMut(Seen<'_>)) {
        if outcome.0 && self.late_result(raw, seen) {
            return;
        }
        if let Some(command) = &mut self.command {
            command.result = Some(outcome);
        }
    }

    /// Whether the line is the result of a command that was accepted earlier.
    fn late_result(&mut self, raw: &[u8], seen: &mut impl FnMut(Seen<'_>)) -> bool {
        let mut owed = self.owed.iter().enumerate();
        let found = owed.find_map(|(at, owed)| Some((at, owed.outcome::<D>(raw)?)));
        let Some((at, outcome)) = found else { return false };
        let Owed { name, index, ending, .. } = self.owed.remove(at);
        self.doubt(&name, index);
        if ending == Ending::Information {
            seen(Seen::Info(raw));
        }
        seen(ended::<D>(&name, outcome));
        true
    }

    /// A final result while no command is in flight. OK is of no meaning.
    fn stray(&mut self, raw: &[u8], seen: &mut impl FnMut(Seen<'_>)) {
        let failure = match read::<D>(raw, Some(&Open { name: b"AT", form: Form::Action })) {
            Reading::Final(Err(failure)) => failure,
            _ => return,
        };
        match if self.accepted { self.owed.pop() } else { None } {
            Some(owed) => {
                seen(ended::<D>(&owed.name, (false, number(failure))));
            }
            None => seen(Seen::Urc(raw)),
        }
        self.accepted = false;
    }

    /// The result line that tells the code of an ERROR that came before it.
    fn is_code_of_held(&mut self, raw: &[u8], seen: &mut impl FnMut(Seen<'_>)) -> bool {
        let code = self.held.and_then(|held| code_of::<D>(held.row, raw));
        let (Some(code), Some(held)) = (code, self.held) else { return false };
        self.held = None;
        seen(ended::<D>(held.row.name.as_bytes(), (false, Some(code))));
        true
    }

    /// No code follows the ERROR that was held back.
    fn release(&mut self, seen: &mut impl FnMut(Seen<'_>)) {
        if let Some(held) = self.held.take() {
            seen(ended::<D>(held.row.name.as_bytes(), (false, None)));
        }
    }

    fn info(&mut self, line: &Line<'_>, seen: &mut impl FnMut(Seen<'_>)) {
        let Some(command) = &mut self.command else { return };
        if line.name == command.name.as_slice() {
            command.informed = true;
        } else if !D::is_information(&command.name, line.name) {
            let mute = command.set && !command.informed;
            if mute || self.is_damaged_echo(line.raw) {
                return self.other(line.raw, seen);
            }
            if self.late_result(line.raw, seen) {
                return;
            }
        }
        seen(Seen::Info(line.raw));
        if let Some(command) = self.command.take_if(|c| c.ending == Ending::Information) {
            seen(ended::<D>(&command.name, (true, None)));
        }
    }

    // ---- unsolicited ---------------------------------------------------

    fn urc(&mut self, urc: Urc<'_>, raw: &[u8], seen: &mut impl FnMut(Seen<'_>)) -> Follow {
        match urc {
            Urc::MessageStart { session, topic, payload } => {
                self.orphan = None;
                self.inbox.begin(session, topic, payload);
                self.deliver(seen);
            }
            Urc::TopicPart { session, len } => {
                self.topic_part(session);
                return Follow::Data(len);
            }
            Urc::PayloadPart { session, len } => {
                self.payload_part(session, len, raw, seen);
                return Follow::Data(len);
            }
            Urc::MessageEnd { session } => self.message_end(session, raw, seen),
            Urc::Lost { session, loss } => seen(Seen::Lost { session, loss }),
            Urc::NetworkLost { .. } => seen(Seen::NetworkLost),
            Urc::Restarted => self.restarted(raw, seen),
            Urc::Waiting { slot } => seen(Seen::Waiting(slot)),
            Urc::Progress => {}
            Urc::Prompt if self.awaits_prompt() => self.prompted(),
            Urc::Message { .. } | Urc::Prompt | Urc::Other => self.other(raw, seen),
        }
        Follow::Nothing
    }

    fn other(&mut self, raw: &[u8], seen: &mut impl FnMut(Seen<'_>)) {
        if raw == [D::PROMPT] || self.late_result(raw, seen) {
            return;
        }
        let line = Line::parse(raw);
        let waits = |owed: &Owed| owed.row.is_none() && D::is_information(&owed.name, line.name);
        if self.owed.iter().any(waits) {
            seen(Seen::Info(raw));
        } else if let Some(message) = D::uncounted(&line) {
            self.uncounted(message.session, message.topic, message.payload, seen);
        } else if urc_row::<D>(line.name).is_some() || !self.is_damaged_echo(raw) {
            seen(Seen::Urc(raw));
        }
    }

    /// Only the first sign of a boot is one; the same sign again is another
    /// boot, unless it is known to come twice.
    fn restarted(&mut self, raw: &[u8], seen: &mut impl FnMut(Seen<'_>)) {
        let name = urc_row::<D>(Line::parse(raw).name).map(|row| row.name);
        let again = self.booting == name && self.boot_ms >= D::BOOT_MS;
        if self.booting.is_some() && !again {
            seen(Seen::Urc(raw));
            return;
        }
        self.booting = name;
        self.boot_ms = 0;
        self.cut(seen);
        for owed in &mut self.owed {
            owed.doubtful = true;
        }
        match &mut self.command {
            Some(command) if command.prompted => self.command = None,
            Some(command) => command.void = true,
            None => {}
        }
        self.echo.clear(false);
        seen(Seen::Restarted);
    }

    /// An echo of a command or of data that lost some bytes, or one of a
    /// command behind noise.
    fn is_damaged_echo(&self, raw: &[u8]) -> bool {
        let Some(command) = &self.command else { return false };
        let noisy = self.line.len() > 3 && raw.ends_with(&self.line);
        let of_command = !command.echoed && (noisy || resembles(raw, &self.line));
        of_command || (command.prompted && self.echo.resembles(raw))
    }

    // ---- messages ------------------------------------------------------

    fn topic_part(&mut self, session: u8) {
        self.sink = if self.inbox.is_open(session) {
            Sink::Topic(session)
        } else {
            if self.orphan != Some(session) {
                self.orphan_topic.clear();
            }
            self.orphan = Some(session);
            Sink::Orphan
        };
    }

    /// A message whose start was lost has, if any, one part of payload.
    fn payload_part(&mut self, session: u8, len: u32, raw: &[u8], seen: &mut impl FnMut(Seen<'_>)) {
        if self.inbox.is_open(session) || self.adopt(session, len) {
            self.sink = Sink::Payload(session);
        } else {
            self.sink = Sink::Nowhere;
            seen(Seen::Urc(raw));
        }
    }

    fn message_end(&mut self, session: u8, raw: &[u8], seen: &mut impl FnMut(Seen<'_>)) {
        if self.inbox.is_open(session) || self.adopt(session, 0) {
            self.inbox.end(session);
            self.deliver(seen);
        } else {
            seen(Seen::Urc(raw));
        }
    }

    /// Begins a message after the fact, from the topic that was received.
    fn adopt(&mut self, session: u8, payload: u32) -> bool {
        if self.orphan != Some(session) {
            return false;
        }
        self.orphan = None;
        self.inbox.begin(session, length(&self.orphan_topic), payload);
        self.inbox.topic(session, &self.orphan_topic);
        true
    }

    fn uncounted(
        &mut self,
        session: u8,
        topic: &[u8],
        payload: Encoding<'_>,
        seen: &mut impl FnMut(Seen<'_>),
    ) {
        self.inbox.begin(session, length(topic), payload.len());
        self.inbox.topic(session, topic);
        match payload {
            Encoding::Plain(bytes) => self.inbox.payload(session, bytes),
            Encoding::Hex(digits) => {
                for pair in digits.chunks_exact(2) {
                    self.inbox.payload(session, &[hex(pair)]);
                }
            }
        }
        self.inbox.end(session);
        self.deliver(seen);
    }

    fn deliver(&mut self, seen: &mut impl FnMut(Seen<'_>)) {
        while let Some(event) = self.inbox.front() {
            match event {
                Event::Message(message) => seen(Seen::Message(message)),
                Event::Dropped(dropped) => seen(Seen::Dropped(dropped)),
                _ => {}
            }
        }
    }

    /// Messages that are being received will not be completed.
    fn cut(&mut self, seen: &mut impl FnMut(Seen<'_>)) {
        self.inbox.cut(0);
        self.inbox.cut(1);
        self.orphan = None;
        self.sink = Sink::Nowhere;
        self.deliver(seen);
    }

    // ---- the end -------------------------------------------------------

    fn finish(&mut self, in_line: bool, in_data: bool, seen: &mut impl FnMut(Seen<'_>)) {
        self.release(seen);
        if self.command.as_ref().is_some_and(|command| command.result.is_some()) {
            self.supersede(seen);
        }
        let receiving = self.orphan.is_some() || self.inbox.is_open(0) || self.inbox.is_open(1);
        let command = self.command.as_ref().filter(|command| !command.void);
        let owed = self.owed.iter().rev().find(|owed| !owed.doubtful);
        let unfinished = match (command, owed) {
            _ if receiving || in_data => Unfinished::Message,
            (Some(command), _) if command.prompted => Unfinished::Data(&command.name),
            (Some(command), _) => Unfinished::Command(&command.name),
            (None, Some(owed)) => Unfinished::Result(&owed.name),
            (None, None) if in_line => Unfinished::Line,
            (None, None) => return,
        };
        seen(Seen::Incomplete(unfinished));
    }
}

impl<const LINE: usize> Command<LINE> {
    fn parse<D: Dialect>(line: &[u8]) -> Self {
        let line = line.trim_ascii();
        let end = line.iter().position(|b| matches!(b, b'=' | b'?')).unwrap_or(line.len());
        let (head, args) = line.split_at_checked(end).unwrap_or((line, &[]));
        let mut upper: Vec<u8, LINE> = Vec::from_slice(head.trim_ascii()).unwrap_or_default();
        upper.make_ascii_uppercase();
        let name: Vec<u8, LINE> = Vec::from_slice(name_of(&upper)).unwrap_or_default();
        let query = args.starts_with(b"?") || args.starts_with(b"=?");
        let form = if query { Form::Query } else { Form::Action };
        let row = result_row::<D>(&name).filter(|_| !query);
        let ending = D::ending(line);
        let index = args.strip_prefix(b"=").and_then(|args| {
            let digits = args.split(|b| *b == b',').next()?.trim_ascii();
            core::str::from_utf8(digits).ok()?.parse().ok()
        });
        Self {
            form,
            set: !query && !args.is_empty() && !line.windows(2).any(|w| w == b";+"),
            index: index.filter(|_| row.is_some_and(|row| row.code_at > 0)),
            name,
            row,
            ending,
            result: None,
            echoed: false,
            prompted: false,
            fed: false,
            informed: false,
            void: false,
        }
    }

    fn open(&self) -> Open<'_> {
        Open { name: &self.name, form: self.form }
    }

    /// Whether OK only means accepted.
    fn ends_late(&self) -> bool {
        self.ending != Ending::Final || self.row.is_some_and(|row| row.required)
    }
}

impl Owed {
    /// What `raw` says of it, if it is its result.
    fn outcome<D: Dialect>(&self, raw: &[u8]) -> Option<Outcome> {
        match (self.ending, self.row) {
            (Ending::Information, _) => {
                let line = Line::parse(raw);
                let own = line.name == self.name || D::is_information(&self.name, line.name);
                own.then_some((true, None))
            }
            (_, Some(row)) => {
                let code = code_of::<D>(row, raw)?;
                let index = Line::parse(raw).fields().unsigned();
                (self.index.is_none() || self.index == index).then_some((code == 0, Some(code)))
            }
            (_, None) => D::result_word(&self.name, raw).map(|code| (code == 0, None)),
        }
    }
}

/// The end of a command as records of the dialect have it.
fn ended<D: Dialect>(name: &[u8], (ok, code): Outcome) -> Seen<'_> {
    Seen::Result { name: D::record_name(name), ok, code }
}

/// What one byte was to the echo of data.
enum Echo {
    /// Part of it, so far.
    Taken,
    /// No part of it.
    No,
    /// No part of it, and neither were these bytes of the data.
    Broken { from: usize, to: usize },
}

/// Data entered at a prompt, which come back byte for byte while echo is on.
#[derive(Debug)]
struct DataEcho<const N: usize> {
    data: Vec<u8, N>,
    /// Came back for sure.
    done: usize,
    /// Looks as if it came back.
    matched: usize,
    /// Nothing came since the prompt.
    first: bool,
    /// The command itself came back.
    echoed: bool,
}

impl<const N: usize> DataEcho<N> {
    const fn new() -> Self {
        Self { data: Vec::new(), done: 0, matched: 0, first: true, echoed: false }
    }

    fn clear(&mut self, echoed: bool) {
        self.data.clear();
        self.done = 0;
        self.matched = 0;
        self.first = true;
        self.echoed = echoed;
    }

    fn entered(&mut self, byte: u8) {
        let _ = self.data.push(byte);
    }

    fn is_open(&self) -> bool {
        self.done < self.data.len()
    }

    /// Compares a byte; an echo begins right after the prompt or, if the
    /// modem is known to echo, at the start of a later line. A modem that does
    /// not begins its answer with CR LF.
    fn take(&mut self, byte: u8, at_start: bool) -> Echo {
        let next = self.done.saturating_add(self.matched);
        let may_begin = match self.data.get(self.done) {
            Some(b'\r' | b'\n') => self.echoed && at_start,
            _ => at_start && (self.first || self.echoed),
        };
        if (self.matched > 0 || may_begin) && self.data.get(next) == Some(&byte) {
            self.matched = self.matched.saturating_add(1);
            return Echo::Taken;
        }
        let from = self.done;
        self.first &= byte == b' ' && self.matched == 0;
        self.matched = 0;
        if next == from {
            Echo::No
        } else if next == self.data.len() {
            self.done = next;
            Echo::No
        } else {
            Echo::Broken { from, to: next }
        }
    }

    fn resembles(&self, raw: &[u8]) -> bool {
        let mut lines = self.data.split(|b| matches!(b, b'\r' | b'\n'));
        lines.any(|line| raw == line || resembles(raw, line))
    }
}

/// Whether the largest number in a command line is the length of `data`, line
/// ends behind them not counted.
fn announces(line: &[u8], data: &[u8]) -> bool {
    let numbers = line.split(|b| !b.is_ascii_digit());
    let numbers = numbers.filter_map(|digits| core::str::from_utf8(digits).ok()?.parse().ok());
    let behind = numbers.max().and_then(|length: usize| data.get(length..));
    behind.is_some_and(|behind| behind.iter().all(|b| matches!(b, b'\r' | b'\n')))
}

/// Whether `part` can be what damage has left of `whole`: its beginning, its
/// end, or at least half of it in the right order.
fn resembles(part: &[u8], whole: &[u8]) -> bool {
    if part.len() >= whole.len() {
        return false;
    }
    let end = whole.starts_with(part) || whole.ends_with(part);
    if end && part.iter().any(u8::is_ascii_alphabetic) {
        return true;
    }
    let mut rest = whole.iter();
    part.len().saturating_mul(2) >= whole.len() && part.iter().all(|b| rest.any(|w| w == b))
}

/// The code in a result line of that kind, if `raw` is one.
fn code_of<D: Dialect>(row: &ResultRow, raw: &[u8]) -> Option<i32> {
    let open = Open { name: row.name.as_bytes(), form: Form::Action };
    match read::<D>(raw, Some(&open)) {
        Reading::Result(code) => Some(code),
        _ => None,
    }
}

fn number(failure: Failure<'_>) -> Option<i32> {
    Code::from(failure).number()
}

fn hex(pair: &[u8]) -> u8 {
    let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    pair.iter().filter_map(digit).fold(0, |byte, digit| (byte << 4) | digit)
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
