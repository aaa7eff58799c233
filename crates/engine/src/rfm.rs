//! Scores all contacts (the nightly run), and single ones between two runs.
//!
//! A run reads the packed state of the run before and only the orders that came into the window or left it, takes new
//! cut points over everybody, and writes chunks, moves, cut points and its record in one transaction. It is harmless to
//! repeat and to break off: nothing of it is there before the commit, and what changes meanwhile is taken in next time.

mod compute;

use std::{collections::BTreeMap, fmt};

use model::{ContactId, Slug, Timestamp};
use rfm::{CutPoints, GroupFigures, RfmModel, Scorer, recency_days};
use roaring::RoaringTreemap;
use storage::{
    StoreError,
    live::NewWave,
    rfm::{
        GroupMove, LiveScore, NO_GROUP, NewRun, RfmStore, RunCommit, RunRecord, RunTicket, Window,
        chunk::{self, Chunk, Move},
    },
    settings::{Definition, DefinitionKind, SettingsStore},
};

/// What a run found.
#[derive(Clone, Debug)]
pub struct Scored {
    /// The run.
    pub ticket: RunTicket,
    /// Cut points, now in force.
    pub cuts: CutPoints,
    /// Figures of each group in the model's order, then of [`NO_GROUP`].
    pub groups: Vec<GroupFigures>,
    /// Whether every order of the window was read, and not only those that came in or left.
    pub rebuilt: bool,
    /// Orders that came in or left, and contacts summed anew.
    pub flow: (usize, usize),
    /// Contacts whom an order has rescored while the run was under way: rescore them with the new cut points
    /// ([`Rescorer`]).
    pub still_live: Vec<ContactId>,
    moves: Vec<(u64, Vec<Move>)>,
}

impl Scored {
    /// How many contacts moved to another group, first placements included.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.moves.iter().map(|(_, moves)| moves.len() as u64).sum()
    }

    /// Who moved, ascending by contact.
    pub fn moves(&self) -> impl Iterator<Item = GroupMove> + '_ {
        let slug = |number: u8| self.ticket.groups.get(usize::from(number)).cloned().unwrap_or_default();
        self.moves.iter().flat_map(move |(number, moves)| {
            moves.iter().map(move |one| GroupMove {
                contact: chunk::contact_at(*number, usize::from(one.place)),
                model: self.ticket.run.model.to_string(),
                at: self.ticket.run.window.until,
                from: (one.from != chunk::NEVER).then(|| slug(one.from)),
                to: slug(one.to),
            })
        })
    }
}

/// A model that is scored, or is to be: one that was saved, or scored before.
#[derive(Clone, Debug)]
pub struct KnownModel {
    /// What it is known by.
    pub slug: Slug,
    /// As it was saved last; else as it was at its last run.
    pub definition: serde_json::Value,
    /// The version that was saved, if it was.
    pub saved: Option<Definition>,
    /// Its last run; none when the night will be its first.
    pub last_run: Option<RunRecord>,
}

impl KnownModel {
    /// The model.
    ///
    /// # Errors
    /// [`StoreError::Inconsistent`] for a stored definition that does not read back.
    pub fn model(&self) -> Result<RfmModel, StoreError> {
        RfmModel::parse(&self.definition.to_string()).map_err(|problems| StoreError::Inconsistent {
            table: "rfm_models",
            row: self.slug.to_string(),
            why: problems.first().map(ToString::to_string).unwrap_or_default(),
        })
    }
}

/// All models that were saved or scored, by slug.
///
/// # Errors
/// What storage says.
pub async fn known<S: RfmStore + SettingsStore + Sync>(store: &S) -> Result<Vec<KnownModel>, StoreError> {
    let mut models: BTreeMap<Slug, KnownModel> = BTreeMap::new();
    for saved in store.load_definitions(DefinitionKind::RfmModel).await? {
        let (slug, definition) = (saved.slug.clone(), saved.content.clone());
        models.insert(slug.clone(), KnownModel { slug, definition, saved: Some(saved), last_run: None });
    }
    for scored in store.load_rfm_models().await? {
        let new = || KnownModel {
            slug: scored.model.clone(),
            definition: scored.definition,
            saved: None,
            last_run: None,
        };
        models.entry(scored.model.clone()).or_insert_with(new).last_run = Some(scored.last_run);
    }
    Ok(models.into_values().collect())
}

