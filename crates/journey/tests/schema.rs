//! `docs/journey.schema.json` is what the tables say, and every example and fragment of the documentation satisfies it.
//! `cargo test -p journey --test schema -- --ignored` writes it anew.

use std::{fs, path::PathBuf};

use journey::{Beside, Document, compile, schema::schema};
use model::doc;
use serde_json::Value as Json;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn written() -> String {
    format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap())
}

#[test]
#[ignore = "writes the file"]
fn write() {
    fs::write(root().join("docs/journey.schema.json"), written()).unwrap();
}

#[test]
fn the_file_is_current() {
    let file = fs::read_to_string(root().join("docs/journey.schema.json")).unwrap();
    assert!(
        file == written(),
        "cargo test -p journey --test schema -- --ignored writes docs/journey.schema.json"
    );
}

/// As much of JSON Schema as the file uses; what is wrong, by path.
fn wrong(at: &Json, rule: &Json, path: &str) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(name) = rule["$ref"].as_str() {
        let name = name.trim_start_matches("#/$defs/");
        all.extend(wrong(at, &schema()["$defs"][name], path));
    }
    let types: Vec<&str> = match &rule["type"] {
        Json::Array(words) => words.iter().filter_map(Json::as_str).collect(),
        word => word.as_str().into_iter().collect(),
    };
    let is = |word: &str| match word {
        "object" => at.is_object(),
        "array" => at.is_array(),
        "string" => at.is_string(),
        "integer" => at.is_i64(),
        "number" => at.is_number(),
        "boolean" => at.is_boolean(),
        _ => false,
    };
    if !types.is_empty() && !types.iter().any(|word| is(word)) {
        return vec![format!("{path}: {at} is not {types:?}")];
    }
    if rule["enum"].as_array().is_some_and(|words| !words.contains(at))
        || rule.get("const").is_some_and(|c| c != at)
    {
        all.push(format!("{path}: {at} is not known"));
    }
    let beyond = |key: &str, n: i64, most: bool| {
        rule[key].as_i64().is_some_and(|limit| if most { n > limit } else { n < limit })
    };
    if at.as_i64().is_some_and(|n| beyond("minimum", n, false) || beyond("maximum", n, true)) {
        all.push(format!("{path}: {at} is out of bounds"));
    }
    for key in rule["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        if at.get(key).is_none() {
            all.push(format!("{path}: {key} is missing"));
        }
    }
    for (key, value) in at.as_object().into_iter().flatten() {
        let inner = format!("{path}.{key}");
        match (rule["properties"].get(key), &rule["additionalProperties"]) {
            (Some(rule), _) => all.extend(wrong(value, rule, &inner)),
            (None, Json::Bool(false)) => all.push(format!("{inner} is not known")),
            (None, rule) => all.extend(wrong(value, rule, &inner)),
        }
    }
    for (number, value) in at.as_array().into_iter().flatten().enumerate() {
        all.extend(wrong(value, &rule["items"], &format!("{path}.{number}")));
    }
    for part in rule["allOf"].as_array().into_iter().flatten() {
        all.extend(wrong(at, part, path));
    }
    if let Some(parts) = rule["anyOf"].as_array() {
        let tries: Vec<Vec<String>> = parts.iter().map(|part| wrong(at, part, path)).collect();
        if tries.iter().all(|problems| !problems.is_empty()) {
            all.extend(tries.into_iter().flatten());
        }
    }
    all
}

fn fits(text: &str, name: &str) {
    let tree = doc::parse(text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    assert_eq!(wrong(&tree.to_json(), &schema(), ""), Vec::<String>::new(), "{name}");
}

#[test]
fn every_example_fits_and_keeps_all_that_was_written() {
    let mut found = 0;
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path().join("journey.yaml");
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let name = path.display().to_string();
        fits(&text, &name);
        let document = Document::parse(&text, &name).unwrap_or_else(|problems| panic!("{problems:#?}"));
        // A round trip: the source, written as JSON and read again, is the same document.
        let again = Document::parse(&document.source.to_string(), &name).unwrap();
        assert_eq!(again.source, document.source);
        assert_eq!(document.source, doc::parse(&text).unwrap().to_json());
        found += 1;
    }
    assert!(found > 0);
}

#[test]
fn mistakes_do_not_fit() {
    let sound = "journey: j\naudience: {who: all}\ntriggers: [{event: A, late: P1D}]\nnodes: {}\nlinks: []\n";
    fits(sound, "sound");
    for (from, to) in [
        ("who: all", "who: al"),
        ("late", "lat"),
        ("P1D", "1D-"),
        ("links: []", "links: {}"),
        ("nodes: {}\n", ""),
    ] {
        let tree = doc::parse(&sound.replace(from, to)).unwrap();
        let pattern = to == "1D-"; // patterns are left to editors
        assert!(pattern || !wrong(&tree.to_json(), &schema(), "").is_empty(), "{to}");
    }
}

/// The fragments of docs/journeys.md: a whole file as it is, parts put into a small file.
#[test]
fn fragments_of_the_documentation_are_read() {
    let text = fs::read_to_string(root().join("docs/journeys.md")).unwrap();
    // What is said of nodes is not a part of the file.
    let text = text.split("\n## Nodes").next().unwrap_or_default();
    let fields = "fields: {birthday: {type: date}, last_cart: {type: text}}";
    let beside = Beside {
        fields: journey::fields::parse(fields, "fields.yaml").unwrap(),
        segments: ["vip", "lost", "staff"].map(str::to_owned).into(),
        ..Beside::default()
    };
    let node = "nodes: {a: {kind: set_field, field: last_cart, value: x}}\n";
    let mut count = 0;
    for fragment in text.split("```yaml\n").skip(1) {
        let fragment = fragment.split("```").next().unwrap_or_default();
        let mut whole = fragment.to_owned();
        for (key, line) in [
            ("journey:", "journey: j\n"),
            ("audience:", "audience: {who: all}\n"),
            ("nodes:", node),
            ("links:", "links: [{from: start, to: a}]\n"),
        ] {
            if !fragment.lines().any(|line| line.starts_with(key)) {
                whole.push_str(line);
            }
        }
        let read = Document::parse(&whole, "docs/journeys.md");
        read.and_then(|document| compile(&document, &beside))
            .unwrap_or_else(|problems| panic!("{problems:#?}\n{whole}"));
        fits(&whole, fragment);
        count += 1;
    }
    assert!(count >= 5, "{count}");
}
