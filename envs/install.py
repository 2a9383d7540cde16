"""usage: python -I install.py KIND|checkout    inside an empty Python (3.11, 3.12) environment

Installs exactly what the locks of a kind (cpu, gpu, controller, standards, tracking, or a harness) name, each file
checked by its hash, and, but for standards and harnesses, this package, editable (`checkout`: that alone). uv installs,
which takes a fraction of pip's time; pip brings it, and takes over where it cannot serve.
Started again after a cut connection it goes on: what was downloaded whole is kept.

WHEELHOUSE=dir     installs from that folder only, for nodes without a network
TORCH_INDEX=url    where torch's CPU wheel is, if neither pip's own index nor PyTorch's has it
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import architectures  # noqa: E402
import cuda_toolkit  # noqa: E402
from package_source import Source, Stop, from_pip, reachable, refused  # noqa: E402

PREFIX = Path(sys.prefix)
LOG = PREFIX / "install.log"
HARNESSES = ("inspect-ai", "lighteval", "lm-eval", "verl")
KINDS = ("cpu", "gpu", "controller", "standards", "tracking", *HARNESSES)
PYTORCH = "https://download.pytorch.org/whl/cpu"
NOT_OURS = (
    *("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONSTARTUP", "PYTHONOPTIMIZE", "PYTHONINSPECT"),
    *("PYTHONWARNINGS", "PYTHONDONTWRITEBYTECODE"),
)
AGAIN = "type it again: it goes on from here, what was downloaded whole is kept"


class Cause(NamedTuple):
    """What an installer's output says, what it means, what to do, and whether pip would meet it as well as uv."""

    pattern: str
    reason: str
    advice: str
    final: bool = False


CAUSES = (
    Cause(
        r"No space left|quota exceeded|os error (28|122)\b", "the disk is full", f"make room, then {AGAIN}", final=True
    ),
    Cause(
        r"hash mismatch|do not match the hashes",
        "a file is not the one that the lock names",
        "see both hashes in the log; a mirror, WHEELHOUSE or find-links holds another file, or a part of it",
        final=True,
    ),
    Cause(
        r"certificate verify failed|confirming the ssl certificate|invalid peer certificate|sslerror",
        "the server's certificate is not known here",
        "give pip your network's authority: pip config set global.cert FILE",
    ),
    Cause(
        r"connection ?(error|broken|reset|refused|aborted|closed|timed)|connect(timeout| )error|timed out|max retries"
        r"|incompleteread|error sending request|dns error|proxyerror|decoding response|body error|end of file before",
        "the connection failed",
        f"see to the network, then {AGAIN}",
    ),
    Cause(
        r"no matching distribution|could not find a version|not found in the|no solution found",
        "a package is at none of the places that were asked",
        "a mirror or WHEELHOUSE must hold every file that the locks name; `pip config list` shows what pip is set to",
    ),
    Cause(
        r"\bkilled\b|bad_alloc|cannot allocate memory|out of memory|signal 9",
        "memory ran out while it was compiled",
        "fewer files at once: MAX_JOBS=1 make setup-gpu; one of flash-attn's takes up to 9 GB",
        final=True,
    ),
    Cause(r"permission denied|read-only file", "a folder cannot be written", f"see its owner and mode, then {AGAIN}"),
    Cause(
        r"failed to build|did not run successfully",
        "it did not build",
        f"see its words in the log, then {AGAIN}",
        final=True,
    ),
)
OTHER_FILE = CAUSES[1]
UNKNOWN = Cause("", "the installer stopped", f"see the log, then {AGAIN}")


def main(kind: str) -> None:
    LOG.write_text("")
    source = from_pip()
    pins = {name.lower(): version for lock in HERE.glob(f"{kind}[-.]*txt") for name, version in pinned(lock)}
    try:
        if words := refused(source.constraints, pins):
            raise Stop(words, "take it out of pip's settings, or leave them out: PIP_CONFIG_FILE=/dev/null make setup")
    except (OSError, ValueError) as error:  # a constraint in a form of pip's own
        source = replace(source, pip_only=f"uv cannot follow pip's constraint ({error})")
    installer = Installer(reachable(source))
    if kind == "checkout":
        installer.checkout()
        return
    installer.bootstrap(f"{kind}-bootstrap.txt")
    if kind == "cpu":
        installer.torch_cpu("cpu-torch.txt")
        installer.install("cpu.lock.txt")
        installer.install("cpu-deepspeed.txt")
    elif kind in ("controller", "standards", "tracking", *HARNESSES):
        if kind == "lighteval":
            installer.torch_cpu("lighteval-torch.txt")
        installer.install(f"{kind}.lock.txt")
    else:
        built = architectures.wanted()
        installer.install("gpu.lock.txt")
        installer.environment.update(CUDA_HOME=str(cuda_toolkit.home(PREFIX)), TORCH_CUDA_ARCH_LIST=";".join(built))
        # FusedAdam now, so that no job has to compile it; on a node that has no GPU DeepSpeed takes the one for CPUs
        installer.compile("gpu-deepspeed.txt", DS_BUILD_FUSED_ADAM="1", DS_ACCELERATOR="cuda")
        installer.compile(
            "gpu-flash-attn.txt",
            FLASH_ATTENTION_FORCE_BUILD="TRUE",  # without it its setup looks for a wheel made for CUDA 12
            FLASH_ATTN_CUDA_ARCHS=os.environ.get("FLASH_ATTN_CUDA_ARCHS") or architectures.for_flash_attn(built),
            # how many files at once (MAX_JOBS) its setup takes from cores and memory, for one architecture at a time
            NVCC_THREADS=os.environ.get("NVCC_THREADS", "1"),
            # of all packages, once: jobs may find the folder, or the image, read-only, and would compile at each start.
            # On the CPU the first run does it, of the fifth of the files that it imports.
            UV_COMPILE_BYTECODE="1",
        )
        (PREFIX / "architectures").write_text(";".join(built) + "\n")  # preflight holds the cards against it
    # gpu.def's image has no checkout, and brings a wrapper of its own; validators and harnesses need none of ours
    if kind not in ("standards", *HARNESSES) and (HERE.parent / "pyproject.toml").is_file():
        installer.checkout()
    installer.forget()


