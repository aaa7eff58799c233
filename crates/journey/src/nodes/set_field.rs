//! Writes a custom field of the contact. Later nodes of the same pass read what was written. When there is nothing to
//! write (no product was found, say), or the value does not fit the field's bounds, the field stays as it is.

use model::{Amount, FieldDef, FieldType, Place, Value, doc};
use segment::reference::RefPath;

use super::{Expect, Flow, Kind, Named, Reading, Role, Step};
use crate::{
    check::Binder,
    data::{DataType, Datum},
    document::read_word,
    run::Context,
    trace::Detail,
};

/// The kind.
pub static KIND: Kind =
    Kind { word: "set_field", name_en: "Set field", name_fr: "Définir un champ", role: Role::Action, read };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Assign,
    Add,
    Subtract,
    Clear,
}

#[derive(Debug)]
enum Source {
    Literal { text: String, value: Option<Value> },
    Ref(RefPath),
    Nothing,
}

#[derive(Debug)]
struct SetField {
    field: Named,
    operator: Operator,
    source: Source,
    source_place: Place,
    source_field: String,
    def: Option<FieldDef>,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let field = reading.required_text("field");
    let path = reading.fields.path_of("operator");
    let words = [
        ("assign", Operator::Assign),
        ("add", Operator::Add),
        ("subtract", Operator::Subtract),
        ("clear", Operator::Clear),
    ];
    let operator = match reading.fields.optional("operator").map(|node| read_word(node, &path, &words)) {
        None => Operator::Assign,
        Some(read) => reading.keep(read)?,
    };
    let (source, source_place, source_field) = if operator == Operator::Clear {
        (Source::Nothing, reading.fields.place, reading.fields.path_of("value"))
    } else {
        let (node, path) = reading.required("value")?;
        (read_source(reading, node, &path)?, node.place, path)
    };
    Some(Box::new(SetField { field: field?, operator, source, source_place, source_field, def: None }))
}

fn read_source(reading: &mut Reading<'_, '_>, node: &doc::Node, path: &str) -> Option<Source> {
    let reference = RefPath::from_node(node).map_err(|problem| problem.field(path));
    if let Some(path) = reading.keep(reference)? {
        return Some(Source::Ref(path));
    }
    let options = node.items().map(|items| items.iter().map(doc::Node::scalar).collect::<Option<Vec<_>>>());
    let text = match options {
        Some(options) => options.map(|options| options.join("|")),
        None => node.scalar(),
    };
    let text = text.ok_or_else(|| {
        node.problem("doc.type", format!("expected a value or a reference, found {}", node.kind()))
            .field(path)
            .cure("write a value, or {ref: nodes.dearest.products.0.unit_price}")
    });
    reading.keep(text).map(|text| Source::Literal { text, value: None })
}

impl Step for SetField {
    fn bind(&mut self, binder: &mut Binder<'_>) {
        let Some(def) = binder.custom_field(&self.field) else { return };
        let numeric = matches!(def.kind, FieldType::Integer { .. } | FieldType::Decimal { .. });
        if matches!(self.operator, Operator::Add | Operator::Subtract) && !numeric {
            binder.type_problem(
                &self.field,
                format!(
                    "`{}` is of type {}: only numbers can be added or subtracted",
                    def.slug,
                    def.kind.word()
                ),
                "use operator: assign",
            );
        }
        if self.operator == Operator::Clear && def.required {
            binder.type_problem(
                &self.field,
                format!("`{}` is required and cannot be cleared", def.slug),
                "assign its default instead",
            );
        }
        match &mut self.source {
            Source::Nothing => {}
            Source::Ref(path) => {
                let wanted = Expect::Fits(DataType::of_field(&def.kind));
                binder.reference_to(path, self.source_place, &self.source_field, wanted, &def);
            }
            Source::Literal { text, value } => match Value::parse(text, &def.kind) {
                Ok(parsed) => *value = Some(parsed),
                Err(problem) => binder.problem(problem.field(&self.source_field).at(self.source_place)),
            },
        }
        self.def = Some(def);
    }

