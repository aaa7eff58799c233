//! Segment's e-commerce events: what they mean for carts, orders, refunds and the catalogue.

use model::{Amount, Currency, OrderStatus, Problem, event::kind};
use serde_json::{Map, Value};
use storage::imports::{CartChange, CartStep, ImportLine, ImportOrder, ImportRefund, ProductPatch, RefundOf};

use super::{Work, props::Props, rules::Catalogue};
use crate::values::{ITEMS_MAX, QUANTITY_MAX, Result};

const PRODUCT_ID: &[&str] = &["product_id", "productId", "sku", "id"];
const ORDER_ID: &[&str] = &["order_id", "orderId"];
const CART_ID: &[&str] = &["cart_id", "cartId"];

/// Events with products of which each says something to the catalogue, and nothing else.
const ABOUT_PRODUCTS: &[&str] = &[
    kind::PRODUCT_VIEWED,
    "Product Clicked",
    "Product List Viewed",
    "Product List Filtered",
    kind::PRODUCTS_SEARCHED,
    "Product Added to Wishlist",
    "Product Removed from Wishlist",
    "Product Shared",
    "Product Reviewed",
];

/// Names of the first version of Segment's specification, which shops still send.
const FORMER_NAMES: &[(&str, &str)] = &[
    ("Viewed Product", kind::PRODUCT_VIEWED),
    ("Viewed Product Category", "Product List Viewed"),
    ("Added Product", kind::PRODUCT_ADDED),
    ("Removed Product", kind::PRODUCT_REMOVED),
    ("Completed Order", kind::ORDER_COMPLETED),
];

/// A known event's name as the specification spells it today; another name as it is.
pub(super) fn current_name(kind: &str) -> &str {
    FORMER_NAMES.iter().find(|(former, _)| *former == kind).map_or(kind, |(_, current)| current)
}

/// A product as an event names it.
struct Item {
    id: String,
    quantity: Option<i64>,
    price: Option<Amount>,
}

