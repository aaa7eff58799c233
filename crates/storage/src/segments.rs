//! Segments and their members; and the scans that a new segment is built from.
//!
//! Membership lies in chunks of 65,536 consecutive contact ids, so that a segment of a million contacts is sixteen rows,
//! and a contact that enters touches one of them. Every commit that changes members leaves a *move*: who entered, who
//! left, when. *Flips* are the instants at which time alone changes a contact's membership: those of the next days only
//! (see [`FLIPS_AHEAD`]); later ones are found by building the segment again.

use std::future::Future;

use model::{Cart, Contact, ContactId, Event, Order, OrderNo, Slug, Timestamp, Totals};
use roaring::RoaringTreemap;

use crate::{Result, live::NewWave};

/// How far ahead flips are kept, in microseconds: two days.
pub const FLIPS_AHEAD: i64 = 2 * Timestamp::DAY;

/// Ids of contacts from the first (included) to the last (included).
pub type IdRange = std::ops::RangeInclusive<i64>;

/// When an event of a kind happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventMark {
    /// Whose.
    pub contact: ContactId,
    /// When.
    pub at: Timestamp,
}

/// An order that counts, without its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderMark {
    /// Whose.
    pub contact: ContactId,
    /// When.
    pub at: Timestamp,
    /// Its number.
    pub no: OrderNo,
    /// What was paid.
    pub total: i64,
    /// What was paid back since.
    pub refunded: i64,
}

/// A segment that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Its name.
    pub slug: Slug,
    /// Fingerprint of the condition that its members satisfy; empty when it was laid aside
    /// ([`SegmentStore::lay_segments_aside`]).
    pub fingerprint: String,
    /// How many members.
    pub members: u64,
    /// When its members were last brought up to date as a whole.
    pub built_at: Timestamp,
}

/// A whole segment's members, to be committed.
#[derive(Clone, Debug)]
pub struct NewMembers {
    /// Its name.
    pub slug: Slug,
    /// Fingerprint of the condition.
    pub fingerprint: String,
    /// Who is in it.
    pub members: RoaringTreemap,
    /// When time alone will change somebody's membership, within [`FLIPS_AHEAD`].
    pub flips: Vec<(ContactId, Timestamp)>,
    /// The instant that it is true for.
    pub at: Timestamp,
    /// What is told to those who move, in the same transaction.
    pub tell: Tell,
}

/// What is told to those who move when a segment is built: each is a wave. None: nobody is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tell {
    /// To those who come in; the contact is put in.
    pub entered: Option<Event>,
    /// To those who go out.
    pub left: Option<Event>,
}

impl Tell {
    /// The waves that follow from a move.
    #[must_use]
    pub fn waves(&self, moved: &Moved) -> Vec<NewWave> {
        [(&self.left, &moved.left), (&self.entered, &moved.entered)]
            .into_iter()
            .filter(|(_, contacts)| !contacts.is_empty())
            .filter_map(|(event, contacts)| {
                let event = event.clone()?;
                Some(NewWave { event, causes: 0, contacts: contacts.clone() })
            })
            .collect()
    }
}

/// One contact's answer for one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberAnswer {
    /// Whose.
    pub contact: ContactId,
    /// Whether it is a member.
    pub member: bool,
    /// When time alone changes that, within [`FLIPS_AHEAD`].
    pub flip: Option<Timestamp>,
    /// What is kept of its history for the condition (`segment::State` as bytes); none when nothing is.
    pub state: Option<Vec<u8>>,
}

/// Who entered and who left a segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moved {
    /// Its name.
    pub slug: Option<Slug>,
    /// When.
    pub at: Timestamp,
    /// Those who came in.
    pub entered: RoaringTreemap,
    /// Those who went out.
    pub left: RoaringTreemap,
    /// Members now.
    pub members: u64,
}

