//! Writing one command line from a template: literal text, fields, numbers.
//!
//! A template is written as the manual writes the command, with the fields in
//! braces: `AT+CMQTTSUB={session},{filter.len},{filter.qos}`. A part in square
//! brackets is written only if its field is there: `[user|,"{user}"]`. It is
//! compiled to bytes by [`line!`](crate::line), so that a misspelt field does
//! not build, and read piece by piece: no buffer holds a whole line, strings
//! go out from where the caller keeps them.

use super::escape::{self, Piece};
use crate::{
    machine::{File, FileKind, Operation},
    mqtt::{AuthType, Credential, TlsVersion, Verify},
};

/// A field of a template, in the words of the uniform API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Arg {
    /// `{session}`: which of the modem's sessions.
    Session,
    /// `{client_id}`
    ClientId,
    /// `{host}`
    Host,
    /// `{port}`
    Port,
    /// `{keep_alive}`: in seconds.
    KeepAlive,
    /// `{clean}`: 1 for a clean session, else 0.
    Clean,
    /// `{user}`: absent if there is none.
    User,
    /// `{password}`: absent if there is none.
    Password,
    /// `{tls}`: 1 for TLS, else 0 (absent).
    Tls,
    /// `{topic}`
    Topic,
    /// `{topic.len}`
    TopicLen,
    /// `{payload}`
    Payload,
    /// `{payload.escaped}`: with the escapes of [`escape`].
    PayloadEscaped,
    /// `{payload.len}`: absent if 0.
    PayloadLen,
    /// `{qos}`
    Qos,
    /// `{retain}`: 1 or 0 (absent).
    Retain,
    /// `{filter}`: the one whose turn it is.
    Filter,
    /// `{filter.len}`
    FilterLen,
    /// `{filter.qos}`
    FilterQos,
    /// `{will.topic}`
    WillTopic,
    /// `{will.topic.len}`
    WillTopicLen,
    /// `{will.payload}`
    WillPayload,
    /// `{will.payload.len}`
    WillPayloadLen,
    /// `{will.qos}`
    WillQos,
    /// `{will.retain}`: 1 or 0 (absent).
    WillRetain,
    /// `{apn}`: absent if none is given.
    Apn,
    /// `{apn.auth}`: 0 none (absent), 1 PAP, 2 CHAP.
    ApnAuth,
    /// `{apn.user}`
    ApnUser,
    /// `{apn.password}`
    ApnPassword,
    /// `{pin}`
    Pin,
    /// `{ca}`: file name of the authority's certificate.
    Ca,
    /// `{cert}`: file name of the client's certificate.
    Cert,
    /// `{key}`: file name of the client's key.
    Key,
    /// `{verify}`: 1 if the server is verified, else 0 (absent).
    Verify,
    /// `{sni}`: 1 with server name indication, else 0 (absent).
    Sni,
    /// `{check_clock}`: 1 if dates are checked, else 0 (absent).
    CheckClock,
    /// `{any_version}`: 1 if any version of TLS will do, else 0 (absent).
    AnyVersion,
    /// `{file}`: name of the file that is stored or deleted.
    File,
    /// `{file.content}`
    FileContent,
    /// `{file.len}`
    FileLen,
    /// `{file.piece}`: the piece of the content whose turn it is.
    FilePiece,
    /// `{file.piece.len}`
    FilePieceLen,
    /// `{file.append}`: 0 (absent) for the first piece, 1 for others.
    FileAppend,
    /// `{0}`: the dialect's own numbers, see [`Dialect::numbers`](super::dialect::Dialect::numbers).
    Own0,
    /// `{1}`
    Own1,
    /// `{2}`
    Own2,
    /// `{3}`
    Own3,
}

