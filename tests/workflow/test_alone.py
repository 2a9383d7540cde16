"""One run at a time in a checkout, also where the file system has no locks."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

NO_LOCKS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int flock(int file, int operation) {
    char link[64], path[4096] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (readlink(link, path, sizeof path - 1) > 0 && strstr(path, "/.snakemake/")) { errno = WHICH; return -1; }
    return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(file, operation);
}
"""


@pytest.fixture(params=["", "ENOSYS", "EOPNOTSUPP", "ENOLCK"], ids=["locks", "ENOSYS", "EOPNOTSUPP", "ENOLCK"])
def alone(request, root, tmp_path):
    """Starts alone.sh in a checkout with a difficult name, on a file system with or without locks."""
    checkout = tmp_path / "it's [100%] é"
    (checkout / "workflow").mkdir(parents=True)
    shutil.copy(root / "workflow/alone.sh", checkout / "workflow")
    environment = {**os.environ, "CDPATH": "/"}
    if request.param:
        (tmp_path / "no_locks.c").write_text(NO_LOCKS.replace("WHICH", request.param))
        library = tmp_path / "no_locks.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "no_locks.c", "-ldl"], check=True)
        environment["LD_PRELOAD"] = str(library)

    def start(script: str) -> subprocess.Popen[str]:
        command = ["workflow/alone.sh", "bash", "-c", script]
        return subprocess.Popen(
            command, cwd=checkout, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    start.locks, start.environment = not request.param, environment
    return start


def test_a_run(alone):
    run = alone("echo ran")
    out, err = run.communicate(timeout=20)
    assert (run.returncode, out) == (0, "ran\n")
    assert ("no locks" in err) == (not alone.locks)


@pytest.mark.parametrize("alone", [""], indirect=True, ids=["locks"])
def test_where_the_home_cannot_be_written_snakemakes_cache_is_here(alone, tmp_path):
    alone.environment.pop("XDG_CACHE_HOME", None)
    for home, cache in (("/proc/nobody", str(tmp_path / "it's [100%] é/.snakemake/cache")), (str(tmp_path), "")):
        alone.environment["HOME"] = home
        out, err = alone('echo "${XDG_CACHE_HOME:-}"').communicate(timeout=20)
        assert (out.strip(), err) == (cache, "")


def test_two_at_once(alone, tmp_path):
    """The second names the first, waits for it and for what it left behind, then runs."""
    moments: Path = tmp_path / "moments"
    first = alone(f"echo first >>{moments}; (sleep 3; echo left >>{moments}) & exec sleep 30")
    while not moments.exists():
        time.sleep(0.05)
    second = alone(f"echo second >>{moments}")
    time.sleep(1)
    assert second.poll() is None
    first.kill()
    _, err = second.communicate(timeout=60)
    assert str(first.pid) in err
    assert "processes: ?" not in err
    assert moments.read_text().split()[-1] == "second"
    assert "left" in moments.read_text()
    first.wait()
    assert second.returncode == 0
