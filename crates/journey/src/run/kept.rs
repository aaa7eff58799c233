//! A run that waits, as bytes: a version byte and JSON, so that old runs can be read for as long as they wait.

use std::sync::Arc;

use model::{Cart, Event, MessageId, ProductId, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::{Entry, Exports, Given, Person, Run, Stay, Token};
use crate::{data::Datum, run::Effects};

const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(rename = "o")]
    ordinal: u32,
    #[serde(rename = "k", default, skip_serializing_if = "String::is_empty")]
    key: String,
    #[serde(rename = "a")]
    at: Timestamp,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    trigger: Option<Event>,
    #[serde(rename = "s")]
    staying: Vec<KeptToken>,
    #[serde(rename = "v", default, skip_serializing_if = "Vec::is_empty")]
    visits: Vec<(u16, u32)>,
    #[serde(rename = "m", default, skip_serializing_if = "Vec::is_empty")]
    sent: Vec<(u16, MessageId)>,
    #[serde(rename = "c", default, skip_serializing_if = "Vec::is_empty")]
    given: Vec<Given>,
    #[serde(rename = "h", default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<(u16, u8, u16)>,
    #[serde(rename = "w", default, skip_serializing_if = "is_false")]
    held: bool,
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    goal_at: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
const fn is_false(held: &bool) -> bool {
    !*held
}

#[derive(Serialize, Deserialize)]
struct KeptToken {
    #[serde(rename = "n")]
    node: u16,
    #[serde(rename = "f")]
    since: Timestamp,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    memo: Option<Value>,
    #[serde(rename = "e", default, skip_serializing_if = "Vec::is_empty")]
    exports: Vec<(u16, String, KeptDatum)>,
}

#[derive(Serialize, Deserialize)]
enum KeptDatum {
    #[serde(rename = "v")]
    Value(Value),
    #[serde(rename = "p")]
    Product(ProductId),
    #[serde(rename = "l")]
    Products(Vec<ProductId>),
    #[serde(rename = "c")]
    Cart(Cart),
}

impl From<&Datum> for KeptDatum {
    fn from(datum: &Datum) -> Self {
        match datum {
            Datum::Value(value) => Self::Value(value.clone()),
            Datum::Product(id) => Self::Product(*id),
            Datum::Products(ids) => Self::Products(ids.to_vec()),
            Datum::Cart(cart) => Self::Cart(Cart::clone(cart)),
        }
    }
}

impl From<KeptDatum> for Datum {
    fn from(datum: KeptDatum) -> Self {
        match datum {
            KeptDatum::Value(value) => Self::Value(value),
            KeptDatum::Product(id) => Self::Product(id),
            KeptDatum::Products(ids) => Self::Products(ids.into()),
            KeptDatum::Cart(cart) => Self::Cart(Arc::new(cart)),
        }
    }
}

impl Run {
    /// The run as bytes, for [`Run::resume`]. Only what stays is kept: a run with needs open is not.
    #[must_use]
    pub fn keep(&self) -> Vec<u8> {
        let staying = self.staying.iter().filter_map(|token| {
            let stay = token.stay.as_ref()?;
            let exports =
                token.exports.0.iter().map(|(node, name, datum)| (*node, name.clone(), datum.into()));
            Some(KeptToken {
                node: token.node,
                since: stay.since,
                until: stay.until,
                memo: stay.memo.clone(),
                exports: exports.collect(),
            })
        });
        let kept = Kept {
            ordinal: self.entry.ordinal,
            key: self.entry.key.clone(),
            at: self.entry.at,
            trigger: self.entry.trigger.as_deref().cloned(),
            staying: staying.collect(),
            visits: self.visits.clone(),
            sent: self.sent.clone(),
            given: self.given.clone(),
            notes: self.notes.clone(),
            held: self.held,
            goal_at: self.goal_at,
        };
        let mut bytes = vec![VERSION];
        // Maps with text keys and numbers always can be written.
        drop(serde_json::to_writer(&mut bytes, &kept));
        bytes
    }

    /// A run that was kept, for the contact as it is now; none when the bytes are damaged or of another version.
    #[must_use]
    pub fn resume(person: Person, bytes: &[u8]) -> Option<Self> {
        let (version, json) = bytes.split_first()?;
        if *version != VERSION {
            return None;
        }
        let kept: Kept = serde_json::from_slice(json).ok()?;
        let entry =
            Entry { ordinal: kept.ordinal, key: kept.key, at: kept.at, trigger: kept.trigger.map(Arc::new) };
        let staying = kept.staying.into_iter().map(|token| Token {
            node: token.node,
            exports: Exports(
                token.exports.into_iter().map(|(node, name, datum)| (node, name, datum.into())).collect(),
            ),
            stay: Some(Stay { since: token.since, until: token.until, memo: token.memo }),
            woken: None,
        });
        Some(Self {
            entry,
            tokens: std::collections::VecDeque::new(),
            staying: staying.collect(),
            person,
            answers: super::Answers::default(),
            visits: kept.visits,
            sent: kept.sent,
            given: kept.given,
            notes: kept.notes,
            held: kept.held,
            goal_at: kept.goal_at,
            wrote: false,
            done: Effects::default(),
        })
    }

    /// The enrolment has another ordinal than when it was kept: its contact was merged into another that was in the same
    /// run, too.
    pub const fn renumber(&mut self, ordinal: u32) {
        self.entry.ordinal = ordinal;
    }
}
