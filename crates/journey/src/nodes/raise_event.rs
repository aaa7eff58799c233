//! Raises an event for the contact, with properties from the file and from data. It goes into the contact's history, and
//! starts what listens for its kind. Kinds that Relance itself raises or understands are not for journeys: they would lie.

use model::{Event, Problem, event::kind};

use super::{Flow, Kind, Named, Reading, Role, Step, payload::Payload};
use crate::{
    check::Binder,
    run::{Context, Raised},
    trace::Detail,
};

/// The kind.
pub static KIND: Kind = Kind {
    word: "raise_event",
    name_en: "Raise event",
    name_fr: "Déclencher un événement",
    role: Role::Action,
    read,
};

#[derive(Debug)]
struct RaiseEvent {
    event: Named,
    properties: Payload,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let event = reading.required_text("event");
    let properties = super::payload::read(reading, "properties");
    let event = event?;
    let length = event.text.chars().count();
    let problem = |code, message: String, cure: String| {
        Problem::new(code, message).field(&event.field).value(&event.text).at(event.place).cure(cure)
    };
    if length > Event::KIND_LEN_MAX {
        let cure = format!("name it in 1 to {} characters, as in VIP Reached", Event::KIND_LEN_MAX);
        reading.problems.push(problem("event.kind", format!("the kind has {length} characters"), cure));
        return None;
    }
    if kind::KNOWN.iter().any(|known| known.eq_ignore_ascii_case(&event.text)) {
        let message = format!("`{}` is an event that the shop or Relance itself raises", event.text);
        let cure = "give it a name of your own, as in VIP Reached".to_owned();
        reading.problems.push(problem("journey.event_reserved", message, cure));
        return None;
    }
    Some(Box::new(RaiseEvent { event, properties: properties? }))
}

impl Step for RaiseEvent {
    fn bind(&mut self, binder: &mut Binder<'_>) {
        self.properties.bind(binder);
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        let properties = self.properties.fill(context);
        let size = serde_json::to_string(&properties).map_or(usize::MAX, |json| json.len());
        if size > Event::SIZE_MAX {
            return Flow::done(0, Detail::Text(format!("not raised: {size} bytes of properties")));
        }
        context.raise(Raised { kind: self.event.text.clone(), properties });
        Flow::done(0, Detail::None)
    }
}
