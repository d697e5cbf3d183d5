//! The state machine that runs a dialect's scripts: one command in flight,
//! unsolicited lines and messages at any time, answers that nobody waits for
//! any more, deadlines.
//!
//! Rules:
//!
//! 1. Everything that changes the state of the line protocol lives here.
//! 2. A command has ended when its final result is there and, if it has one,
//!    its result line, in either order; or with an error and, a moment later,
//!    without the line that would have told its code.
//! 3. Whatever leaves an answer owed (a timeout, a dropped future, a restart)
//!    makes the engine unsure, and an unsure engine runs the dialect's sync
//!    script before the next operation.
//! 4. A data phase that was opened is filled up, by the caller's bytes or by
//!    CRs, which are empty commands once it is over.
//! 5. When the caller's operation is not lent any more, the command in flight
//!    is brought to its end and nothing further is begun.

use super::{
    command::{Field, Scope, Writer, fingerprint, name},
    dialect::{Dialect, Form, Open, Reading, Urc, read, result_row},
    framer::{Frame, Framer},
    script::{Answer, Current, Then},
};
use crate::{
    WIDE,
    clock::Instant,
    fmt,
    inbox::Inbox,
    machine::{Machine, Operation, Verb},
    mqtt::{
        Assurance, Capabilities, Code, Error, Event, Feature, Field as FieldName, FieldError,
        Limits, LinkState, Loss, Problem, QoS, Status,
    },
};

/// Fills up a data phase. Once it is over these are empty commands.
const FILL: &[u8; 64] = &[b'\r'; 64];
/// Ends a half-written command so that it cannot be taken for a whole one:
/// inside quotes it closes them early, outside it opens them.
const SPOIL: &[u8] = b"\"!\r";
/// How much a flush sends before it listens, in bytes and milliseconds.
const FLUSH_SLICE: u16 = 512;
const FLUSH_PAUSE_MS: u32 = 60;

/// A point in the engine's own time: milliseconds that wrap around. Half the
/// size of an [`Instant`], and enough for points that are days apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment(u32);

/// No more than this passes at once, so that whatever is due stays due.
const FAR: u32 = 1 << 30;

impl Moment {
    const fn after_millis(self, millis: u32) -> Self {
        Self(self.0.wrapping_add(millis))
    }

    const fn has_reached(self, at: Self) -> bool {
        self.0.wrapping_sub(at.0) < 1 << 31
    }

    const fn earlier(self, other: Self) -> Self {
        if self.has_reached(other) { other } else { self }
    }
}

/// Enough of a time to tell how far it is from another, days apart at most.
#[allow(clippy::cast_possible_truncation, reason = "that is what is meant")]
const fn low(at: Instant) -> u32 {
    at.as_millis() as u32
}

/// What is going on between the engine and the modem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing.
    Idle,
    /// The step at hand begins when this time has come.
    Ready(Option<Moment>),
    /// Its line goes out.
    Line,
    /// Its terminator goes out, or [`SPOIL`] instead.
    End { spoil: bool, sent: u8 },
    /// Its answer is awaited.
    Answer,
    /// Its data go out; a slice may have to wait.
    Data { sent: u32, hold: Option<Moment> },
    /// A data phase is filled up.
    Fill { left: u32 },
    /// A data phase that may be open is filled up, slice by slice.
    Flush { left: u32, slice: u16, until: Option<Moment>, script: u8 },
}

/// The operation at hand.
#[derive(Clone, Copy, Debug)]
struct Run {
    verb: Verb,
    script: u8,
    step: u8,
    item: u8,
    items: u8,
    tries: u8,
    until: Moment,
    /// The sync script runs, and where to go on after it: script, step, item.
    sync: bool,
    resume: (u8, u8, u8),
    /// A command that got no answer was repeated already.
    repeated: bool,
    /// The caller is gone.
    abandoned: bool,
    /// Something that may have an effect was sent.
    begun: bool,
    /// Nobody asked for it but the engine itself.
    own: bool,
}

impl Run {
    /// A run that has not begun.
    const fn new(verb: Verb, script: u8, items: u8, until: Moment) -> Self {
        Self {
            verb,
            script,
            step: 0,
            item: 0,
            items,
            tries: 0,
            until,
            sync: false,
            resume: (0, 0, 0),
            repeated: false,
            abandoned: false,
            begun: false,
            own: false,
        }
    }
}

/// What the engine's own runs are about.
static OWN: Operation<'static> = Operation::Status;

/// The command in flight.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    name: &'static [u8],
    form: Form,
    required: bool,
    /// Finals count from here on.
    valid: bool,
    /// Bytes that go out at the prompt.
    data: u32,
    /// Those of them that nobody has, to be filled up after the step's gap.
    missing: u32,
    prompted: bool,
    echoed: bool,
    echo_print: u32,
    echo_len: u16,
    outcome: Option<Result<(), Code>>,
    result: Option<i32>,
    deadline: Moment,
    loss: Option<Loss>,
}

impl Exchange {
    const NONE: Self = Self {
        name: b"",
        form: Form::Action,
        required: false,
        valid: false,
        data: 0,
        missing: 0,
        prompted: false,
        echoed: false,
        echo_print: 0,
        echo_len: 0,
        outcome: None,
        result: None,
        deadline: Moment(0),
        loss: None,
    };

    /// The answer, once nothing more can come.
    fn complete(&self) -> Option<Answer> {
        match (self.outcome?, self.result) {
            (_, Some(code)) if code != 0 => Some(Answer::Failed(Code::Vendor(code))),
            (Err(code), _) if !matches!(code, Code::None) || !self.may_have_result() => {
                Some(Answer::Failed(code))
            }
            (Ok(()), None) if self.required => None,
            (Ok(()), _) => Some(Answer::Ok),
            (Err(_), _) => None,
        }
    }

