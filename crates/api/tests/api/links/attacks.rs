//! What somebody may try with a link, and what comes of it.

use axum::http::{Method, StatusCode};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use delivery::{Keys, LinkKind, Links, Target, links::Link};
use model::{ConsentState::*, ContactId, MessageId};
use storage::{people::PeopleStore, settings::SettingsStore};
use testkit::block_on;

use super::{Shop, check_page, is_page};

const KINDS: [LinkKind; 5] =
    [LinkKind::Unsubscribe, LinkKind::Preferences, LinkKind::View, LinkKind::Confirm, LinkKind::Forward];

#[test]
fn forged_cut_and_changed_tokens_get_one_answer() {
    block_on(async {
        let shop = Shop::new().await;
        let forger = Links::new("https://mail.shop.example", Keys::new([8; 32])).unwrap();
        let mut answers = Vec::new();
        for kind in KINDS {
            let link = shop.link(kind, "newsletter");
            let good = shop.server.app.links.token(&link);
            let mut bytes = URL_SAFE_NO_PAD.decode(&good).unwrap();
            bytes[9] ^= 1;
            let tokens = [
                forger.token(&link),
                good[..good.len() - 1].to_owned(),
                good[..20].to_owned(),
                format!("{good}A"),
                URL_SAFE_NO_PAD.encode(bytes),
                "A".repeat(5_000),
                "%20".to_owned(),
                "%F0%9F%92%A9".to_owned(),
            ];
            for token in tokens {
                let path = format!("/{}/{token}", kind.path());
                let answer = shop.get(&path).await;
                is_page(&answer, StatusCode::NOT_FOUND, "This link does not work");
                answers.push(answer.text());
                if kind != LinkKind::View {
                    answers.push(shop.form(&path, "action=confirm&to=x%40y.example").await.text());
                }
            }
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "nobody learns what was wrong");
        assert_eq!(shop.state(shop.ann, "newsletter").await, Subscribed);
        assert_eq!(shop.messages().await.len(), 1);
    });
}

#[test]
fn a_link_of_one_kind_is_of_no_use_for_another() {
    block_on(async {
        let shop = Shop::new().await;
        let click = shop.click("https://shop.example/").strip_prefix("/c/").unwrap().to_owned();
        for path_of in KINDS {
            for token_of in LinkKind::ALL.into_iter().filter(|other| *other != path_of) {
                let token = shop.server.app.links.token(&shop.link(token_of, "newsletter"));
                let path = format!("/{}/{token}", path_of.path());
                assert_eq!(
                    shop.get(&path).await.status(),
                    StatusCode::NOT_FOUND,
                    "{token_of:?} as {path_of:?}"
                );
                if path_of != LinkKind::View {
                    let answer = shop.form(&path, "action=none").await;
                    assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{token_of:?} as {path_of:?}");
                }
            }
            assert_eq!(
                shop.get(&format!("/{}/{click}", path_of.path())).await.status(),
                StatusCode::NOT_FOUND
            );
        }
        for kind in LinkKind::ALL {
            let token = shop.server.app.links.token(&shop.link(kind, "newsletter"));
            assert_eq!(shop.get(&format!("/c/{token}")).await.status(), StatusCode::NOT_FOUND, "{kind:?}");
        }
        assert_eq!(shop.state(shop.ann, "newsletter").await, Subscribed);
    });
}

#[test]
fn a_click_link_leads_nowhere_but_where_it_was_signed_for() {
    block_on(async {
        let shop = Shop::new().await;
        let good = shop.click("https://shop.example/a");
        for more in
            ["?url=https://evil.example", "?next=//evil.example", "%0d%0aLocation:%20https://evil.example"]
        {
            let answer = shop.get(&format!("{good}{more}")).await;
            let location =
                answer.head.headers.get("location").map(|value| value.to_str().unwrap().to_owned());
            if let Some(location) = location {
                assert_eq!(location, "https://shop.example/a", "{more}");
            }
        }
        // A token that holds another address under the old signature.
        let token = good.strip_prefix("/c/").unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
        let place = bytes.windows(12).position(|part| part == b"shop.example").unwrap();
        let mut other = bytes.clone();
        other[place..place + 4].copy_from_slice(b"evil");
        let answer = shop.get(&format!("/c/{}", URL_SAFE_NO_PAD.encode(other))).await;
        is_page(&answer, StatusCode::NOT_FOUND, "This link does not work");
        let forger = Links::new("https://mail.shop.example", Keys::new([8; 32])).unwrap();
        let target = Target {
            message: shop.message,
            push: false,
            name: String::new(),
            url: "https://evil.example/".into(),
        };
        let forged = forger.target_url(&target).unwrap();
        let answer = shop.get(forged.strip_prefix("https://mail.shop.example").unwrap()).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        for path in ["/c/", "/c/https://evil.example", "/c/..%2f..%2fetc", "//evil.example/c/x"] {
            let answer = shop.get(path).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
            assert!(!answer.head.headers.contains_key("location"), "{path}");
        }
    });
}

