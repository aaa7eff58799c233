//! Coupon codes: which are free, who was given which, and which were used. The terms of a set are a definition
//! ([`model::CouponSet`]); its stock is here.
//!
//! Codes are known across all sets without regard to ASCII case, as shops compare them: one code leads to one set.

use std::future::Future;

use model::{Amount, ContactId, Problem, Slug, Timestamp};

use crate::Result;

/// A code that nobody was given yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeCode {
    /// Its place in the order of arrival.
    pub no: i64,
    /// The code.
    pub code: String,
}

/// A code that a contact was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCode {
    /// The code.
    pub code: String,
    /// When it was given.
    pub at: Timestamp,
    /// When it ends; none: never.
    pub expires_at: Option<Timestamp>,
    /// Whether an order used it.
    pub redeemed: bool,
}

/// How much of a set is left, as of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CouponStock {
    /// Single-use codes that nobody was given.
    pub free: u64,
    /// How often a code of the set was given (or used without being given).
    pub given: u64,
}

/// Codes of a set by state. Those given are redeemed, expired or neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CouponCounts {
    /// Codes given to contacts, whatever became of them.
    pub assigned: u64,
    /// Single-use codes that nobody was given.
    pub free: u64,
    /// Used by an order.
    pub redeemed: u64,
    /// Given, not used, and past their end.
    pub expired: u64,
    /// Since when the set has run low.
    pub low_since: Option<Timestamp>,
}

/// What became of codes that were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddedCodes {
    /// How many are new.
    pub added: u64,
    /// Those refused, by their place among those given: `coupon.duplicate` (in the set already, or given twice),
    /// `coupon.other_set`, `coupon.set_full`, and what [`model::coupon::check_code`] says.
    pub refused: Vec<(usize, Problem)>,
}

/// An order that names codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redemption {
    /// The codes, as the shop writes them.
    pub codes: Vec<String>,
    /// Whose order; [`ContactId`] 0 when the shop did not say.
    pub contact: ContactId,
    /// The shop's id of the order.
    pub order_id: String,
    /// What was paid in the end, without refunds.
    pub net: Amount,
    /// When.
    pub at: Timestamp,
}

/// A code that an order used for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// The set.
    pub set: Slug,
    /// The code, as it was added.
    pub code: String,
    /// Who used it; [`ContactId`] 0 when the shop did not say and nobody was given it.
    pub contact: ContactId,
}

/// A set that ran low.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowStock {
    /// Which.
    pub set: Slug,
    /// How many codes are left.
    pub left: u64,
    /// Since when.
    pub since: Timestamp,
}

/// Codes of coupon sets. Giving them to contacts is part of [`crate::live::LiveStore::commit_step`].
pub trait CouponStore {
    /// Adds single-use codes to a set.
    fn add_codes(
        &self,
        set: Slug,
        codes: Vec<String>,
        now: Timestamp,
    ) -> impl Future<Output = Result<AddedCodes>> + Send;
    /// Free codes of a set behind `after` (0: from the first), in the order of arrival, at most `limit`.
    fn free_codes(
        &self,
        set: Slug,
        after: i64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<FreeCode>>> + Send;
    /// The codes of a set that each of these contacts was given, the latest first.
    fn held_codes(
        &self,
        set: Slug,
        contacts: Vec<ContactId>,
    ) -> impl Future<Output = Result<Vec<Vec<HeldCode>>>> + Send;
    /// What is left of sets; nothing for one that has no codes yet.
    fn coupon_stocks(&self, sets: Vec<Slug>) -> impl Future<Output = Result<Vec<CouponStock>>> + Send;
    /// Codes of a set by state at `now`.
    fn count_codes(&self, set: Slug, now: Timestamp) -> impl Future<Output = Result<CouponCounts>> + Send;
    /// The same of many sets, in their order, at one moment.
    fn count_codes_of(
        &self,
        sets: Vec<Slug>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<CouponCounts>>> + Send;
    /// Marks codes as used; answers with those that were not marked before. Codes of no set are left out. An import
    /// does the same in its own transaction for [`crate::imports::ImportOrder::coupons`].
    fn redeem_codes(
        &self,
        redemptions: Vec<Redemption>,
    ) -> impl Future<Output = Result<Vec<Redeemed>>> + Send;
    /// The sets that ran low since they were last asked for: each is told once, until codes are added.
    fn take_low_stock(&self) -> impl Future<Output = Result<Vec<LowStock>>> + Send;
}
