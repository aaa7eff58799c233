#!/usr/bin/env python3
"""The yardsticks of `relance bench segment`: the same question in plain SQL, in the same run.

    python3 bench/compare/segment_duckdb.py [--relance PATH] [--size CONTACTS] [--seed N] [--keep FOLDER]

Runs `relance bench segment` with a kept base; then asks SQLite, on the same file with the same index, and DuckDB, on a
Parquet file of the same events, who viewed at least two products within 365 days, writes the members into a table and
counts them. Making the Parquet file is not measured. Prints one JSON object with all three; the counts must be equal.

Needs the `duckdb` package for DuckDB's part; without it that part is left out.
"""

import argparse
import csv
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

END = 1_780_272_000 * 1_000_000
SINCE = END - 365 * 86_400 * 1_000_000
KIND = "Product Viewed"


def measured(work):
    """Wall and CPU seconds of a piece of work, and its answer."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu, wall = usage.ru_utime + usage.ru_stime, time.perf_counter()
    answer = work()
    wall = time.perf_counter() - wall
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": round(wall, 3),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime - cpu, 3),
        "members": answer,
    }


def in_sqlite(path):
    """The question on the base itself; the members go into a table beside it."""
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        connection.execute("PRAGMA mmap_size = 8589934592")
        connection.execute(f"ATTACH '{folder}/members.db' AS beside")
        kind = connection.execute("SELECT kind_id FROM event_kinds WHERE name = ?", (KIND,)).fetchone()[0]

        def ask():
            connection.execute(
                """CREATE TABLE beside.members AS SELECT contact_id FROM events INDEXED BY events_by_kind
                   WHERE kind_id = ? AND at >= ? AND at < ? GROUP BY contact_id HAVING count(*) >= 2""",
                (kind, SINCE, END),
            )
            connection.commit()
            return connection.execute("SELECT count(*) FROM beside.members").fetchone()[0]

        return measured(ask)


def in_duckdb(path):
    """The question on a Parquet file of (contact, at, kind)."""
    try:
        import duckdb
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        with open(f"{folder}/events.csv", "w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["contact", "at", "kind"])
            writer.writerows(source.execute("SELECT contact_id, at, kind_id FROM events INDEXED BY events_by_kind"))
        names = dict(source.execute("SELECT name, kind_id FROM event_kinds"))
        connection = duckdb.connect(f"{folder}/members.duckdb")
        connection.execute("SET threads = 2")
        connection.execute(
            f"COPY (SELECT * FROM read_csv('{folder}/events.csv') ORDER BY contact, \"at\") "
            f"TO '{folder}/events.parquet' (FORMAT parquet, COMPRESSION zstd)"
        )

        def ask():
            connection.execute(
                f"""CREATE TABLE members AS SELECT contact FROM read_parquet('{folder}/events.parquet')
                    WHERE kind = {names[KIND]} AND "at" >= {SINCE} AND "at" < {END}
                    GROUP BY contact HAVING count(*) >= 2"""
            )
            return connection.execute("SELECT count(*) FROM members").fetchone()[0]

        return measured(ask)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--relance", default="target/release/relance")
    parser.add_argument("--size", default="1000000")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--keep", default=None)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        keep = args.keep or folder
        command = [args.relance, "bench", "segment", "--size", args.size, "--seed", args.seed, "--keep", keep]
        ours = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        path = Path(ours["database"])
        report = {"relance": ours, "sqlite": in_sqlite(path), "duckdb": in_duckdb(path)}
    counts = {side["members"] for side in report.values() if side}
    report["members_equal"] = len(counts) == 1
    print(json.dumps(report, indent=2))
    return 0 if report["members_equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
