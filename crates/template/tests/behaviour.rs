//! What blocks do with data: show/hide, grids of every shape, carts, links, formats, languages.

use std::sync::Mutex;

use model::{Currency, Problems, Timestamp, Value, Zone};
use serde_json::{Value as Json, json};
use template::{CompileContext, Document, Link, Links, RenderInput, Rendered, Template, Utm};

fn compile(head: &str, blocks: &str) -> Result<Template, Problems> {
    let text = format!("format: 1\ntemplate: t\n{head}\nblocks:\n{blocks}\n");
    Template::compile(&Document::parse(&text, "t.yaml")?, &CompileContext::default())
}

fn good(head: &str, blocks: &str) -> Template {
    compile(head, blocks).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

static UTC: Zone = Zone::UTC;

fn input<'a>(variables: &'a Json, locale: &'a str) -> RenderInput<'a> {
    RenderInput {
        variables,
        locale,
        zone: &UTC,
        currency: Currency::GBP,
        at: Timestamp(1_795_334_400 * Timestamp::SECOND),
        links: Links {
            unsubscribe_url: "https://own.test/u",
            preferences_url: "https://own.test/p",
            view_in_browser_url: "https://own.test/v",
            forward_url: "",
        },
        utm: None,
        rewrite: None,
    }
}

fn render(template: &Template, variables: &Json) -> Rendered {
    template.render(&input(variables, "en-GB")).unwrap()
}

fn products(n: usize) -> Json {
    (0..n).map(|i| json!({"external_id": i.to_string(), "name": format!("P{i}."), "unit_price": 1})).collect()
}

const PRODUCTS: &str = "subject: Hello\nvariables: {products: products}";

#[test]
fn blocks_show_and_hide() {
    let conditions = [
        ("{field: country, is: france}", "country"),
        ("{rfm: {model: classic-11, group: champions}}", "champion"),
        ("{segment: rfm-high}", "segment"),
        ("{list: vip}", "list"),
        ("{consent: newsletter, is: subscribed}", "consent"),
        ("{ref: variables.products, has_value: true}", "products"),
        ("{ref: variables.products.count, at_least: 3}", "three"),
        ("{not: {field: order_count, greater_than: 1}}", "newcomer"),
        ("{field: last_order_at, within_last: P7D}", "recent"),
        ("{any: [{field: country, is: spain}, {ref: variables.products, has_value: false}]}", "nothing"),
    ];
    let blocks: String = conditions
        .iter()
        .map(|(show, word)| format!("  - {{kind: text, text: \"<{word}>\", show: {show}}}\n"))
        .collect();
    let template = good(PRODUCTS, &blocks);
    let reads = template.reads();
    let fields: Vec<&str> = reads.fields.iter().map(String::as_str).collect();
    assert_eq!(fields, ["country", "last_order_at", "order_count"]);
    assert!(reads.segments.contains("rfm-high") && reads.lists.contains("vip") && reads.time);
    assert!(reads.purposes.contains("newsletter") && reads.rfm_models.contains("classic-11"));

    let shown = |variables: &Json| -> Vec<&str> {
        let rendered = render(&template, variables);
        let words = conditions.iter().map(|(_, word)| *word);
        words
            .filter(|word| {
                let in_html = rendered.html.contains(&format!("&lt;{word}&gt;"));
                assert_eq!(in_html, rendered.text.contains(&format!("<{word}>")), "{word}");
                in_html
            })
            .collect()
    };
    let placement = model::RfmPlacement {
        model: "classic-11".into(),
        recency: 5,
        frequency: 5,
        monetary: 5,
        group: "champions".into(),
        previous_group: None,
        since: Timestamp(0),
    };
    let seventh = Timestamp(1_795_334_400 * Timestamp::SECOND - 3 * Timestamp::DAY);
    let contact = template::variables::contact(
        [
            ("country", Value::Text("France".into())),
            ("order_count", Value::Integer(4)),
            ("last_order_at", Value::Instant(seventh)),
        ],
        &["rfm-high".into()],
        &["vip".into()],
        [("newsletter", model::ConsentState::Subscribed)],
        &[placement],
    );
    let all = json!({"products": products(3), "contact": contact});
    assert_eq!(
        shown(&all),
        ["country", "champion", "segment", "list", "consent", "products", "three", "recent"]
    );
    assert_eq!(shown(&json!({})), ["newcomer", "nothing"]);
    assert_eq!(shown(&json!({"products": products(2)})), ["products", "newcomer"]);

    for (show, code) in [
        ("{field: contry, is: x}", "field.unknown"),
        ("{ref: variables.prodcts, has_value: true}", "ref.unknown"),
        ("{field: order_count, contains: x}", "condition.operator"),
        ("{did: Order Completed}", "condition.not_here"),
    ] {
        let problems = compile(PRODUCTS, &format!("  - {{kind: text, text: x, show: {show}}}")).unwrap_err();
        assert_eq!(problems[0].code, code, "{show}: {problems:#?}");
        assert!(problems[0].place.is_some(), "{problems:#?}");
    }
}

/// `(desktop, mobile)` shapes, whether incomplete rows show, products → cards seen on a desktop, on a phone.
#[test]
fn grids_of_every_shape() {
    for (desktop, mobile, incomplete, n, on_desktop, on_mobile) in [
        ((2, 3), (3, 2), true, 6, 6, 6),
        ((2, 3), (3, 2), true, 5, 5, 5),
        ((2, 3), (3, 2), false, 5, 3, 4),
        ((2, 3), (3, 2), false, 2, 0, 2),
        ((1, 4), (3, 1), true, 9, 4, 3),
        ((1, 2), (5, 1), true, 9, 2, 5),
        ((2, 3), (3, 2), true, 0, 0, 0),
    ] {
        let block = format!(
            "  - {{kind: products, products: products, desktop: {{rows: {}, columns: {}}}, mobile: {{rows: {}, columns: \
             {}}}, incomplete_rows: {incomplete}}}",
            desktop.0, desktop.1, mobile.0, mobile.1
        );
        let html = render(&good(PRODUCTS, &block), &json!({"products": products(n)})).html;
        let class = format!("class=\"r-{}", desktop.1);
        let (all, desktop_only, mobile_only) = (
            html.matches(&class).count(),
            html.matches(&format!("{class} r-do\" style=\"display:none")).count(),
            html.matches(&format!("{class} r-mo\" style=\"display:inline-block")).count(),
        );
        assert_eq!(
            (all - mobile_only, all - desktop_only),
            (on_desktop, on_mobile),
            "{desktop:?} {mobile:?} of {n}"
        );
        assert_eq!(
            html.matches("<!--[if mso]>").count(),
            html.matches("<![endif]-->").count()
                - html.matches("<!--[if mso | IE]>").count()
                - html.matches("<!--[if !mso]>").count()
                - html.matches("<!--[if lte mso 11]>").count(),
            "Outlook's comments are closed"
        );
    }
}

#[test]
fn a_whole_card_is_one_link_and_pictures_stand_beside() {
    let json =
        json!({"products": [{"name": "P", "url": "https://x.test/p", "unit_price": 2, "original_price": 4}]});
    let whole = "  - {kind: products, products: products, whole_card: true, button: Go}";
    let html = render(&good(PRODUCTS, whole), &json).html;
    assert_eq!(html.matches("<a href=\"https://x.test/p\"").count(), 1);
    assert!(html.contains(">P</span>") && html.contains("-50%") && html.contains("<s "));
    let beside = "  - {kind: products, products: products, layout: image_right}";
    let html = render(&good(PRODUCTS, beside), &json).html;
    let (words, picture) = (html.find(">P</a>").unwrap(), html.find("width=\"40%\"").unwrap());
    assert!(words < picture);
}

#[test]
fn a_cart_with_its_total_and_the_way_back() {
    let block = "  - {kind: cart, cart: basket, products: 2, title: Still there}";
    let template = good("subject: Hello\nvariables: {basket: {type: cart, optional: true}}", block);
    let line =
        |i: u32| json!({"name": format!("P{i}."), "unit_price": 2.5, "quantity": i, "currency": "EUR"});
    let lines: Vec<Json> = (1..=4).map(line).collect();
    let cart = json!({"id": "c", "total": 25, "currency": "EUR", "lines": lines, "recovery_url": "https://x.test/c"});
    let rendered = render(&template, &json!({ "basket": cart }));
    for part in ["P1.", "P2.", "€2.50", "and 2 more", "€25.00", "https://x.test/c", "Still there"] {
        assert!(rendered.html.contains(part) && rendered.text.contains(part), "{part}");
    }
    assert!(!rendered.html.contains("P3."));
    for empty in [json!({}), json!({"basket": {"total": 0, "lines": []}}), json!({"basket": null})] {
        let rendered = render(&template, &empty);
        assert!(
            !rendered.html.contains("Still there") && !rendered.text.contains("Back to my basket"),
            "{empty}"
        );
    }
}

#[test]
fn links_get_parameters_and_can_be_counted() {
    let blocks = "  - {kind: header, text: Shop, link: \"https://x.test/?a=1#top\", view_in_browser: true}\n  \
                  - {kind: text, text: \"[one](https://x.test/1) [two](https://x.test/2 \\\"Second\\\") [mail](mailto:a@x.test) [out](#unsubscribe)\"}\n  \
                  - {kind: html, html: \"<a href='https://x.test/raw'>raw</a>{% for p in products %}<a href='{{ p.url }}'>p</a>{% endfor %}\"}\n  \
                  - {kind: products, products: products}\n  - {kind: footer, address: Here}";
    let template = good(PRODUCTS, blocks);
    let variables = json!({"products": [{"external_id": "7", "name": "A & B", "url": "https://x.test/p"}]});
    let utm = Utm { source: "s".into(), medium: "m".into(), campaign: "c".into() };
    let seen = Mutex::new(Vec::new());
    let count = |link: &Link<'_>| {
        seen.lock().unwrap().push((link.number, link.content.to_owned(), link.product.map(str::to_owned)));
        link.url.contains("/2").then(|| "https://click.test/2".to_owned())
    };
    let rendered = template
        .render(&RenderInput { utm: Some(&utm), rewrite: Some(&count), ..input(&variables, "en-GB") })
        .unwrap();
    for part in [
        "https://x.test/?a=1&amp;utm_source=s&amp;utm_medium=m&amp;utm_campaign=c&amp;utm_content=Shop#top\"",
        "https://x.test/1?utm_source=s&amp;utm_medium=m&amp;utm_campaign=c&amp;utm_content=one\"",
        "href=\"https://click.test/2\"",
        "href=\"mailto:a@x.test\"",
        "href=\"https://own.test/u\"",
        "href=\"https://own.test/v\"",
        "https://x.test/raw?utm_source=s",
        "href='https://x.test/p?utm_source=s",
        "https://x.test/p?utm_source=s&amp;utm_medium=m&amp;utm_campaign=c&amp;utm_content=A%20%26%20B\"",
    ] {
        assert!(rendered.html.contains(part), "{part}\n{}", rendered.html);
    }
    assert!(rendered.text.contains("two (https://click.test/2)"), "{}", rendered.text);
    let seen = seen.into_inner().unwrap();
    let contents: Vec<&str> = seen.iter().map(|(_, content, _)| content.as_str()).collect();
    assert_eq!(contents, ["Shop", "one", "Second", "", "A & B"]);
    assert_eq!(seen.last().unwrap().2.as_deref(), Some("7"));
    let without = render(&template, &variables);
    assert!(!without.html.contains("utm_"), "no parameters unless asked for");
}

