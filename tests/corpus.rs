//! What the tests of other AT stacks agree on (`tests/corpus`), read by the
//! core: framer, grammar and dialect tables, with a dialect made for the
//! purpose. Whole, byte by byte and at random splits.
//!
//! One decision of ours differs from a peer's: a bare LF ends a line, see
//! [`READ_OTHERWISE`].

use std::{cell::RefCell, fs, path::PathBuf};

use hayes::{
    Verb,
    at::{
        command::{Scope, name_of},
        dialect::{Dialect, Form, Open, Reading, ResultRow, Urc, UrcRow, read},
        framer::{Frame, Framer, Mark},
        line::{Failure, Final, Line, Value},
        script::Program,
    },
    mqtt::{Assurance, Capabilities, Code, Error, Limits, Loss, QoS, Status},
};

/// Cases that are about something that this core does not do.
const LEFT_OUT: &[(&str, &str)] = &[
    ("cmux_ua_frame", "multiplexer frames are not lines; there is no multiplexer here"),
    ("issue62179/sbdrb", "a binary length; messages of Iridium modems come over JSPR or MQTT"),
    ("quectel/qfread", "`CONNECT n` has its count in its name; tables go by the name"),
    ("quectel/qfread_short", "the same"),
];

/// Cases with two legitimate readings, and ours.
const READ_OTHERWISE: &[(&str, &[&str], &str)] = &[(
    "urc_lf_inside",
    &["urc \"+UUSORD: 0,37\"", "urc \"+UUSORD: 0,371\""],
    "either of CR and LF ends a line: modems that lose one of them are more than lines with an LF in them",
)];

/// Cases that need another byte for the mark before data or for the prompt,
/// or a short line buffer.
const QUOTE: u8 = b'"';
const ANGLE: u8 = b'>';

#[test]
fn every_case_gives_the_same_events_however_it_is_cut() {
    for case in cases().iter().filter(|case| case.args.is_none()) {
        match case.name.as_str() {
            name if LEFT_OUT.iter().any(|(left_out, _)| *left_out == name) => {}
            "serde_at/length_delimited_bare" => check::<b',', ANGLE, 256>(case),
            "ready_for_data_prompt" => check::<QUOTE, b'@', 256>(case),
            "recover_from_full_buffer" => check::<QUOTE, ANGLE, 30>(case),
            _ => check::<QUOTE, ANGLE, 256>(case),
        }
    }
}

#[test]
fn arguments_are_read_as_their_authors_meant_them() {
    let mut count = 0;
    for case in cases() {
        let Some(args) = &case.args else { continue };
        let mut framer = Framer::<256>::new(&Mark::NONE, b'>');
        let bytes = [case.rx.as_slice(), b"\r\n"].concat();
        let Some(Frame::Line(raw)) = framer.next(&mut bytes.as_slice(), || false) else {
            panic!("{}: no line", case.name)
        };
        let line = Line::parse(raw);
        let read: Vec<_> = std::iter::once(Argument::Text(text(line.name)))
            .chain(line.fields().map(argument))
            .collect();
        if args == "invalid" {
            let is_text = |argument: &Argument| matches!(argument, Argument::Text(_));
            assert!(read.iter().skip(1).any(is_text), "{}: {read:?}", case.name);
        } else {
            let meant = arguments(args);
            assert_eq!(read, meant, "{}", case.name);
        }
        count += 1;
    }
    assert!(count > 50);
}

#[test]
fn a_line_under_another_name_is_no_answer_unless_its_dialect_says_so() {
    let open = Open { name: b"+CSQ", form: Form::Action };
    let reading = read::<Peer<QUOTE, ANGLE>>(b"+OTHER: 1", Some(&open));
    assert_eq!(reading, Reading::Urc(Urc::Other));
}

#[test]
fn every_exception_is_a_case() {
    let cases = cases();
    let names = LEFT_OUT.iter().map(|row| row.0).chain(READ_OTHERWISE.iter().map(|row| row.0));
    for name in names {
        assert!(cases.iter().any(|case| case.name == name), "{name}");
    }
}

