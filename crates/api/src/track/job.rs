//! A request at work: its messages mapped, and which of them each item of the batch comes from.

use std::{ops::Range, sync::Arc};

use axum::body::Bytes;
use connect::segment_http::{Arrival, Mapper};
use model::{Problem, Timestamp};
use storage::{
    imports::{ImportBatch, ItemKind},
    refused::NewRefused,
};
use tokio::sync::oneshot;

use super::queue::Room;
use crate::ApiError;

/// Messages that were refused, by their place in the request.
pub(super) type Refused = Vec<(usize, Problem)>;

/// What a request's messages come to.
pub(super) struct Job {
    /// The body; text in UTF-8.
    body: Bytes,
    messages: Vec<Range<usize>>,
    arrival: Arrival,
    mapper: Arc<Mapper>,
    /// The id of the key that it came with.
    key: String,
    /// What is to be committed.
    pub(super) batch: ImportBatch,
    /// By kind of item, and place there: which message it comes from.
    owners: [Vec<u32>; ItemKind::ALL.len()],
    /// What is refused so far.
    pub(super) refused: Refused,
    /// Whether what is refused is kept: not when it is kept already.
    keeps: bool,
}

impl Job {
    /// Maps each message; those that cannot be are refused, and the others stay.
    pub(super) fn new(
        body: Bytes,
        messages: Vec<Range<usize>>,
        arrival: Arrival,
        mapper: Arc<Mapper>,
        key: String,
        event_max: usize,
    ) -> Self {
        let batch = ImportBatch::new(arrival.received_at);
        let mut job = Self {
            body,
            messages,
            arrival,
            mapper,
            key,
            batch,
            owners: std::array::from_fn(|_| Vec::new()),
            refused: Vec::new(),
            keeps: true,
        };
        for index in 0..job.messages.len() {
            match job.map(index, event_max) {
                Ok(batch) => job.append(index, batch),
                Err(problem) => job.refused.push((index, problem)),
            }
        }
        job
    }

    /// The same for messages that are kept already.
    pub(super) fn again(self) -> Self {
        Self { keeps: false, ..self }
    }

    /// Messages of the request.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// When it arrived.
    pub(super) fn received_at(&self) -> Timestamp {
        self.arrival.received_at
    }

    fn text(&self, index: usize) -> &str {
        // It was text when the request was taken apart, and messages begin and end where characters do.
        std::str::from_utf8(&self.body[self.messages[index].clone()]).unwrap_or_default()
    }

    fn map(&self, index: usize, event_max: usize) -> Result<ImportBatch, Problem> {
        let text = self.text(index);
        if text.len() > event_max {
            return Err(Problem::new("event.too_large", format!("the message has {} bytes", text.len()))
                .cure(format!("send at most {event_max} bytes")));
        }
        self.mapper.map(text, &self.arrival)
    }

    /// One message, mapped again: for when it must be committed alone.
    pub(super) fn map_again(&self, index: usize) -> Result<ImportBatch, Problem> {
        self.mapper.map(self.text(index), &self.arrival)
    }

    fn append(&mut self, index: usize, batch: ImportBatch) {
        for kind in ItemKind::ALL {
            let owners = &mut self.owners[kind as usize];
            owners.resize(owners.len() + batch.count(kind), index as u32);
        }
        self.batch.append(batch);
    }

    /// Which message an item comes from.
    pub(super) fn owner(&self, kind: ItemKind, place: usize) -> usize {
        self.owners[kind as usize].get(place).map_or(0, |index| *index as usize)
    }

    /// Messages that were taken into the batch.
    pub(super) fn mapped(&self) -> Vec<usize> {
        let refused: Vec<usize> = self.refused.iter().map(|(index, _)| *index).collect();
        (0..self.len()).filter(|index| refused.binary_search(index).is_err()).collect()
    }

    /// What is kept of the refused messages. One that is too large is not: it would be refused again.
    pub(super) fn to_keep(&self) -> Vec<NewRefused> {
        let kept = self.refused.iter().filter(|(_, problem)| self.keeps && problem.code != "event.too_large");
        kept.map(|(index, problem)| NewRefused {
            received_at: self.arrival.received_at,
            sent_at: self.arrival.sent_at,
            key: self.key.clone(),
            call: self.arrival.call.map(|call| call.word().to_owned()),
            problem: problem.clone(),
            body: self.text(*index).to_owned(),
        })
        .collect()
    }

    /// Notes that messages were refused at the commit: each once, with the first reason, in their order.
    pub(super) fn refuse(&mut self, more: Refused) {
        for (index, problem) in more {
            if !self.refused.iter().any(|(known, _)| *known == index) {
                self.refused.push((index, problem));
            }
        }
        self.refused.sort_by_key(|(index, _)| *index);
    }
}

/// A job that waits, with whoever waits for it.
pub(super) struct Waiting {
    pub(super) job: Job,
    pub(super) answer: oneshot::Sender<Result<Refused, ApiError>>,
    pub(super) room: Room,
}
