//! How the pages for people look: the setting `branding`.

mod get;
mod put;

use storage::Storage;

use crate::{operations, section::Section};

pub(super) fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("links"), S; get, put)
}
