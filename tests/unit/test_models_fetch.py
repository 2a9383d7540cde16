"""Models by pin: from a local folder, and over HTTP from a small server that speaks the hub's protocol."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import own_settings
import pytest
from deepscaler import hub, settings
from deepscaler.errors import UserError
from deepscaler.files import sha256
from deepscaler.miniature.tokenizer import build_tokenizer
from deepscaler.models import fetch_model
from deepscaler.models.try_tokenizer import attempt
from deepscaler.settings.base import validate
from deepscaler.settings.models import Published

COMMIT, OTHER = "a" * 40, "b" * 40
WEIGHTS = bytes(range(256)) * 4000


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A model's folder as it lies on the hub; fetching reads no weights, so that any bytes will do."""
    folder = tmp_path_factory.mktemp("hub") / "acme" / "tiny"
    folder.mkdir(parents=True)
    build_tokenizer(own_settings.prompting().suffix).save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle, which is not fetched")
    (folder / "runs").mkdir()
    (folder / "runs" / "trace.json").write_text("{}")
    return folder


def downloaded(repository: Path, to: Path, commit: str = COMMIT) -> Path:
    """A copy of the repository as `hf download --local-dir` leaves it: with the commit of each file."""
    shutil.copytree(repository, to)
    record = to / ".cache/huggingface/download/config.json.metadata"
    record.parent.mkdir(parents=True)
    record.write_text(f"{commit}\netag\n1.0\n")
    return to


@pytest.fixture
def pinned(monkeypatch, tmp_path):
    """Set the entry of the system `tiny`, and give the place of its manifest."""

    def put(repository: object, **given: object) -> Path:
        values = {"kind": "published", "title": "Tiny", "parameters": 0.1, "revision": COMMIT, **given}
        values["prompting"] = own_settings.prompting()
        entry = validate(Published, {**values, "repository": str(repository)}, "here")
        monkeypatch.setattr(settings, "systems", lambda: {"tiny": entry})
        monkeypatch.setattr(settings, "site", own_settings.site)
        monkeypatch.setattr(fetch_model, "tried_template", attempt)  # in this process: tests/security/ has the other
        return tmp_path / "models" / "tiny" / "model.json"

    return put


def test_a_local_repository_is_fetched_whole_with_its_manifest(repository, tmp_path, pinned):
    output = pinned(f"file://{downloaded(repository, tmp_path / 'local')}")
    fetch_model.fetch_model(system="tiny", output=output)
    manifest = json.loads(output.read_text())
    assert (manifest["revision"], manifest["verified"]) == (COMMIT, "revision")
    assert manifest["files"]["model.safetensors"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert sorted(manifest["files"]) == sorted(p.name for p in output.parent.iterdir() if p.name != "model.json")
    assert "pytorch_model.bin" not in manifest["files"]
    assert not list(output.parent.parent.glob(".*"))


def test_every_file_held_against_a_digest(repository, tmp_path, pinned):
    names = [p.name for p in repository.iterdir() if p.is_file() and p.suffix != ".bin"]
    files = {name: sha256(repository / name) for name in names}
    fetch_model.fetch_model(system="tiny", output=pinned(repository, revision=None, files=files))
    manifest = json.loads((tmp_path / "models/tiny/model.json").read_text())
    assert (manifest["revision"], manifest["verified"]) == (None, "sha256")


def test_a_folder_that_tells_no_revision_is_said_to_be_held_against_nothing(repository, pinned, capsys):
    output = pinned(repository)
    fetch_model.fetch_model(system="tiny", output=output)
    assert json.loads(output.read_text())["verified"] == "none"
    assert "not verified against a pin (the folder records no revision)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"revision": OTHER}, f"found revision {COMMIT[:12]}, pinned {OTHER[:12]}"),
        ({"files": {"model.safetensors": "0" * 64}}, r"model\.safetensors has SHA-256 \w{12}…, pinned 000000000000…"),
        ({"files": {"adapter.safetensors": "0" * 64}}, r"no file adapter\.safetensors"),
    ],
)
def test_what_does_not_match_its_pin_is_refused_and_kept_aside(repository, tmp_path, pinned, given, message):
    output = pinned(downloaded(repository, tmp_path / "local"), **given)
    with pytest.raises(UserError, match=f"does not match its pin: {message}"):
        fetch_model.fetch_model(system="tiny", output=output)
    assert not output.exists()
    aside = list(output.parent.parent.glob(".tiny.*.refused"))
    assert len(aside) == 1
    assert (aside[0] / "model.safetensors").read_bytes() == WEIGHTS


