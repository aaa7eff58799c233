//! Rows of contacts.

use model::{
    AddressStatus, Consent, ConsentState, FieldDef, Problem, Slug, Timestamp, Value, Zone,
    field::{parse_date, parse_email, parse_phone},
};
use storage::imports::{ContactKey, ContactPatch};

use crate::{
    mapping::{Extra, Kind, Mapping},
    options::KeyKind,
    values::{Result, Values, missing},
};

/// Reads contacts.
pub struct ContactReader {
    mapping: Mapping,
    custom: Vec<FieldDef>,
    proof: String,
    /// When answers were given that come without a time.
    consent_at: Timestamp,
}

impl ContactReader {
    /// Reads with this mapping. `hash` is the file's, for the proof of consent; `consent_at` is when answers without a
    /// time and without `created_at` count as given.
    #[must_use]
    pub fn new(mapping: Mapping, custom: Vec<FieldDef>, hash: &str, consent_at: Timestamp) -> Self {
        Self { mapping, custom, proof: format!("import:{hash}"), consent_at }
    }

    /// Whether all custom fields of the mapping are known.
    ///
    /// # Errors
    /// `mapping.unknown_custom_field`.
    pub fn check(&self) -> std::result::Result<(), Vec<Problem>> {
        let problems: Vec<Problem> = self
            .mapping
            .extra
            .iter()
            .filter_map(|(extra, _)| match extra {
                Extra::Custom(slug) if self.definition(slug).is_none() => {
                    let known = self.custom.iter().map(|def| def.slug.as_str());
                    let problem = Problem::new(
                        "mapping.unknown_custom_field",
                        format!("the workspace has no custom field `{slug}`"),
                    )
                    .field(format!("fields.{slug}"));
                    Some(if self.custom.is_empty() {
                        problem.cure("define it first: the fields.yaml beside a journey is saved when the journey runs")
                    } else {
                        problem.suggest(slug.as_str(), known)
                    })
                }
                _ => None,
            })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn definition(&self, slug: &Slug) -> Option<&FieldDef> {
        self.custom.iter().find(|def| def.slug == *slug)
    }

    /// One contact.
    ///
    /// # Errors
    /// What is wrong with the row.
    pub fn read(&self, values: Values<'_>) -> Result<ContactPatch> {
        let slot = |name: &str| self.mapping.slot(Kind::Contacts, name);
        let text = |name: &str| values.text(slot(name), name);
        let mut patch = ContactPatch {
            external_id: values.id(slot("external_id"), "external_id")?.map(Into::into),
            first_name: text("first_name")?,
            last_name: text("last_name")?,
            country: text("country")?,
            created_at: values.time(slot("created_at"), "created_at")?,
            lists: values.slugs(slot("lists"), "lists")?,
            ..ContactPatch::default()
        };
        patch.email = checked(text("email")?, "email", parse_email)?;
        patch.phone = checked(text("phone")?, "phone", parse_phone)?;
        patch.locale = checked(text("locale")?, "locale", parse_locale)?;
        patch.time_zone = checked(text("time_zone")?, "time_zone", |name| {
            Zone::parse(name)?;
            Ok(name.to_owned())
        })?;
        patch.birth_date = checked(text("birth_date")?, "birth_date", |text| self.birth_date(text, values))?;
        patch.email_status = checked(text("email_status")?, "email_status", email_status)?;
        if patch.external_id.is_none() && patch.email.is_none() {
            return Err(missing(match values.options.contact_key {
                KeyKind::ExternalId => "external_id",
                KeyKind::Email => "email",
            }));
        }
        self.read_extra(values, &mut patch)?;
        Ok(patch)
    }

    fn birth_date(&self, text: &str, values: Values<'_>) -> Result<i32> {
        let invalid = || {
            Problem::new("date.invalid", format!("`{text}` is not a date of birth"))
                .value(text)
                .cure("write it as in 1984-05-31")
        };
        let date = match &values.options.date_format {
            None => parse_date(text.get(..10).unwrap_or(text)),
            Some(format) => jiff::fmt::strtime::parse(format, text)
                .ok()
                .and_then(|broken| broken.to_date().ok())
                .and_then(|date| parse_date(&date.to_string())),
        };
        // Nobody was born before 1880, and nobody tomorrow.
        const EARLIEST: i32 = -32_872;
        date.filter(|days| (EARLIEST..=values.latest.day_utc()).contains(days)).ok_or_else(invalid)
    }

    fn read_extra(&self, values: Values<'_>, patch: &mut ContactPatch) -> Result<()> {
        for (extra, index) in &self.mapping.extra {
            match extra {
                Extra::Custom(slug) => {
                    let Some(definition) = self.definition(slug) else { continue };
                    let name = format!("fields.{slug}");
                    if let Some(text) = values.text(Some(*index), &name)? {
                        let value =
                            Value::parse(&text, &definition.kind).map_err(|problem| problem.field(name))?;
                        patch.fields.insert(slug.to_string(), Some(value));
                    }
                }
                Extra::Consent(purpose) => {
                    let name = format!("consent.{purpose}");
                    let Some(text) = values.text(Some(*index), &name)? else { continue };
                    let state = consent_state(&text).map_err(|problem| problem.field(name))?;
                    patch.consents.push(Consent {
                        purpose: purpose.clone(),
                        state,
                        at: self
                            .answered_at(values, purpose)?
                            .or(patch.created_at)
                            .unwrap_or(self.consent_at),
                        source: "import".to_owned(),
                        proof: self.proof.clone(),
                    });
                }
                Extra::ConsentAt(_) | Extra::OfContact(_) | Extra::Property(_) => {}
            }
        }
        Ok(())
    }

    fn answered_at(&self, values: Values<'_>, purpose: &Slug) -> Result<Option<Timestamp>> {
        let column = self.mapping.extra.iter().find_map(|(extra, index)| match extra {
            Extra::ConsentAt(of) if of == purpose => Some(*index),
            _ => None,
        });
        values.time(column, &format!("consent_at.{purpose}"))
    }
}

fn checked<T>(text: Option<String>, field: &str, read: impl Fn(&str) -> Result<T>) -> Result<Option<T>> {
    text.map(|text| read(&text).map_err(|problem| problem.field(field))).transpose()
}

fn email_status(text: &str) -> Result<AddressStatus> {
    match text.to_ascii_lowercase().as_str() {
        "active" => Ok(AddressStatus::Active),
        "bounced" => Ok(AddressStatus::Bounced),
        "blocked" => Ok(AddressStatus::Blocked),
        "paused" => Ok(AddressStatus::Paused),
        _ => Err(Problem::new("email_status.unknown", format!("`{text}` is no state of an address"))
            .value(text)
            .suggest(text, ["active", "bounced", "blocked", "paused"])),
    }
}

/// `fr`, `fr-FR`, `zh-Hant-TW`; an underscore becomes a dash.
pub(crate) fn parse_locale(text: &str) -> Result<String> {
    let locale = text.replace('_', "-");
    let mut parts = locale.split('-');
    let language = parts.next().unwrap_or_default();
    let ok = (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    if ok && locale.len() <= 35 {
        return Ok(locale);
    }
    Err(Problem::new("locale.invalid", format!("`{text}` is not a locale"))
        .value(text)
        .cure("write it as in fr or fr-FR"))
}

pub(crate) fn consent_state(text: &str) -> Result<ConsentState> {
    match text.to_ascii_lowercase().replace(['-', ' '], "_").as_str() {
        "true" | "1" | "yes" | "y" | "t" | "oui" | "subscribed" | "opted_in" => Ok(ConsentState::Subscribed),
        "false" | "0" | "no" | "n" | "f" | "non" | "unsubscribed" | "opted_out" => {
            Ok(ConsentState::Unsubscribed)
        }
        "not_subscribed" | "never" | "unknown" | "pending" => Ok(ConsentState::NotSubscribed),
        _ => Err(Problem::new("consent.unknown", format!("`{text}` is no answer that is known here"))
            .value(text)
            .suggest(text, ["subscribed", "unsubscribed", "not_subscribed"])),
    }
}

/// The key of a contact that a row of another kind names; none when the cell is empty.
///
/// # Errors
/// `id.invalid`, `email.invalid`.
pub fn contact_key(values: Values<'_>, slot: Option<usize>) -> Result<Option<ContactKey>> {
    let Some(text) = values.id(slot, "contact")? else { return Ok(None) };
    Ok(Some(match values.options.contact_key {
        KeyKind::ExternalId => ContactKey::ExternalId(text.into_owned()),
        KeyKind::Email => ContactKey::Email(parse_email(&text).map_err(|problem| problem.field("contact"))?),
    }))
}

/// What an order's row says about its contact (`contact.country` and the like); none when it says nothing.
///
/// # Errors
/// What is wrong with it.
pub fn contact_of_order(
    values: Values<'_>,
    mapping: &Mapping,
    key: &ContactKey,
) -> Result<Option<ContactPatch>> {
    let mut patch = ContactPatch::default();
    let mut any = false;
    for (extra, index) in &mapping.extra {
        let Extra::OfContact(which) = extra else { continue };
        let name = format!("contact.{}", crate::mapping::CONTACT_OF_ORDER[*which]);
        let Some(text) = values.text(Some(*index), &name)? else { continue };
        any = true;
        let text =
            |read: fn(&str) -> Result<String>| read(&text).map(Some).map_err(|p| p.field(name.clone()));
        match crate::mapping::CONTACT_OF_ORDER[*which] {
            "email" => patch.email = text(parse_email)?,
            "phone" => patch.phone = text(parse_phone)?,
            "first_name" => patch.first_name = text(|t| Ok(t.to_owned()))?,
            "last_name" => patch.last_name = text(|t| Ok(t.to_owned()))?,
            "country" => patch.country = text(|t| Ok(t.to_owned()))?,
            "locale" => patch.locale = text(parse_locale)?,
            _ => patch.time_zone = text(|t| Zone::parse(t).map(|_| t.to_owned()))?,
        }
    }
    match key {
        ContactKey::ExternalId(id) => patch.external_id = Some(id.clone()),
        ContactKey::Email(email) => patch.email = Some(email.clone()),
        // No file names its contacts by browsers: see `contact_key`.
        ContactKey::Anonymous(_) | ContactKey::SignedIn { .. } => return Ok(None),
    }
    Ok(any.then_some(patch))
}
