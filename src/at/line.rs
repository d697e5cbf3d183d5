//! The grammar of one finished line: final results, the line's name, its
//! fields (ITU-T V.250, 5.7; 3GPP TS 27.007, 4.1).
//!
//! It knows no vendor: what a name means is the dialect's to say. Parsers are
//! nom's, on complete lines only.

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{tag, take_till},
    character::complete::char,
};

use super::scan::find;
use crate::WIDE;

/// Why a command ended without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure<'a> {
    /// `ERROR`.
    Error,
    /// `+CME ERROR: n`.
    Cme(i32),
    /// `+CME ERROR: text`.
    CmeText(&'a [u8]),
    /// `+CMS ERROR: n`.
    Cms(i32),
    /// `+CMS ERROR: text`.
    CmsText(&'a [u8]),
    /// `NO CARRIER` and its like.
    Call(&'a [u8]),
}

/// A final result: it ends a command. `Ok(())` is `OK`.
pub type Final<'a> = Result<(), Failure<'a>>;

/// Reads a whole line as a final result.
#[must_use]
#[inline]
pub fn final_result(line: &[u8]) -> Option<Final<'_>> {
    match line {
        b"OK" => Some(Ok(())),
        b"ERROR" => Some(Err(Failure::Error)),
        [b'+', b'C', b'M', b'E' | b'S', ..] | [b'N' | b'B', ..] => rare_result(line),
        _ => None,
    }
}

#[inline(never)]
fn rare_result(line: &[u8]) -> Option<Final<'_>> {
    if CALL_RESULTS.contains(&line) {
        return Some(Err(Failure::Call(line)));
    }
    extended_error(line).ok().map(|(_, failure)| Err(failure))
}

/// V.250, 5.7.1; a call is not MQTT, but whoever dials must see it end.
const CALL_RESULTS: [&[u8]; 4] = [b"NO CARRIER", b"BUSY", b"NO ANSWER", b"NO DIALTONE"];

fn extended_error(line: &[u8]) -> IResult<&[u8], Failure<'_>> {
    let (text, kind) = alt((tag("+CME ERROR:"), tag("+CMS ERROR:"))).parse(line)?;
    let text = text.trim_ascii();
    let cms = kind == b"+CMS ERROR:";
    let failure = match (signed(text), cms) {
        (Some(n), false) => Failure::Cme(n),
        (Some(n), true) => Failure::Cms(n),
        (None, false) => Failure::CmeText(text),
        (None, true) => Failure::CmsText(text),
    };
    Ok((&[], failure))
}

/// A line as `NAME: field,field`. A line without a colon is all name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Up to the first colon, without it.
    pub name: &'a [u8],
    /// The whole line.
    pub raw: &'a [u8],
    args: Option<&'a [u8]>,
}

impl<'a> Line<'a> {
    /// Splits the name from the rest.
    #[must_use]
    pub fn parse(raw: &'a [u8]) -> Self {
        match find(raw, [b':']).and_then(|at| raw.split_at_checked(at)) {
            Some((name, args)) => Self { name, raw, args: args.get(1..) },
            None => Self { name: raw, raw, args: None },
        }
    }

    /// What follows the colon, without blanks around it; empty if no colon.
    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        self.args.unwrap_or_default().trim_ascii()
    }

    /// The fields after the colon: none if there is no colon.
    #[must_use]
    pub fn fields(&self) -> Fields<'a> {
        Fields { rest: self.args }
    }
}

/// One field of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Between double quotes, which are taken off.
    Quoted(&'a [u8]),
    /// Without quotes and without blanks around it; may be empty.
    Bare(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The bytes, quoted or not.
    #[must_use]
    pub const fn bytes(self) -> &'a [u8] {
        match self {
            Self::Quoted(bytes) | Self::Bare(bytes) => bytes,
        }
    }

    /// The value of a bare decimal number that fits.
    #[must_use]
    pub fn signed(self) -> Option<i32> {
        match self {
            Self::Bare(text) => signed(text),
            Self::Quoted(_) => None,
        }
    }

    /// The value of a bare decimal number without a sign that fits.
    #[must_use]
    pub fn unsigned(self) -> Option<u32> {
        match self {
            Self::Bare(text) => unsigned(text),
            Self::Quoted(_) => None,
        }
    }
}

/// The fields of a line, from left to right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    /// The next field as an unsigned number; `None` if it is none.
    pub fn unsigned(&mut self) -> Option<u32> {
        if !WIDE {
            return self.next()?.unsigned();
        }
        let (number, rest) = digits(skip_blanks(self.rest?));
        self.rest = match rest {
            [] => None,
            [b',', more @ ..] => Some(more),
            // Quoted, with blanks behind, or no number at all.
            _ => return self.next()?.unsigned(),
        };
        number
    }

    /// The next field as a signed number; `None` if it is none.
    pub fn signed(&mut self) -> Option<i32> {
        self.next()?.signed()
    }

    /// The next field as an index below 256; `None` if it is none.
    pub fn index(&mut self) -> Option<u8> {
        u8::try_from(self.unsigned()?).ok()
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let (after, value) = field(self.rest?).ok()?;
        self.rest = after.split_first().map(|(_comma, rest)| rest);
        Some(value)
    }
}

