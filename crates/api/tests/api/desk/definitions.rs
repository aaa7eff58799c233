//! Segments, templates and coupon sets that are taken back.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use storage::{
    access::KeyScope,
    audit::{AuditFilter, AuditStore},
    segments::SegmentStore,
    settings::{DefinitionKind, SettingsStore},
};
use testkit::block_on;

use super::Desk;
use crate::support::Answer;

/// A mail to the readers who ask by API, with a code.
const JOURNEY: &str = "\
format: 1
journey: a
name: A
audience: {who: with_email, source: existing_and_new}
triggers:
  - {on: api}
reentry: after_exit
nodes:
  reads: {kind: in_segment, segment: close}
  code: {kind: assign_coupon, set: spring}
  mail: {kind: send_email, template: thanks, purpose: newsletter, to: contact}
links:
  - {from: start, to: reads}
  - {from: reads, to: code, when: yes}
  - {from: code, to: mail}
";

const TEMPLATE: &str = "\
format: 1
template: thanks
languages: [en]
subject: {en: Thanks}
blocks:
  - kind: text
    text: {en: Thank you}
    show: {segment: readers}
  - {kind: footer, text: {en: You asked for it}, address: Road 1}
";

impl Desk {
    async fn delete(&self, path: &str, condition: &str) -> Answer {
        let headers: &[(&str, &str)] = if condition.is_empty() { &[] } else { &[("if-match", condition)] };
        self.server.ask_with(Method::DELETE, &self.key, path, None, headers).await
    }

    async fn put(&self, path: &str, source: &str) -> String {
        let headers = [("if-match", "*")];
        let there = self.get(path).await.status().is_success();
        let headers = if there { &headers[..] } else { &[] };
        let body = json!({ "source": source });
        let answer = self.server.ask_with(Method::PUT, &self.key, path, Some(body), headers).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}: {}", answer.text());
        answer.head.headers["etag"].to_str().unwrap().to_owned()
    }

    /// What the journey above needs; with a segment that reads another.
    async fn with_definitions() -> Self {
        let desk = Self::new().await;
        let consent = "format: 1\ncondition: {consent: newsletter, is: subscribed}\n";
        desk.put("/api/v1/segments/readers", consent).await;
        desk.put("/api/v1/segments/close", "format: 1\ncondition: {segment: readers}\n").await;
        desk.put("/api/v1/coupons/spring", "format: 1\nkind: shared\ncode: HELLO\n").await;
        desk.put("/api/v1/templates/thanks", TEMPLATE).await;
        desk
    }

    /// Who keeps a definition from being taken back.
    async fn users_of(&self, path: &str) -> Vec<(String, String)> {
        let answer = self.delete(path, "*").await;
        assert_eq!((answer.status(), answer.code().as_str()), (StatusCode::CONFLICT, "definition.in_use"));
        let text = |problem: &Value, key: &str| problem[key].as_str().unwrap().to_owned();
        let mut users: Vec<_> = answer.json()["problems"]
            .as_array()
            .unwrap()
            .iter()
            .map(|problem| (text(problem, "field"), text(problem, "value")))
            .collect();
        users.sort();
        users
    }
}

