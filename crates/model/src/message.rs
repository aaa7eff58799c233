//! Messages: what carries them, and the id that a replay of the step which decided one computes again.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// What carries a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Channel {
    /// Mail.
    #[default]
    Email = 1,
    /// Text message.
    Sms = 2,
    /// Push to a browser.
    WebPush = 3,
    /// A call to somebody's server: it reaches no contact, so no consent and no cap applies.
    Webhook = 4,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Email, Self::Sms, Self::WebPush, Self::Webhook];

    /// The channel of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| *channel as u8 == number)
    }

    /// As it is written in files and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::WebPush => "web_push",
            Self::Webhook => "webhook",
        }
    }
}

/// A message's id: 16 bytes that a replay of the same step computes again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 16]);

impl MessageId {
    /// The id of the message that `node` sends at its `visit`-th visit (from 1) of the `ordinal`-th enrolment (from 1) of
    /// `contact` in `run`. A run belongs to one journey version, so they say what the design asks for: (journey version,
    /// enrolment, node, visit).
    ///
    /// The run takes the first 32 bits and the contact the next 48, so that messages of one run arrive in the order of
    /// the index; the last 48 bits are of a SHA-256 of ordinal, node and visit. Different runs and contacts (up to 2³² and
    /// 2⁴⁸) never collide; two messages of one contact in one run do with a chance of 2⁻⁴⁸.
    #[must_use]
    pub fn derive(run: u32, contact: u64, ordinal: u32, node: &str, visit: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(ordinal.to_be_bytes());
        hash.update(visit.to_be_bytes());
        hash.update(node.as_bytes());
        let hash = hash.finalize();
        let mut id = [0; 16];
        id[..4].copy_from_slice(&run.to_be_bytes());
        id[4..10].copy_from_slice(&contact.to_be_bytes()[2..]);
        id[10..].copy_from_slice(&hash[..6]);
        Self(id)
    }

    /// Reads 32 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes()))
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("expected 32 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_by_every_part_and_read_back() {
        let id = MessageId::derive(1, 2, 1, "mail_up", 1);
        assert_eq!(id, MessageId::derive(1, 2, 1, "mail_up", 1));
        for other in [
            MessageId::derive(2, 2, 1, "mail_up", 1),
            MessageId::derive(1, 3, 1, "mail_up", 1),
            MessageId::derive(1, 2, 2, "mail_up", 1),
            MessageId::derive(1, 2, 1, "mail_down", 1),
            MessageId::derive(1, 2, 1, "mail_up", 2),
        ] {
            assert_ne!(id, other);
        }
        assert!(id < MessageId::derive(1, 3, 1, "a", 1), "ids of a run are in the order of its contacts");
        assert_eq!(MessageId::parse(&id.to_string()), Some(id));
        assert_eq!(serde_json::from_str::<MessageId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        assert_eq!(MessageId::parse("00"), None);
        for channel in Channel::ALL {
            assert_eq!(Channel::from_number(channel as u8), Some(channel));
        }
    }
}
