#!/usr/bin/env bash
# What ten minutes on one GPU tell: whether the paths that no CPU has work, and three of the plan's assumptions.
#
#     benchmarks/gpu_minutes.sh [--out FOLDER] [--dry-run | --toy]
#
# Needs one GPU of 80 GB that nothing else uses, and `make setup-gpu`. Each item ends by itself or is ended:
#   train   the miniature's first segment on the GPU at ZeRO 3, killed after its third step, resumed and exported: flash
#           attention, the Triton cross-entropy, CUDA IPC, sleep and wake, offload, FusedAdam, save and load; vllm_kl
#   update  random weights in the 1.5B shape, one micro-batch of 25,600 tokens: peak memory, FLOP utilisation
#   engine  one engine, 128 answers of 2,000 tokens, with and without log-probabilities; one alone; sleep and wake
# It writes results.json, results.md (which assumption of workflow/deepscaler/cost/assumptions.py a figure replaces) and
# a log of each item. Exit code 1 where an item failed.
#
#     --dry-run   says what would run, and runs nothing
#     --toy       a toy's model on the CPU: tries update and engine, and that the workflow can make train
set -euo pipefail
unset PYTHONPATH PYTHONHOME CDPATH

ITEMS=(train update engine)
declare -A SECONDS_OF=([train]=600 [update]=180 [engine]=300) # at most
HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname -- "$HERE")
out=gpu-minutes mode=''

usage() {
    sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
}

while (($#)); do
    case $1 in
        --out)
            out=${2:?"--out needs a folder"}
            shift
            ;;
        --dry-run | --toy) mode=$1 ;;
        -h | --help)
            usage
            exit
            ;;
        *)
            echo "gpu_minutes.sh: unknown option $1; --help lists them" >&2
            exit 2
            ;;
    esac
    shift
done

environment=$ROOT/.venv-gpu
if [[ $mode == --toy || ! -x $environment/bin/python ]]; then
    environment=$ROOT/.venv
fi
python=$environment/bin/python

# Why no item can run here; nothing where they can.
obstacle() {
    if [[ $mode == --toy ]]; then
        return
    elif ! command -v nvidia-smi >/dev/null; then
        echo "skipped: no GPU (nvidia-smi is not here)"
    elif ! nvidia-smi >/dev/null 2>&1; then
        echo "skipped: nvidia-smi does not answer"
    elif [[ ! -x $ROOT/.venv-gpu/bin/python ]]; then
        echo "skipped: no environment for GPUs (make setup-gpu)"
    fi
}

why=$(obstacle)
if [[ $mode == --dry-run ]]; then
    for item in "${ITEMS[@]}"; do
        echo "$item: ${why:-would run} (at most ${SECONDS_OF[$item]} s): $python benchmarks/gpu_minutes.py $item"
    done
    exit
fi

mkdir -p -- "$out"
out=$(cd -- "$out" && pwd)
cd -- "$ROOT"
rm -f -- "$out"/items.tsv "$out"/results.{json,md}
failed=0
for item in "${ITEMS[@]}"; do
    rm -f -- "$out/$item.json"
    begun=$SECONDS ended='done'
    if [[ -n $why ]]; then
        ended=$why
    else
        echo "$item: at most ${SECONDS_OF[$item]} s, log $out/$item.log" >&2
        code=0
        PATH=$environment/bin:$PATH timeout --kill-after=30 "${SECONDS_OF[$item]}" \
            "$python" benchmarks/gpu_minutes.py "$item" "$out/$item.json" ${mode:+"$mode"} \
            >"$out/$item.log" 2>&1 || code=$?
        case $code in
            0) ;;
            124 | 137) ended="stopped after ${SECONDS_OF[$item]} s" ;;
            *) ended="failed (exit code $code)" ;;
        esac
        if ((code)); then
            failed=1
            tail -n 3 -- "$out/$item.log" >&2
        fi
    fi
    printf '%s\t%s\t%s\n' "$item" "$ended" "$((SECONDS - begun))" >>"$out/items.tsv"
done
"$python" benchmarks/gpu_minutes.py table "$out"
exit "$failed"