fn users(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn what_is_used_is_not_taken_back_and_who_uses_it_is_named() {
    block_on(async {
        let mut desk = Desk::with_definitions().await;
        assert_eq!(
            desk.users_of("/api/v1/segments/readers").await,
            users(&[("segments", "close"), ("templates", "thanks")])
        );
        let draft = json!({ "journey": JOURNEY });
        assert!(desk.put_draft("a", &draft).await.status().is_success());
        // The journey's own slug is in every text: that is no use of it.
        desk.put("/api/v1/coupons/a", "format: 1\nkind: shared\ncode: OTHER\n").await;
        assert_eq!(desk.delete("/api/v1/coupons/a", "*").await.status(), StatusCode::NO_CONTENT);
        let all = users(&[("journeys", "a"), ("segments", "close"), ("templates", "thanks")]);
        assert_eq!(desk.users_of("/api/v1/segments/readers").await, all, "through what the draft uses");
        for path in ["/api/v1/segments/close", "/api/v1/coupons/spring", "/api/v1/templates/thanks"] {
            assert_eq!(desk.users_of(path).await, users(&[("journeys", "a")]), "{path}");
        }
        // At work, without a draft.
        let published = desk.post("/api/v1/journeys/a/publish", json!({})).await;
        assert!(published.status().is_success(), "{}", published.text());
        desk.delete("/api/v1/journeys/a/draft", "*").await;
        desk.settle().await;
        assert_eq!(desk.users_of("/api/v1/segments/readers").await, all);
        for path in ["/api/v1/segments/close", "/api/v1/coupons/spring", "/api/v1/templates/thanks"] {
            assert_eq!(desk.users_of(path).await, users(&[("journeys", "a")]), "{path}");
        }
        // Over: its version stays readable.
        let stopped = desk.post("/api/v1/journeys/a/stop", json!({})).await;
        assert!(stopped.status().is_success(), "{}", stopped.text());
        desk.settle().await;
        for path in [
            "/api/v1/templates/thanks",
            "/api/v1/coupons/spring",
            "/api/v1/segments/close",
            "/api/v1/segments/readers",
        ] {
            let answer = desk.delete(path, "*").await;
            assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{path}: {}", answer.text());
            assert_eq!(desk.get(path).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
        assert!(desk.get("/api/v1/journeys/a").await.status().is_success());
        assert!(desk.get("/api/v1/journeys/a/versions/1").await.status().is_success());
        let slug = model::Slug::parse("thanks").unwrap();
        let kept = desk.server.store.db.load_definition(DefinitionKind::Template, slug, 1).await.unwrap();
        assert!(kept.is_some());
    });
}

#[test]
fn a_segment_is_forgotten_by_the_engine_and_may_come_back() {
    block_on(async {
        let mut desk = Desk::with_definitions().await;
        desk.settle().await;
        let path = "/api/v1/segments/close";
        let tag = desk.get(path).await.head.headers["etag"].to_str().unwrap().to_owned();
        let unseen = desk.delete(path, "").await;
        assert_eq!((unseen.status().as_u16(), unseen.code().as_str()), (428, "precondition.required"));
        let stale = desk.delete(path, "\"other\"").await;
        assert_eq!((stale.status().as_u16(), stale.code().as_str()), (412, "precondition.failed"));
        let viewer = desk.server.key(KeyScope::Read).await;
        let refused = desk.server.ask_with(Method::DELETE, &viewer, path, None, &[("if-match", &tag)]).await;
        assert_eq!(refused.code(), "access.forbidden");
        assert_eq!(desk.delete("/api/v1/segments/nobody", "*").await.code(), "not_found");

        let slug = model::Slug::parse("close").unwrap();
        let db = desk.server.store.db.clone();
        assert!(db.load_members(slug.clone()).await.unwrap().is_some());
        assert_eq!(desk.delete(path, &tag).await.status(), StatusCode::NO_CONTENT);
        assert_eq!(db.load_members(slug.clone()).await.unwrap(), None);
        assert_eq!(desk.delete(path, &tag).await.status(), StatusCode::NOT_FOUND);
        // The engine loads its rules anew, and builds nothing of it.
        desk.settle().await;
        assert_eq!(db.load_members(slug.clone()).await.unwrap(), None);
        assert_eq!(desk.get(&format!("{path}/contacts")).await.status(), StatusCode::NOT_FOUND);
        let deeds = db.list_audit(AuditFilter::default(), None, 50).await.unwrap();
        let deed = deeds.iter().find(|entry| entry.deed.action == "segment.delete").unwrap();
        assert_eq!(deed.deed.object, "segment:close");

        desk.put(path, "format: 1\ncondition: {segment: readers}\n").await;
        desk.settle().await;
        assert_eq!(desk.get(path).await.json()["members"], 3);
        // A journey that takes it beside it: versions go on behind the one that says that it was gone.
        let published = desk.publish("a", &json!({ "journey": JOURNEY })).await;
        assert_eq!(
            published["life"]["version"].as_u64().or(published["version"].as_u64()),
            Some(1),
            "{published}"
        );
    });
}

#[test]
fn a_definition_that_was_taken_back_comes_back_beside_a_journey() {
    block_on(async {
        let mut desk = Desk::with_definitions().await;
        for path in ["/api/v1/templates/thanks", "/api/v1/segments/close", "/api/v1/segments/readers"] {
            assert_eq!(desk.delete(path, "*").await.status(), StatusCode::NO_CONTENT, "{path}");
        }
        let folder = json!({
            "journey": JOURNEY,
            "templates": {"thanks": TEMPLATE},
            "segments": {
                "readers": "format: 1\ncondition: {consent: newsletter, is: subscribed}\n",
                "close": "format: 1\ncondition: {segment: readers}\n",
            },
        });
        desk.publish("a", &folder).await;
        desk.settle().await;
        let entered = desk.post("/api/v1/journeys/a/enter", json!({"contacts": ["a", "d"]})).await;
        assert_eq!(entered.status().as_u16(), 202, "{}", entered.text());
        desk.settle().await;
        let (_, to) = desk.deliver().await;
        assert_eq!(to, ["a@example.test"]);
        assert_eq!(desk.get("/api/v1/templates/thanks").await.json()["version"], 3);
    });
}

#[test]
fn a_template_that_is_stored_as_text_is_read_as_any_other() {
    block_on(async {
        let desk = Desk::new().await;
        let new = storage::settings::NewDefinition {
            kind: DefinitionKind::Template,
            slug: model::Slug::parse("plain").unwrap(),
            content: TEMPLATE.replace("thanks", "plain").replace("    show: {segment: readers}\n", "").into(),
        };
        desk.server.store.db.save_definitions(vec![new], desk.server.app.now()).await.unwrap();
        let one = desk.get("/api/v1/templates/plain").await.json();
        assert_eq!((&one["definition"]["template"], &one["problems"]), (&json!("plain"), &json!([])));
        let listed = desk.get("/api/v1/templates").await.json();
        assert_eq!(listed["items"][0]["definition"], one["definition"]);
        let seen = desk.post("/api/v1/templates/preview", json!({"template": "plain"})).await;
        assert_eq!(seen.status(), StatusCode::OK, "{}", seen.text());
        assert_eq!(seen.json()["subject"], "Thanks");
    });
}

#[test]
fn a_journey_sends_a_template_that_is_stored_as_text_and_keeps_it_from_being_taken_back() {
    block_on(async {
        let mut desk = Desk::with_definitions().await;
        let new = storage::settings::NewDefinition {
            kind: DefinitionKind::Template,
            slug: model::Slug::parse("thanks").unwrap(),
            content: TEMPLATE.replace("Thank you", "Thank you - as text").into(),
        };
        let db = desk.server.store.db.clone();
        assert_eq!(db.save_definitions(vec![new], desk.server.app.now()).await.unwrap(), [2]);
        desk.publish("a", &json!({ "journey": JOURNEY })).await;
        desk.delete("/api/v1/journeys/a/draft", "*").await;
        desk.settle().await;
        // What shows by a segment, and what is sent by a journey: both are seen to use what they use.
        assert_eq!(
            desk.users_of("/api/v1/segments/readers").await,
            users(&[("journeys", "a"), ("segments", "close"), ("templates", "thanks")])
        );
        assert_eq!(desk.users_of("/api/v1/templates/thanks").await, users(&[("journeys", "a")]));
        let entered = desk.post("/api/v1/journeys/a/enter", json!({"contacts": ["a", "d"]})).await;
        assert_eq!(entered.status().as_u16(), 202, "{}", entered.text());
        desk.settle().await;
        let (report, to) = desk.deliver().await;
        assert_eq!(to, ["a@example.test"], "{report:?}");
    });
}
