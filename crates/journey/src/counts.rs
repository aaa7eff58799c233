//! How many contacts came to each node and how they left it. Every passage is counted exactly once, under its outcome,
//! so that *in = left by each outcome* holds by construction and needs no second ledger; what came in by the links is
//! the check of it.

use std::collections::BTreeMap;

use policy::Refusal;

use crate::{
    graph::Journey,
    run::Leaving,
    trace::{self, Detail, TraceStep},
};

/// What is counted: a node's outcome, and the reason of a refused message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Measure {
    /// The node's number.
    pub node: u16,
    /// Place of the outcome among the node's outcomes.
    pub outcome: u8,
    /// Why a message was refused.
    pub refusal: Option<Refusal>,
    /// Why a contact left here before its path ended; the outcome is [`trace::LEFT`] then.
    pub left: Option<Leaving>,
}

/// Counts of passages; can be added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<Measure, u64>);

/// One line of a journey's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The node's number.
    pub node: u16,
    /// The outcome's word.
    pub outcome: String,
    /// Why a message was refused.
    pub refusal: Option<Refusal>,
    /// Why they left here before their path ended.
    pub left: Option<Leaving>,
    /// How many.
    pub contacts: u64,
    /// The nodes that they went to; empty for those who left the journey here.
    pub to: Vec<u16>,
    /// Whether they left because no link matches, though there are links or the node asks something.
    pub no_branch: bool,
}

impl Counts {
    /// Counts the steps of one contact. The beginning of a stay is no passage; a leaving is one, under [`trace::LEFT`].
    pub fn add(&mut self, steps: &[TraceStep]) {
        for step in steps.iter().filter(|step| step.outcome != trace::STAYS) {
            let refusal = match step.detail {
                Detail::Refused(refusal) => Some(refusal),
                _ => None,
            };
            let left = match step.detail {
                Detail::Left(why) => Some(why),
                _ => None,
            };
            let measure = Measure { node: step.node, outcome: step.outcome, refusal, left };
            *self.0.entry(measure).or_default() += 1;
        }
    }

    /// Takes over other counts.
    pub fn merge(&mut self, other: &Self) {
        for (measure, n) in &other.0 {
            *self.0.entry(*measure).or_default() += n;
        }
    }

    /// How many passages a node had.
    #[must_use]
    pub fn entered(&self, node: u16) -> u64 {
        self.0.iter().filter(|(measure, _)| measure.node == node).map(|(_, n)| n).sum()
    }

    /// The result line by line: each node in the file's order, each of its outcomes that happened or could, refused
    /// messages by reason.
    #[must_use]
    pub fn lines(&self, journey: &Journey) -> Vec<Line> {
        let mut lines = Vec::new();
        for (number, node) in journey.nodes.iter().enumerate() {
            let number = number as u16;
            for (outcome, word) in node.outcomes().iter().enumerate() {
                let found: Vec<(Option<Refusal>, u64)> = self
                    .0
                    .iter()
                    .filter(|(m, _)| m.node == number && usize::from(m.outcome) == outcome)
                    .map(|(m, n)| (m.refusal, *n))
                    .collect();
                let to = node.next[outcome].clone();
                let no_branch = to.is_empty() && leaves_by_no_branch(node);
                let empty = [(None, 0)];
                for (refusal, contacts) in if found.is_empty() { &empty[..] } else { &found } {
                    lines.push(Line {
                        node: number,
                        outcome: word.clone(),
                        refusal: *refusal,
                        left: None,
                        contacts: *contacts,
                        to: to.clone(),
                        no_branch,
                    });
                }
            }
            let early = self.0.iter().filter(|(m, _)| m.node == number && m.outcome == trace::LEFT);
            lines.extend(early.map(|(measure, n)| Line {
                node: number,
                outcome: "left".to_owned(),
                refusal: None,
                left: measure.left,
                contacts: *n,
                to: Vec::new(),
                no_branch: false,
            }));
        }
        lines
    }

    /// What does not add up: nodes whose passages are not those that came in by their links. Empty when all is well.
    #[must_use]
    pub fn mismatches(&self, journey: &Journey, enrolled: u64) -> Vec<(u16, u64, u64)> {
        let mut came: Vec<u64> = vec![0; journey.nodes.len()];
        came[0] = enrolled;
        for (measure, n) in &self.0 {
            let next = journey.node(measure.node).next.get(usize::from(measure.outcome));
            for to in next.map_or(&[][..], Vec::as_slice) {
                came[usize::from(*to)] += n;
            }
        }
        came.iter()
            .enumerate()
            .map(|(node, came)| (node as u16, *came, self.entered(node as u16)))
            .filter(|(_, came, entered)| came != entered)
            .collect()
    }
}

/// A contact whose path simply ends (a last mail, an end) has finished; one for whom a node has links, but none that
/// matches, or whose answer nobody drew, was left without a branch.
#[must_use]
pub fn leaves_by_no_branch(node: &crate::graph::Node) -> bool {
    !node.links.is_empty() || node.kind.role == crate::nodes::Role::Condition
}
