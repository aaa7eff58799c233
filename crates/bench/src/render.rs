//! `relance bench render`: six-product mails of the campaign's up-selling template, from the frozen variables of the
//! outbox to the bytes that are handed to SMTP, on one core.

use delivery::{
    Mailbox,
    mime::{self, Content, Envelope, Unsubscribe},
};
use model::{Currency, Dice, Problems, Timestamp, Zone};
use serde_json::{Map, Value as Json, json};
use storage::outbox::MessageId;
use template::{CompileContext, Document, Links, RenderInput, Rendered, Template, Utm};

use crate::{Plan, Report, Stopwatch};

/// Mails when the plan does not say how many.
const SIZE_DEFAULT: u64 = 200_000;
/// Different contacts with their products, gone through in turn.
const CONTACTS: usize = 2_000;
/// The template that is measured.
const TEMPLATE: &str = include_str!("../../../examples/s0/templates/up-selling.yaml");
/// When the mails are made: 2026-11-22T08:00:00Z.
const AT: Timestamp = Timestamp(1_795_334_400 * Timestamp::SECOND);

/// Measures.
///
/// # Errors
/// What went wrong, in a sentence.
pub async fn run(plan: &Plan) -> Result<Report, String> {
    let size = plan.size.unwrap_or(SIZE_DEFAULT).max(1);
    let seed = plan.seed;
    tokio::task::spawn_blocking(move || measure(size, seed)).await.map_err(|error| error.to_string())?
}

fn measure(size: u64, seed: u64) -> Result<Report, String> {
    let said = |problems: Problems| problems.iter().map(|p| format!("{p}\n")).collect::<String>();
    let compiling = Stopwatch::start();
    let document = Document::parse(TEMPLATE, "up-selling.yaml").map_err(said)?;
    let template = Template::compile(&document, &CompileContext::default()).map_err(said)?;
    let compile_ms = compiling.elapsed().0 * 1e3;
    let frozen: Vec<String> = contacts(seed).iter().map(Json::to_string).collect();

    // Parts first, a tenth each, so that a slow part can be told.
    let part = (size / 10).max(1);
    let parsing = Stopwatch::start();
    for i in 0..part {
        let _ = parse(&frozen, i)?;
    }
    let parse_us = parsing.elapsed().0 * 1e6 / part as f64;
    let parsed: Vec<Json> = (0..frozen.len() as u64).map(|i| parse(&frozen, i)).collect::<Result<_, _>>()?;
    let rendering = Stopwatch::start();
    for i in 0..part {
        render(&template, &parsed[i as usize % parsed.len()], i)?;
    }
    let (render_seconds, _) = rendering.elapsed();

    let from = Mailbox::parse("Lanternwick <news@lanternwick.example.test>").map_err(|p| p.to_string())?;
    let mut bytes = 0_u64;
    let mut html = 0_u64;
    let whole = Stopwatch::start();
    for i in 0..size {
        let variables = parse(&frozen, i)?;
        let rendered = render(&template, &variables, i)?;
        html += rendered.html.len() as u64;
        bytes += encode(&rendered, &from, i)?.len() as u64;
    }
    let mut report = whole.report("render", size);
    for (key, value) in [
        ("rate_per_cpu_second", json!(size as f64 / report.cpu_seconds.max(1e-9))),
        ("compile_ms", json!(compile_ms)),
        ("parse_us", json!(parse_us)),
        ("render_us", json!(render_seconds * 1e6 / part as f64)),
        ("render_only_rate", json!(part as f64 / render_seconds.max(1e-9))),
        ("html_bytes", json!(html / size)),
        ("mail_bytes", json!(bytes / size)),
        ("variables_bytes", json!(frozen.iter().map(String::len).sum::<usize>() / frozen.len())),
        ("target_rate", json!(20_000)),
    ] {
        report.more.insert(key.to_owned(), value);
    }
    Ok(report)
}

fn parse(frozen: &[String], i: u64) -> Result<Json, String> {
    serde_json::from_str(&frozen[i as usize % frozen.len()]).map_err(|error| error.to_string())
}

