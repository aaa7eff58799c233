//! See `storage::coupons`. [`conflicts`] and [`assign`] are parts of the engine's one commit.

mod redeem;

use std::collections::{HashMap, HashSet};

use model::{ContactId, CouponKind, CouponSet, Problem, Slug, Timestamp, coupon::check_code};
use rusqlite::{Connection, OptionalExtension};
use storage::{
    Result, Urgency,
    coupons::{
        AddedCodes, CouponCounts, CouponStock, CouponStore, FreeCode, HeldCode, LowStock, Redeemed,
        Redemption,
    },
    live::CouponUse,
    settings::DefinitionKind,
};

use crate::{
    Sqlite,
    pool::driver,
    rows::{inconsistent, take_numbers},
};

pub(crate) use redeem::redeem;

impl CouponStore for Sqlite {
    async fn add_codes(&self, set: Slug, codes: Vec<String>, now: Timestamp) -> Result<AddedCodes> {
        let _ = now;
        self.write(Urgency::Bulk, move |transaction| add(transaction, &set, &codes, CouponSet::CODES_MAX))
            .await
    }

    async fn free_codes(&self, set: Slug, after: i64, limit: usize) -> Result<Vec<FreeCode>> {
        self.read(move |connection| {
            let Some(set) = set_id(connection, &set)? else { return Ok(Vec::new()) };
            let mut query = connection
                .prepare_cached(
                    "SELECT code_no, code FROM coupon_codes
                     WHERE set_id = ?1 AND given = 0 AND code_no > ?2 ORDER BY code_no LIMIT ?3",
                )
                .map_err(driver)?;
            let rows = query
                .query_map((set, after, limit as i64), |row| {
                    Ok(FreeCode { no: row.get(0)?, code: row.get(1)? })
                })
                .map_err(driver)?;
            rows.collect::<rusqlite::Result<_>>().map_err(driver)
        })
        .await
    }

    async fn held_codes(&self, set: Slug, contacts: Vec<ContactId>) -> Result<Vec<Vec<HeldCode>>> {
        self.read(move |connection| {
            let Some(set) = set_id(connection, &set)? else { return Ok(vec![Vec::new(); contacts.len()]) };
            let mut query = connection
                .prepare_cached(
                    "SELECT code, at, expires_at, redeemed_at FROM coupon_uses
                     WHERE contact_id = ?1 AND set_id = ?2 ORDER BY use_no DESC",
                )
                .map_err(driver)?;
            let mut held = Vec::with_capacity(contacts.len());
            for contact in contacts {
                let rows = query
                    .query_map((contact.0, set), |row| {
                        Ok(HeldCode {
                            code: row.get(0)?,
                            at: Timestamp(row.get(1)?),
                            expires_at: row.get::<_, Option<i64>>(2)?.map(Timestamp),
                            redeemed: row.get::<_, Option<i64>>(3)?.is_some(),
                        })
                    })
                    .map_err(driver)?;
                held.push(rows.collect::<rusqlite::Result<_>>().map_err(driver)?);
            }
            Ok(held)
        })
        .await
    }

    async fn coupon_stocks(&self, sets: Vec<Slug>) -> Result<Vec<CouponStock>> {
        self.read(move |connection| sets.iter().map(|set| stock(connection, set)).collect()).await
    }

    async fn count_codes(&self, set: Slug, now: Timestamp) -> Result<CouponCounts> {
        self.read(move |connection| count(connection, &set, now)).await
    }

    async fn count_codes_of(&self, sets: Vec<Slug>, now: Timestamp) -> Result<Vec<CouponCounts>> {
        self.read(move |connection| sets.iter().map(|set| count(connection, set, now)).collect()).await
    }

    async fn redeem_codes(&self, redemptions: Vec<Redemption>) -> Result<Vec<Redeemed>> {
        self.write(Urgency::Normal, move |transaction| {
            let shared = shared_codes(transaction)?;
            let mut redeemed = Vec::new();
            for redemption in &redemptions {
                redeemed.extend(redeem(transaction, &shared, redemption)?);
            }
            Ok(redeemed)
        })
        .await
    }

