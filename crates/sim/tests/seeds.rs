//! Seeds that once found something, and as many others as `RELANCE_SIM_SEEDS` says (from 0 on).

use sim::{BOUNDS, many};

/// Other seeds, when nobody says how many.
const SEEDS: u64 = 60;

fn all_end_well(seeds: &[u64]) -> sim::Figures {
    let sum = many::run(seeds, &BOUNDS, |failure| eprintln!("{failure}"));
    let failed: Vec<u64> = sum.failures.iter().map(|failure| failure.seed).collect();
    assert!(
        failed.is_empty(),
        "{failed:?}: look with cargo run -p sim -- --seed {} --verbose, and keep it in crates/sim/seeds.txt",
        failed[0]
    );
    sum.figures
}

#[test]
fn stories_end_well_and_alike() {
    let kept = include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let mut seeds: Vec<u64> = kept
        .filter_map(|line| line.split_whitespace().next())
        .map(|seed| seed.parse().expect("a seed"))
        .collect();
    let wanted = std::env::var("RELANCE_SIM_SEEDS").ok();
    seeds.extend(0..wanted.map_or(SEEDS, |text| text.parse().expect("RELANCE_SIM_SEEDS is a number")));
    seeds.dedup();
    let figures = all_end_well(&seeds);
    // A simulation in which nothing happens proves nothing.
    assert!(figures.enrolments > 0 && figures.failures > 0, "{figures}");
}
