//! Typed data on a contact: definitions and values (spec §2.3.1).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Amount, Localized, Problem, Slug, Timestamp};

/// The type of a field, and what the type needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum FieldType {
    /// Any characters.
    Text,
    /// An email address.
    Email,
    /// A phone number in E.164.
    Phone,
    /// A whole number.
    Integer {
        /// Least value allowed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<i64>,
        /// Greatest value allowed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<i64>,
    },
    /// A number with four decimals.
    Decimal {
        /// Least value allowed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<Amount>,
        /// Greatest value allowed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<Amount>,
    },
    /// A calendar day.
    Date,
    /// An instant.
    Instant,
    /// Any number of the options.
    Checkbox {
        /// Option slugs with their labels, in order.
        options: Vec<FieldOption>,
    },
    /// Exactly one of the options.
    Radio {
        /// Option slugs with their labels, in order.
        options: Vec<FieldOption>,
    },
    /// True or false.
    Boolean,
}

/// An option of a checkbox or radio field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldOption {
    /// What is stored.
    pub id: String,
    /// What is shown.
    #[serde(default)]
    pub label: Localized,
}

impl FieldType {
    /// The type's word in files.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Integer { .. } => "integer",
            Self::Decimal { .. } => "decimal",
            Self::Date => "date",
            Self::Instant => "instant",
            Self::Checkbox { .. } => "checkbox",
            Self::Radio { .. } => "radio",
            Self::Boolean => "boolean",
        }
    }
}

/// A custom field of the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldDef {
    /// Its name in files and conditions.
    pub slug: Slug,
    /// Its label.
    #[serde(default)]
    pub name: Localized,
    /// Its type.
    #[serde(flatten)]
    pub kind: FieldType,
    /// Whether it may be empty; a required field needs a default.
    #[serde(default)]
    pub required: bool,
    /// What contacts have who were given nothing; virtual, never written to everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

impl FieldDef {
    /// Most custom fields in a workspace.
    pub const COUNT_MAX: usize = 500;
    /// Most options of a checkbox or radio field.
    pub const OPTIONS_MAX: usize = 500;
    /// Longest text value, in characters.
    pub const TEXT_LEN_MAX: usize = 10_000;
}

/// A value of a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// Text, email, phone, or the option of a radio field.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A decimal number.
    Decimal(Amount),
    /// A calendar day as days since 1970-01-01.
    Date(i32),
    /// An instant.
    Instant(Timestamp),
    /// The options of a checkbox field, sorted.
    Options(Vec<String>),
    /// True or false.
    Boolean(bool),
}

impl Value {
    /// Reads a value as files and imports have it, by the field's type. Checkbox options are separated by `|`.
    ///
    /// # Errors
    /// `field.invalid`, `field.out_of_range`, `field.unknown_option`, `field.too_long`, each with the cure.
    pub fn parse(text: &str, kind: &FieldType) -> Result<Self, Problem> {
        let wrong = |what: &str, example: &str| {
            Problem::new("field.invalid", format!("`{text}` is not {what}"))
                .value(text)
                .cure(format!("write it as in {example}"))
        };
        let trimmed = text.trim();
        let value = match kind {
            FieldType::Text => Self::Text(text.to_owned()),
            FieldType::Email => Self::Text(parse_email(trimmed)?),
            FieldType::Phone => Self::Text(parse_phone(trimmed)?),
            FieldType::Integer { .. } => {
                Self::Integer(trimmed.parse().map_err(|_| wrong("a whole number", "42"))?)
            }
            FieldType::Decimal { .. } => Self::Decimal(Amount::parse(trimmed)?),
            FieldType::Date => Self::Date(parse_date(trimmed).ok_or_else(|| wrong("a date", "2026-11-22"))?),
            FieldType::Instant => Self::Instant(Timestamp::parse(trimmed, &crate::Zone::UTC)?),
            FieldType::Checkbox { .. } => {
                let mut options: Vec<String> =
                    trimmed.split('|').map(str::trim).filter(|o| !o.is_empty()).map(str::to_owned).collect();
                options.sort_unstable();
                options.dedup();
                Self::Options(options)
            }
            FieldType::Radio { .. } => Self::Text(trimmed.to_owned()),
            FieldType::Boolean => Self::Boolean(match trimmed.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" => true,
                "false" | "0" | "no" => false,
                _ => return Err(wrong("true or false", "true")),
            }),
        };
        value.check(kind)?;
        Ok(value)
    }

    /// Whether the value fits the field's type and bounds.
    ///
    /// # Errors
    /// `field.type`, `field.out_of_range`, `field.unknown_option`, `field.too_long`.
    pub fn check(&self, kind: &FieldType) -> Result<(), Problem> {
        let range = |low: Option<String>, high: Option<String>| {
            Problem::new("field.out_of_range", format!("{self} is out of range")).value(self).cure(
                match (low, high) {
                    (Some(low), Some(high)) => format!("give a value from {low} to {high}"),
                    (Some(low), None) => format!("give at least {low}"),
                    (None, Some(high)) => format!("give at most {high}"),
                    (None, None) => String::new(),
                },
            )
        };
        let known = |option: &str, options: &[FieldOption]| {
            if options.iter().any(|o| o.id == option) {
                return Ok(());
            }
            Err(Problem::new("field.unknown_option", format!("`{option}` is not an option"))
                .value(option)
                .suggest(option, options.iter().map(|o| o.id.as_str())))
        };
        match (self, kind) {
            (Self::Text(text), FieldType::Text | FieldType::Email | FieldType::Phone) => {
                if text.chars().count() > FieldDef::TEXT_LEN_MAX {
                    return Err(Problem::new(
                        "field.too_long",
                        format!("the text is longer than {} characters", FieldDef::TEXT_LEN_MAX),
                    )
                    .value(text));
                }
                Ok(())
            }
            (Self::Integer(n), FieldType::Integer { min, max }) => {
                if min.is_some_and(|min| *n < min) || max.is_some_and(|max| *n > max) {
                    return Err(range(min.map(|n| n.to_string()), max.map(|n| n.to_string())));
                }
                Ok(())
            }
            (Self::Decimal(n), FieldType::Decimal { min, max }) => {
                if min.is_some_and(|min| *n < min) || max.is_some_and(|max| *n > max) {
                    return Err(range(min.map(|n| n.to_string()), max.map(|n| n.to_string())));
                }
                Ok(())
            }
            (Self::Date(_), FieldType::Date)
            | (Self::Instant(_), FieldType::Instant)
            | (Self::Boolean(_), FieldType::Boolean) => Ok(()),
            (Self::Options(chosen), FieldType::Checkbox { options }) => {
                chosen.iter().try_for_each(|option| known(option, options))
            }
            (Self::Text(option), FieldType::Radio { options }) => known(option, options),
            _ => Err(Problem::new(
                "field.type",
                format!("{self} does not fit a field of type {}", kind.word()),
            )
            .value(self)),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(n) => write!(f, "{n}"),
            Self::Decimal(n) => write!(f, "{n}"),
            Self::Date(days) => f.write_str(&format_date(*days)),
            Self::Instant(at) => write!(f, "{at}"),
            Self::Options(options) => f.write_str(&options.join("|")),
            Self::Boolean(b) => write!(f, "{b}"),
        }
    }
}

