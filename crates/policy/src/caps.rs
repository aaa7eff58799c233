//! Caps over rolling windows.

use model::{Channel, Timestamp};

use crate::{
    decide::PastSend,
    rules::{Cap, Over},
};

/// The purpose of a purpose with a topic.
pub(crate) fn main_purpose(purpose: &str) -> &str {
    purpose.split_once('/').map_or(purpose, |(main, _)| main)
}

impl Cap {
    /// Whether it is about messages on a channel for a purpose.
    pub(crate) fn covers(&self, channel: Channel, purpose: &str) -> bool {
        let purposes = |own: &str| own == purpose || own == main_purpose(purpose);
        channel != Channel::Webhook
            && purpose != crate::TRANSACTIONAL
            && self.channel.is_none_or(|own| own == channel)
            && self.purpose.as_deref().is_none_or(purposes)
    }

    /// The first instant from `at` on at which one more message fits: every window of this length that holds it holds at
    /// most as many as allowed, those counted that are planned for later. `times` ascend.
    pub(crate) fn free(&self, times: &[Timestamp], at: Timestamp) -> Timestamp {
        if self.fits(times, at) {
            return at;
        }
        // Room appears only where a message leaves the window behind.
        let after = times.iter().map(|time| time.plus(self.within)).filter(|free| *free > at);
        after.into_iter().find(|free| self.fits(times, *free)).unwrap_or(Timestamp::MAX)
    }

    fn fits(&self, times: &[Timestamp], at: Timestamp) -> bool {
        let most = self.most as usize;
        if most == 0 {
            return false;
        }
        // Those that share a window with it; among any `most + 1` in a row that include it, the outer ones must be a
        // window apart.
        let before = times.partition_point(|time| *time <= at);
        let first = times.partition_point(|time| time.plus(self.within) <= at);
        let last = times.partition_point(|time| *time < at.plus(self.within));
        let near = |i: usize| match i.cmp(&(before - first)) {
            std::cmp::Ordering::Less => times[first + i],
            std::cmp::Ordering::Equal => at,
            std::cmp::Ordering::Greater => times[first + i - 1],
        };
        let count = last - first + 1;
        (0..count.saturating_sub(most)).all(|i| near(i + most).since(near(i)) >= self.within)
    }

    /// How long one too many may wait.
    pub(crate) const fn patience(&self) -> i64 {
        match self.over {
            Over::Skip => 0,
            Over::Hold(longest) => longest,
        }
    }
}

/// When the messages that a cap covers leave or left, ascending.
pub(crate) fn times(sends: &[PastSend], covers: impl Fn(&PastSend) -> bool) -> Vec<Timestamp> {
    let mut times: Vec<Timestamp> = sends.iter().filter(|send| covers(send)).map(|send| send.at).collect();
    times.sort_unstable();
    times
}
