//! `PATCH /api/v1/contacts/{contact}`: changes a profile.

use axum::{extract::State, http::StatusCode};
use engine::segments::Workspace;
use model::Problem;
use serde_json::json;
use storage::{Storage, people::Edited};

use super::{ContactBody, given::Given, named};
use crate::{
    ApiError, ApiResult, App,
    access::Editor,
    audit,
    extract::{Body, Named},
    tag::{Precondition, Tag, Tagged},
};

/// Changes a profile: what is given overwrites, `null` takes away, what is absent stays.
#[utoipa::path(
    patch,
    path = "/api/v1/contacts/{contact}",
    operation_id = "change_contact",
    tag = "contacts",
    params(("contact" = String, Path)),
    request_body = Given,
    responses(
        (status = 200, body = ContactBody),
        (status = 409, description = "it changed meanwhile", body = crate::problem::ProblemDetails),
        (status = 412, body = crate::problem::ProblemDetails),
        (status = 422, body = crate::problem::ProblemDetails)
    )
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(name): Named<String>,
    precondition: Precondition,
    Body(given): Body<Given>,
) -> ApiResult<Tagged<ContactBody>> {
    let before = named(&app, &name).await?;
    precondition.check(Some(&Tag::of(&before)))?;
    let fields = Workspace::load(&app.store).await?.schema.fields;
    let mut after = before.clone();
    given.read(&fields)?.apply(&mut after);
    let id = before.id;
    match app.store.edit_contact(before, after, app.now()).await? {
        Edited::Done => {}
        Edited::Changed => {
            let problem = Problem::new("contact.changed", "the contact was changed at this very moment")
                .cure("read it again and try again");
            return Err(ApiError::new(StatusCode::CONFLICT, problem));
        }
    }
    app.engine_bell.notify_one();
    audit::note(&app, &by, "contact.change", format!("contact:{id}"), json!({})).await?;
    let contact = named(&app, &format!("id:{id}")).await?;
    Ok(Tagged(Tag::of(&contact), ContactBody::from(&contact)))
}
