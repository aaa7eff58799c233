//! Signing in and out; what others may not do with a session.

use api::access::guard;
use axum::http::{Method, StatusCode, header};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use model::Timestamp;
use serde_json::json;
use storage::{
    access::KeyScope,
    audit::{AuditFilter, AuditStore},
    users::{UserChange, UserRole, UserStore},
};
use testkit::block_on;

use super::browser::{Browser, PASSWORD, deed, user};
use crate::support::Server;

const ANN: &str = "ann@shop.example";

#[test]
fn a_session_is_a_cookie_that_scripts_and_other_sites_do_not_get() {
    block_on(async {
        let server = Server::new();
        user(&server, ANN, UserRole::Editor).await;
        let mut browser = Browser::new(&server);
        let answer = browser.sign_in("Ann@Shop.example", PASSWORD).await;
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text());
        let cookie = answer.head.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.starts_with("__Host-relance_session="), "{cookie}");
        for part in ["; Path=/", "; HttpOnly", "; SameSite=Strict", "; Secure", "; Max-Age=1209600"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let who = browser.get("/api/v1/session").await.json();
        assert_eq!((&who["role"], &who["user"]["email"]), (&json!("editor"), &json!(ANN)));
        assert_eq!(who["csrf_token"], json!(browser.csrf));
        // Neither the token nor anything of the password is kept or told.
        let token = browser.cookie.clone().unwrap().split('=').nth(1).unwrap().to_owned();
        let file = std::fs::read(server.store.file()).unwrap();
        let log = std::fs::read(server.store.file().with_extension("db-wal")).unwrap_or_default();
        for needle in [token.as_bytes(), PASSWORD.as_bytes()] {
            let held = |bytes: &[u8]| bytes.windows(needle.len()).any(|part| part == needle);
            assert!(!held(&file) && !held(&log));
        }
        assert!(!answer.text().contains("argon2"));
        // A key asks too, and has no CSRF token.
        let key = server.key(KeyScope::Read).await;
        let who = server.get(&key, "/api/v1/session").await.json();
        assert_eq!((&who["role"], &who["csrf_token"]), (&json!("viewer"), &json!(null)));
        assert_eq!(server.get("", "/api/v1/session").await.code(), "access.unauthorized");
    });
}

