//! The life of a published journey: publish, pause, resume, stop, and what each brings with it.
//!
//! ```text
//!             ┌──────────── resume ────────────┐
//!             ▼                                │
//! Scheduled ─▶ Active ──────────── pause ──▶ Paused ◀── pause ──┐
//!     │        │   │ window over, newer version                 │
//!     │        │   └──────────────────────▶ Closing ────────────┘
//!     │        └─────────┐                     │ nobody inside, every message final
//!     └──── stop ────▶ Stopping ──▶ Stopped    └──▶ Finished
//! ```
//!
//! Every change is committed with what it causes under the fence that the life stands as it was read
//! ([`storage::lives`]), with who and when in its [`Memo`].

mod memo;
mod publish;
mod tick;

use model::{ContactId, Event, Problem, Slug, Timestamp, event::kind};
use roaring::RoaringTreemap;
use serde_json::{Map, Value as Json, json};
use storage::{
    Result, Storage, StoreError,
    live::{Life, LifeRecord, NewInput, NewWave, Wave},
    lives::{HeldTrigger, LifeChange, LifeCommit},
    outbox::{MessageFilter, MessageState},
};

pub use memo::{Decided, Happened, Memo};
pub use publish::{Publication, PublishOptions, publish};
pub use tick::{Ticked, start, tick};

use super::book::{Book, BrokenJourney};
use crate::rules::{self, Rules, Versions};

/// Who did something, and when.
#[derive(Clone, Debug)]
pub struct By {
    /// Who: the name of a user, a key, a command.
    pub who: String,
    /// When.
    pub at: Timestamp,
}

impl By {
    /// Somebody, now.
    #[must_use]
    pub fn new(who: &str, at: Timestamp) -> Self {
        Self { who: who.to_owned(), at }
    }

    /// The engine itself.
    #[must_use]
    pub fn engine(at: Timestamp) -> Self {
        Self::new("relance", at)
    }
}

/// Contacts that are read at once when those inside are gathered.
const PAGE: usize = 10_000;
/// Messages that are cancelled in one transaction.
const CANCEL_BATCH: usize = 5_000;
/// Most characters of the id by which somebody asks a journey to let contacts in.
pub const ENTRY_ID_LEN_MAX: usize = 200;
/// How often a change is tried again because somebody else changed the same life.
const TRIES: usize = 5;

/// Whether a life may become another. What is not here is refused with `refuse`.
#[must_use]
pub const fn may_become(from: Life, to: Life) -> bool {
    use Life::{Active, Closing, Finished, Paused, Scheduled, Stopped, Stopping};
    matches!(
        (from, to),
        (Scheduled, Active | Stopped)
            | (Active, Paused | Closing | Stopping | Finished)
            | (Paused, Active | Closing | Stopping)
            | (Closing, Paused | Stopping | Finished)
            | (Stopping, Stopped)
            // A failed message that is tried again opens a journey that was over.
            | (Finished, Closing)
    )
}

/// What was asked of a journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Pause,
    Resume,
    Stop,
}

impl Asked {
    const fn word(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Stop => "stopped",
        }
    }
}

/// What a change of lives came to.
#[derive(Clone, Debug, Default)]
pub struct Changed {
    /// The lives that changed, as they are now.
    pub lives: Vec<LifeRecord>,
    /// Contacts inside that the engine will look at: those let go on, or taken out.
    pub contacts: u64,
    /// Held triggers that start the journey now, or that were dropped with it.
    pub held: u64,
    /// Messages that were to go out and will not.
    pub cancelled: u64,
}

/// Pauses all versions of a journey: nobody enters, nobody goes into a node that sends; waits keep counting; what would
/// have started it is held, up to [`storage::lives::PAUSED_QUEUE_MAX`].
///
/// # Errors
/// `journey.not_published`, `journey.life` when it is not active; what the database says.
pub async fn pause<S: Storage>(store: &S, journey: &Slug, by: &By) -> Result<Changed> {
    change(store, journey, by, Asked::Pause).await
}

/// Lets a paused journey go on: those held before a message go into it now, held triggers start it.
///
/// # Errors
/// `journey.not_published`, `journey.life` when it is not paused; what the database says.
pub async fn resume<S: Storage>(store: &S, journey: &Slug, by: &By) -> Result<Changed> {
    change(store, journey, by, Asked::Resume).await
}

