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
-- Who skips duplicates: for merges and erasure.
CREATE INDEX addressed_by_contact ON addressed (contact_id);

-- Search by what a name begins with. Most contacts of a shop's tracking have none.
CREATE INDEX contacts_by_last_name ON contacts (json_extract(profile, '$.last_name') COLLATE NOCASE, contact_id)
WHERE json_extract(profile, '$.last_name') IS NOT NULL;
CREATE INDEX contacts_by_first_name ON contacts (json_extract(profile, '$.first_name') COLLATE NOCASE, contact_id)
WHERE json_extract(profile, '$.first_name') IS NOT NULL;

-- Static lists that somebody named. Who is on one stands in the profile.
CREATE TABLE lists (slug TEXT PRIMARY KEY, name TEXT NOT NULL, created_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- Who is on a list, kept by the triggers below, so that whoever writes profiles cannot forget it.
CREATE TABLE list_members (
  list TEXT NOT NULL,
  contact_id INTEGER NOT NULL,
  PRIMARY KEY (list, contact_id)
) STRICT, WITHOUT ROWID;
INSERT INTO list_members SELECT value, contact_id FROM contacts, json_each(profile, '$.lists');

CREATE TRIGGER list_members_new AFTER INSERT ON contacts
WHEN json_extract(NEW.profile, '$.lists') IS NOT NULL
BEGIN
  INSERT OR IGNORE INTO list_members SELECT value, NEW.contact_id FROM json_each(NEW.profile, '$.lists');
END;

CREATE TRIGGER list_members_changed AFTER UPDATE OF profile ON contacts
WHEN json_extract(OLD.profile, '$.lists') IS NOT json_extract(NEW.profile, '$.lists')
BEGIN
  DELETE FROM list_members WHERE contact_id = OLD.contact_id
    AND list IN (SELECT value FROM json_each(OLD.profile, '$.lists'));
  INSERT OR IGNORE INTO list_members SELECT value, NEW.contact_id FROM json_each(NEW.profile, '$.lists');
END;

CREATE TRIGGER list_members_gone AFTER DELETE ON contacts
WHEN json_extract(OLD.profile, '$.lists') IS NOT NULL
BEGIN
  DELETE FROM list_members WHERE contact_id = OLD.contact_id
    AND list IN (SELECT value FROM json_each(OLD.profile, '$.lists'));
END;
