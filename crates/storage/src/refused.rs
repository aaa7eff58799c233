//! What tracking refused: kept with its reason, so that somebody can see it and try again. The oldest goes when there is
//! too much of it.

use std::future::Future;

use model::{Problem, Timestamp};

use crate::Result;

/// Most refused messages that are kept.
pub const REFUSED_MAX: u64 = 10_000;
/// Most bytes of refused messages that are kept.
pub const REFUSED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A message that was refused.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRefused {
    /// When it arrived.
    pub received_at: Timestamp,
    /// When it was sent, by the sender's clock, where it said so.
    pub sent_at: Option<Timestamp>,
    /// The id of the key that it came with.
    pub key: String,
    /// What the message was to be, as in `track`, where the path said so.
    pub call: Option<String>,
    /// Why.
    pub problem: Problem,
    /// The message as it came: JSON, at most as long as a message may be.
    pub body: String,
}

/// A message that was refused, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// Its number, from 1, in order of arrival; never given again.
    pub no: i64,
    /// What it is.
    pub message: NewRefused,
}

/// Messages that were refused.
pub trait RefusedStore {
    /// Keeps messages. Beyond [`REFUSED_MAX`] messages or [`REFUSED_BYTES_MAX`] bytes the oldest go.
    fn save_refused(&self, messages: Vec<NewRefused>) -> impl Future<Output = Result<()>> + Send;
    /// The latest first, those before the number `before` if one is given, at most so many.
    fn list_refused(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Refused>>> + Send;
    /// Those with these numbers, in their order; unknown ones are left out.
    fn load_refused(&self, numbers: Vec<i64>) -> impl Future<Output = Result<Vec<Refused>>> + Send;
    /// Forgets them; how many there were.
    fn drop_refused(&self, numbers: Vec<i64>) -> impl Future<Output = Result<u64>> + Send;
    /// Why one is refused now.
    fn update_refused(&self, no: i64, problem: Problem) -> impl Future<Output = Result<()>> + Send;
}
