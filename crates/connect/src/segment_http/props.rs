//! Properties of an event, read by any of the names under which shops send them.

use model::{Amount, Problem};
use serde_json::{Map, Value};

use crate::values::{self, ID_LEN_MAX, QUANTITY_MAX, Result, TEXT_LEN_MAX, check_text};

/// An object of an event, and where it stands in the message.
#[derive(Clone, Copy)]
pub(super) struct Props<'a> {
    map: &'a Map<String, Value>,
    path: &'a str,
}

impl<'a> Props<'a> {
    pub(super) fn new(map: &'a Map<String, Value>, path: &'a str) -> Self {
        Self { map, path }
    }

    /// The first of these that is there and not null, with its field.
    pub(super) fn first(&self, names: &[&str]) -> Option<(&'a Value, String)> {
        names.iter().find_map(|name| {
            let value = self.map.get(*name).filter(|value| !value.is_null())?;
            Some((value, format!("{}.{name}", self.path)))
        })
    }

    /// A text, or a number as a text; none when it is empty.
    pub(super) fn text(&self, names: &[&str]) -> Result<Option<String>> {
        let Some((value, field)) = self.first(names) else { return Ok(None) };
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => {
                return Err(Problem::new("value.type", "this is no text")
                    .field(field)
                    .value(value)
                    .cure("send a text"));
            }
        };
        check_text(&text, &field, TEXT_LEN_MAX)?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// An id: a short text.
    pub(super) fn id(&self, names: &[&str]) -> Result<Option<String>> {
        let Some(id) = self.text(names)? else { return Ok(None) };
        if id.len() > ID_LEN_MAX || id.chars().any(char::is_control) {
            let problem = Problem::new("id.invalid", format!("an id has at most {ID_LEN_MAX} bytes"));
            return Err(problem.field(format!("{}.{}", self.path, names[0])).value(id).cure("shorten it"));
        }
        Ok(Some(id))
    }

    /// An id that must be there.
    pub(super) fn required_id(&self, names: &[&str]) -> Result<String> {
        self.id(names)?.ok_or_else(|| values::missing(&format!("{}.{}", self.path, names[0])))
    }

    /// An amount that is not negative.
    pub(super) fn amount(&self, names: &[&str]) -> Result<Option<Amount>> {
        let Some((value, field)) = self.first(names) else { return Ok(None) };
        let amount = match value {
            Value::Number(number) => match number.as_i64() {
                Some(whole) if whole.abs() <= Amount::UNITS_MAX => Ok(Amount::units(whole)),
                _ => Amount::from_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) if text.trim().is_empty() => return Ok(None),
            Value::String(text) => values::amount(text),
            _ => Err(Problem::new("amount.invalid", "this is no amount").value(value).cure("send a number")),
        }
        .map_err(|problem| problem.field(&*field))?;
        if amount < Amount::ZERO {
            return Err(Problem::new("amount.negative", "the amount is less than nothing")
                .field(field)
                .value(amount)
                .cure("send it without a sign; what is paid back is an Order Refunded"));
        }
        Ok(Some(amount))
    }

    /// How many: a whole number from 1.
    pub(super) fn quantity(&self, names: &[&str]) -> Result<Option<i64>> {
        let Some((value, field)) = self.first(names) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_i64().or_else(|| {
                number.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64)
            }),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if (1..=QUANTITY_MAX).contains(&number) => Ok(Some(number)),
            _ => Err(Problem::new("quantity.out_of_range", "this is no quantity")
                .field(field)
                .value(value)
                .cure(format!("send a whole number from 1 to {QUANTITY_MAX}"))),
        }
    }

    /// A list of objects.
    pub(super) fn objects(&self, name: &str) -> Result<Option<Vec<&'a Map<String, Value>>>> {
        let Some((value, field)) = self.first(&[name]) else { return Ok(None) };
        let objects = value.as_array().and_then(|items| items.iter().map(Value::as_object).collect());
        objects.map(Some).ok_or_else(|| {
            Problem::new("value.type", "this is no list of objects")
                .field(field)
                .value(value)
                .cure("send a list as in [{\"product_id\": \"42\", \"quantity\": 1, \"price\": 9.9}]")
        })
    }
}
