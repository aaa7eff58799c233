//! Passwords: changed, forgotten, chosen anew.

use api::access::mails;
use axum::http::StatusCode;
use delivery::{Answer, Mailbox as Sender};
use serde_json::json;
use storage::{
    audit::{AuditFilter, AuditStore},
    users::{UserRole, UserStore},
};
use testkit::block_on;

use super::browser::{Browser, Mailbox, PASSWORD, user};
use crate::support::Server;

const ANN: &str = "ann@shop.example";
const OTHER: &str = "trois petits tambours";

/// A server that can send mails.
pub fn server() -> Server {
    let mut config = api::Config::default();
    config.access.sender = Some(Sender::parse("Relance <relance@shop.example>").unwrap());
    Server::with(config)
}

async fn forget(server: &Server, email: &str) -> crate::support::Answer {
    Browser::new(server).post("/api/v1/password/forget", json!({"email": email})).await
}

async fn choose(server: &Server, token: &str, password: &str) -> crate::support::Answer {
    let body = json!({"token": token, "password": password});
    Browser::new(server).post("/api/v1/password/choose", body).await
}

#[test]
fn a_change_signs_out_everywhere_else() {
    block_on(async {
        let server = Server::new();
        user(&server, ANN, UserRole::Viewer).await;
        let (mut here, mut there) = (Browser::of(&server, ANN).await, Browser::of(&server, ANN).await);
        let change = |current: &str, password: &str| json!({"current": current, "password": password});
        for (current, password, code) in [
            ("a wrong password", OTHER, "access.password"),
            (PASSWORD, "short", "password.length"),
            (PASSWORD, "motdepasse2026", "password.common"),
            (PASSWORD, "I am ann@shop.example", "password.address"),
        ] {
            assert_eq!(here.post("/api/v1/password", change(current, password)).await.code(), code);
        }
        let old = here.cookie.clone();
        assert_eq!(here.post("/api/v1/password", change(PASSWORD, OTHER)).await.status(), StatusCode::OK);
        assert_ne!(here.cookie, old);
        assert_eq!(here.get("/api/v1/session").await.status(), StatusCode::OK);
        assert_eq!(there.get("/api/v1/session").await.status(), StatusCode::UNAUTHORIZED);
        there.cookie = old;
        assert_eq!(there.get("/api/v1/session").await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(there.sign_in(ANN, PASSWORD).await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(there.sign_in(ANN, OTHER).await.status(), StatusCode::OK);
    });
}

#[test]
fn a_forgotten_password_is_chosen_anew_with_a_mail_that_is_good_once() {
    block_on(async {
        let (server, mailbox) = (server(), Mailbox::default());
        user(&server, ANN, UserRole::Viewer).await;
        let mut before = Browser::of(&server, ANN).await;
        let known = forget(&server, " Ann@shop.example").await;
        let unknown = forget(&server, "nobody@shop.example").await;
        assert_eq!((known.status(), known.text()), (StatusCode::ACCEPTED, String::new()));
        assert_eq!((unknown.status(), unknown.text()), (known.status(), known.text()));
        mailbox.collect(&server).await;
        assert_eq!(mailbox.mails.lock().unwrap().len(), 1);
        let first = mailbox.token();
        // Not in the base: neither the link nor the token.
        let file = std::fs::read(server.store.file().with_extension("db-wal")).unwrap_or_default();
        assert!(!file.windows(first.len()).any(|part| part == first.as_bytes()));
        forget(&server, ANN).await;
        mailbox.collect(&server).await;
        let second = mailbox.token();
        assert_ne!(first, second);
        assert_eq!(choose(&server, &second, "password1234").await.code(), "password.common");
        assert_eq!(choose(&server, &second, OTHER).await.status(), StatusCode::NO_CONTENT);
        for used in [&second, &first] {
            let answer = choose(&server, used, "quatre petits tambours").await;
            assert_eq!((answer.status(), answer.code().as_str()), (StatusCode::GONE, "access.ticket"));
        }
        assert_eq!(before.get("/api/v1/session").await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(Browser::new(&server).sign_in(ANN, OTHER).await.status(), StatusCode::OK);
    });
}

#[test]
fn a_ticket_ends_after_its_hour_and_with_its_user() {
    block_on(async {
        let (server, mailbox) = (server(), Mailbox::default());
        let ann = user(&server, ANN, UserRole::Viewer).await;
        user(&server, "owner@shop.example", UserRole::Owner).await;
        forget(&server, ANN).await;
        mailbox.collect(&server).await;
        let token = mailbox.token();
        server.clock.forward(mails::RESET_GOOD_FOR);
        assert_eq!(choose(&server, &token, OTHER).await.code(), "access.ticket");
        server.clock.forward(-1);
        let mut owner = Browser::of(&server, "owner@shop.example").await;
        let path = format!("/api/v1/users/{}", ann.0);
        let off = owner.ask(axum::http::Method::PATCH, &path, Some(json!({"disabled": true}))).await;
        assert_eq!(off.status(), StatusCode::OK);
        assert_eq!(choose(&server, &token, OTHER).await.code(), "access.ticket");
        for bad in ["", "x", &token[1..]] {
            assert_eq!(choose(&server, bad, OTHER).await.code(), "access.ticket");
        }
    });
}

#[test]
fn mails_wait_for_a_server_that_is_away_and_are_given_up_at_last() {
    block_on(async {
        let (server, mailbox) = (server(), Mailbox::default());
        user(&server, ANN, UserRole::Viewer).await;
        forget(&server, ANN).await;
        let away = || Answer::Temporary { reason: "smtp.4xx", detail: "later".into() };
        mailbox.refusals.lock().unwrap().push(away());
        mailbox.collect(&server).await;
        assert!(mailbox.mails.lock().unwrap().is_empty());
        mailbox.work(&server).await;
        assert!(mailbox.mails.lock().unwrap().is_empty(), "not before its time");
        server.clock.forward(model::Timestamp::MINUTE);
        mailbox.work(&server).await;
        assert_eq!(mailbox.mails.lock().unwrap().len(), 1);
        assert_eq!(server.store.db.next_mail().await.unwrap(), None);
        // For good.
        forget(&server, ANN).await;
        mailbox.refusals.lock().unwrap().extend((0..mails::TRIES_MAX).map(|_| away()));
        mailbox.collect(&server).await;
        while let Some(at) = server.store.db.next_mail().await.unwrap() {
            server.clock.set(at);
            mailbox.work(&server).await;
        }
        let filter = AuditFilter { action: Some("user.mail_failed".into()), ..AuditFilter::default() };
        let log = server.store.db.list_audit(filter, None, 10).await.unwrap();
        assert_eq!(log.len(), 1);
        assert_eq!(log[0].deed.details["tries"], json!(mails::TRIES_MAX));
        assert_eq!(mailbox.mails.lock().unwrap().len(), 1);
    });
}

#[test]
fn nobody_is_flooded_with_mails() {
    block_on(async {
        let server = server();
        user(&server, ANN, UserRole::Viewer).await;
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(forget(&server, ANN).await.status().as_u16());
        }
        assert_eq!(statuses, [202, 202, 202, 429]);
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(forget(&server, "nobody@shop.example").await.status().as_u16());
        }
        assert_eq!(statuses, [202, 202, 202, 429], "also where there is nobody");
    });
}
