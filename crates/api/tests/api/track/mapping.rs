//! What becomes of what: docs/tracking.md, as a test.

use api::{Config, track::config};
use axum::http::StatusCode;
use model::{Amount, ConsentState, Timestamp, Value as Field, event::kind};
use serde_json::json;
use storage::{
    catalogue::CatalogueStore,
    consents::{ConsentStep, ConsentStore},
    live::LiveStore,
    orders::CartChoice,
    outbox::{MessageFilter, OutboxStore},
    settings::{DefinitionKind, NewDefinition, SettingsStore},
};
use testkit::{at, block_on};

use super::*;

async fn setting(server: &Server, value: Value) {
    server.store.save_setting("tracking".into(), value).await.unwrap();
    server.clock.forward(Timestamp::MINUTE);
}

async fn field(server: &Server, definition: Value) {
    let slug = model::Slug::parse(definition["slug"].as_str().unwrap()).unwrap();
    let new = NewDefinition { kind: DefinitionKind::Field, slug, content: definition };
    server.store.save_definitions(vec![new], server.app.now()).await.unwrap();
}

#[test]
fn identify_fills_a_contact() {
    block_on(async {
        let (server, key) = ready().await;
        field(&server, json!({ "slug": "loyalty-points", "type": "integer" })).await;
        field(
            &server,
            json!({ "slug": "sizes", "type": "checkbox", "options": [{ "id": "m" }, { "id": "l" }] }),
        )
        .await;
        let traits = json!({
            "email": "Ann@Shop.Example", "firstName": "Ann", "lastName": "Lee", "phone": "+33 6 12 34 56 78",
            "birthday": "1984-05-31T00:00:00.000Z", "createdAt": "2025-01-02T03:04:05Z",
            "address": { "city": "Lyon", "country": "FR", "postalCode": "69001" },
            "loyaltyPoints": "12", "sizes": ["m", "l"], "vip": true, "score": 1.5, "visits": 3,
            "nested": { "Deep Thing": "x" }, "orderCount": 1_000, "id": "ignored", "nothing": null,
            "push_subscription": { "endpoint": "https://push.example/1", "keys": { "p256dh": "p", "auth": "a" } },
        });
        let context = json!({ "locale": "fr-FR", "timezone": "Europe/Paris", "ip": "203.0.113.9" });
        let message = json!({ "type": "identify", "userId": "u1", "traits": traits, "context": context });
        taken(&server, &key, json!([message])).await;
        let contact = contact(&server, "u1").await;
        assert_eq!(contact.email.as_deref(), Some("Ann@shop.example"));
        assert_eq!((contact.first_name.as_deref(), contact.last_name.as_deref()), (Some("Ann"), Some("Lee")));
        assert_eq!(
            (contact.phone.as_deref(), contact.country.as_deref()),
            (Some("+33612345678"), Some("FR"))
        );
        assert_eq!(contact.birth_date, model::field::parse_date("1984-05-31"));
        assert_eq!(contact.created_at, at("2025-01-02T03:04:05Z"));
        assert_eq!(
            (contact.locale.as_deref(), contact.time_zone.as_deref()),
            (Some("fr-FR"), Some("Europe/Paris"))
        );
        assert_eq!(contact.push[0].endpoint, "https://push.example/1");
        let expected = [
            ("address_city", Field::Text("Lyon".into())),
            ("address_postal_code", Field::Text("69001".into())),
            ("loyalty-points", Field::Integer(12)),
            ("nested_deep_thing", Field::Text("x".into())),
            ("score", Field::Decimal(Amount(15_000))),
            ("sizes", Field::Options(vec!["l".into(), "m".into()])),
            ("vip", Field::Boolean(true)),
            ("visits", Field::Integer(3)),
        ];
        let fields: Vec<(&str, Field)> =
            contact.fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        assert_eq!(fields, expected);
        // No address of a network is kept anywhere.
        assert!(!serde_json::to_string(&contact).unwrap().contains("203.0.113.9"));
        let bad = json!({ "type": "identify", "userId": "u1", "traits": { "loyaltyPoints": "many" } });
        let answer = track(&server, &key, json!({ "batch": [bad] })).await.json();
        assert_eq!(
            (answer["errors"][0]["code"].as_str(), answer["errors"][0]["field"].as_str()),
            (Some("field.invalid"), Some("traits.loyaltyPoints"))
        );
    });
}

