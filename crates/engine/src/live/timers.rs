//! What a contact's alarm rings for beside its enrolments: carts that become abandoned, dates that come near.
//!
//! Timers are derived from the contact's carts and profile and from the triggers of the journeys at work, so they can be
//! made anew at any time; what is kept saves looking.

use std::collections::BTreeSet;

use jiff::{ToSpan, civil};
use journey::entry::{DateTrigger, On};
use model::{Cart, Event, Product, ProductId, Slug, Timestamp, Value, Zone, event::kind};
use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use storage::{Result, Storage, live::NewWave, segments::IdRange};

use super::Book;

/// Kind of the event that has a contact's timers made anew; nobody outside of the engine sees it.
pub const TIMERS_CHECKED: &str = "relance: timers";

/// Something to ring for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// When.
    pub due: Timestamp,
    /// What for.
    pub what: What,
}

/// What a timer rings for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A cart was left alone for so long.
    Cart {
        /// The shop's id of it.
        cart: String,
        /// Its last change when the timer was set: another change sets another timer.
        changed_at: Timestamp,
        /// For how long, in microseconds.
        after: i64,
    },
    /// A date that a trigger names.
    Date {
        /// The journey.
        journey: Slug,
        /// The trigger's place in it.
        trigger: u16,
        /// The date, in days since 1970-01-01.
        day: i32,
    },
}

/// All timers of a contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timers(Vec<Timer>);

const VERSION: u8 = 1;

impl Timers {
    /// Reads them; none at all where the bytes are of no version that is known: they are made anew by the next change.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let read = bytes.split_first().filter(|(version, _)| **version == VERSION);
        Self(read.and_then(|(_, json)| serde_json::from_slice(json).ok()).unwrap_or_default())
    }

    /// Writes them; empty when there are none.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut bytes = vec![VERSION];
        // Texts and numbers always can be written.
        drop(serde_json::to_writer(&mut bytes, &self.0));
        bytes
    }

    /// Takes over what the alarms of merged contacts were to ring for: property [`OF_MERGED`] of `Contact Merged`. Dates are
    /// those of the joined profile, so the caller sets them.
    pub fn take_over(&mut self, event: &Event) {
        let lists = event.properties.get(OF_MERGED).and_then(Json::as_array);
        for list in lists.into_iter().flatten() {
            let bytes: Vec<u8> = serde_json::from_value(list.clone()).unwrap_or_default();
            for timer in Self::from_bytes(&bytes).0 {
                if matches!(timer.what, What::Cart { .. }) && !self.0.contains(&timer) {
                    self.0.push(timer);
                }
            }
        }
    }

    /// The earliest.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.0.iter().map(|timer| timer.due).min()
    }

    /// Takes out those that ring until `now`, the earliest first.
    pub fn ring(&mut self, now: Timestamp) -> Vec<Timer> {
        let (mut due, later) =
            std::mem::take(&mut self.0).into_iter().partition::<Vec<_>, _>(|t| t.due <= now);
        self.0 = later;
        due.sort_by_key(|timer| timer.due);
        due
    }

    /// Sets the timers of a cart that was changed, one for each time that triggers name; none for an empty cart.
    pub fn set_cart(&mut self, cart: &str, changed_at: Timestamp, is_empty: bool, book: &Book) {
        self.0.retain(|timer| !matches!(&timer.what, What::Cart { cart: known, .. } if known == cart));
        if is_empty {
            return;
        }
        for after in abandoned_after(book) {
            let what = What::Cart { cart: cart.to_owned(), changed_at, after };
            self.0.push(Timer { due: changed_at.plus(after), what });
        }
    }

    /// Drops the timers of a cart that was bought.
    pub fn drop_cart(&mut self, cart: &str) {
        self.0.retain(|timer| !matches!(&timer.what, What::Cart { cart: known, .. } if known == cart));
    }

    /// Sets the timers of all date triggers, for the first moment after `now`.
    pub fn set_dates(
        &mut self,
        field: impl Fn(&str) -> Option<Value>,
        own: &Zone,
        shop: &Zone,
        now: Timestamp,
        book: &Book,
    ) {
        self.0.retain(|timer| !matches!(timer.what, What::Date { .. }));
        for live in book.journeys.iter().filter(|live| live.open || live.holds) {
            for (place, listener) in live.rules.journey.triggers.iter().enumerate() {
                let On::Date(trigger) = &listener.on else { continue };
                let zone = if trigger.contact_zone { own } else { shop };
                let Some(day) = field(&trigger.field).as_ref().and_then(|value| day_of(value, zone)) else {
                    continue;
                };
                let Some((due, day)) = next(trigger, day, zone, now) else { continue };
                let journey = live.rules.journey.slug.clone();
                self.0.push(Timer { due, what: What::Date { journey, trigger: place as u16, day } });
            }
        }
    }
}

