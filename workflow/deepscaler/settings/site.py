"""What differs from one computer or cluster to the next: config/site.yaml."""

import re
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, StringConstraints, field_validator

from deepscaler.settings.base import SLURM_PATTERN, Strict
from deepscaler.settings.tracking import Tracking

FEATURES = r"^[A-Za-z0-9_.(\[][A-Za-z0-9_.,:&|*()\[\]@=+-]*$"
"""sbatch's --constraint may join features by & and |, count them by * and group them."""
OPTIONS = r"^--[a-z][a-z-]*(=[A-Za-z0-9_.,:@%/+-]+)?( --[a-z][a-z-]*(=[A-Za-z0-9_.,:@%/+-]+)?)*$"
"""The SLURM plugin writes further options into a shell's line as they are."""
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
ADDRESS = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*$|file:/.|(?!file:)[a-z0-9+.-]+://.")
"""Of an alert: one of `apprise`, or where one stands."""
Word = Annotated[str, StringConstraints(pattern=SLURM_PATTERN)]


class ChatService(Strict):
    """Where a scale's language models of one `api` are asked, and whose key is sent there."""

    base_url: str | None
    """None is the address of the api's own company."""
    key_variable: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Environment variable that holds the key. Where it is unset, kept replies must answer everything."""

    @field_validator("base_url")
    @classmethod
    def keeps_the_key_secret(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if "@" in parts.netloc:
            raise ValueError("an address holds no name and no password; the key comes from `key_variable`")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
            raise ValueError("an address begins with https://, or with http:// on this computer (localhost) alone")
        return value


def is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


class Site(Strict):
    """Each key that is one word can be an environment variable too: DEEPSCALER_WORK, DEEPSCALER_ACCOUNT, …"""

    work: str
    """Root of all that is large: data, weights, samples. A scratch file system on a cluster."""

    @field_validator("work")
    @classmethod
    def is_a_path(cls, value: str) -> str:
        if not value or value.startswith("-") or "\0" in value:
            raise ValueError("`work` must be a folder's path; one that begins with - would be taken for an option")
        return value

    hub: str | None = None
    """A folder with repositories in the hub's layout, read instead of the network; see deepscaler.hub."""
    account: Word | None = None
    """Whom SLURM bills; None leaves it to the cluster's default."""
    cpu_partition: Word | None = None
    """Of jobs without GPUs."""
    gpu_partition: Word | None = None
    """None leaves it to the cluster's default partition, which seldom has GPUs."""
    qos: Word | None = None
    """SLURM's quality of service."""
    gpu_constraint: Annotated[str, StringConstraints(pattern=FEATURES)] | None = None
    """A node feature that GPU jobs insist on, e.g. `a100_80gb` where 40 GB cards have the same type name."""
    gpu_model: Word | None
    """The type name of the GPUs in the cluster's gres, as `sinfo -o %G` prints it; None where they have no type."""
    memory_per_cpu: bool
    """Ask SLURM for memory as a share of each core, where a cluster refuses to be asked for a node's."""
    slurm_extra: Annotated[str, StringConstraints(pattern=OPTIONS)] | None = None
    """Further options of sbatch for every job, e.g. `--reservation=spring --nice=100`."""
    curve_partition: Word | None = None
    """Where checkpoints are sampled while training goes on; None: `gpu_partition`."""
    curve_nice: int = Field(ge=0, le=2_000_000_000)
    """By how much SLURM lowers the priority of those jobs (sbatch's --nice)."""
    warning_seconds: int | None = Field(None, ge=0, le=65_535)
    """How long before the end of its wall time SLURM tells a job of training to end; 0: not at all; None: as long as
    the longest step of the stage takes by the plan."""
    exclusive: bool | None = None
    """Whether training on several nodes has them to itself: its ports know no password (SECURITY.md)."""
    network: Literal["nodes", "login"]
    """Where the internet is reached: from every node, or from the login node alone, which then fetches."""
    alerts: list[SecretStr] = []
    """Who is told of a run: addresses that `apprise` understands, or `env:NAME` or `file:/path`, where one stands."""
    alerts_from: Literal["node", "controller"]
    """Who sends what a job has to tell: the node that it runs on, or Snakemake's process."""

    @field_validator("alerts")
    @classmethod
    def are_addresses(cls, value: list[SecretStr]) -> list[SecretStr]:
        for number, address in enumerate(value, 1):
            if not ADDRESS.match(address.get_secret_value()):
                raise ValueError(f"address {number} is not of the form scheme://…, env:NAME or file:/path")
        return value

    tracking: Tracking | None = None
    """Where the numbers of a training run are shown as well; None: nowhere."""
    image: str | None = None
    """An Apptainer image in which jobs run under `--sdm apptainer`: a file built from envs/gpu.def, or one of a
    registry, by its digest."""

    @field_validator("image")
    @classmethod
    def is_pinned(cls, value: str | None) -> str | None:
        if value is not None and "://" in value and not DIGEST.search(value):
            raise ValueError("`image` from a registry is named by its digest, NAME@sha256:…, which no one can change")
        return value

    cuda_compat: str | None = None
    """The folder of CUDA 13.0's compatibility libraries, where the driver is older than 580 (data-centre cards)."""

    @field_validator("cuda_compat")
    @classmethod
    def is_one_folder(cls, value: str | None) -> str | None:
        if value is not None and (not value.startswith("/") or ":" in value or "\0" in value):
            raise ValueError("`cuda_compat` is one folder, by its whole path, as /usr/local/cuda-13.0/compat")
        return value

    language_models: dict[Literal["openai", "gemini"], ChatService] = {}
    """A language model's `api` → where it is asked."""
