//! `POST /inbound/ses`: Amazon SES by SNS.

use axum::{Json, body::Bytes, extract::State};
use delivery::post::providers::ses::{Call, CallKind};
use storage::Storage;

use super::{HeardBody, certificates::fetch, not_configured, refused, take};
use crate::{ApiResult, App, problem::ProblemDetails};

/// Takes a call of a topic that the configuration names. A subscription is confirmed.
#[utoipa::path(post, path = "/inbound/ses", operation_id = "inbound_ses",
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = HeardBody), (status = 400, body = ProblemDetails),
        (status = 403, body = ProblemDetails), (status = 503, body = ProblemDetails)))]
pub async fn handle<S: Storage>(State(app): State<App<S>>, body: Bytes) -> ApiResult<Json<HeardBody>> {
    let config = &app.config.inbound;
    if config.ses_topics.is_empty() {
        return Err(not_configured("Amazon SES"));
    }
    let call = Call::parse(&body, &config.ses_topics).map_err(refused)?;
    let certificates = &app.inbound.certificates;
    let pem = certificates.get(config.fetcher.as_ref(), &call.certificate_url).await?;
    call.verify(&pem, app.now()).map_err(|problem| {
        certificates.forget(&call.certificate_url);
        refused(problem)
    })?;
    match call.kind {
        CallKind::Notification => take(&app, call.read(&app.links, app.now())).await,
        CallKind::Subscription => {
            if let Some(url) = call.confirm_url() {
                fetch(config.fetcher.as_ref(), url).await?;
                tracing::info!("a topic of SNS is subscribed to");
            }
            Ok(Json(HeardBody::default()))
        }
        CallKind::Unsubscription => {
            tracing::warn!("a topic of SNS calls here no more");
            Ok(Json(HeardBody::default()))
        }
    }
}
