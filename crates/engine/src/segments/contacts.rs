//! Evaluates conditions for a batch of contacts: a handful of queries loads all that the conditions read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{Cart, CartNo, Contact, ContactId, Event, Order, RfmPlacement, Timestamp, Totals};
use rayon::prelude::*;
use segment::{
    Condition, Leaf, Outcome, Reads, State, Tree, evaluate as ask,
    evaluate::{History, stays_no},
};
use storage::{Result, Storage, codec::net_lines, segments::FLIPS_AHEAD};

use super::{
    Workspace,
    facts::{Catalogue, Person, Profile},
};

static NO_TOTALS: Totals = Totals { first_order_at: None, last_order_at: None, orders: 0, spent: 0 };

/// What is kept of histories for one of the conditions.
#[derive(Clone, Copy)]
pub struct Kept<'a> {
    /// For which one: the same value that is evaluated, or that of a segment to which one of them refers.
    pub condition: &'a Condition,
    /// By contact.
    pub states: &'a BTreeMap<ContactId, State>,
}

/// Whether each condition holds of each contact at `now`, and its next flip. Unknown ids are left out.
///
/// # Errors
/// What storage says.
pub async fn evaluate<S: Storage>(
    store: &S,
    workspace: &Workspace,
    conditions: &[&Condition],
    ids: Vec<ContactId>,
    now: Timestamp,
) -> Result<Vec<(ContactId, Vec<Outcome>)>> {
    evaluate_kept(store, workspace, conditions, ids, now, None).await
}

/// As [`evaluate`], with what is kept of histories in place of the histories.
///
/// # Errors
/// What storage says.
pub async fn evaluate_kept<S: Storage>(
    store: &S,
    workspace: &Workspace,
    conditions: &[&Condition],
    ids: Vec<ContactId>,
    now: Timestamp,
    kept: Option<&Kept<'_>>,
) -> Result<Vec<(ContactId, Vec<Outcome>)>> {
    let kept = kept.map_or(&[][..], std::slice::from_ref);
    // Whoever asks for unknown ids learns that they are: the profiles are always loaded.
    let needs = Needs { profile: true, ..Needs::of(workspace, conditions.iter().copied(), kept) };
    let with_profile = ids.iter().copied().collect();
    let loaded = Loaded::load(store, ids, &with_profile, &needs, None, BTreeMap::new()).await?;
    let mut answers = Vec::with_capacity(loaded.contacts.len());
    for contact in &loaded.contacts {
        let person = loaded.person(workspace, contact, kept);
        let outcomes =
            conditions.iter().map(|condition| ask(condition, &person, now, &workspace.zone)).collect();
        answers.push((contact.id, outcomes));
    }
    Ok(answers)
}

/// A condition, and of whom it is asked (ascending; contacts that exist).
pub struct Question<'a> {
    /// The condition.
    pub condition: &'a Condition,
    /// Of whom.
    pub contacts: &'a [ContactId],
}

/// What is known already when conditions are asked, and is not loaded.
#[derive(Default)]
pub struct Given<'a> {
    /// What is kept of histories, for any of the conditions.
    pub kept: &'a [Kept<'a>],
    /// Where contacts stand that are about to be placed anew.
    pub placements: BTreeMap<ContactId, Vec<RfmPlacement>>,
    /// The catalogue.
    pub catalogue: Option<Arc<Catalogue>>,
}

