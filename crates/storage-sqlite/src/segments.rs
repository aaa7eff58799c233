//! See `storage::segments`.

mod kept;

use std::collections::BTreeMap;

use model::{Cart, Contact, ContactId, Event, Order, Slug, Timestamp, Totals};
use roaring::{RoaringBitmap, RoaringTreemap};
use rusqlite::{CachedStatement, Connection, OptionalExtension};
use storage::{
    Result, Urgency,
    segments::{
        EventMark, FLIPS_AHEAD, IdRange, MemberAnswer, Moved, NewMembers, OrderMark, SegmentRecord,
        SegmentStore,
    },
    settings::DefinitionKind,
};

use self::kept::{Builds, Flip, Kept};
use crate::{
    Sqlite,
    pool::driver,
    rows::{blob, inconsistent, take_numbers},
    segment_scans as scans, settings,
};

impl SegmentStore for Sqlite {
    async fn load_segments(&self) -> Result<Vec<SegmentRecord>> {
        self.read(|connection| {
            let found = records(connection, None)?;
            Ok(found.into_iter().map(|(_, record)| record).collect())
        })
        .await
    }

    async fn load_members(&self, slug: Slug) -> Result<Option<(SegmentRecord, RoaringTreemap)>> {
        self.read(move |connection| {
            let Some((no, record)) = records(connection, Some(&slug))?.pop() else { return Ok(None) };
            Ok(Some((record, members(connection, no)?)))
        })
        .await
    }

    async fn load_memberships(&self, contacts: Vec<ContactId>) -> Result<Vec<Vec<Slug>>> {
        self.read(move |connection| {
            let mut answer = vec![Vec::new(); contacts.len()];
            for (no, record) in records(connection, None)? {
                let mut chunks = Chunks::new(connection, no);
                for (slugs, contact) in answer.iter_mut().zip(&contacts) {
                    if chunks.of(*contact)?.contains(low(*contact)) {
                        slugs.push(record.slug.clone());
                    }
                }
            }
            Ok(answer)
        })
        .await
    }

    async fn commit_members(&self, new: NewMembers) -> Result<Moved> {
        self.write(Urgency::Rebuild, move |transaction| commit(transaction, &new)).await
    }

    async fn update_members(
        &self,
        answers: Vec<(Slug, String, Vec<MemberAnswer>)>,
        at: Timestamp,
    ) -> Result<Vec<Moved>> {
        self.write(Urgency::Normal, move |transaction| {
            let moved = update_members(transaction, &answers, at)?;
            storage::fault::point("segment.before_update_commit");
            Ok(moved)
        })
        .await
    }

    async fn lay_segments_aside(&self, slugs: Vec<Slug>) -> Result<()> {
        self.write(Urgency::Normal, move |transaction| {
            for slug in &slugs {
                let Some((no, _)) = records(transaction, Some(slug))?.pop() else { continue };
                run(transaction, "UPDATE segments SET fingerprint = '' WHERE segment_no = ?1", [no])?;
                run(transaction, "DELETE FROM segment_flips WHERE segment_no = ?1", [no])?;
            }
            Ok(())
        })
        .await
    }

    async fn load_member_states(
        &self,
        slugs: Vec<Slug>,
        contacts: Vec<ContactId>,
    ) -> Result<Vec<Vec<Option<Vec<u8>>>>> {
        self.read(move |connection| {
            let found = records(connection, None)?.into_iter();
            let segments: Vec<(usize, i64)> = found
                .filter_map(|(no, record)| Some((slugs.iter().position(|slug| *slug == record.slug)?, no)))
                .collect();
            kept::states(connection, &segments, slugs.len(), &contacts)
        })
        .await
    }

    async fn load_due_flips(&self, now: Timestamp, limit: usize) -> Result<Vec<(Slug, ContactId)>> {
        self.read(move |connection| {
            let names: BTreeMap<i64, Slug> =
                records(connection, None)?.into_iter().map(|(no, record)| (no, record.slug)).collect();
            let mut statement = connection
                .prepare_cached(
                    "SELECT segment_no, contact_id FROM segment_flips WHERE due <= ?1 ORDER BY due LIMIT ?2",
                )
                .map_err(driver)?;
            let rows = statement
                .query_map((now.0, i64::try_from(limit).unwrap_or(i64::MAX)), |row| {
                    Ok((row.get::<_, i64>(0)?, ContactId(row.get(1)?)))
                })
                .map_err(driver)?;
            let mut due = Vec::new();
            for row in rows {
                let (no, contact) = row.map_err(driver)?;
                due.extend(names.get(&no).map(|slug| (slug.clone(), contact)));
            }
            Ok(due)
        })
        .await
    }