def pinned(lock: Path) -> list[tuple[str, str]]:
    return re.findall(r"^([A-Za-z0-9._-]+)={2,3}([^ ;=\\]+)", lock.read_text(), re.MULTILINE)


class Installer:
    """Installs into this interpreter's environment. `uv` is empty where pip has to do."""

    def __init__(self, source: Source) -> None:
        self.source = source
        foreign = ("PIP_", "UV_") if source.readable else "UV_"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign) and k not in NOT_OURS}
        self.cache = downloads(source)
        uv = Path(sys.executable).parent / "uv"
        self.uv = str(uv) if uv.is_file() and not source.pip_only else ""

    def bootstrap(self, lock: str) -> None:
        """Build back ends and uv, by pip. A server that does not answer is given up after pip's own 15 seconds."""
        if self.source.pip_only:
            print(f"setup: {self.source.pip_only}: pip installs", flush=True)
        elif self.by_pip(self.source, locked(lock) + locked("uv.lock.txt"), self.source.first_seconds)[0] == 0:
            self.uv = str(Path(sys.executable).parent / "uv")
            return
        code, output = self.by_pip(self.source, locked(lock), self.source.first_seconds)
        if code:
            raise stopped(lock, output)
        if not self.source.pip_only:
            print("setup: uv is not to be had here: pip installs, which takes minutes", flush=True)

    def install(self, lock: str, **environment: str) -> None:
        self.from_sources(lock, locked(lock), [self.source], environment)

    def compile(self, lock: str, **environment: str) -> None:
        """Never from a cache: uv and pip know what they built by name and version alone, and would hand out DeepSpeed
        without FusedAdam, which a set-up for CPUs left there, or code for other architectures."""
        fresh = PREFIX / "compiled"
        self.install(lock, UV_CACHE_DIR=str(fresh), PIP_NO_CACHE_DIR="1", **environment)
        shutil.rmtree(fresh, ignore_errors=True)

    def torch_cpu(self, lock: str) -> None:
        """Its wheel is not where others are: where pip is set to look (find-links, a mirror), else PyTorch's index."""
        what = locked(lock)
        if sys.version_info[:2] != (
            3,
            11,
        ):  # the lock's hash is of the wheel for 3.11: else version and index vouch
            what = ["==".join(pinned(HERE / lock)[0])]
        sources = [self.source]
        if self.source.indexes:  # not so with WHEELHOUSE or pip's no-index
            sources.append(replace(self.source, indexes=(os.environ.get("TORCH_INDEX", PYTORCH),), find_links=()))
        self.from_sources(lock, what, sources, {})

    def checkout(self) -> None:
        self.from_sources("this package", ["--editable", str(HERE.parent)], [self.source], {})

    def from_sources(self, name: str, what: list[str], sources: list[Source], environment: dict[str, str]) -> None:
        """By uv from the first source that has it, else by pip."""
        output, by_uv = "", ""
        for by in [self.by_uv, self.by_pip] if self.uv else [self.by_pip]:
            if by_uv := output:
                print(f"setup: uv could not install {name} ({last_words(output)}): pip takes over", flush=True)
            for source in sources:
                if source is not self.source or output:
                    reachable(source)
                code, output = by(source, what, source.seconds, environment)
                if code == 0:
                    return
                if cause_of(output).final:
                    # pip takes a file that was cut off in the middle for another file; uv knows better
                    raise stopped(name, by_uv if by_uv and cause_of(output) is OTHER_FILE else output)
        raise stopped(name, output)

    def by_uv(self, source: Source, what: list[str], seconds: float, environment: dict[str, str]) -> tuple[int, str]:
        command = [self.uv, "pip", "install", "--python", sys.executable, "--no-config", "--no-deps"]
        command += ["--no-build-isolation", "--index-strategy", "unsafe-best-match", *source.arguments(), *what]
        cache = {"UV_CACHE_DIR": str(self.cache)}
        return run(command, self.environment | cache | source.for_uv(seconds) | environment)

    def by_pip(
        self, source: Source, what: list[str], seconds: float, environment: dict[str, str] | None = None
    ) -> tuple[int, str]:
        command = [sys.executable, "-m", "pip", "install", "--no-input", "--no-deps", "--no-build-isolation"]
        command += ["--progress-bar", "off", "--retries", "2" if seconds < source.seconds else "5"]
        for path in source.constraints:
            command += ["--constraint", path]
        return run(
            [*command, *source.arguments(), *what], self.environment | source.for_pip(seconds) | (environment or {})
        )

    def forget(self) -> None:
        if self.cache.parent == PREFIX:
            shutil.rmtree(self.cache, ignore_errors=True)