/// Scores all contacts for the instant `at`: orders at or after it do not count. `anew` reads every order of the window
/// even where the run before could be continued; the result is the same.
///
/// # Errors
/// What storage says.
pub async fn score<S: RfmStore + Sync>(
    store: &S,
    model: &RfmModel,
    at: Timestamp,
    anew: bool,
) -> Result<Scored, StoreError> {
    score_telling(store, model, at, anew, &|_, _| false).await
}

/// As [`score`]; those who move from one group to another for which `tells` are told so by a wave of the same transaction
/// (from [`NO_GROUP`] at the first placement).
///
/// # Errors
/// What storage says.
pub async fn score_telling<S: RfmStore + Sync>(
    store: &S,
    model: &RfmModel,
    at: Timestamp,
    anew: bool,
    tells: Tells<'_>,
) -> Result<Scored, StoreError> {
    let window =
        Window { since: model.window_start(at), until: at, positive_only: model.positive_orders_only };
    let run = NewRun {
        model: model.slug.clone(),
        definition: model.to_json(),
        groups: model.groups.iter().map(|group| group.slug.to_string()).collect(),
        window,
        anew,
    };
    match attempt(store, model, run.clone(), tells).await {
        // State that does not fit its orders is not repaired by hand: everything is summed anew.
        Err(StoreError::Inconsistent { table: compute::TABLE, .. }) if !anew => {
            attempt(store, model, NewRun { anew: true, ..run }, tells).await
        }
        answer => answer,
    }
}

/// Whether a move from a group to another is told.
pub type Tells<'a> = &'a (dyn Fn(&str, &str) -> bool + Sync);

/// A wave for each pair of groups that is told.
fn waves(ticket: &RunTicket, moves: &[(u64, Vec<Move>)], tells: Tells<'_>) -> Vec<NewWave> {
    let mut pairs: BTreeMap<(u8, u8), RoaringTreemap> = BTreeMap::new();
    for (number, moves) in moves {
        for one in moves {
            let contact = chunk::contact_at(*number, usize::from(one.place));
            pairs.entry((one.from, one.to)).or_default().insert(contact.0.cast_unsigned());
        }
    }
    let slug = |number: u8| match number {
        chunk::NEVER => NO_GROUP,
        number => ticket.groups.get(usize::from(number)).map_or("", String::as_str),
    };
    let at = ticket.run.window.until;
    pairs
        .into_iter()
        .map(|((from, to), contacts)| (slug(from), slug(to), contacts))
        .filter(|(from, to, _)| from != to && tells(from, to))
        .map(|(from, to, contacts)| NewWave {
            event: crate::live::watch::group_event(
                ticket.run.model.as_str(),
                Some(from),
                to,
                ContactId(0),
                at,
            ),
            causes: 0,
            contacts,
        })
        .collect()
}

async fn attempt<S: RfmStore + Sync>(
    store: &S,
    model: &RfmModel,
    run: NewRun,
    tells: Tells<'_>,
) -> Result<Scored, StoreError> {
    let ticket = store.begin_rfm_run(run).await?;
    storage::fault::point("rfm.after_begin");
    let load = store.load_rfm_run(ticket.clone()).await?;
    let (rebuilt, flow) = (load.rebuilt, (load.flow.len(), load.sums.len()));
    let (model, theirs) = (model.clone(), ticket.clone());
    let computed = tokio::task::spawn_blocking(move || compute::run(&model, &theirs, load))
        .await
        .map_err(|error| StoreError::Driver(format!("scoring has failed: {error}")))??;
    let changed = computed.moves.iter().map(|(_, moves)| moves.len() as u64).sum();
    let commit = RunCommit {
        ticket: ticket.clone(),
        cuts: computed.cuts.to_json(),
        summary: serde_json::to_value(&computed.groups)
            .map_err(|error| StoreError::Driver(format!("figures cannot be written as JSON: {error}")))?,
        changed,
        chunks: computed.chunks,
        moves: computed.moves.iter().map(|(number, moves)| (*number, chunk::encode_moves(moves))).collect(),
        waves: waves(&ticket, &computed.moves, tells),
    };
    storage::fault::point("rfm.before_commit");
    let still_live = store.commit_rfm_run(commit).await?;
    Ok(Scored {
        ticket,
        cuts: computed.cuts,
        groups: computed.groups,
        rebuilt,
        flow,
        still_live,
        moves: computed.moves,
    })
}

/// A contact's scores with what they were made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Who.
    pub contact: ContactId,
    /// Whole days since the last order in the window.
    pub days: u32,
    /// Orders in the window.
    pub orders: u32,
    /// What they come to, in ten-thousandths.
    pub spent: i64,
    /// Recency, frequency and monetary score as decimal digits; 0 in the group [`NO_GROUP`].
    pub code: u16,
    /// Slug of the group.
    pub group: String,
}

