//! Contacts of a batch: found by an identifier, made or changed.

use model::{Consent, Contact, ContactId, Problem, PushSubscription, Timestamp};
use storage::{
    Result, StoreError,
    contacts::IdentifierKind,
    imports::{ContactKey, ContactPatch, ItemKind, Undefined},
    people::Edited,
};

use super::Work;
use crate::{
    consents::{ask, log_changes},
    contacts::{claim, claim_beside, insert, load_one, owner, release, update},
    rows::take_numbers,
};

impl Work<'_> {
    pub(super) fn take_contacts(&mut self, patches: Vec<ContactPatch>) -> Result<()> {
        for (index, patch) in patches.into_iter().enumerate() {
            if let Err(problem) = self.take_contact(&patch)? {
                self.refuse(ItemKind::Contact, index, problem);
            }
        }
        Ok(())
    }

    fn take_contact(&mut self, patch: &ContactPatch) -> Result<std::result::Result<(), Problem>> {
        let who = match self.who(patch)? {
            Ok(who) => who,
            Err(problem) => return Ok(Err(problem)),
        };
        let Some(id) = who.contact else {
            let created_at = patch.created_at.unwrap_or(self.now);
            let mut contact = self.fresh_contact(created_at)?;
            apply(&mut contact, patch);
            if let Err(problem) = may_be(&Contact::default(), &contact, patch) {
                return Ok(Err(problem));
            }
            self.claim_all(&contact)?;
            insert(self.connection, &contact)?;
            self.join_browsers(contact.id, patch)?;
            log_changes(self.connection, &Contact::default(), &contact)?;
            self.ask_all(&contact, patch)?;
            self.outcome.contacts.new += 1;
            self.contact_created(&contact)?;
            return Ok(Ok(()));
        };
        let before = self.contact(id)?;
        let mut contact = before.clone();
        apply(&mut contact, patch);
        if who.by_former_id {
            contact.external_id.clone_from(&before.external_id);
        }
        if let Some(created_at) = patch.created_at {
            contact.created_at = created_at;
        }
        if let Err(problem) = may_be(&before, &contact, patch) {
            return Ok(Err(problem));
        }
        self.ask_all(&contact, patch)?;
        if contact == before {
            self.join_browsers(id, patch)?;
            self.outcome.contacts.known += u64::from(!who.merged);
            self.outcome.contacts.changed += u64::from(who.merged);
            return Ok(Ok(()));
        }
        contact.updated_at = contact.updated_at.max(self.now);
        self.release_changed(&before, &contact)?;
        self.claim_all(&contact)?;
        update(self.connection, &contact)?;
        self.join_browsers(id, patch)?;
        log_changes(self.connection, &before, &contact)?;
        self.outcome.contacts.changed += 1;
        self.contact_updated(&before, &contact)?;
        Ok(Ok(()))
    }

    fn ask_all(&self, contact: &Contact, patch: &ContactPatch) -> Result<()> {
        patch.to_confirm.iter().try_for_each(|wanted| ask(self.connection, contact, wanted))
    }

    /// Writes a profile that somebody changed by hand, unless it is not what they saw.
    pub(super) fn edit(&mut self, before: &Contact, mut after: Contact) -> Result<Edited> {
        if load_one(self.connection, before.id)?.as_ref() != Some(before) {
            return Ok(Edited::Changed);
        }
        if after == *before {
            return Ok(Edited::Done);
        }
        after.updated_at = after.updated_at.max(self.now);
        self.release_changed(before, &after)?;
        self.claim_all(&after)?;
        update(self.connection, &after)?;
        self.contact_updated(before, &after)?;
        Ok(Edited::Done)
    }

    pub(super) fn contact(&self, id: ContactId) -> Result<Contact> {
        load_one(self.connection, id)?
            .ok_or_else(|| crate::rows::inconsistent("identifiers", id, "the contact does not exist"))
    }

    pub(super) fn fresh_contact(&self, created_at: Timestamp) -> Result<Contact> {
        let id = ContactId(take_numbers(self.connection, "contact", 1)?);
        Ok(Contact { id, created_at, updated_at: self.now, ..Contact::default() })
    }

    /// A phone number may be shared by a family: it points to the first who gave it.
    fn claim_all(&self, contact: &Contact) -> Result<()> {
        for (kind, value) in identifiers(contact) {
            let Some(value) = value else { continue };
            let ours = claim(self.connection, kind, value, contact.id)?;
            if !ours && kind != IdentifierKind::Phone {
                return Err(StoreError::Refused(
                    Problem::new("contact.identifier_taken", "the identifier belongs to another contact")
                        .value(value),
                ));
            }
        }
        Ok(())
    }

    fn release_changed(&self, before: &Contact, after: &Contact) -> Result<()> {
        for ((kind, old), (_, new)) in identifiers(before).into_iter().zip(identifiers(after)) {
            if let Some(old) = old
                && Some(old) != new
            {
                release(self.connection, kind, old, before.id)?;
            }
        }
        Ok(())
    }

    /// The contact that an order, a cart or an event names; made when it is not known yet, first seen at `at`.
    pub(super) fn contact_named(&mut self, key: ContactKey, at: Timestamp) -> Result<ContactId> {
        if let Some(id) = self.contacts.get(&key) {
            return Ok(*id);
        }
        let id = match &key {
            ContactKey::ExternalId(id) => self.named(IdentifierKind::ExternalId, id, at)?,
            ContactKey::Email(email) => self.named(IdentifierKind::Email, email, at)?,
            ContactKey::Anonymous(id) => self.named(IdentifierKind::Anonymous, id, at)?,
            ContactKey::SignedIn { known, anonymous_id } => {
                let id = self.contact_named(ContactKey::clone(known), at)?;
                self.join_browser(id, anonymous_id)?
            }
        };
        self.contacts.insert(key, id);
        Ok(id)
    }

    fn named(&mut self, kind: IdentifierKind, value: &str, at: Timestamp) -> Result<ContactId> {
        if let Some(id) = owner(self.connection, kind, value)? {
            return Ok(id);
        }
        let mut contact = self.fresh_contact(at)?;
        match kind {
            IdentifierKind::ExternalId => contact.external_id = Some(value.to_owned()),
            IdentifierKind::Email => contact.email = Some(value.to_owned()),
            IdentifierKind::Phone => contact.phone = Some(value.to_owned()),
            IdentifierKind::Anonymous => claim_beside(self.connection, kind, value, contact.id)?,
        }
        self.claim_all(&contact)?;
        insert(self.connection, &contact)?;
        self.outcome.contacts.new += 1;
        self.contact_created(&contact)?;
        Ok(contact.id)
    }
}

