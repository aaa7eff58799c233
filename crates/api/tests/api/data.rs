//! Segments, catalogue, carts, orders, RFM, coupons, templates, recommendations.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use model::{Consent, ConsentState, Slug, Timestamp};
use serde_json::{Value, json};
use storage::{
    access::KeyScope,
    catalogue::PRODUCTS_LOOKED_AT,
    imports::{ContactPatch, ImportBatch, ImportStore},
    live::LiveStore,
    outbox::{MessageFilter, OutboxStore},
    settings::{SettingsStore, key},
};
use testkit::{at, block_on, cart, contact, dated, order, product};

use crate::support::{Answer, NOW, Server};

/// Two buyers and one who only looked; a cart; three products.
async fn shop() -> (Server, String) {
    let server = Server::new();
    let mut batch = ImportBatch::new(at(NOW));
    for name in ["Ann", "Bob", "Cat"] {
        let mut patch = contact(name);
        if name != "Cat" {
            patch.consents.push(Consent {
                purpose: Slug::parse("newsletter").unwrap(),
                state: ConsentState::Subscribed,
                at: dated(0),
                source: "form".into(),
                proof: String::new(),
            });
        }
        batch.contacts.push(patch);
    }
    for (id, price) in [("P1", 10), ("P2", 20), ("P3", 30)] {
        batch.products.push(product(id, price));
    }
    for day in [200, 250, 290] {
        order(&mut batch, &format!("A{day}"), "Ann", dated(day), &[("P1", 2, 10), ("P2", 1, 20)]);
    }
    order(&mut batch, "B1", "Bob", dated(100), &[("P1", 1, 10)]);
    cart(&mut batch, "C1", "Bob", at(NOW).plus(-Timestamp::HOUR), &[("P3", 1, 30)]);
    server.store.import(batch).await.unwrap();
    let key = server.key(KeyScope::Admin).await;
    (server, key)
}

async fn put(server: &Server, key: &str, path: &str, condition: &str, body: &Value) -> Answer {
    let mut request = Request::put(path)
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::CONTENT_TYPE, "application/json");
    if let Some((name, value)) = condition.split_once(": ") {
        request = request.header(name, value);
    }
    server.send(request.body(Body::from(body.to_string())).unwrap()).await
}

#[test]
fn a_rare_product_of_a_large_catalogue_is_looked_for_in_several_requests() {
    block_on(async {
        let (server, key) = shop().await;
        let base = rusqlite::Connection::open(server.store.file()).unwrap();
        let add = |from: usize, to: usize, name: &str| {
            let sql = "INSERT INTO products (product_id, external_id, price_at, profile)
                WITH RECURSIVE n (id) AS (SELECT ?1 UNION ALL SELECT id + 1 FROM n WHERE id < ?2)
                SELECT n.id, 'N' || n.id, price_at, json_set(profile, '$.external_id', 'N' || n.id, '$.name', ?3)
                FROM n, products WHERE product_id = 1";
            base.execute(sql, (from as i64, to as i64, name)).unwrap();
        };
        let search = async |query: &str| {
            let page = server.get(&key, &format!("/api/v1/products?{query}")).await.json();
            let found: Vec<String> =
                page["items"].as_array().unwrap().iter().map(|item| item["id"].to_string()).collect();
            (found, page["next"].as_str().map(str::to_owned))
        };
        let edge = PRODUCTS_LOOKED_AT;
        add(4, edge - 1, "Common");
        add(edge, edge, "Rare");
        assert_eq!(search("search=nowhere").await, (Vec::new(), None), "all were looked at");
        let (found, next) = search("search=rare").await;
        assert_eq!((found.len(), next), (1, None), "{found:?}");

        add(edge + 1, edge + 1, "Rarer");
        let (found, next) = search("search=rarer").await;
        assert_eq!(found, Vec::<String>::new());
        let next = next.expect("one was not looked at");
        let (found, next) = search(&format!("search=rarer&cursor={next}")).await;
        assert_eq!((found.len(), next), (1, None), "{found:?}");
    });
}

