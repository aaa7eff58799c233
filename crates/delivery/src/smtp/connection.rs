//! One conversation with an SMTP server: hello, TLS, login, mails.
//!
//! lettre's connection carries it. What lettre does not do is done here: commands are sent in one packet where the server
//! allows it (PIPELINING, RFC 2920), each answer has a time limit, and a lost connection is told apart by whether the
//! server may have seen the end of the mail.

use std::{
    future::Future,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use lettre::transport::smtp::{
    Error, authentication::Mechanism, client::AsyncSmtpConnection, response::Response,
};
use tokio::net::TcpStream;

use super::{
    Security, Shared,
    reply::{Refusal, Step, shortened},
};
use crate::transport::{Answer, Bounce, Mail};

/// What came of a mail.
#[derive(Debug)]
pub(super) enum Said {
    Answer(Answer),
    /// The connection is gone, and the server has not seen the end of the mail.
    Lost {
        detail: String,
    },
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct NoConnection {
    pub reason: &'static str,
    pub detail: String,
    /// Whether trying again is of no use.
    pub for_good: bool,
}

/// How an exchange failed.
enum Failure {
    /// The server said no.
    Refused(Refusal),
    /// The connection broke, or the server spoke no SMTP, or took too long.
    Broken(String),
}

pub(super) struct Connection {
    smtp: AsyncSmtpConnection,
    timeout: Duration,
    pipelining: bool,
    utf8: bool,
    sized: bool,
    open: bool,
}

async fn within<T>(limit: Duration, exchange: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
    match tokio::time::timeout(limit, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            Err(Refusal::of(&error).map_or_else(|| Failure::Broken(words(&error)), Failure::Refused))
        }
        Err(_) => Err(Failure::Broken(format!("no answer within {} s", limit.as_secs()))),
    }
}

/// An error with its causes, on one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    shortened(&text)
}

/// A socket that sends small packets at once: the end of a mail must not wait for an acknowledgement.
async fn dial(shared: &Shared) -> Result<TcpStream, String> {
    let config = &shared.config;
    let connect = async {
        let addresses: Vec<SocketAddr> =
            tokio::net::lookup_host((config.host.as_str(), config.port)).await?.collect();
        let stream = TcpStream::connect(addresses.as_slice()).await?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    };
    match tokio::time::timeout(config.timeout, connect).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {} s", config.timeout.as_secs())),
    }
}

impl Connection {
    pub async fn open(shared: &Shared) -> Result<Self, NoConnection> {
        let config = &shared.config;
        let unreachable =
            |detail: String| NoConnection { reason: "smtp.unreachable", detail, for_good: false };
        let smtp = match (&config.security, &shared.tls) {
            (Security::Wrapper, tls) => {
                let place = (config.host.as_str(), config.port);
                let connect = AsyncSmtpConnection::connect_tokio1(
                    place,
                    Some(config.timeout),
                    &shared.hello,
                    tls.clone(),
                    None,
                );
                within(config.timeout, connect).await
            }
            _ => {
                let stream = dial(shared).await.map_err(unreachable)?;
                within(
                    config.timeout,
                    AsyncSmtpConnection::connect_with_transport(Box::new(stream), &shared.hello),
                )
                .await
            }
        };
        let smtp = smtp.map_err(|failure| match failure {
            Failure::Refused(refusal) => NoConnection {
                reason: "smtp.greeting",
                for_good: refusal.is_permanent(),
                detail: format!("the server does not want to talk: {}", refusal.detail),
            },
            Failure::Broken(detail) => unreachable(detail),
        })?;
        let mut connection =
            Self { smtp, timeout: config.timeout, pipelining: false, utf8: false, sized: false, open: true };
        connection.encrypt(shared).await?;
        connection.log_in(shared).await?;
        connection.learn(shared).await?;
        Ok(connection)
    }

