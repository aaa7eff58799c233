//! `GET /api/v1/branding`

use axum::{Json, extract::State};
use storage::Storage;

use crate::{
    ApiResult, App,
    access::Viewer,
    links::branding::{Branding, SETTING},
};

/// How the pages for people look.
#[utoipa::path(
    get,
    path = "/api/v1/branding",
    operation_id = "get_branding",
    responses(
        (status = 200, body = Branding),
        (status = 401, body = crate::problem::ProblemDetails),
        (status = 403, body = crate::problem::ProblemDetails)
    )
)]
pub async fn handle<S: Storage>(State(app): State<App<S>>, _: Viewer) -> ApiResult<Json<Branding>> {
    Ok(Json(Branding::of(app.store.load_setting(SETTING.to_owned()).await?)))
}
