//! Plays a draft over the stored history: who would have entered, which way they would have gone, what they would have been
//! sent, and what those people bought afterwards. Nothing is written, nothing is sent.
//!
//! * `stage`: the draft as if it had been published at the first instant, and what is to be loaded.
//! * `past`: a contact's history as it was at an instant; the future is invisible.
//! * `player`: one contact, on the pieces of the living engine.
//! * [`tally`]: the figures. [`explain`]: why an event did not start the journey.
//!
//! Contacts are streamed in the order of their ids, `PIECE` ids at a time, on `LANES` lanes. Contacts to whom none of
//! the triggers' events happened cost one entry in an index scan. Moves between segments are computed anew for each
//! contact (`segment::evaluate` with its next flip), so that entry and exit are exact to the microsecond: stored moves
//! exist only of segments that were built, and only since then.

pub mod explain;
mod past;
mod player;
pub mod rehearse;
mod stage;
pub mod tally;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{ContactId, Dice, Timestamp, event::kind};
use roaring::RoaringTreemap;
use storage::{
    Result, Storage, StoreError,
    segments::{IdRange, OrderMark},
};
use tokio::task::JoinSet;

pub use explain::{Refused, Why};
pub use past::{FILE_OF_THE_PAST, arrival};
pub use player::{Part, Played};
pub use tally::{Group, Purchases, Simulation};

use crate::{
    campaign::launch::Tell,
    live::{load, step::Cares},
    rules::Rules,
};
use past::Past;
use player::Player;
use stage::Stage;
use tally::Tally;

/// Ids that are looked at together.
const PIECE: i64 = 16_384;
/// Contacts whose history is loaded at once.
const BATCH: usize = 2_000;
/// Pieces that are worked on at the same time.
const LANES: usize = 2;
/// How long purchases are counted after an entry or a message unless it is said otherwise, in days.
pub const WITHIN_DAYS: i64 = 7;
/// How far back a simulation goes unless it is said otherwise, in days.
pub const DAYS: i64 = 30;

/// What to play.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The first instant.
    pub from: Timestamp,
    /// The last (excluded).
    pub to: Timestamp,
    /// Seed of the dice.
    pub seed: u64,
    /// Play about so many contacts, spread over the base; none: all.
    pub sample: Option<u64>,
    /// Play only this contact.
    pub contact: Option<ContactId>,
    /// Keep what came of each contact that entered ([`Simulation::parts`]).
    pub keep: bool,
    /// Say why events did not start the journey.
    pub explain: bool,
    /// The share of messages that are opened, 0 to 1.
    pub open_rate: f64,
    /// The share of messages in which a link is clicked, 0 to 1.
    pub click_rate: f64,
    /// Days in which purchases count after an entry or a message.
    pub within_days: i64,
    /// Have the contact enter at the first instant, whatever triggers and audience say, with this data as `trigger.…`;
    /// nothing else happens to it. See [`rehearse`].
    pub entry: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Options {
    /// The days before an instant, with nobody who opens or clicks.
    #[must_use]
    pub const fn before(now: Timestamp) -> Self {
        Self {
            from: now.plus_days(-DAYS),
            to: now,
            seed: 1,
            sample: None,
            contact: None,
            keep: false,
            explain: false,
            open_rate: 0.0,
            click_rate: 0.0,
            within_days: WITHIN_DAYS,
            entry: None,
        }
    }
}

