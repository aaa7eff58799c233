//! Data that leaves a journey as JSON: the properties of an event that is raised, the body of a webhook. A tree of
//! literals, of which any value may be a reference.

use model::{Amount, Event, Place, Problem, Value, doc};
use segment::reference::RefPath;
use serde_json::{Map, Value as Json, json};

use super::{Expect, Reading};
use crate::{
    check::Binder,
    data::{CART_FIELDS, Datum, PRODUCT_FIELDS},
    run::Context,
};

/// A JSON object with references in it.
#[derive(Debug, Default)]
pub(super) struct Payload(Vec<(String, Part)>);

#[derive(Debug)]
enum Part {
    Literal(Json),
    Ref { path: RefPath, place: Place, field: String },
    List(Vec<Part>),
    Map(Vec<(String, Part)>),
}

/// Reads the mapping under a key; empty when there is none.
pub(super) fn read(reading: &mut Reading<'_, '_>, key: &'static str) -> Option<Payload> {
    let path = reading.fields.path_of(key);
    let Some(node) = reading.fields.optional(key) else { return Some(Payload::default()) };
    let Some(entries) = node.entries() else {
        let problem = node.problem("doc.type", format!("expected a mapping, found {}", node.kind()));
        reading.problems.push(problem.field(path).cure("write name: {ref: contact.first_name}"));
        return None;
    };
    map(reading, entries, &path, 1).map(Payload)
}

fn map(
    reading: &mut Reading<'_, '_>,
    entries: &[doc::Entry],
    path: &str,
    depth: usize,
) -> Option<Vec<(String, Part)>> {
    let parts: Vec<Option<(String, Part)>> = entries
        .iter()
        .map(|entry| {
            let field = format!("{path}.{}", entry.key);
            part(reading, &entry.value, &field, depth).map(|part| (entry.key.clone(), part))
        })
        .collect();
    parts.into_iter().collect()
}

fn part(reading: &mut Reading<'_, '_>, node: &doc::Node, path: &str, depth: usize) -> Option<Part> {
    let reference = RefPath::from_node(node).map_err(|problem| problem.field(path));
    if let Some(found) = reading.keep(reference)? {
        return Some(Part::Ref { path: found, place: node.place, field: path.to_owned() });
    }
    if depth >= Event::DEPTH_MAX
        && !matches!(
            &node.data,
            doc::Data::Null | doc::Data::Bool(_) | doc::Data::Number(_) | doc::Data::Text(_)
        )
    {
        let problem = Problem::new("journey.too_deep", "the values are nested too deep");
        reading.problems.push(
            problem.field(path).at(node.place).cure(format!("nest at most {} levels", Event::DEPTH_MAX)),
        );
        return None;
    }
    if let Some(entries) = node.entries() {
        return map(reading, entries, path, depth + 1).map(Part::Map);
    }
    if let Some(items) = node.items() {
        let parts: Vec<Option<Part>> = items
            .iter()
            .enumerate()
            .map(|(place, item)| part(reading, item, &format!("{path}.{place}"), depth + 1))
            .collect();
        return parts.into_iter().collect::<Option<Vec<Part>>>().map(Part::List);
    }
    Some(Part::Literal(node.to_json()))
}

impl Payload {
    /// Reports references that lead nowhere.
    pub(super) fn bind(&self, binder: &mut Binder<'_>) {
        for (_, part) in &self.0 {
            part.bind(binder);
        }
    }

    /// The object for a contact; what a reference does not find is left out.
    pub(super) fn fill(&self, context: &Context<'_>) -> Map<String, Json> {
        fill_map(&self.0, context)
    }
}

fn fill_map(parts: &[(String, Part)], context: &Context<'_>) -> Map<String, Json> {
    parts.iter().filter_map(|(name, part)| Some((name.clone(), part.fill(context)?))).collect()
}

impl Part {
    fn bind(&self, binder: &mut Binder<'_>) {
        match self {
            Self::Literal(_) => {}
            Self::Ref { path, place, field } => {
                binder.reference(path, *place, field, Expect::Any);
            }
            Self::List(parts) => parts.iter().for_each(|part| part.bind(binder)),
            Self::Map(parts) => parts.iter().for_each(|(_, part)| part.bind(binder)),
        }
    }

    fn fill(&self, context: &Context<'_>) -> Option<Json> {
        Some(match self {
            Self::Literal(json) => json.clone(),
            Self::Ref { path, .. } => datum(&context.data().datum(path)?, context),
            Self::List(parts) => Json::Array(parts.iter().filter_map(|part| part.fill(context)).collect()),
            Self::Map(parts) => Json::Object(fill_map(parts, context)),
        })
    }
}

/// A datum as JSON: products and carts with all that references see of them.
fn datum(datum: &Datum, context: &Context<'_>) -> Json {
    let catalogue = context.world.catalogue;
    let fields = |datum: &Datum, names: &[(&str, crate::data::DataType)]| {
        let entry = |name: &str| match datum.at(&[name.to_owned()], catalogue)? {
            Datum::Value(found) => Some((name.to_owned(), value(&found))),
            _ => None,
        };
        names.iter().filter_map(|(name, _)| entry(name)).collect::<Map<String, Json>>()
    };
    match datum {
        Datum::Value(found) => value(found),
        Datum::Product(_) => Json::Object(fields(datum, PRODUCT_FIELDS)),
        Datum::Products(ids) => {
            ids.iter().map(|id| Json::Object(fields(&Datum::Product(*id), PRODUCT_FIELDS))).collect()
        }
        Datum::Cart(cart) => {
            let mut out = fields(datum, CART_FIELDS);
            let lines = cart.lines.iter().map(|line| {
                let mut product = fields(&Datum::Product(line.product), PRODUCT_FIELDS);
                product.insert("quantity".to_owned(), json!(line.quantity));
                product.insert("unit_price".to_owned(), amount(line.unit_price));
                Json::Object(product)
            });
            out.insert("products".to_owned(), lines.collect());
            Json::Object(out)
        }
    }
}

/// A value as JSON: numbers as numbers where JSON's hold them exactly, days and instants as ISO 8601.
pub(super) fn value(value: &Value) -> Json {
    match value {
        Value::Integer(n) => json!(n),
        Value::Decimal(found) => amount(*found),
        Value::Boolean(truth) => json!(truth),
        Value::Options(options) => json!(options),
        Value::Text(_) | Value::Date(_) | Value::Instant(_) => Json::String(value.to_string()),
    }
}

fn amount(amount: Amount) -> Json {
    /// Up to 2⁵³ a float tells all ten-thousandths apart.
    const EXACT: u64 = 1 << 53;
    let text = amount.to_string();
    let number = text.parse::<f64>().ok().filter(|_| amount.0.unsigned_abs() < EXACT);
    match number.and_then(serde_json::Number::from_f64) {
        _ if amount.0 % Amount::SCALE == 0 => json!(amount.0 / Amount::SCALE),
        Some(number) => Json::Number(number),
        None => Json::String(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_numbers_while_they_are_exact() {
        for (text, json) in [("12.5", "12.5"), ("3", "3"), ("0.0001", "0.0001"), ("-7.25", "-7.25")] {
            assert_eq!(amount(Amount::parse(text).unwrap()).to_string(), json);
        }
        assert_eq!(amount(Amount(i64::MAX)), json!("922337203685477.5807"));
    }
}
