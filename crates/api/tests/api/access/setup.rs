//! The first user.

use api::access::setup;
use axum::http::StatusCode;
use model::Timestamp;
use serde_json::{Value, json};
use storage::users::UserStore;
use testkit::block_on;

use super::browser::{Browser, PASSWORD};
use crate::support::Server;

async fn prepare(server: &Server) -> Option<String> {
    setup::prepare(&server.store.db, &*server.app.chance, server.app.now()).await.unwrap()
}

fn owner(token: &str) -> Value {
    json!({"token": token, "email": " Ann@Shop.example ", "password": PASSWORD, "name": "Ann"})
}

#[test]
fn who_holds_the_printed_token_becomes_the_owner_once() {
    block_on(async {
        let server = Server::new();
        let mut browser = Browser::new(&server);
        assert_eq!(browser.get("/api/v1/setup").await.json(), json!({"needed": true}));
        let first = prepare(&server).await.unwrap();
        let token = prepare(&server).await.unwrap();
        for wrong in [&first[..], "", "x", &token[1..]] {
            let answer = browser.post("/api/v1/setup", owner(wrong)).await;
            assert_eq!((answer.status(), answer.code().as_str()), (StatusCode::FORBIDDEN, "setup.token"));
        }
        let weak = json!({"token": token, "email": "ann@shop.example", "password": "password1234"});
        assert_eq!(browser.post("/api/v1/setup", weak).await.code(), "password.common");
        let answer = browser.post("/api/v1/setup", owner(&token)).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{}", answer.text());
        assert_eq!(answer.json()["role"], "owner");
        assert_eq!(answer.json()["who"], "user:ann@shop.example");
        // Signed in, and a real owner.
        assert_eq!(browser.get("/api/v1/users").await.status(), StatusCode::OK);
        let again = Browser::new(&server).post("/api/v1/setup", owner(&token)).await;
        assert_eq!((again.status(), again.code().as_str()), (StatusCode::CONFLICT, "setup.done"));
        assert_eq!(prepare(&server).await, None, "nothing more is printed");
        assert_eq!(browser.get("/api/v1/setup").await.json(), json!({"needed": false}));
    });
}

#[test]
fn the_token_ends_after_its_day() {
    block_on(async {
        let server = Server::new();
        let token = prepare(&server).await.unwrap();
        server.clock.forward(setup::GOOD_FOR);
        let answer = Browser::new(&server).post("/api/v1/setup", owner(&token)).await;
        assert_eq!(answer.code(), "setup.token");
        server.clock.forward(-Timestamp::SECOND);
        let answer = Browser::new(&server).post("/api/v1/setup", owner(&token)).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
    });
}

#[test]
fn two_at_once_make_one_owner() {
    block_on(async {
        let server = Server::new();
        let token = prepare(&server).await.unwrap();
        let (mut one, mut other) = (Browser::new(&server), Browser::new(&server));
        let rival = json!({"token": token, "email": "eve@shop.example", "password": PASSWORD});
        let (one, other) =
            tokio::join!(one.post("/api/v1/setup", owner(&token)), other.post("/api/v1/setup", rival));
        let mut statuses = [one.status().as_u16(), other.status().as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses[0], 201);
        assert!([403, 409].contains(&statuses[1]), "{statuses:?}");
        assert_eq!(server.store.db.count_users().await.unwrap(), 1);
    });
}
