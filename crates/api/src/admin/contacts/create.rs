//! `POST /api/v1/contacts`: makes a contact, or changes the one that the identifiers name.

use axum::{Json, extract::State, http::StatusCode};
use engine::segments::Workspace;
use model::Problem;
use serde::Deserialize;
use serde_json::json;
use storage::{
    Storage,
    contacts::IdentifierKind,
    imports::{ContactPatch, ImportBatch},
};
use utoipa::ToSchema;

use super::{ContactBody, given::Given};
use crate::{ApiError, ApiResult, App, access::Editor, audit, extract::Body};

/// A contact with what it is known by. What is absent stays as it is.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(example = json!({"external_id": "C-1042", "email": "ann@shop.example", "first_name": "Ann", "locale": "en-GB", "lists": ["press"], "anonymous_ids": ["b7d2"]}))]
pub(crate) struct PostContact {
    #[serde(flatten)]
    profile: Given,
    /// What browsers call themselves in which it is.
    #[serde(default)]
    #[schema(max_items = 20)]
    anonymous_ids: Vec<String>,
    /// What the shop called it before: those contacts and this one become one.
    #[serde(default)]
    #[schema(max_items = 20)]
    former_ids: Vec<String>,
}

/// Makes a contact, or changes the one that its external id or its address names. Identifiers that are named together are
/// joined by the rules of docs/identity.md. `lists` adds to the lists that it is on; consents have an operation of their
/// own.
#[utoipa::path(
    post,
    path = "/api/v1/contacts",
    operation_id = "save_contact",
    tag = "contacts",
    request_body = PostContact,
    responses(
        (status = 200, description = "it was known", body = ContactBody),
        (status = 201, description = "it is new", body = ContactBody),
        (status = 422, body = crate::problem::ProblemDetails)
    )
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Body(given): Body<PostContact>,
) -> ApiResult<(StatusCode, Json<ContactBody>)> {
    let fields = Workspace::load(&app.store).await?.schema.fields;
    let read = given.profile.read(&fields)?;
    let lookups = [
        (IdentifierKind::ExternalId, read.external_id.clone().flatten()),
        (IdentifierKind::Email, read.email.clone().flatten()),
        (IdentifierKind::Anonymous, given.anonymous_ids.first().cloned()),
    ];
    let Some((kind, value)) = lookups.into_iter().find_map(|(kind, value)| Some((kind, value?))) else {
        let problem =
            Problem::new("contact.no_identifier", "the contact has neither an id nor an email address")
                .field("external_id")
                .cure("give external_id, email or anonymous_ids");
        return Err(problem.into());
    };
    let mut batch = ImportBatch::new(app.now());
    batch.live = true;
    batch.contacts.push(ContactPatch {
        external_id: read.external_id.flatten(),
        anonymous_ids: given.anonymous_ids,
        former_ids: given.former_ids,
        email: read.email.flatten(),
        email_status: read.email_status,
        phone: read.phone.flatten(),
        first_name: read.first_name.flatten(),
        last_name: read.last_name.flatten(),
        country: read.country.flatten(),
        locale: read.locale.flatten(),
        time_zone: read.time_zone.flatten(),
        birth_date: read.birth_date.flatten(),
        lists: read.lists.unwrap_or_default(),
        fields: read.fields,
        ..ContactPatch::default()
    });
    let outcome = app.store.import(batch).await?;
    let refused: Vec<Problem> = outcome.refusals.into_iter().map(|refusal| refusal.problem).collect();
    if !refused.is_empty() {
        return Err(refused.into());
    }
    app.engine_bell.notify_one();
    let id = app.store.resolve(vec![(kind, value.clone())]).await?.into_iter().next().flatten();
    let contacts = app.store.load_contacts(id.into_iter().collect()).await?;
    let contact = contacts.first().ok_or_else(|| ApiError::not_found("contact", &value))?;
    audit::note(&app, &by, "contact.save", format!("contact:{}", contact.id), json!({})).await?;
    let status = if outcome.contacts.new > 0 { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(ContactBody::from(contact))))
}
