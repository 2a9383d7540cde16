"""Names and paths out of settings that would be commands, options or other files: refused where they are read, and
quoted where a rule's shell gets them."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from deepscaler import settings
from deepscaler.errors import UserError
from deepscaler.settings.base import NAME_PATTERN, WORD_PATTERN, validate
from deepscaler.settings.benchmarks import Benchmark, BenchmarkFile
from deepscaler.settings.claims import ClaimFile, claims
from deepscaler.settings.curation import Curation, Embedding, PinFile, SourceFile
from deepscaler.settings.load import read_yaml
from deepscaler.settings.models import Published, SystemFile
from deepscaler.settings.recipe import Recipe
from deepscaler.settings.scale import Scale
from deepscaler.settings.site import Site
from deepscaler.settings.yaml_files import read_extending

HOSTILE = [
    "x$(id -u>$HOME/pwned_by_name)y;echo${IFS}hello",
    "a b",
    "a;b",
    "`id`",
    "../up",
    "..",
    "a/b",
    "-rf",
    "--output",
    "a\nb",
    "name\n",
    "{scale}",
    "a'b",
    'a"b',
    "*",
    "~",
    "é",
    "A",
    "",
    "x" * 101,
]
WORK = """w o'r"k;$(touch pwned)`touch pwned`|&<>*?[x] 100%% é\t~#!"""


def parts(scale: str = "paper") -> dict[str, Any]:
    """Settings in full, as data, by the model that reads them."""
    root = settings.project_root() / "config"
    loaded = settings.load_scale(scale)
    return {
        "scale": (Scale, loaded.model_dump()),
        "curation": (Curation, loaded.curation.model_dump()),
        "recipe": (Recipe, settings.load_recipe("deepscaler").model_dump()),
        "sources": (SourceFile, {"sources": read_yaml(root / "sources.yaml")}),
        "systems": (SystemFile, {"systems": read_yaml(root / "models.yaml")}),
        "benchmarks": (BenchmarkFile, {"benchmarks": read_yaml(root / "benchmarks.yaml")}),
        "claims": (ClaimFile, claims().model_dump()),
    }


def put(values: Any, keys: list[Any], name: str) -> Any:
    """The data with a name exchanged; a key `*` is the first key of a mapping, and the name becomes it."""
    values = list(values) if isinstance(values, (list, tuple)) else dict(values)
    key, *rest = keys
    if key == "*":
        first = next(iter(values))
        return {name: values[first]} | {k: v for k, v in values.items() if k != first}
    values[key] = put(values[key], rest, name) if rest else name
    return values


PLACES = {
    "a scale": ("scale", ["name"]),
    "a base": ("scale", ["base"]),
    "a recipe of a scale": ("scale", ["training", "recipe"]),
    "a layout's stage": ("scale", ["training", "layout", "*"]),
    "a system of a table": ("scale", ["evaluation", "systems", 0]),
    "a suite": ("scale", ["evaluation", "suites", "*"]),
    "a benchmark of a suite": ("scale", ["evaluation", "suites", "table", 0]),
    "shards' suite": ("scale", ["evaluation", "shards", "*"]),
    "a source of a curation": ("curation", ["sources", 0]),
    "a recipe": ("recipe", ["name"]),
    "a stage": ("recipe", ["stages", 0, "name"]),
    "a source": ("sources", ["sources", "*"]),
    "a model": ("systems", ["systems", "*"]),
    "a benchmark": ("benchmarks", ["benchmarks", "*"]),
    "a claim": ("claims", ["claims", 0, "id"]),
    "a claim's scale": ("claims", ["claims", 0, "scales", 0]),
    "an effort's scale": ("claims", ["effort", "*"]),
}
"""Every name in settings that becomes a path, a wildcard or a word of a command."""


