//! Users: invited, changed, removed.

use axum::http::{Method, StatusCode};
use mail_parser::MessageParser;
use serde_json::{Value, json};
use storage::{
    access::KeyScope,
    audit::{AuditFilter, AuditStore},
    users::UserRole,
};
use testkit::block_on;

use super::{
    browser::{Browser, Mailbox, PASSWORD, user},
    passwords::server,
};
use crate::support::{Answer, Server};

const ANN: &str = "ann@shop.example";

async fn patch(browser: &mut Browser<'_>, id: i64, change: Value) -> Answer {
    browser.ask(Method::PATCH, &format!("/api/v1/users/{id}"), Some(change)).await
}

#[test]
fn who_is_invited_chooses_a_password_and_comes_in() {
    block_on(async {
        let (server, mailbox) = (server(), Mailbox::default());
        user(&server, ANN, UserRole::Owner).await;
        let mut ann = Browser::of(&server, ANN).await;
        let invite =
            json!({"email": "Zoe@Shop.example", "role": "editor", "name": "Zoé <b>", "locale": "fr"});
        let answer = ann.post("/api/v1/users", invite.clone()).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{}", answer.text());
        assert_eq!(
            (&answer.json()["email"], &answer.json()["state"]),
            (&json!("zoe@shop.example"), &json!("invited"))
        );
        assert_eq!(ann.post("/api/v1/users", invite).await.code(), "user.exists");
        let mut zoe = Browser::new(&server);
        assert_eq!(zoe.sign_in("zoe@shop.example", "").await.status(), StatusCode::UNAUTHORIZED);
        mailbox.work(&server).await;
        {
            let mails = mailbox.mails.lock().unwrap();
            let mail = MessageParser::new().parse(&mails[0].bytes).unwrap();
            assert_eq!(mail.subject(), Some("Vous êtes invité sur Relance"));
            let html = mail.body_html(0).unwrap();
            assert!(html.contains("Bonjour Zoé &lt;b&gt;,"), "{html}");
            assert!(html.contains("href=\"https://mail.shop.example/account/password#"), "{html}");
            assert_eq!(mails[0].to, "zoe@shop.example");
        }
        let body = json!({"token": mailbox.token(), "password": PASSWORD});
        assert_eq!(zoe.post("/api/v1/password/choose", body).await.status(), StatusCode::NO_CONTENT);
        let answer = zoe.sign_in("zoe@shop.example", PASSWORD).await;
        assert_eq!(answer.json()["role"], "editor");
        let states: Vec<Value> = ann.get("/api/v1/users").await.json()["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| json!([user["email"], user["state"]]))
            .collect();
        assert_eq!(states, [json!([ANN, "active"]), json!(["zoe@shop.example", "active"])]);
    });
}

#[test]
fn an_owner_stays() {
    block_on(async {
        let server = Server::new();
        let ann = user(&server, ANN, UserRole::Owner).await.0;
        let bob = user(&server, "bob@shop.example", UserRole::Viewer).await.0;
        let mut browser = Browser::of(&server, ANN).await;
        for change in [json!({"role": "editor"}), json!({"disabled": true})] {
            assert_eq!(patch(&mut browser, ann, change).await.code(), "user.last_owner");
        }
        assert_eq!(browser.delete(&format!("/api/v1/users/{ann}")).await.code(), "user.last_owner");
        assert_eq!(browser.get("/api/v1/users").await.status(), StatusCode::OK, "nothing has changed");
        // An owner who is disabled is none.
        assert_eq!(patch(&mut browser, bob, json!({"role": "owner", "disabled": true})).await.status(), 200);
        assert_eq!(patch(&mut browser, ann, json!({"role": "viewer"})).await.code(), "user.last_owner");
        assert_eq!(
            patch(&mut browser, bob, json!({"disabled": false, "name": "Bob"})).await.json()["name"],
            "Bob"
        );
        assert_eq!(patch(&mut browser, ann, json!({"role": "viewer"})).await.status(), StatusCode::OK);
        assert_eq!(browser.get("/api/v1/users").await.code(), "access.forbidden");
        let filter = AuditFilter { action: Some("user.change".into()), ..AuditFilter::default() };
        let log = server.store.db.list_audit(filter, None, 10).await.unwrap();
        assert_eq!(log.len(), 3, "what was refused is not written down");
        assert_eq!(log[2].deed.details, json!({"role": "owner", "disabled": true}));
        assert_eq!(log[2].deed.object, "user:bob@shop.example");
        assert_eq!(log[2].deed.client.as_deref(), Some("192.0.2.1"));
    });
}

#[test]
fn who_is_removed_or_disabled_is_out_at_once() {
    block_on(async {
        let server = Server::new();
        user(&server, ANN, UserRole::Owner).await;
        let mut ann = Browser::of(&server, ANN).await;
        for (email, remove) in [("bob@shop.example", false), ("eve@shop.example", true)] {
            let id = user(&server, email, UserRole::Owner).await.0;
            let mut theirs = Browser::of(&server, email).await;
            let done = match remove {
                true => ann.delete(&format!("/api/v1/users/{id}")).await.status(),
                false => patch(&mut ann, id, json!({"disabled": true})).await.status(),
            };
            assert!(done.is_success());
            assert_eq!(theirs.get("/api/v1/users").await.status(), StatusCode::UNAUTHORIZED);
            assert_eq!(theirs.sign_in(email, PASSWORD).await.code(), "access.sign_in");
        }
        assert_eq!(ann.delete("/api/v1/users/99").await.status(), StatusCode::NOT_FOUND);
        assert_eq!(patch(&mut ann, 99, json!({})).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(ann.delete("/api/v1/users/x").await.status(), StatusCode::NOT_FOUND);
    });
}

#[test]
fn what_is_wrong_is_named() {
    block_on(async {
        let server = Server::new();
        let owner = server.key(KeyScope::Admin).await;
        for (body, code) in [
            (json!({"email": "zoe", "role": "editor"}), "email.invalid"),
            (json!({"email": "zoe@shop.example", "role": "edtor"}), "user.role"),
            (json!({"email": "zoe@shop.example", "role": "editor", "locale": "de"}), "user.locale"),
            (json!({"email": "zoe@shop.example", "role": "editor", "name": "a\r\nBcc: x"}), "user.name"),
            (json!({"email": "zoe@shop.example", "role": "editor", "name": "x".repeat(201)}), "user.name"),
            (json!({"email": "zoe@shop.example"}), "body.invalid"),
            (json!({"email": "zoe@shop.example", "role": "editor", "password": "x"}), "body.invalid"),
        ] {
            assert_eq!(server.post(&owner, "/api/v1/users", body.clone()).await.code(), code, "{body}");
        }
        let typo =
            server.post(&owner, "/api/v1/users", json!({"email": "z@shop.example", "role": "edtor"})).await;
        assert!(typo.text().contains("did you mean `editor`?"), "{}", typo.text());
        let long = json!({"email": "zoe@shop.example", "role": "editor", "name": "x".repeat(200)});
        assert_eq!(server.post(&owner, "/api/v1/users", long).await.status(), StatusCode::CREATED);
        for scope in [KeyScope::Read, KeyScope::Write, KeyScope::Track] {
            let key = server.key(scope).await;
            assert_eq!(server.get(&key, "/api/v1/users").await.status(), StatusCode::FORBIDDEN);
        }
    });
}
