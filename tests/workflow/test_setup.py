"""The way in: set-up from small locks, of packages made on the spot, on loopback; nothing is fetched from elsewhere."""

import importlib
import importlib.metadata
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from package_server import Index, make_wheel, pin

RECORDER = f"""#!{sys.executable}
import json, os, sys
settings = {{name: value for name, value in os.environ.items() if name.split("_")[0] in ("UV", "DS", "FLASH", "MAX",
            "NVCC", "TORCH", "CUDA", "HTTPS", "SSL", "PIP", "PYTHONPATH")}}
with open(os.path.join(os.path.dirname(__file__), "..", "calls"), "a") as calls:
    calls.write(json.dumps([sys.argv[1:], settings]) + "\\n")
"""


class Tree:
    """envs/ with locks of its own, an environment of pip alone, and an index that holds what the locks name."""

    def __init__(self, folder: Path, envs: Path, template: Path, uv: Path | None) -> None:
        self.envs, self.venv, self.wheels = folder / "checkout" / "envs", folder / "venv", folder / "wheels"
        self.home = folder / "home"
        self.home.mkdir()
        self.envs.mkdir(parents=True)
        for name in ("setup.sh", "architectures.py", "cuda_toolkit.py", "install.py", "package_source.py"):
            shutil.copy(envs / name, self.envs)
        shutil.copytree(template, self.venv, symlinks=True)
        made = [
            make_wheel(self.wheels, name, version)
            for name, version in (("tool", "1.0"), ("first", "1.0"), ("second", "2.5"))
        ]
        if uv is None:
            uv = make_wheel(self.wheels, "uv", "1.0", {"uv-1.0.data/scripts/uv": RECORDER.encode()})
        else:
            uv = Path(shutil.copy(uv, self.wheels))
        self.lock("uv.lock.txt", pin(uv))
        self.lock("controller-bootstrap.txt", pin(made[0]))
        self.lock("controller.lock.txt", pin(*made[1:]))
        self.index = Index(self.wheels)

    def lock(self, name: str, text: str) -> None:
        (self.envs / name).write_text(f"# a lock\n{text}")

    def environment(self, **more: str) -> dict[str, str]:
        """As of a person who has set nothing but this."""
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
        return {**kept, "HOME": str(self.home), "PIP_INDEX_URL": self.index.url, "PIP_CONFIG_FILE": os.devnull, **more}

    def configure(self, text: str) -> dict[str, str]:
        """The environment of a person with this pip.conf."""
        (self.home / "pip.conf").write_text(text)
        environment = self.environment(PIP_CONFIG_FILE=str(self.home / "pip.conf"))
        del environment["PIP_INDEX_URL"]
        return environment

    def install(self, kind: str = "controller", environment: dict[str, str] | None = None, **more: str):
        command = [self.venv / "bin/python", "-I", self.envs / "install.py", kind]
        return run(command, environment or self.environment(**more))

    def setup(self, folder: Path, kind: str = "controller", **more: str):
        return run([self.envs / "setup.sh", kind, folder], self.environment(**more))

    def has(self, module: str) -> bool:
        return bool(list(self.venv.glob(f"lib/*/site-packages/{module}.py")))

    @property
    def log(self) -> str:
        return (self.venv / "install.log").read_text()

    @property
    def calls(self) -> list:
        return [json.loads(line) for line in (self.venv / "calls").read_text().splitlines()]


def run(command: list, environment: dict[str, str], **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=100, check=False, **more
    )


def stopped(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The three lines of a failure: reason, log, what to do."""
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 3, done.stderr
    assert lines[1].startswith("setup: log: ")
    assert lines[2].startswith("setup: next: ")
    return lines


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with pip alone."""
    folder = tmp_path_factory.mktemp("template") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=100)
    return folder


