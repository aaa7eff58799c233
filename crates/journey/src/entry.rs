//! How contacts come into a journey and leave it early: triggers, exits, the goal, `while`, re-entry.
//!
//! Everything that happens to a contact is an event (see [`crate::signal`]); a [`Listener`] says which ones it means. The
//! engine raises the ones that need a clock (abandoned carts, dates, schedules) for the triggers that ask for them.

use model::{Event, Period, Place, Slug, Timestamp, event::kind};
use segment::{Condition, RefPath};

use crate::data::DataType;

/// What a trigger, an exit or a goal waits for.
#[derive(Clone, Debug, PartialEq)]
pub enum On {
    /// An event of a kind.
    Event(String),
    /// The contact enters a segment.
    SegmentEntered(Slug),
    /// The contact leaves a segment.
    SegmentExited(Slug),
    /// The contact's RFM group changes.
    RfmChanged {
        /// The model.
        model: String,
        /// From one of these groups; any when empty.
        from: Vec<String>,
        /// To one of these groups; any when empty.
        to: Vec<String>,
    },
    /// A cart with something in it was left alone for so long (microseconds).
    CartAbandoned {
        /// For how long.
        after: i64,
    },
    /// A date of the contact comes near, or has passed.
    Date(DateTrigger),
    /// Again and again, for the whole audience.
    Schedule(Schedule),
    /// A product that the contact looked at costs less.
    PriceDrop(ProductTrigger),
    /// A product that the contact asked for is back.
    BackInStock(ProductTrigger),
    /// A product that the contact looked at is nearly gone.
    LowStock(ProductTrigger),
    /// Somebody asks by API or by hand.
    Api,
}

/// A trigger by a date field of the contact.
#[derive(Clone, Debug, PartialEq)]
pub struct DateTrigger {
    /// The field.
    pub field: String,
    /// So long before (negative) or after the date.
    pub offset_days: i32,
    /// At this time of the day, in minutes.
    pub minute: u16,
    /// In the contact's own zone (else the workspace's).
    pub contact_zone: bool,
    /// Every year, or once.
    pub yearly: bool,
}

/// A recurring start.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Day, week or month.
    pub every: Every,
    /// Every so many of them.
    pub interval: u16,
    /// On these days of the week, Monday is 1; any when empty.
    pub weekdays: Vec<u8>,
    /// On this day of the month; the last day of shorter months.
    pub month_day: Option<u8>,
    /// At this time of the day in the workspace's zone (or `zone`), in minutes.
    pub minute: u16,
    /// The zone, where it is not the workspace's.
    pub zone: Option<model::Zone>,
}

/// A unit of a [`Schedule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// Days.
    Day,
    /// Weeks.
    Week,
    /// Months.
    Month,
}

/// A trigger by what happens to a product.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductTrigger {
    /// At least so much less, in ten-thousandths of the currency; or
    pub amount: Option<model::Amount>,
    /// at least so many per cent less, in ten-thousandths of a per cent.
    pub percent: Option<model::Amount>,
    /// So many units or fewer are left; without it, no more than the workspace's minimum stock.
    pub at_most: Option<i64>,
    /// Who is meant: those who did one of these with the product.
    pub interest: Vec<Interest>,
    /// Within this time.
    pub within: Period,
}

/// What somebody did with a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Looked at it.
    Viewed,
    /// Put it into a cart.
    Added,
    /// Began to check out with it.
    CheckoutStarted,
    /// Asked to hear when it is back.
    Subscribed,
}

/// Something that a journey listens for: a trigger, an exit, its goal.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// What.
    pub on: On,
    /// What must hold of the event (`trigger.…`) and the contact's profile.
    pub condition: Option<Condition>,
    /// Where the key stands in the event: runs with another key are not meant. None for a cart trigger: its cart id.
    pub key: Option<RefPath>,
    /// An event that was this old at its arrival starts nothing, in microseconds.
    pub late: i64,
    /// Whether an opening or a click by a machine counts (`machine: true`).
    pub machine: bool,
    /// Types of properties that the file declares, by dotted path.
    pub properties: Vec<(String, DataType)>,
    /// Where it stands in the file.
    pub place: Place,
}

