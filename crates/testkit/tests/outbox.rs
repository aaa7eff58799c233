//! What every backend's outbox must do.

use std::sync::Arc;

use model::{ContactId, Slug, Timestamp};
use storage::outbox::{
    AddressHash, Channel, ClaimedMessage, MessageFilter, MessageId, MessageState, OutboxMessage, OutboxStore,
    Outcome, Recorded, SendPoint, Settled, Suppression, SuppressionReason,
};
use testkit::store;

fn send(run: i64, node: &str, transactional: bool) -> Arc<SendPoint> {
    let slug = |text: &str| Slug::parse(text).unwrap();
    Arc::new(SendPoint {
        journey: slug("welcome"),
        journey_version: 2,
        run,
        node: node.into(),
        channel: Channel::Email,
        purpose: slug("newsletter"),
        transactional,
        template: slug("hello"),
        template_version: 3,
    })
}

fn message(send: &Arc<SendPoint>, contact: i64, at: i64) -> OutboxMessage {
    OutboxMessage {
        id: MessageId::derive(send.run as u32, contact as u64, 1, &send.node, 1),
        contact: ContactId(contact),
        send: Arc::clone(send),
        to: (contact == 3).then(|| "staff@shop.example".to_owned()),
        locale: Some("fr".into()),
        variables: format!("{{\"n\":{contact}}}"),
        decided_at: Timestamp(at),
        not_before: Timestamp(at),
        expires_at: None,
    }
}

const NOW: Timestamp = Timestamp(1_000);

async fn claim(db: &impl OutboxStore, now: i64, machine: i64, limit: usize) -> Vec<ClaimedMessage> {
    let (now, machine) = (Timestamp(now), Timestamp(machine));
    db.claim_messages(now, machine, machine.plus(100), limit).await.unwrap()
}

fn recorded(claimed: &ClaimedMessage, outcome: Outcome) -> Recorded {
    Recorded { seq: claimed.seq, attempt: claimed.attempt, outcome }
}

fn sent() -> Outcome {
    Outcome::Sent { detail: "250 ok".into() }
}

fn later(until: i64) -> Outcome {
    Outcome::Deferred { until: Timestamp(until), reason: "smtp.4xx", detail: "451 later".into() }
}

async fn states(db: &impl OutboxStore) -> Vec<(MessageState, Option<String>, u64)> {
    let counts = db.count_messages(MessageFilter::default()).await.unwrap();
    counts.into_iter().map(|count| (count.state, count.reason, count.count)).collect()
}

#[tokio::test]
async fn a_replay_inserts_nothing_and_a_message_reads_back_whole() {
    let db = store();
    let send = send(1, "mail", false);
    let messages: Vec<_> = (1..=3).map(|contact| message(&send, contact, 10)).collect();
    assert_eq!(db.insert_messages(messages.clone()).await.unwrap(), 3);
    let mut again = messages.clone();
    again.push(message(&send, 4, 10));
    assert_eq!(db.insert_messages(again).await.unwrap(), 1, "three are known");
    let listed = db.list_messages(MessageFilter::default(), 0, 100).await.unwrap();
    assert_eq!(listed.len(), 4);
    assert_eq!(listed.iter().map(|row| row.message.clone()).take(3).collect::<Vec<_>>(), messages);
    let claimed = claim(&db.db, 10, 0, 2).await;
    assert_eq!(claimed.iter().map(|one| one.message.clone()).collect::<Vec<_>>(), messages[..2]);
    assert!(claimed.iter().all(|one| (one.attempt, one.failures) == (1, 0)));
    let page = db.list_messages(MessageFilter::default(), listed[1].seq, 1).await.unwrap();
    assert_eq!(page, listed[2..3]);
}

#[tokio::test]
async fn messages_are_claimed_when_due_and_once() {
    let db = store();
    let send = send(1, "mail", false);
    db.insert_messages(vec![message(&send, 1, 30), message(&send, 2, 20), message(&send, 3, 10)])
        .await
        .unwrap();
    assert_eq!(db.next_due().await.unwrap(), Some((Timestamp(10), 3)));
    assert!(claim(&db.db, 9, 0, 9).await.is_empty());
    let first = claim(&db.db, 20, 0, 9).await;
    let contacts: Vec<i64> = first.iter().map(|one| one.message.contact.0).collect();
    assert_eq!(contacts, [3, 2], "longest due first");
    assert!(claim(&db.db, 20, 0, 9).await.is_empty());
    assert_eq!(claim(&db.db, 30, 0, 9).await.len(), 1);
    assert_eq!(db.next_due().await.unwrap(), None);
}

