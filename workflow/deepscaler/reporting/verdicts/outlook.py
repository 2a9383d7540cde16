"""What verifying a claim is expected to take before anything is drawn: for plans. Arithmetic of the settings alone.

Truths and errors are those of `reporting/claims`: what the paper states, what the claim rules out, and how much answers
vary within problems (`varies` of config/claims.yaml). `evaluation/sequential_design.py` does the rest.
"""

from dataclasses import dataclass
from math import sqrt

from deepscaler.cost.rounds import hours_of_rounds
from deepscaler.evaluation.sequential_design import Design, Prospect, prospect
from deepscaler.reporting.claims.chances import honest_truth, null_truth
from deepscaler.reporting.claims.errors_of_runs import RunErrors, tests
from deepscaler.reporting.verdicts.quantity import Quantity, bounds, quantity_of
from deepscaler.settings.claims import Claim, ClaimFile, TableCell, TokenCell


@dataclass(frozen=True)
class Outlook:
    """Of one claim, by a number of samples a problem at most."""

    claim: str
    systems: tuple[str, ...]
    """Whose answers it takes."""
    benchmarks: tuple[str, ...]
    honest: Prospect | None
    """If the paper's statement is true; None where it gives no number."""
    null: Prospect | None
    """If what the claim rules out is true; None where it rules nothing out."""
    hours: float
    """GPU-hours of the samples that are expected if the paper's statement is true, each system's in one batch."""

    @property
    def power(self) -> float | None:
        """The smaller of two chances: to find the claim met if it is true, and outside if what it rules out is."""
        chances = [self.honest.met] if self.honest else []
        chances += [self.null.outside] if self.null else []
        return min(chances, default=None)


def outlook(file: ClaimFile, claim: Claim, scale: str, samples: int | None = None, together: int = 1) -> Outlook | None:
    """The outlook of a claim at a scale on GPUs; None at the miniature, whose answers nobody can foretell.

    `samples` of a problem at most, as config/claims.yaml has it if not given; `together`: claims that share the error.

    Raises:
        UserError: sampling does not decide the claim, or not at this scale.
    """
    quantity = quantity_of(claim, scale)
    found = design(file, claim, quantity, together)
    if found is None:
        return None
    most = samples or file.verify.samples

    def by_then(truth: float | None) -> Prospect | None:
        return None if truth is None else prospect(found, truth, most)

    honest = by_then(honest_truth(claim))
    rounds = most if honest is None else max(1, round(honest.rounds))
    hours = sum(hours_of_rounds(scale, system, quantity.benchmarks, rounds) for system in quantity.systems)
    ours = (claim.id, tuple(quantity.systems), quantity.benchmarks)
    return Outlook(*ours, honest, by_then(null_truth(claim)), hours)


def design(file: ClaimFile, claim: Claim, quantity: Quantity, together: int) -> Design | None:
    """How a claim is sampled, by what the paper states of the rates and lengths."""
    errors, measure = RunErrors(file), claim.measure
    if "mini" in claim.scales or not isinstance(measure, TableCell | TokenCell):
        return None
    of_run = errors.of_sampling(measure, ours=True) if isinstance(measure, TableCell) else errors.of_tokens(measure)
    sets = tests(measure.column)
    weights = [1 / test.size / len(sets) for test in sets for _ in range(test.size)]
    return Design(
        weights, of_run * sqrt(errors.samples), span_of(quantity, claim), *bounds(claim), file.verify.error / together
    )


def span_of(quantity: Quantity, claim: Claim) -> float:
    """Of a value, the highest less the lowest; of a quotient N / D, of N - m D over the mean of D."""
    low, high = quantity.range_of(quantity.terms)
    if not quantity.divisors:
        return high - low
    least, most = quantity.range_of(quantity.divisors)
    return (high - low) / most + abs(claim.expected) * (most - least) / most
