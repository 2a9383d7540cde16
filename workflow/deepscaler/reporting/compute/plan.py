"""`deepscaler plan`: the price of a scale before it starts, as data and as text.

The model is deepscaler.cost (docs/plan.md); here its prices are put beside measurements, and written for readers.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from deepscaler import settings
from deepscaler.cost import what_if
from deepscaler.cost.assumptions import ASSUMPTIONS
from deepscaler.cost.calibration import calibration
from deepscaler.cost.estimate import Price, SamplingPrice, StagePrice, estimate
from deepscaler.cost.hardware import CARDS, card
from deepscaler.cost.planned import TOTAL, of_processors
from deepscaler.cost.processor import Pace, ProcessorPrice, estimate_processor, refitted
from deepscaler.cost.ranges import Range
from deepscaler.cost.refit import Refit, refit
from deepscaler.cost.workload import Case, case_of, training_shape
from deepscaler.errors import UserError
from deepscaler.reporting.compute import plan_text
from deepscaler.reporting.compute.ledger_input import Ledger, metrics_rows, read_ledger
from deepscaler.training.watch.budget import to_approve

MINIATURE = "mini"
Json = dict[str, Any]


def plan(*, scale: str, changes: list[str], from_run: Path | None, as_json: bool) -> str:
    """The text of a plan, or its JSON. `changes` are what-ifs; `standard` is the table of all usual ones."""
    if settings.load_scale(scale).device == "cpu":
        if changes:
            raise UserError(f"scale {scale!r} runs on CPUs and has no what-ifs", "--what-if")
        data = processor_plan(scale, from_run)
    else:
        data = gpu_plan(scale, changes, from_run)
    return json.dumps(data, indent=2, ensure_ascii=False) if as_json else plan_text.render(data)


def gpu_plan(scale: str, changes: list[str], from_run: Path | None) -> Json:
    case = case_of(scale)
    fitted = refit_case(case, from_run) if from_run else None
    base = fitted.case if fitted else case
    applied = [change for change in changes if change != "standard"]
    price = estimate(what_if.changed(base, applied))
    rate = settings.load_scale(scale).budget.dollars_per_gpu_hour
    return {
        "scale": scale,
        "device": "gpu",
        "card": CARDS[price.case.card].title,
        "changed": applied,
        "gpu_hours": price.gpu_hours.rounded(1),
        "dollars": price.gpu_hours.times(rate).rounded(1),
        "wall_hours": price.wall_hours.rounded(1),
        "jobs": sum(s.work.jobs for s in price.stages) + sum(s.work.jobs for s in price.samplings),
        "steps": sum(stage.work.steps for stage in price.stages),
        "training": {
            "gpu_hours": price.training.rounded(0),
            "dollars": price.training.times(rate).rounded(0),
            "stages": [stage_json(stage, rate) for stage in price.stages],
        },
        "evaluation": {
            "gpu_hours": price.evaluation.rounded(1),
            "dollars": price.evaluation.times(rate).rounded(1),
            "systems": [sampling_json(sampling, rate) for sampling in price.samplings],
        },
        "disk_gb": disk_json(price),
        "budget": budget_json(scale, price.gpu_hours),
        "calibration": calibration().as_json(),
        "what_if": variations_json(base) if "standard" in changes else [],
        "from_run": refit_json(fitted, price) if fitted else None,
        "warnings": list(price.warnings),
        "assumptions": [asdict(entry) for entry in ASSUMPTIONS],
        "miniature": miniature_json(),
    }


def refit_case(case: Case, run: Path) -> Refit:
    return refit(case, metrics_rows(run), training_shape(settings.load_scale(case.scale)), card(case.card))


def processor_plan(scale: str, from_run: Path | None) -> Json:
    """A scale on CPU cores: seconds of every rule, beside what a run measured."""
    ledger = read_ledger(scale, from_run)
    paces: dict[str, Pace] = {}
    if from_run:
        if not ledger:
            raise UserError("no jobs to measure", from_run, "give compute.csv, or a folder of benchmark files (*.tsv)")
        paces = refitted(scale, ledger.jobs)
    price = estimate_processor(scale, paces)
    hours = of_processors(price)[TOTAL, ""]
    return {
        "scale": scale,
        "device": "cpu",
        "gpu_hours": hours.rounded(3),
        "gpu_hours_of": "the CPU, which these jobs hold as one GPU: training and sampling",
        "dollars": hours.times(settings.load_scale(scale).budget.dollars_per_gpu_hour).rounded(0),
        "hours": price.seconds.times(1 / 3600).rounded(3),
        "elapsed_hours": price.elapsed.times(1 / 3600).rounded(3),
        "jobs": sum(entry.jobs for entry in price.rules),
        "steps": sum(entry.steps for entry in price.rules),
        "rules": [
            {
                "rule": entry.rule,
                "stage": entry.stage,
                "jobs": entry.jobs,
                "steps": entry.steps,
                "seconds": entry.seconds.rounded(0),
                "measured_seconds": round(ledger.jobs[entry.rule, entry.stage][1], 1)
                if ledger and (entry.rule, entry.stage) in ledger.jobs
                else None,
            }
            for entry in price.rules
        ],
        "budget": budget_json(scale, hours),
        "calibration": calibration().as_json(),
        "comparison": asdict(compare(estimate_processor(scale), ledger)) if ledger else None,
        "paces": {rule: asdict(pace) for rule, pace in sorted(paces.items())},
        "warnings": [],
    }


@dataclass(frozen=True)
class Comparison:
    """A prediction beside a measurement, over the rules that were measured."""

    measured_in: str
    predicted_seconds: float
    measured_seconds: float
    ratio: float
    """Predicted to measured."""
    largest_error: str
    """The rule, and stage, whose seconds are furthest off."""
    largest_error_seconds: float


def compare(price: ProcessorPrice, ledger: Ledger) -> Comparison:
    errors: dict[str, float] = {}
    predicted = measured = 0.0
    for entry in price.rules:
        jobs, seconds = ledger.jobs.get((entry.rule, entry.stage), (0, 0.0))
        if jobs:
            share = entry.seconds.expected * jobs / entry.jobs
            predicted, measured = predicted + share, measured + seconds
            errors[f"{entry.rule} {entry.stage}".strip()] = share - seconds
    worst = max(errors, key=lambda name: abs(errors[name]))
    return Comparison(
        ledger.where,
        round(predicted, 1),
        round(measured, 1),
        round(predicted / measured, 3),
        worst,
        round(errors[worst]),
    )


def miniature_json() -> Json | None:
    """The predicted seconds of the miniature, and the measured ones where it has run."""
    if MINIATURE not in settings.scale_names():
        return None
    price, ledger = estimate_processor(MINIATURE), read_ledger(MINIATURE, None)
    return {
        "predicted_seconds": price.seconds.rounded(0),
        "comparison": asdict(compare(price, ledger)) if ledger else None,
    }


def stage_json(stage: StagePrice, rate: float) -> Json:
    work, step, memory = stage.work, stage.step, stage.memory
    return {
        "stage": work.name,
        "gpus": work.gpus,
        "jobs": work.jobs,
        "steps": work.steps,
        "samples_per_step": work.sequences,
        "mean_tokens": round(work.lengths.mean),
        "tokens_per_step": round(work.trained_tokens),
        "step_seconds": round(step.total),
        "step_parts": {key: round(value, 1) for key, value in asdict(step).items()},
        "wall_hours": stage.hours.rounded(1),
        "gpu_hours": stage.gpu_hours.rounded(0),
        "dollars": stage.gpu_hours.times(rate).rounded(0),
        "memory_gb": {
            **{key: round(value / 1e9, 1) for key, value in asdict(memory).items()},
            "total": round(memory.total / 1e9, 1),
            "verdict": stage.memory_verdict,
        },
        "node_memory_gb": round(stage.node_memory / 1e9),
        "saving": {
            "save_steps": stage.saving.save_steps,
            "gpu_hours": round(stage.saving.saved, 2),
            "hard_kills": round(stage.saving.kills, 2),
            "gpu_hours_a_kill": round(stage.saving.loss, 2),
            "best_save_steps": stage.saving.best_steps,
            "best_saves_gpu_hours": round(stage.saving.gain, 2),
        },
    }


def sampling_json(sampling: SamplingPrice, rate: float) -> Json:
    work = sampling.work
    return {
        "system": work.system,
        "suite": work.suite,
        "jobs": work.jobs,
        "samples": work.samples,
        "mean_tokens": round(work.lengths.mean),
        "wall_hours_a_job": sampling.hours.rounded(2),
        "gpu_hours": sampling.gpu_hours.rounded(1),
        "dollars": sampling.gpu_hours.times(rate).rounded(0),
    }


def disk_json(price: Price) -> Json:
    parts = {key: round(value / 1e9) for key, value in asdict(price.disk).items()}
    return {**parts, "total": round(price.disk.total / 1e9)}


def budget_json(scale: str, hours: Range) -> Json:
    on_cpu = settings.load_scale(scale).device == "cpu"
    approved = None if on_cpu else settings.approved_gpu_hours(scale)
    return {
        "approved_gpu_hours": approved,  # null where none need to be
        "to_approve": to_approve(hours.expected),
        "approved": approved is None or approved >= hours.expected,
        "dollars_per_gpu_hour": settings.load_scale(scale).budget.dollars_per_gpu_hour,
    }


def variations_json(case: Case) -> list[Json]:
    """The usual what-ifs, of training alone, each compared with the price without it."""
    if not case.stages:
        return []
    alone = replace(case, evaluations=())
    before = estimate(alone).training.expected
    found = []
    for changes in what_if.STANDARD:
        after = estimate(what_if.changed(alone, changes))
        found.append(
            {
                "changed": list(changes),
                "card": CARDS[after.case.card].title,
                "gpu_hours": after.training.rounded(0),
                "change": round(after.training.expected / before - 1, 3),
                "wall_days": round(after.wall_hours.expected / 24, 1),
                "warnings": list(after.warnings),
            }
        )
    return found


def refit_json(fitted: Refit, price: Price) -> Json:
    stack = fitted.case.stacks.expected
    left = {
        stage.work.name: stage.gpu_hours.expected * (1 - done_share(fitted, stage.work.name, stage.work.steps))
        for stage in price.stages
    }
    return {
        "fitted_on": fitted.fitted_on,
        "host_seconds": round(stack.host_seconds, 5),
        "flop_utilisation": round(stack.flop_utilisation, 3),
        "fixed_seconds": round(stack.fixed_seconds, 1),
        "slack": round(stack.slack, 3),
        "stages": [
            {
                "stage": entry.stage,
                "steps": entry.steps,
                "step_seconds": round(entry.step_seconds, 1),
                "hours": round(entry.hours, 2),
                "mean_tokens": round(entry.lengths.mean),
                "clipped": round(entry.lengths.clipped, 4),
            }
            for entry in fitted.stages
        ],
        "remaining_gpu_hours": round(sum(left.values())),
    }


def done_share(fitted: Refit, stage: str, steps: int) -> float:
    return next((min(1.0, entry.steps / steps) for entry in fitted.stages if entry.stage == stage), 0.0)
