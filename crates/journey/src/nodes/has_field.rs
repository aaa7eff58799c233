//! What a field of the contact holds: `{field: country, one_of: [France, Belgium]}`. Short for `check_value` with the same.

use segment::Operator;

use super::{Kind, Reading, Role, Step, question::Asks};

/// The kind.
pub static KIND: Kind =
    Kind { word: "has_field", name_en: "Has field", name_fr: "A un champ", role: Role::Condition, read };

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    reading.required("field")?;
    let keys = ["field", "exactly"].into_iter().chain(Operator::ALL.iter().map(|(word, _)| *word));
    Some(Box::new(Asks(Asks::reading(reading, Vec::new(), keys))))
}
