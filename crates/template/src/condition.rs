//! Show/hide: the condition tree of segments, asked of what was frozen for the message.

use std::collections::BTreeMap;

use model::{
    Amount, ConsentState, FieldDef, FieldType, Localized, Problems, ProductId, RfmPlacement, Slug, Timestamp,
    Value, Zone,
    doc::Node,
    field::{FieldOption, parse_date},
};
use segment::{Condition, Data, Facts, Kind, RefPath, Refs, Schema, Scope, evaluate::is_member};
use serde_json::{Map, Value as Json};

use crate::{
    Document, Variable, VariableType,
    document::{Block, Kind as BlockKind},
};

/// The variables as `{ref: variables.<name>}`.
pub(crate) struct VariableRefs<'a>(pub &'a [Variable]);

impl Refs for VariableRefs<'_> {
    fn kind(&self, path: &RefPath) -> Option<Kind> {
        let (root, name) = (path.parts().first()?, path.parts().get(1)?);
        let variable = self.0.iter().find(|variable| root == "variables" && variable.name == *name)?;
        let inner = path.parts().get(2).map(String::as_str);
        Some(match (variable.kind, inner, path.parts().len()) {
            (VariableType::Text | VariableType::Url, None, _) => Kind::Text,
            (VariableType::Number | VariableType::Money, None, _) => Kind::Number,
            (VariableType::Date, None, _) => Kind::Date,
            (VariableType::Boolean, None, _) => Kind::Boolean,
            (VariableType::Product | VariableType::Products | VariableType::Cart, None, _) => Kind::Products,
            (VariableType::Products | VariableType::Cart, Some("count"), 3) => Kind::Number,
            (VariableType::Cart, Some("total"), 3) => Kind::Number,
            (VariableType::Product, Some("name" | "brand" | "external_id"), 3) => Kind::Text,
            (VariableType::Product, Some("unit_price" | "original_price" | "rating"), 3) => Kind::Number,
            _ => return None,
        })
    }

    fn known(&self) -> Vec<String> {
        let mut known = Vec::new();
        for Variable { name, kind, .. } in self.0 {
            known.push(format!("variables.{name}"));
            if matches!(kind, VariableType::Products | VariableType::Cart) {
                known.push(format!("variables.{name}.count"));
            }
        }
        known
    }
}

/// Reads a block's `show`.
pub(crate) fn parse(
    node: &Node,
    schema: &Schema<'_>,
    variables: &[Variable],
    path: &str,
) -> Result<Condition, Problems> {
    let refs = VariableRefs(variables);
    let schema = Schema { refs: Some(&refs), scope: Scope::Profile, ..schema.clone() };
    Condition::parse(node, &schema, path)
}

/// Gives fields that the schema does not know (a published version may outlive its fields) the type that their
/// conditions speak of.
pub(crate) fn add_unknown_fields(document: &Document, schema: &mut Schema<'_>) {
    let mut blocks: Vec<&Block> = document.blocks.iter().collect();
    while let Some(block) = blocks.pop() {
        if let BlockKind::Columns { columns, .. } = &block.kind {
            blocks.extend(columns.iter().flat_map(|column| &column.blocks));
        }
        if let Some(show) = &block.show {
            add_fields_of(show, schema);
        }
    }
}

fn add_fields_of(node: &Node, schema: &mut Schema<'_>) {
    node.items().unwrap_or_default().iter().for_each(|item| add_fields_of(item, schema));
    let entries = node.entries().unwrap_or_default();
    entries.iter().for_each(|entry| add_fields_of(&entry.value, schema));
    let Some(name) = node.get("field").and_then(Node::text) else { return };
    let Ok(slug) = Slug::parse(name) else { return };
    if schema.field_type(name).is_some() {
        return;
    }
    let kind = entries.iter().find_map(|entry| type_of(&entry.key, &entry.value)).unwrap_or(FieldType::Text);
    let field = FieldDef { slug, name: Localized::default(), kind, required: false, default: None };
    schema.fields.insert(name.to_owned(), field);
}

/// The type that an operator with its right side speaks of.
fn type_of(operator: &str, right: &Node) -> Option<FieldType> {
    let first = right.items().and_then(<[Node]>::first).unwrap_or(right);
    let is_number = matches!(first.data, model::doc::Data::Number(_));
    Some(match operator {
        "includes_any" | "includes_all" | "includes_none" => {
            let items = right.items().unwrap_or(std::slice::from_ref(right));
            let option = |id: &str| FieldOption { id: id.to_owned(), label: Localized::default() };
            FieldType::Checkbox { options: items.iter().filter_map(|item| item.text().map(option)).collect() }
        }
        "before" | "after" | "within_last" | "within_next" | "more_than_ago" | "between_ago"
        | "anniversary" | "anniversary_in" | "anniversary_within" | "weekday" | "month" | "calendar" => {
            FieldType::Instant
        }
        "greater_than" | "at_least" | "less_than" | "at_most" => FieldType::Decimal { min: None, max: None },
        "is" | "is_not" | "one_of" | "none_of" | "between" if is_number => {
            FieldType::Decimal { min: None, max: None }
        }
        "is" | "is_not" if matches!(first.data, model::doc::Data::Bool(_)) => FieldType::Boolean,
        _ => return None,
    })
}