/// Asks each condition of its own contacts; what they read is loaded once for all of them, and nothing that none of
/// them reads. Answers in the order of the questions and of their contacts. Where what somebody did makes the answer no
/// for longer than [`FLIPS_AHEAD`], the profile is not read, and no next flip is told.
///
/// # Errors
/// What storage says.
pub async fn answer<S: Storage>(
    store: &S,
    workspace: &Workspace,
    questions: &[Question<'_>],
    given: Given<'_>,
    now: Timestamp,
) -> Result<Vec<Vec<Outcome>>> {
    let needs = Needs::of(workspace, questions.iter().map(|question| question.condition), given.kept);
    let (mut open, mut with_profile) = (Vec::new(), BTreeSet::new());
    let mut decided: Vec<BTreeSet<ContactId>> = Vec::with_capacity(questions.len());
    for question in questions {
        // Profiles are large: only those are read that a condition of their own contact asks about.
        let reads =
            needs.profile && Needs::of(workspace, std::iter::once(question.condition), given.kept).profile;
        let known = if reads { declined(workspace, question, &given, now) } else { BTreeSet::new() };
        let left = question.contacts.iter().copied().filter(|id| !known.contains(id));
        open.extend(left.clone());
        if reads {
            with_profile.extend(left);
        }
        decided.push(known);
    }
    let loaded = Loaded::load(store, open, &with_profile, &needs, given.catalogue, given.placements).await?;
    let ask_one = |(question, decided): (&Question<'_>, &BTreeSet<ContactId>)| {
        let outcome = |id: &ContactId| {
            if decided.contains(id) {
                return Outcome::default();
            }
            let place = loaded.contacts.binary_search_by_key(id, |contact| contact.id);
            let contact = place.ok().and_then(|place| loaded.contacts.get(place));
            let Some(contact) = contact else { return Outcome::default() };
            let person = loaded.person(workspace, contact, given.kept);
            ask(question.condition, &person, now, &workspace.zone)
        };
        map_all(question.contacts, outcome)
    };
    Ok(questions.iter().zip(&decided).map(ask_one).collect())
}

/// Contacts from which it is worth to ask on several threads.
const PARALLEL_FROM: usize = 256;

/// What is answered of each, in their order.
fn map_all<T: Send>(ids: &[ContactId], of: impl Fn(&ContactId) -> T + Send + Sync) -> Vec<T> {
    if ids.len() < PARALLEL_FROM { ids.iter().map(of).collect() } else { ids.par_iter().map(of).collect() }
}

/// The contacts for whom one thing that all must hold does not, by what is kept of their histories alone, and will not
/// within [`FLIPS_AHEAD`].
fn declined(
    workspace: &Workspace,
    question: &Question<'_>,
    given: &Given<'_>,
    now: Timestamp,
) -> BTreeSet<ContactId> {
    let kept = given.kept.iter().find(|kept| std::ptr::eq(kept.condition, question.condition));
    let (Some(kept), Tree::All(parts)) = (kept, question.condition.root()) else { return BTreeSet::new() };
    // What is compared with the profile is not known without it.
    if !question.condition.refs().is_empty() {
        return BTreeSet::new();
    }
    let activities: Vec<&Leaf> = parts
        .iter()
        .filter_map(|part| match part {
            Tree::Leaf(leaf @ Leaf::Activity(_)) => Some(leaf),
            _ => None,
        })
        .collect();
    let catalogue = given.catalogue.clone().unwrap_or_default();
    let is_declined = |id: &ContactId| {
        let contact = Contact { id: *id, ..Contact::default() };
        let person = Person {
            profile: Profile { contact: &contact, totals: &NO_TOTALS, fields: &workspace.schema.fields },
            placements: &[],
            history: History { events: &[], orders: &[] },
            carts: &[],
            catalogue: &catalogue,
            segments: &workspace.segments,
            zone: &workspace.zone,
            kept: std::slice::from_ref(kept),
        };
        let until = now.plus(FLIPS_AHEAD);
        activities.iter().any(|leaf| stays_no(leaf, &person, now, until, &workspace.zone))
    };
    let is_declined = |id: &ContactId| kept.states.contains_key(id) && is_declined(id);
    map_all(question.contacts, |id| is_declined(id).then_some(*id)).into_iter().flatten().collect()
}

/// What is to be kept of these contacts' histories for a condition, from the stored history.
///
/// # Errors
/// What storage says.
pub async fn states_from_history<S: Storage>(
    store: &S,
    workspace: &Workspace,
    condition: &Condition,
    ids: Vec<ContactId>,
    now: Timestamp,
    catalogue: &Catalogue,
) -> Result<BTreeMap<ContactId, State>> {
    let kinds: BTreeSet<String> =
        condition.activities().iter().map(|activity| activity.kind.clone()).collect();
    let needs = Needs { kinds, ..Needs::default() };
    let histories = Histories::load(store, &ids, &needs).await?;
    let zone = &workspace.zone;
    let state = |id: ContactId| {
        let (events, orders) = histories.of(id);
        State::build(condition, |activity| activity.entries(events, orders, catalogue, zone), now, zone)
    };
    Ok(ids.into_iter().map(|id| (id, state(id))).collect())
}

/// As [`states_from_history`] for several conditions, each of its own contacts, with one load of the history. Beside each
/// answer stands the number of the last input that the history may have held.
///
/// # Errors
/// What storage says.
pub(crate) async fn states_of_many<S: Storage>(
    store: &S,
    workspace: &Workspace,
    asked: &[(&Condition, &BTreeSet<ContactId>)],
    now: Timestamp,
    catalogue: &Catalogue,
) -> Result<Vec<(BTreeMap<ContactId, State>, i64)>> {
    let kinds: BTreeSet<String> = asked
        .iter()
        .flat_map(|(condition, _)| condition.activities())
        .map(|activity| activity.kind.clone())
        .collect();
    let everybody: BTreeSet<ContactId> =
        asked.iter().flat_map(|(_, contacts)| contacts.iter().copied()).collect();
    let ids: Vec<ContactId> = everybody.into_iter().collect();
    let needs = Needs { kinds, ..Needs::default() };
    let histories = Histories::load(store, &ids, &needs).await?;
    let zone = &workspace.zone;
    let build = |condition: &Condition, id: ContactId| {
        let (events, orders) = histories.of(id);
        State::build(condition, |activity| activity.entries(events, orders, catalogue, zone), now, zone)
    };
    let states = asked.iter().map(|(condition, contacts)| {
        let states = contacts.iter().map(|id| (*id, build(condition, *id))).collect();
        (states, histories.until)
    });
    Ok(states.collect())
}

/// What the conditions read, those of segments that they refer to included.
#[derive(Default)]
struct Needs {
    kinds: BTreeSet<String>,
    profile: bool,
    totals: bool,
    rfm: bool,
    open_carts: bool,
    products: bool,
}

/// Fields that are made from orders.
pub(crate) const FIELDS_OF_ORDERS: [&str; 5] =
    ["first_order_at", "last_order_at", "order_count", "order_total", "average_order"];

impl Needs {
    fn of<'c>(
        workspace: &'c Workspace,
        conditions: impl Iterator<Item = &'c Condition>,
        kept: &[Kept<'_>],
    ) -> Self {
        let mut needs = Self::default();
        let mut seen = BTreeSet::new();
        let mut open: Vec<&Condition> = conditions.collect();
        while let Some(condition) = open.pop() {
            let reads: Reads = condition.reads();
            let is_kept = kept.iter().any(|kept| std::ptr::eq(kept.condition, condition));
            if !is_kept {
                needs.kinds.extend(reads.event_kinds);
            }
            let of_orders = |name: &String| FIELDS_OF_ORDERS.contains(&name.as_str());
            needs.totals |= reads.fields.iter().any(of_orders);
            needs.profile |=
                !reads.fields.iter().all(of_orders) || !reads.purposes.is_empty() || !reads.lists.is_empty();
            needs.rfm |= !reads.rfm_models.is_empty();
            needs.open_carts |= reads.carts;
            needs.products |= reads.products;
            if condition
                .leaves()
                .iter()
                .any(|leaf| matches!(leaf, Leaf::Cart(cart) if cart.may_be_purchased()))
            {
                needs.kinds.insert(model::event::kind::ORDER_COMPLETED.to_owned());
            }
            for slug in reads.segments {
                if let Some(file) = workspace.segments.get(&slug)
                    && seen.insert(slug)
                {
                    open.push(&file.condition);
                }
            }
        }
        needs
    }
}

/// Events and orders of a batch, each by contact, then by time.
struct Histories {
    events: Vec<Event>,
    orders: Vec<Order>,
    /// The last input that may be among them.
    until: i64,
}

impl Histories {
    async fn load<S: Storage>(store: &S, ids: &[ContactId], needs: &Needs) -> Result<Self> {
        let always = (Timestamp::MIN, Timestamp::MAX);
        let mut kinds: Vec<String> = needs.kinds.iter().cloned().collect();
        kinds.retain(|kind| kind != model::event::kind::ORDER_COMPLETED);
        let with_orders = kinds.len() < needs.kinds.len();
        let events = match kinds.is_empty() {
            true => (Vec::new(), 0),
            false => store.load_history(ids.to_vec(), kinds).await?,
        };
        let (events, until) = events;
        let orders = match with_orders {
            true => store.load_orders(ids.to_vec(), always.0, always.1).await?.into_iter().map(net).collect(),
            false => Vec::new(),
        };
        Ok(Self { events, orders, until })
    }

    /// Both lists are by contact, ids ascending.
    fn of(&self, id: ContactId) -> (&[Event], &[Order]) {
        let first = self.events.partition_point(|event| event.contact < id);
        let count = self.events[first..].partition_point(|event| event.contact == id);
        let first_order = self.orders.partition_point(|order| order.contact < Some(id));
        let orders = self.orders[first_order..].partition_point(|order| order.contact == Some(id));
        (&self.events[first..first + count], &self.orders[first_order..first_order + orders])
    }
}

struct Loaded {
    /// Ascending by id; known by nothing but the id where no condition reads the profile of that contact.
    contacts: Vec<Contact>,
    totals: BTreeMap<ContactId, Totals>,
    placements: BTreeMap<ContactId, Vec<RfmPlacement>>,
    histories: Histories,
    carts: BTreeMap<ContactId, Vec<Cart>>,
    catalogue: Arc<Catalogue>,
}

impl Loaded {
    async fn load<S: Storage>(
        store: &S,
        mut ids: Vec<ContactId>,
        with_profile: &BTreeSet<ContactId>,
        needs: &Needs,
        catalogue: Option<Arc<Catalogue>>,
        placed: BTreeMap<ContactId, Vec<RfmPlacement>>,
    ) -> Result<Self> {
        ids.sort_unstable();
        ids.dedup();
        let mut contacts = match with_profile.is_empty() {
            false => store.load_contacts(with_profile.iter().copied().collect()).await?,
            true => Vec::new(),
        };
        let without = ids.iter().filter(|id| !with_profile.contains(id));
        contacts.extend(without.map(|id| Contact { id: *id, ..Contact::default() }));
        contacts.sort_unstable_by_key(|contact| contact.id);
        let totals = match needs.totals {
            true => store.load_totals(ids.clone()).await?,
            false => Vec::new(),
        };
        let mut placements: BTreeMap<ContactId, Vec<RfmPlacement>> = match needs.rfm {
            true => ids.iter().copied().zip(store.load_placements(ids.clone()).await?).collect(),
            false => BTreeMap::new(),
        };
        placements.extend(placed);
        let histories = Histories::load(store, &ids, needs).await?;
        let mut carts: BTreeMap<ContactId, Vec<Cart>> = BTreeMap::new();
        if needs.open_carts {
            for cart in store.load_open_carts(ids.clone()).await? {
                carts.entry(cart.contact).or_default().push(cart);
            }
            for order in histories.orders.iter().filter(|order| order.counts()) {
                if let Some(contact) = order.contact {
                    carts.entry(contact).or_default().push(cart_of_order(contact, order));
                }
            }
        }
        let catalogue = match (needs.products, catalogue) {
            (_, Some(catalogue)) => catalogue,
            (true, None) => Arc::new(Catalogue::load(store).await?),
            (false, None) => Arc::default(),
        };
        Ok(Self {
            contacts,
            totals: ids.iter().copied().zip(totals).collect(),
            placements,
            histories,
            carts,
            catalogue,
        })
    }

    fn person<'a>(
        &'a self,
        workspace: &'a Workspace,
        contact: &'a Contact,
        kept: &'a [Kept<'a>],
    ) -> Person<'a> {
        let (events, orders) = self.histories.of(contact.id);
        Person {
            profile: Profile {
                contact,
                totals: self.totals.get(&contact.id).unwrap_or(&NO_TOTALS),
                fields: &workspace.schema.fields,
            },
            placements: self.placements.get(&contact.id).map_or(&[], Vec::as_slice),
            history: History { events, orders },
            carts: self.carts.get(&contact.id).map_or(&[], Vec::as_slice),
            catalogue: &self.catalogue,
            segments: &workspace.segments,
            zone: &workspace.zone,
            kept,
        }
    }
}

/// The order with what is left of its lines: conditions count what was kept, not what was sent back.
pub(crate) fn net(mut order: Order) -> Order {
    order.lines = net_lines(order.lines);
    order
}

/// The bought cart that an order is; its lines are net already.
pub(crate) fn cart_of_order(contact: ContactId, order: &Order) -> Cart {
    Cart {
        no: CartNo(order.no.0),
        external_id: order.cart_id.clone(),
        contact,
        updated_at: order.at,
        total: order.net(),
        currency: order.currency,
        purchased: true,
        recovery_url: None,
        lines: order.lines.clone(),
    }
}
