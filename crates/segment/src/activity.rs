//! What a contact did: which events count, inside which window, measured how.

use std::borrow::Cow;

use model::{Amount, Event, Line, Order, Product, ProductId, Timestamp, Value, Zone, event::kind};

use crate::{
    Data, Kind, NoData, Operand, ProductCondition, Tests, Window,
    test::{Moment, value_of_json},
};

/// Looks products up, for filters.
pub trait Products {
    /// By dense number.
    fn by_id(&self, id: ProductId) -> Option<&Product>;
    /// By the shop's own id, as events have it.
    fn by_external_id(&self, id: &str) -> Option<&Product>;
}

/// A question about what was done: of the events of a kind that pass the filter and lie in the window, a measure is
/// compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Activity {
    /// The events' kind; `Order Completed` asks the orders.
    pub kind: String,
    /// Which of them; none is all.
    pub filter: Option<Filter>,
    /// When.
    pub window: Window,
    /// What is measured.
    pub measure: Measure,
    /// What must hold of it.
    pub tests: Tests,
}

/// What is measured of the events inside the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// How many.
    Count,
    /// The sum of a figure; 0 of none.
    Sum(Figure),
    /// The average of a figure, rounded towards zero to four decimals; nothing of none.
    Average(Figure),
    /// The greatest figure; nothing of none.
    Largest(Figure),
    /// The smallest figure; nothing of none.
    Smallest(Figure),
    /// The instant of the first; nothing of none.
    First,
    /// The instant of the last; nothing of none.
    Last,
}

impl Measure {
    /// The figure that is added up or compared.
    #[must_use]
    pub const fn figure(&self) -> Option<&Figure> {
        match self {
            Self::Sum(figure) | Self::Average(figure) | Self::Largest(figure) | Self::Smallest(figure) => {
                Some(figure)
            }
            Self::Count | Self::First | Self::Last => None,
        }
    }
}

/// A number of an event or order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Figure {
    /// A property of an order.
    Order(OrderProperty),
    /// What the lines that pass the filter's product conditions come to (refunds are not known by line).
    LineTotal,
    /// How many units the lines that pass the filter's product conditions have.
    LineQuantity,
    /// A property of an event, by path.
    Path(Vec<String>),
}

/// A property of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderProperty {
    /// What it comes to after refunds.
    Total,
    /// What was paid at first.
    GrossTotal,
    /// What was paid back.
    Refunded,
    /// Units.
    Quantity,
    /// Lines.
    Lines,
    /// ISO 4217 code.
    Currency,
    /// The shop's order id.
    OrderId,
    /// The shop's cart id.
    CartId,
}

impl OrderProperty {
    /// All, with their words in files and their kinds.
    pub const ALL: [(&'static str, Self, Kind); 8] = [
        ("total", Self::Total, Kind::Number),
        ("gross_total", Self::GrossTotal, Kind::Number),
        ("refunded", Self::Refunded, Kind::Number),
        ("quantity", Self::Quantity, Kind::Number),
        ("lines", Self::Lines, Kind::Number),
        ("currency", Self::Currency, Kind::Text),
        ("order_id", Self::OrderId, Kind::Text),
        ("cart_id", Self::CartId, Kind::Text),
    ];

    fn of(self, order: &Order) -> Value {
        match self {
            Self::Total => Value::Decimal(order.net()),
            Self::GrossTotal => Value::Decimal(order.total),
            Self::Refunded => Value::Decimal(order.refunded),
            Self::Quantity => Value::Integer(order.lines.iter().map(|line| line.quantity).sum()),
            Self::Lines => Value::Integer(order.lines.len() as i64),
            Self::Currency => Value::Text(order.currency.code().to_owned()),
            Self::OrderId => Value::Text(order.external_id.clone()),
            Self::CartId => Value::Text(order.cart_id.clone()),
        }
    }
}

/// Which events count.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All hold.
    All(Vec<Self>),
    /// At least one holds.
    Any(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// A property of an event, by path; of a list, some entry (for a negative operator: none).
    Property {
        /// Names and places from the outside in.
        path: Vec<String>,
        /// What must hold of it.
        tests: Tests,
    },
    /// A property of an order.
    Order {
        /// Which.
        property: OrderProperty,
        /// What must hold of it.
        tests: Tests,
    },
    /// Some line, or the product that the event speaks of.
    Line(LineFilter),
}

/// A line of an order, a cart, or an event's products: everything must hold of the same line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LineFilter {
    /// What must hold of the product.
    pub product: Option<ProductCondition>,
    /// Units.
    pub quantity: Tests,
    /// Price of one, as it was then.
    pub unit_price: Tests,
    /// Units times price.
    pub total: Tests,
}