#[test]
fn settings_say_what_ids_traits_and_groups_are() {
    block_on(async {
        let (server, key) = ready().await;
        let identify =
            json!({ "type": "identify", "userId": "ann@shop.example", "traits": { "colour": "red" } });
        let group = json!({ "type": "group", "userId": "ann@shop.example", "groupId": "Club 42", "traits": { "size": 3 } });
        setting(&server, json!({ "user_id": "email", "unknown_traits": "drop" })).await;
        taken(&server, &key, json!([identify, group])).await;
        let ann = who(&server, IdentifierKind::Email, "ann@shop.example").await.unwrap();
        let contact = server.store.load_contacts(vec![ann]).await.unwrap().remove(0);
        assert_eq!((contact.external_id, contact.fields.len()), (None, 0));
        assert_eq!(contact.lists, [model::Slug::parse("club-42").unwrap()]);

        setting(&server, json!({ "unknown_traits": "refuse", "groups": "ignore" })).await;
        let answer = track(&server, &key, json!({ "batch": [identify, group] })).await.json();
        assert_eq!(
            (answer["accepted"].as_u64(), answer["errors"][0]["code"].as_str()),
            (Some(1), Some("trait.unknown"))
        );

        setting(&server, json!({ "groups": "fields" })).await;
        let group = json!({ "type": "group", "userId": "u3", "groupId": "club", "traits": { "size": 3 } });
        taken(&server, &key, json!([group])).await;
        let fields = contact_fields(&server, "u3").await;
        assert_eq!(
            fields,
            [("group_id".into(), Field::Text("club".into())), ("group_size".into(), Field::Integer(3))]
        );

        setting(&server, json!({ "nonsense": 1 })).await;
        let answer = track(&server, &key, json!({ "batch": [] })).await;
        assert_eq!(
            (answer.status(), answer.code().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "setting.invalid")
        );
    });
}

async fn contact_fields(server: &Server, external_id: &str) -> Vec<(String, Field)> {
    contact(server, external_id).await.fields.into_iter().collect()
}

#[test]
fn what_somebody_did_before_they_signed_in_is_theirs() {
    block_on(async {
        let (server, key) = ready().await;
        taken(&server, &key, json!([
            { "type": "track", "anonymousId": "browser", "event": "Product Viewed", "properties": { "product_id": "mug" } },
        ])).await;
        taken(&server, &key, json!([
            { "type": "identify", "anonymousId": "browser", "userId": "u1", "traits": { "email": "ann@shop.example" } },
            { "type": "page", "anonymousId": "browser", "userId": "u1", "properties": { "url": "https://shop.example/" } },
        ])).await;
        let u1 = contact(&server, "u1").await;
        assert_eq!(who(&server, IdentifierKind::Anonymous, "browser").await, Some(u1.id));
        assert_eq!(events(&server, u1.id).await.len(), 2);
        taken(
            &server,
            &key,
            json!([
                { "type": "track", "userId": "old", "event": "A" },
                { "type": "alias", "previousId": "old", "userId": "u1" },
            ]),
        )
        .await;
        assert_eq!(who(&server, IdentifierKind::ExternalId, "old").await, Some(u1.id));
        assert_eq!(events(&server, u1.id).await.len(), 3);
        // A guest's address is who they are.
        taken(&server, &key, json!([
            { "type": "track", "anonymousId": "other", "event": "Order Completed",
              "properties": { "order_id": "o", "total": 1, "currency": "EUR", "email": "guest@shop.example" } },
        ])).await;
        let guest = who(&server, IdentifierKind::Email, "guest@shop.example").await.unwrap();
        assert_eq!(orders(&server, guest).await.len(), 1);
        assert_eq!(who(&server, IdentifierKind::Anonymous, "other").await, Some(guest));
    });
}

