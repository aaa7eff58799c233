//! `/api/v1/lists`: static lists of contacts.

mod contacts;
mod drop;
mod list;
mod members;
mod put;

use serde::Serialize;
use storage::{Storage, people::ListRecord};
use utoipa::ToSchema;

use crate::{ApiError, ApiResult, App, operations, said::At, section::Section};

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("lists"), S; list, put, members, contacts, drop)
}

/// A static list.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ListBody {
    /// What it is known by.
    slug: String,
    /// What the shop calls it.
    name: String,
    /// When it was named; none for one that only files and journeys name.
    created_at: Option<At>,
    /// How many are on it.
    members: u64,
}

impl From<ListRecord> for ListBody {
    fn from(list: ListRecord) -> Self {
        Self {
            slug: list.slug.to_string(),
            name: list.name,
            created_at: list.created_at.map(At),
            members: list.members,
        }
    }
}

/// A list by its slug.
async fn find<S: Storage>(app: &App<S>, slug: &model::Slug) -> ApiResult<ListRecord> {
    let lists = app.store.load_lists().await?;
    lists.into_iter().find(|list| list.slug == *slug).ok_or_else(|| ApiError::not_found("list", slug))
}
