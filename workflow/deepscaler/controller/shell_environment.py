"""What the shell, or a module loaded in it, sets for another Python: neither Snakemake nor its jobs may follow it.

`make` takes these variables away; Snakemake started by itself has followed them before it reads a rule.
"""

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

from deepscaler.environment import settle, with_library_folder
from deepscaler.errors import UserError
from deepscaler.settings import site

FOREIGN = (
    *("PYTHONHOME", "PYTHONUSERBASE", "PYTHONSTARTUP", "PYTHONOPTIMIZE", "PYTHONINSPECT", "PYTHONWARNINGS"),
    "PYTHONDONTWRITEBYTECODE",  # jobs start many Python processes: let them keep what they compile
)


def for_jobs(environment: MutableMapping[str, str]) -> None:
    """Change the environment that jobs inherit: nothing of another Python, no choice of kernels, our commands first.

    What verbs take out is taken out here too, for what takes effect before a verb begins (the encoding of text).
    """
    for name in FOREIGN:
        environment.pop(name, None)
    settle(environment)
    with_library_folder(environment, site().cuda_compat)
    # `deepscaler` is found beside the snakemake that runs, also where its environment is not activated
    found = environment.get("PATH", os.defpath)
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), found])


def check_python_path(value: str, search: list[str]) -> None:
    """Refuse a PYTHONPATH that hides a package of this environment. `search`: sys.path.

    Folders with nothing that is also found elsewhere do no harm, nor does a checkout of this package.
    """
    entries = [Path(entry) for entry in value.split(os.pathsep) if entry]
    others = [Path(entry) for entry in search if entry and Path(entry) not in entries]
    own = set().union(*map(modules, others))
    for entry in entries:
        hidden = modules(entry) & own
        if hidden and not (entry / "deepscaler").is_dir() and not any(same(entry, other) for other in others):
            some = ", ".join(sorted(hidden)[:3]) + (f" and {len(hidden) - 3} more" if len(hidden) > 3 else "")
            raise UserError(
                f"PYTHONPATH, set by the shell or a module, hides packages of this environment: {some}",
                entry,
                "leave it out of this command: env -u PYTHONPATH snakemake ...",
            )


def modules(folder: Path) -> set[str]:
    """Names that `import` would find in the folder."""
    try:
        names = [(path.name.split(".")[0], path) for path in folder.iterdir()]
    except OSError:
        return set()
    return {
        name
        for name, path in names
        if name.isidentifier()
        and name != "__pycache__"
        and (path.suffix in (".py", ".so") or (path.suffix == "" and (path / "__init__.py").is_file()))
    }


def same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