/// One field with the blanks around it; what is left is empty or begins with
/// the comma.
fn field(input: &[u8]) -> IResult<&[u8], Value<'_>> {
    let input = skip_blanks(input);
    match input {
        [b'"', ..] => alt((quoted, bare)).parse(input),
        _ => bare(input),
    }
}

fn skip_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = text {
        text = rest;
    }
    text
}

/// A quote inside is content unless a comma or the end follows it: modems do
/// not escape them.
fn quoted(input: &[u8]) -> IResult<&[u8], Value<'_>> {
    let (content, _) = char('"').parse(input)?;
    let mut from = 0_usize;
    loop {
        let Some(quote) = content.get(from..).and_then(|c| c.iter().position(|b| *b == b'"'))
        else {
            let kind = nom::error::ErrorKind::Char;
            return Err(nom::Err::Error(nom::error::Error::new(input, kind)));
        };
        let quote = from.saturating_add(quote);
        from = quote.saturating_add(1);
        let after = content.get(from..).unwrap_or_default().trim_ascii_start();
        if matches!(after.first(), None | Some(b',')) {
            return Ok((after, Value::Quoted(content.get(..quote).unwrap_or_default())));
        }
    }
}

fn bare(input: &[u8]) -> IResult<&[u8], Value<'_>> {
    let (after, text) = take_till(|b| b == b',').parse(input)?;
    Ok((after, Value::Bare(text.trim_ascii())))
}

/// Whether `part` stands somewhere in `text`.
#[must_use]
pub fn contains(text: &[u8], part: &[u8]) -> bool {
    (0..text.len()).any(|at| text.get(at..).is_some_and(|rest| rest.starts_with(part)))
}

/// All of `text` as a decimal number without a sign, if it is one that fits.
#[must_use]
pub fn unsigned(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    // Not by `digits`: made for size, that takes more instructions.
    text.iter().try_fold(0_u32, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u32::from(digit))
    })
}

/// The number that `text` begins with, if there is one and it fits, and what
/// follows its digits.
#[inline]
fn digits(text: &[u8]) -> (Option<u32>, &[u8]) {
    let mut rest = text;
    let mut number = text.first().is_some_and(u8::is_ascii_digit).then_some(0_u32);
    while let [byte @ b'0'..=b'9', more @ ..] = rest {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        number = number.and_then(|number| number.checked_mul(10)?.checked_add(digit));
        rest = more;
    }
    (number, rest)
}

/// All of `text` as a decimal number.
fn signed(text: &[u8]) -> Option<i32> {
    match text.strip_prefix(b"-") {
        Some(digits) => 0_i32.checked_sub_unsigned(unsigned(digits)?),
        None => i32::try_from(unsigned(text)?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_final_result_is_a_whole_line() {
        assert_eq!(final_result(b"OK"), Some(Ok(())));
        assert_eq!(final_result(b"ERROR"), Some(Err(Failure::Error)));
        assert_eq!(final_result(b"+CME ERROR: 313"), Some(Err(Failure::Cme(313))));
        let busy = Failure::CmeText(b"SIM busy");
        assert_eq!(final_result(b"+CME ERROR: SIM busy"), Some(Err(busy)));
        assert_eq!(final_result(b"+CMS ERROR: 332"), Some(Err(Failure::Cms(332))));
        for line in ["CONNECT OK", "OKAY", "ERROR 1", "OK ", "GO OK", "+CME", "NO CARRIERS", ""] {
            assert_eq!(final_result(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn numbers_are_whole_fields_that_fit() {
        let line = Line::parse(b"+N: 4294967295,4294967296,-2147483648,-2147483649,1x,,\"7\", 8 ");
        let fields: Vec<_> = line.fields().collect();
        let unsigned: Vec<_> = fields.iter().map(|f| f.unsigned()).collect();
        let signed: Vec<_> = fields.iter().map(|f| f.signed()).collect();
        assert_eq!(unsigned, [Some(u32::MAX), None, None, None, None, None, None, Some(8)]);
        assert_eq!(signed, [None, None, Some(i32::MIN), None, None, None, None, Some(8)]);
    }

    #[test]
    fn quotes_and_commas_inside_quotes_are_content() {
        let line = Line::parse(b"+X: \"a,b\" ,\"say \"hi\" now\",\"open");
        let fields: Vec<_> = line.fields().map(Value::bytes).collect();
        assert_eq!(fields, [b"a,b".as_slice(), b"say \"hi\" now", b"\"open"]);
    }
}
