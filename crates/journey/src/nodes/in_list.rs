//! Is the contact on a static list? `{list: vip}`. What the run put it on or took it off counts.

use super::{Kind, Reading, Role, Step, question::Asks};

/// The kind.
pub static KIND: Kind = Kind {
    word: "in_list",
    name_en: "Is on a list",
    name_fr: "Est dans une liste",
    role: Role::Condition,
    read,
};

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    reading.required("list")?;
    Some(Box::new(Asks(Asks::reading(reading, Vec::new(), ["list"]))))
}
