//! `PUT /api/v1/coupons/{slug}`: makes a set or changes its terms.

use axum::extract::State;
use engine::{live::book, segments::Workspace};
use model::{Problem, coupon::CouponSet};
use serde::Deserialize;
use serde_json::{Value, json};
use storage::{
    Storage,
    settings::{DefinitionKind, NewDefinition},
};
use utoipa::ToSchema;

use super::{CouponSetBody, body, counted};
use crate::{
    ApiResult, App,
    access::Editor,
    admin::segments::text,
    audit,
    extract::{Body, Named},
    said,
    tag::{Precondition, Tag, Tagged},
};

/// A set's file.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutCouponSet {
    /// What its file holds, as a tree; or [`PutCouponSet::source`].
    #[schema(value_type = Option<Object>, example = json!({"format": 1, "kind": "single_use", "pattern": "BACK-{8}", "valid_for": "P30D"}))]
    definition: Option<Value>,
    /// The file's text, YAML or JSON.
    source: Option<String>,
}

/// Checks the terms and saves them as a new version. Codes that were given keep the terms that they were given with.
#[utoipa::path(
    put,
    path = "/api/v1/coupons/{slug}",
    operation_id = "putCouponSet",
    params(("slug" = String, Path, description = "What it is known by")),
    request_body = PutCouponSet,
    responses((status = 200, body = CouponSetBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(slug): Named<String>,
    precondition: Precondition,
    Body(given): Body<PutCouponSet>,
) -> ApiResult<Tagged<CouponSetBody>> {
    let slug = said::slug(&slug)?;
    let there = engine::live::coupons::load_terms(&app.store).await?.remove(&slug);
    precondition.require(there.as_ref().map(Tag::of).as_ref())?;
    let text = text(given.definition, given.source)?;
    let zone = Workspace::load(&app.store).await?.zone;
    let terms = CouponSet::parse(&text, Some(slug.as_str()), &zone)?;
    if terms.slug != slug {
        return Err(Problem::new("coupon.name", format!("the definition is of `{}`", terms.slug))
            .field("definition.coupons")
            .value(&terms.slug)
            .cure(format!("leave `coupons` out, or write `coupons: {slug}`"))
            .into());
    }
    let new = NewDefinition { kind: DefinitionKind::CouponSet, slug: slug.clone(), content: terms.to_json() };
    app.store.save_definitions(vec![new], app.now()).await?;
    book::touch_rules(&app.store).await?;
    app.engine_bell.notify_one();
    audit::note(&app, &by, "coupons.save", format!("coupons:{slug}"), json!({})).await?;
    let counts = counted(&app.store, slug, app.now()).await?;
    Ok(Tagged(Tag::of(&terms), body(&terms, &counts)))
}
