//! Unsubscribe, preferences, view, forward.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use delivery::LinkKind;
use model::{Channel, ConsentState::*, event::kind};
use serde_json::json;
use storage::{
    access::KeyScope,
    consents::ConsentStep,
    live::LiveStore,
    outbox::{OutboxStore, Outcome, Recorded, Witness},
    people::PeopleStore,
    settings::SettingsStore,
};
use testkit::block_on;

use super::{Shop, check_page, is_page};

#[test]
fn unsubscribing_asks_first_and_looking_changes_nothing() {
    block_on(async {
        let shop = Shop::new().await;
        let path = shop.path(LinkKind::Unsubscribe);
        for method in [Method::GET, Method::HEAD, Method::GET] {
            let answer =
                shop.request(method.clone(), &path, &[("user-agent", "Barracuda scanner")], "").await;
            assert_eq!(answer.status(), StatusCode::OK);
        }
        let answer = shop.get(&path).await;
        is_page(&answer, StatusCode::OK, "Unsubscribe");
        let html = answer.text();
        assert!(html.contains("Stop sending “Newsletter” to a•••@example.test?"), "{html}");
        assert!(!html.contains("ann@"), "the whole address is not shown");
        assert_eq!(shop.state(shop.ann, "newsletter").await, Subscribed);
        assert_eq!(shop.log(shop.ann).await.len(), 1, "the import alone");

        is_page(&shop.form(&path, "").await, StatusCode::OK, "You are unsubscribed");
        assert_eq!(shop.state(shop.ann, "newsletter").await, Unsubscribed);
        let log = shop.log(shop.ann).await;
        let last = log.last().unwrap();
        assert_eq!((last.step, last.source.as_str()), (ConsentStep::Unsubscribed, "unsubscribe_page"));
        let proof: serde_json::Value = serde_json::from_str(&last.proof).unwrap();
        assert_eq!(proof["text"], "Stop sending “Newsletter” to a•••@example.test?");
        assert_eq!(proof["message_id"], shop.message.to_string());
        let events = shop.events(shop.ann).await;
        let told = events.iter().find(|event| event.kind == kind::UNSUBSCRIBED).unwrap();
        assert_eq!(told.properties["purpose"], "newsletter");
        assert_eq!(told.properties["node"], "newsletter-email");
        let inputs = shop.server.store.take_inputs(i64::MAX, 100).await.unwrap();
        let kinds: Vec<&str> = inputs.iter().map(|input| input.event.kind.as_str()).collect();
        assert_eq!(kinds, [kind::CONTACT_UPDATED, kind::UNSUBSCRIBED], "the engine hears of it");
        assert_eq!(inputs[0].event.properties["fields"], json!(["consent.newsletter"]));

        // Again: the same answer, and nothing is written.
        is_page(&shop.form(&path, "").await, StatusCode::OK, "You are unsubscribed");
        is_page(&shop.get(&path).await, StatusCode::OK, "You are unsubscribed");
        assert_eq!(shop.log(shop.ann).await.len(), log.len());
    });
}

#[test]
fn mail_programs_unsubscribe_by_one_post_in_either_form() {
    block_on(async {
        for (content_type, body) in [
            ("application/x-www-form-urlencoded", "List-Unsubscribe=One-Click".to_owned()),
            (
                "multipart/form-data; boundary=x",
                "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n".to_owned(),
            ),
        ] {
            let shop = Shop::new().await;
            let path = shop.path(LinkKind::Unsubscribe);
            let answer = shop.request(Method::POST, &path, &[("content-type", content_type)], &body).await;
            assert_eq!(answer.status(), StatusCode::OK, "no redirect, no question");
            assert!(!answer.head.headers.contains_key("set-cookie"));
            assert_eq!(shop.state(shop.ann, "newsletter").await, Unsubscribed);
            assert_eq!(shop.log(shop.ann).await.last().unwrap().source, "one_click");
        }
    });
}

