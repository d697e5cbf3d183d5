//! Scripts: for each operation the commands, in the order of the vendor's
//! manual, and what to do on each answer.
//!
//! A vendor writes [`Step`]s as constants. [`program!`](crate::program) packs
//! those of all its scripts at compile time, since most steps use few of what
//! a step may have: an image holds 14 bytes of each, and each text, list of
//! rules and function apart.

use super::{
    command::{Arg, Scope, name},
    line::{Failure, Line},
};
use crate::mqtt::Code;

/// What a script waits for and does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next step.
    Next,
    /// The operation has failed.
    Fail,
    /// The operation is done.
    Finish,
    /// The same step again after a pause, at most so many times.
    Retry {
        /// Pause in milliseconds.
        pause_ms: u16,
        /// How many times.
        tries: u8,
    },
    /// Another script, from its beginning.
    Goto(u8),
    /// Another script after a pause, as long as the operation has time.
    Poll {
        /// Which script.
        script: u8,
        /// Pause in milliseconds.
        pause_ms: u16,
    },
    /// Fills up a data phase that may be open, then another script.
    Flush(u8),
    /// The answer shows that the modem has restarted unheard.
    Restarted,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Success.
    Ok,
    /// The vendor's own code.
    Code(i16),
    /// `+CME ERROR: n`.
    Cme(i16),
    /// A plain `ERROR` without any code.
    Plain,
    /// Any failure that was answered.
    Error,
    /// No answer in time.
    Silence,
}

/// What to do on one kind of answer. The first rule that fits counts.
#[derive(Clone, Copy, Debug)]
pub struct Rule(pub On, pub Then);

impl Rule {
    fn fits(&self, answer: Answer) -> bool {
        match (self.0, answer) {
            (On::Ok, Answer::Ok)
            | (On::Silence, Answer::Silence)
            | (On::Error, Answer::Failed(_))
            | (On::Plain, Answer::Failed(Code::None)) => true,
            (On::Code(n), Answer::Failed(Code::Vendor(m)))
            | (On::Cme(n), Answer::Failed(Code::Cme(m))) => i32::from(n) == m,
            _ => false,
        }
    }

    /// The same number for the same rule.
    const fn number(self) -> (u8, i16, u8, u8, u16) {
        let (on, code) = match self.0 {
            On::Ok => (0, 0),
            On::Code(code) => (1, code),
            On::Cme(code) => (2, code),
            On::Plain => (3, 0),
            On::Error => (4, 0),
            On::Silence => (5, 0),
        };
        let (then, number, pause) = match self.1 {
            Then::Next => (0, 0, 0),
            Then::Fail => (1, 0, 0),
            Then::Finish => (2, 0, 0),
            Then::Retry { pause_ms, tries } => (3, tries, pause_ms),
            Then::Goto(script) => (4, script, 0),
            Then::Poll { script, pause_ms } => (5, script, pause_ms),
            Then::Flush(script) => (6, script, 0),
            Then::Restarted => (7, 0, 0),
        };
        (on, code, then, number, pause)
    }

    const fn is(self, other: Self) -> bool {
        let (a, b) = (self.number(), other.number());
        a.0 == b.0 && a.1 == b.1 && a.2 == b.2 && a.3 == b.3 && a.4 == b.4
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With success.
    Ok,
    /// Without.
    Failed(Code),
    /// Not at all.
    Silence,
}

impl From<Failure<'_>> for Code {
    fn from(failure: Failure<'_>) -> Self {
        match failure {
            Failure::Cme(n) => Self::Cme(n),
            Failure::Cms(n) => Self::Cms(n),
            _ => Self::None,
        }
    }
}

