//! `POST /api/v1/webhooks`: a new one.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::json;
use storage::{Storage, hooks::HookPlan};
use utoipa::ToSchema;

use super::{NewWebhook, answer, check, told};
use crate::{ApiResult, App, access::Owner, audit, extract::Body, problem::ProblemDetails};

/// What a webhook is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"url": "https://hooks.shop.example/relance", "kinds": ["Email Bounced"], "note": "the till"}))]
pub struct CreateWebhook {
    /// Where to: http or https.
    url: String,
    /// Kinds of events that it is told, as in `Email Bounced`; all when left out.
    #[serde(default)]
    kinds: Vec<String>,
    /// What the shop calls it.
    #[serde(default)]
    note: String,
    /// Whether it is told anything; yes when left out.
    active: Option<bool>,
}

/// Makes a webhook. The secret that signs its calls is in this answer and in no other.
#[utoipa::path(post, path = "/api/v1/webhooks", operation_id = "create_webhook", request_body = CreateWebhook,
    responses((status = 201, body = NewWebhook), (status = 422, body = ProblemDetails)))]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Owner(who): Owner,
    Body(wanted): Body<CreateWebhook>,
) -> ApiResult<(StatusCode, Json<NewWebhook>)> {
    let CreateWebhook { url, kinds, note, active } = wanted;
    let plan = HookPlan { url, kinds, note, active: active.unwrap_or(true) };
    let warnings = check(&plan)?;
    let mut bytes = [0; delivery::hooks::SECRET_LEN];
    app.chance.fill(&mut bytes);
    let (secret, text) = delivery::hooks::secret(&bytes);
    let details = json!({"url": plan.url, "kinds": plan.kinds});
    let id = app.store.add_hook(plan, secret, app.now()).await?;
    audit::note(&app, &who, "webhook.create", format!("webhook:{id}"), details).await?;
    let webhook = answer(&app, id).await?.1;
    let made = NewWebhook { webhook, secret: Some(text), warnings: told(&warnings) };
    Ok((StatusCode::CREATED, Json(made)))
}