    async fn take_low_stock(&self) -> Result<Vec<LowStock>> {
        self.write(Urgency::Normal, |transaction| {
            let mut query = transaction
                .prepare_cached(
                    "UPDATE coupon_sets SET low_told = 1 WHERE low_since IS NOT NULL AND low_told = 0
                     RETURNING slug, low_since, free, given",
                )
                .map_err(driver)?;
            let mut rows = query.query([]).map_err(driver)?;
            let mut low = Vec::new();
            while let Some(row) = rows.next().map_err(driver)? {
                let slug: String = row.get(0).map_err(driver)?;
                let set = Slug::parse(&slug)
                    .map_err(|problem| inconsistent("coupon_sets", &slug, problem.message))?;
                let stock = CouponStock {
                    free: row.get::<_, i64>(2).map_err(driver)?.unsigned_abs(),
                    given: row.get::<_, i64>(3).map_err(driver)?.unsigned_abs(),
                };
                let left =
                    terms(transaction, &set)?.and_then(|terms| left(&terms, stock)).unwrap_or(stock.free);
                low.push(LowStock { set, left, since: Timestamp(row.get(1).map_err(driver)?) });
            }
            Ok(low)
        })
        .await
    }
}

/// How many codes of a set can still be given; none: without end.
fn left(terms: &CouponSet, stock: CouponStock) -> Option<u64> {
    let by_limit = terms.limit.map(|limit| limit.saturating_sub(stock.given));
    match terms.kind {
        CouponKind::Shared { .. } => by_limit,
        CouponKind::SingleUse => Some(by_limit.map_or(stock.free, |limit| limit.min(stock.free))),
    }
}

fn set_id(connection: &Connection, set: &Slug) -> Result<Option<i64>> {
    connection
        .prepare_cached("SELECT set_id FROM coupon_sets WHERE slug = ?1")
        .map_err(driver)?
        .query_row([set.as_str()], |row| row.get(0))
        .optional()
        .map_err(driver)
}

fn make_set(connection: &Connection, set: &Slug) -> Result<i64> {
    if let Some(id) = set_id(connection, set)? {
        return Ok(id);
    }
    connection
        .prepare_cached("INSERT INTO coupon_sets (slug) VALUES (?1) RETURNING set_id")
        .map_err(driver)?
        .query_row([set.as_str()], |row| row.get(0))
        .map_err(driver)
}

fn stock(connection: &Connection, set: &Slug) -> Result<CouponStock> {
    let found = connection
        .prepare_cached("SELECT free, given FROM coupon_sets WHERE slug = ?1")
        .map_err(driver)?
        .query_row([set.as_str()], |row| {
            Ok(CouponStock {
                free: row.get::<_, i64>(0)?.unsigned_abs(),
                given: row.get::<_, i64>(1)?.unsigned_abs(),
            })
        })
        .optional()
        .map_err(driver)?;
    Ok(found.unwrap_or_default())
}

/// The terms of a set as they stand now; none when nobody saved them.
fn terms(connection: &Connection, set: &Slug) -> Result<Option<CouponSet>> {
    let json: Option<String> = connection
        .prepare_cached(
            "SELECT content FROM definitions WHERE kind = ?1 AND slug = ?2 ORDER BY version DESC LIMIT 1",
        )
        .map_err(driver)?
        .query_row((DefinitionKind::CouponSet as u8, set.as_str()), |row| row.get(0))
        .optional()
        .map_err(driver)?;
    // One that was taken back has none any more.
    json.filter(|json| json != "null").map(|json| read_terms(set.as_str(), &json)).transpose()
}

fn read_terms(set: &str, json: &str) -> Result<CouponSet> {
    let tree = crate::rows::from_json("definitions", set, json)?;
    CouponSet::from_json(&tree).map_err(|problem| inconsistent("definitions", set, problem.message))
}

