#!/usr/bin/env bash
# Snakemake runs this once in the new, activated conda environment, from the folder in which it was started.
# The digests (written by seal.py) make a changed lock a new environment.
set -euo pipefail
unset CDPATH
here=${ENVS_DIR:-envs}
(cd "$here" && sha256sum --check --strict --quiet) <<'SUMS'
8bbacbe0ed42c08ad3b65f85b9e435ec727896ed6ece74c6fac7295e930b8393  architectures.py
6d94394b6c959d15a996792aaf981bfb69caa91712499a5cfdd454fd5b50555b  cuda_toolkit.py
00a19641f29063c77a0e05d7b1989492e69ceb9fe35a9b5483c3bbc0a9b614c8  install.py
d52e99d681a822763288e67d87901dfd202a67aa6fa02b93d58947abdaa2679a  package_source.py
651b25a65826b91f547a8d0efb1f657a3e7312bb3d889f70197eb33edd15be4c  uv.lock.txt
81c7dbc3dfd2f36791e295ac77d21d90704bc660e947e9dd3dfa05eef2157835  gpu-bootstrap.txt
d63b58fa3ef8fbd94cb78c82834d9b24b7e68ac3d5371e7b16dbc5eb06c8598b  gpu-deepspeed.txt
dd6b18dea4ce396db5d9406c886a3c73e0cfd6b350b1b803a34afb71a3453617  gpu-flash-attn.txt
ca7e2b1df52d54f2ab3eb84bd3492c88590ce594ba0635320fca5e57cf75a82e  gpu.lock.txt
SUMS
python -I "$here/install.py" gpu
