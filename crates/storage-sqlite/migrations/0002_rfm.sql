-- RFM: state of all contacts in packed chunks, cut points and moves; see storage::rfm.

CREATE TABLE rfm_models (
  model_no INTEGER PRIMARY KEY,
  slug TEXT NOT NULL UNIQUE,
  groups TEXT NOT NULL,                   -- JSON list of group slugs by number; grows only
  definition TEXT,                        -- JSON, of the last run
  last_run INTEGER                        -- none before the first run is committed
) STRICT;

CREATE TABLE rfm_runs (
  model_no INTEGER NOT NULL,
  run_no INTEGER NOT NULL,
  at INTEGER NOT NULL,
  since INTEGER NOT NULL,
  changed INTEGER NOT NULL,
  cuts TEXT NOT NULL,                     -- JSON
  summary TEXT NOT NULL,                  -- JSON
  PRIMARY KEY (model_no, run_no)
) STRICT, WITHOUT ROWID;

-- One row per model and 1,024 consecutive contact ids, so that a nightly run is one sequential pass.
CREATE TABLE rfm_chunks (
  chunk_id INTEGER PRIMARY KEY,           -- model_no * 2^40 + contact_id / 1024
  state BLOB NOT NULL                     -- storage::rfm::chunk::Chunk
) STRICT;

-- Who moved between groups when; the rows of a contact's chunk lie together.
CREATE TABLE rfm_moves (
  chunk INTEGER NOT NULL,                 -- contact_id / 1024
  model_no INTEGER NOT NULL,
  at INTEGER NOT NULL,
  moves BLOB NOT NULL,                    -- storage::rfm::chunk::encode_moves
  PRIMARY KEY (chunk, model_no, at)
) STRICT, WITHOUT ROWID;

-- Placements made by an order between two runs: they override the chunk's. The next run takes them in.
CREATE TABLE rfm_live (
  contact_id INTEGER NOT NULL,
  model_no INTEGER NOT NULL,
  stamp INTEGER NOT NULL,                 -- rfm_clock.runs when it was written
  group_no INTEGER NOT NULL,
  previous INTEGER NOT NULL,
  code INTEGER NOT NULL,
  since INTEGER NOT NULL,
  PRIMARY KEY (contact_id, model_no)
) STRICT, WITHOUT ROWID;

-- Number of the last run that began, and the latest instant that any run scored for.
CREATE TABLE rfm_clock (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  runs INTEGER NOT NULL,
  watermark INTEGER NOT NULL
) STRICT;
INSERT INTO rfm_clock VALUES (1, 0, -9223372036854775808);

-- Contacts whose orders before the watermark changed: a run sums them anew when their stamp is not below the number of
-- its model's run before. Orders that arrive in their own time (the usual case) never come here.
CREATE TABLE rfm_dirty (
  contact_id INTEGER PRIMARY KEY,
  stamp INTEGER NOT NULL                  -- rfm_clock.runs at the last change
) STRICT;

-- Triggers, so that whoever writes orders (import, API, refunds, merges) cannot forget it.
CREATE TRIGGER rfm_order_new AFTER INSERT ON orders
WHEN NEW.contact_id > 0 AND NEW.at < (SELECT watermark FROM rfm_clock WHERE one = 1)
BEGIN
  INSERT INTO rfm_dirty SELECT NEW.contact_id, runs FROM rfm_clock WHERE one = 1
  ON CONFLICT (contact_id) DO UPDATE SET stamp = excluded.stamp;
END;

CREATE TRIGGER rfm_order_changed AFTER UPDATE OF contact_id, at, status, total, refunded ON orders
WHEN min(OLD.at, NEW.at) < (SELECT watermark FROM rfm_clock WHERE one = 1)
BEGIN
  INSERT INTO rfm_dirty SELECT OLD.contact_id, runs FROM rfm_clock WHERE one = 1 AND OLD.contact_id > 0
  ON CONFLICT (contact_id) DO UPDATE SET stamp = excluded.stamp;
  INSERT INTO rfm_dirty SELECT NEW.contact_id, runs FROM rfm_clock WHERE one = 1 AND NEW.contact_id > 0
  ON CONFLICT (contact_id) DO UPDATE SET stamp = excluded.stamp;
END;

CREATE TRIGGER rfm_order_gone AFTER DELETE ON orders
WHEN OLD.contact_id > 0 AND OLD.at < (SELECT watermark FROM rfm_clock WHERE one = 1)
BEGIN
  INSERT INTO rfm_dirty SELECT OLD.contact_id, runs FROM rfm_clock WHERE one = 1
  ON CONFLICT (contact_id) DO UPDATE SET stamp = excluded.stamp;
END;
