//! The nodes that send: what they ask of the rules, what they decide, and what their files may say.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use journey::{
    Beside, Document, Entry, FrozenProducts, Journey, Person, Progress, Run, World, advance, check::Content,
    compile,
};
use model::{Channel, Consent, ConsentState, Contact, ContactId, Currency, Slug, Timestamp, Zone};
use policy::{PastSend, SendingRules};
use recommend::Catalogue;
use template::{CompileContext, Document as Page, Template};

const NOW: Timestamp = Timestamp(1_780_000_000_000_000); // 20:26 UTC, 22:26 in Paris

fn beside() -> Beside {
    let pages = [
        ("mail", "format: 1\ntemplate: mail\nsubject: Hi\nblocks: [{kind: text, text: Hi}]\n"),
        (
            "sms",
            "format: 1\ntemplate: sms\nchannel: sms\nvariables: {name: text}\ntext: \"Hi {{ name }}!\"\n",
        ),
        ("push", "format: 1\ntemplate: push\nchannel: push\ntitle: Hi\nbody: Hi\nexpires_after: PT4H\n"),
    ];
    let compiled = pages.map(|(name, text)| {
        let page = Page::parse(text, "t.yaml").unwrap_or_else(|problems| panic!("{problems:?}"));
        let template =
            Template::compile(&page, &CompileContext::default()).unwrap_or_else(|p| panic!("{p:?}"));
        (name.to_owned(), Content::Ready(Arc::new(template)))
    });
    Beside { templates: BTreeMap::from(compiled), ..Beside::default() }
}

fn read(node: &str) -> Result<Journey, Vec<model::Problem>> {
    let text = format!(
        "format: 1\njourney: j\nname: j\naudience: {{who: all, source: existing}}\nnodes:\n  n: {{{node}}}\n\
         links:\n  - {{from: start, to: n}}\n"
    );
    let document = Document::parse(&text, "journey.yaml")?;
    compile(&document, &beside()).map(|(journey, _)| journey)
}

fn person(sends: &[(Channel, i64)]) -> Person {
    let consent = Consent {
        purpose: Slug::parse("newsletter").unwrap(),
        state: ConsentState::Subscribed,
        at: NOW,
        source: "test".into(),
        proof: String::new(),
    };
    let contact = Contact {
        id: ContactId(1),
        email: Some("a@example.test".into()),
        phone: Some("+33612345678".into()),
        first_name: Some("Ann".into()),
        time_zone: Some("Europe/Paris".into()),
        consents: vec![consent],
        ..Contact::default()
    };
    let sends = sends.iter().map(|(channel, hours)| PastSend {
        channel: *channel,
        purpose: "newsletter".into(),
        at: NOW.plus(-hours * Timestamp::HOUR),
    });
    Person { contact, sends: sends.collect(), push: 1, ..Person::default() }
}

/// What a node decides: its trace, and the message.
fn decided(node: &str, rules: &str, person: Person) -> String {
    let journey = read(node).unwrap_or_else(|problems| panic!("{problems:?}"));
    let catalogue = Catalogue::new(Vec::new(), Vec::new(), NOW);
    let frozen = FrozenProducts::new(&catalogue, Currency::EUR);
    let rules = SendingRules::parse(rules).unwrap();
    let utc = Zone::UTC;
    let world = World {
        journey: &journey,
        catalogue: &catalogue,
        frozen: &frozen,
        defaults: &[],
        now: NOW,
        zone: &utc,
        seed: 1,
        run: 1,
        sending: &rules,
        winners: &[],
        paused: false,
    };
    let mut run = Run::new(person, Entry::first(NOW));
    assert_eq!(advance(&mut run, &world), Progress::Done);
    let effects = run.finish().effects;
    let mut out = format!("{:?}", effects.trace.last().unwrap().detail);
    for message in effects.messages {
        let instant = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let (from, to) = (instant(message.not_before), instant(message.expires_at));
        write!(out, " {} {from} {to}", message.variables).unwrap();
    }
    out
}

