-- Who may come in: keys, users, sessions; the audit log. See storage::access, storage::audit.

-- API keys. Of a secret only its SHA-256 is kept: secrets are 160 random bits, so a slow hash would protect nothing.
CREATE TABLE api_keys (
  key_id TEXT PRIMARY KEY,                -- the public half of the key
  hash BLOB NOT NULL,                     -- SHA-256 of the whole key
  scope INTEGER NOT NULL,                 -- storage::access::KeyScope
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  revoked_at INTEGER
) STRICT, WITHOUT ROWID;

-- Who did what. Ids grow and are never given again, so that a gap shows what retention took away.
CREATE TABLE audit (
  entry_id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  who TEXT NOT NULL,
  action TEXT NOT NULL,                   -- as in journey.publish
  object TEXT NOT NULL,                   -- as in journey:welcome; may be empty
  details TEXT NOT NULL,                  -- a JSON object
  client TEXT                             -- network address
) STRICT;
CREATE INDEX audit_by_who ON audit (who, entry_id);
CREATE INDEX audit_by_object ON audit (object, entry_id);
