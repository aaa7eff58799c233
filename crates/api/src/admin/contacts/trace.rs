//! `GET /api/v1/contacts/{contact}/trace`: why it went where it went, through all journeys or one.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use engine::rules;
use model::Slug;
use serde::{Deserialize, Serialize};
use storage::{Storage, StoreError};
use utoipa::{IntoParams, ToSchema};

use super::named;
use crate::{
    ApiResult, App,
    access::Viewer,
    admin::journeys::trace::{StepBody, steps},
    extract::{Asked, Named},
    said::{self, At, Language},
};

/// Which ways.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WaysQuery {
    /// Only through this journey.
    journey: Option<String>,
    /// Language of names and reasons: `en` or `fr`.
    #[serde(default)]
    lang: Language,
}

/// A way through a journey.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct JourneyWay {
    /// The journey.
    journey: String,
    /// Its version.
    version: u32,
    /// The run.
    run: i64,
    /// When it began.
    entered_at: At,
    /// The steps; none when the version cannot be read any more, or the trace was kept long enough.
    steps: Vec<StepBody>,
}

/// All ways.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Ways {
    /// The first first.
    items: Vec<JourneyWay>,
}

/// Which way a contact went through its journeys, and why at each step. `GET /api/v1/journeys/{slug}/trace` also says why
/// it did not enter one.
#[utoipa::path(
    get,
    path = "/api/v1/contacts/{contact}/trace",
    operation_id = "get_contact_trace",
    tag = "contacts",
    params(("contact" = String, Path), WaysQuery),
    responses((status = 200, body = Ways), (status = 404, body = crate::problem::ProblemDetails))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Named(name): Named<String>,
    Asked(asked): Asked<WaysQuery>,
) -> ApiResult<Json<Ways>> {
    let only = asked.journey.as_deref().map(said::slug).transpose()?;
    let contact = named(&app, &name).await?;
    let mut versions: BTreeMap<(Slug, u32), Option<journey::Journey>> = BTreeMap::new();
    let mut items = Vec::new();
    for enrolment in app.store.load_enrolments(contact.id).await? {
        if only.as_ref().is_some_and(|slug| *slug != enrolment.journey) {
            continue;
        }
        let key = (enrolment.journey.clone(), enrolment.version);
        if !versions.contains_key(&key) {
            let read = match rules::stored_journey(&app.store, key.0.clone(), key.1).await {
                Ok(read) => Some(read),
                Err(StoreError::Refused(_)) => None,
                Err(error) => return Err(error.into()),
            };
            versions.insert(key.clone(), read);
        }
        let records = journey::trace::decode(&enrolment.trace).unwrap_or_default();
        let read = versions.get(&key).and_then(Option::as_ref);
        items.push(JourneyWay {
            journey: enrolment.journey.to_string(),
            version: enrolment.version,
            run: enrolment.run,
            entered_at: enrolment.at.into(),
            steps: read.map(|read| steps(read, &records, asked.lang.into())).unwrap_or_default(),
        });
    }
    Ok(Json(Ways { items }))
}
