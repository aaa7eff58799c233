//! Every fragment of docs/sending.md and docs/bounces.md is what the program reads.

use std::sync::Arc;

use delivery::Webhooks;
use model::{Timestamp, time::FixedClock};
use template::{CompileContext, Document, Template};

#[test]
fn every_fragment_is_understood() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sending.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut seen = (0, 0, 0, 0);
    for part in text.split("\n```").collect::<Vec<_>>().chunks(2).filter_map(|pair| pair.get(1)) {
        let (kind, body) = part.split_once('\n').unwrap();
        match kind {
            "yaml template" => {
                let document = Document::parse(body, "t.yaml").unwrap_or_else(|p| panic!("{p:?}\n{body}"));
                Template::compile(&document, &CompileContext::default()).unwrap_or_else(|p| panic!("{p:?}"));
                seen.0 += 1;
            }
            "json webhooks" => {
                let setting = serde_json::from_str(body).unwrap();
                Webhooks::new(Some(&setting), Arc::new(FixedClock(Timestamp(0)))).unwrap();
                seen.1 += 1;
            }
            "yaml" if body.starts_with("nodes:") => {
                let node = model::doc::parse(body).unwrap();
                assert!(node.get("nodes").is_some());
                seen.2 += 1;
            }
            "yaml" => {
                policy::SendingRules::parse(body).unwrap_or_else(|p| panic!("{p:?}\n{body}"));
                seen.3 += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(seen, (2, 1, 1, 1));
}

#[test]
fn the_setting_of_bounces_is_the_default_as_it_is_written() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/bounces.md");
    let text = std::fs::read_to_string(path).unwrap();
    let setting = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let rules = storage::post::BounceRules::parse(setting).unwrap_or_else(|p| panic!("{p:?}"));
    assert_eq!(rules, storage::post::BounceRules::default());
}
