//! `GET /api/v1/fields`: all fields of contacts.

use axum::{Json, extract::State};
use engine::segments::Workspace;
use model::contact::BUILT_IN_FIELDS;
use serde::Serialize;
use serde_json::Map;
use storage::Storage;
use utoipa::ToSchema;

use super::FieldBody;
use crate::{ApiResult, App, access::Viewer, said::Names};

/// All fields.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AllFields {
    /// Those that come with Relance first, then custom ones by slug.
    items: Vec<FieldBody>,
}

/// Lists the fields of contacts: those that come with Relance, and custom ones.
#[utoipa::path(
    get,
    path = "/api/v1/fields",
    operation_id = "list_fields",
    tag = "fields",
    responses((status = 200, body = AllFields))
)]
pub(crate) async fn handle<S: Storage>(State(app): State<App<S>>, _: Viewer) -> ApiResult<Json<AllFields>> {
    let built_in = BUILT_IN_FIELDS.iter().map(|(name, kind)| FieldBody {
        slug: (*name).to_owned(),
        name: Names::default(),
        kind: kind.word().to_owned(),
        built_in: true,
        terms: Map::new(),
    });
    let custom = Workspace::load(&app.store).await?.schema.fields;
    Ok(Json(AllFields { items: built_in.chain(custom.values().map(FieldBody::from)).collect() }))
}
