//! What is kept of histories for segments, taken forward by a batch.
//!
//! An event is stored together with its input, and its input is worked on later: a state that is built from the stored
//! history in between has the event in it already. So every state stands with the number of the last input that its
//! history may have held: inputs up to there are not taken in again. Orders are known by their number, which states
//! themselves compare; what the engine raises and does not store, and what changes an order whose place in time the input
//! does not tell, makes the state be built again from the history.

use std::collections::{BTreeMap, BTreeSet};

use model::{ContactId, Order, Timestamp, event::kind};
use rayon::prelude::*;
use segment::{Condition, Observed, State};
use storage::{Result, Storage, live::Input};

use super::{Watch, reads::is_order};
use crate::segments::{Catalogue, contacts};

/// The form of [`to_bytes`]: none of `segment::State`.
const VERSION: u8 = 0xA1;

/// Kinds that may come as inputs without lying in the history under their kind.
const NOT_STORED: &[&str] = &[
    kind::CONTACT_CREATED,
    kind::CONTACT_UPDATED,
    kind::CONTACT_MERGED,
    kind::HISTORY_TRIMMED,
    kind::CART_UPDATED,
    kind::CART_ABANDONED,
    kind::DATE_REACHED,
    kind::SCHEDULED,
    kind::PRICE_DROPPED,
    kind::BACK_IN_STOCK,
    kind::LOW_STOCK,
    kind::JOURNEY_ENTRY,
    kind::COUPON_ASSIGNED,
    kind::COUPON_REDEEMED,
    kind::SEGMENT_ENTERED,
    kind::SEGMENT_EXITED,
    kind::RFM_GROUP_CHANGED,
];

/// Contacts from which it is worth to take their states forward on several threads.
const PARALLEL_FROM: usize = 256;

/// The states of one segment.
#[derive(Default)]
pub(super) struct States {
    pub(super) by_contact: BTreeMap<ContactId, State>,
    /// The last input that each of them has in it.
    until: BTreeMap<ContactId, i64>,
    /// Those that are this batch's to write: contacts that the segment itself is asked of.
    own: BTreeSet<ContactId>,
}

impl States {
    /// What is to be stored for a contact.
    pub(super) fn bytes(&self, contact: ContactId) -> Option<Vec<u8>> {
        let state = self.by_contact.get(&contact).filter(|_| self.own.contains(&contact))?;
        Some(to_bytes(self.until.get(&contact).copied().unwrap_or_default(), state))
    }
}

fn to_bytes(until: i64, state: &State) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(until.to_le_bytes());
    bytes.extend(state.to_bytes());
    bytes
}

fn from_bytes(bytes: &[u8], condition: &Condition) -> Option<(i64, State)> {
    let (version, rest) = bytes.split_first()?;
    let (until, rest) = rest.split_first_chunk()?;
    let state = (*version == VERSION).then(|| State::from_bytes(rest, condition))??;
    Some((i64::from_le_bytes(*until), state))
}

impl Watch {
    /// The states that the questions need, with the batch taken in; by place of the segment.
    pub(super) async fn states<S: Storage>(
        &self,
        store: &S,
        asked: &[BTreeSet<ContactId>],
        inputs: &[Input],
        catalogue: &Catalogue,
        now: Timestamp,
    ) -> Result<BTreeMap<usize, States>> {
        let mut needed: BTreeMap<usize, BTreeSet<ContactId>> = BTreeMap::new();
        for (place, contacts) in asked.iter().enumerate().filter(|(_, contacts)| !contacts.is_empty()) {
            for other in &self.segments[place].asks {
                if !self.segments[*other].file.condition.activities().is_empty() {
                    needed.entry(*other).or_default().extend(contacts);
                }
            }
        }
        if needed.is_empty() {
            return Ok(BTreeMap::new());
        }
        let by_contact = by_contact(inputs);
        let orders = load_orders(store, inputs).await?;
        let mut all = BTreeMap::new();
        let mut refills: BTreeMap<usize, BTreeSet<ContactId>> = BTreeMap::new();
        let everybody: BTreeSet<ContactId> = needed.values().flatten().copied().collect();
        let everybody: Vec<ContactId> = everybody.into_iter().collect();
        let slugs = needed.keys().map(|place| self.segments[*place].file.slug.clone()).collect();
        let stored = store.load_member_states(slugs, everybody.clone()).await?;
        for ((place, contacts), stored) in needed.into_iter().zip(stored) {
            let file = &self.segments[place].file;
            let mut states = States { own: asked[place].clone(), ..States::default() };
            let wanted: Vec<(ContactId, Option<Vec<u8>>)> = everybody
                .iter()
                .copied()
                .zip(stored)
                .filter(|(contact, _)| contacts.contains(contact))
                .collect();
            let zone = &self.workspace.zone;
            // Without what cannot be taken forward from what is kept: that is built again.
            let forward = |(contact, bytes): &(ContactId, Option<Vec<u8>>)| {
                let (until, state) = from_bytes(bytes.as_ref()?, &file.condition)?;
                // A clock that was set back: what left the window since may be inside again.
                let state = Some(state).filter(|state| state.as_of() <= now)?;
                let mut one = One { state, until, condition: &file.condition };
                let own = by_contact.get(contact).map_or(&[][..], Vec::as_slice);
                if one.observe(own, &orders, catalogue, zone) == Observed::Refill {
                    return None;
                }
                one.state.advance(&file.condition, now, zone);
                Some((one.until, one.state))
            };
            let forward: Vec<Option<(i64, State)>> = match wanted.len() < PARALLEL_FROM {
                true => wanted.iter().map(forward).collect(),
                false => wanted.par_iter().map(forward).collect(),
            };
            for ((contact, _), forward) in wanted.into_iter().zip(forward) {
                match forward {
                    Some((until, state)) => {
                        states.by_contact.insert(contact, state);
                        states.until.insert(contact, until);
                    }
                    None => drop(refills.entry(place).or_default().insert(contact)),
                }
            }
            all.insert(place, states);
        }
        self.refill(store, refills, catalogue, now, &mut all).await?;
        Ok(all)
    }

