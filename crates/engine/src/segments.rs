//! Builds segments and keeps them true.
//!
//! * [`Workspace`]: what conditions may speak of, and all segments compiled.
//! * [`bulk`]: who satisfies a condition, by one parallel pass over what its questions read.
//! * [`contacts`]: the same for a batch of contacts, with the next flip of each.
//! * [`build`], [`update`], [`flip_due`]: membership committed; [`preview`]: looked at without saving.

pub mod bulk;
pub mod contacts;
pub(crate) mod facts;
mod grouping;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{Contact, ContactId, FieldDef, Problem, Problems, Slug, Timestamp, Zone};
use roaring::RoaringTreemap;
use segment::{Condition, Known, Observed, Schema, SegmentFile, State};
use sha2::{Digest, Sha256};
use storage::{
    Result, Storage, StoreError,
    segments::{FLIPS_AHEAD, MemberAnswer, Moved, NewMembers, SegmentStore, Tell},
    settings::{DefinitionKind, NewDefinition, SettingsStore},
};

pub use facts::Catalogue;

/// Setting that holds the workspace's zone, as in `"Europe/Paris"`; UTC until it is set.
pub const ZONE_SETTING: &str = "time_zone";
/// Contacts that are loaded and evaluated at once.
pub const BATCH: usize = 2_000;

/// How far a pass has come: pieces done, pieces in all.
pub type Progress = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// A [`Progress`] that tells nobody.
#[must_use]
pub fn silent() -> Progress {
    Arc::new(|_, _| {})
}

/// What conditions may speak of, and all segments compiled, as of one moment.
#[derive(Clone)]
pub struct Workspace {
    /// For reading further conditions.
    pub schema: Schema<'static>,
    /// Segments by slug.
    pub segments: BTreeMap<String, Arc<SegmentFile>>,
    /// Stored segments that cannot be read any more (a field is gone, say), by slug.
    pub broken: BTreeMap<String, Problems>,
    /// The workspace's zone.
    pub zone: Zone,
}

impl Workspace {
    /// Loads it.
    ///
    /// # Errors
    /// What storage says; `zone.unknown` when the setting holds no zone.
    pub async fn load<S: SettingsStore + SegmentStore + storage::rfm::RfmStore + Sync>(
        store: &S,
    ) -> Result<Self> {
        let mut fields = Vec::new();
        for definition in store.load_definitions(DefinitionKind::Field).await? {
            let field: FieldDef = serde_json::from_value(definition.content).map_err(|error| {
                let row = definition.slug.to_string();
                StoreError::Inconsistent { table: "definitions", row, why: error.to_string() }
            })?;
            fields.push(field);
        }
        let zone = match store.load_setting(ZONE_SETTING.to_owned()).await? {
            Some(serde_json::Value::String(name)) => Zone::parse(&name)?,
            _ => Zone::UTC,
        };
        let mut schema = Schema::with_fields(fields);
        for model in store.load_rfm_models().await? {
            let groups = store.load_rfm_groups(model.model.clone()).await?;
            // Numbers 0 and 1 are nobody's and `none`.
            schema.rfm.insert(model.model.to_string(), groups.into_iter().skip(2).collect());
        }
        let kinds = store.load_event_kinds().await?;
        schema.event_kinds = kinds.into_iter().collect();
        let definitions = store.load_definitions(DefinitionKind::Segment).await?;
        schema.segments = definitions.iter().map(|definition| definition.slug.as_str()).collect();
        let mut workspace = Self { schema, segments: BTreeMap::new(), broken: BTreeMap::new(), zone };
        for definition in definitions {
            match SegmentFile::parse(&definition.source(), Some(definition.slug.as_str()), &workspace.schema)
            {
                Ok((file, _)) => drop(workspace.segments.insert(definition.slug.to_string(), Arc::new(file))),
                Err(problems) => drop(workspace.broken.insert(definition.slug.to_string(), problems)),
            }
        }
        Ok(workspace)
    }

    /// With these files in place of the stored ones of the same slugs. They may refer to each other.
    ///
    /// # Errors
    /// `segment.cycle` when segments refer to each other in a circle, `segment.unknown` when one refers to a segment
    /// that cannot be read.
    pub fn with(
        mut self,
        files: impl IntoIterator<Item = SegmentFile>,
    ) -> std::result::Result<Self, Problems> {
        for file in files {
            self.broken.remove(file.slug.as_str());
            if let Known::Only(names) = &mut self.schema.segments {
                names.insert(file.slug.to_string());
            }
            self.segments.insert(file.slug.to_string(), Arc::new(file));
        }
        let mut problems = Problems::new();
        for (slug, file) in &self.segments {
            problems.extend(self.check_references(slug, &file.condition));
        }
        if problems.is_empty() { Ok(self) } else { Err(problems) }
    }

