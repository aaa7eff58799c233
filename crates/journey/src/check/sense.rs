//! What is written well but cannot be meant: a journey that nobody enters, a key that nothing has, a window further back
//! than events are kept.

use std::collections::BTreeSet;

use model::{Period, Place, Problem, Problems, event::kind};
use segment::{Condition, Window};

use super::{Beside, live::Live};
use crate::{
    document::{Document, RawListener, Source, Who, trigger::micros},
    entry::{Listener, On, Reentry},
    graph::Node,
};

/// How long events are kept unless a workspace says otherwise; orders are kept for good.
pub const EVENTS_KEPT: Period = Period { months: 24, micros: 0 };

pub(super) fn check(
    document: &Document,
    live: &Live,
    nodes: &[Node],
    conditions: &[Condition],
    problems: &mut Problems,
) {
    entry_window(document, live, problems);
    newcomers(document, problems);
    nobody_enters(document, problems);
    keys(document, problems);
    reentry_never(document, problems);
    said_twice(document, problems);
    exits_and_triggers(document, live, problems);
    goal_target(document, problems);
    unheard(live, nodes, problems);
    retention(document, live, conditions, problems);
}

/// A kind of event that nobody has seen and Relance does not know; none when it is known, or nothing is.
pub(super) fn unknown_kind(beside: &Beside, name: &str, field: &str, place: Place) -> Option<Problem> {
    let known = || kind::KNOWN.iter().copied().chain(beside.event_kinds.iter().map(String::as_str));
    if known().any(|known| known == name) {
        return None;
    }
    if beside.event_kinds.is_empty() {
        return near_miss(name, field, place);
    }
    let message = format!("no event of kind `{name}` was seen so far");
    let problem = Problem::warning("journey.unknown_event", message).field(field).value(name).at(place);
    Some(match model::text::nearest(name, known().collect::<Vec<_>>()) {
        Some(near) => problem.cure(format!("did you mean `{near}`?")),
        None => problem.cure("the journey begins with the first one that arrives"),
    })
}

/// A name that differs from a known one by case or blanks only: no event will ever have it.
fn near_miss(name: &str, field: &str, place: Place) -> Option<Problem> {
    let same = |known: &&&str| model::text::folded(known) == model::text::folded(name) && **known != name;
    let near = kind::KNOWN.iter().find(same)?;
    let message = format!("kinds of events are written exactly: `{name}` is not `{near}`");
    let problem = Problem::warning("journey.unknown_event", message).field(field).value(name).at(place);
    Some(problem.cure(format!("did you mean `{near}`?")))
}

fn entry_window(document: &Document, live: &Live, problems: &mut Problems) {
    if let (Some(start), Some(end), Some(raw)) = (live.starts_at, live.ends_at, &document.live.ends_at)
        && end <= start
    {
        problems.push(
            Problem::new("journey.window", "the journey would end before it starts")
                .field("ends_at")
                .value(&raw.text)
                .at(raw.place)
                .cure("put ends_at after starts_at"),
        );
    }
}

/// The trap of the others: contacts who are created later fire the trigger, and never enter.
fn newcomers(document: &Document, problems: &mut Problems) {
    if document.live.triggers.is_empty() || document.audience.source != Source::Existing {
        return;
    }
    problems.push(
        Problem::warning(
            "journey.newcomers_left_out",
            "contacts who are created after the start never enter, whatever they do",
        )
        .field("audience.source")
        .value("existing")
        .at(document.audience.place)
        .cure("write source: existing_and_new, or leave source out"),
    );
}

