"""What README.md, CONTRIBUTING.md and docs/ say about the repository: its pages, folders, files and names exist."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
ROW = re.compile(r"^\| [^|]+ \| `([^`|]+)` \| (`[^|]+`) \|$", re.MULTILINE)


def text_of(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tracked(root: Path) -> list[str]:
    """Every file of the repository."""
    if not (root / ".git").exists():
        pytest.skip("not a checkout by git")
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True, timeout=60)
    return [name for name in listed.stdout.splitlines() if (root / name).exists()]


def test_the_readme_links_every_page(root: Path) -> None:
    pages = {f"docs/{path.name}" for path in (root / "docs").glob("*.md")}
    assert len(pages) >= 11
    assert pages - set(LINK.findall(text_of(root, "README.md"))) == set()
    measured = {f"performance/{path.name}" for path in (root / "docs" / "performance").glob("*.md")}
    assert measured - set(LINK.findall(text_of(root, "docs/PERFORMANCE.md"))) == set()


def test_every_link_leads_somewhere(root: Path, tracked: list[str]) -> None:
    pages = [name for name in tracked if name.endswith(".md") and not name.startswith("results/")]
    links = [(name, target) for name in pages for target in LINK.findall(text_of(root, name))]
    assert len(links) > 30
    assert [(name, target) for name, target in links if not (root / name).parent.joinpath(target).exists()] == []


def tree(readme: str) -> list[str]:
    """The folders of the README's tree, as paths."""
    [block] = re.findall(r"```\n(\.ci/.+?)```", readme, re.DOTALL)
    found: list[str] = []
    above: list[str] = []
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        above = [*above[:depth], line.split()[0].rstrip("/")]
        found.append("/".join(above))
    return found


def test_the_tree_is_the_repositorys(root: Path, tracked: list[str]) -> None:
    shown = tree(text_of(root, "README.md"))
    assert [name for name in shown if not (root / name).exists()] == []
    folders = [Path(name).parent for name in tracked]
    top = {folder.parts[0] for folder in folders if folder.parts}
    second = {"/".join(folder.parts[:2]) for folder in folders if len(folder.parts) > 1}
    second = {name for name in second if name.split("/")[0] in ("config", "docs", "tests", "results", "workflow")}
    rooms = {"/".join(folder.parts[:3]) for folder in folders if folder.parts[:2] == ("workflow", "deepscaler")}
    assert len(rooms) > 12
    assert (top | second | rooms) - set(shown) == set()


def test_where_is_what(root: Path) -> None:
    rows = ROW.findall(text_of(root, "CONTRIBUTING.md"))
    assert len(rows) >= 16
    for file, names in rows:
        assert (root / file).is_file(), file
        for name in re.findall(r"`([^`]+)`", names):
            known = keys_of(root / file) if file.endswith(".yaml") else names_of(root / file)
            assert name in known, f"{name} is not in {file}"


def keys_of(path: Path) -> set[str]:
    """The dotted keys of a YAML file."""

    def below(value: Any, prefix: str) -> set[str]:
        if not isinstance(value, dict):
            return set()
        return {f"{prefix}{key}" for key in value} | {
            inner for key, part in value.items() for inner in below(part, f"{prefix}{key}.")
        }

    return below(yaml.safe_load(path.read_text(encoding="utf-8")), "")


def names_of(path: Path) -> set[str]:
    """What a module defines: functions, classes, constants and fields."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


FOREIGN = (
    "scripts/", "verl/", "openrlhf/", "models/actor.py", "fsdp_workers.py", "dp_actor.py", "eval_model.sh",
    "deepscaler_dataset.py", "checkpoint.json", "file.py", "config/site.local.yaml", "config/sources.lock.yaml",
    "config/approved.local.yaml",
    "docs/source/", "config/scales/paper-4gpu.yaml", "config/scales/ablation.yaml",
)  # fmt: skip
"""Files of other projects, and files that a user makes."""


def test_every_file_that_a_document_names_exists(root: Path, tracked: list[str]) -> None:
    pages = [name for name in tracked if name.endswith((".md", ".rst")) and not name.startswith("results/")]
    named = [
        (page, file)
        for page in pages
        for file in re.findall(
            r"`(?:[a-z_]+ )?([\w.-]+(?:/[\w.-]+)*\.(?:py|smk|yaml|sh|def|rst|in|txt))`", text_of(root, page)
        )
        if page != "CHANGELOG.md" and not file.startswith(FOREIGN)
    ]
    assert len(named) > 30
    lost = [(page, file) for page, file in named if not any(f"/{name}".endswith(f"/{file}") for name in tracked)]
    assert lost == []


def test_every_rule_file_opens_with_its_inputs_and_outputs(root: Path) -> None:
    files = sorted((root / "workflow" / "rules").glob("*.smk"))
    assert len(files) >= 7
    for path in files:
        head = path.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
        comment = [line for line in head if line.startswith("#")]
        assert 3 <= len(comment) <= 9, path.name
        assert any(line.startswith("#   in: ") for line in comment), path.name
        assert any(line.startswith("#   out: ") for line in comment), path.name


def test_the_picture_of_the_rules_is_the_workflows(root: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("snakemake")),
        "--rulegraph",
        "mermaid-js",
        "mini",
        "released",
        "paper",
    ]
    drawn = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=300).stdout
    assert len(arrows(drawn)) > 50
    assert arrows(text_of(root, "docs/dag.md")) == arrows(drawn), "make picture"


def arrows(picture: str) -> set[tuple[str, str]]:
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", picture))
    return {(names[start], names[end]) for start, end in re.findall(r"(id\d+) --> (id\d+)", picture)}
