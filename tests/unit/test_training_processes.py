"""What holds a launch together: patches on import, the overlay's conditions, the reaper, nodes of an allocation."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from deepscaler.errors import UserError
from deepscaler.training.launch import driver, ray_access, ray_node, ray_on_slurm, reaper
from deepscaler.training.launch.launch import base_environment, describe_exit
from deepscaler.training.launch.spec import Launch, RayCluster
from deepscaler.training.openrlhf import cpu
from deepscaler.training.openrlhf.bounds import Bounds
from deepscaler.training.openrlhf.when_imported import when_imported


def python(code: str, **environment: str) -> str:
    own = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, text=True, check=True).stdout


def test_a_module_is_patched_when_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "patched_later.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    when_imported("patched_later", lambda module: setattr(module, "value", module.value + 1))
    when_imported("patched_later", lambda module: setattr(module, "value", module.value * 10))
    import patched_later

    assert patched_later.value == 20
    when_imported("patched_later", lambda module: setattr(module, "value", 0))
    assert patched_later.value == 0


@pytest.mark.timeout(300)
def test_the_overlay_stands_before_openrlhf_and_hands_the_rest_to_it() -> None:
    code = "import openrlhf, openrlhf.utils.config as c; print(openrlhf.__file__, c.__file__)"
    ours, theirs = python(code, PYTHONPATH=str(cpu.PATH)).split()
    assert ours == str(cpu.PATH / "openrlhf" / "__init__.py")
    assert "site-packages" in theirs


@pytest.mark.timeout(300)
def test_the_overlay_does_nothing_on_a_cuda_build() -> None:
    code = (
        "import torch; torch.version.cuda = '12.8'; before = torch.cuda.current_device\n"
        "import openrlhf, sys\n"
        "print(torch.cuda.current_device is before, 'flash_attn' in sys.modules)"
    )
    assert python(code, PYTHONPATH=str(cpu.PATH)).split() == ["True", "False"]


def test_the_overlay_refuses_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cpu.MADE_FOR, "openrlhf", "0.0.1")
    with pytest.raises(RuntimeError, match=r"made for openrlhf 0\.0\.1 and refuses"):
        cpu.check_versions()


def test_bounds_travel_in_the_environment() -> None:
    bounds = Bounds("8k", "8k-2", 80, 160, 0, 2080, False, "/runs/metrics.jsonl", None)
    assert Bounds.from_environment(bounds.to_environment()) == bounds
    assert Bounds.from_environment({}) is None


def test_the_reaper_stops_what_a_killed_launch_left(tmp_path: Path) -> None:
    """A grandchild in a session of its own that ignores SIGTERM is found by its environment."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    child = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    launch = (
        "import subprocess, sys, os, time\nfrom deepscaler.training.launch import reaper\nfrom pathlib import Path\n"
        f"r = reaper.start('token-7', Path({str(folder)!r}))\n"
        f"c = subprocess.Popen([sys.executable, '-c', {child!r}], env=dict(os.environ, {reaper.VARIABLE}='token-7'),"
        " start_new_session=True, stdout=subprocess.PIPE)\n"
        "c.stdout.readline(); print(c.pid, flush=True); time.sleep(60)"
    )
    launcher = subprocess.Popen([sys.executable, "-c", launch], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    number = int(launcher.stdout.readline())
    assert reaper.carriers("token-7") == [number]
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    deadline = time.monotonic() + 30
    while (reaper.carriers("token-7") or folder.exists()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not folder.exists()
    assert reaper.carriers("token-7") == []


def test_what_has_nothing_left_to_do_is_not_asked_to_end(tmp_path: Path) -> None:
    """After a launch that went well: who is asked takes its time."""
    asked = tmp_path / "asked"
    child = (
        f"import signal, time, pathlib\nsignal.signal(signal.SIGTERM, lambda *_: pathlib.Path({str(asked)!r}).touch())"
        "\nprint('up', flush=True)\ntime.sleep(60)"
    )
    own = {**os.environ, reaper.VARIABLE: "token-8"}
    with subprocess.Popen([sys.executable, "-c", child], env=own, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert reaper.stop_all("token-8", grace=0) == 1
        assert process.wait() == -signal.SIGKILL
    assert not asked.exists()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reaper, "TEMPORARY", tmp_path)
    return tmp_path


def test_a_launch_leaves_no_folder(temporary: Path) -> None:
    with reaper.reaped("token-8") as folder:
        (folder / "socket").touch()
        assert folder.parent == temporary
    assert list(temporary.iterdir()) == []


def test_what_was_killed_with_its_reaper_is_swept_by_the_next_launch(temporary: Path) -> None:
    """As a scheduler kills: everything of a job at once. A folder that a launch or its reaper holds stays."""
    code = (
        "import os, signal, sys; from deepscaler.training.launch import reaper; from pathlib import Path\n"
        f"reaper.TEMPORARY = Path({str(temporary)!r})\n"
        "start = reaper.start\n"
        "reaper.start = lambda *given: globals().setdefault('process', start(*given))\n"
        "with reaper.reaped('token-9') as folder:\n"
        "    print(process.pid, folder, flush=True); sys.stdin.read()"
    )
    job = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    number, folder = job.stdout.readline().split()
    os.utime(Path(folder) / reaper.LOCK, (0, 0))
    reaper.sweep()
    assert Path(folder).exists()  # held
    for pid in (int(number), job.pid):
        os.kill(pid, signal.SIGKILL)
    job.wait()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{number}").exists() and not reaper.is_zombie(int(number)) and time.monotonic() < deadline:
        time.sleep(0.05)
    with reaper.reaped("token-10") as own:
        assert list(temporary.iterdir()) == [own]


def test_a_folder_that_is_just_being_made_is_not_swept(temporary: Path) -> None:
    (temporary / "dsr-new").mkdir()
    (temporary / "dsr-new" / reaper.LOCK).touch()
    reaper.sweep()
    assert (temporary / "dsr-new").exists()


@pytest.mark.parametrize(
    ("code", "words"), [(1, "ended with exit code 1"), (-9, "was killed by SIGKILL (out of memory?)"), (-11, "SIGSEGV")]
)
def test_an_exit_code_is_described_in_words(code: int, words: str) -> None:
    assert words in describe_exit(code)


def test_a_late_ray_is_started_again_and_after_another_error_it_is_not() -> None:
    tries: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        assert all(process.pid not in driver.children() for process in tries)
        tries.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        if len(tries) < 3:
            raise Exception(f"The current node {driver.LATE}. This could happen because …")

    driver.start_with_retries(start)
    assert len(tries) == 3
    assert tries[2].poll() is None
    tries[2].kill()
    tries[2].wait()
    with pytest.raises(ValueError, match="no such"):
        driver.start_with_retries(lambda: int("no such"))
    calls: list[int] = []

    def always_late() -> None:
        calls.append(1)
        raise Exception(driver.LATE)  # Ray's own is no better

    with pytest.raises(Exception, match=driver.LATE):
        driver.start_with_retries(always_late)
    assert len(calls) == driver.TRIES


def test_outside_of_slurm_there_is_one_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert len(ray_on_slurm.allocated_nodes()) == 1


def test_this_node_is_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "node2")
    assert ray_on_slurm.this_node_first(["node1", "node2.cluster", "node3"])[0] == "node2.cluster"


def test_too_few_nodes_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from contextlib import ExitStack

    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    launch = Launch([], {}, "gpu", 4, 8, 64, tmp_path)
    with ExitStack() as stack, pytest.raises(UserError, match="wants 4 nodes, the allocation has 1"):
        ray_on_slurm.start(launch, {}, tmp_path, stack)


def test_the_driver_gets_its_cluster_by_the_environment(tmp_path: Path) -> None:
    launch = Launch([], {}, "cpu", 1, 1, 2, tmp_path)
    for cluster in (RayCluster.local(launch, tmp_path), RayCluster.to_join("10.0.0.1", 6379, 4, tmp_path)):
        assert RayCluster.from_environment(cluster.to_environment()) == cluster
    assert cluster.address == "10.0.0.1:6379"


@pytest.mark.parametrize(("cpus", "gpus", "slots"), [(2, 1, 16), (2, 8, 32), (64, 8, 64)])
def test_rays_cpus_are_slots_enough_for_every_actor(cpus: int, gpus: int, slots: int, tmp_path: Path) -> None:
    """The same number where the driver starts Ray itself and on a node under srun."""
    assert RayCluster.local(Launch([], {}, "gpu", 1, gpus, cpus, tmp_path), tmp_path).cpus == slots
    assert f"--num-cpus={slots}" in ray_node.command("head", "127.0.0.1", "6379", gpus, cpus, "gpu", tmp_path)


def environment_of(tmp_path: Path, nodes: int, **own: str) -> dict[str, str]:
    return base_environment(Launch([], own, "cpu", nodes, 1, 2, tmp_path), "token-11", tmp_path)


@pytest.mark.parametrize("nodes", [1, 2])
def test_every_launch_has_a_token_of_its_own_for_ray(tmp_path: Path, nodes: int) -> None:
    first, second = (environment_of(tmp_path, nodes) for _ in range(2))
    assert first["RAY_AUTH_MODE"] == second["RAY_AUTH_MODE"] == "token"
    assert len(bytes.fromhex(first["RAY_AUTH_TOKEN"])) == len(bytes.fromhex(second["RAY_AUTH_TOKEN"])) == 32
    assert first["RAY_AUTH_TOKEN"] != second["RAY_AUTH_TOKEN"]


@pytest.mark.parametrize("given", ["the user's shell", "the launch"])
def test_nothing_given_weakens_rays_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    weaker = {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "known", "RAY_AUTH_TOKEN_PATH": "/known/token"}
    elsewhere = dict.fromkeys(ray_access.DROPPED, "elsewhere")
    if given == "the launch":
        found = environment_of(tmp_path, 2, **weaker, **elsewhere, RAY_mine="kept")
    else:
        for key, value in {**weaker, **elsewhere, "RAY_mine": "kept"}.items():
            monkeypatch.setenv(key, value)
        found = environment_of(tmp_path, 2)
    assert found["RAY_mine"] == "kept"
    assert sorted(key for key in found if key.startswith("RAY_AUTH_")) == ["RAY_AUTH_MODE", "RAY_AUTH_TOKEN"]
    assert found["RAY_AUTH_MODE"] == "token"
    assert "known" not in found["RAY_AUTH_TOKEN"]
    assert not ray_access.DROPPED & found.keys()


def test_one_node_keeps_to_loopback_and_several_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ray_access.LOOPBACK:  # sampling sets them, for its own process
        monkeypatch.delenv(name, raising=False)
    assert ray_access.LOOPBACK.items() <= environment_of(tmp_path, 1, VLLM_HOST_IP="192.0.2.1").items()
    assert not ray_access.LOOPBACK.items() & environment_of(tmp_path, 2).items()


UNSAFE = [
    {"RAY_AUTH_MODE": "token"},
    {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "short"},
    {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "0" * 64},
    {"RAY_AUTH_TOKEN": "0" * 64},
    {},
]


@pytest.mark.parametrize("given", UNSAFE)
def test_the_driver_starts_no_ray_without_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(driver, "start_with_retries", lambda start: pytest.fail("Ray was started"))
    cluster = RayCluster.local(Launch([], {}, "cpu", 1, 1, 2, tmp_path), tmp_path)
    with pytest.raises(RuntimeError, match="Ray is not started without authentication") as caught:
        driver.start_ray(cluster)
    assert "\n" not in str(caught.value)


def test_another_ray_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ray_access.token_variables().items():
        monkeypatch.setenv(name, value)
    ray_access.require_token()
    monkeypatch.setattr(ray_access, "MADE_FOR", "2.0.0")
    with pytest.raises(RuntimeError, match=r"was made for ray 2\.0\.0, not"):
        ray_access.require_token()
