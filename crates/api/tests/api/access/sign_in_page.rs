//! The sign-in page and what stands around it: as a browser without JavaScript uses them.

use api::access::totp;
use axum::http::{Method, StatusCode, header};
use model::Timestamp;
use serde_json::json;
use storage::users::{UserChange, UserRole, UserStore};
use testkit::block_on;

use super::{
    browser::{Browser, Mailbox, PASSWORD, deed, user},
    codes,
    pages::fill,
    passwords,
};
use crate::support::{Answer, Server};

const ANN: &str = "ann@shop.example";
const PAGE: &str = "/account/sign-in";

fn filled(password: &str) -> String {
    format!("email=Ann%40shop.example&password={}", password.replace(' ', "+"))
}

fn target(answer: &Answer) -> &str {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.text());
    answer.head.headers[header::LOCATION].to_str().unwrap()
}

/// The token that a page's form sends along.
fn csrf(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"csrf\" value=\"").expect("a token");
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn somebody_signs_in_sees_who_they_are_and_signs_out() {
    block_on(async {
        let server = Server::new();
        let ann = user(&server, ANN, UserRole::Editor).await;
        let change = UserChange { name: Some("Ann <b>".into()), ..UserChange::default() };
        server.store.db.change_user(ann, change, deed(&server)).await.unwrap();
        let mut browser = Browser::new(&server);
        assert_eq!(target(&browser.get("/").await), "/account");
        assert_eq!(target(&browser.get("/account").await), PAGE);
        let page = browser.get(PAGE).await;
        assert_eq!(page.status(), StatusCode::OK);
        for part in ["<html lang=\"en\">", "<label for=\"email\">", "autocomplete=\"current-password\""] {
            assert!(page.text().contains(part), "{part}: {}", page.text());
        }
        assert!(!page.text().contains("name=\"code\"") && !page.text().contains("oidc"));
        // Without a referrer at all, browsers would call the origin of the form `null`.
        assert_eq!(page.head.headers[header::REFERRER_POLICY], "same-origin");
        let wrong = fill(&mut browser, PAGE, "fr", &filled("a wrong password")).await;
        assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
        assert!(wrong.text().contains("role=\"alert\"") && wrong.text().contains("n'est pas le bon"));
        assert!(wrong.text().contains("value=\"Ann@shop.example\"") && !wrong.text().contains("a wrong"));
        let done = fill(&mut browser, PAGE, "en", &filled(PASSWORD)).await;
        assert_eq!(target(&done), "/account");
        let cookie = done.head.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.starts_with("__Host-relance_session=") && cookie.contains("SameSite=Strict"));
        assert_eq!(target(&browser.get(PAGE).await), "/account", "somebody is signed in already");
        let home = browser.get("/account").await.text();
        for part in
            ["Name", "Ann &lt;b&gt;", ANN, "Editor", "/api/openapi.json", "action=\"/account/sign-out\""]
        {
            assert!(home.contains(part), "{part}: {home}");
        }
        // Without a name the address is shown, and once.
        let change = UserChange { name: Some(String::new()), ..UserChange::default() };
        server.store.db.change_user(ann, change, deed(&server)).await.unwrap();
        let nameless = browser.get("/account").await.text();
        assert_eq!(nameless.matches(ANN).count(), 1, "{nameless}");
        assert!(!nameless.contains("<dt>Name</dt>"), "{nameless}");
        let out = "/account/sign-out";
        let refused = fill(&mut browser, out, "en", "csrf=of-another").await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        let fields = format!("csrf={}", csrf(&home));
        // What does not surely come from a page of ours does not count, even with the token.
        let request = browser
            .request(Method::POST, out)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(axum::body::Body::from(fields.clone()));
        assert_eq!(server.send(request.unwrap()).await.status(), StatusCode::FORBIDDEN);
        let cookie = browser.cookie.clone();
        assert_eq!(browser.get("/account").await.status(), StatusCode::OK, "still signed in");
        assert_eq!(target(&fill(&mut browser, out, "en", &fields).await), PAGE);
        assert_eq!(browser.cookie, None);
        browser.cookie = cookie;
        assert_eq!(
            target(&browser.get("/account").await),
            PAGE,
            "the session has ended, not only its cookie"
        );
    });
}

