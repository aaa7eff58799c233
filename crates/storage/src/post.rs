//! What comes back: bounces, complaints, addresses that failed for a while.
//!
//! A *report* is what somebody else says of a message that left: a mail server in a bounce, a mailbox provider in a
//! complaint, a mail service in a call. Whether it may be believed is decided at the door; here it is believed, once for
//! each message and kind.

use std::future::Future;

use model::{ContactId, MessageId, Problems, Timestamp, doc};

use crate::{Result, outbox::AddressHash};

/// The workspace's setting about bounces.
pub const SETTING: &str = "bounces";

/// What is said of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ReportKind {
    /// It lies in the mailbox.
    Delivered = 1,
    /// It did not arrive this time: the mailbox is full, the mail was not liked.
    Soft = 2,
    /// There is no such mailbox.
    Hard = 3,
    /// Its reader called it spam.
    Complaint = 4,
    /// Its reader wants no more of this purpose.
    Unsubscribed = 5,
}

impl ReportKind {
    /// All.
    pub const ALL: [Self; 5] = [Self::Delivered, Self::Soft, Self::Hard, Self::Complaint, Self::Unsubscribed];

    /// The kind of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// As the reason of a message says it, and the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Soft => "bounce.soft",
            Self::Hard => "bounce.hard",
            Self::Complaint => "complaint",
            Self::Unsubscribed => "unsubscribed",
        }
    }
}

/// What a report is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A message of ours.
    Message(MessageId),
    /// An address, where the other side names no message: the last one that left for it within [`LAST_DAYS`].
    Address(String),
}

/// So far back a message is looked for that a report about an address may mean.
pub const LAST_DAYS: i64 = 31;

/// A report that is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it is about.
    pub about: About,
    /// What it says.
    pub kind: ReportKind,
    /// When it happened, as far as is known.
    pub at: Timestamp,
    /// Who says so, as in `dsn`, `arf`, `sendgrid`.
    pub source: String,
    /// A code without an address in it, as in `5.1.1`: kept with the suppression.
    pub status: String,
    /// The words of the other side: kept with the message.
    pub detail: String,
    /// The other side's own id of this report: the same one is not heard twice, whatever it is about.
    pub once: Option<String>,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// It was recorded; whom it was about, where that is known.
    Taken(Option<ContactId>),
    /// It was recorded before.
    Repeated,
    /// It is about no message of ours.
    Unknown,
}

/// A report as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRow {
    /// What it says.
    pub kind: ReportKind,
    /// When it happened.
    pub at: Timestamp,
    /// Who says so.
    pub source: String,
    /// The code, and the words of the other side.
    pub detail: String,
}

/// Soft bounces of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoftRow {
    /// In a row, since the last mail that arrived or the last pause.
    pub in_a_row: u32,
    /// How many pauses there were.
    pub pauses: u32,
}

/// What bounces and complaints lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BounceRules {
    /// So many soft bounces in a row pause an address.
    pub soft_in_a_row: u32,
    /// For how many days: the first time, the second, and so on; the last one from then on.
    pub pause_days: Vec<u32>,
    /// For how many days a hard bounce suppresses; for good without it.
    pub hard_days: Option<u32>,
    /// A mail that nobody sent back within so many days has arrived, so that soft bounces are counted anew: servers give
    /// up after 4 to 5 days (RFC 5321 §4.5.4.1).
    pub settled_after_days: u32,
    /// Whether a complaint takes back the consent for every purpose, and not for that of its message alone.
    pub complaint_ends_all: bool,
}

impl Default for BounceRules {
    fn default() -> Self {
        Self {
            soft_in_a_row: 3,
            pause_days: vec![7, 14, 30, 180],
            hard_days: None,
            settled_after_days: 5,
            complaint_ends_all: false,
        }
    }
}

impl BounceRules {
    /// Most soft bounces in a row that may be asked for.
    pub const SOFT_MAX: i64 = 20;
    /// Most steps of pauses.
    pub const PAUSES_MAX: usize = 10;
    /// Longest pause, in days.
    pub const DAYS_MAX: i64 = 3_650;
    /// Longest time after which a mail counts as arrived, in days.
    pub const SETTLED_MAX: i64 = 30;

