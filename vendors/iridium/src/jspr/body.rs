//! The JSON of the lines, as types: what each resource says, and nothing of
//! what follows from it. Fields that are not named here are skipped.

use core::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// How deep objects and arrays may nest; three are in use. What is skipped is
/// skipped by recursion, and the stack must not depend on the modem.
const DEPTH: u8 = 6;

/// Reads a body; `None` if it is not what it should be.
// Its frame is large for some types, and is not added up in the caller.
#[inline(never)]
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    if !is_shallow(body) {
        return None;
    }
    serde_json_core::from_slice(body).ok().map(|(value, _)| value)
}

fn is_shallow(body: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_u8, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth = depth.saturating_add(1),
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return false;
        }
    }
    true
}

/// A version of the API, or of the firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Version {
    pub major: u8,
    pub minor: u8,
    pub patch: u8,
}

/// The version that this driver was written for: that of the captures.
pub(super) const TESTED: Version = Version { major: 1, minor: 7, patch: 0 };

/// `apiVersion`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApiVersion {
    pub supported_versions: Supported,
    pub active_version: Option<Version>,
}

/// The best of a list of versions whose order is not stable.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Supported {
    /// The highest up to [`TESTED`].
    at_most: Option<Version>,
    /// The highest with the same major number.
    related: Option<Version>,
}

impl Supported {
    pub fn best(self) -> Option<Version> {
        self.at_most.or(self.related)
    }

    fn add(&mut self, version: Version) {
        if version <= TESTED {
            self.at_most = self.at_most.max(Some(version));
        }
        if version.major == TESTED.major {
            self.related = self.related.max(Some(version));
        }
    }
}

impl<'de> Deserialize<'de> for Supported {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Supported;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("versions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Supported, A::Error> {
                let mut supported = Supported::default();
                while let Some(version) = list.next_element()? {
                    supported.add(version);
                }
                Ok(supported)
            }
        }
        deserializer.deserialize_seq(Each)
    }
}

/// `operationalState`; the reason is missing in the answer to a PUT.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct OperationalState<'a> {
    pub state: &'a str,
    pub reason: Option<u8>,
}

/// `simStatus`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct SimStatus {
    pub card_present: bool,
    pub sim_connected: bool,
}

/// `constellationState`; the level is missing while nothing is visible.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct ConstellationState {
    pub constellation_visible: bool,
    pub signal_bars: u8,
    pub signal_level: Option<i16>,
}

/// `hwInfo`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct HwInfo<'a> {
    pub hw_version: &'a str,
    pub imei: &'a str,
}

/// `firmware` and `bootInfo`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Firmware {
    pub version: Version,
}

/// A provisioned topic.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Entry<'a> {
    pub topic_id: u16,
    pub topic_name: &'a str,
}

/// Reads `messageProvisioning`, whose topics are handed over one by one. `None`
/// if it is not what it should be, which may be found after some of them.
pub(super) fn read_topics(body: &[u8], each: &mut dyn FnMut(Entry<'_>)) -> Option<()> {
    if !is_shallow(body) {
        return None;
    }
    let mut json = serde_json_core::de::Deserializer::new(body, None);
    json.deserialize_map(Topics(each)).ok()?;
    json.end().ok().map(|_| ())
}

/// The object, and the list in it.
struct Topics<'f>(&'f mut dyn FnMut(Entry<'_>));

impl<'de> Visitor<'de> for Topics<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("topics")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let mut found = false;
        while let Some(name) = object.next_key::<&str>()? {
            if name != "provisioning" {
                object.next_value::<IgnoredAny>()?;
            } else if found {
                return Err(A::Error::duplicate_field("provisioning"));
            } else {
                object.next_value_seed(Topics(&mut *self.0))?;
                found = true;
            }
        }
        found.then_some(()).ok_or_else(|| A::Error::missing_field("provisioning"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element()? {
            (self.0)(entry);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Topics<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

/// The answer to `messageOriginate`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Accepted<'a> {
    pub topic_id: u16,
    pub request_reference: u8,
    /// Missing if it was not accepted, for all that is known.
    pub message_id: Option<u8>,
    pub message_response: &'a str,
}

/// `messageOriginateSegment`: a part that the modem asks for.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Wanted {
    pub topic_id: u16,
    pub message_id: u8,
    pub segment_length: u32,
    pub segment_start: u32,
}

/// `messageOriginateStatus` and `messageTerminateStatus`: how a message ended.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Final<'a> {
    pub topic_id: u16,
    pub message_id: u8,
    #[serde(rename = "final_mo_status", alias = "final_mt_status")]
    pub status: &'a str,
}

/// `messageTerminate`: a message comes in.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Announced {
    pub topic_id: u16,
    pub message_id: u8,
    pub message_length_max: u32,
}

/// `messageTerminateSegment`: a part of it.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Part<'a> {
    pub topic_id: u16,
    pub message_id: u8,
    pub segment_length: u32,
    pub segment_start: u32,
    /// Base64, standard alphabet, padded.
    pub data: &'a str,
}

#[cfg(test)]
mod tests {
    use std::{string::String, vec::Vec as List};

    use super::*;

    fn best(list: &str) -> Option<(u8, u8, u8)> {
        let body = std::format!("{{\"supported_versions\":[{list}]}}");
        let versions: ApiVersion = read(body.as_bytes()).unwrap();
        versions.supported_versions.best().map(|v| (v.major, v.minor, v.patch))
    }

