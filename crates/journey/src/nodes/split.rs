//! Sends contacts at random into 2 to 25 branches, by shares or equally. The draw is made anew at each passage, and the
//! same when a passage is computed again.
//!
//! `branches: {a: 50, b: 30, c: 20}` (per cent that make 100), or `branches: [a, b, c]` (equal shares).

use model::{Problem, doc};

use super::{Flow, Kind, Reading, Role, Step, branches};
use crate::{check::Binder, run::Context, trace::Detail};

/// Fewest branches.
pub const BRANCHES_MIN: usize = 2;
/// Most branches.
pub const BRANCHES_MAX: usize = 25;

/// The kind.
pub static KIND: Kind = Kind {
    word: "split",
    name_en: "Random split",
    name_fr: "Répartition aléatoire",
    role: Role::Condition,
    read,
};

#[derive(Debug)]
struct Split {
    names: Vec<String>,
    /// In ten-thousandths, together [`branches::WHOLE`].
    shares: Vec<u32>,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let (node, path) = reading.required("branches")?;
    let (names, shares) = read_branches(reading, node, &path, (BRANCHES_MIN, BRANCHES_MAX), &[])?;
    Some(Box::new(Split { names, shares }))
}

/// Names with their shares, which make all; between so many of them. Other words are taken.
pub(super) fn read_branches(
    reading: &mut Reading<'_, '_>,
    node: &doc::Node,
    path: &str,
    (min, max): (usize, usize),
    taken: &[&str],
) -> Option<(Vec<String>, Vec<u32>)> {
    let mut names: Vec<String> = Vec::new();
    let mut shares = Vec::new();
    for item in node.items().unwrap_or_default() {
        let name = item.scalar().unwrap_or_default();
        let taken: Vec<&str> = names.iter().map(String::as_str).chain(taken.iter().copied()).collect();
        branches::check_name(reading, &name, item.place, path, &taken)?;
        names.push(name);
    }
    for entry in node.entries().unwrap_or_default() {
        let path = format!("{path}.{}", entry.key);
        branches::check_name(reading, &entry.key, entry.place, &path, taken)?;
        shares.push(branches::share(reading, &entry.value, &path)?);
        names.push(entry.key.clone());
    }
    let problem = |message: String, cure: String| {
        Problem::new("journey.branches", message).field(path).at(node.place).cure(cure)
    };
    if !(min..=max).contains(&names.len()) {
        let message = format!("{} branches; possible are {min} to {max}", names.len());
        reading.problems.push(problem(message, "write branches: {a: 50, b: 50}, or [a, b]".into()));
        return None;
    }
    if shares.is_empty() {
        shares = branches::equal(names.len());
    }
    let sum: u32 = shares.iter().sum();
    if sum != branches::WHOLE {
        let percent = f64::from(sum) / 100.0;
        let message = format!("the shares make {percent} per cent");
        reading.problems.push(problem(message, "make them 100 together".into()));
        return None;
    }
    Some((names, shares))
}

impl Step for Split {
    fn branches(&self) -> Option<Vec<String>> {
        Some(self.names.clone())
    }

    fn bind(&mut self, _: &mut Binder<'_>) {}

    fn step(&self, context: &mut Context<'_>) -> Flow {
        let number = context.dice().below(u64::from(branches::WHOLE));
        let place = branches::place_of(&self.shares, number as u32);
        Flow::done(place as u8, Detail::None)
    }
}
