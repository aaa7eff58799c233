//! Why a contact went where it went: one compact record for each enrolment and commit.
//!
//! A record is a version byte, its instant, the number of steps and, for each step, the node, its outcome and what decided
//! it. Numbers are written seven bits at a time; a campaign's record takes some 25 to 45 bytes. Records of later commits
//! are put behind the first.

use model::Timestamp;
use policy::Refusal;

use crate::{graph::Journey, run::Leaving};

/// What decided a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Nothing beyond the outcome.
    None,
    /// How many were found.
    Count(u64),
    /// A value: what was written, the cart that was found. Longer ones are cut to [`TEXT_LEN_MAX`] bytes.
    Text(String),
    /// Why a message was refused.
    Refused(Refusal),
    /// Until when it stays.
    Until(Timestamp),
    /// Why it left early.
    Left(Leaving),
}

/// A step as it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceStep {
    /// The node's number in the version that the enrolment follows.
    pub node: u16,
    /// Place of the outcome among the node's outcomes.
    pub outcome: u8,
    /// What decided it.
    pub detail: Detail,
}

/// Outcome of a step by which a contact begins to stay at the node; the node's own outcome follows when it goes on.
pub const STAYS: u8 = 255;
/// Outcome of a step by which a contact leaves the journey early.
pub const LEFT: u8 = 254;
/// Longest text kept in a record, in bytes.
pub const TEXT_LEN_MAX: usize = 64;
const VERSION: u8 = 2;

/// The steps of one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When they were taken.
    pub at: Timestamp,
    /// In order.
    pub steps: Vec<TraceStep>,
}

/// Writes a record.
#[must_use]
pub fn encode(at: Timestamp, steps: &[TraceStep]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(12 + steps.len() * 5);
    bytes.push(VERSION);
    bytes.extend_from_slice(&at.0.to_le_bytes());
    write_number(steps.len() as u64, &mut bytes);
    for step in steps {
        write_number(u64::from(step.node), &mut bytes);
        let (tag, number, text): (u8, Option<u64>, Option<&str>) = match &step.detail {
            Detail::None => (0, None, None),
            Detail::Count(n) => (1, Some(*n), None),
            Detail::Text(text) => (2, None, Some(cut(text))),
            Detail::Refused(refusal) => (3, Some(*refusal as u64), None),
            Detail::Until(at) => (4, Some(at.0.cast_unsigned()), None),
            Detail::Left(why) => (5, Some(*why as u64), None),
        };
        bytes.push(step.outcome);
        bytes.push(tag);
        if let Some(number) = number {
            write_number(number, &mut bytes);
        }
        if let Some(text) = text {
            write_number(text.len() as u64, &mut bytes);
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// Reads records, one behind the other; none when they are damaged or of another version.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Vec<Record>> {
    let mut rest = bytes;
    let mut records = Vec::new();
    while let Some((version, after)) = rest.split_first() {
        if *version != VERSION {
            return None;
        }
        let (at, after) = after.split_first_chunk::<8>()?;
        rest = after;
        let len = read_number(&mut rest)?;
        let mut steps = Vec::new();
        for _ in 0..len {
            steps.push(read_step(&mut rest)?);
        }
        records.push(Record { at: Timestamp(i64::from_le_bytes(*at)), steps });
    }
    Some(records)
}

fn read_step(rest: &mut &[u8]) -> Option<TraceStep> {
    let node = u16::try_from(read_number(rest)?).ok()?;
    let (head, after) = rest.split_first_chunk::<2>()?;
    *rest = after;
    let [outcome, tag] = *head;
    let detail = match tag {
        0 => Detail::None,
        1 => Detail::Count(read_number(rest)?),
        2 => {
            let len = usize::try_from(read_number(rest)?).ok()?;
            let (text, after) = rest.split_at_checked(len)?;
            *rest = after;
            Detail::Text(String::from_utf8(text.to_vec()).ok()?)
        }
        3 => {
            let number = read_number(rest)?;
            Detail::Refused(Refusal::ALL.into_iter().find(|refusal| *refusal as u64 == number)?)
        }
        4 => Detail::Until(Timestamp(read_number(rest)?.cast_signed())),
        5 => {
            let number = read_number(rest)?;
            Detail::Left(Leaving::ALL.into_iter().find(|why| *why as u64 == number)?)
        }
        _ => return None,
    };
    Some(TraceStep { node, outcome, detail })
}

/// Records in one line, as in `high: no → low: yes → best: yes (6) → mail_best: not_sent (unsubscribed)`.
#[must_use]
pub fn describe(records: &[Record], journey: &Journey) -> String {
    let step = |step: &TraceStep| {
        let Some(node) = journey.nodes.get(usize::from(step.node)) else {
            return format!("node {}", step.node);
        };
        let outcome = match step.outcome {
            STAYS => "stays",
            LEFT => "left",
            outcome => node.outcomes().get(usize::from(outcome)).map_or("?", String::as_str),
        };
        let detail = match &step.detail {
            Detail::None => String::new(),
            Detail::Count(n) => format!(" ({n})"),
            Detail::Text(text) => format!(" ({text})"),
            Detail::Refused(refusal) => format!(" ({refusal})"),
            Detail::Until(at) => format!(" (until {at})"),
            Detail::Left(why) => format!(" ({})", why.word()),
        };
        format!("{}: {outcome}{detail}", node.id)
    };
    records.iter().flat_map(|record| &record.steps).map(step).collect::<Vec<_>>().join(" → ")
}

fn cut(text: &str) -> &str {
    if text.len() <= TEXT_LEN_MAX {
        return text;
    }
    let end = (0..=TEXT_LEN_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

fn write_number(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn detail() -> impl Strategy<Value = Detail> {
        prop_oneof![
            Just(Detail::None),
            any::<u64>().prop_map(Detail::Count),
            "\\PC{0,20}".prop_map(|text| Detail::Text(cut(&text).to_owned())),
            (0..Refusal::ALL.len()).prop_map(|i| Detail::Refused(Refusal::ALL[i])),
            any::<i64>().prop_map(|at| Detail::Until(Timestamp(at))),
            (0..Leaving::ALL.len()).prop_map(|i| Detail::Left(Leaving::ALL[i])),
        ]
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(
            steps in prop::collection::vec((any::<u16>(), any::<u8>(), detail()), 0..30),
            cut in 0_usize..30,
        ) {
            let steps: Vec<TraceStep> =
                steps.into_iter().map(|(node, outcome, detail)| TraceStep { node, outcome, detail }).collect();
            let (first, second) = steps.split_at(cut.min(steps.len()));
            let mut bytes = encode(Timestamp(-5), first);
            bytes.extend(encode(Timestamp(7), second));
            let records = vec![
                Record { at: Timestamp(-5), steps: first.to_vec() },
                Record { at: Timestamp(7), steps: second.to_vec() },
            ];
            prop_assert_eq!(decode(&bytes), Some(records));
        }

        #[test]
        fn damaged_records_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let long = "é".repeat(TEXT_LEN_MAX);
        let step = TraceStep { node: 1, outcome: 0, detail: Detail::Text(long) };
        let back = decode(&encode(Timestamp(1), &[step])).unwrap();
        assert_eq!(back[0].steps[0].detail, Detail::Text("é".repeat(TEXT_LEN_MAX / 2)));
    }
}
