//! Webhooks to others: who wants to hear what happens to contacts and messages, and what was told (docs/webhooks.md).

mod change;
mod create;
mod deliveries;
mod list;
mod read;
mod remove;
mod replay;
mod replay_one;
mod rotate;
mod test;

use model::{Event, Problem, Problems, event::kind, text};
use serde::Serialize;
use serde_json::json;
use storage::{
    Storage,
    hooks::{Hook, HookDelivery, HookPlan},
};
use utoipa::ToSchema;

use crate::{
    ApiError, ApiResult, App, operations,
    problem::ProblemBody,
    section::Section,
    tag::{Tag, Tagged},
};

/// Most kinds of one webhook.
pub const KINDS_MAX: usize = 100;
/// Longest note, in characters.
pub const NOTE_MAX: usize = 200;

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("webhooks"), S;
        list, create, read, change, remove, rotate, test, deliveries, replay, replay_one)
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
pub struct Webhook {
    /// Its number.
    pub id: i64,
    /// Where to.
    pub url: String,
    /// Kinds of events that it is told; all when empty.
    pub kinds: Vec<String>,
    /// What the shop calls it.
    pub note: String,
    /// Whether it is told anything.
    pub active: bool,
    /// `well`, `failing`, `paused` (called again from `paused_until` on), or `given_up` (set `active` to begin again).
    pub health: &'static str,
    /// Failures in a row.
    pub failures: u32,
    /// Since when there was no success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<String>,
    /// Not called before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<String>,
    /// When it was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_up_at: Option<String>,
    /// Deliveries that wait.
    pub waiting: u64,
    /// Events that were left out because too many waited.
    pub overflow: u64,
    /// When the last one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow_at: Option<String>,
    /// Secrets that sign now: two for a day after one was rotated.
    pub secrets: usize,
    /// When it was made.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
}

/// A webhook, with what is said once.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewWebhook {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// What signs: shown this once. Give it to whoever receives the calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// What is probably not meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<ProblemBody>,
}

/// An event on its way to a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub struct Delivery {
    /// Its number.
    pub id: i64,
    /// The event's id, `webhook-id` of every try.
    pub event: String,
    /// What happened.
    pub kind: String,
    /// To whom; none for a test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<i64>,
    /// When.
    pub at: String,
    /// `waiting`, `delivered` or `failed`.
    pub state: &'static str,
    /// Tries so far.
    pub attempts: u32,
    /// When it is due, or was settled.
    pub due: String,
    /// The status of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong last, or the first line of the answer.
    pub detail: String,
}

impl Webhook {
    fn of(hook: &Hook, now: model::Timestamp) -> Self {
        let health = &hook.health;
        let paused = health.open_until.filter(|until| *until > now);
        let text = |at: Option<model::Timestamp>| at.map(|at| at.to_string());
        Self {
            id: hook.id,
            url: hook.plan.url.clone(),
            kinds: hook.plan.kinds.clone(),
            note: hook.plan.note.clone(),
            active: hook.plan.active,
            health: match (health.disabled_at, paused, health.failures) {
                (Some(_), ..) => "given_up",
                (None, Some(_), _) => "paused",
                (None, None, 0) => "well",
                _ => "failing",
            },
            failures: health.failures,
            failing_since: text(health.failing_since),
            paused_until: text(paused),
            given_up_at: text(health.disabled_at),
            waiting: hook.waiting,
            overflow: hook.overflow,
            overflow_at: text(hook.overflow_at),
            secrets: hook.secrets.iter().filter(|one| one.until.is_none_or(|until| until > now)).count(),
            created_at: hook.created_at.to_string(),
            updated_at: hook.updated_at.to_string(),
        }
    }
}

/// The version of a webhook: of what users set. How calls fare changes it not, so that a change is not refused because a
/// call has failed meanwhile.
fn tag(plan: &HookPlan) -> Tag {
    Tag::of(&json!([plan.url, plan.kinds, plan.note, plan.active]))
}

