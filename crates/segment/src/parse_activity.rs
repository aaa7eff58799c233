//! Reading conditions about what was done, and about carts.

use model::{
    Amount, Cart, CartState, Problem, Value,
    doc::{Fields, Node},
};

use crate::{
    Activity, CartCondition, Filter, Kind, Measure, Operand, Operator, RefPath, Right, Test, Tests, Window,
    activity::{Figure, LineFilter, OrderProperty},
    parse::{Parser, ValueType},
    window::Bound,
};

/// Most filters of one activity.
pub const FILTERS_MAX: usize = 10;
/// Deepest path to a property.
pub const PATH_DEPTH_MAX: usize = 8;

/// The measures that need a figure.
const FIGURE_MEASURES: [&str; 4] = ["sum", "average", "largest", "smallest"];
const CART_STATES: [(&str, CartState); 3] =
    [("active", CartState::Active), ("abandoned", CartState::Abandoned), ("purchased", CartState::Purchased)];

/// The property of what a machine did, and the key by which it counts.
const MACHINE: &str = "machine";

/// Passes what is not true, and what is not there.
fn not_true() -> Tests {
    let right = Right::Values(vec![Operand::Literal(Value::Boolean(true))]);
    Tests(vec![Test { operator: Operator::IsNot, right, exactly: false }])
}

fn number_test(operator: Operator, n: i64) -> Tests {
    let right = Right::Values(vec![Operand::Literal(Value::Integer(n))]);
    Tests(vec![Test { operator, right, exactly: false }])
}

impl Parser<'_, '_> {
    /// Reads `did: KIND` or `did_not: KIND` with what stands beside it.
    pub(crate) fn activity_leaf(&mut self, fields: &mut Fields<'_>) -> Option<Activity> {
        let (did, did_not) = (fields.optional("did"), fields.optional("did_not"));
        let node = did.or(did_not)?;
        let key = if did.is_some() { "did" } else { "did_not" };
        if did.is_some() && did_not.is_some() {
            let problem = Problem::new("condition.mixed", "`did` and `did_not` stand in one mapping");
            self.report(
                problem.at(fields.place).field(fields.path.clone()).cure("make two conditions of it"),
            );
        }
        let kind = node.text().unwrap_or_default().to_owned();
        if kind.is_empty() || kind.chars().count() > model::Event::KIND_LEN_MAX {
            let problem =
                node.problem("event.kind", "expected the kind of an event").field(fields.path_of(key));
            self.report(problem.cure("write it as in did: Order Completed"));
        } else if let Some(problem) = self.schema.check_event(&kind) {
            self.report(problem.at(node.place).field(fields.path_of(key)));
        }
        let orders = kind == model::event::kind::ORDER_COMPLETED;
        let machines = self.machines(fields, &kind);
        let outer = self.forbid_refs();
        let measured = self.measure(fields, did_not.is_some(), orders);
        let window = self.window(fields);
        let filter = match fields.optional("where") {
            None => Some(None),
            Some(node) => {
                let path = fields.path_of("where");
                self.count_filters(node, &path);
                self.filter(node, &path, orders).map(Some)
            }
        };
        self.no_refs = outer;
        let (measure, tests) = measured?;
        let mut filter = filter?;
        if !machines && !filter.as_ref().is_some_and(|filter| filter.names(MACHINE)) {
            let people = Filter::Property { path: vec![MACHINE.to_owned()], tests: not_true() };
            filter = Some(match filter {
                None => people,
                Some(Filter::All(parts)) => Filter::All(parts.into_iter().chain([people]).collect()),
                Some(other) => Filter::All(vec![other, people]),
            });
        }
        Some(Activity { kind, filter, window: window?, measure, tests })
    }

    /// Whether what machines did counts, too: openings and clicks by them do not, unless `machine: true` says so. Of other
    /// kinds of events everything counts.
    fn machines(&mut self, fields: &mut Fields<'_>, kind: &str) -> bool {
        let of_people = model::event::kind::MACHINES_TOO.contains(&kind);
        let path = fields.path_of(MACHINE);
        match fields.boolean(MACHINE) {
            Ok(None) => !of_people,
            Ok(Some(given)) if of_people => given,
            Ok(Some(_)) => {
                let problem = Problem::new("condition.machine", format!("no machine does `{kind}`"));
                self.report(problem.at(fields.place).field(path).cure("leave `machine` out"));
                true
            }
            Err(problem) => {
                self.report(problem);
                true
            }
        }
    }

    /// Where nothing can be referred to but the profile (a segment), what is compared in activities and carts is kept per
    /// contact ahead of time, so it cannot be data at all. Answers with what held before.
    const fn forbid_refs(&mut self) -> bool {
        std::mem::replace(&mut self.no_refs, self.schema.refs.is_none())
    }

