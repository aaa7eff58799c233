//! `relance deliver` as a user runs it, and as a machine breaks it.

mod dkim;
mod outbox;
mod real_smtp;
#[path = "../../../delivery/tests/support/mod.rs"]
mod support;

use mail_parser::MessageParser;
use model::{ContactId, Timestamp};
use outbox::{World, json, run, stderr};
use support::{Manners, Sink};

#[tokio::test(flavor = "multi_thread")]
async fn hands_over_says_what_came_of_it_and_does_it_once() {
    let (world, contacts) = World::new(&["ann", "hard", "unsub", "soft"]).await;
    world.insert(&contacts, false).await;
    let sink = Sink::start(Manners::default()).await;
    let output = run(world.deliver_to(&sink.url())).await;
    assert!(!output.status.success(), "a failed and a deferred message are no success");
    let outcomes: Vec<String> = json(&output)
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            format!(
                "{} {} {}",
                row["outcome"].as_str().unwrap(),
                row["reason"].as_str().unwrap(),
                row["messages"]
            )
        })
        .collect();
    assert_eq!(outcomes, ["deferred smtp.4xx 1", "sent  1", "failed smtp.5xx 1", "skipped unsubscribed 1"]);
    let said = stderr(&output);
    assert!(said.contains("made a signing key") && said.contains("--list failed"), "{said}");
    assert!(said.contains("1 messages wait in the outbox, the next from"), "{said}");
    let output = run(world.deliver_to(&sink.url())).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(sink.taken().len(), 1);
    let output = run(world.deliver(&["--list", "failed", "--format", "csv"])).await;
    let list = String::from_utf8(output.stdout).unwrap();
    assert!(list.contains("550 5.1.1 no such user here") && list.lines().count() == 2, "{list}");
    // Retried when asked; the address is suppressed by now.
    let mut again = world.deliver_to(&sink.url());
    again.arg("--retry-failed");
    assert!(run(again).await.status.success());
    assert_eq!(world.states().await[1], "skipped suppressed");
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_for_what_becomes_due_soon() {
    let (world, contacts) = World::new(&["soft1"]).await;
    world.insert(&contacts, false).await;
    let sink = Sink::start(Manners::default()).await;
    let mut command = world.deliver_to(&sink.url());
    command.args(["--first-wait", "PT1S", "--wait", "PT1M"]);
    run(command).await;
    assert_eq!(world.states().await, ["sent -"]);
    assert_eq!(sink.tries("soft1@example.test"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_server_is_told_and_costs_nothing() {
    let (world, contacts) = World::new(&["ann", "bea"]).await;
    world.insert(&contacts, false).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let output = run(world.deliver_to(&format!("smtp://{free}"))).await;
    assert!(!output.status.success());
    let said = stderr(&output);
    assert!(said.contains("smtp.unreachable") && said.contains(&free.to_string()), "{said}");
    assert!(said.contains("no message is lost") && said.contains("2 messages wait"), "{said}");
    assert_eq!(world.states().await, ["waiting -", "waiting -"]);
}

/// Runs with a breaking point, and then again without; says how many mails the server got, with how many Message-IDs,
/// and where the message stands.
async fn broken_at(point: &str, transactional: bool) -> (usize, usize, String) {
    let (world, contacts) = World::new(&["ann"]).await;
    world.insert(&contacts, transactional).await;
    let sink = Sink::start(Manners::default()).await;
    let mut command = world.deliver_to(&sink.url());
    command.env("RELANCE_CRASH_AT", point);
    let output = run(command).await;
    assert_eq!(output.status.code(), None, "it breaks at {point}: {}", stderr(&output));
    let output = run(world.deliver_to(&sink.url())).await;
    let state = world.states().await.remove(0);
    assert_eq!(output.status.success(), state.starts_with("sent"), "{}", stderr(&output));
    // A third run changes nothing any more.
    run(world.deliver_to(&sink.url())).await;
    assert_eq!(world.states().await[0], state);
    let taken = sink.taken();
    let mut ids: Vec<String> = taken
        .iter()
        .map(|taken| {
            MessageParser::new().parse(taken.data.as_bytes()).unwrap().message_id().unwrap().to_owned()
        })
        .collect();
    ids.dedup();
    (taken.len(), ids.len(), state)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_marketing_mail_goes_twice_wherever_the_process_dies() {
    let uncertain = || "uncertain worker.lost".to_owned();
    assert_eq!(broken_at("delivery.before_handover", false).await, (0, 0, uncertain()));
    assert_eq!(broken_at("delivery.after_handover", false).await, (1, 1, uncertain()));
    assert_eq!(broken_at("delivery.after_record", false).await, (1, 1, "sent -".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transactional_mail_arrives_wherever_the_process_dies_and_twice_only_with_one_message_id() {
    assert_eq!(broken_at("delivery.before_handover", true).await, (1, 1, "sent -".into()));
    assert_eq!(broken_at("delivery.after_handover", true).await, (2, 1, "sent -".into()));
    assert_eq!(broken_at("delivery.after_record", true).await, (1, 1, "sent -".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_amid_many_leaves_few_in_doubt_and_the_rest_arrive_once() {
    let names: Vec<String> = (0..400).map(|i| format!("c{i}")).collect();
    let (world, contacts) = World::new(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.insert(&contacts, false).await;
    let sink = Sink::start(Manners::default()).await;
    let mut command = world.deliver_to(&sink.url());
    command.env("RELANCE_CRASH_AT", "delivery.after_handover:150");
    assert_eq!(run(command).await.status.code(), None);
    let before = sink.taken().len();
    assert!((150..400).contains(&before), "{before}");
    run(world.deliver_to(&sink.url())).await;
    let states = world.states().await;
    let uncertain = states.iter().filter(|state| state.starts_with("uncertain")).count();
    let sent = states.iter().filter(|state| state.starts_with("sent")).count();
    assert_eq!(sent + uncertain, 400);
    assert!((1..=256).contains(&uncertain), "{uncertain}");
    let mut recipients: Vec<String> = sink.taken().into_iter().map(|taken| taken.to).collect();
    let all = recipients.len();
    recipients.sort();
    recipients.dedup();
    assert_eq!(recipients.len(), all, "nobody got two");
    assert!(all >= sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn captures_into_a_folder_under_the_virtual_clock() {
    let (world, contacts) = World::new(&["ann", "unsub"]).await;
    world.insert(&contacts, false).await;
    let folder = world.folder.path().join("mails");
    let arguments = ["--capture", "mails", "--at", "2026-11-22T08:00:00Z"];
    let output = run(world.deliver(&arguments)).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("index.html"));
    let id = storage::outbox::MessageId::derive(1, contacts[0].0 as u64, 1, "news", 1);
    let eml = std::fs::read(folder.join("mails").join(format!("{id}.eml"))).unwrap();
    let mail = MessageParser::new().parse(&eml).unwrap();
    assert_eq!(mail.subject(), Some(format!("Bonjour Zoë {} 🎁", contacts[0]).as_str()));
    assert_eq!(mail.date().unwrap().to_rfc3339(), "2026-11-22T08:00:00Z");
    let index = std::fs::read_to_string(folder.join("mails.js")).unwrap();
    assert!(
        index.contains("\"outcome\":\"skipped\"") && index.contains("\"reason\":\"unsubscribed\""),
        "{index}"
    );
    assert!(folder.join("index.html").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_before_its_time() {
    let (world, contacts) = World::new(&["ann"]).await;
    world.insert(&contacts, false).await;
    let before = Timestamp(outbox::DECIDED.0 - 1).to_string();
    let output = run(world.deliver(&["--capture", "mails", "--at", &before])).await;
    assert!(output.status.success());
    assert_eq!(world.states().await, ["waiting -"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_are_missing_or_wrong_are_told_before_anything_is_claimed() {
    let (world, contacts) = World::new(&["ann"]).await;
    world.insert(&contacts, false).await;
    let from = ["--from", "a@shop.example"];
    let url = ["--public-url", "https://a.example"];
    let smtp = ["--smtp", "smtp://127.0.0.1:1"];
    let table: &[(&[&[&str]], &str)] = &[
        (&[], "--smtp URL or --capture FOLDER"),
        (&[&["--transport", "smtp"]], "the SMTP server is not given"),
        (&[&smtp, &url], "it is not said who writes"),
        (&[&smtp, &from], "where unsubscribe links lead"),
        (&[&smtp, &url, &["--from", "nobody"]], "mailbox.invalid"),
        (&[&smtp, &from, &["--public-url", "mail.shop.example"]], "url.invalid"),
        (&[&["--smtp", "smtp://h?tls=maybe"], &url, &from], "tls=maybe"),
        (&[&smtp, &url, &from, &["--rate", "0"]], "option.range"),
        (&[&smtp, &url, &from, &["--first-wait", "1m"]], "period.invalid"),
        (&[&["--capture", "/dev/null/mails"]], "cannot be written"),
    ];
    for (parts, word) in table {
        let output = run(world.deliver(&parts.concat())).await;
        assert!(!output.status.success() && stderr(&output).contains(word), "{word}: {}", stderr(&output));
    }
    assert_eq!(world.rows().await[0].attempt, 0);
    assert_eq!(contacts, [ContactId(1)]);
}
