//! Writes a custom field of the contact. Later nodes of the same pass read what was written.
//!
//! | operator | fields | what it does |
//! | --- | --- | --- |
//! | `assign` (default) | all | puts the value there |
//! | `add`, `subtract` | `integer`, `decimal` | starts from the default or zero |
//! | | `date`, `instant` | a period, as in `P30D`; an empty field stays empty |
//! | `append` | `checkbox` | chooses the options too |
//! | | `text` | puts the text behind |
//! | `remove` | `checkbox` | the options are chosen no more |
//! | | `text` | takes the text out, wherever it stands |
//! | `clear` | all but required ones | the field is empty, or has its default |
//!
//! When there is nothing to write (no product was found, say), or what would come of it does not fit the field's bounds,
//! the field stays as it is, and the trace says so.

use model::{Amount, FieldDef, FieldType, Period, Place, Problem, Timestamp, Value, doc};
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
    Append,
    Remove,
    Clear,
}

impl Operator {
    /// Whether it can be used on a field of this type.
    const fn fits(self, kind: &FieldType) -> bool {
        use FieldType::{Checkbox, Date, Decimal, Instant, Integer, Text};
        match self {
            Self::Assign | Self::Clear => true,
            Self::Add | Self::Subtract => {
                matches!(kind, Integer { .. } | Decimal { .. } | Date | Instant)
            }
            Self::Append | Self::Remove => matches!(kind, Checkbox { .. } | Text),
        }
    }
}

#[derive(Debug)]
enum Source {
    Literal { text: String, value: Option<Value> },
    Period(Period),
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
        ("append", Operator::Append),
        ("remove", Operator::Remove),
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
        if !self.operator.fits(&def.kind) {
            let (message, cure) = match self.operator {
                Operator::Add | Operator::Subtract => {
                    ("only numbers and dates can be added to or subtracted from", "use operator: assign")
                }
                _ => (
                    "only texts and checkboxes can be appended to or removed from",
                    "use operator: add, subtract or assign",
                ),
            };
            let message = format!("`{}` is of type {}: {message}", def.slug, def.kind.word());
            binder.type_problem(&self.field, message, cure);
            return;
        }
        if self.operator == Operator::Clear && def.required {
            binder.type_problem(
                &self.field,
                format!("`{}` is required and cannot be cleared", def.slug),
                "assign its default instead",
            );
        }
        self.bind_source(binder, &def);
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
        let Some(value) = self.value(context, &def.kind) else { return Flow::done(0, Detail::None) };
        if let Err(problem) = value.check(&def.kind) {
            return Flow::done(0, Detail::Text(format!("unchanged: {}", problem.message)));
        }
        let detail = Detail::Text(value.to_string());
        context.set_field(&self.field.text, Some(value));
        Flow::done(0, detail)
    }
}

impl SetField {
    fn bind_source(&mut self, binder: &mut Binder<'_>, def: &FieldDef) {
        let is_time = matches!(def.kind, FieldType::Date | FieldType::Instant);
        let takes_period = is_time && matches!(self.operator, Operator::Add | Operator::Subtract);
        // A text that is taken out or put behind, and a single option, need not be a value of the field by itself.
        let wanted = match (self.operator, &def.kind) {
            (Operator::Append | Operator::Remove, FieldType::Checkbox { .. }) => None,
            _ => Some(Expect::Fits(DataType::of_field(&def.kind))),
        };
        match &mut self.source {
            Source::Nothing | Source::Period(_) => {}
            Source::Ref(_) if takes_period => binder.type_problem(
                &Named { text: String::new(), place: self.source_place, field: self.source_field.clone() },
                "a date takes a period written in the file".to_owned(),
                "write value: P30D",
            ),
            Source::Ref(path) => match wanted {
                Some(wanted) => {
                    binder.reference_to(path, self.source_place, &self.source_field, wanted, def);
                }
                None => {
                    let expect = Expect::Comparable(segment::Kind::Options);
                    binder.reference(path, self.source_place, &self.source_field, expect);
                }
            },
            Source::Literal { text, .. } if takes_period => match read_period(text, &def.kind) {
                Ok(period) => self.source = Source::Period(period),
                Err(problem) => binder.problem(problem.field(&self.source_field).at(self.source_place)),
            },
            Source::Literal { text, value } => match Value::parse(text, &def.kind) {
                Ok(parsed) => *value = Some(parsed),
                Err(problem) => binder.problem(problem.field(&self.source_field).at(self.source_place)),
            },
        }
    }

