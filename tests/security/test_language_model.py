"""A language model's server that lies about its tokens, sends the key back, sends requests elsewhere, or never stops.

And a scale, handed over by someone, that would have a secret of its reader's sent to his server.
"""

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from deepscaler import settings
from deepscaler.curation.llm import client
from deepscaler.curation.llm.client import ask_all
from deepscaler.curation.llm.endpoints import Question
from deepscaler.curation.llm.replies import Replies
from deepscaler.errors import JobError, UserError
from deepscaler.settings.base import validate
from deepscaler.settings.curation import LanguageModel
from deepscaler.settings.load import file_of, read_yaml
from deepscaler.settings.site import ChatService

SECRET = "sk-of-the-one-who-curates"
QUESTIONS = [Question("Answer.", f"question {number}") for number in range(30)]
RESERVE = 0.01
"""Dollars that a request may cost at most, as `lm` has it: 1,000 tokens at 10 dollars a million."""


@contextmanager
def server(behave: Any) -> Iterator[tuple[str, list[str]]]:
    """A server on loopback; `behave(handler)` answers a POST. Its address, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Silent."""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(self.path)
            behave(self)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}", asked
    finally:
        http.shutdown()
        http.server_close()


def send(handler: BaseHTTPRequestHandler, status: int, body: Any, **headers: str) -> None:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(payload)))
    handler.end_headers()
    handler.wfile.write(payload)


def reply(usage: Any, text: str = r"\boxed{1}") -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    given = {} if usage is None else {"usage": usage}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **given}


def lm(**changes: Any) -> LanguageModel:
    values = read_yaml(file_of("defaults", "scale"))["curation"]["extract_answers"]["language_model"]
    values |= {"api": "openai", "model": "m", "requests_per_minute": 60_000, "concurrency": 1, "attempts": 1}
    values |= {"max_requests": 1000, "max_dollars": 0.05, "max_output_tokens": 1000}
    values |= {"dollars_per_million_input": 0.0, "dollars_per_million_output": 10.0}
    return LanguageModel.model_validate({**values, **changes})


@pytest.fixture(autouse=True)
def a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_MODEL_KEY", SECRET)


def at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = ChatService(base_url=f"{url}/v1", key_variable="TEST_MODEL_KEY")
    there = settings.site().model_copy(update={"language_models": {"openai": service}})
    monkeypatch.setattr(client, "site", lambda: there)


LIES: dict[str, tuple[Any, int]] = {
    "none": (None, 5),
    "zero": ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, 5),
    "negative": ({"prompt_tokens": -(10**9), "completion_tokens": -1, "total_tokens": 0}, 5),
    "half negative": ({"prompt_tokens": 5, "completion_tokens": -(10**12), "total_tokens": 0}, 5),
    "strings": ({"prompt_tokens": "5", "completion_tokens": "five", "total_tokens": "x"}, 5),
    "not a number": ({"prompt_tokens": float("nan"), "completion_tokens": float("nan"), "total_tokens": 0}, 5),
    "infinite": ({"prompt_tokens": 1, "completion_tokens": float("inf"), "total_tokens": 0}, 5),
    "a list": ({"prompt_tokens": [], "completion_tokens": {}, "total_tokens": 1}, 5),
    "usage is a word": ("free", 5),
    "huge": ({"prompt_tokens": 1, "completion_tokens": 10**400, "total_tokens": 1}, 1),
}
"""What a server says of its tokens → requests that fit into 0.05 dollars."""


