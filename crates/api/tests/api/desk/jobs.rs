//! Imports, exports and simulations as jobs.

use std::convert::Infallible;

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::{Value, json};
use storage::{
    access::KeyScope,
    contacts::ContactStore,
    jobs::{JobState, JobStore, NewJob},
};
use testkit::block_on;

use super::{Desk, example, hello};
use crate::support::Answer;

/// Lets a worker work until the job is over.
async fn over(desk: &Desk, id: &Value) -> Value {
    // Asked of the base: how often depends on the machine, and requests are counted by a clock that stands still.
    let (no, db) = (id.as_i64().unwrap(), desk.server.store.db.clone());
    let ended = async {
        while !db.load_job(no).await.unwrap().unwrap().state.is_over() {
            tokio::task::yield_now().await;
        }
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(api::admin::jobs::work(desk.server.app.clone(), async {
        drop(stopped.await);
    }));
    ended.await;
    drop(stop);
    worker.await.unwrap().unwrap();
    desk.get(&format!("/api/v1/jobs/{id}")).await.json()
}

async fn send(desk: &Desk, query: &str, body: impl Into<Body>) -> Answer {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/api/v1/imports?{query}"))
        .header(header::AUTHORIZATION, format!("Bearer {}", desk.key))
        .header(header::CONTENT_TYPE, "application/octet-stream");
    desk.server.send(request.body(body.into()).unwrap()).await
}

fn uploads(desk: &Desk) -> usize {
    let entries = std::fs::read_dir(&desk.server.app.config.desk.folder);
    let names = entries.into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.to_string_lossy().starts_with("upload-")).count()
}

