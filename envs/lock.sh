#!/usr/bin/env bash
# usage: lock.sh    regenerates the CPU locks from cpu.in (needs network and uv, which it installs in a venv of its own)
# FIND_LINKS=dir    a folder that holds torch's CPU wheel, where uv must not ask PyTorch's index for it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/uv"
"$scratch/uv/bin/pip" install --quiet uv==0.13.9
if [ -n "${FIND_LINKS:-}" ]; then torch_source=(--find-links "$FIND_LINKS"); else
    torch_source=(--index https://download.pytorch.org/whl/cpu --index-strategy unsafe-best-match); fi
"$scratch/uv/bin/uv" pip compile --quiet --no-header --no-annotate --python-version 3.11 \
    --python-platform x86_64-manylinux_2_31 "${torch_source[@]}" --no-emit-index-url --no-emit-find-links \
    --excludes cpu-excludes.txt --overrides overrides.txt --only-binary :all: --no-binary deepspeed \
    --no-binary connection-pool --generate-hashes cpu.in --output-file "$scratch/cpu.txt"
python3 split_lock.py "$scratch/cpu.txt"
