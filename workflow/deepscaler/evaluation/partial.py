"""Finished requests, kept one by one beside the output, so that a killed shard resumes where it was.

The file's name holds a digest of all that decides a sample: what was kept under other settings is never taken up.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deepscaler.errors import JobError


class Partial:
    """An append-only file of JSON lines; a torn last line, where a process was killed, is dropped."""

    def __init__(self, output: Path, digest: str) -> None:
        self.path = output.with_name(f".{output.name}.{digest[:12]}.partial")

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = sum(len(line) for line in self._whole_lines())
        self._handle = self.path.open("ab")
        self._handle.truncate(whole)
        return self

    def _whole_lines(self) -> Iterator[bytes]:
        if self.path.exists():
            with self.path.open("rb") as lines:
                for line in lines:
                    if not line.endswith(b"\n"):
                        return
                    yield line

    def rows(self) -> Iterator[dict[str, Any]]:
        """What was kept so far."""
        for line in self._whole_lines():
            yield json.loads(line)

    def keep(self, row: dict[str, Any]) -> None:
        try:
            self._handle.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            self._handle.flush()
        except OSError as error:
            raise JobError(
                f"could not keep a sample: {os.strerror(error.errno or 0)}",
                self.path,
                "what was kept stays; run it again",
            ) from None

    def discard(self) -> None:
        """Remove the file, once its rows are in the output."""
        self.path.unlink(missing_ok=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a full disk again, on the buffer's rest: the first one is being reported
            self._handle.close()