#[test]
fn a_file_is_imported_and_what_was_refused_can_be_read() {
    block_on(async {
        let desk = Desk::new().await;
        let file = "Email;Vorname\ne1@example.test;Eins\nno address;Zwei\ne3@example.test;Drei\n";
        let query = "kind=contacts&name=leute.csv&delimiter=%3B&contact_key=email&map=email%3DEmail,first_name%3DVorname";
        let answer = send(&desk, query, file).await;
        assert_eq!(answer.status().as_u16(), 202, "{}", answer.text());
        let job = answer.json();
        assert_eq!((&job["state"], &job["request"]["name"]), (&json!("waiting"), &json!("leute.csv")));
        assert_eq!(job["request"].get("file"), None);
        let job = over(&desk, &job["id"]).await;
        assert_eq!(job["state"], "done", "{job}");
        assert_eq!(
            (&job["result"]["contacts"]["new"], &job["result"]["rejected"]),
            (&json!(2), &json!(1)),
            "{job}"
        );
        assert_eq!((&job["done"], &job["total"]), (&json!(3), &json!(3)), "{job}");
        assert_eq!(job["files"], json!(["rejects"]));
        assert_eq!(uploads(&desk), 0, "what was sent is not kept");
        assert_eq!(desk.server.store.db.count_contacts().await.unwrap().0, 6);
        let path = format!("/api/v1/jobs/{}/files/rejects", job["id"]);
        let rejects = desk.get(&path).await;
        assert!(rejects.text().contains("no address"), "{}", rejects.text());
        assert_eq!(rejects.head.headers["content-type"], "application/octet-stream");
        assert!(rejects.head.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
        let viewer = desk.server.key(KeyScope::Read).await;
        assert_eq!(desk.server.get(&viewer, &path).await.code(), "access.forbidden");
        // The same file again changes nothing.
        let again = send(&desk, query, file).await.json();
        let again = over(&desk, &again["id"]).await;
        assert_eq!(
            (&again["result"]["repeated"], &again["result"]["contacts"]["new"]),
            (&json!(true), &json!(0))
        );
    });
}

#[test]
fn what_cannot_be_imported_is_said_at_once_and_nothing_is_kept() {
    block_on(async {
        let mut config = api::Config::default();
        config.desk.upload_max = 100;
        let desk = Desk::over(crate::support::Server::with(config)).await;
        let line = "email\n".to_owned() + &"x".repeat(94);
        for (query, body, status, code) in [
            ("kind=contacts", String::new(), 422, "file.empty"),
            ("kind=contacts", line.clone() + "x", 413, "upload.too_large"),
            ("kind=contacts&map=nope%3DEmail", "email\n".into(), 422, "mapping.unknown_field"),
            ("kind=contacts&negative=perhaps", "email\n".into(), 422, "mapping.value"),
            ("kind=people", "email\n".into(), 400, "query.invalid"),
            ("kind=contacts&why=1", "email\n".into(), 400, "query.invalid"),
            ("kind=contacts&name=", "email\n".into(), 422, "import.name"),
        ] {
            let answer = send(&desk, query, body).await;
            assert_eq!((answer.status().as_u16(), answer.code().as_str()), (status, code), "{query}");
        }
        assert_eq!(uploads(&desk), 0);
        assert_eq!(send(&desk, "kind=contacts", line).await.status().as_u16(), 202);
        assert_eq!(uploads(&desk), 1);
    });
}

/// A part of a form: its headers and its content.
fn part(name: &str, file_name: Option<&str>, content: &str) -> String {
    let file_name = file_name.map(|name| format!("; filename=\"{name}\"")).unwrap_or_default();
    format!("--b0\r\nContent-Disposition: form-data; name=\"{name}\"{file_name}\r\n\r\n{content}\r\n")
}

async fn send_form(desk: &Desk, query: &str, body: impl Into<Body>) -> Answer {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/api/v1/imports?{query}"))
        .header(header::AUTHORIZATION, format!("Bearer {}", desk.key))
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b0");
    desk.server.send(request.body(body.into()).unwrap()).await
}

/// A body that comes in pieces of so many bytes.
fn in_pieces(text: &str, of: usize) -> Body {
    let pieces: Vec<_> =
        text.as_bytes().chunks(of).map(|piece| Ok::<_, Infallible>(piece.to_vec())).collect();
    Body::from_stream(futures_util::stream::iter(pieces))
}

#[test]
fn a_file_comes_as_a_part_of_a_form_with_its_settings_before_and_after_it() {
    block_on(async {
        let desk = Desk::new().await;
        let file = "Email;Vorname\r\n--b\r\ne1@example.test;Eins\r\n";
        let form = part("kind", None, "contacts")
            + &part("delimiter", None, ";")
            + &part("file", Some("leute.csv"), file)
            + &part("map", None, "email=Email,first_name=Vorname")
            + "--b0--\r\n";
        for size in [1, 7, 64, form.len()] {
            let answer = send_form(&desk, "contact_key=email", in_pieces(&form, size)).await;
            assert_eq!(answer.status().as_u16(), 202, "{}", answer.text());
            let job = answer.json();
            let request = &job["request"];
            assert_eq!(
                (&request["name"], &request["delimiter"]),
                (&json!("leute.csv"), &json!(";")),
                "{job}"
            );
            let job = over(&desk, &job["id"]).await;
            assert_eq!((&job["state"], &job["result"]["rows"]), (&json!("done"), &json!(2)), "{job}");
            // Line ends within the file are its own: what only looks like the end of a part is none.
            assert_eq!(job["result"]["rejected"], json!(1), "{job}");
        }
        assert_eq!(desk.server.store.db.count_contacts().await.unwrap().0, 5);
        let named = part("name", None, "people") + &form;
        let job = send_form(&desk, "contact_key=email", named).await.json();
        assert_eq!(job["request"]["name"], "people", "what is said goes before what the file is called");
    });
}

#[test]
fn forms_that_cannot_be_imported_are_refused_and_nothing_of_them_is_kept() {
    block_on(async {
        let desk = Desk::new().await;
        let file = part("file", Some("a.csv"), "email\na@example.test\n");
        let kind = part("kind", None, "contacts");
        let end = "--b0--\r\n";
        let cases = [
            ("", format!("{kind}{end}"), 422, "import.no_file", "part `file`"),
            ("", format!("{kind}{file}{file}{end}"), 422, "import.two_files", "one after the other"),
            (
                "",
                format!("{kind}{file}{}{end}", part("curency", None, "EUR")),
                422,
                "import.unknown_part",
                "`currency`",
            ),
            ("", format!("{}{kind}{end}", part("fiel", None, "x")), 422, "import.unknown_part", "`file`"),
            ("", format!("{kind}{kind}{file}{end}"), 422, "import.said_twice", "say it once"),
            ("kind=contacts", format!("{kind}{file}{end}"), 422, "import.said_twice", "say it once"),
            ("kind=contacts", format!("{}{end}", part("file", None, "")), 422, "file.empty", ""),
            ("", format!("{file}{end}"), 400, "body.invalid", "missing field `kind`"),
            (
                "",
                format!("{file}{}{end}", part("kind", None, "people")),
                400,
                "body.invalid",
                "unknown variant",
            ),
            ("kind=contacts&why=1", format!("{file}{end}"), 400, "body.invalid", "unknown field"),
            (
                "kind=contacts",
                format!("{}{file}{end}", part("map", None, "nope=Email")),
                422,
                "mapping.unknown_field",
                "",
            ),
            (
                "kind=contacts",
                format!("{}{end}", part("file", Some(&"x".repeat(201)), "email\n")),
                422,
                "import.name",
                "200",
            ),
            (
                "kind=contacts",
                format!("--b0\r\nX: y\r\n\r\nemail\n\r\n{end}"),
                422,
                "import.unknown_part",
                "",
            ),
            ("kind=contacts", file.clone(), 400, "upload.broken", "again"),
            ("kind=contacts", "email\na@example.test\n".into(), 400, "upload.broken", "again"),
            ("kind=contacts", String::new(), 400, "upload.broken", "again"),
        ];
        for (query, form, status, code, said) in cases {
            let answer = send_form(&desk, query, form.clone()).await;
            assert_eq!((answer.status().as_u16(), answer.code().as_str()), (status, code), "{query} {form}");
            assert!(answer.text().contains(said), "{}", answer.text());
        }
        let binary =
            [part("map", None, "").trim_end().as_bytes(), b"\r\n\r\n\xff\r\n", end.as_bytes()].concat();
        assert_eq!(send_form(&desk, "kind=contacts", binary).await.code(), "body.invalid");
        let unended = Request::builder()
            .method(Method::POST)
            .uri("/api/v1/imports?kind=contacts")
            .header(header::AUTHORIZATION, format!("Bearer {}", desk.key))
            .header(header::CONTENT_TYPE, "multipart/form-data");
        let answer = desk.server.send(unended.body(format!("{file}{end}").into()).unwrap()).await;
        assert_eq!((answer.status().as_u16(), answer.code().as_str()), (400, "body.invalid"));
        assert!(answer.text().contains("boundary"), "{}", answer.text());
        assert_eq!(uploads(&desk), 0);
        let viewer = desk.server.key(KeyScope::Read).await;
        let answer = desk.server.ask_with(Method::POST, &viewer, "/api/v1/imports", None, &[]).await;
        assert_eq!(answer.code(), "access.forbidden");
    });
}

#[test]
fn a_form_has_the_limits_of_its_file_of_its_settings_and_of_what_stands_before_a_part() {
    block_on(async {
        let mut config = api::Config::default();
        config.desk.upload_max = 100;
        let desk = Desk::over(crate::support::Server::with(config)).await;
        let file = |bytes: usize| part("file", None, &("email\n".to_owned() + &"x".repeat(bytes - 6)));
        let status = async |form: String, size: usize| {
            let answer = send_form(&desk, "kind=contacts", in_pieces(&form, size)).await;
            (answer.status().as_u16(), answer.code())
        };
        let taken = (202, String::new());
        for size in [10, 4096] {
            assert_eq!(status(file(100) + "--b0--", size).await, taken);
            assert_eq!(status(file(101) + "--b0--", size).await, (413, "upload.too_large".into()));
        }
        // A mapping file with a long comment; the part's name counts.
        let settings =
            |bytes: usize| part("mapping", None, &("{}\n#".to_owned() + &" ".repeat(bytes - 4 - 7)));
        let max = 1 << 20;
        assert_eq!(status(settings(max) + &file(10) + "--b0--", 4096).await, taken);
        let past = (422, "import.settings_too_large".into());
        assert_eq!(status(settings(max + 1) + &file(10) + "--b0--", 4096).await, past);
        let two = settings(max - 9) + &part("encoding", None, "x") + &file(10) + "--b0--";
        assert_ne!(status(two, 4096).await, past);
        let two = settings(max - 9) + &part("encoding", None, "xx") + &file(10) + "--b0--";
        assert_eq!(status(two, 4096).await, past);
        // What comes before the first part, in pieces of a byte: the last of them is the end of the part's head.
        let head = |bytes: usize| {
            let file = file(10);
            let own = file.find("\r\n\r\n").unwrap() + 4;
            "x".repeat(bytes - own - 2) + "\r\n" + &file + "--b0--"
        };
        assert_eq!(status(head(16 << 10), 1).await, taken);
        assert_eq!(status(head((16 << 10) + 1), 1).await, (400, "body.invalid".into()));
        assert_eq!(uploads(&desk), 4);
    });
}

#[test]
fn exports_are_read_by_a_link_that_expires() {
    block_on(async {
        let mut desk = Desk::new().await;
        desk.publish("hello", &hello()).await;
        desk.post("/api/v1/journeys/hello/enter", json!({"contacts": ["a"], "data": {"n": 1}})).await;
        desk.settle().await;
        let read = async |desk: &Desk, body: Value| {
            let job = desk.post("/api/v1/exports", body).await.json();
            let job = over(desk, &job["id"]).await;
            assert_eq!(job["state"], "done", "{job}");
            let path = format!("/api/v1/jobs/{}/links", job["id"]);
            let link = desk.post(&path, json!({"file": "result"})).await.json();
            let url = link["url"].as_str().unwrap();
            let path = url.strip_prefix("https://mail.shop.example").unwrap().to_owned();
            (desk.server.get("", &path).await.text(), path)
        };
        let (text, path) = read(&desk, json!({"what": "contacts"})).await;
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[0].starts_with("id,external_id,email"), "{text}");
        assert!(lines[1].starts_with("1,a,a@example.test,active,,First a"), "{text}");
        assert!(lines[1].contains("newsletter"), "{text}");
        let (text, _) = read(&desk, json!({"what": "events", "format": "jsonl"})).await;
        let event: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!((&event["contact"], &event["properties"]["n"]), (&json!("a"), &json!(1)), "{text}");
        let (text, _) = read(&desk, json!({"what": "messages", "journey": "hello"})).await;
        assert_eq!(text.lines().count(), 2, "{text}");
        let (text, _) = read(&desk, json!({"what": "orders"})).await;
        assert_eq!(text.lines().count(), 1, "{text}");

        // A link is for one file, and for ten minutes.
        let other = path.replace("/result?", "/rejects?");
        assert_eq!(desk.server.get("", &other).await.code(), "link.expired");
        let forged = path.replace("expires=", "expires=9");
        assert_eq!(desk.server.get("", &forged).await.code(), "link.expired");
        let (bare, _) = path.split_once('?').unwrap();
        assert_eq!(desk.server.get("", bare).await.code(), "access.unauthorized");
        desk.server.clock.forward(10 * model::Timestamp::MINUTE - 1);
        assert!(desk.server.get("", &path).await.status().is_success());
        desk.server.clock.forward(1);
        assert_eq!(desk.server.get("", &path).await.code(), "link.expired");
        let answer = desk.post("/api/v1/exports", json!({"what": "contacts", "segment": "none"})).await;
        assert_eq!(answer.code(), "segment.unknown");
    });
}

