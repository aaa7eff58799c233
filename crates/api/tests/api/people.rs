//! Contacts, fields, lists.

use axum::http::{Method, StatusCode};
use model::event::kind;
use serde_json::{Value, json};
use storage::{
    access::KeyScope,
    contacts::{ContactStore, IdentifierKind},
    imports::{ImportBatch, ImportStore},
    people::PeopleStore,
};
use testkit::{at, block_on, contact, event, order};

use crate::support::{Answer, NOW, Server};

/// Six people, some with a history.
async fn shop() -> (Server, String) {
    let server = Server::new();
    let key = server.key(KeyScope::Admin).await;
    let now = at(NOW);
    let mut batch = ImportBatch::new(now);
    for (n, (id, country)) in
        [("anna", "France"), ("ben", "Spain"), ("carl", "France"), ("dora", "France"), ("eve", "Spain")]
            .iter()
            .enumerate()
    {
        let mut patch = contact(id);
        patch.country = Some((*country).to_owned());
        patch.last_name = Some(format!("Martin{n}"));
        batch.contacts.push(patch);
    }
    for n in 0..5 {
        batch.events.push(event("anna", kind::PRODUCT_VIEWED, now.plus_days(-n), "product_id", "mug"));
    }
    order(&mut batch, "o1", "anna", now.plus_days(-2), &[("mug", 1, 5)]);
    server.store.import(batch).await.unwrap();
    (server, key)
}

fn ids(answer: &Answer) -> Vec<String> {
    let items = answer.json()["items"].as_array().unwrap().clone();
    items.iter().map(|item| item["external_id"].as_str().unwrap_or("-").to_owned()).collect()
}

