//! What the admin API keeps: jobs, answers, drafts.

use model::{Problem, Slug};
use serde_json::json;
use storage::{
    desk::{ANSWER_LOST, ANSWERS_KEPT, Begun, DeskStore, KeptAnswer, NewDraft, RequestMark},
    jobs::{JobEnd, JobFilter, JobProgress, JobState, JobStore, NewJob},
    settings::{DefinitionKind, NewDefinition, SettingsStore},
};

use crate::dated;

fn job(kind: &str) -> NewJob {
    NewJob { kind: kind.into(), request: json!({"n": 1}), by: "key:k".into(), at: dated(0) }
}

fn progress(done: u64) -> JobProgress {
    JobProgress { phase: "rows".into(), done, total: 10 }
}

/// A job waits, runs, is noted, and ends once.
pub async fn jobs_come_to_their_end_once<S: JobStore + Sync>(db: &S) {
    let first = db.add_job(job("export")).await.unwrap();
    let second = db.add_job(job("import")).await.unwrap();
    assert_eq!((first.state, first.attempts, first.request), (JobState::Waiting, 0, json!({"n": 1})));
    assert!(second.no > first.no);
    assert!(!db.note_job(first.no, progress(1)).await.unwrap(), "it does not run");
    let claimed = db.claim_job(dated(1)).await.unwrap().unwrap();
    assert_eq!((claimed.no, claimed.state, claimed.attempts), (first.no, JobState::Running, 1));
    assert_eq!(claimed.started_at, Some(dated(1)));
    assert!(db.note_job(first.no, progress(3)).await.unwrap());
    assert_eq!(db.load_job(first.no).await.unwrap().unwrap().progress, progress(3));
    let asked = db.cancel_job(first.no, dated(1)).await.unwrap().unwrap();
    assert_eq!((asked.state, asked.cancel), (JobState::Running, true));
    assert!(!db.note_job(first.no, progress(4)).await.unwrap(), "its end was asked for");
    let end = |state| JobEnd {
        state,
        progress: progress(10),
        result: json!({"rows": 10}),
        problems: vec![Problem::new("job.test", "a test")],
        at: dated(2),
    };
    db.end_job(first.no, end(JobState::Done)).await.unwrap();
    db.end_job(first.no, end(JobState::Failed)).await.unwrap();
    let over = db.load_job(first.no).await.unwrap().unwrap();
    assert_eq!(
        (over.state, over.ended_at, &over.result),
        (JobState::Done, Some(dated(2)), &json!({"rows": 10}))
    );
    assert_eq!(over.problems[0].code, "job.test");
    let left = db.cancel_job(first.no, dated(3)).await.unwrap().unwrap();
    assert_eq!((left.state, left.ended_at), (JobState::Done, Some(dated(2))), "what is over stays over");
    let gone = db.cancel_job(second.no, dated(3)).await.unwrap().unwrap();
    assert_eq!((gone.state, gone.ended_at), (JobState::Cancelled, Some(dated(3))));
    assert_eq!(db.claim_job(dated(4)).await.unwrap(), None);
    assert_eq!(db.cancel_job(99, dated(4)).await.unwrap(), None);

    let numbers = |jobs: Vec<storage::jobs::Job>| jobs.iter().map(|job| job.no).collect::<Vec<_>>();
    let all = JobFilter::default();
    assert_eq!(numbers(db.list_jobs(all.clone(), i64::MAX, 9).await.unwrap()), [second.no, first.no]);
    assert_eq!(numbers(db.list_jobs(all.clone(), second.no, 9).await.unwrap()), [first.no]);
    let done = JobFilter { state: Some(JobState::Done), kind: Some("export".into()) };
    assert_eq!(numbers(db.list_jobs(done, i64::MAX, 9).await.unwrap()), [first.no]);
    assert_eq!(db.forget_jobs(dated(3)).await.unwrap(), [first.no]);
    assert_eq!(numbers(db.list_jobs(all, i64::MAX, 9).await.unwrap()), [second.no]);
    // Numbers are never given again.
    assert!(db.add_job(job("export")).await.unwrap().no > second.no);
}

