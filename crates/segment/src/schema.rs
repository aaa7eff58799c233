//! What a condition may speak of: fields, segments, lists, purposes, RFM models, event kinds, data of earlier nodes.

use std::collections::{BTreeMap, BTreeSet};

use model::{FieldDef, FieldType, Problem, contact::BUILT_IN_FIELDS, event};

use crate::{RefPath, operator::Kind};

/// Names that are known, or all names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// Every name is taken as it is.
    #[default]
    Any,
    /// These and no other.
    Only(BTreeSet<String>),
}

impl Known {
    /// Whether a name is known.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(names) => names.contains(name),
        }
    }

    fn names(&self) -> Vec<&str> {
        match self {
            Self::Any => Vec::new(),
            Self::Only(names) => names.iter().map(String::as_str).collect(),
        }
    }
}

impl<T: Into<String>> FromIterator<T> for Known {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        Self::Only(names.into_iter().map(Into::into).collect())
    }
}

/// Which conditions make sense where the condition stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    #[default]
    Full,
    /// Only those about the present profile and data: no activity, no carts (show/hide in a template).
    Profile,
}

/// Answers which references exist where the condition stands.
pub trait Refs: Sync {
    /// The kind of data behind a path; none when there is no such data.
    fn kind(&self, path: &RefPath) -> Option<Kind>;
    /// Paths that exist, for suggestions.
    fn known(&self) -> Vec<String>;
}

/// What is known of the workspace.
#[derive(Clone, Default)]
pub struct Schema<'a> {
    /// Custom fields by slug.
    pub fields: BTreeMap<String, FieldDef>,
    /// Slugs of segments.
    pub segments: Known,
    /// Slugs of static lists; an unknown one is a warning, because a list is made by whoever is first put on it.
    pub lists: Known,
    /// Purposes of consent; an unknown one is a warning.
    pub purposes: Known,
    /// RFM models with their group slugs (without `none`).
    pub rfm: BTreeMap<String, Vec<String>>,
    /// Event kinds seen so far, besides those that Relance itself knows; an unknown one is a warning.
    pub event_kinds: Known,
    /// Data of earlier nodes and of the trigger; `contact.…` is always known. None: no references at all.
    pub refs: Option<&'a dyn Refs>,
    /// What makes sense here.
    pub scope: Scope,
}

impl Schema<'_> {
    /// A schema that knows these custom fields, the two RFM models that come with Relance, and takes every name of a
    /// segment, list, purpose and event.
    #[must_use]
    pub fn with_fields(fields: impl IntoIterator<Item = FieldDef>) -> Self {
        let groups = |slugs: &[&str]| slugs.iter().map(|slug| (*slug).to_owned()).collect();
        Self {
            fields: fields.into_iter().map(|field| (field.slug.as_str().to_owned(), field)).collect(),
            rfm: BTreeMap::from([
                ("classic-11".to_owned(), groups(&CLASSIC_11_GROUPS)),
                ("groups-6".to_owned(), groups(&GROUPS_6)),
            ]),
            ..Self::default()
        }
    }

    /// The type of a contact's field, built in or custom.
    #[must_use]
    pub fn field_type(&self, name: &str) -> Option<&FieldType> {
        self.fields
            .get(name)
            .map(|field| &field.kind)
            .or_else(|| BUILT_IN_FIELDS.iter().find(|(built_in, _)| *built_in == name).map(|(_, kind)| kind))
    }

    /// All names of fields.
    #[must_use]
    pub fn field_names(&self) -> Vec<&str> {
        let built_in = BUILT_IN_FIELDS.iter().map(|(name, _)| *name);
        built_in.chain(self.fields.keys().map(String::as_str)).collect()
    }

    /// The kind of data behind a reference.
    ///
    /// # Errors
    /// `ref.unknown` with a suggestion.
    pub fn ref_kind(&self, path: &RefPath) -> Result<Kind, Problem> {
        let unknown = || Problem::new("ref.unknown", format!("`{path}` is not known here")).value(path);
        if let [root, name] = path.parts()
            && root == "contact"
        {
            return match self.field_type(name) {
                Some(kind) => Ok(Kind::of_field(kind)),
                None => Err(unknown().suggest(name, self.field_names())),
            };
        }
        let Some(refs) = self.refs else {
            return Err(unknown().cure("only `contact.<field>` can be referred to here"));
        };
        refs.kind(path).ok_or_else(|| {
            let known = refs.known();
            unknown().suggest(&path.to_string(), known.iter().map(String::as_str).collect::<Vec<_>>())
        })
    }

    pub(crate) fn check_segment(&self, slug: &str) -> Option<Problem> {
        unknown(&self.segments, slug, "segment.unknown", "segment")
    }

    pub(crate) fn check_list(&self, slug: &str) -> Option<Problem> {
        unknown(&self.lists, slug, "list.unknown", "list").map(into_warning)
    }

    pub(crate) fn check_purpose(&self, slug: &str) -> Option<Problem> {
        unknown(&self.purposes, slug, "consent.unknown_purpose", "purpose").map(into_warning)
    }

    pub(crate) fn check_event(&self, kind: &str) -> Option<Problem> {
        let Known::Only(names) = &self.event_kinds else { return None };
        if names.contains(kind) || event::kind::KNOWN.contains(&kind) {
            return None;
        }
        let candidates: Vec<&str> =
            names.iter().map(String::as_str).chain(event::kind::KNOWN.iter().copied()).collect();
        let problem =
            Problem::new("event.unknown_kind", format!("no event of kind `{kind}` was seen so far"))
                .value(kind);
        Some(into_warning(match model::text::nearest(kind, candidates) {
            Some(near) => problem.cure(format!("did you mean `{near}`?")),
            None => problem,
        }))
    }
}

fn into_warning(problem: Problem) -> Problem {
    Problem { severity: model::Severity::Warning, ..problem }
}

fn unknown(known: &Known, slug: &str, code: &'static str, what: &str) -> Option<Problem> {
    if known.has(slug) {
        return None;
    }
    let problem = Problem::new(code, format!("there is no {what} `{slug}`")).value(slug);
    let names = known.names();
    Some(if names.is_empty() {
        problem.cure(format!("there is none yet: make the {what} first"))
    } else {
        problem.suggest(slug, names)
    })
}

/// Group slugs of the 11-group model.
pub const CLASSIC_11_GROUPS: [&str; 11] = [
    "champions",
    "loyal_customers",
    "potentially_loyal",
    "new_customers",
    "promising",
    "need_attention",
    "about_to_sleep",
    "at_risk",
    "cant_lose_them",
    "hibernating",
    "lost",
];
/// Group slugs of the six-group model.
pub const GROUPS_6: [&str; 6] = ["champions", "loyal", "recent", "needs_attention", "at_risk", "inactive"];