/// One event that passed a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// The order's number, by which a refund finds it; 0 for an event.
    pub order: i64,
    /// The measure's figure, in ten-thousandths; 0 when nothing is added up.
    pub figure: i128,
}

/// The events of an activity that count: those that will lie inside for good already added up, the others one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries<'a> {
    /// Those that lie inside from now on for good.
    pub settled: Tally,
    /// The others, by time.
    pub recent: Cow<'a, [Entry]>,
}

/// Entries added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Their figures.
    pub sum: i128,
    /// The first and the last instant.
    pub span: Option<(Timestamp, Timestamp)>,
    /// The smallest and the greatest figure.
    pub range: Option<(i128, i128)>,
}

impl Tally {
    /// Adds one.
    pub fn add(&mut self, entry: &Entry) {
        self.count += 1;
        self.sum += entry.figure;
        self.span = Some(self.span.map_or((entry.at, entry.at), |(a, b)| (a.min(entry.at), b.max(entry.at))));
        let figure = entry.figure;
        self.range = Some(self.range.map_or((figure, figure), |(a, b)| (a.min(figure), b.max(figure))));
    }

    /// The measure; none where there is nothing to measure.
    #[must_use]
    pub fn measure(&self, measure: &Measure) -> Option<Value> {
        let amount = |sum: i128| {
            let clamped = sum.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
            Some(Value::Decimal(Amount(clamped as i64)))
        };
        match measure {
            Measure::Count => Some(Value::Integer(i64::try_from(self.count).unwrap_or(i64::MAX))),
            Measure::Sum(_) => amount(self.sum),
            Measure::Average(_) => {
                (self.count > 0).then(|| self.sum / i128::from(self.count)).and_then(amount)
            }
            Measure::Largest(_) => self.range.and_then(|(_, greatest)| amount(greatest)),
            Measure::Smallest(_) => self.range.and_then(|(smallest, _)| amount(smallest)),
            Measure::First => self.span.map(|(first, _)| Value::Instant(first)),
            Measure::Last => self.span.map(|(_, last)| Value::Instant(last)),
        }
    }
}

impl Activity {
    /// Whether it asks the orders.
    #[must_use]
    pub fn is_about_orders(&self) -> bool {
        self.kind == kind::ORDER_COMPLETED
    }

    /// The entry of an event; none when it is of another kind or does not pass the filter.
    #[must_use]
    pub fn entry_of_event(&self, event: &Event, products: &dyn Products, zone: &Zone) -> Option<Entry> {
        self.entry_of_event_with(event, products, &NoData, zone)
    }

    /// As [`Activity::entry_of_event`], with data for references in the filter.
    #[must_use]
    pub fn entry_of_event_with(
        &self,
        event: &Event,
        products: &dyn Products,
        data: &dyn Data,
        zone: &Zone,
    ) -> Option<Entry> {
        if event.kind != self.kind || self.is_about_orders() {
            return None;
        }
        let sight = Sight { products, data, moment: Moment { now: event.at, zone } };
        let subject = Subject::Event(event);
        if !self.filter.as_ref().is_none_or(|filter| filter.passes(&subject, &sight)) {
            return None;
        }
        let figure = match self.measure.figure() {
            None => 0,
            Some(Figure::Path(path)) => {
                let mut numbers =
                    json_values(&event.properties, path).into_iter().filter_map(|value| figure(&value));
                // An event without the figure is not measured; several figures are added up.
                let first = numbers.next()?;
                numbers.fold(first, |sum, n| sum + n)
            }
            Some(_) => return None,
        };
        Some(Entry { at: event.at, order: 0, figure })
    }

    /// The entry of an order; none when it does not count or does not pass the filter. Its lines are what was kept:
    /// the caller has taken off what was sent back.
    #[must_use]
    pub fn entry_of_order(&self, order: &Order, products: &dyn Products, zone: &Zone) -> Option<Entry> {
        self.entry_of_order_with(order, products, &NoData, zone)
    }

    /// As [`Activity::entry_of_order`], with data for references in the filter.
    #[must_use]
    pub fn entry_of_order_with(
        &self,
        order: &Order,
        products: &dyn Products,
        data: &dyn Data,
        zone: &Zone,
    ) -> Option<Entry> {
        if !self.is_about_orders() || !order.counts() {
            return None;
        }
        let sight = Sight { products, data, moment: Moment { now: order.at, zone } };
        let subject = Subject::Order(order);
        if !self.filter.as_ref().is_none_or(|filter| filter.passes(&subject, &sight)) {
            return None;
        }
        let lines = || {
            order
                .lines
                .iter()
                .filter(|line| self.filter.as_ref().is_none_or(|filter| filter.takes_line(line, &sight)))
        };
        let figure = match self.measure.figure() {
            None => 0,
            Some(Figure::Order(property)) => figure(&property.of(order))?,
            Some(Figure::LineTotal) => lines().map(|line| line.unit_price.times(line.quantity)).sum(),
            Some(Figure::LineQuantity) => {
                lines().map(|line| Amount(Amount::SCALE).times(line.quantity)).sum()
            }
            Some(Figure::Path(_)) => return None,
        };
        Some(Entry { at: order.at, order: order.no.0, figure })
    }