#[test]
fn values_are_written_as_the_contact_writes_them() {
    let head = "languages: [en, fr]\nsubject: {en: Hi, fr: Salut}\nvariables:\n  price: {type: money, default: 5}\n  \
                day: {type: date, optional: true}\n  share: {type: number, default: 0.25}";
    let text = "{{ price | money }}|{{ price | money('JPY') }}|{{ day | date }}|{{ day | date('short') }}|{{ day | time }}|\
                {{ share | percent }}|{{ 1234567.5 | number }}|{{ 'ab' | upper }}|{{ today | date }}|{{ contact.first_name | default('you') }}";
    let template = good(head, &format!("  - kind: text\n    text: \"{text}\""));
    let variables = json!({"price": "1234.5", "day": "2026-03-05T23:30:00Z"});
    let zone = Zone::parse("Europe/Paris").unwrap();
    let of = |locale: &str, variables: &Json| {
        let rendered = template.render(&RenderInput { zone: &zone, ..input(variables, locale) }).unwrap();
        (rendered.subject, rendered.text.trim().to_owned())
    };
    assert_eq!(
        of("en-GB", &variables).1,
        "£1,234.50|JP¥1,235|6 March 2026|06/03/2026|00:30|25%|1,234,567.5|AB|22 November 2026|you"
    );
    let (subject, text) = of("fr-CA", &variables);
    assert_eq!(subject, "Salut");
    assert!(text.starts_with("1\u{a0}234,50\u{a0}£|1\u{a0}235\u{a0}¥|6 mars 2026|2026-03-06|"), "{text}");
    // A language that the template does not have: its first one, with the contact's formats.
    let (subject, text) = of("de-DE", &json!({}));
    assert_eq!(subject, "Hi");
    assert!(text.starts_with("5,00\u{a0}£|5\u{a0}¥||||25\u{a0}%|"), "{text}");
}

