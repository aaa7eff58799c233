//! See `storage::retire`.

use rusqlite::Connection;
use serde_json::Value;
use storage::{
    Result, Urgency,
    lives::RULES_VERSION,
    retire::{RetireStore, Retirement, RulesMark},
    settings::{DefinitionKind, NewDefinition},
};

use crate::{Sqlite, audit, coupons, lives, pool::driver, rfm, segments, settings};

impl RetireStore for Sqlite {
    async fn rules_mark(&self) -> Result<RulesMark> {
        self.read(mark).await
    }

    async fn retire_definition(&self, retirement: Retirement) -> Result<bool> {
        self.write(Urgency::Rebuild, move |transaction| {
            let done = retire(transaction, &retirement)?;
            storage::fault::point("retire.before_commit");
            Ok(done)
        })
        .await
    }
}

fn mark(connection: &Connection) -> Result<RulesMark> {
    let rules = settings::load_setting(connection, RULES_VERSION)?;
    let definitions: i64 = connection
        .prepare_cached("SELECT count(*) FROM definitions")
        .and_then(|mut query| query.query_row([], |row| row.get(0)))
        .map_err(driver)?;
    Ok(RulesMark {
        rules: rules.and_then(|value| value.as_u64()).unwrap_or_default(),
        definitions: definitions.unsigned_abs(),
    })
}

fn retire(connection: &Connection, retirement: &Retirement) -> Result<bool> {
    let Retirement { kind, slug, version, deed, at, .. } = retirement;
    let stands = settings::last_version(connection, *kind, slug)? == Some((*version, false));
    if !stands || mark(connection)? != retirement.mark {
        return Ok(false);
    }
    let gone = NewDefinition { kind: *kind, slug: slug.clone(), content: Value::Null };
    settings::save_definitions(connection, &[gone], *at)?;
    match kind {
        DefinitionKind::Segment => segments::forget(connection, slug)?,
        DefinitionKind::CouponSet => coupons::forget_free(connection, slug)?,
        DefinitionKind::RfmModel => rfm::forget_model(connection, slug)?,
        _ => {}
    }
    lives::touch(connection)?;
    audit::append(connection, deed)?;
    Ok(true)
}
