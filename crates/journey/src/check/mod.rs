//! The checker: compiles a document against what lies beside it, and reports like a good compiler — node, field, place,
//! cause, cure, and a stable code.
//!
//! | code | what is wrong |
//! | --- | --- |
//! | `journey.unknown_kind` | no such kind of node |
//! | `journey.unknown_node` | a link or reference names no node |
//! | `journey.unknown_segment`, `_template`, `_field`, `_variable` | nothing beside the journey has this name |
//! | `journey.when` | a link carries a word that its node never answers with |
//! | `journey.into_start`, `journey.after_end` | a link into the start, or out of an end |
//! | `journey.unreachable` | no path leads to the node |
//! | `journey.loop` | contacts would go round without end: no node on the way waits |
//! | `journey.too_many_paths` | fan-out multiplies beyond [`STEPS_MAX`] steps for one contact |
//! | `journey.multiplies` | a loop has two ways back by one answer: each round doubles the contact |
//! | `journey.data_not_before` | a node reads data of one that does not come before it |
//! | `journey.data_not_on_every_path` | … of one that some path leaves out |
//! | `journey.no_such_data` | a node does not export what is read |
//! | `journey.type` | the types do not fit |
//! | `journey.missing_variable` | a template's required variable is not mapped |
//! | `journey.content_not_ready` | a template has mistakes of its own |
//! | `journey.unknown_rfm_model`, `_rfm_group`, `journey.rfm_model` | an RFM trigger names what no model has |
//! | `journey.data_not_in_every_trigger` | data of the trigger that one of several does not bring |
//! | `journey.no_key` | `per_key` without a key, or a trigger without the key that others have |
//! | `journey.nobody_enters` | the audience rules out whoever fires the trigger |
//! | `journey.window` | `ends_at` is not after `starts_at` |
//! | `journey.limit` | a limit that is no whole number above 0 |
//! | `journey.no_sender`, `journey.message_not_before` | a wait for a message that no node sends, or not on every path |
//! | `journey.unknown_event` (warning) | no event of this kind was seen |
//! | `journey.undeclared_data` (warning) | a property that is spelled nearly as a known one |
//! | `journey.newcomers_left_out` (warning) | triggers with `source: existing` |
//! | `journey.only_once` (warning) | a recurring trigger with `reentry: never` |
//! | `journey.exit_is_trigger` (warning) | what starts the journey also ends it |
//! | `journey.never_heard` (warning) | a wait for an event at which contacts leave |
//! | `journey.goal_without_target` (warning) | a goal without a target |
//! | `journey.said_twice` (warning) | the same trigger or exit twice |
//! | `journey.window_too_long` (warning) | a window further back than events are kept |
//! | `journey.coupon_twice` (warning) | a path assigns two codes of one set |
//! | `journey.no_branch` (warning) | an answer leads nowhere: those contacts stop |
//! | `journey.dead_end` (warning) | a path ends in a node that only fetches data |
//! | `journey.unguarded_products` (warning) | a message may go out without products |
//! | `journey.message_twice` (warning) | a contact may get the same message twice in one run |
//! | `journey.wait`, `journey.wait_for`, `journey.time_of_day` | what a node waits for cannot be meant |
//! | `journey.wait_too_long` | a wait or a limit is longer than is possible |
//! | `journey.branch`, `journey.branches`, `journey.share` | names, number or shares of branches |
//! | `journey.ab_test` | level or sample of a test |
//! | `journey.no_sender` | a message is waited for of a node that sends none |
//! | `list.unknown` (warning) | a static list that nobody is on and no journey puts contacts on |
//! | `journey.unknown_journey` (warning) | contacts go on to a journey that does not exist yet |
//! | `journey.before_holdout` (warning) | a message could go out before the holdout group is drawn |

mod events;
mod flow;
mod live;
mod names;
mod sense;

use std::{collections::BTreeMap, collections::HashMap, sync::Arc};

use model::{FieldDef, Localized, Place, Problem, Problems, Slug, Zone, doc};
use segment::{Condition, reference::RefPath};
use template::Template;

