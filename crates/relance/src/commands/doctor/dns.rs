//! Records that a mail domain has to publish, and whether they are there.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
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

/// Most addresses of a server, and names of an address, that are looked at.
const ADDRESSES_MAX: usize = 4;
/// Longest way through a compressed name, in labels and jumps: no name has more labels.
const STEPS_MAX: usize = 128;

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
    A = 1,
    Ptr = 12,
    Mx = 15,
    Txt = 16,
    /// RFC 3596.
    Aaaa = 28,
}

/// The mail service that a server belongs to.
fn service(server: &str) -> Option<(&'static str, &'static str)> {
    SERVICES.into_iter().find(|(name, _)| server == *name || server.ends_with(&format!(".{name}")))
}

/// What to publish.
pub(super) fn records(facts: &Facts<'_>) -> Vec<Record> {
    let own = domain(facts.from).to_ascii_lowercase();
    let back = domain(facts.return_path).to_ascii_lowercase();
    let server = facts.server.unwrap_or_default().to_ascii_lowercase();
    let sends = match service(&server) {
        Some((_, include)) => include.to_owned(),
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
    findings.push(reverse(facts.server.unwrap_or_default(), server).await);
    findings
}

/// Whether the addresses of the mail server lead to a name, and that name back to them (RFC 1912 §2.1): many do not take
/// mail from others.
async fn reverse(host: &str, server: Option<SocketAddr>) -> Finding {
    const WHAT: &str = "PTR";
    let cure = "its address must lead to its name, and its name back to its address: whoever rents out the address sets it";
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    if let Some((name, _)) = service(&host) {
        return Finding::well(WHAT, format!("{name} sends from addresses of its own, and looks after them"));
    }
    let unknown = |why: &str| Finding::look(WHAT, format!("not checked: {why}"), cure);
    let silent = "no name server answers";
    let addresses = match (host.parse::<IpAddr>(), server) {
        _ if host.is_empty() || host == "localhost" => Vec::new(),
        (Ok(address), _) => vec![address],
        (_, None) => return unknown(silent),
        (_, Some(server)) => match addresses(server, &host).await {
            Some(found) if found.is_empty() => {
                return Finding::look(WHAT, format!("{host} leads to no address"), cure);
            }
            Some(found) => found,
            None => return unknown(silent),
        },
    };
    let addresses: Vec<IpAddr> = addresses.into_iter().filter(is_public).take(ADDRESSES_MAX).collect();
    if addresses.is_empty() {
        return unknown("only the mail server knows the address that it sends from");
    }
    let Some(server) = server else { return unknown(silent) };
    let (mut well, mut wrong) = (Vec::new(), Vec::new());
    for address in addresses {
        let Some(names) = ask(server, &reversed(address), Kind::Ptr).await else { return unknown(silent) };
        if names.is_empty() {
            return Finding::look(WHAT, format!("{address} leads to no name"), cure);
        }
        let mut back = None;
        for name in names.iter().take(ADDRESSES_MAX) {
            let Some(found) = self::addresses(server, name).await else { return unknown(silent) };
            back = back.or_else(|| found.contains(&address).then_some(name));
        }
        match back {
            Some(name) => well.push(format!("{address} is {name}, and back")),
            None => wrong.push(format!("{address} leads to {}, which does not lead back", names[0])),
        }
    }
    if wrong.is_empty() {
        return Finding::well(WHAT, well.join("; "));
    }
    Finding::bad(WHAT, wrong.join("; "), cure)
}

/// Where a name leads, in both versions of the protocol.
async fn addresses(server: SocketAddr, name: &str) -> Option<Vec<IpAddr>> {
    let (four, six) = (ask(server, name, Kind::A).await?, ask(server, name, Kind::Aaaa).await?);
    Some(four.iter().chain(&six).filter_map(|text| text.parse().ok()).collect())
}

/// Whether others see an address as it is.
fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            !(four.is_loopback() || four.is_private() || four.is_link_local() || four.is_unspecified())
        }
        IpAddr::V6(six) => {
            !(six.is_loopback()
                || six.is_unique_local()
                || six.is_unicast_link_local()
                || six.is_unspecified())
        }
    }
}

/// The name that an address is looked up under (RFC 1035 §3.5, RFC 3596 §2.5).
fn reversed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(four) => {
            let [a, b, c, d] = four.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(six) => {
            let halves = |byte: u8| [byte & 15, byte >> 4];
            let digits = six.octets().into_iter().rev().flat_map(halves);
            digits.map(|digit| format!("{digit:x}.")).collect::<String>() + "ip6.arpa"
        }
    }
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
        Kind::A | Kind::Aaaa | Kind::Ptr | Kind::Mx => found.iter().collect(),
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
    for label in name.trim_end_matches('.').split('.') {
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
        // Aliases on the way to what was asked for stand among the answers too.
        if found == kind as u16 {
            records.push(match kind {
                Kind::Txt => texts(data),
                Kind::Mx => number(at + 10)?.to_string(),
                Kind::A => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).to_string(),
                Kind::Aaaa => Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).to_string(),
                Kind::Ptr => name_at(answer, at + 10)?,
            });
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

