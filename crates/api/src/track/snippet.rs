//! `/sdk/relance.js` and `/sdk/relance-sw.js`: what shops put into their pages.

use std::{io::Write, sync::OnceLock};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use storage::Storage;

use crate::App;

/// Browsers ask again after a day: whether it is still the same.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=86400");

/// A file, ready to be sent.
struct Script {
    plain: &'static str,
    packed: OnceLock<(Vec<u8>, String)>,
}

static SNIPPET: Script =
    Script { plain: include_str!("../../../../sdk/relance.js"), packed: OnceLock::new() };
static WORKER: Script =
    Script { plain: include_str!("../../../../sdk/relance-sw.js"), packed: OnceLock::new() };

impl Script {
    /// The file packed by gzip, and its tag.
    fn packed(&self) -> &(Vec<u8>, String) {
        self.packed.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            // Writing into memory does not fail.
            let packed = encoder.write_all(self.plain.as_bytes()).and_then(|()| encoder.finish());
            let hash = Sha256::digest(self.plain.as_bytes());
            (packed.unwrap_or_default(), format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash[..12])))
        })
    }

    fn answer(&'static self, asked: &HeaderMap) -> Response {
        let (packed, tag) = self.packed();
        let said = |name| asked.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut response = if said(header::IF_NONE_MATCH).contains(tag.as_str()) {
            StatusCode::NOT_MODIFIED.into_response()
        } else if said(header::ACCEPT_ENCODING).contains("gzip") {
            ([(header::CONTENT_ENCODING, "gzip")], Bytes::from_static(packed)).into_response()
        } else {
            Bytes::from_static(self.plain.as_bytes()).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, CACHE);
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
        if let Ok(tag) = HeaderValue::from_str(tag) {
            headers.insert(header::ETAG, tag);
        }
        response
    }
}

/// Their routes.
pub(super) fn routes<S: Storage>() -> Router<App<S>> {
    let serve = |script: &'static Script| {
        get(move |_: State<App<S>>, asked: HeaderMap| std::future::ready(script.answer(&asked)))
    };
    Router::new().route("/sdk/relance.js", serve(&SNIPPET)).route("/sdk/relance-sw.js", serve(&WORKER))
}