#[test]
fn the_code_is_asked_for_after_the_password() {
    block_on(async {
        let server = Server::new();
        let ann = user(&server, ANN, UserRole::Owner).await;
        let (secret, recovery) = codes::enrol(&server, ann).await;
        let mut browser = Browser::new(&server);
        let wrong = fill(&mut browser, PAGE, "en", &filled("a wrong password")).await;
        assert!(!wrong.text().contains("name=\"code\""), "who does not know the password learns nothing");
        let asked = fill(&mut browser, PAGE, "en", &filled(PASSWORD)).await;
        assert_eq!(asked.status(), StatusCode::UNAUTHORIZED);
        let code =
            "aria-describedby=\"codes wrong\" aria-invalid=\"true\" required autocomplete=\"one-time-code\"";
        assert!(asked.text().contains(code), "{}", asked.text());
        assert!(!asked.text().contains(PASSWORD) && browser.cookie.is_none());
        let with = |code: &str| format!("{}&code={code}", filled(PASSWORD));
        let wrong = fill(&mut browser, PAGE, "fr", &with("000000")).await;
        assert!(wrong.text().contains("Ce code n'est pas le bon") && wrong.text().contains("name=\"code\""));
        server.clock.forward(totp::STEP * Timestamp::SECOND);
        let good = codes::code(&server, &secret, 0);
        assert_eq!(target(&fill(&mut browser, PAGE, "en", &with(&good)).await), "/account");
        let mut other = Browser::new(&server);
        assert_eq!(target(&fill(&mut other, PAGE, "en", &with(&recovery[0])).await), "/account");
    });
}

#[test]
fn tries_on_the_page_count_like_others_and_other_sites_have_none() {
    block_on(async {
        let server = Server::new();
        user(&server, ANN, UserRole::Owner).await;
        let mut browser = Browser::new(&server);
        for _ in 0..api::access::guard::FREE_OF_ACCOUNT {
            fill(&mut browser, PAGE, "en", &filled("a wrong password")).await;
        }
        let wait = fill(&mut browser, PAGE, "en", &filled(PASSWORD)).await;
        assert_eq!(wait.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(wait.head.headers[header::RETRY_AFTER], "1");
        server.clock.forward(Timestamp::MINUTE);
        for path in [PAGE, "/account/forgotten", "/account/sign-out"] {
            let request = browser
                .request(Method::POST, path)
                .header("sec-fetch-site", "cross-site")
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(axum::body::Body::from(filled(PASSWORD) + "&csrf=x"));
            let answer = server.send(request.unwrap()).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
            assert!(!answer.head.headers.contains_key(header::SET_COOKIE));
        }
    });
}

#[test]
fn who_forgot_the_password_gets_a_mail_and_others_learn_nothing() {
    block_on(async {
        let (server, mailbox) = (passwords::server(), Mailbox::default());
        user(&server, ANN, UserRole::Owner).await;
        let mut browser = Browser::new(&server);
        let path = "/account/forgotten";
        assert!(browser.get(path).await.text().contains("name=\"email\""));
        let bad = fill(&mut browser, path, "en", "email=ann").await;
        assert_eq!(bad.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(bad.text().contains("aria-describedby=\"wrong\" aria-invalid=\"true\""), "{}", bad.text());
        let unknown = fill(&mut browser, path, "fr", "email=nobody%40shop.example").await;
        let known = fill(&mut browser, path, "fr", "email=ann%40shop.example").await;
        assert_eq!((known.status(), known.text()), (StatusCode::OK, unknown.text()));
        mailbox.collect(&server).await;
        let chosen = format!("token={}&password=trois+petits+tambours", mailbox.token());
        let done = fill(&mut browser, "/account/password", "fr", &chosen).await;
        assert!(done.text().contains("href=\"/account/sign-in\""), "{}", done.text());
        assert_eq!(
            target(&fill(&mut browser, PAGE, "fr", &filled("trois petits tambours")).await),
            "/account"
        );
        assert_eq!(mailbox.mails.lock().unwrap().len(), 1);
    });
}

#[test]
fn the_page_leads_to_what_there_is() {
    block_on(async {
        let server = Server::new();
        let mut browser = Browser::new(&server);
        let first = browser.get(PAGE).await.text();
        assert!(first.contains("no user yet") && !first.contains("<form"), "{first}");
        let mut config = api::Config::default();
        config.access.oidc = Some(api::access::oidc::Config {
            issuer: "https://login.shop.example".into(),
            client_id: "relance".into(),
            client_secret: None,
            auto_create: None,
            domains: Vec::new(),
            allow_private: false,
            authorities: Vec::new(),
        });
        let server = Server::with(config);
        user(&server, ANN, UserRole::Viewer).await;
        let mut browser = Browser::new(&server);
        assert!(browser.get(PAGE).await.text().contains("<a class=\"button\" href=\"/api/v1/oidc/start\">"));
        for (problem, shown) in [
            ("oidc.unknown_user", "Nobody with your address has access."),
            ("oidc.token", "was refused. (oidc.token)"),
            ("%22%3E%3Cscript%3E", "was refused.</p>"),
        ] {
            let page = browser.get(&format!("{PAGE}?problem={problem}")).await;
            assert!(page.text().contains(shown) && !page.text().contains("\"><script>"), "{}", page.text());
        }
        // Where the provider's way ends, the next request is one of ours.
        let arrived = browser.get("/account/signed-in").await.text();
        assert!(arrived.contains("<meta http-equiv=\"refresh\" content=\"0; url=/account\">"));
        assert_eq!(json!(browser.cookie), json!(null));
    });
}
