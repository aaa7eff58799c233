//! `POST /api/v1/password/forget`: asks for a mail with which one chooses another password.

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::json;
use storage::{Storage, users::TicketKind};
use utoipa::ToSchema;

use crate::{
    ApiResult, App,
    access::{FORGET_RATE, account::who, stranger::Stranger},
    extract::Body,
    problem::ProblemDetails,
};

/// Whose.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ann@shop.example"}))]
pub struct Forget {
    /// The address of the user.
    email: String,
}

/// The same answer whether there is such a user or not. The mail holds a link that is good for an hour.
#[utoipa::path(
    post,
    path = "/api/v1/password/forget",
    operation_id = "forget_password",
    request_body = Forget,
    responses((status = 202), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    stranger: Stranger,
    Body(asked): Body<Forget>,
) -> ApiResult<StatusCode> {
    forget(app, stranger, &asked.email)?;
    Ok(StatusCode::ACCEPTED)
}

/// Has a mail decided for whoever has this address, if anybody has.
///
/// # Errors
/// `access.rate`.
pub(crate) fn forget<S: Storage>(app: App<S>, stranger: Stranger, email: &str) -> ApiResult<()> {
    let email = email.trim().to_lowercase();
    app.access.rates.take(("forget", &email), FORGET_RATE, app.now())?;
    // Whether the address is known would show in the time that this takes: nobody waits for it.
    tokio::spawn(async move {
        if let Err(error) = ask(&app, email, &stranger).await {
            tracing::error!(problems = ?error.problems, "a password mail was not decided");
        }
    });
    Ok(())
}

async fn ask<S: Storage>(app: &App<S>, email: String, stranger: &Stranger) -> ApiResult<()> {
    let user = app.store.find_user(email).await?.filter(|user| user.disabled_at.is_none());
    let Some(user) = user else { return Ok(()) };
    // Who has not chosen a password yet is invited once more.
    let kind = if user.is.password.is_some() { TicketKind::Reset } else { TicketKind::Invite };
    let object = who(&user.is.email);
    let deed = stranger.deed(app, "-".to_owned(), "user.forget_password", &object, json!({}));
    app.store.ask_mail(user.id, kind, app.now(), deed).await?;
    app.access.mail_bell.notify_one();
    Ok(())
}