const ARGS: &[(&str, Arg)] = &[
    ("session", Arg::Session),
    ("client_id", Arg::ClientId),
    ("host", Arg::Host),
    ("port", Arg::Port),
    ("keep_alive", Arg::KeepAlive),
    ("clean", Arg::Clean),
    ("user", Arg::User),
    ("password", Arg::Password),
    ("tls", Arg::Tls),
    ("topic", Arg::Topic),
    ("topic.len", Arg::TopicLen),
    ("payload", Arg::Payload),
    ("payload.escaped", Arg::PayloadEscaped),
    ("payload.len", Arg::PayloadLen),
    ("qos", Arg::Qos),
    ("retain", Arg::Retain),
    ("filter", Arg::Filter),
    ("filter.len", Arg::FilterLen),
    ("filter.qos", Arg::FilterQos),
    ("will.topic", Arg::WillTopic),
    ("will.topic.len", Arg::WillTopicLen),
    ("will.payload", Arg::WillPayload),
    ("will.payload.len", Arg::WillPayloadLen),
    ("will.qos", Arg::WillQos),
    ("will.retain", Arg::WillRetain),
    ("apn", Arg::Apn),
    ("apn.auth", Arg::ApnAuth),
    ("apn.user", Arg::ApnUser),
    ("apn.password", Arg::ApnPassword),
    ("pin", Arg::Pin),
    ("ca", Arg::Ca),
    ("cert", Arg::Cert),
    ("key", Arg::Key),
    ("verify", Arg::Verify),
    ("sni", Arg::Sni),
    ("check_clock", Arg::CheckClock),
    ("any_version", Arg::AnyVersion),
    ("file", Arg::File),
    ("file.content", Arg::FileContent),
    ("file.len", Arg::FileLen),
    ("file.piece", Arg::FilePiece),
    ("file.piece.len", Arg::FilePieceLen),
    ("file.append", Arg::FileAppend),
    ("0", Arg::Own0),
    ("1", Arg::Own1),
    ("2", Arg::Own2),
    ("3", Arg::Own3),
];

/// `{field}`: followed by its number plus [`NUMBER`].
const FIELD: u8 = 1;
/// Followed by the field likewise; what stands until [`END`] needs it.
const IF: u8 = 2;
const END: u8 = 3;
const NUMBER: u8 = b'@';

/// Compiles a template to a `&'static [u8]` that a [`Writer`] reads.
///
/// ```
/// const SUB: &[u8] = hayes::line!("AT+CMQTTSUB={session},{filter.len},{filter.qos}");
/// ```
///
/// ```compile_fail
/// const SUB: &[u8] = hayes::line!("AT+CMQTTSUB={index}"); // no such field
/// ```
#[macro_export]
macro_rules! line {
    ($template:literal) => {{
        const COMPILED: [u8; $crate::at::command::compiled_len($template)] =
            $crate::at::command::compile($template);
        &COMPILED
    }};
}

/// How many bytes [`compile`] makes of `template`.
#[must_use]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "compile time")]
pub const fn compiled_len(template: &str) -> usize {
    let text = template.as_bytes();
    let (mut at, mut len) = (0, 0);
    while at < text.len() {
        if text[at] == b'{' || text[at] == b'[' {
            len += 1;
            while text[at] != b'}' && text[at] != b'|' {
                at += 1;
            }
        }
        len += 1;
        at += 1;
    }
    len
}

/// Compiles `template`; [`line!`](crate::line) calls it at compile time.
///
/// # Panics
/// At compile time, if the template is malformed or names an unknown field.
#[must_use]
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "compile time"
)]
pub const fn compile<const N: usize>(template: &str) -> [u8; N] {
    let text = template.as_bytes();
    let mut out = [0; N];
    let (mut at, mut len) = (0, 0);
    while at < text.len() {
        match text[at] {
            b'{' => {
                let from = at + 1;
                while text[at] != b'}' {
                    at += 1;
                }
                out[len] = FIELD;
                len += 1;
                out[len] = NUMBER + arg_number(text, from, at);
            }
            b'[' => {
                let from = at + 1;
                while text[at] != b'|' {
                    at += 1;
                }
                out[len] = IF;
                len += 1;
                out[len] = NUMBER + arg_number(text, from, at);
            }
            b']' => out[len] = END,
            byte @ b' '..=b'~' => out[len] = byte,
            _ => panic!("a template is printable ASCII"),
        }
        len += 1;
        at += 1;
    }
    out
}

#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "compile time"
)]
const fn arg_number(text: &[u8], from: usize, to: usize) -> u8 {
    let mut row = 0;
    while row < ARGS.len() {
        let name = ARGS[row].0.as_bytes();
        let mut same = name.len() == to - from;
        let mut at = 0;
        while same && at < name.len() {
            same = name[at] == text[from + at];
            at += 1;
        }
        if same {
            return ARGS[row].1 as u8;
        }
        row += 1;
    }
    panic!("a template names a field that does not exist")
}

