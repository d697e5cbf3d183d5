//! Thousands of messages in each direction through emulated modems that are
//! restarted, cut off, lost by their broker, and left by futures that are
//! dropped: what was accepted arrived, what arrived was accepted or told of as
//! unknown, and what did not come was told of. All trouble is drawn from a seed.
//!
//! The full form, 10,000 messages each way and backend, prints its table:
//! `cargo test --release --test delivery -- --ignored --nocapture`

use std::{collections::BTreeMap, fmt};

use hayes::{
    Instant, Machine, Operation,
    mqtt::{
        Capabilities, Cause, ConnectOptions, Error, Event, LinkState, Publish, QoS, Session,
        Subscription,
    },
};
use hayes_emulator::{Modem, jspr, luat, network::Loopback, rockremote, simcom};

/// Marsaglia's xorshift: the trouble is random and the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) as usize % sides.max(1)
    }
}

// ---- the line -------------------------------------------------------------------

/// What happens when so many bytes have passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happens {
    /// A message comes from elsewhere.
    Message(usize),
    /// The modem restarts, or loses its power.
    Restart { power: bool },
    /// Nothing passes for so many milliseconds; TCP ends.
    Cut(u64),
    /// The same, and the modem restarts meanwhile, which nobody hears.
    Away(u64),
    /// No satellite is to be seen for so many milliseconds.
    Hidden(u64),
    /// The broker loses the modem.
    Lost(u8),
    /// The broker answers nothing for so many milliseconds.
    Slow(u64),
    /// The future of the operation is dropped.
    Dropped,
}

struct Plan {
    to_modem: bool,
    at: usize,
    what: Happens,
}

/// What a backend is for this test.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    qos: QoS,
    /// The transport is the connection, and the session is the driver's.
    is_tcp: bool,
    /// Satellites, no MQTT: there is a sky to lose, and a CRC with each message.
    is_jspr: bool,
    /// Where messages go, for the driver and at the broker.
    up: [&'static str; 2],
    /// Where they come from at the broker, and the filter for them.
    down: &'static str,
    filter: &'static str,
}

/// A modem that speaks MQTT, over AT commands.
const AT: Kind = Kind {
    name: "",
    qos: QoS::AtLeastOnce,
    is_tcp: false,
    is_jspr: false,
    up: ["up/t", "up/t"],
    down: "dn/t",
    filter: "dn/#",
};

struct Lane<D, M> {
    kind: Kind,
    driver: D,
    modem: M,
    broker: Loopback,
    now: u64,
    dice: Dice,
    plans: Vec<Plan>,
    passed: [usize; 2],
    unplugged_until: u64,
    slow_until: Option<u64>,
    hidden_until: Option<u64>,
    drops: bool,
    /// TCP only: whether there is a connection.
    open: bool,
    /// TCP only: there is a session to be kept.
    kept: bool,
    /// The dialogue of this round and the last one, for failures.
    said: [Vec<u8>; 2],
}

/// How a publish ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Accepted,
    /// Certainly not published.
    Failed,
    /// The driver says that it does not know.
    Unknown,
    /// The future was dropped.
    Dropped,
}

impl<D: Machine, M: Modem> Lane<D, M> {
    fn new(kind: Kind, seed: u64, driver: D, modem: M) -> Self {
        Self {
            kind,
            driver,
            modem,
            broker: Loopback::new(),
            now: 0,
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            plans: Vec::new(),
            passed: [0; 2],
            unplugged_until: 0,
            slow_until: None,
            hidden_until: None,
            drops: false,
            open: kind.is_tcp,
            kept: false,
            said: [Vec::new(), Vec::new()],
        }
    }

