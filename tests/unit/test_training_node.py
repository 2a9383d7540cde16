"""A node of Ray under srun: tried again while it has not come up, never after; ended by its input, without a trace."""

import subprocess
import sys
from pathlib import Path

RUN = "import os, sys; from deepscaler.training import node; sys.exit(node.run(sys.argv[1:], dict(os.environ), 'none'))"


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
