//! `relance setting` and `relance work` through the program.

use std::{path::Path, process::Command};

fn relance(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_relance"))
        .arg("--database")
        .arg(format!("sqlite:{}", folder.join("base.db").display()))
        .args(args)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

#[test]
fn settings_are_checked_before_they_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    assert_eq!(relance(at, &["setting", "set", "time_zone", "Europe/Paris"]).0, 0);
    assert_eq!(relance(at, &["setting", "get", "time_zone"]).1.trim(), "\"Europe/Paris\"");
    for (args, said) in [
        (vec!["setting", "set", "time_zone", "Europe/Pari"], "zone.unknown"),
        (vec!["setting", "set", "timezone", "UTC"], "did you mean `time_zone`"),
        (vec!["setting", "set", "nightly_minute", "1440"], "setting.minute"),
        (vec!["setting", "set", "min_stock", "0"], "products.min_stock"),
        (vec!["setting", "set", "min_stock", "1000001"], "products.min_stock"),
        (vec!["setting", "set", "webhooks", "{secret: {}}"], "webhook.setting"),
        (vec!["setting", "get", "sending"], "setting.not_set"),
    ] {
        let (status, _, told) = relance(at, &args);
        assert_eq!(status, 1, "{args:?}");
        assert!(told.contains(said), "{args:?}: {told}");
    }
    std::fs::write(at.join("sending.yaml"), "caps:\n  - {channel: email, most: 2, within: P1D}\n").unwrap();
    let file = at.join("sending.yaml");
    let (status, _, told) = relance(at, &["setting", "set", "sending", "--file", file.to_str().unwrap()]);
    assert_eq!(status, 0, "{told}");
    assert!(relance(at, &["setting", "list"]).1.contains("nightly_minute"));
}

#[test]
fn work_ends_when_nothing_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let (status, out, told) = relance(folder.path(), &["work", "--until-idle"]);
    assert_eq!((status, out.trim()), (0, "nothing was due"), "{told}");
}
