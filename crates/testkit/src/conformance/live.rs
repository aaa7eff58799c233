//! The living engine's state: what waits, who is inside, and the one commit.

use std::sync::Arc;

use model::{Amount, ContactId, Event, Slug, Timestamp, Value, event::kind};
use storage::{
    coupons::CouponStore,
    imports::ImportBatch,
    journeys::{CountDelta, FieldChange, JourneyRun, JourneyStore, NewJourneyRun},
    live::{
        Alarm, CouponUse, Done, EnrolmentStep, Life, LifeRecord, LiveStore, NewInput, NewWave, StepCommit,
        StepOutcome,
    },
    outbox::{
        Channel, MessageFilter, MessageId, MessageState, OutboxMessage, OutboxStore, Outcome, Recorded,
        SendPoint,
    },
    segments::{MemberAnswer, NewMembers, SegmentStore},
};

use super::Base;
use crate::{contact, dated};

/// What these tests need.
pub trait Live: Base + JourneyStore + OutboxStore + SegmentStore + CouponStore + LiveStore {}

impl<T> Live for T where T: Base + JourneyStore + OutboxStore + SegmentStore + CouponStore + LiveStore {}

pub(super) fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

fn happened(contact: i64, kind: &str) -> Event {
    Event {
        contact: ContactId(contact),
        at: dated(1),
        received_at: dated(2),
        kind: kind.into(),
        message_id: None,
        properties: serde_json::Map::from_iter([("n".to_owned(), contact.into())]),
    }
}

fn input(contact: i64, kind: &str) -> NewInput {
    NewInput { event: happened(contact, kind), causes: 2, stored: false }
}

/// Five contacts and a run without an audience.
pub(super) async fn ready(db: &impl Live) -> JourneyRun {
    let mut batch = ImportBatch::new(dated(0));
    for name in ["a", "b", "c", "d", "e"] {
        batch.contacts.push(contact(name));
    }
    db.import(batch).await.unwrap();
    run(db, "h", 5).await
}

async fn run(db: &impl Live, hash: &str, audience: u64) -> JourneyRun {
    let new = NewJourneyRun {
        journey: slug("j"),
        version: 3,
        hash: hash.into(),
        ordinal: 1,
        audience: (1..=audience).collect(),
        seed: 7,
        started_at: dated(1),
    };
    db.begin_journey_run(new).await.unwrap()
}

fn entry(run: &JourneyRun, contact: i64) -> EnrolmentStep {
    EnrolmentStep {
        contact: ContactId(contact),
        run: run.id,
        ordinal: 1,
        key: Some(String::new()),
        trace: vec![1, 0, 255],
        state: Some(vec![9, 0]),
        goal_at: None,
        stays: vec!["wait".into()],
    }
}

fn message(run: &JourneyRun, contact: i64, visit: u32) -> OutboxMessage {
    let send = SendPoint {
        journey: run.journey.clone(),
        journey_version: run.version,
        run: run.id,
        node: "mail".into(),
        channel: Channel::Email,
        purpose: slug("newsletter"),
        transactional: false,
        template: slug("hello"),
        template_version: 1,
    };
    OutboxMessage {
        id: MessageId::derive(run.id as u32, contact.unsigned_abs(), 1, "mail", visit),
        contact: ContactId(contact),
        send: Arc::new(send),
        to: None,
        locale: None,
        variables: "{}".into(),
        decided_at: dated(1),
        not_before: dated(1),
        expires_at: None,
    }
}

const COMMITTED: StepOutcome = StepOutcome::Committed { messages: 0 };

fn price(before: Option<i64>, after: i64) -> FieldChange {
    let value = |n| Value::Decimal(Amount(n));
    FieldChange { field: "price".into(), before: before.map(value), after: Some(value(after)) }
}

