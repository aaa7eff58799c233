//! `POST /api/v1/password/choose`: chooses a password with the ticket of a mail.

use axum::{extract::State, http::StatusCode};
use model::Problem;
use serde::Deserialize;
use serde_json::json;
use storage::{Storage, users::TicketKind};
use utoipa::ToSchema;

use crate::{
    ApiError, ApiResult, App,
    access::{account::who, password, stranger::Stranger, token},
    extract::Body,
    problem::ProblemDetails,
};

/// The ticket and the password.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "what the mail says", "password": "correct horse battery staple"}))]
pub struct Choose {
    /// What the mail's link held.
    token: String,
    /// The new password: 12 to 1024 characters.
    password: String,
}

/// For who was invited, or has forgotten the old one. Ends all sessions of the user; sign in afterwards.
#[utoipa::path(
    post,
    path = "/api/v1/password/choose",
    operation_id = "choose_password",
    request_body = Choose,
    responses((status = 204), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    stranger: Stranger,
    Body(asked): Body<Choose>,
) -> ApiResult<StatusCode> {
    choose(&app, &stranger, &asked.token, &asked.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets the password of a ticket's user, and uses the ticket up.
pub(crate) async fn choose<S: Storage>(
    app: &App<S>,
    stranger: &Stranger,
    ticket: &str,
    chosen: &str,
) -> ApiResult<()> {
    let hash = token::hash(ticket);
    let found = app.store.load_ticket(hash, app.now()).await?;
    let Some((ticket, Some(user))) = found else { return Err(over()) };
    password::check(chosen, &user.is.email)?;
    let kept = app.access.hasher.hash(&*app.chance, chosen).await?;
    let action = if ticket.kind == TicketKind::Invite { "user.accept" } else { "user.password" };
    let object = who(&user.is.email);
    let deed = stranger.deed(app, object.clone(), action, &object, json!({"by": "mail"}));
    if app.store.redeem_ticket(hash, kept, deed).await? { Ok(()) } else { Err(over()) }
}

fn over() -> ApiError {
    let problem = Problem::new("access.ticket", "the link is not good any more: it was used, or is too old")
        .cure("ask for another one");
    ApiError::new(StatusCode::GONE, problem)
}