    const fn may_have_result(&self) -> bool {
        self.required && self.result.is_none()
    }

    /// The answer if nothing more comes.
    fn settle(&self) -> Answer {
        match (self.outcome, self.result) {
            (_, Some(code)) if code != 0 => Answer::Failed(Code::Vendor(code)),
            (Some(Err(code)), _) => Answer::Failed(code),
            _ => Answer::Silence,
        }
    }

    /// Whether one half of the answer says already that it is a failure.
    fn is_half(&self) -> bool {
        matches!(self.settle(), Answer::Failed(_))
    }
}

/// Where counted data go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sink {
    Nowhere,
    Topic(u8),
    Payload(u8),
    /// The whole payload of a message whose topic stood in the line.
    Message(u8),
}

/// What the framer has to do after a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follow {
    Nothing,
    Data(u32),
    Inline(u32),
}

/// What goes out next.
#[derive(Clone, Copy, Debug)]
enum Out {
    Nothing,
    Piece,
    Fixed(&'static [u8]),
    Data { from: u32, to: u32 },
}

/// Runs the scripts of a dialect. `LINE` is the longest line that can be read,
/// `INBOX` the bytes for messages and events not yet taken.
#[derive(Debug)]
pub struct Engine<D: Dialect, const LINE: usize, const INBOX: usize> {
    framer: Framer<LINE>,
    control: Control<D, INBOX>,
}

impl<D: Dialect, const LINE: usize, const INBOX: usize> Engine<D, LINE, INBOX> {
    /// An engine for a modem of which nothing is known yet.
    #[must_use]
    pub const fn new(dialect: D) -> Self {
        Self { framer: Framer::new(D::MARK, D::PROMPT), control: Control::new(dialect) }
    }

    /// Whether lines that nobody asked for and that have no meaning here
    /// become [`Event::Urc`]; they do not unless set.
    #[must_use]
    pub const fn report_urcs(mut self, yes: bool) -> Self {
        self.control.report_urcs = yes;
        self
    }

    /// The dialect, with what it knows of the modem.
    #[must_use]
    pub const fn dialect(&self) -> &D {
        &self.control.dialect
    }

    /// How many lines were too long for the line buffer.
    #[must_use]
    pub const fn overflows(&self) -> u32 {
        self.control.overflows as u32
    }

    /// When a result in words that has no line end, though it is all there,
    /// is taken for one.
    fn unended_word(&self) -> Option<Moment> {
        let control = &self.control;
        let line = self.framer.partial_line();
        let accepted = control.exchange.outcome.is_some() && control.exchange.required;
        let awaited = accepted && matches!(control.stage, Stage::Answer);
        let word = awaited && D::result_word(control.exchange.name, line).is_some();
        word.then(|| control.heard().after_millis(D::GRACE_MS))
    }

    /// Takes bytes that may be more than a piece of a line.
    #[inline(never)]
    fn take(&mut self, bytes: &[u8], now: Instant) {
        let control = &mut self.control;
        let mut input = bytes;
        control.told(now);
        while !input.is_empty() {
            let frame = self.framer.next(&mut input, || control.awaits_prompt());
            let Some(frame) = frame else { break };
            match control.frame(frame) {
                Follow::Nothing => {}
                Follow::Data(count) => self.framer.expect_data(count),
                Follow::Inline(count) => self.framer.expect_inline(count),
            }
            if matches!(control.sink, Sink::Message(_)) && self.framer.data_left() == 0 {
                control.end_inline();
            }
        }
    }
}

impl<D: Dialect, const LINE: usize, const INBOX: usize> Machine for Engine<D, LINE, INBOX> {
    fn capabilities(&self) -> Capabilities {
        self.control.dialect.capabilities()
    }

    fn limits(&self) -> Limits {
        self.control.dialect.limits()
    }

    fn assurance(&self, qos: QoS) -> Assurance {
        self.control.dialect.assurance(qos)
    }

    fn select(&mut self, session: u8) -> Result<(), Error> {
        if session > 0 {
            let able = if session > 1 { Capabilities::empty() } else { self.capabilities() };
            able.require(Capabilities::SECOND_SESSION, Feature::SecondSession)?;
        }
        self.control.session = session;
        Ok(())
    }

    fn start(&mut self, operation: &Operation<'_>, now: Instant) -> Result<(), Error> {
        self.control.start(operation, now)
    }

    #[inline]
    fn receive(&mut self, bytes: &[u8], now: Instant) {
        self.control.last_byte = low(now);
        match bytes {
            [byte] if WIDE && self.framer.push(*byte) => {}
            data if WIDE && self.framer.push_data(data.len()) => self.control.data(data),
            _ => self.take(bytes, now),
        }
    }

    fn tick(&mut self, now: Instant) {
        self.control.told(now);
        let moment = self.control.now;
        let stalled = self.framer.data_left() > 0 || self.control.is_receiving();
        if stalled && moment.has_reached(self.control.stall()) {
            self.framer.forget();
            self.control.cut();
        }
        if self.unended_word().is_some_and(|at| moment.has_reached(at)) {
            self.take(b"\r", now);
        }
        self.control.expire();
    }

