//! Records that a mail domain has to publish, and whether they are there.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use delivery::{dkim::Key, mailbox::domain};
use tokio::net::UdpSocket;

use super::Finding;

/// How long a name server may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Mail services by their servers' names, and what they want in an SPF record.
const SERVICES: [(&str, &str); 6] = [
    ("sendgrid.net", "include:sendgrid.net"),
    ("amazonaws.com", "include:amazonses.com"),
    ("mailgun.org", "include:mailgun.org"),
    ("postmarkapp.com", "include:spf.mtasv.net"),
    ("brevo.com", "include:spf.brevo.com"),
    ("gmail.com", "include:_spf.google.com"),
];

/// What is known of the way that mails go.
pub(super) struct Facts<'a> {
    /// The sender's address.
    pub from: &'a str,
    /// Where bounces go.
    pub return_path: &'a str,
    /// The mail server, without its port.
    pub server: Option<&'a str>,
    /// The keys that sign.
    pub keys: &'a [Key],
}

/// A record to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub what: &'static str,
    pub name: String,
    pub kind: Kind,
    pub value: String,
}

/// Types of records, with their numbers (RFC 1035 §3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Kind {
    Mx = 15,
    Txt = 16,
}

/// What to publish.
pub(super) fn records(facts: &Facts<'_>) -> Vec<Record> {
    let own = domain(facts.from).to_ascii_lowercase();
    let back = domain(facts.return_path).to_ascii_lowercase();
    let server = facts.server.unwrap_or_default().to_ascii_lowercase();
    let service = SERVICES.iter().find(|(name, _)| server == *name || server.ends_with(&format!(".{name}")));
    let sends = match service {
        Some((_, include)) => (*include).to_owned(),
        None if server.is_empty() || server == "localhost" || server.parse::<IpAddr>().is_ok() => {
            "mx".to_owned()
        }
        None => format!("a:{server}"),
    };
    let txt = |what, name: String, value: String| Record { what, name, kind: Kind::Txt, value };
    // SPF is checked on the domain of the return path.
    let mut records = vec![txt("SPF", back.clone(), format!("v=spf1 {sends} ~all"))];
    records.extend(facts.keys.iter().map(|key| txt("DKIM", key.name(), key.record())));
    records.push(txt(
        "DMARC",
        format!("_dmarc.{own}"),
        format!("v=DMARC1; p=none; rua=mailto:postmaster@{own}"),
    ));
    let value = format!("10 the server that takes mail for {back}");
    records.push(Record { what: "return path", name: back, kind: Kind::Mx, value });
    records
}

/// Looks at each, if a name server can be asked.
pub(super) async fn look(facts: &Facts<'_>, server: Option<SocketAddr>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if facts.keys.is_empty() {
        let cure = "make a key with `relance dkim create DOMAIN`, unless the mail server signs";
        findings.push(Finding::look("DKIM", "no key of ours signs for this sender", cure));
    }
    let mut server = server;
    for record in records(facts) {
        let found = match server {
            Some(address) => ask(address, &record.name, record.kind).await,
            None => None,
        };
        // One that does not answer is not asked again.
        server = server.filter(|_| found.is_some());
        findings.push(finding(&record, found.as_deref()));
    }
    findings.push(Finding::look(
        "PTR",
        "not checked: only the mail server knows the address that it sends from",
        "its address must lead to its name, and its name back to its address",
    ));
    findings
}

/// What the answers say of a record; without any it was not checked.
fn finding(record: &Record, found: Option<&[String]>) -> Finding {
    let publish = |record: &Record| {
        let kind = if record.kind == Kind::Mx { "MX" } else { "TXT" };
        format!("publish {} {kind} {}", record.name, record.value)
    };
    let Some(found) = found else {
        return Finding::look(record.what, "not checked: no name server answers", publish(record));
    };
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let beginning = record.value.split([' ', ';']).next().unwrap_or_default();
    let fitting: Vec<&String> = match record.kind {
        Kind::Mx => found.iter().collect(),
        Kind::Txt => found.iter().filter(|text| text.starts_with(beginning)).collect(),
    };
    match fitting.as_slice() {
        [] => Finding::look(record.what, format!("nothing at {}", record.name), publish(record)),
        [one] if record.what == "DKIM" && squeezed(one) != squeezed(&record.value) => {
            Finding::bad(record.what, format!("another key at {}", record.name), publish(record))
        }
        [one] => Finding::well(record.what, format!("{}: {one}", record.name)),
        several if record.kind == Kind::Mx => {
            Finding::well(record.what, format!("{}: {} servers", record.name, several.len()))
        }
        several => Finding::bad(
            record.what,
            format!("{} records at {}: none of them counts", several.len(), record.name),
            "leave one",
        ),
    }
}

