//! `relance recommend` as a user calls it.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

fn relance(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_relance"))
        .args(args)
        .current_dir(folder)
        .env_remove("RELANCE_DATABASE")
        .output()
        .expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Six hundred orders of ids that are no numbers: families of four, three of which are in an order.
fn orders(folder: &Path) -> PathBuf {
    let mut csv = String::from("basket_id,customer_id,ts,items\n");
    for i in 0..600_usize {
        let family = i * 7 % 10;
        let left_out = i % 4;
        let items: Vec<String> =
            (0..4).filter(|n| *n != left_out).map(|n| format!("fam{family}/item-{n}")).collect();
        let (day, hour) = (1 + i / 24 % 28, i % 24);
        writeln!(
            csv,
            "b{i},customer {family},2024-0{}-{day:02} {hour:02}:00:00,{}",
            1 + i / 300,
            items.join(" ")
        )
        .expect("a text");
    }
    let path = folder.join("orders.csv");
    fs::write(&path, csv).expect("a file");
    path
}

const CARTS: &str = "cart_id,task,basket_id,customer_id,context,targets
one,loo,x,customer 3,fam3/item-0 fam3/item-1,
half,half,x,nobody,fam5/item-2 unheard-of,
next,next,x,customer 4,fam4/item-0,
stranger,next,x,who,fam2/item-1,
empty,loo,x,who,,
";

#[test]
fn carts_of_a_file_are_answered_with_at_most_six_products() {
    let folder = TempDir::new().expect("a folder");
    orders(folder.path());
    fs::write(folder.path().join("carts.csv"), CARTS).expect("a file");
    let packed = zstd::encode_all(fs::File::open(folder.path().join("orders.csv")).expect("a file"), 1)
        .expect("packed");
    fs::write(folder.path().join("orders.csv.zst"), packed).expect("a file");
    let mut outcomes = Vec::new();
    for file in ["orders.csv", "orders.csv.zst"] {
        let args = [
            "recommend",
            "evaluate",
            "--orders",
            file,
            "--carts",
            "carts.csv",
            "--until",
            "2025-01-01",
            "--out",
            "out.csv",
        ];
        let output = relance(folder.path(), &args);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(output.stdout.is_empty());
        outcomes.push(fs::read_to_string(folder.path().join("out.csv")).expect("answers"));
    }
    assert_eq!(outcomes[0], outcomes[1]);
    let mut answers: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut lines = outcomes[0].lines();
    assert_eq!(lines.next(), Some("cart_id,item"));
    for line in lines {
        let (cart, item) = line.split_once(',').expect("two columns");
        answers.entry(cart).or_default().push(item);
    }
    assert!(answers.values().all(|items| items.len() == 6), "filled up: {answers:?}");
    assert!(answers["one"][..2].iter().all(|item| item.starts_with("fam3/")), "{:?}", answers["one"]);
    assert!(!answers["one"].contains(&"fam3/item-0"), "not what the cart holds");
    assert!(answers["half"][..3].iter().all(|item| item.starts_with("fam5/")), "{:?}", answers["half"]);
    assert!(
        answers["next"][..4].iter().all(|item| item.starts_with("fam4/")),
        "own repeats: {:?}",
        answers["next"]
    );
    assert_eq!(answers["stranger"][0], "fam2/item-1", "a stranger's context is its history");
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let folder = TempDir::new().expect("a folder");
    orders(folder.path());
    fs::write(folder.path().join("carts.csv"), CARTS).expect("a file");
    fs::write(folder.path().join("other.csv"), "cart_id,task,customer_id\n").expect("a file");
    fs::write(folder.path().join("task.csv"), CARTS.replace(",half,", ",hlf,")).expect("a file");
    for (orders, carts, until, more, expected) in [
        ("missing.csv", "carts.csv", "2025-01-01", "", "file.unreadable"),
        ("orders.csv", "other.csv", "2025-01-01", "", "csv.column_missing"),
        ("orders.csv", "task.csv", "2025-01-01", "", "did you mean `half`?"),
        ("orders.csv", "carts.csv", "2020-01-01", "", "evaluate.no_orders"),
        ("orders.csv", "carts.csv", "soon", "", "time.invalid"),
        ("carts.csv", "carts.csv", "2025-01-01", "", "there is no column `ts`"),
        ("orders.csv", "carts.csv", "2025-01-01", "0", "neighbours.range"),
        ("orders.csv", "carts.csv", "2025-01-01", "401", "neighbours.range"),
    ] {
        let mut args = vec![
            "recommend",
            "evaluate",
            "--orders",
            orders,
            "--carts",
            carts,
            "--until",
            until,
            "--out",
            "out.csv",
        ];
        if !more.is_empty() {
            args.extend(["--neighbours", more]);
        }
        let output = relance(folder.path(), &args);
        assert!(!output.status.success(), "{args:?}");
        assert!(text(&output.stderr).contains(expected), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn relations_are_learned_from_the_database_and_shown() {
    let folder = TempDir::new().expect("a folder");
    let mut csv = String::from("order_id,contact,ordered_at,product,name,quantity,unit_price\n");
    for i in 0..60 {
        let (a, b) = if i % 3 == 0 { ("mug", "saucer") } else { ("pot", "lid") };
        for product in [a, b] {
            writeln!(csv, "o{i},c{},2024-05-{:02} 10:00:00,{product},A {product},1,5", i % 7, 1 + i % 28)
                .expect("a text");
        }
    }
    fs::write(folder.path().join("lines.csv"), csv).expect("a file");
    let imported = relance(folder.path(), &["import", "orders", "lines.csv"]);
    assert!(imported.status.success(), "{}", text(&imported.stderr));

    let at = ["--at", "2024-06-01"];
    let early = relance(folder.path(), &["recommend", "related", "mug", at[0], at[1]]);
    assert!(early.status.success() && text(&early.stderr).contains("relance recommend train"));
    let trained = relance(folder.path(), &["recommend", "train", "--format", "json", at[0], at[1]]);
    assert!(trained.status.success(), "{}", text(&trained.stderr));
    let listing: serde_json::Value = serde_json::from_slice(&trained.stdout).expect("JSON");
    assert_eq!(
        (&listing[0]["orders"], &listing[0]["products"]),
        (&serde_json::json!(60), &serde_json::json!(4))
    );
    for kind in ["learned", "together"] {
        let args = ["recommend", "related", "mug", "--kind", kind, "--format", "csv", at[0], at[1]];
        let related = relance(folder.path(), &args);
        let lines: Vec<String> = text(&related.stdout).lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "product,name,weight,unit_price,recommendable");
        assert!(lines[1].starts_with("saucer,A saucer,") && lines[1].ends_with(",5,yes"), "{lines:?}");
        assert_eq!(lines.len(), 2);
    }
    let unknown = relance(folder.path(), &["recommend", "related", "mugg", at[0], at[1]]);
    assert!(!unknown.status.success());
    assert!(text(&unknown.stderr).contains("did you mean `mug`?"), "{}", text(&unknown.stderr));
}