    fn time(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    fn plan(&mut self, to_modem: bool, after: usize, what: Happens) {
        let at = self.passed[usize::from(to_modem)] + after;
        self.plans.push(Plan { to_modem, at, what });
    }

    fn fire(&mut self, what: Happens) {
        self.said[1].extend(format!("\n! {what:?}").bytes());
        match what {
            Happens::Message(number) => self.message(number),
            Happens::Restart { power: true } => self.modem.power_cycle(self.now),
            Happens::Restart { power: false } => self.modem.reboot(self.now),
            Happens::Cut(_) if self.kind.is_tcp => self.modem.host_leaves(self.now),
            Happens::Cut(ms) => self.unplugged_until = self.now + ms,
            Happens::Away(ms) => {
                self.unplugged_until = self.now + ms;
                self.modem.reboot(self.now);
            }
            Happens::Hidden(ms) => {
                self.modem.set_network(self.now, false);
                self.hidden_until = Some(self.now + ms);
            }
            // To a modem that has given up, or was lost before its CONNECT came
            // in, a loopback hands over what waited: no broker does, TCP tells it.
            Happens::Slow(_) | Happens::Lost(_) if self.driver.link() != LinkState::Connected => {}
            Happens::Lost(cause) => self.broker.lose(0, cause),
            Happens::Slow(ms) => {
                self.broker.hold();
                self.slow_until = Some(self.now + ms);
            }
            Happens::Dropped => self.drops = true,
        }
        self.notice_end();
    }

    /// A TCP connection that has ended is noticed by both sides.
    fn notice_end(&mut self) {
        if self.open && self.modem.hung_up() {
            self.open = false;
            self.driver.closed();
        }
    }

    fn message(&mut self, number: usize) {
        self.broker.publish(self.kind.down.as_bytes(), &incoming(number), false);
    }

    /// Carries bytes, and lets happen what is planned between them.
    fn carry(&mut self, to_modem: bool, bytes: &[u8]) {
        let way = usize::from(to_modem);
        let mut rest = bytes;
        loop {
            let passed = self.passed[way];
            let due = |plan: &Plan| plan.to_modem == to_modem && plan.at <= passed;
            if let Some(at) = self.plans.iter().position(due) {
                let plan = self.plans.remove(at);
                self.fire(plan.what);
                continue;
            }
            if rest.is_empty() || (self.kind.is_tcp && !self.open) {
                return;
            }
            let ahead = self.plans.iter().filter(|plan| plan.to_modem == to_modem);
            let next = ahead.map(|plan| plan.at - passed).min().unwrap_or(usize::MAX);
            let size = next.min(rest.len()).min(1 + self.dice.roll(64));
            let (piece, later) = rest.split_at(size);
            rest = later;
            self.passed[way] += size;
            let lost = self.now < self.unplugged_until;
            let mark = if to_modem { "\n> " } else { "\n< " };
            let mark = if lost { "\nx " } else { mark };
            self.said[1].extend(mark.bytes().chain(piece.escape_ascii()));
            match (lost, to_modem) {
                (true, _) => {}
                (false, true) => self.modem.receive(self.now, piece),
                (false, false) => self.driver.receive(piece, Instant::from_millis(self.now)),
            }
        }
    }

    /// Carries what is due now; whether there was anything.
    fn exchange(&mut self, operation: Option<&Operation<'_>>) -> bool {
        let mut busy = false;
        while !self.drops {
            let now = self.time();
            let Some(bytes) = self.driver.transmit(operation, now) else { break };
            // The transport takes a part.
            let bytes = bytes[..1 + self.dice.roll(bytes.len())].to_vec();
            self.driver.sent(bytes.len());
            self.carry(true, &bytes);
            busy = true;
        }
        self.broker.exchange(&mut self.modem, self.now);
        let bytes = self.modem.transmit(self.now);
        busy |= !bytes.is_empty();
        self.carry(false, &bytes);
        self.notice_end();
        busy
    }

    /// Lets time pass to whatever is due next, but not beyond `end`.
    fn advance(&mut self, end: u64) -> bool {
        let driver = self.driver.deadline().map(Instant::as_millis);
        let plugged = Some(self.unplugged_until).filter(|at| *at > self.now);
        let due = [driver, self.modem.deadline(), plugged, self.slow_until, self.hidden_until];
        let Some(next) = due.into_iter().flatten().min().filter(|at| *at <= end) else {
            return false;
        };
        self.now = self.now.max(next);
        if self.slow_until.is_some_and(|at| at <= self.now) {
            self.slow_until = None;
            self.broker.resume();
        }
        if self.hidden_until.take_if(|at| *at <= self.now).is_some() {
            self.modem.set_network(self.now, true);
        }
        if driver.is_some_and(|at| at <= self.now) {
            self.driver.tick(self.time());
        }
        true
    }

    fn idle(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            while self.exchange(None) {}
            if !self.advance(end) {
                break;
            }
        }
        self.now = end;
    }

