//! `POST /api/v1/subscribe`: somebody asks by a form of the shop to be written to.

use axum::Json;
use axum::{extract::State, http::StatusCode};
use model::{Lang, Problem, Problems, Slug};
use policy::{Enforcement, Purposes};
use serde::{Deserialize, Serialize};
use storage::{
    Storage,
    consents::{Proof, Subscription},
    imports::ContactPatch,
};
use utoipa::ToSchema;

use super::{CONFIRM_WITHIN, confirm, look::Look, mails, preferences, visitor::Visitor};
use crate::{ApiError, ApiResult, App, access::Tracker, extract::Body};

/// Most purposes of one form.
pub const PURPOSES_MAX: usize = 20;
/// Longest text that a form shows, in characters.
pub const TEXT_LEN_MAX: usize = 2_000;
/// Longest other value of a form, in characters.
pub const VALUE_LEN_MAX: usize = 200;

/// What a form says.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ann@shop.example", "purposes": ["newsletter"], "locale": "fr"}))]
pub struct SubscribeBody {
    /// Who.
    pub email: String,
    /// Purposes, and topics as in `newsletter/promotions`: 1 to 20.
    pub purposes: Vec<String>,
    /// The form's name, as in `footer`: part of the proof.
    #[serde(default)]
    pub form: String,
    /// The text that stood beside the button: part of the proof. What the purposes' descriptions say without it.
    #[serde(default)]
    pub text: String,
    /// The page that held the form: part of the proof, without its query.
    #[serde(default)]
    pub page: String,
    /// The language of the mail and of a new contact, as in `fr-FR`; the browser's without it.
    #[serde(default)]
    pub locale: Option<String>,
    /// Of a new contact. What is known of a contact, a form does not change.
    #[serde(default)]
    pub first_name: Option<String>,
    /// Of a new contact.
    #[serde(default)]
    pub last_name: Option<String>,
}

/// What happens next. It is the same for an address that is known and for one that is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Subscribed {
    /// Whether a mail asks for confirmation before anything is sent.
    pub confirmation: bool,
}

/// Takes a subscription from a form of the shop, with a public key. Where the purpose asks for it the answer counts only when
/// it was confirmed by mail. Who is subscribed already is not told so.
#[utoipa::path(
    post,
    path = "/api/v1/subscribe",
    operation_id = "subscribe",
    request_body = SubscribeBody,
    responses(
        (status = 202, body = Subscribed),
        (status = 401, body = crate::problem::ProblemDetails),
        (status = 413, body = crate::problem::ProblemDetails),
        (status = 422, body = crate::problem::ProblemDetails),
        (status = 429, body = crate::problem::ProblemDetails)
    )
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Tracker,
    visitor: Visitor,
    Body(body): Body<SubscribeBody>,
) -> ApiResult<(StatusCode, Json<Subscribed>)> {
    let subscribed = take(&app, &visitor, body).await?;
    Ok((StatusCode::ACCEPTED, Json(subscribed)))
}

/// Takes what a form says.
pub(super) async fn take<S: Storage>(
    app: &App<S>,
    visitor: &Visitor,
    body: SubscribeBody,
) -> ApiResult<Subscribed> {
    if !app.link_state.takes_form(&visitor.client, app.now()) {
        let problem =
            Problem::new("subscribe.too_many", "so many forms came from here that this one is not taken");
        return Err(ApiError::retry(StatusCode::TOO_MANY_REQUESTS, problem, 60));
    }
    let purposes = preferences::rules(app).await?.purposes;
    let (email, slugs) = checked(&purposes, &body)?;
    let lang = visitor.lang(body.locale.as_deref());
    let mut look = Look::of(app, visitor, None).await?;
    look.lang = lang;
    let locale = body.locale.clone().unwrap_or_else(|| preferences::tag(lang).to_owned());
    let patch = ContactPatch {
        email: Some(email),
        first_name: given(&body.first_name),
        last_name: given(&body.last_name),
        locale: Some(locale),
        ..ContactPatch::default()
    };
    let with_proof = |slug: &Slug| (slug.clone(), proof(&purposes, slug, &body, lang, &visitor.client));
    let doubled = |slug: &&Slug| purposes.find(slug.as_str()).is_none_or(|purpose| purpose.double_opt_in);
    let to_confirm: Vec<Slug> = slugs.iter().filter(doubled).cloned().collect();
    let at_once = slugs.iter().filter(|slug| !doubled(slug)).map(with_proof).collect();
    let names = confirm::names(&purposes, &to_confirm, &look);
    let mail = match to_confirm.first() {
        Some(first) => Some(mails::question(app, (look.shop(), &names), first, lang).await?),
        None => None,
    };
    let confirmation = mail.is_some();
    let subscription = Subscription {
        patch,
        at: app.now(),
        source: "form".into(),
        at_once,
        to_confirm: to_confirm.iter().map(with_proof).collect(),
        mail,
        expires_at: app.now().plus(CONFIRM_WITHIN),
    };
    if app.store.subscribe(subscription).await? {
        app.delivery_bell.notify_one();
    }
    app.engine_bell.notify_one();
    Ok(Subscribed { confirmation })
}

