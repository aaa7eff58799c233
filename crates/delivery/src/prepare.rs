//! From a claimed message to a mail: the contact as it is now, the sending rules once more, the content, the bytes.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use model::{Contact, ContactId, Currency, Problem, Slug, Timestamp, Zone};
use storage::{
    Result,
    consents::{ConsentStore, ShortLink},
    contacts::ContactStore,
    outbox::{
        AddressHash, Channel, ClaimedMessage, OutboxMessage, OutboxStore, Outcome, Recipient, Recorded,
        Witness,
    },
    people::PeopleStore,
    settings::{Definition, DefinitionKind, SettingsStore, key},
};
use template::{CompileContext, Document, RenderInput, Rendered, Template, Utm};
use tokio::runtime::{Handle, RuntimeFlavor};

use policy::{Enforcement, SendingRules, Tracking};

use crate::{
    judge::{Book, Judge, is_transactional},
    links::{Links, MessageLinks, Target},
    mailbox::Mailbox,
    mime,
    post::token,
    short,
    transport::{Mail, Unsent},
};

pub(crate) use crate::judge::address;

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
    /// What it was judged by, and when.
    pub witness: Witness,
    pub judged_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

/// Does work of some milliseconds on a thread of its own. A runtime that has one thread alone gets it done in place: it
/// asked for everything in one order.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return Ok(work());
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| storage::StoreError::Driver(format!("the preparing thread ended: {error}")))
}

/// What a batch came to.
#[derive(Default)]
pub(crate) struct Batch {
    pub ready: Vec<Ready>,
    /// Links of the text messages among them; kept before any of them leaves.
    pub short: Vec<ShortLink>,
    pub settled: Vec<(Recorded, Unsent)>,
}

pub(crate) type Compiled = std::result::Result<Arc<Template>, String>;

/// Turns claimed messages into mails. Templates are compiled once per version.
pub(crate) struct Preparer<S> {
    store: S,
    sender: Arc<Sender>,
    keeps_pages: bool,
    currency: Currency,
    rules: SendingRules,
    templates: Mutex<HashMap<(Slug, u32), Compiled>>,
}

