//! `GET /api/v1/contacts`: search, and filters by segment, condition or list.

use std::sync::Arc;

use axum::{Json, extract::State};
use engine::segments::{Workspace, bulk, silent};
use model::{Contact, ContactId, Problem};
use roaring::RoaringTreemap;
use segment::SegmentFile;
use serde::{Deserialize, Serialize};
use storage::{
    Storage,
    people::{FindBy, FindPlace},
};
use utoipa::{IntoParams, ToSchema};

use super::ContactBody;
use crate::{
    ApiError, ApiResult, App,
    access::Viewer,
    extract::Asked,
    page::{Page, PageQuery},
    said,
};

/// Contacts that one request looks at in search of a page: rare ones among many are found in several.
const LOOKED_AT_MAX: usize = 5_000;

/// Where to look.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    /// Email addresses, those of before too.
    Email,
    /// The shop's ids, those of before too.
    ExternalId,
    /// Phone numbers.
    Phone,
    /// First and last names.
    Name,
}

/// Which contacts.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ContactsQuery {
    /// Only those whose address, id, phone number or name begins with this.
    #[param(max_length = 255)]
    search: Option<String>,
    /// Where to look for it; everywhere without it.
    #[param(inline)]
    by: Option<By>,
    /// Only the members of this segment.
    segment: Option<String>,
    /// Only those who satisfy this condition: JSON or YAML, as in a segment's file.
    condition: Option<String>,
    /// Only those on this static list.
    list: Option<String>,
}

/// A place in a page: by number, or in a search.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Place {
    Number(i64),
    Found(FindPlace),
}

/// Lists contacts: by number, or what a search finds. A page may hold fewer than was asked for and still have a next one.
#[utoipa::path(
    get,
    path = "/api/v1/contacts",
    operation_id = "list_contacts",
    tag = "contacts",
    params(ContactsQuery, PageQuery),
    responses((status = 200, body = Page<ContactBody>), (status = 422, body = crate::problem::ProblemDetails))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Asked(asked): Asked<ContactsQuery>,
    Asked(page): Asked<PageQuery>,
) -> ApiResult<Json<Page<ContactBody>>> {
    let (limit, after) = (page.limit()?, page.after::<Place>()?);
    let only = only(&app, &asked).await?;
    let bad = || {
        Problem::new("page.cursor", "the cursor is of a page with other filters")
            .field("cursor")
            .cure("use `next` of the page before, with the same filters, or leave it away")
    };
    let found = match asked.search.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => {
            let after = match after {
                None => None,
                Some(Place::Found(place)) => Some(place),
                Some(Place::Number(_)) => return Err(bad().into()),
            };
            search(&app, text, asked.by, only.as_ref(), after, limit + 1).await?
        }
        None => {
            let after = match after {
                None => ContactId(0),
                Some(Place::Number(number)) => ContactId(number),
                Some(Place::Found(_)) => return Err(bad().into()),
            };
            let found = in_order(&app, only.as_ref(), after, limit + 1).await?;
            Looked { found: found.into_iter().map(|c| (Place::Number(c.id.0), c)).collect(), more: None }
        }
    };
    let page = match found.more {
        // The search was broken off: the next page begins where it was.
        Some(place) if found.found.len() <= limit => Page::next_at(found.found, Some(place)),
        _ => Page::cut(found.found, limit, |(place, _)| place.clone()),
    }
    .map(|(_, contact)| ContactBody::from(&contact));
    Ok(Json(page))
}

/// What a search has found so far, and where it was broken off.
struct Looked {
    found: Vec<(Place, Contact)>,
    more: Option<Place>,
}

/// Those whom a segment, a condition or a list lets through; none: everybody.
async fn only<S: Storage>(app: &App<S>, asked: &ContactsQuery) -> ApiResult<Option<RoaringTreemap>> {
    let given = [&asked.segment, &asked.condition, &asked.list].into_iter().flatten().count();
    if given > 1 {
        return Err(Problem::new(
            "contacts.filters",
            "more than one of segment, condition and list is given",
        )
        .field("condition")
        .cure("put them into one condition: {all: [{segment: vip}, {list: press}]}")
        .into());
    }
    if let Some(name) = &asked.segment {
        let slug = said::slug(name)?;
        let members = app.store.load_members(slug.clone()).await?;
        let (_, members) = members.ok_or_else(|| ApiError::not_found("built segment", &slug))?;
        return Ok(Some(members));
    }
    if let Some(name) = &asked.list {
        let on = app.store.load_list_members(said::slug(name)?, ContactId(0), usize::MAX).await?;
        return Ok(Some(on.iter().map(|id| id.0.cast_unsigned()).collect()));
    }
    let Some(text) = &asked.condition else { return Ok(None) };
    let workspace = Arc::new(Workspace::load(&app.store).await?);
    // A condition alone is that of a segment without a name. On one line it is YAML and JSON alike.
    let source = format!("format: 1\nsegment: search\ncondition: {}", indented(text));
    let (file, _) = SegmentFile::parse(&source, None, &workspace.schema)?;
    let found = bulk::find(&app.store, &workspace, &file.condition, app.now(), silent()).await?;
    Ok(Some(found.members))
}

/// A condition of several lines stands under its key.
fn indented(text: &str) -> String {
    if text.trim().contains('\n') {
        format!("\n  {}", text.trim().replace('\n', "\n  "))
    } else {
        text.trim().into()
    }
}

/// Contacts by number.
async fn in_order<S: Storage>(
    app: &App<S>,
    only: Option<&RoaringTreemap>,
    after: ContactId,
    limit: usize,
) -> ApiResult<Vec<Contact>> {
    let Some(only) = only else { return Ok(app.store.scan_contacts(after, limit).await?) };
    let behind = usize::try_from(only.rank(after.0.cast_unsigned())).unwrap_or(usize::MAX);
    let ids: Vec<ContactId> =
        only.iter().skip(behind).take(limit).map(|id| ContactId(id.cast_signed())).collect();
    Ok(app.store.load_contacts(ids).await?)
}

async fn search<S: Storage>(
    app: &App<S>,
    text: &str,
    by: Option<By>,
    only: Option<&RoaringTreemap>,
    mut after: Option<FindPlace>,
    limit: usize,
) -> ApiResult<Looked> {
    let by = match by {
        None => FindBy::ALL.to_vec(),
        Some(By::Email) => vec![FindBy::Email],
        Some(By::ExternalId) => vec![FindBy::ExternalId],
        Some(By::Phone) => vec![FindBy::Phone],
        Some(By::Name) => vec![FindBy::LastName, FindBy::FirstName],
    };
    let (mut found, mut looked_at, mut more) = (Vec::new(), 0, None);
    while found.len() < limit {
        if looked_at >= LOOKED_AT_MAX {
            more = after.map(Place::Found);
            break;
        }
        let part = app.store.find_contacts(text.to_owned(), by.clone(), after.take(), limit).await?;
        let Some((last, _)) = part.last() else { break };
        after = Some(last.clone());
        looked_at += part.len();
        let wanted = |contact: &Contact| only.is_none_or(|only| only.contains(contact.id.0.cast_unsigned()));
        found.extend(part.into_iter().filter(|(_, contact)| wanted(contact)));
    }
    found.truncate(limit);
    let found = found.into_iter().map(|(place, contact)| (Place::Found(place), contact)).collect();
    Ok(Looked { found, more })
}
