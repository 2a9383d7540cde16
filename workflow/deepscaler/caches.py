"""Caches in a folder of one's own on the node: compiled code, fonts, rows of data sets.

Libraries keep them in the home folder, where a network file system makes them slow and locks fail, or in /tmp under
names that anyone can guess: code that another user compiled there beforehand would be run. Here all of them are below
one folder of this user's on the node's own disk, which nobody else can enter.
"""

import os
import stat
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from deepscaler.errors import UserError

VARIABLES = {
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TORCH_EXTENSIONS_DIR": "torch_extensions",
    "VLLM_CACHE_ROOT": "vllm",
    "VLLM_CONFIG_ROOT": "vllm-config",
    "FLASHINFER_WORKSPACE_BASE": "flashinfer",
    "TILELANG_CACHE_DIR": "tilelang",
    "CUDA_CACHE_PATH": "cuda",
    "HF_MODULES_CACHE": "huggingface-modules",
    "HF_DATASETS_CACHE": "huggingface-datasets",
    "MPLCONFIGDIR": "matplotlib",
    "NUMBA_CACHE_DIR": "numba",
    "XDG_CACHE_HOME": "other",
}
"""Variable → folder below the user's own."""
READ_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def use_own_caches(environment: MutableMapping[str, str]) -> Path:
    """Point every cache below this user's folder on this node, made where it is missing.

    Raises UserError where someone else could have put something into it.
    """
    folder = own_folder(Path(tempfile.gettempdir()) / f"deepscaler-cache-{os.getuid()}")
    before = Path(environment.get("XDG_CACHE_HOME") or f"{environment.get('HOME', '')}/.cache")
    environment.setdefault("HF_HOME", str(before / "huggingface"))  # the hub's token stays where it is
    environment.update({name: str(folder / below) for name, below in VARIABLES.items()})
    return folder


def own_folder(folder: Path) -> Path:
    """A folder that belongs to this user and that nobody else can enter or exchange, made where it is missing."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise UserError(f"no folder for caches can be made: {error.strerror}", folder, HINT) from None
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        what = "is a link or a file" if found.st_uid == os.getuid() else f"belongs to another user ({found.st_uid})"
        raise UserError(f"the folder for caches {what}: code in it would be run", folder, HINT)
    if found.st_mode & READ_BY_OTHERS:
        raise UserError("other users may enter the folder for caches: code in it would be run", folder, HINT)
    for above in folder.resolve().parents:
        status = above.stat()
        if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
            raise UserError("any user could exchange the folder for caches", above, HINT)
    return folder


HINT = "set TMPDIR to a folder of your own on this node's disk, or remove the one that is named"
