//! What comes from outside cannot break out of a message, and what a template asks for has limits.

use model::{Currency, Problems, Timestamp, Zone};
use serde_json::{Value as Json, json};
use template::{CompileContext, Document, Links, RenderInput, Rendered, Template, Utm, limits};

fn compile(blocks: &str, subject: &str) -> Result<Template, Problems> {
    let text = format!(
        "format: 1\ntemplate: t\nsubject: {subject}\nvariables:\n  name: {{type: text, default: you}}\n  \
         products: {{type: products}}\n  page: {{type: url, optional: true}}\nblocks:\n{blocks}\n  \
         - {{kind: footer, address: Here}}\n"
    );
    Template::compile(&Document::parse(&text, "t.yaml")?, &CompileContext::default())
}

fn render(template: &Template, variables: &Json) -> Result<Rendered, model::Problem> {
    let utm = Utm { source: "a&b".into(), medium: "e".into(), campaign: "c".into() };
    template.render(&RenderInput {
        variables,
        locale: "en-GB",
        zone: &Zone::UTC,
        currency: Currency::GBP,
        at: Timestamp(0),
        links: Links { unsubscribe_url: "javascript:alert(1)", ..Links::default() },
        utm: Some(&utm),
        rewrite: None,
    })
}

const GRID: &str = "  - {kind: products, products: products, card: [image, name, brand, price, {text: \"{{ product.brand }}!\"}]}";

#[test]
fn names_and_products_are_text() {
    let blocks = format!(
        "  - {{kind: text, text: \"Hi {{{{ name }}}} [link {{{{ name }}}}](https://x.test/?q={{{{ name }}}})\"}}\n\
         \x20 - {{kind: button, text: \"{{{{ name }}}}\", link: \"{{{{ page }}}}\"}}\n\
         \x20 - {{kind: image, src: \"{{{{ page }}}}\", alt: \"{{{{ name }}}}\"}}\n\
         \x20 - {{kind: coupon, code: \"{{{{ name }}}}\"}}\n{GRID}"
    );
    let template = compile(&blocks, "\"{{ name }}\"").unwrap();
    let evil = "\"><script>alert('x')</script><img src=x onerror=y>{{ 7 * 7 }}\r\nBcc: z@example.test";
    for page in [
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,<script>",
        "//evil.test",
        "\" onclick=\"x",
    ] {
        let rendered = render(
            &template,
            &json!({"name": evil, "page": page, "products": [
                {"name": evil, "url": page, "image_url": page, "brand": evil, "unit_price": "abc", "currency": evil},
                {"name": evil, "url": format!("https://x.test/\"{evil}"), "unit_price": 1, "currency": "<b>"},
            ]}),
        )
        .unwrap();
        let html = &rendered.html;
        assert!(!html.contains("<script") && !html.contains("<img src=x") && !html.contains("<b>"), "{html}");
        for scheme in ["href=\"javascript", "href=\"data:", "src=\"data:", "href=\"//", "onclick=\"x\""] {
            assert!(!html.to_lowercase().contains(scheme), "{page}: {scheme}");
        }
        assert!(html.contains("{{ 7 * 7 }}"), "what a name says is not run");
        assert!(!rendered.subject.contains(['\r', '\n']) && !rendered.subject.contains("49"));
        assert!(html.contains("https://x.test/?q=%22%3E%3Cscript%3E"), "values in addresses are encoded");
    }
    let long = render(&template, &json!({"name": "x".repeat(5_000)})).unwrap();
    assert_eq!(long.subject.chars().count(), limits::SUBJECT_LEN_MAX);
}

#[test]
fn bombs_run_out_of_fuel() {
    let nested = "  - kind: html\n    html: \"{% for a in products %}{% for b in products %}{% for c in products %}\
                  {% for d in products %}x{% endfor %}{% endfor %}{% endfor %}{% endfor %}\"";
    let template = compile(nested, "Hello").map_err(|problems| problems[0].code.to_string());
    // Forty products to the fourth are too many already for the samples.
    assert_eq!(template.unwrap_err(), "template.fuel");
    for (expression, code) in [
        ("{{ 'x' * 100000000 }}", "template.fuel"),
        (
            "{{ name | replace('', name) | replace('', name) | replace('', name) | replace('', name) }}",
            "template.render",
        ),
    ] {
        let blocks = format!("  - kind: text\n    text: \"{expression}\"");
        assert_eq!(compile(&blocks, "Hello").unwrap_err()[0].code, code, "{expression}");
    }
}

#[test]
fn only_what_is_listed_can_be_used() {
    for (text, code, cure) in [
        ("{{ nmae }}", "template.unknown", "did you mean `name`?"),
        ("{{ name | uper }}", "template.filter", "did you mean `upper`?"),
        ("{{ name | safe }}", "template.filter", ""),
        ("{{ contact.frist_name }}", "field.unknown", "did you mean `first_name`?"),
        ("{{ name | date('lng') }}", "template.render", ""),
        ("{{ name | money }}", "template.render", ""),
        ("{{ range(10) }}", "template.unknown", ""),
        ("{{ name ", "template.expression", ""),
        ("{{ name + }}", "template.expression", ""),
        ("{% include 'x' %}", "template.tag", ""),
        ("[x](javascript:alert)", "template.link", ""),
        ("[x](/page)", "template.link", ""),
        ("[x](#unsubscrbe)", "template.link", "did you mean `#unsubscribe`?"),
    ] {
        let blocks = format!("  - kind: text\n    text: >-\n      {text}");
        let problems = compile(&blocks, "Hello").unwrap_err();
        assert_eq!(problems[0].code, code, "{text}: {problems:#?}");
        assert!(problems[0].cure.as_deref().unwrap_or_default().contains(cure), "{text}: {problems:#?}");
        assert_eq!(problems[0].file.as_deref(), Some("t.yaml"));
        if problems[0].code != "template.render" {
            assert!(problems[0].place.is_some(), "{problems:#?}");
        }
    }
}

#[test]
fn limits_hold_at_their_edge() {
    let with = |n: usize| {
        let blocks: String = (0..n).map(|_| "  - {kind: spacer}\n").collect();
        compile(blocks.trim_end(), "Hello").map(drop).map_err(|problems| problems[0].code.to_string())
    };
    assert_eq!(with(limits::BLOCKS_MAX - 1), Ok(()), "the footer counts too");
    assert_eq!(with(limits::BLOCKS_MAX), Err("template.blocks".into()));
    let grid = |rows: usize| {
        let block =
            format!("  - {{kind: products, products: products, desktop: {{rows: {rows}, columns: 1}}}}");
        compile(&block, "Hello").map(drop).map_err(|problems| problems[0].code.to_string())
    };
    assert_eq!(grid(limits::GRID_ROWS_MAX), Ok(()));
    assert_eq!(grid(limits::GRID_ROWS_MAX + 1), Err("template.number".into()));
    let template =
        compile("  - {kind: html, html: \"{% for p in products %}<i>{{ p.name }}</i>{% endfor %}\"}", "Hi")
            .unwrap();
    let many: Vec<Json> = (0..limits::PRODUCTS_MAX + 1).map(|i| json!({"name": i.to_string()})).collect();
    let html = render(&template, &json!({"products": many})).unwrap().html;
    assert_eq!(html.matches("<i>").count(), limits::PRODUCTS_MAX);
    let large = "x".repeat(limits::FILE_LEN_MAX + 1);
    assert_eq!(Document::parse(&large, "t.yaml").unwrap_err()[0].code, "template.file_too_large");
}
