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