/// Everybody as the last run of a model left them, ascending by contact; those in [`NO_GROUP`] too.
///
/// # Errors
/// What storage says.
pub async fn standings<S: RfmStore + Sync>(store: &S, model: &Slug) -> Result<Vec<Standing>, StoreError> {
    let runs = store.load_rfm_runs(model.clone(), 1).await?;
    let Some(at) = runs.first().map(|run| run.at) else { return Ok(Vec::new()) };
    let groups = store.load_rfm_groups(model.clone()).await?;
    let state = store.load_rfm_state(model.clone()).await?;
    let mut list = Vec::new();
    for (number, bytes) in &state.chunks {
        let one = Chunk::decode(bytes)?;
        for place in (0..chunk::CHUNK_LEN).filter(|place| one.group[*place] != chunk::NEVER) {
            let orders = one.orders[place];
            list.push(Standing {
                contact: chunk::contact_at(*number, place),
                days: if orders > 0 { recency_days(Timestamp(one.last_at[place]), at) } else { 0 },
                orders,
                spent: one.spent[place],
                code: one.code[place],
                group: groups.get(usize::from(one.group[place])).cloned().unwrap_or_default(),
            });
        }
    }
    Ok(list)
}

/// Scores single contacts between two runs with the cut points in force. Load it once, use it for many batches, load it
/// again after a run.
pub struct Rescorer {
    models: Vec<(RfmModel, Scorer)>,
}

impl fmt::Debug for Rescorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.models.iter().map(|(model, _)| model.slug.as_str())).finish()
    }
}

impl Rescorer {
    /// All models that were scored at least once, with the cut points of their last run.
    ///
    /// # Errors
    /// What storage says; [`StoreError::Inconsistent`] for a stored definition that does not read back.
    pub async fn load<S: RfmStore + Sync>(store: &S) -> Result<Self, StoreError> {
        let mut models = Vec::new();
        for record in store.load_rfm_models().await? {
            let damaged = |why: String| StoreError::Inconsistent {
                table: "rfm_models",
                row: record.model.to_string(),
                why,
            };
            let model = RfmModel::parse(&record.definition.to_string())
                .map_err(|problems| damaged(problems.first().map(ToString::to_string).unwrap_or_default()))?;
            let cuts = CutPoints::from_json(&record.last_run.cuts)
                .ok_or_else(|| damaged("the cut points do not read back".into()))?;
            let scorer = Scorer::new(&model, &cuts);
            models.push((model, scorer));
        }
        Ok(Self { models })
    }

    /// Scores these contacts as of `now` (an order of this very instant counts) and saves that; answers with those that
    /// moved to another group.
    ///
    /// # Errors
    /// What storage says.
    pub async fn rescore<S: RfmStore + Sync>(
        &self,
        store: &S,
        contacts: Vec<ContactId>,
        now: Timestamp,
    ) -> Result<Vec<GroupMove>, StoreError> {
        let scores = self.scores(store, contacts, now).await?;
        if scores.is_empty() {
            return Ok(Vec::new());
        }
        store.save_live_scores(scores, now).await
    }

    /// What these contacts' scores are as of `now` (an order of this very instant counts) in each model. Nothing is
    /// saved.
    ///
    /// # Errors
    /// What storage says.
    pub async fn scores<S: RfmStore + Sync>(
        &self,
        store: &S,
        contacts: Vec<ContactId>,
        now: Timestamp,
    ) -> Result<Vec<LiveScore>, StoreError> {
        let mut scores = Vec::with_capacity(contacts.len() * self.models.len());
        for (model, scorer) in &self.models {
            let window = Window {
                since: model.window_start(now),
                until: now.plus(1),
                positive_only: model.positive_orders_only,
            };
            let sums = store.load_window_sums(contacts.clone(), window).await?;
            scores.extend(contacts.iter().zip(sums).map(|(contact, sums)| {
                let code = (sums.orders > 0)
                    .then(|| scorer.score(recency_days(sums.last_at, now), sums.orders, sums.spent));
                LiveScore {
                    model: model.slug.clone(),
                    contact: *contact,
                    code: code.map_or(0, rfm::Code::digits),
                    group: code
                        .map_or(NO_GROUP, |code| model.groups[scorer.group(code)].slug.as_str())
                        .to_owned(),
                }
            }));
        }
        Ok(scores)
    }

    /// Whether no model was ever scored.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.models.is_empty()
    }
}