    fn measure(&mut self, fields: &mut Fields<'_>, did_not: bool, orders: bool) -> Option<(Measure, Tests)> {
        let count = self.nested_tests(fields, "count", Kind::Number)?;
        let first = self.nested_tests(fields, "first", Kind::Instant)?;
        let last = self.nested_tests(fields, "last", Kind::Instant)?;
        let mut found: Vec<(Measure, Tests)> = Vec::new();
        for (measure, tests) in [(Measure::Count, count), (Measure::First, first), (Measure::Last, last)] {
            if !tests.0.is_empty() {
                found.push((measure, tests));
            }
        }
        let mut sound = true;
        for word in FIGURE_MEASURES {
            let Some(node) = fields.optional(word) else { continue };
            let path = fields.path_of(word);
            let figure = self.figure(node, orders, &path);
            let tests = self.tests_but(fields, &ValueType::of(Kind::Number), &["calendar", "between_ago"]);
            let (Some(figure), Some(tests)) = (figure, tests) else {
                sound = false;
                continue;
            };
            let measure = match word {
                "sum" => Measure::Sum(figure),
                "average" => Measure::Average(figure),
                "largest" => Measure::Largest(figure),
                _ => Measure::Smallest(figure),
            };
            found.push((measure, tests));
        }
        if !sound {
            return None;
        }
        if found.len() > 1 || (did_not && !found.is_empty()) {
            let what =
                if did_not { "`did_not` measures nothing" } else { "one condition measures one thing" };
            let problem = Problem::new("condition.mixed", what).at(fields.place).field(fields.path.clone());
            self.report(problem.cure("write several conditions under all:"));
            return None;
        }
        Some(found.pop().unwrap_or_else(|| {
            let tests =
                if did_not { number_test(Operator::Is, 0) } else { number_test(Operator::AtLeast, 1) };
            (Measure::Count, tests)
        }))
    }

    fn figure(&mut self, node: &Node, orders: bool, path: &str) -> Option<Figure> {
        let word = node.scalar().unwrap_or_default();
        if !orders {
            return self.path(node, path).map(Figure::Path);
        }
        match word.as_str() {
            "line_total" => return Some(Figure::LineTotal),
            "line_quantity" => return Some(Figure::LineQuantity),
            _ => {}
        }
        let numbers = || OrderProperty::ALL.iter().filter(|(.., kind)| *kind == Kind::Number);
        if let Some((_, property, _)) = numbers().find(|(own, ..)| *own == word) {
            return Some(Figure::Order(*property));
        }
        let problem =
            node.problem("order.unknown_property", format!("an order has no number `{word}`")).field(path);
        let words =
            numbers().map(|(own, ..)| *own).chain(["line_total", "line_quantity"]).collect::<Vec<_>>();
        self.report(problem.suggest(&word, words));
        None
    }

    fn path(&mut self, node: &Node, path: &str) -> Option<Vec<String>> {
        let text = node.scalar().unwrap_or_default();
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        if parts.iter().any(String::is_empty) || parts.len() > PATH_DEPTH_MAX {
            let problem =
                node.problem("condition.property", format!("`{text}` is no property's path")).field(path);
            self.report(problem.cure(format!(
                "write it as in campaign.name, with 1 to {PATH_DEPTH_MAX} names between dots"
            )));
            return None;
        }
        Some(parts)
    }

    /// At most one of the keys that say when, but `since` and `until` together.
    pub(crate) fn window(&mut self, fields: &mut Fields<'_>) -> Option<Window> {
        let path = |fields: &Fields<'_>, key: &str| fields.path_of(key);
        let mut found = Vec::new();
        let mut sound = true;
        if let Some(node) = fields.optional("within") {
            let period = self.period(node, &path(fields, "within"));
            sound &= period.is_some();
            found.extend(period.map(Window::Within));
        }
        if let Some(node) = fields.optional("older_than") {
            let period = self.period(node, &path(fields, "older_than"));
            sound &= period.is_some();
            found.extend(period.map(Window::OlderThan));
        }
        if let Some(node) = fields.optional("between_ago") {
            let periods = self.periods(node, &path(fields, "between_ago"));
            sound &= periods.is_some();
            found.extend(periods.map(|(near, far)| Window::BetweenAgo(near, far)));
        }
        if let Some(node) = fields.optional("calendar") {
            let calendar = self.calendar(node, &path(fields, "calendar"));
            sound &= calendar.is_some();
            found.extend(calendar.map(Window::Calendar));
        }
        let (since, until) = (fields.optional("since"), fields.optional("until"));
        if since.is_some() || until.is_some() {
            let mut bound = |node: Option<&Node>, key: &str| match node {
                None => Some(None),
                Some(node) => self.bound(node, &path(fields, key)).map(Some),
            };
            let (since, until) = (bound(since, "since"), bound(until, "until"));
            sound &= since.is_some() && until.is_some();
            if let (Some(since), Some(until)) = (since, until) {
                let utc = model::Zone::UTC;
                let at = |bound: &Option<Bound>| bound.as_ref().and_then(|bound| bound.at(&utc));
                if at(&since).zip(at(&until)).is_some_and(|(since, until)| since >= until) {
                    let problem =
                        Problem::new("condition.order", "`since` must be before `until`").at(fields.place);
                    self.report(problem.field(fields.path.clone()));
                    sound = false;
                }
                found.push(Window::Absolute(since, until));
            }
        }
        if found.len() > 1 {
            let problem =
                Problem::new("condition.mixed", "several windows in one condition").at(fields.place);
            self.report(
                problem
                    .field(fields.path.clone())
                    .cure("keep one of within, older_than, between_ago, calendar, since and until"),
            );
            return None;
        }
        sound.then(|| found.pop().unwrap_or_default())
    }

