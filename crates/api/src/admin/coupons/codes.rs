//! `POST /api/v1/coupons/{slug}/codes`: adds codes that the shop has made.

use axum::{Json, extract::State};
use model::Problem;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::Storage;
use utoipa::ToSchema;

use super::find;
use crate::{
    ApiResult, App,
    access::Editor,
    audit,
    extract::{Body, Named},
    problem::ProblemBody,
};

/// Most codes in one request; a file of more is imported by `relance coupon import`.
pub const CODES_MAX: usize = 50_000;
/// Codes that are added in one transaction.
const BATCH: usize = 5_000;
/// Refused codes that are told one by one.
const REFUSED_MAX: usize = 100;

/// Codes to add.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"codes": ["SPRING-1", "SPRING-2"]}))]
pub(crate) struct AddCodes {
    /// The codes, 1 to 50,000.
    #[schema(min_items = 1, max_items = 50_000)]
    codes: Vec<String>,
}

/// A code that was refused.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RefusedCode {
    /// Its place among those given, from 0.
    index: usize,
    /// Why.
    problem: ProblemBody,
}

/// What became of the codes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AddedCodes)]
pub(crate) struct AddedBody {
    /// How many are new.
    added: u64,
    /// How many were in the set already.
    known: u64,
    /// How many were refused for another reason.
    refused: u64,
    /// The first hundred of these.
    refusals: Vec<RefusedCode>,
    /// Codes that nobody was given now.
    free: u64,
}

/// Adds single-use codes to a set. Codes that cannot be taken are refused one by one; the others are added.
#[utoipa::path(
    post,
    path = "/api/v1/coupons/{slug}/codes",
    operation_id = "addCouponCodes",
    params(("slug" = String, Path, description = "What it is known by")),
    request_body = AddCodes,
    responses((status = 200, body = AddedBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(slug): Named<String>,
    Body(given): Body<AddCodes>,
) -> ApiResult<Json<AddedBody>> {
    let terms = find(&app.store, &slug).await?;
    single_use(&terms)?;
    let count = given.codes.len();
    if !(1..=CODES_MAX).contains(&count) {
        return Err(Problem::new("coupon.count", format!("{count} codes cannot be added at once"))
            .field("codes")
            .value(count)
            .cure(format!("send 1 to {CODES_MAX}"))
            .into());
    }
    let mut answer = AddedBody { added: 0, known: 0, refused: 0, refusals: Vec::new(), free: 0 };
    for (part, codes) in given.codes.chunks(BATCH).enumerate() {
        let added = app.store.add_codes(terms.slug.clone(), codes.to_vec(), app.now()).await?;
        answer.added += added.added;
        for (place, problem) in added.refused {
            if problem.code == "coupon.duplicate" {
                answer.known += 1;
                continue;
            }
            answer.refused += 1;
            if answer.refusals.len() < REFUSED_MAX {
                let index = part * BATCH + place;
                answer.refusals.push(RefusedCode { index, problem: ProblemBody::from(&problem) });
            }
        }
    }
    answer.free = super::counted(&app.store, terms.slug.clone(), app.now()).await?.free;
    audit::note(&app, &by, "coupons.add", format!("coupons:{slug}"), json!({ "added": answer.added }))
        .await?;
    Ok(Json(answer))
}

pub(super) fn single_use(terms: &model::coupon::CouponSet) -> Result<(), Problem> {
    match terms.shared_code() {
        None => Ok(()),
        Some(_) => {
            Err(Problem::new("coupon.shared_set", format!("`{}` has one code for everybody", terms.slug))
                .cure("write kind: single_use in the set's terms, or use another set"))
        }
    }
}
