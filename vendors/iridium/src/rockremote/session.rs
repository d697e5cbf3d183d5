//! One session with a broker (MQTT 3.1.1, chapter 4): which packet is due,
//! what an answer means, what an unfinished message still needs. Knows bytes
//! only through [`Decoder`] and the encoder.

use core::fmt;

use hayes::{
    Instant, Operation, Verb,
    inbox::Inbox,
    mqtt::{
        Assurance, Capabilities, Cause, Code, Delivery, Error, Event, Feature, Field, FieldError,
        Granted, Limits, LinkState, Loss, Problem, Publish, QoS, Refusal, Session, Status,
    },
};
use heapless::{Deque, Vec};

use super::{
    Settings,
    decoder::{Decoder, Heading, Part, Violation, kind},
    encoder,
    ids::Ids,
};

/// How many runs of acknowledgements may wait for the writer.
const ACKS: usize = 32;
/// How many publishes with an unknown outcome are remembered.
const UNFINISHED: usize = 4;
/// Small pieces go out together.
const GATHER: usize = 128;

/// A client of a broker, without transport and clock. `INBOX` is the bytes
/// for messages and events that wait.
#[derive(Clone, Debug)]
pub struct Machine<const INBOX: usize> {
    decoder: Decoder,
    talk: Talk<INBOX>,
}

/// Everything but the decoder.
#[derive(Clone, Debug)]
struct Talk<const INBOX: usize> {
    settings: Settings,
    inbox: Inbox<INBOX>,
    link: LinkState,
    /// The transport carried a CONNECT, or something that cannot be taken back.
    used: bool,
    violation: Option<Violation>,
    run: Option<Run>,
    outcome: Option<Result<(), Error>>,
    /// The verb of the outcome, if it may have taken effect.
    untold: Option<Verb>,
    out: Out,
    acks: Deque<Acks, ACKS>,
    /// Messages with QoS 2 that were taken and not released yet. Mosquitto
    /// 2.0.11 has a whole queue under way at once, whatever its window.
    taken: Ids,
    /// The one that is being received, once its identifier is known.
    heading: Option<(Heading, u16)>,
    unfinished: Vec<Unfinished, UNFINISHED>,
    last_id: u16,
    keep_alive_ms: u32,
    ping: Ping,
    session: Session,
    granted: Granted,
}

/// The operation under way.
#[derive(Clone, Copy, Debug)]
struct Run {
    verb: Verb,
    stage: Stage,
    id: u16,
    qos: QoS,
    dup: bool,
    clean: bool,
    /// Of a publish.
    digest: u32,
    filters: usize,
    /// Moves on while bytes go out.
    deadline: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The packet goes out, or has to on the next connection.
    Sending,
    /// The answer is awaited.
    Answer,
    /// PUBREL went out, PUBCOMP is awaited.
    Released,
    /// Finished before it was repeated.
    Done,
}

/// A publish whose outcome was not known when its operation ended.
#[derive(Clone, Copy, Debug)]
struct Unfinished {
    id: u16,
    qos: QoS,
    digest: u32,
    stage: Stage,
}

/// Acknowledgements of one kind that are due, with identifiers in a row.
#[derive(Clone, Copy, Debug)]
struct Acks {
    kind: u8,
    flags: u8,
    first: u16,
    last: u16,
}

/// What goes out now.
#[derive(Clone)]
struct Out {
    gather: Vec<u8, GATHER>,
    /// So much of the gathered, or of the piece that goes out by itself, is
    /// out.
    at: usize,
    /// So much of it ends the operation's packet; 0 if more follows.
    last: usize,
    /// The next piece of the operation's packet.
    piece: usize,
    /// The gathered bytes are those of the operation.
    of_operation: bool,
    /// Something of the operation's packet is out.
    begun: bool,
    /// The transport took something since this was looked at.
    moved: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping {
    /// Not connected, or no keep-alive.
    Off,
    /// Due at this time, if nothing else is sent before.
    At(Instant),
    /// PINGREQ is due, and has to be out by this time.
    Due(Instant),
    /// PINGRESP has to be there by this time.
    Awaited(Instant),
}

impl<const INBOX: usize> Machine<INBOX> {
    pub(super) const fn new(settings: Settings) -> Self {
        Self {
            decoder: Decoder::new(),
            talk: Talk {
                settings,
                inbox: Inbox::new(),
                link: LinkState::Idle,
                used: false,
                violation: None,
                run: None,
                outcome: None,
                untold: None,
                out: Out::new(),
                acks: Deque::new(),
                taken: Ids::NONE,
                heading: None,
                unfinished: Vec::new(),
                last_id: 0,
                keep_alive_ms: 0,
                ping: Ping::Off,
                session: Session::Unknown,
                granted: Granted::UNKNOWN,
            },
        }
    }

