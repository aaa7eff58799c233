//! Packed RFM columns of consecutive contacts, and packed moves: versioned bytes that both backends store as they are.
//!
//! Layout of a chunk, version 1, little-endian: the version byte; [`CHUNK_LEN`] group numbers of one byte; as many
//! previous groups of one byte; as many codes of two bytes; then the columns *since*, *orders*, *last order* and *spent*,
//! each as smallest value (8 bytes), scale (8 bytes), width in bytes (1 byte: 0, 1, 2, 4, 8) and the values as
//! (value − smallest) / scale. Where nothing is placed or no order counts, the values of a column mean nothing.

use model::{ContactId, Timestamp};

use crate::{Result, StoreError};

/// Contacts per chunk.
pub const CHUNK_LEN: usize = 1024;

/// Number of the group of nobody: never placed.
pub const NEVER: u8 = 0;
/// Number of the group [`super::NO_GROUP`].
pub const NONE: u8 = 1;
/// Most group slugs that one model may ever have had, the two above included.
pub const GROUPS_MAX: usize = 250;

const VERSION: u8 = 1;
const PLACES_AT: usize = 1;
const PREVIOUS_AT: usize = PLACES_AT + CHUNK_LEN;
const CODES_AT: usize = PREVIOUS_AT + CHUNK_LEN;
const COLUMNS_AT: usize = CODES_AT + 2 * CHUNK_LEN;
const HEADER_LEN: usize = 17;

/// The chunk of a contact, and its place there.
#[must_use]
pub const fn locate(contact: ContactId) -> (u64, usize) {
    (contact.0 as u64 / CHUNK_LEN as u64, (contact.0 as u64 % CHUNK_LEN as u64) as usize)
}

/// The contact at a place of a chunk.
#[must_use]
pub const fn contact_at(chunk: u64, place: usize) -> ContactId {
    ContactId((chunk * CHUNK_LEN as u64) as i64 + place as i64)
}

/// Where one contact stands in a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Number of the group.
    pub group: u8,
    /// Number of the group before it; [`NEVER`] when there was none.
    pub previous: u8,
    /// Recency, frequency and monetary score as decimal digits, as in 345; 0 when not scored.
    pub code: u16,
    /// When the group was entered.
    pub since: Timestamp,
}

impl Place {
    /// Recency, frequency and monetary score.
    #[must_use]
    pub const fn scores(self) -> (u8, u8, u8) {
        ((self.code / 100) as u8, (self.code / 10 % 10) as u8, (self.code % 10) as u8)
    }
}

/// One chunk, unpacked: every column has [`CHUNK_LEN`] values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Group numbers.
    pub group: Vec<u8>,
    /// Previous group numbers.
    pub previous: Vec<u8>,
    /// Scores, as in [`Place::code`].
    pub code: Vec<u16>,
    /// When the group was entered, in microseconds.
    pub since: Vec<i64>,
    /// Orders inside the window.
    pub orders: Vec<u32>,
    /// The last of them, in microseconds; 0 without one.
    pub last_at: Vec<i64>,
    /// What they come to, in ten-thousandths.
    pub spent: Vec<i64>,
}

impl Default for Chunk {
    fn default() -> Self {
        Self {
            group: vec![NEVER; CHUNK_LEN],
            previous: vec![NEVER; CHUNK_LEN],
            code: vec![0; CHUNK_LEN],
            since: vec![0; CHUNK_LEN],
            orders: vec![0; CHUNK_LEN],
            last_at: vec![0; CHUNK_LEN],
            spent: vec![0; CHUNK_LEN],
        }
    }
}

impl Chunk {
    /// Packs it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(COLUMNS_AT + 16 * CHUNK_LEN);
        out.push(VERSION);
        out.extend_from_slice(&self.group);
        out.extend_from_slice(&self.previous);
        out.extend(self.code.iter().flat_map(|code| code.to_le_bytes()));
        let placed = |i: usize| self.group[i] != NEVER;
        let ordered = |i: usize| self.orders[i] > 0;
        pack(&mut out, &self.since, &[Timestamp::DAY, Timestamp::SECOND], placed);
        let orders: Vec<i64> = self.orders.iter().map(|n| i64::from(*n)).collect();
        pack(&mut out, &orders, &[], |_| true);
        pack(&mut out, &self.last_at, &[Timestamp::SECOND], ordered);
        pack(&mut out, &self.spent, &[100], ordered);
        out
    }

    /// Unpacks it.
    ///
    /// # Errors
    /// [`StoreError::Inconsistent`] when the bytes are none of ours.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let view = View::new(bytes)?;
        let mut rest = &bytes[COLUMNS_AT..];
        let mut column = || -> Result<Vec<i64>> {
            let (values, after) = unpack(rest)?;
            rest = after;
            Ok(values)
        };
        let (mut since, orders, mut last_at, mut spent) = (column()?, column()?, column()?, column()?);
        let codes = &bytes[CODES_AT..COLUMNS_AT];
        for i in 0..CHUNK_LEN {
            if orders[i] == 0 {
                (last_at[i], spent[i]) = (0, 0);
            }
            if view.groups()[i] == NEVER {
                since[i] = 0;
            }
        }
        Ok(Self {
            group: view.groups().to_vec(),
            previous: bytes[PREVIOUS_AT..CODES_AT].to_vec(),
            code: codes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect(),
            since,
            orders: orders.into_iter().map(|n| n as u32).collect(),
            last_at,
            spent,
        })
    }

    /// Where the contact at a place stands.
    #[must_use]
    pub fn place(&self, at: usize) -> Place {
        Place {
            group: self.group[at],
            previous: self.previous[at],
            code: self.code[at],
            since: Timestamp(self.since[at]),
        }
    }
}

