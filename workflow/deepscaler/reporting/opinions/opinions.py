"""`deepscaler opinions`: what others' graders make of the same completions."""

from pathlib import Path

from deepscaler.errors import UserError
from deepscaler.evaluation.table_rows import write_csv
from deepscaler.reporting.figures import style
from deepscaler.reporting.opinions import export, figure, table
from deepscaler.reporting.opinions.ask import Limits, opinion_of
from deepscaler.reporting.opinions.completions import completions
from deepscaler.reporting.opinions.harnesses import HARNESSES, chosen
from deepscaler.reporting.opinions.table import Opinions
from deepscaler.reward.verdicts import MODES, Verdict


def opinions(
    *, scale: str, results: Path, work: Path, names: list[str], samples: int | None, limits: Limits, exports: bool
) -> None:
    """Ask the harnesses, and write opinions.csv, disagreements.csv and the figure into `results`/opinions.

    `work` is {work}/{scale}; verdicts are kept in its folder opinions, where the exports go, too.

    Raises:
        UserError: no graded samples, no such harness, or none that is set up.
    """
    harnesses = chosen(names)
    if all(harness.environment is None for harness in harnesses) and not names:
        raise UserError("no harness has an environment here", None, "make setup-harnesses, or name one: --harness")
    asked = completions(scale, work, samples)
    found: dict[str, list[Verdict]] = {mode: [Verdict(row.own[mode], "") for row in asked] for mode in MODES}
    for harness in harnesses:
        found[harness.name] = opinion_of(harness, asked, work / "opinions", limits)
    every = Opinions(asked, found)
    folder = results / "opinions"
    write_csv(folder / "opinions.csv", table.rows(every), table.columns(every))
    write_csv(folder / "disagreements.csv", table.disagreements(every), table.DISAGREEMENTS)
    style.save(figure.ranges(every), folder / "opinions.png", folder / "opinions.pdf")
    summary(every, len(asked))
    for harness in HARNESSES:
        if not harness.ready and not names:
            print(f"not asked, for want of an environment: {harness.name} (make setup-harnesses)")
    if exports:
        export.inspect_logs(scale, every, work / "opinions" / "inspect")
        export.lm_eval_samples(scale, every, work / "opinions" / "lm-eval")
    print(f"{folder}/opinions.csv, disagreements.csv, opinions.png")


def summary(every: Opinions, count: int) -> None:
    """A line an opinion, over all cells."""
    strict = every.verdicts["strict"]
    for name in every.names:
        verdicts = every.verdicts[name]
        more = sum(own.correct and not ours.correct for own, ours in zip(verdicts, strict, strict=True))
        less = sum(ours.correct and not own.correct for own, ours in zip(verdicts, strict, strict=True))
        unanswered = sum(bool(verdict.reason) for verdict in verdicts)
        print(
            f"{name:20} {100 * sum(verdict.correct for verdict in verdicts) / count:6.2f} % of {count}"
            + ("" if name == "strict" else f"; right where strict is wrong: {more}, wrong where it is right: {less}")
            + (f"; without a verdict: {unanswered}" if unanswered else "")
        )
