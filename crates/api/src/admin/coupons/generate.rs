//! `POST /api/v1/coupons/{slug}/generate`: makes codes that nobody can guess.

use axum::{Json, extract::State};
use model::Problem;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::Storage;
use utoipa::ToSchema;

use super::{codes::single_use, find};
use crate::{
    ApiResult, App,
    access::Editor,
    audit,
    extract::{Body, Named},
};

/// Most codes that are made at once: the answer holds them all, for the shop to know them.
pub const GENERATE_MAX: usize = 10_000;
/// Codes are drawn so often at most: a pattern may have run out.
const TRIES: usize = 20;

/// How many codes to make.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"count": 100}))]
pub(crate) struct GenerateCodes {
    /// 1 to 10,000.
    #[schema(minimum = 1, maximum = 10_000)]
    count: usize,
}

/// The codes that were made and added.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Generated {
    /// Create them in the shop, too.
    codes: Vec<String>,
}

/// Makes codes by the set's pattern and adds them.
#[utoipa::path(
    post,
    path = "/api/v1/coupons/{slug}/generate",
    operation_id = "generateCouponCodes",
    params(("slug" = String, Path, description = "What it is known by")),
    request_body = GenerateCodes,
    responses((status = 200, body = Generated))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(slug): Named<String>,
    Body(given): Body<GenerateCodes>,
) -> ApiResult<Json<Generated>> {
    let terms = find(&app.store, &slug).await?;
    single_use(&terms)?;
    let Some(pattern) = &terms.pattern else {
        return Err(Problem::new("coupon.no_pattern", format!("`{slug}` has no pattern for codes"))
            .cure("write it into the set's terms, as in pattern: SPRING-{8}")
            .into());
    };
    if !(1..=GENERATE_MAX).contains(&given.count) {
        return Err(Problem::new("coupon.count", format!("{} codes cannot be made at once", given.count))
            .field("count")
            .value(given.count)
            .cure(format!("ask for 1 to {GENERATE_MAX}"))
            .into());
    }
    let mut made: Vec<String> = Vec::with_capacity(given.count);
    for _ in 0..TRIES {
        let missing = given.count - made.len();
        let mut random = vec![0; missing * pattern.random_len()];
        app.chance.fill(&mut random);
        let codes: Vec<String> =
            random.chunks(pattern.random_len().max(1)).map(|bytes| pattern.code(bytes)).collect();
        let added = app.store.add_codes(terms.slug.clone(), codes.clone(), app.now()).await?;
        let full = added.refused.iter().find(|(_, problem)| problem.code == "coupon.set_full").cloned();
        let refused: Vec<usize> = added.refused.into_iter().map(|(place, _)| place).collect();
        let new = codes.into_iter().enumerate().filter(|(place, _)| !refused.contains(place));
        made.extend(new.map(|(_, code)| code));
        if let Some((_, problem)) = full.filter(|_| made.is_empty()) {
            return Err(problem.into());
        }
        if made.len() == given.count {
            break;
        }
    }
    audit::note(&app, &by, "coupons.generate", format!("coupons:{slug}"), json!({ "made": made.len() }))
        .await?;
    Ok(Json(Generated { codes: made }))
}
