//! A mailbox for looking at: each mail as `.eml`, page and text in a folder, with an index that a browser opens from
//! the disk.
//!
//! ```text
//! folder/index.html          the index; needs nothing but the files beside it
//! folder/mails.js            what the index lists
//! folder/mails.jsonl         the same, one line a message, appended as they come: what a broken run leaves behind
//! folder/mails/ID.eml .html .txt
//! ```
//!
//! Names come from message ids alone, so no template, name or address can lead out of the folder; a message that is
//! captured twice overwrites itself.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value, json};

use storage::outbox::Channel;

use crate::transport::{Answer, Lane, Mail, Transport, Unsent};

const INDEX: &str = include_str!("index.html");

/// Captures mails into a folder.
pub struct Capture {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    /// Addresses of pictures that stand for files on this disk, as seen from the pages.
    local: Option<(String, String)>,
    list: Mutex<File>,
}

impl Capture {
    /// Into a folder, which is made when it is missing. Mails that are in it stay.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(folder.join("mails"))?;
        let list = OpenOptions::new().create(true).append(true).open(folder.join("mails.jsonl"))?;
        fs::write(folder.join("index.html"), INDEX)?;
        Ok(Self { shared: Arc::new(Shared { folder, local: None, list: Mutex::new(list) }) })
    }

    /// In the pages for looking at (not in the `.eml`), addresses that begin with `url` are read from `path`: absolute,
    /// or as seen from the capture folder. So pictures show before they are published.
    #[must_use]
    pub fn showing(self, url: &str, path: &str) -> Self {
        let path = if Path::new(path).is_absolute() { path.to_owned() } else { format!("../{path}") };
        let Shared { folder, list, .. } = match Arc::try_unwrap(self.shared) {
            Ok(shared) => shared,
            // A lane was made already: what it writes is decided.
            Err(shared) => return Self { shared },
        };
        Self { shared: Arc::new(Shared { folder, local: Some((url.to_owned(), path)), list }) }
    }

    /// The page to open.
    #[must_use]
    pub fn index(&self) -> PathBuf {
        self.shared.folder.join("index.html")
    }
}

impl Shared {
    fn keep(&self, mail: &Mail) -> io::Result<()> {
        let file = |ending: &str| self.folder.join("mails").join(format!("{}.{ending}", mail.id));
        fs::write(file(ending(mail.send.channel)), &mail.bytes)?;
        match &self.local {
            Some((url, path)) => fs::write(file("html"), mail.html.replace(url, path))?,
            None => fs::write(file("html"), &mail.html)?,
        }
        // The mark at the start tells a browser that the text is UTF-8.
        fs::write(file("txt"), format!("\u{feff}{}", mail.text))?;
        let mut entry = entry(&mail.id.to_string(), &mail.send, "sent");
        entry.insert("channel".into(), json!(mail.send.channel.word()));
        entry.insert("subject".into(), json!(mail.subject));
        entry.insert("to".into(), json!(mail.to));
        entry.insert("name".into(), json!(mail.to_name));
        entry.insert("contact".into(), json!(mail.contact.0));
        entry.insert("locale".into(), json!(mail.locale));
        entry.insert("date".into(), json!(mail.date));
        entry.insert("bytes".into(), json!(mail.bytes.len()));
        self.list(&entry)
    }

    fn list(&self, entry: &Map<String, Value>) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        // One write a line: lines of several lanes do not mix.
        self.list.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
    }
}

/// The ending of what travels. A text message is its plain text.
const fn ending(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "eml",
        Channel::Sms => "txt",
        Channel::WebPush | Channel::Webhook => "json",
    }
}

fn entry(id: &str, send: &storage::outbox::SendPoint, outcome: &str) -> Map<String, Value> {
    let mut entry = Map::new();
    entry.insert("id".into(), json!(id));
    entry.insert("outcome".into(), json!(outcome));
    entry.insert("journey".into(), json!(send.journey));
    entry.insert("node".into(), json!(send.node));
    entry.insert("template".into(), json!(send.template));
    entry.insert("purpose".into(), json!(send.purpose));
    entry
}

/// Writes `mails.js` from the lines: the last one of each id counts; in the order of ids, which is that of runs and
/// contacts. A line that a broken run left half is passed over.
fn write_index(folder: &Path) -> io::Result<()> {
    let mut mails: BTreeMap<String, Value> = BTreeMap::new();
    for line in BufReader::new(File::open(folder.join("mails.jsonl"))?).split(b'\n') {
        let Ok(mail) = serde_json::from_slice::<Value>(&line?) else { continue };
        let Some(id) = mail.get("id").and_then(Value::as_str) else { continue };
        mails.insert(id.to_owned(), mail);
    }
    let new = folder.join("mails.js.new");
    let mut out = BufWriter::new(File::create(&new)?);
    out.write_all(b"window.RELANCE_MAILS = [\n")?;
    for mail in mails.values() {
        writeln!(out, "{},", script_safe(&mail.to_string()))?;
    }
    out.write_all(b"];\n")?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()?;
    fs::rename(new, folder.join("mails.js"))
}

/// JSON that is also a safe script: no `</script>`, no line separators that old engines stumble over.
fn script_safe(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a text cannot fail.
                let _ = write!(safe, "\\u{:04x}", u32::from(c));
            }
            _ => safe.push(c),
        }
    }
    safe
}

impl Transport for Capture {
    type Lane = CaptureLane;
    const KEEPS_PAGES: bool = true;

    fn lanes(&self) -> usize {
        2
    }

    fn lane(&self) -> CaptureLane {
        CaptureLane { shared: Arc::clone(&self.shared) }
    }

