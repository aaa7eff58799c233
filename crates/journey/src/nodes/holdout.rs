//! Keeps a share of the contacts without any message of the journey, to measure what the messages do: `{kind: holdout,
//! share: 10}`. Who is held goes on by the link `held` (to reach goals like the others), everybody else by `go_on`.
//!
//! That nobody who is held is written to has two guards. The draw depends on journey, node and contact only: whoever is
//! held is held in every later run and version of the journey too. And from the moment on when a contact is held every
//! node of the run that sends to it refuses with the reason `holdout`, on whichever branch, kept over all stays. A message
//! that some path sends *before* the holdout would be outside this; the checker warns of it
//! (`journey.before_holdout`): the holdout belongs right behind the start.

use super::{Flow, Kind, Reading, Role, Step, branches};
use crate::{check::Binder, run::Context, trace::Detail};

/// The kind.
pub static KIND: Kind =
    Kind {
        word: "holdout", name_en: "Holdout group", name_fr: "Groupe témoin", role: Role::Condition, read
    };

const OUTCOMES: &[&str] = &["held", "go_on"];

#[derive(Debug)]
struct Holdout {
    share: u32,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let (node, path) = reading.required("share")?;
    let share = branches::share(reading, node, &path)?;
    Some(Box::new(Holdout { share }))
}

impl Step for Holdout {
    fn outcomes(&self) -> &'static [&'static str] {
        OUTCOMES
    }

    fn bind(&mut self, _: &mut Binder<'_>) {}

    fn holds(&self) -> bool {
        true
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        let number = context.lasting_dice().below(u64::from(branches::WHOLE));
        if number >= u64::from(self.share) {
            return Flow::done(1, Detail::None);
        }
        context.hold();
        Flow::done(0, Detail::None)
    }
}