#[tokio::test]
async fn outcomes_are_recorded_under_the_fence_of_their_claim() {
    let db = store();
    let send = send(1, "mail", false);
    db.insert_messages((1..=6).map(|contact| message(&send, contact, 10)).collect()).await.unwrap();
    let claimed = claim(&db.db, 10, 0, 6).await;
    let marks = claimed
        .iter()
        .map(|one| recorded(one, Outcome::HandingOver { witness: None, lease_until: None }))
        .collect();
    assert!(db.record_outcomes(NOW, marks).await.unwrap().is_empty());
    let outcomes = vec![
        recorded(&claimed[0], sent()),
        recorded(&claimed[1], later(5_000)),
        recorded(&claimed[2], Outcome::Failed { reason: "smtp.5xx", detail: "550 no".into() }),
        recorded(&claimed[3], Outcome::Skipped { reason: "unsubscribed", detail: "unsubscribed".into() }),
        recorded(&claimed[4], Outcome::Uncertain { detail: "no answer".into() }),
        recorded(&claimed[5], Outcome::Released),
    ];
    assert!(db.record_outcomes(NOW, outcomes.clone()).await.unwrap().is_empty());
    let expected = [
        (MessageState::Waiting, None, 1),
        (MessageState::Waiting, Some("smtp.4xx".into()), 1),
        (MessageState::Sent, None, 1),
        (MessageState::Failed, Some("smtp.5xx".into()), 1),
        (MessageState::Skipped, Some("unsubscribed".into()), 1),
        (MessageState::Uncertain, Some("worker.unsure".into()), 1),
    ];
    assert_eq!(states(&db.db).await, expected);
    // What is settled is not settled again, by this worker or by one that lost its claim.
    let lost = db.record_outcomes(NOW, outcomes).await.unwrap();
    assert_eq!(lost.len(), 6);
    let again = claim(&db.db, 6_000, 0, 6).await;
    let found: Vec<(i64, u32, u32)> =
        again.iter().map(|one| (one.message.contact.0, one.attempt, one.failures)).collect();
    assert_eq!(found, [(6, 2, 0), (2, 2, 1)], "a release is no failure, a deferral is one");
    let stale = vec![recorded(&claimed[5], sent()), recorded(&again[0], sent())];
    assert_eq!(db.record_outcomes(NOW, stale).await.unwrap(), [claimed[5].seq]);
}

