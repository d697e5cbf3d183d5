//! One command line of the host, taken apart: name, form and arguments. Knows the grammar of AT
//! commands and no command; whatever does not parse is answered by `ERROR` elsewhere.

use std::ops::RangeInclusive;

/// A command line that parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// In upper case: `+CSQ`, `E0`, `I`, or nothing for a bare `AT`.
    pub name: String,
    pub form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// `AT+X`
    Execute,
    /// `AT+X?`
    Read,
    /// `AT+X=?`
    Test,
    /// `AT+X=a,b`
    Set(Arguments),
}

/// The arguments of a set command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments(Vec<Argument>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Argument {
    Bare(Vec<u8>),
    Quoted(Vec<u8>),
}

impl Arguments {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// A number in the range; none if it is missing, not a number or out of range.
    pub fn number(&self, at: usize, range: RangeInclusive<u32>) -> Option<u32> {
        match self.0.get(at)? {
            Argument::Bare(text) => std::str::from_utf8(text).ok()?.parse().ok(),
            Argument::Quoted(_) => None,
        }
        .filter(|number| range.contains(number))
    }

    /// A number that may be left out.
    pub fn number_or(&self, at: usize, default: u32, range: RangeInclusive<u32>) -> Option<u32> {
        if at < self.0.len() { self.number(at, range) } else { Some(default) }
    }

    /// A quoted string.
    pub fn quoted(&self, at: usize) -> Option<&[u8]> {
        match self.0.get(at)? {
            Argument::Quoted(text) => Some(text),
            Argument::Bare(_) => None,
        }
    }

    /// A quoted string as text.
    pub fn text(&self, at: usize) -> Option<&str> {
        std::str::from_utf8(self.quoted(at)?).ok()
    }

    /// A string, quoted or not. Without quotes it cannot be empty.
    pub fn word(&self, at: usize) -> Option<&[u8]> {
        match self.0.get(at)? {
            Argument::Quoted(text) => Some(text),
            Argument::Bare(text) => Some(&text[..]).filter(|text| !text.is_empty()),
        }
    }

    /// A number in the range, quoted or not.
    pub fn loose_number(&self, at: usize, range: RangeInclusive<u32>) -> Option<u32> {
        let number = std::str::from_utf8(self.word(at)?).ok()?.parse().ok()?;
        range.contains(&number).then_some(number)
    }

    /// Whether an argument is there but empty, as behind the comma of `AT+X=1,`.
    pub fn is_blank(&self, at: usize) -> bool {
        matches!(self.0.get(at), Some(Argument::Bare(text)) if text.is_empty())
    }

    /// Everything as one line, as the host wrote it.
    pub fn raw(&self) -> String {
        let field = |argument: &Argument| match argument {
            Argument::Bare(text) => String::from_utf8_lossy(text).into_owned(),
            Argument::Quoted(text) => format!("\"{}\"", String::from_utf8_lossy(text)),
        };
        self.0.iter().map(field).collect::<Vec<_>>().join(",")
    }
}

/// Takes a line apart, without its CR. A line that does not begin with AT is no command at all.
pub(crate) fn is_command(line: &[u8]) -> bool {
    line.len() >= 2 && line[..2].eq_ignore_ascii_case(b"AT")
}

/// Takes a line that begins with AT apart; none if it cannot be a command. Several commands on
/// one line are not supported and do not parse.
pub(crate) fn parse(line: &[u8]) -> Option<Command> {
    let rest = &line[2..];
    let end = rest.iter().position(|b| matches!(b, b'=' | b'?')).unwrap_or(rest.len());
    let (name, tail) = rest.split_at(end);
    let name = std::str::from_utf8(name).ok()?.to_ascii_uppercase();
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'&')) {
        return None;
    }
    let form = match tail {
        b"" => Form::Execute,
        b"?" => Form::Read,
        b"=?" => Form::Test,
        [b'=', arguments @ ..] => Form::Set(Arguments(split(arguments)?)),
        _ => return None,
    };
    Some(Command { name, form })
}

fn split(mut text: &[u8]) -> Option<Vec<Argument>> {
    let mut arguments = Vec::new();
    loop {
        let (argument, rest) = match text {
            [b'"', rest @ ..] => {
                let end = rest.iter().position(|b| *b == b'"')?;
                (Argument::Quoted(rest[..end].to_vec()), &rest[end + 1..])
            }
            _ => {
                let end = text.iter().position(|b| *b == b',').unwrap_or(text.len());
                if text[..end].iter().any(|b| matches!(b, b'"' | b';')) {
                    return None;
                }
                (Argument::Bare(text[..end].trim_ascii().to_vec()), &text[end..])
            }
        };
        arguments.push(argument);
        match rest {
            [] => return Some(arguments),
            [b',', rest @ ..] => text = rest,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let form = |line: &[u8]| parse(line).map(|command| (command.name, command.form));
        assert_eq!(form(b"AT"), Some((String::new(), Form::Execute)));
        assert_eq!(form(b"ate0"), Some(("E0".into(), Form::Execute)));
        assert_eq!(form(b"AT+CREG?"), Some(("+CREG".into(), Form::Read)));
        assert_eq!(form(b"AT+cmqttpub=?"), Some(("+CMQTTPUB".into(), Form::Test)));
        for wrong in
            [&b"AT+CSQ;+CREG?"[..], b"AT+X=\"a", b"AT+X=\"a\"b", b"AT+X=1;+Y=2", b"AT+\xff"]
        {
            assert_eq!(form(wrong), None);
        }
    }

    #[test]
    fn arguments() {
        let Some(Command { form: Form::Set(arguments), .. }) = parse(b"AT+X=0,\"a,;b\",60,,1")
        else {
            panic!("a set command");
        };
        assert_eq!(arguments.len(), 5);
        assert_eq!(arguments.number(0, 0..=1), Some(0));
        assert_eq!(arguments.text(1), Some("a,;b"));
        assert_eq!(arguments.number(2, 0..=59), None);
        assert_eq!(arguments.number(3, 0..=9), None);
        assert_eq!(arguments.number_or(5, 7, 0..=9), Some(7));
        assert_eq!(arguments.raw(), "0,\"a,;b\",60,,1");
    }
}
