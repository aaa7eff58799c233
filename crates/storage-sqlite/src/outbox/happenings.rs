//! What a contact hears of its messages: sent, bounced, opened, clicked. Events in its history, and inputs of the living
//! engine where a journey is alive, in the transaction that records the outcome.

use std::collections::HashMap;

use model::{Channel, ContactId, Event, MessageId, Timestamp, event::kind};
use rusqlite::{Connection, OptionalExtension, Transaction};
use serde_json::{Map, Value, json};
use storage::{
    Result,
    live::{Life, NewInput},
    outbox::{AddressHash, SendPoint},
    post::BounceRules,
};

use super::SendPoints;
use crate::{contacts, live, pool::driver, post};

/// A message as its outcome needs it.
pub(crate) struct Known {
    pub id: MessageId,
    pub contact: ContactId,
    pub send: i64,
    /// A fixed address: no contact's.
    pub fixed: Option<String>,
    /// The address that it was handed over to.
    pub address: Option<AddressHash>,
}

/// A message, by these terms over `outbox o`.
pub(crate) fn known(
    connection: &Connection,
    terms: &str,
    key: impl rusqlite::Params,
) -> Result<Option<Known>> {
    connection
        .prepare_cached(&format!(
            "SELECT o.message_id, o.contact_id, o.send_id, b.to_address, o.address
             FROM outbox o JOIN outbox_bodies b ON b.seq = o.seq WHERE {terms}"
        ))
        .and_then(|mut query| {
            query
                .query_row(key, |row| {
                    Ok(Known {
                        id: MessageId(row.get(0)?),
                        contact: ContactId(row.get(1)?),
                        send: row.get(2)?,
                        fixed: row.get(3)?,
                        address: row.get::<_, Option<[u8; 16]>>(4)?.map(AddressHash),
                    })
                })
                .optional()
        })
        .map_err(driver)
}

/// Gathers what happened in a transaction.
#[derive(Default)]
pub(crate) struct Happenings {
    points: SendPoints,
    /// The event's own properties of each send point.
    properties: HashMap<i64, Map<String, Value>>,
    inputs: Vec<NewInput>,
    /// Whether any address bounced softly, once it was asked.
    bounced: Option<bool>,
    /// The workspace's rules about bounces, once they were asked for.
    rules: Option<BounceRules>,
}

impl Happenings {
    /// A message was taken by the other side.
    pub fn sent(&mut self, tx: &Transaction<'_>, seq: i64, now: Timestamp) -> Result<()> {
        let Some(message) = known(tx, "o.seq = ?1", [seq])? else { return Ok(()) };
        if message.fixed.is_some() {
            return Ok(());
        }
        let send = self.points.get(tx, message.send)?;
        let kind = match send.channel {
            Channel::Email => kind::EMAIL_SENT,
            Channel::Sms => kind::SMS_SENT,
            Channel::WebPush => kind::PUSH_SENT,
            Channel::Webhook => return Ok(()),
        };
        if send.channel == Channel::Email {
            self.left(tx, &message, now)?;
        }
        let id = format!("{}:sent", message.id);
        self.happened(tx, &message, (kind, id), now, Map::new())
    }

    /// Mail left: soft bounces are counted anew when nothing comes back.
    fn left(&mut self, tx: &Transaction<'_>, message: &Known, now: Timestamp) -> Result<()> {
        let bounced = match self.bounced {
            Some(bounced) => bounced,
            None => *self.bounced.insert(post::any_soft(tx)?),
        };
        if !bounced {
            return Ok(());
        }
        let address = match message.address {
            Some(address) => Some(address),
            None => contacts::load_one(tx, message.contact)?
                .and_then(|contact| contact.email)
                .map(|email| AddressHash::of(Channel::Email, &email)),
        };
        let rules = self.rules(tx)?;
        address.map_or(Ok(()), |address| post::left(tx, rules, address, now))
    }

    fn rules(&mut self, tx: &Transaction<'_>) -> Result<&BounceRules> {
        match &mut self.rules {
            Some(rules) => Ok(rules),
            none => Ok(none.insert(post::rules(tx)?)),
        }
    }

