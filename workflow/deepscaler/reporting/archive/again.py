"""What an archive holds, made again from what lies deeper in it, in a folder of its own and by the rules' own verbs."""

import contextlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepscaler import dag, settings
from deepscaler.errors import DeepscalerError
from deepscaler.evaluation.fetch_benchmark import fetch_benchmark
from deepscaler.evaluation.grade_samples import grade_samples
from deepscaler.evaluation.score import score
from deepscaler.evaluation.tabulate import tabulate
from deepscaler.files import sha256
from deepscaler.hub import first_line
from deepscaler.reporting.archive.jobs import run_verb
from deepscaler.reporting.archive.opening import Archive
from deepscaler.reporting.archive.soundness import SETTINGS, prompts_name
from deepscaler.reporting.claims.claim_values import declared_results
from deepscaler.reporting.claims.results import Results
from deepscaler.reporting.file_names import path_of
from deepscaler.reporting.provenance.resolve_settings import resolve_settings
from deepscaler.reporting.provenance.verification.samples import Sampled
from deepscaler.training.collect_metrics import collect_metrics
from deepscaler.training.schedule_prompts import schedule_prompts


class Again:
    """The files of an archive made anew below `folder`, by the names that they have in it.

    Of this checkout's own work root only what the archive leaves out is read, and only where it has the archive's
    digest.
    """

    def __init__(self, archive: Archive, folder: Path, threads: int) -> None:
        self.archive, self.folder, self.threads = archive, folder, threads
        self.scale = archive.scale
        self.failed: list[str] = []
        """What could not be made again, a line each."""

    def fresh(self, name: str) -> Path:
        return self.folder / name

    def place(self, name: str) -> Path:
        """The file made anew, or else the archive's."""
        return self.fresh(name) if self.fresh(name).is_file() else self.archive.path(name)

    @property
    def train(self) -> str:
        """The training problems."""
        return f"work/{self.scale}/data/train/train.parquet"

    def attempt(self, name: str, make: Callable[..., object], **arguments: Any) -> None:
        """Make a file; what was handed over may make that impossible, which is a difference, too."""
        self.fresh(name).parent.mkdir(parents=True, exist_ok=True)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                make(**arguments)
        except DeepscalerError as error:
            self.failed.append(f"{name}: could not be made again: {error}")
        except Exception as error:  # a whole table, or valid JSON, of others may hold anything
            self.failed.append(f"{name}: could not be made again: {type(error).__name__}: {first_line(error)}")

    def problems(self) -> None:
        """Benchmarks that are drawn here, or that the archive may not pass on; the order of the prompts."""
        suites = settings.load_scale(self.scale).evaluation.suites
        for name in dict.fromkeys(name for _, suite in dag.scored(self.scale) for name in suites[suite]):
            file = f"work/{self.scale}/benchmarks/{name}.parquet"
            if settings.benchmarks()[name].kind == "synthetic":
                self.attempt(file, fetch_benchmark, benchmark=name, output=self.fresh(file))
            elif not self.archive.holds(file):
                self.bring(name, file)
        for segment in dag.segments(self.scale) if self.archive.holds(self.train) else []:
            file, train = prompts_name(self.scale, segment.id), self.archive.path(self.train)
            where = {"problems": train, "output": self.fresh(file)}
            self.attempt(file, schedule_prompts, scale_name=self.scale, segment_id=segment.id, **where)

    def bring(self, name: str, file: str) -> None:
        """A benchmark that the archive names alone: this computer's, or from where it was published.

        Raises:
            DeepscalerError: it can't be fetched, which says nothing of the archive.
        """
        here, entry = path_of(file), self.archive.manifest.files.get(file)
        self.fresh(file).parent.mkdir(parents=True, exist_ok=True)
        if entry and here.is_file() and sha256(here) == entry.sha256:
            shutil.copyfile(here, self.fresh(file))
        else:
            fetch_benchmark(benchmark=name, output=self.fresh(file))

    def grades(self) -> None:
        """Grades and scores of all samples: of those that were drawn again, where they were."""
        for system, suite in dag.scored(self.scale):
            sampled, scores = Sampled(self.scale, system, suite), f"scores/{system}-{suite}.json"
            grades = self.fresh(sampled.grades)
            self.attempt(
                sampled.grades,
                grade_samples,
                scale=self.scale,
                system=system,
                samples=[self.place(name) for name in sampled.shards],
                benchmarks=[self.place(name) for name in sampled.benchmarks],
                output=grades,
                threads=self.threads,
            )
            where = {"grades": grades, "output": self.fresh(scores)}
            self.attempt(scores, score, scale=self.scale, system=system, suite=suite, **where)

    def tables(self) -> None:
        systems = dag.evaluated(self.scale)
        self.attempt(
            "table.csv",
            tabulate,
            scale=self.scale,
            scores=[self.fresh(f"scores/{system}-table.json") for system in systems],
            grades=[self.fresh(Sampled(self.scale, system, "table").grades) for system in systems],
            curve_scores=[self.fresh(f"scores/{point.system}-{point.suite}.json") for point in dag.curve(self.scale)],
            table=self.fresh("table.csv"),
            markdown=self.fresh("table.md"),
            tokens=self.fresh("tokens.csv"),
            agreement=self.fresh("agreement.csv"),
            comparisons=self.fresh("comparisons.csv"),
            curve=self.fresh("curve.csv"),
        )

    def training(self) -> None:
        """The table of training steps, from the checkpoints' metrics."""
        names = [f"work/{self.scale}/checkpoints/{segment.id}/metrics.jsonl" for segment in dag.segments(self.scale)]
        where = {"metrics": [self.archive.path(name) for name in names], "output": self.fresh("training.csv")}
        if names:
            self.attempt("training.csv", collect_metrics, scale_name=self.scale, **where)

    def claims(self) -> None:
        """The claims, from what was made again; what only the whole workflow makes is the archive's.

        By a process of its own, since claims about problems and grades look into the work root. Where the training
        problems are not passed on, those about them could not be decided, and none are compared.
        """
        if dag.segments(self.scale) and not self.archive.holds(self.train):
            return
        resolve_settings(scale=self.scale, output=self.fresh(SETTINGS))
        results, work = self.folder / "claims" / "results", self.folder / "claims" / "work"
        for path in declared_results(Results(self.scale, results)):
            name = path.relative_to(results).as_posix()
            # times stand in the archive's table of steps alone
            self.lay(name, self.archive.path(name) if name == "training.csv" else self.place(name), path)
        kinds = (f"work/{self.scale}/grades/", f"work/{self.scale}/benchmarks/", self.train)
        for name in filter(lambda name: name.startswith(kinds), self.archive.manifest.files):
            self.lay(name, self.place(name), work / name.removeprefix("work/"))
        words = ("--scale", self.scale, "--claims", str(settings.project_root() / "config" / "claims.yaml"))
        places = ("--results", str(results), "--output", str(self.fresh("claims.csv")))
        self.attempt("claims.csv", lambda: run_verb(self.folder, work, "check_claims", *words, *places))

    def lay(self, name: str, source: Path, target: Path) -> None:
        """Copy a file for the claims; an empty one stands for a file of the run that the archive leaves out."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_file():
            shutil.copyfile(source, target)
        elif name in self.archive.manifest.files:
            target.touch()