/// All pages of a list.
async fn pages(server: &Server, key: &str, path: &str) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = server.get(key, &format!("{path}{cursor}")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text());
        all.extend(ids(&answer));
        match answer.json()["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[test]
fn contacts_are_found_in_pages() {
    block_on(async {
        let (server, key) = shop().await;
        let all = ["anna", "ben", "carl", "dora", "eve"];
        assert_eq!(pages(&server, &key, "/api/v1/contacts?limit=2").await, all);
        for (query, expected) in [
            ("search=ANNA%40ex", vec!["anna"]),
            ("search=martin", all.to_vec()),
            ("search=first%20d&by=name", vec!["dora"]),
            ("search=carl&by=external_id", vec!["carl"]),
            ("search=nobody", vec![]),
            ("condition=%7Bfield%3A%20country%2C%20is%3A%20France%7D", vec!["anna", "carl", "dora"]),
            (
                "condition=%7B%22field%22%3A%22country%22%2C%22is%22%3A%22Spain%22%7D&search=martin",
                vec!["ben", "eve"],
            ),
        ] {
            for limit in [1, 2, 50] {
                let found = pages(&server, &key, &format!("/api/v1/contacts?limit={limit}&{query}")).await;
                assert_eq!(found, expected, "{query} by {limit}");
            }
        }
        for (query, status, code) in [
            ("limit=0", 422, "page.limit"),
            ("cursor=%21", 422, "page.cursor"),
            ("segment=vip", 404, "not_found"),
            ("segment=V%20I%20P", 422, "slug.invalid"),
            ("segment=vip&list=vip", 422, "contacts.filters"),
            ("condition=%7Bfield%3A%20contry%2C%20is%3A%20France%7D", 422, "field.unknown"),
            ("by=shoe", 400, "query.invalid"),
        ] {
            let answer = server.get(&key, &format!("/api/v1/contacts?{query}")).await;
            assert_eq!(
                (answer.status().as_u16(), answer.code().as_str()),
                (status, code),
                "{query}: {}",
                answer.text()
            );
        }
        let next = server.get(&key, "/api/v1/contacts?limit=1&search=martin").await.json()["next"].clone();
        let answer = server.get(&key, &format!("/api/v1/contacts?cursor={}", next.as_str().unwrap())).await;
        assert_eq!(answer.code(), "page.cursor", "a cursor belongs to its filters");
    });
}

#[test]
fn a_contact_is_named_in_many_ways_and_changed_by_one_at_a_time() {
    block_on(async {
        let (server, key) = shop().await;
        let number = server.get(&key, "/api/v1/contacts/anna").await.json()["id"].as_i64().unwrap();
        for name in [
            "anna",
            "anna@example.test",
            "email:ANNA@example.test",
            "external_id:anna",
            &format!("id:{number}"),
        ] {
            let answer = server.get(&key, &format!("/api/v1/contacts/{name}")).await;
            assert_eq!(answer.json()["external_id"], "anna", "{name}");
            assert_eq!(answer.json()["totals"]["spent"], "5");
        }
        let answer = server.get(&key, "/api/v1/contacts/id:99").await;
        assert_eq!((answer.status(), answer.code().as_str()), (StatusCode::NOT_FOUND, "contact.unknown"));

        let change = json!({"first_name": null, "country": "Italy", "birth_date": "1984-02-29", "lists": ["vip", "press", "vip"]});
        let answer = server.ask(Method::PATCH, &key, "/api/v1/contacts/anna", Some(change)).await;
        let body = answer.json();
        assert_eq!(answer.status(), StatusCode::OK, "{body}");
        assert_eq!((&body["first_name"], &body["country"]), (&Value::Null, &json!("Italy")));
        assert_eq!((&body["birth_date"], &body["lists"]), (&json!("1984-02-29"), &json!(["press", "vip"])));
        let taken = json!({"email": "ben@example.test"});
        let answer = server.ask(Method::PATCH, &key, "/api/v1/contacts/anna", Some(taken)).await;
        assert_eq!((answer.status().as_u16(), answer.code().as_str()), (422, "contact.identifier_taken"));
        let wrong = json!({"email": "ben", "birth_date": "yesterday", "fields": {"shoe": 43}});
        let answer = server.ask(Method::PATCH, &key, "/api/v1/contacts/anna", Some(wrong)).await;
        assert_eq!(answer.status().as_u16(), 422);
        let fields: Vec<Value> =
            answer.json()["problems"].as_array().unwrap().iter().map(|p| p["field"].clone()).collect();
        assert_eq!(fields, ["email", "birth_date", "fields.shoe"], "everything that is wrong at once");
        let request = axum::http::Request::builder()
            .method(Method::PATCH)
            .uri("/api/v1/contacts/anna")
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .header("if-match", "\"old\"")
            .body(axum::body::Body::from("{}"))
            .unwrap();
        assert_eq!(server.send(request).await.status(), StatusCode::PRECONDITION_FAILED);
    });
}

#[test]
fn contacts_are_made_and_joined() {
    block_on(async {
        let (server, key) = shop().await;
        let new = json!({"external_id": "zoe", "email": "zoe@shop.example", "anonymous_ids": ["b1"]});
        let answer = server.post(&key, "/api/v1/contacts", new.clone()).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{}", answer.text());
        assert_eq!(server.post(&key, "/api/v1/contacts", new).await.status(), StatusCode::OK);
        assert_eq!(server.get(&key, "/api/v1/contacts/anonymous_id:b1").await.json()["external_id"], "zoe");
        for (body, code) in [
            (json!({}), "contact.no_identifier"),
            (json!({"email": "zoe"}), "email.invalid"),
            (json!({"external_id": "x".repeat(256)}), "contact.text"),
            (json!({"external_id": "ben", "email": "anna@example.test"}), "contact.identifier_taken"),
            (json!({"external_id": "q", "anonymous_ids": vec!["b"; 21]}), "contact.too_many_ids"),
        ] {
            let answer = server.post(&key, "/api/v1/contacts", body.clone()).await;
            assert_eq!(
                (answer.status().as_u16(), answer.code().as_str()),
                (422, code),
                "{body}: {}",
                answer.text()
            );
        }
        let ben = server.get(&key, "/api/v1/contacts/ben").await.json()["id"].clone();
        let answer = server.post(&key, "/api/v1/contacts/anna/merge", json!({"contact": "ben"})).await;
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text());
        for name in ["ben".to_owned(), "ben@example.test".to_owned(), format!("id:{ben}")] {
            let answer = server.get(&key, &format!("/api/v1/contacts/{name}")).await;
            assert_eq!(answer.json()["external_id"], "anna", "{name} leads on");
        }
        let answer = server.post(&key, "/api/v1/contacts/anna/merge", json!({"contact": "ben"})).await;
        assert_eq!(answer.code(), "contact.same");
    });
}

