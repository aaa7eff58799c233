//! Search: what begins with a text, each kind of it by one range of an index.

use model::{Contact, ContactId, text::folded};
use rusqlite::Connection;
use storage::{
    Result,
    contacts::IdentifierKind,
    people::{FindBy, FindPlace},
};

use crate::{contacts::load_one, pool::driver};

/// Contacts behind a place. One that an earlier kind of the search has found is not told again.
pub(super) fn find(
    connection: &Connection,
    text: &str,
    by: &[FindBy],
    after: Option<&FindPlace>,
    limit: usize,
) -> Result<Vec<(FindPlace, Contact)>> {
    let mut found = Vec::new();
    let begin = after.map_or(0, |place| by.iter().position(|one| *one == place.by).unwrap_or(by.len()));
    for (index, one) in by.iter().enumerate().skip(begin) {
        let mut place =
            after.filter(|place| place.by == *one).map(|place| (place.value.clone(), place.contact));
        while found.len() < limit {
            let rows = range(connection, *one, &prefix(*one, text), place.as_ref(), limit - found.len())?;
            let Some(last) = rows.last().cloned() else { break };
            for (value, contact) in rows {
                let Some(profile) = load_one(connection, contact)? else { continue };
                if by[..index].iter().all(|earlier| !begins(&profile, *earlier, text)) {
                    found.push((FindPlace { by: *one, value, contact }, profile));
                }
            }
            place = Some(last);
        }
    }
    Ok(found)
}

/// What is compared: a name as it is, an address without regard to case.
fn prefix(by: FindBy, text: &str) -> String {
    match by {
        FindBy::Email => folded(text),
        _ => text.trim().to_owned(),
    }
}

/// Whether a contact was told under an earlier kind: by what its profile says, for a search over several kinds. (One that
/// only a former identifier found there is told again: it says something else about it.)
fn begins(contact: &Contact, by: FindBy, text: &str) -> bool {
    let prefix = prefix(by, text);
    match by {
        FindBy::Email => contact.email.as_deref().is_some_and(|email| folded(email).starts_with(&prefix)),
        FindBy::ExternalId => contact.external_id.as_deref().is_some_and(|id| id.starts_with(&prefix)),
        FindBy::Phone => contact.phone.as_deref().is_some_and(|phone| phone.starts_with(&prefix)),
        FindBy::LastName => contact.last_name.as_deref().is_some_and(|name| begins_name(name, &prefix)),
        FindBy::FirstName => contact.first_name.as_deref().is_some_and(|name| begins_name(name, &prefix)),
    }
}

/// As the index compares.
fn begins_name(name: &str, prefix: &str) -> bool {
    name.as_bytes().get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// The next entries of an index that begin with a text.
fn range(
    connection: &Connection,
    by: FindBy,
    prefix: &str,
    after: Option<&(String, ContactId)>,
    limit: usize,
) -> Result<Vec<(String, ContactId)>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    // No text that begins with the prefix is behind it with the greatest character at its end.
    let end = format!("{prefix}\u{10FFFF}");
    let (from, contact) = after.map_or((prefix, ContactId(0)), |(value, contact)| (value, *contact));
    let kind = match by {
        FindBy::Email => Some(IdentifierKind::Email),
        FindBy::ExternalId => Some(IdentifierKind::ExternalId),
        FindBy::Phone => Some(IdentifierKind::Phone),
        FindBy::LastName | FindBy::FirstName => None,
    };
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, ContactId(row.get(1)?)));
    let found = match kind {
        // An identifier is one contact's.
        Some(kind) => {
            let operator = if after.is_some() { ">" } else { ">=" };
            connection
                .prepare_cached(&format!(
                    "SELECT value, contact_id FROM identifiers
                     WHERE kind = ?1 AND value {operator} ?2 AND value < ?3 ORDER BY value LIMIT ?4"
                ))
                .and_then(|mut query| query.query_map((kind as u8, from, end, limit), read)?.collect())
        }
        None => {
            let name = if by == FindBy::LastName { "last_name" } else { "first_name" };
            let value = format!("json_extract(profile, '$.{name}')");
            connection
                .prepare_cached(&format!(
                    "SELECT {value}, contact_id FROM contacts
                     WHERE {value} COLLATE NOCASE >= ?1 AND {value} COLLATE NOCASE < ?2
                       AND ({value} COLLATE NOCASE > ?1 OR contact_id > ?3)
                     ORDER BY {value} COLLATE NOCASE, contact_id LIMIT ?4"
                ))
                .and_then(|mut query| query.query_map((from, end, contact.0, limit), read)?.collect())
        }
    };
    found.map_err(driver)
}
