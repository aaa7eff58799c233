//! `PATCH /api/v1/webhooks/{id}`: changes one.

use axum::extract::State;
use serde::Deserialize;
use serde_json::json;
use storage::{Storage, hooks::HookPlan};
use utoipa::ToSchema;

use super::{NewWebhook, answer, check, find, tag, told};
use crate::{
    ApiError, ApiResult, App,
    access::Owner,
    audit,
    extract::{Body, Named},
    problem::ProblemDetails,
    tag::{Precondition, Tagged},
};

/// What is to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"active": false}))]
pub struct ChangeWebhook {
    /// Where to.
    url: Option<String>,
    /// Kinds of events that it is told; an empty list for all.
    kinds: Option<Vec<String>>,
    /// What the shop calls it.
    note: Option<String>,
    /// Whether it is told anything. `true` begins again with one that was given up.
    active: Option<bool>,
}

/// Changes a webhook: with `If-Match` only one that stands as it was read.
#[utoipa::path(patch, path = "/api/v1/webhooks/{id}", operation_id = "change_webhook", params(("id" = i64, Path)),
    request_body = ChangeWebhook,
    responses((status = 200, body = NewWebhook), (status = 404, body = ProblemDetails),
        (status = 422, body = ProblemDetails)))]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Owner(who): Owner,
    Named(id): Named<i64>,
    precondition: Precondition,
    Body(wanted): Body<ChangeWebhook>,
) -> ApiResult<Tagged<NewWebhook>> {
    let before = find(&app, id).await?.plan;
    precondition.check(Some(&tag(&before)))?;
    let plan = HookPlan {
        url: wanted.url.unwrap_or(before.url),
        kinds: wanted.kinds.unwrap_or(before.kinds),
        note: wanted.note.unwrap_or(before.note),
        active: wanted.active.unwrap_or(before.active),
    };
    let warnings = check(&plan)?;
    let details = json!({"url": plan.url, "kinds": plan.kinds, "active": plan.active});
    if !app.store.change_hook(id, plan, app.now()).await? {
        return Err(ApiError::not_found("webhook", id));
    }
    audit::note(&app, &who, "webhook.change", format!("webhook:{id}"), details).await?;
    app.inbound.hook_bell.notify_one();
    let Tagged(tag, webhook) = answer(&app, id).await?;
    Ok(Tagged(tag, NewWebhook { webhook, secret: None, warnings: told(&warnings) }))
}