#[test]
fn pages_screens_and_clocks() {
    block_on(async {
        let (server, key) = ready().await;
        let page =
            json!({ "url": "https://shop.example/mugs", "path": "/mugs", "referrer": "", "title": "Mugs" });
        let body = json!({ "sentAt": "2026-11-01T10:00:00Z", "batch": [
            { "type": "page", "userId": "u", "name": "Mugs", "timestamp": "2026-11-01T09:59:00Z", "messageId": "1",
              "properties": { "path": "/own" }, "context": { "page": page, "ip": "203.0.113.9" } },
            { "type": "screen", "userId": "u", "name": "Home", "category": "Start", "messageId": "2" },
            { "type": "screen", "userId": "u", "name": "Home", "category": "Start", "messageId": "2" },
        ] });
        for _ in 0..2 {
            assert_eq!(track(&server, &key, body.clone()).await.status(), StatusCode::OK);
        }
        let events = events(&server, contact(&server, "u").await.id).await;
        let seen: Vec<(&str, Timestamp, Value)> = events
            .iter()
            .map(|event| (event.kind.as_str(), event.at, event.properties.clone().into()))
            .collect();
        let view =
            json!({ "path": "/own", "name": "Mugs", "url": "https://shop.example/mugs", "title": "Mugs" });
        let screen = json!({ "name": "Home", "category": "Start" });
        assert_eq!(
            seen,
            [
                (kind::PAGE_VIEWED, at("2026-11-02T09:59:00Z"), view),
                (kind::SCREEN_VIEWED, at("2026-11-02T10:00:00Z"), screen),
            ]
        );
    });
}

#[test]
fn a_shop_from_the_first_look_to_the_refund() {
    block_on(async {
        let (server, key) = ready().await;
        let event = |minute: u32, name: &str, properties: Value| {
            json!({ "type": "track", "userId": "u", "event": name, "messageId": format!("{name}{minute}"),
                "timestamp": format!("2026-11-02T09:{minute:02}:00Z"), "properties": properties })
        };
        let mug = json!({ "sku": 7, "name": "Mug", "brand": "Clay", "category": "/Kitchen", "price": "4.50",
            "currency": "eur", "url": "https://shop.example/mug", "image_url": "javascript:alert(1)", "cart_id": "k" });
        let with = |quantity: i64| {
            let mut properties = mug.clone();
            properties["quantity"] = quantity.into();
            properties
        };
        let looks = [
            event(1, "Product Viewed", mug.clone()),
            event(
                2,
                "Product List Viewed",
                json!({ "products": [{ "product_id": "cup", "name": "Cup", "price": 3 }] }),
            ),
            event(3, "Products Searched", json!({ "query": "plate" })),
            event(4, "Product Added", with(2)),
            event(5, "Product Added", with(1)),
        ];
        for _ in 0..2 {
            // What a library sends twice counts once.
            taken(&server, &key, json!(looks)).await;
        }
        let u = contact(&server, "u").await.id;
        let open = |server: &Server| {
            let store = server.store.db.clone();
            let now = server.app.now();
            async move { store.load_last_carts(vec![u], CartChoice::Active, now, i64::MAX).await.unwrap() }
        };
        let cart = open(&server).await.remove(0);
        assert_eq!(
            (cart.external_id.as_str(), cart.total, cart.lines[0].quantity),
            ("k", Amount(135_000), 3)
        );
        let products = server.store.load_products().await.unwrap();
        let known = products.iter().find(|product| product.external_id == "7").unwrap();
        assert_eq!((known.name.as_str(), known.brand.as_deref()), ("Mug", Some("Clay")));
        assert_eq!(
            (known.url.as_deref(), known.image_url.as_deref()),
            (Some("https://shop.example/mug"), None)
        );
        assert_eq!((known.unit_price, known.categories.len()), (Some(Amount(45_000)), 1));
        assert_eq!(events(&server, u).await[0].properties["product_id"], "7");

        taken(&server, &key, json!([event(6, "Product Removed", with(2))])).await;
        assert_eq!(open(&server).await[0].lines[0].quantity, 1);
        let checkout = json!({ "cart_id": "k", "currency": "EUR", "products": [
            { "product_id": "7", "quantity": 2, "price": 4.5 }, { "product_id": "cup", "price": 3 }] });
        taken(&server, &key, json!([event(7, "Checkout Started", checkout)])).await;
        assert_eq!(open(&server).await[0].total, Amount::units(12));

        let order = json!({ "order_id": "o", "cart_id": "k", "total": 14.5, "currency": "EUR", "coupon": "WELCOME",
            "products": [{ "product_id": "7", "quantity": 2, "price": 4.5 }, { "product_id": "cup", "price": 3 }] });
        taken(&server, &key, json!([event(8, "Order Completed", order), event(9, "Product Added", with(1))]))
            .await;
        assert!(open(&server).await.is_empty(), "it is bought");
        let updated = json!({ "order_id": "o", "total": 17.5, "currency": "EUR",
            "products": [{ "product_id": "7", "quantity": 2, "price": 4.5 }, { "product_id": "cup", "quantity": 2, "price": 3 }] });
        taken(&server, &key, json!([event(10, "Order Updated", updated)])).await;
        let back =
            json!({ "order_id": "o", "total": 3, "products": [{ "product_id": "cup", "quantity": 1 }] });
        for _ in 0..2 {
            taken(&server, &key, json!([event(11, "Order Refunded", back.clone())])).await;
        }
        let order = orders(&server, u).await.remove(0);
        assert_eq!((order.total, order.refunded), (Amount(175_000), Amount::units(3)));
        assert!(order.counts());
        taken(
            &server,
            &key,
            json!([event(12, "Order Cancelled", json!({ "order_id": "o", "currency": "EUR" }))]),
        )
        .await;
        assert!(!orders(&server, u).await[0].counts());

        let inputs = server.store.take_inputs(i64::MAX, 100).await.unwrap();
        let kinds: Vec<&str> = inputs.iter().map(|input| input.event.kind.as_str()).collect();
        for kind in [
            kind::CART_UPDATED,
            kind::ORDER_COMPLETED,
            kind::ORDER_UPDATED,
            kind::ORDER_REFUNDED,
            kind::ORDER_CANCELLED,
        ] {
            assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
        }
        assert_eq!(kinds.iter().filter(|kind| **kind == kind::PRODUCT_ADDED).count(), 3);
    });
}

