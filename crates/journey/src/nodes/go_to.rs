//! Lets the contact go on in another journey, which has the trigger `api`: `{kind: go_to, journey: win-back, data: {total:
//! {ref: trigger.total}}}`. The other journey decides by its own rules whether it takes the contact, and reads the data
//! as `trigger.total`. This run goes on by its links, if it has any.
//!
//! Journeys that send contacts to each other without a wait would never end: after [`HOPS_MAX`] journeys in a row no
//! further one is entered.

use model::event::kind;
use serde_json::Value as Json;

use super::{Flow, Kind, Named, Reading, Role, Step, payload::Payload};
use crate::{
    check::Binder,
    run::{Context, Raised},
    trace::Detail,
};

/// Most journeys that lead into each other.
pub const HOPS_MAX: i64 = 20;

/// The kind.
pub static KIND: Kind = Kind {
    word: "go_to",
    name_en: "Go on to another journey",
    name_fr: "Continuer dans un autre parcours",
    role: Role::Action,
    read,
};

/// The property that counts them.
const HOPS: &str = "hops";

#[derive(Debug)]
struct GoTo {
    journey: Named,
    data: Payload,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let journey = reading.required_text("journey");
    let data = super::payload::read(reading, "data");
    Some(Box::new(GoTo { journey: journey?, data: data? }))
}

impl Step for GoTo {
    fn bind(&mut self, binder: &mut Binder<'_>) {
        binder.journey(&self.journey);
        self.data.bind(binder);
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        let trigger = context.entry.trigger.as_deref().filter(|event| event.kind == kind::JOURNEY_ENTRY);
        let hops = trigger.and_then(|event| event.properties.get(HOPS)?.as_i64()).unwrap_or(0) + 1;
        if hops > HOPS_MAX {
            return Flow::done(0, Detail::Text(format!("{HOPS_MAX} journeys in a row")));
        }
        let mut properties = self.data.fill(context);
        properties.insert("journey".into(), Json::from(self.journey.text.clone()));
        properties.insert(HOPS.into(), Json::from(hops));
        if serde_json::to_string(&properties).map_or(usize::MAX, |json| json.len()) > model::Event::SIZE_MAX {
            return Flow::done(0, Detail::Text("not raised: too much data".into()));
        }
        context.raise(Raised { kind: kind::JOURNEY_ENTRY.to_owned(), properties });
        Flow::done(0, Detail::Text(self.journey.text.clone()))
    }
}
