//! Certificates of SNS, fetched once each.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use axum::http::StatusCode;
use delivery::fetch::{Call, Fetcher};
use model::Problem;

use crate::{ApiError, ApiResult};

/// So many are kept: there is one for each region, replaced now and then.
const KEPT_MAX: usize = 32;
/// Largest answer, in bytes.
const ANSWER_MAX: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Certificates(Mutex<HashMap<String, Vec<u8>>>);

impl Certificates {
    /// A certificate as PEM. Its address was checked to be one of SNS.
    pub(super) async fn get(&self, fetcher: Option<&Fetcher>, url: &str) -> ApiResult<Vec<u8>> {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(url) {
            return Ok(known.clone());
        }
        let pem = fetch(fetcher, url).await?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT_MAX {
            known.clear();
        }
        known.insert(url.to_owned(), pem.clone());
        Ok(pem)
    }

    /// A certificate that did not verify is not kept: the next call fetches it again.
    pub(super) fn forget(&self, url: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(url);
    }
}

/// Fetches an address of SNS. When that fails the call is answered so that it is made again.
pub(super) async fn fetch(fetcher: Option<&Fetcher>, url: &str) -> ApiResult<Vec<u8>> {
    let failed = |why: &str| {
        let problem = Problem::new("inbound.fetch", format!("SNS cannot be asked: {why}"));
        ApiError::retry(StatusCode::SERVICE_UNAVAILABLE, problem, 60)
    };
    let own;
    let fetcher = match fetcher {
        Some(fetcher) => fetcher,
        None => {
            own = Fetcher::new(None)?;
            &own
        }
    };
    let call = Call { method: "GET", url, headers: &[], body: &[], answer_max: ANSWER_MAX };
    match fetcher.call(&call).await {
        Ok(reply) if reply.status == 200 => Ok(reply.body),
        Ok(reply) => Err(failed(&reply.line)),
        Err(trouble) => Err(failed(trouble.detail())),
    }
}