@pytest.fixture(scope="session")
def uv_wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of uv: of the environment that runs these tests, else from where pip finds it."""
    folder = tmp_path_factory.mktemp("uv")
    try:
        installed = importlib.metadata.distribution("uv")
    except importlib.metadata.PackageNotFoundError:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "-d", folder]
        command += ["-r", root / "envs/uv.lock.txt"]
        done = subprocess.run(command, timeout=100, check=False)
        if done.returncode:
            pytest.skip("uv is not to be had here")
        return next(folder.glob("uv-*.whl"))
    files = [
        Path(str(file.locate())) for file in installed.files or () if file.name == "uv" and file.parent.name == "bin"
    ]
    binary = files[0].read_bytes()
    return make_wheel(folder, "uv", installed.version, {f"uv-{installed.version}.data/scripts/uv": binary})


@pytest.fixture
def tree(tmp_path, root, template, uv_wheel):
    """uv itself installs."""
    made = Tree(tmp_path, root / "envs", template, uv_wheel)
    yield made
    made.index.close()


@pytest.fixture
def recorded(tmp_path, root, template):
    """In uv's place a command that keeps what it is given."""
    made = Tree(tmp_path, root / "envs", template, None)
    yield made
    made.index.close()


# ----- folders of others


def test_a_folder_of_others_stays_as_it_is(recorded, tmp_path):
    theirs = tmp_path / "venvs"
    (theirs / "thesis/bin").mkdir(parents=True)
    (theirs / "thesis/bin/python").write_text("mine")
    (theirs / "installed").write_text("my list of environments\n")
    before = contents(theirs)
    lines = stopped(recorded.setup(theirs))
    assert str(theirs) in lines[0]
    assert contents(theirs) == before


def test_make_takes_no_folder_from_the_shell(root):
    show = ["make", "-s", "--eval", "show: ; @echo $(VENV) $(PROFILE) $(SCALE) $(BIN)", "show"]
    environment = {**os.environ, "VENV": "/elsewhere", "PROFILE": "dev", "SCALE": "2", "BIN": "/elsewhere/bin"}
    assert run(show, environment, cwd=root).stdout.split() == [".venv", "profiles/laptop", "paper", ".venv/bin"]
    assert run([*show, "SCALE=mini"], environment, cwd=root).stdout.split()[2] == "mini"


def test_a_shell_start_file_does_not_end_make(root, tmp_path):
    (tmp_path / "start").write_text('[ -z "$NOT_SET" ] && cd /\n')
    environment = {**os.environ, "BASH_ENV": str(tmp_path / "start")}
    done = run(["make", "-s", "--eval", "show: ; @pwd", "show"], environment, cwd=root)
    assert (done.returncode, done.stdout.strip()) == (0, str(root)), done.stderr


def test_what_was_cut_off_is_completed(recorded, tmp_path):
    """Killed before pip was there: the folder carries the mark and is made anew; a foreign file in it shows that."""
    venv = tmp_path / "new"
    venv.mkdir()
    (venv / "made-by-setup").write_text("")
    (venv / "half").write_text("")
    done = recorded.setup(venv)
    assert done.returncode == 0, done.stderr
    assert not (venv / "half").exists()
    assert len((venv / "installed").read_text().strip()) == 64
    assert recorded.setup(venv).stdout == ""


@pytest.mark.parametrize("name", ["it's 100% ünïcode", 'a "quoted" $HOME', "new\tline [a-z]*"])
def test_paths(tree, tmp_path, name):
    """Also with CDPATH, by which `cd` would go elsewhere and print where, and a HOME that cannot be written."""
    checkout = tmp_path / name
    tree.envs.parent.rename(checkout)
    command = ["envs/setup.sh", "controller", ".venv"]
    (tmp_path / "elsewhere/envs").mkdir(parents=True)
    done = run(command, tree.environment(CDPATH=str(tmp_path / "elsewhere"), HOME="/proc/1/none"), cwd=checkout)
    assert done.returncode == 0, done.stderr
    assert list((checkout / ".venv").glob("lib/*/site-packages/second.py"))


# ----- reasons


def test_no_connection_is_known_after_seconds(recorded):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        started = time.monotonic()
        lines = stopped(recorded.install(PIP_INDEX_URL=f"http://127.0.0.1:{port}/simple"))
    assert time.monotonic() - started < 15
    assert f"127.0.0.1:{port}" in lines[0]
    assert "WHEELHOUSE" in lines[2]


def test_a_server_that_hangs_up(recorded):
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: [server.accept()[0].close() for _ in range(40)], daemon=True).start()
        started = time.monotonic()
        lines = stopped(recorded.install(PIP_INDEX_URL=f"http://127.0.0.1:{server.getsockname()[1]}/simple"))
    assert time.monotonic() - started < 40
    assert "the connection failed" in lines[0]