    /// How the broker broke the protocol, if that ended the last connection.
    #[must_use]
    pub const fn violation(&self) -> Option<Violation> {
        self.talk.violation
    }
}

impl<const INBOX: usize> hayes::Machine for Machine<INBOX> {
    fn capabilities(&self) -> Capabilities {
        super::CAPABILITIES
    }

    fn limits(&self) -> Limits {
        super::LIMITS
    }

    fn assurance(&self, qos: QoS) -> Assurance {
        match qos {
            QoS::AtMostOnce => Assurance::HandedOver,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Assurance::LocalBrokerAck,
        }
    }

    fn select(&mut self, session: u8) -> Result<(), Error> {
        if session == 0 { Ok(()) } else { Err(Error::Unsupported(Feature::SecondSession)) }
    }

    fn start(&mut self, operation: &Operation<'_>, now: Instant) -> Result<(), Error> {
        self.abandon(0);
        operation.check(super::CAPABILITIES, &super::LIMITS)?;
        self.talk.start(operation, now)
    }

    fn receive(&mut self, mut bytes: &[u8], now: Instant) {
        self.talk.look_whether_out(now);
        if self.talk.is_deaf() {
            return;
        }
        loop {
            match self.decoder.next(&mut bytes) {
                Ok(None) => return,
                Ok(Some(part)) => {
                    if let Err(violation) = self.talk.take(part, now) {
                        return self.talk.broken(violation);
                    }
                    if self.talk.is_deaf() {
                        return;
                    }
                }
                Err(violation) => return self.talk.broken(violation),
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        self.talk.tick(now);
    }

    fn transmit<'a>(
        &'a mut self,
        operation: Option<&'a Operation<'a>>,
        now: Instant,
    ) -> Option<&'a [u8]> {
        self.talk.transmit(operation, now)
    }

    fn sent(&mut self, count: usize) {
        let out = &mut self.talk.out;
        out.begun |= count > 0 && !out.is_service();
        out.moved |= count > 0;
        out.at = out.at.saturating_add(count);
    }

    fn deadline(&self) -> Option<Instant> {
        let run = self.talk.run.map(|run| run.deadline);
        let ping = match self.talk.ping {
            Ping::Off => None,
            Ping::At(at) | Ping::Due(at) | Ping::Awaited(at) => Some(at),
        };
        match (run, ping) {
            (Some(run), Some(ping)) => Some(run.min(ping)),
            _ => run.or(ping),
        }
    }

    fn outcome(&mut self) -> Option<Result<(), Error>> {
        self.talk.outcome.take()
    }

    fn abandon(&mut self, unsure: usize) {
        let talk = &mut self.talk;
        let untold = talk.untold.take();
        let mut unknown = talk.outcome.take().and(untold);
        talk.out.begun |= unsure > 0 && !talk.out.is_service();
        // Half a packet is out, and nothing else may follow it.
        let mut useless = unsure > 0 || talk.out.begun;
        if let Some(run) = talk.run.take() {
            let begun = talk.leave(run);
            unknown = begun.then_some(run.verb);
            if run.verb == Verb::Connect {
                // Nobody would take its answer.
                useless |= begun;
                talk.used = begun;
                talk.link = if begun { talk.link } else { LinkState::Idle };
            }
        }
        if let Some(verb) = unknown {
            talk.inbox.unknown(verb);
        }
        if useless {
            talk.lose(Loss::Abandoned);
        }
        talk.out.withdraw();
    }

    fn is_idle(&self) -> bool {
        self.talk.run.is_none() && self.talk.out.gather.is_empty() && self.talk.acks.is_empty()
    }

    fn has_event(&self) -> bool {
        self.talk.inbox.has_event()
    }

    fn event(&mut self) -> Option<Event<'_>> {
        self.talk.inbox.front()
    }

