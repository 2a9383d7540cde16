"""HTTP to a language model's server: no redirect is followed, and no reply is longer than can be wanted."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2 as httpx  # what the api's clients use


def bounded_client(seconds: float, longest: int) -> httpx.AsyncClient:
    """A client whose requests fail after `seconds` without a byte, or when a reply has more than `longest` bytes."""

    async def ask_for_plain(request: httpx.Request) -> None:
        request.headers["Accept-Encoding"] = "identity"

    async def bound(response: httpx.Response) -> None:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise httpx.ReadError("the reply is compressed, which was not asked for", request=response.request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = BoundedStream(response.stream, longest, response.request)

    hooks: dict[str, list[Callable[..., Any]]] = {"request": [ask_for_plain], "response": [bound]}
    return httpx.AsyncClient(timeout=seconds, follow_redirects=False, event_hooks=hooks)


class BoundedStream(httpx.AsyncByteStream):
    """A reply's bytes; httpx.ReadError where there are more than `longest`."""

    def __init__(self, inner: httpx.AsyncByteStream, longest: int, request: httpx.Request) -> None:
        self.inner, self.longest, self.request = inner, longest, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self.inner:
            size += len(chunk)
            if size > self.longest:
                raise httpx.ReadError(f"the reply has more than {self.longest} bytes", request=self.request)
            yield chunk

    async def aclose(self) -> None:
        await self.inner.aclose()
