//! Signatures, checked by somebody else's implementation: dkimpy, from the Python registry, in an environment of its own
//! under the target folder. A machine where it cannot be installed fails this test.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use delivery::dkim::{Key, Signer, new_ed25519};
use delivery::post::token;

use crate::{
    support::{Manners, Sink},
    world::{World, links},
};

/// The Python of the environment; made when it is missing.
fn python() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dkimpy");
    let python = folder.join("bin/python");
    let has = |python: &Path| {
        let probe = Command::new(python).args(["-c", "import dkim, nacl"]).stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    };
    if !has(&python) {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).status().expect("python3 runs");
        assert!(made.success(), "python3 -m venv: install python3-venv");
        let got = Command::new(&python).args(["-m", "pip", "install", "--quiet", "dkimpy[ed25519]"]).status();
        assert!(got.expect("pip runs").success(), "dkimpy cannot be installed");
    }
    python
}

/// Verifies each signature of a mail with records by name: a letter for each, `y` or `n`.
const VERIFY: &str = r#"
import json, sys, dkim
records = json.loads(sys.argv[1])
def lookup(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    return records.get(name.rstrip("."), "").encode()
mail = sys.stdin.buffer.read()
verifier = dkim.DKIM(mail)
count = sum(1 for name, _ in verifier.headers if name.lower() == b"dkim-signature")
result = ""
for i in range(count):
    try:
        result += "y" if dkim.DKIM(mail).verify(idx=i, dnsfunc=lookup) else "n"
    except dkim.DKIMException as error:
        result += "n"
print(result)
"#;

fn verify(python: &Path, mail: &str, keys: &[(String, String)]) -> String {
    let records: serde_json::Map<String, serde_json::Value> =
        keys.iter().map(|(name, record)| (name.clone(), record.as_str().into())).collect();
    let mut child = Command::new(python)
        .args(["-c", VERIFY, &serde_json::Value::Object(records).to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    child.stdin.take().unwrap().write_all(mail.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn mails_on_the_wire_are_signed_twice_and_nothing_of_them_can_be_changed() {
    let python = python();
    let world = World::new().await;
    let sink = Sink::start(Manners::default()).await;
    let rsa = Key::parse("shop.example", "relance", include_str!("../data/dkim-rsa.pem")).unwrap();
    let short = Key::parse("shop.example", "relancee", &new_ed25519().unwrap()).unwrap();
    let records: Vec<(String, String)> =
        [&rsa, &short].iter().map(|key| (key.name(), key.record())).collect();
    let signer = Signer::of_domain(vec![rsa, short], "shop.example").unwrap();
    let ann = world.contact("ann@example.test").await;
    let id = world.decide(ann, "a").await;
    let smtp = World::smtp(&sink).with_tokens(links()).unwrap().signed_by(signer);
    world.deliver(smtp, &world.delivery()).await;
    let taken = sink.taken().remove(0);
    assert_eq!(taken.from, token::return_path(&links(), id, "bounces@shop.example"));
    assert_eq!(token::of_address(&links(), &taken.from), Some(id));
    let mail = taken.data;
    assert!(mail.starts_with("DKIM-Signature: v=1; a=rsa-sha256;"), "{mail}");
    assert_eq!(verify(&python, &mail, &records), "yy", "{mail}");
    // What relays may do in relaxed form.
    let relayed = format!("Received: by relay\r\n{}", mail.replace("Subject: ", "SUBJECT:   "));
    assert_eq!(verify(&python, &relayed, &records), "yy");
    for (from, to) in [
        ("news@shop.example", "evil@shop.example"),
        ("List-Unsubscribe: <https://mail.shop.example", "List-Unsubscribe: <https://evil.example"),
        ("One-Click", "Two-Click"),
        ("X-Relance-Message: ", "X-Relance-Message: 0"),
        ("Hello", "Hullo"),
    ] {
        assert!(mail.contains(from), "{from}: {mail}");
        assert_eq!(verify(&python, &mail.replace(from, to), &records), "nn", "{from}");
    }
    let (signatures, rest) = mail.split_at(mail.find("From:").unwrap());
    for added in ["From: evil@shop.example\r\n", "Subject: other\r\n", "Reply-To: evil@shop.example\r\n"] {
        assert_eq!(verify(&python, &format!("{signatures}{added}{rest}"), &records), "nn", "{added}");
        assert_eq!(verify(&python, &format!("{added}{mail}"), &records), "nn", "{added}");
    }
}
