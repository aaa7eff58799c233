-- What the admin API keeps: jobs, answers of requests that may be repeated, drafts. See storage::jobs, storage::desk.

-- Long work that somebody asked for.
CREATE TABLE jobs (
  job_no INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  state INTEGER NOT NULL,                 -- storage::jobs::JobState
  request TEXT NOT NULL,                  -- JSON of its kind
  asked_at INTEGER NOT NULL,
  asked_by TEXT NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,
  cancel INTEGER NOT NULL DEFAULT 0,      -- 1 when somebody asked for its end while it runs
  phase TEXT NOT NULL DEFAULT '',
  done INTEGER NOT NULL DEFAULT 0,
  total INTEGER NOT NULL DEFAULT 0,
  result TEXT NOT NULL DEFAULT 'null',    -- JSON of its kind
  problems TEXT NOT NULL DEFAULT '[]'     -- JSON list of model::Problem
) STRICT;
-- Who is next, and what was being done when the process died.
CREATE INDEX jobs_open ON jobs (state, job_no) WHERE state <= 2;

-- Answers of requests that came with an Idempotency-Key: a repeat is given the same one.
CREATE TABLE answers (
  who TEXT NOT NULL,
  key TEXT NOT NULL,
  request BLOB NOT NULL,                  -- SHA-256 of method, path and body
  begun_at INTEGER NOT NULL,
  status INTEGER,                         -- none: the request is being worked on
  headers TEXT NOT NULL DEFAULT '[]',     -- JSON list of pairs
  body BLOB NOT NULL DEFAULT x'',
  PRIMARY KEY (who, key)
) STRICT, WITHOUT ROWID;
-- Which are to be forgotten.
CREATE INDEX answers_by_time ON answers (begun_at);

-- What is being written and is not published: one for each slug.
CREATE TABLE drafts (
  kind INTEGER NOT NULL,                  -- storage::settings::DefinitionKind
  slug TEXT NOT NULL,
  hash TEXT NOT NULL,                     -- SHA-256 of content
  content TEXT NOT NULL,                  -- compact JSON
  changed_at INTEGER NOT NULL,
  changed_by TEXT NOT NULL,
  PRIMARY KEY (kind, slug)
) STRICT, WITHOUT ROWID;
