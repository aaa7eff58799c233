//! Which room may use which: fails on an edge between our crates that the house does not have, and on a pure room that
//! reaches anything that does I/O. Read from `cargo metadata`.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

/// Each room with those that it may use. `journey` and `delivery` both ask `policy`, so that a message gets the same
/// answer when it is decided and when it leaves.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("segment", &["model"]),
    ("rfm", &["model"]),
    ("recommend", &["model", "segment"]),
    ("template", &["model", "segment"]),
    ("policy", &["model"]),
    ("journey", &["model", "segment", "recommend", "template", "policy"]),
    ("storage", &["model"]),
    ("storage-sqlite", &["model", "storage"]),
    ("storage-postgres", &["model", "storage"]),
    ("engine", &["model", "segment", "rfm", "recommend", "template", "journey", "policy", "storage"]),
    ("delivery", &["model", "template", "policy", "storage"]),
    ("connect", &["model", "storage", "engine"]),
    (
        "api",
        &[
            "model",
            "segment",
            "rfm",
            "recommend",
            "template",
            "journey",
            "policy",
            "storage",
            "engine",
            "delivery",
            "connect",
        ],
    ),
];

/// These may use every room.
const EVERYTHING: &[&str] = &["relance", "testkit", "sim", "bench"];

/// Rooms without I/O, clock or dice.
const PURE: &[&str] = &["model", "segment", "rfm", "recommend", "template", "journey", "policy"];

/// What a pure room must not reach, not even through others.
const IMPURE: &[&str] = &["tokio", "rusqlite", "lettre", "mio", "socket2", "rustls", "indicatif", "clap"];

struct Graph {
    /// Names of our crates.
    ours: BTreeSet<String>,
    /// Crate to the crates that it uses outside of its tests, all by name.
    uses: BTreeMap<String, BTreeSet<String>>,
    /// The same for tests only.
    tests_use: BTreeMap<String, BTreeSet<String>>,
}

fn graph() -> Graph {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--all-features", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let mut graph = Graph { ours: BTreeSet::new(), uses: BTreeMap::new(), tests_use: BTreeMap::new() };
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name").to_owned();
        if package["source"].is_null() {
            graph.ours.insert(name.clone());
        }
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let edges = if dependency["kind"] == "dev" { &mut graph.tests_use } else { &mut graph.uses };
            // An optional crate of somebody else's, or one for another system, is not there for that alone.
            if !package["source"].is_null()
                && (dependency["optional"] == true || !dependency["target"].is_null())
            {
                continue;
            }
            let used = dependency["name"].as_str().expect("a name").to_owned();
            edges.entry(name.clone()).or_default().insert(used);
        }
    }
    graph
}

fn of<'a>(edges: &'a BTreeMap<String, BTreeSet<String>>, name: &str) -> impl Iterator<Item = &'a String> {
    edges.get(name).into_iter().flatten()
}

#[test]
fn rooms_use_only_what_they_may() {
    let graph = graph();
    let mut wrong = Vec::new();
    for room in graph.ours.iter().filter(|room| !EVERYTHING.contains(&room.as_str())) {
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| name == room) else {
            wrong.push(format!("{room} is not in the table: say what it may use"));
            continue;
        };
        for used in of(&graph.uses, room).filter(|used| graph.ours.contains(*used)) {
            if !allowed.contains(&used.as_str()) {
                wrong.push(format!("{room} uses {used}"));
            }
        }
        for used in of(&graph.tests_use, room).filter(|used| graph.ours.contains(*used)) {
            // Stories end where a message is handed over.
            let story = (room.as_str(), used.as_str()) == ("engine", "delivery");
            if !story && !allowed.contains(&used.as_str()) && !EVERYTHING.contains(&used.as_str()) {
                wrong.push(format!("tests of {room} use {used}; let them use testkit"));
            }
        }
    }
    assert!(wrong.is_empty(), "edges that the house does not have: {wrong:#?}");
}

#[test]
fn pure_rooms_reach_no_io() {
    let graph = graph();
    for room in PURE {
        let (mut reached, mut open) = (BTreeSet::new(), vec![(*room).to_owned()]);
        while let Some(name) = open.pop() {
            for used in of(&graph.uses, &name) {
                if reached.insert(used.clone()) {
                    open.push(used.clone());
                }
            }
        }
        let impure: Vec<&&str> = IMPURE.iter().filter(|name| reached.contains(**name)).collect();
        assert!(impure.is_empty(), "{room} reaches {impure:?}");
        assert!(*room == "model" || reached.contains("model"), "{room}: the graph was not read");
    }
}
