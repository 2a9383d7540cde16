"""What holds for every rule: its parts, its one command, and that rule, verb, module and log folder share a name."""

import re
from pathlib import Path

import pytest
from deepscaler import settings

TARGETS = set(settings.scale_names())
FLAG = re.compile(r"--([a-z-]+)")


@pytest.fixture(scope="module")
def rules(workflow):
    return {rule.name: rule for rule in workflow.rules if rule.name not in TARGETS}


@pytest.fixture(scope="module")
def verbs():
    import typer
    from deepscaler.cli import build

    return typer.main.get_command(build()).commands


def test_there_are_rules(rules):
    assert len(rules) >= 20


def test_every_rule_has_all_its_parts(rules):
    for name, rule in rules.items():
        for part in ("output", "log", "benchmark", "message", "conda_env", "resources", "shellcmd"):
            assert getattr(rule, part), f"{name} has no {part}"
        assert {"mem_mb", "runtime"} <= set(rule.resources), f"{name} does not say what it needs"
        assert not rule.is_run, f"{name} has a run: block; logic belongs into the package"
        assert not rule.is_script, name
        assert not rule.is_notebook, name


def test_rules_without_input_make_something_from_nothing(rules):
    """Where data, weights and settings come in; every other rule says what it reads."""
    sources = {"fetch_source", "fetch_benchmark", "fetch_model", "distill_base", "resolve_settings", "preflight"}
    assert {name for name, rule in rules.items() if not rule.input} == sources


OUTLIVE = "trap '' TERM; "
"""Before the call, so that shell and `tee` outlive the SIGTERM by which the verb is told to end; `-i` is for Ctrl-C."""


def test_a_rule_is_one_call_of_its_own_verb(rules, verbs):
    for name, rule in rules.items():
        command = " ".join(rule.shellcmd.split())
        if name == "train_segment":
            command = command.removeprefix(OUTLIVE).replace(" tee -i ", " tee ")
        assert command.startswith(f"deepscaler {name} "), f"{name}: {command}"
        assert command.endswith(" 2>&1 | tee {log:q}"), f"{name} does not keep its output in its log"
        body = command.removesuffix(" 2>&1 | tee {log:q}")
        assert not re.search(r"[|;&<>`$]", body), f"{name} does more than one call: {command}"
        assert name in verbs, f"{name} is no verb of the CLI"


def test_whatever_reaches_a_shell_is_quoted(rules):
    """A work root may have a space in it; threads are a number."""
    for name, rule in rules.items():
        fields = re.findall(r"\{([^}]*)\}", rule.shellcmd)
        assert [field for field in fields if not field.endswith(":q") and field != "threads"] == [], name


def test_settings_may_name_every_rule_and_no_other(rules):
    from deepscaler.settings.rules import RULES

    assert set(RULES) == set(rules)


def test_every_setting_that_decides_a_rule_is_a_parameter_of_its_own(rules):
    """The last parameter of `decided_by` is for what is too much; no scale of ours needs it."""
    from deepscaler import dag, settings

    for scale in settings.scale_names():
        trains = settings.load_scale(scale).training is not None
        for name, rule in rules.items():
            count = sum(str(key).startswith("setting_") for key in dict(rule.params.items()))
            assert bool(count) == bool(dag.digests.RULES.get(name)), name
            if not count or (not trains and name in ("schedule_prompts", "train_segment")):
                continue
            wildcards = {"source": "amc", "benchmark": "aime-2025", "suite": "table", "segment": "8k-1"}
            system = "mini-base" if name == "distill_base" else "deepseek-r1-distill-qwen-1.5b"
            decided = dag.deciding(name, scale, **wildcards, system=system)
            assert len(decided) <= count, name


def test_a_rule_gives_its_verb_the_flags_that_it_takes(rules, verbs):
    for name, rule in rules.items():
        given = {f"--{flag}" for flag in FLAG.findall(rule.shellcmd)}
        options = [parameter for parameter in verbs[name].params if parameter.name != "help"]
        known = {flag for parameter in options for flag in parameter.opts}
        required = {parameter.opts[0] for parameter in options if parameter.required}
        assert given <= known, f"{name} gives {sorted(given - known)}"
        assert required <= given, f"{name} does not give {sorted(required - given)}"


def test_a_verb_is_a_module(rules, root):
    modules = {path.stem for path in (root / "workflow" / "deepscaler").rglob("*.py")}
    assert set(rules) <= modules


def test_logs_and_benchmarks_lie_in_a_folder_of_the_rules_name(rules):
    for name, rule in rules.items():
        for path in (str(rule.log[0]), str(rule.benchmark)):
            assert re.match(rf"logs/(\{{scale,[^}}]*\}}|paper)/{name}/", path), path


def test_rules_do_not_reach_into_the_package_nor_it_into_snakemake(root):
    """No logic in rules beyond names; no Snakemake in the package, but where the Snakefile calls it."""
    package = root / "workflow" / "deepscaler"
    for path in set(package.rglob("*.py")) - set((package / "controller").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(from|import) snakemake", text, re.MULTILINE), path
    for path in [root / "Snakefile", *(root / "workflow" / "rules").glob("*.smk")]:
        assert not re.search(r"^\s*(run|script|notebook|wrapper):", path.read_text(encoding="utf-8"), re.MULTILINE), (
            path
        )


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "workflow" / "rules").glob("*.smk")), ids=lambda p: p.stem
)
def test_rule_files_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 400
