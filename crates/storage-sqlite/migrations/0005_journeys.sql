-- Journeys at work. Their versions are definitions (0001); their messages are in the outbox (0006).

-- A run of a journey version over an audience that was frozen at its start.
CREATE TABLE journey_runs (
  run_id INTEGER PRIMARY KEY,
  journey TEXT NOT NULL,
  version INTEGER NOT NULL,
  hash TEXT NOT NULL,                     -- of the version's content
  ordinal INTEGER NOT NULL,               -- which run of this content
  seed INTEGER NOT NULL,                  -- the bits of an unsigned number
  started_at INTEGER NOT NULL,
  finished_at INTEGER,
  checkpoint INTEGER NOT NULL DEFAULT 0,  -- the last contact that is done
  audience_size INTEGER NOT NULL,
  audience BLOB NOT NULL,                 -- a serialised Roaring bitmap of contact ids
  UNIQUE (journey, hash, ordinal)
) STRICT;

-- A contact's passage through a run. `key` tells runs of one contact apart (a cart's id, say); empty where there is one.
CREATE TABLE enrolments (
  contact_id INTEGER NOT NULL,
  run_id INTEGER NOT NULL,
  key TEXT NOT NULL DEFAULT '',
  at INTEGER NOT NULL,
  trace BLOB NOT NULL,                    -- journey::trace: why it went where it went
  PRIMARY KEY (contact_id, run_id, key)
) STRICT, WITHOUT ROWID;

-- How many contacts left which node in which way. Each batch appends its own part (the contact that it ended with);
-- part 0 is the sum of a completed run.
CREATE TABLE journey_counts (
  run_id INTEGER NOT NULL,
  part INTEGER NOT NULL,
  node TEXT NOT NULL,
  measure TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (run_id, part, node, measure)
) STRICT, WITHOUT ROWID;
