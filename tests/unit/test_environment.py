"""What a user's shell sets changes no result: it reaches no verb and nothing that a verb starts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from deepscaler import caches, environment
from deepscaler.reporting.figures import figures, style
from synthetic_run import data_of

USERS = {
    "VLLM_ATTENTION_BACKEND": "XFORMERS",
    "VLLM_USE_MODELSCOPE": "1",
    "RAY_ADDRESS": "auto",
    "RAY_memory_monitor_refresh_ms": "0",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "TORCHINDUCTOR_CACHE_DIR": "/tmp/torchinductor",
    "NVIDIA_TF32_OVERRIDE": "1",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
    "ATEN_CPU_CAPABILITY": "default",
    "MPLBACKEND": "nonsense",
    "MATPLOTLIBRC": "/nowhere",
    "JUPYTER_PATH": "/nowhere",
    "IPYTHONDIR": "/nowhere",
    "GIT_DIR": "/nowhere",
    "PYTHONIOENCODING": "latin-1",
    "LANGUAGE": "tr",
}
STAY = {
    "HF_TOKEN": "secret",
    "HF_ENDPOINT": "https://mirror",
    "HF_HUB_OFFLINE": "1",
    "NCCL_IB_HCA": "mlx5",
    "CUDA_VISIBLE_DEVICES": "3",
    "VLLM_HOST_IP": "10.0.0.1",
    "OMP_NUM_THREADS": "2",
    "MKL_NUM_THREADS": "2",
    "SLURM_JOB_ID": "7",
}


def test_what_decides_results_is_taken_out_and_what_says_where_things_are_stays() -> None:
    given = {**USERS, **STAY, "LC_ALL": "tr_TR.UTF-8", "PYTHONUTF8": "0"}
    environment.settle(given)
    assert given == STAY | environment.FIXED


def test_the_environments_own_cuda_compiles_where_no_other_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "TOOLKIT", tmp_path)
    given: dict[str, str] = {}
    environment.settle(given)
    assert "CUDA_HOME" not in given
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/nvcc").touch()
    for named, home in (({}, str(tmp_path)), ({"CUDA_HOME": "/of/a/module"}, "/of/a/module")):
        given = dict(named)
        environment.settle(given)
        assert given["CUDA_HOME"] == home


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ("expandable_segments:True", None),
        ("max_split_size_mb:64, Expandable_Segments : true", "max_split_size_mb:64"),
        ("roundup_power2_divisions:[256:1,512:2]", "roundup_power2_divisions:[256:1,512:2]"),
    ],
)
@pytest.mark.parametrize("name", ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"])
def test_segments_that_vllm_cannot_put_to_sleep(name: str, options: str, left: str | None) -> None:
    given = {name: options}
    environment.settle(given)
    assert given.get(name) == left


def test_torch_reads_the_two_names_that_are_filtered() -> None:
    """Where another version has a third, it belongs beside them."""
    import torch

    libraries = Path(torch.__file__).parent / "lib"
    text = b"".join((libraries / name).read_bytes() for name in ("libc10.so",))
    for name in environment.ALLOCATOR:
        assert name.encode() in text


def verb(root: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    start = [sys.executable, "-c", "from deepscaler.cli import main; main()", *arguments]
    own = {"PYTHONPATH": str(Path(environment.__file__).parents[1]), "DEEPSCALER_ROOT": str(root)}
    return subprocess.run(start, env=os.environ | own | variables, capture_output=True, check=False, timeout=300)


@pytest.mark.parametrize(
    "variables",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}],
    ids=["locale", "encoding"],
)
def test_text_is_printed_whatever_the_locale(root: Path, tmp_path: Path, variables: dict[str, str]) -> None:
    pair = json.dumps({"id": "1", "gold": "½", "prediction": "½"}, ensure_ascii=False)
    (tmp_path / "pairs.jsonl").write_text(pair, encoding="utf-8")
    done = verb(root, "grade", "--explain", "--pairs", str(tmp_path / "pairs.jsonl"), "--mode", "paper", **variables)
    assert done.returncode == 0, done.stderr
    assert "½" in done.stdout.decode()


def hostile_home(folder: Path) -> dict[str, str]:
    """A home whose owner has a kernel, start-up code and a look of his own, and that cannot be written."""
    for place in (folder / "jupyter", folder / "home/.local/share/jupyter"):
        kernel = place / "kernels/python3"
        kernel.mkdir(parents=True)
        spec = {"argv": ["/nowhere/python", "-f", "{connection_file}"], "display_name": "mine", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(spec))
    look = "axes.facecolor: yellow\nfigure.figsize: 3, 3\nfont.size: 30\nsavefig.bbox: tight\nlines.marker: o\n"
    startup = folder / "home/.ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "mine.py").write_text("import os\nos._exit(3)\n")
    (folder / "home/.config/matplotlib").mkdir(parents=True)
    (folder / "home/.config/matplotlib/matplotlibrc").write_text(look)
    (folder / "home/.gitconfig").write_text("[diff]\nexternal = false\n[status]\nshowUntrackedFiles = broken\n")
    (folder / "home").chmod(0o500)
    return {
        "HOME": str(folder / "home"),
        "JUPYTER_PATH": str(folder / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(folder / "home/run"),
        "IPYTHONDIR": str(folder / "home/.ipython"),
        "MATPLOTLIBRC": str(folder / "home/.config/matplotlib/matplotlibrc"),
        "MPLBACKEND": "module://mine",
        "LC_ALL": "tr_TR.UTF-8",
    }


def test_a_figure_is_the_same_whatever_its_users_configuration(run: Path, tmp_path: Path) -> None:
    """The verb, by way of a kernel, in a shell that is set up against it, draws what is drawn here without one."""
    data = data_of(run / "results/mini", 4)
    style.save(figures.draw(4, "mini", data), tmp_path / "plain.png", tmp_path / "plain.pdf")
    png, pdf, executed = (tmp_path / f"hostile.{kind}" for kind in ("png", "pdf", "ipynb"))
    asked = ["--scale", "mini", "--notebook", str(run / "workflow/notebooks/figure-4.ipynb"), "--data", *map(str, data)]
    outputs = ["--png", str(png), "--pdf", str(pdf), "--executed", str(executed)]
    done = verb(run, "draw_figure", *asked, *outputs, **hostile_home(tmp_path))
    assert done.returncode == 0, done.stderr.decode()
    assert png.read_bytes() == (tmp_path / "plain.png").read_bytes()
    assert pdf.read_bytes() == (tmp_path / "plain.pdf").read_bytes()
    assert nbformat.read(executed, as_version=4).metadata.kernelspec.display_name == "Python 3"


def test_a_look_of_the_users_own_is_not_taken_over(run: Path, tmp_path: Path) -> None:
    """Also where a program, not the verb, draws."""
    import matplotlib

    written = []
    for look in ({}, {"axes.facecolor": "yellow", "font.size": 30.0}):
        with matplotlib.rc_context(look):
            figure = figures.draw(4, "mini", data_of(run / "results/mini", 4))
            style.save(figure, tmp_path / "f.png", tmp_path / "f.pdf")
        written.append((tmp_path / "f.png").read_bytes())
    assert written[0] == written[1]


# Caches


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tmp_path.chmod(0o1777)
    monkeypatch.setattr(caches.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


def test_every_cache_is_below_a_folder_that_nobody_else_enters(temporary: Path) -> None:
    given = {"HOME": "/h", "TRITON_CACHE_DIR": "/tmp/triton"}
    folder = caches.use_own_caches(given)
    assert folder.parent == temporary
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(Path(given[name]).parent == folder for name in caches.VARIABLES)
    assert given["HF_HOME"] == "/h/.cache/huggingface"
    assert caches.use_own_caches(given) == folder
    assert given["HF_HOME"] == "/h/.cache/huggingface"


def test_what_someone_else_made_beforehand_is_refused(temporary: Path) -> None:
    """A folder, a link to one, and one that he may enter; made by a real second user where tests run as root."""
    folder = temporary / f"deepscaler-cache-{os.getuid()}"
    folder.symlink_to(temporary)
    with pytest.raises(caches.UserError, match="is a link"):
        caches.use_own_caches({})
    folder.unlink()
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(caches.UserError, match=r"may enter.*TMPDIR"):
        caches.use_own_caches({})
    folder.rmdir()
    temporary.chmod(0o777)
    with pytest.raises(caches.UserError, match="exchange"):
        caches.use_own_caches({})


@pytest.mark.skipif(os.getuid() != 0, reason="another user is made by root alone")
def test_another_users_folder_is_refused_by_the_verb(root: Path) -> None:
    """He compiles for his victim: what he left there would be run in the victim's name."""
    public = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    public.chmod(0o1777)
    neighbour = 65534
    folder = public / f"deepscaler-cache-{os.getuid()}"
    become = f"import os; os.setgroups([]); os.setgid({neighbour}); os.setuid({neighbour}); "
    make = f"os.mkdir({str(folder)!r}); os.chmod({str(folder)!r}, 0o777)"
    subprocess.run([sys.executable, "-c", become + make], check=True)
    assert folder.stat().st_uid == neighbour
    done = verb(root, "plan", "--scale", "mini", TMPDIR=str(public))
    assert done.returncode == 2
    assert done.stderr.decode().count("\n") == 1
    assert "belongs to another user (65534): code in it would be run" in done.stderr.decode()
    folder.rmdir()
    assert verb(root, "plan", "--scale", "mini", TMPDIR=str(public)).returncode == 0
    assert folder.stat().st_uid == os.getuid()
