//! Evaluates conditions for a batch of contacts: a handful of queries loads all that the conditions read.

use std::collections::{BTreeMap, BTreeSet};

use model::{Cart, CartNo, Contact, ContactId, Event, Order, RfmPlacement, Timestamp, Totals};
use segment::{Condition, Leaf, Outcome, Reads, State, evaluate as ask, evaluate::History};
use storage::{Result, Storage, codec::net_lines};

use super::{
    Workspace,
    facts::{Catalogue, Person, Profile},
};

/// What is kept of histories for one of the conditions.
pub struct Kept<'a> {
    /// For which one: the same value that is evaluated.
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
    let needs = Needs::of(workspace, conditions, kept);
    let loaded = Loaded::load(store, ids, &needs).await?;
    let mut answers = Vec::with_capacity(loaded.contacts.len());
    for contact in &loaded.contacts {
        let person = loaded.person(workspace, contact, kept);
        let outcomes =
            conditions.iter().map(|condition| ask(condition, &person, now, &workspace.zone)).collect();
        answers.push((contact.id, outcomes));
    }
    Ok(answers)
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

/// What the conditions read, those of segments that they refer to included.
#[derive(Default)]
struct Needs {
    kinds: BTreeSet<String>,
    rfm: bool,
    open_carts: bool,
    products: bool,
}

impl Needs {
    fn of(workspace: &Workspace, conditions: &[&Condition], kept: Option<&Kept<'_>>) -> Self {
        let mut needs = Self::default();
        let mut seen = BTreeSet::new();
        let mut open: Vec<&Condition> = conditions.to_vec();
        while let Some(condition) = open.pop() {
            let reads: Reads = condition.reads();
            let is_kept = kept.is_some_and(|kept| std::ptr::eq(kept.condition, condition));
            if !is_kept {
                needs.kinds.extend(reads.event_kinds);
            }
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
}

impl Histories {
    async fn load<S: Storage>(store: &S, ids: &[ContactId], needs: &Needs) -> Result<Self> {
        let always = (Timestamp::MIN, Timestamp::MAX);
        let mut kinds: Vec<String> = needs.kinds.iter().cloned().collect();
        kinds.retain(|kind| kind != model::event::kind::ORDER_COMPLETED);
        let with_orders = kinds.len() < needs.kinds.len();
        let events = match kinds.is_empty() {
            true => Vec::new(),
            false => store.load_events(ids.to_vec(), kinds, always.0, always.1).await?,
        };
        let orders = match with_orders {
            true => store.load_orders(ids.to_vec(), always.0, always.1).await?.into_iter().map(net).collect(),
            false => Vec::new(),
        };
        Ok(Self { events, orders })
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
    contacts: Vec<Contact>,
    totals: BTreeMap<ContactId, Totals>,
    placements: BTreeMap<ContactId, Vec<RfmPlacement>>,
    histories: Histories,
    carts: BTreeMap<ContactId, Vec<Cart>>,
    catalogue: Catalogue,
}

impl Loaded {
    async fn load<S: Storage>(store: &S, mut ids: Vec<ContactId>, needs: &Needs) -> Result<Self> {
        ids.sort_unstable();
        ids.dedup();
        let contacts = store.load_contacts(ids.clone()).await?;
        let totals = store.load_totals(ids.clone()).await?;
        let placements = match needs.rfm {
            true => store.load_placements(ids.clone()).await?,
            false => Vec::new(),
        };
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
        let catalogue = match needs.products {
            true => Catalogue::load(store).await?,
            false => Catalogue::default(),
        };
        Ok(Self {
            contacts,
            totals: ids.iter().copied().zip(totals).collect(),
            placements: ids.iter().copied().zip(placements).collect(),
            histories,
            carts,
            catalogue,
        })
    }

    fn person<'a>(
        &'a self,
        workspace: &'a Workspace,
        contact: &'a Contact,
        kept: Option<&Kept<'a>>,
    ) -> Person<'a> {
        static NO_TOTALS: Totals = Totals { first_order_at: None, last_order_at: None, orders: 0, spent: 0 };
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
            kept: kept.and_then(|kept| Some((kept.condition, kept.states.get(&contact.id)?))),
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
