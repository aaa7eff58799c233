//! Signing in and out, and a user's sessions.

mod end;
mod end_others;
mod list;
mod sign_in;
mod sign_out;
mod who;

pub(crate) use sign_in::{SignIn, sign_in};

use storage::Storage;

use crate::{each_time, section::Section};

/// Its operations.
pub(super) fn section<S: Storage>() -> Section<S> {
    each_time!(Section::new("session"), S; sign_in, who, sign_out, list, end, end_others)
}
