"""A plan as text for a terminal."""

from typing import Any

from deepscaler.text import amount
from deepscaler.training.watch.budget import how_to_approve

Json = dict[str, Any]


def render(data: Json) -> str:
    lines = gpu_lines(data) if data["device"] == "gpu" else processor_lines(data)
    return "\n".join(lines)


def gpu_lines(data: Json) -> list[str]:
    title = f"{data['scale']} on {data['card']}"
    if data["changed"]:
        title += f", with {', '.join(data['changed'])}"
    lines = [title, ""]
    if data["training"]["stages"]:
        lines += [*stage_table(data), "", *saving_table(data), ""]
    lines += [*evaluation_lines(data), "", *total_lines(data), ""]
    if data["what_if"]:
        lines += [*what_if_table(data), ""]
    if data["from_run"]:
        lines += [*refit_lines(data["from_run"]), ""]
    lines += calibration_lines(data["calibration"])
    lines += [f"Warning: {warning}" for warning in data["warnings"]]
    return lines


def stage_table(data: Json) -> list[str]:
    rows = [
        ["stage", "GPUs", "jobs", "steps", "s/step", "of it rollouts", "wall h", "GPU-hours", "(low–high)", "memory"]
    ]
    for stage in data["training"]["stages"]:
        hours, memory = stage["gpu_hours"], stage["memory_gb"]
        rows.append(
            [
                stage["stage"],
                f"{stage['gpus']}",
                f"{stage['jobs']}",
                f"{stage['steps']:,}",
                f"{stage['step_seconds']}",
                f"{stage['step_parts']['generation']:.0f}",
                f"{stage['wall_hours']['expected']:.0f}",
                f"{hours['expected']:,.0f}",
                span(hours),
                f"{memory['total']:.0f} GB, {memory['verdict']}",
            ]
        )
    return table(rows)


def saving_table(data: Json) -> list[str]:
    """What saving costs, what a kill that leaves no time for it loses, and the `save_steps` with the least of both."""
    title = ["stage", "save_steps", "GPU-hours", "lost at a hard kill", "kills expected", "best save_steps"]
    rows = [[*title, "GPU-hours less"]]
    for stage in data["training"]["stages"]:
        saving = stage["saving"]
        rows.append(
            [
                stage["stage"],
                f"{saving['save_steps']}",
                amount(saving["gpu_hours"]),
                amount(saving["gpu_hours_a_kill"]),
                f"{saving['hard_kills']:.2g}",
                f"{saving['best_save_steps']}",
                amount(saving["best_saves_gpu_hours"]),
            ]
        )
    return table(rows)


def evaluation_lines(data: Json) -> list[str]:
    systems = data["evaluation"]["systems"]
    by_suite: dict[str, list[Json]] = {}
    for entry in systems:
        by_suite.setdefault(entry["suite"], []).append(entry)
    rows = [["evaluation", "systems", "jobs", "samples", "GPU-hours"]]
    for suite, entries in by_suite.items():
        rows.append(
            [
                suite,
                str(len(entries)),
                str(sum(entry["jobs"] for entry in entries)),
                f"{sum(entry['samples'] for entry in entries):,}",
                amount(sum(entry["gpu_hours"]["expected"] for entry in entries)),
            ]
        )
    return table(rows)


def total_lines(data: Json) -> list[str]:
    hours, dollars, wall, disk = (data[key] for key in ("gpu_hours", "dollars", "wall_hours", "disk_gb"))
    budget = data["budget"]
    stages = data["training"]["stages"]
    jobs = sum(entry["jobs"] for entry in data["evaluation"]["systems"])
    one = f" on {jobs} GPUs at once ({wall_time(hours['expected'])} on one)" if not stages else ""
    if stages and all(stage["gpus"] == 1 for stage in stages):
        one = f" with {jobs} GPUs to sample on ({wall_time(hours['expected'])} with one GPU for all)"
    lines = [
        f"In all: {amount(hours['expected'])} GPU-hours ({span(hours)}), ${amount(dollars['expected'])} "
        f"({span(dollars)}), {wall_time(wall['expected'])} without queues{one}, {disk['total']:,} GB of disk.",
        f"Finished samples are kept by hard links; a file system without them takes {disk['samples']:,} GB more.",
    ]
    if not budget["approved"]:
        how = how_to_approve(data["scale"], budget["to_approve"])
        lines.append(f"Approved are {budget['approved_gpu_hours']:g}; to start: {how}")
    return lines


