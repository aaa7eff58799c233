//! An engine that is killed anywhere in the work of the night goes on with it: every move is told exactly once. The test
//! starts itself again as the process to be killed.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use engine::{
    live::{nightly::Jobs, watch::Watch, work},
    segments::{self, Workspace, silent},
};
use model::Timestamp;
use segment::SegmentFile;
use storage::{
    imports::{ImportBatch, ImportStore},
    rfm::RfmStore,
    segments::SegmentStore,
};
use testkit::{at, block_on, order, product};

/// Tells the child which file to work on.
const CHILD: &str = "RELANCE_TEST_NIGHT";
const POINTS: &[&str] = &[
    "rfm.after_begin",
    "rfm.before_commit",
    "rfm.between_chunks_and_run",
    "segment.before_commit",
    "nightly.between_pieces",
];

fn night() -> Timestamp {
    at("2026-03-06 01:00:00")
}

/// A base whose scores and segments are of three days ago.
async fn prepare(path: &Path) {
    let db = testkit::open(path);
    let before = night().plus_days(-3);
    let mut batch = ImportBatch::new(before);
    batch.products = vec![product("A", 10)];
    for n in 0..40_i64 {
        let at = before.plus_days(-(n * 17 % 700)).plus(-1);
        order(&mut batch, &format!("o{n}"), &format!("c{}", n % 25), at, &[("A", 1 + n % 7, 10)]);
    }
    db.import(batch).await.unwrap();
    let model = rfm::RfmModel::built_in("classic-11").unwrap();
    engine::rfm::score(&db, &model, before, false).await.unwrap();
    let workspace = Workspace::load(&db).await.unwrap();
    let read = |slug: &str, condition: &str| {
        let text = format!("format: 1\nsegment: {slug}\ncondition: {condition}");
        SegmentFile::parse(&text, None, &workspace.schema).unwrap().0
    };
    let files = [
        read("best", "{rfm: {model: classic-11, group: [champions, loyal_customers]}}"),
        read("fresh", "{did: Order Completed, within: P30D}"),
    ];
    segments::save(&db, &files, before).await.unwrap();
    let workspace = Arc::new(Workspace::load(&db).await.unwrap());
    for slug in ["best", "fresh"] {
        segments::build(&db, &workspace, slug, before, silent()).await.unwrap();
    }
    let ground = work::ground(&db, before).await.unwrap();
    let watch = Watch::load(&db, &ground.workspace).await.unwrap();
    Jobs::load(&db, &watch, before, Arc::default()).await.unwrap();
    let mut batch = ImportBatch::new(night().plus(-1));
    batch.live = true;
    for n in 0..10_i64 {
        order(&mut batch, &format!("n{n}"), &format!("c{}", n * 2), night().plus_days(-1), &[("A", 3, 10)]);
    }
    db.import(batch).await.unwrap();
}

async fn work(path: &Path) {
    let db = testkit::open(path);
    let ground = work::ground(&db, night()).await.unwrap();
    let mut watch = Watch::load(&db, &ground.workspace).await.unwrap();
    let mut jobs = Jobs::load(&db, &watch, night(), Arc::default()).await.unwrap();
    while jobs.turn(&db, &mut watch, &ground, night(), true).await.unwrap() {}
}

/// No test of its own: the process that is killed.
#[test]
fn child() {
    if let Some(path) = std::env::var_os(CHILD) {
        block_on(work(Path::new(&path)));
    }
}

/// What the night did: runs of the model, and how often each contact moved in each segment, with who is in it.
async fn result(path: &Path) -> (usize, BTreeMap<String, (Vec<u64>, BTreeMap<u64, i32>)>) {
    let db = testkit::open(path);
    let runs = db.load_rfm_runs(model::Slug::parse("classic-11").unwrap(), 9).await.unwrap().len();
    let mut segments = BTreeMap::new();
    for slug in ["best", "fresh"] {
        let name = model::Slug::parse(slug).unwrap();
        let (_, members) = db.load_members(name.clone()).await.unwrap().unwrap();
        let mut moves = BTreeMap::new();
        for moved in db.load_member_moves(name, night(), Timestamp::MAX).await.unwrap() {
            for id in moved.entered.iter().chain(&moved.left) {
                *moves.entry(id).or_default() += 1;
            }
        }
        segments.insert(slug.to_owned(), (members.iter().collect(), moves));
    }
    (runs, segments)
}

#[test]
fn a_night_that_is_killed_goes_on() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("base.db");
        prepare(&base).await;
        let copy = |name: &str| {
            let path = folder.path().join(name);
            for end in ["", "-wal"] {
                let from = format!("{}{end}", base.display());
                if Path::new(&from).exists() {
                    std::fs::copy(&from, format!("{}{end}", path.display())).unwrap();
                }
            }
            path
        };
        let whole = copy("whole.db");
        work(&whole).await;
        let expected = result(&whole).await;
        assert_eq!(expected.0, 2);
        assert!(expected.1.values().any(|(_, moves)| !moves.is_empty()), "somebody moved");
        for point in POINTS {
            for passage in 1..=3 {
                let path = copy(&format!("{point}-{passage}.db"));
                let status = Command::new(std::env::current_exe().unwrap())
                    .args(["child", "--exact"])
                    .env(CHILD, &path)
                    .env("RELANCE_CRASH_AT", format!("{point}:{passage}"))
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .unwrap();
                assert!(passage > 1 || !status.success(), "{point} is passed");
                work(&path).await;
                assert_eq!(result(&path).await, expected, "killed at {point}:{passage}");
            }
        }
    });
}