/// Inputs wait in order until the commit of what came of them; a second commit finds them done.
pub async fn live_inputs_wait_until_they_are_done(db: &impl Live) {
    ready(db).await;
    assert_eq!(db.last_input().await.unwrap(), 0);
    let inputs = vec![input(1, "A"), input(2, "B"), input(1, "A"), input(0, "C")];
    db.add_inputs(inputs, Vec::new()).await.unwrap();
    assert_eq!(db.last_input().await.unwrap(), 4);
    let waiting = db.take_inputs(3, 10).await.unwrap();
    let seen: Vec<(i64, i64, &str)> =
        waiting.iter().map(|i| (i.no, i.event.contact.0, i.event.kind.as_str())).collect();
    assert_eq!(seen, [(1, 1, "A"), (2, 2, "B"), (3, 1, "A")], "none above the number given");
    assert_eq!((&waiting[0].event, waiting[0].causes), (&happened(1, "A"), 2));
    assert_eq!(db.take_inputs(i64::MAX, 1).await.unwrap().len(), 1);

    let step = StepCommit::new(dated(2), Done::Inputs(vec![3, 1]));
    assert_eq!(db.commit_step(step.clone()).await.unwrap(), COMMITTED);
    let left: Vec<i64> = db.take_inputs(i64::MAX, 10).await.unwrap().iter().map(|i| i.no).collect();
    assert_eq!(left, [2, 4]);
    assert_eq!(db.commit_step(step).await.unwrap(), StepOutcome::Moved);
    let half = StepCommit::new(dated(2), Done::Inputs(vec![2, 3]));
    assert_eq!(db.commit_step(half).await.unwrap(), StepOutcome::Moved, "all of them or nothing");
    db.commit_step(StepCommit::new(dated(2), Done::Inputs(vec![2, 4]))).await.unwrap();
    assert_eq!(db.take_inputs(i64::MAX, 10).await.unwrap(), []);
    assert_eq!(db.last_input().await.unwrap(), 4, "numbers are never given again");
    db.add_inputs(vec![input(1, "A")], Vec::new()).await.unwrap();
    assert_eq!(db.take_inputs(i64::MAX, 10).await.unwrap()[0].no, 5);
}

/// An input that is stored is in the history, too; once for each message id.
pub async fn live_inputs_may_be_stored(db: &impl Live) {
    ready(db).await;
    let mut raised = input(1, "Raised");
    raised.stored = true;
    raised.event.message_id = Some("m1".into());
    let mut step = StepCommit::new(dated(2), Done::Alarms);
    step.inputs = vec![raised.clone(), input(1, kind::SEGMENT_ENTERED)];
    db.commit_step(step).await.unwrap();
    let events =
        db.load_events(vec![ContactId(1)], Vec::new(), Timestamp::MIN, Timestamp::MAX).await.unwrap();
    assert_eq!(events, [raised.event.clone()], "a segment move has its own history");
    db.add_inputs(vec![raised], Vec::new()).await.unwrap();
    let kinds: Vec<String> =
        db.take_inputs(i64::MAX, 10).await.unwrap().into_iter().map(|input| input.event.kind).collect();
    assert_eq!(kinds, ["Raised", kind::SEGMENT_ENTERED], "a known message id is left out");
}

/// A wave goes on from where it stands, and goes with its last contact.
pub async fn live_waves_go_on_where_they_stand(db: &impl Live) {
    ready(db).await;
    let wave = |contacts: Vec<u64>| NewWave {
        event: happened(0, kind::SCHEDULED),
        causes: 1,
        contacts: contacts.into_iter().collect(),
    };
    db.add_inputs(Vec::new(), vec![wave(vec![]), wave(vec![1, 3, 5]), wave(vec![2])]).await.unwrap();
    let waves = db.load_waves().await.unwrap();
    assert_eq!(waves.len(), 2, "nobody is no wave");
    assert_eq!((waves[0].checkpoint, waves[0].contacts.len(), waves[0].causes), (ContactId(0), 3, 1));
    assert_eq!(waves[0].event, happened(0, kind::SCHEDULED));
    let no = waves[0].no;
    let step =
        |from, to| StepCommit::new(dated(2), Done::Wave { no, from: ContactId(from), to: ContactId(to) });
    assert_eq!(db.commit_step(step(1, 3)).await.unwrap(), StepOutcome::Moved);
    assert_eq!(db.commit_step(step(0, 3)).await.unwrap(), COMMITTED);
    assert_eq!(db.commit_step(step(0, 3)).await.unwrap(), StepOutcome::Moved);
    assert_eq!(db.load_waves().await.unwrap()[0].checkpoint, ContactId(3));
    assert_eq!(db.commit_step(step(3, 5)).await.unwrap(), COMMITTED);
    assert_eq!(db.commit_step(step(3, 5)).await.unwrap(), StepOutcome::Moved);
    assert_eq!(db.load_waves().await.unwrap().len(), 1);
}

