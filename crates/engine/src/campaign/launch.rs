//! From a checked folder to a completed run: publish, score RFM where it never was, build the segments that the journey
//! reads, learn relations where that is due, load the catalogue, run, and bring the segments up to date that read what
//! the run wrote. Every step can be repeated; what was done stays done.

use std::sync::Arc;

use model::{Problem, Timestamp};
use recommend::Catalogue;
use rfm::RfmModel;
use roaring::RoaringTreemap;
use storage::{Storage, StoreError};

use super::{Begun, Options, Report, State, Work, begin, execute};
use crate::{
    catalogue,
    rules::{self, Published, Rules},
    segments,
};

/// Hears what a run is doing.
pub trait Tell: Send + Sync {
    /// Another part of the work begins.
    fn phase(&self, text: &str);
    /// Something worth knowing.
    fn note(&self, text: &str);
    /// So many contacts of so many are done.
    fn progress(&self, done: u64, total: u64);
}

/// Tells nobody.
pub struct Silent;

impl Tell for Silent {
    fn phase(&self, _: &str) {}
    fn note(&self, _: &str) {}
    fn progress(&self, _: u64, _: u64) {}
}

/// Runs a journey, or goes on with a run that was interrupted.
///
/// # Errors
/// `journey.rfm_model` when a segment asks for an RFM model that was never scored and is not built in; what
/// [`begin`] and [`execute`] say; what the database says.
pub async fn run<S: Storage>(
    store: &S,
    rules: &Arc<Rules>,
    now: Timestamp,
    options: &Options,
    tell: &dyn Tell,
) -> Result<Report, StoreError> {
    let published = rules::publish(store, rules, now).await?;
    let runs = store.load_journey_runs(rules.journey.slug.clone()).await?;
    let over = runs.iter().rfind(|run| run.hash == rules.hash).is_some_and(|run| run.finished_at.is_some());
    if over && !options.new_run {
        // Nothing to prepare: the counts are shown again.
        let begun =
            begin(store, rules, &published, async |_| Ok(RoaringTreemap::new()), now, options).await?;
        return super::report::load(store, &rules.journey, begun.run.id, State::Completed).await;
    }
    let ready = ready(store, rules, published, now, tell).await?;
    let begun = ready.begin(store, rules, now, options).await?;
    if begun.state == State::Resumed {
        tell.note(&format!("run {} goes on behind contact {}", begun.run.id, begun.run.checkpoint));
    }
    let catalogue = shelf(store, rules, begun.run.started_at, tell).await?;
    tell.phase("contacts");
    let report = ready.execute(store, rules, begun, catalogue, options, tell).await?;
    refresh_segments(store, rules, now, tell).await?;
    Ok(report)
}

/// A journey whose segments are built.
#[derive(Debug)]
pub struct Ready {
    published: Published,
    members: Vec<RoaringTreemap>,
}

/// Scores and builds what the journey reads.
///
/// # Errors
/// As [`run`].
pub async fn ready<S: Storage>(
    store: &S,
    rules: &Rules,
    published: Published,
    now: Timestamp,
    tell: &dyn Tell,
) -> Result<Ready, StoreError> {
    score(store, rules, now, tell).await?;
    let members = build_segments(store, rules, now, tell).await?;
    Ok(Ready { published, members })
}

impl Ready {
    /// See [`begin`].
    ///
    /// # Errors
    /// See [`begin`].
    pub async fn begin<S: Storage>(
        &self,
        store: &S,
        rules: &Rules,
        now: Timestamp,
        options: &Options,
    ) -> Result<Begun, StoreError> {
        let of_slug = async |slug: model::Slug| {
            let place = rules.journey.segments.iter().position(|known| *known == slug);
            Ok(place.map(|place| self.members[place].clone()).unwrap_or_default())
        };
        begin(store, rules, &self.published, of_slug, now, options).await
    }

    /// See [`execute`].
    ///
    /// # Errors
    /// See [`execute`].
    pub async fn execute<S: Storage>(
        self,
        store: &S,
        rules: &Arc<Rules>,
        begun: Begun,
        catalogue: Catalogue,
        options: &Options,
        tell: &dyn Tell,
    ) -> Result<Report, StoreError> {
        let progress = |done: u64, total: u64| tell.progress(done, total);
        let work = Work { rules: Arc::clone(rules), catalogue: Arc::new(catalogue), members: self.members };
        execute(store, work, begun, options, &progress).await
    }
}

/// The catalogue as of an instant, as far back as the journey needs it; relations are learned where that is due.
///
/// # Errors
/// What the database says.
pub async fn shelf<S: Storage>(
    store: &S,
    rules: &Rules,
    at: Timestamp,
    tell: &dyn Tell,
) -> Result<Catalogue, StoreError> {
    tell.phase("relations between products");
    if let Some(learned) = catalogue::learn_if_due(store, at, recommend::Params::default()).await? {
        tell.note(&format!(
            "{} relations between {} products learned from {} orders",
            learned.relations, learned.products, learned.orders
        ));
    }
    catalogue::load(store, at, rules.journey.figures_period()).await
}

/// Scores the RFM models that segments of the journey ask for and that were never scored.
async fn score<S: Storage>(
    store: &S,
    rules: &Rules,
    now: Timestamp,
    tell: &dyn Tell,
) -> Result<(), StoreError> {
    let scored = store.load_rfm_models().await?;
    for slug in rules.rfm_models() {
        if scored.iter().any(|known| known.model.as_str() == slug) {
            continue;
        }
        let Some(model) = RfmModel::built_in(&slug) else {
            return Err(Problem::new(
                "journey.rfm_model",
                format!("the RFM model `{slug}` was never scored"),
            )
            .value(&slug)
            .cure("score it first: relance rfm --model FILE")
            .into());
        };
        tell.phase("RFM");
        let done = crate::rfm::score(store, &model, now, false).await?;
        tell.note(&format!("{slug}: {} contacts scored (it never was before)", done.cuts.contacts));
    }
    Ok(())
}

/// Builds the journey's segments, and gives their members in the journey's order.
async fn build_segments<S: Storage>(
    store: &S,
    rules: &Rules,
    now: Timestamp,
    tell: &dyn Tell,
) -> Result<Vec<RoaringTreemap>, StoreError> {
    let mut members = Vec::with_capacity(rules.journey.segments.len());
    if rules.journey.segments.is_empty() {
        return Ok(members);
    }
    let workspace = Arc::new(segments::Workspace::load(store).await?);
    for slug in &rules.journey.segments {
        tell.phase(&format!("segment {slug}"));
        segments::build(store, &workspace, slug.as_str(), now, segments::silent()).await?;
        let built = store.load_members(slug.clone()).await?;
        members.push(built.map(|(_, members)| members).unwrap_or_default());
    }
    Ok(members)
}

/// Builds anew the segments that were built and read a field that the journey writes.
async fn refresh_segments<S: Storage>(
    store: &S,
    rules: &Rules,
    now: Timestamp,
    tell: &dyn Tell,
) -> Result<(), StoreError> {
    let written = rules.journey.changed_fields();
    if written.is_empty() {
        return Ok(());
    }
    let workspace = Arc::new(segments::Workspace::load(store).await?);
    for record in store.load_segments().await? {
        let Some(file) = workspace.segments.get(record.slug.as_str()) else { continue };
        let reads = file.condition.reads().fields;
        if written.iter().any(|field| reads.contains(*field)) {
            tell.phase(&format!("segment {}", record.slug));
            segments::build(store, &workspace, record.slug.as_str(), now, segments::silent()).await?;
        }
    }
    Ok(())
}
