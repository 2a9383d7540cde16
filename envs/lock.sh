#!/usr/bin/env bash
# usage: lock.sh [cpu|gpu|controller|standards|tracking|HARNESS]...    resolves the environments anew and writes their locks (default: all)
# Needs a network, and uv, which it installs in a venv of its own.
# FIND_LINKS=dir    a folder that holds torch's CPU wheel, where PyTorch's index cannot be asked
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/uv"
"$scratch/uv/bin/pip" install --quiet --require-hashes -r uv.lock.txt

resolve() { # resolve KIND INPUT... [uv's options]
    local kind=$1
    shift
    echo "lock: resolving $kind"
    "$scratch/uv/bin/uv" pip compile --quiet --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        --python-version 3.11 --python-platform x86_64-manylinux_2_31 --generate-hashes \
        --only-binary :all: --no-binary connection-pool "$@" --output-file "$scratch/$kind.txt"
    python3 split_lock.py "$kind" "$scratch/$kind.txt"
}

if [ -n "${FIND_LINKS:-}" ]; then torch=(--find-links "$FIND_LINKS"); else
    torch=(--index https://download.pytorch.org/whl/cpu --index-strategy unsafe-best-match)
fi
for kind in "${@:-cpu gpu controller standards tracking inspect-ai lighteval lm-eval verl}"; do
    for one in $kind; do
        case $one in
        cpu)
            resolve cpu cpu.in workflow.in "${torch[@]}" --excludes cpu-excludes.txt --overrides overrides.txt \
                --no-binary deepspeed ;;
        gpu)
            resolve gpu gpu.in workflow.in --constraints gpu-constraints.txt --overrides overrides.txt \
                --no-binary deepspeed --no-binary flash-attn --no-binary transformers-stream-generator ;;
        controller | tracking) resolve "$one" "$one.in" ;;
        standards) resolve standards standards.in --overrides overrides.txt \
                --no-binary jsonpath-rw --no-binary docopt ;;
        inspect-ai) resolve inspect-ai inspect-ai.in ;;
        lighteval) resolve lighteval lighteval.in "${torch[@]}" --no-binary rouge-score ;;
        lm-eval) resolve lm-eval lm-eval.in --no-binary rouge-score --no-binary sqlitedict --no-binary word2number ;;
        verl) resolve verl verl.in --no-deps --no-binary pylatexenc ;;
        *) echo "lock: unknown environment $one" >&2; exit 2 ;;
        esac
    done
done
python3 seal.py