#[test]
fn a_segment_is_looked_at_saved_built_and_read() {
    block_on(async {
        let (server, key) = shop().await;
        let condition = json!({"consent": "newsletter", "is": "subscribed"});
        let seen = server.post(&key, "/api/v1/segments/preview", json!({"condition": condition})).await;
        assert_eq!(seen.status(), StatusCode::OK, "{}", seen.text());
        assert_eq!((&seen.json()["members"], &seen.json()["contacts"]), (&json!(2), &json!(3)));
        assert_eq!(seen.json()["sample"].as_array().unwrap().len(), 2);

        let body = json!({"definition": {"format": 1, "name": {"en": "Readers", "fr": "Lecteurs"}, "condition": condition}});
        let saved = put(&server, &key, "/api/v1/segments/readers", "", &body).await;
        assert_eq!(saved.status(), StatusCode::OK, "{}", saved.text());
        assert_eq!((&saved.json()["members"], &saved.json()["entered"]), (&json!(2), &json!(2)));
        let list = server.get(&key, "/api/v1/segments").await.json();
        assert_eq!(
            (&list["items"][0]["slug"], &list["items"][0]["state"]),
            (&json!("readers"), &json!("built"))
        );
        assert_eq!(list["items"][0]["name"]["fr"], "Lecteurs");

        let mut names = Vec::new();
        let mut path = "/api/v1/segments/readers/contacts?limit=1".to_owned();
        loop {
            let page = server.get(&key, &path).await.json();
            names.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].clone()));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/api/v1/segments/readers/contacts?limit=1&cursor={next}");
        }
        assert_eq!(names, ["Ann", "Bob"]);
    });
}

#[test]
fn a_list_that_nobody_made_is_warned_of() {
    block_on(async {
        let (server, key) = shop().await;
        let mut batch = ImportBatch::new(at(NOW));
        let lists = vec![Slug::parse("vip").unwrap()];
        batch.contacts.push(ContactPatch {
            external_id: Some("Ann".into()),
            lists,
            ..ContactPatch::default()
        });
        server.store.import(batch).await.unwrap();
        let warned = |answer: &Answer| {
            assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text());
            let warnings = answer.json()["warnings"].as_array().unwrap().clone();
            let said = |warning: &Value| {
                (warning["code"].clone(), warning["field"].clone(), warning["cure"].clone())
            };
            warnings.iter().map(said).collect::<Vec<_>>()
        };
        let unknown = (json!("list.unknown"), json!("condition.list"), json!("did you mean `vip`?"));
        for (list, expected) in [("vp", vec![unknown]), ("vip", vec![])] {
            let condition = json!({"list": list});
            let body = json!({"condition": condition});
            let seen = server.post(&key, "/api/v1/segments/preview", body).await;
            assert_eq!(warned(&seen), expected, "looked at: {list}");
            let body = json!({"definition": {"format": 1, "condition": condition}});
            let saved = put(&server, &key, &format!("/api/v1/segments/on-{list}"), "", &body).await;
            assert_eq!(warned(&saved), expected, "saved: {list}");
        }
    });
}

#[test]
fn versions_are_kept_to() {
    block_on(async {
        let (server, key) = shop().await;
        let body = |word: &str| json!({"source": format!("format: 1\ncondition: {{consent: newsletter, is: {word}}}\n")});
        let path = "/api/v1/segments/readers";
        let first = put(&server, &key, path, "", &body("subscribed")).await;
        let tag = first.head.headers[header::ETAG].to_str().unwrap().to_owned();
        let known = Request::get(path)
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .header(header::IF_NONE_MATCH, &tag);
        assert_eq!(server.send(known.body(Body::empty()).unwrap()).await.status(), StatusCode::NOT_MODIFIED);
        let unseen = put(&server, &key, path, "", &body("unsubscribed")).await;
        assert_eq!((unseen.status().as_u16(), unseen.code().as_str()), (428, "precondition.required"));
        let seen = put(&server, &key, path, &format!("If-Match: {tag}"), &body("unsubscribed")).await;
        assert_eq!((seen.status(), &seen.json()["members"]), (StatusCode::OK, &json!(0)));
        let stale = put(&server, &key, path, &format!("If-Match: {tag}"), &body("subscribed")).await;
        assert_eq!((stale.status().as_u16(), stale.code().as_str()), (412, "precondition.failed"));
    });
}