    fn unsent(&self, unsent: &Unsent) {
        let mut entry = entry(&unsent.id.to_string(), &unsent.send, unsent.state.word());
        entry.insert("reason".into(), json!(unsent.reason));
        entry.insert("detail".into(), json!(unsent.detail));
        entry.insert("to".into(), json!(unsent.to));
        entry.insert("name".into(), json!(unsent.to_name));
        entry.insert("contact".into(), json!(unsent.contact.0));
        entry.insert("date".into(), json!(unsent.date));
        // The list is for looking at; the outbox holds the truth. A full disk is told by the mails beside it.
        drop(self.shared.list(&entry));
    }

    async fn finish(&self) -> Result<(), String> {
        let folder = self.shared.folder.clone();
        let place = folder.display().to_string();
        tokio::task::spawn_blocking(move || write_index(&folder))
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| format!("the index in {place} cannot be written: {error}"))
    }
}

/// Writes mails.
pub struct CaptureLane {
    shared: Arc<Shared>,
}

impl Lane for CaptureLane {
    async fn hand_over(&mut self, mail: &Mail) -> Answer {
        // A few small files: shorter than a round trip to a server, so it is done where it stands.
        match self.shared.keep(mail) {
            Ok(()) => {
                let ending = ending(mail.send.channel);
                Answer::Taken { detail: format!("captured as mails/{}.{ending}", mail.id) }
            }
            Err(error) => Answer::Unavailable {
                reason: "capture.folder",
                detail: format!("{} cannot be written: {error}", self.shared.folder.display()),
                for_good: true,
            },
        }
    }

    async fn close(self) {}
}

#[cfg(test)]
mod tests {
    use model::{ContactId, Slug, Timestamp};
    use storage::outbox::{MessageId, MessageState, SendPoint};

    use super::*;

    fn send() -> Arc<SendPoint> {
        let slug = |text: &str| Slug::parse(text).unwrap();
        Arc::new(SendPoint {
            journey: slug("j"),
            journey_version: 1,
            run: 1,
            node: "../../n".into(),
            channel: Channel::Email,
            purpose: slug("newsletter"),
            transactional: false,
            template: slug("t"),
            template_version: 1,
        })
    }

    fn mail(contact: i64, subject: &str) -> Mail {
        Mail {
            id: MessageId::derive(1, contact as u64, 1, "n", 1),
            send: send(),
            contact: ContactId(contact),
            to_name: "</script><script>alert(1)</script>".into(),
            to: "a@example.test".into(),
            decided_at: Timestamp(0),
            date: Timestamp(0),
            locale: "fr".into(),
            subject: subject.into(),
            html: "<p>été</p>".into(),
            text: "été".into(),
            bytes: b"Subject: s\r\n\r\n".to_vec(),
            signed_with: None,
        }
    }

    #[tokio::test]
    async fn pages_show_pictures_from_the_disk_and_mails_keep_their_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let capture = Capture::new(folder.path()).unwrap().showing("https://shop.test/p/", "../pictures/");
        let mut mail = mail(1, "s");
        mail.html = "<img src=\"https://shop.test/p/a.png\">".into();
        mail.bytes = b"https://shop.test/p/a.png".to_vec();
        assert!(matches!(capture.lane().hand_over(&mail).await, Answer::Taken { .. }));
        let file = |ending: &str| folder.path().join("mails").join(format!("{}.{ending}", mail.id));
        assert_eq!(fs::read_to_string(file("html")).unwrap(), "<img src=\"../../pictures/a.png\">");
        assert_eq!(fs::read(file("eml")).unwrap(), mail.bytes);
    }

    #[tokio::test]
    async fn keeps_mails_across_runs_and_lists_each_once() {
        let folder = tempfile::tempdir().unwrap();
        for (run, contacts) in [(1, [1, 2]), (2, [2, 3])] {
            let capture = Capture::new(folder.path()).unwrap();
            let mut lane = capture.lane();
            for contact in contacts {
                let answer = lane.hand_over(&mail(contact, &format!("run {run}"))).await;
                assert!(matches!(answer, Answer::Taken { .. }), "{answer:?}");
            }
            let unsent = Unsent {
                id: MessageId::derive(1, 9, 1, "n", 1),
                send: send(),
                contact: ContactId(9),
                to_name: String::new(),
                to: String::new(),
                decided_at: Timestamp(0),
                date: Timestamp(0),
                state: MessageState::Skipped,
                reason: "unsubscribed",
                detail: "unsubscribed".into(),
            };
            capture.unsent(&unsent);
            // What a killed process leaves at the end of the list.
            let mut list = OpenOptions::new().append(true).open(folder.path().join("mails.jsonl")).unwrap();
            list.write_all(b"{\"id\":\"half\n").unwrap();
            capture.finish().await.unwrap();
        }
        let script = fs::read_to_string(folder.path().join("mails.js")).unwrap();
        assert!(!script.contains("</script>") && !script.contains("half"));
        let json = script.strip_prefix("window.RELANCE_MAILS = ").unwrap().trim_end().trim_end_matches(';');
        let json = json.replace(",\n]", "\n]");
        let mails: Vec<Value> = serde_json::from_str(&json).unwrap();
        let listed: Vec<(&str, &str)> = mails
            .iter()
            .map(|mail| (mail["outcome"].as_str().unwrap(), mail["subject"].as_str().unwrap_or_default()))
            .collect();
        assert_eq!(listed, [("sent", "run 1"), ("sent", "run 2"), ("sent", "run 2"), ("skipped", "")]);
        let mut files: Vec<String> = fs::read_dir(folder.path().join("mails"))
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        assert_eq!(files.len(), 9);
        assert_eq!(files[0], format!("{}.eml", MessageId::derive(1, 1, 1, "n", 1)));
        assert_eq!(fs::read_to_string(folder.path().join("mails").join(&files[1])).unwrap(), "<p>été</p>");
    }
}
