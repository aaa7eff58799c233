//! Long lists in pages: a page says where the next one begins, in a text that only the server reads.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::Problem;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{IntoParams, ToSchema};

/// So many items are on a page unless the caller wants fewer or more.
pub const PAGE_DEFAULT: usize = 50;
/// The most items on a page.
pub const PAGE_MAX: usize = 500;

/// Which page.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next` of the page before; none for the first page.
    pub cursor: Option<String>,
    /// Items on the page: 1 to 500, 50 by default.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<usize>,
}

/// A page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// `cursor` of the next page; none on the last one.
    pub next: Option<String>,
}

impl PageQuery {
    /// How many items, within bounds.
    ///
    /// # Errors
    /// `page.limit`.
    pub fn limit(&self) -> Result<usize, Problem> {
        match self.limit {
            None => Ok(PAGE_DEFAULT),
            Some(limit) if (1..=PAGE_MAX).contains(&limit) => Ok(limit),
            Some(limit) => Err(Problem::new("page.limit", format!("a page cannot have {limit} items"))
                .field("limit")
                .value(limit)
                .cure(format!("ask for 1 to {PAGE_MAX}"))),
        }
    }

    /// Where the page begins: behind this place; none at the beginning.
    ///
    /// # Errors
    /// `page.cursor`.
    pub fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
        let key = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        key.map(Some).ok_or_else(|| {
            Problem::new("page.cursor", "the cursor is none that this list has given")
                .field("cursor")
                .value(cursor)
                .cure("use `next` of the page before, with the same filters, or leave it away")
        })
    }
}

impl<T> Page<T> {
    /// A page of at most `limit` items out of one more than that: the one too many says that there is a next page, which
    /// begins behind the place of the last item that is on this one.
    #[must_use]
    pub fn cut<K: Serialize>(mut items: Vec<T>, limit: usize, place: impl Fn(&T) -> K) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).and_then(|last| serde_json::to_vec(&place(last)).ok());
        Self { items, next: next.map(|bytes| URL_SAFE_NO_PAD.encode(bytes)) }
    }

    /// A page whose next one begins behind a place, if there is one: for lists that look through much to find little.
    #[must_use]
    pub fn next_at(items: Vec<T>, next: Option<impl Serialize>) -> Self {
        let next = next.and_then(|place| serde_json::to_vec(&place).ok());
        Self { items, next: next.map(|bytes| URL_SAFE_NO_PAD.encode(bytes)) }
    }

    /// The same page of something else.
    #[must_use]
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let all: Vec<u32> = (1..=7).collect();
        let (mut query, mut seen) = (PageQuery { cursor: None, limit: Some(3) }, Vec::new());
        loop {
            let after: u32 = query.after().unwrap().unwrap_or(0);
            let found = all.iter().copied().filter(|n| *n > after).take(4).collect();
            let page = Page::cut(found, query.limit().unwrap(), |n| *n);
            seen.push(page.items.clone());
            match page.next {
                None => break,
                next => query.cursor = next,
            }
        }
        assert_eq!(seen, [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);
    }

    #[test]
    fn bad_cursors_and_limits_are_refused_by_name() {
        let limit = |limit| PageQuery { cursor: None, limit: Some(limit) }.limit();
        assert_eq!(limit(1), Ok(1));
        assert_eq!(limit(PAGE_MAX), Ok(PAGE_MAX));
        for bad in [0, PAGE_MAX + 1] {
            assert_eq!(limit(bad).unwrap_err().code, "page.limit");
        }
        let query = PageQuery { cursor: Some("é".into()), limit: None };
        assert_eq!(query.after::<u32>().unwrap_err().code, "page.cursor");
    }
}
