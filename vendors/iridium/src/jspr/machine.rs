//! The state machine: one request in flight, lines that nobody asked for at
//! any time, one message on its way out and two on their way in.
//!
//! Rules:
//!
//! 1. What the modem asks for comes first: a part of a message that it wants
//!    goes out before anything else, or it gives the message up after 300 ms.
//! 2. A code of 400 and more answers the request in flight whatever its
//!    target; any other answer must name the target.
//! 3. Whatever leaves an answer owed (a time out, a dropped future, a new
//!    transport) makes the machine unsure. An unsure machine ends the line it
//!    may have left, asks for the versions, and takes no answer for its own
//!    until it has these.
//! 4. A message that nobody waits for any more is cancelled. Nothing of it is
//!    sent once its payload is not lent.

use hayes::{
    Instant, Operation, Verb,
    inbox::Inbox,
    mqtt::{
        Assurance, Capabilities, Error, Event, Feature, Field, FieldError, Granted, Limits,
        LinkState, Loss, Problem, QoS, Status,
    },
};

use super::{
    Settings,
    body::{self, Accepted, Announced, Final, Part, Wanted},
    codes::{self, Fate, ORIGINATE},
    inbound::Inbound,
    line::{Frame, Line, Reader, UNSOLICITED},
    modem::{Constellation, FILTER, Modem, NAME, ProvisionedTopic, State},
    outbound::{Cancel, Outbound, Owner},
    request::{Ask, Outgoing, Range, crc},
};

/// How long an answer may take, in milliseconds.
const ANSWER_MS: u32 = 2_000;
/// How long an empty line may take to be refused.
const FLUSH_MS: u32 = 100;
/// How long the modem may take to make sense, as while it boots.
const SYNC_MS: u32 = 10_000;
/// How long the final status of a cancelled message may take.
const CANCEL_MS: u32 = 5_000;
/// How long a message that the modem has all of still has its payload: a part
/// asked for twice is supplied twice.
const LINGER_MS: u32 = 100;
/// How long to wait with a message that was refused for being too early.
const AGAIN_MS: u32 = 100;
/// How often a request is made before its failure is the operation's.
const TRIES: u8 = 3;
/// The largest payload: 100,000 bytes.
const PAYLOAD: u32 = 100_000;
/// Bytes of the CRC that follows a payload.
const CRC: u32 = 2;
/// References to requests go from 1 up to this.
const REFERENCES: u8 = 100;

/// From nothing to a modem that takes messages.
const BRING_UP: &[Ask] = &[
    Ask::Version,
    Ask::Sim,
    Ask::SimStatus,
    Ask::State,
    Ask::Inactive,
    Ask::Active,
    Ask::Confirm,
    Ask::Hardware,
    Ask::Firmware,
    Ask::Topics,
];
/// The same if it was there before.
const CHECK: &[Ask] = &[Ask::State, Ask::Inactive, Ask::Active, Ask::Confirm, Ask::Topics];
const STATUS: &[Ask] = &[Ask::State, Ask::SimStatus];
/// The same of a modem that was not brought up, which stays as it is.
const MEET: &[Ask] = &[Ask::Version, Ask::State, Ask::SimStatus, Ask::Hardware, Ask::Firmware];
const DEACTIVATE: &[Ask] = &[Ask::Inactive];
const NOTHING: &[Ask] = &[];

/// The operation at hand.
#[derive(Clone, Copy, Debug)]
struct Run {
    verb: Verb,
    plan: &'static [Ask],
    step: usize,
    tries: u8,
    /// How often the modem restarted meanwhile.
    restarts: u8,
    /// Not before this, after the modem said that it is too early.
    hold: Option<Instant>,
    /// The topic to publish on.
    topic: u16,
    /// The request to originate has been made.
    asked: bool,
    /// A request that changes something has been made.
    begun: bool,
}

/// Whether the next answer is that to the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sync {
    Done,
    /// An empty line is to be sent.
    Due,
    /// It was sent and may be refused.
    Flushing,
    /// The versions were asked for.
    Asking,
}

/// A request whose answer is awaited.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    ask: Ask,
    deadline: Instant,
    /// The operation at hand made it.
    own: bool,
}

/// What the line that goes out is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Nothing,
    Flush,
    Request,
    Segment(Range),
}