/// Forgets the codes of a set that nobody was given, so that another may have them. What was given stays.
pub(crate) fn forget_free(connection: &Connection, set: &Slug) -> Result<()> {
    let Some(id) = set_id(connection, set)? else { return Ok(()) };
    for sql in [
        "DELETE FROM coupon_codes WHERE set_id = ?1 AND given = 0",
        "UPDATE coupon_sets SET free = 0, low_since = NULL, low_told = 0 WHERE set_id = ?1",
    ] {
        connection.prepare_cached(sql).and_then(|mut change| change.execute([id])).map_err(driver)?;
    }
    Ok(())
}

/// Adds codes to a set that holds at most `max`.
fn add(connection: &Connection, set: &Slug, codes: &[String], max: u64) -> Result<AddedCodes> {
    let id = make_set(connection, set)?;
    let mut room = {
        let known: i64 = connection
            .prepare_cached("SELECT count(*) FROM coupon_codes WHERE set_id = ?1")
            .map_err(driver)?
            .query_row([id], |row| row.get(0))
            .map_err(driver)?;
        max.saturating_sub(known.unsigned_abs())
    };
    let shared = shared_codes(connection)?;
    let mut owner =
        connection.prepare_cached("SELECT set_id FROM coupon_codes WHERE code = ?1").map_err(driver)?;
    let mut insert = connection
        .prepare_cached(
            "INSERT INTO coupon_codes (set_id, code) VALUES (?1, ?2) ON CONFLICT (code) DO NOTHING",
        )
        .map_err(driver)?;
    let mut out = AddedCodes::default();
    for (index, code) in codes.iter().enumerate() {
        let refusal = if let Err(problem) = check_code(code) {
            problem
        } else if shared.contains_key(&code.to_ascii_uppercase()) {
            of_another(code)
        } else if room == 0 {
            Problem::new("coupon.set_full", format!("the set holds {max} codes already"))
                .value(code)
                .cure("make another set, and name it as the alternative")
        } else if insert.execute((id, code)).map_err(driver)? == 1 {
            room -= 1;
            out.added += 1;
            continue;
        } else {
            let own: i64 = owner.query_row([code], |row| row.get(0)).map_err(driver)?;
            if own == id {
                Problem::new("coupon.duplicate", format!("`{code}` is in the set already")).value(code)
            } else {
                of_another(code)
            }
        };
        out.refused.push((index, refusal.field("code")));
    }
    if out.added > 0 {
        connection
            .prepare_cached(
                "UPDATE coupon_sets SET free = free + ?2, low_since = NULL, low_told = 0 WHERE set_id = ?1",
            )
            .map_err(driver)?
            .execute((id, out.added.cast_signed()))
            .map_err(driver)?;
    }
    Ok(out)
}

fn of_another(code: &str) -> Problem {
    Problem::new("coupon.other_set", format!("`{code}` belongs to another set"))
        .value(code)
        .cure("an order that names it could not be told: give each set its own codes")
}

fn count(connection: &Connection, set: &Slug, now: Timestamp) -> Result<CouponCounts> {
    let Some(id) = set_id(connection, set)? else { return Ok(CouponCounts::default()) };
    let one = |state: &str| -> Result<u64> {
        let sql =
            format!("SELECT count(*) FROM coupon_uses WHERE set_id = ?1 AND ?2 IS NOT NULL AND {state}");
        let n: i64 = connection
            .prepare_cached(&sql)
            .map_err(driver)?
            .query_row((id, now.0), |row| row.get(0))
            .map_err(driver)?;
        Ok(n.unsigned_abs())
    };
    let low: Option<i64> = connection
        .prepare_cached("SELECT low_since FROM coupon_sets WHERE set_id = ?1")
        .map_err(driver)?
        .query_row([id], |row| row.get(0))
        .map_err(driver)?;
    Ok(CouponCounts {
        assigned: one("run IS NOT NULL")?,
        free: stock(connection, set)?.free,
        redeemed: one("redeemed_at IS NOT NULL")?,
        expired: one("redeemed_at IS NULL AND expires_at <= ?2")?,
        low_since: low.map(Timestamp),
    })
}