    /// An address does not take a message.
    pub fn bounced(
        &mut self,
        tx: &Transaction<'_>,
        (seq, now): (i64, Timestamp),
        (address, hard): (AddressHash, bool),
        detail: &str,
    ) -> Result<()> {
        let Some(message) = known(tx, "o.seq = ?1", [seq])? else { return Ok(()) };
        self.bounced = None;
        // Code and enhanced code only: the rest may hold the address.
        let detail = detail.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let rules = self.rules(tx)?;
        if hard {
            let contact = message.fixed.is_none().then_some(message.contact);
            post::hard(tx, rules, (address, contact), now, &detail)?;
        } else {
            post::soft(tx, rules, address, now, &detail)?;
        }
        if message.fixed.is_some() {
            return Ok(());
        }
        let mut more = Map::new();
        more.insert("bounce".into(), json!(if hard { "hard" } else { "soft" }));
        more.insert("reason".into(), json!(detail));
        let id = format!("{}:bounced:{}", message.id, now.0);
        self.happened(tx, &message, (kind::EMAIL_BOUNCED, id), now, more)
    }

    /// Something happened with a message.
    pub fn happened(
        &mut self,
        tx: &Transaction<'_>,
        message: &Known,
        (kind, id): (&str, String),
        at: Timestamp,
        more: Map<String, Value>,
    ) -> Result<()> {
        let send = self.points.get(tx, message.send)?;
        let common = self.properties.entry(message.send).or_insert_with(|| common(&send));
        let mut properties = Map::new();
        properties.insert("message_id".into(), json!(message.id));
        properties.extend(common.iter().map(|(name, value)| (name.clone(), value.clone())));
        properties.extend(more);
        let event = Event {
            contact: message.contact,
            at,
            received_at: at,
            kind: kind.to_owned(),
            message_id: Some(id),
            properties,
        };
        self.inputs.push(NewInput { event, causes: 0, stored: true });
        Ok(())
    }

    /// Something happened to a contact that no message is known of.
    pub fn of_contact(
        &mut self,
        contact: ContactId,
        (kind, id): (&str, String),
        at: Timestamp,
        properties: Map<String, Value>,
    ) {
        let event =
            Event { contact, at, received_at: at, kind: kind.to_owned(), message_id: Some(id), properties };
        self.inputs.push(NewInput { event, causes: 0, stored: true });
    }

    /// Writes it all: for the engine too, where a journey may listen.
    pub fn write(self, tx: &Transaction<'_>) -> Result<()> {
        if self.inputs.is_empty() {
            return Ok(());
        }
        let alive: bool = tx
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM lives WHERE life NOT IN (?1, ?2))")
            .and_then(|mut query| {
                query.query_row((Life::Finished as u8, Life::Stopped as u8), |row| row.get(0))
            })
            .map_err(driver)?;
        if alive { live::add_inputs(tx, &self.inputs) } else { live::keep_events(tx, &self.inputs) }
    }
}

/// What events about messages say of their send point.
fn common(send: &SendPoint) -> Map<String, Value> {
    let pairs = [
        ("journey", json!(send.journey)),
        ("node", json!(send.node)),
        ("template", json!(send.template)),
        ("purpose", json!(send.purpose)),
        ("run", json!(send.run)),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What an event about a message says of it; none for an id that is not known.
pub(crate) fn properties_of(tx: &Transaction<'_>, message: MessageId) -> Result<Option<Map<String, Value>>> {
    let Some(known) = known(tx, "o.message_id = ?1", [&message.0[..]])? else { return Ok(None) };
    let mut properties = Map::from_iter([("message_id".to_owned(), json!(known.id))]);
    properties.extend(common(&super::load_send(tx, known.send)?));
    Ok(Some(properties))
}

/// See [`storage::outbox::OutboxStore::record_interaction`].
pub(crate) fn interaction(
    tx: &Transaction<'_>,
    message: MessageId,
    kind: &str,
    at: Timestamp,
    properties: Map<String, Value>,
) -> Result<Option<ContactId>> {
    let Some(mut known) = known(tx, "o.message_id = ?1", [&message.0[..]])? else { return Ok(None) };
    // The message may name a contact that was merged into another since, or erased.
    let Some(contact) = crate::consents::linked(tx, known.contact)? else { return Ok(None) };
    known.contact = contact.id;
    let mut link = properties.get("link").map(ToString::to_string).unwrap_or_default();
    // What a machine did must not hide what the contact does later.
    if properties.get("machine").and_then(Value::as_bool) == Some(true) {
        link.push_str(":machine");
    }
    let mut happenings = Happenings::default();
    happenings.happened(tx, &known, (kind, format!("{message}:{kind}:{link}")), at, properties)?;
    happenings.write(tx)?;
    Ok(Some(known.contact))
}