/// A 9704 without transport and clock, see [`hayes::Machine`]. `LINE` is the
/// longest line that can be read in bytes: 2,304 and more, 4,400 for a modem
/// with 25 topics of the longest names. `INBOX` is the bytes for messages and
/// events that wait; a message that is announced as longer is dropped, and
/// told as [`Event::Dropped`].
#[derive(Debug)]
pub struct Machine<const LINE: usize, const INBOX: usize> {
    reader: Reader<LINE>,
    /// When the line that comes in is given up: its end was lost.
    torn: Option<Instant>,
    control: Control<INBOX>,
}

/// How long a line may stand still, in milliseconds. The longest takes 90 on
/// the wire; that the modem pauses within one was never seen.
const TORN_MS: u32 = 1_000;

impl<const LINE: usize, const INBOX: usize> Machine<LINE, INBOX> {
    pub(super) const fn new(settings: Settings) -> Self {
        Self { reader: Reader::new(), torn: None, control: Control::new(settings) }
    }

    /// The signal, as the modem last told it; it tells every change.
    #[must_use]
    pub const fn constellation(&self) -> Option<Constellation> {
        self.control.modem.constellation
    }

    /// The modem's IMEI; empty before the bring-up.
    #[must_use]
    pub fn imei(&self) -> &str {
        self.control.modem.imei.as_str()
    }

    /// The topics that are provisioned, as far as the modem told by now.
    pub fn topics(&self) -> impl Iterator<Item = ProvisionedTopic<'_>> {
        self.control.modem.topics()
    }

    /// Why the modem is in its operational state: 0 normal, 1 self-test
    /// failed, 2 temperature, 3 radio power protection, 4 voice application,
    /// 5 invalid hardware, 6 low supply, 7 misuse of a test.
    #[must_use]
    pub const fn reason(&self) -> Option<u8> {
        self.control.modem.reason
    }
}

impl<const LINE: usize, const INBOX: usize> hayes::Machine for Machine<LINE, INBOX> {
    fn capabilities(&self) -> Capabilities {
        Capabilities::BINARY_PAYLOAD
    }

    fn limits(&self) -> Limits {
        let mut limits = Limits::MQTT;
        limits.topic = u16::try_from(NAME).unwrap_or(u16::MAX);
        limits.filter = u16::try_from(FILTER).unwrap_or(u16::MAX);
        limits.payload = PAYLOAD;
        limits
    }

    fn assurance(&self, qos: QoS) -> Assurance {
        match qos {
            QoS::AtMostOnce => Assurance::HandedOver,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Assurance::NetworkAck,
        }
    }

    fn select(&mut self, session: u8) -> Result<(), Error> {
        if session > 0 {
            return Err(Error::Unsupported(Feature::SecondSession));
        }
        Ok(())
    }

    fn start(&mut self, operation: &Operation<'_>, now: Instant) -> Result<(), Error> {
        operation.check(self.capabilities(), &self.limits())?;
        self.control.now = now;
        self.control.start(operation)
    }

    fn receive(&mut self, bytes: &[u8], now: Instant) {
        self.control.now = now;
        let mut input = bytes;
        while let Some(frame) = self.reader.next(&mut input) {
            self.control.frame(frame);
        }
        self.torn = self.reader.is_inside().then(|| now.after_millis(TORN_MS));
    }

    fn tick(&mut self, now: Instant) {
        self.control.now = now;
        if self.torn.take_if(|at| now >= *at).is_some() {
            self.reader.clear();
        }
        self.control.expire();
    }

    fn transmit<'a>(
        &'a mut self,
        operation: Option<&'a Operation<'a>>,
        now: Instant,
    ) -> Option<&'a [u8]> {
        self.control.now = now;
        self.control.transmit(operation)
    }

    fn sent(&mut self, count: usize) {
        self.control.sent(count);
    }

    fn deadline(&self) -> Option<Instant> {
        [self.control.deadline(), self.torn].into_iter().flatten().min()
    }

    fn outcome(&mut self) -> Option<Result<(), Error>> {
        self.control.outcome.take()
    }

    fn abandon(&mut self, unsure: usize) {
        self.control.abandon(unsure);
    }

    fn is_idle(&self) -> bool {
        self.control.is_idle()
    }

    fn has_event(&self) -> bool {
        self.control.inbox.has_event()
    }

    fn event(&mut self) -> Option<Event<'_>> {
        self.control.inbox.front()
    }

    fn link(&self) -> LinkState {
        self.control.link
    }

    fn status(&self) -> Status {
        Status { link: self.control.link, ..self.control.modem.status() }
    }

    fn granted(&self) -> Granted {
        self.control.granted
    }

    fn opened(&mut self) {
        self.reader.clear();
        self.control.opened();
    }
}

