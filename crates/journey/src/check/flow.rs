//! What the graph as a whole must satisfy: every node can be reached, nobody goes round for ever, data is there
//! whichever way a contact came.

use std::collections::BTreeSet;

use model::{Problem, Problems};

use super::{After, Read, STEPS_MAX};
use crate::{
    data::DataType,
    graph::Node,
    nodes::{NO, Role, YES},
};

pub(super) fn check(
    nodes: &[Node],
    reads: &[Read],
    orders: &[After],
    coupons: &[(u16, u16)],
    problems: &mut Problems,
) {
    let graph = Graph::new(nodes);
    let reached = graph.reached();
    unreachable(nodes, &reached, problems);
    if let Some(round) = graph.loop_without_wait(nodes) {
        report_loop(nodes, &round, problems);
        return; // paths cannot be counted on a graph that goes round
    }
    graph.too_many_paths(nodes, problems);
    graph.multiplies(nodes, problems);
    data_on_every_path(nodes, &graph, &reached, reads, problems);
    message_before(nodes, &graph, &reached, orders, problems);
    coupon_twice(nodes, &graph, coupons, problems);
    loose_ends(nodes, &reached, problems);
    unguarded_products(nodes, &graph, &reached, reads, problems);
    message_twice(nodes, &graph, problems);
    before_holdout(nodes, &graph, &reached, problems);
}

/// Messages that some path sends to contacts who did not come through the holdout node.
fn before_holdout(nodes: &[Node], graph: &Graph, reached: &[bool], problems: &mut Problems) {
    let holdouts =
        (0..nodes.len() as u16).filter(|n| nodes[usize::from(*n)].step.holds()).collect::<Vec<_>>();
    if holdouts.is_empty() {
        return;
    }
    let before = dominators(graph, reached);
    let senders = (0..nodes.len()).filter(|n| reached[*n] && nodes[*n].step.sends());
    for sender in senders.filter(|n| !holdouts.iter().any(|holdout| before[*n].contains(holdout))) {
        let node = &nodes[sender];
        problems.push(
            Problem::warning(
                "journey.before_holdout",
                format!(
                    "`{}` may write to contacts that `{}` did not draw yet",
                    node.id,
                    nodes[usize::from(holdouts[0])].id
                ),
            )
            .field(format!("nodes.{}", node.id))
            .at(node.place)
            .cure("put the holdout right behind the start: who is held must get no message of the journey"),
        );
    }
}

/// Edges without their words.
struct Graph {
    next: Vec<BTreeSet<u16>>,
    before: Vec<BTreeSet<u16>>,
    /// By node, by outcome.
    by_outcome: Vec<Vec<Vec<u16>>>,
}

impl Graph {
    fn new(nodes: &[Node]) -> Self {
        let mut graph = Self {
            next: vec![BTreeSet::new(); nodes.len()],
            before: vec![BTreeSet::new(); nodes.len()],
            by_outcome: nodes.iter().map(|node| node.next.clone()).collect(),
        };
        for (number, node) in nodes.iter().enumerate() {
            for to in node.next.iter().flatten() {
                graph.next[number].insert(*to);
                graph.before[usize::from(*to)].insert(number as u16);
            }
        }
        graph
    }

    fn reached(&self) -> Vec<bool> {
        let mut reached = vec![false; self.next.len()];
        let mut open = vec![0_u16];
        while let Some(node) = open.pop() {
            if !std::mem::replace(&mut reached[usize::from(node)], true) {
                open.extend(&self.next[usize::from(node)]);
            }
        }
        reached
    }

