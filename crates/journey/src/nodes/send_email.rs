//! Decides whether an email may be written, and if so what it will hold. See [`super::sending`] for its keys; `to` is
//! `contact` (the default), or a fixed address for an alert to the shop's own staff.

use model::Channel;

use super::{
    Flow, Kind, Reading, Role, Sending, Step,
    sending::{self, Content},
};
use crate::{check::Binder, run::Context};

/// The kind.
pub static KIND: Kind = Kind {
    word: "send_email",
    name_en: "Send email",
    name_fr: "Envoyer un e-mail",
    role: Role::Action,
    read,
};

#[derive(Debug)]
struct SendEmail {
    content: Content,
    /// A fixed address: an alert to the shop's own staff.
    to: Option<String>,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let to = read_to(reading);
    let content = sending::read(reading, Channel::Email);
    Some(Box::new(SendEmail { content: content?, to: to? }))
}

fn read_to(reading: &mut Reading<'_, '_>) -> Option<Option<String>> {
    let path = reading.fields.path_of("to");
    let Some(node) = reading.fields.optional("to") else { return Some(None) };
    let text = node.scalar().unwrap_or_default();
    if text == "contact" {
        return Some(None);
    }
    let address = model::field::parse_email(&text).map_err(|problem| {
        problem.field(path).at(node.place).cure("write contact, or a fixed address, as in alerts@example.com")
    });
    reading.keep(address).map(Some)
}

impl Step for SendEmail {
    fn outcomes(&self) -> &'static [&'static str] {
        sending::OUTCOMES
    }

    fn bind(&mut self, binder: &mut Binder<'_>) {
        self.content.bind(binder);
    }

    fn sends(&self) -> bool {
        self.to.is_none()
    }

    fn skipped(&self) -> Flow {
        Content::skipped()
    }

    fn sending(&self) -> Option<Sending<'_>> {
        Some(self.content.sending())
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        self.content.step(self.to.as_deref(), context)
    }
}