impl<S: OutboxStore + ContactStore + ConsentStore + SettingsStore + PeopleStore + Clone + Send + Sync>
    Preparer<S>
{
    pub async fn new(store: S, sender: Arc<Sender>, keeps_pages: bool) -> Result<Self> {
        let currency = currency(&store).await?;
        let rules = rules(&store).await?;
        Ok(Self { store, sender, keeps_pages, currency, rules, templates: Mutex::default() })
    }

    /// How much mail at once the domains of recipients get.
    pub const fn domains(&self) -> &policy::Domains {
        &self.rules.domains
    }

    /// One query for the contacts, one for the suppressions, one for each template that is new; then the work.
    pub async fn prepare(self: Arc<Self>, mut claimed: Vec<ClaimedMessage>, now: Timestamp) -> Result<Batch>
    where
        S: 'static,
    {
        let mut ids: Vec<ContactId> = claimed.iter().map(|one| one.message.contact).collect();
        ids.sort_unstable();
        ids.dedup();
        let back = self.rules.horizon().max(own_window(&claimed));
        let since = (back > 0).then(|| now.plus(-back));
        let recipients = self.store.load_recipients(ids.clone(), since).await?;
        let mut contacts: HashMap<ContactId, Recipient> =
            recipients.into_iter().map(|recipient| (recipient.contact.id, recipient)).collect();
        ids.retain(|id| !contacts.contains_key(id));
        if !ids.is_empty() {
            // Merged since they were claimed: the message is the one's that they are part of.
            let today = self.store.successors(ids.clone()).await?;
            let moved: HashMap<ContactId, ContactId> = ids.into_iter().zip(today.iter().copied()).collect();
            for one in &mut claimed {
                if let Some(id) = moved.get(&one.message.contact) {
                    one.message.contact = *id;
                }
            }
            let found = self.store.load_recipients(today, since).await?;
            contacts.extend(found.into_iter().map(|recipient| (recipient.contact.id, recipient)));
        }
        let hashes = claimed
            .iter()
            .map(|one| {
                let contact = contacts.get(&one.message.contact).map(|recipient| &recipient.contact);
                let channel = one.message.send.channel;
                AddressHash::of(channel, address(&one.message, contact).unwrap_or_default())
            })
            .collect();
        let book = if self.rules.limits.any() {
            let day = now.0.div_euclid(Timestamp::MINUTE) - 24 * 60;
            Book::new(self.store.load_handed_over(day).await?)
        } else {
            Book::default()
        };
        let suppressions = self.store.suppressions(hashes, now).await?;
        self.load_templates(&claimed).await?;
        let store = self.store.clone();
        let work = move || {
            let mut batch = Batch::default();
            let mut judge = Judge { rules: &self.rules, zone: &self.sender.zone, now, since, book };
            for (one, suppression) in claimed.into_iter().zip(suppressions) {
                let contact = contacts.get(&one.message.contact);
                match self.one(&one, contact, suppression.is_some(), &mut judge, &mut batch.short) {
                    Ok((mail, witness)) => {
                        let ClaimedMessage { seq, attempt, failures, message } = one;
                        let (judged_at, expires_at) = (now, message.expires_at);
                        batch.ready.push(Ready {
                            seq,
                            attempt,
                            failures,
                            mail,
                            witness,
                            judged_at,
                            expires_at,
                        });
                    }
                    Err(outcome) => {
                        let contact = contact.map(|recipient| &recipient.contact);
                        let unsent = Unsent::of(&one.message, contact, &outcome, now);
                        batch
                            .settled
                            .push((Recorded { seq: one.seq, attempt: one.attempt, outcome }, unsent));
                    }
                }
            }
            batch
        };
        let mut batch = apart(work).await?;
        if !batch.short.is_empty() {
            store.save_short_links(std::mem::take(&mut batch.short)).await?;
        }
        Ok(batch)
    }

    async fn load_templates(&self, claimed: &[ClaimedMessage]) -> Result<()> {
        let mut wanted: Vec<(Slug, u32)> = Vec::new();
        {
            let known = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
            for one in claimed.iter().filter(|one| one.message.send.channel != Channel::Webhook) {
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
                Some(definition) => compile(&definition, self.currency),
                None => Err(format!("version {version} of the template `{slug}` is not stored")),
            };
            self.templates
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert((slug, version), compiled.map(Arc::new));
        }
        Ok(())
    }

    /// Asks the rules, and makes what travels.
    fn one(
        &self,
        claimed: &ClaimedMessage,
        recipient: Option<&Recipient>,
        suppressed: bool,
        judge: &mut Judge<'_>,
        short_links: &mut Vec<ShortLink>,
    ) -> std::result::Result<(Mail, Witness), Outcome> {
        let message = &claimed.message;
        let Some(recipient) = recipient else {
            return Err(Outcome::Skipped { reason: "contact_gone", detail: "the contact is no more".into() });
        };
        let variables = serde_json::from_str(&message.variables).map_err(|error| Outcome::Failed {
            reason: "message.variables",
            detail: format!("the frozen variables do not read back: {error}"),
        })?;
        let witness = judge.ask(message, recipient, suppressed, &variables)?;
        let contact = &recipient.contact;
        let mail = match message.send.channel {
            Channel::Webhook => Ok(call(message, &variables, judge.now)),
            _ => self.mail(message, contact, (&variables, judge.now), short_links),
        };
        Ok((mail?, witness))
    }

    fn mail(
        &self,
        message: &OutboxMessage,
        contact: &Contact,
        (variables, now): (&serde_json::Value, Timestamp),
        short_links: &mut Vec<ShortLink>,
    ) -> std::result::Result<Mail, Outcome> {
        let to = address(message, Some(contact)).unwrap_or_default();
        let mut links = MessageLinks::of(
            &self.sender.links,
            contact.id,
            message.id,
            &message.send.purpose,
            message.decided_at,
        );
        let transactional = is_transactional(message);
        let purpose = message.send.purpose.as_str();
        let refusable = self.rules.purposes.enforcement(purpose) != Enforcement::None;
        if !transactional && !refusable {
            // A link that changes nothing would be a lie.
            links.unsubscribe.clear();
        }
        let locale = message.locale.as_deref().or(contact.locale.as_deref()).unwrap_or("en");
        let mut rendered = self.render(message, contact, variables, (locale, &links), now)?;
        let tracking = self.tracking(message);
        if tracking.opens && message.send.channel == Channel::Email {
            add_pixel(&mut rendered.html, &links.open);
        }
        if tracking.clicks && message.send.channel == Channel::Sms {
            rendered.text = short::shorten(&rendered.text, &self.sender.links, message.id, short_links);
        }
        let to_name = if message.to.is_some() { String::new() } else { full_name(contact) };
        if message.send.channel != Channel::Email {
            let whom = Whom { contact: contact.id, to: to.to_owned(), to_name, locale: locale.to_owned() };
            return Ok(no_mail(message, rendered, whom, now));
        }
        let campaign = format!("{}/{}", message.send.journey, message.send.node);
        let unsubscribe =
            mime::Unsubscribe { url: &links.unsubscribe, mailto: self.sender.unsubscribe_mailto.as_deref() };
        let token = token::of(&self.sender.links, message.id);
        let envelope = mime::Envelope {
            from: &self.sender.from,
            reply_to: self.sender.reply_to.as_ref(),
            to_name: &to_name,
            to,
            id: message.id,
            decided_at: message.decided_at,
            date: now,
            unsubscribe: (!transactional && refusable).then_some(unsubscribe),
            campaign: &campaign,
            transactional,
            token: &token,
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
            signed_with: None,
        })
    }

    fn render(
        &self,
        message: &OutboxMessage,
        contact: &Contact,
        variables: &serde_json::Value,
        (locale, links): (&str, &MessageLinks),
        now: Timestamp,
    ) -> std::result::Result<Rendered, Outcome> {
        let key = (message.send.template.clone(), message.send.template_version);
        let known = self.templates.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let template = match known {
            Some(Ok(template)) => template,
            Some(Err(detail)) => return Err(Outcome::Failed { reason: "template.unusable", detail }),
            None => return Err(Outcome::Failed { reason: "template.unusable", detail: "not loaded".into() }),
        };
        let counted = |link: &template::Link<'_>| {
            self.sender.links.target_url(&Target {
                message: message.id,
                push: message.send.channel == Channel::WebPush,
                name: if link.content.is_empty() { link.number.to_string() } else { link.content.to_owned() },
                url: link.url.to_owned(),
            })
        };
        let content = Content {
            variables,
            locale,
            zone: zone_of(contact, &self.sender.zone),
            currency: self.currency,
            at: now,
            links: template::Links {
                unsubscribe_url: &links.unsubscribe,
                preferences_url: &links.preferences,
                view_in_browser_url: &links.view,
                forward_url: &links.forward,
            },
            rewrite: if self.tracking(message).clicks { Some(&counted) } else { None },
        };
        content.render(&template, message).map_err(|problem| failed("template.failed", &problem))
    }

    /// What is counted of a message: nothing of those that answer something, nor of those to a fixed address.
    fn tracking(&self, message: &OutboxMessage) -> Tracking {
        if is_transactional(message) || message.to.is_some() {
            return Tracking::default();
        }
        self.rules.purposes.tracking(message.send.purpose.as_str())
    }
}

