//! The loop: what is due is worked on in order of urgency, until nothing is; then it sleeps until the next alarm or a
//! knock. Nothing polls.
//!
//! Order: inputs (in the order of their arrival), memberships that time changed, alarms, then one piece of what is for
//! many: a wave, a nightly job. After each piece the inputs come first again, so that a job over a million contacts never
//! delays what one contact waits for. Alarms ring only when the inputs that came before them are worked on: who bought a
//! moment ago is not reminded of the cart.

use std::{ops::AddAssign, sync::Arc, time::Duration};

use journey::FrozenProducts;
use model::{Clock, ContactId, Event, Timestamp};
use storage::{
    Result, Storage,
    coupons::LowStock,
    live::{Done, Input, Wave},
};
use tokio::sync::Notify;

use super::{
    Book, Ground, Shelf,
    coupons::Coupons,
    lives, mended,
    nightly::Jobs,
    products, schedules,
    step::{self, Stepped, Work},
    timers,
    trials::Trials,
    watch::{Seen, Watch},
};
use crate::{catalogue, segments};

/// Inputs that are worked on at once, when so many wait: their transaction takes some tens of milliseconds, and what they
/// touch together is written once.
pub const INPUTS: usize = 2_000;
/// Alarms and flips that are worked on at once.
pub const ALARMS: usize = 1_000;
/// Contacts of a wave that are worked on at once.
pub const WAVE: usize = 1_000;
/// How long the catalogue's snapshot is used before it is loaded again, in microseconds.
pub const SHELF_MAX: i64 = 10 * Timestamp::MINUTE;
/// The longest sleep: a clock that was set is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// What was worked on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worked {
    /// Inputs.
    pub inputs: u64,
    /// Alarms that rang.
    pub alarms: u64,
    /// Contacts of waves.
    pub waves: u64,
    /// Memberships that time changed.
    pub flips: u64,
    /// Jobs: a nightly scoring, a schedule's start, a catalogue that was loaded.
    pub jobs: u64,
    /// Steps taken by contacts.
    pub steps: u64,
    /// Messages decided.
    pub messages: u64,
    /// Inputs dropped because too many caused each other.
    pub dropped: u64,
    /// Coupon sets that ran low: [`Engine::take_low_stock`] names them.
    pub low_stock: u64,
}

impl Worked {
    /// Whether anything was done.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    fn took(&mut self, stepped: Option<Stepped>) {
        let stepped = stepped.unwrap_or_default();
        self.steps += stepped.steps;
        self.messages += stepped.messages;
        self.dropped += stepped.dropped;
    }
}

impl AddAssign for Worked {
    fn add_assign(&mut self, other: Self) {
        self.inputs += other.inputs;
        self.alarms += other.alarms;
        self.waves += other.waves;
        self.flips += other.flips;
        self.jobs += other.jobs;
        self.steps += other.steps;
        self.messages += other.messages;
        self.dropped += other.dropped;
        self.low_stock += other.low_stock;
    }
}

/// The living engine over one base. One process owns a base's engine.
pub struct Engine<S> {
    store: S,
    ground: Ground,
    watch: Watch,
    pool: Arc<Coupons>,
    jobs: Jobs,
    trials: Trials,
    low_stock: Vec<LowStock>,
    rules_version: u64,
    /// When the catalogue was loaded; none: it is to be loaded again.
    shelf_at: Option<Timestamp>,
    knock: Arc<Notify>,
}

