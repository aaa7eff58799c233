//! What the user says about a file: which column is which field, and how its values are to be read. From the command
//! line, or from a mapping file (YAML or JSON).

use std::borrow::Cow;

use model::{Currency, Problem, Problems, Zone, doc};

use crate::mapping::{self, Kind};

/// How texts are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// Windows-1252, of which ISO 8859-1 (latin1) is a part.
    Windows1252,
}

/// Windows-1252 in 0x80–0x9f; undefined bytes are the control characters of latin1.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

impl Encoding {
    /// Reads a name.
    ///
    /// # Errors
    /// `encoding.unknown`.
    pub fn parse(name: &str) -> Result<Self, Problem> {
        match name.to_ascii_lowercase().replace('_', "-").as_str() {
            "utf-8" | "utf8" => Ok(Self::Utf8),
            "latin1" | "latin-1" | "iso-8859-1" | "iso8859-1" | "windows-1252" | "cp1252" => {
                Ok(Self::Windows1252)
            }
            _ => Err(Problem::new("encoding.unknown", format!("`{name}` is no encoding that is known here"))
                .value(name)
                .cure("use utf-8, latin1 or windows-1252")),
        }
    }

    /// The text of bytes.
    ///
    /// # Errors
    /// `text.encoding`.
    pub fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, Problem> {
        match (self, std::str::from_utf8(bytes)) {
            (_, Ok(text)) if self == Self::Utf8 || bytes.is_ascii() => Ok(Cow::Borrowed(text)),
            (Self::Windows1252, _) => Ok(Cow::Owned(
                bytes
                    .iter()
                    .map(|byte| match byte {
                        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
                        _ => char::from(*byte),
                    })
                    .collect(),
            )),
            (Self::Utf8, _) => Err(Problem::new("text.encoding", "the text is not UTF-8")
                .value(String::from_utf8_lossy(bytes))
                .cure("if the file is Western European, import it with --encoding latin1")),
        }
    }
}

/// How a file names contacts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// By the shop's own id.
    #[default]
    ExternalId,
    /// By email address.
    Email,
}

impl KeyKind {
    /// Reads a name.
    ///
    /// # Errors
    /// `contact_key.unknown`.
    pub fn parse(name: &str) -> Result<Self, Problem> {
        match name {
            "external_id" => Ok(Self::ExternalId),
            "email" => Ok(Self::Email),
            _ => Err(Problem::new("contact_key.unknown", format!("contacts cannot be known by `{name}`"))
                .value(name)
                .suggest(name, ["external_id", "email"])),
        }
    }
}

/// What a line or an order with a negative quantity or total is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Negative {
    /// Something given back.
    #[default]
    Refund,
    /// A mistake: the row is rejected.
    Reject,
}

/// What becomes of lines whose price is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FreeLines {
    /// They are lines like others.
    #[default]
    Keep,
    /// They are no sales (corrections of the stock, say) and are left out.
    LeaveOut,
}

/// What becomes of an order of which a row was rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Incomplete {
    /// It is imported without that row.
    #[default]
    Import,
    /// All of its rows are rejected, so that it comes in whole once the file is mended.
    Hold,
}

/// Everything about a file that its content does not say.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// What its rows are.
    pub kind: Kind,
    /// Fields with their columns; the others are found by name.
    pub columns: Vec<(String, String)>,
    /// Currency of amounts in rows without one; the workspace's when none is given.
    pub currency: Option<Currency>,
    /// Zone of naive times.
    pub zone: Zone,
    /// Name of the zone.
    pub zone_name: String,
    /// How contacts are named.
    pub contact_key: KeyKind,
    /// How texts are written.
    pub encoding: Encoding,
    /// What separates cells; found in the header when none is given.
    pub delimiter: Option<u8>,
    /// Whether amounts have a decimal comma (and blanks or points between thousands).
    pub decimal_comma: bool,
    /// How dates are written, in strptime's letters; ISO 8601 when none is given.
    pub date_format: Option<String>,
    /// Orders whose id begins with this are cancellations.
    pub cancellation_prefix: Option<String>,
    /// What negative quantities are.
    pub negative: Negative,
    /// What becomes of lines without a price.
    pub free_lines: FreeLines,
    /// What becomes of orders with a rejected row.
    pub incomplete: Incomplete,
    /// Codes that are no products (postage, say); `*` at the end stands for anything.
    pub service_codes: Vec<String>,
    /// Whether it happens now: journeys and segments hear of everything new in it. A file of the past only fills the base.
    pub live: bool,
}

