//! `POST /api/v1/templates/{slug}/test`: sends a template to one address, to look at it in a mailbox.

use std::sync::Arc;

use axum::{Json, extract::State};
use model::{MessageId, Problem};
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::{
    Storage,
    outbox::{OutboxMessage, SendPoint},
};
use utoipa::ToSchema;

use super::{compile, context, preview::variables};
use crate::{
    ApiResult, App,
    access::Editor,
    admin::definitions::TEMPLATE,
    audit,
    extract::{Body, Named},
    said,
};

/// What stands for the journey and the purpose of test messages.
const TEST: &str = "template-test";

/// To whom.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"contact": "C-1042", "to": "us@shop.example"}))]
pub(crate) struct TestTemplate {
    /// Whose data it shows: the shop's id, an email address, or `id:` and the contact's number.
    contact: String,
    /// The address that it goes to, if not the contact's: a mailbox of the shop's own.
    to: Option<String>,
}

/// The message.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = TestedTemplate)]
pub(crate) struct TestBody {
    /// Its id: see the log of messages.
    message_id: String,
}

/// Puts a test message into the outbox: it goes to that one address, whatever the contact has agreed to, and counts for
/// nothing. Variables that journeys would fill are made up.
#[utoipa::path(
    post,
    path = "/api/v1/templates/{slug}/test",
    operation_id = "testTemplate",
    params(("slug" = String, Path, description = "What it is known by")),
    request_body = TestTemplate,
    responses((status = 200, body = TestBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(slug): Named<String>,
    Body(given): Body<TestTemplate>,
) -> ApiResult<Json<TestBody>> {
    let definition = TEMPLATE.find(&app.store, &slug).await?;
    let context = context(&app.store).await?;
    let (_, template) = compile(&definition.source(), &definition.slug, &context)?;
    let contact = said::find_contact(&app.store, &given.contact).await?;
    let channel = template.channel();
    let to = match (&given.to, channel) {
        (Some(address), model::Channel::Email) => {
            Some(model::field::parse_email(address).map_err(|problem| problem.field("to"))?)
        }
        (Some(_), _) => {
            let problem = Problem::new("template.test_to", "only a mail can go to another address");
            return Err(problem.field("to").cure("leave `to` out: it goes to the contact").into());
        }
        (None, _) => None,
    };
    let mut id = [0; 16];
    app.chance.fill(&mut id);
    let now = app.now();
    let send = SendPoint {
        journey: said::slug(TEST)?,
        journey_version: 1,
        run: 0,
        node: "test".to_owned(),
        channel,
        purpose: said::slug(TEST)?,
        transactional: true,
        template: definition.slug.clone(),
        template_version: definition.version,
    };
    let message = OutboxMessage {
        id: MessageId(id),
        contact: contact.id,
        send: Arc::new(send),
        to: to.clone(),
        locale: contact.locale.clone(),
        variables: variables(&app, &template, Some(&contact)).await?.to_string(),
        decided_at: now,
        not_before: now,
        expires_at: None,
    };
    app.store.insert_messages(vec![message]).await?;
    app.delivery_bell.notify_one();
    let details = json!({ "contact": contact.id.0, "elsewhere": to.is_some() });
    audit::note(&app, &by, "template.test", format!("template:{slug}"), details).await?;
    Ok(Json(TestBody { message_id: MessageId(id).to_string() }))
}
