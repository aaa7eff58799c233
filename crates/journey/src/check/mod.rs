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
//! | `journey.data_not_before` | a node reads data of one that does not come before it |
//! | `journey.data_not_on_every_path` | … of one that some path leaves out |
//! | `journey.no_such_data` | a node does not export what is read |
//! | `journey.type` | the types do not fit |
//! | `journey.missing_variable` | a template's required variable is not mapped |
//! | `journey.content_not_ready` | a template has mistakes of its own |
//! | `journey.no_branch` (warning) | an answer leads nowhere: those contacts stop |
//! | `journey.dead_end` (warning) | a path ends in a node that only fetches data |
//! | `journey.unguarded_products` (warning) | a message may go out without products |
//! | `journey.message_twice` (warning) | a contact may get the same message twice in one run |

mod flow;
mod names;

use std::{collections::BTreeMap, collections::HashMap, sync::Arc};

use model::{FieldDef, Localized, Place, Problem, Problems, Slug};
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
    if let Who::Segment(slug) = &document.audience.who {
        binder.audience(slug, document.audience.place);
    }
    bind_all(&mut binder, &mut nodes);
    let Bound { segments, templates, conditions, coupons, reads, refs } = binder.finish();
    // Without sound nodes and links, what follows would report mere consequences.
    if problems.iter().all(|problem| !problem.is_error() || problem.code == "journey.type") {
        flow::check(&nodes, &refs, &mut problems);
    }
    problems.sort_by_key(|problem| problem.place);
    if problems.iter().any(Problem::is_error) {
        return Err(problems);
    }
    let journey = Journey {
        slug: document.slug.clone(),
        name: document.name.clone(),
        audience: document.audience.clone(),
        reentry: document.reentry,
        triggers: Vec::new(),
        exits: Vec::new(),
        goal: None,
        keep: None,
        starts_at: None,
        ends_at: None,
        conditions,
        coupons,
        nodes,
        segments,
        templates,
        reads,
        by_id,
    };
    Ok((journey, problems))
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
    Ok(Journey {
        slug: document.slug.clone(),
        name: document.name.clone(),
        audience: document.audience.clone(),
        reentry: document.reentry,
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
    })
}

/// What binding found.
struct Bound {
    segments: Vec<Slug>,
    templates: Vec<Slug>,
    conditions: Vec<Condition>,
    coupons: Vec<Slug>,
    reads: Reads,
    refs: Vec<Read>,
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
        limits: Limits::default(),
        links: Vec::new(),
        next: vec![Vec::new(); outcomes.len()],
        outcomes,
    })
}

fn read_kind(
    fields: &mut model::doc::Fields<'_>,
    raw: &RawNode,
    problems: &mut Problems,
) -> Option<&'static Kind> {
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

fn read_label(node: &model::doc::Node) -> Localized {
    let text = |key: &str| node.get(key).and_then(model::doc::Node::scalar);
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
