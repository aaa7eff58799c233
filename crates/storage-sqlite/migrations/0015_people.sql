-- Anonymous identifiers, merged and erased contacts. See storage::people.

-- 1: not in the profile of its contact: an anonymous id, or what a contact that was merged into it was known by.
ALTER TABLE identifiers ADD COLUMN beside INTEGER NOT NULL DEFAULT 0;
-- For merges, export and erasure: what a contact is known by beside its profile.
CREATE INDEX identifiers_beside ON identifiers (contact_id) WHERE beside = 1;

-- Contacts that are no more: where they went. Links of mails that were sent, and what waits, name the former contact. One
-- that is merged again takes those with it that were merged into it, so that one look-up always answers.
CREATE TABLE departures (
  contact_id INTEGER PRIMARY KEY,
  became INTEGER NOT NULL,                -- the contact that it is part of; 0 when it was erased
  at INTEGER NOT NULL,
  departure_no INTEGER NOT NULL           -- from the sequence 'departure'
) STRICT;
CREATE INDEX departures_by_successor ON departures (became);
-- For a batch at work: who went since it was taken.
CREATE UNIQUE INDEX departures_by_no ON departures (departure_no);

-- For merges and erasure: refunds are few.
CREATE INDEX refund_ids_by_contact ON refund_ids (contact_id);
