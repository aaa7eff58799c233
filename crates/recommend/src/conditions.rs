//! "Other conditions" of the step: what a product must be like.

use model::{Problems, Product, Timestamp, doc::Node};
use segment::{Data, Kind, ProductCondition, RefPath};

/// A condition of the common language, and whether it reads data of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    condition: Option<ProductCondition>,
    refs: Vec<(RefPath, Kind)>,
}

impl Conditions {
    /// Reads a condition; a list means that all hold. References are checked by whoever knows the run: see
    /// [`Conditions::refs`].
    ///
    /// # Errors
    /// What the condition language says.
    pub fn parse(node: &Node, path: &str) -> Result<Self, Problems> {
        let condition = ProductCondition::parse(node, path)?;
        let refs = condition.refs();
        Ok(Self { condition: Some(condition), refs })
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.condition.is_none()
    }

    /// The condition itself, if there is one.
    #[must_use]
    pub const fn condition(&self) -> Option<&ProductCondition> {
        self.condition.as_ref()
    }

    /// References that they read, with the kind that each is compared with.
    #[must_use]
    pub fn refs(&self) -> &[(RefPath, Kind)] {
        &self.refs
    }

    /// Whether a product satisfies them.
    #[must_use]
    pub fn accept(&self, product: &Product, data: &dyn Data, now: Timestamp) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.matches(product, data, now))
    }
}
