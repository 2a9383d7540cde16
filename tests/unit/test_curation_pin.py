"""Pins of sources: written from a small server that speaks the hub's protocol, then held against what it serves."""

import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from deepscaler.cli import build
from warm_processes import Server, warm

FIRST, SECOND = "a" * 40, "b" * 40
PROBLEM = json.dumps({"problem": "What is 1 + 1?", "answer": "2"})
SOURCE = {
    "title": "Ours",
    "kind": "hub",
    "repository": "us/ours",
    "files": {"data/*.jsonl": None},
    "fields": {"problem": "problem", "answer": "answer"},
    "licence": "MIT",
    "redistribution": "yes",
    "citation": "us",
}


class Hub(BaseHTTPRequestHandler):
    """A data set of one file, of which `server.commits` holds the bytes by commit; the last commit is the newest."""

    protocol_version = "HTTP/1.1"
    name = "data/train.jsonl"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        commits: dict[str, bytes] = self.server.commits  # type: ignore[attr-defined]
        path = self.path.split("?")[0]
        commit = next((commit for commit in commits if commit in path), list(commits)[-1])
        promised = self.server.promised[commit]  # type: ignore[attr-defined]
        if path.startswith("/api/datasets/us/ours"):
            listed = {"rfilename": self.name, "size": len(promised), "blobId": blob_id(promised)}
            entry = {"type": "file", "path": self.name, "size": len(promised), "oid": blob_id(promised)}
            about = {"id": "us/ours", "sha": commit, "siblings": [listed], "tags": [], "private": False}
            self.reply(
                json.dumps([entry] if "/tree/" in path else about).encode(), {"Content-Type": "application/json"}
            )
        elif path == f"/datasets/us/ours/resolve/{commit}/{self.name}":
            self.reply(commits[commit], {"ETag": f'"{blob_id(promised)}"', "X-Repo-Commit": commit})
        else:
            self.reply(b"", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "no such repository"}, 404)

    def reply(self, body: bytes, headers: dict[str, str], code: int = 200) -> None:
        self.send_response(code)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


def blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def rows(count: int) -> bytes:
    return f"{PROBLEM}\n".encode() * count


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def hub(server: ThreadingHTTPServer) -> ThreadingHTTPServer:
    server.commits = {FIRST: rows(3)}  # type: ignore[attr-defined]
    server.promised = dict(server.commits)  # type: ignore[attr-defined]
    return server


@pytest.fixture(scope="module")
def environment(server: ThreadingHTTPServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The hub's client reads its address and its folder when it is imported."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(("HF_", "DEEPSCALER_"))},
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path_factory.mktemp("home")),
    }


@pytest.fixture(scope="module")
def processes(environment: dict[str, str]) -> Iterator[Server]:
    modules = ["deepscaler.cli", "deepscaler.cli.data", "deepscaler.curation.pin", "deepscaler.curation.fetch_source"]
    modules += ["deepscaler.models.pin", "huggingface_hub.hf_api", "huggingface_hub._snapshot_download"]
    with warm(modules, environment) as server:
        yield server


class Project:
    """A checkout with a source of ours, and its command line."""

    def __init__(self, root: Path, folder: Path, processes: Server, environment: Mapping[str, str]) -> None:
        self.folder, self.processes = folder, processes
        shutil.copytree(root / "config", folder / "config")
        with (folder / "config" / "sources.yaml").open("a") as sources:
            sources.write(yaml.safe_dump({"ours": SOURCE}))
        self.environment = {**environment, "DEEPSCALER_ROOT": str(folder)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        code = "from deepscaler.cli import main; main()"
        return self.processes.start(self.folder, code, *arguments, environment=self.environment).completed()

    def fetch(self) -> subprocess.CompletedProcess[str]:
        return self.run(
            "fetch_source", "--scale", "mini", "--source", "ours", "--output", str(self.folder / "o.parquet")
        )

    def lock(self) -> dict[str, object]:
        return yaml.safe_load((self.folder / "config" / "sources.lock.yaml").read_text())["ours"]


@pytest.fixture
def project(
    root: Path, tmp_path: Path, hub: ThreadingHTTPServer, processes: Server, environment: dict[str, str]
) -> Project:
    return Project(root, tmp_path, processes, environment)


def test_a_pin_is_written_and_later_commits_are_not_fetched(project: Project, hub: ThreadingHTTPServer) -> None:
    done = project.run("pin", "ours")
    assert done.stdout == f"ours: 1 files at {FIRST}\n", done.stderr
    digest = hashlib.sha256(rows(3)).hexdigest()
    assert project.lock() == {"repository": "us/ours", "revision": FIRST, "files": {Hub.name: digest}}

    hub.commits[SECOND] = hub.promised[SECOND] = rows(5)  # type: ignore[attr-defined]
    done = project.fetch()
    assert done.stdout == "ours: 3 rows (sha256 verified), 0 of other sources\n", done.stderr

    project.run("pin", "ours")
    assert project.lock()["revision"] == SECOND
    assert project.fetch().stdout.startswith("ours: 5 rows")


def test_other_bytes_than_the_pin_are_refused_and_kept_aside(project: Project, hub: ThreadingHTTPServer) -> None:
    project.run("pin", "ours")
    forged = rows(2)
    hub.commits[FIRST] = hub.promised[FIRST] = forged  # type: ignore[attr-defined]
    done = project.fetch()
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]  # above it, the download's progress
    assert last.startswith("deepscaler: us/ours does not match its pin: data/train.jsonl has SHA-256")
    assert "Traceback" not in done.stderr
    assert (project.folder / ".ours.repository.refused" / Hub.name).read_bytes() == forged
    assert not (project.folder / "o.parquet").exists()


def test_bytes_that_are_not_the_commits_are_refused(project: Project, hub: ThreadingHTTPServer) -> None:
    hub.commits[FIRST] = rows(2)[:-10] + b'"answer"!}'  # type: ignore[attr-defined]
    done = project.run("pin", "ours")
    assert done.returncode == 1
    assert "arrived damaged" in done.stderr
    assert not (project.folder / "config" / "sources.lock.yaml").exists()


def test_a_name_that_nothing_has_is_refused_with_the_nearest(project: Project) -> None:
    done = project.run("pin", "our")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'ours'?" in done.stderr


def test_every_verb_is_registered_once() -> None:
    names = [command.name for command in build().registered_commands]
    assert len(names) == len(set(names))
