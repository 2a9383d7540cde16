"""What an archive holds, made again from what lies deeper in it, in a folder of its own and by the rules' own verbs."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deepscaler import dag, settings
from deepscaler.errors import DeepscalerError, JobError, UserError
from deepscaler.evaluation.fetch_benchmark import fetch_benchmark
from deepscaler.evaluation.grade_samples import grade_samples
from deepscaler.evaluation.score import score
from deepscaler.evaluation.tabulate import tabulate
from deepscaler.files import digest_of
from deepscaler.hub import first_line
from deepscaler.job_log import last_useful_line
from deepscaler.models.try_tokenizer import tried_template
from deepscaler.reporting.archive.opening import Archive
from deepscaler.reporting.archive.soundness import SETTINGS, prompts_name
from deepscaler.reporting.claims.claim_values import declared_results
from deepscaler.reporting.claims.results import Results
from deepscaler.reporting.provenance.resolve_settings import resolve_settings
from deepscaler.reporting.provenance.verification.files import manifest_name
from deepscaler.reporting.provenance.verification.samples import Sampled
from deepscaler.settings.models import Published
from deepscaler.training.collect_metrics import collect_metrics
from deepscaler.training.schedule_prompts import schedule_prompts

CHECKOUT = ("Snakefile", "config", "envs", "profiles", "workflow", "pyproject.toml", "CITATION.cff")
"""What the workflow needs of a checkout."""
PROFILE = "profiles/laptop"


class Again:
    """The files of an archive made anew below `folder`, by the names that they have in it.

    Nothing is read from or written to the work root and the results of this checkout, but weights that the archive
    leaves out and that are the ones which it names.
    """

    def __init__(self, archive: Archive, folder: Path, threads: int) -> None:
        self.archive, self.folder, self.threads = archive, folder, threads
        self.scale = archive.scale
        self.failed: list[str] = []

    def fresh(self, name: str) -> Path:
        return self.folder / name

    def place(self, name: str) -> Path:
        """The file made anew, or else the archive's."""
        return self.fresh(name) if self.fresh(name).is_file() else self.archive.path(name)

    def attempt(self, name: str, make: Callable[[], object]) -> None:
        """Make a file; what was handed over may make that impossible, which is a difference, too."""
        self.fresh(name).parent.mkdir(parents=True, exist_ok=True)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                make()
        except DeepscalerError as error:
            self.failed.append(f"{name}: could not be made again: {error}")
        except Exception as error:  # a whole table, or valid JSON, of others may hold anything
            self.failed.append(f"{name}: could not be made again: {type(error).__name__}: {first_line(error)}")

    def problems(self) -> None:
        """Benchmarks that are drawn here, or that the archive may not pass on; the order of the prompts."""
        for name in sorted(
            {n for suite in self.suites() for n in settings.load_scale(self.scale).evaluation.suites[suite]}
        ):
            file = f"work/{self.scale}/benchmarks/{name}.parquet"
            if settings.benchmarks()[name].kind == "synthetic" or not self.archive.holds(file):
                self.attempt(file, lambda n=name, f=file: fetch_benchmark(benchmark=n, output=self.fresh(f)))  # type: ignore[misc]
        train = f"work/{self.scale}/data/train/train.parquet"
        for segment in dag.segments(self.scale) if self.archive.holds(train) else []:
            self.attempt(
                name := prompts_name(self.scale, segment.id),
                lambda s=segment.id, n=name: schedule_prompts(  # type: ignore[misc]
                    scale_name=self.scale, segment_id=s, problems=self.archive.path(train), output=self.fresh(n)
                ),
            )

    def suites(self) -> set[str]:
        return {suite for _, suite in dag.scored(self.scale)}

    def grades(self) -> None:
        """Grades and scores of all samples, those that were drawn again in the first place."""
        for system, suite in dag.scored(self.scale):
            sampled = Sampled(self.scale, system, suite)
            grades, scores = sampled.grades, f"scores/{system}-{suite}.json"
            self.attempt(
                grades,
                lambda g=grades, s=sampled: grade_samples(  # type: ignore[misc]
                    scale=self.scale,
                    system=s.system,
                    samples=[self.place(name) for name in s.shards],
                    benchmarks=[self.place(name) for name in s.benchmarks],
                    output=self.fresh(g),
                    threads=self.threads,
                ),
            )
            self.attempt(
                scores,
                lambda g=grades, s=sampled, o=scores: score(  # type: ignore[misc]
                    scale=self.scale, system=s.system, suite=s.suite, grades=self.fresh(g), output=self.fresh(o)
                ),
            )

    def tables(self) -> None:
        systems = dag.evaluated(self.scale)
        self.attempt(
            "table.csv",
            lambda: tabulate(
                scale=self.scale,
                scores=[self.fresh(f"scores/{system}-table.json") for system in systems],
                grades=[self.fresh(Sampled(self.scale, system, "table").grades) for system in systems],
                table=self.fresh("table.csv"),
                markdown=self.fresh("table.md"),
                tokens=self.fresh("tokens.csv"),
                agreement=self.fresh("agreement.csv"),
                comparisons=self.fresh("comparisons.csv"),
            ),
        )

    def training(self) -> None:
        """The table of training steps, from the checkpoints' metrics."""
        names = [f"work/{self.scale}/checkpoints/{s.id}/metrics.jsonl" for s in dag.segments(self.scale)]
        if names:
            self.attempt(
                "training.csv",
                lambda: collect_metrics(
                    scale_name=self.scale,
                    metrics=[self.archive.path(name) for name in names],
                    output=self.fresh("training.csv"),
                ),
            )

    def claims(self) -> None:
        """The claims, from what was made again; what only the whole workflow makes is the archive's.

        By a process of its own, since claims about problems and grades look into the work root. Where the training
        problems are not passed on, those about them could not be decided, and none are compared.
        """
        train = f"work/{self.scale}/data/train/train.parquet"
        if dag.segments(self.scale) and not self.archive.holds(train):
            return
        resolve_settings(scale=self.scale, output=self.fresh(SETTINGS))
        folder = self.folder / "claims"
        results, kinds = folder / "results", (f"work/{self.scale}/grades/", f"work/{self.scale}/benchmarks/", train)
        names = [path.relative_to(results).as_posix() for path in declared_results(Results(self.scale, results))]
        for name in (*names, *(name for name in self.archive.manifest.files if name.startswith(kinds))):
            target = folder / name if name.startswith("work/") else results / name
            target.parent.mkdir(parents=True, exist_ok=True)
            # times stand in the archive's table of steps alone
            source = self.archive.path(name) if name == "training.csv" else self.place(name)
            if source.is_file():
                shutil.copyfile(source, target)
            elif name in self.archive.manifest.files:
                target.touch()  # left out, and was there
        words = ("--scale", self.scale, "--claims", str(settings.project_root() / "config" / "claims.yaml"))
        output = ("--results", str(results), "--output", str(self.fresh("claims.csv")))
        self.attempt("claims.csv", lambda: self.verb("check_claims", *words, *output, work=folder / "work"))

    def samples(self, systems: list[str]) -> Iterator[str]:
        """Draw the samples of systems anew, each shard in a process of its own; a line for each that is done."""
        at_once = max(1, self.threads) if settings.load_scale(self.scale).device == "cpu" else 1
        jobs = [
            (sampled, number, name)
            for system, suite in dag.scored(self.scale)
            if system in systems
            for sampled in [Sampled(self.scale, system, suite)]
            for number, name in enumerate(sampled.shards, start=1)
        ]
        models = {sampled.system: self.model(sampled.system) for sampled, _, _ in jobs}
        with ThreadPoolExecutor(at_once) as pool:
            yield from pool.map(lambda job: self.sample(models[job[0].system], *job), jobs)

    def sample(self, model: Path, sampled: Sampled, number: int, name: str) -> str:
        self.fresh(name).parent.mkdir(parents=True, exist_ok=True)
        benchmarks = [str(self.place(benchmark)) for benchmark in sampled.benchmarks]
        self.verb(
            "sample",
            *("--scale", self.scale, "--system", sampled.system, "--model", str(model), "--benchmarks", *benchmarks),
            *("--shard", str(number), "--shards", str(len(sampled.shards)), "--output", str(self.fresh(name))),
        )
        return name

    def model(self, system: str) -> Path:
        """The manifest beside a system's weights: of the archive, or the same ones of this computer or the hub."""
        name = manifest_name(self.scale, system)
        folder = name.rsplit("/", 1)[0] + "/"
        files = [file for file in self.archive.manifest.files if file.startswith(folder)]
        if all(self.archive.holds(file) for file in files):
            for file in files:  # a folder may hold more than is named
                target = self.folder / "weights" / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.archive.path(file), target)
            tried_template(target.parent, dag.prompting_entry(self.scale, system).prompting)
            return target.with_name(name.rsplit("/", 1)[1])
        here = settings.project_root() / settings.site().work / name.partition("/")[2]
        if here.is_file() and here.read_bytes() == self.archive.path(name).read_bytes():
            return here
        if isinstance(settings.systems().get(system), Published):
            target = self.folder / "weights" / system / "model.json"
            self.verb("fetch_model", "--scale", self.scale, "--system", system, "--output", str(target))
            return target
        raise UserError(
            f"the weights of {system} are in the archive by their digest alone",
            self.archive.folder,
            f"make or fetch them here ({here}), or name other systems by --system",
        )

    def verb(self, *words: str, work: Path | None = None) -> None:
        """Run a verb in a process of its own, with a new work root: nothing that is kept is given back."""
        command = [sys.executable, "-c", "from deepscaler.cli import main; main()", *words]
        environment = os.environ | {
            "DEEPSCALER_WORK": str(work or self.fresh("work")),
            "DEEPSCALER_ROOT": str(settings.project_root()),
        }
        log = self.folder / "logs" / f"{digest_of(words)[:12]}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("wb") as output:
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False)
        if done.returncode:
            raise JobError(f"{words[0]} failed: {last_useful_line(log)}")


def run_workflow(scale: str, folder: Path) -> tuple[Path, Path]:
    """The whole workflow in a copy of this checkout below `folder`, with nothing made before; its results and work."""
    root = settings.project_root()
    copy = folder / "checkout"
    for name in CHECKOUT:
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.local.yaml"))
        elif (root / name).is_file():
            copy.mkdir(exist_ok=True)
            shutil.copyfile(root / name, copy / name)
    ours = {key: value for key, value in os.environ.items() if not key.startswith("DEEPSCALER_")}
    environment = ours | {"PYTHONPATH": str(copy / "workflow"), "PYTHONDONTWRITEBYTECODE": ""}
    snakemake = Path(sys.executable).with_name("snakemake")
    command = [str(copy / "workflow" / "alone.sh"), str(snakemake), "--profile", PROFILE, "--nolock", scale]
    if subprocess.run(command, cwd=copy, env=environment, check=False).returncode:
        raise JobError("the workflow did not come to its end", copy, "its lines above name the log")
    return copy / "results" / scale, copy / "work" / scale
