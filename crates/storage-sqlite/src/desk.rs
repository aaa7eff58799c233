//! See `storage::desk`.

use model::{Slug, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};
use storage::{
    Result, Urgency,
    desk::{
        ANSWER_LOST, ANSWERS_KEPT, Begun, DeskStore, Draft, KeptAnswer, NewDraft, RequestMark, VersionMark,
    },
    settings::DefinitionKind,
};

use crate::{
    Sqlite,
    pool::driver,
    rows::{blob, from_json, inconsistent, text, to_json},
};

impl DeskStore for Sqlite {
    async fn begin_request(&self, mark: RequestMark) -> Result<Begun> {
        self.write(Urgency::Urgent, move |transaction| begin(transaction, &mark)).await
    }

    async fn end_request(&self, who: String, key: String, answer: Option<KeptAnswer>) -> Result<()> {
        self.write(Urgency::Urgent, move |transaction| {
            let Some(answer) = answer else {
                transaction
                    .prepare_cached("DELETE FROM answers WHERE who = ?1 AND key = ?2")
                    .and_then(|mut delete| delete.execute((&who, &key)))
                    .map_err(driver)?;
                return Ok(());
            };
            transaction
                .prepare_cached(
                    "UPDATE answers SET status = ?3, headers = ?4, body = ?5 WHERE who = ?1 AND key = ?2",
                )
                .map_err(driver)?
                .execute(params![who, key, answer.status, to_json(&answer.headers)?, answer.body])
                .map_err(driver)?;
            Ok(())
        })
        .await
    }

    async fn load_drafts(&self, kind: DefinitionKind) -> Result<Vec<Draft>> {
        self.read(move |connection| {
            let mut query = connection
                .prepare_cached(
                    "SELECT slug, hash, content, changed_at, changed_by FROM drafts WHERE kind = ?1 ORDER BY slug",
                )
                .map_err(driver)?;
            let mut rows = query.query([kind as u8]).map_err(driver)?;
            let mut drafts = Vec::new();
            while let Some(row) = rows.next().map_err(driver)? {
                drafts.push(read_draft(kind, row)?);
            }
            Ok(drafts)
        })
        .await
    }

    async fn load_draft(&self, kind: DefinitionKind, slug: Slug) -> Result<Option<Draft>> {
        self.read(move |connection| load_draft(connection, kind, &slug)).await
    }

    async fn save_draft(&self, draft: NewDraft, before: Option<String>) -> Result<Option<Draft>> {
        self.write(Urgency::Urgent, move |transaction| save_draft(transaction, &draft, before.as_deref()))
            .await
    }

    async fn remove_draft(&self, kind: DefinitionKind, slug: Slug, hash: String) -> Result<bool> {
        self.write(Urgency::Urgent, move |transaction| {
            let removed = transaction
                .prepare_cached("DELETE FROM drafts WHERE kind = ?1 AND slug = ?2 AND hash = ?3")
                .and_then(|mut delete| delete.execute((kind as u8, slug.as_str(), &hash)))
                .map_err(driver)?;
            Ok(removed > 0)
        })
        .await
    }

    async fn list_versions(
        &self,
        kind: DefinitionKind,
        slug: Slug,
        before: u32,
        limit: usize,
    ) -> Result<Vec<VersionMark>> {
        self.read(move |connection| {
            let mut query = connection
                .prepare_cached(
                    "SELECT version, created_at, hash FROM definitions
                     WHERE kind = ?1 AND slug = ?2 AND version < ?3 ORDER BY version DESC LIMIT ?4",
                )
                .map_err(driver)?;
            let marks = query
                .query_map(params![kind as u8, slug.as_str(), before, limit as i64], |row| {
                    Ok(VersionMark {
                        version: row.get(0)?,
                        created_at: Timestamp(row.get(1)?),
                        hash: row.get(2)?,
                    })
                })
                .map_err(driver)?;
            marks.collect::<rusqlite::Result<_>>().map_err(driver)
        })
        .await
    }
}

fn begin(connection: &Connection, mark: &RequestMark) -> Result<Begun> {
    connection
        .prepare_cached("DELETE FROM answers WHERE begun_at < ?1 OR (status IS NULL AND begun_at < ?2)")
        .and_then(|mut delete| {
            delete.execute((mark.at.0.saturating_sub(ANSWERS_KEPT), mark.at.0.saturating_sub(ANSWER_LOST)))
        })
        .map_err(driver)?;
    let mut query = connection
        .prepare_cached("SELECT request, status, headers, body FROM answers WHERE who = ?1 AND key = ?2")
        .map_err(driver)?;
    let mut rows = query.query((&mark.who, &mark.key)).map_err(driver)?;
    if let Some(row) = rows.next().map_err(driver)? {
        if blob(row, 0).map_err(driver)? != mark.request {
            return Ok(Begun::Other);
        }
        let Some(status) = row.get::<_, Option<u16>>(1).map_err(driver)? else { return Ok(Begun::Running) };
        let headers = from_json("answers", &mark.key, text(row, 2).map_err(driver)?)?;
        return Ok(Begun::Answered(KeptAnswer { status, headers, body: row.get(3).map_err(driver)? }));
    }
    connection
        .prepare_cached("INSERT INTO answers (who, key, request, begun_at) VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut insert| insert.execute((&mark.who, &mark.key, &mark.request[..], mark.at.0)))
        .map_err(driver)?;
    Ok(Begun::New)
}

fn load_draft(connection: &Connection, kind: DefinitionKind, slug: &Slug) -> Result<Option<Draft>> {
    let mut query = connection
        .prepare_cached(
            "SELECT slug, hash, content, changed_at, changed_by FROM drafts WHERE kind = ?1 AND slug = ?2",
        )
        .map_err(driver)?;
    let mut rows = query.query((kind as u8, slug.as_str())).map_err(driver)?;
    rows.next().map_err(driver)?.map(|row| read_draft(kind, row)).transpose()
}

fn read_draft(kind: DefinitionKind, row: &Row<'_>) -> Result<Draft> {
    let slug = text(row, 0).map_err(driver)?;
    Ok(Draft {
        kind,
        slug: Slug::parse(slug).map_err(|problem| inconsistent("drafts", slug, problem.message))?,
        hash: row.get(1).map_err(driver)?,
        content: from_json("drafts", slug, text(row, 2).map_err(driver)?)?,
        changed_at: Timestamp(row.get(3).map_err(driver)?),
        changed_by: row.get(4).map_err(driver)?,
    })
}

fn save_draft(connection: &Connection, new: &NewDraft, before: Option<&str>) -> Result<Option<Draft>> {
    let known: Option<String> = connection
        .prepare_cached("SELECT hash FROM drafts WHERE kind = ?1 AND slug = ?2")
        .and_then(|mut query| {
            query.query_row((new.kind as u8, new.slug.as_str()), |row| row.get(0)).optional()
        })
        .map_err(driver)?;
    if known.as_deref() != before {
        return Ok(None);
    }
    let content = to_json(&new.content)?;
    let hash: String = Sha256::digest(content.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    if known.as_ref() != Some(&hash) {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO drafts (kind, slug, hash, content, changed_at, changed_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )
            .and_then(|mut insert| {
                insert.execute((new.kind as u8, new.slug.as_str(), &hash, &content, new.at.0, &new.by))
            })
            .map_err(driver)?;
    }
    load_draft(connection, new.kind, &new.slug)
}
