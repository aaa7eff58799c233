//! Signing in at an identity provider: a small one on loopback.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use api::access::oidc::{Config, authorities};
use axum::{
    Form, Json, Router,
    http::{HeaderMap, StatusCode, header},
    routing::{get, post},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use storage::{
    audit::{AuditFilter, AuditStore},
    users::{UserChange, UserRole, UserStore},
};
use testkit::block_on;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use super::browser::{Browser, PASSWORD, deed, user};
use crate::support::{Answer, Server};

const ANN: &str = "ann@shop.example";

/// What the provider has said and will say.
#[derive(Default)]
struct Plan {
    /// Of the sign-in under way.
    challenge: String,
    nonce: String,
    /// Codes that were redeemed.
    redeemed: usize,
    /// Put over the claims of the next token.
    claims: Value,
    /// Put over the header of the next token.
    header: Value,
    /// How often the keys were asked for.
    keys_asked: usize,
}

struct Provider {
    issuer: String,
    plan: Arc<Mutex<Plan>>,
    pair: Arc<Mutex<Arc<EcdsaKeyPair>>>,
}

fn pair() -> Arc<EcdsaKeyPair> {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    Arc::new(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap())
}

fn coded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn over(mut below: Value, above: &Value) -> Value {
    for (name, value) in above.as_object().into_iter().flatten() {
        below[name] = value.clone();
    }
    below
}

/// Names a key by itself.
fn kid(pair: &EcdsaKeyPair) -> String {
    URL_SAFE_NO_PAD.encode(&pair.public_key().as_ref()[1..9])
}

impl Provider {
    async fn start(server_now: i64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let provider =
            Self { issuer: issuer.clone(), plan: Arc::default(), pair: Arc::new(Mutex::new(pair())) };
        let discovery = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
        });
        let (plan, pair) = (Arc::clone(&provider.plan), Arc::clone(&provider.pair));
        let keys = move || {
            plan.lock().unwrap().keys_asked += 1;
            let pair = Arc::clone(&pair.lock().unwrap());
            let point = pair.public_key().as_ref().to_vec();
            let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let key = json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": kid(&pair),
                             "x": part(&point[1..33]), "y": part(&point[33..])});
            std::future::ready(Json(json!({"keys": [{"kty": "new"}, {"kty": 7}, key]})))
        };
        let (plan, pair) = (Arc::clone(&provider.plan), Arc::clone(&provider.pair));
        let token = move |headers: HeaderMap, Form(form): Form<BTreeMap<String, String>>| {
            let answer = redeem(&issuer, &plan, &pair, server_now, &headers, &form);
            std::future::ready(match answer {
                Some(token) => (StatusCode::OK, Json(json!({"id_token": token, "token_type": "Bearer"}))),
                None => (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))),
            })
        };
        let router = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(move || std::future::ready(Json(discovery.clone()))),
            )
            .route("/keys", get(keys))
            .route("/token", post(token));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        provider
    }

    fn config(&self) -> Config {
        Config {
            issuer: self.issuer.clone(),
            client_id: "relance".into(),
            client_secret: Some("s3cret&=".into()),
            auto_create: None,
            domains: Vec::new(),
            allow_private: true,
            authorities: Vec::new(),
        }
    }

    fn server(&self, config: Config) -> Server {
        let mut whole = api::Config::default();
        whole.access.oidc = Some(config);
        Server::with(whole)
    }

    /// Says who signs in next.
    fn says(&self, claims: Value) {
        self.plan.lock().unwrap().claims = claims;
    }
}

/// As the provider: an ID token for a code, when everything fits.
fn redeem(
    issuer: &str,
    plan: &Mutex<Plan>,
    pair: &Mutex<Arc<EcdsaKeyPair>>,
    now: i64,
    headers: &HeaderMap,
    form: &BTreeMap<String, String>,
) -> Option<String> {
    let mut plan = plan.lock().unwrap();
    let pair = Arc::clone(&pair.lock().unwrap());
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form.get("code_verifier")?.as_bytes()));
    let basic = format!("Basic {}", STANDARD.encode("relance:s3cret%26%3D"));
    let fits = headers.get(header::AUTHORIZATION)?.to_str().ok()? == basic
        && form.get("code")? == "the-code"
        && form.get("grant_type")? == "authorization_code"
        && form.get("redirect_uri")? == "https://mail.shop.example/api/v1/oidc/callback"
        && challenge == plan.challenge;
    if !fits {
        return None;
    }
    plan.redeemed += 1;
    let claims = json!({"iss": issuer, "sub": "1", "aud": "relance", "exp": now + 300, "iat": now,
                        "nonce": plan.nonce, "email": ANN, "email_verified": true, "name": "Ann"});
    let head = over(json!({"alg": "ES256", "kid": kid(&pair)}), &plan.header);
    let signed = format!("{}.{}", coded(&head), coded(&over(claims, &plan.claims)));
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Fields of a query, with the escapes that we write.
fn fields(url: &str) -> BTreeMap<String, String> {
    let (_, query) = url.split_once('?').unwrap();
    let unescape = |text: &str| {
        let mut parts = text.split('%');
        let mut plain = parts.next().unwrap().to_owned();
        for part in parts {
            plain.push(char::from(u8::from_str_radix(&part[..2], 16).unwrap()));
            plain.push_str(&part[2..]);
        }
        plain
    };
    query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), unescape(v))).collect()
}