#[test]
fn a_hash_of_earlier_years_is_renewed_by_who_signs_in() {
    block_on(async {
        let server = Server::new();
        let ann = user(&server, ANN, UserRole::Editor).await;
        // As OWASP's smallest choice of memory has it: 7 MiB, 5 passes.
        let (mut hash, salt) = ([0; 32], [7; 16]);
        let params = argon2::Params::new(7_168, 5, 1, Some(32)).unwrap();
        argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
            .hash_password_into(PASSWORD.as_bytes(), &salt, &mut hash)
            .unwrap();
        let old = format!(
            "$argon2id$v=19$m=7168,t=5,p=1${}${}",
            STANDARD_NO_PAD.encode(salt),
            STANDARD_NO_PAD.encode(hash)
        );
        server.store.db.set_password(ann, old.clone(), deed(&server)).await.unwrap();
        let kept = async || server.store.db.load_user(ann).await.unwrap().unwrap().is.password.unwrap();
        let wrong = Browser::new(&server).sign_in(ANN, "a wrong password").await;
        assert_eq!((wrong.code().as_str(), kept().await), ("access.sign_in", old));
        Browser::of(&server, ANN).await;
        let new = kept().await;
        assert!(new.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{new}");
        // The password is the same, and what is of today stays.
        let mut browser = Browser::of(&server, ANN).await;
        assert_eq!(kept().await, new);
        let sessions = browser.get("/api/v1/sessions").await.json();
        assert_eq!(
            sessions["items"].as_array().map_or(0, Vec::len),
            2,
            "no session has ended by it: {sessions}"
        );
    });
}

#[test]
fn roles_are_asked_at_each_request() {
    block_on(async {
        let server = Server::new();
        let ann = user(&server, ANN, UserRole::Editor).await;
        user(&server, "owner@shop.example", UserRole::Owner).await;
        let mut browser = Browser::of(&server, ANN).await;
        let refused = browser.get("/api/v1/audit").await;
        assert_eq!((refused.status(), refused.code().as_str()), (StatusCode::FORBIDDEN, "access.forbidden"));
        let change = UserChange { role: Some(UserRole::Owner), ..UserChange::default() };
        server.store.db.change_user(ann, change, deed(&server)).await.unwrap();
        assert_eq!(browser.get("/api/v1/audit").await.status(), StatusCode::OK);
        let change = UserChange { disabled: Some(true), ..UserChange::default() };
        server.store.db.change_user(ann, change, deed(&server)).await.unwrap();
        assert_eq!(browser.get("/api/v1/audit").await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(browser.get("/api/v1/session").await.status(), StatusCode::UNAUTHORIZED);
    });
}

#[test]
fn what_is_wrong_with_a_sign_in_does_not_show() {
    block_on(async {
        let server = Server::new();
        user(&server, ANN, UserRole::Owner).await;
        let off = user(&server, "off@shop.example", UserRole::Viewer).await;
        let change = UserChange { disabled: Some(true), ..UserChange::default() };
        server.store.db.change_user(off, change, deed(&server)).await.unwrap();
        let long = "x".repeat(5_000);
        let mut answers = Vec::new();
        for (email, password) in [
            (ANN, "a wrong password"),
            (ANN, ""),
            (ANN, &long),
            ("nobody@shop.example", PASSWORD),
            ("off@shop.example", PASSWORD),
            ("no address", PASSWORD),
        ] {
            let answer = Browser::new(&server).sign_in(email, password).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
            assert!(!answer.head.headers.contains_key(header::SET_COOKIE));
            answers.push(answer.text());
        }
        assert_eq!(answers[0], json_of("access.sign_in", &answers[0]));
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:#?}");
    });
}

/// The text itself, when it has this code.
fn json_of(code: &str, text: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(body["code"], code);
    text.to_owned()
}

#[test]
fn guessing_takes_longer_and_longer_also_for_accounts_that_are_none() {
    block_on(async {
        let server = Server::new();
        user(&server, ANN, UserRole::Owner).await;
        for email in [ANN, "nobody@shop.example"] {
            for n in 0..guard::FREE_OF_ACCOUNT {
                // Each try comes from somewhere else.
                let mut browser = Browser::at(&server, &format!("198.51.100.{n}"));
                assert_eq!(browser.sign_in(email, "a wrong password").await.code(), "access.sign_in");
            }
            for wait in [1, 2, 4, 8] {
                let answer = Browser::new(&server).sign_in(email, PASSWORD).await;
                assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS, "also with the right password");
                assert_eq!(answer.code(), "access.wait");
                assert_eq!(answer.head.headers[header::RETRY_AFTER], wait.to_string().as_str());
                server.clock.forward(wait * Timestamp::SECOND);
                let answer = Browser::new(&server).sign_in(email, "a wrong password").await;
                assert_eq!(answer.code(), "access.sign_in", "{wait}");
            }
        }
        server.clock.forward(16 * Timestamp::SECOND);
        Browser::of(&server, ANN).await;
    });
}

#[test]
fn many_guesses_at_once_are_counted_before_they_are_looked_at() {
    block_on(async {
        let server = Server::new();
        user(&server, ANN, UserRole::Owner).await;
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let request = Browser::new(&server).request(Method::POST, "/api/v1/session");
            let request = request.header(header::CONTENT_TYPE, "application/json");
            let body = json!({"email": ANN, "password": "a wrong password"}).to_string();
            let router = server.router.clone();
            tries.spawn(async move {
                let request = request.body(axum::body::Body::from(body)).unwrap();
                tower::ServiceExt::oneshot(router, request).await.unwrap().status()
            });
        }
        let statuses = tries.join_all().await;
        let looked_at = statuses.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count();
        assert_eq!(looked_at, guard::FREE_OF_ACCOUNT as usize);
    });
}