    /// Builds states from the stored history: one load for all segments.
    async fn refill<S: Storage>(
        &self,
        store: &S,
        refills: BTreeMap<usize, BTreeSet<ContactId>>,
        catalogue: &Catalogue,
        now: Timestamp,
        all: &mut BTreeMap<usize, States>,
    ) -> Result<()> {
        if refills.is_empty() {
            return Ok(());
        }
        let asked: Vec<(&Condition, &BTreeSet<ContactId>)> = refills
            .iter()
            .map(|(place, contacts)| (&self.segments[*place].file.condition, contacts))
            .collect();
        let built = contacts::states_of_many(store, &self.workspace, &asked, now, catalogue).await?;
        for ((place, _), (states, until)) in refills.iter().zip(built) {
            let own = all.entry(*place).or_default();
            own.until.extend(states.keys().map(|contact| (*contact, until)));
            let condition = &self.segments[*place].file.condition;
            own.by_contact.extend(states.into_iter().map(|(contact, mut state)| {
                state.advance(condition, now, &self.workspace.zone);
                (contact, state)
            }));
        }
        Ok(())
    }
}

/// A state on its way through a batch.
struct One<'c> {
    state: State,
    until: i64,
    condition: &'c Condition,
}

impl One<'_> {
    fn observe(
        &mut self,
        inputs: &[&Input],
        orders: &BTreeMap<(ContactId, String), Order>,
        catalogue: &Catalogue,
        zone: &model::Zone,
    ) -> Observed {
        let mut observed = Observed::Ignored;
        for input in inputs {
            let event = &input.event;
            let about_orders = is_order(&event.kind);
            let (condition, state) = (self.condition, &mut self.state);
            let reads = |kind: &str| condition.activities().iter().any(|activity| activity.kind == kind);
            let done = if about_orders && reads(kind::ORDER_COMPLETED) {
                match order_of(event).and_then(|id| orders.get(&(event.contact, id.to_owned()))) {
                    Some(order) if event.kind == kind::ORDER_COMPLETED => {
                        state.observe_order(condition, order, true, catalogue, zone)
                    }
                    _ => Observed::Refill,
                }
            } else if (about_orders || NOT_STORED.contains(&event.kind.as_str())) && reads(&event.kind) {
                Observed::Refill
            } else if input.no > self.until && !about_orders {
                state.observe(condition, event, catalogue, zone)
            } else {
                Observed::Ignored
            };
            observed = observed.max(done);
            self.until = self.until.max(input.no);
        }
        observed
    }
}

fn by_contact(inputs: &[Input]) -> BTreeMap<ContactId, Vec<&Input>> {
    let mut by_contact: BTreeMap<ContactId, Vec<&Input>> = BTreeMap::new();
    for input in inputs {
        by_contact.entry(input.event.contact).or_default().push(input);
    }
    by_contact
}

fn order_of(event: &model::Event) -> Option<&str> {
    event.properties.get("order_id").and_then(serde_json::Value::as_str)
}

/// The orders that the batch completes, net of refunds.
async fn load_orders<S: Storage>(
    store: &S,
    inputs: &[Input],
) -> Result<BTreeMap<(ContactId, String), Order>> {
    let completed: Vec<&Input> =
        inputs.iter().filter(|input| input.event.kind == kind::ORDER_COMPLETED).collect();
    let times = completed.iter().map(|input| input.event.at);
    let (Some(first), Some(last)) = (times.clone().min(), times.max()) else { return Ok(BTreeMap::new()) };
    let mut ids: Vec<ContactId> = completed.iter().map(|input| input.event.contact).collect();
    ids.sort_unstable();
    ids.dedup();
    let found = store.load_orders(ids, first, last.plus(1)).await?;
    let orders = found.into_iter().filter_map(|order| {
        let contact = order.contact?;
        Some(((contact, order.external_id.clone()), contacts::net(order)))
    });
    Ok(orders.collect())
}
