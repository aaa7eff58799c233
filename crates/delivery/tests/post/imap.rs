//! A mailbox of bounces on a real IMAP server: Dovecot (Debian: `apt-get install dovecot-imapd`). A machine without it
//! fails this test: what it says cannot be said by a server of our own.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use delivery::post::{
    imap::{Imap, Polled},
    token,
};
use model::Channel;
use storage::outbox::{AddressHash, OutboxStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    support::{Manners, Sink},
    world::{World, links},
};

struct Server {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Told to end, the master ends its children; killed, it leaves them.
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        drop(self.child.wait());
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join("dovecot"))
        .find(|file| file.exists())
        .expect("dovecot is not installed: apt-get install dovecot-imapd")
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

impl Server {
    /// With a certificate for `localhost` where it offers STARTTLS.
    fn start(tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        // Started by root it serves as "nobody", who must be able to read and write here.
        open_to_all(base, 0o755);
        for name in ["new", "cur", "tmp"] {
            fs::create_dir_all(base.join("Maildir").join(name)).unwrap();
            open_to_all(&base.join("Maildir").join(name), 0o777);
        }
        open_to_all(&base.join("Maildir"), 0o777);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let own = Path::new("/proc/self").metadata().unwrap();
        let (user, users) = if own.uid() == 0 {
            ("uid=nobody gid=nogroup".to_owned(), String::new())
        } else {
            let name = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
            let name = name.trim();
            let users = format!("default_internal_user = {name}\ndefault_login_user = {name}\n");
            (format!("uid={} gid={}", own.uid(), own.gid()), users)
        };
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        for name in ["imap-tls.pem", "imap-tls.key"] {
            fs::copy(data.join(name), base.join(name)).unwrap();
        }
        let text = format!(
            "base_dir = {base}/run\nstate_dir = {base}/run\nlog_path = {base}/log\nprotocols = imap\nlisten = 127.0.0.1\n\
             ssl = {tls}\nssl_cert = <{base}/imap-tls.pem\nssl_key = <{base}/imap-tls.key\ndisable_plaintext_auth = no\nfirst_valid_uid = 1\nmail_location = maildir:{base}/Maildir\n{users}\
             service imap-login {{\n chroot =\n inet_listener imap {{\n  port = {port}\n }}\n inet_listener imaps {{\n  port = 0\n }}\n}}\n\
             service anvil {{\n chroot =\n}}\nservice stats {{\n chroot =\n}}\n\
             passdb {{\n driver = static\n args = password=s3\"cret\n}}\n\
             userdb {{\n driver = static\n args = {user} home={base} allow_all_users=yes\n}}\n",
            base = base.display(),
            tls = if tls { "yes" } else { "no" },
        );
        fs::write(base.join("conf"), text).unwrap();
        let child = Command::new(program()).arg("-F").arg("-c").arg(base.join("conf")).spawn().unwrap();
        let server = Self { child, port, folder };
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!(
            "dovecot does not listen: {}",
            fs::read_to_string(server.folder.path().join("log")).unwrap_or_default()
        );
    }

    fn put(&self, name: &str, mail: &str) {
        let path = self.folder.path().join("Maildir/new").join(name);
        fs::write(&path, mail.replace('\n', "\r\n")).unwrap();
        open_to_all(&path, 0o666);
    }
}

#[tokio::test]
async fn bounces_are_read_once_and_left_where_they_are() {
    let world = World::new().await;
    let sink = Sink::start(Manners::default()).await;
    let ann = world.contact("ann@example.test").await;
    let id = world.decide(ann, "a").await;
    world.deliver(World::smtp(&sink), &world.delivery()).await;
    let server = Server::start(false);
    let to = token::return_path(&links(), id, "bounces@shop.example");
    let dsn = format!(
        "Return-Path: <>\nDelivered-To: {to}\nFrom: MAILER-DAEMON@mx.example.test\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n\
         --b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\nAction: failed\nStatus: 5.1.1\n\n--b--\n"
    );
    server.put("1.bounce", &dsn);
    server.put("2.other", "From: a@b.example\nSubject: hello\n\nNothing in it.\n");
    server.put("3.large", &format!("From: a@b.example\n\n{}", "x".repeat(2 * 1024 * 1024)));
    let imap = |password: &str| {
        Imap::parse(&format!("imap://bounces:{password}@127.0.0.1:{}", server.port), None).unwrap()
    };
    let refused = imap("wrong").poll(&world.store.db, &links(), &*world.clock).await.unwrap_err();
    assert!(refused.contains("LOGIN") && !refused.contains("wrong"), "{refused}");
    let imap = imap("s3%22cret");
    let first = imap.poll(&world.store.db, &links(), &*world.clock).await.unwrap();
    assert_eq!(first, Polled { read: 3, recorded: 1 });
    let address = AddressHash::of(Channel::Email, "ann@example.test");
    assert!(world.store.suppressions(vec![address], world.now()).await.unwrap()[0].is_some());
    let again = imap.poll(&world.store.db, &links(), &*world.clock).await.unwrap();
    assert_eq!(again, Polled::default());
    assert_eq!(
        fs::read_dir(server.folder.path().join("Maildir/cur")).unwrap().count(),
        3,
        "nothing is deleted"
    );
}

