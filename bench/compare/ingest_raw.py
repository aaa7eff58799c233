#!/usr/bin/env python3
"""What SQLite alone does with events: the same bytes into one table with one index, durable at each commit (WAL, FULL).

Groups of 100 and of 5,000 rows. No HTTP, no JSON, no contacts, no inputs: the limit that nothing durable can beat here."""

import json
import os
import sqlite3
import tempfile
import time

ROWS = int(os.environ.get("ROWS", "300000"))
PROPERTIES = json.dumps({
    "product_id": "p001234", "name": "Product 1234", "price": 19.9, "url": "https://shop.example/p/1234",
    "category": "/Shop/Things",
})

for group in (100, 5_000):
    with tempfile.TemporaryDirectory() as folder:
        base = sqlite3.connect(os.path.join(folder, "raw.db"), isolation_level=None)
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = FULL")
        base.execute("CREATE TABLE events (contact INTEGER, at INTEGER, no INTEGER, properties TEXT,"
                     " PRIMARY KEY (contact, at, no)) WITHOUT ROWID")
        base.execute("CREATE TABLE message_ids (id TEXT PRIMARY KEY, no INTEGER) WITHOUT ROWID")
        begin, cpu = time.perf_counter(), time.process_time()
        for first in range(0, ROWS, group):
            base.execute("BEGIN IMMEDIATE")
            numbers = range(first, first + group)
            base.executemany("INSERT INTO events VALUES (?, ?, ?, ?)",
                             ((no * 7919 % 20_000, no, no, PROPERTIES) for no in numbers))
            base.executemany("INSERT INTO message_ids VALUES (?, ?)", ((f"batch-{no:012}", no) for no in numbers))
            base.execute("COMMIT")
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
        print(json.dumps({"bench": "ingest_raw", "group": group, "rows": ROWS, "per_second": round(ROWS / seconds),
                          "cpu_microseconds_per_row": round(cpu / ROWS * 1e6, 2)}))
