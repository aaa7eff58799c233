//! Does the contact belong to a segment?

use super::{Flow, Kind, NO, Named, Reading, Role, Step, YES, YES_NO};
use crate::{
    check::Binder,
    run::{Context, Need},
    trace::Detail,
};

/// The kind.
pub static KIND: Kind = Kind {
    word: "in_segment",
    name_en: "Belongs to segment",
    name_fr: "Appartient au segment",
    role: Role::Condition,
    read,
};

#[derive(Debug)]
struct InSegment {
    segment: Named,
    slot: u16,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let segment = reading.required_text("segment")?;
    Some(Box::new(InSegment { segment, slot: 0 }))
}

impl Step for InSegment {
    fn outcomes(&self) -> &'static [&'static str] {
        YES_NO
    }

    fn bind(&mut self, binder: &mut Binder<'_>) {
        self.slot = binder.segment(&self.segment).unwrap_or_default();
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        match context.answers.member(self.slot) {
            None => Flow::Needs(vec![Need::Member(self.slot)]),
            Some(true) => Flow::done(YES, Detail::None),
            Some(false) => Flow::done(NO, Detail::None),
        }
    }
}
