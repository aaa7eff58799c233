//! What the contacts of a batch came to, put into its commit.

use std::sync::Arc;

use journey::{Counts, trace};
use model::{ContactId, Event, MessageId, Timestamp, event::kind};
use serde_json::json;
use storage::{
    Storage,
    journeys::CountDelta,
    live::{CAUSES_MAX, CouponUse, EnrolmentStep, NewInput, StepCommit},
    outbox::OutboxMessage,
};

use super::{
    super::{
        LiveJourney,
        actor::{Actor, Left, Outcome},
        trials,
    },
    Batch, Stepped,
};
use crate::campaign::report;

impl<S: Storage> Batch<'_, S> {
    /// What an actor came to, put into the commit.
    pub(super) fn take_over(&self, mut actor: Actor, commit: &mut StepCommit, stepped: &mut Stepped) {
        let (contact, causes) = (actor.contact, actor.causes);
        commit.held.append(&mut actor.held);
        for goal in &actor.goals {
            let live = self.ground.book.counting(goal.run);
            commit.trials.extend(live.into_iter().flat_map(|live| trials::late_goal(live, contact, goal.at)));
        }
        commit.goals.append(&mut actor.goals);
        let Outcome { left, alarm, fields, lists } = actor.finish();
        if !fields.is_empty() {
            commit.changes.push((contact, fields));
        }
        commit.lists.extend(lists.into_iter().map(|(list, member)| (contact, list, member)));
        commit.alarms.extend(alarm.map(|alarm| (contact, alarm)));
        for left in left {
            stepped.steps += left.finished.effects.trace.len() as u64;
            self.enrolment(contact, left, causes, commit, stepped);
        }
    }

    fn enrolment(
        &self,
        contact: ContactId,
        left: Left,
        causes: u8,
        commit: &mut StepCommit,
        stepped: &mut Stepped,
    ) {
        let Left { journey: live, entry, fresh, stays, arrived, finished } = left;
        let (journey, run) = (&live.rules.journey, live.record.run);
        let effects = finished.effects;
        let mut counts = Counts::default();
        counts.add(&effects.trace);
        commit.counts.extend(report::deltas(journey, &counts).into_iter().map(|delta| (run, delta)));
        let moved_in = arrived.into_iter().map(|node| (run, report::moved_in(journey, node)));
        commit.counts.extend(moved_in);
        commit.trials.extend(trials::took(&live, contact, &effects.trace, finished.goal_at, self.now));
        for message in effects.messages {
            commit.messages.extend(outbox(&live, contact, entry.ordinal, message, self.now));
        }
        for assigned in effects.coupons {
            commit.coupons.push(CouponUse {
                set: journey.coupons[usize::from(assigned.set)].clone(),
                code: assigned.code,
                contact,
                run,
                ordinal: entry.ordinal,
                node: journey.node(assigned.node).id.clone(),
                expires_at: assigned.expires_at,
            });
        }
        for node in effects.passed {
            commit.passages.push((contact, journey.slug.clone(), journey.node(node).id.clone(), 1));
        }
        let mut raised: Vec<(Event, bool)> = Vec::new();
        let event = |kind: &str, properties| Event {
            contact,
            at: self.now,
            received_at: self.now,
            kind: kind.to_owned(),
            message_id: None,
            properties,
        };
        let mut fields: Vec<&str> = effects.changes.iter().map(|change| change.field.as_str()).collect();
        if !effects.lists.is_empty() {
            fields.push("lists");
        }
        if !fields.is_empty() {
            let properties = [("fields".to_owned(), json!(fields))].into_iter().collect();
            raised.push((event(kind::CONTACT_UPDATED, properties), false));
        }
        for one in effects.raised {
            raised.push((event(&one.kind, one.properties), one.kind != kind::JOURNEY_ENTRY));
        }
        for (event, stored) in raised {
            if causes + 1 >= CAUSES_MAX {
                stepped.dropped += 1;
                let measure = report::DROPPED.to_owned();
                commit.counts.push((run, CountDelta { node: String::new(), measure, n: 1 }));
            } else {
                commit.inputs.push(NewInput { event, causes: causes + 1, stored });
            }
        }
        commit.enrolments.push(EnrolmentStep {
            contact,
            run,
            ordinal: entry.ordinal,
            key: fresh.then_some(entry.key),
            trace: trace::encode(self.now, &effects.trace),
            state: finished.kept,
            goal_at: finished.goal_at,
            stays: stays.into_iter().map(|node| journey.node(node).id.clone()).collect(),
        });
    }
}

/// A message as the outbox takes it.
fn outbox(
    live: &LiveJourney,
    contact: ContactId,
    ordinal: u32,
    message: journey::Message,
    now: Timestamp,
) -> Option<OutboxMessage> {
    let send = live.sends.get(usize::from(message.node))?.as_ref()?;
    let run = u32::try_from(live.record.run).unwrap_or_default();
    Some(OutboxMessage {
        id: MessageId::derive(run, contact.0.unsigned_abs(), ordinal, &send.node, message.visit),
        contact,
        send: Arc::clone(send),
        to: message.to,
        locale: message.locale,
        variables: message.variables,
        decided_at: now,
        not_before: message.not_before.unwrap_or(now),
        expires_at: message.expires_at,
    })
}
