"""A shielded process stays so when Python makes shared memory, and so does what it spawns."""

import subprocess
import sys

import pytest
from deepscaler.training.launch import shield

PROGRAM = """
import multiprocessing, os, sys
from multiprocessing.shared_memory import SharedMemory
from deepscaler.training.launch import shield

def child():
    memory = SharedMemory(create=True, size=8)
    print("child", shield.is_shielded(os.getpid()), flush=True)
    memory.close(); memory.unlink()

if __name__ == "__main__":
    if sys.argv[1] == "kept":
        shield.keep()
    memory = SharedMemory(create=True, size=8)
    print("parent", shield.is_shielded(os.getpid()), flush=True)
    process = multiprocessing.get_context("spawn").Process(target=child)
    process.start(); process.join()
    memory.close(); memory.unlink()
"""


@pytest.mark.parametrize(("how", "stays"), [("kept", True), ("left", False)])
def test_nobody_unblocks_sigterm(how: str, stays: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without it Python's own resource tracker does, in Python 3.11 at least."""
    script = tmp_path_factory.mktemp("shield") / "program.py"
    script.write_text(PROGRAM)
    with shield.shielded():
        done = subprocess.run([sys.executable, script, how], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [f"parent {stays}", f"child {stays}"], done.stderr


def test_a_process_that_is_not_shielded_is_left_alone() -> None:
    code = "import signal; from deepscaler.training.launch import shield; mask = signal.pthread_sigmask; shield.keep();"
    code += "assert signal.pthread_sigmask is mask"
    subprocess.run([sys.executable, "-c", code], check=True)
