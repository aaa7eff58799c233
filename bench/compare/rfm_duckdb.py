#!/usr/bin/env python3
"""The yardstick of `relance bench rfm`: DuckDB doing the whole nightly job from a Parquet file of the same orders.

    python3 bench/compare/rfm_duckdb.py [--relance PATH] [--size CONTACTS] [--seed N] [--keep FOLDER]

Runs `relance bench rfm` with a kept base, which leaves all orders as a CSV file; turns that into Parquet (not
measured); lets DuckDB place everybody as of the day before (not measured) and then measures one night: read the orders
of the window from Parquet, sum them per contact, take the cut points (`quantile_cont` is type 7), score, look the codes
up, compare with the day before and write the new groups and the moves. Prints one JSON object with both sides. DuckDB
compares averages as floats; how many contacts of each group differ is printed as `groups_differ`.

Needs the `duckdb` package.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import duckdb

DAY = 86_400_000_000
MODEL = Path(__file__).resolve().parents[2] / "crates/rfm/models/classic-11.yaml"


def codes():
    """(code, group) pairs from the model's file: lines `- slug: …` and `codes: […]`, the latter over several lines."""
    pairs, slug, inside = [], None, False
    for line in MODEL.read_text().splitlines():
        text = line.strip()
        if text.startswith("- slug:"):
            slug = text.split(":")[1].strip()
        if text.startswith("codes:"):
            inside, text = True, text.removeprefix("codes:")
        if inside:
            pairs += [(int(code), slug) for code in text.strip(" []").split(",") if code.strip(" []")]
            inside = "]" not in text
    assert len(pairs) == 125, len(pairs)
    return pairs


def two_years_before(micros):
    """The start of a window of two calendar years."""
    at = datetime.fromtimestamp(micros / 1e6, timezone.utc)
    day = 28 if (at.month, at.day) == (2, 29) else at.day
    return int(at.replace(year=at.year - 2, day=day).timestamp()) * 1_000_000


def night(connection, parquet, at, target):
    """Places everybody as of `at` into the table `target`."""
    connection.execute(f"""
        CREATE OR REPLACE TABLE {target} AS
        WITH sums AS (
            SELECT contact, ({at} - max("at")) // {DAY} AS days, count(*) AS orders, sum(amount) / count(*) AS average
            FROM read_parquet('{parquet}')
            WHERE "at" >= {two_years_before(at)} AND "at" < {at} GROUP BY contact
        ), cuts AS (
            SELECT quantile_cont(days, [0.2, 0.4, 0.6, 0.8]) AS r,
                   quantile_cont(orders, [0.2, 0.4, 0.6, 0.8]) AS f,
                   quantile_cont(average, [0.2, 0.4, 0.6, 0.8]) AS m
            FROM sums
        ), scored AS (
            SELECT contact,
                   5 - (r[1] < days)::INT - (r[2] < days)::INT - (r[3] < days)::INT - (r[4] < days)::INT AS r,
                   1 + (f[1] < orders)::INT + (f[2] < orders)::INT + (f[3] < orders)::INT + (f[4] < orders)::INT AS f,
                   1 + (m[1] < average)::INT + (m[2] < average)::INT + (m[3] < average)::INT + (m[4] < average)::INT AS m
            FROM sums, cuts
        )
        SELECT contact, r, f, m, grp FROM scored JOIN codes ON code = r * 100 + f * 10 + m
    """)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--relance", default="target/release/relance")
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", help="folder for the base and the orders; a temporary one when not given")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(args.keep or temporary)
        ours = json.loads(subprocess.run(
            [args.relance, "bench", "rfm", "--size", str(args.size), "--seed", str(args.seed), "--keep", str(folder)],
            check=True, stdout=subprocess.PIPE).stdout)
        parquet = folder / "rfm-orders.parquet"
        at = int(datetime.fromisoformat(ours["at"].replace("Z", "+00:00")).timestamp()) * 1_000_000
        connection = duckdb.connect(str(Path(temporary) / "night.duckdb"), config={"threads": args.threads})
        connection.execute(f"COPY (FROM read_csv('{folder}/rfm-orders.csv')) TO '{parquet}' (FORMAT parquet)")
        connection.execute("CREATE TABLE codes (code INT, grp VARCHAR)")
        connection.executemany("INSERT INTO codes VALUES (?, ?)", codes())
        night(connection, parquet, at - DAY, "before")

        wall, cpu = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        night(connection, parquet, at, "after")
        connection.execute("""
            CREATE OR REPLACE TABLE moves AS
            SELECT contact, b.grp AS was, a.grp AS now FROM before b FULL JOIN after a USING (contact)
            WHERE b.grp IS DISTINCT FROM a.grp
        """)
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = time.monotonic() - wall
        cpu_seconds = used.ru_utime + used.ru_stime - cpu.ru_utime - cpu.ru_stime

        groups = dict(connection.execute("SELECT grp, count(*) FROM after GROUP BY grp").fetchall())
        moves = connection.execute("SELECT count(*) FROM moves").fetchone()[0]
    theirs = {"seconds": seconds, "cpu_seconds": cpu_seconds, "moved": moves, "duckdb": duckdb.__version__}
    differ = {group: count - groups.get(group, 0) for group, count in ours["groups"].items()
              if group != "none" and count != groups.get(group, 0)}
    json.dump({"bench": "rfm", "size": args.size, "relance": ours, "duckdb": theirs, "groups_differ": differ,
               "cpu_share": ours["cpu_seconds"] / cpu_seconds if cpu_seconds else None,
               "first_cpu_share": ours["first_cpu_seconds"] / cpu_seconds if cpu_seconds else None}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
