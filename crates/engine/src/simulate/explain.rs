//! Why an event did not start a journey: for "why did he not get this?".

use std::fmt;

use journey::entry::{Listener, Past as Lived, Reentry, admits};
use model::{Event, Timestamp, Value};
use segment::Condition;

use super::player::Player;
use crate::live::{enter, lives, timers};

/// An event that did not start the journey, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When it arrived.
    pub at: Timestamp,
    /// What happened.
    pub kind: String,
    /// The place of the trigger that was asked; none where the audience enters.
    pub trigger: Option<usize>,
    /// Why.
    pub why: Why,
}

/// Why an event did not start a journey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It concerns another group, segment or cart than the trigger names.
    Other,
    /// It arrived too late: so long after it happened, in microseconds.
    Late(i64),
    /// The trigger's condition does not hold, with the values that decided: (name, value).
    Condition(Vec<(String, String)>),
    /// The contact is not in the audience.
    Audience(String),
    /// It has been in, or is inside, and may not come in (again) now.
    Reentry(String),
}

impl Why {
    /// Its word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Late(_) => "late",
            Self::Condition(_) => "condition",
            Self::Audience(_) => "audience",
            Self::Reentry(_) => "reentry",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other => f.write_str("the trigger names another segment, group or cart"),
            Self::Late(by) => {
                write!(f, "it arrived {} minutes after it happened: too late", by / Timestamp::MINUTE)
            }
            Self::Condition(values) => {
                f.write_str("the trigger's condition does not hold")?;
                for (place, (name, value)) in values.iter().enumerate() {
                    write!(f, "{}{name} is {value}", if place == 0 { ": " } else { ", " })?;
                }
                Ok(())
            }
            Self::Audience(text) | Self::Reentry(text) => f.write_str(text),
        }
    }
}

impl Player<'_> {
    /// Notes why an event does not start the journey now; nothing when it does, or when no trigger means such events.
    pub(super) fn explain(&mut self, event: &Event) {
        let live = &self.stage.live;
        let journey = &live.rules.journey;
        let mut refused: Option<(Option<usize>, Why)> = None;
        let mut starts = None;
        if journey.triggers.is_empty() {
            let joins = event.kind == lives::AUDIENCE || enter::joins(&journey.audience, event);
            starts = joins.then(|| (None, String::new()));
        }
        for (place, trigger) in journey.starters(&event.kind) {
            match self.asked(trigger, place, event) {
                Some(why) => refused = refused.or(Some((Some(place), why))),
                None => {
                    starts = Some((Some(place), trigger.key_of(event).unwrap_or_default()));
                    break;
                }
            }
        }
        if let Some((place, key)) = starts {
            refused = self.kept_out(&key).map(|why| (place, why));
        }
        if let Some((trigger, why)) = refused {
            let kind = if event.kind == lives::AUDIENCE {
                "the journey began".to_owned()
            } else {
                event.kind.clone()
            };
            self.refused.push(Refused { at: self.now, kind, trigger, why });
        }
    }

    /// Why a trigger does not mean an event; none when it does.
    fn asked(&self, trigger: &Listener, place: usize, event: &Event) -> Option<Why> {
        let journey = &self.stage.live.rules.journey;
        if !timers::is_for(event, &journey.slug, place, &trigger.on) || !trigger.on.means(event) {
            return Some(Why::Other);
        }
        if trigger.is_late(event) {
            return Some(Why::Late(event.received_at.since(event.at)));
        }
        if self.hears(trigger, event) {
            return None;
        }
        let values = trigger.condition.as_ref().map(|condition| self.values(condition, event));
        Some(Why::Condition(values.unwrap_or_default()))
    }

    /// The values that a condition looked at.
    fn values(&self, condition: &Condition, event: &Event) -> Vec<(String, String)> {
        let (person, defaults) = (self.person(), &self.stage.ground.defaults);
        let catalogue = &self.stage.ground.shelf.catalogue;
        let said =
            |value: Option<Value>| value.map_or_else(|| "not there".to_owned(), |value| value.to_string());
        let types = self.stage.live.rules.journey.declared(&event.kind);
        let mut values = Vec::new();
        for (path, _) in condition.refs() {
            let parts = path.parts();
            let value = match parts {
                [root, name] if root == "contact" => person.field(name, defaults),
                [root, rest @ ..] if root == "trigger" || root == "event" => {
                    match journey::signal::declared(event, rest, catalogue, types) {
                        Some(journey::data::Datum::Value(value)) => Some(value),
                        _ => None,
                    }
                }
                _ => None,
            };
            values.push((parts.join("."), said(value)));
        }
        let reads = condition.reads();
        for field in reads.fields {
            let name = format!("contact.{field}");
            if !values.iter().any(|(known, _)| *known == name) {
                values.push((name, said(person.field(&field, defaults))));
            }
        }
        for slug in reads.segments {
            let member = self.members.get(&slug).copied().unwrap_or_default();
            values.push((format!("segment {slug}"), if member { "yes" } else { "no" }.to_owned()));
        }
        for list in reads.lists {
            let on = person.contact.lists.iter().any(|own| own.as_str() == list);
            values.push((format!("list {list}"), if on { "yes" } else { "no" }.to_owned()));
        }
        for purpose in reads.purposes {
            let state = format!("{:?}", person.contact.consent(&purpose)).to_lowercase();
            values.push((format!("consent {purpose}"), state));
        }
        values
    }

    /// Why who is meant does not come in; none when it does.
    fn kept_out(&self, key: &str) -> Option<Why> {
        let live = &self.stage.live;
        let (journey, person) = (&live.rules.journey, self.person());
        let member = |slug: &str| self.members.get(slug).copied();
        if !enter::is_in(&journey.audience, &person.contact, person.push, live.began, member) {
            let excluded =
                journey.audience.exclude.as_ref().filter(|(slug, _)| member(slug).unwrap_or_default());
            return Some(Why::Audience(match excluded {
                Some((slug, _)) => format!("it is in the segment {slug}, which the audience excludes"),
                None => format!(
                    "it is not in the audience ({:?}, {:?}; known since {})",
                    journey.audience.who, journey.audience.source, person.contact.created_at
                ),
            }));
        }
        let lived = self.lived();
        let past: Vec<Lived<'_>> = lived
            .iter()
            .map(|one| Lived { key: &one.key, entered_at: one.entered_at, inside: one.state.is_some() })
            .collect();
        if admits(journey.reentry, &past, key, self.now) {
            return None;
        }
        let last = past.iter().map(|one| one.entered_at).max().unwrap_or(self.now);
        let inside =
            past.iter().any(|one| one.inside && (one.key == key || one.key.is_empty() || key.is_empty()));
        Some(Why::Reentry(if inside {
            format!("it is inside since {last}: one run at a time")
        } else {
            match journey.reentry {
                Reentry::Never => format!("it entered on {last}, and nobody enters twice (reentry: never)"),
                Reentry::PerKey => format!("it entered with the key {key} before (reentry: per_key)"),
                Reentry::After(_) => format!("it entered on {last}, and the pause of `reentry` is not over"),
                Reentry::AfterExit => format!("it entered on {last}"),
            }
        }))
    }
}
