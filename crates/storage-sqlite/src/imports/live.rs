//! What happens now: everything new of a live batch becomes an input of the living engine, in the same transaction.
//!
//! Events are inputs as they are. Orders, refunds, carts, contacts and products are kept as what they are, and are inputs
//! under the kinds of [`model::event::kind`]; they are not written into the history of events a second time.

use model::{
    Amount, Consent, ConsentState, Contact, ContactId, Line, Product, ProductId, Timestamp, event::kind,
};
use serde_json::{Value, json};
use storage::{
    Result,
    imports::{ImportBatch, ImportCart, ImportLine, ImportOrder, ImportRefund},
};

use super::{Work, orders::Stored};
use crate::live::{InputRow, Queue, properties_text};

/// A contact that owns a cart that somebody else paid hears of the order, too, with this property set: the cart's series
/// ends, whoever paid.
const PAID_BY_OTHER: &str = "paid_by_other";

/// An amount as events hold it: whole units without a point.
pub(super) fn amount(amount: Amount) -> Value {
    if amount.0 % Amount::SCALE == 0 { json!(amount.0 / Amount::SCALE) } else { json!(amount.to_f64()) }
}

/// The queue's end when the batch is live.
pub(super) fn queue<'c>(
    connection: &'c rusqlite::Connection,
    batch: &ImportBatch,
) -> Result<Option<Queue<'c>>> {
    if batch.live { Queue::open(connection).map(Some) } else { Ok(None) }
}

