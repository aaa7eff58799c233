//! Rows of neighbours out of the dense model and the damped cosine.

use super::{
    ease::Ease,
    pairs::{self, Pairs},
};

/// Neighbours of an item with their weights.
pub(crate) type Row = Vec<(u32, f32)>;

/// Fewest orders that hold both products: what happened once is chance, and most pairs of a long tail happened once.
const TOGETHER_MIN: u16 = 2;
/// Added to how often each product is bought, in orders of mean weight, before the cosine: rare products would
/// otherwise have the highest cosines.
const DAMPING: f32 = 5.0;

/// The damped cosine of an item with each other one that was bought with it at least twice.
fn cosines(pairs: &Pairs<'_>, item: u32, damping: f32, space: &mut pairs::Row) -> Row {
    let mut row = Row::new();
    let own = pairs.sums[item as usize] + damping;
    pairs.row(item, space, |other, sum, times| {
        if times >= TOGETHER_MIN {
            row.push((other, sum / (own * (pairs.sums[other as usize] + damping)).sqrt()));
        }
    });
    row
}

/// For each item asked for and each weight of the cosine: the `keep` neighbours whose blended weight is farthest from 0.
pub(crate) fn blended(
    pairs: &Pairs<'_>,
    model: Option<&Ease>,
    cosine_weights: &[f32],
    keep: usize,
    items: &[u32],
) -> Vec<Vec<Row>> {
    let damping = DAMPING * pairs.mean_weight();
    pairs.map_rows(items, |item, space| {
        let cosines = cosines(pairs, item, damping, space);
        let from = item as usize;
        let covered = model.filter(|model| from < model.len());
        let dense: Vec<f32> = covered
            .map_or_else(Vec::new, |model| (0..model.len()).map(|to| model.weight(from, to)).collect());
        cosine_weights
            .iter()
            .map(|cosine_weight| {
                // An item that the dense model does not cover has nothing but cosines, whatever they weigh.
                let cosine_weight = if dense.is_empty() { cosine_weight.max(1e-3) } else { *cosine_weight };
                let mut weights = dense.clone();
                let mut row = Row::new();
                for (to, cosine) in &cosines {
                    match weights.get_mut(*to as usize) {
                        Some(weight) => *weight += cosine_weight * cosine,
                        None => row.push((*to, cosine_weight * cosine)),
                    }
                }
                row.extend(weights.into_iter().enumerate().map(|(to, weight)| (to as u32, weight)));
                row.retain(|(_, weight)| *weight != 0.0);
                cut(row, keep)
            })
            .collect()
    })
}

/// For each item: the products most often bought in the same orders, by the damped cosine.
pub(crate) fn together(pairs: &Pairs<'_>, keep: usize, items: &[u32]) -> Vec<Row> {
    let damping = DAMPING * pairs.mean_weight();
    pairs.map_rows(items, |item, space| cut(cosines(pairs, item, damping, space), keep))
}

fn cut(mut row: Row, keep: usize) -> Row {
    let farther = |a: &(u32, f32), b: &(u32, f32)| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0));
    if row.len() > keep && keep > 0 {
        row.select_nth_unstable_by(keep - 1, farther);
        row.truncate(keep);
    }
    row.shrink_to_fit();
    row
}
