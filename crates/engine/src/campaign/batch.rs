//! One batch of an audience: entered, advanced until all wait or are done, and what is to be committed of it.

use std::sync::Arc;

use model::ContactId;
use storage::{
    Storage, StoreError,
    journeys::CountDelta,
    live::{Done, StepCommit},
};

use super::Shared;
use crate::live::{
    coupons::Lease,
    step::{self, Enters, Work},
    watch::Seen,
};

/// Measure of contacts who stay out because they were here before.
pub(super) const REENTRY: &str = "reentry";
/// Measure of contacts of the audience who are not in the base any more.
pub(super) const GONE: &str = "gone";

/// Computes a batch; where it begins and ends is the caller's.
pub(super) async fn compute<S: Storage>(
    store: S,
    shared: Arc<Shared>,
    chunk: Vec<ContactId>,
) -> Result<(StepCommit, Lease), StoreError> {
    let mut lease = shared.coupons.begin();
    let members = |slug: &str, contact: ContactId| {
        let place = shared.live.rules.journey.segments.iter().position(|known| known.as_str() == slug)?;
        Some(shared.members[place].contains(contact.0.unsigned_abs()))
    };
    let enters = Enters { journey: Arc::clone(&shared.live), contacts: chunk, again: shared.ran_before };
    let work = Work { enters: Some(enters), ..Work::default() };
    let (run, at) = (shared.run.id, shared.run.started_at);
    let done = Done::Audience { run, from: ContactId(0), to: ContactId(0) };
    let (mut commit, stepped) =
        step::compute(&store, &shared.ground, &members, &Seen::default(), &work, done, &mut lease, at)
            .await?;
    for (measure, n) in [(REENTRY, stepped.stayed_out), (GONE, stepped.gone)] {
        if n > 0 {
            commit.counts.push((run, CountDelta { node: String::new(), measure: measure.into(), n }));
        }
    }
    Ok((commit, lease))
}