#[test]
fn a_friends_mail_carries_no_foreign_words_and_opens_no_header() {
    block_on(async {
        let shop = Shop::new().await;
        let path = shop.path(LinkKind::Forward);
        for form in [
            "to=x%40y.example%0d%0aBcc%3a+z%40y.example",
            "to=x%40y.example%2cz%40y.example",
            "to=%22x%40y.example%22+%3cz%40y.example%3e",
            "to=x%40y.example%00",
            "to=",
            "to=x%40y.example&name=Ann%0d%0aBcc%3a+z%40y.example",
            "to=x%40y.example&name=win+at+evil.example",
            "to=x%40y.example&name=%7b%7b+7*7+%7d%7d",
            "to=x%40y.example&name=%3cscript%3ealert(1)%3c/script%3e",
        ] {
            let answer = shop.form(&path, form).await;
            is_page(&answer, StatusCode::UNPROCESSABLE_ENTITY, "Tell a friend");
            assert!(answer.text().contains("role=\"alert\""), "{form}");
        }
        assert_eq!(shop.messages().await.len(), 1, "nothing was sent");
        let large =
            shop.form(&path, &format!("to=x%40y.example&name={}", "a".repeat(api::links::BODY_MAX))).await;
        is_page(&large, StatusCode::PAYLOAD_TOO_LARGE, "That was too much");
    });
}

#[test]
fn what_people_and_shops_wrote_is_text_on_every_page() {
    block_on(async {
        let shop = Shop::new().await;
        let hostile = "<img src=x onerror=alert(1)>";
        let purposes = format!(
            "{{\"newsletter\": {{\"name\": \"{hostile}\", \"description\": \"{hostile}\", \"topics\": {{\"promotions\": {{\"name\": \"{hostile}\"}}}}}}}}"
        );
        shop.server.store.save_setting(policy::PURPOSES_SETTING.into(), purposes.into()).await.unwrap();
        for kind in [LinkKind::Unsubscribe, LinkKind::Preferences, LinkKind::Forward] {
            let answer = shop.get(&shop.path(kind)).await;
            check_page(&answer);
            assert_eq!(answer.status(), StatusCode::OK);
            if kind != LinkKind::Forward {
                assert!(answer.text().contains("&lt;img src=x onerror=alert(1)&gt;"), "{}", answer.text());
            }
        }
        check_page(&shop.form(&shop.path(LinkKind::Unsubscribe), "").await);
        let eve = shop.contact("\u{3c}b\u{3e}@example.test", "en").await;
        let link = Link { contact: eve, ..shop.link(LinkKind::Preferences, "newsletter") };
        check_page(&shop.get(&shop.path_of(&link)).await);
        // Product names and contact fields in the message's page.
        let html = shop.get(&shop.path(LinkKind::View)).await.text();
        assert!(
            html.contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;") || html.contains("&lt;script&gt;"),
            "{html}"
        );
        assert!(!html.contains("<script"), "{html}");
    });
}

#[test]
fn a_contact_that_is_no_more_and_one_that_never_was_get_the_same_polite_answer() {
    block_on(async {
        let shop = Shop::new().await;
        let of = |contact, kind| shop.path_of(&Link { contact, ..shop.link(kind, "newsletter") });
        let mut answers = Vec::new();
        for contact in [ContactId(77), ContactId(i64::MAX), ContactId(-1), ContactId(0)] {
            for kind in [LinkKind::Unsubscribe, LinkKind::Preferences] {
                let path = of(contact, kind);
                let (got, posted) =
                    (shop.get(&path).await, shop.form(&path, "List-Unsubscribe=One-Click").await);
                is_page(&got, StatusCode::OK, "You are unsubscribed");
                is_page(&posted, StatusCode::OK, "You are unsubscribed");
                answers.extend([got.text(), posted.text()]);
            }
            is_page(
                &shop.get(&of(contact, LinkKind::Forward)).await,
                StatusCode::GONE,
                "This message is no longer here",
            );
        }
        answers.dedup();
        assert_eq!(answers.len(), 1);
    });
}

