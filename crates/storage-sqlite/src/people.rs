//! See `storage::people`.

mod erase;
mod find;
mod lists;
mod merge;
mod person;
mod profile;
mod sweep;
mod timeline;

use model::{Contact, ContactId, Event, Slug, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use storage::{
    Result, StoreError, Urgency,
    people::{
        Edited, FindBy, FindPlace, ListRecord, Merged, Moment, MomentPlace, PeopleStore, Person, Retention,
        SweepPlace, Swept,
    },
};

pub(crate) use merge::{Moved, departed_since, merge, tell};

use crate::{Sqlite, contacts::load_one, pool::driver, recent::Recent, rows::last_number};

impl PeopleStore for Sqlite {
    async fn merge_contacts(&self, winner: ContactId, loser: ContactId, now: Timestamp) -> Result<Merged> {
        storage::fault::point("merge.before");
        let caches = self.caches();
        let merged = self
            .write(Urgency::Urgent, move |transaction| {
                merge_named(transaction, &caches.recent, winner, loser, now)
            })
            .await?;
        storage::fault::point("merge.after");
        Ok(merged)
    }

    async fn successors(&self, contacts: Vec<ContactId>) -> Result<Vec<ContactId>> {
        self.read(move |connection| contacts.into_iter().map(|id| forwarded(connection, id)).collect()).await
    }

    async fn last_departure(&self) -> Result<i64> {
        self.read(|connection| last_number(connection, merge::SEQUENCE)).await
    }

    async fn edit_contact(&self, before: Contact, after: Contact, now: Timestamp) -> Result<Edited> {
        self.write(Urgency::Urgent, move |transaction| crate::imports::edit(transaction, &before, after, now))
            .await
    }

    async fn find_contacts(
        &self,
        text: String,
        by: Vec<FindBy>,
        after: Option<FindPlace>,
        limit: usize,
    ) -> Result<Vec<(FindPlace, Contact)>> {
        self.read(move |connection| find::find(connection, &text, &by, after.as_ref(), limit)).await
    }

    async fn load_timeline(
        &self,
        contact: ContactId,
        after: Option<MomentPlace>,
        limit: usize,
    ) -> Result<Vec<(MomentPlace, Moment)>> {
        let caches = self.caches();
        self.read(move |connection| timeline::load(connection, &caches.recent, contact, after, limit)).await
    }

    async fn load_person(&self, contact: ContactId, now: Timestamp) -> Result<Option<Person>> {
        let caches = self.caches();
        self.read(move |connection| person::load(connection, &caches.recent, contact, now)).await
    }

    async fn erase_contact(&self, contact: ContactId, now: Timestamp) -> Result<bool> {
        storage::fault::point("erase.before");
        let erased = self
            .write(Urgency::Urgent, move |transaction| {
                let id = forwarded(transaction, contact)?;
                let erased = erase::erase(transaction, &[id], now)?;
                storage::fault::point("erase.before_commit");
                Ok(erased > 0)
            })
            .await?;
        storage::fault::point("erase.after");
        Ok(erased)
    }

    async fn scrub(&self) -> Result<()> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.rewrite())
            .await
            .map_err(|error| StoreError::Driver(format!("the file was not rewritten: {error}")))?
    }

    async fn sweep(&self, kept: Retention, from: SweepPlace, now: Timestamp) -> Result<Swept> {
        self.write(Urgency::Rebuild, move |transaction| sweep::sweep(transaction, kept, from, now)).await
    }

    async fn save_list(&self, slug: Slug, name: String, now: Timestamp) -> Result<()> {
        self.write(Urgency::Urgent, move |transaction| lists::save(transaction, &slug, &name, now)).await
    }

    async fn load_lists(&self) -> Result<Vec<ListRecord>> {
        self.read(lists::all).await
    }

    async fn load_list_members(&self, slug: Slug, after: ContactId, limit: usize) -> Result<Vec<ContactId>> {
        self.read(move |connection| lists::members(connection, &slug, after, limit)).await
    }

    async fn set_on_list(
        &self,
        slug: Slug,
        contacts: Vec<ContactId>,
        member: bool,
        now: Timestamp,
    ) -> Result<u64> {
        self.write(Urgency::Urgent, move |transaction| lists::set(transaction, &slug, &contacts, member, now))
            .await
    }

    async fn drop_list(&self, slug: Slug) -> Result<bool> {
        self.write(Urgency::Urgent, move |transaction| lists::forget(transaction, &slug)).await
    }
}

/// Something that happens to a contact now.
fn happening(
    contact: ContactId,
    kind: &str,
    properties: impl IntoIterator<Item = (impl Into<String>, serde_json::Value)>,
    now: Timestamp,
) -> Event {
    Event {
        contact,
        at: now,
        received_at: now,
        kind: kind.to_owned(),
        message_id: None,
        properties: properties.into_iter().map(|(name, value)| (name.into(), value)).collect(),
    }
}

/// Who a contact is today; 0 when it was erased.
pub(crate) fn forwarded(connection: &Connection, id: ContactId) -> Result<ContactId> {
    let into: Option<i64> = connection
        .prepare_cached("SELECT became FROM departures WHERE contact_id = ?1")
        .and_then(|mut query| query.query_row([id.0], |row| row.get(0)).optional())
        .map_err(driver)?;
    Ok(into.map_or(id, ContactId))
}

/// A merge that somebody asked for, with its input.
fn merge_named(
    connection: &Connection,
    recent: &Recent,
    winner: ContactId,
    loser: ContactId,
    now: Timestamp,
) -> Result<Merged> {
    let (into, of) = (forwarded(connection, winner)?, forwarded(connection, loser)?);
    if into == of {
        return Ok(if winner == loser { Merged::Same } else { Merged::Already });
    }
    for id in [into, of] {
        if load_one(connection, id)?.is_none() {
            return Ok(Merged::Unknown(if id == into { winner } else { loser }));
        }
    }
    let moved = merge(connection, recent, into, of, now)?;
    tell(connection, vec![moved], now)?;
    storage::fault::point("merge.before_commit");
    Ok(Merged::Done)
}
