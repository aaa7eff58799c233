//! Where a contact stands in an RFM model: what segments, branches and pages read. The scoring itself is the room
//! `rfm`.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A contact's current place in one RFM model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RfmPlacement {
    /// The model's slug, as in `classic-11`.
    pub model: String,
    /// Recency score, 1 (long ago) up.
    pub recency: u8,
    /// Frequency score, 1 up.
    pub frequency: u8,
    /// Monetary score, 1 up.
    pub monetary: u8,
    /// Slug of the current group, as in `cant_lose_them`; `none` for a contact whose orders all left the window.
    pub group: String,
    /// Slug of the group before it, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_group: Option<String>,
    /// When the current group was entered.
    pub since: Timestamp,
}
