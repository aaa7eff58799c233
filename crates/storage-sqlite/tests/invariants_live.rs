//! Whatever batches are committed, refused or repeated: who stays where is what the enrolments say, every alarm is the last
//! one set, and a refused batch leaves nothing behind.

use std::collections::BTreeMap;

use model::{ContactId, Slug, Timestamp};
use proptest::prelude::*;
use storage::{
    journeys::{JourneyStore, NewJourneyRun},
    live::{Alarm, Done, EnrolmentStep, LiveStore, StepCommit, StepOutcome},
};
use storage_sqlite::Sqlite;
use testkit::{block_on, dated, store};

/// A step of an enrolment: a new one or one that is meant to be inside, which goes on at a node or is over.
#[derive(Clone, Debug)]
struct Step {
    contact: u8,
    ordinal: u8,
    is_new: bool,
    stays: Option<u8>,
    due: Option<u8>,
}

fn batches() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step =
        (1..5_u8, 1..3_u8, any::<bool>(), proptest::option::of(0..3_u8), proptest::option::of(0..9_u8))
            .prop_map(|(contact, ordinal, is_new, stays, due)| Step { contact, ordinal, is_new, stays, due });
    proptest::collection::vec(proptest::collection::vec(step, 1..4), 1..25)
}

/// What ought to be: by (contact, ordinal) the node, or none when it is over; alarms by contact.
#[derive(Clone, Default)]
struct Expected {
    enrolments: BTreeMap<(u8, u8), Option<u8>>,
    alarms: BTreeMap<u8, Timestamp>,
}

impl Expected {
    /// Takes a batch, or says that it is refused.
    fn take(&mut self, batch: &[Step]) -> bool {
        let before = self.clone();
        for step in batch {
            let key = (step.contact, step.ordinal);
            let fits = match before.enrolments.get(&key) {
                None => step.is_new,
                Some(known) => !step.is_new && known.is_some(),
            };
            if !fits {
                *self = before;
                return false;
            }
            self.enrolments.insert(key, step.stays);
            match step.due {
                Some(due) => self.alarms.insert(step.contact, dated(i64::from(due))),
                None => self.alarms.remove(&step.contact),
            };
        }
        true
    }
}

fn commit(run: i64, batch: &[Step]) -> StepCommit {
    let mut commit = StepCommit::new(dated(1), Done::Alarms);
    for step in batch {
        let contact = ContactId(i64::from(step.contact));
        commit.enrolments.push(EnrolmentStep {
            contact,
            run,
            ordinal: u32::from(step.ordinal),
            key: step.is_new.then(|| step.ordinal.to_string()),
            trace: vec![2],
            state: step.stays.map(|node| vec![node]),
            goal_at: None,
            stays: step.stays.map(|node| format!("n{node}")).into_iter().collect(),
        });
        let due = step.due.map(|due| dated(i64::from(due)));
        commit.alarms.push((contact, Alarm { due, timers: Vec::new() }));
    }
    commit
}

async fn check(db: &Sqlite, run: i64, expected: &Expected) -> Result<(), TestCaseError> {
    let all: Vec<ContactId> = (1..5).map(ContactId).collect();
    let inside: BTreeMap<(u8, u8), Option<u8>> = db
        .load_inside(all.clone())
        .await
        .unwrap()
        .into_iter()
        .map(|e| ((e.contact.0 as u8, e.ordinal as u8), e.state.map(|state| state[0])))
        .collect();
    let mut going = expected.enrolments.clone();
    going.retain(|_, node| node.is_some());
    prop_assert_eq!(&inside, &going);
    prop_assert_eq!(
        db.load_past(Slug::parse("j").unwrap(), all.clone()).await.unwrap().len(),
        expected.enrolments.len()
    );
    let mut stays: BTreeMap<String, u64> = BTreeMap::new();
    for node in going.values().flatten() {
        *stays.entry(format!("n{node}")).or_default() += 1;
    }
    let counted: BTreeMap<String, u64> =
        db.count_stays(run).await.unwrap().into_iter().map(|count| (count.node, count.n)).collect();
    prop_assert_eq!(counted, stays);
    let mut who: Vec<ContactId> = going.keys().map(|(contact, _)| ContactId(i64::from(*contact))).collect();
    who.dedup();
    prop_assert_eq!(db.scan_inside(run, ContactId(0), 100).await.unwrap(), who);
    prop_assert_eq!(db.next_alarm().await.unwrap(), expected.alarms.values().min().copied());
    let alarms = db.load_alarms(all).await.unwrap();
    let due: BTreeMap<u8, Timestamp> =
        (1..5).zip(alarms).filter_map(|(contact, alarm)| Some((contact, alarm.due?))).collect();
    prop_assert_eq!(&due, &expected.alarms);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn who_stays_where_is_what_the_enrolments_say(batches in batches()) {
        let db = store();
        block_on(async {
            let new = NewJourneyRun {
                journey: Slug::parse("j").unwrap(),
                version: 1,
                hash: "h".into(),
                ordinal: 1,
                audience: roaring::RoaringTreemap::new(),
                seed: 1,
                started_at: dated(0),
            };
            let run = db.begin_journey_run(new).await.unwrap().id;
            let mut expected = Expected::default();
            for batch in &batches {
                // One step for each enrolment in a batch, as the engine makes them.
                let mut batch = batch.clone();
                batch.sort_by_key(|step| (step.contact, step.ordinal));
                batch.dedup_by_key(|step| (step.contact, step.ordinal));
                let outcome = db.commit_step(commit(run, &batch)).await.unwrap();
                let taken = expected.take(&batch);
                prop_assert_eq!(taken, matches!(outcome, StepOutcome::Committed { .. }), "{:?}", outcome);
                check(&db, run, &expected).await?;
            }
            Ok(())
        })?;
    }
}
