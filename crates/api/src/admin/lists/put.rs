//! `PUT /api/v1/lists/{slug}`: makes a static list, or names it anew.

use axum::{Json, extract::State};
use model::Problem;
use serde::Deserialize;
use serde_json::json;
use storage::Storage;
use utoipa::ToSchema;

use super::{ListBody, find};
use crate::{
    ApiResult, App,
    access::Editor,
    audit,
    extract::{Body, Named},
    said,
};

/// Longest name, in characters.
const NAME_LEN_MAX: usize = 255;

/// A list's name.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Press"}))]
pub(crate) struct PutList {
    /// What the shop calls it.
    #[schema(max_length = 255)]
    name: String,
}

/// Makes a static list, or names it anew. Nobody is put on it.
#[utoipa::path(
    put,
    path = "/api/v1/lists/{slug}",
    operation_id = "put_list",
    tag = "lists",
    params(("slug" = String, Path)),
    request_body = PutList,
    responses((status = 200, body = ListBody), (status = 422, body = crate::problem::ProblemDetails))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(slug): Named<String>,
    Body(given): Body<PutList>,
) -> ApiResult<Json<ListBody>> {
    let slug = said::slug(&slug)?;
    if given.name.chars().count() > NAME_LEN_MAX {
        return Err(Problem::new("list.name", format!("the name is longer than {NAME_LEN_MAX} characters"))
            .field("name")
            .value(&given.name)
            .into());
    }
    app.store.save_list(slug.clone(), given.name, app.now()).await?;
    audit::note(&app, &by, "list.save", format!("list:{slug}"), json!({})).await?;
    Ok(Json(find(&app, &slug).await?.into()))
}
