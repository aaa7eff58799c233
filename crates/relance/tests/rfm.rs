//! `relance rfm` against published and computed results.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rfm::{CutPoints, Figures, RfmModel, Scorer};
use tempfile::TempDir;

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data").join(path)
}

/// The rows of a compressed CSV file as texts, without the header.
fn rows(path: &str) -> Vec<Vec<String>> {
    let bytes = zstd::decode_all(fs::File::open(data(path)).unwrap()).unwrap();
    let mut reader = csv::Reader::from_reader(&bytes[..]);
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// A database of its own.
struct Shop {
    folder: TempDir,
}

impl Shop {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    /// Runs the program on it.
    fn try_relance(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_relance"))
            .args(args)
            .env("RELANCE_DATABASE", format!("sqlite:{}", self.folder.path().join("relance.db").display()))
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// Its standard output; it must go well.
    fn relance(&self, args: &[&str]) -> String {
        let output = self.try_relance(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it says when it refuses.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.try_relance(args);
        assert!(!output.status.success(), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// `relance rfm` as CSV: rows by contact, with the header checked.
    fn scores(&self, args: &[&str]) -> BTreeMap<String, Vec<String>> {
        let text = self.relance(&[&["rfm", "--format", "csv"], args].concat());
        let (header, rest) = text.split_once('\n').unwrap();
        assert_eq!(header, "contact,recency_days,frequency,monetary,r,f,m,group");
        let row = |line: &str| -> Vec<String> { line.split(',').map(str::to_owned).collect() };
        rest.lines().map(row).map(|row| (row[0].clone(), row)).collect()
    }
}

fn online_retail() -> Shop {
    let shop = Shop::new();
    let file = data("online_retail/orders.csv.zst");
    shop.relance(&["import", "orders", file.to_str().unwrap(), "--currency", "GBP"]);
    shop
}

#[test]
fn online_retail_is_scored_as_expected_in_every_row() {
    let shop = online_retail();
    let found = shop.scores(&["--at", "2011-12-10T00:00:00Z", "--model", "classic-11"]);
    let expected = rows("online_retail/expected_quintile_avg.csv.zst");
    assert_eq!((found.len(), expected.len()), (4_338, 4_338));
    for row in &expected {
        assert_eq!(found[&row[0]], row[..8]);
    }
    groups_can_be_looked_at(&shop);
    nights_change_nothing_but_what_they_must(&shop, &expected);
}

/// The table for people, in both languages, and JSON.
fn groups_can_be_looked_at(shop: &Shop) {
    let at = ["--at", "2011-12-10T00:00:00Z"];
    let table = shop.relance(&[&["rfm"], &at[..]].concat());
    let line = table.lines().find(|line| line.starts_with("Champions")).unwrap();
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>(),
        ["Champions", "432", "10.0", "%", "██████████████████▎", "5460", "4482906.76", "8", "4437.33"]
    );
    assert_eq!(table.lines().count(), 12);
    let french = shop.relance(&[&["rfm", "--lang", "fr"], &at[..]].concat());
    assert!(french.contains("À ne pas perdre") && french.contains("4482906,76"), "{french}");
    let json = shop.relance(&[&["rfm", "--format", "json"], &at[..]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let first = json.as_array().unwrap().iter().find(|one| one["contact"] == "12347").unwrap();
    assert_eq!((first["frequency"].as_u64(), first["group"].as_str()), (Some(7), Some("champions")));
    assert!((first["monetary"].as_f64().unwrap() - 615.714_285_714_3).abs() < 1e-9);
    let listed = shop.relance(&[&["rfm", "--all", "--model", "groups-6"], &at[..]].concat());
    assert_eq!(listed.lines().count(), 4_339);
}

/// Earlier instants, day after day up to the one that is known: the last night says the same as a single run.
fn nights_change_nothing_but_what_they_must(shop: &Shop, expected: &[Vec<String>]) {
    for at in ["2011-12-05", "2011-12-06", "2011-12-09T00:00:00Z"] {
        shop.relance(&["rfm", "--at", at, "--window", "P100D"]);
    }
    let night = shop.scores(&["--at", "2011-12-10", "--window", "P100D"]);
    let anew = shop.scores(&["--at", "2011-12-10", "--window", "P100D", "--anew"]);
    assert_eq!(night, anew);
    // As many as have their last order in the window; whoever has none is listed when asked for.
    let recent = expected.iter().filter(|row| row[1].parse::<u32>().unwrap() < 100).count();
    assert_eq!(night.len(), recent);
    let all = shop.scores(&["--at", "2011-12-10", "--window", "P100D", "--include-none"]);
    assert_eq!(all.len(), 4_338);
    let nobody = all.values().filter(|row| row[7] == "none").collect::<Vec<_>>();
    assert_eq!(nobody.len(), 4_338 - recent);
    assert!(nobody.iter().all(|row| row[1..7] == ["", "0", "", "", "", ""]));
}

/// A model that scores as the R package does by default: all orders, their sum.
fn r_model(measure: &str) -> RfmModel {
    let text = RfmModel::built_in_file("classic-11").unwrap();
    let text = text
        .replace("model: classic-11", "model: as-in-r")
        .replace("window: P2Y", "window: all")
        .replace("measure: average", &format!("measure: {measure}"));
    RfmModel::parse(&text).unwrap()
}

/// The class that R gives a value: bounds are the cut points plus 1, `lower <= value`; `scale` is one unit.
fn class_in_r(cuts: &[rfm::Ratio], value: rfm::Ratio, scale: i128) -> u8 {
    let bound = |cut: &rfm::Ratio| {
        rfm::Ratio::new(cut.numerator() + scale * cut.denominator(), cut.denominator()).unwrap()
    };
    1 + cuts.iter().filter(|cut| bound(cut) <= value).count() as u8
}

#[test]
fn order_level_results_of_r_differ_where_its_bounds_do() {
    let shop = Shop::new();
    let file = data("rfm_r/orders.csv.zst");
    let map = "contact=customer_id,ordered_at=order_date,total=revenue";
    shop.relance(&["import", "orders", file.to_str().unwrap(), "--map", map, "--currency", "EUR"]);
    let expected = rows("rfm_r/expected_order_level.csv.zst");
    assert_eq!(expected.len(), 995);
    for (measure, score_column, differing) in [("sum", 6, 3), ("average", 7, 42)] {
        let model = r_model(measure);
        let path = shop.folder.path().join("as-in-r.json");
        fs::write(&path, model.to_json().to_string()).unwrap();
        let found = shop.scores(&["--at", "2006-12-31", "--model", path.to_str().unwrap()]);
        assert_eq!(found.len(), 995);
        let mut base = Figures::default();
        for row in &expected {
            let number = |i: usize| row[i].parse::<u32>().unwrap();
            base.push(number(1), number(2), i64::from(number(3)) * 10_000);
        }
        let cuts = CutPoints::of(&model, &base);
        let mut differ = Vec::new();
        for (i, row) in expected.iter().enumerate() {
            let ours = &found[&row[0]];
            assert_eq!(ours[1..3], row[1..3], "recency and frequency");
            let theirs = [&row[4], &row[5], &row[score_column]];
            if ours[4..7].iter().ne(theirs.iter().copied()) {
                println!("{measure}: {} is {} here and {theirs:?} in R", row[0], ours[4..7].join(""));
                differ.push(row[0].as_str());
            }
            let money = match measure {
                "sum" => rfm::Ratio::whole(base.spent[i]),
                _ => rfm::Ratio::average(base.spent[i], base.orders[i]),
            };
            let whole = |value: u32| rfm::Ratio::whole(i64::from(value));
            let explained = [
                6 - class_in_r(&cuts.recency, whole(base.days[i]), 1),
                class_in_r(&cuts.frequency, whole(base.orders[i]), 1),
                class_in_r(&cuts.monetary, money, 10_000),
            ];
            assert_eq!(explained.map(|score| score.to_string()), theirs.map(String::as_str), "{}", row[0]);
        }
        assert_eq!(differ.len(), differing, "{differ:?}");
        if measure == "sum" {
            assert_eq!(differ, ["C0482", "C0528", "C0874"]);
        }
    }
}

#[test]
fn customer_level_results_of_r_are_equal() {
    let expected = rows("rfm_r/expected_customer_level.csv.zst");
    let mut base = Figures::default();
    let number = |text: &String| text.parse::<u32>().unwrap();
    for row in &expected {
        base.push(number(&row[0]), number(&row[1]), i64::from(number(&row[2])) * 10_000);
    }
    let model = r_model("sum");
    let scorer = Scorer::new(&model, &CutPoints::of(&model, &base));
    let differ = expected.iter().enumerate().filter(|(i, row)| {
        scorer.score(base.days[*i], base.orders[*i], base.spent[*i]).digits().to_string()
            != row[3..6].concat()
    });
    assert_eq!((expected.len(), differ.count()), (39_999, 0));
}

#[test]
fn what_is_wrong_is_said_with_a_cure() {
    let shop = Shop::new();
    let path = shop.folder.path().join("own.yaml");
    let name = path.to_str().unwrap();
    for (content, args, message) in [
        ("", vec!["--model", "classic-12"], "error[rfm.model]: --model: `classic-12` is neither"),
        ("", vec!["--model", "classic-12"], "did you mean `classic-11`?"),
        ("", vec!["--window", "2 years"], "error[period.invalid]: --window:"),
        ("", vec!["--at", "yesterday"], "error[time.invalid]: --at:"),
        ("model: own\nlevls: 3\n", vec!["--model", name], "own.yaml:2:1: levls:"),
        ("model: own\nlevls: 3\n", vec!["--model", name], "did you mean `levels`?"),
    ] {
        fs::write(&path, content).unwrap();
        let said = shop.refused(&[&["rfm"], &args[..]].concat());
        assert!(said.contains(message), "{args:?}: {said}");
    }
}

#[test]
fn an_empty_shop_and_an_own_model() {
    let shop = Shop::new();
    let output = shop.try_relance(&["rfm", "--at", "2026-01-01"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("import orders first"));
    assert!(shop.scores(&["--at", "2026-01-01"]).is_empty());
    // What --show-model prints is a model file.
    let shown = shop.relance(&["rfm", "--show-model", "--model", "groups-6"]);
    let own = shown.replace("model: groups-6", "model: mine").replace("[180, 365]", "[10, 20]");
    let path = shop.folder.path().join("mine.yaml");
    fs::write(&path, own).unwrap();
    let orders = shop.folder.path().join("orders.csv");
    // The second order of b is of the instant itself and does not count; c's is free.
    fs::write(
        &orders,
        "order_id,contact,ordered_at,total\n1,a,2026-01-01,10.5\n2,b,2025-12-12,20\n3,b,2026-01-11,5\n4,c,2026-01-01,0\n",
    )
    .unwrap();
    shop.relance(&["import", "orders", orders.to_str().unwrap(), "--currency", "EUR"]);
    let found = shop.scores(&["--at", "2026-01-11", "--model", path.to_str().unwrap()]);
    let lines: Vec<String> = found.values().map(|row| row.join(",")).collect();
    assert_eq!(lines, ["a,10,1,10.5,3,1,1,recent", "b,30,1,20,1,1,3,inactive"]);
}

#[test]
fn a_killed_run_loses_nothing() {
    let whole = small_shop();
    let expected = whole.scores(&["--at", "2026-02-01"]);
    let after = whole.scores(&["--at", "2026-02-03"]);
    for point in
        ["rfm.after_begin", "rfm.before_commit", "rfm.between_chunks_and_run", "sqlite.before_commit:2"]
    {
        let shop = small_shop();
        for (at, expected) in [("2026-02-01", &expected), ("2026-02-03", &after)] {
            let killed = Command::new(env!("CARGO_BIN_EXE_relance"))
                .args(["rfm", "--at", at])
                .env(
                    "RELANCE_DATABASE",
                    format!("sqlite:{}", shop.folder.path().join("relance.db").display()),
                )
                .env("RELANCE_CRASH_AT", point)
                .output()
                .unwrap();
            assert!(!killed.status.success() && killed.stdout.is_empty(), "{point}");
            assert_eq!(&shop.scores(&["--at", at]), expected, "{point}");
        }
    }
}

/// Twelve contacts with one to three orders.
fn small_shop() -> Shop {
    let shop = Shop::new();
    let file = shop.folder.path().join("orders.csv");
    let mut text = "order_id,contact,ordered_at,total\n".to_owned();
    for n in 1..=24 {
        text.push_str(&format!("{n},c{},2026-01-{n:02} 10:00:00,{}.5\n", n * n % 12, n * 7));
    }
    fs::write(&file, text).unwrap();
    shop.relance(&["import", "orders", file.to_str().unwrap(), "--currency", "EUR"]);
    shop
}