/// Whose codes of `uses` can no longer be given: a single-use code that was given meanwhile, a set or a contact at its
/// limit. Nothing is written.
pub(crate) fn conflicts(connection: &Connection, uses: &[CouponUse]) -> Result<Vec<ContactId>> {
    let mut sets: HashMap<&Slug, Found> = HashMap::new();
    let mut taken: HashSet<String> = HashSet::new();
    let mut out = Vec::new();
    for item in uses {
        let found = match sets.get_mut(&item.set) {
            Some(found) => found,
            None => sets.entry(&item.set).or_insert(Found::load(connection, &item.set)?),
        };
        let free = found.shared || {
            taken.insert(item.code.to_ascii_uppercase())
                && free_no(connection, found.id, &item.code)?.is_some()
        };
        let in_limit = found.limit.is_none_or(|limit| found.given < limit);
        let for_contact = match found.per_contact {
            None => true,
            Some(limit) => {
                let before = uses.iter().take_while(|other| !std::ptr::eq(*other, item));
                let now =
                    before.filter(|other| other.set == item.set && other.contact == item.contact).count();
                held(connection, found.id, item.contact)? + (now as u64) < limit
            }
        };
        if free && in_limit && for_contact {
            found.given += 1;
        } else if !out.contains(&item.contact) {
            out.push(item.contact);
        }
    }
    Ok(out)
}

/// What a set allows.
struct Found {
    id: Option<i64>,
    shared: bool,
    limit: Option<u64>,
    per_contact: Option<u64>,
    given: u64,
}

impl Found {
    fn load(connection: &Connection, set: &Slug) -> Result<Self> {
        let terms = terms(connection, set)?;
        Ok(Self {
            id: set_id(connection, set)?,
            shared: terms.as_ref().is_some_and(|terms| terms.shared_code().is_some()),
            limit: terms.as_ref().and_then(|terms| terms.limit),
            per_contact: terms.and_then(|terms| terms.per_contact),
            given: stock(connection, set)?.given,
        })
    }
}

fn free_no(connection: &Connection, set: Option<i64>, code: &str) -> Result<Option<i64>> {
    connection
        .prepare_cached("SELECT code_no FROM coupon_codes WHERE code = ?1 AND set_id = ?2 AND given = 0")
        .map_err(driver)?
        .query_row((code, set), |row| row.get(0))
        .optional()
        .map_err(driver)
}

fn held(connection: &Connection, set: Option<i64>, contact: ContactId) -> Result<u64> {
    let n: i64 = connection
        .prepare_cached("SELECT count(*) FROM coupon_uses WHERE contact_id = ?1 AND set_id = ?2")
        .map_err(driver)?
        .query_row((contact.0, set), |row| row.get(0))
        .map_err(driver)?;
    Ok(n.unsigned_abs())
}