/// Audiences that contradict the trigger.
fn nobody_enters(document: &Document, problems: &mut Problems) {
    let audience = &document.audience;
    let exclude = audience.exclude.as_ref().map(|(slug, _)| slug.as_str());
    if let (Who::Segment(slug), Some(out)) = (&audience.who, exclude)
        && slug == out
    {
        let message = format!("`{slug}` is both the audience and excluded");
        let place = audience.exclude.as_ref().map_or(audience.place, |(_, place)| *place);
        problems.push(
            Problem::new("journey.nobody_enters", message)
                .field("audience.exclude")
                .at(place)
                .cure("remove one of them"),
        );
    }
    for trigger in &document.live.triggers {
        let message = match (&trigger.on, &audience.who) {
            (On::SegmentExited(left), Who::Segment(slug)) if left.as_str() == slug => {
                format!("whoever leaves `{slug}` is not in the audience any more")
            }
            (On::SegmentEntered(entered), _) if exclude == Some(entered.as_str()) => {
                format!("whoever enters `{entered}` is excluded from the audience")
            }
            _ => continue,
        };
        problems.push(
            Problem::new("journey.nobody_enters", message)
                .field(&trigger.field)
                .at(trigger.place)
                .cure("choose another audience"),
        );
    }
}

fn has_key(raw: &RawListener) -> bool {
    raw.key.is_some() || matches!(raw.on, On::CartAbandoned { .. })
}

fn keys(document: &Document, problems: &mut Problems) {
    let live = &document.live;
    let per_key = live.reentry.0 == Reentry::PerKey;
    let any = live.triggers.iter().any(has_key);
    if per_key && !any {
        problems.push(
            Problem::new("journey.no_key", "`reentry: per_key` needs a key, and no trigger has one")
                .field("reentry")
                .at(live.reentry.1)
                .cure("add a key to each trigger, as in key: trigger.cart_id"),
        );
        return;
    }
    for trigger in live.triggers.iter().filter(|trigger| any && !has_key(trigger)) {
        let problem = if per_key {
            Problem::new(
                "journey.no_key",
                "other triggers have a key, this one has none: it would let in once",
            )
        } else {
            Problem::warning(
                "journey.no_key",
                "other triggers have a key, this one has none: it lets nobody in who is inside",
            )
        };
        problems.push(
            problem.field(&trigger.field).at(trigger.place).cure("add a key, as in key: trigger.cart_id"),
        );
    }
    if any {
        return;
    }
    for exit in live.exits.iter().chain(live.goal.iter().map(|goal| &goal.listener)) {
        let Some((path, place)) = &exit.key else { continue };
        problems.push(
            Problem::warning("journey.no_key", "no trigger has a key: this one tells no runs apart")
                .field(format!("{}.key", exit.field))
                .value(path)
                .at(*place)
                .cure("add the same key to the triggers, or remove it here"),
        );
    }
}

/// Something that comes again and again, for contacts who may enter once in their lives.
fn reentry_never(document: &Document, problems: &mut Problems) {
    let (reentry, place) = document.live.reentry;
    let repeats = |on: &On| match on {
        On::Schedule(_) => true,
        On::Date(date) => date.yearly,
        _ => false,
    };
    if reentry == Reentry::Never && document.live.triggers.iter().any(|trigger| repeats(&trigger.on)) {
        problems.push(
            Problem::warning(
                "journey.only_once",
                "the trigger comes again and again, but each contact enters once in its life",
            )
            .field("reentry")
            .at(place)
            .cure("write reentry: after_exit, or leave it out"),
        );
    }
}

fn same(one: &RawListener, other: &RawListener) -> bool {
    let condition = |raw: &RawListener| raw.condition.as_ref().map(|(node, _)| node.to_json());
    one.on == other.on && one.machine == other.machine && condition(one) == condition(other)
}

fn said_twice(document: &Document, problems: &mut Problems) {
    for all in [&document.live.triggers, &document.live.exits] {
        for (number, one) in all.iter().enumerate() {
            if all[..number].iter().any(|other| same(one, other)) {
                problems.push(
                    Problem::warning("journey.said_twice", "the same stands above")
                        .field(&one.field)
                        .at(one.place)
                        .cure("remove it"),
                );
            }
        }
    }
}

/// An exit on what also starts the journey: whoever fires it leaves a run and begins another.
fn exits_and_triggers(document: &Document, live: &Live, problems: &mut Problems) {
    for (raw, exit) in document.live.exits.iter().zip(&live.exits) {
        let clash = live.triggers.iter().any(|trigger| trigger.on == exit.on);
        if clash && exit.condition.is_none() {
            problems.push(
                Problem::warning(
                    "journey.exit_is_trigger",
                    "what starts the journey also ends it: a second one ends the run and begins another",
                )
                .field(&raw.field)
                .at(raw.place)
                .cure("exit on another event, or add a condition with where"),
            );
        }
    }
}