/// Everything that a batch decided is there after its commit.
pub async fn live_steps_commit_everything(db: &impl Live) {
    let run = ready(db).await;
    let new = NewMembers {
        slug: slug("vip"),
        fingerprint: "f".into(),
        members: [2].into_iter().collect(),
        flips: Vec::new(),
        at: dated(0),
        tell: storage::segments::Tell::default(),
    };
    db.commit_members(new).await.unwrap();
    db.add_codes(slug("ten"), vec!["X1".into()], dated(0)).await.unwrap();
    let mut step =
        StepCommit::new(dated(2), Done::Audience { run: run.id, from: ContactId(0), to: ContactId(4) });
    step.enrolments = vec![entry(&run, 1), entry(&run, 2)];
    step.alarms = vec![
        (ContactId(1), Alarm { due: Some(dated(4)), timers: vec![1] }),
        (ContactId(2), Alarm { due: Some(dated(3)), timers: vec![] }),
        (ContactId(3), Alarm { due: None, timers: vec![2] }),
    ];
    step.changes = vec![(ContactId(1), vec![price(None, 5)]), (ContactId(1), vec![price(Some(5), 6)])];
    step.lists = vec![(ContactId(1), slug("l"), true), (ContactId(2), slug("l"), false)];
    let answer = |contact, member| MemberAnswer {
        contact: ContactId(contact),
        member,
        flip: (contact == 1).then(|| dated(3)),
        state: None,
    };
    step.members = vec![(slug("vip"), "f".into(), vec![answer(1, true), answer(2, false)])];
    step.coupons = vec![CouponUse {
        set: slug("ten"),
        code: "X1".into(),
        contact: ContactId(1),
        run: run.id,
        ordinal: 1,
        node: "code".into(),
        expires_at: None,
    }];
    let passage = |contact, n| (ContactId(contact), slug("j"), "mail".to_owned(), n);
    step.passages = vec![passage(1, 1), passage(2, 2)];
    let count = |n| (run.id, CountDelta { node: "mail".into(), measure: "sent".into(), n });
    step.counts = vec![count(1), count(2)];
    step.messages = vec![message(&run, 1, 1), message(&run, 2, 1)];
    step.inputs = vec![input(1, "Next")];
    step.waves =
        vec![NewWave { event: happened(0, kind::SCHEDULED), causes: 0, contacts: [1].into_iter().collect() }];
    step.settings = vec![("told".into(), serde_json::json!(7))];
    assert_eq!(db.commit_step(step.clone()).await.unwrap(), StepOutcome::Committed { messages: 2 });
    assert_eq!(db.commit_step(step).await.unwrap(), StepOutcome::Moved);
    assert_eq!(db.load_setting("told".into()).await.unwrap(), Some(serde_json::json!(7)));

    let ids: Vec<ContactId> = (1..=3).map(ContactId).collect();
    let held = db.held_codes(slug("ten"), ids.clone()).await.unwrap();
    assert_eq!((held[0][0].code.as_str(), held[1].len()), ("X1", 0));
    let contacts = db.load_contacts(ids.clone()).await.unwrap();
    assert_eq!(contacts[0].fields.get("price"), Some(&Value::Decimal(Amount(6))));
    assert_eq!((contacts[0].lists.as_slice(), contacts[1].lists.len()), ([slug("l")].as_slice(), 0));
    assert_eq!(contacts[0].updated_at, dated(2));
    assert_eq!(db.load_memberships(ids.clone()).await.unwrap()[..2], [vec![slug("vip")], vec![]]);
    assert_eq!(db.load_passages(slug("j"), "mail".into(), ids.clone()).await.unwrap(), (vec![1, 2, 0], 3));
    assert_eq!(db.load_journey_counts(run.id).await.unwrap()[0].n, 3);
    assert_eq!(db.count_stays(run.id).await.unwrap()[0].n, 2);
    assert_eq!(db.load_waves().await.unwrap().len(), 1);
    assert_eq!(db.take_inputs(i64::MAX, 10).await.unwrap().len(), 1);
    let runs = db.load_journey_runs(run.journey.clone()).await.unwrap();
    assert_eq!(runs[0].checkpoint, ContactId(4));

    let alarms = db.load_alarms(ids).await.unwrap();
    assert_eq!(alarms[0], Alarm { due: Some(dated(4)), timers: vec![1] });
    assert_eq!(alarms[2], Alarm { due: None, timers: vec![2] });
    assert_eq!(db.next_alarm().await.unwrap(), Some(dated(3)), "a flip or an alarm");
    assert_eq!(db.due_alarms(dated(4), 10).await.unwrap(), [ContactId(2), ContactId(1)]);
    assert_eq!(db.due_alarms(dated(4), 1).await.unwrap(), [ContactId(2)]);
    assert_eq!(db.due_alarms(dated(2), 10).await.unwrap(), []);
    let mut quiet = StepCommit::new(dated(3), Done::Alarms);
    quiet.alarms = (1..=3).map(|id| (ContactId(id), Alarm::default())).collect();
    quiet.members = vec![(
        slug("vip"),
        "f".into(),
        vec![MemberAnswer { contact: ContactId(1), member: true, flip: None, state: None }],
    )];
    db.commit_step(quiet).await.unwrap();
    assert_eq!(db.next_alarm().await.unwrap(), None);
    assert_eq!(db.load_alarms(vec![ContactId(1)]).await.unwrap(), [Alarm::default()]);
}

