//! `GET /api/v1/journeys/{slug}/recipients`: what became of each recipient.

use axum::{Json, extract::State};
use engine::live::outcomes::{self, Place, Recipient, Which};
use model::{ContactId, Problem};
use serde::{Deserialize, Serialize};
use storage::{Storage, outbox::MessageRow};
use utoipa::ToSchema;

use crate::{
    ApiResult, App,
    access::Viewer,
    admin::messages::StateWord,
    extract::{Asked, Named},
    page::{Page, PageQuery},
    said::{At, ContactName, contact_asked_for, name_of, names, slug},
};

/// Which recipients.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecipientsQuery {
    /// Of this run; of the last one without it.
    #[param(minimum = 1)]
    run: Option<i64>,
    /// Only this contact: the shop's id, an email address, or `id:` and its number.
    contact: Option<String>,
    /// Only those who are inside (`true`), or are not any more (`false`).
    inside: Option<bool>,
    /// Only those who stay at this node, or left at it.
    node: Option<String>,
    /// Only those who left for this reason, as in `end`, `no_branch`, `exit_event`, `stopped`.
    why: Option<String>,
    /// Only those who reached the goal (`true`), or did not (`false`).
    goal: Option<bool>,
}

/// A recipient: one enrolment of a contact.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RecipientBody {
    /// Who.
    contact: ContactName,
    /// The run.
    run: i64,
    /// Which enrolment of the contact in this run, from 1.
    ordinal: u32,
    /// What tells it from others of the contact: a cart's id, say.
    #[serde(skip_serializing_if = "String::is_empty")]
    key: String,
    /// When it began.
    entered_at: At,
    /// When it changed last.
    changed_at: At,
    /// Whether it is inside.
    inside: bool,
    /// The nodes at which it stays, or the last one that it came to.
    nodes: Vec<String>,
    /// Why it is over: `end`, `no_branch`, or why it left early.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// When it reached the goal.
    #[serde(skip_serializing_if = "Option::is_none")]
    goal_at: Option<At>,
    /// Its messages, in the order in which they were decided.
    messages: Vec<RecipientMessage>,
}

/// A message of a recipient.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RecipientMessage {
    /// Its id.
    id: String,
    /// The node that sent it.
    node: String,
    /// Where it stands.
    state: StateWord,
    /// Why it failed or was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Lists what became of each recipient of a run: where it is or why it left, and its messages. A page may hold fewer than
/// was asked for, or none, and still have a next one: rare ones among many are found in several questions.
#[utoipa::path(
    get,
    path = "/api/v1/journeys/{slug}/recipients",
    operation_id = "list_recipients",
    params(("slug" = String, Path, max_length = 64, pattern = "^[a-z0-9_-]+$"), RecipientsQuery, PageQuery),
    responses((status = 200, body = Page<RecipientBody>))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _viewer: Viewer,
    Named(name): Named<String>,
    Asked(asked): Asked<RecipientsQuery>,
    Asked(query): Asked<PageQuery>,
) -> ApiResult<Json<Page<RecipientBody>>> {
    let slug = slug(&name)?;
    let lives = super::published(&app, &slug).await?;
    let record = match asked.run {
        Some(run) => lives.iter().find(|record| record.run == run),
        None => lives.last(),
    };
    let Some(record) = record else {
        return Err(Problem::new("journey.run", format!("`{slug}` has no such run"))
            .field("run")
            .value(asked.run.unwrap_or_default())
            .cure(format!("see its lives: GET /api/v1/journeys/{slug}"))
            .into());
    };
    let contact = contact_asked_for(&app.store, asked.contact.as_deref()).await?;
    let which = Which { contact, inside: asked.inside, node: asked.node, why: asked.why, goal: asked.goal };
    let (contact, ordinal) = query.after::<(i64, u32)>()?.unwrap_or_default();
    let after = (ContactId(contact), ordinal);
    let (found, next) = outcomes::find(&app.store, record, &which, after, query.limit()?).await?;
    let named = names(&app.store, found.iter().map(|one| one.enrolment.contact)).await?;
    let body = |one: Recipient| {
        let id = one.enrolment.contact;
        body(one, named.get(&id).cloned().unwrap_or_else(|| name_of(id, None)))
    };
    let items = found.into_iter().map(body).collect();
    Ok(Json(Page::next_at(items, next.map(|(contact, ordinal)| (contact.0, ordinal)))))
}

fn body(recipient: Recipient, contact: ContactName) -> RecipientBody {
    let Recipient { enrolment, place, messages } = recipient;
    let (nodes, why) = match place {
        Place::Inside(nodes) => (nodes, None),
        Place::Over { node, why } => (vec![node], Some(why)),
    };
    let message = |row: MessageRow| RecipientMessage {
        id: row.message.id.to_string(),
        node: row.message.send.node.clone(),
        state: row.state.into(),
        reason: row.reason,
    };
    RecipientBody {
        contact,
        run: enrolment.run,
        ordinal: enrolment.ordinal,
        key: enrolment.key,
        entered_at: enrolment.entered_at.into(),
        changed_at: enrolment.changed_at.into(),
        inside: !enrolment.is_over,
        nodes,
        why,
        goal_at: enrolment.goal_at.map(At),
        messages: messages.into_iter().map(message).collect(),
    }
}
