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
    import json, sys, yaml
    from pathlib import Path
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import DAGSettings, GroupSettings, OutputSettings, ResourceSettings, StorageSettings
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    def line(job):
        asked = job.resources
        place = {"account": f"-A {asked.slurm_account}", "partition": f"-p {asked.slurm_partition}"}
        names = {"run_uuid": "request", "slurm_logfile": "/dev/null", "comment_str": "request", "workdir": None}
        return get_submit_command(job, place | names) + set_gres_string(job)

    profile = yaml.safe_load(Path("slurm/config.yaml").read_text())
    groups = GroupSettings(overwrite_groups=dict(entry.split("=") for entry in profile["groups"]))
    with SnakemakeApi(OutputSettings(quiet={"all"})) as api:
        resources, storage = ResourceSettings(nodes=1000), StorageSettings()
        workflow = api.workflow(resource_settings=resources, storage_settings=storage, snakefile=Path("Snakefile"))
        dag = workflow.dag(DAGSettings(targets=set(sys.argv[1:])))
        dag.execute_workflow(executor="dryrun", group_settings=groups)
        plain = workflow._workflow
        # the dry run is over; from here on jobs are asked as if they were to be handed in
        plain._executor_plugin = ExecutorPluginRegistry().get_plugin("slurm")
        jobs = [job for job in plain.dag.get_jobs_or_groups() if not job.is_local]
        for job in jobs:
            job._resources = None
            job.is_group() and job.finalize()
        json.dump([[job.groupid if job.is_group() else job.rule.name,
                    {} if job.is_group() else dict(job.wildcards.items()), line(job)] for job in jobs], sys.stdout)
    """
)


def requests(checkout: Checkout, *targets: str, **environment: str) -> list[tuple[str, dict[str, str], str]]:
    """(rule or group, wildcards, sbatch line) of every job that a target needs."""
    arguments = ["timeout", "-s", "KILL", "120", sys.executable, "-c", LINES, *targets]
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
    distinct = {line: rule for rule, _, line in paper}
    assert {rule for rule, _, _ in paper} >= {"train_segment", "sample", "curation", "grades", "reports"}
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


def test_site_settings_reach_sbatch(checkout: Checkout) -> None:
    target = "work/paper/checkpoints/8k-1/checkpoint.json"
    site = {"QOS": "long", "GPU_CONSTRAINT": "a100_80gb", "GPU_MODEL": "", "NETWORK": "login"}
    asked = requests(checkout, target, **{f"DEEPSCALER_{key}": value for key, value in site.items()})
    lines = {rule: line for rule, _, line in asked}
    for word in ("--qos=long", "-C a100_80gb", "--gres=gpu:8"):
        assert word in lines["train_segment"]
    assert "-C" not in lines["curation"]
    # what only the login node can do is not handed in
    assert not {"fetch_source", "fetch_benchmark", "fetch_model", "extract_answers"} & set(lines)


def test_what_fetches_is_handed_in_where_nodes_have_a_network(paper: list[tuple[str, dict[str, str], str]]) -> None:
    assert {rule for rule, _, _ in paper} >= {"fetch_source", "fetch_benchmark", "fetch_model", "extract_answers"}
