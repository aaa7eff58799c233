//! Takes the contact out of the journey: all of its branches end here, those that wait elsewhere included. The reason is
//! a word of the marketer's, for the result and the trace.

use super::{Flow, Kind, Reading, Role, Step};
use crate::{check::Binder, run::Context, trace::Detail};

/// The kind.
pub static KIND: Kind = Kind {
    word: "exit",
    name_en: "Leave the journey",
    name_fr: "Quitter le parcours",
    role: Role::End,
    read,
};

#[derive(Debug)]
struct Exit {
    reason: Option<String>,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let reason = reading.fields.text("reason");
    let reason = reading.keep(reason)?.map(str::to_owned);
    Some(Box::new(Exit { reason }))
}

impl Step for Exit {
    fn bind(&mut self, _: &mut Binder<'_>) {}

    fn step(&self, _: &mut Context<'_>) -> Flow {
        Flow::Exit(self.reason.clone().map_or(Detail::None, Detail::Text))
    }
}
