//! Answers conditions about contacts' histories for a batch: one load for each kind of event, one for orders, carts and
//! placements, for all that is asked; then pure evaluation.
//!
//! A journey asks about *now*, and what is committed has happened: unlike in a segment's window, an order or event whose
//! time is this very instant counts, and one whose sender's clock runs a little ahead too ([`CLOCKS_APART`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use journey::{Found, Person};
use model::{
    Cart, Contact, ContactId, Event, Order, Product, ProductId, RfmPlacement, Timestamp, Totals, Value, Zone,
};
use recommend::Catalogue;
use segment::{
    Activity, Condition, Data, Entries, Facts, Leaf, Products, RefPath, SegmentFile, activity::Tally,
};
use storage::{Result, Storage};

use crate::segments::{
    Workspace,
    contacts::{cart_of_order, net},
    facts::Profile,
};

/// How far a sender's clock may run ahead of ours, in microseconds: what bears such a time has happened.
pub const CLOCKS_APART: i64 = 5 * Timestamp::MINUTE;

/// Fields of a contact that come from its orders.
pub(crate) const FROM_ORDERS: [&str; 5] =
    ["first_order_at", "last_order_at", "order_count", "order_total", "average_order"];

/// A question about one contact.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// What must hold.
    pub condition: &'a Condition,
    /// Of whom.
    pub contact: ContactId,
    /// The contact as its run sees it: what the run wrote goes before what is stored. None: as it is stored.
    pub person: Option<&'a Person>,
    /// Answers references, of the token that asks.
    pub data: &'a (dyn Data + Sync),
}