// ---- the cases -----------------------------------------------------------

#[derive(Default)]
struct Case {
    name: String,
    urcs: Vec<String>,
    sent: Option<Vec<u8>>,
    rx: Vec<u8>,
    want: Vec<String>,
    args: Option<String>,
}

fn cases() -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.iter().flat_map(|path| cases_of(&fs::read_to_string(path).unwrap())).collect()
}

fn cases_of(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("@case ") {
            cases.push(Case { name: name.to_owned(), ..Case::default() });
        }
        let (Some(case), Some((key, value))) = (cases.last_mut(), line.split_once(": ")) else {
            continue;
        };
        match key {
            "urcs" => case.urcs = tokens(value),
            "sent" => case.sent = Some(unescape(value)),
            "rx" => case.rx.extend(unescape(value)),
            "want" => case.want.push(value.to_owned()),
            "args" => case.args = Some(value.to_owned()),
            _ => {}
        }
    }
    cases
}

/// Names with blanks in them are those that the tables have.
fn tokens(value: &str) -> Vec<String> {
    let mut rest = value;
    let mut names = Vec::new();
    let known = || Peer::<QUOTE, ANGLE>::URCS.iter().map(|row| row.name);
    while !rest.is_empty() {
        let whole = known().filter(|name| rest.starts_with(*name)).max_by_key(|name| name.len());
        let name = whole.unwrap_or_else(|| panic!("no row for {rest}"));
        names.push(name.to_owned());
        rest = rest[name.len()..].trim_start();
    }
    names
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, byte == b'\\') {
            (_, false) => byte,
            _ => match rest.next().unwrap() {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other,
            },
        });
    }
    bytes
}

// ---- arguments -----------------------------------------------------------

#[derive(Debug, PartialEq, Eq)]
enum Argument {
    None,
    Number(i128),
    Text(String),
}

fn argument(value: Value<'_>) -> Argument {
    match value {
        Value::Quoted(bytes) => Argument::Text(text(bytes)),
        Value::Bare(b"") => Argument::None,
        Value::Bare(bytes) => match text(bytes).parse() {
            Ok(number) if bytes[0] != b'+' => {
                let fits_u32 = u32::try_from(number).ok();
                let fits_i32 = i32::try_from(number).ok();
                assert_eq!((value.unsigned(), value.signed()), (fits_u32, fits_i32));
                Argument::Number(number)
            }
            _ => {
                assert_eq!((value.unsigned(), value.signed()), (None, None));
                Argument::Text(text(bytes))
            }
        },
    }
}

