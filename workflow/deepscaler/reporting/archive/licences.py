"""What of a run may be passed on: by the licences in config/, and else by its digest alone."""

from deepscaler import dag, settings
from deepscaler.settings.models import Distilled, Published

OWN = "made by this workflow; MIT, as the repository"
LARGE = 64 << 20
"""Bytes of a file of weights from which on it is left out unless it is asked for."""
PICTURE = "made of the results that are here, by the depth `train`"
STEP = "a step of curation, made again by the depth `train`"
TEXTS = "holds problems that may not be passed on: "


def why_left_out(scale: str, name: str, size: int, *, weights: bool) -> str | None:
    """The reason why an archive has only the digest of a file of a run; None where the file itself belongs into it."""
    top, _, rest = name.partition("/")
    if top != "work":
        return results_left_out(scale, name)
    kind, _, file = rest.partition("/")[2].partition("/")
    if kind in ("models", "checkpoints"):
        return weights_left_out(scale, kind, file, size, weights=weights)
    if kind == "benchmarks":
        return texts_left_out(withheld_benchmarks([file.removesuffix(".parquet")]))
    if kind in ("prompts", "data"):
        needed = kind == "prompts" or file == "train/train.parquet"
        return texts_left_out(withheld_sources(scale)) if needed else STEP
    return None


def results_left_out(scale: str, name: str) -> str | None:
    if name == "contamination.csv":
        table = settings.load_scale(scale).evaluation.suites["table"]
        return texts_left_out([*withheld_sources(scale), *withheld_benchmarks(table)])
    shown = name.endswith((".csv", ".png")) or name.startswith("scores/") or name in ("table.md", "settings.yaml")
    return None if shown else PICTURE


def texts_left_out(withheld: list[str]) -> str | None:
    return TEXTS + ", ".join(withheld) if withheld else None


def weights_left_out(scale: str, kind: str, file: str, size: int, *, weights: bool) -> str | None:
    if file.endswith(("/model.json", "/checkpoint.json", "/metrics.jsonl")):
        return None  # this workflow's own records
    name = file.partition("/")[0] if kind == "models" else settings.load_scale(scale).base or ""
    entry = settings.systems().get(name)
    if isinstance(entry, Published) and kind == "models":
        return f"published: {entry.repository}, revision {entry.revision or 'not pinned'}; deepscaler fetch_model"
    if isinstance(entry, Published) and entry.redistribution != "yes":
        return f"made of the weights of {name}, whose licence does not say that these may be passed on"
    if size >= LARGE and not weights:
        return "large; deepscaler archive --weights puts it in"
    return None


def withheld_benchmarks(names: list[str]) -> list[str]:
    known = settings.benchmarks()
    return [n for n in names if n not in known or (known[n].kind != "synthetic" and known[n].redistribution != "yes")]


def withheld_sources(scale: str) -> list[str]:
    curation = settings.load_scale(scale).curation
    return [name for name in (curation.sources if curation else []) if settings.sources()[name].redistribution != "yes"]


def notes(scale: str) -> dict[str, str]:
    """A line for everything that a run used, and for what it made."""
    found = {"results, samples, grades": OWN}
    entries = [(name, settings.systems()[name]) for name in dag.model_names(scale)]
    found |= {f"weights of {name}": OWN for name, entry in entries if isinstance(entry, Distilled)}
    found |= {f"weights of {name}": note(entry) for name, entry in entries if isinstance(entry, Published)}
    curation = settings.load_scale(scale).curation
    for name in curation.sources if curation else []:
        found[f"problems of {name}"] = note(settings.sources()[name])
    for name in sorted({name for suite in settings.load_scale(scale).evaluation.suites.values() for name in suite}):
        entry = settings.benchmarks()[name]
        found[f"problems of {name}"] = OWN if entry.kind == "synthetic" else note(entry)
    return found


def note(entry: object) -> str:
    """Licence, what it says of passing on, and whom to cite, as far as config/ says it."""
    licence = getattr(entry, "licence", None) or "licence not stated in config/"
    redistribution = getattr(entry, "redistribution", None) or "unclear"
    repository, citation = getattr(entry, "repository", None), getattr(entry, "citation", None)
    return "; ".join(filter(None, [licence, f"redistribution: {redistribution}", repository, citation]))