    fn transmit<'a>(
        &'a mut self,
        operation: Option<&'a Operation<'a>>,
        now: Instant,
    ) -> Option<&'a [u8]> {
        self.control.told(now);
        let out = self.control.next_out(operation);
        if let Out::Data { from: 0, .. } = out {
            if self.control.exchange.echoed && D::DATA_ECHO && self.framer.data_left() == 0 {
                self.control.sink = Sink::Nowhere;
                self.framer.expect_echo(self.control.exchange.data);
            }
        }
        let control = &mut self.control;
        let operation = if control.run.own { Some(&OWN) } else { operation };
        match (out, operation) {
            (Out::Fixed(bytes), _) => Some(bytes),
            (Out::Piece, Some(operation)) => {
                let scope = control.scope(operation);
                let line = control.step()?.line();
                control.writer.piece(line, &scope)
            }
            (Out::Data { from, to }, Some(operation)) => {
                let Field::Bytes(data) = control.scope(operation).field(control.step()?.data()?)
                else {
                    return None;
                };
                data.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)
            }
            _ => None,
        }
    }

    fn sent(&mut self, count: usize) {
        self.control.sent(count);
    }

    fn deadline(&self) -> Option<Instant> {
        let mut due = self.control.deadline();
        let mut also = |at| due = Some(due.map_or(at, |due| at.earlier(due)));
        if let Some(word) = self.unended_word() {
            also(word);
        }
        if self.framer.data_left() > 0 || self.control.is_receiving() {
            also(self.control.stall());
        }
        due.map(|at| self.control.instant(at))
    }

    fn outcome(&mut self) -> Option<Result<(), Error>> {
        self.control.outcome.take()
    }

    fn abandon(&mut self, unsure: usize) {
        self.control.abandon(unsure);
    }

    fn is_idle(&self) -> bool {
        let control = &self.control;
        matches!(control.stage, Stage::Idle) && control.pending.is_none() && !control.fetch_due
    }

    #[inline]
    fn has_event(&self) -> bool {
        self.control.inbox.has_event()
    }

    fn event(&mut self) -> Option<Event<'_>> {
        self.control.inbox.front()
    }

    fn link(&self) -> LinkState {
        self.control.link()
    }

    fn status(&self) -> Status {
        Status { link: self.link(), ..self.control.dialect.status() }
    }
}

/// All of the engine but the framer, whose lines it reads.
#[derive(Debug)]
struct Control<D: Dialect, const INBOX: usize> {
    dialect: D,
    inbox: Inbox<INBOX>,
    writer: Writer,
    stage: Stage,
    run: Run,
    exchange: Exchange,
    pending: Option<Verb>,
    outcome: Option<Result<(), Error>>,
    /// The verb of the outcome, if it may have taken effect.
    untold: Option<Verb>,
    sink: Sink,
    /// Whether answers are those of the commands sent.
    synced: bool,
    /// Nothing is known of the modem.
    fresh: bool,
    /// A data phase may be open.
    open_data: bool,
    session: u8,
    links: [LinkState; 2],
    /// The slots in which messages wait, those of them that were told of since
    /// they were last fetched, and whether they are to be fetched.
    waiting: u16,
    waiting_since: u16,
    fetch_due: bool,
    /// Until when the boot that was told of last may say so again.
    booting: Instant,
    /// The time as last told, and what it is here.
    told: Instant,
    now: Moment,
    /// The [`low`] part of when the last byte came.
    last_byte: u32,
    overflows: u16,
    report_urcs: bool,
}

impl<D: Dialect, const INBOX: usize> Control<D, INBOX> {
    const fn new(dialect: D) -> Self {
        Self {
            dialect,
            inbox: Inbox::new(),
            writer: Writer::new(),
            stage: Stage::Idle,
            run: Run::new(Verb::Status, 0, 1, Moment(0)),
            exchange: Exchange::NONE,
            pending: None,
            outcome: None,
            untold: None,
            sink: Sink::Nowhere,
            synced: false,
            fresh: true,
            open_data: false,
            session: 0,
            links: [LinkState::Idle; 2],
            waiting: 0,
            waiting_since: 0,
            fetch_due: false,
            booting: Instant::from_millis(0),
            told: Instant::from_millis(0),
            now: Moment(0),
            last_byte: 0,
            overflows: 0,
            report_urcs: false,
        }
    }

    /// It is `now`.
    #[inline]
    fn told(&mut self, now: Instant) {
        if now == self.told {
            return;
        }
        let passed = now.as_millis().saturating_sub(self.told.as_millis());
        self.told = now;
        self.now = self.now.after_millis(u32::try_from(passed).unwrap_or(FAR).min(FAR));
    }

    /// When the last byte came.
    fn heard(&self) -> Moment {
        self.now.after_millis(self.last_byte.wrapping_sub(low(self.told)))
    }

    /// A point that lies ahead, or the present.
    fn instant(&self, at: Moment) -> Instant {
        let left = if self.now.has_reached(at) { 0 } else { at.0.wrapping_sub(self.now.0) };
        self.told.after_millis(left)
    }

    #[inline(never)]
    fn scope<'a>(&self, operation: &'a Operation<'a>) -> Scope<'a> {
        let own = self.dialect.numbers();
        Scope { operation, item: self.run.item, session: self.session, own, piece: D::FILE_PIECE }
    }

    fn step(&self) -> Option<Current<D>> {
        D::PROGRAM.step(self.run.script, self.run.step)
    }

    fn link(&self) -> LinkState {
        self.links.get(usize::from(self.session)).copied().unwrap_or_default()
    }

    fn set_link(&mut self, session: u8, state: LinkState) {
        if let Some(link) = self.links.get_mut(usize::from(session)) {
            *link = state;
        }
    }

    // ---- beginning -----------------------------------------------------

