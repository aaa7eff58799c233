//! What a batch loads: the contacts, and the answers to what their runs need — by kind, one query per kind for the batch.

use std::{collections::HashMap, sync::Arc};

use journey::{CartChoice, Need, Person, Run, graph::Reads, run::Passages};
use model::{Cart, Channel, Contact, ContactId, Period, Slug, Timestamp, event::kind};
use recommend::{Catalogue, ContactFacts, Needs as FactNeeds, Seen, step::since};
use storage::{Result, Storage, orders, outbox::AddressHash};

/// A run that cannot go on, with what it needs.
pub(crate) struct Asking<'a> {
    /// The run.
    pub run: &'a mut Run,
    /// The journey, for what is counted by journey.
    pub journey: &'a journey::Journey,
    /// What it needs.
    pub needs: Vec<Need>,
}

impl Asking<'_> {
    fn contact(&self) -> ContactId {
        self.run.person().contact.id
    }
}

/// What is loaded of contacts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Beside the profile.
    pub reads: Reads,
    /// How far back messages are looked for, in microseconds.
    pub horizon: i64,
}

/// The contacts with what is wanted of them, in the order of the ids; those that are not in the base are left out.
pub(crate) async fn people<S: Storage>(
    store: &S,
    ids: &[ContactId],
    wanted: Wanted,
    now: Timestamp,
) -> Result<Vec<Person>> {
    let contacts = store.load_contacts(ids.to_vec()).await?;
    let ids: Vec<ContactId> = contacts.iter().map(|contact| contact.id).collect();
    let reads = wanted.reads;
    let mut totals = if reads.totals { store.load_totals(ids.clone()).await? } else { Vec::new() };
    let mut rfm = if reads.rfm { store.load_placements(ids.clone()).await? } else { Vec::new() };
    let suppressed = if reads.suppressions { suppressed(store, &contacts, now).await? } else { Vec::new() };
    let mut sends: HashMap<ContactId, Vec<policy::PastSend>> = HashMap::new();
    if reads.sends && wanted.horizon > 0 {
        for (contact, mark) in store.load_sends(ids, now.plus(-wanted.horizon)).await? {
            let send =
                policy::PastSend { channel: mark.channel, purpose: mark.purpose.to_string(), at: mark.at };
            sends.entry(contact).or_default().push(send);
        }
    }
    totals.resize_with(contacts.len(), Default::default);
    rfm.resize_with(contacts.len(), Default::default);
    let mut people = Vec::with_capacity(contacts.len());
    for (place, ((contact, totals), rfm)) in contacts.into_iter().zip(totals).zip(rfm).enumerate() {
        let on = suppressed.get(place).cloned().unwrap_or_default();
        people.push(Person {
            suppressed: on.contains(&Channel::Email),
            suppressed_on: on,
            sends: sends.remove(&contact.id).unwrap_or_default(),
            push: u32::try_from(contact.push.len()).unwrap_or(u32::MAX),
            contact,
            totals,
            rfm,
        });
    }
    Ok(people)
}

/// By contact: the channels on which its address is on the suppression list.
async fn suppressed<S: Storage>(
    store: &S,
    contacts: &[Contact],
    now: Timestamp,
) -> Result<Vec<Vec<Channel>>> {
    let mut asked = Vec::with_capacity(contacts.len());
    for (place, contact) in contacts.iter().enumerate() {
        let addresses = [(Channel::Email, &contact.email), (Channel::Sms, &contact.phone)];
        for (channel, address) in addresses {
            asked.extend(
                address.as_deref().map(|address| (place, channel, AddressHash::of(channel, address))),
            );
        }
    }
    let hashes = asked.iter().map(|(_, _, hash)| *hash).collect();
    let answers = store.suppressions(hashes, now).await?;
    let mut suppressed = vec![Vec::new(); contacts.len()];
    for ((place, channel, _), answer) in asked.into_iter().zip(answers) {
        if answer.is_some() {
            suppressed[place].push(channel);
        }
    }
    Ok(suppressed)
}

