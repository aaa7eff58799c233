//! The audit log from the operations' side: one line in an operation writes down what it did.
//!
//! ```text
//! audit::note(&app, &principal, "journey.publish", format!("journey:{slug}"), json!({"version": 3})).await?;
//! ```
//!
//! Note it before the answer: who gets a good answer can rely on the entry. A verb of the store that takes a
//! [`storage::audit::Deed`] writes it down in its own transaction, which is better still: [`deed`] makes one.

use serde_json::Value;
use storage::{Storage, audit::Deed};

use crate::{ApiResult, App, access::Principal};

/// What somebody does now, to be written down.
#[must_use]
pub fn deed<S: Storage>(
    app: &App<S>,
    by: &Principal,
    action: &'static str,
    object: impl Into<String>,
    details: Value,
) -> Deed {
    Deed {
        at: app.now(),
        who: by.who.clone(),
        action: action.to_owned(),
        object: object.into(),
        details,
        client: by.client.map(|address| address.to_string()),
    }
}

/// Writes down what somebody did: `action` as in `journey.publish`, `object` as in `journey:welcome`, `details` a JSON
/// object without secrets.
///
/// # Errors
/// What the database says.
pub async fn note<S: Storage>(
    app: &App<S>,
    by: &Principal,
    action: &'static str,
    object: impl Into<String>,
    details: Value,
) -> ApiResult<()> {
    app.store.append_audit(vec![deed(app, by, action, object, details)]).await?;
    Ok(())
}