/// The name of the command in a compiled template: `+CMQTTSUB`, `AT`, `ATI`.
#[must_use]
pub fn name(template: &'static [u8]) -> &'static [u8] {
    let end = template.iter().position(|b| matches!(*b, b'=' | b'?' | ..=END));
    let line = template.get(..end.unwrap_or(template.len())).unwrap_or_default();
    name_of(line)
}

/// The name of a command line up to its `=` or `?`.
#[must_use]
pub fn name_of(line: &[u8]) -> &[u8] {
    match line.strip_prefix(b"AT") {
        Some(rest) if rest.first().is_some_and(|b| !b.is_ascii_alphanumeric()) => rest,
        _ => line,
    }
}

/// What a field stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// Not there.
    Absent,
    /// Bytes of the caller.
    Bytes(&'a [u8]),
    /// Bytes of the caller, to be escaped.
    Escaped(&'a [u8]),
    /// A number.
    Number(u32),
    /// The name of a file that is called by its content.
    FileName(FileKind, u64),
}

impl<'a> Field<'a> {
    /// Whether this is the text of the field.
    #[must_use]
    pub fn is_text(&self, text: &[u8]) -> bool {
        let mut scratch = [0; SCRATCH];
        match *self {
            Self::Absent => false,
            Self::Bytes(bytes) | Self::Escaped(bytes) => bytes == text,
            Self::Number(number) => {
                let len = decimal(&mut scratch, number);
                scratch.get(..len) == Some(text)
            }
            Self::FileName(kind, hash) => {
                let len = print_name(&mut scratch, kind, hash);
                scratch.get(..len) == Some(text)
            }
        }
    }

    const fn is_there(&self) -> bool {
        !matches!(self, Self::Absent | Self::Number(0))
    }

    fn optional(bytes: Option<&'a str>) -> Self {
        bytes.map_or(Self::Absent, |text| Self::Bytes(text.as_bytes()))
    }

    fn flag(yes: bool) -> Self {
        Self::Number(yes.into())
    }

    fn len(bytes: &[u8]) -> Self {
        Self::Number(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
    }
}

/// Where the fields of a template come from.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// What the caller asked for.
    pub operation: &'a Operation<'a>,
    /// Which filter or which piece of a file has its turn.
    pub item: u8,
    /// Which session.
    pub session: u8,
    /// The dialect's own numbers.
    pub own: [u32; 4],
    /// The most bytes in one piece of a file.
    pub piece: u32,
}

impl<'a> Scope<'a> {
    /// The value of a field; absent where the operation does not have it.
    #[must_use]
    pub fn field(&self, arg: Arg) -> Field<'a> {
        match arg {
            Arg::Session => Field::Number(self.session.into()),
            Arg::Own0 | Arg::Own1 | Arg::Own2 | Arg::Own3 => {
                let at = (arg as u8).wrapping_sub(Arg::Own0 as u8);
                Field::Number(self.own.get(usize::from(at)).copied().unwrap_or(0))
            }
            _ => match self.operation {
                Operation::Connect(_) => self.connect(arg),
                Operation::Publish(_) => self.publish(arg),
                Operation::Subscribe(_) | Operation::Unsubscribe(_) => self.filter(arg),
                Operation::BringUp(_) => self.network(arg),
                Operation::Store(_) | Operation::Delete(_) => self.file(arg),
                Operation::Disconnect | Operation::Status => Field::Absent,
            },
        }
    }

    /// Whether a field is there, and not 0.
    #[must_use]
    pub fn has(&self, arg: Arg) -> bool {
        self.field(arg).is_there()
    }

    fn connect(&self, arg: Arg) -> Field<'a> {
        let Operation::Connect(options) = self.operation else { return Field::Absent };
        match arg {
            Arg::ClientId => Field::Bytes(options.client_id.as_str().as_bytes()),
            Arg::Host => Field::Bytes(options.host.as_bytes()),
            Arg::Port => Field::Number(options.port.into()),
            Arg::KeepAlive => Field::Number(options.keep_alive.into()),
            Arg::Clean => Field::flag(options.clean_session),
            Arg::User => Field::optional(options.user),
            Arg::Password => Field::optional(options.password),
            Arg::Tls => Field::flag(options.tls.is_some()),
            Arg::WillTopic
            | Arg::WillTopicLen
            | Arg::WillPayload
            | Arg::WillPayloadLen
            | Arg::WillQos
            | Arg::WillRetain => self.will(arg),
            _ => self.tls(arg),
        }
    }

    fn will(&self, arg: Arg) -> Field<'a> {
        let Operation::Connect(options) = self.operation else { return Field::Absent };
        let Some(will) = &options.will else { return Field::Absent };
        let topic = will.topic.as_str().as_bytes();
        match arg {
            Arg::WillTopic => Field::Bytes(topic),
            Arg::WillTopicLen => Field::len(topic),
            Arg::WillPayload => Field::Bytes(will.payload),
            Arg::WillPayloadLen => Field::len(will.payload),
            Arg::WillQos => Field::Number(will.qos.level().into()),
            Arg::WillRetain => Field::flag(will.retain),
            _ => Field::Absent,
        }
    }

    fn tls(&self, arg: Arg) -> Field<'a> {
        let Operation::Connect(options) = self.operation else { return Field::Absent };
        if !cfg!(feature = "tls") {
            return Field::Absent;
        }
        let Some(tls) = &options.tls else { return Field::Absent };
        match arg {
            Arg::Ca => file_name(FileKind::Ca, tls.ca),
            Arg::Cert => file_name(FileKind::Cert, tls.cert),
            Arg::Key => file_name(FileKind::Key, tls.key),
            Arg::Verify => Field::flag(tls.verify == Verify::Server),
            Arg::Sni => Field::flag(tls.server_name),
            Arg::CheckClock => Field::flag(tls.check_clock),
            Arg::AnyVersion => Field::flag(tls.version == TlsVersion::Any),
            _ => Field::Absent,
        }
    }

    fn publish(&self, arg: Arg) -> Field<'a> {
        let Operation::Publish(publish) = self.operation else { return Field::Absent };
        let topic = publish.topic.as_str().as_bytes();
        match arg {
            Arg::Topic => Field::Bytes(topic),
            Arg::TopicLen => Field::len(topic),
            Arg::Payload => Field::Bytes(publish.payload),
            Arg::PayloadEscaped => Field::Escaped(publish.payload),
            Arg::PayloadLen => Field::len(publish.payload),
            Arg::Qos => Field::Number(publish.qos.level().into()),
            Arg::Retain => Field::flag(publish.retain),
            _ => Field::Absent,
        }
    }

    fn filter(&self, arg: Arg) -> Field<'a> {
        let item = usize::from(self.item);
        let (filter, qos) = match self.operation {
            Operation::Subscribe(all) => match all.get(item) {
                Some(one) => (one.filter, one.qos.level()),
                None => return Field::Absent,
            },
            Operation::Unsubscribe(all) => match all.get(item) {
                Some(one) => (*one, 0),
                None => return Field::Absent,
            },
            _ => return Field::Absent,
        };
        match arg {
            Arg::Filter => Field::Bytes(filter.as_str().as_bytes()),
            Arg::FilterLen => Field::len(filter.as_str().as_bytes()),
            Arg::FilterQos => Field::Number(qos.into()),
            _ => Field::Absent,
        }
    }

    fn network(&self, arg: Arg) -> Field<'a> {
        let Operation::BringUp(network) = self.operation else { return Field::Absent };
        match arg {
            Arg::Apn => Field::optional(network.apn),
            Arg::ApnAuth => Field::Number(match network.auth {
                AuthType::None => 0,
                AuthType::Pap => 1,
                AuthType::Chap => 2,
            }),
            Arg::ApnUser => Field::optional(network.user),
            Arg::ApnPassword => Field::optional(network.password),
            Arg::Pin => Field::optional(network.pin),
            _ => Field::Absent,
        }
    }

    fn file(&self, arg: Arg) -> Field<'a> {
        if !cfg!(feature = "tls") {
            return Field::Absent;
        }
        match (self.operation, arg) {
            (Operation::Delete(name), Arg::File) => Field::Bytes(name.as_bytes()),
            (Operation::Store(file), Arg::File) => file_name(file.kind, Some(file.content)),
            (Operation::Store(file), Arg::FileContent | Arg::FileLen) => match file.content {
                Credential::Pem(pem) if arg == Arg::FileContent => Field::Bytes(pem),
                Credential::Pem(pem) => Field::len(pem),
                Credential::Stored(_) => Field::Absent,
            },
            (Operation::Store(_), Arg::FileAppend) => Field::flag(self.item > 0),
            (Operation::Store(File { content: Credential::Pem(pem), .. }), _) => {
                let size = usize::try_from(self.piece).unwrap_or(usize::MAX).max(1);
                let piece = pem.chunks(size).nth(self.item.into()).unwrap_or_default();
                match arg {
                    Arg::FilePiece => Field::Bytes(piece),
                    Arg::FilePieceLen => Field::len(piece),
                    _ => Field::Absent,
                }
            }
            _ => Field::Absent,
        }
    }
}

