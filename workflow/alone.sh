#!/usr/bin/env bash
# usage: alone.sh COMMAND [ARG...]    runs COMMAND when no other run is at work in this checkout
# The lock is the kernel's and is held by COMMAND and all that it starts. So it is free the moment they have ended, also
# when they were killed (Snakemake's own would stay), and held for as long as a job outlives a killed Snakemake and
# could still write to the files that a second run would write.
set -euo pipefail
unset CDPATH
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
lock=$root/.snakemake/alone.lock
held=1 # what flock answers when another holds the lock; anything higher: it cannot lock there

take() { # take [--nonblock]
    local mask
    mask=$(umask)
    umask 077 # whoever can read a lock can hold it
    if [ -L "$lock" ] || ! exec 9>>"$lock" || ! [ -O "$lock" ]; then
        echo "$lock is not a file of yours: whose it is could keep you waiting for ever." >&2
        exit 2
    fi
    umask "$mask"
    chmod 600 "$lock"
    local answer=0
    flock "$@" 9 2>/dev/null || answer=$?
    return $answer
}

mkdir -p "$root/.snakemake"
answer=0
take --nonblock || answer=$?
if [ $answer -gt $held ]; then # some shared file systems have no locks: this computer's own /tmp has
    echo "The file system of $root has no locks: a run on another computer would not be seen." >&2
    lock=/tmp/deepscaler-$UID-$(cksum <<<"$root" | cut -d' ' -f1).lock
    answer=0
    take --nonblock || answer=$?
fi
if [ $answer -eq $held ]; then
    holders=$(exec 9>&-; find -L /proc/[0-9]*/fd/9 -samefile "$lock" 2>/dev/null | cut -d/ -f3 | sort -nu | grep -vx $$ | xargs || true)
    echo "An earlier run, or a job that it left behind, is still at work here (processes: ${holders:-?})." >&2
    echo "Waiting for it to end. To stop it instead: kill ${holders:-...}" >&2
    take
fi
exec "$@"
