//! The life of journeys under a virtual clock: published, edited, paused, stopped, moved, scheduled, finished.

use engine::{
    campaign::launch::Silent,
    live::{
        Book,
        book::rules_version,
        lives::{self, By, Memo, PublishOptions},
        outcomes::{self, Place},
        work::Engine,
    },
    rules::{self, Folder, Rules, SourceFile, Workspace},
};
use model::{ContactId, Slug, Timestamp};
use storage::{
    events::EventStore,
    imports::{ImportBatch, ImportStore},
    live::{Life, LiveStore, NewInput},
    lives::{HeldTrigger, LifeChange, LifeCommit, LifeStore, PAUSED_QUEUE_MAX},
    outbox::{MessageFilter, MessageRow, MessageState, OutboxStore},
    settings::{DefinitionKind, SettingsStore},
};
use testkit::{Store, at, block_on, contact, store};

const TEMPLATE: &str = "{format: 1, template: hello, name: Hello, languages: [en], subject: {en: Hello}, \
     blocks: [{kind: text, text: {en: Hello}}]}";

/// A journey that waits and then writes; `more` is put in at its end.
fn folder(wait: &str, mail: &str, more: &str) -> Folder {
    let journey = format!(
        "format: 1
journey: greeting
name: Greeting
audience: {{who: all, source: existing}}
reentry: never
nodes:
  rest: {{kind: wait, for: {wait}}}
  {mail}: {{kind: send_email, template: hello, purpose: transactional}}
links:
  - {{from: start, to: rest}}
  - {{from: rest, to: {mail}}}
{more}"
    );
    let source = |slug: &str, text: &str| SourceFile {
        file: format!("{slug}.yaml"),
        slug: slug.to_owned(),
        text: text.to_owned(),
    };
    Folder {
        journey: source("journey", &journey),
        templates: vec![source("hello", TEMPLATE)],
        ..Folder::default()
    }
}

fn shop() -> Store {
    peopled(store())
}

fn peopled(db: Store) -> Store {
    let mut batch = ImportBatch::new(at("2026-01-01 00:00:00"));
    batch.contacts = (0..5).map(|n| contact(&format!("c{n}"))).collect();
    block_on(db.import(batch)).expect("imported");
    db
}

fn slug() -> Slug {
    Slug::parse("greeting").unwrap()
}

fn by(now: Timestamp) -> By {
    By::new("tests", now)
}

