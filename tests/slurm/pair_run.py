"""The smallest whole run, at the size of pair/: its checkout, what SLURM says of its jobs, and how far it has come."""

import shutil
import threading
from pathlib import Path

import yaml
from checkout import Checkout
from cluster import Cluster

SCALE = "pair"
RESULTS = ["table.csv", "tokens.csv", "training.csv", "curation.csv", "compute.csv", "settings.yaml"]
TARGETS = [f"results/{SCALE}/{name}" for name in RESULTS]
HERE = Path(__file__).parent
HARDLY = 2
"""Steps and traces of the base's distillation: it need not know anything."""


def add_scale(checkout: Checkout) -> None:
    """The scale `pair`, its recipe and its base: mini's, hardly trained."""
    config = checkout.folder / "config"
    shutil.copy(HERE / "pair/scale.yaml", config / f"scales/{SCALE}.yaml")
    shutil.copy(HERE / "pair/recipe.yaml", config / f"recipes/{SCALE}.yaml")
    models = config / "models.yaml"
    text = models.read_text(encoding="utf-8")
    base = yaml.safe_load(text)["mini-base"]
    sizes = {key: HARDLY for key in base["distillation"] if key.endswith(("_steps", "_traces"))}
    entry = {"pair-base": base | {"title": "pair base", "distillation": base["distillation"] | sizes}}
    models.write_text(text + yaml.safe_dump(entry), encoding="utf-8")


class Accountant:
    """Notes what SLURM says of every job while it still remembers it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.jobs, self.ended = cluster, dict[str, dict[str, str]](), threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self) -> None:
        while not self.ended.wait(2):
            self.note()

    def note(self) -> None:
        try:
            for job in self.cluster.jobs():
                self.jobs[job["JobId"]] = {**self.jobs.get(job["JobId"], {}), **job}
        except RuntimeError:
            pass  # the controller is away

    def of(self, word: str) -> list[dict[str, str]]:
        """Jobs with this word in their comment (the rule and its wildcards), oldest first."""
        found = [job for job in self.jobs.values() if word in job.get("Comment", "")]
        return sorted(found, key=lambda job: int(job["JobId"]))

    def __enter__(self) -> "Accountant":
        self.note()
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join(60)
        self.note()


def work(checkout: Checkout) -> Path:
    return checkout.folder / "work" / SCALE


def run_folder(checkout: Checkout, segment: str) -> Path | None:
    return next(iter((work(checkout) / "runs").glob(f"{segment}-*")), None)


def saved(checkout: Checkout, segment: str, step: int) -> bool:
    """Whether a segment has saved the whole state of a step."""
    folder = run_folder(checkout, segment)
    return bool(folder and (folder / f"openrlhf/_actor/global_step{step}/complete.json").exists())


def node_logs(checkout: Checkout, segment: str, attempt: int) -> dict[str, str]:
    """Node → its log in an attempt at a segment."""
    folder = run_folder(checkout, segment)
    paths = (folder / f"logs/attempt-{attempt}").glob("node-*.log") if folder else []
    return {path.stem.removeprefix("node-"): path.read_text(errors="replace") for path in paths}


def log_of(checkout: Checkout, segment: str) -> str:
    return (checkout.folder / f"logs/{SCALE}/train_segment/{segment}.log").read_text(errors="replace")
