"""Messages between the pool and its workers: one JSON value a line, on a stream socket."""

import json
import socket
from collections.abc import Iterator
from typing import Any


def send(connection: socket.socket, value: Any) -> None:
    connection.sendall(json.dumps(value).encode() + b"\n")


def messages(connection: socket.socket) -> Iterator[Any]:
    """The values that come until the other end closes."""
    with connection.makefile("rb") as lines:
        for line in lines:
            yield json.loads(line)


class Inbox:
    """Values that arrive in pieces, on a socket that is read as it becomes readable."""

    def __init__(self) -> None:
        self._unfinished: list[bytes] = []
        """Pieces of a line, joined once it is complete: a long one comes in many."""

    def feed(self, piece: bytes) -> list[Any]:
        """The values that `piece` completes."""
        *lines, rest = piece.split(b"\n")
        if lines:
            lines[0] = b"".join([*self._unfinished, lines[0]])
            self._unfinished = []
        self._unfinished.append(rest)
        return [json.loads(line) for line in lines]
