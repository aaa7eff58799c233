//! A contact's past, as it was at an instant: nothing that came later is seen.

use std::collections::BTreeMap;

use journey::CartChoice;
use model::{
    Amount, Cart, CartState, Contact, ContactId, Event, Order, RfmPlacement, Timestamp, Totals, event::kind,
};
use recommend::{Catalogue, ContactFacts, Needs as FactNeeds, Seen, step::since};
use serde_json::{Map, Value as Json, json};
use storage::rfm::{GroupMove, NO_GROUP};

use crate::{
    live::conditions::Known,
    segments::contacts::{cart_of_order, net},
};

/// An event that reached us so much later than it happened, in microseconds, came with a file of the past: it is taken as
/// if it had come when it happened.
pub const FILE_OF_THE_PAST: i64 = Timestamp::DAY;

/// When an event reaches the simulated shop.
#[must_use]
pub fn arrival(event: &Event) -> Timestamp {
    if event.received_at.since(event.at) >= FILE_OF_THE_PAST {
        return event.at;
    }
    event.received_at.max(event.at)
}

/// Everything that is stored of a contact, the future of any simulated instant included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    /// The contact as it is now.
    pub contact: Contact,
    /// Events, by arrival.
    pub events: Vec<Event>,
    /// Orders, by time; lines as they are stored.
    pub orders: Vec<Order>,
    /// Carts that were not bought, as they were last changed.
    pub carts: Vec<Cart>,
    /// Moves between RFM groups, by time.
    pub moves: Vec<GroupMove>,
    /// Where it stands now.
    pub placements: Vec<RfmPlacement>,
    /// Messages that were decided for it, by time.
    pub sends: Vec<policy::PastSend>,
    /// Channels whose address is suppressed now.
    pub suppressed: Vec<model::Channel>,
    /// Endpoints of its push subscriptions now.
    pub push: u32,
}

impl Past {
    /// Puts events in the order in which they arrive, with their times of arrival.
    pub fn arrange(&mut self) {
        for event in &mut self.events {
            event.received_at = arrival(event);
        }
        self.events.sort_by_key(|event| event.received_at);
    }

    /// The events that had arrived.
    pub fn events_at(&self, now: Timestamp) -> &[Event] {
        &self.events[..self.events.partition_point(|event| event.received_at <= now)]
    }

    /// The orders that had been placed.
    pub fn orders_at(&self, now: Timestamp) -> &[Order] {
        &self.orders[..self.orders.partition_point(|order| order.at <= now)]
    }

    /// The open carts whose last change was over. What a cart held before its last change is not stored.
    pub fn carts_at(&self, now: Timestamp) -> impl Iterator<Item = &Cart> {
        self.carts.iter().filter(move |cart| cart.updated_at <= now)
    }

    /// What the orders came to.
    pub fn totals_at(&self, now: Timestamp) -> Totals {
        let mut totals = Totals::default();
        for order in self.orders_at(now).iter().filter(|order| order.counts()) {
            totals.first_order_at.get_or_insert(order.at);
            totals.last_order_at = Some(order.at);
            totals.orders += 1;
            totals.spent += order.net().0;
        }
        totals
    }

    /// Where it stood in RFM models: its groups as the moves say, its scores as they are stored where it is still in the
    /// same group (scores have no history).
    pub fn placements_at(&self, now: Timestamp) -> Vec<RfmPlacement> {
        if self.moves.last().is_none_or(|last| last.at <= now) {
            return self.placements.clone();
        }
        let mut then = Vec::new();
        for own in &self.placements {
            let moves = || self.moves.iter().filter(|one| one.model == own.model);
            let before = moves().take_while(|one| one.at <= now).last();
            let Some(after) = moves().find(|one| one.at > now) else {
                then.push(own.clone());
                continue;
            };
            let Some(group) = before.map(|one| one.to.clone()).or_else(|| after.from.clone()) else {
                continue;
            };
            let is_same = group == own.group;
            let score = |score: u8| if is_same { score } else { 0 };
            then.push(RfmPlacement {
                model: own.model.clone(),
                recency: score(own.recency),
                frequency: score(own.frequency),
                monetary: score(own.monetary),
                group,
                previous_group: before.and_then(|one| one.from.clone()),
                since: before.map_or(Timestamp::MIN, |one| one.at),
            });
        }
        then
    }

