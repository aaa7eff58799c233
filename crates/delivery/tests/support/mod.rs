//! An SMTP server in the test's own process: it does what the recipient's name says, and remembers what it took.

#![expect(dead_code, reason = "each test program uses a part of it")]

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A mail that the sink took.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Return path.
    pub from: String,
    /// Recipient.
    pub to: String,
    /// Content, dots undone.
    pub data: String,
}

/// How the sink behaves, whoever writes.
#[derive(Clone, Debug)]
pub struct Manners {
    /// Offers PIPELINING.
    pub pipelining: bool,
    /// User and password that it wants.
    pub login: Option<(&'static str, &'static str)>,
    /// What it says first.
    pub greeting: &'static str,
    /// Refuses every sender with these words.
    pub sender: Option<&'static str>,
    /// Says 421 and closes after so many mails of one connection.
    pub mails_per_connection: Option<usize>,
    /// Offers STARTTLS, and fails at it.
    pub broken_starttls: bool,
    /// Waits before each answer to a mail.
    pub delay: Duration,
    /// Turns away who comes when so many connections are open.
    pub connections: Option<usize>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            pipelining: true,
            login: None,
            greeting: "220 sink ESMTP",
            sender: None,
            mails_per_connection: None,
            broken_starttls: false,
            delay: Duration::ZERO,
            connections: None,
        }
    }
}

#[derive(Default)]
struct Memory {
    taken: Vec<Taken>,
    tries: HashMap<String, u32>,
    connections: usize,
}

/// A running sink; it ends with the test's runtime.
#[derive(Clone)]
pub struct Sink {
    /// Where it listens.
    pub address: SocketAddr,
    memory: Arc<Mutex<Memory>>,
}

impl Sink {
    /// Starts one.
    pub async fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let sink = Self { address: listener.local_addr().expect("an address"), memory: Arc::default() };
        let (memory, open) = (Arc::clone(&sink.memory), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                memory.lock().expect("no panic").connections += 1;
                let mut manners = manners.clone();
                let (open, memory) = (Arc::clone(&open), Arc::clone(&memory));
                if manners.connections.is_some_and(|most| open.load(Ordering::SeqCst) >= most) {
                    manners.greeting = "421 4.7.0 too many connections";
                }
                open.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    converse(stream, memory, manners).await;
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        sink
    }

    /// `smtp://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// What it took so far.
    pub fn taken(&self) -> Vec<Taken> {
        self.memory.lock().expect("no panic").taken.clone()
    }

    /// How often somebody was tried.
    pub fn tries(&self, to: &str) -> u32 {
        self.memory.lock().expect("no panic").tries.get(to).copied().unwrap_or_default()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.memory.lock().expect("no panic").connections
    }
}

fn between(line: &str) -> String {
    line.split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or("", |(inside, _)| inside)
        .to_owned()
}

async fn converse(stream: TcpStream, memory: Arc<Mutex<Memory>>, manners: Manners) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(stream);
    let mut say = Vec::new();
    let (mut from, mut to, mut mails, mut logged_in) =
        (String::new(), None::<String>, 0, manners.login.is_none());
    say.extend_from_slice(format!("{}\r\n", manners.greeting).as_bytes());
    loop {
        // Answers wait until the client's packet is read, as servers do.
        if stream.buffer().is_empty() {
            stream.get_mut().write_all(&say).await.ok()?;
            say.clear();
        }
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let command = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        let mut answer = |text: &str| say.extend_from_slice(format!("{text}\r\n").as_bytes());
        match command.as_str() {
            "EHLO" => {
                answer("250-sink");
                if manners.pipelining {
                    answer("250-PIPELINING");
                }
                if manners.login.is_some() {
                    answer("250-AUTH PLAIN LOGIN");
                }
                if manners.broken_starttls {
                    answer("250-STARTTLS");
                }
                answer("250 SIZE 1000000");
            }
            "STARTTLS" => {
                stream.get_mut().write_all(b"220 go ahead\r\nthis is no handshake\r\n").await.ok()?;
                return None;
            }
            "AUTH" => {
                let wanted = manners.login.map(|(user, password)| format!("\0{user}\0{password}"));
                let given = line.split_whitespace().nth(2).and_then(unbase64);
                logged_in = wanted.is_some() && wanted == given;
                answer(if logged_in { "235 welcome" } else { "535 5.7.8 wrong password" });
            }
            "MAIL" if !logged_in => answer("530 5.7.0 authentication required"),
            "MAIL" if manners.sender.is_some() => answer(manners.sender.unwrap_or_default()),
            "MAIL" if manners.mails_per_connection == Some(mails) => {
                stream.get_mut().write_all(b"421 4.7.0 enough for today\r\n").await.ok()?;
                return None;
            }
            "MAIL" => {
                from = between(&line);
                answer("250 2.1.0 ok");
            }
            "RCPT" => {
                let name = between(&line);
                let tries = {
                    let mut memory = memory.lock().expect("no panic");
                    let tries = memory.tries.entry(name.clone()).or_default();
                    *tries += 1;
                    *tries
                };
                // "soft2" is refused twice, "soft" always.
                let soft = name.strip_prefix("soft").map(|rest| {
                    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                    digits.parse().unwrap_or(u32::MAX)
                });
                if name.starts_with("cut") {
                    return None;
                }
                if soft.is_some_and(|times| tries <= times) {
                    answer("451 4.3.0 try again later");
                } else if name.starts_with("hard") {
                    answer("550 5.1.1 no such user here");
                } else if name.starts_with("refused") {
                    answer("550 5.7.1 relaying denied");
                } else {
                    to = Some(name);
                    answer("250 2.1.5 ok");
                }
            }
            "DATA" if to.is_none() => answer("503 5.5.1 nobody to send to"),
            "DATA" => {
                say.extend_from_slice(b"354 go on\r\n");
                stream.get_mut().write_all(&say).await.ok()?;
                say.clear();
                let data = content(&mut stream).await?;
                tokio::time::sleep(manners.delay).await;
                let to = to.take().unwrap_or_default();
                mails += 1;
                if to.starts_with("drop") {
                    // Taken, but the client never learns it.
                    memory.lock().expect("no panic").taken.push(Taken { from: from.clone(), to, data });
                    return None;
                }
                if to.starts_with("late") {
                    say.extend_from_slice(b"554 5.6.0 not liked\r\n");
                    continue;
                }
                memory.lock().expect("no panic").taken.push(Taken { from: from.clone(), to, data });
                say.extend_from_slice(b"250 2.0.0 queued\r\n");
            }
            "RSET" | "NOOP" => {
                to = None;
                answer("250 ok");
            }
            "QUIT" => {
                stream.get_mut().write_all(b"221 bye\r\n").await.ok()?;
                return None;
            }
            _ => answer("500 what?"),
        }
    }
}

async fn content(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut data = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == ".\r\n" {
            return Some(data);
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

fn unbase64(text: &str) -> Option<String> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    String::from_utf8(bytes).ok()
}