/// Jobs under which the process died wait again, a few times.
pub async fn jobs_are_taken_up_again<S: JobStore + Sync>(db: &S) {
    let one = db.add_job(job("export")).await.unwrap().no;
    let crashed = || Problem::new("job.crashed", "again and again");
    for attempt in 1..=2 {
        let claimed = db.claim_job(dated(attempt)).await.unwrap().unwrap();
        assert_eq!(i64::from(claimed.attempts), attempt);
        let waiting = db.settle_jobs(2, crashed(), dated(attempt)).await.unwrap();
        assert_eq!(waiting, u64::from(attempt == 1));
    }
    let over = db.load_job(one).await.unwrap().unwrap();
    assert_eq!((over.state, &*over.problems[0].code), (JobState::Failed, "job.crashed"));
    // One whose end was asked for before is not taken up again.
    let two = db.add_job(job("export")).await.unwrap().no;
    db.claim_job(dated(3)).await.unwrap().unwrap();
    db.cancel_job(two, dated(3)).await.unwrap();
    assert_eq!(db.settle_jobs(9, crashed(), dated(4)).await.unwrap(), 0);
    assert_eq!(db.load_job(two).await.unwrap().unwrap().state, JobState::Cancelled);
}

/// A request is begun once for its key; its answer is kept for a day.
pub async fn requests_are_begun_once<S: DeskStore + Sync>(db: &S) {
    let mark = |who: &str, request: u8, at| RequestMark {
        who: who.into(),
        key: "k".into(),
        request: [request; 32],
        at,
    };
    let at = dated(0);
    assert_eq!(db.begin_request(mark("a", 1, at)).await.unwrap(), Begun::New);
    assert_eq!(db.begin_request(mark("a", 1, at)).await.unwrap(), Begun::Running);
    assert_eq!(db.begin_request(mark("a", 2, at)).await.unwrap(), Begun::Other);
    assert_eq!(db.begin_request(mark("b", 2, at)).await.unwrap(), Begun::New);
    let answer =
        KeptAnswer { status: 202, headers: vec![("etag".into(), "\"x\"".into())], body: vec![0, 255, 7] };
    db.end_request("a".into(), "k".into(), Some(answer.clone())).await.unwrap();
    let kept = at.plus(ANSWERS_KEPT);
    assert_eq!(db.begin_request(mark("a", 1, kept)).await.unwrap(), Begun::Answered(answer));
    assert_eq!(db.begin_request(mark("a", 1, kept.plus(1))).await.unwrap(), Begun::New, "forgotten");
    db.end_request("a".into(), "k".into(), None).await.unwrap();
    assert_eq!(
        db.begin_request(mark("a", 3, kept.plus(1))).await.unwrap(),
        Begun::New,
        "it may be tried again"
    );
    let lost = kept.plus(1 + ANSWER_LOST);
    assert_eq!(db.begin_request(mark("a", 3, lost)).await.unwrap(), Begun::Running);
    assert_eq!(
        db.begin_request(mark("a", 3, lost.plus(1))).await.unwrap(),
        Begun::New,
        "lost with its process"
    );
}

/// A draft is overwritten only by who knows it.
pub async fn drafts_are_fenced<S: DeskStore + SettingsStore + Sync>(db: &S) {
    let slug = Slug::parse("welcome").unwrap();
    let kind = DefinitionKind::Journey;
    let new = |n: i64| NewDraft {
        kind,
        slug: slug.clone(),
        content: json!({"n": n}),
        at: dated(n),
        by: format!("user:{n}"),
    };
    assert_eq!(db.save_draft(new(1), Some("x".into())).await.unwrap(), None);
    let first = db.save_draft(new(1), None).await.unwrap().unwrap();
    assert_eq!(
        (&first.content, first.changed_at, &*first.changed_by),
        (&json!({"n": 1}), dated(1), "user:1")
    );
    assert_eq!(db.save_draft(new(2), None).await.unwrap(), None);
    assert_eq!(db.load_draft(kind, slug.clone()).await.unwrap(), Some(first.clone()));
    // The same again is no change.
    let same = NewDraft { at: dated(5), ..new(1) };
    assert_eq!(db.save_draft(same, Some(first.hash.clone())).await.unwrap(), Some(first.clone()));
    let second = db.save_draft(new(2), Some(first.hash.clone())).await.unwrap().unwrap();
    assert_ne!(second.hash, first.hash);
    assert_eq!(db.load_drafts(kind).await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(db.load_drafts(DefinitionKind::Template).await.unwrap(), []);
    assert!(!db.remove_draft(kind, slug.clone(), first.hash).await.unwrap());
    assert!(db.remove_draft(kind, slug.clone(), second.hash).await.unwrap());
    assert_eq!(db.load_draft(kind, slug.clone()).await.unwrap(), None);

    for n in 1..=3 {
        let new = NewDefinition { kind, slug: slug.clone(), content: json!({"n": n}) };
        db.save_definitions(vec![new], dated(n)).await.unwrap();
    }
    let marks = db.list_versions(kind, slug.clone(), u32::MAX, 2).await.unwrap();
    assert_eq!(marks.iter().map(|mark| mark.version).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(marks[0].created_at, dated(3));
    assert_eq!(db.list_versions(kind, slug, 2, 9).await.unwrap().len(), 1);
}
