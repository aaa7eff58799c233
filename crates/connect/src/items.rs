//! What is in an order or a cart, written as a JSON list in one cell.

use model::{Amount, Problem};
use serde_json::Value;

use crate::values::{ID_LEN_MAX, ITEMS_MAX, Result, amount, check_quantity};

/// One entry of such a list.
pub(crate) struct Item {
    /// The shop's own id of the product.
    pub code: String,
    /// What the list calls it.
    pub name: Option<String>,
    /// How many, not 0; negative when taken back.
    pub quantity: i64,
    /// Price of one.
    pub unit_price: Amount,
}

/// Reads a list.
///
/// # Errors
/// `items.invalid`, `quantity.out_of_range`, problems of amounts.
pub(crate) fn read(text: &str) -> Result<Vec<Item>> {
    let wrong = |message: String| {
        Problem::new("items.invalid", message).field("items").value(text).cure(
            "write a JSON list of objects, as in [{\"product\": \"85123A\", \"quantity\": 6, \"unit_price\": 2.55}]",
        )
    };
    let items: Vec<Value> =
        serde_json::from_str(text).map_err(|error| wrong(format!("items are no JSON list: {error}")))?;
    if items.len() > ITEMS_MAX {
        return Err(wrong(format!("more than {ITEMS_MAX} items in one list")));
    }
    let mut read = Vec::with_capacity(items.len());
    for item in &items {
        let get = |names: &[&str]| {
            names.iter().find_map(|name| match item.get(name)? {
                Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            })
        };
        let Some(code) = get(&["product", "product_id", "sku", "external_id", "id"]) else {
            return Err(wrong("an item has no `product`".to_owned()));
        };
        if code.len() > ID_LEN_MAX || code.chars().any(char::is_control) {
            return Err(wrong("an item's `product` is too long or holds control characters".to_owned()));
        }
        let quantity = get(&["quantity", "qty"]).unwrap_or_else(|| "1".to_owned());
        let quantity = amount(&quantity)
            .ok()
            .filter(|quantity| quantity.0 % Amount::SCALE == 0)
            .ok_or_else(|| wrong(format!("`{quantity}` is not a whole quantity")))?;
        let quantity = check_quantity(quantity.0 / Amount::SCALE)?;
        let Some(price) = get(&["unit_price", "price"]) else {
            return Err(wrong("an item has no `unit_price`".to_owned()));
        };
        let unit_price = amount(&price).map_err(|problem| problem.field("items"))?;
        read.push(Item { code, name: get(&["name", "title"]), quantity, unit_price });
    }
    Ok(read)
}
