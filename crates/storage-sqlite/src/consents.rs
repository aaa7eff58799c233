//! See `storage::consents`.

mod answers;
mod questions;

use model::{Contact, ContactId, MessageId, Slug, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::{Map, Value};
use storage::{
    Result, Urgency,
    consents::{
        Answers, Click, Confirmed, ConsentEntry, ConsentStep, ConsentStore, Forward, Forwarded, Proof,
        ShortLink, Subscription,
    },
    outbox::{MessageRow, OutboxMessage},
};

pub(crate) use answers::log_changes;
pub(crate) use questions::ask;

use crate::{
    Sqlite, contacts, outbox,
    pool::driver,
    rows::{inconsistent, text},
};

impl ConsentStore for Sqlite {
    async fn answer(&self, answers: Answers) -> Result<Option<(ContactId, usize)>> {
        self.write(Urgency::Urgent, move |tx| answers::answer(tx, &answers)).await
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<bool> {
        self.write(Urgency::Urgent, move |tx| questions::subscribe(tx, subscription)).await
    }

    async fn confirm(&self, message: MessageId, at: Timestamp, proof: Proof) -> Result<Confirmed> {
        self.write(Urgency::Urgent, move |tx| questions::confirm(tx, message, at, &proof)).await
    }

    async fn confirmation(&self, message: MessageId, at: Timestamp) -> Result<Confirmed> {
        self.read(move |connection| questions::confirmation(connection, message, at)).await
    }

    async fn ask_again(
        &self,
        message: MessageId,
        mail: OutboxMessage,
        expires_at: Timestamp,
    ) -> Result<bool> {
        self.write(Urgency::Urgent, move |tx| questions::ask_again(tx, message, mail, expires_at)).await
    }

    async fn load_consent_log(&self, contact: ContactId) -> Result<Vec<ConsentEntry>> {
        self.read(move |connection| log(connection, contact)).await
    }

    async fn linked_contact(&self, contact: ContactId) -> Result<Option<Contact>> {
        self.read(move |connection| linked(connection, contact)).await
    }

    async fn find_message(&self, message: MessageId) -> Result<Option<MessageRow>> {
        self.read(move |connection| outbox::find(connection, message)).await
    }

    async fn save_short_links(&self, links: Vec<ShortLink>) -> Result<()> {
        self.write(Urgency::Transactional, move |tx| {
            let mut insert = tx
                .prepare_cached(
                    "INSERT INTO short_links (code, message_id, link, url) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (code) DO NOTHING",
                )
                .map_err(driver)?;
            for link in &links {
                insert
                    .execute(params![link.code, &link.message.0[..], link.link, link.url])
                    .map_err(driver)?;
            }
            Ok(())
        })
        .await
    }

    async fn load_short_link(&self, code: String) -> Result<Option<ShortLink>> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT message_id, link, url FROM short_links WHERE code = ?1")
                .and_then(|mut query| {
                    query
                        .query_row([&code], |row| {
                            Ok(ShortLink {
                                code: code.clone(),
                                message: MessageId(row.get(0)?),
                                link: row.get(1)?,
                                url: row.get(2)?,
                            })
                        })
                        .optional()
                })
                .map_err(driver)
        })
        .await
    }

    async fn note_click(&self, click: Click) -> Result<()> {
        self.write(Urgency::Urgent, move |tx| {
            tx.prepare_cached(
                "INSERT INTO clicks (message_id, kind, link, url, at, why) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    &click.message.0[..],
                    click.kind,
                    click.link,
                    click.url,
                    click.at.0,
                    click.why
                ])
            })
            .map_err(driver)?;
            Ok(())
        })
        .await
    }

    async fn load_clicks(&self, limit: usize) -> Result<Vec<Click>> {
        self.read(move |connection| clicks(connection, limit)).await
    }

    async fn settle_clicks(&self, clicks: Vec<(Click, Option<Map<String, Value>>)>) -> Result<()> {
        self.write(Urgency::Normal, move |tx| settle(tx, clicks)).await
    }

    async fn tell_friend(&self, forward: Forward) -> Result<Forwarded> {
        self.write(Urgency::Urgent, move |tx| tell(tx, forward)).await
    }
}

