//! `relance dkim`, and what `relance doctor` says of it.

use std::{os::unix::fs::PermissionsExt, process::Command};

fn relance(folder: &std::path::Path, args: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_relance"))
        .arg("--database")
        .arg(format!("sqlite:{}", folder.join("shop.db").display()))
        .args(args)
        .output()
        .expect("the program runs")
}

#[test]
fn keys_are_made_beside_the_database_for_their_owner_alone_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["dkim", "create", "shop.example", "--kind", "both", "--format", "json"];
    let made = relance(folder.path(), &args);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let shown: serde_json::Value =
        serde_json::from_slice(&relance(folder.path(), &["dkim", "show", "--format", "json"]).stdout)
            .unwrap();
    let records: Vec<(String, String)> = shown
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["name"].as_str().unwrap().to_owned(), row["record"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(records[0].0, "relance._domainkey.shop.example");
    assert!(
        records[0].1.starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"),
        "{}",
        records[0].1
    );
    assert_eq!(records[1].0, "relancee._domainkey.shop.example");
    assert!(records[1].1.starts_with("v=DKIM1; k=ed25519; p="));
    let keys = folder.path().join("shop.db.dkim");
    assert_eq!(keys.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    for name in ["relance.shop.example.pem", "relancee.shop.example.pem"] {
        assert_eq!(keys.join(name).metadata().unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    let again = relance(folder.path(), &args);
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("dkim.exists"));
    for (domain, code) in [("shop", "dkim.domain"), ("../evil.example", "dkim.domain")] {
        let refused = relance(folder.path(), &["dkim", "create", domain, "--kind", "ed25519"]);
        assert!(String::from_utf8_lossy(&refused.stderr).contains(code), "{domain}");
    }
    let doctor = relance(
        folder.path(),
        &[
            "doctor",
            "--smtp",
            "smtp://127.0.0.1:1",
            "--from",
            "news@shop.example",
            "--public-url",
            "https://a.example",
        ],
    );
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    for word in ["SPF", "DKIM", "DMARC", "return path", "PTR"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}
