//! Triggers, exits, the goal and `while`: binds their names. What they mean together is judged in [`super::sense`].

use model::{Problem, Timestamp, Zone};
use segment::{RefPath, Schema, Scope};

use super::{
    Binder,
    events::{EventTable, RunTable, Source, Started},
    names,
};
use crate::{
    data::DataType,
    document::{Document, RawGoal, RawKeep, RawListener},
    entry::{Goal, Keep, Listener, On},
    nodes::Named,
    signal::known::{self, Found},
};

/// What was bound.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub triggers: Vec<Listener>,
    pub exits: Vec<Listener>,
    pub goal: Option<Goal>,
    pub keep: Option<Keep>,
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
}

/// Binds all of it, before the nodes: they read what the triggers bring.
pub(super) fn bind(document: &Document, binder: &mut Binder<'_>) -> Live {
    let raw = &document.live;
    binder.outside_nodes();
    let declared = declarations(&raw.triggers, binder);
    binder.started = Started(
        raw.triggers
            .iter()
            .map(|trigger| Source {
                kind: trigger.on.event_kind().to_owned(),
                properties: of_kind(&declared, trigger.on.event_kind()),
                label: trigger.field.clone(),
                keyed: has_key(trigger),
            })
            .collect(),
    );
    let keyed = binder.started.keyed();
    let bind_one = |binder: &mut Binder<'_>, raw: &RawListener| {
        let properties = if raw.properties.is_empty() {
            of_kind(&declared, raw.on.event_kind())
        } else {
            raw.properties.clone()
        };
        listener(binder, &RawListener { properties, ..raw.clone() }, None)
    };
    let triggers = raw.triggers.iter().filter_map(|raw| bind_one(binder, raw)).collect();
    let exit = |binder: &mut Binder<'_>, raw: &RawListener| listener(binder, raw, Some(&RunTable { keyed }));
    let exits = raw.exits.iter().filter_map(|raw| exit(binder, raw)).collect();
    let goal = raw.goal.as_ref().and_then(|raw| {
        let RawGoal { listener, share, count, within } = raw;
        let listener = exit(binder, listener)?;
        Some(Goal { listener, share: *share, count: *count, within: *within })
    });
    let keep = raw.keep.as_ref().and_then(|raw| keep(binder, raw));
    let zone = binder.beside().zone.clone().unwrap_or(Zone::UTC);
    let starts_at = raw.starts_at.as_ref().map(|raw| raw.at(&zone));
    let ends_at = raw.ends_at.as_ref().map(|raw| raw.at(&zone));
    Live { triggers, exits, goal, keep, starts_at, ends_at }
}

fn has_key(raw: &RawListener) -> bool {
    raw.key.is_some() || matches!(raw.on, On::CartAbandoned { .. })
}

/// Declared types by kind of event.
type Declared = Vec<(String, Vec<(String, DataType)>)>;

fn of_kind(declared: &Declared, kind: &str) -> Vec<(String, DataType)> {
    declared.iter().find(|(own, _)| own == kind).map(|(_, types)| types.clone()).unwrap_or_default()
}

/// What all triggers declare, by kind of event: triggers on the same kind share their declarations.
fn declarations(triggers: &[RawListener], binder: &mut Binder<'_>) -> Declared {
    let mut all: Declared = Vec::new();
    for trigger in triggers {
        let kind = trigger.on.event_kind();
        let place = match all.iter().position(|(own, _)| own == kind) {
            Some(place) => place,
            None => {
                all.push((kind.to_owned(), Vec::new()));
                all.len() - 1
            }
        };
        for (name, own) in &trigger.properties {
            let types = &mut all[place].1;
            match types.iter().find(|(known, _)| known == name) {
                None => types.push((name.clone(), *own)),
                Some((_, other)) if other == own => {}
                Some((_, other)) => binder.problem(
                    Problem::new(
                        "journey.type",
                        format!("`{name}` of `{kind}` is declared as {other} by another trigger"),
                    )
                    .field(format!("{}.properties.{name}", trigger.field))
                    .at(trigger.place)
                    .cure("declare it once, or alike"),
                ),
            }
        }
    }
    all
}

/// Binds a trigger, or with what is known of the run an exit or a goal.
fn listener(binder: &mut Binder<'_>, raw: &RawListener, run: Option<&RunTable>) -> Option<Listener> {
    let on = on(binder, raw)?;
    let source = Source {
        kind: on.event_kind().to_owned(),
        properties: raw.properties.clone(),
        label: raw.field.clone(),
        keyed: false,
    };
    let events = Started(vec![source]);
    let condition = match &raw.condition {
        None => None,
        Some((node, field)) => {
            let inner = run.map(|run| run as &dyn segment::Refs);
            let table = EventTable { events: &events, inner, root: "trigger" };
            let read = names::parse(binder.beside(), node, field, Scope::Profile, &table);
            let condition = binder.kept(read)?;
            binder.names_of(&condition, node.place, field);
            for (path, _) in condition.refs() {
                let parts = path.parts();
                if parts[0] != "trigger" && parts[0] != "event" {
                    continue;
                }
                if let (_, Some(problem)) = events.look_up(&path, false) {
                    binder.problem(problem.field(field).value(&path).at(node.place));
                }
            }
            Some(condition)
        }
    };
    let key = match &raw.key {
        None => None,
        Some((path, place)) => {
            let field = format!("{}.key", raw.field);
            key(binder, &events, path, Named { text: path.to_string(), place: *place, field })?;
            Some(path.clone())
        }
    };
    Some(Listener {
        on,
        condition,
        key,
        late: raw.late,
        machine: raw.machine,
        properties: raw.properties.clone(),
        place: raw.place,
    })
}

