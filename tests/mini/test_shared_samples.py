"""Three scales, one after another: as `headline` is, one that asks more, and one that cuts it otherwise.

No answer of published weights is drawn twice, and each scale comes to its own report.
"""

import re
import subprocess
from pathlib import Path

import pytest
import tiny_hub
import yaml
from deepscaler import records
from mini_checkout import command, copy_checkout, environment

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]

SMALL = {**tiny_hub.SCALE, "evaluation": {**tiny_hub.SCALE["evaluation"], "suites": {"table": ["first"]}}}
LARGER = {
    "large": {"suites": {"table": ["first", "second"]}, "shards": {"table": 2}},
    "otherwise": {"suites": {"table": ["second", "first"]}, "shards": {"table": 3}},
}
KEPT = re.compile(r"(\d+) samples, (\d+) of them kept from before")


@pytest.fixture(scope="module")
def checkout(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which all three have run."""
    folder = tmp_path_factory.mktemp("shared") / "checkout"
    copy_checkout(root, folder)
    tiny_hub.build(folder, SMALL)
    for name, evaluation in LARGER.items():
        text = yaml.safe_dump({"extends": "tiny", "description": name, "evaluation": evaluation})
        (folder / "config/scales" / f"{name}.yaml").write_text(text)
    site = {"DEEPSCALER_HUB": str(folder / "hub")}
    for scale in ("tiny", *LARGER):
        run = subprocess.run(
            [*command(folder)[1:2], "--profile", "profiles/workstation", scale],
            **{"cwd": folder, "env": environment(folder) | site, "capture_output": True, "text": True, "timeout": 2400},
            check=False,
        )
        assert run.returncode == 0, (run.stdout + run.stderr)[-6000:]
    return folder


def sampled(checkout: Path, scale: str) -> tuple[int, int, bool]:
    """Answers that its jobs gave, how many of them were there already, and whether an engine drew any."""
    logs = [path.read_text(errors="replace") for path in (checkout / "logs" / scale / "sample").glob("*.log")]
    counts = [tuple(map(int, pair)) for text in logs for pair in KEPT.findall(text)]
    return sum(all_ for all_, _ in counts), sum(kept for _, kept in counts), any("tokens/s" in text for text in logs)


def test_each_scale_draws_only_what_none_before_it_has_asked(checkout: Path) -> None:
    a_set = len(tiny_hub.SYSTEMS) * 6 * 4
    assert sampled(checkout, "tiny") == (a_set, 0, True)
    assert sampled(checkout, "large") == (2 * a_set, a_set, True)
    assert sampled(checkout, "otherwise") == (2 * a_set, 2 * a_set, False)


def test_their_answers_are_the_same(checkout: Path) -> None:
    def answers(scale: str) -> dict[tuple[str, str, int], str]:
        rows = (
            row
            for path in checkout.glob(f"work/{scale}/samples/*/table-*.parquet")
            for row in records.read(path, records.COMPLETION).to_pylist()
        )
        return {(row["system"], row["problem_id"], row["sample"]): row["response"] for row in rows}

    assert answers("tiny").items() <= answers("large").items()
    assert answers("large") == answers("otherwise")


@pytest.mark.parametrize("scale", ["tiny", *LARGER])
def test_each_has_its_results(checkout: Path, scale: str) -> None:
    results = checkout / "results" / scale
    for name in ("table.csv", "tokens.csv", "claims.csv", "compute.csv", "report.html", "ro-crate-metadata.json"):
        assert (results / name).stat().st_size > 0
    assert (results / "figures" / "figure-5.png").exists()
