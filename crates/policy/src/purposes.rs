//! Purposes: why a shop writes, what it needs for that, and the topics under them. The workspace's setting `purposes`:
//!
//! ```yaml
//! newsletter:
//!   name: {en: Newsletter, fr: Lettre d'information}
//!   description: {en: Our news once a week, fr: Nos nouvelles chaque semaine}
//!   enforcement: opt_in
//!   double_opt_in: true
//!   track: {opens: true, clicks: true}
//!   topics:
//!     promotions: {name: {en: Promotions, fr: Promotions}}
//! ```

use model::{
    ConsentState, Lang, Localized, Problem, Problems, Slug,
    doc::{self, Fields, Node},
};

use crate::{Refusal, TRANSACTIONAL};

/// The workspace's setting that holds the purposes.
pub const PURPOSES_SETTING: &str = "purposes";

/// What a purpose needs before a message may leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// A recorded yes.
    #[default]
    OptIn,
    /// No recorded no.
    OptOut,
    /// Nothing: what the contact must be told (a recall, new terms).
    None,
}

impl Enforcement {
    /// All, with their words.
    pub const WORDS: [(&'static str, Self); 3] =
        [("opt_in", Self::OptIn), ("opt_out", Self::OptOut), ("none", Self::None)];

    /// Its word in files and in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::OptIn => "opt_in",
            Self::OptOut => "opt_out",
            Self::None => "none",
        }
    }

    /// Whether an answer allows a message.
    ///
    /// # Errors
    /// Why not.
    pub const fn check(self, answer: ConsentState) -> Result<(), Refusal> {
        match (self, answer) {
            (Self::None, _) | (_, ConsentState::Subscribed) | (Self::OptOut, ConsentState::NotSubscribed) => {
                Ok(())
            }
            (_, ConsentState::Unsubscribed) => Err(Refusal::Unsubscribed),
            (Self::OptIn, ConsentState::NotSubscribed) => Err(Refusal::NotSubscribed),
        }
    }
}

/// What is counted of a purpose's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tracking {
    /// A picture of one pixel says that a mail was opened.
    pub opens: bool,
    /// Links lead over the server.
    pub clicks: bool,
}

/// What a purpose writes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// With its purpose, as in `newsletter/promotions`.
    pub slug: Slug,
    /// As people read it.
    pub name: Localized,
    /// A sentence about it.
    pub description: Localized,
}

/// Why a shop writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// Its name in files.
    pub slug: Slug,
    /// As people read it.
    pub name: Localized,
    /// A sentence about it: what people agree to.
    pub description: Localized,
    /// What it needs.
    pub enforcement: Enforcement,
    /// Whether a yes from a form counts only when it was confirmed by mail.
    pub double_opt_in: bool,
    /// What is counted.
    pub track: Tracking,
    /// What it writes about.
    pub topics: Vec<Topic>,
}

impl Purpose {
    /// One that the setting does not have: its slug is its name.
    #[must_use]
    pub fn unnamed(slug: Slug) -> Self {
        Self {
            name: Localized::same(slug.as_str()),
            slug,
            description: Localized::default(),
            enforcement: Enforcement::OptIn,
            double_opt_in: true,
            track: Tracking::default(),
            topics: Vec::new(),
        }
    }
}

/// The purposes of a workspace. The default has none: then every purpose needs a recorded yes, and nothing is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purposes(pub Vec<Purpose>);

impl Purposes {
    /// Most purposes, and most topics of one.
    pub const COUNT_MAX: usize = 50;
    /// Longest name, in characters.
    pub const NAME_LEN_MAX: usize = 100;
    /// Longest description, in characters.
    pub const DESCRIPTION_LEN_MAX: usize = 1_000;
    /// None.
    pub const NONE: Self = Self(Vec::new());

    /// The purpose with this name, or over this topic.
    #[must_use]
    pub fn find(&self, purpose: &str) -> Option<&Purpose> {
        let main = purpose.split_once('/').map_or(purpose, |(main, _)| main);
        self.0.iter().find(|known| known.slug.as_str() == main)
    }

    /// What a purpose or topic needs.
    #[must_use]
    pub fn enforcement(&self, purpose: &str) -> Enforcement {
        if purpose == TRANSACTIONAL {
            return Enforcement::None;
        }
        self.find(purpose).map(|known| known.enforcement).unwrap_or_default()
    }

    /// What is counted of a purpose's or topic's messages.
    #[must_use]
    pub fn tracking(&self, purpose: &str) -> Tracking {
        self.find(purpose).map(|known| known.track).unwrap_or_default()
    }

    /// What people read for a purpose or topic; its slug when nobody named it.
    #[must_use]
    pub fn name<'a>(&'a self, purpose: &'a str, lang: Lang) -> &'a str {
        let name = self.find(purpose).map(|known| {
            let topic = known.topics.iter().find(|topic| topic.slug.as_str() == purpose);
            topic.map_or_else(|| known.name.get(lang), |topic| topic.name.get(lang))
        });
        name.filter(|name| !name.is_empty()).unwrap_or(purpose)
    }