type When<D> = fn(&D, &Scope<'_>) -> bool;
type Info<D> = fn(&mut D, &Line<'_>);
type Judge<D> = fn(&mut D, Answer) -> Then;

/// One command of a script and what it waits for.
#[derive(Clone, Copy, Debug)]
pub struct Step<D: 'static> {
    line: &'static [u8],
    data: Option<Arg>,
    seconds: u8,
    gap: u8,
    /// In units of [`SLICE`].
    slice: u8,
    flags: u8,
    rules: &'static [Rule],
    awaits: Option<When<D>>,
    when: Option<When<D>>,
    info: Option<Info<D>>,
    then: Option<Judge<D>>,
}

const MARKED: u8 = 1;
const EACH: u8 = 2;
/// Slices are multiples of so many bytes.
const SLICE: u16 = 256;

impl<D> Step<D> {
    /// Sends a template made by [`line!`](crate::line) and waits `seconds` for
    /// the whole answer.
    #[must_use]
    pub const fn new(line: &'static [u8], seconds: u8) -> Self {
        Self {
            line,
            data: None,
            seconds,
            gap: 0,
            slice: 0,
            flags: 0,
            rules: &[],
            awaits: None,
            when: None,
            info: None,
            then: None,
        }
    }

    /// Sends nothing and succeeds at once, to go where `rules` say.
    #[must_use]
    pub const fn jump(rules: &'static [Rule]) -> Self {
        Self::new(&[], 0).on(rules)
    }

    /// At the prompt, sends these bytes.
    #[must_use]
    pub const fn data(mut self, data: Arg) -> Self {
        self.data = Some(data);
        self
    }

    /// Sends them in slices of at most so many bytes (a multiple of 256), with
    /// the dialect's pause in between.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "a u16 has 256 times 256")]
    pub const fn slices(mut self, bytes: u16) -> Self {
        self.slice = (bytes / SLICE) as u8;
        self
    }

    /// Its data phase is waited out for so many seconds, and only then filled
    /// up, if the caller leaves in the middle: for a modem that may end the
    /// phase by itself, where filling it up would make the data valid.
    #[must_use]
    pub const fn gap(mut self, seconds: u8) -> Self {
        self.gap = seconds;
        self
    }

    /// Final results count only after an information line of its own name:
    /// whatever comes before answers an earlier command.
    #[must_use]
    pub const fn marked(mut self) -> Self {
        self.flags |= MARKED;
        self
    }

    /// `OK` only means accepted if this says yes: a result line must come too.
    /// Without it the dialect's table of results decides.
    #[must_use]
    pub const fn awaits(mut self, awaits: fn(&D, &Scope<'_>) -> bool) -> Self {
        self.awaits = Some(awaits);
        self
    }

    /// Repeats the step for each filter, or for each piece of the file.
    #[must_use]
    pub const fn each(mut self) -> Self {
        self.flags |= EACH;
        self
    }

    /// Skips the step unless this says yes.
    #[must_use]
    pub const fn when(mut self, when: fn(&D, &Scope<'_>) -> bool) -> Self {
        self.when = Some(when);
        self
    }

    /// Hears the information lines.
    #[must_use]
    pub const fn info(mut self, info: fn(&mut D, &Line<'_>)) -> Self {
        self.info = Some(info);
        self
    }

    /// What to do on certain answers. Without a rule, success goes on and
    /// anything else fails.
    #[must_use]
    pub const fn on(mut self, rules: &'static [Rule]) -> Self {
        self.rules = rules;
        self
    }

    /// Decides where no rule fits.
    #[must_use]
    pub const fn then(mut self, then: fn(&mut D, Answer) -> Then) -> Self {
        self.then = Some(then);
        self
    }
}

// ---- packing ---------------------------------------------------------------

/// A packed step. Texts and rules are parts of the program's, functions are
/// numbered from 1, 0 is none.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct Packed {
    text: u16,
    text_len: u8,
    data: Option<Arg>,
    seconds: u8,
    gap: u8,
    slice: u8,
    flags: u8,
    rules: u8,
    rules_len: u8,
    awaits: u8,
    when: u8,
    info: u8,
    then: u8,
}

/// The scripts of a dialect, packed by [`program!`](crate::program).
#[derive(Debug)]
pub struct Program<D: 'static> {
    /// Where each script begins, and the end.
    #[doc(hidden)]
    pub starts: &'static [u8],
    #[doc(hidden)]
    pub steps: &'static [Packed],
    #[doc(hidden)]
    pub text: &'static str,
    #[doc(hidden)]
    pub rules: &'static [Rule],
    #[doc(hidden)]
    pub whens: &'static [Option<When<D>>],
    #[doc(hidden)]
    pub infos: &'static [Option<Info<D>>],
    #[doc(hidden)]
    pub thens: &'static [Option<Judge<D>>],
}

/// Packs scripts, a `const` array of slices of [`Step`], to a
/// `&'static` [`Program`]. A script is called by its place in the array.
#[macro_export]
macro_rules! program {
    ($dialect:ty, $scripts:expr) => {{
        use $crate::at::script::{Packing, Program};
        const ALL: Packing<$dialect> = Packing::pack(&$scripts);
        const TEXT: [u8; ALL.text.len()] = ALL.text.cut();
        const PROGRAM: &Program<$dialect> = &Program {
            starts: &ALL.starts.cut::<{ ALL.starts.len() }>(),
            steps: &ALL.steps.cut::<{ ALL.steps.len() }>(),
            text: $crate::at::script::text(&TEXT),
            rules: &ALL.rules.cut::<{ ALL.rules.len() }>(),
            whens: &ALL.whens.cut::<{ ALL.whens.len() }>(),
            infos: &ALL.infos.cut::<{ ALL.infos.len() }>(),
            thens: &ALL.thens.cut::<{ ALL.thens.len() }>(),
        };
        PROGRAM
    }};
}

/// Up to `MAX` items; for compile time.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct List<T, const MAX: usize> {
    items: [T; MAX],
    len: usize,
}

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "compile time")]
impl<T: Copy, const MAX: usize> List<T, MAX> {
    const fn new(nothing: T) -> Self {
        Self { items: [nothing; MAX], len: 0 }
    }