    fn check_references(&self, slug: &str, condition: &Condition) -> Option<Problem> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<String> = condition.reads().segments.into_iter().collect();
        while let Some(next) = open.pop() {
            if next == slug {
                let message = format!("segment `{slug}` refers to itself, directly or through others");
                return Some(Problem::new("segment.cycle", message).field("condition").value(slug));
            }
            let Some(file) = self.segments.get(&next) else {
                let message = format!("segment `{slug}` refers to `{next}`, which cannot be read");
                return Some(Problem::new("segment.unknown", message).field("condition").value(&next));
            };
            if seen.insert(next) {
                open.extend(file.condition.reads().segments);
            }
        }
        None
    }

    /// A segment by its slug.
    ///
    /// # Errors
    /// `segment.unknown` with a suggestion, or what is wrong with its stored condition.
    pub fn segment(&self, slug: &str) -> std::result::Result<&Arc<SegmentFile>, Problems> {
        if let Some(problems) = self.broken.get(slug) {
            return Err(problems.clone());
        }
        self.segments.get(slug).ok_or_else(|| {
            let problem =
                Problem::new("segment.unknown", format!("there is no segment `{slug}`")).value(slug);
            vec![problem.suggest(slug, self.segments.keys().map(String::as_str).collect::<Vec<_>>())]
        })
    }

    /// What changes when the members of a segment may: its condition and what that means, those that it refers to, the zone.
    #[must_use]
    pub fn fingerprint(&self, file: &SegmentFile) -> String {
        let mut hash = Sha256::new();
        hash.update(file.fingerprint_source());
        hash.update(format!("{:?}", self.zone.jiff().iana_name()));
        for slug in file.condition.reads().segments {
            if let Some(other) = self.segments.get(&slug) {
                hash.update(self.fingerprint(other));
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Saves segments' files as definitions, in one transaction.
///
/// # Errors
/// What storage says.
pub async fn save<S: SettingsStore>(store: &S, files: &[SegmentFile], now: Timestamp) -> Result<()> {
    let new = files.iter().map(|file| NewDefinition {
        kind: DefinitionKind::Segment,
        slug: file.slug.clone(),
        content: file.source.clone(),
    });
    store.save_definitions(new.collect(), now).await.map(drop)
}

/// Builds a segment over the whole base and commits its members, with the flips of the next two days. Events that
/// arrive meanwhile are taken in by [`update`] afterwards.
///
/// # Errors
/// `segment.unknown`; what storage says.
pub async fn build<S: Storage>(
    store: &S,
    workspace: &Arc<Workspace>,
    slug: &str,
    now: Timestamp,
    progress: Progress,
) -> Result<Moved> {
    let file = workspace.segment(slug).map_err(first)?;
    let found = bulk::find(store, workspace, &file.condition, now, progress).await?;
    let mut flips = Vec::new();
    let near: Vec<ContactId> = found.near.iter().map(|id| ContactId(id.cast_signed())).collect();
    for batch in near.chunks(BATCH) {
        let outcomes = contacts::evaluate(store, workspace, &[&file.condition], batch.to_vec(), now).await?;
        for (contact, outcome) in outcomes {
            flips.extend(
                outcome[0].next_flip.filter(|at| at.since(now) <= FLIPS_AHEAD).map(|at| (contact, at)),
            );
        }
    }
    let new = NewMembers {
        slug: file.slug.clone(),
        fingerprint: workspace.fingerprint(file),
        members: found.members,
        flips,
        at: now,
        tell: Tell::default(),
    };
    store.commit_members(new).await
}

pub(crate) fn first(problems: Problems) -> StoreError {
    let problem = problems.into_iter().find(Problem::is_error);
    problem.unwrap_or_else(|| Problem::new("segment.unknown", "the segment cannot be read")).into()
}

/// What looking at a condition shows.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Contacts in the base.
    pub base: u64,
    /// Who satisfies it.
    pub members: RoaringTreemap,
    /// Contacts without a value, by field that the condition reads.
    pub without_value: BTreeMap<String, u64>,
    /// Some of the members, spread evenly over them.
    pub sample: Vec<Contact>,
}

/// Looks at who would satisfy a condition, without saving anything.
///
/// # Errors
/// What storage says.
pub async fn preview<S: Storage>(
    store: &S,
    workspace: &Arc<Workspace>,
    condition: &Condition,
    now: Timestamp,
    sample: usize,
    progress: Progress,
) -> Result<Preview> {
    let found = bulk::find(store, workspace, condition, now, progress).await?;
    let (base, _) = store.count_contacts().await?;
    let members = found.members.len();
    let wanted = members.min(sample as u64);
    let ids = (0..wanted).filter_map(|n| found.members.select(n * members / wanted.max(1)));
    let sample = store.load_contacts(ids.map(|id| ContactId(id.cast_signed())).collect()).await?;
    Ok(Preview { base, members: found.members, without_value: found.without_value, sample })
}

/// What is new about contacts: for [`update`].
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Contacts of whom anything changed.
    pub contacts: BTreeSet<ContactId>,
    /// Events that were stored for the first time.
    pub events: Vec<model::Event>,
    /// Orders, with whether they were known before (refunds, cancellations).
    pub orders: Vec<(model::Order, bool)>,
}

/// Brings the membership of some contacts up to date after what changed was committed, for these segments (all that
/// were built and read what changed). What is kept of histories takes the new events in; where nothing is kept yet, or
/// not enough, it is built from the stored history.
///
/// # Errors
/// What storage says.
pub async fn update<S: Storage>(
    store: &S,
    workspace: &Arc<Workspace>,
    slugs: &[&str],
    changes: &Changes,
    now: Timestamp,
) -> Result<Vec<Moved>> {
    let catalogue = Arc::new(Catalogue::load(store).await?);
    let ids: Vec<ContactId> = changes.contacts.iter().copied().collect();
    let mut moved = Vec::new();
    for batch in ids.chunks(BATCH) {
        let mut answers = Vec::new();
        for slug in slugs {
            let file = Arc::clone(workspace.segment(slug).map_err(first)?);
            let states = states(store, workspace, &file, batch, changes, now, &catalogue).await?;
            let kept = contacts::Kept { condition: &file.condition, states: &states };
            let outcomes = contacts::evaluate_kept(
                store,
                workspace,
                &[&file.condition],
                batch.to_vec(),
                now,
                Some(&kept),
            )
            .await?;
            let members = outcomes
                .into_iter()
                .map(|(contact, outcome)| MemberAnswer {
                    contact,
                    member: outcome[0].member,
                    flip: outcome[0].next_flip,
                    state: states.get(&contact).map(State::to_bytes),
                })
                .collect();
            answers.push((file.slug.clone(), workspace.fingerprint(&file), members));
        }
        moved.extend(store.update_members(answers, now).await?);
    }
    Ok(moved)
}

/// What is kept of these contacts' histories, brought up to date.
async fn states<S: Storage>(
    store: &S,
    workspace: &Arc<Workspace>,
    file: &SegmentFile,
    batch: &[ContactId],
    changes: &Changes,
    now: Timestamp,
    catalogue: &Catalogue,
) -> Result<BTreeMap<ContactId, State>> {
    let condition = &file.condition;
    if condition.activities().is_empty() {
        return Ok(BTreeMap::new());
    }
    let stored = store.load_member_states(vec![file.slug.clone()], batch.to_vec()).await?;
    let stored = stored.into_iter().next().unwrap_or_default();
    let mut states = BTreeMap::new();
    let mut refill = BTreeSet::new();
    for (contact, bytes) in batch.iter().zip(stored) {
        match bytes
            .and_then(|bytes| State::from_bytes(&bytes, condition))
            .filter(|state| state.as_of() <= now)
        {
            Some(state) => drop(states.insert(*contact, state)),
            None => drop(refill.insert(*contact)),
        }
    }
    let zone = &workspace.zone;
    for event in &changes.events {
        if let Some(state) = states.get_mut(&event.contact)
            && state.observe(condition, event, catalogue, zone) == Observed::Refill
        {
            refill.insert(event.contact);
        }
    }
    for (order, known) in &changes.orders {
        let order = contacts::net(order.clone());
        if let Some(contact) = order.contact
            && let Some(state) = states.get_mut(&contact)
            && state.observe_order(condition, &order, *known, catalogue, zone) == Observed::Refill
        {
            refill.insert(contact);
        }
    }
    if !refill.is_empty() {
        let ids: Vec<ContactId> = refill.into_iter().collect();
        states.extend(contacts::states_from_history(store, workspace, condition, ids, now, catalogue).await?);
    }
    for state in states.values_mut() {
        state.advance(condition, now, zone);
    }
    Ok(states)
}

/// Brings up to date whose membership time has changed until `now`; at most `limit` contacts. Answers with who moved,
/// and how many were due: as many as `limit` means that there may be more.
///
/// # Errors
/// What storage says.
pub async fn flip_due<S: Storage>(
    store: &S,
    workspace: &Arc<Workspace>,
    now: Timestamp,
    limit: usize,
) -> Result<(Vec<Moved>, usize)> {
    let due = store.load_due_flips(now, limit).await?;
    let mut by_segment: BTreeMap<Slug, BTreeSet<ContactId>> = BTreeMap::new();
    for (slug, contact) in &due {
        by_segment.entry(slug.clone()).or_default().insert(*contact);
    }
    let mut moved = Vec::new();
    for (slug, contacts) in by_segment {
        if workspace.segments.contains_key(slug.as_str()) {
            let changes = Changes { contacts, ..Changes::default() };
            moved.extend(update(store, workspace, &[slug.as_str()], &changes, now).await?);
        }
    }
    Ok((moved, due.len()))
}
