//! Texts in the languages that the pages speak.

use serde::{Deserialize, Serialize};

/// A language of the pages and labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// French.
    Fr,
}

impl Lang {
    /// The language of a locale such as `fr-CA`; English when it is another one.
    #[must_use]
    pub fn of_locale(locale: &str) -> Self {
        let language = locale.split(['-', '_']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("fr") { Self::Fr } else { Self::En }
    }
}

/// A label in English and French; what is missing falls back to the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Localized {
    /// English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub en: Option<String>,
    /// French.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fr: Option<String>,
}

impl Localized {
    /// The JSON Schema of a label in a file: a text, or one for each language.
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        let text = serde_json::json!({"type": "string"});
        serde_json::json!({"anyOf": [
            text,
            {"type": "object", "additionalProperties": false, "properties": {"en": text, "fr": text}},
        ]})
    }

    /// The same text in both languages.
    #[must_use]
    pub fn same(text: &str) -> Self {
        Self { en: Some(text.to_owned()), fr: None }
    }

    /// The text in a language, or in the other one, or empty.
    #[must_use]
    pub fn get(&self, lang: Lang) -> &str {
        let (first, second) = match lang {
            Lang::En => (&self.en, &self.fr),
            Lang::Fr => (&self.fr, &self.en),
        };
        first.as_deref().or(second.as_deref()).unwrap_or_default()
    }
}