#[test]
fn changes_need_the_token_of_this_session_and_a_page_of_ours() {
    block_on(async {
        let server = Server::new();
        user(&server, ANN, UserRole::Owner).await;
        user(&server, "bob@shop.example", UserRole::Owner).await;
        let mut ann = Browser::of(&server, ANN).await;
        let bob = Browser::of(&server, "bob@shop.example").await;
        let (path, own) = ("/api/v1/sessions", ann.csrf.clone());
        let refused = [
            (vec![("sec-fetch-site", "same-origin")], "access.csrf"),
            (vec![("sec-fetch-site", "same-origin"), ("x-csrf-token", "")], "access.csrf"),
            (vec![("sec-fetch-site", "same-origin"), ("x-csrf-token", bob.csrf.as_str())], "access.csrf"),
            (vec![("x-csrf-token", own.as_str())], "access.origin"),
            (vec![("origin", "https://evil.example"), ("x-csrf-token", own.as_str())], "access.origin"),
            (vec![("sec-fetch-site", "cross-site"), ("x-csrf-token", own.as_str())], "access.origin"),
            (vec![("sec-fetch-site", "same-site"), ("x-csrf-token", own.as_str())], "access.origin"),
        ];
        for (headers, code) in refused {
            let mut request = ann.request(Method::DELETE, path);
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            let answer = ann.send(request, None).await;
            assert_eq!(
                (answer.status(), answer.code().as_str()),
                (StatusCode::FORBIDDEN, code),
                "{headers:?}"
            );
        }
        let request = ann.request(Method::DELETE, path).header("origin", "https://mail.shop.example");
        let request = request.header("x-csrf-token", &own);
        assert_eq!(ann.send(request, None).await.status(), StatusCode::OK);
        // Reading needs neither; a key needs neither for anything.
        let request = ann.request(Method::GET, path);
        assert_eq!(ann.send(request, None).await.status(), StatusCode::OK);
        let key = server.key(KeyScope::Admin).await;
        let made = server.post(&key, "/api/v1/keys", json!({"scope": "track", "name": "shop"})).await;
        assert_eq!(made.status(), StatusCode::CREATED);
    });
}

