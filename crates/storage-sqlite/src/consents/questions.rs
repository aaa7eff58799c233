//! Double opt-in: a yes from a form that is to be confirmed by mail.

use model::{ConsentState, Contact, ContactId, MessageId, Slug, Timestamp};
use rusqlite::{Connection, Transaction, params};
use storage::{
    Result,
    consents::{
        ASK_AGAIN_AFTER, ASKS_MAX, ASKS_WITHIN, Answers, Confirmed, ConsentStep, Proof, Subscription,
        ToConfirm,
    },
    contacts::IdentifierKind,
    imports::ImportBatch,
    outbox::OutboxMessage,
};

use super::{
    answers::{Entry, apply, log},
    linked,
};
use crate::{
    contacts, imports, outbox,
    pool::driver,
    rows::{inconsistent, text},
};

/// A question, as it waits.
struct Question {
    contact: ContactId,
    purpose: Slug,
    expires_at: Timestamp,
    confirmed: bool,
}

/// See [`storage::consents::ConsentStore::subscribe`].
pub(super) fn subscribe(tx: &Transaction<'_>, subscription: Subscription) -> Result<bool> {
    let Subscription { patch, at, source, at_once, to_confirm, mail, expires_at } = subscription;
    let email = patch.email.clone().unwrap_or_default();
    let known = contacts::owner(tx, IdentifierKind::Email, &email)?;
    let id = match known {
        Some(id) => id,
        None => {
            let mut batch = ImportBatch::new(at);
            batch.live = true;
            batch.contacts.push(patch);
            let refusals = imports::run_all(tx, batch)?.refusals;
            if let Some(refusal) = refusals.into_iter().next() {
                return Err(storage::StoreError::Refused(refusal.problem));
            }
            contacts::owner(tx, IdentifierKind::Email, &email)?
                .ok_or_else(|| inconsistent("identifiers", "email", "the contact was not made"))?
        }
    };
    let contact =
        linked(tx, id)?.ok_or_else(|| inconsistent("identifiers", id, "the contact does not exist"))?;
    let mut asked = Vec::new();
    for (purpose, proof) in to_confirm {
        if contact.consent(purpose.as_str()) == ConsentState::Subscribed {
            continue;
        }
        let Some(mail) = &mail else { continue };
        if may_ask(tx, (contact.id, &purpose), mail.id, at, expires_at)? {
            let (text, step) = (proof.to_text(), ConsentStep::Asked);
            let entry =
                Entry { contact: contact.id, at, purpose: &purpose, step, source: &source, proof: &text };
            log(tx, &entry)?;
            asked.push(purpose);
        }
    }
    let contact_id = contact.id;
    let answers = at_once.into_iter().map(|(purpose, proof)| (purpose, ConsentState::Subscribed, proof));
    let answers = Answers { contact: contact_id, message: None, at, source, answers: answers.collect() };
    apply(tx, contact, &answers)?;
    match mail.filter(|_| !asked.is_empty()) {
        None => Ok(false),
        Some(mail) => {
            outbox::insert(tx, &[OutboxMessage { contact: contact_id, ..mail }], false)?;
            Ok(true)
        }
    }
}

/// Asks a contact for what it said yes to by tracking, unless it is subscribed or was asked a short while ago.
pub(crate) fn ask(tx: &Connection, contact: &Contact, wanted: &ToConfirm) -> Result<()> {
    let ToConfirm { purpose, at, source, proof, mail, expires_at } = wanted;
    if contact.consent(purpose.as_str()) == ConsentState::Subscribed
        || !may_ask(tx, (contact.id, purpose), mail.id, *at, *expires_at)?
    {
        return Ok(());
    }
    let step = ConsentStep::Asked;
    log(tx, &Entry { contact: contact.id, at: *at, purpose, step, source, proof })?;
    outbox::insert(tx, &[OutboxMessage { contact: contact.id, ..mail.clone() }], false)?;
    Ok(())
}