impl<S: Storage> Engine<S> {
    /// Loads what batches share. Nothing is worked on yet.
    ///
    /// # Errors
    /// What storage says; a stored segment or setting that cannot be read.
    pub async fn open(store: S, now: Timestamp) -> Result<Self> {
        let rules_version = super::book::rules_version(&store).await?;
        let ground = ground(&store, now).await?;
        let watch = Watch::load(&store, &ground.workspace).await?;
        let knock = Arc::new(Notify::new());
        let jobs = Jobs::load(&store, &watch, now, Arc::clone(&knock)).await?;
        let trials = Trials::of(&ground.book);
        let engine = Self {
            store,
            ground,
            watch,
            pool: Coupons::new(),
            jobs,
            trials,
            low_stock: Vec::new(),
            rules_version,
            shelf_at: Some(now),
            knock,
        };
        timers::renew(&engine.store, &engine.ground.book, now).await?;
        mended::look(&engine.store, &engine.ground.book, now).await?;
        Ok(engine)
    }

    /// Wakes the loop: something was committed that it should look at.
    #[must_use]
    pub fn knocker(&self) -> Arc<Notify> {
        Arc::clone(&self.knock)
    }

    /// Has the next turn load the catalogue again, however short a time ago it was loaded: after a change of products that
    /// must be seen at once.
    pub const fn forget_shelf(&mut self) {
        self.shelf_at = None;
    }

    /// The coupon sets that ran low since this was asked last, each once until codes are added.
    pub fn take_low_stock(&mut self) -> Vec<LowStock> {
        std::mem::take(&mut self.low_stock)
    }

    /// The rules in force.
    #[must_use]
    pub const fn ground(&self) -> &Ground {
        &self.ground
    }