#[test]
fn large_bodies_and_other_methods_are_refused() {
    block_on(async {
        let shop = Shop::new().await;
        let edge = "x".repeat(api::links::BODY_MAX);
        for kind in [LinkKind::Preferences, LinkKind::Confirm, LinkKind::Forward] {
            let answer = shop.form(&shop.path(kind), &format!("{edge}x")).await;
            assert!(matches!(answer.status().as_u16(), 404 | 413), "{kind:?}: {}", answer.status());
        }
        let path = shop.path(LinkKind::Unsubscribe);
        let answer = shop.form(&path, &format!("{edge}x")).await;
        is_page(&answer, StatusCode::PAYLOAD_TOO_LARGE, "That was too much");
        assert_eq!(shop.state(shop.ann, "newsletter").await, Subscribed);
        is_page(&shop.form(&path, &edge).await, StatusCode::OK, "You are unsubscribed");
        for method in [Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = shop.request(method, &path, &[], "").await;
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
        }
    });
}

#[test]
fn old_links_of_somebody_who_was_erased_reveal_nothing() {
    block_on(async {
        let shop = Shop::new().await;
        let kinds = [LinkKind::Unsubscribe, LinkKind::Preferences, LinkKind::View, LinkKind::Forward];
        let paths = kinds.map(|kind| shop.path(kind));
        let (open, click) = (shop.path(LinkKind::Open), shop.click("https://shop.example/a"));
        let pixel = shop.get(&open).await;
        let never = kinds.map(|kind| {
            let link = shop.link(kind, "newsletter");
            shop.path_of(&Link { contact: ContactId(77), message: MessageId([9; 16]), ..link })
        });
        assert!(shop.server.store.erase_contact(shop.ann, shop.server.app.now()).await.unwrap());
        // Each answers politely, and as it does for somebody who never was.
        let told = |answer: &crate::support::Answer| (answer.status(), answer.text());
        for ((path, other), kind) in paths.iter().zip(&never).zip(kinds) {
            let (got, posted) = (shop.get(path).await, shop.form(path, "List-Unsubscribe=One-Click").await);
            let status = match kind {
                LinkKind::Unsubscribe | LinkKind::Preferences => StatusCode::OK,
                _ => StatusCode::GONE,
            };
            assert_eq!(got.status(), status, "{kind:?}");
            check_page(&got);
            assert_eq!(told(&got), told(&shop.get(other).await), "{kind:?}");
            // A message as a page takes no form.
            if kind != LinkKind::View {
                let other = shop.form(other, "List-Unsubscribe=One-Click").await;
                assert_eq!(told(&posted), told(&other), "{kind:?}");
            }
            for secret in ["ann", "Ann", "example.test", "Hello"] {
                assert!(
                    !got.text().contains(secret) && !posted.text().contains(secret),
                    "{kind:?}: {secret}"
                );
            }
        }
        let (after, gone) = (shop.get(&open).await, shop.get(&click).await);
        assert_eq!((after.status(), after.bytes), (pixel.status(), pixel.bytes));
        assert_eq!(gone.status(), StatusCode::FOUND);
        assert_eq!(gone.head.headers["location"], "https://shop.example/a", "who clicks still arrives");
        api::links::settle_clicks(&shop.server.app).await.unwrap();
        assert_eq!(shop.events(shop.ann).await, [], "nothing is written down about her any more");
        assert_eq!(shop.find("ann@example.test").await, None);
    });
}

#[test]
fn the_form_tells_nobody_who_is_known() {
    block_on(async {
        let shop = Shop::new().await;
        let bea = shop.contact("bea@example.test", "en").await;
        assert!(shop.server.store.erase_contact(bea, shop.server.app.now()).await.unwrap());
        let key = shop.server.key(storage::access::KeyScope::Track).await;
        let mut answers = Vec::new();
        // Known and subscribed to something else, erased, never heard of; and each of them once more.
        for email in ["ann@example.test", "bea@example.test", "new@example.test"].repeat(2) {
            let body = serde_json::json!({"email": email, "purposes": ["tips"], "locale": "en"});
            let answer = shop.server.post(&key, "/api/v1/subscribe", body).await;
            answers.push((answer.status(), answer.text()));
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
    });
}
