//! The parts of a journey file that say how contacts come in and leave early: `triggers`, `exit`, `goal`, `while`,
//! `reentry`, `starts_at`, `ends_at`. Kinds of triggers and their settings are in [`super::trigger`].

use model::{Period, Place, Problem, Problems, Timestamp, Zone, doc};
use segment::RefPath;

use super::{read_word, take, trigger};
use crate::{
    data::DataType,
    entry::{On, Reentry},
    nodes::Named,
    signal::LATE_DEFAULT,
};

/// Most triggers of a journey; as many exits.
pub const LISTENERS_MAX: usize = 50;
/// Most properties that a trigger may declare.
pub const PROPERTIES_MAX: usize = 200;
/// How long after the end of a run its goal still counts, unless the file says otherwise (design: 3 days).
pub const GOAL_WITHIN_DEFAULT: Period = Period::days(3);

/// A trigger, an exit or a goal as written.
#[derive(Clone, Debug)]
pub struct RawListener {
    /// What it waits for; its names are not looked up yet.
    pub on: On,
    /// The segment, RFM model, contact field or kind of event that it names.
    pub named: Option<Named>,
    /// The groups of an RFM trigger, with where each stands.
    pub groups: Vec<Named>,
    /// The condition, with its path in messages.
    pub condition: Option<(doc::Node, String)>,
    /// Where the key stands in the event.
    pub key: Option<(RefPath, Place)>,
    /// An event that was this old at its arrival starts nothing, in microseconds.
    pub late: i64,
    /// Whether an opening or a click by a machine counts.
    pub machine: bool,
    /// Types of properties that the event is said to have, by dotted path.
    pub properties: Vec<(String, DataType)>,
    /// Where it stands.
    pub place: Place,
    /// Its path in messages, as in `triggers.0`.
    pub field: String,
}

/// A goal as written.
#[derive(Clone, Debug)]
pub struct RawGoal {
    /// What reaches it.
    pub listener: RawListener,
    /// The share of contacts that should, in ten-thousandths.
    pub share: Option<u32>,
    /// How many should.
    pub count: Option<u64>,
    /// How long after the end of a run it still counts.
    pub within: Period,
}

/// `while` as written.
#[derive(Clone, Debug)]
pub struct RawKeep {
    /// The condition.
    pub condition: doc::Node,
    /// Its path in messages.
    pub field: String,
    /// Leave the journey when it does not hold, or skip the message.
    pub leave: bool,
}

/// An instant as written: without an offset it is in the workspace's zone, which the compiler knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawInstant {
    /// What was written; it can be read.
    pub text: String,
    /// Where.
    pub place: Place,
}

impl RawInstant {
    /// The instant, naive ones in `zone`.
    #[must_use]
    pub fn at(&self, zone: &Zone) -> Timestamp {
        Timestamp::parse(&self.text, zone).unwrap_or_default()
    }
}

/// Everything about coming in and leaving early.
#[derive(Clone, Debug)]
pub struct Live {
    /// What starts the journey; empty: the audience enters when it starts.
    pub triggers: Vec<RawListener>,
    /// What takes a contact out, wherever it stands.
    pub exits: Vec<RawListener>,
    /// What it is for.
    pub goal: Option<RawGoal>,
    /// What must stay true.
    pub keep: Option<RawKeep>,
    /// Whether somebody may take part again, with where that stands.
    pub reentry: (Reentry, Place),
    /// Nobody enters before.
    pub starts_at: Option<RawInstant>,
    /// Nobody enters from then on.
    pub ends_at: Option<RawInstant>,
}

/// Reads all of it.
pub(super) fn read(fields: &mut doc::Fields<'_>, problems: &mut Problems) -> Live {
    let triggers = one_of(fields, ["triggers", "trigger"], problems)
        .map_or_else(Vec::new, |(key, node)| listeners(node, key, Use::Trigger, problems));
    let exits = one_of(fields, ["exit", "exits"], problems)
        .map_or_else(Vec::new, |(key, node)| listeners(node, key, Use::Exit, problems));
    let goal = fields.optional("goal").and_then(|node| goal(node, problems));
    let keep = fields.optional("while").and_then(|node| take(problems, keep(node)));
    let default = if triggers.is_empty() { Reentry::Never } else { Reentry::AfterExit };
    let reentry = match fields.optional("reentry") {
        None => (default, fields.place),
        Some(node) => (take(problems, reentry(node)).unwrap_or(default), node.place),
    };
    let mut instant = |key| take(problems, instant(fields, key)).flatten();
    let (starts_at, ends_at) = (instant("starts_at"), instant("ends_at"));
    Live { triggers, exits, goal, keep, reentry, starts_at, ends_at }
}

