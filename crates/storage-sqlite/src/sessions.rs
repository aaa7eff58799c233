//! Sessions, tickets and mails of users: see `storage::users`.

use model::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use storage::{
    Result,
    users::{SESSIONS_MAX, Session, SessionSpan, Ticket, TicketKind, User, UserId, UserMail},
};

use crate::{
    pool::driver,
    rows::{blob, inconsistent},
    users,
};

/// Columns of a session, in the order in which [`read`] takes them.
const SELECT: &str = "SELECT hash, session_id, user_id, created_at, seen_at, client, agent FROM sessions";

fn read(row: &Row<'_>) -> Result<Session> {
    let id: String = row.get(1).map_err(driver)?;
    let hash = blob(row, 0)
        .map_err(driver)?
        .try_into()
        .map_err(|_| inconsistent("sessions", &id, "the hash is not 32 bytes long"))?;
    Ok(Session {
        hash,
        id,
        user: UserId(row.get(2).map_err(driver)?),
        created_at: Timestamp(row.get(3).map_err(driver)?),
        seen_at: Timestamp(row.get(4).map_err(driver)?),
        client: row.get(5).map_err(driver)?,
        agent: row.get(6).map_err(driver)?,
    })
}

const fn lives(session: &Session, span: SessionSpan, now: Timestamp) -> bool {
    now.since(session.seen_at) < span.idle && now.since(session.created_at) < span.absolute
}

pub(crate) fn add(transaction: &Transaction<'_>, session: &Session) -> Result<()> {
    transaction
        .execute(
            "DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE user_id = ?1
             ORDER BY created_at DESC, session_id LIMIT -1 OFFSET ?2)",
            (session.user.0, SESSIONS_MAX as i64 - 1),
        )
        .map_err(driver)?;
    transaction
        .execute(
            "INSERT INTO sessions (hash, session_id, user_id, created_at, seen_at, client, agent)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                &session.hash[..],
                &session.id,
                session.user.0,
                session.created_at.0,
                session.seen_at.0,
                &session.client,
                &session.agent,
            ),
        )
        .map_err(driver)?;
    let sql = "UPDATE users SET signed_in_at = ?2 WHERE user_id = ?1";
    transaction.execute(sql, (session.user.0, session.created_at.0)).map_err(driver)?;
    Ok(())
}

pub(crate) fn load(
    connection: &Connection,
    hash: [u8; 32],
    span: SessionSpan,
    now: Timestamp,
) -> Result<Option<(Session, User)>> {
    let mut query = connection.prepare_cached(&format!("{SELECT} WHERE hash = ?1")).map_err(driver)?;
    let found = query.query_row([&hash[..]], |row| Ok(read(row))).optional().map_err(driver)?.transpose()?;
    let Some(session) = found.filter(|session| lives(session, span, now)) else { return Ok(None) };
    let user = users::load(connection, session.user)?.filter(|user| user.disabled_at.is_none());
    Ok(user.map(|user| (session, user)))
}

pub(crate) fn touch(transaction: &Transaction<'_>, hash: [u8; 32], now: Timestamp) -> Result<()> {
    let sql = "UPDATE sessions SET seen_at = max(seen_at, ?2) WHERE hash = ?1";
    transaction.execute(sql, (&hash[..], now.0)).map_err(driver)?;
    Ok(())
}

pub(crate) fn list(
    connection: &Connection,
    user: UserId,
    span: SessionSpan,
    now: Timestamp,
) -> Result<Vec<Session>> {
    let sql = format!("{SELECT} WHERE user_id = ?1 ORDER BY created_at DESC, session_id");
    let mut query = connection.prepare_cached(&sql).map_err(driver)?;
    let mut rows = query.query([user.0]).map_err(driver)?;
    let mut sessions = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        sessions.push(read(row)?);
    }
    sessions.retain(|session| lives(session, span, now));
    Ok(sessions)
}

/// Ends all sessions and tickets of a user.
pub(crate) fn forget(transaction: &Transaction<'_>, user: UserId) -> Result<()> {
    for table in ["sessions", "tickets"] {
        let sql = format!("DELETE FROM {table} WHERE user_id = ?1");
        transaction.execute(&sql, [user.0]).map_err(driver)?;
    }
    Ok(())
}

pub(crate) fn save_ticket(transaction: &Transaction<'_>, ticket: &Ticket, now: Timestamp) -> Result<()> {
    transaction.execute("DELETE FROM tickets WHERE expires_at <= ?1", [now.0]).map_err(driver)?;
    if ticket.kind == TicketKind::SetUp {
        transaction.execute("DELETE FROM tickets WHERE kind = ?1", [ticket.kind as u8]).map_err(driver)?;
    }
    transaction
        .execute(
            "INSERT INTO tickets (hash, kind, user_id, expires_at) VALUES (?1, ?2, ?3, ?4)",
            (&ticket.hash[..], ticket.kind as u8, ticket.user.map(|user| user.0), ticket.expires_at.0),
        )
        .map_err(driver)?;
    Ok(())
}

pub(crate) fn load_ticket(
    connection: &Connection,
    hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<(Ticket, Option<User>)>> {
    let row: Option<(u8, Option<i64>, i64)> = connection
        .prepare_cached("SELECT kind, user_id, expires_at FROM tickets WHERE hash = ?1")
        .and_then(|mut query| {
            query.query_row([&hash[..]], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
        })
        .map_err(driver)?;
    let Some((kind, user, expires_at)) = row.filter(|(.., expires_at)| now.0 < *expires_at) else {
        return Ok(None);
    };
    let kind = TicketKind::from_number(kind)
        .ok_or_else(|| inconsistent("tickets", "-", format!("no kind has the number {kind}")))?;
    let ticket = Ticket { hash, kind, user: user.map(UserId), expires_at: Timestamp(expires_at) };
    let Some(id) = ticket.user else { return Ok(Some((ticket, None))) };
    let user = users::load(connection, id)?.filter(|user| user.disabled_at.is_none());
    Ok(user.map(|user| (ticket, Some(user))))
}

/// Whether a new mail was decided.
pub(crate) fn ask_mail(
    transaction: &Transaction<'_>,
    user: UserId,
    kind: TicketKind,
    now: Timestamp,
) -> Result<bool> {
    let asked = transaction
        .execute(
            "INSERT INTO user_mails (user_id, kind, created_at, not_before) VALUES (?1, ?2, ?3, ?3)
             ON CONFLICT (user_id, kind) DO NOTHING",
            (user.0, kind as u8, now.0),
        )
        .map_err(driver)?;
    Ok(asked > 0)
}

pub(crate) fn claim_mail(
    transaction: &Transaction<'_>,
    now: Timestamp,
    lease_end: Timestamp,
) -> Result<Option<UserMail>> {
    let claimed: Option<(i64, i64, u8, i64, u32)> = transaction
        .query_row(
            "UPDATE user_mails SET not_before = ?2, tries = tries + 1 WHERE mail_id =
             (SELECT mail_id FROM user_mails WHERE not_before <= ?1 ORDER BY not_before, mail_id LIMIT 1)
             RETURNING mail_id, user_id, kind, created_at, tries",
            (now.0, lease_end.0),
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
        )
        .optional()
        .map_err(driver)?;
    let Some((id, user, kind, created_at, tries)) = claimed else { return Ok(None) };
    let kind = TicketKind::from_number(kind)
        .ok_or_else(|| inconsistent("user_mails", id, format!("no kind has the number {kind}")))?;
    Ok(Some(UserMail { id, user: UserId(user), kind, created_at: Timestamp(created_at), tries }))
}