fn goal_target(document: &Document, problems: &mut Problems) {
    let Some(goal) = &document.live.goal else { return };
    if goal.share.is_none() && goal.count.is_none() {
        problems.push(
            Problem::warning("journey.goal_without_target", "nothing says when the goal counts as reached")
                .field("goal")
                .at(goal.listener.place)
                .cure("add share: 50 (per cent of contacts) or count: 100"),
        );
    }
}

/// A wait for something at which contacts leave the journey before the wait can hear it.
fn unheard(live: &Live, nodes: &[Node], problems: &mut Problems) {
    let always =
        |exit: &&Listener| exit.condition.is_none() && exit.key.is_none() && matches!(exit.on, On::Event(_));
    let ends: BTreeSet<&str> = live.exits.iter().filter(always).map(|exit| exit.on.event_kind()).collect();
    for node in nodes {
        let heard = node.step.listens();
        if !heard.is_empty() && heard.iter().all(|kind| ends.contains(kind.as_str())) {
            problems.push(
                Problem::warning(
                    "journey.never_heard",
                    format!("contacts leave the journey at `{}`: this never hears it", heard.join("`, `")),
                )
                .field(format!("nodes.{}", node.id))
                .at(node.place)
                .cure("remove the exit, or wait for time alone"),
            );
        }
    }
}

/// Windows further back than events are kept.
fn retention(document: &Document, live: &Live, conditions: &[Condition], problems: &mut Problems) {
    let kept = micros(EVENTS_KEPT);
    let too_far = |field: String, place: Place, period: &str| {
        let message = format!("events are kept for {EVENTS_KEPT}: {period} looks further back");
        Problem::warning("journey.window_too_long", message)
            .field(field)
            .value(period)
            .at(place)
            .cure(format!("use {EVENTS_KEPT} or less, or ask of orders, which are kept"))
    };
    for (raw, trigger) in document.live.triggers.iter().zip(&live.triggers) {
        if trigger.late != i64::MAX && trigger.late > kept {
            let period = Period { months: 0, micros: trigger.late };
            problems.push(too_far(format!("{}.late", raw.field), raw.place, &period.to_string()));
        }
    }
    let first = Place { line: 1, column: 1 };
    for condition in conditions {
        for activity in condition.activities().into_iter().filter(|a| a.kind != kind::ORDER_COMPLETED) {
            let Some(period) = window(activity).filter(|period| micros(*period) > kept) else { continue };
            let (field, place) = where_of(document, condition).unwrap_or_else(|| ("while".into(), first));
            problems.push(too_far(field, place, &period.to_string()));
        }
    }
}

/// How far back an activity looks, where that is a period.
fn window(activity: &segment::Activity) -> Option<Period> {
    match activity.window {
        Window::Within(period) | Window::OlderThan(period) | Window::BetweenAgo(_, period) => Some(period),
        Window::Always | Window::Absolute(..) | Window::Calendar(_) => None,
    }
}

/// The part of the file that a condition came from.
fn where_of(document: &Document, condition: &Condition) -> Option<(String, Place)> {
    let is = |node: &model::doc::Node| node.to_json() == *condition.to_json();
    if let Some(keep) = document.live.keep.as_ref().filter(|keep| is(&keep.condition)) {
        return Some((keep.field.clone(), keep.condition.place));
    }
    document.nodes.iter().find_map(|raw| {
        let own = |node: &model::doc::Node| Some((format!("nodes.{}", raw.id), node.place));
        holds(&raw.body, &is).and_then(own)
    })
}

fn holds<'n>(
    node: &'n model::doc::Node,
    is: &dyn Fn(&model::doc::Node) -> bool,
) -> Option<&'n model::doc::Node> {
    if is(node) {
        return Some(node);
    }
    let entries = node.entries().unwrap_or_default().iter().map(|entry| &entry.value);
    entries.chain(node.items().unwrap_or_default()).find_map(|inner| holds(inner, is))
}