#[test]
fn members_of_a_segment_are_exported_alone() {
    block_on(async {
        let desk = Desk::new().await;
        let mut folder = hello();
        folder["journey"] =
            folder["journey"].as_str().unwrap().replace("who: with_email", "segment: only-a").into();
        folder["segments"] = json!({"only-a": "format: 1\nsegment: only-a\nname: Only a\ncondition: {field: external_id, is: a}\n"});
        desk.publish("hello", &folder).await;
        let job = desk.post("/api/v1/exports", json!({"what": "contacts", "segment": "only-a"})).await.json();
        let job = over(&desk, &job["id"]).await;
        assert_eq!((&job["state"], &job["result"]["rows"]), (&json!("done"), &json!(1)), "{job}");
    });
}

#[test]
fn a_draft_is_simulated_as_a_job() {
    block_on(async {
        let mut desk = Desk::new().await;
        desk.settle().await;
        let folder = example("s0");
        let body = json!({"folder": folder, "from": "2026-11-02T11:00:00Z", "to": "2026-11-03T00:00:00Z"});
        let job = desk.post("/api/v1/journeys/rfm-recommendations/simulate", body.clone()).await;
        assert_eq!(job.status().as_u16(), 202, "{}", job.text());
        let job = over(&desk, &job.json()["id"]).await;
        assert_eq!(job["state"], "done", "{job}");
        assert_eq!(job["result"]["entered"], 4, "{job}");
        assert_eq!(job["request"].get("folder"), None);
        let nodes = job["result"]["nodes"].as_array().unwrap();
        assert_eq!((&nodes[0]["node"], &nodes[0]["came"]), (&json!("start"), &json!(4)));
        for (change, code) in [
            (json!({"from": "2026-11-04T00:00:00Z"}), "simulate.span"),
            (json!({"open_rate": 1.5}), "simulate.share"),
            (json!({"within_days": 366}), "simulate.options"),
            (json!({"sample": 0}), "simulate.options"),
            (json!({"contact": "zz"}), "contact.unknown"),
        ] {
            let mut body = body.clone();
            body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let answer = desk.post("/api/v1/journeys/rfm-recommendations/simulate", body).await;
            assert_eq!(answer.code(), code);
        }
        let mut body = body;
        body["contact"] = "a".into();
        let job = desk.post("/api/v1/journeys/rfm-recommendations/simulate", body).await.json();
        let job = over(&desk, &job["id"]).await;
        assert!(!job["result"]["ways"][0].as_array().unwrap().is_empty(), "{job}");
    });
}

