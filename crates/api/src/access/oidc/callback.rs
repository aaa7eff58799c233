//! `GET /api/v1/oidc/callback`: where the identity provider sends the browser back.

use axum::{
    extract::{FromRequestParts, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use model::Problem;
use serde::Deserialize;
use serde_json::json;
use storage::{
    Storage,
    users::{NewUser, User, UserChange},
};

use super::{COOKIE, Config, claims::Claims};
use crate::{
    ApiError, ApiResult, App,
    access::{
        Stranger,
        account::{self, cookie_header, who},
        token, users,
    },
    extract::Asked,
    problem::ProblemDetails,
};

/// What the provider sends along.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Back {
    /// To be changed for a token.
    code: Option<String>,
    /// What we sent there.
    state: Option<String>,
    /// Who sends it (RFC 9207).
    iss: Option<String>,
    /// Why there is no code.
    error: Option<String>,
}

/// The secret of this sign-in.
pub struct Secret(Option<String>);

impl<S: Storage> FromRequestParts<App<S>> for Secret {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App<S>) -> Result<Self, ApiError> {
        let secret = COOKIE.read(&parts.headers, &app.config.public_url);
        Ok(Self(secret.filter(|secret| secret.len() == token::TOKEN_LEN)))
    }
}

/// Signs in and sends the browser to the pages; to the sign-in page with `?problem=CODE` when that was refused.
#[utoipa::path(
    get,
    path = "/api/v1/oidc/callback",
    operation_id = "finish_oidc",
    params(Back),
    responses((status = 303, description = "To the pages"), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    stranger: Stranger,
    secret: Secret,
    Asked(back): Asked<Back>,
) -> ApiResult<(StatusCode, HeaderMap)> {
    let Some(config) = &app.config.access.oidc else {
        return Err(ApiError::not_found("identity provider", "oidc"));
    };
    let public_url = &app.config.public_url;
    let mut headers = cookie_header(COOKIE.clear(public_url));
    let target = match sign_in(&app, config, &stranger, secret, &back).await {
        Ok(begun) => {
            for cookie in begun.get_all(header::SET_COOKIE) {
                headers.append(header::SET_COOKIE, cookie.clone());
            }
            // The provider has sent the browser here: the cookie of the session comes along only from a page of ours.
            format!("{public_url}/account/signed-in")
        }
        Err(problem) => {
            tracing::warn!(code = %problem.code, problem.message, "a sign-in by OpenID Connect was refused");
            format!("{public_url}/account/sign-in?problem={}", problem.code)
        }
    };
    if let Ok(target) = HeaderValue::try_from(target) {
        headers.insert(header::LOCATION, target);
    }
    Ok((StatusCode::SEE_OTHER, headers))
}

async fn sign_in<S: Storage>(
    app: &App<S>,
    config: &Config,
    stranger: &Stranger,
    Secret(secret): Secret,
    back: &Back,
) -> Result<HeaderMap, Problem> {
    let secret = secret.ok_or_else(|| Problem::new("oidc.state", "no sign-in was begun in this browser"))?;
    let state = back.state.as_deref().unwrap_or_default();
    if !token::same(state, &token::derive(&secret, "state")) {
        return Err(Problem::new("oidc.state", "the answer belongs to another sign-in"));
    }
    if back.iss.as_ref().is_some_and(|iss| *iss != config.issuer) {
        return Err(Problem::new("oidc.issuer", "the answer comes from another provider"));
    }
    if let Some(error) = &back.error {
        return Err(Problem::new("oidc.refused", format!("the provider says: {error}")).value(error));
    }
    let code = back.code.as_deref().ok_or_else(|| Problem::new("oidc.refused", "there is no code"))?;
    let redirect = format!("{}{}", app.config.public_url, super::CALLBACK);
    let verifier = token::derive(&secret, "verifier");
    let known = &app.access.oidc.known;
    let provider = known.find(config, app.now()).await?;
    let id_token = provider.redeem(config, code, &redirect, &verifier).await?;
    let payload = known.verify(config, &id_token, app.now()).await?;
    let claims = Claims::check(&payload, config, &token::derive(&secret, "nonce"), app.now())?;
    let user = user_of(app, config, stranger, &claims).await.map_err(first)?;
    let (headers, _) = account::begin(app, user, stranger, "oidc", None).await.map_err(first)?;
    Ok(headers)
}

fn first(error: ApiError) -> Problem {
    error.problems.into_iter().next().unwrap_or_else(|| Problem::new("internal", "it was refused"))
}

/// The user whom the provider knows: by subject, else by the address that it has verified, else made new.
async fn user_of<S: Storage>(
    app: &App<S>,
    config: &Config,
    stranger: &Stranger,
    claims: &Claims,
) -> ApiResult<User> {
    let subject = claims.subject(config);
    let disabled = || Problem::new("oidc.disabled", "the user is disabled");
    if let Some(user) = app.store.find_subject(subject.clone()).await? {
        return if user.disabled_at.is_none() { Ok(user) } else { Err(disabled().into()) };
    }
    let email = users::email(claims.verified_email()?)?;
    let object = who(&email);
    if let Some(user) = app.store.find_user(email.clone()).await? {
        if user.disabled_at.is_some() {
            return Err(disabled().into());
        }
        if user.is.subject.is_some() {
            // The address belongs to somebody else there now.
            return Err(
                Problem::new("oidc.subject", "the user belongs to another account of the provider").into()
            );
        }
        let change = UserChange { subject: Some(subject), ..UserChange::default() };
        let deed = stranger.deed(app, object.clone(), "user.link", &object, json!({"issuer": config.issuer}));
        let linked = app.store.change_user(user.id, change, deed).await?;
        return linked.ok_or_else(|| ApiError::not_found("user", email));
    }
    let domain = email.rsplit('@').next().unwrap_or_default();
    let role =
        config.auto_create.filter(|_| config.domains.iter().any(|known| known.eq_ignore_ascii_case(domain)));
    let Some(role) = role else {
        return Err(Problem::new("oidc.unknown_user", "there is no user with this address").into());
    };
    let user = NewUser {
        name: users::name(claims.name()).unwrap_or_default(),
        locale: claims.locale().to_owned(),
        role,
        password: None,
        subject: Some(subject),
        created_at: app.now(),
        email,
    };
    let details = json!({"role": role.word(), "issuer": config.issuer});
    let deed = stranger.deed(app, object.clone(), "user.create", &object, details);
    let id = app.store.add_user(user, false, deed).await?;
    app.store.load_user(id).await?.ok_or_else(|| ApiError::not_found("user", id.0))
}
