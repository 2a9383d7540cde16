"""Every constant of the model that is neither a shape nor from a data sheet, with its source; and the stacks they make.

Bases: measured (by others, source given) · code (read in the version that is pinned) · fitted (to an anchor, named) ·
assumed (a judgement; the sensitivities in docs/plan.md show how much it matters).
"""

from dataclasses import dataclass, replace
from typing import Literal

Basis = Literal["measured", "code", "fitted", "assumed"]


@dataclass(frozen=True)
class Assumption:
    name: str
    value: float
    unit: str
    basis: Basis
    source: str


@dataclass(frozen=True)
class Stack:
    """A training stack: what its software costs on top of bandwidth and FLOP."""

    title: str
    host_seconds: float
    """Of one decode step, beside reading weights and cache: launches, scheduling."""
    sequence_seconds: float
    """Of one sequence in one decode step: scheduling, handing its token over."""
    comparison_seconds: float
    """The same again where the sampler's log-probability of each token is asked for."""
    weight_efficiency: float
    """Share of the memory's bandwidth reached when reading weights."""
    cache_efficiency: float
    """The same for keys and values."""
    flop_utilisation: float
    """Share of the FLOP/s reached in training and in log-probabilities, recomputation counted as work."""
    trainer_seconds: float
    """Of one trained token, in the one process that prepares a step: all GPUs wait for it."""
    fixed_seconds: float
    """Of a step: weight sync, tail of the reward, whatever else does not grow with its tokens."""
    slack: float
    """Factor for what no other term covers: stragglers, data loading, imbalance."""
    save_seconds: float
    start_seconds: float
    """Of a job, from its start to the first rollout, on one node."""
    meeting_seconds: float
    """The same again where there are several nodes."""
    max_sequences: int
    """Sequences that an engine decodes at once."""
    kill_hours: float
    """Node-hours between two hard kills: of a node, of a process, of a job without the time to save."""
    sleeps: bool = False
    """Whether sampler and trainer leave the GPU to each other, and their weights and states move out and in."""
    evaluates: bool = False
    """Whether it samples a test set inside the training job."""
    cache_scale: float = 1.0
    """Bytes of the cache relative to bf16."""
    spread: bool = False
    """Whether a prompt's samples go to different engines."""


QWEN_BENCHMARK = "QwenLM/Qwen2.5, docs/source/benchmark/speed_benchmark.rst"
ASSUMPTIONS = [
    Assumption(
        "host_seconds", 5.5e-3, "s/decode step", "measured",
        f"A100, vLLM with CUDA graphs, Qwen2.5-1.5B, batch 1: 183 tokens/s = 5.45 ms ({QWEN_BENCHMARK}); an upper "
        "bound for the host's part",
    ),
    Assumption(
        "sequence_seconds", 16e-6, "s/sequence", "measured",
        "vLLM's scheduler and messages with 128 answers (benchmarks/engine_host.py: 14–19), as if none of it ran while "
        "the GPU computes",
    ),
    Assumption(
        "comparison_seconds", 9e-6, "s/sequence", "measured",
        "what a log-probability adds there (8–10); what it adds in the actor's process, 28–30, runs beside the decode "
        "step, which is longer",
    ),
    Assumption("weight_efficiency", 0.8, "of bandwidth", "measured", "77 % of an A100's roofline at batch 1"),
    Assumption("cache_efficiency", 0.6, "of bandwidth", "fitted", "prime-rl's evaluation: 10.6 M tokens in 1,546 s"),
    Assumption(
        "flop_utilisation", 0.40, "of bf16 FLOP/s", "assumed",
        "MPT-1B on 8 A100s reaches 0.55–0.62 (llm-foundry); less for ZeRO-3 with fp32 logits of the whole batch",
    ),
    Assumption(
        "trainer_seconds", 0.6e-6, "s/trained token", "measured",
        "what the trainer's process does beside the GPUs, with this package's patches (benchmarks/host.py: 3.4 s a "
        "step at 8K, 6.1 at 16K, 6.1 at 24K)",
    ),
    Assumption(
        "sync_seconds", 1.2, "s/step", "measured",
        "339 tensors in eight buckets: 0.1 processor seconds each (benchmarks/weight_sync.py; one tensor at a time 7.3 "
        "in all), and 3.6 GB at link_bandwidth; others measured 0.15 s for 0.5B and 1.6 s for 14B (TRL #5249, SkyRL "
        "#161)",
    ),
    Assumption(
        "rest_seconds", 4, "s/step", "assumed",
        "memory unmapped and mapped, caches emptied and filled again, the last answers' grading: 1–15",
    ),
    Assumption(
        "slack", 1.15, "factor", "fitted",
        "five published step times of 1.5B runs: measured/model 1.05 with it, scatter ×/÷ 1.25",
    ),
    Assumption("save_seconds", 30, "s/save", "assumed", "24.9 GB of state and weights at about 1 GB/s"),
    Assumption(
        "start_seconds", 180, "s/job", "measured",
        "a launch of the miniature until its first step is done, 118 s on two busy cores (benchmarks/launch.py), and "
        "what vLLM adds on a GPU, 34–39 s for 3B and 8B with compiling and CUDA graphs (vLLM #20264, #11005); weights "
        "and states: assumed",
    ),
    Assumption(
        "meeting_seconds", 120, "s/job on several nodes", "assumed",
        "all nodes of SLURM's job and of Ray, NCCL, and every node's reading at once",
    ),
    Assumption(
        "sampling_start_seconds", 120, "s/job", "assumed",
        "imports, 18 processor seconds here, vLLM as above, weights",
    ),
    Assumption(
        "kill_hours", 1500, "node-hours", "assumed",
        "Llama 3 (arXiv 2407.21783): 419 unexpected interruptions in 54 days on 2,048 nodes, one in 6,300 node-hours; "
        "a shared cluster is taken to be four times as bad",
    ),
    Assumption(
        "max_sequences", 128, "sequences/engine", "code",
        "OpenRLHF passes none, and vLLM's default for its kind of engine is 128",
    ),
    Assumption(
        "adapter_utilisation", 0.25, "of flop_utilisation", "assumed",
        "LoRA's products have one thin side (the rank), and peft makes them apart from the layer's own",
    ),
    Assumption(
        "adam_bytes", 30, "B/parameter", "code",
        "an update on the node's cores reads and writes three fp32 values, reads a gradient, writes a bf16 weight",
    ),
    Assumption("adam_bandwidth", 30e9, "B/s for a GPU", "assumed", "of a node's memory, some cores at work on it"),
    Assumption(
        "link_bandwidth", 12e9, "B/s", "assumed", "half of PCIe 4.0 × 16, between a GPU and its node's memory"
    ),
]  # fmt: skip

