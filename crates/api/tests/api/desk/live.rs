//! What happens now.

use api::Config;
use axum::{
    body::Body,
    http::{Request, header},
};
use http_body_util::BodyExt;
use serde_json::json;
use testkit::block_on;
use tower::ServiceExt;

use super::Desk;
use crate::support::Server;

#[test]
fn listeners_hear_the_news_they_asked_for_and_are_bounded() {
    block_on(async {
        let mut config = Config::default();
        config.desk.listeners_max = 1;
        config.desk.heartbeat = std::time::Duration::from_millis(20);
        let desk = Desk::over(Server::with(config)).await;
        let ask = || {
            let request = Request::get("/api/v1/live?topics=job,worked")
                .header(header::AUTHORIZATION, format!("Bearer {}", desk.key))
                .header("last-event-id", "7");
            desk.server.router.clone().oneshot(request.body(Body::empty()).unwrap())
        };
        let response = ask().await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        let refused = ask().await.unwrap();
        assert_eq!(refused.status().as_u16(), 503);
        assert!(refused.headers().contains_key(header::RETRY_AFTER));

        desk.server.app.news.tell("journey", json!({"journey": "hello"}));
        desk.server.app.news.tell("job", json!({"id": 7}));
        let mut body = response.into_body();
        let mut text = String::new();
        while !(text.contains("event: job") && text.contains(": alive")) {
            let frame = body.frame().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
        assert!(text.contains("event: job\ndata: {\"id\":7}\n\n"), "{text}");
        assert!(!text.contains("hello"), "{text}");
        drop(body);
        assert!(ask().await.unwrap().status().is_success(), "the place is free again");
    });
}
