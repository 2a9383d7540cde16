"""The end of a rehearsal's target: it fails with exit code 1 where the verdict is no go, and names the reasons."""

from pathlib import Path

from deepscaler.errors import JobError, UserError
from deepscaler.files import read_json, write_text


def require_go(*, record: Path, output: Path) -> str:
    """Write `output` where the verdict is go; raises JobError where it is not."""
    verdict = read_json(record)
    if not isinstance(verdict, dict) or "verdict" not in verdict:
        raise UserError("no record of a rehearsal", record, "judge_rehearsal writes it")
    if verdict["verdict"] != "GO":
        raise JobError(f"NO GO: {'; '.join(verdict['reasons'])}", record.with_name("report.html"))
    line = f"GO: {len(verdict['checks'])} checks of {verdict['of']}, {verdict['written']}"
    write_text(output, f"{line}\n")
    return line