fn given(text: &Option<String>) -> Option<String> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Address and purposes, or everything that is wrong.
fn checked(purposes: &Purposes, body: &SubscribeBody) -> Result<(String, Vec<Slug>), Problems> {
    let mut problems = Vec::new();
    let email = model::field::parse_email(body.email.trim());
    let email = email.map_err(|problem| problems.push(problem.field("email"))).unwrap_or_default();
    if body.purposes.is_empty() || body.purposes.len() > PURPOSES_MAX {
        let problem =
            Problem::new("subscribe.purposes", format!("the form names {} purposes", body.purposes.len()));
        problems.push(problem.field("purposes").cure(format!("name 1 to {PURPOSES_MAX}")));
    }
    let mut slugs = Vec::new();
    for name in body.purposes.iter().take(PURPOSES_MAX) {
        let known = purposes.find(name).filter(|purpose| {
            purpose.enforcement != Enforcement::None
                && (purpose.slug.as_str() == name
                    || purpose.topics.iter().any(|topic| topic.slug.as_str() == name))
        });
        match (known, Slug::purpose(name)) {
            (Some(_), Ok(slug)) if !slugs.contains(&slug) => slugs.push(slug),
            (Some(_), Ok(_)) => {}
            _ => {
                let problem = Problem::new("purpose.unknown", format!("nobody can subscribe to `{name}`"));
                let known = purposes.0.iter().map(|purpose| purpose.slug.as_str());
                problems.push(problem.field("purposes").value(name).suggest(name, known));
            }
        }
    }
    // A yes to a topic is one to its purpose.
    for slug in slugs.clone() {
        if let Some(purpose) = purposes.find(slug.as_str())
            && !slugs.contains(&purpose.slug)
        {
            slugs.insert(0, purpose.slug.clone());
        }
    }
    let names = [&body.first_name, &body.last_name, &body.locale].map(|value| value.as_deref().unwrap_or(""));
    let values = [
        ("form", body.form.as_str(), VALUE_LEN_MAX),
        ("text", &body.text, TEXT_LEN_MAX),
        ("page", &body.page, TEXT_LEN_MAX),
        ("first_name", names[0], VALUE_LEN_MAX),
        ("last_name", names[1], VALUE_LEN_MAX),
        ("locale", names[2], 35),
    ];
    for (field, value, most) in values {
        if value.chars().count() > most || value.chars().any(|c| c.is_control() && c != '\n') {
            let problem = Problem::new("subscribe.value", "the value is too long, or has control characters");
            problems.push(problem.field(field).cure(format!("use at most {most} characters")));
        }
    }
    if problems.is_empty() { Ok((email, slugs)) } else { Err(problems) }
}

fn proof(purposes: &Purposes, slug: &Slug, body: &SubscribeBody, lang: Lang, client: &str) -> Proof {
    let shown = || {
        let description = purposes.find(slug.as_str()).map_or("", |purpose| purpose.description.get(lang));
        format!("{} {description}", purposes.name(slug.as_str(), lang)).trim().to_owned()
    };
    Proof {
        place: body.form.clone(),
        page: body.page.split(['?', '#']).next().unwrap_or_default().to_owned(),
        text: if body.text.is_empty() { shown() } else { body.text.clone() },
        lang: preferences::tag(lang).to_owned(),
        client: client.to_owned(),
        message_id: None,
    }
}
