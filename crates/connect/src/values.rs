//! From the text of a cell to a value, or to a problem that names field, value and cure.

use std::borrow::Cow;

use model::{Amount, Problem, Slug, Timestamp};

use crate::{options::Options, row::Row};

/// Longest id of an order, contact, product or message, in bytes.
pub const ID_LEN_MAX: usize = 255;
/// Longest text of any other kind, in characters.
pub const TEXT_LEN_MAX: usize = 10_000;
/// Longest description of a product, in characters.
pub const DESCRIPTION_LEN_MAX: usize = 100_000;
/// Greatest quantity of one line.
pub const QUANTITY_MAX: i64 = 1_000_000_000;
/// Most items of one order, entries of one list.
pub const ITEMS_MAX: usize = 10_000;

/// Reads the cells of a row as the options say.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    /// The row.
    pub row: &'a Row,
    /// How it is written.
    pub options: &'a Options,
    /// The latest instant that can be true.
    pub latest: Timestamp,
}

/// Of a cell.
pub type Result<T> = std::result::Result<T, Problem>;

impl<'a> Values<'a> {
    /// The bytes of a cell without outer blanks.
    #[must_use]
    pub fn raw(&self, slot: Option<usize>) -> &'a [u8] {
        slot.map_or(&[], |index| self.row.cell(index).trim_ascii())
    }

    fn decoded(&self, slot: Option<usize>, field: &str) -> Result<Option<Cow<'a, str>>> {
        let raw = self.raw(slot);
        if raw.is_empty() {
            return Ok(None);
        }
        let text = self.options.encoding.decode(raw).map_err(|problem| problem.field(field))?;
        Ok(Some(text))
    }

    /// A text of at most so many characters; none when the cell is empty. Control characters other than line ends and
    /// tabs are refused.
    ///
    /// # Errors
    /// `text.encoding`, `text.control`, `text.too_long`.
    pub fn text_of(&self, slot: Option<usize>, field: &str, most: usize) -> Result<Option<String>> {
        let Some(text) = self.decoded(slot, field)? else { return Ok(None) };
        check_text(&text, field, most)?;
        Ok(Some(text.into_owned()))
    }

    /// A text of at most [`TEXT_LEN_MAX`] characters.
    ///
    /// # Errors
    /// As [`Values::text_of`].
    pub fn text(&self, slot: Option<usize>, field: &str) -> Result<Option<String>> {
        self.text_of(slot, field, TEXT_LEN_MAX)
    }

    /// An id: a text of at most [`ID_LEN_MAX`] bytes on one line.
    ///
    /// # Errors
    /// As [`Values::text_of`], and `id.invalid`.
    pub fn id(&self, slot: Option<usize>, field: &str) -> Result<Option<Cow<'a, str>>> {
        let Some(text) = self.decoded(slot, field)? else { return Ok(None) };
        if text.len() > ID_LEN_MAX || text.chars().any(char::is_control) {
            return Err(Problem::new(
                "id.invalid",
                format!("an id has at most {ID_LEN_MAX} bytes and no control characters"),
            )
            .field(field)
            .value(text)
            .cure("is this the right column?"));
        }
        Ok(Some(text))
    }

    /// An id that must be there.
    ///
    /// # Errors
    /// As [`Values::id`], and `value.missing`.
    pub fn required_id(&self, slot: Option<usize>, field: &'static str) -> Result<Cow<'a, str>> {
        self.id(slot, field)?.ok_or_else(|| missing(field))
    }

    /// An amount; more than four decimals (floats that were written out) are rounded to four.
    ///
    /// # Errors
    /// `amount.invalid`, `amount.too_large`.
    pub fn amount(&self, slot: Option<usize>, field: &str) -> Result<Option<Amount>> {
        let Some(text) = self.decoded(slot, field)? else { return Ok(None) };
        let text = if self.options.decimal_comma { Cow::Owned(with_point(&text)) } else { text };
        amount(&text).map(Some).map_err(|problem| problem.field(field))
    }

    /// A whole number; `6.0` is one.
    ///
    /// # Errors
    /// `number.invalid`.
    pub fn integer(&self, slot: Option<usize>, field: &str) -> Result<Option<i64>> {
        let Some(text) = self.decoded(slot, field)? else { return Ok(None) };
        if let Ok(number) = text.parse() {
            return Ok(Some(number));
        }
        let amount = if self.options.decimal_comma { with_point(&text) } else { text.to_string() };
        match Amount::parse(&amount) {
            Ok(amount) if amount.0 % Amount::SCALE == 0 => Ok(Some(amount.0 / Amount::SCALE)),
            _ => Err(Problem::new("number.invalid", format!("`{text}` is not a whole number"))
                .field(field)
                .value(text)
                .cure("write a whole number, as in 6")),
        }
    }

    /// How many of something: a whole number between ±[`QUANTITY_MAX`], not zero.
    ///
    /// # Errors
    /// `number.invalid`, `quantity.out_of_range`, `value.missing`.
    pub fn quantity(&self, slot: Option<usize>) -> Result<i64> {
        let quantity = self.integer(slot, "quantity")?.ok_or_else(|| missing("quantity"))?;
        check_quantity(quantity)
    }

    /// An instant.
    ///
    /// # Errors
    /// `time.invalid`, `time.out_of_range`, `time.future` when it lies after what can be true.
    pub fn time(&self, slot: Option<usize>, field: &str) -> Result<Option<Timestamp>> {
        let Some(text) = self.decoded(slot, field)? else { return Ok(None) };
        let at = match &self.options.date_format {
            None => Timestamp::parse(&text, &self.options.zone),
            Some(format) => by_format(&text, format, self.options),
        };
        let at = at.map_err(|problem| problem.field(field))?;
        if at > self.latest {
            return Err(Problem::new("time.future", format!("`{text}` lies in the future"))
                .field(field)
                .value(text)
                .cure("check the column, its format and --timezone"));
        }
        Ok(Some(at))
    }

    /// True or false.
    ///
    /// # Errors
    /// `boolean.invalid`.
    pub fn boolean(&self, slot: Option<usize>, field: &str) -> Result<Option<bool>> {
        let Some(text) = self.decoded(slot, field)? else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "y" | "t" => Ok(Some(true)),
            "false" | "0" | "no" | "n" | "f" => Ok(Some(false)),
            _ => Err(Problem::new("boolean.invalid", format!("`{text}` is neither true nor false"))
                .field(field)
                .value(text)
                .cure("write true or false")),
        }
    }

    /// Texts separated by `|`, or a JSON list of texts.
    ///
    /// # Errors
    /// As [`Values::text_of`]; `list.invalid`.
    pub fn list(&self, slot: Option<usize>, field: &str) -> Result<Option<Vec<String>>> {
        let Some(text) = self.text_of(slot, field, DESCRIPTION_LEN_MAX)? else { return Ok(None) };
        let list: Vec<String> = if text.starts_with('[') {
            serde_json::from_str(&text).map_err(|_| {
                Problem::new("list.invalid", "this is no list of texts")
                    .field(field)
                    .value(&text)
                    .cure("separate the entries with `|`, or write a JSON list of texts")
            })?
        } else {
            text.split('|').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
        };
        if list.len() > ITEMS_MAX {
            return Err(Problem::new("list.too_long", format!("more than {ITEMS_MAX} entries")).field(field));
        }
        Ok(Some(list))
    }

    /// Slugs in a list.
    ///
    /// # Errors
    /// As [`Values::list`]; `slug.invalid`.
    pub fn slugs(&self, slot: Option<usize>, field: &str) -> Result<Vec<Slug>> {
        let texts = self.list(slot, field)?.unwrap_or_default();
        texts.iter().map(|text| Slug::parse(text).map_err(|problem| problem.field(field))).collect()
    }
}

