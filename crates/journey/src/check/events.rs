//! What can be read of events: of the one that started a run (`trigger.…`), of one that is heard (`event.…`), and of the
//! run itself.

use model::Problem;
use segment::{Kind, RefPath, Refs};

use crate::{
    data::DataType,
    signal::known::{self, Found},
};

/// What `run.…` leads to.
pub(super) const RUN_DATA: &[(&str, DataType)] =
    &[("entered_at", DataType::Instant), ("key", DataType::Text)];

pub(super) fn run_kind(name: &str) -> Option<Kind> {
    RUN_DATA.iter().find(|(own, _)| *own == name)?.1.kind()
}

/// One kind of event that may be the one that is read.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Its kind.
    pub kind: String,
    /// Types that the file declares.
    pub properties: Vec<(String, DataType)>,
    /// What it is called in messages, as in `triggers.0`.
    pub label: String,
    /// Whether it has a key.
    pub keyed: bool,
}

/// The events of which one started the run.
#[derive(Clone, Debug, Default)]
pub(super) struct Started(pub Vec<Source>);

impl Started {
    pub(super) fn keyed(&self) -> bool {
        self.0.iter().any(|source| source.keyed)
    }

    fn found<'a>(&'a self, path: &'a [String]) -> impl Iterator<Item = (&'a Source, Found)> {
        self.0.iter().map(move |source| (source, known::find(&source.kind, &source.properties, path)))
    }

    /// The type behind a path, as the first event that has something there knows it.
    pub(super) fn type_of(&self, path: &[String]) -> Option<DataType> {
        let mut any = None;
        for (_, found) in self.found(path) {
            match found {
                Found::Known(kind, _) => return Some(kind),
                Found::Undeclared(_) => any = Some(DataType::Any),
                Found::Nothing { .. } => {}
            }
        }
        any
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.0.iter().flat_map(|source| known::paths(&source.kind, &source.properties)).collect()
    }

    /// The type behind a path, and what is wrong with reading it: it must be there, with one type, whichever trigger it
    /// was. `optional`: the condition itself asks whether there is a value.
    pub(super) fn look_up(&self, path: &RefPath, optional: bool) -> (Option<DataType>, Option<Problem>) {
        let parts = &path.parts()[1..];
        if self.0.is_empty() {
            let problem =
                Problem::new("journey.no_such_data", "this journey has no trigger whose data could be read");
            return (None, Some(problem.cure("read a node's data or a field of the contact")));
        }
        let Some(kind) = self.type_of(parts) else {
            let nothing = self.found(parts).find_map(|(source, found)| match found {
                Found::Nothing { part, known } => Some((source, part, known)),
                _ => None,
            });
            let problem = nothing.map(|(source, part, known)| {
                Problem::new("journey.no_such_data", format!("`{}` has no `{part}`", source.kind))
                    .suggest(&part, known)
            });
            return (None, problem);
        };
        for (source, found) in self.found(parts) {
            match found {
                Found::Nothing { part, .. } => {
                    let code = "journey.data_not_in_every_trigger";
                    let message = format!("events of {} (`{}`) have no `{part}`", source.label, source.kind);
                    let problem = if optional {
                        Problem::warning(code, message)
                            .cure("contacts who came by that trigger have no value here")
                    } else {
                        Problem::new(code, message)
                            .cure("use a journey for each trigger, or ask has_value: true before")
                    };
                    return (Some(kind), Some(problem));
                }
                Found::Known(own, _) if own != kind => {
                    let message =
                        format!("`{path}` is of type {own} by {}, of type {kind} by another", source.label);
                    let problem = Problem::new("journey.type", message);
                    return (None, Some(problem.cure("use a journey for each trigger")));
                }
                Found::Undeclared(Some(near)) => {
                    let message = format!("nothing is known of `{path}` of `{}`", source.kind);
                    let problem = Problem::warning("journey.undeclared_data", message).cure(format!(
                        "did you mean `trigger.{near}`? If not, declare it at the trigger under properties"
                    ));
                    return (Some(kind), Some(problem));
                }
                Found::Known(..) | Found::Undeclared(None) => {}
            }
        }
        (Some(kind), None)
    }
}

/// Events as a condition's references see them, and what else can be referred to.
pub(super) struct EventTable<'a> {
    pub events: &'a Started,
    pub inner: Option<&'a dyn Refs>,
    /// The word for the event: `event`, or `trigger` too where there is no other.
    pub root: &'static str,
}

impl Refs for EventTable<'_> {
    fn kind(&self, path: &RefPath) -> Option<Kind> {
        let parts = path.parts();
        let own = parts[0] == "event" || parts[0] == self.root;
        match (own, self.inner) {
            (true, _) => self.events.type_of(&parts[1..])?.kind(),
            (false, Some(inner)) => inner.kind(path),
            (false, None) => None,
        }
    }

    fn known(&self) -> Vec<String> {
        let swap = |path: String| {
            path.strip_prefix("trigger").map_or_else(|| path.clone(), |rest| format!("{}{rest}", self.root))
        };
        let own = self.events.paths().into_iter().map(swap);
        own.chain(self.inner.map(Refs::known).unwrap_or_default()).collect()
    }
}

/// Only what is known of the run.
pub(super) struct RunTable {
    /// Whether it has a key.
    pub keyed: bool,
}

impl Refs for RunTable {
    fn kind(&self, path: &RefPath) -> Option<Kind> {
        match path.parts() {
            [root, name] if root == "run" && (name != "key" || self.keyed) => run_kind(name),
            _ => None,
        }
    }

    fn known(&self) -> Vec<String> {
        let names = RUN_DATA.iter().map(|(name, _)| *name).filter(|name| *name != "key" || self.keyed);
        names.map(|name| format!("run.{name}")).collect()
    }
}
