//! A journey file (design: formats) as read, before anything is checked against the rest of the workspace: every part
//! with its place, so that a message can name line and column.

pub mod live;
pub mod trigger;

use model::{Localized, Place, Problem, Problems, Slug, doc};

pub use live::{Live, RawGoal, RawInstant, RawKeep, RawListener};

/// The format that this program writes and reads.
pub const FORMAT: i64 = 1;
/// Most nodes of a journey.
pub const NODES_MAX: usize = 500;
/// Most links of a journey.
pub const LINKS_MAX: usize = 2_000;
/// Longest name of a journey, in characters.
pub const NAME_LEN_MAX: usize = 200;
/// The node that every journey begins with; it need not be written.
pub const START: &str = "start";

/// Which contacts a journey takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// By what they have or belong to.
    pub who: Who,
    /// By when they came.
    pub source: Source,
    /// The members of this segment do not enter, by its slug. Those inside stay.
    pub exclude: Option<(String, Place)>,
    /// Where it stands.
    pub place: Place,
}

/// By what contacts have or belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody.
    All,
    /// Those with an email address.
    WithEmail,
    /// Those without one.
    WithoutEmail,
    /// Those with a phone number.
    WithPhone,
    /// Those with a subscription to push.
    PushSubscribers,
    /// The members of a segment, by its slug.
    Segment(String),
}

/// Whether those that exist at the start enter, those that come later, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Those that exist when the journey starts.
    Existing,
    /// Those that are created after it.
    New,
    /// Both.
    ExistingAndNew,
}

pub use crate::entry::Reentry;

/// A node as written.
#[derive(Clone, Debug)]
pub struct RawNode {
    /// Its name in links and references.
    pub id: String,
    /// Where the name stands.
    pub place: Place,
    /// All of it, `kind` included.
    pub body: doc::Node,
}

/// A link as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawLink {
    /// The node that it leaves.
    pub from: String,
    /// The node that it leads to.
    pub to: String,
    /// Its word; `always` when none was written.
    pub when: String,
    /// Where the link stands.
    pub place: Place,
    /// Where `from` stands.
    pub from_place: Place,
    /// Where `to` stands.
    pub to_place: Place,
    /// Where `when` stands.
    pub when_place: Place,
}

/// A journey file as read.
#[derive(Clone, Debug)]
pub struct Document {
    /// What the journey is known by.
    pub slug: Slug,
    /// What people call it.
    pub name: Localized,
    /// Who takes part.
    pub audience: Audience,
    /// How contacts come in and leave early.
    pub live: Live,
    /// The nodes in the file's order, without the start.
    pub nodes: Vec<RawNode>,
    /// The links in the file's order.
    pub links: Vec<RawLink>,
    /// The file without places, for keeping.
    pub source: serde_json::Value,
}

impl Document {
    /// Reads a journey file, YAML or JSON; `file` is its name in messages.
    ///
    /// # Errors
    /// Everything that is wrong with its shape: `doc.*`, `slug.invalid`, `journey.format`, `journey.too_large`,
    /// `journey.node_id`, `journey.audience`, `journey.duplicate_link`, `journey.listener`, `journey.setting`,
    /// `journey.said_twice`, `journey.goal_target`, `journey.unknown_word`, `period.*`, `time.*`, `zone.unknown`.
    pub fn parse(text: &str, file: &str) -> Result<Self, Problems> {
        let in_file = |problems: Problems| -> Problems {
            problems.into_iter().map(|problem| problem.in_file(file)).collect()
        };
        let root = doc::parse(text).map_err(|problem| in_file(vec![problem]))?;
        Self::read(&root).map_err(in_file)
    }

