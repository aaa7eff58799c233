-- A/B tests of journeys: see storage::live::TrialMark.

-- Who took which variant first in a run, and whether what is wanted was done in time.
CREATE TABLE trial_passages (
  contact_id INTEGER NOT NULL,
  run_id INTEGER NOT NULL,
  node TEXT NOT NULL,
  variant TEXT NOT NULL,
  at INTEGER NOT NULL,
  until INTEGER NOT NULL,                 -- what is done before then counts
  converted_at INTEGER,
  PRIMARY KEY (contact_id, run_id, node)
) STRICT, WITHOUT ROWID;

-- What the variants have come to: the sums of trial_passages, written with them.
CREATE TABLE trial_tallies (
  run_id INTEGER NOT NULL,
  node TEXT NOT NULL,
  variant TEXT NOT NULL,
  entered INTEGER NOT NULL,
  converted INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  PRIMARY KEY (run_id, node, variant)
) STRICT, WITHOUT ROWID;