@pytest.mark.parametrize("place", PLACES)
def test_a_name_that_is_a_command_a_path_or_an_option_is_refused(place: str) -> None:
    kind, keys = PLACES[place]
    model, values = parts()[kind]
    for name in HOSTILE:
        with pytest.raises(UserError, match="name"):
            validate(model, put(values, keys, name), "config/handed.yaml")


def test_every_wildcard_of_the_rules_is_such_a_name_or_a_number() -> None:
    rules = "\n".join(path.read_text() for path in (settings.project_root() / "workflow/rules").glob("*.smk"))
    found = set(re.findall(r"wildcards\.(\w+)", rules)) - {"get", "items"}
    assert found == {"scale", "source", "benchmark", "system", "suite", "segment", "shard", "shards", "figure"}


def test_patterns_are_whole() -> None:
    for pattern in (NAME_PATTERN, WORD_PATTERN):
        assert pattern.startswith("^")
        assert pattern.endswith("$")


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "/etc/passwd", "..", "mini/../mini", 5, ["mini"]])
def test_a_parent_is_a_file_of_the_same_folder(name: Any) -> None:
    with pytest.raises(UserError, match="unknown scale"):
        read_extending("scales", name, "scale")


FILES = ["../../.ssh/authorized_keys", "/etc/cron.d/x", "a/../../b", "a\\..\\b", "", "x\n"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_a_repository_is_written_nowhere_else(name: str) -> None:
    """What is fetched lies at its own path below the output: `..` would be another place, with another's content."""
    sources = parts()["sources"][1]["sources"]
    github = {**next(iter(sources.values())), "kind": "github", "repository": "a/b", "revision": "c", "made": None}
    for model, values in (
        (SourceFile, {"sources": {"x": {**github, "files": {name: None}}}}),
        (PinFile, {"pins": {"x": {"repository": "a/b", "revision": "c", "files": {name: "0" * 64}}}}),
        (Benchmark, {**benchmark(), "files": {name: None}}),
        (Published, {**published(), "files": {name: "0" * 64}}),
    ):
        with pytest.raises(UserError, match="a path within the repository"):
            validate(model, values, "config/handed.yaml")


def benchmark() -> dict[str, Any]:
    return next(entry for entry in settings.benchmarks().values() if entry.kind != "synthetic").model_dump()


def published() -> dict[str, Any]:
    return next(entry for entry in settings.systems().values() if isinstance(entry, Published)).model_dump()


REPOSITORIES = ["../../secret", "a/..", "a/b/c", "owner", "https://x.example/a/b", "a/b?x", "./a"]


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_a_repository_is_no_other_place(repository: str) -> None:
    with pytest.raises(UserError, match="owner/name"):
        validate(Published, {**published(), "repository": repository}, "config/handed.yaml")
    embedding = settings.load_scale("paper").curation.embedding.model_dump()
    with pytest.raises(UserError, match="owner/name"):
        validate(Embedding, {**embedding, "model": repository}, "config/handed.yaml")


@pytest.mark.parametrize("key", ["account", "cpu_partition", "gpu_partition", "qos", "gpu_constraint", "gpu_model"])
def test_what_reaches_sbatch_is_a_word(key: str) -> None:
    site = settings.site().model_dump()
    for value in ("x; touch pwned", "a b", "$(id)", "`id`", "a'b", "x\n", "--wrap=id", "-x"):
        with pytest.raises(UserError, match=key):
            validate(Site, {**site, key: value}, "config/site.local.yaml")
    validate(Site, {**site, key: "a100_80gb"}, "config/site.local.yaml")


def test_further_options_of_sbatch_are_options_alone() -> None:
    site = settings.site().model_dump()
    for value in ("x", "--nice=1; id", "--comment=$(id)", "--wrap=`id`", "--a=b\n", "--comment='a b'", "--a | id"):
        with pytest.raises(UserError, match="slurm_extra"):
            validate(Site, {**site, "slurm_extra": value}, "config/site.local.yaml")
    validate(Site, {**site, "slurm_extra": "--reservation=spring --nice=100 --exclusive"}, "config/site.local.yaml")


def test_constraints_and_lists_stay_possible() -> None:
    site = settings.site().model_dump()
    for key, value in (
        ("gpu_constraint", "[a100*2&(ib|roce)]"),
        ("gpu_partition", "gpu,gpu-long"),
        ("account", "me@x+y"),
    ):
        assert getattr(validate(Site, {**site, key: value}, "x"), key) == value


def test_every_value_of_a_rules_shell_is_quoted(root: Path) -> None:
    for path in sorted((root / "workflow/rules").glob("*.smk")):
        for shell in re.findall(r'shell:\n((?:\s+".*"\n)+)', path.read_text()):
            for field in re.findall(r"\{([^}]+)\}", shell):
                assert field.endswith(":q") or field == "threads", f"{path.name}: {{{field}}}"


@pytest.mark.timeout(200)
def test_a_work_root_of_any_name_is_one_word_of_every_command(root: Path, tmp_path: Path) -> None:
    """Every rule of mini, as Snakemake would give it to the shell; and one of them is run."""
    for name in ("config", "envs", "workflow/rules", "workflow/notebooks", "workflow/report"):
        shutil.copytree(root / name, tmp_path / name, ignore=shutil.ignore_patterns("*.local.yaml"))
    shutil.copyfile(root / "Snakefile", tmp_path / "Snakefile")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DEEPSCALER_")}
    environment = {**clean, "DEEPSCALER_WORK": WORK}
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nolock"]

    def snakemake(*arguments: str) -> str:
        words = [*command, *arguments]
        run = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, (run.stdout + run.stderr)[-3000:]
        return run.stdout + run.stderr

    shown = snakemake("--dry-run", "--printshellcmds", "mini")
    shells = r"\s*(?:Shell command: )?(?:trap '' TERM; )?(deepscaler \w+ .*)"
    commands = [match[1].strip() for line in shown.splitlines() if (match := re.match(shells, line))]
    verbs = set()
    for line in commands:
        words = [word for word in shlex.split(line, comments=False) if word != "-i"]
        verbs.add(words[1])
        below = [word for word in words if WORK.split(";")[0] in word]
        assert all(word.startswith(WORK) for word in below), line
        assert words[-4:-1] == ["2>&1", "|", "tee"], line
    assert {"fetch_source", "train_segment", "sample", "record_provenance"} <= verbs
    snakemake(f"{WORK}/mini/data/sources/mini-aime.parquet")
    assert (tmp_path / WORK / "mini/data/sources/mini-aime.parquet").is_file()
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize("segment", ["8k-1", "16k-1"])
def test_the_pasted_command_holds_a_work_root_of_any_name(segment: str, tmp_path: Path) -> None:
    """`deepscaler command`: bash reads it as it is meant, and running its words names the folder, and nothing more."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DEEPSCALER_")}
    environment = {**clean, "DEEPSCALER_WORK": str(tmp_path / WORK), "DEEPSCALER_ROOT": str(settings.project_root())}
    command = [sys.executable, "-c", "from deepscaler.cli import main; main()", "command", "--scale", "mini"]
    shown = subprocess.run(
        [*command, "--segment", segment], env=environment, capture_output=True, text=True, check=True
    )
    driver = shown.stdout[shown.stdout.index("python -m deepscaler.training.launch.driver") :].rsplit(")", 1)[0]
    script = f"python() {{ printf '%s\\0' \"$@\"; }}\n{driver}"
    words = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    below = [word for word in words.stdout.split("\0") if WORK.split(";")[0] in word]
    assert below
    assert all(word.startswith(str(tmp_path / WORK)) for word in below)
    subprocess.run(["bash", "-n"], input=shown.stdout, text=True, check=True)
    assert not list(tmp_path.rglob("pwned"))
