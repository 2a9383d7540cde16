#!/usr/bin/env bash
# Snakemake runs this once in the new, activated conda environment, from the folder in which it was started.
# The digests (written by seal.py) make a changed lock a new environment.
set -euo pipefail
here=${ENVS_DIR:-envs}
(cd "$here" && sha256sum --check --strict --quiet) <<'SUMS'
2f7bc68402a7131448889997be1aab96c828897d3c986f4f643524e6e6ce9a3c  install-env.sh
81c7dbc3dfd2f36791e295ac77d21d90704bc660e947e9dd3dfa05eef2157835  gpu-bootstrap.txt
d63b58fa3ef8fbd94cb78c82834d9b24b7e68ac3d5371e7b16dbc5eb06c8598b  gpu-deepspeed.txt
dd6b18dea4ce396db5d9406c886a3c73e0cfd6b350b1b803a34afb71a3453617  gpu-flash-attn.txt
2bfb01996bf76a6575498da8e7ce204853b79217ecb281f680c18b49afcbff2a  gpu.lock.txt
SUMS
bash "$here/install-env.sh" gpu
