//! Drafts, publishing, lives, counts, recipients, traces.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use storage::access::KeyScope;
use testkit::block_on;

use super::{Desk, example, hello};

#[test]
fn a_draft_is_kept_with_what_is_wrong_with_it_and_overwritten_only_by_who_knows_it() {
    block_on(async {
        let desk = Desk::new().await;
        let path = "/api/v1/journeys/hello/draft";
        let put = async |body: &Value, headers: &[(&str, &str)]| {
            desk.server.ask_with(Method::PUT, &desk.key, path, Some(body.clone()), headers).await
        };
        let mut wrong = hello();
        wrong["journey"] =
            wrong["journey"].as_str().unwrap().replace("template: hello", "template: helo").into();
        let answer = put(&wrong, &[]).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["check"]["publishable"], false);
        let problem = &body["check"]["problems"][0];
        assert_eq!(problem["severity"], "error", "{problem}");
        assert_eq!(problem["field"], "nodes.mail.template", "{problem}");
        assert!(problem["cure"].as_str().unwrap().contains("hello"), "{problem}");
        assert_eq!(problem["file"], "journey.yaml");
        assert!(problem["place"][0].as_u64().unwrap() > 1, "{problem}");
        let first = answer.head.headers["etag"].to_str().unwrap().to_owned();

        let answer = put(&hello(), &[]).await;
        assert_eq!((answer.status().as_u16(), answer.code().as_str()), (428, "precondition.required"));
        let answer = put(&hello(), &[("if-match", "\"other\"")]).await;
        assert_eq!((answer.status().as_u16(), answer.code().as_str()), (412, "precondition.failed"));
        let answer = put(&hello(), &[("if-none-match", "*")]).await;
        assert_eq!(answer.status().as_u16(), 412);
        let answer = put(&hello(), &[("if-match", &first)]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text());
        assert_eq!(answer.json()["check"]["publishable"], true, "{}", answer.text());
        let second = answer.head.headers["etag"].to_str().unwrap().to_owned();
        assert_ne!(first, second);

        let known =
            desk.server.ask_with(Method::GET, &desk.key, path, None, &[("if-none-match", &second)]).await;
        assert_eq!((known.status(), known.bytes.len()), (StatusCode::NOT_MODIFIED, 0));
        assert_eq!(desk.get(path).await.json()["folder"], hello());

        let gone = desk.server.ask_with(Method::DELETE, &desk.key, path, None, &[("if-match", &first)]).await;
        assert_eq!(gone.status().as_u16(), 412);
        let gone =
            desk.server.ask_with(Method::DELETE, &desk.key, path, None, &[("if-match", &second)]).await;
        assert_eq!(gone.status(), StatusCode::NO_CONTENT);
        let answer = desk.get(path).await;
        assert_eq!((answer.status().as_u16(), answer.code().as_str()), (404, "journey.no_draft"));
    });
}

#[test]
fn roles_are_kept_to() {
    block_on(async {
        let desk = Desk::new().await;
        let viewer = desk.server.key(KeyScope::Read).await;
        let track = desk.server.key(KeyScope::Track).await;
        assert_eq!(desk.server.get("", "/api/v1/journeys").await.code(), "access.unauthorized");
        assert_eq!(desk.server.get(&track, "/api/v1/journeys").await.code(), "access.forbidden");
        assert!(desk.server.get(&viewer, "/api/v1/journeys").await.status().is_success());
        for path in ["publish", "pause", "enter", "test", "simulate", "retry"] {
            let answer =
                desk.server.post(&viewer, &format!("/api/v1/journeys/hello/{path}"), json!({})).await;
            assert_eq!(answer.code(), "access.forbidden", "{path}: {}", answer.text());
        }
    });
}

