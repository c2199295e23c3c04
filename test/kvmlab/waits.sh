#!/bin/sh
# Usage: waits.sh SECONDS COMMAND...
# Runs a command. If it still runs after so long, tells where each thread waits: what
# stands still for ever leaves no other trace.
left=$1
shift
while [ "$left" -gt 0 ]; do
  sleep 1
  left=$((left - 1))
done && for task in /proc/[0-9]*/task/*; do
  command=$(tr '\0' ' ' <"${task%/task/*}/cmdline" | cut -c 1-100)
  [ -n "$command" ] || continue # one of the kernel's own
  echo "thread ${task##*/} of $command"
  grep -E '^(State|voluntary|nonvoluntary)' "$task/status"
  sed 's/^/    /' "$task/stack"
done >&2 2>/dev/null &
"$@"
status=$?
kill "$!" 2>/dev/null
exit "$status"
