//! The other side of the satellite: how topics are called there, and what is
//! delivered (vendor page "IMT and IoT Gateway"). Knows no connection.

use core::fmt;

use hayes::mqtt::{self, Field, FieldError, Problem};

/// What stands before the account in the cloud.
const PREFIX: &str = "iot/";

/// A topic as the cloud broker calls it: `iot/ACCOUNT-ID/` and the local name.
///
/// ```
/// use hayes_iridium::rockremote::cloud::Topic;
///
/// # fn main() -> Result<(), hayes::mqtt::FieldError> {
/// let topic = Topic::new("4711", "buoy-7/t")?;
/// assert_eq!(topic.to_string(), "iot/4711/buoy-7/t");
/// assert_eq!(Topic::parse("iot/4711/buoy-7/t")?, topic);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Topic<'a> {
    account: &'a str,
    local: mqtt::Topic<'a>,
}

impl<'a> Topic<'a> {
    /// The cloud's name for `local` in `account`, which the file `hello.txt`
    /// of the certificates tells.
    ///
    /// # Errors
    /// [`FieldError`] if `local` is no topic, or `account` is not one level.
    pub fn new(account: &'a str, local: &'a str) -> Result<Self, FieldError> {
        mqtt::Topic::new(account)?;
        if account.contains('/') {
            return Err(FieldError::forbidden(Field::Topic, b'/'));
        }
        Ok(Self { account, local: mqtt::Topic::new(local)? })
    }

    /// Takes the cloud's name apart.
    ///
    /// # Errors
    /// [`FieldError`] if it is not `iot/ACCOUNT-ID/` and a topic.
    pub fn parse(cloud: &'a str) -> Result<Self, FieldError> {
        let parts = cloud.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/'));
        let malformed = FieldError { field: Field::Topic, problem: Problem::Malformed };
        let (account, local) = parts.ok_or(malformed)?;
        Self::new(account, local)
    }

    /// The account.
    #[must_use]
    pub const fn account(&self) -> &'a str {
        self.account
    }

    /// What it is called on the LAN of the box.
    #[must_use]
    pub const fn local(&self) -> mqtt::Topic<'a> {
        self.local
    }
}

impl fmt::Display for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}/{}", self.account, self.local.as_str())
    }
}

#[cfg(feature = "delivery")]
pub use delivery::{Delivery, DeliveryError, Imt};

#[cfg(feature = "delivery")]
mod delivery {
    use std::{string::String, vec::Vec};

    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde::{Deserialize, Deserializer};