    const fn push(&mut self, item: T) {
        self.items[self.len] = item;
        self.len += 1;
    }

    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them, where `N` is their number.
    #[must_use]
    pub const fn cut<const N: usize>(&self) -> [T; N] {
        let mut cut = [self.items[0]; N];
        let mut at = 0;
        while at < N {
            cut[at] = self.items[at];
            at += 1;
        }
        cut
    }
}

/// A program that is being packed; for compile time.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct Packing<D: 'static> {
    pub starts: List<u8, 64>,
    pub steps: List<Packed, 255>,
    pub text: List<u8, 8192>,
    pub rules: List<Rule, 255>,
    pub whens: List<Option<When<D>>, 128>,
    pub infos: List<Option<Info<D>>, 128>,
    pub thens: List<Option<Judge<D>>, 128>,
}

#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "compile time"
)]
impl<D> Packing<D> {
    const NOTHING: Packed = Packed {
        text: 0,
        text_len: 0,
        data: None,
        seconds: 0,
        gap: 0,
        slice: 0,
        flags: 0,
        rules: 0,
        rules_len: 0,
        awaits: 0,
        when: 0,
        info: 0,
        then: 0,
    };

    /// # Panics
    /// At compile time, if there is too much of anything.
    #[must_use]
    pub const fn pack(scripts: &[&[Step<D>]]) -> Self {
        let mut packing = Self {
            starts: List::new(0),
            steps: List::new(Self::NOTHING),
            text: List::new(0),
            rules: List::new(Rule(On::Ok, Then::Next)),
            whens: List::new(None),
            infos: List::new(None),
            thens: List::new(None),
        };
        let mut script = 0;
        while script < scripts.len() {
            packing.starts.push(packing.steps.len as u8);
            let mut step = 0;
            while step < scripts[script].len() {
                packing.step(&scripts[script][step]);
                step += 1;
            }
            script += 1;
        }
        packing.starts.push(packing.steps.len as u8);
        packing
    }

    const fn step(&mut self, step: &Step<D>) {
        let packed = Packed {
            text: self.place_text(step.line) as u16,
            text_len: step.line.len() as u8,
            data: step.data,
            seconds: step.seconds,
            gap: step.gap,
            slice: step.slice,
            flags: step.flags,
            rules: self.place_rules(step.rules) as u8,
            rules_len: step.rules.len() as u8,
            awaits: numbered(&mut self.whens, step.awaits),
            when: numbered(&mut self.whens, step.when),
            info: numbered(&mut self.infos, step.info),
            then: numbered(&mut self.thens, step.then),
        };
        self.steps.push(packed);
    }

    /// Where `text` stands; it may stand there already.
    const fn place_text(&mut self, text: &[u8]) -> usize {
        let mut place = 0;
        while place + text.len() <= self.text.len {
            let mut at = 0;
            while at < text.len() && self.text.items[place + at] == text[at] {
                at += 1;
            }
            if at == text.len() {
                return place;
            }
            place += 1;
        }
        let place = self.text.len;
        let mut at = 0;
        while at < text.len() {
            self.text.push(text[at]);
            at += 1;
        }
        place
    }

    const fn place_rules(&mut self, rules: &[Rule]) -> usize {
        let mut place = 0;
        while place + rules.len() <= self.rules.len {
            let mut at = 0;
            while at < rules.len() && self.rules.items[place + at].is(rules[at]) {
                at += 1;
            }
            if at == rules.len() {
                return place;
            }
            place += 1;
        }
        let place = self.rules.len;
        let mut at = 0;
        while at < rules.len() {
            self.rules.push(rules[at]);
            at += 1;
        }
        place
    }
}