/// Plays a draft.
///
/// # Errors
/// What storage says; a stored setting or definition that cannot be read.
pub async fn run<S: Storage>(
    store: &S,
    rules: Rules,
    options: Options,
    tell: &dyn Tell,
) -> Result<Simulation> {
    tell.phase("reading the rules");
    let stage = Arc::new(Stage::set(store, rules, options).await?);
    let everybody = Arc::new(chosen(store, &stage).await?);
    let (first, last) = (everybody.min().unwrap_or(1), everybody.max().unwrap_or(0));
    let mut ranges = Vec::new();
    let mut at = first.cast_signed();
    while at <= last.cast_signed() {
        let end = at.saturating_add(PIECE - 1).min(last.cast_signed());
        ranges.push(at..=end);
        at = end.saturating_add(1);
    }
    tell.phase("contacts");
    let (total, mut done) = (everybody.len(), 0);
    tell.progress(0, total);
    let mut tally = Tally::new(&stage);
    let (mut lanes, mut ranges) = (JoinSet::new(), ranges.into_iter());
    let mut finished: BTreeMap<i64, Piece> = BTreeMap::new();
    let mut next = Vec::new();
    loop {
        while lanes.len() < LANES
            && let Some(range) = ranges.next()
        {
            next.push(*range.start());
            let (store, stage, everybody) = (store.clone(), Arc::clone(&stage), Arc::clone(&everybody));
            lanes.spawn(async move { piece(&store, &stage, &everybody, range).await });
        }
        let Some(joined) = lanes.join_next().await else { break };
        let (start, piece) = joined
            .map_err(|error| StoreError::Driver(format!("a simulation's lane has failed: {error}")))??;
        done += piece.contacts;
        tell.progress(done, total);
        finished.insert(start, piece);
        // In the order of the ids, whichever lane was first.
        while let Some(piece) = next.first().and_then(|start| finished.remove(start)) {
            next.remove(0);
            tally.add(piece);
        }
    }
    tally.finish(store, &stage).await
}

/// Who is played.
async fn chosen<S: Storage>(store: &S, stage: &Stage) -> Result<RoaringTreemap> {
    let everybody = store.load_contact_ids().await?;
    if let Some(contact) = stage.options.contact {
        let one = RoaringTreemap::from_iter([contact.0.cast_unsigned()]);
        return Ok(one & everybody);
    }
    let total = everybody.len();
    let Some(wanted) = stage.options.sample.filter(|wanted| *wanted < total) else { return Ok(everybody) };
    // Each contact has its own dice: a greater sample holds a smaller one.
    let chosen = |id: &u64| Dice::of(&[stage.options.seed, *id, 0x5a3b]).below(total) < wanted;
    Ok(everybody.iter().filter(chosen).collect())
}

/// What came of the contacts of a piece.
pub(crate) struct Piece {
    /// How many were looked at.
    pub contacts: u64,
    /// How many were played.
    pub played: u64,
    /// Those who entered, or had a reason not to.
    pub parts: Vec<Part>,
    /// Orders of the contacts of the piece, by contact, then by time.
    pub orders: Vec<OrderMark>,
}

async fn piece<S: Storage>(
    store: &S,
    stage: &Stage,
    everybody: &RoaringTreemap,
    range: IdRange,
) -> Result<(i64, Piece)> {
    let (from, to) = (stage.options.from, stage.options.to);
    let start = *range.start();
    let mut ids: Vec<ContactId> = Vec::new();
    let mut each = everybody.iter();
    each.advance_to(start.cast_unsigned());
    for id in each.take_while(|id| id.cast_signed() <= *range.end()) {
        ids.push(ContactId(id.cast_signed()));
    }
    let until = to.plus_days(stage.options.within_days);
    let push = |all: &mut Vec<OrderMark>, mark: OrderMark| all.push(mark);
    let mut orders = store.fold_order_marks(range.clone(), from, until, false, Vec::new(), push).await?;
    if ids.len() as i64 <= *range.end() - start {
        orders.retain(|mark| ids.binary_search(&mark.contact).is_ok());
    }
    let mut piece = Piece { contacts: ids.len() as u64, played: 0, parts: Vec::new(), orders };
    if let Some(openers) = &stage.openers {
        let open = openers_of(store, stage, openers, range.clone(), &piece.orders).await?;
        ids.retain(|id| open.contains(id));
    }
    let moves = match stage.loads.rfm && !ids.is_empty() {
        true => store.load_group_moves(range).await?,
        false => Vec::new(),
    };
    let cares = stage.cares();
    for batch in ids.chunks(BATCH) {
        let pasts = pasts(store, stage, batch, &moves).await?;
        piece.played += pasts.len() as u64;
        piece.parts.extend(play(stage, &cares, pasts));
    }
    Ok((start, piece))
}

/// Plays contacts; those of whom there is nothing to say are left out.
fn play<'s>(stage: &'s Stage, cares: &'s Cares<'s>, pasts: Vec<Past>) -> impl Iterator<Item = Part> + 's {
    let parts = pasts.into_iter().map(|past| Player::new(stage, cares, past).play());
    parts.filter(|part| !part.enrolments.is_empty() || !part.refused.is_empty())
}

