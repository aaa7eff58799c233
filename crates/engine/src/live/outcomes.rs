//! What became of a journey: its lives with their counters, and each of its recipients.

use journey::{
    Journey,
    trace::{self, Detail},
};
use model::{ContactId, MessageId, Slug};
use storage::{
    Result, Storage,
    journeys::CountDelta,
    live::{LifeRecord, TrialTally},
    lives::{EnrolmentRow, Held, RunTotals},
    outbox::MessageRow,
};

use super::lives::of_journey;
use crate::{
    campaign::{self, Report},
    rules::{self, Rules, Versions},
};

/// How often a node may have sent in one enrolment for its messages to be told apart from those of the contact's other
/// enrolments.
const VISITS_MAX: u32 = 64;

/// How one version of a journey stands.
#[derive(Debug)]
pub struct Standing {
    /// Its life.
    pub record: LifeRecord,
    /// The version; without what it uses where that does not exist any more.
    pub rules: Rules,
    /// Passages by node and outcome.
    pub report: Report,
    /// How many stay at each node now.
    pub waiting: Vec<CountDelta>,
    /// How many entered, are inside, reached the goal.
    pub totals: RunTotals,
    /// What the variants of its A/B tests have come to.
    pub tallies: Vec<TrialTally>,
    /// Why the version cannot be compiled any more; then those inside wait.
    pub broken: Option<model::Problems>,
}

impl Standing {
    /// The share of the contacts who entered that reached the goal, inside or not long after, each once; in
    /// ten-thousandths. None before somebody entered or without a goal.
    #[must_use]
    pub fn goal_share(&self) -> Option<u64> {
        self.rules.journey.goal.as_ref()?;
        (self.totals.goal_contacts * 10_000).checked_div(self.totals.contacts)
    }
}

/// How a journey stands: its versions, the first first, and what is held while it is paused. Of versions that are over
/// only the last `over` are shown.
///
/// # Errors
/// What the database says.
pub async fn standing<S: Storage>(store: &S, journey: &Slug, over: usize) -> Result<(Vec<Standing>, Held)> {
    let mut lives = of_journey(store, journey).await?;
    let n = lives.iter().filter(|record| super::book::is_over(record.life)).count();
    let mut drop = n.saturating_sub(over);
    lives.retain(|record| {
        let goes = drop > 0 && super::book::is_over(record.life);
        drop -= usize::from(goes);
        !goes
    });
    let versions = Versions::load(store).await?;
    let runs = store.load_journey_runs(journey.clone()).await?;
    let mut standings = Vec::with_capacity(lives.len());
    for record in lives {
        let Some(run) = runs.iter().find(|run| run.id == record.run) else { continue };
        let (rules, broken) = match rules::compile_pinned(store, &versions, &record).await? {
            Ok(rules) => (rules, None),
            Err(problems) => match rules::bare(store, &record).await? {
                Some(rules) => (rules, Some(problems)),
                None => continue,
            },
        };
        let report = campaign::status(store, &rules.journey, run).await?;
        let waiting = store.count_stays(record.run).await?;
        let totals = store.run_totals(record.run).await?;
        let tallies = store.load_tallies(record.run).await?;
        standings.push(Standing { record, rules, report, waiting, totals, tallies, broken });
    }
    Ok((standings, store.count_held(journey.clone()).await?))
}

/// Where a recipient is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It stays at these nodes.
    Inside(Vec<String>),
    /// It is over.
    Over {
        /// The last node that it came to.
        node: String,
        /// Why: `end`, `no_branch`, or the reason for which it left early (`exit_event`, `stopped` …).
        why: String,
    },
}

/// A recipient of a journey: one enrolment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The enrolment.
    pub enrolment: EnrolmentRow,
    /// Where it is.
    pub place: Place,
    /// Its messages, in the order in which they were decided.
    pub messages: Vec<MessageRow>,
}

/// Which recipients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// This contact.
    pub contact: Option<ContactId>,
    /// Those who are inside, or those who are not any more.
    pub inside: Option<bool>,
    /// Those who stay at this node, or left at it.
    pub node: Option<String>,
    /// Those who left for this reason, as in [`Place::Over`].
    pub why: Option<String>,
    /// Those who reached the goal, or those who did not.
    pub goal: Option<bool>,
}