/// A packed chunk of which single contacts are read without unpacking the others.
#[derive(Clone, Copy)]
pub struct View<'a>(&'a [u8]);

impl<'a> View<'a> {
    /// Over the bytes of a chunk.
    ///
    /// # Errors
    /// [`StoreError::Inconsistent`] when they are none of ours.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        if bytes.first() != Some(&VERSION) || bytes.len() < COLUMNS_AT + HEADER_LEN {
            return Err(damaged("unknown version or too short"));
        }
        Ok(Self(bytes))
    }

    /// Group numbers of all places.
    #[must_use]
    pub fn groups(&self) -> &'a [u8] {
        &self.0[PLACES_AT..PREVIOUS_AT]
    }

    /// Where the contact at a place stands.
    ///
    /// # Errors
    /// [`StoreError::Inconsistent`] when the bytes are none of ours.
    pub fn place(&self, at: usize) -> Result<Place> {
        let group = self.groups()[at];
        if group == NEVER {
            return Ok(Place::default());
        }
        let header = Header::read(&self.0[COLUMNS_AT..])?;
        let code = CODES_AT + 2 * at;
        Ok(Place {
            group,
            previous: self.0[PREVIOUS_AT + at],
            code: u16::from_le_bytes([self.0[code], self.0[code + 1]]),
            since: Timestamp(header.value(&self.0[COLUMNS_AT + HEADER_LEN..], at)),
        })
    }
}

/// How one column is packed.
struct Header {
    least: i64,
    scale: i64,
    width: usize,
}

impl Header {
    /// Reads it and checks that the column's values follow.
    fn read(bytes: &[u8]) -> Result<Self> {
        let word =
            |at: usize| -> Option<i64> { Some(i64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?)) };
        let header = match (word(0), word(8), bytes.get(16)) {
            (Some(least), Some(scale), Some(width)) => Self { least, scale, width: usize::from(*width) },
            _ => return Err(damaged("a column is cut off")),
        };
        if !matches!(header.width, 0 | 1 | 2 | 4 | 8) || bytes.len() < HEADER_LEN + header.width * CHUNK_LEN {
            return Err(damaged("a column is cut off"));
        }
        Ok(header)
    }

    fn value(&self, values: &[u8], at: usize) -> i64 {
        let mut word = [0; 8];
        word[..self.width].copy_from_slice(&values[at * self.width..(at + 1) * self.width]);
        self.real(u64::from_le_bytes(word))
    }

    fn real(&self, packed: u64) -> i64 {
        self.least.wrapping_add((packed as i64).wrapping_mul(self.scale))
    }
}

/// Appends a column; values for which `counts` is false mean nothing and are written as the least one. The first of
/// `scales` that divides all distances from the least value is taken off.
fn pack(out: &mut Vec<u8>, values: &[i64], scales: &[i64], counts: impl Fn(usize) -> bool) {
    let counted = || values.iter().enumerate().filter(|(i, _)| counts(*i)).map(|(_, value)| *value);
    let least = counted().min().unwrap_or(0);
    let most = counted().max().unwrap_or(0);
    // A span that does not fit into 63 bits is packed unscaled: wrapping subtraction and addition cancel out.
    let span = most.checked_sub(least);
    let scale = match span {
        Some(_) => {
            scales.iter().copied().find(|scale| counted().all(|v| (v - least) % scale == 0)).unwrap_or(1)
        }
        None => 1,
    };
    let width = match span.map(|span| span / scale) {
        Some(0) => 0,
        Some(1..=0xff) => 1,
        Some(0x100..=0xffff) => 2,
        Some(0x1_0000..=0xffff_ffff) => 4,
        _ => 8,
    };
    out.extend_from_slice(&least.to_le_bytes());
    out.extend_from_slice(&scale.to_le_bytes());
    out.push(width);
    let packed = |i: usize, value: i64| {
        if counts(i) { (value.wrapping_sub(least) as u64) / scale as u64 } else { 0 }
    };
    let all = values.iter().enumerate().map(|(i, value)| packed(i, *value));
    match width {
        0 => {}
        1 => out.extend(all.map(|v| v as u8)),
        2 => out.extend(all.flat_map(|v| (v as u16).to_le_bytes())),
        4 => out.extend(all.flat_map(|v| (v as u32).to_le_bytes())),
        _ => out.extend(all.flat_map(u64::to_le_bytes)),
    }
}