impl Work<'_> {
    /// Adds an input, when the batch is live.
    pub(super) fn happened(
        &mut self,
        contact: ContactId,
        at: Timestamp,
        kind: &str,
        properties: &Value,
    ) -> Result<()> {
        let properties = match properties {
            Value::Object(map) => properties_text(map)?,
            _ => String::new(),
        };
        let kind = self.kinds.id(self.connection, kind)?;
        self.put(contact, at, kind, None, &properties)
    }

    /// Adds an input whose kind and properties are written already, when the batch is live.
    pub(super) fn put(
        &mut self,
        contact: ContactId,
        at: Timestamp,
        kind: u32,
        message_id: Option<&str>,
        properties: &str,
    ) -> Result<()> {
        let Some(queue) = &mut self.queue else { return Ok(()) };
        queue.add(&InputRow { contact, at, received_at: self.now, kind, message_id, causes: 0, properties })
    }

    /// Products of lines as the file has them, at the price in the workspace's currency.
    fn products_of(&self, given: &[ImportLine]) -> Value {
        let product = |line: &ImportLine| {
            json!({
                "product_id": self.codes[line.product.index()],
                "quantity": line.quantity,
                "price": amount(self.money.convert(line.unit_price)),
            })
        };
        given.iter().map(product).collect()
    }

    /// A contact was made.
    pub(super) fn contact_created(&mut self, contact: &Contact) -> Result<()> {
        if self.queue.is_none() {
            return Ok(());
        }
        let fields = changed_fields(&Contact::default(), contact);
        self.happened(contact.id, self.now, kind::CONTACT_CREATED, &json!({ "fields": fields }))
    }

    /// A contact was changed.
    pub(super) fn contact_updated(&mut self, before: &Contact, after: &Contact) -> Result<()> {
        if self.queue.is_none() {
            return Ok(());
        }
        let fields = changed_fields(before, after);
        if !fields.is_empty() {
            self.happened(after.id, self.now, kind::CONTACT_UPDATED, &json!({ "fields": fields }))?;
        }
        for consent in taken_back(before, after) {
            let purpose = json!({ "purpose": consent.purpose.as_str() });
            self.happened(after.id, consent.at, kind::UNSUBSCRIBED, &purpose)?;
        }
        Ok(())
    }

    /// An order was changed to this.
    pub(super) fn order_updated(
        &mut self,
        contact: ContactId,
        order: &ImportOrder,
        currency: &str,
    ) -> Result<()> {
        if self.queue.is_none() || contact.0 == 0 {
            return Ok(());
        }
        let properties = json!({
            "order_id": order.external_id,
            "total": amount(self.money.convert(order.total)),
            "currency": currency,
            "products": self.products_of(&order.lines),
        });
        self.happened(contact, order.at, kind::ORDER_UPDATED, &properties)
    }

    /// An order came in that was not known. `cart_of` is who owned its cart.
    pub(super) fn order_happened(
        &mut self,
        contact: ContactId,
        order: &ImportOrder,
        currency: &str,
        cart_of: Option<ContactId>,
    ) -> Result<()> {
        if self.queue.is_none() {
            return Ok(());
        }
        let (total, refunded) = (self.money.convert(order.total), self.money.convert(order.refunded));
        let mut properties = json!({
            "order_id": order.external_id,
            "cart_id": order.cart_id.as_ref().unwrap_or(&order.external_id),
            "total": amount(total),
            "currency": currency,
            "products": self.products_of(&order.lines),
        });
        if !order.coupons.is_empty() {
            properties["coupons"] = json!(order.coupons);
        }
        if refunded > Amount::ZERO {
            properties["refunded"] = amount(refunded);
        }
        let kind = if order.status == model::OrderStatus::Cancelled {
            kind::ORDER_CANCELLED
        } else if refunded > Amount::ZERO && refunded >= total {
            kind::ORDER_REFUNDED
        } else {
            kind::ORDER_COMPLETED
        };
        if contact.0 > 0 {
            self.happened(contact, order.at, kind, &properties)?;
        }
        match cart_of {
            Some(owner) if owner != contact && kind == kind::ORDER_COMPLETED => {
                properties[PAID_BY_OTHER] = true.into();
                self.happened(owner, order.at, kind, &properties)
            }
            _ => Ok(()),
        }
    }

    /// So much of an order was paid back at an instant, or it was cancelled. `refund` is what said so, when it was not
    /// the order itself.
    pub(super) fn order_reduced(
        &mut self,
        stored: &Stored,
        refunded: i64,
        back: &[Line],
        cancelled: bool,
        (at, refund): (Timestamp, Option<&ImportRefund>),
    ) -> Result<()> {
        if self.queue.is_none() || stored.key.contact == 0 {
            return Ok(());
        }
        let named = refund.map_or(&[][..], |refund| &refund.lines);
        let products: Value = back
            .iter()
            .map(|line| {
                json!({
                    "product_id": self.name_of(line.product, named),
                    "quantity": -line.quantity,
                    "price": amount(line.unit_price),
                })
            })
            .collect();
        let mut properties = json!({
            "order_id": stored.external_id,
            "cart_id": stored.cart_id.as_ref().unwrap_or(&stored.external_id),
            "total": amount(Amount(stored.total)),
            "currency": stored.currency,
            "refunded": amount(Amount(refunded)),
            "amount": amount(Amount(refunded - stored.refunded)),
            "products": products,
        });
        if let Some(refund) = refund {
            properties["refund_id"] = refund.external_id.as_str().into();
        }
        let kind = if cancelled { kind::ORDER_CANCELLED } else { kind::ORDER_REFUNDED };
        self.happened(ContactId(stored.key.contact), at, kind, &properties)
    }

    /// The shop's id of a product that one of these lines names.
    fn name_of(&self, product: ProductId, lines: &[ImportLine]) -> Option<&str> {
        lines
            .iter()
            .map(|line| line.product.index())
            .find(|code| self.products.get(*code) == Some(&Some(product)))
            .map(|code| self.codes[code].as_str())
    }

    /// A cart was changed. One that was another contact's is empty for that contact.
    pub(super) fn cart_happened(
        &mut self,
        contact: ContactId,
        cart: &ImportCart,
        currency: &str,
        owner_before: Option<ContactId>,
    ) -> Result<()> {
        if self.queue.is_none() {
            return Ok(());
        }
        let of = |lines: &[ImportLine], products: Value| {
            let price = |line: &ImportLine| self.money.convert(line.unit_price).times(line.quantity);
            let total: i128 = lines.iter().map(price).sum();
            let items: i64 = lines.iter().map(|line| line.quantity).sum();
            json!({
                "cart_id": cart.external_id,
                "total": amount(Amount(i64::try_from(total).unwrap_or(i64::MAX))),
                "currency": currency,
                "recovery_url": cart.recovery_url,
                "item_count": items,
                "products": products,
            })
        };
        let full = of(&cart.lines, self.products_of(&cart.lines));
        let empty = of(&[], json!([]));
        if let Some(owner) = owner_before.filter(|owner| *owner != contact) {
            self.happened(owner, cart.updated_at, kind::CART_UPDATED, &empty)?;
        }
        self.happened(contact, cart.updated_at, kind::CART_UPDATED, &full)
    }

    /// A product was changed: who cares for its price or its stock is worked out later, so these are contact 0's.
    pub(super) fn product_changed(&mut self, before: &Product, after: &Product) -> Result<()> {
        if self.queue.is_none() {
            return Ok(());
        }
        let price = |product: &Product| product.unit_price.map(amount);
        let properties = json!({
            "product_id": after.external_id,
            "price": price(after),
            "price_before": price(before),
            "stock": after.stock,
            "stock_before": before.stock,
        });
        let can_be_bought =
            |product: &Product| !product.out_of_stock && product.stock.is_none_or(|units| units > 0);
        let kinds = [
            (kind::PRICE_DROPPED, before.unit_price.zip(after.unit_price).is_some_and(|(was, is)| is < was)),
            (kind::BACK_IN_STOCK, can_be_bought(after) && !can_be_bought(before)),
            (kind::LOW_STOCK, before.stock.zip(after.stock).is_some_and(|(was, is)| is < was)),
        ];
        for (kind, happens) in kinds {
            if happens {
                self.happened(ContactId(0), self.now, kind, &properties)?;
            }
        }
        Ok(())
    }
}