/// Templates are ASCII; for compile time.
#[doc(hidden)]
#[must_use]
pub const fn text(ascii: &'static [u8]) -> &'static str {
    match core::str::from_utf8(ascii) {
        Ok(text) => text,
        Err(_) => "",
    }
}

#[allow(clippy::cast_possible_truncation, reason = "compile time")]
const fn numbered<T: Copy, const MAX: usize>(
    list: &mut List<Option<T>, MAX>,
    item: Option<T>,
) -> u8 {
    if item.is_none() {
        return 0;
    }
    list.push(item);
    list.len as u8
}

// ---- reading ---------------------------------------------------------------

impl<D> Program<D> {
    /// No scripts, for a dialect that is only read.
    pub const EMPTY: Self =
        Self { starts: &[], steps: &[], text: "", rules: &[], whens: &[], infos: &[], thens: &[] };

    /// The step `number` of `script`, unless that is its end.
    pub(crate) fn step(&'static self, script: u8, number: u8) -> Option<Current<D>> {
        let (from, to) = match self.starts.get(usize::from(script)..)? {
            [from, to, ..] => (*from, *to),
            _ => return None,
        };
        let at = from.saturating_add(number);
        let step = self.steps.get(usize::from(at)).filter(|_| at < to)?;
        Some(Current { program: self, step })
    }
}

/// A step of a program.
#[derive(Debug)]
pub(crate) struct Current<D: 'static> {
    program: &'static Program<D>,
    step: &'static Packed,
}

impl<D> Clone for Current<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Current<D> {}

impl<D> Current<D> {
    pub(crate) fn line(&self) -> &'static [u8] {
        part(self.program.text.as_bytes(), self.step.text, self.step.text_len)
    }

    /// The name of its command.
    pub(crate) fn name(&self) -> &'static str {
        let (line, from) = (self.line(), usize::from(self.step.text));
        let name = name(line);
        // The name may stand behind its `AT`.
        let from = if line.starts_with(name) { from } else { from.wrapping_add(2) };
        self.program.text.get(from..from.wrapping_add(name.len())).unwrap_or_default()
    }

    pub(crate) fn within_ms(&self) -> u32 {
        milliseconds(self.step.seconds)
    }

    pub(crate) fn gap_ms(&self) -> u32 {
        milliseconds(self.step.gap)
    }

    pub(crate) fn data(&self) -> Option<Arg> {
        self.step.data
    }

    pub(crate) fn slice(&self) -> u32 {
        u32::from(self.step.slice).saturating_mul(SLICE.into())
    }

    pub(crate) fn is_marked(&self) -> bool {
        self.step.flags & MARKED != 0
    }

    pub(crate) fn is_for_each(&self) -> bool {
        self.step.flags & EACH != 0
    }

    pub(crate) fn awaits(&self) -> Option<When<D>> {
        function(self.program.whens, self.step.awaits)
    }

    pub(crate) fn when(&self) -> Option<When<D>> {
        function(self.program.whens, self.step.when)
    }

    pub(crate) fn info(&self) -> Option<Info<D>> {
        function(self.program.infos, self.step.info)
    }

    pub(crate) fn judge(&self, dialect: &mut D, answer: Answer) -> Then {
        let rules = part(self.program.rules, self.step.rules.into(), self.step.rules_len);
        if let Some(rule) = rules.iter().find(|rule| rule.fits(answer)) {
            return rule.1;
        }
        match (function(self.program.thens, self.step.then), answer) {
            (Some(then), _) => then(dialect, answer),
            (None, Answer::Ok) => Then::Next,
            (None, _) => Then::Fail,
        }
    }
}