    fn bound(&mut self, node: &Node, path: &str) -> Option<Bound> {
        let path_of_ref = RefPath::from_node(node).map_err(|problem| problem.field(path));
        if let Some(reference) = self.need(path_of_ref)? {
            self.check_ref(node, &Operand::Ref(reference.clone()), Kind::Instant, path)?;
            return Some(Bound::Ref(reference));
        }
        if let Some(day) = node.text().and_then(model::field::parse_date) {
            return Some(Bound::Day(day));
        }
        self.instant(node, path).map(Bound::At)
    }

    fn count_filters(&mut self, node: &Node, path: &str) {
        fn leaves(node: &Node) -> usize {
            if let Some(items) = node.items() {
                return items.iter().map(leaves).sum();
            }
            ["all", "any", "not"].iter().find_map(|key| node.get(key)).map_or(1, leaves)
        }
        let count = leaves(node);
        if count > FILTERS_MAX {
            let problem =
                node.problem("condition.too_many_filters", format!("{count} filters in one activity"));
            self.report(problem.field(path).cure(format!("use at most {FILTERS_MAX}")));
        }
    }

    fn filter(&mut self, node: &Node, path: &str, orders: bool) -> Option<Filter> {
        let read = if orders { Self::order_filter } else { Self::event_filter };
        read(self, node, path)
    }

    fn order_filter(&mut self, node: &Node, path: &str) -> Option<Filter> {
        self.filter_tree(node, path, Self::order_filter, true)
    }

    fn event_filter(&mut self, node: &Node, path: &str) -> Option<Filter> {
        self.filter_tree(node, path, Self::event_filter, false)
    }

    fn filter_tree(
        &mut self,
        node: &Node,
        path: &str,
        read: fn(&mut Self, &Node, &str) -> Option<Filter>,
        orders: bool,
    ) -> Option<Filter> {
        if node.items().is_some() {
            return self.branches(node, path, read).map(Filter::All);
        }
        let entries = self.mapping(node, path)?;
        for (key, make) in [("all", Filter::All as fn(Vec<Filter>) -> Filter), ("any", Filter::Any)] {
            if let Some(inner) = node.get(key) {
                let alone = self.alone(entries, key, path);
                let parts = self.branches(inner, &format!("{path}.{key}"), read);
                return alone.then_some(make(parts?));
            }
        }
        if let Some(inner) = node.get("not") {
            let alone = self.alone(entries, "not", path);
            let part = read(self, inner, &format!("{path}.not"));
            return alone.then_some(Filter::Not(Box::new(part?)));
        }
        let mut fields = self.fields(node, path)?;
        let filter = if let Some(inner) = fields.optional("product") {
            self.product(inner, &format!("{path}.product"))
                .map(|product| Filter::Line(LineFilter { product: Some(product), ..LineFilter::default() }))
        } else if let Some(inner) = fields.optional("line") {
            self.line_filter(inner, &format!("{path}.line")).map(Filter::Line)
        } else {
            self.property_filter(&mut fields, orders)
        };
        self.finish_fields(fields);
        filter
    }