/// A JSON list of strings without escapes, numbers and null.
fn arguments(list: &str) -> Vec<Argument> {
    let inside = list.trim_start_matches('[').trim_end_matches(']');
    let mut rest = inside;
    let mut arguments = Vec::new();
    while !rest.is_empty() {
        let end = match rest.strip_prefix('"') {
            Some(text) => text.find('"').unwrap() + 2,
            None => rest.find(',').unwrap_or(rest.len()),
        };
        let (item, after) = rest.split_at(end);
        arguments.push(match item {
            "null" => Argument::None,
            _ if item.starts_with('"') => Argument::Text(item.trim_matches('"').to_owned()),
            _ => Argument::Number(item.parse().unwrap()),
        });
        rest = after.trim_start_matches([',', ' ']);
    }
    arguments
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

// ---- a dialect of all of them --------------------------------------------

thread_local! {
    /// The names that the case at hand takes for unsolicited.
    static REGISTERED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// `MARK` stands before data inside a line, `PROMPT` asks for data.
struct Peer<const MARK: u8, const PROMPT: u8>;

const fn row(name: &'static str) -> UrcRow {
    UrcRow { name, distinct: false, read: registered }
}

const fn counted(name: &'static str, read: for<'a> fn(&Line<'a>) -> Option<Urc<'a>>) -> UrcRow {
    UrcRow { name, distinct: true, read }
}

const ROWS: &[UrcRow] = &[
    row("+UUSORD"),
    row("+CIEV"),
    row("+CMTI"),
    row("+CRING"),
    row("+CLIP"),
    row("CONNECT OK"),
    row("CONNECT FAIL"),
    row("1, CONNECT OK"),
    row("CUSTOM"),
    row("WIFI CONNECTED"),
    row("WIFI GOT IP"),
    row("RDY"),
    row("APP RDY"),
    row("NORMAL POWER DOWN"),
    row("SRING"),
    row("+QMTRECV"),
    counted("+CREG", registration),
    counted("+QIURC", |line| data_at(line, 2).or_else(|| registered(line))),
    counted("+QIRD", |line| data_at(line, 0)),
    counted("+X", |line| data_at(line, 2)),
    counted("+CIPRXGET", |line| data_at(line, 2)),
    counted("CONNECT", |_| Some(Urc::Prompt)),
];

fn registered<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    let name = text(line.name);
    REGISTERED.with_borrow(|names| names.contains(&name)).then_some(Urc::Other)
}

/// A report has no number in its second field, an answer has.
fn registration<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    let second = line.fields().nth(1);
    registered(line).filter(|_| second.is_none_or(|field| field.unsigned().is_none()))
}

fn data_at<'a>(line: &Line<'a>, field: usize) -> Option<Urc<'a>> {
    Some(Urc::PayloadPart { session: 0, len: line.fields().nth(field)?.unsigned()? })
}

/// The number before the last comma: `+QMTRECV: 1,-1,9,`, `+URDBLOCK: "x",9,`.
fn count_before(line: &[u8]) -> Option<u32> {
    let digits = line.split(|b| *b == b',').nth_back(1)?;
    std::str::from_utf8(digits).ok()?.trim().parse().ok()
}

impl<const MARK: u8, const PROMPT: u8> Dialect for Peer<MARK, PROMPT> {
    const MARK: &'static Mark = &Mark { byte: MARK, lines: &[b"+QMTRECV:", b"+URDBLOCK:"] };
    const PROMPT: u8 = PROMPT;
    const DATA_ECHO: bool = false;
    const LONGEST_DATA: u32 = 0;
    const URCS: &'static [UrcRow] = ROWS;
    const RESULTS: &'static [ResultRow] = &[];
    const PROGRAM: &'static Program<Self> = &Program::EMPTY;

    fn final_result(line: &[u8]) -> Option<Final<'_>> {
        match line {
            b"SEND OK" => Some(Ok(())),
            b"SEND FAIL" | b"COMMAND NOT SUPPORT" => Some(Err(Failure::Error)),
            _ if line.starts_with(b"MODEM ERROR:") => Some(Err(Failure::Error)),
            _ => None,
        }
    }

    fn inline(line: &[u8]) -> Option<Urc<'_>> {
        // What stands before the count: two fields, one of +URDBLOCK.
        let least = if line.starts_with(b"+QMTRECV:") { 3 } else { 2 };
        let before = if MARK == b',' { line } else { line.split_last()?.1 };
        let commas = before.iter().filter(|b| **b == b',').count();
        let count = count_before(before).filter(|_| commas >= least && before.ends_with(b","))?;
        Some(Urc::Message { session: 0, topic: b"", payload: count })
    }

    fn sync(_: bool) -> u8 {
        0
    }

    fn script_of(&self, _: Verb) -> u8 {
        0
    }

    fn patience_ms(&self, _: Verb) -> u32 {
        0
    }

    fn numbers(&self) -> [u32; 4] {
        [0; 4]
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::empty()
    }

    fn limits(&self) -> Limits {
        Limits::MQTT
    }

    fn assurance(&self, _: QoS) -> Assurance {
        Assurance::HandedOver
    }

    fn check(&self, _: &Scope<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn begin(&mut self, _: &Scope<'_>) {}

    fn explain(&self, _: &'static str, _: &'static [u8], _: Code) -> (Error, Option<Loss>) {
        (Error::NotConnected, None)
    }

    fn restarted(&mut self) {}

    fn unsure(&mut self) {}

    fn lost(&mut self, _: Option<u8>, _: bool, _: &[u8]) {}

    fn status(&self) -> Status {
        Status::default()
    }
}

// ---- reading -------------------------------------------------------------

/// What was read, in the words of the cases.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    /// The information with the counted data in it, and without.
    Ok(Vec<u8>, Vec<u8>),
    Err(Vec<u8>),
    Urc(Vec<u8>),
    Prompt(Vec<u8>),
    Data(Vec<u8>),
}