#[test]
fn unsubscribing_stops_a_message_that_is_about_to_be_handed_over() {
    block_on(async {
        let shop = Shop::new().await;
        let (db, now) = (&shop.server.store.db, shop.server.app.now());
        let message = shop.message_to(shop.ann, "newsletter", Channel::Email, "late");
        db.insert_messages(vec![message]).await.unwrap();
        let claimed = db.claim_messages(now, now, now.plus(1_000), 10).await.unwrap();
        let judged = db.load_recipients(vec![shop.ann], None).await.unwrap().remove(0);
        // Between the judgement and the hand-over.
        shop.form(&shop.path(LinkKind::Unsubscribe), "List-Unsubscribe=One-Click").await;
        let witness = Witness {
            version: judged.version,
            address: storage::outbox::AddressHash::of(Channel::Email, "ann@example.test"),
            left: None,
            limits: vec![],
            counts: false,
            once: false,
        };
        let mark = Outcome::HandingOver { witness: Some(Box::new(witness)), lease_until: None };
        let marks = vec![Recorded { seq: claimed[0].seq, attempt: claimed[0].attempt, outcome: mark }];
        assert_eq!(db.record_outcomes(now, marks).await.unwrap(), [claimed[0].seq], "it may not leave");
    });
}

#[test]
fn what_cannot_be_refused_says_so() {
    block_on(async {
        let shop = Shop::new().await;
        for purpose in ["transactional", "recalls"] {
            let path = shop.path_of(&shop.link(LinkKind::Unsubscribe, purpose));
            is_page(&shop.get(&path).await, StatusCode::OK, "Messages you need");
            is_page(&shop.form(&path, "").await, StatusCode::OK, "Messages you need");
        }
        assert_eq!(shop.log(shop.ann).await.len(), 1);
        // Topics and purposes that nobody named can be refused all the same.
        for purpose in ["newsletter/promotions", "care", "old-news"] {
            let path = shop.path_of(&shop.link(LinkKind::Unsubscribe, purpose));
            is_page(&shop.form(&path, "").await, StatusCode::OK, "You are unsubscribed");
            assert_eq!(shop.state(shop.ann, purpose).await, Unsubscribed);
        }
        assert_eq!(shop.state(shop.ann, "newsletter").await, Subscribed);
    });
}

#[test]
fn preferences_show_what_goes_out_and_keep_what_was_said() {
    block_on(async {
        let shop = Shop::new().await;
        let path = shop.path(LinkKind::Preferences);
        let answer = shop.get(&path).await;
        is_page(&answer, StatusCode::OK, "What you receive");
        let checked = |html: &str| -> Vec<String> {
            let html = html.replace("&#x2f;", "/");
            let boxes = html.split("name=\"yes\" value=\"").skip(1);
            boxes
                .filter(|part| part.split('>').next().unwrap().contains(" checked"))
                .map(|part| part.split('"').next().unwrap().to_owned())
                .collect()
        };
        assert_eq!(checked(&answer.text()), ["newsletter", "newsletter/promotions", "care"]);
        assert!(!answer.text().contains("recalls"), "what cannot be refused is not asked");
        let shown = "shown=newsletter&shown=newsletter/promotions&shown=care&shown=tips";
        let answer = shop.form(&path, &format!("action=save&{shown}&yes=newsletter&yes=tips")).await;
        is_page(&answer, StatusCode::OK, "What you receive");
        assert!(answer.text().contains("role=\"status\""));
        assert_eq!(checked(&answer.text()), ["newsletter", "tips"]);
        let states = [
            ("newsletter", Subscribed),
            ("newsletter/promotions", Unsubscribed),
            ("care", Unsubscribed),
            ("tips", Subscribed),
        ];
        for (purpose, state) in states {
            assert_eq!(shop.state(shop.ann, purpose).await, state, "{purpose}");
        }
        let log = shop.log(shop.ann).await;
        assert_eq!(log.len(), 4, "what did not change is not written: {log:?}");
        let proof: serde_json::Value = serde_json::from_str(&log[1].proof).unwrap();
        assert_eq!((&proof["place"], &proof["text"]), (&json!("preference_page"), &json!("[ ] Promotions")));
        let answer = shop.form(&path, &format!("action=none&{shown}")).await;
        assert!(checked(&answer.text()).is_empty());
        assert_eq!(shop.state(shop.ann, "newsletter").await, Unsubscribed);

        let key = shop.server.key(KeyScope::Read).await;
        let history = shop.server.get(&key, &format!("/api/v1/contacts/{}/consents", shop.ann)).await.json();
        let items = history["items"].as_array().unwrap();
        assert_eq!(items[0]["proof"], "import:abc");
        assert_eq!(items.last().unwrap()["step"], "unsubscribed");
        assert_eq!(shop.server.get(&key, "/api/v1/contacts/99/consents").await.code(), "not_found");
    });
}