    fn changes_field(&self) -> Option<&str> {
        Some(&self.field.text)
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        let Some(def) = &self.def else { return Flow::done(0, Detail::None) };
        if self.operator == Operator::Clear {
            context.set_field(&self.field.text, None);
            return Flow::done(0, Detail::None);
        }
        let given = match &self.source {
            Source::Nothing => None,
            Source::Literal { value, .. } => value.clone(),
            Source::Ref(path) => context.data().datum(path).and_then(|datum| match datum {
                Datum::Value(value) => fitted(value, &def.kind),
                _ => None,
            }),
        };
        let before = || context.data().contact_value(&self.field.text);
        let value = match self.operator {
            Operator::Add => given.and_then(|given| sum(before(), &given, 1)),
            Operator::Subtract => given.and_then(|given| sum(before(), &given, -1)),
            Operator::Assign | Operator::Clear => given,
        };
        match value.filter(|value| value.check(&def.kind).is_ok()) {
            None => Flow::done(0, Detail::None),
            Some(value) => {
                let detail = Detail::Text(value.to_string());
                context.set_field(&self.field.text, Some(value));
                Flow::done(0, detail)
            }
        }
    }
}

/// The value in the field's own type, as [`DataType::fits`] allows.
fn fitted(value: Value, kind: &FieldType) -> Option<Value> {
    match (value, kind) {
        (Value::Integer(n), FieldType::Decimal { .. }) => {
            n.checked_mul(Amount::SCALE).map(|scaled| Value::Decimal(Amount(scaled)))
        }
        (Value::Text(text), FieldType::Text | FieldType::Radio { .. }) => Some(Value::Text(text)),
        (other, FieldType::Text | FieldType::Radio { .. }) => Some(Value::Text(other.to_string())),
        (value, kind) => Value::check(&value, kind).is_ok().then_some(value),
    }
}

/// What the field held, or nothing, plus or minus the given number; none beyond the range of numbers.
fn sum(before: Option<Value>, given: &Value, sign: i64) -> Option<Value> {
    match (before, given) {
        (Some(Value::Decimal(a)), Value::Decimal(b)) => {
            a.0.checked_add(b.0.checked_mul(sign)?).map(|n| Value::Decimal(Amount(n)))
        }
        (Some(Value::Integer(a)), Value::Integer(b)) => {
            a.checked_add(b.checked_mul(sign)?).map(Value::Integer)
        }
        (_, Value::Decimal(b)) => b.0.checked_mul(sign).map(|n| Value::Decimal(Amount(n))),
        (_, Value::Integer(b)) => b.checked_mul(sign).map(Value::Integer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_start_from_nothing_and_stay_in_range() {
        let decimal = |n| Value::Decimal(Amount(n));
        assert_eq!(sum(None, &decimal(5), -1), Some(decimal(-5)));
        assert_eq!(sum(Some(decimal(7)), &decimal(5), 1), Some(decimal(12)));
        assert_eq!(sum(Some(Value::Integer(i64::MAX)), &Value::Integer(1), 1), None);
        assert_eq!(sum(Some(Value::Integer(2)), &Value::Integer(3), -1), Some(Value::Integer(-1)));
    }

    #[test]
    fn values_take_the_type_of_the_field() {
        let decimal = FieldType::Decimal { min: None, max: None };
        assert_eq!(fitted(Value::Integer(2), &decimal), Some(Value::Decimal(Amount::units(2))));
        assert_eq!(fitted(Value::Integer(i64::MAX), &decimal), None);
        assert_eq!(fitted(Value::Integer(2), &FieldType::Text), Some(Value::Text("2".into())));
        assert_eq!(fitted(Value::Text("x".into()), &decimal), None);
    }
}
