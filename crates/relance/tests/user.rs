//! `relance user` from the command line.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

struct Base(TempDir);

impl Base {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn run(&self, args: &[&str], input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_relance"))
            .args(args)
            .args(["--at", "2026-11-02T10:00:00Z"])
            .env("RELANCE_DATABASE", format!("sqlite:{}", self.0.path().join("relance.db").display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads nothing may have ended before.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        child.wait_with_output().unwrap()
    }

    fn good(&self, args: &[&str], input: &str) -> String {
        let out = self.run(args, input);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn bad(&self, args: &[&str], input: &str) -> String {
        let out = self.run(args, input);
        assert!(!out.status.success(), "{args:?}");
        assert_eq!(String::from_utf8_lossy(&out.stdout), "");
        String::from_utf8(out.stderr).unwrap()
    }

    fn hash(&self, email: &str) -> String {
        use storage::users::UserStore;
        use storage_sqlite::{Options, Sqlite};
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let store = Sqlite::open(self.0.path().join("relance.db"), Options::default()).unwrap();
        let user = runtime.block_on(store.find_user(email.into())).unwrap().unwrap();
        user.is.password.unwrap()
    }
}

const ANN: &str = "ann@shop.example";

#[test]
fn a_made_password_stands_alone_and_opens() {
    let base = Base::new();
    let made = base.good(&["user", "create", "Ann@Shop.example", "--role", "owner", "--name", "Ann"], "");
    let made = made.strip_suffix('\n').unwrap();
    assert_eq!((made.len(), made.split('-').count()), (24, 5), "{made}");
    assert!(api::access::password::verify(made, Some(&base.hash(ANN))));
    let again = base.good(&["user", "reset-password", ANN], "");
    assert!(!api::access::password::verify(made, Some(&base.hash(ANN))));
    assert!(api::access::password::verify(again.trim(), Some(&base.hash(ANN))));
    assert!(base.bad(&["user", "create", ANN], "").contains("error[user.exists]"));
}

#[test]
fn a_password_comes_from_standard_input_and_is_checked() {
    let base = Base::new();
    let create = ["user", "create", ANN, "--role", "owner", "--password-stdin"];
    assert!(base.bad(&create, "").contains("error[password.length]"));
    assert!(base.bad(&create, "password1234\n").contains("error[password.common]"));
    assert!(base.bad(&create, &"x".repeat(100_000)).contains("error[password.length]"));
    assert_eq!(base.good(&create, "correct horse battery staple\nmore\n"), "");
    assert!(api::access::password::verify("correct horse battery staple", Some(&base.hash(ANN))));
}

#[test]
fn users_are_listed_and_changed_and_an_owner_stays() {
    let base = Base::new();
    base.good(&["user", "create", ANN, "--role", "owner"], "");
    base.good(&["user", "create", "bob@shop.example", "--name", "Bob"], "");
    let list = base.good(&["user", "list", "--format", "csv"], "");
    assert_eq!(
        list,
        "email,role,name,state,codes,signed_in\nann@shop.example,owner,,active,no,\nbob@shop.example,viewer,Bob,active,no,\n"
    );
    assert!(base.bad(&["user", "role", ANN, "editor"], "").contains("error[user.last_owner]"));
    assert!(base.bad(&["user", "disable", ANN], "").contains("error[user.last_owner]"));
    assert!(base.bad(&["user", "role", "bob@shop.example", "edtor"], "").contains("did you mean `editor`?"));
    assert!(base.bad(&["user", "role", "eve@shop.example", "editor"], "").contains("error[user.unknown]"));
    base.good(&["user", "role", "bob@shop.example", "owner"], "");
    base.good(&["user", "disable", ANN], "");
    assert!(base.good(&["user", "list"], "").contains("disabled"));
    base.good(&["user", "enable", ANN], "");
    assert!(!base.good(&["user", "list"], "").contains("disabled"));
}

/// What a server prints on standard output until it listens, on a free port of its own.
fn greeting(base: &Base) -> String {
    use std::io::{BufRead, BufReader, Read};
    let mut server = Command::new(env!("CARGO_BIN_EXE_relance"))
        .args(["serve", "--no-work", "--listen", "127.0.0.1:0", "--public-url", "https://mail.shop.example"])
        .args(["--trusted-proxies", "127.0.0.1,10.0.0.0/8"])
        .env("RELANCE_DATABASE", format!("sqlite:{}", base.0.path().join("relance.db").display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(server.stderr.take().unwrap()).lines();
    let listens = log.map_while(Result::ok).any(|line| line.contains("serving"));
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(listens);
    let mut said = String::new();
    server.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    said
}

#[test]
fn a_server_without_users_prints_where_the_owner_is_made() {
    let base = Base::new();
    let (first, second) = (greeting(&base), greeting(&base));
    for said in [&first, &second] {
        let token =
            said.strip_prefix("https://mail.shop.example/account/setup#").unwrap_or_else(|| panic!("{said}"));
        assert_eq!(token.len(), api::access::token::TOKEN_LEN + 1, "the link and nothing else: {said}");
    }
    assert_ne!(first, second);
    base.good(&["user", "create", ANN, "--role", "owner"], "");
    assert_eq!(greeting(&base), "");
}

#[test]
fn options_of_access_are_checked() {
    let base = Base::new();
    for (options, code) in [
        (&["--trusted-proxies", "10.0.0.0/33"][..], "error[network.invalid]"),
        (&["--session-idle", "PT0S"], "error[option.range]"),
        (&["--session-max", "P1M"], "error[option.range]"),
        (&["--oidc-issuer", "http://login.shop.example", "--oidc-client-id", "x"], "error[oidc.issuer]"),
        (&["--oidc-issuer", "https://login.shop.example"], "--oidc-client-id"),
    ] {
        let mut args = vec!["serve", "--no-work", "--listen", "127.0.0.1:0"];
        args.extend(options);
        let told = base.bad(&args, "");
        assert!(told.contains(code), "{options:?}: {told}");
    }
}
