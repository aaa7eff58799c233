//! What all simulated contacts share: the draft as if it had been published, and what is to be loaded of each contact.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use journey::{
    document::{Source, Who},
    entry::{Listener, On},
};
use model::{CouponSet, Event, Slug, Timestamp, event::kind};
use segment::{Condition, Leaf, SegmentFile};
use serde_json::json;
use storage::{
    Result, Storage,
    live::{Life, LifeRecord},
    settings::DefinitionKind,
};

use super::{Options, rehearse};
use crate::{
    live::{
        Book, Ground, LiveJourney, book, conditions::FROM_ORDERS, coupons, schedules, step::Cares, timers,
        work,
    },
    rules::Rules,
    segments::{self, Catalogue},
};

/// The run's number in a simulation: none of the base.
pub(super) const RUN: i64 = 0;

/// What all contacts share.
pub(crate) struct Stage {
    /// Rules and catalogue.
    pub ground: Ground,
    /// The draft at work.
    pub live: Arc<LiveJourney>,
    /// Segments whose moves the draft hears of, or that its listeners and its audience ask for.
    pub watched: Vec<Arc<SegmentFile>>,
    /// The catalogue, for conditions of segments.
    pub products: Catalogue,
    /// Terms of the coupon sets, the draft's own first.
    pub terms: HashMap<Slug, CouponSet>,
    /// What was asked.
    pub options: Options,
    /// Recurring starts: (place of the trigger, instants).
    pub starts: Vec<(usize, Vec<Timestamp>)>,
    /// Kinds of events that are loaded.
    pub kinds: BTreeSet<String>,
    /// Kinds of events of which one at least must have happened for a contact to enter; none: anybody may.
    pub openers: Option<BTreeSet<String>>,
    /// What else is loaded.
    pub loads: Loads,
    /// What cannot be known of the past, as code and sentence.
    pub notes: Vec<(&'static str, String)>,
}

/// What is loaded beside profiles and events.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loads {
    pub orders: bool,
    pub carts: bool,
    pub rfm: bool,
}

impl Stage {
    /// Sets the stage.
    ///
    /// # Errors
    /// What storage says; a stored setting or definition that cannot be read.
    pub async fn set<S: Storage>(store: &S, mut rules: Rules, options: Options) -> Result<Self> {
        let mut notes = Vec::new();
        if rules.journey.starts_at.take().is_some() | rules.journey.ends_at.take().is_some() {
            notes.push(("window", "starts_at and ends_at of the draft are left aside".to_owned()));
        }
        if options.entry.is_some() {
            rehearse::open(&mut rules.journey);
        }
        let workspace = Arc::new(workspace(store, &rules).await?);
        let terms = terms(store, &rules).await?;
        let sending = work::sending(store).await?;
        let (defaults, zone) = (rules.defaults(), rules.zone.clone());
        let live = Arc::new(LiveJourney::new(record(&rules, &options), Arc::new(rules), true));
        let book = Book {
            kinds: book::kinds(&live.rules.journey),
            journeys: vec![Arc::clone(&live)],
            ..Book::default()
        };
        // Sales figures of the future would tell what will sell.
        let shelf = Arc::new(work::shelf(store, &book, options.from).await?);
        let ground = Ground {
            book: Arc::new(book),
            workspace,
            shelf,
            defaults: Arc::new(defaults),
            sending: Arc::new(sending),
            zone,
        };
        let mut stage = Self {
            watched: Vec::new(),
            products: Catalogue::default(),
            terms,
            starts: starts(&live, &options),
            kinds: BTreeSet::new(),
            openers: None,
            loads: Loads::default(),
            notes,
            ground,
            live,
            options,
        };
        stage.plan();
        if stage.watched.iter().any(|file| stage.reads(&file.condition).1) {
            stage.products = Catalogue::load(store).await?;
        }
        Ok(stage)
    }