def test_an_index_that_is_away_does_not_matter_where_others_serve(tree):
    done = tree.install(PIP_EXTRA_INDEX_URL="http://127.0.0.1:9/simple")
    assert done.returncode == 0, done.stderr
    assert "127.0.0.1:9" in done.stdout


def test_empty_wheelhouse(recorded, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "WHEELHOUSE" in stopped(recorded.install(WHEELHOUSE=str(tmp_path / "empty")))[0]


def test_wheelhouse(tree):
    tree.index.close()
    done = tree.install(WHEELHOUSE=str(tree.wheels))
    assert done.returncode == 0, done.stderr
    assert tree.has("second")


def test_a_package_is_missing_in_the_wheelhouse(tree):
    (tree.wheels / "second-2.5-py3-none-any.whl").unlink()
    assert "second" in stopped(tree.install(WHEELHOUSE=str(tree.wheels)))[0]


def test_a_wheelhouse_without_uv(tree):
    next(tree.wheels.glob("uv-*")).unlink()
    done = tree.install(WHEELHOUSE=str(tree.wheels))
    assert done.returncode == 0, done.stderr
    assert "pip installs" in done.stdout
    assert tree.has("second")


@pytest.mark.parametrize("lock", ["controller-bootstrap.txt", "controller.lock.txt"])
def test_wrong_hash(tree, lock):
    path = tree.envs / lock
    path.write_text(path.read_text()[:-2] + "x\n".replace("x", "0" if path.read_text()[-2] != "0" else "1"))
    lines = stopped(tree.install())
    assert lock in lines[0]
    assert "hash" in lines[2]
    assert not tree.has("second")


def test_cut_connection_and_again(tree):
    tree.index.cut.add("second")
    lines = stopped(tree.install())
    assert "controller.lock.txt: the connection failed" in lines[0]
    first = tree.index.served["first-1.0-py3-none-any.whl"]
    tree.index.cut.clear()
    done = tree.install()
    assert done.returncode == 0, done.stderr
    assert tree.has("second")
    assert tree.index.served["first-1.0-py3-none-any.whl"] == first, "what had come whole was fetched again"


def test_full_disk(tree, tmp_path):
    with (tree.wheels / "noise").open("wb") as noise:
        noise.write(os.urandom(30_000_000))
    big = make_wheel(
        tree.wheels, "second", "2.5", {"second.py": b"", "second.bin": (tree.wheels / "noise").read_bytes()}
    )
    tree.lock("controller.lock.txt", pin(big))
    small = tmp_path / "small"
    small.mkdir()
    script = f"""mount -t tmpfs -o size=80m none "{small}" && cp -a "{tree.venv}" "{small}/venv" &&
        exec "{small}/venv/bin/python" -I "{tree.envs}/install.py" controller"""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"] if os.geteuid() else ["unshare", "--mount"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mounts may be made here")
    filled = f"head -c 75m /dev/zero >{small}/fill 2>/dev/null; "
    done = run([*unshare, "bash", "-c", script.replace("exec", f"{{ {filled} }} ; exec")], tree.environment())
    assert "disk is full" in stopped(done)[0]


def test_a_configuration_that_cannot_be_read(recorded):
    assert "configuration" in stopped(recorded.install(environment=recorded.configure("index-url = no section\n")))[0]


def test_an_index_without_the_packages(tree):
    environment = tree.configure(f"[global]\nindex-url = http://127.0.0.1:{tree.index.port}/none\n")
    assert "controller-bootstrap.txt" in stopped(tree.install(environment=environment))[0]


