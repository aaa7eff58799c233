//! What happened to a contact, the newest first, from four places that each are in order.

use model::{ContactId, Event, Timestamp};
use rusqlite::{Connection, Row};
use storage::{
    Result,
    journeys::Enrolment,
    people::{Moment, MomentPlace},
};

use crate::{
    events::kind_names,
    orders::{ORDER_COLUMNS, read_order},
    outbox,
    pool::driver,
    recent::{self, Mark, Recent},
    rows::{blob, from_json, inconsistent, text},
};

/// Kinds of moments in a place. Of one instant the greater is first.
const EVENT: u8 = 1;
const ORDER: u8 = 2;
const MESSAGE: u8 = 3;
const ENTERED: u8 = 4;

/// Before everything.
const NOW: MomentPlace = (Timestamp::MAX, u8::MAX, i64::MAX);

/// The moments behind a place: each source gives its next ones, and the newest of all are taken.
pub(super) fn load(
    connection: &Connection,
    recent: &Recent,
    contact: ContactId,
    after: Option<MomentPlace>,
    limit: usize,
) -> Result<Vec<(MomentPlace, Moment)>> {
    let span = Span { connection, contact, after: after.unwrap_or(NOW), limit };
    let mut all = span.events()?;
    all.extend(span.recent_events(recent)?);
    all.extend(span.orders()?);
    all.extend(span.messages()?);
    all.extend(span.enrolments()?);
    all.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
    all.truncate(limit);
    Ok(all)
}

struct Span<'c> {
    connection: &'c Connection,
    contact: ContactId,
    after: MomentPlace,
    limit: usize,
}

impl Span<'_> {
    /// Rows of one kind behind the place: `?1` the contact, `?2` an instant, `?3` a number, `?4` how many. Those of the
    /// instant itself come with a smaller number, or a smaller kind.
    fn rows<T>(
        &self,
        kind: u8,
        sql: &str,
        mut read: impl FnMut(&Row<'_>) -> Result<(i64, i64, T)>,
    ) -> Result<Vec<(MomentPlace, T)>> {
        let (at, last, no) = self.after;
        let no = match kind.cmp(&last) {
            std::cmp::Ordering::Less => i64::MAX,
            std::cmp::Ordering::Equal => no,
            std::cmp::Ordering::Greater => i64::MIN,
        };
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        let mut query = self.connection.prepare_cached(sql).map_err(driver)?;
        let mut rows = query.query((self.contact.0, at.0, no, limit)).map_err(driver)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(driver)? {
            let (at, no, moment) = read(row)?;
            found.push(((Timestamp(at), kind, no), moment));
        }
        Ok(found)
    }

    fn events(&self) -> Result<Vec<(MomentPlace, Moment)>> {
        let names = kind_names(self.connection)?;
        self.rows(
            EVENT,
            "SELECT at, event_no, kind_id, received_at, message_id, properties FROM events
             WHERE contact_id = ?1 AND (at, event_no) < (?2, ?3) ORDER BY at DESC, event_no DESC LIMIT ?4",
            |row| {
                let (at, no): (i64, i64) = (row.get(0).map_err(driver)?, row.get(1).map_err(driver)?);
                let kind: i64 = row.get(2).map_err(driver)?;
                let properties = text(row, 5).map_err(driver)?;
                let event = Event {
                    contact: self.contact,
                    at: Timestamp(at),
                    received_at: Timestamp(row.get(3).map_err(driver)?),
                    kind: names
                        .get(&kind)
                        .cloned()
                        .ok_or_else(|| inconsistent("events", no, "its kind is unknown"))?,
                    message_id: row.get(4).map_err(driver)?,
                    properties: match properties {
                        "" => serde_json::Map::new(),
                        json => from_json("events", no, json)?,
                    },
                };
                Ok((at, no, Moment::Event(event)))
            },
        )
    }

    /// Those that are not in the history yet.
    fn recent_events(&self, recent: &Recent) -> Result<Vec<(MomentPlace, Moment)>> {
        let all = (Timestamp::MIN, Timestamp::MAX);
        let contacts = self.contact.0..=self.contact.0;
        let mut marks = recent.look(self.connection)?.of_contacts(&contacts, all, |_| true);
        let place = |mark: &Mark| (Timestamp(mark.at), EVENT, mark.no);
        marks.retain(|mark| place(mark) < self.after);
        marks.reverse();
        marks.truncate(self.limit);
        let names = kind_names(self.connection)?;
        marks
            .into_iter()
            .map(|mark| {
                let kind = names
                    .get(&mark.kind)
                    .ok_or_else(|| inconsistent("recent_events", mark.no, "its kind is unknown"))?;
                let event = recent::load(self.connection, mark, kind)?;
                Ok((place(&mark), Moment::Event(event)))
            })
            .collect()
    }

    fn orders(&self) -> Result<Vec<(MomentPlace, Moment)>> {
        self.rows(
            ORDER,
            &format!(
                "SELECT {ORDER_COLUMNS} FROM orders
                 WHERE contact_id = ?1 AND (at, order_no) < (?2, ?3) ORDER BY at DESC, order_no DESC LIMIT ?4"
            ),
            |row| {
                let order = read_order(row)?;
                Ok((order.at.0, order.no.0, Moment::Order(order)))
            },
        )
    }

    fn messages(&self) -> Result<Vec<(MomentPlace, Moment)>> {
        let due = self.rows(
            MESSAGE,
            "SELECT due, seq FROM outbox INDEXED BY outbox_contact
             WHERE contact_id = ?1 AND (due, seq) < (?2, ?3) ORDER BY due DESC, seq DESC LIMIT ?4",
            |row| Ok((row.get(0).map_err(driver)?, row.get(1).map_err(driver)?, ())),
        )?;
        let mut found = Vec::with_capacity(due.len());
        for (place, ()) in due {
            let row = outbox::one(self.connection, place.2)?;
            found.extend(row.map(|row| (place, Moment::Message(row))));
        }
        Ok(found)
    }

    /// A contact has few; they are not in the order of their instants.
    fn enrolments(&self) -> Result<Vec<(MomentPlace, Moment)>> {
        self.rows(
            ENTERED,
            "SELECT entered_at, run_id, journey, version, trace FROM enrolments JOIN journey_runs USING (run_id)
             WHERE contact_id = ?1 AND (entered_at, run_id) < (?2, ?3)
             ORDER BY entered_at DESC, run_id DESC LIMIT ?4",
            |row| {
                let (at, run): (i64, i64) = (row.get(0).map_err(driver)?, row.get(1).map_err(driver)?);
                let enrolment = Enrolment {
                    run,
                    journey: crate::journeys::slug(row, 2)?,
                    version: row.get(3).map_err(driver)?,
                    at: Timestamp(at),
                    trace: blob(row, 4).map_err(driver)?.to_vec(),
                };
                Ok((at, run, Moment::Entered(enrolment)))
            },
        )
    }
}
