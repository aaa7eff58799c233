//! What holds for the workspace as a whole.

mod get;
pub mod known;
mod list;
mod put;

use serde::Serialize;
use serde_json::Value;
use storage::Storage;
use utoipa::ToSchema;

use crate::{operations, section::Section};

/// Its operations.
pub(super) fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("settings"), S; list, get, put)
}

/// A setting.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SettingBody {
    /// Its name.
    name: String,
    /// What it is for.
    about: String,
    /// What it holds: of its own shape; null when it is not set.
    value: Value,
}
