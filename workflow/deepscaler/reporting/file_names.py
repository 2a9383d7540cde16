"""Names of files that are the same on every machine: relative to the checkout, or `work/…` under the work root."""

from pathlib import Path

from deepscaler import dag, settings

WORK = "work/"
"""How the name of a file under the work root starts, wherever a site has that."""
OURS = ("config/", "workflow/")
"""How those of the checkout start, which a run elsewhere reads too."""


def name_of(path: str) -> str:
    """A file's name in provenance; the same on every machine, wherever its checkout and its work root are."""
    work = settings.site().work.rstrip("/") + "/"
    root, checkout = f"{settings.run_root()}/", f"{settings.project_root()}/"
    for prefix, replacement in ((work, WORK), (root + work, WORK), (root, ""), (checkout, "")):
        if path.startswith(prefix):
            return replacement + path.removeprefix(prefix)
    return path


def path_of(name: str) -> Path:
    """Where a named file lies here."""
    root = settings.project_root() if name.startswith(OURS) else settings.run_root()
    if name.startswith(WORK):
        return root / settings.site().work / name.removeprefix(WORK)
    return root / name


def manifest_name(scale: str, system: str) -> str:
    """The file that stands for the weights of a system."""
    segment = dag.checkpoint_of(scale, system)
    place = f"checkpoints/{segment}/checkpoint.json" if segment else f"models/{system}/model.json"
    return f"work/{scale}/{place}"