/// The one of two spellings that stands in the file.
fn one_of<'a>(
    fields: &mut doc::Fields<'a>,
    keys: [&'static str; 2],
    problems: &mut Problems,
) -> Option<(&'static str, &'a doc::Node)> {
    match (fields.optional(keys[0]), fields.optional(keys[1])) {
        (Some(_), Some(second)) => {
            let message = format!("`{}` and `{}` say the same", keys[0], keys[1]);
            problems.push(
                second
                    .problem("journey.said_twice", message)
                    .field(keys[1])
                    .cure(format!("put all of them under `{}`", keys[0])),
            );
            None
        }
        (Some(node), None) => Some((keys[0], node)),
        (None, Some(node)) => Some((keys[1], node)),
        (None, None) => None,
    }
}

/// What a listener is for: not every setting makes sense everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Trigger,
    Exit,
    Goal,
}

fn listeners(node: &doc::Node, key: &str, of: Use, problems: &mut Problems) -> Vec<RawListener> {
    // One alone needs no list.
    let items = node.items().unwrap_or(std::slice::from_ref(node));
    if items.len() > LISTENERS_MAX {
        let message = format!("more than {LISTENERS_MAX} of them");
        problems.push(node.problem("journey.too_large", message).field(key));
        return Vec::new();
    }
    let read = items.iter().enumerate().map(|(number, item)| {
        let path = if node.items().is_some() { format!("{key}.{number}") } else { key.to_owned() };
        listener(item, &path, of, problems)
    });
    read.collect::<Vec<_>>().into_iter().flatten().collect()
}

fn listener(node: &doc::Node, path: &str, of: Use, problems: &mut Problems) -> Option<RawListener> {
    if let Some(text) = node.text() {
        // A text alone: a kind of trigger that needs no settings, or a kind of event.
        let (on, named) = trigger::of_text(text, node.place, path, of);
        return Some(plain(on, named, node.place, path, of));
    }
    let mut fields = take(problems, node.fields(path))?;
    let read = rest(&mut fields, path, of, problems);
    problems.extend(fields.finish());
    read.map(|read| RawListener { place: node.place, ..read })
}

fn plain(on: On, named: Option<Named>, place: Place, path: &str, of: Use) -> RawListener {
    RawListener {
        on,
        named,
        groups: Vec::new(),
        condition: None,
        key: None,
        late: if of == Use::Trigger { LATE_DEFAULT } else { i64::MAX },
        machine: false,
        properties: Vec::new(),
        place,
        field: path.to_owned(),
    }
}

/// A listener's settings; the caller asks for those of its own first and finishes the mapping.
fn rest(fields: &mut doc::Fields<'_>, path: &str, of: Use, problems: &mut Problems) -> Option<RawListener> {
    let before = problems.len();
    let on = trigger::read(fields, of, problems);
    let condition = fields.optional("where").map(|node| (node.clone(), fields.path_of("where")));
    let key = fields.optional("key").and_then(|node| take(problems, key(node, &format!("{path}.key"))));
    let late = if of == Use::Trigger { fields.optional("late") } else { None };
    let late = late.map(|node| take(problems, lateness(node, &format!("{path}.late"))));
    let machine = take(problems, fields.boolean("machine")).flatten();
    let properties = fields
        .optional("properties")
        .map_or_else(Vec::new, |node| properties(node, &format!("{path}.properties"), problems));
    let trigger::Read { on, named, groups } = on?;
    let sound = plain(on, named, fields.place, path, of);
    let late = late.flatten().unwrap_or(sound.late);
    let machine = machine.unwrap_or_default();
    let read = RawListener { groups, condition, key, late, machine, properties, ..sound };
    (problems.len() == before).then_some(read)
}

/// `trigger.cart_id`, `cart_id` or `{ref: trigger.cart_id}`.
fn key(node: &doc::Node, path: &str) -> Result<(RefPath, Place), Problem> {
    let text = node.get("ref").unwrap_or(node).text().unwrap_or_default();
    let rooted = if text.starts_with("trigger.") { text.to_owned() } else { format!("trigger.{text}") };
    let read = RefPath::parse(&rooted).map_err(|problem| problem.field(path).at(node.place).value(text));
    read.map(|key| (key, node.place)).map_err(|problem| problem.cure("write it as in trigger.cart_id"))
}

fn lateness(node: &doc::Node, path: &str) -> Result<i64, Problem> {
    let period = period(node, path)?;
    if period.is_zero() {
        return Err(node
            .problem("period.zero", "no event could ever be in time")
            .field(path)
            .cure("leave it out: 6 hours"));
    }
    Ok(trigger::micros(period))
}

/// An ISO 8601 duration.
pub(super) fn period(node: &doc::Node, path: &str) -> Result<Period, Problem> {
    Period::parse(&node.scalar().unwrap_or_default()).map_err(|problem| problem.field(path).at(node.place))
}

/// The words for types of properties.
const TYPES: &[(&str, DataType)] = &[
    ("text", DataType::Text),
    ("integer", DataType::Integer),
    ("decimal", DataType::Decimal),
    ("date", DataType::Date),
    ("instant", DataType::Instant),
    ("boolean", DataType::Boolean),
    ("options", DataType::Options),
    ("product", DataType::Product),
    ("products", DataType::ProductList),
    ("cart", DataType::Cart),
];

