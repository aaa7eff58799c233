//! Journeys: drafts, versions, lives, recipients.

mod check;
pub(crate) mod counts;
mod draft_get;
mod draft_put;
mod draft_remove;
mod enter;
pub(crate) mod folder;
mod get;
mod list;
mod pause;
mod publish;
mod recipients;
mod resume;
mod retry;
mod simulate;
mod stop;
mod test;
pub(crate) mod trace;
mod version;

use axum::http::StatusCode;
use engine::live::lives::{self, By, Changed, Memo};
use model::{Problem, Slug};
use serde::Serialize;
use serde_json::{Value, json};
use storage::{
    Storage, StoreError,
    desk::Draft,
    live::{Life, LifeRecord},
    settings::{Definition, DefinitionKind},
};
use utoipa::ToSchema;

use crate::{
    ApiError, ApiResult, App,
    access::Principal,
    audit, each_time, operations,
    said::{At, Names},
    section::Section,
    tag::Tag,
};

/// Its operations.
pub(super) fn section<S: Storage>() -> Section<S> {
    let section = operations!(
        Section::new("journeys"), S;
        list, get, version, draft_get, draft_put, draft_remove, counts, recipients, trace,
        publish, pause, resume, stop, enter, retry, test, simulate
    );
    each_time!(section, S; check)
}

/// Where a version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LifeWord {
    Scheduled,
    Active,
    Paused,
    Closing,
    Finished,
    Stopped,
    Stopping,
}

impl From<Life> for LifeWord {
    fn from(life: Life) -> Self {
        match life {
            Life::Scheduled => Self::Scheduled,
            Life::Active => Self::Active,
            Life::Paused => Self::Paused,
            Life::Closing => Self::Closing,
            Life::Finished => Self::Finished,
            Life::Stopped => Self::Stopped,
            Life::Stopping => Self::Stopping,
        }
    }
}

/// The life of a version that was published.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct LifeBody {
    /// The run of this version: what messages and recipients are known by.
    run: i64,
    /// The version.
    version: u32,
    /// Where it stands.
    life: LifeWord,
    /// Since when.
    since: At,
    /// When a scheduled one begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<At>,
    /// Enrolments so far; only in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    entered: Option<u64>,
    /// Of these, inside now; only in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    inside: Option<u64>,
}

impl From<&LifeRecord> for LifeBody {
    fn from(record: &LifeRecord) -> Self {
        Self {
            run: record.run,
            version: record.version,
            life: record.life.into(),
            since: record.since.into(),
            starts_at: record.starts_at.map(At),
            entered: None,
            inside: None,
        }
    }
}

/// Something that was done to a version.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct HappenedBody {
    /// When.
    at: At,
    /// The version.
    version: u32,
    /// What it became.
    life: String,
    /// Who did it.
    by: String,
}

fn history(record: &LifeRecord) -> Vec<HappenedBody> {
    let happened = Memo::of(record).history.into_iter();
    happened
        .map(|one| HappenedBody { at: one.at.into(), version: record.version, life: one.life, by: one.by })
        .collect()
}

/// A draft, without what it says.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DraftMark {
    /// Its version: the ETag of the draft.
    hash: String,
    /// When it was changed last.
    changed_at: At,
    /// By whom.
    changed_by: String,
}

impl From<&Draft> for DraftMark {
    fn from(draft: &Draft) -> Self {
        Self {
            hash: draft.hash.clone(),
            changed_at: draft.changed_at.into(),
            changed_by: draft.changed_by.clone(),
        }
    }
}

/// What a change of a journey's life came to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ChangedBody {
    /// The journey.
    journey: String,
    /// The versions that changed, as they are now.
    lives: Vec<LifeBody>,
    /// Contacts inside whom it concerns: they go on, or are taken out.
    contacts: u64,
    /// Triggers that a pause held: they start the journey now, or were dropped with it.
    held: u64,
    /// Messages that were to go out and will not.
    cancelled: u64,
}

/// The name in a journey's document.
fn name_in(document: Option<&Value>) -> Names {
    let name = document.and_then(|document| document.get("name"));
    let text = |lang: &str| match name {
        Some(Value::String(text)) => Some(text.clone()),
        Some(name) => name.get(lang).and_then(Value::as_str).map(str::to_owned),
        None => None,
    };
    let (en, fr) = (text("en"), text("fr"));
    Names { en: en.clone().or_else(|| fr.clone()).unwrap_or_default(), fr: fr.or(en).unwrap_or_default() }
}

/// The document of a journey that was published.
fn document_of(definition: &Definition) -> &Value {
    definition.content.get("journey").unwrap_or(&definition.content)
}

fn draft_tag(draft: &Draft) -> Tag {
    Tag::new(&draft.hash)
}

/// The draft of a journey.
async fn draft<S: Storage>(app: &App<S>, slug: &Slug) -> ApiResult<Option<Draft>> {
    Ok(app.store.load_draft(DefinitionKind::Journey, slug.clone()).await?)
}

fn no_draft(slug: &Slug) -> ApiError {
    let problem = Problem::new("journey.no_draft", format!("`{slug}` has no draft"))
        .value(slug)
        .cure(format!("write one: PUT /api/v1/journeys/{slug}/draft"));
    ApiError::new(StatusCode::NOT_FOUND, problem)
}

/// Errors of lives under the status that they mean.
fn refused(error: StoreError) -> ApiError {
    let mut error = ApiError::from(error);
    if let Some(problem) = error.problems.first() {
        error.status = match &*problem.code {
            "journey.not_published" => StatusCode::NOT_FOUND,
            "journey.life" | "journey.busy" => StatusCode::CONFLICT,
            _ => error.status,
        };
    }
    error
}

/// Runs of a journey that were published, the first first.
///
/// # Errors
/// 404 `journey.not_published`.
async fn published<S: Storage>(app: &App<S>, slug: &Slug) -> ApiResult<Vec<LifeRecord>> {
    let lives = lives::of_journey(&app.store, slug).await?;
    if lives.is_empty() {
        let problem =
            Problem::new("journey.not_published", format!("the journey `{slug}` is not published here"))
                .value(slug)
                .cure(format!("publish it: POST /api/v1/journeys/{slug}/publish"));
        return Err(ApiError::new(StatusCode::NOT_FOUND, problem));
    }
    Ok(lives)
}

/// What is told and written down when somebody changed a journey's life.
async fn changed<S: Storage>(
    app: &App<S>,
    by: &Principal,
    action: &'static str,
    slug: &Slug,
    done: Changed,
) -> ApiResult<ChangedBody> {
    let lives: Vec<LifeBody> = done.lives.iter().map(LifeBody::from).collect();
    let details = json!({
        "versions": done.lives.iter().map(|life| life.version).collect::<Vec<_>>(),
        "contacts": done.contacts, "held": done.held, "cancelled": done.cancelled,
    });
    audit::note(app, by, action, format!("journey:{slug}"), details).await?;
    tell(app, slug, &done.lives);
    Ok(ChangedBody {
        journey: slug.to_string(),
        lives,
        contacts: done.contacts,
        held: done.held,
        cancelled: done.cancelled,
    })
}

/// Wakes the engine, and tells those who look on.
fn tell<S: Storage>(app: &App<S>, slug: &Slug, lives: &[LifeRecord]) {
    app.engine_bell.notify_one();
    for record in lives {
        let data = json!({
            "journey": slug.as_str(), "run": record.run, "version": record.version, "life": record.life.word(),
        });
        app.news.tell("journey", data);
    }
}

fn by<S: Storage>(app: &App<S>, principal: &Principal) -> By {
    By::new(&principal.who, app.now())
}
