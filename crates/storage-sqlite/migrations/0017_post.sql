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

-- Subscriptions of others.
CREATE TABLE hooks (
  hook_id INTEGER PRIMARY KEY,
  url TEXT NOT NULL,
  kinds TEXT NOT NULL,                    -- JSON list of kinds of events; empty for all
  note TEXT NOT NULL,
  active INTEGER NOT NULL,
  secrets TEXT NOT NULL,                  -- JSON list of storage::hooks::HookSecret
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  failures INTEGER NOT NULL DEFAULT 0,
  failing_since INTEGER,
  open_until INTEGER,
  disabled_at INTEGER,
  waiting INTEGER NOT NULL DEFAULT 0,     -- rows of hook_deliveries that wait
  overflow INTEGER NOT NULL DEFAULT 0,
  overflow_at INTEGER
) STRICT;

-- What each of them is told.
CREATE TABLE hook_deliveries (
  seq INTEGER PRIMARY KEY,
  hook_id INTEGER NOT NULL,
  event_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  contact_id INTEGER NOT NULL,            -- 0 for a test
  at INTEGER NOT NULL,
  properties TEXT NOT NULL,               -- JSON object; empty text when there are none
  state INTEGER NOT NULL,                 -- storage::hooks::DeliveryState
  attempts INTEGER NOT NULL DEFAULT 0,
  due INTEGER NOT NULL,                   -- waiting: when; settled: when it was
  status INTEGER,
  detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX hook_deliveries_event ON hook_deliveries (hook_id, event_id);
CREATE INDEX hook_deliveries_due ON hook_deliveries (hook_id, due) WHERE state = 1;
CREATE INDEX hook_deliveries_settled ON hook_deliveries (due) WHERE state <> 1;
-- For erasing a contact.
CREATE INDEX hook_deliveries_contact ON hook_deliveries (contact_id);