/// Stops all versions of a journey: nobody enters; those inside leave as *stopped*, in batches of the engine; the rest of
/// a broadcast's audience does not enter; its messages that wait in the outbox are not handed over.
///
/// # Errors
/// `journey.not_published`, `journey.life` when it is over; what the database says.
pub async fn stop<S: Storage>(store: &S, journey: &Slug, by: &By) -> Result<Changed> {
    let mut changed = change(store, journey, by, Asked::Stop).await?;
    for life in &changed.lives {
        changed.cancelled += cancel_messages(store, life.run, by.at).await?;
    }
    Ok(changed)
}

/// Cancels what waits in the outbox, in batches.
pub(super) async fn cancel_messages<S: Storage>(store: &S, run: i64, at: Timestamp) -> Result<u64> {
    let mut cancelled = 0;
    loop {
        let batch = store.cancel_messages(run, at, CANCEL_BATCH).await?;
        cancelled += batch;
        if batch < CANCEL_BATCH as u64 {
            return Ok(cancelled);
        }
    }
}

async fn change<S: Storage>(store: &S, journey: &Slug, by: &By, asked: Asked) -> Result<Changed> {
    for _ in 0..TRIES {
        let lives = of_journey(store, journey).await?;
        let mut commit = LifeCommit::default();
        let mut contacts = RoaringTreemap::new();
        for before in &lives {
            let Some(to) = wanted(before, asked) else { continue };
            let after = memo::become_(before, to, by);
            if matches!(asked, Asked::Resume | Asked::Stop) {
                contacts |= inside(store, before.run).await?;
            }
            commit.changes.push(LifeChange { before: before.clone(), after });
        }
        if commit.changes.is_empty() {
            return Err(refuse(journey, &lives, asked).into());
        }
        let held = store.count_held(journey.clone()).await?.held;
        match asked {
            Asked::Pause => {}
            Asked::Resume => {
                commit.release.push(journey.clone());
                // Carts and dates whose time came meanwhile are looked at again.
                commit.waves.extend(timers_wave(store, journey, &commit.changes, by.at).await?);
            }
            Asked::Stop => commit.forget.push(journey.clone()),
        }
        let n = contacts.len();
        commit.waves.extend(look_at(contacts, by.at));
        let after = commit.changes.iter().map(|change| change.after.clone()).collect();
        if store.change_lives(commit).await? {
            let held = if asked == Asked::Pause { 0 } else { held };
            return Ok(Changed { lives: after, contacts: n, held, cancelled: 0 });
        }
    }
    Err(busy(journey).into())
}

/// What a life becomes when something is asked of it; none when it is not concerned.
fn wanted(record: &LifeRecord, asked: Asked) -> Option<Life> {
    let to = match (asked, record.life) {
        (Asked::Pause, Life::Active | Life::Closing) => Life::Paused,
        (Asked::Resume, Life::Paused) => Memo::of(record).resumes_to(),
        (Asked::Stop, Life::Scheduled) => Life::Stopped,
        (Asked::Stop, Life::Active | Life::Paused | Life::Closing) => Life::Stopping,
        _ => return None,
    };
    may_become(record.life, to).then_some(to)
}

fn refuse(journey: &Slug, lives: &[LifeRecord], asked: Asked) -> Problem {
    let Some(last) = lives.last() else { return not_published(journey) };
    let word = last.life.word();
    let problem = Problem::new(
        "journey.life",
        format!("`{journey}` cannot be {}: version {} is {word}", asked.word(), last.version),
    )
    .value(journey);
    let state = || format!("relance journey status {journey}");
    match (asked, last.life) {
        (Asked::Pause, Life::Paused) => problem.cure(format!("go on with: relance journey resume {journey}")),
        (Asked::Pause, Life::Scheduled) => {
            problem.cure(format!("nobody is inside yet; to take it back: relance journey stop {journey}"))
        }
        (Asked::Resume, Life::Active | Life::Closing) => problem.cure(format!("it goes on; see {}", state())),
        (_, Life::Finished | Life::Stopped | Life::Stopping) => {
            problem.cure("what is over stays over; begin again with: relance journey publish DIR")
        }
        _ => problem.cure(format!("see {}", state())),
    }
}

fn not_published(journey: &Slug) -> Problem {
    Problem::new("journey.not_published", format!("the journey `{journey}` is not published here"))
        .value(journey)
        .cure("publish it: relance journey publish DIR; see what is: relance journey list")
}