    /// Runs an operation to its end; `None` if its future was dropped.
    fn run(&mut self, operation: &Operation<'_>) -> Option<Result<(), Error>> {
        if let Err(error) = self.driver.start(operation, self.time()) {
            return Some(Err(error));
        }
        let end = self.now + 3_600_000;
        loop {
            while self.exchange(Some(operation)) {}
            if let Some(outcome) = self.driver.outcome() {
                return Some(outcome);
            }
            if std::mem::take(&mut self.drops) {
                self.driver.abandon(0);
                return None;
            }
            if self.kind.is_tcp && !self.open {
                // The client gives up what was under way on the old transport.
                return Some(Err(Error::Lost(hayes::mqtt::Loss::Closed(None))));
            }
            assert!(self.advance(end), "{:?} hangs\n{}", operation.verb(), self.dialogue());
        }
    }

    fn publish(&mut self, payload: &[u8], repeats: bool) -> Ended {
        let mut publish = Publish::new(self.kind.up[0], payload).unwrap().qos(self.kind.qos);
        publish = if repeats { publish.repeat() } else { publish };
        match self.run(&Operation::Publish(&publish)) {
            Some(Ok(())) => Ended::Accepted,
            // Who was not answered in time does not know either.
            // Of a 9704 it is an answer: the message is gone.
            Some(Err(Error::Refused(it))) if it.cause == Cause::Timeout && !self.kind.is_jspr => {
                Ended::Unknown
            }
            Some(Err(error @ (Error::Refused(_) | Error::NotConnected))) => {
                self.said[1].extend(format!("\n= {error}").bytes());
                Ended::Failed
            }
            Some(Err(Error::Field(error))) => panic!("{error}"),
            Some(Err(_)) => Ended::Unknown,
            None => Ended::Dropped,
        }
    }

    /// Connects with a kept session and subscribes, however often it takes.
    fn reconnect(&mut self) {
        for attempt in 0..40 {
            if self.driver.link() == LinkState::Connected {
                return;
            }
            if self.kind.is_tcp {
                self.modem.host_arrives(self.now);
                self.open = !self.modem.hung_up();
                self.driver.opened();
            }
            let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
            let keeps = self.driver.capabilities().contains(Capabilities::KEPT_SESSION);
            let options = options.clean_session(!keeps);
            let up = attempt % 2 == 0
                || self.run(&Operation::BringUp(&hayes::mqtt::Network::new())) == Some(Ok(()));
            if up && self.run(&Operation::Connect(&options)) == Some(Ok(())) {
                let resumed = self.driver.session() == Session::Resumed;
                assert!(resumed || !self.kept, "the box keeps its sessions");
                self.kept = self.kind.is_tcp;
                let filter = Subscription::new(self.kind.filter, self.kind.qos).unwrap();
                if resumed || self.run(&Operation::Subscribe(&[filter])) == Some(Ok(())) {
                    continue;
                }
                // Without the subscription the connection is of no use.
                self.run(&Operation::Disconnect);
            }
            self.idle(1_000);
        }
        panic!("{}: no connection any more\n{}", self.kind.name, self.dialogue());
    }

