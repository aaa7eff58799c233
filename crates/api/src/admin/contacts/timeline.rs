//! `GET /api/v1/contacts/{contact}/timeline`: what happened, the newest first.

use axum::{Json, extract::State};
use model::{Amount, ContactId};
use serde::Serialize;
use serde_json::{Map, Value};
use storage::{
    Storage,
    people::{Moment, MomentPlace},
};
use utoipa::ToSchema;

use super::named;
use crate::{
    ApiResult, App,
    access::Viewer,
    admin::messages::StateWord,
    extract::{Asked, Named},
    page::{Page, PageQuery},
    said::At,
};

/// One thing that happened.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum MomentBody {
    /// Something that the contact did.
    Event {
        /// When.
        at: At,
        /// What, as in `Product Viewed`.
        event: String,
        /// Its properties.
        #[schema(value_type = Object)]
        properties: Map<String, Value>,
    },
    /// An order.
    Order {
        /// When.
        at: At,
        /// The shop's id.
        order_id: String,
        /// What was paid, as a decimal number.
        total: String,
        /// What was paid back since.
        refunded: String,
        /// Currency.
        currency: String,
        /// How many lines.
        lines: usize,
    },
    /// A message to it.
    Message {
        /// When it was to leave.
        at: At,
        /// Its id.
        message_id: String,
        /// Where it stands.
        state: StateWord,
        /// Why it failed or was stopped.
        reason: Option<String>,
        /// The journey.
        journey: String,
        /// The node.
        node: String,
        /// The template.
        template: String,
    },
    /// It entered a journey.
    Entered {
        /// When.
        at: At,
        /// The journey.
        journey: String,
        /// Its version.
        version: u32,
        /// The run.
        run: i64,
    },
}

impl From<Moment> for MomentBody {
    fn from(moment: Moment) -> Self {
        let money = |amount: Amount| amount.to_string();
        match moment {
            Moment::Event(event) => {
                Self::Event { at: event.at.into(), event: event.kind, properties: event.properties }
            }
            Moment::Order(order) => Self::Order {
                at: order.at.into(),
                total: money(order.total),
                refunded: money(order.refunded),
                currency: order.currency.code().to_owned(),
                lines: order.lines.len(),
                order_id: order.external_id,
            },
            Moment::Message(row) => Self::Message {
                at: row.message.not_before.into(),
                message_id: row.message.id.to_string(),
                state: row.state.into(),
                reason: row.reason,
                journey: row.message.send.journey.to_string(),
                node: row.message.send.node.clone(),
                template: row.message.send.template.to_string(),
            },
            Moment::Entered(enrolment) => Self::Entered {
                at: enrolment.at.into(),
                journey: enrolment.journey.to_string(),
                version: enrolment.version,
                run: enrolment.run,
            },
        }
    }
}

/// What happened to a contact, the newest first: events, orders, messages, journeys that it entered.
#[utoipa::path(
    get,
    path = "/api/v1/contacts/{contact}/timeline",
    operation_id = "get_timeline",
    tag = "contacts",
    params(("contact" = String, Path), PageQuery),
    responses((status = 200, body = Page<MomentBody>), (status = 404, body = crate::problem::ProblemDetails))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Named(name): Named<String>,
    Asked(page): Asked<PageQuery>,
) -> ApiResult<Json<Page<MomentBody>>> {
    let ContactId(id) = named(&app, &name).await?.id;
    let limit = page.limit()?;
    let after: Option<MomentPlace> = page.after()?;
    let found = app.store.load_timeline(ContactId(id), after, limit + 1).await?;
    Ok(Json(Page::cut(found, limit, |(place, _)| *place).map(|(_, moment)| moment.into())))
}
