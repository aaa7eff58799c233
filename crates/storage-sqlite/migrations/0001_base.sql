-- Contacts and their identifiers; orders, carts, events, catalogue; settings, definitions and imports.
-- Every per-contact table starts its key with contact_id; what is unique across contacts has a map table. Instants are
-- microseconds UTC, amounts ten-thousandths of the workspace's currency, days are counted from 1970-01-01 UTC.

CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- The last dense number given: 'contact', 'order' (carts too), 'event', 'product', 'kind'. Never given twice.
CREATE TABLE counters (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- Immutable versions of what files hold; kind as in storage::settings::DefinitionKind.
CREATE TABLE definitions (
  kind INTEGER NOT NULL,
  slug TEXT NOT NULL,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  hash TEXT NOT NULL,                     -- SHA-256 of content
  content TEXT NOT NULL,                  -- compact JSON
  PRIMARY KEY (kind, slug, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE contacts (
  contact_id INTEGER PRIMARY KEY,
  version INTEGER NOT NULL DEFAULT 1,     -- raised by every change: commits with an old one are refused
  reach INTEGER NOT NULL DEFAULT 0,       -- 1 has an active email, 2 a phone, 4 a push endpoint
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  profile TEXT NOT NULL                   -- JSON of model::Contact
) STRICT;
-- For audiences: the ids of those who can be reached by a channel, in order, without touching profiles.
CREATE INDEX contacts_by_reach ON contacts (reach, contact_id);

-- Whose an identifier is; kind as in storage::contacts::IdentifierKind, value folded for email.
CREATE TABLE identifiers (
  kind INTEGER NOT NULL,
  value TEXT NOT NULL,
  contact_id INTEGER NOT NULL,
  PRIMARY KEY (kind, value)
) STRICT, WITHOUT ROWID;

-- What a contact's orders come to, kept with them: model::Totals.
CREATE TABLE contact_totals (
  contact_id INTEGER PRIMARY KEY,
  first_order_at INTEGER NOT NULL,
  last_order_at INTEGER NOT NULL,
  orders INTEGER NOT NULL,
  spent INTEGER NOT NULL
) STRICT;

-- contact_id is 0 for an order without a known contact. Numbers of orders and carts come from one sequence.
CREATE TABLE orders (
  contact_id INTEGER NOT NULL,
  at INTEGER NOT NULL,
  order_no INTEGER NOT NULL,
  status INTEGER NOT NULL,                -- 0 completed, 1 cancelled or refunded in full
  total INTEGER NOT NULL,
  refunded INTEGER NOT NULL,
  currency TEXT NOT NULL,
  external_id TEXT NOT NULL,
  cart_id TEXT,                           -- the shop's own cart id where it differs from external_id
  lines BLOB NOT NULL,                    -- storage::codec::lines; refunds are lines with a negative quantity
  PRIMARY KEY (contact_id, at, order_no)
) STRICT, WITHOUT ROWID;
-- For RFM windows and best sellers: what was ordered between two instants. It covers what RFM sums (who, when, net
-- total, whether it counts), so that scoring never reads the rows with their lines.
CREATE INDEX orders_by_time ON orders (at, contact_id, order_no, status, total, refunded);

CREATE TABLE order_ids (
  external_id TEXT PRIMARY KEY,
  contact_id INTEGER NOT NULL,
  at INTEGER NOT NULL,
  order_no INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Refunds that were applied, so that a repeat is recognised.
CREATE TABLE refund_ids (
  external_id TEXT PRIMARY KEY,
  contact_id INTEGER NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Carts that were not bought. One that is bought is its order, and its row goes.
CREATE TABLE carts (
  contact_id INTEGER NOT NULL,
  cart_no INTEGER NOT NULL,
  external_id TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  total INTEGER NOT NULL,
  currency TEXT NOT NULL,
  recovery_url TEXT,
  lines BLOB NOT NULL,
  PRIMARY KEY (contact_id, cart_no)
) STRICT, WITHOUT ROWID;

CREATE TABLE cart_ids (
  external_id TEXT PRIMARY KEY,
  contact_id INTEGER NOT NULL,
  cart_no INTEGER NOT NULL                -- 0 when it was bought
) STRICT, WITHOUT ROWID;

CREATE TABLE event_kinds (kind_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE events (
  contact_id INTEGER NOT NULL,
  at INTEGER NOT NULL,
  event_no INTEGER NOT NULL,
  kind_id INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  message_id TEXT,
  properties TEXT NOT NULL,               -- JSON object; empty text when there are none
  PRIMARY KEY (contact_id, at, event_no)
) STRICT, WITHOUT ROWID;
-- For a new segment: all events of one kind by contact and time, without touching the others.
CREATE INDEX events_by_kind ON events (kind_id, contact_id, at);

CREATE TABLE message_ids (
  message_id TEXT PRIMARY KEY,
  contact_id INTEGER NOT NULL,
  at INTEGER NOT NULL,
  event_no INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE products (
  product_id INTEGER PRIMARY KEY,
  external_id TEXT NOT NULL UNIQUE,
  price_at INTEGER NOT NULL,              -- when the price was seen
  profile TEXT NOT NULL                   -- JSON of model::Product
) STRICT;

-- Figures of a day's products. Part 0 is the sum so far; later parts are what was added since, folded now and then.
CREATE TABLE product_days (
  day INTEGER NOT NULL,
  part INTEGER NOT NULL,
  figures BLOB NOT NULL,                  -- storage::codec::product_days
  PRIMARY KEY (day, part)
) STRICT, WITHOUT ROWID;

CREATE TABLE import_checkpoints (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
