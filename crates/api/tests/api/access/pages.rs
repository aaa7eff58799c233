//! The pages for who has no password yet.

use api::access::setup;
use axum::http::{Method, StatusCode, header};
use storage::users::{UserRole, UserStore};
use testkit::block_on;

use super::{
    browser::{Browser, Mailbox, PASSWORD, user},
    passwords::server,
};
use crate::support::Answer;

pub async fn fill(browser: &mut Browser<'_>, path: &str, language: &str, fields: &str) -> Answer {
    let request = browser
        .request(Method::POST, path)
        .header("sec-fetch-site", "same-origin")
        .header(header::ACCEPT_LANGUAGE, language)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(axum::body::Body::from(fields.to_owned()))
        .unwrap();
    browser.take(request).await
}

#[test]
fn a_password_is_chosen_on_a_page_in_ones_language() {
    block_on(async {
        let (server, mailbox) = (server(), Mailbox::default());
        user(&server, "ann@shop.example", UserRole::Owner).await;
        let mut browser = Browser::new(&server);
        let asked = serde_json::json!({"email": "ann@shop.example"});
        browser.post("/api/v1/password/forget", asked).await;
        mailbox.collect(&server).await;
        let token = mailbox.token();
        let path = "/account/password";
        let page = browser.get(path).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert!(page.text().contains("<html lang=\"en\">") && page.text().contains("Choose a password"));
        let policy = page.head.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        for (file, kind) in [("account.js", "text/javascript"), ("account.css", "text/css")] {
            let answer = browser.get(&format!("/account/{file}")).await;
            assert!(answer.head.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with(kind));
        }
        let weak = format!("token={token}&password=motdepasse2026");
        let refused = fill(&mut browser, path, "de, fr-CH;q=0.9, en;q=0.8", &weak).await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.text().contains("que l&#39;on devine") || refused.text().contains("que l'on devine"));
        assert!(refused.text().contains(&token), "the token stays in its field");
        assert!(!refused.text().contains("motdepasse2026"), "the password does not");
        let evil = fill(&mut browser, path, "en", "token=%22%3E%3Cscript%3E&password=x").await;
        assert_eq!(evil.status(), StatusCode::GONE);
        assert!(!evil.text().contains("\"><script>"), "{}", evil.text());
        // Another site cannot fill the form in.
        let request = browser
            .request(Method::POST, path)
            .header("origin", "https://evil.example")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(axum::body::Body::from(format!("token={token}&password=trois+petits+tambours")));
        assert_eq!(server.send(request.unwrap()).await.status(), StatusCode::FORBIDDEN);
        let good = format!("token={token}&password=trois+petits+tambours");
        let done = fill(&mut browser, path, "fr", &good).await;
        assert_eq!(done.status(), StatusCode::OK, "{}", done.text());
        assert!(done.text().contains("est enregistré"));
        let answer = browser.sign_in("ann@shop.example", "trois petits tambours").await;
        assert_eq!(answer.status(), StatusCode::OK);
    });
}

#[test]
fn the_owner_is_made_on_a_page() {
    block_on(async {
        let server = server();
        let token =
            setup::prepare(&server.store.db, &*server.app.chance, server.app.now()).await.unwrap().unwrap();
        let link = setup::link(&server.app.config.public_url, &token);
        assert_eq!(link, format!("https://mail.shop.example/account/setup#{token}"));
        let mut browser = Browser::new(&server);
        assert!(browser.get("/account/setup").await.text().contains("name=\"email\""));
        let password = PASSWORD.replace(' ', "+");
        let fields =
            |token: &str| format!("token={token}&email=ann%40shop.example&name=Ann&password={password}");
        let wrong = fill(&mut browser, "/account/setup", "en", &fields("x")).await;
        assert_eq!(wrong.status(), StatusCode::FORBIDDEN);
        assert!(wrong.text().contains("value=\"ann@shop.example\""));
        let made = fill(&mut browser, "/account/setup", "fr", &fields(&token)).await;
        assert_eq!(made.status(), StatusCode::CREATED, "{}", made.text());
        assert!(
            made.head.headers[header::SET_COOKIE].to_str().unwrap().starts_with("__Host-relance_session=")
        );
        let ann = server.store.db.find_user("ann@shop.example".into()).await.unwrap().unwrap();
        assert_eq!((ann.is.role, ann.is.locale.as_str()), (UserRole::Owner, "fr"));
        assert_eq!(
            fill(&mut browser, "/account/setup", "en", &fields(&token)).await.status(),
            StatusCode::CONFLICT
        );
    });
}

#[test]
fn every_answer_has_its_security_headers() {
    block_on(async {
        let server = server();
        let mut browser = Browser::new(&server);
        for path in ["/account/setup", "/api/v1/setup", "/healthz", "/nowhere"] {
            let headers = browser.get(path).await.head.headers;
            assert_eq!(headers[header::STRICT_TRANSPORT_SECURITY], "max-age=31536000", "{path}");
            assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
            assert_eq!(headers["x-frame-options"], "DENY");
            assert!(headers["permissions-policy"].to_str().unwrap().contains("camera=()"));
            assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        }
        let config = api::Config { public_url: "http://localhost:8080".into(), ..api::Config::default() };
        let plain = crate::support::Server::with(config);
        let headers = plain.get("", "/healthz").await.head.headers;
        assert!(!headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
    });
}