#[test]
fn a_timeline_is_read_backwards() {
    block_on(async {
        let (server, key) = shop().await;
        let (mut kinds, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = server.get(&key, &format!("/api/v1/contacts/anna/timeline?limit=2{cursor}")).await;
            assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text());
            for item in answer.json()["items"].as_array().unwrap() {
                kinds.push((
                    item["at"].as_str().unwrap().to_owned(),
                    item["kind"].as_str().unwrap().to_owned(),
                ));
            }
            match answer.json()["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(kinds.len(), 6);
        assert!(kinds.is_sorted_by(|a, b| a.0 >= b.0), "{kinds:?}");
        assert_eq!(kinds.iter().filter(|(_, kind)| kind == "order").count(), 1);
        let answer = server.get(&key, "/api/v1/contacts/anna/trace").await;
        assert_eq!(answer.json()["items"], json!([]));
    });
}

#[test]
fn a_person_is_exported_and_erased_by_owners_alone() {
    block_on(async {
        let (server, key) = shop().await;
        let editor = server.key(KeyScope::Write).await;
        let put = json!({"state": "subscribed", "proof": "the form at the till"});
        let path = "/api/v1/contacts/anna/consents/newsletter~promotions";
        let answer = server.ask(Method::PUT, &editor, path, Some(put)).await;
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text());
        let late = json!({"state": "unsubscribed", "proof": "x", "at": "2020-01-01T00:00:00Z"});
        assert_eq!(server.ask(Method::PUT, &editor, path, Some(late)).await.code(), "consent.time");
        let none = json!({"state": "unsubscribed", "proof": " "});
        assert_eq!(server.ask(Method::PUT, &editor, path, Some(none)).await.code(), "consent.proof");

        for method in [Method::GET, Method::DELETE] {
            let path =
                if method == Method::GET { "/api/v1/contacts/anna/export" } else { "/api/v1/contacts/anna" };
            assert_eq!(server.ask(method, &editor, path, None).await.status(), StatusCode::FORBIDDEN);
        }
        let answer = server.get(&key, "/api/v1/contacts/anna/export").await;
        let document = answer.json();
        assert_eq!(document["contact"]["email"], "anna@example.test");
        assert_eq!(document["contact"]["consents"][0]["proof"], "the form at the till");
        assert_eq!(document["events"].as_array().unwrap().len(), 5);
        assert_eq!(document["orders"][0]["lines"][0]["product_id"], "mug");
        assert_eq!(document["orders"][0]["total"], 5);
        let id = document["contact"]["id"].as_i64().unwrap();

        let answer = server.ask(Method::DELETE, &key, "/api/v1/contacts/anna", None).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{}", answer.text());
        for name in ["anna".to_owned(), "anna@example.test".to_owned(), format!("id:{id}")] {
            let answer = server.get(&key, &format!("/api/v1/contacts/{name}")).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{name}");
        }
        let id = model::ContactId(id);
        assert_eq!(server.store.successors(vec![id]).await.unwrap(), [model::ContactId(0)]);
        let who = vec![(IdentifierKind::Email, "anna@example.test".to_owned())];
        assert_eq!(server.store.resolve(who).await.unwrap(), [None]);
        let log = server.get(&key, "/api/v1/audit").await;
        assert!(log.text().contains("contact.erase") && !log.text().contains("anna"), "{}", log.text());
    });
}

