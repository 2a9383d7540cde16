"""Judge a rehearsal: checks.csv, rehearsal.json and report.html, with go or no go and the reasons.

It reads what the jobs left and starts nothing. Where a job failed, what it did not leave is a no go of its own, so that
the report exists in any case; require_go makes a failure of it.
"""

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deepscaler.errors import UserError
from deepscaler.files import write_json, writing
from deepscaler.reporting.rehearsal import checks_of_paths, checks_of_speed, page
from deepscaler.reporting.rehearsal.evidence import Evidence
from deepscaler.reporting.rehearsal.finding import Finding
from deepscaler.reporting.rehearsal.whole_run import judged, whole_run
from deepscaler.versions import commit

COLUMNS = ("check", "where", "seen", "bound", "planned", "verdict", "advice")
CHECKS = (
    *(checks_of_paths.nodes, checks_of_paths.steps, checks_of_paths.kill_and_resume, checks_of_paths.chain),
    *(checks_of_speed.weights, checks_of_speed.agreement, checks_of_speed.reward),
    *(checks_of_speed.memory, checks_of_speed.speed, checks_of_paths.samples),
)


def judge_rehearsal(*, scale: str, work: Path, logs: Path, checks: Path, record: Path, page_path: Path) -> str:
    """Write the three files; returns `GO`, or `NO GO` with the reasons."""
    run = Evidence(scale, work, logs)
    findings = [finding for check in CHECKS for finding in found(check, run)]
    whole = whole_run(run)
    findings += judged(run, whole)
    reasons = [finding.reason for finding in findings if not finding.go]
    verdict: dict[str, Any] = {
        "scale": scale,
        "of": run.rehearsal.of,
        "verdict": "NO GO" if reasons else "GO",
        "reasons": reasons,
        "whole_run": whole.as_json() if whole else None,
        "checks": [row_of(finding) for finding in findings],
        "commit": commit(),
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    with writing(checks) as aside, aside.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(verdict["checks"])
    write_json(record, verdict)
    page.write_page(verdict, page_path)
    return "\n".join([str(verdict["verdict"]), *(f"  {reason}" for reason in reasons)])


def found(check: Any, run: Evidence) -> list[Finding]:
    """A check's findings; a file that can't be read is no go, and the other checks go on."""
    try:
        return list(check(run))
    except (UserError, KeyError, TypeError, ValueError, ArithmeticError, OSError) as error:
        what = str(error) if isinstance(error, UserError) else f"a record can't be read: {error!r}"
        return [Finding(check.__name__.replace("_", " "), run.scale_name, what, False)]


def row_of(finding: Finding) -> dict[str, str]:
    return {column: str(getattr(finding, column)) for column in COLUMNS}
