//! One line for each answer, and the figures that go with it. A line holds the pattern of the route, never the path or
//! what stands behind the question mark: they hold names and addresses of people.

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};
use storage::Storage;

use crate::App;

/// Around every answer.
pub(super) async fn watch<S: Storage>(State(app): State<App<S>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "(none)".to_owned());
    let method = word(request.method());
    let began = app.now();
    let response = next.run(request).await;
    let micros = app.now().since(began);
    let status = response.status().as_u16();
    app.ops.metrics.answered(&route, method, status, micros);
    if status >= 500 {
        tracing::warn!(method, route, status, micros, "answered");
    } else {
        tracing::debug!(method, route, status, micros, "answered");
    }
    response
}

/// A method as figures are counted by: what callers make up is one word.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