/// Gives codes to contacts. When some can no longer be given ([`conflicts`]), nothing is written and their contacts are
/// the answer.
pub(crate) fn assign(connection: &Connection, uses: &[CouponUse], at: Timestamp) -> Result<Vec<ContactId>> {
    if uses.is_empty() {
        return Ok(Vec::new());
    }
    let conflicts = conflicts(connection, uses)?;
    if !conflicts.is_empty() {
        return Ok(conflicts);
    }
    let first = take_numbers(connection, "coupon_use", uses.len() as i64)?;
    let mut touched: Vec<&Slug> = Vec::new();
    for (no, item) in (first..).zip(uses) {
        let id = make_set(connection, &item.set)?;
        let single = give(connection, id, &item.code)?;
        connection
            .prepare_cached(
                "INSERT INTO coupon_uses (contact_id, set_id, use_no, code, at, expires_at, run, ordinal, node)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )
            .map_err(driver)?
            .execute((
                item.contact.0,
                id,
                no,
                &item.code,
                at.0,
                item.expires_at.map(|end| end.0),
                item.run,
                item.ordinal,
                &item.node,
            ))
            .map_err(driver)?;
        counted(connection, id, single)?;
        if !touched.contains(&&item.set) {
            touched.push(&item.set);
        }
    }
    for set in touched {
        note_low(connection, set, at)?;
    }
    Ok(Vec::new())
}

/// A single-use code is free no more; whether it was one.
fn give(connection: &Connection, set: i64, code: &str) -> Result<bool> {
    let given = connection
        .prepare_cached("UPDATE coupon_codes SET given = 1 WHERE code = ?1 AND set_id = ?2 AND given = 0")
        .map_err(driver)?
        .execute((code, set))
        .map_err(driver)?;
    Ok(given == 1)
}

fn counted(connection: &Connection, set: i64, single: bool) -> Result<()> {
    connection
        .prepare_cached("UPDATE coupon_sets SET given = given + 1, free = free - ?2 WHERE set_id = ?1")
        .map_err(driver)?
        .execute((set, i64::from(single)))
        .map_err(driver)?;
    Ok(())
}

/// Notes that a set has run low, once until codes are added.
fn note_low(connection: &Connection, set: &Slug, at: Timestamp) -> Result<()> {
    let Some(terms) = terms(connection, set)? else { return Ok(()) };
    let Some(threshold) = terms.low_stock else { return Ok(()) };
    if left(&terms, stock(connection, set)?).is_some_and(|left| left <= threshold) {
        connection
            .prepare_cached("UPDATE coupon_sets SET low_since = ?2 WHERE slug = ?1 AND low_since IS NULL")
            .map_err(driver)?
            .execute((set.as_str(), at.0))
            .map_err(driver)?;
    }
    Ok(())
}

/// The codes of the shared sets, in capitals, with their set.
pub(crate) type SharedCodes = HashMap<String, (Slug, String)>;

/// The codes of the shared sets as they stand now.
pub(crate) fn shared_codes(connection: &Connection) -> Result<SharedCodes> {
    let mut query = connection
        .prepare_cached(
            "SELECT slug, content FROM definitions WHERE kind = ?1 AND content <> 'null' AND (kind, slug, version) IN
               (SELECT kind, slug, max(version) FROM definitions WHERE kind = ?1 GROUP BY slug)",
        )
        .map_err(driver)?;
    let mut rows = query.query([DefinitionKind::CouponSet as u8]).map_err(driver)?;
    let mut shared = SharedCodes::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let (slug, content): (String, String) = (row.get(0).map_err(driver)?, row.get(1).map_err(driver)?);
        let terms = read_terms(&slug, &content)?;
        if let CouponKind::Shared { code } = terms.kind {
            shared.insert(code.to_ascii_uppercase(), (terms.slug, code));
        }
    }
    Ok(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_full_at_its_limit_and_not_before() {
        let connection = Connection::open_in_memory().unwrap();
        for step in ["0001_base", "0008_coupons"] {
            let sql =
                std::fs::read_to_string(format!("{}/migrations/{step}.sql", env!("CARGO_MANIFEST_DIR")));
            connection.execute_batch(&sql.unwrap()).unwrap();
        }
        let set = Slug::parse("ten").unwrap();
        let codes = |from: u32, to: u32| (from..to).map(|n| format!("C{n}")).collect::<Vec<_>>();
        assert_eq!(add(&connection, &set, &codes(0, 3), 3).unwrap().refused, []);
        let more = add(&connection, &set, &codes(2, 4), 3).unwrap();
        let reasons: Vec<_> = more.refused.iter().map(|(place, problem)| (*place, &*problem.code)).collect();
        assert_eq!((more.added, reasons), (0, vec![(0, "coupon.set_full"), (1, "coupon.set_full")]));
        assert_eq!(add(&connection, &set, &codes(3, 4), 4).unwrap().added, 1);
        assert_eq!(CouponSet::CODES_MAX, 500_000, "spec §2.8");
    }
}
