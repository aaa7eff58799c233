#!/bin/sh
# The yardstick of `relance bench render`: the same mail (logo, hero, six products two by three, button, footer) made by the
# reference MJML renderer for each recipient, and by Handlebars over HTML that MJML made once. Neither builds the MIME.
# Prints one JSON object each. Needs node and npm; installs into a temporary folder.
#   bench/compare/render_mjml.sh [MAILS]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$here/render_mjml.mjs" "$folder/"
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund mjml handlebars >&2
node render_mjml.mjs "${1:-300}"
