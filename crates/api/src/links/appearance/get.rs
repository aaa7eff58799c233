//! `GET /api/v1/branding`

use axum::{extract::State, response::Response};
use storage::Storage;

use crate::{
    ApiResult, App,
    access::Viewer,
    links::branding::{Branding, SETTING},
    tag::{Known, Tag},
};

/// How the pages for people look.
#[utoipa::path(
    get,
    path = "/api/v1/branding",
    operation_id = "get_branding",
    responses(
        (status = 200, body = Branding, headers(("ETag" = String))),
        (status = 401, body = crate::problem::ProblemDetails),
        (status = 403, body = crate::problem::ProblemDetails)
    )
)]
pub async fn handle<S: Storage>(State(app): State<App<S>>, _: Viewer, known: Known) -> ApiResult<Response> {
    let branding = Branding::of(app.store.load_setting(SETTING.to_owned()).await?);
    Ok(known.answer(Tag::of(&branding), branding))
}
