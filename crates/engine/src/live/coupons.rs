//! Codes for a batch: reserved in memory while the batch is at work, given by the transaction that commits it.
//!
//! ```text
//! let mut lease = coupons.begin();                    // one for each batch
//! let found = lease.answer(store, asks, now).await?;  // Need::Coupon of all contacts of a round
//! … commit_step(… coupons …) …
//! lease.committed(&uses);                             // dropped without it: everything is given back
//! ```
//!
//! Codes are read in blocks, in the order in which they were added. No code is given to two batches at the same time; should
//! somebody else give one meanwhile, the commit refuses it (`StepOutcome::Conflict`) and the batch asks again. Answering
//! writes nothing, so a preview that asks and commits nothing takes no code; [`preview`] does not even ask.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use journey::run::Coupon;
use model::{ContactId, CouponKind, CouponSet, Slug, Timestamp};
use storage::{
    Result, StoreError,
    coupons::{CouponStock, CouponStore, FreeCode, HeldCode, LowStock},
    live::CouponUse,
    settings::{DefinitionKind, SettingsStore},
};

/// Fewest codes that are read at once.
pub const BLOCK: usize = 1_000;

/// A contact that asks for a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CouponAsk {
    /// Who.
    pub contact: ContactId,
    /// Of which set.
    pub set: Slug,
    /// A code that the contact was given before, that has not expired and was not used, will do.
    pub reuse: bool,
}

/// The codes that batches at work have reserved. One for each process.
#[derive(Debug, Default)]
pub struct Coupons {
    /// Held while codes are read, so that two batches do not read the same block.
    reading: tokio::sync::Mutex<()>,
    sets: Mutex<HashMap<Slug, Reserve>>,
    /// Whether a batch was committed that left a set low.
    low: AtomicBool,
}

#[derive(Debug, Default)]
struct Reserve {
    /// Free codes that were read and reserved for nobody.
    block: VecDeque<FreeCode>,
    /// The last code that was read.
    cursor: i64,
    /// Single-use codes that batches at work hold.
    in_flight: HashSet<i64>,
    /// How many codes of the set, single-use or shared, batches at work hold.
    count: u64,
}

/// What a batch holds. Dropped, it gives everything back.
#[derive(Debug)]
pub struct Lease {
    coupons: Arc<Coupons>,
    taken: Vec<Taken>,
}

#[derive(Debug)]
struct Taken {
    contact: ContactId,
    set: Slug,
    /// The number of a single-use code.
    no: Option<i64>,
    code: String,
    expires_at: Option<Timestamp>,
    /// Whether the set is low after it.
    low: bool,
}

impl Coupons {
    /// Nothing reserved.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// For a batch that begins.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Lease {
        Lease { coupons: Arc::clone(self), taken: Vec::new() }
    }

    /// The sets that ran low by what was committed since it was asked last: each is told once, until codes are added. Asks
    /// the database only when there may be one.
    ///
    /// # Errors
    /// What the database says.
    pub async fn warnings<S: CouponStore + Sync>(&self, store: &S) -> Result<Vec<LowStock>> {
        if self.low.swap(false, Ordering::AcqRel) { store.take_low_stock().await } else { Ok(Vec::new()) }
    }

    fn with<T>(&self, set: &Slug, f: impl FnOnce(&mut Reserve) -> T) -> T {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        match sets.get_mut(set) {
            Some(reserve) => f(reserve),
            None => f(sets.entry(set.clone()).or_default()),
        }
    }
}