    /// What conditions see.
    pub fn known_at(&self, now: Timestamp) -> Known {
        let id = self.contact.id;
        let mut events: BTreeMap<String, Vec<Event>> = BTreeMap::new();
        for event in self.events_at(now) {
            events.entry(event.kind.clone()).or_default().push(event.clone());
        }
        for own in events.values_mut() {
            own.sort_by_key(|event| event.at);
        }
        Known {
            totals: [(id, self.totals_at(now))].into(),
            placements: [(id, self.placements_at(now))].into(),
            events,
            orders: self.orders_at(now).iter().cloned().map(net).collect(),
            open_carts: self.carts_at(now).cloned().collect(),
            ..Known::default()
        }
    }

    /// The last cart in a state, as `load_last_carts` finds it.
    pub fn last_cart(&self, choice: CartChoice, now: Timestamp) -> Option<Cart> {
        let wanted = |cart: &&Cart| match choice {
            CartChoice::Any => true,
            CartChoice::Purchased => false,
            CartChoice::Active => cart.state(now, Cart::ABANDONED_AFTER_DEFAULT) == CartState::Active,
            CartChoice::Abandoned => cart.state(now, Cart::ABANDONED_AFTER_DEFAULT) == CartState::Abandoned,
        };
        let open = self.carts_at(now).filter(wanted).max_by_key(|cart| (cart.updated_at, cart.no));
        let bought = || {
            let mut orders = self.orders_at(now).iter().rev();
            let last = orders.find(|order| order.counts() && !order.lines.is_empty())?;
            Some(cart_of_order(self.contact.id, &net(last.clone())))
        };
        match choice {
            CartChoice::Purchased => bought(),
            CartChoice::Any => match (open.cloned(), bought()) {
                (Some(open), Some(bought)) if open.updated_at > bought.updated_at => Some(open),
                (open, bought) => bought.or(open),
            },
            _ => open.cloned(),
        }
    }

    /// What *Get products* sees.
    pub fn facts(&self, wanted: FactNeeds, catalogue: &Catalogue, now: Timestamp) -> ContactFacts {
        let mut facts = ContactFacts::default();
        if let Some(period) = wanted.bought {
            let from = since(period, now);
            let orders = self.orders_at(now).iter().filter(|order| order.at >= from && order.at < now);
            facts.bought = ContactFacts::from_orders(orders).bought;
        }
        if let Some(period) = wanted.visited {
            let from = since(period, now);
            let is_visit =
                |event: &&Event| event.kind == kind::PRODUCT_VIEWED && event.at >= from && event.at < now;
            for visit in self.events_at(now).iter().filter(is_visit) {
                let product = visit.properties.get("product_id").and_then(|id| {
                    let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
                    catalogue.by_external_id(&id)
                });
                facts.visited.extend(product.map(|product| Seen { product: product.id, at: visit.at }));
            }
        }
        if let Some(period) = wanted.added_not_bought {
            let from = since(period, now);
            for choice in [CartChoice::Active, CartChoice::Abandoned] {
                if let Some(cart) = self.last_cart(choice, now).filter(|cart| cart.updated_at >= from) {
                    facts.add_cart(&cart);
                }
            }
        }
        facts
    }
}

/// An amount as events hold it: whole units without a point.
fn amount(amount: Amount) -> Json {
    if amount.0 % Amount::SCALE == 0 { json!(amount.0 / Amount::SCALE) } else { json!(amount.to_f64()) }
}

fn event(contact: ContactId, at: Timestamp, kind: &str, properties: Map<String, Json>) -> Event {
    Event { contact, at, received_at: at, kind: kind.to_owned(), message_id: None, properties }
}

fn lines(lines: &[model::Line], catalogue: &Catalogue) -> Json {
    let line = |line: &model::Line| {
        let product = catalogue.product(line.product)?;
        Some(json!({
            "product_id": product.external_id,
            "quantity": line.quantity,
            "price": amount(line.unit_price),
        }))
    };
    lines.iter().filter(|line| line.quantity > 0).filter_map(line).collect()
}

/// The event of an order, as a live import raises it.
pub(crate) fn order_completed(contact: ContactId, order: &Order, catalogue: &Catalogue) -> Event {
    let mut properties = Map::new();
    properties.insert("order_id".into(), json!(order.external_id));
    properties.insert("cart_id".into(), json!(order.cart_id));
    properties.insert("total".into(), amount(order.total));
    properties.insert("currency".into(), json!(order.currency.code()));
    properties.insert("products".into(), lines(&order.lines, catalogue));
    event(contact, order.at, kind::ORDER_COMPLETED, properties)
}