    /// All entries of a history, by time.
    #[must_use]
    pub fn entries(
        &self,
        events: &[Event],
        orders: &[Order],
        products: &dyn Products,
        zone: &Zone,
    ) -> Vec<Entry> {
        self.entries_with(events, orders, products, &NoData, zone)
    }

    /// As [`Activity::entries`], with data for references in the filter.
    #[must_use]
    pub fn entries_with(
        &self,
        events: &[Event],
        orders: &[Order],
        products: &dyn Products,
        data: &dyn Data,
        zone: &Zone,
    ) -> Vec<Entry> {
        let mut entries: Vec<Entry> = if self.is_about_orders() {
            orders.iter().filter_map(|order| self.entry_of_order_with(order, products, data, zone)).collect()
        } else {
            events.iter().filter_map(|event| self.entry_of_event_with(event, products, data, zone)).collect()
        };
        entries.sort_unstable();
        entries
    }
}

fn figure(value: &Value) -> Option<i128> {
    match value {
        Value::Integer(n) => Some(i128::from(*n) * i128::from(Amount::SCALE)),
        Value::Decimal(amount) => Some(i128::from(amount.0)),
        Value::Text(text) => Amount::parse(text).ok().map(|amount| i128::from(amount.0)),
        _ => None,
    }
}

/// What a filter looks at.
enum Subject<'a> {
    Event(&'a Event),
    Order(&'a Order),
}

/// What a filter may look things up in.
struct Sight<'a> {
    products: &'a dyn Products,
    data: &'a dyn Data,
    moment: Moment<'a>,
}

/// One line of anything that has lines.
struct AnyLine<'a> {
    product: Option<&'a Product>,
    quantity: Option<Value>,
    unit_price: Option<Value>,
    total: Option<Value>,
}

impl Filter {
    fn passes(&self, subject: &Subject<'_>, sight: &Sight<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.passes(subject, sight)),
            Self::Any(parts) => parts.iter().any(|part| part.passes(subject, sight)),
            Self::Not(part) => !part.passes(subject, sight),
            Self::Property { path, tests } => match subject {
                Subject::Event(event) => holds_of_some(tests, &json_values(&event.properties, path), sight),
                Subject::Order(_) => tests.hold(None, &sight.moment, sight.data),
            },
            Self::Order { property, tests } => match subject {
                Subject::Order(order) => tests.hold(Some(&property.of(order)), &sight.moment, sight.data),
                Subject::Event(_) => tests.hold(None, &sight.moment, sight.data),
            },
            Self::Line(filter) => match subject {
                Subject::Order(order) => {
                    order.lines.iter().any(|line| filter.takes(&line_of(line, sight.products), sight))
                }
                Subject::Event(event) => {
                    event_lines(event, sight.products).iter().any(|line| filter.takes(line, sight))
                }
            },
        }
    }

    /// Whether a line of a matching order is one that the filter is about: product conditions that stand together at
    /// the top all ask it, others ask nothing of the single line.
    fn takes_line(&self, line: &Line, sight: &Sight<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.takes_line(line, sight)),
            Self::Any(parts) => {
                !parts.iter().any(Self::asks_lines)
                    || parts.iter().any(|part| part.asks_lines() && part.takes_line(line, sight))
            }
            Self::Not(part) => !part.asks_lines() || !part.takes_line(line, sight),
            Self::Line(filter) => filter.takes(&line_of(line, sight.products), sight),
            Self::Property { .. } | Self::Order { .. } => true,
        }
    }

    fn asks_lines(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::asks_lines),
            Self::Not(part) => part.asks_lines(),
            Self::Line(_) => true,
            Self::Property { .. } | Self::Order { .. } => false,
        }
    }

    /// Whether it asks for a property of this name.
    pub(crate) fn names(&self, name: &str) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.names(name)),
            Self::Not(part) => part.names(name),
            Self::Property { path, .. } => *path == [name],
            Self::Order { .. } | Self::Line(_) => false,
        }
    }

    /// Whether it looks products up.
    #[must_use]
    pub fn reads_products(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::reads_products),
            Self::Not(part) => part.reads_products(),
            Self::Line(filter) => filter.product.is_some(),
            Self::Property { .. } | Self::Order { .. } => false,
        }
    }

    /// Shows every right side, with the kind that it is compared with.
    pub(crate) fn refs(&self, visit: &mut dyn FnMut(Kind, &Operand)) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.refs(visit)),
            Self::Not(part) => part.refs(visit),
            Self::Property { tests, .. } | Self::Order { tests, .. } => {
                tests.operands().for_each(|one| visit(Kind::Any, one));
            }
            Self::Line(filter) => {
                for tests in [&filter.quantity, &filter.unit_price, &filter.total] {
                    tests.operands().for_each(|one| visit(Kind::Number, one));
                }
                for (path, kind) in filter.product.iter().flat_map(ProductCondition::refs) {
                    visit(kind, &Operand::Ref(path));
                }
            }
        }
    }
}

