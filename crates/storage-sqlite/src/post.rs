//! See `storage::post`.

mod report;

use model::{AddressStatus, Channel, ContactId, MessageId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use storage::{
    Result, StoreError, Urgency,
    outbox::{AddressHash, Suppression, SuppressionReason},
    post::{BounceRules, PostStore, Report, ReportKind, ReportRow, Reported, SETTING, SoftRow},
};

use crate::{Sqlite, contacts, outbox, pool::driver, rows::inconsistent, settings::load_setting};

impl PostStore for Sqlite {
    async fn report(&self, now: Timestamp, reports: Vec<Report>) -> Result<Vec<Reported>> {
        self.write(Urgency::Urgent, move |tx| report::all(tx, now, &reports)).await
    }

    async fn load_reports(&self, message: MessageId) -> Result<Vec<ReportRow>> {
        self.read(move |connection| {
            let mut query = connection
                .prepare_cached(
                    "SELECT kind, at, source, detail FROM reports WHERE message_id = ?1 ORDER BY kind",
                )
                .map_err(driver)?;
            let mut rows = query.query([&message.0[..]]).map_err(driver)?;
            let mut list = Vec::new();
            while let Some(row) = rows.next().map_err(driver)? {
                let kind: u8 = row.get(0).map_err(driver)?;
                list.push(ReportRow {
                    kind: ReportKind::from_number(kind)
                        .ok_or_else(|| inconsistent("reports", message, format!("no kind {kind}")))?,
                    at: Timestamp(row.get(1).map_err(driver)?),
                    source: row.get(2).map_err(driver)?,
                    detail: row.get(3).map_err(driver)?,
                });
            }
            Ok(list)
        })
        .await
    }

    async fn load_soft_rows(&self, addresses: Vec<AddressHash>) -> Result<Vec<SoftRow>> {
        self.read(move |connection| {
            let mut query = connection
                .prepare_cached("SELECT in_a_row, suppressed FROM bounces WHERE address = ?1")
                .map_err(driver)?;
            let mut of = |address: &AddressHash| {
                query
                    .query_row([&address.0[..]], |row| {
                        Ok(SoftRow { in_a_row: row.get(0)?, pauses: row.get(1)? })
                    })
                    .optional()
                    .map_err(driver)
            };
            addresses.iter().map(|address| Ok(of(address)?.unwrap_or_default())).collect()
        })
        .await
    }
}

/// The workspace's rules about bounces.
pub(crate) fn rules(connection: &Connection) -> Result<BounceRules> {
    let text = match load_setting(connection, SETTING)? {
        None => return Ok(BounceRules::default()),
        Some(serde_json::Value::String(text)) => text,
        Some(tree) => tree.to_string(),
    };
    BounceRules::parse(&text).map_err(|problems| StoreError::Inconsistent {
        table: "settings",
        row: SETTING.to_owned(),
        why: problems.first().map(ToString::to_string).unwrap_or_default(),
    })
}

/// A soft bounce: so many in a row pause the address, longer each time.
pub(crate) fn soft(
    tx: &Transaction<'_>,
    rules: &BounceRules,
    address: AddressHash,
    now: Timestamp,
    status: &str,
) -> Result<()> {
    let (in_a_row, pauses): (u32, u32) = tx
        .prepare_cached(
            "INSERT INTO bounces (address, in_a_row, suppressed) VALUES (?1, 1, 0)
             ON CONFLICT (address) DO UPDATE SET in_a_row = in_a_row + 1, quiet_since = NULL
             RETURNING in_a_row, suppressed",
        )
        .and_then(|mut insert| insert.query_row([&address.0[..]], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(driver)?;
    if in_a_row < rules.soft_in_a_row {
        return Ok(());
    }
    let until = Some(rules.pause_until(pauses, now));
    suppress(tx, address, (SuppressionReason::SoftBounces, now, until), status)?;
    tx.prepare_cached("UPDATE bounces SET in_a_row = 0, suppressed = suppressed + 1 WHERE address = ?1")
        .and_then(|mut change| change.execute([&address.0[..]]))
        .map_err(driver)?;
    Ok(())
}

/// A hard bounce: the address is suppressed, and a contact that has it is known to have a dead one.
pub(crate) fn hard(
    tx: &Transaction<'_>,
    rules: &BounceRules,
    (address, contact): (AddressHash, Option<ContactId>),
    now: Timestamp,
    status: &str,
) -> Result<()> {
    suppress(tx, address, (SuppressionReason::HardBounce, now, rules.hard_until(now)), status)?;
    contact.map_or(Ok(()), |contact| mark_bounced(tx, contact, address, now))
}

fn suppress(
    tx: &Transaction<'_>,
    address: AddressHash,
    (reason, since, until): (SuppressionReason, Timestamp, Option<Timestamp>),
    status: &str,
) -> Result<()> {
    outbox::suppress(tx, &[Suppression { address, reason, since, until, detail: status.to_owned() }])
}

/// The contact's address takes no mail, if it is still this one.
fn mark_bounced(
    tx: &Transaction<'_>,
    contact: ContactId,
    address: AddressHash,
    now: Timestamp,
) -> Result<()> {
    let Some(mut contact) = contacts::load_one(tx, contact)? else { return Ok(()) };
    let own = contact.email.as_deref().map(|email| AddressHash::of(Channel::Email, email));
    if own == Some(address) && matches!(contact.email_status, AddressStatus::Active | AddressStatus::Paused) {
        contact.email_status = AddressStatus::Bounced;
        contact.updated_at = contact.updated_at.max(now);
        contacts::update(tx, &contact)?;
    }
    Ok(())
}

/// Whether any address has soft bounces that count.
pub(crate) fn any_soft(connection: &Connection) -> Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM bounces WHERE in_a_row > 0)")
        .and_then(|mut query| query.query_row([], |row| row.get(0)))
        .map_err(driver)
}

/// Mail left for an address. That the next server took it does not say that it arrived: it may still come back. When
/// nothing came back for some days, the row of soft bounces ends.
pub(crate) fn left(
    tx: &Transaction<'_>,
    rules: &BounceRules,
    address: AddressHash,
    now: Timestamp,
) -> Result<()> {
    let settled = now.plus_days(-i64::from(rules.settled_after_days)).0;
    tx.prepare_cached(
        "UPDATE bounces SET in_a_row = CASE WHEN coalesce(quiet_since, ?2) <= ?3 THEN 0 ELSE in_a_row END,
           quiet_since = coalesce(quiet_since, ?2) WHERE address = ?1",
    )
    .and_then(|mut change| change.execute(params![&address.0[..], now.0, settled]))
    .map_err(driver)?;
    Ok(())
}

/// Mail lies in the mailbox: the row of soft bounces ends.
fn arrived(tx: &Transaction<'_>, address: AddressHash) -> Result<()> {
    tx.prepare_cached("UPDATE bounces SET in_a_row = 0, quiet_since = NULL WHERE address = ?1")
        .and_then(|mut change| change.execute([&address.0[..]]))
        .map_err(driver)?;
    Ok(())
}
