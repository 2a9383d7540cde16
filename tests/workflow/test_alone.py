"""One run at a time in a checkout, also where the file system has no locks."""

import os
import shutil
import stat
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
    script = checkout / "workflow/alone.sh"
    shutil.copy(root / "workflow/alone.sh", script)
    everyones = tmp_path / "everyones"  # stands for /tmp
    everyones.mkdir()
    script.write_text(script.read_text().replace(' "/tmp/', f' "{everyones}/'))
    environment = {**os.environ, "CDPATH": "/", "XDG_CACHE_HOME": str(tmp_path / "cache")}
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
    start.folders = [everyones / f"deepscaler-{os.getuid()}", tmp_path / "cache/deepscaler"]
    return start


def test_a_run(alone):
    run = alone("echo ran")
    out, err = run.communicate(timeout=20)
    assert (run.returncode, out) == (0, "ran\n")
    assert ("no locks" in err) == (not alone.locks)


def test_the_lock_is_in_a_folder_of_ones_own(alone):
    alone("true").communicate(timeout=20)
    assert [folder.exists() for folder in alone.folders] == [not alone.locks, False]
    if not alone.locks:
        assert stat.S_IMODE(alone.folders[0].stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_folder_that_another_put_there_is_not_used(alone, tmp_path, kind):
    if alone.locks:
        pytest.skip("for file systems without locks")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if kind == "link":
        alone.folders[0].symlink_to(elsewhere)
    else:
        alone.folders[0].touch()
    out, _ = alone("echo ran").communicate(timeout=20)
    assert out == "ran\n"
    assert list(elsewhere.iterdir()) == []
    assert [path.suffix for path in alone.folders[1].iterdir()] == [".lock"]


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
