//! A condition that a node asks: the whole language of segments (docs/segments.md), with references to data of the run
//! anywhere in it. What the profile and the run's data decide is answered in place; what asks histories or carts is a
//! need ([`Need::Condition`]) that the shell answers for the whole batch.

use model::{ConsentState, Place, RfmPlacement, Value, doc};
use segment::{Condition, Data as _, Facts, Leaf, Operator};

use super::{Expect, Flow, NO, Named, Reading, Step, YES, YES_NO};
use crate::{
    check::Binder,
    run::{Context, Data, Need},
    trace::Detail,
};

/// The keys that say when something was done, which of it counts, and how it is measured: as in the language of segments.
pub const ACTIVITY_KEYS: [&str; 16] = [
    "count",
    "sum",
    "average",
    "largest",
    "smallest",
    "first",
    "last",
    "where",
    "within",
    "older_than",
    "between_ago",
    "calendar",
    "since",
    "until",
    "exactly",
    "machine",
];

/// A condition that a node asks.
#[derive(Debug)]
pub struct Question {
    source: doc::Node,
    place: Place,
    /// Path of the condition in the file.
    field: String,
    /// What the path of a problem has that the file has not, and what the file has there.
    renamed: Option<(&'static str, &'static str)>,
    bound: Option<Bound>,
}

#[derive(Debug)]
struct Bound {
    condition: Condition,
    segments: Vec<(String, u16)>,
    /// Its place in [`crate::Journey::conditions`] when the shell answers it.
    kept: Option<u16>,
}

impl Question {
    /// As it stands in the file, under this path.
    #[must_use]
    pub const fn new(source: doc::Node, field: String) -> Self {
        Self { place: source.place, source, field, renamed: None, bound: None }
    }

    /// One that a kind writes out of settings of its own: problems name what the file has.
    #[must_use]
    pub fn renaming(self, written: &'static str, in_file: &'static str) -> Self {
        Self { renamed: Some((written, in_file)), ..self }
    }

    /// Binds its names, and keeps it where the shell must answer it.
    pub fn bind(&mut self, binder: &mut Binder<'_>) {
        let renamed = self.renamed;
        let condition = binder.condition_named(&self.source, &self.field, |path| match renamed {
            Some((written, in_file)) => path.replacen(written, in_file, 1),
            None => path,
        });
        let Some(condition) = condition else { return };
        let segments = bind_condition(binder, &condition, self.place, &self.field);
        let kept = needs_history(&condition).then(|| binder.keep_condition(condition.clone()));
        self.bound = Some(Bound { condition, segments, kept });
    }

    /// The place of the condition in [`crate::Journey::conditions`]; none when it is answered in place.
    #[must_use]
    pub fn kept(&self) -> Option<u16> {
        self.bound.as_ref()?.kept
    }

    /// The answer for the contact that stands here, with what says most about why.
    ///
    /// # Errors
    /// What must be known first.
    pub fn ask(&self, context: &Context<'_>) -> Result<(bool, Detail), Vec<Need>> {
        let Some(bound) = &self.bound else { return Ok((false, Detail::None)) };
        let data = context.data();
        let holds = match bound.kept {
            Some(kept) => context.answers.condition(kept).ok_or_else(|| vec![Need::Condition(kept)])?,
            None => bound.holds(context, &data)?,
        };
        // The first value that was asked for says most about why.
        let detail = match bound.condition.refs().first().and_then(|(path, _)| data.value(path)) {
            Some(value) => Detail::Text(value.to_string()),
            None => Detail::None,
        };
        Ok((holds, detail))
    }
}

impl Bound {
    fn holds(&self, context: &Context<'_>, data: &Data<'_>) -> Result<bool, Vec<Need>> {
        let unknown = self.segments.iter().filter(|(_, slot)| context.answers.member(*slot).is_none());
        let needs: Vec<Need> = unknown.map(|(_, slot)| Need::Member(*slot)).collect();
        if !needs.is_empty() {
            return Err(needs);
        }
        let known = Known { data, context, segments: &self.segments };
        Ok(segment::evaluate::is_member(&self.condition, &known, context.world.now, context.world.zone))
    }
}

/// Whether a condition asks what the profile and the run's data do not say.
#[must_use]
pub fn needs_history(condition: &Condition) -> bool {
    condition.leaves().iter().any(|leaf| matches!(leaf, Leaf::Activity(_) | Leaf::Cart(_)))
}