    /// Reads the setting, YAML or JSON. An empty text is none.
    ///
    /// # Errors
    /// Everything that is wrong, each with its field and place: `doc.*`, `slug.invalid`, `purpose.enforcement`,
    /// `purpose.too_many`, `purpose.name`, `purpose.reserved`.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let root = doc::parse(text).map_err(|problem| vec![problem])?;
        if let Some(text) = root.text() {
            // A file that was stored as a text.
            return match doc::parse(text) {
                Ok(inner) if inner.text().is_none() => Self::parse(text),
                _ => Err(vec![root.problem("doc.type", "expected a mapping, found a text")]),
            };
        }
        if root.data == doc::Data::Null {
            return Ok(Self::default());
        }
        let mut problems = Vec::new();
        let mut purposes = Vec::new();
        for (key, node) in named(&root, "", &mut problems) {
            let slug = Slug::parse(key).map_err(|problem| problem.at(node.place));
            let reserved = || {
                node.problem("purpose.reserved", "transactional messages need no consent and no setting")
                    .field(key)
                    .cure("give it another name, with `enforcement: none` if it needs no consent")
            };
            let slug = slug.and_then(|slug| if key == TRANSACTIONAL { Err(reserved()) } else { Ok(slug) });
            match slug.and_then(|slug| Ok((slug, node.fields(key)?))) {
                Ok((slug, mut fields)) => {
                    purposes.push(purpose(slug, &mut fields, &mut problems));
                    problems.extend(fields.finish());
                }
                Err(problem) => problems.push(problem.field(key)),
            }
        }
        if problems.is_empty() { Ok(Self(purposes)) } else { Err(problems) }
    }
}

/// The entries of a mapping by name, unless there are too many.
fn named<'n>(node: &'n Node, path: &str, problems: &mut Problems) -> Vec<(&'n str, &'n Node)> {
    let Some(entries) = node.entries() else {
        problems.push(node.problem("doc.type", "expected a mapping by name").field(path));
        return Vec::new();
    };
    if entries.len() > Purposes::COUNT_MAX {
        let problem = node.problem("purpose.too_many", format!("there are {} of them", entries.len()));
        problems.push(problem.field(path).cure(format!("keep it to {}", Purposes::COUNT_MAX)));
        return Vec::new();
    }
    entries.iter().map(|entry| (entry.key.as_str(), &entry.value)).collect()
}

fn purpose(slug: Slug, fields: &mut Fields<'_>, problems: &mut Problems) -> Purpose {
    let name = localized(fields, "name", Purposes::NAME_LEN_MAX, problems);
    let description = localized(fields, "description", Purposes::DESCRIPTION_LEN_MAX, problems);
    let enforcement = enforcement(fields, problems);
    let mut flag = |fields: &mut Fields<'_>, key, default| match fields.boolean(key) {
        Ok(given) => given.unwrap_or(default),
        Err(problem) => {
            problems.push(problem);
            default
        }
    };
    let double_opt_in = flag(fields, "double_opt_in", enforcement == Enforcement::OptIn);
    // What nobody can refuse is not measured either, unless the shop says so.
    let counted = enforcement != Enforcement::None;
    let mut track = Tracking { opens: counted, clicks: counted };
    let path = fields.path_of("track");
    match fields.optional("track").map(|node| node.fields(&path)).transpose() {
        Ok(None) => {}
        Ok(Some(mut inner)) => {
            track.opens = flag(&mut inner, "opens", counted);
            track.clicks = flag(&mut inner, "clicks", counted);
            problems.extend(inner.finish());
        }
        Err(problem) => problems.push(problem),
    }
    let path = fields.path_of("topics");
    let mut topics = Vec::new();
    if let Some(node) = fields.optional("topics") {
        for (key, node) in named(node, &path, problems) {
            let own = format!("{path}.{key}");
            let whole = Slug::parse(key).and_then(|_| Slug::purpose(&format!("{slug}/{key}")));
            match whole.and_then(|slug| Ok((slug, node.fields(&own)?))) {
                Ok((slug, mut fields)) => {
                    topics.push(Topic {
                        slug,
                        name: localized(&mut fields, "name", Purposes::NAME_LEN_MAX, problems),
                        description: localized(
                            &mut fields,
                            "description",
                            Purposes::DESCRIPTION_LEN_MAX,
                            problems,
                        ),
                    });
                    problems.extend(fields.finish());
                }
                Err(problem) => problems.push(problem.field(own)),
            }
        }
    }
    Purpose { slug, name, description, enforcement, double_opt_in, track, topics }
}

fn enforcement(fields: &mut Fields<'_>, problems: &mut Problems) -> Enforcement {
    let path = fields.path_of("enforcement");
    let Some(node) = fields.optional("enforcement") else { return Enforcement::default() };
    let word = node.scalar().unwrap_or_default();
    let known = Enforcement::WORDS.iter().find(|(known, _)| *known == word);
    if known.is_none() {
        let problem = node.problem("purpose.enforcement", format!("`{word}` is no way to ask for consent"));
        problems.push(problem.field(path).suggest(&word, Enforcement::WORDS.map(|(known, _)| known)));
    }
    known.map_or_else(Enforcement::default, |(_, enforcement)| *enforcement)
}