fn check<const MARK: u8, const PROMPT: u8, const N: usize>(case: &Case) {
    REGISTERED.set(case.urcs.clone());
    let other = READ_OTHERWISE.iter().find(|(name, ..)| *name == case.name);
    let want: Vec<&str> = match other {
        Some((_, want, _)) => want.to_vec(),
        None => case.want.iter().map(String::as_str).collect(),
    };
    let want: Vec<_> = want.into_iter().filter_map(wanted).collect();
    let mut random = 0x9e37_79b9_u32;
    for round in 0..20_u32 {
        let mut size = || match round {
            0 => usize::MAX,
            1 => 1,
            _ => {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                usize::try_from(random >> 16).unwrap() % (2 << (round / 3)) + 1
            }
        };
        let mut reader = Reader::<MARK, PROMPT, N>::new(case);
        let mut rest = case.rx.as_slice();
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(size().min(rest.len()));
            reader.read(piece);
            rest = later;
        }
        let mut said = reader.said;
        if !want.iter().any(|want| matches!(want, Said::Data(_))) {
            said.retain(|said| !matches!(said, Said::Data(_)));
        }
        let same = said.len() == want.len() && said.iter().zip(&want).all(|(s, w)| agrees(s, w));
        assert!(same, "{} in round {round}:\n{said:?}\nand not\n{want:?}", case.name);
    }
}

/// Peers differ in whether the line that announces data is information.
fn agrees(said: &Said, want: &Said) -> bool {
    match (said, want) {
        (Said::Ok(all, lines), Said::Ok(want, _)) => want == all || want == lines,
        _ => said == want,
    }
}

fn wanted(want: &str) -> Option<Said> {
    let (kind, rest) = want.split_once(' ').unwrap_or((want, ""));
    let quoted = || {
        let from = rest.find('"').unwrap() + 1;
        unescape(&rest[from..rest.len() - 1])
    };
    match kind {
        "ok" => Some(Said::Ok(quoted(), Vec::new())),
        "err" => Some(Said::Err(unescape(rest))),
        "urc" => Some(Said::Urc(quoted())),
        "prompt" => Some(Said::Prompt(quoted())),
        "data" => Some(Said::Data(quoted())),
        "echo" | "none" => None,
        other => panic!("unknown event {other}"),
    }
}

struct Reader<const MARK: u8, const PROMPT: u8, const N: usize> {
    framer: Framer<N>,
    /// The command line in flight; a case that names none has one that takes
    /// any information.
    command: Option<Vec<u8>>,
    unnamed: bool,
    lines: Vec<Vec<u8>>,
    all: Vec<Vec<u8>>,
    data: Vec<u8>,
    /// Closes the data in the information.
    closing: &'static [u8],
    said: Vec<Said>,
}