#[test]
fn fields_and_lists_are_kept() {
    block_on(async {
        let (server, key) = shop().await;
        let shoe =
            json!({"type": "integer", "name": {"en": "Shoe size", "fr": "Pointure"}, "min": 20, "max": 60});
        let put = |path: &'static str, body: Value| server.ask(Method::PUT, &key, path, Some(body));
        assert_eq!(put("/api/v1/fields/shoe", shoe.clone()).await.status(), StatusCode::CREATED);
        assert_eq!(put("/api/v1/fields/shoe", shoe).await.status(), StatusCode::OK);
        for (path, body, code) in [
            ("/api/v1/fields/shoe", json!({"type": "text"}), "field.type"),
            ("/api/v1/fields/email", json!({"type": "text"}), "field.built_in"),
            ("/api/v1/fields/hat", json!({"type": "size"}), "field.unknown_type"),
            ("/api/v1/fields/H%20T", json!({"type": "text"}), "slug.invalid"),
        ] {
            let answer = put(path, body).await;
            assert_eq!((answer.status().as_u16(), answer.code().as_str()), (422, code), "{}", answer.text());
        }
        let fields = server.get(&key, "/api/v1/fields").await.json();
        let shoe = fields["items"].as_array().unwrap().iter().find(|field| field["slug"] == "shoe").unwrap();
        assert_eq!(
            (&shoe["type"], &shoe["terms"]["max"], &shoe["name"]["fr"]),
            (&json!("integer"), &json!(60), &json!("Pointure"))
        );
        let change = |size: Value| {
            server.ask(Method::PATCH, &key, "/api/v1/contacts/ben", Some(json!({"fields": {"shoe": size}})))
        };
        assert_eq!(change(json!(43)).await.json()["fields"]["shoe"], 43);
        assert_eq!(change(json!(61)).await.code(), "field.out_of_range");
        assert_eq!(change(json!({})).await.code(), "field.type");
        assert_eq!(change(Value::Null).await.json()["fields"], json!({}));

        let answer = put("/api/v1/lists/vip", json!({"name": "Very important"})).await;
        assert_eq!(answer.json()["members"], 0);
        let change = |body: Value| server.post(&key, "/api/v1/lists/vip/contacts", body);
        let answer = change(json!({"add": ["anna", "ben@example.test", "carl"]})).await;
        assert_eq!((answer.status().as_u16(), answer.json()), (200, json!({"added": 3, "removed": 0})));
        assert_eq!(
            change(json!({"add": ["anna"], "remove": ["carl"]})).await.json(),
            json!({"added": 0, "removed": 1})
        );
        assert_eq!(change(json!({"add": ["nobody"]})).await.code(), "contact.unknown");
        assert_eq!(change(json!({})).await.code(), "list.contacts");
        assert_eq!(change(json!({"add": vec!["anna"; 1_001]})).await.code(), "list.contacts");
        assert_eq!(pages(&server, &key, "/api/v1/lists/vip/contacts?limit=1").await, ["anna", "ben"]);
        assert_eq!(pages(&server, &key, "/api/v1/contacts?list=vip").await, ["anna", "ben"]);
        assert_eq!(server.get(&key, "/api/v1/lists").await.json()["items"][0]["members"], 2);
        assert_eq!(server.get(&key, "/api/v1/lists/none/contacts").await.status(), StatusCode::NOT_FOUND);
        let gone = server.ask(Method::DELETE, &key, "/api/v1/lists/vip", None).await;
        assert_eq!(gone.status(), StatusCode::NO_CONTENT);
        assert_eq!(server.get(&key, "/api/v1/lists").await.json()["items"], json!([]));
        assert_eq!(server.get(&key, "/api/v1/contacts/anna").await.json()["lists"], json!([]));
    });
}
