//! A shop in one process that may die at any point: the real store, engine and delivery under a virtual clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
};

use delivery::{Delivery, Keys, Links, Mailbox, Sender, pace::Retries, worker};
use engine::{
    campaign::launch::Silent,
    live::{
        lives::{self, By, PublishOptions},
        work::Engine,
    },
    rules::{self, Folder, Workspace},
};
use model::{Clock, ConsentState, Contact, ContactId, CouponSet, Dice, Slug, Timestamp, Zone};
use storage::{
    StoreError,
    contacts::{ContactStore, IdentifierKind},
    coupons::CouponStore,
    imports::{ImportBatch, ImportStore},
    outbox::{MessageFilter, OutboxStore},
    settings::{DefinitionKind, NewDefinition, SettingsStore},
};
use storage_sqlite::{Options, Sqlite};
use tokio::runtime::Runtime;

use crate::{
    faults::{Broken, Faults},
    grammar::COUPONS,
    post::{Post, Way},
    sending::Sending,
    story::{self, Act, Story, fill},
};

/// What may go wrong while a story is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Nothing.
    Calm,
    /// The engine dies or a change fails at any point; batches arrive twice. What comes of it must be the same.
    Crashes,
    /// Besides, delivery dies, leases are lost, two workers deliver at once, inputs come in another order, clocks jump.
    Storm,
}

/// A clock that the simulation sets.
#[derive(Default)]
pub struct Hand(AtomicI64);

impl Hand {
    fn set(&self, at: Timestamp) {
        self.0.store(at.0, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// What lives in a process.
pub struct Life {
    /// The engine.
    pub engine: Engine<Sqlite>,
    /// The base.
    pub db: Sqlite,
}

/// While the engine works, one in so many points breaks.
const SETTLING: u64 = 100;
/// While something is imported, published, asked of a journey.
const DOING: u64 = 16;

/// How often something is tried again before it counts as stuck.
const TRIES: usize = 40;

/// The shop.
pub struct World {
    /// The seed.
    pub seed: u64,
    /// The weather.
    pub weather: Weather,
    /// The file.
    pub path: PathBuf,
    /// The time.
    pub now: Timestamp,
    /// The latest time that the clock ever showed: in a storm it may be set back.
    pub latest: Timestamp,
    /// What breaks.
    pub faults: Arc<Faults>,
    /// Who takes messages.
    pub post: Post,
    /// What happened, for who wants to read it.
    pub told: Vec<String>,
    /// Message ids of events that were accepted.
    pub accepted: BTreeSet<String>,
    /// Whether the base has threads of its own: what they do meanwhile is not the same each time.
    threads: bool,
    /// Whether journeys choose products: what the catalogue says now must be what they choose from, also after a death.
    chooses: bool,
    /// The rules of sending.
    sending: Sending,
    /// What happened and was not told yet.
    late: Vec<story::Told>,
    /// How often contacts were asked to enter a journey.
    asked: u64,
    life: Option<(Life, Runtime)>,
    clock: Arc<Hand>,
    machine: Arc<Hand>,
    dice: Dice,
    sender: Arc<Sender>,
    folder: tempfile::TempDir,
}

type Told<T> = Result<T, String>;

/// The bytes of an empty base, made once.
fn empty() -> &'static [u8] {
    static EMPTY: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("empty.db");
        // When it is closed, its log is moved into the file.
        drop(Sqlite::open(&path, Options { threads: false, ..Options::default() }).expect("an empty base"));
        std::fs::read(path).expect("its bytes")
    });
    &EMPTY
}

/// Whether the base of a seed's story has threads of its own: what they do meanwhile is not the same each time.
#[must_use]
pub const fn has_threads(seed: u64) -> bool {
    seed.is_multiple_of(16)
}

