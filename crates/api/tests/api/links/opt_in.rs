//! Subscribing by a form, and confirming by mail.

use axum::http::{Method, StatusCode};
use model::{ConsentState::*, Timestamp, event::kind};
use serde_json::{Value, json};
use storage::{
    access::KeyScope,
    consents::{ASKS_MAX, ConsentStep},
    live::LiveStore,
};
use testkit::block_on;

use super::{Shop, is_page};

async fn subscribe(shop: &Shop, key: &str, email: &str, purposes: &[&str]) -> Value {
    let body = json!({
        "email": email, "purposes": purposes, "form": "footer", "text": "Yes, write to me",
        "page": "https://shop.example/blog?session=secret", "locale": "fr-FR", "first_name": "Bea",
    });
    let answer = shop.server.post(key, "/api/v1/subscribe", body).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED, "{}", answer.text());
    answer.json()
}

/// The path of the last mail's confirmation link.
async fn question(shop: &Shop) -> String {
    let messages = shop.messages().await;
    let last = &messages.last().unwrap().message;
    assert_eq!((last.send.template.as_str(), last.send.transactional), ("double-opt-in", true));
    let variables: Value = serde_json::from_str(&last.variables).unwrap();
    variables["confirm_url"].as_str().unwrap().strip_prefix("https://mail.shop.example").unwrap().to_owned()
}

#[test]
fn a_yes_counts_when_it_was_confirmed_by_a_person() {
    block_on(async {
        let shop = Shop::new().await;
        let key = shop.server.key(KeyScope::Track).await;
        let answer = subscribe(&shop, &key, "bea@example.test", &["newsletter/promotions"]).await;
        assert_eq!(answer, json!({"confirmation": true}));
        let bea = shop.find("bea@example.test").await.unwrap();
        assert_eq!(shop.state(bea, "newsletter").await, NotSubscribed);
        let log = shop.log(bea).await;
        let asked: Vec<_> = log.iter().map(|entry| (entry.purpose.as_str(), entry.step)).collect();
        assert_eq!(
            asked,
            [("newsletter", ConsentStep::Asked), ("newsletter/promotions", ConsentStep::Asked)]
        );
        let proof: Value = serde_json::from_str(&log[0].proof).unwrap();
        let expected = json!({"place": "footer", "page": "https://shop.example/blog", "text": "Yes, write to me", "lang": "fr"});
        assert_eq!(proof, expected);
        assert_eq!(shop.messages().await.last().unwrap().message.contact, bea);
        assert_eq!(shop.messages().await.last().unwrap().message.locale.as_deref(), Some("fr"));
        let path = question(&shop).await;
        // The mail itself, in the language of the form.
        let messages = shop.messages().await;
        let view = delivery::links::Link {
            message: messages.last().unwrap().message.id,
            ..shop.link(delivery::LinkKind::View, "transactional")
        };
        let mail = shop.get(&shop.path_of(&view)).await;
        assert_eq!(mail.status(), StatusCode::OK, "{}", mail.text());
        let html = mail.text();
        assert!(html.contains("Merci de confirmer") && html.contains("Lettre d"), "{html}");
        assert!(
            html.contains(&format!("https://mail.shop.example{path}\"")),
            "the link is as it was signed: {html}"
        );
        // Scanners open it, as often as they like.
        for method in [Method::GET, Method::HEAD, Method::GET] {
            shop.request(method, &path, &[], "").await;
        }
        is_page(&shop.get(&path).await, StatusCode::OK, "Confirmez votre inscription");
        assert_eq!(shop.state(bea, "newsletter").await, NotSubscribed);

        is_page(&shop.form(&path, "action=confirm").await, StatusCode::OK, "Inscription confirmée");
        assert_eq!(shop.state(bea, "newsletter").await, Subscribed);
        assert_eq!(shop.state(bea, "newsletter/promotions").await, Subscribed);
        let inputs = shop.server.store.take_inputs(i64::MAX, 100).await.unwrap();
        let kinds: Vec<&str> = inputs.iter().map(|input| input.event.kind.as_str()).collect();
        assert_eq!(kinds, [kind::CONTACT_CREATED, kind::CONTACT_UPDATED]);
        // Once more: said again, not done again.
        let entries = shop.log(bea).await.len();
        is_page(&shop.form(&path, "action=confirm").await, StatusCode::OK, "Inscription confirmée");
        is_page(&shop.get(&path).await, StatusCode::OK, "Inscription confirmée");
        assert_eq!(shop.log(bea).await.len(), entries);
    });
}

