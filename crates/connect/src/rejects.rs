//! The file of rejected rows: row, field, column, value, code, reason, cure.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use model::Problem;

/// A row that was not taken over, or not wholly.
#[derive(Clone, Debug, PartialEq)]
pub struct Reject {
    /// The line of the file on which it begins.
    pub row: u64,
    /// Why.
    pub problem: Problem,
}

/// The file's first line.
pub const HEADER: &str = "row,field,column,value,code,reason,cure";

/// Writes rejected rows; the file is made with the first of them.
pub struct Rejects {
    path: PathBuf,
    fallback: Option<PathBuf>,
    /// (field, column)
    columns: Vec<(String, String)>,
    file: Option<io::BufWriter<File>>,
    bytes: u64,
}

impl Rejects {
    /// Writes to `path`, or to `fallback` where that cannot be written. `resume`: bytes of the file that are kept (none:
    /// a file that was left by an earlier import is removed).
    ///
    /// # Errors
    /// `rejects.unwritable`.
    pub fn new(
        path: &Path,
        fallback: Option<&Path>,
        columns: Vec<(String, String)>,
        resume: u64,
    ) -> Result<Self, Problem> {
        let mut rejects = Self {
            path: path.to_path_buf(),
            fallback: fallback.map(Path::to_path_buf),
            columns,
            file: None,
            bytes: 0,
        };
        if resume > 0 {
            rejects.reopen(resume)?;
        } else {
            remove_ours(path);
            fallback.into_iter().for_each(remove_ours);
        }
        Ok(rejects)
    }

    fn reopen(&mut self, keep: u64) -> Result<(), Problem> {
        let candidates: Vec<PathBuf> = std::iter::once(&self.path).chain(&self.fallback).cloned().collect();
        for path in &candidates {
            let Ok(mut file) = OpenOptions::new().write(true).open(path) else { continue };
            let long_enough = file.metadata().is_ok_and(|meta| meta.len() >= keep);
            if !long_enough {
                continue;
            }
            file.set_len(keep)
                .and_then(|()| file.seek(SeekFrom::End(0)).map(drop))
                .map_err(|error| unwritable(path, &error))?;
            self.path.clone_from(path);
            self.file = Some(io::BufWriter::new(file));
            self.bytes = keep;
            return Ok(());
        }
        // It was taken away in between: what it held is gone, the rest goes into a new one.
        Ok(())
    }

    fn open(&mut self) -> Result<&mut io::BufWriter<File>, Problem> {
        if self.file.is_none() {
            let made = match (File::create(&self.path), &self.fallback) {
                (Ok(file), _) => file,
                (Err(error), None) => return Err(unwritable(&self.path, &error)),
                (Err(_), Some(fallback)) => {
                    let file = File::create(fallback).map_err(|error| unwritable(fallback, &error))?;
                    self.path.clone_from(fallback);
                    file
                }
            };
            self.file = Some(io::BufWriter::new(made));
            self.line(HEADER.to_owned())?;
        }
        match &mut self.file {
            Some(file) => Ok(file),
            None => Err(Problem::new("rejects.unwritable", "the file of rejected rows is closed")),
        }
    }

    fn line(&mut self, mut line: String) -> Result<(), Problem> {
        line.push('\n');
        let path = self.path.clone();
        let file = self.open()?;
        file.write_all(line.as_bytes()).map_err(|error| unwritable(&path, &error))?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Adds a row.
    ///
    /// # Errors
    /// `rejects.unwritable`.
    pub fn add(&mut self, reject: &Reject) -> Result<(), Problem> {
        let problem = &reject.problem;
        let field = problem.field.as_deref().unwrap_or_default();
        let column = self.columns.iter().find(|(name, _)| name == field).map_or("", |(_, column)| column);
        let cells = [
            field,
            column,
            problem.value.as_deref().unwrap_or_default(),
            &problem.code,
            &problem.message,
            problem.cure.as_deref().unwrap_or_default(),
        ];
        let mut line = reject.row.to_string();
        for cell in cells {
            line.push(',');
            push_quoted(&mut line, cell);
        }
        self.line(line)
    }

    /// Puts everything on disk and says how long the file is; 0 while there is none.
    ///
    /// # Errors
    /// `rejects.unwritable`.
    pub fn flush(&mut self) -> Result<u64, Problem> {
        if let Some(file) = &mut self.file {
            file.flush().map_err(|error| unwritable(&self.path, &error))?;
        }
        Ok(self.bytes)
    }

    /// Where it was written, if anything was.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|_| self.path.as_path())
    }
}

/// Control characters are written as escapes, so that every editor opens the file.
fn push_quoted(line: &mut String, cell: &str) {
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if cell.contains(odd) {
        let plain: String = cell
            .chars()
            .map(|c| if odd(c) { c.escape_default().to_string() } else { c.to_string() })
            .collect();
        return push_quoted(line, &plain);
    }
    if cell.contains([',', '"', '\n', '\r']) {
        line.push('"');
        line.push_str(&cell.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(cell);
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Problem {
    Problem::new("rejects.unwritable", format!("rejected rows cannot be written: {error}"))
        .in_file(path.display().to_string())
        .cure("name another file with --rejects FILE, and run the command again")
}

/// Removes the file of an earlier import, and only such a file.
fn remove_ours(path: &Path) {
    let mut start = vec![0; HEADER.len()];
    let ours = File::open(path)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok_and(|()| start == HEADER.as_bytes());
    if ours {
        // If it cannot be removed, the first rejected row says so.
        let _ = std::fs::remove_file(path);
    }
}