/// Names of what differs: attributes and custom fields by their names, `consent.<purpose>`, `list.<name>`.
fn changed_fields(before: &Contact, after: &Contact) -> Vec<String> {
    let mut names: Vec<String> = [
        ("external_id", before.external_id != after.external_id),
        ("email", before.email != after.email),
        ("email_status", before.email_status != after.email_status),
        ("phone", before.phone != after.phone),
        ("first_name", before.first_name != after.first_name),
        ("last_name", before.last_name != after.last_name),
        ("country", before.country != after.country),
        ("locale", before.locale != after.locale),
        ("time_zone", before.time_zone != after.time_zone),
        ("birth_date", before.birth_date != after.birth_date),
        ("push", before.push != after.push),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(name, _)| name.to_owned())
    .collect();
    let state = |contact: &Contact, consent: &Consent| {
        contact.consents.iter().find(|known| known.purpose == consent.purpose).map(|known| known.state)
    };
    let consents = after.consents.iter().filter(|consent| state(before, consent) != Some(consent.state));
    names.extend(consents.map(|consent| format!("consent.{}", consent.purpose)));
    let lists = after
        .lists
        .iter()
        .filter(|list| !before.lists.contains(list))
        .chain(before.lists.iter().filter(|list| !after.lists.contains(list)));
    names.extend(lists.map(|list| format!("list.{list}")));
    let fields = after
        .fields
        .iter()
        .filter(|(name, value)| before.fields.get(*name) != Some(value))
        .map(|(name, _)| name)
        .chain(before.fields.keys().filter(|name| !after.fields.contains_key(*name)));
    names.extend(fields.cloned());
    names
}

/// Consents that were taken back.
fn taken_back<'c>(before: &Contact, after: &'c Contact) -> Vec<&'c Consent> {
    let was = |consent: &Consent| {
        before
            .consents
            .iter()
            .any(|known| known.purpose == consent.purpose && known.state == ConsentState::Unsubscribed)
    };
    after
        .consents
        .iter()
        .filter(|consent| consent.state == ConsentState::Unsubscribed && !was(consent))
        .collect()
}