fn file_name(kind: FileKind, credential: Option<Credential<'_>>) -> Field<'_> {
    match credential {
        None => Field::Absent,
        Some(Credential::Stored(name)) => Field::Bytes(name.as_bytes()),
        Some(Credential::Pem(pem)) => Field::FileName(kind, content_hash(pem)),
    }
}

/// A hash to tell one content from another (FNV-1a): files are named by it.
#[must_use]
pub fn content_hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A smaller hash, to know a short text again (FNV-1a with 32 bits).
#[must_use]
pub fn fingerprint(text: &[u8]) -> u32 {
    fingerprint_after(FINGERPRINT_OF_NOTHING, text)
}

const FINGERPRINT_OF_NOTHING: u32 = 0x811c_9dc5;

fn fingerprint_after(start: u32, text: &[u8]) -> u32 {
    text.iter().fold(start, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The longest number, or `cert-0123456789abcdef.pem`, the longest name made
/// here.
const SCRATCH: usize = if cfg!(feature = "tls") { 25 } else { 10 };

/// Reads a compiled template piece by piece.
#[derive(Clone, Debug)]
pub struct Writer {
    /// The next byte of the template.
    at: u16,
    /// How much of the piece that begins there is done.
    done: u16,
    /// The last piece was an escape, and so much of it was sent.
    is_escape: bool,
    within: u8,
    scratch: [u8; SCRATCH],
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A writer at the start of a line.
    #[must_use]
    pub const fn new() -> Self {
        Self { at: 0, done: 0, is_escape: false, within: 0, scratch: [0; SCRATCH] }
    }

    /// Begins a line.
    pub fn restart(&mut self) {
        self.at = 0;
        self.done = 0;
        self.is_escape = false;
        self.within = 0;
    }

    /// The next piece, never empty; `None` at the end. The same piece again
    /// until [`advance`](Self::advance) says that it was sent.
    pub fn piece<'a>(&'a mut self, template: &'static [u8], scope: &Scope<'a>) -> Option<&'a [u8]> {
        loop {
            let rest = template.get(usize::from(self.at)..)?;
            let done = usize::from(self.done);
            match *rest.first()? {
                END => self.at = self.at.wrapping_add(1),
                IF => {
                    let there = scope.field(arg(*rest.get(1)?)?).is_there();
                    let end = rest.iter().position(|b| *b == END)?;
                    let skip = if there { 2 } else { end.wrapping_add(1) };
                    self.at = self.at.wrapping_add(u16::try_from(skip).ok()?);
                }
                FIELD => {
                    let len = match scope.field(arg(*rest.get(1)?)?) {
                        Field::Absent => 0,
                        Field::Bytes(bytes) if done < bytes.len() => return bytes.get(done..),
                        Field::Bytes(_) => 0,
                        Field::Escaped(bytes) => match self.escaped(bytes) {
                            Some(Piece::Plain(plain)) => return Some(plain),
                            Some(Piece::Escape(_)) => {
                                return self.scratch.get(usize::from(self.within)..3);
                            }
                            None => 0,
                        },
                        Field::Number(number) => decimal(&mut self.scratch, number),
                        Field::FileName(kind, hash) => print_name(&mut self.scratch, kind, hash),
                    };
                    if done < len {
                        return self.scratch.get(done..len);
                    }
                    self.at = self.at.wrapping_add(2);
                    self.done = 0;
                }
                _ => {
                    let end = rest.iter().position(|b| *b <= END).unwrap_or(rest.len());
                    if done < end {
                        return rest.get(done..end);
                    }
                    self.at = self.at.wrapping_add(u16::try_from(end).ok()?);
                    self.done = 0;
                }
            }
        }
    }

    /// What comes next of escaped bytes, `done` of which are on the wire: an
    /// escape lies in the scratch, `within` bytes of it sent.
    fn escaped<'a>(&mut self, bytes: &'a [u8]) -> Option<Piece<'a>> {
        let piece = escape::next(bytes.get(usize::from(self.done)..)?)?;
        self.is_escape = false;
        if let (Piece::Escape(escape), Some(front)) = (piece, self.scratch.first_chunk_mut()) {
            *front = escape;
            self.is_escape = true;
        }
        Some(piece)
    }

    /// `count` bytes of the last piece were sent.
    pub fn advance(&mut self, count: usize) {
        let mut count = u16::try_from(count).unwrap_or(u16::MAX);
        if self.is_escape {
            self.within = self.within.saturating_add(u8::try_from(count).unwrap_or(u8::MAX));
            count = u16::from(self.within >= 3);
            self.within = if count > 0 { 0 } else { self.within };
            self.is_escape = count == 0;
        }
        self.done = self.done.saturating_add(count);
    }

    /// Whether nothing of the line was sent yet.
    #[must_use]
    pub const fn is_at_start(&self) -> bool {
        self.at == 0 && self.done == 0 && self.within == 0
    }

    /// The length of the whole line without its terminator, and its
    /// [`fingerprint`].
    #[must_use]
    pub fn measure(template: &'static [u8], scope: &Scope<'_>) -> (usize, u32) {
        let mut writer = Self::new();
        let (mut length, mut hash) = (0_usize, FINGERPRINT_OF_NOTHING);
        while let Some(piece) = writer.piece(template, scope) {
            let len = piece.len();
            hash = fingerprint_after(hash, piece);
            length = length.wrapping_add(len);
            writer.advance(len);
        }
        (length, hash)
    }
}

