//! `relance coupon` from the command line: files, messages, counts, orders that use codes.

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Output},
};

use tempfile::TempDir;

const NOW: &str = "2026-03-10T12:00:00Z";

struct Shop {
    folder: TempDir,
}

impl Shop {
    fn new() -> Self {
        let shop = Self { folder: TempDir::new().unwrap() };
        let spring =
            "format: 1\nkind: single_use\nname: {en: Spring}\npattern: \"SPRING-{8}\"\nvalid_for: P30D\n";
        shop.write("spring.yaml", spring);
        shop.write("all.yaml", "format: 1\nkind: shared\ncode: ALL10\nlimit: 100\nexpires_at: 2026-03-09\n");
        shop
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_relance"))
            .args(args)
            .args(["--at", NOW])
            .env("RELANCE_DATABASE", format!("sqlite:{}", self.folder.path().join("relance.db").display()))
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    fn good(&self, args: &[&str]) -> String {
        let out = self.run(args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn bad(&self, args: &[&str]) -> (String, String) {
        let out = self.run(args);
        assert!(!out.status.success(), "{args:?}");
        (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    }
}

#[test]
fn codes_come_from_a_file_once() {
    let shop = Shop::new();
    shop.write("codes.csv", "\u{feff}id;Code\r\n1;A1\r\n2;\"A2\"\r\n3;a1\r\n");
    let csv = ["--format", "csv"];
    let told = shop.good(&[&["coupon", "import", "spring.yaml", "codes.csv"][..], &csv].concat());
    assert_eq!(told, "set,added,known,refused,free\nspring,2,1,0,2\n");
    shop.write("more.txt", "A2\n\nA3\nA 4\nALL10\n");
    shop.good(&["coupon", "status", "all.yaml"]);
    let (told, why) = shop.bad(&[&["coupon", "import", "spring", "more.txt"][..], &csv].concat());
    assert_eq!(told, "set,added,known,refused,free\nspring,1,1,2,3\n");
    assert!(why.contains("coupon.code_invalid") && why.contains("more.txt, line 4"), "{why}");
    assert!(why.contains("coupon.other_set"), "{why}");

    let list = shop.good(&["coupon", "list", "--format", "json"]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!((&list[0]["set"], &list[0]["free"]), (&"all".into(), &serde_json::Value::Null));
    assert_eq!(list[0]["expires_at"], "2026-03-10T00:00:00Z", "good until its last day is over");
    assert_eq!(
        (&list[1]["set"], &list[1]["free"], &list[1]["assigned"]),
        (&"spring".into(), &3.into(), &0.into())
    );
}

#[test]
fn mistakes_say_what_to_do() {
    let shop = Shop::new();
    shop.write("codes.csv", "id,name\n1,A\n");
    shop.write("empty.csv", "code\n");
    shop.write("wrong.yaml", "format: 1\nkind: shard\nlimit: 0\nvalid_for: PT0S\npattern: \"X{3}\"\n");
    for (args, expected) in [
        (&["coupon", "import", "sprong", "empty.csv"][..], "coupon.unknown_set"),
        (&["coupon", "import", "spring.yaml", "codes.csv"], "coupon.no_code_column"),
        (&["coupon", "import", "spring.yaml", "empty.csv"], "coupon.no_codes"),
        (&["coupon", "import", "spring.yaml", "nothing.csv"], "file.unreadable"),
        (&["coupon", "import", "all.yaml", "empty.csv"], "coupon.shared_set"),
        (&["coupon", "generate", "spring.yaml", "--count", "0"], "coupon.count"),
        (&["coupon", "generate", "spring.yaml", "--count", "500001"], "coupon.count"),
        (&["coupon", "status", "sprin"], "did you mean"),
        (&["coupon", "status", "wrong.yaml"], "coupon.kind"),
        (&["coupon", "status", "wrong.yaml"], "coupon.number"),
        (&["coupon", "status", "wrong.yaml"], "coupon.valid_for"),
        (&["coupon", "status", "wrong.yaml"], "coupon.pattern"),
    ] {
        let (_, why) = shop.bad(args);
        assert!(why.contains(expected), "{args:?}: {why}");
    }
}

#[test]
fn generated_codes_are_used_by_orders() {
    let shop = Shop::new();
    let made = shop.good(&["coupon", "generate", "spring.yaml", "--count", "5001", "--format", "csv"]);
    let codes: BTreeSet<&str> = made.lines().skip(1).collect();
    assert_eq!(codes.len(), 5_001);
    assert!(codes.iter().all(|code| code.len() == 15 && code.starts_with("SPRING-")));
    let code = codes.first().unwrap().to_lowercase();
    shop.write(
        "orders.csv",
        &format!(
            "order_id,contact,ordered_at,total,coupon\no1,ann,2026-03-01,60,{code}\no2,bob,2026-03-02,10,\n"
        ),
    );
    shop.good(&["import", "orders", "orders.csv", "--currency", "EUR"]);
    let status = shop.good(&["coupon", "status", "spring", "--format", "csv"]);
    let line = "spring,single_use,0,5000,1,0,,,\n";
    assert!(status.ends_with(line), "{status}");
}
