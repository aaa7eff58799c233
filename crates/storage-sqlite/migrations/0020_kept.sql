-- What is kept of a contact's history for all segments, in one row: an event changes one page, whatever number of segments
-- read it. What was kept before is built anew when it is asked for.
DROP TABLE segment_states;

CREATE TABLE segment_kept (
  contact_id INTEGER PRIMARY KEY,
  entries BLOB NOT NULL
) STRICT;

-- Counts the builds, from 1, and names the one in which the condition changed last: what was kept before is not of this
-- condition, and the flips that were noted before are not those that are stored.
ALTER TABLE segments ADD COLUMN builds INTEGER NOT NULL DEFAULT 1;
ALTER TABLE segments ADD COLUMN changed_in INTEGER NOT NULL DEFAULT 1;