/// Puts a question, unless it was put a short while ago, or too often.
fn may_ask(
    tx: &Connection,
    (contact, purpose): (ContactId, &Slug),
    message: MessageId,
    at: Timestamp,
    expires_at: Timestamp,
) -> Result<bool> {
    // A question begins to be counted anew when the first of those that count is a day old.
    let put = tx
        .prepare_cached(
            "INSERT INTO pending_consents
               (contact_id, purpose, message_id, asked_at, expires_at, first_asked_at, asks)
             VALUES (?1, ?2, ?3, ?4, ?5, ?4, 1)
             ON CONFLICT (contact_id, purpose) DO UPDATE SET
               message_id = excluded.message_id, asked_at = excluded.asked_at, expires_at = excluded.expires_at,
               confirmed_at = NULL,
               asks = CASE WHEN first_asked_at <= ?4 - ?6 THEN 1 ELSE asks + 1 END,
               first_asked_at = CASE WHEN first_asked_at <= ?4 - ?6 THEN ?4 ELSE first_asked_at END
             WHERE asked_at <= ?4 - ?7 AND (asks < ?8 OR first_asked_at <= ?4 - ?6)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                contact.0,
                purpose.as_str(),
                &message.0[..],
                at.0,
                expires_at.0,
                ASKS_WITHIN,
                ASK_AGAIN_AFTER,
                ASKS_MAX
            ])
        })
        .map_err(driver)?;
    Ok(put > 0)
}

fn questions(connection: &Connection, message: MessageId) -> Result<Vec<Question>> {
    let mut query = connection
        .prepare_cached(
            "SELECT contact_id, purpose, expires_at, confirmed_at FROM pending_consents WHERE message_id = ?1
             ORDER BY purpose",
        )
        .map_err(driver)?;
    let mut rows = query.query([&message.0[..]]).map_err(driver)?;
    let mut questions = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let contact = ContactId(row.get(0).map_err(driver)?);
        questions.push(Question {
            contact,
            purpose: Slug::purpose(text(row, 1).map_err(driver)?)
                .map_err(|problem| inconsistent("pending_consents", contact, problem.message))?,
            expires_at: Timestamp(row.get(2).map_err(driver)?),
            confirmed: row.get::<_, Option<i64>>(3).map_err(driver)?.is_some(),
        });
    }
    Ok(questions)
}

/// How a confirmation stands, and whose it is.
fn standing(
    connection: &Connection,
    message: MessageId,
    at: Timestamp,
) -> Result<(Confirmed, Option<Contact>)> {
    let questions = questions(connection, message)?;
    let Some(first) = questions.first() else { return Ok((Confirmed::Unknown, None)) };
    let Some(contact) = linked(connection, first.contact)? else { return Ok((Confirmed::Unknown, None)) };
    let (confirmed, expires_at) = (first.confirmed, first.expires_at);
    let purposes: Vec<Slug> = questions.into_iter().map(|question| question.purpose).collect();
    let id = contact.id;
    let standing = match (confirmed, at >= expires_at) {
        (true, _) => Confirmed::Before(id, purposes),
        (false, true) => Confirmed::Expired(id, purposes),
        (false, false) => Confirmed::Now(id, purposes),
    };
    Ok((standing, Some(contact)))
}

/// See [`storage::consents::ConsentStore::confirmation`].
pub(super) fn confirmation(connection: &Connection, message: MessageId, at: Timestamp) -> Result<Confirmed> {
    standing(connection, message, at).map(|(confirmed, _)| confirmed)
}

/// See [`storage::consents::ConsentStore::confirm`].
pub(super) fn confirm(
    tx: &Transaction<'_>,
    message: MessageId,
    at: Timestamp,
    proof: &Proof,
) -> Result<Confirmed> {
    let (standing, contact) = standing(tx, message, at)?;
    if let (Confirmed::Now(id, purposes), Some(contact)) = (&standing, contact) {
        let yes = |purpose: &Slug| (purpose.clone(), ConsentState::Subscribed, proof.clone());
        let answers = Answers {
            contact: *id,
            message: Some(message),
            at,
            source: "double_opt_in".into(),
            answers: purposes.iter().map(yes).collect(),
        };
        apply(tx, contact, &answers)?;
        tx.prepare_cached("UPDATE pending_consents SET confirmed_at = ?2 WHERE message_id = ?1")
            .and_then(|mut change| change.execute(params![&message.0[..], at.0]))
            .map_err(driver)?;
    }
    Ok(standing)
}

/// See [`storage::consents::ConsentStore::ask_again`].
pub(super) fn ask_again(
    tx: &Transaction<'_>,
    message: MessageId,
    mail: OutboxMessage,
    expires_at: Timestamp,
) -> Result<bool> {
    let waiting: Vec<Question> =
        questions(tx, message)?.into_iter().filter(|question| !question.confirmed).collect();
    let mut asked = None;
    for question in &waiting {
        let Some(contact) = linked(tx, question.contact)? else { return Ok(false) };
        if may_ask(tx, (question.contact, &question.purpose), mail.id, mail.decided_at, expires_at)? {
            asked = Some(contact.id);
        }
    }
    let Some(contact) = asked else { return Ok(false) };
    outbox::insert(tx, &[OutboxMessage { contact, ..mail }], false)?;
    Ok(true)
}
