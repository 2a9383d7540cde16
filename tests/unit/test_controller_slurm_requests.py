"""What jobs ask for, and what is said when SLURM refuses; SLURM itself is asked in tests/slurm."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from deepscaler.controller import slurm_requests
from deepscaler.controller.slurm_requests import Submission
from deepscaler.dag import resources
from deepscaler.errors import UserError
from deepscaler.settings import load


@pytest.fixture(autouse=True)
def site(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Site settings that a test sets by variables."""
    monkeypatch.setenv("DEEPSCALER_ROOT", str(root))
    for key in ("ACCOUNT", "QOS", "GPU_CONSTRAINT", "CPU_PARTITION", "GPU_PARTITION", "SLURM_EXTRA"):
        monkeypatch.setenv(f"DEEPSCALER_{key}", "")
    monkeypatch.setenv("DEEPSCALER_GPU_MODEL", "a100")
    monkeypatch.setenv("DEEPSCALER_NETWORK", "nodes")
    forget()
    yield monkeypatch
    forget()


def forget() -> None:
    load.site.cache_clear()
    resources.request.cache_clear()


def test_one_node_is_a_gres_and_nothing_else() -> None:
    asked = resources.request("paper", "train_segment", "8k-1")
    assert asked["gres"] == "gpu:a100:8"
    assert asked["gpus"] == 8
    assert not {"nodes", "tasks", "tasks_per_gpu", "mpi", "slurm_account", "qos"} & set(asked)


def test_many_nodes_are_a_task_each_without_the_plugins_srun() -> None:
    asked = resources.request("paper", "train_segment", "16k-1")
    expected = {"nodes": 4, "gres": "gpu:a100:8", "tasks": 4, "tasks_per_gpu": 0, "mpi": "srun", "gpus": 32}
    assert asked.items() >= expected.items()


def test_a_preflight_is_of_one_node_of_its_stage() -> None:
    asked = resources.request("paper", "preflight", "24k-1")
    assert asked["gres"] == "gpu:a100:8"
    assert "nodes" not in asked


@pytest.mark.parametrize("scale", ["mini", "paper", "released"])
@pytest.mark.parametrize("rule", ["deduplicate", "schedule_prompts", "tabulate", "fetch_model"])
def test_small_jobs_ask_for_no_gpu(scale: str, rule: str) -> None:
    assert set(resources.request(scale, rule)) == {"mem_mb", "runtime"}


def test_what_a_job_sets_is_among_its_rules_keys(site: pytest.MonkeyPatch) -> None:
    for key in ("ACCOUNT", "QOS", "GPU_CONSTRAINT", "CPU_PARTITION", "GPU_PARTITION"):
        site.setenv(f"DEEPSCALER_{key}", key.lower())
    forget()
    for rule, segment in [("sample", None), ("train_segment", "16k-1"), ("preflight", "8k-1"), ("tabulate", None)]:
        assert set(resources.request("paper", rule, segment)) <= set(resources.keys(rule)), rule
    asked = resources.request("paper", "sample")
    assert (asked["slurm_account"], asked["slurm_partition"]) == ("account", "gpu_partition")
    assert (asked["qos"], asked["constraint"]) == ("qos", "gpu_constraint")
    assert resources.request("paper", "tabulate")["slurm_partition"] == "cpu_partition"
    assert "constraint" not in resources.request("paper", "tabulate")


def test_the_curves_jobs_let_training_go_first(site: pytest.MonkeyPatch) -> None:
    asked = resources.request("paper", "sample", suite="curve")
    assert asked.items() >= {"gres": "gpu:a100:1", "slurm_extra": "--nice=1000"}.items()
    assert "slurm_extra" not in resources.request("paper", "sample", suite="table")
    assert "slurm_extra" not in resources.request("paper", "train_segment", "8k-2")
    assert "slurm_extra" in resources.keys("sample")
    kinds = {rule: asked for rule, _, asked in slurm_requests.requests_of("paper")}
    assert kinds["sample, curve"] == asked, "SLURM is asked before the first job whether it would accept them"
    site.setenv("DEEPSCALER_CURVE_PARTITION", "spare")
    site.setenv("DEEPSCALER_GPU_PARTITION", "gpus")
    site.setenv("DEEPSCALER_CURVE_NICE", "0")
    forget()
    curve = resources.request("paper", "sample", suite="curve")
    assert curve["slurm_partition"] == "spare"
    assert "slurm_extra" not in curve
    assert resources.request("paper", "sample", suite="table")["slurm_partition"] == "gpus"


def test_training_is_told_before_its_wall_time_is_over(site: pytest.MonkeyPatch) -> None:
    """As long before as its longest step takes by the plan: about 394 s for the paper's first, on its older stack."""
    asked = slurm_requests.request("paper", "train_segment", "8k-1")
    assert asked["slurm_extra"] == "--signal=TERM@480"
    assert slurm_requests.request("paper", "train_segment", "16k-1")["slurm_extra"] == "--exclusive --signal=TERM@720"
    assert slurm_requests.request("paper", "sample") == resources.request("paper", "sample")
    kinds = {rule: asked for rule, _, asked in slurm_requests.requests_of("paper") if rule == "train_segment"}
    assert "--signal=TERM@" in kinds["train_segment"]["slurm_extra"], "SLURM is asked whether it would accept that"
    for given, option in (("90", "--signal=TERM@120"), ("0", None), ("60000", f"--signal=TERM@{30 * 720}")):
        site.setenv("DEEPSCALER_WARNING_SECONDS", given)
        forget()
        assert slurm_requests.request("paper", "train_segment", "8k-1").get("slurm_extra") == option