#[test]
fn mistakes_have_a_place_and_a_cure() {
    let blocks = "  - {kind: text, text: Hello}";
    for (text, code, line, cure) in [
        ("format: 2\ntemplate: t\nsubject: x\nblocks: []", "template.format", None, "format: 1"),
        ("format: 1\ntemplate: t\nsubjct: x\nblocks: []", "doc.missing", Some(1), ""),
        (
            "format: 1\ntemplate: t\nsubject: x\nblocks:\n  - {kind: texte, text: x}",
            "template.word",
            Some(5),
            "`text`",
        ),
        ("format: 1\ntemplate: t\nsubject: x\nblocks:\n  - {kind: text, txt: x}", "doc.missing", Some(5), ""),
        (
            "format: 1\ntemplate: t\nsubject: x\nblocks:\n  - {kind: image, src: \"https://x.test/i.png\"}",
            "template.alt",
            Some(5),
            "alt",
        ),
        (
            "format: 1\ntemplate: t\nlanguages: [en, fr]\nsubject: {en: x}\nblocks: []",
            "template.translation",
            Some(4),
            "",
        ),
        (
            "format: 1\ntemplate: t\nsubject: x\ntheme: {accent: green}\nblocks: []",
            "template.color",
            Some(4),
            "#1f6f5c",
        ),
        (
            "format: 1\ntemplate: t\nsubject: x\nvariables: {a b: text}\nblocks: []",
            "template.variable",
            Some(4),
            "",
        ),
        (
            "format: 1\ntemplate: t\nsubject: x\nvariables: {a: txt}\nblocks: []",
            "template.word",
            Some(4),
            "`text`",
        ),
        ("a: [", "doc.syntax", Some(2), ""),
    ] {
        let problems = Document::parse(text, "t.yaml").unwrap_err();
        assert_eq!(problems[0].code, code, "{text}: {problems:#?}");
        assert_eq!(problems[0].file.as_deref(), Some("t.yaml"));
        if let Some(line) = line {
            assert_eq!(problems[0].place.map(|place| place.line), Some(line), "{text}: {problems:#?}");
        }
        assert!(problems[0].cure.as_deref().unwrap_or_default().contains(cure), "{text}: {problems:#?}");
    }
    let template = good("subject: x\nvariables: {spare: {type: text, optional: true}}", blocks);
    let codes: Vec<&str> = template.warnings().iter().map(|problem| problem.code.as_ref()).collect();
    assert_eq!(codes, ["template.unsubscribe", "template.unused"]);
    let empty = compile("subject: \"{{ name }}\"\nvariables: {name: {type: text, optional: true}}", blocks)
        .unwrap_err();
    assert_eq!(empty[0].code, "template.subject");
    let wrong =
        compile("subject: x\nvariables: {name: text}", "  - {kind: products, products: name}").unwrap_err();
    assert_eq!(wrong[0].code, "template.unknown");
}

