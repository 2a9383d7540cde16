"""Sample in batches until a claim is met or outside, at a fixed error rate whatever the time of looking.

The verb's exit code is its outcome: 0 where all claims are met, 3 where one is outside, 4 where none is outside and one
not decided. 1 and 2 are failures and bad input, as everywhere.
"""

import json
import sys
from functools import partial
from pathlib import Path

from deepscaler import settings
from deepscaler.errors import UserError, refuse_unknown
from deepscaler.reporting.verdicts.answers import require_inputs
from deepscaler.reporting.verdicts.hours import Hours
from deepscaler.reporting.verdicts.inquiry import inquiry_of
from deepscaler.reporting.verdicts.quantity import quantity_of
from deepscaler.reporting.verdicts.run import Run
from deepscaler.reward.pool import GradingPool
from deepscaler.settings.claims import Claim, ClaimFile, claims

EXIT_CODES = {"outside": 3, "not decided": 4, "met": 0}


def verify(
    *,
    scale: str,
    identifiers: list[str],
    every: bool,
    claims_file: Path | None,
    budget: float | None,
    samples: int | None,
    threads: int,
    as_json: bool,
) -> int:
    """Returns the exit code. `budget` is in GPU-hours, at a scale on CPUs in core-hours; `samples` are of a problem."""
    file = claims(claims_file)
    limits = file.verify.model_copy(update={"samples": samples} if samples else {})
    chosen = choose(file, scale, identifiers, every)
    quantities = [quantity_of(claim, scale) for claim in chosen]
    systems = {system: None for one in quantities for system in one.systems}
    require_inputs(scale, list(systems), list({name: None for one in quantities for name in one.benchmarks}))
    inquiries = [inquiry_of(claim, scale, limits.error / len(chosen)) for claim in chosen]
    grading = settings.load_scale(scale).evaluation.grading
    with GradingPool(threads, grading.seconds, grading.memory_mb) as pool:
        say = partial(print, file=sys.stderr if as_json else sys.stdout, flush=True)
        records = Run(scale, inquiries, limits, Hours(scale, budget), pool, say).until_decided()
    if as_json:
        print(json.dumps(records, indent=2, ensure_ascii=False))
    verdicts = {record["verdict"] for record in records}
    return next(code for verdict, code in EXIT_CODES.items() if verdict in verdicts)


def choose(file: ClaimFile, scale: str, identifiers: list[str], every: bool) -> list[Claim]:
    """The claims that are named, or all of the scale that sampling decides."""
    settings.load_scale(scale)
    known = {claim.id: claim for claim in file.claims}
    if every == bool(identifiers):
        raise UserError("name claims, or give --all", None, "docs/CLAIMS.md lists them")
    for identifier in identifiers:
        if identifier not in known:
            raise refuse_unknown("claim", identifier, list(known))
    found = [known[identifier] for identifier in dict.fromkeys(identifiers)]
    found = found or [claim for claim in file.claims if is_decided_by_sampling(claim, scale)]
    if not found:
        raise UserError(f"scale {scale!r} has no claim that sampling decides")
    return found


def is_decided_by_sampling(claim: Claim, scale: str) -> bool:
    try:
        quantity_of(claim, scale)
    except UserError:
        return False
    return True