/// The times after which triggers call a cart abandoned.
#[must_use]
pub fn abandoned_after(book: &Book) -> BTreeSet<i64> {
    let open = book.journeys.iter().filter(|live| live.open || live.holds);
    open.flat_map(|live| &live.rules.journey.triggers)
        .filter_map(|listener| match listener.on {
            On::CartAbandoned { after } => Some(after),
            _ => None,
        })
        .collect()
}

/// Whether any trigger is a date of the contact.
#[must_use]
pub fn has_dates(book: &Book) -> bool {
    let open = book.journeys.iter().filter(|live| live.open || live.holds);
    open.flat_map(|live| &live.rules.journey.triggers).any(|listener| matches!(listener.on, On::Date(_)))
}

fn day_of(value: &Value, zone: &Zone) -> Option<i32> {
    match value {
        Value::Date(day) => Some(*day),
        Value::Instant(at) => Some(day_number(at.civil(zone).date())),
        _ => None,
    }
}

fn civil_day(day: i32) -> Option<civil::Date> {
    civil::date(1970, 1, 1).checked_add(i64::from(day).days()).ok()
}

fn day_number(date: civil::Date) -> i32 {
    date.since(civil::date(1970, 1, 1)).map_or(0, |span| span.get_days())
}

/// When a date trigger rings next after `now`, and for which date. A yearly one on 29 February rings on the 28th in
/// other years; one that is past and does not come again never rings.
fn next(trigger: &DateTrigger, day: i32, zone: &Zone, now: Timestamp) -> Option<(Timestamp, i32)> {
    let date = civil_day(day)?;
    let rings = |date: civil::Date| -> Option<(Timestamp, i32)> {
        let on = date.checked_add(i64::from(trigger.offset_days).days()).ok()?;
        let time = civil::time((trigger.minute / 60) as i8, (trigger.minute % 60) as i8, 0, 0);
        let at = on.to_datetime(time).to_zoned(zone.jiff().clone()).ok()?;
        Some((Timestamp::from_jiff(at.timestamp()), day_number(date)))
    };
    if !trigger.yearly {
        return rings(date).filter(|(at, _)| *at > now);
    }
    let year = now.civil(zone).year();
    // An offset may reach into the year before or after.
    (year - 1..=year + 2).find_map(|year| {
        let last = civil::Date::new(year, date.month(), 1).ok()?.days_in_month();
        let anniversary = civil::Date::new(year, date.month(), date.day().min(last)).ok()?;
        rings(anniversary).filter(|(at, _)| *at > now)
    })
}

/// Setting: what timers were made for.
const KNOWN: &str = "timers_known";