/// Enrolments begin once, go on while they are inside, and are counted where they stay.
pub async fn live_enrolments_begin_go_on_and_end(db: &impl Live) {
    let run = ready(db).await;
    let commit = |enrolments: Vec<EnrolmentStep>, day| {
        let mut step = StepCommit::new(dated(day), Done::Alarms);
        step.enrolments = enrolments;
        db.commit_step(step)
    };
    let second = EnrolmentStep { ordinal: 2, key: Some("cart-2".into()), ..entry(&run, 1) };
    assert_eq!(commit(vec![entry(&run, 1), second, entry(&run, 3)], 2).await.unwrap(), COMMITTED);
    let again = commit(vec![entry(&run, 1), entry(&run, 2)], 2).await.unwrap();
    assert_eq!(again, StepOutcome::Conflict(vec![ContactId(1)]), "a new one must not exist");
    let on = |contact, ordinal, state: Option<Vec<u8>>| EnrolmentStep {
        key: None,
        ordinal,
        trace: vec![0, 7],
        state,
        stays: vec!["later".into()],
        ..entry(&run, contact)
    };
    let missing = commit(vec![on(2, 1, Some(vec![1])), on(1, 1, None)], 3).await.unwrap();
    assert_eq!(missing, StepOutcome::Conflict(vec![ContactId(2)]), "one that goes on must be inside");

    let inside = db.load_inside(vec![ContactId(3), ContactId(2), ContactId(1)]).await.unwrap();
    let places: Vec<(i64, u32, &str)> =
        inside.iter().map(|e| (e.contact.0, e.ordinal, e.key.as_str())).collect();
    assert_eq!(places, [(3, 1, ""), (1, 1, ""), (1, 2, "cart-2")], "nothing of a refused batch is written");
    assert_eq!((inside[0].entered_at, &inside[0].state), (dated(2), &Some(vec![9, 0])));
    let reached = EnrolmentStep { goal_at: Some(dated(3)), ..on(1, 2, Some(vec![4])) };
    commit(vec![on(1, 1, None), reached], 3).await.unwrap();
    let ended = commit(vec![on(1, 1, Some(vec![1]))], 4).await.unwrap();
    assert_eq!(ended, StepOutcome::Conflict(vec![ContactId(1)]), "what is over does not go on");
    let inside = db.load_inside(vec![ContactId(1)]).await.unwrap();
    assert_eq!((inside.len(), inside[0].ordinal, &inside[0].state), (1, 2, &Some(vec![4])));
    let past = db.load_past(slug("j"), vec![ContactId(1), ContactId(2)]).await.unwrap();
    let ordinals: Vec<(u32, bool)> = past.iter().map(|e| (e.ordinal, e.state.is_none())).collect();
    assert_eq!(ordinals, [(1, true), (2, true)], "all of them, without state");
    assert_eq!(db.load_past(slug("other"), vec![ContactId(1)]).await.unwrap(), []);

    let stays: Vec<(String, u64)> =
        db.count_stays(run.id).await.unwrap().into_iter().map(|c| (c.node, c.n)).collect();
    assert_eq!(stays, [("later".into(), 1), ("wait".into(), 1)]);
    assert_eq!(db.scan_inside(run.id, ContactId(0), 10).await.unwrap(), [ContactId(1), ContactId(3)]);
    assert_eq!(db.scan_inside(run.id, ContactId(1), 10).await.unwrap(), [ContactId(3)]);
    let traces: Vec<Vec<u8>> =
        db.load_enrolments(ContactId(1)).await.unwrap().into_iter().map(|e| e.trace).collect();
    assert_eq!(
        traces,
        [vec![1, 0, 255, 0, 7], vec![1, 0, 255, 0, 7]],
        "records of later commits are put behind"
    );
}

