//! `POST /api/v1/contacts/{contact}/merge`: two contacts become one.

use axum::{Json, extract::State};
use model::Problem;
use serde::Deserialize;
use serde_json::json;
use storage::{Storage, people::Merged};
use utoipa::ToSchema;

use super::{ContactBody, named};
use crate::{
    ApiError, ApiResult, App,
    access::Editor,
    audit,
    extract::{Body, Named},
};

/// Who goes into the contact of the path.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"contact": "C-1041"}))]
pub(crate) struct PostMerge {
    /// The one that is no more afterwards, named as in paths.
    contact: String,
}

/// Makes another contact part of this one: everything that it has becomes this one's (docs/identity.md). It cannot be
/// taken back.
#[utoipa::path(
    post,
    path = "/api/v1/contacts/{contact}/merge",
    operation_id = "merge_contacts",
    tag = "contacts",
    params(("contact" = String, Path, description = "The one that stays")),
    request_body = PostMerge,
    responses(
        (status = 200, body = ContactBody),
        (status = 404, body = crate::problem::ProblemDetails),
        (status = 422, body = crate::problem::ProblemDetails)
    )
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(name): Named<String>,
    Body(given): Body<PostMerge>,
) -> ApiResult<Json<ContactBody>> {
    let winner = named(&app, &name).await?;
    let loser = named(&app, &given.contact).await?;
    match app.store.merge_contacts(winner.id, loser.id, app.now()).await? {
        Merged::Done => {
            app.engine_bell.notify_one();
            let details = json!({ "merged": loser.id });
            audit::note(&app, &by, "contact.merge", format!("contact:{}", winner.id), details).await?;
        }
        Merged::Already => {}
        Merged::Same => {
            let problem = Problem::new("contact.same", "both names lead to the same contact")
                .field("contact")
                .value(&given.contact)
                .cure("name another contact");
            return Err(problem.into());
        }
        Merged::Unknown(id) => return Err(ApiError::not_found("contact", id)),
    }
    Ok(Json(ContactBody::from(&named(&app, &format!("id:{}", winner.id)).await?)))
}
