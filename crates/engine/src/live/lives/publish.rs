//! Publishing a version of a journey.

use journey::document::Source;
use model::{Problem, Timestamp};
use roaring::RoaringTreemap;
use serde_json::Value as Json;
use storage::{
    Result, Storage,
    journeys::NewJourneyRun,
    live::{Life, LifeRecord},
    lives::{LifeChange, NEW_RUN, NewLife},
};

use super::{
    By, Memo, TRIES, audience, audience_wave, busy, everybody, has_timers, inside, look_at, memo, timers_of,
};
use crate::{
    campaign::launch::{self, Tell},
    live::book::is_over,
    rules::{self, Rules, Versions},
};

/// How to publish.
#[derive(Clone, Debug, Default)]
pub struct PublishOptions {
    /// When it begins, when that is not at once nor at the journey's own `starts_at`.
    pub starts_at: Option<Timestamp>,
    /// Whether those inside earlier versions are moved to this one, where their node still exists.
    pub moves: bool,
    /// Seed of its dice.
    pub seed: u64,
}

/// What publishing came to.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The life of the version.
    pub record: LifeRecord,
    /// Whether this very content was published before and is still at work: then nothing was done.
    pub unchanged: bool,
    /// Contacts of an audience that enters by itself.
    pub audience: u64,
    /// Earlier versions, as they are now.
    pub earlier: Vec<LifeRecord>,
    /// Contacts inside earlier versions, whether they finish theirs or are moved.
    pub inside: u64,
}

/// Publishes a checked journey: saves its definitions, scores and builds what it reads, and begins its life. An earlier
/// version takes no newcomers any more; those inside finish theirs, or are moved when that is asked for.
///
/// # Errors
/// `journey.window_over` when its end has passed; `journey.window` when it would begin after its end; what
/// [`launch::ready`] and the database say.
pub async fn publish<S: Storage>(
    store: &S,
    rules: &Rules,
    options: &PublishOptions,
    by: &By,
    tell: &dyn Tell,
) -> Result<Publication> {
    let starts_at = window(rules, options, by.at)?;
    let journey = &rules.journey;
    let before = super::of_journey(store, &journey.slug).await?;
    let runs = store.load_journey_runs(journey.slug.clone()).await?;
    let same = |record: &&LifeRecord| {
        let run = runs.iter().find(|run| run.id == record.run);
        !is_over(record.life)
            && record.life != Life::Stopping
            && run.is_some_and(|run| run.hash == rules.hash)
    };
    if let Some(record) = before.iter().rfind(same)
        && before.iter().rfind(|record| !is_over(record.life)).map(|last| last.run) == Some(record.run)
    {
        return Ok(Publication {
            record: record.clone(),
            unchanged: true,
            audience: 0,
            earlier: Vec::new(),
            inside: 0,
        });
    }
    // Segments are built before anybody enters; definitions that are saved twice keep their version.
    let published = rules::publish(store, rules, by.at).await?;
    launch::ready(store, rules, published, by.at, tell).await?;
    for _ in 0..TRIES {
        if let Some(done) = try_publish(store, rules, options, starts_at, by).await? {
            return Ok(done);
        }
    }
    Err(busy(&journey.slug).into())
}

/// When it begins; none: at once.
fn window(rules: &Rules, options: &PublishOptions, now: Timestamp) -> Result<Option<Timestamp>> {
    let journey = &rules.journey;
    let starts_at = options.starts_at.or(journey.starts_at).filter(|at| *at > now);
    if let Some(end) = journey.ends_at {
        if end <= now {
            return Err(Problem::new("journey.window_over", format!("the journey ended at {end}"))
                .field("ends_at")
                .value(end)
                .cure("set a later end, or leave `ends_at` out")
                .into());
        }
        if let Some(start) = starts_at.filter(|start| *start >= end) {
            return Err(Problem::new(
                "journey.window",
                format!("it would begin at {start} and end at {end}"),
            )
            .field("ends_at")
            .value(end)
            .cure("let it begin before it ends")
            .into());
        }
    }
    Ok(starts_at)
}

