//! What is known of the properties of events: their types by kind, for the checker, and so that a run finds what the
//! checker promised (a number that arrives as a text is a number).

use model::event::kind;

use crate::data::{Astray, CART_FIELDS, DataType, PRODUCT_FIELDS, type_at};

/// A property with its type, and whether every event of its kind has it.
type Property = (&'static str, DataType, bool);

use DataType::{Cart, Date, Decimal, Instant, Integer, Options, Product, ProductList, Text};

/// Of carts and orders. `cart` is the whole of it as one datum.
const OF_CART: &[Property] = &[
    ("cart_id", Text, true),
    ("cart", Cart, true),
    ("total", Decimal, true),
    ("currency", Text, true),
    ("products", ProductList, true),
    ("recovery_url", Text, false),
];
const OF_ORDER: &[Property] = &[
    ("order_id", Text, true),
    ("cart_id", Text, true),
    ("cart", Cart, true),
    ("total", Decimal, true),
    ("currency", Text, true),
    ("products", ProductList, true),
    ("revenue", Decimal, false),
    ("discount", Decimal, false),
    ("coupon", Text, false),
];
const OF_REFUND: &[Property] =
    &[("order_id", Text, true), ("total", Decimal, false), ("currency", Text, false)];
/// Of what somebody does with one product.
const OF_PRODUCT: &[Property] = &[
    ("product_id", Text, true),
    ("product", Product, true),
    ("cart_id", Text, false),
    ("name", Text, false),
    ("price", Decimal, false),
    ("currency", Text, false),
    ("quantity", Integer, false),
    ("url", Text, false),
];
const OF_MESSAGE: &[Property] = &[
    ("message_id", Text, true),
    ("journey", Text, false),
    ("node", Text, false),
    ("template", Text, false),
    ("purpose", Text, false),
];
const OF_CLICK: &[Property] = &[
    ("message_id", Text, true),
    ("journey", Text, false),
    ("node", Text, false),
    ("template", Text, false),
    ("purpose", Text, false),
    ("link", Text, false),
    ("url", Text, false),
];

/// What is known of a kind of event.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    properties: &'static [Property],
    /// Whether there may be others: a shop sends what it likes, the engine does not.
    open: bool,
}

/// What is known of a kind of event; of most kinds nothing.
#[must_use]
pub fn shape(kind_of_event: &str) -> Shape {
    let open = |properties| Shape { properties, open: true };
    let closed = |properties| Shape { properties, open: false };
    match kind_of_event {
        kind::CART_UPDATED | kind::CART_VIEWED | kind::CHECKOUT_STARTED => open(OF_CART),
        kind::CART_ABANDONED => closed(OF_CART),
        kind::ORDER_COMPLETED => open(OF_ORDER),
        kind::ORDER_REFUNDED | kind::ORDER_CANCELLED => open(OF_REFUND),
        kind::PRODUCT_VIEWED
        | kind::PRODUCT_ADDED
        | kind::PRODUCT_REMOVED
        | kind::BACK_IN_STOCK_SUBSCRIBED => open(OF_PRODUCT),
        kind::EMAIL_SENT
        | kind::EMAIL_OPENED
        | kind::EMAIL_BOUNCED
        | kind::SMS_SENT
        | kind::PUSH_SENT
        | kind::PUSH_OPENED => open(OF_MESSAGE),
        kind::EMAIL_CLICKED | kind::SMS_CLICKED | kind::PUSH_CLICKED => open(OF_CLICK),
        kind::UNSUBSCRIBED => open(&[("purpose", Text, false)]),
        kind::PAGE_VIEWED => open(&[("url", Text, false), ("title", Text, false), ("path", Text, false)]),
        kind::PRODUCTS_SEARCHED => open(&[("query", Text, true)]),
        kind::CONTACT_UPDATED => open(&[("fields", Options, true)]),
        kind::SEGMENT_ENTERED | kind::SEGMENT_EXITED => closed(&[("segment", Text, true)]),
        kind::RFM_GROUP_CHANGED => closed(&[("model", Text, true), ("from", Text, true), ("to", Text, true)]),
        kind::DATE_REACHED => closed(&[("field", Text, true), ("date", Date, true)]),
        kind::SCHEDULED => closed(&[]),
        kind::PRICE_DROPPED => closed(&[
            ("product_id", Text, true),
            ("product", Product, true),
            ("price", Decimal, true),
            ("price_before", Decimal, true),
        ]),
        kind::BACK_IN_STOCK => closed(&[("product_id", Text, true), ("product", Product, true)]),
        kind::LOW_STOCK => {
            closed(&[("product_id", Text, true), ("product", Product, true), ("stock", Integer, true)])
        }
        kind::COUPON_ASSIGNED => closed(&[("set", Text, true), ("code", Text, true)]),
        kind::COUPON_REDEEMED => {
            closed(&[("set", Text, true), ("code", Text, true), ("order_id", Text, false)])
        }
        _ => open(&[]),
    }
}

