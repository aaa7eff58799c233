//! Does a condition hold of the contact, of what it did, and of the data of earlier nodes? The whole condition language:
//! `{ref: nodes.related.size, greater_than: 0}`, `{field: country, is: France}`, `{did: Page Viewed, within: PT1H}`.

use super::{
    Kind, Reading, Role, Step,
    question::{Asks, Question},
};

/// The kind.
pub static KIND: Kind = Kind {
    word: "check_value",
    name_en: "Check value",
    name_fr: "Vérifier une valeur",
    role: Role::Condition,
    read,
};

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let (node, field) = reading.required("condition")?;
    Some(Box::new(Asks(Question::new(node.clone(), field))))
}
