"""The training set's card, in the Hugging Face hub's format: front matter that `datasets` reads, then prose."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from deepscaler import croissant, records, settings
from deepscaler.files import write_text
from deepscaler.settings.curation import SelectGradable

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
PUBLISHED_SIZE = 40_315
"""Rows of agentica-org/DeepScaleR-Preview-Dataset."""

FIELDS = {
    "id": "source and digest of the problem's text",
    "source": "where it comes from; see below",
    "problem": "the problem, without answer choices",
    "solution": "the official solution, where the source has one",
    "answer": "the answer, as it is graded",
    "answer_raw": "the answer, as the source has it",
    "answer_origin": "`given` by the source, `boxed` in the solution, a `choice`'s value, or read by an `llm`",
    "metadata": "the source's other columns, as JSON",
}
RESPONSIBLE = {
    "dataCollectionType": "Secondary Data Analysis",
    "dataPreprocessingProtocol": "Answers are found; duplicates, what the benchmarks hold and what the grader does not "
    "accept as an answer to itself are removed. removed.parquet has every row that left, and why.",
    "dataUseCases": "Reinforcement learning with verifiable rewards.",
    "dataLimitations": "In English; mathematics with one closed answer, proofs left out; decontaminated against the "
    "benchmarks of this workflow alone.",
    "personalSensitiveInformation": "None known; names in problems are invented.",
}
"""Fields of Croissant's vocabulary for responsible AI."""


def write_card(path: Path, scale: str, train: Path, selection: SelectGradable) -> None:
    """Write README.md beside train.parquet, so that `datasets.load_dataset` on the folder gives the training set."""
    table = pq.read_table(train)
    rows = table.to_pylist()
    front = {
        "pretty_name": f"DeepScaleR training problems ({scale})",
        "license": "other",
        "task_categories": ["text-generation"],
        "language": ["en"],
        "tags": ["math", "reinforcement-learning"],
        "size_categories": [next((name for limit, name in SIZES if len(rows) < limit), "n>1M")],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "train.parquet"}]}],
        "dataset_info": {
            "features": [{"name": name, "dtype": "string"} for name in records.PROBLEM.names],
            "splits": [{"name": "train", "num_bytes": table.nbytes, "num_examples": len(rows)}],
            "download_size": train.stat().st_size,
            "dataset_size": table.nbytes,
        },
    }
    text = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    write_text(path, f"---\n{text}---\n\n{body(scale, rows, selection)}")


def write_croissant(path: Path, scale: str, train: Path) -> None:
    """Describe train.parquet for those who read Croissant."""
    names = sorted(set(pq.read_table(train, columns=["source"])["source"].to_pylist()))
    used = [settings.sources()[name] for name in names]
    withheld = [entry.title for entry in used if entry.redistribution != "yes"]
    responsible = {
        "dataCollection": "By pinned revision: " + "; ".join(entry.title for entry in used),
        "dataReleaseMaintenancePlan": "The workflow makes it again, to the same digest.",
        **RESPONSIBLE,
    }
    if withheld:
        responsible["dataReleaseMaintenancePlan"] += f" It is not clear whether {', '.join(withheld)} may be passed on."
    what = croissant.Described(
        name=f"deepscaler-training-problems-{scale}",
        description=f"Problems with answers that a rule can grade: the training set of scale {scale}.",
        licence="; ".join(sorted({entry.licence for entry in used})),
        citation="; ".join(sorted({entry.citation for entry in used})),
        columns=FIELDS,
        responsible=responsible,
    )
    croissant.describe(path, train, what)


def body(scale: str, rows: list[dict[str, Any]], selection: SelectGradable) -> str:
    counts = Counter(row["source"] for row in rows)
    origins = Counter(row["answer_origin"] for row in rows)
    synthetic = all(settings.sources()[name].kind == "synthetic" for name in counts)
    what = "synthetic problems, chains of digits (docs/miniature.md)," if synthetic else "competition problems"
    sections = [
        f"# Training problems of DeepScaleR, `{scale}`",
        f"{len(rows):,} {what} with answers that a rule can grade, made by the steps `fetch_source`, "
        "`extract_answers`, `deduplicate`, `decontaminate` and `select_gradable`. What each step removed, and why, is "
        "in `removed.parquet`; the counts are in `curation.csv`.",
        f"Answers: {', '.join(f'{count:,} {origin}' for origin, count in origins.most_common())}. Every one is "
        f"accepted by the grader (`{selection.mode}`) as an answer to itself, and no prompt has more than "
        f"{selection.max_prompt_tokens:,} tokens.",
        "## Columns",
        "\n".join(f"- `{name}`: {meaning}" for name, meaning in FIELDS.items()),
        "## Sources",
        source_table(counts),
        "The problems stay their owners'; the licence of the whole is that of its strictest part.",
    ]
    if not synthetic:
        sections += ["## Beside the published data set", comparison(len(rows))]
    return "\n\n".join(sections) + "\n"


def source_table(counts: Counter[str]) -> str:
    lines = ["| source | problems | from | licence | may be passed on | citation |", "|---|---|---|---|---|---|"]
    for name, count in counts.most_common():
        entry = settings.sources()[name]
        origin = f"{entry.repository}@{(entry.revision or 'unpinned')[:12]}" if entry.repository else "generated"
        lines.append(
            f"| {entry.title} | {count:,} | {origin} | {entry.licence} | {entry.redistribution} | {entry.citation} |"
        )
    return "\n".join(lines)


def comparison(size: int) -> str:
    return (
        f"agentica-org/DeepScaleR-Preview-Dataset has {PUBLISHED_SIZE:,} rows, this one {size:,}. Known of the "
        "published one: six rows have no answer and at least one a wrong one (its discussions #4 and #3); 356 problems "
        "are in both its AIME and its MATH part; six MATH-500 problems stand verbatim in its AIME part; it was never "
        "compared with the benchmarks as a whole, and one prompt has more than 2,048 tokens. The steps above look for "
        "each of these."
    )
