//! `POST /api/v1/journeys/{slug}/test`: a test contact goes through, and gets its messages for real.

use axum::{Json, extract::State};
use engine::simulate::rehearse;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use storage::Storage;
use utoipa::ToSchema;

use super::{
    draft_get::folder_of,
    folder::{FolderBody, compile},
    trace::{RefusedBody, StepBody, refused, steps},
};
use crate::{
    ApiResult, App,
    access::Editor,
    audit,
    extract::{Body, Named},
    said::{ContactName, Language, find_contact, name_of, slug},
};

/// What to try.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"contact": "tester@example.com", "data": {"cart_id": "c1"}}))]
#[schema(as = TestJourney)]
pub(crate) struct TestBody {
    /// The test contact: the shop's id, an email address, or `id:` and its number.
    contact: String,
    /// What the journey reads as `trigger.…`.
    #[serde(default)]
    #[schema(value_type = Object)]
    data: Map<String, Value>,
    /// What to try; the draft without it.
    folder: Option<FolderBody>,
    /// Language of names and reasons.
    #[serde(default)]
    lang: Language,
}

/// What the test came to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TestedBody {
    /// The test contact.
    contact: ContactName,
    /// Messages on their way to it.
    sent: Vec<TestMessage>,
    /// Messages that were not made.
    left_out: Vec<LeftOut>,
    /// The way that it went; waits are skipped, so that instants may lie ahead.
    steps: Vec<StepBody>,
    /// Why it did not enter, if it did not.
    did_not_enter: Vec<RefusedBody>,
}

/// A message on its way.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TestMessage {
    /// Its id.
    id: String,
    /// The node that sends it.
    node: String,
}

/// A message that was not made.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct LeftOut {
    /// The node.
    node: String,
    /// Why: `test.no_call`, `test.no_address`, `test.no_template`.
    reason: String,
}

/// Sends a test contact through a draft at once. Its messages really go out, to the test contact alone, whatever the nodes
/// say. Waits are skipped; no code is taken, nothing is counted, no field is written, no server is called.
#[utoipa::path(
    post,
    path = "/api/v1/journeys/{slug}/test",
    operation_id = "test_journey",
    params(("slug" = String, Path, max_length = 64, pattern = "^[a-z0-9_-]+$")),
    request_body = TestBody,
    responses((status = 200, body = TestedBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Named(name): Named<String>,
    Body(asked): Body<TestBody>,
) -> ApiResult<Json<TestedBody>> {
    let slug = slug(&name)?;
    let folder = match asked.folder {
        Some(folder) => folder,
        None => folder_of(&super::draft(&app, &slug).await?.ok_or_else(|| super::no_draft(&slug))?)?,
    };
    let contact = find_contact(&app.store, &asked.contact).await?;
    let rules = compile(&app, &folder, Some(&slug)).await??;
    let mut nonce = [0; 4];
    app.chance.fill(&mut nonce);
    let nonce = u32::from_be_bytes(nonce);
    let done = rehearse::rehearse(&app.store, rules, &contact, asked.data, app.now(), nonce).await?;
    let details = json!({"contact": contact.id.0, "messages": done.sent.len()});
    audit::note(&app, &editor, "journey.test", format!("journey:{slug}"), details).await?;
    app.delivery_bell.notify_one();
    let part = done.played.parts.first();
    let records: Vec<_> =
        part.iter().flat_map(|part| &part.enrolments).flat_map(|one| one.trace.clone()).collect();
    Ok(Json(TestedBody {
        contact: name_of(contact.id, Some(&contact)),
        sent: done.sent.into_iter().map(|(node, id)| TestMessage { id: id.to_string(), node }).collect(),
        left_out: done
            .left_out
            .into_iter()
            .map(|(node, reason)| LeftOut { node, reason: reason.to_owned() })
            .collect(),
        steps: steps(done.played.journey(), &records, asked.lang.into()),
        did_not_enter: part.map(refused).unwrap_or_default(),
    }))
}
