//! Has the contact done something: visited a page or product, searched, logged in, registered, submitted a form, any event
//! of any kind? `{did: Page Viewed, count: {at_least: 3}, within: P1D, where: {property: url, starts_with: …}}`. Short for
//! `check_value` with the same.

use super::{
    Kind, Reading, Role, Step,
    question::{Asks, activity_keys},
};

/// The kind.
pub static KIND: Kind =
    Kind { word: "has_done", name_en: "Has done", name_fr: "A fait", role: Role::Condition, read };

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    reading.required("did")?;
    let keys = ["did"].into_iter().chain(activity_keys());
    Some(Box::new(Asks(Asks::reading(reading, Vec::new(), keys))))
}
