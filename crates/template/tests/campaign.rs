//! The three mails of the campaign in `examples/s0`, in both languages, as they leave.

use std::fs;

use model::{Currency, Timestamp, Zone};
use serde_json::{Value as Json, json};
use template::{CompileContext, Document, Links, RenderInput, Rendered, Template, Utm};

const MAILS: [&str; 3] = ["up-selling", "cross-selling", "best-sellers"];

fn compile(name: &str) -> Template {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/s0/templates");
    let text = fs::read_to_string(format!("{folder}/{name}.yaml")).unwrap();
    let document = Document::parse(&text, &format!("{name}.yaml")).unwrap_or_else(|p| panic!("{p:#?}"));
    let template =
        Template::compile(&document, &CompileContext::default()).unwrap_or_else(|p| panic!("{p:#?}"));
    assert_eq!(template.slug().as_str(), name);
    assert!(template.warnings().is_empty(), "{:#?}", template.warnings());
    template
}

fn render(template: &Template, variables: &Json, locale: &str) -> Rendered {
    let utm =
        Utm { source: "relance".into(), medium: "email".into(), campaign: "rfm-recommendations".into() };
    template
        .render(&RenderInput {
            variables,
            locale,
            zone: &Zone::UTC,
            currency: Currency::GBP,
            at: Timestamp(1_795_334_400 * Timestamp::SECOND),
            links: Links {
                unsubscribe_url: "https://mail.example.test/u/1",
                preferences_url: "https://mail.example.test/p/1",
                view_in_browser_url: "https://mail.example.test/v/1",
                forward_url: "",
            },
            utm: Some(&utm),
            rewrite: None,
        })
        .unwrap()
}

fn products(n: usize) -> Json {
    (0..n)
        .map(|i| {
            json!({
                "external_id": format!("2272{i}"), "name": format!("Alarm clock no. {i} \"Bakelike\" & more"),
                "url": format!("https://shop.example.test/p/2272{i}"),
                "image_url": format!("https://shop.example.test/i/2272{i}.png"),
                "unit_price": 3.75, "original_price": if i == 1 { json!(5) } else { Json::Null }, "currency": "GBP",
            })
        })
        .collect()
}

#[test]
fn they_look_the_same_as_ever() {
    for name in MAILS {
        let template = compile(name);
        for locale in ["en-GB", "fr-FR"] {
            let rendered = render(&template, &json!({"name": "Zoë", "products": products(6)}), locale);
            // One element a line, so that a change can be read.
            let lines = rendered.html.replace("><", ">\n<");
            let all = format!("{}\n{}\n\n{}\n{lines}", rendered.subject, rendered.preheader, rendered.text);
            insta::assert_snapshot!(format!("{name}.{}", &locale[..2]), all);
        }
    }
}

#[test]
fn they_stand_every_number_of_products() {
    for name in MAILS {
        let template = compile(name);
        for n in [0, 1, 2, 4, 5, 6, 7, 100] {
            let rendered = render(&template, &json!({"products": products(n)}), "en-GB");
            assert_eq!(rendered.html.matches("Alarm clock no.").count(), n.min(6), "{name} with {n}");
            assert_eq!(rendered.text.matches("- Alarm clock no.").count(), n.min(6), "{name} with {n}");
            assert!(rendered.subject.starts_with("Dear customer,"), "{}", rendered.subject);
            assert!(rendered.html.len() < 40_000, "{} bytes", rendered.html.len());
            assert!(!rendered.html.contains(['\u{e000}', '\u{e001}']) && !rendered.html.contains("\\u{e0"));
        }
    }
}

#[test]
fn the_grid_is_two_by_three_and_three_by_two() {
    let rendered = render(&compile("up-selling"), &json!({"products": products(6)}), "en-GB");
    // A third of the width on a desktop by the media query, half of it on a phone by itself, and Outlook's two rows.
    assert_eq!(
        rendered
            .html
            .matches("class=\"r-3\" style=\"display:inline-block;vertical-align:top;width:50%\"")
            .count(),
        6
    );
    assert!(rendered.html.contains("@media only screen and (min-width:480px){.r-3{width:33.333%!important}"));
    assert_eq!(rendered.html.matches("<!--[if mso]></tr><tr><td").count(), 1);
}