#[test]
fn bad_segments_say_what_is_wrong_and_where() {
    block_on(async {
        let (server, key) = shop().await;
        let path = "/api/v1/segments/readers";
        let bad =
            put(&server, &key, path, "", &json!({"source": "format: 1\ncondition: {consnt: a, is: b}\n"}))
                .await;
        assert_eq!(bad.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let problem = &bad.json()["problems"][0];
        assert!(problem["place"].is_array() && problem["cure"].is_string(), "{problem}");
        let other = json!({"definition": {"format": 1, "segment": "x", "condition": {"consent": "a", "is": "subscribed"}}});
        assert_eq!(put(&server, &key, path, "", &other).await.code(), "segment.name");
        assert_eq!(put(&server, &key, path, "", &json!({})).await.code(), "definition.missing");
        assert_eq!(put(&server, &key, "/api/v1/segments/É", "", &other).await.code(), "slug.invalid");
        assert_eq!(server.get(&key, "/api/v1/segments/nobody").await.status(), StatusCode::NOT_FOUND);
        let many =
            server.post(&key, "/api/v1/segments/preview", json!({"segment": "nobody", "sample": 101})).await;
        assert_eq!(many.code(), "preview.sample");
        // Nothing of all that was saved.
        assert_eq!(server.get(&key, "/api/v1/segments").await.json()["items"], json!([]));
    });
}

#[test]
fn roles_are_kept_to() {
    block_on(async {
        let (server, _) = shop().await;
        let (reader, tracker) = (server.key(KeyScope::Read).await, server.key(KeyScope::Track).await);
        for path in
            ["/api/v1/segments", "/api/v1/orders", "/api/v1/products", "/api/v1/rfm", "/api/v1/coupons"]
        {
            assert_eq!(server.get("", path).await.status(), StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(server.get(&tracker, path).await.status(), StatusCode::FORBIDDEN, "{path}");
            assert_eq!(server.get(&reader, path).await.status(), StatusCode::OK, "{path}");
        }
        let body = json!({"definition": {"format": 1, "condition": {"consent": "a", "is": "subscribed"}}});
        let answer = put(&server, &reader, "/api/v1/segments/a", "", &body).await;
        assert_eq!((answer.status(), answer.code().as_str()), (StatusCode::FORBIDDEN, "access.forbidden"));
    });
}

#[test]
fn orders_and_carts_in_pages_with_names_and_products() {
    block_on(async {
        let (server, key) = shop().await;
        let mut ids = Vec::new();
        let mut path = "/api/v1/orders?limit=3".to_owned();
        loop {
            let page = server.get(&key, &path).await.json();
            ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["order_id"].clone()));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/api/v1/orders?limit=3&cursor={next}");
        }
        assert_eq!(ids, ["A290", "A250", "A200", "B1"]);
        let of_ann = server
            .get(&key, "/api/v1/orders?contact=ann@example.test&since=2026-08-01T00:00:00Z")
            .await
            .json();
        assert_eq!(of_ann["items"].as_array().unwrap().len(), 2);
        let one = server.get(&key, "/api/v1/orders/B1").await.json();
        assert_eq!((&one["contact"]["name"], &one["lines"][0]["product_id"]), (&json!("Bob"), &json!("P1")));
        assert_eq!(one["lines"][0]["name"], "Product P1");
        assert!(one["total"].as_str().unwrap().starts_with("10"), "{one}");
        assert_eq!(server.get(&key, "/api/v1/orders/none").await.status(), StatusCode::NOT_FOUND);
        assert_eq!(server.get(&key, "/api/v1/orders?contact=nobody").await.code(), "contact.unknown");
        assert_eq!(server.get(&key, "/api/v1/orders?since=yesterday").await.code(), "query.invalid");
        assert_eq!(server.get(&key, "/api/v1/orders?limit=501").await.code(), "page.limit");

        for path in ["/api/v1/carts", "/api/v1/carts?contact=Bob"] {
            let carts = server.get(&key, path).await.json();
            assert_eq!(
                (&carts["items"][0]["cart_id"], &carts["items"][0]["state"]),
                (&json!("C1"), &json!("abandoned"))
            );
            assert_eq!(carts["items"].as_array().unwrap().len(), 1);
        }
        assert_eq!(server.get(&key, "/api/v1/carts/C1").await.json()["lines"][0]["product_id"], "P3");
        assert_eq!(server.get(&key, "/api/v1/carts/B1").await.status(), StatusCode::NOT_FOUND);
    });
}

