"""An append-only file of answers, one by one as they come, so that a killed job goes on from where it was."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deepscaler.errors import JobError


class Partial:
    """JSON lines; a torn last line, where a process was killed, is dropped."""

    def __init__(self, path: Path) -> None:
        self.path = path

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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a full disk again, on the buffer's rest: the first one is being reported
            self._handle.close()
