//! Templates of text messages and push.

use model::{Channel, Currency, Timestamp, Zone};
use serde_json::{Value as Json, json};
use template::{CompileContext, Document, Links, RenderInput, Rendered, Template, Utm};

const SMS: &str = r#"
format: 1
template: cart-sms
channel: sms
languages: [en, fr]
variables:
  name: {type: text, default: {en: there, fr: à vous}}
  cart: cart
text:
  en: "Hi {{ name }}, your cart of {{ cart.total | money }} waits: {{ cart.recovery_url }} STOP to 36111"
  fr: "Bonjour {{ name }}, votre panier de {{ cart.total | money }} vous attend : {{ cart.recovery_url }} STOP au 36111"
"#;

const PUSH: &str = r#"
format: 1
template: back-in-stock
channel: push
variables: {item: product, link: {type: url, optional: true}}
title: "{{ item.name | default(\"Your product\") }} is back"
body: "Only a few left & going fast"
icon: https://shop.example/icon.png?a=1&b=2
url: "https://shop.example/p?q={{ item.name }}&r=1"
expires_after: PT4H
"#;

fn compile(text: &str) -> Result<Template, Vec<model::Problem>> {
    Template::compile(&Document::parse(text, "t.yaml")?, &CompileContext::default())
}

fn render(text: &str, variables: &Json, locale: &str) -> Rendered {
    let utm = Utm { source: "relance".into(), medium: "push".into(), campaign: "j".into() };
    let input = RenderInput {
        variables,
        locale,
        zone: &Zone::UTC,
        currency: Currency::EUR,
        at: Timestamp(0),
        links: Links::default(),
        utm: Some(&utm),
        rewrite: Some(&|link| Some(format!("https://m.example/c?u={}", link.url.len()))),
    };
    compile(text).unwrap().render(&input).unwrap()
}

#[test]
fn a_text_message_is_plain_text_in_the_contacts_language() {
    let variables = json!({"name": "Zoë & <Co>", "cart": {"total": 42.5, "recovery_url": "https://s.example/c/1?a=1&b=2"}});
    let rendered = render(SMS, &variables, "fr-FR");
    assert_eq!(
        rendered.text,
        "Bonjour Zoë & <Co>, votre panier de 42,50\u{a0}€ vous attend : https://s.example/c/1?a=1&b=2 STOP au 36111"
    );
    assert_eq!((rendered.html.as_str(), rendered.subject.as_str(), rendered.url.as_str()), ("", "", ""));
    assert_eq!(compile(SMS).unwrap().channel(), Channel::Sms);
}

#[test]
fn the_check_says_how_many_messages_are_paid_for() {
    let said = |text: &str| -> Vec<String> {
        let text = format!("format: 1\ntemplate: t\nchannel: sms\ntext: \"{text}\"\n");
        let template = compile(&text).unwrap();
        template.warnings().iter().map(|warning| warning.message.clone()).collect()
    };
    assert!(said(&"a".repeat(160)).is_empty());
    assert_eq!(said(&"a".repeat(161)), ["the text message has 161 characters, 2 messages (GSM-7) in en"]);
    assert_eq!(said(&"ê".repeat(71)), ["the text message has 71 characters, 2 messages (UCS-2) in en"]);
    let long = |n: usize| format!("format: 1\ntemplate: t\nchannel: sms\ntext: \"{}\"\n", "a".repeat(n));
    assert!(compile(&long(1_530)).is_ok());
    assert_eq!(compile(&long(1_531)).unwrap_err()[0].code, "template.too_large");
}

#[test]
fn a_push_has_title_text_picture_address_and_an_expiry() {
    let rendered = render(PUSH, &json!({"item": {"name": "Tea & <b>"}}), "en");
    assert_eq!(rendered.subject, "Tea & <b> is back");
    assert_eq!(rendered.text, "Only a few left & going fast");
    assert_eq!(
        rendered.icon, "https://shop.example/icon.png?a=1&b=2",
        "no campaign, no counting, no escaping"
    );
    let url =
        "https://shop.example/p?q=Tea%20%26%20%3Cb%3E&r=1&utm_source=relance&utm_medium=push&utm_campaign=j";
    assert_eq!(rendered.url, format!("https://m.example/c?u={}", url.len() + "&utm_content=push".len()));
    let template = compile(PUSH).unwrap();
    assert_eq!((template.channel(), template.expires_after()), (Channel::WebPush, Some(4 * Timestamp::HOUR)));
}

#[test]
fn names_what_is_wrong() {
    for (text, code) in [
        ("channel: fax\ntext: a", "template.word"),
        ("channel: sms", "doc.missing"),
        ("channel: sms\ntext: \"\"", "template.empty"),
        ("channel: sms\ntext: a\nsubject: b", "doc.unknown_key"),
        ("channel: sms\ntext: \"{{ nmae }}\"", "template.unknown"),
        ("channel: sms\nvariables: {name: text}\ntext: \"{{ name }}\"", "template.text"),
        ("channel: push\ntitle: a", "doc.missing"),
        ("channel: push\ntitle: a\nbody: b\nurl: javascript:alert(1)", "template.link"),
        ("channel: push\ntitle: a\nbody: b\nicon: mailto:a@b.example", "template.link"),
        ("channel: push\ntitle: a\nbody: b\nexpires_after: P29D", "template.expiry"),
    ] {
        let problems = compile(&format!("format: 1\ntemplate: t\n{text}\n")).err();
        let codes: Vec<String> =
            problems.into_iter().flatten().map(|problem| problem.code.to_string()).collect();
        assert!(codes.iter().any(|found| found == code), "{text}: {codes:?}");
    }
}