    /// Draws what happens in this round, if anything.
    fn trouble(&mut self) -> Option<Happens> {
        let ms = self.dice.roll(60_000) as u64;
        let what = match self.dice.roll(24) {
            0 => Happens::Restart { power: false },
            1 => Happens::Restart { power: true },
            2 | 3 => Happens::Cut(5_000 + ms),
            4 if self.kind.is_jspr => Happens::Hidden(ms * 3),
            7 if self.kind.is_jspr => Happens::Away(5_000 + ms),
            4 if !self.kind.is_tcp => Happens::Lost(1 + (ms % 3) as u8),
            4 | 5 if self.kind.is_tcp => Happens::Cut(0),
            5 => Happens::Slow(ms * 3),
            6 => Happens::Dropped,
            _ => return None,
        };
        // A message in parts is long.
        let reach = if self.kind.is_jspr { 600 } else { 120 };
        let (to_modem, after) = (self.dice.roll(2) == 0, self.dice.roll(reach));
        self.plan(to_modem, after, what);
        Some(what)
    }

    /// Lets the trouble of this round end, and all that follows from it.
    fn settle(&mut self) {
        self.drops = false;
        let plans = std::mem::take(&mut self.plans);
        for plan in plans {
            if let Happens::Message(number) = plan.what {
                self.message(number);
            }
        }
        let ends = [Some(self.unplugged_until), self.slow_until, self.hidden_until];
        let trouble = ends.into_iter().flatten().max().unwrap_or(0);
        self.idle(trouble.saturating_sub(self.now) + 2_000);
    }

    fn dialogue(&self) -> String {
        String::from_utf8_lossy(&self.said.concat()).into_owned()
    }
}

// ---- the account ------------------------------------------------------------------

fn outgoing(number: usize, attempt: usize) -> Vec<u8> {
    let filler = ["", "\r\nOK\r\n", "\"\\22\"", "\r\nERROR\r\n> "][number % 4].repeat(number % 9);
    format!("o{number:05}.{attempt:02}:{filler};").into_bytes()
}

fn incoming(number: usize) -> Vec<u8> {
    let filler = ["", "\r\n+CMQTTRXEND: 0\r\n", "> ", "\r\n+MSUB: \"t\",2 byte,"][number % 4];
    format!("i{number:05}:{};", filler.repeat(number % 7)).into_bytes()
}

/// One line of the table.
#[derive(Default)]
struct Account {
    name: &'static str,
    messages: usize,
    troubles: usize,
    attempts: usize,
    accepted: usize,
    failed: usize,
    unknown: usize,
    dropped: usize,
    /// Of those with an unknown outcome, dropped ones included.
    arrived_unknown: usize,
    twice: usize,
    damaged: usize,
    heard: usize,
    heard_twice: usize,
    /// Lost in the modem when it restarted, and told.
    restarted: usize,
    /// Lost on a line that was cut.
    cut: usize,
    announced: usize,
    /// Of those, not heard for no other reason: of two that were cut off the
    /// end is still awaited.
    crowded: usize,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, messages, troubles, attempts, accepted, failed, unknown, .. } = self;
        writeln!(f, "{name}: {messages} messages each way, {troubles} troubles")?;
        writeln!(
            f,
            "  out: {attempts} publishes: {accepted} accepted, {failed} failed, {unknown} unknown, \
             {} dropped ({} of these two arrived); {} twice, {} damaged",
            self.dropped, self.arrived_unknown, self.twice, self.damaged
        )?;
        write!(
            f,
            "  in:  {} heard, {} twice; not heard: {} restart, {} cut line, {} no room; {} announced",
            self.heard, self.heard_twice, self.restarted, self.cut, self.crowded, self.announced
        )
    }
}