#[test]
fn bad_amounts_and_quantities_are_refused_by_name() {
    block_on(async {
        let (server, key) = ready().await;
        for (event, properties, code, field) in [
            ("Product Added", json!({ "currency": "EUR" }), "value.missing", "properties.product_id"),
            ("Product Added", json!({ "product_id": "p" }), "currency.missing", "properties.currency"),
            (
                "Product Added",
                json!({ "product_id": "p", "currency": "euros" }),
                "currency.invalid",
                "properties.currency",
            ),
            (
                "Product Added",
                json!({ "product_id": "p", "currency": "EUR", "price": -1 }),
                "amount.negative",
                "properties.price",
            ),
            (
                "Product Added",
                json!({ "product_id": "p", "currency": "EUR", "price": "cheap" }),
                "amount.invalid",
                "properties.price",
            ),
            (
                "Product Added",
                json!({ "product_id": "p", "currency": "EUR", "quantity": 0 }),
                "quantity.out_of_range",
                "properties.quantity",
            ),
            (
                "Product Added",
                json!({ "product_id": ["p"], "currency": "EUR" }),
                "value.type",
                "properties.product_id",
            ),
            (
                "Order Completed",
                json!({ "order_id": "o", "currency": "EUR", "total": 1e300 }),
                "amount.too_large",
                "properties.total",
            ),
            (
                "Order Completed",
                json!({ "order_id": "o", "currency": "EUR", "products": "many" }),
                "value.type",
                "properties.products",
            ),
            (
                "Order Completed",
                json!({ "order_id": "o", "currency": "EUR", "products": [{ "price": 1 }] }),
                "value.missing",
                "properties.products[0].product_id",
            ),
            (
                "Order Completed",
                json!({ "order_id": "x".repeat(256), "currency": "EUR" }),
                "id.invalid",
                "properties.order_id",
            ),
            (
                "Cart Updated",
                json!({ "cart_id": "k", "currency": "EUR" }),
                "value.missing",
                "properties.products",
            ),
        ] {
            let message = json!({ "userId": "u", "event": event, "properties": properties });
            let answer = server.post(&key, "/v1/track", message).await.json();
            let error = &answer["errors"][0];
            assert_eq!(
                (error["code"].as_str(), error["field"].as_str()),
                (Some(code), Some(field)),
                "{event}: {answer}"
            );
        }
        let name = |length: usize| json!({ "userId": "u", "event": "é".repeat(length) });
        assert_eq!(server.post(&key, "/v1/track", name(Event::KIND_LEN_MAX)).await.status(), StatusCode::OK);
        let answer = server.post(&key, "/v1/track", name(Event::KIND_LEN_MAX + 1)).await;
        assert_eq!(answer.json()["errors"][0]["code"], "event.kind");
        let header = json!({ "userId": "u", "traits": { "firstName": "Ann\u{0}" } });
        let answer = server.post(&key, "/v1/identify", header).await;
        assert_eq!(answer.json()["errors"][0]["code"], "text.control");
        assert_eq!(config::EVENT_MAX, Config::default().track.event_max);
    });
}

