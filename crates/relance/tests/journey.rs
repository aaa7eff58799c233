//! `relance journey` as a user runs it, and as a machine breaks it: the campaign of `examples/s0` over a small shop.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value as Json;
use storage::{
    contacts::{ContactStore, IdentifierKind},
    outbox::{MessageFilter, OutboxStore},
};
use storage_sqlite::{Options, Sqlite};
use tempfile::TempDir;

/// The instant of all runs.
const AT: &str = "2026-06-01T00:00:00Z";
const CONTACTS: usize = 80;

struct Shop {
    folder: TempDir,
}

impl Shop {
    /// Contacts who bought between once and eight times, some of them long ago; every tenth took back their consent,
    /// every eighth never ordered.
    fn new() -> Self {
        let shop = Self { folder: TempDir::new().unwrap() };
        let mut contacts = String::from("external_id,email,first_name,consent.newsletter\n");
        let mut orders = String::from("order_id,contact,ordered_at,product,name,quantity,unit_price\n");
        let mut order = 0;
        for contact in 0..CONTACTS {
            let state = if contact % 10 == 9 { "unsubscribed" } else { "subscribed" };
            writeln!(contacts, "C{contact},c{contact}@example.test,First {contact},{state}").unwrap();
            let times = if contact % 8 == 7 { 0 } else { 1 + contact % 7 };
            for time in 0..times {
                order += 1;
                let (month, day) = (1 + (contact * 5 + time) % 5, 1 + (contact + 3 * time) % 28);
                for line in 0..3 {
                    let product = (contact * 7 + time * 3 + line * 5) % 30;
                    let price = 2 + product;
                    writeln!(
                        orders,
                        "O{order},C{contact},2026-0{month}-{day:02} 10:00:00,P{product},\"Thing {product}\",{},{price}.50",
                        1 + line
                    )
                    .unwrap();
                }
            }
        }
        for (kind, text) in [("contacts", contacts), ("orders", orders)] {
            let file = shop.path(&format!("{kind}.csv"));
            fs::write(&file, text).unwrap();
            let output = shop.relance(&["import", kind, file.to_str().unwrap()]);
            assert!(output.status.success(), "{}", stderr(&output));
        }
        shop
    }

