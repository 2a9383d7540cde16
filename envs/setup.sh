#!/usr/bin/env bash
# usage: setup.sh cpu|gpu|controller|standards|tracking|HARNESS VENV    makes a virtual environment, or completes one that was cut off
# Nothing to do when VENV/installed holds the digest of the locks; other locks than those mean a new environment.
# A folder without the mark of this script is left as it is.
# PYTHON=/path/to/python3.11    the interpreter, where it is not found by name
# TORCH_CUDA_ARCH_LIST=8.0;9.0  gpu: what it is built for; else for this node's GPUs, or for all (architectures.py)
set -euo pipefail
unset CDPATH PYTHONPATH PYTHONHOME PYTHONUSERBASE PYTHONOPTIMIZE PYTHONINSPECT PYTHONWARNINGS
kind=${1:?cpu, gpu, controller, standards, tracking or a harness} venv=${2:?the folder of the virtual environment}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$(realpath -m "$venv") # pip builds in folders of its own and writes this path into the commands' first lines
digest=$(cat "$here"/uv.lock.txt "$here"/"$kind"[-.]*txt | sha256sum | cut -c1-64)
stamp=$venv/installed mark=$venv/made-by-setup
gigabytes=8
[ "$kind" = gpu ] && gigabytes=25
ours_inside=yes compiler=yes
case $kind in # what holds nothing of this project: validators and harnesses
standards | inspect-ai | lm-eval | verl) gigabytes=1 ours_inside= compiler= ;;
lighteval) gigabytes=3 ours_inside= compiler= ;;
tracking) gigabytes=1 compiler= ;;
controller) compiler= ;;
esac

stop() { # stop REASON NEXT [LOG]: why it ends, where to read more, what to do
    printf 'setup: %s\nsetup: log: %s\nsetup: next: %s\n' "$1" "${3:-none; nothing was changed}" "$2" >&2
    exit 1
}

ours() { # made by this script, also by its versions that left no mark but the digest of the locks
    [ -f "$mark" ] || grep -qxE '[0-9a-f]{64}' "$stamp" 2>/dev/null
}

find_python() { # 3.11 first: the locks' hash of torch's CPU wheel is for it
    local name
    for name in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3 python; do
        if "$name" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
}

missing() { # a line for each thing that the system lacks
    local glibc free
    [ "$(uname -s) $(uname -m)" = "Linux x86_64" ] ||
        echo "Linux on x86_64: the engines have wheels for nothing else (this is $(uname -s) $(uname -m); a container or a virtual machine will do)"
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | awk '{ print $2 }')
    [ "$(printf '%s\n' 2.31 "${glibc:-0}" | sort -V | head -n1)" = 2.31 ] || echo "glibc 2.31 or later (found: ${glibc:-none})"
    if [ -z "$python" ]; then
        echo "Python 3.11 or 3.12                     apt-get install python3 python3-venv python3-dev   (or PYTHON=/path/to/python3.11)"
    else
        "$python" -c 'import venv, ensurepip' 2>/dev/null || echo "Python's venv module                    apt-get install python3-venv"
        "$python" -c 'import os, sysconfig; open(os.path.join(sysconfig.get_paths()["include"], "Python.h"))' 2>/dev/null ||
            echo "Python's headers (DeepSpeed compiles)   apt-get install python3-dev"
    fi
    [ -z "$compiler" ] || command -v "${CXX:-g++}" >/dev/null || echo "a C++ compiler (DeepSpeed compiles)     apt-get install g++"
    free=$(df -Pk "$(dirname "$venv")" | awk 'NR == 2 { print int($4 / 1048576) }')
    [ -e "$venv" ] || [ "$free" -ge "$gigabytes" ] || echo "$gigabytes GB of free disk for the environment (here: $free GB)"
}

make_venv() { # the mark comes first, so that a folder cut off here is known as ours
    mkdir -p "$venv" && echo "$kind: envs/setup.sh made this folder and may remove it" >"$mark" &&
        "$python" -m venv "$venv" >"$venv/install.log" 2>&1 && "$venv/bin/python" -I -m pip --version >/dev/null 2>&1
}

remove_venv() {
    rm -rf "$venv" || stop "$venv, made by an earlier set-up, cannot be removed" "remove it by hand, then type it again"
}

if [ -e "$venv" ] && ! ours && [ -n "$(ls -A "$venv" 2>/dev/null || echo unreadable)" ]; then
    stop "$venv is not an environment that this script made: it is left as it is" \
        "move it away, or name another folder: make setup VENV=.venv"
fi
parent=$(dirname "$venv")
mkdir -p "$parent" 2>/dev/null && [ -w "$parent" ] || [ -w "$venv" ] ||
    stop "no environment can be made here: $parent cannot be written" "clone onto a file system that you can write"
# two at once would install over each other; where the file system has no locks, it goes on without
# (the lock is for its owner alone: whoever can read a lock can hold it)
lock=$here/../.snakemake/setup.lock mask=$(umask)
umask 077
if [ ! -p "$lock" ] && { mkdir -p "$here/../.snakemake" && exec 9>>"$lock"; } 2>/dev/null && [ -O "$lock" ] && chmod 600 "$lock"; then
    flock 9 2>/dev/null || true
fi
umask "$mask"

without_code= # an architecture that the environment, as it is, has no code for
if [ "$kind" = gpu ] && [ -n "$(find_python)" ]; then
    [ -f "$venv/architectures" ] || [ ! -f "$stamp" ] || echo 8.0 >"$venv/architectures" # of set-ups that built for A100s alone
    code=0
    said=$("$(find_python)" -I "$here/architectures.py" "$venv/architectures" 2>&1) || code=$?
    [ "$code" != 1 ] || stop "$said" "set it right, or leave it out"
    [ "$code" != 3 ] || without_code=$said
fi
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$digest" ] && [ -z "$without_code" ]; then
    if [ -n "$ours_inside" ] && [ "$here/../pyproject.toml" -nt "$stamp" ]; then # new commands or a new version of the package itself
        PATH=$venv/bin:$PATH VIRTUAL_ENV=$venv "$venv/bin/python" -I "$here/install.py" checkout
    fi
    touch "$stamp"
    exit 0
fi
python=$(find_python)
[ -z "${PYTHON:-}" ] || [ "$python" = "$PYTHON" ] || echo "setup: PYTHON=$PYTHON is not Python 3.11 or 3.12: taking ${python:-none}" >&2
lacking=$(missing)
if [ -n "$lacking" ]; then
    printf 'setup: this system lacks\n%s\n' "$(sed 's/^/  /' <<<"$lacking")" >&2
    exit 2
fi
if [ -f "$stamp" ]; then
    why="the locks have changed since $venv was made"
    [ "$(cat "$stamp")" != "$digest" ] || why="$venv has no code for compute capability $without_code"
    echo "setup: $why; making it anew"
    remove_venv
fi
started=$SECONDS
if ! "$venv/bin/python" -I -m pip --version >/dev/null 2>&1; then
    remove_venv
    make_venv || stop "$python cannot make a virtual environment: $(tail -n 1 "$venv/install.log" 2>/dev/null || echo "$venv cannot be written")" \
        "see that the disk has room and Python its venv module, then type it again" "$venv/install.log"
fi
echo "setup: $venv, $("$venv/bin/python" --version), environment '$kind' (log: $venv/install.log)"
PATH=$venv/bin:$PATH VIRTUAL_ENV=$venv "$venv/bin/python" -I "$here/install.py" "$kind"
echo "$digest" >"$stamp"
echo "setup: done in $((SECONDS - started)) s"