#[test]
fn nobody_is_signed_in_by_another_site_or_with_a_planted_session() {
    block_on(async {
        let server = Server::new();
        user(&server, ANN, UserRole::Owner).await;
        user(&server, "eve@shop.example", UserRole::Viewer).await;
        let mut browser = Browser::new(&server);
        let body = json!({"email": ANN, "password": PASSWORD});
        let request =
            browser.request(Method::POST, "/api/v1/session").header("origin", "https://evil.example");
        assert_eq!(browser.send(request, Some(body.clone())).await.code(), "access.origin");
        // A form of another site cannot send JSON.
        let request = browser
            .request(Method::POST, "/api/v1/session")
            .header(header::CONTENT_TYPE, "text/plain")
            .body(axum::body::Body::from(body.to_string()));
        let answer = server.send(request.unwrap()).await;
        assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        // A session that was there before is not the one after, and ends.
        let eve = Browser::of(&server, "eve@shop.example").await;
        browser.cookie.clone_from(&eve.cookie);
        assert_eq!(browser.sign_in(ANN, PASSWORD).await.status(), StatusCode::OK);
        assert_ne!(browser.cookie, eve.cookie);
        let mut planted = Browser::new(&server);
        planted.cookie = eve.cookie;
        assert_eq!(planted.get("/api/v1/session").await.status(), StatusCode::UNAUTHORIZED);
        planted.cookie = Some(format!("__Host-relance_session={}", "A".repeat(43)));
        assert_eq!(planted.get("/api/v1/session").await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(planted.sign_in(ANN, PASSWORD).await.status(), StatusCode::OK);
        assert_ne!(planted.cookie, Some(format!("__Host-relance_session={}", "A".repeat(43))));
    });
}

#[test]
fn sessions_end_when_idle_and_at_last() {
    block_on(async {
        let server = Server::new();
        user(&server, ANN, UserRole::Owner).await;
        let span = server.app.config.access.sessions;
        let mut browser = Browser::of(&server, ANN).await;
        server.clock.forward(span.idle - 1);
        assert_eq!(browser.get("/api/v1/session").await.status(), StatusCode::OK);
        server.clock.forward(span.idle);
        assert_eq!(browser.get("/api/v1/session").await.status(), StatusCode::UNAUTHORIZED);
        let mut browser = Browser::of(&server, ANN).await;
        let began = server.app.now();
        while server.app.now().since(began) + span.idle / 2 < span.absolute {
            server.clock.forward(span.idle / 2);
            assert_eq!(browser.get("/api/v1/session").await.status(), StatusCode::OK);
        }
        server.clock.set(began.plus(span.absolute - 1));
        assert_eq!(browser.get("/api/v1/session").await.status(), StatusCode::OK);
        server.clock.set(began.plus(span.absolute));
        assert_eq!(browser.get("/api/v1/session").await.status(), StatusCode::UNAUTHORIZED);
    });
}

#[test]
fn sessions_are_listed_and_ended() {
    block_on(async {
        let server = Server::new();
        user(&server, ANN, UserRole::Owner).await;
        user(&server, "bob@shop.example", UserRole::Owner).await;
        let mut here = Browser::of(&server, ANN).await;
        server.clock.forward(Timestamp::SECOND);
        let (mut there, mut third) = (Browser::of(&server, ANN).await, Browser::of(&server, ANN).await);
        let mut bob = Browser::of(&server, "bob@shop.example").await;
        let list = here.get("/api/v1/sessions").await.json();
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 3);
        assert_eq!(items[2]["current"], true);
        assert_eq!((&items[0]["client"], &items[0]["agent"]), (&json!("192.0.2.1"), &json!("Test/1")));
        let id = there.get("/api/v1/session").await.json()["session"].as_str().unwrap().to_owned();
        // Somebody else's cannot be ended.
        assert_eq!(bob.delete(&format!("/api/v1/sessions/{id}")).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(here.delete(&format!("/api/v1/sessions/{id}")).await.status(), StatusCode::NO_CONTENT);
        assert_eq!(there.get("/api/v1/session").await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(here.delete("/api/v1/sessions").await.json(), json!({"ended": 1}));
        assert_eq!(third.get("/api/v1/session").await.status(), StatusCode::UNAUTHORIZED);
        let out = here.delete("/api/v1/session").await;
        assert_eq!(out.status(), StatusCode::NO_CONTENT);
        assert!(out.head.headers[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
        assert_eq!(here.cookie, None);
        assert_eq!(bob.get("/api/v1/session").await.status(), StatusCode::OK);
        let filter = AuditFilter { action: Some("session.".into()), ..AuditFilter::default() };
        let log = server.store.db.list_audit(filter, None, 50).await.unwrap();
        let actions: Vec<&str> = log.iter().map(|entry| entry.deed.action.as_str()).rev().collect();
        let begin = "session.begin";
        assert_eq!(actions, [begin, begin, begin, begin, "session.end", "session.end_others", "session.end"]);
    });
}

#[test]
fn strangers_and_keys_have_their_rates() {
    block_on(async {
        let mut config = api::Config::default();
        config.access.rate.burst = 3;
        config.access.stranger_rate.burst = 2;
        let server = Server::with(config);
        let key = server.key(KeyScope::Read).await;
        let other = server.key(KeyScope::Read).await;
        for _ in 0..3 {
            assert_eq!(server.get(&key, "/api/v1/session").await.status(), StatusCode::OK);
        }
        let answer = server.get(&key, "/api/v1/session").await;
        assert_eq!((answer.status(), answer.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "access.rate"));
        assert_eq!(answer.head.headers[header::RETRY_AFTER], "1");
        assert_eq!(server.get(&other, "/api/v1/session").await.status(), StatusCode::OK);
        // Keys that are none, from one address.
        let wrong = key.replacen("rlk_", "rlk_x", 1);
        let codes =
            [server.get(&wrong, "/api/v1/session").await.code(), server.get(&wrong, "/x").await.code()];
        assert_eq!(codes, ["access.unauthorized", "path.unknown"]);
        assert_eq!(server.get(&wrong, "/api/v1/session").await.code(), "access.unauthorized");
        assert_eq!(server.get(&wrong, "/api/v1/session").await.code(), "access.rate");
        let mut browser = Browser::at(&server, "198.51.100.7");
        let mut codes = Vec::new();
        for _ in 0..3 {
            codes.push(browser.get("/api/v1/setup").await.status().as_u16());
        }
        assert_eq!(codes, [200, 200, 429]);
    });
}