    /// The lists are those of the captures 01 (newest first) and 06 (oldest
    /// first), and variations.
    #[test]
    fn the_highest_version_up_to_the_tested_one_is_taken_in_any_order() {
        let v = |major, minor, patch| {
            std::format!("{{\"major\":{major},\"minor\": {minor}, \"patch\":{patch}}}")
        };
        let (v170, v161, v160) = (v(1, 7, 0), v(1, 6, 1), v(1, 6, 0));
        assert_eq!(best(&[v170.clone(), v161.clone(), v160.clone()].join(",")), Some((1, 7, 0)));
        assert_eq!(best(&[v160, v161.clone(), v170].join(",")), Some((1, 7, 0)));
        assert_eq!(best(&[v(1, 8, 0), v161, v(2, 0, 0)].join(",")), Some((1, 6, 1)));
        assert_eq!(best(&[v(1, 8, 1), v(1, 9, 0), v(2, 0, 0)].join(",")), Some((1, 9, 0)));
        assert_eq!(best(&[v(0, 9, 0), v(1, 9, 0)].join(",")), Some((0, 9, 0)));
        assert_eq!(best(&v(2, 0, 0)), None);
        assert_eq!(best(""), None);
    }

    #[test]
    fn what_is_not_known_is_skipped_and_blanks_are_welcome() {
        let body = br#" { "new" : [ { "a" : "}]" } , null , -1.5e3 ] , "state" : "fault" , "reason" : 6 } "#;
        let state: OperationalState<'_> = read(body).unwrap();
        assert_eq!((state.state, state.reason), ("fault", Some(6)));
        let state: OperationalState<'_> = read(br#"{"state":"active"}"#).unwrap();
        assert_eq!((state.state, state.reason), ("active", None));
    }

    #[test]
    fn what_is_malformed_is_an_error() {
        let good = r#"{"topic_id":244,"message_id":1,"segment_length":7,"segment_start":0,"data":"aGVsbG/DYg=="}"#;
        assert!(read::<Part<'_>>(good.as_bytes()).is_some());
        for cut in 0..good.len() {
            assert!(read::<Part<'_>>(&good.as_bytes()[..cut]).is_none(), "{cut}");
        }
        for (from, to) in [
            ("244", "65536"),
            ("244", "-1"),
            ("244", "\"244\""),
            ("244", "2.5"),
            ("\"message_id\":1", "\"message_id\":256"),
            ("7,", "4294967296,"),
            ("\"data\"", "\"topic_id\""),
            ("aGV", "\u{7f}\\"),
        ] {
            let body = good.replace(from, to);
            let part = read::<Part<'_>>(body.as_bytes());
            assert!(part.is_none_or(|part| part.data.contains('\\')), "{body}");
        }
        assert!(read::<Part<'_>>(b"{\"data\":\"\xff\"}").is_none());
    }

    #[test]
    fn the_stack_does_not_depend_on_the_modem() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = [open.repeat(100_000), String::from("1"), close.repeat(100_000)].concat();
            let body = std::format!("{{\"x\":{deep},\"state\":\"active\"}}");
            assert!(read::<OperationalState<'_>>(body.as_bytes()).is_none());
        }
        let body = br#"{"x":"[[[[[[[[\"[[[[[[[","state":"active"}"#;
        assert!(read::<OperationalState<'_>>(body).is_some());
        // The object and so many more; what stands in a string closes nothing.
        for (arrays, fits) in [(5, true), (6, false)] {
            let deep = ["[".repeat(arrays), "]".repeat(arrays)].concat();
            let body = std::format!("{{\"y\":\"}}]]\",\"x\":{deep},\"state\":\"active\"}}");
            assert_eq!(read::<OperationalState<'_>>(body.as_bytes()).is_some(), fits, "{body}");
        }
    }

    fn topics(body: &str) -> Option<List<(u16, String)>> {
        let mut topics = List::new();
        read_topics(body.as_bytes(), &mut |entry| {
            topics.push((entry.topic_id, entry.topic_name.into()));
        })?;
        Some(topics)
    }

    #[test]
    fn topics_are_handed_over_one_by_one() {
        let two = r#"{"topic_id":64,"priority":"Safety 1","topic_name":"A"},{"topic_name":"","topic_id":65}"#;
        let expected = Some(std::vec![(64, "A".into()), (65, "".into())]);
        let body = std::format!(r#"{{"new":[1],"provisioning":[{two}] ,"newer":{{}}}} "#);
        assert_eq!(topics(&body), expected);
        for length in 0..body.len() - 1 {
            assert_eq!(topics(&body[..length]), None, "{length}");
        }
        assert_eq!(topics(r#"{"provisioning":[]}"#), Some(List::new()));
        for body in [
            r#"{"provisioned":[]}"#,
            r#"{"provisioning":{}}"#,
            r#"{"provisioning":[],"provisioning":[]}"#,
            r#"{"provisioning":[{"topic_id":64}]}"#,
            r#"{"provisioning":[]}]"#,
            r#"{"x":[[[[[[]]]]]],"provisioning":[]}"#,
        ] {
            assert_eq!(topics(body), None, "{body}");
        }
    }
}
