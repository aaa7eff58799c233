//! Separated values. Our own reader, because a file with one open quotation mark must lose one row and not the rest:
//! a row that cannot be read is given up at its first line end, and reading goes on behind it.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter};
use model::Problem;

use crate::{
    row::{Row, Step},
    source::{Bytes, Source},
};

/// Longest row, in bytes. Also how far an open quotation mark is followed.
pub const ROW_LEN_MAX: usize = 1 << 20;
/// Most columns.
pub const COLUMNS_MAX: usize = 2_000;

const CHUNK: usize = 1 << 18;

/// Bytes read ahead, from which rows are cut.
pub struct Ahead {
    input: Bytes,
    source: Source,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Ahead {
    /// Reads ahead of `input`.
    #[must_use]
    pub fn new(input: Bytes, source: Source) -> Self {
        Self { input, source, buffer: Vec::new(), at: 0, ended: false }
    }

    /// What has been read and not yet been taken.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Takes bytes off the front.
    pub fn take(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Reads on. False at the end of the file.
    ///
    /// # Errors
    /// `file.truncated`, `file.damaged`, `file.unreadable`.
    pub fn more(&mut self) -> Result<bool, Problem> {
        if self.ended {
            return Ok(false);
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let filled = self.buffer.len();
        self.buffer.resize(filled + CHUNK, 0);
        let mut read = 0;
        while read < CHUNK / 2 {
            match self.input.read(&mut self.buffer[filled + read..]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(some) => read += some,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.source.broken(&error)),
            }
        }
        self.buffer.truncate(filled + read);
        Ok(read > 0)
    }

    /// Whether the end of the file has been read.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The length of the next line without its end, reading on as needed; none when it is longer than [`ROW_LEN_MAX`].
    ///
    /// # Errors
    /// As [`Ahead::more`].
    pub fn line(&mut self) -> Result<Option<usize>, Problem> {
        let mut looked = 0;
        loop {
            if let Some(end) = memchr(b'\n', &self.rest()[looked..]) {
                return Ok(Some(looked + end).filter(|length| *length <= ROW_LEN_MAX));
            }
            looked = self.rest().len();
            if looked > ROW_LEN_MAX {
                return Ok(None);
            }
            if !self.more()? && self.ended {
                return Ok(Some(looked));
            }
        }
    }

    /// Takes everything up to and with the next line end.
    ///
    /// # Errors
    /// As [`Ahead::more`].
    pub fn skip_line(&mut self) -> Result<(), Problem> {
        loop {
            if let Some(end) = memchr(b'\n', self.rest()) {
                self.take(end + 1);
                return Ok(());
            }
            self.take(self.rest().len());
            if !self.more()? && self.ended {
                return Ok(());
            }
        }
    }
}

/// Rows of a file of separated values.
pub struct CsvRows {
    ahead: Ahead,
    delimiter: u8,
    line: u64,
    columns: Vec<String>,
}

enum Cut {
    /// A row of so many bytes with its line end, on so many lines.
    Row { bytes: usize, lines: u64 },
    /// The bytes read so far end inside the row.
    Short,
    /// The row breaks the rules.
    Bad(Problem),
}

impl CsvRows {
    /// Reads the header. The separator is found in it when none is given: the commonest of `,`, `;`, tab and `|`.
    ///
    /// # Errors
    /// `file.header` when there is none to be read; as [`Ahead::more`].
    pub fn open(
        source: &Source,
        input: Bytes,
        delimiter: Option<u8>,
        decode: impl Fn(&[u8]) -> Option<String>,
    ) -> Result<Self, Problem> {
        let mut ahead = Ahead::new(input, source.clone());
        let wrong =
            |message: &str, cure: &str| Problem::new("file.header", message).in_file(&source.name).cure(cure);
        let Some(length) = ahead.line()? else {
            return Err(wrong("the first line is too long for a header", "check that this is a CSV file"));
        };
        let first = &ahead.rest()[..length];
        if first.trim_ascii_end().contains(&b'\r') {
            return Err(wrong("lines end with CR alone", "save the file with LF or CRLF line ends"));
        }
        let delimiter = delimiter.unwrap_or_else(|| commonest(first));
        let mut rows = Self { ahead, delimiter, line: 1, columns: Vec::new() };
        let mut row = Row::default();
        match rows.cut(&mut row)? {
            Step::Row => {}
            Step::Bad(problem) => return Err(problem.in_file(&source.name)),
            Step::End => {
                return Err(Problem::new("file.empty", "the file is empty")
                    .in_file(&source.name)
                    .cure("check how it was made"));
            }
        }
        if row.len() > COLUMNS_MAX {
            return Err(wrong(&format!("more than {COLUMNS_MAX} columns"), "leave out what is not needed"));
        }
        for cell in 0..row.len() {
            let name = decode(row.cell(cell)).ok_or_else(|| {
                wrong("the header is not UTF-8", "say how it is written, as in --encoding latin1")
            })?;
            rows.columns.push(name.trim().to_owned());
        }
        Ok(rows)
    }

    /// The header.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The next row.
    ///
    /// # Errors
    /// As [`Ahead::more`]: what makes the whole file unreadable.
    pub fn next(&mut self, row: &mut Row) -> Result<Step, Problem> {
        let step = self.cut(row)?;
        if matches!(step, Step::Row) && row.len() != self.columns.len() {
            let (has, wants) = (row.len(), self.columns.len());
            if has > wants && (wants..has).all(|cell| row.cell(cell).trim_ascii().is_empty()) {
                row.truncate(wants);
                return Ok(step);
            }
            return Ok(Step::Bad(
                Problem::new("row.ragged", format!("the row has {has} cells, the header {wants}"))
                    .cure("put cells that hold the separator or a line end into quotation marks"),
            ));
        }
        Ok(step)
    }

    fn cut(&mut self, row: &mut Row) -> Result<Step, Problem> {
        loop {
            row.begin(self.line);
            if self.ahead.rest().is_empty() && !self.ahead.more()? {
                return Ok(Step::End);
            }
            match cut(self.ahead.rest(), self.ahead.ended(), self.delimiter, row) {
                Cut::Row { bytes, lines } => {
                    self.ahead.take(bytes);
                    self.line += lines;
                    if row.len() == 1 && row.cell(0).is_empty() {
                        continue; // a blank line
                    }
                    return Ok(Step::Row);
                }
                Cut::Short if self.ahead.rest().len() <= ROW_LEN_MAX => {
                    self.ahead.more()?;
                }
                Cut::Short => {
                    let problem =
                        Problem::new("row.too_long", format!("the row is longer than {ROW_LEN_MAX} bytes"))
                            .cure("is a quotation mark left open on this line?");
                    return self.give_up(problem);
                }
                Cut::Bad(problem) => return self.give_up(problem),
            }
        }
    }

    fn give_up(&mut self, problem: Problem) -> Result<Step, Problem> {
        self.ahead.skip_line()?;
        self.line += 1;
        Ok(Step::Bad(problem))
    }
}

fn commonest(header: &[u8]) -> u8 {
    let mut best = (0, b',');
    for delimiter in [b',', b';', b'\t', b'|'] {
        let count = memchr_iter(delimiter, header).count();
        if count > best.0 {
            best = (count, delimiter);
        }
    }
    best.1
}

/// Cuts one row off the front. `ended`: nothing follows `bytes`.
fn cut(bytes: &[u8], ended: bool, delimiter: u8, row: &mut Row) -> Cut {
    let line_end = memchr(b'\n', bytes);
    let line = &bytes[..line_end.unwrap_or(bytes.len())];
    if memchr(b'"', line).is_none() {
        if line_end.is_none() && !ended {
            return Cut::Short;
        }
        let cells = line.strip_suffix(b"\r").unwrap_or(line);
        let mut start = 0;
        for end in memchr_iter(delimiter, cells) {
            row.push(&cells[start..end]);
            row.end_cell();
            start = end + 1;
        }
        row.push(&cells[start..]);
        row.end_cell();
        return Cut::Row { bytes: line.len() + usize::from(line_end.is_some()), lines: 1 };
    }
    cut_quoted(bytes, ended, delimiter, row)
}

/// The same for a row with quotation marks in its first line.
fn cut_quoted(bytes: &[u8], ended: bool, delimiter: u8, row: &mut Row) -> Cut {
    let (mut at, mut lines) = (0, 1);
    loop {
        if bytes.get(at) == Some(&b'"') {
            at += 1;
            loop {
                let Some(quote) = memchr(b'"', &bytes[at..]) else {
                    return if ended {
                        Cut::Bad(
                            Problem::new("csv.unclosed_quote", "a quotation mark is opened and never closed")
                                .cure("close it, or write a quotation mark inside a cell twice"),
                        )
                    } else {
                        Cut::Short
                    };
                };
                row.push(&bytes[at..at + quote]);
                lines += memchr_iter(b'\n', &bytes[at..at + quote]).count() as u64;
                at += quote + 1;
                if bytes.get(at) != Some(&b'"') {
                    break;
                }
                row.push(b"\"");
                at += 1;
            }
        } else {
            let length = bytes[at..]
                .iter()
                .position(|byte| *byte == delimiter || *byte == b'\n')
                .unwrap_or(bytes.len() - at);
            let cell = &bytes[at..at + length];
            let last = bytes.get(at + length) != Some(&delimiter);
            row.push(if last { cell.strip_suffix(b"\r").unwrap_or(cell) } else { cell });
            at += length;
        }
        row.end_cell();
        match bytes.get(at) {
            Some(byte) if *byte == delimiter => at += 1,
            Some(b'\n') => return Cut::Row { bytes: at + 1, lines },
            Some(b'\r') if bytes.get(at + 1) == Some(&b'\n') => return Cut::Row { bytes: at + 2, lines },
            None | Some(b'\r') if at + 1 >= bytes.len() => {
                return if ended { Cut::Row { bytes: bytes.len(), lines } } else { Cut::Short };
            }
            _ => {
                return Cut::Bad(
                    Problem::new("csv.quote", "a closing quotation mark is followed by more text")
                        .cure("write a quotation mark inside a cell twice; is one left open before?"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::{Count, Form, Packing};

    fn read(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), Problem> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.csv");
        std::fs::write(&path, bytes).unwrap();
        let source = Source {
            path,
            name: "file.csv".into(),
            size: bytes.len() as u64,
            packing: Packing::Plain,
            form: Form::Csv,
        };
        let input = source.read(&Count::default())?;
        let decode = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let mut rows = CsvRows::open(&source, input, None, decode)?;
        let (mut row, mut found) = (Row::default(), Vec::new());
        loop {
            match rows.next(&mut row)? {
                Step::End => return Ok((rows.columns().to_vec(), found)),
                Step::Bad(problem) => found.push(format!("{}!{}", row.number, problem.code)),
                Step::Row => {
                    let cells: Vec<_> = (0..row.len())
                        .map(|cell| String::from_utf8_lossy(row.cell(cell)).into_owned())
                        .collect();
                    found.push(format!("{}:{}", row.number, cells.join("¦")));
                }
            }
        }
    }

    #[test]
    fn rows_as_they_should_be_and_as_they_come() {
        for (file, rows) in [
            ("a,b\n1,2\n", &["2:1¦2"][..]),
            ("a,b\n1,2", &["2:1¦2"]),
            ("a,b\r\n1,2\r\n\r\n3,\r\n", &["2:1¦2", "4:3¦"]),
            ("\u{feff}a;b\n1,5;2\n", &["2:1,5¦2"]),
            ("a\tb\n\"x\ty\"\tz\n", &["2:x\ty¦z"]),
            ("a,b\n\"1,\"\"x\"\"\n2\",3\n4,5\n", &["2:1,\"x\"\n2¦3", "4:4¦5"]),
            ("a,b\n\"\",\"\"\n", &["2:¦"]),
            ("a,b\n5\" pipe,2\n", &["2:5\" pipe¦2"]),
            ("a,b\n1\n2,3\n4,5,6\n7,8,,\n", &["2!row.ragged", "3:2¦3", "4!row.ragged", "5:7¦8"]),
            // One open quotation mark costs one row, whatever follows.
            ("a,b\n\"1,2\n3,4\n5,6\n", &["2!csv.unclosed_quote", "3:3¦4", "4:5¦6"]),
            ("a,b\n\"1,2\n\"3\",4\n5,6\n", &["2!csv.quote", "3:3¦4", "4:5¦6"]),
            ("a,b\n\"1\"2,3\n4,5\n", &["2!csv.quote", "3:4¦5"]),
            ("a,b\n1,\"2", &["2!csv.unclosed_quote"]),
            ("a\n\n\n1\n", &["4:1"]),
        ] {
            assert_eq!(read(file.as_bytes()).unwrap().1, rows, "{file:?}");
        }
    }

    #[test]
    fn the_length_of_a_row_is_limited_at_the_edge() {
        let file = |length: usize| format!("a,b\n{},\n1,2\n", "x".repeat(length - 1));
        assert_eq!(read(file(ROW_LEN_MAX).as_bytes()).unwrap().1.len(), 2);
        assert!(read(file(ROW_LEN_MAX).as_bytes()).unwrap().1[0].starts_with("2:x"));
        assert_eq!(read(file(ROW_LEN_MAX + CHUNK).as_bytes()).unwrap().1, ["2!row.too_long", "3:1¦2"]);
        let open = format!("a,b\n\"{}\n{}", "x".repeat(10), "1,2\n".repeat(ROW_LEN_MAX / 2));
        let rows = read(open.as_bytes()).unwrap().1;
        assert_eq!((rows[0].as_str(), rows[1].as_str()), ("2!row.too_long", "3:1¦2"));
        assert_eq!(rows.len(), 1 + ROW_LEN_MAX / 2);
    }

    #[test]
    fn headers_that_are_none() {
        for (file, code) in
            [("\n\n", "file.empty"), ("a\rb\r1\r", "file.header"), ("\"a,b\n1,2\n", "csv.unclosed_quote")]
        {
            let problem = read(file.as_bytes()).map(|read| format!("{read:?}")).unwrap_err();
            assert_eq!(problem.code, code, "{file:?}");
        }
    }

    proptest! {
        /// What a careful writer writes is read as it was.
        #[test]
        fn agrees_with_a_careful_writer(rows in prop::collection::vec(prop::collection::vec("[a-z\",;\n\r é]{0,8}", 3), 1..20)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["a", "b", "c"]).unwrap();
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let file = writer.into_inner().unwrap();
            let read = read(&file).unwrap().1;
            let cells: Vec<String> = read.iter().map(|row| row.split_once(':').unwrap().1.to_owned()).collect();
            let wanted: Vec<String> = rows.iter().map(|row| row.join("¦")).collect();
            prop_assert_eq!(cells, wanted);
        }

        /// Any bytes are read to the end, with the numbers of rows rising.
        #[test]
        fn survives_anything(bytes in prop::collection::vec(prop::sample::select(b"a,\"\n\r;\xff\0".to_vec()), 0..200)) {
            let mut file = b"a,b\n".to_vec();
            file.extend(bytes);
            let rows = read(&file).unwrap().1;
            let numbers: Vec<u64> =
                rows.iter().map(|row| row.split([':', '!']).next().unwrap().parse().unwrap()).collect();
            prop_assert!(numbers.is_sorted_by(|a, b| a < b), "{:?}", rows);
        }
    }
}
