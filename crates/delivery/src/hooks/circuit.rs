//! When a failing address is left alone, and when a delivery is tried again. Pure: time and chance are arguments.

use model::{Dice, Timestamp};
use storage::hooks::HookHealth;

/// So many failures in a row open the circuit: nothing is called for a while.
pub const OPEN_AFTER: u32 = 5;
/// How long it stays open the first time, in microseconds; twice as long after each probe that fails.
pub const OPEN_FIRST: i64 = 30 * Timestamp::SECOND;
/// The longest time, in microseconds.
pub const OPEN_LONGEST: i64 = Timestamp::HOUR;
/// An address that failed for so long without one success is given up, in microseconds.
pub const DISABLED_AFTER: i64 = 5 * Timestamp::DAY;
/// Waits before the second and each further try of a delivery, in microseconds; then it has failed.
pub const WAITS: [i64; 9] = [
    5 * Timestamp::SECOND,
    5 * Timestamp::MINUTE,
    30 * Timestamp::MINUTE,
    2 * Timestamp::HOUR,
    5 * Timestamp::HOUR,
    10 * Timestamp::HOUR,
    14 * Timestamp::HOUR,
    20 * Timestamp::HOUR,
    24 * Timestamp::HOUR,
];

/// How many calls an address may get now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// As many as wait.
    All,
    /// One, to see whether it is well again.
    Probe,
    /// None before this instant; none at all without one.
    None(Option<Timestamp>),
}

/// How many calls an address may get now.
#[must_use]
pub fn allowed(health: &HookHealth, now: Timestamp) -> Allowed {
    match (health.disabled_at, health.open_until) {
        (Some(_), _) => Allowed::None(None),
        (None, Some(until)) if now < until => Allowed::None(Some(until)),
        (None, Some(_)) => Allowed::Probe,
        (None, None) => Allowed::All,
    }
}

/// How an address fares after a call.
#[must_use]
pub fn after(health: HookHealth, success: bool, now: Timestamp, dice: &mut Dice) -> HookHealth {
    if success {
        return HookHealth { disabled_at: health.disabled_at, ..HookHealth::default() };
    }
    // A call that began before the circuit opened says nothing new.
    if health.open_until.is_some_and(|until| now < until) {
        return health;
    }
    let failures = health.failures.saturating_add(1);
    let since = health.failing_since.unwrap_or(now);
    let open_until = (failures >= OPEN_AFTER).then(|| {
        let times = (failures - OPEN_AFTER).min(20);
        let wait = OPEN_FIRST.saturating_mul(1 << times).min(OPEN_LONGEST);
        now.plus(jittered(wait, dice))
    });
    let given_up = failures >= OPEN_AFTER && now.since(since) >= DISABLED_AFTER;
    HookHealth {
        failures,
        failing_since: Some(since),
        open_until,
        disabled_at: health.disabled_at.or(given_up.then_some(now)),
    }
}

/// When a delivery is tried again after so many tries; none when it was tried often enough.
#[must_use]
pub fn again(attempts: u32, now: Timestamp, dice: &mut Dice) -> Option<Timestamp> {
    let wait = WAITS.get(attempts.saturating_sub(1) as usize)?;
    Some(now.plus(jittered(*wait, dice)))
}

/// Up to a fifth more or less, so that a thousand do not come back in the same second.
fn jittered(wait: i64, dice: &mut Dice) -> i64 {
    wait + (wait as f64 * (dice.unit() * 0.4 - 0.2)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circuit_opens_probes_closes_and_at_last_gives_up() {
        let mut dice = Dice::new(1);
        let mut now = Timestamp(0);
        let mut health = HookHealth::default();
        for _ in 1..OPEN_AFTER {
            health = after(health, false, now, &mut dice);
            assert_eq!(allowed(&health, now), Allowed::All);
        }
        health = after(health, false, now, &mut dice);
        let Allowed::None(Some(until)) = allowed(&health, now) else { panic!("{health:?}") };
        assert!((24..=36).contains(&(until.0 / Timestamp::SECOND)), "{until:?}");
        assert_eq!(after(health, false, now, &mut dice), health, "a call that was on its way");
        assert_eq!(allowed(&health, until), Allowed::Probe);
        let well = after(health, true, until, &mut dice);
        assert_eq!((well, allowed(&well, until)), (HookHealth::default(), Allowed::All));
        // Never well again: each probe fails, the pauses grow up to an hour, and after five days it is given up.
        let mut probes = 0;
        while health.disabled_at.is_none() {
            let Allowed::None(Some(until)) = allowed(&health, now) else { panic!("{health:?}") };
            assert!(until.since(now) <= OPEN_LONGEST * 12 / 10);
            now = until;
            health = after(health, false, now, &mut dice);
            probes += 1;
        }
        assert!((100..200).contains(&probes), "{probes}");
        assert!(now.0 >= DISABLED_AFTER && now.0 < DISABLED_AFTER + 2 * OPEN_LONGEST);
        assert_eq!(allowed(&health, now.plus_days(365)), Allowed::None(None));
    }

    #[test]
    fn a_delivery_is_tried_for_three_days_and_then_has_failed() {
        let mut dice = Dice::new(2);
        let mut now = Timestamp(0);
        for (attempts, wait) in (1..).zip(WAITS) {
            let due = again(attempts, now, &mut dice).unwrap();
            assert!((due.since(now) - wait).abs() <= wait / 5, "{attempts}");
            now = due;
        }
        assert_eq!(again(WAITS.len() as u32 + 1, now, &mut dice), None);
        assert!((2..=4).contains(&(now.0 / Timestamp::DAY)));
    }
}