#[test]
fn pages_speak_the_contacts_language_then_the_browsers_and_can_be_switched() {
    block_on(async {
        let shop = Shop::new().await;
        let bea = shop.contact("bea@example.test", "fr-CA").await;
        let link = |contact| {
            shop.path_of(&delivery::links::Link { contact, ..shop.link(LinkKind::Unsubscribe, "newsletter") })
        };
        let french = shop.get(&link(bea)).await;
        is_page(&french, StatusCode::OK, "Se désinscrire");
        assert!(
            french.text().contains("<html lang=\"fr\">")
                && french.text().contains("Lettre d&#x27;information")
        );
        assert!(french.text().contains("<a href=\"?lang=en\" lang=\"en\" hreflang=\"en\">English</a>"));
        is_page(&shop.get(&format!("{}?lang=en", link(bea))).await, StatusCode::OK, "Unsubscribe");
        let browser = [("accept-language", "fr-FR,fr;q=0.9,en;q=0.5")];
        let answer = shop.request(Method::GET, &link(shop.ann), &browser, "").await;
        is_page(&answer, StatusCode::OK, "Unsubscribe");
        let answer = shop.request(Method::GET, "/u/nothing", &browser, "").await;
        is_page(&answer, StatusCode::NOT_FOUND, "Ce lien ne fonctionne pas");
        // Done in the chosen language, with the proof in it.
        is_page(
            &shop.form(&format!("{}?lang=fr", link(shop.ann)), "").await,
            StatusCode::OK,
            "Désinscription effectuée",
        );
        assert!(shop.log(shop.ann).await.last().unwrap().proof.contains("\"lang\":\"fr\""));
    });
}

#[test]
fn the_style_sheet_and_the_name_are_the_shops() {
    block_on(async {
        let shop = Shop::new().await;
        let css = shop.get("/l/page.css").await;
        assert_eq!(css.head.headers["content-type"], "text/css; charset=utf-8");
        assert!(css.text().contains("--accent: #1f6f5c; --on-accent: #ffffff"), "{}", css.text());
        assert!(!css.text().contains("url("));
        let html = shop.get(&shop.path(LinkKind::Unsubscribe)).await.text();
        assert!(
            html.contains("<p class=\"shop\">Lanternwick</p>") && html.contains("href=\"../l/page.css\"")
        );
        let owner = shop.server.key(KeyScope::Admin).await;
        let put =
            shop.server.ask(Method::PUT, &owner, "/api/v1/branding", Some(json!({"name": "<b>X</b>"}))).await;
        assert_eq!(put.status(), StatusCode::OK);
        let html = shop.get(&shop.path(LinkKind::Unsubscribe)).await;
        check_page(&html);
        assert!(html.text().contains("&lt;b&gt;X"), "{}", html.text());
        let bad =
            shop.server.ask(Method::PUT, &owner, "/api/v1/branding", Some(json!({"accent": "#}{x"}))).await;
        assert_eq!(
            (bad.status(), bad.code().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "branding.accent")
        );
        let read = shop.server.get(&owner, "/api/v1/branding").await;
        let tag = read.head.headers["etag"].to_str().unwrap().to_owned();
        let with = async |header: &str, tag: &str| {
            let body = Some(json!({"name": "Lanternwick", "accent": "#1f6f5c"}));
            shop.server.ask_with(Method::PUT, &owner, "/api/v1/branding", body, &[(header, tag)]).await
        };
        let stale = with("if-match", "\"something-else\"").await;
        assert_eq!((stale.status().as_u16(), stale.code().as_str()), (412, "precondition.failed"));
        let fresh = with("if-match", &tag).await;
        assert_eq!(fresh.status(), StatusCode::OK, "{}", fresh.text());
        assert_eq!(with("if-match", &tag).await.status().as_u16(), 412, "it was changed since");
        let tag = fresh.head.headers["etag"].to_str().unwrap().to_owned();
        let same = [("if-none-match", tag.as_str())];
        let known = shop.server.ask_with(Method::GET, &owner, "/api/v1/branding", None, &same).await;
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
        let back = Some(json!({"name": "<b>X</b>"}));
        assert_eq!(
            shop.server.ask(Method::PUT, &owner, "/api/v1/branding", back).await.status().as_u16(),
            200
        );
        let reader = shop.server.key(KeyScope::Read).await;
        let refused = shop.server.ask(Method::PUT, &reader, "/api/v1/branding", Some(json!({}))).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert_eq!(shop.server.get(&reader, "/api/v1/branding").await.json()["name"], "<b>X</b>");
    });
}