/// Whether each condition holds of its contact at `now`, in the order of the questions. A contact that does not exist
/// satisfies none.
///
/// # Errors
/// What storage says.
pub async fn answer<S: Storage>(
    store: &S,
    workspace: &Workspace,
    catalogue: &Catalogue,
    asks: &[Ask<'_>],
    now: Timestamp,
) -> Result<Vec<bool>> {
    let known = Known::load(store, workspace, asks, now).await?;
    Ok(asks.iter().map(|ask| known.holds(workspace, catalogue, ask, now)).collect())
}

/// The last order or event that the one activity of each condition counts, in the order of the questions: for
/// [`journey::Need::Found`].
///
/// # Errors
/// What storage says.
pub async fn find<S: Storage>(
    store: &S,
    workspace: &Workspace,
    catalogue: &Catalogue,
    asks: &[Ask<'_>],
    now: Timestamp,
) -> Result<Vec<Option<Found>>> {
    let known = Known::load(store, workspace, asks, now).await?;
    Ok(asks.iter().map(|ask| known.found(workspace, catalogue, ask, now)).collect())
}

/// What the questions of a batch read.
#[derive(Default)]
struct Wanted {
    /// By kind of event: of whom, and since when.
    events: BTreeMap<String, Span>,
    orders: Span,
    carts: BTreeSet<ContactId>,
    totals: BTreeSet<ContactId>,
    placements: BTreeSet<ContactId>,
    contacts: BTreeSet<ContactId>,
}

/// Of whom, and since when.
struct Span {
    contacts: BTreeSet<ContactId>,
    since: Timestamp,
}

impl Default for Span {
    fn default() -> Self {
        Self { contacts: BTreeSet::new(), since: Timestamp::MAX }
    }
}

impl Span {
    fn add(&mut self, contact: ContactId, since: Timestamp) {
        self.contacts.insert(contact);
        self.since = self.since.min(since);
    }

    fn ids(&self) -> Vec<ContactId> {
        self.contacts.iter().copied().collect()
    }
}

impl Wanted {
    fn of(workspace: &Workspace, asks: &[Ask<'_>], now: Timestamp) -> Self {
        let mut wanted = Self::default();
        for ask in asks {
            if ask.person.is_none() {
                wanted.contacts.insert(ask.contact);
            }
            let mut seen = BTreeSet::new();
            let mut open = vec![ask.condition];
            while let Some(condition) = open.pop() {
                for leaf in condition.leaves() {
                    wanted.add(leaf, ask, &workspace.zone, now);
                    if let Leaf::Segment(slug) = leaf
                        && let Some(file) = workspace.segments.get(slug)
                        && seen.insert(slug)
                    {
                        open.push(&file.condition);
                    }
                }
                let refs = condition.refs();
                let of_contact = refs.iter().filter_map(|(path, _)| match path.parts() {
                    [root, name] if root == "contact" => Some(name.as_str()),
                    _ => None,
                });
                if of_contact.into_iter().any(|name| FROM_ORDERS.contains(&name)) {
                    wanted.totals.insert(ask.contact);
                }
            }
        }
        wanted
    }

    fn add(&mut self, leaf: &Leaf, ask: &Ask<'_>, zone: &Zone, now: Timestamp) {
        match leaf {
            Leaf::Field { name, .. } if FROM_ORDERS.contains(&name.as_str()) => {
                self.totals.insert(ask.contact);
            }
            Leaf::Rfm(_) => {
                self.placements.insert(ask.contact);
            }
            Leaf::Activity(activity) => {
                let (since, _) = activity.window.resolved(ask.data, zone).bounds(now, zone);
                if activity.is_about_orders() {
                    self.orders.add(ask.contact, since);
                } else {
                    self.events.entry(activity.kind.clone()).or_default().add(ask.contact, since);
                }
            }
            Leaf::Cart(cart) => {
                self.carts.insert(ask.contact);
                if cart.may_be_purchased() {
                    self.orders.add(ask.contact, Timestamp::MIN);
                }
            }
            _ => {}
        }
    }
}

/// What was loaded. Lists are by contact, then by time; lines of orders are net.
#[derive(Default)]
pub(crate) struct Known {
    pub contacts: BTreeMap<ContactId, Contact>,
    pub totals: BTreeMap<ContactId, Totals>,
    pub placements: BTreeMap<ContactId, Vec<RfmPlacement>>,
    /// By kind.
    pub events: BTreeMap<String, Vec<Event>>,
    pub orders: Vec<Order>,
    pub open_carts: Vec<Cart>,
}

impl Known {
    async fn load<S: Storage>(
        store: &S,
        workspace: &Workspace,
        asks: &[Ask<'_>],
        now: Timestamp,
    ) -> Result<Self> {
        let wanted = Wanted::of(workspace, asks, now);
        let until = now.plus(CLOCKS_APART + 1);
        let ids = |set: &BTreeSet<ContactId>| set.iter().copied().collect::<Vec<_>>();
        let mut known = Self::default();
        if !wanted.contacts.is_empty() {
            let contacts = store.load_contacts(ids(&wanted.contacts)).await?;
            known.contacts = contacts.into_iter().map(|contact| (contact.id, contact)).collect();
        }
        if !wanted.totals.is_empty() {
            let totals = store.load_totals(ids(&wanted.totals)).await?;
            known.totals = wanted.totals.iter().copied().zip(totals).collect();
        }
        if !wanted.placements.is_empty() {
            let placements = store.load_placements(ids(&wanted.placements)).await?;
            known.placements = wanted.placements.iter().copied().zip(placements).collect();
        }
        for (kind, span) in wanted.events {
            let events = store.load_events(span.ids(), vec![kind.clone()], span.since, until).await?;
            known.events.insert(kind, events);
        }
        if !wanted.orders.contacts.is_empty() {
            let orders = store.load_orders(wanted.orders.ids(), wanted.orders.since, until).await?;
            known.orders = orders.into_iter().map(net).collect();
        }
        if !wanted.carts.is_empty() {
            known.open_carts = store.load_open_carts(ids(&wanted.carts)).await?;
        }
        Ok(known)
    }

    /// Whether a condition holds.
    pub fn holds(&self, workspace: &Workspace, catalogue: &Catalogue, ask: &Ask<'_>, now: Timestamp) -> bool {
        self.about(workspace, catalogue, ask, now)
            .is_some_and(|about| segment::evaluate::is_member(ask.condition, &about, now, &workspace.zone))
    }

    /// The last that the one activity of a condition counts.
    pub fn found(
        &self,
        workspace: &Workspace,
        catalogue: &Catalogue,
        ask: &Ask<'_>,
        now: Timestamp,
    ) -> Option<Found> {
        let about = self.about(workspace, catalogue, ask, now)?;
        about.last(ask.condition.activities().first()?)
    }

    /// What is known of the contact of a question; none when it does not exist.
    fn about<'a>(
        &'a self,
        workspace: &'a Workspace,
        catalogue: &'a Catalogue,
        ask: &Ask<'a>,
        now: Timestamp,
    ) -> Option<About<'a>> {
        static NO_TOTALS: Totals = Totals { first_order_at: None, last_order_at: None, orders: 0, spent: 0 };
        let contact = ask.person.map(|person| &person.contact).or_else(|| self.contacts.get(&ask.contact))?;
        let totals = self.totals.get(&ask.contact).or_else(|| ask.person.map(|person| &person.totals));
        Some(About {
            profile: Profile {
                contact,
                totals: totals.unwrap_or(&NO_TOTALS),
                fields: &workspace.schema.fields,
            },
            person: ask.person,
            placements: self.placements.get(&ask.contact).map_or(&[], Vec::as_slice),
            known: self,
            carts: self.carts_of(ask, now),
            shelf: Shelf(catalogue),
            segments: &workspace.segments,
            zone: &workspace.zone,
            data: ask.data,
            now,
        })
    }

    fn events_of(&self, kind: &str, id: ContactId) -> &[Event] {
        let events = self.events.get(kind).map_or(&[][..], Vec::as_slice);
        own(events, id, |event| event.contact)
    }

    fn orders_of(&self, id: ContactId) -> &[Order] {
        own(&self.orders, id, |order| order.contact.unwrap_or_default())
    }

    /// The contact's carts; what its sender's clock puts a little ahead is as of now.
    fn carts_of(&self, ask: &Ask<'_>, now: Timestamp) -> Vec<Cart> {
        if !ask.condition.reads().carts && ask.condition.reads().segments.is_empty() {
            return Vec::new();
        }
        let id = ask.contact;
        let open = own(&self.open_carts, id, |cart| cart.contact).iter().cloned();
        let bought = self.orders_of(id).iter().filter(|order| order.counts());
        open.chain(bought.map(|order| cart_of_order(id, order)))
            .filter(|cart| cart.updated_at.since(now) <= CLOCKS_APART)
            .map(|cart| Cart { updated_at: cart.updated_at.min(now), ..cart })
            .collect()
    }
}

/// The part of a list that is one contact's.
fn own<T>(list: &[T], id: ContactId, whose: impl Fn(&T) -> ContactId) -> &[T] {
    let first = list.partition_point(|one| whose(one) < id);
    let count = list[first..].partition_point(|one| whose(one) == id);
    &list[first..first + count]
}

/// What is known of one contact.
struct About<'a> {
    profile: Profile<'a>,
    person: Option<&'a Person>,
    placements: &'a [RfmPlacement],
    known: &'a Known,
    carts: Vec<Cart>,
    shelf: Shelf<'a>,
    segments: &'a BTreeMap<String, Arc<SegmentFile>>,
    zone: &'a Zone,
    data: &'a (dyn Data + Sync),
    now: Timestamp,
}

impl About<'_> {
    /// What lies inside an activity's window now, from the first instant (included) to the second (excluded).
    fn inside(&self, activity: &Activity) -> (Timestamp, Timestamp) {
        activity.window.resolved(self, self.zone).bounds_now(self.now, CLOCKS_APART, self.zone)
    }

    /// The last that an activity counts.
    fn last(&self, activity: &Activity) -> Option<Found> {
        let id = self.profile.contact.id;
        let (since, until) = self.inside(activity);
        let inside =
            |entry: Option<segment::Entry>| entry.is_some_and(|one| one.at >= since && one.at < until);
        if activity.is_about_orders() {
            let mut orders = self.known.orders_of(id).iter().rev();
            return orders
                .find(|order| inside(activity.entry_of_order_with(order, &self.shelf, self, self.zone)))
                .map(|order| Found::Order(Arc::new(order.clone())));
        }
        let mut events = self.known.events_of(&activity.kind, id).iter().rev();
        events
            .find(|event| inside(activity.entry_of_event_with(event, &self.shelf, self, self.zone)))
            .map(|event| Found::Event(Arc::new(event.clone())))
    }
}