fn busy(journey: &Slug) -> Problem {
    Problem::new("journey.busy", format!("somebody else keeps changing `{journey}`"))
        .value(journey)
        .cure("try again")
}

/// The lives of a journey, the first first.
///
/// # Errors
/// What the database says.
pub async fn of_journey<S: Storage>(store: &S, journey: &Slug) -> Result<Vec<LifeRecord>> {
    let mut lives = store.load_lives(true).await?;
    lives.retain(|record| record.journey == *journey);
    lives.sort_unstable_by_key(|record| record.run);
    Ok(lives)
}

/// Who is inside a run.
pub(super) async fn inside<S: Storage>(store: &S, run: i64) -> Result<RoaringTreemap> {
    let mut all = RoaringTreemap::new();
    let mut after = ContactId(0);
    loop {
        let page = store.scan_inside(run, after, PAGE).await?;
        all.extend(page.iter().map(|id| id.0.unsigned_abs()));
        match page.last() {
            Some(last) if page.len() == PAGE => after = *last,
            _ => return Ok(all),
        }
    }
}

fn wave(
    kind: &str,
    contacts: RoaringTreemap,
    at: Timestamp,
    properties: Map<String, Json>,
) -> Option<NewWave> {
    if contacts.is_empty() {
        return None;
    }
    let event = Event {
        contact: ContactId(0),
        at,
        received_at: at,
        kind: kind.to_owned(),
        message_id: None,
        properties,
    };
    Some(NewWave { event, causes: 0, contacts })
}

/// Has the engine look at contacts again: after a pause, a stop, a move.
pub(super) fn look_at(contacts: RoaringTreemap, at: Timestamp) -> Option<NewWave> {
    wave(super::RESUMED, contacts, at, Map::new())
}

/// Kind of the event by which the audience of a journey without triggers enters; property `run`. Nobody outside of the
/// engine sees it.
pub const AUDIENCE: &str = "relance: audience";
/// Kind of the event by which a trigger that a pause held starts its journey; properties `journey`, `event`. Nobody outside
/// of the engine sees it.
pub const HELD: &str = "relance: held";

fn audience_wave(contacts: RoaringTreemap, run: Json, at: Timestamp) -> Option<NewWave> {
    wave(AUDIENCE, contacts, at, Map::from_iter([("run".to_owned(), run)]))
}

/// The version of a journey that a wave lets contacts into; none for waves of other kinds.
#[must_use]
pub fn run_of(wave: &Wave, book: &Book) -> Option<i64> {
    let property = |name: &str| wave.event.properties.get(name);
    match wave.event.kind.as_str() {
        AUDIENCE => property("run")?.as_i64(),
        kind::SCHEDULED => {
            let journey = property("journey")?.as_str()?;
            let newest = book.journeys.iter().rfind(|live| {
                live.record.journey.as_str() == journey
                    && matches!(live.record.life, Life::Active | Life::Paused)
            });
            newest.map(|live| live.record.run)
        }
        _ => None,
    }
}

/// Whether a wave waits because its journey is paused: it goes on, where it stands, when the journey does.
#[must_use]
pub fn is_held(wave: &Wave, book: &Book) -> bool {
    let live = run_of(wave, book).and_then(|run| book.of_run(run));
    live.is_some_and(|live| live.record.life == Life::Paused)
}

/// What is held of an event that would start a paused journey.
#[must_use]
pub fn hold(journey: &Slug, event: &Event, causes: u8) -> HeldTrigger {
    let whole = serde_json::to_value(event).unwrap_or_default();
    let properties = [("journey", json!(journey.as_str())), ("event", whole)];
    let event = Event {
        kind: HELD.into(),
        message_id: None,
        properties: properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..event.clone()
    };
    HeldTrigger { journey: journey.clone(), input: NewInput { event, causes, stored: false } }
}

/// The journey and the event of a trigger that was held.
#[must_use]
pub fn unhold(event: &Event) -> Option<(Slug, Event)> {
    if event.kind != HELD {
        return None;
    }
    let journey = Slug::parse(event.properties.get("journey")?.as_str()?).ok()?;
    let whole: Event = serde_json::from_value(event.properties.get("event")?.clone()).ok()?;
    Some((journey, Event { contact: event.contact, ..whole }))
}

