//! `GET /api/v1/audit`: who did what.

use axum::{Json, extract::State};
use model::{Timestamp, Zone};
use serde::{Deserialize, Serialize};
use storage::{
    Storage,
    audit::{AuditEntry, AuditFilter},
};
use utoipa::ToSchema;

use crate::{
    ApiResult, App,
    access::Owner,
    extract::Asked,
    page::{Page, PageQuery},
    problem::ProblemDetails,
};

/// Which entries.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Exactly this who, as in `user:ann@shop.example`, `key:…`, `command line`.
    who: Option<String>,
    /// This action, or all of a kind when it ends with a full stop: `journey.`.
    action: Option<String>,
    /// Exactly this object, as in `journey:welcome`.
    object: Option<String>,
    /// Not before this instant.
    from: Option<String>,
    /// Before this instant.
    to: Option<String>,
}

/// Something that somebody did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditItem {
    /// Its number: grows from entry to entry.
    pub id: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// What, as in `journey.publish`.
    pub action: String,
    /// On what; may be empty.
    pub object: String,
    /// More about it.
    #[schema(value_type = Object)]
    pub details: serde_json::Value,
    /// The client's network address, when it was known.
    pub client: Option<String>,
}

impl From<AuditEntry> for AuditItem {
    fn from(AuditEntry { id, deed }: AuditEntry) -> Self {
        Self {
            id,
            at: deed.at,
            who: deed.who,
            action: deed.action,
            object: deed.object,
            details: deed.details,
            client: deed.client,
        }
    }
}

/// The newest first.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    operation_id = "list_audit",
    params(Filter, PageQuery),
    responses((status = 200, body = Page<AuditItem>), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Owner,
    Asked(filter): Asked<Filter>,
    Asked(page): Asked<PageQuery>,
) -> ApiResult<Json<Page<AuditItem>>> {
    let instant = |text: Option<String>, field: &str| match text {
        None => Ok(None),
        Some(text) => Timestamp::parse(&text, &Zone::UTC).map(Some).map_err(|problem| problem.field(field)),
    };
    let filter = AuditFilter {
        who: filter.who,
        action: filter.action,
        object: filter.object,
        from: instant(filter.from, "from")?,
        to: instant(filter.to, "to")?,
    };
    let limit = page.limit()?;
    let entries = app.store.list_audit(filter, page.after()?, limit + 1).await?;
    Ok(Json(Page::cut(entries, limit, |entry| entry.id).map(AuditItem::from)))
}