def what_if_table(data: Json) -> list[str]:
    rows = [["what if (training alone)", "GPU-hours", "(low–high)", "change", "days"]]
    rows += [
        [
            " ".join(entry["changed"]),
            f"{entry['gpu_hours']['expected']:,.0f}",
            span(entry["gpu_hours"]),
            f"{entry['change']:+.0%}".replace("-", "−"),
            f"{entry['wall_days']:.1f}",
        ]
        for entry in data["what_if"]
    ]
    return table(rows)


def refit_lines(fitted: Json) -> list[str]:
    lines = [
        f"Fitted to stage {fitted['fitted_on']}: {fitted['host_seconds'] * 1000:.1f} ms of host time a decode step, "
        f"FLOP utilisation {fitted['flop_utilisation']:.2f}, {fitted['fixed_seconds']:.0f} s fixed, "
        f"slack {fitted['slack']:.2f}."
    ]
    lines += [
        f"  {entry['stage']}: {entry['steps']} steps measured, {entry['step_seconds']:.0f} s each, "
        f"{entry['mean_tokens']:,} tokens a response, {entry['clipped']:.1%} clipped"
        for entry in fitted["stages"]
    ]
    return [*lines, f"Left to do: {fitted['remaining_gpu_hours']:,} GPU-hours."]


def calibration_lines(data: Json) -> list[str]:
    return [
        f"Calibration ({data['system']}): {data['predicted_gpu_hours']:,} GPU-hours for the published "
        f"{data['published_gpu_hours']:,.0f}; {data['predicted_early_step_seconds']} s for an early 8K step of "
        f"{data['published_early_step_seconds']:.0f} s."
    ]


def processor_lines(data: Json) -> list[str]:
    rows = [["rule", "stage", "jobs", "steps", "seconds", "(low–high)", "measured"]]
    for entry in data["rules"]:
        measured = entry["measured_seconds"]
        rows.append(
            [
                entry["rule"],
                entry["stage"],
                str(entry["jobs"]),
                str(entry["steps"] or ""),
                f"{entry['seconds']['expected']:.0f}",
                span(entry["seconds"]),
                "" if measured is None else f"{measured:.0f}",
            ]
        )
    minutes = {key: value * 60 for key, value in data["elapsed_hours"].items()}
    summed = data["hours"]["expected"] * 60
    lines = [f"{data['scale']} on two CPU cores", "", *table(rows, text_columns=2), ""]
    lines.append(
        f"In all: {data['jobs']} jobs, {minutes['expected']:.0f} minutes ({span(minutes)}), some side by side; "
        f"added up over jobs {summed:.0f}."
    )
    if data["comparison"]:
        lines += comparison_lines(data["comparison"])
    return lines


def comparison_lines(data: Json) -> list[str]:
    return [
        f"Miniature ({data['measured_in']}): predicted {data['predicted_seconds']:.0f} s, measured "
        f"{data['measured_seconds']:.0f} s, ratio {data['ratio']:.2f}; furthest off: {data['largest_error']} "
        f"({data['largest_error_seconds']:+d} s)."
    ]


def span(values: Json) -> str:
    return f"{amount(values['low'])}–{amount(values['high'])}"


def wall_time(hours: float) -> str:
    return f"{hours / 24:.1f} days" if hours >= 24 else f"{amount(hours)} hours"


def table(rows: list[list[str]], text_columns: int = 1) -> list[str]:
    """Columns aligned: text to the left, figures to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
