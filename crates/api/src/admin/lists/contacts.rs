//! `POST /api/v1/lists/{slug}/contacts`: puts contacts on a static list, or takes them off.

use axum::{Json, extract::State};
use model::Problem;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::Storage;
use utoipa::ToSchema;

use crate::{
    ApiResult, App,
    access::Editor,
    audit,
    extract::{Body, Named},
    said,
};

/// Most contacts of one request.
pub const CONTACTS_MAX: usize = 1_000;

/// Whom.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"add": ["C-1042", "ann@shop.example"], "remove": ["id:7"]}))]
pub(crate) struct ChangeList {
    /// To be put on it: the shop's ids, email addresses, or `id:` and a number.
    #[serde(default)]
    add: Vec<String>,
    /// To be taken off, named likewise.
    #[serde(default)]
    remove: Vec<String>,
}

/// What became of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ListChanged {
    /// Contacts that were not on it before.
    added: u64,
    /// Contacts that were on it before.
    removed: u64,
}

/// Puts contacts on a static list and takes others off. One that is not known refuses the whole request.
#[utoipa::path(
    post,
    path = "/api/v1/lists/{slug}/contacts",
    operation_id = "change_list_contacts",
    tag = "lists",
    params(("slug" = String, Path)),
    request_body = ChangeList,
    responses((status = 200, body = ListChanged), (status = 422, body = crate::problem::ProblemDetails))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(slug): Named<String>,
    Body(given): Body<ChangeList>,
) -> ApiResult<Json<ListChanged>> {
    let slug = said::slug(&slug)?;
    let n = given.add.len() + given.remove.len();
    if n == 0 || n > CONTACTS_MAX {
        return Err(Problem::new("list.contacts", format!("{n} contacts are named"))
            .field("add")
            .value(n)
            .cure(format!("name 1 to {CONTACTS_MAX} contacts at once"))
            .into());
    }
    let add = said::find_contacts(&app.store, &given.add).await?;
    let remove = said::find_contacts(&app.store, &given.remove).await?;
    let now = app.now();
    let changed = ListChanged {
        added: app.store.set_on_list(slug.clone(), add, true, now).await?,
        removed: app.store.set_on_list(slug.clone(), remove, false, now).await?,
    };
    app.engine_bell.notify_one();
    let details = json!({ "added": changed.added, "removed": changed.removed });
    audit::note(&app, &by, "list.change", format!("list:{slug}"), details).await?;
    Ok(Json(changed))
}
