-- Tracking. See storage::refused.

-- Messages that were refused, with the reason. Bounded: the oldest go.
CREATE TABLE refused_events (
  refused_no INTEGER PRIMARY KEY AUTOINCREMENT,
  received_at INTEGER NOT NULL,
  sent_at INTEGER,
  key_id TEXT NOT NULL,
  call TEXT,                              -- as in 'track', where the path said so
  problem TEXT NOT NULL,                  -- JSON of model::Problem
  body TEXT NOT NULL                      -- JSON as it came
) STRICT;
-- What they come to, kept by the statements that add and forget.
CREATE TABLE refused_sums (one INTEGER PRIMARY KEY CHECK (one = 1), n INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
INSERT INTO refused_sums VALUES (1, 0, 0);
CREATE TRIGGER refused_added AFTER INSERT ON refused_events
BEGIN
  UPDATE refused_sums SET n = n + 1, bytes = bytes + octet_length(NEW.body);
END;
CREATE TRIGGER refused_gone AFTER DELETE ON refused_events
BEGIN
  UPDATE refused_sums SET n = n - 1, bytes = bytes - octet_length(OLD.body);
END;
