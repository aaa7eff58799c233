//! One batch: load, advance until all are done, and say what is to be committed.

use std::sync::Arc;

use journey::{Counts, Effects, Entry, Finished, Need, Progress, Run, World, advance, trace};
use model::ContactId;
use storage::{
    Storage, StoreError,
    journeys::{BatchCommit, CountDelta, FieldChange, NewEnrolment},
    outbox::{MessageId, OutboxMessage},
};

use super::{Shared, load, report};

/// Measure of contacts who stay out because they were here before.
pub(super) const REENTRY: &str = "reentry";
/// Measure of contacts of the audience who are not in the base any more.
pub(super) const GONE: &str = "gone";

/// Computes a batch; `from` and `to` are the caller's.
pub(super) async fn compute<S: Storage>(
    store: S,
    shared: Arc<Shared>,
    chunk: Vec<ContactId>,
) -> Result<BatchCommit, StoreError> {
    let asked = chunk.len();
    let chunk = load::admitted(&store, &shared, chunk).await?;
    let stay_out = asked - chunk.len();
    let people = load::people(&store, &shared, &chunk).await?;
    let gone = chunk.len() - people.len();
    let mut runs: Vec<Run> =
        people.into_iter().map(|person| Run::new(person, Entry::first(shared.run.started_at))).collect();
    loop {
        let (back, needs) = on_a_thread(&shared, runs).await?;
        runs = back;
        if needs.is_empty() {
            break;
        }
        load::answer(&store, &shared, &mut runs, &needs).await?;
    }
    let shared_too = Arc::clone(&shared);
    let mut commit = tokio::task::spawn_blocking(move || to_commit(&shared_too, runs))
        .await
        .map_err(|error| StoreError::Driver(format!("a batch's thread ended: {error}")))?;
    for (measure, n) in [(REENTRY, stay_out), (GONE, gone)] {
        if n > 0 {
            commit.counts.push(CountDelta { node: String::new(), measure: measure.into(), n: n as u64 });
        }
    }
    Ok(commit)
}

/// What each run needs that is not done, by its place.
pub(super) type Needed = Vec<(usize, Vec<Need>)>;

/// Advances all runs as far as they go without the database.
async fn on_a_thread(shared: &Arc<Shared>, mut runs: Vec<Run>) -> Result<(Vec<Run>, Needed), StoreError> {
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || {
        let sending = policy::SendingRules::default();
        let world = World {
            journey: &shared.rules.journey,
            catalogue: &shared.catalogue,
            frozen: &shared.frozen,
            defaults: &shared.defaults,
            now: shared.run.started_at,
            zone: &shared.zone,
            seed: shared.run.seed,
            run: shared.run.id,
            sending: &sending,
            winners: &[],
            paused: false,
        };
        let mut needed = Vec::new();
        for (place, run) in runs.iter_mut().enumerate() {
            if let Some(needs) = advance_in_memory(run, &world, &shared) {
                needed.push((place, needs));
            }
        }
        (runs, needed)
    })
    .await
    .map_err(|error| StoreError::Driver(format!("a batch's thread ended: {error}")))
}

/// Advances one run, answering membership from memory; none when it is done.
fn advance_in_memory(run: &mut Run, world: &World<'_>, shared: &Shared) -> Option<Vec<Need>> {
    loop {
        let Progress::Needs(needs) = advance(run, world) else { return None };
        let mut answered = false;
        for need in &needs {
            if let Need::Member(slot) = need {
                let member = load::is_member(run, *slot, shared);
                run.answers().set_member(*slot, member);
                answered = true;
            }
        }
        if !answered {
            return Some(needs);
        }
    }
}

fn to_commit(shared: &Shared, runs: Vec<Run>) -> BatchCommit {
    let at = shared.run.started_at;
    let mut counts = Counts::default();
    let mut enrolments = Vec::with_capacity(runs.len());
    let mut messages = Vec::with_capacity(runs.len());
    for run in runs {
        let Finished { person, effects, .. } = run.finish();
        let (contact, Effects { changes, messages: decided, trace: steps, .. }) = (person.contact, effects);
        counts.add(&steps);
        for message in decided {
            let Some(send) = &shared.sends[usize::from(message.node)] else { continue };
            let run_no = shared.run.id as u32;
            messages.push(OutboxMessage {
                // A contact takes part in a run over an audience once: its number tells its enrolment.
                id: MessageId::derive(run_no, contact.id.0.unsigned_abs(), 1, &send.node, message.visit),
                contact: contact.id,
                send: Arc::clone(send),
                to: message.to,
                locale: message.locale,
                variables: message.variables,
                decided_at: at,
                not_before: message.not_before.unwrap_or(at),
                expires_at: message.expires_at,
            });
        }
        let changes = changes
            .into_iter()
            .map(|change| FieldChange { field: change.field, before: change.before, after: change.after })
            .collect();
        enrolments.push(NewEnrolment { contact: contact.id, trace: trace::encode(at, &steps), changes });
    }
    BatchCommit {
        run: shared.run.id,
        from: ContactId(0),
        to: ContactId(0),
        at,
        enrolments,
        counts: report::deltas(&shared.rules.journey, &counts),
        messages,
    }
}
