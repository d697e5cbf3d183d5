//! Bytes to frames: lines, prompts, counted data, overflow.
//!
//! The framer knows where a line ends and how many raw bytes were announced,
//! and nothing of what a line says. It looks at each byte once, in any split,
//! and never allocates. The rules, all of them:
//!
//! 1. CR or LF ends a line, each by itself; lines without content do not
//!    exist. So `AT\r\r\nOK\r\n` is `AT` and `OK`, and a bare LF splits.
//! 2. NULs before a line are noise (a changing baud rate) and are skipped.
//! 3. A line that outgrows the buffer is swallowed to its real end and gives
//!    one overflow with its length. Where data may follow inside it, its
//!    beginning and its latest bytes are kept, so that they are not taken for
//!    lines.
//! 4. Counted data begins after the line end (one CR LF pair at most) or right
//!    after the mark, is never scanned, and ends by its count alone.
//! 5. A prompt is one only as the first byte of a line, and only where the
//!    caller says that it awaits one.

use core::fmt;

use heapless::Vec;

use super::scan::find;
use crate::WIDE;

const CR: u8 = b'\r';
const LF: u8 = b'\n';

/// One thing that the modem said, borrowed from the framer or from the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A finished line, without its end. Never empty.
    Line(&'a [u8]),
    /// A line up to and with a mark, not finished. Answer with
    /// [`Framer::expect_inline`] if data follow here.
    Marked(&'a [u8]),
    /// The same of a line that is too long for the buffer: its beginning and
    /// what stands before the mark, the middle is missing.
    Clipped(&'a [u8]),
    /// The prompt, where one was awaited.
    Prompt,
    /// Some of the counted data. Never empty.
    Data(&'a [u8]),
    /// A line of so many bytes was too long for the buffer; it has ended.
    Overflow(u32),
}

/// A byte after which raw data may begin inside a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The byte.
    pub byte: u8,
    /// How the lines begin in which it counts.
    pub lines: &'static [&'static [u8]],
}

impl Mark {
    /// Counts nowhere.
    pub const NONE: Self = Self { byte: 0, lines: &[] };

    /// Whether it counts in a line that begins with `line` and goes on with
    /// `part`.
    fn counts(&self, line: &[u8], part: &[u8]) -> bool {
        self.lines.iter().any(|begin| match begin.split_at_checked(line.len()) {
            Some((before, behind)) => line == before && part.starts_with(behind),
            None => line.starts_with(begin),
        })
    }

    /// Whether it may count in a line of which `bytes` are the first, as far as
    /// that is worth finding out before a mark is found.
    #[inline]
    fn may_count(&self, bytes: &[u8]) -> bool {
        if !WIDE {
            return !self.lines.is_empty();
        }
        self.lines.iter().any(|begin| {
            // A few bytes at once tell most lines apart.
            !(differ::<8>(begin, bytes) || differ::<4>(begin, bytes))
                && begin.iter().zip(bytes).all(|(a, b)| a == b)
        })
    }
}

/// Whether the first `N` bytes are there and differ.
fn differ<const N: usize>(a: &[u8], b: &[u8]) -> bool {
    matches!((a.first_chunk::<N>(), b.first_chunk::<N>()), (Some(a), Some(b)) if a != b)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Reading a line.
    Line,
    /// The rest of the line is of no interest.
    Swallow,
    /// The line is too long by now.
    Overflow(u32),
    /// Counted data, so many still to come.
    Data(u32),
    /// The same, within a line whose rest is to be swallowed.
    Inline(u32),
}

/// Splits a byte stream into [`Frame`]s. `N` is the longest line it can keep.
#[derive(Clone)]
pub struct Framer<const N: usize> {
    line: Vec<u8, N>,
    state: State,
    /// The line in the buffer was handed out; the next byte begins a new one.
    taken: bool,
    /// The buffer holds the beginning of a line and waits for more of it.
    inside: bool,
    /// The last line ended with CR, so that an LF belongs to its end.
    after_cr: bool,
    /// So many bytes in the middle of the line were not kept.
    clipped: u32,
    /// A blank here belongs to the prompt.
    after_prompt: bool,
    prompt: u8,
    mark: &'static Mark,
    /// The mark may count in this line.
    marks: bool,
}

impl<const N: usize> fmt::Debug for Framer<N> {
    /// Without the line: it may be the echo of a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framer")
            .field("length", &self.line.len())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl<const N: usize> Framer<N> {
    /// A framer that stops at `mark` within lines, and at the byte `prompt`
    /// before one where it is awaited. `N` below 16 does not compile: of a
    /// longer line with a mark the beginning and the end are kept.
    #[must_use]
    pub const fn new(mark: &'static Mark, prompt: u8) -> Self {
        const { assert!(N >= 16, "a line buffer has at least 16 bytes") };
        Self {
            line: Vec::new(),
            state: State::Line,
            taken: false,
            inside: false,
            after_cr: false,
            clipped: 0,
            after_prompt: false,
            prompt,
            mark,
            marks: !mark.lines.is_empty(),
        }
    }

    /// The line just handed out announced `count` raw bytes after its end.
    pub fn expect_data(&mut self, count: u32) {
        if count > 0 {
            self.state = State::Data(count);
        }
    }

    /// The host now sends `count` bytes at the prompt and they will come back.
    pub fn expect_echo(&mut self, count: u32) {
        self.after_cr = false;
        self.expect_data(count);
    }

    /// The mark just handed out is followed by `count` raw bytes; what stands
    /// behind them in the line is swallowed.
    pub fn expect_inline(&mut self, count: u32) {
        self.taken = true;
        self.state = if count > 0 { State::Inline(count) } else { State::Swallow };
    }

    /// How many announced bytes have not come yet.
    #[must_use]
    pub const fn data_left(&self) -> u32 {
        match self.state {
            State::Data(left) | State::Inline(left) => left,
            _ => 0,
        }
    }

    /// Whether a line has begun and not ended.
    #[must_use]
    pub fn is_in_line(&self) -> bool {
        match self.state {
            State::Line => !self.taken && !self.line.is_empty(),
            State::Overflow(_) => true,
            State::Swallow | State::Data(_) | State::Inline(_) => false,
        }
    }

    /// What has come of a line that has not ended; empty if none has begun.
    #[must_use]
    pub fn partial_line(&self) -> &[u8] {
        if matches!(self.state, State::Line) && !self.taken { &self.line } else { &[] }
    }

    /// Gives up on announced data that did not come, and on a line that did
    /// not end; the next byte begins a line.
    pub fn forget(&mut self) {
        if !matches!(self.state, State::Overflow(_) | State::Swallow) {
            self.inside = false;
            self.begin_line();
        }
    }

    /// The next frame in `input`, which is shortened by what was looked at.
    /// `None` when the input is used up. `awaited` is asked where a line begins
    /// with the prompt's byte.
    #[inline]
    pub fn next<'f, 'i: 'f>(
        &'f mut self,
        input: &mut &'i [u8],
        awaited: impl FnOnce() -> bool,
    ) -> Option<Frame<'f>> {
        self.inside = false;
        if self.taken {
            self.taken = false;
            self.begin_content();
        }
        loop {
            match self.state {
                State::Line => {
                    if self.line.is_empty() && self.skip_to_content(input, awaited)? {
                        return Some(Frame::Prompt);
                    }
                    return self.read_line(input);
                }
                State::Swallow => {
                    if !skip_line(input).1 {
                        return None;
                    }
                    self.begin_line();
                }
                State::Overflow(length) => return self.read_overflow(input, length),
                State::Data(left) => {
                    if self.after_cr && *input.first()? == LF {
                        *input = input.get(1..).unwrap_or_default();
                    }
                    self.after_cr = false;
                    let (data, left) = take_data(input, left)?;
                    self.state = if left == 0 { State::Line } else { State::Data(left) };
                    return Some(Frame::Data(data));
                }
                State::Inline(left) => {
                    let (data, left) = take_data(input, left)?;
                    self.state = if left == 0 { State::Swallow } else { State::Inline(left) };
                    return Some(Frame::Data(data));
                }
            }
        }
    }

    /// Takes a byte between two lines or in the middle of one, the most
    /// frequent cases in reads of one byte; `false`, and nothing done, if it
    /// may be more than that.
    #[inline]
    pub fn push(&mut self, byte: u8) -> bool {
        if byte == self.mark.byte {
            return false;
        }
        if self.inside {
            return byte > CR && self.line.push(byte).is_ok();
        }
        let between = matches!(self.state, State::Line) && (self.taken || self.line.is_empty());
        if !between || !(byte > b' ' && byte != self.prompt || byte == CR || byte == LF) {
            return false;
        }
        self.after_prompt = false;
        if byte > b' ' {
            self.taken = false;
            self.begin_content();
            self.inside = self.line.push(byte).is_ok();
        }
        true
    }

    /// Takes `len` bytes that are all counted data and not the last of them;
    /// `false`, and nothing done, if they may be more than that.
    #[inline]
    pub fn push_data(&mut self, len: usize) -> bool {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        match &mut self.state {
            State::Data(left) | State::Inline(left) if *left > len && !self.after_cr => {
                *left = left.saturating_sub(len);
                true
            }
            _ => false,
        }
    }

    fn begin_line(&mut self) {
        self.state = State::Line;
        self.begin_content();
    }

    fn begin_content(&mut self) {
        self.line.clear();
        self.marks = !self.mark.lines.is_empty();
        self.clipped = 0;
    }

    /// Skips line ends and noise before a line; `true` at the prompt.
    #[inline]
    fn skip_to_content(
        &mut self,
        input: &mut &[u8],
        awaited: impl FnOnce() -> bool,
    ) -> Option<bool> {
        if let (true, [CR, LF, byte, ..]) = (WIDE, *input) {
            // Nearly every line begins so.
            if *byte > b' ' && *byte != self.prompt {
                self.after_prompt = false;
                *input = input.get(2..)?;
                return Some(false);
            }
        }
        loop {
            let (byte, rest) = input.split_first()?;
            match *byte {
                CR | LF => self.after_prompt = false,
                0 => {}
                b' ' if self.after_prompt => {}
                byte => {
                    self.after_prompt = byte == self.prompt && awaited();
                    if self.after_prompt {
                        *input = rest;
                    }
                    return Some(self.after_prompt);
                }
            }
            *input = rest;
        }
    }

    #[inline(always)]
    fn read_line<'f, 'i: 'f>(&'f mut self, input: &mut &'i [u8]) -> Option<Frame<'f>> {
        let bytes = *input;
        if self.line.is_empty() {
            self.marks = self.mark.may_count(bytes);
        }
        let found = match bytes {
            [CR | LF, ..] if WIDE => Some(0),
            _ if self.marks => self.find_mark(bytes),
            _ => find(bytes, [CR, LF]),
        };
        let Some(at) = found else {
            *input = &[];
            self.inside = self.append(bytes);
            if !self.inside {
                self.state = State::Overflow(self.length(bytes));
            }
            return None;
        };
        let (part, rest) = bytes.split_at_checked(at)?;
        let (end, rest) = rest.split_first()?;
        *input = rest;
        if *end != CR && *end != LF {
            // Where marks count, something of the line is always kept.
            self.append(part);
            self.append(&[*end]);
            let line = &self.line;
            return Some(if self.clipped > 0 { Frame::Clipped(line) } else { Frame::Marked(line) });
        }
        self.after_cr = *end == CR;
        if self.after_cr && rest.first() == Some(&LF) {
            self.after_cr = false;
            *input = rest.get(1..).unwrap_or_default();
        }
        if self.line.is_empty() && part.len() <= N {
            return Some(Frame::Line(part));
        }
        if self.clipped > 0 || self.line.len().wrapping_add(part.len()) > N {
            let length = self.length(part);
            self.begin_line();
            return Some(Frame::Overflow(length));
        }
        if !part.is_empty() {
            self.append(part);
        }
        self.taken = true;
        Some(Frame::Line(&self.line))
    }

    /// Where the line ends or a mark that counts stands.
    #[inline(never)]
    fn find_mark(&mut self, bytes: &[u8]) -> Option<usize> {
        let mark = self.mark;
        let at = find(bytes, [CR, LF, mark.byte])?;
        let (part, rest) = bytes.split_at_checked(at)?;
        let (found, rest) = rest.split_first()?;
        if *found != mark.byte || mark.counts(&self.line, part) {
            return Some(at);
        }
        self.marks = false;
        Some(at.wrapping_add(1).wrapping_add(find(rest, [CR, LF])?))
    }

    fn read_overflow<'f>(&mut self, input: &mut &[u8], before: u32) -> Option<Frame<'f>> {
        let (more, ended) = skip_line(input);
        let length = before.saturating_add(more);
        if !ended {
            self.state = State::Overflow(length);
            return None;
        }
        self.begin_line();
        Some(Frame::Overflow(length))
    }

    /// Keeps `part`; `false` if it does not fit. Where data may follow in the
    /// line, room is made in its middle.
    #[inline]
    fn append(&mut self, part: &[u8]) -> bool {
        self.line.extend_from_slice(part).is_ok() || self.append_clipping(part)
    }

    #[cold]
    #[inline(never)]
    fn append_clipping(&mut self, part: &[u8]) -> bool {
        let counts = self.mark.counts(&self.line, part);
        if !self.marks || !counts {
            return false;
        }
        let mut rest = part;
        while !rest.is_empty() {
            if self.line.is_full() {
                self.clip();
            }
            let room = N.saturating_sub(self.line.len());
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            let _ = self.line.extend_from_slice(now);
            rest = later;
        }
        true
    }

    /// Drops the second quarter of a full buffer. Quarter by quarter, which
    /// needs no memory to be moved over itself.
    fn clip(&mut self) {
        let quarter = N / 4;
        let from = N.saturating_sub(quarter.saturating_mul(3));
        for to in [from, from.wrapping_add(quarter)] {
            let at = to.wrapping_add(quarter);
            let Some((before, after)) = self.line.split_at_mut_checked(at) else { return };
            let gap = before.get_mut(to..).unwrap_or_default();
            gap.iter_mut().zip(after).for_each(|(gap, byte)| *gap = *byte);
        }
        self.line.truncate(N.saturating_sub(quarter));
        self.clipped = self.clipped.saturating_add(u32::try_from(quarter).unwrap_or(u32::MAX));
    }

    /// How long the line is with `part`.
    fn length(&self, part: &[u8]) -> u32 {
        let kept = self.line.len().wrapping_add(part.len());
        self.clipped.saturating_add(u32::try_from(kept).unwrap_or(u32::MAX))
    }
}

