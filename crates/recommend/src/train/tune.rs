//! Chooses the settings on the shop's own last orders: learns from the orders before them, leaves products out of them,
//! and looks for what was left out.

use std::collections::HashMap;

use model::{Dice, Timestamp};
use rayon::prelude::*;

use super::{
    Settings,
    baskets::Baskets,
    ease::Ease,
    pairs::Pairs,
    rows::{self, Row},
};

/// Most orders that are held out; the last tenth when that is less.
const HELD_OUT_MAX: usize = 4_000;
/// Fewest orders that can be held out: with less, chance would choose.
const HELD_OUT_MIN: usize = 100;
/// How many recommendations count.
const DEPTH: usize = 6;

const SIZE_EXPONENTS: [f32; 3] = [0.5, 0.0, 1.0];
const RIDGES: [f32; 4] = [50.0, 20.0, 100.0, 8.0];
const HALF_LIVES: [Option<f32>; 3] = [None, Some(365.0), Some(120.0)];
const COSINES: [f32; 6] = [0.0, 0.05, 0.1, 0.2, 0.4, 0.8];
const REPEAT_HALF_LIVES: [f32; 7] = [15.0, 30.0, 60.0, 90.0, 180.0, 365.0, 3650.0];

/// A question whose answer is known.
struct Question {
    context: Vec<u32>,
    targets: Vec<u32>,
}

/// The best settings, and their quality; the defaults when there are too few orders to tell.
pub(crate) fn choose(baskets: &Baskets, neighbours: usize, head: usize) -> (Settings, Option<f32>) {
    let mut settings = Settings::default();
    let held_out = (baskets.len() / 10).min(HELD_OUT_MAX);
    if held_out < HELD_OUT_MIN {
        return (settings, None);
    }
    let known = baskets.len() - held_out;
    settings.repeat_half_life_days = repeat_half_life(baskets, known);
    let [one, half] = questions(baskets, known);
    if one.len() < HELD_OUT_MIN {
        return (settings, None);
    }
    let mut wanted: Vec<u32> = one.iter().chain(&half).flat_map(|q| q.context.iter().copied()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut pairs = Pairs::new(baskets, known, settings.size_exponent, settings.half_life_days);
    let mut best: Option<(f32, Settings)> = None;
    let mut trial = |settings: Settings, best: &mut Option<(f32, Settings)>| {
        pairs.reweigh(settings.size_exponent, settings.half_life_days);
        let model = Ease::fit(&pairs, head, settings.ridge);
        let blends = rows::blended(&pairs, model.as_ref(), &COSINES, neighbours, &wanted);
        for (i, cosine) in COSINES.into_iter().enumerate() {
            let row_of = |item: u32| wanted.binary_search(&item).ok().map(|at| &blends[at][i]);
            let quality = (ndcg(&one, baskets.products.len(), row_of)
                + ndcg(&half, baskets.products.len(), row_of))
                / 2.0;
            if best.is_none_or(|(other, _)| quality > other) {
                *best = Some((quality, Settings { cosine, ..settings }));
            }
        }
    };
    // One setting after the other, each at the best of those before it; the first of each list has been tried already.
    trial(settings, &mut best);
    for size_exponent in SIZE_EXPONENTS.into_iter().skip(1) {
        trial(Settings { size_exponent, ..settings }, &mut best);
    }
    let now = best.map_or(settings, |(_, settings)| settings);
    for ridge in RIDGES.into_iter().skip(1) {
        trial(Settings { ridge, ..now }, &mut best);
    }
    let now = best.map_or(settings, |(_, settings)| settings);
    for half_life_days in HALF_LIVES.into_iter().skip(1) {
        trial(Settings { half_life_days, ..now }, &mut best);
    }
    best.map_or((settings, None), |(quality, settings)| (settings, Some(quality)))
}

/// From each held-out order: all but one product given, and half of them given. Products that nobody had bought before
/// cannot be found by anybody and are left out.
fn questions(baskets: &Baskets, known: usize) -> [Vec<Question>; 2] {
    let (offsets, _) = baskets.by_item(known);
    let is_known = |item: u32| offsets[item as usize] < offsets[item as usize + 1];
    let (mut one, mut half) = (Vec::new(), Vec::new());
    for basket in known..baskets.len() {
        let mut items: Vec<u32> =
            baskets.items(basket).iter().copied().filter(|item| is_known(*item)).collect();
        if items.len() < 2 {
            continue;
        }
        Dice::of(&[basket as u64]).shuffle(&mut items);
        let ask =
            |given: usize| Question { context: items[..given].to_vec(), targets: items[given..].to_vec() };
        one.push(ask(items.len() - 1));
        if items.len() >= 4 {
            half.push(ask(items.len() / 2));
        }
    }
    [one, half]
}

/// Mean nDCG@6 with binary relevance.
fn ndcg<'a>(questions: &[Question], items: usize, row_of: impl Fn(u32) -> Option<&'a Row> + Sync) -> f32 {
    if questions.is_empty() {
        return 0.0;
    }
    let sum: f64 = questions
        .par_iter()
        .map_init(
            || (vec![0.0_f32; items], Vec::new()),
            |(sums, touched), question| {
                for (to, weight) in question.context.iter().filter_map(|item| row_of(*item)).flatten() {
                    if sums[*to as usize] == 0.0 {
                        touched.push(*to);
                    }
                    sums[*to as usize] += weight;
                }
                touched.sort_unstable();
                touched.dedup();
                for item in &question.context {
                    sums[*item as usize] = 0.0;
                }
                let ranked = best(touched.iter().map(|item| (*item, sums[*item as usize])));
                for item in touched.drain(..) {
                    sums[item as usize] = 0.0;
                }
                gain(&ranked, &question.targets)
            },
        )
        .collect::<Vec<f64>>()
        .into_iter()
        .sum();
    (sum / questions.len() as f64) as f32
}