impl Which {
    fn means(&self, row: &EnrolmentRow, place: &Place) -> bool {
        let there = |node: &String| match place {
            Place::Inside(nodes) => nodes.contains(node),
            Place::Over { node: last, .. } => last == node,
        };
        let so = |wanted: &String| matches!(place, Place::Over { why, .. } if why == wanted);
        self.inside.is_none_or(|inside| inside != row.is_over)
            && self.goal.is_none_or(|goal| goal == row.goal_at.is_some())
            && self.node.as_ref().is_none_or(there)
            && self.why.as_ref().is_none_or(so)
    }
}

/// Enrolments that one question looks through at most: rare ones among a million are found in several questions.
pub const LOOKED_AT: usize = 20_000;
/// Enrolments that are read at once.
const PAGE: usize = 2_000;

/// The recipients of a run behind (contact, ordinal) that are asked for, at most `limit`; and behind whom to go on, none at
/// the end. There may be more though none was found: see [`LOOKED_AT`].
///
/// # Errors
/// What the database says; a version that does not read back.
pub async fn find<S: Storage>(
    store: &S,
    record: &LifeRecord,
    which: &Which,
    mut after: (ContactId, u32),
    limit: usize,
) -> Result<(Vec<Recipient>, Option<(ContactId, u32)>)> {
    let journey = rules::stored_journey(store, record.journey.clone(), record.version).await?;
    let (mut found, mut looked_at) = (Vec::new(), 0);
    let next = loop {
        let page = store.list_enrolments(record.run, which.contact, after, PAGE).await?;
        let read = page.len();
        looked_at += read;
        let mut full = false;
        for row in page {
            if found.len() == limit {
                full = true;
                break;
            }
            after = (row.contact, row.ordinal);
            if which.means(&row, &place(&row, &journey)) {
                found.push(row);
            }
        }
        if full || (read == PAGE && looked_at >= LOOKED_AT) {
            break Some(after);
        }
        if read < PAGE {
            break None;
        }
    };
    Ok((with_messages(store, record, &journey, found).await?, next))
}

/// The recipients of a run behind (contact, ordinal), at most `limit`; those of one contact when asked.
///
/// # Errors
/// What the database says; a version that does not read back.
pub async fn recipients<S: Storage>(
    store: &S,
    record: &LifeRecord,
    contact: Option<ContactId>,
    after: (ContactId, u32),
    limit: usize,
) -> Result<Vec<Recipient>> {
    let rows = store.list_enrolments(record.run, contact, after, limit).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let journey = rules::stored_journey(store, record.journey.clone(), record.version).await?;
    with_messages(store, record, &journey, rows).await
}

async fn with_messages<S: Storage>(
    store: &S,
    record: &LifeRecord,
    journey: &Journey,
    rows: Vec<EnrolmentRow>,
) -> Result<Vec<Recipient>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut contacts: Vec<ContactId> = rows.iter().map(|row| row.contact).collect();
    contacts.dedup();
    let messages = store.messages_of_run(record.run, contacts).await?;
    let run = u32::try_from(record.run).unwrap_or_default();
    let recipient = |enrolment: EnrolmentRow| {
        let own = |row: &&MessageRow| {
            row.message.contact == enrolment.contact && is_of(row, run, enrolment.ordinal)
        };
        let messages = messages.iter().filter(own).cloned().collect();
        Recipient { place: place(&enrolment, journey), messages, enrolment }
    };
    Ok(rows.into_iter().map(recipient).collect())
}

/// Whether a message was decided in an enrolment: its id is derived from it.
fn is_of(row: &MessageRow, run: u32, ordinal: u32) -> bool {
    let (contact, node) = (row.message.contact.0.unsigned_abs(), &row.message.send.node);
    (1..=VISITS_MAX).any(|visit| MessageId::derive(run, contact, ordinal, node, visit) == row.message.id)
}

fn place(enrolment: &EnrolmentRow, journey: &Journey) -> Place {
    if !enrolment.is_over {
        return Place::Inside(enrolment.stays.clone());
    }
    let records = trace::decode(&enrolment.trace).unwrap_or_default();
    let last = records.iter().rev().find_map(|record| record.steps.last());
    let Some((step, node)) = last.and_then(|step| Some((step, journey.nodes.get(usize::from(step.node))?)))
    else {
        return Place::Over { node: String::new(), why: "end".to_owned() };
    };
    let why = match step.detail {
        Detail::Left(why) => why.word(),
        _ if journey::counts::leaves_by_no_branch(node) => "no_branch",
        _ => "end",
    };
    Place::Over { node: node.id.clone(), why: why.to_owned() }
}