fn arg(byte: u8) -> Option<Arg> {
    NUMBERED.get(usize::from(byte.wrapping_sub(NUMBER))).copied()
}

/// The fields by their numbers, without the names that only the compiler reads.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "compile time")]
const NUMBERED: [Arg; ARGS.len()] = {
    let mut numbered = [Arg::Session; ARGS.len()];
    let mut row = 0;
    while row < ARGS.len() {
        numbered[row] = ARGS[row].1;
        row += 1;
    }
    numbered
};

/// Prints `number` to the front of `out`; how long it is.
fn decimal(out: &mut [u8; SCRATCH], number: u32) -> usize {
    let mut len = 0_usize;
    let mut unit = 1_000_000_000_u32;
    while let Some(leading) = number.checked_div(unit) {
        if leading > 0 || unit == 1 {
            if let Some(slot) = out.get_mut(len) {
                *slot = u8::try_from(leading % 10).unwrap_or(0).wrapping_add(b'0');
            }
            len = len.wrapping_add(1);
        }
        unit /= 10;
    }
    len
}

fn print_name(out: &mut [u8; SCRATCH], kind: FileKind, hash: u64) -> usize {
    if !cfg!(feature = "tls") {
        return 0;
    }
    let stem: &[u8] = match kind {
        FileKind::Ca => b"ca-",
        FileKind::Cert => b"cert-",
        FileKind::Key => b"key-",
    };
    let digits = (0..16_u32).rev().map(|place| {
        let digit = hash.unbounded_shr(place.saturating_mul(4)) & 0xf;
        b"0123456789abcdef".get(usize::try_from(digit).unwrap_or(0)).copied().unwrap_or(b'0')
    });
    let bytes = stem.iter().copied().chain(digits).chain(b".pem".iter().copied());
    out.iter_mut().zip(bytes).fold(0_usize, |len, (slot, byte)| {
        *slot = byte;
        len.wrapping_add(1)
    })
}

