//! Mails that links and forms decide: the question of a double opt-in, and what a friend gets. Both are transactional and
//! belong to no journey. A shop that wants its own words saves a template under the same slug.

use std::sync::Arc;

use delivery::{LinkKind, links::Link};
use model::{Channel, ContactId, Lang, MessageId, Slug};
use serde_json::{Value, json};
use storage::{
    Storage, StoreError,
    outbox::{OutboxMessage, SendPoint},
    settings::{DefinitionKind, NewDefinition},
};

use super::preferences::tag;
use crate::App;

/// A mail that is here from the beginning.
#[derive(Clone, Copy)]
pub(super) struct BuiltIn {
    slug: &'static str,
    source: &'static str,
}

/// Asks whether somebody wants to be written to.
pub(super) const DOUBLE_OPT_IN: BuiltIn =
    BuiltIn { slug: "double-opt-in", source: include_str!("mails/double-opt-in.yaml") };
/// Tells somebody of a message.
pub(super) const FORWARD: BuiltIn = BuiltIn { slug: "forward", source: include_str!("mails/forward.yaml") };

fn slug(text: &str) -> Result<Slug, StoreError> {
    Slug::purpose(text).map_err(StoreError::Refused)
}

/// The template that is used: the shop's last version, else ours, which is saved when it is used first.
async fn version<S: Storage>(app: &App<S>, mail: BuiltIn) -> Result<u32, StoreError> {
    let slug = slug(mail.slug)?;
    let known = app.store.load_definitions(DefinitionKind::Template).await?;
    if let Some(known) = known.into_iter().find(|definition| definition.slug == slug) {
        return Ok(known.version);
    }
    let ours = NewDefinition { kind: DefinitionKind::Template, slug, content: mail.source.into() };
    let versions = app.store.save_definitions(vec![ours], app.now()).await?;
    Ok(versions.first().copied().unwrap_or(1))
}

/// A transactional mail that leaves now.
async fn decided<S: Storage>(
    app: &App<S>,
    mail: BuiltIn,
    (id, contact, to): (MessageId, ContactId, Option<String>),
    (lang, variables): (Lang, Value),
) -> Result<OutboxMessage, StoreError> {
    let send = SendPoint {
        journey: slug(mail.slug)?,
        journey_version: 1,
        run: 0,
        node: mail.slug.to_owned(),
        channel: Channel::Email,
        purpose: slug(policy::TRANSACTIONAL)?,
        transactional: true,
        template: slug(mail.slug)?,
        template_version: version(app, mail).await?,
    };
    let now = app.now();
    Ok(OutboxMessage {
        id,
        contact,
        send: Arc::new(send),
        to,
        locale: Some(tag(lang).to_owned()),
        variables: variables.to_string(),
        decided_at: now,
        not_before: now,
        expires_at: None,
    })
}

/// The mail that asks for confirmation; whose it is, the storage fills in.
pub(super) async fn question<S: Storage>(
    app: &App<S>,
    (shop, purposes): (&str, &str),
    first: &Slug,
    lang: Lang,
) -> Result<OutboxMessage, StoreError> {
    let mut id = [0; 16];
    app.chance.fill(&mut id);
    let id = MessageId(id);
    let confirm = Link {
        kind: LinkKind::Confirm,
        contact: ContactId(0),
        message: id,
        purpose: first.clone(),
        issued_day: app.now().day_utc(),
    };
    let variables = json!({"shop": shop, "purposes": purposes, "confirm_url": app.links.url(&confirm)});
    decided(app, DOUBLE_OPT_IN, (id, ContactId(0), None), (lang, variables)).await
}

/// The mail that tells somebody of a message.
pub(super) async fn told<S: Storage>(
    app: &App<S>,
    link: &Link,
    (to, sender): (String, &str),
    (shop, lang): (&str, Lang),
) -> Result<OutboxMessage, StoreError> {
    let view = Link { kind: LinkKind::View, ..link.clone() };
    let mut variables = json!({"shop": shop, "view_url": app.links.url(&view)});
    if !sender.is_empty() {
        variables["sender"] = sender.into();
    }
    // One mail for each message and address, however often it is asked for.
    let what = format!("forward:{}:{}", link.message, model::text::folded(&to));
    let id = MessageId::derive(0, link.contact.0.unsigned_abs(), 0, &what, 1);
    decided(app, FORWARD, (id, link.contact, Some(to)), (lang, variables)).await
}
