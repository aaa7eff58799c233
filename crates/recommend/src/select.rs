//! Chooses the products of a *Get products* step for one contact.

use std::{cell::RefCell, cmp::Reverse, collections::BinaryHeap, ops::Range, sync::Arc};

use model::{Dice, Product, ProductId, Timestamp};
use segment::reference::Data;

use crate::{
    case::{Case, Order},
    catalogue::Catalogue,
    facts::{self, ContactFacts, Seen},
    rank::{Metric, Ranking, RankingKey},
    relations::{Relations, Scores},
    step::{self, EXCLUDE_BOUGHT_DAYS, GetProducts, Origin, Pick, Related},
};

/// What a product in a cart that was not bought weighs beside a purchase, in the contact's affinity.
const ADDED_WEIGHT: f32 = 0.7;
/// What a visit weighs beside a purchase (spec §2.6.5: bought large, visited small).
const VISITED_WEIGHT: f32 = 0.2;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Kept per thread, so that a contact costs no allocation beyond its answer.
#[derive(Default)]
struct Scratch {
    scores: Scores,
    queue: Vec<Reverse<(u32, u32, u32)>>,
}

/// The products for one contact, best first: those of the main case, then of the additional one, then fillers.
///
/// Never one that is out of stock or below the minimum stock, blacklisted, without a price or no product (postage); never
/// one twice; with `exclude_exported` none of `exported`. `now` is the instant of the step; `catalogue` may be a little older. The same
/// arguments give the same answer.
#[must_use]
pub fn select(
    step: &GetProducts,
    catalogue: &Catalogue,
    facts: &ContactFacts,
    data: &dyn Data,
    exported: &[ProductId],
    now: Timestamp,
    dice: &mut Dice,
) -> Vec<ProductId> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut run = Run {
            step,
            catalogue,
            facts,
            data,
            exported,
            now,
            scratch,
            chosen: Vec::with_capacity(step.total),
        };
        let gates: Vec<Gate<'_>> = step.picks().map(|pick| run.gate(pick)).collect();
        for gate in &gates {
            let from = run.chosen.len();
            let until = step.total.min(from + gate.pick.quantity);
            run.take(gate, until);
            if gate.pick.shuffle {
                dice.shuffle(&mut run.chosen[from..]);
            }
        }
        if step.fill_up && run.chosen.len() < step.total {
            run.fill(&gates);
        }
        run.chosen
    })
}

struct Run<'a> {
    step: &'a GetProducts,
    catalogue: &'a Catalogue,
    facts: &'a ContactFacts,
    data: &'a dyn Data,
    exported: &'a [ProductId],
    now: Timestamp,
    scratch: &'a mut Scratch,
    chosen: Vec<ProductId>,
}

/// What a product must satisfy to be taken by a case, looked up once per contact.
struct Gate<'a> {
    pick: &'a Pick,
    /// The origin's products, if it is a list.
    origin: Option<Vec<ProductId>>,
    /// What `related_to` stands for.
    seeds: Vec<ProductId>,
    bought_since: Option<Timestamp>,
    /// The only products that have a chance, when the conditions say which.
    narrow: Option<Narrow>,
}

/// A part of the catalogue that holds all products which satisfy some conditions (and others too: every one that is
/// taken is still tested).
enum Narrow {
    Listed(Arc<[ProductId]>),
    Priced(Arc<Ranking>, Range<usize>),
}

impl Narrow {
    fn products(&self) -> &[ProductId] {
        match self {
            Self::Listed(list) => list,
            Self::Priced(ranking, range) => &ranking.products[range.clone()],
        }
    }
}

