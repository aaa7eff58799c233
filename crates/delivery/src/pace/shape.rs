//! How much mail a domain of recipients gets at once: what the sending rules say, and less while its servers ask for
//! patience. Time is an argument, in seconds since any fixed moment.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use policy::DomainLimit;
use tokio::time::Instant;

use super::Bucket;

/// So many answers of "not now" without a good one between slow a domain down by a step.
const SLOW_AFTER: u32 = 3;
/// So many good answers in a row take a step back.
const WELL_AFTER: u32 = 20;
/// The most steps down.
const STEPS_MAX: u32 = 8;
/// The pause of the first step, in seconds; twice as long with each further one.
const PAUSE: f64 = 5.0;
/// Domains that are remembered; those that nothing is on its way to are forgotten beyond it.
const DOMAINS_MAX: usize = 10_000;

/// How a domain answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It took the mail.
    Well,
    /// Not now (4xx).
    Slow,
    /// Something that says nothing about its patience.
    Other,
}

#[derive(Default)]
struct Domain {
    /// Messages on their way.
    inside: usize,
    bucket: Option<(u32, Bucket)>,
    /// Steps down.
    steps: u32,
    /// "Not now" without a good answer between; good answers in a row.
    slow: u32,
    well: u32,
    /// Nothing leaves before.
    until: f64,
}

impl Domain {
    /// Whether one more may leave; else after how many seconds to ask again.
    fn enter(&mut self, limit: DomainLimit, now: f64) -> Result<(), f64> {
        if now < self.until {
            return Err(self.until - now);
        }
        // A domain that asks for patience gets half as much with each step, and one at a time at least.
        let most = limit.connections.map(|most| (most >> self.steps).max(1) as usize);
        let most = if self.steps > 0 { Some(most.unwrap_or(16 >> self.steps.min(4))) } else { most };
        if most.is_some_and(|most| self.inside >= most.max(1)) {
            return Err(0.0);
        }
        if let Some(per_minute) = limit.per_minute {
            if self.bucket.as_ref().is_none_or(|(known, _)| *known != per_minute) {
                self.bucket = Some((per_minute, Bucket::new(f64::from(per_minute) / 60.0)));
            }
            if let Some((_, bucket)) = &mut self.bucket {
                if bucket.available(now) == 0 {
                    return Err(bucket.wait());
                }
                bucket.take(1);
            }
        }
        self.inside += 1;
        Ok(())
    }

    fn leave(&mut self, heard: Heard, now: f64) {
        self.inside = self.inside.saturating_sub(1);
        match heard {
            Heard::Slow => {
                (self.slow, self.well) = (self.slow + 1, 0);
                if self.slow >= SLOW_AFTER {
                    self.slow = 0;
                    self.steps = (self.steps + 1).min(STEPS_MAX);
                    self.until = now + PAUSE * f64::from(1 << (self.steps - 1));
                }
            }
            Heard::Well => {
                (self.slow, self.well) = (0, self.well + 1);
                if self.well >= WELL_AFTER {
                    self.well = 0;
                    self.steps = self.steps.saturating_sub(1);
                }
            }
            Heard::Other => {}
        }
    }
}

/// What is remembered of domains, from one run of delivery to the next.
pub struct Shaper {
    domains: Mutex<HashMap<String, Domain>>,
    started: Instant,
    patient: bool,
}

/// Keeps the sending rules, and is not slowed down by answers.
impl Default for Shaper {
    fn default() -> Self {
        Self { domains: Mutex::default(), started: Instant::now(), patient: false }
    }
}

impl Shaper {
    /// One that slows down where a domain asks for patience.
    #[must_use]
    pub fn patient() -> Self {
        Self { patient: true, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Domain>> {
        self.domains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Whether one more message may leave for a domain (in lower case); else after how many seconds to ask again (0 when
    /// that depends on those on their way).
    pub fn enter(&self, domain: &str, limit: DomainLimit) -> Result<(), f64> {
        let now = self.now();
        let mut domains = self.lock();
        if domains.len() >= DOMAINS_MAX {
            domains.retain(|_, domain| domain.inside > 0 || domain.until > now);
        }
        match domains.get_mut(domain) {
            Some(known) => known.enter(limit, now),
            None => domains.entry(domain.to_owned()).or_default().enter(limit, now),
        }
    }

    /// A message that left came to this.
    pub fn leave(&self, domain: &str, heard: Heard) {
        let now = self.now();
        let heard = if self.patient { heard } else { Heard::Other };
        if let Some(known) = self.lock().get_mut(domain) {
            known.leave(heard, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(per_minute: Option<u32>, connections: Option<u32>) -> DomainLimit {
        DomainLimit { per_minute, connections }
    }

    #[test]
    fn a_domain_gets_its_share_a_minute() {
        let mut domain = Domain::default();
        let (mut now, mut left) = (0.0, 0);
        while now < 120.0 {
            match domain.enter(limit(Some(60), None), now) {
                Ok(()) => {
                    left += 1;
                    domain.leave(Heard::Well, now);
                }
                Err(wait) => now += wait.max(0.01),
            }
        }
        assert!((118..=122).contains(&left), "{left}");
    }

    #[test]
    fn so_many_are_on_their_way_and_no_more() {
        let mut domain = Domain::default();
        for _ in 0..3 {
            assert_eq!(domain.enter(limit(None, Some(3)), 0.0), Ok(()));
        }
        assert_eq!(domain.enter(limit(None, Some(3)), 0.0), Err(0.0));
        domain.leave(Heard::Other, 0.0);
        assert_eq!(domain.enter(limit(None, Some(3)), 0.0), Ok(()));
    }

    #[test]
    fn a_domain_that_asks_for_patience_gets_it_and_recovers() {
        let mut domain = Domain::default();
        let (mut now, free) = (0.0, limit(None, None));
        let turn = |domain: &mut Domain, heard: Heard, now: f64| {
            domain.enter(free, now).unwrap();
            domain.leave(heard, now);
        };
        for _ in 0..SLOW_AFTER {
            turn(&mut domain, Heard::Slow, now);
        }
        assert_eq!(domain.enter(free, now), Err(PAUSE));
        now += PAUSE;
        // A good answer between: it is one mailbox that is slow, not the domain.
        for heard in [Heard::Slow, Heard::Slow, Heard::Well, Heard::Slow, Heard::Slow, Heard::Well] {
            turn(&mut domain, heard, now);
        }
        assert_eq!(domain.steps, 1);
        for _ in 0..STEPS_MAX + 3 {
            for _ in 0..SLOW_AFTER {
                turn(&mut domain, Heard::Slow, now);
            }
            now = domain.until;
        }
        assert_eq!(domain.steps, STEPS_MAX);
        assert_eq!((domain.enter(free, now), domain.enter(free, now)), (Ok(()), Err(0.0)), "one at a time");
        domain.leave(Heard::Other, now);
        for _ in 0..STEPS_MAX * WELL_AFTER {
            turn(&mut domain, Heard::Well, now);
        }
        assert_eq!(domain.steps, 0);
        for _ in 0..100 {
            assert_eq!(domain.enter(free, now), Ok(()));
        }
    }
}