/// What a journey is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// What reaches it.
    pub listener: Listener,
    /// The share of contacts that should, in ten-thousandths; or
    pub share: Option<u32>,
    /// how many should.
    pub count: Option<u64>,
    /// How long after the end of a run it still counts (design: 3 days).
    pub within: Period,
}

/// A condition that must stay true (`while`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Its place in [`crate::Journey::conditions`].
    pub condition: u16,
    /// When it does not: leave the journey, or skip the message and go on.
    pub leave: bool,
}

/// How often something may happen; none: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Per contact.
    pub per_contact: Option<u64>,
    /// For all contacts together.
    pub in_total: Option<u64>,
}

impl Limits {
    /// Whether there is one.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.per_contact.is_some() || self.in_total.is_some()
    }
}

impl On {
    /// The kind of event that it may mean.
    #[must_use]
    pub fn event_kind(&self) -> &str {
        match self {
            Self::Event(name) => name,
            Self::SegmentEntered(_) => kind::SEGMENT_ENTERED,
            Self::SegmentExited(_) => kind::SEGMENT_EXITED,
            Self::RfmChanged { .. } => kind::RFM_GROUP_CHANGED,
            Self::CartAbandoned { .. } => kind::CART_ABANDONED,
            Self::Date(_) => kind::DATE_REACHED,
            Self::Schedule(_) => kind::SCHEDULED,
            Self::PriceDrop(_) => kind::PRICE_DROPPED,
            Self::BackInStock(_) => kind::BACK_IN_STOCK,
            Self::LowStock(_) => kind::LOW_STOCK,
            Self::Api => kind::JOURNEY_ENTRY,
        }
    }

    /// Whether an event is meant, its condition left aside. Events that the engine raises for one trigger name it by
    /// the properties `journey` and `trigger` (its place in the file), which the engine itself compares.
    #[must_use]
    pub fn means(&self, event: &Event) -> bool {
        let text = |name: &str| event.properties.get(name).and_then(serde_json::Value::as_str);
        if event.kind != self.event_kind() {
            return false;
        }
        match self {
            Self::SegmentEntered(slug) | Self::SegmentExited(slug) => text("segment") == Some(slug.as_str()),
            Self::RfmChanged { model, from, to } => {
                let among = |groups: &[String], name: &str| {
                    groups.is_empty() || text(name).is_some_and(|group| groups.iter().any(|g| g == group))
                };
                text("model") == Some(model.as_str()) && among(from, "from") && among(to, "to")
            }
            _ => true,
        }
    }
}

/// Whether an event arrived too late to start anything.
#[must_use]
pub const fn is_late(event: &Event, late: i64) -> bool {
    event.received_at.since(event.at) >= late
}

/// When a contact may come in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reentry {
    /// Once in a lifetime, whatever the version.
    Never,
    /// Again once the run before has ended.
    AfterExit,
    /// Again so long after the last entry, once that run has ended.
    After(Period),
    /// Once for each key.
    PerKey,
}

/// What is known of a contact's enrolments in a journey, all its versions together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past<'a> {
    /// The key.
    pub key: &'a str,
    /// When it came in.
    pub entered_at: Timestamp,
    /// Whether it is still inside.
    pub inside: bool,
}

/// Whether a contact may come in at `now` with a key. One run per contact at a time; with keys, one per key.
#[must_use]
pub fn admits(reentry: Reentry, past: &[Past<'_>], key: &str, now: Timestamp) -> bool {
    let inside = |past: &Past<'_>| past.inside && (past.key == key || key.is_empty() || past.key.is_empty());
    if past.iter().any(inside) {
        return false;
    }
    match reentry {
        Reentry::Never => past.is_empty(),
        Reentry::AfterExit => true,
        Reentry::After(pause) => past.iter().all(|past| pause.after(past.entered_at) <= now),
        Reentry::PerKey => past.iter().all(|past| past.key != key),
    }
}
