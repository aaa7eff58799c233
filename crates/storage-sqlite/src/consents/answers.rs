//! Answers: into the profile, into the history of consents, to the living engine.

use model::{Consent, ConsentState, Contact, ContactId, Event, MessageId, Slug, Timestamp, event::kind};
use rusqlite::{Connection, Transaction, params};
use serde_json::{Map, Value, json};
use storage::{
    Result,
    consents::{Answers, ConsentStep, Proof},
    live::NewInput,
};

use super::linked;
use crate::{contacts, live, outbox, pool::driver, rows::take_numbers};

/// An entry to add.
pub(super) struct Entry<'a> {
    pub contact: ContactId,
    pub at: Timestamp,
    pub purpose: &'a Slug,
    pub step: ConsentStep,
    pub source: &'a str,
    pub proof: &'a str,
}

/// Adds an entry to the history; its number.
pub(super) fn log(connection: &Connection, entry: &Entry<'_>) -> Result<i64> {
    let no = take_numbers(connection, "consent", 1)?;
    connection
        .prepare_cached(
            "INSERT INTO consent_log (contact_id, entry_no, at, purpose, step, source, proof)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                entry.contact.0,
                no,
                entry.at.0,
                entry.purpose.as_str(),
                entry.step as u8,
                entry.source,
                entry.proof
            ])
        })
        .map_err(driver)?;
    Ok(no)
}

/// Adds what an import changed to the history. Consents that were taken back end the questions for them.
pub(crate) fn log_changes(connection: &Connection, before: &Contact, after: &Contact) -> Result<()> {
    for consent in &after.consents {
        if before.consents.contains(consent) {
            continue;
        }
        log(
            connection,
            &Entry {
                contact: after.id,
                at: consent.at,
                purpose: &consent.purpose,
                step: consent.state.into(),
                source: &consent.source,
                proof: &consent.proof,
            },
        )?;
        if consent.state == ConsentState::Unsubscribed {
            forget_question(connection, after.id, &consent.purpose)?;
        }
    }
    Ok(())
}

/// A confirmation that comes later must not undo a no: of the purpose, nor of its topics.
fn forget_question(connection: &Connection, contact: ContactId, purpose: &Slug) -> Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM pending_consents WHERE contact_id = ?1 AND (purpose = ?2 OR substr(purpose, 1, ?3) = ?4)",
        )
        .and_then(|mut delete| {
            let topics = format!("{purpose}/");
            delete.execute(params![contact.0, purpose.as_str(), topics.len() as i64, topics])
        })
        .map_err(driver)?;
    Ok(())
}

/// See [`storage::consents::ConsentStore::answer`].
pub(super) fn answer(tx: &Transaction<'_>, given: &Answers) -> Result<Option<(ContactId, usize)>> {
    let Some(contact) = linked(tx, given.contact)? else { return Ok(None) };
    let id = contact.id;
    apply(tx, contact, given).map(|changed| Some((id, changed)))
}

/// Writes answers that differ from what is known; how many.
pub(super) fn apply(tx: &Transaction<'_>, mut contact: Contact, given: &Answers) -> Result<usize> {
    let mut changed: Vec<(&Slug, ConsentState)> = Vec::new();
    for (purpose, state, proof) in &given.answers {
        if contact.consent(purpose.as_str()) == *state {
            continue;
        }
        set(tx, &mut contact, given, (purpose, *state, proof))?;
        changed.push((purpose, *state));
    }
    if changed.is_empty() {
        return Ok(0);
    }
    contact.updated_at = contact.updated_at.max(given.at);
    contacts::update(tx, &contact)?;
    let inputs = inputs(tx, contact.id, given, &changed)?;
    live::add_inputs(tx, &inputs)?;
    storage::fault::point("consents.before_commit");
    Ok(changed.len())
}

fn set(
    tx: &Transaction<'_>,
    contact: &mut Contact,
    given: &Answers,
    (purpose, state, proof): (&Slug, ConsentState, &Proof),
) -> Result<()> {
    let text = proof.to_text();
    let entry = Entry {
        contact: contact.id,
        at: given.at,
        purpose,
        step: state.into(),
        source: &given.source,
        proof: &text,
    };
    // The profile says where the proof is; the whole of it stands in the history once.
    let no = log(tx, &entry)?;
    let consent = Consent {
        purpose: purpose.clone(),
        state,
        at: given.at,
        source: given.source.clone(),
        proof: format!("history:{no}"),
    };
    match contact.consents.iter_mut().find(|known| known.purpose == *purpose) {
        Some(known) => *known = Consent { at: known.at.max(consent.at), ..consent },
        None => contact.consents.push(consent),
    }
    if state == ConsentState::Unsubscribed {
        forget_question(tx, contact.id, purpose)?;
    }
    Ok(())
}

/// What the engine hears, as of a live import.
fn inputs(
    tx: &Transaction<'_>,
    contact: ContactId,
    given: &Answers,
    changed: &[(&Slug, ConsentState)],
) -> Result<Vec<NewInput>> {
    let event = |kind: &str, message_id: Option<String>, properties: Map<String, Value>| Event {
        contact,
        at: given.at,
        received_at: given.at,
        kind: kind.to_owned(),
        message_id,
        properties,
    };
    let fields: Vec<String> = changed.iter().map(|(purpose, _)| format!("consent.{purpose}")).collect();
    let fields = Map::from_iter([("fields".to_owned(), json!(fields))]);
    let updated = event(kind::CONTACT_UPDATED, None, fields);
    let mut inputs = vec![NewInput { event: updated, causes: 0, stored: false }];
    for (purpose, _) in changed.iter().filter(|(_, state)| *state == ConsentState::Unsubscribed) {
        let mut properties = match given.message {
            Some(message) => of_message(tx, message)?,
            None => Map::new(),
        };
        properties.insert("purpose".into(), json!(purpose));
        properties.insert("source".into(), json!(given.source));
        let id = format!("{contact}:unsubscribed:{purpose}:{}", given.at.0);
        let event = event(kind::UNSUBSCRIBED, Some(id), properties);
        inputs.push(NewInput { event, causes: 0, stored: true });
    }
    Ok(inputs)
}

fn of_message(tx: &Transaction<'_>, message: MessageId) -> Result<Map<String, Value>> {
    Ok(outbox::properties_of(tx, message)?.unwrap_or_default())
}
