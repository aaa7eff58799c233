//! `relance journey simulate` and `trace --why-not` as a user runs them.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value as Json;
use tempfile::TempDir;

const JOURNEY: &str = r#"
format: 1
journey: reminder
audience: {who: with_email, source: existing_and_new}
triggers:
  - {on: event, event: Checkout Left, where: {ref: trigger.total, greater_than: 50}}
exit:
  - {on: event, event: Order Completed}
reentry: after_exit
nodes:
  pause: {kind: wait, for: PT1H}
  mail: {kind: send_email, template: hello, purpose: newsletter}
links:
  - {from: start, to: pause}
  - {from: pause, to: mail}
"#;
const MAIL: &str = "{format: 1, template: hello, languages: [en], subject: {en: Hello}, blocks: [{kind: text, text: {en: Hello}}]}";

struct Shop(TempDir);

impl Shop {
    fn new() -> Self {
        let shop = Self(TempDir::new().unwrap());
        shop.write(
            "contacts.csv",
            "external_id,email,consent.newsletter,created_at\nann,ann@example.test,subscribed,2025-01-01\nbob,bob@example.test,subscribed,2025-01-01\ncid,cid@example.test,unsubscribed,2025-01-01\ndan,dan@example.test,subscribed,2025-01-01\n",
        );
        shop.write(
            "orders.csv",
            "order_id,contact,ordered_at,product,name,quantity,unit_price\no1,bob,2026-05-10 10:30:00,mug,Mug,1,60\no2,ann,2026-05-12 10:00:00,mug,Mug,2,60\n",
        );
        let event = |contact: &str, total: u32| {
            format!(
                "{{\"contact\":\"{contact}\",\"at\":\"2026-05-10T10:00:00Z\",\"event\":\"Checkout Left\",\"properties\":{{\"total\":{total}}}}}\n"
            )
        };
        let events = [event("ann", 51), event("bob", 60), event("cid", 70), event("dan", 50)].concat();
        shop.write("events.jsonl", &events);
        for (kind, file) in
            [("contacts", "contacts.csv"), ("orders", "orders.csv"), ("events", "events.jsonl")]
        {
            let output = shop.relance(&["import", kind, shop.path(file).to_str().unwrap()]);
            assert!(output.status.success(), "{kind}: {}", text(&output.stderr));
        }
        fs::create_dir(shop.path("draft")).unwrap();
        fs::create_dir(shop.path("draft/templates")).unwrap();
        shop.write("draft/journey.yaml", JOURNEY);
        shop.write("draft/templates/hello.yaml", MAIL);
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn relance(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_relance"))
            .args(args)
            .args(["--at", "2026-06-01T00:00:00Z", "--database"])
            .arg(format!("sqlite:{}", self.path("shop.db").display()))
            .output()
            .unwrap()
    }

    fn simulate(&self, more: &[&str]) -> Output {
        let draft = self.path("draft");
        self.relance(&[&["journey", "simulate", draft.to_str().unwrap()], more].concat())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_draft_is_played_and_nothing_is_written() {
    let shop = Shop::new();
    let before = shop.relance(&["journey", "list", "--all", "--format", "json"]).stdout;
    let output = shop.simulate(&["--format", "json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let played: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((played["contacts"].as_u64(), played["entered"].as_u64()), (Some(4), Some(3)));
    assert_eq!(played["triggers"][0]["entered"], 3);
    assert_eq!(played["messages"][0]["sent"], 1, "bob bought, cid took back the consent");
    assert_eq!(played["messages"][0]["reason"], "unsubscribed");
    let groups = played["bought"]["groups"].as_array().unwrap();
    assert_eq!(groups[0]["revenue"], 180.0);
    assert!(played["bought"]["note"].as_str().unwrap().contains("no proof"));
    assert_eq!(shop.relance(&["journey", "list", "--all", "--format", "json"]).stdout, before);
    let table = text(&shop.simulate(&[]).stdout);
    for part in ["who would have entered", "which way", "been sent", "no proof of cause", "left"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let csv = text(&shop.simulate(&["--format", "csv"]).stdout);
    assert!(csv.starts_with("node,kind,name,in,outcome"), "{csv}");
    // Before anything happened nobody enters.
    let none = shop.simulate(&["--to", "2026-05-01", "--format", "json"]);
    let none: Json = serde_json::from_slice(&none.stdout).unwrap();
    assert_eq!(none["entered"], 0);
    let wrong = shop.simulate(&["--from", "2026-07-01"]);
    assert!(!wrong.status.success() && text(&wrong.stderr).contains("simulate.span"));
}

#[test]
fn one_contact_says_its_way_and_why_not() {
    let shop = Shop::new();
    let ann = text(&shop.simulate(&["--contact", "ann", "--format", "csv"]).stdout);
    assert!(ann.contains("2026-05-10T11:00:00Z,mail,"), "{ann}");
    let dan = text(&shop.simulate(&["--contact", "dan"]).stdout);
    assert!(dan.contains("trigger.total is 50"), "{dan}");
    let draft = shop.path("draft");
    let why = shop.relance(&["journey", "trace", draft.to_str().unwrap(), "--contact", "dan", "--why-not"]);
    assert!(text(&why.stdout).contains("trigger.total is 50"), "{} {}", text(&why.stdout), text(&why.stderr));
    let wrong = shop.relance(&["journey", "trace", "reminder", "--contact", "dan", "--why-not"]);
    assert!(!wrong.status.success() && text(&wrong.stderr).contains("journey.not_published"));
}
