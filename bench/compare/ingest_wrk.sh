#!/usr/bin/env bash
# Tracking from outside: a server of its own on a new base, and wrk (Debian's package) beside it on the same machine. Prints
# one JSON object for single messages and one for batches of 100. RELANCE names the program, SECONDS_EACH how long each lasts.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
relance=${RELANCE:-$here/../../target/release/relance}
seconds=${SECONDS_EACH:-15}
command -v wrk >/dev/null || { echo "wrk is missing: apt-get install wrk" >&2; exit 1; }
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; [ -z "$server" ] || wait "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
base=sqlite:$folder/base.db
KEY=$("$relance" --database "$base" key create --scope track --name bench 2>/dev/null)
export KEY
"$relance" --database "$base" serve --listen 127.0.0.1:0 --no-work --log-format json 2>"$folder/log" &
server=$!
address=
until address=$(sed -n 's/.*"listen":"\(127\.0\.0\.1:[0-9]*\)".*/\1/p' "$folder/log" | head -n 1) && [ -n "$address" ]; do
  kill -0 "$server" || { cat "$folder/log" >&2; exit 1; }
  sleep 0.1
done
# Everybody has been here once.
BATCH=100 wrk --latency -t1 -c8 -d5 -s "$here/ingest.lua" "http://$address" >/dev/null
for case in "1 64" "100 8"; do
  read -r batch connections <<<"$case"
  BATCH=$batch wrk --latency -t1 -c"$connections" -d"$seconds" -s "$here/ingest.lua" "http://$address" | grep '^{'
done