    async fn load_member_moves(&self, slug: Slug, since: Timestamp, until: Timestamp) -> Result<Vec<Moved>> {
        self.read(move |connection| {
            let Some((no, _)) = records(connection, Some(&slug))?.pop() else { return Ok(Vec::new()) };
            moves(connection, no, &slug, (since, until))
        })
        .await
    }

    async fn load_history(&self, contacts: Vec<ContactId>, kinds: Vec<String>) -> Result<(Vec<Event>, i64)> {
        let caches = self.caches();
        self.read(move |connection| {
            // A read is one snapshot: an input that came with an event is seen exactly when the event is.
            let until = crate::rows::last_number(connection, "input")?;
            let always = (Timestamp::MIN, Timestamp::MAX);
            let events = crate::events::of_kinds(connection, &caches.recent, &contacts, &kinds, always)?;
            Ok((events, until))
        })
        .await
    }

    async fn load_contact_ids(&self) -> Result<RoaringTreemap> {
        self.read(|connection| {
            // Through the narrow index: the table's rows hold whole profiles.
            let mut statement = connection
                .prepare_cached("SELECT contact_id FROM contacts INDEXED BY contacts_by_reach")
                .map_err(driver)?;
            let mut rows = statement.query([]).map_err(driver)?;
            let mut ids = RoaringTreemap::new();
            while let Some(row) = rows.next().map_err(driver)? {
                ids.insert(key(ContactId(row.get(0).map_err(driver)?)));
            }
            Ok(ids)
        })
        .await
    }

    async fn load_event_kinds(&self) -> Result<Vec<String>> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT name FROM event_kinds ORDER BY name").map_err(driver)?;
            let rows = statement.query_map([], |row| row.get(0)).map_err(driver)?;
            rows.collect::<rusqlite::Result<_>>().map_err(driver)
        })
        .await
    }

    async fn fold_event_marks<T: Send + 'static>(
        &self,
        kind: String,
        contacts: IdRange,
        since: Timestamp,
        until: Timestamp,
        init: T,
        fold: impl FnMut(&mut T, EventMark) + Send + 'static,
    ) -> Result<T> {
        let caches = self.caches();
        self.read(move |connection| {
            scans::event_marks(connection, &caches.recent, &kind, &contacts, (since, until), init, fold)
        })
        .await
    }

    async fn fold_events<T: Send + 'static>(
        &self,
        kind: String,
        contacts: IdRange,
        since: Timestamp,
        until: Timestamp,
        init: T,
        fold: impl FnMut(&mut T, &Event) + Send + 'static,
    ) -> Result<T> {
        let caches = self.caches();
        self.read(move |connection| {
            scans::events(connection, &caches.recent, &kind, &contacts, (since, until), init, fold)
        })
        .await
    }

    async fn fold_order_marks<T: Send + 'static>(
        &self,
        contacts: IdRange,
        since: Timestamp,
        until: Timestamp,
        by_time: bool,
        init: T,
        fold: impl FnMut(&mut T, OrderMark) + Send + 'static,
    ) -> Result<T> {
        self.read(move |connection| {
            scans::order_marks(connection, &contacts, (since, until), by_time, init, fold)
        })
        .await
    }

    async fn fold_orders<T: Send + 'static>(
        &self,
        contacts: IdRange,
        since: Timestamp,
        until: Timestamp,
        init: T,
        fold: impl FnMut(&mut T, &Order) + Send + 'static,
    ) -> Result<T> {
        self.read(move |connection| scans::orders(connection, &contacts, (since, until), init, fold)).await
    }

    async fn fold_profiles<T: Send + 'static>(
        &self,
        contacts: IdRange,
        init: T,
        fold: impl FnMut(&mut T, &Contact, &Totals) + Send + 'static,
    ) -> Result<T> {
        self.read(move |connection| scans::profiles(connection, &contacts, init, fold)).await
    }

    async fn load_open_carts(&self, contacts: Vec<ContactId>) -> Result<Vec<Cart>> {
        self.read(move |connection| scans::open_carts_of(connection, &contacts)).await
    }

    async fn fold_open_carts<T: Send + 'static>(
        &self,
        contacts: IdRange,
        init: T,
        fold: impl FnMut(&mut T, &Cart) + Send + 'static,
    ) -> Result<T> {
        self.read(move |connection| scans::open_carts(connection, &contacts, init, fold)).await
    }
}

