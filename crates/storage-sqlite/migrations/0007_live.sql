-- The living engine: see storage::live.

-- What happened to contacts and is not worked on yet, in order. A row goes with the commit of what came of it.
-- `contact_id` is 0 where it happened to a product. Numbers come from the sequence 'input' and are never given again.
CREATE TABLE inputs (
  input_no INTEGER PRIMARY KEY,
  contact_id INTEGER NOT NULL,
  at INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  kind_id INTEGER NOT NULL,
  message_id TEXT,
  causes INTEGER NOT NULL,                -- how many inputs caused each other before it
  properties TEXT NOT NULL                -- JSON object; empty text when there are none
) STRICT;

-- The same for many contacts at once. A row goes with its last contact.
CREATE TABLE waves (
  wave_no INTEGER PRIMARY KEY,
  checkpoint INTEGER NOT NULL,            -- the last contact that is done
  last_contact INTEGER NOT NULL,
  causes INTEGER NOT NULL,
  event TEXT NOT NULL,                    -- JSON of model::Event
  contacts BLOB NOT NULL                  -- a serialised Roaring treemap of contact ids
) STRICT;

-- One alarm clock for each contact that waits for something. No row: nothing.
CREATE TABLE alarms (
  contact_id INTEGER PRIMARY KEY,
  due INTEGER,                            -- the earliest of everything
  timers BLOB NOT NULL                    -- what it rings for beside enrolments: bytes of the engine
) STRICT;
-- Whose alarm rings until now, and when the next one does.
CREATE INDEX alarms_by_due ON alarms (due) WHERE due IS NOT NULL;

-- Where each published version of a journey stands: one row per run.
CREATE TABLE lives (
  run_id INTEGER PRIMARY KEY,
  journey TEXT NOT NULL,
  version INTEGER NOT NULL,
  life INTEGER NOT NULL,                  -- storage::live::Life
  since INTEGER NOT NULL,
  starts_at INTEGER,
  seed INTEGER NOT NULL,                  -- the bits of an unsigned number
  pinned TEXT NOT NULL,                   -- JSON
  memo TEXT NOT NULL                      -- JSON
) STRICT;

-- How often a contact passed a node with a limit; contact 0 is all of them together.
CREATE TABLE node_passages (
  contact_id INTEGER NOT NULL,
  journey TEXT NOT NULL,
  node TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (contact_id, journey, node)
) STRICT, WITHOUT ROWID;

-- How many enrolments stay at a node now.
CREATE TABLE stays (
  run_id INTEGER NOT NULL,
  node TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (run_id, node)
) STRICT, WITHOUT ROWID;

-- Enrolments go on after the step that began them, so they have a state while they are inside; and a contact may be in a
-- run more than once. Traces of the former format have no instants and were never released: they are dropped.
CREATE TABLE enrolments_new (
  contact_id INTEGER NOT NULL,
  run_id INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,               -- which enrolment of the contact in the run, from 1
  over INTEGER NOT NULL,                  -- 1 when it is over
  key TEXT NOT NULL,                      -- tells apart those that may be inside at the same time (a cart's id, say)
  entered_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  goal_at INTEGER,
  stays TEXT NOT NULL,                    -- JSON list of node ids; empty text for none
  state BLOB,                             -- bytes of the interpreter; none when it is over
  trace BLOB NOT NULL,                    -- records of journey::trace, one for each commit
  PRIMARY KEY (contact_id, run_id, ordinal)
) STRICT, WITHOUT ROWID;
INSERT INTO enrolments_new
SELECT contact_id, run_id, row_number() OVER (PARTITION BY contact_id, run_id ORDER BY key), 1, key, at, at, NULL, '',
  NULL, x''
FROM enrolments ORDER BY contact_id, run_id, key;
DROP TABLE enrolments;
ALTER TABLE enrolments_new RENAME TO enrolments;
-- Who is inside a run; what became of each contact of a run. Only an end moves an entry.
CREATE INDEX enrolments_by_run ON enrolments (run_id, over, contact_id);

-- How many contacts left which node in which way. Each commit adds its sums: there is one writer, so a row for each batch
-- would only have to be added up later.
CREATE TABLE journey_sums (
  run_id INTEGER NOT NULL,
  node TEXT NOT NULL,
  measure TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (run_id, node, measure)
) STRICT, WITHOUT ROWID;
INSERT INTO journey_sums SELECT run_id, node, measure, sum(n) FROM journey_counts GROUP BY run_id, node, measure;
DROP TABLE journey_counts;
ALTER TABLE journey_sums RENAME TO journey_counts;

-- When a message is to leave, as it was decided or put off: outbox.at changes its meaning with the state.
ALTER TABLE outbox ADD COLUMN due INTEGER NOT NULL DEFAULT 0;
UPDATE outbox SET due = CASE WHEN state IN (1, 4, 5, 6, 7) THEN at
  ELSE (SELECT decided_at FROM outbox_bodies b WHERE b.seq = outbox.seq) END;
-- Messages of a contact; for caps and smart sending: those of the last days.
DROP INDEX outbox_contact;
CREATE INDEX outbox_contact ON outbox (contact_id, due);
