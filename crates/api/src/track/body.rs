//! A request's body, within bounds: of size, of time, of what it unpacks to, and of what all requests together may hold.

use std::io::Read;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use model::Problem;

use super::{
    Config,
    queue::{Queue, Room},
};
use crate::ApiError;

/// Reads it; the room that it takes is held as long as the second value lives.
pub(super) async fn read(
    config: &Config,
    queue: &Queue,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, Room), ApiError> {
    let packed = is_packed(headers)?;
    let arriving = arrive(config, queue, body);
    let (bytes, mut room) = tokio::time::timeout(config.body_timeout, arriving).await.map_err(|_| {
        let problem = Problem::new("body.slow", "the body did not arrive in time").cure("send it again");
        ApiError::new(StatusCode::REQUEST_TIMEOUT, problem)
    })??;
    if !packed {
        return Ok((bytes, room));
    }
    let bytes = unpack(&bytes, config.batch_max)?;
    room.widen(queue, bytes.len())?;
    Ok((bytes.into(), room))
}

/// Whether it is packed by gzip.
fn is_packed(headers: &HeaderMap) -> Result<bool, ApiError> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else { return Ok(false) };
    let word = encoding.to_str().unwrap_or_default().trim().to_ascii_lowercase();
    match word.as_str() {
        "gzip" | "x-gzip" => Ok(true),
        "" | "identity" => Ok(false),
        _ => {
            let problem = Problem::new("body.content_encoding", format!("`{word}` is not understood"))
                .field("Content-Encoding")
                .value(word)
                .cure("send it plain or packed by gzip");
            Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, problem))
        }
    }
}

async fn arrive(config: &Config, queue: &Queue, mut body: Body) -> Result<(Bytes, Room), ApiError> {
    let mut room = queue.room(0)?;
    let mut first = Bytes::new();
    let mut rest: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            let problem = Problem::new("body.broken", "the body broke off").cure("send it again");
            ApiError::new(StatusCode::BAD_REQUEST, problem)
        })?;
        let Ok(data) = frame.into_data() else { continue };
        let length = first.len().max(rest.len()) + data.len();
        if length > config.batch_max {
            return Err(too_large(config.batch_max));
        }
        room.widen(queue, data.len())?;
        if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok((if rest.is_empty() { first } else { rest.into() }, room))
}

/// Unpacks at most so many bytes: what would be more is refused before it is there.
fn unpack(packed: &[u8], most: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::with_capacity((packed.len() * 4).min(most));
    let mut reader = MultiGzDecoder::new(packed).take(most as u64 + 1);
    reader.read_to_end(&mut bytes).map_err(|_| {
        let problem = Problem::new("body.gzip", "the body says that it is packed by gzip, and is not")
            .field("Content-Encoding")
            .cure("pack it, or leave the header out");
        ApiError::new(StatusCode::BAD_REQUEST, problem)
    })?;
    if bytes.len() > most {
        return Err(too_large(most));
    }
    Ok(bytes)
}

fn too_large(most: usize) -> ApiError {
    let problem = Problem::new("track.batch_too_large", format!("the request has more than {most} bytes"))
        .cure("send fewer messages at once");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, problem)
}