/// The name server of this machine.
pub(super) fn name_server() -> Option<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    let address = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok())?;
    Some(SocketAddr::new(address, 53))
}

/// Asks for records; none when no answer comes. A name that does not exist has none.
async fn ask(server: SocketAddr, name: &str, kind: Kind) -> Option<Vec<String>> {
    let own: SocketAddr = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().ok()?;
    let socket = UdpSocket::bind(own).await.ok()?;
    socket.connect(server).await.ok()?;
    let mut id = [0; 2];
    getrandom::fill(&mut id).ok()?;
    socket.send(&query(id, name, kind)?).await.ok()?;
    let mut answer = [0; 4_096];
    let len = tokio::time::timeout(ANSWER_WITHIN, socket.recv(&mut answer)).await.ok()?.ok()?;
    read(&answer[..len], id, kind)
}

/// A question (RFC 1035 §4.1), with room for a long answer (RFC 6891).
fn query(id: [u8; 2], name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut bytes = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).ok().filter(|len| (1..=63).contains(len))?);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.extend_from_slice(&[0, 0, kind as u8, 0, 1]);
    bytes.extend_from_slice(&[0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
    Some(bytes)
}

/// The records of an answer.
fn read(answer: &[u8], id: [u8; 2], kind: Kind) -> Option<Vec<String>> {
    let number = |at: usize| Some(u16::from_be_bytes([*answer.get(at)?, *answer.get(at + 1)?]));
    // 0: there are some, perhaps; 3: there is no such name. Others say nothing.
    if answer.get(..2)? != id || answer[2] & 0x80 == 0 || !matches!(answer.get(3)? & 15, 0 | 3) {
        return None;
    }
    let (questions, answers) = (number(4)?, number(6)?);
    let mut at = 12;
    for _ in 0..questions {
        at = behind_name(answer, at)? + 4;
    }
    let mut records = Vec::new();
    for _ in 0..answers {
        at = behind_name(answer, at)?;
        let (found, len) = (number(at)?, usize::from(number(at + 8)?));
        let data = answer.get(at + 10..at + 10 + len)?;
        match kind {
            Kind::Txt if found == Kind::Txt as u16 => records.push(texts(data)),
            Kind::Mx if found == Kind::Mx as u16 => records.push(number(at + 10)?.to_string()),
            _ => {}
        }
        at += 10 + len;
    }
    Some(records)
}

/// The place behind a name, which may end in a pointer.
fn behind_name(answer: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *answer.get(at)? {
            0 => return Some(at + 1),
            len if len & 0xc0 == 0xc0 => return Some(at + 2),
            len => at += 1 + usize::from(len),
        }
    }
}