/// Reads a column, and answers with what follows it.
fn unpack(bytes: &[u8]) -> Result<(Vec<i64>, &[u8])> {
    let header = Header::read(bytes)?;
    let (values, after) = bytes[HEADER_LEN..].split_at(header.width * CHUNK_LEN);
    let real = |packed: u64| header.real(packed);
    let values = match header.width {
        0 => vec![header.least; CHUNK_LEN],
        1 => values.iter().map(|b| real(u64::from(*b))).collect(),
        2 => values.chunks_exact(2).map(|b| real(u64::from(u16::from_le_bytes([b[0], b[1]])))).collect(),
        4 => values
            .chunks_exact(4)
            .map(|b| real(u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))))
            .collect(),
        _ => values
            .chunks_exact(8)
            .map(|b| real(u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])))
            .collect(),
    };
    Ok((values, after))
}

/// One contact's move inside a chunk at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Its place in the chunk.
    pub place: u16,
    /// Group number before; [`NEVER`] at the first placement.
    pub from: u8,
    /// Group number after.
    pub to: u8,
}

/// Packs moves: four bytes each, after a version byte.
#[must_use]
pub fn encode_moves(moves: &[Move]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + 4 * moves.len());
    out.push(VERSION);
    for one in moves {
        out.extend_from_slice(&one.place.to_le_bytes());
        out.extend_from_slice(&[one.from, one.to]);
    }
    out
}

/// Unpacks moves.
///
/// # Errors
/// [`StoreError::Inconsistent`] when the bytes are none of ours.
pub fn decode_moves(bytes: &[u8]) -> Result<Vec<Move>> {
    match bytes.split_first() {
        Some((&VERSION, rest)) if rest.len() % 4 == 0 => Ok(rest
            .chunks_exact(4)
            .map(|b| Move { place: u16::from_le_bytes([b[0], b[1]]), from: b[2], to: b[3] })
            .collect()),
        _ => Err(damaged("moves of an unknown version")),
    }
}

fn damaged(why: &str) -> StoreError {
    StoreError::Inconsistent { table: "rfm_chunks", row: "a chunk".into(), why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(spent: impl Fn(usize) -> i64) -> Chunk {
        let mut chunk = Chunk::default();
        for i in (0..CHUNK_LEN).filter(|i| i % 3 != 0) {
            chunk.group[i] = NONE + 1 + (i % 11) as u8;
            chunk.previous[i] = (i % 5) as u8;
            chunk.code[i] = 111 + (i % 5) as u16;
            chunk.since[i] = 1_600_000_000_000_000 + (i as i64 % 40) * Timestamp::DAY;
            chunk.orders[i] = 1 + (i % 300) as u32;
            chunk.last_at[i] = 1_590_000_000_000_000 + i as i64 * Timestamp::SECOND;
            chunk.spent[i] = spent(i);
        }
        chunk
    }

    #[test]
    fn chunks_go_round_at_every_width() {
        let widths: [&dyn Fn(usize) -> i64; 6] = [
            &|_| 7,
            &|i| i as i64 % 200,
            &|i| i as i64 * 60,
            &|i| i as i64 * 4_000_000,
            &|i| i as i64 * 9_000_000_000_000,
            &|i| if i % 2 == 0 { i64::MIN } else { i64::MAX },
        ];
        for spent in widths {
            let chunk = sample(spent);
            let bytes = chunk.encode();
            assert_eq!(Chunk::decode(&bytes).unwrap(), chunk);
            let view = View::new(&bytes).unwrap();
            for i in 0..CHUNK_LEN {
                assert_eq!(view.place(i).unwrap(), chunk.place(i));
            }
        }
        assert_eq!(Chunk::decode(&Chunk::default().encode()).unwrap(), Chunk::default());
    }

    #[test]
    fn usual_chunks_are_small() {
        let bytes = sample(|i| i as i64 * 123_400).encode();
        assert!(bytes.len() < 17 * CHUNK_LEN, "{}", bytes.len());
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let bytes = sample(|i| i as i64).encode();
        for cut in [0, 1, 100, COLUMNS_AT, COLUMNS_AT + 5, bytes.len() - 1] {
            assert!(Chunk::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        assert!(Chunk::decode(&[9; 40_000]).is_err());
        assert!(decode_moves(&[]).is_err());
        assert!(decode_moves(&[1, 2]).is_err());
    }

    #[test]
    fn moves_go_round() {
        let moves = vec![Move { place: 0, from: NEVER, to: 2 }, Move { place: 1023, from: 5, to: NONE }];
        assert_eq!(decode_moves(&encode_moves(&moves)).unwrap(), moves);
    }

    #[test]
    fn contacts_are_located() {
        for id in [1, 1023, 1024, 5_000_000] {
            let (chunk, place) = locate(ContactId(id));
            assert_eq!(contact_at(chunk, place), ContactId(id));
        }
    }
}
