//! The typed tree, and what it depends on.

use std::collections::BTreeSet;

use model::{ConsentState, Problem, Problems, doc::Node};

use crate::{
    Activity, CartCondition, Kind, Operand, RefPath, Schema, Tests,
    activity::{Filter, Products},
    parse::Parser,
};

/// A condition about a contact, checked against a schema when it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    root: Tree,
    source: serde_json::Value,
}

/// A node of the tree.
#[expect(
    clippy::large_enum_variant,
    reason = "a tree has a hundred leaves at most, and is read far more often than made"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// All hold.
    All(Vec<Self>),
    /// At least one holds.
    Any(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// A question.
    Leaf(Leaf),
}

/// A question about a contact.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    /// A field of the profile, built in or custom.
    Field {
        /// Its name.
        name: String,
        /// Its kind.
        kind: Kind,
        /// What must hold of it.
        tests: Tests,
    },
    /// Data of an earlier node or of the trigger ("check value").
    Value {
        /// Where it is.
        path: RefPath,
        /// Its kind.
        kind: Kind,
        /// What must hold of it.
        tests: Tests,
    },
    /// The recorded answer for a purpose is one of these.
    Consent {
        /// The purpose.
        purpose: String,
        /// The answers that satisfy.
        states: Vec<ConsentState>,
    },
    /// Where the contact stands in an RFM model.
    Rfm(RfmCondition),
    /// Is in a segment.
    Segment(String),
    /// Is in a static list.
    List(String),
    /// Did something, or did not.
    Activity(Activity),
    /// Has a cart of a kind.
    Cart(CartCondition),
}

/// Group and scores in an RFM model. Empty groups ask nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RfmCondition {
    /// The model's slug.
    pub model: String,
    /// The current group is one of these; `none` is everybody without a score.
    pub groups: Vec<String>,
    /// The group before the current one was one of these.
    pub previous_groups: Vec<String>,
    /// The recency score.
    pub recency: Tests,
    /// The frequency score.
    pub frequency: Tests,
    /// The monetary score.
    pub monetary: Tests,
    /// When the current group was entered.
    pub since: Tests,
}

impl RfmCondition {
    /// Whether only the current group is asked.
    #[must_use]
    pub const fn is_only_group(&self) -> bool {
        self.previous_groups.is_empty()
            && self.recency.0.is_empty()
            && self.frequency.0.is_empty()
            && self.monetary.0.is_empty()
            && self.since.0.is_empty()
    }
}

/// The facts that a condition depends on: when one of them changes, the condition must be asked again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Fields of the profile.
    pub fields: BTreeSet<String>,
    /// Purposes of consent.
    pub purposes: BTreeSet<String>,
    /// RFM models.
    pub rfm_models: BTreeSet<String>,
    /// Segments.
    pub segments: BTreeSet<String>,
    /// Lists.
    pub lists: BTreeSet<String>,
    /// Kinds of events; orders are `Order Completed`.
    pub event_kinds: BTreeSet<String>,
    /// Whether it reads carts.
    pub carts: bool,
    /// Whether it reads the catalogue (product filters).
    pub products: bool,
    /// Whether the answer can change with time alone.
    pub time: bool,
}

impl Condition {
    /// Reads a condition. Warnings are dropped; see [`Condition::parse_noting`].
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place and, where one is near, a suggestion.
    pub fn parse(node: &Node, schema: &Schema<'_>, path: &str) -> Result<Self, Problems> {
        Self::parse_noting(node, schema, path).map(|(condition, _)| condition)
    }

    /// Reads a condition, and gives its warnings beside it.
    ///
    /// # Errors
    /// As [`Condition::parse`].
    pub fn parse_noting(node: &Node, schema: &Schema<'_>, path: &str) -> Result<(Self, Problems), Problems> {
        let mut parser = Parser::new(schema);
        let root = parser.condition(node, path);
        let warnings = parser.problems.iter().filter(|problem| !problem.is_error()).cloned().collect();
        let root = parser.finish(root)?;
        Ok((Self { root, source: node.to_json() }, warnings))
    }

    /// Reads what [`Condition::to_json`] wrote.
    ///
    /// # Errors
    /// As [`Condition::parse`].
    pub fn from_json(json: &serde_json::Value, schema: &Schema<'_>) -> Result<Self, Problems> {
        let node = model::doc::parse(&json.to_string()).map_err(|problem: Problem| vec![problem])?;
        Self::parse(&node, schema, "condition")
    }

