//! What a contact hears of its messages: sent, bounced, opened, clicked. Events in its history, and inputs of the living
//! engine where a journey is alive, in the transaction that records the outcome.

use std::collections::HashMap;

use model::{AddressStatus, Channel, ContactId, Event, MessageId, Timestamp, event::kind};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::{Map, Value, json};
use storage::{
    Result,
    live::{Life, NewInput},
    outbox::{AddressHash, SendPoint, Suppression, SuppressionReason},
};

use super::{SendPoints, suppress};
use crate::{contacts, live, pool::driver};

/// Soft bounces in a row that suppress an address.
pub(crate) const SOFT_MAX: i64 = 3;
/// For how many days: the first time, the second, the third, and from then on.
pub(crate) const SOFT_DAYS: [i64; 4] = [7, 14, 30, 180];

/// A message as its outcome needs it.
struct Known {
    id: MessageId,
    contact: ContactId,
    send: i64,
    /// A fixed address: no contact's.
    fixed: Option<String>,
}

fn known(connection: &Connection, terms: &str, key: impl rusqlite::Params) -> Result<Option<Known>> {
    connection
        .prepare_cached(&format!(
            "SELECT o.message_id, o.contact_id, o.send_id, b.to_address
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
                    })
                })
                .optional()
        })
        .map_err(driver)
}

/// Gathers what happened in a transaction.
#[derive(Default)]
pub(super) struct Happenings {
    points: SendPoints,
    /// The event's own properties of each send point.
    properties: HashMap<i64, Map<String, Value>>,
    inputs: Vec<NewInput>,
    /// Whether any address bounced softly, once it was asked.
    bounced: Option<bool>,
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
            self.arrived(tx, message.contact)?;
        }
        let id = format!("{}:sent", message.id);
        self.happened(tx, &message, (kind, id), now, Map::new())
    }

    /// Mail arrived: soft bounces are counted anew.
    fn arrived(&mut self, tx: &Transaction<'_>, contact: ContactId) -> Result<()> {
        let bounced = match self.bounced {
            Some(bounced) => bounced,
            None => tx
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM bounces WHERE in_a_row > 0)")
                .and_then(|mut query| query.query_row([], |row| row.get(0)))
                .map_err(driver)?,
        };
        self.bounced = Some(bounced);
        if !bounced {
            return Ok(());
        }
        let Some(email) = contacts::load_one(tx, contact)?.and_then(|contact| contact.email) else {
            return Ok(());
        };
        tx.prepare_cached("UPDATE bounces SET in_a_row = 0 WHERE address = ?1")
            .and_then(|mut change| change.execute([&AddressHash::of(Channel::Email, &email).0[..]]))
            .map_err(driver)?;
        Ok(())
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
        if hard {
            let reason = SuppressionReason::HardBounce;
            suppress(
                tx,
                &[Suppression { address, reason, since: now, until: None, detail: detail.clone() }],
            )?;
        } else {
            soft(tx, address, now, &detail)?;
        }
        if message.fixed.is_some() {
            return Ok(());
        }
        if hard && let Some(mut contact) = contacts::load_one(tx, message.contact)? {
            let own = contact.email.as_deref().map(|email| AddressHash::of(Channel::Email, email));
            if own == Some(address) && contact.email_status == AddressStatus::Active {
                contact.email_status = AddressStatus::Bounced;
                contact.updated_at = contact.updated_at.max(now);
                contacts::update(tx, &contact)?;
            }
        }
        let mut more = Map::new();
        more.insert("bounce".into(), json!(if hard { "hard" } else { "soft" }));
        more.insert("reason".into(), json!(detail));
        let id = format!("{}:bounced:{}", message.id, now.0);
        self.happened(tx, &message, (kind::EMAIL_BOUNCED, id), now, more)
    }

    fn happened(
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

/// A soft bounce: the third in a row suppresses the address, longer each time.
fn soft(tx: &Transaction<'_>, address: AddressHash, now: Timestamp, detail: &str) -> Result<()> {
    let (in_a_row, suppressed): (i64, i64) = tx
        .prepare_cached(
            "INSERT INTO bounces (address, in_a_row, suppressed) VALUES (?1, 1, 0)
             ON CONFLICT (address) DO UPDATE SET in_a_row = in_a_row + 1 RETURNING in_a_row, suppressed",
        )
        .and_then(|mut insert| insert.query_row([&address.0[..]], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(driver)?;
    if in_a_row < SOFT_MAX {
        return Ok(());
    }
    let days = SOFT_DAYS[usize::try_from(suppressed).unwrap_or_default().min(SOFT_DAYS.len() - 1)];
    suppress(
        tx,
        &[Suppression {
            address,
            reason: SuppressionReason::SoftBounces,
            since: now,
            until: Some(now.plus_days(days)),
            detail: detail.to_owned(),
        }],
    )?;
    tx.prepare_cached("UPDATE bounces SET in_a_row = 0, suppressed = suppressed + 1 WHERE address = ?1")
        .and_then(|mut change| change.execute(params![&address.0[..]]))
        .map_err(driver)?;
    Ok(())
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
