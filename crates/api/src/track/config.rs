//! Limits of tracking.

use std::time::Duration;

/// Largest message, in bytes of JSON. The base takes no larger properties, so a server can only be told less.
pub const EVENT_MAX: usize = model::Event::SIZE_MAX;
/// Largest request, in bytes, as it comes and unpacked.
pub const BATCH_MAX: usize = 500 * 1024;
/// Most messages of a request.
pub const MESSAGES_MAX: usize = 2_500;
/// Bytes of requests that may wait for their commit.
pub const QUEUE_MAX: usize = 64 * 1024 * 1024;
/// A request's body has arrived within so long, or is given up.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What tracking is told at the start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Largest message, in bytes: at most [`EVENT_MAX`].
    pub event_max: usize,
    /// Largest request, in bytes, as it comes and unpacked.
    pub batch_max: usize,
    /// Most messages of a request.
    pub messages_max: usize,
    /// Bytes of requests that may wait for their commit: beyond them a request is answered with 429.
    pub queue_max: usize,
    /// A request's body has arrived within so long, or is given up.
    pub body_timeout: Duration,
    /// Messages that one key may send in a second, over a few seconds; as many as it likes when there is none.
    pub events_per_second: Option<u32>,
    /// Origins whose pages may send, as in `https://shop.example`; all of them when there is none.
    pub origins: Option<Vec<String>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            event_max: EVENT_MAX,
            batch_max: BATCH_MAX,
            messages_max: MESSAGES_MAX,
            queue_max: QUEUE_MAX,
            body_timeout: BODY_TIMEOUT,
            events_per_second: None,
            origins: None,
        }
    }
}
