"""What must agree within the repository: imports and their order, schemas and models, locks and their digests."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import deepscaler
import pytest
import yaml
from deepscaler.maintenance import schemas

PACKAGE = Path(deepscaler.__file__).parent
ORDER = re.sub(r"\s", "", deepscaler.__doc__.split("in this list:")[1]).rstrip(".").split(",")


def imported(path: Path) -> set[str]:
    """The first names below `deepscaler` that a file imports, at its top or within a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "deepscaler":
            parts = node.module.split(".")[1:]
            found |= {parts[0]} if parts else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("deepscaler.")}
    return found - {"__version__"}


def test_the_list_of_modules_is_the_packages():
    children = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert set(ORDER) == children - {"__init__", "__main__"}


@pytest.mark.parametrize("module", ORDER)
def test_imports_go_one_way(module):
    here = PACKAGE / module
    files = here.rglob("*.py") if here.is_dir() else [here.with_suffix(".py")]
    allowed = set(ORDER[: ORDER.index(module) + 1])
    wrong = {str(path.relative_to(PACKAGE)): sorted(imported(path) - allowed) for path in files}
    assert {path: names for path, names in wrong.items() if names} == {}


def test_help_is_fast():
    """`deepscaler --help` imports no engine: each job starts with it."""
    code = "import sys; from deepscaler.cli import build; build(); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not {"torch", "vllm", "transformers", "datasets", "pandas", "ray", "numpy"} & set(run.stdout.split())


def test_schemas_are_what_the_models_say():
    assert schemas.schemas(check=True)


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("scale", "scales/*.yaml"),
        ("recipe", "recipes/*.yaml"),
        ("scale", "defaults/scale.yaml"),
        ("recipe", "defaults/recipe.yaml"),
        ("models", "models.yaml"),
        ("benchmarks", "benchmarks.yaml"),
        ("sources", "sources.yaml"),
        ("site", "site.yaml"),
    ],
)
def test_settings_fit_their_schemas(root, schema, pattern):
    import jsonschema

    rules = json.loads((root / "workflow" / "schemas" / f"{schema}.schema.json").read_text(encoding="utf-8"))
    files = list((root / "config").glob(pattern))
    assert files
    for path in files:
        jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), rules)


def test_conda_environments_hold_the_digests_of_their_locks(root):
    run = subprocess.run(
        [sys.executable, "envs/seal.py", "--check"], cwd=root, capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr


def test_locks_pin_every_package_by_hash(root):
    locks = [*root.glob("envs/*.lock.txt"), *root.glob("envs/*-bootstrap.txt"), *root.glob("envs/*-deepspeed.txt")]
    assert len(locks) >= 6
    for path in locks:
        for block in re.split(r"\n(?=[a-z0-9])", path.read_text(encoding="utf-8")):
            if not block.startswith("#"):
                assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+", block), f"{path}: {block[:60]}"
                assert "--hash=sha256:" in block, f"{path}: {block[:60]}"


def test_make_help_lists_every_target(root):
    targets = re.findall(r"^\.PHONY: (\S+)", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    listed = subprocess.run(["make", "help"], cwd=root, capture_output=True, text=True, check=True, timeout=60).stdout
    assert [target for target in targets if f"make {target} " not in listed] == []