/// To whom one of the events happened that may start the journey.
async fn openers_of<S: Storage>(
    store: &S,
    stage: &Stage,
    openers: &BTreeSet<String>,
    range: IdRange,
    orders: &[OrderMark],
) -> Result<BTreeSet<ContactId>> {
    // An event of the day before may arrive within the time that is played.
    let (from, to) = (stage.options.from.plus(-FILE_OF_THE_PAST), stage.options.to);
    let mut open: BTreeSet<ContactId> = BTreeSet::new();
    for name in openers {
        match name.as_str() {
            kind::ORDER_COMPLETED => open.extend(orders.iter().map(|mark| mark.contact)),
            kind::CART_UPDATED => {
                let add = move |found: &mut Vec<ContactId>, cart: &model::Cart| {
                    // Left alone before, it may become abandoned within the time that is played.
                    if cart.updated_at < to {
                        found.push(cart.contact);
                    }
                };
                open.extend(store.fold_open_carts(range.clone(), Vec::new(), add).await?);
            }
            kind::RFM_GROUP_CHANGED => {
                let moves = store.load_group_moves(range.clone()).await?;
                let inside = moves.iter().filter(|one| one.at >= from && one.at < to);
                open.extend(inside.map(|one| one.contact));
            }
            kind::CONTACT_CREATED | kind::CONTACT_UPDATED => {
                let add = move |found: &mut Vec<ContactId>, contact: &model::Contact, _: &model::Totals| {
                    if contact.created_at > from && contact.created_at < to {
                        found.push(contact.id);
                    }
                };
                open.extend(store.fold_profiles(range.clone(), Vec::new(), add).await?);
            }
            _ => {}
        }
        if name != kind::RFM_GROUP_CHANGED {
            let add = |found: &mut Vec<ContactId>, mark: storage::segments::EventMark| {
                if found.last() != Some(&mark.contact) {
                    found.push(mark.contact);
                }
            };
            let found =
                store.fold_event_marks(name.clone(), range.clone(), from, to, Vec::new(), add).await?;
            open.extend(found);
        }
    }
    Ok(open)
}

/// Everything that is stored of contacts and may matter.
async fn pasts<S: Storage>(
    store: &S,
    stage: &Stage,
    ids: &[ContactId],
    moves: &[storage::rfm::GroupMove],
) -> Result<Vec<Past>> {
    let reads = stage.live.rules.journey.reads;
    let wanted = load::Wanted {
        reads: journey::graph::Reads { totals: false, rfm: stage.loads.rfm, ..reads },
        horizon: stage.ground.sending.horizon().max(reads.sends_back),
    };
    let people = load::people(store, ids, wanted, stage.options.from).await?;
    let always = (Timestamp::MIN, Timestamp::MAX);
    let events = match stage.kinds.is_empty() {
        true => Vec::new(),
        false => {
            let kinds = stage.kinds.iter().cloned().collect();
            store.load_events(ids.to_vec(), kinds, always.0, always.1).await?
        }
    };
    let orders = match stage.loads.orders {
        true => store.load_orders(ids.to_vec(), always.0, always.1).await?,
        false => Vec::new(),
    };
    let carts = if stage.loads.carts { store.load_open_carts(ids.to_vec()).await? } else { Vec::new() };
    // All lists are by contact, in the order of the ids.
    let (mut events, mut orders) = (events.into_iter().peekable(), orders.into_iter().peekable());
    let mut carts = carts.into_iter().peekable();
    let mut all = Vec::with_capacity(people.len());
    for person in people {
        let id = person.contact.id;
        let mut past = Past { contact: person.contact, ..Past::default() };
        (past.placements, past.sends) = (person.rfm, person.sends);
        (past.suppressed, past.push) = (person.suppressed_on, person.push);
        while let Some(event) = events.next_if(|event| event.contact <= id) {
            past.events.push(event);
        }
        while let Some(order) = orders.next_if(|order| order.contact.is_none_or(|contact| contact <= id)) {
            past.orders.push(order);
        }
        while let Some(cart) = carts.next_if(|cart| cart.contact <= id) {
            past.carts.push(cart);
        }
        let of = moves.partition_point(|one| one.contact < id);
        past.moves.extend(moves[of..].iter().take_while(|one| one.contact == id).cloned());
        past.arrange();
        all.push(past);
    }
    Ok(all)
}
