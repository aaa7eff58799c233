//! Who satisfies a condition, over the whole base: each question is answered for everybody by the scan that suits it
//! (an index for activities, one pass over the profiles for fields, consents and lists, group sets for RFM), the
//! answers are sets, and `all`, `any` and `not` are algebra on them. No contact is touched that no question needs.

use std::{collections::BTreeMap, future::Future, ops::RangeInclusive, pin::Pin, sync::Arc};

use model::{Cart, Contact, ContactId, OrderNo, Timestamp, Totals, event::kind};
use roaring::RoaringTreemap;
use segment::{
    Activity, CartCondition, Condition, Entry, Facts as _, Leaf, Tree,
    activity::{Figure, OrderProperty},
    condition::RfmCondition,
    evaluate::leaf_at,
};
use storage::{
    Result, Storage, StoreError,
    segments::{FLIPS_AHEAD, OrderMark},
};

use super::{
    BATCH, Progress, Workspace,
    contacts::{cart_of_order, net},
    facts::{Catalogue, Profile},
    grouping::{Found, Grouping, Question},
};

/// Pieces that the contacts are cut into.
const PIECES: i64 = 16;
/// Orders are found by time, not by contact, in windows shorter than this.
const BY_TIME_BELOW: i64 = 200 * Timestamp::DAY;

/// What a pass found.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Who satisfies the condition.
    pub members: RoaringTreemap,
    /// Whose membership time alone may change within [`FLIPS_AHEAD`]; some of them it does not.
    pub near: RoaringTreemap,
    /// Contacts without a value, by field that the condition reads.
    pub without_value: BTreeMap<String, u64>,
}

/// Who satisfies a condition at `now`.
///
/// # Errors
/// What storage says.
pub async fn find<S: Storage>(
    store: &S,
    workspace: &Arc<Workspace>,
    condition: &Condition,
    now: Timestamp,
    progress: Progress,
) -> Result<Answer> {
    let (_, last) = store.count_contacts().await?;
    let mut pass = Pass {
        store: store.clone(),
        workspace: Arc::clone(workspace),
        now,
        last,
        everybody: None,
        catalogue: None,
        segments: BTreeMap::new(),
        near: RoaringTreemap::new(),
        without_value: BTreeMap::new(),
        progress: Counter { told: progress, done: Arc::default(), of: Arc::default() },
    };
    let members = pass.condition(condition).await?;
    Ok(Answer { members, near: pass.near, without_value: pass.without_value })
}

/// Counts pieces over all scans of a pass.
#[derive(Clone)]
struct Counter {
    told: Progress,
    done: Arc<std::sync::atomic::AtomicUsize>,
    of: Arc<std::sync::atomic::AtomicUsize>,
}

impl Counter {
    fn expect(&self, pieces: usize) {
        self.of.fetch_add(pieces, std::sync::atomic::Ordering::Relaxed);
    }

    fn one(&self) {
        let done = self.done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        (self.told)(done, self.of.load(std::sync::atomic::Ordering::Relaxed));
    }
}

struct Pass<S> {
    store: S,
    workspace: Arc<Workspace>,
    now: Timestamp,
    last: ContactId,
    everybody: Option<Arc<RoaringTreemap>>,
    catalogue: Option<Arc<Catalogue>>,
    segments: BTreeMap<String, RoaringTreemap>,
    near: RoaringTreemap,
    without_value: BTreeMap<String, u64>,
    progress: Counter,
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

impl<S: Storage> Pass<S> {
    /// Segments refer to segments: boxed, because it calls itself.
    fn condition<'a>(&'a mut self, condition: &'a Condition) -> Boxed<'a, RoaringTreemap> {
        Box::pin(async move {
            let leaves = condition.leaves();
            let mut sets: Vec<Option<RoaringTreemap>> = vec![None; leaves.len()];
            self.profiles(condition, &leaves, &mut sets).await?;
            for (set, leaf) in sets.iter_mut().zip(&leaves) {
                if set.is_none() {
                    *set = Some(self.leaf(leaf).await?);
                }
            }
            let mut sets = sets.into_iter().flatten();
            self.tree(condition.root(), &mut sets).await
        })
    }

