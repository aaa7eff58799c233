//! Consents with their proof, and what links remember. The rules are those of docs/consent.md and docs/links.md.

use std::sync::Arc;

use model::{Channel, ConsentState, ContactId, MessageId, Slug, Timestamp, event::kind};
use serde_json::{Map, json};
use storage::{
    audit::Deed,
    consents::{
        ASK_AGAIN_AFTER, ASKS_MAX, ASKS_WITHIN, Answers, Click, Confirmed, ConsentStep, ConsentStore,
        Forward, Forwarded, Proof, ShortLink, Subscription,
    },
    contacts::IdentifierKind,
    imports::{ContactPatch, ImportBatch},
    outbox::{AddressHash, OutboxMessage, SendPoint},
    settings::SettingsStore,
};

use super::live::Live;
use crate::{contact, dated};

/// What tests of consents need.
pub trait Consents: Live + ConsentStore {}

impl<T: Live + ConsentStore> Consents for T {}

fn slug(text: &str) -> Slug {
    Slug::purpose(text).unwrap()
}

fn proof(text: &str) -> Proof {
    Proof { place: "footer".into(), text: text.into(), ..Proof::default() }
}

fn mail(n: u8, at: Timestamp) -> OutboxMessage {
    OutboxMessage {
        id: MessageId([n; 16]),
        contact: ContactId(0),
        send: Arc::new(SendPoint {
            journey: slug("consent"),
            journey_version: 0,
            run: 0,
            node: "double-opt-in".into(),
            channel: Channel::Email,
            purpose: slug("transactional"),
            transactional: true,
            template: slug("double-opt-in"),
            template_version: 0,
        }),
        to: None,
        locale: None,
        variables: "{}".into(),
        decided_at: at,
        not_before: at,
        expires_at: None,
    }
}

async fn who(db: &impl Consents, email: &str) -> Option<ContactId> {
    db.resolve(vec![(IdentifierKind::Email, email.to_owned())]).await.unwrap()[0]
}

async fn ann(db: &impl Consents) -> ContactId {
    let mut batch = ImportBatch::new(dated(1));
    batch.contacts.push(ContactPatch { email: Some("ann@shop.example".into()), ..contact("ann") });
    db.import(batch).await.unwrap();
    who(db, "ann@shop.example").await.unwrap()
}

async fn state(db: &impl Consents, contact: ContactId, purpose: &str) -> ConsentState {
    db.linked_contact(contact).await.unwrap().unwrap().consent(purpose)
}

async fn steps(db: &impl Consents, contact: ContactId) -> Vec<(String, ConsentStep)> {
    let log = db.load_consent_log(contact).await.unwrap();
    log.into_iter().map(|entry| (entry.purpose.to_string(), entry.step)).collect()
}

fn answers(contact: ContactId, at: Timestamp, given: &[(&str, ConsentState)]) -> Answers {
    let answers = given.iter().map(|(purpose, state)| (slug(purpose), *state, proof("Yes"))).collect();
    Answers { contact, message: None, at, source: "page".into(), answers }
}

/// Answers change the profile, the history and the engine's inputs together; what is as it was is left out.
pub async fn consents_are_kept_with_their_proof(db: &impl Consents) {
    let ann = ann(db).await;
    let before = db.last_input().await.unwrap();
    let yes =
        answers(ann, dated(2), &[("news", ConsentState::Subscribed), ("care", ConsentState::Unsubscribed)]);
    assert_eq!(db.answer(yes.clone()).await.unwrap(), Some((ann, 2)));
    assert_eq!(db.answer(yes).await.unwrap(), Some((ann, 0)), "nothing new was said");
    let log = db.load_consent_log(ann).await.unwrap();
    assert_eq!(log.len(), 2);
    assert_eq!(
        (log[0].purpose.as_str(), log[0].step, log[0].at),
        ("news", ConsentStep::Subscribed, dated(2))
    );
    assert_eq!((log[0].source.as_str(), log[0].proof.as_str()), ("page", proof("Yes").to_text().as_str()));
    assert!(log[0].no < log[1].no);
    let kept = db.linked_contact(ann).await.unwrap().unwrap();
    let consent = kept.consents.iter().find(|consent| consent.purpose == slug("news")).unwrap();
    assert_eq!(consent.proof, format!("history:{}", log[0].no), "the profile says where the proof is");
    let inputs = db.take_inputs(i64::MAX, 100).await.unwrap();
    let heard: Vec<&str> =
        inputs.iter().filter(|input| input.no > before).map(|input| input.event.kind.as_str()).collect();
    assert_eq!(heard, [kind::CONTACT_UPDATED, kind::UNSUBSCRIBED]);
    let nobody = answers(ContactId(99), dated(2), &[("news", ConsentState::Subscribed)]);
    assert_eq!(db.answer(nobody).await.unwrap(), None);
    assert_eq!(db.linked_contact(ContactId(99)).await.unwrap(), None);
}

