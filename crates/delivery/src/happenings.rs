//! What the server calls when a contact does something with a message, and what a run's messages came to.

use std::collections::BTreeMap;

use model::{ContactId, Timestamp};
use serde_json::{Map, Value};
use storage::{
    Result,
    outbox::{MessageFilter, MessageId, MessageState, OutboxStore},
};

/// Records that a contact opened a message or clicked a link of it (`kind` as in [`model::event::kind`]): an event in the
/// contact's history and, where a journey is alive, an input of the engine, in one transaction. `properties` may name the
/// `link` and its `url`; a repeat of message, kind and link changes nothing. Whose message it was; none for an id that is
/// not known.
///
/// # Errors
/// What the database says.
pub async fn interaction<S: OutboxStore>(
    store: &S,
    message: MessageId,
    kind: &str,
    at: Timestamp,
    properties: Map<String, Value>,
) -> Result<Option<ContactId>> {
    store.record_interaction(message, kind.to_owned(), at, properties).await
}

/// Makes a run's failed messages wait again, due at `at`; how many.
///
/// # Errors
/// What the database says.
pub async fn retry_failed<S: OutboxStore>(store: &S, run: i64, at: Timestamp) -> Result<u64> {
    let filter =
        MessageFilter { run: Some(run), state: Some(MessageState::Failed), ..MessageFilter::default() };
    store.retry_messages(filter, at).await
}

/// How many messages of a run stand where. A run is complete when none is open: see [`is_settled`].
///
/// # Errors
/// What the database says.
pub async fn states_of_run<S: OutboxStore>(store: &S, run: i64) -> Result<BTreeMap<MessageState, u64>> {
    let counts = store.count_messages(MessageFilter { run: Some(run), ..MessageFilter::default() }).await?;
    let mut states = BTreeMap::new();
    for count in counts {
        *states.entry(count.state).or_default() += count.count;
    }
    Ok(states)
}

/// Whether every message is in a final state.
#[must_use]
pub fn is_settled(states: &BTreeMap<MessageState, u64>) -> bool {
    use MessageState::{Claimed, HandingOver, Waiting};
    states.iter().all(|(state, count)| *count == 0 || !matches!(state, Waiting | Claimed | HandingOver))
}