/// Days since 1970-01-01 of `YYYY-MM-DD`.
#[must_use]
pub fn parse_date(text: &str) -> Option<i32> {
    if text.len() != 10 {
        return None;
    }
    Timestamp::parse(text, &crate::Zone::UTC).ok().map(Timestamp::day_utc).or_else(|| {
        let date: jiff::civil::Date = text.parse().ok()?;
        let epoch = jiff::civil::date(1970, 1, 1);
        epoch.until(date).ok().map(|span| span.get_days())
    })
}

/// `YYYY-MM-DD` of days since 1970-01-01.
#[must_use]
pub fn format_date(days: i32) -> String {
    Timestamp(i64::from(days) * Timestamp::DAY).civil(&crate::Zone::UTC).date().to_string()
}

/// Checks an email address as far as a sender can know (one `@`, a dotted domain, no blanks or control characters, at
/// most 254 bytes), and gives it with its domain in lower case.
///
/// # Errors
/// `email.invalid`.
pub fn parse_email(text: &str) -> Result<String, Problem> {
    let invalid = || {
        Problem::new("email.invalid", format!("`{text}` is not an email address"))
            .value(text)
            .cure("write it as in name@example.com")
    };
    let (local, domain) = text.rsplit_once('@').ok_or_else(invalid)?;
    let local_ok = !local.is_empty()
        && local.len() <= 64
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && local.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"@<>()[],;:\\\"".contains(c));
    let labels_ok = domain.contains('.')
        && domain.len() <= 253
        && domain.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        });
    if !local_ok || !labels_ok || text.len() > 254 {
        return Err(invalid());
    }
    Ok(format!("{local}@{}", domain.to_lowercase()))
}

/// Reads an international phone number into E.164 (`+` and 8 to 15 digits); blanks, dots, dashes and brackets are
/// dropped, a leading `00` is `+`.
///
/// # Errors
/// `phone.invalid`.
pub fn parse_phone(text: &str) -> Result<String, Problem> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace() && !"-.()/".contains(*c)).collect();
    let digits = compact.strip_prefix('+').or_else(|| compact.strip_prefix("00")).unwrap_or_default();
    if (8..=15).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0')
    {
        return Ok(format!("+{digits}"));
    }
    Err(Problem::new("phone.invalid", format!("`{text}` is not an international phone number"))
        .value(text)
        .cure("write it with its country code, as in +33 1 23 45 67 89"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_type() {
        let radio =
            FieldType::Radio { options: vec![FieldOption { id: "red".into(), label: Localized::default() }] };
        let small = FieldType::Integer { min: Some(0), max: Some(9) };
        for (text, kind, out) in [
            ("abc", &FieldType::Text, "abc"),
            ("A@Example.TEST", &FieldType::Email, "A@example.test"),
            ("+33 1 23 45 67 89", &FieldType::Phone, "+33123456789"),
            ("9", &small, "9"),
            ("10", &small, "field.out_of_range"),
            ("1.5", &small, "field.invalid"),
            ("-0.5", &FieldType::Decimal { min: Some(Amount(0)), max: None }, "field.out_of_range"),
            ("2024-02-29", &FieldType::Date, "2024-02-29"),
            ("1948-02-29", &FieldType::Date, "1948-02-29"),
            ("2023-02-29", &FieldType::Date, "field.invalid"),
            ("red", &radio, "red"),
            ("rde", &radio, "field.unknown_option"),
            ("yes", &FieldType::Boolean, "true"),
            ("maybe", &FieldType::Boolean, "field.invalid"),
            ("a@b", &FieldType::Email, "email.invalid"),
            ("a b@example.test", &FieldType::Email, "email.invalid"),
            ("a\r\nBcc:x@example.test", &FieldType::Email, "email.invalid"),
            ("0123", &FieldType::Phone, "phone.invalid"),
        ] {
            let got = Value::parse(text, kind).map_or_else(|p| p.code.to_string(), |v| v.to_string());
            assert_eq!(got, out, "{text}");
        }
    }
}