impl<const MARK: u8, const PROMPT: u8, const N: usize> Reader<MARK, PROMPT, N> {
    fn new(case: &Case) -> Self {
        let sent = case.sent.as_ref().map(|sent| sent.trim_ascii().to_vec());
        Self {
            framer: Framer::new(Peer::<MARK, PROMPT>::MARK, PROMPT),
            unnamed: sent.is_none(),
            command: Some(sent.unwrap_or(b"ATI".to_vec())),
            lines: Vec::new(),
            all: Vec::new(),
            data: Vec::new(),
            closing: b"",
            said: Vec::new(),
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        let mut input = bytes;
        loop {
            // The frame borrows the framer, which has to be told what follows.
            let (kind, bytes) = match self.framer.next(&mut input, || self.command.is_some()) {
                None => break,
                Some(Frame::Line(raw)) => ('L', raw.to_vec()),
                Some(Frame::Marked(raw)) => ('M', raw.to_vec()),
                Some(Frame::Data(data)) => ('D', data.to_vec()),
                Some(Frame::Prompt) => ('P', vec![PROMPT]),
                Some(Frame::Overflow(_) | Frame::Clipped(_)) => continue,
            };
            match kind {
                'L' => self.line(&bytes),
                'M' => self.marked(bytes),
                'D' => self.data(&bytes),
                _ => self.said.push(Said::Prompt(bytes)),
            }
        }
    }

    fn line(&mut self, raw: &[u8]) {
        if self.command.as_deref() == Some(raw) {
            return;
        }
        if self.unnamed && raw.starts_with(b"AT+") {
            self.command = Some(raw.to_vec());
            return;
        }
        let line = self.command.clone();
        let open = line.as_deref().map(|line| {
            let end = line.iter().position(|b| matches!(b, b'=' | b'?')).unwrap_or(line.len());
            let form = if line[end..].starts_with(b"?") { Form::Query } else { Form::Action };
            Open { name: name_of(&line[..end]), form }
        });
        match read::<Peer<MARK, PROMPT>>(raw, open.as_ref()) {
            Reading::Final(result) => self.finish(result),
            Reading::Info(_) | Reading::Result(_) | Reading::Word(_) => {
                self.lines.push(raw.to_vec());
                self.all.push(raw.to_vec());
            }
            Reading::Urc(Urc::PayloadPart { len, .. }) => {
                self.all.push(raw.to_vec());
                self.framer.expect_data(len);
            }
            Reading::Urc(Urc::Prompt) => self.said.push(Said::Prompt(raw.to_vec())),
            Reading::Urc(_) if registered(&Line::parse(raw)).is_some() => {
                self.said.push(Said::Urc(raw.to_vec()));
            }
            Reading::Urc(_) | Reading::Stray => {}
        }
    }

    fn marked(&mut self, raw: Vec<u8>) {
        if let Some(Urc::Message { payload, .. }) = Peer::<MARK, PROMPT>::inline(&raw) {
            self.framer.expect_inline(payload);
            self.all.push(raw);
            self.closing = b"\"";
        }
    }

    fn data(&mut self, data: &[u8]) {
        self.data.extend_from_slice(data);
        if self.framer.data_left() > 0 {
            return;
        }
        let data = std::mem::take(&mut self.data);
        if let (b"\"", Some(head)) = (self.closing, self.all.last_mut()) {
            head.extend_from_slice(&data);
            head.extend_from_slice(self.closing);
        }
        self.closing = b"";
        self.said.push(Said::Data(data));
    }

    fn finish(&mut self, result: Final<'_>) {
        let all = std::mem::take(&mut self.all).join(&b"\r\n"[..]);
        let lines = std::mem::take(&mut self.lines).join(&b"\r\n"[..]);
        self.command = None;
        let quoted = |kind: &str, text: &[u8]| [kind.as_bytes(), b" \"", text, b"\""].concat();
        self.said.push(match result {
            Ok(()) => Said::Ok(all, lines),
            Err(Failure::Error) => Said::Err(b"generic".to_vec()),
            Err(Failure::Cme(n)) => Said::Err(format!("cme {n}").into_bytes()),
            Err(Failure::Cms(n)) => Said::Err(format!("cms {n}").into_bytes()),
            Err(Failure::CmeText(text)) => Said::Err(quoted("cme-text", text)),
            Err(Failure::CmsText(text)) => Said::Err(quoted("cms-text", text)),
            Err(Failure::Call(text)) => Said::Err(quoted("conn", text)),
        });
    }
}
