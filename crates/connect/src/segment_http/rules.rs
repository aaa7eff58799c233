//! What a workspace chooses about tracking: the setting `tracking`.

use model::Slug;
use serde::{Deserialize, Serialize};

/// What `userId` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserId {
    /// The shop's own id of the contact.
    #[default]
    ExternalId,
    /// Its email address.
    Email,
}

/// What becomes of a trait that is neither a built-in field nor a defined one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownTraits {
    /// It is kept as a field of that name, with the type that it came with.
    #[default]
    Keep,
    /// It is left out.
    Drop,
    /// The message is refused.
    Refuse,
}

/// What a group is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Groups {
    /// A list: the contact is put into it.
    #[default]
    Lists,
    /// Fields of the contact: `group_id` and the group's traits as `group_<name>`.
    Fields,
    /// Nothing.
    Ignore,
}

/// What events may say about products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Catalogue {
    /// What the catalogue does not know yet, and newer prices.
    #[default]
    Missing,
    /// Everything: for shops whose events come from their servers.
    Newest,
    /// Nothing: for shops that import their catalogue.
    Ignore,
}

/// The setting `tracking`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// What `userId` is.
    pub user_id: UserId,
    /// What becomes of unknown traits.
    pub unknown_traits: UnknownTraits,
    /// A contact collects no more fields by unknown traits than make so many with those that it has.
    pub unknown_traits_max: u32,
    /// What a group is.
    pub groups: Groups,
    /// What events may say about products.
    pub catalogue: Catalogue,
    /// The purpose of a consent that names none.
    pub purpose: Slug,
    /// Whether answers to consent are taken from tracking at all.
    pub consent: bool,
}

impl Rules {
    /// The name of the setting.
    pub const SETTING: &str = "tracking";
    /// How many fields a contact may have by unknown traits where nothing is said.
    pub const UNKNOWN_TRAITS_MAX: u32 = 200;
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            user_id: UserId::default(),
            unknown_traits: UnknownTraits::default(),
            unknown_traits_max: Self::UNKNOWN_TRAITS_MAX,
            groups: Groups::default(),
            catalogue: Catalogue::default(),
            purpose: Slug::parse("newsletter").expect("a slug"),
            consent: true,
        }
    }
}
