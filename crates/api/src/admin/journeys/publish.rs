//! `POST /api/v1/journeys/{slug}/publish`: a draft becomes a version at work.

use axum::{Json, extract::State};
use engine::{campaign::launch::Silent, live::lives};
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::Storage;
use utoipa::ToSchema;

use super::{
    LifeBody,
    draft_get::folder_of,
    draft_tag,
    folder::{FolderBody, compile},
};
use crate::{
    ApiResult, App,
    access::Editor,
    audit,
    extract::{Body, Named},
    problem::ProblemBody,
    said::{At, slug},
    tag::Precondition,
};

/// How to publish.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"starts_at": "2026-12-01T08:00:00Z", "move": true}))]
pub(crate) struct PublishBody {
    /// When it begins; at once without it (or at the journey's own `starts_at`).
    starts_at: Option<At>,
    /// Move those inside earlier versions to this one, where their node still exists.
    #[serde(default, rename = "move")]
    moves: bool,
    /// Seed of its dice.
    seed: Option<u64>,
    /// What to publish; the draft without it.
    folder: Option<FolderBody>,
}

/// What publishing came to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PublishedBody {
    /// The journey.
    journey: String,
    /// The version, as it stands.
    life: LifeBody,
    /// It was published before and is at work: nothing was done.
    unchanged: bool,
    /// Contacts of its audience that enter now.
    audience: u64,
    /// Earlier versions, as they are now.
    earlier: Vec<LifeBody>,
    /// Contacts inside earlier versions.
    inside: u64,
    /// Worth knowing.
    warnings: Vec<ProblemBody>,
}

/// Publishes a journey: those whom it concerns enter from now on, or from when it begins. An earlier version takes nobody
/// any more; those inside finish theirs, or are moved. With `If-Match` only the draft that you know is published.
#[utoipa::path(
    post,
    path = "/api/v1/journeys/{slug}/publish",
    operation_id = "publish_journey",
    params(
        ("slug" = String, Path, max_length = 64, pattern = "^[a-z0-9_-]+$"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the draft as you know it.")
    ),
    request_body = PublishBody,
    responses((status = 200, body = PublishedBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Named(name): Named<String>,
    precondition: Precondition,
    Body(asked): Body<PublishBody>,
) -> ApiResult<Json<PublishedBody>> {
    let slug = slug(&name)?;
    let draft = super::draft(&app, &slug).await?;
    precondition.check(draft.as_ref().map(draft_tag).as_ref())?;
    let folder = match (asked.folder, draft) {
        (Some(folder), _) => folder,
        (None, Some(draft)) => folder_of(&draft)?,
        (None, None) => return Err(super::no_draft(&slug)),
    };
    let rules = compile(&app, &folder, Some(&slug)).await??;
    let options = lives::PublishOptions {
        starts_at: asked.starts_at.map(|at| at.0),
        moves: asked.moves,
        seed: asked.seed.unwrap_or(1),
    };
    let by = super::by(&app, &editor);
    let done = lives::publish(&app.store, &rules, &options, &by, &Silent).await.map_err(super::refused)?;
    if !done.unchanged {
        let details = json!({
            "version": done.record.version, "run": done.record.run, "hash": rules.hash, "move": options.moves,
            "starts_at": options.starts_at,
        });
        audit::note(&app, &editor, "journey.publish", format!("journey:{slug}"), details).await?;
    }
    let mut changed = done.earlier.clone();
    changed.push(done.record.clone());
    super::tell(&app, &slug, &changed);
    Ok(Json(PublishedBody {
        journey: slug.to_string(),
        life: LifeBody::from(&done.record),
        unchanged: done.unchanged,
        audience: done.audience,
        earlier: done.earlier.iter().map(LifeBody::from).collect(),
        inside: done.inside,
        warnings: rules.warnings.iter().map(ProblemBody::from).collect(),
    }))
}