#[test]
fn an_old_confirmation_does_not_undo_an_unsubscription() {
    block_on(async {
        let shop = Shop::new().await;
        let key = shop.server.key(KeyScope::Track).await;
        subscribe(&shop, &key, "bea@example.test", &["newsletter"]).await;
        let (bea, path) = (shop.find("bea@example.test").await.unwrap(), question(&shop).await);
        shop.form(&path, "action=confirm").await;
        let link = delivery::links::Link {
            contact: bea,
            ..shop.link(delivery::LinkKind::Unsubscribe, "newsletter")
        };
        shop.form(&shop.path_of(&link), "").await;
        assert_eq!(shop.state(bea, "newsletter").await, Unsubscribed);
        let answer = shop.form(&path, "action=confirm").await;
        is_page(&answer, StatusCode::NOT_FOUND, "This link does not work");
        assert_eq!(shop.state(bea, "newsletter").await, Unsubscribed);
        // Nor one that was never used.
        shop.server.clock.forward(Timestamp::DAY);
        subscribe(&shop, &key, "bea@example.test", &["newsletter"]).await;
        let path = question(&shop).await;
        let link = delivery::links::Link {
            contact: bea,
            ..shop.link(delivery::LinkKind::Preferences, "newsletter")
        };
        shop.form(&shop.path_of(&link), "action=none").await;
        shop.form(&path, "action=confirm").await;
        assert_eq!(
            shop.state(bea, "newsletter").await,
            Subscribed,
            "nothing was taken back: it was unsubscribed already"
        );
    });
}

#[test]
fn an_expired_link_offers_another_and_is_void_then() {
    block_on(async {
        let shop = Shop::new().await;
        let key = shop.server.key(KeyScope::Track).await;
        subscribe(&shop, &key, "bea@example.test", &["newsletter"]).await;
        let (bea, old) = (shop.find("bea@example.test").await.unwrap(), question(&shop).await);
        shop.server.clock.forward(api::links::CONFIRM_WITHIN - 1);
        is_page(&shop.get(&old).await, StatusCode::OK, "Confirmez votre inscription");
        shop.server.clock.forward(1);
        is_page(&shop.get(&old).await, StatusCode::GONE, "Ce lien a expiré");
        is_page(&shop.form(&old, "action=confirm").await, StatusCode::GONE, "Ce lien a expiré");
        assert_eq!(shop.state(bea, "newsletter").await, NotSubscribed);
        is_page(&shop.form(&old, "action=again").await, StatusCode::OK, "Consultez votre boîte de réception");
        let new = question(&shop).await;
        assert_ne!(old, new);
        is_page(&shop.get(&old).await, StatusCode::NOT_FOUND, "This link does not work");
        is_page(&shop.form(&new, "action=confirm").await, StatusCode::OK, "Inscription confirmée");
        assert_eq!(shop.state(bea, "newsletter").await, Subscribed);
    });
}

