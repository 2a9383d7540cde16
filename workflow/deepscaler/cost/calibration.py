"""The model compared with what the paper published of its own run, with the parameters of its own stack.

The engine's eager overhead was fitted to the 394 s of an early 8K step. The run's 3,800 A100-hours follow; what they
depend on is how that overhead splits between the step and its sequences (docs/plan.md).
"""

from dataclasses import dataclass

from deepscaler.cost.assumptions import PUBLISHED_EARLY_STEP, PUBLISHED_GPU_HOURS, VERL_2025
from deepscaler.cost.hardware import R1_QWEN_1_5B, card
from deepscaler.cost.lengths import EARLY_8K, expected_lengths
from deepscaler.cost.step import Work, stage_hours, step_time, with_lengths

PUBLISHED_RUN = (
    Work("8k", 1040, 128, 8, expected_lengths(8192, from_base=True), gpus=8, jobs=1, save_steps=20),
    Work("16k", 480, 128, 16, expected_lengths(16384, from_base=False), gpus=32, jobs=1, save_steps=10),
    Work("24k", 230, 128, 16, expected_lengths(24576, from_base=False), gpus=32, jobs=1, save_steps=10),
)
"""The paper's stages: about 1,750 steps in all, on 8, 32 and 32 A100s, each started once as far as is known."""


@dataclass(frozen=True)
class Calibration:
    predicted_gpu_hours: float
    predicted_early_step: float
    """Seconds."""

    @property
    def ratio(self) -> float:
        return self.predicted_gpu_hours / PUBLISHED_GPU_HOURS

    def as_json(self) -> dict[str, object]:
        return {
            "system": VERL_2025.title,
            "published_gpu_hours": PUBLISHED_GPU_HOURS,
            "predicted_gpu_hours": round(self.predicted_gpu_hours),
            "ratio": round(self.ratio, 3),
            "published_early_step_seconds": PUBLISHED_EARLY_STEP,
            "predicted_early_step_seconds": round(self.predicted_early_step),
        }


def calibration() -> Calibration:
    """The published run, priced by the same model with the parameters of the paper's stack."""
    hardware = card("a100")
    hours = 0.0
    for work in PUBLISHED_RUN:
        hours += stage_hours(work, step_time(work, R1_QWEN_1_5B, hardware, VERL_2025), VERL_2025) * work.gpus
    early = step_time(with_lengths(PUBLISHED_RUN[0], EARLY_8K), R1_QWEN_1_5B, hardware, VERL_2025)
    alone = early.generation + early.log_probabilities + early.update + early.fixed
    return Calibration(hours, alone)
