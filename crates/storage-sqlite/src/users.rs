//! See `storage::users`. Sessions, tickets and mails stand in `sessions.rs`.

use model::{Problem, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use storage::{
    Result, StoreError, Urgency,
    audit::Deed,
    users::{
        NewUser, Rehash, Session, SessionSpan, Ticket, TicketKind, User, UserChange, UserId, UserMail,
        UserRole, UserStore,
    },
};

use crate::{Sqlite, audit, pool::driver, rows::inconsistent, sessions};

impl UserStore for Sqlite {
    async fn count_users(&self) -> Result<u32> {
        self.read(count).await
    }

    async fn list_users(&self) -> Result<Vec<User>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(&format!("{SELECT} ORDER BY email")).map_err(driver)?;
            let mut rows = query.query([]).map_err(driver)?;
            let mut users = Vec::new();
            while let Some(row) = rows.next().map_err(driver)? {
                users.push(read(row)?);
            }
            Ok(users)
        })
        .await
    }

    async fn load_user(&self, id: UserId) -> Result<Option<User>> {
        self.read(move |connection| load(connection, id)).await
    }

    async fn find_user(&self, email: String) -> Result<Option<User>> {
        self.read(move |connection| one(connection, "email = ?1", &email)).await
    }

    async fn find_subject(&self, subject: String) -> Result<Option<User>> {
        self.read(move |connection| one(connection, "subject = ?1", &subject)).await
    }

    async fn add_user(&self, user: NewUser, invite: bool, deed: Deed) -> Result<UserId> {
        self.write(Urgency::Urgent, move |transaction| {
            if one(transaction, "email = ?1", &user.email)?.is_some() {
                return Err(exists(&user.email));
            }
            let id = insert(transaction, &user)?;
            if invite {
                sessions::ask_mail(transaction, id, TicketKind::Invite, user.created_at)?;
            }
            audit::append(transaction, &deed)?;
            Ok(id)
        })
        .await
    }

    async fn set_up(&self, owner: NewUser, ticket: [u8; 32], deed: Deed) -> Result<Option<UserId>> {
        self.write(Urgency::Urgent, move |transaction| {
            let good = sessions::load_ticket(transaction, ticket, owner.created_at)?
                .is_some_and(|(ticket, _)| ticket.kind == TicketKind::SetUp);
            if !good || count(transaction)? > 0 {
                return Ok(None);
            }
            transaction
                .execute("DELETE FROM tickets WHERE kind = ?1", [TicketKind::SetUp as u8])
                .map_err(driver)?;
            let id = insert(transaction, &owner)?;
            audit::append(transaction, &deed)?;
            Ok(Some(id))
        })
        .await
    }

    async fn change_user(&self, id: UserId, change: UserChange, deed: Deed) -> Result<Option<User>> {
        self.write(Urgency::Urgent, move |transaction| change_user(transaction, id, &change, &deed)).await
    }

    async fn remove_user(&self, id: UserId, deed: Deed) -> Result<bool> {
        self.write(Urgency::Urgent, move |transaction| {
            if load(transaction, id)?.is_none() {
                return Ok(false);
            }
            let had_owner = has_owner(transaction)?;
            sessions::forget(transaction, id)?;
            forget_recovery(transaction, id)?;
            for table in ["user_mails", "users"] {
                let sql = format!("DELETE FROM {table} WHERE user_id = ?1");
                transaction.execute(&sql, [id.0]).map_err(driver)?;
            }
            keep_an_owner(transaction, had_owner)?;
            audit::append(transaction, &deed)?;
            Ok(true)
        })
        .await
    }

    async fn set_password(&self, id: UserId, hash: String, deed: Deed) -> Result<()> {
        self.write(Urgency::Urgent, move |transaction| {
            set_password(transaction, id, &hash)?;
            audit::append(transaction, &deed)
        })
        .await
    }

    async fn redeem_ticket(&self, ticket: [u8; 32], hash: String, deed: Deed) -> Result<bool> {
        self.write(Urgency::Urgent, move |transaction| {
            let Some((_, Some(user))) = sessions::load_ticket(transaction, ticket, deed.at)? else {
                return Ok(false);
            };
            set_password(transaction, user.id, &hash)?;
            audit::append(transaction, &deed)?;
            Ok(true)
        })
        .await
    }

    async fn save_ticket(&self, ticket: Ticket, now: Timestamp) -> Result<()> {
        self.write(Urgency::Urgent, move |transaction| sessions::save_ticket(transaction, &ticket, now)).await
    }

    async fn load_ticket(&self, hash: [u8; 32], now: Timestamp) -> Result<Option<(Ticket, Option<User>)>> {
        self.read(move |connection| sessions::load_ticket(connection, hash, now)).await
    }

    async fn add_session(&self, session: Session, renewed: Option<Rehash>, deed: Deed) -> Result<()> {
        self.write(Urgency::Urgent, move |transaction| {
            sessions::add(transaction, &session)?;
            if let Some(Rehash { old, new }) = &renewed {
                let sql = "UPDATE users SET password = ?3 WHERE user_id = ?1 AND password = ?2";
                transaction.execute(sql, (session.user.0, old, new)).map_err(driver)?;
            }
            audit::append(transaction, &deed)
        })
        .await
    }

    async fn load_session(
        &self,
        hash: [u8; 32],
        span: SessionSpan,
        now: Timestamp,
    ) -> Result<Option<(Session, User)>> {
        let found = self.read(move |connection| sessions::load(connection, hash, span, now)).await?;
        // Written once a minute, not at every request.
        if found.as_ref().is_some_and(|(session, _)| now.since(session.seen_at) >= Timestamp::MINUTE) {
            self.write(Urgency::Urgent, move |transaction| sessions::touch(transaction, hash, now)).await?;
        }
        Ok(found)
    }

    async fn list_sessions(&self, user: UserId, span: SessionSpan, now: Timestamp) -> Result<Vec<Session>> {
        self.read(move |connection| sessions::list(connection, user, span, now)).await
    }

    async fn end_session(&self, user: UserId, id: String, deed: Deed) -> Result<bool> {
        self.write(Urgency::Urgent, move |transaction| {
            let ended = transaction
                .execute("DELETE FROM sessions WHERE user_id = ?1 AND session_id = ?2", (user.0, &id))
                .map_err(driver)?;
            if ended > 0 {
                audit::append(transaction, &deed)?;
            }
            Ok(ended > 0)
        })
        .await
    }

    async fn end_sessions(&self, user: UserId, but: Option<String>, deed: Deed) -> Result<usize> {
        self.write(Urgency::Urgent, move |transaction| {
            let ended = transaction
                .execute("DELETE FROM sessions WHERE user_id = ?1 AND session_id IS NOT ?2", (user.0, &but))
                .map_err(driver)?;
            if ended > 0 {
                audit::append(transaction, &deed)?;
            }
            Ok(ended)
        })
        .await
    }

    async fn propose_totp(&self, user: UserId, secret: Vec<u8>) -> Result<()> {
        self.write(Urgency::Urgent, move |transaction| {
            let sql = "UPDATE users SET totp_pending = ?2 WHERE user_id = ?1";
            transaction.execute(sql, (user.0, &secret)).map_err(driver)?;
            Ok(())
        })
        .await
    }

    async fn confirm_totp(
        &self,
        user: UserId,
        secret: Vec<u8>,
        step: i64,
        recovery: Vec<[u8; 32]>,
        deed: Deed,
    ) -> Result<bool> {
        self.write(Urgency::Urgent, move |transaction| {
            let sql = "UPDATE users SET totp = ?2, totp_pending = NULL, totp_step = ?3
                       WHERE user_id = ?1 AND totp_pending = ?2";
            if transaction.execute(sql, (user.0, &secret, step)).map_err(driver)? == 0 {
                return Ok(false);
            }
            forget_recovery(transaction, user)?;
            for hash in &recovery {
                let sql = "INSERT INTO user_recovery (user_id, hash) VALUES (?1, ?2)";
                transaction.execute(sql, (user.0, &hash[..])).map_err(driver)?;
            }
            audit::append(transaction, &deed)?;
            Ok(true)
        })
        .await
    }

    async fn use_totp_step(&self, user: UserId, step: i64) -> Result<bool> {
        self.write(Urgency::Urgent, move |transaction| {
            let sql = "UPDATE users SET totp_step = ?2 WHERE user_id = ?1 AND totp_step < ?2";
            Ok(transaction.execute(sql, (user.0, step)).map_err(driver)? > 0)
        })
        .await
    }

    async fn use_recovery(&self, user: UserId, hash: [u8; 32]) -> Result<bool> {
        self.write(Urgency::Urgent, move |transaction| {
            let sql = "DELETE FROM user_recovery WHERE user_id = ?1 AND hash = ?2";
            Ok(transaction.execute(sql, (user.0, &hash[..])).map_err(driver)? > 0)
        })
        .await
    }

    async fn count_recovery(&self, user: UserId) -> Result<u32> {
        self.read(move |connection| {
            let sql = "SELECT count(*) FROM user_recovery WHERE user_id = ?1";
            connection.query_row(sql, [user.0], |row| row.get(0)).map_err(driver)
        })
        .await
    }

    async fn ask_mail(&self, user: UserId, kind: TicketKind, now: Timestamp, deed: Deed) -> Result<()> {
        self.write(Urgency::Urgent, move |transaction| {
            if sessions::ask_mail(transaction, user, kind, now)? {
                audit::append(transaction, &deed)?;
            }
            Ok(())
        })
        .await
    }

    async fn claim_mail(&self, now: Timestamp, lease_end: Timestamp) -> Result<Option<UserMail>> {
        self.write(Urgency::Transactional, move |transaction| {
            sessions::claim_mail(transaction, now, lease_end)
        })
        .await
    }

    async fn finish_mail(&self, id: i64, deed: Option<Deed>) -> Result<()> {
        self.write(Urgency::Transactional, move |transaction| {
            transaction.execute("DELETE FROM user_mails WHERE mail_id = ?1", [id]).map_err(driver)?;
            deed.iter().try_for_each(|deed| audit::append(transaction, deed))
        })
        .await
    }

    async fn retry_mail(&self, id: i64, at: Timestamp) -> Result<()> {
        self.write(Urgency::Transactional, move |transaction| {
            let sql = "UPDATE user_mails SET not_before = ?2 WHERE mail_id = ?1";
            transaction.execute(sql, (id, at.0)).map_err(driver)?;
            Ok(())
        })
        .await
    }

    async fn next_mail(&self) -> Result<Option<Timestamp>> {
        self.read(|connection| {
            let sql = "SELECT min(not_before) FROM user_mails";
            let next: Option<i64> = connection.query_row(sql, [], |row| row.get(0)).map_err(driver)?;
            Ok(next.map(Timestamp))
        })
        .await
    }
}