use crate::{
    document::{Document, RawNode, START, Who},
    entry::Limits,
    graph::{Journey, Link, Node, Reads},
    nodes::{self, Kind, Reading},
};

pub use names::Binder;

/// The most steps that one contact may take in one pass, all branches together.
pub const STEPS_MAX: u64 = 1_000;

/// A template as the checker finds it.
#[derive(Clone, Debug)]
pub enum Content {
    /// Ready to be sent.
    Ready(Arc<Template>),
    /// It has mistakes of its own.
    Broken,
}

/// What lies beside a journey: in its folder, and in the workspace.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Custom fields.
    pub fields: Vec<FieldDef>,
    /// Slugs of the segments.
    pub segments: Vec<String>,
    /// Templates by slug.
    pub templates: BTreeMap<String, Content>,
    /// Slugs of the coupon sets.
    pub coupons: Vec<String>,
    /// Slugs of the other journeys.
    pub journeys: Vec<String>,
    /// Kinds of events that were seen or are known; empty: not known.
    pub event_kinds: Vec<String>,
    /// Static lists that somebody is on, that were named, or that another journey puts contacts on.
    pub lists: segment::Known,
    /// The workspace's zone, in which instants without an offset are; none: UTC.
    pub zone: Option<Zone>,
}

/// A reference that a node reads, put aside until the graph is known.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    node: u16,
    path: RefPath,
    place: Place,
    field: String,
}

/// Compiles a document.
///
/// # Errors
/// Everything that is wrong, in the order of the file; warnings come with the journey when nothing is.
pub fn compile(document: &Document, beside: &Beside) -> Result<(Journey, Problems), Problems> {
    let mut problems = Problems::new();
    let mut nodes = read_nodes(document, &mut problems);
    let by_id: HashMap<String, u16> =
        nodes.iter().enumerate().map(|(number, node)| (node.id.clone(), number as u16)).collect();
    connect(document, &mut nodes, &by_id, &mut problems);
    let mut binder = Binder::new(beside, &mut problems, &nodes, &by_id);
    let audience = &document.audience;
    if let Who::Segment(slug) = &audience.who {
        binder.audience("segment", slug, audience.place);
    }
    binder.reads.push |= audience.who == Who::PushSubscribers;
    if let Some((slug, place)) = &audience.exclude {
        binder.audience("exclude", slug, *place);
    }
    let live = live::bind(document, &mut binder);
    bind_all(&mut binder, &mut nodes);
    let Bound { segments, templates, conditions, coupons, coupon_nodes, reads, refs, orders } =
        binder.finish();
    // Without sound nodes and links, what follows would report mere consequences.
    if problems.iter().all(|problem| !problem.is_error() || problem.code == "journey.type") {
        flow::check(&nodes, &refs, &orders, &coupon_nodes, &mut problems);
        sense::check(document, &live, &nodes, &conditions, &mut problems);
    }
    problems.sort_by_key(|problem| problem.place);
    problems.dedup();
    if problems.iter().any(Problem::is_error) {
        return Err(problems);
    }
    let journey = Journey {
        reentry: document.live.reentry.0,
        triggers: live.triggers,
        exits: live.exits,
        goal: live.goal,
        keep: live.keep,
        starts_at: live.starts_at,
        ends_at: live.ends_at,
        conditions,
        coupons,
        segments,
        templates,
        reads,
        ..bare(document, nodes, by_id)
    };
    Ok((journey, problems))
}

/// A journey that has its nodes and nothing else.
fn bare(document: &Document, nodes: Vec<Node>, by_id: HashMap<String, u16>) -> Journey {
    Journey {
        slug: document.slug.clone(),
        name: document.name.clone(),
        audience: document.audience.clone(),
        reentry: document.live.reentry.0,
        triggers: Vec::new(),
        exits: Vec::new(),
        goal: None,
        keep: None,
        starts_at: None,
        ends_at: None,
        conditions: Vec::new(),
        coupons: Vec::new(),
        nodes,
        segments: Vec::new(),
        templates: Vec::new(),
        reads: Reads::default(),
        by_id,
    }
}