/// Has the timers made anew of those whom a trigger concerns that was not there before: everybody for a date, those with
/// an open cart for abandoned carts.
///
/// # Errors
/// What storage says. Killed between its two transactions, it makes them anew once more, which does no harm.
pub async fn renew<S: Storage>(store: &S, book: &Book, now: Timestamp) -> Result<()> {
    let carts: BTreeSet<String> = abandoned_after(book).iter().map(|after| format!("cart {after}")).collect();
    let open = book.journeys.iter().filter(|live| live.open);
    let dates: BTreeSet<String> = open
        .flat_map(|live| live.rules.journey.triggers.iter().map(move |listener| (live, listener)))
        .filter_map(|(live, listener)| match &listener.on {
            On::Date(date) => Some(format!("date {} {date:?}", live.rules.journey.slug)),
            _ => None,
        })
        .collect();
    let known: BTreeSet<String> = match store.load_setting(KNOWN.to_owned()).await? {
        Some(json) => serde_json::from_value(json).unwrap_or_default(),
        None => BTreeSet::new(),
    };
    let wanted: BTreeSet<String> = carts.union(&dates).cloned().collect();
    if wanted == known {
        return Ok(());
    }
    let contacts = if !dates.is_subset(&known) {
        store.load_contact_ids().await?
    } else if !carts.is_subset(&known) {
        let all: IdRange = 0..=i64::MAX;
        let add = |ids: &mut RoaringTreemap, cart: &Cart| {
            ids.insert(cart.contact.0.unsigned_abs());
        };
        store.fold_open_carts(all, RoaringTreemap::new(), add).await?
    } else {
        RoaringTreemap::new()
    };
    if !contacts.is_empty() {
        let event = Event {
            contact: model::ContactId(0),
            at: now,
            received_at: now,
            kind: TIMERS_CHECKED.into(),
            message_id: None,
            properties: Map::new(),
        };
        store.add_inputs(Vec::new(), vec![NewWave { event, causes: 0, contacts }]).await?;
    }
    store.save_setting(KNOWN.to_owned(), json!(wanted)).await
}

/// The event of a cart that was left alone.
#[must_use]
pub fn cart_abandoned<'p>(
    cart: &Cart,
    after: i64,
    at: Timestamp,
    now: Timestamp,
    product: impl Fn(ProductId) -> Option<&'p Product>,
) -> Event {
    let lines = cart.lines.iter().filter(|line| line.quantity > 0).filter_map(|line| {
        let product = product(line.product)?;
        Some(json!({
            "product_id": product.external_id,
            "quantity": line.quantity,
            "price": amount(line.unit_price),
        }))
    });
    let mut properties = Map::new();
    properties.insert("cart_id".into(), json!(cart.external_id));
    properties.insert("total".into(), amount(cart.total));
    properties.insert("currency".into(), json!(cart.currency.code()));
    properties.insert("products".into(), Json::Array(lines.collect()));
    if let Some(url) = &cart.recovery_url {
        properties.insert("recovery_url".into(), json!(url));
    }
    properties.insert(AFTER.into(), json!(after / Timestamp::SECOND));
    Event {
        contact: cart.contact,
        at,
        received_at: now,
        kind: kind::CART_ABANDONED.into(),
        message_id: None,
        properties,
    }
}

/// Property of `Contact Merged`: bytes of timers, as lists of numbers.
pub const OF_MERGED: &str = "timers";
/// Property of an abandoned cart's event: for how many seconds it was left alone.
pub const AFTER: &str = "abandoned_after";
/// Property of an event that the engine raises for one journey: its slug.
pub const JOURNEY: &str = "journey";
/// Property of an event that the engine raises for one trigger: its place in the journey.
pub const TRIGGER: &str = "trigger";

/// An amount as JSON, exactly.
fn amount(amount: model::Amount) -> Json {
    serde_json::from_str(&amount.to_string()).unwrap_or(Json::Null)
}