fn identifiers(contact: &Contact) -> [(IdentifierKind, Option<&str>); 3] {
    [
        (IdentifierKind::ExternalId, contact.external_id.as_deref()),
        (IdentifierKind::Email, contact.email.as_deref()),
        (IdentifierKind::Phone, contact.phone.as_deref()),
    ]
}

/// What is given overwrites, what is absent stays.
fn apply(contact: &mut Contact, patch: &ContactPatch) {
    let texts = [
        (&mut contact.external_id, &patch.external_id),
        (&mut contact.email, &patch.email),
        (&mut contact.phone, &patch.phone),
        (&mut contact.first_name, &patch.first_name),
        (&mut contact.last_name, &patch.last_name),
        (&mut contact.country, &patch.country),
        (&mut contact.locale, &patch.locale),
        (&mut contact.time_zone, &patch.time_zone),
    ];
    for (field, given) in texts {
        if given.is_some() {
            field.clone_from(given);
        }
    }
    contact.email_status = patch.email_status.unwrap_or(contact.email_status);
    contact.birth_date = patch.birth_date.or(contact.birth_date);
    for consent in &patch.consents {
        answer(&mut contact.consents, consent);
    }
    for list in &patch.lists {
        if let Err(place) = contact.lists.binary_search(list) {
            contact.lists.insert(place, list.clone());
        }
    }
    for given in &patch.push {
        contact.push.retain(|known| known.endpoint != given.endpoint);
        contact.push.push(given.clone());
    }
    let over = contact.push.len().saturating_sub(PushSubscription::MAX);
    contact.push.drain(..over);
    for (field, value) in &patch.fields {
        match value {
            Some(value) => contact.fields.insert(field.clone(), value.clone()),
            None => contact.fields.remove(field),
        };
    }
}

/// One answer per purpose: the latest; of two of the same instant the one that came last.
fn answer(consents: &mut Vec<Consent>, given: &Consent) {
    match consents.iter_mut().find(|consent| consent.purpose == given.purpose) {
        Some(stored) if given.at >= stored.at => stored.clone_from(given),
        Some(_) => {}
        None => consents.push(given.clone()),
    }
}

/// Whether a patch may make one contact of another.
fn may_be(before: &Contact, after: &Contact, patch: &ContactPatch) -> std::result::Result<(), Problem> {
    can_be_asked(after, patch)?;
    let Undefined { names, fields_max } = &patch.undefined;
    let is_new = |name: &&String| !before.fields.contains_key(*name);
    match names.iter().find(is_new) {
        Some(name) if after.fields.len() > *fields_max as usize => {
            let many = format!("the contact would have {} fields, `{name}` among them", after.fields.len());
            Err(Problem::new("contact.too_many_fields", many).field(format!("traits.{name}")).cure(format!(
                "define the fields that you need and drop other traits; or allow more than {fields_max}"
            )))
        }
        _ => Ok(()),
    }
}

/// A yes that is to be confirmed by mail needs an address.
fn can_be_asked(contact: &Contact, patch: &ContactPatch) -> std::result::Result<(), Problem> {
    match patch.to_confirm.first() {
        Some(wanted) if contact.email.is_none() => Err(Problem::new(
            "consent.no_address",
            format!("`{}` is to be confirmed by mail, and the contact has no address", wanted.purpose),
        )
        .field("consent")
        .value(&wanted.purpose)
        .cure("send the address along; or set `double_opt_in: false` for the purpose")),
        _ => Ok(()),
    }
}
