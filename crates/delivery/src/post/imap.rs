//! A mailbox of bounces that is polled: as much of IMAP4rev1 (RFC 3501) as that needs. Mails that were read are marked as
//! seen, after what they say is recorded; nothing is deleted.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use model::{Clock, Problem};
use storage::post::PostStore;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, pki_types::ServerName},
};

use super::{MAIL_MAX, Taken, take};
use crate::{fetch, links::Links};

/// How long to wait for a connection and for each line.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Longest line, in bytes.
const LINE_MAX: u64 = 64 * 1024;
/// Most lines before the end of an answer.
const LINES_MAX: usize = 10_000;
/// Mails of one poll; the others wait for the next.
const MAILS_MAX: usize = 200;

/// A mailbox.
#[derive(Clone)]
pub struct Imap {
    host: String,
    port: u16,
    tls: Tls,
    user: String,
    password: String,
    mailbox: String,
}

/// How the connection is kept from being read.
#[derive(Clone)]
enum Tls {
    /// TLS from the first byte.
    Wrapper(Arc<ClientConfig>),
    /// STARTTLS, or nothing is sent.
    Required(Arc<ClientConfig>),
    /// Not at all: for this machine.
    None,
}

/// Never shows the password.
impl std::fmt::Debug for Imap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Imap({}:{}/{})", self.host, self.port, self.mailbox)
    }
}

/// What a poll came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Mails that were read.
    pub read: usize,
    /// Of these, reports that were recorded, now or before.
    pub recorded: usize,
}

fn wrong(why: &str) -> Problem {
    Problem::new("imap.url", format!("the address of the mailbox is not usable: {why}"))
        .cure("write it as in imaps://user:password@mail.example.com/INBOX")
}

impl Imap {
    /// Reads `imaps://USER:PASSWORD@HOST[:PORT][/MAILBOX]` (TLS from the first byte) or `imap://…` (STARTTLS or nothing;
    /// without TLS for a server on this machine). `?tls=` says otherwise, by the words of SMTP: `required`, `wrapper`, or
    /// `none` for this machine. User, password and mailbox may hold `%XX`. `authorities` are trusted beside those of
    /// browsers (PEM).
    ///
    /// # Errors
    /// `imap.url`, `fetch.tls`.
    pub fn parse(url: &str, authorities: Option<&[u8]>) -> Result<Self, Problem> {
        let (wrapped, rest) = match (url.strip_prefix("imaps://"), url.strip_prefix("imap://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(wrong("it starts with neither imaps:// nor imap://")),
        };
        let (login, place) = rest.rsplit_once('@').ok_or_else(|| wrong("it names no user"))?;
        let (user, password) = login.split_once(':').ok_or_else(|| wrong("the user has no password"))?;
        let (place, options) = place.split_once('?').unwrap_or((place, ""));
        let (place, mailbox) = place.split_once('/').unwrap_or((place, ""));
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => place.rsplit_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let local = host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if host.is_empty() {
            return Err(wrong("it names no server"));
        }
        let tls = match (options, wrapped) {
            ("", true) | ("tls=wrapper", _) => Tls::Wrapper(fetch::client_tls(authorities)?),
            ("tls=none", false) if !local => {
                return Err(wrong("a password is sent to another machine by TLS alone"));
            }
            ("tls=none", false) => Tls::None,
            ("", false) if local => Tls::None,
            ("" | "tls=required", false) => Tls::Required(fetch::client_tls(authorities)?),
            _ => {
                return Err(wrong("what stands behind the ? is none of tls=required, tls=wrapper, tls=none"));
            }
        };
        let port = match port {
            None if matches!(tls, Tls::Wrapper(_)) => 993,
            None => 143,
            Some(port) => port.parse().map_err(|_| wrong("the port is none"))?,
        };
        let text = |text: &str| {
            let decoded =
                decoded(text).ok_or_else(|| wrong("a % has no two hexadecimal digits behind it"))?;
            let plain = decoded.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            if plain { Ok(decoded) } else { Err(wrong("it holds what no IMAP text may hold")) }
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            tls,
            user: text(user)?,
            password: text(password)?,
            mailbox: if mailbox.is_empty() { "INBOX".to_owned() } else { text(mailbox)? },
        })
    }

