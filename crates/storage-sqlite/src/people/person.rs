//! Everything that is kept of one contact.

use std::collections::BTreeSet;

use model::{Cart, ContactId, Order, ProductId, Timestamp};
use rusqlite::{Connection, Row};
use storage::{
    Result,
    contacts::IdentifierKind,
    journeys::Enrolment,
    outbox::{AddressHash, Channel, MessageFilter},
    people::{HeldCoupon, Person},
};

use crate::{
    contacts::load_one,
    events,
    orders::{ORDER_COLUMNS, read_order},
    outbox,
    pool::driver,
    recent::Recent,
    rows::{blob, inconsistent},
    segment_scans::open_carts_of,
};

/// Reads it; the caller's transaction makes it one moment.
pub(super) fn load(
    connection: &Connection,
    recent: &Recent,
    id: ContactId,
    now: Timestamp,
) -> Result<Option<Person>> {
    let Some(contact) = load_one(connection, id)? else { return Ok(None) };
    let also = beside(connection, id)?;
    let orders = orders(connection, id)?;
    let carts = open_carts_of(connection, &[id])?;
    let mut suppressions = Vec::new();
    for address in addresses(&contact, &also) {
        suppressions.extend(outbox::suppression(connection, address, now)?);
    }
    let messages = MessageFilter { contact: Some(id), ..MessageFilter::default() };
    Ok(Some(Person {
        merged: merged(connection, id)?,
        events: events::of_kinds(connection, recent, &[id], &[], (Timestamp::MIN, Timestamp::MAX))?,
        messages: outbox::list(connection, &messages, 0, i32::MAX as usize)?,
        enrolments: enrolments(connection, id)?,
        coupons: coupons(connection, id)?,
        products: products(connection, &orders, &carts)?,
        contact,
        also,
        orders,
        carts,
        suppressions,
    }))
}

/// What a contact is known by beside its profile.
pub(super) fn beside(connection: &Connection, id: ContactId) -> Result<Vec<(IdentifierKind, String)>> {
    let read = |row: &Row<'_>| Ok((row.get::<_, u8>(0)?, row.get(1)?));
    let found: Vec<(u8, String)> = connection
        .prepare_cached(
            "SELECT kind, value FROM identifiers WHERE contact_id = ?1 AND beside = 1 ORDER BY kind, value",
        )
        .and_then(|mut query| query.query_map([id.0], read)?.collect())
        .map_err(driver)?;
    found
        .into_iter()
        .map(|(number, value)| {
            let kind = IdentifierKind::from_number(number)
                .ok_or_else(|| inconsistent("identifiers", id, format!("no kind has the number {number}")))?;
            Ok((kind, value))
        })
        .collect()
}

/// Hashes of all addresses that a contact has or had.
pub(super) fn addresses(
    contact: &model::Contact,
    also: &[(IdentifierKind, String)],
) -> BTreeSet<AddressHash> {
    let own = contact.email.iter().map(|email| (Channel::Email, email));
    let phone = contact.phone.iter().map(|phone| (Channel::Sms, phone));
    let former = also.iter().filter_map(|(kind, value)| match kind {
        IdentifierKind::Email => Some((Channel::Email, value)),
        IdentifierKind::Phone => Some((Channel::Sms, value)),
        IdentifierKind::ExternalId | IdentifierKind::Anonymous => None,
    });
    let push = contact.push.iter().map(|push| (Channel::WebPush, &push.endpoint));
    own.chain(phone)
        .chain(former)
        .chain(push)
        .map(|(channel, address)| AddressHash::of(channel, address))
        .collect()
}

fn merged(connection: &Connection, id: ContactId) -> Result<Vec<(ContactId, Timestamp)>> {
    connection
        .prepare_cached("SELECT contact_id, at FROM departures WHERE became = ?1 ORDER BY departure_no")
        .and_then(|mut query| {
            query.query_map([id.0], |row| Ok((ContactId(row.get(0)?), Timestamp(row.get(1)?))))?.collect()
        })
        .map_err(driver)
}

fn orders(connection: &Connection, id: ContactId) -> Result<Vec<Order>> {
    let mut query = connection
        .prepare_cached(&format!(
            "SELECT {ORDER_COLUMNS} FROM orders WHERE contact_id = ?1 ORDER BY at, order_no"
        ))
        .map_err(driver)?;
    let mut rows = query.query([id.0]).map_err(driver)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        found.push(read_order(row)?);
    }
    Ok(found)
}

fn enrolments(connection: &Connection, id: ContactId) -> Result<Vec<Enrolment>> {
    let mut query = connection
        .prepare_cached(
            "SELECT run_id, journey, version, entered_at, trace FROM enrolments JOIN journey_runs USING (run_id)
             WHERE contact_id = ?1 ORDER BY entered_at, run_id, enrolments.ordinal",
        )
        .map_err(driver)?;
    let mut rows = query.query([id.0]).map_err(driver)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        found.push(Enrolment {
            run: row.get(0).map_err(driver)?,
            journey: crate::journeys::slug(row, 1)?,
            version: row.get(2).map_err(driver)?,
            at: Timestamp(row.get(3).map_err(driver)?),
            trace: blob(row, 4).map_err(driver)?.to_vec(),
        });
    }
    Ok(found)
}

fn coupons(connection: &Connection, id: ContactId) -> Result<Vec<HeldCoupon>> {
    let instant = |row: &Row<'_>, column| -> rusqlite::Result<_> {
        Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
    };
    let read = |row: &Row<'_>| {
        Ok(HeldCoupon {
            set: row.get(0)?,
            code: row.get(1)?,
            at: Timestamp(row.get(2)?),
            expires_at: instant(row, 3)?,
            redeemed_at: instant(row, 4)?,
            order_id: row.get(5)?,
        })
    };
    connection
        .prepare_cached(
            "SELECT slug, code, at, expires_at, redeemed_at, order_id FROM coupon_uses JOIN coupon_sets USING (set_id)
             WHERE contact_id = ?1 ORDER BY use_no",
        )
        .and_then(|mut query| query.query_map([id.0], read)?.collect())
        .map_err(driver)
}

/// Ids of the shop and names of the products that these hold.
fn products(
    connection: &Connection,
    orders: &[Order],
    carts: &[Cart],
) -> Result<Vec<(ProductId, String, String)>> {
    let lines = orders.iter().flat_map(|order| &order.lines).chain(carts.iter().flat_map(|cart| &cart.lines));
    let ids: BTreeSet<ProductId> = lines.map(|line| line.product).collect();
    let mut query = connection
        .prepare_cached(
            "SELECT external_id, ifnull(json_extract(profile, '$.name'), external_id) FROM products WHERE product_id = ?1",
        )
        .map_err(driver)?;
    ids.into_iter()
        .map(|id| query.query_row([id.0], |row| Ok((id, row.get(0)?, row.get(1)?))).map_err(driver))
        .collect()
}