fn location(answer: &Answer) -> String {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.text());
    answer.head.headers[header::LOCATION].to_str().unwrap().to_owned()
}

/// Goes to the provider: the state that it has to send back.
async fn begin(provider: &Provider, browser: &mut Browser<'_>) -> String {
    let answer = browser.get("/api/v1/oidc/start").await;
    let asked = fields(&location(&answer));
    let cookie = answer.head.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("__Host-relance_oidc=") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!((asked["response_type"].as_str(), asked["client_id"].as_str()), ("code", "relance"));
    let mut plan = provider.plan.lock().unwrap();
    plan.challenge.clone_from(&asked["code_challenge"]);
    plan.nonce.clone_from(&asked["nonce"]);
    asked["state"].clone()
}

async fn back(browser: &mut Browser<'_>, query: &str) -> (String, Answer) {
    let answer = browser.get(&format!("/api/v1/oidc/callback?{query}")).await;
    (location(&answer), answer)
}

/// The whole way: where it ends.
async fn sign_in(provider: &Provider, server: &Server) -> String {
    let mut browser = Browser::new(server);
    let state = begin(provider, &mut browser).await;
    let (target, _) = back(&mut browser, &format!("code=the-code&state={state}")).await;
    if target == "https://mail.shop.example/account/signed-in" {
        return "in".into();
    }
    let problem = target.strip_prefix("https://mail.shop.example/account/sign-in?problem=").unwrap();
    problem.to_owned()
}

fn now() -> i64 {
    testkit::at(crate::support::NOW).0 / 1_000_000
}

#[test]
fn a_user_comes_in_by_a_verified_address_and_later_by_the_subject() {
    block_on(async {
        let provider = Provider::start(now()).await;
        let server = provider.server(provider.config());
        let ann = user(&server, ANN, UserRole::Editor).await;
        let mut browser = Browser::new(&server);
        let state = begin(&provider, &mut browser).await;
        let (target, answer) = back(&mut browser, &format!("code=the-code&state={state}")).await;
        assert_eq!(target, "https://mail.shop.example/account/signed-in");
        // Both cookies: one goes, one comes.
        let cookies: Vec<&str> = answer
            .head
            .headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        assert!(cookies[0].starts_with("__Host-relance_oidc=;"), "{cookies:?}");
        assert!(cookies[1].starts_with("__Host-relance_session="), "{cookies:?}");
        browser.cookie = cookies[1].split(';').next().map(str::to_owned);
        let who = browser.get("/api/v1/session").await.json();
        assert_eq!((&who["user"]["email"], &who["role"]), (&json!(ANN), &json!("editor")));
        // Another address there, the same person.
        provider.says(json!({"email": "ann.new@shop.example", "email_verified": false}));
        assert_eq!(sign_in(&provider, &server).await, "in");
        // Somebody else who has got the address there.
        provider.says(json!({"sub": "2"}));
        assert_eq!(sign_in(&provider, &server).await, "oidc.subject");
        let change = UserChange { disabled: Some(true), ..UserChange::default() };
        user(&server, "owner@shop.example", UserRole::Owner).await;
        server.store.db.change_user(ann, change, deed(&server)).await.unwrap();
        provider.says(json!({}));
        assert_eq!(sign_in(&provider, &server).await, "oidc.disabled");
        let filter = AuditFilter { action: Some("user.link".into()), ..AuditFilter::default() };
        assert_eq!(server.store.db.list_audit(filter, None, 9).await.unwrap().len(), 1);
    });
}