impl Work<'_> {
    /// Takes from an event what it means for the shop's things. Whether the event itself is kept, too: orders and whole
    /// carts are kept as what they are.
    pub(super) fn commerce(&mut self, kind: &str, properties: &mut Map<String, Value>) -> Result<bool> {
        match kind {
            kind::PRODUCT_ADDED | "Wishlist Product Added to Cart" => self.cart_line(properties, true)?,
            kind::PRODUCT_REMOVED => self.cart_line(properties, false)?,
            kind::CART_VIEWED | kind::CHECKOUT_STARTED => self.whole_cart(properties, false)?,
            kind::CART_UPDATED => {
                self.whole_cart(properties, true)?;
                return Ok(false);
            }
            kind::ORDER_COMPLETED | kind::ORDER_UPDATED | kind::ORDER_CANCELLED => {
                self.order(kind, properties)?;
                return Ok(false);
            }
            kind::ORDER_REFUNDED => {
                self.refund(properties)?;
                return Ok(false);
            }
            about if ABOUT_PRODUCTS.contains(&about) => {
                let currency = self.currency_if_any(Props::new(properties, "properties"))?;
                self.items(properties, currency)?;
            }
            _ => return Ok(true),
        }
        name_product(properties);
        Ok(true)
    }

    /// The products of an event: those of its list, else the one that it is about; what they say to the catalogue is
    /// noted.
    fn items(&mut self, properties: &Map<String, Value>, currency: Option<Currency>) -> Result<Vec<Item>> {
        let of_event = Props::new(properties, "properties");
        let mut items = Vec::new();
        match of_event.objects("products")? {
            Some(products) => {
                if products.len() > ITEMS_MAX {
                    return Err(Problem::new("list.too_long", format!("more than {ITEMS_MAX} products"))
                        .field("properties.products"));
                }
                for (place, product) in products.into_iter().enumerate() {
                    let path = format!("properties.products[{place}]");
                    let props = Props::new(product, &path);
                    let id = props.required_id(PRODUCT_ID)?;
                    items.push(self.item(id, props, currency)?);
                }
            }
            None => {
                if let Some(id) = of_event.id(&PRODUCT_ID[..3])? {
                    items.push(self.item(id, of_event, currency)?);
                }
            }
        }
        Ok(items)
    }

    fn item(&mut self, id: String, props: Props<'_>, currency: Option<Currency>) -> Result<Item> {
        let price = props.amount(&["price", "unit_price"])?;
        let quantity = props.quantity(&["quantity"])?;
        if self.mapper.rules.catalogue != Catalogue::Ignore {
            let category = props.text(&["category"])?;
            // A price in another currency is no price of the catalogue.
            let ours =
                currency.is_none() || self.mapper.currency.is_none() || currency == self.mapper.currency;
            let patch = ProductPatch {
                external_id: id.clone(),
                name: props.text(&["name", "title"])?,
                url: web(props.text(&["url"])?),
                image_url: web(props.text(&["image_url", "imageUrl"])?),
                brand: props.text(&["brand"])?,
                unit_price: price.filter(|price| ours && *price > Amount::ZERO),
                price_at: Some(self.at),
                categories: category.map(|category| vec![category]),
                only_missing: self.mapper.rules.catalogue == Catalogue::Missing,
                ..ProductPatch::default()
            };
            let says_something = patch.name.is_some()
                || patch.url.is_some()
                || patch.image_url.is_some()
                || patch.brand.is_some()
                || patch.unit_price.is_some()
                || patch.categories.is_some();
            if says_something {
                self.batch.products.push(patch);
            }
        }
        Ok(Item { id, quantity, price })
    }

    fn lines(&mut self, items: &[Item], without_quantity: i64) -> Vec<ImportLine> {
        let line = |item: &Item| ImportLine {
            product: self.batch.code(&item.id),
            quantity: item.quantity.unwrap_or(without_quantity),
            unit_price: item.price.unwrap_or_default(),
        };
        items.iter().map(line).collect()
    }

    fn cart_line(&mut self, properties: &Map<String, Value>, added: bool) -> Result<()> {
        let currency = self.currency(Props::new(properties, "properties"))?;
        let items = self.items(properties, Some(currency))?;
        if items.is_empty() {
            return Err(crate::values::missing("properties.product_id"));
        }
        // Who takes a product out and does not say how many takes all of it.
        let lines = self.lines(&items, if added { 1 } else { QUANTITY_MAX });
        let step = if added {
            CartStep::Add(lines)
        } else {
            CartStep::Remove(
                lines.into_iter().map(|line| ImportLine { unit_price: Amount::ZERO, ..line }).collect(),
            )
        };
        self.cart_change(properties, currency, step)
    }

    /// A cart as it stands: all of its products. Without a list of them the event says nothing about the cart, unless
    /// nothing else is its sense.
    fn whole_cart(&mut self, properties: &Map<String, Value>, needed: bool) -> Result<()> {
        let of_event = Props::new(properties, "properties");
        if of_event.first(&["products"]).is_none() {
            return if needed { Err(crate::values::missing("properties.products")) } else { Ok(()) };
        }
        let currency = self.currency(of_event)?;
        let items = self.items(properties, Some(currency))?;
        let lines = self.lines(&items, 1);
        self.cart_change(properties, currency, CartStep::Set(lines))
    }

    fn cart_change(
        &mut self,
        properties: &Map<String, Value>,
        currency: Currency,
        step: CartStep,
    ) -> Result<()> {
        let of_event = Props::new(properties, "properties");
        self.batch.cart_changes.push(CartChange {
            cart_id: of_event.id(CART_ID)?,
            contact: self.contact.clone(),
            at: self.at,
            currency,
            recovery_url: web(of_event.text(&["recovery_url", "cart_url", "checkout_url"])?),
            message_id: self.message.message_id.clone(),
            step,
        });
        Ok(())
    }

    fn order(&mut self, kind: &str, properties: &Map<String, Value>) -> Result<()> {
        let of_event = Props::new(properties, "properties");
        let external_id = of_event.required_id(ORDER_ID)?;
        let currency = self.currency(of_event)?;
        let items = self.items(properties, Some(currency))?;
        let lines = self.lines(&items, 1);
        let total = match of_event.amount(&["total", "value", "revenue"])? {
            Some(total) => total,
            None => sum(&lines)?,
        };
        let status =
            if kind == kind::ORDER_CANCELLED { OrderStatus::Cancelled } else { OrderStatus::Completed };
        let order = ImportOrder {
            external_id,
            contact: Some(self.contact.clone()),
            at: self.at,
            total,
            refunded: Amount::ZERO,
            currency,
            status,
            cart_id: of_event.id(CART_ID)?,
            coupons: coupons(of_event)?,
            lines,
        };
        if kind == kind::ORDER_UPDATED {
            self.batch.order_updates.push(order);
        } else {
            self.batch.orders.push(order);
        }
        Ok(())
    }

    /// A refund of the products or the amount that the event names; of the whole order when it names neither.
    fn refund(&mut self, properties: &Map<String, Value>) -> Result<()> {
        let of_event = Props::new(properties, "properties");
        let order = of_event.required_id(ORDER_ID)?;
        let items = self.items(properties, None)?;
        let lines = self.lines(&items, 1);
        let amount = of_event.amount(&["refund_amount", "total", "value", "revenue"])?;
        let external_id = match of_event.id(&["refund_id", "refundId"])? {
            Some(id) => id,
            None => self.message.message_id.clone().unwrap_or_else(|| {
                // The same refund said again at the same instant is the same refund.
                let id = format!("{order}:{}", self.at.0);
                id.chars().take(crate::values::ID_LEN_MAX / 4).collect()
            }),
        };
        self.batch.refunds.push(ImportRefund {
            external_id,
            of: RefundOf::Order(order),
            at: self.at,
            amount,
            lines,
        });
        Ok(())
    }

    fn currency_if_any(&self, of_event: Props<'_>) -> Result<Option<Currency>> {
        let Some(code) = of_event.text(&["currency"])? else { return Ok(None) };
        Currency::parse(&code).map(Some).map_err(|problem| problem.field("properties.currency"))
    }

    fn currency(&self, of_event: Props<'_>) -> Result<Currency> {
        self.currency_if_any(of_event)?.or(self.mapper.currency).ok_or_else(|| {
            Problem::new("currency.missing", "the event names no currency, and the workspace has none")
                .field("properties.currency")
                .cure("send it as in EUR, or set the workspace's: relance setting set currency '\"EUR\"'")
        })
    }
}

