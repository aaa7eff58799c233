//! Settings.

use api::admin::settings::known::SETTINGS;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use storage::access::KeyScope;
use testkit::block_on;

use super::Desk;

#[test]
fn settings_are_checked_before_they_are_kept_and_owners_alone_see_them() {
    block_on(async {
        let desk = Desk::new().await;
        let owner = desk.server.key(KeyScope::Admin).await;
        assert_eq!(desk.get("/api/v1/settings").await.code(), "access.forbidden");
        let all = desk.server.get(&owner, "/api/v1/settings").await.json();
        let names: Vec<&str> =
            all["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(names, SETTINGS.iter().map(|setting| setting.name).collect::<Vec<_>>());
        let put = async |name: &str, value: Value, headers: &[(&str, &str)]| {
            let path = format!("/api/v1/settings/{name}");
            desk.server.ask_with(Method::PUT, &owner, &path, Some(json!({"value": value})), headers).await
        };
        let done = put("time_zone", json!("Europe/Paris"), &[]).await;
        assert_eq!(done.status(), StatusCode::OK, "{}", done.text());
        let tag = done.head.headers["etag"].to_str().unwrap().to_owned();
        assert_eq!(put("time_zone", json!("Europe/Rome"), &[]).await.code(), "precondition.required");
        let done = put("time_zone", json!("Europe/Rome"), &[("if-match", &tag)]).await;
        assert_eq!(done.json()["value"], "Europe/Rome");
        assert_eq!(put("time_zone", json!("UTC"), &[("if-match", &tag)]).await.code(), "precondition.failed");
        for (name, value, code) in [
            ("time_zone", json!("Mars/North"), "zone.unknown"),
            ("nightly_minute", json!(1440), "setting.minute"),
            ("branding", json!({"nam": "x"}), "setting.branding"),
            ("branding", json!({"name": "x", "accent": "red"}), "branding.accent"),
            ("purposes", json!({"news": {"enforcement": "maybe"}}), "purpose.enforcement"),
            ("nothing", json!(1), "setting.unknown"),
        ] {
            let headers: &[(&str, &str)] = if name == "time_zone" { &[("if-match", "*")] } else { &[] };
            assert_eq!(put(name, value, headers).await.code(), code, "{name}");
        }
        assert_eq!(
            desk.server.get(&owner, "/api/v1/settings/nightly_minute").await.json()["value"],
            Value::Null
        );
        assert!(put("nightly_minute", json!(1439), &[]).await.status().is_success());
        assert_eq!(put("nothing", json!(1), &[]).await.status(), StatusCode::NOT_FOUND);
    });
}