impl Lease {
    /// Finds a code for each of these contacts, in their order; none where the set is exhausted, has ended or does not
    /// exist, or where the contact was given as many as it may. A few queries for each set, however many ask.
    ///
    /// # Errors
    /// What the database says.
    pub async fn answer<S>(
        &mut self,
        store: &S,
        asks: Vec<CouponAsk>,
        now: Timestamp,
    ) -> Result<Vec<Option<Coupon>>>
    where
        S: CouponStore + SettingsStore + Sync,
    {
        let mut answers = vec![None; asks.len()];
        let mut by_set: Vec<(Slug, Vec<usize>)> = Vec::new();
        for (place, ask) in asks.iter().enumerate() {
            match by_set.iter_mut().find(|(set, _)| *set == ask.set) {
                Some((_, places)) => places.push(place),
                None => by_set.push((ask.set.clone(), vec![place])),
            }
        }
        if by_set.is_empty() {
            return Ok(answers);
        }
        let terms = load_terms(store).await?;
        let stocks = store.coupon_stocks(by_set.iter().map(|(set, _)| set.clone()).collect()).await?;
        for ((set, places), stock) in by_set.into_iter().zip(stocks) {
            let Some(terms) = terms.get(&set).filter(|terms| !terms.is_over(now)) else { continue };
            let asks: Vec<&CouponAsk> = places.iter().map(|place| &asks[*place]).collect();
            let found = self.answer_set(store, terms, stock, &asks, now).await?;
            for (place, coupon) in places.into_iter().zip(found) {
                answers[place] = coupon;
            }
        }
        Ok(answers)
    }

    async fn answer_set<S: CouponStore + Sync>(
        &mut self,
        store: &S,
        terms: &CouponSet,
        stock: CouponStock,
        asks: &[&CouponAsk],
        now: Timestamp,
    ) -> Result<Vec<Option<Coupon>>> {
        let asks_past = terms.per_contact.is_some() || asks.iter().any(|ask| ask.reuse);
        let held = if asks_past {
            store.held_codes(terms.slug.clone(), asks.iter().map(|ask| ask.contact).collect()).await?
        } else {
            vec![Vec::new(); asks.len()]
        };
        let coupons = Arc::clone(&self.coupons);
        let _reading = coupons.reading.lock().await;
        if terms.kind == CouponKind::SingleUse {
            coupons.fill(store, &terms.slug, asks.len()).await?;
        }
        let found = asks.iter().zip(held).map(|(ask, held)| self.one(terms, stock, ask, &held, now));
        Ok(found.collect())
    }

    fn one(
        &mut self,
        terms: &CouponSet,
        stock: CouponStock,
        ask: &CouponAsk,
        held: &[HeldCode],
        now: Timestamp,
    ) -> Option<Coupon> {
        let mine = || self.taken.iter().filter(|taken| taken.contact == ask.contact && taken.set == ask.set);
        if ask.reuse {
            // What another run of the contact has just been found in this batch is committed with it.
            let fresh = mine().next_back().map(|taken| (taken.code.clone(), taken.expires_at));
            let known =
                held.iter().find(|held| !held.redeemed && held.expires_at.is_none_or(|end| end > now));
            let known = known.map(|held| (held.code.clone(), held.expires_at));
            if let Some((code, expires_at)) = fresh.or(known) {
                return Some(Coupon { code, expires_at, held: true, left: None });
            }
        }
        let had = held.len() as u64 + mine().count() as u64;
        if terms.per_contact.is_some_and(|most| had >= most) {
            return None;
        }
        let expires_at = terms.expiry(now);
        let (no, code, left) = self.coupons.with(&terms.slug, |reserve| {
            let by_limit = terms.limit.map(|limit| limit.saturating_sub(stock.given + reserve.count));
            if by_limit == Some(0) {
                return None;
            }
            let (no, code) = match &terms.kind {
                CouponKind::Shared { code } => (None, code.clone()),
                CouponKind::SingleUse => {
                    let free = reserve.block.pop_front()?;
                    reserve.in_flight.insert(free.no);
                    (Some(free.no), free.code)
                }
            };
            reserve.count += 1;
            let left = by_limit.map(|left| left - 1);
            let left = match no {
                None => left,
                Some(_) => {
                    let free = stock.free.saturating_sub(reserve.in_flight.len() as u64);
                    Some(left.map_or(free, |left| left.min(free)))
                }
            };
            Some((no, code, left))
        })?;
        let low = left.zip(terms.low_stock).is_some_and(|(left, threshold)| left <= threshold);
        let set = terms.slug.clone();
        self.taken.push(Taken { contact: ask.contact, set, no, code: code.clone(), expires_at, low });
        Some(Coupon { code, expires_at, held: false, left })
    }