/// A name, whose end may stand elsewhere (RFC 1035 §4.1.4), even in circles.
fn name_at(answer: &[u8], mut at: usize) -> Option<String> {
    let mut labels: Vec<String> = Vec::new();
    for _ in 0..STEPS_MAX {
        match usize::from(*answer.get(at)?) {
            0 => return Some(labels.join(".")),
            len if len & 0xc0 == 0xc0 => at = (len & 0x3f) << 8 | usize::from(*answer.get(at + 1)?),
            len => {
                let label = answer.get(at + 1..at + 1 + len)?;
                // What is shown on a terminal and asked for again holds nothing strange.
                let plain = label.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
                labels.push(String::from_utf8(label.to_vec()).ok().filter(|_| plain)?);
                at += 1 + len;
            }
        }
    }
    None
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

    /// A name server that answers each question with these records.
    async fn server(records: Vec<(&'static str, Kind, String)>) -> SocketAddr {
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
                    .filter(|(known, of, _)| *known == name && kind == *of as u8)
                    .map(|(.., text)| text)
                    .collect();
                let mut answer = question[..at + 5].to_vec();
                (answer[2], answer[3]) = (0x81, if found.is_empty() { 0x83 } else { 0x80 });
                (answer[7], answer[11]) = (found.len() as u8, 0);
                for text in found {
                    answer.extend_from_slice(&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60]);
                    let mut data = Vec::new();
                    match text.parse::<IpAddr>() {
                        Ok(IpAddr::V4(four)) => data.extend(four.octets()),
                        Ok(IpAddr::V6(six)) => data.extend(six.octets()),
                        Err(_) => {
                            let is_name = kind == Kind::Ptr as u8;
                            let labels = text.split('.').map(str::as_bytes);
                            let pieces: Vec<&[u8]> = if is_name {
                                labels.collect()
                            } else {
                                text.as_bytes().chunks(200).collect()
                            };
                            for piece in pieces {
                                data.push(piece.len() as u8);
                                data.extend_from_slice(piece);
                            }
                            data.extend(is_name.then_some(0));
                        }
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
            ("shop.example", Kind::Txt, "v=spf1 mx ~all".into()),
            ("shop.example", Kind::Txt, "google-site-verification=x".into()),
            ("relance._domainkey.shop.example", Kind::Txt, theirs.record().replace("; ", ";")),
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

    #[tokio::test]
    async fn the_mail_servers_address_leads_to_a_name_and_back() {
        let a = |name, address: &str| (name, Kind::A, address.to_owned());
        let ptr = |address, name: &str| (address, Kind::Ptr, name.to_owned());
        let six = "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
        let address = server(vec![
            a("mail.shop.example", "198.51.100.7"),
            ("mail.shop.example", Kind::Aaaa, "2001:db8::25".into()),
            ptr("7.100.51.198.in-addr.arpa", "mail.shop.example"),
            ptr(six, "mail.shop.example"),
            a("bare.shop.example", "198.51.100.8"),
            a("wrong.shop.example", "198.51.100.9"),
            ptr("9.100.51.198.in-addr.arpa", "host-9.provider.example"),
            a("host-9.provider.example", "198.51.100.99"),
            a("inside.shop.example", "10.0.0.7"),
        ])
        .await;
        for (host, verdict, said) in [
            (
                "mail.shop.example",
                Verdict::Well,
                "198.51.100.7 is mail.shop.example, and back; 2001:db8::25 is",
            ),
            ("MAIL.shop.example", Verdict::Well, "198.51.100.7 is mail.shop.example"),
            ("198.51.100.7", Verdict::Well, "198.51.100.7 is mail.shop.example"),
            ("[2001:db8::25]", Verdict::Well, "2001:db8::25 is mail.shop.example"),
            ("bare.shop.example", Verdict::Look, "198.51.100.8 leads to no name"),
            (
                "wrong.shop.example",
                Verdict::Bad,
                "leads to host-9.provider.example, which does not lead back",
            ),
            ("smtp.sendgrid.net", Verdict::Well, "addresses of its own"),
            ("inside.shop.example", Verdict::Look, "not checked: only the mail server knows"),
            ("nowhere.shop.example", Verdict::Look, "nowhere.shop.example leads to no address"),
            ("localhost", Verdict::Look, "not checked: only the mail server knows"),
            ("127.0.0.1", Verdict::Look, "not checked: only the mail server knows"),
        ] {
            let found = reverse(host, Some(address)).await;
            assert_eq!(found.verdict, verdict, "{host}: {found:?}");
            assert!(found.found.contains(said), "{host}: {found:?}");
        }
        for host in ["mail.shop.example", "198.51.100.7"] {
            let found = reverse(host, None).await;
            assert_eq!(
                (found.verdict, found.found.as_str()),
                (Verdict::Look, "not checked: no name server answers")
            );
        }
    }

    #[test]
    fn names_are_read_where_their_ends_stand_elsewhere_and_never_in_circles() {
        let answer = b"\x04shop\x07example\0\x04mail\xc0\x00";
        assert_eq!(name_at(answer, 14).as_deref(), Some("mail.shop.example"));
        assert_eq!(name_at(answer, 0).as_deref(), Some("shop.example"));
        assert_eq!(name_at(b"\xc0\x00", 0), None, "a circle");
        assert_eq!(name_at(b"\x04mail\xc0\x00", 0), None, "a circle that grows");
        assert_eq!(name_at(b"\x03a\x1bb\0", 0), None, "what a terminal would obey");
        assert_eq!(name_at(b"\x05mail", 0), None);
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
