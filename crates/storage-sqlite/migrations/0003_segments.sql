-- Segments: members in packed chunks, moves, flips to come, and what is kept of histories; see storage::segments.

CREATE TABLE segments (
  segment_no INTEGER PRIMARY KEY,
  slug TEXT NOT NULL UNIQUE,
  fingerprint TEXT NOT NULL,
  members INTEGER NOT NULL,
  built_at INTEGER NOT NULL
) STRICT;

-- The members among 65,536 consecutive contact ids: a roaring bitmap of the lower 16 bits. No row: no member.
CREATE TABLE segment_chunks (
  segment_no INTEGER NOT NULL,
  chunk INTEGER NOT NULL,                 -- contact_id >> 16
  members BLOB NOT NULL,
  PRIMARY KEY (segment_no, chunk)
) STRICT, WITHOUT ROWID;

-- Who entered and who left at each commit: roaring treemaps of contact ids.
CREATE TABLE segment_moves (
  segment_no INTEGER NOT NULL,
  at INTEGER NOT NULL,
  move_no INTEGER NOT NULL,
  members INTEGER NOT NULL,               -- after it
  entered BLOB NOT NULL,
  gone BLOB NOT NULL,
  PRIMARY KEY (segment_no, at, move_no)
) STRICT, WITHOUT ROWID;

-- When time alone changes a contact's membership, within the next two days.
CREATE TABLE segment_flips (
  contact_id INTEGER NOT NULL,
  segment_no INTEGER NOT NULL,
  due INTEGER NOT NULL,
  PRIMARY KEY (contact_id, segment_no)
) STRICT, WITHOUT ROWID;
-- For the alarm: whose membership changes until now.
CREATE INDEX segment_flips_by_due ON segment_flips (due);
-- For a segment that is built anew: its flips.
CREATE INDEX segment_flips_by_segment ON segment_flips (segment_no);

-- What is kept of a contact's history for a segment's condition: segment::State.
CREATE TABLE segment_states (
  contact_id INTEGER NOT NULL,
  segment_no INTEGER NOT NULL,
  state BLOB NOT NULL,
  PRIMARY KEY (contact_id, segment_no)
) STRICT, WITHOUT ROWID;
-- For a segment whose condition changed: what was kept for the one before.
CREATE INDEX segment_states_by_segment ON segment_states (segment_no);