impl<'a> Run<'a> {
    fn gate(&self, pick: &'a Pick) -> Gate<'a> {
        let origin = match &pick.origin {
            Origin::All => None,
            Origin::Ref(path) => Some(self.data.products(path)),
        };
        let mut seeds = match &pick.related_to {
            None => Vec::new(),
            Some(Related::Ref(path)) => self.data.products(path),
            Some(Related::Products(ids)) => ids
                .iter()
                .filter_map(|id| self.catalogue.by_external_id(id).map(|product| product.id))
                .collect(),
        };
        seeds.sort_unstable();
        seeds.dedup();
        let bought_since = pick.exclude_bought.then(|| self.now.plus_days(-EXCLUDE_BOUGHT_DAYS));
        let narrow = if pick.conditions.is_empty() { None } else { self.narrow(pick) };
        Gate { pick, origin, seeds, bought_since, narrow }
    }

    /// The smaller of what the fixed conditions and the bounds of the price leave.
    fn narrow(&self, pick: &Pick) -> Option<Narrow> {
        let listed = pick
            .conditions
            .fixed()
            .map(|(key, condition)| Narrow::Listed(self.catalogue.satisfying(key, condition)));
        let priced = pick.conditions.prices(self.data).map(|(from, to)| {
            let (ranking, range) = self.catalogue.priced(from, to);
            Narrow::Priced(ranking, range)
        });
        listed.into_iter().chain(priced).min_by_key(|narrow| narrow.products().len())
    }

    /// Whether a product may still be taken through a gate.
    fn accepts(&self, gate: &Gate<'_>, id: ProductId) -> bool {
        self.catalogue.is_recommendable(id, self.step.min_stock)
            && !self.chosen.contains(&id)
            && !(self.step.exclude_exported && self.exported.contains(&id))
            && gate.origin.as_ref().is_none_or(|list| list.contains(&id))
            && gate.seeds.binary_search(&id).is_err()
            && !gate.bought_since.is_some_and(|since| self.facts.bought_since(id, since))
            && (gate.pick.conditions.is_empty()
                || self.catalogue.product(id).is_some_and(|product| self.fits(gate, product)))
    }

    fn fits(&self, gate: &Gate<'_>, product: &Product) -> bool {
        gate.pick.conditions.accept(product, self.data, self.now)
    }

    fn take(&mut self, gate: &Gate<'_>, until: usize) {
        let pick = gate.pick;
        let since = step::since(pick.within, self.now);
        match pick.case {
            Case::Manual => {
                let ids: Vec<ProductId> = pick
                    .products
                    .iter()
                    .filter_map(|id| self.catalogue.by_external_id(id).map(|product| product.id))
                    .collect();
                self.take_in_order(gate, ids, until);
            }
            Case::Filtered => self.take_filtered(gate, until),
            Case::MostVisited => {
                self.take_ranked(gate, RankingKey::Figures(Metric::Visits, pick.period), until)
            }
            Case::BestSelling => {
                self.take_ranked(gate, RankingKey::Figures(Metric::Sales, pick.period), until)
            }
            Case::LastVisited => {
                self.take_in_order(gate, facts::latest_first(&self.facts.visited, since, self.now), until);
            }
            Case::LastAddedNotBought => {
                self.take_in_order(
                    gate,
                    facts::latest_first(&self.facts.added_not_bought, since, self.now),
                    until,
                );
            }
            Case::LastPurchased => {
                self.take_in_order(gate, facts::latest_first(&self.facts.bought, since, self.now), until);
            }
            Case::OwnRepeats => {
                self.scratch.scores.clear();
                self.weigh(&self.facts.bought, 1.0, since, None);
                self.take_scored(gate, until);
            }
            Case::ContactAffinity => {
                self.scratch.scores.clear();
                let relations = Some(self.catalogue.learned());
                self.weigh(&self.facts.bought, 1.0, since, relations);
                self.weigh(&self.facts.added_not_bought, ADDED_WEIGHT, since, relations);
                self.weigh(&self.facts.visited, VISITED_WEIGHT, since, relations);
                self.take_scored(gate, until);
            }
            Case::RelatedToProduct | Case::RelatedToList | Case::RelatedToCart | Case::RelatedToPurchase => {
                self.take_related(gate, self.catalogue.learned(), until);
            }
            Case::BoughtTogetherProduct
            | Case::BoughtTogetherList
            | Case::BoughtTogetherCart
            | Case::BoughtTogetherPurchase => self.take_related(gate, self.catalogue.together(), until),
            Case::LinkedToProduct | Case::LinkedToList | Case::LinkedToCart | Case::LinkedToPurchase => {
                self.take_related(gate, self.catalogue.links(), until);
            }
        }
    }

    fn take_in_order(&mut self, gate: &Gate<'_>, ids: impl IntoIterator<Item = ProductId>, until: usize) {
        for id in ids {
            if self.chosen.len() >= until {
                return;
            }
            if self.accepts(gate, id) {
                self.chosen.push(id);
            }
        }
    }

    /// Along a ranking; when the origin is a list, only the list is looked at.
    fn take_ranked(&mut self, gate: &Gate<'_>, key: RankingKey, until: usize) {
        let ranking = self.catalogue.ranking(key);
        match &gate.origin {
            Some(list) => self.take_placed(std::slice::from_ref(gate), &ranking, list, until),
            None => self.walk(std::slice::from_ref(gate), &ranking, until),
        }
    }

    /// Along a ranking through all gates; where conditions leave only few products, those are looked at instead of all.
    fn walk(&mut self, gates: &[Gate<'_>], ranking: &Ranking, until: usize) {
        let narrow = gates.iter().filter_map(|gate| gate.narrow.as_ref()).map(Narrow::products);
        match narrow.min_by_key(|list| list.len()) {
            Some(list) if list.len() < ranking.products.len() / 4 => {
                self.take_placed(gates, ranking, list, until)
            }
            _ => {
                for id in &ranking.products {
                    if self.chosen.len() >= until {
                        return;
                    }
                    if gates.iter().all(|gate| self.accepts(gate, *id)) {
                        self.chosen.push(*id);
                    }
                }
            }
        }
    }

    /// From a list, in the order of a ranking; what is not ranked is left out.
    fn take_placed(&mut self, gates: &[Gate<'_>], ranking: &Ranking, list: &[ProductId], until: usize) {
        let mut queue = std::mem::take(&mut self.scratch.queue);
        queue.clear();
        let placed = list.iter().map(|id| (self.catalogue.place(ranking, *id), 0, id.0));
        queue.extend(placed.filter(|(place, ..)| *place != Ranking::UNRANKED).map(Reverse));
        let mut heap = BinaryHeap::from(queue);
        while self.chosen.len() < until
            && let Some(Reverse((_, _, id))) = heap.pop()
        {
            if gates.iter().all(|gate| self.accepts(gate, ProductId(id))) {
                self.chosen.push(ProductId(id));
            }
        }
        self.scratch.queue = heap.into_vec();
    }

    /// Along the order asked for, then by the shop's priority. Without an order a list of an earlier node keeps its
    /// own, and the catalogue goes by what sold best in the last month.
    fn take_filtered(&mut self, gate: &Gate<'_>, until: usize) {
        let key = match (gate.pick.order.ranking(), &gate.origin) {
            (Some(key), _) => key,
            (None, Some(list)) => return self.take_in_order(gate, list.iter().copied(), until),
            (None, None) => RankingKey::Figures(Metric::Sales, model::Period { months: 1, micros: 0 }),
        };
        self.take_ranked(gate, key, until);
        if self.chosen.len() < until && matches!(key, RankingKey::Figures(..)) {
            self.take_ranked(gate, RankingKey::Priority, until);
        }
    }

    fn take_related(&mut self, gate: &Gate<'_>, relations: &Relations, until: usize) {
        self.scratch.scores.clear();
        self.scratch.scores.add_related(relations, gate.seeds.iter().map(|seed| (*seed, 1.0)));
        self.take_scored(gate, until);
    }

    /// Adds what the contact did, halved with every half-life, to the scores: the products themselves, or what is
    /// related to them.
    fn weigh(&mut self, seen: &[Seen], weight: f32, since: Timestamp, relations: Option<&Relations>) {
        let half_life = self.catalogue.half_life_days() * Timestamp::DAY as f32;
        let recent = seen.iter().filter(|one| one.at >= since && one.at < self.now).map(|one| {
            let age = self.now.since(one.at) as f32 / half_life;
            // Very old doings keep a trace: they still rank among themselves.
            (one.product, (weight * (-age).exp2()).max(f32::MIN_POSITIVE))
        });
        match relations {
            None => recent.for_each(|(product, weight)| self.scratch.scores.add(product, weight)),
            Some(relations) => self.scratch.scores.add_related(relations, recent),
        }
    }

    /// The highest scores first, or along the order asked for; ties go to the product with the smaller number.
    fn take_scored(&mut self, gate: &Gate<'_>, until: usize) {
        let mut queue = std::mem::take(&mut self.scratch.queue);
        queue.clear();
        let ranking = match gate.pick.order {
            Order::Default => None,
            order => order.ranking().map(|key| self.catalogue.ranking(key)),
        };
        queue.extend(self.scratch.scores.iter().filter(|(_, score)| *score > 0.0).map(|(id, score)| {
            let place = ranking.as_ref().map_or(0, |ranking| self.catalogue.place(ranking, id));
            // Bits of positive floats sort as the floats do.
            Reverse((place, !score.to_bits(), id.0))
        }));
        let mut heap = BinaryHeap::from(queue);
        while self.chosen.len() < until
            && let Some(Reverse((_, _, id))) = heap.pop()
        {
            if self.accepts(gate, ProductId(id)) {
                self.chosen.push(ProductId(id));
            }
        }
        self.scratch.queue = heap.into_vec();
    }

    /// Other products, through the gates of all cases at once: the best-selling of ever longer periods, then by the
    /// shop's priority.
    fn fill(&mut self, gates: &[Gate<'_>]) {
        let months = |months| RankingKey::Figures(Metric::Sales, model::Period { months, micros: 0 });
        for key in [months(1), months(3), months(12), RankingKey::Priority] {
            if self.chosen.len() < self.step.total {
                let ranking = self.catalogue.ranking(key);
                self.walk(gates, &ranking, self.step.total);
            }
        }
    }
}