    /// For storing: what the file says, without places.
    #[must_use]
    pub const fn to_json(&self) -> &serde_json::Value {
        &self.source
    }

    /// The tree.
    #[must_use]
    pub const fn root(&self) -> &Tree {
        &self.root
    }

    /// All questions, in the order of the file.
    #[must_use]
    pub fn leaves(&self) -> Vec<&Leaf> {
        let mut leaves = Vec::new();
        self.root.visit(&mut |leaf| leaves.push(leaf));
        leaves
    }

    /// The activities, in the order of the file: the order of [`crate::State`]'s parts.
    #[must_use]
    pub fn activities(&self) -> Vec<&Activity> {
        self.leaves()
            .into_iter()
            .filter_map(|leaf| if let Leaf::Activity(activity) = leaf { Some(activity) } else { None })
            .collect()
    }

    /// The references that it reads, with the kind that each is compared with.
    #[must_use]
    pub fn refs(&self) -> Vec<(RefPath, Kind)> {
        let mut refs: Vec<(RefPath, Kind)> = Vec::new();
        let mut add = |kind: Kind, operand: &Operand| {
            refs.extend(operand.path().map(|path| (path.clone(), kind)));
        };
        for leaf in self.leaves() {
            match leaf {
                Leaf::Field { kind, tests, .. } => tests.operands().for_each(|one| add(*kind, one)),
                Leaf::Value { kind, tests, path } => {
                    tests.operands().for_each(|one| add(*kind, one));
                    add(*kind, &Operand::Ref(path.clone()));
                }
                Leaf::Rfm(rfm) => {
                    for tests in [&rfm.recency, &rfm.frequency, &rfm.monetary] {
                        tests.operands().for_each(|one| add(Kind::Number, one));
                    }
                }
                Leaf::Activity(activity) => {
                    activity.tests.operands().for_each(|one| add(Kind::Number, one));
                    for path in activity.window.refs() {
                        add(Kind::Instant, &Operand::Ref(path.clone()));
                    }
                    if let Some(filter) = &activity.filter {
                        filter.refs(&mut |kind, operand| add(kind, operand));
                    }
                }
                Leaf::Cart(cart) => cart.refs(&mut |kind, operand| add(kind, operand)),
                Leaf::Consent { .. } | Leaf::Segment(_) | Leaf::List(_) => {}
            }
        }
        refs.sort();
        refs.dedup();
        refs
    }

    /// What it depends on.
    #[must_use]
    pub fn reads(&self) -> Reads {
        let mut reads = Reads::default();
        for leaf in self.leaves() {
            leaf.add_reads(&mut reads);
        }
        for (path, _) in self.refs() {
            if let [root, name] = path.parts()
                && root == "contact"
            {
                reads.fields.insert(name.clone());
            }
        }
        reads
    }
}

impl Tree {
    /// Shows every leaf, in the order of the file.
    pub fn visit<'t>(&'t self, visit: &mut impl FnMut(&'t Leaf)) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.visit(visit)),
            Self::Not(part) => part.visit(visit),
            Self::Leaf(leaf) => visit(leaf),
        }
    }
}

impl Leaf {
    fn add_reads(&self, reads: &mut Reads) {
        match self {
            Self::Field { name, tests, .. } => {
                reads.fields.insert(name.clone());
                reads.time |= tests.read_time();
            }
            Self::Value { tests, .. } => reads.time |= tests.read_time(),
            Self::Consent { purpose, .. } => {
                reads.purposes.insert(purpose.clone());
            }
            Self::Rfm(rfm) => {
                reads.rfm_models.insert(rfm.model.clone());
                reads.time |= rfm.since.read_time();
            }
            Self::Segment(slug) => {
                reads.segments.insert(slug.clone());
            }
            Self::List(slug) => {
                reads.lists.insert(slug.clone());
            }
            Self::Activity(activity) => {
                reads.event_kinds.insert(activity.kind.clone());
                reads.products |= activity.filter.as_ref().is_some_and(Filter::reads_products);
                // Events that bear a time to come count when it has come.
                reads.time = true;
            }
            Self::Cart(cart) => {
                reads.carts = true;
                reads.products |= cart.product.is_some();
                reads.time = true;
            }
        }
    }
}

/// No catalogue at all.
pub struct NoProducts;

impl Products for NoProducts {
    fn by_id(&self, _: model::ProductId) -> Option<&model::Product> {
        None
    }
    fn by_external_id(&self, _: &str) -> Option<&model::Product> {
        None
    }
}