impl From<HookDelivery> for Delivery {
    fn from(one: HookDelivery) -> Self {
        Self {
            id: one.seq,
            event: one.event,
            kind: one.kind,
            contact: one.contact.map(|contact| contact.0),
            at: one.at.to_string(),
            state: one.state.word(),
            attempts: one.attempts,
            due: one.due.to_string(),
            status: one.status,
            detail: one.detail,
        }
    }
}

async fn find<S: Storage>(app: &App<S>, id: i64) -> ApiResult<Hook> {
    let hooks = app.store.load_hooks().await?;
    hooks.into_iter().find(|hook| hook.id == id).ok_or_else(|| ApiError::not_found("webhook", id))
}

/// A webhook as it is now.
async fn answer<S: Storage>(app: &App<S>, id: i64) -> ApiResult<Tagged<Webhook>> {
    let hook = find(app, id).await?;
    Ok(Tagged(tag(&hook.plan), Webhook::of(&hook, app.now())))
}

/// Checks what a user says of a webhook; warnings come back.
fn check(plan: &HookPlan) -> Result<Problems, Problems> {
    let mut problems = Problems::new();
    problems.extend(delivery::hooks::check_url(&plan.url).err());
    if plan.note.chars().count() > NOTE_MAX || plan.note.chars().any(char::is_control) {
        let message = format!("a note has at most {NOTE_MAX} characters and stands on one line");
        problems.push(Problem::new("hooks.note", message).field("note"));
    }
    if plan.kinds.len() > KINDS_MAX {
        let message = format!("more than {KINDS_MAX} kinds");
        problems.push(
            Problem::new("hooks.kinds", message).field("kinds").cure("leave them out to be told everything"),
        );
    }
    let mut warnings = Problems::new();
    for (i, name) in plan.kinds.iter().enumerate().take(KINDS_MAX) {
        let field = format!("kinds.{i}");
        if name.is_empty() || name.chars().count() > Event::KIND_LEN_MAX || name.chars().any(char::is_control)
        {
            let message = format!("a kind has 1 to {} characters", Event::KIND_LEN_MAX);
            problems.push(Problem::new("hooks.kinds", message).field(field).value(name));
        } else if !kind::KNOWN.contains(&name.as_str())
            && let Some(near) = text::nearest(name, kind::KNOWN.iter().copied())
        {
            let message = format!("`{name}` is a kind of the shop's own");
            let warning = Problem::warning("hooks.unknown_kind", message).field(field).value(name);
            warnings.push(warning.cure(format!("did you mean `{near}`?")));
        }
    }
    if problems.is_empty() { Ok(warnings) } else { Err(problems) }
}

fn told(warnings: &Problems) -> Vec<ProblemBody> {
    warnings.iter().map(ProblemBody::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> HookPlan {
        HookPlan { url: "https://crm.example/h".into(), kinds: Vec::new(), note: String::new(), active: true }
    }

    #[test]
    fn plans_are_checked_at_their_edges() {
        let code = |plan: HookPlan| check(&plan).map_err(|problems| problems[0].code.to_string());
        assert_eq!(code(plan()), Ok(Vec::new()));
        let kinds = |n| HookPlan { kinds: vec!["Bought a Boat".into(); n], ..plan() };
        assert!(code(kinds(KINDS_MAX)).is_ok());
        assert_eq!(code(kinds(KINDS_MAX + 1)), Err("hooks.kinds".into()));
        let note = |n| HookPlan { note: "é".repeat(n), ..plan() };
        assert!(code(note(NOTE_MAX)).is_ok());
        assert_eq!(code(note(NOTE_MAX + 1)), Err("hooks.note".into()));
        let kind = |n| HookPlan { kinds: vec!["k".repeat(n)], ..plan() };
        assert!(code(kind(Event::KIND_LEN_MAX)).is_ok());
        for n in [0, Event::KIND_LEN_MAX + 1] {
            assert_eq!(code(kind(n)), Err("hooks.kinds".into()), "{n}");
        }
        assert_eq!(code(HookPlan { url: "ftp://x".into(), ..plan() }), Err("hooks.url".into()));
        let near = check(&HookPlan { kinds: vec!["Email Bouncd".into()], ..plan() }).unwrap();
        assert!(near[0].cure.as_ref().unwrap().contains("Email Bounced"), "{near:?}");
    }
}