fn subscription(email: &str, at: Timestamp, mail: OutboxMessage) -> Subscription {
    Subscription {
        patch: ContactPatch {
            email: Some(email.into()),
            first_name: Some("Zoe".into()),
            external_id: None,
            ..contact("unused")
        },
        at,
        source: "form".into(),
        at_once: Vec::new(),
        to_confirm: vec![(slug("news"), proof("Write to me"))],
        mail: Some(mail),
        expires_at: at.plus(7 * Timestamp::DAY),
    }
}

/// A yes that is to be confirmed counts from the confirmation on, once, in time, and not after a no.
pub async fn consents_wait_for_their_confirmation(db: &impl Consents) {
    let email = "bea@shop.example";
    assert!(db.subscribe(subscription(email, dated(1), mail(1, dated(1)))).await.unwrap());
    let bea = who(db, email).await.unwrap();
    let news = vec![slug("news")];
    assert_eq!(state(db, bea, "news").await, ConsentState::NotSubscribed);
    assert_eq!(steps(db, bea).await, [("news".to_owned(), ConsentStep::Asked)]);
    assert_eq!(db.find_message(MessageId([1; 16])).await.unwrap().unwrap().message.contact, bea);
    let looked = db.confirmation(MessageId([1; 16]), dated(2)).await.unwrap();
    assert_eq!(looked, Confirmed::Now(bea, news.clone()), "looking confirms nothing");
    assert_eq!(state(db, bea, "news").await, ConsentState::NotSubscribed);
    let late = db.confirm(MessageId([1; 16]), dated(8), proof("Yes")).await.unwrap();
    assert_eq!(late, Confirmed::Expired(bea, news.clone()));
    // Asked once more, by another mail: the former link is void.
    assert!(db.ask_again(MessageId([1; 16]), mail(2, dated(8)), dated(15)).await.unwrap());
    assert_eq!(db.confirm(MessageId([1; 16]), dated(8), proof("Yes")).await.unwrap(), Confirmed::Unknown);
    let done = db.confirm(MessageId([2; 16]), dated(9), proof("Yes")).await.unwrap();
    assert_eq!(done, Confirmed::Now(bea, news.clone()));
    assert_eq!(state(db, bea, "news").await, ConsentState::Subscribed);
    let again = db.confirm(MessageId([2; 16]), dated(20), proof("Yes")).await.unwrap();
    assert_eq!(again, Confirmed::Before(bea, news));
    let all = [("news".to_owned(), ConsentStep::Asked), ("news".to_owned(), ConsentStep::Subscribed)];
    assert_eq!(steps(db, bea).await, all);
    // A no ends the question: an old link does not undo it.
    db.answer(answers(bea, dated(21), &[("news", ConsentState::Unsubscribed)])).await.unwrap();
    assert_eq!(db.confirm(MessageId([2; 16]), dated(21), proof("Yes")).await.unwrap(), Confirmed::Unknown);
    assert_eq!(state(db, bea, "news").await, ConsentState::Unsubscribed);
}

/// The limits of questions, each at its edge and one past it.
pub async fn consents_are_not_asked_for_too_often(db: &impl Consents) {
    let email = "cleo@shop.example";
    let mut at = dated(1);
    let ask = async |n: u8, at| db.subscribe(subscription(email, at, mail(n, at))).await.unwrap();
    assert!(ask(1, at).await);
    assert!(!ask(2, at.plus(ASK_AGAIN_AFTER - 1)).await, "a moment too early");
    for n in 2..=u8::try_from(ASKS_MAX).unwrap() {
        at = at.plus(ASK_AGAIN_AFTER);
        assert!(ask(n, at).await, "{n}");
    }
    assert!(!ask(50, at.plus(ASK_AGAIN_AFTER)).await, "once too often");
    assert!(ask(51, dated(1).plus(ASKS_WITHIN)).await, "the next day it is counted anew");
    let cleo = who(db, email).await.unwrap();
    assert_eq!(steps(db, cleo).await.len() as u32, ASKS_MAX + 1);
    assert_eq!(db.find_message(MessageId([50; 16])).await.unwrap(), None, "no mail was decided");
    db.confirm(MessageId([51; 16]), dated(2).plus(1), proof("Yes")).await.unwrap();
    assert!(!ask(52, dated(5)).await, "who is subscribed is not asked");
}

/// A form is open to everybody: it changes nothing of whom it names but what was agreed to.
pub async fn consents_of_forms_leave_profiles_alone(db: &impl Consents) {
    let ann = ann(db).await;
    let mut form = subscription("ann@shop.example", dated(3), mail(1, dated(3)));
    form.at_once = vec![(slug("tips"), proof("Tips"))];
    form.to_confirm = Vec::new();
    assert!(!db.subscribe(form).await.unwrap(), "no mail without a question");
    let kept = db.linked_contact(ann).await.unwrap().unwrap();
    assert_eq!(kept.first_name.as_deref(), Some("First ann"), "the profile stays as it is");
    assert_eq!(kept.consent("tips"), ConsentState::Subscribed);
    assert_eq!(db.find_message(MessageId([1; 16])).await.unwrap(), None);
}