#[test]
fn consent_is_kept_with_its_proof() {
    block_on(async {
        let (server, key) = ready().await;
        let page = json!({ "page": { "url": "https://shop.example/news" } });
        taken(&server, &key, json!([
            { "type": "track", "anonymousId": "b", "event": "Subscribed", "messageId": "m1", "context": page,
              "timestamp": "2026-11-02T09:00:00Z",
              "properties": { "email": "ann@shop.example", "source": "footer" } },
            { "type": "identify", "anonymousId": "b", "traits": { "email": "ann@shop.example", "consent": { "sms": true, "news/weekly": "no" } } },
        ])).await;
        let ann = who(&server, IdentifierKind::Email, "ann@shop.example").await.unwrap();
        let contact = server.store.load_contacts(vec![ann]).await.unwrap().remove(0);
        let state = |purpose: &str| contact.consent(purpose);
        assert_eq!(
            (state("newsletter"), state("sms"), state("news/weekly")),
            (ConsentState::Subscribed, ConsentState::Subscribed, ConsentState::Unsubscribed)
        );
        let newsletter =
            contact.consents.iter().find(|consent| consent.purpose.as_str() == "newsletter").unwrap();
        assert_eq!(newsletter.source, "footer");
        assert_eq!(newsletter.proof, "track:m1 https://shop.example/news");
        assert_eq!(newsletter.at, at("2026-11-02T09:00:00Z"));
        taken(&server, &key, json!([
            { "type": "track", "anonymousId": "b", "event": "Unsubscribed", "properties": { "purpose": "newsletter" } },
        ])).await;
        let contact = server.store.load_contacts(vec![ann]).await.unwrap().remove(0);
        assert_eq!(contact.consent("newsletter"), ConsentState::Unsubscribed);
        let inputs = server.store.take_inputs(i64::MAX, 100).await.unwrap();
        let taken_back = inputs.iter().filter(|input| input.event.kind == kind::UNSUBSCRIBED);
        let purposes: Vec<_> = taken_back.map(|input| input.event.properties["purpose"].clone()).collect();
        assert_eq!(purposes, ["news/weekly", "newsletter"]);

        setting(&server, json!({ "consent": false })).await;
        taken(&server, &key, json!([{ "type": "track", "anonymousId": "b", "event": "Subscribed" }])).await;
        let contact = server.store.load_contacts(vec![ann]).await.unwrap().remove(0);
        assert_eq!(
            contact.consent("newsletter"),
            ConsentState::Unsubscribed,
            "the shop takes no answers from here"
        );
        let bad =
            json!({ "userId": "u", "traits": { "push_subscription": { "endpoint": "http://10.0.0.1/" } } });
        assert_eq!(server.post(&key, "/v1/identify", bad).await.json()["errors"][0]["code"], "push.invalid");
    });
}