/// Runs `messages` rounds: one message out, until it is accepted, and one in.
fn deliver<D: Machine, M: Modem>(mut lane: Lane<D, M>, messages: usize) -> Account {
    let kind = lane.kind;
    let once = kind.is_tcp && kind.qos == QoS::ExactlyOnce;
    let mut account = Account { name: kind.name, messages, ..Account::default() };
    let mut ends: BTreeMap<Vec<u8>, (Ended, bool)> = BTreeMap::new();
    let mut heard = vec![0_usize; messages];
    let mut troubles: Vec<Option<Happens>> = Vec::new();
    let mut told = vec![false; messages];
    let mut announced = vec![false; messages];
    lane.reconnect();
    for number in 0..messages {
        lane.said.swap(0, 1);
        lane.said[1].clear();
        let trouble = lane.trouble();
        account.troubles += usize::from(trouble.is_some());
        troubles.push(trouble);
        let (to_modem, after) = (lane.dice.roll(2) == 0, lane.dice.roll(90));
        lane.plan(to_modem, after, Happens::Message(number));
        let (mut unsure, mut untold) = (false, None::<Vec<u8>>);
        for attempt in 0.. {
            assert!(attempt < 40, "{}: never accepted\n{}", kind.name, lane.dialogue());
            lane.reconnect();
            // Where the driver speaks MQTT itself, it is the same message again.
            let repeats = kind.is_tcp && unsure;
            let payload = outgoing(number, if kind.is_tcp { 0 } else { attempt });
            let ended = lane.publish(&payload, repeats);
            account.attempts += 1;
            lane.settle();
            let mut unknown = false;
            while let Some(event) = lane.driver.event() {
                match event {
                    Event::Message(message) => {
                        let text = message.payload.to_vec();
                        let known = std::str::from_utf8(&text[1..6]).ok();
                        let known = known.and_then(|digits| digits.parse::<usize>().ok());
                        let is = known.filter(|at| *at < messages && incoming(*at) == text);
                        let is = is.unwrap_or_else(|| {
                            let text = text.escape_ascii();
                            panic!("{} heard \"{text}\"\n{}", kind.name, lane.dialogue())
                        });
                        heard[is] += 1;
                    }
                    Event::Dropped(dropped) => {
                        account.announced += dropped.count as usize;
                        announced[number] = true;
                        told[number] = true;
                    }
                    Event::Unknown(_) => unknown = true,
                    _ => told[number] = true,
                }
            }
            match ended {
                Ended::Accepted => account.accepted += 1,
                Ended::Failed => account.failed += 1,
                Ended::Unknown => account.unknown += 1,
                Ended::Dropped => account.dropped += 1,
            }
            told[number] |= ended == Ended::Unknown;
            unsure |= matches!(ended, Ended::Unknown | Ended::Dropped);
            // What was dropped may be told of when it is cleared up, which is
            // before the next command at the latest.
            if let Some(dropped) = untold.take_if(|_| unknown) {
                ends.entry(dropped).and_modify(|(_, told)| *told = true);
            }
            if ended == Ended::Dropped && !unknown {
                untold = Some(payload.clone());
            }
            let told_of = unknown || ended == Ended::Unknown;
            let end = ends.entry(payload).or_insert((ended, told_of));
            *end = (ended, end.1 | told_of);
            if ended == Ended::Accepted {
                break;
            }
        }
    }
    lane.idle(200_000);
    if kind.is_jspr {
        // It may have restarted behind a cut line.
        lane.run(&Operation::Status);
    }
    lane.reconnect();
    lane.idle(200_000);
    while let Some(event) = lane.driver.event() {
        if let Event::Message(message) = event {
            let number: usize =
                std::str::from_utf8(&message.payload[1..6]).unwrap().parse().unwrap();
            heard[number] += 1;
        }
    }

    // Out.
    let topic = kind.up[1];
    let mut arrived: BTreeMap<&[u8], usize> = BTreeMap::new();
    for message in lane.broker.published().iter().filter(|it| it.topic == topic.as_bytes()) {
        *arrived.entry(&message.payload).or_default() += 1;
    }
    for (payload, (ended, told)) in &ends {
        let count = arrived.remove(payload.as_slice()).unwrap_or(0);
        let context = || format!("{} \"{}\" {ended:?}", kind.name, payload.escape_ascii());
        match ended {
            Ended::Accepted => assert!(count >= 1, "{} never arrived", context()),
            Ended::Failed => assert_eq!(count, 0, "{} arrived", context()),
            Ended::Unknown | Ended::Dropped => {
                assert!(count == 0 || *told, "{} arrived and nobody was told", context());
                account.arrived_unknown += count.min(1);
            }
        }
        assert!(!once || count == 1, "{} arrived {count} times", context());
        account.twice += count.saturating_sub(1);
    }
    // What is left was cut on its way and filled up; of its length, too, a
    // digit may have been cut.
    for damaged in arrived.keys() {
        assert!(!kind.is_jspr, "its CRC lets \"{}\" pass", damaged.escape_ascii());
        let of = ends.iter().find(|(payload, (ended, told))| {
            let unknown = *told && matches!(ended, Ended::Unknown | Ended::Dropped);
            unknown && payload.len() >= damaged.len() && payload.starts_with(unfilled(damaged))
        });
        assert!(of.is_some(), "{}: nobody published \"{}\"", kind.name, damaged.escape_ascii());
        account.damaged += 1;
    }

    // In.
    for (number, count) in heard.iter().enumerate() {
        account.heard += count.min(&1);
        account.heard_twice += count.saturating_sub(1);
        assert!(!once || *count == 1, "{}: message {number} was heard {count} times", kind.name);
        if *count > 0 {
            continue;
        }
        assert!(!kind.is_tcp, "{}: message {number} was never heard", kind.name);
        let near = &troubles[number..messages.min(number + 2)];
        match near
            .iter()
            .flatten()
            .find(|it| matches!(it, Happens::Restart { .. } | Happens::Cut(_) | Happens::Away(_)))
        {
            Some(Happens::Cut(_) | Happens::Away(_)) => account.cut += 1,
            Some(_) if told[number..messages.min(number + 2)].contains(&true) => {
                account.restarted += 1;
            }
            _ if kind.is_jspr && announced[number] => account.crowded += 1,
            other => {
                panic!("{}: message {number} is missing without a word ({other:?})", kind.name)
            }
        }
    }
    account
}

