//! The computation of a run: apply what changed, take cut points, place everybody; in parallel by chunk.

use model::{ContactId, Timestamp};
use rayon::prelude::*;
use rfm::{CutPoints, Figures, GroupFigures, RfmModel, Scorer, Tally, recency_days};
use storage::{
    StoreError,
    rfm::{
        LivePlacement, NO_GROUP, OrderFlow, RunLoad, RunTicket, WindowSums,
        chunk::{self, CHUNK_LEN, Chunk, Move, NEVER, NONE, Place},
    },
};

/// Where state that does not fit its orders is reported.
pub(super) const TABLE: &str = "rfm_chunks";

/// What a run writes.
pub(super) struct Computed {
    pub(super) cuts: CutPoints,
    pub(super) groups: Vec<GroupFigures>,
    pub(super) chunks: Vec<(u64, Vec<u8>)>,
    pub(super) moves: Vec<(u64, Vec<Move>)>,
}

/// One chunk with all that concerns it.
struct Work<'a> {
    number: u64,
    bytes: Option<&'a [u8]>,
    sums: &'a [(ContactId, WindowSums)],
    flow: &'a [OrderFlow],
    live: &'a [LivePlacement],
}

/// A chunk with its sums up to date, and who of it is scored.
struct Summed<'a> {
    work: Work<'a>,
    chunk: Chunk,
    /// Contacts without an order in the window who have an earlier one, as places.
    earlier: Vec<u16>,
}

/// What placing a chunk's contacts brings.
struct Placed {
    number: u64,
    /// None when nothing of it changed.
    bytes: Option<Vec<u8>>,
    moves: Vec<Move>,
    tallies: Vec<Tally>,
}

pub(super) fn run(model: &RfmModel, ticket: &RunTicket, mut load: RunLoad) -> Result<Computed, StoreError> {
    // What comes in before what leaves, so that counts never fall below zero on the way.
    load.flow.sort_unstable_by_key(|one| (one.contact, !one.entered));
    let at = ticket.run.window.until;
    let summed: Vec<Summed<'_>> =
        works(&load).into_par_iter().map(|work| sum(work, load.rebuilt)).collect::<Result<_, _>>()?;
    let figures = figures(&summed, at);
    let cuts = CutPoints::of(model, &figures);
    drop(figures);
    let scorer = Scorer::new(model, &cuts);
    let numbers = group_numbers(model, ticket)?;
    let placed: Vec<Placed> = summed.into_par_iter().map(|one| place(one, &scorer, &numbers, at)).collect();
    let (mut chunks, mut moves) = (Vec::with_capacity(placed.len()), Vec::new());
    let mut tallies = vec![Tally::default(); numbers.len() + 1];
    for one in placed {
        chunks.extend(one.bytes.map(|bytes| (one.number, bytes)));
        if !one.moves.is_empty() {
            moves.push((one.number, one.moves));
        }
        for (tally, more) in tallies.iter_mut().zip(&one.tallies) {
            tally.append(more);
        }
    }
    let slugs: Vec<&str> = model.groups.iter().map(|group| group.slug.as_str()).chain([NO_GROUP]).collect();
    let groups = tallies.into_par_iter().zip(slugs).map(|(tally, slug)| tally.figures(slug)).collect();
    Ok(Computed { cuts, groups, chunks, moves })
}

/// The number that chunks hold for each group of the model.
fn group_numbers(model: &RfmModel, ticket: &RunTicket) -> Result<Vec<u8>, StoreError> {
    model
        .groups
        .iter()
        .map(|group| {
            let place = ticket.groups.iter().position(|slug| slug == group.slug.as_str());
            place.and_then(|place| u8::try_from(place).ok()).ok_or_else(|| StoreError::Inconsistent {
                table: "rfm_models",
                row: ticket.run.model.to_string(),
                why: format!("group `{}` has no number", group.slug),
            })
        })
        .collect()
}

/// All chunks that exist or are needed now, ascending, each with its share of the load.
fn works(load: &RunLoad) -> Vec<Work<'_>> {
    let number = |contact: ContactId| chunk::locate(contact).0;
    let mut numbers: Vec<u64> = load
        .chunks
        .iter()
        .map(|(number, _)| *number)
        .chain(load.sums.iter().map(|(contact, _)| number(*contact)))
        .chain(load.flow.iter().map(|one| number(one.contact)))
        .chain(load.live.iter().map(|one| number(one.contact)))
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    let (mut chunks, mut sums) = (&load.chunks[..], &load.sums[..]);
    let (mut flow, mut live) = (&load.flow[..], &load.live[..]);
    numbers
        .into_iter()
        .map(|n| Work {
            number: n,
            bytes: cut(&mut chunks, |(number, _)| *number <= n).first().map(|(_, bytes)| &bytes[..]),
            sums: cut(&mut sums, |(contact, _)| number(*contact) <= n),
            flow: cut(&mut flow, |one| number(one.contact) <= n),
            live: cut(&mut live, |one| number(one.contact) <= n),
        })
        .collect()
}

