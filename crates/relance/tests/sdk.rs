//! Segment's own libraries, unchanged, and the snippet in a real browser, against `relance serve`.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use model::{Amount, ConsentState, Contact, ContactId, Event, Order, Timestamp, event::kind};
use storage::{
    contacts::{ContactStore, IdentifierKind},
    events::EventStore,
    orders::{CartChoice, OrderStore},
};
use storage_sqlite::{Options, Sqlite};

/// A server on a free port, stopped when this goes.
struct Server {
    process: Child,
    host: String,
    key: String,
    db: Sqlite,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn relance(base: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relance"));
    command.args(["--database", base]);
    command
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("base.db");
        let base = format!("sqlite:{}", file.display());
        let made =
            relance(&base).args(["key", "create", "--scope", "track", "--name", "shop"]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let key = String::from_utf8(made.stdout).unwrap();
        assert_eq!(key.lines().count(), 1, "the key stands alone: {key}");
        let mut process = relance(&base)
            .args(["serve", "--listen", "127.0.0.1:0", "--no-work", "--log-format", "json"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let host = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let from = line.find("127.0.0.1:")?;
                let address: String = line[from..].chars().take_while(|c| !"\", ".contains(*c)).collect();
                Some(format!("http://{address}"))
            })
            .expect("the server says where it listens");
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        let db = Sqlite::open(file, Options::default()).unwrap();
        Self { process, host, key: key.trim().to_owned(), db, folder }
    }
}

/// The folder with the libraries, installed when they are not there.
fn libraries() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
    let into = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/sdk");
    let status = Command::new(tests.join("install.sh")).arg(&into).status().unwrap();
    assert!(status.success(), "tests/sdk/install.sh has failed");
    into.canonicalize().unwrap()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(name)
}

/// Browsers run one after the other: they are large, and small machines run these tests too.
static BROWSER: Mutex<()> = Mutex::new(());

/// Runs a program to its end; what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// What the base knows of a contact.
struct Known {
    contact: Contact,
    events: Vec<Event>,
    orders: Vec<Order>,
}

async fn who(db: &Sqlite, kind: IdentifierKind, value: &str) -> Option<ContactId> {
    db.resolve(vec![(kind, value.to_owned())]).await.unwrap()[0]
}

async fn known(db: &Sqlite, external_id: &str) -> Known {
    let id = who(db, IdentifierKind::ExternalId, external_id).await.expect("the contact");
    let all = (Timestamp::MIN, Timestamp::MAX);
    Known {
        contact: db.load_contacts(vec![id]).await.unwrap().remove(0),
        events: db.load_events(vec![id], vec![], all.0, all.1).await.unwrap(),
        orders: db.load_orders(vec![id], all.0, all.1).await.unwrap(),
    }
}

impl Known {
    fn count(&self, kind: &str) -> usize {
        self.events.iter().filter(|event| event.kind == kind).count()
    }
}