#[tokio::test]
async fn lists_that_somebody_makes_are_known_and_others_are_warned_of() {
    let db = store();
    let mut batch = ImportBatch::new(at("2026-01-01 00:00:00"));
    let lists = vec![Slug::parse("regulars").unwrap()];
    let ann = storage::imports::ContactPatch { external_id: Some("ann".into()), lists, ..Default::default() };
    batch.contacts.push(ann);
    ImportStore::import(&*db, batch).await.unwrap();
    let workspace = Workspace::load(&*db).await.unwrap();
    let warned = |list: &str| {
        let text = format!(
            "journey: j\naudience: {{who: all}}\nnodes: {{a: {{kind: in_list, list: {list}}}, b: {{kind: add_to_list, list: mine}}}}\n\
             links: [{{from: start, to: a}}, {{from: a, to: b, when: yes}}, {{from: a, to: b, when: no}}]\n"
        );
        let journey = SourceFile { file: "journey.yaml".into(), slug: "j".into(), text };
        let rules = rules::compile(&Folder { journey, ..Folder::default() }, &workspace);
        let rules = rules.unwrap_or_else(|problems| panic!("{problems:?}"));
        rules.warnings.iter().map(|warning| warning.code.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(warned("regulars"), Vec::<String>::new(), "somebody is on it");
    assert_eq!(warned("mine"), Vec::<String>::new(), "the journey itself makes it");
    assert_eq!(warned("regular"), ["list.unknown"]);
}

async fn compile(db: &Store, folder: &Folder) -> Rules {
    let workspace = Workspace::load(&**db).await.unwrap();
    rules::compile(folder, &workspace).unwrap_or_else(|problems| panic!("{problems:?}"))
}

async fn publish(db: &Store, folder: &Folder, options: PublishOptions, now: Timestamp) -> lives::Publication {
    let rules = compile(db, folder).await;
    lives::publish(&**db, &rules, &options, &by(now), &Silent).await.expect("published")
}

async fn settle(db: &Store, now: Timestamp) {
    let mut engine = Engine::open((**db).clone(), now).await.expect("opened");
    engine.settle(now).await.expect("settled");
}

async fn life(db: &Store) -> Vec<Life> {
    lives::of_journey(&**db, &slug()).await.unwrap().iter().map(|record| record.life).collect()
}

async fn messages(db: &Store) -> Vec<MessageRow> {
    db.list_messages(MessageFilter::default(), 0, 1_000).await.unwrap()
}

/// What became of each recipient of a version, each once with how many.
async fn places(db: &Store, version: usize) -> Vec<String> {
    let record = &lives::of_journey(&**db, &slug()).await.unwrap()[version];
    let page = outcomes::recipients(&**db, record, None, (ContactId(0), 0), 100).await.unwrap();
    let mut words: Vec<String> = page
        .iter()
        .map(|recipient| match &recipient.place {
            Place::Inside(nodes) => format!("{} in {}", recipient.messages.len(), nodes.join("+")),
            Place::Over { node, why } => format!("{} {node} {why}", recipient.messages.len()),
        })
        .collect();
    let n = words.len();
    words.dedup();
    words.insert(0, n.to_string());
    words
}

const START: &str = "2026-03-01 08:00:00";

#[test]
fn an_audience_enters_waits_is_written_to_and_the_journey_finishes_when_its_messages_are_final() {
    let db = shop();
    block_on(async {
        let done = publish(&db, &folder("PT8H", "mail", ""), PublishOptions::default(), at(START)).await;
        assert_eq!((done.audience, done.record.life, done.record.version), (5, Life::Active, 1));
        settle(&db, at(START)).await;
        assert_eq!(places(&db, 0).await, ["5", "0 in rest"]);
        assert_eq!(db.run_totals(done.record.run).await.unwrap().inside, 5);
        settle(&db, at("2026-03-01 16:00:00")).await;
        assert_eq!(places(&db, 0).await, ["5", "1 mail end"]);
        assert_eq!(life(&db).await, [Life::Active], "messages are on their way");
        assert_eq!(db.cancel_messages(done.record.run, at(START), 3).await.unwrap(), 3);
        assert!(db.has_open_messages(done.record.run).await.unwrap());
        assert_eq!(db.cancel_messages(done.record.run, at(START), 3).await.unwrap(), 2);
        assert!(!db.has_open_messages(done.record.run).await.unwrap());
        settle(&db, at("2026-03-01 17:00:00")).await;
        assert_eq!(life(&db).await, [Life::Finished]);
        // What is over stays over; the same content may be published again: another run.
        let problem = lives::resume(&*db, &slug(), &by(at(START))).await.unwrap_err().to_string();
        assert!(problem.contains("cannot be resumed: version 1 is finished"), "{problem}");
        let again = publish(&db, &folder("PT8H", "mail", ""), PublishOptions::default(), at(START)).await;
        assert!(again.record.run != done.record.run && again.record.version == 1);
    });
}

#[test]
fn the_same_content_is_published_once_and_a_newer_version_takes_the_newcomers() {
    let db = shop();
    block_on(async {
        let first = folder("PT8H", "mail", "");
        publish(&db, &first, PublishOptions::default(), at(START)).await;
        settle(&db, at(START)).await;
        let before = rules_version(&*db).await.unwrap();
        let again = publish(&db, &first, PublishOptions::default(), at(START)).await;
        assert!(again.unchanged);
        assert_eq!(rules_version(&*db).await.unwrap(), before, "nothing was done");
        let newer = publish(&db, &folder("PT4H", "mail", ""), PublishOptions::default(), at(START)).await;
        assert_eq!((newer.record.version, newer.inside), (2, 5));
        assert_eq!(life(&db).await, [Life::Closing, Life::Active]);
        assert!(rules_version(&*db).await.unwrap() > before, "loops hear of it");
        settle(&db, at("2026-03-01 12:00:00")).await;
        assert_eq!(places(&db, 0).await, ["5", "0 in rest"], "those inside wait their eight hours");
        assert_eq!(places(&db, 1).await, ["0"], "once in a lifetime, whatever the version");
        settle(&db, at("2026-03-01 16:00:00")).await;
        assert_eq!(places(&db, 0).await, ["5", "1 mail end"]);
    });
}

#[test]
fn a_version_is_compiled_with_what_it_was_published_with() {
    let db = shop();
    block_on(async {
        publish(&db, &folder("PT8H", "mail", ""), PublishOptions::default(), at(START)).await;
        let book = Book::load(&*db).await.unwrap();
        let hash = book.journeys[0].rules.hash.clone();
        let runs = storage::journeys::JourneyStore::load_journey_runs(&*db, slug()).await.unwrap();
        assert_eq!(runs[0].hash, hash);
        // The template gets another version: the journey keeps the first.
        let mut other = folder("PT8H", "mail", "");
        other.templates[0].text = TEMPLATE.replace("Hello", "Goodbye");
        let rules = compile(&db, &other).await;
        rules::publish(&*db, &rules, at(START)).await.unwrap();
        let last = db.load_definitions(DefinitionKind::Template).await.unwrap();
        assert_eq!(last[0].version, 2);
        let book = Book::load(&*db).await.unwrap();
        let sends: Vec<u32> =
            book.journeys[0].sends.iter().flatten().map(|send| send.template_version).collect();
        assert_eq!((sends, book.journeys[0].rules.hash.clone()), (vec![1], hash));
    });
}

#[test]
fn a_version_that_cannot_be_compiled_is_named_and_the_others_go_on() {
    let db = shop();
    block_on(async {
        publish(&db, &folder("PT8H", "mail", ""), PublishOptions::default(), at(START)).await;
        settle(&db, at(START)).await;
        let before = lives::of_journey(&*db, &slug()).await.unwrap().remove(0);
        let mut after = before.clone();
        after.pinned["templates"]["hello"] = 9.into();
        let changes = vec![LifeChange { before, after }];
        assert!(db.change_lives(LifeCommit { changes, ..LifeCommit::default() }).await.unwrap());
        let mut other = folder("PT1H", "mail", "");
        other.journey.text = other.journey.text.replace("greeting", "welcome");
        publish(&db, &other, PublishOptions::default(), at(START)).await;
        settle(&db, at(START)).await;
        let book = Book::load(&*db).await.unwrap();
        assert_eq!((book.journeys.len(), book.broken.len()), (1, 1));
        let problem = &book.broken[0].problems[0];
        assert_eq!(
            (problem.code.as_ref(), problem.value.as_deref()),
            ("journey.definition_gone", Some("hello"))
        );
        settle(&db, at("2026-03-01 16:00:00")).await;
        assert_eq!(places(&db, 0).await, ["5", "0 in rest"], "they wait");
        assert_eq!(messages(&db).await.len(), 5, "the other journey wrote");
        // Those inside can be taken out all the same.
        lives::stop(&*db, &slug(), &by(at("2026-03-01 16:00:00"))).await.unwrap();
        settle(&db, at("2026-03-01 16:00:00")).await;
        assert_eq!(places(&db, 0).await, ["5", "0 rest stopped"]);
        assert_eq!(life(&db).await, [Life::Stopped]);
    });
}

#[test]
fn a_pause_holds_before_messages_while_waits_count() {
    let db = shop();
    block_on(async {
        publish(&db, &folder("PT8H", "mail", ""), PublishOptions::default(), at(START)).await;
        settle(&db, at(START)).await;
        lives::pause(&*db, &slug(), &by(at("2026-03-01 09:00:00"))).await.unwrap();
        let twice = lives::pause(&*db, &slug(), &by(at(START))).await.unwrap_err().to_string();
        assert!(
            twice.contains("cannot be paused: version 1 is paused") && twice.contains("resume"),
            "{twice}"
        );
        settle(&db, at("2026-03-02 00:00:00")).await;
        assert_eq!(places(&db, 0).await, ["5", "0 in mail"], "the wait is over, the message is not decided");
        let done = lives::resume(&*db, &slug(), &by(at("2026-03-02 10:00:00"))).await.unwrap();
        assert_eq!((done.contacts, done.lives[0].life), (5, Life::Active));
        settle(&db, at("2026-03-02 10:00:00")).await;
        assert_eq!(places(&db, 0).await, ["5", "1 mail end"]);
        let memo = Memo::of(&lives::of_journey(&*db, &slug()).await.unwrap()[0]);
        let words: Vec<&str> = memo.history.iter().map(|happened| happened.life.as_str()).collect();
        assert_eq!(words, ["active", "paused", "active"]);
        assert!(memo.history.iter().all(|happened| happened.by == "tests"));
    });
}

#[test]
fn a_broadcast_that_is_half_done_stands_while_paused_and_is_cancelled_by_a_stop() {
    let db = shop();
    block_on(async {
        publish(&db, &folder("PT8H", "mail", ""), PublishOptions::default(), at(START)).await;
        lives::pause(&*db, &slug(), &by(at(START))).await.unwrap();
        settle(&db, at(START)).await;
        assert_eq!(places(&db, 0).await, ["0"], "nobody enters");
        lives::resume(&*db, &slug(), &by(at(START))).await.unwrap();
        settle(&db, at(START)).await;
        settle(&db, at("2026-03-01 16:00:00")).await;
        assert_eq!(places(&db, 0).await, ["5", "1 mail end"], "they were not lost");
        let done = lives::stop(&*db, &slug(), &by(at("2026-03-01 17:00:00"))).await.unwrap();
        assert_eq!((done.cancelled, done.contacts), (5, 0));
        for row in messages(&db).await {
            assert_eq!((row.state, row.reason.as_deref()), (MessageState::Skipped, Some("journey.stopped")));
        }
        settle(&db, at("2026-03-01 17:00:00")).await;
        assert_eq!(life(&db).await, [Life::Stopped]);
    });
}

#[test]
fn those_inside_are_taken_out_by_a_stop() {
    let db = shop();
    block_on(async {
        publish(&db, &folder("PT8H", "mail", ""), PublishOptions::default(), at(START)).await;
        settle(&db, at(START)).await;
        assert_eq!(lives::stop(&*db, &slug(), &by(at(START))).await.unwrap().contacts, 5);
        assert_eq!(life(&db).await, [Life::Stopping]);
        settle(&db, at("2026-03-03 00:00:00")).await;
        assert_eq!(places(&db, 0).await, ["5", "0 rest stopped"]);
        assert_eq!((life(&db).await, messages(&db).await.len()), (vec![Life::Stopped], 0));
        let (standing, _) = outcomes::standing(&*db, &slug(), 1).await.unwrap();
        let lines = standing[0].report.counts.lines(&standing[0].rules.journey);
        let left = lines.iter().find(|line| line.left.is_some()).unwrap();
        assert_eq!((left.left.unwrap().word(), left.contacts), ("stopped", 5));
    });
}

#[test]
fn those_inside_are_moved_where_their_node_still_exists() {
    let db = shop();
    block_on(async {
        publish(&db, &folder("PT8H", "mail", ""), PublishOptions::default(), at(START)).await;
        settle(&db, at(START)).await;
        let moves = PublishOptions { moves: true, ..PublishOptions::default() };
        publish(&db, &folder("PT30H", "letter", ""), moves, at(START)).await;
        settle(&db, at("2026-03-01 09:00:00")).await;
        assert_eq!(places(&db, 0).await, ["5", "0 rest moved"]);
        assert_eq!(places(&db, 1).await, ["5", "0 in rest"]);
        assert_eq!(life(&db).await, [Life::Finished, Life::Active]);
        // They stay until when they were to stay, and go on by the new version's links.
        settle(&db, at("2026-03-01 16:00:00")).await;
        assert_eq!(places(&db, 1).await, ["5", "1 letter end"]);
        let nodes: Vec<String> =
            messages(&db).await.iter().map(|row| row.message.send.node.clone()).collect();
        assert_eq!(nodes, ["letter"; 5]);
    });
}

#[test]
fn a_scheduled_version_begins_by_itself_once() {
    let db = shop();
    block_on(async {
        let starts_at = Some(at("2026-03-05 08:00:00"));
        let options = PublishOptions { starts_at, ..PublishOptions::default() };
        let done = publish(&db, &folder("PT8H", "mail", ""), options, at(START)).await;
        assert_eq!((done.record.life, done.audience), (Life::Scheduled, 0));
        let problem = lives::pause(&*db, &slug(), &by(at(START))).await.unwrap_err().to_string();
        assert!(problem.contains("version 1 is scheduled"), "{problem}");
        let mut engine = Engine::open((*db).clone(), at(START)).await.unwrap();
        engine.settle(at(START)).await.unwrap();
        // The night comes before.
        assert!(engine.next_due(at(START)).await.unwrap().is_some_and(|due| Some(due) <= starts_at));
        assert_eq!(engine::live::schedules::next_start(&engine.ground().book), starts_at);
        // Who comes before it begins belongs to its audience.
        let mut batch = ImportBatch::new(at("2026-03-03 00:00:00"));
        batch.contacts = vec![contact("late")];
        db.import(batch).await.unwrap();
        for _ in 0..2 {
            settle(&db, at("2026-03-05 08:00:00")).await;
            assert_eq!(life(&db).await, [Life::Active]);
            assert_eq!(places(&db, 0).await, ["6", "0 in rest"]);
        }
    });
}

#[test]
fn a_life_changes_only_as_it_was_read() {
    let db = shop();
    block_on(async {
        publish(&db, &folder("PT8H", "mail", ""), PublishOptions::default(), at(START)).await;
        let before = lives::of_journey(&*db, &slug()).await.unwrap().remove(0);
        lives::pause(&*db, &slug(), &by(at(START))).await.unwrap();
        let mut after = before.clone();
        after.life = Life::Closing;
        let waves_before = db.load_waves().await.unwrap().len();
        let commit = LifeCommit {
            changes: vec![LifeChange { before, after }],
            waves: db
                .load_waves()
                .await
                .unwrap()
                .into_iter()
                .map(|wave| storage::live::NewWave { event: wave.event, causes: 0, contacts: wave.contacts })
                .collect(),
            ..LifeCommit::default()
        };
        assert!(!db.change_lives(commit).await.unwrap());
        assert_eq!(life(&db).await, [Life::Paused]);
        assert_eq!(db.load_waves().await.unwrap().len(), waves_before);
    });
}

#[test]
fn a_paused_journey_holds_triggers_up_to_the_limit_and_counts_the_rest() {
    let db = shop();
    block_on(async {
        publish(&db, &folder("PT8H", "mail", ""), PublishOptions::default(), at(START)).await;
        lives::pause(&*db, &slug(), &by(at(START))).await.unwrap();
        let event = model::Event {
            contact: ContactId(1),
            at: at(START),
            received_at: at(START),
            kind: "Asked".into(),
            message_id: None,
            properties: serde_json::Map::new(),
        };
        let one = lives::hold(&slug(), &event, 3);
        let whole = lives::unhold(&one.input.event).unwrap();
        assert_eq!(whole, (slug(), event.clone()));
        let many: Vec<HeldTrigger> = vec![one; PAUSED_QUEUE_MAX as usize - 1];
        db.hold_triggers(many).await.unwrap();
        for expected in [(PAUSED_QUEUE_MAX, 0), (PAUSED_QUEUE_MAX, 1)] {
            db.hold_triggers(vec![lives::hold(&slug(), &event, 3)]).await.unwrap();
            let held = db.count_held(slug()).await.unwrap();
            assert_eq!((held.held, held.dropped), expected);
        }
        let last = db.last_input().await.unwrap();
        let done = lives::resume(&*db, &slug(), &by(at(START))).await.unwrap();
        assert_eq!(done.held, PAUSED_QUEUE_MAX);
        assert_eq!(db.last_input().await.unwrap(), last + PAUSED_QUEUE_MAX as i64);
        assert_eq!(db.count_held(slug()).await.unwrap(), storage::lives::Held::default());
        let first: NewInput = {
            let input = db.take_inputs(i64::MAX, 1).await.unwrap().remove(0);
            NewInput { event: input.event, causes: input.causes, stored: false }
        };
        assert_eq!((first.causes, lives::unhold(&first.event)), (3, Some((slug(), event))));
    });
}

/// A journey with one trigger.
fn triggered(trigger: &str) -> Folder {
    let mut folder = folder("PT8H", "mail", "");
    let text = folder.journey.text.replace("source: existing", "source: existing_and_new");
    folder.journey.text =
        text.replace("reentry: never", &format!("reentry: after_exit\ntriggers: [{trigger}]"));
    folder
}

#[test]
fn who_is_asked_for_during_a_pause_enters_when_it_ends() {
    let db = shop();
    block_on(async {
        publish(&db, &triggered("{on: api}"), PublishOptions::default(), at(START)).await;
        let data: serde_json::Map<_, _> =
            [("order".to_owned(), serde_json::json!("A-17"))].into_iter().collect();
        lives::pause(&*db, &slug(), &by(at(START))).await.unwrap();
        lives::enter(&*db, &slug(), &[ContactId(1), ContactId(2)], data, None, &by(at(START))).await.unwrap();
        settle(&db, at(START)).await;
        assert_eq!(places(&db, 0).await, ["0"]);
        assert_eq!(db.count_held(slug()).await.unwrap().held, 2);
        lives::resume(&*db, &slug(), &by(at("2026-03-01 10:00:00"))).await.unwrap();
        for _ in 0..2 {
            settle(&db, at("2026-03-01 10:00:00")).await;
            assert_eq!(places(&db, 0).await, ["2", "0 in rest"], "each once");
        }
        // A stop forgets what is held.
        lives::pause(&*db, &slug(), &by(at(START))).await.unwrap();
        lives::enter(&*db, &slug(), &[ContactId(3)], serde_json::Map::new(), None, &by(at(START)))
            .await
            .unwrap();
        settle(&db, at("2026-03-01 10:00:00")).await;
        assert_eq!(lives::stop(&*db, &slug(), &by(at(START))).await.unwrap().held, 1);
        settle(&db, at("2026-03-01 10:00:00")).await;
        assert_eq!(places(&db, 0).await, ["2", "0 rest stopped"]);
    });
}

#[test]
fn who_asks_again_with_the_same_id_is_let_in_once() {
    let db = shop();
    block_on(async {
        publish(&db, &triggered("{on: api}"), PublishOptions::default(), at(START)).await;
        let enter = async |contacts: &[i64], id: Option<&str>| {
            let ids: Vec<ContactId> = contacts.iter().copied().map(ContactId).collect();
            let entered = lives::enter(&*db, &slug(), &ids, serde_json::Map::new(), id, &by(at(START))).await;
            settle(&db, at(START)).await;
            entered.map_err(|error| error.to_string())
        };
        let journey_entries = async || {
            let all = vec![ContactId(1), ContactId(2), ContactId(3)];
            let kinds = vec![model::event::kind::JOURNEY_ENTRY.to_owned()];
            let events = db.load_events(all, kinds, Timestamp::MIN, Timestamp::MAX).await.unwrap();
            events.iter().map(|event| event.contact.0).collect::<Vec<_>>()
        };
        enter(&[1], Some("r-1")).await.unwrap();
        // The caller died before it was told: it asks again, with one contact more than were heard.
        enter(&[1, 2], Some("r-1")).await.unwrap();
        enter(&[1, 2], Some("r-1")).await.unwrap();
        assert_eq!(journey_entries().await, [1, 2]);
        enter(&[1], Some("r-2")).await.unwrap();
        enter(&[3], None).await.unwrap();
        enter(&[3], None).await.unwrap();
        assert_eq!(journey_entries().await, [1, 1, 2, 3, 3], "another id, or none, is another entry");
        enter(&[2], Some(&"x".repeat(lives::ENTRY_ID_LEN_MAX))).await.unwrap();
        for wrong in [String::new(), "x".repeat(lives::ENTRY_ID_LEN_MAX + 1)] {
            assert!(enter(&[2], Some(&wrong)).await.unwrap_err().contains("journey.entry_id"));
        }
    });
}

#[test]
fn data_that_is_too_deep_or_too_large_is_refused_at_the_door() {
    let db = shop();
    block_on(async {
        publish(&db, &triggered("{on: api}"), PublishOptions::default(), at(START)).await;
        let nested =
            |levels: usize| (0..levels).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
        let (db, slug, by) = (&*db, slug(), by(at(START)));
        let enter = async |value: serde_json::Value| {
            let data = [("v".to_owned(), value)].into_iter().collect();
            lives::enter(db, &slug, &[ContactId(1)], data, None, &by).await.map_err(|error| error.to_string())
        };
        enter(nested(model::Event::DEPTH_MAX - 1)).await.unwrap();
        assert!(enter(nested(model::Event::DEPTH_MAX)).await.unwrap_err().contains("event.too_deep"));
        let text = |len: usize| "x".repeat(len).into();
        let rest = r#"{"journey":"greeting","v":""}"#.len();
        enter(text(model::Event::SIZE_MAX - rest)).await.unwrap();
        assert!(
            enter(text(model::Event::SIZE_MAX - rest + 1)).await.unwrap_err().contains("event.too_large")
        );
    });
}

#[test]
fn a_recurring_start_happens_once_and_of_missed_ones_the_last_is_made_up_for() {
    let db = shop();
    block_on(async {
        let daily = triggered("{on: schedule, every: day, at: \"09:00\"}");
        publish(&db, &daily, PublishOptions::default(), at(START)).await;
        settle(&db, at("2026-03-01 08:59:00")).await;
        assert_eq!(places(&db, 0).await, ["0"]);
        for _ in 0..2 {
            settle(&db, at("2026-03-01 09:00:00")).await;
            assert_eq!(places(&db, 0).await, ["5", "0 in rest"]);
        }
        settle(&db, at("2026-03-01 17:00:00")).await;
        // Nothing ran for three days.
        settle(&db, at("2026-03-04 12:00:00")).await;
        assert_eq!(db.run_totals(1).await.unwrap().entered, 10);
        let memo = Memo::of(&lives::of_journey(&*db, &slug()).await.unwrap()[0]);
        assert_eq!((memo.missed, memo.occurrences["0"]), (2, at("2026-03-04 09:00:00")));
    });
}

/// The time of a runtime whose time is paused: it goes on when everybody sleeps.
struct Paused {
    from: Timestamp,
    since: tokio::time::Instant,
}

impl Paused {
    fn from(from: Timestamp) -> Self {
        Self { from, since: tokio::time::Instant::now() }
    }
}

impl model::Clock for Paused {
    fn now(&self) -> Timestamp {
        self.from.plus(i64::try_from(self.since.elapsed().as_micros()).unwrap())
    }
}

#[test]
fn the_loop_sleeps_until_what_is_due_hears_a_knock_and_stops_when_it_is_told() {
    use model::Clock;
    use std::sync::Mutex;
    let db = peopled(testkit::store_without_threads());
    let paused =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    paused.block_on(async {
        let waits = triggered("{on: api}");
        publish(&db, &waits, PublishOptions::default(), at(START)).await;
        lives::enter(&*db, &slug(), &[ContactId(1)], serde_json::Map::new(), None, &by(at(START)))
            .await
            .unwrap();
        let mut engine = Engine::open((*db).clone(), at(START)).await.unwrap();
        let (clock, stop, knock) = (Paused::from(at(START)), tokio::sync::Notify::new(), engine.knocker());
        let turns = Mutex::new(Vec::new());
        let since = || clock.now().since(at(START));

        // Told to stop by the first turn, it stops although there is more to do at once.
        let told = |worked: engine::live::work::Worked| {
            turns.lock().unwrap().push((since(), worked));
            stop.notify_one();
        };
        engine.run(&clock, &stop, &told).await.unwrap();
        assert_eq!(std::mem::take(&mut *turns.lock().unwrap()).len(), 1);

        // It sleeps until the wait is over and not longer; in between it does nothing.
        let told = |worked: engine::live::work::Worked| {
            turns.lock().unwrap().push((since(), worked));
            if worked.messages > 0 {
                stop.notify_one();
            }
        };
        engine.run(&clock, &stop, &told).await.unwrap();
        let woke: std::collections::BTreeSet<i64> =
            std::mem::take(&mut *turns.lock().unwrap()).into_iter().map(|(at, _)| at).collect();
        assert_eq!(woke.into_iter().filter(|at| *at > 0).collect::<Vec<_>>(), [8 * Timestamp::HOUR]);

        // Who knocks is heard at once, not after the longest sleep.
        let later = async {
            tokio::time::sleep(std::time::Duration::from_secs(10)).await;
            let now = by(clock.now());
            lives::enter(&*db, &slug(), &[ContactId(2)], serde_json::Map::new(), None, &now).await.unwrap();
            knock.notify_one();
        };
        let told = |worked: engine::live::work::Worked| {
            turns.lock().unwrap().push((since(), worked));
            if worked.inputs > 0 {
                stop.notify_one();
            }
        };
        let (ran, ()) = tokio::join!(engine.run(&clock, &stop, &told), later);
        ran.unwrap();
        let (at, worked) = turns.lock().unwrap().pop().unwrap();
        assert_eq!((at, worked.inputs), (8 * Timestamp::HOUR + 10 * Timestamp::SECOND, 1));
    });
}
