-- Coupon codes: the stock of each set, and who was given which.

CREATE TABLE coupon_sets (
  set_id INTEGER PRIMARY KEY,
  slug TEXT NOT NULL UNIQUE,
  free INTEGER NOT NULL DEFAULT 0,        -- single-use codes that nobody was given
  given INTEGER NOT NULL DEFAULT 0,       -- rows of coupon_uses: what the set's limit counts
  low_since INTEGER,                      -- since when it has run low; cleared when codes are added
  low_told INTEGER NOT NULL DEFAULT 0     -- whether somebody was told
) STRICT;

-- Single-use codes in the order of arrival: an import appends.
CREATE TABLE coupon_codes (
  code_no INTEGER PRIMARY KEY,
  set_id INTEGER NOT NULL,
  code TEXT NOT NULL COLLATE NOCASE,
  given INTEGER NOT NULL DEFAULT 0        -- 0: free
) STRICT;

-- Is this code known, and of which set? (added codes, codes that orders name)
CREATE UNIQUE INDEX coupon_codes_by_code ON coupon_codes (code);
-- The next free codes of a set; a code leaves it when it is given.
CREATE INDEX coupon_codes_free ON coupon_codes (set_id, code_no) WHERE given = 0;

-- Codes that contacts were given, or used without being given (run is null then).
CREATE TABLE coupon_uses (
  contact_id INTEGER NOT NULL,            -- 0: an order that names nobody
  set_id INTEGER NOT NULL,
  use_no INTEGER NOT NULL,
  code TEXT NOT NULL COLLATE NOCASE,
  at INTEGER NOT NULL,
  expires_at INTEGER,
  run INTEGER,
  ordinal INTEGER,
  node TEXT,
  redeemed_at INTEGER,
  redeemed_by INTEGER,                    -- a contact
  order_id TEXT,
  net INTEGER,                            -- what the order came to, in the workspace's currency
  PRIMARY KEY (contact_id, set_id, use_no)
) STRICT, WITHOUT ROWID;

-- Whose is this code? (a code that an order names)
CREATE INDEX coupon_uses_by_code ON coupon_uses (set_id, code, contact_id, redeemed_at);
-- Codes of a set by state: redeemed or not, and those past their end.
CREATE INDEX coupon_uses_by_state ON coupon_uses (set_id, redeemed_at, expires_at);