#[test]
fn what_a_step_must_map() {
    let head = "subject: x\nvariables:\n  a: text\n  b: {type: text, default: x}\n  c: {type: text, optional: true}\n  d: products";
    let template = good(head, "  - kind: text\n    text: \"{{ a }}{{ b }}{{ c }}{{ d | length }}\"");
    let required: Vec<&str> = template
        .variables()
        .iter()
        .filter(|variable| variable.required)
        .map(|variable| variable.name.as_str())
        .collect();
    assert_eq!(required, ["a"]);
}

#[test]
fn a_published_version_outlives_its_fields() {
    let text = "format: 1\ntemplate: t\nsubject: \"{{ contact.shoe_size }} x\"\nblocks:\n  \
                - {kind: text, text: large, show: {field: shoe_size, at_least: 45}}\n  \
                - {kind: text, text: red, show: {field: colours, includes_any: [red]}}";
    let document = Document::parse(text, "t.yaml").unwrap();
    assert!(Template::compile(&document, &CompileContext::default()).is_err());
    let template = Template::compile(&document, &CompileContext::published(Currency::GBP)).unwrap();
    let rendered = render(&template, &json!({"contact": {"shoe_size": 46, "colours": ["blue", "red"]}}));
    assert!(rendered.text.contains("large") && rendered.text.contains("red") && rendered.subject == "46 x");
}