def test_a_model_already_there_stays_when_a_new_fetch_is_refused(repository, tmp_path, pinned):
    local = downloaded(repository, tmp_path / "local")
    output = pinned(local)
    fetch_model.fetch_model(system="tiny", output=output)
    before = output.read_bytes()
    with pytest.raises(UserError):
        fetch_model.fetch_model(system="tiny", output=pinned(local, revision=OTHER))
    assert output.read_bytes() == before


def test_the_chat_template_is_part_of_the_pin(repository, tmp_path, pinned):
    template = (repository / "chat_template.jinja").read_text()
    digest = hashlib.sha256(template.encode()).hexdigest()
    local = downloaded(repository, tmp_path / "local")
    fetch_model.fetch_model(system="tiny", output=pinned(local, chat_template=digest))
    (local / "chat_template.jinja").write_text(template.replace("<think>\n", ""))
    with pytest.raises(UserError, match=r"the chat template of .* has SHA-256 \w{12}…, pinned " + digest[:12]):
        fetch_model.fetch_model(system="tiny", output=pinned(local, chat_template=digest))


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (["tokenizer.json", "tokenizer_config.json"], "no tokenizer can be loaded"),
        (["chat_template.jinja"], "has no chat template"),
        (["model.safetensors"], "no safetensors weights"),
        (["config.json"], r"no config\.json"),
    ],
)
def test_a_model_that_could_not_be_sampled_is_refused_at_once(repository, tmp_path, pinned, missing, message):
    local = downloaded(repository, tmp_path / "local")
    for name in missing:
        (local / name).unlink()
    with pytest.raises(UserError, match=message):
        fetch_model.fetch_model(system="tiny", output=pinned(local))
    assert not (tmp_path / "models/tiny/model.json").exists()


