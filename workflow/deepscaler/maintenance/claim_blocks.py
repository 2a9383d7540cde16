"""The blocks of docs/CLAIMS.md and docs/ARTIFACT.md that are of claims."""

from collections.abc import Callable

from deepscaler.maintenance.kept import reference
from deepscaler.reporting.claims.chances import Chances, chances, miniature_of, together
from deepscaler.reporting.claims.check_claims import Finding, expectation, value_text
from deepscaler.reporting.claims.claim_values import claim_value
from deepscaler.reporting.claims.results import Estimate, number
from deepscaler.settings.claims import Claim, Constant, Kind, claims
from deepscaler.text import markdown

KINDS: tuple[Kind, ...] = ("measured", "by construction", "illustrative", "arithmetic")
"""Of claims that some scale checks."""


def effort() -> str:
    """Scale by scale: the command, and what it takes."""
    efforts = {"the paper's arithmetic": claims().arithmetic}
    efforts |= {f"scale `{scale}`": effort for scale, effort in claims().effort.items()}
    rows = [
        [what, str(count_of(what)), f"`{e.command}`", f"{e.human_minutes:g}", f"{e.machine_hours:g} ({e.machine})"]
        for what, e in efforts.items()
    ]
    return markdown(["checked by", "claims", "command", "human minutes", "machine hours"], rows)


def count_of(what: str) -> int:
    """Claims that are checked at a scale, or by arithmetic alone."""
    arithmetic = [claim for claim in claims().claims if is_arithmetic(claim)]
    if not what.startswith("scale"):
        return len(arithmetic)
    scale = what.split("`")[1]
    return sum(scale in claim.scales and not is_arithmetic(claim) for claim in claims().claims)


def kinds() -> str:
    """How many claims of each kind a scale checks, and how many of those that count chance decides."""
    rows = []
    for scale in claims().effort:
        checked = [claim for claim in claims().claims if scale in claim.scales]
        numbers = [sum(claim.kind == kind for claim in checked) for kind in KINDS]
        sums = together(chances_of(claim) for claim in checked if claim.kind == "measured")
        by_chance = [f"{sums.honest_outside:.1f}", f"{sums.false_met:.1f} of {sums.with_null}"]
        rows.append([f"`{scale}`", *map(str, numbers), *by_chance])
    unmeasured = sum(claim.kind == "not measurable" for claim in claims().claims)
    head = ["scale", *KINDS, "outside by chance in an honest re-run", "met by chance if what they rule out were true"]
    return markdown(head, rows) + f"\nAnother {unmeasured} statements of the paper are not measurable.\n"


def claims_of(belongs: Callable[[Claim], bool]) -> Callable[[], str]:
    """A table of some claims, with their chances and what the reference runs measured."""

    def block() -> str:
        rows = [claim_row(claim) for claim in claims().claims if belongs(claim)]
        head = ["claim", "where", "expected", "why this tolerance", "counts as", "error of a run",
                "an honest re-run fails", "what it rules out meets it", "a model five points worse meets it",
                "measured", "verdict"]  # fmt: skip
        return markdown(head, rows)

    return block


def arithmetic() -> str:
    """A table of the paper's numbers against each other, in which nothing is left to chance."""
    rows = [
        [titled(claim), claim.section, expectation(claim), claim.reason, *found_in_reference(claim)]
        for claim in claims().claims
        if is_arithmetic(claim)
    ]
    return markdown(["claim", "where", "expected", "why this tolerance", "computed", "verdict"], rows)


def unmeasured() -> str:
    """A table of what the paper states and nothing here measures."""
    rows = [
        [f"**{claim.id}** {claim.statement}", claim.section, claim.note or ""]
        for claim in claims().claims
        if not claim.scales
    ]
    return markdown(["statement", "where", "why it is not measured"], rows)


def titled(claim: Claim) -> str:
    return f"**{claim.id}** {claim.statement}" + (f"<br>{claim.note}" if claim.note else "")


def claim_row(claim: Claim) -> list[str]:
    first = [titled(claim), claim.section, expectation(claim), claim.reason, claim.kind]
    return [*first, *chance_cells(claim, chances_of(claim)), *found_in_reference(claim)]


def chance_cells(claim: Claim, found: Chances) -> list[str]:
    """Error, and percentages; what is ruled out stands beside how often it meets the claim."""
    error = "–" if found.error is None else f"{found.error:.2g}" if found.error < 10 else f"{found.error:.0f}"
    null = percent(found.null_met) + (f" ({claim.rules_out.what})" if claim.rules_out else "")
    return [error, percent(found.honest_fails), null, percent(found.worse_met)]


def percent(share: float | None) -> str:
    if share is None:
        return "–"
    return "< 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def chances_of(claim: Claim) -> Chances:
    """Of a claim; the miniature's with the error that the kept run has."""
    scale = miniature_of(claim)
    return chances(claims(), claim, kept_estimate(claim, scale) if scale else None)


def kept_estimate(claim: Claim, scale: str) -> Estimate | None:
    """What the kept run of a miniature measured: by its claims, or by its table, of a claim that is newer."""
    results = reference(scale)
    where = results.folder / "claims.csv"
    for row in results.claims:
        if row["id"] == claim.id and (value := number(row, "measured", where)) is not None:
            return Estimate(value, number(row, "standard_error", where))
    return claim_value(results, claim.measure) if results.folder.is_dir() else None


def found_in_reference(claim: Claim) -> tuple[str, str]:
    """(measured, verdict) of the reference run of the first scale that has one; arithmetic needs none."""
    if is_arithmetic(claim):
        finding = Finding(claim, claim_value(reference(claim.scales[0]), claim.measure))
    elif scale := miniature_of(claim):
        finding = Finding(claim, kept_estimate(claim, scale))
    else:
        return "–", "not run"
    return value_text(finding) or "–", finding.verdict


def is_arithmetic(claim: Claim) -> bool:
    return isinstance(claim.measure, Constant)


def is_mini(claim: Claim) -> bool:
    return "mini" in claim.scales and not is_arithmetic(claim)


def is_released(claim: Claim) -> bool:
    return "released" in claim.scales and "mini" not in claim.scales


def is_paper(claim: Claim) -> bool:
    return claim.scales == ["paper"]


def is_of_another_rung(claim: Claim) -> bool:
    """Of scales that check what the paper does not say."""
    return bool(claim.scales) and not {"mini", "released", "paper"} & set(claim.scales)


CLAIM_BLOCKS: dict[str, Callable[[], str]] = {
    "effort": effort,
    "claims-kinds": kinds,
    "claims-mini": claims_of(is_mini),
    "claims-released": claims_of(is_released),
    "claims-paper": claims_of(is_paper),
    "claims-others": claims_of(is_of_another_rung),
    "claims-arithmetic": arithmetic,
    "claims-unmeasured": unmeasured,
}
"""A claim is in exactly one of the six tables."""