@pytest.mark.parametrize("answer", ["exit 1", "case $* in *ensurepip*) exit 1;; esac"], ids=["version", "venv"])
def test_python_unfit(recorded, tmp_path, answer):
    bin = tmp_path / "bin"
    bin.mkdir()
    for name in ("python3.11", "python3.12", "python3", "python"):
        (bin / name).write_text(f"#!/bin/sh\n{answer}\n")
        (bin / name).chmod(0o755)
    done = recorded.setup(tmp_path / "new", PATH=f"{bin}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 2
    assert "python3-venv" in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(recorded, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    assert "cannot be written" in stopped(recorded.setup(tmp_path / "closed/venv"))[0]


def test_a_file_system_that_cannot_be_written(recorded):
    assert "/proc" in stopped(recorded.setup(Path("/proc/none/venv")))[0]


# ----- pip's settings


def test_settings_of_another_python_and_of_where_to_install(tree, tmp_path):
    """Each of these made pip fail, or install elsewhere."""
    foreign = {"PIP_USER": "1", "PIP_TARGET": str(tmp_path / "target"), "PIP_NO_BINARY": ":all:", "PYTHONOPTIMIZE": "2"}
    foreign |= {
        "PYTHONPATH": str(tmp_path),
        "PYTHONHOME": str(tmp_path),
        "UV_SYSTEM_PYTHON": "1",
        "PYTHONWARNINGS": "error",
    }
    (tmp_path / "tool.py").write_text("")
    done = tree.install(**foreign)
    assert done.returncode == 0, done.stderr
    assert tree.has("tool")
    assert tree.has("second")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("with_uv", [True, False], ids=["uv", "pip"])
@pytest.mark.parametrize("case", ["index", "extra", "links", "links-index", "proxy", "constraint", "credentials"])
def test_pip_conf_goes_on_working(tree, case, with_uv, tmp_path):
    index = Index(tree.wheels, credentials="me:s3cret") if case == "credentials" else tree.index
    (tmp_path / "allowed.txt").write_text("second<3  # a cap\nother==1; python_version < '3'\n")
    text = {
        "index": f"[global]\nindex-url = {index.url}\n",
        "extra": f"[install]\nindex-url = http://127.0.0.1:9/simple\nextra-index-url = {index.url}\n",
        "links": f"[global]\nno-index = true\nfind-links =\n    {tmp_path}\n    {tree.wheels}\n",
        "links-index": f"[global]\nindex-url = file://{tmp_path}/none\nfind-links = {tree.wheels}\n",
        "proxy": f"[global]\nindex-url = http://packages.test/simple\ntrusted-host = packages.test\n"
        f"proxy = http://127.0.0.1:{index.port}\n",
        "constraint": f"[global]\nindex-url = {index.url}\nconstraint = {tmp_path}/allowed.txt\n",
        "credentials": f"[global]\nindex-url = {index.url}\n",
    }[case]
    if not with_uv:
        next(tree.wheels.glob("uv-*")).unlink()
    done = tree.install(environment=tree.configure(text))
    assert done.returncode == 0, done.stderr + tree.log
    assert tree.has("second")
    assert ("takes over" in done.stdout, "pip installs" in done.stdout) == (False, not with_uv)
    assert "s3cret" not in done.stdout + tree.log
    assert case != "proxy" or "packages.test" in index.hosts


def test_a_constraint_against_the_locks(recorded):
    (recorded.home / "cap.txt").write_text("second<2\n")
    lines = stopped(recorded.install(PIP_CONSTRAINT=str(recorded.home / "cap.txt")))
    assert "second<2" in lines[0]
    assert "cap.txt" in lines[0]


def test_certificates(tree, tmp_path):
    """A server known by the user's own authority. uv refuses a certificate that signs itself; pip takes it."""
    import ssl

    files = {"key": tmp_path / "key.pem", "cert": tmp_path / "cert.pem"}
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        files["key"],
        "-out",
        files["cert"],
    ]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    done = run(command, dict(os.environ))
    assert done.returncode == 0, done.stderr
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["cert"], files["key"])
    tree.index.server.socket = context.wrap_socket(tree.index.server.socket, server_side=True)
    url = f"https://localhost:{tree.index.port}/simple"
    assert "certificate" in stopped(tree.install(environment=tree.configure(f"[global]\nindex-url = {url}\n")))[0]
    environment = tree.configure(f"[global]\nindex-url = {url}\ncert = {files['cert']}\n")
    done = tree.install(environment=environment)
    assert done.returncode == 0, done.stderr
    assert tree.has("second")


# ----- what is run