def test_no_such_repository_and_no_such_system(tmp_path, pinned):
    with pytest.raises(UserError, match="no repository"):
        fetch_model.fetch_model(system="tiny", output=pinned(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"unknown published model 'tinny'.*did you mean 'tiny'"):
        fetch_model.fetch_model(system="tinny", output=tmp_path / "x/model.json")


class Hub(BaseHTTPRequestHandler):
    """The four answers of the hub that a download needs; `server.cut` ends a file's first transfer in the middle."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server = self.server
        path = self.path.split("?")[0]
        if path.startswith("/api/models/acme/tiny/revision/") or path == "/api/models/acme/tiny":
            return self.about(path.rsplit("/", 1)[-1])
        if path == f"/api/models/acme/tiny/tree/{COMMIT}":
            return self.tree()
        prefix = f"/acme/tiny/resolve/{COMMIT}/"
        if not path.startswith(prefix):
            return self.reply(404, b"", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "no such repository"})
        name = path.removeprefix(prefix)
        content = server.files[name]
        begin = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        server.asked.append((self.command, name, begin))
        etag = hashlib.sha256(content).hexdigest() if name.endswith(".safetensors") else hub_blob_id(content)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        body, length = content[begin:], len(content) - begin
        if self.command == "GET" and name in server.cut:
            server.cut.remove(name)
            body = body[: length // 2]
            self.close_connection = True
        return self.reply(206 if begin else 200, body, headers, length)

    def about(self, revision: str) -> None:
        if revision not in (COMMIT, "tiny"):
            return self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        files = [
            {"rfilename": name, "size": len(content), "blobId": hub_blob_id(content)}
            | (
                {"lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}}
                if name.endswith(".safetensors")
                else {}
            )
            for name, content in self.server.listed.items()
        ]
        answer = {
            "id": "acme/tiny",
            "modelId": "acme/tiny",
            "sha": COMMIT,
            "siblings": files,
            "tags": [],
            "private": False,
        }
        return self.reply(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def tree(self) -> None:
        files = []
        for name, content in self.server.listed.items():
            entry = {"type": "file", "path": name, "size": len(content), "oid": hub_blob_id(content)}
            if name.endswith(".safetensors"):
                digest = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
            files.append(entry)
        return self.reply(200, json.dumps(files).encode(), {"Content-Type": "application/json"})

    def reply(self, code: int, body: bytes, headers: dict, length: int | None = None) -> None:
        self.send_response(code)
        for key, value in {**headers, "Content-Length": str(len(body) if length is None else length)}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def hub_blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def server(repository):
    """The hub on this machine."""
    running = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    running.files = {p.relative_to(repository).as_posix(): p.read_bytes() for p in repository.rglob("*") if p.is_file()}
    running.listed, running.cut, running.asked = dict(running.files), [], []
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()


FETCH = """
import json, sys
from pathlib import Path
from deepscaler import hub
from deepscaler.errors import DeepscalerError
into = Path(sys.argv[1])
into.mkdir(parents=True, exist_ok=True)
try:
    pin = hub.Pin("model", "acme/tiny", sys.argv[2] or None, {}, ("*.safetensors", "*.json", "*.jinja"))
    found = hub.fetch(pin, into)
    print(json.dumps([found.revision, found.verified, found.digests]))
except DeepscalerError as error:
    print(f"{type(error).__name__}: {error}")
"""


def fetch_over_http(server, into: Path, revision: str | None = COMMIT) -> str:
    """The last line of a fetch in a process of its own: the hub's client reads its address when it is imported."""
    host, port = server.server_address[:2]
    environment = {"HF_ENDPOINT": f"http://{host}:{port}", "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", FETCH, str(into), revision or ""],
        **{"capture_output": True, "text": True, "timeout": 100, "env": {**os.environ, **environment}},
    )
    assert done.stdout, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_the_hubs_files_arrive_verified(server, tmp_path):
    revision, verified, digests = json.loads(fetch_over_http(server, tmp_path / "m"))
    assert (revision, verified) == (COMMIT, "revision")
    assert digests["model.safetensors"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert "pytorch_model.bin" not in digests
    assert "runs/trace.json" not in digests


def test_a_cut_connection_is_taken_up_and_what_is_there_not_asked_for_again(server, tmp_path):
    server.cut = ["model.safetensors"]
    answer = fetch_over_http(server, tmp_path / "m")
    if answer.startswith("JobError"):
        assert "run it again: it resumes" in answer
        answer = fetch_over_http(server, tmp_path / "m")
    assert json.loads(answer)[2]["model.safetensors"] == hashlib.sha256(WEIGHTS).hexdigest()
    asked = [name for command, name, _ in server.asked if command == "GET"]
    assert asked.count("model.safetensors") == 2
    assert json.loads(fetch_over_http(server, tmp_path / "m")) == json.loads(answer)
    assert [name for command, name, _ in server.asked if command == "GET"] == asked


AGAIN = """
import sys
from pathlib import Path
import own_settings
from deepscaler import settings
from deepscaler.models import fetch_model
from deepscaler.settings.models import Published
entry = {"kind": "published", "title": "Tiny", "parameters": 0.1, "repository": "acme/tiny", "files": {}}
entry = Published(**entry, revision=sys.argv[2], prompting=own_settings.prompting())
settings.systems = lambda: {"tiny": entry}
settings.site = own_settings.site
fetch_model.fetch_model(system="tiny", output=Path(sys.argv[1]))
"""


def fetch_model_over_http(server, output: Path) -> str:
    host, port = server.server_address[:2]
    environment = {"HF_ENDPOINT": f"http://{host}:{port}", "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
    environment["PYTHONPATH"] = str(Path(own_settings.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", AGAIN, str(output), COMMIT],
        **{"capture_output": True, "text": True, "timeout": 100, "env": {**os.environ, **environment}},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_weights_that_are_here_are_not_fetched_again(server, tmp_path):
    """Snakemake removes model.json, which alone is declared, before it runs the rule again."""
    output = tmp_path / "models/tiny/model.json"
    fetch_model_over_http(server, output)
    before, asked = output.read_bytes(), len(server.asked)
    output.unlink()
    assert "is here already, whole" in fetch_model_over_http(server, output)
    assert (output.read_bytes(), len(server.asked)) == (before, asked)
    output.unlink()
    output.with_name("model.safetensors").write_bytes(b"damaged")
    fetch_model_over_http(server, output)
    assert output.with_name("model.safetensors").read_bytes() == WEIGHTS
    assert len(server.asked) > asked


def test_a_newest_revision_is_taken_and_said_where_none_is_pinned(server, tmp_path):
    assert json.loads(fetch_over_http(server, tmp_path / "m", None))[:2] == [COMMIT, "none"]


def test_the_first_digits_of_a_commit_say_which_the_newest_must_be(server, tmp_path):
    assert json.loads(fetch_over_http(server, tmp_path / "m", COMMIT[:12]))[:2] == [COMMIT, "revision"]
    server.asked.clear()
    answer = fetch_over_http(server, tmp_path / "n", OTHER[:12])
    assert answer == f"UserError: the newest commit of acme/tiny is {COMMIT[:12]}, pinned {OTHER[:12]}"
    assert server.asked == []  # refused before gigabytes arrive


def test_bytes_that_differ_from_the_commits_are_not_taken(server, tmp_path):
    server.files["tokenizer.json"] = server.files["tokenizer.json"].replace(b"Quick", b"Quack")
    answer = fetch_over_http(server, tmp_path / "m")
    assert answer.startswith("JobError: tokenizer.json arrived damaged"), answer
    assert not (tmp_path / "m" / "tokenizer.json").exists()


def test_a_revision_that_the_hub_does_not_have(server, tmp_path):
    answer = fetch_over_http(server, tmp_path / "m", OTHER)
    assert answer.startswith(f"UserError: the hub has no acme/tiny@{OTHER}"), answer


def test_pins_are_printed_as_they_are_written_into_the_settings(server, root, tmp_path):
    shutil.copytree(root / "config", tmp_path / "config")
    entry = "{kind: published, title: T, parameters: 1, repository: acme/tiny, revision: null, prompting: %s}"
    with (tmp_path / "config/models.yaml").open("a") as models:
        models.write(f"tiny-on-the-hub: {entry % own_settings.prompting().model_dump_json()}\n")
    host, port = server.server_address[:2]
    environment = {"HF_ENDPOINT": f"http://{host}:{port}", "HF_HUB_OFFLINE": "0", "DEEPSCALER_ROOT": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", "from deepscaler.cli import main; main()", "pin", "tiny-on-the-hub"],
        **{"capture_output": True, "text": True, "timeout": 100, "env": {**os.environ, **environment}},
    )
    assert done.stdout.splitlines() == [
        "tiny-on-the-hub:",
        f"  revision: {COMMIT} # pinned: None",
        "  files:",
        f"    model.safetensors: {hashlib.sha256(WEIGHTS).hexdigest()}",
    ], done.stderr


def test_a_git_clone_tells_its_commit(tmp_path):
    git = tmp_path / ".git"
    (git / "refs/heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "refs/heads/main").write_text(COMMIT + "\n")
    assert hub.commit_of(tmp_path) == COMMIT
    (git / "HEAD").write_text(OTHER + "\n")
    assert hub.commit_of(tmp_path) == OTHER


def test_files_of_two_commits_are_of_none(repository, tmp_path, pinned):
    local = downloaded(repository, tmp_path / "local")
    (local / ".cache/huggingface/download/model.safetensors.metadata").write_text(f"{OTHER}\netag\n1.0\n")
    with pytest.raises(UserError, match=f"files of different commits: {COMMIT[:12]}, {OTHER[:12]}"):
        fetch_model.fetch_model(system="tiny", output=pinned(local))
