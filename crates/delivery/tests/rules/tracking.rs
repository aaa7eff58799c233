//! Links that are counted: rewritten at hand-over where the purpose says so, and nowhere else.

use delivery::Target;
use serde_json::Value;

use super::*;

const PURPOSES: &str = "
newsletter: {name: Newsletter}
quiet: {track: {opens: false, clicks: false}}
opens: {track: {clicks: false}}
recalls: {enforcement: none}
care: {enforcement: opt_out}
";

const MAIL: &str = r##"format: 1
template: rich
variables: {name: text, item: product}
subject: Hello
blocks:
  - {kind: header, text: Shop, link: "https://shop.example/", view_in_browser: true}
  - kind: text
    text: "Hello {{ name }}, [write](mailto:a@shop.example), [call](tel:+331234), [look](https://shop.example/look?a=b#c) or [tell a friend](#forward)"
  - {kind: button, text: Buy, link: "{{ item.url }}"}
  - {kind: footer, address: "Shop, 1 Lane"}
"##;

async fn world(text: &str) -> World {
    let world = World::new("").await;
    let rich = NewDefinition { kind: DefinitionKind::Template, slug: slug("rich"), content: MAIL.into() };
    let sms = "format: 1\ntemplate: sms\nchannel: sms\nvariables: {name: text}\ntext: \"Hi {{ name }}: https://shop.example/cart?id=1. STOP 36111\"\n";
    let sms = NewDefinition { kind: DefinitionKind::Template, slug: slug("sms"), content: sms.into() };
    let versions = world.store.save_definitions(vec![rich, sms], START).await.unwrap();
    assert_eq!(versions, [1, 2]);
    if !text.is_empty() {
        world.store.save_setting(policy::PURPOSES_SETTING.into(), text.into()).await.unwrap();
    }
    world
}

async fn mail(world: &World, contact: ContactId, purpose: &str) -> Option<Mail> {
    let mut message = world.message(contact, Channel::Email, purpose);
    let mut send = (*message.send).clone();
    (send.template, send.purpose) = (slug("rich"), slug(purpose));
    send.transactional = purpose == "transactional";
    message.send = Arc::new(send);
    message.variables =
        json!({"name": "Zoé", "item": {"name": "Lamp", "url": "https://shop.example/p/1"}}).to_string();
    world.store.insert_messages(vec![message]).await.unwrap();
    world.with(world.taker.clone()).await;
    world.taker.0.lock().unwrap().pop()
}

/// HTML and text of a mail as it travelled.
fn parts(mail: &Mail) -> (String, String) {
    let parsed = mail_parser::MessageParser::default().parse(&mail.bytes).unwrap();
    (parsed.body_html(0).unwrap().into_owned(), parsed.body_text(0).unwrap().into_owned())
}

/// With tokens replaced by what they say.
fn readable(text: &str) -> String {
    let links = Links::new("https://mail.shop.example", Keys::new([1; 32])).unwrap();
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("https://mail.shop.example/") {
        out.push_str(&rest[..at]);
        rest = &rest[at + "https://mail.shop.example/".len()..];
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || "/-_".contains(c))).unwrap_or(rest.len());
        let (path, token) = rest[..end].split_once('/').unwrap();
        match (links.verify_target(token), links.verify(token)) {
            (Ok(Target { name, url, .. }), _) => out.push_str(&format!("<<{path}: {name} → {url}>>")),
            (_, Ok(link)) => out.push_str(&format!("<<{path}: {:?} {}>>", link.kind, link.purpose)),
            _ => out.push_str(&format!("<<{path}: ?>>")),
        }
        rest = &rest[end..];
    }
    out + rest
}

/// The addresses of a page, in order.
fn addresses(html: &str) -> Vec<String> {
    let readable = readable(&html.replace("&amp;", "&"));
    let find = |name: &str| -> Vec<String> {
        readable
            .split(&format!("{name}=\""))
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect()
    };
    find(" href").into_iter().chain(find(" src")).collect()
}