    async fn encrypt(&mut self, shared: &Shared) -> Result<(), NoConnection> {
        let Some(tls) = shared.tls.clone() else { return Ok(()) };
        let offered = self.smtp.can_starttls();
        match shared.config.security {
            Security::None | Security::Wrapper => return Ok(()),
            Security::Opportunistic if !offered => return Ok(()),
            Security::Required if !offered => {
                return Err(NoConnection {
                    reason: "smtp.tls",
                    detail: "the server offers no STARTTLS; if the line is safe without it, use tls=opportunistic or \
                             tls=none"
                        .into(),
                    for_good: true,
                });
            }
            _ => {}
        }
        within(self.timeout, self.smtp.starttls(tls, &shared.hello)).await.map_err(|failure| {
            let why = match failure {
                Failure::Refused(refusal) => refusal.detail,
                Failure::Broken(detail) => detail,
            };
            NoConnection { reason: "smtp.tls", detail: format!("TLS failed: {why}"), for_good: true }
        })
    }

    async fn log_in(&mut self, shared: &Shared) -> Result<(), NoConnection> {
        let Some(credentials) = &shared.credentials else { return Ok(()) };
        let mechanisms = match shared.config.mechanism {
            Some(one) => vec![one],
            None => vec![Mechanism::Plain, Mechanism::Login],
        };
        let answer = within(self.timeout, self.smtp.auth(&mechanisms, credentials)).await;
        answer.map(drop).map_err(|failure| match failure {
            Failure::Refused(refusal) => NoConnection {
                reason: "smtp.login",
                for_good: refusal.is_permanent(),
                detail: format!("the server refuses user and password: {}", refusal.detail),
            },
            Failure::Broken(detail) => NoConnection {
                reason: "smtp.login",
                detail: format!("login failed: {detail}"),
                for_good: true,
            },
        })
    }

    /// Asks what the server can do: lettre keeps only what it uses itself.
    async fn learn(&mut self, shared: &Shared) -> Result<(), NoConnection> {
        let hello = format!("EHLO {}\r\n", shared.hello);
        let answer = self.command(&hello).await.map_err(|failure| NoConnection {
            reason: "smtp.greeting",
            detail: match failure {
                Failure::Refused(refusal) => refusal.detail,
                Failure::Broken(detail) => detail,
            },
            for_good: false,
        })?;
        for line in answer.message().skip(1) {
            let word = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            match word.as_str() {
                "PIPELINING" => self.pipelining = true,
                "SMTPUTF8" => self.utf8 = true,
                "SIZE" => self.sized = true,
                _ => {}
            }
        }
        Ok(())
    }

    pub fn is_open(&self) -> bool {
        self.open
    }

    pub async fn quit(mut self) {
        // Politeness has a short limit; the answer does not matter.
        drop(within(Duration::from_secs(2), self.smtp.quit()).await);
    }

    async fn command(&mut self, line: &str) -> Result<Response, Failure> {
        let answer = within(self.timeout, self.smtp.command(line)).await;
        self.note(answer)
    }

    async fn answer(&mut self) -> Result<Response, Failure> {
        let answer = within(self.timeout, self.smtp.read_response()).await;
        self.note(answer)
    }

    /// A broken exchange ends the connection, and so does 421.
    fn note(&mut self, answer: Result<Response, Failure>) -> Result<Response, Failure> {
        match &answer {
            Err(Failure::Broken(_)) => self.open = false,
            Err(Failure::Refused(refusal)) if refusal.code == 421 => self.open = false,
            _ => {}
        }
        answer
    }

    /// Hands over a mail with a head of more headers.
    pub async fn hand_over(&mut self, return_path: &str, head: &str, mail: &Mail) -> Said {
        let plain = return_path.is_ascii() && mail.to.is_ascii();
        if !plain && !self.utf8 {
            return Said::Answer(Answer::Permanent {
                reason: "smtp.utf8",
                detail: "the server takes no addresses with letters beyond ASCII (SMTPUTF8)".into(),
                bounce: None,
            });
        }
        let size =
            if self.sized { format!(" SIZE={}", head.len() + mail.bytes.len()) } else { String::new() };
        let utf8 = if plain { "" } else { " SMTPUTF8" };
        let lines = [
            format!("MAIL FROM:<{return_path}>{size}{utf8}\r\n"),
            format!("RCPT TO:<{}>\r\n", mail.to),
            "DATA\r\n".to_owned(),
        ];
        if let Err((step, failure)) = self.begin(&lines).await {
            return self.not_taken(step, failure).await;
        }
        self.content(head.as_bytes(), &mail.bytes).await
    }

