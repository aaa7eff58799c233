//! Delivery to a real SMTP server program: Postfix's `smtp-sink` (Debian: `apt-get install postfix`), found in PATH or in
//! /usr/sbin. A machine without it fails these tests: what they say cannot be said by a server of our own.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::outbox::{World, json, run, stderr};
use mail_parser::{MessageParser, MimeHeaders};

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|folder| folder.join("smtp-sink"))
        .find(|file| file.exists())
        .expect("smtp-sink is not installed; it comes with Postfix: apt-get install postfix")
}

/// A running `smtp-sink` that keeps each mail in a file.
struct Sink {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Sink {
    fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // Started by root it becomes "nobody", who must be able to write here.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).expect("permissions");
        let address = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
        let mut command = Command::new(program());
        if Path::new("/proc/self").metadata().is_ok_and(|meta| meta.uid() == 0) {
            command.args(["-u", "nobody"]);
        }
        let child = command
            .args(options)
            .args(["-d", "mail."])
            .arg(address.to_string())
            .arg("100")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("smtp-sink runs");
        let sink = Self { child, address, folder };
        for _ in 0..200 {
            if TcpStream::connect(address).is_ok() {
                return sink;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("smtp-sink does not answer at {address}");
    }

    /// The mails that it kept, without the envelope lines that it writes before each.
    fn mails(&self) -> Vec<String> {
        let mut mails: Vec<String> = std::fs::read_dir(self.folder.path())
            .expect("the folder")
            .map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("a mail"))
            .collect();
        mails.sort();
        mails
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_arrive_whole_at_a_real_server() {
    let names: Vec<String> = (0..40).map(|i| format!("c{i}")).collect();
    let (world, contacts) = World::new(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.insert(&contacts, false).await;
    let sink = Sink::start(&[]);
    let output = run(world.deliver_to(&format!("smtp://{}", sink.address))).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(json(&output)[0]["messages"], 40);
    let mails = sink.mails();
    assert_eq!(mails.len(), 40);
    let mut seen = Vec::new();
    for kept in &mails {
        let mail = MessageParser::new().parse(kept.as_bytes()).expect("a mail");
        let to = mail.to().and_then(|to| to.first()).and_then(|to| to.address()).expect("to").to_owned();
        assert!(kept.contains(&format!("X-Rcpt-Args: <{to}>")), "the envelope says the same: {kept}");
        assert!(kept.contains("X-Mail-Args: <news@shop.example>"), "{kept}");
        let sender = mail.from().and_then(|from| from.first()).expect("from");
        assert_eq!((sender.name(), sender.address()), (Some("L'Été"), Some("news@shop.example")));
        let number =
            to.trim_start_matches('c').split('@').next().expect("a number").parse::<i64>().expect("a number");
        let name = format!("Zoë {}", contacts[number as usize]);
        assert_eq!(mail.subject(), Some(format!("Bonjour {name} 🎁").as_str()));
        assert!(mail.content_type().is_some_and(|kind| kind.subtype() == Some("alternative")));
        assert_eq!((mail.text_body_count(), mail.html_body_count()), (1, 1));
        assert!(mail.body_text(0).is_some_and(|text| text.contains(&format!("Cher {name}, c’est l’été."))));
        assert!(mail.body_html(0).is_some_and(|html| html.contains(&name)));
        assert!(mail.date().is_some() && kept.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"));
        assert!(
            mail.header_raw("List-Unsubscribe")
                .is_some_and(|raw| raw.contains("<https://mail.shop.example/u/"))
        );
        assert!(kept.lines().all(|line| line.len() <= 998));
        seen.push(mail.message_id().expect("an id").to_owned());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 40);
    assert!(world.states().await.iter().all(|state| state == "sent -"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_real_server_refuses_is_recorded_with_its_words() {
    // -r: temporary refusal of a command, -f: refusal for good, -q: hang up after it ("." ends a mail).
    for (options, outcome, state) in [
        (["-r", "RCPT"], "deferred", "waiting smtp.4xx"),
        (["-f", "RCPT"], "failed", "failed smtp.5xx"),
        (["-f", "."], "failed", "failed smtp.5xx"),
        (["-q", "."], "uncertain", "uncertain worker.unsure"),
        (["-q", "RCPT"], "deferred", "waiting smtp.connection"),
    ] {
        let (world, contacts) = World::new(&["ann"]).await;
        world.insert(&contacts, false).await;
        let sink = Sink::start(&options);
        let output = run(world.deliver_to(&format!("smtp://{}", sink.address))).await;
        assert!(!output.status.success());
        assert_eq!(json(&output)[0]["outcome"], outcome, "{options:?} {}", stderr(&output));
        assert_eq!(world.states().await, [state], "{options:?}");
        let detail = world.rows().await.remove(0).detail.unwrap_or_default();
        assert!(!detail.is_empty(), "{options:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_without_pipelining_takes_mails_too() {
    let (world, contacts) = World::new(&["ann", "bea"]).await;
    world.insert(&contacts, false).await;
    // -p: announces no PIPELINING.
    let sink = Sink::start(&["-p"]);
    let output = run(world.deliver_to(&format!("smtp://{}", sink.address))).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(sink.mails().len(), 2);
}
