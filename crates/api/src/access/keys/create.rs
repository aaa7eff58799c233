//! `POST /api/v1/keys`: makes a key.

use axum::{Extension, Json, extract::State, http::StatusCode};
use model::Problem;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::{Storage, access::KeyScope};
use utoipa::ToSchema;

use super::KeyBody;
use crate::{
    ApiResult, App,
    access::{NAME_LEN_MAX, Owner, key},
    audit,
    extract::Body,
    once::Shown,
    problem::ProblemDetails,
};

/// A key to be.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"scope": "write", "name": "the till"}))]
pub struct NewKey {
    /// What it may do: `track`, `read`, `write` or `admin`.
    scope: String,
    /// What it is called: 1 to 200 characters.
    name: String,
}

/// A new key.
#[derive(Clone, Serialize, ToSchema)]
pub struct MadeKey {
    /// What is kept of it.
    #[serde(flatten)]
    pub kept: KeyBody,
    /// The key itself: shown now and never again.
    pub key: String,
}

/// Shows the key, once: the answer is kept for no `Idempotency-Key`, and a repeat is told `idempotency.shown`.
#[utoipa::path(
    post,
    path = "/api/v1/keys",
    operation_id = "create_key",
    request_body = NewKey,
    responses((status = 201, body = MadeKey), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Owner(by): Owner,
    Body(asked): Body<NewKey>,
) -> ApiResult<(StatusCode, Extension<Shown>, Json<MadeKey>)> {
    let scope = KeyScope::parse(&asked.scope).ok_or_else(|| {
        Problem::new("key.scope", format!("there is no scope `{}`", asked.scope))
            .field("scope")
            .value(&asked.scope)
            .suggest(&asked.scope, KeyScope::ALL.map(KeyScope::word))
    })?;
    let name = asked.name.trim();
    if !(1..=NAME_LEN_MAX).contains(&name.chars().count()) {
        return Err(Problem::new("key.name", "a key has a name of 1 to 200 characters").field("name").into());
    }
    let (kept, text) = key::make(&*app.chance, scope, name, &by.who, app.now());
    // The entry first: a key that nobody knows of must not be there.
    let details = json!({"scope": scope.word(), "name": name});
    audit::note(&app, &by, "key.create", format!("key:{}", kept.id), details).await?;
    app.store.save_key(kept.clone()).await?;
    Ok((StatusCode::CREATED, Extension(Shown), Json(MadeKey { kept: kept.into(), key: text })))
}
