//! Did the contact allow messages of a purpose or topic? As the sending rules take it: who said yes to `newsletter` said
//! yes to `newsletter/promotions` unless it refused that topic or the workspace asks for each topic.

use model::{ConsentState, Slug};

use super::{Flow, Kind, NO, Reading, Role, Step, YES, YES_NO};
use crate::{check::Binder, document::read_word, run::Context, trace::Detail};

/// The kind.
pub static KIND: Kind =
    Kind { word: "has_consent", name_en: "Has consent", name_fr: "A consenti", role: Role::Condition, read };

const STATES: [(&str, ConsentState); 3] = [
    ("subscribed", ConsentState::Subscribed),
    ("not_subscribed", ConsentState::NotSubscribed),
    ("unsubscribed", ConsentState::Unsubscribed),
];

#[derive(Debug)]
struct HasConsent {
    purpose: Slug,
    is: ConsentState,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let path = reading.fields.path_of("is");
    let is = match reading.fields.optional("is").map(|node| read_word(node, &path, &STATES)) {
        None => Some(ConsentState::Subscribed),
        Some(read) => reading.keep(read),
    };
    let purpose = reading.required_text("purpose")?;
    let read =
        Slug::purpose(&purpose.text).map_err(|problem| problem.at(purpose.place).field(&purpose.field));
    Some(Box::new(HasConsent { purpose: reading.keep(read)?, is: is? }))
}

impl Step for HasConsent {
    fn outcomes(&self) -> &'static [&'static str] {
        YES_NO
    }

    fn bind(&mut self, _: &mut Binder<'_>) {}

    fn step(&self, context: &mut Context<'_>) -> Flow {
        let contact = &context.person().contact;
        let state = policy::consent(contact, self.purpose.as_str(), context.world.sending.topics);
        let word = STATES.iter().find(|(_, own)| *own == state).map_or("", |(word, _)| *word);
        Flow::done(if state == self.is { YES } else { NO }, Detail::Text(word.to_owned()))
    }
}