/// A key is one value of the event: an id as a rule.
fn key(binder: &mut Binder<'_>, events: &Started, path: &RefPath, named: Named) -> Option<()> {
    let source = events.0.first()?;
    let problem = match known::find(&source.kind, &source.properties, &path.parts()[1..]) {
        Found::Known(kind, _) if kind.is_value() && kind != DataType::Options => return Some(()),
        Found::Undeclared(None) => return Some(()),
        Found::Undeclared(Some(near)) => {
            let message = format!("nothing is known of `{path}` of `{}`", source.kind);
            let problem = Problem::warning("journey.undeclared_data", message)
                .cure(format!("did you mean `trigger.{near}`?"));
            binder.problem(problem.field(named.field).value(path).at(named.place));
            return Some(());
        }
        Found::Known(kind, _) => Problem::new("journey.type", format!("`{path}` is of type {kind}"))
            .cure("a key is a single value, as in trigger.cart_id"),
        Found::Nothing { part, known } => {
            Problem::new("journey.no_such_data", format!("`{}` has no `{part}`", source.kind))
                .suggest(&part, known)
        }
    };
    binder.problem(problem.field(named.field).value(path).at(named.place));
    None
}

/// Looks up what a listener names.
fn on(binder: &mut Binder<'_>, raw: &RawListener) -> Option<On> {
    match (&raw.on, &raw.named) {
        (On::Event(kind), Some(named)) => {
            binder.event_kind(kind, named.place, &named.field);
            Some(raw.on.clone())
        }
        (On::SegmentEntered(_) | On::SegmentExited(_), Some(named)) => {
            binder.segment(named)?;
            Some(raw.on.clone())
        }
        (On::RfmChanged { model, from, to }, named) => {
            let model = rfm_model(binder, raw, model, named.as_ref())?;
            Some(On::RfmChanged { model, from: from.clone(), to: to.clone() })
        }
        (On::Date(date), Some(named)) => {
            let kind = binder.contact_field(&date.field, named)?;
            if !matches!(kind, DataType::Date | DataType::Instant) {
                binder.type_problem(
                    named,
                    format!("`{}` is of type {kind}, expected is a date", date.field),
                    "name a date field of contacts",
                );
                return None;
            }
            Some(raw.on.clone())
        }
        _ => Some(raw.on.clone()),
    }
}

/// The model that is named, or the only one that has the groups.
fn rfm_model(
    binder: &mut Binder<'_>,
    raw: &RawListener,
    model: &str,
    named: Option<&Named>,
) -> Option<String> {
    let models = Schema::with_fields([]).rfm;
    let words: Vec<&str> = models.keys().map(String::as_str).collect();
    let has = |groups: &[String], group: &str| group == "none" || groups.iter().any(|own| own == group);
    let found = if model.is_empty() {
        let fitting: Vec<&String> = models
            .iter()
            .filter(|(_, groups)| raw.groups.iter().all(|group| has(groups, &group.text)))
            .map(|(model, _)| model)
            .collect();
        let [only] = fitting.as_slice() else {
            let message = if fitting.is_empty() {
                "no RFM model has all of these groups"
            } else {
                "several RFM models could be meant"
            };
            binder.problem(
                Problem::new("journey.rfm_model", message)
                    .field(&raw.field)
                    .at(raw.place)
                    .cure(format!("add model: {}", words.join(" or "))),
            );
            return None;
        };
        (*only).clone()
    } else if let (false, Some(named)) = (models.contains_key(model), named) {
        binder.unknown("journey.unknown_rfm_model", "RFM model", named, words, "");
        return None;
    } else {
        model.to_owned()
    };
    let groups = models.get(&found)?;
    let before = raw.groups.iter().filter(|group| !has(groups, &group.text)).count();
    for group in raw.groups.iter().filter(|group| !has(groups, &group.text)) {
        let known = groups.iter().map(String::as_str).collect();
        binder.unknown("journey.unknown_rfm_group", "RFM group", group, known, "");
    }
    (before == 0).then_some(found)
}

fn keep(binder: &mut Binder<'_>, raw: &RawKeep) -> Option<Keep> {
    let condition = binder.journey_condition(&raw.condition, &raw.field)?;
    binder.names_of(&condition, raw.condition.place, &raw.field);
    let condition = binder.keep_condition(condition);
    Some(Keep { condition, leave: raw.leave })
}