const fn key(contact: ContactId) -> u64 {
    contact.0.cast_unsigned()
}

const fn low(contact: ContactId) -> u32 {
    (contact.0 & 0xffff) as u32
}

fn records(connection: &Connection, slug: Option<&Slug>) -> Result<Vec<(i64, SegmentRecord)>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT segment_no, slug, fingerprint, members, built_at FROM segments
             WHERE ?1 IS NULL OR slug = ?1 ORDER BY slug",
        )
        .map_err(driver)?;
    let mut rows = statement.query([slug.map(Slug::as_str)]).map_err(driver)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let name: String = row.get(1).map_err(driver)?;
        let record = SegmentRecord {
            slug: Slug::parse(&name).map_err(|problem| inconsistent("segments", &name, problem.message))?,
            fingerprint: row.get(2).map_err(driver)?,
            members: row.get::<_, i64>(3).map_err(driver)?.unsigned_abs(),
            built_at: Timestamp(row.get(4).map_err(driver)?),
        };
        found.push((row.get(0).map_err(driver)?, record));
    }
    Ok(found)
}

fn read_bitmap(no: i64, bytes: &[u8]) -> Result<RoaringBitmap> {
    RoaringBitmap::deserialize_from(bytes).map_err(|error| inconsistent("segment_chunks", no, error))
}

fn bitmap_bytes(bitmap: &RoaringBitmap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    // Writing to memory does not fail.
    let _ = bitmap.serialize_into(&mut bytes);
    bytes
}

fn treemap_bytes(treemap: &RoaringTreemap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(treemap.serialized_size());
    let _ = treemap.serialize_into(&mut bytes);
    bytes
}

fn members(connection: &Connection, no: i64) -> Result<RoaringTreemap> {
    let mut statement = connection
        .prepare_cached("SELECT chunk, members FROM segment_chunks WHERE segment_no = ?1 ORDER BY chunk")
        .map_err(driver)?;
    let mut rows = statement.query([no]).map_err(driver)?;
    let mut all = RoaringTreemap::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let chunk: i64 = row.get(0).map_err(driver)?;
        let base = chunk.cast_unsigned() << 16;
        let bitmap = read_bitmap(no, blob(row, 1).map_err(driver)?)?;
        all.append(bitmap.into_iter().map(|id| base | u64::from(id)))
            .map_err(|error| inconsistent("segment_chunks", no, error))?;
    }
    Ok(all)
}

/// The chunks of a segment, read when asked for.
struct Chunks<'c> {
    connection: &'c Connection,
    no: i64,
    read: BTreeMap<i64, RoaringBitmap>,
}

impl<'c> Chunks<'c> {
    const fn new(connection: &'c Connection, no: i64) -> Self {
        Self { connection, no, read: BTreeMap::new() }
    }

    fn of(&mut self, contact: ContactId) -> Result<&mut RoaringBitmap> {
        let chunk = contact.0 >> 16;
        if !self.read.contains_key(&chunk) {
            let mut statement = self
                .connection
                .prepare_cached("SELECT members FROM segment_chunks WHERE segment_no = ?1 AND chunk = ?2")
                .map_err(driver)?;
            let bytes: Option<Vec<u8>> =
                statement.query_row((self.no, chunk), |row| row.get(0)).optional().map_err(driver)?;
            let bitmap =
                bytes.map_or_else(|| Ok(RoaringBitmap::new()), |bytes| read_bitmap(self.no, &bytes))?;
            self.read.insert(chunk, bitmap);
        }
        Ok(self.read.entry(chunk).or_default())
    }
}

fn write_chunk(connection: &Connection, no: i64, chunk: i64, bitmap: &RoaringBitmap) -> Result<()> {
    if bitmap.is_empty() {
        connection
            .prepare_cached("DELETE FROM segment_chunks WHERE segment_no = ?1 AND chunk = ?2")
            .map_err(driver)?
            .execute((no, chunk))
            .map_err(driver)?;
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO segment_chunks (segment_no, chunk, members) VALUES (?1, ?2, ?3)
             ON CONFLICT (segment_no, chunk) DO UPDATE SET members = excluded.members",
        )
        .map_err(driver)?
        .execute((no, chunk, bitmap_bytes(bitmap)))
        .map_err(driver)?;
    Ok(())
}

