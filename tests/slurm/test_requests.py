"""What each job asks for: the sbatch line that the plugin's own code writes for it, before a real SLURM."""

import json
import re
import shlex
import subprocess
import sys
import textwrap
from collections import Counter

import pytest
from checkout import Checkout
from cluster import Cluster

LINES = textwrap.dedent(
    """
    import json, sys
    from pathlib import Path
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import DAGSettings, OutputSettings, ResourceSettings, StorageSettings
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    def line(job):
        asked = job.resources
        place = {"account": f"-A {asked.slurm_account}", "partition": f"-p {asked.slurm_partition}"}
        names = {"run_uuid": "request", "slurm_logfile": "/dev/null", "comment_str": job.rule.name, "workdir": None}
        return get_submit_command(job, place | names) + set_gres_string(job)

    with SnakemakeApi(OutputSettings(quiet={"all"})) as api:
        resources, storage = ResourceSettings(nodes=1000), StorageSettings()
        workflow = api.workflow(resource_settings=resources, storage_settings=storage, snakefile=Path("Snakefile"))
        dag = workflow.dag(DAGSettings(targets=set(sys.argv[1:])))
        dag.execute_workflow(executor="dryrun")
        plain = workflow._workflow
        # in a dry run every job counts as local
        jobs = [job for job in plain.dag.jobs if not job.rule.norun and job.rule.name not in plain._localrules]
        json.dump([[job.rule.name, dict(job.wildcards.items()), line(job)] for job in jobs], sys.stdout)
    """
)


def requests(checkout: Checkout, *targets: str, **environment: str) -> list[tuple[str, dict[str, str], str]]:
    """(rule, wildcards, sbatch line) of every job that a target needs."""
    arguments = ["timeout", "-s", "KILL", "60", sys.executable, "-c", LINES, *targets]
    done = subprocess.run(
        arguments,
        cwd=checkout.folder,
        env=checkout.environment | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [(rule, wildcards, line) for rule, wildcards, line in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def paper(checkout: Checkout) -> list[tuple[str, dict[str, str], str]]:
    return requests(checkout, "paper")


def test_slurm_takes_every_job_of_the_paper(cluster: Cluster, paper: list[tuple[str, dict[str, str], str]]) -> None:
    distinct = {re.sub(r"--comment \S+", "", line): rule for rule, _, line in paper}
    assert {rule for rule, _, _ in paper} >= {"train_segment", "sample", "deduplicate", "tabulate"}
    for line, rule in distinct.items():
        words = [word for word in shlex.split(line) if word != "--parsable"]
        answer = cluster.ask(words[0], "--test-only", *words[1:], "--wrap", "true")
        assert answer.returncode == 0, f"{rule}: {line}: {answer.stderr}"


def test_training_asks_for_whole_nodes(cluster: Cluster, paper: list[tuple[str, dict[str, str], str]]) -> None:
    placed = Counter()
    for rule, wildcards, line in paper:
        if rule != "train_segment":
            continue
        words = [word for word in shlex.split(line) if word != "--parsable"]
        answer = cluster.run("sh", "-c", shlex.join([words[0], "--test-only", *words[1:], "--wrap", "true"]) + " 2>&1")
        nodes = re.search(r"on nodes (\S+) in partition gpu", answer)
        assert nodes, answer
        placed[wildcards["segment"].rsplit("-", 1)[0], nodes.group(1)] += 1
        assert "--gres=gpu:a100:8" in line
    assert {key[0]: key[1] for key in placed} == {"8k": "node1", "16k": "node[1-4]", "24k": "node[1-4]"}


def test_evaluation_asks_for_one_gpu(paper: list[tuple[str, dict[str, str], str]]) -> None:
    lines = [line for rule, _, line in paper if rule == "sample"]
    assert len(lines) >= 72
    assert all("--gres=gpu:a100:1" in line and "-p gpu" in line and "--nodes" not in line for line in lines)


def test_no_cpu_job_asks_for_a_gpu(paper: list[tuple[str, dict[str, str], str]]) -> None:
    others = [line for rule, _, line in paper if rule not in ("preflight", "train_segment", "sample")]
    assert others
    assert all("gpu" not in line.replace("--gpu-bind", "") and "-p cpu" in line for line in others)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("DEEPSCALER_QOS", "long", "--qos=long"),
        ("DEEPSCALER_GPU_CONSTRAINT", "a100_80gb", "-C a100_80gb"),
        ("DEEPSCALER_GPU_MODEL", "", "--gres=gpu:8"),
    ],
)
def test_site_settings_reach_sbatch(checkout: Checkout, variable: str, value: str, expected: str) -> None:
    target = "work/paper/checkpoints/8k-1/checkpoint.json"
    lines = {rule: line for rule, _, line in requests(checkout, target, **{variable: value})}
    assert expected in lines["train_segment"]
    assert ("-C" in lines["deduplicate"]) is False


def test_login_node_fetches_where_only_it_has_a_network(checkout: Checkout) -> None:
    target = "work/paper/checkpoints/8k-1/checkpoint.json"
    everywhere = {rule for rule, _, _ in requests(checkout, target)}
    login = {rule for rule, _, _ in requests(checkout, target, DEEPSCALER_NETWORK="login")}
    assert everywhere - login == {"fetch_source", "fetch_benchmark", "fetch_model", "extract_answers"}