impl World {
    /// An empty shop.
    ///
    /// # Errors
    /// When there is no room for its file.
    pub fn new(seed: u64, weather: Weather, start: Timestamp) -> Told<Self> {
        let memory = std::path::Path::new("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::TempDir::new_in(memory) } else { tempfile::TempDir::new() };
        let folder = folder.map_err(|error| error.to_string())?;
        std::fs::write(folder.path().join("relance.db"), empty()).map_err(|error| error.to_string())?;
        let dice = Dice::of(&[seed, 10 + weather as u64]);
        let faults = Faults::new(Dice::of(&[seed, 20 + weather as u64]));
        storage::fault::hook(Some(faults.hook()));
        let sender = Sender {
            from: Mailbox::parse("Shop <news@shop.example>").map_err(|problem| problem.to_string())?,
            reply_to: None,
            links: Links::new("https://mail.shop.example", Keys::new([1; 32]))
                .map_err(|problem| problem.to_string())?,
            unsubscribe_mailto: None,
            zone: Zone::UTC,
        };
        Ok(Self {
            seed,
            weather,
            path: folder.path().join("relance.db"),
            now: start,
            latest: start,
            faults,
            post: Post::new(seed, if seed.is_multiple_of(3) { 4 } else { 0 }),
            told: Vec::new(),
            accepted: BTreeSet::new(),
            threads: has_threads(seed),
            chooses: false,
            sending: Sending::default(),
            late: Vec::new(),
            asked: 0,
            life: None,
            clock: Arc::default(),
            machine: Arc::default(),
            dice,
            sender: Arc::new(sender),
            folder,
        })
    }

    fn tell(&mut self, what: impl Into<String>) {
        for broken in self.faults.take() {
            self.told.push(format!("{} !! {broken}", self.now));
        }
        self.told.push(format!("{} {}", self.now, what.into()));
    }

    /// A name for another file beside the base.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The process dies, if it lives.
    pub fn die(&mut self) {
        if let Some((Life { engine, db }, rt)) = self.life.take() {
            // What a dying process does by itself does not fail again.
            let was = storage::fault::hooked();
            storage::fault::hook(None);
            drop(engine);
            drop(rt);
            drop(db);
            storage::fault::hook(was);
        }
        self.faults.reborn();
    }

    fn live(&mut self) -> Told<()> {
        if self.life.is_some() {
            return Ok(());
        }
        // Waiting costs no time, and how fast this machine is decides nothing.
        let paused = !self.threads;
        let rt = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(paused).build();
        let rt = rt.map_err(|error| error.to_string())?;
        let (path, now) = (self.path.clone(), self.now);
        let before = self.faults.count();
        let options = Options { readers: 2, cache_kib: 1_024, threads: self.threads, ..Options::default() };
        let db = Sqlite::open(path, options).map_err(|error| error.to_string())?;
        let opened = catch_unwind(AssertUnwindSafe(|| {
            rt.block_on(async {
                tokio::select! {
                    biased;
                    () = dead(&self.faults) => None,
                    engine = Engine::open(db.clone(), now) => Some(engine),
                }
            })
        }));
        match opened {
            Ok(Some(Ok(engine))) if !self.faults.has_crashed() => {
                self.life = Some((Life { engine, db }, rt));
                Ok(())
            }
            Ok(Some(Err(error))) if self.faults.count() == before => {
                Err(format!("the engine does not open: {error}"))
            }
            other => {
                if let Err(panic) = other
                    && !panic.is::<Broken>()
                {
                    return Err(format!("panic while opening: {}", words(&*panic)));
                }
                drop(rt);
                drop(db);
                self.faults.reborn();
                self.live()
            }
        }
    }

    /// Does something, again and again while failures that were made come between.
    ///
    /// # Errors
    /// What it says when nothing was made to fail; a panic; when it does not come to an end.
    #[expect(clippy::needless_pass_by_value, reason = "it is written where it is called")]
    pub fn attempt<T>(&mut self, op: impl AsyncFn(&mut Life) -> storage::Result<T>) -> Told<T> {
        for _ in 0..TRIES {
            self.live()?;
            let Some((mut life, rt)) = self.life.take() else { continue };
            let faults = Arc::clone(&self.faults);
            let before = faults.count();

            let done = catch_unwind(AssertUnwindSafe(|| {
                rt.block_on(async {
                    tokio::select! {
                        biased;
                        () = dead(&faults) => None,
                        done = op(&mut life) => Some(done),
                    }
                })
            }));
            self.life = Some((life, rt));
            let broke = self.faults.count() > before;
            match done {
                Ok(Some(Ok(value))) if !self.faults.has_crashed() => return Ok(value),
                Ok(Some(Err(error))) if !broke => return Err(error.to_string()),
                Err(panic) if !panic.is::<Broken>() && !self.faults.has_crashed() => {
                    return Err(format!("panic: {}", words(&*panic)));
                }
                Err(_) => self.die(),
                Ok(_) if self.faults.has_crashed() => self.die(),
                // A change that failed: its caller tries again with what it has in memory.
                Ok(_) => {}
            }
        }
        Err("it does not come to an end".into())
    }

    fn one_in(&self, calm: u64) -> u64 {
        if self.weather == Weather::Calm { 0 } else { calm }
    }

    /// Without failures, for who looks at it.
    ///
    /// # Errors
    /// As [`World::attempt`].
    pub fn look<T>(&mut self, op: impl AsyncFn(&mut Life) -> storage::Result<T>) -> Told<T> {
        self.faults.arm(0);
        self.attempt(op)
    }

    /// Works until nothing is due now.
    ///
    /// # Errors
    /// As [`World::attempt`].
    pub fn settle(&mut self) -> Told<()> {
        let (now, chooses) = (self.now, self.chooses);
        let settle = async |life: &mut Life| {
            if chooses {
                life.engine.forget_shelf();
            }
            life.engine.settle(now).await.map(|_| ())
        };
        if self.weather != Weather::Calm {
            self.faults.arm(SETTLING);
            self.attempt(settle)?;
            self.faults.arm(0);
        }
        // What was under way when the process died is done too.
        self.attempt(settle)
    }

    /// Time passes, with everything done when it is due.
    ///
    /// # Errors
    /// As [`World::attempt`].
    pub fn until(&mut self, instant: Timestamp) -> Told<()> {
        for _ in 0..3_000 {
            let now = self.now;
            let due = self.look(async |life: &mut Life| life.engine.next_due(now).await)?;
            match due.filter(|due| *due <= instant) {
                Some(due) => {
                    self.now = self.now.max(due);
                    self.settle()?;
                }
                None => {
                    self.now = self.now.max(instant);
                    return self.settle();
                }
            }
        }
        Err(format!("something is due at {} again and again", self.now))
    }

    /// In a storm the clock is set now and then, forward or back.
    pub fn jump(&mut self) {
        self.latest = self.latest.max(self.now);
        if self.weather != Weather::Storm || self.dice.below(12) != 0 {
            return;
        }
        let by = self.dice.below(100_000).cast_signed() * Timestamp::SECOND;
        let back = self.dice.below(2) == 0;
        self.now = self.now.plus(if back { -by / 8 } else { by });
        self.latest = self.latest.max(self.now);
        self.tell(format!("the clock is set {}", if back { "back" } else { "forward" }));
    }

    /// Puts the shop's base there.
    ///
    /// # Errors
    /// As [`World::attempt`].
    pub fn begin(&mut self, story: &Story) -> Told<()> {
        let files = story.folders.iter().flatten();
        self.chooses = files.clone().any(|folder| folder.journey.text.contains("get_products"));
        self.sending = story.sending.clone();
        let sending = self.sending.setting();
        let base = story.base(self.seed);
        let mut past = ImportBatch::new(story.start.plus(-1));
        fill(&mut past, &story.past);
        self.look(async |life: &mut Life| {
            life.db.import(base.clone()).await?;
            life.db.import(past.clone()).await?;
            if let Some(sending) = &sending {
                life.db.save_setting(policy::SETTING.to_owned(), sending.clone()).await?;
            }
            if let Some(model) = rfm::RfmModel::built_in("classic-11") {
                engine::rfm::score(&life.db, &model, base.now, false).await?;
            }
            for (slug, terms, codes) in COUPONS {
                let text = format!("format: 1\ncoupons: {slug}\n{terms}\n");
                let set = CouponSet::parse(&text, None, &Zone::UTC)
                    .map_err(|problems| StoreError::Driver(format!("{problems:?}")))?;
                let slug = Slug::parse(slug)?;
                let new = NewDefinition {
                    kind: DefinitionKind::CouponSet,
                    slug: slug.clone(),
                    content: set.to_json(),
                };
                life.db.save_definitions(vec![new], base.now).await?;
                let codes = (0..*codes).map(|n| format!("{slug}-{n}")).collect();
                life.db.add_codes(slug, codes, base.now).await?;
            }
            Ok(())
        })?;
        for folders in &story.folders {
            self.publish(&folders[0], false)?;
        }
        Ok(())
    }

    fn publish(&mut self, folder: &Folder, moves: bool) -> Told<()> {
        let by = By::new("sim", self.now);
        let options = PublishOptions { moves, seed: self.seed, ..PublishOptions::default() };
        self.faults.arm(self.one_in(30));
        self.attempt(async |life: &mut Life| {
            let workspace = Workspace::load(&life.db).await?;
            let rules = rules::compile(folder, &workspace).map_err(|problems| {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                StoreError::Driver(format!("{}\n{}", problems.join("\n"), folder.journey.text))
            })?;
            lives::publish(&life.db, &rules, &options, &by, &Silent).await.map(|_| ())
        })?;
        self.settle()
    }

    /// One step of the story.
    ///
    /// # Errors
    /// As [`World::attempt`].
    pub fn act(&mut self, act: &Act, story: &Story) -> Told<()> {
        self.tell(match act {
            Act::Publish(journey, moves) => format!("publish j{journey}, moves: {moves}"),
            other => format!("{other:?}"),
        });
        let slug = |journey: &usize| Slug::parse(&format!("j{journey}")).map_err(|p| p.to_string());
        let by = By::new("sim", self.now);
        match act {
            Act::Happen(items) => self.happen(items)?,
            Act::Deliver => self.deliver()?,
            Act::Interact(place, clicks) => self.interact(*place, *clicks)?,
            Act::Restart => self.die(),
            Act::Pause(journey) => {
                let slug = slug(journey)?;
                self.life_of(async |life: &mut Life| lives::pause(&life.db, &slug, &by).await.map(|_| ()))?;
            }
            Act::Resume(journey) => {
                let slug = slug(journey)?;
                self.life_of(async |life: &mut Life| lives::resume(&life.db, &slug, &by).await.map(|_| ()))?;
            }
            Act::Stop(journey) => {
                let slug = slug(journey)?;
                self.life_of(async |life: &mut Life| lives::stop(&life.db, &slug, &by).await.map(|_| ()))?;
            }
            Act::Publish(journey, moves) => self.publish(&story.folders[*journey][1], *moves)?,
            Act::Enter(journey, who) => {
                let slug = slug(journey)?;
                self.asked += 1;
                let id = format!("ask-{}", self.asked);
                self.life_of(async |life: &mut Life| {
                    let key = vec![(IdentifierKind::ExternalId, who.clone())];
                    let Some(contact) = life.db.resolve(key).await?[0] else { return Ok(()) };
                    lives::enter(&life.db, &slug, &[contact], Default::default(), Some(&id), &by).await
                })?;
            }
            Act::Pass => {}
        }
        self.settle()
    }

    /// A change of a journey's life; that it is not allowed now is an answer.
    #[expect(clippy::needless_pass_by_value, reason = "it is written where it is called")]
    fn life_of(&mut self, op: impl AsyncFn(&mut Life) -> storage::Result<()>) -> Told<()> {
        self.faults.arm(self.one_in(DOING));
        self.attempt(async |life: &mut Life| match op(life).await {
            Err(StoreError::Refused(_)) => Ok(()),
            other => other,
        })
    }

    fn happen(&mut self, items: &[story::Told]) -> Told<()> {
        let mut items = items.to_vec();
        if self.weather == Weather::Storm {
            // Some of it is told later, and some comes now that was to be told before.
            let (late, mut now): (Vec<_>, Vec<_>) = items.into_iter().partition(|_| self.dice.below(6) == 0);
            let (more, still) =
                std::mem::take(&mut self.late).into_iter().partition(|_| self.dice.below(2) == 0);
            self.late = still;
            self.late.extend(late);
            now.extend::<Vec<_>>(more);
            items = now;
            if self.dice.below(2) == 0 {
                self.dice.shuffle(&mut items);
            }
        }
        self.import(&items)
    }

    /// What was not told yet is told now.
    ///
    /// # Errors
    /// As [`World::attempt`].
    pub fn catch_up(&mut self) -> Told<()> {
        let late = std::mem::take(&mut self.late);
        self.import(&late)?;
        self.settle()
    }

    fn import(&mut self, items: &[story::Told]) -> Told<()> {
        let mut batch = ImportBatch::new(self.now);
        batch.live = true;
        fill(&mut batch, items);
        let times = if self.weather != Weather::Calm && self.dice.below(3) == 0 { 2 } else { 1 };
        for _ in 0..times {
            self.faults.arm(self.one_in(DOING));
            let outcome = self.attempt(async |life: &mut Life| life.db.import(batch.clone()).await)?;
            let refused: BTreeSet<usize> = outcome
                .refusals
                .iter()
                .filter(|refusal| refusal.kind == storage::imports::ItemKind::Event)
                .map(|refusal| refusal.index)
                .collect();
            let events = batch.events.iter().enumerate().filter(|(place, _)| !refused.contains(place));
            self.accepted.extend(events.filter_map(|(_, event)| event.message_id.clone()));
        }
        Ok(())
    }

    fn interact(&mut self, place: u64, clicks: bool) -> Told<()> {
        let now = self.now;
        self.faults.arm(self.one_in(DOING));
        self.attempt(async |life: &mut Life| {
            let rows = life.db.list_messages(MessageFilter::default(), 0, 10_000).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let row = &rows[place as usize % rows.len()];
            let (kind, link) = if clicks { ("Email Link Clicked", "shop") } else { ("Email Opened", "") };
            let mut properties = serde_json::Map::new();
            if clicks {
                properties.insert("link".into(), link.into());
                properties.insert("url".into(), "https://shop.example/".into());
            }
            life.db.record_interaction(row.message.id, kind.into(), now, properties).await.map(|_| ())
        })
    }

    fn delivery(&self) -> Delivery {
        Delivery {
            sender: Arc::clone(&self.sender),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            machine: Arc::clone(&self.machine) as Arc<dyn Clock>,
            rate: None,
            per_domain: None,
            retries: Retries { tries: 3, seed: self.seed, ..Retries::default() },
            shaper: Arc::default(),
            stop: Arc::default(),
        }
    }

    /// The contacts, as of now.
    fn contacts(&mut self) -> Told<BTreeMap<ContactId, Contact>> {
        self.look(async |life: &mut Life| {
            let contacts = life.db.scan_contacts(ContactId(0), 10_000).await?;
            Ok(contacts.into_iter().map(|contact| (contact.id, contact)).collect())
        })
    }

    /// Delivers what is due; in a storm workers die, lose their leases and meet each other.
    ///
    /// # Errors
    /// As [`World::attempt`]; a message that was handed over against a consent, a cap or in quiet hours.
    pub fn deliver(&mut self) -> Told<()> {
        self.deliver_in(self.weather == Weather::Storm)
    }

    fn deliver_in(&mut self, storm: bool) -> Told<()> {
        let contacts = self.contacts()?;
        let from = self.post.mark();
        self.clock.set(self.now);
        self.faults.arm(if storm { 12 } else { 0 });
        let (post, delivery) = (self.post.clone(), self.delivery());
        let two = storm && self.dice.below(3) == 0;
        let machine = Arc::clone(&self.machine);
        let jump = if self.dice.below(2) == 0 { 16 * Timestamp::MINUTE } else { Timestamp::MINUTE };
        self.attempt(async |life: &mut Life| {
            // Who comes after a dead worker may come before or after the end of its lease.
            machine.set(machine.now().plus(jump));
            let way = || Arc::new(Way { post: post.clone(), lanes: if storm { 2 } else { 1 } });
            if two {
                let (one, other) = (way(), way());
                let mut late = delivery.clone();
                let hand = Hand::default();
                hand.set(machine.now().plus(20 * Timestamp::MINUTE));
                late.machine = Arc::new(hand);
                let first = worker::run(&life.db, &one, &delivery, |_| ());
                let second = worker::run(&life.db, &other, &late, |_| ());
                let (first, second) = tokio::join!(first, second);
                first.and(second)
            } else {
                worker::run(&life.db, &way(), &delivery, |_| ()).await
            }
        })?;
        self.faults.arm(0);
        let handed = self.post.handed();
        for handed in handed.iter().filter(|handed| handed.order > from) {
            let contact = contacts.get(&handed.contact);
            let state = contact.map(|contact| contact.consent(handed.purpose.as_str()));
            if !handed.transactional && state != Some(ConsentState::Subscribed) {
                return Err(format!("handed over against consent ({state:?}): {handed:?}"));
            }
            self.sending.check_hour(handed, contact.and_then(|contact| contact.time_zone.as_deref()))?;
        }
        // When a clock is set back, what is to come and what was lie in one window.
        if self.weather != Weather::Storm {
            self.sending.check_cap(&handed)?;
        }
        Ok(())
    }

    /// At the end everything is delivered that can be: leases are over, what was put off is tried again.
    ///
    /// # Errors
    /// As [`World::attempt`].
    pub fn drain(&mut self, story: &Story) -> Told<()> {
        let journeys = story.folders.len();
        // What goes round or recurs writes for ever: it is stopped, so that what was written can end.
        let enough = self.now.plus(3 * Timestamp::DAY);
        let mut stopped = false;
        for _ in 0..500 {
            if self.now > enough && !std::mem::replace(&mut stopped, true) {
                for journey in 0..journeys {
                    self.act(&Act::Stop(journey), story)?;
                }
            }
            self.machine.set(self.machine.now().plus(Timestamp::HOUR));
            self.deliver_in(false)?;
            self.settle()?;
            let next = self.look(async |life: &mut Life| life.db.next_due().await)?;
            let Some((due, _)) = next else { return Ok(()) };
            self.until(due.max(self.now.plus(1)))?;
        }
        Err("messages wait for ever".into())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.die();
        storage::fault::hook(None);
    }
}

async fn dead(faults: &Faults) {
    while !faults.has_crashed() {
        faults.told.notified().await;
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".into())
}