    /// A loop on which no node waits, in order of the way round. Depth first, without recursion.
    fn loop_without_wait(&self, nodes: &[Node]) -> Option<Vec<u16>> {
        #[derive(Clone, Copy, PartialEq)]
        enum Colour {
            New,
            OnPath,
            Done,
        }
        let mut colours = vec![Colour::New; nodes.len()];
        for root in 0..nodes.len() as u16 {
            let mut path: Vec<(u16, Vec<u16>)> = Vec::new();
            let mut enter = Some(root).filter(|root| colours[usize::from(*root)] == Colour::New);
            while enter.is_some() || !path.is_empty() {
                if let Some(node) = enter.take() {
                    colours[usize::from(node)] = Colour::OnPath;
                    // A node that waits breaks every loop through it.
                    let next = if nodes[usize::from(node)].step.waits() {
                        Vec::new()
                    } else {
                        self.next[usize::from(node)].iter().copied().collect()
                    };
                    path.push((node, next));
                }
                let Some((node, next)) = path.last_mut() else { break };
                match next.pop() {
                    Some(to) if colours[usize::from(to)] == Colour::OnPath => {
                        let from = path.iter().position(|(known, _)| *known == to).unwrap_or(0);
                        return Some(path[from..].iter().map(|(node, _)| *node).collect());
                    }
                    Some(to) if colours[usize::from(to)] == Colour::New => enter = Some(to),
                    Some(_) => {}
                    None => {
                        colours[usize::from(*node)] = Colour::Done;
                        path.pop();
                    }
                }
            }
        }
        None
    }

    /// Nodes in an order in which links lead forward only. The graph has no loops (but through nodes that wait, whose
    /// links are left out).
    fn order(&self, nodes: &[Node]) -> Vec<u16> {
        let mut order = Vec::with_capacity(nodes.len());
        let mut done = vec![false; nodes.len()];
        for root in 0..nodes.len() as u16 {
            let mut open = vec![(root, false)];
            while let Some((node, leaving)) = open.pop() {
                if leaving {
                    order.push(node);
                } else if !std::mem::replace(&mut done[usize::from(node)], true) {
                    open.push((node, true));
                    if !nodes[usize::from(node)].step.waits() {
                        let next = self.next[usize::from(node)].iter();
                        open.extend(next.filter(|to| !done[usize::from(**to)]).map(|to| (*to, false)));
                    }
                }
            }
        }
        order.reverse();
        order
    }

    /// How often a contact can come to nodes that count, at most, beginning at each node: at a node the worst outcome,
    /// along it all links.
    fn worst_visits(&self, order: &[u16], counts: impl Fn(u16) -> u64) -> Vec<u64> {
        let mut visits = vec![0_u64; self.next.len()];
        for node in order.iter().rev() {
            let worst = self.by_outcome[usize::from(*node)]
                .iter()
                .map(|to| to.iter().fold(0_u64, |sum, to| sum.saturating_add(visits[usize::from(*to)])))
                .max()
                .unwrap_or_default();
            visits[usize::from(*node)] = worst.saturating_add(counts(*node));
        }
        visits
    }

    fn too_many_paths(&self, nodes: &[Node], problems: &mut Problems) {
        let steps = self.worst_visits(&self.order(nodes), |_| 1)[0];
        if steps > STEPS_MAX {
            problems.push(
                Problem::new(
                    "journey.too_many_paths",
                    format!("one contact could take {steps} steps at once: branches that fan out multiply"),
                )
                .field("links")
                .at(nodes[0].place)
                .cure(format!(
                    "let branches end instead of merging again; at most {STEPS_MAX} steps are possible"
                )),
            );
        }
    }