/// What a message is rendered from, beside itself.
pub(crate) struct Content<'a> {
    pub variables: &'a serde_json::Value,
    pub locale: &'a str,
    pub zone: Cow<'a, Zone>,
    pub currency: Currency,
    pub at: Timestamp,
    pub links: template::Links<'a>,
    pub rewrite: Option<template::Rewrite<'a>>,
}

impl Content<'_> {
    pub fn render(
        &self,
        template: &Template,
        message: &OutboxMessage,
    ) -> std::result::Result<Rendered, Problem> {
        let utm = Utm {
            source: "relance".into(),
            medium: message.send.channel.word().into(),
            campaign: message.send.journey.to_string(),
        };
        template.render(&RenderInput {
            variables: self.variables,
            locale: self.locale,
            zone: &self.zone,
            currency: self.currency,
            at: self.at,
            links: self.links,
            // What belongs to no journey is no campaign.
            utm: (message.send.run > 0).then_some(&utm),
            rewrite: self.rewrite,
        })
    }
}

/// The contact's zone, else the workspace's.
pub(crate) fn zone_of<'z>(contact: &Contact, workspace: &'z Zone) -> Cow<'z, Zone> {
    let own = contact.time_zone.as_deref().and_then(|name| Zone::parse(name).ok());
    own.map_or(Cow::Borrowed(workspace), Cow::Owned)
}

/// Puts the picture that says that a mail was opened at the page's end.
fn add_pixel(html: &mut String, url: &str) {
    let pixel = format!(
        "<img src=\"{url}\" width=\"1\" height=\"1\" alt=\"\" style=\"display:block;width:1px;height:1px;border:0\">"
    );
    let end = html.rfind("</body>").unwrap_or(html.len());
    html.insert_str(end, &pixel);
}

