//! The scans that a new segment is built from. Each runs over a range of contacts, so that several run beside each other.

use model::{Cart, Contact, ContactId, Event, Order, OrderNo, Timestamp, Totals};
use rusqlite::{Connection, OptionalExtension, Row};
use storage::{
    Result,
    segments::{EventMark, IdRange, OrderMark},
};

use crate::{
    contacts::read_profile,
    events::parse_properties,
    orders::{ORDER_COLUMNS, read_cart, read_order},
    pool::driver,
    recent::{self, Recent},
    rows::text,
};

/// From when (included) to when (excluded).
pub(crate) type Span = (Timestamp, Timestamp);

fn kind_no(connection: &Connection, kind: &str) -> Result<Option<i64>> {
    connection
        .prepare_cached("SELECT kind_id FROM event_kinds WHERE name = ?1")
        .map_err(driver)?
        .query_row([kind], |row| row.get(0))
        .optional()
        .map_err(driver)
}

pub(crate) fn event_marks<T>(
    connection: &Connection,
    recent: &Recent,
    kind: &str,
    contacts: &IdRange,
    (since, until): Span,
    mut answer: T,
    mut fold: impl FnMut(&mut T, EventMark),
) -> Result<T> {
    let Some(kind) = kind_no(connection, kind)? else { return Ok(answer) };
    let mut apart = recent
        .look(connection)?
        .of_contacts(contacts, (since, until), |of| of == kind)
        .into_iter()
        .map(|mark| EventMark { contact: ContactId(mark.contact), at: Timestamp(mark.at) })
        .peekable();
    // The index alone answers. An order by the same columns costs nothing.
    let mut statement = connection
        .prepare_cached(
            "SELECT contact_id, at FROM events INDEXED BY events_by_kind
             WHERE kind_id = ?1 AND contact_id >= ?2 AND contact_id <= ?3 AND at >= ?4 AND at < ?5
             ORDER BY contact_id, at",
        )
        .map_err(driver)?;
    let mut rows =
        statement.query((kind, contacts.start(), contacts.end(), since.0, until.0)).map_err(driver)?;
    while let Some(row) = rows.next().map_err(driver)? {
        let contact = ContactId(row.get(0).map_err(driver)?);
        let mark = EventMark { contact, at: Timestamp(row.get(1).map_err(driver)?) };
        while let Some(before) = apart.next_if(|apart| (apart.contact, apart.at) < (mark.contact, mark.at)) {
            fold(&mut answer, before);
        }
        fold(&mut answer, mark);
    }
    apart.for_each(|mark| fold(&mut answer, mark));
    Ok(answer)
}

pub(crate) fn events<T>(
    connection: &Connection,
    recent: &Recent,
    kind: &str,
    contacts: &IdRange,
    (since, until): Span,
    mut answer: T,
    mut fold: impl FnMut(&mut T, &Event),
) -> Result<T> {
    let Some(no) = kind_no(connection, kind)? else { return Ok(answer) };
    let apart = recent.look(connection)?.of_contacts(contacts, (since, until), |of| of == no);
    let mut apart = apart.into_iter().peekable();
    let mut statement = connection
        .prepare_cached(
            "SELECT contact_id, at, received_at, message_id, properties, event_no
             FROM events INDEXED BY events_by_kind
             WHERE kind_id = ?1 AND contact_id >= ?2 AND contact_id <= ?3 AND at >= ?4 AND at < ?5
             ORDER BY contact_id, at, event_no",
        )
        .map_err(driver)?;
    let mut rows =
        statement.query((no, contacts.start(), contacts.end(), since.0, until.0)).map_err(driver)?;
    while let Some(row) = rows.next().map_err(driver)? {
        if apart.peek().is_some() {
            let get = |column| row.get::<_, i64>(column).map_err(driver);
            let place = (get(0)?, get(1)?, get(5)?);
            while let Some(mark) = apart.next_if(|mark| mark.place() < place) {
                fold(&mut answer, &recent::load(connection, mark, kind)?);
            }
        }
        fold(&mut answer, &event(kind, row)?);
    }
    for mark in apart {
        fold(&mut answer, &recent::load(connection, mark, kind)?);
    }
    Ok(answer)
}

fn event(kind: &str, row: &Row<'_>) -> Result<Event> {
    let contact: i64 = row.get(0).map_err(driver)?;
    let at: i64 = row.get(1).map_err(driver)?;
    Ok(Event {
        contact: ContactId(contact),
        at: Timestamp(at),
        received_at: Timestamp(row.get(2).map_err(driver)?),
        kind: kind.to_owned(),
        message_id: row.get(3).map_err(driver)?,
        properties: parse_properties(
            "events",
            format_args!("{contact}, {at}"),
            text(row, 4).map_err(driver)?,
        )?,
    })
}

