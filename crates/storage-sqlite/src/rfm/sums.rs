//! What orders inside a window come to: of single contacts, of everybody, and what flows in and out of the window.

use model::{ContactId, Problem, Timestamp};
use rusqlite::Connection;
use storage::{
    Result,
    rfm::{OrderFlow, Window, WindowSums},
};

use crate::pool::driver;

/// Refuses sums that an i64 of ten-thousandths does not hold: 922 milliards of milliards are no customer's orders.
fn too_large(contact: i64) -> Problem {
    Problem::new(
        "rfm.sum_too_large",
        format!("the orders of contact {contact} come to more than can be counted"),
    )
    .cure("check the amounts of that contact's orders")
}

fn add(sums: &mut WindowSums, contact: i64, at: i64, net: i64, window: Window) -> Result<()> {
    if window.positive_only && net <= 0 {
        return Ok(());
    }
    if at < window.since.0 {
        sums.earlier = true;
        return Ok(());
    }
    sums.spent = sums.spent.checked_add(net).ok_or_else(|| too_large(contact))?;
    sums.last_at = if sums.orders == 0 { Timestamp(at) } else { sums.last_at.max(Timestamp(at)) };
    sums.orders = sums.orders.saturating_add(1);
    Ok(())
}

/// Of single contacts, from their own orders.
pub(super) fn of_contacts(
    connection: &Connection,
    contacts: &[ContactId],
    window: Window,
) -> Result<Vec<WindowSums>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT at, total - refunded FROM orders WHERE contact_id = ?1 AND at < ?2 AND status = 0",
        )
        .map_err(driver)?;
    let mut answers = Vec::with_capacity(contacts.len());
    for contact in contacts {
        let mut sums = WindowSums::default();
        let mut rows = statement.query((contact.0, window.until.0)).map_err(driver)?;
        while let Some(row) = rows.next().map_err(driver)? {
            let (at, net) = (row.get(0).map_err(driver)?, row.get(1).map_err(driver)?);
            add(&mut sums, contact.0, at, net, window)?;
        }
        answers.push(sums);
    }
    Ok(answers)
}

/// Of everybody who has an order that counts, ascending by contact: one pass over the index by time.
pub(super) fn of_all(connection: &Connection, window: Window) -> Result<Vec<(ContactId, WindowSums)>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT contact_id, at, total - refunded FROM orders INDEXED BY orders_by_time
             WHERE at < ?1 AND contact_id > 0 AND status = 0",
        )
        .map_err(driver)?;
    let mut rows = statement.query([window.until.0]).map_err(driver)?;
    // Contact ids are dense: one place each, found without a search.
    let mut all: Vec<WindowSums> = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let contact: i64 = row.get(0).map_err(driver)?;
        let place = contact as usize;
        if place >= all.len() {
            all.resize((place + 1).max(all.len() * 2), WindowSums::default());
        }
        let (at, net) = (row.get(1).map_err(driver)?, row.get(2).map_err(driver)?);
        add(&mut all[place], contact, at, net, window)?;
    }
    Ok(all
        .into_iter()
        .enumerate()
        .filter(|(_, sums)| sums.orders > 0 || sums.earlier)
        .map(|(id, sums)| (ContactId(id as i64), sums))
        .collect())
}

/// The orders with `since <= at < until` of contacts who are not in `dirty` (ascending), as coming in or leaving.
pub(super) fn flow(
    connection: &Connection,
    window: Window,
    entered: bool,
    dirty: &[ContactId],
    out: &mut Vec<OrderFlow>,
) -> Result<()> {
    let mut statement = connection
        .prepare_cached(
            "SELECT contact_id, at, total - refunded FROM orders INDEXED BY orders_by_time
             WHERE at >= ?1 AND at < ?2 AND contact_id > 0 AND status = 0",
        )
        .map_err(driver)?;
    let mut rows = statement.query((window.since.0, window.until.0)).map_err(driver)?;
    while let Some(row) = rows.next().map_err(driver)? {
        let (contact, at) = (ContactId(row.get(0).map_err(driver)?), row.get(1).map_err(driver)?);
        let net: i64 = row.get(2).map_err(driver)?;
        if (window.positive_only && net <= 0) || dirty.binary_search(&contact).is_ok() {
            continue;
        }
        out.push(OrderFlow { contact, at: Timestamp(at), net, entered });
    }
    Ok(())
}
