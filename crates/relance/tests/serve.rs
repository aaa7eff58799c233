//! `relance serve` as a process: it serves, stops in order, goes on after it was killed, is backed up and brought back.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_relance");

fn relance(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(arguments)
        .current_dir(folder)
        .env("RELANCE_DATABASE", "sqlite:shop.db")
        .output()
        .unwrap()
}

fn key(folder: &Path, scope: &str) -> String {
    let made = relance(folder, &["key", "create", "--scope", scope]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// A server; killed when this goes.
struct Server {
    child: Child,
    address: String,
    ops: String,
    log: BufReader<ChildStderr>,
}

impl Server {
    fn start(folder: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
            .args(more)
            .current_dir(folder)
            .env("RELANCE_DATABASE", "sqlite:shop.db")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let (mut address, mut ops) = (None, None);
        let mut line = String::new();
        while address.is_none() {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "the server has ended");
            let after = |word: &str| line.split(word).nth(1).and_then(|rest| rest.split_whitespace().next());
            ops = ops.or(after("ops_listen=").map(str::to_owned));
            if line.contains(" serving ") {
                address = after(" listen=").map(str::to_owned);
            }
        }
        Self { child, address: address.unwrap(), ops: ops.unwrap(), log }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Waits for its end; what it logged since the start.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }

    fn ask(&self, method: &str, path: &str, key: &str, body: &str) -> (u16, String) {
        ask(&self.address, method, path, key, body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn ask(address: &str, method: &str, path: &str, key: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
}

fn view(n: usize) -> String {
    format!(
        r#"{{"userId":"ann","event":"Product Viewed","messageId":"m{n}","properties":{{"product_id":"P{n}"}}}}"#
    )
}

fn events(server: &Server, key: &str) -> usize {
    let (status, body) = server.ask("GET", "/api/v1/contacts/external_id:ann/timeline?limit=500", key, "");
    assert_eq!(status, 200, "{body}");
    body.matches("Product Viewed").count()
}

#[test]
fn it_serves_and_stops_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let admin = key(folder.path(), "admin");
    let server = Server::start(folder.path(), &["--capture", "mails"]);
    assert_eq!(server.ask("GET", "/healthz", "", "").0, 200);
    assert_eq!(server.ask("GET", "/readyz", "", "").0, 200);
    assert_eq!(server.ask("GET", "/metrics", "", "").0, 401);
    assert_eq!(server.ask("GET", "/metrics", &admin, "").0, 200);
    assert_eq!(server.ask("POST", "/v1/track", &admin, &view(1)).0, 200);
    let (status, figures) = ask(&server.ops, "GET", "/metrics", "", "");
    assert_eq!(status, 200);
    for figure in [
        "relance_http_requests_total",
        "relance_inputs_waiting",
        "relance_outbox{state=\"due\"} 0",
        "relance_outbox{state=\"handing_over\"} 0",
        "relance_refused_messages_total 0",
        "# TYPE relance_http_requests counter",
        "# EOF",
    ] {
        assert!(figures.contains(figure), "{figure} is not in {figures}");
    }
    let figure = |text: &str, name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
    };
    assert!(figure(&figures, "relance_database_log_bytes") > 0.0, "what was tracked is in the log");
    // What is wrong with a message is kept, counted, and the count only grows.
    let wrong = r#"{"userId":"ann","messageId":"w1","event":""}"#;
    assert_eq!(server.ask("POST", "/v1/track", &admin, wrong).0, 400);
    let (_, later) = ask(&server.ops, "GET", "/metrics", "", "");
    assert!(figure(&later, "relance_refused_messages_total") >= 1.0, "{later}");
    let began = figure(&figures, "process_start_time_seconds");
    assert!(began > 1e9 && began == figure(&later, "process_start_time_seconds"), "{later}");
    // Another server on the same base would do the same work in vain.
    let second = relance(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("engine.running"));
    server.signal("-TERM");
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped"), "{log}");
    assert!(!log.contains("ann"), "a log names nobody: {log}");
}

#[test]
fn what_was_acknowledged_is_there_after_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let admin = key(folder.path(), "admin");
    for round in 0..3 {
        let server = Server::start(folder.path(), &[]);
        if round > 0 {
            assert_eq!(events(&server, &admin), round * 20, "of the rounds before");
        }
        for n in round * 20..round * 20 + 20 {
            assert_eq!(server.ask("POST", "/v1/track", &admin, &view(n)).0, 200);
        }
        server.signal("-KILL");
        server.end();
    }
    let server = Server::start(folder.path(), &[]);
    assert_eq!(events(&server, &admin), 60);
}

#[test]
fn a_backup_of_a_server_at_work_is_brought_back() {
    let folder = tempfile::tempdir().unwrap();
    let admin = key(folder.path(), "admin");
    let server = Server::start(folder.path(), &[]);
    assert_eq!(server.ask("POST", "/v1/track", &admin, &view(1)).0, 200);
    let taken = relance(folder.path(), &["backup", "first"]);
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    assert_eq!(server.ask("POST", "/v1/track", &admin, &view(2)).0, 200);
    let code = |output: Output, code: &str| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(code), "{said}");
    };
    code(relance(folder.path(), &["backup", "first"]), "backup.exists");
    code(relance(folder.path(), &["restore", "first", "--replace"]), "engine.running");
    server.signal("-TERM");
    server.end();
    code(relance(folder.path(), &["restore", "first"]), "restore.exists");
    code(relance(folder.path(), &["restore", "nowhere", "--replace"]), "restore.backup");
    let back = relance(folder.path(), &["restore", "first", "--replace"]);
    assert!(back.status.success(), "{}", String::from_utf8_lossy(&back.stderr));
    let server = Server::start(folder.path(), &[]);
    assert_eq!(events(&server, &admin), 1, "as it was when the backup was taken");
    drop(server);
    // A backup of which a byte is not what was written is not brought back.
    let base = folder.path().join("first/relance.db");
    let mut bytes = std::fs::read(&base).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    std::fs::write(&base, bytes).unwrap();
    let other = Command::new(PROGRAM)
        .args(["restore", "first", "--database", "sqlite:other.db"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    code(other, "restore.backup");
    assert!(!folder.path().join("other.db").exists());
}

#[test]
fn options_come_from_a_file_and_mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relance.toml");
    std::fs::write(&file, "stop-within = \"PT5S\"\nlog-format = \"json\"\n").unwrap();
    let mut child = Command::new(PROGRAM)
        .args(["serve", "--config", "relance.toml", "--listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("{\"timestamp\"")), "log lines are JSON");
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::write(&file, "stop-witin = \"PT5S\"\n").unwrap();
    let output = relance(folder.path(), &["serve", "--config", "relance.toml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("did you mean `stop-within`?"), "{said}");
}

#[test]
fn the_doctor_names_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let healthy = relance(folder.path(), &["doctor"]);
    let said = String::from_utf8_lossy(&healthy.stdout).into_owned();
    assert!(healthy.status.success(), "{said}");
    for word in ["sound", "no key may track", "time_zone is not set"] {
        assert!(said.contains(word), "{word} is not in {said}");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = format!("smtp://127.0.0.1:{port}?tls=none");
    let gone = relance(
        folder.path(),
        &[
            "doctor",
            "--smtp",
            &server,
            "--from",
            "Shop <a@shop.example>",
            "--public-url",
            "http://shop.example",
        ],
    );
    let said = String::from_utf8_lossy(&gone.stdout).into_owned();
    assert!(!gone.status.success() && said.contains("BAD"), "{said}");
    assert!(said.contains("is not https"), "{said}");
}