    /// What the field is to hold; none when there is nothing to write.
    fn value(&self, context: &Context<'_>, kind: &FieldType) -> Option<Value> {
        let data = context.data();
        let before = || data.contact_value(&self.field.text);
        let sign = if self.operator == Operator::Subtract { -1 } else { 1 };
        let given = match &self.source {
            Source::Nothing => return None,
            Source::Period(period) => return shifted(&before()?, *period, sign),
            Source::Literal { value, .. } => value.clone()?,
            Source::Ref(path) => match data.datum(path)? {
                Datum::Value(value) => match (self.operator, kind) {
                    (Operator::Append | Operator::Remove, FieldType::Checkbox { .. }) => options(value)?,
                    _ => fitted(value, kind)?,
                },
                _ => return None,
            },
        };
        match self.operator {
            Operator::Add | Operator::Subtract => sum(before(), &given, sign),
            Operator::Append => appended(before(), given),
            Operator::Remove => removed(before()?, &given),
            Operator::Assign | Operator::Clear => Some(given),
        }
    }
}

/// A period for a field; a day takes whole days and months.
fn read_period(text: &str, kind: &FieldType) -> Result<Period, Problem> {
    let period = Period::parse(text.trim())?;
    if matches!(kind, FieldType::Date) && period.micros % Timestamp::DAY != 0 {
        return Err(Problem::new("journey.type", format!("`{text}` is no whole number of days"))
            .value(text)
            .cure("write whole days, months or years, as in P30D or P1M"));
    }
    Ok(period)
}

/// A day or an instant so much later (or earlier, by `sign`).
fn shifted(before: &Value, period: Period, sign: i64) -> Option<Value> {
    let shift = |at: Timestamp| if sign < 0 { period.before(at) } else { period.after(at) };
    match before {
        Value::Instant(at) => Some(Value::Instant(shift(*at))),
        Value::Date(days) => {
            let at = shift(Timestamp(i64::from(*days).checked_mul(Timestamp::DAY)?));
            Some(Value::Date(at.day_utc()))
        }
        _ => None,
    }
}

/// Words as options: a text is one.
fn options(value: Value) -> Option<Value> {
    match value {
        Value::Options(options) => Some(Value::Options(options)),
        Value::Text(text) => Some(Value::Options(vec![text])),
        _ => None,
    }
}

/// What the field held, with the given options or text behind it.
fn appended(before: Option<Value>, given: Value) -> Option<Value> {
    match (before, given) {
        (Some(Value::Options(mut had)), Value::Options(more)) => {
            had.extend(more);
            had.sort_unstable();
            had.dedup();
            Some(Value::Options(had))
        }
        (Some(Value::Text(had)), Value::Text(more)) => Some(Value::Text(had + &more)),
        (None, given) => Some(given),
        _ => None,
    }
}

/// What the field held, without the given options or text.
fn removed(before: Value, given: &Value) -> Option<Value> {
    match (before, given) {
        (Value::Options(mut had), Value::Options(gone)) => {
            had.retain(|option| !gone.contains(option));
            Some(Value::Options(had))
        }
        (Value::Text(had), Value::Text(gone)) if !gone.is_empty() => Some(Value::Text(had.replace(gone, ""))),
        _ => None,
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

    #[test]
    fn dates_move_by_periods() {
        let date = |text: &str| Value::Date(model::field::parse_date(text).unwrap());
        let period = |text: &str| Period::parse(text).unwrap();
        for (from, by, sign, to) in [
            ("2026-01-31", "P1M", 1, "2026-02-28"),
            ("2026-03-01", "P1D", -1, "2026-02-28"),
            ("1948-02-29", "P1Y", 1, "1949-02-28"),
            ("1970-01-01", "P1D", -1, "1969-12-31"),
        ] {
            assert_eq!(shifted(&date(from), period(by), sign), Some(date(to)), "{from} {by}");
        }
        let at = Timestamp(5);
        assert_eq!(
            shifted(&Value::Instant(at), period("PT8H"), 1),
            Some(Value::Instant(at.plus(8 * Timestamp::HOUR)))
        );
        assert_eq!(read_period("PT8H", &FieldType::Date).unwrap_err().code, "journey.type");
        assert!(read_period("PT8H", &FieldType::Instant).is_ok());
    }

    #[test]
    fn options_and_texts_grow_and_shrink() {
        let options = |list: &[&str]| Value::Options(list.iter().map(|o| (*o).to_owned()).collect());
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(appended(Some(options(&["b"])), options(&["a", "b"])), Some(options(&["a", "b"])));
        assert_eq!(appended(None, options(&["a"])), Some(options(&["a"])));
        assert_eq!(appended(Some(text("a")), text(";b")), Some(text("a;b")));
        assert_eq!(removed(options(&["a", "b"]), &options(&["a", "c"])), Some(options(&["b"])));
        assert_eq!(removed(text("a;b;a"), &text("a")), Some(text(";b;")));
        assert_eq!(removed(text("a"), &text("")), None, "nothing is nowhere");
    }
}