/// Columns of a user, in the order in which [`read`] takes them.
const SELECT: &str = "SELECT user_id, email, name, locale, role, password, totp, totp_pending, subject, created_at, \
                      signed_in_at, disabled_at FROM users";

fn count(connection: &Connection) -> Result<u32> {
    connection.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).map_err(driver)
}

/// A user by number.
pub(crate) fn load(connection: &Connection, id: UserId) -> Result<Option<User>> {
    one(connection, "user_id = ?1", id.0)
}

fn one(connection: &Connection, condition: &str, value: impl rusqlite::ToSql) -> Result<Option<User>> {
    let mut query = connection.prepare_cached(&format!("{SELECT} WHERE {condition}")).map_err(driver)?;
    query.query_row([value], |row| Ok(read(row))).optional().map_err(driver)?.transpose()
}

fn read(row: &Row<'_>) -> Result<User> {
    let id: i64 = row.get(0).map_err(driver)?;
    let role: u8 = row.get(4).map_err(driver)?;
    let role = UserRole::from_number(role)
        .ok_or_else(|| inconsistent("users", id, format!("no role has the number {role}")))?;
    let instant = |column: usize| -> Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(column).map_err(driver)?.map(Timestamp))
    };
    Ok(User {
        id: UserId(id),
        is: NewUser {
            email: row.get(1).map_err(driver)?,
            name: row.get(2).map_err(driver)?,
            locale: row.get(3).map_err(driver)?,
            role,
            password: row.get(5).map_err(driver)?,
            subject: row.get(8).map_err(driver)?,
            created_at: Timestamp(row.get(9).map_err(driver)?),
        },
        totp: row.get(6).map_err(driver)?,
        totp_pending: row.get(7).map_err(driver)?,
        signed_in_at: instant(10)?,
        disabled_at: instant(11)?,
    })
}

