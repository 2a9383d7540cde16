"""Every checkable statement compared with what was measured: claims.csv."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deepscaler.errors import UserError, refuse_unknown
from deepscaler.files import writing
from deepscaler.reporting.claims.chances import Chances, chances
from deepscaler.reporting.claims.claim_values import claim_value
from deepscaler.reporting.claims.counts import by_chance, summary
from deepscaler.reporting.claims.results import Estimate, Results, Row
from deepscaler.settings import load_scale, scale_names
from deepscaler.settings.claims import Claim, ClaimFile, claims, effort_of, holds_at

Verdict = Literal["met", "outside", "not run", "not measurable"]
FIELDS = (
    "id", "claim", "of", "kind", "section", "checked_at", "command", "human_minutes", "machine_hours", "machine",
    "expected", "tolerance", "unit", "reason", "measured", "standard_error", "verdict", "run_error", "honest_fails",
    "null_met", "worse_met", "rules_out", "note",
)  # fmt: skip
SIGNS = {"within": "", "at_least": "≥ ", "at_most": "≤ "}


@dataclass(frozen=True)
class Finding:
    """A claim with its value in a scale's results."""

    claim: Claim
    measured: Estimate | None

    @property
    def verdict(self) -> Verdict:
        if self.claim.kind == "not measurable":
            return "not measurable"
        if self.measured is None or (self.claim.needs_error and self.measured.standard_error is None):
            return "not run"
        return "met" if self.claim.holds(self.measured.value, self.measured.standard_error) else "outside"


def findings(results: Results, file: ClaimFile) -> list[Finding]:
    """A finding a claim, in the file's order; a claim of other scales is not run here."""
    refuse_unknown_claims(results.scale, file)
    return [
        Finding(claim, claim_value(results, claim.measure) if holds_at(claim, results.scale) else None)
        for claim in file.claims
    ]


def refuse_unknown_claims(scale: str, file: ClaimFile) -> None:
    """Raise UserError for a claim that a scale names and the file does not have."""
    known = [claim.id for claim in file.claims]
    for name in load_scale(scale).claims if scale in scale_names() else []:
        if name not in known:
            raise refuse_unknown("claim", name, known, f"config/scales/{scale}.yaml")


def check_claims(*, scale: str, claims_file: Path, folder: Path, output: Path) -> None:
    """Write claims.csv; print the counts of verdicts, what of them is chance, and the claims that are outside."""
    if not folder.is_dir():
        raise UserError("no such folder of results", folder, f"make them with: snakemake {scale}")
    file = claims(claims_file)
    found = findings(Results(scale, folder), file)
    rows = [as_row(scale, file, finding) for finding in found]
    with writing(output) as aside, aside.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"Claims: {summary(rows)}")
    for line in [by_chance(rows), *outside(found)]:
        if line:
            print(f"  {line}")


def outside(found: Iterable[Finding]) -> Iterable[str]:
    for finding in found:
        if finding.verdict == "outside":
            claim = finding.claim
            nothing = " (counts for nothing)" if claim.kind == "illustrative" else ""
            yield f"outside: {claim.id}: expected {expectation(claim)}, measured {value_text(finding)}{nothing}"


def as_row(scale: str, file: ClaimFile, finding: Finding) -> Row:
    claim, estimate = finding.claim, finding.measured
    effort = effort_of(file, claim, scale)
    cost = (
        (effort.command, f"{effort.human_minutes:g}", f"{effort.machine_hours:g}", effort.machine)
        if effort
        else [""] * 4
    )
    values = [
        *(claim.id, claim.statement, claim.measure.of, claim.kind, claim.section, " ".join(claim.scales)),
        *cost,
        *(f"{SIGNS[claim.comparison]}{claim.expected:g}", f"{claim.tolerance:g}", claim.unit, claim.reason),
        value_text(finding),
        f"{estimate.standard_error:.3g}" if estimate and estimate.standard_error is not None else "",
        finding.verdict,
        *chance_cells(chances(file, claim, estimate)),
        claim.rules_out.what if claim.rules_out else "",
        claim.note or "",
    ]
    return dict(zip(FIELDS, values, strict=True))


def chance_cells(found: Chances) -> list[str]:
    """As claims.csv has them: the error in the claim's unit, and shares of runs; empty where there is none."""
    shares = (found.honest_fails, found.null_met, found.worse_met)
    return ["" if found.error is None else f"{found.error:.3g}", *("" if x is None else f"{x:.4f}" for x in shares)]


def expectation(claim: Claim) -> str:
    """What a claim allows, as people write it: "43.1 ± 4.2 %", "≥ 20 points"."""
    unit = f" {claim.unit}" if claim.unit else ""
    slack = f" ± {claim.tolerance:g}" if claim.tolerance and claim.comparison == "within" else ""
    return f"{SIGNS[claim.comparison]}{claim.expected:g}{slack}{unit}"


def value_text(finding: Finding) -> str:
    if finding.measured is None:
        return ""
    value = finding.measured.value
    return f"{value:.1f}".removesuffix(".0") if abs(value) >= 1000 else f"{value:.4g}"
