"""One cluster for all tests of this folder, and copies of the checkout."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from checkout import Checkout
from cluster import Cluster, Shape, Unavailable
from pair_run import TARGETS, Accountant, add_scale

ROOT = Path(__file__).resolve().parents[2]
NOT_COPIED = (
    ".git",
    ".venv*",
    ".snakemake",
    ".*_cache",
    ".hypothesis",
    "work",
    "results",
    "logs",
    "out",
    "__pycache__",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slurm)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    try:
        with Cluster(Shape(), shared=(tmp_path_factory.getbasetemp(), ROOT)) as running:
            yield running
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def copy_checkout(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Callable[[], Checkout]:
    def make() -> Checkout:
        folder = tmp_path_factory.mktemp("checkout")
        shutil.copytree(ROOT, folder, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED), dirs_exist_ok=True)
        (folder / "results").mkdir()
        return Checkout(folder, cluster)

    return make


@pytest.fixture(scope="module")
def checkout(copy_checkout: Callable[[], Checkout]) -> Checkout:
    return copy_checkout()


@pytest.fixture(scope="session")
def pair(copy_checkout: Callable[[], Checkout]) -> Checkout:
    checkout = copy_checkout()
    add_scale(checkout)
    return checkout


@pytest.fixture(scope="session")
def whole_run(pair: Checkout, cluster: Cluster) -> Accountant:
    """The whole small DAG through SLURM, undisturbed. Two jobs at once, as two cores do the work of all nodes."""
    with Accountant(cluster) as accountant, pair.start(*TARGETS, "--jobs", "2", seconds=3000) as running:
        assert running.wait(3000) == 0, running.text()
    return accountant
