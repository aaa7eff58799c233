//! `docs/schemas/*.json` are what the tables say, and every example and fragment of the documentation satisfies them.
//! `cargo test -p journey --test schema -- --ignored` writes them anew.

use std::{fs, path::PathBuf};

use journey::{Beside, Document, compile, schema::schema};
use model::doc;
use serde_json::Value as Json;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The schemas with their files.
fn files() -> [(PathBuf, Json); 4] {
    let file = |name: &str| root().join("docs/schemas").join(name);
    [
        (file("journey.json"), schema()),
        (file("segment.json"), segment::file::json_schema()),
        (file("template.json"), template::schema::schema()),
        (file("coupons.json"), model::coupon::json_schema()),
    ]
}

fn written(schema: &Json) -> String {
    format!("{}\n", serde_json::to_string_pretty(schema).unwrap())
}

#[test]
#[ignore = "writes the files"]
fn write() {
    for (path, schema) in files() {
        fs::write(path, written(&schema)).unwrap();
    }
}

#[test]
fn the_files_are_current() {
    for (path, schema) in files() {
        let file = fs::read_to_string(&path).unwrap();
        let cure = "cargo test -p journey --test schema -- --ignored writes it";
        assert!(file == written(&schema), "{}: {cure}", path.display());
    }
}

/// As much of JSON Schema as the file uses; what is wrong, by path.
fn wrong_in(root: &Json, at: &Json, rule: &Json, path: &str) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(name) = rule["$ref"].as_str() {
        let name = name.trim_start_matches("#/$defs/");
        all.extend(wrong_in(root, at, &root["$defs"][name], path));
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
    let size = at.as_object().map(|map| ("Properties", map.len()));
    if let Some((of, size)) = size.or_else(|| at.as_array().map(|list| ("Items", list.len()))) {
        let limit = |word: &str| rule[format!("{word}{of}")].as_u64().map(|limit| limit as usize);
        if limit("min").is_some_and(|least| size < least) || limit("max").is_some_and(|most| size > most) {
            all.push(format!("{path}: {size} are too few or too many"));
        }
    }
    if rule["exclusiveMaximum"].as_i64().is_some_and(|limit| at.as_f64() >= Some(limit as f64)) {
        all.push(format!("{path}: {at} is too much"));
    }
    if rule.get("if").is_some_and(|condition| wrong_in(root, at, condition, path).is_empty()) {
        all.extend(wrong_in(root, at, &rule["then"], path));
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
            (Some(rule), _) => all.extend(wrong_in(root, value, rule, &inner)),
            (None, Json::Bool(false)) => all.push(format!("{inner} is not known")),
            (None, rule) => all.extend(wrong_in(root, value, rule, &inner)),
        }
    }
    for (number, value) in at.as_array().into_iter().flatten().enumerate() {
        all.extend(wrong_in(root, value, &rule["items"], &format!("{path}.{number}")));
    }
    for part in rule["allOf"].as_array().into_iter().flatten() {
        all.extend(wrong_in(root, at, part, path));
    }
    if let Some(parts) = rule["oneOf"].as_array()
        && parts.iter().filter(|part| wrong_in(root, at, part, path).is_empty()).count() != 1
    {
        all.push(format!("{path}: not exactly one of {parts:?}"));
    }
    if let Some(parts) = rule["anyOf"].as_array() {
        let tries: Vec<Vec<String>> = parts.iter().map(|part| wrong_in(root, at, part, path)).collect();
        if tries.iter().all(|problems| !problems.is_empty()) {
            all.extend(tries.into_iter().flatten());
        }
    }
    all
}

/// The same by the schema of journeys.
fn wrong(at: &Json, rule: &Json) -> Vec<String> {
    wrong_in(&schema(), at, rule, "")
}