    /// The nodes from which a path leads to this one, itself only where it lies on a loop.
    fn leading_to(&self, node: u16) -> BTreeSet<u16> {
        let mut leading = BTreeSet::new();
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            open.extend(self.before[usize::from(node)].iter().filter(|before| leading.insert(**before)));
        }
        leading
    }

    /// Loops with two ways back by one answer: each round doubles the contact.
    fn multiplies(&self, nodes: &[Node], problems: &mut Problems) {
        let fans = |node: &u16| self.by_outcome[usize::from(*node)].iter().any(|to| to.len() > 1);
        for number in (0..nodes.len() as u16).filter(fans) {
            let leading = self.leading_to(number);
            let back = self.by_outcome[usize::from(number)]
                .iter()
                .map(|to| to.iter().filter(|to| **to == number || leading.contains(to)).copied().collect())
                .find(|back: &BTreeSet<u16>| back.len() > 1);
            let Some(back) = back else { continue };
            let (node, back) = (&nodes[usize::from(number)], Vec::from_iter(back));
            problems.push(
                Problem::new(
                    "journey.multiplies",
                    format!(
                        "{} ways lead back here by one answer ({}): each round doubles the contact",
                        back.len(),
                        back.iter()
                            .map(|to| nodes[usize::from(*to)].id.as_str())
                            .collect::<Vec<_>>()
                            .join(", ")
                    ),
                )
                .field(format!("nodes.{}", node.id))
                .at(node.place)
                .cure("let only one of the branches lead back"),
            );
        }
    }
}

fn names(nodes: &[Node], numbers: &[u16]) -> String {
    numbers.iter().map(|n| nodes[usize::from(*n)].id.as_str()).collect::<Vec<_>>().join(" → ")
}

fn unreachable(nodes: &[Node], reached: &[bool], problems: &mut Problems) {
    for (node, _) in nodes.iter().zip(reached).filter(|(_, reached)| !**reached) {
        problems.push(
            Problem::new("journey.unreachable", "no path from the start leads here")
                .field(format!("nodes.{}", node.id))
                .at(node.place)
                .cure("draw a link to it, or remove it"),
        );
    }
}

fn report_loop(nodes: &[Node], round: &[u16], problems: &mut Problems) {
    let first = &nodes[usize::from(round[0])];
    problems.push(
        Problem::new(
            "journey.loop",
            format!("contacts would go round without end: {} → {}", names(nodes, round), first.id),
        )
        .field(format!("nodes.{}", first.id))
        .at(first.place)
        .cure("remove a link of it, or let contacts wait on the way"),
    );
}

/// For each node, the nodes that come before it on every path, itself included: the classic dominators.
fn dominators(graph: &Graph, reached: &[bool]) -> Vec<BTreeSet<u16>> {
    let all: BTreeSet<u16> = (0..reached.len() as u16).collect();
    let mut sets = vec![all; reached.len()];
    sets[0] = BTreeSet::from([0]);
    loop {
        let mut changed = false;
        for node in 1..reached.len() {
            let mut set: Option<BTreeSet<u16>> = None;
            for before in graph.before[node].iter().filter(|n| reached[usize::from(**n)]) {
                let other = &sets[usize::from(*before)];
                set = Some(set.map_or_else(|| other.clone(), |set| &set & other));
            }
            let mut set = set.unwrap_or_default();
            set.insert(node as u16);
            if set != sets[node] {
                sets[node] = set;
                changed = true;
            }
        }
        if !changed {
            return sets;
        }
    }
}

/// A path from the start to a node that leaves another one out.
fn path_around(graph: &Graph, to: u16, without: u16) -> Option<Vec<u16>> {
    let mut from: Vec<Option<u16>> = vec![None; graph.next.len()];
    let mut open = std::collections::VecDeque::from([0_u16]);
    let mut seen = BTreeSet::from([0_u16]);
    while let Some(node) = open.pop_front() {
        if node == to {
            let mut path = vec![to];
            while let Some(before) = from[usize::from(path[path.len() - 1])] {
                path.push(before);
            }
            path.reverse();
            return Some(path);
        }
        for next in graph.next[usize::from(node)].iter().filter(|next| **next != without) {
            if seen.insert(*next) {
                from[usize::from(*next)] = Some(node);
                open.push_back(*next);
            }
        }
    }
    None
}

fn number_of(nodes: &[Node], read: &Read) -> Option<u16> {
    let id = read.path.parts().get(1)?;
    nodes.iter().position(|node| node.id == *id).map(|n| n as u16)
}

