//! What a workspace's setting `sending` holds.

use model::{Channel, Timestamp};

use crate::{purposes::Purposes, quiet::Quiet};

/// Caps, smart sending, quiet hours and limits of a workspace. The default has none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SendingRules {
    /// Frequency caps. All that fit a message must hold.
    pub caps: Vec<Cap>,
    /// Smart sending: windows by channel, in microseconds. A channel without one has none.
    pub smart: Vec<(Channel, i64)>,
    /// Quiet hours. The first that fits a message counts.
    pub quiet: Vec<Quiet>,
    /// How many messages may leave in an hour and in a day.
    pub limits: Limits,
    /// What the answer for a purpose says about its topics.
    pub topics: TopicConsent,
    /// What each purpose needs, of the setting `purposes`.
    pub purposes: Purposes,
    /// How much mail at once the domains of recipients get.
    pub domains: Domains,
}

/// No rules but consent and suppression.
pub static NO_RULES: SendingRules = SendingRules {
    caps: Vec::new(),
    smart: Vec::new(),
    quiet: Vec::new(),
    limits: Limits { all: Limit { per_hour: None, per_day: None }, journeys: Vec::new(), hold: None },
    topics: TopicConsent::Follow,
    purposes: Purposes::NONE,
    domains: Domains { each: DomainLimit { per_minute: None, connections: None }, of: Vec::new() },
};

/// At most so many messages to one contact in any window of this length.
#[derive(Clone, Debug, PartialEq)]
pub struct Cap {
    /// On this channel; on all that reach a contact together without one.
    pub channel: Option<Channel>,
    /// For this purpose and its topics; for all but transactional ones together without one.
    pub purpose: Option<String>,
    /// How many.
    pub most: u32,
    /// The window, in microseconds: rolling, its end excluded.
    pub within: i64,
    /// What becomes of one too many.
    pub over: Over,
}

/// What becomes of a message over a cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// It is skipped.
    Skip,
    /// It is held until there is room; longer than this (microseconds, from its decision on) it is skipped.
    Hold(i64),
}

/// How many messages may leave; transactional ones are exempt and do not count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Of the workspace.
    pub all: Limit,
    /// Of single journeys, by slug, beside that of the workspace.
    pub journeys: Vec<(String, Limit)>,
    /// A message that is held longer than this by a limit (microseconds, from its decision on) is skipped; a week when
    /// nothing is said.
    pub hold: Option<i64>,
}

/// So many in an hour, so many in a day: rolling, counted by the minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// In 60 minutes.
    pub per_hour: Option<u64>,
    /// In 24 hours.
    pub per_day: Option<u64>,
}

impl Limit {
    /// Whether there is one.
    #[must_use]
    pub const fn any(self) -> bool {
        self.per_hour.is_some() || self.per_day.is_some()
    }
}

/// How much mail at once the domains of recipients get. What is over it waits; nothing is skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domains {
    /// A domain that is not named.
    pub each: DomainLimit,
    /// Domains by name, in lower case.
    pub of: Vec<(String, DomainLimit)>,
}

/// A domain's share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DomainLimit {
    /// Messages in a minute, spread over it.
    pub per_minute: Option<u32>,
    /// Messages on their way at the same time.
    pub connections: Option<u32>,
}

impl Domains {
    /// The share of a domain (in lower case): its own, else that of each.
    #[must_use]
    pub fn of(&self, domain: &str) -> DomainLimit {
        self.of.iter().find(|(known, _)| known == domain).map_or(self.each, |(_, limit)| *limit)
    }
}

/// What the answer for a purpose says about its topics (`newsletter/promotions`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopicConsent {
    /// A yes to the purpose is one to each topic that was not refused.
    #[default]
    Follow,
    /// Each topic needs a yes of its own beside that of the purpose.
    Ask,
}

/// How many messages left by the minute, for [`Limit::free`]: (minute since 1970, how many), ascending.
pub type Spent = Vec<(i64, u64)>;

