//! "Other conditions" of the step: what a product must be like.

use model::{Amount, Problems, Product, Timestamp, Value, doc::Node};
use segment::{Data, Kind, Operand, Operator, ProductCondition, RefPath, Right};

/// A condition of the common language, and what helps to find the few products that satisfy it without trying all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    condition: Option<ProductCondition>,
    refs: Vec<(RefPath, Kind)>,
    /// The part that is the same for every contact at any time, with a key that names it.
    fixed: Option<(String, ProductCondition)>,
    /// Bounds of the price: operands that it must reach, and those that it must not exceed.
    price_from: Vec<Operand>,
    price_to: Vec<Operand>,
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
        let parts = match &condition {
            ProductCondition::All(parts) => parts.as_slice(),
            other => std::slice::from_ref(other),
        };
        let fixed: Vec<ProductCondition> =
            parts.iter().filter(|part| part.refs().is_empty() && !part.reads_time()).cloned().collect();
        let fixed = (!fixed.is_empty()).then(|| (format!("{fixed:?}"), ProductCondition::All(fixed)));
        let (mut price_from, mut price_to) = (Vec::new(), Vec::new());
        for part in parts {
            bounds(part, &mut price_from, &mut price_to);
        }
        Ok(Self { condition: Some(condition), refs, fixed, price_from, price_to })
    }

    /// The part that is the same for every contact at any time, with a key that names it.
    pub(crate) fn fixed(&self) -> Option<(&str, &ProductCondition)> {
        self.fixed.as_ref().map(|(key, condition)| (key.as_str(), condition))
    }

    /// Between which prices, both included, a product must lie to have a chance; none when the conditions do not say.
    pub(crate) fn prices(&self, data: &dyn Data) -> Option<(Amount, Amount)> {
        if self.price_from.is_empty() && self.price_to.is_empty() {
            return None;
        }
        let amount = |operand: &Operand| {
            let value = match operand {
                Operand::Literal(value) => Some(value.clone()),
                Operand::Ref(path) => data.value(path),
                Operand::RefStarting(..) | Operand::Now | Operand::Today => None,
            };
            match value {
                Some(Value::Decimal(amount)) => Some(amount),
                Some(Value::Integer(units)) => units.checked_mul(Amount::SCALE).map(Amount),
                _ => None,
            }
        };
        let from = self.price_from.iter().filter_map(amount).max().unwrap_or(Amount(i64::MIN));
        let to = self.price_to.iter().filter_map(amount).min().unwrap_or(Amount(i64::MAX));
        Some((from, to))
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

/// Collects what a comparison of the price says of its bounds.
fn bounds(part: &ProductCondition, from: &mut Vec<Operand>, to: &mut Vec<Operand>) {
    let ProductCondition::Field { name: "unit_price", tests } = part else { return };
    for test in &tests.0 {
        match (test.operator, &test.right) {
            (Operator::GreaterThan | Operator::AtLeast, Right::Values(values)) if values.len() == 1 => {
                from.push(values[0].clone());
            }
            (Operator::LessThan | Operator::AtMost, Right::Values(values)) if values.len() == 1 => {
                to.push(values[0].clone());
            }
            _ => {}
        }
    }
}
