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
28cd8e039f50a4ffe75e5a3df530f8bde9741d91e7a3b43ef3abe7c0f7e94283  cpu-bootstrap.txt
d63b58fa3ef8fbd94cb78c82834d9b24b7e68ac3d5371e7b16dbc5eb06c8598b  cpu-deepspeed.txt
a9cc09570af815aee817bc2e7b9d47b8b7b683cc2bcea747696bbc48ace1d6b1  cpu-torch.txt
f994f6e5bb47ef08065f1357b505a0a628ca410806a6cf57951778fbe1fae457  cpu.lock.txt
SUMS
python -I "$here/install.py" cpu
