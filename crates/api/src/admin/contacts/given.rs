//! What a caller says about a contact: read, checked, put into words of the storage.

use std::collections::BTreeMap;

use model::{
    AddressStatus, Contact, FieldDef, Problem, Problems, Slug, Value, Zone,
    contact::BUILT_IN_FIELDS,
    field::{parse_date, parse_email, parse_phone},
};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use utoipa::ToSchema;

use super::body::StatusWord;

/// What is given of a profile. What is absent stays; `null` takes a value away.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"first_name": "Ann", "country": "FR", "phone": null}))]
pub(crate) struct Given {
    /// The shop's own id.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 255)]
    pub external_id: Option<Option<String>>,
    /// Email address.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>, examples("anna@shop.example"))]
    pub email: Option<Option<String>>,
    /// Whether mail reaches it.
    pub email_status: Option<StatusWord>,
    /// Phone number, E.164.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>, examples("+33612345678"))]
    pub phone: Option<Option<String>>,
    /// First name.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub first_name: Option<Option<String>>,
    /// Last name.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub last_name: Option<Option<String>>,
    /// Country, as the shop writes it.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub country: Option<Option<String>>,
    /// BCP 47 locale, as in `fr-FR`.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub locale: Option<Option<String>>,
    /// IANA time zone, as in `Europe/Paris`.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub time_zone: Option<Option<String>>,
    /// Birthday, as in `1984-02-29`.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = Date)]
    pub birth_date: Option<Option<String>>,
    /// Static lists to be on: all of them.
    pub lists: Option<Vec<String>>,
    /// Custom fields, by name; `null` takes a value away.
    #[schema(value_type = Option<Object>)]
    pub fields: BTreeMap<String, Json>,
}

/// Tells `null` from what is absent.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Longest text of a profile, in characters.
const TEXT_LEN_MAX: usize = 255;

/// The values that were given, each read by what it is.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub external_id: Option<Option<String>>,
    pub email: Option<Option<String>>,
    pub email_status: Option<AddressStatus>,
    pub phone: Option<Option<String>>,
    pub first_name: Option<Option<String>>,
    pub last_name: Option<Option<String>>,
    pub country: Option<Option<String>>,
    pub locale: Option<Option<String>>,
    pub time_zone: Option<Option<String>>,
    pub birth_date: Option<Option<i32>>,
    pub lists: Option<Vec<Slug>>,
    pub fields: BTreeMap<String, Option<Value>>,
}

impl Given {
    /// Reads all of it.
    ///
    /// # Errors
    /// Everything that is wrong, each with its field.
    pub(crate) fn read(self, fields: &BTreeMap<String, FieldDef>) -> Result<Read, Problems> {
        let mut problems = Problems::new();
        let text = |text: &str| {
            let length = text.chars().count();
            if text.trim().is_empty() || length > TEXT_LEN_MAX {
                return Err(Problem::new("contact.text", format!("the text has {length} characters"))
                    .value(text)
                    .cure(format!("give 1 to {TEXT_LEN_MAX} characters, or null to take the value away")));
            }
            Ok(text.to_owned())
        };
        let zone = |text: &str| Zone::parse(text).map(|_| text.to_owned());
        let date = |text: &str| {
            parse_date(text).ok_or_else(|| {
                Problem::new("field.invalid", format!("`{text}` is not a date"))
                    .value(text)
                    .cure("write it as in 1984-02-29")
            })
        };
        let mut read = Read {
            external_id: each("external_id", self.external_id, text, &mut problems),
            email: each("email", self.email, parse_email, &mut problems),
            email_status: self.email_status.map(Into::into),
            phone: each("phone", self.phone, parse_phone, &mut problems),
            first_name: each("first_name", self.first_name, text, &mut problems),
            last_name: each("last_name", self.last_name, text, &mut problems),
            country: each("country", self.country, text, &mut problems),
            locale: each("locale", self.locale, text, &mut problems),
            time_zone: each("time_zone", self.time_zone, zone, &mut problems),
            birth_date: each("birth_date", self.birth_date, date, &mut problems),
            lists: None,
            fields: BTreeMap::new(),
        };
        if let Some(lists) = self.lists {
            let slugs = lists.iter().map(|list| Slug::parse(list)).collect::<Result<Vec<_>, _>>();
            read.lists = keep(slugs, "lists", &mut problems).map(|mut lists| {
                lists.sort();
                lists.dedup();
                lists
            });
        }
        for (name, json) in self.fields {
            let field = format!("fields.{name}");
            if let Some(value) = keep(value(&name, &json, fields), field, &mut problems) {
                read.fields.insert(name, value);
            }
        }
        if problems.is_empty() { Ok(read) } else { Err(problems) }
    }
}

impl Read {
    /// Puts it into a profile.
    pub(crate) fn apply(self, contact: &mut Contact) {
        let texts = [
            (&mut contact.external_id, self.external_id),
            (&mut contact.email, self.email),
            (&mut contact.phone, self.phone),
            (&mut contact.first_name, self.first_name),
            (&mut contact.last_name, self.last_name),
            (&mut contact.country, self.country),
            (&mut contact.locale, self.locale),
            (&mut contact.time_zone, self.time_zone),
        ];
        for (known, given) in texts {
            if let Some(value) = given {
                *known = value;
            }
        }
        contact.email_status = self.email_status.unwrap_or(contact.email_status);
        contact.birth_date = self.birth_date.unwrap_or(contact.birth_date);
        if let Some(lists) = self.lists {
            contact.lists = lists;
        }
        for (name, value) in self.fields {
            match value {
                Some(value) => contact.fields.insert(name, value),
                None => contact.fields.remove(&name),
            };
        }
    }
}

fn keep<T>(read: Result<T, Problem>, field: impl Into<String>, problems: &mut Problems) -> Option<T> {
    read.map_err(|problem| problems.push(problem.field(field.into()))).ok()
}

fn each<T>(
    field: &'static str,
    given: Option<Option<String>>,
    read: impl Fn(&str) -> Result<T, Problem>,
    problems: &mut Problems,
) -> Option<Option<T>> {
    match given? {
        None => Some(None),
        Some(text) => keep(read(&text), field, problems).map(Some),
    }
}

/// A custom field's value, by its definition.
fn value(name: &str, json: &Json, fields: &BTreeMap<String, FieldDef>) -> Result<Option<Value>, Problem> {
    let Some(field) = fields.get(name) else {
        if BUILT_IN_FIELDS.iter().any(|(known, _)| *known == name) {
            return Err(Problem::new("field.built_in", format!("`{name}` is a built-in field"))
                .value(name)
                .cure("give it beside `fields`, where it can be given"));
        }
        return Err(Problem::new("field.unknown", format!("there is no field `{name}`"))
            .value(name)
            .suggest(name, fields.keys().map(String::as_str)));
    };
    let text = match json {
        Json::Null => return Ok(None),
        Json::String(text) => text.clone(),
        Json::Bool(yes) => yes.to_string(),
        Json::Number(number) => number.to_string(),
        Json::Array(options) if options.iter().all(Json::is_string) => {
            options.iter().filter_map(Json::as_str).collect::<Vec<_>>().join("|")
        }
        Json::Array(_) | Json::Object(_) => {
            return Err(Problem::new(
                "field.type",
                "the value is neither a text, a number, nor a list of texts",
            )
            .value(json)
            .cure(format!("the field is of type {}", field.kind.word())));
        }
    };
    Value::parse(&text, &field.kind).map(Some)
}