#[cfg(test)]
mod tests {
    use std::{string::ToString, vec::Vec};

    use super::*;
    use crate::mqtt::{ConnectOptions, Publish, QoS};

    /// The line in pieces that the transport takes `size` bytes at a time.
    fn written(template: &'static [u8], operation: &Operation<'_>, size: usize) -> Vec<u8> {
        let scope = Scope { operation, item: 0, session: 1, own: [60, 0, 0, 0], piece: 4 };
        let mut writer = Writer::new();
        let mut line = Vec::new();
        while let Some(piece) = writer.piece(template, &scope) {
            let taken = piece.len().min(size);
            line.extend_from_slice(&piece[..taken]);
            writer.advance(taken);
        }
        let (length, hash) = Writer::measure(template, &scope);
        assert_eq!((length, hash), (line.len(), fingerprint(&line)));
        line
    }

    const CONNECT: &[u8] = crate::line!(
        "AT+C={session},\"tcp://{host}:{port}\",{clean}[user|,\"{user}\"][password|,\"{password}\"]"
    );
    const PUBLISH: &[u8] =
        crate::line!("AT+P=\"{topic}\",{qos}[retain|,{retain}],\"{payload.escaped}\"");

    #[test]
    fn a_part_in_brackets_is_written_only_if_its_field_is_there() {
        let options = ConnectOptions::new("h", 65_535, "i").unwrap();
        let both = options.credentials("u", Some("p")).unwrap();
        let one = options.credentials("u", None).unwrap();
        for size in [1, 2, 100] {
            let line = |options| written(CONNECT, &Operation::Connect(options), size);
            assert_eq!(line(&options), b"AT+C=1,\"tcp://h:65535\",1");
            assert_eq!(line(&one), b"AT+C=1,\"tcp://h:65535\",1,\"u\"");
            assert_eq!(line(&both), b"AT+C=1,\"tcp://h:65535\",1,\"u\",\"p\"");
        }
    }

    #[test]
    fn an_escaped_payload_may_be_taken_in_any_pieces() {
        let publish = Publish::new("t", b"\"a\r\nb\\\"").unwrap().qos(QoS::AtLeastOnce);
        for size in 1..12 {
            let line = written(PUBLISH, &Operation::Publish(&publish), size);
            assert_eq!(line, b"AT+P=\"t\",1,\"\\22a\\0D\\0Ab\\5C\\22\"", "{size}");
        }
    }

