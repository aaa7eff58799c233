-- Links of messages and what was agreed to through them. See storage::consents.

-- Every change of a consent and every question for one, with its proof: rows are added and, but for erasure, never
-- changed. A contact that is merged brings its rows along.
CREATE TABLE consent_log (
  contact_id INTEGER NOT NULL,
  entry_no INTEGER NOT NULL,              -- ascending over all contacts
  at INTEGER NOT NULL,
  purpose TEXT NOT NULL,
  step INTEGER NOT NULL,                  -- storage::consents::ConsentStep
  source TEXT NOT NULL,
  proof TEXT NOT NULL,
  PRIMARY KEY (contact_id, entry_no)
) STRICT, WITHOUT ROWID;

-- A yes that waits for its confirmation by mail. Rows that were confirmed stay until the consent is taken back, so that
-- the link says so when it is opened again.
CREATE TABLE pending_consents (
  contact_id INTEGER NOT NULL,
  purpose TEXT NOT NULL,
  message_id BLOB NOT NULL,               -- the mail that asks
  asked_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  first_asked_at INTEGER NOT NULL,        -- of the questions that are counted
  asks INTEGER NOT NULL,
  confirmed_at INTEGER,
  PRIMARY KEY (contact_id, purpose)
) STRICT, WITHOUT ROWID;
CREATE INDEX pending_consents_by_message ON pending_consents (message_id);

-- Links of text messages: the code is made from message and place, so that a repeat writes the same row.
CREATE TABLE short_links (
  code TEXT PRIMARY KEY,
  message_id BLOB NOT NULL,
  link INTEGER NOT NULL,
  url TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX short_links_by_message ON short_links (message_id);

-- Clicks that are not judged yet: what a scanner does shows a moment later.
CREATE TABLE clicks (
  click_no INTEGER PRIMARY KEY,
  message_id BLOB NOT NULL,
  kind TEXT NOT NULL,
  link TEXT NOT NULL,
  url TEXT NOT NULL,
  at INTEGER NOT NULL,
  why TEXT                                -- why it is a machine's, as far as it is known at once
) STRICT;
CREATE INDEX clicks_by_time ON clicks (at);

-- Who was told of a message by a contact: of the address only its hash.
CREATE TABLE forwards (
  message_id BLOB NOT NULL,
  address BLOB NOT NULL,                  -- storage::outbox::AddressHash
  at INTEGER NOT NULL,
  PRIMARY KEY (message_id, address)
) STRICT, WITHOUT ROWID;