/// All of the machine but the reader, whose lines it reads.
#[derive(Debug)]
struct Control<const INBOX: usize> {
    settings: Settings,
    modem: Modem,
    inbox: Inbox<INBOX>,
    inbound: Inbound,
    outbound: Option<Outbound>,
    reference: u8,
    run: Option<Run>,
    outcome: Option<Result<(), Error>>,
    /// The verb of the outcome, if it may have taken effect.
    untold: Option<Verb>,
    out: Outgoing,
    sending: Sending,
    exchange: Option<Exchange>,
    sync: Sync,
    /// A line was left half-way.
    torn: bool,
    /// When the empty line counts as taken.
    flushed: Option<Instant>,
    /// When the modem must have made sense.
    sync_until: Option<Instant>,
    /// The code with which the modem last refused to make sense.
    refused: Option<u16>,
    /// The bring-up was done, and nothing has undone it.
    ready: bool,
    link: LinkState,
    granted: Granted,
    now: Instant,
}

impl<const INBOX: usize> Control<INBOX> {
    const fn new(settings: Settings) -> Self {
        Self {
            settings,
            modem: Modem::new(),
            inbox: Inbox::new(),
            inbound: Inbound::new(),
            outbound: None,
            reference: 0,
            run: None,
            outcome: None,
            untold: None,
            out: Outgoing::new(),
            sending: Sending::Nothing,
            exchange: None,
            sync: Sync::Due,
            torn: false,
            flushed: None,
            sync_until: None,
            refused: None,
            ready: false,
            link: LinkState::Idle,
            granted: Granted::UNKNOWN,
            now: Instant::from_millis(0),
        }
    }

    // ---- beginning -----------------------------------------------------

    fn start(&mut self, operation: &Operation<'_>) -> Result<(), Error> {
        let mut run = Run {
            verb: operation.verb(),
            plan: NOTHING,
            step: 0,
            tries: 0,
            restarts: 0,
            hold: None,
            topic: 0,
            asked: false,
            begun: false,
        };
        match operation {
            Operation::Publish(publish) => {
                self.check_link()?;
                run.topic = self.modem.resolve(publish.topic.as_str())?;
            }
            Operation::Subscribe(filters) => {
                self.check_link()?;
                check_some(filters.len())?;
                self.modem.subscribe(filters.iter().map(|one| one.filter))?;
                self.granted = Granted::UNKNOWN;
                (0..filters.len()).for_each(|at| self.granted.set(at, Some(QoS::AtMostOnce)));
            }
            Operation::Unsubscribe(filters) => {
                self.check_link()?;
                check_some(filters.len())?;
                filters.iter().for_each(|filter| self.modem.unsubscribe(filter.as_str()));
            }
            Operation::Connect(_) => {
                self.modem.unsubscribe_all();
                self.link = LinkState::Connecting;
                run.plan = self.bring_up();
            }
            Operation::BringUp(_) => run.plan = self.bring_up(),
            Operation::Status if !self.ready => {
                self.unsure();
                run.plan = MEET;
            }
            Operation::Status if !self.is_busy() => run.plan = STATUS,
            Operation::Disconnect => {
                self.modem.unsubscribe_all();
                self.link = LinkState::Idle;
                if self.settings.deactivate && self.ready {
                    run.plan = DEACTIVATE;
                    self.cancel();
                }
            }
            Operation::Status | Operation::Store(_) | Operation::Delete(_) => {}
        }
        self.outcome = None;
        self.untold = None;
        self.run = Some(run);
        Ok(())
    }