async fn try_publish<S: Storage>(
    store: &S,
    rules: &Rules,
    options: &PublishOptions,
    starts_at: Option<Timestamp>,
    by: &By,
) -> Result<Option<Publication>> {
    let journey = &rules.journey;
    let versions = Versions::load(store).await?;
    let saved = versions.foresee(&rules.definitions);
    let pinned = rules::pin(rules, &versions, &saved);
    let runs = store.load_journey_runs(journey.slug.clone()).await?;
    let ordinal =
        runs.iter().filter(|run| run.hash == rules.hash).map(|run| run.ordinal).max().unwrap_or_default() + 1;
    let version = saved.last().copied().unwrap_or(1);
    let life = if starts_at.is_some() { Life::Scheduled } else { Life::Active };
    let mut memo = Memo { moves: options.moves, ..Memo::default() };
    memo.note(life, by);
    if life == Life::Active {
        memo.began_at = Some(by.at);
    }
    let record = LifeRecord {
        run: 0,
        journey: journey.slug.clone(),
        version,
        life,
        since: by.at,
        starts_at,
        seed: options.seed,
        pinned: pinned.to_json(),
        memo: memo.to_json(),
    };
    let mut lives = super::of_journey(store, &journey.slug).await?;
    lives.retain(|record| !is_over(record.life));
    let Succession { others, waves, mut inside } =
        succeed(store, &lives, life, options.moves.then(|| NEW_RUN.into()), by).await?;
    let mut waves: Vec<_> = waves.into_iter().collect();
    let entering = if life == Life::Active { entering(store, journey).await? } else { RoaringTreemap::new() };
    if life == Life::Active && has_timers(journey) {
        waves.extend(timers_of(everybody(store).await?, by.at));
    }
    if life == Life::Scheduled {
        for record in &lives {
            inside += super::inside(store, record.run).await?.len();
        }
    }
    let audience = entering.len();
    waves.extend(audience_wave(entering.clone(), NEW_RUN.into(), by.at));
    let run = NewJourneyRun {
        journey: journey.slug.clone(),
        version,
        hash: rules.hash.clone(),
        ordinal,
        audience: entering,
        seed: options.seed,
        started_at: by.at,
    };
    let earlier = others.iter().map(|change| change.after.clone()).collect();
    let new = NewLife {
        definitions: rules.definitions.clone(),
        versions: saved,
        run,
        record,
        others,
        inputs: Vec::new(),
        waves,
        at: by.at,
    };
    let record = store.publish_life(new).await?;
    Ok(record.map(|record| Publication { record, unchanged: false, audience, earlier, inside }))
}

/// What becomes of earlier versions.
pub(super) struct Succession {
    pub others: Vec<LifeChange>,
    pub waves: Option<storage::live::NewWave>,
    pub inside: u64,
}

/// What becomes of versions when another begins (or is scheduled) after them: active ones close, scheduled ones are taken
/// back, paused ones close when they are resumed. `to` is the run that those inside are moved to.
pub(super) async fn succeed<S: Storage>(
    store: &S,
    lives: &[LifeRecord],
    new: Life,
    to: Option<Json>,
    by: &By,
) -> Result<Succession> {
    let mut others = Vec::new();
    let mut contacts = RoaringTreemap::new();
    for before in lives {
        let mut after = match before.life {
            Life::Scheduled => memo::become_(before, Life::Stopped, by),
            _ if new == Life::Scheduled => continue,
            Life::Active => memo::become_(before, Life::Closing, by),
            Life::Paused | Life::Closing => before.clone(),
            _ => continue,
        };
        let mut memo = Memo::of(&after);
        if after.life == Life::Paused {
            memo.paused_while = Some(Life::Closing.word().to_owned());
        }
        if before.life != Life::Scheduled {
            let within = inside(store, before.run).await?;
            if to.is_some() {
                memo.moved_to.clone_from(&to);
            }
            contacts |= within;
        }
        after.memo = memo.to_json();
        others.push(LifeChange { before: before.clone(), after });
    }
    let inside = contacts.len();
    let waves = to.and_then(|_| look_at(contacts, by.at));
    Ok(Succession { others, waves, inside })
}

/// Who enters by itself when a journey begins: the audience that exists, of a journey without triggers.
pub(super) async fn entering<S: Storage>(store: &S, journey: &journey::Journey) -> Result<RoaringTreemap> {
    if !journey.triggers.is_empty() || journey.audience.source == Source::New {
        return Ok(RoaringTreemap::new());
    }
    audience(store, journey).await
}