    /// When something is due next, if nothing else happens: now, when inputs wait.
    ///
    /// # Errors
    /// What storage says.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        if !self.store.take_inputs(i64::MAX, 1).await?.is_empty() || self.next_wave().await?.is_some() {
            return Ok(Some(now));
        }
        let alarm = self.store.next_alarm().await?;
        let start = schedules::next_start(&self.ground.book);
        let look = self.trials.next_due(now);
        Ok(alarm.into_iter().chain(start).chain(look).chain(self.jobs.next_due(now)).min())
    }

    /// Works until nothing is due at `now`, work in the background included: for tests, simulations and one-off runs.
    ///
    /// # Errors
    /// What storage says; what was committed before stays.
    pub async fn settle(&mut self, now: Timestamp) -> Result<Worked> {
        let mut all = Worked::default();
        loop {
            let worked = self.turn(now, true).await?;
            if !worked.any() {
                return Ok(all);
            }
            all += worked;
        }
    }

    /// Works until `stop` is told, sleeping while nothing is due.
    ///
    /// # Errors
    /// What storage says; what was committed before stays.
    pub async fn run(
        &mut self,
        clock: &dyn Clock,
        stop: &Notify,
        told: &(dyn Fn(Worked) + Send + Sync),
    ) -> Result<()> {
        loop {
            let now = clock.now();
            let worked = self.turn(now, false).await?;
            if worked.any() {
                told(worked);
                // Who is never idle stops all the same.
                tokio::select! {
                    biased;
                    () = stop.notified() => return Ok(()),
                    () = std::future::ready(()) => continue,
                }
            }
            let sleep = match self.next_due(now).await? {
                None => SLEEP_MAX,
                Some(due) => {
                    Duration::from_micros(due.since(clock.now()).max(0).unsigned_abs()).min(SLEEP_MAX)
                }
            };
            tokio::select! {
                () = stop.notified() => return Ok(()),
                () = self.knock.notified() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// One turn: everything urgent that is due at `now`, then one piece of what is for many; `wait` for what runs in the
    /// background.
    ///
    /// # Errors
    /// What storage says.
    pub async fn turn(&mut self, now: Timestamp, wait: bool) -> Result<Worked> {
        let (mut worked, low) = (Worked::default(), self.low_stock.len());
        self.refresh(now, &mut worked).await?;
        if schedules::next_start(&self.ground.book).is_some_and(|at| at <= now) {
            self.tick(now, &mut worked).await?;
        }
        self.inputs(now, &mut worked).await?;
        self.flips(now, &mut worked).await?;
        self.alarms(now, &mut worked).await?;
        if !worked.any() {
            self.wave(now, &mut worked).await?;
        }
        if !worked.any() {
            self.tick(now, &mut worked).await?;
        }
        if !worked.any() && self.jobs.turn(&self.store, &mut self.watch, &self.ground, now, wait).await? {
            worked.jobs += 1;
        }
        worked.low_stock += (self.low_stock.len() - low) as u64;
        Ok(worked)
    }

    /// Loads the rules again when somebody changed them, and the catalogue now and then.
    async fn refresh(&mut self, now: Timestamp, worked: &mut Worked) -> Result<()> {
        let version = super::book::rules_version(&self.store).await?;
        if version != self.rules_version {
            self.ground = ground(&self.store, now).await?;
            self.watch = Watch::load(&self.store, &self.ground.workspace).await?;
            self.jobs.reset(&self.watch);
            self.trials.reset(&self.ground.book);
            timers::renew(&self.store, &self.ground.book, now).await?;
            mended::look(&self.store, &self.ground.book, now).await?;
            self.rules_version = version;
            self.shelf_at = Some(now);
            worked.jobs += 1;
        } else if self.shelf_at.is_none_or(|at| now.since(at).abs() >= SHELF_MAX) {
            self.ground.shelf = Arc::new(shelf(&self.store, &self.ground.book, now).await?);
            self.watch.reload_catalogue(&self.store).await?;
            self.shelf_at = Some(now);
        }
        Ok(())
    }

    /// The inputs that are there now; those that they cause come with the next turn.
    async fn inputs(&mut self, now: Timestamp, worked: &mut Worked) -> Result<()> {
        let until = self.store.last_input().await?;
        loop {
            let inputs = self.store.take_inputs(until, INPUTS).await?;
            let taken = inputs.len();
            if taken == 0 {
                return Ok(());
            }
            let seen = self.watch.see(&self.store, &self.ground, &inputs, now).await?;
            let products = products::concerned(&self.store, &self.ground, &inputs, now).await?;
            let done = Done::Inputs(inputs.iter().map(|input| input.no).collect());
            let happened = inputs.into_iter().map(|Input { event, causes, .. }| (event, causes)).collect();
            let work = Work { happened, waves: products.waves, settings: products.told, ..Work::default() };
            let stepped = self.step(&work, seen, done, now).await?;
            worked.took(stepped);
            worked.inputs += taken as u64;
            if taken < INPUTS {
                return Ok(());
            }
        }
    }

    async fn flips(&mut self, now: Timestamp, worked: &mut Worked) -> Result<()> {
        let due = self.store.load_due_flips(now, ALARMS).await?;
        if due.is_empty() {
            return Ok(());
        }
        worked.flips += due.len() as u64;
        let seen = self.watch.flip(&self.store, &self.ground, &due, now).await?;
        worked.took(self.step(&Work::default(), seen, Done::Alarms, now).await?);
        Ok(())
    }

    async fn alarms(&mut self, now: Timestamp, worked: &mut Worked) -> Result<()> {
        let rang = self.store.due_alarms(now, ALARMS).await?;
        if rang.is_empty() {
            return Ok(());
        }
        worked.alarms += rang.len() as u64;
        let work = Work { rang, ..Work::default() };
        worked.took(self.step(&work, Seen::default(), Done::Alarms, now).await?);
        Ok(())
    }

    /// Begins, ends and finishes journeys by themselves.
    async fn tick(&mut self, now: Timestamp, worked: &mut Worked) -> Result<()> {
        let ticked = lives::tick(&self.store, &self.ground.book, now).await?;
        let decided = self.trials.tick(&self.store, &self.ground.book, now).await?;
        if ticked.changed() || decided {
            worked.jobs += 1;
            self.refresh(now, worked).await?;
        }
        Ok(())
    }

    /// The first wave whose journey is not paused.
    async fn next_wave(&self) -> Result<Option<Wave>> {
        let waves = self.store.load_waves().await?;
        Ok(waves.into_iter().find(|wave| !lives::is_held(wave, &self.ground.book)))
    }

    /// The next contacts of the first wave.
    async fn wave(&mut self, now: Timestamp, worked: &mut Worked) -> Result<()> {
        let Some(wave) = self.next_wave().await? else { return Ok(()) };
        let Wave { no, event, causes, contacts, checkpoint } = wave;
        let done = usize::try_from(contacts.rank(checkpoint.0.unsigned_abs())).unwrap_or(usize::MAX);
        let chunk: Vec<ContactId> =
            contacts.iter().skip(done).take(WAVE).map(|id| ContactId(id.cast_signed())).collect();
        let to = chunk.last().copied().unwrap_or(ContactId(i64::MAX));
        // Who has left the segment again since the wave began has not entered it.
        let meant = chunk.iter().filter(|contact| self.watch.still_stands(&event, **contact));
        let happened = meant.map(|contact| (Event { contact: *contact, ..event.clone() }, causes)).collect();
        let done = Done::Wave { no, from: checkpoint, to };
        let work = Work { happened, ..Work::default() };
        worked.took(self.step(&work, Seen::default(), done, now).await?);
        worked.waves += chunk.len().max(1) as u64;
        Ok(())
    }

    async fn step(&mut self, work: &Work, seen: Seen, done: Done, now: Timestamp) -> Result<Option<Stepped>> {
        let stepped =
            step::step(&self.store, &self.ground, &self.watch, &self.pool, work, &seen, done, now).await;
        if let Ok(Some(stepped)) = &stepped {
            self.trials.touched(&stepped.trials);
            self.watch.committed(&seen);
            self.low_stock.extend(self.pool.warnings(&self.store).await?);
        }
        stepped
    }
}

/// Loads what batches share.
///
/// # Errors
/// What storage says; a stored segment or setting that cannot be read.
pub async fn ground<S: Storage>(store: &S, now: Timestamp) -> Result<Ground> {
    let book = Arc::new(Book::load_at(store, now).await?);
    let workspace = Arc::new(segments::Workspace::load(store).await?);
    let defaults = workspace
        .schema
        .fields
        .values()
        .filter_map(|field| Some((field.slug.to_string(), field.default.clone()?)))
        .collect();
    let sending = sending(store).await?;
    let shelf = Arc::new(shelf(store, &book, now).await?);
    let zone = workspace.zone.clone();
    Ok(Ground { book, workspace, shelf, defaults: Arc::new(defaults), sending: Arc::new(sending), zone })
}

/// The sending rules of the workspace; none when nobody set any.
///
/// # Errors
/// What storage says; a setting that cannot be read.
pub async fn sending<S: Storage>(store: &S) -> Result<policy::SendingRules> {
    let sending = store.load_setting(policy::SETTING.to_owned()).await?.map(|json| json.to_string());
    let purposes =
        store.load_setting(policy::PURPOSES_SETTING.to_owned()).await?.map(|json| json.to_string());
    policy::SendingRules::of(sending.as_deref(), purposes.as_deref()).map_err(segments::first)
}

/// The catalogue, as far back as the journeys at work look.
pub(crate) async fn shelf<S: Storage>(store: &S, book: &Book, now: Timestamp) -> Result<Shelf> {
    let longest = |period: &model::Period| {
        period.micros.saturating_add(i64::from(period.months).saturating_mul(31 * Timestamp::DAY))
    };
    let periods = book.journeys.iter().map(|live| live.rules.journey.figures_period());
    let catalogue = catalogue::load(store, now, periods.max_by_key(longest).unwrap_or_default()).await?;
    let currency = match store.load_setting(storage::settings::key::CURRENCY.to_owned()).await? {
        Some(serde_json::Value::String(code)) => model::Currency::parse(&code)?,
        _ => model::Currency::EUR,
    };
    Ok(Shelf { frozen: FrozenProducts::new(&catalogue, currency), catalogue: Arc::new(catalogue) })
}
