#!/usr/bin/env bash
# The yardstick of `relance bench smtp`: Postfix's load generator sends as many messages of the same size, over as many
# connections, to the same kind of sink. It makes no mails and records nothing, so it shows what the sink itself takes.
#
#   bench/compare/smtp_source.sh [MESSAGES] [BYTES] [CONNECTIONS]
#
# Needs smtp-sink and smtp-source (Debian: apt-get install postfix) and a release build of relance.
set -euo pipefail
cd "$(dirname "$0")/../.."
messages=${1:-30000} bytes=${2:-40000} connections=${3:-16} port=${SINK_PORT:-2599}
export PATH="$PATH:/usr/sbin"
user=(); [ "$(id -u)" -ne 0 ] || user=(-u nobody)

smtp-sink "${user[@]}" "127.0.0.1:$port" 1000 & sink=$!
trap 'kill "$sink" 2>/dev/null || true' EXIT
for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.05; done

start=$(date +%s.%N)
smtp-source -l "$bytes" -m "$messages" -s "$connections" -f news@shop.example -t c1@example.test "127.0.0.1:$port"
end=$(date +%s.%N)
awk -v n="$messages" -v s="$start" -v e="$end" -v b="$bytes" \
  'BEGIN { printf "{\"bench\":\"smtp-source\",\"size\":%d,\"bytes\":%d,\"seconds\":%.3f,\"rate\":%.0f}\n", n, b, e - s, n / (e - s) }'

target/release/relance bench smtp --size "$messages" --smtp "127.0.0.1:$port"