    /// Reads what was not seen yet, and records what it says.
    ///
    /// # Errors
    /// In a sentence; what was not marked as seen is read again.
    pub async fn poll<S: PostStore + Sync>(
        &self,
        store: &S,
        links: &Links,
        clock: &dyn Clock,
    ) -> Result<Polled, String> {
        let place = (self.host.as_str(), self.port);
        let stream = timeout(ANSWER_WITHIN, TcpStream::connect(place)).await;
        let stream = stream.map_err(|_| "no connection".to_owned())?.map_err(|error| error.to_string())?;
        match &self.tls {
            Tls::None => self.work(Session::greeted(stream).await?, store, links, clock).await,
            Tls::Wrapper(tls) => {
                let session = Session::greeted(self.encrypted(tls, stream).await?).await?;
                self.work(session, store, links, clock).await
            }
            Tls::Required(tls) => {
                let stream = Session::greeted(stream).await?.started_tls().await?;
                self.work(Session::new(self.encrypted(tls, stream).await?), store, links, clock).await
            }
        }
    }

    async fn encrypted(
        &self,
        tls: &Arc<ClientConfig>,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, String> {
        let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
        let stream = timeout(ANSWER_WITHIN, TlsConnector::from(Arc::clone(tls)).connect(name, stream)).await;
        stream.map_err(|_| "no TLS in time".to_owned())?.map_err(|error| error.to_string())
    }

    async fn work<T: AsyncRead + AsyncWrite + Unpin, S: PostStore + Sync>(
        &self,
        mut session: Session<T>,
        store: &S,
        links: &Links,
        clock: &dyn Clock,
    ) -> Result<Polled, String> {
        session.ask(&format!("LOGIN {} {}", quoted(&self.user), quoted(&self.password))).await?;
        session.ask(&format!("SELECT {}", quoted(&self.mailbox))).await?;
        let found = session.ask("UID SEARCH UNSEEN").await?;
        let numbers = found.iter().filter_map(|part| part.text.strip_prefix("* SEARCH"));
        let uids: Vec<u32> = numbers
            .flat_map(|rest| rest.split_whitespace().filter_map(|uid| uid.parse().ok()))
            .take(MAILS_MAX)
            .collect();
        let mut polled = Polled::default();
        for uid in uids {
            let size = session.ask(&format!("UID FETCH {uid} (RFC822.SIZE)")).await?;
            let size = size.iter().find_map(|part| number_behind(&part.text, "RFC822.SIZE"));
            if size.is_some_and(|size| size <= MAIL_MAX) {
                let parts = session.ask(&format!("UID FETCH {uid} (BODY.PEEK[])")).await?;
                if let Some(mail) = parts.into_iter().find_map(|part| part.literal) {
                    let taken = take(store, links, clock.now(), (&mail, &[])).await;
                    polled.recorded +=
                        usize::from(matches!(taken.map_err(|error| error.to_string())?, Taken::Recorded(_)));
                }
            }
            session.ask(&format!("UID STORE {uid} +FLAGS.SILENT (\\Seen)")).await?;
            polled.read += 1;
        }
        // What was read is recorded and marked; how the server says good-bye does not matter.
        drop(session.ask("LOGOUT").await);
        Ok(polled)
    }
}

/// A line of an answer, and the literal in it.
struct Part {
    text: String,
    literal: Option<Vec<u8>>,
}

struct Session<T> {
    stream: BufReader<T>,
    tag: u32,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Session<T> {
    fn new(stream: T) -> Self {
        Self { stream: BufReader::new(stream), tag: 0 }
    }

    /// With a server that has said that it wants to talk.
    async fn greeted(stream: T) -> Result<Self, String> {
        let mut session = Self::new(stream);
        if session.line().await?.starts_with("* OK") {
            return Ok(session);
        }
        Err("the server does not want to talk".to_owned())
    }

    /// Asks for TLS. A server that does not offer it is told nothing; what somebody put in between before TLS began would
    /// be taken for the server's own words, and ends the session (RFC 9051, §6.2.1).
    async fn started_tls(mut self) -> Result<T, String> {
        let offered = self.ask("CAPABILITY").await?;
        let has = |part: &Part| {
            let words = part.text.strip_prefix("* CAPABILITY ");
            words.is_some_and(|words| words.split(' ').any(|word| word.eq_ignore_ascii_case("STARTTLS")))
        };
        if !offered.iter().any(has) {
            return Err("the server does not offer STARTTLS: the password is not sent to it".to_owned());
        }
        self.ask("STARTTLS").await?;
        if !self.stream.buffer().is_empty() {
            return Err("something was said between STARTTLS and TLS".to_owned());
        }
        Ok(self.stream.into_inner())
    }

    async fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        let mut some = (&mut self.stream).take(LINE_MAX);
        let read = timeout(ANSWER_WITHIN, some.read_until(b'\n', &mut line)).await;
        read.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))
            .and_then(|read| read)
            .map_err(|error| error.to_string())?;
        if line.last() != Some(&b'\n') {
            return Err("the connection ended, or the line is too long".to_owned());
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// A command and all lines of its answer.
    async fn ask(&mut self, command: &str) -> Result<Vec<Part>, String> {
        self.tag += 1;
        let tag = format!("r{}", self.tag);
        let line = format!("{tag} {command}\r\n");
        let written = timeout(ANSWER_WITHIN, async {
            self.stream.get_mut().write_all(line.as_bytes()).await?;
            self.stream.get_mut().flush().await
        });
        written
            .await
            .map_err(|_| "the server does not listen".to_owned())?
            .map_err(|error| error.to_string())?;
        let mut parts = Vec::new();
        while parts.len() < LINES_MAX {
            let text = self.line().await?;
            if let Some(answer) = text.strip_prefix(&format!("{tag} ")) {
                // The command may hold the password: its first word will do.
                let word = command.split(' ').next().unwrap_or_default();
                return match answer.split(' ').next() {
                    Some("OK") => Ok(parts),
                    _ => Err(format!("the server refuses {word}: {}", super::one_line(answer))),
                };
            }
            let length = text.strip_suffix('}').and_then(|rest| rest.rsplit_once('{')).map(|(_, n)| n);
            let literal = match length.and_then(|length| length.parse::<usize>().ok()) {
                Some(length) if length <= MAIL_MAX + 1_024 => {
                    let mut bytes = vec![0; length];
                    let read = timeout(2 * ANSWER_WITHIN, self.stream.read_exact(&mut bytes)).await;
                    read.map_err(|_| "the mail does not come".to_owned())?
                        .map_err(|error| error.to_string())?;
                    Some(bytes)
                }
                Some(_) => return Err("the server sends more than it said".to_owned()),
                None => None,
            };
            parts.push(Part { text, literal });
        }
        Err("the answer does not end".to_owned())
    }
}

/// A quoted string; there are no control characters in it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn number_behind(text: &str, name: &str) -> Option<usize> {
    let (_, rest) = text.split_once(name)?;
    rest.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Undoes `%XX`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_mailboxes() {
        let imap = Imap::parse("imaps://me%40shop.example:p%2Fw@mail.shop.example/Bounces", None).unwrap();
        assert_eq!((imap.user.as_str(), imap.password.as_str(), imap.port), ("me@shop.example", "p/w", 993));
        assert_eq!(format!("{imap:?}"), "Imap(mail.shop.example:993/Bounces)");
        assert_eq!(Imap::parse("imap://u:p@127.0.0.1", None).unwrap().mailbox, "INBOX");
        let way = |url: &str| {
            let imap = Imap::parse(url, None).unwrap();
            let word = match imap.tls {
                Tls::Wrapper(_) => "wrapper",
                Tls::Required(_) => "required",
                Tls::None => "none",
            };
            (word, imap.port)
        };
        for (url, expected) in [
            ("imaps://u:p@mail.shop.example", ("wrapper", 993)),
            ("imap://u:p@mail.shop.example/x?tls=wrapper", ("wrapper", 993)),
            ("imap://u:p@mail.shop.example", ("required", 143)),
            ("imap://u:p@mail.shop.example:144/x?tls=required", ("required", 144)),
            ("imap://u:p@localhost?tls=required", ("required", 143)),
            ("imap://u:p@localhost", ("none", 143)),
            ("imap://u:p@[::1]/x?tls=none", ("none", 143)),
        ] {
            assert_eq!(way(url), expected, "{url}");
        }
        for bad in [
            "pop3://u:p@h",
            "imaps://h",
            "imaps://u@h",
            "imaps://u:p@",
            "imaps://u:p@h:x",
            "imap://u:p@mail.shop.example?tls=none",
            "imap://u:p@mail.shop.example?tls=opportunistic",
            "imaps://u:p@mail.shop.example?tls=required",
            "imaps://u:p@127.0.0.1?tls=none",
            "imap://u:p@127.0.0.1?ssl=1",
            "imaps://u:p%0d%0aA1 LOGOUT@h",
            "imaps://u:p@h/x%22%0a",
            "imaps://u:%zz@h",
        ] {
            assert_eq!(Imap::parse(bad, None).map(|_| ()).unwrap_err().code, "imap.url", "{bad}");
        }
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
        assert_eq!(number_behind("* 1 FETCH (UID 2 RFC822.SIZE 345)", "RFC822.SIZE"), Some(345));
    }
}
