//! The contract that both backends keep, and the row logic that they share.
//!
//! Verbs are coarse and of the domain, batches in, batches out; arguments are owned so that a backend can hand them to
//! its own thread. One trait per aggregate, one file per trait; a backend has a file of the same name.

pub mod access;
pub mod audit;
pub mod browse;
pub mod catalogue;
pub mod codec;
pub mod consents;
pub mod contacts;
pub mod coupons;
pub mod desk;
pub mod error;
pub mod events;
pub mod fault;
pub mod hooks;
pub mod imports;
pub mod jobs;
pub mod journeys;
pub mod live;
pub mod lives;
pub mod orders;
pub mod outbox;
pub mod people;
pub mod post;
pub mod refused;
pub mod relations;
pub mod retire;
pub mod rfm;
pub mod segments;
pub mod settings;
pub mod upkeep;
pub mod users;

pub use error::{Result, StoreError};

/// Which of the waiting writers goes first: each variant before those below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Urgency {
    /// Somebody waits for the answer: what happens now is taken in (`ImportBatch::live`), a setting is changed.
    Urgent,
    /// A batch of journeys that sends a transactional message; delivery of messages.
    Transactional,
    /// A batch of journeys: inputs and alarms.
    #[default]
    Normal,
    /// What happens to many contacts at once: waves, audiences.
    Broadcast,
    /// Segments built anew, scores of the whole base.
    Rebuild,
    /// Files of the past.
    Bulk,
}

impl Urgency {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 6] =
        [Self::Urgent, Self::Transactional, Self::Normal, Self::Broadcast, Self::Rebuild, Self::Bulk];
}

/// Everything that the engine asks of a database. One value is one workspace.
pub trait Storage:
    contacts::ContactStore
    + orders::OrderStore
    + catalogue::CatalogueStore
    + relations::RelationStore
    + events::EventStore
    + coupons::CouponStore
    + imports::ImportStore
    + settings::SettingsStore
    + rfm::RfmStore
    + segments::SegmentStore
    + journeys::JourneyStore
    + outbox::OutboxStore
    + live::LiveStore
    + lives::LifeStore
    + access::AccessStore
    + users::UserStore
    + audit::AuditStore
    + people::PeopleStore
    + consents::ConsentStore
    + post::PostStore
    + hooks::HookStore
    + jobs::JobStore
    + browse::BrowseStore
    + upkeep::UpkeepStore
    + desk::DeskStore
    + retire::RetireStore
    + refused::RefusedStore
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<T> Storage for T where
    T: contacts::ContactStore
        + orders::OrderStore
        + catalogue::CatalogueStore
        + relations::RelationStore
        + events::EventStore
        + coupons::CouponStore
        + imports::ImportStore
        + settings::SettingsStore
        + rfm::RfmStore
        + segments::SegmentStore
        + journeys::JourneyStore
        + outbox::OutboxStore
        + live::LiveStore
        + lives::LifeStore
        + access::AccessStore
        + users::UserStore
        + audit::AuditStore
        + people::PeopleStore
        + consents::ConsentStore
        + post::PostStore
        + hooks::HookStore
        + jobs::JobStore
        + browse::BrowseStore
        + upkeep::UpkeepStore
        + desk::DeskStore
        + retire::RetireStore
        + refused::RefusedStore
        + Clone
        + Send
        + Sync
        + 'static
{
}
