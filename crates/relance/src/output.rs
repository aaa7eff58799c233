//! Printing lists: aligned columns, JSON, CSV. Results go to standard output; progress and messages to standard error.

use std::io::{self, Write};

use crate::context::Format;

/// A list to print: column names, and rows of texts.
pub struct Listing {
    /// Column names, as in the CSV header.
    pub columns: Vec<&'static str>,
    /// Rows, one text per column.
    pub rows: Vec<Vec<String>>,
    /// Columns whose texts are numbers: right-aligned, and numbers in JSON.
    pub numeric: Vec<bool>,
}

impl Listing {
    /// A list with these columns; those in `numeric` hold numbers.
    #[must_use]
    pub fn new(columns: &[&'static str], numeric: &[&str]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
            numeric: columns.iter().map(|column| numeric.contains(column)).collect(),
        }
    }

    /// Prints it to standard output.
    ///
    /// # Errors
    /// What the writer says.
    pub fn print(&self, format: Format) -> io::Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        self.write(format, &mut out)?;
        out.flush()
    }

    /// Writes it.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, format: Format, out: &mut impl Write) -> io::Result<()> {
        match format {
            Format::Table => self.write_table(out),
            Format::Csv => self.write_csv(out),
            Format::Json => self.write_json(out),
        }
    }

    fn write_table(&self, out: &mut impl Write) -> io::Result<()> {
        let mut widths: Vec<usize> = self.columns.iter().map(|c| c.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let header: Vec<String> = self.columns.iter().map(|c| (*c).to_owned()).collect();
        for row in std::iter::once(&header).chain(&self.rows) {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .zip(&self.numeric)
                .map(
                    |((cell, width), numeric)| {
                        if *numeric { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                    },
                )
                .collect();
            writeln!(out, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }

    fn write_csv(&self, out: &mut impl Write) -> io::Result<()> {
        let quoted = |cell: &str| {
            if cell.contains([',', '"', '\n', '\r']) {
                format!("\"{}\"", cell.replace('"', "\"\""))
            } else {
                cell.to_owned()
            }
        };
        writeln!(out, "{}", self.columns.join(","))?;
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
            writeln!(out, "{}", cells.join(","))?;
        }
        Ok(())
    }

    fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let rows: Vec<serde_json::Value> = self
            .rows
            .iter()
            .map(|row| {
                let object =
                    self.columns.iter().zip(row).zip(&self.numeric).map(|((column, cell), numeric)| {
                        let number = numeric.then(|| cell.parse::<serde_json::Number>().ok()).flatten();
                        let value = match number {
                            Some(number) => serde_json::Value::Number(number),
                            None if *numeric && cell.is_empty() => serde_json::Value::Null,
                            None => serde_json::Value::String(cell.clone()),
                        };
                        ((*column).to_owned(), value)
                    });
                serde_json::Value::Object(object.collect())
            })
            .collect();
        serde_json::to_writer_pretty(&mut *out, &rows)?;
        writeln!(out)
    }
}