fn data_on_every_path(
    nodes: &[Node],
    graph: &Graph,
    reached: &[bool],
    reads: &[Read],
    problems: &mut Problems,
) {
    let before = dominators(graph, reached);
    for read in reads.iter().filter(|read| reached[usize::from(read.node)]) {
        let Some(source) = number_of(nodes, read) else { continue };
        if source != read.node && before[usize::from(read.node)].contains(&source) {
            continue;
        }
        let source_id = &nodes[usize::from(source)].id;
        let problem = |code, message: String| {
            Problem::new(code, message).field(&read.field).value(&read.path).at(read.place)
        };
        let reader = &nodes[usize::from(read.node)].id;
        problems.push(if source == read.node || !leads_to(graph, source, read.node) {
            problem("journey.data_not_before", format!("`{source_id}` does not come before `{reader}`"))
                .cure(format!("put `{source_id}` on the way to `{reader}`, or read another node"))
        } else {
            let around = path_around(graph, read.node, source).unwrap_or_default();
            problem(
                "journey.data_not_on_every_path",
                format!("`{source_id}` is left out on the path {}", names(nodes, &around)),
            )
            .cure(format!("lead every path to `{reader}` through `{source_id}`, or use a node for each path"))
        });
    }
}

/// A wait for an interaction with a message that some path does not send.
fn message_before(
    nodes: &[Node],
    graph: &Graph,
    reached: &[bool],
    orders: &[After],
    problems: &mut Problems,
) {
    let before = dominators(graph, reached);
    for order in orders.iter().filter(|order| reached[usize::from(order.node)]) {
        if order.before != order.node && before[usize::from(order.node)].contains(&order.before) {
            continue;
        }
        let (message, waits) = (&nodes[usize::from(order.before)].id, &nodes[usize::from(order.node)].id);
        let around = path_around(graph, order.node, order.before).unwrap_or_default();
        problems.push(
            Problem::new(
                "journey.message_not_before",
                format!("`{message}` sends nothing on the path {}", names(nodes, &around)),
            )
            .field(&order.field)
            .value(message)
            .at(order.place)
            .cure(format!("lead every path to `{waits}` through `{message}`")),
        );
    }
}

/// Two codes of one set for the same contact: most likely one was meant.
fn coupon_twice(nodes: &[Node], graph: &Graph, coupons: &[(u16, u16)], problems: &mut Problems) {
    // What a node asks for first is its set; the others are alternatives.
    let mut firsts: Vec<(u16, u16)> = Vec::new();
    for (node, set) in coupons {
        if firsts.iter().all(|(known, _)| known != node) {
            firsts.push((*node, *set));
        }
    }
    for (later, set) in &firsts {
        let earlier =
            firsts.iter().find(|(node, own)| own == set && node != later && leads_to(graph, *node, *later));
        let Some((earlier, _)) = earlier else { continue };
        let (first, second) = (&nodes[usize::from(*earlier)], &nodes[usize::from(*later)]);
        problems.push(
            Problem::warning(
                "journey.coupon_twice",
                format!("`{}` has assigned a code of the same set before", first.id),
            )
            .field(format!("nodes.{}", second.id))
            .at(second.place)
            .cure(format!("read the code of `{}`, or reuse a code that has not expired", first.id)),
        );
    }
}

fn leads_to(graph: &Graph, from: u16, to: u16) -> bool {
    let mut seen = BTreeSet::new();
    let mut open: Vec<u16> = graph.next[usize::from(from)].iter().copied().collect();
    while let Some(node) = open.pop() {
        if node == to {
            return true;
        }
        if seen.insert(node) {
            open.extend(&graph.next[usize::from(node)]);
        }
    }
    false
}