    fn link(&self) -> LinkState {
        self.talk.link
    }

    fn status(&self) -> Status {
        Status {
            link: self.talk.link,
            connected: Some(self.talk.is_connected()),
            ..Status::default()
        }
    }

    fn session(&self) -> Session {
        self.talk.session
    }

    fn granted(&self) -> Granted {
        self.talk.granted
    }

    fn opened(&mut self) {
        self.closed();
        self.decoder = Decoder::new();
        self.talk.used = false;
    }

    fn closed(&mut self) {
        let talk = &mut self.talk;
        if let Some(run) = talk.run.take() {
            if talk.leave(run) {
                talk.inbox.unknown(run.verb);
            }
        }
        talk.lose(Loss::Closed(None));
    }
}

impl<const INBOX: usize> Talk<INBOX> {
    fn is_connected(&self) -> bool {
        matches!(self.link, LinkState::Connected)
    }

    /// Nothing that comes in matters: there is no connection.
    fn is_deaf(&self) -> bool {
        !matches!(self.link, LinkState::Connected | LinkState::Connecting)
    }

    // ---- operations ---------------------------------------------------------

    fn start(&mut self, operation: &Operation<'_>, now: Instant) -> Result<(), Error> {
        let verb = operation.verb();
        let mut run = Run {
            verb,
            stage: Stage::Sending,
            id: 0,
            qos: QoS::AtMostOnce,
            dup: false,
            clean: true,
            digest: 0,
            filters: 0,
            deadline: self.patience(now),
        };
        match operation {
            Operation::Connect(options) => {
                super::check(options, &self.settings)?;
                if self.used {
                    return Err(Error::TransportUsed);
                }
                self.used = true;
                self.link = LinkState::Connecting;
                self.session = Session::Unknown;
                self.violation = None;
                run.clean = options.clean_session;
                self.keep_alive_ms = u32::from(options.keep_alive).saturating_mul(1_000);
            }
            Operation::Publish(message) => {
                self.connected()?;
                run.qos = message.qos;
                if run.qos > QoS::AtMostOnce {
                    run.digest = digest(message);
                    self.identify(&mut run, message.repeat);
                }
            }
            Operation::Subscribe(filters) => self.begin_filters(&mut run, filters.len())?,
            Operation::Unsubscribe(filters) => self.begin_filters(&mut run, filters.len())?,
            Operation::Disconnect if self.is_connected() => {}
            // There is nothing to bring up, and nothing to ask for.
            _ => {
                self.outcome = Some(Ok(()));
                return Ok(());
            }
        }
        if run.stage == Stage::Done {
            self.outcome = Some(Ok(()));
        } else {
            self.run = Some(run);
        }
        Ok(())
    }

    fn connected(&self) -> Result<(), Error> {
        match self.link {
            LinkState::Connected => Ok(()),
            LinkState::Lost(loss) => Err(Error::Lost(loss)),
            _ => Err(Error::NotConnected),
        }
    }

    fn begin_filters(&mut self, run: &mut Run, count: usize) -> Result<(), Error> {
        self.connected()?;
        FieldError::at_most(Field::Filters, Granted::FILTERS as u32, count)?;
        if count == 0 {
            return Err(FieldError { field: Field::Filters, problem: Problem::Empty }.into());
        }
        run.filters = count;
        run.id = self.new_id();
        self.granted = Granted::UNKNOWN;
        Ok(())
    }

    /// Gives a publish its packet identifier: that of the one it repeats, if
    /// that is still unfinished.
    fn identify(&mut self, run: &mut Run, repeat: bool) {
        let like = |one: &Unfinished| (one.qos, one.digest) == (run.qos, run.digest);
        let earlier = self.unfinished.iter().rfind(|one| repeat && like(one)).copied();
        if let Some(earlier) = earlier {
            self.forget(earlier.id);
            run.id = earlier.id;
            run.dup = true;
            run.stage = earlier.stage;
        } else {
            run.id = self.new_id();
        }
    }

    /// A publish need not be remembered any more.
    fn forget(&mut self, id: u16) {
        self.remember(&|one| one.id != id);
    }

    /// Keeps these publishes only, in their order. heapless would bring core's
    /// move of overlapping memory along, 0.7 kB.
    fn remember(&mut self, these: &dyn Fn(&Unfinished) -> bool) {
        for one in &core::mem::take(&mut self.unfinished) {
            if these(one) {
                let _ = self.unfinished.push(*one);
            }
        }
    }

