"""The guarded pool inside a Ray actor, as OpenRLHF calls the reward: the same verdicts, in order, hostile text too."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deepscaler.reward.pool import GradingPool
from deepscaler.training.launch import ray_access

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def actor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (ray_access.LOOPBACK | ray_access.token_variables()).items():
            patch.setenv(name, value)
        ray_access.require_token()
        yield from grader_of(str(tmp_path_factory.mktemp("ray")))


def grader_of(folder: str) -> Iterator[Any]:
    import ray
    from ray._private.authentication.authentication_utils import is_token_auth_enabled

    assert is_token_auth_enabled(), "Ray was imported before its token was set"
    ray.init(num_cpus=1, include_dashboard=False, _temp_dir=folder, log_to_driver=False)

    @ray.remote
    class Grader:
        def __init__(self) -> None:
            self.pool = GradingPool(workers=1, seconds=1.0)

        def grade(self, pairs: list[tuple[str, str, str]]) -> list[tuple[bool, str]]:
            return [(verdict.correct, verdict.reason) for verdict in self.pool.grade_pairs(pairs)]

        def close(self) -> None:
            self.pool.close()

    grader = Grader.remote()
    yield lambda pairs: ray.get(grader.grade.remote(pairs), timeout=400)
    ray.get(grader.close.remote(), timeout=60)
    ray.shutdown()


def test_verdicts_come_in_order(actor: Any) -> None:
    pairs = [("1/2", r"\frac{1}{2}", "paper"), ("(1,2)", "(2,1)", "strict"), ("x+1", "1+x", "strict")] * 10
    assert [correct for correct, _ in actor(pairs)] == [True, False, True] * 10


@pytest.mark.parametrize("mode", ["paper", "strict"])
def test_hostile_text_is_graded_and_the_actor_lives(actor: Any, shared: Path, mode: str) -> None:
    with gzip.open(shared / "grading" / "hostile_public.jsonl.gz", "rt", encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    pairs = [(case["gold"], case["pred"], mode) for case in cases]
    with GradingPool(workers=1, seconds=1.0) as pool:
        here = [(verdict.correct, verdict.reason) for verdict in pool.grade_pairs(pairs)]
    assert actor(pairs) == here
    assert actor([("7", "7", mode)])[0][0]
