"""The loop of `deepscaler verify`: look at what there is, and draw the next batch, until all claims have a verdict.

Nothing is remembered but the answers, which are kept as they come: a run that was killed begins by looking at them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepscaler import settings
from deepscaler.files import write_json
from deepscaler.reporting.verdicts.answers import Answers, benchmark_path
from deepscaler.reporting.verdicts.evidence import Evidence
from deepscaler.reporting.verdicts.hours import Batch, Hours
from deepscaler.reporting.verdicts.inquiry import Inquiry
from deepscaler.reporting.verdicts.lines import Record, opening, progress_line, verdict_line
from deepscaler.reward.pool import GradingPool
from deepscaler.settings.claims import Verification
from deepscaler.text import amount

SHOWN = 4
"""Claims still open of which each look prints a line; of more, their number."""


@dataclass
class Run:
    scale: str
    inquiries: list[Inquiry]
    limits: Verification
    hours: Hours
    pool: GradingPool
    say: Callable[[str], None]
    answers: dict[str, Answers] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)

    def until_decided(self) -> list[Record]:
        """The claims' records, each also in results/{scale}/verify/{claim}.json, where every look leaves them."""
        for inquiry in self.inquiries[:SHOWN]:
            self.say(opening(inquiry.claim, inquiry.error, len(self.inquiries)))
        self.answers = {
            system: Answers(self.scale, system, self.pool)
            for inquiry in self.inquiries
            for system in inquiry.quantity.systems
        }
        self.load_kept()
        undecided = self.look(self.inquiries)
        while undecided:
            batch = self.next_batch(undecided)
            price = self.hours.price(batch)
            if not batch:
                self.say(f"{self.limits.samples} samples a problem are the most that is allowed")
                break
            if not self.hours.allow(price):
                self.say(f"the next samples take about {amount(price)} {self.hours.unit}, beyond the budget")
                break
            self.say(f"drawing {in_words(batch)}: about {amount(price)} {self.hours.unit}")
            for system, wanted in batch.items():
                with self.hours.counted(system, wanted):
                    self.answers[system].draw(paths(self.scale, wanted))
                self.answers[system].load(paths(self.scale, wanted))
            undecided = self.look([inquiry for inquiry, _ in undecided])
        for inquiry, _ in undecided:
            self.say(verdict_line(self.records[inquiry.claim.id]))
        self.say(f"{amount(self.hours.taken)} {self.hours.unit} were used")
        return [self.records[inquiry.claim.id] for inquiry in self.inquiries]

    def load_kept(self) -> None:
        for system, found in self.answers.items():
            names = {
                name: None
                for one in self.inquiries
                if system in one.quantity.systems
                for name in one.quantity.benchmarks
            }
            found.load(paths(self.scale, dict.fromkeys(names, range(self.limits.samples))))

    def look(self, inquiries: list[Inquiry]) -> list[tuple[Inquiry, Evidence | None]]:
        """Record what is known of claims, say it, and return those without a verdict."""
        undecided = []
        for inquiry in inquiries:
            evidence = inquiry.evidence(self.answers)
            record = inquiry.record(self.scale, evidence) | self.outlook(inquiry, evidence)
            self.records[inquiry.claim.id] = record
            write_json(self.folder / f"{inquiry.claim.id}.json", record)
            if record["verdict"] == "not decided":
                undecided.append((inquiry, evidence))
            else:
                self.say(verdict_line(record))
        for inquiry, evidence in undecided[:SHOWN]:
            if evidence:
                self.say(progress_line(self.records[inquiry.claim.id]))
        if len(undecided) > SHOWN:
            self.say(f"… {len(undecided)} claims are not decided, {amount(self.hours.taken)} {self.hours.unit} used")
        return undecided

    @property
    def folder(self) -> Path:
        return settings.run_root() / "results" / self.scale / "verify"

    def outlook(self, inquiry: Inquiry, evidence: Evidence | None) -> dict[str, Any]:
        """What was used, and what deciding the claim would take beyond."""
        needed = inquiry.needed(evidence, self.limits.samples)
        going_on = None
        if needed and evidence and needed > evidence.rounds:
            rounds = range(evidence.rounds, needed)
            further = dict.fromkeys(inquiry.quantity.benchmarks, rounds)
            going_on = {
                "samples": needed,
                "hours": self.hours.price(dict.fromkeys(inquiry.quantity.systems, further)),
            }
        return {"hours": self.hours.taken, "hours_unit": self.hours.unit, "going_on": going_on}

    def next_batch(self, undecided: list[tuple[Inquiry, Evidence | None]]) -> Batch:
        """What is to be drawn for all of them together: one engine for each system."""
        batch: Batch = {}
        for inquiry, evidence in undecided:
            first, last = evidence.rounds if evidence else 0, inquiry.next_rounds(evidence, self.limits)
            if last > first:
                for system in inquiry.quantity.systems:
                    wanted = batch.setdefault(system, {})
                    for name in inquiry.quantity.benchmarks:
                        old = wanted.get(name, range(first, last))
                        wanted[name] = range(min(old.start, first), max(old.stop, last))
        return batch


def in_words(batch: Batch) -> str:
    """`samples 5 to 8 of deepscaler-24k, samples 1 to 4 of mini-base`."""
    spans = {
        system: (min(rounds.start for rounds in wanted.values()), max(rounds.stop for rounds in wanted.values()))
        for system, wanted in batch.items()
    }
    return ", ".join(f"samples {first + 1} to {last} of {system}" for system, (first, last) in spans.items())


def paths(scale: str, wanted: dict[str, range]) -> dict[Path, range]:
    return {benchmark_path(scale, name): rounds for name, rounds in wanted.items()}