#[test]
fn jobs_are_listed_cancelled_and_taken_up_again_after_a_crash() {
    block_on(async {
        let desk = Desk::new().await;
        let db = &desk.server.store.db;
        let now = desk.server.app.now();
        let export = json!({"what": "contacts", "format": "csv"});
        for _ in 0..3 {
            let new = NewJob { kind: "export".into(), request: export.clone(), by: "test".into(), at: now };
            db.add_job(new).await.unwrap();
        }
        // The process died under the first one: a new worker does it again.
        let claimed = db.claim_job(now).await.unwrap().unwrap();
        assert_eq!((claimed.no, claimed.state), (1, JobState::Running));
        let cancelled = desk.post("/api/v1/jobs/3/cancel", json!({})).await.json();
        assert_eq!(cancelled["state"], "cancelled", "{cancelled}");
        let answer = desk.post("/api/v1/jobs/3/cancel", json!({})).await;
        assert_eq!((answer.status().as_u16(), answer.code().as_str()), (409, "job.over"));
        let job = over(&desk, &json!(2)).await;
        assert_eq!(job["state"], "done");
        let first = desk.get("/api/v1/jobs/1").await.json();
        assert_eq!(first["state"], "done", "{first}");
        assert_eq!(db.load_job(1).await.unwrap().unwrap().attempts, 2);
        // One under which it dies again and again has failed.
        let new = NewJob { kind: "export".into(), request: export, by: "test".into(), at: now };
        db.add_job(new).await.unwrap();
        for _ in 0..api::admin::jobs::ATTEMPTS_MAX {
            db.claim_job(now).await.unwrap().unwrap();
            if db.load_job(4).await.unwrap().unwrap().attempts < api::admin::jobs::ATTEMPTS_MAX {
                db.settle_jobs(99, model::Problem::new("x", "x"), now).await.unwrap();
            }
        }
        let job = over(&desk, &json!(4)).await;
        assert_eq!(
            (&job["state"], &job["problems"][0]["code"]),
            (&json!("failed"), &json!("job.crashed")),
            "{job}"
        );

        let page = desk.get("/api/v1/jobs?limit=3").await.json();
        let ids: Vec<i64> =
            page["items"].as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, [4, 3, 2]);
        let next = page["next"].as_str().unwrap();
        assert_eq!(desk.get(&format!("/api/v1/jobs?cursor={next}")).await.json()["items"][0]["id"], 1);
        assert_eq!(desk.get("/api/v1/jobs?state=failed").await.json()["items"].as_array().unwrap().len(), 1);
        assert_eq!(desk.get("/api/v1/jobs?kind=import").await.json()["items"], json!([]));
        assert_eq!(desk.get("/api/v1/jobs/99").await.code(), "not_found");

        // Jobs that are over for long are forgotten with their files.
        let files = || std::fs::read_dir(&desk.server.app.config.desk.folder).unwrap().count();
        assert_eq!(files(), 2);
        desk.server.clock.forward(api::admin::jobs::KEPT + 1);
        let job = desk.post("/api/v1/exports", json!({"what": "contacts"})).await.json();
        over(&desk, &job["id"]).await;
        let job = desk.post("/api/v1/exports", json!({"what": "contacts"})).await.json();
        over(&desk, &job["id"]).await;
        assert_eq!(desk.get("/api/v1/jobs/1").await.code(), "not_found");
        assert_eq!(files(), 2);
    });
}