    /// The three commands before the content, in one packet where the server allows it.
    async fn begin(&mut self, lines: &[String; 3]) -> Result<(), (Step, Failure)> {
        if !self.pipelining {
            for (line, step) in lines.iter().zip([Step::Mail, Step::Rcpt, Step::Data]) {
                self.command(line).await.map_err(|failure| (step, failure))?;
            }
            return Ok(());
        }
        let mail = self.command(&lines.concat()).await;
        if let Err(Failure::Broken(_)) = mail {
            return mail.map(drop).map_err(|failure| (Step::Mail, failure));
        }
        let rcpt = self.answer().await;
        if let Err(Failure::Broken(_)) = rcpt {
            return rcpt.map(drop).map_err(|failure| (Step::Rcpt, failure));
        }
        let data = self.answer().await;
        if (mail.is_err() || rcpt.is_err()) && data.is_ok() {
            // The server waits for content though it refused sender or recipient (RFC 2920 §3.1 knows such servers). To
            // end an empty mail here could deliver one: hang up instead.
            self.open = false;
        }
        mail.map_err(|failure| (Step::Mail, failure))?;
        rcpt.map_err(|failure| (Step::Rcpt, failure))?;
        data.map_err(|failure| (Step::Data, failure))?;
        Ok(())
    }

    async fn content(&mut self, head: &[u8], bytes: &[u8]) -> Said {
        // lettre ends the last line itself.
        let bytes = bytes.strip_suffix(b"\r\n").unwrap_or(bytes);
        // Set when all of the content went out without an error, just before the line that ends the mail is written.
        let ending = AtomicBool::new(false);
        let mut parts = [head, bytes].into_iter().filter(|part| !part.is_empty());
        let parts = std::iter::from_fn(|| {
            let part = parts.next();
            ending.store(part.is_none(), Ordering::Relaxed);
            part
        });
        let answer = within(2 * self.timeout, self.smtp.message_iter(parts)).await;
        match self.note(answer) {
            Ok(response) => {
                let detail =
                    format!("{} {}", response.code(), response.message().collect::<Vec<_>>().join(" "));
                Said::Answer(Answer::Taken { detail: shortened(&detail) })
            }
            Err(Failure::Refused(refusal)) => self.not_taken(Step::Body, Failure::Refused(refusal)).await,
            Err(Failure::Broken(detail)) if ending.load(Ordering::Relaxed) => {
                Said::Answer(Answer::Doubtful {
                    detail: format!("the connection ended before the server answered: {detail}"),
                })
            }
            Err(Failure::Broken(detail)) => Said::Lost { detail },
        }
    }

    async fn not_taken(&mut self, step: Step, failure: Failure) -> Said {
        let refusal = match failure {
            Failure::Broken(detail) => return Said::Lost { detail },
            // "Service closing": what a server says to an idle connection.
            Failure::Refused(refusal) if refusal.code == 421 && step != Step::Body => {
                return Said::Lost { detail: refusal.detail };
            }
            Failure::Refused(refusal) => refusal,
        };
        if self.open && step != Step::Body {
            // The next mail starts afresh.
            if self.command("RSET\r\n").await.is_err() {
                self.open = false;
            }
        }
        Said::Answer(answer_to(step, refusal))
    }
}

fn answer_to(step: Step, refusal: Refusal) -> Answer {
    let Refusal { code, .. } = refusal;
    let bounce = match step {
        Step::Rcpt if refusal.says_no_mailbox() => Some(Bounce::Hard),
        // What is said of the recipient, or of a mailbox that is full (5.2.x), is about the address; other refusals of
        // the content are about the mail.
        Step::Rcpt if !refusal.detail.contains(" 5.7.") => Some(Bounce::Soft),
        Step::Body if refusal.detail.contains(" 5.2.") => Some(Bounce::Soft),
        _ => None,
    };
    if !refusal.is_permanent() {
        return Answer::Temporary { reason: "smtp.4xx", detail: refusal.detail };
    }
    // A sender that is refused for good is refused for every mail: a wrong password, a wrong sender. Only "too large"
    // (552) is about this mail.
    if step == Step::Mail && code != 552 {
        return Answer::Unavailable {
            reason: "smtp.sender",
            detail: format!("the server refuses the sender: {}", refusal.detail),
            for_good: true,
        };
    }
    Answer::Permanent { reason: "smtp.5xx", detail: refusal.detail, bounce }
}
