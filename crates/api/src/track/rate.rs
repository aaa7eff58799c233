//! How fast each key sends: a bucket that fills by the second and holds a few seconds' worth.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use axum::http::StatusCode;
use model::{Problem, Timestamp};

use crate::ApiError;

/// A key may send at once what it may send in so many seconds.
const BURST_SECONDS: i64 = 10;

/// How fast each key sends. Keys are those of the base: as many as somebody made.
#[derive(Debug)]
pub(crate) struct Rates {
    per_second: Option<u32>,
    /// What is left, in millionths of a message, and as of when.
    left: Mutex<HashMap<String, (i64, Timestamp)>>,
}

impl Rates {
    pub(super) fn new(per_second: Option<u32>) -> Self {
        Self { per_second, left: Mutex::default() }
    }

    /// Takes so many messages off what a key may send; one request may overdraw it.
    pub(super) fn take(&self, key: &str, messages: usize, now: Timestamp) -> Result<(), ApiError> {
        let Some(rate) = self.per_second.map(i64::from) else { return Ok(()) };
        let full = rate * BURST_SECONDS * Timestamp::SECOND;
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (there, since) = left.entry(key.to_owned()).or_insert((full, now));
        *there = there.saturating_add(now.since(*since).max(0).saturating_mul(rate)).min(full);
        *since = now.max(*since);
        if *there <= 0 {
            let wait = (-*there / (rate.max(1) * Timestamp::SECOND) + 1).unsigned_abs();
            let problem =
                Problem::new("track.rate", format!("this key may send {rate} messages in a second"))
                    .cure("send more slowly");
            return Err(ApiError::retry(StatusCode::TOO_MANY_REQUESTS, problem, wait));
        }
        *there -= messages as i64 * Timestamp::SECOND;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_what_it_may_send_and_no_more() {
        let rates = Rates::new(Some(2));
        let at = |second: i64| Timestamp(second * Timestamp::SECOND);
        assert!(rates.take("a", 20, at(0)).is_ok(), "ten seconds' worth at once");
        let refused = rates.take("a", 1, at(0)).unwrap_err();
        assert_eq!((refused.status, refused.retry_after), (StatusCode::TOO_MANY_REQUESTS, Some(1)));
        assert!(rates.take("b", 1, at(0)).is_ok(), "another key has its own");
        assert!(rates.take("a", 6, at(1)).is_ok(), "two are there again, and one request may overdraw");
        assert_eq!(rates.take("a", 1, at(2)).unwrap_err().retry_after, Some(2));
        assert!(rates.take("a", 1, at(4)).is_ok());
        assert!(Rates::new(None).take("a", usize::MAX, at(0)).is_ok());
    }
}