/// What was frozen, as conditions ask for it.
pub(crate) struct Frozen<'a> {
    pub variables: &'a Map<String, Json>,
    pub contact: Option<&'a Map<String, Json>>,
    /// Types of the contact's fields that are read.
    pub fields: &'a BTreeMap<String, FieldType>,
    pub declared: &'a [Variable],
}

impl Frozen<'_> {
    pub fn holds(&self, condition: &Condition, now: Timestamp, zone: &Zone) -> bool {
        is_member(condition, self, now, zone)
    }

    fn listed(&self, key: &str, slug: &str) -> bool {
        let list = self.contact.and_then(|contact| contact.get(key)).and_then(Json::as_array);
        list.is_some_and(|list| list.iter().any(|one| one.as_str() == Some(slug)))
    }
}

impl Facts for Frozen<'_> {
    fn field(&self, name: &str) -> Option<Value> {
        value_of(self.contact?.get(name)?, self.fields.get(name)?)
    }

    fn consent(&self, purpose: &str) -> ConsentState {
        self.contact
            .and_then(|contact| contact.get("consents")?.get(purpose))
            .and_then(|state| serde_json::from_value(state.clone()).ok())
            .unwrap_or_default()
    }

    fn in_list(&self, slug: &str) -> bool {
        self.listed("lists", slug)
    }

    fn in_segment(&self, slug: &str) -> bool {
        self.listed("segments", slug)
    }

    fn rfm(&self, model: &str) -> Option<RfmPlacement> {
        let placement = self.contact?.get("rfm")?.get(model)?;
        serde_json::from_value(placement.clone()).ok()
    }

    fn data(&self) -> &dyn Data {
        self
    }
}

impl Data for Frozen<'_> {
    fn value(&self, path: &RefPath) -> Option<Value> {
        let parts = path.parts();
        let name = parts.get(1)?;
        if parts[0] == "contact" {
            return self.field(name);
        }
        let json = self.variables.get(name)?;
        let variable = self.declared.iter().find(|variable| variable.name == *name)?;
        let inner = parts.get(2).map(String::as_str);
        match (variable.kind, inner) {
            (_, Some("count")) => i64::try_from(products_of(json).len()).ok().map(Value::Integer),
            (VariableType::Text | VariableType::Url, None) => value_of(json, &FieldType::Text),
            (VariableType::Number | VariableType::Money, None) => number_of(json).map(Value::Decimal),
            (VariableType::Date, None) => json
                .as_str()
                .map(|text| parse_date(text).map_or_else(|| Value::Text(text.to_owned()), Value::Date)),
            (VariableType::Boolean, None) => json.as_bool().map(Value::Boolean),
            (_, Some(key)) => {
                let product = products_of(json).first().copied();
                let own = if variable.kind == VariableType::Cart { Some(json) } else { product };
                let json = own?.get(key)?;
                match key {
                    "name" | "brand" | "external_id" => value_of(json, &FieldType::Text),
                    _ => number_of(json).map(Value::Decimal),
                }
            }
            _ => None,
        }
    }

    /// As many as there are; which ones does not matter to a condition.
    fn products(&self, path: &RefPath) -> Vec<ProductId> {
        let json = path.parts().get(1).and_then(|name| self.variables.get(name));
        vec![ProductId::default(); json.map_or(0, |json| products_of(json).len())]
    }
}

/// The products of a list, a cart, or the single one.
pub(crate) fn products_of(json: &Json) -> Vec<&Json> {
    let list = match json {
        Json::Array(list) => list,
        Json::Object(map) => match map.get("lines") {
            Some(Json::Array(lines)) => lines,
            _ => return vec![json],
        },
        _ => return Vec::new(),
    };
    list.iter().filter(|one| one.is_object()).take(crate::limits::PRODUCTS_MAX).collect()
}

/// A number in major units, written as a number or a text, in ten-thousandths.
pub(crate) fn number_of(json: &Json) -> Option<Amount> {
    match json {
        Json::Number(number) => match number.as_i64() {
            Some(units) => units.checked_mul(Amount::SCALE).map(Amount),
            None => Amount::from_f64(number.as_f64()?).ok(),
        },
        Json::String(text) => Amount::parse(text).ok(),
        _ => None,
    }
}

fn value_of(json: &Json, kind: &FieldType) -> Option<Value> {
    Some(match (kind, json) {
        (FieldType::Integer { .. }, _) => Value::Integer(json.as_i64()?),
        (FieldType::Decimal { .. }, _) => Value::Decimal(number_of(json)?),
        (FieldType::Boolean, _) => Value::Boolean(json.as_bool()?),
        (FieldType::Date, _) => Value::Date(parse_date(json.as_str()?)?),
        (FieldType::Instant, _) => Value::Instant(Timestamp::parse(json.as_str()?, &Zone::UTC).ok()?),
        (FieldType::Checkbox { .. }, Json::Array(list)) => {
            Value::Options(list.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect())
        }
        (_, Json::String(text)) => Value::Text(text.clone()),
        (_, Json::Number(number)) => Value::Text(number.to_string()),
        _ => return None,
    })
}