fn render(template: &Template, variables: &Json, i: u64) -> Result<Rendered, String> {
    let token = format!("{i:x}-4fb2c19aa0d34e6b");
    let unsubscribe = format!("https://mail.lanternwick.example.test/u/{token}");
    let preferences = format!("https://mail.lanternwick.example.test/p/{token}");
    let view = format!("https://mail.lanternwick.example.test/v/{token}");
    let utm =
        Utm { source: "relance".into(), medium: "email".into(), campaign: "rfm-recommendations".into() };
    template
        .render(&RenderInput {
            variables,
            locale: if i % 4 == 3 { "fr-FR" } else { "en-GB" },
            zone: &Zone::UTC,
            currency: Currency::GBP,
            at: AT,
            links: Links {
                unsubscribe_url: &unsubscribe,
                preferences_url: &preferences,
                view_in_browser_url: &view,
                forward_url: "",
            },
            utm: Some(&utm),
            rewrite: None,
        })
        .map_err(|problem| problem.to_string())
}

fn encode(rendered: &Rendered, from: &Mailbox, i: u64) -> Result<Vec<u8>, String> {
    let content = Content { subject: &rendered.subject, html: &rendered.html, text: &rendered.text };
    let to = format!("contact{i}@example.test");
    let url = format!("https://mail.lanternwick.example.test/u/{i:x}-4fb2c19aa0d34e6b");
    let envelope = Envelope {
        from,
        reply_to: None,
        to_name: "",
        to: &to,
        id: MessageId::derive(1, i, 1, "mail_up", 0),
        decided_at: AT,
        date: AT,
        unsubscribe: Some(Unsubscribe { url: &url, mailto: None }),
        campaign: "rfm-recommendations/mail_up",
        transactional: false,
        token: "00000000000000000000000000000000ffffffffffffffff",
    };
    mime::build(&content, &envelope).map_err(|problem| problem.to_string())
}

const NAMES: [&str; 8] = ["Ann", "Béatrice", "Carl", "Dalia", "Émile", "Fiona", "Gwen", "Hélène"];
const THINGS: [&str; 12] = [
    "white hanging heart T-light holder",
    "Regency cakestand, three tiers",
    "jumbo bag red retrospot",
    "assorted colour bird ornament",
    "set of three cake tins \"pantry\"",
    "vintage Union Jack bunting",
    "hand warmer & cover, bird design",
    "popcorn holder",
    "rabbit night light",
    "wooden frame antique white",
    "paper chain kit 50's Christmas",
    "lunch bag black skull",
];

/// The frozen variables of the synthetic contacts.
fn contacts(seed: u64) -> Vec<Json> {
    let mut dice = Dice::new(seed);
    let mut pick = |n: usize| dice.below(n as u64) as usize;
    (0..CONTACTS)
        .map(|_| {
            let products: Vec<Json> = (0..6)
                .map(|_| {
                    let code = 20_000 + pick(5_000);
                    let mut product = Map::new();
                    product.insert("external_id".into(), json!(format!("{code}")));
                    product.insert("name".into(), json!(THINGS[pick(THINGS.len())]));
                    product.insert("url".into(), json!(format!("https://shop.example.test/p/{code}")));
                    product
                        .insert("image_url".into(), json!(format!("https://shop.example.test/i/{code}.png")));
                    let pence = 95 + pick(4_000);
                    product.insert("unit_price".into(), json!(pence as f64 / 100.0));
                    if pick(4) == 0 {
                        product.insert("original_price".into(), json!((pence + 200) as f64 / 100.0));
                    }
                    product.insert("currency".into(), json!("GBP"));
                    Json::Object(product)
                })
                .collect();
            json!({"name": NAMES[pick(NAMES.len())], "products": products})
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn measures_a_few_mails() {
        let plan = crate::Plan { size: Some(20), seed: 7, ..crate::Plan::default() };
        let report = super::run(&plan).await.unwrap();
        assert_eq!((report.bench, report.size), ("render", 20));
        assert!(report.more["html_bytes"].as_u64().is_some_and(|bytes| bytes > 5_000));
    }
}