    fn start(&mut self, operation: &Operation<'_>, now: Instant) -> Result<(), Error> {
        self.told(now);
        let verb = operation.verb();
        operation.check(self.dialect.capabilities(), &self.dialect.limits())?;
        self.dialect.check(&self.scope(operation))?;
        self.check_link(verb)?;
        let items = operation.items(D::FILE_PIECE);
        if items == 0 {
            let problem = Problem::Empty;
            return Err(FieldError { field: FieldName::Filters, problem }.into());
        }
        FieldError::at_most(FieldName::Filters, u8::MAX.into(), items)?;
        self.outcome = None;
        self.untold = None;
        self.pending = Some(verb);
        Ok(())
    }

    /// Refuses what needs a connection where there is none.
    fn check_link(&self, verb: Verb) -> Result<(), Error> {
        if !matches!(verb, Verb::Publish | Verb::Subscribe | Verb::Unsubscribe) {
            return Ok(());
        }
        match self.link() {
            LinkState::Connected => Ok(()),
            LinkState::Lost(loss) => Err(Error::Lost(loss)),
            LinkState::Idle | LinkState::Connecting => Err(Error::NotConnected),
        }
    }

    fn begin(&mut self, verb: Verb, operation: &Operation<'_>) {
        let script = self.dialect.script_of(verb);
        let items = u8::try_from(operation.items(D::FILE_PIECE)).unwrap_or(u8::MAX);
        let until = self.now.after_millis(self.dialect.patience_ms(verb));
        self.run = Run::new(verb, script, items, until);
        self.stage = Stage::Ready(None);
        if !self.synced {
            self.synchronize();
        }
        if verb == Verb::Connect {
            self.set_link(self.session, LinkState::Connecting);
        }
        let scope = self.scope(operation);
        self.dialect.begin(&scope);
    }

    /// Begins to fetch the messages that wait in the modem, if there are any.
    fn begin_fetch(&mut self) -> bool {
        if !core::mem::take(&mut self.fetch_due) {
            return false;
        }
        let Some(script) = self.dialect.fetch() else { return false };
        self.waiting_since = 0;
        self.begin(Verb::Status, &OWN);
        self.run.own = true;
        if self.run.sync {
            self.run.resume = (script, 0, 0);
        } else {
            self.goto(script);
        }
        true
    }

    /// Runs the sync script, then goes on where the run is now.
    fn synchronize(&mut self) {
        let Run { script, step, item, .. } = self.run;
        self.run.resume = (script, step, item);
        self.run.sync = true;
        let sync = D::sync(self.fresh);
        if self.open_data {
            self.flush(sync);
        } else {
            self.goto(sync);
        }
    }

    /// As many bytes as fill up any data phase, and what they begin with.
    const FLUSH: u32 = D::LONGEST_DATA.saturating_add(1).saturating_add(SPOIL.len() as u32);

    fn flush(&mut self, script: u8) {
        let left = Self::FLUSH;
        self.stage = Stage::Flush { left, slice: FLUSH_SLICE, until: None, script };
    }

    // ---- sending -------------------------------------------------------

    /// Decides what goes out next, beginning steps as they fall due.
    fn next_out(&mut self, lent: Option<&Operation<'_>>) -> Out {
        loop {
            let operation = if self.run.own { Some(&OWN) } else { lent };
            match self.stage {
                Stage::Idle => {
                    let (Some(verb), Some(operation)) = (self.pending, operation) else {
                        if self.begin_fetch() {
                            continue;
                        }
                        return Out::Nothing;
                    };
                    self.pending = None;
                    self.begin(verb, operation);
                }
                Stage::Ready(at) => {
                    if at.is_some_and(|at| !self.now.has_reached(at)) {
                        return Out::Nothing;
                    }
                    if self.run.abandoned {
                        self.end_run();
                        continue;
                    }
                    let Some(operation) = operation else { return Out::Nothing };
                    self.next_step(operation);
                }
                Stage::Line => {
                    let (Some(operation), Some(step)) = (operation, self.step()) else {
                        return Out::Nothing;
                    };
                    let scope = self.scope(operation);
                    if self.writer.piece(step.line(), &scope).is_some() {
                        return Out::Piece;
                    }
                    self.stage = Stage::End { spoil: false, sent: 0 };
                }
                Stage::End { spoil: true, sent } => {
                    return Out::Fixed(SPOIL.get(usize::from(sent)..).unwrap_or_default());
                }
                Stage::End { spoil: false, sent } => {
                    return Out::Fixed(D::TERMINATOR.get(usize::from(sent)..).unwrap_or_default());
                }
                Stage::Answer => return Out::Nothing,
                Stage::Data { sent, hold } => return self.next_data(sent, hold),
                Stage::Fill { left } => return fill(left),
                Stage::Flush { left: 0, script, .. } => {
                    self.goto(script);
                    self.stage = Stage::Ready(Some(self.now.after_millis(D::DATA_GAP_MS)));
                }
                Stage::Flush { left, slice, until: None, .. } => {
                    // What is open may be a command, of which the end was lost.
                    let begun = usize::try_from(Self::FLUSH.saturating_sub(left));
                    return match SPOIL.get(begun.unwrap_or(usize::MAX)..) {
                        None | Some([]) => fill(left.min(slice.into())),
                        Some(spoil) => Out::Fixed(spoil),
                    };
                }
                Stage::Flush { .. } => return Out::Nothing,
            }
        }
    }

