//! One-time codes.

use api::access::totp;
use axum::http::{Method, StatusCode};
use model::Timestamp;
use serde_json::{Value, json};
use storage::users::{UserId, UserRole, UserStore};
use testkit::block_on;

use super::browser::{Browser, PASSWORD, user};
use crate::support::{Answer, Server};

const ANN: &str = "ann@shop.example";

pub fn code(server: &Server, secret: &[u8], steps: i64) -> String {
    totp::code(secret, totp::step(server.app.now()) + steps)
}

async fn sign_in(server: &Server, code: &str) -> Answer {
    let body = json!({"email": ANN, "password": PASSWORD, "code": code});
    Browser::new(server).post("/api/v1/session", body).await
}

/// Ann with codes: her secret and recovery codes.
pub async fn enrol(server: &Server, ann: UserId) -> (Vec<u8>, Vec<String>) {
    let mut browser = Browser::of(server, ANN).await;
    let wrong = browser.post("/api/v1/totp", json!({"password": "a wrong password"})).await;
    assert_eq!((wrong.status(), wrong.code().as_str()), (StatusCode::FORBIDDEN, "access.password"));
    assert_eq!(browser.post("/api/v1/totp/confirm", json!({"code": "123456"})).await.code(), "totp.none");
    let enrolment = browser.post("/api/v1/totp", json!({"password": PASSWORD})).await.json();
    let secret = server.store.db.load_user(ann).await.unwrap().unwrap().totp_pending.unwrap();
    assert_eq!(enrolment["secret"], json!(totp::base32(&secret)));
    assert!(
        enrolment["uri"].as_str().unwrap().starts_with("otpauth://totp/Relance:ann@shop.example?secret=")
    );
    // Not in use before the first code.
    Browser::of(server, ANN).await;
    let bad = json!({"code": code(server, &secret, 2)});
    assert_eq!(browser.post("/api/v1/totp/confirm", bad).await.code(), "totp.code");
    let answer = browser.post("/api/v1/totp/confirm", json!({"code": code(server, &secret, 0)})).await;
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text());
    let codes = answer.json()["recovery_codes"].as_array().unwrap().clone();
    (secret, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
}

#[test]
fn each_code_is_good_once_and_near_its_time() {
    block_on(async {
        let server = Server::new();
        let ann = user(&server, ANN, UserRole::Owner).await;
        let (secret, _) = enrol(&server, ann).await;
        assert_eq!(sign_in(&server, "").await.code(), "access.code_needed");
        let used = code(&server, &secret, 0);
        assert_eq!(sign_in(&server, &used).await.code(), "access.code", "it was used for the enrolment");
        server.clock.forward(totp::STEP * Timestamp::SECOND);
        let now = code(&server, &secret, 0);
        assert_eq!(sign_in(&server, &now).await.status(), StatusCode::OK);
        assert_eq!(sign_in(&server, &now).await.code(), "access.code", "replayed");
        let next = code(&server, &secret, 1);
        assert_eq!(sign_in(&server, &next).await.status(), StatusCode::OK, "a clock may be ahead");
        assert_eq!(
            sign_in(&server, &code(&server, &secret, 0)).await.code(),
            "access.code",
            "and not go back"
        );
        server.clock.forward(10 * totp::STEP * Timestamp::SECOND);
        assert_eq!(sign_in(&server, &code(&server, &secret, -2)).await.code(), "access.code", "too old");
        // Codes without the password are worth nothing, and do not show that it is the password that is wrong.
        let body = json!({"email": ANN, "password": "a wrong password", "code": code(&server, &secret, 0)});
        assert_eq!(Browser::new(&server).post("/api/v1/session", body).await.code(), "access.sign_in");
        assert_eq!(sign_in(&server, &code(&server, &secret, 0)).await.status(), StatusCode::OK);
    });
}

#[test]
fn the_same_code_at_the_same_time_signs_in_once() {
    block_on(async {
        let server = Server::new();
        let ann = user(&server, ANN, UserRole::Owner).await;
        let (secret, _) = enrol(&server, ann).await;
        server.clock.forward(totp::STEP * Timestamp::SECOND);
        let code = code(&server, &secret, 0);
        let (a, b, c) =
            tokio::join!(sign_in(&server, &code), sign_in(&server, &code), sign_in(&server, &code));
        let good = [a, b, c].iter().filter(|answer| answer.status() == StatusCode::OK).count();
        assert_eq!(good, 1);
    });
}

#[test]
fn guessing_codes_is_slowed_down_though_the_password_is_known() {
    block_on(async {
        let server = Server::new();
        let ann = user(&server, ANN, UserRole::Owner).await;
        enrol(&server, ann).await;
        let mut codes = Vec::new();
        for _ in 0..8 {
            // What costs nothing between two guesses gives nothing back.
            sign_in(&server, "").await;
            codes.push(sign_in(&server, "000000").await.code());
        }
        assert_eq!(codes.iter().filter(|code| *code == "access.code").count(), 5, "{codes:?}");
        assert_eq!(codes.last().unwrap(), "access.wait");
    });
}

#[test]
fn recovery_codes_are_good_once_and_codes_can_be_given_up() {
    block_on(async {
        let server = Server::new();
        let ann = user(&server, ANN, UserRole::Owner).await;
        let (secret, recovery) = enrol(&server, ann).await;
        assert_eq!(recovery.len(), totp::RECOVERY_CODES);
        let typed = recovery[0].to_uppercase().replace('-', " ");
        assert_eq!(sign_in(&server, &typed).await.status(), StatusCode::OK);
        assert_eq!(sign_in(&server, &recovery[0]).await.code(), "access.code");
        assert_eq!(server.store.db.count_recovery(ann).await.unwrap(), 9);
        server.clock.forward(totp::STEP * Timestamp::SECOND);
        let mut browser = Browser::new(&server);
        let body = json!({"email": ANN, "password": PASSWORD, "code": code(&server, &secret, 0)});
        assert_eq!(browser.post("/api/v1/session", body).await.status(), StatusCode::OK);
        let remove = |password: &str| Some(json!({"password": password}));
        let path = "/api/v1/totp";
        assert_eq!(
            browser.ask(Method::DELETE, path, remove("wrong wrong wrong")).await.code(),
            "access.password"
        );
        assert_eq!(
            browser.ask(Method::DELETE, path, remove(PASSWORD)).await.status(),
            StatusCode::NO_CONTENT
        );
        assert_eq!(sign_in(&server, "").await.status(), StatusCode::OK);
        assert_eq!(server.store.db.count_recovery(ann).await.unwrap(), 0);
        let user = browser.get("/api/v1/session").await.json();
        assert_eq!(user["user"]["totp"], Value::Bool(false));
    });
}