fn part<T>(all: &'static [T], from: u16, len: u8) -> &'static [T] {
    let from = usize::from(from);
    all.get(from..from.wrapping_add(len.into())).unwrap_or_default()
}

fn function<T: Copy>(all: &[Option<T>], number: u8) -> Option<T> {
    *all.get(usize::from(number).checked_sub(1)?)?
}

fn milliseconds(seconds: u8) -> u32 {
    u32::from(seconds).saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;

    use super::*;
    use Then::{Fail, Finish, Goto, Next};

    /// How often something was asked, and what was heard.
    #[derive(Debug, Default)]
    struct Log {
        judged: u8,
        heard: u8,
    }

    const RULES: &[Rule] = &[
        Rule(On::Code(14), Then::Retry { pause_ms: 500, tries: 20 }),
        Rule(On::Code(-1), Goto(7)),
        Rule(On::Cme(14), Goto(1)),
        Rule(On::Plain, Goto(2)),
        Rule(On::Error, Goto(3)),
        Rule(On::Silence, Goto(4)),
        Rule(On::Ok, Finish),
    ];

    /// Packed while the test runs, as `program!` does while it is compiled.
    fn program<const SCRIPTS: usize, const STEPS: usize>(
        scripts: &[&[Step<Log>]],
    ) -> &'static Program<Log> {
        fn leak<T>(all: impl Into<Box<[T]>>) -> &'static [T] {
            Box::leak(all.into())
        }
        let all = Packing::pack(scripts);
        assert_eq!((all.starts.len(), all.steps.len()), (SCRIPTS, STEPS));
        let text = all.text.items.get(..all.text.len()).unwrap();
        let rules = all.rules.items.get(..all.rules.len()).unwrap();
        let whens = all.whens.items.get(..all.whens.len()).unwrap();
        let infos = all.infos.items.get(..all.infos.len()).unwrap();
        let thens = all.thens.items.get(..all.thens.len()).unwrap();
        Box::leak(Box::new(Program {
            starts: leak(all.starts.cut::<SCRIPTS>()),
            steps: leak(all.steps.cut::<STEPS>()),
            text: super::text(leak(text)),
            rules: leak(rules),
            whens: leak(whens),
            infos: leak(infos),
            thens: leak(thens),
        }))
    }

    #[test]
    fn a_packed_step_is_the_step_that_was_written() {
        let full = Step::<Log>::new(b"AT+FULL", 130)
            .data(Arg::Payload)
            .slices(3_072)
            .gap(25)
            .marked()
            .awaits(|log, _| log.judged > 100)
            .each()
            .when(|log, _| log.judged > 50)
            .info(|log, _| log.heard += 1)
            .on(RULES)
            .then(|log, _| {
                log.judged += 1;
                Goto(9)
            });
        let other = Step::<Log>::new(b"+FU", 1)
            .when(|log, _| log.heard == 1)
            .info(|log, _| log.heard += 10);
        let program = program::<4, 4>(&[
            &[Step::new(b"AT", 9), full],
            &[],
            &[other, Step::jump(&[Rule(On::Ok, Fail)])],
        ]);
        let step = |script, number| program.step(script, number);
        assert!(step(0, 2).is_none() && step(1, 0).is_none() && step(2, 2).is_none());
        assert!(step(3, 0).is_none() && step(0, u8::MAX).is_none());

        let (bare, full) = (step(0, 0).unwrap(), step(0, 1).unwrap());
        assert_eq!((bare.line(), bare.within_ms(), bare.gap_ms()), (b"AT".as_slice(), 9_000, 0));
        assert_eq!((bare.data(), bare.slice()), (None, 0));
        assert!(!bare.is_marked() && !bare.is_for_each());
        assert!(bare.awaits().is_none() && bare.when().is_none() && bare.info().is_none());
        assert_eq!((bare.name(), full.name()), ("AT", "+FULL"));
        let told = (full.line(), full.within_ms(), full.gap_ms());
        assert_eq!(told, (b"AT+FULL".as_slice(), 130_000, 25_000));
        assert_eq!((full.data(), full.slice()), (Some(Arg::Payload), 3_072));
        assert!(full.is_marked() && full.is_for_each());
        assert!(Step::<Log>::new(b"", 0).marked().flags != Step::<Log>::new(b"", 0).each().flags);

        let (other, jump) = (step(2, 0).unwrap(), step(2, 1).unwrap());
        assert_eq!((other.line(), jump.line()), (b"+FU".as_slice(), b"".as_slice()));
        let operation = crate::Operation::Status;
        let scope = Scope { operation: &operation, item: 0, session: 0, own: [0; 4], piece: 0 };
        let mut log = Log::default();
        let line = Line::parse(b"+FU: 1");
        full.info().unwrap()(&mut log, &line);
        assert!(other.when().unwrap()(&log, &scope));
        other.info().unwrap()(&mut log, &line);
        assert_eq!(log.heard, 11);
        let asked =
            |log: &Log| (full.when().unwrap()(log, &scope), full.awaits().unwrap()(log, &scope));
        let at = |judged| Log { judged, heard: 0 };
        assert_eq!(
            [at(0), at(60), at(200)].map(|log| asked(&log)),
            [(false, false), (true, false), (true, true)]
        );
        assert_eq!(jump.judge(&mut log, Answer::Ok), Fail);
    }

    #[test]
    fn the_first_rule_that_fits_an_answer_counts() {
        let then = Step::<Log>::new(b"AT+X", 9).on(&[Rule(On::Code(0), Fail)]).then(|log, _| {
            log.judged += 1;
            Goto(9)
        });
        let program =
            program::<2, 3>(&[&[Step::new(b"AT+X", 9).on(RULES), Step::new(b"AT", 9), then]]);
        let judge =
            |step, answer| program.step(0, step).unwrap().judge(&mut Log::default(), answer);
        let retry = Then::Retry { pause_ms: 500, tries: 20 };
        for (answer, by_rules, by_none) in [
            (Answer::Ok, Finish, Next),
            (Answer::Silence, Goto(4), Fail),
            (Answer::Failed(Code::Vendor(14)), retry, Fail),
            (Answer::Failed(Code::Vendor(-1)), Goto(7), Fail),
            (Answer::Failed(Code::Vendor(15)), Goto(3), Fail),
            (Answer::Failed(Code::Cme(14)), Goto(1), Fail),
            (Answer::Failed(Code::Cme(15)), Goto(3), Fail),
            (Answer::Failed(Code::Cms(14)), Goto(3), Fail),
            (Answer::Failed(Code::None), Goto(2), Fail),
        ] {
            assert_eq!(judge(0, answer), by_rules, "{answer:?}");
            assert_eq!(judge(1, answer), by_none, "{answer:?}");
            assert_eq!(judge(2, answer), Goto(9), "{answer:?}");
        }
    }

    /// Whatever shares its place in the image with something else reads as it
    /// was written, and nothing that differs shares one.
    #[test]
    fn rules_that_differ_in_anything_are_kept_apart() {
        let ons = [On::Ok, On::Code(1), On::Code(2), On::Cme(1), On::Plain, On::Error, On::Silence];
        let thens = [
            Next,
            Fail,
            Finish,
            Goto(1),
            Goto(2),
            Then::Flush(1),
            Then::Flush(2),
            Then::Retry { pause_ms: 1, tries: 1 },
            Then::Retry { pause_ms: 2, tries: 1 },
            Then::Retry { pause_ms: 1, tries: 2 },
            Then::Poll { script: 1, pause_ms: 1 },
            Then::Poll { script: 2, pause_ms: 1 },
            Then::Poll { script: 1, pause_ms: 2 },
            Then::Restarted,
        ];
        let all = ons.iter().flat_map(|on| thens.iter().map(|then| Rule(*on, *then)));
        let all: std::vec::Vec<_> = all.collect();
        for (at, one) in all.iter().enumerate() {
            for (other_at, other) in all.iter().enumerate() {
                assert_eq!(one.is(*other), at == other_at, "{one:?} {other:?}");
            }
        }
        const SAME: &[Rule] = &[Rule(On::Error, Next)];
        let packing = Packing::<Log>::pack(&[&[
            Step::new(b"AT+AB", 1).on(SAME),
            Step::new(b"AB", 1).on(SAME),
            Step::new(b"ABC", 1).on(&[Rule(On::Error, Next), Rule(On::Ok, Fail)]),
            Step::new(b"", 1),
        ]]);
        assert_eq!((packing.text.len(), packing.rules.len()), (8, 3));
        // A part of a list is found in it, and not beyond its end.
        let packing = Packing::<Log>::pack(&[&[
            Step::new(b"", 1).on(RULES),
            Step::new(b"", 1).on(&RULES[2..5]),
            Step::new(b"", 1).on(&[Rule(On::Ok, Finish), Rule(On::Ok, Next)]),
        ]]);
        assert_eq!(packing.rules.len(), RULES.len() + 2);
        assert!(packing.whens.is_empty() && !packing.steps.is_empty());
    }

    #[test]
    fn a_failure_keeps_the_number_that_was_printed() {
        for (failure, code) in [
            (Failure::Cme(3), Code::Cme(3)),
            (Failure::Cms(3), Code::Cms(3)),
            (Failure::Error, Code::None),
            (Failure::CmeText(b"SIM busy"), Code::None),
            (Failure::Call(b"BUSY"), Code::None),
        ] {
            assert_eq!(Code::from(failure), code);
        }
    }
}
