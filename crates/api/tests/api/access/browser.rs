//! A browser with its cookie, and a mailbox.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{Method, Request, header},
};
use delivery::{Answer as Told, Lane, Mail};
use serde_json::{Value, json};
use storage::{
    audit::Deed,
    users::{NewUser, UserId, UserRole, UserStore},
};

use crate::support::{Answer, Server};

pub const PASSWORD: &str = "correct horse battery staple";

/// Whoever looks at the pages.
pub struct Browser<'a> {
    pub server: &'a Server,
    /// Name and value of the session's cookie.
    pub cookie: Option<String>,
    pub csrf: String,
    /// Where it sits.
    pub client: String,
}

impl<'a> Browser<'a> {
    pub fn new(server: &'a Server) -> Self {
        Self { server, cookie: None, csrf: String::new(), client: "192.0.2.1".into() }
    }

    pub fn at(server: &'a Server, client: &str) -> Self {
        Self { client: client.into(), ..Self::new(server) }
    }

    /// As a page of ours asks.
    pub async fn ask(&mut self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method, path).header("sec-fetch-site", "same-origin");
        let request = request.header("x-csrf-token", &self.csrf);
        self.send(request, body).await
    }

    /// With nothing but what a browser sends by itself.
    pub fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        let client: SocketAddr = SocketAddr::new(self.client.parse().unwrap(), 1);
        let mut request = Request::builder().method(method).uri(path).extension(ConnectInfo(client));
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        request.header(header::USER_AGENT, "Test/1")
    }

    pub async fn send(&mut self, request: axum::http::request::Builder, body: Option<Value>) -> Answer {
        let request = match body {
            None => request.body(Body::empty()),
            Some(json) => {
                request.header(header::CONTENT_TYPE, "application/json").body(Body::from(json.to_string()))
            }
        };
        self.take(request.unwrap()).await
    }

    /// Sends, and keeps the cookie that comes.
    pub async fn take(&mut self, request: Request<Body>) -> Answer {
        let answer = self.server.send(request).await;
        if let Some(set) = answer.head.headers.get(header::SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            self.cookie = Some(pair).filter(|pair| !pair.ends_with('='));
        }
        if let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(&answer.bytes)
            && let Some(csrf) = body.get("csrf_token").and_then(Value::as_str)
        {
            self.csrf = csrf.to_owned();
        }
        answer
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn delete(&mut self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, None).await
    }

    pub async fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        self.post("/api/v1/session", json!({"email": email, "password": password})).await
    }

    /// Signed in with [`PASSWORD`].
    pub async fn of(server: &'a Server, email: &str) -> Self {
        let mut browser = Self::new(server);
        let answer = browser.sign_in(email, PASSWORD).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        browser
    }
}

/// What somebody did before the test began.
pub fn deed(server: &Server) -> Deed {
    Deed {
        at: server.app.now(),
        who: "test".into(),
        action: "test".into(),
        object: String::new(),
        details: json!({}),
        client: None,
    }
}

/// A user with [`PASSWORD`].
pub async fn user(server: &Server, email: &str, role: UserRole) -> UserId {
    let password = api::access::password::hash(PASSWORD, &[7; 16]).unwrap();
    let user = NewUser {
        email: email.into(),
        name: String::new(),
        locale: "en".into(),
        role,
        password: Some(password),
        subject: None,
        created_at: server.app.now(),
    };
    server.store.db.add_user(user, false, deed(server)).await.unwrap()
}

/// Takes mails, or refuses them.
#[derive(Clone, Default)]
pub struct Mailbox {
    pub mails: Arc<Mutex<Vec<Mail>>>,
    pub refusals: Arc<Mutex<Vec<Told>>>,
}

impl Lane for Mailbox {
    async fn hand_over(&mut self, mail: &Mail) -> Told {
        if let Some(refusal) = self.refusals.lock().unwrap().pop() {
            return refusal;
        }
        self.mails.lock().unwrap().push(mail.clone());
        Told::Taken { detail: "ok".into() }
    }

    async fn close(self) {}
}

impl Mailbox {
    /// Waits until a mail is decided, and hands over what is due.
    pub async fn collect(&self, server: &Server) {
        for _ in 0..2_000 {
            if server.store.db.next_mail().await.unwrap().is_some() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        self.work(server).await;
    }

    /// Hands over what is due.
    pub async fn work(&self, server: &Server) {
        let mut lane = self.clone();
        while api::access::mails::work_once(&server.app, &mut lane).await.unwrap() {}
    }

    /// The token of the last mail's link.
    pub fn token(&self) -> String {
        let mails = self.mails.lock().unwrap();
        let mail = mails.last().expect("a mail");
        let (_, rest) = mail.text.split_once("/account/password#").expect("a link");
        rest[..43].to_owned()
    }
}
