//! The first pass over a file: can all of it be unpacked and cut into rows, how many are there, and which row is the
//! last of its order? A file that breaks off is refused here, before anything is imported. The second pass may close an
//! order at its last line, wherever that stands, and need not keep the whole file.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use model::Problem;

use crate::{
    mapping::{Kind, Mapping},
    options::Options,
    row::{Row, Step},
    rows::Rows,
    source::{Count, Source},
};

/// What the first pass found.
#[derive(Debug, Default)]
pub struct Survey {
    /// Rows, those that cannot be read among them.
    pub rows: u64,
    last: Vec<u64>,
}

impl Survey {
    /// Whether this row (counted from 0) is the last of its order.
    #[must_use]
    pub fn is_last(&self, row: u64) -> bool {
        self.last.get((row / 64) as usize).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
}

/// What tells which order or cart a line belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grouping {
    /// Column of the order's id.
    pub id: Option<usize>,
    /// Column of the contact.
    pub contact: Option<usize>,
    /// Column of the time.
    pub at: Option<usize>,
}

impl Grouping {
    /// The columns that tell, if rows are lines of orders or carts.
    #[must_use]
    pub fn of(kind: Kind, mapping: &Mapping) -> Option<Self> {
        let slot = |name| mapping.slot(kind, name);
        match kind {
            Kind::Orders => {
                slot("product")?;
                Some(Self { id: slot("order_id"), contact: slot("contact"), at: slot("ordered_at") })
            }
            Kind::Carts => slot("product").map(|_| Self { id: slot("cart_id"), contact: None, at: None }),
            _ => None,
        }
    }

    /// Writes the key of the order that a row belongs to: its id, else its contact and time together. False when the
    /// row is an order of its own: it says neither.
    pub fn key(&self, row: &Row, key: &mut Vec<u8>) -> bool {
        key.clear();
        let cell = |column: Option<usize>| column.map_or(&[][..], |index| row.cell(index).trim_ascii());
        let id = cell(self.id);
        if !id.is_empty() {
            key.push(b'i');
            key.extend_from_slice(id);
            return true;
        }
        let contact = cell(self.contact);
        if contact.is_empty() {
            return false;
        }
        key.push(b'c');
        key.extend_from_slice(contact);
        key.push(0x1f);
        key.extend_from_slice(cell(self.at));
        true
    }
}

/// Reads the whole file once.
///
/// # Errors
/// `file.truncated`, `file.damaged`, `file.unreadable`.
pub fn survey(
    source: &Source,
    options: &Options,
    grouping: Option<Grouping>,
    count: &Count,
    mut tell: impl FnMut(u64),
) -> Result<Survey, Problem> {
    let mut rows = Rows::open(source, options, count)?;
    let (mut row, mut key) = (Row::default(), Vec::new());
    let mut last: HashMap<u64, u64> = HashMap::new();
    let mut survey = Survey::default();
    // Orders mostly stand together: the map is asked only when the order changes.
    let mut current: Option<(u64, u64)> = None;
    loop {
        match rows.next(&mut row)? {
            Step::End => break,
            Step::Bad(_) => {}
            Step::Row => {
                if let Some(grouping) = grouping
                    && grouping.key(&row, &mut key)
                {
                    let hash = hash(&key);
                    if let Some((known, at)) = current
                        && known != hash
                    {
                        last.insert(known, at);
                    }
                    // Two orders whose hashes fall together are closed together: late, but not wrong.
                    current = Some((hash, survey.rows));
                }
            }
        }
        survey.rows += 1;
        if survey.rows.is_multiple_of(65_536) {
            tell(survey.rows);
        }
    }
    last.extend(current);
    survey.last = vec![0; last.len().min(1) * (survey.rows as usize / 64 + 1)];
    for row in last.into_values() {
        survey.last[(row / 64) as usize] |= 1 << (row % 64);
    }
    Ok(survey)
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
