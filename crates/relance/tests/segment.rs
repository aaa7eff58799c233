//! `relance segment` from the command line: files, messages, formats, saved members.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

const NOW: &str = "2026-03-10T12:00:00Z";

/// A database with five contacts, their events and orders.
struct Shop {
    folder: TempDir,
}

impl Shop {
    fn new() -> Self {
        let shop = Self { folder: TempDir::new().unwrap() };
        shop.write(
            "contacts.csv",
            "external_id,email,first_name,country,consent.newsletter\n\
             ann,ann@example.test,Ann,France,subscribed\n\
             bob,bob@example.test,Bob,france,unsubscribed\n\
             cyd,cyd@example.test,Cyd,Spain,subscribed\n\
             dan,dan@example.test,Dan,,subscribed\n\
             eve,eve@example.test,Eve,France,subscribed\n",
        );
        shop.write(
            "events.csv",
            "contact,kind,at\n\
             ann,Product Viewed,2026-03-09 10:00:00\n\
             ann,Product Viewed,2026-03-10 09:00:00\n\
             bob,Product Viewed,2026-03-10 11:00:00\n\
             cyd,Product Viewed,2026-02-01 11:00:00\n",
        );
        shop.write(
            "orders.csv",
            "order_id,contact,ordered_at,total\n\
             o1,ann,2026-03-01 10:00:00,60\n\
             o2,ann,2026-02-20 10:00:00,55\n\
             o3,cyd,2025-12-31 10:00:00,500\n",
        );
        shop.relance(&["import", "contacts", "contacts.csv"]);
        shop.relance(&["import", "events", "events.csv"]);
        shop.relance(&["import", "orders", "orders.csv", "--currency", "EUR"]);
        shop
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn try_relance(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_relance"))
            .args(args)
            .args(["--at", NOW])
            .env("RELANCE_DATABASE", format!("sqlite:{}", self.folder.path().join("relance.db").display()))
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    fn relance(&self, args: &[&str]) -> String {
        let output = self.try_relance(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the program says when it refuses.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.try_relance(args);
        assert!(!output.status.success(), "{args:?} went well");
        assert!(output.stdout.is_empty(), "{args:?} printed a result");
        String::from_utf8(output.stderr).unwrap()
    }

    fn members(&self, condition: &str) -> Vec<String> {
        self.write("asked.yaml", &format!("format: 1\nsegment: asked\ncondition: {condition}\n"));
        let json: serde_json::Value =
            serde_json::from_str(&self.relance(&["segment", "preview", "asked.yaml", "--format", "json"]))
                .unwrap();
        let sample = json["sample"].as_array().unwrap();
        assert_eq!(json["members"], sample.len(), "{condition}");
        sample.iter().map(|one| one["contact"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn previews_who_satisfies_a_condition() {
    let shop = Shop::new();
    for (condition, members) in [
        ("{field: country, is: France}", "ann bob eve"),
        ("{field: country, is_not: France}", "cyd dan"),
        ("{field: country, is: France, exactly: true}", "ann eve"),
        ("{field: country, has_value: false}", "dan"),
        ("{consent: newsletter, is: subscribed}", "ann cyd dan eve"),
        ("{did: Product Viewed, count: {at_least: 2}, within: P7D}", "ann"),
        ("{did: Product Viewed, calendar: today}", "ann bob"),
        ("{did_not: Product Viewed, within: P7D}", "cyd dan eve"),
        ("{did: Order Completed, sum: total, greater_than: 100}", "ann cyd"),
        ("{did: Order Completed, sum: total, greater_than: 100, calendar: this_year}", "ann"),
        ("{did: Order Completed, sum: total, less_than: 100, within: P30D}", "bob cyd dan eve"),
        ("{did: Order Completed, where: {property: total, at_least: 60}}", "ann cyd"),
        ("{field: order_count, at_least: 1}", "ann cyd"),
        ("[{field: country, is: France}, {not: {did: Order Completed}}]", "bob eve"),
        ("{any: [{field: country, is: Spain}, {did: Product Viewed, within: PT2H}]}", "bob cyd"),
    ] {
        assert_eq!(shop.members(condition).join(" "), members, "{condition}");
    }
    let table = shop.relance(&["segment", "preview", "asked.yaml", "--sample", "1"]);
    assert!(
        table.starts_with("asked: 2 of 5 contacts, 40.0 %\n1 contacts have no value for country (20.0 %)\n"),
        "{table}"
    );
    let csv = shop.relance(&["segment", "preview", "asked.yaml", "--format", "csv"]);
    assert!(
        csv.starts_with("contact,email,first_name,last_name,country\nbob,bob@example.test,Bob,,france\n"),
        "{csv}"
    );
}

#[test]
fn saves_members_and_lists_segments() {
    let shop = Shop::new();
    shop.write("french.yaml", "format: 1\nname: {en: French}\ncondition: {field: country, is: France}\n");
    shop.write(
        "french-buyers.json",
        r#"{"format": 1, "segment": "french-buyers", "condition": [{"segment": "french"}, {"did": "Order Completed"}]}"#,
    );
    // The file that it refers to lies beside it and is saved with it.
    let built = shop.relance(&["segment", "build", "french-buyers.json", "--format", "csv"]);
    assert!(built.starts_with("segment,members,entered,left,seconds\nfrench-buyers,1,1,0,"), "{built}");
    let listed = shop.relance(&["segment", "list", "--format", "csv"]);
    assert_eq!(
        listed,
        "segment,name,members,percent,built_at,state\nfrench,French,,,,not built yet\n\
         french-buyers,,1,20.0,2026-03-10T12:00:00Z,built\n"
    );
    shop.write(
        "french.yaml",
        "format: 1\nname: {en: French}\ncondition: {field: country, one_of: [France, Spain]}\n",
    );
    shop.relance(&["segment", "build", "french.yaml"]);
    let listed = shop.relance(&["segment", "list", "--format", "csv"]);
    assert!(
        listed.contains("french-buyers,,1,20.0,2026-03-10T12:00:00Z,changed since it was built"),
        "{listed}"
    );
    let built = shop.relance(&["segment", "build", "--format", "csv"]);
    assert!(built.contains("\nfrench,4,0,0,") && built.contains("\nfrench-buyers,2,1,0,"), "{built}");
    let seen = shop.relance(&["segment", "preview", "french-buyers"]);
    assert!(seen.starts_with("french-buyers: 2 of 5 contacts, 40.0 %"), "{seen}");
}

#[test]
fn an_engine_at_work_hears_of_a_segment_that_was_built_beside_it() {
    let shop = Shop::new();
    let rules = || {
        let file = shop.folder.path().join("relance.db");
        let db = storage_sqlite::Sqlite::open(file, storage_sqlite::Options::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(engine::live::book::rules_version(&db)).unwrap()
    };
    let before = rules();
    shop.write("french.yaml", "format: 1\ncondition: {field: country, is: France}\n");
    shop.relance(&["segment", "build", "french.yaml"]);
    assert!(rules() > before);
}

#[test]
fn refuses_with_place_and_cure() {
    let shop = Shop::new();
    for (text, said) in [
        (
            "format: 1\nsegment: x\ncondition:\n  all:\n    - {field: contry, is: France}\n",
            "error[field.unknown] x.yaml:5:15: condition.all.0.field: a contact has no field `contry` — did you mean \
             `country`?\n",
        ),
        (
            "format: 1\nsegment: x\ncondtion: {field: country, is: France}\n",
            "error[doc.missing] x.yaml:1:1: condition: `condition` is missing\n\
             error[doc.unknown_key] x.yaml:3:1: condtion: `condtion` is not known here — did you mean `condition`?\n",
        ),
        (
            "format: 1\nsegment: x\ncondition: {segment: x}\n",
            "error[segment.cycle]: condition: segment `x` refers to itself, directly or through others\n",
        ),
        ("format: 1\nsegment: x\ncondition: [\n", "error[doc.syntax] x.yaml:4:1: "),
    ] {
        shop.write("x.yaml", text);
        let told = shop.refused(&["segment", "preview", "x.yaml"]);
        assert!(told.starts_with(said), "{told}");
        assert!(shop.refused(&["segment", "build", "x.yaml"]).starts_with(said));
    }
    assert!(shop.refused(&["segment", "preview", "absent.yaml"]).starts_with("error[file.unreadable]"));
    fs::write(shop.folder.path().join("x.yaml"), b"format: 1\nname: \xff\n").unwrap();
    assert!(shop.refused(&["segment", "build", "x.yaml"]).starts_with("error[file.encoding] x.yaml: "));
    assert_eq!(shop.relance(&["segment", "list"]), "");
    let warned = shop.try_relance(&["segment", "preview", &seen_event(&shop)]);
    assert!(warned.status.success());
    let told = String::from_utf8(warned.stderr).unwrap();
    let expected = "warning[event.unknown_kind] y.yaml:2:18: condition.did: no event of kind `Produkt Viewed` was seen so \
                    far — did you mean `Product Viewed`?\n";
    assert!(told.starts_with(expected), "{told}");
}

#[test]
fn a_list_that_nobody_made_is_warned_of() {
    let shop = Shop::new();
    shop.write("people.csv", "external_id,lists\nlister,vip\n");
    shop.relance(&["import", "contacts", "people.csv"]);
    shop.write("y.yaml", "format: 1\ncondition: {list: vp}\n");
    let warned = shop.try_relance(&["segment", "preview", "y.yaml"]);
    assert!(warned.status.success());
    let told = String::from_utf8(warned.stderr).unwrap();
    let expected =
        "warning[list.unknown] y.yaml:2:19: condition.list: there is no list `vp` — did you mean `vip`?\n";
    assert!(told.starts_with(expected), "{told}");
    shop.write("y.yaml", "format: 1\ncondition: {list: vip}\n");
    let known = shop.try_relance(&["segment", "preview", "y.yaml"]);
    assert!(!String::from_utf8(known.stderr).unwrap().contains("list.unknown"));
}

fn seen_event(shop: &Shop) -> String {
    shop.write("y.yaml", "format: 1\ncondition: {did: Produkt Viewed}\n");
    "y.yaml".to_owned()
}

#[test]
fn the_examples_are_previewed() {
    let shop = Shop::new();
    shop.relance(&["rfm"]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/s0/segments");
    for slug in ["rfm-high", "rfm-medium", "rfm-low"] {
        let file = folder.join(format!("{slug}.yaml"));
        let seen = shop.relance(&["segment", "preview", file.to_str().unwrap()]);
        assert!(seen.starts_with(slug), "{seen}");
    }
}
