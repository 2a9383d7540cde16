"""A chat-completions server on loopback that misbehaves as told, for tests of the client."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Trouble = Callable[[str, int], str]
"""From a question's text and the number of its try (from 1) to what happens; "" is a good reply."""


class ChatServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, trouble: Trouble, answer: Callable[[str], str], delay: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.trouble, self.answer, self.delay = trouble, answer, delay
        self.tries: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.at_once = self.most_at_once = 0
        self.times: list[float] = []
        self.bodies: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed break their connections: expected here."""


class Handler(BaseHTTPRequestHandler):
    server: ChatServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Silent."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        gemini = ":generateContent" in self.path
        question = body["contents"][0]["parts"][0]["text"] if gemini else body["messages"][-1]["content"]
        server = self.server
        with server.lock:
            server.tries[question] += 1
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
            server.times.append(time.monotonic())
            server.bodies.append(body)
            number = server.tries[question]
        try:
            time.sleep(server.delay)
            self.behave(server.trouble(question, number), question, gemini)
        finally:
            with server.lock:
                server.at_once -= 1

    def behave(self, trouble: str, question: str, gemini: bool) -> None:
        name, _, value = trouble.partition(":")
        if name == "status":
            code, _, wait = value.partition(",")
            self.send(int(code), json.dumps({"error": {"message": "as told"}}), {"Retry-After": wait} if wait else {})
        elif name == "hang":
            time.sleep(float(value))
            self.close_connection = True
        elif name == "cut":
            self.wfile.write(
                b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\nContent-Type: application/json\r\n\r\n{"id": "x"'
            )
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif name == "garbage":
            self.send(200, '{"choices": [{"mess')
        elif name == "empty":
            self.send(200, self.reply("", gemini) if value != "choices" else '{"object": "chat.completion"}')
        else:
            with self.server.lock:
                self.server.answered[question] += 1
            self.send(200, self.reply(value if name == "say" else self.server.answer(question), gemini))

    def reply(self, text: str, gemini: bool) -> str:
        if gemini:
            usage = {"promptTokenCount": 11, "candidatesTokenCount": 5}
            content = {"role": "model", "parts": [{"text": text}]}
            return json.dumps({"candidates": [{"content": content}], "usageMetadata": usage})
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
        return json.dumps(
            {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
            | {"choices": [choice]}
            | {"usage": usage}
        )

    def send(self, code: int, text: str, headers: dict[str, str] | None = None) -> None:
        payload = text.encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)


@contextmanager
def serving(
    trouble: Trouble = lambda question, number: "",
    answer: Callable[[str], str] = lambda question: rf"\boxed{{{question}}}",
    delay: float = 0.0,
) -> Iterator[ChatServer]:
    server = ChatServer(trouble, answer, delay)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