/// Answers that lead nowhere, and paths that end without having done anything.
fn loose_ends(nodes: &[Node], reached: &[bool], problems: &mut Problems) {
    for (node, _) in nodes.iter().zip(reached).filter(|(_, reached)| **reached) {
        let at = |code, message: String| {
            Problem::warning(code, message).field(format!("nodes.{}", node.id)).at(node.place)
        };
        match node.kind.role {
            Role::Start if node.links.is_empty() => {
                problems.push(
                    Problem::new("journey.empty", "nothing follows the start")
                        .field("links")
                        .at(node.place)
                        .cure("draw a link from `start` to the first node"),
                );
            }
            Role::Condition => {
                for (word, _) in node.outcomes().iter().zip(&node.next).filter(|(_, to)| to.is_empty()) {
                    problems.push(
                        at(
                            "journey.no_branch",
                            format!("contacts for whom the answer is `{word}` stop here"),
                        )
                        .cure(format!("draw a link with `when: \"{word}\"` if they should go on")),
                    );
                }
            }
            Role::Source if node.links.is_empty() => {
                problems.push(
                    at("journey.dead_end", "the path ends here, and nobody uses the data".into())
                        .cure("go on from here, or remove the node"),
                );
            }
            Role::Start | Role::Source | Role::Action | Role::End => {}
        }
    }
}

/// A message whose products come from a node that may find none: some path must not lead through its `yes`, or a check.
fn unguarded_products(
    nodes: &[Node],
    graph: &Graph,
    reached: &[bool],
    reads: &[Read],
    problems: &mut Problems,
) {
    for read in reads.iter().filter(|read| reached[usize::from(read.node)]) {
        let sends = nodes[usize::from(read.node)].step.sends();
        let Some(source) = number_of(nodes, read) else { continue };
        let lists = nodes[usize::from(source)].step.exports();
        let whole = read.path.parts().get(2).is_none_or(|name| {
            lists.iter().any(|export| export.name == name && export.kind == DataType::ProductList)
        });
        if !sends || !whole || nodes[usize::from(source)].kind.role != Role::Source || lists.is_empty() {
            continue;
        }
        if reaches_unguarded(nodes, graph, source, read.node, reads) {
            let id = &nodes[usize::from(source)].id;
            problems.push(
                Problem::warning(
                    "journey.unguarded_products",
                    format!("when `{id}` finds nothing the message goes out without products"),
                )
                .field(&read.field)
                .value(&read.path)
                .at(read.place)
                .cure(format!(
                    "put `when: \"yes\"` on the link from `{id}`, or hide the block in the template"
                )),
            );
        }
    }
}

/// Whether a contact for whom `source` found nothing can come to `reader` without passing a condition on its data.
fn reaches_unguarded(nodes: &[Node], graph: &Graph, source: u16, reader: u16, reads: &[Read]) -> bool {
    let asks = |node: u16| {
        nodes[usize::from(node)].kind.role == Role::Condition
            && reads.iter().any(|read| read.node == node && number_of(nodes, read) == Some(source))
    };
    let found_nothing = &graph.by_outcome[usize::from(source)];
    let mut open: Vec<u16> = found_nothing
        .get(usize::from(NO))
        .or(found_nothing.get(usize::from(YES)))
        .cloned()
        .unwrap_or_default();
    let mut seen = BTreeSet::new();
    while let Some(node) = open.pop() {
        if node == reader {
            return true;
        }
        if seen.insert(node) && !asks(node) {
            open.extend(&graph.next[usize::from(node)]);
        }
    }
    false
}

/// Branches of a fan-out that meet again before a message.
fn message_twice(nodes: &[Node], graph: &Graph, problems: &mut Problems) {
    let order = graph.order(nodes);
    for (number, node) in nodes.iter().enumerate().filter(|(_, node)| node.step.sends()) {
        let visits = graph.worst_visits(&order, |other| u64::from(usize::from(other) == number))[0];
        if visits > 1 {
            problems.push(
                Problem::warning(
                    "journey.message_twice",
                    format!(
                        "a contact could get this message {visits} times: branches that fan out meet here"
                    ),
                )
                .field(format!("nodes.{}", node.id))
                .at(node.place)
                .cure("let only one of the branches lead here"),
            );
        }
    }
}
