-- Contacts and their identifiers; orders, carts, events, catalogue; settings and imports.
-- Every per-contact table starts its key with contact_id; what is unique across contacts has a map table.

CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE contacts (
  contact_id INTEGER PRIMARY KEY,
  version INTEGER NOT NULL DEFAULT 1,     -- raised by every change: commits with an old one are refused
  reach INTEGER NOT NULL DEFAULT 0,       -- 1 has an active email, 2 a phone, 4 a push endpoint
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  profile TEXT NOT NULL                   -- JSON of model::Contact without its id
) STRICT;
