//! Who is meant where several identifiers are named together: the rules of docs/identity.md.
//!
//! An email address or a former id that is named beside an external id says that both are one person: two contacts
//! become one. A browser says less, for computers are shared: it joins an anonymous contact to a known one, and two known
//! ones never.

use model::{Contact, ContactId, Problem};
use storage::{
    Result,
    contacts::IdentifierKind,
    imports::{ContactKey, ContactPatch},
};

use super::{Work, check_id};
use crate::{
    contacts::{claim_beside, owner},
    people,
};

/// The contact that a patch is about.
#[derive(Default)]
pub(super) struct Who {
    /// None: somebody new.
    pub(super) contact: Option<ContactId>,
    /// The external id of the patch is one that the contact had before: it does not become its id again.
    pub(super) by_former_id: bool,
    /// Other contacts were merged into it.
    pub(super) merged: bool,
}

type Checked<T> = std::result::Result<T, Problem>;

impl Work<'_> {
    /// The contact that a patch is about, with those merged that it says are the same.
    pub(super) fn who(&mut self, patch: &ContactPatch) -> Result<Checked<Who>> {
        if let Err(problem) = check(patch) {
            return Ok(Err(problem));
        }
        let by_external = self.owner_of(IdentifierKind::ExternalId, patch.external_id.as_deref())?;
        let by_email = self.owner_of(IdentifierKind::Email, patch.email.as_deref())?;
        let mut who = Who::default();
        match (by_external, by_email) {
            (Some(own), Some(other)) if own != other => {
                if self.contact(other)?.external_id.is_some() {
                    return Ok(Err(taken(patch)));
                }
                who.contact = Some(self.merge_two(own, other)?);
                who.merged = true;
            }
            (Some(own), _) => who.contact = Some(own),
            (None, Some(own)) => {
                if patch.external_id.is_some() && self.contact(own)?.external_id.is_some() {
                    return Ok(Err(taken(patch)));
                }
                who.contact = Some(own);
            }
            (None, None) => {}
        }
        if let (Some(id), Some(_)) = (who.contact, by_external) {
            who.by_former_id = self.contact(id)?.external_id != patch.external_id;
        }
        for former in &patch.former_ids {
            let Some(other) = owner(self.connection, IdentifierKind::ExternalId, former)? else { continue };
            match who.contact {
                Some(own) if own == other => {}
                Some(own) => {
                    who.contact = Some(self.merge_two(own, other)?);
                    who.merged = true;
                    who.by_former_id = false;
                }
                None => who.contact = Some(other),
            }
        }
        if who.contact.is_none() {
            who.contact = self.who_of_browsers(patch)?;
        }
        if let Some(own) = who.contact {
            let (joined, merged) = self.take_in_browsers(own, patch)?;
            who.contact = Some(joined);
            who.merged |= merged;
        }
        Ok(Ok(who))
    }

    /// The contact of the first browser whose contact the patch may be about: an anonymous one; a known one only when the
    /// patch names nothing better.
    fn who_of_browsers(&self, patch: &ContactPatch) -> Result<Option<ContactId>> {
        let signs_in = patch.external_id.is_some() || patch.email.is_some();
        let mut anonymous = None;
        for id in &patch.anonymous_ids {
            let Some(other) = owner(self.connection, IdentifierKind::Anonymous, id)? else { continue };
            if is_anonymous(&self.contact(other)?) {
                anonymous = anonymous.or(Some(other));
            } else if !signs_in {
                return Ok(Some(other));
            }
        }
        Ok(anonymous)
    }

    /// Merges the anonymous contacts of a patch's browsers into one; answers whether there were any.
    fn take_in_browsers(&mut self, own: ContactId, patch: &ContactPatch) -> Result<(ContactId, bool)> {
        let (mut own, mut merged) = (own, false);
        for id in &patch.anonymous_ids {
            let Some(other) = owner(self.connection, IdentifierKind::Anonymous, id)? else { continue };
            if other != own && is_anonymous(&self.contact(other)?) {
                own = self.merge_two(own, other)?;
                merged = true;
            }
        }
        Ok((own, merged))
    }

    /// The browsers of a patch are its contact's from now on, and its former ids lead there. A browser of somebody else
    /// changes hands when the patch says who signs in.
    pub(super) fn join_browsers(&mut self, own: ContactId, patch: &ContactPatch) -> Result<()> {
        let signs_in = patch.external_id.is_some() || patch.email.is_some();
        for id in &patch.anonymous_ids {
            let known = owner(self.connection, IdentifierKind::Anonymous, id)?;
            if known.is_none() || (signs_in && known != Some(own)) {
                claim_beside(self.connection, IdentifierKind::Anonymous, id, own)?;
            }
        }
        for id in patch.former_ids.iter().filter(|id| patch.external_id.as_ref() != Some(*id)) {
            claim_beside(self.connection, IdentifierKind::ExternalId, id, own)?;
        }
        Ok(())
    }

    /// Somebody is known in this browser: what it did while it was anonymous becomes theirs; one of somebody else changes
    /// hands. Answers with who they are then.
    pub(super) fn join_browser(&mut self, own: ContactId, anonymous_id: &str) -> Result<ContactId> {
        match owner(self.connection, IdentifierKind::Anonymous, anonymous_id)? {
            Some(other) if other == own => return Ok(own),
            Some(other) if is_anonymous(&self.contact(other)?) => return self.merge_two(own, other),
            _ => {}
        }
        claim_beside(self.connection, IdentifierKind::Anonymous, anonymous_id, own)?;
        Ok(own)
    }

    fn owner_of(&self, kind: IdentifierKind, value: Option<&str>) -> Result<Option<ContactId>> {
        value.map_or(Ok(None), |value| owner(self.connection, kind, value))
    }

    /// Makes two contacts one: who is known better wins, then who is older. What the batch holds in memory follows.
    fn merge_two(&mut self, one: ContactId, other: ContactId) -> Result<ContactId> {
        let rank = |contact: &Contact| {
            let known = (contact.external_id.is_some(), contact.email.is_some());
            (std::cmp::Reverse(known), contact.created_at, contact.id)
        };
        let first = rank(&self.contact(one)?) <= rank(&self.contact(other)?);
        let (winner, loser) = if first { (one, other) } else { (other, one) };
        let moved = people::merge(self.connection, &self.caches.recent, winner, loser, self.now)?;
        for id in self.contacts.values_mut().filter(|id| **id == loser) {
            *id = winner;
        }
        self.totals.merged(winner, loser);
        self.redemptions.merged(winner, loser);
        self.merges.push(moved);
        Ok(winner)
    }

    /// Tells the engine of the batch's merges: behind all that happened in it, and for a file of the past, too, for the
    /// engine holds the loser in memory.
    pub(super) fn tell_merged(&mut self) -> Result<()> {
        match std::mem::take(&mut self.merges) {
            none if none.is_empty() => Ok(()),
            merges => people::tell(self.connection, merges, self.now),
        }
    }
}

