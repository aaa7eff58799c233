//! Where a path ends on purpose: a contact that comes here has left, and is not counted among those for whom no link matched.

use super::{Flow, Kind, Reading, Role, Step};
use crate::{check::Binder, run::Context, trace::Detail};

/// The kind.
pub static KIND: Kind = Kind { word: "end", name_en: "End", name_fr: "Fin", role: Role::End, read };

/// The end of a path.
#[derive(Debug)]
pub struct End;

#[expect(clippy::unnecessary_wraps, reason = "the signature of the registry")]
fn read(_: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    Some(Box::new(End))
}

impl Step for End {
    fn bind(&mut self, _: &mut Binder<'_>) {}

    fn step(&self, _: &mut Context<'_>) -> Flow {
        Flow::done(0, Detail::None)
    }
}
