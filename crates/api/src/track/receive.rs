//! What all calls share: who sends, what was sent, and the way to the commit.

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use connect::segment_http::{Arrival, Call};
use model::Problem;
use storage::Storage;

use super::{answer::answer, body, envelope::Envelope, job::Job};
use crate::{
    ApiError, App,
    access::{key_of, unauthorized},
};

/// What a path takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// Several messages, each with its type.
    Batch,
    /// One message of this call.
    One(Call),
}

/// Takes a request, and answers after its commit.
pub(super) async fn receive<S: Storage>(
    app: &App<S>,
    shape: Shape,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let (config, track, now) = (&app.config.track, &app.track, app.now());
    // A key in the header opens or not before anything is read.
    let of_header = match key_of(headers) {
        Some(text) => Some(track.keys.tracker(&text, now).await?),
        None => None,
    };
    let (bytes, room) = body::read(config, &track.queue, headers, body).await?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let problem = Problem::new("body.encoding", format!("the body is not UTF-8: {error}"))
            .cure("send JSON in UTF-8");
        ApiError::new(StatusCode::BAD_REQUEST, problem)
    })?;
    let envelope = match shape {
        Shape::Batch => Envelope::of_batch(text, config)?,
        Shape::One(_) => Envelope::of_message(text, of_header.is_none())?,
    };
    let tracker = match of_header {
        Some(tracker) => tracker,
        None => {
            let text = envelope.write_key.as_deref().ok_or_else(unauthorized)?;
            track.keys.tracker(text, now).await?
        }
    };
    track.rates.take(&tracker.key, envelope.messages.len(), now)?;
    let call = match shape {
        Shape::Batch => None,
        Shape::One(call) => Some(call),
    };
    let arrival = Arrival { received_at: now, sent_at: envelope.sent_at, call };
    let mapper = track.desk.mapper(now).await?;
    let job = Job::new(bytes, envelope.messages, arrival, mapper, tracker.key, config.event_max);
    let messages = job.len();
    let refused = track.queue.commit(job, room).await?;
    Ok(answer(messages, &refused))
}
