//! Dense numbers for rows, slugs for what people name.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Problem;

macro_rules! dense {
    ($(#[$doc:meta])* $name:ident($repr:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $repr);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

dense!(
    /// A contact's dense number, from 1. Given by the storage; never reused.
    ContactId(i64)
);
dense!(
    /// A product's dense number, from 1. Given by the storage; never reused.
    ProductId(u32)
);
dense!(
    /// An order's dense number, from 1 (the shop's own order id is text and mapped to it).
    OrderNo(i64)
);
dense!(
    /// A cart's dense number, from 1 (the shop's own cart id is text and mapped to it).
    CartNo(i64)
);
dense!(
    /// An event's dense number, from 1, in order of arrival.
    EventNo(i64)
);

/// A short name for something that people make: lower-case letters, digits, `-` and `_`; at most [`Slug::LEN_MAX`]
/// characters. Files are known by their slug (the file's name without its ending).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slug(String);

impl Slug {
    /// The longest slug, in characters.
    pub const LEN_MAX: usize = 64;

    /// Reads a slug.
    ///
    /// # Errors
    /// `slug.invalid` when it is empty, too long or holds another character.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let ok = !text.is_empty()
            && text.len() <= Self::LEN_MAX
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if ok {
            return Ok(Self(text.to_owned()));
        }
        Err(Problem::new("slug.invalid", format!("`{text}` is not a usable name")).value(text).cure(format!(
            "use 1 to {} lower-case letters, digits, `-` or `_`, as in `rfm-high`",
            Self::LEN_MAX
        )))
    }

    /// Reads the name of a purpose of consent, which may have a topic under it, as in `newsletter/promotions`. Both
    /// parts are slugs, at most [`Slug::LEN_MAX`] characters together.
    ///
    /// # Errors
    /// `slug.invalid`.
    pub fn purpose(text: &str) -> Result<Self, Problem> {
        match text.split_once('/') {
            Some((main, topic)) if text.len() <= Self::LEN_MAX => {
                Self::parse(main).and(Self::parse(topic)).map(|_| Self(text.to_owned()))
            }
            _ => Self::parse(text),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Slug {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Slug {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_may_have_a_topic() {
        for good in ["newsletter", "newsletter/promotions"] {
            assert_eq!(Slug::purpose(good).unwrap().as_str(), good);
        }
        let long = |n: usize| format!("news/{}", "a".repeat(n));
        assert!(Slug::purpose(&long(Slug::LEN_MAX - 5)).is_ok());
        for bad in ["", "/", "news/", "/a", "a/b/c", "A/b", &long(Slug::LEN_MAX - 4)] {
            assert_eq!(Slug::purpose(bad).unwrap_err().code, "slug.invalid", "{bad}");
        }
    }

    #[test]
    fn slug_length_is_tested_at_the_edge_and_one_past_it() {
        assert!(Slug::parse(&"a".repeat(Slug::LEN_MAX)).is_ok());
        assert_eq!(Slug::parse(&"a".repeat(Slug::LEN_MAX + 1)).unwrap_err().code, "slug.invalid");
        for bad in ["", "RFM", "a b", "é"] {
            assert_eq!(Slug::parse(bad).unwrap_err().code, "slug.invalid", "{bad}");
        }
    }
}