#[test]
fn tokens_that_are_not_for_this_sign_in_are_refused() {
    block_on(async {
        let provider = Provider::start(now()).await;
        let server = provider.server(provider.config());
        user(&server, ANN, UserRole::Editor).await;
        for (claims, code) in [
            (json!({"iss": "https://evil.example"}), "oidc.token"),
            (json!({"aud": "another"}), "oidc.token"),
            (json!({"aud": ["relance", "another"]}), "oidc.token"),
            (json!({"aud": ["relance", "another"], "azp": "another"}), "oidc.token"),
            (json!({"exp": now() - 61}), "oidc.token"),
            (json!({"iat": now() + 61}), "oidc.token"),
            (json!({"nonce": "of another"}), "oidc.token"),
            (json!({"nonce": null}), "oidc.token"),
            (json!({"sub": ""}), "oidc.token"),
            (json!({"sub": "x".repeat(256)}), "oidc.token"),
            (json!({"email_verified": false}), "oidc.email"),
            (json!({"email_verified": null}), "oidc.email"),
            (json!({"email": null}), "oidc.email"),
            (json!({"email": "nobody@shop.example"}), "oidc.unknown_user"),
            (
                json!({"aud": ["relance", "another"], "azp": "relance", "exp": now() - 59, "iat": now() + 59}),
                "in",
            ),
        ] {
            provider.says(claims.clone());
            assert_eq!(sign_in(&provider, &server).await, code, "{claims}");
        }
        for header in [json!({"alg": "none"}), json!({"alg": "HS256"}), json!({"alg": "ES384"})] {
            provider.plan.lock().unwrap().header = header.clone();
            assert_eq!(sign_in(&provider, &server).await, "oidc.token", "{header}");
        }
    });
}

#[test]
fn an_answer_belongs_to_the_browser_that_asked() {
    block_on(async {
        let provider = Provider::start(now()).await;
        let server = provider.server(provider.config());
        user(&server, ANN, UserRole::Editor).await;
        let refused = |code: &str| format!("https://mail.shop.example/account/sign-in?problem={code}");
        // Somebody sends their own answer to another browser.
        let mut eve = Browser::new(&server);
        let state = begin(&provider, &mut eve).await;
        let query = format!("code=the-code&state={state}");
        assert_eq!(back(&mut Browser::new(&server), &query).await.0, refused("oidc.state"));
        let mut other = Browser::new(&server);
        begin(&provider, &mut other).await;
        assert_eq!(back(&mut other, &query).await.0, refused("oidc.state"));
        // The plan now holds the other's challenge: a code without its verifier is worth nothing.
        assert_eq!(back(&mut eve, &query).await.0, refused("oidc.provider"));
        assert_eq!(provider.plan.lock().unwrap().redeemed, 0);
        let mut browser = Browser::new(&server);
        let state = begin(&provider, &mut browser).await;
        let cookie = browser.cookie.clone();
        for (query, code) in [
            (format!("code=the-code&state={state}&iss=https://evil.example"), "oidc.issuer"),
            (format!("error=access_denied&state={state}"), "oidc.refused"),
            (format!("state={state}"), "oidc.refused"),
            ("code=the-code".to_owned(), "oidc.state"),
            (format!("code=wrong&state={state}"), "oidc.provider"),
        ] {
            browser.cookie.clone_from(&cookie);
            assert_eq!(back(&mut browser, &query).await.0, refused(code), "{query}");
        }
        // The cookie is gone after one answer.
        assert_eq!(browser.cookie, None);
        browser.cookie = cookie;
        assert_eq!(
            back(&mut browser, &format!("code=the-code&state={state}")).await.0,
            "https://mail.shop.example/account/signed-in"
        );
    });
}

#[test]
fn new_keys_are_asked_for_but_not_all_the_time() {
    block_on(async {
        let provider = Provider::start(now()).await;
        let server = provider.server(provider.config());
        user(&server, ANN, UserRole::Editor).await;
        assert_eq!(sign_in(&provider, &server).await, "in");
        *provider.pair.lock().unwrap() = pair();
        assert_eq!(sign_in(&provider, &server).await, "oidc.token", "asked a moment ago");
        assert_eq!(provider.plan.lock().unwrap().keys_asked, 1);
        server.clock.forward(30_000_000);
        assert_eq!(sign_in(&provider, &server).await, "in");
        assert_eq!(provider.plan.lock().unwrap().keys_asked, 2);
    });
}