fn exists(email: &str) -> StoreError {
    Problem::new("user.exists", format!("there is a user `{email}` already"))
        .field("email")
        .value(email)
        .into()
}

fn insert(transaction: &Transaction<'_>, user: &NewUser) -> Result<UserId> {
    transaction
        .execute(
            "INSERT INTO users (email, name, locale, role, password, subject, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                &user.email,
                &user.name,
                &user.locale,
                user.role as u8,
                &user.password,
                &user.subject,
                user.created_at.0,
            ),
        )
        .map_err(driver)?;
    Ok(UserId(transaction.last_insert_rowid()))
}

fn change_user(
    transaction: &Transaction<'_>,
    id: UserId,
    change: &UserChange,
    deed: &Deed,
) -> Result<Option<User>> {
    let Some(mut user) = load(transaction, id)? else { return Ok(None) };
    let had_owner = has_owner(transaction)?;
    user.is.name = change.name.clone().unwrap_or(user.is.name);
    user.is.locale = change.locale.clone().unwrap_or(user.is.locale);
    user.is.role = change.role.unwrap_or(user.is.role);
    user.is.subject = change.subject.clone().or(user.is.subject);
    match change.disabled {
        Some(true) => user.disabled_at = user.disabled_at.or(Some(deed.at)),
        Some(false) => user.disabled_at = None,
        None => {}
    }
    transaction
        .execute(
            "UPDATE users SET name = ?2, locale = ?3, role = ?4, subject = ?5, disabled_at = ?6 WHERE user_id = ?1",
            (
                id.0,
                &user.is.name,
                &user.is.locale,
                user.is.role as u8,
                &user.is.subject,
                user.disabled_at.map(|at| at.0),
            ),
        )
        .map_err(driver)?;
    if user.disabled_at.is_some() {
        sessions::forget(transaction, id)?;
    }
    if change.forget_totp {
        let sql = "UPDATE users SET totp = NULL, totp_pending = NULL WHERE user_id = ?1";
        transaction.execute(sql, [id.0]).map_err(driver)?;
        forget_recovery(transaction, id)?;
        (user.totp, user.totp_pending) = (None, None);
    }
    keep_an_owner(transaction, had_owner)?;
    audit::append(transaction, deed)?;
    Ok(Some(user))
}

/// Whether there is an owner who may sign in.
fn has_owner(transaction: &Transaction<'_>) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE role = ?1 AND disabled_at IS NULL)";
    transaction.query_row(sql, [UserRole::Owner as u8], |row| row.get(0)).map_err(driver)
}

/// Refuses a change that has taken the last owner away.
fn keep_an_owner(transaction: &Transaction<'_>, had_one: bool) -> Result<()> {
    if !had_one || has_owner(transaction)? {
        return Ok(());
    }
    Err(Problem::new("user.last_owner", "no owner would be left who may sign in")
        .cure("make somebody else an owner first")
        .into())
}

fn forget_recovery(transaction: &Transaction<'_>, id: UserId) -> Result<()> {
    transaction.execute("DELETE FROM user_recovery WHERE user_id = ?1", [id.0]).map_err(driver)?;
    Ok(())
}

fn set_password(transaction: &Transaction<'_>, id: UserId, hash: &str) -> Result<()> {
    let sql = "UPDATE users SET password = ?2 WHERE user_id = ?1";
    transaction.execute(sql, (id.0, hash)).map_err(driver)?;
    sessions::forget(transaction, id)
}
