//! Has the contact a cart in such a state, with such contents? `{state: abandoned, total: {greater_than: 50}, within: P2D}`;
//! the cart that the run is about: `{state: active, id: {is: {ref: run.key}}}`. Short for `check_value` with `cart: {…}`.

use super::{
    Kind, Reading, Role, Step,
    question::{Asks, Question, entry, map, taken},
};

/// The kind.
pub static KIND: Kind =
    Kind { word: "cart_is", name_en: "Has a cart", name_fr: "A un panier", role: Role::Condition, read };

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let place = reading.fields.place;
    let keys = ["state", "abandoned_after", "id", "total", "quantity", "product", "count"];
    let cart = entry("cart", map(taken(reading, keys), place));
    let window = ["within", "older_than", "between_ago", "calendar", "since", "until"];
    let question: Question = Asks::reading(reading, vec![cart], window);
    Some(Box::new(Asks(question.renaming(".cart.", "."))))
}
