-- The outbox: what was decided, where it stands, what became of it; and the suppression list.

-- What all messages of one node of one run share: one row instead of nine columns in each message.
CREATE TABLE send_points (
  send_id INTEGER PRIMARY KEY,
  journey TEXT NOT NULL,
  journey_version INTEGER NOT NULL,
  run INTEGER NOT NULL,
  node TEXT NOT NULL,
  channel INTEGER NOT NULL,               -- storage::outbox::Channel
  purpose TEXT NOT NULL,
  transactional INTEGER NOT NULL,
  template TEXT NOT NULL,
  template_version INTEGER NOT NULL,
  UNIQUE (run, node, journey, journey_version, channel, purpose, transactional, template, template_version)
) STRICT;

-- The state of each message: narrow, so that counting a million of them and working through the queue touch few pages.
-- The key is the order of arrival: a campaign appends.
CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY,
  message_id BLOB NOT NULL,               -- 16 bytes, the same when the step is replayed
  contact_id INTEGER NOT NULL,
  send_id INTEGER NOT NULL,
  state INTEGER NOT NULL DEFAULT 1,       -- storage::outbox::MessageState; 1 waiting, 2 claimed, 3 being handed over
  attempt INTEGER NOT NULL DEFAULT 0,     -- claims so far: the fence
  failures INTEGER NOT NULL DEFAULT 0,    -- temporary failures so far
  at INTEGER NOT NULL,                    -- waiting: due; claimed: end of the lease; settled: when
  reason TEXT,
  detail TEXT
) STRICT;

-- A replayed step finds its message. Ids of a run ascend with its enrolments, so a campaign appends here too.
CREATE UNIQUE INDEX outbox_message_id ON outbox (message_id);
-- Messages of a contact.
CREATE INDEX outbox_contact ON outbox (contact_id);
-- Who is due (state 1), whose lease is over (2, 3). A settled message leaves it.
CREATE INDEX outbox_open ON outbox (state, at) WHERE state <= 3;

-- What a message is rendered from: written once, read once.
CREATE TABLE outbox_bodies (
  seq INTEGER PRIMARY KEY,
  decided_at INTEGER NOT NULL,
  to_address TEXT,                        -- a fixed one; usually the contact's at hand-over
  locale TEXT,
  variables TEXT NOT NULL                 -- JSON object
) STRICT;

-- Addresses never to be written to, known by a hash alone.
CREATE TABLE suppressions (
  address BLOB PRIMARY KEY,               -- storage::outbox::AddressHash
  reason INTEGER NOT NULL,                -- storage::outbox::SuppressionReason
  since INTEGER NOT NULL,
  until INTEGER,                          -- exclusive; for good without it
  detail TEXT NOT NULL
) STRICT, WITHOUT ROWID;
