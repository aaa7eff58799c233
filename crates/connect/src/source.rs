//! A file's bytes: found, told apart by their first bytes, unpacked, counted.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use model::Problem;
use sha2::{Digest, Sha256};

/// How the bytes are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// gzip; several members one after the other are one file.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// What the bytes are once unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Separated values with a header.
    Csv,
    /// One JSON object per line.
    JsonLines,
    /// Apache Parquet.
    Parquet,
}

/// A file that can be read several times.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it lies.
    pub path: PathBuf,
    /// What people call it, for messages.
    pub name: String,
    /// Its size on disk, in bytes.
    pub size: u64,
    /// How it is packed.
    pub packing: Packing,
    /// What it holds.
    pub form: Form,
}

/// How many of a file's bytes on disk have been read, readable from another thread.
#[derive(Clone, Debug, Default)]
pub struct Count(Arc<AtomicU64>);

impl Count {
    /// Bytes so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

/// Hexadecimal digits of bytes.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Counts what goes by.
struct Tap {
    file: File,
    count: Count,
}

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.count.0.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// The unpacked bytes of a file, without a UTF-8 byte order mark.
pub struct Bytes(Box<dyn Read + Send>);

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Source {
    /// Looks at a file: `name` is what messages call it.
    ///
    /// # Errors
    /// `file.missing`, `file.directory`, `file.unreadable`, `file.empty`, `file.truncated`, `file.encoding` (UTF-16),
    /// `file.spreadsheet`, `file.binary`, `file.json_array`: each says what to do.
    pub fn open(path: &Path, name: &str) -> Result<Self, Problem> {
        let meta = std::fs::metadata(path).map_err(|error| unreadable(name, &error))?;
        if meta.is_dir() {
            return Err(Problem::new("file.directory", "this is a directory")
                .in_file(name)
                .cure("give one file; import several files one after the other"));
        }
        let mut source = Self {
            path: path.to_path_buf(),
            name: name.to_owned(),
            size: meta.len(),
            packing: Packing::Plain,
            form: Form::Csv,
        };
        source.packing = match source.head(4)?.as_slice() {
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Packing::Zstd,
            _ => Packing::Plain,
        };
        let head = source.head(4096)?;
        source.form = source.form_of(&head)?;
        Ok(source)
    }

    fn head(&self, bytes: u64) -> Result<Vec<u8>, Problem> {
        let mut head = Vec::new();
        let file = File::open(&self.path).map_err(|error| unreadable(&self.name, &error))?;
        let tap = Tap { file, count: Count::default() };
        self.unpack(tap)
            .and_then(|reader| reader.take(bytes).read_to_end(&mut head))
            .map_err(|error| self.broken(&error))?;
        Ok(head)
    }

    fn form_of(&self, head: &[u8]) -> Result<Form, Problem> {
        let problem =
            |code, message: &str, cure: &str| Err(Problem::new(code, message).in_file(&self.name).cure(cure));
        if head.starts_with(b"PAR1") {
            return if self.packing == Packing::Plain {
                Ok(Form::Parquet)
            } else {
                problem("file.packed_parquet", "a Parquet file inside a compressed file", "unpack it first")
            };
        }
        if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
            return problem("file.encoding", "the file is UTF-16", "save it as UTF-8");
        }
        if head.starts_with(b"PK\x03\x04") || head.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
            return problem(
                "file.spreadsheet",
                "this is a spreadsheet or a zip archive",
                "save the sheet as CSV (UTF-8), or unpack the archive",
            );
        }
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None if head.len() < 4096 => problem("file.empty", "the file is empty", "check how it was made"),
            Some(b'{') => Ok(Form::JsonLines),
            Some(b'[') => problem(
                "file.json_array",
                "the file is one JSON array",
                "write one object per line (JSON Lines), as `jq -c '.[]'` does",
            ),
            _ if text
                .iter()
                .take_while(|byte| **byte != b'\n')
                .any(|byte| *byte < 32 && !b"\t\r".contains(byte)) =>
            {
                problem("file.binary", "this is no text file", "give CSV, JSON Lines or Parquet")
            }
            _ => Ok(Form::Csv),
        }
    }

    /// Opens it for reading. `count` follows the bytes on disk.
    ///
    /// # Errors
    /// `file.missing`, `file.unreadable`.
    pub fn read(&self, count: &Count) -> Result<Bytes, Problem> {
        count.set(0);
        let file = File::open(&self.path).map_err(|error| unreadable(&self.name, &error))?;
        let mut reader =
            self.unpack(Tap { file, count: count.clone() }).map_err(|error| self.broken(&error))?;
        let mut start = Vec::with_capacity(3);
        reader.by_ref().take(3).read_to_end(&mut start).map_err(|error| self.broken(&error))?;
        if start == b"\xef\xbb\xbf" {
            start.clear();
        }
        Ok(Bytes(Box::new(io::Cursor::new(start).chain(reader))))
    }

    /// The SHA-256 of the bytes on disk, as hexadecimal digits.
    ///
    /// # Errors
    /// `file.missing`, `file.unreadable`.
    pub fn hash(&self) -> Result<String, Problem> {
        let mut file = File::open(&self.path).map_err(|error| unreadable(&self.name, &error))?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 18];
        loop {
            match file.read(&mut buffer).map_err(|error| unreadable(&self.name, &error))? {
                0 => return Ok(hex(&hash.finalize())),
                read => hash.update(&buffer[..read]),
            }
        }
    }

    fn unpack(&self, tap: Tap) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self.packing {
            Packing::Plain => Box::new(tap),
            Packing::Gzip => {
                Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(1 << 17, tap)))
            }
            Packing::Zstd => Box::new(zstd::stream::read::Decoder::new(tap)?),
        })
    }

    /// What an error while reading means.
    #[must_use]
    pub fn broken(&self, error: &io::Error) -> Problem {
        let packed = self.packing != Packing::Plain;
        let problem = match error.kind() {
            io::ErrorKind::UnexpectedEof if packed => {
                Problem::new("file.truncated", "the compressed file ends too early")
                    .cure("fetch it again; nothing was imported from it by this run")
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound => {
                return unreadable(&self.name, error);
            }
            _ if packed => Problem::new("file.damaged", format!("the compressed file is damaged: {error}"))
                .cure("fetch it again; nothing was imported from it by this run"),
            _ => Problem::new("file.unreadable", format!("cannot be read: {error}")),
        };
        problem.in_file(&self.name)
    }
}

fn unreadable(name: &str, error: &io::Error) -> Problem {
    if error.kind() == io::ErrorKind::NotFound {
        return Problem::new("file.missing", "there is no such file")
            .in_file(name)
            .cure("check the path; `-` reads from standard input");
    }
    Problem::new("file.unreadable", format!("cannot be read: {error}")).in_file(name)
}
