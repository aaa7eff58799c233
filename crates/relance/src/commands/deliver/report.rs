//! What came of the messages, as lists.

use storage::outbox::{MessageFilter, MessageState, OutboxStore};
use storage_sqlite::Sqlite;

use crate::{
    context::{Failure, Format},
    output::Listing,
};

/// Prints a run's outcome by template, outcome and reason.
pub(super) fn summary(summary: &delivery::Summary, format: Format) -> Result<(), Failure> {
    let mut listing = Listing::new(&["template", "outcome", "reason", "messages"], &["messages"]);
    for ((template, state, reason), count) in &summary.counts {
        let outcome = if *state == MessageState::Waiting { "deferred" } else { state.word() };
        listing.rows.push(vec![
            template.to_string(),
            outcome.to_owned(),
            (*reason).to_owned(),
            count.to_string(),
        ]);
    }
    Ok(listing.print(format)?)
}

/// Messages read at once.
const PAGE: usize = 5_000;

/// Prints messages of a state; of all without one.
pub(super) async fn list(store: &Sqlite, state: Option<MessageState>, format: Format) -> Result<(), Failure> {
    let columns =
        ["message", "contact", "journey", "node", "template", "state", "attempts", "at", "reason", "detail"];
    let mut listing = Listing::new(&columns, &["contact", "attempts"]);
    let filter = MessageFilter { state, ..MessageFilter::default() };
    let mut after = 0;
    loop {
        let page = store.list_messages(filter.clone(), after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for row in &page {
            listing.rows.push(vec![
                row.message.id.to_string(),
                row.message.contact.to_string(),
                row.message.send.journey.to_string(),
                row.message.send.node.clone(),
                row.message.send.template.to_string(),
                row.state.word().to_owned(),
                row.attempt.to_string(),
                row.at.to_string(),
                row.reason.clone().unwrap_or_default(),
                row.detail.clone().unwrap_or_default(),
            ]);
        }
    }
    Ok(listing.print(format)?)
}