/// Has the engine make the timers of contacts anew when versions that begin or go on have triggers by carts or dates.
async fn timers_wave<S: Storage>(
    store: &S,
    journey: &Slug,
    changes: &[LifeChange],
    at: Timestamp,
) -> Result<Option<NewWave>> {
    let versions = Versions::load(store).await?;
    for change in changes.iter().filter(|change| change.after.life == Life::Active) {
        if let Ok(rules) = rules::compile_pinned(store, &versions, &change.after).await?
            && rules.journey.slug == *journey
            && has_timers(&rules.journey)
        {
            return Ok(timers_of(everybody(store).await?, at));
        }
    }
    Ok(None)
}

fn timers_of(contacts: RoaringTreemap, at: Timestamp) -> Option<NewWave> {
    wave(super::timers::TIMERS_CHECKED, contacts, at, Map::new())
}

fn has_timers(journey: &journey::Journey) -> bool {
    use journey::entry::On;
    journey.triggers.iter().any(|trigger| matches!(trigger.on, On::CartAbandoned { .. } | On::Date(_)))
}

async fn everybody<S: Storage>(store: &S) -> Result<RoaringTreemap> {
    store.scan_audience(storage::journeys::AudienceFilter::All).await
}

/// Who belongs to a journey's audience now, leaving aside whether they came before or after its beginning.
///
/// # Errors
/// What the database says.
pub async fn audience<S: Storage>(store: &S, journey: &journey::Journey) -> Result<RoaringTreemap> {
    use journey::document::Who;
    use storage::journeys::AudienceFilter;
    let members = async |slug: &str| -> Result<RoaringTreemap> {
        let built = store.load_members(Slug::parse(slug)?).await?;
        Ok(built.map(|(_, members)| members).unwrap_or_default())
    };
    let who = match &journey.audience.who {
        Who::All => store.scan_audience(AudienceFilter::All).await?,
        Who::WithEmail => store.scan_audience(AudienceFilter::WithEmail).await?,
        Who::WithoutEmail => store.scan_audience(AudienceFilter::WithoutEmail).await?,
        Who::WithPhone => store.scan_audience(AudienceFilter::WithPhone).await?,
        Who::PushSubscribers => store.scan_audience(AudienceFilter::PushSubscribers).await?,
        Who::Segment(slug) => members(slug).await?,
    };
    Ok(match &journey.audience.exclude {
        Some((slug, _)) => who - members(slug).await?,
        None => who,
    })
}

/// Has contacts enter a journey that has an `api` trigger, with data that its conditions and nodes may read as
/// `trigger.…`. While it is paused they are held.
///
/// Who asks with an `id` of its own and does not learn whether it was heard may ask again: each contact enters the journey
/// once by that id, whenever it is repeated. The id is of the journey; another journey may be asked with the same one.
///
/// # Errors
/// `journey.not_published`, `journey.life` when nobody enters any more, `journey.no_api_trigger`, `event.too_large`,
/// `event.too_deep`, `journey.entry_id` for an id that is empty or longer than [`ENTRY_ID_LEN_MAX`], `journey.broken`;
/// what the database says.
pub async fn enter<S: Storage>(
    store: &S,
    journey: &Slug,
    contacts: &[ContactId],
    data: Map<String, Json>,
    id: Option<&str>,
    by: &By,
) -> Result<()> {
    check_id(id)?;
    let lives = of_journey(store, journey).await?;
    let record = lives.iter().rfind(|record| matches!(record.life, Life::Active | Life::Paused));
    let Some(record) = record else {
        return Err(match lives.last() {
            None => not_published(journey),
            Some(last) => Problem::new(
                "journey.life",
                format!("nobody enters `{journey}`: version {} is {}", last.version, last.life.word()),
            )
            .value(journey)
            .cure("publish it again: relance journey publish DIR"),
        }
        .into());
    };
    let versions = Versions::load(store).await?;
    let rules = compiled(store, &versions, record).await?;
    if !rules.journey.triggers.iter().any(|trigger| trigger.on == journey::entry::On::Api) {
        return Err(Problem::new("journey.no_api_trigger", format!("`{journey}` has no trigger `api`"))
            .field("triggers")
            .value(journey)
            .cure("add {on: api} to its triggers and publish it")
            .into());
    }
    let mut properties = data;
    properties.insert("journey".into(), json!(journey.as_str()));
    check_size(&properties)?;
    let input = |contact: &ContactId| NewInput {
        event: Event {
            contact: *contact,
            at: by.at,
            received_at: by.at,
            kind: kind::JOURNEY_ENTRY.into(),
            // Ids of events are one space for all contacts and kinds.
            message_id: id.map(|id| format!("entry:{journey}:{contact}:{id}")),
            properties: properties.clone(),
        },
        causes: 0,
        stored: true,
    };
    store.add_inputs(contacts.iter().map(input).collect(), Vec::new()).await
}

