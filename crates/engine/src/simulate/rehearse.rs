//! A test run: a test contact goes through a draft at once, and gets its messages for real.
//!
//! The draft is played as a simulation plays it, with the contact as it is now: it enters whatever triggers and audience
//! say, waits are skipped, no code is taken, nothing is counted, no field is written and no server is called. The messages
//! that come of it go to the test contact alone: what would go to a fixed address (an alert) goes to it, too. They carry
//! run 0, which no journey has, and the version [`RUN`] of a template is kept under a name of its own
//! ([`crate::rules::TEST_TEMPLATE`]), so that a draft's text is not taken for the published one.

use std::{collections::BTreeMap, sync::Arc};

use journey::{
    Journey,
    document::{Source, Who},
    entry::{Listener, On},
};
use model::{Channel, Contact, MessageId, Slug, Timestamp};
use serde_json::{Map, Value as Json};
use storage::{
    Result, Storage,
    outbox::{OutboxMessage, SendPoint},
    settings::{DefinitionKind, NewDefinition},
};

use super::{Options, Simulation, stage};
use crate::{
    campaign::launch::Silent,
    rules::{Rules, test_template},
};

/// The run of messages of tests.
pub const RUN: i64 = stage::RUN;
/// How far waits are skipped, in days: what comes later is not played.
pub const AHEAD_DAYS: i64 = 400;

/// What a test run came to.
pub struct Rehearsed {
    /// What was played.
    pub played: Simulation,
    /// Messages on their way to the test contact, in the order of the way: (node, message).
    pub sent: Vec<(String, MessageId)>,
    /// Messages that were not made, with why: calls of servers, channels that the contact has no address for.
    pub left_out: Vec<(String, &'static str)>,
}

/// Lets anybody in who is asked for.
pub(super) fn open(journey: &mut Journey) {
    let place = journey.audience.place;
    journey.audience.who = Who::All;
    journey.audience.source = Source::ExistingAndNew;
    journey.audience.exclude = None;
    journey.triggers = vec![Listener {
        on: On::Api,
        condition: None,
        key: None,
        late: i64::MAX,
        machine: false,
        properties: Vec::new(),
        place,
    }];
}

/// Sends a contact through a draft. `nonce` tells this test from others of the same contact.
///
/// # Errors
/// What storage says; a stored setting or definition that cannot be read.
pub async fn rehearse<S: Storage>(
    store: &S,
    rules: Rules,
    contact: &Contact,
    entry: Map<String, Json>,
    now: Timestamp,
    nonce: u32,
) -> Result<Rehearsed> {
    let templates = templates(store, &rules, now).await?;
    let options = Options {
        from: now,
        to: now.plus_days(AHEAD_DAYS),
        contact: Some(contact.id),
        keep: true,
        explain: true,
        entry: Some(entry),
        ..Options::before(now)
    };
    let played = super::run(store, rules, options, &Silent).await?;
    let (mut sent, mut left_out, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    let whole = played.parts.iter().flat_map(|part| &part.enrolments).flat_map(|one| &one.whole);
    for message in whole {
        let node = played.journey().node(message.node);
        let Some(sending) = node.step.sending() else { continue };
        let to = match sending.channel {
            Channel::Email => contact.email.clone(),
            Channel::Sms => contact.phone.clone(),
            Channel::WebPush => None,
            Channel::Webhook => {
                left_out.push((node.id.clone(), "test.no_call"));
                continue;
            }
        };
        if to.is_none() && (sending.channel != Channel::WebPush || contact.push.is_empty()) {
            left_out.push((node.id.clone(), "test.no_address"));
            continue;
        }
        let template = templates.get(sending.template);
        let (Some((template, version)), Ok(purpose)) = (template, Slug::purpose(sending.purpose)) else {
            left_out.push((node.id.clone(), "test.no_template"));
            continue;
        };
        let id = MessageId::derive(0, contact.id.0.unsigned_abs(), nonce, &node.id, message.visit);
        sent.push((node.id.clone(), id));
        messages.push(OutboxMessage {
            id,
            contact: contact.id,
            send: Arc::new(SendPoint {
                journey: played.journey().slug.clone(),
                journey_version: 0,
                run: RUN,
                node: node.id.clone(),
                channel: sending.channel,
                purpose,
                transactional: true,
                template: template.clone(),
                template_version: *version,
            }),
            to,
            locale: message.locale.clone(),
            variables: message.variables.clone(),
            decided_at: now,
            not_before: now,
            expires_at: None,
        });
    }
    store.insert_messages(messages).await?;
    Ok(Rehearsed { played, sent, left_out })
}

/// The templates with the versions that tests are rendered from: the draft's own are kept beside the published ones.
async fn templates<S: Storage>(
    store: &S,
    rules: &Rules,
    now: Timestamp,
) -> Result<BTreeMap<String, (Slug, u32)>> {
    let mut templates = BTreeMap::new();
    for stored in store.load_definitions(DefinitionKind::Template).await? {
        templates.insert(stored.slug.to_string(), (stored.slug, stored.version));
    }
    let own = rules.definitions.iter().filter(|one| one.kind == DefinitionKind::Template);
    let own: Vec<&NewDefinition> = own.collect();
    let mut copies = Vec::with_capacity(own.len());
    for one in &own {
        copies.push(NewDefinition { slug: test_template(&one.slug)?, ..(*one).clone() });
    }
    let slugs: Vec<Slug> = copies.iter().map(|copy| copy.slug.clone()).collect();
    let versions = if copies.is_empty() { Vec::new() } else { store.save_definitions(copies, now).await? };
    for ((one, slug), version) in own.into_iter().zip(slugs).zip(versions) {
        templates.insert(one.slug.to_string(), (slug, version));
    }
    Ok(templates)
}