/// Forgets a segment that was built: its members, moves, flips, and what was kept of histories.
pub(crate) fn forget(connection: &Connection, slug: &Slug) -> Result<()> {
    let Some((no, _)) = records(connection, Some(slug))?.pop() else { return Ok(()) };
    for sql in [
        "DELETE FROM segment_chunks WHERE segment_no = ?1",
        "DELETE FROM segment_moves WHERE segment_no = ?1",
        "DELETE FROM segment_flips WHERE segment_no = ?1",
        "DELETE FROM segments WHERE segment_no = ?1",
    ] {
        run(connection, sql, [no])?;
    }
    Ok(())
}

fn commit(connection: &Connection, new: &NewMembers) -> Result<Moved> {
    if settings::is_retired(connection, DefinitionKind::Segment, &new.slug)? {
        // It was taken back while it was being built: nobody is in it.
        return Ok(Moved { slug: Some(new.slug.clone()), at: new.at, ..Moved::default() });
    }
    let known = records(connection, Some(&new.slug))?.pop();
    let (no, before) = match &known {
        Some((no, _)) => (*no, members(connection, *no)?),
        None => (take_numbers(connection, "segment", 1)?, RoaringTreemap::new()),
    };
    connection
        .prepare_cached(
            "INSERT INTO segments (segment_no, slug, fingerprint, members, built_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (segment_no) DO UPDATE SET fingerprint = excluded.fingerprint, members = excluded.members,
             built_at = excluded.built_at, builds = builds + 1,
             changed_in = CASE WHEN fingerprint = excluded.fingerprint THEN changed_in ELSE builds + 1 END",
        )
        .map_err(driver)?
        .execute((no, new.slug.as_str(), &new.fingerprint, new.members.len().cast_signed(), new.at.0))
        .map_err(driver)?;
    let moved = Moved {
        slug: Some(new.slug.clone()),
        at: new.at,
        entered: &new.members - &before,
        left: &before - &new.members,
        members: new.members.len(),
    };
    let touched: std::collections::BTreeSet<i64> =
        moved.entered.iter().chain(&moved.left).map(|id| (id >> 16).cast_signed()).collect();
    let mut bitmaps: BTreeMap<i64, RoaringBitmap> =
        touched.iter().map(|chunk| (*chunk, RoaringBitmap::new())).collect();
    for id in &new.members {
        if let Some(bitmap) = bitmaps.get_mut(&(id >> 16).cast_signed()) {
            bitmap.insert((id & 0xffff) as u32);
        }
    }
    for (chunk, bitmap) in &bitmaps {
        write_chunk(connection, no, *chunk, bitmap)?;
    }
    write_move(connection, no, &moved)?;
    run(connection, "DELETE FROM segment_flips WHERE segment_no = ?1", [no])?;
    let mut flips = Flips::new(connection, no, new.at)?;
    for (contact, due) in &new.flips {
        flips.write(*contact, Some(*due))?;
    }
    crate::live::add_waves(connection, &new.tell.waves(&moved))?;
    storage::fault::point("segment.before_commit");
    Ok(moved)
}

/// Drops what is kept of these contacts' histories.
pub(crate) fn forget_states(
    connection: &Connection,
    contacts: impl Iterator<Item = ContactId>,
) -> Result<()> {
    let kept: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM segment_kept)")
        .and_then(|mut query| query.query_row([], |row| row.get(0)))
        .map_err(driver)?;
    if kept {
        for contact in contacts {
            run(connection, "DELETE FROM segment_kept WHERE contact_id = ?1", [contact.0])?;
        }
    }
    Ok(())
}

fn run(connection: &Connection, sql: &str, parameters: impl rusqlite::Params) -> Result<()> {
    connection.prepare_cached(sql).map_err(driver)?.execute(parameters).map_err(driver)?;
    Ok(())
}

/// Writes when time changes who is a member, with statements that are looked up once.
struct Flips<'c> {
    set: CachedStatement<'c>,
    clear: CachedStatement<'c>,
    no: i64,
    now: Timestamp,
}

impl<'c> Flips<'c> {
    fn new(connection: &'c Connection, no: i64, now: Timestamp) -> Result<Self> {
        let set = "INSERT INTO segment_flips (contact_id, segment_no, due) VALUES (?1, ?2, ?3)
             ON CONFLICT (contact_id, segment_no) DO UPDATE SET due = excluded.due WHERE due <> excluded.due";
        let clear = "DELETE FROM segment_flips WHERE contact_id = ?1 AND segment_no = ?2";
        let prepare = |sql| connection.prepare_cached(sql).map_err(driver);
        Ok(Self { set: prepare(set)?, clear: prepare(clear)?, no, now })
    }