#[tokio::test]
async fn a_mail_with_counted_links() {
    let world = world(PURPOSES).await;
    let ann = world.patch("ann", ConsentState::Subscribed).await;
    let mail = mail(&world, ann, "newsletter").await.unwrap();
    let (html, text) = parts(&mail);
    insta::assert_snapshot!("addresses", addresses(&html).join("\n"));
    insta::assert_snapshot!("text", readable(&text.replace("\r\n", "\n")));
    assert!(html.trim_end().ends_with("></body>\n</html>") || html.contains("border:0\"></body>"), "{html}");
    let head = String::from_utf8_lossy(&mail.bytes);
    assert!(head.contains("List-Unsubscribe:"), "the way out is no counted link");
    assert!(!head[..head.find("\r\n\r\n").unwrap()].contains("/c/"));
}

#[tokio::test]
async fn what_is_not_to_be_counted_is_left_as_it_is() {
    let world = world(PURPOSES).await;
    let ann = world.patch("ann", ConsentState::Subscribed).await;
    let patch = async |purpose: &str| {
        let mut batch = ImportBatch::new(world.clock.now());
        batch.contacts.push(ContactPatch {
            external_id: Some("ann".into()),
            consents: vec![Consent {
                purpose: slug(purpose),
                state: ConsentState::Subscribed,
                at: world.clock.now(),
                source: "test".into(),
                proof: String::new(),
            }],
            ..ContactPatch::default()
        });
        world.store.import(batch).await.unwrap();
    };
    for (purpose, opens, clicks) in [
        ("quiet", false, false),
        ("opens", true, false),
        ("unnamed", false, false),
        ("transactional", false, false),
        ("recalls", false, false),
        ("care", true, true),
    ] {
        if !matches!(purpose, "transactional" | "recalls" | "care") {
            patch(purpose).await;
        }
        let mail = mail(&world, ann, purpose).await.unwrap_or_else(|| panic!("{purpose} needs no answer"));
        let (html, _) = parts(&mail);
        assert_eq!((html.contains("/o/"), html.contains("/c/")), (opens, clicks), "{purpose}");
        let head = String::from_utf8_lossy(&mail.bytes).into_owned();
        let refusable = !matches!(purpose, "transactional" | "recalls");
        assert_eq!(head.contains("List-Unsubscribe"), refusable, "{purpose}");
        if purpose == "recalls" {
            assert!(!html.contains("/u/"), "a link that changes nothing would be a lie");
        }
    }
}

#[tokio::test]
async fn without_the_setting_nothing_is_counted() {
    let world = world("").await;
    let ann = world.patch("ann", ConsentState::Subscribed).await;
    let (html, text) = parts(&mail(&world, ann, "newsletter").await.unwrap());
    assert!(!html.contains("/c/") && !html.contains("/o/") && !text.contains("/c/"), "{html}");
}

#[tokio::test]
async fn text_messages_and_push_are_counted_too() {
    let world = world(PURPOSES).await;
    let ann = world.patch("ann", ConsentState::Subscribed).await;
    let mut sms = world.message(ann, Channel::Sms, "a");
    let mut send = (*sms.send).clone();
    send.template_version = 2;
    sms.send = Arc::new(send);
    let push = world.message(ann, Channel::WebPush, "b");
    let (sms_id, push_id) = (sms.id, push.id);
    world.store.insert_messages(vec![sms, push]).await.unwrap();
    world.with(world.taker.clone()).await;
    let mails = std::mem::take(&mut *world.taker.0.lock().unwrap());
    let links = Links::new("https://mail.shop.example", Keys::new([1; 32])).unwrap();
    let code = links.short_code(sms_id, 0);
    let text = mails.iter().find(|mail| mail.id == sms_id).unwrap();
    assert_eq!(text.text, format!("Hi Zoé: https://mail.shop.example/s/{code}. STOP 36111"));
    assert_eq!(String::from_utf8_lossy(&text.bytes), text.text);
    use storage::consents::ConsentStore;
    let stored = world.store.load_short_link(code).await.unwrap().unwrap();
    assert_eq!((stored.message, stored.url.as_str()), (sms_id, "https://shop.example/cart?id=1"));
    let push = mails.iter().find(|mail| mail.id == push_id).unwrap();
    let body: Value = serde_json::from_slice(&push.bytes).unwrap();
    let token = body["url"].as_str().unwrap().strip_prefix("https://mail.shop.example/c/").unwrap();
    let target = links.verify_target(token).unwrap();
    assert!(target.push && target.url.starts_with("https://s.example/?utm_source=relance"), "{target:?}");
}