pub(crate) fn order_marks<T>(
    connection: &Connection,
    contacts: &IdRange,
    (since, until): Span,
    by_time: bool,
    mut answer: T,
    mut fold: impl FnMut(&mut T, OrderMark),
) -> Result<T> {
    // By time the index alone answers; by contact the table does, without unpacking its lines.
    let sql = if by_time {
        "SELECT contact_id, at, order_no, total, refunded FROM orders INDEXED BY orders_by_time
         WHERE at >= ?3 AND at < ?4 AND contact_id >= ?1 AND contact_id <= ?2 AND status = 0"
    } else {
        "SELECT contact_id, at, order_no, total, refunded FROM orders
         WHERE contact_id >= ?1 AND contact_id <= ?2 AND at >= ?3 AND at < ?4 AND status = 0
         ORDER BY contact_id, at, order_no"
    };
    let mut statement = connection.prepare_cached(sql).map_err(driver)?;
    let mut rows = statement.query((contacts.start(), contacts.end(), since.0, until.0)).map_err(driver)?;
    while let Some(row) = rows.next().map_err(driver)? {
        let mark = OrderMark {
            contact: ContactId(row.get(0).map_err(driver)?),
            at: Timestamp(row.get(1).map_err(driver)?),
            no: OrderNo(row.get(2).map_err(driver)?),
            total: row.get(3).map_err(driver)?,
            refunded: row.get(4).map_err(driver)?,
        };
        fold(&mut answer, mark);
    }
    Ok(answer)
}

pub(crate) fn orders<T>(
    connection: &Connection,
    contacts: &IdRange,
    (since, until): Span,
    mut answer: T,
    mut fold: impl FnMut(&mut T, &Order),
) -> Result<T> {
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT {ORDER_COLUMNS} FROM orders
             WHERE contact_id >= ?1 AND contact_id <= ?2 AND at >= ?3 AND at < ?4
             ORDER BY contact_id, at, order_no"
        ))
        .map_err(driver)?;
    let mut rows = statement.query((contacts.start(), contacts.end(), since.0, until.0)).map_err(driver)?;
    while let Some(row) = rows.next().map_err(driver)? {
        fold(&mut answer, &read_order(row)?);
    }
    Ok(answer)
}

pub(crate) fn profiles<T>(
    connection: &Connection,
    contacts: &IdRange,
    mut answer: T,
    mut fold: impl FnMut(&mut T, &Contact, &Totals),
) -> Result<T> {
    let mut statement = connection
        .prepare_cached(
            "SELECT c.contact_id, c.profile, t.first_order_at, t.last_order_at, t.orders, t.spent
             FROM contacts AS c LEFT JOIN contact_totals AS t ON t.contact_id = c.contact_id
             WHERE c.contact_id >= ?1 AND c.contact_id <= ?2 ORDER BY c.contact_id",
        )
        .map_err(driver)?;
    let mut rows = statement.query((contacts.start(), contacts.end())).map_err(driver)?;
    while let Some(row) = rows.next().map_err(driver)? {
        let id: i64 = row.get(0).map_err(driver)?;
        let contact = read_profile(ContactId(id), text(row, 1).map_err(driver)?)?;
        let instant = |column| -> Result<Option<Timestamp>> {
            Ok(row.get::<_, Option<i64>>(column).map_err(driver)?.map(Timestamp))
        };
        let totals = Totals {
            first_order_at: instant(2)?,
            last_order_at: instant(3)?,
            orders: row.get::<_, Option<u32>>(4).map_err(driver)?.unwrap_or_default(),
            spent: row.get::<_, Option<i64>>(5).map_err(driver)?.unwrap_or_default(),
        };
        fold(&mut answer, &contact, &totals);
    }
    Ok(answer)
}

/// The open carts of these contacts.
pub(crate) fn open_carts_of(connection: &Connection, contacts: &[ContactId]) -> Result<Vec<Cart>> {
    let push = |carts: &mut Vec<Cart>, cart: &Cart| carts.push(cart.clone());
    contacts.iter().try_fold(Vec::new(), |carts, id| open_carts(connection, &(id.0..=id.0), carts, push))
}

pub(crate) fn open_carts<T>(
    connection: &Connection,
    contacts: &IdRange,
    mut answer: T,
    mut fold: impl FnMut(&mut T, &Cart),
) -> Result<T> {
    let mut statement = connection
        .prepare_cached(
            "SELECT cart_no, external_id, updated_at, total, currency, recovery_url, lines, contact_id FROM carts
             WHERE contact_id >= ?1 AND contact_id <= ?2 ORDER BY contact_id, cart_no",
        )
        .map_err(driver)?;
    let mut rows = statement.query((contacts.start(), contacts.end())).map_err(driver)?;
    while let Some(row) = rows.next().map_err(driver)? {
        let contact = ContactId(row.get(7).map_err(driver)?);
        fold(&mut answer, &read_cart(contact, row)?);
    }
    Ok(answer)
}
