#!/usr/bin/env bash
# usage: alone.sh COMMAND [ARG...]    runs COMMAND when no other run is at work in this checkout
# The lock is the kernel's and is held by COMMAND and all that it starts. So it is free the moment they have ended, also
# when they were killed (Snakemake's own would stay), and held for as long as a job outlives a killed Snakemake and
# could still write to the files that a second run would write.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "$root/.snakemake"
exec 9>"$root/.snakemake/alone.lock"
if ! flock --nonblock 9; then
    holders=$(exec 9>&-; find /proc/[0-9]*/fd/9 -lname "$root/.snakemake/alone.lock" 2>/dev/null | cut -d/ -f3 | sort -nu | grep -vx $$ | xargs || true)
    echo "An earlier run, or a job that it left behind, is still at work here (processes: ${holders:-?})." >&2
    echo "Waiting for it to end. To stop it instead: kill ${holders:-...}" >&2
    flock 9
fi
exec "$@"