/// To whom a text message or a push goes.
struct Whom {
    contact: ContactId,
    to: String,
    to_name: String,
    locale: String,
}

/// A text message or a push: the text or its JSON, and a page for looking at.
fn no_mail(message: &OutboxMessage, rendered: Rendered, whom: Whom, now: Timestamp) -> Mail {
    let Rendered { subject: title, text, url, icon, .. } = rendered;
    let push = message.send.channel == Channel::WebPush;
    let bytes = if push {
        serde_json::json!({"title": title, "body": text, "url": url, "icon": icon}).to_string().into_bytes()
    } else {
        text.clone().into_bytes()
    };
    let subject = if push { title } else { text.chars().take(80).collect() };
    let Whom { contact, to, to_name, locale } = whom;
    Mail {
        id: message.id,
        send: Arc::clone(&message.send),
        contact,
        html: mime::short_page(&subject, &text, &url, push),
        to,
        to_name,
        decided_at: message.decided_at,
        date: now,
        locale,
        subject,
        text,
        bytes,
        signed_with: None,
    }
}

/// A call of somebody's server: its variables are the body, and the name of the secret that signs it.
fn call(message: &OutboxMessage, variables: &serde_json::Value, now: Timestamp) -> Mail {
    let body = variables.get("body").unwrap_or(&serde_json::Value::Null);
    Mail {
        id: message.id,
        send: Arc::clone(&message.send),
        contact: message.contact,
        to_name: String::new(),
        to: message.to.clone().unwrap_or_default(),
        decided_at: message.decided_at,
        date: now,
        locale: String::new(),
        subject: String::new(),
        html: String::new(),
        text: String::new(),
        bytes: body.to_string().into_bytes(),
        signed_with: variables.get("secret").and_then(|name| name.as_str()).map(str::to_owned),
    }
}

/// The workspace's currency.
pub(crate) async fn currency<S: SettingsStore>(store: &S) -> Result<Currency> {
    let currency = store.load_setting(key::CURRENCY.to_owned()).await?;
    Ok(currency.and_then(|json| Currency::parse(json.as_str()?).ok()).unwrap_or(Currency::EUR))
}

/// The workspace's sending rules: trees, or texts as files have them.
async fn rules<S: SettingsStore>(store: &S) -> Result<SendingRules> {
    let sending = store.load_setting(policy::SETTING.to_owned()).await?.map(|json| json.to_string());
    let purposes =
        store.load_setting(policy::PURPOSES_SETTING.to_owned()).await?.map(|json| json.to_string());
    SendingRules::of(sending.as_deref(), purposes.as_deref()).map_err(|problems| {
        storage::StoreError::Inconsistent {
            table: "settings",
            row: format!("{} or {}", policy::SETTING, policy::PURPOSES_SETTING),
            why: problems.first().map(ToString::to_string).unwrap_or_default(),
        }
    })
}

/// The longest smart-sending window that a message of a batch brings along. Only looked for where one may be.
fn own_window(claimed: &[ClaimedMessage]) -> i64 {
    let asks = |one: &ClaimedMessage| -> Option<i64> {
        let variables: serde_json::Value = Some(&one.message.variables)
            .filter(|text| text.contains("\"_send\""))
            .and_then(|text| serde_json::from_str(text).ok())?;
        match variables.get("_send")?.get("smart")? {
            serde_json::Value::Bool(true) => Some(SendingRules::smart_default(one.message.send.channel)),
            window => window.as_i64(),
        }
    };
    claimed.iter().filter_map(asks).max().unwrap_or_default()
}

fn failed(reason: &'static str, problem: &Problem) -> Outcome {
    Outcome::Failed { reason, detail: problem.to_string() }
}

/// A template as it was saved.
pub(crate) fn compile(definition: &Definition, currency: Currency) -> std::result::Result<Template, String> {
    let first = |problems: Vec<Problem>| {
        problems.into_iter().find(Problem::is_error).map_or_else(String::new, |problem| problem.to_string())
    };
    let document = Document::parse(&definition.source(), definition.slug.as_str()).map_err(first)?;
    Template::compile(&document, &CompileContext::published(currency)).map_err(first)
}

/// First and last name, as far as they are known.
pub(crate) fn full_name(contact: &Contact) -> String {
    let names = [contact.first_name.as_deref(), contact.last_name.as_deref()];
    names.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
