"""A server that redirects: neither the questions nor the key, nor what is fetched, go to a host that nobody named."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from deepscaler import hub
from deepscaler.curation.llm.endpoints import Question, connect
from deepscaler.errors import UserError


class Server(ThreadingHTTPServer):
    """Answers everything with a redirect to `target`, or with a few bytes where there is none."""

    def __init__(self, target: str | None) -> None:
        self.target, self.seen = target, list[tuple[str, str, dict[str, str], bytes]]()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        target = self.server.target
        self.send_response(307 if target else 200)
        if target:
            self.send_header("location", target)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def other() -> Iterator[Server]:
    server = Server(None)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def named(other: Server) -> Iterator[Server]:
    server = Server(f"{other.address}/stolen")
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("api", ["openai", "gemini"])
def test_a_language_model_that_redirects(named: Server, other: Server, api: str) -> None:
    from deepscaler.settings.curation import LanguageModel
    from deepscaler.settings.load import read_yaml
    from deepscaler.settings.site import ChatService
    from deepscaler.settings.yaml_files import project_root

    defaults = read_yaml(project_root() / "config/defaults/scale.yaml")["curation"]["extract_answers"]["language_model"]
    settings = LanguageModel.model_validate({**defaults, "api": api, "model": "m"})
    service = ChatService(base_url=named.address, key_variable="KEY")

    async def ask() -> None:
        endpoint = connect(settings, service, "sk-secret")
        try:
            await endpoint.ask(Question("be brief", "the problem"))
        finally:
            await endpoint.close()

    with pytest.raises(UserError, match="sends requests elsewhere \\(307\\)"):
        asyncio.run(ask())
    assert named.seen, "it was asked"
    assert not other.seen, other.seen


def test_a_download_that_redirects(named: Server, other: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="redirects to another host"):
        hub.download(f"{named.address}/file", tmp_path / "file")
    assert not other.seen
    assert not (tmp_path / "file").exists()


def test_a_redirect_on_the_same_host_is_followed(other: Server, tmp_path: Path) -> None:
    """As where a repository was renamed."""
    server = Server(None)
    server.target = f"{server.address}/renamed"
    original = Handler.do_GET

    def once(handler: Handler) -> None:
        handler.server.target = None if handler.path == "/renamed" else handler.server.target
        original(handler)

    Handler.do_GET = once  # type: ignore[method-assign]
    try:
        hub.download(f"{server.address}/file", tmp_path / "file")
    finally:
        Handler.do_GET = original  # type: ignore[method-assign]
        server.shutdown()
        server.server_close()
    assert (tmp_path / "file").read_bytes() == b"{}"
    assert [path for _, path, _, _ in server.seen] == ["/file", "/renamed"]
