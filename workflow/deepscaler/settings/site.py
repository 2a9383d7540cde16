"""What differs from one computer or cluster to the next: config/site.yaml."""

from deepscaler.settings.base import Strict


class Site(Strict):
    """Each key can be given as an environment variable too: DEEPSCALER_WORK, DEEPSCALER_ACCOUNT, …"""

    work: str = "work"
    """Root of all that is large: data, weights, samples. A scratch file system on a cluster."""
    hub: str | None = None
    """A folder with repositories in the hub's layout, read instead of the network; see deepscaler.hub."""
    account: str | None = None
    cpu_partition: str | None = None
    gpu_partition: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpu_model: str = "a100"
    """The type name of the GPUs in the cluster's gres, as `sinfo -o %G` prints it."""
