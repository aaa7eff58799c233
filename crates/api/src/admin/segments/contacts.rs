//! `GET /api/v1/segments/{slug}/contacts`: who is in a segment.

use axum::{Json, extract::State};
use model::ContactId;
use storage::Storage;

use crate::{
    ApiError, ApiResult, App,
    access::Viewer,
    extract::{Asked, Named},
    page::{Page, PageQuery},
    said::{self, ContactName},
};

/// Who is in a segment now, in the order of their numbers.
#[utoipa::path(
    get,
    path = "/api/v1/segments/{slug}/contacts",
    operation_id = "listSegmentContacts",
    params(("slug" = String, Path, description = "What it is known by"), PageQuery),
    responses((status = 200, body = Page<ContactName>))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Named(slug): Named<String>,
    Asked(page): Asked<PageQuery>,
) -> ApiResult<Json<Page<ContactName>>> {
    let slug = said::slug(&slug)?;
    let limit = page.limit()?;
    let after: u64 = page.after()?.unwrap_or(0);
    let members = app.store.load_members(slug.clone()).await?;
    let (_, members) = members.ok_or_else(|| ApiError::not_found("built segment", &slug))?;
    let behind = usize::try_from(members.rank(after)).unwrap_or(usize::MAX);
    let ids: Vec<ContactId> =
        members.iter().skip(behind).take(limit + 1).map(|id| ContactId(id.cast_signed())).collect();
    let contacts = app.store.load_contacts(ids).await?;
    let page = Page::cut(contacts, limit, |contact| contact.id.0.unsigned_abs());
    Ok(Json(page.map(|contact| said::name_of(contact.id, Some(&contact)))))
}
