-- Relations between products: see storage::relations.

-- One row per learning; all but the last two are forgotten. The relations are bytes because nothing asks for one
-- product's alone: they are loaded as a whole into the catalogue's snapshot.
CREATE TABLE relations (
  version INTEGER PRIMARY KEY,
  trained_at INTEGER NOT NULL,
  orders INTEGER NOT NULL,
  last_order_at INTEGER,
  settings TEXT NOT NULL,                 -- JSON
  learned BLOB NOT NULL,                  -- recommend::Relations
  together BLOB NOT NULL                  -- recommend::Relations
) STRICT;
