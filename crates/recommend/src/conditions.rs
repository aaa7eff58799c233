//! "Other conditions" of the step: what a product must be like.

use model::{Problem, Problems, Product, Timestamp, doc::Node};
use segment::reference::{Data, RefPath};

/// Conditions that must all hold.
#[derive(Clone, Debug, Default)]
pub struct Conditions {}

impl Conditions {
    /// Reads a list of conditions.
    ///
    /// # Errors
    /// What the condition language says.
    pub fn parse(node: &Node, path: &str) -> Result<Self, Problems> {
        if node.items().is_some_and(<[Node]>::is_empty) {
            return Ok(Self {});
        }
        Err(vec![Problem::new("products.where", "conditions on products are not understood yet").field(path)])
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        true
    }

    /// References that they read.
    #[must_use]
    pub fn refs(&self) -> Vec<&RefPath> {
        Vec::new()
    }

    /// Whether a product satisfies all of them.
    #[must_use]
    pub fn accept(&self, _: &Product, _: &dyn Data, _: Timestamp) -> bool {
        true
    }
}