#[test]
fn who_is_new_becomes_a_user_only_where_that_is_wanted() {
    block_on(async {
        let provider = Provider::start(now()).await;
        let config = Config {
            auto_create: Some(UserRole::Viewer),
            domains: vec!["shop.example".into()],
            ..provider.config()
        };
        let server = provider.server(config.clone());
        provider.says(json!({"email": "Eve@evil-shop.example", "sub": "9"}));
        assert_eq!(sign_in(&provider, &server).await, "oidc.unknown_user");
        provider.says(json!({"email": "Zoe@Shop.example", "locale": "fr-CH", "name": "Zoé"}));
        assert_eq!(sign_in(&provider, &server).await, "in");
        let zoe = server.store.db.find_user("zoe@shop.example".into()).await.unwrap().unwrap();
        assert_eq!(
            (zoe.is.role, zoe.is.locale.as_str(), zoe.is.name.as_str()),
            (UserRole::Viewer, "fr", "Zoé")
        );
        // Without a password nobody comes in by one.
        assert_eq!(Browser::new(&server).sign_in("zoe@shop.example", "").await.code(), "access.sign_in");
        assert_eq!(
            Browser::new(&server).sign_in("zoe@shop.example", PASSWORD).await.code(),
            "access.sign_in"
        );
        let anybody = Config { domains: Vec::new(), ..config };
        assert_eq!(anybody.check().unwrap_err().code, "oidc.domains");
    });
}

#[test]
fn our_own_network_is_not_asked_unless_allowed() {
    block_on(async {
        let provider = Provider::start(now()).await;
        let port = provider.issuer.rsplit(':').next().unwrap();
        for issuer in [
            provider.issuer.clone(),
            format!("https://127.0.0.1:{port}"),
            format!("https://localhost:{port}"),
        ] {
            let server = provider.server(Config { issuer, allow_private: false, ..provider.config() });
            let answer = server.get("", "/api/v1/oidc/start").await;
            assert_eq!((answer.status(), answer.code().as_str()), (StatusCode::BAD_GATEWAY, "oidc.provider"));
        }
        let config = Config { allow_private: false, ..provider.config() };
        assert_eq!(config.check().unwrap_err().code, "oidc.issuer");
        assert_eq!(provider.config().check(), Ok(()));
        // A provider that calls itself otherwise.
        let server = provider.server(Config { issuer: format!("{}/", provider.issuer), ..provider.config() });
        assert_eq!(server.get("", "/api/v1/oidc/start").await.code(), "oidc.provider");
        // Without a provider there is nothing.
        let server = Server::new();
        assert_eq!(server.get("", "/api/v1/oidc").await.json(), json!({"offered": false}));
        assert_eq!(server.get("", "/api/v1/oidc/start").await.status(), StatusCode::NOT_FOUND);
    });
}

/// A provider behind TLS, whose certificate an authority of our own network has signed: says of itself what is needed.
async fn behind_tls() -> String {
    let chain = vec![CertificateDer::from_pem_slice(include_bytes!("../../data/oidc-tls.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../data/oidc-tls.key")).unwrap();
    let ring = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let told = json!({"issuer": issuer, "authorization_endpoint": format!("{issuer}/go"),
                      "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"), "keys": []});
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = vec![0; 4096];
            drop(stream.read(&mut request).await);
            let body = told.to_string();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            drop(stream.write_all(answer.as_bytes()).await);
            drop(stream.shutdown().await);
        }
    });
    issuer
}

#[test]
fn an_authority_of_our_own_network_is_believed_where_that_is_said() {
    block_on(async {
        let issuer = behind_tls().await;
        let start = async |authorities| {
            let config = Config {
                issuer: issuer.clone(),
                client_id: "relance".into(),
                client_secret: None,
                auto_create: None,
                domains: Vec::new(),
                allow_private: true,
                authorities,
            };
            let mut whole = api::Config::default();
            whole.access.oidc = Some(config);
            Server::with(whole).get("", "/api/v1/oidc/start").await
        };
        assert_eq!(
            start(Vec::new()).await.code(),
            "oidc.provider",
            "the public authorities know nothing of it"
        );
        let other = authorities(include_bytes!("../../data/ca.pem")).unwrap();
        assert_eq!(start(other).await.code(), "oidc.provider");
        let ours = authorities(include_bytes!("../../data/oidc-ca.pem")).unwrap();
        assert!(location(&start(ours).await).starts_with(&format!("{issuer}/go?")));
        for bad in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert_eq!(authorities(bad.as_bytes()).unwrap_err().code, "oidc.ca", "{bad}");
        }
    });
}
