//! Tells the stories of seeds: `sim --seeds 1000..2000`, `sim --seed 17 --verbose`.

use std::process::ExitCode;

use sim::{BOUNDS, Failure, Figures, many, story::Story, world::Weather};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|n| args.get(n + 1));
    let verbose = args.iter().any(|arg| arg == "--verbose");
    let seeds = match (value("--seed"), value("--seeds")) {
        (Some(seed), None) => seed.parse().ok().map(|seed: u64| seed..seed + 1),
        (None, Some(range)) => {
            range.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?))
        }
        _ => None,
    };
    let Some(seeds) = seeds else {
        eprintln!("usage: sim --seeds FROM..TO | --seed N [--verbose]");
        return ExitCode::FAILURE;
    };
    if verbose {
        return tell(seeds.start);
    }
    let seeds: Vec<u64> = seeds.collect();
    let told = |failure: &Failure| println!("{failure}");
    let sum = many::run(&seeds, &BOUNDS, told);
    println!("{} seeds, {} failed; {}", seeds.len(), sum.failures.len(), sum.figures);
    if sum.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One story with everything that happens in it.
fn tell(seed: u64) -> ExitCode {
    let story = Story::new(seed, &BOUNDS);
    for folder in story.folders.iter().flatten() {
        println!("{}", folder.journey.text);
    }
    for segment in story.folders.first().into_iter().flatten().take(1).flat_map(|folder| &folder.segments) {
        println!("{}", segment.text);
    }
    for weather in [Weather::Calm, Weather::Crashes, Weather::Storm] {
        println!("== {weather:?}");
        match sim::tell(seed, &BOUNDS, weather, true, &mut Figures::default()) {
            Ok((_, told)) => println!("{}", told.join("\n")),
            Err(failure) => {
                println!("{}\n{}", failure.told.join("\n"), failure.what);
                return ExitCode::FAILURE;
            }
        }
    }
    match sim::run(seed, &BOUNDS) {
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("{}", failure.what);
            ExitCode::FAILURE
        }
    }
}