/// Segments.
pub trait SegmentStore {
    /// All segments that were built, by slug.
    fn load_segments(&self) -> impl Future<Output = Result<Vec<SegmentRecord>>> + Send;
    /// A segment with its members; none when it was never built.
    fn load_members(
        &self,
        slug: Slug,
    ) -> impl Future<Output = Result<Option<(SegmentRecord, RoaringTreemap)>>> + Send;
    /// In which segments these contacts are, by slug, in the order of the ids.
    fn load_memberships(
        &self,
        contacts: Vec<ContactId>,
    ) -> impl Future<Output = Result<Vec<Vec<Slug>>>> + Send;
    /// Replaces a segment's members in one transaction, and says who moved. What was kept of histories for another
    /// fingerprint is dropped.
    fn commit_members(&self, new: NewMembers) -> impl Future<Output = Result<Moved>> + Send;
    /// Changes the membership of some contacts of segments that were built, in one transaction, and says who moved.
    /// Answers for a segment with another fingerprint are left out: it was built anew meanwhile.
    fn update_members(
        &self,
        answers: Vec<(Slug, String, Vec<MemberAnswer>)>,
        at: Timestamp,
    ) -> impl Future<Output = Result<Vec<Moved>>> + Send;
    /// Says of segments that were built that nobody keeps them true from now on: what their condition is later, they are
    /// to be built anew for it, and time changes nobody's membership until then. Their members stay as they are.
    fn lay_segments_aside(&self, slugs: Vec<Slug>) -> impl Future<Output = Result<()>> + Send;
    /// What is kept of these contacts' histories for some segments: for each segment, in the order of the ids.
    fn load_member_states(
        &self,
        slugs: Vec<Slug>,
        contacts: Vec<ContactId>,
    ) -> impl Future<Output = Result<Vec<Vec<Option<Vec<u8>>>>>> + Send;
    /// The contacts whose membership of a segment time changes until `now` (included), the earliest first, at most
    /// `limit`.
    fn load_due_flips(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Slug, ContactId)>>> + Send;
    /// Who moved in a segment with `since <= at < until`, by time.
    fn load_member_moves(
        &self,
        slug: Slug,
        since: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Vec<Moved>>> + Send;

    /// All events of these contacts of these kinds, by contact in the order of the ids, then by time, and the number of the
    /// last input of the living engine at that same instant: events that came as a later input are not among them.
    fn load_history(
        &self,
        contacts: Vec<ContactId>,
        kinds: Vec<String>,
    ) -> impl Future<Output = Result<(Vec<Event>, i64)>> + Send;
    /// The ids of all contacts.
    fn load_contact_ids(&self) -> impl Future<Output = Result<RoaringTreemap>> + Send;
    /// The kinds of events that were seen.
    fn load_event_kinds(&self) -> impl Future<Output = Result<Vec<String>>> + Send;
    /// Folds over the events of a kind of these contacts with `since <= at < until`, by contact, then by time.
    fn fold_event_marks<T: Send + 'static>(
        &self,
        kind: String,
        contacts: IdRange,
        since: Timestamp,
        until: Timestamp,
        init: T,
        fold: impl FnMut(&mut T, EventMark) + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send;
    /// As [`SegmentStore::fold_event_marks`], with the whole event.
    fn fold_events<T: Send + 'static>(
        &self,
        kind: String,
        contacts: IdRange,
        since: Timestamp,
        until: Timestamp,
        init: T,
        fold: impl FnMut(&mut T, &Event) + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send;
    /// Folds over the orders that count of these contacts with `since <= at < until`, by contact, then by time; or, when
    /// `by_time`, in no particular order, which is faster for a short span.
    fn fold_order_marks<T: Send + 'static>(
        &self,
        contacts: IdRange,
        since: Timestamp,
        until: Timestamp,
        by_time: bool,
        init: T,
        fold: impl FnMut(&mut T, OrderMark) + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send;
    /// Folds over the orders of these contacts with `since <= at < until`, cancelled ones too, by contact, then by time.
    fn fold_orders<T: Send + 'static>(
        &self,
        contacts: IdRange,
        since: Timestamp,
        until: Timestamp,
        init: T,
        fold: impl FnMut(&mut T, &Order) + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send;
    /// Folds over the profiles of these contacts with what their orders come to, by contact.
    fn fold_profiles<T: Send + 'static>(
        &self,
        contacts: IdRange,
        init: T,
        fold: impl FnMut(&mut T, &Contact, &Totals) + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send;
    /// The carts of these contacts that were not bought, by contact in the order of the ids.
    fn load_open_carts(&self, contacts: Vec<ContactId>) -> impl Future<Output = Result<Vec<Cart>>> + Send;
    /// Folds over the carts of these contacts that were not bought, by contact.
    fn fold_open_carts<T: Send + 'static>(
        &self,
        contacts: IdRange,
        init: T,
        fold: impl FnMut(&mut T, &Cart) + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send;
}