    fn property_filter(&mut self, fields: &mut Fields<'_>, orders: bool) -> Option<Filter> {
        let node = self.need(fields.required("property"))?;
        let path = fields.path_of("property");
        if !orders {
            let property = self.path(node, &path);
            let tests = self.tests(fields, &ValueType::of(Kind::Any));
            return Some(Filter::Property { path: property?, tests: tests? });
        }
        let word = node.text().unwrap_or_default();
        let known = OrderProperty::ALL.iter().find(|(own, ..)| *own == word);
        if known.is_none() {
            let problem =
                node.problem("order.unknown_property", format!("an order has no property `{word}`"));
            self.report(problem.field(path).suggest(word, OrderProperty::ALL.iter().map(|(own, ..)| *own)));
        }
        let kind = known.map_or(Kind::Any, |(.., kind)| *kind);
        let tests = self.tests(fields, &ValueType::of(kind));
        Some(Filter::Order { property: known?.1, tests: tests? })
    }

    fn line_filter(&mut self, node: &Node, path: &str) -> Option<LineFilter> {
        let mut fields = self.fields(node, path)?;
        let product = match fields.optional("product") {
            None => Some(None),
            Some(inner) => self.product(inner, &format!("{path}.product")).map(Some),
        };
        let mut tests = |key: &'static str| self.nested_tests(&mut fields, key, Kind::Number);
        let (quantity, unit_price, total) = (tests("quantity"), tests("unit_price"), tests("total"));
        self.finish_fields(fields);
        Some(LineFilter { product: product?, quantity: quantity?, unit_price: unit_price?, total: total? })
    }

    /// Reads `cart: {…}` with the window beside it.
    pub(crate) fn cart_leaf(&mut self, fields: &mut Fields<'_>) -> Option<CartCondition> {
        let node = self.need(fields.required("cart"))?;
        let path = fields.path_of("cart");
        let outer = self.forbid_refs();
        let window = self.window(fields);
        let cart = self.cart(node, &path);
        self.no_refs = outer;
        Some(CartCondition { window: window?, ..cart? })
    }

    fn cart(&mut self, node: &Node, path: &str) -> Option<CartCondition> {
        let mut fields = self.fields(node, path)?;
        let states = match fields.optional("state") {
            None => Some(Vec::new()),
            Some(node) => self.cart_states(node, &format!("{path}.state")),
        };
        let abandoned_after = match fields.optional("abandoned_after") {
            None => Some(Cart::ABANDONED_AFTER_DEFAULT),
            Some(node) => self.abandoned_after(node, &format!("{path}.abandoned_after")),
        };
        let product = match fields.optional("product") {
            None => Some(None),
            Some(inner) => self.product(inner, &format!("{path}.product")).map(Some),
        };
        let id = self.nested_tests(&mut fields, "id", Kind::Text);
        let mut tests = |key: &'static str| self.nested_tests(&mut fields, key, Kind::Number);
        let (total, quantity, count) = (tests("total"), tests("quantity"), tests("count"));
        self.finish_fields(fields);
        let count = count?;
        Some(CartCondition {
            states: states?,
            abandoned_after: abandoned_after?,
            id: id?,
            total: total?,
            quantity: quantity?,
            product: product?,
            window: Window::Always,
            count: if count.0.is_empty() { number_test(Operator::AtLeast, 1) } else { count },
        })
    }

    fn abandoned_after(&mut self, node: &Node, path: &str) -> Option<i64> {
        let period = self.period(node, path)?;
        if period.months != 0 {
            let problem = node.problem("period.invalid", "months have no fixed length here").field(path);
            self.report(problem.cure("write days or hours, as in P1D or PT30M"));
            return None;
        }
        Some(period.micros)
    }

    fn cart_states(&mut self, node: &Node, path: &str) -> Option<Vec<CartState>> {
        let mut states = Vec::new();
        for item in node.items().unwrap_or(std::slice::from_ref(node)) {
            let word = item.text().unwrap_or_default();
            let Some((_, state)) = CART_STATES.iter().find(|(own, _)| *own == word) else {
                let problem = item.problem("cart.unknown_state", format!("`{word}` is no state of a cart"));
                self.report(problem.field(path).suggest(word, CART_STATES.iter().map(|(own, _)| *own)));
                return None;
            };
            states.push(*state);
        }
        Some(states)
    }
}

/// The greatest count that tests on a number look at, plus one: of more events only so many must be kept. None when a
/// test can tell greater counts apart without end.
#[must_use]
pub fn count_needed(tests: &Tests) -> Option<usize> {
    let mut needed = 0;
    for test in &tests.0 {
        let Right::Values(operands) = &test.right else { continue };
        for operand in operands {
            let n = match operand {
                Operand::Literal(Value::Integer(n)) => *n,
                Operand::Literal(Value::Decimal(amount)) => amount.0.div_euclid(Amount::SCALE) + 1,
                _ => return None,
            };
            needed = needed.max(usize::try_from(n.max(0)).ok()?.saturating_add(1));
        }
    }
    Some(needed.max(1))
}