    /// Whether anything is to be done for an event.
    pub fn cares(&self) -> Cares<'_> {
        Cares::of(&self.ground.book)
    }

    fn listeners(&self) -> impl Iterator<Item = &Listener> {
        let journey = &self.live.rules.journey;
        journey.triggers.iter().chain(&journey.exits).chain(journey.goal.iter().map(|goal| &goal.listener))
    }

    /// What a contact's part needs.
    fn plan(&mut self) {
        let live = Arc::clone(&self.live);
        let journey = &live.rules.journey;
        let mut watched: BTreeSet<String> = journey.segments.iter().map(ToString::to_string).collect();
        if let Who::Segment(slug) = &journey.audience.who {
            watched.insert(slug.clone());
        }
        watched.extend(journey.audience.exclude.iter().map(|(slug, _)| slug.clone()));
        let mut kinds = self.ground.book.kinds.clone();
        let mut loads = Loads::default();
        for listener in self.listeners() {
            match &listener.on {
                On::SegmentEntered(slug) | On::SegmentExited(slug) => {
                    watched.insert(slug.to_string());
                }
                On::RfmChanged { .. } => loads.rfm = true,
                On::CartAbandoned { .. } => loads.carts = true,
                _ => {}
            }
            watched.extend(listener.condition.iter().flat_map(|condition| condition.reads().segments));
        }
        let segments = &self.ground.workspace.segments;
        self.watched = watched.iter().filter_map(|slug| segments.get(slug).cloned()).collect();
        let own = self.listeners().filter_map(|listener| listener.condition.as_ref());
        let asked = own.chain(&journey.conditions).chain(self.watched.iter().map(|file| &file.condition));
        for condition in asked {
            let (read, _) = self.reads(condition);
            kinds.extend(read.kinds);
            loads.orders |= read.loads.orders;
            loads.carts |= read.loads.carts;
            loads.rfm |= read.loads.rfm;
        }
        for node in &journey.nodes {
            match node.kind.word {
                "get_products" => {
                    kinds.insert(kind::PRODUCT_VIEWED.to_owned());
                    (loads.orders, loads.carts) = (true, true);
                }
                "get_last_cart" | "cart_is" => (loads.orders, loads.carts) = (true, true),
                "get_purchase_data" | "has_purchased" => loads.orders = true,
                _ => {}
            }
        }
        loads.orders |= kinds.contains(kind::ORDER_COMPLETED) || journey.reads.totals;
        loads.orders |= loads.carts;
        loads.carts |= kinds.contains(kind::CART_UPDATED);
        loads.rfm |= journey.reads.rfm;
        for engine in
            [kind::SEGMENT_ENTERED, kind::SEGMENT_EXITED, kind::RFM_GROUP_CHANGED, kind::DATE_REACHED]
        {
            kinds.remove(engine);
        }
        self.openers = self.openers();
        (self.kinds, self.loads) = (kinds, loads);
        self.note_limits();
    }

    /// See [`Stage::openers`].
    fn openers(&self) -> Option<BTreeSet<String>> {
        let triggers = &self.live.rules.journey.triggers;
        if triggers.is_empty() || self.options.explain {
            return None;
        }
        let mut openers = BTreeSet::new();
        for trigger in triggers {
            match &trigger.on {
                On::SegmentEntered(_) | On::SegmentExited(_) | On::Date(_) | On::Schedule(_) => return None,
                On::PriceDrop(_) | On::BackInStock(_) | On::LowStock(_) | On::Api => {}
                On::CartAbandoned { .. } => {
                    openers.insert(kind::CART_UPDATED.to_owned());
                }
                On::RfmChanged { .. } | On::Event(_) => {
                    openers.insert(trigger.on.event_kind().to_owned());
                }
            }
            // Segments' moves are no kind of event that is stored, but a contact whom none of these concerns cannot enter.
        }
        Some(openers)
    }

    fn note_limits(&mut self) {
        let live = Arc::clone(&self.live);
        let journey = &live.rules.journey;
        let mut note = |code, text: &str| self.notes.push((code, text.to_owned()));
        note("profile", "profiles, consents and lists are those stored now: their history is not kept");
        note(
            "interactions",
            match (self.options.open_rate > 0.0, self.options.click_rate > 0.0) {
                (false, false) => "nobody opens or clicks a message (see --open-rate, --click-rate)",
                _ => "opens and clicks are thrown with dice",
            },
        );
        if self.loads.carts {
            note(
                "carts",
                "of a cart only its last change is stored: one that was bought later is not seen as left alone",
            );
        }
        if self.loads.rfm {
            note("rfm", "RFM groups follow the stored moves; scores are known only for the group held now");
        }
        for trigger in &journey.triggers {
            match trigger.on {
                On::PriceDrop(_) | On::BackInStock(_) | On::LowStock(_) => {
                    note("trigger", "prices and stocks have no history: triggers on them start nobody here");
                }
                On::Api => note(
                    "trigger",
                    "who asked for the journey by API is not stored: that trigger starts nobody here",
                ),
                _ => {}
            }
        }
        if journey.nodes.iter().any(|node| node.limits.in_total.is_some()) {
            note("limits", "limits over all contacts are not applied: contacts are played one by one");
        }
        if journey.trials().next().is_some() {
            note("ab_test", "A/B tests stay open: no winner is chosen");
        }
        if !journey.coupons.is_empty() {
            note("coupons", "no code is taken and no set runs out");
        }
        if self.loads.orders {
            note(
                "orders",
                "an order that was cancelled or paid back later counts as what is left of it, from the beginning",
            );
        }
    }

    /// What a condition reads, segments that it refers to included; and whether it asks for products.
    fn reads(&self, condition: &Condition) -> (Read, bool) {
        let (mut read, mut products) = (Read::default(), false);
        let mut seen = BTreeSet::new();
        let mut open = vec![condition.clone()];
        while let Some(condition) = open.pop() {
            let reads = condition.reads();
            products |= reads.products;
            read.loads.orders |= reads.event_kinds.contains(kind::ORDER_COMPLETED);
            read.loads.orders |= reads.fields.iter().any(|field| FROM_ORDERS.contains(&field.as_str()));
            read.loads.carts |= reads.carts;
            read.loads.orders |= condition
                .leaves()
                .iter()
                .any(|leaf| matches!(leaf, Leaf::Cart(cart) if cart.may_be_purchased()));
            read.loads.rfm |= !reads.rfm_models.is_empty();
            read.kinds.extend(reads.event_kinds);
            for slug in reads.segments {
                if let Some(file) = self.ground.workspace.segments.get(&slug)
                    && seen.insert(slug)
                {
                    open.push(file.condition.clone());
                }
            }
        }
        (read, products)
    }

    /// The event by which a recurring start reaches everybody.
    pub fn scheduled(&self, place: usize, at: Timestamp) -> Event {
        let slug = &self.live.rules.journey.slug;
        let properties = [(timers::JOURNEY, json!(slug.as_str())), (timers::TRIGGER, json!(place))];
        Event {
            contact: model::ContactId(0),
            at,
            received_at: at,
            kind: kind::SCHEDULED.into(),
            message_id: None,
            properties: properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        }
    }

    /// Whether the audience enters when the journey begins.
    pub fn audience_enters(&self) -> bool {
        let journey = &self.live.rules.journey;
        journey.triggers.is_empty() && journey.audience.source != Source::New
    }

    /// Whether anything rings for carts or dates.
    pub fn has_timers(&self) -> bool {
        !timers::abandoned_after(&self.ground.book).is_empty() || timers::has_dates(&self.ground.book)
    }
}

