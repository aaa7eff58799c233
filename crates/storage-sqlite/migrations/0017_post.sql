-- What comes back: bounces, complaints; webhooks to others. See storage::post, storage::hooks.

-- The address that a message was handed over to (storage::outbox::AddressHash): what comes back is about this one, even
-- when the contact has another by then.
ALTER TABLE outbox ADD COLUMN address BLOB;

-- When the first mail left since the last bounce: what nobody sends back for some days has arrived.
ALTER TABLE bounces ADD COLUMN quiet_since INTEGER;

-- What was said of a message: once for each kind.
CREATE TABLE reports (
  message_id BLOB NOT NULL,
  kind INTEGER NOT NULL,                  -- storage::post::ReportKind
  at INTEGER NOT NULL,
  source TEXT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (message_id, kind)
) STRICT, WITHOUT ROWID;

-- Ids of other sides' reports: a replay is recognised. The oldest are forgotten.
CREATE TABLE reports_seen (
  seen_no INTEGER PRIMARY KEY,
  once TEXT NOT NULL UNIQUE
) STRICT;
