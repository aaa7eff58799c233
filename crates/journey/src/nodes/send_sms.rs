//! Decides whether a text message may be written, and if so what it will hold. See [`super::sending`] for its keys.

use model::Channel;

use super::{
    Flow, Kind, Reading, Role, Sending, Step,
    sending::{self, Content},
};
use crate::{check::Binder, run::Context};

/// The kind.
pub static KIND: Kind = Kind {
    word: "send_sms",
    name_en: "Send text message",
    name_fr: "Envoyer un SMS",
    role: Role::Action,
    read,
};

#[derive(Debug)]
struct SendSms {
    content: Content,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let content = sending::read(reading, Channel::Sms);
    Some(Box::new(SendSms { content: content? }))
}

impl Step for SendSms {
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