def test_torch_from_elsewhere(tree, tmp_path):
    """pip's index does not have it: the index of PyTorch does."""
    torch = make_wheel(tmp_path / "pytorch", "torch", "2.0+cpu")
    tool, first = (next(tree.wheels.glob(f"{name}-*")) for name in ("tool", "first"))
    for lock, wheel in (("bootstrap", tool), ("torch", torch), ("deepspeed", first)):
        tree.lock(f"cpu-{lock}.txt", pin(wheel))
    tree.lock("cpu.lock.txt", pin(next(tree.wheels.glob("second-*"))))
    pytorch = Index(tmp_path / "pytorch")
    done = tree.install("cpu", TORCH_INDEX=pytorch.url)
    pytorch.close()
    assert done.returncode == 0, done.stderr
    assert tree.has("torch")
    assert tree.has("second")
    assert "takes over" not in done.stdout


# ----- GPUs


def gpu_locks(tree: Tree) -> None:
    tree.lock("gpu-bootstrap.txt", pin(next(tree.wheels.glob("tool-*"))))
    for part in (".lock", "-deepspeed", "-flash-attn"):
        tree.lock(f"gpu{part}.txt", "")


def node(folder: Path, *, capabilities: str = "", cuda: str = "13.0") -> dict[str, str]:
    """The variables of a node with such GPUs (none where empty) and CUDA's toolkit of such a release."""
    toolkit = folder / "toolkit"
    programs = toolkit / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    (toolkit / "include").mkdir(exist_ok=True)
    (toolkit / "include/cuda_runtime.h").touch()
    answers = {"nvidia-smi": capabilities or None, "nvcc": f"Cuda compilation tools, release {cuda}, V{cuda}.88"}
    for name, answer in answers.items():
        (programs / name).write_text(f"#!/bin/sh\n{'exit 9' if answer is None else f'printf {answer!r}'}\n")
        (programs / name).chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}", "CUDA_HOME": str(toolkit)}


def test_command_lines_of_the_gpu_environment(recorded, tmp_path):
    gpu_locks(recorded)
    done = recorded.install("gpu", **node(tmp_path) | {"MAX_JOBS": "8"})
    assert done.returncode == 0, done.stderr
    locks = [(Path(arguments[-1]).name, arguments, settings) for arguments, settings in recorded.calls]
    assert [name for name, *_ in locks] == ["gpu.lock.txt", "gpu-deepspeed.txt", "gpu-flash-attn.txt"]
    # what is compiled for these cards comes from no cache that other environments share
    caches = [settings["UV_CACHE_DIR"] for *_, settings in locks]
    assert caches[1] == caches[2] == str(recorded.venv / "compiled") != caches[0]
    for _, arguments, _ in locks:
        assert {"--require-hashes", "--no-deps", "--no-build-isolation", "--no-config"} <= set(arguments)
    for *_, settings in locks[1:]:
        assert (settings["TORCH_CUDA_ARCH_LIST"], settings["CUDA_HOME"]) == (
            "8.0;8.6;8.9;9.0;10.0",
            str(tmp_path / "toolkit"),
        )
    assert {"DS_BUILD_FUSED_ADAM": "1", "DS_ACCELERATOR": "cuda"}.items() <= locks[1][2].items()
    expected = {
        "FLASH_ATTENTION_FORCE_BUILD": "TRUE",
        "FLASH_ATTN_CUDA_ARCHS": "80;90;100",
        "MAX_JOBS": "8",
        "NVCC_THREADS": "1",
    }
    assert expected.items() <= locks[2][2].items()
    assert ["UV_COMPILE_BYTECODE" in settings for *_, settings in locks] == [False, False, True]


@pytest.mark.parametrize(
    ("capabilities", "given", "built", "flash_attn"),
    [
        ("9.0\n9.0\n", "", "9.0", "90"),
        ("8.9\n8.6\n", "", "8.6;8.9", "80"),
        ("9.0\n", "8.0;9.0+PTX", "8.0;9.0", "80;90"),
        ("", "8.0 10.0", "8.0;10.0", "80;100"),
    ],
)
def test_code_is_built_for_the_cards_that_are_there_or_named(
    recorded, tmp_path, capabilities, given, built, flash_attn
):
    gpu_locks(recorded)
    asked = {"TORCH_CUDA_ARCH_LIST": given} if given else {}
    done = recorded.install("gpu", **node(tmp_path, capabilities=capabilities), **asked)
    assert done.returncode == 0, done.stderr
    settings = recorded.calls[-1][1]
    assert (settings["TORCH_CUDA_ARCH_LIST"], settings["FLASH_ATTN_CUDA_ARCHS"]) == (built, flash_attn)
    assert (recorded.venv / "architectures").read_text() == f"{built}\n"


