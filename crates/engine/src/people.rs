//! Contacts as people: everything that is kept of one as a document, and how long what is kept.

use std::collections::BTreeMap;

use journey::trace;
use model::{Amount, Cart, Line, Order, Problem, Problems, ProductId, Slug, Timestamp, Value, doc};
use serde_json::{Map, Value as Json, json};
use storage::{
    Result, Storage, StoreError,
    outbox::MessageRow,
    people::{Person, Retention, SweepPlace, Swept},
};

use crate::rules;

/// Setting: how long what is kept. See docs/privacy.md.
pub const RETENTION: &str = "retention";

/// Reads the setting, JSON or YAML.
///
/// # Errors
/// `retention.invalid` for a part that is not known, `retention.days` for a number that is no number of days.
pub fn parse_retention(text: &str) -> std::result::Result<Retention, Problems> {
    let one = |problem: Problem| vec![problem];
    let root = doc::parse(text).map_err(one)?;
    let known = Retention::default().parts().map(|(name, _)| name);
    let entries = root.entries().ok_or_else(|| {
        one(root.problem("doc.type", "expected a mapping").cure("write events: 730, with days for each part"))
    })?;
    let (mut parts, mut problems) = (Map::new(), Problems::new());
    for entry in entries {
        let name = entry.key.as_str();
        if !known.contains(&name) {
            let problem =
                Problem::new("retention.invalid", format!("nothing of that kind is kept: `{name}`"));
            problems.push(problem.field(name.to_owned()).at(entry.place).suggest(name, known));
            continue;
        }
        let text = entry.value.scalar().unwrap_or_default();
        match text.parse::<u32>() {
            Ok(days) if (Retention::DAYS_MIN..=Retention::DAYS_MAX).contains(&days) => {
                parts.insert(name.to_owned(), json!(days));
            }
            _ => problems.push(
                Problem::new("retention.days", format!("`{text}` is not a number of days that can be kept"))
                    .field(name.to_owned())
                    .value(text)
                    .at(entry.place)
                    .cure(format!(
                        "give {} to {} days, or leave it out to keep it for good",
                        Retention::DAYS_MIN,
                        Retention::DAYS_MAX
                    )),
            ),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    serde_json::from_value(Json::Object(parts))
        .map_err(|error| one(Problem::new("retention.invalid", error.to_string())))
}

/// The setting in force.
///
/// # Errors
/// What storage says; a stored setting that does not read back.
pub async fn retention<S: Storage>(store: &S) -> Result<Retention> {
    match store.load_setting(RETENTION.to_owned()).await? {
        None => Ok(Retention::default()),
        Some(json) => parse_retention(&json.to_string()).map_err(crate::segments::first),
    }
}

/// Does the whole work of retention, piece by piece, each in a transaction of its own.
///
/// # Errors
/// What storage says; what was done before stays done.
pub async fn sweep<S: Storage>(store: &S, kept: Retention, now: Timestamp) -> Result<Swept> {
    let (mut all, mut place) = (Swept::default(), SweepPlace::default());
    loop {
        let swept = store.sweep(kept, place, now).await?;
        all.events += swept.events;
        all.carts += swept.carts;
        all.bodies += swept.bodies;
        all.traces += swept.traces;
        all.contacts += swept.contacts;
        match swept.next {
            Some(next) => place = next,
            None => return Ok(all),
        }
    }
}

/// Everything that is kept of a contact, as one document; none when it is not known.
///
/// # Errors
/// What storage says.
pub async fn export<S: Storage>(
    store: &S,
    contact: model::ContactId,
    now: Timestamp,
) -> Result<Option<Json>> {
    let Some(person) = store.load_person(contact, now).await? else { return Ok(None) };
    let consents = store.load_consent_log(person.contact.id).await?;
    let placements = store.load_placements(vec![person.contact.id]).await?.into_iter().next();
    let segments = store.load_memberships(vec![person.contact.id]).await?.into_iter().next();
    let journeys = journeys(store, &person).await?;
    let names = Names::of(&person);
    let consents: Vec<Json> = consents
        .iter()
        .map(|entry| {
            json!({
                "at": entry.at, "purpose": entry.purpose, "step": entry.step.word(), "source": entry.source,
                "proof": entry.proof,
            })
        })
        .collect();
    Ok(Some(json!({
        "format": 1,
        "exported_at": now,
        "contact": profile(&person),
        "identifiers": person.also.iter().map(|(kind, value)| json!({"kind": kind.word(), "value": value}))
            .collect::<Vec<_>>(),
        "merged": person.merged.iter().map(|(id, at)| json!({"contact": id, "at": at})).collect::<Vec<_>>(),
        "consent_history": consents,
        "rfm": placements.unwrap_or_default(),
        "segments": segments.unwrap_or_default(),
        "events": person.events.iter().map(|event| json!({
            "at": event.at, "received_at": event.received_at, "event": event.kind, "message_id": event.message_id,
            "properties": event.properties,
        })).collect::<Vec<_>>(),
        "orders": person.orders.iter().map(|order| names.order(order)).collect::<Vec<_>>(),
        "carts": person.carts.iter().map(|cart| names.cart(cart)).collect::<Vec<_>>(),
        "messages": person.messages.iter().map(message).collect::<Vec<_>>(),
        "journeys": journeys,
        "coupons": person.coupons.iter().map(|held| json!({
            "set": held.set, "code": held.code, "at": held.at, "expires_at": held.expires_at,
            "redeemed_at": held.redeemed_at, "order_id": held.order_id,
        })).collect::<Vec<_>>(),
        "suppressions": person.suppressions.iter().map(|one| json!({
            "reason": one.reason, "since": one.since, "until": one.until, "detail": one.detail,
        })).collect::<Vec<_>>(),
    })))
}

/// A value of a field as JSON has it.
#[must_use]
pub fn plain(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Integer(n) => json!(n),
        Value::Decimal(amount) => number(*amount),
        Value::Boolean(yes) => json!(yes),
        Value::Options(options) => json!(options),
        Value::Date(_) | Value::Instant(_) => json!(value.to_string()),
    }
}

/// An amount as a number, exactly.
fn number(amount: Amount) -> Json {
    serde_json::from_str(&amount.to_string()).unwrap_or(Json::Null)
}

/// The profile, with the values of its fields as people write them.
fn profile(person: &Person) -> Json {
    let contact = &person.contact;
    let mut profile = serde_json::to_value(contact).unwrap_or_default();
    if let Json::Object(map) = &mut profile {
        map.insert("birth_date".into(), json!(contact.birth_date.map(model::field::format_date)));
        let fields: Map<String, Json> =
            contact.fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
        map.insert("fields".into(), Json::Object(fields));
    }
    profile
}

/// Products by number: the shop's id and the name.
struct Names<'p>(BTreeMap<ProductId, (&'p str, &'p str)>);

impl<'p> Names<'p> {
    fn of(person: &'p Person) -> Self {
        Self(person.products.iter().map(|(id, code, name)| (*id, (code.as_str(), name.as_str()))).collect())
    }

    fn lines(&self, lines: &[Line]) -> Vec<Json> {
        let line = |line: &Line| {
            let (code, name) = self.0.get(&line.product).copied().unwrap_or_default();
            json!({
                "product_id": code, "name": name, "quantity": line.quantity, "price": number(line.unit_price),
            })
        };
        lines.iter().map(line).collect()
    }

    fn order(&self, order: &Order) -> Json {
        json!({
            "order_id": order.external_id, "at": order.at, "total": number(order.total),
            "refunded": number(order.refunded), "currency": order.currency.code(), "status": order.status,
            "lines": self.lines(&order.lines),
        })
    }

    fn cart(&self, cart: &Cart) -> Json {
        json!({
            "cart_id": cart.external_id, "updated_at": cart.updated_at, "total": number(cart.total),
            "currency": cart.currency.code(), "recovery_url": cart.recovery_url, "lines": self.lines(&cart.lines),
        })
    }
}

fn message(row: &MessageRow) -> Json {
    let send = &row.message.send;
    let variables: Json = serde_json::from_str(&row.message.variables).unwrap_or_default();
    json!({
        "message_id": row.message.id.to_string(), "decided_at": row.message.decided_at, "at": row.at,
        "state": row.state.word(), "reason": row.reason, "detail": row.detail, "journey": send.journey,
        "node": send.node, "channel": send.channel, "purpose": send.purpose, "template": send.template,
        "to": row.message.to, "locale": row.message.locale, "variables": variables,
    })
}

/// The journeys that it went through, each with its way in words; of a version that cannot be read any more without.
async fn journeys<S: Storage>(store: &S, person: &Person) -> Result<Vec<Json>> {
    let mut versions: BTreeMap<(Slug, u32), Option<journey::Journey>> = BTreeMap::new();
    let mut ways = Vec::new();
    for enrolment in &person.enrolments {
        let key = (enrolment.journey.clone(), enrolment.version);
        if !versions.contains_key(&key) {
            let read = match rules::stored_journey(store, key.0.clone(), key.1).await {
                Ok(read) => Some(read),
                Err(StoreError::Refused(_)) => None,
                Err(error) => return Err(error),
            };
            versions.insert(key.clone(), read);
        }
        let records = trace::decode(&enrolment.trace).unwrap_or_default();
        let way = versions.get(&key).and_then(Option::as_ref).map(|read| trace::describe(&records, read));
        ways.push(json!({
            "journey": enrolment.journey, "version": enrolment.version, "entered_at": enrolment.at, "way": way,
        }));
    }
    Ok(ways)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_at_the_edge_and_one_past_it() {
        let code = |text: &str| parse_retention(text).err().map(|problems| problems[0].code.to_string());
        let days = |days: u32| format!("events: {days}");
        assert_eq!(code(&days(Retention::DAYS_MIN)), None);
        assert_eq!(code(&days(Retention::DAYS_MAX)), None);
        for text in [&days(Retention::DAYS_MIN - 1), &days(Retention::DAYS_MAX + 1), "carts: soon"] {
            assert_eq!(code(text).as_deref(), Some("retention.days"), "{text}");
        }
        assert_eq!(code("evnts: 30").as_deref(), Some("retention.invalid"));
        let kept = parse_retention("{anonymous_contacts: 90, traces: 30}").unwrap();
        assert_eq!((kept.anonymous_contacts, kept.traces, kept.events), (Some(90), Some(30), None));
    }
}