#[test]
fn a_message_is_shown_as_others_may_see_it_and_in_a_sandbox() {
    block_on(async {
        let shop = Shop::new().await;
        let answer = shop.get(&shop.path(LinkKind::View)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let html = answer.text();
        assert!(html.contains("Hello Ann &lt;b&gt;"), "{html}");
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("https://shop.example/a?b=1"), "links lead where they led: {html}");
        for own in ["/u/", "/p/", "/v/", "/c/", "/o/", "ann@example.test"] {
            assert!(!html.contains(own), "{own} in {html}");
        }
        let policy = answer.head.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("sandbox allow-popups") && !policy.contains("allow-scripts"), "{policy}");
        assert!(policy.contains("form-action 'none'"));
        let none = delivery::links::Link {
            message: model::MessageId([1; 16]),
            ..shop.link(LinkKind::View, "newsletter")
        };
        is_page(&shop.get(&shop.path_of(&none)).await, StatusCode::GONE, "This message is no longer here");
    });
}

#[test]
fn a_friend_gets_one_mail_and_becomes_no_contact() {
    block_on(async {
        let shop = Shop::new().await;
        let path = shop.path(LinkKind::Forward);
        is_page(&shop.get(&path).await, StatusCode::OK, "Tell a friend");
        assert_eq!(shop.messages().await.len(), 1, "looking sends nothing");
        let answer = shop.form(&path, "to=Friend%40Example.test&name=Ann+d%27Arc").await;
        is_page(&answer, StatusCode::OK, "It is on its way");
        is_page(
            &shop.form(&path, "to=friend%40example.test&name=").await,
            StatusCode::OK,
            "It is on its way",
        );
        let messages = shop.messages().await;
        assert_eq!(messages.len(), 2, "one mail for each address");
        let mail = &messages[1].message;
        assert_eq!(mail.to.as_deref(), Some("Friend@example.test"));
        assert!(mail.send.transactional);
        let variables: serde_json::Value = serde_json::from_str(&mail.variables).unwrap();
        assert_eq!(variables["sender"], "Ann d'Arc");
        assert_eq!(shop.find("friend@example.test").await, None, "no contact is made");
        let told = delivery::links::Link { message: mail.id, ..shop.link(LinkKind::View, "transactional") };
        let html = shop.get(&shop.path_of(&told)).await.text();
        assert!(
            html.contains("wants to show you a message of Lanternwick") && html.contains("/v/"),
            "{html}"
        );
        let view = variables["view_url"]
            .as_str()
            .unwrap()
            .strip_prefix("https://mail.shop.example")
            .unwrap()
            .to_owned();
        assert_eq!(shop.get(&view).await.status(), StatusCode::OK);
        for n in 2..=api::links::FRIENDS_MAX {
            let answer = shop.form(&path, &format!("to=f{n}%40example.test")).await;
            assert_eq!(answer.status(), StatusCode::OK, "{n}");
        }
        let answer = shop.form(&path, "to=more%40example.test").await;
        is_page(&answer, StatusCode::TOO_MANY_REQUESTS, "Tell a friend");
        assert_eq!(shop.messages().await.len() as u32, 1 + api::links::FRIENDS_MAX);
    });
}