/// The contact that an id stands for now: itself, or the one that it was merged into.
pub(crate) fn linked(connection: &Connection, contact: ContactId) -> Result<Option<Contact>> {
    contacts::load_one(connection, crate::people::forwarded(connection, contact)?)
}

fn log(connection: &Connection, contact: ContactId) -> Result<Vec<ConsentEntry>> {
    let mut query = connection
        .prepare_cached(
            "SELECT entry_no, at, purpose, step, source, proof FROM consent_log WHERE contact_id = ?1
             ORDER BY entry_no",
        )
        .map_err(driver)?;
    let mut rows = query.query([contact.0]).map_err(driver)?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let bad = |why: String| inconsistent("consent_log", contact, why);
        let number: u8 = row.get(3).map_err(driver)?;
        entries.push(ConsentEntry {
            no: row.get(0).map_err(driver)?,
            at: Timestamp(row.get(1).map_err(driver)?),
            purpose: Slug::purpose(text(row, 2).map_err(driver)?).map_err(|problem| bad(problem.message))?,
            step: ConsentStep::from_number(number)
                .ok_or_else(|| bad(format!("a step has the number {number}")))?,
            source: row.get(4).map_err(driver)?,
            proof: row.get(5).map_err(driver)?,
        });
    }
    Ok(entries)
}

fn clicks(connection: &Connection, limit: usize) -> Result<Vec<Click>> {
    let mut query = connection
        .prepare_cached(
            "SELECT click_no, message_id, kind, link, url, at, why FROM clicks ORDER BY at, click_no LIMIT ?1",
        )
        .map_err(driver)?;
    query
        .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            Ok(Click {
                no: row.get(0)?,
                message: MessageId(row.get(1)?),
                kind: row.get(2)?,
                link: row.get(3)?,
                url: row.get(4)?,
                at: Timestamp(row.get(5)?),
                why: row.get(6)?,
            })
        })
        .and_then(Iterator::collect)
        .map_err(driver)
}

fn settle(tx: &Transaction<'_>, clicks: Vec<(Click, Option<Map<String, Value>>)>) -> Result<()> {
    let mut remove = tx.prepare_cached("DELETE FROM clicks WHERE click_no = ?1").map_err(driver)?;
    for (click, properties) in clicks {
        let waited = remove.execute([click.no]).map_err(driver)? > 0;
        if let Some(properties) = properties.filter(|_| waited) {
            outbox::interaction(tx, click.message, &click.kind, click.at, properties)?;
        }
    }
    Ok(())
}

fn tell(tx: &Transaction<'_>, forward: Forward) -> Result<Forwarded> {
    let Some(row) = outbox::find(tx, forward.message)? else { return Ok(Forwarded::Gone) };
    let Some(contact) = linked(tx, row.message.contact)? else { return Ok(Forwarded::Gone) };
    let told: Vec<Vec<u8>> = tx
        .prepare_cached("SELECT address FROM forwards WHERE message_id = ?1")
        .and_then(|mut query| {
            query.query_map([&forward.message.0[..]], |row| row.get(0)).and_then(Iterator::collect)
        })
        .map_err(driver)?;
    if told.iter().any(|address| address[..] == forward.address.0[..]) {
        return Ok(Forwarded::Before);
    }
    if told.len() >= forward.most as usize {
        return Ok(Forwarded::TooMany);
    }
    tx.prepare_cached("INSERT INTO forwards (message_id, address, at) VALUES (?1, ?2, ?3)")
        .and_then(|mut insert| {
            insert.execute(params![&forward.message.0[..], &forward.address.0[..], forward.at.0])
        })
        .map_err(driver)?;
    outbox::insert(tx, &[OutboxMessage { contact: contact.id, ..forward.mail }], false)?;
    Ok(Forwarded::Decided)
}
