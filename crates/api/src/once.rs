//! Requests that are worked on once however often they are sent: `Idempotency-Key`.
//!
//! Every POST of the admin API that is listed with [`operations!`](macro@crate::operations) is such; what is not, is listed
//! with [`each_time!`](macro@crate::each_time). A client chooses a key (a UUID, say) and sends it again with every try of the same request: the first is worked on, the
//! others are given its answer, for a day. Keys belong to who sends them. What the server failed at (5xx) may be tried
//! again with the same key.
//!
//! What an answer shows once and is kept nowhere ([`Shown`]: a new key) is not kept here either: a repeat is told that it
//! was done.
//!
//! The work goes on when the client hangs up or the request's time is over: its answer is kept, and a repeat gets it.

use std::{future::Future, pin::Pin};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    handler::Handler,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use model::Problem;
use sha2::{Digest, Sha256};
use storage::{
    Storage,
    desk::{Begun, KeptAnswer, RequestMark},
};
use utoipa::openapi::{
    ObjectBuilder, Required, SchemaFormat, Type,
    path::{Operation, ParameterBuilder, ParameterIn},
};

use crate::{ApiError, App, access::Principal};

/// The header.
pub const HEADER: &str = "idempotency-key";
/// Says that an answer is that of an earlier request.
pub const REPEATED: &str = "idempotent-replayed";
/// The longest key, in characters.
pub const KEY_LEN_MAX: usize = 200;
/// The largest answer that is kept, in bytes; a larger one is given once, and a repeat is told so.
const ANSWER_MAX: usize = 1024 * 1024;

/// Marks an answer that shows a secret which is kept nowhere: put it beside the body, as an [`axum::Extension`].
#[derive(Clone, Copy, Debug)]
pub struct Shown;

/// Headers that belong to an answer that is kept.
const KEPT: [HeaderName; 3] = [header::CONTENT_TYPE, header::ETAG, header::LOCATION];

/// A handler whose requests are worked on once.
#[derive(Clone, Copy, Debug)]
pub struct Once<H>(pub H);

impl<S, H, T> Handler<T, App<S>> for Once<H>
where
    S: Storage,
    H: Handler<T, App<S>>,
    T: 'static,
{
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, app: App<S>) -> Self::Future {
        Box::pin(
            async move { answer(self.0, request, app).await.unwrap_or_else(IntoResponse::into_response) },
        )
    }
}

async fn answer<S, H, T>(handler: H, request: Request, app: App<S>) -> Result<Response, ApiError>
where
    S: Storage,
    H: Handler<T, App<S>>,
    T: 'static,
{
    let Some(key) = request.headers().get(HEADER) else {
        // On a task of its own: what was begun is finished when the client hangs up.
        return finished(tokio::spawn(handler.call(request, app))).await;
    };
    let key = read_key(key)?;
    let (parts, body) = request.into_parts();
    let who = Principal::of(&app, &parts).await?.who;
    let body = to_bytes(body, app.config.ops.body_max).await.map_err(|_| too_large())?;
    let mut hash = Sha256::new();
    for part in [
        parts.method.as_str().as_bytes(),
        parts.uri.path_and_query().map_or("", |path| path.as_str()).as_bytes(),
        media_type(&parts.headers).as_bytes(),
    ] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(&body);
    let mark =
        RequestMark { who: who.clone(), key: key.clone(), request: hash.finalize().into(), at: app.now() };
    match app.store.begin_request(mark).await? {
        Begun::New => {}
        Begun::Answered(kept) => return Ok(given_again(kept)),
        Begun::Running => return Err(running()),
        Begun::Other => return Err(mismatch()),
    }
    let request = Request::from_parts(parts, Body::from(body));
    finished(tokio::spawn(async move {
        let response = handler.call(request, app.clone()).await;
        let (response, kept) = keep(response).await;
        if let Err(error) = app.store.end_request(who, key, kept).await {
            tracing::error!(%error, "the answer of a request could not be kept");
        }
        response
    }))
    .await
}

async fn finished(task: tokio::task::JoinHandle<Response>) -> Result<Response, ApiError> {
    task.await.map_err(|error| {
        tracing::error!(%error, "an operation has failed");
        let problem = Problem::new("internal", "the operation has failed; the server's log says more");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, problem)
    })
}

fn media_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn read_key(value: &HeaderValue) -> Result<String, ApiError> {
    let key = value.to_str().ok().map(str::trim).filter(|key| !key.is_empty() && key.len() <= KEY_LEN_MAX);
    key.map(str::to_owned).ok_or_else(|| {
        let problem = Problem::new("idempotency.key", "the Idempotency-Key cannot be used")
            .field("Idempotency-Key")
            .cure(format!("send 1 to {KEY_LEN_MAX} visible characters, as in a UUID"));
        ApiError::new(StatusCode::BAD_REQUEST, problem)
    })
}

fn too_large() -> ApiError {
    let problem = Problem::new("body.invalid", "the body is too large").cure("send less at once");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, problem)
}

fn running() -> ApiError {
    let problem = Problem::new("idempotency.running", "the same request is being worked on")
        .field("Idempotency-Key")
        .cure("try again in a moment: its answer will be given");
    ApiError { retry_after: Some(1), ..ApiError::new(StatusCode::CONFLICT, problem) }
}

fn mismatch() -> ApiError {
    let problem = Problem::new("idempotency.mismatch", "this Idempotency-Key came with another request")
        .field("Idempotency-Key")
        .cure("use a new key for each new request");
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, problem)
}

fn already() -> ApiError {
    let problem = Problem::new("idempotency.shown", "it was done, and its answer is shown once")
        .field("Idempotency-Key")
        .cure("if the answer did not arrive, take back what it made, and do it again with a new Idempotency-Key");
    ApiError::new(StatusCode::CONFLICT, problem)
}

/// The answer, and what is kept of it: nothing when the request may be tried again.
async fn keep(response: Response) -> (Response, Option<KeptAnswer>) {
    if response.extensions().get::<Shown>().is_some() {
        return (response, keep_plain(already().into_response()).await.1);
    }
    keep_plain(response).await
}

async fn keep_plain(response: Response) -> (Response, Option<KeptAnswer>) {
    let (parts, body) = response.into_parts();
    let status = parts.status;
    let again = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let Ok(bytes) = to_bytes(body, ANSWER_MAX).await else {
        let problem = Problem::new("idempotency.too_large", "the answer is too large to be kept")
            .cure("send the request without an Idempotency-Key");
        return (ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, problem).into_response(), None);
    };
    let header = |name: &HeaderName| {
        Some((name.as_str().to_owned(), parts.headers.get(name)?.to_str().ok()?.to_owned()))
    };
    let kept = KeptAnswer {
        status: status.as_u16(),
        headers: KEPT.iter().filter_map(header).collect(),
        body: bytes.to_vec(),
    };
    (Response::from_parts(parts, Body::from(bytes)), (!again).then_some(kept))
}

fn given_again(kept: KeptAnswer) -> Response {
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let mut response = (status, Bytes::from(kept.body)).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    for (name, value) in &kept.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPEATED, HeaderValue::from_static("true"));
    response
}

/// Adds the header to an operation's description.
pub(crate) fn describe(operation: &mut Operation) {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(KEY_LEN_MAX))
        .format(Some(SchemaFormat::Custom("uuid".to_owned())))
        .build();
    let parameter = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Chosen by the client, the same for each try of one request: it is worked on once.",
        ))
        .schema(Some(schema))
        .build();
    operation.parameters.get_or_insert_default().push(parameter.into());
}
