//! Settings of the workspace and definitions known by slug: fields, and versions of what files hold.

use std::future::Future;

use crate::Result;

/// Small named values, JSON.
pub trait SettingsStore {
    /// The value of a setting.
    fn load_setting(&self, key: String) -> impl Future<Output = Result<Option<serde_json::Value>>> + Send;
    /// Sets it.
    fn save_setting(&self, key: String, value: serde_json::Value) -> impl Future<Output = Result<()>> + Send;
}
