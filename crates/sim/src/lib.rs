//! A seeded simulation of the living engine: random shops with random but sound journeys, told three times — in calm, with
//! crashes, in a storm — and looked at all the time. What happens in the shop and where the engine breaks comes from the seed
//! alone. One seed in sixteen has a base with threads of its own, which have their say in who meets whom: what must always
//! be so is looked at there too, but two endings are not compared.
//!
//! ```text
//! cargo run -p sim -- --seeds 1000..2000
//! cargo run -p sim -- --seed 17 --verbose
//! ```

pub mod check;
pub mod dump;
pub mod faults;
pub mod grammar;
pub mod many;
pub mod post;
pub mod sending;
pub mod story;
pub mod world;

use model::Timestamp;
use story::{Bounds, Story};
use world::{Weather, World};

/// Bounds of the stories of seeds.
pub const BOUNDS: Bounds = Bounds { steps: 18, contacts: 6, journeys: 3 };

/// A story that did not end well.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// In which weather.
    pub weather: Weather,
    /// What is wrong.
    pub what: String,
    /// What happened until then.
    pub told: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {} ({:?}): {}", self.seed, self.weather, self.what)
    }
}

/// What came of a seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Messages decided.
    pub messages: usize,
    /// Failures that were made.
    pub failures: u64,
    /// Enrolments.
    pub enrolments: usize,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { messages, failures, enrolments } = self;
        write!(f, "{enrolments} enrolments, {messages} messages, {failures} failures made")
    }
}

impl Figures {
    /// Adds others.
    pub const fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.failures += other.failures;
        self.enrolments += other.enrolments;
    }
}

/// Tells the story of a seed in all weathers.
///
/// # Errors
/// What is not as it must be.
pub fn run(seed: u64, bounds: &Bounds) -> Result<Figures, Box<Failure>> {
    let mut figures = Figures::default();
    let alike = |first: &Ending, second: &Ending, weather: Weather, what: &str| {
        let differences = dump::differ(&first.0, &second.0);
        if differences.is_empty() || world::has_threads(seed) {
            return Ok(());
        }
        let what = format!("{what}:\n{differences}");
        Err(Box::new(Failure { seed, weather, what, told: second.1.clone() }))
    };
    let calm = tell(seed, bounds, Weather::Calm, false, &mut figures)?;
    let crashes = tell(seed, bounds, Weather::Crashes, false, &mut figures)?;
    alike(&calm, &crashes, Weather::Crashes, "with crashes it ends otherwise (- calm, + crashes)")?;
    let storm = tell(seed, bounds, Weather::Storm, false, &mut figures)?;
    // Some are told twice: nothing may depend on which thread was faster, or on the order in which a map is read.
    if seed % 8 == 1 {
        for (weather, first) in [(Weather::Calm, &calm), (Weather::Storm, &storm)] {
            let again = tell(seed, bounds, weather, false, &mut figures)?;
            alike(first, &again, weather, "told again it ends otherwise (- first, + again)")?;
        }
    }
    figures.messages = calm.0.iter().filter(|line| line.starts_with("messages:")).count();
    figures.enrolments = calm.0.iter().filter(|line| line.starts_with("enrolments:")).count();
    Ok(figures)
}

/// A base as text, and what was told on the way.
pub type Ending = (Vec<String>, Vec<String>);

/// Tells the story of a seed once: the base at its end, and what happened; `ways`: and which ways contacts went.
///
/// # Errors
/// What is not as it must be.
pub fn tell(
    seed: u64,
    bounds: &Bounds,
    weather: Weather,
    ways: bool,
    figures: &mut Figures,
) -> Result<Ending, Box<Failure>> {
    let story = Story::new(seed, bounds);
    let fail = |what: String, told: Vec<String>| Box::new(Failure { seed, weather, what, told });
    let mut world = World::new(seed, weather, story.start).map_err(|what| fail(what, Vec::new()))?;
    let told = go(&mut world, &story);
    figures.failures += world.faults.count();
    match told {
        Ok(base) => {
            let mut told = std::mem::take(&mut world.told);
            if ways {
                told.extend(check::tell_ways(&mut world, &story).unwrap_or_default());
            }
            Ok((base, told))
        }
        Err(what) => {
            let mut told = std::mem::take(&mut world.told);
            told.extend(world.faults.take());
            told.extend(check::tell_ways(&mut world, &story).unwrap_or_default());
            Err(fail(what, told))
        }
    }
}

fn go(world: &mut World, story: &Story) -> Result<Vec<String>, String> {
    world.begin(story)?;
    let last = story.acts.len() - 1;
    for (place, (at, act)) in story.acts.iter().enumerate() {
        world.until(*at)?;
        world.jump();
        world.act(act, story)?;
        // What was true at a later time than now is not undone by a clock that is set back.
        let deep = (place % 5 == 4 || place == last) && world.now >= world.latest;
        check::at_rest(world, deep)?;
    }
    world.catch_up()?;
    // The next night, and everything that is still to be delivered.
    world.until(world.latest)?;
    let night = (world.now.plus(-Timestamp::HOUR).0.div_euclid(Timestamp::DAY) + 1) * Timestamp::DAY;
    world.until(Timestamp(night).plus(Timestamp::HOUR))?;
    check::after_a_night(world)?;
    check::at_rest(world, true)?;
    world.drain(story)?;
    check::at_rest(world, true)?;
    check::at_end(world)?;
    world.die();
    dump::dump(&world.path)
}