    /// Reads the setting, YAML or JSON. An empty text is the default.
    ///
    /// # Errors
    /// `bounces.number`, `bounces.pauses`, `doc.*`: everything that is wrong, each with its field.
    pub fn parse(text: &str) -> std::result::Result<Self, Problems> {
        let root = doc::parse(text).map_err(|problem| vec![problem])?;
        let mut rules = Self::default();
        if root.data == doc::Data::Null {
            return Ok(rules);
        }
        let mut fields = root.fields("").map_err(|problem| vec![problem])?;
        let mut problems = Problems::new();
        let number = |node: &doc::Node, field: &str, least: i64, most: i64, problems: &mut Problems| {
            let number = node.integer().filter(|n| (least..=most).contains(n));
            if number.is_none() {
                let message = format!("expected a whole number from {least} to {most}");
                problems.push(node.problem("bounces.number", message).field(field));
            }
            number.and_then(|n| u32::try_from(n).ok())
        };
        if let Some(node) = fields.optional("soft_in_a_row") {
            let read = number(node, "soft_in_a_row", 1, Self::SOFT_MAX, &mut problems);
            rules.soft_in_a_row = read.unwrap_or_default();
        }
        if let Some(node) = fields.optional("pause_days") {
            let items = node.items().unwrap_or_default();
            if items.is_empty() || items.len() > Self::PAUSES_MAX {
                let message = format!("expected a list of 1 to {} periods in days", Self::PAUSES_MAX);
                let problem = node.problem("bounces.pauses", message).field("pause_days");
                problems.push(problem.cure("write it as in [7, 14, 30, 180]"));
            }
            let days = items.iter().enumerate().filter_map(|(i, item)| {
                number(item, &format!("pause_days.{i}"), 1, Self::DAYS_MAX, &mut problems)
            });
            rules.pause_days = days.collect();
        }
        if let Some(node) = fields.optional("hard_days").filter(|node| node.data != doc::Data::Null) {
            rules.hard_days = number(node, "hard_days", 1, Self::DAYS_MAX, &mut problems);
        }
        if let Some(node) = fields.optional("settled_after_days") {
            let read = number(node, "settled_after_days", 0, Self::SETTLED_MAX, &mut problems);
            rules.settled_after_days = read.unwrap_or_default();
        }
        match fields.boolean("complaint_ends_all") {
            Ok(read) => rules.complaint_ends_all = read.unwrap_or_default(),
            Err(problem) => problems.push(problem),
        }
        problems.extend(fields.finish());
        if problems.is_empty() { Ok(rules) } else { Err(problems) }
    }

    /// Until when an address is paused that was paused so many times before.
    #[must_use]
    pub fn pause_until(&self, pauses: u32, now: Timestamp) -> Timestamp {
        let step = (pauses as usize).min(self.pause_days.len().saturating_sub(1));
        now.plus_days(self.pause_days.get(step).copied().unwrap_or(1).into())
    }

    /// Until when a hard bounce suppresses an address; for good without it.
    #[must_use]
    pub fn hard_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.hard_days.map(|days| now.plus_days(days.into()))
    }
}

/// So many of the other sides' ids are remembered; the oldest are forgotten.
pub const SEEN_MAX: i64 = 1_000_000;

/// What comes back.
pub trait PostStore {
    /// Records reports at `now`, in one transaction: one answer for each.
    ///
    /// What follows from it is decided by the setting [`SETTING`] and recorded with it: the address is suppressed or
    /// paused, the contact's status and consent are changed, the message is marked with the reason, and the contact hears
    /// of it (`Email Bounced`, `Email Complained`, `Unsubscribed`), as do journeys.
    ///
    /// # Errors
    /// `Inconsistent` when the setting does not read back.
    fn report(
        &self,
        now: Timestamp,
        reports: Vec<Report>,
    ) -> impl Future<Output = Result<Vec<Reported>>> + Send;

    /// What was reported of a message, in the order of [`ReportKind`].
    fn load_reports(&self, message: MessageId) -> impl Future<Output = Result<Vec<ReportRow>>> + Send;

    /// Soft bounces of addresses, one answer for each.
    fn load_soft_rows(
        &self,
        addresses: Vec<AddressHash>,
    ) -> impl Future<Output = Result<Vec<SoftRow>>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_strictly_and_their_edges_hold() {
        assert_eq!(BounceRules::parse("").unwrap(), BounceRules::default());
        let rules = BounceRules::parse(
            "soft_in_a_row: 20\npause_days: [1, 3650]\nhard_days: 180\nsettled_after_days: 0\ncomplaint_ends_all: true",
        )
        .unwrap();
        assert_eq!((rules.soft_in_a_row, rules.hard_days, rules.complaint_ends_all), (20, Some(180), true));
        let now = Timestamp(0);
        for (pauses, days) in [(0, 1), (1, 3_650), (7, 3_650)] {
            assert_eq!(rules.pause_until(pauses, now), now.plus_days(days));
        }
        let eleven = format!("pause_days: [{}]", ["7"; BounceRules::PAUSES_MAX + 1].join(", "));
        for (text, code, field) in [
            ("soft_in_a_row: 0", "bounces.number", "soft_in_a_row"),
            ("soft_in_a_row: 21", "bounces.number", "soft_in_a_row"),
            ("pause_days: []", "bounces.pauses", "pause_days"),
            ("pause_days: 7", "bounces.pauses", "pause_days"),
            (&eleven, "bounces.pauses", "pause_days"),
            ("pause_days: [3651]", "bounces.number", "pause_days.0"),
            ("hard_days: soon", "bounces.number", "hard_days"),
            ("settled_after_days: 31", "bounces.number", "settled_after_days"),
        ] {
            let problems = BounceRules::parse(text).unwrap_err();
            assert_eq!((&*problems[0].code, problems[0].field.as_deref()), (code, Some(field)), "{text}");
        }
        assert!(BounceRules::parse("soft: 3").is_err(), "what is not known is refused");
        let ten = format!("pause_days: [{}]", ["7"; BounceRules::PAUSES_MAX].join(", "));
        assert!(BounceRules::parse(&ten).is_ok());
    }
}
