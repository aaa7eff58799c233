//! Users: who may sign in, and as what.

mod change;
mod invite;
mod list;
mod remove;

use model::Problem;
use storage::{Storage, users::UserRole};

use super::NAME_LEN_MAX;
use crate::{operations, section::Section};

/// Its operations.
pub(super) fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("users"), S; list, invite, change, remove)
}

/// Languages in which mails to users are written.
pub const LOCALES: [&str; 2] = ["en", "fr"];

/// An address as users are named by.
///
/// # Errors
/// `email.invalid`.
pub fn email(text: &str) -> Result<String, Problem> {
    let email = model::field::parse_email(text.trim()).map_err(|problem| problem.field("email"))?;
    Ok(email.to_lowercase())
}

/// A role.
///
/// # Errors
/// `user.role`.
pub fn role(text: &str) -> Result<UserRole, Problem> {
    UserRole::parse(text).ok_or_else(|| {
        Problem::new("user.role", format!("there is no role `{text}`"))
            .field("role")
            .value(text)
            .suggest(text, UserRole::ALL.map(UserRole::word))
    })
}

/// A language of mails.
///
/// # Errors
/// `user.locale`.
pub fn locale(text: &str) -> Result<String, Problem> {
    if LOCALES.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(Problem::new("user.locale", format!("nothing is written in `{text}`"))
        .field("locale")
        .value(text)
        .suggest(text, LOCALES))
}

/// What a user is called.
///
/// # Errors
/// `user.name`.
pub fn name(text: &str) -> Result<String, Problem> {
    let name = text.trim();
    if name.chars().count() > NAME_LEN_MAX || name.chars().any(char::is_control) {
        let problem = Problem::new("user.name", "a name has up to 200 characters on one line");
        return Err(problem.field("name").value(text));
    }
    Ok(name.to_owned())
}
