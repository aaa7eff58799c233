//! Has the contact received, opened or clicked a message? Any, those of a template, a purpose or a journey, or the very one
//! that a node sent in this run: `{was: opened, message_of: mail}`, `{was: clicked, template: offer, link: shop, within: P7D}`.
//! What a machine opened or clicked does not count, as everywhere, unless `machine: true` says so.

use model::{Problem, doc, event::kind};

use super::{
    Kind, Reading, Role, Step,
    question::{Asks, Question, activity_keys, add_filters, entry, map, property_is, taken, text},
};

/// The kind.
pub static KIND: Kind = Kind {
    word: "has_message",
    name_en: "Has received, opened or clicked a message",
    name_fr: "A reçu, ouvert ou cliqué un message",
    role: Role::Condition,
    read,
};

/// What happened to messages of one channel, by word, with the kind of its events.
type Happenings = [(&'static str, Option<&'static str>); 3];

/// What happened to a message, by its channel; none: that cannot be known of such a message.
const KINDS: [(&str, Happenings); 3] = [
    (
        "email",
        [
            ("received", Some(kind::EMAIL_SENT)),
            ("opened", Some(kind::EMAIL_OPENED)),
            ("clicked", Some(kind::EMAIL_CLICKED)),
        ],
    ),
    ("sms", [("received", Some(kind::SMS_SENT)), ("opened", None), ("clicked", Some(kind::SMS_CLICKED))]),
    (
        "push",
        [
            ("received", Some(kind::PUSH_SENT)),
            ("opened", Some(kind::PUSH_OPENED)),
            ("clicked", Some(kind::PUSH_CLICKED)),
        ],
    ),
];

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let channel = match reading.fields.optional("channel") {
        None => Some(0),
        Some(node) => place(reading, node, "channel", &KINDS.map(|(word, _)| word)),
    };
    let (was, _) = reading.required("was")?;
    let words = KINDS[0].1.map(|(word, _)| word);
    let event = place(reading, was, "was", &words);
    let filters = filters(reading);
    let event = match KINDS[channel?].1[event?].1 {
        Some(event) => event,
        None => {
            let problem = was.problem("message.unknown", "nobody learns whether a text message was opened");
            let field = reading.fields.path_of("was");
            reading.problems.push(problem.field(field).cure("ask received or clicked"));
            return None;
        }
    };
    let place = reading.fields.place;
    let mut entries = vec![entry("did", text(event, was.place))];
    entries.extend(taken(reading, activity_keys()));
    add_filters(&mut entries, filters, place);
    Some(Box::new(Asks(Question::new(map(entries, place), reading.fields.path.clone()))))
}

/// Which messages: each setting is a property of the events about messages.
fn filters(reading: &mut Reading<'_, '_>) -> Vec<doc::Node> {
    let mut filters = Vec::new();
    for key in ["template", "purpose", "journey"] {
        filters.extend(reading.fields.optional(key).map(|node| property_is(key, node.clone())));
    }
    if let Some(node) = reading.fields.optional("message_of") {
        let path = text(&format!("run.message.{}", node.scalar().unwrap_or_default()), node.place);
        filters.push(property_is("message_id", map(vec![entry("ref", path)], node.place)));
    }
    // A link is known by its name and by where it leads.
    if let Some(node) = reading.fields.optional("link") {
        let any = ["link", "url"].map(|key| property_is(key, node.clone())).to_vec();
        let any = doc::Node { data: doc::Data::List(any), place: node.place };
        filters.push(map(vec![entry("any", any)], node.place));
    }
    filters
}

fn place(
    reading: &mut Reading<'_, '_>,
    node: &doc::Node,
    key: &str,
    words: &[&'static str],
) -> Option<usize> {
    let word = node.scalar().unwrap_or_default();
    let found = words.iter().position(|own| *own == word);
    if found.is_none() {
        let problem: Problem = node.problem("message.unknown", format!("`{word}` is not known here"));
        let field = reading.fields.path_of(key);
        reading.problems.push(problem.field(field).suggest(&word, words.iter().copied()));
    }
    found
}