#[tokio::test]
async fn a_dead_worker_leaves_marketing_in_doubt_and_the_rest_waiting() {
    for by_lease in [true, false] {
        let db = store();
        let (news, order) = (send(1, "news", false), send(1, "order", true));
        let messages = vec![message(&news, 1, 10), message(&news, 2, 10), message(&order, 4, 10)];
        db.insert_messages(messages).await.unwrap();
        let claimed = claim(&db.db, 10, 1_000, 3).await;
        let marks = vec![
            recorded(&claimed[2], Outcome::HandingOver { witness: None, lease_until: None }),
            recorded(&claimed[0], Outcome::HandingOver { witness: None, lease_until: None }),
        ];
        db.record_outcomes(NOW, marks).await.unwrap();
        assert_eq!(
            db.settle_claims(Timestamp(1_099)).await.unwrap(),
            Settled::default(),
            "the lease still runs"
        );
        let again = if by_lease {
            claim(&db.db, 10, 1_100, 9).await
        } else {
            let settled = db.settle_claims(Timestamp::MAX).await.unwrap();
            assert_eq!(settled, Settled { waiting: 2, uncertain: 1 });
            claim(&db.db, 10, 1_000, 9).await
        };
        let contacts: Vec<i64> = again.iter().map(|one| one.message.contact.0).collect();
        assert_eq!(contacts, [4, 1], "the urgent first");
        let (_, reason, count) =
            states(&db.db).await.into_iter().find(|s| s.0 == MessageState::Uncertain).unwrap();
        assert_eq!((reason.as_deref(), count), (Some("worker.lost"), 1));
        // The dead worker comes back to life: it records nothing.
        let late = claimed.iter().map(|one| recorded(one, sent())).collect();
        assert_eq!(db.record_outcomes(NOW, late).await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_deferred_message_that_was_claimed_again_keeps_its_failures() {
    let db = store();
    let send = send(1, "mail", false);
    db.insert_messages(vec![message(&send, 1, 10)]).await.unwrap();
    for failures in 0..3 {
        let claimed = claim(&db.db, 10_000, 0, 1).await;
        assert_eq!((claimed[0].failures, claimed[0].attempt), (failures, failures + 1));
        db.record_outcomes(NOW, vec![recorded(&claimed[0], later(10_000))]).await.unwrap();
    }
}

#[tokio::test]
async fn failed_messages_wait_again_when_asked_and_sent_ones_never() {
    let db = store();
    let send = send(1, "mail", false);
    db.insert_messages((1..=2).map(|contact| message(&send, contact, 10)).collect()).await.unwrap();
    let claimed = claim(&db.db, 10, 0, 2).await;
    let failed = Outcome::Failed { reason: "smtp.5xx", detail: "550".into() };
    db.record_outcomes(NOW, vec![recorded(&claimed[0], sent()), recorded(&claimed[1], failed)])
        .await
        .unwrap();
    let of = |state| MessageFilter { state: Some(state), ..MessageFilter::default() };
    assert_eq!(db.retry_messages(of(MessageState::Sent), NOW).await.unwrap(), 0);
    let other = MessageFilter { journey: Some(Slug::parse("other").unwrap()), ..of(MessageState::Failed) };
    assert_eq!(db.retry_messages(other, NOW).await.unwrap(), 0);
    assert_eq!(db.retry_messages(of(MessageState::Failed), NOW).await.unwrap(), 1);
    let again = claim(&db.db, 1_000, 0, 9).await;
    assert_eq!((again.len(), again[0].failures, again[0].attempt), (1, 0, 2));
}

#[tokio::test]
async fn lists_and_counts_by_run_journey_contact_and_state() {
    let db = store();
    let (one, two) = (send(1, "mail", false), send(2, "mail", false));
    db.insert_messages(vec![message(&one, 1, 10), message(&one, 2, 10), message(&two, 1, 10)]).await.unwrap();
    let list = async |filter: MessageFilter| db.list_messages(filter, 0, 9).await.unwrap().len();
    let all = MessageFilter::default;
    assert_eq!(list(MessageFilter { run: Some(1), ..all() }).await, 2);
    assert_eq!(list(MessageFilter { contact: Some(ContactId(1)), ..all() }).await, 2);
    assert_eq!(list(MessageFilter { contact: Some(ContactId(1)), run: Some(2), ..all() }).await, 1);
    assert_eq!(list(MessageFilter { journey: Some(Slug::parse("welcome").unwrap()), ..all() }).await, 3);
    assert_eq!(list(MessageFilter { journey: Some(Slug::parse("other").unwrap()), ..all() }).await, 0);
    assert_eq!(list(MessageFilter { state: Some(MessageState::Sent), ..all() }).await, 0);
    let counts = db.count_messages(MessageFilter { run: Some(2), ..all() }).await.unwrap();
    assert_eq!((counts.len(), counts[0].count, counts[0].send.run), (1, 1, 2));
}

#[tokio::test]
async fn a_suppression_holds_for_its_period_and_the_stricter_one_wins() {
    let db = store();
    let address = AddressHash::of(Channel::Email, "a@example.test");
    let suppression = |until: Option<i64>, reason| Suppression {
        address,
        reason,
        since: Timestamp(100),
        until: until.map(Timestamp),
        detail: "550 5.1.1".into(),
    };
    let at = async |now| {
        db.suppressions(vec![address], Timestamp(now)).await.unwrap()[0].as_ref().map(|s| s.reason)
    };
    db.suppress(vec![suppression(Some(200), SuppressionReason::SoftBounces)]).await.unwrap();
    assert_eq!(at(99).await, None);
    assert_eq!(at(100).await, Some(SuppressionReason::SoftBounces));
    assert_eq!(at(200).await, None, "the end is exclusive");
    db.suppress(vec![suppression(None, SuppressionReason::Complaint)]).await.unwrap();
    db.suppress(vec![suppression(Some(300), SuppressionReason::SoftBounces)]).await.unwrap();
    assert_eq!(at(9_999).await, Some(SuppressionReason::Complaint), "for good is stricter than a while");
    let other = AddressHash::of(Channel::Email, "b@example.test");
    assert_eq!(db.suppressions(vec![other], NOW).await.unwrap(), [None]);
    assert_eq!(db.unsuppress(vec![address, other]).await.unwrap(), 1);
    assert_eq!(at(100).await, None);
}