impl SendingRules {
    /// Most rules of one sort.
    pub const RULES_MAX: usize = 100;
    /// Longest window of a cap.
    pub const WINDOW_MAX: i64 = 366 * Timestamp::DAY;
    /// Longest smart-sending window, of the workspace and of a node.
    pub const SMART_MAX: i64 = 31 * Timestamp::DAY;
    /// How long a message over a cap or a limit is held when nothing else is said.
    pub const HOLD_DEFAULT: i64 = 2 * Timestamp::DAY;
    /// Longest that a message may be held.
    pub const HOLD_MAX: i64 = 31 * Timestamp::DAY;

    /// The smart-sending window that a channel has where a message asks for one and the workspace names none: 16 hours
    /// for email, 24 for text messages and push, as elsewhere (Klaviyo's defaults).
    #[must_use]
    pub const fn smart_default(channel: Channel) -> i64 {
        match channel {
            Channel::Email => 16 * Timestamp::HOUR,
            Channel::Sms | Channel::WebPush | Channel::Webhook => 24 * Timestamp::HOUR,
        }
    }

    /// The smart-sending window of a channel.
    #[must_use]
    pub fn smart_of(&self, channel: Channel) -> Option<i64> {
        self.smart.iter().find(|(known, _)| *known == channel).map(|(_, window)| *window)
    }

    /// How far back messages to a contact must be known, in microseconds; 0 when no rule asks. A node may ask for more
    /// with a window of its own.
    #[must_use]
    pub fn horizon(&self) -> i64 {
        let caps = self.caps.iter().map(|cap| cap.within);
        caps.chain(self.smart.iter().map(|(_, window)| *window)).max().unwrap_or_default()
    }
}

impl Limits {
    /// Whether there is any.
    #[must_use]
    pub fn any(&self) -> bool {
        self.all.any() || self.journeys.iter().any(|(_, limit)| limit.any())
    }

    /// How long a message may be held by a limit.
    #[must_use]
    pub fn patience(&self) -> i64 {
        self.hold.unwrap_or(7 * Timestamp::DAY)
    }

    /// The limit of a journey.
    #[must_use]
    pub fn of(&self, journey: &str) -> Limit {
        self.journeys
            .iter()
            .find(|(slug, _)| slug == journey)
            .map_or_else(Limit::default, |(_, limit)| *limit)
    }
}

impl Limit {
    /// How many more may leave at `now` when so many left by the minute, and when there is room again if none may.
    /// Counted in whole minutes, so that never more leave in any 60 minutes or 24 hours than was said.
    #[must_use]
    pub fn free(self, spent: &[(i64, u64)], now: Timestamp) -> (u64, Option<Timestamp>) {
        let minute = now.0.div_euclid(Timestamp::MINUTE);
        let windows = [(self.per_hour, 60), (self.per_day, 24 * 60)];
        let (mut room, mut again) = (u64::MAX, None::<Timestamp>);
        for (most, minutes) in windows.into_iter().filter_map(|(most, minutes)| Some((most?, minutes))) {
            // A minute at the window's far end counts whole.
            let inside = |at: i64| at >= minute - minutes && at <= minute;
            let used: u64 = spent.iter().filter(|(at, _)| inside(*at)).map(|(_, n)| *n).sum();
            let left = most.saturating_sub(used);
            if left == 0 {
                let mut over = used.saturating_sub(most) + 1;
                let last = spent.iter().filter(|(at, _)| inside(*at)).find(|(_, n)| {
                    over = over.saturating_sub(*n);
                    over == 0
                });
                // Without anything spent the limit is nought: ask again when the window has passed.
                let at = last.map_or(minute, |(at, _)| *at) + minutes + 1;
                again = again.max(Some(Timestamp(at * Timestamp::MINUTE)));
            }
            room = room.min(left);
        }
        (room, again.filter(|_| room == 0))
    }
}
