//! `GET /api/v1/journeys`: drafts and published journeys.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use engine::live::book;
use serde::Serialize;
use storage::{Storage, settings::DefinitionKind};
use utoipa::ToSchema;

use super::{DraftMark, LifeBody, document_of, name_in};
use crate::{
    ApiResult, App,
    access::Viewer,
    extract::Asked,
    page::{Page, PageQuery},
    said::Names,
};

/// A journey in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct JourneyItem {
    /// What it is known by.
    slug: String,
    /// What people call it: as its draft says, else as its last version does.
    name: Names,
    /// Its draft, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    draft: Option<DraftMark>,
    /// The last version that was published; 0 for none.
    version: u32,
    /// Its versions at work, the first first; the last one that is over when none is at work.
    lives: Vec<LifeBody>,
}

/// Lists journeys by slug, with how their versions stand and how many contacts they have.
#[utoipa::path(
    get,
    path = "/api/v1/journeys",
    operation_id = "list_journeys",
    params(PageQuery),
    responses((status = 200, body = Page<JourneyItem>))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _viewer: Viewer,
    Asked(query): Asked<PageQuery>,
) -> ApiResult<Json<Page<JourneyItem>>> {
    let (limit, after) = (query.limit()?, query.after::<String>()?);
    let mut all: BTreeMap<String, JourneyItem> = BTreeMap::new();
    let item = |slug: String| JourneyItem {
        slug,
        name: Names::default(),
        draft: None,
        version: 0,
        lives: Vec::new(),
    };
    for definition in app.store.load_definitions(DefinitionKind::Journey).await? {
        let slug = definition.slug.to_string();
        let known = all.entry(slug.clone()).or_insert_with(|| item(slug));
        known.name = name_in(Some(document_of(&definition)));
        known.version = definition.version;
    }
    for draft in app.store.load_drafts(DefinitionKind::Journey).await? {
        let slug = draft.slug.to_string();
        let known = all.entry(slug.clone()).or_insert_with(|| item(slug));
        known.draft = Some(DraftMark::from(&draft));
        let name = super::draft_get::document(&draft).map(|document| name_in(Some(&document)));
        if let Some(name) = name.filter(|name| !name.en.is_empty()) {
            known.name = name;
        }
    }
    let behind = all.into_values().filter(|item| after.as_ref().is_none_or(|after| item.slug > *after));
    let mut page = Page::cut(behind.take(limit + 1).collect(), limit, |item| item.slug.clone());
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let slugs: Vec<String> = page.items.iter().map(|item| item.slug.clone()).collect();
    places.extend(slugs.iter().enumerate().map(|(place, slug)| (slug.as_str(), place)));
    let mut shown = vec![Vec::new(); slugs.len()];
    for record in app.store.load_lives(true).await? {
        if let Some(place) = places.get(record.journey.as_str()) {
            shown[*place].push(record);
        }
    }
    for own in &mut shown {
        let over = own.iter().rposition(|record| book::is_over(record.life));
        let none_at_work = own.iter().all(|record| book::is_over(record.life));
        let last = over.filter(|_| none_at_work).map(|place| own[place].run);
        own.retain(|record| !book::is_over(record.life) || Some(record.run) == last);
    }
    let runs = shown.iter().flatten().map(|record| record.run).collect();
    let counts: BTreeMap<i64, (u64, u64)> = app
        .store
        .count_runs(runs)
        .await?
        .into_iter()
        .map(|count| (count.run, (count.entered, count.inside)))
        .collect();
    for (item, own) in page.items.iter_mut().zip(&shown) {
        item.lives = own
            .iter()
            .map(|record| {
                let (entered, inside) = counts.get(&record.run).copied().unwrap_or_default();
                LifeBody { entered: Some(entered), inside: Some(inside), ..LifeBody::from(record) }
            })
            .collect();
    }
    Ok(Json(page))
}
