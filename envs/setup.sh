#!/usr/bin/env bash
# usage: setup.sh cpu|gpu|controller VENV    makes a virtual environment, or completes one that was cut off
# Nothing to do when VENV/installed holds the digest of the locks; other locks than those mean a new environment.
# PYTHON=/path/to/python3.11    the interpreter, where it is not found by name
set -euo pipefail
kind=${1:?cpu, gpu or controller} venv=${2:?the folder of the virtual environment}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$(realpath -m "$venv") # pip builds in folders of its own and writes this path into the commands' first lines
unset PYTHONPATH PYTHONHOME
digest=$(cat "$here"/"$kind"[-.]*txt | sha256sum | cut -c1-64)
stamp=$venv/installed
gigabytes=8
[ "$kind" = gpu ] && gigabytes=25

find_python() { # 3.11 first: the locks' hash of torch's CPU wheel is for it
    local name
    for name in ${PYTHON:-} python3.11 python3.12 python3 python; do
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
    [ "$kind" = controller ] || command -v "${CXX:-g++}" >/dev/null || echo "a C++ compiler (DeepSpeed compiles)     apt-get install g++"
    [ "$kind" != gpu ] || command -v nvcc "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" >/dev/null ||
        echo "nvcc of CUDA 13.0 (flash-attn is built)  load the site's module, or set CUDA_HOME; or use envs/gpu.def"
    free=$(df -Pk "$(dirname "$venv")" | awk 'NR == 2 { print int($4 / 1048576) }')
    [ -e "$venv" ] || [ "$free" -ge "$gigabytes" ] || echo "$gigabytes GB of free disk for the environment (here: $free GB)"
}

mkdir -p "$(dirname "$venv")"
exec 9<"$here" && flock 9 # two at once would install over each other
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$digest" ]; then
    if [ "$here/../pyproject.toml" -nt "$stamp" ]; then # new commands or a new version of the package itself
        "$venv/bin/python" -m pip install --quiet --no-input --no-deps --no-build-isolation --editable "$here/.."
    fi
    touch "$stamp"
    exit 0
fi
python=$(find_python)
lacking=$(missing)
if [ -n "$lacking" ]; then
    printf 'setup: this system lacks\n%s\n' "$(sed 's/^/  /' <<<"$lacking")" >&2
    exit 2
fi
if [ -f "$stamp" ]; then
    echo "setup: the locks have changed since $venv was made; making it anew"
    rm -rf "$venv"
fi
started=$SECONDS
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
echo "setup: $venv, $("$venv/bin/python" --version), environment '$kind' (log: $venv/install.log)"
export PATH=$venv/bin:$PATH VIRTUAL_ENV=$venv
bash "$here/install-env.sh" "$kind"
echo "$digest" >"$stamp"
echo "setup: done in $((SECONDS - started)) s"