    /// The batch is on disk with these codes; the others are given back.
    pub fn committed(mut self, uses: &[CouponUse]) {
        let given: HashSet<(&Slug, &str, ContactId)> =
            uses.iter().map(|item| (&item.set, item.code.as_str(), item.contact)).collect();
        let (done, rest): (Vec<Taken>, Vec<Taken>) = std::mem::take(&mut self.taken)
            .into_iter()
            .partition(|taken| given.contains(&(&taken.set, taken.code.as_str(), taken.contact)));
        if done.iter().any(|taken| taken.low) {
            self.coupons.low.store(true, Ordering::Release);
        }
        for taken in done {
            self.coupons.with(&taken.set, |reserve| reserve.release(&taken));
        }
        self.taken = rest;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        for taken in std::mem::take(&mut self.taken) {
            self.coupons.with(&taken.set, |reserve| {
                reserve.release(&taken);
                // Somebody else may have given it meanwhile: what is free is read again.
                reserve.block.clear();
                reserve.cursor = 0;
            });
        }
    }
}

impl Reserve {
    fn release(&mut self, taken: &Taken) {
        self.count = self.count.saturating_sub(1);
        if let Some(no) = taken.no {
            self.in_flight.remove(&no);
        }
    }
}

impl Coupons {
    /// Reads free codes until there are enough for `wanted` contacts, or no more.
    async fn fill<S: CouponStore + Sync>(&self, store: &S, set: &Slug, wanted: usize) -> Result<()> {
        loop {
            let (missing, cursor, skip) = self.with(set, |reserve| {
                (wanted.saturating_sub(reserve.block.len()), reserve.cursor, reserve.in_flight.clone())
            });
            if missing == 0 {
                return Ok(());
            }
            let limit = missing.max(BLOCK);
            let read = store.free_codes(set.clone(), cursor, limit).await?;
            let last = read.len() < limit;
            self.with(set, |reserve| {
                reserve.cursor = read.last().map_or(cursor, |code| code.no);
                // Those that were in flight before the query may have been given since.
                let fresh = read
                    .into_iter()
                    .filter(|code| !skip.contains(&code.no) && !reserve.in_flight.contains(&code.no));
                let fresh: Vec<FreeCode> = fresh.collect();
                reserve.block.extend(fresh);
            });
            if last {
                return Ok(());
            }
        }
    }
}

/// The terms of all sets as they stand now.
///
/// # Errors
/// What the database says; a set that does not read back.
pub async fn load_terms<S: SettingsStore + Sync>(store: &S) -> Result<HashMap<Slug, CouponSet>> {
    let definitions = store.load_definitions(DefinitionKind::CouponSet).await?;
    let read = definitions.into_iter().map(|definition| {
        let terms =
            CouponSet::from_json(&definition.content).map_err(|problem| StoreError::Inconsistent {
                table: "definitions",
                row: definition.slug.to_string(),
                why: problem.message,
            })?;
        Ok((definition.slug, terms))
    });
    read.collect()
}

/// What a preview, a test message or a simulation shows in place of a code: the shared code, or one that looks like the
/// set's. Nothing is taken.
#[must_use]
pub fn preview(terms: &CouponSet, now: Timestamp) -> Coupon {
    let code = match (&terms.kind, &terms.pattern) {
        (CouponKind::Shared { code }, _) => code.clone(),
        (CouponKind::SingleUse, Some(pattern)) => pattern.code(&vec![0; pattern.random_len()]),
        (CouponKind::SingleUse, None) => "PREVIEW".to_owned(),
    };
    Coupon { code, expires_at: terms.expiry(now), held: false, left: None }
}
