"""What README.md, CONTRIBUTING.md and docs/ say about the repository: its pages, folders, files and names exist."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from deepscaler.cli import build

LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([\w-]+))?\)")
"""A link to a page of the repository: its path (empty: the same page) and the heading in it."""
WIDTH = 120
SET_APART = re.compile(r"^```.*?^```|<!-- begin .*?<!-- end [^\n]*", re.MULTILINE | re.DOTALL)
"""Code, and what `deepscaler write_docs` fills in."""
MAKE = re.compile(r"(?:`|^(?=make [a-z-]+ *(?:#.*)?$))make ([a-z-]+)", re.MULTILINE)
"""In a code span, or alone on a line of code."""
VERB = re.compile(r"(?:`|^|bin/|\$ |    )deepscaler ([a-z_]+)([^`\n#]*)", re.MULTILINE)
PROFILE = re.compile(r"--profile ([a-z][a-z/]*)")
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
    assert pages - linked(root, "README.md") == set()
    measured = {f"performance/{path.name}" for path in (root / "docs" / "performance").glob("*.md")}
    assert measured - linked(root, "docs/PERFORMANCE.md") == set()


def linked(root: Path, name: str) -> set[str]:
    return {target for target, _ in LINK.findall(text_of(root, name))}


def test_every_link_leads_somewhere(root: Path, tracked: list[str]) -> None:
    links = [(name, *found) for name in pages_of(tracked) for found in LINK.findall(text_of(root, name))]
    assert len(links) > 30
    page = {(name, target): (root / name).parent / target if target else root / name for name, target, _ in links}
    assert [link for link, path in page.items() if not path.exists()] == []
    to_headings = [(name, target, heading) for name, target, heading in links if heading]
    assert len(to_headings) >= 3
    lost = [link for link in to_headings if link[2] not in headings(page[link[:2]].read_text(encoding="utf-8"))]
    assert lost == []


def pages_of(tracked: list[str]) -> list[str]:
    return [name for name in tracked if name.endswith(".md") and not name.startswith("results/")]


def headings(text: str) -> set[str]:
    """The anchors that a forge makes of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_prose_fits_a_screen(root: Path, tracked: list[str]) -> None:
    """But for tables, code, pictures, and addresses that can't be cut."""
    wide = [
        (name, line)
        for name in pages_of(tracked)
        for line in SET_APART.sub("", text_of(root, name)).splitlines()
        if len(line) > WIDTH and not line.startswith(("|", "!", "    ")) and " " in line.strip()
    ]
    assert wide == []


def test_every_target_of_make_that_a_document_names_exists(root: Path, tracked: list[str]) -> None:
    makefile = text_of(root, "Makefile")
    made = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = [(name, target) for name in pages_of(tracked) for target in MAKE.findall(text_of(root, name))]
    assert len(named) > 20
    assert [(name, target) for name, target in named if target not in made] == []


def test_no_target_stands_behind_an_option_that_takes_all_words(root: Path, tracked: list[str]) -> None:
    """Snakemake's `--sdm conda results/table.csv` is two ways of deployment, of which it does not know the second."""
    for name in (*pages_of(tracked), "Makefile", "Snakefile"):
        found = re.search(r"--(?:sdm|quiet|groups)(?: [\w=]+)+ (?:results/|\$)\S*", text_of(root, name))
        assert not found, f"{name}: {found and found[0]}"


def test_every_verb_and_option_that_a_document_names_exists(root: Path, tracked: list[str]) -> None:
    verbs = typer.main.get_command(build()).commands
    assert len(verbs) > 30
    named = [(name, *found) for name in pages_of(tracked) for found in VERB.findall(text_of(root, name))]
    assert len(named) > 40
    for page, verb, rest in named:
        assert verb in verbs, f"{page}: deepscaler {verb}"
        known = {option for parameter in verbs[verb].params for option in parameter.opts} | {"--help"}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, f"{page}: deepscaler {verb} {rest}"


def test_every_profile_that_a_document_names_exists(root: Path, tracked: list[str]) -> None:
    named = {(name, profile) for name in pages_of(tracked) for profile in PROFILE.findall(text_of(root, name))}
    assert len({profile for _, profile in named}) >= 3
    assert [(name, profile) for name, profile in named if not (root / profile).is_dir()] == []


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
    assert len(shown) == len(set(shown))
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
        "rehearsal",
        "paper",
    ]
    drawn = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=300).stdout
    assert len(arrows(drawn)) > 50
    assert arrows(text_of(root, "docs/dag.md")) == arrows(drawn), "make picture"


def arrows(picture: str) -> set[tuple[str, str]]:
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", picture))
    return {(names[start], names[end]) for start, end in re.findall(r"(id\d+) --> (id\d+)", picture)}