    #[test]
    fn the_name_of_a_command_ends_at_its_sign() {
        for (line, expected) in [
            (crate::line!("AT+X={session}").as_slice(), "+X"),
            (crate::line!("AT+X?"), "+X"),
            (crate::line!("ATE0"), "ATE0"),
            (crate::line!("AT"), "AT"),
        ] {
            assert_eq!(name(line), expected.as_bytes());
        }
    }

    fn compiled<const N: usize>(template: &str) -> [u8; N] {
        assert_eq!(compiled_len(template), N, "{template}");
        compile(template)
    }

    /// Compiled while the test runs, as `line!` does while it is compiled.
    #[test]
    fn a_template_is_compiled_to_its_text_and_the_numbers_of_its_fields() {
        const fn number(arg: Arg) -> u8 {
            NUMBER + arg as u8
        }
        assert_eq!(&compiled::<4>("AT+X"), b"AT+X");
        assert_eq!(compiled("{session}"), [FIELD, number(Arg::Session)]);
        let fields = [b'=', FIELD, number(Arg::TopicLen), b',', FIELD, number(Arg::Own3)];
        assert_eq!(compiled("={topic.len},{3}"), fields);
        let user = number(Arg::User);
        let part = [b'a', IF, user, b',', FIELD, user, END, b'z'];
        assert_eq!(compiled("a[user|,{user}]z"), part);
        let parts = [IF, number(Arg::Own2), b'4', END, IF, number(Arg::Qos), END];
        assert_eq!(compiled("[2|4][qos|]"), parts);
        for (number, (name, arg)) in ARGS.iter().enumerate() {
            let template = std::format!("{{{name}}}");
            let number_of = NUMBER + *arg as u8;
            assert_eq!(compiled(&template), [FIELD, number_of], "{name}");
            assert_eq!(*arg as usize, number, "{name}");
            assert_eq!(super::arg(number_of), Some(*arg));
        }
    }

    #[test]
    fn a_malformed_template_does_not_compile() {
        for template in ["{topics}", "{}", "{topi}", "{4}", "a\rb", "a\nb", "\u{fc}", "[nobody|x]"]
        {
            let compiled = std::panic::catch_unwind(|| compile::<9>(template));
            assert!(compiled.is_err(), "{template:?}");
        }
    }

    /// Every field with a value that no other has.
    #[test]
    fn each_field_is_what_the_caller_said() {
        use crate::mqtt::{Network, Subscription, Tls, TopicFilter, Will};
        let tls = Tls::with_ca(Credential::Stored("a.pem"));
        let tls = tls.client(Credential::Stored("b.pem"), Credential::Stored("c.pem"));
        let will = Will::new("w/t", b"gone").unwrap().qos(QoS::ExactlyOnce).retain(true);
        let plain = ConnectOptions::new("h", 1883, "id").unwrap();
        let rich = plain.keep_alive(77).clean_session(false).last_will(will).tls(tls);
        let lax = Tls::insecure().server_name(false).check_clock(true);
        let lax = plain.tls(lax.version(TlsVersion::Any));
        let publish = Publish::new("t/u", b"abc").unwrap().qos(QoS::AtLeastOnce).retain(true);
        let filters = [Subscription::new("f/#", QoS::ExactlyOnce).unwrap()];
        let gone = [TopicFilter::new("g/+/h").unwrap()];
        let network = Network::new().pin("4711").unwrap().apn("iot").unwrap();
        let pap = network.credentials(AuthType::Pap, "u", "p").unwrap();
        let chap = network.credentials(AuthType::Chap, "u", "p").unwrap();
        let pem = Credential::Pem(b"0123456789");
        let store = File { kind: FileKind::Key, content: pem };
        let store = Operation::Store(&store);
        let stored = Credential::Stored("d.pem");
        let stored = File { kind: FileKind::Ca, content: stored };
        let stored = Operation::Store(&stored);
        const TLS: &[u8] =
            crate::line!("{tls} {ca} {cert} {key} {verify}{sni}{check_clock}{any_version}");
        const WILL: &[u8] = crate::line!(
            "{will.topic} {will.topic.len} {will.payload} {will.payload.len} {will.qos} {will.retain}"
        );
        const NETWORK: &[u8] = crate::line!("{pin} {apn} {apn.auth} {apn.user} {apn.password}");
        const FILE: &[u8] = crate::line!("{file} {file.content} {file.len} {file.append}");
        for (template, operation, expected) in [
            (
                crate::line!("{session} {client_id} {host} {port} {keep_alive} {clean} {0}")
                    .as_slice(),
                &Operation::Connect(&rich),
                "1 id h 1883 77 0 60",
            ),
            (TLS, &Operation::Connect(&rich), "1 a.pem b.pem c.pem 1100"),
            (TLS, &Operation::Connect(&lax), "1    0011"),
            (TLS, &Operation::Connect(&plain), "0    "),
            (WILL, &Operation::Connect(&rich), "w/t 3 gone 4 2 1"),
            (WILL, &Operation::Connect(&plain), "     "),
            (
                crate::line!("{topic} {topic.len} {payload} {payload.len} {qos} {retain}{filter}"),
                &Operation::Publish(&publish),
                "t/u 3 abc 3 1 1",
            ),
            (
                crate::line!("{filter} {filter.len} {filter.qos}"),
                &Operation::Subscribe(&filters),
                "f/# 3 2",
            ),
            (
                crate::line!("{filter} {filter.len} {filter.qos}{topic}"),
                &Operation::Unsubscribe(&gone),
                "g/+/h 5 0",
            ),
            (NETWORK, &Operation::BringUp(&pap), "4711 iot 1 u p"),
            (NETWORK, &Operation::BringUp(&chap), "4711 iot 2 u p"),
            (NETWORK, &Operation::BringUp(&Network::new()), "  0  "),
            (FILE, &Operation::Delete("e.pem"), "e.pem   "),
            (FILE, &stored, "d.pem   0"),
            (crate::line!("{file.content} {file.len}"), &store, "0123456789 10"),
            (crate::line!("{file.piece} {file.piece.len}"), &store, "0123 4"),
            (crate::line!("{topic}{file}{user}"), &Operation::Disconnect, ""),
        ] {
            let line = written(template, operation, 100);
            assert_eq!(line.escape_ascii().to_string(), expected, "{operation:?}");
        }
        let last = Scope { operation: &store, item: 2, session: 0, own: [0; 4], piece: 4 };
        assert_eq!(last.field(Arg::FilePiece), Field::Bytes(b"89"));
        assert_eq!(last.field(Arg::FileAppend), Field::Number(1));
        assert!(!last.has(Arg::Own1) && last.has(Arg::FilePieceLen));
    }

