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

-- People who sign in.
CREATE TABLE users (
  user_id INTEGER PRIMARY KEY AUTOINCREMENT,
  email TEXT NOT NULL UNIQUE,             -- in lower case
  name TEXT NOT NULL,
  locale TEXT NOT NULL,                   -- of mails to them: en, fr
  role INTEGER NOT NULL,                  -- storage::users::UserRole
  password TEXT,                          -- argon2id, as a PHC string; none before an invitation is accepted
  totp BLOB,                              -- secret of one-time codes, once confirmed
  totp_pending BLOB,                      -- secret that waits for its first code
  totp_step INTEGER NOT NULL DEFAULT 0,   -- the last step whose code was used: none is taken twice
  subject TEXT UNIQUE,                    -- issuer and subject at the identity provider
  created_at INTEGER NOT NULL,
  signed_in_at INTEGER,
  disabled_at INTEGER
) STRICT;

-- Codes for who has lost the device: SHA-256; a row goes when its code is used.
CREATE TABLE user_recovery (
  user_id INTEGER NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (user_id, hash)
) STRICT, WITHOUT ROWID;

-- Signed in. The token is 256 random bits; only its SHA-256 is kept.
CREATE TABLE sessions (
  hash BLOB PRIMARY KEY,
  session_id TEXT NOT NULL,               -- names it in lists; opens nothing
  user_id INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,               -- to a minute
  client TEXT,
  agent TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id, created_at);

-- What opens something once: SHA-256 of the token that was printed or mailed.
CREATE TABLE tickets (
  hash BLOB PRIMARY KEY,
  kind INTEGER NOT NULL,                  -- storage::users::TicketKind
  user_id INTEGER,                        -- none for the set-up
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tickets_by_user ON tickets (user_id);

-- Mails to users, decided and not yet handed over. They hold no token: that is made when they leave.
CREATE TABLE user_mails (
  mail_id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL,
  kind INTEGER NOT NULL,                  -- storage::users::TicketKind
  created_at INTEGER NOT NULL,
  not_before INTEGER NOT NULL,            -- also the end of a lease
  tries INTEGER NOT NULL DEFAULT 0,
  UNIQUE (user_id, kind)
) STRICT;
CREATE INDEX user_mails_due ON user_mails (not_before);