/// Skips to the end of the line or of `input`: how many bytes of the line
/// these were, and whether it ended.
fn skip_line(input: &mut &[u8]) -> (u32, bool) {
    let bytes = *input;
    let end = find(bytes, [CR, LF]);
    let skipped = end.unwrap_or(bytes.len());
    *input = bytes.get(skipped..).unwrap_or_default();
    (u32::try_from(skipped).unwrap_or(u32::MAX), end.is_some())
}

/// The bytes of `input` that belong to `left` bytes of data, and what is left.
fn take_data<'a>(input: &mut &'a [u8], left: u32) -> Option<(&'a [u8], u32)> {
    let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
    if wanted == 0 {
        return None;
    }
    let (data, rest) = input.split_at_checked(wanted)?;
    *input = rest;
    Some((data, left.saturating_sub(u32::try_from(wanted).unwrap_or(u32::MAX))))
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// What a framer says of `bytes` read in pieces of `sizes`, with data
    /// joined. A line `D<n>` announces n bytes after its end, `I<n>"` at its
    /// mark, and the prompt is awaited throughout.
    fn frames(bytes: &[u8], sizes: &[usize]) -> Vec<(char, Vec<u8>)> {
        let mut framer = Framer::<16>::new(&Mark { byte: b'"', lines: &[b"I"] }, b'>');
        let mut said: Vec<(char, Vec<u8>)> = Vec::new();
        let mut rest = bytes;
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (mut piece, later) = rest.split_at((*size).clamp(1, rest.len()));
            rest = later;
            loop {
                let mut announce = None;
                match framer.next(&mut piece, || true) {
                    None => break,
                    Some(Frame::Line(line)) => {
                        said.push(('L', line.to_vec()));
                        announce = count(b'D', line).map(|n| (false, n));
                    }
                    Some(Frame::Marked(line) | Frame::Clipped(line)) => {
                        announce = count(b'I', line.split_last().unwrap().1).map(|n| (true, n));
                    }
                    Some(Frame::Prompt) => said.push(('P', Vec::new())),
                    Some(Frame::Overflow(n)) => said.push(('O', n.to_le_bytes().to_vec())),
                    Some(Frame::Data(data)) => match said.last_mut() {
                        Some(('d', kept)) => kept.extend_from_slice(data),
                        _ => said.push(('d', data.to_vec())),
                    },
                }
                match announce {
                    Some((false, n)) => framer.expect_data(n),
                    Some((true, n)) => {
                        framer.expect_inline(n);
                        said.push(('I', Vec::new()));
                    }
                    None => {}
                }
            }
        }
        said
    }

    fn count(letter: u8, line: &[u8]) -> Option<u32> {
        let (first, digits) = line.split_first()?;
        (*first == letter).then(|| core::str::from_utf8(digits).ok()?.parse().ok())?
    }

    fn said(kind: char, text: &str) -> (char, Vec<u8>) {
        (kind, text.as_bytes().to_vec())
    }

    #[test]
    fn any_line_end_ends_a_line_and_empty_lines_do_not_exist() {
        let expected = [said('L', "AT"), said('L', "OK"), said('L', "a"), said('L', "b")];
        assert_eq!(frames(b"AT\r\r\nOK\r\n\n\r\0\0a\nb\r", &[64]), expected);
    }

    #[test]
    fn data_begins_after_one_line_end_and_is_never_scanned() {
        let expected = [said('L', "D6"), said('d', "\n\r\nOK\r"), said('L', "x")];
        assert_eq!(frames(b"D6\r\n\n\r\nOK\r\r\nx\r\n", &[64]), expected);
        assert_eq!(frames(b"D2\r12\r\n", &[1]), [said('L', "D2"), said('d', "12")]);
        assert_eq!(frames(b"D0\r\nOK\r\n", &[64]), [said('L', "D0"), said('L', "OK")]);
        assert_eq!(frames(b"D2\n\n1\r\n", &[1]), [said('L', "D2"), said('d', "\n1")]);
    }

    #[test]
    fn data_at_a_mark_hides_what_follows_them_in_the_line() {
        let expected = [said('I', ""), said('d', "\"\r\n"), said('L', "OK")];
        assert_eq!(frames(b"I3\"\"\r\n\"\r\nOK\r\n", &[64]), expected);
        assert_eq!(frames(b"I0\"\"\r\nOK\r\n", &[64]), [said('I', ""), said('L', "OK")]);
    }

    #[test]
    fn a_prompt_is_one_only_at_the_start_of_a_line() {
        let expected = [said('L', "a>"), said('P', ""), said('L', "OK")];
        assert_eq!(frames(b"a>\r\n> \r\nOK\r\n", &[64]), expected);
        assert_eq!(frames(b" > \r\n OK\r\n", &[64]), [said('L', " > "), said('L', " OK")]);
        let data = [said('L', "D1"), said('d', ">")];
        assert_eq!(frames(b"D1\r\n>\r\n", &[64]), data);
    }

    #[test]
    fn a_prompt_that_is_not_awaited_is_text() {
        let mut framer = Framer::<16>::new(&Mark::NONE, b'>');
        let mut input: &[u8] = b">\r\n";
        assert_eq!(framer.next(&mut input, || false), Some(Frame::Line(b">")));
    }

    #[test]
    fn an_overlong_line_is_swallowed_to_its_real_end() {
        let mut bytes = std::vec![b'x'; 1000];
        bytes.extend_from_slice(b"OK\r\nOK\r\n");
        let expected = [('O', 1002_u32.to_le_bytes().to_vec()), said('L', "OK")];
        for size in [1, 7, 16, 17, 2000] {
            assert_eq!(frames(&bytes, &[size]), expected, "{size}");
        }
    }

    proptest! {
        #[test]
        fn the_split_of_the_bytes_changes_nothing(
            bytes in proptest::collection::vec(
                prop_oneof![
                    Just(b'\r'), Just(b'\n'), Just(b'>'), Just(b'"'), Just(b'D'), Just(b'I'),
                    Just(b' '), Just(0), b'0'..=b'9', any::<u8>(),
                ],
                0..200,
            ),
            sizes in proptest::collection::vec(1_usize..40, 1..20),
        ) {
            let whole = frames(&bytes, &[bytes.len().max(1)]);
            prop_assert_eq!(&whole, &frames(&bytes, &[1]));
            prop_assert_eq!(&whole, &frames(&bytes, &sizes));
        }
    }

    /// Reads all of `input`; the last that it gave.
    fn read<const N: usize>(framer: &mut Framer<N>, mut input: &[u8]) -> Option<Vec<u8>> {
        let mut last = None;
        while let Some(frame) = framer.next(&mut input, || false) {
            last = match frame {
                Frame::Line(line) | Frame::Marked(line) | Frame::Clipped(line) => {
                    Some(line.to_vec())
                }
                Frame::Data(data) => Some(data.to_vec()),
                Frame::Prompt | Frame::Overflow(_) => None,
            };
        }
        last
    }

    #[test]
    fn what_comes_back_while_it_is_sent_is_data() {
        let mut framer = Framer::<16>::new(&Mark::NONE, b'>');
        read(&mut framer, b"AT+X\r");
        framer.expect_echo(4);
        assert_eq!(framer.data_left(), 4);
        assert_eq!(read(&mut framer, b"\nOK\r"), Some(b"\nOK\r".to_vec()));
        assert_eq!(read(&mut framer, b"\r\nOK\r\n"), Some(b"OK".to_vec()));
    }

    #[test]
    fn an_unended_line_can_be_seen_and_given_up() {
        let mut framer = Framer::<16>::new(&Mark::NONE, b'>');
        assert!(!framer.is_in_line() && framer.partial_line().is_empty());
        for line in [b"OK\r\n".as_slice(), b"O", b"K\r\n"] {
            read(&mut framer, line);
        }
        assert!(!framer.is_in_line() && framer.partial_line().is_empty());
        for piece in [b"CONN".as_slice(), b"ECT"] {
            read(&mut framer, piece);
        }
        assert!(framer.is_in_line());
        assert_eq!(framer.partial_line(), b"CONNECT");
        framer.forget();
        assert!(!framer.is_in_line() && framer.partial_line().is_empty());
        assert_eq!(read(&mut framer, b"OK\r\n"), Some(b"OK".to_vec()));
        framer.expect_data(10);
        read(&mut framer, b"abc");
        assert_eq!((framer.data_left(), framer.is_in_line()), (7, false));
        framer.forget();
        assert_eq!(framer.data_left(), 0);
        assert_eq!(read(&mut framer, b"OK\r\n"), Some(b"OK".to_vec()));
    }

    /// Else its rest would be a line of its own.
    #[test]
    fn a_line_that_is_too_long_is_not_given_up_before_its_end() {
        let mut framer = Framer::<16>::new(&Mark::NONE, b'>');
        read(&mut framer, &[b'x'; 40]);
        assert!(framer.is_in_line() && framer.partial_line().is_empty());
        framer.forget();
        let mut input: &[u8] = b"OK\r\nOK\r\n";
        assert_eq!(framer.next(&mut input, || false), Some(Frame::Overflow(42)));
        assert_eq!(framer.next(&mut input, || false), Some(Frame::Line(b"OK")));
    }

    #[test]
    fn a_mark_counts_only_in_lines_that_begin_as_told() {
        const MARK: Mark = Mark { byte: b',', lines: &[b"+MSUB:", b"+LONG NAME:"] };
        for (line, marked) in [
            ("+MSUB:a,", true),
            ("+MSUB:,", true),
            ("+LONG NAME: a,", true),
            ("+MSUX:a,", false),
            ("+MSU,", false),
            ("+MSUB,", false),
            ("+LONG NAMES: a,", false),
            ("a,", false),
        ] {
            for size in 1..=line.len() {
                let mut framer = Framer::<16>::new(&MARK, b'>');
                let mut found = false;
                for mut piece in line.as_bytes().chunks(size) {
                    while let Some(frame) = framer.next(&mut piece, || false) {
                        found |= frame == Frame::Marked(line.as_bytes());
                    }
                }
                assert_eq!(found, marked, "{line} {size}");
                assert_eq!(read(&mut framer, b"b\r\nOK\r\n"), Some(b"OK".to_vec()));
            }
        }
    }

    #[test]
    fn a_line_that_has_ended_is_no_piece_of_one() {
        let mut framer = Framer::<16>::new(&Mark::NONE, b'>');
        for (bytes, piece) in [(&b"OK"[..], &b"OK"[..]), (b"\r", b""), (b"\n", b""), (b"A", b"A")] {
            read(&mut framer, bytes);
            assert_eq!(framer.partial_line(), piece);
        }
        framer.expect_data(1);
        assert_eq!(framer.partial_line(), b"");
    }

    #[test]
    fn how_full_a_framer_is_may_be_shown_and_what_it_holds_not() {
        let mut framer = Framer::<16>::new(&Mark::NONE, b'>');
        read(&mut framer, b"s3cret");
        assert_eq!(std::format!("{framer:?}"), "Framer { length: 6, state: Line, .. }");
    }
}
