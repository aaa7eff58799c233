//! `GET /api/v1/lists/{slug}/contacts`: who is on a static list.

use axum::{Json, extract::State};
use model::ContactId;
use storage::Storage;

use super::find;
use crate::{
    ApiResult, App,
    access::Viewer,
    admin::contacts::ContactBody,
    extract::{Asked, Named},
    page::{Page, PageQuery},
    said,
};

/// Who is on a static list, in the order of their numbers.
#[utoipa::path(
    get,
    path = "/api/v1/lists/{slug}/contacts",
    operation_id = "list_list_contacts",
    tag = "lists",
    params(("slug" = String, Path), PageQuery),
    responses((status = 200, body = Page<ContactBody>), (status = 404, body = crate::problem::ProblemDetails))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Named(slug): Named<String>,
    Asked(page): Asked<PageQuery>,
) -> ApiResult<Json<Page<ContactBody>>> {
    let slug = said::slug(&slug)?;
    let (limit, after) = (page.limit()?, page.after::<i64>()?.unwrap_or(0));
    find(&app, &slug).await?;
    let ids = app.store.load_list_members(slug, ContactId(after), limit + 1).await?;
    let contacts = app.store.load_contacts(ids).await?;
    Ok(Json(Page::cut(contacts, limit, |contact| contact.id.0).map(|contact| ContactBody::from(&contact))))
}
