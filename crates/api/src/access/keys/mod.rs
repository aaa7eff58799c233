//! API keys.

mod create;
mod list;
mod revoke;

use model::Timestamp;
use serde::Serialize;
use storage::{
    Storage,
    access::{ApiKey, KeyScope},
};
use utoipa::ToSchema;

use crate::{operations, section::Section};

/// Its operations.
pub(super) fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("keys"), S; list, create, revoke)
}

/// A key, without its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyBody {
    /// The public half: names it.
    pub id: String,
    /// What it may do: `track`, `read`, `write` or `admin`.
    #[schema(value_type = String)]
    pub scope: KeyScope,
    /// What it is called.
    pub name: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Since when it opens nothing.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

impl From<ApiKey> for KeyBody {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            scope: key.scope,
            name: key.name,
            created_at: key.created_at,
            created_by: key.created_by,
            revoked_at: key.revoked_at,
        }
    }
}
