//! Parquet, through the row interface of the `parquet` crate (no Arrow). Values become texts as CSV would have them;
//! structs, lists and maps become JSON.

use std::fs::File;

use model::{Amount, Problem, Timestamp, Zone, field::format_date};
use parquet::{
    basic::{LogicalType, TimeUnit},
    file::{reader::FileReader, serialized_reader::SerializedFileReader},
    record::{Field, reader::RowIter},
};
use serde_json::Value;

use crate::{
    row::{Row, Step},
    source::{Count, Source},
};

/// Rows of a Parquet file.
pub struct ParquetRows {
    rows: RowIter<'static>,
    columns: Vec<String>,
    times: Vec<Option<Time>>,
    number: u64,
    total: u64,
    size: u64,
    name: String,
    count: Count,
}

/// How a column's plain numbers are instants.
#[derive(Clone, Copy)]
struct Time {
    /// Nanoseconds instead of what the field's own type says.
    nanos: bool,
    /// Whether they are UTC; else they are naive, and the import's zone holds.
    utc: bool,
}

impl ParquetRows {
    /// Opens the file at its first row.
    ///
    /// # Errors
    /// `file.missing`, `file.damaged`, `file.empty`.
    pub fn open(source: &Source, count: &Count) -> Result<Self, Problem> {
        let file = File::open(&source.path).map_err(|error| source.broken(&error))?;
        let damaged = |error: &dyn std::fmt::Display| damaged(&source.name, error);
        let reader = SerializedFileReader::new(file).map_err(|error| damaged(&error))?;
        let meta = reader.metadata().file_metadata();
        let fields = meta.schema().get_fields();
        let columns = fields.iter().map(|field| field.name().to_owned()).collect();
        let times = fields
            .iter()
            .map(|field| match field.get_basic_info().logical_type_ref() {
                Some(LogicalType::Timestamp(stamp)) => {
                    let nanos = matches!(stamp.unit, TimeUnit::NANOS);
                    Some(Time { nanos, utc: stamp.is_adjusted_to_u_t_c })
                }
                _ => None,
            })
            .collect();
        let total = u64::try_from(meta.num_rows()).unwrap_or_default();
        Ok(Self {
            rows: RowIter::from_file_into(Box::new(reader)),
            columns,
            times,
            number: 0,
            total,
            size: source.size,
            name: source.name.clone(),
            count: count.clone(),
        })
    }

    /// The names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The next row.
    ///
    /// # Errors
    /// `file.damaged`.
    pub fn next(&mut self, row: &mut Row) -> Result<Step, Problem> {
        row.begin(self.number + 1);
        let Some(next) = self.rows.next() else {
            self.count.set(self.size);
            return Ok(Step::End);
        };
        let next = next.map_err(|error| damaged(&self.name, &error))?;
        self.number += 1;
        // The crate does not say where it stands on disk: the share of the rows stands for it.
        self.count
            .set((u128::from(self.size) * u128::from(self.number) / u128::from(self.total.max(1))) as u64);
        for ((_, field), time) in next.get_column_iter().zip(&self.times) {
            row.push(text(field, *time).as_bytes());
            row.end_cell();
        }
        Ok(Step::Row)
    }
}

fn damaged(name: &str, error: &dyn std::fmt::Display) -> Problem {
    Problem::new("file.damaged", format!("the Parquet file cannot be read: {error}"))
        .in_file(name)
        .cure("write it again; nothing was imported from it by this run")
}

fn instant(micros: i64, time: Option<Time>) -> String {
    let at = Timestamp(micros);
    if time.is_none_or(|time| time.utc) { at.to_string() } else { at.civil(&Zone::UTC).to_string() }
}

fn number(value: f64) -> String {
    // Floats come from data frames: what is an amount is rounded to four decimals, as JSON's floats are.
    Amount::from_f64(value).map_or_else(|_| value.to_string(), |amount| amount.to_string())
}

fn text(field: &Field, time: Option<Time>) -> String {
    match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).into_owned(),
        Field::Long(nanos) if time.is_some_and(|time| time.nanos) => instant(nanos / 1_000, time),
        Field::TimestampMicros(micros) => instant(*micros, time),
        Field::TimestampMillis(millis) => instant(millis.saturating_mul(1_000), time),
        Field::Date(days) => format_date(*days),
        Field::Float(value) => number(f64::from(*value)),
        Field::Double(value) => number(*value),
        Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) => json(field).to_string(),
        Field::Bool(_)
        | Field::Byte(_)
        | Field::Short(_)
        | Field::Int(_)
        | Field::Long(_)
        | Field::UByte(_)
        | Field::UShort(_)
        | Field::UInt(_)
        | Field::ULong(_)
        | Field::Float16(_)
        | Field::Decimal(_)
        | Field::TimeMillis(_)
        | Field::TimeMicros(_) => field.to_string(),
    }
}

fn json(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::Bool(*value),
        Field::Group(group) => {
            Value::Object(group.get_column_iter().map(|(name, field)| (name.clone(), json(field))).collect())
        }
        Field::ListInternal(list) => Value::Array(list.elements().iter().map(json).collect()),
        Field::MapInternal(map) => {
            Value::Object(map.entries().iter().map(|(key, value)| (text(key, None), json(value))).collect())
        }
        Field::Float(value) => Value::from(f64::from(*value)),
        Field::Double(value) => Value::from(*value),
        Field::Byte(value) => Value::from(*value),
        Field::Short(value) => Value::from(*value),
        Field::Int(value) => Value::from(*value),
        Field::Long(value) => Value::from(*value),
        Field::UByte(value) => Value::from(*value),
        Field::UShort(value) => Value::from(*value),
        Field::UInt(value) => Value::from(*value),
        Field::ULong(value) => Value::from(*value),
        other => Value::String(text(other, None)),
    }
}