    fn read(root: &doc::Node) -> Result<Self, Problems> {
        let mut fields = root.fields("").map_err(|problem| vec![problem])?;
        let mut problems = Problems::new();
        let format = take(&mut problems, fields.integer("format"));
        if let Some(other) = format.flatten().filter(|format| *format != FORMAT) {
            problems.push(
                Problem::new("journey.format", format!("format {other} is not known"))
                    .field("format")
                    .at(fields.place)
                    .cure(format!("this program reads format {FORMAT}")),
            );
        }
        let slug = take(&mut problems, fields.required("journey").and_then(read_slug));
        let name = take(&mut problems, read_name(&mut fields)).unwrap_or_default();
        let audience = take(&mut problems, fields.required("audience"))
            .and_then(|node| take_all(&mut problems, read_audience(node, default_source(root))));
        let live = live::read(&mut fields, &mut problems);
        let nodes = take(&mut problems, fields.required("nodes"))
            .map(|node| read_nodes(node, &mut problems))
            .unwrap_or_default();
        let links = take(&mut problems, fields.required("links"))
            .map(|node| read_links(node, &mut problems))
            .unwrap_or_default();
        // What editors keep beside the logic (positions, notes) is theirs.
        fields.optional("editor");
        fields.optional("notes");
        problems.extend(fields.finish());
        match (slug, audience) {
            (Some(slug), Some(audience)) if problems.is_empty() => {
                Ok(Self { slug, name, audience, live, nodes, links, source: root.to_json() })
            }
            _ => Err(problems),
        }
    }
}

/// The value, or the problem put aside.
fn take<T>(problems: &mut Problems, result: Result<T, Problem>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

fn take_all<T>(problems: &mut Problems, result: Result<T, Problems>) -> Option<T> {
    result.map_err(|more| problems.extend(more)).ok()
}

fn read_slug(node: &doc::Node) -> Result<Slug, Problem> {
    let text = node.scalar().unwrap_or_default();
    Slug::parse(&text).map_err(|problem| problem.field("journey").at(node.place))
}

fn read_name(fields: &mut doc::Fields<'_>) -> Result<Localized, Problem> {
    let Some(node) = fields.optional("name") else { return Ok(Localized::default()) };
    let name = if let Some(text) = node.text() {
        Localized::same(text)
    } else {
        let mut inner = node.fields("name")?;
        let text = |value: Option<&str>| value.map(str::to_owned);
        let name = Localized { en: text(inner.text("en")?), fr: text(inner.text("fr")?) };
        if let Some(problem) = inner.finish().into_iter().next() {
            return Err(problem);
        }
        name
    };
    if [&name.en, &name.fr].into_iter().flatten().any(|text| text.chars().count() > NAME_LEN_MAX) {
        return Err(node
            .problem("journey.too_large", format!("a name is longer than {NAME_LEN_MAX} characters"))
            .field("name"));
    }
    Ok(name)
}

/// One of several words, with a suggestion when it is none of them.
pub(crate) fn read_word<T: Copy>(
    node: &doc::Node,
    path: &str,
    words: &[(&'static str, T)],
) -> Result<T, Problem> {
    let text = node.scalar().unwrap_or_default();
    words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
        node.problem("journey.unknown_word", format!("`{text}` is not known here"))
            .field(path)
            .suggest(&text, words.iter().map(|(word, _)| *word))
    })
}

/// A journey with triggers is for whoever fires them, those who come later too, unless it says otherwise.
fn default_source(root: &doc::Node) -> Source {
    let empty = |node: &doc::Node| node.data == doc::Data::Null || node.items().is_some_and(<[_]>::is_empty);
    let triggered = ["triggers", "trigger"].iter().any(|key| root.get(key).is_some_and(|node| !empty(node)));
    if triggered { Source::ExistingAndNew } else { Source::Existing }
}

fn read_audience(node: &doc::Node, default: Source) -> Result<Audience, Problems> {
    let one = |problem: Problem| vec![problem];
    let mut fields = node.fields("audience").map_err(one)?;
    let who = match (fields.optional("who"), fields.optional("segment")) {
        (Some(_), Some(segment)) => {
            let problem = segment.problem("journey.audience", "`who` and `segment` exclude each other");
            return Err(one(problem.field("audience").cure("keep one of them")));
        }
        (None, Some(segment)) => Who::Segment(segment.scalar().unwrap_or_default()),
        (None, None) => Who::All,
        (Some(who), None) => match read_word(
            who,
            "audience.who",
            &[
                ("all", 0),
                ("with_email", 1),
                ("without_email", 2),
                ("with_phone", 3),
                ("push_subscribers", 4),
            ],
        )
        .map_err(one)?
        {
            0 => Who::All,
            1 => Who::WithEmail,
            2 => Who::WithoutEmail,
            3 => Who::WithPhone,
            _ => Who::PushSubscribers,
        },
    };
    let source = match fields.optional("source") {
        None => default,
        Some(source) => read_word(
            source,
            "audience.source",
            &[
                ("existing", Source::Existing),
                ("new", Source::New),
                ("existing_and_new", Source::ExistingAndNew),
            ],
        )
        .map_err(one)?,
    };
    let exclude = fields.optional("exclude").map(|node| {
        // The slug, or {segment: slug}.
        let node = node.get("segment").unwrap_or(node);
        (node.scalar().unwrap_or_default(), node.place)
    });
    let unknown = fields.finish();
    if unknown.is_empty() { Ok(Audience { who, source, exclude, place: node.place }) } else { Err(unknown) }
}

fn read_nodes(node: &doc::Node, problems: &mut Problems) -> Vec<RawNode> {
    let Some(entries) = node.entries() else {
        problems.push(
            node.problem("doc.type", format!("expected a mapping of nodes by id, found {}", node.kind()))
                .field("nodes"),
        );
        return Vec::new();
    };
    if entries.len() > NODES_MAX {
        problems.push(
            node.problem("journey.too_large", format!("more than {NODES_MAX} nodes"))
                .field("nodes")
                .cure("split the journey in two"),
        );
        return Vec::new();
    }
    let mut nodes = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Err(problem) = Slug::parse(&entry.key) {
            problems
                .push(Problem { code: "journey.node_id".into(), ..problem }.field("nodes").at(entry.place));
        }
        nodes.push(RawNode { id: entry.key.clone(), place: entry.place, body: entry.value.clone() });
    }
    nodes
}

