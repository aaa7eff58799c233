//! Where every contact enters. It stands for the audience and need not be written.

use super::{Flow, Kind, Reading, Role, Step};
use crate::{check::Binder, run::Context, trace::Detail};

/// The kind.
pub static KIND: Kind =
    Kind { word: "start", name_en: "Start", name_fr: "Démarrage", role: Role::Start, read };

/// The start.
#[derive(Debug)]
pub struct Start;

#[expect(clippy::unnecessary_wraps, reason = "the signature of the registry")]
fn read(_: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    Some(Box::new(Start))
}

impl Step for Start {
    fn bind(&mut self, _: &mut Binder<'_>) {}

    fn step(&self, _: &mut Context<'_>) -> Flow {
        Flow::done(0, Detail::None)
    }
}
