//! Against guessing: after a few tries that failed, an account and a network address must wait, longer each time.
//!
//! A try is counted before it is looked at and taken back when it was good, so that many at once gain nothing.

use std::net::IpAddr;

use axum::http::StatusCode;
use model::{Problem, Timestamp};

use super::table::{Entry, Table};
use crate::{ApiError, ApiResult};

/// Failed tries of one account that cost no wait.
pub const FREE_OF_ACCOUNT: u32 = 5;
/// Failed tries from one network address that cost no wait: an office has one address.
pub const FREE_OF_ADDRESS: u32 = 20;
/// The longest wait of an account, in seconds: who does not know the password can make its owner wait, but not for long.
pub const WAIT_OF_ACCOUNT_MAX: i64 = 5 * 60;
/// The longest wait of a network address, in seconds.
pub const WAIT_OF_ADDRESS_MAX: i64 = 15 * 60;
/// Failures are forgotten after so long without another one.
const MEMORY: i64 = Timestamp::HOUR;

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    last: i64,
    until: i64,
}

impl Entry for Failures {
    fn weight(&self) -> (u32, i64) {
        (self.count, self.last)
    }
}

/// Counts tries.
#[derive(Debug, Default)]
pub struct Guard(Table<Failures>);

/// Addresses that one customer of a provider has: one of version 4, a /64 of version 6.
pub(crate) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

impl Guard {
    /// Counts a try of an account from an address.
    ///
    /// # Errors
    /// `access.wait`, with the seconds to wait; the try is not counted then.
    pub fn begin(&self, account: &str, client: Option<IpAddr>, now: Timestamp) -> ApiResult<()> {
        let client = client.map(neighbourhood);
        let wait = |until: i64| (until - now.0).max(0);
        let of_account = self.0.with(("account", account), |failures| wait(failures.until));
        let of_client = client.map(|client| self.0.with(("client", client), |failures| wait(failures.until)));
        let longest = of_account.max(of_client.unwrap_or(0));
        if longest > 0 {
            let seconds = longest.unsigned_abs().div_ceil(Timestamp::SECOND.unsigned_abs());
            let problem = Problem::new("access.wait", "too many tries have failed")
                .cure(format!("try again in {seconds} s"));
            return Err(ApiError::retry(StatusCode::TOO_MANY_REQUESTS, problem, seconds));
        }
        self.0.with(("account", account), |failures| {
            failures.fail(now, FREE_OF_ACCOUNT, WAIT_OF_ACCOUNT_MAX);
        });
        if let Some(client) = client {
            self.0.with(("client", client), |failures| {
                failures.fail(now, FREE_OF_ADDRESS, WAIT_OF_ADDRESS_MAX);
            });
        }
        Ok(())
    }

    /// Takes a try back: it was neither good nor wrong.
    pub fn take_back(&self, account: &str, client: Option<IpAddr>) {
        self.0.with(("account", account), Failures::take_back);
        if let Some(client) = client.map(neighbourhood) {
            self.0.with(("client", client), Failures::take_back);
        }
    }

    /// The try was good: the account's failures are forgotten. Those of the address are not, so that nobody clears them
    /// with an account of their own.
    pub fn succeed(&self, account: &str, client: Option<IpAddr>) {
        self.take_back(account, client);
        self.0.with(("account", account), |failures| *failures = Failures::default());
    }
}

impl Failures {
    fn fail(&mut self, now: Timestamp, free: u32, wait_max: i64) {
        if now.0 - self.last > MEMORY {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.last = now.0;
        if self.count >= free {
            let seconds = (1_i64 << (self.count - free).min(30)).min(wait_max);
            self.until = now.plus(seconds * Timestamp::SECOND).0;
        }
    }

    fn take_back(&mut self) {
        self.count = self.count.saturating_sub(1);
        self.until = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(1_700_000_000 * Timestamp::SECOND).plus(seconds * Timestamp::SECOND)
    }

    /// How long the next try has to wait.
    fn wait(guard: &Guard, account: &str, client: &str, now: Timestamp) -> u64 {
        let client = Some(client.parse().unwrap());
        match guard.begin(account, client, now) {
            Ok(()) => 0,
            Err(refused) => refused.retry_after.unwrap(),
        }
    }

    #[test]
    fn waits_grow_to_their_limit_and_are_forgotten() {
        let guard = Guard::default();
        for _ in 0..FREE_OF_ACCOUNT {
            assert_eq!(wait(&guard, "a", "192.0.2.1", at(0)), 0);
        }
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..11 {
            let seconds = wait(&guard, "a", "192.0.2.1", at(now));
            waits.push(seconds);
            now += seconds as i64;
            assert_eq!(wait(&guard, "a", "192.0.2.1", at(now)), 0);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(wait(&guard, "b", "192.0.2.2", at(now)), 0, "others do not wait");
        assert_eq!(wait(&guard, "a", "192.0.2.1", at(now + 7_200)), 0);
        assert_eq!(wait(&guard, "a", "192.0.2.1", at(now + 7_200)), 0, "the count began anew");
    }

    #[test]
    fn an_address_waits_whichever_account_it_tries() {
        let guard = Guard::default();
        for n in 0..FREE_OF_ADDRESS {
            // Addresses of one /64 are one.
            assert_eq!(wait(&guard, &format!("a{n}"), &format!("2001:db8::{n}"), at(0)), 0);
        }
        assert_eq!(wait(&guard, "b", "2001:db8::ffff", at(0)), 1);
        assert_eq!(wait(&guard, "b", "2001:db8:0:1::1", at(0)), 0);
    }

    #[test]
    fn good_tries_are_not_counted_and_clear_the_account_only() {
        let guard = Guard::default();
        let client = Some("192.0.2.1".parse().unwrap());
        for _ in 0..3 * FREE_OF_ADDRESS {
            guard.begin("a", client, at(0)).unwrap();
            guard.succeed("a", client);
        }
        for n in 0..FREE_OF_ADDRESS - 1 {
            guard.begin(&format!("b{n}"), client, at(0)).unwrap();
        }
        guard.begin("a", client, at(0)).unwrap();
        guard.succeed("a", client);
        guard.begin("c", client, at(0)).unwrap();
        assert_eq!(guard.begin("d", client, at(0)).unwrap_err().retry_after, Some(1));
    }
}