    fn next_step(&mut self, operation: &Operation<'_>) {
        let Some(step) = self.step() else {
            if self.run.sync {
                self.run.sync = false;
                self.synced = true;
                self.open_data = false;
                self.fresh = false;
                if let Err(error) = self.check_link(self.run.verb) {
                    // It was there when the operation was begun.
                    self.conclude(Err(error));
                    return;
                }
                let (script, step, item) = self.run.resume;
                self.goto(script);
                self.run.step = step;
                self.run.item = item;
            } else {
                self.finish();
            }
            return;
        };
        let scope = self.scope(operation);
        if step.when().is_some_and(|when| !when(&self.dialect, &scope)) {
            self.run.step = self.run.step.wrapping_add(1);
            return;
        }
        let line = step.line();
        if line.is_empty() {
            self.go_on(step, Answer::Ok);
            return;
        }
        let (len, echo_print) = Writer::measure(line, &scope);
        let name = name(line);
        let action = line.last() != Some(&b'?');
        let data = match step.data().map(|data| scope.field(data)) {
            Some(Field::Bytes(bytes)) => u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            _ => 0,
        };
        self.exchange = Exchange {
            name,
            form: if action { Form::Action } else { Form::Query },
            required: match step.awaits() {
                Some(awaits) => awaits(&self.dialect, &scope),
                None => action && result_row::<D>(name).is_some_and(|row| row.required),
            },
            valid: !step.is_marked(),
            data,
            echo_print,
            echo_len: u16::try_from(len).unwrap_or(u16::MAX),
            deadline: self.answer_by(step),
            ..Exchange::NONE
        };
        self.writer.restart();
        self.stage = Stage::Line;
    }

    fn next_data(&mut self, sent: u32, hold: Option<Moment>) -> Out {
        let slice = self.step().map_or(0, |step| step.slice());
        let total = self.exchange.data;
        let done = sent.checked_rem(slice).unwrap_or(0);
        if slice > 0 && sent > 0 && done == 0 {
            let until = hold.unwrap_or_else(|| self.now.after_millis(D::SLICE_PAUSE_MS));
            self.stage = Stage::Data { sent, hold: Some(until) };
            if !self.now.has_reached(until) {
                return Out::Nothing;
            }
        }
        let room = if slice > 0 { slice.saturating_sub(done) } else { u32::MAX };
        Out::Data { from: sent, to: total.min(sent.saturating_add(room)) }
    }

    fn sent(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let amount = u32::try_from(count).unwrap_or(u32::MAX);
        match self.stage {
            Stage::Line => {
                self.writer.advance(count);
                self.run.begun = true;
            }
            Stage::End { spoil, sent } => {
                let end = if spoil { SPOIL } else { D::TERMINATOR };
                let sent = sent.saturating_add(u8::try_from(count).unwrap_or(u8::MAX));
                self.stage = Stage::End { spoil, sent };
                if usize::from(sent) >= end.len() {
                    self.await_answer();
                }
            }
            Stage::Data { sent, .. } => {
                let sent = sent.saturating_add(amount);
                self.stage = Stage::Data { sent, hold: None };
                if sent >= self.exchange.data {
                    self.await_answer();
                } else {
                    self.extend_deadline();
                }
            }
            Stage::Fill { left } if left <= amount => self.await_answer(),
            Stage::Fill { left } => {
                self.stage = Stage::Fill { left: left.saturating_sub(amount) };
                self.extend_deadline();
            }
            Stage::Flush { left, slice, script, .. } => {
                let left = left.saturating_sub(amount);
                let slice = slice.saturating_sub(u16::try_from(count).unwrap_or(u16::MAX));
                let until = (slice == 0).then(|| self.now.after_millis(FLUSH_PAUSE_MS));
                self.stage = Stage::Flush { left: left.max(1), slice, until, script };
            }
            Stage::Idle | Stage::Ready(_) | Stage::Answer => {}
        }
    }

    fn await_answer(&mut self) {
        self.stage = Stage::Answer;
        self.extend_deadline();
    }

    fn extend_deadline(&mut self) {
        self.exchange.deadline = self.step().map_or(self.now, |step| self.answer_by(step));
    }

    /// When the whole answer to a step that begins now must be there.
    fn answer_by(&self, step: Current<D>) -> Moment {
        self.now.after_millis(self.dialect.answer_ms(step.line(), step.within_ms()))
    }

    // ---- receiving -----------------------------------------------------

    /// Whether the command in flight waits to hand over its data.
    fn awaits_prompt(&self) -> bool {
        let waits = matches!(self.stage, Stage::Answer) && self.exchange.data > 0;
        waits && !self.exchange.prompted
    }

    #[inline]
    fn frame(&mut self, frame: Frame<'_>) -> Follow {
        match frame {
            Frame::Data(data) => {
                self.data(data);
                Follow::Nothing
            }
            Frame::Line(raw) => self.line(raw),
            Frame::Marked(raw) => self.marked(raw, false),
            Frame::Clipped(raw) => self.marked(raw, true),
            Frame::Prompt => {
                self.prompted();
                Follow::Nothing
            }
            Frame::Overflow(_) => {
                self.overflows = self.overflows.saturating_add(1);
                // Whatever it said is lost, and not in silence.
                self.inbox.miss();
                Follow::Nothing
            }
        }
    }

    #[inline]
    fn data(&mut self, data: &[u8]) {
        match self.sink {
            Sink::Payload(session) | Sink::Message(session) => self.inbox.payload(session, data),
            Sink::Topic(session) => self.inbox.topic(session, data),
            Sink::Nowhere => {}
        }
    }