/// The event of a cart's last change, as a live import raises it.
pub(crate) fn cart_updated(cart: &Cart, catalogue: &Catalogue) -> Event {
    let mut properties = Map::new();
    let count: i64 = cart.lines.iter().map(|line| line.quantity).sum();
    properties.insert("cart_id".into(), json!(cart.external_id));
    properties.insert("total".into(), amount(cart.total));
    properties.insert("currency".into(), json!(cart.currency.code()));
    if let Some(url) = &cart.recovery_url {
        properties.insert("recovery_url".into(), json!(url));
    }
    properties.insert("item_count".into(), json!(count));
    properties.insert("products".into(), lines(&cart.lines, catalogue));
    event(cart.contact, cart.updated_at, kind::CART_UPDATED, properties)
}

/// The event of a move between RFM groups.
pub(crate) fn group_changed(one: &GroupMove) -> Event {
    let from = one.from.as_deref().unwrap_or(NO_GROUP);
    crate::live::watch::group_event(&one.model, Some(from), &one.to, one.contact, one.at)
}

#[cfg(test)]
mod tests {
    use model::{Currency, OrderNo, OrderStatus};

    use super::*;

    fn order(no: i64, at: i64) -> Order {
        let lines =
            vec![model::Line { product: model::ProductId(1), quantity: 1, unit_price: Amount::units(10) }];
        Order {
            no: OrderNo(no),
            external_id: format!("o{no}"),
            contact: Some(ContactId(1)),
            at: Timestamp(at),
            total: Amount::units(10),
            refunded: Amount::ZERO,
            currency: Currency::EUR,
            status: OrderStatus::Completed,
            cart_id: format!("o{no}"),
            lines,
        }
    }

    fn seen(at: i64, received: i64) -> Event {
        Event { received_at: Timestamp(received), ..event(ContactId(1), Timestamp(at), "Seen", Map::new()) }
    }

    #[test]
    fn the_future_is_not_seen() {
        let mut past = Past {
            orders: vec![order(1, 100), order(2, 200)],
            events: vec![seen(50, 250), seen(120, 120), seen(60, 60 + FILE_OF_THE_PAST)],
            ..Past::default()
        };
        past.arrange();
        for (now, orders, events) in
            [(49, 0, 0), (60, 0, 1), (99, 0, 1), (100, 1, 1), (199, 1, 2), (250, 2, 3)]
        {
            let now = Timestamp(now);
            let known = past.known_at(now);
            assert_eq!(known.orders.len(), orders, "{now:?}");
            assert_eq!(known.events.values().map(Vec::len).sum::<usize>(), events, "{now:?}");
            assert_eq!(past.totals_at(now).orders as usize, orders);
            assert_eq!(past.last_cart(CartChoice::Purchased, now).is_some(), orders > 0);
            assert!(past.totals_at(now).last_order_at.is_none_or(|at| at <= now));
        }
        // What arrived a day after it happened or later came with a file of the past.
        assert_eq!(arrival(&seen(0, FILE_OF_THE_PAST)), Timestamp(0));
        assert_eq!(arrival(&seen(0, FILE_OF_THE_PAST - 1)), Timestamp(FILE_OF_THE_PAST - 1));
    }

    #[test]
    fn groups_are_those_of_the_moves() {
        let step = |at: i64, from: Option<&str>, to: &str| GroupMove {
            contact: ContactId(1),
            model: "rfm".into(),
            at: Timestamp(at),
            from: from.map(str::to_owned),
            to: to.to_owned(),
        };
        let now = RfmPlacement {
            model: "rfm".into(),
            recency: 3,
            frequency: 2,
            monetary: 1,
            group: "b".into(),
            previous_group: Some("c".into()),
            since: Timestamp(30),
        };
        let past = Past {
            placements: vec![now],
            moves: vec![step(10, None, "a"), step(20, Some("a"), "c"), step(30, Some("c"), "b")],
            ..Past::default()
        };
        let group = |at: i64| past.placements_at(Timestamp(at)).first().map(|one| one.group.clone());
        assert_eq!(group(9), None);
        assert_eq!(group(10).as_deref(), Some("a"));
        assert_eq!(group(29).as_deref(), Some("c"));
        assert_eq!(group(30).as_deref(), Some("b"));
        assert_eq!(past.placements_at(Timestamp(25))[0].recency, 0, "scores have no history");
    }
}
