//! A transport that takes mails into a list, refuses some, and remembers in what order things happened.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use delivery::{Answer, Lane, Mail, Transport, transport::Bounce};
use model::{Channel, ContactId, Dice, MessageId, Slug, Timestamp};

/// A hand-over that began.
#[derive(Clone, Debug)]
pub struct HandOver {
    /// Its place in the order of everything.
    pub order: u64,
    /// The message.
    pub id: MessageId,
    /// To whom.
    pub contact: ContactId,
    /// What carries it.
    pub channel: Channel,
    /// Why.
    pub purpose: Slug,
    /// Whether it belongs to a transaction.
    pub transactional: bool,
    /// The clock's time.
    pub at: Timestamp,
    /// Whether the other side took it.
    pub taken: bool,
    /// The mail's own `Message-ID`, of an email.
    pub header: Option<String>,
}

#[derive(Default)]
struct Inner {
    order: u64,
    handed: Vec<HandOver>,
    /// One in so many is refused for a while, for good, or without an answer; 0: none.
    refuses: u64,
    tries: std::collections::BTreeMap<MessageId, u64>,
}

/// The other side, which outlives every process.
#[derive(Clone, Default)]
pub struct Post {
    inner: Arc<Mutex<Inner>>,
    seed: u64,
}

impl Post {
    /// One that refuses one in so many messages; 0: none.
    #[must_use]
    pub fn new(seed: u64, refuses: u64) -> Self {
        let inner = Inner { refuses, ..Inner::default() };
        Self { inner: Arc::new(Mutex::new(inner)), seed }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that was handed over.
    #[must_use]
    pub fn handed(&self) -> Vec<HandOver> {
        self.lock().handed.clone()
    }

    /// The next place in the order of everything.
    #[must_use]
    pub fn mark(&self) -> u64 {
        let mut inner = self.lock();
        inner.order += 1;
        inner.order
    }

    fn take(&self, mail: &Mail) -> Answer {
        let mut inner = self.lock();
        inner.order += 1;
        let order = inner.order;
        let tries = inner.tries.entry(mail.id).or_default();
        *tries += 1;
        let number = u128::from_be_bytes(mail.id.0);
        let mut dice = Dice::of(&[self.seed, number as u64, (number >> 64) as u64, *tries]);
        let answer = match inner.refuses {
            0 => 9,
            refuses if dice.below(refuses) == 0 => dice.below(5),
            _ => 9,
        };
        let answer = match answer {
            0 | 1 => Answer::Temporary { reason: "smtp.4xx", detail: "451 later".into() },
            2 => {
                Answer::Permanent { reason: "smtp.5xx", detail: "550 no".into(), bounce: Some(Bounce::Hard) }
            }
            3 => Answer::Permanent {
                reason: "smtp.5xx",
                detail: "552 full".into(),
                bounce: Some(Bounce::Soft),
            },
            4 => Answer::Doubtful { detail: "no answer".into() },
            _ => Answer::Taken { detail: "250 ok".into() },
        };
        // Who gives no answer may well have taken it.
        let taken = matches!(answer, Answer::Taken { .. } | Answer::Doubtful { .. });
        let text = String::from_utf8_lossy(&mail.bytes);
        let header = text.lines().find(|line| line.to_ascii_lowercase().starts_with("message-id:"));
        inner.handed.push(HandOver {
            order,
            id: mail.id,
            contact: mail.contact,
            channel: mail.send.channel,
            purpose: mail.send.purpose.clone(),
            transactional: mail.send.transactional,
            at: mail.date,
            taken,
            header: header.map(str::to_owned).filter(|_| mail.send.channel == Channel::Email),
        });
        answer
    }
}

/// The way to [`Post`], with so many lanes.
pub struct Way {
    /// Where it leads.
    pub post: Post,
    /// Lanes.
    pub lanes: usize,
}

/// A lane of [`Way`].
pub struct Hand(Post);

impl Transport for Way {
    type Lane = Hand;
    const KEEPS_PAGES: bool = false;

    fn lanes(&self) -> usize {
        self.lanes
    }

    fn lane(&self) -> Hand {
        Hand(self.post.clone())
    }

    async fn finish(&self) -> Result<(), String> {
        Ok(())
    }
}

impl Lane for Hand {
    async fn hand_over(&mut self, mail: &Mail) -> Answer {
        let answer = self.0.take(mail);
        tokio::task::yield_now().await;
        answer
    }

    async fn close(self) {}
}
