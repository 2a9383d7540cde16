"""What a job asks for, in the words of Snakemake's SLURM plugin.

A job on one node is a `gres` a node and nothing else, which SLURM can't spread over several. A job on many nodes is one
task a node, and `mpi`, for which the plugin leaves out its own `srun -n1`: the job's first node then runs the command,
and the command starts the rest.
"""

from functools import cache
from typing import Any

from deepscaler.dag import chain
from deepscaler.settings import load_scale, site
from deepscaler.settings.scale import Need

FETCHING = ("fetch_source", "fetch_benchmark", "fetch_model", "extract_answers")
"""Rules that need the internet: at `paper`, answers are extracted by a model behind an API."""
MULTI_NODE = ("nodes", "tasks", "tasks_per_gpu", "mpi", "slurm_extra")
CURVE = "curve"
"""The suite of checkpoints that are sampled while training goes on."""
WHOLE_NODES = "--exclusive"


def needs(scale_name: str, rule: str) -> Need:
    """What a job of a rule asks for, defaults filled in."""
    table = load_scale(scale_name).resources
    given = table.get(rule, Need())
    return table["default"].model_copy(update=given.model_dump(exclude_none=True))


def cpus(scale_name: str, rule: str) -> int:
    """CPU cores a node."""
    return needs(scale_name, rule).cpus or 1


def gpus(scale_name: str, rule: str, stage: str | None = None) -> tuple[int, int]:
    """(nodes, GPUs a node) of a job; (1, 0) where it needs no GPU. At `mini` they are pretended ones.

    `stage` is that of a job of training: its preflight tries one node of those that it will have, in a rehearsal all.
    """
    if stage:
        layout = chain.layout(scale_name, stage)
        one = rule == "preflight" and load_scale(scale_name).rehearsal is None
        return 1 if one else layout.nodes, layout.gpus_per_node
    if rule == "sample":
        return 1, load_scale(scale_name).evaluation.tensor_parallel
    return 1, 0


def keys(rule: str) -> list[str]:
    """The keys that jobs of a rule may set; what the site leaves open is left to SLURM or to the profile."""
    names = ["mem_mb", "runtime"]
    names += [key for key, value in site_keys(on_gpu=is_gpu_rule(rule)).items() if value is not None]
    if is_gpu_rule(rule):
        names += ["gres", "gpus"]
    if rule == "sample":
        names += [key for key, value in curve_keys().items() if value is not None and key not in names]
    if rule in ("train_segment", "preflight"):
        names += [key for key in MULTI_NODE if key not in names]
    return names


def is_gpu_rule(rule: str) -> bool:
    return rule in ("preflight", "train_segment", "sample")


def site_keys(*, on_gpu: bool) -> dict[str, str | None]:
    ours = site()
    return {
        "slurm_account": ours.account,
        "slurm_partition": ours.gpu_partition if on_gpu else ours.cpu_partition,
        "qos": ours.qos,
        "constraint": ours.gpu_constraint if on_gpu else None,
        "slurm_extra": ours.slurm_extra,
    }


def curve_keys() -> dict[str, str | None]:
    """What the jobs of the curve ask for in place of that: the next segment of training goes before them."""
    ours = site()
    options = (ours.slurm_extra, f"--nice={ours.curve_nice}" if ours.curve_nice else None)
    return {
        "slurm_partition": ours.curve_partition or ours.gpu_partition,
        "slurm_extra": " ".join(filter(None, options)) or None,
    }


@cache
def request(scale_name: str, rule: str, segment: str | None = None, suite: str | None = None) -> dict[str, Any]:
    """All that a job asks for. A key that it leaves unset is absent.

    `mem_mb` is a node's memory, `runtime` minutes of wall time. `gpus` is the job's total, by which local runs take
    turns (profiles/workstation); SLURM is asked by `gres`.
    """
    need = needs(scale_name, rule)
    asked: dict[str, Any] = {"mem_mb": need.mem_mb, "runtime": need.minutes}
    stage = chain.segment(scale_name, segment).stage if segment and is_gpu_rule(rule) else None
    nodes, gpus_per_node = gpus(scale_name, rule, stage)
    asked |= site_keys(on_gpu=gpus_per_node > 0)
    if rule == "sample" and suite == CURVE:
        asked |= curve_keys()
    if gpus_per_node:
        kind = f"gpu:{site().gpu_model}" if site().gpu_model else "gpu"
        asked |= {"gres": f"{kind}:{gpus_per_node}", "gpus": nodes * gpus_per_node}
    if nodes > 1:
        asked |= {"nodes": nodes, "tasks": nodes, "tasks_per_gpu": 0, "mpi": "srun"}
        if site().exclusive:
            asked["slurm_extra"] = " ".join(filter(None, (asked["slurm_extra"], WHOLE_NODES)))
    return {key: value for key, value in asked.items() if value is not None}


def local_rules() -> list[str]:
    """Rules that run where Snakemake does, because the other nodes can't reach the internet."""
    return list(FETCHING) if site().network == "login" else []