    /// A flip that is stored: those that are farther ahead are found by the night before.
    fn near(&self, due: Option<Timestamp>) -> Option<Timestamp> {
        due.filter(|due| due.since(self.now) <= FLIPS_AHEAD)
    }

    fn write(&mut self, contact: ContactId, due: Option<Timestamp>) -> Result<()> {
        match self.near(due) {
            Some(due) => self.set.execute((contact.0, self.no, due.0)),
            None => self.clear.execute((contact.0, self.no)),
        }
        .map_err(driver)?;
        Ok(())
    }
}

fn write_move(connection: &Connection, no: i64, moved: &Moved) -> Result<()> {
    if moved.entered.is_empty() && moved.left.is_empty() {
        return Ok(());
    }
    let move_no = take_numbers(connection, "segment_move", 1)?;
    run(
        connection,
        "INSERT INTO segment_moves (segment_no, at, move_no, members, entered, gone) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            no,
            moved.at.0,
            move_no,
            moved.members.cast_signed(),
            treemap_bytes(&moved.entered),
            treemap_bytes(&moved.left),
        ),
    )
}

/// Changes the membership of some contacts, in the caller's transaction: see `SegmentStore::update_members`.
pub(crate) fn update_members(
    connection: &Connection,
    answers: &[(Slug, String, Vec<MemberAnswer>)],
    at: Timestamp,
) -> Result<Vec<Moved>> {
    let (mut moved, mut kept) = (Vec::new(), Kept::new(connection));
    for (slug, fingerprint, answers) in answers {
        let Some((no, record)) = records(connection, Some(slug))?.pop() else { continue };
        if record.fingerprint == *fingerprint {
            moved.push(update(connection, no, record, answers, at, &mut kept)?);
        }
    }
    kept.write()?;
    Ok(moved)
}

fn update(
    connection: &Connection,
    no: i64,
    record: SegmentRecord,
    answers: &[MemberAnswer],
    at: Timestamp,
    kept: &mut Kept<'_>,
) -> Result<Moved> {
    let mut chunks = Chunks::new(connection, no);
    let mut moved = Moved { slug: Some(record.slug), at, ..Moved::default() };
    let mut flips = Flips::new(connection, no, at)?;
    let builds = Builds::of(connection, no)?;
    for answer in answers {
        let bitmap = chunks.of(answer.contact)?;
        if answer.member && bitmap.insert(low(answer.contact)) {
            moved.entered.insert(key(answer.contact));
        } else if !answer.member && bitmap.remove(low(answer.contact)) {
            moved.left.insert(key(answer.contact));
        }
        let flip = flips.near(answer.flip);
        let stored = match &answer.state {
            Some(state) => kept.set(answer.contact, no, builds, flip, state)?,
            None => {
                kept.forget_flip(answer.contact, no)?;
                Flip::Unknown
            }
        };
        if stored != Flip::Stored(flip) {
            flips.write(answer.contact, flip)?;
        }
    }
    moved.members = record.members + moved.entered.len() - moved.left.len();
    let touched: std::collections::BTreeSet<i64> =
        moved.entered.iter().chain(&moved.left).map(|id| (id >> 16).cast_signed()).collect();
    for chunk in touched {
        if let Some(bitmap) = chunks.read.get(&chunk) {
            write_chunk(connection, no, chunk, bitmap)?;
        }
    }
    run(
        connection,
        "UPDATE segments SET members = ?2 WHERE segment_no = ?1",
        (no, moved.members.cast_signed()),
    )?;
    write_move(connection, no, &moved)?;
    Ok(moved)
}

fn moves(
    connection: &Connection,
    no: i64,
    slug: &Slug,
    (since, until): (Timestamp, Timestamp),
) -> Result<Vec<Moved>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT at, members, entered, gone FROM segment_moves
             WHERE segment_no = ?1 AND at >= ?2 AND at < ?3 ORDER BY at, move_no",
        )
        .map_err(driver)?;
    let mut rows = statement.query((no, since.0, until.0)).map_err(driver)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let treemap = |column| -> Result<RoaringTreemap> {
            RoaringTreemap::deserialize_from(blob(row, column).map_err(driver)?)
                .map_err(|error| inconsistent("segment_moves", no, error))
        };
        found.push(Moved {
            slug: Some(slug.clone()),
            at: Timestamp(row.get(0).map_err(driver)?),
            members: row.get::<_, i64>(1).map_err(driver)?.unsigned_abs(),
            entered: treemap(2)?,
            left: treemap(3)?,
        });
    }
    Ok(found)
}
