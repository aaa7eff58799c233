//! `POST /api/v1/journeys/{slug}/simulate`: a draft is played over the stored history, as a job.

use axum::{Json, extract::State, http::StatusCode};
use model::Problem;
use serde::Deserialize;
use storage::Storage;
use utoipa::ToSchema;

use super::{
    draft_get::folder_of,
    folder::{FolderBody, compile},
};
use crate::{
    ApiResult, App,
    access::Editor,
    admin::jobs::{self, JobBody, simulating::Simulating},
    extract::{Body, Named},
    said::{At, find_contact, slug},
};

/// What to play.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "2026-10-01T00:00:00Z", "to": "2026-11-01T00:00:00Z", "sample": 10000, "open_rate": 0.3}))]
pub(crate) struct SimulateBody {
    /// What to play; the draft without it.
    folder: Option<FolderBody>,
    /// The first instant; 30 days before the last one without it.
    from: Option<At>,
    /// The last instant (excluded); now without it.
    to: Option<At>,
    /// Play about so many contacts, spread over the base; all without it.
    #[schema(minimum = 1)]
    sample: Option<u64>,
    /// Play this contact alone, and tell its way: the shop's id, an email address, or `id:` and its number.
    contact: Option<String>,
    /// The share of messages that are opened, 0 to 1.
    #[serde(default)]
    #[schema(minimum = 0.0, maximum = 1.0)]
    open_rate: f64,
    /// The share of messages in which a link is clicked, 0 to 1.
    #[serde(default)]
    #[schema(minimum = 0.0, maximum = 1.0)]
    click_rate: f64,
    /// Days after an entry or a message in which purchases are counted: 1 to 365, 7 by default.
    #[schema(minimum = 1, maximum = 365)]
    within_days: Option<u16>,
    /// Seed of the dice.
    seed: Option<u64>,
}

/// Plays a draft over the stored history: who would have entered, which way they would have gone, what they would have been
/// sent, what they bought afterwards. Nothing is written, nothing is sent. The answer is a job; its result is there when
/// the job is done.
#[utoipa::path(
    post,
    path = "/api/v1/journeys/{slug}/simulate",
    operation_id = "simulate_journey",
    params(("slug" = String, Path, max_length = 64, pattern = "^[a-z0-9_-]+$")),
    request_body = SimulateBody,
    responses((status = 202, body = JobBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Named(name): Named<String>,
    Body(asked): Body<SimulateBody>,
) -> ApiResult<(StatusCode, Json<JobBody>)> {
    let slug = slug(&name)?;
    let folder = match asked.folder {
        Some(folder) => folder,
        None => folder_of(&super::draft(&app, &slug).await?.ok_or_else(|| super::no_draft(&slug))?)?,
    };
    // What is wrong with it is said at once.
    drop(compile(&app, &folder, Some(&slug)).await??);
    let to = asked.to.map_or_else(|| app.now(), |at| at.0);
    let from = asked.from.map_or_else(|| to.plus_days(-engine::simulate::DAYS), |at| at.0);
    if from >= to {
        return Err(Problem::new("simulate.span", format!("it would begin at {from} and end at {to}"))
            .field("from")
            .value(from)
            .cure("give a `from` that lies before `to`")
            .into());
    }
    share("open_rate", asked.open_rate)?;
    share("click_rate", asked.click_rate)?;
    let within_days = asked.within_days.unwrap_or(engine::simulate::WITHIN_DAYS as u16);
    if !(1..=365).contains(&within_days) || asked.sample == Some(0) {
        let field = if asked.sample == Some(0) { "sample" } else { "within_days" };
        return Err(Problem::new("simulate.options", format!("`{field}` cannot be that"))
            .field(field)
            .cure("within_days is 1 to 365, sample 1 or more")
            .into());
    }
    let contact = match &asked.contact {
        Some(text) => Some(find_contact(&app.store, text).await?.id),
        None => None,
    };
    let request = Simulating {
        journey: slug,
        folder,
        from,
        to,
        sample: asked.sample,
        contact,
        open_rate: asked.open_rate,
        click_rate: asked.click_rate,
        within_days,
        seed: asked.seed.unwrap_or(1),
    };
    jobs::ask(&app, &editor, jobs::SIMULATE, &request).await
}

fn share(field: &'static str, share: f64) -> Result<(), Problem> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(Problem::new("simulate.share", "a share is a number from 0 to 1").field(field).value(share))
}