/// Conditions and the counts of visits find an event's own product under `product_id`, as a text.
fn name_product(properties: &mut Map<String, Value>) {
    let id = Props::new(properties, "properties").id(&PRODUCT_ID[..3]);
    if let Ok(Some(id)) = id
        && properties.get("product_id").and_then(Value::as_str) != Some(&id)
    {
        properties.insert("product_id".into(), id.into());
    }
}

/// Only addresses of pages: what else begins with a scheme has no business in a mail.
fn web(url: Option<String>) -> Option<String> {
    url.filter(|url| {
        let lower = url.get(..8).unwrap_or(url).to_ascii_lowercase();
        lower.starts_with("https://") || lower.starts_with("http://")
    })
}

fn sum(lines: &[ImportLine]) -> Result<Amount> {
    let sum: i128 = lines.iter().map(|line| line.unit_price.times(line.quantity)).sum();
    i64::try_from(sum)
        .map(Amount)
        .map_err(|_| Problem::new("order.total", "the order comes to too much").field("properties.products"))
}

/// `coupon` is one code or a list, or several with commas between them.
fn coupons(of_event: Props<'_>) -> Result<Vec<String>> {
    let Some((value, field)) = of_event.first(&["coupon", "coupons"]) else { return Ok(Vec::new()) };
    let texts: Option<Vec<&str>> = match value {
        Value::String(text) => Some(text.split(',').collect()),
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let Some(texts) = texts else {
        return Err(Problem::new("value.type", "this is no coupon")
            .field(field)
            .value(value)
            .cure("send its code"));
    };
    let codes = texts.into_iter().map(str::trim).filter(|code| !code.is_empty());
    Ok(codes.take(100).map(|code| code.chars().take(100).collect()).collect())
}
