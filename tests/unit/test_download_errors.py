"""Every way in which a download fails has a hint of its own: from a server on this machine, in the hub's own words."""

import errno
import json
import os
import ssl
import subprocess
import sys
import threading
import urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from deepscaler.download_errors import explained
from deepscaler.errors import JobError, UserError

FETCH = """
import json, sys
from pathlib import Path
from deepscaler import hub
from deepscaler.errors import DeepscalerError
said = {}
for name in sys.argv[2:]:
    into = Path(sys.argv[1], name)
    into.mkdir()
    try:
        hub.fetch(hub.Pin("model", f"acme/{name}", "a" * 40, {}, ("*.json",)), into)
    except DeepscalerError as error:
        said[name] = [type(error).__name__, str(error)]
print(json.dumps(said))
"""
ANSWERS = {
    "stale": (401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
    "missing": (401, {"X-Error-Code": "RepoNotFound"}),
    "gated": (403, {"X-Error-Code": "GatedRepo"}),
    "forbidden": (403, {}),
    "moved": (404, {"X-Error-Code": "RepoNotFound"}),
    "rewritten": (404, {"X-Error-Code": "RevisionNotFound"}),
    "range": (416, {}),
    "many": (429, {"Retry-After": "1"}),
    "ill": (500, {}),
}
"""Repository → how the hub answers for it."""


class Refusing(BaseHTTPRequestHandler):
    def do_GET(self):
        status, headers = ANSWERS[self.path.split("/")[4]]
        self.send_response(status)
        for key, value in {**headers, "Content-Length": "2"}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Repository → class and text of the error, as fetched by the hub's real client with a token that is stale."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": "hf_stale",
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "-c", FETCH, str(tmp_path_factory.mktemp("into")), *ANSWERS],
        **{"capture_output": True, "text": True, "timeout": 100, "env": {**os.environ, **environment}},
    )
    server.shutdown()
    assert done.stdout, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("repository", "kind", "hint"),
    [
        ("stale", "UserError", "the token in HF_TOKEN is not valid (any more): `hf auth login`"),
        ("missing", "UserError", "the token in HF_TOKEN is not valid"),
        ("gated", "UserError", "accept its conditions at https://huggingface.co/acme/gated"),
        ("forbidden", "UserError", "your token lacks the right to read it"),
        ("moved", "UserError", "renamed or removed? See https://huggingface.co/acme/moved"),
        ("rewritten", "UserError", "its pin is not (any more) a commit of"),
        ("range", "JobError", "remove the folder's .cache/, and run it again"),
        ("many", "JobError", "too many requests from here: run it again in 1 s"),
        ("ill", "JobError", "trouble on its side: run it again later, it resumes"),
    ],
)
def test_the_hubs_answers(said, repository, kind, hint):
    assert said[repository][0] == kind
    assert hint in said[repository][1]
    assert f"acme/{repository}@" in said[repository][1]
    assert (f"{ANSWERS[repository][0]}" in said[repository][1]) or repository == "rewritten"


def raised(outer: Exception, inner: BaseException) -> Exception:
    try:
        raise outer from inner
    except type(outer) as error:
        return error


def httpx_error(name: str, text: str) -> Exception:
    import httpx

    return getattr(httpx, name)(text)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (
            lambda: httpx_error("ConnectError", "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed (_ssl.c:992)"),
            "SSL_CERT_FILE",
        ),
        (lambda: urllib.error.URLError(ssl.SSLCertVerificationError("self-signed")), "SSL_CERT_FILE"),
        (lambda: httpx_error("ProxyError", "407 Proxy Authentication Required"), "HTTPS_PROXY"),
        (lambda: urllib.error.URLError(OSError("Tunnel connection failed: 407 Proxy")), "HTTPS_PROXY"),
        (lambda: httpx_error("ConnectError", "[Errno -2] Name or service not known"), "`network: login`"),
        (lambda: urllib.error.URLError(OSError(-3, "Temporary failure in name resolution")), "`network: login`"),
        (lambda: httpx_error("ConnectError", "[Errno 111] Connection refused"), "`network: login`"),
        (lambda: httpx_error("ReadTimeout", "The read operation timed out"), "run it again: it resumes"),
        (lambda: httpx_error("RemoteProtocolError", "peer closed connection"), "run it again: it resumes"),
        (lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.safetensors"), "make room"),
        (lambda: OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "model.safetensors"), "make room"),
        (lambda: raised(RuntimeError("not in the cache"), OSError(errno.ENOSPC, "full", "x")), "make room"),
        (lambda: raised(FileNotFoundError("not in the cache"), httpx_error("ConnectTimeout", "timed out")), "in time"),
        (lambda: RuntimeError("something else"), "run it again: it resumes"),
    ],
)
def test_everything_below_http(error, hint):
    found = explained(error(), "acme/tiny@main", None, "acme/tiny")
    assert isinstance(found, JobError)
    assert hint in str(found)


def test_a_quota_is_not_called_a_full_disk():
    said = str(explained(OSError(errno.EDQUOT, "quota", "x"), "acme/tiny", None, None))
    assert "quota is used up" in said
    assert "[x]" in said


def test_switched_off_downloads():
    from huggingface_hub.errors import OfflineModeIsEnabled

    found = explained(OfflineModeIsEnabled("offline"), "acme/tiny@main", None, "acme/tiny")
    assert isinstance(found, UserError)
    assert "unset HF_HUB_OFFLINE" in str(found)


def test_without_a_token_a_refusal_is_no_stale_token(monkeypatch, tmp_path):
    import httpx

    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    answer = httpx.Response(401, request=httpx.Request("GET", "https://huggingface.co/api/models/acme/tiny"))
    error = httpx.HTTPStatusError("401", request=answer.request, response=answer)
    assert "see that https://huggingface.co/acme/tiny exists" in str(explained(error, "acme/tiny", None, "acme/tiny"))
    (tmp_path / "token").write_text("hf_x")
    assert f"the token in {tmp_path / 'token'} is not valid" in str(explained(error, "acme/tiny", None, "acme/tiny"))


def test_a_file_on_github_that_is_not_there(tmp_path):
    error = urllib.error.HTTPError("https://raw/x", 404, "Not Found", {}, None)
    found = explained(error, "data.json", "https://raw/x")
    assert isinstance(found, UserError)
    assert "no such file: data.json (the server answered 404) [https://raw/x]" in str(found)
