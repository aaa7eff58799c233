//! A door for bounces and complaints: a small SMTP and LMTP server (RFC 5321, RFC 2033), for this machine's mail server
//! to hand over to. It takes mail for addresses that we made and for those that it is told, and nothing else; it sends
//! nothing.

use std::{future::Future, sync::Arc, time::Duration};

use model::Clock;
use storage::post::PostStore;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
    time::timeout,
};

use super::{MAIL_MAX, Taken, take, token};
use crate::{links::Links, pace::Bucket};

/// What it lets happen.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at the same time.
    pub connections: usize,
    /// Mails on one connection.
    pub mails: usize,
    /// Largest mail, in bytes.
    pub mail_max: usize,
    /// Mails a second, over all connections.
    pub rate: f64,
    /// How long a client may take for a line.
    pub line: Duration,
    /// How long a connection may last.
    pub connection: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 32,
            mails: 100,
            mail_max: MAIL_MAX,
            rate: 50.0,
            line: Duration::from_secs(30),
            connection: Duration::from_secs(300),
        }
    }
}

/// Recipients of one mail: we make one address for each message.
const RECIPIENTS_MAX: usize = 10;
/// Longest command, in bytes (RFC 5321 §4.5.3.1.4 asks for 512).
const COMMAND_MAX: u64 = 1_000;
/// Commands that make no sense, after which a client is sent away.
const ERRORS_MAX: usize = 10;

/// What it needs to know.
pub struct Door<S> {
    /// The base.
    pub store: S,
    /// Verifies tokens.
    pub links: Links,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Its name.
    pub name: String,
    /// Addresses that are taken without a token: the return path, the mailbox for complaints.
    pub addresses: Vec<String>,
    /// See there.
    pub limits: Limits,
    /// Rung when something was recorded.
    pub bell: Arc<Notify>,
}

/// Takes mail until it is told to stop.
pub async fn serve<S>(listener: TcpListener, door: Door<S>, stop: impl Future<Output = ()>)
where
    S: PostStore + Send + Sync + 'static,
{
    let door = Arc::new(Shared {
        places: Semaphore::new(door.limits.connections),
        pace: std::sync::Mutex::new(Bucket::new(door.limits.rate)),
        started: tokio::time::Instant::now(),
        door,
    });
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(admit(stream, Arc::clone(&door)))),
                // Too many open files: a moment later there may be room.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stop => {}
    }
}

struct Shared<S> {
    door: Door<S>,
    places: Semaphore,
    pace: std::sync::Mutex<Bucket>,
    started: tokio::time::Instant,
}

impl<S> Shared<S> {
    /// Whether one more mail is within the rate.
    fn may_take(&self) -> bool {
        let mut pace = self.pace.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let free = pace.available(self.started.elapsed().as_secs_f64()) > 0;
        pace.take(usize::from(free));
        free
    }

    fn takes(&self, address: &str) -> bool {
        let own = self.door.addresses.iter().any(|known| known.eq_ignore_ascii_case(address));
        own || token::of_address(&self.door.links, address).is_some()
    }
}

async fn admit<S: PostStore + Send + Sync + 'static>(mut stream: TcpStream, shared: Arc<Shared<S>>) {
    let Ok(_place) = shared.places.try_acquire() else {
        drop(timeout(Duration::from_secs(1), stream.write_all(b"421 4.3.2 too many connections\r\n")).await);
        return;
    };
    let limit = shared.door.limits.connection;
    let mut talk = Talk { stream: BufReader::new(stream), shared: &shared, lmtp: false, errors: 0 };
    drop(timeout(limit, talk.talk()).await);
}

/// One client.
struct Talk<'s, S> {
    stream: BufReader<TcpStream>,
    shared: &'s Shared<S>,
    lmtp: bool,
    errors: usize,
}

/// How a line ended.
enum Line {
    Whole(Vec<u8>),
    TooLong,
}

impl<S: PostStore + Send + Sync + 'static> Talk<'_, S> {
    async fn say(&mut self, text: &str) -> Option<()> {
        let line = self.shared.door.limits.line;
        timeout(line, self.stream.get_mut().write_all(text.as_bytes())).await.ok()?.ok()
    }

    /// A line with its end; none when the client is gone or too slow.
    async fn line(&mut self, most: u64) -> Option<Line> {
        let mut line = Vec::new();
        let limit = self.shared.door.limits.line;
        let read =
            timeout(limit, (&mut self.stream).take(most).read_until(b'\n', &mut line)).await.ok()?.ok()?;
        match line.last() {
            Some(b'\n') => Some(Line::Whole(line)),
            _ if read as u64 == most => Some(Line::TooLong),
            _ => None,
        }
    }

