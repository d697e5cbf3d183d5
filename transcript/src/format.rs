//! The text format of a record: reading and printing.

use std::fmt::Write;

/// One line of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A comment, with its `#`.
    Comment(String),
    /// Bytes from host to modem.
    Host(Vec<u8>),
    /// Bytes from modem to host.
    Modem(Vec<u8>),
    /// So many milliseconds pass.
    Pause(u32),
    /// The host saw the end of a read here.
    Read,
    /// What the bytes up to here mean.
    Expected {
        /// One event, as JSON.
        json: String,
        /// A reasonable reader may disagree.
        doubtful: bool,
    },
}

/// Where and why a text is not in the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct FormatError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The line begins in no way that is known.
    #[error("begins with none of `# `, `> `, `< `, `~ `, `---`, `= `, `=? `")]
    Kind,
    /// A backslash is not followed by `r`, `n`, `t`, `\` or `x` and two digits.
    #[error("a backslash needs r, n, t, \\ or x and two lower-case hex digits")]
    Escape,
    /// A character that must be escaped.
    #[error("characters other than printable ASCII must be escaped")]
    Character,
    /// The pause is not a number of milliseconds.
    #[error("a pause is a number of milliseconds")]
    Pause,
}

/// Reads a record.
///
/// # Errors
/// If a line is not in the format.
pub fn parse(input: &str) -> Result<Vec<Item>, FormatError> {
    let lines = input.lines().enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(at, line)| item(line).map_err(|problem| FormatError { line: at + 1, problem }))
        .collect()
}

fn item(line: &str) -> Result<Item, Problem> {
    // An empty `> ` may have lost its blank.
    let after = |mark: &str| match line.strip_prefix(mark) {
        Some("") => Some(""),
        Some(rest) => rest.strip_prefix(' '),
        None => None,
    };
    if line.starts_with('#') {
        Ok(Item::Comment(line.to_owned()))
    } else if line == "---" {
        Ok(Item::Read)
    } else if let Some(text) = after(">") {
        bytes(text).map(Item::Host)
    } else if let Some(text) = after("<") {
        bytes(text).map(Item::Modem)
    } else if let Some(ms) = after("~") {
        ms.parse().map(Item::Pause).map_err(|_| Problem::Pause)
    } else if let Some(json) = after("=?") {
        Ok(Item::Expected { json: json.to_owned(), doubtful: true })
    } else if let Some(json) = after("=") {
        Ok(Item::Expected { json: json.to_owned(), doubtful: false })
    } else {
        Err(Problem::Kind)
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        out.push(match byte {
            b'\\' => escape(&mut rest).ok_or(Problem::Escape)?,
            b' '..=b'~' => byte,
            _ => return Err(Problem::Character),
        });
    }
    Ok(out)
}

fn escape(rest: &mut std::str::Bytes<'_>) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    match rest.next()? {
        b'r' => Some(b'\r'),
        b'n' => Some(b'\n'),
        b't' => Some(b'\t'),
        b'\\' => Some(b'\\'),
        b'x' => Some(digit(rest.next()?)? << 4 | digit(rest.next()?)?),
        _ => None,
    }
}

/// Prints a record, one item a line.
#[must_use]
pub fn print(items: &[Item]) -> String {
    let mut text = String::new();
    for item in items {
        match item {
            Item::Comment(comment) => text.push_str(comment),
            Item::Host(bytes) => text.push_str(&escaped("> ", bytes)),
            Item::Modem(bytes) => text.push_str(&escaped("< ", bytes)),
            Item::Pause(ms) => text.push_str(&format!("~ {ms}")),
            Item::Read => text.push_str("---"),
            Item::Expected { json, doubtful } => {
                text.push_str(if *doubtful { "=? " } else { "= " });
                text.push_str(json);
            }
        }
        text.push('\n');
    }
    text
}

fn escaped(mark: &str, bytes: &[u8]) -> String {
    let mut text = String::from(mark);
    let last = bytes.len().wrapping_sub(1);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b' ' if at == last => text.push_str("\\x20"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => {
                // Writing to a string does not fail.
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_prints_as_it_was() {
        let text = "# title\n# -- part\n> AT\\r\n~ 20\n< \\x024\\\\ \\x00\\xff\\t\\r\\n\n---\n\
                    < >\\x20\n= {\"a\":1}\n=? {\"b\":2}\n";
        let items = parse(text).unwrap();
        assert_eq!(items[4], Item::Modem(b"\x024\\ \0\xff\t\r\n".to_vec()));
        assert_eq!(print(&items), text);
    }

    #[test]
    fn a_line_that_is_not_in_the_format_is_named() {
        let rows = [
            ("? x", Problem::Kind),
            ("<x", Problem::Kind),
            ("< \\q", Problem::Escape),
            ("< \\xF0", Problem::Escape),
            ("< \\x1", Problem::Escape),
            ("< \u{e4}", Problem::Character),
            ("~ soon", Problem::Pause),
        ];
        for (text, problem) in rows {
            let error = parse(&format!("# t\n{text}\n")).unwrap_err();
            assert_eq!(error, FormatError { line: 2, problem }, "{text}");
        }
    }
}