KNOWN = {entry.name: entry.value for entry in ASSUMPTIONS}
OPENRLHF = Stack(
    title="OpenRLHF, CUDA graphs",
    host_seconds=KNOWN["host_seconds"],
    sequence_seconds=KNOWN["sequence_seconds"],
    comparison_seconds=KNOWN["comparison_seconds"],
    weight_efficiency=KNOWN["weight_efficiency"],
    cache_efficiency=KNOWN["cache_efficiency"],
    flop_utilisation=KNOWN["flop_utilisation"],
    trainer_seconds=KNOWN["trainer_seconds"],
    fixed_seconds=KNOWN["sync_seconds"] + KNOWN["rest_seconds"],
    slack=KNOWN["slack"],
    save_seconds=KNOWN["save_seconds"],
    start_seconds=KNOWN["start_seconds"],
    meeting_seconds=KNOWN["meeting_seconds"],
    max_sequences=int(KNOWN["max_sequences"]),
    sleeps=True,
    kill_hours=KNOWN["kill_hours"],
    spread=True,  # training/openrlhf/spread.py
)
OPENRLHF_LOW = replace(OPENRLHF, host_seconds=3.5e-3, slack=1.0, fixed_seconds=2)
"""All goes well: vLLM's fast decode path, no stragglers, sync and rest at their least."""
OPENRLHF_HIGH = replace(OPENRLHF, host_seconds=12e-3, fixed_seconds=23)
"""Graphs fail or the host is starved: about what eager mode costs; sync takes as long as of one tensor at a time, the
rest is at its most."""
VERL_2025 = Stack(
    title="verl of February 2025, eager",
    host_seconds=13.0e-3,  # fitted to the 394 s of an early 8K step on 8 A100s (rllm issue 29)
    sequence_seconds=60e-6,  # the idle GPU of 5–13 ms a step that vLLM issue 6854 measured, at 128 sequences
    comparison_seconds=0.0,
    weight_efficiency=0.8,
    cache_efficiency=0.5,
    flop_utilisation=0.40,
    trainer_seconds=0.0,  # in what follows
    fixed_seconds=20,
    slack=1.0,
    save_seconds=10,  # weights only
    start_seconds=300,
    meeting_seconds=0.0,
    max_sequences=1024,
    kill_hours=KNOWN["kill_hours"],
    evaluates=True,
)
"""The paper's own stack, for calibration: vLLM 0.6.3 with enforce_eager."""

PUBLISHED_GPU_HOURS = 3800.0
"""The paper: about 3,800 A100-hours, five days on 32 A100s, $4,500."""
PUBLISHED_EARLY_STEP = 394.0
"""Seconds of an early 8K step on 8 A100s (rllm issue 29)."""

PROMPT_TOKENS = 120
"""Of a prompt, on average [assumed; the training problems average about 90 tokens, template and suffix add 30]."""
PROMPT_SHARE = 0.5
"""Of the variance of log-length that lies between prompts, not between samples of one [assumed]."""
UNIFORM_SHARE = 0.5
"""Of groups whose rewards are all alike, which dynamic filtering draws again [measured: POLARIS, in JustRL's table 4].
"""