impl LineFilter {
    fn takes(&self, line: &AnyLine<'_>, sight: &Sight<'_>) -> bool {
        let (moment, data) = (&sight.moment, sight.data);
        let product = match (&self.product, line.product) {
            (None, _) => true,
            (Some(condition), Some(product)) => condition.holds(product, data, moment),
            (Some(_), None) => false,
        };
        product
            && self.quantity.hold(line.quantity.as_ref(), moment, data)
            && self.unit_price.hold(line.unit_price.as_ref(), moment, data)
            && self.total.hold(line.total.as_ref(), moment, data)
    }
}

fn line_of<'p>(line: &Line, products: &'p dyn Products) -> AnyLine<'p> {
    let total = line.unit_price.times(line.quantity);
    AnyLine {
        product: products.by_id(line.product),
        quantity: Some(Value::Integer(line.quantity)),
        unit_price: Some(Value::Decimal(line.unit_price)),
        total: i64::try_from(total).ok().map(|total| Value::Decimal(Amount(total))),
    }
}

/// The lines of an event: its `products`, or itself where it speaks of one product (`product_id`).
fn event_lines<'p>(event: &Event, products: &'p dyn Products) -> Vec<AnyLine<'p>> {
    let one = |map: &serde_json::Map<String, serde_json::Value>| {
        let id = map.get("product_id").and_then(value_of_json)?;
        let number = |key: &str| map.get(key).and_then(value_of_json).filter(|value| figure(value).is_some());
        let (quantity, unit_price) = (number("quantity"), number("price"));
        let total = quantity.as_ref().and_then(figure).zip(unit_price.as_ref().and_then(figure));
        let total = total.and_then(|(n, price)| i64::try_from(n * price / i128::from(Amount::SCALE)).ok());
        Some(AnyLine {
            product: products.by_external_id(&id.to_string()),
            quantity,
            unit_price,
            total: total.map(|total| Value::Decimal(Amount(total))),
        })
    };
    match event.properties.get("products") {
        Some(serde_json::Value::Array(lines)) => {
            lines.iter().filter_map(|line| one(line.as_object()?)).collect()
        }
        _ => one(&event.properties).into_iter().collect(),
    }
}

/// The values behind a path: names step into objects, numbers into lists; a name on a list asks all its entries.
fn json_values(root: &serde_json::Map<String, serde_json::Value>, path: &[String]) -> Vec<Value> {
    fn walk(json: &serde_json::Value, path: &[String], found: &mut Vec<Value>) {
        use serde_json::Value as Json;
        match (json, path.split_first()) {
            (Json::Array(items), None) => items.iter().for_each(|item| found.extend(value_of_json(item))),
            (Json::Array(items), Some((step, rest))) => match step.parse::<usize>() {
                Ok(at) => items.get(at).into_iter().for_each(|item| walk(item, rest, found)),
                Err(_) => items.iter().for_each(|item| walk(item, path, found)),
            },
            (Json::Object(map), Some((step, rest))) => {
                map.get(step).into_iter().for_each(|inner| walk(inner, rest, found));
            }
            (scalar, None) => found.extend(value_of_json(scalar)),
            (_, Some(_)) => {}
        }
    }
    let mut found = Vec::new();
    if let Some((first, rest)) = path.split_first() {
        root.get(first).into_iter().for_each(|json| walk(json, rest, &mut found));
    }
    found
}

/// Each test holds of some value; a negative one of all.
fn holds_of_some(tests: &Tests, values: &[Value], sight: &Sight<'_>) -> bool {
    let (moment, data) = (&sight.moment, sight.data);
    tests.0.iter().all(|test| match values {
        [] => test.holds(None, moment, data),
        _ if test.operator.positive_of_negative().is_some() => {
            values.iter().all(|value| test.holds(Some(value), moment, data))
        }
        _ => values.iter().any(|value| test.holds(Some(value), moment, data)),
    })
}