/// Without what fills up a data phase: line ends, and before them what spoils
/// a command.
fn unfilled(payload: &[u8]) -> &[u8] {
    let end = payload.iter().rposition(|byte| *byte != b'\r').map_or(0, |at| at + 1);
    let rest = &payload[..end];
    rest.strip_suffix(b"\"!").or(rest.strip_suffix(b"\"")).unwrap_or(rest)
}

/// Cuts a message from the broker at each of its bytes.
fn cut<D: Machine, M: Modem>(bytes: usize, fresh: impl Fn() -> Lane<D, M>) {
    let payload = |message: Option<Event<'_>>| match message {
        Some(Event::Message(message)) => Some(message.payload.to_vec()),
        _ => None,
    };
    for at in 0..bytes {
        let mut lane = fresh();
        lane.reconnect();
        lane.plan(false, at, Happens::Cut(30_000));
        lane.message(2);
        lane.idle(40_000);
        let cut = std::mem::take(&mut lane.plans).is_empty();
        let mut whole = false;
        while lane.driver.has_event() {
            whole |= payload(lane.driver.event()) == Some(incoming(2));
        }
        assert!(cut || whole, "{at}\n{}", lane.dialogue());
        lane.message(3);
        lane.idle(1_000);
        let mut heard = false;
        while lane.driver.has_event() {
            heard |= payload(lane.driver.event()) == Some(incoming(3));
        }
        assert!(heard, "cut after {at} bytes\n{}", lane.dialogue());
    }
}

#[test]
fn a_message_that_stops_anywhere_costs_only_itself() {
    cut(100, || simcom_lane(simcom::Family::A76xx, "A76xx", 1));
    cut(100, || luat_lane(luat::Family::V2015plus, "Air700EAQ", 1));
    cut(400, || jspr_lane(jspr::Quirks::NONE, "9704", 1));
}

// ---- the backends -----------------------------------------------------------------

fn simcom_lane(
    family: simcom::Family,
    name: &'static str,
    seed: u64,
) -> Lane<hayes_simcom::Machine<128, 4096>, simcom::Modem> {
    let kind = Kind { name, ..AT };
    let config = simcom::Config { family, ..simcom::Config::default() };
    Lane::new(kind, seed, hayes_simcom::machine(Default::default()), simcom::Modem::new(config))
}

fn simcom(family: simcom::Family, name: &'static str, seed: u64, messages: usize) -> Account {
    deliver(simcom_lane(family, name, seed), messages)
}

