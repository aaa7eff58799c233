#!/usr/bin/env bash
# Installs what the tests of tracking run unchanged into the folder that is named: Segment's libraries for Python and Node,
# and what drives a browser. Does nothing when it is there already, in these versions.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
into=$1
mkdir -p "$into"
exec 9>"$into/.lock"
flock 9
want=$(cat "$here/requirements.txt" "$here/package-lock.json" | sha256sum)
[ "$(cat "$into/.installed" 2>/dev/null || true)" != "$want" ] || exit 0

python3 -m venv --clear "$into/python"
"$into/python/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt"
mkdir -p "$into/node"
cp "$here/package.json" "$here/package-lock.json" "$into/node/"
(cd "$into/node" && npm ci --ignore-scripts --no-audit --no-fund --silent)
printf '%s\n' "$want" >"$into/.installed"
