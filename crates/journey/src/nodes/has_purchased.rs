//! Has the contact bought? How many orders, what they come to, of which products, when:
//! `{count: {greater_than: 0}, within: PT8H, where: {property: total, greater_than: 200}}`. Short for
//! `check_value` with `did: Order Completed`.

use super::{
    Kind, Reading, Role, Step,
    question::{Asks, activity_keys, entry, text},
};

/// The kind.
pub static KIND: Kind = Kind {
    word: "has_purchased",
    name_en: "Has purchased",
    name_fr: "A acheté",
    role: Role::Condition,
    read,
};

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let bought = text(model::event::kind::ORDER_COMPLETED, reading.fields.place);
    Some(Box::new(Asks(Asks::reading(reading, vec![entry("did", bought)], activity_keys()))))
}