    async fn talk(&mut self) -> Option<()> {
        let name = self.shared.door.name.clone();
        self.say(&format!("220 {name} ESMTP Relance takes bounces\r\n")).await?;
        let (mut from, mut to, mut mails) = (false, Vec::<String>::new(), 0);
        loop {
            let line = match self.line(COMMAND_MAX).await? {
                Line::Whole(line) => String::from_utf8_lossy(&line).trim_end().to_owned(),
                Line::TooLong => return self.say("500 5.5.2 the line is too long\r\n").await,
            };
            let (word, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
            match word.to_ascii_uppercase().as_str() {
                "EHLO" | "LHLO" => {
                    self.lmtp = word.eq_ignore_ascii_case("LHLO");
                    (from, to) = (false, Vec::new());
                    let size = self.shared.door.limits.mail_max;
                    self.say(&format!(
                        "250-{name}\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250 SIZE {size}\r\n"
                    ))
                    .await?;
                }
                "HELO" => self.say(&format!("250 {name}\r\n")).await?,
                "MAIL" => {
                    let size = rest.to_ascii_uppercase();
                    let size =
                        size.split("SIZE=").nth(1).and_then(|size| size.split(' ').next()?.parse().ok());
                    if size.is_some_and(|size: usize| size > self.shared.door.limits.mail_max) {
                        self.say("552 5.3.4 the mail is too large\r\n").await?;
                    } else if mails >= self.shared.door.limits.mails {
                        return self.say("421 4.7.0 enough for one connection\r\n").await;
                    } else {
                        (from, to) = (true, Vec::new());
                        self.say("250 2.1.0 ok\r\n").await?;
                    }
                }
                "RCPT" => {
                    let address = rest.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
                    let address = address.map(|(address, _)| address.to_owned()).unwrap_or_default();
                    if !from || to.len() >= RECIPIENTS_MAX {
                        self.wrong("503 5.5.1 not now\r\n").await?;
                    } else if self.shared.takes(&address) {
                        to.push(address);
                        self.say("250 2.1.5 ok\r\n").await?;
                    } else {
                        self.wrong("550 5.1.1 nobody here reads this address\r\n").await?;
                    }
                }
                "DATA" if to.is_empty() => self.wrong("503 5.5.1 no recipient\r\n").await?,
                "DATA" if !self.shared.may_take() => {
                    (from, to) = (false, Vec::new());
                    self.say("451 4.7.0 too many mails, later please\r\n").await?;
                }
                "DATA" => {
                    self.say("354 go on\r\n").await?;
                    let answer = match self.data().await? {
                        Some(mail) => self.record(&mail, &to).await,
                        None => "552 5.3.4 the mail is too large\r\n",
                    };
                    // LMTP wants an answer for each recipient.
                    let answers = if self.lmtp { to.len() } else { 1 };
                    self.say(&answer.repeat(answers)).await?;
                    (from, to) = (false, Vec::new());
                    mails += 1;
                }
                "RSET" => {
                    (from, to) = (false, Vec::new());
                    self.say("250 2.0.0 ok\r\n").await?;
                }
                "NOOP" => self.say("250 2.0.0 ok\r\n").await?,
                "QUIT" => return self.say("221 2.0.0 bye\r\n").await,
                _ => self.wrong("502 5.5.1 not here\r\n").await?,
            }
        }
    }

    /// Says no; to whom it is said too often, good-bye.
    async fn wrong(&mut self, text: &str) -> Option<()> {
        self.errors += 1;
        if self.errors > ERRORS_MAX {
            self.say("421 4.7.0 too many errors\r\n").await?;
            return None;
        }
        self.say(text).await
    }

    /// The mail, dots undone; none inside when it is too large. It ends with a dot between two CRLF and with nothing
    /// else, so that nobody hides a mail in a mail.
    async fn data(&mut self) -> Option<Option<Vec<u8>>> {
        let most = self.shared.door.limits.mail_max;
        let mut mail = Vec::new();
        let mut fits = true;
        let mut begins = true;
        loop {
            let mut piece = Vec::new();
            let limit = self.shared.door.limits.line;
            let mut some = (&mut self.stream).take(64 * 1024);
            if timeout(limit, some.read_until(b'\n', &mut piece)).await.ok()?.ok()? == 0 {
                return None;
            }
            if begins && piece == b".\r\n" {
                return Some(fits.then_some(mail));
            }
            let piece_ends = piece.ends_with(b"\r\n");
            let content = if begins && piece.first() == Some(&b'.') { &piece[1..] } else { &piece[..] };
            fits = fits && mail.len() + content.len() <= most;
            if fits {
                mail.extend_from_slice(content);
            } else {
                mail = Vec::new();
            }
            begins = piece_ends;
        }
    }

    async fn record(&self, mail: &[u8], to: &[String]) -> &'static str {
        let door = &self.shared.door;
        match take(&door.store, &door.links, door.clock.now(), (mail, to)).await {
            Ok(taken) => {
                if let Taken::Recorded(_) = taken {
                    door.bell.notify_one();
                }
                // What leads to nothing is taken all the same: a bounce of a bounce helps nobody.
                "250 2.0.0 taken\r\n"
            }
            Err(_) => "451 4.3.0 it cannot be recorded now, later please\r\n",
        }
    }
}