    /// Data may follow here. Of a clipped line the topic is not known, and its
    /// message is counted only.
    fn marked(&mut self, raw: &[u8], clipped: bool) -> Follow {
        let Some(Urc::Message { session, topic, payload }) = D::inline(raw) else {
            return Follow::Nothing;
        };
        if clipped {
            self.inbox.count_dropped(1, payload);
            self.sink = Sink::Nowhere;
            return Follow::Inline(payload);
        }
        let topic_len = u32::try_from(topic.len()).unwrap_or(u32::MAX);
        self.inbox.begin(session, topic_len, payload);
        self.inbox.topic(session, topic);
        self.sink = Sink::Message(session);
        Follow::Inline(payload)
    }

    fn end_inline(&mut self) {
        if let Sink::Message(session) = self.sink {
            self.inbox.end(session);
            self.sink = Sink::Nowhere;
        }
    }

    fn line(&mut self, raw: &[u8]) -> Follow {
        if self.is_echo(raw) {
            self.exchange.echoed = true;
            return Follow::Nothing;
        }
        let waits = matches!(self.stage, Stage::Answer | Stage::Data { .. } | Stage::Fill { .. });
        let open = Open { name: self.exchange.name, form: self.exchange.form };
        match read::<D>(raw, if waits { Some(&open) } else { None }) {
            Reading::Final(result) => self.final_result(result.map_err(Code::from)),
            Reading::Result(code) | Reading::Word(code) => self.exchange.result = Some(code),
            Reading::Info(line) => {
                if let Some(info) = self.step().and_then(|step| step.info()) {
                    info(&mut self.dialect, &line);
                }
                self.exchange.valid |= line.name == self.exchange.name;
            }
            Reading::Urc(urc) => return self.urc(urc, raw),
            Reading::Stray => {
                if let Stage::Flush { script, .. } = self.stage {
                    self.open_data = false;
                    self.dialect.filled_up();
                    self.goto(script);
                }
            }
        }
        self.settle();
        Follow::Nothing
    }

    /// The echo of the command in flight: same length, same fingerprint.
    fn is_echo(&self, raw: &[u8]) -> bool {
        matches!(self.stage, Stage::Answer)
            && raw.len() == usize::from(self.exchange.echo_len)
            && raw.starts_with(b"A")
            && fingerprint(raw) == self.exchange.echo_print
    }

    fn final_result(&mut self, result: Result<(), Code>) {
        let exchange = &mut self.exchange;
        let too_early = exchange.data > 0 && !exchange.prompted && result.is_ok();
        if !exchange.valid || too_early {
            return;
        }
        exchange.outcome = Some(result);
        if core::mem::take(&mut exchange.missing) > 0 {
            // The modem has ended the phase that was to be filled up.
            self.extend_deadline();
        } else if !matches!(self.stage, Stage::Answer) {
            // The modem ended the data phase before it had all of them.
            exchange.outcome = Some(result.and(Err(Code::None)));
            self.synced = false;
            self.stage = Stage::Answer;
        }
    }

    fn prompted(&mut self) {
        self.exchange.prompted = true;
        self.open_data = true;
        self.stage = Stage::Data { sent: 0, hold: None };
        self.extend_deadline();
        if self.run.abandoned {
            self.leave_data(0);
        }
    }

    /// Nobody has the rest of the data: fills the phase up, or first waits for
    /// the modem to end it.
    fn leave_data(&mut self, sent: u32) {
        let gap = self.step().map_or(0, |step| step.gap_ms());
        let left = self.exchange.data.saturating_sub(sent).max(1);
        if gap > 0 {
            self.stage = Stage::Answer;
            self.exchange.missing = left;
            self.exchange.deadline = self.now.after_millis(gap);
        } else {
            self.stage = Stage::Fill { left };
        }
    }

    fn urc(&mut self, urc: Urc<'_>, raw: &[u8]) -> Follow {
        match urc {
            Urc::MessageStart { session, topic, payload } => {
                self.inbox.begin(session, topic, payload);
            }
            Urc::TopicPart { session, len } => {
                self.sink = Sink::Topic(session);
                return Follow::Data(len);
            }
            Urc::PayloadPart { session, len } => {
                self.sink = Sink::Payload(session);
                return Follow::Data(len);
            }
            Urc::MessageEnd { session } => {
                self.inbox.end(session);
            }
            Urc::Lost { session, loss } => {
                self.lose(session, loss);
                self.dialect.lost(Some(session), false, raw);
            }
            Urc::NetworkLost { service } => self.network_lost(service, raw),
            Urc::Waiting { slot } => self.waits(slot),
            Urc::Progress => {}
            Urc::Restarted if self.is_another_boot() && !self.fresh => self.restarted(),
            Urc::Restarted if self.run.sync && matches!(self.stage, Stage::Ready(_)) => {
                self.stage = Stage::Ready(None);
            }
            Urc::Prompt if self.awaits_prompt() => self.prompted(),
            Urc::Message { .. } | Urc::Restarted | Urc::Prompt | Urc::Other => {
                if self.report_urcs {
                    self.inbox.urc(raw);
                }
            }
        }
        Follow::Nothing
    }

    /// A connection is gone: says so, and does not wait long for an answer
    /// that may have gone with it.
    fn lose(&mut self, session: u8, loss: Loss) {
        let own = session == self.session;
        if !(own && matches!(self.link(), LinkState::Connecting)) {
            self.set_link(session, LinkState::Lost(loss));
            self.inbox.lost(session, loss);
        }
        if own && self.exchange.required {
            let soon = self.now.after_millis(D::STALL_MS);
            self.exchange.loss = Some(loss);
            self.exchange.deadline = self.exchange.deadline.earlier(soon);
        }
    }