@pytest.mark.parametrize("lie", LIES)
def test_a_budget_holds_whatever_the_server_says_it_cost(
    lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage, fit = LIES[lie]
    with server(lambda handler: send(handler, 200, reply(usage))) as (url, asked):
        at(url, monkeypatch)
        answers = ask_all(QUESTIONS, lm(), tmp_path / "replies.jsonl")
    assert len(asked) == fit
    assert sum(answer.text is not None for answer in answers) == fit
    assert 0.05 - 1e-9 <= Replies(tmp_path / "replies.jsonl").dollars <= 0.05 + 1e-9


def test_an_honest_count_is_what_is_billed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
    with server(lambda handler: send(handler, 200, reply(honest))) as (url, asked):
        at(url, monkeypatch)
        ask_all(QUESTIONS, lm(), tmp_path / "replies.jsonl")
    assert len(asked) == 30
    assert Replies(tmp_path / "replies.jsonl").dollars == pytest.approx(30 * 10 * 10e-6)


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_a_key_that_is_sent_back_gets_into_no_file_and_no_message(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_another_secret")

    def reflect(handler: BaseHTTPRequestHandler) -> None:
        said = f"you sent {handler.headers['Authorization']} and have hf_another_secret"
        send(handler, status, reply(None, said) if status == 200 else {"error": {"message": said}})

    cache, told = tmp_path / "replies.jsonl", ""
    with server(reflect) as (url, _):
        at(url, monkeypatch)
        try:
            told = str(ask_all(QUESTIONS[:2], lm(), cache))
        except (UserError, JobError) as error:
            told = str(error)
    assert "you sent" in told
    for text in (told, cache.read_text()):
        assert SECRET not in text
        assert "hf_another_secret" not in text
    assert stat.S_IMODE(cache.stat().st_mode) == 0o600


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_request_is_sent_nowhere_else(status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(lambda handler: send(handler, 200, reply(None))) as (other, elsewhere):

        def redirect(handler: BaseHTTPRequestHandler) -> None:
            send(handler, status, b"", Location=f"{other}/internal")

        with server(redirect) as (url, _):
            at(url, monkeypatch)
            with pytest.raises(UserError, match="sends requests elsewhere"):
                ask_all(QUESTIONS[:1], lm(), tmp_path / "replies.jsonl")
    assert elsewhere == []


@pytest.mark.parametrize("compressed", [False, True])
def test_a_reply_without_end_is_cut_off(compressed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressed, a thousand times as much would come."""
    sent = 0

    def pour(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        headers = {"Content_Encoding": "gzip"} if compressed else {}
        handler.send_response(200)
        for name, value in {"Content_Type": "application/json", "Content_Length": str(1 << 30), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"A" * (1 << 16))
                sent += 1 << 16
        except OSError:
            pass

    with server(pour) as (url, _):
        at(url, monkeypatch)
        with pytest.raises(JobError, match="failed in every try"):
            ask_all(QUESTIONS[:1], lm(), tmp_path / "replies.jsonl")
    assert sent < 32 << 20


@pytest.mark.parametrize(
    ("key", "value"), [("base_url", "http://attacker.example/v1"), ("key_variable", "HF_TOKEN"), ("base_url", None)]
)
def test_a_scale_says_neither_whom_to_ask_nor_with_which_key(key: str, value: str | None) -> None:
    with pytest.raises(UserError, match=rf"`{key}` is the site's: set language_models\.openai\.{key} in config/site"):
        validate(LanguageModel, {**lm().model_dump(), key: value}, "config/scales/handed.yaml")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://attacker.example/v1", "https"),
        ("http://127.0.0.1.attacker.example/v1", "https"),
        ("http://localhost@attacker.example/v1", "no password"),
        ("https://me:word@models.example/v1", "no password"),
        ("ftp://models.example", "https"),
        ("models.example/v1", "https"),
    ],
)
def test_a_key_goes_out_encrypted_or_not_at_all(url: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        validate(ChatService, {"base_url": url, "key_variable": "KEY"}, "config/site.local.yaml")


@pytest.mark.parametrize("url", ["https://models.example/v1", "http://localhost:8000/v1", "http://[::1]:1/v1", None])
def test_what_a_site_may_name(url: str | None) -> None:
    assert validate(ChatService, {"base_url": url, "key_variable": "KEY"}, "x").base_url == url


def test_an_address_in_the_environment_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients' own variables would lead to another server than the site's settings say."""
    from deepscaler.curation.llm import endpoints

    monkeypatch.setenv("OPENAI_BASE_URL", "http://attacker.example/v1")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://attacker.example")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    nowhere = ChatService(base_url=None, key_variable="KEY")
    openai = endpoints.OpenAIEndpoint(lm(), nowhere, "k")
    gemini = endpoints.GeminiEndpoint(lm(api="gemini"), nowhere, "k")
    assert str(openai.client.base_url).startswith(endpoints.OPENAI)
    assert str(gemini.client._api_client._http_options.base_url).startswith(endpoints.GEMINI)