fn check_id(id: Option<&str>) -> Result<()> {
    let Some(id) = id.filter(|id| id.is_empty() || id.chars().count() > ENTRY_ID_LEN_MAX) else {
        return Ok(());
    };
    let message = format!("an id of {} characters; it has 1 to {ENTRY_ID_LEN_MAX}", id.chars().count());
    Err(Problem::new("journey.entry_id", message)
        .field("id")
        .cure("take a UUID, one for each request")
        .into())
}

fn check_size(properties: &Map<String, Json>) -> Result<()> {
    fn depth(value: &Json) -> usize {
        match value {
            Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
            Json::Object(map) => 1 + map.values().map(depth).max().unwrap_or_default(),
            _ => 0,
        }
    }
    let bytes = serde_json::to_string(properties).map_or(0, |text| text.len());
    if bytes > Event::SIZE_MAX {
        let message = format!("the data has {bytes} bytes; at most {} are taken", Event::SIZE_MAX);
        return Err(Problem::new("event.too_large", message).field("data").into());
    }
    let deepest = 1 + properties.values().map(depth).max().unwrap_or_default();
    if deepest > Event::DEPTH_MAX {
        let message = format!("the data is {deepest} levels deep; at most {} are taken", Event::DEPTH_MAX);
        return Err(Problem::new("event.too_deep", message).field("data").into());
    }
    Ok(())
}

async fn compiled<S: Storage>(store: &S, versions: &Versions, record: &LifeRecord) -> Result<Rules> {
    rules::compile_pinned(store, versions, record).await?.map_err(|problems| {
        let why = problems.first().map(ToString::to_string).unwrap_or_default();
        StoreError::from(
            Problem::new(
                "journey.broken",
                format!(
                    "version {} of `{}` cannot be compiled any more: {why}",
                    record.version, record.journey
                ),
            )
            .value(&record.journey)
            .cure("publish the journey again"),
        )
    })
}

/// Tries failed messages of a journey again, from all its runs; a journey that was finished is open until they are in a
/// final state again. Sent ones are never repeated; uncertain ones only when `uncertain`.
///
/// # Errors
/// `journey.not_published`; what the database says.
pub async fn retry<S: Storage>(store: &S, journey: &Slug, uncertain: bool, by: &By) -> Result<u64> {
    let lives = of_journey(store, journey).await?;
    if lives.is_empty() && store.load_journey_runs(journey.clone()).await?.is_empty() {
        return Err(not_published(journey).into());
    }
    let mut retried = 0;
    let states = [Some(MessageState::Failed), uncertain.then_some(MessageState::Uncertain)];
    for state in states.into_iter().flatten() {
        let filter =
            MessageFilter { journey: Some(journey.clone()), state: Some(state), ..MessageFilter::default() };
        retried += store.retry_messages(filter, by.at).await?;
    }
    if retried > 0 {
        reopen(store, journey, by).await?;
    }
    Ok(retried)
}

/// Opens finished versions of a journey again of which messages wait: to be called when some were made to.
///
/// # Errors
/// What the database says.
pub async fn reopen<S: Storage>(store: &S, journey: &Slug, by: &By) -> Result<()> {
    for before in of_journey(store, journey).await? {
        if before.life == Life::Finished && store.has_open_messages(before.run).await? {
            let after = memo::become_(&before, Life::Closing, by);
            let change = LifeChange { before, after };
            store.change_lives(LifeCommit { changes: vec![change], ..LifeCommit::default() }).await?;
        }
    }
    Ok(())
}

/// Versions of a journey that cannot be compiled any more, for showing.
#[must_use]
pub fn broken<'b>(book: &'b Book, journey: &Slug) -> Vec<&'b BrokenJourney> {
    book.broken.iter().filter(|broken| broken.record.journey == *journey).collect()
}
