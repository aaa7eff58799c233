//! A message as it comes.

use std::fmt;

use model::Problem;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::values::Result;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Says who somebody is.
    Identify,
    /// Says what somebody did.
    Track,
    /// Says which page somebody saw.
    Page,
    /// Says which screen of an app somebody saw.
    Screen,
    /// Says to which group somebody belongs.
    Group,
    /// Says that two ids are one person.
    Alias,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Identify, Self::Track, Self::Page, Self::Screen, Self::Group, Self::Alias];

    /// Its word in paths and in `type`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Identify => "identify",
            Self::Track => "track",
            Self::Page => "page",
            Self::Screen => "screen",
            Self::Group => "group",
            Self::Alias => "alias",
        }
    }

    /// The call of a word, or of the one letter that browsers shorten it to in paths.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|call| call.word() == word || call.word()[..1] == *word)
    }
}

/// What is read of a message; the rest is left out (an IP address is never kept).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Message {
    /// Which call, in a batch.
    #[serde(rename = "type", deserialize_with = "loose")]
    pub kind: Option<String>,
    /// What somebody did.
    #[serde(deserialize_with = "loose")]
    pub event: Option<String>,
    /// Who, as the shop knows them.
    #[serde(deserialize_with = "loose")]
    pub user_id: Option<String>,
    /// Who, as the browser or app calls itself.
    #[serde(deserialize_with = "loose")]
    pub anonymous_id: Option<String>,
    /// Who they were before.
    #[serde(deserialize_with = "loose")]
    pub previous_id: Option<String>,
    /// Which group.
    #[serde(deserialize_with = "loose")]
    pub group_id: Option<String>,
    /// The sender's id of this message.
    #[serde(deserialize_with = "loose")]
    pub message_id: Option<String>,
    /// Of a page or screen.
    #[serde(deserialize_with = "loose")]
    pub name: Option<String>,
    /// Of a page or screen.
    #[serde(deserialize_with = "loose")]
    pub category: Option<String>,
    /// When it happened, by the sender's clock.
    #[serde(deserialize_with = "loose")]
    pub timestamp: Option<String>,
    /// The same, as some libraries name it.
    #[serde(deserialize_with = "loose")]
    pub original_timestamp: Option<String>,
    /// When it was sent, by the sender's clock.
    #[serde(deserialize_with = "loose")]
    pub sent_at: Option<String>,
    /// What about it.
    pub properties: Option<Map<String, Value>>,
    /// What about the contact or the group.
    pub traits: Option<Map<String, Value>>,
    /// Where it came from.
    pub context: Option<Context>,
}

/// Where a message came from: only what is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Context {
    /// The browser's language.
    #[serde(deserialize_with = "loose")]
    pub locale: Option<String>,
    /// The browser's time zone.
    #[serde(deserialize_with = "loose")]
    pub timezone: Option<String>,
    /// What is known of the contact.
    pub traits: Option<Value>,
    /// The page.
    pub page: Option<Value>,
}

impl Message {
    /// Reads one.
    ///
    /// # Errors
    /// `message.invalid` with what JSON says.
    pub fn read(json: &str) -> Result<Self> {
        let message: Self = serde_json::from_str(json).map_err(|error| {
            Problem::new("message.invalid", format!("this is no message: {error}"))
                .cure("send an object as in {\"type\": \"track\", \"userId\": \"42\", \"event\": \"Product Viewed\"}")
        })?;
        Ok(message)
    }

    /// Which call it is: what it says itself, else what the path says.
    ///
    /// # Errors
    /// `message.type`.
    pub fn call(&self, path: Option<Call>) -> Result<Call> {
        let Some(word) = &self.kind else {
            return path.ok_or_else(|| unknown_call(""));
        };
        let lower = word.to_ascii_lowercase();
        Call::ALL.into_iter().find(|call| call.word() == lower).ok_or_else(|| unknown_call(word))
    }
}

fn unknown_call(word: &str) -> Problem {
    Problem::new("message.type", format!("`{word}` is no type of message"))
        .field("type")
        .value(word)
        .suggest(word, Call::ALL.iter().map(|call| call.word()))
}

/// A text, or a number as a text; nothing for null, an empty text, or anything else.
fn loose<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<String>, D::Error> {
    deserializer.deserialize_any(Loose)
}

struct Loose;

impl<'de> Visitor<'de> for Loose {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Self::Value, E> {
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> std::result::Result<Self::Value, E> {
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn visit_u64<E>(self, number: u64) -> std::result::Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> std::result::Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> std::result::Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Self::Value, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