/// The event of a date that has come near.
#[must_use]
pub fn date_reached(
    journey: &Slug,
    trigger: u16,
    field: &str,
    day: i32,
    at: Timestamp,
    now: Timestamp,
) -> Event {
    let date = civil_day(day).map(|date| date.to_string()).unwrap_or_default();
    let properties = [
        (JOURNEY, json!(journey.as_str())),
        (TRIGGER, json!(trigger)),
        ("field", json!(field)),
        ("date", json!(date)),
    ];
    Event {
        contact: model::ContactId(0),
        at,
        received_at: now,
        kind: kind::DATE_REACHED.into(),
        message_id: None,
        properties: properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

/// Whether an event that the engine raised for one trigger is meant for this one.
#[must_use]
pub fn is_for(event: &Event, journey: &Slug, trigger: usize, on: &On) -> bool {
    let number = |name: &str| event.properties.get(name).and_then(Json::as_i64);
    let text = |name: &str| event.properties.get(name).and_then(Json::as_str);
    match on {
        On::CartAbandoned { after } => {
            number(AFTER).is_none_or(|seconds| seconds == after / Timestamp::SECOND)
        }
        On::Api => text(JOURNEY) == Some(journey.as_str()),
        On::Date(_) | On::Schedule(_) | On::PriceDrop(_) | On::BackInStock(_) | On::LowStock(_) => {
            text(JOURNEY).is_none_or(|slug| slug == journey.as_str())
                && number(TRIGGER).is_none_or(|place| usize::try_from(place) == Ok(trigger))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trigger(offset_days: i32, yearly: bool) -> DateTrigger {
        DateTrigger { field: "birth_date".into(), offset_days, minute: 9 * 60, contact_zone: true, yearly }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text, &Zone::UTC).unwrap()
    }

    fn day(text: &str) -> i32 {
        day_number(text.parse().unwrap())
    }

    #[test]
    fn dates_come_again() {
        let paris = Zone::parse("Europe/Paris").unwrap();
        for (trigger, date, zone, now, expected) in [
            // Winter and summer time.
            (trigger(0, true), "1980-01-15", &paris, "2026-01-10T00:00:00Z", Some("2026-01-15T08:00:00Z")),
            (trigger(0, true), "1980-07-15", &paris, "2026-01-10T00:00:00Z", Some("2026-07-15T07:00:00Z")),
            // Past this year: the next.
            (
                trigger(0, true),
                "1980-01-05",
                &Zone::UTC,
                "2026-01-10T00:00:00Z",
                Some("2027-01-05T09:00:00Z"),
            ),
            // This very moment has rung.
            (
                trigger(0, true),
                "1980-01-10",
                &Zone::UTC,
                "2026-01-10T09:00:00Z",
                Some("2027-01-10T09:00:00Z"),
            ),
            // Before the date, across the end of the year.
            (
                trigger(-10, true),
                "1980-01-05",
                &Zone::UTC,
                "2026-12-20T00:00:00Z",
                Some("2026-12-26T09:00:00Z"),
            ),
            (
                trigger(10, true),
                "1980-12-28",
                &Zone::UTC,
                "2027-01-01T00:00:00Z",
                Some("2027-01-07T09:00:00Z"),
            ),
            // 29 February.
            (
                trigger(0, true),
                "1980-02-29",
                &Zone::UTC,
                "2026-01-10T00:00:00Z",
                Some("2026-02-28T09:00:00Z"),
            ),
            (
                trigger(0, true),
                "1980-02-29",
                &Zone::UTC,
                "2028-01-10T00:00:00Z",
                Some("2028-02-29T09:00:00Z"),
            ),
            // Once.
            (
                trigger(3, false),
                "2026-01-10",
                &Zone::UTC,
                "2026-01-10T00:00:00Z",
                Some("2026-01-13T09:00:00Z"),
            ),
            (trigger(3, false), "2026-01-10", &Zone::UTC, "2026-01-13T09:00:00Z", None),
        ] {
            let next = next(&trigger, day(date), zone, at(now)).map(|(at, _)| at);
            assert_eq!(next, expected.map(at), "{date} as of {now}");
        }
    }

    #[test]
    fn bytes_read_back_and_unknown_ones_are_nothing() {
        let cart = What::Cart { cart: "c".into(), changed_at: Timestamp(1), after: 5 };
        let date = What::Date { journey: Slug::parse("j").unwrap(), trigger: 1, day: 3 };
        let mut timers =
            Timers(vec![Timer { due: Timestamp(9), what: date }, Timer { due: Timestamp(6), what: cart }]);
        assert_eq!(Timers::from_bytes(&timers.to_bytes()), timers);
        assert_eq!(Timers::from_bytes(&[7, 1, 2]), Timers::default());
        assert_eq!(timers.due(), Some(Timestamp(6)));
        assert_eq!(timers.ring(Timestamp(6)).len(), 1);
        assert_eq!(timers.due(), Some(Timestamp(9)));
        timers.drop_cart("c");
        assert_eq!(timers.ring(Timestamp(9)).len(), 1);
        assert!(timers.to_bytes().is_empty());
    }
}
