"""Jobs in an Apptainer image: their GPUs come in only by an option that Snakemake does not give."""

import shlex
from typing import Protocol

NVIDIA = "--nv"


class Deployment(Protocol):
    """Snakemake's DeploymentSettings, as far as they matter here."""

    apptainer_args: str


def bring_gpus(deployment: Deployment) -> None:
    """Have every job's image see the node's GPUs and their driver; on a node without any, Apptainer says so and goes
    on."""
    given = deployment.apptainer_args or ""
    words = shlex.split(given)
    if NVIDIA not in words and "--nvccli" not in words and "--rocm" not in words:
        deployment.apptainer_args = f"{given} {NVIDIA}".strip()