#[test]
fn purposes_are_read_and_set_by_owners_alone() {
    block_on(async {
        let shop = Shop::new().await;
        let (owner, writer) =
            (shop.server.key(KeyScope::Admin).await, shop.server.key(KeyScope::Write).await);
        let known = shop.server.get(&writer, "/api/v1/purposes").await.json();
        assert_eq!(known["purposes"]["newsletter"]["enforcement"], "opt_in");
        assert_eq!(known["purposes"]["newsletter"]["topics"]["promotions"]["name"]["fr"], "Bons plans");
        assert_eq!(known["purposes"]["care"]["double_opt_in"], false);
        let put = |key: &str, purposes: serde_json::Value| {
            let (server, key) = (&shop.server, key.to_owned());
            async move {
                server.ask(Method::PUT, &key, "/api/v1/purposes", Some(json!({"purposes": purposes}))).await
            }
        };
        assert_eq!(put(&writer, json!({})).await.status(), StatusCode::FORBIDDEN);
        let bad = put(&owner, json!({"a": {"enforcement": "sometimes"}})).await;
        assert_eq!(
            (bad.status(), bad.code().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "purpose.enforcement")
        );
        assert_eq!(shop.server.get(&writer, "/api/v1/purposes").await.json(), known, "nothing was changed");
        let good = put(&owner, json!({"a": {"name": "A", "track": {"opens": false}}})).await.json();
        assert_eq!(good["purposes"]["a"]["track"], json!({"opens": false, "clicks": true}));
        // What is read can be written.
        let round = shop.server.ask(Method::PUT, &owner, "/api/v1/purposes", Some(good.clone())).await;
        assert_eq!((round.status(), round.json()), (StatusCode::OK, good));
        assert!(shop.server.store.load_setting(policy::PURPOSES_SETTING.into()).await.unwrap().is_some());
        // Who read it before that must not overwrite it unseen.
        let stale = Request::builder()
            .method(Method::PUT)
            .uri("/api/v1/purposes")
            .header("authorization", format!("Bearer {owner}"))
            .header("content-type", "application/json")
            .header("if-match", "\"something-else\"")
            .body(Body::from(json!({"purposes": {}}).to_string()))
            .unwrap();
        let answer = shop.server.send(stale).await;
        assert_eq!(
            (answer.status(), answer.code().as_str()),
            (StatusCode::PRECONDITION_FAILED, "precondition.failed")
        );
    });
}

#[test]
fn links_of_a_merged_contact_are_those_of_the_one_it_became() {
    block_on(async {
        let shop = Shop::new().await;
        let bea = shop.contact("bea@example.test", "fr").await;
        let (unsubscribe, view) = (shop.path(LinkKind::Unsubscribe), shop.path(LinkKind::View));
        let open = shop.path(LinkKind::Open);
        shop.server.store.merge_contacts(bea, shop.ann, shop.server.app.now()).await.unwrap();
        is_page(&shop.get(&unsubscribe).await, StatusCode::OK, "Se désinscrire");
        assert_eq!(shop.get(&view).await.status(), StatusCode::OK);
        shop.get(&open).await;
        assert!(shop.events(bea).await.iter().any(|event| event.kind == kind::EMAIL_OPENED));
        is_page(
            &shop.form(&unsubscribe, "List-Unsubscribe=One-Click").await,
            StatusCode::OK,
            "Désinscription effectuée",
        );
        assert_eq!(shop.state(bea, "newsletter").await, Unsubscribed);
        assert_eq!(shop.log(bea).await.last().unwrap().source, "one_click");
    });
}
