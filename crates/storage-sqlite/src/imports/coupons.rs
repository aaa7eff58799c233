//! Coupons that orders of a batch used: marked as redeemed, and told as events of their contacts.

use model::{Amount, ContactId, Timestamp, event::kind};
use serde_json::{Map, Value, json};
use storage::{
    Result,
    coupons::{Redeemed, Redemption},
    imports::ImportEvent,
};

use super::Work;
use crate::{
    coupons::{SharedCodes, redeem, shared_codes},
    events::EventRow,
    recent,
    rows::{take_numbers, to_json},
};

/// What a batch's orders redeemed so far.
#[derive(Default)]
pub(super) struct Redemptions {
    /// Loaded with the first order that names a code.
    shared: Option<SharedCodes>,
    /// Events to tell.
    raised: Vec<Raised>,
}

impl Redemptions {
    /// What the loser redeemed is the winner's.
    pub(super) fn merged(&mut self, winner: ContactId, loser: ContactId) {
        for raised in self.raised.iter_mut().filter(|raised| raised.contact == loser) {
            raised.contact = winner;
        }
    }
}

/// A `Coupon Redeemed` event.
struct Raised {
    contact: ContactId,
    at: Timestamp,
    kind: u32,
    properties: String,
}

impl Work<'_> {
    /// Marks the codes that an order names.
    pub(super) fn redeem(&mut self, redemption: &Redemption) -> Result<()> {
        if redemption.codes.is_empty() {
            return Ok(());
        }
        let shared = match self.redemptions.shared.take() {
            Some(shared) => shared,
            None => shared_codes(self.connection)?,
        };
        for Redeemed { set, code, contact } in redeem(self.connection, &shared, redemption)? {
            if contact == ContactId(0) {
                continue;
            }
            let mut properties = Map::new();
            properties.insert("set".to_owned(), json!(set));
            properties.insert("code".to_owned(), json!(code));
            properties.insert("order_id".to_owned(), json!(redemption.order_id));
            properties.insert("net".to_owned(), number(redemption.net));
            let kind = self.kinds.id(self.connection, kind::COUPON_REDEEMED)?;
            let text = to_json(&properties)?;
            self.put(contact, redemption.at, kind, None, &text)?;
            self.redemptions.raised.push(Raised { contact, at: redemption.at, kind, properties: text });
        }
        self.redemptions.shared = Some(shared);
        Ok(())
    }

    /// An event that says that an order used a code: `Order Completed` with a `coupon`, `Coupon Applied` with an
    /// `order_id` (one that was only put to a cart has none, and may be taken off again).
    pub(super) fn redeem_of_event(&mut self, event: &ImportEvent, contact: ContactId) -> Result<()> {
        let names: &[&str] = match event.kind.as_str() {
            kind::ORDER_COMPLETED => &["coupon"],
            kind::COUPON_APPLIED => &["coupon", "code", "coupon_id", "coupon_name"],
            _ => return Ok(()),
        };
        let Some(order_id) = event.properties.get("order_id").and_then(Value::as_str) else { return Ok(()) };
        let codes = names.iter().flat_map(|name| texts(event.properties.get(*name))).collect();
        let total = ["total", "revenue"].iter().find_map(|name| event.properties.get(*name));
        let net = total.and_then(|total| Amount::parse(total.to_string().trim_matches('"')).ok());
        self.redeem(&Redemption {
            codes,
            contact,
            order_id: order_id.to_owned(),
            net: net.unwrap_or(Amount::ZERO),
            at: event.at,
        })
    }

    /// Puts what was redeemed into the contacts' histories.
    pub(super) fn tell_redeemed(&mut self) -> Result<()> {
        let raised = std::mem::take(&mut self.redemptions.raised);
        if raised.is_empty() {
            return Ok(());
        }
        let first = take_numbers(self.connection, "event", raised.len() as i64)?;
        for (no, event) in (first..).zip(&raised) {
            let row = EventRow {
                contact: event.contact,
                at: event.at,
                no,
                kind: event.kind,
                received_at: self.now,
                message_id: None,
                product: None,
                properties: &event.properties,
            };
            recent::add(self.connection, &row)?;
        }
        Ok(())
    }
}

/// A text, or a list of texts.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// An amount as a number of JSON, so that conditions compare it.
fn number(amount: Amount) -> Value {
    serde_json::from_str(&amount.to_string()).unwrap_or_else(|_| json!(amount.to_string()))
}
