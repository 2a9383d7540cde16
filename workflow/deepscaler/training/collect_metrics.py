"""One table of all training steps: results/{scale}/training.csv, a row a step over all stages."""

import csv
from collections.abc import Iterable
from pathlib import Path

from deepscaler import dag
from deepscaler.errors import UserError
from deepscaler.files import writing
from deepscaler.training.watch.metrics import POSITION, Row, read_rows, steps_of

NAMES = {
    "rollout/reward_mean": "reward",
    "rollout/reward_std": "reward_std",
    "rollout/response_length_mean": "response_length",
    "rollout/truncated_rate": "truncated",
    "rollout/num_samples": "samples",
    "kl": "kl",
    "vllm_kl": "vllm_kl",
    "entropy_loss": "entropy",
    "policy_loss": "policy_loss",
    "ppo_kl": "ppo_kl",
    "ppo_clip_ratio": "clip_ratio",
    "actor_grad_norm": "gradient_norm",
    "actor_lr": "learning_rate",
    "well_formed": "well_formed",
    "grading_killed": "grading_killed",
    "dynamic_filtering_pass_rate": "filtering_pass_rate",
    "timing/generation": "seconds_generation",
    "timing/make_experience": "seconds_experience",
    "timing/ppo_train": "seconds_update",
    "timing/broadcast": "seconds_broadcast",
    "timing/step_total": "seconds",
}
"""OpenRLHF's name → the column's; what it does not log is an empty cell."""
COLUMNS = ("total_step", "stage", "step", "segment", *NAMES.values())
"""Those that start with `seconds` are times: all others are equal from run to run on one computer."""


def collect_metrics(*, scale_name: str, metrics: list[Path], output: Path) -> int:
    """Write the table; returns its number of rows. Raises UserError where a step is missing."""
    chain = dag.segments(scale_name)
    if len(metrics) != len(chain):
        raise UserError(f"{len(metrics)} metrics files for {len(chain)} segments of scale {scale_name!r}")
    rows = [
        row
        for segment, path in zip(chain, metrics, strict=True)
        for row in steps_of(read_rows(path), segment.first, segment.last)
    ]
    write_steps(rows, output)
    return len(rows)


def write_steps(rows: Iterable[Row], output: Path) -> None:
    """training.csv, a row a step."""
    with writing(output) as aside, aside.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(columns_of(row) for row in rows)


def columns_of(row: Row) -> Row:
    return {key: row[key] for key in POSITION} | {column: row.get(key) for key, column in NAMES.items()}
