//! `PUT /api/v1/contacts/{contact}/consents/{purpose}`: an answer, with its proof.

use axum::{Json, extract::State, http::StatusCode};
use model::{Consent, Problem, Slug};
use serde::Deserialize;
use serde_json::json;
use storage::{Storage, people::Edited};
use utoipa::ToSchema;

use super::{
    body::{ConsentBody, ConsentWord},
    named,
};
use crate::{
    ApiError, ApiResult, App,
    access::Editor,
    audit,
    extract::{Body, Named},
    said::At,
};

/// Longest proof, in characters.
const PROOF_LEN_MAX: usize = 2_000;

/// An answer.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"state": "subscribed", "proof": "paper form 1042, 2 November 2026"}))]
pub(crate) struct PutConsent {
    /// The answer.
    state: ConsentWord,
    /// When it was given; now without it. One that is older than the answer that is known is refused.
    at: Option<At>,
    /// What proves it, as in the place and text of a form.
    #[schema(min_length = 1, max_length = 2000)]
    proof: String,
}

/// Records an answer to "may we write to you for this purpose?".
#[utoipa::path(
    put,
    path = "/api/v1/contacts/{contact}/consents/{purpose}",
    operation_id = "put_consent",
    tag = "contacts",
    params(
        ("contact" = String, Path),
        ("purpose" = String, Path, description = "a purpose, or purpose~topic, as in newsletter~promotions")
    ),
    request_body = PutConsent,
    responses((status = 200, body = ConsentBody), (status = 422, body = crate::problem::ProblemDetails))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named((name, purpose)): Named<(String, String)>,
    Body(given): Body<PutConsent>,
) -> ApiResult<Json<ConsentBody>> {
    // A slash parts paths.
    let purpose = Slug::purpose(&purpose.replace('~', "/"))?;
    let length = given.proof.chars().count();
    if given.proof.trim().is_empty() || length > PROOF_LEN_MAX {
        return Err(Problem::new("consent.proof", format!("the proof has {length} characters"))
            .field("proof")
            .cure(format!("say in 1 to {PROOF_LEN_MAX} characters how the contact answered"))
            .into());
    }
    let before = named(&app, &name).await?;
    let now = app.now();
    let at = given.at.map_or(now, |at| at.0);
    let known = before.consents.iter().find(|consent| consent.purpose == purpose);
    if at > now || known.is_some_and(|known| known.at > at) {
        return Err(Problem::new("consent.time", "a later answer is known, or the time is yet to come")
            .field("at")
            .value(at)
            .cure("give the time at which the contact answered, or leave it out for now")
            .into());
    }
    let consent =
        Consent { purpose, state: given.state.into(), at, source: "api".into(), proof: given.proof };
    let mut after = before.clone();
    match after.consents.iter_mut().find(|known| known.purpose == consent.purpose) {
        Some(known) => known.clone_from(&consent),
        None => after.consents.push(consent.clone()),
    }
    let id = before.id;
    if app.store.edit_contact(before, after, now).await? == Edited::Changed {
        let problem =
            Problem::new("contact.changed", "the contact was changed at this very moment").cure("try again");
        return Err(ApiError::new(StatusCode::CONFLICT, problem));
    }
    app.engine_bell.notify_one();
    let details = json!({ "purpose": consent.purpose, "state": consent.state });
    audit::note(&app, &by, "contact.consent", format!("contact:{id}"), details).await?;
    Ok(Json(ConsentBody::from(&consent)))
}
