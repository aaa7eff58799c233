//! `GET /api/v1/sessions`: where one is signed in.

use axum::{Json, extract::State};
use model::Timestamp;
use serde::Serialize;
use storage::Storage;
use utoipa::ToSchema;

use crate::{ApiResult, App, access::account::SignedIn, problem::ProblemDetails};

/// A session.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionItem {
    /// Names it.
    pub id: String,
    /// Whether it is the one that asks.
    pub current: bool,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last used, to a minute.
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: Timestamp,
    /// From which network address it was opened, when that was known.
    pub client: Option<String>,
    /// What the browser called itself.
    pub agent: String,
}

/// A user's sessions.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Sessions {
    /// The newest first.
    pub items: Vec<SessionItem>,
}

/// One's own, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/sessions",
    operation_id = "list_sessions",
    responses((status = 200, body = Sessions), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(State(app): State<App<S>>, signed_in: SignedIn) -> ApiResult<Json<Sessions>> {
    let mine = signed_in.account.session;
    let sessions = app.store.list_sessions(mine.user, app.config.access.sessions, app.now()).await?;
    let items = sessions.into_iter().map(|session| SessionItem {
        current: session.id == mine.id,
        id: session.id,
        created_at: session.created_at,
        seen_at: session.seen_at,
        client: session.client,
        agent: session.agent,
    });
    Ok(Json(Sessions { items: items.collect() }))
}
