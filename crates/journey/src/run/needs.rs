//! What a run asks the shell for, and what the shell has answered.

use std::sync::Arc;

use model::{Cart, Event, Order, Timestamp};
use recommend::{ContactFacts, Needs as FactNeeds};

use crate::graph::Journey;

/// Which cart of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CartChoice {
    /// The last one changed or bought.
    Any,
    /// The last one neither bought nor abandoned.
    Active,
    /// The last one abandoned.
    Abandoned,
    /// The last one bought.
    Purchased,
}

/// What a run asks the shell for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Whether the contact is in a segment, by its place in [`Journey::segments`].
    Member(u16),
    /// The contact's last cart.
    LastCart(CartChoice),
    /// What the contact bought, visited and left in carts.
    Facts(FactNeeds),
    /// Whether a condition about the contact's history holds now, by its place in [`Journey::conditions`]. References in
    /// it are answered by `Run::data` of the token that asks.
    Condition(u16),
    /// The last order or event that the one activity of a condition counts, by the condition's place in
    /// [`Journey::conditions`]: [`Answers::set_found`].
    Found(u16),
    /// A code of a coupon set, by its place in [`Journey::coupons`], for this contact and enrolment.
    Coupon(CouponNeed),
    /// How often the contact (and all contacts) passed a node of this journey before this run, by its number.
    Passages(u16),
}

/// Which code is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CouponNeed {
    /// The set, by its place in [`Journey::coupons`].
    pub set: u16,
    /// A code of the set that the contact was given before and that has not expired will do.
    pub reuse: bool,
}

/// A code as the shell found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coupon {
    /// The code.
    pub code: String,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// Whether the contact holds it already: then nothing new is assigned.
    pub held: bool,
    /// Codes left in the set after this one; none when the set has one shared code without a limit.
    pub left: Option<u64>,
}

/// What [`Need::Found`] is answered with.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// An order, its lines as what was kept of it.
    Order(Arc<Order>),
    /// An event.
    Event(Arc<Event>),
}

/// What the shell answered so far.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    members: Vec<(u16, bool)>,
    carts: Vec<(CartChoice, Option<Arc<Cart>>)>,
    facts: ContactFacts,
    known: FactNeeds,
    conditions: Vec<(u16, bool)>,
    found: Vec<(u16, Option<Found>)>,
    coupons: Vec<(CouponNeed, Option<Coupon>)>,
    passages: Vec<(u16, Passages)>,
}

/// How often a node was passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passages {
    /// By this contact, in all its enrolments.
    pub own: u64,
    /// By all contacts.
    pub total: u64,
    /// Contacts that took a variant of the A/B test that the node is, in this run of the version.
    pub taken: u64,
}

impl Answers {
    /// Answers [`Need::Condition`].
    pub fn set_condition(&mut self, condition: u16, holds: bool) {
        self.conditions.retain(|(known, _)| *known != condition);
        self.conditions.push((condition, holds));
    }

    /// Answers [`Need::Found`]; none when nothing counts.
    pub fn set_found(&mut self, condition: u16, found: Option<Found>) {
        self.found.retain(|(known, _)| *known != condition);
        self.found.push((condition, found));
    }

    /// The answer to [`Need::Found`].
    #[must_use]
    pub fn found(&self, condition: u16) -> Option<Option<&Found>> {
        self.found.iter().find(|(known, _)| *known == condition).map(|(_, found)| found.as_ref())
    }

    /// Answers [`Need::Coupon`]; none when the set is exhausted or has expired.
    pub fn set_coupon(&mut self, need: CouponNeed, coupon: Option<Coupon>) {
        self.coupons.retain(|(known, _)| *known != need);
        self.coupons.push((need, coupon));
    }

    /// Answers [`Need::Passages`].
    pub fn set_passages(&mut self, node: u16, passages: Passages) {
        self.passages.retain(|(known, _)| *known != node);
        self.passages.push((node, passages));
    }

    /// The answer to [`Need::Condition`].
    #[must_use]
    pub fn condition(&self, condition: u16) -> Option<bool> {
        self.conditions.iter().find(|(known, _)| *known == condition).map(|(_, holds)| *holds)
    }

    /// The answer to [`Need::Coupon`].
    #[must_use]
    pub fn coupon(&self, need: CouponNeed) -> Option<Option<&Coupon>> {
        self.coupons.iter().find(|(known, _)| *known == need).map(|(_, coupon)| coupon.as_ref())
    }

    /// The answer to [`Need::Passages`].
    #[must_use]
    pub fn passages(&self, node: u16) -> Option<Passages> {
        self.passages.iter().find(|(known, _)| *known == node).map(|(_, passages)| *passages)
    }

    /// Answers [`Need::Member`].
    pub fn set_member(&mut self, segment: u16, member: bool) {
        self.members.retain(|(known, _)| *known != segment);
        self.members.push((segment, member));
    }

    /// Answers [`Need::LastCart`].
    pub fn set_last_cart(&mut self, choice: CartChoice, cart: Option<Arc<Cart>>) {
        self.carts.retain(|(known, _)| *known != choice);
        self.carts.push((choice, cart));
    }

    /// Answers [`Need::Facts`]: `facts` holds at least what `needs` asks for. Facts known before are replaced, so a
    /// shell answers [`Answers::wanted_facts`].
    pub fn set_facts(&mut self, needs: FactNeeds, facts: ContactFacts) {
        self.facts = facts;
        self.known = needs;
    }

    /// What the facts must hold so that `needs` and what was asked before are both satisfied.
    #[must_use]
    pub fn wanted_facts(&self, needs: FactNeeds) -> FactNeeds {
        self.known.and(needs)
    }

    pub(crate) fn member(&self, segment: u16) -> Option<bool> {
        self.members.iter().find(|(known, _)| *known == segment).map(|(_, member)| *member)
    }

    pub(crate) fn last_cart(&self, choice: CartChoice) -> Option<Option<&Arc<Cart>>> {
        self.carts.iter().find(|(known, _)| *known == choice).map(|(_, cart)| cart.as_ref())
    }

    pub(crate) fn knows_facts(&self, needs: &FactNeeds) -> bool {
        self.known.and(*needs) == self.known
    }

    pub(crate) const fn facts(&self) -> &ContactFacts {
        &self.facts
    }

    /// Forgets what may no longer be true after a step: with a write everything that asks the profile, and conditions
    /// that refer to data, which another token answers in another way.
    pub(super) fn forget(&mut self, wrote: bool, journey: &Journey) {
        if wrote {
            self.members.clear();
        }
        self.found.clear();
        let refers = |condition: u16| {
            journey
                .conditions
                .get(usize::from(condition))
                .is_none_or(|condition| !condition.refs().is_empty())
        };
        self.conditions.retain(|(condition, _)| !wrote && !refers(*condition));
    }
}
