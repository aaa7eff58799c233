//! What the scenarios share: an example's folder, a delivery into a capture folder, what contacts do with their messages.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use delivery::{Capture, Delivery, Keys, Links, Mailbox, Sender, pace::Retries, worker};
use engine::rules::{Folder, SourceFile};
use model::{Consent, ConsentState, MessageId, Slug, Timestamp, Zone, time::FixedClock};
use serde_json::{Map, Value as Json};
use storage::{
    imports::ContactPatch,
    outbox::{MessageFilter, MessageRow, MessageState, OutboxStore},
};

use crate::support::Shop;

pub fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

/// The folder of an example, as in `s1/flow`.
pub fn example(name: &str) -> Folder {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let journey = source(&folder.join("journey.yaml"));
    let fields = folder.join("fields.yaml");
    Folder {
        journey,
        fields: fields.exists().then(|| source(&fields)),
        segments: all(&folder.join("segments")),
        templates: all(&folder.join("templates")),
        coupons: all(&folder.join("coupons")),
    }
}

fn source(path: &Path) -> SourceFile {
    SourceFile {
        file: path.file_name().unwrap().to_string_lossy().into_owned(),
        slug: path.file_stem().unwrap().to_string_lossy().into_owned(),
        text: fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    }
}

fn all(folder: &Path) -> Vec<SourceFile> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| source(path)).collect()
}

/// An answer to "may we write to you for this purpose?".
pub fn consent(purpose: &str, state: ConsentState, at: Timestamp) -> Consent {
    Consent { purpose: slug(purpose), state, at, source: "test".into(), proof: "test".into() }
}

/// A contact who said yes to the newsletter, in a language.
pub fn subscriber(id: &str, locale: &str) -> ContactPatch {
    let mut patch = testkit::contact(id);
    patch.locale = Some(locale.to_owned());
    patch.consents.push(consent("newsletter", ConsentState::Subscribed, Timestamp(0)));
    patch
}

/// The only message that a node of a journey sent to a contact and that waits or was sent; panics when there are others.
pub async fn message(shop: &Shop, contact: &str, node: &str) -> MessageRow {
    let mut rows = messages(shop, contact).await;
    rows.retain(|row| row.message.send.node == node);
    assert_eq!(rows.len(), 1, "{contact}: {node}");
    rows.remove(0)
}

/// The messages to a contact, in the order of their decision.
pub async fn messages(shop: &Shop, contact: &str) -> Vec<MessageRow> {
    let filter = MessageFilter { contact: Some(shop.contact(contact).await), ..MessageFilter::default() };
    shop.store.db.list_messages(filter, 0, 1_000).await.unwrap()
}

/// The messages to a contact in short: node, when it was decided, and the reason of one that will not leave.
pub async fn told(shop: &Shop, contact: &str) -> Vec<String> {
    let rows = messages(shop, contact).await;
    let one = |row: &MessageRow| {
        let reason = row.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("{} {}{reason}", row.message.send.node, row.message.decided_at)
    };
    rows.iter().map(one).collect()
}

/// A contact opens a message, or clicks a link of it.
pub async fn interact(shop: &mut Shop, message: MessageId, kind: &str, properties: Map<String, Json>) {
    let db = &shop.store.db;
    db.record_interaction(message, kind.to_owned(), shop.now, properties).await.unwrap().unwrap();
    shop.settle().await;
}

/// A capture folder of the shop, and who writes into it.
pub struct Letterbox {
    folder: PathBuf,
}

impl Letterbox {
    pub fn of(shop: &Shop) -> Self {
        Self { folder: shop.store.folder().join("mails") }
    }

    /// Hands over what is due, into the folder; how many came to what.
    pub async fn deliver(&self, shop: &mut Shop) -> BTreeMap<MessageState, u64> {
        let links = Links::new("https://mail.shop.example.test", Keys::new([7; Keys::LEN])).unwrap();
        let sender = Sender {
            from: Mailbox::parse("Lanternwick <news@shop.example.test>").unwrap(),
            reply_to: None,
            links,
            unsubscribe_mailto: None,
            zone: Zone::UTC,
        };
        let delivery = Delivery {
            sender: Arc::new(sender),
            clock: Arc::new(FixedClock(shop.now)),
            machine: Arc::new(FixedClock(shop.now)),
            rate: None,
            per_domain: None,
            retries: Retries::default(),
            shaper: Arc::default(),
            stop: Arc::default(),
        };
        let transport = Arc::new(Capture::new(&self.folder).unwrap());
        let summary = worker::run(&shop.store.db, &transport, &delivery, |_| ()).await.unwrap();
        assert_eq!(summary.stopped, None);
        let mut states = BTreeMap::new();
        for ((_, state, _), count) in summary.counts {
            *states.entry(state).or_default() += count;
        }
        shop.settle().await;
        states
    }

    /// What travelled, as a reader sees it: of a mail its subject and plain text, of others what was handed over. Ids and
    /// signed links, which differ from run to run, are left out.
    pub fn read(&self, row: &MessageRow) -> String {
        let list = fs::read_to_string(self.folder.join("mails.jsonl")).unwrap();
        let id = row.message.id.to_string();
        let line =
            list.lines().rfind(|line| line.contains(&id)).unwrap_or_else(|| panic!("{id} did not leave"));
        let line: Json = serde_json::from_str(line).unwrap();
        let text = fs::read_to_string(self.folder.join(format!("mails/{id}.txt"))).unwrap();
        let signed = |word: &str| {
            let head =
                ["/u/", "/p/", "/v/"].iter().find_map(|kind| word.find(kind).map(|at| at + kind.len()));
            match head.filter(|_| word.contains("https://mail.shop.example.test/")) {
                Some(head) => format!("{}TOKEN", &word[..head]),
                None => word.to_owned(),
            }
        };
        let text: Vec<String> = text
            .trim_start_matches('\u{feff}')
            .lines()
            .map(|line| line.split(' ').map(signed).collect::<Vec<_>>().join(" "))
            .collect();
        format!("{}\n\n{}", line["subject"].as_str().unwrap_or_default(), text.join("\n").trim_end())
    }
}

/// The ways of a contact through a journey without what the trace says in brackets about ids and values.
pub async fn ways(shop: &Shop, contact: &str, journey: &str) -> Vec<String> {
    let plain = |step: &str| match step.split_once(" (") {
        Some((head, detail)) if !detail.starts_with("until ") && !head.ends_with("left") => head.to_owned(),
        _ => step.to_owned(),
    };
    let ways = shop.ways(contact, journey).await;
    ways.iter().map(|way| way.split(" → ").map(plain).collect::<Vec<_>>().join(" → ")).collect()
}
