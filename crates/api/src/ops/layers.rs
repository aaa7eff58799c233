//! What lies around every answer: limits, time-outs, security headers, answers for what does not exist.

use std::any::Any;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use model::Problem;
use storage::Storage;
use tower::util::option_layer;
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer};

use super::log;
use crate::{ApiError, App};

/// Puts them around a router.
pub(crate) fn layers<S: Storage>(router: Router<App<S>>, app: &App<S>) -> Router<App<S>> {
    let limits = &app.config.ops;
    let header = |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    router
        .fallback(missing)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(limits.body_max))
        .layer(from_fn_with_state(app.clone(), in_time::<S>))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(header::REFERRER_POLICY, "no-referrer"))
        .layer(header(header::X_FRAME_OPTIONS, "DENY"))
        .layer(header(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .layer(header(header::CACHE_CONTROL, "no-store"))
        .layer(header(PERMISSIONS, "camera=(), geolocation=(), microphone=(), payment=(), usb=()"))
        .layer(header(OPENER, "same-origin"))
        .layer(option_layer(strict_transport(&app.config.public_url)))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(app.clone(), log::watch::<S>))
}

/// Which of the browser's devices pages may use: none.
const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");
/// Pages that are opened from others, or open them, have no hold on each other.
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Where the server is reached by https, browsers keep to that for a year.
fn strict_transport(public_url: &str) -> Option<SetResponseHeaderLayer<HeaderValue>> {
    let value = HeaderValue::from_static("max-age=31536000");
    public_url
        .starts_with("https://")
        .then(|| SetResponseHeaderLayer::if_not_present(header::STRICT_TRANSPORT_SECURITY, value))
}

/// Gives a request up that takes too long. Files may take their time to arrive.
async fn in_time<S: Storage>(State(app): State<App<S>>, request: Request, next: Next) -> Response {
    let limit = if request.uri().path() == crate::admin::jobs::UPLOADS {
        app.config.desk.upload_timeout
    } else {
        app.config.ops.request_timeout
    };
    let late = || {
        let problem = Problem::new("request.timeout", "the request was not answered in time")
            .cure("ask for less at once; what takes long is done as a job");
        ApiError::new(StatusCode::REQUEST_TIMEOUT, problem).into_response()
    };
    tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| late())
}

async fn missing(method: Method, uri: Uri) -> ApiError {
    let problem = Problem::new("path.unknown", format!("nothing answers {method} {}", uri.path()))
        .cure("the API is described at /api/openapi.json");
    ApiError::new(StatusCode::NOT_FOUND, problem)
}

async fn not_allowed(method: Method, uri: Uri) -> ApiError {
    let problem = Problem::new("method.not_allowed", format!("{} does not take {method}", uri.path()))
        .cure("the API is described at /api/openapi.json");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, problem)
}

/// A fault of ours: the request is refused, the others go on. What was said of it goes into the log alone.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
fn panicked(what: Box<dyn Any + Send>) -> Response {
    let text = what.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| what.downcast_ref::<&str>().copied()).unwrap_or("panic");
    tracing::error!(text, "a request failed by a fault of the server");
    let problem = Problem::new("internal", "the server has a fault; its log says more");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, problem).into_response()
}
