//! `POST /api/v1/templates/preview`: what a template looks like for somebody.

use axum::{Json, extract::State};
use model::{Contact, Problem, Zone};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::Storage;
use template::{RenderInput, Template};
use utoipa::ToSchema;

use super::{compile, context, currency};
use crate::{
    ApiResult, App,
    access::Viewer,
    admin::definitions::{TEMPLATE, text},
    extract::Body,
    problem::ProblemBody,
    said,
};

/// A template to look at: a saved one, or a draft.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"template": "welcome", "contact": "C-1042", "locale": "fr-FR"}))]
pub(crate) struct PreviewTemplate {
    /// One that is saved.
    template: Option<String>,
    /// A draft as a tree.
    #[schema(value_type = Option<Object>)]
    definition: Option<Value>,
    /// A draft as text, YAML or JSON.
    source: Option<String>,
    /// For whom: the shop's id, an email address, or `id:` and the contact's number. Without one, for somebody made up.
    contact: Option<String>,
    /// In which language and formats: the contact's by default.
    #[schema(examples("fr-FR"))]
    locale: Option<String>,
    /// Variables in place of made-up ones, by name.
    #[schema(value_type = Option<Object>)]
    variables: Option<serde_json::Map<String, Value>>,
}

/// What it looks like.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = TemplatePreview)]
pub(crate) struct PreviewBody {
    /// One line.
    subject: String,
    /// What a mailbox shows after the subject.
    preheader: String,
    /// The page: show it in a sandboxed frame, it holds what people wrote.
    html: String,
    /// The same for those who read plain text; all that a text message or a push says.
    text: String,
    /// Worth knowing about the template.
    warnings: Vec<ProblemBody>,
}

/// Renders a template for a contact, or for somebody made up. Nothing is saved or sent; links lead nowhere.
#[utoipa::path(
    post,
    path = "/api/v1/templates/preview",
    operation_id = "previewTemplate",
    request_body = PreviewTemplate,
    responses((status = 200, body = PreviewBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Body(given): Body<PreviewTemplate>,
) -> ApiResult<Json<PreviewBody>> {
    let context = context(&app.store).await?;
    let (source, slug) = match &given.template {
        Some(name) => {
            let definition = TEMPLATE.find(&app.store, name).await?;
            (definition.source().into_owned(), definition.slug)
        }
        None => (text(given.definition, given.source)?, said::slug("preview")?),
    };
    let (_, template) = compile(&source, &slug, &context)?;
    let contact = match &given.contact {
        Some(text) => Some(said::find_contact(&app.store, text).await?),
        None => None,
    };
    let mut variables = variables(&app, &template, contact.as_ref()).await?;
    if let (Some(map), Some(own)) = (variables.as_object_mut(), given.variables) {
        map.extend(own);
    }
    let own = contact.as_ref().and_then(|contact| contact.locale.clone());
    let first = template.languages().next().unwrap_or("en").to_owned();
    let locale = given.locale.or(own).unwrap_or(first);
    let zone =
        contact.and_then(|contact| Zone::parse(contact.time_zone.as_deref()?).ok()).unwrap_or(Zone::UTC);
    let nowhere = format!("{}/", app.config.public_url);
    let input = RenderInput {
        variables: &variables,
        locale: &locale,
        zone: &zone,
        currency: currency(&app.store).await?,
        at: app.now(),
        links: template::Links {
            unsubscribe_url: &nowhere,
            preferences_url: &nowhere,
            view_in_browser_url: &nowhere,
            forward_url: &nowhere,
        },
        utm: None,
        rewrite: None,
    };
    let rendered = template.render(&input).map_err(|problem: Problem| problem)?;
    Ok(Json(PreviewBody {
        subject: rendered.subject,
        preheader: rendered.preheader,
        html: rendered.html,
        text: rendered.text,
        warnings: template.warnings().iter().map(ProblemBody::from).collect(),
    }))
}

/// Made-up variables, with what is known of the contact in place of what was made up of it.
pub(super) async fn variables<S: Storage>(
    app: &App<S>,
    template: &Template,
    contact: Option<&Contact>,
) -> ApiResult<Value> {
    let mut variables = template.sample();
    let (Some(contact), Some(map)) = (contact, variables.as_object_mut()) else { return Ok(variables) };
    let reads = template.reads();
    let totals = app.store.load_totals(vec![contact.id]).await?.into_iter().next().unwrap_or_default();
    let totalled = |name: &str| engine_value(name, contact, &totals);
    let fields = reads.fields.iter().filter_map(|name| Some((name.as_str(), totalled(name)?)));
    let segments: Vec<String> = app
        .store
        .load_memberships(vec![contact.id])
        .await?
        .into_iter()
        .flatten()
        .map(|slug| slug.to_string())
        .collect();
    let lists: Vec<String> = contact.lists.iter().map(ToString::to_string).collect();
    let consents = contact.consents.iter().map(|consent| (consent.purpose.as_str(), consent.state));
    let placements =
        app.store.load_placements(vec![contact.id]).await?.into_iter().next().unwrap_or_default();
    let known = template::variables::contact(fields, &segments, &lists, consents, &placements);
    map.insert("contact".to_owned(), known);
    Ok(variables)
}

/// A field of the profile, or one that comes from the contact's orders.
fn engine_value(name: &str, contact: &Contact, totals: &model::Totals) -> Option<model::Value> {
    use model::Value;
    match name {
        "first_order_at" => totals.first_order_at.map(Value::Instant),
        "last_order_at" => totals.last_order_at.map(Value::Instant),
        "order_count" => Some(Value::Integer(i64::from(totals.orders))),
        "order_total" => Some(Value::Decimal(model::Amount(totals.spent))),
        "average_order" => totals.average().map(Value::Decimal),
        _ => contact.field(name),
    }
}
