//! Runs of journeys: begun once, committed batch by batch, never twice.

use std::sync::Arc;

use model::{Amount, ContactId, Slug, Value};
use storage::{
    imports::ImportBatch,
    journeys::{AudienceFilter, CountDelta, FieldChange, JourneyRun, JourneyStore, NewJourneyRun},
    live::{Done, EnrolmentStep, LiveStore, StepCommit, StepOutcome},
    outbox::{Channel, MessageFilter, MessageId, OutboxMessage, OutboxStore, SendPoint},
};

use super::Base;
use crate::{contact, dated};

/// Five contacts, of whom the last has no address, and a run over those who have one.
async fn begun(db: &(impl Base + JourneyStore)) -> JourneyRun {
    let mut batch = ImportBatch::new(dated(0));
    for name in ["a", "b", "c", "d", "e"] {
        batch.contacts.push(contact(name));
    }
    batch.contacts[4].email = None;
    db.import(batch).await.unwrap();
    begin(db, "h1", 1).await
}

async fn begin(db: &impl JourneyStore, hash: &str, ordinal: u32) -> JourneyRun {
    let new = NewJourneyRun {
        journey: Slug::parse("j").unwrap(),
        version: 3,
        hash: hash.into(),
        ordinal,
        audience: db.scan_audience(AudienceFilter::WithEmail).await.unwrap(),
        seed: u64::MAX,
        started_at: dated(1),
    };
    db.begin_journey_run(new).await.unwrap()
}

/// A batch of a run's audience that goes through at once, from `from` to the last of these contacts.
fn batch(run: &JourneyRun, from: i64, contacts: &[i64]) -> StepCommit {
    let send = Arc::new(SendPoint {
        journey: run.journey.clone(),
        journey_version: run.version,
        run: run.id,
        node: "mail".into(),
        channel: Channel::Email,
        purpose: Slug::parse("newsletter").unwrap(),
        transactional: false,
        template: Slug::parse("hello").unwrap(),
        template_version: 1,
    });
    let message = |contact: &i64| OutboxMessage {
        id: MessageId::derive(run.id as u32, contact.unsigned_abs(), 1, "mail", 1),
        contact: ContactId(*contact),
        send: Arc::clone(&send),
        to: None,
        locale: None,
        variables: "{}".into(),
        decided_at: dated(1),
        not_before: dated(1),
        expires_at: None,
    };
    let enrolment = |contact: &i64| EnrolmentStep {
        contact: ContactId(*contact),
        run: run.id,
        ordinal: 1,
        key: Some(String::new()),
        trace: vec![1, 2],
        state: None,
        goal_at: None,
        stays: Vec::new(),
    };
    let count = CountDelta { node: "mail".into(), measure: "sent".into(), n: contacts.len() as u64 };
    let to = ContactId(contacts.last().copied().unwrap_or(from));
    let mut step = StepCommit::new(dated(1), Done::Audience { run: run.id, from: ContactId(from), to });
    step.enrolments = contacts.iter().map(enrolment).collect();
    step.counts = vec![(run.id, count)];
    step.messages = contacts.iter().map(message).collect();
    step
}

/// A run is found again, its audience stays as it was, and its counters are folded without a change.
pub async fn journey_runs_are_begun_once(db: &(impl Base + JourneyStore + LiveStore + OutboxStore)) {
    let run = begun(db).await;
    assert_eq!((run.audience, run.checkpoint, run.finished_at, run.seed), (4, ContactId(0), None, u64::MAX));
    let mut more = ImportBatch::new(dated(2));
    more.contacts.push(contact("f"));
    db.import(more).await.unwrap();
    assert_eq!(begin(db, "h1", 1).await, run, "the same run, with its own audience");
    assert_eq!(db.load_run_audience(run.id).await.unwrap().iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
    let all = db.scan_audience(AudienceFilter::All).await.unwrap();
    let without = db.scan_audience(AudienceFilter::WithoutEmail).await.unwrap();
    assert_eq!((all.len(), without.iter().collect::<Vec<_>>()), (6, vec![5]));

    let committed = |n| StepOutcome::Committed { messages: n };
    assert_eq!(db.commit_step(batch(&run, 0, &[1, 2])).await.unwrap(), committed(2));
    assert_eq!(db.commit_step(batch(&run, 2, &[3, 4])).await.unwrap(), committed(2));
    db.complete_journey_run(run.id, dated(3)).await.unwrap();
    db.complete_journey_run(run.id, dated(4)).await.unwrap();
    let counts = db.load_journey_counts(run.id).await.unwrap();
    assert_eq!(counts, [CountDelta { node: "mail".into(), measure: "sent".into(), n: 4 }]);
    let runs = db.load_journey_runs(run.journey.clone()).await.unwrap();
    assert_eq!((runs.len(), runs[0].finished_at, runs[0].checkpoint), (1, Some(dated(3)), ContactId(4)));

    // Another run of it: who was in the first is known.
    let other = begin(db, "h1", 2).await;
    assert_ne!(other.id, run.id);
    let ids: Vec<ContactId> = (1..=6).map(ContactId).collect();
    let past = db.load_past(run.journey.clone(), ids.clone()).await.unwrap();
    let past: Vec<(i64, ContactId)> = past.iter().map(|one| (one.run, one.contact)).collect();
    assert_eq!(past, ids[..4].iter().map(|id| (run.id, *id)).collect::<Vec<_>>());
    let passages = db.load_enrolments(ContactId(1)).await.unwrap();
    assert_eq!((passages.len(), passages[0].version, &passages[0].trace), (1, 3, &vec![1, 2]));
}

/// A batch is committed where the run stands and nowhere else; what changed under it refuses all of it.
pub async fn journey_batches_are_committed_once(db: &(impl Base + JourneyStore + LiveStore + OutboxStore)) {
    let run = begun(db).await;
    db.commit_step(batch(&run, 0, &[1, 2])).await.unwrap();
    for stale in [batch(&run, 0, &[1, 2]), batch(&run, 3, &[4])] {
        assert_eq!(db.commit_step(stale).await.unwrap(), StepOutcome::Moved);
    }
    let change = |before: Option<i64>, after| FieldChange {
        field: "price".into(),
        before: before.map(|n| Value::Decimal(Amount(n))),
        after: Some(Value::Decimal(Amount(after))),
    };
    let mut changing = batch(&run, 2, &[3, 4]);
    changing.changes = vec![(ContactId(4), vec![change(Some(7), 9)])];
    let conflict = StepOutcome::Conflict(vec![ContactId(4)]);
    assert_eq!(db.commit_step(changing.clone()).await.unwrap(), conflict);
    let messages = db.list_messages(MessageFilter::default(), 0, 100).await.unwrap();
    assert_eq!(messages.len(), 2, "nothing of a refused batch is written");
    changing.changes = vec![(ContactId(4), vec![change(None, 9)])];
    assert_eq!(db.commit_step(changing).await.unwrap(), StepOutcome::Committed { messages: 2 });
    let contacts = db.load_contacts(vec![ContactId(3), ContactId(4)]).await.unwrap();
    assert_eq!(contacts[0].fields.get("price"), None);
    assert_eq!(contacts[1].fields.get("price"), Some(&Value::Decimal(Amount(9))));
    assert_eq!(contacts[1].email.as_deref(), Some("d@example.test"), "the rest of the profile stays");
}
