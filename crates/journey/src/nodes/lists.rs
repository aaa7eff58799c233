//! Puts the contact on a static list, or takes it off. Later nodes of the same pass see it there. A list need not be made
//! before: it is what contacts are on.

use model::Slug;

use super::{Flow, Kind, Reading, Role, Step};
use crate::{check::Binder, run::Context, trace::Detail};

/// `add_to_list`.
pub static ADD: Kind = Kind {
    word: "add_to_list",
    name_en: "Add to list",
    name_fr: "Ajouter à une liste",
    role: Role::Action,
    read: read_add,
};

/// `remove_from_list`.
pub static REMOVE: Kind = Kind {
    word: "remove_from_list",
    name_en: "Remove from list",
    name_fr: "Retirer d'une liste",
    role: Role::Action,
    read: read_remove,
};

#[derive(Debug)]
struct SetList {
    list: Slug,
    member: bool,
}

fn read_add(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    read(reading, true)
}

fn read_remove(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    read(reading, false)
}

fn read(reading: &mut Reading<'_, '_>, member: bool) -> Option<Box<dyn Step>> {
    let named = reading.required_text("list")?;
    let list = Slug::parse(&named.text).map_err(|problem| problem.field(&named.field).at(named.place));
    Some(Box::new(SetList { list: reading.keep(list)?, member }))
}

impl Step for SetList {
    fn bind(&mut self, _: &mut Binder<'_>) {}

    fn step(&self, context: &mut Context<'_>) -> Flow {
        let was = context.person().contact.lists.contains(&self.list);
        context.set_list(&self.list, self.member);
        let detail = if was == self.member { Detail::Text("as before".into()) } else { Detail::None };
        Flow::done(0, detail)
    }
}
