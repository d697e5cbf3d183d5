//! One line of the host, taken apart: verb, target and body, and how the body is written. Knows
//! the grammar of JSPR and no resource.

/// What the host wants with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Put,
}

/// A line that parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub verb: Verb,
    pub target: &'a str,
    /// As written; an object has not been looked for yet.
    pub body: &'a str,
}

/// Longest target.
const TARGET: usize = 30;

/// Takes a line apart, without its CR; none if it is malformed.
pub(super) fn parse(line: &[u8]) -> Option<Request<'_>> {
    let line = std::str::from_utf8(line).ok()?;
    let (verb, rest) = line.split_once(' ')?;
    let (target, body) = rest.split_once(' ')?;
    let verb = match verb {
        "GET" => Verb::Get,
        "PUT" => Verb::Put,
        _ => return None,
    };
    let named = (1..=TARGET).contains(&target.len())
        && target.bytes().all(|byte| byte.is_ascii_alphabetic());
    (named && !body.is_empty()).then_some(Request { verb, target, body })
}

/// Whether a body lacks the blanks that the modem wants: one behind each comma, and at least one
/// at all. What it says of `": "` is not known exactly; the vendor's library writes `":` before
/// numbers and `": ` before everything else, and that works.
pub(super) fn is_compact(body: &str) -> bool {
    let mut in_string = false;
    let (mut colon, mut blank) = (false, false);
    let mut bytes = body.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => drop(bytes.next()),
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b',' if !bytes.peek().is_some_and(u8::is_ascii_whitespace) => return true,
            b':' => colon = true,
            _ => blank |= byte.is_ascii_whitespace(),
        }
    }
    colon && !blank
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let request = |verb, target, body| Some(Request { verb, target, body });
        assert_eq!(parse(b"GET hwInfo {}"), request(Verb::Get, "hwInfo", "{}"));
        assert_eq!(
            parse(b"PUT simConfig {\"interface\": \"internal\"}"),
            request(Verb::Put, "simConfig", "{\"interface\": \"internal\"}")
        );
        for wrong in [
            &b""[..],
            b"AT",
            b"GET",
            b"GET hwInfo",
            b"GET hwInfo ",
            b"GET  {}",
            b"get hwInfo {}",
            b"POST hwInfo {}",
            b"\nGET hwInfo {}",
            b"GET hw_info {}",
            b"GET abcdefghijabcdefghijabcdefghija {}",
            b"GET hwInfo {\"\xff\": 1}",
        ] {
            assert_eq!(parse(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    /// Who writes how. Compact JSON was refused with 407 (log of MeshSat).
    #[test]
    fn spacing() {
        for (body, compact) in [
            // The vendor's library.
            (r#"{"topic_id":244, "message_length":12, "request_reference":1}"#, false),
            (r#"{"active_version": {"major": 1, "minor": 5, "patch": 5}}"#, false),
            // MeshSat.
            (r#"{"topic_id": 244, "message_id": 23, "action": "cancel"}"#, false),
            ("{}", false),
            // Refused with 407.
            (r#"{"topic_id":244,"message_length":12,"request_reference":1}"#, true),
            (r#"{"interface":"internal"}"#, true),
            // Blanks in strings are none.
            (r#"{"interface":"in \" te,rnal"}"#, true),
            (r#"{"interface": "in,te:rnal"}"#, false),
        ] {
            assert_eq!(is_compact(body), compact, "{body}");
        }
    }
}
