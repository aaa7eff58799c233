//! `/api/v1/coupons`: sets of codes.

mod codes;
mod generate;
mod get;
mod list;
mod put;
mod remove;

use engine::live::coupons::load_terms;
use model::{
    Slug, Timestamp,
    coupon::{CouponKind, CouponSet},
};
use serde::Serialize;
use serde_json::Value;
use storage::{Storage, coupons::CouponCounts};
use utoipa::ToSchema;

use crate::{
    ApiError, ApiResult, operations,
    said::{self, At, Names},
    section::Section,
};

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("coupons"), S; list, get, put, remove, codes, generate)
}

/// A set and what became of its codes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CouponSetBody {
    /// What it is known by.
    pub slug: String,
    /// What people call it.
    pub name: Names,
    /// `shared`: one code for everybody; `single_use`: each code for one contact.
    pub kind: String,
    /// The shared code.
    pub code: Option<String>,
    /// When all its codes end (exclusive).
    pub expires_at: Option<At>,
    /// How often codes may be given in all.
    pub limit: Option<u64>,
    /// How many codes one contact may be given.
    pub per_contact: Option<u64>,
    /// With so many codes left or fewer, somebody is warned.
    pub low_stock: Option<u64>,
    /// Codes given to contacts, whatever became of them.
    pub assigned: u64,
    /// Single-use codes that nobody was given.
    pub free: u64,
    /// Used by an order.
    pub redeemed: u64,
    /// Given, not used, and past their end.
    pub expired: u64,
    /// Since when the set has run low.
    pub low_since: Option<At>,
    /// All its terms, as they are kept.
    #[schema(value_type = Object)]
    pub terms: Value,
}

fn body(terms: &CouponSet, counts: &CouponCounts) -> CouponSetBody {
    CouponSetBody {
        slug: terms.slug.to_string(),
        name: Names::from(&terms.name),
        kind: match terms.kind {
            CouponKind::Shared { .. } => "shared",
            CouponKind::SingleUse => "single_use",
        }
        .to_owned(),
        code: terms.shared_code().map(str::to_owned),
        expires_at: terms.expires_at.map(At),
        limit: terms.limit,
        per_contact: terms.per_contact,
        low_stock: terms.low_stock,
        assigned: counts.assigned,
        free: counts.free,
        redeemed: counts.redeemed,
        expired: counts.expired,
        low_since: counts.low_since.map(At),
        terms: terms.to_json(),
    }
}

async fn find<S: Storage>(store: &S, set: &str) -> ApiResult<CouponSet> {
    let slug = said::slug(set)?;
    load_terms(store).await?.remove(&slug).ok_or_else(|| ApiError::not_found("coupon set", set))
}

async fn counted<S: Storage>(store: &S, set: Slug, now: Timestamp) -> ApiResult<CouponCounts> {
    Ok(store.count_codes(set, now).await?)
}