#[test]
fn the_examples_are_checked_and_published() {
    block_on(async {
        let desk = Desk::new().await;
        let examples = [
            ("s0", "rfm-recommendations"),
            ("s1/flow", ""),
            ("s2", "reactivation-coupon"),
            ("s3", ""),
            ("s4", "abandoned-cart"),
        ];
        for (name, slug) in examples {
            let folder = example(name);
            let checked = desk.post("/api/v1/journeys/check", folder.clone()).await.json();
            assert_eq!(checked["publishable"], true, "{name}: {checked}");
            let own = checked["summary"]["journey"].as_str().unwrap().to_owned();
            assert!(slug.is_empty() || own == slug);
            let done = desk.publish(&own, &folder).await;
            assert_eq!(done["life"]["life"], "active", "{name}: {done}");
            assert_eq!(done["life"]["version"], 1);
            let again = desk.post(&format!("/api/v1/journeys/{own}/publish"), json!({})).await.json();
            assert_eq!(again["unchanged"], true, "{name}: {again}");
        }
        let mut seen = Vec::new();
        let mut path = "/api/v1/journeys?limit=2".to_owned();
        loop {
            let page = desk.get(&path).await.json();
            seen.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/api/v1/journeys?limit=2&cursor={next}");
        }
        assert_eq!(seen.len(), 5);
        let slugs: Vec<&str> = seen.iter().map(|item| item["slug"].as_str().unwrap()).collect();
        assert!(slugs.is_sorted(), "{slugs:?}");
        let cart = seen.iter().find(|item| item["slug"] == "abandoned-cart").unwrap();
        assert_eq!(cart["name"], json!({"en": "Abandoned cart", "fr": "Panier abandonné"}));
        let recommend = seen.iter().find(|item| item["slug"] == "rfm-recommendations").unwrap();
        assert_eq!(recommend["lives"][0]["life"], "active");
        let one = desk.get("/api/v1/journeys/rfm-recommendations").await;
        assert_eq!(one.json()["versions"][0]["version"], 1);
        assert_eq!(one.json()["history"][0]["life"], "active");
        let tag = one.head.headers["etag"].to_str().unwrap().to_owned();
        let path = "/api/v1/journeys/rfm-recommendations";
        let known =
            desk.server.ask_with(Method::GET, &desk.key, path, None, &[("if-none-match", &tag)]).await;
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
        let version = desk.get("/api/v1/journeys/rfm-recommendations/versions/1").await.json();
        assert_eq!(version["journey"]["journey"], "rfm-recommendations");
        assert_eq!(desk.get("/api/v1/journeys/rfm-recommendations/versions/2").await.code(), "not_found");
    });
}

#[test]
fn contacts_enter_once_for_a_message_id_and_what_became_of_them_is_told() {
    block_on(async {
        let mut desk = Desk::new().await;
        desk.publish("hello", &hello()).await;
        let body = json!({"contacts": ["a", "b@example.test", "id:3", "d"], "message_id": "m1"});
        for _ in 0..2 {
            let answer = desk.post("/api/v1/journeys/hello/enter", body.clone()).await;
            assert_eq!(answer.status(), StatusCode::ACCEPTED, "{}", answer.text());
            assert_eq!(answer.json()["contacts"], 4);
            desk.settle().await;
        }
        let counts = desk.get("/api/v1/journeys/hello/counts").await.json();
        let version = &counts["versions"][0];
        assert_eq!((&version["entered"], &version["inside"]), (&json!(4), &json!(0)), "{version}");
        let mail = version["nodes"].as_array().unwrap().iter().find(|node| node["node"] == "mail").unwrap();
        assert_eq!(mail["came"], 4, "{mail}");
        let refused = mail["outcomes"].as_array().unwrap().iter().find(|one| one.get("reason").is_some());
        assert_eq!(refused.unwrap()["contacts"], 1, "{mail}");

        let page = desk.get("/api/v1/journeys/hello/recipients?limit=3").await.json();
        let items = page["items"].as_array().unwrap();
        assert_eq!(items.len(), 3);
        assert_eq!(items[0]["contact"], json!({"id": 1, "name": "a"}));
        assert_eq!(items[0]["nodes"], json!(["mail"]));
        assert_eq!(items[0]["messages"][0]["state"], "waiting");
        let next = page["next"].as_str().unwrap();
        let page = desk.get(&format!("/api/v1/journeys/hello/recipients?limit=3&cursor={next}")).await.json();
        assert_eq!(page["items"].as_array().unwrap().len(), 1);
        assert_eq!(page["next"], Value::Null);
        for (filter, n) in [
            ("inside=true", 0),
            ("inside=false", 4),
            ("why=end", 4),
            ("why=stopped", 0),
            ("node=mail", 4),
            ("contact=d", 1),
        ] {
            let page = desk.get(&format!("/api/v1/journeys/hello/recipients?{filter}")).await.json();
            assert_eq!(page["items"].as_array().unwrap().len(), n, "{filter}: {page}");
        }
        let trace = desk.get("/api/v1/journeys/hello/trace?contact=d&lang=fr").await.json();
        let steps = trace["enrolments"][0]["steps"].as_array().unwrap();
        assert_eq!(steps.last().unwrap()["node"], "mail", "{trace}");
        assert!(!steps.last().unwrap()["why"].as_str().unwrap().is_empty(), "{trace}");

        for (body, code) in [
            (json!({"contacts": ["nobody"]}), "contact.unknown"),
            (json!({"contacts": []}), "enter.contacts"),
            (json!({"contacts": ["a"], "message_id": ""}), "enter.message_id"),
            (json!({"contacts": ["a"], "more": 1}), "body.invalid"),
        ] {
            let answer = desk.post("/api/v1/journeys/hello/enter", body).await;
            assert_eq!(answer.code(), code);
        }
        assert_eq!(desk.get("/api/v1/journeys/other/counts").await.code(), "journey.not_published");
    });
}

