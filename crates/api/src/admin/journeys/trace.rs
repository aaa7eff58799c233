//! `GET /api/v1/journeys/{slug}/trace`: which way a contact went, and why; or why it did not enter.

use std::collections::HashMap;

use axum::{Json, extract::State};
use engine::{
    campaign::launch::Silent,
    live::lives::{self, Memo},
    rules::{self, Versions},
    simulate::{self, Options, Part},
    told::told,
};
use journey::{Journey, trace::Record};
use model::{Lang, Problem};
use serde::{Deserialize, Serialize};
use storage::Storage;
use utoipa::ToSchema;

use super::{draft_get::folder_of, folder::compile};
use crate::{
    ApiResult, App,
    access::Viewer,
    extract::{Asked, Named},
    said::{At, ContactName, Language, find_contact, name_of, slug},
};

/// Of whom.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TraceQuery {
    /// The contact: the shop's id, an email address, or `id:` and its number.
    contact: String,
    /// Play its stored history against the journey, and say why events did not start it.
    #[serde(default)]
    why_not: bool,
    /// Language of names and reasons.
    #[serde(default)]
    #[param(inline)]
    lang: Language,
}

/// A contact's ways through a journey.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TraceBody {
    /// Who.
    contact: ContactName,
    /// Its enrolments, the first first; those of one run follow each other.
    enrolments: Vec<WayBody>,
    /// Why events did not start the journey; only when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    did_not_enter: Option<Vec<RefusedBody>>,
    /// What cannot be known of the past; only when it was asked why not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// A way through a version.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct WayBody {
    /// The run.
    run: i64,
    /// The version.
    version: u32,
    /// Its steps.
    steps: Vec<StepBody>,
}

/// A step.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct StepBody {
    /// When.
    at: At,
    /// The node.
    node: String,
    /// What people call it.
    name: String,
    /// The outcome's word; `stays` or `left`.
    outcome: String,
    /// What decided it.
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
}

/// An event that did not start the journey.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RefusedBody {
    /// When it happened.
    at: At,
    /// What.
    event: String,
    /// The trigger's place in the file, from 1; none for an audience.
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<usize>,
    /// A stable word.
    reason: String,
    /// In a sentence.
    why: String,
}

/// The steps of records, in words.
pub(crate) fn steps(journey: &Journey, records: &[Record], lang: Lang) -> Vec<StepBody> {
    let step = |record: &Record, step| {
        let told = told(journey, step, lang);
        StepBody {
            at: record.at.into(),
            node: told.node,
            name: told.name,
            outcome: told.outcome,
            why: told.why,
        }
    };
    records.iter().flat_map(|record| record.steps.iter().map(move |own| step(record, own))).collect()
}

/// Why events did not start a journey.
pub(crate) fn refused(part: &Part) -> Vec<RefusedBody> {
    let one = |refused: &simulate::Refused| RefusedBody {
        at: refused.at.into(),
        event: refused.kind.clone(),
        trigger: refused.trigger.map(|place| place + 1),
        reason: refused.why.word().to_owned(),
        why: refused.why.to_string(),
    };
    part.refused.iter().map(one).collect()
}

/// Shows which way a contact went through a journey, and why.
#[utoipa::path(
    get,
    path = "/api/v1/journeys/{slug}/trace",
    operation_id = "trace_contact",
    params(("slug" = String, Path, max_length = 64, pattern = "^[a-z0-9_-]+$"), TraceQuery),
    responses((status = 200, body = TraceBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _viewer: Viewer,
    Named(name): Named<String>,
    Asked(asked): Asked<TraceQuery>,
) -> ApiResult<Json<TraceBody>> {
    let slug = slug(&name)?;
    let contact = find_contact(&app.store, &asked.contact).await?;
    let lang = asked.lang.into();
    let mut versions: HashMap<u32, Journey> = HashMap::new();
    let mut enrolments = Vec::new();
    for enrolment in app.store.load_enrolments(contact.id).await? {
        if enrolment.journey != slug {
            continue;
        }
        let version = enrolment.version;
        if let std::collections::hash_map::Entry::Vacant(entry) = versions.entry(version) {
            entry.insert(rules::stored_journey(&app.store, slug.clone(), version).await?);
        }
        let records = journey::trace::decode(&enrolment.trace).unwrap_or_default();
        let steps = versions.get(&version).map(|journey| steps(journey, &records, lang));
        enrolments.push(WayBody { run: enrolment.run, version, steps: steps.unwrap_or_default() });
    }
    let mut body = TraceBody {
        contact: name_of(contact.id, Some(&contact)),
        enrolments,
        did_not_enter: None,
        notes: Vec::new(),
    };
    if asked.why_not {
        let now = app.now();
        let lives = lives::of_journey(&app.store, &slug).await?;
        let (rules, from) = match lives.last() {
            Some(record) => {
                let versions = Versions::load(&app.store).await?;
                let rules = rules::compile_pinned(&app.store, &versions, record).await??;
                (rules, Memo::of(record).began_at.unwrap_or(record.since))
            }
            None => {
                let draft = super::draft(&app, &slug).await?.ok_or_else(|| super::no_draft(&slug))?;
                let rules = compile(&app, &folder_of(&draft)?, Some(&slug)).await??;
                (rules, now.plus_days(-simulate::DAYS))
            }
        };
        let to = now.max(from.plus(1));
        let options = Options {
            from,
            to,
            contact: Some(contact.id),
            keep: true,
            explain: true,
            ..Options::before(now)
        };
        let played = simulate::run(&app.store, rules, options, &Silent).await?;
        body.did_not_enter = Some(played.parts.first().map(refused).unwrap_or_default());
        body.notes = played.notes.into_iter().map(|(_, note)| note).collect();
    } else if body.enrolments.is_empty() && super::draft(&app, &slug).await?.is_none() {
        let runs = app.store.load_journey_runs(slug.clone()).await?;
        if runs.is_empty() {
            let problem = Problem::new("not_found", format!("there is no journey `{slug}`")).value(&slug);
            return Err(crate::ApiError::new(axum::http::StatusCode::NOT_FOUND, problem));
        }
    }
    Ok(Json(body))
}