/// What is behind a path into an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Data of this type; whether every such event has it.
    Known(DataType, bool),
    /// A property of which nothing is known; the name of a known one that is spelled nearly so.
    Undeclared(Option<&'static str>),
    /// Nothing ever.
    Nothing {
        /// The part that is not known.
        part: String,
        /// What would be known there.
        known: Vec<&'static str>,
    },
}

/// What a path into an event of a kind leads to, with the properties that the file declares.
#[must_use]
pub fn find(kind_of_event: &str, declared: &[(String, DataType)], path: &[String]) -> Found {
    let Some(first) = path.first() else { return Found::Nothing { part: String::new(), known: Vec::new() } };
    // A declared property may have dots in its name: the longest one counts.
    for end in (1..=path.len()).rev() {
        let name = path[..end].join(".");
        if let Some((_, own)) = declared.iter().find(|(known, _)| *known == name) {
            return walk(*own, true, &path[end..]);
        }
    }
    if first == "at" && path.len() == 1 {
        return Found::Known(Instant, true);
    }
    let shape = shape(kind_of_event);
    if let Some((_, own, always)) = shape.properties.iter().find(|(name, ..)| name == first) {
        return walk(*own, *always, &path[1..]);
    }
    let names = shape.properties.iter().map(|(name, ..)| *name);
    if shape.open {
        return Found::Undeclared(
            model::text::nearest(first, names.collect::<Vec<_>>())
                .and_then(|near| shape.properties.iter().map(|(name, ..)| *name).find(|name| *name == near)),
        );
    }
    Found::Nothing { part: first.clone(), known: names.chain(["at"]).collect() }
}

fn walk(from: DataType, always: bool, rest: &[String]) -> Found {
    if let Some(kind) = of_line(from, rest) {
        return Found::Known(kind, always);
    }
    match type_at(from, rest) {
        Ok(kind) => Found::Known(kind, always && sure(from, rest)),
        Err(Astray { part, known, .. }) => Found::Nothing { part: part.to_owned(), known },
    }
}

/// What an event says of a product in its list, beside what the catalogue knows: `products.0.quantity`.
fn of_line(from: DataType, rest: &[String]) -> Option<DataType> {
    let rest =
        if from == Cart && rest.first().is_some_and(|part| part == "products") { &rest[1..] } else { rest };
    match (from, rest) {
        (Cart | ProductList, [number, name]) if number.parse::<usize>().is_ok() => match name.as_str() {
            "quantity" => Some(Integer),
            "price" => Some(Decimal),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a cart or product that is there always has what lies behind the path.
fn sure(from: DataType, rest: &[String]) -> bool {
    match (from, rest.first()) {
        (_, None) => true,
        (Cart, Some(part)) => rest.len() == 1 && part != "recovery_url",
        (ProductList, Some(part)) => part == "size",
        (_, Some(part)) => part == "external_id" || part == "name",
    }
}

/// Paths that exist in an event of a kind, for suggestions.
#[must_use]
pub fn paths(kind_of_event: &str, declared: &[(String, DataType)]) -> Vec<String> {
    let mut all: Vec<String> = declared.iter().map(|(name, _)| format!("trigger.{name}")).collect();
    for (name, own, _) in shape(kind_of_event).properties {
        all.push(format!("trigger.{name}"));
        let inner = match own {
            Cart => CART_FIELDS,
            Product => PRODUCT_FIELDS,
            _ => continue,
        };
        all.extend(inner.iter().map(|(part, _)| format!("trigger.{name}.{part}")));
    }
    all.push("trigger.at".into());
    all
}
