-- Triggers that paused journeys hold: see storage::lives. A row becomes an input when its journey goes on.
CREATE TABLE held_triggers (
  journey TEXT NOT NULL,
  held_no INTEGER NOT NULL,               -- the order in which they came
  causes INTEGER NOT NULL,
  stored INTEGER NOT NULL,
  event TEXT NOT NULL,                    -- JSON of model::Event
  PRIMARY KEY (journey, held_no)
) STRICT, WITHOUT ROWID;

-- How many a journey holds, and how many came when it could hold no more.
CREATE TABLE held_counts (
  journey TEXT PRIMARY KEY,
  last_no INTEGER NOT NULL,
  held INTEGER NOT NULL,
  dropped INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