fn luat_lane(
    family: luat::Family,
    name: &'static str,
    seed: u64,
) -> Lane<hayes_luat::Machine<128, 4096>, luat::Modem> {
    let kind = Kind { name, ..AT };
    let config = luat::Config { family, ..luat::Config::default() };
    Lane::new(kind, seed, hayes_luat::machine(Default::default()), luat::Modem::new(config))
}

fn luat(family: luat::Family, name: &'static str, seed: u64, messages: usize) -> Account {
    deliver(luat_lane(family, name, seed), messages)
}

fn gateway(qos: QoS, name: &'static str, seed: u64, messages: usize) -> Account {
    let up = ["up/t", "iot/ACCOUNT-ID/up/t"];
    let kind = Kind { name, qos, is_tcp: true, up, down: "iot/ACCOUNT-ID/dn/t", ..AT };
    let driver = hayes_iridium::rockremote::machine::<4096>(Default::default());
    let config = rockremote::Config {
        queue: rockremote::Queue::IMMEDIATELY,
        mt_filters: vec!["#".parse().unwrap()],
        mt_qos: qos.level(),
        survives: rockremote::Survives { sessions: true, retained: true, queue: true },
        ..rockremote::Config::default()
    };
    deliver(Lane::new(kind, seed, driver, rockremote::Modem::new(config)), messages)
}

/// Whether a message that is cancelled on its way arrives nevertheless is not
/// known: here by `quirks`.
fn jspr_lane(
    quirks: jspr::Quirks,
    name: &'static str,
    seed: u64,
) -> Lane<hayes_iridium::jspr::Machine<4096, 4096>, jspr::Modem> {
    let up = ["RAW", "imt/244"];
    let kind = Kind { name, is_jspr: true, up, down: "imt/247", filter: "PEBBLE", ..AT };
    // Small parts in any order, some of them twice.
    let segments = jspr::Segments { size: 40, order: jspr::Order::Shuffled, twice: Some(3) };
    let delays = jspr::Delays {
        answer: 5,
        acquisition: 1_000,
        segment_request: 5,
        transit: 500,
        cancel: 100,
        incoming: 10,
        mt_segment: 5,
        ..jspr::Delays::NONE
    };
    let config = jspr::Config {
        quirks,
        delays,
        seed,
        mo: jspr::Originate { segments, ..jspr::Originate::default() },
        mt: jspr::Terminate { segments, slack: 20, ..jspr::Terminate::default() },
        ..jspr::Config::default()
    };
    let settings = hayes_iridium::jspr::Settings::new().publish_timeout(Some(60));
    let driver = hayes_iridium::jspr::machine(settings);
    Lane::new(kind, seed, driver, jspr::Modem::new(config))
}

fn all(seed: u64, messages: usize) {
    use {luat::Family as L, simcom::Family as S};
    println!("{}", simcom(S::Sim7600, "SIM7600, QoS 1", seed, messages));
    println!("{}", simcom(S::A76xx, "A76xx, QoS 1", seed, messages));
    println!("{}", luat(L::Air724, "Air724, QoS 1", seed, messages));
    println!("{}", luat(L::V2015plus, "Air700EAQ, QoS 1", seed, messages));
    println!("{}", gateway(QoS::AtLeastOnce, "RockREMOTE, QoS 1", seed, messages));
    println!("{}", gateway(QoS::ExactlyOnce, "RockREMOTE, QoS 2", seed, messages));
    println!("{}", deliver(jspr_lane(jspr::Quirks::NONE, "9704, QoS 1", seed), messages));
    let late = jspr::Quirks::NONE.with(jspr::Quirk::CancelTooLate);
    println!("{}", deliver(jspr_lane(late, "9704 that cancels late, QoS 1", seed), messages));
}

#[test]
fn five_hundred_messages_each_way_are_accounted_for() {
    all(1, 500);
}

#[test]
#[ignore = "ten thousand messages each way, for minutes"]
fn ten_thousand_messages_each_way_are_accounted_for() {
    all(2, 10_000);
}
