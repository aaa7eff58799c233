//! The interpreter's loop: the first token takes its step, and stays, goes on, or leaves.

use std::cmp::Ordering;

use model::Timestamp;

use super::{Context, Leaving, Need, Progress, Run, Stay, TOKENS_MAX, Token, World};
use crate::{
    graph::Journey,
    nodes::{Flow, Passage, Wait},
    trace::{self, Detail, TraceStep},
};

/// Takes a run as far as it goes.
pub fn advance(run: &mut Run, world: &World<'_>) -> Progress {
    while let Some(token) = run.tokens.front() {
        let number = token.node;
        let visit = run.visit(number);
        let node = world.journey.node(number);
        let flow = guard(run, world, number).unwrap_or_else(|| {
            let Some(token) = run.tokens.front() else { return Flow::Needs(Vec::new()) };
            node.step.step(&mut Context {
                world,
                number,
                visit,
                answers: &run.answers,
                entry: &run.entry,
                stayed: token.stay.as_ref().zip(token.woken.as_ref()),
                exports: &token.exports,
                person: &mut run.person,
                sent: &mut run.sent,
                notes: &mut run.notes,
                held: &mut run.held,
                goal_at: &mut run.goal_at,
                wrote: &mut run.wrote,
                given: &mut run.given,
                done: &mut run.done,
            })
        });
        if !matches!(flow, Flow::Needs(_)) {
            let wrote = std::mem::take(&mut run.wrote);
            run.answers.forget(wrote, world.journey);
        }
        match flow {
            Flow::Needs(needs) => return Progress::Needs(needs),
            Flow::Wait(wait) => stay(run, world.now, wait),
            Flow::Done(passage) => pass(run, world.journey, number, passage),
            // Who must leave for good leaves with all branches.
            Flow::Leave(Leaving::While) => run.leave(Leaving::While),
            Flow::Leave(why) => leave_one(run, why),
            Flow::Exit(detail) => {
                pass(run, world.journey, number, Passage { outcome: 0, detail, exports: Vec::new() });
                run.leave(Leaving::ExitNode);
            }
        }
    }
    if run.staying.is_empty() { Progress::Done } else { Progress::Waiting }
}

/// What the journey asks before a node takes a contact: its limits, and `while` before a message. None: go on.
fn guard(run: &mut Run, world: &World<'_>, number: u16) -> Option<Flow> {
    let node = world.journey.node(number);
    let arrived = run.tokens.front().is_some_and(|token| token.stay.is_none());
    if world.paused && node.step.sends() {
        return Some(Flow::Wait(Wait::default()));
    }
    // A node that is stayed at was taken already; whether it may send is asked whenever it does.
    if arrived && node.limits.any() {
        let Some(before) = run.answers.passages(number) else {
            return Some(Flow::Needs(vec![Need::Passages(number)]));
        };
        let here = run.done.passed.iter().filter(|passed| **passed == number).count() as u64;
        let reached = |limit: Option<u64>, n: u64| limit.is_some_and(|limit| n + here >= limit);
        if reached(node.limits.per_contact, before.own) || reached(node.limits.in_total, before.total) {
            return Some(Flow::Leave(Leaving::Limit));
        }
    }
    if run.held && node.step.sends() {
        return Some(refused(node.step.skipped(), policy::Refusal::Holdout));
    }
    let keep = world.journey.keep.as_ref().filter(|_| number == 0 || node.step.sends())?;
    match run.answers.condition(keep.condition) {
        None => Some(Flow::Needs(vec![Need::Condition(keep.condition)])),
        Some(true) => None,
        Some(false) if keep.leave || number == 0 => Some(Flow::Leave(Leaving::While)),
        Some(false) => Some(node.step.skipped()),
    }
}

/// A message that is not sent, for this reason.
fn refused(flow: Flow, reason: policy::Refusal) -> Flow {
    match flow {
        Flow::Done(passage) => Flow::Done(Passage { detail: Detail::Refused(reason), ..passage }),
        other => other,
    }
}

fn stay(run: &mut Run, now: Timestamp, wait: Wait) {
    let Some(mut token) = run.tokens.pop_front() else { return };
    // A stay that goes on is the same stay.
    let since = token.stay.as_ref().map_or(now, |stay| stay.since);
    if token.stay.is_none() {
        let detail = wait.until.map_or(Detail::None, Detail::Until);
        run.done.trace.push(TraceStep { node: token.node, outcome: trace::STAYS, detail });
    }
    token.stay = Some(Stay { since, until: wait.until, memo: wait.memo });
    token.woken = None;
    run.staying.push(token);
}

fn leave_one(run: &mut Run, why: Leaving) {
    if let Some(token) = run.tokens.pop_front() {
        let step = TraceStep { node: token.node, outcome: trace::LEFT, detail: Detail::Left(why) };
        run.done.trace.push(step);
    }
}

/// Sends the first token on by the links of the outcome: itself by the first, copies by the others. All of them come
/// before the tokens that wait, so that a branch is finished before the next one begins. Copies for which there is no
/// room leave where they would have come.
fn pass(run: &mut Run, journey: &Journey, number: u16, passage: Passage) {
    run.visited(number);
    if journey.node(number).limits.any() {
        run.done.passed.push(number);
    }
    let Some(mut token) = run.tokens.pop_front() else { return };
    token.stay = None;
    token.woken = None;
    for (name, datum) in passage.exports {
        token.exports.put(number, name, datum);
    }
    let next = journey.node(number).next.get(usize::from(passage.outcome)).map_or(&[][..], Vec::as_slice);
    run.done.trace.push(TraceStep { node: number, outcome: passage.outcome, detail: passage.detail });
    match next.len().cmp(&1) {
        Ordering::Less => {}
        Ordering::Equal => run.tokens.push_front(Token { node: next[0], ..token }),
        Ordering::Greater => {
            let room = TOKENS_MAX.saturating_sub(run.tokens.len() + run.staying.len()).max(1);
            for to in next.iter().take(room).rev() {
                run.tokens.push_front(Token { node: *to, ..token.clone() });
            }
            let left = |to: &u16| TraceStep {
                node: *to,
                outcome: trace::LEFT,
                detail: Detail::Left(Leaving::Branches),
            };
            run.done.trace.extend(next.iter().skip(room).map(left));
        }
    }
}
