//! How much one caller may ask for: a rate with room for a burst, counted for each key, user and network address.

use std::hash::Hash;

use axum::http::StatusCode;
use model::{Problem, Timestamp};

use super::table::{Entry, Table};
use crate::{ApiError, ApiResult};

/// So many at once, and so many each second from then on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Requests a second, over time.
    pub per_second: f64,
    /// Requests at once.
    pub burst: u32,
}

/// When the bucket of a caller is empty again, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Empty(i64);

impl Entry for Empty {
    fn weight(&self) -> (u32, i64) {
        (0, self.0)
    }
}

/// Counts requests.
#[derive(Debug, Default)]
pub struct Rates(Table<Empty>);

impl Rates {
    /// Counts a request of a caller.
    ///
    /// # Errors
    /// `access.rate`, with the seconds after which there is room again; the request is not counted then.
    pub fn take(&self, caller: impl Hash, rate: Rate, now: Timestamp) -> ApiResult<()> {
        let one = (Timestamp::SECOND as f64 / rate.per_second.max(1e-6)) as i64;
        let room = one.saturating_mul(i64::from(rate.burst.max(1)));
        let late = self.0.with(caller, |Empty(at)| {
            let next = now.0.max(*at).saturating_add(one);
            let late = next - now.0 - room;
            if late <= 0 {
                *at = next;
            }
            late
        });
        if late <= 0 {
            return Ok(());
        }
        let seconds = late.unsigned_abs().div_ceil(Timestamp::SECOND.unsigned_abs());
        let problem =
            Problem::new("access.rate", "too many requests").cure(format!("try again in {seconds} s"));
        Err(ApiError::retry(StatusCode::TOO_MANY_REQUESTS, problem, seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let rates = Rates::default();
        let rate = Rate { per_second: 2.0, burst: 3 };
        let now = Timestamp(1_700_000_000 * Timestamp::SECOND);
        let good = |at: Timestamp| (0..10).take_while(|_| rates.take("key", rate, at).is_ok()).count();
        assert_eq!(good(now), 3);
        let refused = rates.take("key", rate, now).unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.retry_after), (429, Some(1)));
        assert_eq!(refused.problems[0].code, "access.rate");
        rates.take("other", rate, now).unwrap();
        assert_eq!(good(now.plus(Timestamp::SECOND)), 2);
        assert_eq!(good(now.plus(Timestamp::HOUR)), 3);
    }
}