/// The words for types of properties, for the file's schema.
pub(crate) fn type_words() -> Vec<&'static str> {
    TYPES.iter().map(|(word, _)| *word).collect()
}

fn properties(node: &doc::Node, path: &str, problems: &mut Problems) -> Vec<(String, DataType)> {
    let Some(entries) = node.entries() else {
        problems.push(
            node.problem("doc.type", format!("expected a mapping of types, found {}", node.kind()))
                .field(path)
                .cure("write it as in {cart_total: decimal, \"shop.city\": text}"),
        );
        return Vec::new();
    };
    if entries.len() > PROPERTIES_MAX {
        let message = format!("more than {PROPERTIES_MAX} properties");
        problems.push(node.problem("journey.too_large", message).field(path));
        return Vec::new();
    }
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        let kind = read_word(&entry.value, &format!("{path}.{}", entry.key), TYPES);
        let name = entry.key.strip_prefix("trigger.").unwrap_or(&entry.key);
        all.extend(take(problems, kind).map(|kind| (name.to_owned(), kind)));
    }
    all
}

fn goal(node: &doc::Node, problems: &mut Problems) -> Option<RawGoal> {
    let mut fields = take(problems, node.fields("goal"))?;
    let before = problems.len();
    let share = fields.optional("share").and_then(|node| take(problems, share(node)));
    let count = fields.optional("count").and_then(|node| {
        let count = node.integer().and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
        if count.is_none() {
            let problem = node.problem("journey.goal_target", "expected a whole number above 0");
            problems.push(problem.field("goal.count"));
        }
        count
    });
    if share.is_some() && count.is_some() {
        let problem = node.problem("journey.goal_target", "`share` and `count` exclude each other");
        problems.push(problem.field("goal").cure("keep one of them"));
    }
    let within = fields.optional("within").map(|node| take(problems, period(node, "goal.within")));
    let listener = rest(&mut fields, "goal", Use::Goal, problems);
    problems.extend(fields.finish());
    let within = within.flatten().unwrap_or(GOAL_WITHIN_DEFAULT);
    let listener = listener.filter(|_| problems.len() == before)?;
    Some(RawGoal { listener, share, count, within })
}

/// Per cent, as in 50, 12.5 or "50%", in ten-thousandths.
fn share(node: &doc::Node) -> Result<u32, Problem> {
    let text = node.scalar().unwrap_or_default();
    let percent = model::Amount::parse(text.trim().trim_end_matches('%').trim_end());
    let share = percent.ok().map(|percent| percent.0 / (model::Amount::SCALE / 100));
    share.and_then(|share| u32::try_from(share).ok()).filter(|share| (1..=10_000).contains(share)).ok_or_else(
        || {
            node.problem("journey.goal_target", format!("`{text}` is not a share of contacts"))
                .field("goal.share")
                .cure("give per cent, as in 50 or 12.5")
        },
    )
}

fn keep(node: &doc::Node) -> Result<RawKeep, Problem> {
    let Some(condition) = node.get("condition") else {
        // The condition alone; skipping the message is the gentler of the two.
        return Ok(RawKeep { condition: node.clone(), field: "while".into(), leave: false });
    };
    let mut fields = node.fields("while")?;
    fields.optional("condition");
    let words = [("skip", false), ("leave", true)];
    let leave =
        fields.optional("otherwise").map_or(Ok(false), |node| read_word(node, "while.otherwise", &words))?;
    match fields.finish().into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(RawKeep { condition: condition.clone(), field: "while.condition".into(), leave }),
    }
}

fn reentry(node: &doc::Node) -> Result<Reentry, Problem> {
    if node.entries().is_none() {
        let words =
            [("never", Reentry::Never), ("after_exit", Reentry::AfterExit), ("per_key", Reentry::PerKey)];
        let cure = "use never, after_exit, per_key, or {after: P30D}";
        return read_word(node, "reentry", &words).map_err(|problem| match &problem.cure {
            Some(near) if near.starts_with("did you mean") => problem,
            _ => problem.cure(cure),
        });
    }
    let mut fields = node.fields("reentry")?;
    let after = fields.required("after")?;
    let pause = period(after, "reentry.after")?;
    if let Some(problem) = fields.finish().into_iter().next() {
        return Err(problem);
    }
    if pause.is_zero() {
        return Err(after
            .problem("period.zero", "the pause is zero")
            .field("reentry.after")
            .cure("write reentry: after_exit"));
    }
    Ok(Reentry::After(pause))
}

fn instant(fields: &mut doc::Fields<'_>, key: &'static str) -> Result<Option<RawInstant>, Problem> {
    let Some(node) = fields.optional(key) else { return Ok(None) };
    let text = node.scalar().unwrap_or_default();
    Timestamp::parse(&text, &Zone::UTC).map_err(|problem| problem.field(key).at(node.place))?;
    Ok(Some(RawInstant { text, place: node.place }))
}