    fn tree<'a>(
        &'a mut self,
        tree: &'a Tree,
        sets: &'a mut (dyn Iterator<Item = RoaringTreemap> + Send),
    ) -> Boxed<'a, RoaringTreemap> {
        Box::pin(async move {
            Ok(match tree {
                Tree::Leaf(_) => sets.next().unwrap_or_default(),
                Tree::Not(part) => {
                    let part = self.tree(part, sets).await?;
                    &*self.everybody().await? - &part
                }
                Tree::All(parts) => {
                    let mut all: Option<RoaringTreemap> = None;
                    for part in parts {
                        let part = self.tree(part, sets).await?;
                        all = Some(all.map_or_else(|| part.clone(), |all| all & &part));
                    }
                    all.unwrap_or_default()
                }
                Tree::Any(parts) => {
                    let mut any = RoaringTreemap::new();
                    for part in parts {
                        any |= self.tree(part, sets).await?;
                    }
                    any
                }
            })
        })
    }

    async fn leaf(&mut self, leaf: &Leaf) -> Result<RoaringTreemap> {
        match leaf {
            Leaf::Activity(activity) => self.activity(activity).await,
            Leaf::Cart(cart) => self.carts(leaf, cart).await,
            Leaf::Rfm(rfm) if rfm.is_only_group() => self.rfm_groups(rfm).await,
            Leaf::Rfm(_) => self.rfm_scores(leaf).await,
            Leaf::Segment(slug) => self.segment(slug).await,
            // Those of the profile are answered together, before.
            Leaf::Field { .. } | Leaf::Value { .. } | Leaf::Consent { .. } | Leaf::List(_) => {
                Ok(RoaringTreemap::new())
            }
        }
    }

    async fn segment(&mut self, slug: &str) -> Result<RoaringTreemap> {
        if let Some(known) = self.segments.get(slug) {
            return Ok(known.clone());
        }
        let workspace = Arc::clone(&self.workspace);
        let file = workspace.segment(slug).map_err(super::first)?;
        let members = self.condition(&file.condition).await?;
        self.segments.insert(slug.to_owned(), members.clone());
        Ok(members)
    }

    async fn everybody(&mut self) -> Result<Arc<RoaringTreemap>> {
        if self.everybody.is_none() {
            self.everybody = Some(Arc::new(self.store.load_contact_ids().await?));
        }
        Ok(self.everybody.clone().unwrap_or_default())
    }

    async fn catalogue(&mut self, needed: bool) -> Result<Arc<Catalogue>> {
        if !needed {
            return Ok(Arc::default());
        }
        if self.catalogue.is_none() {
            self.catalogue = Some(Arc::new(Catalogue::load(&self.store).await?));
        }
        Ok(self.catalogue.clone().unwrap_or_default())
    }

    /// The set of an answer that is given as exceptions from that of nobody's.
    async fn set(&mut self, of_nothing: bool, exceptions: RoaringTreemap) -> Result<RoaringTreemap> {
        if of_nothing { Ok(&*self.everybody().await? - &exceptions) } else { Ok(exceptions) }
    }

    async fn activity(&mut self, activity: &Activity) -> Result<RoaringTreemap> {
        let question = Arc::new(Question::new(activity, self.now, &self.workspace.zone));
        let by_lines = activity.filter.as_ref().is_some_and(segment::Filter::reads_products);
        let catalogue = self.catalogue(by_lines).await?;
        let found = if activity.is_about_orders() {
            self.orders(&question, &catalogue).await?
        } else {
            self.events(&question, &catalogue).await?
        };
        let mut exceptions = RoaringTreemap::new();
        for found in found {
            append(&mut exceptions, found.exceptions)?;
            self.near.extend(found.near);
        }
        self.set(question.of_nothing, exceptions).await
    }

    async fn events(&self, question: &Arc<Question>, catalogue: &Arc<Catalogue>) -> Result<Vec<Found>> {
        let bare = question.activity.filter.is_none() && question.activity.measure.figure().is_none();
        let (question, catalogue) = (Arc::clone(question), Arc::clone(catalogue));
        self.in_pieces(move |store, contacts| {
            let (question, catalogue) = (Arc::clone(&question), Arc::clone(&catalogue));
            let (since, until) = question.span();
            let kind = question.activity.kind.clone();
            async move {
                let grouping = Grouping::new(Arc::clone(&question));
                let grouping = if bare {
                    let fold = |grouping: &mut Grouping, mark: storage::segments::EventMark| {
                        grouping.add(mark.contact, &Entry { at: mark.at, order: 0, figure: 0 });
                    };
                    store.fold_event_marks(kind, contacts, since, until, grouping, fold).await?
                } else {
                    let fold = move |grouping: &mut Grouping, event: &model::Event| {
                        let entry = question.activity.entry_of_event(event, &*catalogue, &question.zone);
                        if let Some(entry) = entry {
                            grouping.add(event.contact, &entry);
                        }
                    };
                    store.fold_events(kind, contacts, since, until, grouping, fold).await?
                };
                Ok(grouping.finish())
            }
        })
        .await
    }

    async fn orders(&self, question: &Arc<Question>, catalogue: &Arc<Catalogue>) -> Result<Vec<Found>> {
        let (since, until) = question.span();
        let Some(figure) = Marked::of(&question.activity) else {
            return self.whole_orders(question, catalogue).await;
        };
        if until.since(since) < BY_TIME_BELOW && since > Timestamp::MIN {
            return self.recent_orders(question, figure).await.map(|found| vec![found]);
        }
        let question = Arc::clone(question);
        self.in_pieces(move |store, contacts| {
            let grouping = Grouping::new(Arc::clone(&question));
            async move {
                let fold = move |grouping: &mut Grouping, mark: OrderMark| {
                    grouping.add(mark.contact, &figure.entry(&mark));
                };
                Ok(store.fold_order_marks(contacts, since, until, false, grouping, fold).await?.finish())
            }
        })
        .await
    }

    /// Orders of a short window, by the index on time: they are sorted by contact here.
    async fn recent_orders(&self, question: &Arc<Question>, figure: Marked) -> Result<Found> {
        let (since, until) = question.span();
        let fold = |marks: &mut Vec<OrderMark>, mark: OrderMark| marks.push(mark);
        let everybody = 1..=self.last.0;
        let mut marks = self.store.fold_order_marks(everybody, since, until, true, Vec::new(), fold).await?;
        let question = Arc::clone(question);
        let sorted = tokio::task::spawn_blocking(move || {
            rayon::slice::ParallelSliceMut::par_sort_unstable_by_key(marks.as_mut_slice(), |mark| {
                (mark.contact, mark.at, mark.no)
            });
            let mut grouping = Grouping::new(question);
            for mark in &marks {
                grouping.add(mark.contact, &figure.entry(mark));
            }
            grouping.finish()
        });
        sorted.await.map_err(broken)
    }

    async fn whole_orders(&self, question: &Arc<Question>, catalogue: &Arc<Catalogue>) -> Result<Vec<Found>> {
        let (question, catalogue) = (Arc::clone(question), Arc::clone(catalogue));
        self.in_pieces(move |store, contacts| {
            let (question, catalogue) = (Arc::clone(&question), Arc::clone(&catalogue));
            let (since, until) = question.span();
            let grouping = Grouping::new(Arc::clone(&question));
            async move {
                let fold = move |grouping: &mut Grouping, order: &model::Order| {
                    let order = net(order.clone());
                    let entry = question.activity.entry_of_order(&order, &*catalogue, &question.zone);
                    if let (Some(entry), Some(contact)) = (entry, order.contact) {
                        grouping.add(contact, &entry);
                    }
                };
                Ok(store.fold_orders(contacts, since, until, grouping, fold).await?.finish())
            }
        })
        .await
    }

    /// All questions about the profile, in one pass over the profiles.
    async fn profiles(
        &mut self,
        condition: &Condition,
        leaves: &[&Leaf],
        sets: &mut [Option<RoaringTreemap>],
    ) -> Result<()> {
        let of_profile = |leaf: &Leaf| {
            matches!(leaf, Leaf::Field { .. } | Leaf::Value { .. } | Leaf::Consent { .. } | Leaf::List(_))
        };
        let places: Vec<usize> = (0..leaves.len()).filter(|at| of_profile(leaves[*at])).collect();
        if places.is_empty() {
            return Ok(());
        }
        let asked: Arc<Vec<Leaf>> = Arc::new(places.iter().map(|at| leaves[*at].clone()).collect());
        let fields: Arc<Vec<String>> = Arc::new(condition.reads().fields.into_iter().collect());
        let (workspace, now) = (Arc::clone(&self.workspace), self.now);
        let (leaf_count, field_names) = (places.len(), Arc::clone(&fields));
        let found = self
            .in_pieces(move |store, contacts| {
                let (asked, fields, workspace) =
                    (Arc::clone(&asked), Arc::clone(&fields), Arc::clone(&workspace));
                async move {
                    let init = ProfileAnswers::new(asked.len(), fields.len());
                    let fold = move |answers: &mut ProfileAnswers, contact: &Contact, totals: &Totals| {
                        let profile = Profile { contact, totals, fields: &workspace.schema.fields };
                        answers.ask(&asked, &fields, &profile, now, &workspace.zone);
                    };
                    store.fold_profiles(contacts, init, fold).await
                }
            })
            .await?;
        let mut answers = vec![RoaringTreemap::new(); leaf_count];
        for piece in found {
            for (set, ids) in answers.iter_mut().zip(piece.members) {
                append(set, ids)?;
            }
            self.near.extend(piece.near);
            for (name, count) in field_names.iter().zip(piece.without_value) {
                *self.without_value.entry(name.clone()).or_default() += count;
            }
        }
        for (at, set) in places.into_iter().zip(answers) {
            sets[at] = Some(set);
        }
        Ok(())
    }

    async fn rfm_groups(&mut self, rfm: &RfmCondition) -> Result<RoaringTreemap> {
        let everywhere = self.workspace.schema.rfm.get(&rfm.model).cloned().unwrap_or_default();
        if !rfm.groups.iter().any(|group| group == "none") {
            return self.store.contacts_in_groups(rfm.model.clone(), rfm.groups.clone()).await;
        }
        // Who was never placed is in no group either: everybody but those in the groups that are not asked for.
        let others = everywhere.into_iter().filter(|group| !rfm.groups.contains(group)).collect();
        let others = self.store.contacts_in_groups(rfm.model.clone(), others).await?;
        Ok(&*self.everybody().await? - &others)
    }

    /// Questions about scores: placement by placement.
    async fn rfm_scores(&mut self, leaf: &Leaf) -> Result<RoaringTreemap> {
        let everybody = self.everybody().await?;
        let ids: Vec<ContactId> = everybody.iter().map(|id| ContactId(id.cast_signed())).collect();
        let mut members = RoaringTreemap::new();
        for batch in ids.chunks(BATCH * 8) {
            let placements = self.store.load_placements(batch.to_vec()).await?;
            for (contact, placements) in batch.iter().zip(placements) {
                let facts = Placed(placements);
                let (member, next) = leaf_at(leaf, &facts, self.now, &self.workspace.zone);
                if member {
                    members.insert(contact.0.cast_unsigned());
                }
                if next.is_some_and(|at| at.since(self.now) <= FLIPS_AHEAD) {
                    self.near.insert(contact.0.cast_unsigned());
                }
            }
        }
        Ok(members)
    }

    async fn carts(&mut self, leaf: &Leaf, cart: &CartCondition) -> Result<RoaringTreemap> {
        let catalogue = self.catalogue(cart.product.is_some()).await?;
        let (now, zone) = (self.now, self.workspace.zone.clone());
        let none = Carts { carts: Vec::new(), catalogue: Arc::clone(&catalogue) };
        let of_nothing = leaf_at(leaf, &none, now, &zone).0;
        let (leaf, bought) = (Arc::new(leaf.clone()), cart.may_be_purchased());
        let found = self
            .in_pieces(move |store, contacts| {
                let (leaf, catalogue, zone) = (Arc::clone(&leaf), Arc::clone(&catalogue), zone.clone());
                async move {
                    let add = |carts: &mut BTreeMap<ContactId, Vec<Cart>>, cart: &Cart| {
                        carts.entry(cart.contact).or_default().push(cart.clone());
                    };
                    let mut carts = store.fold_open_carts(contacts.clone(), BTreeMap::new(), add).await?;
                    if bought {
                        let add = |carts: &mut BTreeMap<ContactId, Vec<Cart>>, order: &model::Order| {
                            if let Some(contact) = order.contact.filter(|_| order.counts()) {
                                carts
                                    .entry(contact)
                                    .or_default()
                                    .push(cart_of_order(contact, &net(order.clone())));
                            }
                        };
                        let always = (Timestamp::MIN, Timestamp::MAX);
                        carts = store.fold_orders(contacts, always.0, always.1, carts, add).await?;
                    }
                    let mut found = Found::default();
                    for (contact, carts) in carts {
                        let facts = Carts { carts, catalogue: Arc::clone(&catalogue) };
                        let (member, next) = leaf_at(&leaf, &facts, now, &zone);
                        if member != of_nothing {
                            found.exceptions.push(contact.0.cast_unsigned());
                        }
                        if next.is_some_and(|at| at.since(now) <= FLIPS_AHEAD) {
                            found.near.push(contact.0.cast_unsigned());
                        }
                    }
                    Ok(found)
                }
            })
            .await?;
        let mut exceptions = RoaringTreemap::new();
        for found in found {
            append(&mut exceptions, found.exceptions)?;
            self.near.extend(found.near);
        }
        self.set(of_nothing, exceptions).await
    }

    /// Runs a scan over pieces of the contacts, as many at once as there are processors; answers in their order.
    async fn in_pieces<T, F, R>(&self, scan: F) -> Result<Vec<T>>
    where
        T: Send + 'static,
        F: Fn(S, RangeInclusive<i64>) -> R,
        R: Future<Output = Result<T>> + Send + 'static,
    {
        let step = (self.last.0 / PIECES + 1).max(BATCH as i64);
        let ranges: Vec<RangeInclusive<i64>> = (0..PIECES)
            .map(|n| (1 + n * step)..=((n + 1) * step).min(self.last.0))
            .filter(|range| !range.is_empty())
            .collect();
        self.progress.expect(ranges.len());
        let slots = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let permits = Arc::new(tokio::sync::Semaphore::new(slots));
        let mut tasks = Vec::with_capacity(ranges.len());
        for range in ranges {
            let (work, permits, progress) =
                (scan(self.store.clone(), range), Arc::clone(&permits), self.progress.clone());
            tasks.push(tokio::spawn(async move {
                let _permit = permits.acquire_owned().await.map_err(broken)?;
                let answer = work.await;
                progress.one();
                answer
            }));
        }
        let mut answers = Vec::with_capacity(tasks.len());
        for task in tasks {
            answers.push(task.await.map_err(broken)??);
        }
        Ok(answers)
    }
}