#[test]
fn a_journey_is_paused_resumed_stopped_and_its_changes_are_written_down() {
    block_on(async {
        let mut desk = Desk::new().await;
        desk.publish("hello", &hello()).await;
        let tell = async |desk: &Desk, what: &str| {
            desk.post(&format!("/api/v1/journeys/hello/{what}"), json!({})).await
        };
        assert_eq!(tell(&desk, "resume").await.code(), "journey.life");
        assert_eq!(tell(&desk, "pause").await.json()["lives"][0]["life"], "paused");
        desk.post("/api/v1/journeys/hello/enter", json!({"contacts": ["a"]})).await;
        desk.settle().await;
        let one = desk.get("/api/v1/journeys/hello").await.json();
        assert_eq!(one["held"], 1, "{one}");
        assert_eq!(tell(&desk, "resume").await.json()["held"], 1);
        desk.settle().await;
        let stopped = tell(&desk, "stop").await.json();
        assert_eq!(stopped["cancelled"], 1, "{stopped}");
        let again = tell(&desk, "stop").await;
        assert_eq!((again.status().as_u16(), again.code().as_str()), (409, "journey.life"));
        assert_eq!(tell(&desk, "pause").await.status().as_u16(), 409);
        let owner = desk.server.key(KeyScope::Admin).await;
        let log = desk.server.get(&owner, "/api/v1/audit?object=journey:hello").await.json();
        let actions: Vec<&str> =
            log["items"].as_array().unwrap().iter().map(|item| item["action"].as_str().unwrap()).collect();
        assert_eq!(
            actions,
            [
                "journey.stop",
                "journey.resume",
                "journey.enter",
                "journey.pause",
                "journey.publish",
                "journey.draft"
            ]
        );
    });
}

#[test]
fn what_cannot_be_published_is_refused_with_all_that_is_wrong() {
    block_on(async {
        let desk = Desk::new().await;
        let answer = desk.post("/api/v1/journeys/hello/publish", json!({})).await;
        assert_eq!((answer.status().as_u16(), answer.code().as_str()), (404, "journey.no_draft"));
        let mut wrong = hello();
        wrong["journey"] = "format: 1\njourney: hello\nnodes: {mail: {kind: send_emial}}\n".into();
        let answer = desk.post("/api/v1/journeys/hello/publish", json!({"folder": wrong})).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.json()["problems"].as_array().unwrap().len() > 1, "{}", answer.text());
        let answer = desk.post("/api/v1/journeys/other/publish", json!({"folder": hello()})).await;
        assert_eq!(answer.code(), "journey.slug");
        // Trees say what is wrong without a line.
        let tree = json!({"journey": {"format": 1, "journey": "x", "nodes": {"m": {"kind": "no"}}}});
        let checked = desk.post("/api/v1/journeys/check", tree).await.json();
        assert_eq!(checked["publishable"], false);
        for problem in checked["problems"].as_array().unwrap() {
            assert_eq!(problem.get("place"), None, "{problem}");
        }
    });
}
