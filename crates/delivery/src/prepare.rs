//! From a claimed message to a mail: the contact as it is now, the sending rules once more, the content, the bytes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use model::{AddressStatus, Contact, ContactId, Currency, Problem, Slug, Timestamp, Zone};
use storage::{
    Result,
    contacts::ContactStore,
    outbox::{AddressHash, Channel, ClaimedMessage, OutboxMessage, OutboxStore, Outcome, Recorded},
    settings::{DefinitionKind, SettingsStore, key},
};
use template::{CompileContext, Document, RenderInput, Rendered, Template, Utm};

use crate::{
    links::{Links, MessageLinks},
    mailbox::Mailbox,
    mime,
    transport::{Mail, Unsent},
};

/// Who writes, and how links are made.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Who writes.
    pub from: Mailbox,
    /// Where answers go, if not to who writes.
    pub reply_to: Option<Mailbox>,
    /// Signs and places the message's own links.
    pub links: Links,
    /// A mailbox that takes unsubscribe requests too.
    pub unsubscribe_mailto: Option<String>,
    /// The zone of contacts without one.
    pub zone: Zone,
}

/// A mail with its claim.
#[derive(Debug)]
pub(crate) struct Ready {
    pub seq: i64,
    pub attempt: u32,
    pub failures: u32,
    pub mail: Mail,
}

/// What a batch came to.
#[derive(Default)]
pub(crate) struct Batch {
    pub ready: Vec<Ready>,
    pub settled: Vec<(Recorded, Unsent)>,
}

type Compiled = std::result::Result<Arc<Template>, String>;

/// Turns claimed messages into mails. Templates are compiled once per version.
pub(crate) struct Preparer<S> {
    store: S,
    sender: Arc<Sender>,
    keeps_pages: bool,
    currency: Currency,
    templates: Mutex<HashMap<(Slug, u32), Compiled>>,
}

impl<S: OutboxStore + ContactStore + SettingsStore + Send + Sync> Preparer<S> {
    pub async fn new(store: S, sender: Arc<Sender>, keeps_pages: bool) -> Result<Self> {
        let currency = store.load_setting(key::CURRENCY.to_owned()).await?;
        let currency =
            currency.and_then(|json| Currency::parse(json.as_str()?).ok()).unwrap_or(Currency::EUR);
        Ok(Self { store, sender, keeps_pages, currency, templates: Mutex::default() })
    }

    /// One query for the contacts, one for the suppressions, one for each template that is new; then the work.
    pub async fn prepare(self: Arc<Self>, claimed: Vec<ClaimedMessage>, now: Timestamp) -> Result<Batch>
    where
        S: 'static,
    {
        let mut ids: Vec<ContactId> = claimed.iter().map(|one| one.message.contact).collect();
        ids.sort_unstable();
        ids.dedup();
        let contacts: HashMap<ContactId, Contact> =
            self.store.load_contacts(ids).await?.into_iter().map(|contact| (contact.id, contact)).collect();
        let hashes = claimed
            .iter()
            .map(|one| {
                let contact = contacts.get(&one.message.contact);
                AddressHash::of(Channel::Email, address(&one.message, contact).unwrap_or_default())
            })
            .collect();
        let suppressions = self.store.suppressions(hashes, now).await?;
        self.load_templates(&claimed).await?;
        let work = move || {
            let mut batch = Batch::default();
            for (one, suppression) in claimed.into_iter().zip(suppressions) {
                let contact = contacts.get(&one.message.contact);
                match self.one(&one, contact, suppression.is_some(), now) {
                    Ok(mail) => {
                        let ClaimedMessage { seq, attempt, failures, .. } = one;
                        batch.ready.push(Ready { seq, attempt, failures, mail });
                    }
                    Err(outcome) => {
                        let unsent = Unsent::of(&one.message, contact, &outcome, now);
                        batch
                            .settled
                            .push((Recorded { seq: one.seq, attempt: one.attempt, outcome }, unsent));
                    }
                }
            }
            batch
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| storage::StoreError::Driver(format!("the preparing thread ended: {error}")))
    }

    async fn load_templates(&self, claimed: &[ClaimedMessage]) -> Result<()> {
        let mut wanted: Vec<(Slug, u32)> = Vec::new();
        {
            let known = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
            for one in claimed {
                let key = (one.message.send.template.clone(), one.message.send.template_version);
                if !known.contains_key(&key) && !wanted.contains(&key) {
                    wanted.push(key);
                }
            }
        }
        for (slug, version) in wanted {
            let definition =
                self.store.load_definition(DefinitionKind::Template, slug.clone(), version).await?;
            let compiled = match definition {
                Some(definition) => compile(&slug, &definition.content, self.currency),
                None => Err(format!("version {version} of the template `{slug}` is not stored")),
            };
            self.templates
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert((slug, version), compiled.map(Arc::new));
        }
        Ok(())
    }