/// The few highest positive scores, the highest first; ties go to the commoner item.
fn best(scores: impl Iterator<Item = (u32, f32)>) -> Vec<u32> {
    let mut top: Vec<(u32, f32)> = Vec::with_capacity(DEPTH + 1);
    for (item, score) in scores.filter(|(_, score)| *score > 0.0) {
        let ahead = top.iter().take_while(|(other, s)| *s > score || (*s == score && *other < item)).count();
        if ahead < DEPTH {
            top.insert(ahead, (item, score));
            top.truncate(DEPTH);
        }
    }
    top.into_iter().map(|(item, _)| item).collect()
}

fn gain(ranked: &[u32], targets: &[u32]) -> f64 {
    let discount = |place: usize| 1.0 / ((place + 2) as f64).log2();
    let found: f64 = ranked
        .iter()
        .enumerate()
        .filter(|(_, item)| targets.contains(item))
        .map(|(place, _)| discount(place))
        .sum();
    let ideal: f64 = (0..targets.len().min(DEPTH)).map(discount).sum();
    if ideal > 0.0 { found / ideal } else { 0.0 }
}

/// The half-life with which a customer's purchases before tell the first held-out order best.
fn repeat_half_life(baskets: &Baskets, known: usize) -> f32 {
    let mut histories: HashMap<u32, Vec<usize>> = HashMap::new();
    for basket in 0..known {
        if let Some(customer) = baskets.customers[basket] {
            histories.entry(customer).or_default().push(basket);
        }
    }
    let mut asked: Vec<(usize, Vec<usize>)> = Vec::new();
    for basket in known..baskets.len() {
        if let Some(history) = baskets.customers[basket].and_then(|customer| histories.remove(&customer)) {
            asked.push((basket, history));
        }
    }
    if asked.len() < HELD_OUT_MIN {
        return Settings::default().repeat_half_life_days;
    }
    let mut chosen = (f64::MIN, Settings::default().repeat_half_life_days);
    for half_life in REPEAT_HALF_LIVES {
        let sum: f64 = asked
            .par_iter()
            .map(|(basket, history)| {
                let ranked = repeats(baskets, history, baskets.times[*basket], half_life);
                gain(&ranked, baskets.items(*basket))
            })
            .collect::<Vec<f64>>()
            .into_iter()
            .sum();
        if sum > chosen.0 {
            chosen = (sum, half_life);
        }
    }
    chosen.1
}

fn repeats(baskets: &Baskets, history: &[usize], now: Timestamp, half_life_days: f32) -> Vec<u32> {
    let mut sums: HashMap<u32, f32> = HashMap::new();
    for basket in history {
        let age = now.since(baskets.times[*basket]) as f32 / (half_life_days * Timestamp::DAY as f32);
        let weight = (-age).exp2().max(f32::MIN_POSITIVE);
        for item in baskets.items(*basket) {
            *sums.entry(*item).or_default() += weight;
        }
    }
    best(sums.into_iter())
}