fn broken(error: impl std::fmt::Display) -> StoreError {
    StoreError::Driver(format!("a scan has failed: {error}"))
}

/// Appends ids that are greater than those in the set.
fn append(set: &mut RoaringTreemap, ids: Vec<u64>) -> Result<()> {
    set.append(ids).map(drop).map_err(broken)
}

/// What an activity adds up, where the orders' own row tells it without the lines.
#[derive(Clone, Copy)]
enum Marked {
    Nothing,
    Net,
    Gross,
    Refunded,
}

impl Marked {
    fn of(activity: &Activity) -> Option<Self> {
        debug_assert_eq!(activity.kind, kind::ORDER_COMPLETED);
        if activity.filter.is_some() {
            return None;
        }
        match activity.measure.figure() {
            None => Some(Self::Nothing),
            Some(Figure::Order(OrderProperty::Total)) => Some(Self::Net),
            Some(Figure::Order(OrderProperty::GrossTotal)) => Some(Self::Gross),
            Some(Figure::Order(OrderProperty::Refunded)) => Some(Self::Refunded),
            Some(_) => None,
        }
    }

    fn entry(self, mark: &OrderMark) -> Entry {
        let OrderNo(order) = mark.no;
        let figure = match self {
            Self::Nothing => 0,
            Self::Net => mark.total - mark.refunded,
            Self::Gross => mark.total,
            Self::Refunded => mark.refunded,
        };
        Entry { at: mark.at, order, figure: i128::from(figure) }
    }
}