def test_gpus_without_a_type(site: pytest.MonkeyPatch) -> None:
    site.setenv("DEEPSCALER_GPU_MODEL", "")
    forget()
    assert resources.request("paper", "sample")["gres"] == "gpu:1"


def test_who_fetches(site: pytest.MonkeyPatch) -> None:
    assert resources.local_rules() == []
    site.setenv("DEEPSCALER_NETWORK", "login")
    forget()
    assert set(resources.local_rules()) == {"fetch_source", "fetch_benchmark", "fetch_model", "extract_answers"}
    site.setenv("DEEPSCALER_NETWORK", "moon")
    forget()
    with pytest.raises(UserError, match=r"network.*'nodes' or 'login'"):
        load.site()


def test_no_rule_that_fetches_is_in_a_group(root: Path) -> None:
    """Snakemake sends a grouped rule through sbatch even where it is a local one."""
    profile = yaml.safe_load((root / "profiles/slurm/config.yaml").read_text())
    grouped = {entry.split("=")[0] for entry in profile["groups"]}
    assert grouped
    assert not grouped & set(resources.FETCHING)


def submission(name: str = "score", **asked: str) -> Submission:
    return Submission(name, f"sbatch --parsable {slurm_requests.SHOWN_FROM}  -t 60", asked)


@pytest.mark.parametrize(
    ("reason", "asked", "hint"),
    [
        ("Invalid account or account/partition combination specified", {"slurm_account": "me"}, "account is me"),
        ("Invalid account or account/partition combination specified", {}, "account is not set"),
        ("Invalid qos specification", {"qos": "high"}, "qos is high"),
        ("Invalid feature specification", {}, "gpu_constraint"),
        ("Requested node configuration is not available", {}, "training.layout"),
        ("Requested time limit is invalid (missing or exceeds some limit)", {}, "wall time"),
        ("Job violates accounting/QOS policy (job submit limit, …)", {"qos": "high"}, "a limit of your account or QOS"),
        ("use --mem-per-cpu; Memory specification can not be satisfied", {}, "memory_per_cpu: true"),
    ],
)
def test_a_refusal_names_the_setting(reason: str, asked: dict[str, str], hint: str) -> None:
    assert hint in (slurm_requests.hint_for(reason, submission(**asked)) or "")


def test_a_groups_hint_is_about_the_group() -> None:
    reason = "Requested time limit is invalid (missing or exceeds some limit)"
    assert "`groups` in profiles/slurm" in (slurm_requests.hint_for(reason, submission("group reports")) or "")


def test_all_that_a_site_says_is_the_reason() -> None:
    text = """sbatch: error: This cluster takes --mem-per-cpu only.
sbatch: error:   See https://cluster.example/memory
allocation failure: Unspecified error
sbatch: error: Batch job submission failed: Unspecified error
"""
    said = "This cluster takes --mem-per-cpu only.; See https://cluster.example/memory; Unspecified error"
    assert slurm_requests.reason_in(text) == said
    assert slurm_requests.reason_in("\n") == "no reason given"


@pytest.mark.parametrize("words", ["sbatch: fatal: Could not establish a configuration source", None])
def test_where_no_slurm_answers_the_hint_is_where_it_would(
    words: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if words:
        (tmp_path / "sbatch").write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n")
        (tmp_path / "sbatch").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"no (sbatch|SLURM controller).*deepscaler preflight"):
        list(slurm_requests.check([submission()]))


def test_a_call_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sbatch").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncat >> {tmp_path}/script\n')
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    told = list(slurm_requests.check([submission("score"), submission("tabulate")]))
    assert told == ["score: -t 60"]
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"--parsable {slurm_requests.SHOWN_FROM} -t 60 --test-only /dev/stdin"
    ]
    assert (tmp_path / "script").read_text() == "#!/bin/sh\ntrue\n"


def test_a_checkout_whose_logs_slurm_could_not_write() -> None:
    slurm_requests.check_folder(Path("/home/me/it's é"))
    with pytest.raises(UserError, match=r"50% done\].*move the checkout"):
        slurm_requests.check_folder(Path("/home/me/50% done"))


def test_further_options_are_every_jobs(site: pytest.MonkeyPatch) -> None:
    site.setenv("DEEPSCALER_SLURM_EXTRA", "--reservation=spring")
    forget()
    for rule, segment in [("sample", None), ("train_segment", "8k-1"), ("tabulate", None)]:
        assert resources.request("paper", rule, segment)["slurm_extra"] == "--reservation=spring"
        assert resources.keys(rule).count("slurm_extra") == 1
    curve = resources.request("paper", "sample", suite="curve")
    assert curve["slurm_extra"] == "--reservation=spring --nice=1000"
    whole_nodes = resources.request("paper", "train_segment", "16k-1")["slurm_extra"]
    assert whole_nodes == "--reservation=spring --exclusive"