/// Clicks wait, oldest first, and are settled once; short links stay as they were first kept.
pub async fn clicks_are_settled_once(db: &impl Consents) {
    let ann = ann(db).await;
    db.insert_messages(vec![OutboxMessage { contact: ann, ..mail(1, dated(1)) }]).await.unwrap();
    let click = |at, why: Option<&str>| Click {
        no: 0,
        message: MessageId([1; 16]),
        kind: kind::EMAIL_CLICKED.into(),
        link: "Shop".into(),
        url: "https://shop.example/".into(),
        at,
        why: why.map(str::to_owned),
    };
    db.note_click(click(dated(3), None)).await.unwrap();
    db.note_click(click(dated(2), Some("head"))).await.unwrap();
    let waiting = db.load_clicks(10).await.unwrap();
    assert_eq!(waiting.iter().map(|click| click.at).collect::<Vec<_>>(), [dated(2), dated(3)]);
    assert_eq!(db.load_clicks(1).await.unwrap(), waiting[..1]);
    let link = Map::from_iter([("link".to_owned(), json!("Shop"))]);
    let settled = vec![(waiting[0].clone(), None), (waiting[1].clone(), Some(link))];
    db.settle_clicks(settled.clone()).await.unwrap();
    db.settle_clicks(settled).await.unwrap();
    assert!(db.load_clicks(10).await.unwrap().is_empty());
    let clicked = vec![kind::EMAIL_CLICKED.to_owned()];
    let events = db.load_events(vec![ann], clicked, Timestamp::MIN, Timestamp::MAX).await.unwrap();
    assert_eq!(events.len(), 1, "one was only forgotten, the other is recorded once");
    assert_eq!((events[0].at, &events[0].properties["link"]), (dated(3), &json!("Shop")));
    let short = |url: &str| ShortLink {
        code: "abcdefgh".into(),
        message: MessageId([1; 16]),
        link: 0,
        url: url.into(),
    };
    db.save_short_links(vec![short("https://shop.example/a")]).await.unwrap();
    db.save_short_links(vec![short("https://shop.example/b")]).await.unwrap();
    let kept = db.load_short_link("abcdefgh".into()).await.unwrap();
    assert_eq!(kept, Some(short("https://shop.example/a")));
    assert_eq!(db.load_short_link("abcdefgi".into()).await.unwrap(), None);
}

/// Friends are told once each, so many of one message, and by nobody who is no more.
pub async fn friends_are_told_once(db: &impl Consents) {
    let ann = ann(db).await;
    db.insert_messages(vec![OutboxMessage { contact: ann, ..mail(1, dated(1)) }]).await.unwrap();
    let tell = async |of: u8, friend: u8| {
        let forward = Forward {
            message: MessageId([of; 16]),
            address: AddressHash([friend; 16]),
            mail: mail(100 + friend, dated(2)),
            at: dated(2),
            most: 2,
        };
        db.tell_friend(forward).await.unwrap()
    };
    assert_eq!(tell(9, 1).await, Forwarded::Gone);
    assert_eq!(tell(1, 1).await, Forwarded::Decided);
    assert_eq!(tell(1, 1).await, Forwarded::Before);
    assert_eq!(tell(1, 2).await, Forwarded::Decided);
    assert_eq!(tell(1, 3).await, Forwarded::TooMany);
    assert_eq!(db.find_message(MessageId([102; 16])).await.unwrap().unwrap().message.contact, ann);
    assert_eq!(db.find_message(MessageId([103; 16])).await.unwrap(), None);
}

/// A setting is replaced by who has read what it holds, together with the entry that says who did.
pub async fn settings_are_replaced_by_who_knows_them(db: &(impl SettingsStore + storage::audit::AuditStore)) {
    let deed = |action: &str| Deed {
        at: dated(1),
        who: "test".into(),
        action: action.into(),
        object: "setting:purposes".into(),
        details: json!({}),
        client: None,
    };
    let replace = async |known, value, action: &str| {
        db.replace_setting("purposes".into(), known, value, deed(action)).await.unwrap()
    };
    let (one, two) = (json!({"a": 1, "b": [2]}), json!({"a": 2}));
    assert!(!replace(Some(json!({})), one.clone(), "-").await, "nothing was set yet");
    assert!(replace(None, one.clone(), "first").await);
    assert!(!replace(None, two.clone(), "-").await);
    assert!(!replace(Some(two.clone()), two.clone(), "-").await);
    assert_eq!(db.load_setting("purposes".into()).await.unwrap(), Some(one.clone()));
    assert!(replace(Some(one), two.clone(), "second").await);
    assert_eq!(db.load_setting("purposes".into()).await.unwrap(), Some(two));
    let log = db.list_audit(storage::audit::AuditFilter::default(), None, 10).await.unwrap();
    let actions: Vec<&str> = log.iter().rev().map(|entry| entry.deed.action.as_str()).collect();
    assert_eq!(actions, ["first", "second"]);
}
