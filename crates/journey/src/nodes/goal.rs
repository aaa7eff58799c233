//! Marks the journey's goal as reached by the contact, who goes on. The first time in a run counts.

use super::{Flow, Kind, Reading, Role, Step};
use crate::{check::Binder, run::Context, trace::Detail};

/// The kind.
pub static KIND: Kind =
    Kind { word: "goal", name_en: "Goal reached", name_fr: "Objectif atteint", role: Role::Action, read };

#[derive(Debug)]
struct Goal;

#[expect(clippy::unnecessary_wraps, reason = "the signature of the registry")]
fn read(_: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    Some(Box::new(Goal))
}

impl Step for Goal {
    fn bind(&mut self, _: &mut Binder<'_>) {}

    fn step(&self, context: &mut Context<'_>) -> Flow {
        let first = context.reach_goal();
        Flow::done(0, if first { Detail::None } else { Detail::Text("already".into()) })
    }
}
