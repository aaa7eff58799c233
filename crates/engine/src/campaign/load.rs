//! What a batch loads: the contacts, and the answers to what they need — by kind, one query per kind for the batch.

use std::{collections::HashMap, sync::Arc};

use journey::{CartChoice, Need, Person, Run};
use model::{Cart, ConsentState, Contact, ContactId, Period, RfmPlacement, Timestamp, Value, event::kind};
use recommend::{ContactFacts, Needs as FactNeeds, Seen, step::since};
use segment::Facts;
use storage::{
    Storage, StoreError, orders,
    outbox::{AddressHash, Channel},
};

use super::{Shared, batch::Needed};
use crate::rules::Rules;

/// What a segment reads, as far as a run that changes fields must know it.
pub(crate) struct SegmentReads {
    /// Contact fields.
    fields: Vec<String>,
    /// Whether the profile alone decides: then a run that changed one of them is asked anew.
    profile_only: bool,
    /// Whether RFM is read.
    rfm: bool,
}

/// By place of the segment in the journey.
pub(super) fn segment_reads(rules: &Rules) -> Vec<SegmentReads> {
    let reads = |slug: &model::Slug| {
        let Some(rule) = rules.segments.get(slug.as_str()) else {
            return SegmentReads { fields: Vec::new(), profile_only: false, rfm: false };
        };
        let reads = rule.reads();
        SegmentReads {
            fields: reads.fields.into_iter().collect(),
            profile_only: reads.event_kinds.is_empty() && !reads.carts && reads.segments.is_empty(),
            rfm: !reads.rfm_models.is_empty(),
        }
    };
    rules.journey.segments.iter().map(reads).collect()
}

/// Without the contacts that may not enter again.
pub(super) async fn admitted<S: Storage>(
    store: &S,
    shared: &Shared,
    chunk: Vec<ContactId>,
) -> Result<Vec<ContactId>, StoreError> {
    if !shared.excludes_others {
        return Ok(chunk);
    }
    let journey = shared.run.journey.clone();
    let before = store.enrolled_elsewhere(journey, shared.run.id, chunk.clone()).await?;
    Ok(chunk.into_iter().filter(|contact| before.binary_search(contact).is_err()).collect())
}

/// The contacts with what the journey reads of them.
pub(super) async fn people<S: Storage>(
    store: &S,
    shared: &Shared,
    chunk: &[ContactId],
) -> Result<Vec<Person>, StoreError> {
    let contacts = store.load_contacts(chunk.to_vec()).await?;
    let ids: Vec<ContactId> = contacts.iter().map(|contact| contact.id).collect();
    let reads = shared.rules.journey.reads;
    let changes = !shared.rules.journey.changed_fields().is_empty();
    let wants_rfm = reads.rfm || (changes && shared.segment_reads.iter().any(|reads| reads.rfm));
    let mut totals = if reads.totals { store.load_totals(ids.clone()).await? } else { Vec::new() };
    let mut rfm = if wants_rfm { store.load_placements(ids).await? } else { Vec::new() };
    let suppressed = if reads.suppressions {
        suppressed(store, &contacts, shared.run.started_at).await?
    } else {
        Vec::new()
    };
    totals.resize_with(contacts.len(), Default::default);
    rfm.resize_with(contacts.len(), Default::default);
    let mut people = Vec::with_capacity(contacts.len());
    for (place, ((contact, totals), rfm)) in contacts.into_iter().zip(totals).zip(rfm).enumerate() {
        let suppressed = suppressed.get(place).copied().unwrap_or_default();
        people.push(Person { contact, totals, rfm, suppressed, ..Person::default() });
    }
    Ok(people)
}

async fn suppressed<S: Storage>(
    store: &S,
    contacts: &[Contact],
    now: Timestamp,
) -> Result<Vec<bool>, StoreError> {
    let with_address: Vec<usize> =
        (0..contacts.len()).filter(|place| contacts[*place].email.is_some()).collect();
    let hashes = with_address
        .iter()
        .filter_map(|place| contacts[*place].email.as_deref())
        .map(|address| AddressHash::of(Channel::Email, address))
        .collect();
    let answers = store.suppressions(hashes, now).await?;
    let mut suppressed = vec![false; contacts.len()];
    for (place, answer) in with_address.into_iter().zip(answers) {
        suppressed[place] = answer.is_some();
    }
    Ok(suppressed)
}

/// Answers what runs need.
pub(super) async fn answer<S: Storage>(
    store: &S,
    shared: &Shared,
    runs: &mut [Run],
    needed: &Needed,
) -> Result<(), StoreError> {
    for choice in [CartChoice::Any, CartChoice::Active, CartChoice::Abandoned, CartChoice::Purchased] {
        let places = asking(needed, |need| *need == Need::LastCart(choice));
        if !places.is_empty() {
            let mut carts = last_carts(store, &ids(runs, &places), choice, shared.run.started_at).await?;
            for place in places {
                let cart = carts.remove(&runs[place].person().contact.id).map(Arc::new);
                runs[place].answers().set_last_cart(choice, cart);
            }
        }
    }
    let places = asking(needed, |need| matches!(need, Need::Facts(_)));
    if !places.is_empty() {
        facts(store, shared, runs, needed, &places).await?;
    }
    Ok(())
}

fn asking(needed: &Needed, wanted: impl Fn(&Need) -> bool) -> Vec<usize> {
    needed.iter().filter(|(_, needs)| needs.iter().any(&wanted)).map(|(place, _)| *place).collect()
}