impl Options {
    /// What holds when nothing is said.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            columns: Vec::new(),
            currency: None,
            zone: Zone::UTC,
            zone_name: "UTC".to_owned(),
            contact_key: KeyKind::default(),
            encoding: Encoding::default(),
            delimiter: None,
            decimal_comma: false,
            date_format: None,
            cancellation_prefix: None,
            negative: Negative::default(),
            free_lines: FreeLines::default(),
            incomplete: Incomplete::default(),
            service_codes: Vec::new(),
            live: false,
        }
    }

    /// Sets the zone of naive times by its name.
    ///
    /// # Errors
    /// `zone.unknown`.
    pub fn set_zone(&mut self, name: &str) -> Result<(), Problem> {
        self.zone = Zone::parse(name)?;
        name.clone_into(&mut self.zone_name);
        Ok(())
    }

    /// Sets the separator: one character, or the word `tab`.
    ///
    /// # Errors
    /// `delimiter.invalid`.
    pub fn set_delimiter(&mut self, text: &str) -> Result<(), Problem> {
        self.delimiter = match text.as_bytes() {
            b"tab" | b"\\t" => Some(b'\t'),
            [byte] if !matches!(byte, b'"' | b'\n' | b'\r') && byte.is_ascii() => Some(*byte),
            _ => {
                return Err(Problem::new("delimiter.invalid", format!("`{text}` cannot separate cells"))
                    .value(text)
                    .cure("give one character, as in `;`, or the word tab"));
            }
        };
        Ok(())
    }

    /// Adds `field=column,…`; a field that stands already gets the new column.
    ///
    /// # Errors
    /// `mapping.syntax`, `mapping.unknown_field`.
    pub fn add_map(&mut self, text: &str) -> Result<(), Problem> {
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((field, column)) = part.split_once('=') else {
                return Err(Problem::new("mapping.syntax", format!("`{part}` is not field=column"))
                    .field("--map")
                    .value(part)
                    .cure("write it as in --map order_id=InvoiceNo,contact=CustomerID"));
            };
            self.add_column(field.trim(), column.trim()).map_err(|problem| problem.field("--map"))?;
        }
        Ok(())
    }

    fn add_column(&mut self, field: &str, column: &str) -> Result<(), Problem> {
        mapping::check_field(self.kind, field)?;
        self.columns.retain(|(known, _)| known != field);
        self.columns.push((field.to_owned(), column.to_owned()));
        Ok(())
    }

    /// Takes over a mapping file.
    ///
    /// # Errors
    /// Everything that is wrong in it, with places.
    pub fn read_mapping(&mut self, text: &str) -> Result<(), Problems> {
        let root = doc::parse(text).map_err(|problem| vec![problem])?;
        let mut fields = root.fields("").map_err(|problem| vec![problem])?;
        let mut problems = Problems::new();
        if let Err(problem) = self.read_keys(&mut fields, &mut problems) {
            problems.push(problem);
        }
        problems.extend(fields.finish());
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn read_keys(&mut self, fields: &mut doc::Fields<'_>, problems: &mut Problems) -> Result<(), Problem> {
        if let Some(node) = fields.optional("format")
            && node.integer() != Some(1)
        {
            problems.push(node.problem("mapping.format", "only format 1 is known").field("format"));
        }
        one_of(fields, "kind", Kind::WORDS, problems, |index| {
            (Kind::ALL[index] == self.kind)
                .then_some(())
                .ok_or_else(|| format!("this mapping is not for {}", self.kind.word()))
        });
        if let Some(node) = fields.optional("columns") {
            match node.entries() {
                Some(entries) => {
                    for entry in entries {
                        let added = match entry.value.scalar() {
                            Some(column) => self.add_column(&entry.key, &column),
                            None => Err(entry.value.problem("doc.type", "expected the name of a column")),
                        };
                        problems.extend(
                            added.err().map(|p| p.field(format!("columns.{}", entry.key)).at(entry.place)),
                        );
                    }
                }
                None => problems
                    .push(node.problem("doc.type", "expected fields with their columns").field("columns")),
            }
        }
        text(fields, "currency", problems, |text| {
            self.currency = Some(Currency::parse(text)?);
            Ok(())
        });
        text(fields, "timezone", problems, |name| self.set_zone(name));
        text(fields, "contact_key", problems, |name| {
            self.contact_key = KeyKind::parse(name)?;
            Ok(())
        });
        text(fields, "encoding", problems, |name| {
            self.encoding = Encoding::parse(name)?;
            Ok(())
        });
        text(fields, "delimiter", problems, |text| self.set_delimiter(text));
        text(fields, "date_format", problems, |text| {
            self.date_format = Some(text.to_owned());
            Ok(())
        });
        one_of(fields, "decimal", &[".", ","], problems, |index| {
            self.decimal_comma = index == 1;
            Ok(())
        });
        text(fields, "cancellation_prefix", problems, |text| {
            self.cancellation_prefix = Some(text.to_owned()).filter(|prefix| !prefix.is_empty());
            Ok(())
        });
        one_of(fields, "negative", &["refund", "reject"], problems, |index| {
            self.negative = [Negative::Refund, Negative::Reject][index];
            Ok(())
        });
        one_of(fields, "free_lines", &["keep", "leave_out"], problems, |index| {
            self.free_lines = [FreeLines::Keep, FreeLines::LeaveOut][index];
            Ok(())
        });
        one_of(fields, "incomplete_orders", &["import", "hold"], problems, |index| {
            self.incomplete = [Incomplete::Import, Incomplete::Hold][index];
            Ok(())
        });
        if let Some(node) = fields.optional("service_codes") {
            match node.items() {
                Some(items) => self.service_codes.extend(items.iter().filter_map(doc::Node::scalar)),
                None => {
                    problems.push(node.problem("doc.type", "expected a list of codes").field("service_codes"))
                }
            }
        }
        Ok(())
    }

    /// Everything that decides what the file's rows become, as one text: part of the checkpoint's key.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!(
            "1|{:?}|{:?}|{:?}|{}|{:?}|{:?}|{:?}|{}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}",
            self.kind,
            self.columns,
            self.currency,
            self.zone_name,
            self.contact_key,
            self.encoding,
            self.delimiter,
            self.decimal_comma,
            self.date_format,
            self.cancellation_prefix,
            self.negative,
            self.free_lines,
            self.incomplete,
            self.service_codes
        )
    }
}

/// Reads an optional text; what the reader says is put at the text's place.
fn text(
    fields: &mut doc::Fields<'_>,
    key: &'static str,
    problems: &mut Problems,
    mut read: impl FnMut(&str) -> Result<(), Problem>,
) {
    let Some(node) = fields.optional(key) else { return };
    let result = match node.text() {
        Some(text) => read(text),
        None => Err(node.problem("doc.type", format!("expected a text, found {}", node.kind()))),
    };
    problems.extend(result.err().map(|problem| problem.field(key).at(node.place)));
}

/// Reads an optional word out of a few.
fn one_of(
    fields: &mut doc::Fields<'_>,
    key: &'static str,
    words: &[&str],
    problems: &mut Problems,
    mut read: impl FnMut(usize) -> Result<(), String>,
) {
    text(fields, key, problems, |text| match words.iter().position(|word| *word == text) {
        Some(index) => read(index).map_err(|message| Problem::new("mapping.value", message).value(text)),
        None => Err(Problem::new("mapping.value", format!("`{text}` is not known here"))
            .value(text)
            .suggest(text, words.iter().copied())),
    });
}