fn read_links(node: &doc::Node, problems: &mut Problems) -> Vec<RawLink> {
    let Some(items) = node.items() else {
        problems.push(
            node.problem("doc.type", format!("expected a list of links, found {}", node.kind()))
                .field("links"),
        );
        return Vec::new();
    };
    if items.len() > LINKS_MAX {
        problems
            .push(node.problem("journey.too_large", format!("more than {LINKS_MAX} links")).field("links"));
        return Vec::new();
    }
    let mut links: Vec<RawLink> = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate() {
        let path = format!("links.{number}");
        if let Some(link) = take_all(problems, read_link(item, &path)) {
            let twice = links.iter().any(|l| (&l.from, &l.to, &l.when) == (&link.from, &link.to, &link.when));
            if twice {
                problems.push(
                    item.problem("journey.duplicate_link", "the same link stands twice")
                        .field(path)
                        .cure("remove one: a contact would go through the next node twice"),
                );
            } else {
                links.push(link);
            }
        }
    }
    links
}

fn read_link(item: &doc::Node, path: &str) -> Result<RawLink, Problems> {
    let one = |problem: Problem| vec![problem];
    let mut fields = item.fields(path).map_err(one)?;
    let mut end = |key: &'static str| -> Result<(String, Place), Problem> {
        let node = fields.required(key)?;
        Ok((node.scalar().unwrap_or_default(), node.place))
    };
    let (from, from_place) = end("from").map_err(one)?;
    let (to, to_place) = end("to").map_err(one)?;
    let (when, when_place) = match fields.optional("when") {
        None => ("always".to_owned(), item.place),
        Some(node) => match &node.data {
            // YAML 1.1 readers would make truth values of yes and no; those who write them are understood.
            doc::Data::Bool(true) => ("yes".to_owned(), node.place),
            doc::Data::Bool(false) => ("no".to_owned(), node.place),
            _ => (node.scalar().unwrap_or_default(), node.place),
        },
    };
    let unknown = fields.finish();
    if unknown.is_empty() {
        Ok(RawLink { from, to, when, place: item.place, from_place, to_place, when_place })
    } else {
        Err(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "journey: j\naudience: {who: with_email}\nnodes: {}\nlinks: []\n";

    #[test]
    fn reads_a_small_file_and_json_alike() {
        let yaml = Document::parse(SMALL, "j.yaml").unwrap();
        assert_eq!((yaml.audience.who, yaml.live.reentry.0), (Who::WithEmail, Reentry::Never));
        let json =
            r#"{"journey": "j", "audience": {"segment": "vip", "source": "new"}, "nodes": {}, "links": []}"#;
        let json = Document::parse(json, "j.json").unwrap();
        assert_eq!(json.audience.who, Who::Segment("vip".into()));
        assert_eq!(json.audience.source, Source::New);
    }

    #[test]
    fn names_what_is_wrong_with_the_shape() {
        let nodes = |n: usize| {
            let ids: Vec<String> = (0..n).map(|i| format!("n{i}: {{kind: end}}")).collect();
            SMALL.replace("nodes: {}", &format!("nodes: {{{}}}", ids.join(", ")))
        };
        let links = |n: usize| {
            let all: Vec<String> = (0..n).map(|i| format!("{{from: a{i}, to: b}}")).collect();
            SMALL.replace("links: []", &format!("links: [{}]", all.join(", ")))
        };
        for (text, code) in [
            (SMALL.replace("journey: j", "journey: J J"), "slug.invalid"),
            (SMALL.replace("journey: j", "jurney: j"), "doc.missing"),
            (SMALL.replace("with_email", "with_mail"), "journey.unknown_word"),
            (SMALL.replace("{who: with_email}", "{who: all, segment: x}"), "journey.audience"),
            (format!("{SMALL}format: 2\n"), "journey.format"),
            (format!("{SMALL}reentry: sometimes\n"), "journey.unknown_word"),
            (format!("{SMALL}triggers: [{{evnt: x}}]\n"), "journey.listener"),
            (format!("{SMALL}name: {}\n", "x".repeat(NAME_LEN_MAX)), "ok"),
            (format!("{SMALL}name: {}\n", "x".repeat(NAME_LEN_MAX + 1)), "journey.too_large"),
            (SMALL.replace("nodes: {}", "nodes: {\"Bad Id\": {kind: end}}"), "journey.node_id"),
            (nodes(NODES_MAX), "ok"),
            (nodes(NODES_MAX + 1), "journey.too_large"),
            (links(LINKS_MAX), "ok"),
            (links(LINKS_MAX + 1), "journey.too_large"),
            (
                SMALL.replace("links: []", "links: [{from: a, to: b}, {from: a, to: b, when: always}]"),
                "journey.duplicate_link",
            ),
            (SMALL.replace("links: []", "links: [{from: a, two: b}]"), "doc.missing"),
            (SMALL.replace("links: []", "links: [{from: a, to: b, wen: yes}]"), "doc.unknown_key"),
        ] {
            let got = Document::parse(&text, "j.yaml");
            match got {
                Ok(_) => assert_eq!(code, "ok", "{text:.80}"),
                Err(problems) => {
                    assert!(problems.iter().any(|p| p.code == code), "{text:.80}: {problems:?}");
                    assert!(problems.iter().all(|p| p.place.is_some() && p.file.is_some()), "{problems:?}");
                }
            }
        }
    }

    #[test]
    fn truth_values_on_links_are_yes_and_no() {
        let text =
            SMALL.replace("links: []", "links: [{from: a, to: b, when: true}, {from: a, to: c, when: no}]");
        let document = Document::parse(&text, "j.yaml").unwrap();
        assert_eq!([&document.links[0].when, &document.links[1].when], ["yes", "no"]);
    }
}
