//! What a message says about a person: identify, group, alias, and answers to "may we write to you?".

use model::{
    Consent, ConsentState, FieldDef, FieldType, Lang, Problem, PushSubscription, Slug, Timestamp, Value,
    Zone,
    contact::BUILT_IN_FIELDS,
    event::kind,
    field::{parse_email, parse_phone},
};
use serde_json::{Map, Value as Json};
use storage::{consents::ToConfirm, imports::ContactPatch, outbox::OutboxMessage};

use super::{Work, identity, rules::Groups, rules::UnknownTraits, when::instant};
use crate::{
    contacts::{consent_state, parse_locale},
    push,
    values::{ID_LEN_MAX, Result, TEXT_LEN_MAX, check_text},
};

/// Deepest nesting of traits that are kept as fields.
const TRAIT_DEPTH_MAX: usize = 4;

impl Work<'_> {
    pub(super) fn identify(&mut self) -> Result<()> {
        let traits = self.message.traits.take().unwrap_or_default();
        let mut patch = identity::patch(&self.contact);
        self.read_traits(&traits, "traits", &mut patch)?;
        if let Some(context) = &self.message.context {
            // What a browser says by itself is taken where it makes sense, and never a reason to refuse somebody.
            let usable = |text: &Option<String>, read: &dyn Fn(&str) -> Result<String>| {
                text.as_deref().and_then(|text| read(text).ok())
            };
            patch.locale = patch.locale.or_else(|| usable(&context.locale, &parse_locale));
            patch.time_zone = patch.time_zone.or_else(|| usable(&context.timezone, &zone));
        }
        self.batch.contacts.push(patch);
        Ok(())
    }

    fn read_traits(&self, traits: &Map<String, Json>, path: &str, patch: &mut ContactPatch) -> Result<()> {
        for (name, value) in traits {
            let field = format!("{path}.{name}");
            self.read_trait(name, value, &field, patch).map_err(|problem| match problem.field {
                Some(_) => problem,
                None => problem.field(field),
            })?;
        }
        Ok(())
    }

    fn read_trait(&self, name: &str, value: &Json, path: &str, patch: &mut ContactPatch) -> Result<()> {
        let text = scalar(value).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let short = |most: usize| -> Result<Option<String>> {
            let Some(text) = &text else { return Ok(None) };
            check_text(text, path, most)?;
            Ok(Some(text.clone()))
        };
        let read = |parse: &dyn Fn(&str) -> Result<String>| text.as_deref().map(parse).transpose();
        match snake(name).as_str() {
            "email" => put(&mut patch.email, read(&|text| parse_email(text))?),
            "phone" => put(&mut patch.phone, read(&|text| parse_phone(text))?),
            "first_name" => put(&mut patch.first_name, short(TEXT_LEN_MAX)?),
            "last_name" => put(&mut patch.last_name, short(TEXT_LEN_MAX)?),
            "name" => {
                let Some(whole) = short(TEXT_LEN_MAX)? else { return Ok(()) };
                let (first, last) =
                    whole.split_once(' ').map_or((whole.as_str(), None), |(f, l)| (f, Some(l)));
                patch.first_name.get_or_insert_with(|| first.to_owned());
                if let Some(last) = last {
                    patch.last_name.get_or_insert_with(|| last.trim().to_owned());
                }
            }
            "country" => put(&mut patch.country, short(TEXT_LEN_MAX)?),
            "locale" | "language" => put(&mut patch.locale, read(&parse_locale)?),
            "time_zone" | "timezone" => put(&mut patch.time_zone, read(&zone)?),
            "birthday" | "birth_date" | "birthdate" => {
                if let Some(text) = &text {
                    patch.birth_date = Some(self.birth_date(text)?);
                }
            }
            "created_at" => {
                if let Some(text) = &text {
                    patch.created_at = Some(instant(text)?.min(self.received_at));
                }
            }
            "address" if value.is_object() => {
                let address = value.as_object().expect("an object");
                self.read_address(address, path, patch)?;
            }
            "consent" | "consents" if value.is_object() => {
                for (purpose, answer) in value.as_object().expect("an object") {
                    let field = format!("{path}.{purpose}");
                    let Some(answer) = scalar(answer) else { continue };
                    let state = consent_state(&answer).map_err(|problem| problem.field(&*field))?;
                    let purpose = Slug::purpose(purpose).map_err(|problem| problem.field(field))?;
                    self.answer(patch, purpose, state, None);
                }
            }
            "push_subscription" if value.is_object() => {
                patch.push.push(subscription(value).map_err(|problem| problem.field(path))?);
            }
            "id" | "user_id" | "anonymous_id" => {}
            other => self.read_field(other, name, value, path, patch)?,
        }
        Ok(())
    }

    /// The country is a built-in field; the rest are fields like others.
    fn read_address(&self, address: &Map<String, Json>, path: &str, patch: &mut ContactPatch) -> Result<()> {
        for (name, value) in address {
            let field = format!("{path}.{name}");
            if name == "country" {
                self.read_trait(name, value, &field, patch)?;
            } else {
                let name = format!("address_{}", snake(name));
                self.read_field(&name, &name, value, &field, patch)?;
            }
        }
        Ok(())
    }

    /// A defined field by its type; another as the workspace wants it.
    fn read_field(
        &self,
        name: &str,
        given: &str,
        value: &Json,
        path: &str,
        patch: &mut ContactPatch,
    ) -> Result<()> {
        let same = |def: &&FieldDef| {
            let slug = def.slug.as_str();
            slug == given || slug == name || slug.replace('-', "_") == name
        };
        if let Some(def) = self.mapper.fields.iter().find(same) {
            let value = typed(value, &def.kind)?;
            patch.fields.insert(def.slug.to_string(), value);
            return Ok(());
        }
        // What the base works out itself, and what the shop's mail server says, is nobody's to tell.
        if BUILT_IN_FIELDS.iter().any(|(built_in, _)| *built_in == name) {
            return Ok(());
        }
        match self.mapper.rules.unknown_traits {
            UnknownTraits::Drop => Ok(()),
            UnknownTraits::Refuse => {
                let known = self.mapper.fields.iter().map(|def| def.slug.as_str());
                Err(Problem::new("trait.unknown", format!("the workspace has no field `{given}`"))
                    .field(path)
                    .suggest(name, known))
            }
            UnknownTraits::Keep => {
                patch.undefined.fields_max = self.mapper.rules.unknown_traits_max;
                keep(name, value, path, patch, TRAIT_DEPTH_MAX)
            }
        }
    }

    fn birth_date(&self, text: &str) -> Result<i32> {
        let invalid = || {
            Problem::new("date.invalid", format!("`{text}` is not a date of birth"))
                .value(text)
                .cure("write it as in 1984-05-31")
        };
        // Nobody was born before 1880, and nobody tomorrow.
        const EARLIEST: i32 = -32_872;
        model::field::parse_date(text.get(..10).unwrap_or(text))
            .filter(|days| (EARLIEST..=self.received_at.day_utc()).contains(days))
            .ok_or_else(invalid)
    }

    fn answer(&self, patch: &mut ContactPatch, purpose: Slug, state: ConsentState, source: Option<String>) {
        if !self.mapper.rules.consent {
            return;
        }
        let page = self.message.context.as_ref().and_then(|context| context.page.as_ref());
        let url = page.and_then(|page| page.get("url")).and_then(Json::as_str).unwrap_or_default();
        let id = self.message.message_id.as_deref().unwrap_or_default();
        let proof = format!("track:{id} {url}");
        let proof = proof.trim_end().chars().take(500).collect();
        let source = source.unwrap_or_else(|| "tracking".to_owned());
        if state == ConsentState::Subscribed
            && let Some((mail, expires_at)) = self.question(&purpose)
        {
            // How often somebody is asked is counted by our clock, not by the sender's.
            let at = self.received_at;
            patch.to_confirm.push(ToConfirm { purpose, at, source, proof, mail, expires_at });
            return;
        }
        patch.consents.push(Consent { purpose, state, at: self.at, source, proof });
    }

    fn question(&self, purpose: &Slug) -> Option<(OutboxMessage, Timestamp)> {
        let locale = self.message.context.as_ref().and_then(|context| context.locale.as_deref());
        let lang = locale.map(Lang::of_locale).unwrap_or_default();
        self.mapper.confirm.as_ref()?.question(purpose, lang, self.received_at)
    }

    /// `Subscribed` and `Unsubscribed` with `purpose` and perhaps `source`.
    pub(super) fn consent_event(&mut self, kind: &str, properties: &Map<String, Json>) -> Result<()> {
        let purpose = match properties.get("purpose").and_then(Json::as_str) {
            Some(text) => Slug::purpose(text).map_err(|problem| problem.field("properties.purpose"))?,
            None => self.mapper.rules.purpose.clone(),
        };
        let source = properties.get("source").and_then(Json::as_str);
        if let Some(source) = source {
            check_text(source, "properties.source", ID_LEN_MAX)?;
        }
        let mut patch = identity::patch(&self.contact);
        // Somebody who asks for mail gives the address with it.
        if let Some(email) = properties.get("email").and_then(Json::as_str) {
            patch.email =
                Some(parse_email(email.trim()).map_err(|problem| problem.field("properties.email"))?);
        }
        let state =
            if kind == kind::SUBSCRIBED { ConsentState::Subscribed } else { ConsentState::Unsubscribed };
        self.answer(&mut patch, purpose, state, source.map(str::to_owned));
        self.batch.contacts.push(patch);
        Ok(())
    }

    pub(super) fn group(&mut self) -> Result<()> {
        let Some(id) = self.message.group_id.clone() else {
            return Err(crate::values::missing("groupId"));
        };
        let mut patch = identity::patch(&self.contact);
        match self.mapper.rules.groups {
            Groups::Ignore => return Ok(()),
            Groups::Lists => {
                let slug = Slug::parse(&slug_of(&id)).map_err(|problem| problem.field("groupId"))?;
                patch.lists.push(slug);
            }
            Groups::Fields => {
                self.read_field("group_id", "group_id", &id.into(), "groupId", &mut patch)?;
                for (name, value) in &self.message.traits.take().unwrap_or_default() {
                    let field = format!("group_{}", snake(name));
                    self.read_field(&field, &field, value, &format!("traits.{name}"), &mut patch)?;
                }
            }
        }
        self.batch.contacts.push(patch);
        Ok(())
    }

    pub(super) fn alias(&mut self) -> Result<()> {
        let Some(previous) = self.message.previous_id.clone() else {
            return Err(crate::values::missing("previousId"));
        };
        if self.message.user_id.is_none() {
            return Err(crate::values::missing("userId"));
        }
        super::check_id("previousId", &previous)?;
        let mut patch = identity::patch(&self.contact);
        // It may be what a browser called itself, or an id that the shop gave before.
        patch.anonymous_ids.push(previous.clone());
        patch.former_ids.push(previous);
        self.batch.contacts.push(patch);
        Ok(())
    }
}

