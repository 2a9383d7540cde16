#!/usr/bin/env bash
# usage: alone.sh COMMAND [ARG...]    runs COMMAND when no other run is at work in this checkout
# The lock is the kernel's and is held by COMMAND and what inherits its files. So it is free the moment they have ended,
# also when they were killed; Snakemake's own would stay. (Snakemake closes it for its jobs: what outlives a killed
# Snakemake is waited for by the Snakefile.)
set -euo pipefail
unset CDPATH
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
held=1 # what flock answers when another holds the lock; anything higher: it cannot lock there

take() { # take [--nonblock]
    local mask
    mask=$(umask)
    umask 077 # whoever can read a lock can hold it
    if [ -L "$lock" ] || { [ -e "$lock" ] && [ ! -f "$lock" ]; } || ! exec 9>>"$lock" || ! [ -O "$lock" ]; then
        echo "$lock is not a file of yours: whose it is could keep you waiting for ever." >&2
        exit 2
    fi
    umask "$mask"
    chmod 600 "$lock"
    local answer=0
    flock "$@" 9 2>/dev/null || answer=$?
    return $answer
}

ours() { # ours FOLDER    made for this user alone; not a folder, or a link to one, that another has put there
    mkdir -p -m 700 "$1" 2>/dev/null && [ -O "$1" ] && [ ! -L "$1" ] && chmod 700 "$1"
}

mkdir -p "$root/.snakemake"
lock=$root/.snakemake/alone.lock
answer=0
take --nonblock || answer=$?
if [ $answer -gt $held ]; then # some shared file systems have no locks; this computer's own have
    echo "The file system of $root has no locks: a run on another computer would not be seen." >&2
    for folder in "/tmp/deepscaler-$UID" "${XDG_CACHE_HOME:-$HOME/.cache}/deepscaler"; do
        ours "$folder" || continue
        lock=$folder/alone-$(cksum <<<"$root" | cut -d' ' -f1).lock
        answer=0
        take --nonblock || answer=$?
        [ $answer -gt $held ] || break
    done
    [ $answer -le $held ] || echo "No folder here has any: make sure that no other run is at work in this checkout." >&2
fi
if [ $answer -eq $held ]; then
    holders=$(exec 9>&-; find -L /proc/[0-9]*/fd/9 -samefile "$lock" 2>/dev/null | cut -d/ -f3 | sort -nu | grep -vx $$ | xargs || true)
    echo "An earlier run is still at work here (processes: ${holders:-?})." >&2
    echo "Waiting for it to end. To stop it instead: kill ${holders:-...}" >&2
    take
fi
# Snakemake keeps a cache in the home folder, and ends where it cannot be written
cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}/snakemake
if ! { mkdir -p "$cache" && [ -w "$cache" ]; } 2>/dev/null; then export XDG_CACHE_HOME=$root/.snakemake/cache; fi
exec "$@"