def test_another_card_is_built_for_and_one_that_the_code_runs_on_is_not(recorded, tmp_path):
    gpu_locks(recorded)
    made = tmp_path / "gpu"
    first = recorded.setup(made, "gpu", **node(tmp_path, capabilities="8.0\n"))
    assert first.returncode == 0, first.stderr
    for capabilities in ("8.0\n", "8.6\n", ""):
        again = recorded.setup(made, "gpu", **node(tmp_path, capabilities=capabilities))
        assert (again.returncode, again.stdout) == (0, ""), again.stderr
    other = recorded.setup(made, "gpu", **node(tmp_path, capabilities="9.0\n"))
    assert other.returncode == 0, other.stderr
    assert f"{made} has no code for compute capability 9.0; making it anew" in other.stdout
    assert (made / "architectures").read_text() == "9.0\n"


@pytest.fixture
def toolkits(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "envs"))
    return importlib.import_module("cuda_toolkit")


@pytest.mark.parametrize(("cuda", "fits"), [("13.0", True), ("12.8", False), ("14.0", False)])
def test_a_system_with_another_cuda_counts_as_one_without(toolkits, tmp_path, cuda, fits):
    node(tmp_path, cuda=cuda)
    assert toolkits.is_whole(tmp_path / "toolkit") == fits
    (tmp_path / "toolkit/include/cuda_runtime.h").unlink()  # nvcc without headers compiles nothing
    assert not toolkits.is_whole(tmp_path / "toolkit")


def test_a_toolkit_is_found_where_its_compiler_is(toolkits, tmp_path, monkeypatch):
    """As a module does that sets PATH and no CUDA_HOME."""
    monkeypatch.setenv("PATH", node(tmp_path)["PATH"])
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "none"))
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    monkeypatch.setattr(toolkits, "COMMON", str(tmp_path / "none"))
    assert toolkits.of_system() == tmp_path / "toolkit"


def test_a_toolkit_is_put_together_from_the_locks_packages(toolkits, tmp_path):
    packages = tmp_path / "cu13"
    for name in ("bin/nvcc", "include/cuda_runtime.h", "nvvm/bin/cicc", "lib/libcudart.so.13", "lib/libcudadevrt.a"):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text(name)
    for _ in range(2):  # once more, as after a set-up that was cut off
        made = toolkits.of_packages(packages, tmp_path / "cuda")
    assert (made / "bin/nvcc").read_text() == "bin/nvcc"
    assert (made / "include/cuda_runtime.h").is_file()
    assert {path.name: path.read_text() for path in (made / "lib64").iterdir()} == {
        "libcudart.so": "lib/libcudart.so.13",
        "libcudart.so.13": "lib/libcudart.so.13",
        "libcudadevrt.a": "lib/libcudadevrt.a",
    }


@pytest.mark.parametrize(
    ("said", "reason"), [("ninja: Killed", "memory ran out"), ("Failed to build", "did not build")]
)
def test_what_does_not_compile_is_not_compiled_once_more_by_pip(recorded, tmp_path, said, reason):
    """Hours of it, by the same compiler."""
    gpu_locks(recorded)
    wheel = next(recorded.wheels.glob("uv-*"))
    wheel.unlink()
    script = f"#!/bin/sh\ncase $* in *flash*) echo '{said}' >&2; exit 1;; esac\n"
    recorded.lock(
        "uv.lock.txt", pin(make_wheel(recorded.wheels, "uv", "1.0", {"uv-1.0.data/scripts/uv": script.encode()}))
    )
    lines = stopped(recorded.install("gpu", **node(tmp_path)))
    assert reason in lines[0]
    assert "takes over" not in recorded.log
    assert "pip install" not in recorded.log.partition("flash-attn")[2]


def test_a_malformed_architecture_is_refused(recorded, tmp_path):
    gpu_locks(recorded)
    lines = stopped(recorded.setup(tmp_path / "gpu", "gpu", **node(tmp_path), TORCH_CUDA_ARCH_LIST="sm_90"))
    assert "not 'sm_90'" in lines[0]
