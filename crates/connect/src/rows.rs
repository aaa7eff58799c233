//! The rows of a file of any form.

use model::Problem;

use crate::{
    csv::CsvRows,
    jsonl::JsonRows,
    options::Options,
    row::{Row, Step},
    source::{Count, Form, Source},
};

/// Reads rows one after the other.
pub enum Rows {
    /// Separated values.
    Csv(CsvRows),
    /// JSON Lines.
    Json(JsonRows),
    /// Parquet.
    #[cfg(feature = "parquet")]
    Parquet(crate::parquet::ParquetRows),
}

impl Rows {
    /// Opens the file at its first row.
    ///
    /// # Errors
    /// `parquet.missing` when this program was built without the feature; what makes the file unreadable.
    pub fn open(source: &Source, options: &Options, count: &Count) -> Result<Self, Problem> {
        match source.form {
            Form::Csv => {
                let decode = |bytes: &[u8]| options.encoding.decode(bytes).ok().map(|text| text.into_owned());
                let input = source.read(count)?;
                Ok(Self::Csv(CsvRows::open(source, input, options.delimiter, decode)?))
            }
            Form::JsonLines => {
                let wanted: Vec<String> = options.columns.iter().map(|(_, column)| column.clone()).collect();
                Ok(Self::Json(JsonRows::open(source, || source.read(count), options.encoding, &wanted)?))
            }
            #[cfg(feature = "parquet")]
            Form::Parquet => Ok(Self::Parquet(crate::parquet::ParquetRows::open(source, count)?)),
            #[cfg(not(feature = "parquet"))]
            Form::Parquet => Err(Problem::new("parquet.missing", "this program was built without Parquet")
                .in_file(&source.name)
                .cure("build it with `cargo build --release --features parquet`, or give CSV")),
        }
    }

    /// The names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        match self {
            Self::Csv(rows) => rows.columns(),
            Self::Json(rows) => rows.columns(),
            #[cfg(feature = "parquet")]
            Self::Parquet(rows) => rows.columns(),
        }
    }

    /// The next row.
    ///
    /// # Errors
    /// What makes the rest of the file unreadable.
    pub fn next(&mut self, row: &mut Row) -> Result<Step, Problem> {
        match self {
            Self::Csv(rows) => rows.next(row),
            Self::Json(rows) => rows.next(row),
            #[cfg(feature = "parquet")]
            Self::Parquet(rows) => rows.next(row),
        }
    }
}