/// Answers to the questions about profiles, for a piece of the contacts.
struct ProfileAnswers {
    members: Vec<Vec<u64>>,
    near: Vec<u64>,
    without_value: Vec<u64>,
}

impl ProfileAnswers {
    fn new(leaves: usize, fields: usize) -> Self {
        Self { members: vec![Vec::new(); leaves], near: Vec::new(), without_value: vec![0; fields] }
    }

    fn ask(
        &mut self,
        leaves: &[Leaf],
        fields: &[String],
        profile: &Profile<'_>,
        now: Timestamp,
        zone: &model::Zone,
    ) {
        let id = profile.contact.id.0.cast_unsigned();
        let mut near = false;
        for (leaf, members) in leaves.iter().zip(&mut self.members) {
            let (member, next) = leaf_at(leaf, profile, now, zone);
            if member {
                members.push(id);
            }
            near |= next.is_some_and(|at| at.since(now) <= FLIPS_AHEAD);
        }
        if near {
            self.near.push(id);
        }
        for (name, count) in fields.iter().zip(&mut self.without_value) {
            if profile.field(name).is_none_or(|value| segment::test::is_empty(&value)) {
                *count += 1;
            }
        }
    }
}

/// A contact of whom only the placements are known.
struct Placed(Vec<model::RfmPlacement>);

impl segment::Facts for Placed {
    fn field(&self, _: &str) -> Option<model::Value> {
        None
    }
    fn rfm(&self, model: &str) -> Option<model::RfmPlacement> {
        self.0.iter().find(|placement| placement.model == model).cloned()
    }
}

/// A contact of whom only the carts are known.
struct Carts {
    carts: Vec<Cart>,
    catalogue: Arc<Catalogue>,
}

impl segment::Facts for Carts {
    fn field(&self, _: &str) -> Option<model::Value> {
        None
    }
    fn carts(&self) -> &[Cart] {
        &self.carts
    }
    fn products(&self) -> &dyn segment::Products {
        &*self.catalogue
    }
}