    /// A message waits in the modem. One that waited in the same slot is gone,
    /// unless it is being fetched just now.
    fn waits(&mut self, slot: u8) {
        let bit = 1_u16.checked_shl(slot.into()).unwrap_or(0);
        if self.waiting & bit != 0 && !self.run.own {
            self.inbox.count_dropped(1, 0);
        }
        self.waiting |= bit;
        self.waiting_since |= bit;
        self.fetch_due = true;
    }

    fn network_lost(&mut self, service: bool, line: &[u8]) {
        self.dialect.lost(None, service, line);
        let mut told = false;
        for session in 0..2_u8 {
            let state = self.links.get(usize::from(session)).copied();
            if service && matches!(state, Some(LinkState::Connected)) {
                self.lose(session, Loss::Network);
                told = true;
            }
        }
        if !told {
            self.inbox.network_lost();
        }
    }

    /// Whether this sign of a restart is not that of one told already.
    fn is_another_boot(&mut self) -> bool {
        let known = self.told < self.booting;
        if !known {
            self.booting = self.told.after_millis(D::BOOT_MS);
        }
        !known
    }

    fn restarted(&mut self) {
        self.cut();
        self.inbox.restarted();
        self.dialect.restarted();
        self.synced = false;
        self.fresh = true;
        self.open_data = false;
        self.waiting = 0;
        self.fetch_due = false;
        for link in &mut self.links {
            if matches!(link, LinkState::Connected) {
                *link = LinkState::Lost(Loss::Restart);
            }
        }
        if matches!(self.stage, Stage::Idle) {
            return;
        }
        if self.run.abandoned {
            self.end_run();
        } else if self.run.verb == Verb::BringUp {
            self.goto(self.dialect.script_of(Verb::BringUp));
            self.synchronize();
        } else if self.run.sync && !self.run.repeated {
            self.goto(D::sync(true));
        } else {
            self.conclude(Err(Error::Restarted));
        }
    }

    fn is_receiving(&self) -> bool {
        self.inbox.is_open(0) || self.inbox.is_open(1)
    }

    fn stall(&self) -> Moment {
        self.heard().after_millis(D::STALL_MS)
    }

    fn cut(&mut self) {
        self.inbox.cut(0);
        self.inbox.cut(1);
        self.sink = Sink::Nowhere;
    }

    // ---- answers -------------------------------------------------------

    /// Goes on if the command in flight has ended; waits a moment for the
    /// other half if one half says that it has failed.
    fn settle(&mut self) {
        if !matches!(self.stage, Stage::Answer) {
            return;
        }
        if let Some(answer) = self.exchange.complete() {
            self.answered(answer);
        } else if self.exchange.is_half() {
            let soon = self.now.after_millis(D::GRACE_MS);
            self.exchange.deadline = self.exchange.deadline.earlier(soon);
        }
    }

    fn deadline(&self) -> Option<Moment> {
        match self.stage {
            Stage::Idle => None,
            Stage::Ready(at) => at,
            Stage::Data { hold: Some(hold), .. } => Some(hold.earlier(self.exchange.deadline)),
            Stage::Flush { until, .. } => until,
            _ => Some(self.exchange.deadline),
        }
    }

    fn expire(&mut self) {
        match self.stage {
            Stage::Line | Stage::Data { .. } | Stage::Fill { .. } | Stage::End { .. }
                if self.now.has_reached(self.exchange.deadline) =>
            {
                // The transport does not take the bytes: nobody listens.
                self.release(0);
                self.run.abandoned = true;
                self.synced = false;
                if !self.run.own {
                    self.outcome = Some(Err(Error::Unresponsive));
                }
            }
            Stage::Answer
                if self.now.has_reached(self.exchange.deadline) && self.exchange.missing > 0 =>
            {
                let left = core::mem::take(&mut self.exchange.missing);
                self.stage = Stage::Fill { left };
                self.extend_deadline();
            }
            Stage::Answer if self.now.has_reached(self.exchange.deadline) => {
                let answer = self.exchange.settle();
                if self.exchange.outcome.is_none() {
                    // Still owed. Without a prompt one may yet be open.
                    self.synced = false;
                    self.open_data |= self.exchange.data > 0;
                }
                self.answered(answer);
            }
            Stage::Flush { left, until: Some(until), script, .. }
                if self.now.has_reached(until) =>
            {
                let left = left.saturating_sub(1);
                self.stage = Stage::Flush { left, slice: FLUSH_SLICE, until: None, script };
            }
            _ => {}
        }
    }

    fn answered(&mut self, answer: Answer) {
        fmt::answered(self.exchange.name, answer);
        if self.exchange.prompted && self.exchange.outcome.is_some() {
            self.open_data = false;
        }
        if self.run.abandoned {
            let silence = matches!(answer, Answer::Silence);
            let accepted = silence && matches!(self.exchange.outcome, Some(Ok(())));
            if accepted && matches!(self.link(), LinkState::Connected) {
                // Its result may come yet, and must not be another's.
                self.lose(self.session, Loss::NoResult);
                self.dialect.lost(Some(self.session), false, b"");
            }
            self.end_run();
            return;
        }
        let lost =
            matches!(answer, Answer::Silence) && !self.exchange.required && !self.exchange.prompted;
        if lost && !self.run.sync && !self.run.repeated {
            // The command or its answer was lost on the wire. It has no
            // effect that a repetition would double.
            self.run.repeated = true;
            self.synchronize();
            return;
        }
        // The other half of a failure may come late, and is not the next
        // command's (seen: a second OK after a refused SUB).
        let owed = self.exchange.required && matches!(answer, Answer::Failed(_));
        match self.step() {
            Some(step) => self.go_on(step, answer),
            None => self.end_run(),
        }
        if owed && !self.run.sync {
            self.synced = false;
            if matches!(self.stage, Stage::Ready(None)) {
                self.synchronize();
            }
        }
    }

