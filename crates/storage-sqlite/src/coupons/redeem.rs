//! Codes that orders use.

use model::{ContactId, Slug};
use rusqlite::{Connection, OptionalExtension};
use storage::{
    Result,
    coupons::{Redeemed, Redemption},
};

use super::{SharedCodes, counted, give, make_set, note_low};
use crate::{
    pool::driver,
    rows::{inconsistent, take_numbers},
};

/// Marks the codes that an order names as used; answers with those that were not marked before.
pub(crate) fn redeem(
    connection: &Connection,
    shared: &SharedCodes,
    redemption: &Redemption,
) -> Result<Vec<Redeemed>> {
    let mut out = Vec::new();
    for code in &redemption.codes {
        let code = code.trim();
        let redeemed = match shared.get(&code.to_ascii_uppercase()) {
            Some((set, code)) => redeem_shared(connection, set, code, redemption)?,
            None => redeem_single(connection, code, redemption)?,
        };
        out.extend(redeemed);
    }
    Ok(out)
}

fn redeem_single(connection: &Connection, code: &str, redemption: &Redemption) -> Result<Option<Redeemed>> {
    let found: Option<(i64, String, i64, String)> = connection
        .prepare_cached(
            "SELECT set_id, code, coupon_codes.given, slug FROM coupon_codes JOIN coupon_sets USING (set_id)
             WHERE code = ?1",
        )
        .map_err(driver)?
        .query_row([code], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()
        .map_err(driver)?;
    let Some((id, code, given, slug)) = found else { return Ok(None) };
    let set = Slug::parse(&slug).map_err(|problem| inconsistent("coupon_sets", &slug, problem.message))?;
    if given == 0 {
        // Nobody was given it: it was handed out by other means, and must not be given to anybody now.
        give(connection, id, &code)?;
        insert_used(connection, id, &code, true, redemption)?;
        note_low(connection, &set, redemption.at)?;
        return Ok(Some(Redeemed { set, code, contact: redemption.contact }));
    }
    let holder: Option<(i64, i64)> = connection
        .prepare_cached(
            "SELECT contact_id, use_no FROM coupon_uses WHERE set_id = ?1 AND code = ?2 AND redeemed_at IS NULL",
        )
        .map_err(driver)?
        .query_row((id, &code), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .map_err(driver)?;
    let Some(holder) = holder else { return Ok(None) };
    mark(connection, id, holder, redemption)?;
    Ok(Some(Redeemed { set, code, contact: redeemer(redemption, holder.0) }))
}

fn redeem_shared(
    connection: &Connection,
    set: &Slug,
    code: &str,
    redemption: &Redemption,
) -> Result<Option<Redeemed>> {
    let id = make_set(connection, set)?;
    let known = connection
        .prepare_cached(
            "SELECT 1 FROM coupon_uses WHERE contact_id = ?1 AND set_id = ?2 AND order_id = ?3 LIMIT 1",
        )
        .map_err(driver)?
        .exists((redemption.contact.0, id, &redemption.order_id))
        .map_err(driver)?;
    if known {
        return Ok(None);
    }
    let open: Option<i64> = connection
        .prepare_cached(
            "SELECT use_no FROM coupon_uses WHERE contact_id = ?1 AND set_id = ?2 AND redeemed_at IS NULL
             ORDER BY use_no LIMIT 1",
        )
        .map_err(driver)?
        .query_row((redemption.contact.0, id), |row| row.get(0))
        .optional()
        .map_err(driver)?;
    match open {
        Some(no) => mark(connection, id, (redemption.contact.0, no), redemption)?,
        None => {
            insert_used(connection, id, code, false, redemption)?;
            note_low(connection, set, redemption.at)?;
        }
    }
    Ok(Some(Redeemed { set: set.clone(), code: code.to_owned(), contact: redemption.contact }))
}

/// Who used a code: whose order it is, else who was given it.
fn redeemer(redemption: &Redemption, holder: i64) -> ContactId {
    if redemption.contact.0 == 0 { ContactId(holder) } else { redemption.contact }
}

fn mark(connection: &Connection, set: i64, (holder, no): (i64, i64), redemption: &Redemption) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE coupon_uses SET redeemed_at = ?4, redeemed_by = ?5, order_id = ?6, net = ?7
             WHERE contact_id = ?1 AND set_id = ?2 AND use_no = ?3",
        )
        .map_err(driver)?
        .execute((
            holder,
            set,
            no,
            redemption.at.0,
            redeemer(redemption, holder).0,
            &redemption.order_id,
            redemption.net.0,
        ))
        .map_err(driver)?;
    Ok(())
}

/// A code that was used without being given.
fn insert_used(
    connection: &Connection,
    set: i64,
    code: &str,
    single: bool,
    redemption: &Redemption,
) -> Result<()> {
    let no = take_numbers(connection, "coupon_use", 1)?;
    connection
        .prepare_cached(
            "INSERT INTO coupon_uses
               (contact_id, set_id, use_no, code, at, redeemed_at, redeemed_by, order_id, net)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?1, ?6, ?7)",
        )
        .map_err(driver)?
        .execute((
            redemption.contact.0,
            set,
            no,
            code,
            redemption.at.0,
            &redemption.order_id,
            redemption.net.0,
        ))
        .map_err(driver)?;
    counted(connection, set, single)
}