#[test]
fn segments_library_for_python() {
    let libraries = libraries();
    for packed in [None, Some("gzip")] {
        let server = Server::start();
        let mut command = Command::new(libraries.join("python/bin/python"));
        command.arg(script("shop.py")).args([&server.host, &server.key]).args(packed);
        let errors = run(&mut command);
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains("track.refused"), "{errors}");
        block_on(async {
            let seen = known(&server.db, "py-1").await;
            assert_eq!(seen.contact.email.as_deref(), Some("pia@shop.example"));
            assert_eq!(seen.contact.first_name.as_deref(), Some("Pia"));
            assert_eq!(seen.contact.fields["plan"], model::Value::Text("gold".into()));
            assert_eq!(seen.contact.lists, [model::Slug::parse("club").unwrap()]);
            let kinds =
                [kind::PRODUCT_VIEWED, kind::PAGE_VIEWED, kind::SCREEN_VIEWED].map(|kind| seen.count(kind));
            assert_eq!((kinds, seen.count(kind::PRODUCT_ADDED)), ([1, 1, 1], 3));
            let order = &seen.orders[0];
            assert_eq!((order.external_id.as_str(), order.cart_id.as_str()), ("py-o", "py-cart"));
            assert_eq!((order.total, order.lines.len()), (Amount::units(12), 2));
            let viewed = seen.events.iter().find(|event| event.kind == kind::PRODUCT_VIEWED).unwrap();
            assert!(viewed.at.since(order.at) > Timestamp::DAY, "the order was two days before");
            let carts = server
                .db
                .load_last_carts(vec![seen.contact.id], CartChoice::Active, viewed.received_at, i64::MAX)
                .await
                .unwrap();
            assert_eq!((carts[0].external_id.as_str(), carts[0].total), ("py-next", Amount::units(3)));
            assert_eq!(who(&server.db, IdentifierKind::ExternalId, "py-before").await, Some(seen.contact.id));
            assert!(who(&server.db, IdentifierKind::Anonymous, "py-browser").await.is_some());
        });
    }
}

#[test]
fn segments_library_for_node() {
    let libraries = libraries();
    let server = Server::start();
    let mut command = Command::new("node");
    command.arg(script("shop.mjs")).arg(libraries.join("node")).args([&server.host, &server.key]);
    assert_eq!(run(&mut command), "");
    block_on(async {
        let seen = known(&server.db, "js-1").await;
        assert_eq!(seen.contact.email.as_deref(), Some("joe@shop.example"));
        assert_eq!(seen.contact.fields["visits"], model::Value::Integer(3));
        assert_eq!(seen.contact.lists, [model::Slug::parse("club").unwrap()]);
        let kinds = [kind::PRODUCT_VIEWED, kind::PAGE_VIEWED, kind::SCREEN_VIEWED, kind::CHECKOUT_STARTED];
        assert_eq!(kinds.map(|kind| seen.count(kind)), [2, 1, 1, 1], "one of them was the browser's");
        let order = &seen.orders[0];
        assert_eq!((order.total, order.refunded, order.counts()), (Amount::units(9), Amount(45_000), true));
        assert_eq!(who(&server.db, IdentifierKind::Anonymous, "js-browser").await, Some(seen.contact.id));
    });
}

#[test]
fn the_snippet_in_a_real_browser() {
    let _alone = BROWSER.lock().unwrap_or_else(PoisonError::into_inner);
    let libraries = libraries();
    let server = Server::start();
    let mut command = Command::new("node");
    command.arg(script("browser.mjs")).arg(libraries.join("node")).args([&server.host, &server.key]);
    command.arg("/usr/bin/chromium");
    let seen: serde_json::Value = serde_json::from_str(&run(&mut command)).unwrap();
    assert_eq!((seen["status"].as_u64(), seen["agreed"].as_u64()), (Some(200), Some(200)), "{seen}");
    assert_eq!((seen["push"].as_bool(), seen["shown"].as_str()), (Some(true), Some("Your cart: waits")));
    let nothing = serde_json::json!([null, 0]);
    assert_eq!((&seen["dnt"], &seen["before"]), (&nothing, &nothing), "nothing is kept in the browser");
    assert_eq!(seen["after"], serde_json::json!([null, "relance_consent"]));
    let requests: Vec<&str> =
        seen["requests"].as_array().unwrap().iter().filter_map(|r| r.as_str()).collect();
    assert!(requests.iter().all(|request| request.starts_with("POST")), "no preflight: {requests:?}");
    assert!(!requests.iter().any(|request| request.contains("data-page")), "not tracked: {requests:?}");
    block_on(async {
        let known = known(&server.db, "web-1").await;
        assert_eq!(known.contact.email.as_deref(), Some("wim@shop.example"));
        assert_eq!(
            (known.contact.locale.as_deref(), known.contact.time_zone.as_deref()),
            (Some("fr-FR"), Some("Europe/Paris"))
        );
        assert_eq!(known.contact.consent("newsletter"), ConsentState::Subscribed);
        assert_eq!(known.contact.push[0].endpoint, "https://push.example/web");
        let browser = seen["id"].as_str().unwrap();
        assert_eq!(who(&server.db, IdentifierKind::Anonymous, browser).await, Some(known.contact.id));
        let kinds = [kind::PAGE_VIEWED, kind::PRODUCT_VIEWED, kind::PRODUCT_ADDED, "Left"];
        assert_eq!(kinds.map(|kind| known.count(kind)), [2, 2, 1, 1], "{:?}", known.events);
        let page = known.events.iter().find(|event| event.kind == kind::PAGE_VIEWED).unwrap();
        assert_eq!(page.properties["title"], "Mugs");
        // Everybody else who was here is the one who agreed; and of nobody else is anything known.
        let (contacts, _) = server.db.count_contacts().await.unwrap();
        assert_eq!(contacts, 2);
        let other = server.db.scan_contacts(ContactId(0), 10).await.unwrap();
        let other = other.into_iter().find(|contact| contact.id != known.contact.id).unwrap();
        let events =
            server.db.load_events(vec![other.id], vec![], Timestamp::MIN, Timestamp::MAX).await.unwrap();
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        assert!(kinds.contains(&"Before The Answer") && !kinds.contains(&"Not Told"), "{kinds:?}");
    });
}

