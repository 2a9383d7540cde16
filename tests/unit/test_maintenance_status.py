"""What the documents say was run is what is kept; the miniature's world is told from its own generators."""

from pathlib import Path

import pytest
from deepscaler import settings
from deepscaler.maintenance.miniature_blocks import problems, traces
from deepscaler.maintenance.status_blocks import known_runs, status
from deepscaler.miniature.problems import BENCHMARK_MIXES, BENCHMARK_SEED, draw_benchmark
from deepscaler.reporting import kept_run
from deepscaler.reporting.check import byte_equality
from deepscaler.reporting.claims.results import Results
from synthetic_run import keep


def row(block: str, first: str) -> str:
    (line,) = [line for line in block.splitlines() if line.startswith(f"| {first}")]
    return line


def test_what_is_not_kept_was_never_run(run: Path) -> None:
    assert all("**never**" in row(status(), f"`{scale}`") for scale in settings.scale_names())


def test_a_kept_run_has_its_date_machine_and_commit(run: Path) -> None:
    kept = keep(run)
    made = kept_run.read(kept)
    assert made is not None
    line = row(status(), "`mini`")
    assert made.date in line
    assert made.machine in line
    assert "bf16 instructions" in made.machine
    assert made.cores >= 1
    assert "**never**" in row(status(), "`paper`")
    assert not any(
        kept_run.NAME in text for text in byte_equality(Results("mini", run / "results/mini"), Results("mini", kept))
    ), "no result of a run"


def test_known_runs_end_with_their_range() -> None:
    block = known_runs()
    numbers = [float(line.split("|")[5]) for line in block.splitlines()[2:-1] if line.split("|")[5].strip() != "–"]
    assert f"**{min(numbers):.1f}–{max(numbers):.1f}**" in row(block, "**range**")


def test_the_miniatures_sets_have_names_of_their_own() -> None:
    entries = settings.benchmarks()
    papers = {entry.title for entry in entries.values() if entry.kind != "synthetic"}
    for name in BENCHMARK_MIXES:
        assert not any(title in entries[name].title for title in papers), name


@pytest.mark.parametrize("name", list(BENCHMARK_MIXES))
def test_examples_are_the_generators(name: str) -> None:
    first = draw_benchmark(name, 1, BENCHMARK_SEED)[0]
    assert f"| `{first.text}` | `{first.answer}` |" in problems()
    assert draw_benchmark(name, 40, BENCHMARK_SEED)[0] == first, "the set's own first problem"


def test_a_trace_is_shown_of_each_behaviour() -> None:
    text = traces()
    assert text.count("<think>") == text.count("\\boxed{") == 3
    assert "this one right" in text
    assert "this one wrong" in text