fn ids(runs: &[Run], places: &[usize]) -> Vec<ContactId> {
    places.iter().map(|place| runs[*place].person().contact.id).collect()
}

async fn last_carts<S: Storage>(
    store: &S,
    contacts: &[ContactId],
    choice: CartChoice,
    now: Timestamp,
) -> Result<HashMap<ContactId, Cart>, StoreError> {
    let choice = match choice {
        CartChoice::Any => orders::CartChoice::Any,
        CartChoice::Active => orders::CartChoice::Active,
        CartChoice::Abandoned => orders::CartChoice::Abandoned,
        CartChoice::Purchased => orders::CartChoice::Purchased,
    };
    let carts = store.load_last_carts(contacts.to_vec(), choice, now, Cart::ABANDONED_AFTER_DEFAULT).await?;
    Ok(carts.into_iter().map(|cart| (cart.contact, cart)).collect())
}

/// Purchases, visits and open carts of all who ask, as far back as the one who looks farthest.
async fn facts<S: Storage>(
    store: &S,
    shared: &Shared,
    runs: &mut [Run],
    needed: &Needed,
    places: &[usize],
) -> Result<(), StoreError> {
    let now = shared.run.started_at;
    let mut wanted = FactNeeds::default();
    for (place, needs) in needed {
        for need in needs {
            if let Need::Facts(needs) = need {
                wanted = wanted.and(runs[*place].answers().wanted_facts(*needs));
            }
        }
    }
    let contacts = ids(runs, places);
    let mut facts: HashMap<ContactId, ContactFacts> = HashMap::with_capacity(contacts.len());
    if let Some(period) = wanted.bought {
        bought(store, &contacts, period, now, &mut facts).await?;
    }
    if let Some(period) = wanted.visited {
        visited(store, shared, &contacts, period, now, &mut facts).await?;
    }
    if let Some(period) = wanted.added_not_bought {
        let from = since(period, now);
        for choice in [CartChoice::Active, CartChoice::Abandoned] {
            for (contact, cart) in last_carts(store, &contacts, choice, now).await? {
                if cart.updated_at >= from {
                    facts.entry(contact).or_default().add_cart(&cart);
                }
            }
        }
    }
    for place in places {
        let own = facts.remove(&runs[*place].person().contact.id).unwrap_or_default();
        runs[*place].answers().set_facts(wanted, own);
    }
    Ok(())
}

async fn bought<S: Storage>(
    store: &S,
    contacts: &[ContactId],
    period: Period,
    now: Timestamp,
    facts: &mut HashMap<ContactId, ContactFacts>,
) -> Result<(), StoreError> {
    let orders = store.load_orders(contacts.to_vec(), since(period, now), now).await?;
    // They come contact by contact.
    for of_one in orders.chunk_by(|a, b| a.contact == b.contact) {
        if let Some(contact) = of_one[0].contact {
            facts.entry(contact).or_default().bought = ContactFacts::from_orders(of_one).bought;
        }
    }
    Ok(())
}

async fn visited<S: Storage>(
    store: &S,
    shared: &Shared,
    contacts: &[ContactId],
    period: Period,
    now: Timestamp,
    facts: &mut HashMap<ContactId, ContactFacts>,
) -> Result<(), StoreError> {
    let kinds = vec![kind::PRODUCT_VIEWED.to_owned()];
    let events = store.load_events(contacts.to_vec(), kinds, since(period, now), now).await?;
    for event in events {
        let product = event.properties.get("product_id").and_then(|id| {
            let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
            shared.catalogue.by_external_id(&id)
        });
        if let Some(product) = product {
            let seen = Seen { product: product.id, at: event.at };
            facts.entry(event.contact).or_default().visited.push(seen);
        }
    }
    Ok(())
}

/// Whether a contact is in a segment, with what its run wrote meanwhile: where that could change the answer, the
/// condition is asked anew.
pub(super) fn is_member(run: &Run, slot: u16, shared: &Shared) -> bool {
    let slot = usize::from(slot);
    let id = run.person().contact.id.0.unsigned_abs();
    let stored = || shared.members.get(slot).is_some_and(|members| members.contains(id));
    let Some(reads) = shared.segment_reads.get(slot) else { return stored() };
    let touched = run.changes().iter().any(|change| reads.fields.contains(&change.field));
    if !touched || !reads.profile_only {
        return stored();
    }
    let slug = shared.rules.journey.segments[slot].as_str();
    let Some(rule) = shared.rules.segments.get(slug) else { return stored() };
    let profile = Profile { person: run.person(), defaults: &shared.defaults };
    segment::evaluate(rule, &profile, shared.run.started_at, &shared.zone).member
}

/// What a condition about the profile alone asks for.
struct Profile<'a> {
    person: &'a Person,
    defaults: &'a [(String, Value)],
}

impl Facts for Profile<'_> {
    fn field(&self, name: &str) -> Option<Value> {
        self.person
            .contact
            .field(name)
            .or_else(|| self.defaults.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
    }

    fn consent(&self, purpose: &str) -> ConsentState {
        self.person.contact.consent(purpose)
    }

    fn in_list(&self, slug: &str) -> bool {
        self.person.contact.lists.iter().any(|list| list.as_str() == slug)
    }

    fn rfm(&self, model: &str) -> Option<RfmPlacement> {
        self.person.rfm.iter().find(|placement| placement.model == model).cloned()
    }
}
