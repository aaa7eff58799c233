//! What we may depend on: licences, crates that must stay away, versions that stand twice. Read from `cargo metadata`,
//! so that it needs no network and no further tool.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Licences that we may use without asking anybody.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that must not come in, and why.
const BANNED: &[(&str, &str)] = &[
    ("aws-lc-sys", "minutes of C for what `ring` does"),
    ("openssl-sys", "needs a system library; TLS is rustls"),
    ("native-tls", "needs a system library; TLS is rustls"),
    ("bindgen", "needs libclang"),
    ("chrono-tz", "time zones are jiff's"),
    ("serde_yaml", "unmaintained; files are read by `model::doc`"),
];

/// Crates that stand in two versions, and which of ours cannot help it.
const TWICE: &[(&str, &str)] = &[
    ("foldhash", "hashbrown's, see there"),
    ("getrandom", "ring is on 0.2, tempfile on 0.4"),
    ("hashbrown", "parquet's and mrml's own"),
    ("miniz_oxide", "png's and flate2's own"),
    ("r-efi", "getrandom's; not built on Linux"),
    ("syn", "mrml's derive is on 2, serde's on 3"),
    ("wasi", "getrandom's; not built on Linux"),
    ("wasip2", "getrandom's; not built on Linux"),
    ("windows-sys", "not built on Linux"),
    ("windows-targets", "not built on Linux"),
];

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--all-features", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

/// Whether one of the alternatives of an SPDX expression is allowed in all its parts.
fn is_allowed(expression: &str) -> bool {
    let flat = expression.replace(['(', ')'], " ").replace('/', " OR ");
    flat.split(" OR ")
        .any(|alternative| alternative.split(" AND ").all(|licence| LICENCES.contains(&licence.trim())))
}

#[test]
fn licences_permit_shipping() {
    let refused: Vec<String> = packages()
        .iter()
        .filter(|package| !package["source"].is_null())
        .filter(|package| !is_allowed(package["license"].as_str().unwrap_or_default()))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "licences to look at: {refused:#?}");
    assert!(!is_allowed("GPL-3.0-only"));
    assert!(!is_allowed("MIT AND GPL-3.0-only"));
    assert!(is_allowed("GPL-2.0 OR MIT"));
}

#[test]
fn banned_crates_stay_away() {
    let names: Vec<String> =
        packages().iter().map(|p| p["name"].as_str().unwrap_or_default().to_owned()).collect();
    for (banned, why) in BANNED {
        assert!(!names.iter().any(|name| name == banned), "{banned} came in: {why}");
    }
}

#[test]
fn versions_stand_twice_only_with_a_reason() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap_or_default().to_owned();
        versions.entry(name).or_default().push(package["version"].as_str().unwrap_or_default().to_owned());
    }
    let unexplained: Vec<_> = versions
        .iter()
        .filter(|(name, versions)| versions.len() > 1 && !TWICE.iter().any(|(known, _)| known == name))
        .filter(|(name, _)| !name.starts_with("windows"))
        .collect();
    assert!(unexplained.is_empty(), "several versions of: {unexplained:#?}");
}
