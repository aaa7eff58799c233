//! Somebody who has signed in: the session of a request, and how one begins.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use model::Problem;
use serde_json::json;
use storage::{
    Storage,
    audit::Deed,
    users::{Rehash, Session, User},
};

use super::{
    cookie::SESSION,
    origin,
    principal::{Principal, unauthorized},
    stranger::Stranger,
    token,
};
use crate::{ApiError, ApiResult, App};

/// The header that holds the CSRF token.
pub const CSRF_HEADER: &str = "x-csrf-token";
/// Characters that are kept of what a browser calls itself.
const AGENT_LEN_MAX: usize = 200;

/// A user with the session that the request belongs to.
#[derive(Clone, Debug)]
pub struct Account {
    /// Who.
    pub user: User,
    /// The session.
    pub session: Session,
    /// What requests that change something must send along.
    pub csrf: String,
}

/// As the audit log names a user.
pub(crate) fn who(email: &str) -> String {
    format!("user:{email}")
}

/// The session of a request; none when it has none that is good.
///
/// # Errors
/// `access.origin`, `access.csrf` for requests that change something; what the database says.
pub(crate) async fn of<S: Storage>(app: &App<S>, parts: &Parts) -> ApiResult<Option<Account>> {
    let Some(account) = looks(app, &parts.headers).await? else { return Ok(None) };
    if !origin::is_safe(&parts.method) {
        let given = parts.headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        account.only_our_page(app, &parts.headers, given)?;
    }
    Ok(Some(account))
}

/// The session of a request that only looks, or whose CSRF token stands elsewhere.
///
/// # Errors
/// What the database says.
pub(crate) async fn looks<S: Storage>(app: &App<S>, headers: &HeaderMap) -> ApiResult<Option<Account>> {
    let Some(text) = SESSION.read(headers, &app.config.public_url) else { return Ok(None) };
    if text.len() != token::TOKEN_LEN {
        return Ok(None);
    }
    let span = app.config.access.sessions;
    let found = app.store.load_session(token::hash(&text), span, app.now()).await?;
    Ok(found.map(|(session, user)| Account { user, session, csrf: csrf_of(&text) }))
}

impl Account {
    /// Refuses what does not come from a page of ours with the token of this session.
    ///
    /// # Errors
    /// `access.origin`, `access.csrf`.
    pub(crate) fn only_our_page<S: Storage>(
        &self,
        app: &App<S>,
        headers: &HeaderMap,
        given: &str,
    ) -> ApiResult<()> {
        origin::only_ours(headers, &app.config.public_url)?;
        if token::same(given, &self.csrf) {
            return Ok(());
        }
        let problem = Problem::new("access.csrf", "the CSRF token of the session is missing or wrong")
            .field("X-CSRF-Token")
            .cure("send `csrf_token` of GET /api/v1/session along");
        Err(ApiError::new(StatusCode::FORBIDDEN, problem))
    }
}

/// What requests of a session must send along: follows from the session's token, and from nothing else.
fn csrf_of(token: &str) -> String {
    token::derive(token, "csrf")
}

/// Begins a session of a user: the header that sets its cookie, and what the pages need to know. Always with a new token:
/// what the browser brought along is worth nothing, and ends. `renewed` replaces, in the same transaction, what is kept of
/// the password.
///
/// # Errors
/// What the database says.
pub(crate) async fn begin<S: Storage>(
    app: &App<S>,
    user: User,
    stranger: &Stranger,
    how: &'static str,
    renewed: Option<Rehash>,
) -> ApiResult<(HeaderMap, Account)> {
    if let Some(old) = &stranger.old_session {
        let span = app.config.access.sessions;
        if let Some((session, owner)) = app.store.load_session(token::hash(old), span, app.now()).await? {
            let object = who(&owner.is.email);
            let deed = stranger.deed(app, object.clone(), "session.end", &object, json!({"by": "sign-in"}));
            app.store.end_session(session.user, session.id, deed).await?;
        }
    }
    let (text, now) = (token::make(&*app.chance), app.now());
    let session = Session {
        hash: token::hash(&text),
        id: token::name(&*app.chance),
        user: user.id,
        created_at: now,
        seen_at: now,
        client: stranger.client.map(|address| address.to_string()),
        agent: stranger.agent.clone(),
    };
    let (object, details) = (who(&user.is.email), json!({"by": how, "session": session.id}));
    let deed = stranger.deed(app, object.clone(), "session.begin", &object, details);
    app.store.add_session(session.clone(), renewed, deed).await?;
    let seconds = app.config.access.sessions.absolute / model::Timestamp::SECOND;
    let headers = cookie_header(SESSION.set(&text, seconds, &app.config.public_url));
    Ok((headers, Account { csrf: csrf_of(&text), user, session }))
}

/// Headers that set a cookie.
pub(crate) fn cookie_header(value: Option<HeaderValue>) -> HeaderMap {
    value.map(|value| (header::SET_COOKIE, value)).into_iter().collect()
}

/// What a browser calls itself, shortened.
pub(crate) fn agent_of(headers: &HeaderMap) -> String {
    let text = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.chars().take(AGENT_LEN_MAX).collect()
}

/// A user who has signed in, for what they do to their own account. Keys are nobody's.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who, with the session.
    pub account: Account,
    /// The same, as other operations know it.
    pub principal: Principal,
}

impl SignedIn {
    /// What they do now to their own account.
    pub(crate) fn deed<S: Storage>(&self, app: &App<S>, action: &'static str) -> Deed {
        crate::audit::deed(app, &self.principal, action, who(&self.account.user.is.email), json!({}))
    }
}

impl<S: Storage> FromRequestParts<App<S>> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App<S>) -> Result<Self, ApiError> {
        let account = of(app, parts).await?.ok_or_else(unauthorized)?;
        let principal = Principal::of_account(app, parts, &account)?;
        Ok(Self { account, principal })
    }
}
