//! What other services call: bounces, complaints, events of mail services (docs/bounces.md).
//!
//! Each service has an address of its own, and is heard only when the configuration holds its key. A call is genuine or
//! refused as a whole; its events are then taken one by one, and answered for together, after the commit.

mod brevo;
mod certificates;
mod mailgun;
mod postmark;
mod sendgrid;
mod ses;

use std::sync::Arc;

use axum::{Json, http::StatusCode};
use delivery::{fetch::Fetcher, post::providers::Heard};
use model::Problem;
use serde::Serialize;
use storage::{Storage, post::Reported};
use tokio::sync::Notify;
use utoipa::ToSchema;

use crate::{ApiError, ApiResult, App, operations, section::Section};

/// What it is told at the start. Without its key a service is not heard.
#[derive(Clone, Default)]
pub struct Config {
    /// Amazon SES: topics of SNS (ARN) that may call.
    pub ses_topics: Vec<String>,
    /// SendGrid: the verification key that it shows.
    pub sendgrid_key: Option<String>,
    /// Mailgun: the signing key for webhooks.
    pub mailgun_key: Option<String>,
    /// Postmark: the secret of its calls, `password` or `user:password`.
    pub postmark_secret: Option<String>,
    /// Brevo: the secret of its calls.
    pub brevo_secret: Option<String>,
    /// What fetches certificates of SNS; one that calls public addresses alone when there is none.
    pub fetcher: Option<Fetcher>,
}

/// Never shows a key.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let heard = [
            ("ses", !self.ses_topics.is_empty()),
            ("sendgrid", self.sendgrid_key.is_some()),
            ("mailgun", self.mailgun_key.is_some()),
            ("postmark", self.postmark_secret.is_some()),
            ("brevo", self.brevo_secret.is_some()),
        ];
        f.debug_list().entries(heard.iter().filter(|(_, heard)| *heard).map(|(name, _)| name)).finish()
    }
}

impl Config {
    /// Whether all of it can be used.
    ///
    /// # Errors
    /// `inbound.key`.
    pub fn check(&self) -> Result<(), Problem> {
        self.sendgrid_key.as_deref().map(delivery::post::providers::sendgrid::key).transpose()?;
        Ok(())
    }
}

/// What it keeps in memory.
#[derive(Debug, Default)]
pub struct State {
    /// Wakes who tells webhooks.
    pub hook_bell: Arc<Notify>,
    certificates: certificates::Certificates,
}

impl State {
    /// At the start.
    #[must_use]
    pub fn new(_config: &Config) -> Self {
        Self::default()
    }
}

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("inbound"), S; ses, sendgrid, mailgun, postmark, brevo)
}

/// What became of the events of a call.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct HeardBody {
    /// Recorded now.
    taken: usize,
    /// Recorded before.
    repeated: usize,
    /// About no message and no address of ours.
    unknown: usize,
    /// Of kinds that lead to nothing: opens, clicks, delays.
    ignored: usize,
    /// Could not be read.
    unreadable: usize,
}

/// The key of a service.
fn key<'a>(key: Option<&'a String>, service: &'static str) -> ApiResult<&'a str> {
    key.map(String::as_str).filter(|key| !key.is_empty()).ok_or_else(|| not_configured(service))
}

fn not_configured(service: &'static str) -> ApiError {
    let problem = Problem::new("inbound.not_configured", format!("calls of {service} are not heard here"))
        .cure("give its key to the server: docs/bounces.md");
    ApiError::new(StatusCode::FORBIDDEN, problem)
}

/// A refusal, by what it is.
fn refused(problem: Problem) -> ApiError {
    let status = match &*problem.code {
        "inbound.forged" | "inbound.stale" => StatusCode::FORBIDDEN,
        "inbound.too_many" => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    };
    tracing::warn!(code = &*problem.code, message = problem.message, "a call was refused");
    ApiError::new(status, problem)
}

/// Records what a genuine call says.
async fn take<S: Storage>(app: &App<S>, heard: Heard) -> ApiResult<Json<HeardBody>> {
    let mut body = HeardBody { ignored: heard.ignored, unreadable: heard.unreadable, ..HeardBody::default() };
    if !heard.reports.is_empty() {
        for reported in app.store.report(app.now(), heard.reports).await? {
            match reported {
                Reported::Taken(_) => body.taken += 1,
                Reported::Repeated => body.repeated += 1,
                Reported::Unknown => body.unknown += 1,
            }
        }
    }
    if body.taken > 0 {
        app.engine_bell.notify_one();
        app.inbound.hook_bell.notify_one();
    }
    Ok(Json(body))
}
