//! What carries mails: a transport has lanes (connections), a lane hands over one mail at a time and says what became
//! of it.

use std::{future::Future, sync::Arc};

use model::{Contact, ContactId, Timestamp};
use storage::outbox::{MessageId, MessageState, OutboxMessage, Outcome, SendPoint};

/// A mail that is ready to leave.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Its message.
    pub id: MessageId,
    /// What it shares with the others of its node.
    pub send: Arc<SendPoint>,
    /// To whom.
    pub contact: ContactId,
    /// The name it is addressed to; may be empty.
    pub to_name: String,
    /// The address it goes to.
    pub to: String,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// When it leaves.
    pub date: Timestamp,
    /// The locale it was written in.
    pub locale: String,
    /// Its subject.
    pub subject: String,
    /// The page, where the transport asks for it ([`Transport::KEEPS_PAGES`]); else empty. Text messages and push have
    /// one for looking at.
    pub html: String,
    /// The plain text, likewise.
    pub text: String,
    /// What travels: the mail, the text of a text message, the JSON of a push or of a webhook.
    pub bytes: Vec<u8>,
    /// The name of the secret that signs a webhook.
    pub signed_with: Option<String>,
}

/// What became of a mail that was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The other side took it, and said so.
    Taken {
        /// Its words.
        detail: String,
    },
    /// Not now.
    Temporary {
        /// A stable code.
        reason: &'static str,
        /// The words of the other side.
        detail: String,
    },
    /// Never.
    Permanent {
        /// A stable code.
        reason: &'static str,
        /// The words of the other side.
        detail: String,
        /// Whether it is the address that does not take mail.
        bounce: Option<Bounce>,
    },
    /// It was sent in full, and no answer came: nobody knows.
    Doubtful {
        /// In a sentence.
        detail: String,
    },
    /// The other side cannot be reached or wants nothing from us at all. Says nothing about the mail, which was not
    /// handed over.
    Unavailable {
        /// A stable code.
        reason: &'static str,
        /// What is wrong, with what to do where that is known.
        detail: String,
        /// Whether every other connection would be told the same (a wrong password, no TLS).
        for_good: bool,
    },
}

/// How an address refuses mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounce {
    /// There is no such mailbox.
    Hard,
    /// Not this time: it is full, or does not like the mail.
    Soft,
}

/// A message that was settled without being handed over: a rule stopped it, or it could not be made.
#[derive(Clone, Debug)]
pub struct Unsent {
    /// The message.
    pub id: MessageId,
    /// What it shares with the others of its node.
    pub send: Arc<SendPoint>,
    /// To whom.
    pub contact: ContactId,
    /// The contact's name; may be empty.
    pub to_name: String,
    /// The address, if there is one.
    pub to: String,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// When it was settled.
    pub date: Timestamp,
    /// Skipped or failed.
    pub state: MessageState,
    /// A stable code.
    pub reason: &'static str,
    /// In a sentence.
    pub detail: String,
}

impl Unsent {
    pub(crate) fn of(
        message: &OutboxMessage,
        contact: Option<&Contact>,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Self {
        let (state, reason, detail) = match outcome {
            Outcome::Skipped { reason, detail } => (MessageState::Skipped, *reason, detail.clone()),
            Outcome::Held { reason, .. } => (MessageState::Waiting, *reason, String::new()),
            Outcome::Failed { reason, detail } => (MessageState::Failed, *reason, detail.clone()),
            _ => (MessageState::Waiting, "", String::new()),
        };
        let address = crate::prepare::address(message, contact).map(str::to_owned);
        Self {
            id: message.id,
            send: Arc::clone(&message.send),
            contact: message.contact,
            to_name: contact.map(crate::prepare::full_name).unwrap_or_default(),
            to: address.unwrap_or_default(),
            decided_at: message.decided_at,
            date: now,
            state,
            reason,
            detail,
        }
    }
}

/// A way for mails to leave.
pub trait Transport: Send + Sync + 'static {
    /// One connection.
    type Lane: Lane;
    /// Whether it wants [`Mail::html`].
    const KEEPS_PAGES: bool;
    /// How many lanes to open.
    fn lanes(&self) -> usize;
    /// Makes a lane; connects when it is first used.
    fn lane(&self) -> Self::Lane;
    /// Told of a message that will not come.
    fn unsent(&self, _: &Unsent) {}
    /// Called once when nothing more follows.
    ///
    /// # Errors
    /// What could not be finished, in a sentence.
    fn finish(&self) -> impl Future<Output = Result<(), String>> + Send;
}

/// One connection of a transport.
pub trait Lane: Send + 'static {
    /// Hands a mail over.
    fn hand_over(&mut self, mail: &Mail) -> impl Future<Output = Answer> + Send;
    /// Says good-bye.
    fn close(self) -> impl Future<Output = ()> + Send;
}
