//! Test runs: a test contact gets its messages for real, and nothing else happens.

use model::ContactId;
use serde_json::json;
use storage::{contacts::ContactStore, outbox::MessageState};
use testkit::block_on;

use super::{Desk, example, hello};

#[test]
fn a_test_contact_gets_its_messages_and_nobody_else_does() {
    block_on(async {
        let mut desk = Desk::new().await;
        let mut folder = hello();
        // An alert goes to the shop's own staff; here to whoever tests. A wait is skipped, a field is not written.
        folder["journey"] = "\
format: 1
journey: hello
name: Hello
audience: {who: with_email, source: new}
triggers: []
reentry: never
nodes:
  later: {kind: wait, for: P3D}
  mark: {kind: set_field, field: greeted, operator: assign, value: 1}
  mail: {kind: send_email, template: hello, purpose: newsletter, to: contact, variables: {name: {ref: contact.first_name}}}
  staff: {kind: alert, to: boss@shop.example, template: hello, variables: {name: {ref: contact.first_name}}}
  call: {kind: webhook, url: 'https://shop.example/hook'}
links:
  - {from: start, to: later}
  - {from: later, to: mark}
  - {from: mark, to: mail}
  - {from: mail, to: staff}
  - {from: staff, to: call}
"
        .into();
        folder["fields"] = "fields:\n  greeted: {name: Greeted, type: integer}\n".into();
        let answer =
            desk.post("/api/v1/journeys/hello/test", json!({"contact": "a", "folder": folder})).await;
        let body = answer.json();
        assert!(answer.status().is_success(), "{body}");
        let nodes: Vec<&str> =
            body["sent"].as_array().unwrap().iter().map(|one| one["node"].as_str().unwrap()).collect();
        assert_eq!(nodes, ["mail", "staff"], "{body}");
        assert_eq!(body["left_out"], json!([{"node": "call", "reason": "test.no_call"}]));
        let (states, to) = desk.deliver().await;
        assert_eq!(states.get(&MessageState::Sent), Some(&2), "{states:?}");
        assert_eq!(to, ["a@example.test", "a@example.test"]);
        let contact = desk.server.store.db.load_contacts(vec![ContactId(1)]).await.unwrap().remove(0);
        assert!(contact.fields.is_empty());
        // Nothing was published, nobody entered, and the log says that these were tests.
        assert_eq!(desk.get("/api/v1/journeys/hello").await.code(), "not_found");
        let log = desk.get("/api/v1/messages").await.json();
        for message in log["items"].as_array().unwrap() {
            assert_eq!(message["test"], true, "{message}");
        }
        // Again is another test.
        let body = desk.post("/api/v1/journeys/hello/test", json!({"contact": "a", "folder": folder})).await;
        assert_eq!(body.json()["sent"].as_array().unwrap().len(), 2);
        let (states, _) = desk.deliver().await;
        assert_eq!(states.get(&MessageState::Sent), Some(&2), "{states:?}");
        // The draft's template is not taken for the workspace's.
        let checked = desk
            .post("/api/v1/journeys/check", json!({"journey": folder["journey"], "fields": folder["fields"]}))
            .await
            .json();
        assert_eq!(checked["publishable"], false, "{checked}");
    });
}

#[test]
fn a_test_takes_no_coupon_and_says_why_nothing_is_sent() {
    block_on(async {
        let mut desk = Desk::new().await;
        let folder = example("s2");
        let body =
            desk.post("/api/v1/journeys/reactivation-coupon/test", json!({"contact": "a", "folder": folder}));
        let body = body.await.json();
        assert_eq!(body["sent"].as_array().unwrap().len(), 1, "{body}");
        let (states, to) = desk.deliver().await;
        assert_eq!((states.get(&MessageState::Sent), to.len()), (Some(&1), 1), "{states:?}");
        let body = desk
            .post("/api/v1/journeys/reactivation-coupon/test", json!({"contact": "d", "folder": folder}))
            .await
            .json();
        assert_eq!(body["sent"], json!([]), "{body}");
        let why: Vec<&str> =
            body["steps"].as_array().unwrap().iter().filter_map(|step| step["why"].as_str()).collect();
        assert!(!why.is_empty(), "{body}");
    });
}