/// The graph of a document that was checked before: nodes, outcomes and links, without what lies beside it. Good for
/// reading counts and traces; it cannot be run.
///
/// # Errors
/// What is wrong with the document's shape.
pub fn skeleton(document: &Document) -> Result<Journey, Problems> {
    let mut problems = Problems::new();
    let mut nodes = read_nodes(document, &mut problems);
    let by_id: HashMap<String, u16> =
        nodes.iter().enumerate().map(|(number, node)| (node.id.clone(), number as u16)).collect();
    connect(document, &mut nodes, &by_id, &mut problems);
    if problems.iter().any(Problem::is_error) {
        return Err(problems);
    }
    Ok(bare(document, nodes, by_id))
}

/// What binding found.
struct Bound {
    segments: Vec<Slug>,
    templates: Vec<Slug>,
    conditions: Vec<Condition>,
    coupons: Vec<Slug>,
    /// Which node assigns a code of which set.
    coupon_nodes: Vec<(u16, u16)>,
    reads: Reads,
    refs: Vec<Read>,
    /// Nodes that another node must come after.
    orders: Vec<After>,
}

/// A node that must come before another on every path, put aside until the graph is known.
#[derive(Clone, Debug)]
struct After {
    node: u16,
    before: u16,
    place: Place,
    field: String,
}

fn bind_all(binder: &mut Binder<'_>, nodes: &mut [Node]) {
    for (number, node) in nodes.iter_mut().enumerate() {
        binder.enter(number as u16, &node.id);
        node.step.bind(binder);
    }
}

fn read_nodes(document: &Document, problems: &mut Problems) -> Vec<Node> {
    let start = document.nodes.iter().find(|raw| raw.id == START);
    let place = start.map_or(Place { line: 1, column: 1 }, |raw| raw.place);
    let mut nodes = vec![Node {
        id: START.to_owned(),
        name: Localized::default(),
        kind: &nodes::start::KIND,
        step: Box::new(nodes::start::Start),
        place,
        outcomes: vec![nodes::ALWAYS[0].to_owned()],
        limits: Limits::default(),
        links: Vec::new(),
        next: vec![Vec::new()],
    }];
    for raw in &document.nodes {
        let read = read_node(raw, problems);
        match read {
            // The start may be written, to give it a name.
            Some(node) if raw.id == START => nodes[0].name = node.name,
            Some(node) => nodes.push(node),
            None => {}
        }
    }
    nodes
}

fn read_node(raw: &RawNode, problems: &mut Problems) -> Option<Node> {
    let path = format!("nodes.{}", raw.id);
    let mut fields = match raw.body.fields(&path) {
        Ok(fields) => fields,
        Err(problem) => {
            problems.push(problem.cure("write it as in {kind: in_segment, segment: vip}"));
            return None;
        }
    };
    let kind = read_kind(&mut fields, raw, problems);
    let name = match fields.optional("name") {
        None => Localized::default(),
        Some(node) => read_label(node),
    };
    let limits = fields
        .optional("limits")
        .map_or(Some(Limits::default()), |node| read_limits(node, &format!("{path}.limits"), problems));
    let kind = kind?;
    let mut reading = Reading { fields, problems };
    let before = reading.problems.len();
    let step = (kind.read)(&mut reading);
    let unknown = reading.fields.finish();
    problems.extend(unknown);
    let step = step.filter(|_| problems.len() == before)?;
    let outcomes =
        step.branches().unwrap_or_else(|| step.outcomes().iter().map(|w| (*w).to_owned()).collect());
    Some(Node {
        id: raw.id.clone(),
        name,
        kind,
        step,
        place: raw.place,
        limits: limits?,
        links: Vec::new(),
        next: vec![Vec::new(); outcomes.len()],
        outcomes,
    })
}

