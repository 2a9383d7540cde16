"""usage: seal.py [--check]    writes the locks' digests into the post-deploy scripts of Snakemake's conda environments

Snakemake names an environment by a hash of its YAML and its post-deploy script alone. With the digests in the script,
a changed lock is a new environment, and a script that does not fit its locks refuses to install.
"""

import hashlib
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
INSTALLER = ["architectures.py", "cuda_toolkit.py", "install.py", "package_source.py", "uv.lock.txt"]
RESOLVER_INPUTS = {"cpu-excludes.txt", "gpu-constraints.txt"}


def sums(kind: str) -> str:
    """What `sha256sum` would print for everything that the environment is installed from."""
    locks = sorted({path.name for path in HERE.glob(f"{kind}[-.]*txt")} - RESOLVER_INPUTS)
    digests = {name: hashlib.sha256((HERE / name).read_bytes()).hexdigest() for name in [*INSTALLER, *locks]}
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items())


def sealed(kind: str) -> str:
    script = (HERE / f"{kind}.post-deploy.sh").read_text()
    return re.sub(r"(?<=<<'SUMS'\n).*?(?=^SUMS$)", sums(kind), script, flags=re.DOTALL | re.MULTILINE)


if __name__ == "__main__":
    for kind in ("cpu", "gpu"):
        path = HERE / f"{kind}.post-deploy.sh"
        if "--check" in sys.argv and sealed(kind) != path.read_text():
            sys.exit(f"{path.name} does not hold the digests of its locks: run `python3 envs/seal.py`")
        path.write_text(sealed(kind))
