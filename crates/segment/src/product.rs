//! Conditions on products: filters of *Get products*, of activity conditions and of carts.

use model::{Amount, Product, Timestamp, Value, Zone, doc::Node};

use crate::{
    Data, Operand, Problems, RefPath, Schema,
    operator::Kind,
    parse::{Parser, ValueType},
    test::{Moment, Tests},
};

/// Fields of a product with their kinds.
pub const PRODUCT_FIELDS: &[(&str, Kind)] = &[
    ("external_id", Kind::Text),
    ("name", Kind::Text),
    ("url", Kind::Text),
    ("image_url", Kind::Text),
    ("description", Kind::Text),
    ("brand", Kind::Text),
    ("unit_price", Kind::Number),
    ("original_price", Kind::Number),
    ("discount", Kind::Number),
    ("discount_percent", Kind::Number),
    ("categories", Kind::Options),
    ("tags", Kind::Options),
    ("stock", Kind::Number),
    ("out_of_stock", Kind::Boolean),
    ("blacklisted", Kind::Boolean),
    ("rating", Kind::Number),
    ("priority", Kind::Number),
    ("published_at", Kind::Instant),
];

/// A product's field by name; none when it is empty. `discount` is what the price is below the original price,
/// `discount_percent` the same in percent of the original price, rounded to four decimals.
#[must_use]
pub fn product_field(product: &Product, name: &str) -> Option<Value> {
    let text = |value: &Option<String>| value.clone().map(Value::Text);
    let list = |values: &[String]| (!values.is_empty()).then(|| Value::Options(values.to_vec()));
    let prices = || product.unit_price.zip(product.original_price);
    match name {
        "external_id" => Some(Value::Text(product.external_id.clone())),
        "name" => Some(Value::Text(product.name.clone())),
        "url" => text(&product.url),
        "image_url" => text(&product.image_url),
        "description" => text(&product.description),
        "brand" => text(&product.brand),
        "unit_price" => product.unit_price.map(Value::Decimal),
        "original_price" => product.original_price.map(Value::Decimal),
        "discount" => prices().map(|(now, before)| Value::Decimal(Amount((before.0 - now.0).max(0)))),
        "discount_percent" => prices().filter(|(_, before)| before.0 > 0).map(|(now, before)| {
            let saved = i128::from((before.0 - now.0).max(0)) * i128::from(100 * Amount::SCALE);
            Value::Decimal(Amount(i64::try_from(saved / i128::from(before.0)).unwrap_or(i64::MAX)))
        }),
        "categories" => list(&product.categories),
        "tags" => list(&product.tags),
        "stock" => product.stock.map(Value::Integer),
        "out_of_stock" => Some(Value::Boolean(product.out_of_stock)),
        "blacklisted" => Some(Value::Boolean(product.blacklisted)),
        "rating" => product.rating.map(Value::Decimal),
        "priority" => Some(Value::Integer(product.priority)),
        "published_at" => product.published_at.map(Value::Instant),
        _ => None,
    }
}

/// A condition on one product. A list means that all hold; `all`, `any` and `not` nest; a leaf is
/// `{field: unit_price, greater_than: 10}`, its right side a literal or `{ref: …}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProductCondition {
    /// All hold.
    All(Vec<Self>),
    /// At least one holds.
    Any(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// A comparison of a field.
    Field {
        /// One of [`PRODUCT_FIELDS`].
        name: &'static str,
        /// What must hold of it.
        tests: Tests,
    },
}

impl Default for ProductCondition {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl ProductCondition {
    /// Reads a condition whose references are checked later, by the caller (see [`ProductCondition::refs`]).
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(node: &Node, path: &str) -> Result<Self, Problems> {
        let schema = Schema::default();
        let mut parser = Parser::new(&schema);
        parser.check_refs = false;
        let condition = parser.product(node, path);
        parser.finish(condition)
    }

    /// Reads a condition and checks its references against a schema.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse_with(node: &Node, schema: &Schema<'_>, path: &str) -> Result<Self, Problems> {
        let mut parser = Parser::new(schema);
        let condition = parser.product(node, path);
        parser.finish(condition)
    }

    /// Whether a product satisfies it at `now`; days are in UTC (see [`ProductCondition::holds`] for another zone).
    #[must_use]
    pub fn matches(&self, product: &Product, data: &dyn Data, now: Timestamp) -> bool {
        self.holds(product, data, &Moment { now, zone: &Zone::UTC })
    }

    /// Whether a product satisfies it at a moment.
    #[must_use]
    pub fn holds(&self, product: &Product, data: &dyn Data, moment: &Moment<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(product, data, moment)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(product, data, moment)),
            Self::Not(part) => !part.holds(product, data, moment),
            Self::Field { name, tests } => tests.hold(product_field(product, name).as_ref(), moment, data),
        }
    }

    /// The references that it reads, with the kind that each is compared with.
    #[must_use]
    pub fn refs(&self) -> Vec<(RefPath, Kind)> {
        let mut refs = Vec::new();
        self.collect(&mut |kind, operand| refs.extend(operand.path().map(|path| (path.clone(), kind))));
        refs
    }

    /// Whether the answer depends on the time of asking.
    #[must_use]
    pub fn reads_time(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::reads_time),
            Self::Not(part) => part.reads_time(),
            Self::Field { tests, .. } => tests.read_time(),
        }
    }

    fn collect(&self, visit: &mut impl FnMut(Kind, &Operand)) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.collect(visit)),
            Self::Not(part) => part.collect(visit),
            Self::Field { name, tests } => {
                let kind =
                    PRODUCT_FIELDS.iter().find(|(own, _)| own == name).map_or(Kind::Any, |(_, kind)| *kind);
                tests.operands().for_each(|operand| visit(kind, operand));
            }
        }
    }
}

impl Parser<'_, '_> {
    /// Reads a product condition.
    pub(crate) fn product(&mut self, node: &Node, path: &str) -> Option<ProductCondition> {
        if node.items().is_some() {
            return self.branches(node, path, Self::product).map(ProductCondition::All);
        }
        let entries = self.mapping(node, path)?;
        if let Some(entry) = entries.iter().find(|entry| matches!(entry.key.as_str(), "all" | "any" | "not"))
        {
            let inner = format!("{path}.{}", entry.key);
            if !self.alone(entries, &entry.key, path) {
                return None;
            }
            return match entry.key.as_str() {
                "all" => self.branches(&entry.value, &inner, Self::product).map(ProductCondition::All),
                "any" => self.branches(&entry.value, &inner, Self::product).map(ProductCondition::Any),
                _ => self.product(&entry.value, &inner).map(|part| ProductCondition::Not(Box::new(part))),
            };
        }
        self.count_leaf(node, path)?;
        let mut fields = self.fields(node, path)?;
        let name_node = self.need(fields.required("field"))?;
        let word = name_node.text().unwrap_or_default();
        let known = PRODUCT_FIELDS.iter().find(|(own, _)| *own == word);
        if known.is_none() {
            let names: Vec<&str> = PRODUCT_FIELDS.iter().map(|(name, _)| *name).collect();
            let problem =
                name_node.problem("product.unknown_field", format!("a product has no field `{word}`"));
            self.report(problem.field(format!("{path}.field")).suggest(word, names));
        }
        let kind = known.map_or(Kind::Any, |(_, kind)| *kind);
        let tests = self.tests(&mut fields, &ValueType::of(kind));
        self.finish_fields(fields);
        Some(ProductCondition::Field { name: known?.0, tests: tests? })
    }
}
