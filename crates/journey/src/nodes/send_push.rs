//! Decides whether a push may be sent to the contact's browsers, and if so what it will hold. See [`super::sending`]
//! for its keys; without `expires_after` the template's own counts.

use model::Channel;

use super::{
    Flow, Kind, Reading, Role, Sending, Step,
    sending::{self, Content},
};
use crate::{check::Binder, run::Context};

/// The kind.
pub static KIND: Kind = Kind {
    word: "send_push",
    name_en: "Send push",
    name_fr: "Envoyer une notification",
    role: Role::Action,
    read,
};

#[derive(Debug)]
struct SendPush {
    content: Content,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let content = sending::read(reading, Channel::WebPush);
    Some(Box::new(SendPush { content: content? }))
}

impl Step for SendPush {
    fn outcomes(&self) -> &'static [&'static str] {
        sending::OUTCOMES
    }

    fn bind(&mut self, binder: &mut Binder<'_>) {
        self.content.bind(binder);
    }

    fn sends(&self) -> bool {
        true
    }

    fn skipped(&self) -> Flow {
        Content::skipped()
    }

    fn sending(&self) -> Option<Sending<'_>> {
        Some(self.content.sending())
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        self.content.step(None, context)
    }
}
