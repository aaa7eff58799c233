//! How fast, and when again: a token bucket, the wait after a temporary failure, and how many messages may be on their
//! way at once. Pure: time and dice are arguments. What a domain of recipients gets is in [`shape`].

pub mod shape;

use model::{Dice, Timestamp};
use storage::outbox::MessageId;

/// A limit of so many messages a second, spread over the second: at most a tenth of a second's worth leaves at once.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    per_second: f64,
    tokens: f64,
    at: f64,
}

impl Bucket {
    /// A bucket that starts with one burst.
    #[must_use]
    pub fn new(per_second: f64) -> Self {
        let mut bucket = Self { per_second, tokens: 0.0, at: 0.0 };
        bucket.tokens = bucket.burst();
        bucket
    }

    fn burst(&self) -> f64 {
        (self.per_second / 10.0).max(1.0)
    }

    /// How many may leave now; `now` is in seconds since any fixed moment.
    pub fn available(&mut self, now: f64) -> usize {
        self.tokens = (self.tokens + (now - self.at).max(0.0) * self.per_second).min(self.burst());
        self.at = now;
        self.tokens as usize
    }

    /// Takes so many.
    pub fn take(&mut self, count: usize) {
        self.tokens -= count as f64;
    }

    /// Seconds until the next one may leave.
    #[must_use]
    pub fn wait(&self) -> f64 {
        ((1.0 - self.tokens) / self.per_second).max(0.0)
    }
}

/// When a message is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often a message is tried at most.
    pub tries: u32,
    /// The wait after the first failure, in microseconds; each further one is three times as long.
    pub first_wait: i64,
    /// The longest wait, in microseconds.
    pub longest_wait: i64,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for Retries {
    /// 8 tries over about half a day: after 1, 3, 9, 27, 81, 243 minutes and 6 hours.
    fn default() -> Self {
        Self { tries: 8, first_wait: Timestamp::MINUTE, longest_wait: 6 * Timestamp::HOUR, seed: 0 }
    }
}

impl Retries {
    /// When a message is due again that failed at `now` after `failures` earlier failures; none when it was tried often
    /// enough. Up to a fifth is added or taken off, so that a thousand messages do not come back in the same second.
    #[must_use]
    pub fn next(&self, id: MessageId, failures: u32, now: Timestamp) -> Option<Timestamp> {
        if failures + 1 >= self.tries {
            return None;
        }
        let wait = 3_i64.saturating_pow(failures).saturating_mul(self.first_wait).min(self.longest_wait);
        let number = u128::from_be_bytes(id.0);
        let mut dice = Dice::of(&[self.seed, number as u64, (number >> 64) as u64, u64::from(failures)]);
        let jitter = dice.unit() * 0.4 - 0.2;
        Some(now.plus(wait.saturating_add((wait as f64 * jitter) as i64)))
    }
}

/// How many messages may be marked as being handed over at once. What is marked is in doubt when the process dies, so it
/// is not more than the other side takes in a moment; it is written in one transaction, so it is not less either.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    size: usize,
    least: usize,
    done: usize,
    since: f64,
}

impl Window {
    /// Most messages on their way at once.
    pub const SIZE_MAX: usize = 256;
    /// How many seconds of hand-over a window holds, about.
    const SECONDS: f64 = 0.1;

    /// For so many lanes: two messages for each, until something is known.
    #[must_use]
    pub fn new(lanes: usize) -> Self {
        let least = (2 * lanes).clamp(2, Self::SIZE_MAX);
        Self { size: least, least, done: 0, since: 0.0 }
    }

    /// The size now.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// So many messages were answered; `now` is in seconds since any fixed moment.
    pub fn answered(&mut self, count: usize, now: f64) {
        self.done += count;
        if self.done < self.size {
            return;
        }
        let seconds = (now - self.since).max(1e-6);
        let fitting = (self.done as f64 / seconds * Self::SECONDS) as usize;
        // By a factor of two at most: one quick or slow moment says little.
        self.size = fitting.clamp(self.size / 2, self.size * 2).clamp(self.least, Self::SIZE_MAX);
        self.done = 0;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_its_rate_through_and_no_more() {
        for rate in [0.5, 1.0, 10.0, 333.0, 5_000.0] {
            let mut bucket = Bucket::new(rate);
            let (mut now, mut left) = (0.0, 0);
            while now < 60.0 {
                let count = bucket.available(now);
                assert!(count as f64 <= (rate / 10.0).max(1.0));
                bucket.take(count);
                left += count;
                now += bucket.wait().max(0.001);
            }
            let most = rate * 60.0 + (rate / 10.0).max(1.0);
            assert!(left as f64 <= most + 1.0 && left as f64 >= rate * 60.0 * 0.95, "{rate}: {left}");
        }
    }

    #[test]
    fn waits_grow_up_to_a_limit_and_then_end() {
        let retries = Retries::default();
        let id = MessageId([1; 16]);
        let waits: Vec<i64> = (0..7)
            .map(|failures| retries.next(id, failures, Timestamp(0)).unwrap().0 / Timestamp::MINUTE)
            .collect();
        for (wait, nominal) in waits.iter().zip([1, 3, 9, 27, 81, 243, 360]) {
            assert!((nominal * 8 / 10 - 1..=nominal * 12 / 10).contains(wait), "{waits:?}");
        }
        assert_eq!(retries.next(id, 7, Timestamp(0)), None);
        assert_eq!(
            retries.next(id, 3, Timestamp(0)),
            retries.next(id, 3, Timestamp(0)),
            "the same for a replay"
        );
        assert_ne!(retries.next(id, 3, Timestamp(0)), retries.next(MessageId([2; 16]), 3, Timestamp(0)));
    }

    #[test]
    fn a_window_follows_the_speed_of_the_other_side() {
        let mut window = Window::new(8);
        assert_eq!(window.size(), 16);
        for second in 0..2_000 {
            window.answered(4, f64::from(second) / 1_000.0); // 4,000 a second
        }
        assert_eq!(window.size(), Window::SIZE_MAX);
        for second in 0..500 {
            window.answered(10, 2.0 + f64::from(second)); // 10 a second
        }
        assert_eq!(window.size(), 16);
    }
}