/// One text for both languages, or `{en, fr}`.
fn localized(
    fields: &mut Fields<'_>,
    key: &'static str,
    longest: usize,
    problems: &mut Problems,
) -> Localized {
    let path = fields.path_of(key);
    let Some(node) = fields.optional(key) else { return Localized::default() };
    let mut take = |node: &Node, path: &str| -> Option<String> {
        let text = node.text().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        let good = text.filter(|text| {
            !text.is_empty() && text.chars().count() <= longest && !text.chars().any(char::is_control)
        });
        if good.is_none() {
            let problem: Problem =
                node.problem("purpose.name", format!("expected a text of 1 to {longest} characters"));
            problems.push(problem.field(path));
        }
        good
    };
    if node.entries().is_none() {
        return Localized { en: take(node, &path), fr: None };
    }
    match node.fields(&path) {
        Ok(mut inner) => {
            let en = inner.optional("en").and_then(|node| take(node, &format!("{path}.en")));
            let fr = inner.optional("fr").and_then(|node| take(node, &format!("{path}.fr")));
            problems.extend(inner.finish());
            Localized { en, fr }
        }
        Err(problem) => {
            problems.push(problem);
            Localized::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTING: &str = "
newsletter:
  name: {en: Newsletter, fr: Lettre d'information}
  topics:
    promotions: {name: {en: Promotions, fr: Bons plans}}
service:
  name: Service
  enforcement: opt_out
  track: {opens: false}
recalls: {enforcement: none}
";

    #[test]
    fn what_is_not_said_has_a_careful_default() {
        let purposes = Purposes::parse(SETTING).unwrap();
        let seen: Vec<_> = purposes
            .0
            .iter()
            .map(|p| (p.slug.as_str(), p.enforcement.word(), p.double_opt_in, p.track.opens, p.track.clicks))
            .collect();
        assert_eq!(
            seen,
            [
                ("newsletter", "opt_in", true, true, true),
                ("service", "opt_out", false, false, true),
                ("recalls", "none", false, false, false),
            ]
        );
        assert_eq!(purposes.name("newsletter/promotions", Lang::Fr), "Bons plans");
        assert_eq!(purposes.name("newsletter", Lang::Fr), "Lettre d'information");
        assert_eq!(purposes.name("recalls", Lang::Fr), "recalls");
        assert_eq!(purposes.name("unknown/x", Lang::En), "unknown/x");
        assert_eq!(purposes.enforcement("service/x"), Enforcement::OptOut);
        assert_eq!(purposes.enforcement("unknown"), Enforcement::OptIn);
        assert_eq!(Purposes::parse("").unwrap(), Purposes::NONE);
        assert_eq!(Purposes::parse(&serde_json::json!(SETTING).to_string()).unwrap(), purposes);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = format!("a: {{name: {}}}", "n".repeat(Purposes::NAME_LEN_MAX + 1));
        let many: String = (0..=Purposes::COUNT_MAX).map(|n| format!("p{n}: {{}}\n")).collect();
        for (text, code, field) in [
            ("newsletter: {enforcment: none}", "doc.unknown_key", "newsletter.enforcment"),
            ("newsletter: {enforcement: always}", "purpose.enforcement", "newsletter.enforcement"),
            ("News: {}", "slug.invalid", "News"),
            ("transactional: {}", "purpose.reserved", "transactional"),
            ("a: {topics: {b/c: {}}}", "slug.invalid", "a.topics.b/c"),
            ("a: {track: {opens: maybe}}", "doc.type", "a.track.opens"),
            ("a: {name: {de: x}}", "doc.unknown_key", "a.name.de"),
            ("a: 1", "doc.type", "a"),
            (&long, "purpose.name", "a.name"),
            (&many, "purpose.too_many", ""),
        ] {
            let problems = Purposes::parse(text).unwrap_err();
            assert_eq!((&*problems[0].code, problems[0].field.as_deref()), (code, Some(field)), "{text}");
        }
        let most: String = (0..Purposes::COUNT_MAX).map(|n| format!("p{n}: {{}}\n")).collect();
        assert_eq!(Purposes::parse(&most).unwrap().0.len(), Purposes::COUNT_MAX);
    }

    #[test]
    fn each_enforcement_takes_its_answers() {
        use ConsentState::{NotSubscribed as Never, Subscribed as Yes, Unsubscribed as No};
        for (enforcement, never, yes, no) in [
            (Enforcement::OptIn, Err(Refusal::NotSubscribed), Ok(()), Err(Refusal::Unsubscribed)),
            (Enforcement::OptOut, Ok(()), Ok(()), Err(Refusal::Unsubscribed)),
            (Enforcement::None, Ok(()), Ok(()), Ok(())),
        ] {
            assert_eq!(enforcement.check(Never), never);
            assert_eq!(enforcement.check(Yes), yes);
            assert_eq!(enforcement.check(No), no);
        }
    }
}
