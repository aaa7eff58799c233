//! Reads what is waited for.

use model::{Problem, doc};

use super::{ALTERNATIVES_MAX, Is, Key, LIMIT_MAX_DAYS, Named, WaitFor, What, Where};
use crate::{
    document::read_word,
    nodes::{Reading, Step, branches, wait},
};

pub(super) fn wait_for(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let (node, path) = reading.required("limit")?;
    let limit = wait::period(reading, node, &path, Some(LIMIT_MAX_DAYS));
    let (alternatives, names) = match reading.fields.optional("any_of") {
        None => (vec![what(reading)?], None),
        Some(node) => {
            let (names, alternatives) = any_of(reading, node)?.into_iter().unzip();
            (alternatives, Some(names))
        }
    };
    Some(Box::new(WaitFor { alternatives, names, limit: limit? }))
}

fn any_of(reading: &mut Reading<'_, '_>, node: &doc::Node) -> Option<Vec<(String, What)>> {
    let path = reading.fields.path_of("any_of");
    let entries = node.entries().unwrap_or_default();
    if !(1..=ALTERNATIVES_MAX).contains(&entries.len()) {
        let message = format!("expected 1 to {ALTERNATIVES_MAX} alternatives, each by its name");
        let problem = node.problem("journey.wait_for", message).field(path);
        reading.problems.push(problem.cure("write {bought: {event: Order Completed}, clicked: {…}}"));
        return None;
    }
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        let path = format!("{path}.{}", entry.key);
        branches::check_name(reading, &entry.key, entry.place, &path, &["no"])?;
        let fields = reading.keep(entry.value.fields(&path))?;
        let mut inner = Reading { fields, problems: &mut *reading.problems };
        let read = what(&mut inner);
        let unknown = inner.fields.finish();
        reading.problems.extend(unknown);
        all.push((entry.key.clone(), read?));
    }
    Some(all)
}

/// `event`, `message` or `segment` with what belongs to it.
fn what(reading: &mut Reading<'_, '_>) -> Option<What> {
    let named = |reading: &mut Reading<'_, '_>, key: &'static str| {
        let node = reading.fields.optional(key)?;
        let field = reading.fields.path_of(key);
        Some(Named { text: node.scalar().unwrap_or_default(), place: node.place, field })
    };
    let place = reading.fields.place;
    let (event, message, segment) =
        (named(reading, "event"), named(reading, "message"), named(reading, "segment"));
    match (event, message, segment) {
        (Some(event), None, None) => {
            let filter = reading.fields.optional("where").map(|node| {
                let field = reading.fields.path_of("where");
                Box::new(Where { source: of_event(node), field, condition: None, by_contact: false })
            });
            let key = key(reading)?;
            if event.text.is_empty() || event.text.chars().count() > model::Event::KIND_LEN_MAX {
                let message = format!("an event's kind has 1 to {} characters", model::Event::KIND_LEN_MAX);
                let problem = Problem::new("journey.wait_for", message).field(event.field).at(event.place);
                reading.problems.push(problem);
                return None;
            }
            Some(What::Event { kind: event.text, place: event.place, filter, key })
        }
        (None, Some(node), None) => {
            let (word, path) = reading.required("is")?;
            let words = [
                ("sent", Is::Sent),
                ("opened", Is::Opened),
                ("clicked", Is::Clicked),
                ("bounced", Is::Bounced),
                ("unsubscribed", Is::Unsubscribed),
            ];
            let is = reading.keep(read_word(word, &path, &words))?;
            let link = reading.fields.text("link");
            let link = reading.keep(link)?.map(str::to_owned);
            let machine = reading.fields.boolean("machine");
            let machine = reading.keep(machine)?.unwrap_or_default();
            Some(What::Message { node, number: 0, is, link, machine })
        }
        (None, None, Some(segment)) => Some(What::Segment { segment, slot: 0 }),
        _ => {
            let problem =
                Problem::new("journey.wait_for", "expected one of `event`, `message` and `segment`")
                    .field(&reading.fields.path)
                    .at(place)
                    .cure("to wait for several things write any_of: {bought: {event: Order Completed}, …}");
            reading.problems.push(problem);
            None
        }
    }
}

fn key(reading: &mut Reading<'_, '_>) -> Option<Key> {
    let Some(node) = reading.fields.optional("key") else { return Some(Key::OfTriggers) };
    match (&node.data, node.text()) {
        (doc::Data::Bool(true), _) => Some(Key::OfTriggers),
        (doc::Data::Bool(false), _) => Some(Key::Any),
        (_, Some(text)) if !text.is_empty() && text.split('.').all(|part| !part.is_empty()) => {
            Some(Key::At(text.split('.').map(str::to_owned).collect()))
        }
        _ => {
            let problem = node.problem("journey.wait_for", "expected true, false, or a path into the event");
            let field = reading.fields.path_of("key");
            reading.problems.push(problem.field(field).cure("write it as in key: order.cart_id"));
            None
        }
    }
}

/// `{property: total, …}` means `{ref: event.total, …}`.
fn of_event(node: &doc::Node) -> doc::Node {
    let data = match &node.data {
        doc::Data::List(items) => doc::Data::List(items.iter().map(of_event).collect()),
        doc::Data::Map(entries) => doc::Data::Map(
            entries
                .iter()
                .map(|entry| match (entry.key.as_str(), entry.value.scalar()) {
                    ("property", Some(path)) => doc::Entry {
                        key: "ref".into(),
                        place: entry.place,
                        value: doc::Node {
                            data: doc::Data::Text(format!("event.{path}")),
                            ..entry.value.clone()
                        },
                    },
                    ("all" | "any" | "not", _) => {
                        doc::Entry { value: of_event(&entry.value), ..entry.clone() }
                    }
                    _ => entry.clone(),
                })
                .collect(),
        ),
        other => other.clone(),
    };
    doc::Node { data, ..node.clone() }
}