#[tokio::test]
async fn a_mailbox_is_read_by_starttls_and_a_password_is_sent_no_other_way() {
    let world = World::new().await;
    let authority = include_bytes!("../data/imap-ca.pem");
    let imap = |port: u16, authorities: Option<&[u8]>| {
        Imap::parse(&format!("imap://bounces:s3%22cret@localhost:{port}/INBOX?tls=required"), authorities)
            .unwrap()
    };
    let poll = async |imap: Imap| imap.poll(&world.store.db, &links(), &*world.clock).await;
    let server = Server::start(true);
    server.put("1.other", "From: a@b.example\nSubject: hello\n\nNothing in it.\n");
    // Whom nobody trusts is not told the password, however well TLS works.
    let refused = poll(imap(server.port, None)).await.unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
    let read = poll(imap(server.port, Some(authority))).await.unwrap();
    assert_eq!(read, Polled { read: 1, recorded: 0 });
    let log = fs::read_to_string(server.folder.path().join("log")).unwrap();
    let logins: Vec<&str> = log.lines().filter(|line| line.contains("Login: user=<bounces>")).collect();
    assert!(logins.len() == 1 && logins[0].contains("TLS"), "{log}");

    let bare = Server::start(false);
    let refused = poll(imap(bare.port, Some(authority))).await.unwrap_err();
    assert!(refused.contains("STARTTLS"), "{refused}");
    let log = fs::read_to_string(bare.folder.path().join("log")).unwrap_or_default();
    assert!(!log.contains("bounces"), "nobody has tried to sign in: {log}");
}

/// A server that answers these, one after the other, whatever it is told; what it was told.
async fn puppet(answers: &'static [&'static str]) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let told = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut told = String::new();
        for answer in answers {
            stream.write_all(answer.as_bytes()).await.unwrap();
            let mut buffer = [0; 1024];
            let n = stream.read(&mut buffer).await.unwrap_or_default();
            told.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        told
    });
    (port, told)
}

#[tokio::test]
async fn who_stands_between_gets_no_password() {
    let world = World::new().await;
    for (answers, why, told) in [
        // The offer is cut out.
        (
            &["* OK hello\r\n", "* CAPABILITY IMAP4rev1 XSTARTTLS\r\nr1 OK done\r\n"][..],
            "STARTTLS",
            "r1 CAPABILITY\r\n",
        ),
        // It is refused.
        (
            &["* OK hello\r\n", "* CAPABILITY IMAP4rev1 STARTTLS\r\nr1 OK\r\n", "r2 BAD not now\r\n"],
            "refuses STARTTLS",
            "r1 CAPABILITY\r\nr2 STARTTLS\r\n",
        ),
        // Words of the server are put before TLS begins.
        (
            &["* OK hello\r\n", "* CAPABILITY IMAP4rev1 STARTTLS\r\nr1 OK\r\n", "r2 OK go\r\nr3 OK in\r\n"],
            "between STARTTLS and TLS",
            "r1 CAPABILITY\r\nr2 STARTTLS\r\n",
        ),
        // It says that nobody has to sign in.
        (&["* PREAUTH welcome\r\n"], "does not want to talk", ""),
    ] {
        let (port, hears) = puppet(answers).await;
        let imap =
            Imap::parse(&format!("imap://bounces:s3cret@localhost:{port}?tls=required"), None).unwrap();
        let refused = imap.poll(&world.store.db, &links(), &*world.clock).await.unwrap_err();
        assert!(refused.contains(why), "{refused}");
        assert_eq!(hears.await.unwrap(), told);
    }
}