    /// The next identifier that is not in use (2.3.1).
    fn new_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.unfinished.iter().all(|one| one.id != self.last_id) {
                return self.last_id;
            }
        }
    }

    /// An operation ends without its answer; whether anything of it was sent.
    /// A publish is remembered then, to be repeated.
    fn leave(&mut self, run: Run) -> bool {
        let begun = run.stage != Stage::Sending || self.out.begun;
        if run.verb != Verb::Publish || run.qos == QoS::AtMostOnce || !(begun || run.dup) {
            return begun;
        }
        if self.unfinished.is_full() {
            let done = self.unfinished.iter().find(|one| one.stage == Stage::Done);
            if let Some(one) = done.or(self.unfinished.first()).copied() {
                self.forget(one.id);
            }
        }
        let Run { id, qos, digest, stage, .. } = run;
        let _ = self.unfinished.push(Unfinished { id, qos, digest, stage });
        begun
    }

    /// The operation under way, if there is one, ends without its answer.
    fn fail(&mut self, error: Error) {
        if let Some(run) = self.run {
            let begun = self.leave(run);
            self.end(Err(error));
            if !begun {
                self.untold = None;
            }
        }
    }

    #[inline(never)]
    fn end(&mut self, outcome: Result<(), Error>) {
        self.untold = self.run.take().map(|run| run.verb);
        self.outcome = Some(outcome);
    }

    /// The connection is gone; whoever waits is told.
    fn lose(&mut self, loss: Loss) {
        self.out = Out::new();
        self.acks.clear();
        self.ping = Ping::Off;
        self.heading = None;
        for one in self.unfinished.iter_mut().filter(|one| one.stage == Stage::Answer) {
            one.stage = Stage::Sending;
        }
        self.inbox.cut(0);
        if self.is_connected() {
            self.inbox.lost(0, loss);
        }
        if !self.is_deaf() {
            self.link = LinkState::Lost(loss);
        }
    }

    fn broken(&mut self, violation: Violation) {
        self.violation = Some(violation);
        self.fail(Error::Protocol(violation.name()));
        self.lose(Loss::Protocol);
    }

    // ---- time ---------------------------------------------------------------

    fn patience(&self, now: Instant) -> Instant {
        now.after_millis(u32::from(self.settings.answer_timeout).saturating_mul(1_000))
    }

    fn tick(&mut self, now: Instant) {
        match self.ping {
            Ping::At(at) if now >= at => self.ping = Ping::Due(self.patience(now)),
            Ping::Due(at) | Ping::Awaited(at) if now >= at => {
                self.fail(Error::Lost(Loss::KeepAlive(None)));
                self.lose(Loss::KeepAlive(None));
            }
            _ => {}
        }
        if let Some(run) = self.run.filter(|run| now >= run.deadline) {
            self.fail(Error::NoResult(name(run.verb)));
            if run.verb == Verb::Connect || run.stage == Stage::Sending {
                self.lose(Loss::NoResult);
            }
        }
    }

    /// Something was sent: the next PINGREQ may wait (3.1.2.10), and so may
    /// who waits for the rest to go out.
    fn moved(&mut self, now: Instant) {
        if let Ping::At(_) | Ping::Due(_) = self.ping {
            self.ping = self.next_ping(now);
        }
        let patience = self.patience(now);
        if let Some(run) = self.run.as_mut().filter(|run| run.stage == Stage::Sending) {
            run.deadline = patience;
        }
    }

    fn next_ping(&self, now: Instant) -> Ping {
        if self.keep_alive_ms == 0 {
            return Ping::Off;
        }
        Ping::At(now.after_millis(self.keep_alive_ms.saturating_sub(self.keep_alive_ms / 4)))
    }

    // ---- out ----------------------------------------------------------------

    fn transmit<'a>(
        &'a mut self,
        operation: Option<&'a Operation<'a>>,
        now: Instant,
    ) -> Option<&'a [u8]> {
        if core::mem::take(&mut self.out.moved) {
            self.moved(now);
        }
        if !self.out.gather.is_empty() && self.out.at >= self.out.gather.len() {
            self.out.gather.clear();
            (self.out.at, self.out.last) = (0, 0);
        }
        if self.out.gather.is_empty() {
            let lent = self.fill(operation, now);
            if let Some(lent) = lent {
                return lent.get(self.out.at..);
            }
        }
        self.out.gather.get(self.out.at..).filter(|due| !due.is_empty())
    }

    /// Gathers what is due next; gives a piece that goes out by itself.
    fn fill<'a>(&mut self, operation: Option<&Operation<'a>>, now: Instant) -> Option<&'a [u8]> {
        if self.is_deaf() {
            return None;
        }
        if self.out.piece == 0 {
            self.service(now);
            if !self.out.gather.is_empty() {
                return None;
            }
        }
        let run = self.run.filter(|run| run.stage == Stage::Sending)?;
        let operation = operation.filter(|operation| operation.verb() == run.verb)?;
        self.out.of_operation = true;
        loop {
            let piece = encoder::piece(operation, run.id, run.dup, self.out.piece);
            let Some(piece) = piece else {
                if self.out.gather.is_empty() {
                    self.packet_is_out(run);
                    self.service(now);
                }
                self.out.last = self.out.gather.len();
                return None;
            };
            if let encoder::Piece::Lent(lent) = piece {
                if lent.len() > GATHER && self.out.gather.is_empty() && self.out.at < lent.len() {
                    let next = self.out.piece.saturating_add(1);
                    let mut rest = (next..)
                        .map_while(|piece| encoder::piece(operation, run.id, run.dup, piece));
                    let ends = rest.all(|piece| piece.bytes().is_empty());
                    self.out.last = if ends { lent.len() } else { 0 };
                    return Some(lent);
                }
            }
            let by_itself = self.out.at > 0;
            if !by_itself && self.out.gather.extend_from_slice(piece.bytes()).is_err() {
                return None;
            }
            self.out.at = 0;
            self.out.piece = self.out.piece.saturating_add(1);
        }
    }

    /// Gathers what is due between packets.
    fn service(&mut self, now: Instant) {
        self.out.of_operation = false;
        if let Ping::Due(_) = self.ping {
            let _ = self.out.gather.extend_from_slice(&PINGREQ);
            self.ping = Ping::Awaited(self.patience(now));
        }
        while self.out.gather.len() <= GATHER.saturating_sub(4) {
            let Some(due) = self.acks.front_mut() else { break };
            let ack = encoder::short(due.kind, due.flags, due.first);
            let _ = self.out.gather.extend_from_slice(&ack);
            if due.first == due.last {
                self.acks.pop_front();
            } else {
                due.first = due.first.wrapping_add(1);
            }
        }
    }

    /// The answer may be there before more is asked for.
    fn look_whether_out(&mut self, now: Instant) {
        let out = &mut self.out;
        if out.last == 0 || out.at < out.last {
            return;
        }
        if core::mem::take(&mut out.moved) {
            self.moved(now);
        }
        if let Some(run) = self.run.filter(|run| run.stage == Stage::Sending) {
            self.packet_is_out(run);
        }
    }

    fn packet_is_out(&mut self, mut run: Run) {
        self.out = Out::new();
        run.stage = Stage::Answer;
        self.run = Some(run);
        match run.verb {
            Verb::Publish if run.qos == QoS::AtMostOnce => self.end(Ok(())),
            Verb::Disconnect => {
                self.link = LinkState::Idle;
                self.lose(Loss::Closed(None));
                self.end(Ok(()));
            }
            _ => {}
        }
    }

    // ---- in -----------------------------------------------------------------

    fn take(&mut self, part: Part<'_>, now: Instant) -> Result<(), Violation> {
        if matches!(self.link, LinkState::Connecting)
            && !matches!(part, Part::Packet(kind::CONNACK, _))
        {
            return Err(Violation::Order);
        }
        match part {
            Part::Packet(kind, body) => return self.packet(kind, body, now),
            Part::Publish(heading) => {
                self.heading = Some((heading, 0));
                let Heading { qos, retain: retained, dup: duplicate, topic, payload } = heading;
                let qos = QoS::from_level(qos).unwrap_or_default();
                let delivery = Delivery { qos, retained, duplicate };
                self.inbox.begin_delivery(delivery, topic.into(), payload);
            }
            Part::Topic(part) => self.inbox.topic(0, part),
            Part::Id(id) => {
                if let Some((heading, slot)) = &mut self.heading {
                    *slot = id;
                    if heading.qos == 2 && self.taken.contains(id) {
                        // Taken before; its PUBREC was lost (4.3.3).
                        self.inbox.discard(0);
                    }
                }
            }
            Part::Payload(part) => self.inbox.payload(0, part),
            Part::End => return self.message(),
        }
        Ok(())
    }

    /// A message is complete: what is delivered or announced is acknowledged.
    fn message(&mut self) -> Result<(), Violation> {
        let Some((heading, id)) = self.heading.take() else { return Ok(()) };
        if self.inbox.is_open(0) {
            if heading.qos == 2 && !self.taken.insert(id) {
                return Err(Violation::Window);
            }
            self.inbox.end(0);
        }
        match heading.qos {
            0 => Ok(()),
            1 => self.answer(kind::PUBACK, 0, id),
            _ => self.answer(kind::PUBREC, 0, id),
        }
    }

    /// An acknowledgement is due. Only those of one kind have an order (4.6).
    fn answer(&mut self, kind: u8, flags: u8, id: u16) -> Result<(), Violation> {
        if let Some(due) = self.acks.iter_mut().rev().find(|due| due.kind == kind) {
            if due.last.checked_add(1) == Some(id) {
                due.last = id;
                return Ok(());
            }
        }
        let due = Acks { kind, flags, first: id, last: id };
        self.acks.push_back(due).map_err(|_| Violation::Window)
    }

    fn packet(&mut self, kind: u8, body: &[u8], now: Instant) -> Result<(), Violation> {
        let (id, codes) = match body {
            [high, low, codes @ ..] => (u16::from_be_bytes([*high, *low]), codes),
            _ => (0, body),
        };
        match kind {
            kind::CONNACK => return self.connack(body, now),
            kind::PINGRESP => {
                if matches!(self.ping, Ping::Awaited(_)) {
                    self.ping = self.next_ping(now);
                }
                return Ok(());
            }
            _ if id == 0 => return Err(Violation::PacketId),
            _ => {}
        }
        match kind {
            kind::PUBACK | kind::PUBCOMP => self.acknowledged(kind, id),
            kind::PUBREC => {
                // Whoever it is for, it ends only by PUBREL (4.3.3).
                self.answer(kind::PUBREL, 2, id)?;
                self.acknowledged(kind, id);
            }
            kind::PUBREL => {
                self.taken.remove(id);
                return self.answer(kind::PUBCOMP, 0, id);
            }
            kind::SUBACK => return self.suback(id, codes),
            _ => {
                if self.run.is_some_and(|run| run.is_answer(Verb::Unsubscribe, id)) {
                    self.end(Ok(()));
                }
            }
        }
        Ok(())
    }

    /// PUBACK, PUBREC or PUBCOMP, for the publish under way or an earlier one.
    fn acknowledged(&mut self, kind: u8, id: u16) {
        let begun = self.out.begun;
        let known = match &mut self.run {
            Some(run) if (run.verb, run.id) == (Verb::Publish, id) => {
                Some((run.qos, &mut run.stage, begun))
            }
            _ => {
                let one = self.unfinished.iter_mut().find(|one| one.id == id);
                one.map(|one| (one.qos, &mut one.stage, false))
            }
        };
        let Some((qos, stage, begun)) = known else { return };
        *stage = match (kind, qos, *stage) {
            (kind::PUBACK, QoS::AtLeastOnce, Stage::Answer) => Stage::Done,
            (kind::PUBCOMP, QoS::ExactlyOnce, Stage::Released) => Stage::Done,
            (kind::PUBREC, QoS::ExactlyOnce, Stage::Answer) => Stage::Released,
            // The broker still has it, and no PUBLISH may follow its PUBREL.
            (kind::PUBREC, QoS::ExactlyOnce, Stage::Sending) if !begun => Stage::Released,
            _ => return,
        };
        if let Some(run) = self.run.filter(|run| run.stage != Stage::Sending) {
            self.out.withdraw();
            if run.stage == Stage::Done {
                self.end(Ok(()));
            }
        }
    }

    /// 3.9.
    fn suback(&mut self, id: u16, codes: &[u8]) -> Result<(), Violation> {
        let Some(run) = self.run.filter(|run| run.is_answer(Verb::Subscribe, id)) else {
            return Ok(());
        };
        if codes.len() != run.filters {
            return Err(Violation::Length);
        }
        let mut refused = false;
        for (index, code) in codes.iter().enumerate() {
            let qos = QoS::from_level(*code);
            if qos.is_none() && *code != FAILURE {
                return Err(Violation::ReturnCode);
            }
            refused |= qos.is_none();
            self.granted.set(index, qos);
        }
        self.end(if refused { Err(Error::Refused(SUBSCRIBE_REFUSED)) } else { Ok(()) });
        Ok(())
    }

    /// 3.2.
    fn connack(&mut self, body: &[u8], now: Instant) -> Result<(), Violation> {
        let run = self.run.filter(|run| run.is_answer(Verb::Connect, 0));
        let (Some(run), LinkState::Connecting) = (run, self.link) else {
            return Err(Violation::Order);
        };
        let (present, code) = match body {
            [flags @ 0..=1, code @ 0..=5] => (*flags == 1, *code),
            _ => return Err(Violation::ReturnCode),
        };
        if code > 0 {
            self.link = LinkState::Idle;
            self.end(Err(Error::Refused(refusal(code))));
            return Ok(());
        }
        if present && run.clean {
            return Err(Violation::Order);
        }
        self.session = if present { Session::Resumed } else { Session::New };
        if !present {
            self.remember(&|one| one.stage == Stage::Done);
            self.taken = Ids::NONE;
        }
        self.link = LinkState::Connected;
        self.ping = self.next_ping(now);
        self.end(Ok(()));
        // What was received by the broker is released again (4.4).
        let released = self.unfinished.clone();
        for one in released.iter().filter(|one| one.stage == Stage::Released) {
            self.answer(kind::PUBREL, 2, one.id)?;
        }
        Ok(())
    }
}