fn fits(text: &str, name: &str) {
    let tree = doc::parse(text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    assert_eq!(wrong(&tree.to_json(), &schema()), Vec::<String>::new(), "{name}");
}

#[test]
fn every_example_fits_and_keeps_all_that_was_written() {
    let (mut found, mut folders) = (0, vec![root().join("examples")]);
    while let Some(folder) = folders.pop() {
        folders
            .extend(fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|p| p.is_dir()));
        let path = folder.join("journey.yaml");
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
    assert!(found >= 7, "{found}");
}

/// The nodes that docs/journeys.md shows, by kind.
fn shown() -> Vec<(String, Json)> {
    let text = fs::read_to_string(root().join("docs/journeys.md")).unwrap();
    let nodes = text.split("\n## Nodes").nth(1).unwrap();
    let mut shown = Vec::new();
    for fragment in nodes.split("```yaml\n").skip(1) {
        let fragment = fragment.split("```").next().unwrap_or_default();
        let tree = doc::parse(fragment).unwrap().to_json();
        for node in tree.as_object().into_iter().flatten().map(|(_, node)| node) {
            if let Some(kind) = node["kind"].as_str() {
                shown.push((kind.to_owned(), node.clone()));
            }
        }
    }
    // What the page says in words only.
    for bare in [
        "{kind: start}",
        "{kind: end}",
        "{kind: in_segment, segment: vip}",
        "{kind: get_last_cart, state: abandoned}",
        "{kind: get_products, total: 6, min_stock: 3, main: {case: related_to_cart, related_to: {ref: nodes.cart}}}",
        "{kind: send_sms, template: hello, purpose: newsletter, smart_sending: P1D, expires_after: PT6H}",
        "{kind: send_push, template: hello, purpose: newsletter, ignore_caps: true, skip_duplicates: true}",
        "{kind: has_consent, purpose: newsletter, is: unsubscribed}",
    ] {
        let node = doc::parse(bare).unwrap().to_json();
        shown.push((node["kind"].as_str().unwrap_or_default().to_owned(), node));
    }
    shown
}

#[test]
fn nodes_of_the_documentation_fit_and_every_kind_is_shown() {
    let node = serde_json::json!({"$ref": "#/$defs/node"});
    let shown = shown();
    for (_, sample) in &shown {
        assert_eq!(wrong(sample, &node), Vec::<String>::new(), "{sample}");
        // Whatever the kind: one key more, or the kind misspelt, and it is no node.
        let mut broken = sample.clone();
        broken["colour"] = "red".into();
        assert!(!wrong(&broken, &node).is_empty(), "{broken}");
        broken = sample.clone();
        broken["kind"] = format!("{}x", sample["kind"].as_str().unwrap()).into();
        assert!(!wrong(&broken, &node).is_empty(), "{broken}");
    }
    for kind in journey::nodes::KINDS {
        assert!(shown.iter().any(|(word, _)| word == kind.word), "{} is not shown", kind.word);
    }
}

/// Whether the reader knows a key of a node. Nothing is read behind a key without a value, but that it is known is noted.
fn knows(sample: &Json, key: &str) -> bool {
    let mut node = sample.clone();
    if node.get(key).is_none() {
        node[key] = Json::Null;
    }
    let id = if node["kind"] == "start" { "start" } else { "x" };
    let mut file = serde_json::json!({"journey": "j", "audience": {"who": "all"}, "nodes": {}, "links": []});
    file["nodes"][id] = node;
    let document = Document::parse(&file.to_string(), "j.json").unwrap();
    let problems = compile(&document, &Beside::default()).err().unwrap_or_default();
    let field = format!("nodes.{id}.{key}");
    !problems.iter().any(|one| one.code == "doc.unknown_key" && one.field.as_deref() == Some(&field))
}

/// A key that the schema has and the reader does not know would be a promise that nobody keeps.
#[test]
fn the_reader_knows_every_key_of_the_schema() {
    let (schema, shown) = (schema(), shown());
    for kind in journey::nodes::KINDS {
        let samples: Vec<&Json> =
            shown.iter().filter(|(word, _)| word == kind.word).map(|(_, sample)| sample).collect();
        let keys = schema["$defs"][format!("node_{}", kind.word)]["properties"].as_object().unwrap();
        for key in keys.keys() {
            // Some keys exclude each other: one of the samples takes it.
            assert!(samples.iter().any(|sample| knows(sample, key)), "{}: {key}", kind.word);
        }
        assert!(!samples.iter().any(|sample| knows(sample, "colour")), "{}", kind.word);
    }
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
        ("nodes: {}", "nodes: {a: {kind: wait}}"),
        ("nodes: {}", "nodes: {a: {kind: wait, for: PT1H, until: {at: \"09:00\"}}}"),
        ("nodes: {}", "nodes: {a: {kind: send_email, template: t}}"),
        ("nodes: {}", "nodes: {a: {kind: get_products, main: {case: best_selling}, total: 101}}"),
        ("nodes: {}", "nodes: {a: {kind: get_products, main: {case: best_sold}}}"),
        ("nodes: {}", "nodes: {a: {kind: split, branches: [a]}}"),
        ("nodes: {}", "nodes: {a: {kind: set_field, field: x}}"),
        ("nodes: {}", "nodes: {a: {kind: ab_test, variants: [a, b], metric: opens, significance: 100}}"),
        ("nodes: {}", "nodes: {a: {kind: wait_for, event: A, any_of: {b: {event: B}}, limit: P1D}}"),
        ("nodes: {}", "nodes: {a: {kind: alert, url: \"https://x.example\", to: a@example.com}}"),
        ("nodes: {}", "nodes: {a: {kind: end, name: {de: Ende}}}"),
    ] {
        let tree = doc::parse(&sound.replace(from, to)).unwrap();
        let pattern = to == "1D-"; // patterns are left to editors
        assert!(pattern || !wrong(&tree.to_json(), &schema()).is_empty(), "{to}");
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

/// Holds every file of the examples in folders of that name against a schema; how many there are.
fn examples_fit(name: &str, schema: &Json) -> usize {
    let (mut found, mut folders) = (0, vec![root().join("examples")]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let is_wanted = folder.file_name().is_some_and(|own| own == name);
            if path.is_dir() {
                folders.push(path);
            } else if is_wanted {
                let tree = doc::parse(&fs::read_to_string(&path).unwrap()).unwrap().to_json();
                assert_eq!(wrong_in(schema, &tree, schema, ""), Vec::<String>::new(), "{}", path.display());
                found += 1;
            }
        }
    }
    found
}

/// Holds the whole files that a page of the documentation shows between such fences against a schema; how many there are.
fn shown_fit(page: &str, fence: &str, schema: &Json) -> usize {
    let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
    let fragments = text.split(fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let whole: Vec<&str> = fragments.filter(|fragment| fragment.starts_with("format: 1\n")).collect();
    for fragment in &whole {
        let tree = doc::parse(fragment).unwrap().to_json();
        assert_eq!(wrong_in(schema, &tree, schema, ""), Vec::<String>::new(), "{page}: {fragment}");
    }
    whole.len()
}

#[test]
fn segments_fit_their_schema_and_mistakes_do_not() {
    let schema = segment::file::json_schema();
    let found = examples_fit("segments", &schema);
    assert!(found >= 8, "{found}");
    let sound = "{format: 1, segment: s, condition: {all: [{any: [{list: vip}]}, {not: {did: Page Viewed, within: P1D}}]}}";
    let fits = |text: &str| wrong_in(&schema, &doc::parse(text).unwrap().to_json(), &schema, "").is_empty();
    assert!(fits(sound));
    for (from, to) in [
        ("format: 1", "format: 2"),
        ("segment: s", "segmnt: s"),
        ("list: vip", "lists: vip"),
        ("did: Page Viewed", "done: Page Viewed"),
        ("[{list: vip}]", "[]"),
        ("{any: [{list: vip}]}", "{any: [{list: vip}], all: [{list: vip}]}"),
    ] {
        assert!(!fits(&sound.replace(from, to)), "{to}");
    }
}

#[test]
fn coupon_sets_fit_their_schema_and_mistakes_do_not() {
    let schema = model::coupon::json_schema();
    assert!(examples_fit("coupons", &schema) >= 1 && shown_fit("coupons.md", "```yaml\n", &schema) >= 2);
    let fits = |text: &str| wrong_in(&schema, &doc::parse(text).unwrap().to_json(), &schema, "").is_empty();
    let is_read = |text: &str| model::CouponSet::parse(text, Some("spring"), &model::Zone::UTC).is_ok();
    let shared =
        "{format: 1, coupons: spring, name: {en: Spring}, kind: shared, code: SPRING10, limit: 500000}";
    let pool = "{format: 1, kind: single_use, valid_for: P30D, expires_at: \"2026-12-31\", per_contact: 1, low_stock: 5, pattern: \"X-{8}\"}";
    for sound in [shared, pool] {
        assert!(fits(sound) && is_read(sound), "{sound}");
    }
    for (sound, from, to) in [
        (shared, "format: 1", "format: 2"),
        (shared, "kind: shared", "kind: sharde"),
        (shared, "kind: shared", "kind: single_use"),
        (shared, "code: SPRING10", "pattern: \"X-{8}\""),
        (shared, "500000", "500001"),
        (shared, ", code: SPRING10", ""),
        (pool, "kind: single_use", "kind: shared"),
        (pool, "low_stock: 5", "low_stock: 0"),
        (pool, "per_contact", "per_contacts"),
        (pool, "valid_for: P30D", "valid_for: [P30D]"),
    ] {
        let broken = sound.replace(from, to);
        assert!(!fits(&broken) && !is_read(&broken), "{broken}");
    }
}

/// A block of each kind with what it needs.
const BLOCKS: [&str; 13] = [
    "{kind: header, text: x, image: \"https://x.example/a.png\", alt: x, width: 100, link: \"https://x.example\"}",
    "{kind: text, text: {en: x}, size: 48, color: \"#fff\", show: {list: vip}, padding: [10, 200], align: right}",
    "{kind: image, src: \"https://x.example/a.png\", alt: \"\"}",
    "{kind: button, text: x, link: \"https://x.example\", full_width: true}",
    "{kind: columns, columns: [{width: 50, blocks: [{kind: divider}]}, {width: 50, blocks: []}]}",
    "{kind: divider, thickness: 20}",
    "{kind: spacer, height: 200, background: \"#1f6f5c\"}",
    "{kind: social, links: {x: \"https://x.example\"}}",
    "{kind: html, html: \"<p>x</p>\"}",
    "{kind: products, products: ps, desktop: {rows: 2, columns: 6}, card: [image, {text: x}], layout: image_left}",
    "{kind: cart, cart: c, line: [name, quantity], products: 100}",
    "{kind: coupon, code: X, button: x, link: \"https://x.example\"}",
    "{kind: footer, address: x, unsubscribe: false}",
];

fn mail(block: &str) -> String {
    let variables = "{ps: products, c: {type: cart, optional: true}, who: {type: text, default: you}}";
    format!(
        "{{format: 1, template: t, subject: x, languages: [en], variables: {variables}, blocks: [{block}]}}"
    )
}

/// Problems of reading that say of a key that it is not known.
fn unknown_keys(text: &str) -> Vec<String> {
    let problems = template::Document::parse(text, "t.yaml").err().unwrap_or_default();
    let unknown = problems.iter().filter(|one| one.code == "doc.unknown_key");
    unknown.filter_map(|one| one.field.as_deref().map(str::to_owned)).collect()
}

#[test]
fn templates_fit_their_schema_and_mistakes_do_not() {
    let schema = template::schema::schema();
    assert!(examples_fit("templates", &schema) >= 8);
    assert!(shown_fit("templates.md", "```yaml template\n", &schema) >= 1);
    let fits = |text: &str| wrong_in(&schema, &doc::parse(text).unwrap().to_json(), &schema, "").is_empty();
    let is_read = |text: &str| template::Document::parse(text, "t.yaml").is_ok();
    for block in BLOCKS {
        let sound = mail(block);
        let tree = doc::parse(&sound).unwrap().to_json();
        assert_eq!(wrong_in(&schema, &tree, &schema, ""), Vec::<String>::new(), "{block}");
        assert!(is_read(&sound), "{:?}", template::Document::parse(&sound, "t.yaml").err());
        // The reader knows every key of the schema, and neither knows another.
        let kind = tree["blocks"][0]["kind"].as_str().unwrap();
        for key in schema["$defs"][format!("block_{kind}")]["properties"].as_object().unwrap().keys() {
            let mut more = tree.clone();
            if more["blocks"][0].get(key).is_none() {
                more["blocks"][0][key] = Json::Null;
            }
            assert_eq!(unknown_keys(&more.to_string()), Vec::<String>::new(), "{kind}: {key}");
        }
        let broken = sound.replace(&format!("kind: {kind}"), &format!("colour: red, kind: {kind}"));
        assert!(!fits(&broken) && unknown_keys(&broken) == ["blocks.0.colour"], "{broken}");
    }
    let sms = "{format: 1, template: t, channel: sms, text: {en: x}}";
    let push = "{format: 1, template: t, channel: push, title: x, body: x, url: \"https://x.example\", expires_after: PT4H}";
    assert!([sms, push].iter().all(|sound| fits(sound) && is_read(sound)));
    let (text, columns) = (mail(BLOCKS[1]), mail(BLOCKS[4]));
    for (sound, from, to) in [
        (sms, "text: {en: x}", "subject: x, blocks: []"),
        (sms, "channel: sms", "channel: fax"),
        (sms, "format: 1", "format: 2"),
        (push, "body: x, ", ""),
        (push, "title", "titel"),
        (&*text, "size: 48", "size: 49"),
        (&*text, "kind: text", "kind: texts"),
        (&*text, "align: right", "align: middle"),
        (&*text, "[10, 200]", "[10]"),
        (&*text, "subject: x, ", ""),
        (&*text, "ps: products", "ps: list"),
        (&*columns, "kind: divider", "kind: footer, address: x"),
        (&*columns, ", {width: 50, blocks: []}", ""),
        (&mail(BLOCKS[2]), ", alt: \"\"", ""),
        (&mail(BLOCKS[7]), "{x: ", "{y: "),
        (&mail(BLOCKS[9]), "columns: 6", "columns: 7"),
        (&mail(BLOCKS[10]), "[name, quantity]", "[name, rating]"),
    ] {
        let broken = sound.replace(from, to);
        assert!(broken != sound && !fits(&broken) && !is_read(&broken), "{broken}");
    }
}