    /// One message as S3 (`<uuid>.json`) and SQS deliver it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Delivery {
        /// The delivery's own identifier.
        pub id: String,
        /// The account.
        pub account: String,
        /// The subscriber that sent it, and of which type it is.
        pub subscriber: (String, String),
        /// The satellite message that carried it.
        pub imt: Imt,
        /// The topic.
        pub topic: String,
        /// The payload, decoded. Compressed if `compressed` says so; the
        /// object `<uuid>.raw` is not.
        pub payload: Vec<u8>,
        /// The retain flag.
        pub retain: bool,
        /// Whether the payload is compressed.
        pub compressed: bool,
        /// How, where that is told.
        pub compression: Option<String>,
    }

    /// The satellite message behind a delivery.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    pub struct Imt {
        /// The cloud's identifier of it.
        #[serde(deserialize_with = "word")]
        pub cmid: String,
        /// The IMT topic; 71 in the vendor's example.
        #[serde(deserialize_with = "word")]
        pub topic_id: String,
        /// The gateway's count of messages, not the modem's.
        #[serde(deserialize_with = "word")]
        pub message_id: String,
        /// It arrived damaged.
        pub crc_error: bool,
    }

    /// Why a delivery cannot be read.
    #[derive(Debug, thiserror::Error)]
    #[non_exhaustive]
    pub enum DeliveryError {
        /// Not JSON, or not of the documented form.
        #[error("not a delivery of the gateway: {0}")]
        Json(#[from] serde_json::Error),
        /// The payload is not base64.
        #[error("the payload is not base64: {0}")]
        Payload(#[from] base64::DecodeError),
    }

    #[derive(Deserialize)]
    struct Outer {
        #[serde(deserialize_with = "word")]
        id: String,
        #[serde(default)]
        identity: Identity,
        #[serde(default)]
        imt: Imt,
        iot: Iot,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Identity {
        #[serde(deserialize_with = "word")]
        account_id: String,
        subscriber: Subscriber,
    }

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Subscriber {
        #[serde(deserialize_with = "word")]
        id: String,
        #[serde(deserialize_with = "word")]
        r#type: String,
    }

    #[derive(Deserialize)]
    struct Iot {
        topic: String,
        message: String,
        #[serde(default)]
        retain: bool,
        #[serde(default)]
        compressed: bool,
        #[serde(default)]
        compression: Option<String>,
    }

    impl Delivery {
        /// Reads one delivery.
        ///
        /// # Errors
        /// [`DeliveryError`].
        pub fn parse(json: &[u8]) -> Result<Self, DeliveryError> {
            let Outer { id, identity, imt, iot } = serde_json::from_slice(json)?;
            Ok(Self {
                id,
                account: identity.account_id,
                subscriber: (identity.subscriber.id, identity.subscriber.r#type),
                imt,
                topic: iot.topic,
                payload: BASE64_STANDARD.decode(iot.message)?,
                retain: iot.retain,
                compressed: iot.compressed,
                compression: iot.compression,
            })
        }
    }

    /// An identifier, which is a number in some places and text in others.
    fn word<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Word {
            Text(String),
            Number(serde_json::Number),
            None(()),
        }
        Ok(match Word::deserialize(from)? {
            Word::Text(text) => text,
            Word::Number(number) => std::string::ToString::to_string(&number),
            Word::None(()) => String::new(),
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        // Field names by the vendor's page; values made up.
        const DOCUMENTED: &str = r#"{"id":"d1","identity":{"accountId":"a1",
            "subscriber":{"id":7,"type":"ROCKREMOTE"}},
            "imt":{"cmid":12,"topicId":71,"messageId":23234,"crcError":false},
            "iot":{"topic":"up/t","message":"MjEuNQ==","retain":true,"compressed":false,
            "compression":null},"new":{"fields":["are","ignored"]}}"#;

        #[test]
        fn a_delivery_is_read_by_its_documented_fields() {
            let delivery = Delivery::parse(DOCUMENTED.as_bytes()).unwrap();
            assert_eq!(
                (delivery.topic.as_str(), delivery.payload.as_slice()),
                ("up/t", b"21.5".as_slice())
            );
            assert_eq!((delivery.account.as_str(), delivery.subscriber.0.as_str()), ("a1", "7"));
            assert_eq!(
                (delivery.imt.topic_id.as_str(), delivery.imt.message_id.as_str()),
                ("71", "23234")
            );
            assert!(delivery.retain && !delivery.compressed && delivery.compression.is_none());
        }

        #[test]
        fn what_is_no_delivery_is_an_error() {
            for (from, to) in
                [("\"topic\"", "\"t\""), ("MjEuNQ==", "MjEuNQ"), ("{\"id\"", "[\"id\"")]
            {
                let json = DOCUMENTED.replacen(from, to, 1);
                assert!(Delivery::parse(json.as_bytes()).is_err(), "{json}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_topics_of_an_account_are_taken_apart() {
        for cloud in ["iot/a", "iot//t", "iot/a/", "lingo/a/t/MO", "iot/a/b/#", "iot/+/t", ""] {
            assert!(Topic::parse(cloud).is_err(), "{cloud}");
        }
        let topic = Topic::parse("iot/a/this/is/my/topic").unwrap();
        assert_eq!((topic.account(), topic.local().as_str()), ("a", "this/is/my/topic"));
        assert!(Topic::new("a/b", "t").is_err());
    }
}
