//! May we write to this person, for this purpose, on this channel, now? The same answer when a message is decided and
//! when it leaves: both ask [`SendingRules::decide`] with the facts of that moment.
//!
//! Pure: facts in, an answer out. A workspace's rules are its setting `sending` ([`SendingRules::parse`]); the default
//! has none but consent and suppression.

mod caps;
mod country;
mod decide;
mod purposes;
mod quiet;
mod read;
mod refusal;
mod rules;

pub use decide::{Decision, Facts, PastSend, Smart, consent, email};
pub use purposes::{Enforcement, PURPOSES_SETTING, Purpose, Purposes, Topic, Tracking};
pub use quiet::{Days, Quiet, Span, ZoneChoice};
pub use refusal::Refusal;
pub use rules::{
    Cap, DomainLimit, Domains, Limit, Limits, NO_RULES, Over, SendingRules, Spent, TopicConsent,
};

/// The purpose of messages that a contact asked for by what they did (an order's confirmation, a password): they need
/// no consent, only an address that takes mail.
pub const TRANSACTIONAL: &str = "transactional";

/// The workspace's setting that holds the rules.
pub const SETTING: &str = "sending";