#[test]
fn a_product_is_found_and_changed_and_the_engine_hears_of_it() {
    block_on(async {
        let (server, key) = shop().await;
        let found = server.get(&key, "/api/v1/products?search=product%20p2").await.json();
        assert_eq!(found["items"].as_array().unwrap().len(), 1);
        let below = server.get(&key, "/api/v1/products?category=/All&limit=2").await.json();
        assert_eq!(below["items"].as_array().unwrap().len(), 2);
        assert_eq!(server.get(&key, "/api/v1/products?category=/Al").await.json()["items"], json!([]));
        let before = server.store.last_input().await.unwrap();
        let patch = json!({"unit_price": "15.50", "blacklisted": true});
        let changed = server.ask(Method::PATCH, &key, "/api/v1/products/P2", Some(patch)).await;
        assert_eq!(changed.status(), StatusCode::OK, "{}", changed.text());
        assert_eq!(
            (&changed.json()["blacklisted"], &changed.json()["recommendable"]),
            (&json!(true), &json!(false))
        );
        assert!(changed.json()["unit_price"].as_str().unwrap().starts_with("15.5"));
        assert!(server.store.last_input().await.unwrap() > before, "a price drop is an input");
        let typo = server.ask(Method::PATCH, &key, "/api/v1/products/P2", Some(json!({"prize": 1}))).await;
        assert_eq!((typo.status(), typo.code().as_str()), (StatusCode::BAD_REQUEST, "body.invalid"));
        let none = server.ask(Method::PATCH, &key, "/api/v1/products/P9", Some(json!({}))).await;
        assert_eq!(none.status(), StatusCode::NOT_FOUND);
    });
}

#[test]
fn rfm_is_run_read_and_compared_between_dates() {
    block_on(async {
        let (server, key) = shop().await;
        assert_eq!(server.get(&key, "/api/v1/rfm/classic-11").await.status(), StatusCode::NOT_FOUND);
        let ran = server.post(&key, "/api/v1/rfm/classic-11/run", json!({})).await;
        assert_eq!(ran.status(), StatusCode::OK, "{}", ran.text());
        let groups = ran.json()["groups"].clone();
        let contacts: u64 = groups.as_array().unwrap().iter().map(|g| g["contacts"].as_u64().unwrap()).sum();
        assert_eq!(contacts, 2, "those who bought");
        let revenue: f64 = groups
            .as_array()
            .unwrap()
            .iter()
            .map(|g| g["revenue"].as_str().unwrap().parse::<f64>().unwrap())
            .sum();
        assert_eq!(revenue, 130.0);
        assert!(groups.as_array().unwrap().iter().any(|g| g["name"]["fr"] == "Clients fidèles"));
        let model = server.get(&key, "/api/v1/rfm/classic-11").await.json();
        assert_eq!(model["runs"].as_array().unwrap().len(), 1);
        let flows =
            server.get(&key, "/api/v1/rfm/classic-11/migrations?from=2026-01-01T00:00:00Z").await.json();
        let all: u64 =
            flows["flows"].as_array().unwrap().iter().map(|f| f["contacts"].as_u64().unwrap()).sum();
        assert_eq!(all, 2);
        assert!(flows["flows"][0]["from"].is_null());
        let turned = "/api/v1/rfm/classic-11/migrations?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z";
        assert_eq!(server.get(&key, turned).await.code(), "time.order");
        let typo = server.post(&key, "/api/v1/rfm/classic-12/run", json!({})).await;
        assert_eq!(typo.status(), StatusCode::NOT_FOUND);
        assert!(typo.text().contains("did you mean `classic-11`?"), "{}", typo.text());
        assert_eq!(server.get(&key, "/api/v1/rfm").await.json()["items"].as_array().unwrap().len(), 2);
    });
}

/// Two levels for each measure.
const MODEL: &str = "\
format: 1
model: mine
name: {en: Mine, fr: Le mien}
window: P1Y
levels: 2
recency: {days: [30]}
frequency: {values: [1]}
monetary: {measure: sum, quantiles: [1/2]}
groups:
  - {slug: good, name: {en: Good, fr: Bons}, codes: [222, 221, 212, 122]}
  - {slug: rest, name: {en: The rest, fr: Les autres}, codes: [211, 121, 112, 111]}
";