fn put<T>(place: &mut Option<T>, given: Option<T>) {
    if given.is_some() {
        *place = given;
    }
}

fn zone(name: &str) -> Result<String> {
    Zone::parse(name).map(|_| name.to_owned())
}

fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// A value of a defined field; none, which removes it, for null.
fn typed(value: &Json, kind: &FieldType) -> Result<Option<Value>> {
    let text = match value {
        Json::Null => return Ok(None),
        Json::Array(items) => {
            let texts: Option<Vec<String>> = items.iter().map(scalar).collect();
            texts.map(|texts| texts.join("|"))
        }
        other => scalar(other),
    };
    let Some(text) = text else {
        return Err(Problem::new("field.type", format!("this does not fit a field of type {}", kind.word()))
            .value(value));
    };
    // Browsers write dates with their time.
    let text = match kind {
        FieldType::Date if text.len() > 10 => text.get(..10).unwrap_or(&text).to_owned(),
        _ => text,
    };
    check_text(&text, "", FieldDef::TEXT_LEN_MAX).map_err(|problem| Problem { field: None, ..problem })?;
    Value::parse(&text, kind).map(Some)
}

/// An unknown trait under its own name, what is inside an object under the names of both.
fn keep(name: &str, value: &Json, path: &str, patch: &mut ContactPatch, depth: usize) -> Result<()> {
    let value = match value {
        Json::Null => None,
        Json::Bool(flag) => Some(Value::Boolean(*flag)),
        Json::Number(number) => Some(match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => Value::Decimal(model::Amount::from_f64(number.as_f64().unwrap_or(f64::NAN))?),
        }),
        Json::String(text) => {
            check_text(text, path, FieldDef::TEXT_LEN_MAX)?;
            Some(Value::Text(text.clone()))
        }
        Json::Array(items) => {
            let texts: Option<Vec<String>> = items.iter().map(scalar).collect();
            let Some(mut texts) = texts else {
                return Err(Problem::new(
                    "trait.type",
                    "a list of a trait holds texts, numbers, true and false",
                )
                .field(path)
                .cure("send it as separate traits"));
            };
            texts.sort_unstable();
            texts.dedup();
            Some(Value::Options(texts))
        }
        Json::Object(map) => {
            if depth == 0 {
                return Err(Problem::new("trait.too_deep", "the trait is nested too deep")
                    .field(path)
                    .cure(format!("nest at most {TRAIT_DEPTH_MAX} levels")));
            }
            for (inner, value) in map {
                keep(
                    &format!("{name}_{}", snake(inner)),
                    value,
                    &format!("{path}.{inner}"),
                    patch,
                    depth - 1,
                )?;
            }
            return Ok(());
        }
    };
    if name.is_empty() || name.len() > ID_LEN_MAX || name.chars().any(char::is_control) {
        return Err(Problem::new("trait.name", "the name of a trait is empty or too long")
            .field(path)
            .value(name));
    }
    if value.is_some() {
        patch.undefined.names.push(name.to_owned());
    }
    patch.fields.insert(name.to_owned(), value);
    Ok(())
}

