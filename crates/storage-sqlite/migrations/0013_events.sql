-- Events arrive in a table of their own, in order, and are moved into their contacts' histories later, many at a time and
-- in the order of the keys there: so one that arrives does not change a page of each index for itself.

CREATE TABLE recent_events (
  event_no INTEGER PRIMARY KEY,
  contact_id INTEGER NOT NULL,
  at INTEGER NOT NULL,
  kind_id INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  product TEXT,                           -- property product_id, where it is a text
  message_id TEXT,
  properties TEXT NOT NULL                -- JSON object; empty text when there are none
) STRICT;

-- How far the moving has come. What it has passed is read from `events` and `interests`, the rest from `recent_events`.
CREATE TABLE recent_moving (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  epoch INTEGER NOT NULL,                 -- the last of recent_taken
  gone INTEGER NOT NULL,                  -- up to here everything was moved before
  sealed INTEGER NOT NULL,                -- up to here it is being moved, or was
  phase INTEGER NOT NULL,                 -- 0 histories, 1 interests, 2 the rows go, 3 done
  contact_id INTEGER NOT NULL,            -- phase 0: the last event that was moved
  at INTEGER NOT NULL,
  event_no INTEGER NOT NULL,              -- phases 0 and 1
  product TEXT NOT NULL                   -- phase 1: the product of the last event that was moved
) STRICT;
INSERT INTO recent_moving VALUES (1, 0, 0, 0, 3, 0, 0, 0, '');

-- Rows that went before their turn, because their contact was joined to another.
CREATE TABLE recent_taken (
  taken_no INTEGER PRIMARY KEY,
  contact_id INTEGER NOT NULL,
  at INTEGER NOT NULL,
  event_no INTEGER NOT NULL,
  product TEXT
) STRICT;

-- Who did something with a product: for a price that drops, a product that is back or nearly gone.
CREATE TABLE interests (
  product TEXT NOT NULL,                  -- the shop's own id
  kind_id INTEGER NOT NULL,
  at INTEGER NOT NULL,
  contact_id INTEGER NOT NULL,
  event_no INTEGER NOT NULL,
  PRIMARY KEY (product, kind_id, at, contact_id, event_no)
) STRICT, WITHOUT ROWID;
INSERT INTO interests
SELECT json_extract(properties, '$.product_id'), kind_id, at, contact_id, event_no FROM events
WHERE instr(properties, '"product_id"') > 0 AND json_type(properties, '$.product_id') = 'text'
ORDER BY 1, 2, 3, 4, 5;
DROP INDEX events_by_product;

-- Triggers, so that whoever changes histories (merges, erasures) cannot forget it.
CREATE TRIGGER interest_moved AFTER UPDATE OF contact_id ON events WHEN instr(NEW.properties, '"product_id"') > 0
BEGIN
  UPDATE interests SET contact_id = NEW.contact_id
  WHERE product = json_extract(OLD.properties, '$.product_id') AND kind_id = OLD.kind_id AND at = OLD.at
    AND contact_id = OLD.contact_id AND event_no = OLD.event_no;
END;
CREATE TRIGGER interest_gone AFTER DELETE ON events WHEN instr(OLD.properties, '"product_id"') > 0
BEGIN
  DELETE FROM interests
  WHERE product = json_extract(OLD.properties, '$.product_id') AND kind_id = OLD.kind_id AND at = OLD.at
    AND contact_id = OLD.contact_id AND event_no = OLD.event_no;
END;
