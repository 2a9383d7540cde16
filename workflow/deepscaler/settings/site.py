"""What differs from one computer or cluster to the next: config/site.yaml."""

from typing import Literal

from deepscaler.settings.base import Strict


class Site(Strict):
    """Each key can be given as an environment variable too: DEEPSCALER_WORK, DEEPSCALER_ACCOUNT, …"""

    work: str
    """Root of all that is large: data, weights, samples. A scratch file system on a cluster."""
    hub: str | None = None
    """A folder with repositories in the hub's layout, read instead of the network; see deepscaler.hub."""
    account: str | None = None
    """Whom SLURM bills; None leaves it to the cluster's default."""
    cpu_partition: str | None = None
    gpu_partition: str | None = None
    """None leaves it to the cluster's default partition, which seldom has GPUs."""
    qos: str | None = None
    gpu_constraint: str | None = None
    """A node feature that GPU jobs insist on, e.g. `a100_80gb` where 40 GB cards have the same type name."""
    gpu_model: str | None
    """The type name of the GPUs in the cluster's gres, as `sinfo -o %G` prints it; None where they have no type."""
    memory_per_cpu: bool
    """Ask SLURM for memory as a share of each core, where a cluster refuses to be asked for a node's."""
    slurm_extra: str | None = None
    """Further options of sbatch for every job, e.g. `--reservation=spring`."""
    network: Literal["nodes", "login"]
    """Where the internet is reached: from every node, or from the login node alone, which then fetches."""
    image: str | None = None
    """An Apptainer image built from envs/gpu.def, in which jobs run under `--sdm apptainer`."""