/// A field that is not what was read refuses the whole batch and says whose it is.
pub async fn live_steps_are_fenced_on_fields(db: &impl Live) {
    let run = ready(db).await;
    db.add_inputs(vec![input(1, "A")], Vec::new()).await.unwrap();
    let mut step = StepCommit::new(dated(2), Done::Inputs(vec![1]));
    step.enrolments = vec![entry(&run, 1)];
    step.messages = vec![message(&run, 1, 1)];
    step.changes = vec![
        (ContactId(1), vec![price(None, 1)]),
        (ContactId(3), vec![price(Some(4), 5)]),
        (ContactId(2), vec![price(Some(4), 5)]),
        (ContactId(99), vec![price(Some(4), 5)]),
    ];
    let conflict = StepOutcome::Conflict(vec![ContactId(2), ContactId(3)]);
    assert_eq!(db.commit_step(step.clone()).await.unwrap(), conflict);
    assert_eq!(db.take_inputs(i64::MAX, 10).await.unwrap().len(), 1, "nothing of a refused batch is written");
    assert_eq!(db.load_inside(vec![ContactId(1)]).await.unwrap(), []);
    assert_eq!(db.list_messages(MessageFilter::default(), 0, 10).await.unwrap(), []);
    step.changes.retain(|(contact, _)| contact.0 == 1 || contact.0 == 99);
    assert_eq!(db.commit_step(step).await.unwrap(), StepOutcome::Committed { messages: 1 });
}

/// Lives are written and read back; those that are over only when they are asked for.
pub async fn live_lives_are_kept(db: &impl Live) {
    let life = |run, life| LifeRecord {
        run,
        journey: slug("j"),
        version: run as u32,
        life,
        since: dated(run),
        starts_at: Some(dated(9)),
        seed: u64::MAX,
        pinned: serde_json::json!({"templates": {"a": 1}}),
        memo: serde_json::Value::Null,
    };
    let all: Vec<LifeRecord> = (1..).zip(Life::ALL).map(|(run, word)| life(run, word)).collect();
    db.save_lives(all.clone()).await.unwrap();
    assert_eq!(db.load_lives(true).await.unwrap(), all);
    let over = |record: &LifeRecord| matches!(record.life, Life::Finished | Life::Stopped);
    let going: Vec<LifeRecord> = all.iter().filter(|record| !over(record)).cloned().collect();
    assert_eq!(db.load_lives(false).await.unwrap(), going);
    db.save_lives(vec![life(1, Life::Stopped)]).await.unwrap();
    assert_eq!(db.load_lives(false).await.unwrap(), going[1..]);
}

/// What caps count: messages that left or are to leave, not those that were refused.
pub async fn live_sends_are_those_that_were_not_refused(db: &impl Live) {
    let run = ready(db).await;
    let mut messages: Vec<OutboxMessage> = (1..=5).map(|visit| message(&run, 1, visit)).collect();
    messages[4].not_before = dated(6);
    messages.push(message(&run, 2, 1));
    db.insert_messages(messages).await.unwrap();
    let of = |contacts: &[i64], day| {
        let contacts = contacts.iter().copied().map(ContactId).collect();
        async move {
            let sends = db.load_sends(contacts, dated(day)).await.unwrap();
            sends.into_iter().map(|(contact, mark)| (contact.0, mark.at)).collect::<Vec<_>>()
        }
    };
    assert_eq!(of(&[2, 1], 1).await.len(), 6);
    let claimed = db.claim_messages(dated(2), dated(2), dated(3), 5).await.unwrap();
    assert_eq!(claimed.len(), 5);
    assert_eq!(of(&[1], 1).await.len(), 5, "those in a worker's hands count");
    let outcome = |detail: &str| match detail {
        "sent" => Outcome::Sent { detail: String::new() },
        "failed" => Outcome::Failed { reason: "smtp.5xx", detail: String::new() },
        "skipped" => Outcome::Skipped { reason: "consent.missing", detail: String::new() },
        _ => Outcome::Deferred { until: dated(7), reason: "smtp.4xx", detail: String::new() },
    };
    let outcomes = claimed
        .iter()
        .zip(["sent", "failed", "skipped", "deferred"])
        .map(|(one, word)| Recorded { seq: one.seq, attempt: one.attempt, outcome: outcome(word) })
        .collect();
    db.record_outcomes(dated(2), outcomes).await.unwrap();
    assert_eq!(of(&[1], 1).await, [(1, dated(2)), (1, dated(6)), (1, dated(7))], "by when they leave");
    assert_eq!(of(&[1], 3).await, [(1, dated(6)), (1, dated(7))]);
    assert_eq!(of(&[1], 8).await, []);
    assert_eq!(of(&[2], 1).await, [(2, dated(1))]);
    // A worker that died: a message that was held until a time waits for that time again.
    db.settle_claims(Timestamp::MAX).await.unwrap();
    let waiting = MessageFilter { state: Some(MessageState::Waiting), ..MessageFilter::default() };
    let due: Vec<Timestamp> =
        db.list_messages(waiting, 0, 10).await.unwrap().into_iter().map(|row| row.at).collect();
    assert_eq!(due, [dated(7), dated(6), dated(1)]);
}