    /// Does what the step says on this answer.
    fn go_on(&mut self, step: Current<D>, answer: Answer) {
        match step.judge(&mut self.dialect, answer) {
            Then::Next => {
                let item = self.run.item.wrapping_add(1);
                let more = step.is_for_each() && item < self.run.items;
                self.run.item = if more { item } else { 0 };
                if !more {
                    self.run.step = self.run.step.wrapping_add(1);
                }
                self.run.tries = 0;
                self.stage = Stage::Ready(None);
            }
            Then::Fail => self.fail(answer),
            Then::Finish => {
                self.run.step = u8::MAX;
                self.stage = Stage::Ready(None);
            }
            Then::Goto(script) => self.goto(script),
            Then::Retry { pause_ms, tries } => {
                let at = self.now.after_millis(pause_ms.into());
                if self.run.tries < tries && !at.has_reached(self.run.until) {
                    self.run.tries = self.run.tries.saturating_add(1);
                    self.stage = Stage::Ready(Some(at));
                } else {
                    self.fail(answer);
                }
            }
            Then::Poll { script, pause_ms } => {
                let at = self.now.after_millis(pause_ms.into());
                if !at.has_reached(self.run.until) {
                    self.goto(script);
                    self.stage = Stage::Ready(Some(at));
                } else {
                    self.fail(answer);
                }
            }
            Then::Flush(script) => self.flush(script),
            Then::Restarted => self.restarted(),
        }
    }

    fn goto(&mut self, script: u8) {
        self.run.script = script;
        self.run.step = 0;
        self.run.item = 0;
        self.run.tries = 0;
        self.stage = Stage::Ready(None);
    }

    fn finish(&mut self) {
        match self.run.verb {
            Verb::Connect => self.set_link(self.session, LinkState::Connected),
            Verb::Disconnect => self.set_link(self.session, LinkState::Idle),
            _ => {}
        }
        self.conclude(Ok(()));
    }

    fn fail(&mut self, answer: Answer) {
        let step = self.step();
        let command = step.map_or("", |step| step.name());
        let line = step.map_or(&[][..], |step| step.line());
        let connected = matches!(self.link(), LinkState::Connected);
        let (error, loss) = match answer {
            Answer::Failed(code) => self.dialect.explain(command, line, code),
            Answer::Ok => self.dialect.explain(command, line, Code::None),
            Answer::Silence if self.run.sync => (Error::Unresponsive, None),
            Answer::Silence => match self.exchange.loss {
                Some(loss) => (Error::Lost(loss), None),
                None => (Error::NoResult(command), Some(Loss::NoResult)),
            },
        };
        match answer {
            Answer::Silence => {
                self.synced = false;
                self.dialect.unsure();
            }
            // Without a reason it may be that of a modem that has restarted.
            Answer::Failed(Code::None) => self.synced = false,
            _ => {}
        }
        if let Some(loss) = loss.filter(|_| connected) {
            self.lose(self.session, loss);
            self.dialect.lost(Some(self.session), false, b"");
        } else if self.run.verb == Verb::Connect {
            self.set_link(self.session, LinkState::Idle);
        }
        self.conclude(Err(error));
    }

    fn conclude(&mut self, outcome: Result<(), Error>) {
        self.stage = Stage::Idle;
        self.exchange = Exchange::NONE;
        if core::mem::take(&mut self.run.own) {
            if outcome.is_ok() {
                self.waiting = self.waiting_since;
            }
        } else if !self.run.abandoned {
            self.outcome = Some(outcome);
            self.untold = self.effect();
        }
    }

    // ---- dropped futures -----------------------------------------------

    fn abandon(&mut self, unsure: usize) {
        self.pending = None;
        if let (Some(_), Some(verb)) = (self.outcome.take(), self.untold.take()) {
            self.inbox.unknown(verb);
        }
        if !matches!(self.stage, Stage::Idle) && !self.run.abandoned && !self.run.own {
            self.release(unsure);
            self.run.abandoned = true;
            if matches!(self.stage, Stage::Ready(_) | Stage::Flush { .. }) {
                self.end_run();
            }
        }
    }

    /// The operation is not lent any more: what was begun must be ended
    /// without it.
    fn release(&mut self, unsure: usize) {
        match self.stage {
            Stage::Line if self.writer.is_at_start() && unsure == 0 => {
                self.stage = Stage::Ready(None);
            }
            Stage::Line => {
                self.synced = false;
                self.stage = Stage::End { spoil: true, sent: 0 };
            }
            Stage::Data { sent, .. } => self.leave_data(sent),
            _ => {}
        }
    }

    /// What may have taken effect, by now.
    fn effect(&self) -> Option<Verb> {
        let silent = matches!(self.run.verb, Verb::Status | Verb::BringUp);
        (self.run.begun && !silent).then_some(self.run.verb)
    }

    /// Ends an abandoned operation.
    fn end_run(&mut self) {
        if let Some(verb) = self.effect().filter(|_| self.outcome.is_none()) {
            self.inbox.unknown(verb);
        }
        if self.run.verb == Verb::Connect {
            self.set_link(self.session, LinkState::Idle);
        }
        self.dialect.unsure();
        self.run.own = false;
        self.stage = Stage::Idle;
        self.exchange = Exchange::NONE;
    }
}

fn fill(left: u32) -> Out {
    let len = usize::try_from(left).unwrap_or(usize::MAX).min(FILL.len());
    Out::Fixed(FILL.get(..len).unwrap_or_default())
}
