-- Sending rules at hand-over, bounces, and the order of the queue.

-- What is urgent leaves first: 0 transactional, 1 journeys of single contacts, 2 what goes to many at once.
ALTER TABLE outbox ADD COLUMN rank INTEGER NOT NULL DEFAULT 1;
UPDATE outbox SET rank = 0 WHERE state <= 3
  AND (SELECT transactional FROM send_points s WHERE s.send_id = outbox.send_id);
DROP INDEX outbox_open;
-- Who is due, the urgent first. A message that is claimed leaves it.
CREATE INDEX outbox_due ON outbox (rank, at) WHERE state = 1;
-- Whose lease is over.
CREATE INDEX outbox_leases ON outbox (at) WHERE state IN (2, 3);

-- Not to be handed over after; none: it keeps.
ALTER TABLE outbox_bodies ADD COLUMN expires_at INTEGER;

-- Soft bounces of an address: in a row since the last mail that arrived, and how often they led to a suppression.
CREATE TABLE bounces (
  address BLOB PRIMARY KEY,               -- storage::outbox::AddressHash
  in_a_row INTEGER NOT NULL,
  suppressed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Marketing messages handed over by the minute, for send limits: minutes since 1970. Old minutes are forgotten.
CREATE TABLE handed_over (
  minute INTEGER NOT NULL,
  journey TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (minute, journey)
) STRICT, WITHOUT ROWID;

-- Who got a node's message at an address, for nodes that skip duplicates.
CREATE TABLE addressed (
  journey TEXT NOT NULL,
  node TEXT NOT NULL,
  address BLOB NOT NULL,
  contact_id INTEGER NOT NULL,
  PRIMARY KEY (journey, node, address)
) STRICT, WITHOUT ROWID;
