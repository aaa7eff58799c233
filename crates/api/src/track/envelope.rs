//! What is around the messages of a request.

use std::{borrow::Cow, ops::Range};

use axum::http::StatusCode;
use model::{Problem, Timestamp, Zone};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Config;
use crate::ApiError;

/// A request of several messages.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch<'a> {
    #[serde(borrow)]
    batch: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    write_key: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    sent_at: Option<Cow<'a, str>>,
}

/// What of a single message is needed before it is read as one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Single<'a> {
    #[serde(borrow, default)]
    write_key: Option<Cow<'a, str>>,
}

/// A request, taken apart.
pub(super) struct Envelope {
    /// Where its messages lie in the body.
    pub(super) messages: Vec<Range<usize>>,
    /// The key, as browsers send it.
    pub(super) write_key: Option<String>,
    /// When it was sent, by the sender's clock.
    pub(super) sent_at: Option<Timestamp>,
}

impl Envelope {
    /// Takes a request of several messages apart.
    pub(super) fn of_batch(body: &str, config: &Config) -> Result<Self, ApiError> {
        let batch: Batch<'_> = serde_json::from_str(body).map_err(|error| invalid(&error))?;
        if batch.batch.len() > config.messages_max {
            let most = config.messages_max;
            let problem = Problem::new("track.too_many", format!("more than {most} messages"))
                .field("batch")
                .value(batch.batch.len())
                .cure("send fewer at once");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, problem));
        }
        let start = body.as_ptr() as usize;
        let place = |raw: &&RawValue| {
            let from = raw.get().as_ptr() as usize - start;
            from..from + raw.get().len()
        };
        let sent_at = match &batch.sent_at {
            Some(text) => Timestamp::parse(text, &Zone::UTC)
                .map(Some)
                .map_err(|problem| ApiError::new(StatusCode::BAD_REQUEST, problem.field("sentAt")))?,
            None => None,
        };
        Ok(Self {
            messages: batch.batch.iter().map(place).collect(),
            write_key: batch.write_key.map(Cow::into_owned),
            sent_at,
        })
    }

    /// A request of one message. Only who has not said the key yet is looked at for it.
    pub(super) fn of_message(body: &str, needs_key: bool) -> Result<Self, ApiError> {
        let write_key = if needs_key {
            let single: Single<'_> = serde_json::from_str(body).map_err(|error| invalid(&error))?;
            single.write_key.map(Cow::into_owned)
        } else {
            None
        };
        Ok(Self { messages: std::iter::once(0..body.len()).collect(), write_key, sent_at: None })
    }
}

fn invalid(error: &serde_json::Error) -> ApiError {
    let problem = Problem::new("body.invalid", format!("the body is not what it should be: {error}"))
        .cure("send JSON as in {\"batch\": [{\"type\": \"track\", …}]}");
    ApiError::new(StatusCode::BAD_REQUEST, problem)
}
