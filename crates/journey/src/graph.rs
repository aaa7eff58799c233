//! A compiled journey: nodes by number, the start first, and where each outcome leads.

use std::collections::HashMap;

use model::{Lang, Localized, Period, Place, Slug, Timestamp};
use segment::Condition;

use crate::{
    document::Audience,
    entry::{Goal, Keep, Limits, Listener, Reentry},
    nodes::{Kind, Step},
};

/// A link, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The node that it leads to.
    pub to: u16,
    /// Its word; `always` for every outcome.
    pub when: String,
    /// Where it stands in the file.
    pub place: Place,
}

/// A node, compiled.
#[derive(Debug)]
pub struct Node {
    /// Its name in links and references.
    pub id: String,
    /// What people call it; the kind's name when the file gives none.
    pub name: Localized,
    /// Its kind.
    pub kind: &'static Kind,
    /// What it does.
    pub step: Box<dyn Step>,
    /// Where it stands in the file.
    pub place: Place,
    /// The words of its outcomes.
    pub outcomes: Vec<String>,
    /// How often it may be passed.
    pub limits: Limits,
    /// The links that leave it, in the file's order.
    pub links: Vec<Link>,
    /// By outcome: the nodes that a contact goes to.
    pub next: Vec<Vec<u16>>,
}

/// A compiled journey. Made by [`crate::compile`].
#[derive(Debug)]
pub struct Journey {
    /// What it is known by.
    pub slug: Slug,
    /// What people call it.
    pub name: Localized,
    /// Who takes part.
    pub audience: Audience,
    /// Whether somebody may take part again.
    pub reentry: Reentry,
    /// What starts it; empty: the audience enters when it starts.
    pub triggers: Vec<Listener>,
    /// What takes a contact out, wherever it stands.
    pub exits: Vec<Listener>,
    /// What it is for.
    pub goal: Option<Goal>,
    /// What must stay true of a contact.
    pub keep: Option<Keep>,
    /// Nobody enters before.
    pub starts_at: Option<Timestamp>,
    /// Nobody enters from then on.
    pub ends_at: Option<Timestamp>,
    /// Conditions that need a contact's history: [`crate::Need::Condition`] names one by its place here.
    pub conditions: Vec<Condition>,
    /// Coupon sets: [`crate::run::CouponNeed`] names one by its place here.
    pub coupons: Vec<Slug>,
    /// Its nodes, the start first.
    pub nodes: Vec<Node>,
    /// The segments whose members it asks for; a [`crate::Need::Member`] names one by its place here.
    pub segments: Vec<Slug>,
    /// The templates that it sends, in order.
    pub templates: Vec<Slug>,
    /// What a [`crate::Person`] must be loaded with.
    pub reads: Reads,
    pub(crate) by_id: HashMap<String, u16>,
}

/// What of a contact the journey reads beside its profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// What its orders come to.
    pub totals: bool,
    /// Its RFM placement.
    pub rfm: bool,
    /// Whether its address is on the suppression list.
    pub suppressions: bool,
    /// The messages decided for it lately.
    pub sends: bool,
    /// How far back its nodes' own smart-sending windows look, in microseconds: the messages decided lately must be known
    /// for the longer of this and the workspace's [`policy::SendingRules::horizon`].
    pub sends_back: i64,
    /// Its push subscriptions.
    pub push: bool,
}

impl Journey {
    /// The number of a node.
    #[must_use]
    pub fn number(&self, id: &str) -> Option<u16> {
        self.by_id.get(id).copied()
    }

    /// A node by number.
    #[must_use]
    pub fn node(&self, number: u16) -> &Node {
        &self.nodes[usize::from(number)]
    }

    /// How far back sales and visits of products must be known, for all nodes.
    #[must_use]
    pub fn figures_period(&self) -> Period {
        // Months are compared as 31 days: looking back a little too far does no harm.
        let length =
            |p: &Period| p.micros.saturating_add(i64::from(p.months).saturating_mul(31 * Timestamp::DAY));
        let periods = self.nodes.iter().filter_map(|node| node.step.figures_period());
        periods.max_by_key(length).unwrap_or_default()
    }

    /// Its A/B tests, with the numbers of their nodes.
    pub fn trials(&self) -> impl Iterator<Item = (u16, &crate::ab::Trial)> {
        (0..).zip(&self.nodes).filter_map(|(number, node)| Some((number, node.step.trial()?)))
    }

    /// The contact fields that nodes write.
    #[must_use]
    pub fn changed_fields(&self) -> Vec<&str> {
        let mut fields: Vec<&str> = self.nodes.iter().filter_map(|node| node.step.changes_field()).collect();
        fields.sort_unstable();
        fields.dedup();
        fields
    }
}

impl Node {
    /// What people call it.
    #[must_use]
    pub fn label(&self, lang: Lang) -> &str {
        let own = self.name.get(lang);
        if !own.is_empty() {
            return own;
        }
        match lang {
            Lang::En => self.kind.name_en,
            Lang::Fr => self.kind.name_fr,
        }
    }

    /// Its outcomes' words.
    #[must_use]
    pub fn outcomes(&self) -> &[String] {
        &self.outcomes
    }
}
