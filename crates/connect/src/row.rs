//! One row of a file, whatever the file's form: texts in the order of the columns, in one buffer that is used again.

use model::Problem;

/// A row. An empty cell and a missing one are the same.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The line of the file on which it begins (its number for Parquet), from 1; a CSV file's header is line 1.
    pub number: u64,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Row {
    /// Empties it for the row that begins on this line.
    pub fn begin(&mut self, number: u64) {
        self.number = number;
        self.bytes.clear();
        self.ends.clear();
    }

    /// Adds bytes to the cell that is being read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Ends the cell that is being read.
    pub fn end_cell(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// How many cells it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has no cells.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of a cell; empty beyond the end.
    #[must_use]
    pub fn cell(&self, index: usize) -> &[u8] {
        let Some(end) = self.ends.get(index) else { return &[] };
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..*end]
    }

    /// Leaves out the cells from this one on.
    pub fn truncate(&mut self, cells: usize) {
        if let Some(end) = cells.checked_sub(1).and_then(|last| self.ends.get(last)) {
            self.bytes.truncate(*end);
            self.ends.truncate(cells);
        }
    }
}

/// What a reader found next.
#[derive(Debug)]
pub enum Step {
    /// A row: it is in the [`Row`] handed in.
    Row,
    /// A row that cannot be read; the next one can. Its number is in the [`Row`] handed in.
    Bad(Problem),
    /// The end.
    End,
}
