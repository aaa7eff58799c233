//! Every example of docs/segments.md is read, and every operator has one.

use std::path::Path;

use segment::{Condition, Operator, ProductCondition, Schema, SegmentFile};

/// The fenced examples with what stands behind the fence's word.
fn examples(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut inside: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut inside, line.strip_prefix("```")) {
            (None, Some(rest)) if rest.starts_with("yaml") => {
                inside = Some((rest.trim_start_matches("yaml").trim().to_owned(), String::new()));
            }
            (Some(_), Some(_)) => found.extend(inside.take()),
            (Some((_, body)), None) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, _) => {}
        }
    }
    found
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

#[test]
fn every_example_is_read() {
    let examples = examples(&read("docs/segments.md"));
    assert!(examples.len() >= 10);
    let schema = Schema::with_fields([]);
    for (tag, body) in &examples {
        let node = model::doc::parse(body).unwrap_or_else(|problem| panic!("{body}: {problem}"));
        let problems = if body.starts_with("format:") {
            SegmentFile::parse(body, None, &schema).err()
        } else if tag == "product" {
            ProductCondition::parse(&node, "product").err()
        } else {
            Condition::parse(&node, &schema, "condition").err()
        };
        assert_eq!(problems, None, "{body}");
    }
}

#[test]
fn every_operator_has_an_example() {
    let all: String = examples(&read("docs/segments.md")).into_iter().map(|(_, body)| body).collect();
    for (word, _) in Operator::ALL {
        assert!(all.contains(&format!("{word}: ")), "no example of {word}");
    }
}

#[test]
fn the_examples_segments_are_read() {
    for slug in ["rfm-high", "rfm-medium", "rfm-low"] {
        let text = read(&format!("examples/s0/segments/{slug}.yaml"));
        let (file, warnings) = SegmentFile::parse(&text, Some(slug), &Schema::with_fields([])).unwrap();
        assert_eq!((file.slug.as_str(), warnings.len()), (slug, 0));
    }
}
