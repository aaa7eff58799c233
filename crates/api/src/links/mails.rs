//! Mails that links and forms decide: the question of a double opt-in, and what a friend gets. Both are transactional and
//! belong to no journey. A shop that wants its own words saves a template under the same slug.

use std::{fmt, sync::Arc};

use connect::segment_http::Confirm;
use delivery::{LinkKind, Links, links::Link};
use model::{Channel, ContactId, Lang, MessageId, Problem, Slug, Timestamp};
use policy::Purposes;
use serde_json::{Value, json};
use storage::{
    Storage, StoreError,
    outbox::{OutboxMessage, SendPoint},
    settings::{DefinitionKind, NewDefinition},
};

use super::{CONFIRM_WITHIN, branding, preferences::tag};
use crate::{App, Chance};

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
async fn version<S: Storage>(store: &S, mail: BuiltIn, now: Timestamp) -> Result<u32, StoreError> {
    let slug = slug(mail.slug)?;
    let known = store.load_definitions(DefinitionKind::Template).await?;
    if let Some(known) = known.into_iter().find(|definition| definition.slug == slug) {
        return Ok(known.version);
    }
    let ours = NewDefinition { kind: DefinitionKind::Template, slug, content: mail.source.into() };
    let versions = store.save_definitions(vec![ours], now).await?;
    Ok(versions.first().copied().unwrap_or(1))
}

/// A transactional mail that leaves now.
async fn decided<S: Storage>(
    app: &App<S>,
    mail: BuiltIn,
    (id, contact, to): (MessageId, ContactId, Option<String>),
    (lang, variables): (Lang, Value),
) -> Result<OutboxMessage, StoreError> {
    let version = version(&app.store, mail, app.now()).await?;
    message(mail, version, (id, contact, to), (lang, variables), app.now()).map_err(StoreError::Refused)
}

/// As [`decided`], of a version that is known.
fn message(
    mail: BuiltIn,
    template_version: u32,
    (id, contact, to): (MessageId, ContactId, Option<String>),
    (lang, variables): (Lang, Value),
    now: Timestamp,
) -> Result<OutboxMessage, Problem> {
    let slug = |text| Slug::purpose(text);
    let send = SendPoint {
        journey: slug(mail.slug)?,
        journey_version: 1,
        run: 0,
        node: mail.slug.to_owned(),
        channel: Channel::Email,
        purpose: slug(policy::TRANSACTIONAL)?,
        transactional: true,
        template: slug(mail.slug)?,
        template_version,
    };
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
    let (id, url) = confirm_url(&app.links, &*app.chance, first, app.now());
    let variables = json!({"shop": shop, "purposes": purposes, "confirm_url": url});
    decided(app, DOUBLE_OPT_IN, (id, ContactId(0), None), (lang, variables)).await
}

/// A new question's number, and where it is answered.
fn confirm_url(links: &Links, chance: &dyn Chance, first: &Slug, now: Timestamp) -> (MessageId, String) {
    let mut id = [0; 16];
    chance.fill(&mut id);
    let confirm = Link {
        kind: LinkKind::Confirm,
        contact: ContactId(0),
        message: MessageId(id),
        purpose: first.clone(),
        issued_day: now.day_utc(),
    };
    (MessageId(id), links.url(&confirm))
}

/// Asks for what tracking says that somebody wants, where the purpose is to be confirmed.
pub(crate) struct Asker {
    links: Links,
    chance: Arc<dyn Chance>,
    purposes: Purposes,
    shop: String,
    template_version: u32,
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asker of {}", self.shop)
    }
}

impl Asker {
    /// As of now; none where nothing is to be confirmed. Of purposes that nobody has set nothing is asked: what the shop
    /// says of them counts.
    pub(crate) async fn load<S: Storage>(
        store: &S,
        links: &Links,
        chance: &Arc<dyn Chance>,
        now: Timestamp,
    ) -> Result<Option<Self>, StoreError> {
        let purposes = store.load_setting(policy::PURPOSES_SETTING.to_owned()).await?;
        let purposes = purposes.and_then(|json| Purposes::parse(&json.to_string()).ok()).unwrap_or_default();
        if !purposes.0.iter().any(|purpose| purpose.double_opt_in) {
            return Ok(None);
        }
        let branding = branding::Branding::of(store.load_setting(branding::SETTING.to_owned()).await?);
        let address = links.address("");
        let host = address.split("://").nth(1).and_then(|rest| rest.split('/').next());
        let shop = if branding.name.is_empty() { host.unwrap_or_default().to_owned() } else { branding.name };
        let template_version = version(store, DOUBLE_OPT_IN, now).await?;
        Ok(Some(Self { links: links.clone(), chance: Arc::clone(chance), purposes, shop, template_version }))
    }
}

impl Confirm for Asker {
    fn question(&self, purpose: &Slug, lang: Lang, now: Timestamp) -> Option<(OutboxMessage, Timestamp)> {
        self.purposes.find(purpose.as_str()).filter(|purpose| purpose.double_opt_in)?;
        let (id, url) = confirm_url(&self.links, &*self.chance, purpose, now);
        let name = self.purposes.name(purpose.as_str(), lang);
        let variables = json!({"shop": self.shop, "purposes": name, "confirm_url": url});
        let whose = (id, ContactId(0), None);
        let mail = message(DOUBLE_OPT_IN, self.template_version, whose, (lang, variables), now).ok()?;
        Some((mail, now.plus(CONFIRM_WITHIN)))
    }
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
