"""A node of Ray under srun: tried again while it has not come up, never after; ended by its input, without a trace."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from deepscaler.training.launch import ray_access, ray_node

RUN = (
    "import os, sys; from deepscaler.training.launch import ray_node\n"
    "sys.exit(ray_node.run(sys.argv[1:], dict(os.environ), 'none'))"
)


def start(script: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", RUN, "sh", "-c", script]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True)


def test_a_node_that_did_not_come_up_is_tried_again(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    script = f"echo x >> {tries}; [ $(wc -l < {tries}) = 3 ] || exit 1; echo 'Ray runtime started.'; exit 4"
    process = start(script)
    assert process.wait(60) == 4
    assert tries.read_text() == "x\n" * 3


def test_a_node_that_was_up_is_not(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    process = start(f"echo x >> {tries}; echo 'Ray runtime started.'; exit 1")
    assert process.wait(60) == 1
    assert tries.read_text() == "x\n"


def test_a_node_that_never_comes_up_fails(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    process = start(f"echo x >> {tries}; exit 7")
    assert process.wait(60) == 7
    assert tries.read_text() == "x\n" * 3


def test_the_end_of_its_input_ends_it() -> None:
    process = start("echo 'Ray runtime started.'; exec sleep 60")
    assert process.stdout is not None
    assert process.stdout.readline() == "Ray runtime started.\n"
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(30) != 0
    assert process.stdout.read() == ""


def test_it_ends_in_silence_while_its_input_is_open() -> None:
    process = start("exit 5")
    assert process.wait(60) == 5
    assert process.stdout is not None
    assert process.stdout.read() == ""


def test_what_it_leaves_behind_does_not_keep_it() -> None:
    process = start("sleep 20 & exit 6")
    assert process.wait(15) == 6


@pytest.mark.parametrize("role", ["head", "worker"])
def test_a_node_without_a_token_is_not_started(role: str) -> None:
    own = {key: value for key, value in os.environ.items() if not key.startswith("RAY_AUTH_")}
    command = [sys.executable, "-m", "deepscaler.training.launch.ray_node", role, "127.0.0.1", "6379", "0", "1", "cpu"]
    run = subprocess.run(command, env=own, stdin=subprocess.PIPE, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stdout == ""
    assert "RuntimeError: Ray is not started without authentication" in run.stderr.splitlines()[-1]


@pytest.mark.timeout(300)
def test_a_head_has_no_server_for_remote_clients(tmp_path: Path) -> None:
    """What `ray start` would start, as Ray's own program says, with our module and without."""
    given = ray_node.command("head", "127.0.0.1", "6379", 0, 1, "cpu", tmp_path)
    assert not any("client" in word for word in given)
    assert client_port(given) == "None"
    assert client_port([given[0], "-m", "ray.scripts.scripts", *given[3:]]) == "10001"


def client_port(command: list[str]) -> str:
    """The port of the client server that a `ray start` would open."""
    module = command[2]
    code = (
        "import ray._private.parameter as p, sys, runpy\n"
        "def tell(*a, **k): print(k['ray_client_server_port']); sys.exit(0)\n"
        "p.RayParams.__init__ = tell\n"
        f"sys.argv = {command[2:]!r}\n"
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    own = {**os.environ, **ray_access.token_variables()}
    run = subprocess.run([command[0], "-c", code], env=own, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()