/// A value that must be there is not.
#[must_use]
pub fn missing(field: &str) -> Problem {
    Problem::new("value.missing", format!("{field} is empty"))
        .field(field)
        .cure("fill it in, or leave the row out")
}

/// Whether a quantity can be true.
///
/// # Errors
/// `quantity.out_of_range`.
pub fn check_quantity(quantity: i64) -> Result<i64> {
    if quantity != 0 && quantity.abs() <= QUANTITY_MAX {
        return Ok(quantity);
    }
    Err(Problem::new(
        "quantity.out_of_range",
        format!("{quantity} is not a quantity between 1 and {QUANTITY_MAX} (or the same taken back)"),
    )
    .field("quantity")
    .value(quantity)
    .cure("check the column"))
}

/// Whether a text can be kept.
///
/// # Errors
/// `text.control`, `text.too_long`.
pub fn check_text(text: &str, field: &str, most: usize) -> Result<()> {
    if let Some(control) = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Problem::new(
            "text.control",
            format!("the text holds the control character U+{:04X}", u32::from(control)),
        )
        .field(field)
        .value(text.escape_debug())
        .cure("remove it; is the encoding right?"));
    }
    if text.len() > most && text.chars().count() > most {
        return Err(Problem::new("text.too_long", format!("the text is longer than {most} characters"))
            .field(field)
            .value(text)
            .cure("shorten it"));
    }
    Ok(())
}

/// An amount, rounded to four decimals where a float was written out.
///
/// # Errors
/// `amount.invalid`, `amount.too_large`.
pub fn amount(text: &str) -> Result<Amount> {
    match Amount::parse(text) {
        Err(problem) if problem.code == "amount.too_precise" => {
            let number: f64 = text.trim().parse().map_err(|_| problem)?;
            Amount::from_f64(number).map_err(|problem| problem.value(text))
        }
        other => other,
    }
}

/// `1.234,56` and `1 234,56` with a decimal point.
fn with_point(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '.' | '\''))
        .map(|c| if c == ',' { '.' } else { c })
        .collect()
}

fn by_format(text: &str, format: &str, options: &Options) -> Result<Timestamp> {
    let parsed = jiff::fmt::strtime::parse(format, text).ok().and_then(|broken| {
        if let Ok(at) = broken.to_timestamp() {
            return Some(at.to_string());
        }
        if let Ok(naive) = broken.to_datetime() {
            return Some(naive.to_string());
        }
        broken.to_date().ok().map(|date| date.to_string())
    });
    let Some(iso) = parsed else {
        return Err(Problem::new("time.invalid", format!("`{text}` is not a date as in `{format}`"))
            .value(text)
            .cure("check date_format"));
    };
    Timestamp::parse(&iso, &options.zone).map_err(|problem| problem.value(text))
}