impl Run {
    fn is_answer(&self, verb: Verb, id: u16) -> bool {
        (self.verb, self.id, self.stage) == (verb, id, Stage::Answer)
    }
}

/// What goes out may hold a password.
impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Out")
            .field("gathered", &self.gather.len())
            .field("at", &self.at)
            .field("piece", &self.piece)
            .finish_non_exhaustive()
    }
}

impl Out {
    const fn new() -> Self {
        let gather = Vec::new();
        Self { gather, at: 0, last: 0, piece: 0, of_operation: false, begun: false, moved: false }
    }

    /// What is gathered are acknowledgements.
    fn is_service(&self) -> bool {
        !self.of_operation && !self.gather.is_empty()
    }

    /// The operation's packet will not go out, or not on.
    fn withdraw(&mut self) {
        if !self.is_service() {
            *self = Self::new();
        }
    }
}

const PINGREQ: [u8; 2] = [kind::PINGREQ << 4, 0];

/// The return code of a SUBACK that refuses a filter (3.9.3).
const FAILURE: u8 = 0x80;

const SUBSCRIBE_REFUSED: Refusal = Refusal {
    command: "SUBSCRIBE",
    code: Code::Vendor(FAILURE as i32),
    name: "failure",
    cause: Cause::Unknown,
};

/// By what a publish that is repeated is known again (FNV-1a).
fn digest(message: &Publish<'_>) -> u32 {
    let topic = message.topic.as_str().bytes().chain([0, message.retain.into()]);
    topic
        .chain(message.payload.iter().copied())
        .fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// 3.2.2.3.
fn refusal(code: u8) -> Refusal {
    let (name, cause) = match code {
        1 => ("unacceptable protocol version", Cause::ProtocolVersion),
        2 => ("identifier rejected", Cause::Identifier),
        3 => ("server unavailable", Cause::ServerUnavailable),
        4 => ("bad user name or password", Cause::Credentials),
        _ => ("not authorized", Cause::NotAuthorized),
    };
    Refusal { command: "CONNECT", code: Code::Vendor(code.into()), name, cause }
}

fn name(verb: Verb) -> &'static str {
    match verb {
        Verb::Connect => "CONNECT",
        Verb::Subscribe => "SUBSCRIBE",
        Verb::Unsubscribe => "UNSUBSCRIBE",
        Verb::Disconnect => "DISCONNECT",
        _ => "PUBLISH",
    }
}