    /// What a bring-up has to do. A modem with a message on its way out is up,
    /// and is not to be disturbed.
    fn bring_up(&mut self) -> &'static [Ask] {
        match (self.ready, &self.outbound) {
            (true, Some(outbound)) if outbound.owner == Owner::HandedOver => NOTHING,
            (true, _) => CHECK,
            (false, _) => {
                self.unsure();
                BRING_UP
            }
        }
    }

    fn check_link(&self) -> Result<(), Error> {
        match self.link {
            LinkState::Connected => Ok(()),
            LinkState::Lost(loss) => Err(Error::Lost(loss)),
            _ => Err(Error::NotConnected),
        }
    }

    /// The next answer may be that to an earlier request.
    fn unsure(&mut self) {
        self.sync = Sync::Due;
        self.flushed = None;
        self.sync_until = None;
    }

    // ---- sending -------------------------------------------------------

    fn transmit<'a>(&'a mut self, operation: Option<&'a Operation<'a>>) -> Option<&'a [u8]> {
        if self.out.is_done() {
            self.choose(operation);
        }
        let payload = match operation {
            Some(Operation::Publish(publish)) => Some(publish.payload),
            _ => None,
        };
        let crc = self.outbound.as_ref().map(|outbound| outbound.crc);
        self.out.next(payload.zip(crc))
    }

    /// Decides what goes out next.
    fn choose(&mut self, operation: Option<&Operation<'_>>) {
        if let Some((topic, (id, range))) = self.next_part(operation) {
            self.out.segment(topic, id, range);
            self.sending = Sending::Segment(range);
            return;
        }
        if self.exchange.is_some() || self.flushed.is_some() {
            return;
        }
        if self.torn {
            self.flush();
            return;
        }
        if let Some((topic, id)) = self.next_cancel() {
            self.ask(Ask::Cancel, &[topic.into(), id.into()], false);
            return;
        }
        while self.out.is_done() {
            let Some(run) = self.run.filter(|_| self.outcome.is_none()) else { return };
            if !self.go_on(run, operation) {
                return;
            }
        }
    }

    fn next_part(&mut self, operation: Option<&Operation<'_>>) -> Option<(u16, (u8, Range))> {
        operation.filter(|operation| operation.verb() == Verb::Publish)?;
        let outbound = self.outbound.as_mut()?;
        Some((outbound.topic, outbound.next_part()?))
    }

    fn next_cancel(&mut self) -> Option<(u16, u8)> {
        let outbound = self.outbound.as_mut().filter(|out| out.cancel == Cancel::Due)?;
        let id = outbound.id?;
        outbound.cancel = Cancel::Sent;
        outbound.until = Some(self.now.after_millis(CANCEL_MS));
        Some((outbound.topic, id))
    }

    /// Whether the modem has a message. One of which it is not known whether it
    /// was accepted is cancelled if that turns out, and holds up nothing.
    fn is_busy(&self) -> bool {
        self.outbound.as_ref().is_some_and(|out| out.id.is_some())
    }

    /// Takes the next step of an operation; `false` if it has to wait.
    fn go_on(&mut self, run: Run, operation: Option<&Operation<'_>>) -> bool {
        let waits = matches!(run.verb, Verb::Publish) || !run.plan.is_empty();
        if run.asked || (waits && self.is_busy()) {
            return false;
        }
        if waits && self.sync != Sync::Done {
            self.synchronize();
            return true;
        }
        let Some(ask) = run.plan.get(run.step).copied() else {
            return match operation {
                Some(Operation::Publish(publish)) => {
                    self.originate(run, publish.payload, publish.qos)
                }
                _ => {
                    self.finish(run);
                    true
                }
            };
        };
        if run.plan != DEACTIVATE && !self.modem.needs(ask) {
            self.step();
            return true;
        }
        let numbers = match ask {
            Ask::Version => self.modem.selected(),
            _ => Ok([0; 3]),
        };
        match numbers {
            Ok(numbers) => self.ask(ask, &numbers, true),
            Err(error) => self.conclude(Err(error)),
        }
        true
    }

    fn synchronize(&mut self) {
        let until = *self.sync_until.get_or_insert(self.now.after_millis(SYNC_MS));
        if self.now >= until {
            self.silent();
        } else if self.sync == Sync::Due {
            self.flush();
        } else {
            self.sync = Sync::Asking;
            self.ask(Ask::Versions, &[], true);
        }
    }

    fn flush(&mut self) {
        self.torn = false;
        self.sync = Sync::Flushing;
        self.flushed = Some(self.now.after_millis(FLUSH_MS));
        self.sending = Sending::Flush;
        self.out.flush();
    }

    fn originate(&mut self, run: Run, payload: &[u8], qos: QoS) -> bool {
        if self.now < run.hold.unwrap_or(self.modem.settled) {
            return false;
        }
        self.reference = self.reference.checked_rem(REFERENCES).unwrap_or_default().wrapping_add(1);
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).saturating_add(CRC);
        let mut outbound = Outbound::new(run.topic, self.reference, length, crc(payload), qos);
        outbound.until = self.settings.publish_timeout.map(|ms| self.now.after_millis(ms));
        let numbers = [run.topic.into(), outbound.length(), self.reference.into()];
        self.outbound = Some(outbound);
        if let Some(run) = &mut self.run {
            run.asked = true;
        }
        self.ask(Ask::Originate, &numbers, true);
        true
    }

    fn ask(&mut self, ask: Ask, numbers: &[u32], own: bool) {
        self.out.ask(ask, numbers);
        self.sending = Sending::Request;
        self.exchange = Some(Exchange { ask, deadline: self.now.after_millis(ANSWER_MS), own });
    }

    fn sent(&mut self, count: usize) {
        self.out.sent(count);
        if let (Some(run), true) = (&mut self.run, self.sending == Sending::Request && count > 0) {
            run.begun = true;
        }
        if !self.out.is_done() {
            return;
        }
        match core::mem::replace(&mut self.sending, Sending::Nothing) {
            Sending::Nothing => {}
            Sending::Flush => self.flushed = Some(self.now.after_millis(FLUSH_MS)),
            Sending::Request => {
                if let Some(exchange) = &mut self.exchange {
                    exchange.deadline = self.now.after_millis(ANSWER_MS);
                }
            }
            Sending::Segment(range) => {
                if let Some(outbound) = &mut self.outbound {
                    outbound.handed(range);
                }
            }
        }
    }

    // ---- receiving -----------------------------------------------------

    fn frame(&mut self, frame: Frame<'_>) {
        match frame {
            Frame::Line(line) if line.code == UNSOLICITED => {
                if self.unsolicited(line).is_none() && self.ready {
                    self.inbox.miss();
                }
            }
            Frame::Line(line) => self.reply(line),
            Frame::Broken if self.ready => self.inbox.miss(),
            Frame::Broken => {}
            Frame::TooLong(line) => {
                self.inbox.miss();
                let asked = self.exchange.filter(|exchange| {
                    line.is_some_and(|line| {
                        line.code != UNSOLICITED && line.target == exchange.ask.target()
                    })
                });
                if asked.is_some_and(|exchange| exchange.own) {
                    self.exchange = None;
                    self.conclude(Err(Error::WrongModem(
                        "an answer is longer than the line buffer; make LINE larger",
                    )));
                }
            }
        }
    }

    /// Takes a line that nobody asked for; `None` if it cannot be read.
    fn unsolicited(&mut self, line: Line<'_>) -> Option<()> {
        match line.target {
            "messageOriginateSegment" => {
                let wanted: Wanted = body::read(line.body)?;
                if let Some(outbound) = &mut self.outbound {
                    outbound.want(wanted);
                }
            }
            "messageOriginateStatus" => {
                let status: Final<'_> = body::read(line.body)?;
                if self.outbound.as_ref().is_some_and(|out| out.is_ended_by(&status)) {
                    self.end_outbound(Some(status.status));
                }
            }
            "messageTerminate" => {
                let announced: Announced = body::read(line.body)?;
                let name = self.modem.name(announced.topic_id);
                if self.modem.wants(announced.topic_id) {
                    self.inbound.begin(announced, name.as_bytes(), &mut self.inbox, self.now);
                } else {
                    let bytes = announced.message_length_max.saturating_sub(CRC);
                    self.inbox.drop_message(name.as_bytes(), bytes);
                }
            }
            "messageTerminateSegment" => {
                let part: Part<'_> = body::read(line.body)?;
                self.inbound.part(&part, &mut self.inbox, self.now);
            }
            "messageTerminateStatus" => {
                let status: Final<'_> = body::read(line.body)?;
                self.inbound.end(&status, &mut self.inbox);
            }
            target => {
                if target == "bootInfo" {
                    self.restarted();
                }
                if !self.modem.absorb(target, line.body, self.now)? {
                    self.inbox.miss();
                }
                self.check_state();
            }
        }
        Some(())
    }

    /// A modem that is not active any more carries nothing.
    fn check_state(&mut self) {
        let stopped = matches!(self.modem.state, State::Inactive | State::Other);
        if stopped && self.link == LinkState::Connected {
            self.lose(Loss::Closed(self.modem.reason.map(i32::from)));
            self.cancel();
        }
    }

    fn lose(&mut self, loss: Loss) {
        self.ready = false;
        if self.link == LinkState::Connected {
            self.link = LinkState::Lost(loss);
            self.inbox.lost(0, loss);
        }
    }

    fn reply(&mut self, line: Line<'_>) {
        let failed = line.code >= codes::NO_VERSION;
        if line.code == codes::OK && line.target == ORIGINATE {
            return self.accepted(line);
        }
        let own = self.exchange.filter(|exchange| {
            let named = exchange.ask.target() == line.target;
            named || (failed && self.sync == Sync::Done)
        });
        match own {
            Some(exchange) => self.answered(exchange, line),
            None if failed && self.sync == Sync::Flushing => self.flushed = None,
            None if failed && self.sync == Sync::Asking => {
                self.refused = Some(line.code);
                // The answer may have been to the empty line; if nothing
                // follows it was to the request.
                let soon = self.now.after_millis(FLUSH_MS);
                if let Some(exchange) = &mut self.exchange {
                    exchange.deadline = exchange.deadline.min(soon);
                }
            }
            None => self.segment_answered(line, failed),
        }
    }

    fn segment_answered(&mut self, line: Line<'_>, failed: bool) {
        let Some(outbound) = &mut self.outbound else { return };
        if failed || line.target == Ask::Segment.target() {
            outbound.acknowledged(!failed);
        }
        let more = matches!(self.sending, Sending::Segment(_));
        let done = !more && outbound.is_complete();
        if done && outbound.owner == Owner::Caller(QoS::AtMostOnce) {
            outbound.handed_over = Some(self.now.after_millis(LINGER_MS));
        }
    }

    /// The request in flight has its answer.
    fn answered(&mut self, exchange: Exchange, line: Line<'_>) {
        self.exchange = None;
        if exchange.ask == Ask::Originate {
            return self.not_accepted(line.code);
        }
        let known = match line.code {
            codes::OK => self.modem.absorb(line.target, line.body, self.now),
            _ => Some(true),
        };
        if exchange.ask == Ask::Versions && line.code == codes::OK && known.is_some() {
            self.sync = Sync::Done;
            self.refused = None;
            self.sync_until = None;
        }
        self.check_state();
        if exchange.own {
            self.judge(exchange.ask, line.code, known);
        }
    }

    /// Draws the conclusion for the operation at hand.
    fn judge(&mut self, ask: Ask, code: u16, known: Option<bool>) {
        let Some(run) = self.run else { return };
        let optional = matches!(ask, Ask::SimStatus | Ask::Hardware | Ask::Firmware);
        match code {
            codes::OK => match known {
                None => self.again(run, Error::Protocol("an answer that cannot be read")),
                Some(kept) => {
                    if !kept {
                        self.inbox.miss();
                    }
                    self.step_after(ask);
                }
            },
            codes::ALREADY_SET if matches!(ask, Ask::Version | Ask::Sim) => self.step(),
            // The state is asked for again, and decides.
            codes::NOT_ALLOWED if matches!(ask, Ask::Active | Ask::Inactive) => self.step(),
            // Nobody heard it restart.
            codes::NO_VERSION => self.restarted(),
            codes::TOO_LONG | codes::MALFORMED => {
                self.unsure();
                self.again(run, codes::refusal(ask.target(), code));
            }
            _ if optional => self.step(),
            _ => self.conclude(Err(codes::refusal(ask.target(), code))),
        }
    }

    fn step_after(&mut self, ask: Ask) {
        if ask == Ask::Confirm && self.modem.state != State::Active {
            let refused = codes::refusal(Ask::Active.target(), codes::NOT_ALLOWED);
            self.conclude(Err(refused));
        } else if ask != Ask::Versions {
            self.step();
        }
    }

    fn step(&mut self) {
        if let Some(run) = &mut self.run {
            run.step = run.step.saturating_add(1);
            run.tries = 0;
        }
    }

    /// Makes the request once more, unless that was done often enough.
    fn again(&mut self, run: Run, error: Error) {
        let tries = run.tries.saturating_add(1);
        if tries >= TRIES {
            self.conclude(Err(error));
        } else if let Some(run) = &mut self.run {
            run.tries = tries;
        }
    }

    /// The modem accepts a message, or says why not. Whose it is its reference
    /// tells: it may be that of an operation that was dropped.
    fn accepted(&mut self, line: Line<'_>) {
        let asked = |exchange: &mut Exchange| exchange.ask == Ask::Originate;
        let Some(answer) = body::read::<Accepted<'_>>(line.body) else {
            if self.exchange.as_mut().is_some_and(asked) {
                self.unanswered(Ask::Originate);
            }
            return;
        };
        let waiting = self.outbound.as_mut().filter(|out| out.id.is_none());
        let meant = |out: &&mut Outbound| {
            (out.topic, out.reference) == (answer.topic_id, answer.request_reference)
        };
        let Some(outbound) = waiting.filter(meant) else { return };
        self.exchange.take_if(asked);
        match (answer.message_id, answer.message_response) {
            (Some(id), codes::ACCEPTED) => outbound.id = Some(id),
            (_, response) => {
                let waited = matches!(outbound.owner, Owner::Caller(_));
                self.outbound = None;
                if waited {
                    self.conclude(Err(codes::not_accepted(response)));
                }
            }
        }
    }

    /// The request to originate a message is refused.
    fn not_accepted(&mut self, code: u16) {
        let owner = self.outbound.take().map(|out| out.owner);
        let Some(run) = self.run.as_mut().filter(|_| matches!(owner, Some(Owner::Caller(_))))
        else {
            return;
        };
        run.asked = false;
        let run = *run;
        match code {
            codes::NOT_PROVISIONED => {
                let later = self.now.after_millis(AGAIN_MS);
                self.run = Some(Run { hold: Some(later), ..run });
                self.again(run, Error::NotProvisioned);
            }
            codes::TOO_LONG | codes::MALFORMED => {
                self.unsure();
                self.again(run, codes::refusal(ORIGINATE, code));
            }
            codes::NO_VERSION => self.restarted(),
            _ => self.conclude(Err(codes::refusal(ORIGINATE, code))),
        }
    }

    // ---- time ----------------------------------------------------------

    fn deadline(&self) -> Option<Instant> {
        let answer = self.exchange.map(|exchange| exchange.deadline);
        let message = self.outbound.as_ref().and_then(|out| out.until);
        let handed_over = self.outbound.as_ref().and_then(|out| out.handed_over);
        let waits = self.run.filter(|run| run.verb == Verb::Publish && !run.asked);
        let hold = waits.map(|run| run.hold.unwrap_or(self.modem.settled));
        let hold = hold.filter(|at| *at > self.now);
        [answer, message, handed_over, self.flushed, hold].into_iter().flatten().min()
    }

    fn expire(&mut self) {
        self.flushed = self.flushed.filter(|at| self.now < *at);
        if let Some(late) = self.exchange.filter(|exchange| self.now >= exchange.deadline) {
            self.unanswered(late.ask);
        }
        let Some(outbound) = &mut self.outbound else { return };
        if outbound.handed_over.take_if(|at| self.now >= *at).is_some() {
            outbound.owner = Owner::HandedOver;
            self.conclude(Ok(()));
            return;
        }
        if outbound.until.is_none_or(|until| self.now < until) {
            return;
        }
        match outbound.cancel {
            Cancel::No if outbound.id.is_some() => {
                outbound.cancel = Cancel::Due;
                outbound.until = Some(self.now.after_millis(CANCEL_MS));
            }
            Cancel::No => self.unanswered(Ask::Originate),
            Cancel::Due | Cancel::Sent => self.end_outbound(None),
        }
    }

    /// No answer came to the request in flight, or none that can be read.
    fn unanswered(&mut self, ask: Ask) {
        let own = self.exchange.take().is_some_and(|exchange| exchange.own);
        let until = self.sync_until;
        self.leave_line(0);
        self.unsure();
        match ask {
            Ask::Originate => {
                if let Some(outbound) = &mut self.outbound {
                    // Its acceptance may still come, and is then cancelled.
                    let waited = matches!(outbound.owner, Owner::Caller(_));
                    outbound.until = None;
                    outbound.leave();
                    if waited {
                        self.conclude(Err(Error::NoResult(ORIGINATE)));
                    }
                }
            }
            Ask::Versions => self.sync_until = until,
            _ => {
                if let Some(run) = self.run.filter(|_| own) {
                    self.again(run, Error::Unresponsive);
                }
            }
        }
    }

    /// The modem has not made sense in time.
    fn silent(&mut self) {
        self.unsure();
        let error = match self.refused.take() {
            Some(code) => codes::refusal(Ask::Versions.target(), code),
            None => Error::Unresponsive,
        };
        self.conclude(Err(error));
    }

    // ---- ending --------------------------------------------------------

    fn finish(&mut self, run: Run) {
        match run.verb {
            Verb::BringUp | Verb::Connect => self.ready = true,
            _ => {}
        }
        if run.verb == Verb::Connect {
            self.link = LinkState::Connected;
        }
        if run.plan == DEACTIVATE {
            self.ready = false;
        }
        self.conclude(Ok(()));
    }

    fn conclude(&mut self, outcome: Result<(), Error>) {
        let Some(run) = self.run.take() else { return };
        if run.verb == Verb::Connect && outcome.is_err() {
            self.link = LinkState::Idle;
        }
        if outcome == Err(Error::Unresponsive) {
            self.lose(Loss::NoResult);
        }
        self.outcome = Some(outcome);
        let effect = run.verb == Verb::Publish || run.plan == DEACTIVATE;
        self.untold = (effect && run.begun).then_some(run.verb);
    }

    /// It is known what became of the message, or will never be.
    fn end_outbound(&mut self, status: Option<&str>) {
        let Some(outbound) = self.outbound.take() else { return };
        if matches!(self.sending, Sending::Segment(_)) {
            self.leave_line(0);
        }
        if outbound.is_owed() {
            self.unsure();
        }
        match outbound.owner {
            Owner::Nobody => {}
            Owner::Caller(_) => {
                let outcome = status.map_or(Err(Error::NoResult(ORIGINATE)), codes::outcome);
                self.conclude(outcome);
            }
            Owner::HandedOver => match status.map(|status| (status, codes::fate(status))) {
                Some((_, Fate::Delivered)) => {}
                Some((status, Fate::Failed(_))) => self.inbox.undelivered(status.as_bytes()),
                Some((_, Fate::Unknown)) | None => self.inbox.unknown(Verb::Publish),
            },
        }
    }

    /// Gives up the message on its way out, if there is one.
    fn cancel(&mut self) {
        if let Some(outbound) = self.outbound.as_mut().filter(|out| out.cancel == Cancel::No) {
            outbound.cancel = Cancel::Due;
        }
    }

    fn restarted(&mut self) {
        self.inbound.cut(&mut self.inbox);
        self.modem.restarted();
        if self.ready {
            self.inbox.restarted();
        }
        if self.link == LinkState::Connected {
            self.link = LinkState::Lost(Loss::Restart);
        }
        self.ready = false;
        self.end_outbound(None);
        self.leave_line(0);
        self.exchange = None;
        self.unsure();
        let Some(run) = &mut self.run else { return };
        let first = matches!(run.verb, Verb::BringUp | Verb::Connect);
        if first && run.restarts < TRIES {
            let restarts = run.restarts.saturating_add(1);
            *run = Run { plan: BRING_UP, step: 0, tries: 0, restarts, ..*run };
        } else {
            self.conclude(Err(Error::Restarted));
        }
    }

    fn abandon(&mut self, unsure: usize) {
        self.leave_line(unsure);
        if let (Some(_), Some(verb)) = (self.outcome.take(), self.untold.take()) {
            self.inbox.unknown(verb);
        }
        let Some(run) = self.run.take() else { return };
        if run.verb == Verb::Connect {
            self.link = LinkState::Idle;
        }
        if let Some(exchange) = &mut self.exchange {
            exchange.own = false;
        }
        let publishes = self.outbound.as_mut().filter(|out| matches!(out.owner, Owner::Caller(_)));
        if let Some(outbound) = publishes {
            outbound.leave();
            self.inbox.unknown(Verb::Publish);
        } else if run.begun && run.plan == DEACTIVATE {
            self.inbox.unknown(Verb::Disconnect);
        }
    }

    /// The line that goes out is not completed: nothing of it was sent, or its
    /// rest is replaced by an empty line, which makes it none.
    fn leave_line(&mut self, unsure: usize) {
        let sending = core::mem::replace(&mut self.sending, Sending::Nothing);
        if sending == Sending::Nothing {
            return;
        }
        let torn = self.out.is_begun() || unsure > 0;
        self.out.clear();
        if torn || sending == Sending::Flush {
            self.unsure();
            self.torn |= torn;
        }
        if sending != Sending::Request {
            return;
        }
        match self.exchange.take().map(|exchange| exchange.ask) {
            Some(Ask::Originate) if !torn => self.outbound = None,
            Some(Ask::Cancel) => {
                if let Some(outbound) = &mut self.outbound {
                    outbound.cancel = Cancel::Due;
                }
            }
            _ => {}
        }
    }

    fn opened(&mut self) {
        self.inbound.cut(&mut self.inbox);
        self.end_outbound(None);
        self.leave_line(0);
        self.exchange = None;
        self.unsure();
    }

    fn is_idle(&self) -> bool {
        let clearing = self.outbound.as_ref().is_some_and(|out| {
            out.owner == Owner::Nobody && out.id.is_some() || out.cancel == Cancel::Sent
        });
        self.run.is_none() && self.exchange.is_none() && self.out.is_done() && !clearing
    }
}

fn check_some(filters: usize) -> Result<(), Error> {
    if filters == 0 {
        return Err(FieldError { field: Field::Filters, problem: Problem::Empty }.into());
    }
    Ok(())
}
