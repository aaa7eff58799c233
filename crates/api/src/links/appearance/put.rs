//! `PUT /api/v1/branding`

use axum::{Json, extract::State};
use storage::Storage;

use crate::{
    ApiResult, App,
    access::Owner,
    audit,
    extract::Body,
    links::branding::{Branding, SETTING},
};

/// Sets how the pages for people look.
#[utoipa::path(
    put,
    path = "/api/v1/branding",
    operation_id = "put_branding",
    request_body = Branding,
    responses(
        (status = 200, body = Branding),
        (status = 401, body = crate::problem::ProblemDetails),
        (status = 403, body = crate::problem::ProblemDetails),
        (status = 422, body = crate::problem::ProblemDetails)
    )
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Owner(by): Owner,
    Body(branding): Body<Branding>,
) -> ApiResult<Json<Branding>> {
    branding.check()?;
    app.store.save_setting(SETTING.to_owned(), serde_json::json!(branding)).await?;
    audit::note(&app, &by, "branding.set", "setting:branding", serde_json::json!({"name": branding.name}))
        .await?;
    Ok(Json(branding))
}