    fn one(
        &self,
        claimed: &ClaimedMessage,
        contact: Option<&Contact>,
        suppressed: bool,
        now: Timestamp,
    ) -> std::result::Result<Mail, Outcome> {
        let message = &claimed.message;
        let Some(contact) = contact else {
            return Err(Outcome::Skipped { reason: "contact_gone", detail: "the contact is no more".into() });
        };
        allowed(message, contact, suppressed)?;
        let to = address(message, Some(contact)).unwrap_or_default();
        let links = MessageLinks::of(
            &self.sender.links,
            contact.id,
            message.id,
            &message.send.purpose,
            message.decided_at,
        );
        let locale = message.locale.as_deref().or(contact.locale.as_deref()).unwrap_or("en");
        let rendered = self.render(message, contact, locale, &links, now)?;
        let transactional = is_transactional(message);
        let to_name = if message.to.is_some() { String::new() } else { full_name(contact) };
        let campaign = format!("{}/{}", message.send.journey, message.send.node);
        let unsubscribe =
            mime::Unsubscribe { url: &links.unsubscribe, mailto: self.sender.unsubscribe_mailto.as_deref() };
        let envelope = mime::Envelope {
            from: &self.sender.from,
            reply_to: self.sender.reply_to.as_ref(),
            to_name: &to_name,
            to,
            id: message.id,
            decided_at: message.decided_at,
            date: now,
            unsubscribe: (!transactional).then_some(unsubscribe),
            campaign: &campaign,
            transactional,
        };
        let content =
            mime::Content { subject: &rendered.subject, html: &rendered.html, text: &rendered.text };
        let bytes = mime::build(&content, &envelope).map_err(|problem| failed("mime.failed", &problem))?;
        let (html, text) =
            if self.keeps_pages { (rendered.html, rendered.text) } else { (String::new(), String::new()) };
        Ok(Mail {
            id: message.id,
            send: Arc::clone(&message.send),
            contact: contact.id,
            to: to.to_owned(),
            to_name,
            decided_at: message.decided_at,
            date: now,
            locale: locale.to_owned(),
            subject: rendered.subject,
            html,
            text,
            bytes,
        })
    }

    fn render(
        &self,
        message: &OutboxMessage,
        contact: &Contact,
        locale: &str,
        links: &MessageLinks,
        now: Timestamp,
    ) -> std::result::Result<Rendered, Outcome> {
        let key = (message.send.template.clone(), message.send.template_version);
        let known = self.templates.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let template = match known {
            Some(Ok(template)) => template,
            Some(Err(detail)) => return Err(Outcome::Failed { reason: "template.unusable", detail }),
            None => return Err(Outcome::Failed { reason: "template.unusable", detail: "not loaded".into() }),
        };
        let variables = serde_json::from_str(&message.variables).map_err(|error| Outcome::Failed {
            reason: "message.variables",
            detail: format!("the frozen variables do not read back: {error}"),
        })?;
        let zone = contact.time_zone.as_deref().and_then(|name| Zone::parse(name).ok());
        let utm = Utm {
            source: "relance".into(),
            medium: "email".into(),
            campaign: message.send.journey.to_string(),
        };
        let input = RenderInput {
            variables: &variables,
            locale,
            zone: zone.as_ref().unwrap_or(&self.sender.zone),
            currency: self.currency,
            at: now,
            links: template::Links {
                unsubscribe_url: &links.unsubscribe,
                preferences_url: &links.preferences,
                view_in_browser_url: &links.view,
            },
            utm: Some(&utm),
            rewrite: None,
        };
        template.render(&input).map_err(|problem| failed("template.failed", &problem))
    }
}

fn failed(reason: &'static str, problem: &Problem) -> Outcome {
    Outcome::Failed { reason, detail: problem.to_string() }
}

/// A template's file, stored as text or as a tree.
fn compile(
    slug: &Slug,
    content: &serde_json::Value,
    currency: Currency,
) -> std::result::Result<Template, String> {
    let (text, file) = match content {
        serde_json::Value::String(text) => (text.clone(), format!("{slug}.yaml")),
        tree => (tree.to_string(), format!("{slug}.json")),
    };
    let first = |problems: Vec<Problem>| {
        problems.into_iter().find(Problem::is_error).map_or_else(String::new, |problem| problem.to_string())
    };
    let document = Document::parse(&text, &file).map_err(first)?;
    Template::compile(&document, &CompileContext::published(currency)).map_err(first)
}

fn is_transactional(message: &OutboxMessage) -> bool {
    message.send.transactional || message.send.purpose.as_str() == policy::TRANSACTIONAL
}

/// The address that counts: a fixed one, else the contact's of now.
fn address<'a>(message: &'a OutboxMessage, contact: Option<&'a Contact>) -> Option<&'a str> {
    message.to.as_deref().or_else(|| contact?.email.as_deref())
}

/// The sending rules at hand-over: the same question as at the decision, with the facts of now. A fixed address is not
/// the contact's, so the contact's consent says nothing about it.
fn allowed(message: &OutboxMessage, contact: &Contact, suppressed: bool) -> std::result::Result<(), Outcome> {
    let utc = Zone::UTC;
    let own = policy::Facts::of(contact, Channel::Email, message.send.purpose.as_str(), &utc, Timestamp(0));
    let facts = match &message.to {
        Some(to) => policy::Facts {
            address: Some(to),
            status: AddressStatus::Active,
            transactional: true,
            suppressed,
            ..own
        },
        None => policy::Facts { transactional: is_transactional(message), suppressed, ..own },
    };
    match policy::SendingRules::default().decide(&facts) {
        policy::Decision::Refuse(refusal) => Err(Outcome::Skipped {
            reason: refusal.word(),
            detail: refusal.label(model::Lang::En).to_owned(),
        }),
        _ => Ok(()),
    }
}

/// First and last name, as far as they are known.
pub(crate) fn full_name(contact: &Contact) -> String {
    let names = [contact.first_name.as_deref(), contact.last_name.as_deref()];
    names.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