#[test]
fn a_yes_that_is_to_be_confirmed_is_asked_for_by_mail() {
    block_on(async {
        let (server, key) = ready().await;
        let purposes = json!({"newsletter": {"name": {"fr": "Lettre", "en": "Newsletter"}}, "tips": {"double_opt_in": false}});
        server.store.save_setting(policy::PURPOSES_SETTING.into(), purposes).await.unwrap();
        let said = |kind: &str, id: &str| {
            json!([{ "type": "track", "anonymousId": "b", "event": kind, "messageId": id, "context": { "locale": "fr-FR" },
                     "properties": { "email": "ann@shop.example", "purpose": "newsletter", "source": "footer" } }])
        };
        let state = async |purpose: &str| {
            let ann = who(&server, IdentifierKind::Email, "ann@shop.example").await.unwrap();
            server.store.load_contacts(vec![ann]).await.unwrap().remove(0).consent(purpose)
        };
        let mails = async || server.store.list_messages(MessageFilter::default(), 0, 100).await.unwrap();
        let steps = async || {
            let ann = who(&server, IdentifierKind::Email, "ann@shop.example").await.unwrap();
            let log = server.store.load_consent_log(ann).await.unwrap();
            log.into_iter().map(|entry| (entry.step, entry.source)).collect::<Vec<_>>()
        };
        let woken = server.app.delivery_bell.notified();
        taken(&server, &key, said("Subscribed", "m1")).await;
        tokio::time::timeout(std::time::Duration::from_secs(60), woken).await.expect("delivery is woken");
        assert_eq!(
            state("newsletter").await,
            ConsentState::NotSubscribed,
            "nothing counts before it is confirmed"
        );
        assert_eq!(steps().await, [(ConsentStep::Asked, "footer".to_owned())]);
        taken(&server, &key, said("Subscribed", "m2")).await;
        let asked = mails().await;
        assert_eq!(asked.len(), 1, "asked a moment ago");
        let mail = &asked[0].message;
        assert_eq!((mail.send.template.as_str(), mail.send.transactional), ("double-opt-in", true));
        assert_eq!(mail.locale.as_deref(), Some("fr"));
        let variables: Value = serde_json::from_str(&mail.variables).unwrap();
        assert_eq!(
            (&variables["purposes"], &variables["shop"]),
            (&json!("Lettre"), &json!("mail.shop.example"))
        );
        // Traits that give consent are no other way in; what needs no confirmation counts at once.
        let traits = json!({ "email": "ann@shop.example", "consent": { "newsletter": true, "tips": true, "sms": true } });
        taken(&server, &key, json!([{ "type": "identify", "anonymousId": "b", "traits": traits }])).await;
        assert_eq!(state("newsletter").await, ConsentState::NotSubscribed);
        assert_eq!(
            (state("tips").await, state("sms").await),
            (ConsentState::Subscribed, ConsentState::Subscribed)
        );
        let path =
            variables["confirm_url"].as_str().unwrap().strip_prefix("https://mail.shop.example").unwrap();
        let form = ("content-type", "application/x-www-form-urlencoded");
        let answer = raw(&server, path, &[form], "action=confirm").await;
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text());
        assert_eq!(state("newsletter").await, ConsentState::Subscribed);
        assert!(steps().await.contains(&(ConsentStep::Subscribed, "double_opt_in".to_owned())));
        // Who is subscribed is not asked; a no counts at once.
        server.clock.forward(Timestamp::DAY);
        taken(&server, &key, said("Subscribed", "m3")).await;
        assert_eq!(mails().await.len(), 1);
        taken(&server, &key, said("Unsubscribed", "m4")).await;
        assert_eq!(state("newsletter").await, ConsentState::Unsubscribed);
        // Nobody can be asked who has no address.
        let nobody = json!([
            { "type": "track", "anonymousId": "c", "event": "Subscribed", "properties": { "purpose": "newsletter" } },
        ]);
        let answer = track(&server, &key, json!({ "batch": nobody })).await;
        assert_eq!(answer.json()["errors"][0]["code"], "consent.no_address", "{}", answer.text());
    });
}