#[test]
fn segments_library_for_browsers() {
    let _alone = BROWSER.lock().unwrap_or_else(PoisonError::into_inner);
    let libraries = libraries();
    let server = Server::start();
    let mut command = Command::new("node");
    command.arg(script("ajs.mjs")).arg(libraries.join("node")).args([&server.host, &server.key]);
    command.arg("/usr/bin/chromium");
    let asked: Vec<String> = serde_json::from_str(&run(&mut command)).unwrap();
    let expected = ["200 /v1/i", "200 /v1/p", "200 /v1/projects/KEY/settings", "200 /v1/t"];
    assert_eq!(asked, expected, "it asks nobody else");
    block_on(async {
        let known = known(&server.db, "ajs-1").await;
        assert_eq!(known.contact.email.as_deref(), Some("ada@shop.example"));
        assert_eq!([kind::PAGE_VIEWED, kind::PRODUCT_VIEWED].map(|kind| known.count(kind)), [1, 1]);
    });
}

#[test]
fn somebody_signs_in_with_a_real_browser() {
    const PASSWORD: &str = "trois petits tambours";
    let _alone = BROWSER.lock().unwrap_or_else(PoisonError::into_inner);
    let libraries = libraries();
    let server = Server::start();
    let base = format!("sqlite:{}", server.folder.path().join("base.db").display());
    let mut made = relance(&base)
        .args(["user", "create", "ann@shop.example", "--role", "editor", "--password-stdin"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    made.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    assert!(made.wait().unwrap().success());
    let mut command = Command::new("node");
    command.arg(script("account.mjs")).arg(libraries.join("node"));
    command.args([&server.host, "ann@shop.example", PASSWORD, "/usr/bin/chromium"]);
    let seen: serde_json::Value = serde_json::from_str(&run(&mut command)).unwrap();
    assert_eq!(seen["wrong"], "L'adresse ou le mot de passe n'est pas le bon.");
    assert_eq!((&seen["kept"], &seen["out"]), (&"ann@shop.example".into(), &"/account/sign-in".into()));
    let home = seen["home"].as_str().unwrap();
    assert!(home.contains("ann@shop.example") && home.contains("Éditeur"), "{home}");
    assert_eq!(seen["asked"], "The password is right. Enter the code too.");
    assert_eq!((&seen["stays"], &seen["focus"]), (&true.into(), &"code".into()), "{seen}");
    assert_eq!(seen["problems"], serde_json::json!([]), "no script and no style was refused");
}