#[derive(Default)]
struct Read {
    kinds: BTreeSet<String>,
    loads: Loads,
}

/// The draft's life, as if it had been published at the first instant.
fn record(rules: &Rules, options: &Options) -> LifeRecord {
    LifeRecord {
        run: RUN,
        journey: rules.journey.slug.clone(),
        version: 1,
        life: Life::Active,
        since: options.from,
        starts_at: None,
        seed: options.seed,
        pinned: json!({}),
        memo: json!({}),
    }
}

fn starts(live: &LiveJourney, options: &Options) -> Vec<(usize, Vec<Timestamp>)> {
    let mut all = Vec::new();
    for (place, trigger) in live.rules.journey.triggers.iter().enumerate() {
        let On::Schedule(schedule) = &trigger.on else { continue };
        let (mut at, mut instants) = (options.from.plus(-1), Vec::new());
        while let Some(next) = schedules::next(schedule, &live.rules.zone, options.from, at)
            && next < options.to
        {
            instants.push(next);
            at = next;
        }
        all.push((place, instants));
    }
    all
}

/// Segments and fields of the base, with those of the draft's folder.
async fn workspace<S: Storage>(store: &S, rules: &Rules) -> Result<segments::Workspace> {
    let mut workspace = segments::Workspace::load(store).await?;
    for field in &rules.fields {
        workspace.schema.fields.insert(field.slug.to_string(), field.clone());
    }
    if let segment::Known::Only(names) = &mut workspace.schema.segments {
        names.extend(rules.segments.keys().cloned());
    }
    let own = rules.definitions.iter().filter(|definition| definition.kind == DefinitionKind::Segment);
    let mut files = Vec::new();
    for definition in own {
        files.push(SegmentFile::from_json(&definition.content, &workspace.schema).map_err(segments::first)?);
    }
    workspace.zone = rules.zone.clone();
    workspace.with(files).map_err(segments::first)
}

/// Terms of coupon sets: the folder's go before those of the base.
async fn terms<S: Storage>(store: &S, rules: &Rules) -> Result<HashMap<Slug, CouponSet>> {
    let mut terms = coupons::load_terms(store).await?;
    for definition in rules.definitions.iter().filter(|one| one.kind == DefinitionKind::CouponSet) {
        terms.insert(definition.slug.clone(), CouponSet::from_json(&definition.content)?);
    }
    Ok(terms)
}