    /// The same shop once more.
    fn copy(&self) -> Self {
        let folder = TempDir::new().unwrap();
        for ending in ["", "-wal"] {
            let from = self.path(&format!("shop.db{ending}"));
            if from.exists() {
                fs::copy(from, folder.path().join(format!("shop.db{ending}"))).unwrap();
            }
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
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

    fn run(&self, more: &[&str]) -> Output {
        let file = example();
        self.relance(&[&["journey", "run", file.to_str().unwrap(), "--batch", "10"], more].concat())
    }

    fn db(&self) -> Sqlite {
        Sqlite::open(self.path("shop.db"), Options::default()).unwrap()
    }

    /// Every message: to whom, from which node, with what.
    async fn messages(&self) -> Vec<(i64, String, String)> {
        let rows = self.db().list_messages(MessageFilter::default(), 0, 10_000).await.unwrap();
        let one = |row: storage::outbox::MessageRow| {
            (row.message.contact.0, row.message.send.node.clone(), row.message.variables)
        };
        let mut messages: Vec<_> = rows.into_iter().map(one).collect();
        messages.sort();
        messages
    }

    /// The lines of a run's result.
    fn counts(&self, more: &[&str]) -> Vec<Json> {
        let output = self.run(&[more, &["--format", "json"]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/s0/journey.yaml")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn number(line: &Json, key: &str) -> u64 {
    line[key].as_u64().unwrap()
}

/// In = left by each outcome, and what leaves by a link comes in where it leads.
fn assert_adds_up(lines: &[Json], enrolled: u64) {
    let mut came = std::collections::BTreeMap::from([("start".to_owned(), enrolled)]);
    let mut left = std::collections::BTreeMap::<String, u64>::new();
    for line in lines {
        let to = line["to"].as_str().unwrap();
        if !to.starts_with("left:") {
            *came.entry(to.to_owned()).or_default() += number(line, "contacts");
        }
        *left.entry(line["node"].as_str().unwrap().to_owned()).or_default() += number(line, "contacts");
    }
    for line in lines {
        let node = line["node"].as_str().unwrap();
        assert_eq!(number(line, "in"), left[node], "{node}");
        assert_eq!(left.get(node), came.get(node), "{node}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_once_with_counts_that_add_up() {
    let shop = Shop::new();
    let first = shop.run(&["--format", "json"]);
    assert!(first.status.success(), "{}", stderr(&first));
    let lines: Vec<Json> = serde_json::from_slice(&first.stdout).unwrap();
    assert_adds_up(&lines, CONTACTS as u64);
    let sent = |node: &str| {
        let line = lines.iter().find(|line| line["node"] == node && line["outcome"] == "sent");
        number(line.unwrap(), "contacts")
    };
    let mails = ["mail_up", "mail_cross", "mail_best"];
    assert!(mails.iter().all(|mail| sent(mail) > 0), "all three branches are taken: {lines:?}");
    let stopped = lines.iter().find(|line| line["to"] == "left:no_branch").unwrap();
    assert_eq!((stopped["node"].as_str(), stopped["outcome"].as_str()), (Some("low"), Some("no")));
    assert!(number(stopped, "contacts") >= CONTACTS as u64 / 8, "who never bought stops: {stopped}");
    assert!(stderr(&first).contains("80 contacts entered"), "{}", stderr(&first));

    let messages = shop.messages().await;
    assert_eq!(messages.len() as u64, mails.iter().map(|mail| sent(mail)).sum::<u64>());
    for (contact, node, variables) in &messages {
        let json: Json = serde_json::from_str(variables).unwrap();
        let products = json["products"].as_array().unwrap();
        assert!(json["name"].as_str().unwrap().starts_with("First "), "{variables}");
        assert!(products.len() <= 6, "{variables}");
        if node == "mail_up" {
            assert_dearer(&shop.db(), *contact, products).await;
        }
    }

    // Again: nothing is done, the counts are shown.
    let again = shop.run(&["--format", "json"]);
    assert_eq!(again.stdout, first.stdout);
    assert!(stderr(&again).contains("nothing was done"), "{}", stderr(&again));
    // Another run: nobody enters twice (`reentry: never`).
    let other = shop.run(&["--new-run"]);
    assert!(stderr(&other).contains("80 contacts went through this journey before"), "{}", stderr(&other));
    assert_eq!(shop.messages().await, messages);
    let status = shop.relance(&["journey", "status", "rfm-recommendations"]);
    assert!(status.status.success() && stderr(&status).contains("run 2 of version 1"), "{}", stderr(&status));
}

/// Up-selling shows dearer products only, and remembers the price that they were held against.
async fn assert_dearer(db: &Sqlite, contact: i64, products: &[Json]) {
    let contact = db.load_contacts(vec![model::ContactId(contact)]).await.unwrap().remove(0);
    let Some(model::Value::Decimal(highest)) = contact.fields.get("highest_price").cloned() else {
        panic!("no price was remembered: {contact:?}");
    };
    for product in products {
        let price = product["unit_price"].as_f64().unwrap();
        assert!(price > highest.to_f64(), "{product} for somebody who paid {highest}");
    }
}

/// The example with another policy of re-entry, in a folder of its own.
fn example_that_lets_in_again(folder: &Path) -> PathBuf {
    copy_example(folder);
    let file = folder.join("journey.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("reentry: never", "reentry: after_exit")).unwrap();
    file
}

fn copy_example(folder: &Path) {
    for beside in ["segments", "templates"] {
        fs::create_dir(folder.join(beside)).unwrap();
        for entry in fs::read_dir(example().with_file_name(beside)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.join(beside).join(entry.file_name())).unwrap();
        }
    }
    for file in ["journey.yaml", "fields.yaml"] {
        fs::copy(example().with_file_name(file), folder.join(file)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_run_writes_again_where_the_journey_lets_in_again() {
    let shop = Shop::new();
    let folder = TempDir::new().unwrap();
    let file = example_that_lets_in_again(folder.path());
    let run = ["journey", "run", file.to_str().unwrap(), "--batch", "10"];
    // A run that is not finished is finished first.
    let broken = shop.command(&run).env("RELANCE_CRASH_AT", "campaign.after_commit:2").output().unwrap();
    assert!(!broken.status.success());
    let refused = shop.relance(&[&run[..], &["--new-run"]].concat());
    assert!(
        !refused.status.success() && stderr(&refused).contains("journey.unfinished_run"),
        "{}",
        stderr(&refused)
    );
    let status = shop.relance(&["journey", "status", file.to_str().unwrap()]);
    assert!(stderr(&status).contains("run 1 stands at 20 of 80 contacts"), "{}", stderr(&status));
    assert!(shop.relance(&run).status.success());
    let once = shop.messages().await.len();
    let again = shop.relance(&[&run[..], &["--new-run"]].concat());
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(shop.messages().await.len(), 2 * once);
}

#[tokio::test(flavor = "multi_thread")]
async fn says_which_way_a_contact_went() {
    let shop = Shop::new();
    assert!(shop.run(&[]).status.success());
    let id = shop.db().resolve(vec![(IdentifierKind::ExternalId, "C7".into())]).await.unwrap();
    assert!(id[0].is_some());
    let output = shop.relance(&["journey", "trace", "c7@example.test", "--format", "csv"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let nodes: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split(',').nth(4)).collect();
    assert_eq!(nodes, ["start", "high", "medium", "low"], "{text}");
    assert!(text.lines().nth(2).unwrap().contains("2026-06-01T00:00:00Z,high,"), "{text}");
    let nobody = shop.relance(&["journey", "trace", "C700"]);
    assert!(!nobody.status.success() && stderr(&nobody).contains("contact.unknown"), "{}", stderr(&nobody));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_breaks_at_a_named_point_goes_on_without_a_second_mail() {
    let shop = Shop::new();
    let whole = shop.copy();
    let expected = whole.counts(&[]);
    let messages = whole.messages().await;
    for point in [
        "campaign.before_commit:1",
        "campaign.before_commit:4",
        "campaign.after_commit:1",
        "campaign.after_commit:8",
        "sqlite.before_commit:9",
    ] {
        let broken = shop.copy();
        let file = example();
        let mut command = broken.command(&["journey", "run", file.to_str().unwrap(), "--batch", "10"]);
        let output = command.env("RELANCE_CRASH_AT", point).output().unwrap();
        assert!(!output.status.success(), "{point} was not reached");
        let partial = broken.messages().await;
        assert!(partial.iter().all(|message| messages.contains(message)), "{point}");
        // Twice more: what was interrupted is finished, and then nothing is left.
        assert_eq!(broken.counts(&[]), expected, "{point}");
        assert_eq!(broken.messages().await, messages, "{point}");
        assert_eq!(broken.counts(&[]), expected, "{point}");
        assert_eq!(broken.messages().await, messages, "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_goes_on_without_a_second_mail() {
    let shop = Shop::new();
    let whole = shop.copy();
    let expected = whole.counts(&[]);
    let messages = whole.messages().await;
    let file = example();
    // Later and later, until a run is over before it is killed.
    for round in 0..40_u64 {
        let broken = shop.copy();
        let mut command = broken.command(&["journey", "run", file.to_str().unwrap(), "--batch", "1"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(60 * (1 + round)));
        child.kill().unwrap();
        let over = child.wait().unwrap().success();
        assert_eq!(broken.counts(&[]), expected, "round {round}");
        assert_eq!(broken.messages().await, messages, "round {round}");
        if over || round >= 7 {
            break;
        }
    }
}

#[test]
fn mistakes_are_found_with_place_and_cure() {
    let folder = TempDir::new().unwrap();
    let text = fs::read_to_string(example()).unwrap();
    let broken = text
        .replace("segment: rfm-low", "segment: rfm-lwo")
        .replace("template: up-selling", "template: upselling");
    copy_example(folder.path());
    fs::write(folder.path().join("journey.yaml"), broken).unwrap();
    let database = format!("sqlite:{}", folder.path().join("none.db").display());
    let check = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_relance"))
            .args(["journey", "check"])
            .arg(folder.path())
            .args(["--database", &database])
            .args(more)
            .output()
            .unwrap()
    };
    let output = check(&[]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success());
    for (code, cure) in [
        ("error[journey.unknown_segment]", "did you mean `rfm-low`?"),
        ("error[journey.unknown_template]", "did you mean `up-selling`?"),
    ] {
        assert!(said.lines().any(|line| line.starts_with(code) && line.ends_with(cure)), "{said}");
    }
    assert!(!folder.path().join("none.db").exists(), "a check makes no database");
    let json: Json = serde_json::from_slice(&check(&["--format", "json"]).stdout).unwrap();
    assert!(json[0]["place"]["line"].is_number(), "{json}");
    // As it stands in the repository it is sound.
    fs::write(folder.path().join("journey.yaml"), text).unwrap();
    assert!(check(&[]).status.success());
    // What cannot be read says why.
    fs::write(folder.path().join("journey.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    assert!(stderr(&check(&[])).contains("file.encoding"));
    fs::remove_file(folder.path().join("journey.yaml")).unwrap();
    assert!(stderr(&check(&[])).contains("file.unreadable"));
}