/// Neither the shop nor a mail can name it.
fn is_anonymous(contact: &Contact) -> bool {
    contact.external_id.is_none() && contact.email.is_none()
}

fn check(patch: &ContactPatch) -> Checked<()> {
    let single = [("external_id", &patch.external_id), ("email", &patch.email)];
    for (field, id) in single.into_iter().filter_map(|(field, id)| Some((field, id.as_ref()?))) {
        check_id(field, id)?;
    }
    let many = [
        ("anonymous_ids", &patch.anonymous_ids, ContactPatch::ANONYMOUS_IDS_MAX),
        ("former_ids", &patch.former_ids, ContactPatch::FORMER_IDS_MAX),
    ];
    for (field, ids, max) in many {
        if ids.len() > max {
            return Err(Problem::new(
                "contact.too_many_ids",
                format!("the contact names {} {field}", ids.len()),
            )
            .field(field)
            .value(ids.len())
            .cure(format!("name at most {max} at once")));
        }
        ids.iter().try_for_each(|id| check_id(field, id))?;
    }
    if patch.external_id.is_none() && patch.email.is_none() && patch.anonymous_ids.is_empty() {
        return Err(Problem::new(
            "contact.no_identifier",
            "the contact has neither an id nor an email address",
        )
        .field("external_id")
        .cure("map a column to external_id or to email"));
    }
    Ok(())
}

fn taken(patch: &ContactPatch) -> Problem {
    Problem::new("contact.identifier_taken", "the email address belongs to a contact with another id")
        .field("email")
        .value(patch.email.clone().unwrap_or_default())
        .cure("give each address to one contact only, or leave it out for this one")
}

/// Whether each identifier that a key names can be one.
pub(super) fn check_key(key: &ContactKey) -> Checked<()> {
    match key {
        ContactKey::ExternalId(id) => check_id("contact", id),
        ContactKey::Email(email) => check_id("email", email),
        ContactKey::Anonymous(id) => check_id("anonymous_id", id),
        ContactKey::SignedIn { known, anonymous_id } => {
            check_key(known)?;
            check_id("anonymous_id", anonymous_id)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_ids_and_not_one_more() {
        let ids = |n: usize| (0..n).map(|i| format!("b{i}")).collect::<Vec<_>>();
        let code = |anonymous: usize, former: usize| {
            let patch = ContactPatch {
                anonymous_ids: ids(anonymous),
                former_ids: ids(former),
                ..ContactPatch::default()
            };
            check(&patch).err().map(|problem| problem.code.to_string())
        };
        let (most, most_former) = (ContactPatch::ANONYMOUS_IDS_MAX, ContactPatch::FORMER_IDS_MAX);
        assert_eq!(code(most, most_former), None);
        assert_eq!(code(most + 1, 0).as_deref(), Some("contact.too_many_ids"));
        assert_eq!(code(1, most_former + 1).as_deref(), Some("contact.too_many_ids"));
        assert_eq!(code(0, 1).as_deref(), Some("contact.no_identifier"));
    }
}
