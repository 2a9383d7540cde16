"""A figure: its notebook executed by papermill, kept as executed, with the PNG and PDF that it wrote."""

import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepscaler.errors import JobError, UserError
from deepscaler.files import read_json, remove, write_json, write_text

TIMEOUT = 600
"""Seconds that a cell may take."""
KERNEL = "python3"
FOLDERS = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
TIMES = ("start_time", "end_time", "duration")
"""What papermill notes of a notebook and of each cell."""


def draw_figure(*, scale: str, notebook: Path, data: list[Path], png: Path, pdf: Path, executed: Path) -> None:
    """Execute a notebook with its parameters; the notebook itself writes both pictures.

    Raises:
        JobError: a cell failed; the notebook as far as it came lies beside `executed`, as `….failed.ipynb`.
    """
    if not notebook.is_file():
        raise UserError("no such notebook", notebook)
    running, failed = executed.with_suffix(".running.ipynb"), executed.with_suffix(".failed.ipynb")
    executed.parent.mkdir(parents=True, exist_ok=True)
    parameters: dict[str, object] = {
        "scale": scale,
        "data": [str(path) for path in data],
        "png": str(png),
        "pdf": str(pdf),
    }
    try:
        execute(notebook, running, parameters)
        forget_times(running)
        running.replace(executed)
        remove(failed)
    except JobError as error:
        if running.exists():
            running.replace(failed)
            error = JobError(error.what, error.where, f"the notebook as far as it came is {failed}")
        raise error from None
    finally:
        remove(running)


def execute(notebook: Path, executed: Path, parameters: dict[str, object]) -> None:
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # else the kernel warns about frozen modules
    import papermill
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    logging.getLogger("papermill").setLevel(logging.WARNING)
    with own_jupyter() as folder:
        # no open port on a shared machine, and sockets that no other figure's kernel has the names of
        manager = {"transport": "ipc", "ip": str(folder / "kernel")}
        try:
            papermill.execute_notebook(
                str(notebook),
                str(executed),
                parameters,
                kernel_name=KERNEL,
                progress_bar=False,
                execution_timeout=TIMEOUT,
                config=Config({"KernelManager": manager}),
            )
        except PapermillExecutionError as error:
            raise JobError(f"a cell of the notebook failed: {error.ename}: {error.evalue}", notebook) from None


@contextmanager
def own_jupyter() -> Iterator[Path]:
    """Jupyter in a folder of its own, without the user's files: its kernel is this Python, with no start-up code.

    A kernel `python3` that another environment has put on JUPYTER_PATH or into the home folder would be taken first.
    """
    shortest = "/tmp" if os.access("/tmp", os.W_OK) else None  # a Unix socket's path has 107 bytes at most
    with tempfile.TemporaryDirectory(prefix="dsf-", dir=shortest) as name:
        folder = Path(name)
        kernel = {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "Python 3",
            "language": "python",
        }
        write_json(folder / "kernels" / KERNEL / "kernel.json", kernel)
        own = {variable: str(folder / variable.lower()) for variable in FOLDERS}
        before = {variable: os.environ.get(variable) for variable in (*own, "JUPYTER_PATH")}
        os.environ.update(own | {"JUPYTER_PATH": name})
        try:
            yield folder
        finally:
            for variable, value in before.items():
                os.environ.pop(variable)
                if value is not None:
                    os.environ[variable] = value


def forget_times(notebook: Path) -> None:
    """Remove from an executed notebook when and how long it ran, and the random name of the cell with the parameters.

    Equal data then make equal files.
    """
    content = read_json(notebook)
    for number, cell in enumerate(content["cells"]):
        cell["metadata"].pop("execution", None)
        cell["id"] = f"cell-{number}"
    for metadata in (content["metadata"], *(cell["metadata"] for cell in content["cells"])):
        for key in TIMES:
            metadata.get("papermill", {}).pop(key, None)
    write_text(notebook, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