/// Binds what a condition reads, and says where its segments are in [`crate::Journey::segments`].
pub fn bind_condition(
    binder: &mut Binder<'_>,
    condition: &Condition,
    place: Place,
    field: &str,
) -> Vec<(String, u16)> {
    for (path, _) in condition.refs() {
        binder.reference(&path, place, field, Expect::Any);
    }
    let reads = condition.reads();
    let named = |text: &str| Named { text: text.to_owned(), place, field: field.to_owned() };
    for name in &reads.fields {
        binder.contact_field(name, &named(name));
    }
    binder.reads.rfm |= !reads.rfm_models.is_empty();
    let slots = reads.segments.iter().filter_map(|slug| Some((slug.clone(), binder.segment(&named(slug))?)));
    slots.collect()
}

/// A node that asks one question and sends contacts on by *yes* and *no*.
#[derive(Debug)]
pub struct Asks(pub Question);

impl Asks {
    /// A node whose settings under these keys are, with these before them, a condition.
    pub fn reading(
        reading: &mut Reading<'_, '_>,
        before: Vec<doc::Entry>,
        keys: impl IntoIterator<Item = &'static str>,
    ) -> Question {
        let mut entries = before;
        entries.extend(taken(reading, keys));
        let source = doc::Node { data: doc::Data::Map(entries), place: reading.fields.place };
        Question::new(source, reading.fields.path.clone())
    }
}

/// The settings under these keys, as they stand.
pub fn taken(reading: &mut Reading<'_, '_>, keys: impl IntoIterator<Item = &'static str>) -> Vec<doc::Entry> {
    let mut entries: Vec<doc::Entry> = Vec::new();
    for key in keys {
        if entries.iter().all(|entry| entry.key != key)
            && let Some(value) = reading.fields.optional(key)
        {
            entries.push(entry(key, value.clone()));
        }
    }
    entries
}

/// A setting.
#[must_use]
pub fn entry(key: &str, value: doc::Node) -> doc::Entry {
    doc::Entry { key: key.to_owned(), place: value.place, value }
}

/// A text where the node stands.
#[must_use]
pub fn text(text: &str, place: Place) -> doc::Node {
    doc::Node { data: doc::Data::Text(text.to_owned()), place }
}

/// A mapping where the node stands.
#[must_use]
pub const fn map(entries: Vec<doc::Entry>, place: Place) -> doc::Node {
    doc::Node { data: doc::Data::Map(entries), place }
}

/// The keys of an activity with all operators, which compare its measure.
pub fn activity_keys() -> impl Iterator<Item = &'static str> {
    ACTIVITY_KEYS.into_iter().chain(Operator::ALL.iter().map(|(word, _)| *word))
}

/// `where` with further filters of the kind's own.
pub fn add_filters(entries: &mut Vec<doc::Entry>, filters: Vec<doc::Node>, place: Place) {
    if filters.is_empty() {
        return;
    }
    let own = entries.iter().position(|entry| entry.key == "where").map(|at| entries.remove(at).value);
    let all = own.into_iter().chain(filters).collect();
    entries.push(entry("where", doc::Node { data: doc::Data::List(all), place }));
}

/// `{property: …, is: …}`.
#[must_use]
pub fn property_is(property: &str, value: doc::Node) -> doc::Node {
    let place = value.place;
    map(vec![entry("property", text(property, place)), entry("is", value)], place)
}

impl Step for Asks {
    fn outcomes(&self) -> &'static [&'static str] {
        YES_NO
    }

    fn bind(&mut self, binder: &mut Binder<'_>) {
        self.0.bind(binder);
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        match self.0.ask(context) {
            Ok((holds, detail)) => Flow::done(if holds { YES } else { NO }, detail),
            Err(needs) => Flow::Needs(needs),
        }
    }
}

struct Known<'a> {
    data: &'a Data<'a>,
    context: &'a Context<'a>,
    segments: &'a [(String, u16)],
}

impl Facts for Known<'_> {
    fn field(&self, name: &str) -> Option<Value> {
        self.data.contact_value(name)
    }

    fn consent(&self, purpose: &str) -> ConsentState {
        self.context.person().contact.consent(purpose)
    }

    fn in_list(&self, slug: &str) -> bool {
        self.context.person().contact.lists.iter().any(|list| list.as_str() == slug)
    }

    fn in_segment(&self, slug: &str) -> bool {
        let slot = self.segments.iter().find(|(known, _)| known == slug).map(|(_, slot)| *slot);
        slot.and_then(|slot| self.context.answers.member(slot)).unwrap_or_default()
    }

    fn rfm(&self, model: &str) -> Option<RfmPlacement> {
        self.context.person().rfm.iter().find(|placement| placement.model == model).cloned()
    }

    fn data(&self) -> &dyn segment::Data {
        self.data
    }
}
