"""A scale: which models, data and sizes, on which machines. config/scales/*.yaml."""

from typing import Any, Literal

from pydantic import Field, model_validator

from deepscaler.reward.verdicts import Mode
from deepscaler.settings.base import Name, Strict, Word
from deepscaler.settings.curation import Curation
from deepscaler.settings.grading import Grading
from deepscaler.settings.health import Health
from deepscaler.settings.rehearsal import Rehearsal


class Layout(Strict):
    """Where a stage runs, and how it is cut: machines, never mathematics."""

    nodes: int = Field(gt=0)
    """Nodes of a stage's jobs."""
    gpus_per_node: int = Field(gt=0)
    """GPUs of a node."""
    rollout_gpus: int | None = Field(default=None, gt=0)
    """Of a node's, those that sample only, where the recipe's rollouts are asynchronous; None: half of them."""
    segment_steps: int = Field(gt=0)
    """Steps a job: sized so that a segment fits the queue's wall time."""
    save_steps: int = Field(gt=0)
    """Steps between two states that a killed job resumes from."""
    max_tokens_per_gpu: int = Field(gt=0)
    """Tokens of a micro-batch, packed; bounds the memory of the logits."""
    zero_stage: Literal[2, 3]
    """DeepSpeed's ZeRO stage: 2 shares gradients and optimizer, 3 the parameters too."""
    offload_optimizer: bool
    """Keep the optimizer's states in the node's memory and update them on its cores."""
    gpu_memory_utilisation: float = Field(gt=0, lt=1)
    """Share of a GPU's memory that the rollout engine takes while it samples."""
    max_sequences: int | None = Field(default=None, gt=0)
    """Answers that a rollout engine draws at once; None: vLLM's own choice, 128."""


class Training(Strict):
    recipe: Name
    """A file of config/recipes/, without its suffix."""
    layout: dict[Word, Layout]
    """Stage → its layout. One of a stage that the recipe lacks is not used."""
    keep_states: int = Field(ge=1)
    """DeepSpeed states kept for each stage; the newest ones."""
    keep_rollouts: bool
    """Keep every sample that was trained on, beside the checkpoint: what `replay` and `rollouts` read."""
    health: Health


class CpuEngine(Strict):
    eager: bool
    """Without compiled graphs."""
    threads: int | None = Field(default=None, gt=0)
    """None: one for each core of the job, as far as the computer has them."""
    max_sequences: int = Field(gt=0)
    """Requests in a batch."""
    cache_mb: int | None = Field(default=None, gt=0)
    """Of keys and values; None: what all requests of a batch need, as far as the job's memory goes."""
    candidates: int | None = Field(default=None, gt=0)
    """Likeliest tokens among which top_p is sought; None: all are sorted."""


class GpuEngine(Strict):
    eager: bool
    """Without compiled graphs: starts sooner, runs slower."""
    max_sequences: int | None = Field(default=None, gt=0)
    """None leaves it to vLLM."""
    memory_utilisation: float = Field(gt=0, lt=1)
    """Share of a GPU's memory that the engine takes."""


class Engine(Strict):
    """What vLLM is started with to sample; the scale's `device` says which of the two parts holds."""

    dtype: Literal["bfloat16", "float16", "float32"]
    """Number format of weights and activations."""
    cpu: CpuEngine
    gpu: GpuEngine


class Evaluation(Strict):
    systems: list[Name]
    """Rows of the table, in order."""
    suites: dict[Word, list[Name]]
    """Suite → its benchmarks, in the table's order. `table` is the paper's five; `curve` is drawn over steps."""
    shards: dict[Word, int]
    """Suite → jobs it is cut into."""
    samples: int = Field(gt=0)
    """Answers a problem."""
    temperature: float = Field(ge=0)
    """Of sampling."""
    top_p: float = Field(gt=0, le=1)
    """Of sampling: the likeliest tokens up to this share of the probability."""
    max_new_tokens: int = Field(gt=0)
    """Longest answer."""
    context: int = Field(gt=0)
    """Tokens of prompt and answer together."""
    tensor_parallel: int = Field(gt=0)
    """GPUs that share one model."""
    engine: Engine
    grading: Grading
    grader: Mode
    """Whose verdicts head the tables; `paper` is the paper's own grader. Both are always computed and stored."""
    bootstrap_draws: int = Field(gt=0)
    """Of every bootstrap and permutation."""
    curve_every: int = Field(ge=0)
    """Evaluate the checkpoint of every n-th segment of a stage on the `curve` suite; 0: none but the stages' last ones,
    which are in the table."""

    @model_validator(mode="after")
    def suites_have_shards(self) -> "Evaluation":
        if "table" not in self.suites:
            raise ValueError("suites must have `table`")
        if missing := set(self.suites) - set(self.shards):
            raise ValueError(f"shards is missing for suite {sorted(missing)[0]!r}")
        return self


class Need(Strict):
    """What a job of one rule asks for; where a key is absent, the default's holds."""

    mem_mb: int | None = Field(default=None, gt=0)
    """A node's memory."""
    minutes: int | None = Field(default=None, gt=0)
    """Wall time."""
    cpus: int | None = Field(default=None, gt=0)
    """Cores a node. GPUs follow from training.layout and evaluation.tensor_parallel."""


class Budget(Strict):
    dollars_per_gpu_hour: float = Field(ge=0)
    """What a GPU-hour costs, for the plan."""
    card: Name | None = None
    """The GPU that the plan counts with, as it knows it; None: what config/site.yaml's `gpu_model` says."""

    @model_validator(mode="before")
    @classmethod
    def is_approved_elsewhere(cls, values: Any) -> Any:
        """A scale that someone hands over must not approve itself."""
        if isinstance(values, dict) and "approved_gpu_hours" in values:
            raise ValueError("`approved_gpu_hours` is no setting: run `deepscaler approve --scale NAME --gpu-hours N`")
        return values


class Scale(Strict):
    name: Name
    """As it stands in checkpoints and tables."""
    description: str
    """One line, shown by `plan` and in the report."""
    device: Literal["cpu", "gpu"]
    """Which environment and engines its jobs use."""
    seed: int
    """Every other seed follows from it."""
    base: Name | None = None
    """The system that training starts from, and the first row of the comparison."""
    curation: Curation | None = None
    training: Training | None = None
    evaluation: Evaluation
    resources: dict[str, Need]
    """Rule → what it asks for; `default` holds for the others."""
    budget: Budget
    rehearsal: Rehearsal | None = None
    """Of another scale; None: this is a run of its own."""
    claims: list[Name]
    """Claims of other scales that hold at this one, too: ids of config/claims.yaml."""

    @model_validator(mode="after")
    def training_needs_a_base_and_data(self) -> "Scale":
        if self.training and not (self.base and self.curation):
            raise ValueError("training needs `base` and `curation`")
        if self.rehearsal and not self.training:
            raise ValueError("a rehearsal trains")
        if "default" not in self.resources:
            raise ValueError("resources must have `default`")
        return self
