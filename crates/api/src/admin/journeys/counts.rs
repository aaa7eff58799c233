//! `GET /api/v1/journeys/{slug}/counts`: how many went which way.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use engine::live::{
    lives::Memo,
    outcomes::{self, Standing},
};
use serde::{Deserialize, Serialize};
use storage::Storage;
use utoipa::ToSchema;

use super::LifeBody;
use crate::{
    ApiResult, App,
    access::Viewer,
    extract::{Asked, Named},
    problem::ProblemBody,
    said::{At, Names, slug},
};

/// Which versions.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CountsQuery {
    /// So many of the versions that are over are shown, the last ones: 0 to 20, 1 by default.
    #[param(minimum = 0, maximum = 20)]
    over: Option<u8>,
}

/// How a journey stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CountsBody {
    /// The journey.
    journey: String,
    /// Triggers that wait because it is paused.
    held: u64,
    /// Triggers that came when no more could be held: they start nothing.
    dropped: u64,
    /// Its versions, the first first.
    versions: Vec<StandingBody>,
}

/// How a version stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct StandingBody {
    /// Its life.
    life: LifeBody,
    /// Enrolments.
    entered: u64,
    /// Of these, inside now.
    inside: u64,
    /// Contacts, each once.
    contacts: u64,
    /// What it is for, when the file says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<GoalBody>,
    /// Contacts of its audience who stay out because they were here before.
    stay_out: u64,
    /// Events that it raised and that were dropped because journeys start each other again and again.
    events_dropped: u64,
    /// Its nodes, the start first.
    nodes: Vec<NodeBody>,
    /// Its A/B tests.
    tests: Vec<TestBody>,
    /// Why it cannot be compiled any more; then those inside wait.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    broken: Vec<ProblemBody>,
}

/// How far the goal is reached.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct GoalBody {
    /// Contacts that reached it, each once.
    reached: u64,
    /// The share of contacts that did, in ten-thousandths; none before somebody entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<u64>,
    /// The share that is wanted, in ten-thousandths.
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted_share: Option<u32>,
    /// The number that is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<u64>,
}

/// What became of those who came to a node.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct NodeBody {
    /// Its id in the file.
    node: String,
    /// Its kind.
    kind: String,
    /// What people call it.
    name: Names,
    /// Passages and stays.
    came: u64,
    /// Those who stay there now.
    waiting: u64,
    /// How they left.
    outcomes: Vec<OutcomeBody>,
}

/// A way out of a node.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct OutcomeBody {
    /// The outcome's word; `left` for those who left the journey here before its end.
    outcome: String,
    /// Why a message was refused, or why they left.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// How many.
    contacts: u64,
    /// The nodes that they went to; none for those who left the journey.
    to: Vec<String>,
    /// They left because no link matches.
    no_branch: bool,
}

/// An A/B test.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = TrialCounts)]
pub(crate) struct TestBody {
    /// Its node.
    node: String,
    /// Its variants.
    variants: Vec<VariantBody>,
    /// The variant that won.
    #[serde(skip_serializing_if = "Option::is_none")]
    winner: Option<String>,
    /// How it was decided: `significant`, `end` or `tie`.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_at: Option<At>,
}

/// What a variant has come to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct VariantBody {
    /// Its name.
    variant: String,
    /// Contacts that took it.
    entered: u64,
    /// Of these, that did what is wanted.
    converted: u64,
}

/// Shows how many contacts came to each node of each version, and how they left it.
#[utoipa::path(
    get,
    path = "/api/v1/journeys/{slug}/counts",
    operation_id = "count_journey",
    params(("slug" = String, Path, max_length = 64, pattern = "^[a-z0-9_-]+$"), CountsQuery),
    responses((status = 200, body = CountsBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _viewer: Viewer,
    Named(name): Named<String>,
    Asked(query): Asked<CountsQuery>,
) -> ApiResult<Json<CountsBody>> {
    let slug = slug(&name)?;
    super::published(&app, &slug).await?;
    let over = usize::from(query.over.unwrap_or(1).min(20));
    let (standings, held) = outcomes::standing(&app.store, &slug, over).await?;
    Ok(Json(CountsBody {
        journey: slug.to_string(),
        held: held.held,
        dropped: held.dropped,
        versions: standings.iter().map(body).collect(),
    }))
}

fn body(standing: &Standing) -> StandingBody {
    let (journey, totals) = (&standing.rules.journey, standing.totals);
    StandingBody {
        life: LifeBody::from(&standing.record),
        entered: totals.entered,
        inside: totals.inside,
        contacts: totals.contacts,
        goal: journey.goal.as_ref().map(|goal| GoalBody {
            reached: totals.goal_contacts,
            share: standing.goal_share(),
            wanted_share: goal.share,
            wanted: goal.count,
        }),
        stay_out: standing.report.stay_out,
        events_dropped: standing.report.dropped,
        nodes: nodes(journey, &standing.report.counts, &|id| {
            standing.waiting.iter().find(|delta| delta.node == id).map_or(0, |delta| delta.n)
        }),
        tests: tests(standing),
        broken: standing.broken.iter().flatten().map(ProblemBody::from).collect(),
    }
}

/// The nodes of a journey with their counts; `stays` says how many are at a node now.
pub(crate) fn nodes(
    journey: &journey::Journey,
    counts: &journey::Counts,
    stays: &dyn Fn(&str) -> u64,
) -> Vec<NodeBody> {
    let id = |node: &u16| journey.node(*node).id.clone();
    let mut outcomes: BTreeMap<u16, Vec<OutcomeBody>> = BTreeMap::new();
    for line in counts.lines(journey) {
        let refusal = line.refusal.map(|refusal| refusal.word().to_owned());
        outcomes.entry(line.node).or_default().push(OutcomeBody {
            outcome: line.outcome,
            reason: refusal.or_else(|| line.left.map(|why| why.word().to_owned())),
            contacts: line.contacts,
            to: line.to.iter().map(id).collect(),
            no_branch: line.no_branch,
        });
    }
    let node = |(number, node): (u16, &journey::graph::Node)| {
        let waiting = stays(&node.id);
        NodeBody {
            node: node.id.clone(),
            kind: node.kind.word.to_owned(),
            name: Names {
                en: node.label(model::Lang::En).to_owned(),
                fr: node.label(model::Lang::Fr).to_owned(),
            },
            came: counts.entered(number) + waiting,
            waiting,
            outcomes: outcomes.remove(&number).unwrap_or_default(),
        }
    };
    (0_u16..).zip(&journey.nodes).map(node).collect()
}

fn tests(standing: &Standing) -> Vec<TestBody> {
    let memo = Memo::of(&standing.record);
    let mut tests: BTreeMap<&str, Vec<VariantBody>> = BTreeMap::new();
    for tally in &standing.tallies {
        tests.entry(&tally.node).or_default().push(VariantBody {
            variant: tally.variant.clone(),
            entered: tally.entered,
            converted: tally.converted,
        });
    }
    let test = |(node, variants): (&str, Vec<VariantBody>)| {
        let decided = memo.decided.get(node);
        TestBody {
            node: node.to_owned(),
            variants,
            winner: memo.winners.get(node).cloned(),
            decided: decided.map(|decided| decided.why.clone()),
            decided_at: decided.map(|decided| decided.at.into()),
        }
    };
    tests.into_iter().map(test).collect()
}
