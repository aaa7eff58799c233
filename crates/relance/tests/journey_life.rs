//! The life of a journey on the command line: published, listed, paused, resumed, stopped; and what is refused.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use engine::live::work::Engine;
use model::{Timestamp, Zone};
use serde_json::Value as Json;
use storage_sqlite::{Options, Sqlite};
use tempfile::TempDir;

const AT: &str = "2026-06-01T08:00:00Z";
const JOURNEY: &str = "format: 1
journey: greeting
name: Greeting
audience: {who: all, source: existing}
nodes:
  rest: {kind: wait, for: PT8H}
  mail: {kind: send_email, template: hello, purpose: transactional}
links:
  - {from: start, to: rest}
  - {from: rest, to: mail}
";
const TEMPLATE: &str = "format: 1
template: hello
name: Hello
languages: [en]
subject: {en: Hello}
blocks:
  - {kind: text, text: {en: Hello}}
";

struct Shop(TempDir);

impl Shop {
    fn new() -> Self {
        let shop = Self(TempDir::new().unwrap());
        fs::create_dir_all(shop.path("greeting/templates")).unwrap();
        fs::write(shop.path("greeting/journey.yaml"), JOURNEY).unwrap();
        fs::write(shop.path("greeting/templates/hello.yaml"), TEMPLATE).unwrap();
        let contacts = shop.path("contacts.csv");
        fs::write(&contacts, "external_id,email\nann,ann@example.test\nbob,bob@example.test\n").unwrap();
        shop.ok(&["import", "contacts", contacts.to_str().unwrap()]);
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relance"));
        command
            .args(args)
            .args(["--at", AT, "--database"])
            .arg(format!("sqlite:{}", self.path("shop.db").display()))
            .env_remove("RELANCE_CRASH_AT");
        command
    }

    fn relance(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What it says on both streams; it must succeed.
    fn ok(&self, args: &[&str]) -> (String, String) {
        let output = self.relance(args);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    }

    fn refused(&self, args: &[&str]) -> String {
        let output = self.relance(args);
        assert!(!output.status.success(), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn list(&self, args: &[&str]) -> Vec<Json> {
        serde_json::from_str(&self.ok(&[args, &["--format", "json"]].concat()).0).unwrap()
    }

    fn publish(&self) -> String {
        self.ok(&["journey", "publish", self.path("greeting").to_str().unwrap()]).1
    }

    fn settle(&self, at: &str) {
        let now = Timestamp::parse(at, &Zone::UTC).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let db = Sqlite::open(self.path("shop.db"), Options::default()).unwrap();
            Engine::open(db, now).await.unwrap().settle(now).await.unwrap();
        });
    }
}

#[test]
fn looking_makes_no_database() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("none.db");
    for args in [&["status", "greeting"][..], &["list"], &["pause", "greeting"], &["outcomes", "greeting"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_relance"))
            .arg("journey")
            .args(args)
            .arg("--database")
            .arg(format!("sqlite:{}", database.display()))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("there is no database at"), "{said}");
        assert!(!database.exists());
    }
}