/// `{per_contact: 1, in_total: 1000}`.
fn read_limits(node: &doc::Node, path: &str, problems: &mut Problems) -> Option<Limits> {
    let before = problems.len();
    let mut fields = match node.fields(path) {
        Ok(fields) => fields,
        Err(problem) => {
            problems.push(problem.cure("write it as in {per_contact: 1, in_total: 1000}"));
            return None;
        }
    };
    let mut limit = |key: &'static str| {
        let node = fields.optional(key)?;
        let limit = node.integer().and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
        if limit.is_none() {
            problems.push(
                node.problem("journey.limit", "a limit is a whole number above 0")
                    .field(format!("{path}.{key}"))
                    .cure("leave it out where there is no limit; 0 would stop everybody here"),
            );
        }
        limit
    };
    let limits = Limits { per_contact: limit("per_contact"), in_total: limit("in_total") };
    problems.extend(fields.finish());
    (problems.len() == before).then_some(limits)
}

fn read_kind(fields: &mut doc::Fields<'_>, raw: &RawNode, problems: &mut Problems) -> Option<&'static Kind> {
    let node = match fields.required("kind") {
        Ok(node) => node,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    let word = node.scalar().unwrap_or_default();
    let at_start = raw.id == START;
    let kind = nodes::kind(&word).filter(|kind| at_start == std::ptr::eq(*kind, &nodes::start::KIND));
    if kind.is_none() {
        let problem = node
            .problem("journey.unknown_kind", format!("`{word}` is no kind of node"))
            .field(fields.path_of("kind"));
        problems.push(if at_start || word == START {
            problem.cure("`start` is both the id and the kind of the first node, and of no other")
        } else {
            problem.suggest(&word, nodes::KINDS.iter().map(|kind| kind.word).filter(|word| *word != START))
        });
    }
    kind
}

fn read_label(node: &doc::Node) -> Localized {
    let text = |key: &str| node.get(key).and_then(doc::Node::scalar);
    match node.scalar() {
        Some(same) => Localized::same(&same),
        None => Localized { en: text("en"), fr: text("fr") },
    }
}

/// Puts the links to their nodes.
fn connect(document: &Document, nodes: &mut [Node], by_id: &HashMap<String, u16>, problems: &mut Problems) {
    let declared = |id: &str| id == START || document.nodes.iter().any(|raw| raw.id == id);
    for (number, link) in document.links.iter().enumerate() {
        let mut end = |key: &str, id: &str, place: Place| {
            let found = by_id.get(id).copied();
            if found.is_none() && !declared(id) {
                let ids = document.nodes.iter().map(|raw| raw.id.as_str()).chain([START]);
                problems.push(
                    Problem::new("journey.unknown_node", format!("there is no node `{id}`"))
                        .field(format!("links.{number}.{key}"))
                        .value(id)
                        .at(place)
                        .suggest(id, ids.collect::<Vec<_>>()),
                );
            }
            found
        };
        let ends = (end("from", &link.from, link.from_place), end("to", &link.to, link.to_place));
        let (Some(from), Some(to)) = ends else { continue };
        if to == 0 {
            problems.push(
                Problem::new("journey.into_start", "a link leads into the start")
                    .field(format!("links.{number}.to"))
                    .at(link.to_place)
                    .cure("lead it to the node after the start"),
            );
            continue;
        }
        let node = &mut nodes[usize::from(from)];
        if node.kind.role == nodes::Role::End {
            problems.push(
                Problem::new("journey.after_end", format!("`{}` is an end: nothing follows it", node.id))
                    .field(format!("links.{number}.from"))
                    .at(link.from_place)
                    .cure("remove the link, or the end"),
            );
            continue;
        }
        let words = &node.outcomes;
        let mut matches = false;
        for (outcome, word) in words.iter().enumerate() {
            if (link.when == nodes::ALWAYS[0] && node.step.plain(outcome)) || link.when == *word {
                matches = true;
                if !node.next[outcome].contains(&to) {
                    node.next[outcome].push(to);
                }
            }
        }
        if !matches {
            let always = nodes::ALWAYS[0];
            let known = words.iter().map(String::as_str).filter(|word| *word != always).chain([always]);
            problems.push(
                Problem::new(
                    "journey.when",
                    format!("`{}` ({}) never answers `{}`", node.id, node.kind.word, link.when),
                )
                .field(format!("links.{number}.when"))
                .value(&link.when)
                .at(link.when_place)
                .suggest(&link.when, known.collect::<Vec<_>>()),
            );
        }
        node.links.push(Link { to, when: link.when.clone(), place: link.place });
    }
}
