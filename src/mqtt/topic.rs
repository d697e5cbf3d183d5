//! Topics, topic filters and client identifiers (MQTT 3.1.1, sections 4.7 and
//! 3.1.3.1). None can be built wrong.

use super::{Field, FieldError, Problem, QoS, check_filled, check_text};

/// The longest string that MQTT can carry, in bytes (MQTT 3.1.1, 1.5.3).
const LONGEST: usize = 65_535;

/// The topic of one message: not empty, no wildcard, no byte that could leave
/// its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Topic<'a>(&'a str);

impl<'a> Topic<'a> {
    /// This text, if it is a topic.
    ///
    /// # Errors
    /// [`FieldError`] if `topic` is empty, longer than 65,535 bytes, has a
    /// wildcard, a control byte or a double quote.
    pub const fn new(topic: &'a str) -> Result<Self, FieldError> {
        Self::for_field(Field::Topic, topic)
    }

    pub(crate) const fn for_field(field: Field, topic: &'a str) -> Result<Self, FieldError> {
        if let Err(error) = check_filled(field, topic, LONGEST) {
            return Err(error);
        }
        let mut rest = topic.as_bytes();
        while let [byte, tail @ ..] = rest {
            if matches!(*byte, b'+' | b'#') {
                return Err(FieldError { field, problem: Problem::Wildcard });
            }
            rest = tail;
        }
        Ok(Self(topic))
    }

    /// The topic as text.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

/// A topic filter: `+` fills one level, `#` the rest and stands last
/// (MQTT 3.1.1, 4.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicFilter<'a>(&'a str);

impl<'a> TopicFilter<'a> {
    /// This text, if it is a filter.
    ///
    /// # Errors
    /// [`FieldError`] if `filter` is empty, longer than 65,535 bytes, has a
    /// misplaced wildcard, a control byte or a double quote.
    pub const fn new(filter: &'a str) -> Result<Self, FieldError> {
        if let Err(error) = check_filled(Field::TopicFilter, filter, LONGEST) {
            return Err(error);
        }
        let mut at_start = true;
        let mut rest = filter.as_bytes();
        while let [byte, tail @ ..] = rest {
            let fills_level = at_start && matches!(tail, [] | [b'/', ..]);
            let misplaced = match *byte {
                b'+' => !fills_level,
                b'#' => !at_start || !tail.is_empty(),
                _ => false,
            };
            if misplaced {
                let problem = Problem::BadWildcard;
                return Err(FieldError { field: Field::TopicFilter, problem });
            }
            at_start = *byte == b'/';
            rest = tail;
        }
        Ok(Self(filter))
    }

    /// The filter as text.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }

    /// Whether a message on `topic` passes this filter. A filter that begins
    /// with a wildcard does not match topics that begin with `$`
    /// (MQTT 3.1.1, 4.7.2).
    #[must_use]
    pub fn matches(&self, topic: &[u8]) -> bool {
        if topic.first() == Some(&b'$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let mut levels = topic.split(|b| *b == b'/');
        for wanted in self.0.as_bytes().split(|b| *b == b'/') {
            if wanted == b"#" {
                return true;
            }
            match levels.next() {
                Some(level) if wanted == b"+" || wanted == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }
}

/// The identifier of a client, up to the modem's own limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId<'a>(&'a str);

impl<'a> ClientId<'a> {
    /// This text, if it is an identifier; it may be empty, which the modem's
    /// limits may forbid.
    ///
    /// # Errors
    /// [`FieldError`] if `id` is longer than 65,535 bytes or has a control
    /// byte or a double quote.
    pub const fn new(id: &'a str) -> Result<Self, FieldError> {
        match check_text(Field::ClientId, id, LONGEST) {
            Ok(()) => Ok(Self(id)),
            Err(error) => Err(error),
        }
    }

    /// The identifier as text.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

/// One filter of a SUBSCRIBE and the highest QoS wanted for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// What to receive.
    pub filter: TopicFilter<'a>,
    /// The highest quality of service to receive it with.
    pub qos: QoS,
}

impl<'a> Subscription<'a> {
    /// This filter with this QoS.
    ///
    /// # Errors
    /// As [`TopicFilter::new`].
    pub const fn new(filter: &'a str, qos: QoS) -> Result<Self, FieldError> {
        match TopicFilter::new(filter) {
            Ok(filter) => Ok(Self { filter, qos }),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // MQTT 3.1.1, sections 4.7.1.2, 4.7.1.3 and 4.7.2.
    const MATCHES: &[(&str, &str, bool)] = &[
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/#", "sport", true),
        ("#", "any/thing", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("#", "$SYS/uptime", false),
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("$SYS/#", "$SYS/uptime", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ("a/b", "a/b/c", false),
        ("a/b/c", "a/b", false),
        ("A", "a", false),
    ];

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic, expected) in MATCHES {
            let filter = TopicFilter::new(filter).unwrap();
            assert_eq!(filter.matches(topic.as_bytes()), *expected, "{filter:?} {topic}");
        }
    }

    #[test]
    fn wildcards_must_fill_their_level() {
        for filter in ["sport+", "sport/tennis#", "sport/tennis/#/ranking", "a/+b/c", "##", "++"] {
            let problem = TopicFilter::new(filter).unwrap_err().problem;
            assert_eq!(problem, Problem::BadWildcard, "{filter}");
        }
        for filter in ["+", "#", "+/tennis/#", "sport/+/player1", "/", "//"] {
            assert!(TopicFilter::new(filter).is_ok(), "{filter}");
        }
    }

    #[test]
    fn a_topic_has_no_wildcard_and_nothing_that_leaves_its_field() {
        assert_eq!(Topic::new("").unwrap_err().problem, Problem::Empty);
        for topic in ["a/+", "#"] {
            assert_eq!(Topic::new(topic).unwrap_err().problem, Problem::Wildcard);
        }
        for (topic, byte) in [
            ("a\r", b'\r'),
            ("a\nb", b'\n'),
            ("\0", 0),
            ("\"", b'"'),
            ("a\x1a", 0x1a),
            ("\x1b", 0x1b),
            ("\x7f", 0x7f),
        ] {
            assert_eq!(Topic::new(topic).unwrap_err().problem, Problem::Forbidden(byte));
        }
        assert!(Topic::new("größe/°C").is_ok());
        // A space is a character like others (MQTT 3.1.1, 4.7.3).
        assert!(Topic::new("living room/lamp").is_ok());
        let long = "x".repeat(65_536);
        assert!(Topic::new(&long[1..]).is_ok());
        let too_long = Problem::TooLong { max: 65_535, actual: 65_536 };
        assert_eq!(Topic::new(&long).unwrap_err().problem, too_long);
    }
}