    /// The vectors of the FNV reference (Noll), 64 bits, 1a.
    #[test]
    fn a_file_is_named_by_the_hash_of_its_content() {
        for (content, hash) in [
            (b"".as_slice(), 0xcbf2_9ce4_8422_2325),
            (b"a", 0xaf63_dc4c_8601_ec8c),
            (b"foobar", 0x8594_4171_f739_67e8),
        ] {
            assert_eq!(content_hash(content), hash);
        }
        // And 32 bits.
        for (text, print) in
            [(b"".as_slice(), 0x811c_9dc5), (b"a", 0xe40c_292c), (b"foobar", 0xbf9c_f968)]
        {
            assert_eq!(fingerprint(text), print);
        }
        let name = |kind| Field::FileName(kind, 0x0123_4567_89ab_cdef);
        assert!(name(FileKind::Ca).is_text(b"ca-0123456789abcdef.pem"));
        assert!(name(FileKind::Cert).is_text(b"cert-0123456789abcdef.pem"));
        assert!(name(FileKind::Key).is_text(b"key-0123456789abcdef.pem"));
        assert!(!name(FileKind::Key).is_text(b"key-0123456789abcdee.pem"));
        assert!(Field::Number(4_294_967_295).is_text(b"4294967295"));
        assert!(Field::Number(0).is_text(b"0") && !Field::Number(10).is_text(b"1"));
        assert!(!Field::Absent.is_text(b""));
        assert!(Field::Bytes(b"a").is_text(b"a") && !Field::Bytes(b"a").is_text(b"b"));
    }

    #[test]
    fn a_line_of_which_anything_was_sent_is_begun() {
        let publish = Publish::new("t", b"\"").unwrap();
        let operation = Operation::Publish(&publish);
        let scope = Scope { operation: &operation, item: 0, session: 0, own: [0; 4], piece: 0 };
        for template in [crate::line!("AT+P").as_slice(), crate::line!("{payload.escaped}")] {
            let mut writer = Writer::new();
            assert!(writer.is_at_start());
            writer.piece(template, &scope).unwrap();
            assert!(writer.is_at_start());
            writer.advance(1);
            assert!(!writer.is_at_start());
            while let Some(piece) = writer.piece(template, &scope) {
                let len = piece.len();
                writer.advance(len);
                assert!(!writer.is_at_start());
            }
            writer.restart();
            assert!(writer.is_at_start());
        }
    }
}