#[test]
fn a_life_from_the_command_line() {
    let shop = Shop::new();
    let said = shop.publish();
    assert!(said.contains("greeting: version 1 is active") && said.contains("2 contacts"), "{said}");
    assert!(shop.publish().contains("version 1 is active already: nothing was done"));
    shop.settle(AT);
    let list = shop.list(&["journey", "list"]);
    assert_eq!((list[0]["life"].as_str(), list[0]["inside"].as_i64()), (Some("active"), Some(2)));
    let status = shop.list(&["journey", "status", "greeting"]);
    let waiting = status.iter().find(|line| line["outcome"] == "waiting").unwrap();
    assert_eq!((waiting["node"].as_str(), waiting["contacts"].as_i64()), (Some("rest"), Some(2)));

    let said = shop.ok(&["journey", "pause", "greeting"]).1;
    assert!(said.contains("version 1 is paused") && said.contains("journey resume greeting"), "{said}");
    let said = shop.refused(&["journey", "pause", "greeting"]);
    assert!(said.contains("journey.life") && said.contains("is paused"), "{said}");
    shop.settle("2026-06-01T20:00:00Z");
    let said = shop.ok(&["journey", "resume", "greeting"]).1;
    assert!(said.contains("2 contacts inside go on"), "{said}");
    shop.settle("2026-06-01T20:00:00Z");
    let rows = shop.list(&["journey", "outcomes", "greeting", "--contact", "ann@example.test"]);
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0]["contact"].as_str(), rows[0]["where"].as_str(), rows[0]["messages"].as_str()),
        (Some("ann"), Some("mail"), Some("mail: waiting"))
    );

    let said = shop.ok(&["journey", "stop", "greeting"]).1;
    assert!(said.contains("2 waiting messages are not sent"), "{said}");
    shop.settle("2026-06-01T20:00:00Z");
    assert!(shop.list(&["journey", "list"]).is_empty());
    assert_eq!(shop.list(&["journey", "list", "--all"])[0]["life"], "stopped");
    let rows = shop.list(&["journey", "outcomes", "greeting"]);
    assert!(rows.iter().all(|row| row["messages"] == "mail: skipped (journey.stopped)"), "{rows:?}");
    assert!(shop.ok(&["journey", "retry", "greeting"]).1.contains("0 messages wait again"));
    assert!(shop.refused(&["journey", "resume", "greeting"]).contains("what is over stays over"));
}

#[test]
fn what_is_not_there_is_said_with_a_cure() {
    let shop = Shop::new();
    let said = shop.refused(&["journey", "stop", "nothing"]);
    assert!(said.contains("journey.not_published") && said.contains("journey publish"), "{said}");
    shop.publish();
    let said = shop.refused(&["journey", "enter", "greeting", "--contact", "ann"]);
    assert!(said.contains("journey.no_api_trigger"), "{said}");
    let said = shop.refused(&["journey", "enter", "greeting", "--contact", "nobody"]);
    assert!(said.contains("contact.unknown"), "{said}");
    let said = shop.refused(&["journey", "enter", "greeting", "--contact", "ann", "--data", "[1]"]);
    assert!(said.contains("event.data"), "{said}");
}

/// A journey from its beginning to its end, step by step, each settled; `broken` is killed at a point first, and then
/// asked for again. What is told of it at the end, by every command that tells.
fn lived(broken: Option<(usize, &str)>) -> Vec<Vec<Json>> {
    let shop = Shop::new();
    let folder = shop.path("greeting");
    let steps: [&[&str]; 4] = [
        &["journey", "publish", folder.to_str().unwrap()],
        &["journey", "pause", "greeting"],
        &["journey", "resume", "greeting"],
        &["journey", "stop", "greeting"],
    ];
    for (number, step) in steps.iter().enumerate() {
        let killed = broken.filter(|(broken, _)| *broken == number).map(|(_, point)| point);
        if let Some(point) = killed {
            let output = shop.command(step).env("RELANCE_CRASH_AT", point).output().unwrap();
            assert_eq!(output.status.code(), None, "{step:?} does not pass {point}");
        }
        let again = shop.relance(step);
        let said = String::from_utf8(again.stderr).unwrap();
        // What was committed before the kill is not done again, and that is said.
        let is_done = killed == Some("life.after_commit") && !step.contains(&"publish");
        assert_eq!(again.status.success(), !is_done, "{step:?}, killed at {killed:?}: {said}");
        assert!(!is_done || said.contains("journey.life"), "{step:?}: {said}");
        shop.settle(if number == 0 { AT } else { "2026-06-01T20:00:00Z" });
    }
    [
        &["journey", "list", "--all"][..],
        &["journey", "status", "greeting"],
        &["journey", "outcomes", "greeting"],
    ]
    .map(|args| shop.list(args))
    .into()
}

#[test]
fn a_life_that_is_changed_by_a_process_that_is_killed_is_changed_once_or_not_at_all() {
    let whole = lived(None);
    assert_eq!((&whole[0][0]["life"], whole[2].len()), (&Json::from("stopped"), 2));
    for point in ["life.before_commit", "life.after_commit"] {
        for step in 0..4 {
            assert_eq!(lived(Some((step, point))), whole, "step {step}, {point}");
        }
    }
}
