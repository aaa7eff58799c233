//! Every example of `docs/templates.md` compiles, and renders in each language.

use model::{Currency, Timestamp, Zone};
use template::{CompileContext, Document, Links, RenderInput, Template};

const DOCS: &str = include_str!("../../../docs/templates.md");

#[test]
fn every_example_compiles_and_renders() {
    let mut found = 0;
    for part in DOCS.split("```yaml ").skip(1) {
        let (kind, rest) = part.split_once('\n').unwrap();
        let (example, _) = rest.split_once("```").unwrap();
        let text = match kind {
            "template" => example.to_owned(),
            "blocks" => {
                let blocks: String = example.lines().map(|line| format!("  {line}\n")).collect();
                let head = "format: 1\ntemplate: example\nsubject: Example\nvariables:\n  products: products\n  \
                            basket: cart\n  code: text\nblocks:\n";
                format!("{head}{blocks}")
            }
            other => panic!("an example of kind {other}"),
        };
        let document =
            Document::parse(&text, "docs/templates.md").unwrap_or_else(|p| panic!("{text}\n{p:#?}"));
        let template = Template::compile(&document, &CompileContext::default())
            .unwrap_or_else(|p| panic!("{text}\n{p:#?}"));
        for locale in ["en-GB", "fr-FR"] {
            let rendered = template
                .render(&RenderInput {
                    variables: &template.sample(),
                    locale,
                    zone: &Zone::UTC,
                    currency: Currency::GBP,
                    at: Timestamp(0),
                    links: Links::default(),
                    utm: None,
                    rewrite: None,
                })
                .unwrap();
            assert!(!rendered.subject.is_empty() && rendered.html.contains("<body"), "{text}");
        }
        found += 1;
    }
    assert!(found >= 5, "{found} examples");
}