#[test]
fn nobodys_mailbox_is_filled_and_nobody_learns_who_is_known() {
    block_on(async {
        let shop = Shop::new().await;
        let key = shop.server.key(KeyScope::Track).await;
        let before = shop.messages().await.len();
        // Known and subscribed, known and not, unknown: the same answer.
        shop.contact("cid@example.test", "en").await;
        let mut answers = Vec::new();
        for email in ["ANN@example.test", "dan@example.test", "dan@example.test", "cid@example.test"] {
            answers.push(subscribe(&shop, &key, email, &["newsletter"]).await);
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(shop.messages().await.len(), before + 1, "one question for one who was not asked");
        let ann = shop.load(shop.ann).await;
        assert_eq!(ann.first_name.as_deref(), Some("Ann"), "a form changes no known profile");
        assert_eq!(ann.locale.as_deref(), Some("en-GB"));
        for n in 2..=ASKS_MAX + 2 {
            shop.server.clock.forward(storage::consents::ASK_AGAIN_AFTER);
            subscribe(&shop, &key, "dan@example.test", &["newsletter"]).await;
            assert_eq!(shop.messages().await.len(), before + n.min(ASKS_MAX) as usize, "{n}");
        }
        shop.server.clock.forward(storage::consents::ASKS_WITHIN);
        subscribe(&shop, &key, "dan@example.test", &["newsletter"]).await;
        assert_eq!(shop.messages().await.len(), before + ASKS_MAX as usize + 1, "the next day");
    });
}

#[test]
fn a_purpose_without_double_opt_in_counts_at_once() {
    block_on(async {
        let shop = Shop::new().await;
        let key = shop.server.key(KeyScope::Track).await;
        let answer = subscribe(&shop, &key, "bea@example.test", &["tips"]).await;
        assert_eq!(answer, json!({"confirmation": false}));
        let bea = shop.find("bea@example.test").await.unwrap();
        assert_eq!(shop.state(bea, "tips").await, Subscribed);
        assert_eq!(shop.log(bea).await[0].source, "form");
        assert_eq!(shop.messages().await.len(), 1);
    });
}

#[test]
fn what_a_form_gets_wrong_is_named() {
    block_on(async {
        let shop = Shop::new().await;
        let key = shop.server.key(KeyScope::Track).await;
        let long = "x".repeat(api::links::BODY_MAX);
        for (body, status, code) in [
            (json!({"email": "nobody", "purposes": ["newsletter"]}), 422, "email.invalid"),
            (
                json!({"email": "a@b.example\r\nBcc: x@y.example", "purposes": ["newsletter"]}),
                422,
                "email.invalid",
            ),
            (json!({"email": "a@b.example", "purposes": []}), 422, "subscribe.purposes"),
            (json!({"email": "a@b.example", "purposes": ["newsleter"]}), 422, "purpose.unknown"),
            (json!({"email": "a@b.example", "purposes": ["recalls"]}), 422, "purpose.unknown"),
            (json!({"email": "a@b.example", "purposes": ["newsletter/none"]}), 422, "purpose.unknown"),
            (
                json!({"email": "a@b.example", "purposes": ["tips"], "first_name": "a\u{0}b"}),
                422,
                "subscribe.value",
            ),
            (
                json!({"email": "a@b.example", "purposes": ["tips"], "form": "f".repeat(201)}),
                422,
                "subscribe.value",
            ),
            (json!({"email": "a@b.example", "purposes": ["tips"], "other": 1}), 400, "body.invalid"),
            (json!({"email": "a@b.example", "purposes": ["tips"], "text": long}), 413, "body.invalid"),
        ] {
            let answer = shop.server.post(&key, "/api/v1/subscribe", body.clone()).await;
            assert_eq!((answer.status().as_u16(), answer.code().as_str()), (status, code), "{body}");
        }
        let none = shop
            .server
            .post("", "/api/v1/subscribe", json!({"email": "a@b.example", "purposes": ["tips"]}))
            .await;
        assert_eq!(none.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(shop.find("a@b.example").await, None);
    });
}

#[test]
fn a_form_works_from_the_shops_pages_with_and_without_a_script() {
    block_on(async {
        let shop = Shop::new().await;
        let key = shop.server.key(KeyScope::Track).await;
        let asks = [
            ("origin", "https://shop.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        let answer = shop.request(Method::OPTIONS, "/api/v1/subscribe", &asks, "").await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.head.headers["access-control-allow-origin"], "*");

        let body = format!("key={key}&email=eve%40example.test&purpose=newsletter&locale=fr&form=footer");
        let answer = shop.form("/subscribe", &body).await;
        is_page(&answer, StatusCode::OK, "Consultez votre boîte de réception");
        assert!(answer.text().contains("href=\"l/page.css\""));
        assert!(shop.find("eve@example.test").await.is_some());
        let wrong = shop.form("/subscribe", &format!("key={key}&email=eve&purpose=newsletter")).await;
        is_page(&wrong, StatusCode::UNPROCESSABLE_ENTITY, "That did not work");
        let wrong = shop.form("/subscribe", "key=rlk_x&email=x%40example.test&purpose=newsletter").await;
        is_page(&wrong, StatusCode::UNAUTHORIZED, "That did not work");
        let large = shop.form("/subscribe", &"x".repeat(api::links::BODY_MAX + 1)).await;
        is_page(&large, StatusCode::PAYLOAD_TOO_LARGE, "That was too much");
    });
}
