#!/usr/bin/env python3
"""Yardstick of `relance bench campaign`: the rows that the campaign writes, and nothing else.

Writes, into a fresh SQLite file with the tables and indexes of Relance's migrations, per contact one enrolment with
its trace, for the share that is written to one outbox row with its body, and for the share of the up-selling branch
one changed profile; in transactions of the campaign's batch, with the campaign's pragmas. Prints one JSON object.

    bench/compare/campaign_raw.py --size 1000000 --messages 0.738 --fields 0.081
"""

import argparse
import json
import os
import resource
import sqlite3
import tempfile
import time
from pathlib import Path

MIGRATIONS = Path(__file__).resolve().parents[2] / "crates" / "storage-sqlite" / "migrations"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1_000_000, help="contacts")
    parser.add_argument("--messages", type=float, default=0.738, help="messages for each contact")
    parser.add_argument("--fields", type=float, default=0.081, help="changed profiles for each contact")
    parser.add_argument("--body", type=int, default=600, help="bytes of a message's frozen variables")
    parser.add_argument("--profile", type=int, default=400, help="bytes of a contact's profile")
    parser.add_argument("--batch", type=int, default=1_000, help="contacts in a transaction")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(os.path.join(folder, "raw.db"), isolation_level=None)
        db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;")
        for step in sorted(MIGRATIONS.glob("*.sql")):
            db.executescript(step.read_text())
        profile, body, trace = "p" * args.profile, "b" * args.body, b"t" * 24
        db.execute("BEGIN")
        db.executemany(
            "INSERT INTO contacts (contact_id, reach, created_at, updated_at, profile) VALUES (?, 1, 0, 0, ?)",
            ((i, profile) for i in range(1, args.size + 1)),
        )
        db.execute("COMMIT")
        used = lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2])  # noqa: E731
        wall, cpu, seq = time.perf_counter(), used(), 0
        for first in range(1, args.size + 1, args.batch):
            ids = range(first, min(first + args.batch, args.size + 1))
            sent = [i for i in ids if (i * 2_654_435_761 % 2**32) / 2**32 < args.messages]
            changed = [i for i in ids if (i * 2_654_435_761 % 2**32) / 2**32 < args.fields]
            rows = [(seq + n, i.to_bytes(16, "big"), i) for n, i in enumerate(sent, 1)]
            seq += len(rows)
            db.execute("BEGIN IMMEDIATE")
            db.executemany(
                "UPDATE contacts SET version = version + 1, updated_at = 1, profile = ? WHERE contact_id = ?",
                ((profile, i) for i in changed),
            )
            db.executemany(
                "INSERT INTO enrolments (contact_id, run_id, at, trace) VALUES (?, 1, 0, ?)", ((i, trace) for i in ids)
            )
            db.executemany(
                "INSERT INTO outbox (seq, message_id, contact_id, send_id, at) VALUES (?, ?, ?, 1, 0)", rows
            )
            db.executemany(
                "INSERT INTO outbox_bodies (seq, decided_at, locale, variables) VALUES (?, 0, 'en-GB', ?)",
                ((seq_no, body) for seq_no, _, _ in rows),
            )
            db.execute("COMMIT")
        seconds, cpu_seconds = time.perf_counter() - wall, used() - cpu
        print(
            json.dumps(
                {
                    "bench": "campaign_raw",
                    "size": args.size,
                    "seconds": round(seconds, 3),
                    "cpu_seconds": round(cpu_seconds, 3),
                    "rate": round(args.size / seconds, 1),
                    "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1),
                    "messages": seq,
                }
            )
        )


if __name__ == "__main__":
    main()