/// The strings of a TXT record, joined.
fn texts(mut data: &[u8]) -> String {
    let mut text = String::new();
    while let Some((len, rest)) = data.split_first() {
        let (one, more) = rest.split_at(rest.len().min(usize::from(*len)));
        text.push_str(&String::from_utf8_lossy(one));
        data = more;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Verdict;

    fn key() -> Key {
        Key::parse("shop.example", "relance", &delivery::dkim::new_ed25519().unwrap()).unwrap()
    }

    /// A name server that answers each question with these texts.
    async fn server(records: Vec<(&'static str, String)>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut question = [0; 512];
            while let Ok((len, from)) = socket.recv_from(&mut question).await {
                let question = &question[..len];
                let mut name = String::new();
                let mut at = 12;
                while question[at] != 0 {
                    let label = &question[at + 1..at + 1 + usize::from(question[at])];
                    name.push_str(&String::from_utf8_lossy(label));
                    name.push('.');
                    at += 1 + usize::from(question[at]);
                }
                let kind = question[at + 2];
                let name = name.trim_end_matches('.').to_owned();
                let found: Vec<&String> = records
                    .iter()
                    .filter(|(known, _)| *known == name && kind == 16)
                    .map(|(_, text)| text)
                    .collect();
                let mut answer = question[..at + 5].to_vec();
                (answer[2], answer[3]) = (0x81, if found.is_empty() { 0x83 } else { 0x80 });
                (answer[7], answer[11]) = (found.len() as u8, 0);
                for text in found {
                    answer.extend_from_slice(&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60]);
                    let mut data = Vec::new();
                    for piece in text.as_bytes().chunks(200) {
                        data.push(piece.len() as u8);
                        data.extend_from_slice(piece);
                    }
                    answer.extend_from_slice(&(data.len() as u16).to_be_bytes());
                    answer.extend_from_slice(&data);
                }
                drop(socket.send_to(&answer, from).await);
            }
        });
        address
    }

    #[test]
    fn what_to_publish_follows_from_sender_server_and_keys() {
        let keys = [key()];
        let facts = |server| Facts {
            from: "news@shop.example",
            return_path: "b@bounce.shop.example",
            server,
            keys: &keys,
        };
        let of = |server| records(&facts(server)).into_iter().map(|r| (r.name, r.value)).collect::<Vec<_>>();
        let all = of(Some("smtp.sendgrid.net"));
        assert_eq!(all[0], ("bounce.shop.example".into(), "v=spf1 include:sendgrid.net ~all".into()));
        assert_eq!(all[1], ("relance._domainkey.shop.example".into(), keys[0].record()));
        assert_eq!(all[2].0, "_dmarc.shop.example");
        assert_eq!(of(Some("mail.shop.example"))[0].1, "v=spf1 a:mail.shop.example ~all");
        assert_eq!(of(Some("evilsendgrid.net"))[0].1, "v=spf1 a:evilsendgrid.net ~all");
        assert_eq!(of(Some("127.0.0.1"))[0].1, "v=spf1 mx ~all");
    }

    #[tokio::test]
    async fn records_are_looked_up_and_compared() {
        let (ours, theirs) = (key(), key());
        let address = server(vec![
            ("shop.example", "v=spf1 mx ~all".into()),
            ("shop.example", "google-site-verification=x".into()),
            ("relance._domainkey.shop.example", theirs.record().replace("; ", ";")),
        ])
        .await;
        let keys = [ours];
        let facts =
            Facts { from: "news@shop.example", return_path: "b@shop.example", server: None, keys: &keys };
        let verdicts =
            |findings: &[Finding]| findings.iter().map(|f| (f.what, f.verdict)).collect::<Vec<_>>();
        let found = look(&facts, Some(address)).await;
        assert_eq!(
            verdicts(&found),
            [
                ("SPF", Verdict::Well),
                ("DKIM", Verdict::Bad),
                ("DMARC", Verdict::Look),
                ("return path", Verdict::Look),
                ("PTR", Verdict::Look),
            ]
        );
        let keys = [theirs];
        let facts = Facts { keys: &keys, ..facts };
        assert_eq!(look(&facts, Some(address)).await[1].verdict, Verdict::Well);
        let none = look(&facts, None).await;
        assert!(
            none.iter().all(|f| f.verdict == Verdict::Look && f.found.starts_with("not checked")),
            "{none:?}"
        );
    }

    #[test]
    fn answers_that_are_none_are_left_alone() {
        for bad in [
            &b""[..],
            b"ab",
            &[0; 12],
            &[1, 2, 0x81, 0x82, 0, 0, 0, 0, 0, 0, 0, 0],
            &[1, 2, 0x81, 0x80, 0, 9, 0, 9, 0, 0, 0, 0, 0xc0],
        ] {
            assert_eq!(read(bad, [1, 2], Kind::Txt), None);
        }
        assert_eq!(read(&[1, 2, 0x81, 0x83, 0, 0, 0, 0, 0, 0, 0, 0], [1, 2], Kind::Txt), Some(Vec::new()));
        assert!(query([0, 0], "a..b", Kind::Txt).is_none());
    }
}
