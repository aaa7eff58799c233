//! `PUT /api/v1/branding`

use axum::extract::State;
use serde_json::json;
use storage::Storage;

use crate::{
    ApiResult, App,
    access::Owner,
    audit,
    extract::Body,
    links::branding::{Branding, SETTING},
    tag::{Precondition, Tag, Tagged},
};

/// Sets how the pages for people look; with `If-Match` only when that is what is there.
#[utoipa::path(
    put,
    path = "/api/v1/branding",
    operation_id = "put_branding",
    request_body = Branding,
    responses(
        (status = 200, body = Branding, headers(("ETag" = String))),
        (status = 401, body = crate::problem::ProblemDetails),
        (status = 403, body = crate::problem::ProblemDetails),
        (status = 412, body = crate::problem::ProblemDetails),
        (status = 422, body = crate::problem::ProblemDetails)
    )
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Owner(by): Owner,
    condition: Precondition,
    Body(branding): Body<Branding>,
) -> ApiResult<Tagged<Branding>> {
    branding.check()?;
    loop {
        let known = app.store.load_setting(SETTING.to_owned()).await?;
        condition.check(Some(&Tag::of(&Branding::of(known.clone()))))?;
        let deed = audit::deed(&app, &by, "branding.set", "setting:branding", json!({"name": branding.name}));
        if app.store.replace_setting(SETTING.to_owned(), known, json!(branding), deed).await? {
            return Ok(Tagged(Tag::of(&branding), branding));
        }
    }
}