/// Answers what runs need that the database knows: carts, facts about products, passages. Membership, conditions and
/// coupons are answered elsewhere.
pub(crate) async fn answer<S: Storage>(
    store: &S,
    catalogue: &Catalogue,
    now: Timestamp,
    asking: &mut [Asking<'_>],
) -> Result<()> {
    for choice in [CartChoice::Any, CartChoice::Active, CartChoice::Abandoned, CartChoice::Purchased] {
        let places = who(asking, |need| *need == Need::LastCart(choice));
        if !places.is_empty() {
            let mut carts = last_carts(store, &ids(asking, &places), choice, now).await?;
            for place in places {
                let cart = carts.remove(&asking[place].contact()).map(Arc::new);
                asking[place].run.answers().set_last_cart(choice, cart);
            }
        }
    }
    let places = who(asking, |need| matches!(need, Need::Facts(_)));
    if !places.is_empty() {
        facts(store, catalogue, now, asking, &places).await?;
    }
    passages(store, asking).await
}

async fn passages<S: Storage>(store: &S, asking: &mut [Asking<'_>]) -> Result<()> {
    let mut by_node: HashMap<(Slug, u16), Vec<usize>> = HashMap::new();
    for (place, asking) in asking.iter().enumerate() {
        for need in &asking.needs {
            if let Need::Passages(node) = need {
                by_node.entry((asking.journey.slug.clone(), *node)).or_default().push(place);
            }
        }
    }
    for ((journey, node), places) in by_node {
        let id = asking[places[0]].journey.node(node).id.clone();
        let (own, total) = store.load_passages(journey, id, ids(asking, &places)).await?;
        for (place, own) in places.into_iter().zip(own) {
            asking[place].run.answers().set_passages(node, Passages { own, total, taken: 0 });
        }
    }
    Ok(())
}

fn who(asking: &[Asking<'_>], wanted: impl Fn(&Need) -> bool) -> Vec<usize> {
    (0..asking.len()).filter(|place| asking[*place].needs.iter().any(&wanted)).collect()
}

fn ids(asking: &[Asking<'_>], places: &[usize]) -> Vec<ContactId> {
    places.iter().map(|place| asking[*place].contact()).collect()
}

async fn last_carts<S: Storage>(
    store: &S,
    contacts: &[ContactId],
    choice: CartChoice,
    now: Timestamp,
) -> Result<HashMap<ContactId, Cart>> {
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
    catalogue: &Catalogue,
    now: Timestamp,
    asking: &mut [Asking<'_>],
    places: &[usize],
) -> Result<()> {
    let mut wanted = FactNeeds::default();
    for place in places {
        let Asking { run, needs, .. } = &mut asking[*place];
        for need in needs.iter() {
            if let Need::Facts(needs) = need {
                wanted = wanted.and(run.answers().wanted_facts(*needs));
            }
        }
    }
    let mut facts = facts_of(store, catalogue, &ids(asking, places), wanted, now).await?;
    for place in places {
        let own = facts.remove(&asking[*place].contact()).unwrap_or_default();
        asking[*place].run.answers().set_facts(wanted, own);
    }
    Ok(())
}

/// What these contacts did with products, as far as it is needed; one query per kind of need.
pub(crate) async fn facts_of<S: Storage>(
    store: &S,
    catalogue: &Catalogue,
    contacts: &[ContactId],
    wanted: FactNeeds,
    now: Timestamp,
) -> Result<HashMap<ContactId, ContactFacts>> {
    let mut facts: HashMap<ContactId, ContactFacts> = HashMap::with_capacity(contacts.len());
    if let Some(period) = wanted.bought {
        bought(store, contacts, period, now, &mut facts).await?;
    }
    if let Some(period) = wanted.visited {
        visited(store, catalogue, contacts, period, now, &mut facts).await?;
    }
    if let Some(period) = wanted.added_not_bought {
        let from = since(period, now);
        for choice in [CartChoice::Active, CartChoice::Abandoned] {
            for (contact, cart) in last_carts(store, contacts, choice, now).await? {
                if cart.updated_at >= from {
                    facts.entry(contact).or_default().add_cart(&cart);
                }
            }
        }
    }
    Ok(facts)
}

async fn bought<S: Storage>(
    store: &S,
    contacts: &[ContactId],
    period: Period,
    now: Timestamp,
    facts: &mut HashMap<ContactId, ContactFacts>,
) -> Result<()> {
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
    catalogue: &Catalogue,
    contacts: &[ContactId],
    period: Period,
    now: Timestamp,
    facts: &mut HashMap<ContactId, ContactFacts>,
) -> Result<()> {
    let kinds = vec![kind::PRODUCT_VIEWED.to_owned()];
    let events = store.load_events(contacts.to_vec(), kinds, since(period, now), now).await?;
    for event in events {
        let product = event.properties.get("product_id").and_then(|id| {
            let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
            catalogue.by_external_id(&id)
        });
        if let Some(product) = product {
            let seen = Seen { product: product.id, at: event.at };
            facts.entry(event.contact).or_default().visited.push(seen);
        }
    }
    Ok(())
}