/// Takes the front of a slice for which `mine` holds.
fn cut<'a, T>(rest: &mut &'a [T], mine: impl Fn(&T) -> bool) -> &'a [T] {
    let (front, back) = rest.split_at(rest.iter().take_while(|item| mine(item)).count());
    *rest = back;
    front
}

fn sum(work: Work<'_>, rebuilt: bool) -> Result<Summed<'_>, StoreError> {
    let mut chunk = work.bytes.map_or_else(|| Ok(Chunk::default()), Chunk::decode)?;
    if rebuilt {
        chunk.orders.fill(0);
        chunk.last_at.fill(0);
        chunk.spent.fill(0);
    }
    let mut earlier = Vec::new();
    for (contact, sums) in work.sums {
        let (_, i) = chunk::locate(*contact);
        chunk.orders[i] = sums.orders;
        chunk.last_at[i] = if sums.orders > 0 { sums.last_at.0 } else { 0 };
        chunk.spent[i] = sums.spent;
        if sums.orders == 0 && sums.earlier {
            earlier.push(i as u16);
        }
    }
    for one in work.flow {
        apply(&mut chunk, one)?;
    }
    Ok(Summed { work, chunk, earlier })
}

fn apply(chunk: &mut Chunk, flow: &OrderFlow) -> Result<(), StoreError> {
    let (_, i) = chunk::locate(flow.contact);
    let misfit = |why: &str| StoreError::Inconsistent {
        table: TABLE,
        row: format!("contact {}", flow.contact),
        why: why.into(),
    };
    if flow.entered {
        let first = chunk.orders[i] == 0;
        chunk.last_at[i] = if first { flow.at.0 } else { chunk.last_at[i].max(flow.at.0) };
        chunk.orders[i] = chunk.orders[i].saturating_add(1);
        chunk.spent[i] =
            chunk.spent[i].checked_add(flow.net).ok_or_else(|| misfit("its orders come to too much"))?;
        return Ok(());
    }
    // What leaves is the oldest: the last order changes only when nothing is left.
    chunk.orders[i] =
        chunk.orders[i].checked_sub(1).ok_or_else(|| misfit("more orders leave than were there"))?;
    chunk.spent[i] =
        chunk.spent[i].checked_sub(flow.net).ok_or_else(|| misfit("its orders come to too much"))?;
    if chunk.orders[i] == 0 {
        if chunk.spent[i] != 0 {
            return Err(misfit("money without orders"));
        }
        chunk.last_at[i] = 0;
    }
    Ok(())
}

/// The figures of all who are scored.
fn figures(summed: &[Summed<'_>], at: Timestamp) -> Figures {
    let parts: Vec<Figures> = summed
        .par_chunks(64)
        .map(|group| {
            let mut part = Figures::default();
            for chunk in group.iter().map(|one| &one.chunk) {
                for i in (0..CHUNK_LEN).filter(|i| chunk.orders[*i] > 0) {
                    part.push(recency_days(Timestamp(chunk.last_at[i]), at), chunk.orders[i], chunk.spent[i]);
                }
            }
            part
        })
        .collect();
    let mut all = Figures::default();
    for part in &parts {
        all.append(part);
    }
    all
}

fn place(one: Summed<'_>, scorer: &Scorer, numbers: &[u8], at: Timestamp) -> Placed {
    let Summed { work, mut chunk, earlier } = one;
    let mut live = work.live.iter().peekable();
    let mut earlier = earlier.into_iter().peekable();
    let mut moves = Vec::new();
    let mut tallies = vec![Tally::default(); numbers.len() + 1];
    for i in 0..CHUNK_LEN {
        let here = chunk::contact_at(work.number, i);
        let before = live.next_if(|one| one.contact == here).map_or_else(|| chunk.place(i), |one| one.place);
        let has_earlier = earlier.next_if(|place| usize::from(*place) == i).is_some();
        let (group, code) = if chunk.orders[i] > 0 {
            let days = recency_days(Timestamp(chunk.last_at[i]), at);
            let code = scorer.score(days, chunk.orders[i], chunk.spent[i]);
            let group = scorer.group(code);
            tallies[group].push(days, chunk.orders[i], chunk.spent[i]);
            (numbers[group], code.digits())
        } else if has_earlier || before.group != NEVER {
            tallies[numbers.len()].push(0, 0, 0);
            (NONE, 0)
        } else {
            continue;
        };
        let after = if group == before.group {
            Place { code, ..before }
        } else {
            moves.push(Move { place: i as u16, from: before.group, to: group });
            Place { group, previous: before.group, code, since: at }
        };
        chunk.group[i] = after.group;
        chunk.previous[i] = after.previous;
        chunk.code[i] = after.code;
        chunk.since[i] = after.since.0;
    }
    let bytes = chunk.encode();
    let bytes = (work.bytes != Some(&bytes[..])).then_some(bytes);
    Placed { number: work.number, bytes, moves, tallies }
}