def locked(lock: str) -> list[str]:
    return ["--require-hashes", "-r", str(HERE / lock)]


def downloads(source: Source) -> Path:
    """uv's cache: the user's where hard links from it can lead into the environment, else one of its own, for now."""
    if given := os.environ.get("UV_CACHE_DIR"):
        return Path(given)
    with contextlib.suppress(OSError, RuntimeError):
        user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"
        user.mkdir(parents=True, exist_ok=True)
        if source.keep_downloads and user.stat().st_dev == PREFIX.stat().st_dev and os.access(user, os.W_OK):
            return user
    return PREFIX / "downloads"


def run(command: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Its exit code and what it said, which the log keeps too. A command that cannot be started counts as failed."""
    said: list[str] = []
    with LOG.open("a", encoding="utf-8") as log:
        print("$", *command, file=log, flush=True)
        show = Progress(Path(command[-1]).name)
        try:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError as error:
            print(f"error: {command[0]}: {error.strerror}", file=log)
            return 127, f"error: {command[0]}: {error.strerror}"
        for line in process.stdout or ():
            said.append(line.rstrip())
            log.write(line)
            log.flush()
            show.line(said[-1])
        show.clear()
    return process.wait(), "\n".join(said) or "error: it said nothing"


class Progress:
    """What pip or uv says, as one changing line in a terminal, and a line now and then elsewhere."""

    def __init__(self, name: str) -> None:
        self.terminal = sys.stdout.isatty()
        self.name = name
        self.count = 0

    def line(self, text: str) -> None:
        words = text.split()
        if match := re.match(r"\s*(Downloading|Downloaded|Building|Built) ", text):
            large = re.search(r"([5-9]\d|\d{3,})\.\dMiB|GiB", text) or match[1] == "Building"
            self.say(f"{match[1].lower()} {' '.join(words[1:])}", passing=not large)
        elif re.match(r"(Resolved|Prepared|Installed) \d+ ", text):
            self.say(text[0].lower() + text[1:])
        elif re.match(r"(Collecting|Requirement already) ", text):
            self.count += 1
            self.say(f"{self.count}, {words[1]}", passing=self.count % 50 > 0)
        elif text.startswith("Installing collected"):
            self.say("installing")
        elif "Retrying" in text:
            self.say("the connection failed, trying again")

    def say(self, what: str, passing: bool = False) -> None:
        """`passing`: of no interest once it is over, so only in a terminal."""
        if self.terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\033[K{f'  {self.name}: {what}'[:width]}", end="", flush=True)
        elif not passing:
            print(f"  {self.name}: {what}", flush=True)

    def clear(self) -> None:
        if self.terminal:
            print("\r\033[K", end="", flush=True)


def cause_of(output: str) -> Cause:
    return next((cause for cause in CAUSES if re.search(cause.pattern, output, re.IGNORECASE)), UNKNOWN)


def last_words(output: str) -> str:
    """The line that says most: the one that gives the cause, else the last error."""
    lines = [line.strip(" \t│├╰─▶×╭") for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(cause_of(output).pattern or "error", line, re.IGNORECASE)]
    return (telling or lines)[-1][:300]


def stopped(name: str, output: str) -> Stop:
    cause = cause_of(output)
    return Stop(f"{name}: {cause.reason}: {last_words(output)}", cause.advice)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in (*KINDS, "checkout"):
        sys.exit(f"install: which environment? known: {', '.join(KINDS)} (or checkout: this package alone)")
    try:
        main(sys.argv[1])
    except Stop as stop:
        sys.exit(f"setup: {stop}\nsetup: log: {LOG}\nsetup: next: {stop.advice}")
    except OSError as error:
        sys.exit(f"setup: {stopped(error.filename or 'set-up', str(error))}\nsetup: log: {LOG}\nsetup: next: {AGAIN}")
    except KeyboardInterrupt:
        sys.exit(f"setup: stopped; {AGAIN}")