#[test]
fn each_channel_asks_the_rules() {
    let mail = "kind: send_email, template: mail, purpose: newsletter";
    let sms = "kind: send_sms, template: sms, purpose: newsletter/tips, variables: {name: {ref: contact.first_name}}";
    let push = "kind: send_push, template: push, purpose: newsletter";
    let cap = "caps: [{channel: email, most: 1, within: P1D}]";
    let quiet = "quiet_hours: [{channel: sms, country: FR, hours: {from: \"22:00\", to: \"08:00\"}}]";
    let hour_ago: &[(Channel, i64)] = &[(Channel::Email, 1)];
    let mut table = String::new();
    for (node, rules, sends) in [
        (mail.to_owned(), "", hour_ago),
        (mail.to_owned(), cap, hour_ago),
        (format!("{mail}, ignore_caps: true"), cap, hour_ago),
        (format!("{mail}, smart_sending: true"), "", hour_ago),
        (format!("{mail}, smart_sending: PT1H"), "", hour_ago),
        (format!("{mail}, smart_sending: false"), "smart_sending: true", hour_ago),
        (format!("{mail}, skip_duplicates: true, expires_after: PT2H"), "", hour_ago),
        (format!("{mail}, to: staff@example.test"), cap, hour_ago),
        (sms.to_owned(), quiet, hour_ago),
        (format!("{sms}, expires_after: PT2H"), quiet, hour_ago),
        (push.to_owned(), quiet, hour_ago),
        (format!("{push}, expires_after: PT1H"), "", hour_ago),
        ("kind: send_push, template: push, purpose: partners".to_owned(), "", hour_ago),
    ] {
        writeln!(table, "{node} | {rules}\n    {}", decided(&node, rules, person(sends))).unwrap();
    }
    let nowhere = Person { push: 0, ..person(&[]) };
    writeln!(table, "without a browser: {}", decided(push, "", nowhere)).unwrap();
    let suppressed = Person { suppressed_on: vec![Channel::Sms], ..person(&[]) };
    writeln!(table, "number suppressed: {}", decided(sms, "", suppressed)).unwrap();
    insta::assert_snapshot!(table, @r#"
    kind: send_email, template: mail, purpose: newsletter | 
        None {} - -
    kind: send_email, template: mail, purpose: newsletter | caps: [{channel: email, most: 1, within: P1D}]
        Refused(FrequencyCap)
    kind: send_email, template: mail, purpose: newsletter, ignore_caps: true | caps: [{channel: email, most: 1, within: P1D}]
        None {"_send":{"ignore_caps":true}} - -
    kind: send_email, template: mail, purpose: newsletter, smart_sending: true | 
        Refused(SentRecently)
    kind: send_email, template: mail, purpose: newsletter, smart_sending: PT1H | 
        None {"_send":{"smart":3600000000}} - -
    kind: send_email, template: mail, purpose: newsletter, smart_sending: false | smart_sending: true
        None {"_send":{"smart":false}} - -
    kind: send_email, template: mail, purpose: newsletter, skip_duplicates: true, expires_after: PT2H | 
        None {"_send":{"skip_duplicates":true}} - 2026-05-28T22:26:40Z
    kind: send_email, template: mail, purpose: newsletter, to: staff@example.test | caps: [{channel: email, most: 1, within: P1D}]
        None {} - -
    kind: send_sms, template: sms, purpose: newsletter/tips, variables: {name: {ref: contact.first_name}} | quiet_hours: [{channel: sms, country: FR, hours: {from: "22:00", to: "08:00"}}]
        Until(Timestamp(1780034400000000)) {"name":"Ann"} 2026-05-29T06:00:00Z -
    kind: send_sms, template: sms, purpose: newsletter/tips, variables: {name: {ref: contact.first_name}}, expires_after: PT2H | quiet_hours: [{channel: sms, country: FR, hours: {from: "22:00", to: "08:00"}}]
        Refused(Expired)
    kind: send_push, template: push, purpose: newsletter | quiet_hours: [{channel: sms, country: FR, hours: {from: "22:00", to: "08:00"}}]
        None {} - 2026-05-29T00:26:40Z
    kind: send_push, template: push, purpose: newsletter, expires_after: PT1H | 
        None {} - 2026-05-28T21:26:40Z
    kind: send_push, template: push, purpose: partners | 
        Refused(NotSubscribed)
    without a browser: Refused(MissingAddress)
    number suppressed: Refused(Suppressed)
    "#);
}

#[test]
fn names_what_is_wrong_in_a_file() {
    for (node, code) in [
        ("kind: send_sms, template: mail, purpose: newsletter", "journey.template_channel"),
        ("kind: send_email, template: push, purpose: newsletter", "journey.template_channel"),
        ("kind: send_push, template: pusch, purpose: newsletter", "journey.unknown_template"),
        ("kind: send_sms, template: sms, purpose: newsletter", "journey.missing_variable"),
        ("kind: send_sms, template: sms, purpose: newsletter, to: contact", "doc.unknown_key"),
        ("kind: send_email, template: mail, purpose: a/b/c", "slug.invalid"),
        ("kind: send_email, template: mail, purpose: a, smart_sending: often", "journey.period"),
        ("kind: send_email, template: mail, purpose: a, smart_sending: P32D", "journey.period"),
        ("kind: send_email, template: mail, purpose: a, expires_after: P91D", "journey.period"),
        ("kind: send_email, template: mail, purpose: a, ignore_caps: sometimes", "doc.type"),
    ] {
        let codes: Vec<String> =
            read(node).err().into_iter().flatten().map(|problem| problem.code.to_string()).collect();
        assert!(codes.iter().any(|found| found == code), "{node}: {codes:?}");
    }
    for node in [
        "kind: send_email, template: mail, purpose: a, smart_sending: P31D",
        "kind: send_email, template: mail, purpose: a/b, expires_after: P90D",
    ] {
        assert!(read(node).is_ok(), "{node}: {:?}", read(node).err());
    }
}
