"""A command through OpenRLHF's own parser and checks, without its heavy imports.

The parser and all asserts are in the `if __name__ == "__main__"` block of `openrlhf/cli/train_ppo_ray.py`. That block
is taken from the installed file and run with `train` replaced: it returns the settings that upstream would train with,
and what upstream refuses is refused here, in milliseconds and before any job starts.
"""

import argparse
import ast
import contextlib
import io
import os
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from deepscaler.errors import UserError


def parse_as_openrlhf(flags: list[str]) -> Any:
    """OpenRLHF's resolved settings (a nested namespace) for a command line, or UserError with upstream's complaint."""
    source = installed() / "cli" / "train_ppo_ray.py"
    tree = ast.parse(source.read_text(encoding="utf-8"))
    block = next(node for node in reversed(tree.body) if isinstance(node, ast.If))
    received: list[Any] = []
    names = {"argparse": argparse, "datetime": datetime, "os": os, "train": received.append}
    messages = io.StringIO()
    with stand_ins(), arguments(flags), contextlib.redirect_stderr(messages), contextlib.redirect_stdout(messages):
        try:
            exec(compile(ast.Module(block.body, []), str(source), "exec"), names)
        except SystemExit:
            raise UserError(f"OpenRLHF refuses the command: {last_line(messages)}", source.name) from None
        except (AssertionError, ValueError, TypeError) as error:
            raise UserError(f"OpenRLHF refuses the command: {error}", source.name) from None
    return received[0]


def installed() -> Path:
    """The folder of the installed openrlhf, found without importing it."""
    try:
        folder = Path(str(distribution("openrlhf").locate_file("openrlhf")))
    except PackageNotFoundError:
        raise UserError("openrlhf is not installed", sys.prefix, "run `make setup`") from None
    return folder


@contextlib.contextmanager
def stand_ins() -> Any:
    """`openrlhf.utils.config` from its file, below packages that are empty, so that nothing else is imported."""
    saved = {name: sys.modules.get(name) for name in ("openrlhf", "openrlhf.utils", "openrlhf.utils.config")}
    spec = spec_from_file_location("openrlhf.utils.config", installed() / "utils" / "config.py")
    assert spec is not None
    assert spec.loader is not None
    config = module_from_spec(spec)
    spec.loader.exec_module(config)
    for name in ("openrlhf", "openrlhf.utils"):
        sys.modules[name] = ModuleType(name)
    sys.modules["openrlhf.utils.config"] = config
    try:
        yield
    finally:
        for name, module in saved.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


@contextlib.contextmanager
def arguments(flags: list[str]) -> Any:
    saved = sys.argv
    sys.argv = ["train_ppo_ray", *flags]
    try:
        yield
    finally:
        sys.argv = saved


def last_line(text: io.StringIO) -> str:
    lines = [line for line in text.getvalue().splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