#[test]
fn a_model_of_ones_own_is_saved_scored_asked_and_taken_back() {
    block_on(async {
        let (server, key) = shop().await;
        let path = "/api/v1/rfm/mine";
        let bad = json!({"source": MODEL.replace("122]", "123]")});
        let refused = put(&server, &key, path, "", &bad).await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let problem = &refused.json()["problems"][0];
        assert!(problem["code"].as_str().unwrap().starts_with("rfm.code"), "{problem}");
        assert!(problem["place"].is_array() && problem["cure"].is_string(), "{problem}");
        let other = put(&server, &key, "/api/v1/rfm/yours", "", &json!({"source": MODEL})).await;
        assert_eq!(other.code(), "rfm.name");
        let built_in = put(&server, &key, "/api/v1/rfm/classic-11", "", &json!({"source": MODEL})).await;
        assert_eq!(built_in.code(), "rfm.built_in");

        let saved = put(&server, &key, path, "", &json!({"source": MODEL})).await;
        assert_eq!(saved.status(), StatusCode::OK, "{}", saved.text());
        let tag = saved.head.headers[header::ETAG].to_str().unwrap().to_owned();
        let seen = server.get(&key, path).await;
        assert_eq!(seen.head.headers[header::ETAG].to_str().unwrap(), tag);
        assert_eq!((&seen.json()["runs"], &seen.json()["definition"]["levels"]), (&json!([]), &json!(2)));
        let list = server.get(&key, "/api/v1/rfm").await.json();
        let mine = &list["items"][0];
        assert_eq!(
            (&mine["model"], &mine["levels"], &mine["last_run"]),
            (&json!("mine"), &json!(2), &Value::Null)
        );
        assert_eq!(
            put(&server, &key, path, "", &json!({"source": MODEL})).await.code(),
            "precondition.required"
        );

        // The night scores it.
        let mut engine =
            engine::live::work::Engine::open(server.store.db.clone(), server.app.now()).await.unwrap();
        server.clock.forward(Timestamp::DAY);
        engine.settle(server.app.now()).await.unwrap();
        let scored = server.get(&key, path).await.json();
        assert_eq!(scored["runs"].as_array().unwrap().len(), 1, "{scored}");
        let groups = scored["runs"][0]["groups"].as_array().unwrap();
        assert_eq!((&groups[0]["group"], &groups[0]["name"]["fr"]), (&json!("good"), &json!("Bons")));
        let contacts: u64 = groups.iter().map(|group| group["contacts"].as_u64().unwrap()).sum();
        assert_eq!(contacts, 2);
        let flows = server.get(&key, &format!("{path}/migrations?from=2026-01-01T00:00:00Z")).await;
        assert!(flows.status().is_success() && flows.text().contains("good"), "{}", flows.text());

        // A segment asks for it: it stays.
        let asks = json!({"source": "format: 1\ncondition: {rfm: {model: mine, group: [good]}}\n"});
        let built = put(&server, &key, "/api/v1/segments/good", "", &asks).await;
        assert_eq!(built.status(), StatusCode::OK, "{}", built.text());
        let delete =
            async |path: &str| server.ask_with(Method::DELETE, &key, path, None, &[("if-match", "*")]).await;
        let used = delete(path).await;
        assert_eq!((used.status(), used.code().as_str()), (StatusCode::CONFLICT, "definition.in_use"));
        assert_eq!(used.json()["problems"][0]["value"], "good");
        assert_eq!(delete("/api/v1/segments/good").await.status(), StatusCode::NO_CONTENT);
        assert_eq!(delete(path).await.status(), StatusCode::NO_CONTENT);
        assert_eq!(server.get(&key, path).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(
            server.post(&key, &format!("{path}/run"), json!({})).await.status(),
            StatusCode::NOT_FOUND
        );
    });
}

#[test]
fn coupon_sets_take_codes_and_make_them() {
    block_on(async {
        let (server, key) = shop().await;
        let body = json!({"source": "format: 1\nkind: single_use\npattern: BACK-{8}\nlow_stock: 2\n"});
        let saved = put(&server, &key, "/api/v1/coupons/back", "", &body).await;
        assert_eq!(
            (saved.status(), &saved.json()["kind"]),
            (StatusCode::OK, &json!("single_use")),
            "{}",
            saved.text()
        );
        let codes = json!({"codes": ["ONE", "TWO", "one", "", "with blank"]});
        let added = server.post(&key, "/api/v1/coupons/back/codes", codes).await.json();
        assert_eq!((&added["added"], &added["free"]), (&json!(2), &json!(2)), "{added}");
        assert_eq!(added["refusals"][0]["index"], 3);
        let made = server.post(&key, "/api/v1/coupons/back/generate", json!({"count": 5})).await.json();
        let made: Vec<&str> =
            made["codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
        assert!(made.len() == 5 && made.iter().all(|code| code.starts_with("BACK-") && code.len() == 13));
        assert_eq!(server.get(&key, "/api/v1/coupons/back").await.json()["free"], 7);
        for (count, code) in [(0, "coupon.count"), (10_001, "coupon.count")] {
            let answer = server.post(&key, "/api/v1/coupons/back/generate", json!({"count": count})).await;
            assert_eq!(answer.code(), code);
        }
        let shared = json!({"source": "format: 1\nkind: shared\ncode: HELLO\n"});
        assert_eq!(put(&server, &key, "/api/v1/coupons/all", "", &shared).await.status(), StatusCode::OK);
        let answer = server.post(&key, "/api/v1/coupons/all/codes", json!({"codes": ["X"]})).await;
        assert_eq!(answer.code(), "coupon.shared_set");
        let bad = json!({"source": "format: 1\nkind: sngle_use\n"});
        assert_eq!(
            put(&server, &key, "/api/v1/coupons/bad", "", &bad).await.status(),
            StatusCode::UNPROCESSABLE_ENTITY
        );
        let list = server.get(&key, "/api/v1/coupons").await.json();
        let free: Vec<_> = list["items"].as_array().unwrap().iter().map(|set| set["free"].clone()).collect();
        assert_eq!(free, [json!(0), json!(7)], "{list}");
    });
}

const TEMPLATE: &str = r#"
format: 1
template: hello
languages: [en, fr]
subject: {en: "Hello {{ contact.first_name }}", fr: "Bonjour {{ contact.first_name }}"}
blocks:
  - kind: text
    text: {en: "**{{ contact.first_name }}**, thank you", fr: "Merci {{ contact.first_name }}"}
"#;

#[test]
fn a_template_is_saved_looked_at_and_sent_to_one_address() {
    block_on(async {
        let (server, key) = shop().await;
        let path = "/api/v1/templates/hello";
        let saved = put(&server, &key, path, "", &json!({"source": TEMPLATE})).await;
        assert_eq!(saved.status(), StatusCode::OK, "{}", saved.text());
        assert_eq!((&saved.json()["version"], &saved.json()["channel"]), (&json!(1), &json!("email")));
        let look = |body: Value| server.post(&key, "/api/v1/templates/preview", body);
        let seen = look(json!({"template": "hello", "contact": "Ann", "locale": "fr-FR"})).await;
        assert_eq!(seen.status(), StatusCode::OK, "{}", seen.text());
        assert_eq!(seen.json()["subject"], "Bonjour First Ann");
        assert_eq!(look(json!({"template": "hello"})).await.json()["subject"], "Hello Alex");
        let draft = look(json!({"source": TEMPLATE.replace("Hello", "Hi"), "contact": "Bob"})).await;
        assert_eq!(draft.json()["subject"], "Hi First Bob");
        let bad = look(json!({"source": TEMPLATE.replace("contact.first_name", "contact.frst_name")})).await;
        assert_eq!(bad.status(), StatusCode::UNPROCESSABLE_ENTITY);

        let sent = server
            .post(&key, &format!("{path}/test"), json!({"contact": "Ann", "to": "us@shop.example"}))
            .await;
        assert_eq!(sent.status(), StatusCode::OK, "{}", sent.text());
        let waiting = server.store.list_messages(MessageFilter::default(), 0, 10).await.unwrap();
        assert_eq!(waiting.len(), 1);
        assert_eq!(waiting[0].message.to.as_deref(), Some("us@shop.example"));
        assert!(waiting[0].message.send.transactional);
        let to = json!({"contact": "Ann", "to": "us@shop.example\r\nBcc: all@shop.example"});
        let header = server.post(&key, &format!("{path}/test"), to).await;
        assert_eq!(header.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(server.store.list_messages(MessageFilter::default(), 0, 10).await.unwrap().len(), 1);
    });
}

#[test]
fn recommendations_for_somebody() {
    block_on(async {
        let (server, key) = shop().await;
        server.store.save_setting(key::CURRENCY.into(), json!("EUR")).await.unwrap();
        let step = json!({"main": {"case": "filtered", "quantity": 2, "order": "price_descending"}});
        let body = json!({"contact": "Ann", "step": step});
        let chosen = server.post(&key, "/api/v1/recommendations/preview", body).await;
        assert_eq!(chosen.status(), StatusCode::OK, "{}", chosen.text());
        let ids: Vec<Value> =
            chosen.json()["products"].as_array().unwrap().iter().map(|p| p["product_id"].clone()).collect();
        assert_eq!(ids, ["P3", "P2"]);
        let bad = server
            .post(
                &key,
                "/api/v1/recommendations/preview",
                json!({"contact": "Ann", "step": {"main": {"case": "filterd"}}}),
            )
            .await;
        assert_eq!(bad.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(bad.text().contains("did you mean"), "{}", bad.text());
    });
}
