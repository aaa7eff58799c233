//! Seeds that once found something, and others: `RELANCE_SIM_SEEDS` says how many, `RELANCE_SIM_FROM` from which one on.
//! The gate tells 2,000.

use sim::{BOUNDS, many};

/// Other seeds, when nobody says how many.
const SEEDS: u64 = 60;

fn all_end_well(seeds: &[u64]) -> sim::Figures {
    let sum = many::run(seeds, &BOUNDS, |failure| {
        eprintln!("{failure}\n  again: cargo run -p sim -- --seed {} --verbose", failure.seed);
    });
    let failed: Vec<u64> = sum.failures.iter().map(|failure| failure.seed).collect();
    assert!(
        failed.is_empty(),
        "seeds {failed:?} found something: look with cargo run -p sim -- --seed {} --verbose, and keep it in crates/sim/seeds.txt",
        failed[0]
    );
    sum.figures
}

fn number(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
}

#[test]
fn stories_end_well_and_alike() {
    let kept = include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let mut seeds: Vec<u64> = kept
        .filter_map(|line| line.split_whitespace().next())
        .map(|seed| seed.parse().expect("a seed"))
        .collect();
    let from = number("RELANCE_SIM_FROM", 0);
    seeds.extend(from..from + number("RELANCE_SIM_SEEDS", SEEDS));
    seeds.sort_unstable();
    seeds.dedup();
    let figures = all_end_well(&seeds);
    println!("{} seeds, the others from {from} on: {figures}", seeds.len());
    // A simulation in which nothing happens proves nothing.
    assert!(figures.enrolments > 0 && figures.messages > 0 && figures.failures > 0, "{figures}");
}
