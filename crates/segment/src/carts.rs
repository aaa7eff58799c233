//! A question about a contact's carts.

use model::{Cart, CartState, Timestamp, Value, Zone};

use crate::{Data, Kind, Operand, ProductCondition, Products, Tests, Window, dates::Interval, test::Moment};

/// A question about the contact's carts: how many are in one of the states, inside the window, with such contents.
#[derive(Clone, Debug, PartialEq)]
pub struct CartCondition {
    /// The states that count; all when empty.
    pub states: Vec<CartState>,
    /// Microseconds without a change after which a cart is abandoned.
    pub abandoned_after: i64,
    /// The shop's own id of it.
    pub id: Tests,
    /// What it comes to.
    pub total: Tests,
    /// Units in it.
    pub quantity: Tests,
    /// Some line's product.
    pub product: Option<ProductCondition>,
    /// When it came into the state: its last change, or when it became abandoned.
    pub window: Window,
    /// How many carts.
    pub count: Tests,
}

impl CartCondition {
    pub(crate) fn refs(&self, visit: &mut dyn FnMut(Kind, &Operand)) {
        self.id.operands().for_each(|one| visit(Kind::Text, one));
        for tests in [&self.total, &self.quantity, &self.count] {
            tests.operands().for_each(|one| visit(Kind::Number, one));
        }
        for (path, kind) in self.product.iter().flat_map(ProductCondition::refs) {
            visit(kind, &Operand::Ref(path));
        }
        for path in self.window.refs() {
            visit(Kind::Instant, &Operand::Ref(path.clone()));
        }
    }

    /// Whether carts that were bought may count.
    #[must_use]
    pub fn may_be_purchased(&self) -> bool {
        self.states.is_empty() || self.states.contains(&CartState::Purchased)
    }

    /// When "now" sees the cart counted: at most one interval per state. References are answered by `data`.
    #[must_use]
    pub fn intervals(
        &self,
        cart: &Cart,
        products: &dyn Products,
        data: &dyn Data,
        zone: &Zone,
    ) -> Vec<Interval> {
        let moment = Moment { now: cart.updated_at, zone };
        let units = cart.lines.iter().map(|line| line.quantity).sum();
        let id = Value::Text(cart.external_id.clone());
        let contents = self.id.hold(Some(&id), &moment, data)
            && self.total.hold(Some(&Value::Decimal(cart.total)), &moment, data)
            && self.quantity.hold(Some(&Value::Integer(units)), &moment, data)
            && self.product.as_ref().is_none_or(|condition| {
                cart.lines
                    .iter()
                    .filter_map(|line| products.by_id(line.product))
                    .any(|product| condition.holds(product, data, &moment))
            });
        if !contents {
            return Vec::new();
        }
        let within = self.window.resolved(data, zone);
        let changed = cart.updated_at;
        let abandoned = changed.plus(self.abandoned_after);
        let spans = if cart.purchased {
            vec![(CartState::Purchased, changed, Timestamp::MAX)]
        } else if cart.lines.is_empty() {
            vec![(CartState::Active, changed, Timestamp::MAX)]
        } else {
            vec![(CartState::Active, changed, abandoned), (CartState::Abandoned, abandoned, Timestamp::MAX)]
        };
        spans
            .into_iter()
            .filter(|(state, ..)| self.states.is_empty() || self.states.contains(state))
            .map(|(_, from, until)| {
                let window = within.interval(from, zone);
                // A state holds from its first instant on; only what is measured in time waits for it to pass.
                let opens = if window.from == from.plus(1) { from } else { window.from };
                Interval { from: opens, until: until.min(window.until) }
            })
            .filter(|interval| interval.from < interval.until)
            .collect()
    }
}
