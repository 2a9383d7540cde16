"""As much of wandb's server as `wandb sync` speaks to, on loopback: runs, and the lines of their files."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HISTORY = "wandb-history.jsonl"


class Server(ThreadingHTTPServer):
    """Keeps each run's configuration, and each file's lines at the places that they are sent for."""

    def __init__(self) -> None:
        self.configs: dict[str, dict[str, Any]] = {}
        self.lines: dict[str, dict[int, str]] = {}
        """Run → place → line of its history."""
        self.operations: list[str] = []
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def history(self, run: str) -> list[dict[str, Any]]:
        return [json.loads(line) for _, line in sorted(self.lines[run].items())]

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        self.operations.append(operation)
        if operation == "UpsertBucket":
            run = variables["name"]
            known = run in self.configs
            self.configs[run] = json.loads(variables["config"])
            owner = {"id": "project", "name": variables["project"], "entity": {"id": "entity", "name": "me"}}
            count = len(self.lines.get(run, ()))
            bucket = {"id": "run", "name": run, "displayName": run, "historyLineCount": count, "project": owner}
            return {"upsertBucket": {"bucket": bucket, "inserted": not known}}
        if operation == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{self.address}/upload"} for name in variables["files"]]
            return {"createRunFiles": {"runID": "run", "uploadHeaders": [], "files": files}}
        return {}


class Answer(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.reply({})

    def do_PUT(self) -> None:
        self.body()
        self.reply({})

    def do_POST(self) -> None:
        sent = json.loads(self.body())
        if self.path == "/graphql":
            self.reply({"data": self.server.answer(str(sent.get("operationName")), sent.get("variables") or {})})
            return
        run = self.path.split("/")[-2]
        file = sent.get("files", {}).get(HISTORY)
        if file:
            places = range(file["offset"], file["offset"] + len(file["content"]))
            self.server.lines.setdefault(run, {}).update(zip(places, file["content"], strict=True))
        self.reply({})

    def body(self) -> bytes:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(content) if self.headers.get("Content-Encoding") == "gzip" else content

    def reply(self, value: dict[str, Any]) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def wandb_server() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