impl Facts for About<'_> {
    fn field(&self, name: &str) -> Option<Value> {
        self.profile.field(name)
    }
    fn consent(&self, purpose: &str) -> model::ConsentState {
        self.profile.consent(purpose)
    }
    fn in_list(&self, slug: &str) -> bool {
        self.profile.in_list(slug)
    }
    fn segment(&self, slug: &str) -> Option<&Condition> {
        self.segments.get(slug).map(|file| &file.condition)
    }
    fn rfm(&self, model: &str) -> Option<RfmPlacement> {
        let of = |list: &[RfmPlacement]| list.iter().find(|one| one.model == model).cloned();
        self.person.and_then(|person| of(&person.rfm)).or_else(|| of(self.placements))
    }
    fn entries(&self, activity: &Activity) -> Entries<'_> {
        let id = self.profile.contact.id;
        let (since, until) = self.inside(activity);
        let mut settled = Tally::default();
        let mut add = |entry: Option<segment::Entry>| {
            if let Some(entry) = entry.filter(|entry| entry.at >= since && entry.at < until) {
                settled.add(&entry);
            }
        };
        if activity.is_about_orders() {
            for order in self.known.orders_of(id) {
                add(activity.entry_of_order_with(order, &self.shelf, self, self.zone));
            }
        } else {
            for event in self.known.events_of(&activity.kind, id) {
                add(activity.entry_of_event_with(event, &self.shelf, self, self.zone));
            }
        }
        Entries { settled, recent: (&[]).into() }
    }
    fn carts(&self) -> &[Cart] {
        &self.carts
    }
    fn products(&self) -> &dyn Products {
        &self.shelf
    }
    fn data(&self) -> &dyn Data {
        self
    }
}

/// References into the profile are answered by what conditions see of it; all others by whoever asks.
impl Data for About<'_> {
    fn value(&self, path: &RefPath) -> Option<Value> {
        match path.parts() {
            [root, name] if root == "contact" => self.field(name),
            _ => self.data.value(path),
        }
    }
    fn products(&self, path: &RefPath) -> Vec<ProductId> {
        self.data.products(path)
    }
}

struct Shelf<'a>(&'a Catalogue);

impl Products for Shelf<'_> {
    fn by_id(&self, id: ProductId) -> Option<&Product> {
        self.0.product(id)
    }
    fn by_external_id(&self, id: &str) -> Option<&Product> {
        self.0.by_external_id(id)
    }
}