fn subscription(value: &Json) -> Result<PushSubscription> {
    let text = |value: Option<&Json>| value.and_then(Json::as_str).unwrap_or_default().to_owned();
    let keys = value.get("keys");
    push::checked(PushSubscription {
        endpoint: text(value.get("endpoint")),
        p256dh: text(keys.and_then(|keys| keys.get("p256dh"))),
        auth: text(keys.and_then(|keys| keys.get("auth"))),
    })
}

/// `firstName` and `First Name` as `first_name`.
fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut before = '_';
    for c in name.trim().chars() {
        if c.is_uppercase() {
            if before.is_lowercase() || before.is_ascii_digit() {
                out.push('_');
            }
            out.extend(c.to_lowercase());
        } else if c.is_alphanumeric() {
            out.push(c);
        } else if before.is_alphanumeric() {
            out.push('_');
        }
        before = c;
    }
    out.truncate(out.trim_end_matches('_').len());
    out
}

fn slug_of(text: &str) -> String {
    let lower = text.trim().to_lowercase();
    let slug: String = lower
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' { c } else { '-' })
        .collect();
    slug.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_traits() {
        for (given, name) in [
            ("firstName", "first_name"),
            ("first_name", "first_name"),
            ("Loyalty Points", "loyalty_points"),
            ("loyalty-points", "loyalty_points"),
            ("VIP", "vip"),
            ("size2Shoes", "size2_shoes"),
            ("  ", ""),
        ] {
            assert_eq!(snake(given), name, "{given}");
        }
        assert_eq!(slug_of(" Club & Friends "), "club---friends");
    }
}
