//! The sending rules at hand-over: the same question as at the decision, with the facts of now.

use std::collections::HashMap;

use model::{AddressStatus, Contact, Slug, Timestamp, Zone};
use policy::{Decision, Facts, Limit, PastSend, Refusal, SendingRules, Smart, Spent};
use serde_json::Value;
use storage::outbox::{AddressHash, Channel, OutboxMessage, Outcome, Recipient, Witness};

/// The name under which a message's variables say what it asks of the rules (see `journey`'s sending nodes).
const ASKS: &str = "_send";
/// What a message without another reason to wait is held by.
pub(crate) const HELD: &str = "held";

/// What was handed over lately, for send limits.
#[derive(Default)]
pub(crate) struct Book {
    all: Spent,
    journeys: HashMap<Slug, Spent>,
}

impl Book {
    pub fn new(handed_over: Vec<(i64, Slug, u64)>) -> Self {
        let mut book = Self::default();
        for (minute, journey, n) in handed_over {
            book.add(minute, &journey, n);
        }
        book
    }

    fn add(&mut self, minute: i64, journey: &Slug, n: u64) {
        let add = |spent: &mut Spent| match spent.last_mut().filter(|(last, _)| *last == minute) {
            Some((_, count)) => *count += n,
            None => spent.push((minute, n)),
        };
        add(&mut self.all);
        add(self.journeys.entry(journey.clone()).or_default());
    }

    /// When there is room again; none: now.
    fn limited_until(&self, rules: &SendingRules, journey: &Slug, now: Timestamp) -> Option<Timestamp> {
        let none = Spent::new();
        let own = self.journeys.get(journey).unwrap_or(&none);
        let limits = [(rules.limits.all, &self.all), (rules.limits.of(journey.as_str()), own)];
        limits.into_iter().filter_map(|(limit, spent)| limit.free(spent, now).1).max()
    }
}

/// What a message asks of the rules.
#[derive(Default)]
struct Asks {
    smart: Smart,
    ignore_caps: bool,
    once: bool,
}

impl Asks {
    fn of(variables: &Value) -> Self {
        let Some(asks) = variables.get(ASKS) else { return Self::default() };
        let is = |name: &str| asks.get(name).and_then(Value::as_bool).unwrap_or_default();
        let smart = match asks.get("smart") {
            Some(Value::Bool(true)) => Smart::On,
            Some(Value::Bool(false)) => Smart::Off,
            Some(other) => other.as_i64().map_or(Smart::Workspace, Smart::Window),
            None => Smart::Workspace,
        };
        Self { smart, ignore_caps: is("ignore_caps"), once: is("skip_duplicates") }
    }
}

pub(crate) fn is_transactional(message: &OutboxMessage) -> bool {
    message.send.transactional || message.send.purpose.as_str() == policy::TRANSACTIONAL
}

/// The address that counts: a fixed one, else the contact's of now.
pub(crate) fn address<'a>(message: &'a OutboxMessage, contact: Option<&'a Contact>) -> Option<&'a str> {
    message.to.as_deref().or_else(|| match message.send.channel {
        Channel::Email => contact?.email.as_deref(),
        Channel::Sms => contact?.phone.as_deref(),
        Channel::WebPush | Channel::Webhook => None,
    })
}

/// The rules, and what they look at.
pub(crate) struct Judge<'a> {
    pub rules: &'a SendingRules,
    pub zone: &'a Zone,
    pub now: Timestamp,
    /// How far back the recipients' messages are known; none when no rule counts them.
    pub since: Option<Timestamp>,
    pub book: Book,
}

impl Judge<'_> {
    /// What must be true when the message is marked; else what becomes of it instead.
    pub fn ask(
        &mut self,
        message: &OutboxMessage,
        recipient: &Recipient,
        suppressed: bool,
        variables: &Value,
    ) -> Result<Witness, Outcome> {
        let channel = message.send.channel;
        let asks = Asks::of(variables);
        let counts = message.to.is_none() && !is_transactional(message) && channel != Channel::Webhook;
        let sends: Vec<PastSend> = recipient
            .left
            .iter()
            .filter(|mark| !mark.transactional)
            .map(|mark| PastSend { channel: mark.channel, purpose: mark.purpose.to_string(), at: mark.at })
            .collect();
        let contact = &recipient.contact;
        let own = Facts::of(contact, channel, message.send.purpose.as_str(), self.zone, self.now);
        let facts = Facts {
            address: match (&message.to, channel) {
                (Some(to), _) => Some(to),
                // That there is an endpoint was known at the decision; the push service says when it is gone.
                (None, Channel::WebPush) => Some("push"),
                (None, _) => own.address,
            },
            // A fixed address is not the contact's: neither its status nor its consent says anything about it.
            status: if message.to.is_some() { AddressStatus::Active } else { own.status },
            consent: policy::consent(contact, message.send.purpose.as_str(), self.rules.topics),
            transactional: !counts,
            suppressed,
            sends: &sends,
            smart: asks.smart,
            ignore_caps: asks.ignore_caps,
            decided_at: message.decided_at,
            expires_at: message.expires_at,
            limited_until: self
                .book
                .limited_until(self.rules, &message.send.journey, self.now)
                .filter(|_| counts),
            ..own
        };
        match self.rules.decide(&facts) {
            Decision::Send => {}
            Decision::Hold(until) => return Err(Outcome::Held { until, reason: HELD }),
            Decision::Refuse(refusal) => return Err(skipped(refusal)),
        }
        let limits = if counts { self.limits(&message.send.journey) } else { Vec::new() };
        if !limits.is_empty() {
            self.book.add(self.now.0.div_euclid(Timestamp::MINUTE), &message.send.journey, 1);
        }
        Ok(Witness {
            version: recipient.version,
            address: AddressHash::of(channel, address(message, Some(contact)).unwrap_or_default()),
            left: self.since.filter(|_| counts).map(|since| (since, recipient.left.len() as u32)),
            counts: !limits.is_empty(),
            limits,
            once: asks.once && message.to.is_none(),
        })
    }

    /// Limits as the storage checks them once more in the transaction that marks.
    fn limits(&self, journey: &Slug) -> Vec<(Option<Slug>, i64, u64)> {
        let of = |limit: Limit, slug: Option<&Slug>| {
            [(60, limit.per_hour), (24 * 60, limit.per_day)]
                .into_iter()
                .filter_map(|(minutes, most)| Some((slug.cloned(), minutes, most?)))
                .collect::<Vec<_>>()
        };
        let mut limits = of(self.rules.limits.all, None);
        limits.extend(of(self.rules.limits.of(journey.as_str()), Some(journey)));
        limits
    }
}

/// A message that a rule stops.
pub(crate) fn skipped(refusal: Refusal) -> Outcome {
    Outcome::Skipped { reason: refusal.word(), detail: refusal.label(model::Lang::En).to_owned() }
}
